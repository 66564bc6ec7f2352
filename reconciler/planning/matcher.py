"""Which live object is which address.  Pure.

A remembered id wins over a name, unless a later run has put another object in its place (see ``_is_outlived``).
Without one, the marker of a create whose reply was lost; without that, the name: such an object is a stranger until it
is adopted.  Two strangers of one name are never guessed between.

One object has one address.  A state that says otherwise (mended by hand, put together from two) is not taken at its
word, for what the manifests want under one address would be removed under the other: see ``_doubles``.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Container, Mapping, Sequence

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
    ``ours``         whether the object may be changed without asking.
    ``in_doubt``     a create of it was sent and never answered.
    ``recovered``    it is what such a create has made: by its marker or, where that has no room, by its content.
    ``former``       the address it has in the state, when a rename moved it.
    ``twins``        all live objects of this identity, when there are several and nothing tells which is meant; where
                     one was ``recovered``, the others that the same create may have made.
    ``left_behind``  objects that a replace has put another one in place of, and that are still active.
    ``unanswered``   what the create in doubt has made beside the remembered object, which is there: by its marker.
    ``namesakes``    active objects of this identity that are nobody's, beside the remembered one, which is there.
    ``also``         other addresses under which the state has the entry's object, too: it cannot be this one's as well,
                     so ``live`` is None.
    ``outlived``     the remembered object, where ``live`` is what a run that we do not remember has put in its place.
    """

    live: LiveObject | None = None
    entry: Entry | None = None
    ours: bool = False
    in_doubt: bool = False
    recovered: bool = False
    former: Address | None = None
    twins: tuple[LiveObject, ...] = ()
    left_behind: tuple[LiveObject, ...] = ()
    unanswered: LiveObject | None = None
    namesakes: tuple[LiveObject, ...] = ()
    also: tuple[Address, ...] = ()
    outlived: LiveObject | None = None


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
    renames, clashes, unclear = _renames(desired, live, state, kinds, followed)
    # What was renamed at the platform has its new name there: who bears the former one now is somebody else.
    ours = {**renames, **followed}
    entries = _entries(state, ours, _renamed_roots(ours, kinds), by_id)
    roots = _renamed_roots(renames, kinds)
    holding = [*(entry for _, entry in entries.values()), *(each.entry for each in doubles.values() if each.entry)]
    taken = {entry.remote_id for entry in holding} & by_id.keys()
    retiring = {remote_id for _, entry in entries.values() for remote_id in entry.retiring}
    wanted = (entry for address, (_, entry) in entries.items() if address in desired.resources)
    kept = {entry.remote_id for entry in wanted} if retiring else frozenset()
    homes = _homes(entries, by_id, roots, kinds)
    free = [item for item in live.objects if item.remote_id not in taken and item.remote_id not in retiring]
    named: dict[Address, list[LiveObject]] = defaultdict(list)
    for item in free:
        named[_moved(item.address, homes, renames)].append(item)
    doubts = _doubts(state, ours, _renamed_roots(ours, kinds), named)
    matches: dict[Address, Match] = {}
    # What is remembered was sorted when it was written: put first, it leaves little to sort.
    for address in sorted({**entries, **desired.resources, **doubts, **doubles}):
        known = entries.get(address)
        if address in doubles and (address not in doubts or address in desired.resources):
            matches[address] = doubles[address]
        elif known is not None and known[1].remote_id in by_id:
            matches[address] = _match_known(address, *known, by_id, kept)
            if address in named or address in doubts:
                matches[address] = _beside(matches[address], address, doubts.get(address), named, desired)
                if address in desired.resources and _is_outlived(matches[address], state, kinds[address.kind]):
                    matches[address] = _succeeded(matches[address])
        else:
            resource, kind = desired.resources.get(address), kinds[address.kind]
            matches[address] = _match_named(address, known, doubts.get(address), named.get(address, []), resource, kind)
    found = [(address, item.live) for address, item in matches.items() if item.live]
    claimed = {item.remote_id for _, item in found}
    claimed |= {made.remote_id for made in (matches[address].unanswered for address in doubts) if made}
    strangers = [(_moved(item.address, homes, renames), item) for item in free if item.remote_id not in claimed]
    renamed = [(address, item) for address, item in found if item.address != address]
    return Matches(
        matches,
        strangers=tuple(strangers),
        aliases={item.address: address for address, item in renamed},
        clashes={**clashes, **unfollowed},
        unclear=unclear,
        followed={address: former for former, address in followed.items()},
        misplaced={
            address: _moved(item.address, homes, renames)
            for address, item in renamed
            if _is_misplaced(address, item, matches, homes, kinds)
        },
    )


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
    address: Address, item: LiveObject, matches: Mapping[Address, Match], homes: _Homes, kinds: Mapping[str, AnyKind]
) -> bool:
    """Whether the state has it inside of another root than it stands in.  Nothing moves between roots at a platform, so
    somebody has told us so by mistake.
    """
    place = root_of(item.address, kinds)
    if place.name == address.root or address.is_root:
        return False
    home = homes.get((place.vendor, place.name), place.name)
    root = matches.get(Address(place.kind, (home,)))
    return home != address.root and root is not None and root.ours and root.live is not None


