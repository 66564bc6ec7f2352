"""Any manifests, any edits by hand, any faults, in any order: runs converge, and what is not ours stays as it is.

A state machine draws what people do to the manifests and at the platform, and what goes wrong meanwhile.  After every
run nothing that is not ours has changed by a byte; on a platform that is well a few runs bring everything in line, and
the plan is empty; at the end, destroying removes what is ours and nothing else.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test

from reconciler.emulator.app import create_app
from reconciler.emulator.faults import Faults, FaultScript
from reconciler.errors import ReconcilerError, RefusedByPolicy
from reconciler.model.marker import split
from reconciler.model.plan import Action
from reconciler.model.state import State
from reconciler.model.values import Secret
from reconciler.pipeline.applying import Applied, apply
from reconciler.pipeline.planning import Planned, plan
from reconciler.pipeline.session import Request, Session, session
from reconciler.providers import VENDORS
from reconciler.providers.http import RestProvider
from reconciler.settings import Settings
from tests.virtual_time import VirtualClock

pytestmark = pytest.mark.usefixtures("uncounted")

Doc = dict[str, Any]
T = TypeVar("T")

PROJECTS = ("bot", "care")
PIPELINES = ("live", "canary", "old")
TESTS = ("rows", "more rows", "length", "Ünï/1%")
BY_HAND = ("by hand", "too")
ANSWERS: tuple[Doc, ...] = (
    {"action": "refuse-before"},
    {"action": "status", "status": 500, "when": "before"},
    {"action": "status", "status": 503, "when": "after"},
    {"action": "status", "status": 429, "retryAfter": 1.0},
    {"action": "status", "status": 422},
    {"action": "drop-before"},
    {"action": "drop-after"},
    {"action": "cut-body"},
    {"action": "not-json"},
    {"action": "html"},
)
SHAPES: tuple[Doc, ...] = (
    {"action": "clamp-page", "perPage": 1},
    {"action": "no-meta"},
    {"action": "repeat-items"},
    {"action": "lag", "reads": 2},
)
FAULTS = st.one_of(
    st.builds(
        lambda answer, method, nth: {**answer, "method": method, "nth": nth},
        st.sampled_from(ANSWERS), st.sampled_from(("GET", "POST", "PUT", "PATCH", "DELETE", "*")), st.integers(1, 6),
    ),
    st.builds(lambda answer, every: {**answer, "every": every}, st.sampled_from(ANSWERS), st.integers(3, 9)),
    st.sampled_from(SHAPES),
)  # fmt: skip


class World:
    """A folder with manifests, and a platform that runs go to in process, in virtual time."""

    def __init__(self) -> None:
        self.root = Path(tempfile.mkdtemp(prefix="reconciler-stateful-"))
        self.app = create_app(":memory:")
        self.door: Any = self.app
        self.clock = VirtualClock()

    def close(self) -> None:
        self.app.state.database.close()
        shutil.rmtree(self.root)

    def declare(self, projects: dict[str, Doc]) -> None:
        """Write the manifests, one file a project, and no others."""
        for file in self.root.glob("*.yaml"):
            file.unlink()
        for name, wanted in projects.items():
            spec = {"taskType": "llm-base", "description": wanted["description"]}
            spec["pipelines"] = [{"name": each, **fields} for each, fields in wanted["pipelines"].items()]
            spec["tests"] = [_test(each, fields) for each, fields in wanted["tests"].items()]
            document = {"apiVersion": "openlayer/v1", "kind": "Project", "metadata": {"name": name}, "spec": spec}
            (self.root / f"{name}.yaml").write_text(json.dumps(document), encoding="utf-8")

    def fail(self, *rules: Doc) -> None:
        """Let the platform go wrong from now on; without rules all is well."""
        script = FaultScript.from_json(list(rules))
        self.door = Faults(self.app, script, error_body=lambda code, text: {"code": code, "error": text})

    def run(self, work: Callable[[Session], Awaitable[T]], *, adopt: bool = False) -> T:
        """One run of the program."""

        async def main() -> T:
            request = Request(root=self.root, parallelism=4, adopt=adopt)
            environ = {"RECONCILER_UNCERTAINTY_WINDOW": "60s"}
            async with session(request, Settings.from_environ(environ)) as here:
                here.clock = self.clock
                here.providers[VENDORS[0].name] = RestProvider(
                    VENDORS[0],
                    base_url="http://platform.invalid/v1",
                    credential=Secret("k" * 20),
                    clock=self.clock,
                    transport=httpx.ASGITransport(app=self.door),
                    parallelism=4,
                )
                return await work(here)

        return asyncio.run(main())

    def remembered(self) -> State:
        async def load(here: Session) -> State:
            return here.store.load()

        return self.run(load)

    # -- by hand

    def api(self, method: str, path: str, body: object = None) -> Any:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            headers = {"Authorization": "Bearer by-hand"}
            async with httpx.AsyncClient(transport=transport, base_url="http://hand/v1", headers=headers) as client:
                return await client.request(method, path, json=body)

        answer = asyncio.run(ask())
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def everything(self) -> dict[str, Doc]:
        """All objects by id, as the platform shows them; ``kind`` says what each is, ``project`` where.

        Without the platform's own counts: of a pipeline it tells how many tests run on it, whoever made those.
        """
        found: dict[str, Doc] = {}
        for project in self.api("GET", "/projects")["items"]:
            found[project["id"]] = {**project, "kind": "project", "project": project["name"]}
            for kind, path in (("pipeline", "inference-pipelines"), ("test", "tests?includeArchived=true")):
                for item in self.api("GET", f"/projects/{project['id']}/{path}")["items"]:
                    found[item["id"]] = {**item, "kind": kind, "project": project["name"]}
        return {key: {n: v for n, v in item.items() if not n.endswith("Count")} for key, item in found.items()}


def _test(name: str, fields: Doc) -> Doc:
    threshold = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": fields["value"]}
    kept = {key: value for key, value in fields.items() if key != "value"}
    return {"name": name, "type": "integrity", "subtype": "rowCount", "thresholds": [threshold], **kept}


class Reconciling(RuleBasedStateMachine):
    """What people do, what goes wrong, and what must hold whatever they did."""

    def __init__(self) -> None:
        super().__init__()
        self.world = World()
        self.wanted: dict[str, Doc] = {}
        self.renamed = 0

    def teardown(self) -> None:
        try:
            self.settle()
            self.destroy()
        finally:
            self.world.close()

    @initialize()
    def begin(self) -> None:
        """There is always a project that is wanted: no manifests at all are an error, and nothing would be learned."""
        self.wanted["bot"] = {"description": "Answers", "pipelines": {"live": {}}, "tests": {"rows": {"value": 1}}}
        self.world.declare(self.wanted)

    # -- the manifests

    @rule(name=st.sampled_from(PROJECTS), description=st.sampled_from(("Answers", "Listens", "Ünï: #1")))
    def want_project(self, name: str, description: str) -> None:
        empty: Doc = {"description": description, "pipelines": {}, "tests": {}}
        self.wanted.setdefault(name, empty)["description"] = description

    @rule()
    def drop_project(self) -> None:
        self.wanted.pop("care", None)

    @rule(
        project=st.sampled_from(PROJECTS),
        name=st.sampled_from((*PIPELINES, BY_HAND[0])),
        removal=st.sampled_from(("keep", "delete")),
        description=st.sampled_from(("One", "Two")),
    )
    def want_pipeline(self, project: str, name: str, removal: str, description: str) -> None:
        if project in self.wanted:
            fields = {"description": description, "lifecycle": {"onRemoval": removal}}
            self.wanted[project]["pipelines"][name] = fields
            for other in self.wanted[project]["pipelines"].values():
                if other.get("renamedFrom") == name:
                    del other["renamedFrom"]

    @rule(project=st.sampled_from(PROJECTS), name=st.sampled_from(PIPELINES))
    def drop_pipeline(self, project: str, name: str) -> None:
        if project in self.wanted and self.wanted[project]["pipelines"].pop(name, None) is not None:
            for fields in self.wanted[project]["tests"].values():
                if fields.get("pipelines") == [name]:
                    del fields["pipelines"]

    @rule(
        project=st.sampled_from(PROJECTS),
        name=st.sampled_from((*TESTS, BY_HAND[0])),
        value=st.integers(0, 3) | st.just(0.5),
        window=st.sampled_from((None, "24h", "7d")),
        targeted=st.booleans(),
        described=st.booleans(),
    )
    def want_test(
        self, project: str, name: str, value: float, window: str | None, targeted: bool, described: bool
    ) -> None:
        if project in self.wanted:
            fields: Doc = {"value": value, **({"evaluationWindow": window} if window else {})}
            if targeted and self.wanted[project]["pipelines"]:
                fields["pipelines"] = [min(self.wanted[project]["pipelines"])]
            if described:
                fields["description"] = "Why it matters"
            self.wanted[project]["tests"][name] = fields
            for other in self.wanted[project]["tests"].values():
                if other.get("renamedFrom") == name:
                    del other["renamedFrom"]

    @rule(project=st.sampled_from(PROJECTS), name=st.sampled_from(TESTS))
    def drop_test(self, project: str, name: str) -> None:
        if project in self.wanted:
            self.wanted[project]["tests"].pop(name, None)

    @rule(
        project=st.sampled_from(PROJECTS), name=st.sampled_from(TESTS), window=st.sampled_from((None, None, "1h", "7d"))
    )
    def rename_test(self, project: str, name: str, window: str | None) -> None:
        """With another window it needs a new object, too."""
        tests = self.wanted.get(project, {}).get("tests", {})
        if name in tests:
            self.renamed += 1
            changed = {"evaluationWindow": window} if window else {}
            tests[f"renamed {self.renamed}"] = {**tests.pop(name), **changed, "renamedFrom": name}

    @rule(project=st.sampled_from(PROJECTS), name=st.sampled_from(TESTS), window=st.sampled_from((None, None, "1h")))
    def return_test_under_another_name(self, project: str, name: str, window: str | None) -> None:
        """What was dropped, if it ever was there, and nothing else says that it was called so."""
        tests = self.wanted.get(project, {}).get("tests", {})
        if tests and name not in tests and all(each.get("renamedFrom") != name for each in tests.values()):
            self.renamed += 1
            fields: Doc = {"value": 2, **({"evaluationWindow": window} if window else {})}
            tests[f"renamed {self.renamed}"] = {**fields, "renamedFrom": name}

    @rule(project=st.sampled_from(PROJECTS), name=st.sampled_from(PIPELINES))
    def rename_pipeline(self, project: str, name: str) -> None:
        wanted = self.wanted.get(project, {"pipelines": {}})
        if name in wanted["pipelines"]:
            self.renamed += 1
            new = f"renamed {self.renamed}"
            wanted["pipelines"][new] = {**wanted["pipelines"].pop(name), "renamedFrom": name}
            for fields in wanted["tests"].values():
                if fields.get("pipelines") == [name]:
                    fields["pipelines"] = [new]

    # -- the platform, by hand

    @rule(data=st.data(), kind=st.sampled_from(("test", "pipeline")))
    def somebody_renames(self, data: st.DataObject, kind: str) -> None:
        if item := self._pick(data, kind):
            self.renamed += 1
            path = "tests" if kind == "test" else "inference-pipelines"
            self.world.api("PUT", f"/{path}/{item['id']}", {"name": f"by hand {self.renamed}"})

    @rule(data=st.data(), value=st.sampled_from((7, 8.5)))
    def somebody_moves_a_threshold(self, data: st.DataObject, value: float) -> None:
        if item := self._pick(data, "test"):
            limit = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": value}
            self.world.api("PUT", f"/tests/{item['id']}", {"thresholds": [limit]})

    @rule(data=st.data(), archived=st.booleans())
    def somebody_archives(self, data: st.DataObject, archived: bool) -> None:
        if item := self._pick(data, "test"):
            self.world.api("PUT", f"/tests/{item['id']}", {"archived": archived})

    @rule(data=st.data())
    def somebody_describes_a_pipeline(self, data: st.DataObject) -> None:
        if item := self._pick(data, "pipeline"):
            self.world.api("PUT", f"/inference-pipelines/{item['id']}", {"description": "By hand"})

    @rule(data=st.data())
    def somebody_deletes_a_pipeline(self, data: st.DataObject) -> None:
        if item := self._pick(data, "pipeline"):
            self.world.api("DELETE", f"/inference-pipelines/{item['id']}")

    @rule(data=st.data(), name=st.sampled_from(BY_HAND), kind=st.sampled_from(("test", "pipeline")))
    def somebody_makes_something(self, data: st.DataObject, name: str, kind: str) -> None:
        """Of a name that nothing has in that project: two of one name are for people to settle."""
        there = self.world.everything().values()
        project = self._pick(data, "project")
        if project is None or any(i["name"] == name and i["project"] == project["name"] for i in there):
            return
        if name in self.wanted.get(project["name"], {}).get(f"{kind}s", {}):
            return
        if kind == "pipeline":
            body: Doc = {"name": name, "description": "Mine"}
            self.world.api("POST", f"/projects/{project['id']}/inference-pipelines", body)
        else:
            body = {**_test(name, {"value": 3}), "description": "Mine", "usesProductionData": True}
            self.world.api("POST", f"/projects/{project['id']}/tests", body)

    @rule(name=st.sampled_from(("theirs", "others")))
    def somebody_makes_a_project(self, name: str) -> None:
        if all(item["name"] != name for item in self.world.everything().values()):
            made = self.world.api("POST", "/projects", {"name": name, "taskType": "llm-base", "description": "Mine"})
            self.world.api("POST", f"/projects/{made['id']}/inference-pipelines", {"name": "live", "description": None})

    def _pick(self, data: st.DataObject, kind: str) -> Doc | None:
        """Any object of a kind, ours or not."""
        there = [item for item in self.world.everything().values() if item["kind"] == kind]
        there.sort(key=lambda item: (item["project"], item["name"]))  # of one name the newest first, as it is listed
        return there[data.draw(st.integers(0, len(there) - 1))] if there else None

    # -- runs

    @rule(faults=st.lists(FAULTS, min_size=1, max_size=3))
    def apply_while_things_go_wrong(self, faults: list[Doc]) -> None:
        """Whatever comes of it, nobody else's things are touched, and the memory can be read."""
        self.world.declare(self.wanted)
        self.world.fail(*faults)
        try:
            self._keeping_strangers(apply, faulty=True)
        except ReconcilerError:
            pass
        finally:
            self.world.fail()
        self.world.remembered()

    @rule()
    def apply_once(self) -> None:
        self.world.declare(self.wanted)
        try:
            self._keeping_strangers(apply)
        except RefusedByPolicy:
            assert self._plan().refusals

    @rule()
    def settle(self) -> None:
        """On a platform that is well, a few runs bring everything in line, and then there is nothing to do."""
        self.world.declare(self.wanted)
        self.world.fail()
        for _ in range(4):
            applied = self._keeping_strangers(apply, adopt=self._wants_strangers())
            if all(outcome.status == "done" for outcome in applied.outcomes) and not self._plan().pending:
                break
        left = self._plan()
        assert [(step.id, step.reason) for step in left.pending] == []
        assert left.refusals == ()
        assert self.world.remembered().in_doubt == {}
        self._as_wanted()

    @precondition(lambda self: self.wanted)
    @rule()
    def plan_is_a_look(self) -> None:
        """It changes nothing, and says the same twice."""
        self.world.declare(self.wanted)
        before = self.world.everything()
        assert self._plan() == self._plan()
        assert self.world.everything() == before

    def destroy(self) -> None:
        """Everything of ours goes, and nothing else; where that cannot be, nothing at all."""
        before, ours = self.world.everything(), self._ours()

        async def work(here: Session) -> Applied:
            return await apply(here, destroy=True)

        try:
            self.world.run(work)
        except RefusedByPolicy:
            assert self.world.everything() == before
            assert any(self._inside_ours(item) for item in before.values() if item["id"] not in ours)
            return
        after = self.world.everything()
        assert [item for item in after.values() if item["id"] in ours and not item.get("archived")] == []
        gone_along = {item["project"] for item in before.values() if item["kind"] == "project" and item["id"] in ours}
        kept = {key: item for key, item in before.items() if key not in ours and item["project"] not in gone_along}
        assert {key: item for key, item in after.items() if key not in ours} == kept

    # -- what must hold

    def _plan(self) -> Any:
        planned: Planned = self.world.run(plan, adopt=False)
        return planned.plan

    def _wants_strangers(self) -> bool:
        return any(step.action is Action.ADOPT for step in self._plan().steps)

    def _keeping_strangers(
        self, work: Callable[[Session], Awaitable[Applied]], *, adopt: bool = False, faulty: bool = False
    ) -> Applied:
        before, ours = self.world.everything(), self._ours()
        try:
            return self.world.run(work, adopt=adopt)
        finally:
            after, mine = self.world.everything(), ours | (set() if faulty else self._ours())
            strangers = {key: item for key, item in before.items() if key not in mine}
            assert {key: after.get(key) for key in strangers} == strangers

    def _ours(self) -> set[str]:
        """The ids that we own: remembered, or made by a create whose answer was lost."""
        state = self.world.remembered()
        known = {each for entry in state.entries.values() for each in (entry.remote_id, *entry.retiring)}
        doubtful = {intent.op for intent in state.in_doubt.values()}
        there = self.world.everything()
        return known | {key for key, item in there.items() if split(str(item.get("description") or ""))[1] in doubtful}

    def _inside_ours(self, item: Doc) -> bool:
        owned = {
            i["name"] for i in self.world.everything().values() if i["kind"] == "project" and i["id"] in self._ours()
        }
        return item["project"] in owned

    def _as_wanted(self) -> None:
        """What is wanted is there, active, once, and as it is wanted."""
        there = list(self.world.everything().values())
        for project, wanted in self.wanted.items():
            (found,) = (i for i in there if i["kind"] == "project" and i["name"] == project)
            assert split(found["description"])[0] == wanted["description"]
            for name, fields in wanted["pipelines"].items():
                (pipeline,) = (i for i in there if (i["kind"], i["project"], i["name"]) == ("pipeline", project, name))
                if "description" in fields:
                    assert split(pipeline["description"])[0] == fields["description"]
            for name, fields in wanted["tests"].items():
                tests = [i for i in there if (i["kind"], i["project"], i["name"]) == ("test", project, name)]
                (test,) = (i for i in tests if not i["archived"])
                assert [each["value"] for each in test["thresholds"]] == [fields["value"]]


def explore(*, examples: int, steps: int, anew: bool = False) -> None:
    """Run the machine so often, with so many steps each; the same ones in every run, or ``anew`` others."""
    checks = [HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    profile = settings(
        max_examples=examples,
        stateful_step_count=steps,
        suppress_health_check=checks,
        database=None,
        derandomize=not anew,
    )
    run_state_machine_as_test(Reconciling, settings=profile)


@pytest.fixture(autouse=True)
def _quick_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing dies here: whether a write is on the disk makes no difference."""
    monkeypatch.setattr(os, "fsync", lambda _: None)


def test_everything_converges_and_nothing_else_is_touched() -> None:
    """A taste of it."""
    explore(examples=10, steps=12)


@pytest.mark.simulation
def test_everything_converges_for_a_long_time() -> None:
    """RECONCILER_STATEFUL_EXAMPLES worlds (500 by default)."""
    explore(examples=int(os.environ.get("RECONCILER_STATEFUL_EXAMPLES", "500")), steps=40, anew=True)
