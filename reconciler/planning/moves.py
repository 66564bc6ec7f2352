"""Which addresses of ours move when live objects are remembered under the names that they have now.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from reconciler.errors import UsageInvalid
from reconciler.model.kind import AnyKind
from reconciler.model.records import renamed
from reconciler.model.resource import Address, LiveObject
from reconciler.model.state import Record, State, fold


def moves(
    state: State,
    objects: Mapping[Address, LiveObject],
    by_id: Mapping[str, LiveObject],
    kinds: Mapping[str, AnyKind],
) -> tuple[State, list[Record]]:
    """The state in which no entry of these objects stands at another address, and the ``renamed`` records to it.

    ``objects`` stand under the addresses that they get, ``by_id`` is everything that the platform lists.  A root
    takes along what we remember inside it, archived tests among it.  What the platform lists no more gives way.
    Raises UsageInvalid where that would lose the memory of something that is still there.
    """
    records: list[Record] = []
    for roots in (True, False):
        some = {address: item for address, item in objects.items() if address.is_root is roots}
        found = list(_renamed(state, some, by_id, kinds))
        state = fold(state, found)
        records += found
    return state, records


def _renamed(
    state: State,
    objects: Mapping[Address, LiveObject],
    by_id: Mapping[str, LiveObject],
    kinds: Mapping[str, AnyKind],
) -> Iterator[Record]:
    """Records in an order in which none moves onto another that is still to move."""
    holders = {(address.kind, entry.remote_id): address for address, entry in state.entries.items()}
    others = {a: item for a, item in objects.items() if a not in state.entries or not _has(state, a, item)}
    held = {address: holders.get((address.kind, item.remote_id)) for address, item in others.items()}
    waiting = {former: address for address, former in held.items() if former is not None}
    for address in others:
        if address in state.entries and address not in waiting:
            _check_gone(address, state.entries[address].remote_id, by_id)
    while waiting:
        free = [former for former, address in waiting.items() if address not in waiting]
        if not free:
            raise _exchanged(list(waiting))
        for former in free:
            yield renamed(former, waiting.pop(former), kinds)


def _has(state: State, address: Address, item: LiveObject) -> bool:
    return state.entries[address].remote_id == item.remote_id


def _check_gone(address: Address, remote_id: str, by_id: Mapping[str, LiveObject]) -> None:
    there = by_id.get(remote_id)
    if there is not None and not there.archived:
        raise UsageInvalid(
            f"{address} is ours already, as {remote_id}, which is called {there.address.name} at the platform now",
            hint=f"export that too; or forget it first: reconciler state rm '{address}'",
        )


def _exchanged(addresses: list[Address]) -> UsageInvalid:
    aside = addresses[0]._replace(path=(*addresses[0].path[:-1], f"{addresses[0].name} (aside)"))
    return UsageInvalid(
        f"{' and '.join(map(str, addresses))} have exchanged their names at the platform",
        hint=f"put one aside first: reconciler state mv '{addresses[0]}' '{aside}'",
    )