_Homes = dict[tuple[str, str], str]
"""(vendor, a name of a root) -> the name that we know that root by."""


def _entries(
    state: State, renames: Mapping[Address, Address], roots: _Homes, by_id: Mapping[str, LiveObject]
) -> dict[Address, tuple[Address, Entry]]:
    """Address -> (the address in the state, the entry).

    What was removed or is gone comes first, so that a resource renamed onto its address wins.
    """

    def weight(item: tuple[Address, Entry]) -> tuple[bool, bool, str, tuple[str, ...]]:
        address, entry = item
        return not entry.archived, entry.remote_id in by_id, address.kind, address.path

    known = sorted(state.entries.items(), key=weight) if renames else state.entries.items()
    return {_moved(address, roots, renames): (address, entry) for address, entry in known}


def _renamed_roots(renames: Mapping[Address, Address], kinds: Mapping[str, AnyKind]) -> _Homes:
    holders = _holders(kinds) if renames else ()
    return {(old.vendor, old.name): new.name for old, new in renames.items() if old.kind in holders}


def _holders(kinds: Mapping[str, AnyKind]) -> set[str]:
    """The kinds that others stand in; a root of another kind may have the same name."""
    return {kind.parent for kind in kinds.values() if kind.parent is not None}


def _homes(
    entries: Mapping[Address, tuple[Address, Entry]],
    by_id: Mapping[str, LiveObject],
    roots: _Homes,
    kinds: Mapping[str, AnyKind],
) -> _Homes:
    """For names at the platform: roots that the manifests rename, and roots of ours that somebody renamed there."""
    holders = _holders(kinds)
    ours = [(address, by_id.get(entry.remote_id)) for address, (_, entry) in entries.items() if address.kind in holders]
    there = [(address, item.address.name) for address, item in ours if item]
    return {
        **roots,
        **{(address.vendor, name): address.name for address, name in there if name != address.name},
    }


def _moved(address: Address, homes: Mapping[tuple[str, str], str], renames: Mapping[Address, Address]) -> Address:
    """The address that something has for us: a renamed root carries along what stands inside it."""
    if not homes and not renames:
        return address
    home = None if address.is_root else homes.get((address.vendor, address.root))
    if home is not None:
        address = address.in_root(home)
    return renames.get(address, address)


def _doubts(
    state: State, renames: Mapping[Address, Address], roots: _Homes, named: Mapping[Address, list[LiveObject]]
) -> dict[Address, tuple[Address, Intent]]:
    """Address -> (the address in the state, what is in doubt there).

    A create in doubt is renamed once it was found.  Until then it stays what it was meant to be.
    """
    doubts: dict[Address, tuple[Address, Intent]] = {}
    for address, intent in state.in_doubt.items():
        moved = _moved(address, roots, renames)
        is_found = any(item.op == intent.op for item in named.get(moved, ()))
        if not is_found and address not in state.entries:
            moved = _moved(address, roots, {})
        if moved == address or moved not in state.in_doubt:
            doubts[moved] = address, intent
    return doubts


def _match_known(
    address: Address, origin: Address, entry: Entry, by_id: Mapping[str, LiveObject], kept: Container[str]
) -> Match:
    """Something remembered that is there: its id tells.  What others want stays, though a replace left it behind."""
    left = [by_id[each] for each in entry.retiring if each in by_id and each not in kept]
    left_behind = tuple(item for item in left if not item.archived)
    former = origin if origin != address else None
    return Match(by_id[entry.remote_id], entry, ours=True, former=former, left_behind=left_behind)


