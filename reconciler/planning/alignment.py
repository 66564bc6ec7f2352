"""Which items of two lists are the same thing, where the kind marks fields that tell items apart.  Pure.

An item that was put in front moves all others by one place; compared place by place they would all have changed.

    live                  wanted                pairs (wanted, live)
    faithfulness >= 0.9   relevancy >= 0.7      (0, -)   added
                          faithfulness >= 0.9   (1, 0)   not changed
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from reconciler.model.kind import Mark, Shape
from reconciler.model.values import Json

Same = Callable[[Json, Json, Shape], bool]
Pair = tuple[int | None, int | None]
_OPAQUE = Shape()


def has_keys(item: Shape) -> bool:
    """Whether items of this shape can be told apart by what they are, and not only by their place."""
    return any(Mark.KEY in inner.marks for inner in (item.fields or {}).values())


def aligned(wanted: Sequence[Json], live: Sequence[Json], item: Shape, same: Same) -> list[Pair]:
    """(place in wanted, place in live), in the order of ``wanted``, then what is in ``live`` only.

    First what is equal, then what has the same keys, then what has the same keys but for those that redefine what is
    measured (the parameters of an insight); of several candidates the one that differs in the fewest fields.
    """
    found: dict[int, int] = {}
    for alike in (same, _same_keys(same, without=frozenset()), _same_keys(same, without=frozenset({Mark.REDEFINES}))):
        for ours, value in enumerate(wanted):
            if ours in found:
                continue
            left = [place for place in range(len(live)) if place not in found.values()]
            candidates = [place for place in left if alike(value, live[place], item)]
            if candidates:
                found[ours] = min(candidates, key=lambda place: _distance(value, live[place], item, same))
    kept = set(found.values())
    return [
        *((ours, found.get(ours)) for ours in range(len(wanted))),
        *((None, theirs) for theirs in range(len(live)) if theirs not in kept),
    ]


def _same_keys(same: Same, *, without: frozenset[Mark]) -> Same:
    def alike(one: Json, other: Json, item: Shape) -> bool:
        if not isinstance(one, dict) or not isinstance(other, dict):
            return False
        keys = {name: inner for name, inner in (item.fields or {}).items() if Mark.KEY in inner.marks}
        asked = {name: inner for name, inner in keys.items() if not inner.marks & without}
        return bool(asked) and all(same(one.get(name), other.get(name), inner) for name, inner in asked.items())

    return alike


def _distance(one: Json, other: Json, item: Shape, same: Same) -> int:
    if not isinstance(one, dict) or not isinstance(other, dict):
        return 0
    fields = item.fields or {}
    return sum(not same(one.get(name), other.get(name), fields.get(name, _OPAQUE)) for name in {*one, *other})
