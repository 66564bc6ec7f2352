"""Which items of two lists are the same thing, where the kind marks fields that tell items apart.  Pure.

An item that was put in front moves all others by one place; compared place by place they would all have changed.

    live                  wanted                pairs (wanted, live)
    faithfulness >= 0.9   relevancy >= 0.7      (0, -)   added
                          faithfulness >= 0.9   (1, 0)   not changed
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial

from reconciler.model.spec import Shape
from reconciler.model.values import Json

Same = Callable[[Json, Json, Shape], bool]
Pair = tuple[int | None, int | None]
_OPAQUE = Shape()


def aligned(wanted: Sequence[Json], live: Sequence[Json], item: Shape, same: Same) -> list[Pair]:
    """(place in wanted, place in live), in the order of ``wanted``, then what is in ``live`` only.

    First what is equal, then what has the same keys, then what has the same keys but for those that redefine what is
    measured (the parameters of an insight); of several candidates the one that differs in the fewest fields.
    """
    found: dict[int, int] = {}
    left = list(range(len(live)))
    for alike in (same, same_keys(item.keys, same), same_keys(item.lasting_keys, same)):
        for ours, value in enumerate(wanted):
            if ours in found:
                continue
            candidates = [place for place in left if alike(value, live[place], item)]
            if len(candidates) > 1:
                candidates.sort(key=partial(_distance, value, live, item, same))
            if candidates:
                found[ours] = candidates[0]
                left.remove(candidates[0])
    return [
        *((ours, found.get(ours)) for ours in range(len(wanted))),
        *((None, theirs) for theirs in left),
    ]


def same_keys(keys: Mapping[str, Shape], same: Same) -> Same:
    """Compares items by these fields; False for what is no mapping, and where there are none."""

    def alike(one: Json, other: Json, _: Shape) -> bool:
        if not keys or not isinstance(one, dict) or not isinstance(other, dict):
            return False
        return all(same(one.get(name), other.get(name), inner) for name, inner in keys.items())

    return alike


def _distance(one: Json, live: Sequence[Json], item: Shape, same: Same, place: int) -> int:
    """In how many fields ``one`` differs from what stands at a place of ``live``."""
    other = live[place]
    if not isinstance(one, dict) or not isinstance(other, dict):
        return 0
    fields = item.fields or {}
    return sum(not same(one.get(name), other.get(name), fields.get(name, _OPAQUE)) for name in {*one, *other})
