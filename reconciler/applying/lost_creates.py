"""Find the object that an unanswered create may have made, or prove that there is none.  Touches: network (reads only),
the clock.

Absence is proven only by a listing that was begun after the uncertainty window had passed: a server may carry out a
request that we gave up on, and its lists may lag behind.  The clock is read before the list, never after it.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from reconciler.model.flow import Send, drive
from reconciler.model.kind import AnyKind, Wire
from reconciler.model.provider import Clock
from reconciler.model.resource import Address, LiveObject
from reconciler.model.values import Fields

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
SHARED_S = 1.0
"""A list that was begun at most this long ago serves everybody who asks for it."""


@dataclass(frozen=True, slots=True)
class Absence:
    """There is certainly no such object: the list that shows it was begun at the monotonic second ``at``.

    ``stranger`` has its identity and appeared since the run began.
    """

    at: float
    stranger: LiveObject | None = None


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
    _lists: dict[tuple[str, str | None], _List] = field(default_factory=dict)

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
        until: float = -math.inf,
        remote_id: str | None = None,
    ) -> LiveObject | Absence:
        """What was made, or the proof of its absence.

        ``until`` is the monotonic second from which on a listing proves absence.  With ``by_name`` a new object of
        this name, and with the files of ``fields``, that carries no marker counts as ours; ``remote_id`` is the
        object itself, where its id is known: then everything else of this name is a stranger's, new or not.
        """
        kind, pause = self.kinds[address.kind], FIRST_PAUSE_S
        while True:
            now = self.clock.monotonic()
            listed = self._list(kind, parent_id, send, wire, max(until, now - SHARED_S) if now >= until else now)
            objects = [kind.understand(item, path, lambda _, __: None) for item in await listed.items]
            there = [item for item in objects if item is not None]
            ours = [item for item in there if item.remote_id == remote_id] or [
                item for item in there if self._is_ours(item, address, op, fields if by_name else None)
            ]
            if ours:
                return min(ours, key=lambda item: tuple(map(str, item.rank)))
            if listed.began >= until:
                old = frozenset[str]() if remote_id is not None else self.known
                named = (item for item in there if item.address == address and not item.archived)
                return Absence(listed.began, next((item for item in named if item.remote_id not in old), None))
            if pause == FIRST_PAUSE_S:
                self.on_wait(f"{address} may have been created and not show yet; making sure for {until - now:.0f} s")
            await self.clock.sleep(min(pause, until - now))
            pause = min(LONGEST_PAUSE_S, pause * 2)

    def _list(self, kind: AnyKind, parent_id: str | None, send: Send, wire: Wire, since: float) -> _List:
        """A list that was begun at ``since`` or later: one that somebody else reads, or a new one."""
        key = (kind.id, parent_id)
        shared = self._lists.get(key)
        if shared is None or shared.began < since or shared.is_broken:
            began = self.clock.monotonic()
            reading = drive(kind.list(parent_id, wire), send, self.clock.sleep)
            shared = self._lists[key] = _List(began, asyncio.create_task(reading))
        return shared

    def _is_ours(self, item: LiveObject, address: Address, op: str, by_fields: Fields | None) -> bool:
        if item.op is not None:
            return item.op == op
        if by_fields is None or not self._is_new(item, address):
            return False
        return self.kinds[address.kind].has_files(item.fields, by_fields)

    def _is_new(self, item: LiveObject, address: Address) -> bool:
        """Whether it has this identity, and was not there when the run began."""
        return item.address == address and not item.archived and item.remote_id not in self.known


@dataclass(frozen=True, slots=True)
class _List:
    """A list that is being read, and when that was begun (monotonic seconds)."""

    began: float
    items: asyncio.Task[list[Fields]]

    @property
    def is_broken(self) -> bool:
        return self.items.done() and (self.items.cancelled() or self.items.exception() is not None)
