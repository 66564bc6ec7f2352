"""What holds for the plan of every world: many small ones, drawn at random, planned and carried out in memory.

A world is what the manifests want, what the platform shows and what we remember, all over a few names, so that they
meet in every way: same, different, renamed by either side, twice, archived, gone, in doubt, cut short.  ``carried_out``
is the meaning of each action in a few lines, kept apart from the applier.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from itertools import count
from random import Random
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from msgspec import Struct
from msgspec.structs import replace

from reconciler.applying.memory import remembered
from reconciler.errors import LooksLikeOutage
from reconciler.model.kind import AnyKind
from reconciler.model.plan import LOST_REPLY, Action, Basis, Plan, Step, plan_to_json
from reconciler.model.resource import Address, Desired, Lifecycle, Live, LiveObject, Resource, Source
from reconciler.model.state import Entry, Intent, State, entry_to_json, fold
from reconciler.model.values import Fields, Json
from reconciler.planning.planner import compared, make_plan
from reconciler.planning.policy import Policy
from reconciler.planning.saved import check_untouched, what_moved
from reconciler.planning.world import Options
from reconciler.providers.openlayer import OPENLAYER
from reconciler.providers.openlayer.inference_pipeline import INFERENCE_PIPELINE
from reconciler.providers.openlayer.project import PROJECT
from reconciler.providers.openlayer.test import TEST

pytestmark = pytest.mark.usefixtures("uncounted")

KINDS = {kind.id: kind for kind in OPENLAYER.kinds}
BASIS = Basis("production", {"openlayer": "https://api.openlayer.com/v1"}, "m", "l", 1)
ROOTS = ("alpha", "beta", "gamma")
PLACES = ("live", "canary")
NAMES = ("Faithful", "Rows", "Polite")
TEXTS = (None, "", "Old", "New")
BRIEF = settings(max_examples=40, suppress_health_check=[HealthCheck.filter_too_much])
THOROUGH = settings(BRIEF, max_examples=80)


class World(Struct, frozen=True):
    desired: Desired
    live: Live
    state: State
    options: Options

    def __repr__(self) -> str:
        """One line for each thing, for a world that breaks a rule has to be read by a person."""
        wanted = [f"wanted {r.address} was {r.renamed_from} {r.fields} {r.lifecycle}" for r in self.desired]
        there = [
            f"there  {item.address} {item.remote_id} {'archived ' if item.archived else ''}op={item.op} "
            f"{ {name: value for name, value in item.fields.items() if value} }"
            for item in self.live.objects
        ]
        known = [f"known  {address} {entry_to_json(entry)}" for address, entry in self.state.entries.items()]
        doubt = [f"doubt  {address} {intent.op}" for address, intent in self.state.in_doubt.items()]
        return "\n".join(["", *wanted, *there, *known, *doubt, str(self.options)])

    def _repr_pretty_(self, printer: Any, _: bool) -> None:  # what Hypothesis prints
        printer.text(repr(self))

    def plan(self) -> Plan:
        return make_plan(self.desired, self.live, self.state, OPENLAYER.kinds, self.options, BASIS)


# ------------------------------------------------------------------------------------------ drawing worlds


def shown(kind: AnyKind, fields: Fields) -> Fields:
    """The fields as the platform shows them: what a create spells out, all others null; secrets left out."""
    bare: Fields = dict.fromkeys(kind.shapes)
    return {name: value for name, value in {**bare, **kind.complete(fields)}.items() if name != "referenceDatasetUri"}


@cache
def one(*values: Any) -> st.SearchStrategy[Any]:
    """One of the values.  Kept, like all that is drawn from often: to make a strategy takes longer than to draw."""
    return st.sampled_from(values)


@cache
def some(values: tuple[str, ...], least: int = 0, most: int | None = None) -> st.SearchStrategy[list[str]]:
    """Some of the values, in any order."""
    return st.lists(one(*values), unique=True, min_size=least, max_size=most)


@cache
def targets(places: tuple[str, ...]) -> st.SearchStrategy[Json]:
    """The pipelines that a test may be for, of these."""
    where: list[Json] = ["all", list[Json](places)] if places else ["all"]
    return st.sampled_from([*where, *(list[Json]([place]) for place in places)])


yes_or_no = st.booleans()
model_types = st.sampled_from((["a", "b"], ["b", "a"], []))


def project_fields(draw: st.DrawFn, name: str) -> Fields:
    fields: Fields = {"name": name, "taskType": draw(one(*["llm-base"] * 19, "text-classification"))}
    return fields | _fields(draw, description=one(*TEXTS), modelTypes=model_types)


def pipeline_fields(draw: st.DrawFn, name: str) -> Fields:
    return {"name": name, **_fields(draw, description=one(*TEXTS), referenceDatasetUri=one("s3://old", "s3://new"))}


def fields_of_a_test(draw: st.DrawFn, name: str, places: tuple[str, ...]) -> Fields:
    limit: Fields = {"measurement": "faithfulness", "operator": ">=", "value": draw(one(0.8, 0.9, 1))}
    fields: Fields = {"name": name, "type": "performance", "subtype": "metricThreshold", "thresholds": [limit]}
    windows = one("24h", "7d")
    return fields | _fields(draw, description=one(*TEXTS), evaluationWindow=windows, pipelines=targets(places))


def _fields(draw: st.DrawFn, **values: st.SearchStrategy[Any]) -> Fields:
    """Some of the fields, each with one of its values."""
    return {name: draw(value) for name, value in values.items() if draw(yes_or_no)}


lifecycles = st.builds(
    Lifecycle,
    protect=one(*[False] * 19, True),
    adopt=yes_or_no,
    onRemoval=one("keep", "delete"),
)


@st.composite
def manifests(draw: st.DrawFn, least: int) -> Desired:
    """A few projects with pipelines and tests; some say what they were called before."""
    made: list[Resource] = []
    roots = draw(some(ROOTS, least, 2))
    for root in roots:
        project = Address(PROJECT.id, (root,))
        made.append(_resource(draw, project, project_fields(draw, root), [n for n in ROOTS if n not in roots], ()))
        places = tuple(draw(some(PLACES)))
        for place in places:
            free = [name for name in PLACES if name not in places]
            address = Address(INFERENCE_PIPELINE.id, (root, place))
            made.append(_resource(draw, address, pipeline_fields(draw, place), free, (project,)))
        names = draw(some(NAMES))
        for name in names:
            free = [each for each in NAMES if each not in names]
            fields = fields_of_a_test(draw, name, places)
            named = fields.get("pipelines", "all")
            targets = [Address(INFERENCE_PIPELINE.id, (root, str(n))) for n in named] if isinstance(named, list) else []
            address = Address(TEST.id, (root, "monitoring", name))
            made.append(_resource(draw, address, fields, free, (project, *targets)))
    return Desired({resource.address: resource for resource in _once(made)}, "digest")


def _resource(
    draw: st.DrawFn, address: Address, fields: Fields, free: list[str], references: tuple[Address, ...]
) -> Resource:
    former = draw(one((), (), *((name,) for name in free), tuple(free[:2])))
    return Resource(
        address,
        fields,
        Source("manifests.yaml", 1, 1),
        lifecycle=draw(lifecycles),
        references=references,
        renamed_from=tuple(Address(address.kind, (*address.path[:-1], name)) for name in former),
    )


def _once(resources: list[Resource]) -> Iterator[Resource]:
    """A former name belongs to one resource only; the loader sees to that."""
    taken: set[Address] = set()
    for resource in resources:
        yield resource if taken.isdisjoint(resource.renamed_from) else replace(resource, renamed_from=())
        taken |= {*resource.renamed_from}


@dataclass
class Drawing:
    """A platform and a memory in the making.  ``whose`` says what each object is drawn from."""

    whose: tuple[str, ...]
    objects: list[LiveObject] = field(default_factory=list)
    entries: dict[Address, Entry] = field(default_factory=dict)
    in_doubt: dict[Address, Intent] = field(default_factory=dict)


MOSTLY_OURS = ("ours",) * 5 + ("stranger", "in doubt", "left behind")
MOSTLY_NOT_OURS = ("ours", "stranger", "in doubt")


@st.composite
def worlds(draw: st.DrawFn, whose: tuple[str, ...] = MOSTLY_OURS, least: int = 0) -> World:
    """Objects at the platform are ours, a stranger's or in doubt; some of ours have another name there.

    ``least`` is how many projects are there and are wanted at the least; with two, one of them is both.
    """
    made = Drawing(whose)
    for root in draw(some(ROOTS, least)):
        known = draw(one(root, root, root, "delta"))  # as we remember it
        if any(address.root == known for address in made.entries):
            continue
        _object(draw, made, PROJECT, (root,), (known,), project_fields(draw, root))
        places = draw(some(PLACES))
        for place in places:
            _object(draw, made, INFERENCE_PIPELINE, (root, place), (known, place), pipeline_fields(draw, place))
        twins = draw(one((), (), (), NAMES[:1]))
        for name in (*draw(some(NAMES)), *twins):
            as_known = draw(one(name, name, *NAMES))
            path = (root, "monitoring", name)
            fields = fields_of_a_test(draw, name, tuple(places))
            _object(draw, made, TEST, path, (known, "monitoring", as_known), fields)
    for name in draw(some(NAMES, 0, 1)):
        address = Address(TEST.id, (draw(one(*ROOTS)), "monitoring", name))
        if address not in made.entries and address not in made.in_doubt:
            made.entries[address] = Entry("gone", source="manifests.yaml", unlisted=draw(yes_or_no))
    options = Options(adopt=draw(yes_or_no), policy=Policy(destroy=draw(one(*[False] * 5, True))))
    desired = Desired({}, "digest") if options.policy.destroy else draw(manifests(least))
    # A name that must be unique and that an object of ours has taken meanwhile is the platform's conflict to tell.
    ours = {entry.remote_id: address for address, entry in made.entries.items()}
    taken = {item.address for item in made.objects if ours.get(item.remote_id, item.address) != item.address}
    assume(not any(a in desired.resources for a in taken if a.kind == PROJECT.id))
    # A project that is not ours although we own what is in it can be adopted, or renamed; both at once is too much.
    roots = {address.root for address in made.entries if address.kind == PROJECT.id}
    assume(roots >= {a.root for a in made.entries} or not any(r.renamed_from for r in desired))
    return World(desired, Live(tuple(made.objects)), State("l", 1, {}, made.entries, made.in_doubt), options)


def _object(
    draw: st.DrawFn, made: Drawing, kind: AnyKind, path: tuple[str, ...], known: tuple[str, ...], fields: Fields
) -> None:
    """One object that is shown at ``path``, and what we remember of it, if anything, at ``known``."""
    number = len(made.objects)
    remote_id, address = f"{kind.word[0].lower()}{number}", Address(kind.id, known)
    archived = kind is TEST and draw(one(False, False, False, True))
    whose = draw(one(*made.whose))
    op = f"op{number}" if whose == "in doubt" else None
    item = LiveObject(Address(kind.id, path), remote_id, shown(kind, fields), archived, op, (f"2026-{number}",))
    made.objects.append(item)
    if address in made.entries or address in made.in_doubt:
        entry = made.entries.get(address)
        if whose == "left behind" and entry is not None and kind is TEST:
            made.entries[address] = replace(entry, retiring=(*entry.retiring, remote_id))
    elif op is not None:
        made.in_doubt[address] = Intent(op)
    elif whose == "ours":
        gone = draw(yes_or_no) and archived
        made.entries[address] = Entry(
            remote_id,
            {} if gone else draw(st.sampled_from([fields, {**fields, "description": "Old"}, {"name": fields["name"]}])),
            protect=draw(one(*[False] * 19, True)),
            on_removal=draw(one("keep", "delete")),
            source="manifests.yaml",
            archived=gone,
        )


def planned(world: World) -> Plan:
    """The plan; worlds that look like an outage are none of this module's business."""
    try:
        return world.plan()
    except LooksLikeOutage:
        assume(False)
        raise


