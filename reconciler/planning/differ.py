"""Which written fields differ from the live ones, in one canonical spelling.  Pure.

Only what the user wrote is compared: a default that the vendor fills in is not a difference.

| wanted              | live                        | mark            | same? |
|---------------------|-----------------------------|-----------------|-------|
| 1                   | 1.0                         |                 | yes   |
| 1                   | true                        |                 | no    |
| ""                  | null                        | BLANK_IS_ABSENT | yes   |
| [a, b]              | [b, a]                      | UNORDERED       | yes   |
| {operator: <=}      | {operator: <=, mode: x}     | (known keys)    | yes   |
| {column_name: a}    | {column_name: a, other: b}  | (opaque)        | no    |

A part, and a list of parts, is sent as a whole.  So a key inside that we wrote last and that is written no more is a
difference, and when anything in it differs, what others put there goes along and is shown, too.

What the vendor does not show (WRITE_ONLY, or a field that is missing among the live ones: an older server) is compared
with what we wrote last.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from itertools import repeat, zip_longest

from msgspec.structs import replace

from reconciler.model.kind import AnyKind
from reconciler.model.plan import Cause, FieldChange
from reconciler.model.secrecy import masked
from reconciler.model.spec import Mark, Shape
from reconciler.model.values import Fields, Json, alike
from reconciler.planning.alignment import aligned

_BLANK: tuple[Json, ...] = (None, "", {}, [])
_OPAQUE = Shape()
_ABSENT = object()
_Item = tuple[str, Shape, Json, Json, object]
"""An item of a list: its path and its shape, what is wanted, what is there, and what we wrote there last."""
_SPELLING = json.JSONEncoder(sort_keys=True, ensure_ascii=False)


def field_changes(kind: AnyKind, wanted: Fields, live: Fields, applied: Fields | None) -> tuple[FieldChange, ...]:
    """What separates ``live`` from ``wanted``, leaf by leaf, in the order of the kind's fields.

    ``applied`` is what we wrote last, None when we never did; it tells who made each difference, stands in for what
    the vendor does not show, and brings back to its default what was written once and is written no more.
    """
    if _holds(live, wanted, kind.shapes) and (not applied or applied == wanted or not _is_less(wanted, applied, kind)):
        return ()  # spelled alike, as nearly all are: nothing to look into
    found: list[FieldChange] = []
    for name, shape in kind.shapes.items():
        if name in wanted:
            last = _ABSENT if applied is None else applied.get(name, _ABSENT)
            if name in live and _stands(wanted[name], live[name], shape) and not _may_lack(wanted[name], last, shape):
                continue
            changes = list(_leaves(name, _as_shown(name, shape, live), wanted[name], live.get(name), last, shape.marks))
            found += changes
            if changes and changes[0].path != name:
                found += _taken_along(name, shape, wanted[name], live.get(name), last, shape.marks)
        elif applied and name in applied and name in live:
            found += _reset(name, shape, kind.complete(wanted).get(name), live[name], applied)
    return tuple(found)


def _holds(live: Fields, wanted: Fields, shapes: Mapping[str, Shape]) -> bool:
    """Whether everything that is wanted stands among the live fields just as it is written."""
    for name, value in wanted.items():
        there = live.get(name, _ABSENT)
        if value.__class__ is str:  # as nearly all are
            if value != there:
                return False
        elif not _stands(value, there, shapes.get(name, _OPAQUE)):
            return False
    return True


def _is_less(wanted: Fields, applied: Fields, kind: AnyKind) -> bool:
    """Whether something that we wrote last may be wanted no more."""
    if not applied.keys() <= wanted.keys():
        return True
    return any(name in applied and applied[name] != wanted[name] for name in kind.parted)


def _may_lack(wanted: Json, last: object, shape: Shape) -> bool:
    """Whether something inside that we wrote last may be wanted no more."""
    return shape.parts is not None and isinstance(last, (dict, list)) and last != wanted


def _stands(wanted: Json, live: object, shape: Shape) -> bool:
    if wanted is live:
        return True  # what was alike may be held once
    if isinstance(wanted, dict) and shape.fields is not None:
        return isinstance(live, dict) and _holds(live, wanted, shape.fields)
    if isinstance(wanted, list) and isinstance(live, list) and shape.item is not None:
        return len(wanted) == len(live) and all(map(_stands, wanted, live, repeat(shape.item)))
    return alike(wanted, live)


def _as_shown(name: str, shape: Shape, live: Fields) -> Shape:
    """The shape, as one that the vendor never shows where it does not show this one."""
    return shape if name in live else replace(shape, marks=shape.marks | {Mark.WRITE_ONLY})


def _reset(name: str, shape: Shape, default: Json, live: Json, applied: Fields) -> Iterator[FieldChange]:
    """The way back to the default.  A create-only field that has none known is from now on the vendor's affair."""
    known = default is not None or Mark.BLANK_IS_ABSENT in shape.marks
    if Mark.WRITE_ONLY in shape.marks or (Mark.CREATE_ONLY in shape.marks and not known):
        return
    if _is_blank(default) and _is_blank(live):
        return
    if not same(default, live, shape):
        cause = Cause.MANIFEST if same(applied[name], live, shape) else Cause.BOTH
        yield _change(name, live, default, cause, shape, shape.marks)


