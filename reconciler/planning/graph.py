"""Which step waits for which.  Pure.

A resource waits for its parent and for what it refers to, but only where these are created, adopted, replaced or
renamed: a failed update does not block those who depend on it.

A removal waits for the removal of everything inside it and of later kinds beside it, and for what else happens to its
own address.  Kinds are listed parents first and steps stand in that order, so creates go out project, pipelines, tests,
and removals the other way round; there is nothing to be cyclic.

Where a platform has a name only once, what takes a name waits for what gives it up.  Of names that were exchanged there
none can be given back first: a note says so.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from reconciler.model.kind import AnyKind, Replace, root_of
from reconciler.model.plan import Action, Step
from reconciler.model.resource import Address

EXCHANGED = "its name and that of another one were exchanged at the platform: give one of them a third name there first"
REMOVALS = (Action.DELETE, Action.ARCHIVE, Action.FORGET)
_BRINGING = (Action.CREATE, Action.ADOPT, Action.REPLACE, Action.RENAME, Action.UPDATE)
_NEEDED = (Action.CREATE, Action.ADOPT, Action.REPLACE, Action.RENAME)
"""What gives others an id to refer to, or moves what they are remembered under."""


class _Ids:
    """Ids of steps by the root that they concern and by the rank of their kind."""

    def __init__(self, steps: Iterable[Step], kinds: Mapping[str, AnyKind], order: Mapping[str, int]) -> None:
        self._ids: dict[Address, dict[int, list[str]]] = defaultdict(lambda: defaultdict(list))
        for step in steps:
            self._ids[root_of(step.address, kinds)][order[step.address.kind]].append(step.id)

    def behind(self, root: Address, rank: int) -> Iterator[str]:
        """Those of later kinds."""
        return (each for place, ids in self._ids[root].items() if place > rank for each in ids)


def linked(
    steps: Sequence[Step], kinds: Mapping[str, AnyKind], references: Mapping[Address, Iterable[Address]]
) -> tuple[Step, ...]:
    """The steps with ``after`` filled in, sorted so that each stands behind all that it waits for.

    ``kinds`` stand parents first.  ``references`` are the addresses each resource refers to.
    """
    order = {kind_id: place for place, kind_id in enumerate(kinds)}
    brought = {step.address: step.id for step in steps if step.action in _BRINGING}
    needed = {step.address: step.id for step in steps if step.action in _NEEDED}
    removals = _Ids((step for step in steps if step.action in REMOVALS), kinds, order)
    roots = {step.address: step.id for step in steps if step.action in _NEEDED and step.address.is_root}
    deletes = any(step.action is Action.DELETE for step in steps)  # only they wait for what uses them
    bringing = _Ids((step for step in steps if deletes and step.action in _BRINGING), kinds, order)
    given_up, exchanged = _given_up(steps, kinds)
    users: dict[Address, list[str]] = defaultdict(list)
    for address, step_id in brought.items() if deletes else ():
        for target in references.get(address, ()):
            users[target].append(step_id)

    def waits(step: Step) -> Iterator[str]:
        if step.action not in REMOVALS:
            yield from (needed[address] for address in references.get(step.address, ()) if address in needed)
            if step.address in given_up and step.address not in exchanged:
                yield given_up[step.address]
            return
        root, rank = root_of(step.address, kinds), order[step.address.kind]
        yield from removals.behind(root, rank)
        yield from (each for each in (roots.get(root), brought.get(step.address)) if each)
        if step.action is Action.DELETE:  # a test must stop naming a pipeline before that goes
            yield from bringing.behind(root, rank)
            yield from users[step.address]

    after = ((step, tuple(sorted(set(waits(step)) - {step.id}))) for step in steps)
    found = [replace(step, after=ids) if ids else step for step, ids in after]
    if exchanged:
        found = [replace(each, notes=(*each.notes, EXCHANGED)) if each.address in exchanged else each for each in found]
    return _behind_what_they_wait_for(sorted(found, key=lambda step: _place(step, order)))


def _given_up(steps: Iterable[Step], kinds: Mapping[str, AnyKind]) -> tuple[dict[Address, str], set[Address]]:
    """(address -> the step that takes its name away from what has it, the addresses that have names in a circle)."""
    found: dict[Address, Step] = {}
    for step in steps:
        kind = kinds[step.address.kind]
        if step.action not in (Action.UPDATE, Action.RENAME) or kind.replace is Replace.CREATE_FIRST:
            continue  # where a new object stands beside the old one, several may have a name
        for change in step.changes:
            if change.path == kind.identity[-1] and isinstance(change.before, str):
                found[Address(step.address.kind, (*step.address.path[:-1], change.before))] = step
    exchanged = set[Address]()
    for address in found:
        circle, at = [address], found[address].address
        while at in found and at not in circle:
            circle.append(at)
            at = found[at].address
        exchanged |= set(circle) if at == address else set()
    return {address: step.id for address, step in found.items()}, exchanged


def _behind_what_they_wait_for(steps: Sequence[Step]) -> tuple[Step, ...]:
    """The given order, with what a step waits for pulled in front of it where it stood behind."""
    by_id = {step.id: step for step in steps}
    placed: dict[str, Step] = {}

    def place(step: Step) -> None:
        for other in step.after:
            if other not in placed:
                place(by_id[other])
        placed[step.id] = step

    for step in steps:
        if step.id not in placed:
            place(step)
    return tuple(placed.values())


def _place(step: Step, order: Mapping[str, int]) -> tuple[bool, str, str, int, Address, str]:
    removal = step.action in REMOVALS
    rank = order[step.address.kind]
    return (removal, step.address.vendor, step.address.root, -rank if removal else rank, step.address, step.id)
