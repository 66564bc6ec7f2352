"""Hold the state's lock, and wait for it as long as the request allows.  Touches: the state's lock, the clock."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager

from reconciler.concurrency import Stopped, unless
from reconciler.errors import Interrupted, LockHeld, ReconcilerError
from reconciler.model.provider import Holder, StateStore
from reconciler.model.values import format_duration
from reconciler.pipeline.session import Session

FIRST_PAUSE_S = 0.25
LONGEST_PAUSE_S = 2.0


@asynccontextmanager
async def locked(here: Session, operation: str, store: StateStore | None = None) -> AsyncIterator[Holder]:
    """Hold the lock for an ``async with`` block: the session's, or another store's.

    Raises LockHeld, naming the holder, when somebody else has it and the request's ``lock_timeout_s`` is over;
    Interrupted when the session is told to stop while it waits.  A lock that cannot be freed is the session's
    last error: what was done under it is told first.
    """
    with ExitStack() as held:
        holder = await _taken(here, store or here.store, operation, held)
        here.hooks.check()
        yield holder
        try:
            held.close()
        except ReconcilerError as error:
            here.last_error = error


async def _taken(here: Session, store: StateStore, operation: str, held: ExitStack) -> Holder:
    patience = here.request.lock_timeout_s
    deadline, pause, told = here.clock.monotonic() + patience, FIRST_PAUSE_S, False
    while True:
        try:
            return held.enter_context(store.lock(operation))
        except LockHeld as error:
            left = deadline - here.clock.monotonic()
            if left <= 0:
                raise _given_up(error, patience) from error
            if not told:
                here.hooks.note(f"waiting up to {format_duration(patience)}: {error.message}")
                told = True
        await _sleep(here, min(pause, left))
        pause = min(2 * pause, LONGEST_PAUSE_S)


async def _sleep(here: Session, seconds: float) -> None:
    """Wait, but not once the session is told to stop: nothing has begun that would have to be finished."""
    try:
        await unless(here.stop, here.clock.sleep(seconds))
    except Stopped as error:
        raise Interrupted("interrupted while it waited for the lock; nothing was changed") from error


def _given_up(error: LockHeld, patience: float) -> LockHeld:
    if not patience:
        return error
    return LockHeld(f"after {format_duration(patience)}, {error.message}", hint=error.hint)
