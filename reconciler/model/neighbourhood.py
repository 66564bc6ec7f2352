"""What is at the platform around one resource, found by kind and name.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct

from reconciler.model.kind import AnyKind
from reconciler.model.resource import Address, LiveObject


class Neighbourhood(Struct, frozen=True):
    """A ``LookUp`` for the resource at ``address``; ``there`` holds what is at the platform and not archived."""

    there: Mapping[Address, LiveObject]
    kinds: Mapping[str, AnyKind]
    address: Address

    def __call__(self, kind_id: str, name: str) -> LiveObject | None:
        """The object of this name: a root, or what shares the resource's root; None when there is none."""
        return self.there.get(Address(kind_id, (*self._parent(kind_id), name)))

    def names(self, kind_id: str) -> list[str]:
        """The names of all that could be found, sorted."""
        parent = self._parent(kind_id)
        return sorted(a.name for a in self.there if a.kind == kind_id and a.path[:-1] == parent)

    def _parent(self, kind_id: str) -> tuple[str, ...]:
        return self.address.path[:1] if self.kinds[kind_id].parent else ()
