"""Manifests, plan files, states and journals that somebody damaged: read, or refused with one of our own errors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from reconciler.cli.saved_plan import read_plan
from reconciler.errors import ManifestsInvalid
from reconciler.manifests.loader import read
from reconciler.manifests.validator import Loaded, load
from reconciler.model.plan import Basis, Plan, plan_to_json
from reconciler.model.resource import Live, LiveObject
from reconciler.model.state import Entry, Intent, State, fold, state_to_json
from reconciler.pipeline.session import Request
from reconciler.planning.planner import make_plan
from reconciler.planning.saved import what_moved
from reconciler.planning.world import Options
from reconciler.providers import KINDS, VENDORS
from reconciler.storage.encoding import canonical, header_line, parse_journal, parse_snapshot, record_lines

Target = Callable[[Any], None]
Hunt = Callable[[Target], int]
CHECKOUT = Path(__file__).parents[2]
CORPUS = sorted((*CHECKOUT.glob("examples/**/*.yaml"), *CHECKOUT.glob("tests/problems/*/*.yaml")))
ALL_KINDS = tuple(KINDS.values())

BOT = """
apiVersion: openlayer/v1
kind: Project
metadata: {name: bot}
spec:
  taskType: llm-base
  pipelines: [{name: live}, {name: canary, description: A tenth}]
  tests:
    - {name: Rows, type: integrity, subtype: rowCount, thresholds: [{measurement: rows, operator: ">=", value: 2}]}