def same(wanted: Json, live: Json, shape: Shape = _OPAQUE) -> bool:
    """Whether two values mean the same in the given shape; see the table above."""
    if alike(wanted, live):
        return True  # in every shape
    if Mark.WRITE_ONLY in shape.marks:
        return True
    if Mark.BLANK_IS_ABSENT in shape.marks and _is_blank(wanted) and _is_blank(live):
        return True
    if Mark.FILE in shape.marks and isinstance(wanted, dict) and isinstance(live, dict):
        return all(live[key] in (None, value) for key, value in wanted.items() if key in live)
    if isinstance(wanted, dict) and isinstance(live, dict):
        return _same_mapping(wanted, live, shape)
    if isinstance(wanted, list) and isinstance(live, list):
        return _same_list(wanted, live, shape)
    if isinstance(wanted, bool) or isinstance(live, bool):
        return wanted is live
    return wanted == live


def fingerprint(kind: AnyKind, wanted: Fields, live: Fields, *, archived: bool) -> str:
    """A short digest of everything that a comparison of ``live`` with ``wanted`` looks at, and of ``archived``."""
    shapes = kind.shapes
    seen = {name: _seen(wanted[name], live.get(name), shapes[name]) for name in sorted(wanted) if name in shapes}
    text = _SPELLING.encode([seen, archived])
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


def _seen(wanted: Json, live: Json, shape: Shape) -> Json:
    """The part of ``live`` that ``same`` looks at, in one spelling."""
    if isinstance(wanted, dict) and isinstance(live, dict) and shape.fields is not None:
        return {name: _seen(value, live.get(name), shape.fields.get(name, _OPAQUE)) for name, value in wanted.items()}
    if isinstance(wanted, list) and isinstance(live, list) and shape.item is not None:
        if Mark.UNORDERED in shape.marks:
            return sorted((_canonical(each) for each in live), key=lambda each: json.dumps(each, sort_keys=True))
        pairs = zip_longest(wanted, live)
        return [_seen(ours, theirs, shape.item) for ours, theirs in pairs][: len(live)]
    return _canonical(live)


def unseen(kind: AnyKind, wanted: Fields, live: Fields | None = None) -> Iterator[str]:
    """The written fields that the vendor does not show, by path: never, or not of this object."""
    shapes = kind.shapes
    for name, value in wanted.items():
        if live is not None and name not in live:
            yield name
        elif shapes[name].fields or Mark.WRITE_ONLY in shapes[name].marks:
            yield from _unseen(name, shapes[name], value)


def hides(kind: AnyKind) -> bool:
    """Whether there is anything in the kind that the vendor never shows."""
    return any(map(_hides, kind.shapes.values()))


def _hides(shape: Shape) -> bool:
    inner = (*(shape.fields or {}).values(), *([shape.item] if shape.item else []))
    return Mark.WRITE_ONLY in shape.marks or any(map(_hides, inner))


def _unseen(path: str, shape: Shape, value: Json) -> Iterator[str]:
    if Mark.WRITE_ONLY in shape.marks:
        yield path
    elif shape.fields and isinstance(value, dict):
        for name, inner in value.items():
            yield from _unseen(f"{path}.{name}", shape.fields.get(name, _OPAQUE), inner)


