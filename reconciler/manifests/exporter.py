"""Live objects -> documents that say the same.  Pure.

Only what a user would write: nothing blank, nothing at its default, nothing archived.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from reconciler.model.kind import AnyKind, Mark, Vendor
from reconciler.model.resource import Address, LiveObject
from reconciler.model.values import Fields, Json

_BLANK: tuple[Json, ...] = (None, "", [], {})


@dataclass(frozen=True)
class Exported:
    """One document and where it goes.  ``fields`` are what it declares, by address."""

    file: str
    document: dict[str, Any]
    fields: dict[Address, Fields]


def documents(objects: Iterable[LiveObject], vendors: Sequence[Vendor]) -> tuple[list[Exported], list[str]]:
    """One document a root, with everything inside it; and sentences about what could not be expressed."""
    there = sorted((item for item in objects if not item.archived), key=lambda item: item.address)
    found: list[Exported] = []
    warnings: list[str] = []
    taken: set[str] = set()
    for vendor in vendors:
        for root in (item for item in there if item.address.vendor == vendor.name and len(item.address.path) == 1):
            inside = [item for item in there if item.address.vendor == vendor.name
                      and item.address.root == root.address.root and item is not root]  # fmt: skip
            found.append(_document(root, inside, vendor, _file_name(root.address.name, taken), warnings))
    return found, warnings


def _document(
    root: LiveObject, inside: Sequence[LiveObject], vendor: Vendor, file: str, warnings: list[str]
) -> Exported:
    kind = vendor.kind(root.address.kind)
    declared = {root.address: _written(root, kind)}
    spec: dict[str, Any] = {name: value for name, value in declared[root.address].items() if name != "name"}
    for child in (each for each in vendor.kinds if each.parent == kind.id and each.plural):
        items = []
        for item in (each for each in inside if each.address.kind == child.id):
            if item.address in declared:
                warnings.append(f"{item.address} stands there twice; {item.remote_id} was left out")
                continue
            declared[item.address] = _written(item, child)
            items.append(declared[item.address])
            warnings += [f"{item.address}: {name} is set and can not be expressed" for name in item.unmanaged]
        if items:
            spec[str(child.plural)] = items
    document = {
        "apiVersion": vendor.api_version,
        "kind": kind.word,
        "metadata": {"name": root.address.name},
        "spec": spec,
    }
    return Exported(file, _escaped(document), declared)


def _written(item: LiveObject, kind: AnyKind) -> Fields:
    """The fields that say something, in the kind's order."""
    tidy = kind.tidy(item.fields)
    shown = (name for name, shape in kind.shapes.items() if Mark.WRITE_ONLY not in shape.marks)
    return {name: tidy[name] for name in shown if tidy.get(name) not in _BLANK}


def _escaped(value: Any) -> Any:
    """``${`` in a live text is not a reference."""
    if isinstance(value, str):
        return value.replace("${", "$${")
    if isinstance(value, list):
        return [_escaped(each) for each in value]
    if isinstance(value, dict):
        return {key: _escaped(each) for key, each in value.items()}
    return value


def _file_name(name: str, taken: set[str]) -> str:
    """A name for the file: readable, and no two the same on any file system."""
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:60] or "project"
    unique, number = slug, 2
    while unique in taken:
        unique, number = f"{slug}-{number}", number + 1
    taken.add(unique)
    return f"{unique}.yaml"
