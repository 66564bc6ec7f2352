"""Apply an Environment's overrides to the resources they match.  Pure.

An override chooses resources by the words of their kind and its parents (``project``, ``test``) and by identity
fields (``mode``), and sets fields that the kind marks as overridable.  It means every kind, of whatever vendor, that
has all of these words and fields.  Each must do something: one that matches nothing would be believed to be in force.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from typing import Any

from msgspec import Struct, field

from reconciler.manifests.expansion import glob_matches, merged
from reconciler.manifests.positions import Map, Seq, Spot, leaves
from reconciler.manifests.problems import Problems, described, one_of
from reconciler.model.kind import AnyKind
from reconciler.model.nearest import did_you_mean
from reconciler.model.spec import Mark, Shape, fields_of


def overridable_fields(kind: AnyKind) -> dict[str, Shape]:
    """The fields of a kind that an Environment may set, by manifest name."""
    return {name: shape for name, shape in fields_of(kind.spec).items() if Mark.OVERRIDABLE in shape.marks}


def match_words(kind: AnyKind, kinds: Sequence[AnyKind]) -> dict[str, str]:
    """What can be matched on, outermost first: word -> the identity field it stands for, "" for a parent's name."""
    parent = next((other for other in kinds if other.id == kind.parent), None)
    words = dict.fromkeys(match_words(parent, kinds), "") if parent else {}
    words[kind.word[:1].lower() + kind.word[1:]] = "name"
    words.update((name, name) for name in kind.identity if name != "name")
    return words


class _Override(Struct):
    spot: Spot
    match: Map
    set: Map
    kinds: frozenset[str]
    matched: bool = False
    idle_items: dict[Spot, tuple[str, list[str]]] = field(default_factory=dict)


