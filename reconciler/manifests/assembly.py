"""Turn items into resources: overrides, references, the kinds' own rules, addresses that must differ.  Pure."""

from __future__ import annotations

import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from pydantic import ValidationError

from reconciler.manifests.expansion import select_names
from reconciler.manifests.items import Item
from reconciler.manifests.loader import FORBIDDEN, Map, Seq, Spot, unpack
from reconciler.manifests.overrides import Overrides
from reconciler.manifests.problems import Problems, explain, quoted
from reconciler.model.kind import AnyKind, Spec, fields_of
from reconciler.model.resource import Address, Gate, Resource, Source


@dataclass
class Assembly:
    """Makes resources of items.  Reports what is wrong and goes on with the next item."""

    overrides: Overrides
    problems: Problems
    declared: dict[tuple[str, tuple[str, ...]], dict[str, Mapping[str, str]]] = field(default_factory=dict)
    taken: dict[Address, Spot] = field(default_factory=dict)
    look_alikes: dict[Address, tuple[str, Spot]] = field(default_factory=dict)

    def resources(self, items: Sequence[Item]) -> dict[Address, Resource]:
        """The resources, in the order of the items, without those that are switched off."""
        for item in items:
            self.declared.setdefault((item.kind.id, item.parent_path), {})[item.name] = item.labels
        made = [resource for item in items if (resource := self._resource(item))]
        self._check_renames(items)
        return {resource.address: resource for resource in made}

    def _resource(self, item: Item) -> Resource | None:
        kind = item.kind
        data = self.overrides.apply(kind, item.parent_path, item.identity(), item.data)
        data = self._with_references(item, data)
        address = Item(kind, item.parent, data).address()
        self._check_name(data)
        is_new = address is not None and all(address.path) and self._claim(address, data)
        spec = self._validated(kind, data)
        if spec is None or address is None:
            return None
        fields = spec.written()
        self._check(kind, fields, data)
        if not is_new or getattr(spec, "enabled", True) is False:
            return None
        return Resource(
            address=address,
            fields=fields,
            source=self._source(data.spot if item.parent else data.key_spot("name")),
            lifecycle=spec.lifecycle,
            gate=kind.gate(spec) if kind.gate else Gate(),
            references=self._references(item, spec),
            renamed_from=self._former(item, data),
            labels=dict(spec.labels),
            lines=_lines(data),
        )

    # ---------------------------------------------------------------------------------------- fields

    def _with_references(self, item: Item, data: Map) -> Map:
        """``data`` with label selectors replaced by the names they choose; unknown names are reported."""
        entries = None
        for name, shape in item.kind.shapes.items():
            if shape.ref is None or name not in data:
                continue
            value, spot = data[name], data.value_spot(name)
            declared = self.declared.get((shape.ref.kind, item.parent_path), {})
            chosen = select_names(value, spot, declared, _plain_word(shape.ref.kind), self.problems)
            if chosen is not value:
                entries = entries or data.entries()
                entries[name] = (chosen, data.key_spot(name), spot)
        return Map.of(data.spot, entries) if entries else data

    def _validated(self, kind: AnyKind, data: Map) -> Spec | None:
        said = ("name",) if kind.parent is None else ()  # of a root's name, with the rest of the metadata
        try:
            spec: Spec = kind.spec.model_validate(data)
        except ValidationError as error:
            explain(error, data, kind.id, fields_of(kind.spec), self.problems, said=said)
            return None
        return spec

    def _check(self, kind: AnyKind, fields: dict[str, Any], data: Map) -> None:
        """The rules of the kind that types can not express."""
        for path, message, is_error in kind.check(fields):
            message, _, hint = message.partition("; ")
            spot, below = _find(data, path)
            self.problems.add(spot, message, hint, below=below, warning=not is_error)

    def _references(self, item: Item, spec: Spec) -> tuple[Address, ...]:
        found = {item.parent} if item.parent else set()
        values = spec.model_dump(by_alias=True, include=_reference_fields(item.kind))
        for name, value in values.items():
            ref = item.kind.shapes[name].ref
            if ref and isinstance(value, list):
                found |= {Address(ref.kind, (*item.parent_path, str(each))) for each in value}
        return tuple(sorted(found))

    def _source(self, spot: Spot) -> Source:
        number, line, column = unpack(spot)
        return Source(self.problems.files[number].file, line, column)

    # ----------------------------------------------------------------------------------------- names

    def _check_name(self, data: Map) -> None:
        name, spot = data.get("name"), data.value_spot("name")
        if not isinstance(name, str):
            return
        if "\n" in name or "\t" in name or FORBIDDEN.search(name) or "\u200c" in name or "\u200d" in name:
            self.problems.add(spot, "a name can not hold line breaks, tabs or characters that nobody can see")
        elif name != name.strip():
            self.problems.add(spot, f"{quoted(name)} begins or ends with a space", warning=True)
        elif scripts := _mixed_scripts(name):
            message = f"{quoted(name)} mixes {' and '.join(scripts)} letters, which look alike"
            self.problems.add(spot, message, warning=True)

    def _claim(self, address: Address, data: Map) -> bool:
        """Whether the address, and whatever looks like it, was free until now."""
        spot = data.value_spot("name")
        if address in self.taken:
            there = self.taken[address]
            hint = "use ${each} in the name" if there == spot else f"see {self.problems.place(there)}"
            self.problems.add(spot, f"{quoted(address.name)} is declared twice", hint)
            return False
        self.taken[address] = spot
        alike = Address(address.kind, tuple(_folded(part) for part in address.path))
        if alike in self.look_alikes:
            name, there = self.look_alikes[alike]
            message = f"{quoted(address.name)} can not be told from {quoted(name)}"
            self.problems.add(spot, message, f"see {self.problems.place(there)}")
            return False
        self.look_alikes[alike] = (address.name, spot)
        return True

    def _former(self, item: Item, data: Map) -> Address | None:
        former = data.get("renamedFrom")
        if not isinstance(former, str):
            return None
        identity = Item(item.kind, item.parent, data).identity()
        return item.kind.address(item.parent_path, {**identity, "name": former})

    def _check_renames(self, items: Sequence[Item]) -> None:
        """A former name must be free, and belong to one resource only."""
        claimed: dict[Address, Spot] = {}
        for item in items:
            former, spot = self._former(item, item.data), item.data.value_spot("renamedFrom")
            if former is None or spot in claimed.values():
                continue
            if former in self.taken:
                self.problems.add(spot, f"{quoted(former.name)} is still declared", self._see(self.taken[former]))
            elif former in claimed:
                self.problems.add(spot, f"{quoted(former.name)} was renamed twice", self._see(claimed[former]))
            claimed[former] = spot

    def _see(self, spot: Spot) -> str:
        return f"see {self.problems.place(spot)}"


def _reference_fields(kind: AnyKind) -> set[str]:
    """The attributes, by Python name, that refer to other resources."""
    shapes = kind.shapes
    return {
        name for name, info in kind.spec.model_fields.items() if (shape := shapes.get(info.alias or name)) and shape.ref
    }


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
            value, spot = value[int(part)], value.spots[int(part)]
        else:
            return spot, ".".join(parts[index:])
    return spot, ""


def _lines(data: Map) -> dict[str, int]:
    """Field -> line, for fields that stand in the same file as the resource."""
    home = unpack(data.spot)[0]
    places = {name: unpack(spot) for name, (_, spot, _) in data.entries().items()}
    return {name: line for name, (number, line, _) in places.items() if number == home}


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()


def _mixed_scripts(name: str) -> list[str]:
    """The alphabets of a name, when there are several that share letter shapes."""
    if name.isascii():
        return []
    scripts = {unicodedata.name(letter, "").partition(" ")[0] for letter in name if letter.isalpha()}
    found = sorted(scripts & {"LATIN", "CYRILLIC", "GREEK"})
    return [script.capitalize() for script in found] if len(found) > 1 else []
