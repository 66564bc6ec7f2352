"""Look again for what a list left out, before it is made anew or forgotten.  Touches: network (reads only).

A page that shifts while it is read (somebody removes an item of the page before) hides an object that is there.  Two
lists that begin at different times do not miss the same object by such an accident.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from reconciler.concurrency import all_at_once
from reconciler.errors import NotFound
from reconciler.model.flow import Send, drive
from reconciler.model.kind import AnyKind, Wire
from reconciler.model.provider import Clock
from reconciler.model.resource import LiveObject

Listed = Mapping[str, LiveObject]
"""Live objects by remote id."""


class SecondLooks:
    """The second lists of one run: each is read once, whoever misses something in it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._lists: dict[tuple[str, str | None], tuple[float, asyncio.Task[Listed]]] = {}

    async def at(
        self, kind: AnyKind, parent_id: str | None, path: tuple[str, ...], send: Send, wire: Wire, since: float
    ) -> Listed:
        """What the platform lists of a kind below one parent; nothing where the parent is gone.  Raises ApiError.

        A list that began before ``since`` (monotonic seconds), when the first look did, is read again.
        """
        key = (kind.id, parent_id)
        known = self._lists.get(key)
        if known is None or known[0] < since:
            known = self._clock.monotonic(), asyncio.create_task(self._read(kind, parent_id, path, send, wire))
            self._lists[key] = known
        return await known[1]

    async def _read(
        self, kind: AnyKind, parent_id: str | None, path: tuple[str, ...], send: Send, wire: Wire
    ) -> Listed:
        try:
            raw = await drive(kind.list(parent_id, wire), send, self._clock.sleep, all_at_once(send))
        except NotFound:
            return {}
        items = (kind.understand(item, path, lambda _, __: None) for item in raw)
        return {item.remote_id: item for item in items if item is not None}
