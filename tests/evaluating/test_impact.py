"""What new thresholds would have made of the past, and when the past says nothing."""

from __future__ import annotations

import math

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from reconciler.evaluating.impact import Window, calibrate, latest, replay, wilson
from reconciler.model.kind import Criterion
from reconciler.model.outcome import Evaluation, EvaluationStatus
from reconciler.model.replay import Replay, ReplayState
from reconciler.model.resource import Address
from reconciler.model.values import Json

TEST = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))
HOUR = 3600
STATUS = {"P": EvaluationStatus.PASSING, "F": EvaluationStatus.FAILING, "S": EvaluationStatus.SKIPPED,
          "R": EvaluationStatus.RUNNING, "E": EvaluationStatus.ERROR}  # fmt: skip


def limit(text: str, key: str = "faithfulness", label: str = "") -> Criterion:
    operator, value = text.split()
    return Criterion(key, operator, float(value), label=label or key)  # type: ignore[arg-type]


AT_LEAST_80 = limit(">= 0.8")


def window(
    number: int,
    status: str,
    judged_by: Criterion | None = None,
    pipeline: str = "live",
    recorded: str = "",
    **measured: Json,
) -> Window:
    """The window of hour ``number``."""
    evaluation = Evaluation(
        TEST, STATUS[status], pipeline, measured, "", f"r{number}", number * HOUR, (number + 1) * HOUR, recorded
    )
    return Window(evaluation, (judged_by,) if judged_by else None)


def judged(values: list[float], criterion: Criterion = AT_LEAST_80, scale: float = 1.0) -> list[Window]:
    """A window for each value with the verdict that the platform gave; it shows values times ``scale``."""
    made = []
    for number, value in enumerate(values):
        assert isinstance(criterion.value, float)
        holds = value >= criterion.value if criterion.operator == ">=" else value <= criterion.value
        made.append(window(number, "P" if holds else "F", faithfulness=value * scale))
    return made


def ask(windows: list[Window], after: str, before: str = ">= 0.8") -> Replay:
    return replay(windows, [limit(before)], [limit(after)], look_back_s=30 * 86_400)


MONTH = [0.91, 0.74, 0.88, 0.79, 0.93, 0.85, 0.62, 0.81, 0.97, 0.83]


def test_windows_are_counted_before_and_after() -> None:
    """0.74, 0.79 and 0.62 miss 0.8; only 0.62 misses 0.7, and the nearest to 0.7 come first."""
    found = ask(judged(MONTH), ">= 0.7")
    assert found.state is ReplayState.CALIBRATED
    assert found.before is not None
    assert found.after is not None
    assert (found.before.flagged, found.after.flagged, found.after.windows) == (3, 1, 10)
    assert (found.only_before, found.only_after, found.unknown) == (2, 0, 0)
    assert [(near.value, near.margin) for near in found.nearest] == [(0.74, 0.04), (0.62, -0.08), (0.79, 0.09)]


def test_a_stricter_limit_flags_more_and_a_moved_one_both_ways() -> None:
    assert (ask(judged(MONTH), ">= 0.9").only_before, ask(judged(MONTH), ">= 0.9").only_after) == (0, 4)
    turned = ask(judged(MONTH), "<= 0.8")
    assert (turned.only_before, turned.only_after) == (3, 7)


def test_of_two_results_of_a_window_the_later_counts() -> None:
    twice = [
        window(1, "F", recorded="2026-01-01", faithfulness=0.1),
        window(1, "P", recorded="2026-01-02", faithfulness=0.9),
    ]
    assert [each.evaluation.measured for each in latest(twice)] == [{"faithfulness": 0.9}]
    other_pipeline = window(1, "P", pipeline="canary", faithfulness=0.9)
    assert len(latest([*twice, other_pipeline])) == 2


@pytest.mark.parametrize("status", ["S", "R", "E"])
def test_what_has_no_verdict_counts_neither_way(status: str) -> None:
    found = ask([*judged(MONTH), window(50, status), window(51, status, faithfulness=0.5)], ">= 0.7")
    assert found.after is not None
    assert (found.after.windows, found.unknown) == (10, 2)


def test_a_window_without_a_value_is_unknown() -> None:
    found = ask([*judged(MONTH), window(50, "P")], ">= 0.7")
    assert found.after is not None
    assert (found.after.windows, found.unknown, found.checked) == (10, 1, 10)


# ------------------------------------------------------------------------------------------- calibration


def why_not(found: Replay) -> str:
    assert found.state is ReplayState.UNCALIBRATED
    assert found.before is None
    assert found.after is None
    assert found.nearest == ()
    return found.why


def test_no_results_is_said_so() -> None:
    assert ask([], ">= 0.7").state is ReplayState.NOTHING


def test_without_both_verdicts_nothing_is_proven() -> None:
    assert "no window failed" in why_not(ask(judged([0.9, 0.95, 0.85]), ">= 0.7"))
    assert "no window passed" in why_not(ask(judged([0.1, 0.2]), ">= 0.7"))


def test_nothing_but_skipped_windows_proves_nothing() -> None:
    assert "no window of this time was judged" in why_not(ask([window(1, "S"), window(2, "E")], ">= 0.7"))


def test_without_values_nothing_can_be_recomputed() -> None:
    assert "recorded no values" in why_not(ask([window(1, "P"), window(2, "F")], ">= 0.7"))


def test_the_wrong_value_is_noticed() -> None:
    """Values of something else: 7 of 10 verdicts agree by chance."""
    wrong = [window(n, "F" if v < 0.8 else "P", faithfulness=0.99) for n, v in enumerate(MONTH)]
    assert "only 70.0% of 10 recorded verdicts" in why_not(ask(wrong, ">= 0.7"))


@pytest.mark.parametrize(("misses", "calibrated"), [(2, True), (3, False)])
def test_98_of_100_must_agree(misses: int, calibrated: bool) -> None:
    """100 windows, 20 of them failing; some more are recorded as failing though their value is fine."""
    windows = [window(n, "F" if n < 20 + misses else "P", faithfulness=0.5 if n < 20 else 0.9) for n in range(100)]
    assert (ask(windows, ">= 0.7").state is ReplayState.CALIBRATED) is calibrated


def test_few_failures_that_all_come_out_wrong_are_noticed() -> None:
    """99 % agree, and yet no failure is reproduced."""
    windows = [window(n, "F" if n == 0 else "P", faithfulness=0.9) for n in range(100)]
    assert "of 1 failing windows only 0 come out failing" in why_not(ask(windows, ">= 0.7"))


def test_a_window_is_recomputed_with_the_threshold_of_its_time() -> None:
    """The limit was 0.9 in the first half: 0.85 failed then and passes now."""
    then, now = limit(">= 0.9"), limit(">= 0.8")
    windows = [window(n, "F", then, faithfulness=0.85) for n in range(10)]
    windows += [window(n, "P", now, faithfulness=0.85) for n in range(10, 20)]
    assert calibrate(windows, [now]).agreement == 1.0
    blind = [Window(each.evaluation) for each in windows]
    assert "only 50.0%" in calibrate(blind, [now]).why


def test_rounded_values_on_the_limit_are_set_aside() -> None:
    """The platform saw 0.7996 and failed it; it shows 0.8, which would pass."""
    windows = [*judged(MONTH), *(window(20 + n, "F", faithfulness=0.8) for n in range(3))]
    found = ask(windows, ">= 0.7")
    assert (found.state, found.checked) == (ReplayState.CALIBRATED, 10)
    assert found.notes == ("3 windows stand right on the limit and were not used to check the values",)


def test_counts_are_never_rounded() -> None:
    """Whole numbers on the limit are what they are."""
    windows = [window(n, "P" if n < 5 else "F", faithfulness=float(n >= 5)) for n in range(10)]
    assert calibrate(windows, [limit("<= 0")]).checked == 10


def test_a_learned_limit_can_not_be_recomputed() -> None:
    learned = Criterion("faithfulness", ">=", None, automatic=True, label="faithfulness")
    why = replay(judged(MONTH), [learned], [limit(">= 0.7")], look_back_s=1).why
    assert "not a written one" in why


# ------------------------------------------------------------------------------------------- scale

PERCENT = "the values are percent, while the threshold is a fraction"


def test_percent_against_a_fraction_is_refused_with_that_reason() -> None:
    """The platform judged fractions and shows percent: everything would pass 0.8."""
    assert why_not(ask(judged(MONTH, scale=100), ">= 0.7")).startswith(PERCENT)


def test_percent_against_a_fraction_is_seen_even_if_hardly_anything_fails() -> None:
    """One of 100 fails: 99 % of the verdicts agree with the wrong scale."""
    assert why_not(ask(judged([0.5, *[0.9] * 99], scale=100), ">= 0.7")).startswith(PERCENT)


def test_percent_against_a_fraction_is_seen_without_any_failure() -> None:
    assert why_not(ask(judged([0.9, 0.95], scale=100), ">= 0.7")).startswith(PERCENT)


def test_fractions_against_percent_are_refused_too() -> None:
    month = [100 * value for value in MONTH]
    found = ask(judged(month, limit(">= 80"), scale=0.01), ">= 70", before=">= 80")
    assert "the values are fractions, while the threshold is percent" in why_not(found)


def test_a_new_limit_of_another_scale_is_refused() -> None:
    """All is percent until now; the new limit is a fraction, which everything passes."""
    month = [100 * value for value in MONTH]
    found = ask(judged(month, limit(">= 80")), ">= 0.7", before=">= 80")
    assert why_not(found) == f"{PERCENT} (they reach 97, the limit is 0.7)"


def test_a_new_limit_in_percent_is_refused_where_all_was_fractions() -> None:
    """15 for 0.15 would be missed by nothing for ever."""
    found = ask(judged([0.1, 0.4, 0.0, 0.3], limit("<= 0.2")), "<= 15", before="<= 0.2")
    assert (
        why_not(found) == "the values are fractions, while the threshold is percent (they reach 0.4, the limit is 15)"
    )


@pytest.mark.parametrize("after", ["<= 0.9", "<= 2"])
def test_a_limit_may_grow_beyond_one(after: str) -> None:
    """Seconds, not percent: 0.3 s becomes 2 s."""
    assert ask(judged([0.1, 0.4, 0.2], limit("<= 0.3")), after, before="<= 0.3").state is ReplayState.CALIBRATED


def test_seconds_below_one_are_no_fraction() -> None:
    """A latency limit goes from 2 s to 0.9 s, and the values lie around it."""
    found = ask(judged([0.7, 1.2, 3.1, 2.4], limit("<= 2")), "<= 0.9", before="<= 2")
    assert found.state is ReplayState.CALIBRATED


# ------------------------------------------------------------------------------------------- what is measured


def test_a_reordered_rubric_is_read_by_the_names_of_its_time() -> None:
    """``criteria0`` was "polite" when it was measured, and is "short" now."""
    polite_then, short_then = limit(">= 0.8", "polite", "criteria0"), limit(">= 0.5", "short", "criteria1")
    short_now, polite_now = limit(">= 0.5", "short", "criteria0"), limit(">= 0.7", "polite", "criteria1")
    windows = [
        window(n, s, criteria0=v, criteria1=0.9) for n, (s, v) in enumerate([("P", 0.9), ("F", 0.75), ("F", 0.1)])
    ]
    found = replay(windows, [polite_then, short_then], [short_now, polite_now], look_back_s=1)
    assert found.after is not None
    assert (found.after.flagged, found.only_before) == (1, 1)


def test_a_threshold_on_what_was_never_measured_gives_no_forecast() -> None:
    added = [AT_LEAST_80, limit(">= 0.5", "relevancy")]
    assert "no value for relevancy" in replay(judged(MONTH), [AT_LEAST_80], added, look_back_s=1).why


def test_two_keys_of_one_measurement_can_not_be_told_apart() -> None:
    before = [limit("<= 0", "rows|a", "rows"), limit("<= 0", "rows|b", "rows")]
    windows = [window(1, "P", rows=0), window(2, "F", rows=3)]
    assert "recorded no values" in replay(windows, before, before[:1], look_back_s=1).why


# ------------------------------------------------------------------------------------------- intervals


@pytest.mark.parametrize(
    ("flagged", "windows", "low", "high"),
    [
        # Wilson score intervals at 95 %, from R: binom::binom.confint(x, n, methods = "wilson")
        (0, 10, 0.0, 0.2775),
        (3, 42, 0.0246, 0.1901),
        (5, 168, 0.0128, 0.0678),
        (10, 10, 0.7225, 1.0),
        (1, 2, 0.0945, 0.9055),
    ],
)
def test_wilson_bounds(flagged: int, windows: int, low: float, high: float) -> None:
    found = wilson(flagged, windows)
    assert (found.share, round(found.low, 4), round(found.high, 4)) == (flagged / windows, low, high)


def test_nothing_can_be_said_of_no_windows() -> None:
    with pytest.raises(ValueError, match="0 of 0"):
        wilson(0, 0)


COUNTS = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))
NOT_ALL = st.integers(1, 2000).flatmap(lambda n: st.tuples(st.integers(0, n - 1), st.just(n)))
"""(flagged windows, windows)"""


@given(COUNTS)
def test_the_bounds_hold_the_estimate_and_stay_within_one(counts: tuple[int, int]) -> None:
    found = wilson(*counts)
    assert 0 <= found.low <= found.share <= found.high <= 1


@given(NOT_ALL)
def test_one_more_flagged_window_moves_both_bounds_up(counts: tuple[int, int]) -> None:
    flagged, windows = counts
    less, more = wilson(flagged, windows), wilson(flagged + 1, windows)
    assert less.low < more.low or more.low == 0
    assert less.high < more.high or less.high == 1


@given(COUNTS, st.integers(2, 9))
def test_more_windows_of_the_same_share_narrow_the_interval(counts: tuple[int, int], times: int) -> None:
    few, many = wilson(*counts), wilson(counts[0] * times, counts[1] * times)
    assert many.high - many.low < few.high - few.low


VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=30)
LIMITS = st.floats(0, 1)


@given(VALUES, LIMITS, LIMITS, st.sampled_from([">=", ">", "<=", "<"]))
def test_a_stricter_limit_never_flags_fewer(values: list[float], one: float, other: float, operator: str) -> None:
    """Against plain comparison of every value."""
    loose, strict = sorted([one, other], reverse=operator in ("<=", "<"))
    before = Criterion("faithfulness", operator, loose, label="faithfulness")  # type: ignore[arg-type]
    after = Criterion("faithfulness", operator, strict, label="faithfulness")  # type: ignore[arg-type]
    compare = {">=": lambda v, x: v >= x, ">": lambda v, x: v > x, "<=": lambda v, x: v <= x, "<": lambda v, x: v < x}
    holds = [compare[operator](value, loose) for value in values]
    windows = [
        window(n, "P" if h else "F", before, faithfulness=v) for n, (v, h) in enumerate(zip(values, holds, strict=True))
    ]
    found = replay(windows, [before], [after], look_back_s=1)
    assume(found.before is not None and found.after is not None)
    assert found.before is not None
    assert found.after is not None
    assert found.before.flagged == holds.count(False)
    assert found.after.flagged == sum(not compare[operator](value, strict) for value in values)
    assert found.only_before == 0
    assert found.after.flagged >= found.before.flagged
    assert math.isclose(found.after.share, found.after.flagged / len(values))
