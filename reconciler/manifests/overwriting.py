"""Tell what is lost when an exported manifest takes the place of one that people wrote.  Pure.

A platform knows nothing of severities, gates, labels, variables and comments, nor of fields that it never shows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from reconciler.manifests.formatter import comment_lines
from reconciler.manifests.loader import printable, read
from reconciler.manifests.positions import Map, Seq, Spot, line_of
from reconciler.manifests.repeats import Layouts
from reconciler.model.values import some_of

_REFERENCE = re.compile(r"(?<!\$)\$\{[^}]*\}")
_MOST_LINES = 5


def lost(before: bytes, after: bytes, file: str) -> str:
    """What ``before`` says and ``after`` does not, each with its lines; "" when nothing goes."""
    old, new = read(before, file, layouts=Layouts()), read(after, file, layouts=Layouts())
    if old.problems:
        return "what it says, for it cannot be read"
    there = {_title(document): document for document, _ in new.documents}
    lines: dict[str, list[int]] = {}
    for document, spot in old.documents:
        title = _title(document)
        found = _missing(document, there[title], "") if title in there else [(title, spot)]
        for what, place in found:
            lines.setdefault(what, []).append(line_of(place))
    if comments := comment_lines(before.decode()):
        lines["comments" if len(comments) > 1 else "a comment"] = comments
    return ", ".join(f"{printable(what)} ({_listed(numbers)})" for what, numbers in lines.items())


def _title(document: Any) -> str:
    """What a document is called, such as ``Project bot``."""
    metadata = document.get("metadata") if isinstance(document, Mapping) else None
    name = metadata.get("name") if isinstance(metadata, Mapping) else None
    return f"{document.get('kind')} {name}" if isinstance(document, Mapping) else "a document"


def _missing(old: Any, new: Any, path: str) -> Iterator[tuple[str, Spot]]:
    """(field, place) of each key, item and reference that stands in the old value and not in the new one."""
    if isinstance(old, Map) and isinstance(new, Mapping):
        for key, (value, key_spot, value_spot) in old.entries().items():
            inner = f"{path}.{key}" if path else key
            if key in new:
                yield from _missing(value, new[key], inner)
                yield from _references(value, new[key], value_spot)
            else:
                yield inner, key_spot
    elif isinstance(old, Seq) and isinstance(new, Sequence) and not isinstance(new, str):
        for item, spot in zip(old, old.spots, strict=True):
            yield from _missing_item(item, spot, new, path)


def _missing_item(item: Any, spot: Spot, new: Sequence[Any], path: str) -> Iterator[tuple[str, Spot]]:
    """An item is known by its name; where it has none, it may be any of them."""
    mappings = [each for each in new if isinstance(each, Mapping)]
    if not isinstance(item, Map):
        yield from _references(item, new, spot)
    elif "name" not in item:
        yield from _missing(item, {key: value for each in mappings for key, value in each.items()}, path)
    elif alike := next((each for each in mappings if each.get("name") == item["name"]), None):
        yield from _missing(item, alike, path)
    else:
        yield f"{path} {item['name']!r}", spot


def _references(old: Any, new: Any, spot: Spot) -> Iterator[tuple[str, Spot]]:
    if isinstance(old, str) and old != new:
        yield from ((each, spot) for each in _REFERENCE.findall(old))


def _listed(numbers: Iterable[int]) -> str:
    lines = sorted(set(numbers))
    return f"{'line' if len(lines) == 1 else 'lines'} {some_of(lines, _MOST_LINES)}"
