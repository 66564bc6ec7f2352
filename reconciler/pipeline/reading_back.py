"""Read what was written as soon as a root is done with, beside the steps of others.  Touches: network (reads only).

A long apply so has little left to read when its last step is over.  What cannot be read here, or not yet, is read with
all the rest at the end.
"""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict, deque
from collections.abc import Iterator

from reconciler.model.kind import root_of
from reconciler.model.outcome import StepOutcome, StepStatus
from reconciler.model.plan import Step
from reconciler.model.resource import Address, Desired, LiveObject
from reconciler.pipeline.planning import ALL_KINDS, Planned, shareable
from reconciler.pipeline.session import Session
from reconciler.providers import KINDS
from reconciler.providers.reader import Inside, read_inside, read_roots

SETTLING_S = 1.0
"""The least time between a root's last step and reading it: the platform's lists may be a little behind."""


class ReadingBack:
    """Told how each step of ``planned`` ended, it reads the roots that stand for themselves."""

    def __init__(self, here: Session, planned: Planned) -> None:
        self._here = here
        self._left = Counter(_root(step.address) for step in planned.plan.pending)
        self._not_alone = set(_referring_elsewhere(planned.desired))
        self._ids = dict(planned.ids)
        self._names = {(address.kind, each.remote_id): address.name for address, each in planned.state.entries.items()}
        self._written = shareable(planned.desired)
        self._unchanged = unchanged(planned)
        self._over: deque[tuple[float, Address]] = deque()
        self._changed: set[Address] = set()
        self._readings: list[asyncio.Task[Inside]] = []
        self._rest: list[asyncio.Task[Inside]] = []

    def ended(self, step: Step, outcome: StepOutcome) -> None:
        """A step is over; begin to read what is due."""
        root, now = _root(step.address), self._here.clock.monotonic()
        if outcome.status is StepStatus.DONE:
            if not step.action.leaves_nothing:
                self._changed.add(root)
            if outcome.remote_id is not None:
                self._ids[step.address] = outcome.remote_id
                self._names[step.address.kind, outcome.remote_id] = step.address.name
        self._left[root] -= 1
        if not self._left[root] and root in self._changed and root not in self._not_alone:
            self._over.append((now, root))
        while self._over and self._over[0][0] <= now - SETTLING_S and not self._here.stop.is_set():
            self._begin(self._over.popleft()[1])

    def ended_all(self) -> None:
        """No step is left: begin to read the lists of roots, and then what is due in them."""
        if self._changed and not self._here.stop.is_set():
            vendors = {address.vendor for address in self._changed}
            self._rest = [asyncio.create_task(self._read_rest(vendor)) for vendor in sorted(vendors)]

    async def inside(self) -> Inside:
        """What has been read, and what the plan has read of lists that nothing has changed since.

        Raises ApiError when the lists of roots cannot be read; what is inside of one may be asked for again.
        """
        found = dict(self._unchanged)
        for reading in self._rest:
            found |= await reading
        for read in await asyncio.gather(*self._readings, return_exceptions=True):
            if not isinstance(read, BaseException):
                found |= read
        return found

    async def close(self) -> None:
        """Read no further."""
        for reading in (*self._rest, *self._readings):
            reading.cancel()
        await asyncio.gather(*self._rest, *self._readings, return_exceptions=True)

    async def _read_rest(self, vendor: str) -> Inside:
        found = await read_roots(self._here.providers[vendor], self._here.clock)
        due = [root for _, root in self._over if root.vendor == vendor]
        self._over = deque(each for each in self._over if each[1].vendor != vendor)
        for root in due:
            self._begin(root)
        return found

    def _begin(self, address: Address) -> None:
        if address in self._ids:
            root = LiveObject(address, self._ids[address], {})
            provider = self._here.providers[address.vendor]
            reading = read_inside(provider, self._here.clock, root, self._names, self._written, self._unchanged)
            self._readings.append(asyncio.create_task(reading))


def unchanged(planned: Planned) -> Inside:
    """The plan's lists that no step changes, nor any list before them, which names what stands in them."""
    places = {kind.id: place for place, kind in enumerate(ALL_KINDS)}
    changed: dict[Address, int] = {}
    for step in planned.plan.pending:
        root, place = _root(step.address), places[step.address.kind]
        changed[root] = min(place, changed.get(root, place))
    roots = [item for item in planned.live.objects if KINDS[item.address.kind].parent is None and not item.archived]
    times = Counter(root.address for root in roots)
    lists: dict[tuple[str, Address], list[LiveObject]] = defaultdict(list)
    for item in planned.live.objects:
        lists[item.address.kind, _root(item.address)].append(item)
    return {
        (kind.id, root.remote_id, root.address): lists[kind.id, root.address]
        for root in roots
        for kind in ALL_KINDS
        if kind.parent == root.address.kind and not kind.virtual
        if times[root.address] == 1 and places[kind.id] < changed.get(root.address, len(places))
    }


def _root(address: Address) -> Address:
    return root_of(address, KINDS)


def _referring_elsewhere(desired: Desired) -> Iterator[Address]:
    """Roots in which something refers to another one: what it is called there is known at the end."""
    for resource in desired:
        if len(resource.references) == 1 and not resource.address.is_root:
            continue  # the one thing that it refers to is what it lives in
        root = _root(resource.address)
        if any(_root(each) != root for each in resource.references):
            yield root
