"""What several steps of one run share (a request, a second list) neither repeats nor loses what belongs to one."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from reconciler.applying.applier import apply
from reconciler.applying.means import Known, Means
from reconciler.errors import InvalidRequest, StateUnreadable
from reconciler.model.call import Call, Reply
from reconciler.model.outcome import StepOutcome, StepStatus
from reconciler.model.plan import Action, Basis, FieldChange, Plan, Step
from reconciler.model.provider import Permit
from reconciler.model.resource import Address, Desired, Live, LiveObject, Resource, Source
from reconciler.model.state import Entry, Record, State, fold
from reconciler.planning.found import lacking
from reconciler.planning.planner import make_plan
from reconciler.planning.world import Options
from reconciler.providers import KINDS, VENDORS
from tests.virtual_time import VirtualClock, in_virtual_time

BASIS = Basis("default", {}, "", "", 0, {})
PROJECT = Address("openlayer.Project", ("bot",))
TEST = Address("openlayer.Test", ("bot", "monitoring", "A"))
OTHER = Address("openlayer.Test", ("bot", "monitoring", "B"))
FIELDS: dict[str, Any] = {"name": "A", "mode": "monitoring", "type": "integrity", "subtype": "x", "thresholds": []}


class Platform:
    """Answers with ``answer``; ``sent`` holds what arrived."""

    vendor = next(vendor for vendor in VENDORS if vendor.name == "openlayer")
    origin, dialect, requests = "http://platform.invalid", "", 0

    def __init__(self, answer: Callable[[Call], Reply]) -> None:
        self._answer = answer
        self.sent: list[Call] = []

    async def send(self, call: Call, permit: Permit | None = None) -> Reply:
        if permit is not None:
            await permit()
        self.sent.append(call)
        return self._answer(call)

    async def close(self) -> None:
        pass


class Run:
    """One apply of these steps; holds all that was told and written down."""

    def __init__(self, answer: Callable[[Call], Reply], clock: VirtualClock | None = None) -> None:
        self.platform, self.clock = Platform(answer), clock or VirtualClock()
        self.records: list[Record] = []
        self.started: list[str] = []
        self.ended: list[str] = []
        self.has_lost_the_lock = False
        self.marked = True

    def apply(self, plan: Plan, state: State, live: Live, *resources: Resource) -> tuple[StepOutcome, ...]:
        async def write(record: Record) -> None:
            self.records.append(record)

        async def confirm() -> None:
            if self.has_lost_the_lock:
                raise StateUnreadable("the lock was broken")

        means = Means(
            providers={"openlayer": self.platform},
            kinds=KINDS,
            clock=self.clock,
            write=write,
            confirm=confirm,
            new_op=lambda: "x" * 26,
            window_s=lambda _: 10.0,
            lacking=functools.partial(lacking, KINDS),
            marked=self.marked,
            on_start=lambda step: self.started.append(step.id),
            on_end=lambda step, _: self.ended.append(step.id),
        )
        ids = {item.address: item.remote_id for item in live.objects}
        known = Known({each.address: each for each in resources}, state, live, ids, self.clock.monotonic())
        outcomes: tuple[StepOutcome, ...] = in_virtual_time(apply(plan, known, means))
        return outcomes


def payloads(call: Call) -> Sequence[Any]:
    assert isinstance(call.body, dict)
    found = call.body["payloads"]
    assert isinstance(found, list)
    return found


def test_an_archive_keeps_what_a_replace_left_behind() -> None:
    """It could not be let go this time: the platform refused that one alone."""

    def refuse_the_old(call: Call) -> Reply:
        if call.method == "PUT" and any(each["id"] == "old" for each in payloads(call)):
            raise InvalidRequest("no", method="PUT", path=call.path, status=422)
        return Reply(200, {"items": []})

    project = Resource(PROJECT, {"name": "bot"}, Source("bot.yaml", 1, 1))
    state = State(
        entries={PROJECT: Entry("p", {"name": "bot"}), TEST: Entry("new", FIELDS, source="bot.yaml", retiring=("old",))}
    )

    def plan_of(state: State, *, archived: bool) -> tuple[Plan, Live]:
        live = Live(
            (
                LiveObject(PROJECT, "p", {"name": "bot"}),
                LiveObject(TEST, "new", FIELDS, archived=archived, rank=("2",)),
                LiveObject(TEST, "old", FIELDS, rank=("1",)),
            )
        )
        desired = Desired({PROJECT: project}, "")
        return make_plan(desired, live, state, tuple(KINDS.values()), Options(), BASIS), live

    run = Run(refuse_the_old)
    plan, live = plan_of(state, archived=False)
    outcomes = run.apply(plan, state, live, project)
    assert sorted(outcome.status for outcome in outcomes) == [StepStatus.DONE, StepStatus.FAILED]
    state = fold(state, run.records)
    assert state.entries[TEST].retiring == ("old",)
    again, _ = plan_of(state, archived=True)
    assert [(step.action, step.remote_id) for step in again.pending] == [(Action.ARCHIVE, "old")]


def test_a_replace_keeps_what_an_earlier_one_left_behind() -> None:
    """Another step lets go of that, or a later run: until then it goes on beside its successors."""

    def answer(call: Call) -> Reply:
        return Reply(201, {"id": "newest"}) if call.method == "POST" else Reply(200, {"items": []})

    fields = {**FIELDS, "subtype": "y"}
    step = Step(id="replace", action=Action.REPLACE, address=TEST, reason="", remote_id="new", fields=fields)
    state = State(entries={PROJECT: Entry("p"), TEST: Entry("new", FIELDS, retiring=("old", "gone"))})
    live = Live(
        (
            LiveObject(PROJECT, "p", {"name": "bot"}),
            LiveObject(TEST, "new", FIELDS),
            LiveObject(TEST, "old", FIELDS),
            LiveObject(TEST, "gone", FIELDS, archived=True),
        )
    )
    run = Run(answer)
    (outcome,) = run.apply(Plan(BASIS, (step,)), state, live, Resource(TEST, fields, Source("bot.yaml", 1, 1)))
    assert outcome.status is StepStatus.DONE
    entry = fold(state, run.records).entries[TEST]
    assert (entry.remote_id, entry.retiring) == ("newest", ("old",))


def test_an_update_keeps_what_a_replace_left_behind() -> None:
    fields = {**FIELDS, "description": "new"}
    step = Step(
        id="update", action=Action.UPDATE, address=TEST, reason="", remote_id="new",
        changes=(FieldChange("description", None, "new"),), fields=fields,
    )  # fmt: skip
    state = State(entries={PROJECT: Entry("p"), TEST: Entry("new", FIELDS, retiring=("old",))})
    live = Live((LiveObject(PROJECT, "p", {"name": "bot"}), LiveObject(TEST, "new", FIELDS)))
    run = Run(lambda _: Reply(200, {"items": []}))
    run.apply(Plan(BASIS, (step,)), state, live, Resource(TEST, fields, Source("bot.yaml", 1, 1)))
    entry = fold(state, run.records).entries[TEST]
    assert (entry.applied["description"], entry.retiring) == ("new", ("old",))


def test_a_refused_removal_repeats_no_update_beside_it() -> None:
    """They share a unit: what is done of it is neither sent nor told again."""

    def refuse_archives(call: Call) -> Reply:
        if call.method == "PUT" and any(each.get("archived") for each in payloads(call)):
            raise InvalidRequest("no", method="PUT", path=call.path, status=422)
        return Reply(200, {"items": []})

    wanted = Resource(TEST, {**FIELDS, "description": "new"}, Source("bot.yaml", 1, 1))
    other = {**FIELDS, "name": "B"}
    update = Step(
        id="update", action=Action.UPDATE, address=TEST, reason="", remote_id="a",
        changes=(FieldChange("description", None, "new"),), fields=wanted.fields,
    )  # fmt: skip
    archive = Step(id="archive", action=Action.ARCHIVE, address=OTHER, reason="", remote_id="b")
    live = Live(
        (
            LiveObject(PROJECT, "p", {"name": "bot"}),
            LiveObject(TEST, "a", FIELDS),
            LiveObject(OTHER, "b", other),
        )
    )
    state = State(entries={PROJECT: Entry("p"), TEST: Entry("a", FIELDS), OTHER: Entry("b", other)})
    run = Run(refuse_archives)
    outcomes = run.apply(Plan(basis=BASIS, steps=(update, archive)), state, live, wanted)
    assert [outcome.status for outcome in outcomes] == [StepStatus.DONE, StepStatus.FAILED]
    assert [[each["id"] for each in payloads(call)] for call in run.platform.sent] == [["a"], ["b"]]
    assert sorted(run.started) == sorted(run.ended) == ["archive", "update"]


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside what is forgotten"])
def test_a_second_look_is_later_than_the_first(beside: bool) -> None:
    """A list lags behind for eight seconds, and the first one after that is shifted: the second shows the object.

    What is forgotten beside it had its own second look before, which is too old to say anything.
    """
    clock, shifted = VirtualClock(), list[bool]()
    item = {**FIELDS, "id": "a", "description": f"[reconciler:{'a' * 26}]", "usesProductionData": True}

    def list_late(call: Call) -> Reply:
        assert call.method != "POST", "a twin"
        is_shown = clock.passed > 8 and bool(shifted)
        if clock.passed > 8:
            shifted.append(True)
        return Reply(200, {"items": [item] if is_shown and call.method == "GET" else []})

    state = State(
        entries={PROJECT: Entry("p"), TEST: Entry("a", FIELDS, op="a" * 26, unlisted=True), OTHER: Entry("z")}
    )
    steps = [Step(id="create", action=Action.CREATE, address=TEST, reason="", fields=FIELDS)]
    if beside:
        steps.append(Step(id="forget", action=Action.FORGET, address=OTHER, reason=""))
    live = Live((LiveObject(PROJECT, "p", {"name": "bot"}),))
    wanted = Resource(TEST, FIELDS, Source("bot.yaml", 1, 1))
    outcomes = Run(list_late, clock).apply(Plan(basis=BASIS, steps=tuple(steps)), state, live, wanted)
    assert (outcomes[0].status, outcomes[0].remote_id) == (StepStatus.DONE, "a")


CHANGES = {
    "create": Step(id="create", action=Action.CREATE, address=OTHER, reason="", fields={**FIELDS, "name": "B"}),
    "update": Step(
        id="update", action=Action.UPDATE, address=TEST, reason="", remote_id="a",
        changes=(FieldChange("description", None, "new"),), fields={**FIELDS, "description": "new"},
    ),
    "archive": Step(id="archive", action=Action.ARCHIVE, address=TEST, reason="", remote_id="a"),
}  # fmt: skip


@pytest.mark.parametrize("change", CHANGES)
def test_who_has_lost_the_lock_sends_no_write_of_any_kind(change: str) -> None:
    """Also none that does no harm when it is sent twice: another run may have written something else since."""
    run, step = Run(lambda _: Reply(200, {"items": []})), CHANGES[change]
    run.has_lost_the_lock = True
    state = State(entries={PROJECT: Entry("p"), TEST: Entry("a", FIELDS)})
    live = Live((LiveObject(PROJECT, "p", {"name": "bot"}), LiveObject(TEST, "a", FIELDS)))
    wanted = Resource(step.address, step.fields, Source("bot.yaml", 1, 1))
    with pytest.raises(StateUnreadable, match="the lock was broken"):
        run.apply(Plan(basis=BASIS, steps=(step,)), state, live, wanted)
    assert [call.method for call in run.platform.sent if call.method != "GET"] == []


@pytest.mark.parametrize("marked", [True, False])
def test_a_create_carries_a_mark_where_marks_are_wanted_and_nowhere_else(marked: bool) -> None:
    run, step = Run(lambda call: Reply(201, {"id": "b"} if call.method == "POST" else {"items": []})), CHANGES["create"]
    run.marked = marked
    live = Live((LiveObject(PROJECT, "p", {"name": "bot"}),))
    wanted = Resource(OTHER, step.fields, Source("bot.yaml", 1, 1))
    run.apply(Plan(basis=BASIS, steps=(step,)), State(entries={PROJECT: Entry("p")}), live, wanted)
    (sent,) = (call for call in run.platform.sent if call.method == "POST")
    assert ("x" * 26 in str(sent.body)) is marked