def _leaves(
    path: str, shape: Shape, wanted: Json, live: Json, last: object, marks: frozenset[Mark]
) -> Iterator[FieldChange]:
    """The differing leaves below ``path``.

    ``last`` is what we wrote there last, ``_ABSENT`` when nothing; ``marks`` are those of the top-level field.
    """
    if Mark.WRITE_ONLY in shape.marks:
        yield from _unshown(path, shape, wanted, last, marks)
        return
    if isinstance(wanted, dict) and isinstance(live, dict) and shape.fields is not None:
        for name, value in wanted.items():
            inner = shape.fields.get(name, _OPAQUE)
            before = _inside(last, name)
            if name in live and _stands(value, live[name], inner) and not _may_lack(value, before, inner):
                continue
            yield from _leaves(f"{path}.{name}", inner, value, live.get(name), before, marks | inner.marks)
        yield from _left_out(path, shape.fields, wanted, live, last, marks, ours=True)
        return
    is_same = same(wanted, live, shape)
    if is_same and not _may_lack(wanted, last, shape):
        return
    if isinstance(wanted, list) and isinstance(live, list) and _has_parts(shape):
        items = _items(path, shape, wanted, live, last)
        found = [change for each in items for change in _leaves(*each, marks)]
        if found:
            yield from found
            return
        # The same items in another order: one change, of the list as a whole.
    if not is_same:
        before, after = (live, wanted) if None not in (live, wanted) else (_said(live, shape), _said(wanted, shape))
        yield _change(path, before, after, _cause(shape, wanted, live, last), shape, marks)


def _said(value: Json, shape: Shape) -> Json:
    """What came or went, without what stands in it when nothing was said."""
    if not isinstance(value, dict) or shape.fields is None:
        return value
    return {
        name: inner
        for name, inner in value.items()
        if (of := shape.fields.get(name)) is None or of.filled_in is None or not same(of.filled_in, inner, of)
    }


def _left_out(
    path: str,
    fields: Mapping[str, Shape],
    wanted: dict[str, Json],
    live: dict[str, Json],
    last: object,
    marks: frozenset[Mark],
    *,
    ours: bool,
) -> Iterator[FieldChange]:
    """What a part has at the platform and is wanted no more, because we wrote it last, or never was (not ``ours``).

    A create-only field cannot be taken away: it is from now on the vendor's affair.
    """
    for name, shape in fields.items():
        then, there = _inside(last, name), live.get(name)
        if name in wanted or (then not in (None, _ABSENT)) is not ours or _is_blank(there):
            continue
        fixed = Mark.CREATE_ONLY in marks and Mark.BLANK_IS_ABSENT not in shape.marks
        if fixed or Mark.WRITE_ONLY in shape.marks or same(shape.filled_in, there, shape):
            continue
        cause = Cause.DRIFT if isinstance(last, Mapping) else Cause.MANIFEST
        if ours:
            cause = Cause.MANIFEST if same(_json(then), there, shape) else Cause.BOTH
        yield _change(f"{path}.{name}", there, None, cause, shape, marks | shape.marks)


def _taken_along(
    path: str, shape: Shape, wanted: Json, live: Json, last: object, marks: frozenset[Mark]
) -> Iterator[FieldChange]:
    """What others put into a part, or into a list of parts, and a write of it takes away."""
    if isinstance(wanted, dict) and isinstance(live, dict) and shape.fields is not None:
        yield from _left_out(path, shape.fields, wanted, live, last, marks, ours=False)
        for name, value in wanted.items():
            inner = shape.fields.get(name, _OPAQUE)
            yield from _taken_along(
                f"{path}.{name}", inner, value, live.get(name), _inside(last, name), marks | inner.marks
            )
    elif isinstance(wanted, list) and isinstance(live, list) and _has_parts(shape):
        for each in _items(path, shape, wanted, live, last):
            yield from _taken_along(*each, marks)


