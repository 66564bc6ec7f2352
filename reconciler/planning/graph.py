"""Which step waits for which.  Pure.

A resource waits for its parent, for what it refers to, and for steps of earlier kinds beside it; a removal waits for
the removal of everything inside it and of later kinds beside it.  Kinds are listed parents first, so the order of
creates is project, pipelines, tests, and of removals the reverse; there is nothing to be cyclic.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from reconciler.model.plan import Action, Step
from reconciler.model.resource import Address

REMOVALS = (Action.DELETE, Action.ARCHIVE, Action.FORGET)
_BRINGING = (Action.CREATE, Action.ADOPT, Action.REPLACE, Action.RENAME, Action.UPDATE)


def in_order(
    steps: Sequence[Step], order: Mapping[str, int], references: Mapping[Address, Iterable[Address]]
) -> tuple[Step, ...]:
    """The steps with ``after`` filled in, sorted so that each stands behind all that it waits for.

    ``order`` ranks kinds, parents first.  ``references`` are the addresses each resource refers to.
    """
    bringing = {step.address: step.id for step in steps if step.action in _BRINGING}
    creates: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    removals: dict[tuple[str, str], list[tuple[int, str]]] = defaultdict(list)
    for step in steps:
        family = (step.address.vendor, step.address.root)
        if step.action is Action.CREATE:
            creates[family].append((order[step.address.kind], step.id))
        elif step.action in REMOVALS:
            removals[family].append((order[step.address.kind], step.id))
    linked = [_linked(step, order, bringing, references, creates, removals) for step in steps]
    return tuple(sorted(linked, key=lambda step: _place(step, order)))


def _linked(
    step: Step,
    order: Mapping[str, int],
    bringing: Mapping[Address, str],
    references: Mapping[Address, Iterable[Address]],
    creates: Mapping[tuple[str, str], list[tuple[int, str]]],
    removals: Mapping[tuple[str, str], list[tuple[int, str]]],
) -> Step:
    family, rank = (step.address.vendor, step.address.root), order[step.address.kind]
    if step.action in REMOVALS:
        waits = {other for place, other in removals.get(family, ()) if place > rank}
        if step.action is Action.DELETE:  # a test must stop naming a pipeline before that goes
            waits |= {
                other for address, other in bringing.items()
                if (address.vendor, address.root) == family and order[address.kind] > rank
            }  # fmt: skip
    else:
        waits = {bringing[address] for address in references.get(step.address, ()) if address in bringing}
        if step.action in (Action.CREATE, Action.REPLACE):
            waits |= {other for place, other in creates.get(family, ()) if place < rank}
    waits.discard(step.id)
    return replace(step, after=tuple(sorted(waits)))


def _place(step: Step, order: Mapping[str, int]) -> tuple[bool, str, str, int, Address, str]:
    removal = step.action in REMOVALS
    rank = order[step.address.kind]
    return (removal, step.address.vendor, step.address.root, -rank if removal else rank, step.address, step.id)
