"""Change one number where it is written, and nothing else of the file.  Pure."""

from __future__ import annotations

import re
from typing import Any

from reconciler.errors import UsageInvalid
from reconciler.manifests.loader import read
from reconciler.manifests.positions import Map, Seq, Spot, unpack
from reconciler.manifests.scalars import Refused, plain_value
from reconciler.manifests.writer import scalar_text
from reconciler.model.resource import Source
from reconciler.model.values import Json

_NUMBER = re.compile(r"[-+]?[0-9.][0-9.eE+-]*")


def patched(text: str, source: Source, path: str, before: Json, after: Json) -> str:
    """The text of ``source.file``, with the number at a dotted path in what stands at ``source`` replaced.

    Raises UsageInvalid, saying why, when that number is not written there as a number: it comes from a variable, from
    defaults, or from an Environment's override.
    """
    parsed = read(text, source.file)
    home = next(
        (each for document, _ in parsed.documents for each in _maps(document) if _stands_at(each, source)), None
    )
    spot = _spot(home, path)
    lines = text.splitlines(keepends=True)
    if spot is None:
        raise UsageInvalid(
            f"{path} is not written at {source.file}:{source.line}", hint="it comes from defaults; set it there"
        )
    _, line, column = unpack(spot)
    found = _NUMBER.match(lines[line - 1], column - 1)
    if found is None or _value(found[0]) != before:
        raise UsageInvalid(
            f"{source.file}:{line}: what stands there is not {scalar_text(before)}",
            hint="the limit comes from a variable or from an Environment's override; set it there",
        )
    lines[line - 1] = lines[line - 1][: found.start()] + scalar_text(after) + lines[line - 1][found.end() :]
    return "".join(lines)


def _value(text: str) -> Any:
    try:
        return plain_value(text)
    except Refused:
        return None


def _maps(value: Any) -> Any:
    if isinstance(value, Map):
        yield value
        for inner in value.values():
            yield from _maps(inner)
    elif isinstance(value, Seq):
        for inner in value:
            yield from _maps(inner)


def _stands_at(value: Map, source: Source) -> bool:
    """An item of a list stands where its mapping begins, a document where its name does."""
    place = (source.line, source.column)
    metadata = value.get("metadata")
    if isinstance(metadata, Map) and "name" in metadata:
        return unpack(metadata.key_spot("name"))[1:] == place
    return unpack(value.spot)[1:] == place


def _spot(value: Any, path: str) -> Spot | None:
    spot: Spot | None = None
    for part in path.split("."):
        if isinstance(value, Map) and part in value:
            value, spot = value[part], value.value_spot(part)
        elif isinstance(value, Seq) and part.isdecimal() and int(part) < len(value):
            value, spot = value[int(part)], value.item_spot(int(part))
        else:
            return None
    return spot
