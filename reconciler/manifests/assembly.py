"""Turn items into resources: overrides, references, the kinds' own rules, addresses that must differ.

Touches: disk, reading the files that items name.
"""

from __future__ import annotations

import functools
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from msgspec import Struct, field
from msgspec.structs import replace
from pydantic import ValidationError

from reconciler.manifests.attachments import Attached, Attachments
from reconciler.manifests.expansion import FOR_EACH, Nameable, check_name, select_names
from reconciler.manifests.items import Item
from reconciler.manifests.loader import FORBIDDEN
from reconciler.manifests.overrides import Overrides
from reconciler.manifests.positions import COLUMN_MASK, Alike, Map, Seq, Spot, lines_below, unpack
from reconciler.manifests.problems import Problems, explain, quoted
from reconciler.manifests.twins import Meaning, Twins
from reconciler.manifests.value_sources import ValueSources
from reconciler.model.criteria import contradictory, criteria_text, implied
from reconciler.model.gating import declared_criteria, incomparable
from reconciler.model.kind import AnyKind, Criterion
from reconciler.model.resource import NO_SECRETS, Address, Gate, Resource, Source
from reconciler.model.secrecy import NOT_SHOWN, Secrets, sealed, withheld
from reconciler.model.spec import RefTo, Shape, Spec, fields_of
from reconciler.model.values import Fields

Looks = tuple[str, tuple[str, ...], str]
"""An address as a person sees it."""
_NO_FILES: Final[Mapping[str, str]] = {}


