"""Compares a measured value with what was measured before.  Pure.

The past is known by the names of the test and the place, so it survives a replaced object, and by the measurement: what
was recorded under another threshold is a measurement all the same.  Only what came before counts: an earlier window
(also of the same run), or the same window measured earlier; a result is never compared with itself.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import islice

from msgspec import Struct

from reconciler.model.criteria import less_is_better, rounded, value_text, values_of
from reconciler.model.history import Observation
from reconciler.model.kind import Criterion
from reconciler.model.outcome import Baseline, Evaluation, EvaluationStatus, Level
from reconciler.model.resource import Gate, Regress
from reconciler.model.values import Json

_NOISE = Fraction(1, 10**9)
"""How far, relative to the baseline, a value may be over the limit because of the last digits of a float."""
_LARGEST, _SMALLEST = 1e150, Fraction(1, 10**150)
"""Beyond these the share of one number in another is more than a float can hold."""


class Compared(Struct, frozen=True):
    """A value beside its baseline.

    ``why`` says in words how it misses, and is empty where it does not.  ``measured`` is the value as it is shown,
    ``wanted`` the limit that follows from the baseline (``>= 0.88 - 5 %``), ``margin`` how far the value is on its
    right side; none of them without a baseline.
    """

    baseline: Baseline
    why: str = ""
    measured: str = ""
    wanted: str = ""
    margin: float | None = None


def compare(
    regress: Regress, value: int | float, criteria: Sequence[Criterion], before: Iterable[Observation]
) -> Compared:
    """``value`` beside what was measured before it, newest first (``earlier``); the criteria have one direction."""
    found = _baseline(regress, criteria, before)
    if found is None:
        return Compared(Baseline(None, regress.against, None, None, regress.max_drop, regress.relative))
    base, count, ends = found
    exact = _exact(value)
    lower = less_is_better(criteria[0])
    margin = _margin(regress, exact, base, lower=lower)
    missed = -margin > _NOISE * abs(base)
    worse = exact - base if lower else base - exact
    drop = _share(worse, base) if regress.relative else worse
    told = None if drop is None else float(drop)
    baseline = Baseline(float(base), count, ends, told, regress.max_drop, regress.relative)
    shown, beside = _apart(regress, exact, base, lower=lower)
    limit = f"{'<=' if lower else '>='} {beside} {'+' if lower else '-'} {_allowed(regress)}"
    why = f"{shown} is {_far(regress, exact, base, lower=lower)} {beside}, {baseline_text(baseline)}"
    said = f"{why} (at most {_allowed(regress)})" if missed else ""
    return Compared(baseline, said, shown, limit, float(margin))


def _margin(regress: Regress, value: Fraction, base: Fraction, *, lower: bool) -> Fraction:
    """How far the value is on the right side of what is allowed."""
    room = _exact(regress.max_drop) * (abs(base) if regress.relative else 1)
    return room - (value - base if lower else base - value)


def newest_first(past: Iterable[Observation]) -> list[Observation]:
    """The past in an order that does not depend on the one it is given in."""
    return sorted(past, key=_time, reverse=True)


def take_in(past: list[Observation], new: Observation) -> None:
    """Insert one more into a past that is sorted newest first."""
    time = _time(new)
    past.insert(bisect_left(range(len(past)), True, key=lambda n: _time(past[n]) <= time), new)


def earlier(
    past: Iterable[Observation], evaluation: Evaluation, criteria: Sequence[Criterion], own: Iterable[tuple[str, str]]
) -> Iterator[Observation]:
    """What was measured before ``evaluation``, each result once, of a past that is sorted already.

    ``own`` are results, by id and time of recording, that are judged together with it.
    """
    known = {*own, (evaluation.result_id, evaluation.recorded)}
    for each in past:
        identity = (each.result_id, each.recorded)
        if identity not in known and _comes_before(each, evaluation) and _number_in(each, criteria) is not None:
            known.add(identity)
            yield each


def passing(past: Iterable[Observation], gate: Gate) -> Iterator[Observation]:
    """Those that passed.

    A warning may mean a missed ``warn`` threshold, which is a pass, or a regression.  Only where a regression fails the
    build is it certain which; elsewhere nothing that was warned of counts, or a gate would forgive on the second run.
    """
    levels = {Level.PASS, Level.WARN} if gate.severity == "error" else {Level.PASS}
    return (each for each in past if each.status is EvaluationStatus.PASSING and each.level in levels)


def number(value: Json) -> int | float | None:
    """The value, if it can be compared: a finite number of a size that can be divided."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return value if abs(value) <= _LARGEST else None


