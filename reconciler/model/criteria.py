"""What a list of criteria says of one value: whether it passes, how far from the limit it is, and in words.  Pure.

Values are compared by family: numbers (1 and 1.0 are the same), truth values (never numbers), strings, lists of
strings.  Only numbers have an order.  A value of another family than the criterion's is simply a different value:
it meets ``!=`` and nothing else.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from decimal import Decimal
from fractions import Fraction
from itertools import chain, pairwise
from typing import Any, Literal

from reconciler.model.kind import Criterion
from reconciler.model.values import Json

Family = Literal["number", "bool", "string", "list"]
ORDERED = frozenset({">", ">=", "<", "<="})


def family(value: object) -> Family | None:
    """Which values this one can be compared with; None for null, NaN, infinity, mappings and mixed lists."""
    match value:
        case bool():
            return "bool"
        case int() | Fraction():
            return "number"
        case float():
            return "number" if math.isfinite(value) else None
        case str():
            return "string"
        case list() | tuple():
            return "list" if all(isinstance(item, str) for item in value) else None
        case _:
            return None


def is_defined(criterion: Criterion) -> bool:
    """Whether the criterion says something of a value: a limit that is known, and ordered where it must be."""
    kind = family(criterion.value)
    if criterion.automatic or kind is None:
        return False
    return kind == "number" or criterion.operator not in ORDERED


def meets(value: object, criterion: Criterion) -> bool:
    """Whether ``value`` passes.

    Nothing passes a criterion that is not defined (``is_defined``), and what cannot be read (null, NaN) passes none.
    """
    if not is_defined(criterion) or family(value) is None:
        return False
    limit = criterion.value
    same = family(value) == family(limit)
    if criterion.operator in ORDERED:
        return same and _in_order(value, criterion.operator, limit)
    return (same and _plain(value) == _plain(limit)) is (criterion.operator == "is")


def _in_order(value: object, operator: str, limit: Json) -> bool:
    assert isinstance(value, int | float | Fraction)
    assert isinstance(limit, int | float)
    match operator:
        case ">":
            return value > limit
        case ">=":
            return value >= limit
        case "<":
            return value < limit
        case _:
            return value <= limit


def _plain(value: object) -> object:
    return tuple(value) if isinstance(value, list) else value


# ------------------------------------------------------------------------------------------ sets of values


class Passing:
    """The values that meet all of some criteria on one key.

    Of the limits on each side only the strictest counts: asking for one value looks at none of the others.
    """

    def __init__(self, criteria: Sequence[Criterion]) -> None:
        self._is_known = all(map(is_defined, criteria))
        self._strictest: list[Criterion] = []
        self._only: set[tuple[Family | None, object]] = set()
        self._but: set[tuple[Family | None, object]] = set()
        for each in criteria if self._is_known else ():
            if each.operator not in ORDERED:
                (self._only if each.operator == "is" else self._but).add(_kept(each.value))
        for side in ({">", ">="}, {"<", "<="}) if self._is_known else ():
            limits = [each for each in criteria if each.operator in side]
            self._strictest += [max(limits, key=_strictness)] if limits else []

    def __contains__(self, value: object) -> bool:
        kept = _kept(value)
        if not self._is_known or kept[0] is None or kept in self._but or (self._only and self._only != {kept}):
            return False
        return all(meets(value, each) for each in self._strictest)


def _kept(value: object) -> tuple[Family | None, object]:
    """What two values have in common that are the same: 1 and 1.0, but not true."""
    kind = family(value)
    return kind, _plain(value) if kind else None


def _strictness(criterion: Criterion) -> tuple[float, bool]:
    """More of it lets less pass, among limits on one side."""
    assert isinstance(criterion.value, int | float)
    less = less_is_better(criterion)
    return (-criterion.value if less else criterion.value), criterion.operator in {">", "<"}


def contradictory(criteria: Sequence[Criterion]) -> tuple[Criterion, ...]:
    """The criteria on the first key of which no value meets all; none where every key has such a value."""
    for group in _by_key(criteria).values():
        defined = tuple(filter(is_defined, group))
        passing = Passing(defined)
        if len(defined) > 1 and not any(value in passing for value in witnesses(defined)):
            return defined
    return ()


def implied(stricter: Sequence[Criterion], criteria: Sequence[Criterion]) -> list[Criterion]:
    """Those of ``stricter`` that every value meets that meets ``criteria``; none where that cannot be known."""
    others = _by_key(filter(is_defined, stricter))
    groups = _by_key(criteria) if others else {}
    kept = {key: _Extremes(groups[key], each) for key, each in others.items() if key in groups}
    return [each for each in stricter if is_defined(each) and each.key in kept and kept[each.key].all_meet(each)]


class _Extremes:
    """The least and the greatest value of each family that meets ``criteria``, which are all on one key.

    Whether all of them meet one of ``others``, too, shows in these two and in its own limit: what fails it lies beyond
    the limit, or is all but the limit, or is the limit.
    """

    def __init__(self, criteria: Sequence[Criterion], others: Sequence[Criterion]) -> None:
        self._is_known = all(map(is_defined, criteria))
        self._families = {family(each.value) for each in criteria}
        self._passing = Passing(criteria)
        self._found: dict[Family | None, tuple[Any, Any]] = {}
        for value in witnesses([*criteria, *others]) if self._is_known else ():
            if value in self._passing:
                least, greatest = self._found.get(family(value), (value, value))
                self._found[family(value)] = min(least, value), max(greatest, value)

    def all_meet(self, criterion: Criterion) -> bool:
        """Whether every value of the families that are mentioned meets it; not where that cannot be known."""
        mentioned = {*self._families, family(criterion.value)}
        values = [value for kind in mentioned for value in self._found.get(kind, ())]
        values += [criterion.value] if criterion.value in self._passing else []
        return self._is_known and all(meets(value, criterion) for value in values)


def _by_key(criteria: Iterable[Criterion]) -> dict[str, list[Criterion]]:
    groups: dict[str, list[Criterion]] = {}
    for each in criteria:
        groups.setdefault(each.key, []).append(each)
    return groups


def witnesses(criteria: Sequence[Criterion]) -> Iterator[object]:
    """One value of every class that the criteria cannot tell apart, of the families that they mention.

    Their limits cut the values into such classes: below 0.8, exactly 0.8, above 0.8; each string that is named, all
    others.  Other families are left out because a measurement has one type: ``!= true`` and ``is false`` mean the same.
    """
    limits = [criterion.value for criterion in criteria]
    yield from _around({Fraction(v) for v in limits if family(v) == "number" and isinstance(v, int | float)})
    if any(family(value) == "bool" for value in limits):
        yield from (True, False)
    strings = {value for value in limits if isinstance(value, str)}
    if strings:
        yield from (*sorted(strings), "".join(sorted(strings)) + "?")
    lists = [value for value in limits if family(value) == "list" and isinstance(value, list)]
    if lists:
        yield from (*lists, [*chain.from_iterable(lists), "?"])


def _around(numbers: set[Fraction]) -> Iterator[Fraction]:
    """Each number, one between every two neighbours (exactly: floats may have none) and one beyond each end."""
    if not numbers:
        return
    ordered = sorted(numbers)
    yield ordered[0] - 1
    yield from ordered
    yield from ((low + high) / 2 for low, high in pairwise(ordered))
    yield ordered[-1] + 1


def margin(value: Json, criteria: Iterable[Criterion]) -> float | None:
    """How far ``value`` is on the right side of the nearest limit, negative on the wrong side; None without numbers.

    For ``is`` it is minus the distance, for ``!=`` the distance.  Subtracted as decimals, so that 0.9 is 0.05 above
    0.85 and not 0.050000000000000044.
    """
    if family(value) != "number":
        return None
    numeric = [each for each in criteria if is_defined(each) and family(each.value) == "number"]
    return min((_distance(value, each) for each in numeric), default=None)


def _distance(value: Json, criterion: Criterion) -> float:
    above = float(Decimal(str(value)) - Decimal(str(criterion.value)))
    match criterion.operator:
        case ">" | ">=":
            return above
        case "<" | "<=":
            return 0.0 - above
        case "is":
            return 0.0 - abs(above)
        case "!=":
            return abs(above)


def values_of(measured: Mapping[str, Json], criteria: Iterable[Criterion]) -> dict[str, Json]:
    """The measured value for each criterion's key, where it can be read and it is certain which one that is."""
    return {key: value for key, value in _shown(measured, criteria).items() if family(value) is not None}


