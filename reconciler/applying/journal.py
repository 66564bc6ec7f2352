"""Turn many concurrent writers into few durable appends (group commit).  Touches: whatever the append does.

While one append runs, the records that arrive wait together for the next::

    worker 1  write(a) ─┐                    a durable
    worker 2  write(b)  ├ append(a)          │   b, c durable
    worker 3  write(c)  └──── append(b, c) ──┴───┘

And since an append costs the same whatever its size, a busy journal begins one every few milliseconds only, later
while most of those who write are still busy with their requests.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable, Sequence
from contextlib import suppress

from reconciler.errors import StateUnreadable
from reconciler.model.call import Call, Reply
from reconciler.model.flow import Send
from reconciler.model.provider import Provider
from reconciler.model.resource import Address
from reconciler.model.state import Folding, Record, State

FRESH_S = 2.0
"""How long after a successful append the lock counts as held.  Whoever was frozen for longer asks again."""

MOST_QUESTIONS = 3
"""How often the lock is asked for at most: a store may be so slow that its answer is never fresh."""

GATHER_S = 0.004
"""The least time between the beginnings of two appends.  Short beside a request over a network."""

PATIENT_S = 0.012
"""The most time between them, while fewer than half of the writers are waiting and the last append was shared."""

AT_ONCE = 1000
"""The most records in one append of ``write_all``: a store may have limits."""


class Journal:
    """Writes records through ``append``, a blocking function such as a state store's.

    ``append`` is called in a thread, never twice at a time, with records in the order of ``write`` that ``state``
    could take.  Once it has failed the journal is broken: nothing can be known to be durable any more, so every later
    write fails too.  ``state`` is what was loaded; ``now`` gives seconds that never go backwards; ``writers`` is how
    many may want to write at the same time.
    """

    def __init__(
        self,
        append: Callable[[Sequence[Record]], None],
        state: State,
        now: Callable[[], float] = time.monotonic,
        *,
        writers: int = 1,
    ) -> None:
        self._append = append
        self._folding = Folding(state)
        self._now = now
        self._many = max(1, writers // 2)
        self._many_wait = asyncio.Event()
        self._is_shared = False
        self._confirmed = self._begun = -math.inf
        self._waiting: list[tuple[Record | None, asyncio.Future[None]]] = []
        self._has_written = False
        self._writer: asyncio.Task[None] | None = None
        self._closed = False
        self.failure: BaseException | None = None

    @property
    def is_to_commit(self) -> bool:
        """Whether anything was written, and nothing has failed."""
        return self._has_written and self.failure is None

    @property
    def renamed(self) -> Sequence[tuple[Address, Address]]:
        """What was moved to another address, with what stands in it: (former, address), in order."""
        return self._folding.renamed

    def state(self) -> State:
        """The state after everything that was handed to ``append`` so far; of no use after a ``failure``."""
        return self._folding.state()

    async def write(self, record: Record) -> None:
        """Return when ``record`` is durable; raise what the append raised when it may not be.

        The record is written even if the caller is cancelled while it waits.  Raises StateUnreadable after
        ``close``.
        """
        await self._handed_in(record)

    async def write_all(self, records: Sequence[Record]) -> None:
        """Return when all of ``records`` are durable, in few appends; raise as ``write`` does."""
        for start in range(0, len(records), AT_ONCE):
            await asyncio.gather(*map(self._handed_in, records[start : start + AT_ONCE]))

    async def confirm(self) -> None:
        """Return when this run still held the lock a moment ago; raise what the store raised when it does not."""
        if self.failure is not None:
            raise self.failure
        for _ in range(MOST_QUESTIONS):
            if self._now() - self._confirmed <= FRESH_S:
                return
            await self._handed_in(None)

    def guard(self, provider: Provider) -> Send:
        """How to send to ``provider`` while this run holds the lock, and no write any more once it has lost it."""

        async def send(call: Call) -> Reply:
            return await provider.send(call, None if call.method == "GET" else self.confirm)

        return send

    def _handed_in(self, record: Record | None) -> asyncio.Future[None]:
        """What is done when ``record`` is durable, or when the lock was asked for where there is none."""
        if self.failure is not None:
            raise self.failure
        if self._closed:
            raise StateUnreadable("the journal is closed")
        loop = asyncio.get_running_loop()
        durable: asyncio.Future[None] = loop.create_future()
        self._waiting.append((record, durable))
        if len(self._waiting) >= self._many:
            self._many_wait.set()
        if self._writer is None or self._writer.done():
            self._writer = loop.create_task(self._write_all())
        return durable

    async def close(self) -> None:
        """Wait until everything handed in is written or has failed; take nothing more.  Look at ``failure`` then."""
        self._closed = True
        if self._writer is not None:
            await asyncio.wait([self._writer])

    async def _write_all(self) -> None:
        loop = asyncio.get_running_loop()
        batch: list[tuple[Record | None, asyncio.Future[None]]] = []
        while self._waiting:
            try:
                await self._gather()
                batch, self._waiting = self._waiting, []
                self._begun, self._is_shared = loop.time(), len(batch) > 1
                self._many_wait.clear()
                records = [record for record, _ in batch if record is not None]
                self._folding.take(records)  # first: what load could not read must not be written
                began = self._now()
                await loop.run_in_executor(None, self._append, records)
            except asyncio.CancelledError:
                self._fail(batch, StateUnreadable("the run was stopped before its journal was written"))
                raise
            except BaseException as error:  # noqa: BLE001 - whatever it was, those who wait must hear of it
                self._fail(batch, error)
                return
            self._has_written = self._has_written or bool(records)
            self._confirmed = began
            _tell([durable for _, durable in batch], None)
            batch = []

    async def _gather(self) -> None:
        """Wait for what is about to come: it can share the next append."""
        now = asyncio.get_running_loop().time
        if (early_s := self._begun + GATHER_S - now()) > 0:
            await asyncio.sleep(early_s)
        if self._is_shared and (patient_s := self._begun + PATIENT_S - now()) > 0:
            with suppress(TimeoutError):
                async with asyncio.timeout(patient_s):
                    await self._many_wait.wait()

    def _fail(self, batch: list[tuple[Record | None, asyncio.Future[None]]], error: BaseException) -> None:
        self.failure = error
        _tell([durable for _, durable in batch + self._waiting], error)
        self._waiting = []


def _tell(waiting: list[asyncio.Future[None]], error: BaseException | None) -> None:
    """Wake those who still wait; one who was cancelled does not."""
    for durable in waiting:
        if durable.done():
            continue
        if error is None:
            durable.set_result(None)
        else:
            durable.set_exception(error)
