"""The computer's own clock behind the Clock protocol.  Touches: time."""

from __future__ import annotations

import asyncio
import time


class RealClock:
    """Seconds as they pass.  The one place that reads the time for the vendors' connections."""

    def monotonic(self) -> float:
        """Seconds since an arbitrary moment; not moved by changes of the wall clock."""
        return time.monotonic()

    def now(self) -> float:
        """Unix seconds of the wall clock."""
        return time.time()

    async def sleep(self, seconds: float) -> None:
        """Wait; at once when ``seconds`` is not positive."""
        await asyncio.sleep(max(0.0, seconds))