def no_number_for(measured: Mapping[str, Json], criteria: Sequence[Criterion]) -> Criterion | None:
    """The first criterion whose value is shown and cannot be read, or is no number where only numbers can pass."""
    shown = _shown(measured, criteria)

    def is_none(criterion: Criterion) -> bool:
        found = family(shown[criterion.key])
        return found is None or (found != "number" and criterion.operator in ORDERED)

    return next((each for each in criteria if each.key in shown and is_none(each)), None)


def _shown(measured: Mapping[str, Json], criteria: Iterable[Criterion]) -> dict[str, Json]:
    """What is shown for each criterion's key, whatever it is.

    Results name the measurement only.  Two keys with the same measurement (one insight with different parameters)
    cannot be told apart, so neither gets a value; a lone value without a name belongs to a lone key.
    """
    labels = {criterion.key: criterion.label for criterion in criteria}
    times = Counter(labels.values())
    values: dict[str, Json] = {}
    for key, label in labels.items():
        name = key if key in measured else label
        if name in measured and (name == key or times[label] == 1):
            values[key] = measured[name]
        elif len(labels) == 1 and list(measured) == ["value"]:
            values[key] = measured["value"]
    return values


def undirected(criteria: Sequence[Criterion]) -> str:
    """Why it cannot be said which of two measured values is the worse one, with what to do about it after a ``; ``.

    Empty where it can: there is one number, and more of it is better, or less.
    """
    names = list({criterion.key: name_of(criterion) for criterion in criteria}.values())
    if not names:
        return "there is no threshold that says whether more or less is better; write one"
    if len(names) > 1:
        return f"there are thresholds on several measurements ({', '.join(names)}); write a test for each"
    for each in criteria:
        if each.operator not in ORDERED:
            return f'"{each.operator}" says only whether a value is the same, not which one is worse; use ">=" or "<="'
        if not each.automatic and family(each.value) != "number":
            return f"{value_text(each.value)} is not a number; give a number as the limit"
    if len({less_is_better(each) for each in criteria}) > 1:
        return "there are limits on both sides, so neither more nor less is worse; write a test for each side"
    return ""


