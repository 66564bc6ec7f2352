"""What a change means for what passes: loosened, redefined, moved, tightened, same.  Pure.

Vendor-neutral: a kind tells its thresholds as ``Criterion``s; a field belongs to them if it alone yields some.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.kind import AnyKind, Criterion, LookUp
from reconciler.model.plan import Effect, FieldChange, worst
from reconciler.model.spec import Mark, Shape
from reconciler.model.values import Fields, Json
from reconciler.planning.alignment import aligned, same_keys
from reconciler.planning.differ import same
from reconciler.planning.thresholds import classify_by_key


class _Origin(Struct, frozen=True):
    """The place where an item stood before.  ``lasts``: it is that item still, whatever redefines it."""

    place: int
    lasts: bool


def with_effects(
    kind: AnyKind, wanted: Fields, live: Fields, changes: Sequence[FieldChange], find: LookUp
) -> tuple[FieldChange, ...]:
    """The changes, each with what it means.  Changes without a meaning (a description) keep None."""
    if not changes:
        return ()
    before, after = kind.criteria(live, find), kind.criteria({**live, **wanted}, find)
    by_key = classify_by_key(before, after)
    changed = {change.top for change in changes} & kind.shapes.keys()
    nested = (name for name in changed if kind.shapes[name].fields or kind.shapes[name].item)
    judging = {name: _origins(kind, name, live, wanted) for name in nested if _yields(kind, name, live, wanted, find)}
    return tuple(replace(change, effect=_effect(kind, change, before, after, by_key, judging)) for change in changes)


def _yields(kind: AnyKind, name: str, live: Fields, wanted: Fields, find: LookUp) -> bool:
    """Whether the field alone makes criteria."""
    return any(kind.criteria({name: fields[name]}, find) for fields in (live, wanted) if name in fields)


def _origins(kind: AnyKind, name: str, live: Fields, wanted: Fields) -> dict[int, _Origin]:
    """Where each item of a list, by its place now, comes from; nothing of a new one, and of what is no list."""
    item, now, then = kind.shapes[name].item, wanted.get(name), live.get(name)
    if item is None or not isinstance(now, list) or not isinstance(then, list):
        return {}
    lasts = same_keys(item.lasting_keys, same)
    pairs = aligned(now, then, item, same) if item.keys else [(each, each) for each in range(min(len(now), len(then)))]
    return {
        ours: _Origin(theirs, lasts(now[ours], then[theirs], item))
        for ours, theirs in pairs
        if ours is not None and theirs is not None
    }


def _effect(
    kind: AnyKind,
    change: FieldChange,
    before: tuple[Criterion, ...],
    after: tuple[Criterion, ...],
    by_key: dict[str, Effect],
    judging: Mapping[str, Mapping[int, _Origin]],
) -> Effect | None:
    """``judging`` are the fields that hold criteria: a list with one in each item, or a mapping with all there are.

    Each says where its items come from: a change inside one is of what it measures, and of what it measured before.
    """
    name, _, rest = change.path.partition(".")
    shape = kind.shapes.get(name)
    if shape is None:
        return None
    if Mark.SCOPE in shape.marks:
        return scope_effect(change.before, change.after)
    if Mark.EXCEPT in shape.marks:
        return scope_effect(change.after or [], change.before or [])
    if Mark.REDEFINES in shape.marks:
        return Effect.REDEFINED
    if name not in judging:
        return None
    if shape.fields:
        found = worst(list(by_key.values()))
        return Effect.REDEFINED if found and Mark.REDEFINES in _shape_at(shape, rest).marks else found
    if not rest:  # the list as a whole: the same items in another order
        return worst(list(by_key.values()))
    position, _, inside = rest.partition(".")
    if not position.isdecimal():
        return None
    if not inside and change.after is None:
        return worst([_without(key, after, by_key) for key in _keys_at(int(position), before)])
    now = _keys_at(int(position), after)
    origin = judging[name].get(int(position)) if inside else None
    lost = [key for key in _keys_at(origin.place, before) if key not in now] if origin else []
    if origin and any(_without(key, after, by_key) is Effect.LOOSENED for key in lost):
        redefined = origin.lasts and _one_for_one(before, after, lost, now)
        return Effect.REDEFINED if redefined else Effect.LOOSENED  # whatever is measured instead
    found = worst([by_key[key] for key in now])
    if found not in (None, Effect.SAME) and Mark.REDEFINES in _shape_at(shape, rest).marks:
        return Effect.REDEFINED
    return found


def _without(key: str, after: Sequence[Criterion], by_key: Mapping[str, Effect]) -> Effect:
    """What it means that an item measures this key no more."""
    return by_key[key] if any(criterion.key == key for criterion in after) else Effect.LOOSENED


def _one_for_one(before: Sequence[Criterion], after: Sequence[Criterion], lost: list[str], now: list[str]) -> bool:
    """Whether as many limits as judged the one judge the other, and none beside them either."""
    then, there = ([each.key for each in side if each.key in {*lost, *now}] for side in (before, after))
    return len(then) == len(there) and {*then} <= {*lost} and {*there} <= {*now}


def _keys_at(position: int, criteria: tuple[Criterion, ...]) -> list[str]:
    """What the item at a place of the list measures; nothing where there is no such place."""
    return [criteria[position].key] if position < len(criteria) else []


def _shape_at(shape: Shape, path: str) -> Shape:
    """The shape of the value at a dotted path inside a value of this shape; that of the last part that is known."""
    for part in path.split("."):
        inner = shape.item if part.isdecimal() else (shape.fields or {}).get(part)
        if inner is None:
            break
        shape = inner
    return shape


def scope_effect(before: Json, after: Json) -> Effect:
    """What naming other places means: fewer loosen, more tighten; ``"all"`` holds every list.

    >>> scope_effect("all", ["production"]).value, scope_effect(["a"], ["b", "a"]).value
    ('loosened', 'tightened')
    """
    if before == after:
        return Effect.SAME
    if not isinstance(after, list):
        return Effect.TIGHTENED
    if not isinstance(before, list):
        return Effect.LOOSENED
    old, new = set(map(str, before)), set(map(str, after))
    if old == new:
        return Effect.SAME
    if new < old:
        return Effect.LOOSENED
    return Effect.TIGHTENED if old < new else Effect.MOVED
