"""Find the object that an unanswered create may have made.  Touches: network (reads only), the clock.

Absence is proven only by a listing that was begun after the uncertainty window had passed: a server may carry out a
request that we gave up on, and its lists may lag behind.  The clock is read before the list, never after it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from reconciler.model.flow import Send, drive
from reconciler.model.kind import AnyKind, Wire
from reconciler.model.provider import Clock
from reconciler.model.resource import Address, LiveObject
from reconciler.model.values import Fields

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0


@dataclass(frozen=True)
class LostCreates:
    """``known`` are the remote ids that were listed before this run sent anything; ``began`` is when it began.

    An intent that an earlier process left behind counts from ``began``: that process is dead and sends no more, and
    its own clock is not to be trusted.
    """

    clock: Clock
    kinds: Mapping[str, AnyKind]
    known: frozenset[str]
    began: float
    on_wait: Callable[[str], None]

    async def find(
        self,
        address: Address,
        op: str,
        *,
        parent_id: str | None,
        path: tuple[str, ...],
        by_name: bool,
        fields: Fields,
        send: Send,
        wire: Wire,
        until: float,
        remote_id: str | None = None,
    ) -> LiveObject | None:
        """What was made, or None once its absence is certain.

        ``until`` is the monotonic second from which on a listing proves absence.  With ``by_name`` a new object of
        this name, and with the files of ``fields``, that carries no marker counts as ours; ``remote_id`` is the
        object itself, where its id is known.
        """
        pause = FIRST_PAUSE_S
        while True:
            now = self.clock.monotonic()
            listed = await drive(self.kinds[address.kind].list(parent_id, wire), send, self.clock.sleep)
            objects = [self.kinds[address.kind].read(item, path, lambda _, __: None) for item in listed]
            there = [item for item in objects if item is not None]
            ours = [item for item in there if item.remote_id == remote_id] or [
                item for item in there if self._is_ours(item, address, op, fields if by_name else None)
            ]
            if ours:
                return min(ours, key=lambda item: tuple(map(str, item.rank)))
            if now >= until:
                return None
            if pause == FIRST_PAUSE_S:
                self.on_wait(f"{address} may have been created and not show yet; making sure for {until - now:.0f} s")
            await self.clock.sleep(min(pause, until - now))
            pause = min(LONGEST_PAUSE_S, pause * 2)

    def _is_ours(self, item: LiveObject, address: Address, op: str, by_fields: Fields | None) -> bool:
        if item.op is not None:
            return item.op == op
        if by_fields is None or item.address != address or item.archived or item.remote_id in self.known:
            return False
        return self.kinds[address.kind].has_files(item.fields, by_fields)
