"""Look into the state and mend it by hand.  Touches: the state; the network only to look up what is taken in."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.errors import (
    UsageInvalid,
)
from reconciler.model.kind import root_of
from reconciler.model.nearest import nearest
from reconciler.model.records import removed, renamed
from reconciler.model.resource import Address
from reconciler.model.state import Entry, Folding, Record, State, done, fold
from reconciler.model.values import counted
from reconciler.pipeline.locking import locked
from reconciler.pipeline.origins import check_origins
from reconciler.pipeline.planning import read_vendors
from reconciler.pipeline.remembering import carry_over
from reconciler.pipeline.session import Session
from reconciler.planning.selecting import chosen_by, exactly, meant
from reconciler.providers import KINDS, VENDORS
from reconciler.providers.reader import Roots, read_live


def selected_state(here: Session) -> State:
    """The state, limited to what ``select`` names.  Raises UsageInvalid for a glob that names nothing in it."""
    state, patterns = here.store.load(), here.request.select
    if not patterns:
        return state
    chosen = chosen_by(patterns, {*state.entries, *state.in_doubt})
    return replace(
        state,
        entries={address: entry for address, entry in state.entries.items() if address in chosen},
        in_doubt={address: intent for address, intent in state.in_doubt.items() if address in chosen},
    )


def remembered_at(here: Session, text: str) -> tuple[Address, Entry]:
    """The entry at an address.  Raises UsageInvalid with the nearest address when there is none."""
    state = here.store.load()
    address = _known(text, state)
    return address, state.entries[address]


def _known(text: str, state: State) -> Address:
    """The address of an entry, written with its kind or without.

    Raises UsageInvalid when there is none, with the nearest one, and where several kinds have it.
    """
    found = sorted(exactly(text, state.entries))
    if len(found) > 1:
        raise UsageInvalid(f"{text} is not one address", hint=f"write one of these: {', '.join(map(str, found))}")
    if not found and exactly(text, state.in_doubt):
        raise UsageInvalid(
            f"the create of {text} is in doubt: it may be at the platform or not",
            hint="settle it first: reconciler apply",
        )
    if not found:
        near = nearest(text, map(str, (*state.entries, *state.in_doubt)))
        hint = f"did you mean {near}?" if near else "see: reconciler state list"
        raise UsageInvalid(f"{text} is not in the state", hint=hint)
    return found[0]


async def forget(here: Session, pattern: str) -> tuple[Address, ...]:
    """Drop what the pattern names from the state, roots with everything inside; returns what was dropped."""
    async with locked(here, "state rm"):
        state = here.store.load()
        known = {*state.entries, *state.in_doubt}
        named = meant(pattern, known)
        gone = tuple(sorted(a for a in known if a in named or root_of(a, KINDS) in named))
        if not gone:
            raise UsageInvalid(f"{pattern} matches nothing in the state", hint="see: reconciler state list")
        here.store.commit(fold(state, [removed(address, KINDS) for address in gone]))
        return gone


async def move(here: Session, old: str, new: str) -> tuple[Address, Address]:
    """Remember ``old`` as ``new``, which may be written without their kind; returns both addresses.

    Raises UsageInvalid when there is nothing to move or something in the way.
    """
    async with locked(here, "state mv"):
        state = here.store.load()
        former = _known(old, state)
        address = _address(new if new.partition("/")[0] in KINDS else f"{former.kind}/{new}")
        if former.kind != address.kind or len(former.path) != len(address.path):
            raise UsageInvalid(f"{old} and {new} are not addresses of one kind")
        if former == address:
            raise UsageInvalid(f"{old} is to be moved onto itself", hint="name another address")
        if address in state.entries:
            raise UsageInvalid(f"{new} is in the state already", hint=_forget_first(address, state))
        _check_possible(former, address, state)
        folding = Folding(state)
        folding.take([renamed(former, address, KINDS)])
        moved = folding.state()
        if len(moved.entries) < len(state.entries):
            raise UsageInvalid(
                f"{new} holds something of the same name as {old} does", hint=f"see: reconciler state list '{new}/*'"
            )
        here.store.commit(moved)
        await carry_over(here, folding.renamed)
        return former, address


def _check_possible(former: Address, address: Address, state: State) -> None:
    """Raise UsageInvalid where an object cannot be what the new address says of it.

    From one root of ours into another one it may go: an object that is remembered in the wrong one is led back so.
    """
    kind = KINDS[former.kind]
    first = len(former.path) - len(kind.identity)
    for field, was, becomes in zip(kind.identity[:-1], former.path[first:], address.path[first:], strict=False):
        if was != becomes:
            raise UsageInvalid(
                f"the {field} of a {kind.noun} never changes, and {becomes} is not {was}",
                hint=f"with another {field} it is another {kind.noun}, which apply creates",
            )
    home, parent = kind.parent_of(former), kind.parent_of(address)
    known = {*state.entries, *state.in_doubt}
    if home in known and parent is not None and parent not in known:
        raise UsageInvalid(
            f"{parent} is not in the state, so nothing of ours can be in it",
            hint=f"where {home} is called so by now, move that: what is in it goes along",
        )


def _forget_first(address: Address, state: State) -> str:
    """How to make room at an address, and what is forgotten along with it."""
    inside = sum(root_of(each, KINDS) == address != each for each in {**state.entries, **state.in_doubt})
    along = f", and with it the {counted(inside, 'resource')} in it" if inside else ""
    return f"forget it first{along}: reconciler state rm '{address}'"


async def take_in(here: Session, text: str, remote_id: str) -> None:
    """Remember the live object ``remote_id`` as ours under an address.

    Raises UsageInvalid when the platform lists no such object of that kind there, and when another address has it or
    another object has the address: none is given up without a word.
    """
    address = _address(text)
    _check_ownable(address)
    home = root_of(address, KINDS)
    [vendor] = [vendor for vendor in VENDORS if vendor.name == address.vendor]
    async with locked(here, "state import"):
        state = here.store.load()
        provider = await here.provider(vendor)
        check_origins(state, {vendor.name: provider.origin}, here)
        # Also where the root is called otherwise at the platform by now.
        there = {a: entry.remote_id for a, entry in state.entries.items() if root_of(a, KINDS) == home}
        roots = Roots.of((address,), there)
        live = await read_live(provider, here.clock, lambda root: roots(root) or address.is_root)
        by_id = live.by_id()
        found = by_id.get(remote_id)
        if found is None or found.address.kind != address.kind:
            raise UsageInvalid(f"the platform lists no {KINDS[address.kind].word} {remote_id} there")
        _check_free(address, remote_id, state, by_id)
        entry = Entry(remote_id, op=found.op, archived=found.archived)
        records: list[Record] = [
            {"record": "origins", "origins": {vendor.name: provider.origin}},
            done(address, entry, state.in_doubt.get(address) if found.op is not None else None),
        ]
        here.store.commit(fold(state, records))


def _check_free(address: Address, remote_id: str, state: State, there: Container[str]) -> None:
    """Raise UsageInvalid when another address has the object, or another object of those ``there`` the address."""
    holder = next((known for known, entry in state.entries.items() if entry.remote_id == remote_id), None)
    if holder is not None and holder != address:
        raise UsageInvalid(f"{remote_id} is ours already, as {holder}", hint="see: reconciler state mv")
    owned = state.entries.get(address)
    if owned is not None and owned.remote_id != remote_id and owned.remote_id in there:
        what = f"{address} is ours already, as {owned.remote_id}"
        raise UsageInvalid(what, hint=_forget_first(address, state))


class Moved(Struct, frozen=True):
    """A vendor's server that is at ``origin`` now; ``there`` of the ``ours`` objects of the state are found at it."""

    vendor: str
    former: str
    origin: str
    ours: int
    there: int

    def __str__(self) -> str:
        found = f"{self.there} of our {self.ours} objects are there"
        return f"{self.vendor}: {self.origin}  (was {self.former}); {found}"


