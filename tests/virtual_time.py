"""The clock of tests: waiting takes no time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class VirtualClock:
    """Time that passes only when somebody sleeps.

    ``passed`` is how many seconds did, ``slept`` lists the sleeps.  ``at`` holds what happens as soon as so many
    seconds have passed.  ``began`` is the Unix time of the start.
    """

    def __init__(self, began: float = 1_795_000_000.0) -> None:
        self.began = began
        self.passed = 0.0
        self.slept: list[float] = []
        self.at: dict[float, Callable[[], object]] = {}

    def monotonic(self) -> float:
        return self.passed

    def now(self) -> float:
        return self.began + self.passed

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.passed += max(0.0, seconds)
        for due in [due for due in self.at if due <= self.passed]:
            self.at.pop(due)()
        await asyncio.sleep(0)
