"""What all triggers of one run share, and the note that each of them has.

Touches nothing itself: requests go through ``send``, durable notes through ``record``, time through ``clock``.
"""

from __future__ import annotations

import asyncio
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Mapping
from functools import cached_property
from typing import TypeAlias, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from reconciler.concurrency import all_at_once
from reconciler.errors import RateLimited, ReadFailed, Unreachable
from reconciler.evaluating.notes import Started, forgotten, started_before, task_key, under_way
from reconciler.evaluating.waiting import LAST_LOOK_S, TimeIsUp, in_time, pauses
from reconciler.model.call import Call, Flow, Reply, Wire
from reconciler.model.flow import Send, drive
from reconciler.model.measuring import Measuring, Trigger
from reconciler.model.provider import Clock
from reconciler.model.resource import Address
from reconciler.model.state import Record
from reconciler.model.values import Fields

T = TypeVar("T")
OnProgress: TypeAlias = Callable[[int, int, str], None]

DOUBT_S = 60.0
"""How long a lost trigger can still turn up, unless it is said, and how long its results may take."""
FAILED_READS = 3
"""How many failed reads in a row, each already retried by the transport, end the waiting."""


class Run(Struct, frozen=True, kw_only=True, dict=True):
    """What all triggers of one run share: how to ask, what is known of them already, and for how long to wait.

    ``measuring``   how what stands at an address is measured.
    ``record``      keeps a note; it must be durable when it returns.
    ``on_progress`` is told (done, total, what) after each trigger.
    ``parallelism`` bounds the requests in flight.
    ``tasks``       ``State.tasks``: a trigger noted there is not sent again (``notes`` finds the triggers to give).
    ``resumed``     neither is one sent again that is noted as over, nor are the runs started that a series lacks: it
                    stays noted for a run that may start them.
    ``began``       the monotonic second from which the deadline counts.
    ``wait``        False returns as soon as everything is started, however long that takes.
    ``doubt_s``     the uncertainty window: for how long a trigger whose reply was lost may still turn up.  What an
                    earlier process left in doubt counts from now, less what was spent on looking for it: nobody knows
                    when it was sent.
    """

    measuring: Callable[[Address], Measuring]
    send: Send
    wire: Wire
    clock: Clock
    record: Callable[[Record], Awaitable[None]]
    on_progress: OnProgress = lambda _done, _total, _what: None
    parallelism: int
    tasks: Mapping[str, Fields] = {}
    resumed: bool = False
    began: float
    deadline_s: float
    wait: bool = True
    doubt_s: float = DOUBT_S

    @cached_property
    def names(self) -> Mapping[tuple[str, str], str]:
        """The name of what has a remote id, by the name of its root and that id."""
        return {(address.root, remote_id): address.name for address, remote_id in self.wire.ids.items()}

    @cached_property
    def slots(self) -> asyncio.Semaphore:
        """Held for each request in flight."""
        return asyncio.Semaphore(self.parallelism)

    @cached_property
    def starting(self) -> defaultdict[tuple[str, str | None], asyncio.Lock]:
        """Held for a subject and a place while something is started there."""
        return defaultdict(asyncio.Lock)

    @property
    def now(self) -> float:
        """Monotonic seconds, as all points in time here."""
        return self.clock.monotonic()

    @property
    def deadline(self) -> float:
        """When nobody waits any longer."""
        return self.began + self.deadline_s if self.wait else math.inf

    @property
    def end(self) -> float:
        """When the last look is over."""
        return self.deadline + LAST_LOOK_S

    async def ask_until(self, until: float, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        """The first answer that is not None; None when time is up.  Asks at least once."""
        pause, failures = pauses(), 0
        while True:
            try:
                answer = await ask()
                failures = 0
            except TimeIsUp:
                return None
            except (ReadFailed, RateLimited, Unreachable):
                answer, failures = None, failures + 1
                if failures == FAILED_READS:
                    raise
            left = until - self.now
            if answer is not None or left <= 0:
                return answer
            await self.clock.sleep(min(next(pause), left))

    async def read(self, flow: Flow[T]) -> T:
        """What is read before the end.  Raises TimeIsUp, whatever the reading was waiting for."""
        return await in_time(drive(flow, self._send, self.clock.sleep, all_at_once(self._send)), self.end - self.now)

    async def _send(self, call: Call) -> Reply:
        async with self.slots:
            return await self.send(call)


class Note:
    """What is noted of one trigger: durable when a method returns."""

    def __init__(self, run: Run, trigger: Trigger) -> None:
        self._record, self._key = run.record, task_key(trigger)
        self.started = started_before(trigger, run.tasks, resumed=run.resumed)
        """What it says; None where there is none."""

    async def say(self, started: Started) -> None:
        """Note this, instead of what was noted."""
        self.started = started
        await self._record(under_way(started))

    async def say_over(self) -> None:
        """Note that it is over, while others are not."""
        if self.started is not None and not self.started.over:
            await self.say(replace(self.started, over=True))

    async def remove(self) -> None:
        """Note that there is nothing to be known of it."""
        self.started = None
        await self._record(forgotten(self._key))
