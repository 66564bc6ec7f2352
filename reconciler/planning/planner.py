"""Turn (desired, live, state) into a plan.  Pure: same inputs, same plan, byte for byte.

| desired | live       | remembered | step                                                       |
|---------|------------|------------|------------------------------------------------------------|
| yes     | no         | no         | create                                                     |
| yes     | no         | yes        | create (drift: it was deleted at the platform)             |
| yes     | same       | yes        | none                                                       |
| yes     | differs    | yes        | update, rename, replace, or refused                        |
| yes     | archived   | yes        | update that un-archives it                                 |
| yes     | any        | no         | adopt, refused until --adopt                               |
| yes     | by marker  | in doubt   | adopt: the lost reply of our own create                    |
| no      | yes        | yes        | archive, delete, forget, keep, or refused (protect)        |
| no      | no         | yes        | forget                                                     |
| no      | by marker  | in doubt   | archive, delete, keep: it is the lost create's             |
| no      | any        | no         | none: never touched                                        |
"""

from __future__ import annotations

import fnmatch
import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from reconciler.errors import LooksLikeOutage, UsageInvalid
from reconciler.model.kind import AnyKind, Mark, Removal, Replace
from reconciler.model.plan import (
    LOST_REPLY,
    MATCHES_NOT_OURS,
    NOT_THERE,
    Action,
    Basis,
    Cause,
    Effect,
    FieldChange,
    Plan,
    Refusal,
    Step,
    plan_to_json,
    worst,
)
from reconciler.model.resource import Address, Desired, Live, LiveObject, Resource, Source
from reconciler.model.state import Entry, State
from reconciler.model.values import Fields
from reconciler.planning.differ import field_changes, fingerprint, hides, unseen
from reconciler.planning.effects import with_effects
from reconciler.planning.graph import linked
from reconciler.planning.matcher import Match, Matches, match
from reconciler.planning.policy import Policy, unacknowledged


@dataclass(frozen=True, slots=True)
class Options:
    """What the command line asks of a plan.  ``select`` holds globs over addresses; none means everything."""

    adopt: bool = False
    select: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)


@dataclass(frozen=True)
class _World:
    """The inputs of one planning run, indexed."""

    desired: Desired
    live: Live
    state: State
    kinds: Mapping[str, AnyKind]
    matches: Matches
    options: Options
    renewed: set[Address] = field(default_factory=set)
    """Addresses that get a new object in this plan: what refers to them is pointed at it.  Grows while deciding."""

    @cached_property
    def there(self) -> dict[Address, LiveObject]:
        """The live objects that are not archived, by the address that they have at the platform."""
        return {item.address: item for item in self.live.objects if not item.archived}

    @cached_property
    def unwanted(self) -> list[tuple[Address, Match]]:
        """What we remember and the manifests do not ask for."""
        matches = self.matches.by_address.items()
        return [(address, found) for address, found in matches if address not in self.desired.resources]


@dataclass(frozen=True)
class _Neighbourhood:
    """A ``LookUp`` for the resource at ``address``."""

    world: _World
    address: Address

    def __call__(self, kind_id: str, name: str) -> LiveObject | None:
        return self.world.there.get(Address(kind_id, (*self._parent(kind_id), name)))

    def names(self, kind_id: str) -> list[str]:
        parent = self._parent(kind_id)
        return sorted(a.name for a in self.world.there if a.kind == kind_id and a.path[:-1] == parent)

    def _parent(self, kind_id: str) -> tuple[str, ...]:
        return self.address.path[:1] if self.world.kinds[kind_id].parent else ()


_Decision = Step | Refusal

POLICY = "reconciler.Policy"
"""Stands for a kind in the address of a refusal that concerns the whole plan."""
MOST_MISSING = 5
MOST_MISSING_SHARE = 0.2
"""More roots than this missing, or more of what stands in the others, look like an outage."""


