"""Find the object that an unanswered create may have made, or prove that there is none.  Touches: network (reads only),
the clock.

Absence is proven only by a listing that was begun after the uncertainty window had passed: a server may carry out a
request that we gave up on, and its lists may lag behind.  The clock is read before the list, never after it.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence

from msgspec import Struct, field

from reconciler.concurrency import all_at_once
from reconciler.model.flow import Send, drive
from reconciler.model.kind import AnyKind, Replace, Wire
from reconciler.model.provider import Clock
from reconciler.model.resource import Address, LiveObject
from reconciler.model.values import Fields

FIRST_PAUSE_S = 0.5
LONGEST_PAUSE_S = 5.0
SHARED_S = 1.0
"""A list that was begun at most this long ago serves everybody who asks for it."""
SHARED_UNSENT_S = 5.0
"""The same where nothing was sent yet: one list a parent, and not one a create, keeps a long run's proofs young."""


class Absence(Struct, frozen=True):
    """There is certainly no such object: the list that shows it was begun at the monotonic second ``at``.

    ``stranger`` has its identity and appeared since the run began.
    """

    at: float
    stranger: LiveObject | None = None


class LostCreates(Struct, frozen=True):
    """``known`` are the remote ids that were listed before this run sent anything, ``owned`` those that we remember;
    ``began`` is when the run began.

    An intent that an earlier process left behind counts from ``began``: that process is dead and sends no more, and
    its own clock is not to be trusted.
    """

    clock: Clock
    kinds: Mapping[str, AnyKind]
    known: frozenset[str]
    owned: frozenset[str]
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
        object itself, where its id is known.

        Once something was sent, what else has this name is a stranger's, new or not, unless there may be several.
        """
        kind, pause = self.kinds[address.kind], FIRST_PAUSE_S
        shared_s = SHARED_UNSENT_S if until == -math.inf else SHARED_S
        while True:
            now = self.clock.monotonic()
            since = max(until, now - shared_s) if now >= until else now
            listed = self._list(kind, parent_id, path, send, wire, since)
            there = await listed.there
            named = there.by_address.get(address, ())
            known = there.by_id.get(remote_id or "")
            marked = there.by_op.get(op, ())
            if listed.began < until:  # somebody may have copied the mark, or renamed the object: time will tell
                marked = [item for item in marked if item.address == address]
            ours = (
                [known] if known is not None else [item for item in marked if item.address == address] or list(marked)
            )
            if by_name and not ours:
                ours = [item for item in named if item.op is None and self._may_be_ours(item, fields)]
            if ours:
                return min(ours, key=lambda item: tuple(map(str, item.rank)))
            if listed.began >= until:
                sent = until > -math.inf and kind.replace is not Replace.CREATE_THEN_RETIRE
                old = self.owned if sent else self.owned | self.known
                strangers = (item for item in named if not item.archived and item.remote_id not in old)
                return Absence(listed.began, next(strangers, None))
            if pause == FIRST_PAUSE_S:
                self.on_wait(f"{address} may have been created and not show yet; making sure for {until - now:.0f} s")
            await self.clock.sleep(min(pause, until - now))
            pause = min(LONGEST_PAUSE_S, pause * 2)

    def _list(
        self, kind: AnyKind, parent_id: str | None, path: tuple[str, ...], send: Send, wire: Wire, since: float
    ) -> _List:
        """A list that was begun at ``since`` or later: one that somebody else reads, or a new one."""
        key = (kind.id, parent_id)
        shared = self._lists.get(key)
        if shared is None or shared.began < since or shared.is_broken:
            began = self.clock.monotonic()
            shared = _List(began, asyncio.create_task(self._read(kind, parent_id, path, send, wire)))
            shared.there.add_done_callback(_heard)
            self._lists[key] = shared
        return shared

    async def _read(
        self, kind: AnyKind, parent_id: str | None, path: tuple[str, ...], send: Send, wire: Wire
    ) -> _There:
        items = await drive(kind.list(parent_id, wire), send, self.clock.sleep, all_at_once(send))
        return _understood(kind, items, path)

    def renew(self, kind: AnyKind, parent_id: str | None, path: tuple[str, ...], send: Send, wire: Wire) -> bool:
        """See to it that a list is read which proves what was not sent yet; whether it is there already."""
        return self._list(kind, parent_id, path, send, wire, self.clock.monotonic() - SHARED_UNSENT_S).there.done()

    async def close(self) -> None:
        """Read no further."""
        reading = [each.there for each in self._lists.values() if not each.there.done()]
        for each in reading:
            each.cancel()
        await asyncio.gather(*reading, return_exceptions=True)

    def _may_be_ours(self, item: LiveObject, fields: Fields) -> bool:
        """Whether an object without a marker was not there when the run began, and has the files of ``fields``."""
        new = not item.archived and item.remote_id not in self.known
        return new and self.kinds[item.address.kind].has_files(item.fields, fields)


class _There(Struct, frozen=True):
    """What one list showed: understood once, however many creates look into it."""

    by_id: Mapping[str, LiveObject]
    by_op: Mapping[str, Sequence[LiveObject]]
    by_address: Mapping[Address, Sequence[LiveObject]]


def _understood(kind: AnyKind, items: Sequence[Fields], path: tuple[str, ...]) -> _There:
    by_op, by_address = defaultdict[str, list[LiveObject]](list), defaultdict[Address, list[LiveObject]](list)
    by_id: dict[str, LiveObject] = {}
    for each in items:
        item = kind.understand(each, path, lambda _, __: None)
        if item is None:
            continue
        by_id[item.remote_id] = item
        by_address[item.address].append(item)
        if item.op is not None:
            by_op[item.op].append(item)
    return _There(by_id, by_op, by_address)


def _heard(reading: asyncio.Task[_There]) -> None:
    """What failed is read again by whoever needs it; nobody may have waited for this one."""
    if not reading.cancelled():
        reading.exception()


class _List(Struct, frozen=True):
    """A list that is being read, and when that was begun (monotonic seconds)."""

    began: float
    there: asyncio.Task[_There]

    @property
    def is_broken(self) -> bool:
        return self.there.done() and (self.there.cancelled() or self.there.exception() is not None)
