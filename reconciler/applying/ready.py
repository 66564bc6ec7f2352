"""The steps that could be carried out now, in the order in which they are.  Pure.

A root that others wait for is kept apart: a run begins it when what is ready is about to run out.  So a new project is
filled right after it was made, while it is certain that nobody else has put anything into it.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from itertools import islice

from reconciler.model.kind import AnyKind
from reconciler.model.plan import Action, Step

_Queue = dict[object, deque[Step]]
"""Units by what they have in common, the first to go first."""


class Ready:
    """``opens`` says how many other steps wait for this one."""

    def __init__(self, kinds: Mapping[str, AnyKind], opens: Callable[[Step], int]) -> None:
        self._kinds, self._opens = kinds, opens
        self._inside: _Queue = {}
        self._roots: _Queue = {}

    def __len__(self) -> int:
        """How many units there are, besides roots that others wait for."""
        return len(self._inside)

    def put(self, step: Step) -> None:
        """``step`` waits for nothing any more."""
        kind = self._kinds[step.address.kind]
        together = kind.batch > 1 and step.action in (Action.UPDATE, Action.RENAME, Action.ARCHIVE)
        key = (kind.id, kind.parent_of(step.address)) if together else step.id
        is_opening = step.address.is_root and self._opens(step) > 0
        (self._roots if is_opening else self._inside).setdefault(key, deque()).append(step)

    def next_unit(self) -> list[Step]:
        """The next steps to carry out with one flow: one, or several updates that share a parent; [] for none."""
        return self._first(self._inside)

    def next_root(self) -> list[Step]:
        """The next root that others wait for; [] for none."""
        return self._first(self._roots)

    def soon(self, places: int) -> Step | None:
        """What is so many places down the queue, or last in it."""
        if not self._inside:
            return None
        return next(islice(self._inside.values(), min(places, len(self._inside) - 1), None))[0]

    def _first(self, queue: _Queue) -> list[Step]:
        if not queue:
            return []
        key = next(iter(queue))
        size = self._kinds[queue[key][0].address.kind].batch
        unit = [queue[key].popleft() for _ in range(min(len(queue[key]), size))]
        if not queue[key]:
            del queue[key]
        return unit
