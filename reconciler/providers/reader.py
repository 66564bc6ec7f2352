"""Read what a vendor has: lists, page by page, parents first and siblings at once.  Touches: network.

Never one request per object.  Only roots that somebody asks for are looked into.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from reconciler.model.flow import drive
from reconciler.model.kind import AnyKind, Call, Reply, Wire
from reconciler.model.provider import Clock, Provider
from reconciler.model.resource import Address, Live, LiveObject
from reconciler.model.values import Fields

T = TypeVar("T")
Wanted = Callable[[LiveObject], bool]
"""Whether to look inside this root."""

_Raw = dict[str, list[tuple[tuple[str, ...], list[Fields]]]]
"""Raw items by kind, each list with the path of the parent it was found under."""

_Names = dict[tuple[str, str], str]
"""Names by kind and remote id."""


@dataclass(frozen=True, slots=True)
class Roots:
    """The roots that matter: by name, or by a remembered id (somebody may have renamed them)."""

    names: frozenset[str]
    ids: frozenset[str]

    @classmethod
    def of(cls, addresses: Iterable[Address], remembered: Mapping[Address, str]) -> Roots:
        """The roots of these addresses and of everything remembered."""
        ids = {remote_id for address, remote_id in remembered.items() if len(address.path) == 1}
        return cls(frozenset(a.root for a in (*addresses, *remembered)), frozenset(ids))

    def __call__(self, root: LiveObject) -> bool:
        """Whether this root matters."""
        return root.address.root in self.names or root.remote_id in self.ids


async def read_live(
    provider: Provider, clock: Clock, wanted: Wanted, remembered: Mapping[Address, str] | None = None
) -> Live:
    """Every object of the vendor's roots, and everything inside the wanted ones.

    ``remembered`` are ids from earlier runs: they name what others refer to and the lists do not show yet.
    Raises ApiError when any list can not be read: half a picture is worse than none.
    """
    before = provider.requests
    kinds = provider.vendor.kinds
    objects: list[LiveObject] = []
    parents: dict[str, list[LiveObject]] = {}
    names: _Names = {(address.kind, each): address.name for address, each in (remembered or {}).items()}
    left = [kind for kind in kinds if not kind.virtual]
    while left:
        level = [kind for kind in left if kind.parent is None or kind.parent in parents]
        raw = await _lists(provider, clock, level, parents)
        found = _understood(level, raw, names)
        for kind in level:
            all_of_it = kind.parent is not None or kind.create is None  # a catalogue is looked up in by name
            inside = [item for item in found[kind.id] if all_of_it or wanted(item)]
            parents[kind.id] = [item for item in inside if not item.archived]
            objects += inside
        left = [kind for kind in left if kind not in level]
    return Live(tuple(objects), provider.requests - before)


async def _lists(
    provider: Provider, clock: Clock, kinds: list[AnyKind], parents: Mapping[str, list[LiveObject]]
) -> _Raw:
    """All lists of one level, at once; the provider holds back what is too much for the vendor."""
    wire = Wire({}, provider.dialect)
    places = [
        (kind, parent) for kind in kinds for parent in (parents[kind.parent] if kind.parent is not None else [None])
    ]

    async def send_all(calls: Sequence[Call]) -> list[Reply]:
        return await all_of(map(provider.send, calls))

    lists = await all_of(
        drive(kind.list(parent.remote_id if parent else None, wire), provider.send, clock.sleep, send_all)
        for kind, parent in places
    )
    raw: _Raw = {kind.id: [] for kind in kinds}
    for (kind, parent), items in zip(places, lists, strict=True):
        raw[kind.id].append((parent.address.path if parent else (), items))
    return raw


async def all_of(works: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """The results in order; at the first failure the rest is cancelled and that failure raised, by itself."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(work) for work in works]
    except BaseExceptionGroup as failures:
        raise _first(failures) from None
    return [task.result() for task in tasks]


def _first(failure: BaseException) -> BaseException:
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    return failure


def _understood(kinds: Iterable[AnyKind], raw: _Raw, names: _Names) -> dict[str, list[LiveObject]]:
    """Live objects by kind; ``names`` grows: earlier kinds give later ones the names of what they refer to."""
    found: dict[str, list[LiveObject]] = {}
    for kind in kinds:
        items = (kind.read(item, path, lambda k, i: names.get((k, i))) for path, each in raw[kind.id] for item in each)
        found[kind.id] = [item for item in items if item is not None]
        names.update(((kind.id, item.remote_id), item.address.name) for item in found[kind.id])
    return found