# --------------------------------------------------------------------------------------- carrying out


def carried_out(plan: Plan, world: World) -> World:
    """The world after every pending step was done, in the plan's order."""
    objects = world.live.by_id()
    state = world.state
    for step in plan.pending:
        state = fold(state, _done(step, world, objects, state))
    return replace(world, live=Live(tuple(objects.values())), state=state)


def _done(step: Step, world: World, objects: dict[str, LiveObject], state: State) -> Iterator[dict[str, Any]]:
    """Change the objects as the step says; yields what is to be remembered."""
    match step.action:
        case Action.CREATE | Action.REPLACE:
            made = _made(step, objects)
            if step.remote_id:
                objects[step.remote_id] = replace(objects[step.remote_id], archived=True)
                if step.former:
                    yield _renamed(step)
            yield _entry(step, world, made)
        case Action.UPDATE | Action.RENAME | Action.ADOPT:
            _written(step, objects)
            if step.action is Action.RENAME:
                yield _renamed(step)
            yield _entry(step, world, str(step.remote_id))
        case Action.ARCHIVE:
            item = objects[str(step.remote_id)]
            objects[item.remote_id] = replace(item, archived=True)
            entry = state.entries.get(step.address)
            if entry is None:
                yield {"record": "removed", "address": str(step.address)}
            elif entry.remote_id == step.remote_id:
                yield _remembered(step, replace(entry, archived=True))
            else:
                left = tuple(each for each in entry.retiring if each != step.remote_id)
                yield _remembered(step, replace(entry, retiring=left))
        case Action.DELETE:
            _deleted(str(step.remote_id), objects)
            yield {"record": "removed", "address": str(step.address)}
        case Action.FORGET:
            yield {"record": "removed", "address": str(step.address)}


