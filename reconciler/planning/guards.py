"""What stands in the way of a whole plan: an outage, and risks that nobody acknowledged.  Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby

from msgspec.structs import replace

from reconciler.errors import LooksLikeOutage, StateUnreadable
from reconciler.model.criteria import value_text
from reconciler.model.kind import AnyKind, Removal, root_of
from reconciler.model.plan import (
    Action,
    Cause,
    Effect,
    FieldChange,
    LifecycleChange,
    Refusal,
    Step,
    deciding,
)
from reconciler.model.resource import Address, Desired, Source
from reconciler.model.state import Entry, State
from reconciler.model.values import counted, some_of
from reconciler.planning.matcher import Match
from reconciler.planning.policy import unacknowledged
from reconciler.planning.world import World

POLICY = "reconciler.Policy"
"""Stands for a kind in the address of a refusal that concerns the whole plan."""
LONGEST_VALUE = 60
MOST_NAMED = 3
MOST_MISSING = 5
MOST_MISSING_SHARE = 0.2
"""More roots than this missing, or more of what stands in the others, look like an outage."""


def check_kinds(state: State, kinds: Mapping[str, AnyKind]) -> None:
    """Raise StateUnreadable when we remember something that is of no kind we know: a newer version wrote that."""
    for address in (*state.entries, *state.in_doubt):
        kind = kinds.get(address.kind)
        if kind is None or len(address.path) != len(kind.identity) + (1 if kind.parent else 0):
            raise StateUnreadable(
                f"the state holds {address}, which this version does not know",
                hint="use the version of reconciler that wrote it",
            )


def check_outage(world: World) -> None:
    """Refuse to act on a platform that suddenly lists nothing, or far less than we own.

    Each vendor is judged by itself: what another one lists does not make up for it.
    """
    remembered = [(a, m.entry) for a, m in world.matches.by_address.items() if m.entry is not None and not m.also]
    owned = [a for a, entry in remembered if not entry.archived and not entry.unlisted]
    by_kind: dict[str, list[Address]] = defaultdict(list)
    for address in owned:
        by_kind[address.kind].append(address)
    for _, kinds in groupby(sorted(by_kind), lambda kind: kind.partition(".")[0]):
        _check_outage_of([address for kind in kinds for address in by_kind[kind]], world)


def _check_outage_of(owned: Sequence[Address], world: World) -> None:
    """Compare roots with roots, the rest with the rest: what is missing inside a missing root says nothing more."""
    missing = [a for a in owned if _is_missing(a, world)]
    if not missing:
        return
    gone = {a for a in missing if a.is_root}
    roots = [a for a in owned if a.is_root]
    inside = [a for a in owned if not a.is_root and root_of(a, world.kinds) not in gone]
    lost = len(missing) == len(owned)
    if lost or any(_mostly_missing(group, world) for group in (roots, inside)):
        missing = [a for a in owned if not _is_there(a, world)]
        listed = "nothing" if len(missing) == len(owned) else f"only {len(owned) - len(missing)}"
        taken = sum(world.matches.by_address[a].live is not None for a in missing)
        others = f", where others have {taken:,} of the names" if taken else ""
        raise LooksLikeOutage(
            f"the platform lists {listed} of {counted(len(owned), 'resource')} of ours; this looks like an outage, or"
            f" like the key of another workspace{others}; missing: {_first(missing)}",
            hint="if they are really gone, forget them first: reconciler state rm 'ADDRESS' (a glob works)",
        )


def _mostly_missing(addresses: Sequence[Address], world: World) -> bool:
    missing = sum(_is_missing(address, world) for address in addresses)
    return missing > MOST_MISSING and missing > MOST_MISSING_SHARE * len(addresses)


def _is_missing(address: Address, world: World) -> bool:
    """Whether our object is not there, and what bears its name does not stand in a root of ours.

    Another workspace may have all of our names and none of our ids.  What was made again inside of a root that is
    there by its id is in the right one, and waits for being adopted.
    """
    found = world.matches.by_address[address]
    if found.live is None or found.ours or found.outlived is not None:
        return found.live is None
    root = root_of(address, world.kinds)
    return not (root in world.matches.by_address and _is_there(root, world))


def _is_there(address: Address, world: World) -> bool:
    """Whether our object is there, and not somebody else's of its name."""
    found = world.matches.by_address[address]
    return found.live is not None and found.ours


def _first(missing: Sequence[Address]) -> str:
    """Some of them by name, what others stand in first."""
    roots_first = sorted(missing, key=lambda address: (not address.is_root, address))
    return some_of(roots_first, MOST_NAMED)


def risks_of(steps: Sequence[Step], changes: Sequence[LifecycleChange], world: World) -> tuple[Refusal, ...]:
    """A refusal for each risk that needs an acknowledgement it does not have; ``changes`` are only remembered."""
    matches = ((step.address, world.matches.by_address.get(step.address)) for step in steps)
    known = {address: found for address, found in matches if found is not None}
    entries = {address: found.entry for address, found in known.items() if found.entry is not None}
    found = unacknowledged(
        steps,
        world.options.policy,
        owned=sum(not entry.archived for entry in world.state.entries.values()),
        deletes_allowed=_deletes_asked_for(steps, entries, world),
        archives_allowed=sum(step.action is Action.ARCHIVE and _is_leftover(step, known) for step in steps),
        changes=changes,
        along=_going_along(steps, world),
        gone=sum(_was_deleted(step, world) for step in steps),
    )
    where = Address(POLICY, ("acknowledgements",))
    return tuple(Refusal(where, reason, hint) for reason, hint in found)


