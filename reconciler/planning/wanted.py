"""What has to happen for the resources that the manifests ask for.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from reconciler.model.kind import AnyKind, Removal, Replace
from reconciler.model.plan import (
    LOST_REPLY,
    MATCHES_NOT_OURS,
    NOT_THERE,
    UNANSWERED,
    Action,
    Cause,
    Effect,
    FieldChange,
    Refusal,
    Step,
    uncompared,
    worst,
)
from reconciler.model.resource import Address, LiveObject, Resource, Source
from reconciler.model.spec import Mark
from reconciler.model.state import Entry
from reconciler.model.values import Fields
from reconciler.planning.differ import field_changes, fingerprint
from reconciler.planning.effects import with_effects
from reconciler.planning.matcher import Match
from reconciler.planning.world import Decision, World, removal


def for_wanted(world: World) -> Iterator[Decision]:
    """One decision at least for each resource that is not as it should be; none for the others."""
    rank = {kind_id: place for place, kind_id in enumerate(world.kinds)}
    # What others refer to comes first: they must know whether it gets a new object.
    for address, found in sorted(world.matches.by_address.items(), key=lambda item: rank[item[0].kind]):
        resource, kind = world.desired.resources.get(address), world.kinds[address.kind]
        if resource is None:
            continue
        if found.also:
            yield refuse_double(resource.address, found, resource.source)
            continue
        if found.live is not None and found.live.unmanaged and not found.live.archived:
            world.told.extend(_worth_telling(resource, found.live, kind))
        asks = kind.refuses or kind.looking_up
        refused = (*_unclear(resource, kind, world), *_refused_by_kind(resource, found, kind, world)) if asks else ()
        yield from refused
        decided: list[Decision] = []
        if not refused and not kind.virtual:
            decide = _look_up if resource.lookup else _decide
            decided += decide(resource, found, kind, world)
        yield from decided
        for leftover in found.left_behind:
            yield from leftovers(address, found, leftover, world, resource.source)
        if found.in_doubt and not refused and not any(map(_settles_doubt, decided)):
            yield from unanswered(address, found, world, resource.source)


def _settles_doubt(decision: Decision) -> bool:
    """Whether an unanswered create is looked for on the way, or has to wait for a person."""
    return isinstance(decision, Refusal) or decision.action is Action.REPLACE


def refuse_double(address: Address, found: Match, source: Source | None = None) -> Refusal:
    """The refusal to guess which address an object has that the state gives to several."""
    remote_id = found.entry.remote_id if found.entry else ""
    what = f"the state has {remote_id} here and as {', '.join(map(str, found.also))}, and it can only be one of them"
    hint = f"forget the wrong one; the object stays: reconciler state rm '{found.also[0]}', or '{address}'"
    return Refusal(address, what, hint, source)


def refuse_misplaced(address: Address, place: Address, source: Source | None = None) -> Refusal:
    """The refusal to act on an object that the state has inside of another root than it stands in."""
    what = f"the state has it in {address.root}, and at the platform it stands in {place.root}"
    return Refusal(address, what, f"remember it where it stands: reconciler state mv '{address}' '{place}'", source)


def _unclear(resource: Resource, kind: AnyKind, world: World) -> Iterator[Refusal]:
    """What is only looked up, by a name that several have."""
    for field, other in kind.looking_up:
        parent, value = resource.address.path[:1] if world.kinds[other].parent else (), resource.fields.get(field)
        for name in map(str, value if isinstance(value, list) else [value]):
            ids = world.namesakes.get(Address(other, (*parent, name)), ())
            if len(ids) > 1:
                source = replace(resource.source, line=resource.line_of(field))
                what = world.kinds[other].alike(name, ids)
                yield Refusal(resource.address, f"{field}: {what}", "rename all but one", source)


def _refused_by_kind(resource: Resource, found: Match, kind: AnyKind, world: World) -> Iterator[Refusal]:
    """What the kind itself refuses, now that the platform can be looked at; what it only warns of is told."""
    live = found.live.fields if found.live is not None else None
    for flaw in kind.refuse(resource.fields, live, world.around(resource.address)):
        source = replace(resource.source, line=resource.line_of(flaw.path.partition(".")[0]))
        if flaw.is_error:
            yield Refusal(resource.address, f"{flaw.path}: {flaw.message}", flaw.hint, source)
        else:
            world.told.append(
                (resource.address, f"{resource.address}: {flaw.path}: {flaw} ({source.file}:{source.line})")
            )


def _worth_telling(resource: Resource, live: LiveObject, kind: AnyKind) -> Iterator[tuple[Address, str]]:
    """What nobody here can set, and a reader of the plan should know."""
    place = f"({resource.source.file}:{resource.source.line})"
    for name in live.unmanaged:
        if name in kind.worth_telling:
            yield resource.address, f"{resource.address}: {kind.worth_telling[name]} {place}"


def _look_up(resource: Resource, found: Match, kind: AnyKind, world: World) -> Iterator[Decision]:
    """It must be there, once; it is never changed, and what we may remember of it is given up."""
    followed = world.matches.followed.get(resource.address)
    if found.twins:
        ids = ", ".join(item.remote_id for item in found.twins)
        yield _refuse(resource, f"there are {len(found.twins)} of this name: {ids}", "rename all but one")
    elif found.live is None or found.live.address != resource.address:
        yield _refuse(resource, f"the platform has no {kind.noun} of this name", kind.refusal_hint)
    elif clash := world.matches.clashes.get(resource.address):
        hint = "drop renamedFrom: it is only looked up, and what is in it cannot be moved"
        yield _refuse(resource, _both_are_there(resource, clash), hint)
    elif followed is not None:
        yield _follow(resource, found.live, followed)
    elif found.entry is not None and found.ours:
        yield removal(Action.FORGET, resource.address, found, "only looked up from now on")


def _follow(resource: Resource, live: LiveObject, former: Address) -> Step:
    """Move what is remembered inside a root to the name that the root has now."""
    return Step(
        id=f"{Action.RENAME}:{resource.address}",
        action=Action.RENAME,
        address=resource.address,
        reason=f"it was renamed at the platform, and what stands in it is remembered under {former.name}",
        source=resource.source,
        remote_id=live.remote_id,
        fingerprint=uncompared(archived=live.archived),
        former=former,
    )


def _both_are_there(resource: Resource, former: Address) -> str:
    names = f"{former.name} and {resource.address.name}"
    return f"renamedFrom says {former.name}, but both {names} are at the platform"


def _which_of_them(formers: Sequence[Address]) -> tuple[str, str]:
    """(why it is not known what is renamed, what to do)."""
    *most, last = [former.name for former in formers]
    every = "both" if len(formers) == 2 else "all"
    message = f"renamedFrom says {', '.join(most)} and {last}, and {every} are at the platform"
    return message, "leave in renamedFrom the one that is renamed; what you take out is gone from the manifests then"


def _decide(resource: Resource, found: Match, kind: AnyKind, world: World) -> Iterable[Decision]:
    place = world.matches.misplaced.get(resource.address) if world.matches.misplaced else None
    if place is not None:
        return (refuse_misplaced(resource.address, place, resource.source),)
    if unclear := world.matches.unclear.get(resource.address):
        return (_refuse(resource, *_which_of_them(unclear)),)
    clash = world.matches.clashes.get(resource.address) if world.matches.clashes else None
    if clash is not None and not _is_replace_in_doubt(resource, found, clash, kind, world):
        hint = "drop renamedFrom, and remove one of the two"
        return (_refuse(resource, _both_are_there(resource, clash), hint),)
    if found.live is not None and found.ours and (found.recovered or not found.twins):
        return _bring_in_line(resource, found, found.live, kind, world)
    known = _known_elsewhere(resource, world)
    if known is not None:
        hint = f"say that it is the same: reconciler state mv '{known}' '{resource.address}'"
        return (_refuse(resource, f"it is there, and remembered as {known}", hint),)
    adopts = _adopts(resource, world)
    if _is_lagging(found, adopts=adopts):
        world.renewed.add(resource.address)
        return (_create(resource, replace(found, live=None, twins=()), kind),)
    if found.twins and not found.recovered:
        ids = ", ".join(item.remote_id for item in found.twins)
        what = f"{len(found.twins)} live objects have this identity: {ids}"
        hint = f"rename or archive all but one, or say which: reconciler state import '{resource.address}' ID"
        return (_refuse(resource, what, hint),)
    if found.live is None or (found.live.archived and not _revives(resource, found.live, world)):
        world.renewed.add(resource.address)
        return _instead_of_rename(_create(resource, found, kind, adopts=adopts), resource, world)
    return _adopt(resource, found, found.live, kind, world)


def _known_elsewhere(resource: Resource, world: World) -> Address | None:
    """The address inside another root by which we remember what stands at this one.

    Where that root is renamed it is not elsewhere, but renamed back; one that is only looked up is never renamed.
    """
    for address, place in world.matches.misplaced.items():
        if place == resource.address:
            return address
    known = world.matches.aliases.get(resource.address)
    if known is None or known.root == resource.address.root:
        return None
    parent = world.kinds[resource.address.kind].parent_of(resource.address)
    root = world.desired.resources.get(parent) if parent is not None else None
    return known if root is not None and root.lookup else None


def _is_replace_in_doubt(resource: Resource, found: Match, clash: Address, kind: AnyKind, world: World) -> bool:
    """Whether both names are there because an earlier run may have made what replaces the former."""
    if found.live is None or found.former is None or found.former.name != clash.name:
        return False
    return any(change.create_only for change in differences(resource, found.live, found.entry, kind, world))


def _revives(resource: Resource, archived: LiveObject, world: World) -> bool:
    """Whether a stranger's archived object is to be taken over, and can become what is wanted."""
    changes = differences(resource, archived, None, world.kinds[resource.address.kind], world)
    return _adopts(resource, world) and not any(change.create_only for change in changes)


