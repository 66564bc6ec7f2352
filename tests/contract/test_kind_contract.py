"""What every kind of every vendor owes its user.  Runs for each of them by itself; no kind is named here."""

from __future__ import annotations

import asyncio
import json
import re
import typing
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from types import NoneType
from typing import Any

import pytest
from pydantic.fields import FieldInfo

from reconciler.errors import ManifestsInvalid, NotFound, OutcomeUnknown, RefusedByPolicy
from reconciler.model.call import Call, Flow, Reply, Wait, Wire, Write
from reconciler.model.flow import drive
from reconciler.model.kind import AnyKind, Removal, Replace
from reconciler.model.marker import split
from reconciler.model.outcome import StepStatus
from reconciler.model.plan import Action
from reconciler.model.resource import Address, LiveObject
from reconciler.model.spec import Mark, Shape
from reconciler.model.values import Fields, Json
from reconciler.providers import KINDS, VENDORS

MakeLoop = Callable[..., Any]
Meant = Callable[[AnyKind, str, Shape], bool]


def every_kind_that(meant: Callable[[AnyKind], bool]) -> pytest.MarkDecorator:
    """Runs a test for each kind to whose declaration its rule applies."""
    found = [kind for kind in KINDS.values() if meant(kind)]
    return pytest.mark.parametrize("kind", found, ids=[kind.id for kind in found])


def is_made(kind: AnyKind) -> bool:
    """Whether its objects are made by manifests."""
    return kind.create is not None


def is_declared(kind: AnyKind) -> bool:
    """Whether a manifest can speak of it: what is only looked up, by the name that others use, stands in none."""
    return is_made(kind) or kind.virtual


def is_changed(kind: AnyKind) -> bool:
    """Whether its objects can be changed in place."""
    return kind.update is not None


def is_removed(kind: AnyKind) -> bool:
    """Whether its objects can be removed at the platform, not only forgotten."""
    return kind.remove is not None


every_kind = every_kind_that(lambda _: True)
every_made_kind = every_kind_that(is_made)


def every_field(meant: Meant) -> pytest.MarkDecorator:
    """Runs a test for each field that is meant, of each kind that can be declared."""
    kinds = [kind for kind in KINDS.values() if is_declared(kind)]
    found = [(kind, name) for kind in kinds for name, shape in kind.shapes.items() if meant(kind, name, shape)]
    return pytest.mark.parametrize(("kind", "name"), found, ids=[f"{kind.id}.{name}" for kind, name in found])


def is_fixed(kind: AnyKind, name: str, shape: Shape) -> bool:
    return Mark.CREATE_ONLY in shape.marks and name not in kind.identity


def is_mutable(kind: AnyKind, name: str, shape: Shape) -> bool:
    return is_changed(kind) and Mark.CREATE_ONLY not in shape.marks and name not in kind.identity


def is_a_set(_: AnyKind, __: str, shape: Shape) -> bool:
    return Mark.UNORDERED in shape.marks


def can_go_back(kind: AnyKind, name: str, shape: Shape) -> bool:
    return (
        is_mutable(kind, name, shape) and Mark.WRITE_ONLY not in shape.marks and not _declared(kind, name).is_required()
    )


def is_nullable(kind: AnyKind, name: str, _: Shape) -> bool:
    return NoneType in typing.get_args(_declared(kind, name).annotation)


def _declared(kind: AnyKind, name: str) -> FieldInfo:
    fields: dict[str, FieldInfo] = kind.spec.model_fields
    return next(info for key, info in fields.items() if (info.alias or key) == name)


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
def test_the_example_is_valid(kind: AnyKind) -> None:
    """The kind's example passes its own spec and rules."""
    spec = kind.spec.model_validate(kind.example)
    assert [flaw for flaw in kind.check(spec.written()) if flaw.is_error] == []


@every_kind_that(is_declared)
def test_the_example_loads(kind: AnyKind, make_loop: MakeLoop) -> None:
    """As a manifest that wants just this."""
    loop = make_loop(kind)
    loop.declare(loop.sample.example)
    assert loop.planned().desired.resources[loop.address].fields == loop.sample.written(loop.sample.example)


