"""The clock of tests: waiting takes no time."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


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


class _VirtualSelector(selectors.DefaultSelector):  # type: ignore[misc, valid-type, unused-ignore]
    """Jumps over the time that the loop would have slept."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        self.now += timeout or 0.0
        return super().select(0)


class VirtualLoop(asyncio.SelectorEventLoop):
    """Its time, which begins with 0, passes only while nothing happens."""

    def __init__(self) -> None:
        self.virtual = _VirtualSelector()
        super().__init__(self.virtual)

    def time(self) -> float:
        return self.virtual.now


def in_virtual_time(work: Coroutine[Any, Any, T]) -> T:
    """What ``work`` returns, run in a loop of its own whose waiting takes no time."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(work)
