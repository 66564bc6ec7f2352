"""Which resources an address or a glob means, and which part of a plan ``--select`` keeps.  Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Container, Iterable, Iterator, Sequence
from typing import TypeGuard

from reconciler.errors import UsageInvalid
from reconciler.model.kind import root_of
from reconciler.model.plan import Action, Refusal, Step
from reconciler.model.resource import Address
from reconciler.planning.world import Decision, World, named_by


def selected(decisions: Sequence[Decision], world: World) -> tuple[list[Decision], int]:
    """The decisions that ``select`` keeps, with what they need or take along; and how many it leaves out."""
    patterns = world.options.select
    if not patterns:
        return list(decisions), 0
    chosen = chosen_by(patterns, world.matches.by_address)
    chosen |= {each for address in chosen for each in _stands_for(address, world)}
    chosen |= set(_users_of_what_goes(decisions, chosen, world))
    needed = _needed(chosen, world)
    deleted = {item.address for item in decisions if item.address in chosen and _deletes_root(item)}
    kept = [
        item for item in decisions
        if item.address in chosen
        or (item.address in needed and _makes_room(item, world))
        or (deleted and root_of(item.address, world.kinds) in deleted)
    ]  # fmt: skip
    return kept, len(decisions) - len(kept)


def asked_for(world: World) -> Container[Address]:
    """What ``select`` means of all that is wanted or remembered; everything where it is not given."""
    patterns, known = world.options.select, world.matches.by_address
    return meant_by_any(patterns, known) if patterns else known


def _stands_for(address: Address, world: World) -> Iterator[Address]:
    """What is meant by something that is no object at the platform: what it names there."""
    resource = world.desired.resources.get(address)
    if resource is not None and world.kinds[address.kind].virtual:
        yield from (each for each in resource.references if not each.is_root)


def _users_of_what_goes(decisions: Sequence[Decision], chosen: set[Address], world: World) -> Iterator[Address]:
    """What names something that is deleted: it must stop doing so first, and where it may not, nothing goes."""
    deleted = {item.remote_id for item in decisions if item.address in chosen and _deletes(item)}
    if not deleted:
        return
    gone = [item for item in world.live.objects if item.remote_id in deleted]
    ids, names = {item.remote_id for item in gone}, {item.address for item in gone}
    for address, found in world.matches.by_address.items():
        if found.live is None or found.live.archived:
            continue
        referred = (each for some in found.live.refs.values() for each in some)
        if not (ids.isdisjoint(referred) and names.isdisjoint(named_by(found.live, world.kinds))):
            yield address


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


def _deletes(decision: Decision) -> TypeGuard[Step]:
    return isinstance(decision, Step) and decision.action is Action.DELETE


def _deletes_root(decision: Decision) -> bool:
    return _deletes(decision) and decision.address.is_root


def meant(pattern: str, known: Iterable[Address]) -> set[Address]:
    """The known addresses that somebody means: the one that is written exactly so, else what matches as a glob.

    Either is written with or without the kind.  A name may hold ``*``, ``?`` or ``[``, and addresses are copied from
    what we print: where such an address is known, it must not mean its neighbours, nor nothing.

    >>> meant("support-bot/*", [Address("openlayer.Test", ("support-bot", "monitoring", "PII"))])
    {Address(kind='openlayer.Test', path=('support-bot', 'monitoring', 'PII'))}
    """
    addresses = list(known)
    return exactly(pattern, addresses) or {
        address for address in addresses if any(fnmatch.fnmatchcase(text, pattern) for text in _spellings(address))
    }


def meant_by_name(pattern: str, known: Iterable[Address]) -> set[Address]:
    """As ``meant``, where a bare name will do as well: it stands between the exact address and the glob."""
    addresses = list(known)
    return (
        exactly(pattern, addresses)
        or {address for address in addresses if address.name == pattern}
        or meant(pattern, addresses)
    )


def meant_by_any(patterns: Iterable[str], known: Iterable[Address]) -> set[Address]:
    """What at least one of the patterns means."""
    addresses = list(known)
    return {address for pattern in patterns for address in meant(pattern, addresses)}


def chosen_by(patterns: Iterable[str], known: Iterable[Address]) -> set[Address]:
    """As ``meant_by_any``, for ``--select``.  Raises UsageInvalid for a pattern that means nothing that is known."""
    addresses = list(known)
    found = {pattern: meant(pattern, addresses) for pattern in patterns}
    if unmatched := [pattern for pattern, some in found.items() if not some]:
        raise UsageInvalid(
            f"--select {unmatched[0]!r} matches no resource",
            hint="it is a glob over addresses: 'support-bot/*', '*.Test/*/monitoring/PII*'",
        )
    return set().union(*found.values())


def exactly(text: str, addresses: Iterable[Address]) -> set[Address]:
    """The addresses that are written so, with their kind or without."""
    return {address for address in addresses if text in _spellings(address)}


def _spellings(address: Address) -> tuple[str, str]:
    whole = str(address)
    return whole, whole.partition("/")[2]