async def move_origins(here: Session, confirm: Callable[[Sequence[Moved]], None]) -> Sequence[Moved]:
    """Bind the state to the servers that the environment of the process names; returns what has moved.

    ``confirm`` raises what shall keep it as it is.  Raises UsageInvalid where nothing of ours is at the new address.
    """
    async with locked(here, "state move-origin"):
        state = here.store.load()
        bound = [vendor for vendor in VENDORS if vendor.name in state.origins]
        vendors = [vendor for vendor in bound if here.is_in_use(vendor)] or bound
        for vendor in vendors:
            await here.provider(vendor)
        elsewhere = [each for each in vendors if here.providers[each.name].origin != state.origins[each.name]]
        if not elsewhere:
            return ()
        ids = (await read_vendors(here, elsewhere, state, here.desired)).by_id()
        moved = [_moved(vendor.name, state, here.providers[vendor.name].origin, ids) for vendor in elsewhere]
        confirm(moved)
        here.store.commit(fold(state, [{"record": "origins", "origins": {each.vendor: each.origin for each in moved}}]))
        return moved


def _moved(vendor: str, state: State, origin: str, ids: Container[str]) -> Moved:
    """Raises UsageInvalid where none of what is ours is among the ``ids`` there."""
    ours = [
        entry.remote_id for address, entry in state.entries.items() if address.vendor == vendor and not entry.archived
    ]
    moved = Moved(vendor, state.origins[vendor], origin, len(ours), sum(each in ids for each in ours))
    if ours and not moved.there:
        raise UsageInvalid(
            f"{origin} has none of the {moved.ours} objects that are ours at {moved.former}, so it is another platform",
            hint="another platform needs another environment, with a state of its own",
        )
    return moved


def _check_ownable(address: Address) -> None:
    """Raise UsageInvalid for what cannot be ours, and for an address that nothing of its kind can have."""
    if address.kind not in KINDS:
        raise UsageInvalid(f"{address.kind} is not a kind we know", hint=f"there are: {', '.join(KINDS)}")
    kind = KINDS[address.kind]
    if kind.virtual or kind.create is None:
        raise UsageInvalid(f"{_a(kind.noun)} is never ours: it is only looked up, or measured")
    names = [*(["the name of its project or workspace"] if kind.parent else []), *kind.identity]
    if len(address.path) != len(names):
        parts = "/".join(f"<{name}>" for name in names)
        raise UsageInvalid(f"{address} is no address of {_a(kind.noun)}", hint=f"it looks like {kind.id}/{parts}")


def _a(noun: str) -> str:
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise UsageInvalid(str(error)) from error
