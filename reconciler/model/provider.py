"""What the rest of the program asks of a vendor, of time and of chance.  Protocols only."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager
from typing import Protocol, TypeAlias

from msgspec import Struct

from reconciler.model.call import Call, Reply
from reconciler.model.kind import Vendor
from reconciler.model.state import Record, State

Permit: TypeAlias = Callable[[], Awaitable[None]]
"""Asked right before a request leaves; raises what shall end the call instead, when it must not be sent any more."""


class Provider(Protocol):
    """A connection to one vendor.  Everything else about the vendor is data: ``vendor.kinds``."""

    vendor: Vendor
    origin: str
    dialect: str
    requests: int

    async def send(self, call: Call, permit: Permit | None = None) -> Reply:
        """Send one request and return its 2xx answer.

        Retries by itself what is safe to retry; ``permit`` is asked before each attempt, after every wait.  Raises
        NotApplied, Conflict, OutcomeUnknown (writes) or ReadFailed (GET); never a library's exception.
        """
        ...

    async def close(self) -> None:
        """Let go of the connections."""
        ...


class Clock(Protocol):
    """Time.  Real, or virtual in tests."""

    def monotonic(self) -> float:
        """Seconds that never go backwards."""
        ...

    def now(self) -> float:
        """Unix seconds of the wall clock, for showing and for time ranges only."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Wait."""
        ...


class Holder(Struct, frozen=True):
    """Who holds a lock.

    ``since`` is an ISO 8601 time in UTC; ``job`` the CI job's URL, or empty.  ``lease`` says how long the lock lives
    when nobody breaks it, ready to print after "held": ``until its process ends``, ``until its connection ends``,
    ``until it is unlocked``.  No lock ends by the clock alone.
    """

    lock_id: str
    owner: str
    pid: int
    host: str
    operation: str
    since: str
    job: str = ""
    lease: str = "until its process ends"

    def __str__(self) -> str:
        job = f", {self.job}" if self.job else ""
        who = f"{self.owner} (pid {self.pid} on {self.host}, {self.operation})"
        return f"{who} since {self.since}{job}, lock {self.lock_id}"


class StateStore(Protocol):
    """Where one environment's state lives: a snapshot, and a journal of what came after it.

    One writer at a time: ``append`` and ``commit`` need the lock and raise StateUnreadable without it.
    """

    def describe(self) -> str:
        """Where that is, for a person."""
        ...

    def load(self) -> State:
        """The snapshot with the journal folded in; an empty State (lineage "") when there is none yet.

        Reads without the lock.  Raises StateUnreadable.
        """
        ...

    def lock(self, operation: str) -> AbstractContextManager[Holder]:
        """Hold the lock for a ``with`` block.  Raises LockHeld, naming the holder, when somebody else does."""
        ...

    def append(self, records: Sequence[Record]) -> None:
        """Add records to the journal; they are durable when this returns.  Blocking: call it off the event loop.

        They are written as they are: whoever hands them in has folded them first, for what ``load`` could not read
        must not be written.

        Without records it only makes sure that the lock is still held, and raises StateUnreadable when it is not.
        """
        ...

    def commit(self, state: State) -> State:
        """Replace the snapshot atomically, with the next serial, and empty the journal.  Returns what was written."""
        ...

    def holder(self) -> Holder | None:
        """Who holds the lock right now, if anybody."""
        ...

    def unlock(self, lock_id: str) -> None:
        """Break the lock with this id.  Raises UsageInvalid when no such lock is held."""
        ...