"""


@pytest.fixture
def loaded(tmp_path: Path) -> Loaded:
    """One project with two pipelines and a test."""
    (tmp_path / "bot.yaml").write_text(BOT)
    return load([], root=tmp_path, vendors=VENDORS)


@pytest.fixture
def live(loaded: Loaded) -> Live:
    """All of it, at the platform."""
    return Live(tuple(LiveObject(r.address, f"id-{n}", dict(r.fields)) for n, r in enumerate(loaded.desired)))


@pytest.fixture
def state(live: Live) -> State:
    """All of it remembered, and a create in doubt."""
    entries = {o.address: Entry(o.remote_id, {**o.fields}, source="bot.yaml", retiring=("x",)) for o in live.objects}
    doubt = {next(iter(entries)): Intent("a" * 26)}
    return State("lineage", 3, {"openlayer": "https://a"}, entries, doubt, {"t": {"id": 1}}, ("digest",), "begun")


def planned(loaded: Loaded, live: Live, state: State) -> Plan:
    basis = Basis("default", {}, loaded.desired.digest, state.lineage, state.serial)
    return make_plan(loaded.desired, live, state, ALL_KINDS, Options(), basis)


# ------------------------------------------------------------------------------------------- manifests


@pytest.fixture
def manifests(tmp_path: Path) -> Target:
    """A damaged manifest beside its neighbours, for one of its environments or for none."""
    texts = [path.read_text(encoding="utf-8", errors="replace") for path in CORPUS if path.stat().st_size < 20_000]
    (tmp_path / "manifests").mkdir()

    def target(damage: Any) -> None:
        text = damage.text(damage.dice.choice(texts))
        data = text.encode("utf-8", "surrogatepass")
        if damage.dice.random() < 0.1:
            data = data[: damage.dice.randrange(len(data) + 1)] + damage.dice.randbytes(5)
        assert all(problem.message for problem in read(data, "f.yaml").problems)
        (tmp_path / "manifests" / "f.yaml").write_bytes(data)
        environment = damage.dice.choice((None, "local", "production"))
        load(["manifests"], root=tmp_path, vendors=VENDORS, environment=environment, variables={"x": "1"})

    return target


def test_a_taste_of_manifests(manifests: Target, taste: Hunt) -> None:
    assert taste(manifests) == 100


@pytest.mark.fuzz
def test_manifests(manifests: Target, hunt: Hunt) -> None:
    """The loader and all that follows it."""
    assert hunt(manifests) > 0


def test_the_corpus_is_worth_damaging(tmp_path: Path) -> None:
    """Else the mutations would prove little: most of it is valid YAML."""
    parsed = [read(path.read_bytes(), path.name) for path in CORPUS]
    assert len(parsed) > 60
    assert sum(not each.problems for each in parsed) > len(parsed) / 2
    with pytest.raises(ManifestsInvalid):
        load([], root=tmp_path, vendors=VENDORS)


# ------------------------------------------------------------------------------------------- plan files


@pytest.fixture
def plan_files(tmp_path: Path, loaded: Loaded, live: Live) -> Target:
    """A damaged plan file; whoever damaged it may have put the right digest on it."""
    fresh = planned(loaded, live, State())
    saved = plan_to_json(fresh, tool="reconciler")
    saved["basis"]["options"] = Request(paths=("a",), select=("x",), acks={"delete": 1}).options()
    file = tmp_path / "plan.json"

    def target(damage: Any) -> None:
        data = damage.of(saved)
        if damage.dice.random() < 0.8 and isinstance(data, dict):
            text = json.dumps(
                {**data, "digest": "", "tool": ""}, sort_keys=True, ensure_ascii=False, separators=(",", ":")
            )
            data["digest"] = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        text = json.dumps(data, ensure_ascii=damage.dice.random() < 0.9)
        file.write_bytes(text.encode("utf-8", "surrogatepass"))
        plan = read_plan(str(file))
        Request().with_options(plan["basis"]["options"])
        for sentence in what_moved(plan, fresh, resumed=damage.dice.random() < 0.5):
            assert isinstance(sentence, str)

    return target


def test_a_taste_of_plan_files(plan_files: Target, taste: Hunt) -> None:
    assert taste(plan_files) == 100


@pytest.mark.fuzz
def test_plan_files(plan_files: Target, hunt: Hunt) -> None:
    """Up to the comparison with what would be planned now."""
    assert hunt(plan_files) > 0


# ------------------------------------------------------------------------------------ states, journals


@pytest.fixture
def states(loaded: Loaded, live: Live, state: State) -> Target:
    """A damaged snapshot with a checksum that fits."""
    valid = {**state_to_json(state), "absorbed": ""}

    def target(damage: Any) -> None:
        data = damage.of(valid)
        if isinstance(data, dict):
            data.pop("checksum", None)
            data["checksum"] = hashlib.sha256(canonical(data)).hexdigest()
        found = parse_snapshot(json.dumps(data, ensure_ascii=False).encode("utf-8", "surrogatepass")).state
        planned(loaded, live, found)
        state_to_json(fold(found, [{"record": "origins", "origins": {"openlayer": "https://b"}}]))

    return target


def test_a_taste_of_states(states: Target, taste: Hunt) -> None:
    assert taste(states) == 100


@pytest.mark.fuzz
def test_states(states: Target, hunt: Hunt) -> None:
    """Up to the plan that is made from them."""
    assert hunt(states) > 0


@pytest.fixture
def journals(loaded: Loaded, live: Live, state: State) -> Target:
    """Damaged records in a journal whose digests fit, or digests that do not."""
    address = str(next(iter(state.entries)))
    entry = {"remote_id": "r", "applied": {"name": "bot"}, "op": "o", "protect": True, "retiring": ["x"]}
    records: list[dict[str, Any]] = [
        {"record": "origins", "origins": {"openlayer": "https://a"}},
        {"record": "intent", "address": address, "op": "o", "attempts": 1},
        {"record": "not_applied", "address": address},
        {"record": "done", "address": address, "entry": entry},
        {"record": "renamed", "address": address.replace("bot", "new"), "former": address},
        {"record": "removed", "address": address},
        {"record": "task", "key": "k", "task": {"id": "t"}},
        {"record": "task_over", "key": "k"},
        {"record": "plan_started", "digest": "d"},
        {"record": "plan_applied", "digest": "d"},
    ]

    def target(damage: Any) -> None:
        damaged = [each for each in [damage.of(records)] if isinstance(each, list)]
        lines, _ = record_lines(parse_journal(header_line("lineage", 3, "w")).tip, *damaged or [records])
        content = header_line("lineage", 3, "w") + lines
        if damage.dice.random() < 0.3:
            content = damage.text(content.decode("utf-8", "replace")).encode("utf-8", "surrogatepass")
        planned(loaded, live, fold(state, parse_journal(content).records))

    return target


def test_a_taste_of_journals(journals: Target, taste: Hunt) -> None:
    assert taste(journals) == 100


@pytest.mark.fuzz
def test_journals(journals: Target, hunt: Hunt) -> None:
    """Up to the plan that is made from them."""
    assert hunt(journals) > 0