def baseline_text(baseline: Baseline) -> str:
    """``the last passing value of 2026-11-20``, ``the mean of the last 5 measurements``; days are UTC's."""
    if not baseline.count:
        day = "" if baseline.ends is None else _day_before(baseline.ends)
        return f"the last passing value{f' of {day}' if day else ''}"
    return (
        f"the mean of the last {baseline.count} measurements" if baseline.count > 1 else "the only measurement so far"
    )


def _day_before(ends: int) -> str:
    """The last day of a window.  It ends where the next one begins: at midnight it is the day before's."""
    try:
        return datetime.fromtimestamp(ends - 1, UTC).date().isoformat()
    except (ValueError, OverflowError, OSError):
        return ""  # a time that no calendar has


def _time(each: Observation) -> tuple[int, str, float, str, str]:
    """What sorts observations by time; the rest makes the order the same whatever it was."""
    return (each.ends or 0, each.recorded, each.seen, each.result_id, repr(sorted(each.measured.items())))


def _comes_before(each: Observation, evaluation: Evaluation) -> bool:
    if each.ends is None or evaluation.ends is None:
        return not each.recorded or not evaluation.recorded or each.recorded < evaluation.recorded
    return (each.ends, each.recorded) < (evaluation.ends, evaluation.recorded)


def _number_in(each: Observation, criteria: Sequence[Criterion]) -> int | float | None:
    return number(next(iter(values_of(each.measured, criteria).values()), None))


def _baseline(
    regress: Regress, criteria: Sequence[Criterion], before: Iterable[Observation]
) -> tuple[Fraction, int, int | None] | None:
    """(value, how many it is the mean of or 0, end of its window); None where there is no past."""
    latest = list(islice(before, regress.against or 1))
    values = [_exact(_number_in(each, criteria) or 0) for each in latest]
    if not values:
        return None
    if not regress.against:
        return values[0], 0, latest[0].ends
    return sum(values, Fraction()) / len(values), len(values), None


# ------------------------------------------------------------------------------------------------ text


def _apart(regress: Regress, value: Fraction, base: Fraction, *, lower: bool) -> tuple[str, str]:
    """The value and the baseline with four digits, or with all where rounding would turn the decision."""
    texts = (_short(value), _short(base))
    shown, beside = map(_exact, map(float, texts))
    turns = (_margin(regress, shown, beside, lower=lower) < 0) != (_margin(regress, value, base, lower=lower) < 0)
    return (_full(value), _full(base)) if turns else texts


def _far(regress: Regress, value: Fraction, base: Fraction, *, lower: bool) -> str:
    """``7.95 % below``, ``0.07 below``."""
    side, limit = "above" if lower else "below", _exact(regress.max_drop)
    if not regress.relative:
        return f"{_beyond(abs(value - base), limit)} {side}"
    share = _share(abs(value - base), base)
    return side if share is None else f"{_beyond(100 * share, 100 * limit)} % {side}"


def _share(part: Fraction, base: Fraction) -> Fraction | None:
    """The part as a fraction of the size of ``base``; nothing has a share in nothing."""
    return part / abs(base) if abs(base) >= _SMALLEST else None


def _allowed(regress: Regress) -> str:
    limit = _exact(regress.max_drop)
    return f"{_full(100 * limit)} %" if regress.relative else _full(limit)


def _exact(value: int | float) -> Fraction:
    """The number as it is written, so that 0.95 is exactly 5 % below 1."""
    return Fraction(Decimal(str(value)))


def _beyond(value: Fraction, limit: Fraction) -> str:
    """The value with three digits, or as many as it takes to be seen above the limit."""
    for digits in range(3, 17):
        short = f"{float(value):.{digits}g}"
        if Fraction(Decimal(short)) > limit:
            return value_text(float(short))
    return _full(value)


def _short(value: Fraction) -> str:
    return value_text(rounded(float(value)))


def _full(value: Fraction) -> str:
    return value_text(float(value))
