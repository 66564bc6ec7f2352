"""What stands in something of ours and is in no manifest: somebody has made it by hand.  Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.model.kind import AnyKind, root_of
from reconciler.model.resource import Address, Desired, Live
from reconciler.model.state import State
from reconciler.planning.selecting import meant_by_any


def unmanaged(
    desired: Desired, live: Live, state: State, kinds: Mapping[str, AnyKind], select: Sequence[str] = ()
) -> tuple[tuple[Address, str], ...]:
    """(address, remote id) of what nobody remembers or declares, as it is called at the platform, sorted.

    What is archived or could not be declared is left out; so is what no glob of ``select`` means, if there are any.
    """
    entries = state.entries.items()
    remembered = {remote_id for _, entry in entries for remote_id in (entry.remote_id, *entry.retiring)}
    in_doubt = {intent.op for intent in state.in_doubt.values()}
    names = {(address.kind, entry.remote_id): address.root for address, entry in entries if address.is_root}
    roots = {item.address: names.get((item.address.kind, item.remote_id)) for item in live.objects}
    found = []
    for item in live.objects:
        root = roots.get(root_of(item.address, kinds))
        if root is None or item.archived or kinds[item.address.kind].create is None:
            continue
        if item.remote_id in remembered or item.op in in_doubt or item.address.in_root(root) in desired.resources:
            continue
        found.append((item.address, item.remote_id))
    chosen = meant_by_any(select, [address for address, _ in found]) if select else None
    return tuple(sorted(each for each in found if chosen is None or each[0] in chosen))
