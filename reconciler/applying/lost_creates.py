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

from reconciler.applying.siblings import Siblings
from reconciler.concurrency import Stopped, unless
from reconciler.errors import Withheld
from reconciler.model.kind import AnyKind, Replace
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


class Sought(Struct, frozen=True):
    """What a create of ``op`` may have made.

    ``until`` is the monotonic second from which on a listing proves absence; without it nothing was sent yet.  With
    ``by_name`` a new object of this name, and with the files of ``fields``, that carries no marker counts as ours;
    ``remote_id`` is the object itself, where its id is known.  ``taken``: the platform says that something has the
    name, so the first list that shows something of it shows all there is to be found.
    """

    address: Address
    op: str
    fields: Fields
    by_name: bool
    until: float = -math.inf
    remote_id: str | None = None
    taken: bool = False

    @property
    def is_unsent(self) -> bool:
        return self.until == -math.inf


class LostCreates(Struct, frozen=True):
    """Looks for what creates without an answer have made, in lists that all who look at the same time share.

    ``known`` are the remote ids that were listed before this run sent anything, ``owned`` those that we remember;
    ``began`` is when the run began.

    An intent that an earlier process left behind counts from ``began``: that process is dead and sends no more, and
    its own clock is not to be trusted.
    """

    clock: Clock
    known: frozenset[str]
    owned: frozenset[str]
    began: float
    on_wait: Callable[[str], None]
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    _lists: dict[tuple[str, str | None], _List] = field(default_factory=dict)

    async def find(self, sought: Sought, siblings: Siblings) -> LiveObject | Absence:
        """What was made, or the proof of its absence.  Raises ApiError; Withheld when it is to stop before it knows."""
        pause, until = FIRST_PAUSE_S, sought.until
        shared_s = SHARED_UNSENT_S if sought.is_unsent else SHARED_S
        while True:
            now = self.clock.monotonic()
            listed = self._list(siblings, max(until, now - shared_s) if now >= until else now)
            there = await listed.there
            is_late = listed.began >= until
            if ours := self._ours(sought, siblings.kind, there, is_late=is_late):
                return min(ours, key=lambda item: tuple(map(str, item.rank)))
            if is_late or (sought.taken and sought.address in there.by_address):
                return Absence(listed.began, self._stranger(sought, siblings.kind, there))
            if pause == FIRST_PAUSE_S:
                what = f"{sought.address} may have been created and not show yet"
                self.on_wait(f"{what}; making sure for {until - now:.0f} s")
            try:
                await unless(self.stop, self.clock.sleep(min(pause, until - now)))
            except Stopped as error:
                why = "the run was interrupted before it could show"
                hint = "apply again: it is looked for first"
                raise Withheld(why, method="GET", path=str(sought.address), hint=hint) from error
            pause = min(LONGEST_PAUSE_S, pause * 2)

    def _ours(self, sought: Sought, kind: AnyKind, there: _There, *, is_late: bool) -> Sequence[LiveObject]:
        """What the create has made, by what tells it best: its id, its marker, or its name."""
        known = there.by_id.get(sought.remote_id or "")
        if known is not None:
            return [known]
        marked = there.by_op.get(sought.op, ())
        if at_home := [item for item in marked if item.address == sought.address]:
            return at_home
        if marked and is_late:  # before, somebody may have copied the mark, or renamed the object: time will tell
            return marked
        named = there.by_address.get(sought.address, ()) if sought.by_name else ()
        return [item for item in named if item.op is None and self._may_be_ours(item, kind, sought.fields)]

    def _may_be_ours(self, item: LiveObject, kind: AnyKind, fields: Fields) -> bool:
        """Whether an object without a marker was not there when the run began, and has the files of ``fields``."""
        new = not item.archived and item.remote_id not in self.known
        return new and kind.has_files(item.fields, fields)

    def _stranger(self, sought: Sought, kind: AnyKind, there: _There) -> LiveObject | None:
        """Somebody else's object of this name.

        Once something was sent that is whatever has it, new or not, unless there may be several.
        """
        sent = not sought.is_unsent and kind.replace is not Replace.CREATE_THEN_RETIRE
        old = self.owned if sent else self.owned | self.known
        named = there.by_address.get(sought.address, ())
        return next((item for item in named if not item.archived and item.remote_id not in old), None)

    def _list(self, siblings: Siblings, since: float) -> _List:
        """A list that was begun at ``since`` or later: one that somebody else reads, or a new one."""
        shared = self._lists.get(siblings.key)
        if shared is None or shared.began < since or shared.is_broken:
            began = self.clock.monotonic()
            shared = _List(began, asyncio.create_task(self._read(siblings)))
            shared.there.add_done_callback(_heard)
            self._lists[siblings.key] = shared
        return shared

    async def _read(self, siblings: Siblings) -> _There:
        return _understood(await siblings.read(self.clock.sleep))

    def renew(self, siblings: Siblings) -> bool:
        """See to it that a list is read which proves what was not sent yet; whether it is there already."""
        return self._list(siblings, self.clock.monotonic() - SHARED_UNSENT_S).there.done()

    async def close(self) -> None:
        """Read no further."""
        reading = [each.there for each in self._lists.values() if not each.there.done()]
        for each in reading:
            each.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


class _There(Struct, frozen=True):
    """What one list showed: understood once, however many creates look into it."""

    by_id: Mapping[str, LiveObject]
    by_op: Mapping[str, Sequence[LiveObject]]
    by_address: Mapping[Address, Sequence[LiveObject]]


def _understood(items: Sequence[LiveObject]) -> _There:
    by_op, by_address = defaultdict[str, list[LiveObject]](list), defaultdict[Address, list[LiveObject]](list)
    for item in items:
        by_address[item.address].append(item)
        if item.op is not None:
            by_op[item.op].append(item)
    return _There({item.remote_id: item for item in items}, by_op, by_address)


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