@every_kind_that(lambda kind: not is_declared(kind))
def test_what_is_only_looked_up_is_read_and_never_declared(kind: AnyKind, make_loop: MakeLoop) -> None:
    """It has no document and no list in one; a plan sees it all the same."""
    loop = make_loop(kind)
    root = next(each for each in loop.sample.vendor.kinds if each.document is None and is_made(each))
    loop.declare_document(root, dict(root.example))
    assert loop.address in {item.address for item in loop.planned().live.objects}
    assert [item["id"] for item in loop.objects()] == [loop.live().remote_id]
    loop.declare_document(kind, dict(kind.example))
    with pytest.raises(ManifestsInvalid, match="is never declared"):
        loop.plan()


@every_kind_that(lambda kind: kind.virtual)
def test_what_is_only_measured_is_no_step(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Declaring it, changing it and taking it away makes nothing at the platform: a plan only tells of it."""
    loop = make_loop(kind)
    loop.declare(loop.sample.example)
    assert loop.address not in {step.address for step in loop.plan().steps}
    loop.apply()
    for items in ([loop.sample.everything("other")], []):
        loop.declare(*items)
        assert loop.plan().steps == ()
        assert {change.address for change in loop.plan().lifecycle} == {loop.address}
        assert loop.writes(loop.apply) == []
        assert loop.plan().is_empty
        assert loop.address not in loop.state().entries


# ------------------------------------------------------------------------------------------------- flows


def by_hand(flow: Flow[Any], told: dict[str, Json]) -> list[Call]:
    """The requests of a flow, answered by nobody: with what the sample tells, or an empty list, an id, nothing."""
    calls: list[Call] = []
    answers: dict[str, Json] = {"GET": {"items": []}, "POST": {"id": "new/one"}, **told}
    try:
        asked = next(flow)
        while True:
            assert len(calls) < 100, "the flow does not end"
            if isinstance(asked, Wait):
                asked = next(flow)
                continue
            assert isinstance(asked, Call)
            calls.append(asked)
            asked = flow.send(Reply(200, answers.get(asked.method)))
    except StopIteration:
        return calls


def write_of(kind: AnyKind, loop: Any, fields: Fields) -> Write:
    written, files = loop.sample.written(fields), dict.fromkeys(fields, "a file")
    live = LiveObject(loop.address, "old/one", written)
    parent_id = "its/parent" if kind.parent else None
    return Write(loop.address, written, parent_id, frozenset(written), live, archived=True, files=files)


@every_kind
def test_flows_need_no_network(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Each flow only describes its requests: relative paths, in which no id opens another route; a create sent once."""
    loop = make_loop(kind)
    told = loop.sample.data.get("answers", {})
    write = write_of(kind, loop, loop.sample.everything())
    wire = Wire({place: place.name for place in places(kind, loop.address, write.fields)})
    creating = by_hand(kind.create(write, wire), told) if kind.create is not None else []
    assert [call.repeatable for call in creating].count(False) == (1 if is_made(kind) else 0)
    flows = [flow([write], wire) for flow in (kind.update, kind.remove) if flow is not None]
    calls = [*creating, *by_hand(kind.list(write.parent_id, wire), told)]
    calls += [call for flow in flows for call in by_hand(flow, told)]
    calls += by_hand(kind.one("old/one"), told) if kind.one is not None else []
    assert all(call.path.startswith("/") and "://" not in call.path for call in calls)
    assert [call.path for call in calls if re.search("(old|new)/one|its/parent", call.path)] == []


@every_made_kind
def test_an_answer_without_an_id_is_no_answer(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Whether the object was made is not known then: an id is never guessed."""
    loop = make_loop(kind)
    write = write_of(kind, loop, loop.sample.everything())
    wire = Wire({place: place.name for place in places(kind, loop.address, write.fields)})
    told = loop.sample.data.get("answers", {})
    assert kind.create is not None
    flow = kind.create(write, wire)
    asked = next(flow)
    with pytest.raises(OutcomeUnknown):
        while True:
            assert isinstance(asked, Call)
            asked = flow.send(Reply(200, told.get(asked.method) if asked.repeatable else {}))


def places(kind: AnyKind, address: Address, fields: Fields) -> Iterable[Address]:
    """The addresses that the fields refer to."""
    for name, shape in kind.shapes.items():
        if shape.ref is None or name not in fields:
            continue
        parent = address.path[:1] if KINDS[shape.ref.kind].parent else ()
        value = fields[name]
        names = value if isinstance(value, list) else [value]
        yield from (Address(shape.ref.kind, (*parent, str(each))) for each in names)


# -------------------------------------------------------------------------------------------- the loop


@every_made_kind
def test_apply_then_plan_is_empty(kind: AnyKind, make_loop: MakeLoop) -> None:
    """What was applied needs nothing, and applying it again sends no write."""
    loop = make_loop(kind)
    loop.declare(loop.sample.example)
    loop.apply()
    assert loop.plan().is_empty
    assert loop.writes(loop.apply) == []
    assert len(loop.objects()) == 1


@every_made_kind
def test_several_are_made_changed_and_removed_at_once(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Each of them, where the platform gives one item a page."""
    loop = make_loop(kind)
    loop.fail({"method": "GET", "action": "clamp-page"})
    names = ["first", "second", "third"]
    for which in ("one", "other"):
        loop.declare(*({**loop.sample.everything(which), "name": name} for name in names))
        loop.apply()
        assert loop.plan().is_empty
    loop.declare()
    loop.apply(acks=ack(kind, len(names)))
    planned = loop.planned()
    assert planned.plan.is_empty
    there = [item.address.name for item in planned.live.objects if item.address.kind == kind.id and not item.archived]
    assert [name for name in names if name in there] == (names if kind.removal is Removal.FORGET else [])


@every_made_kind
def test_what_is_created_reads_the_same(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Every field comes back from the platform in the spelling of the manifest; numbers may be floats."""
    loop = make_loop(kind)
    fields = loop.sample.everything()
    loop.declare(fields)
    loop.apply()
    live = loop.live().fields
    wanted = visible(kind, loop.sample.written(fields))
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


@every_field(is_nullable)
def test_a_null_settles(kind: AnyKind, name: str, make_loop: MakeLoop) -> None:
    """A field written as null, by which a default in the manifest is taken off, leaves nothing to do after an apply."""
    loop = make_loop(kind)
    loop.declare({**loop.sample.writing(name), name: None})
    loop.apply()
    assert loop.plan().is_empty


@every_field(lambda kind, name, shape: is_nullable(kind, name, shape) and is_fixed(kind, name, shape))
def test_a_null_says_no_more_of_a_fixed_field_than_silence(kind: AnyKind, name: str, make_loop: MakeLoop) -> None:
    """Whatever was written before: there is no way to send it."""
    loop = make_loop(kind)
    loop.declare(loop.sample.writing(name))
    loop.apply()
    loop.declare({key: value for key, value in loop.sample.writing(name).items() if key != name})
    silent = loop.plan()
    loop.declare({**loop.sample.writing(name), name: None})
    planned = loop.plan()
    assert (planned.steps, planned.refusals) == (silent.steps, silent.refusals)


@every_kind_that(is_changed)
def test_an_unwritten_field_belongs_to_the_platform(kind: AnyKind, make_loop: MakeLoop) -> None:
    """What somebody changes at the platform and the manifest does not mention is no drift, and stays: also when
    everything else is changed, and the name.
    """
    loop = make_loop(kind)
    edited = set(loop.sample.data["edit"]["body"])
    one, other = (
        {name: value for name, value in loop.sample.everything(which).items() if name not in edited}
        for which in ("one", "other")
    )
    loop.declare(one)
    loop.apply()
    (item,) = loop.objects()
    loop.edit_by_hand(item)
    (after,) = loop.objects()
    assert loop.plan().is_empty
    assert loop.writes(loop.apply) == []
    assert loop.objects() == [after]
    for fields in (other, {**other, "name": "renamed", "renamedFrom": loop.sample.name}):
        loop.declare(fields)
        loop.apply()
        (changed,) = loop.objects("renamed|" + re.escape(loop.sample.name))
        assert {name: _unmarked(changed[name]) for name in edited} == {name: after[name] for name in edited}


def _unmarked(value: Json) -> Json:
    return split(value)[0] if isinstance(value, str) else value


@every_field(is_a_set)
def test_the_order_of_a_set_means_nothing(kind: AnyKind, name: str, make_loop: MakeLoop) -> None:
    """An unordered list may be written in any order."""
    loop = make_loop(kind)
    values = loop.sample.value(name, "one")
    assert len(values) > 1, "a sample of one item cannot be shuffled"
    loop.declare(loop.sample.writing(name))
    loop.apply()
    loop.declare({**loop.sample.writing(name), name: values[::-1]})
    assert loop.plan().is_empty


@every_field(lambda kind, name, shape: shape.item is not None and not is_a_set(kind, name, shape))
def test_a_list_in_the_other_order_settles(kind: AnyKind, name: str, make_loop: MakeLoop) -> None:
    """Either order counts, then it comes back as it was sent; or it does not."""
    loop = make_loop(kind)
    loop.declare({**loop.sample.writing(name), name: loop.sample.value(name, "one")[::-1]})
    loop.apply()
    assert loop.plan().is_empty


@every_field(is_a_set)
def test_what_stands_twice_in_a_set_is_refused(kind: AnyKind, name: str, make_loop: MakeLoop) -> None:
    """The platform keeps it once, or takes it for a mistake: either way it would be a difference for ever."""
    loop = make_loop(kind)
    first, *rest = loop.sample.value(name, "one")
    loop.declare({**loop.sample.writing(name), name: [first, *rest, first]})
    with pytest.raises(ManifestsInvalid, match=rf'{name}\[{len(rest) + 1}\]: "{re.escape(first)}" stands here twice'):
        loop.plan()


# -------------------------------------------------------------------------------------------- changes


@every_field(is_fixed)
def test_a_fixed_field_is_refused_or_replaced_by_name(kind: AnyKind, name: str, make_loop: MakeLoop) -> None:
    """The plan says which field cannot be changed in place, and an apply leaves one object in the end."""
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
    loop.apply(acks=ack(kind))
    assert loop.plan().is_empty
    (after,) = loop.active()
    assert after["id"] != before["id"]
    history = {before["id"]} if kind.removal is Removal.ARCHIVE else set()
    assert {item["id"] for item in loop.objects()} == {after["id"]} | history


@every_kind_that(lambda kind: kind.replace is Replace.CREATE_THEN_RETIRE)
def test_what_was_replaced_stays_until_somebody_lets_it_go(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Without a word of deleting, the older object stays and nothing is left to do; with it, it goes."""
    loop = make_loop(kind)
    (name,) = [each for each, shape in kind.shapes.items() if is_fixed(kind, each, shape)]
    loop.declare(loop.sample.writing(name, "one"))
    loop.apply()
    (before,) = loop.objects()
    loop.declare(loop.sample.writing(name, "other"))
    loop.apply()
    assert before["id"] in {item["id"] for item in loop.active()}
    assert loop.plan().is_empty
    (step,) = loop.plan(acks=ack(kind)).pending
    assert (step.action, step.remote_id) == (Action.DELETE, before["id"])
    loop.apply(acks=ack(kind))
    assert before["id"] not in {item["id"] for item in loop.objects()}
    assert loop.plan().is_empty


@every_field(is_mutable)
def test_a_mutable_field_is_updated_in_place(kind: AnyKind, name: str, make_loop: MakeLoop) -> None:
    """One update step that names the field; afterwards the platform shows the new value in the old object, or was
    sent it where it never shows it.
    """
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
    if Mark.WRITE_ONLY in kind.shapes[name].marks:
        assert any(json.dumps(changed[name]) in body for body in loop.carried_out)
    else:
        assert shown(changed[name], loop.live().fields[name]) == changed[name]


@every_kind_that(is_changed)
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


@every_field(lambda kind, name, shape: is_mutable(kind, name, shape) and bool(shape.parts))
def test_what_is_written_no_more_inside_of_a_field_is_shown(kind: AnyKind, name: str, make_loop: MakeLoop) -> None:
    """The next write would take it away, or the platform needs it; nothing is compared where it was never written."""
    loop = make_loop(kind)
    written = loop.sample.writing(name)
    loop.declare(written)
    loop.apply()
    optional = loop.sample.data["fields"][name]["optional"]
    fewer, gone = _stripped(written[name], optional, name)
    assert len(gone) > 0, "a sample without anything that may be left out"
    loop.declare({**written, name: fewer})
    plan = loop.plan()
    if plan.refusals:
        assert [refusal.reason.partition(":")[0] for refusal in plan.refusals] == [name]
        return
    (step,) = plan.pending
    assert {(change.path, change.after) for change in step.changes} == {(path, None) for path in gone}


def _stripped(value: Json, optional: list[str], path: str) -> tuple[Json, list[str]]:
    """A part, or a list of parts, without the optional keys; and their paths."""
    if isinstance(value, list):
        items = [_stripped(each, optional, f"{path}.{place}") for place, each in enumerate(value)]
        return [each for each, _ in items], [gone for _, paths in items for gone in paths]
    assert isinstance(value, dict)
    kept = {key: each for key, each in value.items() if key not in optional}
    return kept, [f"{path}.{key}" for key in value if key in optional]


@every_made_kind
def test_a_changed_name_keeps_the_object(kind: AnyKind, make_loop: MakeLoop) -> None:
    """``renamedFrom`` renames in place: same id, no twin, nothing left to do; or it is refused by name."""
    loop = make_loop(kind)
    loop.declare(loop.sample.example)
    loop.apply()
    (before,) = loop.objects()
    loop.declare({**loop.sample.example, "name": "renamed", "renamedFrom": loop.sample.name})
    if not is_changed(kind):
        assert ["name" in refusal.reason for refusal in loop.plan().refusals] == [True]
        return
    assert [step.action for step in loop.plan().pending if step.address.kind == kind.id] == [Action.RENAME]
    loop.apply()
    assert loop.plan().is_empty
    assert loop.objects() == []
    assert before["id"] in {live.remote_id for live in loop.planned().live.objects if live.address.name == "renamed"}


# ------------------------------------------------------------------------------------------ going away


def ack(kind: AnyKind, count: int = 1) -> dict[str, int]:
    """What must be acknowledged to remove so many."""
    return {"delete": count} if kind.removal is Removal.DELETE else {}


def removed(loop: Any) -> Any:
    """Take the object out of the manifests and apply that."""
    loop.declare()
    return loop.apply(acks=ack(loop.sample.kind))


@every_made_kind
def test_what_is_removed_stays_removed(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Removing takes one apply; the next one has nothing to do and sends no write.  What cannot be removed is
    forgotten: not touched, and not ours any more.
    """
    loop = make_loop(kind)
    loop.declare(loop.sample.example)
    loop.apply()
    before = loop.objects()
    removed(loop)
    assert loop.active() == (before if kind.removal is Removal.FORGET else [])
    assert (loop.address in loop.state().entries) is (kind.removal is Removal.ARCHIVE)
    assert loop.plan().is_empty
    assert loop.writes(loop.apply) == []


@every_kind_that(is_removed)
def test_removing_twice_is_removing_once(kind: AnyKind, make_loop: MakeLoop) -> None:
    """The remove flow of what is gone already succeeds and changes nothing."""
    loop = make_loop(kind)
    loop.declare(loop.sample.example)
    loop.apply()
    (item,) = loop.objects()
    live = loop.live()

    async def send(call: Call) -> Reply:
        url = loop.base_url + call.path
        answer = loop.hand.request(call.method, url, params=dict(call.query), json=call.body)
        if answer.status_code == 404:
            raise NotFound("gone", method=call.method, path=call.path, status=404)
        assert answer.is_success, answer.text
        return Reply(answer.status_code, answer.json() if answer.content else None)

    async def sleep(_: float) -> None:
        return None

    for _ in range(2):
        write = Write(loop.address, live.fields, loop.parent_id, live=live, archived=True)
        assert kind.remove is not None
        asyncio.run(drive(kind.remove([write], Wire({})), send, sleep))
        assert [each for each in loop.active() if each["id"] == item["id"]] == []


@every_made_kind
def test_what_returns_is_there_once(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Removed and declared again: an archived object comes back to life, a deleted one is made anew, a forgotten one
    is taken over by --adopt; no twins.
    """
    loop = make_loop(kind)
    loop.declare(loop.sample.example)
    loop.apply()
    (before,) = loop.objects()
    removed(loop)
    loop.declare(loop.sample.example)
    loop.apply(adopt=kind.removal is Removal.FORGET)
    (after,) = loop.active()
    assert loop.plan().is_empty
    assert (after["id"] == before["id"]) is (kind.removal is not Removal.DELETE)
    assert loop.state().entries[loop.address].remote_id == after["id"]
    assert len(loop.objects()) == 1


@every_made_kind
def test_what_somebody_removed_at_the_platform_is_made_again(kind: AnyKind, make_loop: MakeLoop) -> None:
    """An object that is gone behind our back is drift; an apply brings one back."""
    loop = make_loop(kind)
    loop.declare(loop.sample.example)
    loop.apply()
    (item,) = loop.objects()
    loop.remove_by_hand(item)
    assert [step.cause.value for step in loop.plan().pending if step.address == loop.address] == ["drift"]
    loop.apply()
    assert loop.plan().is_empty
    assert len(loop.active()) == 1


# ------------------------------------------------------------------------------------------- ownership


@every_made_kind
def test_a_stranger_is_left_alone_until_it_is_adopted(kind: AnyKind, make_loop: MakeLoop) -> None:
    """An object of the same identity that a person made is refused, untouched; with --adopt it becomes ours.

    Where nothing can be changed in place, it matches or is no adoption: then it is shown, and nothing is refused.
    """
    loop = make_loop(kind)
    loop.declare()
    loop.apply()
    stranger = loop.make_by_hand()
    untouched = loop.objects()
    loop.declare(loop.sample.example)
    planned = loop.plan()
    assert [step.action for step in planned.steps if step.address == loop.address] == [Action.ADOPT]
    assert [refusal.address for refusal in planned.refusals] == ([loop.address] if is_changed(kind) else [])
    if is_changed(kind):
        with pytest.raises(RefusedByPolicy):
            loop.apply()
    else:
        loop.apply()
    assert loop.objects() == untouched
    assert loop.address not in loop.state().entries
    loop.apply(adopt=True)
    assert loop.plan().is_empty
    assert [item["id"] for item in loop.objects()] == [stranger["id"]]


@every_made_kind
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


@every_made_kind
def test_names_are_unique_where_the_kind_says_so(kind: AnyKind, make_loop: MakeLoop) -> None:
    """The platform refuses a second object of the name there, and nowhere else."""
    loop = make_loop(kind)
    loop.declare()
    loop.apply()
    loop.make_by_hand()
    with pytest.raises(AssertionError) if kind.unique_names else nullcontext():
        loop.make_by_hand()
    assert len(loop.objects()) == (1 if kind.unique_names else 2)


# ------------------------------------------------------------------------------------------ lost replies


@every_made_kind
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


@every_made_kind
def test_a_stranger_is_not_taken_for_a_lost_create(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Somebody else makes an object of that name while ours is being looked for: it stays theirs, and the only one."""
    loop = make_loop(kind)
    loop.declare()
    loop.apply()
    loop.declare(loop.sample.example)
    loop.fail({"method": "POST", "path": loop.glob, "nth": 1, "action": "drop-before"})
    made: list[dict[str, Any]] = []
    loop.door.meanwhile = ("POST", lambda: made.append(loop.make_by_hand()))
    outcomes = loop.try_apply().outcomes
    (stranger,) = made
    assert loop.objects() == [stranger]
    assert loop.address not in loop.state().entries
    assert [outcome.status for outcome in outcomes] == [StepStatus.FAILED]


@every_made_kind
def test_a_lost_create_that_does_not_show_yet_is_waited_for(kind: AnyKind, make_loop: MakeLoop) -> None:
    """The list lags behind the create whose reply was lost: it is found a few looks later, not made again."""
    loop = make_loop(kind)
    loop.declare()
    loop.apply()
    loop.declare(loop.sample.example)
    loop.fail({"method": "POST", "path": loop.glob, "nth": 1, "action": "lag", "reads": 2})
    loop.fail({"method": "POST", "path": loop.glob, "nth": 1, "action": "drop-after"})
    loop.apply()
    assert len(loop.objects()) == 1
    assert loop.plan().is_empty


@every_made_kind
def test_a_refused_create_leaves_nothing_behind(kind: AnyKind, make_loop: MakeLoop) -> None:
    """A 422 is a failed step with the vendor's words; nothing is remembered, and the next run makes the object."""
    loop = make_loop(kind)
    loop.declare()
    loop.apply()
    loop.declare(loop.sample.example)
    loop.fail({"method": "POST", "path": loop.glob, "nth": 1, "action": "status", "status": 422})
    outcomes = loop.try_apply().outcomes
    assert [(outcome.status, "Fault injected." in outcome.error) for outcome in outcomes] == [(StepStatus.FAILED, True)]
    assert (loop.objects(), loop.state().in_doubt, loop.address in loop.state().entries) == ([], {}, False)
    loop.apply()
    assert loop.plan().is_empty
    assert len(loop.objects()) == 1


@every_kind_that(lambda kind: is_made(kind) and is_changed(kind))
def test_a_refused_change_is_a_failed_step(kind: AnyKind, make_loop: MakeLoop) -> None:
    """With the vendor's words, be it an update or a removal; the next run does it."""
    loop = make_loop(kind)
    loop.declare(loop.sample.everything())
    loop.apply()
    changed = [loop.sample.everything("other")]
    for items, acks in [(changed, {}), ([], ack(kind))][: 2 if is_removed(kind) else 1]:
        loop.declare(*items)
        goes_wrong(loop, "PUT", "PATCH", *(() if items else ("DELETE",)), action="status", status=422)
        outcomes = loop.try_apply(acks=acks).outcomes
        assert [(each.status, "Fault injected." in each.error) for each in outcomes] == [(StepStatus.FAILED, True)]
        loop.apply(acks=acks)
        assert loop.plan().is_empty


@every_kind_that(lambda kind: is_made(kind) and is_changed(kind))
def test_an_unanswered_change_is_made(kind: AnyKind, make_loop: MakeLoop) -> None:
    """Whether the platform carried it out or not, once the command ran again; and the object is the same."""
    loop = make_loop(kind)
    loop.declare(loop.sample.everything())
    loop.apply()
    (before,) = loop.objects()
    for which, action in (("other", "drop-before"), ("one", "drop-after"), ("other", "cut-body"), ("one", "html")):
        loop.declare(loop.sample.everything(which))
        goes_wrong(loop, "PUT", "PATCH", action=action)
        loop.try_apply()
        loop.apply()
        assert loop.plan().is_empty
    assert [item["id"] for item in loop.objects()] == [before["id"]]


def goes_wrong(loop: Any, *methods: str, **fault: Any) -> None:
    """Let the next request with each of the methods go wrong."""
    for method in methods:
        loop.fail({"method": method, "nth": 1, **fault})


# ------------------------------------------------------------------------------------------------- prose


@every_field(lambda _, __, shape: Mark.PROSE in shape.marks)
@pytest.mark.parametrize("text", ["x", " ", "true", "<b>&amp;</b>", "${var.x}", "\u00e4\U0001f600", "word " * 500])
def test_any_text_will_do_for_prose_and_nothing_else_hangs_on_it(
    kind: AnyKind, name: str, text: str, make_loop: MakeLoop
) -> None:
    """A manifest that differs in prose from one that was validated is not validated again."""
    sample = make_loop(kind).sample
    for fields in (sample.everything(), {**kind.example, **sample.example}):
        one, other = ({**fields, name: value} for value in ("as usual", text))
        specs = [kind.spec.model_validate(each) for each in (one, other)]
        written = [spec.written() for spec in specs]
        assert written[1] == {**written[0], name: text}
        assert kind.check(written[0]) == kind.check(written[1])
        assert kind.lookup(specs[0]) == kind.lookup(specs[1])
        assert kind.gate is None or kind.gate(specs[0]) == kind.gate(specs[1])
        assert kind.measuring is None or kind.measuring.possible(written[0]) == kind.measuring.possible(written[1])
        assert [specs[0].lifecycle, specs[0].labels] == [specs[1].lifecycle, specs[1].labels]