def less_is_better(criterion: Criterion) -> bool:
    """Whether the criterion is an upper limit."""
    return criterion.operator in {"<", "<="}


def value_text(value: Json) -> str:
    """One value as a person writes it in a manifest: ``1`` for 1.0, ``true``, strings in quotes."""
    return json.dumps(as_written(value), ensure_ascii=False)


def rounded(value: float) -> float:
    """A number as a person reads it: four digits after the point, or four that count of what is less than one.

    What stands beside each other is rounded alike: a margin that is rounded further contradicts its value and limit.
    """
    return round(value, 4) if abs(value) >= 1 else float(f"{value:.4g}")


def as_written(value: Json) -> Json:
    """The value with the type that a person gives it: 1 for 1.0."""
    if isinstance(value, float) and value.is_integer() and abs(value) < 1e15:
        return int(value)
    return value


def criteria_text(criteria: Sequence[Criterion]) -> str:
    """The criteria in words, in the given order: ``>= 0.8``, ``<= 5 and >= 1``; empty for none.

    What is measured is named only when there is more than one thing: ``precision >= 0.8, recall >= 0.7``.
    """
    by_key: dict[str, list[Criterion]] = {}
    for criterion in criteria:
        by_key.setdefault(criterion.key, []).append(criterion)
    if len(by_key) == 1:
        return _conditions(criteria)
    return ", ".join(f"{name_of(group[0])} {_conditions(group)}" for group in by_key.values())


def _conditions(criteria: Sequence[Criterion]) -> str:
    return " and ".join("automatic" if c.automatic else f"{c.operator} {value_text(c.value)}" for c in criteria)


def name_of(criterion: Criterion) -> str:
    """What is measured, for a person."""
    return criterion.label or criterion.key
