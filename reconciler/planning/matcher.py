"""Which live object is which address.  Pure.

A remembered id wins over a name, unless a later run has put another object in its place (see ``_is_outlived``).
Without one, the marker of a create whose reply was lost; without that, the name: such an object is a stranger until it
is adopted.  Two strangers of one name are never guessed between.

One object has one address.  A state that says otherwise (mended by hand, put together from two) is not taken at its
word, for what the manifests want under one address would be removed under the other: see ``_doubles``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Iterator, Mapping
from functools import cached_property

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.model.kind import AnyKind, Replace, root_of
from reconciler.model.resource import Address, Desired, Live, LiveObject, Resource
from reconciler.model.state import Entry, Intent, State
from reconciler.model.values import Fields
from reconciler.planning.differ import field_changes


class Match(Struct, frozen=True):
    """What is known of one address.

    ``live``         the object that stands there, or None.   ``entry``  what we remember, or None.
    ``ours``         whether ``live`` may be changed without asking; never where that is None.
    ``in_doubt``     a create of it was sent and never answered.
    ``former``       the address it has in the state, when a rename moved it; of a root that is not ours, the one that
                     what is remembered inside it has there.

    Only where the remembered object is there:

    ``left_behind``  objects that a replace has put another one in place of, and that are still active.
    ``unanswered``   what the create in doubt has made beside it: by its marker.
    ``namesakes``    active objects of this identity that are nobody's.
    ``outlived``     the remembered object, where ``live`` is what a run that we do not remember has put in its place:
                     that is not ``ours``.
    ``also``         other addresses under which the state has it, too: it cannot be this one's as well, so ``live`` is
                     None.

    Only where nothing remembered is there:

    ``recovered``    ``live`` is what the create in doubt has made, and so ``ours``: by its marker or, where that has no
                     room, by its content.
    ``twins``        all live objects of this identity, when there are several and nothing tells which is meant, so
                     ``live`` is None; where one was ``recovered``, the others that the same create may have made.
    """

    live: LiveObject | None = None
    entry: Entry | None = None
    ours: bool = False
    in_doubt: bool = False
    former: Address | None = None
    left_behind: tuple[LiveObject, ...] = ()
    unanswered: LiveObject | None = None
    namesakes: tuple[LiveObject, ...] = ()
    outlived: LiveObject | None = None
    also: tuple[Address, ...] = ()
    recovered: bool = False
    twins: tuple[LiveObject, ...] = ()


class Matches(Struct, frozen=True):
    """Matches for every address that is desired, remembered or in doubt, and the live objects that are no one's.

    ``by_address`` is sorted.  ``strangers`` stand with the address that they have for us.  ``aliases`` leads from the
    address that an object has at the platform to the one that it has for us, where a rename sets them apart.
    ``clashes`` and ``followed`` lead from the new address to the former one: of renames where both are there, and of
    roots that are only looked up and were renamed at the platform.  ``unclear`` leads from the new address to former
    ones, where several are there and nobody can tell which is renamed.  ``misplaced`` leads from where the state has an
    object of ours to where that stands: inside of another root of ours.
    """

    by_address: Mapping[Address, Match]
    strangers: tuple[tuple[Address, LiveObject], ...]
    aliases: Mapping[Address, Address] = field(default_factory=dict)
    clashes: Mapping[Address, Address] = field(default_factory=dict)
    unclear: Mapping[Address, tuple[Address, ...]] = field(default_factory=dict)
    followed: Mapping[Address, Address] = field(default_factory=dict)
    misplaced: Mapping[Address, Address] = field(default_factory=dict)


def match(desired: Desired, live: Live, state: State, kinds: Mapping[str, AnyKind]) -> Matches:
    """Give every desired or remembered address its live object."""
    by_id = live.by_id()
    doubles = _doubles(desired, state, by_id)
    if doubles:
        state = replace(state, entries={a: entry for a, entry in state.entries.items() if a not in doubles})
    followed, unfollowed = _followed(desired, live, by_id, state, kinds)
    renames = _renames(desired, live, state, kinds, followed)
    # What was renamed at the platform has its new name there: who bears the former one now is somebody else.
    from_state = _names({**renames.wanted, **followed}, kinds)
    entries = _entries(state, from_state, by_id)
    from_platform = _at_platform(entries, by_id, _names(renames.wanted, kinds), kinds)
    free = _free(live, entries, doubles)
    named: dict[Address, list[LiveObject]] = defaultdict(list)
    for item in free:
        named[from_platform.ours(item.address)].append(item)
    doubts = _doubts(state, from_state, named)
    brought = _brought({**renames.wanted, **followed}, desired, state, kinds)
    matching = _Matching(desired, state, kinds, by_id, entries, doubts, named, doubles, brought)
    # What is remembered was sorted when it was written: put first, it leaves little to sort.
    addresses = sorted({**entries, **desired.resources, **doubts, **doubles})
    matches = {address: matching.match(address) for address in addresses}
    found = [(address, item.live) for address, item in matches.items() if item.live]
    claimed = {item.remote_id for _, item in found}
    claimed |= {made.remote_id for made in (matches[address].unanswered for address in doubts) if made}
    moved = [(address, item) for address, item in found if item.address != address]
    return Matches(
        matches,
        strangers=tuple((from_platform.ours(item.address), item) for item in free if item.remote_id not in claimed),
        aliases={item.address: address for address, item in moved},
        clashes={**renames.clashes, **unfollowed},
        unclear=renames.unclear,
        followed={address: former for former, address in followed.items()},
        misplaced={
            address: from_platform.ours(item.address)
            for address, item in moved
            if _is_misplaced(address, item, matches, from_platform, kinds)
        },
    )


_Entries = Mapping[Address, tuple[Address, Entry]]
"""Address -> (the address in the state, the entry)."""


class _Names(Struct, frozen=True):
    """Leads from addresses as the state or the platform has them to those that things have for us.

    ``homes``: (vendor, a name of a root) -> the name that we know that root by.
    """

    renames: Mapping[Address, Address]
    homes: Mapping[tuple[str, str], str]

    def ours(self, address: Address) -> Address:
        """The address that something has for us: a renamed root carries along what stands inside it."""
        if not self.homes and not self.renames:
            return address
        address = self.at_home(address)
        return self.renames.get(address, address)

    def at_home(self, address: Address) -> Address:
        """The same in its root as we know that; the renames of single resources are left out."""
        home = self.homes.get((address.vendor, address.root)) if not address.is_root else None
        return address if home is None else address.in_root(home)


def _names(renames: Mapping[Address, Address], kinds: Mapping[str, AnyKind]) -> _Names:
    holders = _holders(kinds) if renames else ()
    return _Names(renames, {(old.vendor, old.name): new.name for old, new in renames.items() if old.kind in holders})


def _at_platform(
    entries: _Entries, by_id: Mapping[str, LiveObject], names: _Names, kinds: Mapping[str, AnyKind]
) -> _Names:
    """For names at the platform: what the manifests rename, and roots of ours that somebody renamed there."""
    holders = _holders(kinds)
    ours = [(address, by_id.get(entry.remote_id)) for address, (_, entry) in entries.items() if address.kind in holders]
    there = {(a.vendor, item.address.name): a.name for a, item in ours if item and item.address.name != a.name}
    return _Names(names.renames, {**names.homes, **there})


def _holders(kinds: Mapping[str, AnyKind]) -> set[str]:
    """The kinds that others stand in; a root of another kind may have the same name."""
    return {kind.parent for kind in kinds.values() if kind.parent is not None}


def _doubles(desired: Desired, state: State, by_id: Mapping[str, LiveObject]) -> dict[Address, Match]:
    """The entries that have an object which stands at another address.

    Where the manifests want one of its addresses, it stands there, and the others are only to be forgotten.  Where
    they want none of them, or several, nobody can tell which is meant: it stands at none until somebody says so.
    That stops what concerns this object; to call the whole state unreadable would stop every command, the ones that
    tell what is wrong among them.
    """
    there = [entry.remote_id for entry in state.entries.values() if entry.remote_id in by_id]
    if len(there) == len(set(there)):
        return {}
    holders: dict[tuple[str, str], list[Address]] = defaultdict(list)
    for address, entry in state.entries.items():
        if entry.remote_id in by_id:
            holders[address.kind, entry.remote_id].append(address)
    found: dict[Address, Match] = {}
    for addresses in holders.values():
        wanted = [address for address in addresses if address in desired.resources]
        for address in addresses if len(addresses) > 1 else ():
            if wanted != [address]:
                also = tuple(sorted(each for each in wanted or addresses if each != address))
                found[address] = Match(entry=state.entries[address], also=also)
    return found


def _is_misplaced(
    address: Address, item: LiveObject, matches: Mapping[Address, Match], names: _Names, kinds: Mapping[str, AnyKind]
) -> bool:
    """Whether the state has it inside of another root than it stands in.  Nothing moves between roots at a platform, so
    somebody has told us so by mistake.
    """
    place = root_of(item.address, kinds)
    if place.name == address.root or address.is_root:
        return False
    home = names.at_home(item.address).root
    root = matches.get(Address(place.kind, (home,)))
    return home != address.root and root is not None and root.ours and root.live is not None


def _entries(state: State, names: _Names, by_id: Mapping[str, LiveObject]) -> _Entries:
    """What is remembered.  What was removed or is gone comes first: a resource renamed onto its address wins."""

    def weight(item: tuple[Address, Entry]) -> tuple[bool, bool, str, tuple[str, ...]]:
        address, entry = item
        return not entry.archived, entry.remote_id in by_id, address.kind, address.path

    known = sorted(state.entries.items(), key=weight) if names.renames else state.entries.items()
    return {names.ours(address): (address, entry) for address, entry in known}


def _free(live: Live, entries: _Entries, doubles: Mapping[Address, Match]) -> list[LiveObject]:
    """What is there and not remembered, nor left behind by a replace."""
    held = {entry.remote_id for _, entry in entries.values()}
    held |= {each.entry.remote_id for each in doubles.values() if each.entry}
    held |= {remote_id for _, entry in entries.values() for remote_id in entry.retiring}
    return [item for item in live.objects if item.remote_id not in held]


def _doubts(
    state: State, names: _Names, named: Mapping[Address, list[LiveObject]]
) -> dict[Address, tuple[Address, Intent]]:
    """Address -> (the address in the state, what is in doubt there).

    A create in doubt is renamed once it was found.  Until then it stays what it was meant to be.
    """
    doubts: dict[Address, tuple[Address, Intent]] = {}
    for address, intent in state.in_doubt.items():
        moved = names.ours(address)
        is_found = any(item.op == intent.op for item in named.get(moved, ()))
        if not is_found and address not in state.entries:
            moved = names.at_home(address)
        if moved == address or moved not in state.in_doubt:
            doubts[moved] = address, intent
    return doubts


class _Matching(Struct, frozen=True, dict=True):
    """What tells which object an address has; ``named`` is what is nobody's so far, by the address it has for us.

    ``brought`` leads from roots that we do not remember to the address that they have in what stands inside them.
    """

    desired: Desired
    state: State
    kinds: Mapping[str, AnyKind]
    by_id: Mapping[str, LiveObject]
    entries: _Entries
    doubts: Mapping[Address, tuple[Address, Intent]]
    named: Mapping[Address, list[LiveObject]]
    doubles: Mapping[Address, Match]
    brought: Mapping[Address, Address]

    def match(self, address: Address) -> Match:
        """What is known of one address."""
        if address in self.doubles and (address not in self.doubts or address in self.desired.resources):
            return self.doubles[address]
        known = self.entries.get(address)
        if known is None or known[1].remote_id not in self.by_id:
            return self._by_name(address)
        found = self._by_id(address, *known)
        if address in self.named or address in self.doubts:
            found = self._beside(found, address)
            if address in self.desired.resources and self._is_outlived(found, self.kinds[address.kind]):
                # Its successor in its place, which is a stranger until it is adopted.
                return replace(found, live=found.namesakes[0], ours=False, namesakes=(), outlived=found.live)
        return found

    # -- what is remembered and there

    def _by_id(self, address: Address, origin: Address, entry: Entry) -> Match:
        """Its id tells."""
        left_behind = tuple(self._left_behind(entry)) if entry.retiring else ()
        former = origin if origin != address else None
        return Match(self.by_id[entry.remote_id], entry, ours=True, former=former, left_behind=left_behind)

    def _left_behind(self, entry: Entry) -> Iterator[LiveObject]:
        """What a replace has left behind, but for what others want."""
        for item in (self.by_id[each] for each in entry.retiring if each in self.by_id):
            if not item.archived and item.remote_id not in self._kept:
                yield item

    @cached_property
    def _kept(self) -> Container[str]:
        """The ids of what is remembered and wanted."""
        return {entry.remote_id for address, (_, entry) in self.entries.items() if address in self.desired.resources}

    def _beside(self, found: Match, address: Address) -> Match:
        """The match with what stands beside it: what an unanswered create has made, and namesakes."""
        doubt = self.doubts.get(address)
        made = self._made_beside(address, doubt[1]) if doubt else None
        others = [item for item in self.named.get(address, ()) if not item.archived and item is not made]
        namesakes = tuple(sorted(others, key=_rank))
        return replace(found, in_doubt=doubt is not None, unanswered=made, namesakes=namesakes)

    def _made_beside(self, address: Address, doubt: Intent) -> LiveObject | None:
        """What the create has made: by its marker, at its address, or wherever somebody has renamed it to.

        Under another name that nobody wants it must be the only one that carries the marker: others are copies.
        """
        if at_home := [item for item in self.named.get(address, ()) if item.op == doubt.op]:
            return min(at_home, key=_rank)
        beside = (a for a in self.named if a.kind == address.kind and a.root == address.root)
        places = [a for a in beside if a not in self.desired.resources]
        marked = [item for place in places for item in self.named[place] if item.op == doubt.op]
        return marked[0] if len(marked) == 1 else None

    def _is_outlived(self, found: Match, kind: AnyKind) -> bool:
        """Whether a state that was restored remembers what a later run has replaced: that is archived, and the only
        other one of its name carries a mark that nobody here knows.

        To bring it back would make a second one.  A mark that we know was copied, and without marks nobody can tell.
        """
        live, entry = found.live, found.entry
        if len(found.namesakes) != 1 or live is None or not live.archived or entry is None or entry.unlisted:
            return False
        if found.in_doubt or found.former is not None or kind.replace is not Replace.CREATE_FIRST:
            return False
        made = (each.op for each in self.state.entries.values())
        meant = (each.op for each in self.state.in_doubt.values())
        return found.namesakes[0].op not in {None, *made, *meant}

    # -- what is not remembered, or not there any more

    def _by_name(self, address: Address) -> Match:
        """Markers tell, and names."""
        resource, kind = self.desired.resources.get(address), self.kinds[address.kind]
        candidates = self.named.get(address, [])
        known_as, entry = self.entries.get(address, (None, None))
        sent_as, doubt = self.doubts.get(address, (None, None))
        origin = known_as or sent_as or self.brought.get(address)
        former = origin if origin != address else None
        if doubt is not None:
            lost = (item for item in candidates if _is_lost_create(item, doubt, resource, kind))
            if ours := sorted(lost, key=_rank):
                if sent_as != address:  # also where something that is gone is remembered at the address itself
                    former = sent_as
                twins = tuple(ours[1:])
                return Match(ours[0], entry, ours=True, in_doubt=True, recovered=True, former=former, twins=twins)
        active = [item for item in candidates if not item.archived]
        if kind.replace is Replace.CREATE_THEN_RETIRE:
            active = _newest_generation(active, resource, kind)
        if len(active) > 1:
            return Match(None, entry, in_doubt=doubt is not None, former=former, twins=tuple(sorted(active, key=_rank)))
        stranger = active[0] if active else max(candidates, key=_rank, default=None)
        return Match(stranger, entry, in_doubt=doubt is not None, former=former)


def _newest_generation(items: list[LiveObject], resource: Resource | None, kind: AnyKind) -> list[LiveObject]:
    """One of several with one name: they follow each other.  What has the wanted content wins, then the newest."""
    wanted: Fields = resource.fields if resource else {}

    def place(item: LiveObject) -> tuple[bool, tuple[str, ...]]:
        return not field_changes(kind, wanted, item.fields, None), _rank(item)

    return [max(items, key=place)] if items else []


def _is_lost_create(item: LiveObject, doubt: Intent, resource: Resource | None, kind: AnyKind) -> bool:
    """Whether this is what our unanswered create made: by marker, or by content where none could be carried."""
    if item.op is not None or not (kind.unique_names or kind.marker is None):
        return item.op == doubt.op
    wanted: Fields = resource.fields if resource else {}
    return (
        bool(wanted)
        and kind.has_files(item.fields, wanted)
        and not [
            change
            for change in field_changes(kind, wanted, item.fields, wanted)
            if change.before is not None or change.sensitive
        ]
    )


def _followed(
    desired: Desired, live: Live, by_id: Mapping[str, LiveObject], state: State, kinds: Mapping[str, AnyKind]
) -> tuple[dict[Address, Address], dict[Address, Address]]:
    """Former -> new address of roots that have no entry and were renamed at the platform: those that are only looked
    up, and strangers.  And new -> former ones of those that are looked up and were not renamed, whatever
    ``renamedFrom`` says.

    What is remembered inside such a root tells, by the name under which it is listed now.
    """
    holders = _holders(kinds)
    looked_up = {r.address: r.renamed_from for r in desired if r.lookup and r.address.kind in holders}
    roots = {r.address for r in desired if r.address.kind in holders}
    others = roots - looked_up.keys() - state.entries.keys() - state.in_doubt.keys()
    followed: dict[Address, Address] = {}
    clashes: dict[Address, Address] = {}
    if not looked_up and not others:
        return followed, clashes
    there = {item.address for item in live.objects}
    listed = looked_up.keys() | (others & there)
    said = {former: address for address, formers in looked_up.items() for former in formers}
    for former, inside in _unremembered_roots(desired, state, kinds).items():
        entries = [state.entries[address] for address in inside if address in state.entries]
        names = {by_id[entry.remote_id].address.root for entry in entries if entry.remote_id in by_id}
        told = said.get(former)
        if not names and told is not None and former not in there:
            names = {told.name}
        if names == {former.name} and told in there:
            clashes[said[former]] = former
        address = Address(former.kind, (min(names),)) if len(names) == 1 else None
        if address not in listed or address in followed.values():
            continue
        moved = {each.in_root(address.name) for each in inside}
        if moved.isdisjoint(state.entries):
            followed[former] = address
    return followed, clashes


def _unremembered_roots(desired: Desired, state: State, kinds: Mapping[str, AnyKind]) -> dict[Address, list[Address]]:
    """Roots that are neither wanted nor remembered, with the addresses inside them that are remembered or in doubt."""
    found: dict[Address, list[Address]] = defaultdict(list)
    for address in {**state.entries, **state.in_doubt}:
        parent = kinds[address.kind].parent
        if parent is not None:
            found[Address(parent, address.path[:1])].append(address)
    return {root: inside for root, inside in found.items() if not (root in desired.resources or root in state.entries)}


def _brought(
    moved: Mapping[Address, Address], desired: Desired, state: State, kinds: Mapping[str, AnyKind]
) -> dict[Address, Address]:
    """New -> former address of roots that we do not remember, and that carry along what we remember inside them."""
    roots = {old: new for old, new in moved.items() if new.is_root and not desired.resources[new].lookup}
    inside = _unremembered_roots(desired, state, kinds) if roots.keys() - state.entries.keys() else {}
    return {new: old for old, new in roots.items() if old in inside}


class _Renames(Struct, frozen=True):
    """``wanted`` leads from former addresses to new ones, of what is to be renamed; of the others see ``Matches``."""

    wanted: dict[Address, Address] = field(default_factory=dict)
    clashes: dict[Address, Address] = field(default_factory=dict)
    unclear: dict[Address, tuple[Address, ...]] = field(default_factory=dict)

    def take(self, address: Address, formers: tuple[Address, ...], there: _There, desired: Desired) -> None:
        """Decide about one that is asked for."""
        meant = there.meant(formers)
        former = meant[0]
        # Nothing has or had the new name: what we have archived under the former one returns as it.
        if former in there.away and address not in there.had:
            self.wanted[former] = address
        # Nothing in use has the former name: there is nothing to rename, or no longer.
        if former not in there.ours and former not in there.strangers:
            return
        # Nothing has the new name.  What we made under it is there, though no list shows it yet.
        if address not in there.ours and address not in there.strangers and address not in there.unlisted:
            if len(meant) > 1:
                self.unclear[address] = meant
            else:
                self.wanted[former] = address
            return
        # While the new object of a replace is in doubt both may be there.  The rename is among both ``wanted`` and
        # ``clashes`` then, for it goes on where it needs a replace.
        if former in there.ours and address in there.doubts and address not in there.ours:
            self.wanted[former] = address
        # The manifests use the former name again, or what has it was archived by somebody: nothing is left to rename.
        if former in desired.resources or there.ours.get(former) in there.archived:
            return
        # Both are there.  Where the new one is ours the rename is done, and a stranger may have the former name since.
        if former in there.ours or address in there.strangers:
            self.clashes[address] = former


class _There(Struct, frozen=True):
    """What stands where, under the names that it has once the renames of roots are done.

    ``ours`` is what we remember and use, with its id, ``away`` what we have archived, ``strangers`` the rest of what is
    in use.  ``unlisted`` was made by us, and no list has shown it since: it is there, as far as anybody knows.  ``had``
    is every address under which anything is or was, ``archived`` the ids of what is archived.
    """

    ours: Mapping[Address, str]
    away: Container[Address]
    strangers: Container[Address]
    unlisted: Container[Address]
    doubts: Container[Address]
    had: Container[Address]
    archived: Container[str]

    def meant(self, formers: tuple[Address, ...]) -> tuple[Address, ...]:
        """The former addresses at which something is that can be renamed: what is ours before strangers, and both
        before what we have archived, of which one is as good as another.  One of them all where nothing is at any.
        """
        owned = [each for each in formers if each in self.ours]
        active = [each for each in owned if self.ours[each] not in self.archived]
        live = active or owned or [each for each in formers if each in self.strangers]
        return tuple(live or [each for each in formers if each in self.away][:1] or formers[:1])


def _renames(
    desired: Desired, live: Live, state: State, kinds: Mapping[str, AnyKind], followed: Mapping[Address, Address]
) -> _Renames:
    """What becomes of renames, roots first."""
    found, asked = _Renames(), _asked(desired, live, state)
    for is_root in (True, False) if asked else ():
        there = _there(live, state, _names({**found.wanted, **followed}, kinds), _names(found.wanted, kinds))
        for address, formers in asked.items():
            if address.is_root is is_root:
                found.take(address, formers, there, desired)
    return found


def _there(live: Live, state: State, from_state: _Names, from_platform: _Names) -> _There:
    replaced = {each for entry in state.entries.values() for each in entry.retiring}
    listed = {item.remote_id for item in live.objects}
    present = listed - replaced  # what another one has replaced is nothing any more, wherever we remember it
    known = {entry.remote_id for entry in state.entries.values()} | replaced
    remembered = [(from_state.ours(address), entry) for address, entry in state.entries.items()]
    others = (item.address for item in live.objects if not item.archived and item.remote_id not in known)
    strangers = set(map(from_platform.ours, others))
    doubts = set(map(from_state.ours, state.in_doubt))
    return _There(
        ours={a: e.remote_id for a, e in remembered if not e.archived and e.remote_id in present},
        away={a for a, e in remembered if e.archived and e.remote_id in present} - doubts,
        strangers=strangers,
        unlisted={a for a, e in remembered if e.unlisted and not e.archived and e.remote_id not in listed},
        doubts=doubts,
        had={a for a, _ in remembered} | strangers | doubts,
        archived={item.remote_id for item in live.objects if item.archived},
    )


def _asked(desired: Desired, live: Live, state: State) -> dict[Address, tuple[Address, ...]]:
    """New address -> former ones, of all that the manifests say and all that somebody did by hand."""
    owned = state.entries.keys()
    said = {
        each.address: each.renamed_from
        for each in desired
        if each.renamed_from and (not each.lookup or not owned.isdisjoint(each.renamed_from))
    }
    by_hand = {new: (old,) for new, old in _renamed_by_hand(desired, live, state).items()}
    return {**by_hand, **said}


def _renamed_by_hand(desired: Desired, live: Live, state: State) -> dict[Address, Address]:
    """New address -> former one of what somebody renamed at the platform, and the manifests call so since.

    Nobody needs to say ``renamedFrom`` of it: an object of ours that alone bears the wanted name is what is wanted,
    and no other one is to be made beside it, nor is it to be removed.
    """
    unwanted = {e.remote_id: a for a, e in state.entries.items() if a not in desired.resources and not e.archived}
    named = Counter(item.address for item in live.objects if not item.archived) if unwanted else Counter[Address]()
    there = [item for item in live.objects if item.remote_id in unwanted and named[item.address] == 1]
    wanted = desired.resources.keys() - state.entries.keys() if there else set()
    found = {item.address: unwanted[item.remote_id] for item in there if item.address in wanted and not item.archived}
    # As with renamedFrom, the former name stands in the root as that is called now.
    return {new: old if old.is_root else old.in_root(new.root) for new, old in found.items()}


def _rank(item: LiveObject) -> tuple[str, ...]:
    return tuple(str(part).rjust(24, "0") if isinstance(part, int) else str(part) for part in item.rank)
