"""Do several things at once, and fail or stop as one thing does.  Touches nothing itself: what is done is given."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from reconciler.model.call import Call, Reply
from reconciler.model.flow import Send, SendAll
from reconciler.model.provider import Clock

T = TypeVar("T")


async def all_of(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results, in order.

    The first failure cancels the rest, waits for them to let go, and is raised by itself.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failures:
        raise _first(failures) from None
    return [task.result() for task in tasks]


def all_at_once(send: Send) -> SendAll:
    """How to send the calls of a ``Together``, for ``drive``; what is too much at once, ``send`` holds back."""

    async def send_all(calls: Sequence[Call]) -> list[Reply]:
        return await all_of(_sent(send, call) for call in calls)

    return send_all


async def _sent(send: Send, call: Call) -> Reply:
    return await send(call)


class Stopped(Exception):
    """Something was told to stop before it was over."""


async def unless(stop: asyncio.Event, work: Coroutine[Any, Any, T]) -> T:
    """The result of ``work``.

    Raises Stopped when ``stop`` is set first: the work is cancelled then, and has let go.
    """
    if stop.is_set():
        work.close()
        raise Stopped
    working, stopping = asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((working, stopping), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Stopped
        return working.result()
    finally:
        working.cancel()
        stopping.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


class StoppableClock:
    """A clock on which nobody sleeps once ``stop`` is set: who does, or would, gets Stopped."""

    def __init__(self, clock: Clock, stop: asyncio.Event) -> None:
        self.monotonic, self.now = clock.monotonic, clock.now
        self._clock, self._stop = clock, stop

    async def sleep(self, seconds: float) -> None:
        """Wait.  Raises Stopped."""
        await unless(self._stop, self._clock.sleep(seconds))


def _first(failure: BaseException) -> BaseException:
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
