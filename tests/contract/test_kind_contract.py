"""What every kind of every vendor owes its user.  Runs for each of them by itself; no kind is named here."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from reconciler.errors import NotFound, RefusedByPolicy
from reconciler.model.flow import drive
from reconciler.model.kind import AnyKind, Call, Flow, Mark, Removal, Replace, Reply, Shape, Wait, Wire, Write
from reconciler.model.outcome import StepStatus
from reconciler.model.plan import Action
from reconciler.model.resource import Address, LiveObject
from reconciler.model.values import Fields, Json
from reconciler.providers import KINDS, VENDORS

MakeLoop = Callable[..., Any]
Meant = Callable[[AnyKind, str, Shape], bool]

every_kind = pytest.mark.parametrize("kind", KINDS.values(), ids=list(KINDS))


def every_field(meant: Meant) -> pytest.MarkDecorator:
    """Runs a test for each field that is meant, of each kind."""
    found = [(kind, name) for kind in KINDS.values() for name, shape in kind.shapes.items() if meant(kind, name, shape)]
    return pytest.mark.parametrize(("kind", "name"), found, ids=[f"{kind.id}.{name}" for kind, name in found])


def is_fixed(kind: AnyKind, name: str, shape: Shape) -> bool:
    return Mark.CREATE_ONLY in shape.marks and name not in kind.identity


def is_mutable(kind: AnyKind, name: str, shape: Shape) -> bool:
    return Mark.CREATE_ONLY not in shape.marks and name not in kind.identity


def is_a_set(_: AnyKind, __: str, shape: Shape) -> bool:
    return Mark.UNORDERED in shape.marks


def can_go_back(kind: AnyKind, name: str, shape: Shape) -> bool:
    field = next(info for key, info in kind.spec.model_fields.items() if (info.alias or key) == name)
    return is_mutable(kind, name, shape) and Mark.WRITE_ONLY not in shape.marks and not field.is_required()


def shown(written: Json, live: Json) -> Json:
    """The part of the live value that was written."""
    if isinstance(written, dict) and isinstance(live, dict):
        return {key: shown(value, live.get(key)) for key, value in written.items()}
    if isinstance(written, list) and isinstance(live, list) and len(written) == len(live):
        return [shown(ours, theirs) for ours, theirs in zip(written, live, strict=True)]
    return live


def hidden(kind: AnyKind) -> set[str]:
    """The fields that the vendor never shows."""
    return {name for name, shape in kind.shapes.items() if not _is_visible(shape)}


def visible(kind: AnyKind, fields: Fields) -> Fields:
    """The fields without what the vendor never shows."""
    return {
        name: _visible(kind.shapes[name], value) for name, value in fields.items() if _is_visible(kind.shapes[name])
    }


def _visible(shape: Shape, value: Json) -> Json:
    if not isinstance(value, dict) or not shape.fields:
        return value
    inner = shape.fields
    return {key: each for key, each in value.items() if key not in inner or _is_visible(inner[key])}


def _is_visible(shape: Shape) -> bool:
    return Mark.WRITE_ONLY not in shape.marks


# ------------------------------------------------------------------------------------------ declarations


@every_kind
def test_the_table_of_samples_speaks_of_every_field(kind: AnyKind, samples: dict[str, Any]) -> None:
    """A field without samples would not be tested."""
    assert set(samples[kind.id]["fields"]) == set(kind.shapes) - {"name"}


def test_every_kind_of_every_vendor_is_tested() -> None:
    """The list that the tests run over holds the kinds of all vendors."""
    assert sorted(KINDS) == sorted(kind.id for vendor in VENDORS for kind in vendor.kinds)
    assert len(KINDS) > 0


@every_kind
def test_the_example_is_valid(kind: AnyKind, make_loop: MakeLoop) -> None:
    """The kind's example passes its own spec and rules, and loads as a manifest that wants just this."""
    spec = kind.spec.model_validate(kind.example)
    assert [problem for problem in kind.check(spec.written()) if problem[2]] == []
    loop = make_loop(kind)
    loop.declare(kind.example)
    assert loop.planned().desired.resources[loop.address].fields == spec.written()