def _made(step: Step, objects: dict[str, LiveObject]) -> str:
    remote_id = next(name for number in count(len(objects)) if (name := f"new{number}") not in objects)
    kind = KINDS[step.address.kind]
    objects[remote_id] = LiveObject(step.address, remote_id, shown(kind, step.fields), rank=("2027", remote_id))
    return remote_id


def _written(step: Step, objects: dict[str, LiveObject]) -> None:
    """The changed fields get their wanted values; whatever names or holds the object follows its new name."""
    item, kind = objects[str(step.remote_id)], KINDS[step.address.kind]
    changed = {change.path.partition(".")[0] for change in step.changes} & kind.shapes.keys()
    fields = {**item.fields, **{name: step.fields.get(name) for name in changed if name != "referenceDatasetUri"}}
    address = item.address._replace(path=(*item.address.path[:-1], str(fields["name"])))
    objects[item.remote_id] = replace(item, fields=fields, address=address, archived=False)
    for other in list(objects.values()):
        objects[other.remote_id] = _following(other, item.address, address)


def _following(item: LiveObject, before: Address, after: Address) -> LiveObject:
    if before.kind == PROJECT.id and item.address.root == before.root and len(item.address.path) > 1:
        return replace(item, address=item.address._replace(path=(after.root, *item.address.path[1:])))
    named = item.fields.get("pipelines")
    if before.kind == INFERENCE_PIPELINE.id and item.address.root == before.root and isinstance(named, list):
        names: list[Json] = [after.name if name == before.name else name for name in named]
        return replace(item, fields={**item.fields, "pipelines": names})
    return item