def _beside(
    found: Match,
    address: Address,
    doubt: tuple[Address, Intent] | None,
    named: Mapping[Address, Sequence[LiveObject]],
    desired: Desired,
) -> Match:
    """What stands beside something remembered that is there: what an unanswered create has made, and namesakes."""
    made = _made_beside(address, doubt[1], named, desired) if doubt else None
    others = [item for item in named.get(address, ()) if not item.archived and item is not made]
    namesakes = tuple(sorted(others, key=_rank))
    return replace(found, in_doubt=doubt is not None, unanswered=made, namesakes=namesakes)


def _is_outlived(found: Match, state: State, kind: AnyKind) -> bool:
    """Whether a state that was restored remembers what a later run has replaced: that is archived, and the only other
    one of its name carries a mark that nobody here knows.

    To bring it back would make a second one.  A mark that we know was copied, and without marks nobody can tell.
    """
    live, entry = found.live, found.entry
    if len(found.namesakes) != 1 or live is None or not live.archived or entry is None or entry.unlisted:
        return False
    if found.in_doubt or found.former is not None or kind.replace is not Replace.CREATE_FIRST:
        return False
    known = {*(each.op for each in state.entries.values()), *(each.op for each in state.in_doubt.values()), None}
    return found.namesakes[0].op not in known


def _succeeded(found: Match) -> Match:
    """Its successor in its place, which is a stranger until it is adopted."""
    return replace(found, live=found.namesakes[0], ours=False, namesakes=(), outlived=found.live)


def _made_beside(
    address: Address, doubt: Intent, named: Mapping[Address, Sequence[LiveObject]], desired: Desired
) -> LiveObject | None:
    """What the create has made: by its marker, at its address, or wherever somebody has renamed it to.

    Under another name that nobody wants it must be the only one that carries the marker: others are copies.
    """
    if at_home := [item for item in named.get(address, ()) if item.op == doubt.op]:
        return min(at_home, key=_rank)
    places = [a for a in named if a.kind == address.kind and a.root == address.root and a not in desired.resources]
    marked = [item for place in places for item in named[place] if item.op == doubt.op]
    return marked[0] if len(marked) == 1 else None


def _match_named(
    address: Address,
    known: tuple[Address, Entry] | None,
    doubt: tuple[Address, Intent] | None,
    candidates: list[LiveObject],
    resource: Resource | None,
    kind: AnyKind,
) -> Match:
    """Something that is not remembered, or not there any more: markers tell, and names."""
    entry = known[1] if known else None
    origin = known or doubt
    former = origin[0] if origin and origin[0] != address else None
    if doubt is not None:
        ours = sorted((item for item in candidates if _is_lost_create(item, doubt[1], resource, kind)), key=_rank)
        if ours:
            if doubt[0] != address:  # also where something that is gone is remembered at the address itself
                former = doubt[0]
            return Match(ours[0], entry, ours=True, in_doubt=True, recovered=True, former=former, twins=tuple(ours[1:]))
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
        and not [change for change in field_changes(kind, wanted, item.fields, wanted) if change.before is not None]
    )


def _followed(
    desired: Desired, live: Live, by_id: Mapping[str, LiveObject], state: State, kinds: Mapping[str, AnyKind]
) -> tuple[dict[Address, Address], dict[Address, Address]]:
    """Former -> new address of roots that are only looked up and were renamed at the platform; and new -> former ones
    of those that were not, whatever ``renamedFrom`` says.

    Such a root has no entry: what is remembered inside it tells, by the name under which it is listed now.
    """
    holders = _holders(kinds)
    looked_up = {r.address: r.renamed_from for r in desired if r.lookup and r.address.kind in holders}
    followed: dict[Address, Address] = {}
    clashes: dict[Address, Address] = {}
    if not looked_up:
        return followed, clashes
    there = {item.address for item in live.objects}
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
        if address not in looked_up or address in followed.values():
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


