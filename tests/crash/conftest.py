"""A small apply whose process can die at any moment, and a platform that can go wrong at any request; in virtual time.

The story: a project is there, beside things that people made by hand.  The next manifests describe it otherwise, want
a new pipeline instead of an old one, and of its tests one changed, renamed, replaced, both at once, archived, back from
the archive and two new; and they want a second project with a pipeline and a test.
"""

from __future__ import annotations

import asyncio
import json
import os
import selectors
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.emulator.app import create_app
from reconciler.emulator.faults import Faults, FaultScript
from reconciler.emulator.server import running
from reconciler.model.call import Call, Reply
from reconciler.model.kind import Vendor
from reconciler.model.outcome import TimeRange
from reconciler.model.plan import plan_to_json
from reconciler.model.provider import Holder, Permit, Provider, StateStore
from reconciler.model.state import Record, State
from reconciler.model.values import Secret
from reconciler.pipeline.applying import Applied, apply
from reconciler.pipeline.measuring import Inquiry
from reconciler.pipeline.planning import Planned, plan
from reconciler.pipeline.session import Hooks, Request, Session, session
from reconciler.pipeline.verifying import Verified, Watch, apply_and_verify
from reconciler.providers import VENDORS
from reconciler.providers.http import RestProvider
from reconciler.settings import Settings
from tests.virtual_time import VirtualClock

Doc = dict[str, Any]
KEY = "canary-key-91d2c4"


class Killed(BaseException):
    """The process is dead: no handler may catch this."""


class Death:
    """Strikes at the ``at``-th moment; afterwards nothing more happens.  ``moments`` names what could be struck."""

    def __init__(self, at: int | None = None) -> None:
        self.at = at
        self.moments: list[str] = []

    @property
    def has_struck(self) -> bool:
        return self.at is not None and len(self.moments) > self.at

    def pass_by(self, moment: str) -> None:
        """Let this moment pass, or die at it."""
        if self.has_struck:
            raise Killed
        self.moments.append(moment)
        if self.has_struck:
            raise Killed


class MortalProvider:
    """A provider whose process may die before a request is sent, or after it was carried out and before it is known."""

    def __init__(self, inner: Provider, death: Death) -> None:
        self._inner, self._death = inner, death
        self.vendor: Vendor = inner.vendor
        self.origin, self.dialect, self.requests = inner.origin, inner.dialect, 0

    async def send(self, call: Call, permit: Permit | None = None) -> Reply:
        self._death.pass_by(f"before {call}")
        self.requests += 1
        try:
            return await self._inner.send(call, permit)
        finally:
            self._death.pass_by(f"after {call}")

    async def close(self) -> None:
        await self._inner.close()


