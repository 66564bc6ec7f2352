"""Everything that one planning run looks at, indexed.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cached_property

from msgspec import Struct, field

from reconciler.model.checkout import from_top
from reconciler.model.kind import AnyKind, LookUp, named, root_of
from reconciler.model.neighbourhood import Neighbourhood
from reconciler.model.plan import Action, Refusal, Step, uncompared
from reconciler.model.resource import Address, Desired, Live, LiveObject
from reconciler.model.state import State
from reconciler.planning.matcher import Match, Matches
from reconciler.planning.policy import Policy


class Options(Struct, frozen=True):
    """What the command line asks of a plan.  ``select`` holds globs over addresses; none means everything."""

    adopt: bool = False
    select: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)


class World(Struct, frozen=True, dict=True):
    """The inputs of one planning run, indexed."""

    desired: Desired
    live: Live
    state: State
    kinds: Mapping[str, AnyKind]
    matches: Matches
    options: Options

    @cached_property
    def scope(self) -> tuple[str, ...]:
        """The files and folders that were read, from the top of the checkout."""
        return tuple(from_top(self.desired.home, each) for each in self.desired.scope)

    @cached_property
    def there(self) -> dict[Address, LiveObject]:
        """The live objects that are not archived, by the address that they have at the platform."""
        return {item.address: item for item in self.live.objects if not item.archived}

    @cached_property
    def namesakes(self) -> Mapping[Address, Sequence[str]]:
        """The remote ids of what is only looked up and never declared, by name."""
        return namesakes(self.live, self.kinds)

    def around(self, address: Address) -> LookUp:
        """For looking at what is beside the resource at ``address``."""
        return Neighbourhood(self.there, self.kinds, address)

    @cached_property
    def unwanted(self) -> list[tuple[Address, Match]]:
        """What we remember and the manifests do not ask for."""
        matches, wanted = self.matches.by_address, self.desired.resources
        if len(matches) == len(wanted):
            return []  # there is a match for whatever is wanted
        return [(address, found) for address, found in matches.items() if address not in wanted]

    @cached_property
    def referring(self) -> dict[str, list[tuple[LiveObject, str]]]:
        """What is in no manifest and refers to others, with the field, by the remote id of what it refers to."""
        found: dict[str, list[tuple[LiveObject, str]]] = {}
        matches, wanted = self.matches.by_address, self.desired.resources
        meant = {known.live.remote_id for address, known in matches.items() if known.live and address in wanted}
        for item in self.live.objects:
            if item.refs and item.remote_id not in meant:
                for name, ids in item.refs.items():
                    for remote_id in ids:
                        found.setdefault(remote_id, []).append((item, name))
        return found

    @cached_property
    def naming(self) -> dict[Address, list[Address]]:
        """What is not ours, by what it names at the platform."""
        return self._by_what_they_name((item.address, item) for _, item in self.matches.strangers)

    @cached_property
    def naming_elsewhere(self) -> dict[Address, list[Address]]:
        """What is ours and declared outside the given paths, by what it names at the platform."""
        return self._by_what_they_name((address, self.matches.by_address[address].live) for address in outside(self))

    def _by_what_they_name(self, items: Iterable[tuple[Address, LiveObject | None]]) -> dict[Address, list[Address]]:
        found: dict[Address, list[Address]] = {}
        for address, item in items:
            for target in named_by(item, self.kinds) if item is not None and not item.archived else ():
                found.setdefault(target, []).append(address)
        return found

    @cached_property
    def replaced(self) -> frozenset[str]:
        """The ids of what others have replaced: its end is a matter of theirs."""
        entries = (found.entry for found in self.matches.by_address.values() if found.entry is not None)
        return frozenset(each for entry in entries for each in entry.retiring)

    @cached_property
    def irremovable(self) -> Inside:
        """What we remember, the manifests do not ask for, and the platform cannot remove."""
        return self._by_root(
            known for known, found in self.unwanted if found.live and self.kinds[known.kind].remove is None
        )

    @cached_property
    def strangers(self) -> Inside:
        """What is not ours, under the names by which we know what it stands in."""
        known_as = [known for known, item in self.matches.strangers if not item.archived]
        # Somebody's who has taken the name of something of ours that is gone.
        taken = [known for known, found in self.unwanted if found.live and not (found.ours or found.live.archived)]
        return self._by_root([*known_as, *taken])

    @cached_property
    def archived_strangers(self) -> Inside:
        """What is archived, and nothing says that a run has ever owned it."""
        return self._by_root(known for known, item in self.matches.strangers if item.archived and item.op is None)

    @cached_property
    def archived_ours(self) -> Inside:
        """What is archived and ours: remembered so, or left by a replace and marked."""
        matches = self.matches.by_address.items()
        remembered = (known for known, found in matches if found.live and found.ours and found.live.archived)
        replaced = (known for known, item in self.matches.strangers if item.archived and item.op is not None)
        return self._by_root([*remembered, *replaced])

    @cached_property
    def elsewhere(self) -> Inside:
        """What is ours and declared outside the given paths."""
        return self._by_root(outside(self))

    def _by_root(self, addresses: Iterable[Address]) -> Inside:
        """The addresses by their roots; roots themselves are left out."""
        found: dict[Address, list[Address]] = {}
        for address in addresses:
            if not address.is_root:
                found.setdefault(root_of(address, self.kinds), []).append(address)
        return found


def namesakes(live: Live, kinds: Mapping[str, AnyKind]) -> Mapping[Address, Sequence[str]]:
    """The remote ids of all that is never made by us, by the address that they share; sorted."""
    found: dict[Address, set[str]] = {}
    for item in live.objects:
        if kinds[item.address.kind].create is None and not item.archived:
            found.setdefault(item.address, set()).add(item.remote_id)
    return {address: sorted(ids) for address, ids in found.items()}


Decision = Step | Refusal
Inside = Mapping[Address, list[Address]]
"""Addresses by the root that they stand in."""


def in_scope(address: Address, found: Match, world: World) -> bool:
    """Whether the given paths cover the place where the resource was declared, and that of the root it stands in.

    A set declares tests in roots of other files, and says nothing of those that were not read.
    """
    if world.options.policy.destroy and world.options.policy.everything:
        return True
    return is_covered(_place(address, found, world), world) and _is_root_covered(address, world)


def _place(address: Address, found: Match, world: World) -> str:
    """The file that declared it, from the top of the checkout; empty where nobody knows."""
    known = found.entry or world.state.in_doubt.get(found.former or address)
    return known.source if known is not None else ""


def is_covered(place: str, world: World) -> bool:
    """Whether the given paths cover a file; one that nobody knows only where the whole checkout was read."""
    if not place:
        return not world.options.policy.destroy and "." in world.scope
    return any(_covers(scope, place) for scope in world.scope)


def _is_root_covered(address: Address, world: World) -> bool:
    root = world.kinds[address.kind].parent_of(address)
    if root is None:
        return True
    found = world.matches.by_address.get(root)
    if root in world.desired.resources or found is None or found.entry is None:
        return True
    return is_covered(found.entry.source, world)


def _covers(scope: str, source: str) -> bool:
    if scope == ".":
        return not source.startswith(("../", "/"))
    return source == scope or source.startswith(scope + "/")


def outside(world: World) -> Iterator[Address]:
    """What is ours and was declared outside the given paths, where nobody has looked whether it still is."""
    for address, found in world.unwanted:
        is_there = found.ours if found.entry is None else not found.entry.archived
        if is_there and not in_scope(address, found, world):
            yield address


def named_by(item: LiveObject, kinds: Mapping[str, AnyKind]) -> Iterator[Address]:
    """What an object names, by its address at the platform; see ``LiveObject.refs`` for where names do not tell."""
    for name, shape in kinds[item.address.kind].shapes.items():
        if shape.ref is not None and name not in item.refs:
            yield from named(item.fields.get(name), shape.ref.kind, item.address, kinds)


def removal(action: Action, address: Address, found: Match, reason: str) -> Step:
    """A step that lets go of what is remembered at the address; it names an object only if that is ours."""
    live = found.live if found.ours else None
    return Step(
        id=f"{action}:{address}",
        action=action,
        address=address,
        reason=reason,
        remote_id=live.remote_id if live else None,
        fingerprint=uncompared(archived=live.archived) if live else "",
        former=found.former,
    )