def _deleted(remote_id: str, objects: dict[str, LiveObject]) -> None:
    """A project takes along all that is in it."""
    item = objects.pop(remote_id)
    if item.address.kind == PROJECT.id:
        for other in [each for each in objects.values() if each.address.root == item.address.root]:
            del objects[other.remote_id]


def _renamed(step: Step) -> dict[str, Any]:
    """A root that was renamed before has carried the memory of what is in it along already."""
    assert step.former is not None
    inside = step.former._replace(path=(step.address.root, *step.former.path[1:]))
    former = step.former if len(step.former.path) == 1 else inside
    return {"record": "renamed", "address": str(step.address), "former": str(former)}


def _entry(step: Step, world: World, remote_id: str) -> dict[str, Any]:
    resource = world.desired.resources[step.address]
    return _remembered(step, remembered(resource, KINDS[step.address.kind], remote_id, None))


def _remembered(step: Step, entry: Entry) -> dict[str, Any]:
    return {"record": "done", "address": str(step.address), "entry": entry_to_json(entry)}


# ---------------------------------------------------------------------------------------- what holds


@BRIEF
@given(worlds(), st.randoms(use_true_random=False))
def test_the_order_of_the_inputs_does_not_matter(world: World, random: Random) -> None:
    """Same manifests, same platform, same memory: the same plan, byte for byte."""
    other = shuffled(world, random)
    assert json.dumps(plan_to_json(planned(world), tool="")) == json.dumps(plan_to_json(planned(other), tool=""))