class Assembly(Struct):
    """Makes resources of items.  Reports what is wrong and goes on with the next item.

    ``partial``: some files could not be read, so what is missing may be in them.
    """

    kinds: Mapping[str, AnyKind]
    overrides: Overrides
    attachments: Attachments
    problems: Problems
    value_sources: ValueSources
    partial: bool = False
    declared: dict[tuple[str, tuple[str, ...]], dict[str, Mapping[str, str]]] = field(default_factory=dict)
    taken: dict[Address, Map] = field(default_factory=dict)
    look_alikes: dict[Looks, Address] = field(default_factory=dict)
    layouts: dict[tuple[str | int, ...], Mapping[str, int]] = field(default_factory=dict)
    compared: dict[Address, Spot] = field(default_factory=dict)
    holding: dict[Address, frozenset[str]] = field(default_factory=dict)
    off: dict[Address, Source] = field(default_factory=dict)
    twins: Twins = field(default_factory=Twins)

    def resources(self, items: Sequence[Item]) -> dict[Address, Resource]:
        """The resources, in the order of the items, without those that are switched off."""
        named = {ref.kind for kind in self.kinds.values() for _, _, ref, _ in kind.referring}
        homed = [item for item in items if not item.is_stray]
        for item in homed:
            if item.kind.id in named:
                self.declared.setdefault((item.kind.id, item.parent_path), {})[item.name] = item.labels
        made = {each.address: each for item in items if (each := self._resource(item))}
        self._check_renames(homed)
        self._check_regress(made)
        self._check_needs(made)
        return made

    def _resource(self, item: Item) -> Resource | None:
        kind = item.kind
        data = self.overrides.apply(kind, item.parent_path, item.identity(), item.data) if self.overrides else item.data
        is_overridden = data is not item.data
        data = self._with_references(item, data)
        address = (item if data is item.data else item._replace(data=data)).address()
        self._check_name(data)
        is_new = address is not None and all(address.path) and not item.is_stray and self._claim(address, data)
        attached = self.attachments.of(kind, data)
        meaning = self._meaning(kind, data, attached)
        if meaning is None or address is None or not is_new:
            return None
        if not meaning.is_enabled:
            self.off[address] = self._source(data.value_spot("enabled"))
            return None
        for each in attached.values():
            self.holding[address] = each.holds
        if meaning.gate.regress is not None:
            self.compared[address] = data.value_spot("regress")
        return Resource(
            address=address,
            fields=meaning.fields,
            source=self._source(_place(kind, data)),
            lifecycle=meaning.spec.lifecycle,
            gate=meaning.gate,
            references=self._references(item, meaning.spec),
            renamed_from=self._former(item, data),
            labels=meaning.spec.labels,
            lines=meaning.lines,
            lookup=meaning.lookup,
            files={name: file.name for name, file in attached.items()} if attached else _NO_FILES,
            value_sources=self.value_sources.of(data, is_overridden=is_overridden),
            secrets=meaning.secrets,
        )

    # ---------------------------------------------------------------------------------------- fields

    def _meaning(self, kind: AnyKind, data: Map, attached: Mapping[str, Attached]) -> Meaning | None:
        """What an item means, from one like it if there was one; None, and a report, where it makes no sense."""
        if not isinstance(data, Alike) or attached:
            return self._found_out(kind, data, attached)[0]
        family = self.twins.family_of(kind, data)
        known = family.meaning_of(data)
        if known is not None:
            return known if data.below is None else replace(known, lines=self._lines(data, _place(kind, data)))
        meaning, is_sound = self._found_out(kind, data, attached)
        if meaning and is_sound:
            self.twins.remember(family, data, meaning)
        return meaning

    def _found_out(self, kind: AnyKind, data: Map, attached: Mapping[str, Attached]) -> tuple[Meaning | None, bool]:
        """What an item means, and whether that is all there is to say about it."""
        spec = self._validated(kind, data)
        if spec is None:
            return None, False
        fields = spec.written()
        fields.update((name, file.value) for name, file in attached.items())
        is_sound = self._is_sound(kind, fields, data)
        lookup = kind.lookup(spec)
        if lookup:
            self._report_idle(kind, fields, data)
        is_enabled = getattr(spec, "enabled", True)
        gate = kind.gate(spec) if kind.gate and is_enabled else Gate()
        is_sound = self._can_run(kind, fields, gate, data) and is_sound and not lookup
        is_sound = self._can_tell(kind, fields, gate, data) and is_sound
        secrets: Secrets = NO_SECRETS
        if kind.sensitive:
            fields, secrets = sealed(fields, kind.id, kind.sensitive)
        lines = self._lines(data, _place(kind, data))
        return Meaning(spec, fields, gate, lookup, is_enabled, lines, secrets), is_sound

    def _with_references(self, item: Item, data: Map) -> Map:
        """``data`` with label selectors replaced by the names they choose; unknown names are reported."""
        entries = None
        for name, _, ref, is_list in item.kind.referring:
            if name not in data:
                continue
            value, spot, known = data[name], data.value_spot(name), self._nameable(item, ref)
            if not is_list:
                check_name(value, spot, known, self.problems)
                continue
            chosen = select_names(value, spot, known, self.problems)
            if chosen is not value:
                entries = entries or data.entries()
                entries[name] = (chosen, data.key_spot(name), spot)
        return Map.of(data.spot, entries) if entries else data

    def _nameable(self, item: Item, ref: RefTo) -> Nameable:
        """What a field of ``item`` may name: what stands beside it, or anything that lives in nothing.

        Nobody knows what stands beside a stray.
        """
        is_root = self.kinds[ref.kind].parent is None
        return Nameable(
            self.declared.get((ref.kind, self._home(item, ref)), {}),
            _plain_word(ref.kind),
            "under the paths given" if is_root else "here",
            partial=self.partial if is_root else item.is_stray,
        )

    def _home(self, item: Item, ref: RefTo) -> tuple[str, ...]:
        """The path of what the named resources live in."""
        return item.parent_path if self.kinds[ref.kind].parent else ()

    def _validated(self, kind: AnyKind, data: Map) -> Spec | None:
        said = () if kind.document else ("name",)  # of a root's name, with the rest of the metadata
        try:
            spec: Spec = kind.spec.model_validate(data)
        except ValidationError as error:
            fields = {**fields_of(kind.spec), **({FOR_EACH: Shape()} if kind.document else {})}
            explain(error, data, kind.id, fields, self.problems, said=said)
            return None
        return spec

    def _is_sound(self, kind: AnyKind, fields: dict[str, Any], data: Map) -> bool:
        """Whether the rules of the kind that types cannot express have nothing to say."""
        found = kind.check(fields)
        secrets = sealed(fields, kind.id, kind.sensitive)[1] if found and kind.sensitive else NO_SECRETS
        for flaw in found:
            spot, below = _find(data, flaw.path)
            message, hint = withheld(flaw.message, secrets), withheld(flaw.hint, secrets)
            self.problems.add(spot, message, hint, below=below, warning=not flaw.is_error)
        twice = list(repeated(kind, fields))
        for path, item in twice:
            spot, below = _find(data, path)
            shown = NOT_SHOWN if path.partition(".")[0] in kind.sensitive else quoted(item)
            self.problems.add(spot, f"{shown} stands here twice", "remove one of them", below=below)
        return not found and not twice

    def _report_idle(self, kind: AnyKind, fields: dict[str, Any], data: Map) -> None:
        """Warn of fields of a resource that is only looked up: who wrote them believes that they are applied."""
        for name in fields:
            if name not in kind.identity:
                message = f"has no effect: {quoted(str(fields['name']))} is only looked up"
                self.problems.add(data.value_spot(name), message, warning=True)

    def _references(self, item: Item, spec: Spec) -> tuple[Address, ...]:
        found = {item.parent} if item.parent else set()
        for _, attribute, ref, is_list in item.kind.referring:
            value = getattr(spec, attribute)
            names = value if isinstance(value, list) else [value] if value and not is_list else ()
            for each in names:
                found.add(Address(ref.kind, (*self._home(item, ref), str(each))))
        return tuple(sorted(found)) if len(found) > 1 else tuple(found)

    def _source(self, spot: Spot) -> Source:
        number, line, column = unpack(spot)
        return Source(self.problems.files[number].file, line, column)

    def _lines(self, data: Map, spot: Spot) -> Mapping[str, int]:
        """Where the fields stand that are in the same file as the resource at ``spot``; see ``Resource.lines``.

        Most resources are laid out like the one before: one mapping serves them all.
        """
        start = spot & ~COLUMN_MASK
        keys, offset = data.places[::2], data.home - start
        layout = (*data, *([each + offset for each in keys] if offset else keys))
        known = self.layouts.get(layout)
        if known is None:
            places = lines_below(spot, data.spots[::2])
            known = {name: place for name, place in zip(data, places, strict=True) if place is not None}
            if min(known.values(), default=0) < 0:  # above: the distance differs, the line is the same
                layout = (*known, *known.values())
            known = self.layouts.setdefault(layout, known)
        return known

    def _can_run(self, kind: AnyKind, fields: dict[str, Any], gate: Gate, data: Map) -> bool:
        """Whether it can be measured as often as it shall be: what is not measured on demand is measured once."""
        reason = kind.measuring.possible(fields) if kind.measuring and gate.runs > 1 else ""
        if reason:
            spot, below = _find(data, "gate.runs")
            self.problems.add(spot, f"{quoted(str(fields['name']))} cannot be measured {gate.runs} times: {reason}",
                              "write runs: 1", below=below)  # fmt: skip
        return not reason

    def _can_tell(self, kind: AnyKind, fields: Fields, gate: Gate, data: Map) -> bool:
        """Whether its thresholds tell values apart; else warns of those that nothing passes, or never warn."""
        if not kind.judges:
            return True
        criteria = declared_criteria(kind, fields)
        if never := contradictory(criteria) if len(criteria) > 1 else ():
            message = f"nothing can pass {criteria_text(never)}"
            self._warn_at(data, _item_of(never[-1]), message, "correct one of the limits")
            return False
        warning = declared_criteria(kind, {**fields, **gate.warn}) if gate.warn else ()
        idle = implied(warning, criteria)
        for each in idle:
            passing = criteria_text([other for other in criteria if other.key == each.key])
            message = f"never warns: what passes {passing} passes {criteria_text([each])}, too"
            self._warn_at(data, f"warn.{_item_of(each).rpartition('.')[2]}", message, "make it stricter, or remove it")
        return not idle

    def _warn_at(self, data: Map, path: str, message: str, hint: str) -> None:
        spot, below = _find(data, path)
        self.problems.add(spot, message, hint, below=below, warning=True)

    def _check_regress(self, made: Mapping[Address, Resource]) -> None:
        """What is compared with the past must measure one number that can get worse."""
        for address, spot in self.compared.items():
            measuring = self.kinds[address.kind].measuring
            subject = made.get(measuring.subject(address, made[address].fields)) if measuring else None
            if subject is None:
                continue  # what is measured is not declared here
            reason = incomparable(self.kinds[subject.address.kind], subject.fields)
            if reason:
                message, _, hint = reason.partition("; ")
                self.problems.add(spot, f"{quoted(address.name)} cannot be compared with the past: {message}", hint)

    def _check_needs(self, made: Mapping[Address, Resource]) -> None:
        """What a resource needs of the files of those that it names must be in them."""
        for resource in made.values() if self.holding else ():
            needs = self.kinds[resource.address.kind].needs
            for need in needs(resource.fields) if needs else ():
                name = resource.fields[need.named_in]
                there = [self.holding[a] for a in resource.references if a in self.holding and a.name == name]
                if there and need.column not in there[0]:
                    spot, below = _find(self.taken[resource.address], need.path)
                    self.problems.add(spot, need.message, below=below)

    # ----------------------------------------------------------------------------------------- names

    def _check_name(self, data: Map) -> None:
        name = data.get("name")
        if not isinstance(name, str):
            return
        if name.isascii() and name.isprintable() and name == name.strip():
            return
        spot = data.value_spot("name")
        if is_unusable(name):
            self.problems.add(spot, "a name cannot hold line breaks, tabs or characters that nobody can see")
        elif name != name.strip():
            self.problems.add(spot, f"{quoted(name)} begins or ends with a space", warning=True)
        elif scripts := _mixed_scripts(name):
            message = f"{quoted(name)} mixes {' and '.join(scripts)} letters, which look alike"
            self.problems.add(spot, message, warning=True)

    def _claim(self, address: Address, data: Map) -> bool:
        """Whether the address, and whatever looks like it, was free until now."""
        if address in self.taken:
            spot, there = data.value_spot("name"), self._named_at(address)
            hint = "use ${each} in the name" if there == spot else f"see {self.problems.place(there)}"
            self.problems.add(spot, f"{quoted(address.name)} is declared twice", hint)
            return False
        self.taken[address] = data
        other = self.look_alikes.setdefault(folded(address), address)
        if other is not address:
            message = f"{quoted(address.name)} cannot be told from {quoted(other.name)}"
            self.problems.add(data.value_spot("name"), message, self._see(self._named_at(other)))
            return False
        return True

    def _named_at(self, address: Address) -> Spot:
        """Where the name of a declared resource stands."""
        return self.taken[address].value_spot("name")

    def _former(self, item: Item, data: Map) -> tuple[Address, ...]:
        return tuple([address for address, _ in self._formers(item, data)]) if "renamedFrom" in data else ()

    def _formers(self, item: Item, data: Map) -> Iterator[tuple[Address, Spot]]:
        """The former addresses, each with the place of its name; none where what identifies it beside that is null."""
        written, spot = data.get("renamedFrom"), data.value_spot("renamedFrom")
        names = zip(written, written.spots, strict=True) if isinstance(written, Seq) else [(written, spot)]
        identity = item._replace(data=data).identity()
        for name, name_spot in names:
            former = {**identity, "name": name}
            if isinstance(name, str) and None not in former.values():
                yield item.kind.address(item.parent_path, former), name_spot

    def _check_renames(self, items: Sequence[Item]) -> None:
        """A former name must be free, and belong to one resource only."""
        claimed: dict[Address, Spot] = {}
        spots: set[Spot] = set()
        for item in items:
            mine: set[Address] = set()
            for former, spot in self._formers(item, item.data) if "renamedFrom" in item.data else ():
                if spot in spots:  # written once, for all items of a list
                    continue
                spots.add(spot)
                if former in mine:
                    self.problems.add(spot, f"{quoted(former.name)} stands here twice", "remove one of them")
                elif former in self.taken:
                    where = self._see(self._named_at(former))
                    self.problems.add(spot, f"{quoted(former.name)} is still declared", where)
                elif former in claimed:
                    self.problems.add(spot, f"{quoted(former.name)} was renamed twice", self._see(claimed[former]))
                claimed[former] = spot
                mine.add(former)

    def _see(self, spot: Spot) -> str:
        return f"see {self.problems.place(spot)}"