def denied(steps: Sequence[Step], changes: Sequence[LifecycleChange], world: World) -> Iterator[Refusal]:
    """A refusal for each change whose effect must not happen here, where it is written; none while destroying.

    ``changes`` are those of what is only remembered.
    """
    policy = world.options.policy
    for step in steps if policy.deny and not policy.destroy else ():
        found = [change for change in step.changes if change.effect in policy.deny]
        for name, group in groupby(found, lambda change: change.top):
            inside = list(group)
            refusal = _denial(step.address, inside, _line_of(name, step, world.desired))
            yield replace(refusal, value_sources=deciding(step.value_sources, inside))
        if not found and step.effect in policy.deny:
            yield _denied(step.address, f"{step.action}: {step.effect}", [str(step.effect)], step.source)
    remembered = [each for each in changes if each.effect in policy.deny] if not policy.destroy else ()
    for _, rules in groupby(remembered, lambda rule: (rule.address, rule.path.partition(".")[0])):
        among = list(rules)
        refusal = _denial(among[0].address, among, among[0].source)
        yield replace(refusal, value_sources=tuple(found for rule in among for found in rule.value_sources))


def perhaps_denied(step: Step, desired: Desired, deny: Collection[Effect]) -> Iterator[Refusal]:
    """A refusal for each limit that moved, where only the platform knows whether that is denied here.

    For a step whose criteria have a direction that nobody knows (see ``Kind.criteria``): whatever moved there was
    loosened or tightened.
    """
    names = " or ".join(effect for effect in (Effect.LOOSENED, Effect.TIGHTENED) if effect in deny)
    for change in step.changes if names and Effect.MOVED not in deny else ():
        if change.effect is Effect.MOVED:
            yield Refusal(
                step.address,
                f"{_words(change)}: it may be {names}, which is denied here: whether more or less is better is not "
                "known offline",
                "take the change back, or make a plan without --offline: only the platform knows which is better",
                _line_of(change.top, step, desired),
                by_rule=True,
                value_sources=deciding(step.value_sources, [change]),
            )


def _line_of(field: str, step: Step, desired: Desired) -> Source | None:
    """Where the field is written; the resource, where the field is not."""
    resource = desired.resources.get(step.address)
    if resource is None or step.source is None:
        return step.source
    return replace(step.source, line=resource.line_of(field))


def _denial(address: Address, changes: Sequence[FieldChange | LifecycleChange], source: Source | None) -> Refusal:
    reason = "; ".join(f"{_words(change)}: {change.effect}" for change in changes)
    return _denied(address, reason, [str(change.effect) for change in changes], source)


def _denied(address: Address, reason: str, effects: Sequence[str], source: Source | None) -> Refusal:
    names = ", ".join(sorted(set(effects)))
    hint = f"take the change back: the Environment's policy.deny, or --deny, forbids what is {names}"
    return Refusal(address, f"{reason}, which is denied here", hint, source, by_rule=True)


def _words(change: FieldChange | LifecycleChange) -> str:
    """``thresholds.0.value 0.9 -> 0.85``, without values that must not be shown or are too long to help."""
    sides = [value_text(side) for side in (change.before, change.after)]
    is_hidden = isinstance(change, FieldChange) and change.sensitive
    if is_hidden or max(map(len, sides)) > LONGEST_VALUE:
        return change.path
    before, after = ("unset" if side == "null" else side for side in sides)
    return f"{change.path} {before} -> {after}"


def _deletes_asked_for(steps: Sequence[Step], entries: Mapping[Address, Entry], world: World) -> int:
    """How many of the deletes have ``onRemoval: delete``, or go with a root that has it.

    Of what is wanted, and had to be replaced, the manifest tells that; of what is not, what is remembered.
    """
    deletes = [step.address for step in steps if step.action is Action.DELETE]
    wanted = world.desired.resources

    def asks(address: Address) -> bool:
        if address in wanted:
            return wanted[address].lifecycle.onRemoval == "delete"
        known = entries.get(address) or world.state.in_doubt.get(address)
        return known is not None and known.on_removal == "delete"

    meant = {address for address in deletes if asks(address)}
    return sum(address in meant or root_of(address, world.kinds) in meant for address in deletes)


def _going_along(steps: Sequence[Step], world: World) -> str:
    """What is archived, not known as ours, and stands in what is deleted; "" for nothing."""
    roots = (step.address for step in steps if step.action is Action.DELETE)
    names = sorted(each for root in roots for each in world.archived_strangers.get(root, ()))
    return _first(names) if names else ""


def _was_deleted(step: Step, world: World) -> bool:
    """Whether it forgets what would have been deleted, and is gone from the platform."""
    is_gone = step.action is Action.FORGET and step.cause is Cause.DRIFT
    return is_gone and world.kinds[step.address.kind].removal is Removal.DELETE


def _is_leftover(step: Step, known: Mapping[Address, Match]) -> bool:
    """Whether it ends a replace that was acknowledged when it began."""
    found = known.get(step.address)
    if found is None or found.entry is None:
        return False
    made = found.unanswered
    return step.remote_id in found.entry.retiring or (made is not None and step.remote_id == made.remote_id)