def make_plan(
    desired: Desired, live: Live, state: State, kinds: Sequence[AnyKind], options: Options, basis: Basis
) -> Plan:
    """Everything that has to happen, in order, and everything that stands in its way.

    Raises LooksLikeOutage when the platform lists so little of what we own that acting on it would be reckless, and
    UsageInvalid when ``select`` matches nothing.
    """
    by_id = {kind.id: kind for kind in kinds}
    world = _World(desired, live, state, by_id, match(desired, live, state, by_id), options)
    _check_outage(world)
    decisions = [*_wanted(world), *_unwanted(world)]
    chosen, unselected = _selected(decisions, world)
    steps = [item for item in chosen if isinstance(item, Step)]
    refusals = [item for item in chosen if isinstance(item, Refusal)]
    order = {kind.id: place for place, kind in enumerate(kinds)}
    wanted = (desired.resources.get(step.address) for step in steps)
    references = {resource.address: resource.references for resource in wanted if resource}
    plan = Plan(
        basis=basis,
        steps=linked(steps, order, references),
        refusals=(*sorted(refusals, key=lambda refusal: refusal.address), *_risks(steps, world)),
        unchanged=_unchanged(world, {item.address for item in decisions}),
        outside=sum(1 for _ in _outside(world)),
        unselected=unselected,
        unseen=tuple(_unseen(world)),
        warnings=desired.warnings,
    )
    return replace(plan, digest=digest(plan))


def known_ids(desired: Desired, live: Live, state: State, kinds: Sequence[AnyKind]) -> dict[Address, str]:
    """The remote id of every address that has a live object, owned or not."""
    by_id = {kind.id: kind for kind in kinds}
    catalogue = {item.address: item.remote_id for item in live.objects if by_id[item.address.kind].create is None}
    matches = match(desired, live, state, by_id)
    return catalogue | {address: found.live.remote_id for address, found in matches.by_address.items() if found.live}


def settled(desired: Desired, live: Live, state: State, kinds: Sequence[AnyKind]) -> Iterator[tuple[Resource, Entry]]:
    """The owned resources that the platform shows just as the manifests want them, with what we remember of each."""
    by_id = {kind.id: kind for kind in kinds}
    world = _World(desired, live, state, by_id, match(desired, live, state, by_id), Options())
    for address, found in world.matches.by_address.items():
        resource = desired.resources.get(address)
        if resource is None or found.live is None or found.entry is None or not found.ours or found.former is not None:
            continue
        if not resource.lookup and not _changes(resource, found.live, found.entry, by_id[address.kind], world):
            yield resource, found.entry