# ------------------------------------------------------------------------------------------------- flows


def by_hand(flow: Flow[Any]) -> list[Call]:
    """The requests of a flow, answered by nobody: a list with one item, an id, or an empty answer."""
    calls: list[Call] = []
    answers: dict[str, Json] = {"GET": {"items": []}, "POST": {"id": "new"}}
    try:
        asked = next(flow)
        while True:
            assert len(calls) < 100, "the flow does not end"
            if isinstance(asked, Wait):
                asked = next(flow)
                continue
            calls.append(asked)
            asked = flow.send(Reply(200, answers.get(asked.method)))
    except StopIteration:
        return calls


def write_of(kind: AnyKind, loop: Any, fields: Fields) -> Write:
    live = LiveObject(loop.address, "old", dict(fields))
    return Write(loop.address, fields, "parent" if kind.parent else None, frozenset(fields), live, archived=True)


@every_kind
def test_flows_need_no_network(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Each flow only describes its requests: relative paths, a create sent once, an id from the answer."""
    loop = make_loop(kind)
    write = write_of(kind, loop, loop.sample.everything())
    wire = Wire({Address(ref, (loop.address.root, name)): name for ref, name in places(loop)})
    assert kind.create is not None
    creating = by_hand(kind.create(write, wire))
    assert [call.repeatable for call in creating].count(False) == 1
    flows = [flow([write], wire) for flow in (kind.update, kind.remove) if flow is not None]
    calls = [*creating, *by_hand(kind.list(write.parent_id, wire)), *(call for flow in flows for call in by_hand(flow))]
    assert all(call.path.startswith("/") and "://" not in call.path for call in calls)


def places(loop: Any) -> Iterable[tuple[str, str]]:
    """(kind, name) of what the example may refer to."""
    for plural, items in loop.sample.data.get("beside", {}).items():
        kind = next(each for each in loop.sample.vendor.kinds if each.plural == plural)
        yield from ((kind.id, item["name"]) for item in items)


# -------------------------------------------------------------------------------------------- the loop


@every_kind
def test_apply_then_plan_is_empty(kind: AnyKind, make_loop: MakeLoop) -> None:
    """What was applied needs nothing, and applying it again sends no write."""
    loop = make_loop(kind)
    loop.declare(kind.example)
    loop.apply()
    assert loop.plan().is_empty
    assert loop.writes(loop.apply) == []
    assert len(loop.objects()) == 1


@every_kind
def test_what_is_created_reads_the_same(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Every field comes back from the platform in the spelling of the manifest; numbers may be floats."""
    loop = make_loop(kind)
    fields = loop.sample.everything()
    loop.declare(fields)
    loop.apply()
    live = loop.live().fields
    wanted = visible(kind, fields)
    assert {name: shown(value, live.get(name)) for name, value in wanted.items()} == wanted
    assert loop.plan().is_empty


@every_field(lambda _, name, __: name != "name")
@pytest.mark.parametrize("which", ["one", "other"])
def test_each_value_of_each_field_settles(kind: AnyKind, name: str, which: str, make_loop: MakeLoop) -> None:
    """A field written with either of its values leaves nothing to do after an apply."""
    loop = make_loop(kind)
    loop.declare(loop.sample.writing(name, which))
    loop.apply()
    assert loop.plan().is_empty


@every_kind
def test_an_unwritten_field_belongs_to_the_platform(kind: AnyKind, make_loop: MakeLoop) -> None:
    """What somebody changes at the platform and the manifest does not mention is no drift, and stays."""
    loop = make_loop(kind)
    edited = set(loop.sample.data["edit"]["body"])
    fields = {name: value for name, value in loop.sample.example.items() if name not in edited}
    loop.declare(fields)
    loop.apply()
    (item,) = loop.objects()
    loop.edit_by_hand(item)
    (after,) = loop.objects()
    assert loop.plan().is_empty
    assert loop.writes(loop.apply) == []
    assert loop.objects() == [after]


@every_field(is_a_set)
def test_the_order_of_a_set_means_nothing(kind: AnyKind, name: str, make_loop: MakeLoop) -> None:
    """An unordered list may be written in any order."""
    loop = make_loop(kind)
    values = loop.sample.value(name, "one")
    assert len(values) > 1, "a sample of one item can not be shuffled"
    loop.declare(loop.sample.writing(name))
    loop.apply()
    loop.declare({**loop.sample.writing(name), name: values[::-1]})
    assert loop.plan().is_empty


# -------------------------------------------------------------------------------------------- changes


@every_field(is_fixed)
def test_a_fixed_field_is_refused_or_replaced_by_name(kind: AnyKind, name: str, make_loop: MakeLoop) -> None:
    """The plan says which field can not be changed in place, and an apply leaves one object in the end."""
    loop = make_loop(kind)
    loop.declare(loop.sample.writing(name, "one"))
    loop.apply()
    (before,) = loop.objects()
    loop.declare(loop.sample.writing(name, "other"))
    planned = loop.plan()
    if kind.replace is Replace.REFUSE:
        assert [name in refusal.reason and bool(refusal.hint) for refusal in planned.refusals] == [True]
        with pytest.raises(RefusedByPolicy):
            loop.apply()
        assert loop.objects() == [before]
        return
    (step,) = planned.pending
    assert (step.action, name in step.reason) == (Action.REPLACE, True)
    loop.apply()
    assert loop.plan().is_empty
    (after,) = loop.active()
    assert after["id"] != before["id"]
    assert {item["id"] for item in loop.objects()} == {before["id"], after["id"]}


@every_field(is_mutable)
def test_a_mutable_field_is_updated_in_place(kind: AnyKind, name: str, make_loop: MakeLoop) -> None:
    """One update step that names the field; afterwards the platform shows the new value in the old object."""
    loop = make_loop(kind)
    loop.declare(loop.sample.writing(name, "one"))
    loop.apply()
    (before,) = loop.objects()
    changed = loop.sample.writing(name, "other")
    loop.declare(changed)
    (step,) = loop.plan().pending
    assert (step.action, {change.path.partition(".")[0] for change in step.changes}) == (Action.UPDATE, {name})
    loop.apply()
    assert loop.plan().is_empty
    assert [item["id"] for item in loop.objects()] == [before["id"]]
    if Mark.WRITE_ONLY not in kind.shapes[name].marks:
        assert shown(changed[name], loop.live().fields[name]) == changed[name]


@every_kind
def test_all_mutable_fields_are_updated_at_once(kind: AnyKind, make_loop: MakeLoop) -> None:
    """A second manifest with every changeable field changed takes one apply, and keeps the object."""
    loop = make_loop(kind)
    loop.declare(loop.sample.everything("one"))
    loop.apply()
    (before,) = loop.objects()
    loop.declare(loop.sample.everything("other"))
    (step,) = loop.plan().pending
    assert {change.path.partition(".")[0] for change in step.changes} == set(loop.sample.mutable)
    loop.apply()
    assert loop.plan().is_empty
    assert [item["id"] for item in loop.objects()] == [before["id"]]


@every_field(can_go_back)
def test_a_field_that_is_written_no_more_goes_back(kind: AnyKind, name: str, make_loop: MakeLoop) -> None:
    """Its value is again what an object has that never had it written."""
    loop = make_loop(kind)
    without = {key: value for key, value in loop.sample.writing(name).items() if key != name}
    loop.declare(without)
    loop.apply()
    untouched = loop.live().fields.get(name)
    loop.declare(loop.sample.writing(name, "one"))
    loop.apply()
    assert loop.live().fields.get(name) != untouched
    loop.declare(without)
    (step,) = loop.plan().pending
    assert [change.path for change in step.changes] == [name]
    loop.apply()
    assert loop.live().fields.get(name) == untouched
    assert loop.plan().is_empty


@every_kind
def test_a_changed_name_keeps_the_object(kind: AnyKind, make_loop: MakeLoop) -> None:
    """``renamedFrom`` renames in place: same id, no twin, nothing left to do."""
    loop = make_loop(kind)
    loop.declare(kind.example)
    loop.apply()
    (before,) = loop.objects()
    loop.declare({**kind.example, "name": "renamed", "renamedFrom": loop.sample.name})
    assert [step.action for step in loop.plan().pending if step.address.kind == kind.id] == [Action.RENAME]
    loop.apply()
    assert loop.plan().is_empty
    assert loop.objects() == []
    assert before["id"] in {live.remote_id for live in loop.planned().live.objects if live.address.name == "renamed"}


# ------------------------------------------------------------------------------------------ going away


def removed(loop: Any) -> Any:
    """Take the object out of the manifests and apply that."""
    loop.declare()
    return loop.apply(acks={"delete": 1} if loop.sample.kind.removal is Removal.DELETE else {})


@every_kind
def test_what_is_removed_stays_removed(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Removing takes one apply; the next one has nothing to do and sends no write."""
    loop = make_loop(kind)
    loop.declare(kind.example)
    loop.apply()
    removed(loop)
    assert loop.active() == []
    assert loop.plan().is_empty
    assert loop.writes(loop.apply) == []


@every_kind
def test_removing_twice_is_removing_once(kind: AnyKind, make_loop: MakeLoop) -> None:
    """The remove flow of what is gone already succeeds and changes nothing."""
    loop = make_loop(kind)
    loop.declare(kind.example)
    loop.apply()
    (item,) = loop.objects()
    live, parent_id = loop.live(), loop.hand.get("/projects").json()["items"][0]["id"]

    async def send(call: Call) -> Reply:
        answer = loop.hand.request(call.method, call.path, params=dict(call.query), json=call.body)
        if answer.status_code == 404:
            raise NotFound("gone", method=call.method, path=call.path, status=404)
        assert answer.is_success, answer.text
        return Reply(answer.status_code, answer.json() if answer.content else None)

    async def sleep(_: float) -> None:
        return None

    for _ in range(2):
        write = Write(loop.address, live.fields, parent_id if kind.parent else None, live=live, archived=True)
        assert kind.remove is not None
        asyncio.run(drive(kind.remove([write], Wire({})), send, sleep))
        assert [each for each in loop.active() if each["id"] == item["id"]] == []


@every_kind
def test_what_returns_is_there_once(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Removed and declared again: an archived object comes back to life, a deleted one is made anew; no twins."""
    loop = make_loop(kind)
    loop.declare(kind.example)
    loop.apply()
    (before,) = loop.objects()
    removed(loop)
    loop.declare(kind.example)
    loop.apply()
    (after,) = loop.active()
    assert loop.plan().is_empty
    assert (after["id"] == before["id"]) is (kind.removal is Removal.ARCHIVE)
    assert len(loop.objects()) == 1


@every_kind
def test_what_somebody_removed_at_the_platform_is_made_again(kind: AnyKind, make_loop: MakeLoop) -> None:
    """An object that is gone behind our back is drift; an apply brings one back."""
    loop = make_loop(kind)
    loop.declare(kind.example)
    loop.apply()
    (item,) = loop.objects()
    loop.remove_by_hand(item)
    assert [step.cause.value for step in loop.plan().pending if step.address == loop.address] == ["drift"]
    loop.apply()
    assert loop.plan().is_empty
    assert len(loop.active()) == 1


# ------------------------------------------------------------------------------------------- ownership


@every_kind
def test_a_stranger_is_left_alone_until_it_is_adopted(kind: AnyKind, make_loop: MakeLoop) -> None:
    """An object of the same identity that a person made is refused, untouched; with --adopt it becomes ours."""
    loop = make_loop(kind)
    loop.declare()
    loop.apply()
    stranger = loop.make_by_hand()
    untouched = loop.objects()
    loop.declare(kind.example)
    planned = loop.plan()
    assert [step.action for step in planned.steps if step.address == loop.address] == [Action.ADOPT]
    assert [refusal.address for refusal in planned.refusals] == [loop.address]
    with pytest.raises(RefusedByPolicy):
        loop.apply()
    assert loop.objects() == untouched
    loop.apply(adopt=True)
    assert loop.plan().is_empty
    assert [item["id"] for item in loop.objects()] == [stranger["id"]]


@every_kind
def test_a_stranger_is_never_removed(kind: AnyKind, make_loop: MakeLoop) -> None:
    """What we neither made nor adopted is not touched by an apply that does not mention it."""
    loop = make_loop(kind)
    loop.declare()
    loop.apply()
    loop.make_by_hand()
    untouched = loop.objects()
    assert loop.plan().is_empty
    assert loop.writes(loop.apply) == []
    assert loop.objects() == untouched


# ------------------------------------------------------------------------------------------ lost replies


@every_kind
@pytest.mark.parametrize(
    "fault",
    [
        {"action": "drop-after"},
        {"action": "cut-body"},
        {"action": "status", "status": 500, "when": "after"},
        {"action": "status", "status": 504, "when": "after"},
        {"action": "html"},
        {"action": "not-json"},
        {"action": "drop-before"},
        {"action": "status", "status": 502, "when": "before"},
    ],
    ids=lambda fault: "-".join(str(value) for value in fault.values()),
)
@pytest.mark.parametrize("marked", [True, False], ids=["marked", "unmarked"])
def test_an_unanswered_create_makes_one_object(
    kind: AnyKind, fault: dict[str, Any], marked: bool, make_loop: MakeLoop
) -> None:
    """Whether the platform carried out a create whose reply was lost or not: one object in the end, and it is ours."""
    loop = make_loop(kind, marked=marked)
    loop.declare()
    loop.apply()
    fields = loop.sample.everything()
    loop.declare(fields)
    loop.fail({"method": "POST", "path": loop.glob, "nth": 1, **fault})
    loop.apply()
    (item,) = loop.objects()
    assert loop.state().entries[loop.address].remote_id == item["id"]
    assert loop.state().in_doubt == {}
    assert loop.plan().is_empty
    for name in hidden(kind) & fields.keys():
        assert any(json.dumps(fields[name]) in body for body in loop.carried_out), f"{name} was never sent"


@every_kind
def test_a_stranger_is_not_taken_for_a_lost_create(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Somebody else makes an object of that name while ours is being looked for: it stays theirs."""
    loop = make_loop(kind)
    loop.declare()
    loop.apply()
    loop.declare(kind.example)
    loop.fail({"method": "POST", "path": loop.glob, "nth": 1, "action": "drop-before"})
    made: list[dict[str, Any]] = []
    loop.door.meanwhile = ("POST", lambda: made.append(loop.make_by_hand()))
    outcomes = loop.try_apply().outcomes
    (stranger,) = made
    assert [item for item in loop.objects() if item["id"] == stranger["id"]] == [stranger]
    entry = loop.state().entries.get(loop.address)
    assert entry is None or entry.remote_id != stranger["id"]
    assert [outcome.status for outcome in outcomes] == [StepStatus.FAILED if kind.unique_names else StepStatus.DONE]


@every_kind
def test_a_lost_create_that_does_not_show_yet_is_waited_for(kind: AnyKind, make_loop: MakeLoop) -> None:
    """The list lags behind the create whose reply was lost: it is found a few looks later, not made again."""
    loop = make_loop(kind)
    loop.declare()
    loop.apply()
    loop.declare(kind.example)
    loop.fail({"method": "POST", "path": loop.glob, "nth": 1, "action": "lag", "reads": 2})
    loop.fail({"method": "POST", "path": loop.glob, "nth": 1, "action": "drop-after"})
    loop.apply()
    assert len(loop.objects()) == 1
    assert loop.plan().is_empty


@every_kind
def test_a_refused_create_leaves_nothing_behind(kind: AnyKind, make_loop: MakeLoop) -> None:
    """A 422 is a failed step with the vendor's words; nothing is remembered, and the next run makes the object."""
    loop = make_loop(kind)
    loop.declare()
    loop.apply()
    loop.declare(kind.example)
    loop.fail({"method": "POST", "path": loop.glob, "nth": 1, "action": "status", "status": 422})
    outcomes = loop.try_apply().outcomes
    assert [(outcome.status, "Fault injected." in outcome.error) for outcome in outcomes] == [(StepStatus.FAILED, True)]
    assert (loop.objects(), loop.state().in_doubt, loop.address in loop.state().entries) == ([], {}, False)
    loop.apply()
    assert loop.plan().is_empty
    assert len(loop.objects()) == 1
