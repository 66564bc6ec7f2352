"""Run a coroutine under signals: the first one lets running requests finish, the second stops at once.

A call that blocks, as to a state whose server does not answer, keeps the loop from hearing of signals, and Python, too,
where it happens in a library.  So a thread listens, and ends the process when a second signal does not.
"""

from __future__ import annotations

import asyncio
import os
import select
import signal
import threading
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import suppress
from types import FrameType
from typing import TYPE_CHECKING, Any, TypeVar

from reconciler.errors import Interrupted

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.pipeline.session import Request, Session
    from reconciler.settings import Settings

T = TypeVar("T")

GRACE_S = 3.0
"""How long a run that was told twice to stop may take to tidy up: to write down what it did, and to free its lock."""

HEARD = (signal.SIGINT, signal.SIGTERM)
_THE_END = b"\0"


class Signals:
    """What SIGINT and SIGTERM do now.

    While ``gently`` is set, the first signal only calls it; otherwise, and the second time, the run is cancelled.  If
    that does not end it, the process ends as if it had been killed, which the state is made for.
    """

    def __init__(self, say: Callable[[str], None]) -> None:
        self.gently: Callable[[], None] | None = None
        self.received: int | None = None
        self._say = say
        self._reacted = False
        self._task: asyncio.Task[Any] | None = None
        self._listener: threading.Thread | None = None
        self._waker = -1
        self._is_over = threading.Event()

    def watch(self, task: asyncio.Task[Any]) -> None:
        """Cancel ``task`` when it comes to that; until ``forget``."""
        self._task = task
        woken, self._waker = os.pipe()
        os.set_blocking(self._waker, False)
        signal.set_wakeup_fd(self._waker)  # written to at once, whatever keeps the loop or Python waiting
        for each in HEARD:
            signal.signal(each, self._note)
        listen = threading.Thread(target=self._listen, args=(woken, asyncio.get_running_loop()), daemon=True)
        self._listener = listen
        listen.start()

    def forget(self) -> None:
        """The run is over: signals are nobody's concern any more."""
        self._is_over.set()
        if self._listener is None:
            return
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        os.write(self._waker, _THE_END)
        self._listener.join()
        os.close(self._waker)

    def _listen(self, woken: int, loop: asyncio.AbstractEventLoop) -> None:
        times = 0
        with os.fdopen(woken, "rb", buffering=0) as signals:
            while (number := signals.read(1)) != _THE_END:
                times += 1
                with suppress(RuntimeError):  # the loop is closed: all is done
                    loop.call_soon_threadsafe(self._react)
                if times > 1 and not self._is_over.wait(GRACE_S):
                    _end_process(number[0])

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

    try:
        return asyncio.run(watched())
    finally:
        signals.forget()


def _end_process(number: int) -> None:
    """Now, and without tidying up: whatever would, is waiting."""
    told = b"error: stopped at once, while something did not answer; the next run goes on from what is recorded\n"
    with suppress(OSError):
        os.write(2, told)
    os._exit(128 + number)


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

    async def main(signals: Signals) -> T:
        hooks = Hooks(
            event=console.event, note=console.story, progress=console.evaluating, check=signals.raise_if_received
        )
        if ahead:
            from reconciler.pipeline.ahead import session_ahead

            opened = session_ahead(request, settings, hooks)
        else:
            opened = session(request, settings, hooks, manifests=manifests, mends=mends)
        async with opened as here:
            return await work(here)

    return run(main, console.story)
