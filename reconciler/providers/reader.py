"""Read what a vendor has: lists, page by page, parents first and siblings at once.  Touches: network.

Never one request per object.  Only roots that somebody asks for are looked into.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from msgspec import Struct

from reconciler.concurrency import all_at_once, all_of
from reconciler.model.call import Wire
from reconciler.model.flow import drive
from reconciler.model.kind import AnyKind
from reconciler.model.provider import Clock, Provider
from reconciler.model.resource import Address, Live, LiveObject
from reconciler.model.values import Fields, share

Wanted = Callable[[LiveObject], bool]
"""Whether to look inside this root."""

Inside = dict[tuple[str, str, Address | None], list[LiveObject]]
"""The objects of a kind inside a root, by the kind, and by the root's id and address; of roots, by "" and None."""

_Names = dict[tuple[str, str], str]
"""Names by kind and remote id."""


class Roots(Struct, frozen=True):
    """The roots that matter: by name, or by a remembered id (somebody may have renamed them)."""

    names: frozenset[str]
    ids: frozenset[str]

    @classmethod
    def of(cls, addresses: Iterable[Address], remembered: Mapping[Address, str]) -> Roots:
        """The roots of these addresses and of everything remembered."""
        ids = {remote_id for address, remote_id in remembered.items() if address.is_root}
        return cls(frozenset(a.root for a in (*addresses, *remembered)), frozenset(ids))

    def __call__(self, root: LiveObject) -> bool:
        """Whether this root matters."""
        return root.address.root in self.names or root.remote_id in self.ids


async def read_live(
    provider: Provider,
    clock: Clock,
    wanted: Wanted,
    remembered: Mapping[Address, str] | None = None,
    shared: Mapping[Address, Fields] | None = None,
    inside: Inside | None = None,
    expected: Collection[Address] = (),
) -> Live:
    """Every object of the vendor's roots, and everything inside the wanted ones.

    ``remembered`` are ids from earlier runs: they name what others refer to and the lists do not show yet.
    ``shared`` are fields that are in memory already: what is listed alike does not take any more of it.
    ``inside`` was read a moment ago, and is not read again.  ``expected`` are remembered addresses whose objects should
    be there: a list that shows one of them no more is read twice, for a page may have shifted while it was read.
    Raises ApiError when any list cannot be read: half a picture is worse than none.
    """
    before = provider.requests
    kinds = provider.vendor.kinds
    objects: list[LiveObject] = []
    parents: dict[str, list[LiveObject]] = {}
    names: _Names = {(address.kind, each): address.name for address, each in (remembered or {}).items()}
    missed = _Expected({kind.id: kind for kind in kinds}, remembered or {}, expected)
    left = [kind for kind in kinds if not kind.virtual]
    while left:
        level = [kind for kind in left if kind.parent is None or kind.parent in parents]
        found = await _Level(provider, clock, level, names, shared or {}, inside or {}, missed).read(parents)
        for kind in level:
            all_of_it = kind.parent is not None or kind.create is None  # a catalogue is looked up in by name
            kept = [item for item in found[kind.id] if all_of_it or wanted(item)]
            parents[kind.id] = [item for item in kept if not item.archived]
            objects += kept
        left = [kind for kind in left if kind not in level]
    return Live(tuple(objects), provider.requests - before)


async def read_inside(
    provider: Provider, clock: Clock, root: LiveObject, names: _Names, shared: Mapping[Address, Fields], known: Inside
) -> Inside:
    """Everything inside one root, of which only the id and the address are needed; the names grow by what is found.

    What is ``known`` is not read again.
    """
    kinds = [kind for kind in provider.vendor.kinds if kind.parent == root.address.kind and not kind.virtual]
    found = await _Level(provider, clock, kinds, names, shared, known).read({root.address.kind: [root]})
    return {(kind_id, root.remote_id, root.address): objects for kind_id, objects in found.items()}


async def read_roots(provider: Provider, clock: Clock) -> Inside:
    """The lists of roots, with which ``read_live`` begins.  Raises ApiError."""
    kinds = [kind for kind in provider.vendor.kinds if kind.parent is None and not kind.virtual]
    found = await _Level(provider, clock, kinds, {}, {}, {}).read({})
    return {(kind_id, "", None): objects for kind_id, objects in found.items()}