def _renames(
    desired: Desired, live: Live, state: State, kinds: Mapping[str, AnyKind], followed: Mapping[Address, Address]
) -> tuple[dict[Address, Address], dict[Address, Address], dict[Address, tuple[Address, ...]]]:
    """Former address -> new one for every rename that is still to be done, roots first; those that clash; and those
    of which nobody can tell what is renamed: see ``Matches``.

    A rename is done when the new address is ours: that a stranger has the former name since does not matter, nor what
    is archived under it.  Where nothing has or had the new one, what we have archived under the former returns as it.
    What we made under the new address is there, though no list shows it yet.  While the new object of a replace is in
    doubt both may be there: such a rename is among both, for it goes on where it needs a replace.
    """
    renames: dict[Address, Address] = {}
    clashes: dict[Address, Address] = {}
    unclear: dict[Address, tuple[Address, ...]] = {}
    owned = state.entries.keys()
    said = {
        each.address: each.renamed_from
        for each in desired
        if each.renamed_from and (not each.lookup or not owned.isdisjoint(each.renamed_from))
    }
    by_hand = {new: (old,) for new, old in _renamed_by_hand(desired, live, state).items()}
    asked: dict[Address, tuple[Address, ...]] = {**by_hand, **said}
    archived = {item.remote_id for item in live.objects if item.archived} if asked else set()
    for is_root in (True, False):
        roots = _renamed_roots(renames, kinds)
        known = {**renames, **followed}
        homes = _renamed_roots(known, kinds)
        ours = {_moved(a, homes, known): remote_id for a, remote_id in _owned(state, live)} if asked else {}
        strangers = {_moved(a, roots, renames) for a in _strangers(state, live)} if asked else set()
        unlisted = {_moved(a, homes, known) for a in _unlisted(state, live)} if asked else set()
        doubts = {_moved(a, homes, known) for a in state.in_doubt} if asked else set()
        away = {_moved(a, homes, known) for a in _put_away(state, live)} - doubts if asked else set()
        had = {_moved(a, homes, known) for a in state.entries} | strangers | doubts if away else set()
        for address, formers in asked.items():
            if address.is_root is not is_root:
                continue
            meant = _meant(formers, ours, strangers, away, archived)
            former = meant[0]
            if former in away and address not in had:
                renames[former] = address
            if not (former in ours or former in strangers):
                continue
            is_taken = address in ours or address in strangers or address in unlisted
            if len(meant) > 1 and not is_taken:
                unclear[address] = meant
                continue
            if not is_taken or (former in ours and address in doubts and address not in ours):
                renames[former] = address
            if not is_taken or former in desired.resources or ours.get(former) in archived:
                continue
            if former in ours or address in strangers:
                clashes[address] = former
    return renames, clashes, unclear


def _meant(
    formers: tuple[Address, ...],
    ours: Mapping[Address, str],
    strangers: Container[Address],
    away: Container[Address],
    archived: Container[str],
) -> tuple[Address, ...]:
    """The former addresses at which something is that can be renamed: what is ours before strangers, and both before
    what we have archived, of which one is as good as another.  One of them all where nothing is at any.
    """
    owned = [each for each in formers if each in ours]
    active = [each for each in owned if ours[each] not in archived]
    live = active or owned or [each for each in formers if each in strangers]
    return tuple(live or [each for each in formers if each in away][:1] or formers[:1])


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


def _owned(state: State, live: Live) -> list[tuple[Address, str]]:
    """What is ours and there: where we remember it, and its id.

    What another one has replaced is nothing any more, wherever we remember it.
    """
    there = {item.remote_id for item in live.objects} - _replaced(state)
    return [(a, e.remote_id) for a, e in state.entries.items() if not e.archived and e.remote_id in there]


def _put_away(state: State, live: Live) -> list[Address]:
    """Where we remember what is there and was archived by us."""
    there = {item.remote_id for item in live.objects} - _replaced(state)
    return [a for a, e in state.entries.items() if e.archived and e.remote_id in there]


def _unlisted(state: State, live: Live) -> list[Address]:
    """Where we remember what we made, and no list has shown since: it is there, as far as anybody knows."""
    unlisted = [(a, e.remote_id) for a, e in state.entries.items() if e.unlisted and not e.archived]
    there = {item.remote_id for item in live.objects} if unlisted else set()
    return [a for a, remote_id in unlisted if remote_id not in there]


def _strangers(state: State, live: Live) -> list[Address]:
    """The rest of what is there, by its live name."""
    known = {entry.remote_id for entry in state.entries.values()} | _replaced(state)
    return [item.address for item in live.objects if not item.archived and item.remote_id not in known]


def _replaced(state: State) -> set[str]:
    return {each for entry in state.entries.values() for each in entry.retiring}


def _rank(item: LiveObject) -> tuple[str, ...]:
    return tuple(str(part).rjust(24, "0") if isinstance(part, int) else str(part) for part in item.rank)
