"""What is said alike of the wanted and the unwanted: of former objects, lost creates, a state that errs.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec.structs import replace

from reconciler.model.kind import AnyKind, Removal
from reconciler.model.plan import UNANSWERED, Action, Refusal, Step, uncompared
from reconciler.model.resource import Address, LiveObject, Source
from reconciler.planning.matcher import Match
from reconciler.planning.world import World


def leftover(address: Address, found: Match, old: LiveObject, world: World, source: Source | None = None) -> Step:
    """What becomes of an object that another one has replaced."""
    kind, policy = world.kinds[address.kind], world.options.policy
    if kind.removal is Removal.ARCHIVE:
        return _of(old, Action.ARCHIVE, address, "left behind by a replace that was cut short", source)
    resource = world.desired.resources.get(address)
    asked = resource.lifecycle.onRemoval if resource else found.entry.on_removal if found.entry else "keep"
    users = users_of(old, kind, world)
    if not users and (asked == "delete" or "delete" in policy.acks or policy.destroy):
        return _of(old, Action.DELETE, address, "replaced, and nothing refers to it any more", source)
    why = f"still in use by {users[0]}" if users else "to delete it: --ack delete=N, or lifecycle.onRemoval: delete"
    reason = "replaced by other content, and stays at the platform"
    return replace(_of(old, Action.KEEP, address, reason, source), idle=True, notes=(why,))


def _of(old: LiveObject, action: Action, address: Address, reason: str, source: Source | None) -> Step:
    return Step(
        id=f"{action}:{address}#{old.remote_id}",
        action=action,
        address=address,
        reason=reason,
        source=source,
        remote_id=old.remote_id,
        fingerprint=uncompared(archived=old.archived),
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


def unanswered(address: Address, found: Match, world: World, source: Source | None = None) -> Iterator[Step]:
    """What becomes of a create that was never answered, where the remembered object is there and stays what it is.

    What it has made is left over.  Where no marker can tell that from what others made, a person has to.
    """
    if not found.in_doubt or not found.ours or found.live is None or found.recovered:
        return
    made = found.unanswered
    if made is not None and not made.archived:
        yield leftover(address, found, made, world, source)
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
