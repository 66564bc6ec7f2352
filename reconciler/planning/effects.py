"""What a change means for what passes: loosened, redefined, moved, tightened, same.  Pure.

Vendor-neutral: a kind tells its thresholds as ``Criterion``s; a field belongs to them if it alone yields some.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from reconciler.model.kind import AnyKind, Criterion, LookUp
from reconciler.model.plan import Effect, FieldChange, worst
from reconciler.model.spec import Mark, Shape
from reconciler.model.values import Fields, Json
from reconciler.planning.thresholds import classify_by_key


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
    judging = frozenset(name for name in nested if _yields(kind, name, live, wanted, find))
    return tuple(replace(change, effect=_effect(kind, change, before, after, by_key, judging)) for change in changes)


def _yields(kind: AnyKind, name: str, live: Fields, wanted: Fields, find: LookUp) -> bool:
    """Whether the field alone makes criteria."""
    return any(kind.criteria({name: fields[name]}, find) for fields in (live, wanted) if name in fields)


def _effect(
    kind: AnyKind,
    change: FieldChange,
    before: tuple[Criterion, ...],
    after: tuple[Criterion, ...],
    by_key: dict[str, Effect],
    judging: frozenset[str],
) -> Effect | None:
    """``judging`` are the fields that hold criteria: a list with one in each item, or a mapping with all there are."""
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
    gone = not inside and change.after is None
    found = worst([by_key[key] for key in _keys_at(int(position), before if gone else after)])
    if found not in (None, Effect.SAME) and Mark.REDEFINES in _shape_at(shape, rest).marks:
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
