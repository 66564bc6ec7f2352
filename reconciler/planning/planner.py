"""Turn (desired, live, state) into a plan.  Pure: same inputs, same plan, byte for byte.

| desired | live       | remembered | step                                                       |
|---------|------------|------------|------------------------------------------------------------|
| yes     | no         | no         | create                                                     |
| yes     | no         | yes        | create (drift: it was deleted at the platform)             |
| yes     | same       | yes        | none                                                       |
| yes     | differs    | yes        | update, rename, replace, or refused                        |
| yes     | archived   | yes        | update that un-archives it                                 |
| any     | and beside | yes, and   | archive what a marker shows to be the unanswered create's; |
|         | it or not  | in doubt   | forget the create where it made nothing                    |
| yes     | any        | no         | adopt, refused until --adopt                               |
| yes     | by marker  | in doubt   | adopt: the lost reply of our own create                    |
| no      | yes        | yes        | archive, delete, forget, keep, or refused (protect)        |
| no      | no         | yes        | forget                                                     |
| no      | by marker  | in doubt   | archive, delete, keep: it is the lost create's             |
| no      | any        | no         | none: never touched                                        |
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Container, Iterable, Iterator, Sequence

from msgspec.structs import replace

from reconciler.errors import NothingOurs
from reconciler.model.kind import AnyKind, Replace
from reconciler.model.plan import (
    Action,
    Basis,
    Cause,
    Effect,
    FieldChange,
    LifecycleChange,
    Plan,
    Refusal,
    Step,
    deciding,
    plan_to_json,
    worst,
)
from reconciler.model.resource import Address, Desired, Gate, Live, LiveObject, Resource
from reconciler.model.state import Entry, State
from reconciler.model.values import compact
from reconciler.planning.differ import hides, unseen
from reconciler.planning.gating import gate_changes
from reconciler.planning.graph import linked
from reconciler.planning.guards import POLICY, check_kinds, check_outage, denied, risks_of
from reconciler.planning.matcher import match
from reconciler.planning.pins import lost_pins
from reconciler.planning.selecting import asked_for, meant_by_any, selected
from reconciler.planning.unwanted import for_unwanted
from reconciler.planning.virtual import virtuals
from reconciler.planning.wanted import Notice, Wanted, for_wanted
from reconciler.planning.world import Options, World, is_covered, namesakes, outside

_MAKING = (Action.CREATE, Action.UPDATE, Action.REPLACE)
_GOING = (Action.ARCHIVE, Action.DELETE, Action.FORGET, Action.KEEP)
"""What becomes of what is gone from the manifests."""


def make_plan(
    desired: Desired, live: Live, state: State, kinds: Sequence[AnyKind], options: Options, basis: Basis
) -> Plan:
    """Everything that has to happen, in order, and everything that stands in its way.

    Raises LooksLikeOutage when the platform lists so little of what we own that acting on it would be reckless, and
    UsageInvalid when ``select`` matches nothing.
    """
    by_id = {kind.id: kind for kind in kinds}
    check_kinds(state, by_id)
    world = World(desired, live, state, by_id, match(desired, live, state, by_id), options)
    check_outage(world)
    wanted = list(for_wanted(world))
    notices = sorted(each for each in wanted if isinstance(each, Notice))
    decided = (each for each in wanted if not isinstance(each, Notice))
    decisions = [*decided, *for_unwanted(world), *lost_pins(world)]
    chosen, unselected = selected(decisions, world)
    steps = [_with_how_it_is_judged(item, world) for item in chosen if isinstance(item, Step)]
    steps = _told_of_renames(steps, world)
    refusals = [item for item in chosen if isinstance(item, Refusal)]
    resources = (desired.resources.get(step.address) for step in steps)
    references = {resource.address: resource.references for resource in resources if resource}
    meant = asked_for(world)
    owned = list(_owned(world, meant))
    lifecycle = (*_lifecycle(world, {step.address for step in steps}, meant), *_virtual(world))
    plan = Plan(
        basis=basis,
        steps=linked(steps, by_id, references),
        refusals=(
            *sorted(refusals, key=lambda refusal: refusal.address),
            *denied(steps, lifecycle, world),
            *risks_of(steps, lifecycle, world),
        ),
        unchanged=_unchanged(world, {item.address for item in decisions}),
        outside=sum(1 for _ in outside(world)),
        unselected=unselected,
        owned=sum(owned),
        unowned=len(owned) - sum(owned),
        unseen=tuple(_unseen(world)),
        warnings=(
            *desired.warnings,
            *(each.text for each in notices if each.address in meant),
            *_namesakes(world, meant),
        ),
        lifecycle=lifecycle,
    )
    return replace(plan, digest=digest(plan))


def _with_how_it_is_judged(step: Step, world: World) -> Step:
    """The step, saying of what it makes or changes why that cannot be evaluated on demand; as it is where it can."""
    resource, measuring = world.desired.resources.get(step.address), world.kinds[step.address.kind].measuring
    if resource is None or measuring is None or step.action not in _MAKING or step.idle:
        return step
    why_not = measuring.possible(resource.fields)
    return replace(step, notes=(*step.notes, why_not)) if why_not else step


def known_ids(desired: Desired, live: Live, state: State, kinds: Sequence[AnyKind]) -> dict[Address, str]:
    """The remote id of every address that has a live object, owned or not.

    What is only looked up, or is nobody's, has none where several have its name.
    """
    by_id = {kind.id: kind for kind in kinds}
    catalogue = {address: ids[0] for address, ids in namesakes(live, by_id).items() if len(ids) == 1}
    matches = match(desired, live, state, by_id)
    strangers = [(address, item.remote_id) for address, item in matches.strangers if not item.archived]
    count = Counter(address for address, _ in strangers)
    alone = {address: remote_id for address, remote_id in strangers if count[address] == 1}
    ours = {address: found.live.remote_id for address, found in matches.by_address.items() if found.live}
    return alone | catalogue | ours


def compared(
    desired: Desired, live: Live, state: State, kinds: Sequence[AnyKind], *, without: Container[Address] = ()
) -> Iterator[tuple[Resource, Entry, tuple[FieldChange, ...]]]:
    """The owned resources that the platform shows, with what we remember of each and what is different there.

    Raises LooksLikeOutage when it shows so few of them that the rest cannot be believed either.
    """
    by_id = {kind.id: kind for kind in kinds}
    world = World(desired, live, state, by_id, match(desired, live, state, by_id), Options())
    check_outage(world)
    for address, found in world.matches.by_address.items():
        resource = desired.resources.get(address)
        if resource is None or found.live is None or found.entry is None or not found.ours or found.former is not None:
            continue
        if not resource.lookup and address not in without:
            wanted = Wanted(resource, found, by_id[address.kind], world)
            yield resource, found.entry, wanted.differences(found.live, found.entry)


def digest(plan: Plan) -> str:
    """SHA-256 over everything that the plan would do and was made from."""
    data = plan_to_json(replace(plan, digest=""), tool="", as_records=True)
    return hashlib.sha256(compact(data)).hexdigest()


def warned(plan: Plan, warnings: Iterable[str]) -> Plan:
    """The plan with these among its warnings, and the digest of that."""
    plan = replace(plan, warnings=(*plan.warnings, *warnings))
    return replace(plan, digest=digest(plan))


def only_drift(plan: Plan, kinds: Iterable[AnyKind]) -> Plan:
    """The part of a plan that somebody at the platform caused, without what the manifests ask for.

    A step leads back to the manifests, and its effects are told the other way round, as what was changed at the
    platform means: what the step would tighten has been loosened there, and so has what judged and was removed.
    What is refused stays: whether that has drifted cannot be told.
    Raises NothingOurs when nothing drifted because nothing that is declared was ever ours, or is remembered as ours.
    """
    judging = {kind.id for kind in kinds if kind.judges}
    steps = []
    for step in plan.steps:
        caused = [change for change in step.changes if change.cause is not Cause.MANIFEST]
        if step.cause is Cause.MANIFEST or (step.changes and not caused):
            continue
        changes = tuple(replace(each, effect=each.effect.opposite) if each.effect else each for each in caused)
        effect = worst([each.effect for each in changes if each.effect])
        if not changes and step.effect:
            effect = step.effect.opposite
        if step.action is Action.CREATE and step.address.kind in judging:
            effect = Effect.LOOSENED
        steps.append(replace(step, changes=changes, effect=effect, value_sources=deciding(step.value_sources, changes)))
    unknown = tuple(refusal for refusal in plan.refusals if refusal.address.kind != POLICY and not refusal.by_rule)
    if plan.unowned and not plan.owned and not steps:
        nothing = f"none of the {plan.unowned:,} declared resources is ours"
        raise NothingOurs(
            f"could not tell what drifted: {nothing if plan.unowned > 1 else 'the one declared resource is not ours'} "
            f"in environment {plan.basis.environment}",
            hint="was the state lost, or nothing applied yet? Restore it, or take over what is at the platform: "
            "reconciler apply --adopt",
        )
    return replace(
        plan, steps=tuple(steps), refusals=unknown, lifecycle=(), warnings=(*_not_looked_at(plan), *plan.warnings)
    )


def _not_looked_at(plan: Plan) -> Iterator[str]:
    if plan.unowned:
        several = plan.unowned > 1
        yield (
            f"{plan.unowned:,} declared {'resources are' if several else 'resource is'} not ours, so drift in "
            f"{'them' if several else 'it'} is not looked for; apply first, with --adopt for what is there already"
        )


def _owned(world: World, meant: Container[Address]) -> Iterator[bool]:
    """Whether it is ours, as far as we remember, for everything that can be and is declared and meant.

    What is gone is; what somebody has put in its place is not.
    """
    for address, resource in world.desired.resources.items():
        kind = world.kinds[address.kind]
        if resource.lookup or kind.virtual or kind.create is None:
            continue
        if address in meant:
            found = world.matches.by_address[address]
            yield found.entry is not None and (found.ours or found.live is None or found.live.archived)


def _told_of_renames(steps: Sequence[Step], world: World) -> list[Step]:
    """The steps; a create of what is said to be renamed tells what goes beside it, for that may be what is meant."""
    wanted = world.desired.resources
    made = [step for step in steps if step.action is Action.CREATE and step.address in wanted]
    vain = {step.id for step in made if (formers := wanted[step.address].renamed_from) and _are_nothing(formers, world)}
    gone: dict[tuple[str, str], list[str]] = {}
    for step in steps if vain else ():
        if step.action in _GOING and step.cause is Cause.MANIFEST and not step.idle:
            gone.setdefault(_home(step.address), []).append(step.address.name)
    return [
        replace(step, notes=(*step.notes, _what_goes(wanted[step.address], gone[_home(step.address)])))
        if step.id in vain and _home(step.address) in gone
        else step
        for step in steps
    ]


def _are_nothing(addresses: Sequence[Address], world: World) -> bool:
    return not any(found.entry or found.live for a in addresses if (found := world.matches.by_address.get(a)))


def _home(address: Address) -> tuple[str, str]:
    return address.kind, "" if address.is_root else address.root


def _what_goes(resource: Resource, names: Sequence[str]) -> str:
    formers = " or ".join(former.name for former in resource.renamed_from)
    shown = ", ".join([*names[:3], *([f"{len(names) - 3} more"] if len(names) > 3 else [])])
    found = (
        f"there is no {formers} to rename, while {shown} {'is' if len(names) == 1 else 'are'} gone from the manifests"
    )
    return f"{found}; if it was called so once, add that name to renamedFrom"


def _unchanged(world: World, decided: set[Address]) -> int:
    """How many resources need nothing; what is no object at the platform does not count."""
    return sum(not world.kinds[a.kind].virtual and a not in decided for a in world.desired.resources)


def _lifecycle(world: World, changing: Container[Address], meant: Container[Address]) -> Iterator[LifecycleChange]:
    """What is declared about what is ours otherwise than we remember.

    Of gates only those that an apply settles: what is meant, and what it changes anyway.
    """
    for address, found in world.matches.by_address.items():
        resource, entry = world.desired.resources.get(address), found.entry
        if resource is None or entry is None:
            continue
        is_here = found.live is not None and found.ours
        is_settled = address in changing or (is_here and address in meant)
        if entry.gate is not None and entry.gate != resource.gate and is_settled:
            yield from _of_gate(resource, entry.gate, world)
        if not is_here:
            continue
        protect, on_removal = resource.lifecycle.protect, resource.lifecycle.onRemoval
        if protect is not None and protect != entry.protect:
            yield LifecycleChange(address, "lifecycle.protect", entry.protect, protect)
        if on_removal != entry.on_removal:
            yield LifecycleChange(address, "lifecycle.onRemoval", entry.on_removal, on_removal)


def _virtual(world: World) -> Iterator[LifecycleChange]:
    """What is declared otherwise of what is no object at the platform, as far as it is selected."""
    settled, patterns = world.state.declared, world.options.select
    if not settled or world.options.policy.destroy:
        return
    found = sorted(virtuals(world.desired, settled, world.kinds, world.matches.followed), key=lambda each: each.address)
    chosen = meant_by_any(patterns, {*world.desired.resources, *settled}) if patterns else None
    for each in found:
        is_here = each.resource is not None or is_covered(str(settled[each.address].get("source", "")), world)
        if is_here and (chosen is None or each.address in chosen):
            yield from each.changes


def _of_gate(resource: Resource, before: Gate, world: World) -> Iterator[LifecycleChange]:
    address = resource.address
    for each in gate_changes(before, resource.gate, world.kinds[address.kind], world.around(address)):
        line = resource.line_of(each.path.partition(".")[0])
        source = replace(resource.source, line=line)
        change = LifecycleChange(address, each.path, each.before, each.after, each.effect, source)
        yield replace(change, value_sources=deciding(resource.value_sources, [change]))


def _namesakes(world: World, meant: Container[Address]) -> Iterator[str]:
    """A sentence for each active object that has the name of something wanted that is ours and there.

    People may make such objects, and which one is meant is theirs to say: nothing is done about it.
    """
    active = {address for address, item in world.matches.strangers if not item.archived}
    for address in sorted(active & world.desired.resources.keys()):
        found = world.matches.by_address[address]
        if found.live is None or address not in meant or _follow_each_other(address, world):
            continue
        # Where a create is in doubt, a step tells of those that carry no mark: it may have made them.
        for item in (each for each in found.namesakes if each.op is not None or not found.in_doubt):
            yield f"{address}: {_about_namesake(item, found.live)}"


def _follow_each_other(address: Address, world: World) -> bool:
    """Whether several of one name are nothing to wonder about: older ones, or what is only looked up."""
    is_succeeded = world.kinds[address.kind].replace is Replace.CREATE_THEN_RETIRE
    return is_succeeded or world.desired.resources[address].lookup


def _about_namesake(item: LiveObject, ours: LiveObject) -> str:
    if item.op is not None and item.op == ours.op:
        why = "the same create made both, or somebody copied the mark"
        return f"{item.remote_id} has the name and the mark of ours, {ours.remote_id}: {why}; archive it by hand"
    return f"{item.remote_id} has the name of ours, {ours.remote_id}, and is left alone; archive or rename one of them"


def _unseen(world: World) -> Iterator[tuple[Address, str]]:
    secretive = {kind.id for kind in world.kinds.values() if hides(kind)}
    for address, found in world.matches.by_address.items():
        resource, live = world.desired.resources.get(address), found.live
        if resource is None or (
            live and address.kind not in secretive and resource.fields.keys() <= live.fields.keys()
        ):
            continue
        for path in unseen(world.kinds[address.kind], resource.fields, live.fields if live else None):
            yield address, path