def shuffled(world: World, random: Random) -> World:
    def mixed(items: Any) -> Any:
        listed = list(items)
        random.shuffle(listed)
        return listed

    return replace(
        world,
        desired=replace(world.desired, resources=dict(mixed(world.desired.resources.items()))),
        live=Live(tuple(mixed(world.live.objects))),
        state=replace(
            world.state,
            entries=dict(mixed(world.state.entries.items())),
            in_doubt=dict(mixed(world.state.in_doubt.items())),
        ),
    )


@THOROUGH
@given(worlds())
def test_what_was_carried_out_needs_nothing_more(world: World) -> None:
    """Apply, then plan, is empty; only what a lost create left different in kind needs a second round."""
    plan = planned(world)
    assume(not plan.refusals)
    after = carried_out(plan, world)
    again = planned(after)
    if any("the next plan replaces it" in note for step in plan.steps for note in step.notes):
        again = planned(carried_out(again, after))
    assert [(step.id, step.reason, step.changes) for step in again.pending] == []
    assert again.refusals == ()


@BRIEF
@given(worlds())
def test_what_was_carried_out_is_ours_and_as_wanted(world: World) -> None:
    """Everything wanted is settled then, but for what matches and nobody asked to take over."""
    plan = planned(world)
    assume(not plan.refusals and not any(step.notes for step in plan.steps))
    after = carried_out(plan, world)
    seen = compared(after.desired, after.live, after.state, OPENLAYER.kinds)
    ours = {resource.address for resource, _, changes in seen if not changes}
    idle = {step.address for step in planned(after).steps if step.idle and step.action is Action.ADOPT}
    assert ours | idle == set(world.desired.resources)
    assert not ours & idle


@BRIEF
@given(worlds())
def test_a_live_object_stands_in_one_step_at_most(world: World) -> None:
    ids = [step.remote_id for step in planned(world).steps if step.remote_id is not None]
    assert len(ids) == len(set(ids))


@BRIEF
@given(worlds(), st.data())
def test_what_two_addresses_have_is_removed_for_neither(world: World, data: st.DataObject) -> None:
    """A state that gives one object to two addresses: it stays, stands in one step at most, and has one then."""
    there = world.live.by_id()
    known = [address for address, entry in world.state.entries.items() if entry.remote_id in there]
    assume(known)
    address = data.draw(st.sampled_from(known))
    pool = {PROJECT.id: ROOTS, INFERENCE_PIPELINE.id: PLACES, TEST.id: NAMES}[address.kind]
    other = Address(address.kind, (*address.path[:-1], data.draw(st.sampled_from(pool))))
    assume(other not in world.state.entries)
    entry = world.state.entries[address]
    double = replace(entry, protect=False, on_removal="delete")
    twice = replace(world, state=replace(world.state, entries={**world.state.entries, other: double}))
    plan = planned(twice)
    steps = [step for step in plan.steps if step.remote_id == entry.remote_id]
    assert len(steps) <= 1
    assert not any(step.action in (Action.ARCHIVE, Action.DELETE) for step in steps)
    if not plan.refusals and other not in world.state.in_doubt:  # what a lost create made there is let go first
        held = [each for each in carried_out(plan, twice).state.entries.values() if each.remote_id == entry.remote_id]
        assert len(held) <= 1


