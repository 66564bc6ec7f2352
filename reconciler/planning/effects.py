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
    limits = _Limits(before, after, classify_by_key(before, after))
    changed = {change.top for change in changes} & kind.shapes.keys()
    nested = (name for name in changed if kind.shapes[name].fields or kind.shapes[name].item)
    judging = {name: _origins(kind, name, live, wanted) for name in nested if _yields(kind, name, live, wanted, find)}
    return tuple(
        replace(change, effect=_effect(kind.shapes.get(change.top), change, limits, judging.get(change.top)))
        for change in changes
    )


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


class _Limits(Struct, frozen=True):
    """The criteria before and after all changes, and what becomes of what each measures, by its key."""

    before: tuple[Criterion, ...]
    after: tuple[Criterion, ...]
    by_key: dict[str, Effect]

    def all_together(self) -> Effect | None:
        """What becomes of them as a whole."""
        return worst(list(self.by_key.values()))

    def without(self, key: str) -> Effect:
        """What it means that an item measures this key no more."""
        return self.by_key[key] if any(criterion.key == key for criterion in self.after) else Effect.LOOSENED

    def are_one_for_one(self, lost: list[str], now: list[str]) -> bool:
        """Whether as many limits as judged the one judge the other, and none beside them either."""
        keys = {*lost, *now}
        then, there = ([each.key for each in side if each.key in keys] for side in (self.before, self.after))
        return len(then) == len(there) and {*then} <= {*lost} and {*there} <= {*now}


def _effect(
    shape: Shape | None, change: FieldChange, limits: _Limits, origins: Mapping[int, _Origin] | None
) -> Effect | None:
    """What a change in a field of this shape means; None for ``origins`` where the field holds no criteria."""
    if shape is None:
        return None
    if Mark.SCOPE in shape.marks:
        return scope_effect(change.before, change.after)
    if Mark.EXCEPT in shape.marks:
        return scope_effect(change.after or [], change.before or [])
    if Mark.REDEFINES in shape.marks:
        return Effect.REDEFINED
    if origins is None:
        return None
    inside = change.path.partition(".")[2]
    if shape.fields:
        return _effect_in_mapping(shape, inside, limits)
    return _effect_in_list(shape, inside, change, limits, origins)


def _effect_in_mapping(shape: Shape, inside: str, limits: _Limits) -> Effect | None:
    """A mapping holds all criteria that there are."""
    found = limits.all_together()
    return Effect.REDEFINED if found and Mark.REDEFINES in _shape_at(shape, inside).marks else found


def _effect_in_list(
    shape: Shape, inside: str, change: FieldChange, limits: _Limits, origins: Mapping[int, _Origin]
) -> Effect | None:
    """A list has one criterion in each item: a change in one is of what it measures, and of what it measured before."""
    if not inside:  # the list as a whole: the same items in another order
        return limits.all_together()
    position, _, field = inside.partition(".")
    if not position.isdecimal():
        return None
    if not field and change.after is None:
        return worst([limits.without(key) for key in _keys_at(int(position), limits.before)])
    now = _keys_at(int(position), limits.after)
    origin = origins.get(int(position)) if field else None
    lost = [key for key in _keys_at(origin.place, limits.before) if key not in now] if origin else []
    if origin and any(limits.without(key) is Effect.LOOSENED for key in lost):
        redefined = origin.lasts and limits.are_one_for_one(lost, now)
        return Effect.REDEFINED if redefined else Effect.LOOSENED  # whatever is measured instead
    found = worst([limits.by_key[key] for key in now])
    if found not in (None, Effect.SAME) and Mark.REDEFINES in _shape_at(shape, inside).marks:
        return Effect.REDEFINED
    return found


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
