"""Which part of a plan ``--select`` keeps.  Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Iterable, Sequence

from reconciler.errors import UsageInvalid
from reconciler.model.plan import (
    Action,
    Refusal,
    Step,
)
from reconciler.model.resource import Address
from reconciler.planning.world import Decision, World, is_root


def selected(decisions: Sequence[Decision], world: World) -> tuple[list[Decision], int]:
    """The decisions that ``select`` keeps, with what they need or take along; and how many it leaves out."""
    patterns = world.options.select
    if not patterns:
        return list(decisions), 0
    known = {*world.desired.resources, *world.matches.by_address}
    unmatched = [pattern for pattern in patterns if not any(selects(pattern, address) for address in known)]
    if unmatched:
        raise UsageInvalid(
            f"--select {unmatched[0]!r} matches no resource",
            hint="it is a glob over addresses: 'support-bot/*', '*.Test/*/monitoring/PII*'",
        )
    chosen = {a for a in known if any(selects(pattern, a) for pattern in patterns)}
    needed = _needed(chosen, world)
    going = [item.address for item in decisions if item.address in chosen and _deletes_root(item)]
    deleted = {(root.vendor, root.root) for root in going}
    kept = [
        item for item in decisions
        if item.address in chosen
        or (item.address in needed and _makes_room(item, world))
        or (deleted and not is_root(item.address) and (item.address.vendor, item.address.root) in deleted)
    ]  # fmt: skip
    return kept, len(decisions) - len(kept)


def _needed(chosen: Iterable[Address], world: World) -> set[Address]:
    """What the chosen resources refer to, directly or through others."""
    found: set[Address] = set()
    left = list(chosen)
    while left:
        resource = world.desired.resources.get(left.pop())
        fresh = set(resource.references) - found if resource else set()
        found |= fresh
        left += fresh
    return found


def _makes_room(decision: Decision, world: World) -> bool:
    """Whether others can only stand once this is done or settled; a change of what is there already can wait."""
    if isinstance(decision, Refusal):
        return not world.matches.by_address[decision.address].ours
    return decision.action in (Action.CREATE, Action.ADOPT, Action.RENAME, Action.REPLACE)


def _deletes_root(decision: Decision) -> bool:
    return isinstance(decision, Step) and decision.action is Action.DELETE and len(decision.address.path) == 1


def selects(pattern: str, address: Address) -> bool:
    """Whether a ``--select`` glob means this address, written with or without its kind.

    >>> selects("support-bot/*", Address("openlayer.Test", ("support-bot", "monitoring", "PII")))
    True
    """
    text = str(address)
    return fnmatch.fnmatchcase(text, pattern) or fnmatch.fnmatchcase(text.partition("/")[2], pattern)
