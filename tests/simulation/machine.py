"""A machine without luck: time that passes only when everybody waits, and processes that die and freeze on schedule.

One event loop is the whole world: the platform and every process run on it as tasks, so one seed gives one run of
events.  A process reaches the world through its clock, its disk and its connection only.  Each use of them is a
*moment*; at any moment it may die, which ends all of its effects at once, or freeze, which holds all of them back.
"""

from __future__ import annotations

import asyncio
import os
import selectors
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from reconciler.model.provider import Holder
from reconciler.model.state import Record, State
from reconciler.storage.file import FileStore

T = TypeVar("T")
EPOCH = 1_795_000_000.0
"""Unix seconds at which every world begins."""


class Killed(BaseException):
    """The process is dead: no handler may catch this."""


class _Skipping(selectors.SelectSelector):
    """Waits for nothing: the time that the loop would wait has passed."""

    def __init__(self) -> None:
        super().__init__()
        self.passed = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        if timeout is None:
            raise RuntimeError("everybody waits, and nothing will ever happen")
        self.passed += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop in virtual time; what would run in a thread runs between two moments of its process."""

    def __init__(self) -> None:
        self._skipping = _Skipping()
        super().__init__(self._skipping)
        self._clock_resolution = 1e-6
        self.set_exception_handler(lambda _, __: None)  # those who died do not wait for each other

    def time(self) -> float:
        return self._skipping.passed

    def skip(self, seconds: float) -> None:
        """Let time pass in which nobody does anything, not even who could."""
        self._skipping.passed += seconds

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]
        process = CURRENT.get()
        if process is None:
            raise RuntimeError("only processes have threads here")
        return self.create_task(process.in_a_thread(func, *args))


class Process:
    """One process of ours.  Dies at the moment ``dies_at``; freezes at the moments in ``freezes``, for so many seconds.

    ``dies_within`` is the number of the write that it dies in the middle of, ``torn`` how much of that is on the disk.
    ``on_freeze`` hears of every freeze.  Moments and writes count from 0; ``log`` names them.
    """

    def __init__(
        self,
        name: str,
        loop: asyncio.AbstractEventLoop,
        *,
        dies_at: int | None = None,
        dies_within: int | None = None,
        torn: float = 0.5,
        freezes: dict[int, float] | None = None,
        log: Callable[[str], None] = lambda _: None,
        on_freeze: Callable[[float], None] = lambda _: None,
    ) -> None:
        self.name, self._loop, self._log = name, loop, log
        self._dies_at, self._dies_within = dies_at, dies_within
        self._torn, self._freezes = torn, freezes or {}
        self._writes = 0
        self._on_freeze = on_freeze
        self._waiting: set[asyncio.Future[None]] = set()
        self._thaws_at = 0.0
        self.moments = 0
        self.dead = False
        self.locked_at = 0.0

    # -- being alive

    def _count(self, what: str) -> int:
        if self.dead:
            raise Killed
        number, self.moments = self.moments, self.moments + 1
        if number == self._dies_at:
            self._end(what)
        return number

    def _end(self, what: str) -> None:
        self._log(f"dies: {what}")
        self.die()
        raise Killed

    def instant(self, what: str) -> None:
        """A moment at which the process may die."""
        self._count(what)

    async def moment(self, what: str) -> None:
        """A moment at which the process may die or freeze; a frozen process gets over it when it thaws."""
        seconds = self._freezes.get(self._count(what), 0.0)
        if seconds:
            self._log(f"freezes for {seconds:.0f} s: {what}")
            self._thaws_at = max(self._thaws_at, self._loop.time() + seconds)
            self._on_freeze(seconds)
        await self.thawed()

    async def thawed(self) -> None:
        """Return when the process is not frozen."""
        while (left := self._thaws_at - self._loop.time()) > 0:
            await self.pause(left)

    def die(self) -> None:
        """End every effect that is under way."""
        self.dead = True
        for waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(Killed())

    async def pause(self, seconds: float) -> None:
        """Let time pass, until the process dies."""
        await self.until(self._loop.create_future(), after=seconds)

    async def until(self, event: asyncio.Future[None], after: float | None = None) -> None:
        """Wait for the event, or for ``after`` seconds, or for death."""
        if self.dead:
            raise Killed
        self._waiting.add(event)
        timer = self._loop.call_later(after, _wake, event) if after is not None else None
        try:
            await event
        finally:
            self._waiting.discard(event)
            if timer is not None:
                timer.cancel()

    async def in_a_thread(self, func: Callable[..., T], *arguments: Any) -> T:
        """What blocks: nobody else of this process waits for it."""
        await self.moment("before the disk")
        result = func(*arguments)
        await self.moment("after the disk")
        return result

    # -- Clock

    def monotonic(self) -> float:
        return self._loop.time()

    def now(self) -> float:
        return EPOCH + self._loop.time()

    async def sleep(self, seconds: float) -> None:
        await self.pause(max(0.0, seconds))
        await self.moment(f"after {seconds:.1f} s of sleep")

    async def as_one(self, work: Awaitable[T]) -> T:
        """Run ``work`` as this process."""
        CURRENT.set(self)
        return await work

    # -- the disk

    def within_write(self, size: int) -> None:
        """The moment at which a part of ``size`` bytes is on the disk."""
        number, self._writes = self._writes, self._writes + 1
        self._count(f"within the writing of {size} bytes")
        if number == self._dies_within:
            self._end(f"with {self.torn(size)} of {size} bytes written")

    def torn(self, size: int) -> int:
        """How much of a write of ``size`` bytes is on the disk when the process dies in the middle of it."""
        return int(self._torn * size)


def _wake(event: asyncio.Future[None]) -> None:
    if not event.done():
        event.set_result(None)


CURRENT: ContextVar[Process | None] = ContextVar("CURRENT", default=None)
_writing: list[Process] = []


class MortalStore(FileStore):
    """The store in a folder, whose process may die before, within and after every write, rename and sync."""

    def __init__(self, folder: Path, process: Process) -> None:
        super().__init__(folder, "default", now=lambda: datetime.fromtimestamp(process.now(), UTC))
        self._process = process

    def load(self) -> State:
        self._process.instant("before the state is read")
        return super().load()

    def append(self, records: Sequence[Record]) -> None:
        with self._on_disk():
            super().append(records)

    def commit(self, state: State) -> State:
        with self._on_disk():
            return super().commit(state)

    @contextmanager
    def lock(self, operation: str) -> Iterator[Holder]:
        self._process.instant("before the lock")
        with super().lock(operation) as holder:
            self._process.locked_at = self._process.monotonic()
            yield holder

    @contextmanager
    def _on_disk(self) -> Iterator[None]:
        if self._process.dead:
            raise Killed
        _writing.append(self._process)
        try:
            yield
        finally:
            _writing.pop()


@contextmanager
def mortal_disk() -> Iterator[None]:
    """Let the system calls that write be moments, for as long as a ``MortalStore`` writes."""
    write, rename, sync = os.write, os.replace, os.fsync

    def mortal_write(descriptor: int, data: Any) -> int:
        if not _writing:
            return write(descriptor, data)
        process, size = _writing[-1], len(data)
        process.instant(f"before {size} bytes are written")
        try:
            process.within_write(size)
        except Killed:
            write(descriptor, bytes(data[: process.torn(size)]))
            raise
        written = write(descriptor, data)
        process.instant(f"after {size} bytes were written")
        return written

    def mortal_rename(source: Any, target: Any, **options: Any) -> None:
        if not _writing:
            return rename(source, target, **options)
        _writing[-1].instant(f"before {Path(target).name} is replaced")
        rename(source, target, **options)
        _writing[-1].instant(f"after {Path(target).name} was replaced")
        return None

    def mortal_sync(descriptor: int) -> None:
        if not _writing:
            return sync(descriptor)
        sync(descriptor)
        _writing[-1].instant("after a sync")
        return None

    os.write, os.replace, os.fsync = mortal_write, mortal_rename, mortal_sync  # type: ignore[assignment]
    try:
        yield
    finally:
        os.write, os.replace, os.fsync = write, rename, sync
