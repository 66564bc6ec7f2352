"""The work of a run that is under way."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

from reconciler.errors import StateUnreadable


class InFlight:
    """What is being carried out.  An end costs the same however many are running; asyncio.wait looks at all of them."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._ended = asyncio.Event()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin one more."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    async def one_less(self) -> None:
        """Return when one is over.

        A failure ends the run, but the others are allowed to finish first: a task that outlives the run would go on
        without a journal.  When the run is cancelled, or nothing can be written down any more, they are stopped.
        """
        try:
            await self._ended.wait()
        except asyncio.CancelledError:
            await self._let_go(stopped=True)
            raise
        self._ended.clear()
        if self._failures:
            await self._let_go(stopped=isinstance(self._failures[0], StateUnreadable))
            raise self._failures[0]

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        if failure is not None:
            self._failures.append(failure)
        self._ended.set()

    async def _let_go(self, *, stopped: bool) -> None:
        left = tuple(self._tasks)
        for task in left if stopped else ():
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)