def _is_lagging(found: Match, *, adopts: bool) -> bool:
    """Whether we made it and no list has shown it since: whatever else has its name is not it.

    A stranger is not adopted either while a create of ours is in doubt: it is looked for first.
    """
    made = found.entry is not None and found.entry.unlisted
    return (made or (found.in_doubt and adopts)) and not found.ours


def _instead_of_rename(create: Decision, resource: Resource, world: World) -> Iterator[Decision]:
    """The create, with a word about what it is not sent for: the former one may be there, and not be listed yet."""
    for former in resource.renamed_from:
        known = world.matches.by_address.get(former)
        if isinstance(create, Step) and known is not None and known.entry is not None and known.entry.unlisted:
            note = f"{former} was created, and the platform has not listed it since; if it shows, that is renamed"
            create = replace(create, notes=(*create.notes, f"{note} instead"))
    yield create


def _create(resource: Resource, found: Match, kind: AnyKind, *, adopts: bool = False) -> Decision:
    if kind.create is None:
        return _refuse(resource, f"there is no such {kind.noun}, and it cannot be created from here")
    entry = found.entry
    gone = entry is not None and not (found.in_doubt or entry.unlisted or entry.archived)
    reason = "it was removed at the platform" if gone else NOT_THERE
    if entry is not None and entry.unlisted:
        reason = "it was created, and the platform has not listed it since"
    if found.in_doubt:
        reason = f"{UNANSWERED}, and nothing of it is at the platform"
    notes: tuple[str, ...] = ()
    if found.live is not None:
        there = f"an archived {kind.noun} of this name exists ({found.live.remote_id})"
        notes = (f"{there}; it cannot become what is wanted" if adopts else f"{there}; --adopt revives it instead",)
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


