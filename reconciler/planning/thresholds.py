"""Turns the criteria before and after a change into what the change means: loosened, tightened, moved, same.  Pure.

The criteria on one key intersect to the set of values that pass.  Comparing two such sets needs no arithmetic on
intervals: one witness of each class of values that the criteria on both sides cannot tell apart decides exactly.

    before          after            passes before     passes after
    >= 0.8          >= 0.9           [0.8, inf)        [0.9, inf)         tightened
    >= 0.8          >= 0.8, >= 0.5   [0.8, inf)        [0.8, inf)         same
    <= 5            >= 5             (-inf, 5]         [5, inf)           moved
    is false        != true          {false}           {false}            same
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Sequence

from reconciler.model.criteria import ORDERED, Passing, is_defined, less_is_better, witnesses
from reconciler.model.kind import Criterion
from reconciler.model.plan import Effect, worst


def classify(before: Sequence[Criterion], after: Sequence[Criterion]) -> Effect:
    """What the change from ``before`` to ``after`` means for what passes: the worst over all that is measured."""
    return worst(list(classify_by_key(before, after).values())) or Effect.SAME


def classify_by_key(before: Sequence[Criterion], after: Sequence[Criterion]) -> dict[str, Effect]:
    """The same for each thing measured, in the order of first mention, unchanged ones included.

    A key that is no longer judged loosens, a new one tightens, unless the one took the other's place: the same
    measure with other parameters.  That is REDEFINED, as are a learned (automatic) limit in place of a written one
    and criteria that have no meaning (an order of strings), because there is nothing to compare.
    """
    old, new = _by_key(before), _by_key(after)
    redefined = _other_parameters(old, new)
    return {
        key: Effect.REDEFINED if key in redefined else _classify(old.get(key, []), new.get(key, []))
        for key in {**old, **new}
    }


def _by_key(criteria: Sequence[Criterion]) -> dict[str, list[Criterion]]:
    groups: dict[str, list[Criterion]] = {}
    for criterion in criteria:
        groups.setdefault(criterion.key, []).append(criterion)
    return groups


def _other_parameters(old: dict[str, list[Criterion]], new: dict[str, list[Criterion]]) -> set[str]:
    """The keys that went and the keys that came in their place, one for one, both measuring the same."""
    pairs: set[str] = set()
    came: dict[str, deque[str]] = defaultdict(deque)
    for key in [key for key in new if key not in old]:
        came[new[key][0].measure].append(key)
    for gone in [key for key in old if key not in new]:
        measure = old[gone][0].measure
        if measure and came[measure]:
            pairs |= {gone, came[measure].popleft()}
    return pairs


def _classify(before: list[Criterion], after: list[Criterion]) -> Effect:
    """The effect on one key; at least one of the lists holds something."""
    if not after:
        return Effect.LOOSENED
    if not before:
        return Effect.TIGHTENED
    if _beyond_comparison(before) != _beyond_comparison(after):
        return Effect.REDEFINED
    return _compare([c for c in before if is_defined(c)], [c for c in after if is_defined(c)])


def _beyond_comparison(criteria: list[Criterion]) -> set[tuple[str, str]]:
    """The criteria whose set of passing values is not known.  Equal on both sides, they cut both alike."""
    return {(c.operator, "automatic" if c.automatic else repr(c.value)) for c in criteria if not is_defined(c)}


def _compare(before: list[Criterion], after: list[Criterion]) -> Effect:
    if len(before) == len(after) == 1 and before[0].operator == after[0].operator and before[0].operator in ORDERED:
        return _moved_limit(before[0], after[0])
    values, passed, passes = list(witnesses([*before, *after])), Passing(before), Passing(after)
    old = {index for index, value in enumerate(values) if value in passed}
    new = {index for index, value in enumerate(values) if value in passes}
    if old == new:
        return Effect.SAME
    if new < old:
        return Effect.TIGHTENED
    return Effect.LOOSENED if new > old else Effect.MOVED


def _moved_limit(before: Criterion, after: Criterion) -> Effect:
    """What most changes are: another number behind the same sign.  No witness is needed for that."""
    old, new = before.value, after.value
    assert isinstance(old, int | float)
    assert isinstance(new, int | float)
    if old == new:
        return Effect.SAME
    return Effect.LOOSENED if (new > old) is less_is_better(after) else Effect.TIGHTENED