def _items(path: str, shape: Shape, wanted: list[Json], live: list[Json], last: object) -> Iterator[_Item]:
    """The items of both lists of parts, by place in ``wanted``; what is gone has its place in ``live``."""
    item = shape.item
    assert item is not None
    before = last if isinstance(last, list) else []
    if not item.keys:
        for place in range(max(len(wanted), len(live))):
            ours, theirs = (values[place] if place < len(values) else None for values in (wanted, live))
            yield f"{path}.{place}", item, ours, theirs, before[place] if place < len(before) else _ABSENT
        return
    nothing: object = None if isinstance(last, list) else _ABSENT
    as_wanted, as_live = dict(aligned(wanted, before, item, same)), dict(aligned(live, before, item, same))
    for mine, there in aligned(wanted, live, item, same):
        written = as_live.get(there) if mine is None else as_wanted.get(mine)
        then = nothing if written is None else before[written]
        where = there if mine is None else mine
        yield f"{path}.{where}", item, _item(wanted, mine), _item(live, there), then


def _item(values: list[Json], place: int | None) -> Json:
    return None if place is None else values[place]


def _unshown(path: str, shape: Shape, wanted: Json, last: object, marks: frozenset[Mark]) -> Iterator[FieldChange]:
    """The difference from what we wrote last.

    Nothing for a part of a create-only field that we never wrote: it can neither be seen nor set, so what the manifest
    says of it is believed.
    """
    if last is _ABSENT:
        if Mark.CREATE_ONLY not in marks or "." not in path:
            yield _change(path, None, wanted, Cause.MANIFEST, shape, marks)
    elif not same(wanted, _json(last)):
        yield _change(path, _json(last), wanted, Cause.MANIFEST, shape, marks)


def _change(path: str, before: Json, after: Json, cause: Cause, shape: Shape, marks: frozenset[Mark]) -> FieldChange:
    """The change, as far as its values may be shown; ``marks`` are those of what it is in, too."""
    return FieldChange(
        path,
        showable(before, shape),
        showable(after, shape),
        cause=cause,
        sensitive=Mark.SENSITIVE in shape.marks,
        create_only=Mark.CREATE_ONLY in marks,
    )


def showable(value: Json, shape: Shape) -> Json:
    """A value as a plan may hold it: nothing of a sensitive one, and of a part all that is not."""
    if Mark.SENSITIVE in shape.marks:
        return None
    return masked(value, shape) if isinstance(value, (dict, list)) and shape.parts is not None else value


def _cause(shape: Shape, wanted: Json, live: Json, last: object) -> Cause:
    """Who made the difference: compares what we wrote last with what is wanted and with what is there."""
    if last is _ABSENT:
        return Cause.MANIFEST
    edited = not same(wanted, _json(last), shape)
    drifted = not same(_json(last), live, shape)
    if edited and drifted:
        return Cause.BOTH
    return Cause.DRIFT if drifted else Cause.MANIFEST


def _inside(value: object, name: str) -> object:
    """What stands under a name; ``_ABSENT`` where there is nothing of the kind."""
    return value.get(name, _ABSENT) if isinstance(value, Mapping) else _ABSENT


def _json(value: object) -> Json:
    return value  # type: ignore[return-value]  # came out of Fields


def _same_mapping(wanted: dict[str, Json], live: dict[str, Json], shape: Shape) -> bool:
    if shape.fields is None:
        return wanted.keys() == live.keys() and all(same(value, live[key]) for key, value in wanted.items())
    fields = shape.fields
    return all(same(value, live.get(key), fields.get(key, _OPAQUE)) for key, value in wanted.items())


def _same_list(wanted: list[Json], live: list[Json], shape: Shape) -> bool:
    if len(wanted) != len(live):
        return False
    item = shape.item or _OPAQUE
    if Mark.UNORDERED not in shape.marks:
        return all(same(ours, theirs, item) for ours, theirs in zip(wanted, live, strict=True))
    left = list(live)
    for ours in wanted:
        match = next((index for index, theirs in enumerate(left) if same(ours, theirs, item)), None)
        if match is None:
            return False
        del left[match]
    return True


def _canonical(value: Json) -> Json:
    """One spelling for a digest: whole floats become ints, blanks become null."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {key: _canonical(inner) for key, inner in value.items()} or None
    if isinstance(value, list):
        return [_canonical(inner) for inner in value] or None
    return value if value != "" else None


def _has_parts(shape: Shape) -> bool:
    return shape.item is not None and shape.item.fields is not None and Mark.UNORDERED not in shape.marks


def _is_blank(value: Json) -> bool:
    return not isinstance(value, (bool, int, float)) and value in _BLANK
