"""The computer's own clock behind the Clock protocol.  Touches: time."""

from __future__ import annotations

import asyncio
import time

_STEADY = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Goes on while the machine sleeps, where the system has such a clock: the platform goes on meanwhile, too."""


class RealClock:
    """Seconds as they pass.  The one place that reads the time for the vendors' connections."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; not moved by changes of the wall clock."""
        return time.clock_gettime(_STEADY)

    def now(self) -> float:
        """Unix seconds of the wall clock."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait; at once when ``seconds`` is not positive."""
        await asyncio.sleep(max(0.0, seconds))