class _Expected:
    """What should stand in which list: ids of the ``expected`` addresses, by kind and by what they stand in."""

    def __init__(
        self, kinds: Mapping[str, AnyKind], remembered: Mapping[Address, str], expected: Collection[Address]
    ) -> None:
        self._ids: dict[tuple[str, Address | None], set[str]] = defaultdict(set)
        self._parents: dict[tuple[str, str], Address] = {}
        for address in expected:
            if address.kind in kinds:
                self._ids[address.kind, kinds[address.kind].parent_of(address)].add(remembered[address])
        for address, remote_id in remembered.items() if expected else ():
            if address.is_root:  # it may have another name by now
                self._parents[address.kind, remote_id] = address

    def lacks(self, kind: AnyKind, parent: LiveObject | None, listed: Iterable[LiveObject]) -> bool:
        """Whether a list shows something no more."""
        home = self._parents.get((parent.address.kind, parent.remote_id), parent.address) if parent else None
        ids = self._ids.get((kind.id, home))
        return ids is not None and not ids <= {item.remote_id for item in listed}


class _Level:
    """All lists of kinds that can be read at once; the provider holds back what is too much for the vendor.

    Each list is understood as soon as it is there and the lists of all earlier kinds are, which name what it refers
    to: so the vendor's own, much larger spelling of most objects is never in memory together.
    """

    def __init__(
        self,
        provider: Provider,
        clock: Clock,
        kinds: Sequence[AnyKind],
        names: _Names,
        shared: Mapping[Address, Fields],
        inside: Inside,
        expected: _Expected | None = None,
    ) -> None:
        self._expected = expected
        self._provider, self._clock, self._kinds, self._names = provider, clock, kinds, names
        self._shared, self._inside = shared, inside
        self._wire = Wire({}, provider.dialect)
        self._left = {kind.id: 0 for kind in kinds}
        self._known = {kind.id: asyncio.Event() for kind in kinds}

    async def read(self, parents: Mapping[str, list[LiveObject]]) -> dict[str, list[LiveObject]]:
        """Live objects by kind; the names grow by theirs."""
        places = [
            (k, parent) for k in self._kinds for parent in (parents[k.parent] if k.parent is not None else [None])
        ]
        for kind, _ in places:
            self._left[kind.id] += 1
        for kind_id, left in self._left.items():
            if not left:
                self._known[kind_id].set()
        lists = await all_of(self._list(kind, parent) for kind, parent in places)
        found: dict[str, list[LiveObject]] = {kind.id: [] for kind in self._kinds}
        for (kind, _), objects in zip(places, lists, strict=True):
            found[kind.id] += objects
        return found

    async def _list(self, kind: AnyKind, parent: LiveObject | None) -> list[LiveObject]:
        known = self._inside.get((kind.id, parent.remote_id, parent.address) if parent else (kind.id, "", None))
        objects = await self._read(kind, parent) if known is None else known
        if self._expected is not None and self._expected.lacks(kind, parent, objects):
            there = {item.remote_id for item in objects}
            again = await self._read(kind, parent)
            objects = [*objects, *(item for item in again if item.remote_id not in there)]
        self._names.update(((kind.id, item.remote_id), item.address.name) for item in objects)
        self._left[kind.id] -= 1
        if not self._left[kind.id]:
            self._known[kind.id].set()
        return objects

    async def _read(self, kind: AnyKind, parent: LiveObject | None) -> list[LiveObject]:
        flow = kind.list(parent.remote_id if parent else None, self._wire)
        items = await drive(flow, self._provider.send, self._clock.sleep, all_at_once(self._provider.send))
        for earlier in self._kinds[: self._kinds.index(kind)]:
            await self._known[earlier.id].wait()
        path = parent.address.path if parent else ()
        objects = [item for each in items if (item := kind.understand(each, path, self._name_of)) is not None]
        for item in objects if self._shared else ():
            share(item.fields, self._shared.get(item.address, {}))
        return objects

    def _name_of(self, kind_id: str, remote_id: str) -> str | None:
        return self._names.get((kind_id, remote_id))