class MortalStore:
    """A store whose process may die before, in the middle of, and after each write."""

    def __init__(self, inner: StateStore, journal: Path, death: Death) -> None:
        self._inner, self._journal, self._death = inner, journal, death

    def describe(self) -> str:
        return self._inner.describe()

    def load(self) -> State:
        return self._inner.load()

    def lock(self, operation: str) -> AbstractContextManager[Holder]:
        return self._inner.lock(operation)

    def append(self, records: Sequence[Record]) -> None:
        what = ", ".join(f"{record['record']} {record.get('address', '')}" for record in records)
        self._death.pass_by(f"before the journal: {what}")
        before = self._journal.stat().st_size if self._journal.exists() else 0
        self._inner.append(records)
        try:
            self._death.pass_by(f"within the journal: {what}")
        except Killed:
            self._tear(before)
            raise
        self._death.pass_by(f"after the journal: {what}")

    def _tear(self, before: int) -> None:
        """Leave half of the last append."""
        size = self._journal.stat().st_size
        with self._journal.open("r+b") as file:
            file.truncate(size - (size - before + 1) // 2 if before else size - 20)

    def commit(self, state: State) -> State:
        self._death.pass_by("before the commit")
        written = self._inner.commit(state)
        self._death.pass_by("after the commit")
        return written

    def holder(self) -> Holder | None:
        return self._inner.holder()

    def unlock(self, lock_id: str) -> None:
        self._inner.unlock(lock_id)


class Turns(selectors.DefaultSelector):  # type: ignore[misc, valid-type, unused-ignore]
    """Counts the turns of an event loop, and cancels its task in the ``at``-th of them, as a second Ctrl-C does."""

    def __init__(self, at: int | None = None) -> None:
        super().__init__()
        self.at, self.count = at, 0
        self.task: asyncio.Task[Any] | None = None

    def select(self, timeout: float | None = None) -> Any:
        self.count += self.task is not None
        if self.task is not None and self.count == self.at:
            self.task.cancel()
            timeout = 0.0  # there is something to do
        return super().select(timeout)


class Hiding:
    """Lists of the application, without the items of one name in the first that holds any."""

    def __init__(self, app: ASGIApp, name: str) -> None:
        self._app, self._name, self.is_done = app, name, False

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        start, body = messages
        if scope["method"] == "GET" and not self.is_done:
            answer = json.loads(body["body"])
            left = [item for item in answer.get("items", ()) if item.get("name") != self._name]
            self.is_done = len(left) < len(answer.get("items", ()))
            body["body"] = json.dumps({**answer, "items": left}).encode() if self.is_done else body["body"]
            start["headers"] = [(key, value) for key, value in start["headers"] if key != b"content-length"]
        await send(start)
        await send(body)


# -------------------------------------------------------------------------------------------- the story


def rows(name: str, least: float = 1, **fields: Any) -> Doc:
    threshold = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": least}
    return {"name": name, "type": "integrity", "subtype": "rowCount", "thresholds": [threshold], **fields}


def project(name: str, description: str, pipelines: Sequence[Doc], tests: Sequence[Doc]) -> Doc:
    return {
        "apiVersion": "openlayer/v1",
        "kind": "Project",
        "metadata": {"name": name},
        "spec": {"taskType": "llm-base", "description": description, "pipelines": pipelines, "tests": tests},
    }


LIVE = {"name": "live"}
OLD = {"name": "old", "lifecycle": {"onRemoval": "delete"}}
FIRST = project("bot", "Answers", [LIVE, OLD], [rows("back")])
BEFORE = project(
    "bot",
    "Answers",
    [LIVE, OLD],
    [rows("changed"), rows("former"), rows("replaced"), rows("narrow"), rows("archived")],
)
AFTER = project(
    "bot",
    "Answers customers",
    [LIVE, {"name": "canary"}],
    [
        rows("changed", 2),
        rows("renamed", renamedFrom="former"),
        rows("replaced", evaluationWindow="24h"),
        rows("wide", renamedFrom="narrow", evaluationWindow="24h"),
        rows("back"),
        rows("new", pipelines=["canary"], description="Rows arrive"),
        rows("newest", mode="development"),
    ],
)
SECOND = project("second", "Listens", [LIVE], [rows("first")])
ACTIVE = ["back", "changed", "new", "newest", "renamed", "replaced", "wide"]
BY_HAND = {**rows("by hand", 3), "description": "Not ours", "usesProductionData": True}


@dataclass
class World:
    """One platform and one folder.  Runs in it are separate processes as far as they can tell.

    The platform is called in process, in virtual time; or over a socket, in real time, where ``url`` is set.
    """

    root: Path
    parallelism: int = 1
    latency_s: float = 0.0
    url: str = ""
    requests: list[tuple[str, str]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    strangers: Doc = field(default_factory=dict)
    interrupts: Callable[[str, str], bool] = lambda *_: False
    """Whether a Ctrl-C comes with the end of this attempt: method and path."""
    waited_s: float = 0.0

    def __post_init__(self) -> None:
        self.app = create_app(self.root / "platform.db", latency_s=self.latency_s)
        self.door: ASGIApp = self.app
        self._people = asyncio.Runner()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The platform, as a socket serves it."""
        self.requests.append((scope["method"], scope["path"]))
        await self.door(scope, receive, send)

    @property
    def environ(self) -> dict[str, str]:
        return {
            "OPENLAYER_BASE_URL": f"{self.url}/v1",
            "OPENLAYER_API_KEY": KEY,
            "RECONCILER_UNCERTAINTY_WINDOW": "1s" if self.url else "60s",
        }

    def begin(self) -> None:
        """Bring the story to the point where the next manifests are there and not applied."""
        for document in (FIRST, BEFORE):
            self.declare(document)
            self.apply()
        (ours,) = self.api("GET", "/projects")["items"]
        self.api("POST", f"/projects/{ours['id']}/tests", BY_HAND)
        theirs = self.api("POST", "/projects", {"name": "theirs", "taskType": "llm-base"})
        self.api("POST", f"/projects/{theirs['id']}/inference-pipelines", {"name": "live", "description": None})
        self.strangers = self.made_by_hand()
        self.declare(AFTER, SECOND)

    def close(self) -> None:
        self._people.close()
        self.app.state.database.close()

    def declare(self, *documents: Doc) -> None:
        for document in documents:
            (self.root / f"{document['metadata']['name']}.yaml").write_text(json.dumps(document), encoding="utf-8")

    def redeclare(self, name: str, **fields: Any) -> None:
        """Change one test in the manifests."""
        tests = [{**test, **fields} if test["name"] == name else test for test in AFTER["spec"]["tests"]]
        self.declare({**AFTER, "spec": {**AFTER["spec"], "tests": tests}})

    def declare_former(self, least: float = 1) -> None:
        """Take the first of the next manifests back; every test passes with so many rows at least."""
        tests = [rows(test["name"], least) for test in BEFORE["spec"]["tests"]]
        self.declare({**BEFORE, "spec": {**BEFORE["spec"], "tests": tests}})

    # -- runs

    def apply(self, death: Death | None = None, *, select: tuple[str, ...] = ()) -> Applied:
        def work(here: Session) -> Any:
            here.request = replace(here.request, select=select)
            return apply(here)

        applied: Applied = asyncio.run(self._run(work, death or Death()))
        return applied

    def save_plan(self) -> Doc:
        """The content of a plan file."""
        content: Doc = json.loads(json.dumps(plan_to_json(self.plan().plan, tool="")))
        return content

    def apply_saved(self, saved: Doc, death: Death | None = None, *, resumed: bool = False) -> Applied:
        """Apply the plan of a file."""

        async def work(here: Session) -> Applied:
            return await apply(here, saved=saved, resumed=resumed)

        applied: Applied = asyncio.run(self._run(work, death or Death()))
        return applied

    def destroy(self) -> Applied:
        """Remove everything that is ours."""

        def work(here: Session) -> Any:
            here.request = replace(here.request, everything=True)
            return apply(here, destroy=True)

        applied: Applied = asyncio.run(self._run(work, Death()))
        return applied

    def apply_until(self, turns: Turns) -> Applied:
        """Apply in a loop of which ``turns`` cancels the task."""

        async def work(here: Session) -> Applied:
            turns.task = asyncio.current_task()
            try:
                return await apply(here)
            finally:
                turns.task = None

        with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(turns)) as runner:
            applied: Applied = runner.run(self._run(work, Death()))
            return applied

    def verify(self, death: Death | None = None, saved: Doc | None = None, *, resumed: bool = False) -> Verified:
        """Apply, evaluate, and put back what fails its gate; nothing was measured yet, so all of it does."""
        ask = Inquiry(TimeRange(1_793_664_000, 1_793_667_600), deadline_s=60)

        def work(here: Session) -> Any:
            return apply_and_verify(here, ask, Watch(), saved=saved, resumed=resumed, rollback=True)

        verified: Verified = asyncio.run(self._run(work, death or Death()))
        return verified

    def plan(self) -> Planned:
        planned: Planned = asyncio.run(self._run(plan, Death()))
        return planned

    def load(self) -> State:
        """What is remembered."""

        async def load(here: Session) -> State:
            return here.store.load()

        loaded: State = asyncio.run(self._run(load, Death()))
        return loaded

    async def _run(self, work: Callable[[Session], Any], death: Death) -> Any:
        request = Request(root=self.root, parallelism=self.parallelism)
        async with session(request, Settings.from_environ(self.environ), Hooks(note=self.notes.append)) as here:
            if self.url:
                return await work(here)
            here.clock = clock = VirtualClock()
            here.store = MortalStore(here.store, self.journal, death)
            provider = RestProvider(
                VENDORS[0],
                base_url="http://platform.invalid/v1",
                credential=Secret(KEY),
                clock=here.clock,
                transport=httpx.ASGITransport(app=self.door),
                parallelism=self.parallelism,
                observe=lambda method, path, _, __: self._attempted(here, method, path),
                stop=here.stop,
            )
            here.providers[VENDORS[0].name] = MortalProvider(provider, death)
            try:
                return await work(here)
            finally:
                self.waited_s = clock.passed

    def _attempted(self, here: Session, method: str, path: str) -> None:
        self.requests.append((method, path))
        if self.interrupts(method, path):
            here.stop.set()

    @property
    def journal(self) -> Path:
        return self.root / ".reconciler" / "default.journal.jsonl"

    def fail(self, *rules: Doc) -> None:
        """Let the platform go wrong from now on, as a fault script says; without rules it is well again."""
        script = FaultScript.from_json(list(rules))
        self.door = Faults(self.app, script, error_body=lambda code, text: {"code": code, "error": text})

    def hide(self, name: str) -> None:
        """Leave what has this name out of the next list that it belongs to, and only that one: a page has shifted."""
        self.door = Hiding(self.door, name)

    # -- what is there, by the platform's own word

    def api(self, method: str, path: str, body: object = None) -> Any:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(app=self.app)
            headers = {"Authorization": "Bearer by-hand"}
            async with httpx.AsyncClient(transport=transport, base_url="http://hand/v1", headers=headers) as client:
                return await client.request(method, path, json=body)

        answer = self._people.run(ask())
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def projects(self) -> dict[str, Doc]:
        return {item["name"]: item for item in self.api("GET", "/projects")["items"]}

    def pipelines(self, project: Doc) -> list[str]:
        items = self.api("GET", f"/projects/{project['id']}/inference-pipelines")["items"]
        return sorted(item["name"] for item in items)

    def tests(self, project: Doc) -> list[Doc]:
        """All tests, archived ones too."""
        return list(self.api("GET", f"/projects/{project['id']}/tests?includeArchived=true")["items"])

    def made_by_hand(self) -> Doc:
        """Everything that people made, as the platform shows it."""
        projects = self.projects()
        return self.by_people(projects["theirs"], self.tests(projects["bot"]))

    def by_people(self, theirs: Doc, tests: list[Doc]) -> Doc:
        """The project of theirs with what is in it, and their tests among these."""
        inside = self.api("GET", f"/projects/{theirs['id']}/inference-pipelines")["items"]
        return {"project": theirs, "pipelines": inside, "tests": [test for test in tests if test["name"] == "by hand"]}

    def check(self) -> None:
        """Everything wanted is there once, nothing else of ours is, and nothing that people made was touched."""
        there = self.api("GET", "/projects")["items"]
        assert sorted(item["name"] for item in there) == ["bot", "second", "theirs"]
        projects = {item["name"]: item for item in there}
        assert str(projects["bot"]["description"]).startswith("Answers customers [")
        assert self.pipelines(projects["bot"]) == ["canary", "live"]
        assert self.pipelines(projects["second"]) == ["live"]
        shown = self.tests(projects["bot"])
        tests = [test for test in shown if test["name"] != "by hand"]
        assert sorted(test["name"] for test in tests if not test["archived"]) == ACTIVE
        assert sorted(test["name"] for test in tests if test["archived"]) == ["archived", "narrow", "replaced"]
        assert [test["name"] for test in self.tests(projects["second"])] == ["first"]
        assert self.by_people(projects["theirs"], shown) == self.strangers

    def converges(self, *, within: int) -> None:
        """After so many more runs on a platform that is well, there is nothing to do, and nothing twice."""
        self.fail()
        self.settles(within=within)

    def settles(self, *, within: int) -> None:
        """The same on the platform as it is."""
        for _ in range(within):
            applied = self.apply()
            if all(outcome.status == "done" for outcome in applied.outcomes):
                break
        left = self.plan()
        assert [(step.id, step.reason) for step in left.plan.pending] == []
        assert left.plan.refusals == ()
        assert left.state.in_doubt == {}
        shown = {item.remote_id: item.op for item in left.live.objects if item.op is not None}
        remembered = {entry.remote_id: entry.op for entry in left.state.entries.values() if entry.remote_id in shown}
        assert remembered == {remote_id: shown[remote_id] for remote_id in remembered}
        self.check()


@pytest.fixture(scope="session")
def beginning(tmp_path_factory: pytest.TempPathFactory) -> World:
    """The point where the apply begins: worlds are copied from it."""
    world = World(tmp_path_factory.mktemp("beginning"))
    world.begin()
    world.close()
    return world


@pytest.fixture
def make_world(beginning: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """Worlds of their own, each at the point where the apply begins."""
    made: list[World] = []
    # Processes die here, the machine does not: whether a write is on the disk by then makes no difference.
    monkeypatch.setattr(os, "fsync", lambda _: None)

    def make(**options: Any) -> World:
        if made:
            made[-1].close()
        folder = tmp_path / str(len(made))
        shutil.copytree(beginning.root, folder)
        made.append(World(folder, strangers=beginning.strangers, **options))
        return made[-1]

    yield make
    if made:
        made[-1].close()


@pytest.fixture
def socket_world(tmp_path: Path) -> Iterator[World]:
    """A world behind a socket, so slow that there is time to strike; at the point where the apply begins."""
    world = World(tmp_path, latency_s=0.02)
    with running(world) as world.url:
        world.begin()
        world.requests.clear()
        yield world
    world.close()


@pytest.fixture
def make_death() -> Callable[..., Death]:
    """Deaths, by the number of the moment they strike at."""
    return Death


@pytest.fixture
def make_turns() -> Callable[..., Turns]:
    """Turns of an event loop, by the number of the one in which its task is cancelled."""
    return Turns


@pytest.fixture
def killed() -> type[BaseException]:
    """What the test sees when a run dies."""
    return Killed
