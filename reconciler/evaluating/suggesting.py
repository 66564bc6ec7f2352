"""Finds the strictest limit whose flagged windows stay within a budget, from past results.  Pure.

The budget is held against the upper end of the Wilson interval (see ``impact``): with few windows that is far above
what was seen, so a limit is suggested only where the past is long enough to promise anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from math import ceil
from typing import TypedDict

from msgspec import Struct
from msgspec.structs import replace

from reconciler.evaluating.impact import (
    ENOUGH_AGREEMENT,
    VERDICTS,
    Calibration,
    Window,
    Z,
    calibrate,
    flags,
    latest,
    values_as_then,
    wilson,
)
from reconciler.model.criteria import ORDERED, as_written, criteria_text, family, is_defined, meets, name_of, value_text
from reconciler.model.kind import Criterion
from reconciler.model.replay import Suggestion
from reconciler.model.resource import PinnedVerdict
from reconciler.model.values import Json

SIGNIFICANT = 4
"""Digits of a suggested limit, unless more are needed to tell windows apart."""

_HIGHER_IS_STRICTER = frozenset({">", ">="})


class Budget(Struct, frozen=True):
    """At most ``count`` flagged windows in ``period_s`` seconds."""

    count: float
    period_s: int


class PinnedPoint(Struct, frozen=True):
    """A pin as values by key, and the verdict it must keep."""

    name: str
    values: Mapping[str, Json]
    verdict: PinnedVerdict


def suggest(
    windows: Iterable[Window],
    criteria: Sequence[Criterion],
    chosen: Criterion,
    *,
    budget: Budget,
    per_period: float,
    pins: Sequence[PinnedPoint] = (),
    judging: Sequence[Criterion] | None = None,
) -> Suggestion:
    """The strictest limit of ``chosen`` (one of ``criteria``, an ordered one) that keeps the budget and every pin.

    The budget is kept when the *upper* end of the interval of the flagged share, times ``per_period`` windows, is
    within it.  Other criteria stay as they are, and count.  ``judging`` are the criteria at the platform, by which the
    windows were judged where nothing else is known; the same, unless somebody says otherwise.
    """
    judging = criteria if judging is None else judging
    empty = Suggestion(name_of(chosen), chosen.operator, chosen.value, per_period=per_period)
    found = latest(windows)
    if not found:
        return replace(
            empty, why="there are no results in this time", missing="evaluate the test, or look further back"
        )
    checked = calibrate(found, judging)
    if checked.why:
        return replace(empty, why=f"uncalibrated: {checked.why}", missing=_what_calibrates(checked))
    told = [each for each in found if each.evaluation.status in VERDICTS]
    measured = [values_as_then(one, judging, criteria) for one in told]
    values = [each for each in measured if flags(each, criteria) is not None]
    if not values:
        unseen = next((c for c in criteria if not any(c.key in each for each in measured)), chosen)
        why = f"no window has a value for every threshold; {name_of(unseen)} was not measured"
        return replace(empty, why=why, missing="apply, and come back when there are results")
    search = _Search(values, tuple(criteria), chosen, tuple(pins))
    now = wilson(search.count(chosen.value), len(values))
    if wilson(0, len(values)).high * per_period > budget.count:
        return replace(empty, now=now, **_too_few(len(values), per_period, budget))

    def affordable(limit: Json) -> bool:
        return wilson(search.count(limit), len(values)).high * per_period <= budget.count

    limit = search.strictest(affordable)
    if limit is None:
        return replace(empty, now=now, **search.obstacle(affordable))
    lost = search.lost(limit, "flagged")
    if lost:
        best = f"the strictest is {chosen.operator} {value_text(limit)}"
        why = f"pin {lost[0]} must be flagged, which no limit within the budget does ({best})"
        return replace(empty, now=now, why=why, missing="a larger budget, or delete the pin")
    then = wilson(search.count(limit), len(values))
    kept = tuple(pin.name for pin in pins)
    return replace(empty, limit=as_written(limit), now=now, then=then, expected=then.high * per_period, pins=kept)


class _Reason(TypedDict):
    """Why there is no limit, and what would help."""

    why: str
    missing: str


def _too_few(windows: int, per_period: float, budget: Budget) -> _Reason:
    most = wilson(0, windows).high * per_period
    needed = ceil(Z * Z * (per_period / budget.count - 1))
    why = f"{windows} windows are too few: with none of them flagged, up to {most:.3g} could still be expected"
    return {"why": why, "missing": f"at least {needed} judged windows, or a larger budget"}


def _what_calibrates(checked: Calibration) -> str:
    if checked.agreement is not None and checked.agreement >= ENOUGH_AGREEMENT:
        return "a time in which windows passed and failed: look further back"
    return "results whose values and verdicts agree"


class _Search(Struct, frozen=True):
    """The limits that differ in what they flag among the values, from the strictest to the loosest."""

    values: Sequence[Mapping[str, Json]]
    criteria: tuple[Criterion, ...]
    chosen: Criterion
    pins: tuple[PinnedPoint, ...]

    def count(self, limit: Json) -> int:
        """How many windows are flagged with this limit."""
        changed = self.with_limit(limit)
        return sum(bool(flags(each, changed)) for each in self.values)

    def with_limit(self, limit: Json) -> list[Criterion]:
        return [replace(each, value=limit) if each == self.chosen else each for each in self.criteria]

    def lost(self, limit: Json, verdict: PinnedVerdict) -> list[str]:
        """The pins of this verdict that would not keep it."""
        changed = self.with_limit(limit)
        return [
            pin.name
            for pin in self.pins
            if pin.verdict == verdict and _missed(pin.values, changed) is not (verdict == "flagged")
        ]

    def strictest(self, affordable: Callable[[Json], bool]) -> Json:
        """The strictest candidate that is affordable and flags no pinned good time; None when there is none.

        Both get easier the looser the limit, so half of the candidates can be left out at each look.
        """
        candidates = self.candidates()

        def fits(limit: float) -> bool:
            return affordable(limit) and not self.lost(limit, "passes")

        low, high = 0, len(candidates)
        while low < high:
            middle = (low + high) // 2
            low, high = (low, middle) if fits(candidates[middle]) else (middle + 1, high)
        return self.shortened(candidates[low], fits) if low < len(candidates) else None

    def candidates(self) -> list[float]:
        """Every value that was measured or pinned, strictest first, and at the end a limit that flags none of them."""
        everything = [*self.values, *(pin.values for pin in self.pins)]
        found = [each[self.chosen.key] for each in everything if self.chosen.key in each]
        numbers = {value for value in found if isinstance(value, int | float) and family(value) == "number"}
        ordered = sorted(numbers, reverse=self.chosen.operator in _HIGHER_IS_STRICTER)
        return [*ordered, self.beyond(ordered)] if ordered else []

    def beyond(self, ordered: Sequence[float]) -> float:
        """A little looser than the last of them, by the last digit that any of them has."""
        exact = [Decimal(str(value)) for value in ordered]
        step = Decimal(1).scaleb(min(0, *(int(value.as_tuple().exponent) for value in exact)))
        return _number(exact[-1] - step if self.chosen.operator in _HIGHER_IS_STRICTER else exact[-1] + step)

    def shortened(self, limit: float, fits: Callable[[float], bool]) -> float:
        """The limit with few digits, rounded to the looser side, if that flags the same windows and pins."""
        exact = Decimal(str(limit))
        if not exact:
            return limit
        side = ROUND_FLOOR if self.chosen.operator in _HIGHER_IS_STRICTER else ROUND_CEILING
        short = _number(exact.quantize(Decimal(1).scaleb(exact.adjusted() - SIGNIFICANT + 1), rounding=side))
        same = self.count(short) == self.count(limit) and self.lost(short, "flagged") == self.lost(limit, "flagged")
        return short if same and fits(short) else limit

    def obstacle(self, affordable: Callable[[Json], bool]) -> _Reason:
        """When no limit at all will do."""
        candidates = self.candidates()
        if not candidates:
            return {"why": "no value in this time is a number", "missing": "results with values"}
        loosest = candidates[-1]
        others = [each for each in self.criteria if each != self.chosen]
        if not affordable(loosest):
            return {
                "why": f"{criteria_text(others)} alone flags {self.count(loosest)} of {len(self.values)} windows",
                "missing": "a larger budget, or another limit there first",
            }
        pin = self.lost(loosest, "passes")[0]
        return {"why": f"pin {pin} must pass, and {criteria_text(others)} flags it", "missing": "delete the pin"}


def _missed(values: Mapping[str, Json], criteria: Sequence[Criterion]) -> bool:
    """Whether what is known of a pin misses a threshold."""
    known = [criterion for criterion in criteria if criterion.key in values and is_defined(criterion)]
    return not all(meets(values[criterion.key], criterion) for criterion in known)


def _number(value: Decimal) -> float:
    return int(value) if value == value.to_integral_value() else float(value)


def tunable(criteria: Sequence[Criterion]) -> list[Criterion]:
    """The criteria whose limit can be moved: written numbers with an order."""
    return [c for c in criteria if c.operator in ORDERED and family(c.value) == "number" and is_defined(c)]


def per_period(windows: Iterable[Window], budget: Budget) -> float:
    """How many windows there are in the budget's time: one after the other, on every pipeline that was seen.

    0 where no window has a beginning and an end.
    """
    timed = [e for each in windows if (e := each.evaluation).starts is not None and e.ends is not None]
    widths = sorted(e.ends - e.starts for e in timed if e.ends is not None and e.starts is not None)
    if not widths or widths[len(widths) // 2] <= 0:
        return 0.0
    pipelines = {e.pipeline for e in timed}
    return len(pipelines) * budget.period_s / widths[len(widths) // 2]
