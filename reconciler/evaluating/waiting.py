"""How long to wait for what a platform works on, and how often to look.  Touches nothing itself."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Iterator
from typing import TypeVar

T = TypeVar("T")

FIRST_PAUSE_S, LONGEST_PAUSE_S, PAUSE_GROWTH = 1.0, 10.0, 1.5
LAST_LOOK_S = 2.0
"""How long after the deadline the last look may take: what is over should not be called unfinished."""


class TimeIsUp(Exception):
    """The deadline passed before there was an answer, or a turn."""


def pauses() -> Iterator[float]:
    """The seconds between one look and the next, without end."""
    pause = FIRST_PAUSE_S
    while True:
        yield pause
        pause = min(LONGEST_PAUSE_S, pause * PAUSE_GROWTH)


async def in_time(work: Awaitable[T], left_s: float) -> T:
    """What comes of the work within these seconds (infinity: whenever).  Raises TimeIsUp, whatever it waits for."""
    limit = asyncio.timeout(None if math.isinf(left_s) else max(0.0, left_s))
    try:
        async with limit:
            return await work
    except TimeoutError:
        if limit.expired():
            raise TimeIsUp from None
        raise
