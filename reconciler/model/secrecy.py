"""Keep what a field that is marked SENSITIVE holds out of all that is printed or kept.  Pure.

A value is sealed where it comes in, from a manifest or from the platform: a digest takes its place, and that is all
that planner, state and reports ever see.  The value itself waits in ``Secrets``, by its digest, for the one place that
makes requests.  What is blank (null, an empty text) is no secret, and stays.

A digest is salted with the kind and the field, not with the address: a rename would look like another value.
"""

from __future__ import annotations

import hashlib
import json
import re
import typing
from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel

from reconciler.model.spec import Mark, Shape
from reconciler.model.values import Fields, Json, Secret

NOT_SHOWN: Final = "(sensitive, not shown)"
"""What stands in the place of a value wherever a person or a program reads."""

Secrets = Mapping[str, Secret]
"""The values, as JSON, by the digests that stand in their places."""

_SEAL: Final = "sensitive:sha256:"
_SEALED: Final = re.compile(rf"{_SEAL}[0-9a-f]{{64}}")
_BLANK: tuple[Json, ...] = (None, "", {}, [])
_SPELLING: Final = json.JSONEncoder(sort_keys=True, ensure_ascii=False)
_GONE: Final = object()
_Change = Callable[[Json, str, Shape], object]
"""(value, path without positions, shape) -> what takes its place; ``_GONE`` for nothing at all."""


def is_sealed(value: object) -> bool:
    """Whether this is a digest that stands in the place of a value."""
    return isinstance(value, str) and _SEALED.fullmatch(value) is not None


def holds_secret(shape: Shape) -> bool:
    """Whether anything in a value of this shape is sensitive."""
    inner = (*(shape.fields or {}).values(), *([shape.item] if shape.item else []))
    return Mark.SENSITIVE in shape.marks or any(map(holds_secret, inner))


def out_of_sight(annotation: Any) -> bool:
    """Whether a type marks something as sensitive where no shape leads: in the values of a mapping, say."""
    inner = typing.get_args(annotation)
    if typing.get_origin(annotation) in (dict, tuple, set, frozenset):
        return any(map(_is_marked, inner))
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return any(out_of_sight(info.annotation) for info in annotation.model_fields.values())
    return any(map(out_of_sight, inner))


def _is_marked(annotation: Any) -> bool:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        fields = annotation.model_fields.values()
        return any(Mark.SENSITIVE in info.metadata or _is_marked(info.annotation) for info in fields)
    return Mark.SENSITIVE in getattr(annotation, "__metadata__", ()) or any(
        map(_is_marked, typing.get_args(annotation))
    )


# ------------------------------------------------------------------------------------------ in and out


def sealed(fields: Fields, kind_id: str, shapes: Mapping[str, Shape]) -> tuple[Fields, Secrets]:
    """The fields with digests in the places of what is sensitive, and what these stand for.

    ``shapes`` are those of the fields that hold something sensitive, here and below.
    """
    secrets: dict[str, Secret] = {}

    def seal(value: Json, path: str, shape: Shape) -> str:
        text = _SPELLING.encode([kind_id, path, _spelled(value, shape)])
        digest = _SEAL + hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
        secrets[digest] = Secret(_SPELLING.encode(value))
        return digest

    return _changed(fields, shapes, seal), secrets


def opened(fields: Fields, shapes: Mapping[str, Shape], secrets: Secrets) -> Fields:
    """The fields as they are to be sent: never a digest.  What holds a value that nobody knows is left out whole."""

    def reveal(value: Json, _: str, __: Shape) -> object:
        return json.loads(secrets[str(value)].reveal())

    known = {name: value for name, value in fields.items() if not unknown(name, value, shapes, secrets)}
    return _changed(known, shapes, reveal)


def unknown(name: str, value: Json, shapes: Mapping[str, Shape], known: Container[str]) -> list[str]:
    """The paths in a field, without positions, of what is sensitive and whose digest is not among the known ones."""
    return list(dict.fromkeys(path for path, digest in digests(name, value, shapes) if digest not in known))


def digests(name: str, value: Json, shapes: Mapping[str, Shape]) -> list[tuple[str, str]]:
    """(path without positions, digest) of everything sensitive in a field."""
    found: list[tuple[str, str]] = []

    def note(inside: Json, path: str, _: Shape) -> Json:
        found.append((path, str(inside)))
        return inside

    if name in shapes:
        _walked(value, name, shapes[name], note)
    return found


def masked(value: Json, shape: Shape) -> Json:
    """What of a value may be shown."""
    shown: Json = _walked(value, "", shape, lambda *_: NOT_SHOWN)
    return shown


def masked_fields(fields: Fields, shapes: Mapping[str, Shape]) -> Fields:
    """What of the fields may be shown."""
    return _changed(fields, shapes, lambda *_: NOT_SHOWN)


def stripped(fields: Fields, shapes: Mapping[str, Shape]) -> tuple[Fields, list[str]]:
    """The fields without what is sensitive, and the paths of that without positions."""
    found: dict[str, None] = {}

    def drop(_: Json, path: str, __: Shape) -> object:
        found[path] = None
        return _GONE

    return _changed(fields, shapes, drop), list(found)


def withheld(text: str, secrets: Secrets) -> str:
    """A text of somebody else's without the values, should it repeat them."""
    values = {each for secret in secrets.values() for each in _texts(json.loads(secret.reveal()))}
    for value in sorted(values, key=len, reverse=True):  # one may be the beginning of another
        text = text.replace(value, NOT_SHOWN)
    return text


def _texts(value: Json) -> Iterator[str]:
    """Every way in which something in a value may be repeated, where it can be told from other text."""
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list):
        for each in value:
            yield from _texts(each)
    elif isinstance(value, str) and value:
        yield from (value, json.dumps(value)[1:-1])
    elif isinstance(value, (int, float)) and not isinstance(value, bool):
        yield json.dumps(value)


def _changed(fields: Fields, shapes: Mapping[str, Shape], change: _Change) -> Fields:
    found = {
        name: _walked(value, name, shapes[name], change) if name in shapes else value for name, value in fields.items()
    }
    return {name: value for name, value in found.items() if value is not _GONE}


def _walked(value: Json, path: str, shape: Shape, change: _Change) -> Any:  # Json, or ``_GONE``
    if Mark.SENSITIVE in shape.marks:
        return value if value in _BLANK else change(value, path, shape)
    if isinstance(value, dict) and shape.fields is not None:
        inner = shape.fields
        found = {
            name: _walked(each, f"{path}.{name}", inner[name], change) if name in inner else each
            for name, each in value.items()
        }
        return {name: each for name, each in found.items() if each is not _GONE}
    if isinstance(value, list) and shape.item is not None:
        item = shape.item
        return [each for each in (_walked(each, path, item, change) for each in value) if each is not _GONE]
    return value


def _spelled(value: Json, shape: Shape | None) -> Json:
    """One spelling for what means the same."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        inner = (shape.fields if shape else None) or {}
        return {key: _spelled(each, inner.get(key)) for key, each in value.items()}
    if isinstance(value, list):
        item = shape.item if shape else None
        values = [_spelled(each, item) for each in value]
        return sorted(values, key=_SPELLING.encode) if shape and Mark.UNORDERED in shape.marks else values
    return value