@BRIEF
@given(worlds(MOSTLY_NOT_OURS, 2))
def test_what_is_not_ours_is_not_touched(world: World) -> None:
    """Unless somebody asked to adopt it, or it carries the mark of a create of ours, or is its unmistakable result."""
    plan = planned(world)
    assume(not plan.refusals)
    ours = {each for entry in world.state.entries.values() for each in (entry.remote_id, *entry.retiring)}
    for step in plan.pending:
        if step.remote_id is None or step.remote_id in ours:
            continue
        resource = world.desired.resources.get(step.address)
        asked = world.options.adopt or (resource is not None and resource.lifecycle.adopt)
        op = world.live.by_id()[step.remote_id].op
        lost = op in {intent.op for intent in world.state.in_doubt.values()}
        assert (step.action is Action.ADOPT and (asked or step.reason == LOST_REPLY)) or lost


@BRIEF
@given(worlds())
def test_a_strangers_project_is_not_deleted_from_under_it(world: World) -> None:
    """Whatever goes with a project that is deleted was ours, or archived."""
    plan = planned(world)
    assume(not plan.refusals)
    ours = {each for entry in world.state.entries.values() for each in (entry.remote_id, *entry.retiring)}
    ours |= {step.remote_id for step in plan.steps if step.remote_id}
    after = carried_out(plan, world).live.by_id()
    lost = [item for item in world.live.objects if item.remote_id not in after and not item.archived]
    assert {item.remote_id for item in lost} <= ours


@BRIEF
@given(worlds())
def test_the_order_of_the_steps_can_be_carried_out(world: World) -> None:
    """Every id is there once, and each step stands behind all that it waits for."""
    done: set[str] = set()
    for step in planned(world).steps:
        assert set(step.after) <= done
        assert step.id not in done
        done.add(step.id)


@BRIEF
@given(worlds())
def test_the_counts_add_up(world: World) -> None:
    """Every wanted resource is unchanged, or stands in a step or a refusal."""
    plan = planned(world)
    mentioned = {step.address for step in plan.steps} | {refusal.address for refusal in plan.refusals}
    assert plan.unchanged == len(set(world.desired.resources) - mentioned)
    assert sum(plan.summary().values()) == len(plan.steps) + len(plan.refusals)


@BRIEF
@given(worlds(), st.randoms(use_true_random=False))
def test_a_saved_plan_holds_in_an_unchanged_world(world: World, random: Random) -> None:
    saved = json.loads(json.dumps(plan_to_json(planned(world), tool="reconciler 1.0")))
    check_untouched(saved)
    assert what_moved(saved, planned(shuffled(world, random))) == ()


@BRIEF
@given(worlds(least=1), st.data())
def test_a_saved_plan_does_not_survive_a_change_of_what_it_compared(world: World, data: st.DataObject) -> None:
    """Whatever we own and the manifests want: change one written field of it, and the plan is stale."""
    plan = planned(world)
    assume(not plan.refusals)
    touched = {step.remote_id for step in plan.steps}
    seen = [
        (resource, entry.remote_id)
        for resource, entry, changes in compared(world.desired, world.live, world.state, OPENLAYER.kinds)
        if not changes and entry.remote_id not in touched
    ]
    seen += [(world.desired.resources[s.address], s.remote_id) for s in plan.steps if s.fields and s.remote_id]
    assume(seen)
    resource, remote_id = data.draw(st.sampled_from(seen))
    name = data.draw(st.sampled_from(sorted(resource.fields.keys() - {"referenceDatasetUri"})))
    moved = [
        replace(item, fields={**item.fields, name: "moved"}) if item.remote_id == remote_id else item
        for item in world.live.objects
    ]
    saved = json.loads(json.dumps(plan_to_json(plan, tool="")))
    assert what_moved(saved, planned(replace(world, live=Live(tuple(moved))))) != ()
