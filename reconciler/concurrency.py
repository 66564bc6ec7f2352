"""Do several things at once, and fail as one thing does.  Touches nothing itself: what is done is given."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from reconciler.model.call import Call, Reply
from reconciler.model.flow import Send, SendAll

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


def _first(failure: BaseException) -> BaseException:
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure
