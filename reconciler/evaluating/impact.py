"""Judges past results by new thresholds: what would have been flagged.  Pure.

A forecast is worth something only if the past can be recomputed: first every recorded verdict is derived anew from its
value and the threshold it was judged by.  Unless at least 98 % agree, and both verdicts occur and come out again, the
answer is "uncalibrated" and no number: a value of another measurement, or percent where the threshold is a fraction,
agrees surprisingly often while nothing fails.

Shares are given with the Wilson score interval, which keeps its promise for few windows and for shares near 0, where
the usual one does not (L. Brown, T. Cai, A. DasGupta, "Interval Estimation for a Binomial Proportion", Statistical
Science 16(2), 2001).  It takes windows for independent; neighbouring windows are alike, so the truth is rather wider.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal
from math import sqrt
from typing import TypeGuard

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.criteria import family, is_defined, margin, meets, name_of, value_text, values_of
from reconciler.model.kind import Criterion
from reconciler.model.outcome import Evaluation, EvaluationStatus
from reconciler.model.replay import Near, Replay, ReplayState, Share
from reconciler.model.values import Json

Z = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: 95 % lie between minus and plus this."""
ENOUGH_AGREEMENT = 0.98
ENOUGH_OF_A_VERDICT = 0.5
"""Of the failing windows at least so many must come out failing, and of the passing ones passing: when few fail, all of
them can come out wrong while 98 % agree."""
PERCENT = 100.0
FAR = 5.0
"""A limit this many times smaller than every value is not one of their scale."""
TOO_FAR = 20.0
"""A limit that grows so many times at once, above fractions, is one in percent: 0.3 s may become 2 s, and not 15 s."""
MOST_DIGITS = 6
NEAREST = 3

VERDICTS = {EvaluationStatus.PASSING: False, EvaluationStatus.FAILING: True}


class Window(Struct, frozen=True):
    """One recorded result.  ``judged_by`` are the thresholds of that time, None where the vendor does not tell."""

    evaluation: Evaluation
    judged_by: tuple[Criterion, ...] | None = None


def wilson(flagged: int, windows: int) -> Share:
    """The share with its Wilson score interval at 95 %.

    Raises ValueError for no windows: nothing can be said of nothing.
    """
    if not 0 <= flagged <= windows or not windows:
        raise ValueError(f"{flagged} of {windows} windows")
    share = flagged / windows
    spread = Z * Z / windows
    centre = (share + spread / 2) / (1 + spread)
    half = Z * sqrt(share * (1 - share) / windows + spread / (4 * windows)) / (1 + spread)
    low = 0.0 if flagged == 0 else max(0.0, centre - half)
    high = 1.0 if flagged == windows else min(1.0, centre + half)
    return Share(flagged, windows, share, low, high)


def flags(values: Mapping[str, Json], criteria: Sequence[Criterion]) -> bool | None:
    """Whether values by key miss a threshold; None where one has no value, or no limit that is written down."""
    if any(criterion.key not in values or not is_defined(criterion) for criterion in criteria) or not criteria:
        return None
    return not all(meets(values[criterion.key], criterion) for criterion in criteria)


def replay(
    windows: Iterable[Window],
    before: Sequence[Criterion],
    after: Sequence[Criterion],
    *,
    look_back_s: int,
    notes: Sequence[str] = (),
) -> Replay:
    """What ``after`` would have made of the windows that ``before`` judges today."""
    found = latest(windows)
    if not found:
        return Replay(ReplayState.NOTHING, look_back_s, "no results in this time", notes=tuple(notes))
    checked = calibrate(found, before)
    told = [each for each in found if each.evaluation.status in VERDICTS]
    base = Replay(
        ReplayState.UNCALIBRATED, look_back_s, checked.why, unknown=len(found) - len(told), checked=checked.checked,
        agreement=checked.agreement, notes=(*notes, *checked.notes),
    )  # fmt: skip
    if checked.why:
        return base
    values = [values_as_then(each, before, after) for each in told]
    changed = [limit for limit in after if limit not in before]
    strange = _other_scale(changed, values, before) or _became_percent(changed, values, before)
    if strange:
        return replace(base, why=strange)
    pairs = [(flags(each, before), flags(each, after)) for each in values]
    both = [(old, new) for old, new in pairs if old is not None and new is not None]
    if not both:
        unseen = [c for c in after if not any(c.key in each for each in values)]
        what = name_of(unseen[0]) if unseen else "the new thresholds"
        return replace(base, why=f"the platform recorded no value for {what}")
    return replace(
        base,
        state=ReplayState.CALIBRATED,
        unknown=len(found) - len(both),
        before=wilson(sum(old for old, _ in both), len(both)),
        after=wilson(sum(new for _, new in both), len(both)),
        only_before=sum(old and not new for old, new in both),
        only_after=sum(new and not old for old, new in both),
        nearest=_nearest(told, values, after),
    )


def latest(windows: Iterable[Window]) -> list[Window]:
    """One result for each window on each pipeline, the one recorded last; newest window first."""
    newest: dict[object, Window] = {}
    for each in windows:
        one = each.evaluation
        timed = one.starts is not None and one.ends is not None
        key = (one.pipeline, one.starts, one.ends) if timed else one.result_id or id(each)
        if key not in newest or one.recorded > newest[key].evaluation.recorded:
            newest[key] = each
    return sorted(newest.values(), key=lambda each: each.evaluation.ends or 0, reverse=True)


def values_as_then(window: Window, before: Sequence[Criterion], after: Sequence[Criterion] = ()) -> dict[str, Json]:
    """The measured values by key.

    Results name measurements, which may mean something else tomorrow (the place of a criterion in a rubric); so names
    are read as the thresholds of that time have them, and those of ``after`` only where they are new.
    """
    then = window.judged_by or before
    names = {criterion.label for criterion in then}
    fresh = [criterion for criterion in after if criterion.label not in names]
    return values_of(window.evaluation.measured, fresh) | values_of(window.evaluation.measured, then)


# ------------------------------------------------------------------------------------- calibration


class Calibration(Struct, frozen=True):
    """How far recorded verdicts can be recomputed; ``why`` is empty when far enough."""

    checked: int = 0
    agreement: float | None = None
    why: str = ""
    notes: tuple[str, ...] = ()


def calibrate(windows: Sequence[Window], criteria: Sequence[Criterion]) -> Calibration:
    """Recompute the recorded verdicts, each with the thresholds of its time where they are known.

    Values that were rounded where they come from cannot tell on which side of a limit they were when they stand right
    on it: such windows are set aside.
    """
    told = [each for each in windows if each.evaluation.status in VERDICTS]
    if not told:
        return Calibration(why="no window of this time was judged: all were skipped, failed or are unfinished")
    values = [values_as_then(each, criteria) for each in told]
    units = _units(values)
    pairs: list[tuple[bool, bool]] = []
    aside = 0
    for each, measured in zip(told, values, strict=True):
        limits = each.judged_by or tuple(criteria)
        again = flags(measured, limits)
        if again is None:
            continue
        if _on_the_limit(measured, limits, units):
            aside += 1
            continue
        pairs.append((VERDICTS[each.evaluation.status], again))
    notes = (f"{aside} windows stand right on the limit and were not used to check the values",) if aside else ()
    if not pairs:
        return Calibration(why=_nothing_to_check(told, values, criteria), notes=notes)
    agreement = sum(recorded == again for recorded, again in pairs) / len(pairs)
    why = _distrust(pairs, agreement)
    if why and agreement < ENOUGH_AGREEMENT and not any(each.judged_by for each in told):
        why += "; the platform does not tell by which limits, and they may have changed"
    if why and (scale := _percent_for_fraction(told, values, criteria)):
        why = scale
    return Calibration(len(pairs), agreement, why, notes)


def _nothing_to_check(
    told: Sequence[Window], values: Sequence[Mapping[str, Json]], criteria: Sequence[Criterion]
) -> str:
    learned = [c for each in told for c in (each.judged_by or criteria) if not is_defined(c)]
    if learned:
        return f"the limit of {name_of(learned[0])} is not a written one, so its verdicts cannot be recomputed"
    if not any(values):
        return "the platform recorded no values"
    return "no window has a value for every threshold"


def _distrust(pairs: Sequence[tuple[bool, bool]], agreement: float) -> str:
    failing = [again for recorded, again in pairs if recorded]
    passing = [again for recorded, again in pairs if not recorded]
    if not failing or not passing:
        which = "failed" if passing else "passed"
        return f"no window {which} in this time, so nothing shows that the values are read rightly"
    if agreement < ENOUGH_AGREEMENT:
        return f"only {agreement:.1%} of {len(pairs)} recorded verdicts can be recomputed from the values"
    if sum(failing) < ENOUGH_OF_A_VERDICT * len(failing):
        return f"of {len(failing)} failing windows only {sum(failing)} come out failing when recomputed"
    if sum(not again for again in passing) < ENOUGH_OF_A_VERDICT * len(passing):
        return f"of {len(passing)} passing windows only {sum(not again for again in passing)} come out passing"
    return ""


def _units(values: Sequence[Mapping[str, Json]]) -> dict[str, Decimal]:
    """The last digit that the values of each key have; none for whole numbers, and for values that look unrounded."""
    digits: dict[str, int] = {}
    for each in values:
        for key, value in each.items():
            if family(value) == "number":
                exponent = Decimal(str(value)).normalize().as_tuple().exponent
                assert isinstance(exponent, int)
                digits[key] = max(digits.get(key, 0), -exponent)
    return {key: Decimal(1).scaleb(-most) for key, most in digits.items() if 0 < most <= MOST_DIGITS}


def _on_the_limit(values: Mapping[str, Json], limits: Sequence[Criterion], units: Mapping[str, Decimal]) -> bool:
    numbers = [
        c for c in limits if c.key in units and family(c.value) == "number" and family(values[c.key]) == "number"
    ]
    return any(abs(Decimal(str(values[c.key])) - Decimal(str(c.value))) <= units[c.key] / 2 for c in numbers)


# ------------------------------------------------------------------------------------- scale


def _percent_for_fraction(
    told: Sequence[Window], values: Sequence[Mapping[str, Json]], criteria: Sequence[Criterion]
) -> str:
    """Why the verdicts cannot be recomputed, when a factor of 100 between value and limit explains it; else ""."""
    for factor, words in ((1 / PERCENT, "percent"), (PERCENT, "fractions")):
        pairs = [
            (VERDICTS[each.evaluation.status], flags(_scaled(measured, factor), each.judged_by or criteria))
            for each, measured in zip(told, values, strict=True)
        ]
        known = [(recorded, again) for recorded, again in pairs if again is not None]
        if known and not _distrust(known, sum(recorded == again for recorded, again in known) / len(known)):
            return _scales(words, values, criteria)
    limits = [c for each in told for c in (each.judged_by or criteria)]
    return _other_scale(limits, values, ())


def _scaled(values: Mapping[str, Json], factor: float) -> dict[str, Json]:
    return {key: value * factor if _is_number(value) else value for key, value in values.items()}


def _scales(words: str, values: Sequence[Mapping[str, Json]], criteria: Sequence[Criterion]) -> str:
    other = "a fraction" if words == "percent" else "percent"
    limit = next((c for c in criteria if family(c.value) == "number"), None)
    if limit is None:
        return f"the values are {words}, while the threshold is {other}"
    reach = f"they reach {value_text(max(_numbers(limit, values), default=0))}, the limit is {value_text(limit.value)}"
    return f"the values are {words}, while the threshold is {other} ({reach})"


def _other_scale(limits: Sequence[Criterion], values: Sequence[Mapping[str, Json]], before: Sequence[Criterion]) -> str:
    """Why a limit cannot be of the values' scale: a fraction, where all values are percent; else ""."""
    for criterion in limits:
        limit, former = criterion.value, _former(criterion, before)
        if not _is_number(limit) or not 0 < limit < 1 or (before and not any(1 <= each <= PERCENT for each in former)):
            continue
        sizes = [abs(value) for value in _numbers(criterion, values) if value]
        if sizes and min(sizes) >= FAR * limit and 1 < max(sizes) <= PERCENT:
            return _scales("percent", values, [criterion])
    return ""


def _became_percent(
    limits: Sequence[Criterion], values: Sequence[Mapping[str, Json]], before: Sequence[Criterion]
) -> str:
    """Why a new limit is percent, where the limit until now and all values are fractions; else ""."""
    for criterion in limits:
        limit, former = criterion.value, _former(criterion, before)
        if not _is_number(limit) or not 1 < limit <= PERCENT or not former:
            continue
        numbers = _numbers(criterion, values)
        fractions = all(0 <= value <= 1 for value in numbers) and any(0 < value < 1 for value in numbers)
        if fractions and all(0 < each <= 1 and limit >= TOO_FAR * each for each in former):
            return _scales("fractions", values, [criterion])
    return ""


def _former(criterion: Criterion, before: Sequence[Criterion]) -> list[float]:
    """The limits until now on what the criterion is about."""
    return [each.value for each in before if each.key == criterion.key and _is_number(each.value)]


def _numbers(criterion: Criterion, values: Sequence[Mapping[str, Json]]) -> list[float]:
    """What was measured of it."""
    return [value for each in values if _is_number(value := each.get(criterion.key))]


def _is_number(value: Json) -> TypeGuard[float]:
    return family(value) == "number"


# ------------------------------------------------------------------------------------- nearest


def _nearest(
    windows: Sequence[Window], values: Sequence[Mapping[str, Json]], criteria: Sequence[Criterion]
) -> tuple[Near, ...]:
    """The windows that stand closest to a limit, the closest first."""
    found: list[Near] = []
    for each, measured in zip(windows, values, strict=True):
        margins = [(margin(measured[c.key], [c]), c) for c in criteria if c.key in measured]
        known = [(distance, c) for distance, c in margins if distance is not None]
        if known:
            distance, criterion = min(known, key=lambda pair: abs(pair[0]))
            one = each.evaluation
            value = measured[criterion.key]
            name = name_of(criterion)
            found.append(Near(one.pipeline, one.starts, one.ends, one.result_id, name, value, distance))
    return tuple(sorted(found, key=lambda near: abs(near.margin))[:NEAREST])