def repeated(kind: AnyKind, fields: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """(path of the second, the item) for each text that stands more than once in a list that means a set.

    A vendor keeps it once, or refuses it: the list as it is written would be a difference for ever.
    """
    for name in kind.sets:
        items = fields.get(name)
        if isinstance(items, list) and len(set(items)) < len(items):
            seen: dict[str, int] = {}
            for place, item in enumerate(items):
                seen[item] = seen.get(item, 0) + 1
                if seen[item] == 2:
                    yield f"{name}.{place}", item


def _item_of(criterion: Criterion) -> str:
    """The path of the threshold whose limit a criterion is."""
    return criterion.path.rpartition(".")[0]


def _place(kind: AnyKind, data: Map) -> Spot:
    """Where a resource stands: where its document does, or its name."""
    return data.spot if kind.document else data.key_spot("name")


def _plain_word(kind_id: str) -> str:
    """``"inference pipeline"`` for ``"openlayer.InferencePipeline"``."""
    word = kind_id.rpartition(".")[2]
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in word).strip()


def _find(data: Map, path: str) -> tuple[Spot, str]:
    """(spot of the value at a dotted path, what is left of the path where the data ends)."""
    value: Any = data
    spot = data.spot
    parts = [part for part in path.split(".") if part]
    for index, part in enumerate(parts):
        if isinstance(value, Map) and part in value:
            value, spot = value[part], value.value_spot(part)
        elif isinstance(value, Seq) and part.isdigit() and int(part) < len(value):
            value, spot = value[int(part)], value.item_spot(int(part))
        else:
            return spot, ".".join(parts[index:])
    return spot, ""


def is_unusable(name: str) -> bool:
    """Whether a name holds what nobody can see."""
    if name.isascii():
        return not name.isprintable()
    return FORBIDDEN.search(name) is not None or any(char in name for char in "\n\t\u200c\u200d")


def folded(address: Address) -> Looks:
    """What an address has in common with all that cannot be told from it."""
    kind, path = address
    return kind, _folded_path(path[:-1]), _folded(path[-1])


@functools.lru_cache
def _folded_path(path: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(map(_folded, path))


def _folded(name: str) -> str:
    return (name if name.isascii() else unicodedata.normalize("NFKC", name)).casefold().strip()


def _mixed_scripts(name: str) -> list[str]:
    """The alphabets of a name, when there are several that share letter shapes."""
    if name.isascii():
        return []
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in name if letter.isalpha()}
    found = sorted(scripts & {"LATIN", "CYRILLIC", "GREEK"})
    return [script.capitalize() for script in found] if len(found) > 1 else []
