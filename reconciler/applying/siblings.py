"""The list that shows an object if it is there.  Touches: network (reads only)."""

from __future__ import annotations

from msgspec import Struct

from reconciler.concurrency import all_at_once
from reconciler.model.call import Wire
from reconciler.model.flow import Send, Sleep, drive
from reconciler.model.kind import AnyKind
from reconciler.model.resource import LiveObject


class Siblings(Struct, frozen=True):
    """All of one kind below one parent, whose path is ``path``, and what it takes to list them."""

    kind: AnyKind
    parent_id: str | None
    path: tuple[str, ...]
    send: Send
    wire: Wire

    @property
    def key(self) -> tuple[str, str | None]:
        """The same for whoever means the same list."""
        return self.kind.id, self.parent_id

    async def read(self, sleep: Sleep) -> list[LiveObject]:
        """List them.  Raises ApiError."""
        send = self.send
        raw = await drive(self.kind.list(self.parent_id, self.wire), send, sleep, all_at_once(send))
        items = (self.kind.understand(each, self.path, lambda _, __: None) for each in raw)
        return [item for item in items if item is not None]