def _adopts(resource: Resource, world: World) -> bool:
    return world.options.adopt or resource.lifecycle.adopt


def _adopt(resource: Resource, found: Match, live: LiveObject, kind: AnyKind, world: World) -> Iterator[Decision]:
    changes = differences(resource, live, None, kind, world)
    fixed = [change.path for change in changes if change.create_only]
    adopts, in_generations = _adopts(resource, world), kind.replace is Replace.CREATE_THEN_RETIRE
    if fixed and adopts and in_generations:
        world.renewed.add(resource.address)
        yield _create_beside(resource, found, live, kind)
        return
    reason = "an object of this name was made by somebody else"
    if live.op is not None:
        reason = "an object of this name was made by a run of reconciler that this state does not remember"
    if found.outlived is not None:
        reason = f"made in place of {found.outlived.remote_id} by a run that this state does not remember"
    if not changes and not adopts:
        reason = MATCHES_NOT_OURS
    yield replace(_step(Action.ADOPT, resource, found, live, kind, changes, reason), idle=not (changes or adopts))
    if fixed:
        hint = "adopt it as it is first: write the live value into the manifest"
        if in_generations:
            hint = "--adopt makes another one beside it; for the one that is there, take what reconciler export writes"
        yield _refuse(resource, f"it differs in {', '.join(fixed)}, which cannot be changed in place", hint)
    elif changes and not adopts:
        yield _refuse(resource, f"{reason}, and it is not ours", "take it over with --adopt or lifecycle.adopt: true")


