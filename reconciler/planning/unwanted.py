"""What becomes of what we own and the manifests do not ask for (any more).  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from msgspec.structs import replace

from reconciler.model.kind import Removal, root_of
from reconciler.model.plan import Action, Cause, Effect, Refusal, Step
from reconciler.model.resource import Address, LiveObject
from reconciler.model.state import Entry
from reconciler.model.values import counted, some_of
from reconciler.planning.leftovers import leftover, refuse_double, refuse_misplaced, unanswered, users_of
from reconciler.planning.matcher import Match
from reconciler.planning.world import Decision, World, in_scope, removal


def for_unwanted(world: World) -> Iterator[Decision]:
    """Roots first: what stands inside of one that is deleted goes with it."""
    going: set[Address] = set()
    for address, found in sorted(world.unwanted, key=lambda pair: len(pair[0].path) > 1):  # roots first
        found = _with_what_was_meant(address, found, world)
        if not in_scope(address, found, world):
            continue
        decision = _remove(address, found, world, going)
        if decision is not None:
            yield decision
            if isinstance(decision, Step) and decision.action is Action.DELETE and address.is_root:
                going.add(address)
        for item in found.left_behind:
            yield leftover(address, found, item, world)
        yield from unanswered(address, found, world)


def _with_what_was_meant(address: Address, found: Match, world: World) -> Match:
    """Of what an unanswered create has made we remember what was written beside it."""
    doubt = world.state.in_doubt.get(found.former or address)
    if doubt is None or found.entry is not None or found.live is None or not found.ours:
        return found
    return replace(found, entry=doubt.entry(found.live.remote_id))


def _remove(address: Address, found: Match, world: World, going: set[Address]) -> Decision | None:
    live = found.live if found.ours else None
    entry = found.entry or Entry(live.remote_id if live else "")
    if found.also:
        return _remove_double(address, found, world)
    if live is None:
        return _remove_unseen(address, found, world)
    if live.remote_id in world.replaced:
        return removal(Action.FORGET, address, replace(found, live=None), "replaced by another one under a new name")
    if entry.archived and live.archived:
        return None
    if address in world.matches.misplaced:
        place = world.matches.misplaced[address]
        return None if place in world.desired.resources else refuse_misplaced(address, place)
    if entry.protect:
        return _refuse_protected(address, world)
    return _let_go(address, found, live, entry, world, going)


def _let_go(
    address: Address, found: Match, live: LiveObject, entry: Entry, world: World, going: set[Address]
) -> Decision:
    """What its kind, and whoever asked for it, make of an object of ours that nothing keeps."""
    kind = world.kinds[address.kind]
    reason = "part of what is destroyed" if world.options.policy.destroy else _why_unwanted(address, world)
    if entry.archived:
        there = _why_unwanted(address, world) if address in world.desired.off else "in no manifest"
        reason = f"it was un-archived at the platform, and is {there}"
    if kind.removal is Removal.FORGET or kind.remove is None:
        note = f"the platform cannot remove {kind.noun}s; {live.remote_id} stays there"
        return replace(removal(Action.FORGET, address, found, reason), notes=(note,), effect=_effect(live, world))
    if kind.removal is Removal.ARCHIVE and live.archived:
        return removal(Action.FORGET, address, found, f"{reason}, and archived at the platform already")
    if kind.removal is Removal.ARCHIVE:
        step = removal(Action.ARCHIVE, address, found, reason)
        cause = Cause.DRIFT if entry.archived else Cause.MANIFEST
        return replace(step, effect=_effect(live, world), cause=cause, source=world.desired.off.get(address))
    unknown = _archived_with_it(address, world)
    if needed := _needed_by(address, live, world):
        return _keep(address, found, reason, f"it cannot go while this stays: {some_of(needed, 1)}")
    if not _may_be_deleted(address, entry, world, going):
        how = "to delete it for good: --ack delete=N" + ("" if unknown else ", or lifecycle.onRemoval: delete")
        return _keep(address, found, reason, how, *unknown)
    if refusal := _would_take_along(address, world) or _would_leave_without(address, live, world):
        return refusal
    notes = (*_taken_along(address, live, world), *unknown, *_left_without(live, world))
    return replace(removal(Action.DELETE, address, found, reason), notes=notes)


def _why_unwanted(address: Address, world: World) -> str:
    return "switched off (enabled: false)" if address in world.desired.off else "gone from the manifests"


def _keep(address: Address, found: Match, reason: str, *notes: str) -> Step:
    step = removal(Action.KEEP, address, found, f"{reason}; it stays at the platform")
    return replace(step, idle=True, notes=notes)


def _effect(live: LiveObject, world: World) -> Effect | None:
    """What it means that an object judges nothing any more."""
    is_judging = not live.archived and world.kinds[live.address.kind].criteria(live.fields, world.around(live.address))
    return Effect.LOOSENED if is_judging else None


def _needed_by(address: Address, live: LiveObject, world: World) -> list[str]:
    """What refers to it or stands in it, and cannot be removed."""
    inside = map(str, world.irremovable.get(address, ()))
    return sorted({*inside, *users_of(live, world.kinds[address.kind], world)})


def _remove_double(address: Address, found: Match, world: World) -> Step | Refusal:
    """What becomes of an entry whose object the state has elsewhere, too: the object itself is not touched."""
    if not any(each in world.desired.resources for each in found.also):
        return refuse_double(address, found)
    return removal(Action.FORGET, address, found, f"it is remembered as {found.also[0]}, too, and stays there")


def _remove_unseen(address: Address, found: Match, world: World) -> Step | None:
    """What becomes of our memory of something that the platform does not list."""
    if found.in_doubt:
        return removal(Action.FORGET, address, found, "its create was never answered, and nothing of it is there")
    assert found.entry is not None
    if found.entry.archived:
        return None
    if found.entry.unlisted:
        step = removal(Action.KEEP, address, found, "it was created, and the platform has not listed it since")
        becomes = next((each.address.name for each in world.desired if address in each.renamed_from), None)
        what = "removed" if becomes is None else f"renamed to {becomes}"
        note = f"it is {what} once it shows; if it never will: reconciler state rm '{address}'"
        return replace(step, idle=True, notes=(note,))
    return replace(removal(Action.FORGET, address, found, "it is gone from the platform already"), cause=Cause.DRIFT)


def _refuse_protected(address: Address, world: World) -> Refusal:
    give_up = f"give it up without touching it: reconciler state rm '{address}'"
    if world.options.policy.destroy:
        root = root_of(address, world.kinds)
        if root != address and _goes_too(root, world):  # which would not go with something in it that is not ours
            give_up = f"give up all of {root.name} without touching it: reconciler state rm '{root}'"
        return Refusal(address, "it is protected", f"apply lifecycle.protect: false first; or {give_up}")
    source = world.desired.off.get(address)
    back = "put it back" if source is None else "switch it on again, or apply it with lifecycle.protect: false first"
    return Refusal(address, f"it is protected, and {_why_unwanted(address, world)}", f"{back}; or {give_up}", source)


def _goes_too(root: Address, world: World) -> bool:
    """Whether the root is ours and part of what is removed, where roots can be deleted."""
    found = world.matches.by_address.get(root)
    if found is None or not found.ours or root in world.desired.resources or not in_scope(root, found, world):
        return False
    return world.kinds[root.kind].removal is Removal.DELETE


def _may_be_deleted(address: Address, entry: Entry, world: World, going: set[Address]) -> bool:
    policy = world.options.policy
    with_its_root = root_of(address, world.kinds) in going
    return entry.on_removal == "delete" or policy.destroy or "delete" in policy.acks or with_its_root


def _would_take_along(address: Address, world: World) -> Refusal | None:
    """The refusal to delete what holds things that this plan does not remove."""
    if not address.is_root:
        return None
    for found, what, hint in (
        (world.strangers, "is not ours", "adopt or remove that first"),
        (world.elsewhere, "is declared outside the given paths", "name those paths too"),
    ):
        names = sorted(map(str, found.get(address, ())))
        if names:
            return Refusal(
                address,
                f"deleting it would take along what {what}: {some_of(names, 3)}",
                f"{hint}, or leave it there: reconciler state rm '{address}'",
            )
    return None


def _would_leave_without(address: Address, live: LiveObject, world: World) -> Refusal | None:
    """The refusal to delete what is named by something of ours that nobody has looked at."""
    names = sorted(map(str, world.naming_elsewhere.get(live.address, ())))
    if not names:
        return None
    return Refusal(
        address,
        f"it is named by what is declared outside the given paths: {some_of(names, 3)}",
        f"name those paths too, or leave it there: reconciler state rm '{address}'",
    )


def _archived_with_it(address: Address, world: World) -> tuple[str, ...]:
    names = sorted(map(str, world.archived_strangers.get(address, ())))
    return (f"deleting it takes along what is archived and not known as ours: {some_of(names, 3)}",) if names else ()


def _left_without(live: LiveObject, world: World) -> tuple[str, ...]:
    names = sorted(map(str, world.naming.get(live.address, ())))
    return (f"it is named by what stays: {some_of(names, 1)}",) if names else ()


def _taken_along(address: Address, live: LiveObject, world: World) -> tuple[str, ...]:
    found = {name: value for name, value in live.details.items() if isinstance(value, int) and value > 0}
    archived = Counter(world.kinds[each.kind].noun for each in world.archived_ours.get(address, ()))
    counts = [counted(value, name.removesuffix("s"), name) for name, value in found.items()]
    counts += [f"{counted(number, f'archived {noun}')} of ours" for noun, number in sorted(archived.items())]
    return (f"takes along at the platform: {', '.join(counts)}",) if counts else ()
