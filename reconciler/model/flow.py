"""Turns a flow, which only describes requests, into its result.  Does no I/O itself: sending and sleeping are given.

The one driver of flows: reading, applying and measuring all use it, so that errors and pauses mean the same everywhere.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing
from functools import partial
from typing import TypeAlias, TypeVar

from reconciler.errors import ApiError, OutcomeUnknown, ReadFailed
from reconciler.model.call import MISREAD, Call, Flow, Reply, Together, Wait

T = TypeVar("T")
Send: TypeAlias = Callable[[Call], Awaitable[Reply]]
SendAll: TypeAlias = Callable[[Sequence[Call]], Awaitable[Sequence[Reply]]]
Sleep: TypeAlias = Callable[[float], Awaitable[None]]


async def drive(flow: Flow[T], send: Send, sleep: Sleep, send_all: SendAll | None = None) -> T:
    """Run ``flow`` to its end and return its result.

    A Call is answered by ``send``, a Wait by ``sleep`` (seconds), a Together by ``send_all``, or by ``send`` one after
    the other where there is none.  An ApiError of a request is thrown into the flow at the place that asked for it;
    what the flow does not catch comes out of here unchanged.  Anything else that ``send`` or ``sleep`` raises, a
    cancellation among it, closes the flow and comes out as well.  An answer that the flow stumbles over is ReadFailed,
    or after a write OutcomeUnknown: it was carried out, and how is not known.
    """
    last: Call | None = None
    advance: Callable[[], Call | Wait | Together] = partial(next, flow)
    with closing(flow):
        while True:
            try:
                asked = advance()
            except StopIteration as end:
                result: T = end.value
                return result
            except MISREAD as error:
                if last is None:
                    raise
                raise _not_understood(last, error) from error
            last = asked.calls[0] if isinstance(asked, Together) else asked if isinstance(asked, Call) else last
            advance = await _answer(flow, asked, send, sleep, send_all or partial(_one_by_one, send))


def _not_understood(call: Call, error: Exception) -> ApiError:
    what = f"the answer cannot be understood: {error!r:.100}"
    if call.method == "GET":
        return ReadFailed(what, method=call.method, path=call.path)
    return OutcomeUnknown(what, method=call.method, path=call.path, hint="run the same command again: it looks first")


async def _answer(
    flow: Flow[T], asked: Call | Wait | Together, send: Send, sleep: Sleep, send_all: SendAll
) -> Callable[[], Call | Wait | Together]:
    """Do what the flow asks for; returns how to go on with it."""
    if isinstance(asked, Wait):
        await sleep(asked.seconds)
        return partial(next, flow)
    try:
        if isinstance(asked, Together):
            return partial(flow.send, Reply(200, parts=tuple(await send_all(asked.calls))))
        return partial(flow.send, await send(asked))
    except ApiError as error:
        return partial(flow.throw, error)


async def _one_by_one(send: Send, calls: Sequence[Call]) -> list[Reply]:
    return [await send(call) for call in calls]