def _create_beside(resource: Resource, found: Match, live: LiveObject, kind: AnyKind) -> Decision:
    """A generation of our own where one has the name that nobody remembers: that is left alone, whatever it holds."""
    step = _create(resource, replace(found, live=None), kind)
    if isinstance(step, Refusal):
        return step
    return replace(step, notes=(f"{live.remote_id} of this name stays: it is not ours",))


def _bring_in_line(
    resource: Resource, found: Match, live: LiveObject, kind: AnyKind, world: World
) -> Iterable[Decision]:
    changes = differences(resource, live, found.entry, kind, world)
    fixed = [change for change in changes if change.create_only]
    if found.recovered and kind.replace is Replace.CREATE_FIRST:
        return (_take_back(resource, found, live, kind, changes),)
    if fixed:
        return _replace(resource, found, live, kind, changes, fixed, world)
    if found.recovered:
        return (_take_back(resource, found, live, kind, changes),)
    if changes and kind.update is None:
        paths = ", ".join(change.path for change in changes)
        return (_refuse(resource, f"the platform cannot change {kind.noun}s in place: {paths}", kind.refusal_hint),)
    if found.former is not None and found.former.name != resource.address.name:
        return (_step(Action.RENAME, resource, found, live, kind, changes, f"renamed from {found.former.name}"),)
    if changes:
        return (_step(Action.UPDATE, resource, found, live, kind, changes, _why(changes)),)
    return ()


def _take_back(
    resource: Resource, found: Match, live: LiveObject, kind: AnyKind, changes: Sequence[FieldChange]
) -> Step:
    """Adopt what an unanswered create of ours has made, as far as it can be brought in line in place."""
    fixed = tuple(change.path for change in changes if change.create_only)
    changes = tuple(change for change in changes if not change.create_only)
    renamed = found.former is not None and found.former.name != resource.address.name
    action = Action.RENAME if renamed else Action.ADOPT
    step = _step(action, resource, found, live, kind, changes, LOST_REPLY)
    later = (f"{', '.join(fixed)} cannot be changed in place; the next plan replaces it",) if fixed else ()
    twins = (f"the same create also made {twin.remote_id}; archive it by hand" for twin in found.twins)
    return replace(step, notes=(*later, *twins), fixed=fixed)


def _replace(
    resource: Resource,
    found: Match,
    live: LiveObject,
    kind: AnyKind,
    changes: tuple[FieldChange, ...],
    fixed: Sequence[FieldChange],
    world: World,
) -> Iterator[Decision]:
    paths = ", ".join(change.path for change in fixed)
    if kind.replace is Replace.REFUSE:
        yield _refuse(resource, f"{paths} cannot be changed in place", kind.refusal_hint)
        return
    if _is_protected(found, resource):
        reason = f"{paths} needs a replace, and it is protected"
        yield _refuse(resource, reason, "apply lifecycle.protect: false first")
        return
    world.renewed.add(resource.address)
    retires = kind.replace is Replace.CREATE_THEN_RETIRE
    what = "what refers to the old one is pointed at the new" if retires else "history stays with the old one"
    history = what if retires else f"{what}, which is archived"
    notes = tuple(f"{name} is set at the platform and cannot be carried over" for name in live.unmanaged)
    step = _step(Action.REPLACE, resource, found, live, kind, changes, f"{paths} cannot be changed in place")
    yield replace(step, notes=(history, *notes))
    if retires:
        yield from leftovers(resource.address, found, live, world, resource.source)