class Overrides:
    """The overrides of one environment.  ``apply`` for every resource, then ``report_idle`` once."""

    def __init__(self, written: Any, kinds: Sequence[AnyKind], problems: Problems) -> None:
        """``written`` is the list in the manifest; what is wrong with its shape has been said elsewhere."""
        self.kinds = {kind.id: kind for kind in kinds if overridable_fields(kind)}
        self.words = {kind_id: match_words(kind, kinds) for kind_id, kind in self.kinds.items()}
        self.problems = problems
        self.overrides = list(self._usable(written)) if isinstance(written, Seq) else []

    def __bool__(self) -> bool:
        return bool(self.overrides)

    @cached_property
    def spots(self) -> frozenset[Spot]:
        """Where the values stand that they set."""
        return frozenset(spot for each in self.overrides for _, spot in leaves(each.set, each.set.spot))

    def _usable(self, written: Seq) -> Iterator[_Override]:
        for item in written:
            match, settings = (item.get("match"), item.get("set")) if isinstance(item, Map) else (None, None)
            if isinstance(match, Map) and isinstance(settings, Map):
                chosen = self._kinds_for(match, settings)
                if chosen:
                    self._report_empty(settings, [overridable_fields(self.kinds[kind_id]) for kind_id in chosen])
                if chosen and all(isinstance(glob, str) for glob in match.values()):
                    yield _Override(item.spot, match, settings, frozenset(chosen))

    def _kinds_for(self, match: Map, settings: Map) -> list[str]:
        """The kinds that an override can mean; none, and a report, when it names what does not exist."""
        words = {word for known in self.words.values() for word in known}
        unknown = [key for key in match if key not in words]
        for key in unknown:
            hint = did_you_mean(key, words) or f"there are {one_of(sorted(words))}"
            self.problems.add(match.key_spot(key), "nothing is matched by this", hint, key=True)
        matched = [kind_id for kind_id, known in self.words.items() if match.keys() <= known.keys()]
        is_fixed = self._report_fixed(settings, matched or list(self.kinds))
        if unknown or is_fixed:
            return []
        meant = [kind_id for kind_id in matched if settings.keys() <= overridable_fields(self.kinds[kind_id]).keys()]
        if not meant:
            spot = settings.spot if matched else match.spot
            self.problems.add(spot, "no kind of resource has all of these", "write an override for each kind")
        return meant

    def _report_fixed(self, settings: Map, kinds: Sequence[str]) -> bool:
        """Report what cannot be set on any of these kinds; whether there is such."""
        fields = {name: None for kind_id in kinds for name in overridable_fields(self.kinds[kind_id])}
        fixed = [key for key in settings if key not in fields]
        for key in fixed:
            hint = did_you_mean(key, fields) or f"an environment may set {one_of(list(fields))}; change the rest itself"
            self.problems.add(settings.key_spot(key), "cannot be overridden", hint, key=True)
        return bool(fixed)

    def _report_empty(self, settings: Map, fields: Sequence[Mapping[str, Shape]]) -> None:
        """Report lists without an item: what is laid over the items of a list by their keys can take none away."""
        for key, value in settings.items():
            if value == [] and any(_key_fields(each[key]) for each in fields):
                self.problems.add(
                    settings.value_spot(key), "an empty list changes nothing", "name an item, or remove it"
                )

    def apply(self, kind: AnyKind, parent: tuple[str, ...], identity: Mapping[str, Any], data: Map) -> Map:
        """``data`` of the resource with this identity, with everything set that matches it, in order."""
        for override in self.overrides:
            if kind.id in override.kinds and self._matches(override, kind, parent, identity):
                override.matched = True
                data = self._set(override, kind, data)
        return data

    def _matches(
        self, override: _Override, kind: AnyKind, parent: tuple[str, ...], identity: Mapping[str, Any]
    ) -> bool:
        words = self.words[kind.id]
        parents = iter(parent)
        names = {word: str(identity.get(name)) if name else next(parents, "") for word, name in words.items()}
        return all(glob_matches(glob, names[key]) for key, glob in override.match.items())

    def _set(self, override: _Override, kind: AnyKind, data: Map) -> Map:
        fields = overridable_fields(kind)
        entries = {}
        for key, entry in override.set.entries().items():
            keys = _key_fields(fields[key])
            if keys and isinstance(entry[0], Seq) and isinstance(data.get(key), Seq):
                entry = (self._merge_items(override, data[key], entry[0], keys), *entry[1:])
            entries[key] = entry
        return Map.of(data.spot, merged(data, Map.of(data.spot, entries)).entries())

    def _merge_items(self, override: _Override, existing: Seq, changes: Seq, keys: Sequence[str]) -> Seq:
        """``existing`` with each change laid over the items that have the same key fields."""
        items = list(zip(existing, existing.spots, strict=True))
        for change, spot in zip(changes, changes.spots, strict=True):
            if not isinstance(change, Map):
                self.problems.add(spot, f"expected a mapping, found {described(change)}")
                continue
            wanted = {key: change[key] for key in keys if key in change}
            if not wanted:
                self.problems.add(spot, "does not say which item it changes", f"name it by {one_of(keys)}")
                continue
            hits = [
                index
                for index, (item, _) in enumerate(items)
                if isinstance(item, Map) and wanted == {key: item.get(key) for key in wanted}
            ]
            self._note_hits(override, spot, bool(hits), wanted, existing)
            for index in hits:
                items[index] = (merged(items[index][0], _standing_at(items[index][0].spot, change)), items[index][1])
        return Seq.of(existing.spot, items)

    def _note_hits(self, override: _Override, spot: Spot, hit: bool, wanted: Mapping[str, Any], existing: Seq) -> None:
        """Remember a change that found nothing; one hit anywhere is enough."""
        if hit:
            override.idle_items[spot] = ("", [])
        elif spot not in override.idle_items:
            first = next(iter(wanted))
            there = [str(item.get(first)) for item in existing if isinstance(item, Map)]
            override.idle_items[spot] = (str(wanted[first]), there)

    def report_idle(self) -> None:
        """Report every override, and every list item in one, that changed nothing."""
        for override in self.overrides:
            if not override.matched:
                shown = ", ".join(f"{key}: {glob}" for key, glob in override.match.items())
                self.problems.add(override.spot, f"matches nothing ({shown})", "correct or remove it")
            for spot, (wanted, there) in override.idle_items.items():
                if wanted:
                    hint = did_you_mean(wanted, there) or (f"there is {one_of(sorted(set(there)))}" if there else "")
                    self.problems.add(spot, f'nothing that it matches has "{wanted}"', hint)


def _key_fields(shape: Shape) -> list[str]:
    """The fields by which the items of a list are told apart; none for anything else."""
    fields = shape.item.fields if shape.item else None
    return [name for name, inner in (fields or {}).items() if Mark.KEY in inner.marks]


def _standing_at(spot: Spot, mapping: Map) -> Map:
    """The mapping, said to stand somewhere else; its entries stay where they are."""
    return Map.of(spot, mapping.entries())
