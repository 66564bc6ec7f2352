"""Run a coroutine under signals: the first one lets running requests finish, the second stops at once."""

from __future__ import annotations

import asyncio
import os
import select
import signal
from collections.abc import Awaitable, Callable, Coroutine
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.errors import Interrupted

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.pipeline.session import Request, Session
    from reconciler.settings import Settings

T = TypeVar("T")


class Signals:
    """What SIGINT and SIGTERM do now.

    While ``gently`` is set, the first signal only calls it; otherwise, and the second time, the run is cancelled.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.gently: Callable[[], None] | None = None
        self.received: int | None = None
        self._say = say
        self._reacted = False
        self._task: asyncio.Task[Any] | None = None

    def watch(self, task: asyncio.Task[Any]) -> None:
        """Cancel ``task`` when it comes to that."""
        self._task = task
        loop = asyncio.get_running_loop()
        for each in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(each, self._react)
            signal.signal(each, self._note)  # the loop still wakes, and whoever keeps it waiting knows, too

    def _note(self, number: int, _: FrameType | None) -> None:
        self.received = number

    def _react(self) -> None:
        first, self._reacted = not self._reacted, True
        if first and self.gently is not None:
            self._say("stopping: letting the running requests finish; once more stops at once")
            self.gently()
        elif self._task is not None:
            self._task.cancel()

    def wait_for_input(self, descriptor: int) -> None:
        """Keep everything waiting until there is something to read.

        Raises Interrupted when a signal comes first, or has come before.
        """
        woken, waker = os.pipe()
        os.set_blocking(waker, False)
        before = signal.set_wakeup_fd(waker)  # the loop needs not hear of a signal that ends the waiting
        try:
            if self.received is None:  # one that comes from here on has written to the pipe
                select.select([descriptor, woken], [], [])
        finally:
            signal.set_wakeup_fd(before)
            os.close(waker)
            os.close(woken)
        if self.received is not None:
            raise Interrupted("interrupted before anything was agreed to; nothing was changed")

    def raise_if_received(self) -> None:
        """Raise Interrupted when a signal has come in."""
        if self.received is not None:
            raise self.interrupted()

    def interrupted(self, error: Interrupted | None = None) -> Interrupted:
        """The error to end with: its exit code is 128 plus the signal's number."""
        error = error or Interrupted("interrupted; what was done is recorded, and the next run goes on from there")
        error.exit_code = 128 + (self.received or signal.SIGINT)
        return error


def run(main: Callable[[Signals], Coroutine[Any, Any, T]], say: Callable[[str], None]) -> T:
    """Run ``main`` to its end.  Raises Interrupted when a signal cut it short."""
    signals = Signals(say)

    async def watched() -> T:
        task = asyncio.ensure_future(main(signals))
        signals.watch(task)
        try:
            return await task
        except asyncio.CancelledError:
            raise signals.interrupted() from None
        except Interrupted as error:
            raise signals.interrupted(error) from None
        finally:
            signal.set_wakeup_fd(-1)  # the loop closes its end before it gives up its handlers

    return asyncio.run(watched())


def in_session(
    work: Callable[[Session], Awaitable[T]],
    request: Request,
    settings: Settings,
    console: Console,
    *,
    ahead: bool = False,
    manifests: bool = True,
    mends: bool = False,
) -> T:
    """Do the work in a ``session``, or with ``ahead`` in a ``session_ahead``; what happens is told by the console.

    Raises what they raise, and Interrupted when a signal cut it short.
    """
    from reconciler.pipeline.session import Hooks, session

    hooks = Hooks(event=console.event, note=console.story, progress=console.evaluating)
    if ahead:
        from reconciler.pipeline.ahead import session_ahead

        opened = session_ahead(request, settings, hooks)
    else:
        opened = session(request, settings, hooks, manifests=manifests, mends=mends)

    async def main(_: Signals) -> T:
        async with opened as here:
            return await work(here)

    return run(main, console.story)