def leftovers(
    address: Address, found: Match, old: LiveObject, world: World, source: Source | None = None
) -> Iterator[Step]:
    """What becomes of an object that another one has replaced."""
    kind = world.kinds[address.kind]
    if kind.removal is Removal.ARCHIVE:
        yield _archive_leftover(address, old, source)
        return
    resource = world.desired.resources.get(address)
    asked = resource.lifecycle.onRemoval if resource else found.entry.on_removal if found.entry else "keep"
    users = users_of(old, kind, world)
    step = Step(
        id=f"{Action.DELETE}:{address}#{old.remote_id}",
        action=Action.DELETE,
        address=address,
        reason="replaced, and nothing refers to it any more",
        source=source,
        remote_id=old.remote_id,
        fingerprint=uncompared(archived=old.archived),
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


def unanswered(address: Address, found: Match, world: World, source: Source | None = None) -> Iterator[Step]:
    """What becomes of a create that was never answered, where the remembered object is there and stays what it is.

    What it has made is left over.  Where no marker can tell that from what others made, a person has to.
    """
    if not found.in_doubt or not found.ours or found.live is None or found.recovered:
        return
    made = found.unanswered
    if made is not None and not made.archived:
        yield from leftovers(address, found, made, world, source)
    elif made is None and found.namesakes and _may_be_unmarked(found, world.kinds[address.kind]):
        yield _keep_doubt(address, found, found.live, source)
    else:
        outcome = "nothing of it is at the platform" if made is None else "what it made is archived"
        yield Step(
            id=f"{Action.FORGET}:{address}#in-doubt",
            action=Action.FORGET,
            address=address,
            reason=f"{UNANSWERED}, and {outcome}",
            source=source,
            former=found.former,
            ends_doubt=True,
        )


def _may_be_unmarked(found: Match, kind: AnyKind) -> bool:
    """Whether a create may carry no marker: its kind has no room for one, or nothing shows that one is used here."""
    return kind.marker is None or found.entry is None or found.entry.op is None


def _keep_doubt(address: Address, found: Match, live: LiveObject, source: Source | None) -> Step:
    ids = ", ".join(item.remote_id for item in found.namesakes)
    settle = f"reconciler state rm '{address}', then reconciler state import '{address}' {live.remote_id}"
    return Step(
        id=f"{Action.KEEP}:{address}#in-doubt",
        action=Action.KEEP,
        address=address,
        reason=f"{UNANSWERED}, and nothing tells whether it made {ids}",
        source=source,
        idle=True,
        notes=(f"remove what is not wanted by hand; to end the doubt: {settle}",),
    )


def users_of(old: LiveObject, kind: AnyKind, world: World) -> tuple[str, ...]:
    """Objects that are in no manifest, and stay, while they refer to ``old``."""
    users = world.referring.get(old.remote_id, ())
    referring = [item for item, name in users if _refers_to(world.kinds[item.address.kind], name, kind.id)]
    return tuple(dict.fromkeys(_as_another(item, world) for item in referring))


def _as_another(item: LiveObject, world: World) -> str:
    """What is in no manifest, told apart from what is and has the same name."""
    return f"{item.address} (id {item.remote_id})" if item.address in world.desired.resources else str(item.address)


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
        fingerprint=uncompared(archived=leftover.archived),
    )


def differences(
    resource: Resource, live: LiveObject, entry: Entry | None, kind: AnyKind, world: World
) -> tuple[FieldChange, ...]:
    there = _with_our_names(live, kind, world.matches.aliases)
    changes = field_changes(kind, resource.fields, there, entry.applied if entry else None)
    if not changes and not live.refs and not live.archived:
        return ()
    changes = (*changes, *_repointed(resource, live, kind, world, {change.path for change in changes}))
    judged = with_effects(kind, resource.fields, there, changes, world.around(resource.address))
    if not live.archived:
        return judged
    cause = Cause.DRIFT if entry is not None and not entry.archived else Cause.MANIFEST
    return (FieldChange("archived", True, False, effect=Effect.TIGHTENED, cause=cause), *judged)


def _repointed(
    resource: Resource, live: LiveObject, kind: AnyKind, world: World, changed: set[str]
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


def _is_protected(found: Match, resource: Resource) -> bool:
    return bool(resource.lifecycle.protect) or (found.entry is not None and found.entry.protect)