def digest(plan: Plan) -> str:
    """SHA-256 over everything that the plan would do and was made from."""
    data = plan_to_json(replace(plan, digest=""), tool="")
    text = json.dumps(data, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def only_drift(plan: Plan) -> Plan:
    """The part of a plan that somebody at the platform caused, without what the manifests ask for.

    What is refused stays: whether that has drifted can not be told.
    """
    steps = []
    for step in plan.steps:
        changes = tuple(change for change in step.changes if change.cause is not Cause.MANIFEST)
        if step.cause is Cause.MANIFEST or (step.changes and not changes):
            continue
        steps.append(replace(step, changes=changes, effect=worst([c.effect for c in changes if c.effect])))
    unknown = tuple(refusal for refusal in plan.refusals if refusal.address.kind != POLICY)
    return replace(plan, steps=tuple(steps), refusals=unknown)


# ---------------------------------------------------------------------------------------- what is wanted


def _wanted(world: _World) -> Iterator[_Decision]:
    rank = {kind_id: place for place, kind_id in enumerate(world.kinds)}
    # What others refer to comes first: they must know whether it gets a new object.
    for address, found in sorted(world.matches.by_address.items(), key=lambda item: rank[item[0].kind]):
        resource, kind = world.desired.resources.get(address), world.kinds[address.kind]
        if resource is None:
            continue
        refused = tuple(_refused_by_kind(resource, kind, world))
        yield from refused
        if not refused and not kind.virtual:
            yield from _look_up(resource, found, kind) if resource.lookup else _decide(resource, found, world)
        for leftover in found.lost:
            yield from _leftover(address, found, leftover, world, resource.source)


def _unchanged(world: _World, decided: set[Address]) -> int:
    """How many resources need nothing; what is no object at the platform does not count."""
    return sum(not world.kinds[a.kind].virtual and a not in decided for a in world.desired.resources)


def _refused_by_kind(resource: Resource, kind: AnyKind, world: _World) -> Iterator[Refusal]:
    """What the kind itself refuses, now that the platform can be looked at."""
    for path, message in kind.refuse(resource.fields, _Neighbourhood(world, resource.address)):
        line = resource.lines.get(path.partition(".")[0], resource.source.line)
        yield Refusal(resource.address, f"{path}: {message}", "", replace(resource.source, line=line))


def _look_up(resource: Resource, found: Match, kind: AnyKind) -> Iterator[_Decision]:
    """It must be there, once; it is never changed, and what we may remember of it is given up."""
    if found.twins:
        ids = ", ".join(item.remote_id for item in found.twins)
        yield _refuse(resource, f"there are {len(found.twins)} of this name: {ids}", "rename all but one")
    elif found.live is None:
        yield _refuse(resource, f"the platform has no {kind.noun} of this name", kind.refusal_hint)
    elif found.entry is not None and found.ours:
        yield _removal(Action.FORGET, resource.address, found, "only looked up from now on")


def _decide(resource: Resource, found: Match, world: _World) -> Iterator[_Decision]:
    kind = world.kinds[resource.address.kind]
    clash = world.matches.clashes.get(resource.address)
    if clash is not None:
        yield _refuse(
            resource,
            f"renamedFrom says {clash.name}, but both {clash.name} and {resource.address.name} are at the platform",
            "drop renamedFrom, and remove one of the two",
        )
    elif found.twins and not found.found:
        ids = ", ".join(item.remote_id for item in found.twins)
        yield _refuse(
            resource,
            f"{len(found.twins)} live objects have this identity: {ids}",
            f"rename or archive all but one, or say which: reconciler state import '{resource.address}' ID",
        )
    elif found.live is None or (not found.ours and found.live.archived and not _adopts(resource, world)):
        world.renewed.add(resource.address)
        yield _create(resource, found, kind)
    elif not found.ours:
        yield from _adopt(resource, found, found.live, kind, world)
    else:
        yield from _bring_in_line(resource, found, found.live, kind, world)


def _create(resource: Resource, found: Match, kind: AnyKind) -> _Decision:
    if kind.create is None:
        return _refuse(resource, f"there is no such {kind.noun}, and it can not be created from here")
    entry = found.entry
    gone = entry is not None and not (found.in_doubt or entry.unlisted or entry.archived)
    reason = "it was removed at the platform" if gone else NOT_THERE
    if entry is not None and entry.unlisted:
        reason = "it was created, and the platform has not listed it since"
    if found.in_doubt:
        reason = "an earlier create was never answered, and nothing of it is at the platform"
    notes: tuple[str, ...] = ()
    if found.live is not None:
        notes = (f"an archived {kind.noun} of this name exists ({found.live.remote_id}); --adopt revives it instead",)
    cause = Cause.DRIFT if gone else Cause.MANIFEST
    return Step(
        id=f"{Action.CREATE}:{resource.address}",
        action=Action.CREATE,
        address=resource.address,
        reason=reason,
        cause=cause,
        changes=tuple(_shown(resource.fields, kind, cause)),
        source=resource.source,
        fields=resource.fields,
        former=found.former if found.in_doubt else None,
        notes=notes,
    )


def _shown(fields: Fields, kind: AnyKind, cause: Cause) -> Iterator[FieldChange]:
    """What a create will say, beyond the name."""
    for name, shape in kind.shapes.items():
        if name in fields and name not in kind.identity:
            sensitive = Mark.SENSITIVE in shape.marks
            yield FieldChange(name, None, None if sensitive else fields[name], cause=cause, sensitive=sensitive)


def _adopts(resource: Resource, world: _World) -> bool:
    return world.options.adopt or resource.lifecycle.adopt


def _adopt(resource: Resource, found: Match, live: LiveObject, kind: AnyKind, world: _World) -> Iterator[_Decision]:
    changes = _changes(resource, live, None, kind, world)
    fixed = [change.path for change in changes if change.create_only]
    reason = "an object of this name was made by somebody else"
    if live.op is not None:
        reason = "an object of this name was made by another state of reconciler"
    adopts = _adopts(resource, world)
    if not changes and not adopts:
        reason = MATCHES_NOT_OURS
    yield replace(_step(Action.ADOPT, resource, found, live, kind, changes, reason), idle=not (changes or adopts))
    if fixed:
        yield _refuse(
            resource,
            f"it differs in {', '.join(fixed)}, which can not be changed in place",
            "adopt it as it is first: write the live value into the manifest",
        )
    elif changes and not adopts:
        yield _refuse(resource, f"{reason}, and it is not ours", "take it over with --adopt or lifecycle.adopt: true")


def _bring_in_line(
    resource: Resource, found: Match, live: LiveObject, kind: AnyKind, world: _World
) -> Iterator[_Decision]:
    changes = _changes(resource, live, found.entry, kind, world)
    fixed = [change for change in changes if change.create_only]
    if found.found and kind.replace is Replace.CREATE_FIRST:
        yield _take_back(resource, found, live, kind, changes)
    elif fixed:
        yield from _replace(resource, found, live, kind, changes, fixed, world)
    elif found.found:
        yield _take_back(resource, found, live, kind, changes)
    elif changes and kind.update is None:
        paths = ", ".join(change.path for change in changes)
        yield _refuse(resource, f"the platform can not change {kind.noun}s in place: {paths}", kind.refusal_hint)
    elif found.former is not None and found.former.name != resource.address.name:
        yield _step(Action.RENAME, resource, found, live, kind, changes, f"renamed from {found.former.name}")
    elif changes:
        yield _step(Action.UPDATE, resource, found, live, kind, changes, _why(changes))


def _take_back(
    resource: Resource, found: Match, live: LiveObject, kind: AnyKind, changes: Sequence[FieldChange]
) -> Step:
    """Adopt what an unanswered create of ours has made, as far as it can be brought in line in place."""
    fixed = ", ".join(change.path for change in changes if change.create_only)
    changes = tuple(change for change in changes if not change.create_only)
    renamed = found.former is not None and found.former.name != resource.address.name
    action = Action.RENAME if renamed else Action.ADOPT
    step = _step(action, resource, found, live, kind, changes, LOST_REPLY)
    later = (f"{fixed} can not be changed in place; the next plan replaces it",) if fixed else ()
    twins = (f"the same create also made {twin.remote_id}; archive it by hand" for twin in found.twins)
    return replace(step, notes=(*later, *twins))


def _replace(
    resource: Resource,
    found: Match,
    live: LiveObject,
    kind: AnyKind,
    changes: tuple[FieldChange, ...],
    fixed: Sequence[FieldChange],
    world: _World,
) -> Iterator[_Decision]:
    paths = ", ".join(change.path for change in fixed)
    if kind.replace is Replace.REFUSE:
        yield _refuse(resource, f"{paths} can not be changed in place", kind.refusal_hint)
        return
    if _is_protected(found, resource):
        reason = f"{paths} needs a replace, and it is protected"
        yield _refuse(resource, reason, "set lifecycle.protect: false first")
        return
    world.renewed.add(resource.address)
    retires = kind.replace is Replace.CREATE_THEN_RETIRE
    what = "what refers to the old one is pointed at the new" if retires else "history stays with the old one"
    history = what if retires else f"{what}, which is archived"
    notes = tuple(f"{name} is set at the platform and can not be carried over" for name in live.unmanaged)
    step = _step(Action.REPLACE, resource, found, live, kind, changes, f"{paths} can not be changed in place")
    yield replace(step, notes=(history, *notes))
    if retires:
        yield from _leftover(resource.address, found, live, world, resource.source)


def _leftover(
    address: Address, found: Match, old: LiveObject, world: _World, source: Source | None = None
) -> Iterator[Step]:
    """What becomes of an object that another one has replaced."""
    kind = world.kinds[address.kind]
    if kind.removal is Removal.ARCHIVE:
        yield _archive_leftover(address, old, source)
        return
    resource = world.desired.resources.get(address)
    asked = resource.lifecycle.onRemoval if resource else found.entry.on_removal if found.entry else "keep"
    users = _strangers_that_use(old, kind, world)
    step = Step(
        id=f"{Action.DELETE}:{address}#{old.remote_id}",
        action=Action.DELETE,
        address=address,
        reason="replaced, and nothing refers to it any more",
        source=source,
        remote_id=old.remote_id,
        fingerprint=str(old.archived),
    )
    if not users and (asked == "delete" or "delete" in world.options.policy.acks or world.options.policy.destroy):
        yield step
        return
    why = f"still in use by {users[0]}" if users else "to delete it: --ack delete=N, or lifecycle.onRemoval: delete"
    reason = "replaced by newer content; the older one stays at the platform"
    yield replace(
        step,
        id=f"{Action.KEEP}:{address}#{old.remote_id}",
        action=Action.KEEP,
        reason=reason,
        idle=True,
        notes=(why,),
    )


def _strangers_that_use(old: LiveObject, kind: AnyKind, world: _World) -> tuple[str, ...]:
    """Objects that are in no manifest and refer to ``old``."""
    wanted = world.desired.resources
    return tuple(
        str(item.address)
        for item in world.live.objects
        if item.address not in wanted
        and any(
            old.remote_id in ids and _refers_to(world.kinds[item.address.kind], name, kind.id)
            for name, ids in item.refs.items()
        )
    )


def _refers_to(kind: AnyKind, name: str, target: str) -> bool:
    ref = kind.shapes[name].ref
    return ref is not None and ref.kind == target


def _archive_leftover(address: Address, leftover: LiveObject, source: Source | None = None) -> Step:
    return Step(
        id=f"{Action.ARCHIVE}:{address}#{leftover.remote_id}",
        action=Action.ARCHIVE,
        address=address,
        reason="left behind by a replace that was cut short",
        source=source,
        remote_id=leftover.remote_id,
        fingerprint=str(leftover.archived),
    )


def _changes(
    resource: Resource, live: LiveObject, entry: Entry | None, kind: AnyKind, world: _World
) -> tuple[FieldChange, ...]:
    there = _with_our_names(live, kind, world.matches.aliases)
    changes = field_changes(kind, resource.fields, there, entry.applied if entry else None)
    changes = (*changes, *_repointed(resource, live, kind, world, {change.path for change in changes}))
    judged = with_effects(kind, resource.fields, there, changes)
    if not live.archived:
        return judged
    cause = Cause.DRIFT if entry is not None and not entry.archived else Cause.MANIFEST
    return (FieldChange("archived", True, False, effect=Effect.TIGHTENED, cause=cause), *judged)


def _repointed(
    resource: Resource, live: LiveObject, kind: AnyKind, world: _World, changed: set[str]
) -> Iterator[FieldChange]:
    """References whose name is right while the object behind it is an older one than what bears the name now."""
    for name, ids in live.refs.items():
        ref, value = kind.shapes[name].ref, resource.fields.get(name)
        if ref is None or name in changed or value is None:
            continue
        parent = resource.address.path[:1] if world.kinds[ref.kind].parent else ()
        names = value if isinstance(value, list) else [value]
        targets = [Address(ref.kind, (*parent, str(each))) for each in names]
        found = [world.matches.by_address.get(target) for target in targets]
        now = {each.live.remote_id for each in found if each is not None and each.live is not None}
        if set(ids) != now or any(target in world.renewed for target in targets):
            yield FieldChange(name, f"{value} (as it was)", value)


def _with_our_names(live: LiveObject, kind: AnyKind, aliases: Mapping[Address, Address]) -> Fields:
    """The live fields, with the names of other resources spelled as we know them: a rename is no change of them."""
    if not aliases:
        return live.fields
    parent = live.address.path[: -len(kind.identity)]
    fields = dict(live.fields)
    for name, shape in kind.shapes.items():
        names = fields.get(name)
        if shape.ref is not None and isinstance(names, list):
            there = [Address(shape.ref.kind, (*parent, str(each))) for each in names]
            fields[name] = [aliases.get(address, address).name for address in there]
    return fields


def _step(
    action: Action,
    resource: Resource,
    found: Match,
    live: LiveObject,
    kind: AnyKind,
    changes: tuple[FieldChange, ...],
    reason: str,
) -> Step:
    return Step(
        id=f"{action}:{resource.address}",
        action=action,
        address=resource.address,
        reason=reason,
        cause=_cause(changes),
        changes=changes,
        effect=worst([change.effect for change in changes if change.effect]),
        source=resource.source,
        remote_id=live.remote_id,
        fingerprint=fingerprint(kind, resource.fields, live.fields, archived=live.archived),
        fields=resource.fields,
        former=found.former,
    )


def _cause(changes: Sequence[FieldChange]) -> Cause:
    causes = {change.cause for change in changes}
    if causes == {Cause.DRIFT}:
        return Cause.DRIFT
    return Cause.BOTH if causes - {Cause.MANIFEST} else Cause.MANIFEST


def _why(changes: Sequence[FieldChange]) -> str:
    return {
        Cause.MANIFEST: "changed in the manifests",
        Cause.DRIFT: "changed at the platform",
        Cause.BOTH: "changed in the manifests and at the platform",
    }[_cause(changes)]


def _refuse(resource: Resource, reason: str, hint: str = "") -> Refusal:
    return Refusal(resource.address, reason, hint, resource.source)


# -------------------------------------------------------------------------------------- what is not wanted


def _unwanted(world: _World) -> Iterator[_Decision]:
    going: set[tuple[str, str]] = set()
    for address, found in sorted(world.unwanted, key=lambda pair: len(pair[0].path) > 1):  # roots first
        if not _in_scope(found.entry, world):
            continue
        decision = _remove(address, found, world, going)
        if decision is not None:
            yield decision
            if isinstance(decision, Step) and decision.action is Action.DELETE and len(address.path) == 1:
                going.add((address.vendor, address.root))
        for leftover in found.lost:
            yield from _leftover(address, found, leftover, world)


def _remove(address: Address, found: Match, world: _World, going: set[tuple[str, str]]) -> _Decision | None:
    kind = world.kinds[address.kind]
    live = found.live if found.ours else None
    entry = found.entry or Entry(live.remote_id if live else "")
    if live is None:
        return _remove_unseen(address, found)
    if entry.archived and live.archived:
        return None
    if entry.protect:
        return _refuse_protected(address, world)
    reason = "part of what is destroyed" if world.options.policy.destroy else "gone from the manifests"
    if entry.archived:
        reason = "it was un-archived at the platform, and is in no manifest"
    if kind.removal is Removal.FORGET or kind.remove is None:
        note = f"the platform can not remove {kind.noun}s; {live.remote_id} stays there"
        return replace(_removal(Action.FORGET, address, found, reason), notes=(note,))
    if kind.removal is Removal.ARCHIVE:
        step = _removal(Action.ARCHIVE, address, found, reason)
        effect = Effect.LOOSENED if kind.criteria(live.fields) else None
        return replace(step, effect=effect, cause=Cause.DRIFT if entry.archived else Cause.MANIFEST)
    if not _may_be_deleted(address, entry, world, going):
        note = "to delete it for good: --ack delete=N, or lifecycle.onRemoval: delete"
        step = _removal(Action.KEEP, address, found, f"{reason}; it stays at the platform")
        return replace(step, idle=True, notes=(note,))
    return _would_take_along(address, world) or replace(
        _removal(Action.DELETE, address, found, reason), notes=_taken_along(live)
    )


def _remove_unseen(address: Address, found: Match) -> Step | None:
    """What becomes of our memory of something that the platform does not list."""
    if found.in_doubt:
        return _removal(Action.FORGET, address, found, "its create was never answered, and nothing of it is there")
    assert found.entry is not None
    if found.entry.archived:
        return None
    if found.entry.unlisted:
        step = _removal(Action.KEEP, address, found, "it was created, and the platform has not listed it since")
        note = f"it is removed once it shows; if it never will: reconciler state rm '{address}'"
        return replace(step, idle=True, notes=(note,))
    return replace(_removal(Action.FORGET, address, found, "it is gone from the platform already"), cause=Cause.DRIFT)


def _refuse_protected(address: Address, world: _World) -> Refusal:
    give_up = f"give it up without touching it: reconciler state rm '{address}'"
    if world.options.policy.destroy:
        return Refusal(address, "it is protected", f"apply lifecycle.protect: false first; or {give_up}")
    return Refusal(address, "it is protected, and gone from the manifests", f"put it back; or {give_up}")


def _may_be_deleted(address: Address, entry: Entry, world: _World, going: set[tuple[str, str]]) -> bool:
    policy = world.options.policy
    with_its_root = (address.vendor, address.root) in going
    return entry.on_removal == "delete" or policy.destroy or "delete" in policy.acks or with_its_root


def _would_take_along(address: Address, world: _World) -> Refusal | None:
    """The refusal to delete what holds things that this plan does not remove."""
    strangers = [known_as for known_as, item in world.matches.strangers if not item.archived]
    elsewhere = () if world.options.policy.destroy else _outside(world)
    for inside, what, hint in (
        (strangers, "is not ours", "adopt or remove that first"),
        (elsewhere, "is declared outside the given paths", "name those paths too"),
    ):
        names = sorted(str(each) for each in inside if _is_inside(each, address))
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            return Refusal(
                address,
                f"deleting it would take along what {what}: {', '.join(names[:3])}{more}",
                f"{hint}, or leave it there: reconciler state rm '{address}'",
            )
    return None


def _is_inside(address: Address, root: Address) -> bool:
    return len(root.path) == 1 < len(address.path) and (address.vendor, address.root) == (root.vendor, root.root)


def _taken_along(live: LiveObject) -> tuple[str, ...]:
    counts = [f"{value} {name}" for name, value in live.details.items() if isinstance(value, int) and value > 0]
    return (f"takes along at the platform: {', '.join(counts)}",) if counts else ()


def _removal(action: Action, address: Address, found: Match, reason: str) -> Step:
    live = found.live if found.ours else None
    return Step(
        id=f"{action}:{address}",
        action=action,
        address=address,
        reason=reason,
        remote_id=live.remote_id if live else None,
        fingerprint=str(live.archived) if live else "",
        former=found.former,
    )


def _in_scope(entry: Entry | None, world: _World) -> bool:
    """Whether the given paths cover the place where the resource was declared."""
    if entry is None or not entry.source or world.options.policy.destroy:
        return True
    return any(_covers(scope, entry.source) for scope in world.desired.scope)


def _covers(scope: str, source: str) -> bool:
    if scope == ".":
        return not source.startswith(("../", "/"))
    return source == scope or source.startswith(scope.rstrip("/") + "/")


def _outside(world: _World) -> Iterator[Address]:
    for address, found in world.unwanted:
        if found.entry is not None and not found.entry.archived and not _in_scope(found.entry, world):
            yield address


def _is_protected(found: Match, resource: Resource) -> bool:
    return resource.lifecycle.protect or (found.entry is not None and found.entry.protect)


# ------------------------------------------------------------------------------------ what stands in the way


def _check_outage(world: _World) -> None:
    """Refuse to act on a platform that suddenly lists nothing, or far less than we own.

    What is missing inside a missing root says nothing more: roots are compared with roots, the rest with the rest.
    """
    remembered = [(a, m.entry) for a, m in world.matches.by_address.items() if m.entry is not None]
    owned = [a for a, entry in remembered if not entry.archived and not entry.unlisted]
    missing = [a for a in owned if world.matches.by_address[a].live is None]
    if not missing:
        return
    gone = {(a.vendor, a.root) for a in missing if len(a.path) == 1}
    roots = [a for a in owned if len(a.path) == 1]
    inside = [a for a in owned if len(a.path) > 1 and (a.vendor, a.root) not in gone]
    lost = len(missing) == len(owned)
    if lost or any(_mostly_missing(group, world) for group in (roots, inside)):
        listed = "nothing" if lost else f"only {len(owned) - len(missing)}"
        raise LooksLikeOutage(
            f"the platform lists {listed} of {len(owned)} resources that are ours; this looks like an outage, or like"
            " the key of another workspace",
            hint="if they are really gone, forget them first: reconciler state rm 'ADDRESS' (a glob works)",
        )


def _mostly_missing(addresses: Sequence[Address], world: _World) -> bool:
    missing = sum(world.matches.by_address[address].live is None for address in addresses)
    return missing > MOST_MISSING and missing > MOST_MISSING_SHARE * len(addresses)


def _risks(steps: Sequence[Step], world: _World) -> tuple[Refusal, ...]:
    matches = ((step.address, world.matches.by_address.get(step.address)) for step in steps)
    entries = {address: found.entry for address, found in matches if found is not None and found.entry is not None}
    found = unacknowledged(
        steps,
        world.options.policy,
        owned=sum(not entry.archived for entry in world.state.entries.values()),
        deletes_allowed=_deletes_asked_for(steps, entries),
        archives_allowed=sum(step.action is Action.ARCHIVE and _is_leftover(step, entries) for step in steps),
    )
    where = Address(POLICY, ("acknowledgements",))
    return tuple(Refusal(where, reason, hint) for reason, hint in found)


def _deletes_asked_for(steps: Sequence[Step], entries: Mapping[Address, Entry]) -> int:
    """How many of the deletes have ``onRemoval: delete``, or go with a root that has it."""
    deletes = [step.address for step in steps if step.action is Action.DELETE]
    meant = {address for address in deletes if address in entries and entries[address].on_removal == "delete"}
    roots = {(address.vendor, address.root) for address in meant if len(address.path) == 1}
    return sum(address in meant or (address.vendor, address.root) in roots for address in deletes)


def _is_leftover(step: Step, entries: Mapping[Address, Entry]) -> bool:
    """Whether it ends a replace that was acknowledged when it began."""
    entry = entries.get(step.address)
    return entry is not None and step.remote_id in entry.retiring


def _unseen(world: _World) -> Iterator[tuple[Address, str]]:
    secretive = {kind.id for kind in world.kinds.values() if hides(kind)}
    for address, found in world.matches.by_address.items():
        resource, live = world.desired.resources.get(address), found.live
        if resource is None or (
            live and address.kind not in secretive and resource.fields.keys() <= live.fields.keys()
        ):
            continue
        for path in unseen(world.kinds[address.kind], resource.fields, live.fields if live else None):
            yield address, path


# ------------------------------------------------------------------------------------------------ selecting


def _selected(decisions: Sequence[_Decision], world: _World) -> tuple[list[_Decision], int]:
    """The decisions that ``select`` keeps, with what they need or take along; and how many it leaves out."""
    patterns = world.options.select
    if not patterns:
        return list(decisions), 0
    known = {*world.desired.resources, *world.matches.by_address}
    unmatched = [pattern for pattern in patterns if not any(selects(pattern, address) for address in known)]
    if unmatched:
        raise UsageInvalid(
            f"--select {unmatched[0]!r} matches no resource",
            hint="it is a glob over addresses: 'support-bot/*', 'openlayer.Test/*/monitoring/PII*'",
        )
    chosen = {a for a in known if any(selects(pattern, a) for pattern in patterns)}
    needed = _needed(chosen, world)
    deleted = [item.address for item in decisions if item.address in chosen and _deletes_root(item)]
    kept = [
        item for item in decisions
        if item.address in chosen
        or (item.address in needed and _makes_room(item, world))
        or any(_is_inside(item.address, root) for root in deleted)
    ]  # fmt: skip
    return kept, len(decisions) - len(kept)


def _needed(chosen: Iterable[Address], world: _World) -> set[Address]:
    """What the chosen resources refer to, directly or through others."""
    found: set[Address] = set()
    left = list(chosen)
    while left:
        resource = world.desired.resources.get(left.pop())
        fresh = set(resource.references) - found if resource else set()
        found |= fresh
        left += fresh
    return found


def _makes_room(decision: _Decision, world: _World) -> bool:
    """Whether others can only stand once this is done or settled; a change of what is there already can wait."""
    if isinstance(decision, Refusal):
        return not world.matches.by_address[decision.address].ours
    return decision.action in (Action.CREATE, Action.ADOPT, Action.RENAME, Action.REPLACE)


def _deletes_root(decision: _Decision) -> bool:
    return isinstance(decision, Step) and decision.action is Action.DELETE and len(decision.address.path) == 1


def selects(pattern: str, address: Address) -> bool:
    """Whether a ``--select`` glob means this address, written with or without its kind.

    >>> selects("support-bot/*", Address("openlayer.Test", ("support-bot", "monitoring", "PII")))
    True
    """
    text = str(address)
    return fnmatch.fnmatchcase(text, pattern) or fnmatch.fnmatchcase(text.partition("/")[2], pattern)
