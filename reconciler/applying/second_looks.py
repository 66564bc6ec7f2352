"""Look again for what a list left out, before it is made anew or forgotten.  Touches: network (reads only).

A page that shifts while it is read (somebody removes an item of the page before) hides an object that is there.  Two
lists that begin at different times do not miss the same object by such an accident.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from reconciler.applying.siblings import Siblings
from reconciler.errors import NotFound
from reconciler.model.provider import Clock
from reconciler.model.resource import LiveObject

Listed = Mapping[str, LiveObject]
"""Live objects by remote id."""


class SecondLooks:
    """The second lists of one run: each is read once, whoever misses something in it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lists: dict[tuple[str, str | None], tuple[float, asyncio.Task[Listed]]] = {}

    async def at(self, siblings: Siblings, since: float) -> Listed:
        """What the platform lists of a kind below one parent; nothing where the parent is gone.  Raises ApiError.

        A list that began before ``since`` (monotonic seconds), when the first look did, is read again.
        """
        known = self._lists.get(siblings.key)
        if known is None or known[0] < since:
            known = self._clock.monotonic(), asyncio.create_task(self._read(siblings))
            self._lists[siblings.key] = known
        return await known[1]

    async def _read(self, siblings: Siblings) -> Listed:
        try:
            return {item.remote_id: item for item in await siblings.read(self._clock.sleep)}
        except NotFound:
            return {}
