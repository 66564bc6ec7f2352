"""Which limit fits a budget of flagged windows, checked against trying every limit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.evaluating.impact import Window, wilson
from reconciler.evaluating.suggesting import Budget, PinnedPoint, per_period, suggest, tunable
from reconciler.model.kind import Criterion
from reconciler.model.outcome import Evaluation, EvaluationStatus
from reconciler.model.replay import Suggestion
from reconciler.model.resource import Address, PinnedVerdict

TEST = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))
DAY, WEEK = 86_400, 604_800
COMPARE: dict[str, Any] = {
    ">=": lambda v, x: v >= x, ">": lambda v, x: v > x, "<=": lambda v, x: v <= x, "<": lambda v, x: v < x,
}  # fmt: skip


def limit(operator: str, value: float, key: str = "score") -> Criterion:
    return Criterion(key, operator, value, label=key)  # type: ignore[arg-type]


def days(values: list[float], criterion: Criterion, *, also: dict[str, float] | None = None) -> list[Window]:
    """A window a day, with the verdict that the platform gave."""
    made = []
    for number, value in enumerate(values):
        status = (
            EvaluationStatus.PASSING
            if COMPARE[criterion.operator](value, criterion.value)
            else EvaluationStatus.FAILING
        )
        starts = number * DAY
        measured = {"score": value, **(also or {})}
        made.append(Window(Evaluation(TEST, status, "live", measured, "", f"r{number}", starts, starts + DAY)))
    return made


def ask(
    values: list[float], criterion: Criterion, a_week: float, *pins: PinnedPoint, more: tuple[Criterion, ...] = ()
) -> Suggestion:
    windows = days(values, criterion, also={each.key: 0.5 for each in more})
    budget = Budget(a_week, WEEK)
    return suggest(
        windows, [criterion, *more], criterion, budget=budget, per_period=per_period(windows, budget), pins=pins
    )


def pin(value: float, verdict: PinnedVerdict) -> PinnedPoint:
    return PinnedPoint("incident", {"score": value}, verdict)


MONTH = [0.9, 0.95, 0.7, 0.92, 0.88, 0.99, 0.85, 0.6, 0.97, 0.93]
"""Ten days.  Upper ends of the interval: 0 of 10 is 27.8 %, 1 is 40.4 %, 2 is 51.0 %, 3 is 60.3 %."""


@pytest.mark.parametrize(
    ("a_week", "found", "flagged"),
    [
        (1.95, 0.6, 0),  # 7 x 27.8 % = 1.94
        (2.83, 0.7, 1),  # 7 x 40.4 % = 2.83
        (2.82, 0.6, 0),
        (3.6, 0.85, 2),  # 7 x 51.0 % = 3.57
        (7.0, 0.99, 9),  # everything may be flagged, and the strictest that was measured is 0.99
    ],
)
def test_the_strictest_limit_within_the_budget(a_week: float, found: float, flagged: int) -> None:
    made = ask(MONTH, limit(">=", 0.8), a_week)
    assert made.then is not None
    assert (made.limit, made.then.flagged) == (found, flagged)
    assert made.expected is not None
    assert made.expected <= a_week
    assert made.now is not None
    assert (made.now.flagged, made.per_period) == (2, 7)


def test_each_operator_flags_on_its_own_side() -> None:
    """One of ten may be flagged: the lowest for a floor, the highest for a ceiling."""
    for operator, found in {">=": 0.7, ">": 0.6, "<=": 0.97, "<": 0.99}.items():
        assert ask(MONTH, limit(operator, 0.8 if ">" in operator else 0.96), 2.83).limit == found, operator


def test_nobody_flagged_by_a_strict_operator_needs_a_limit_beyond_all_values() -> None:
    assert ask(MONTH, limit(">", 0.8), 1.95).limit == 0.59
    assert ask(MONTH, limit("<", 0.96), 1.95).limit == 1


def test_a_limit_has_few_digits_where_that_flags_the_same() -> None:
    """Rounded to the looser side: 0.847123 becomes 0.8471 for a floor."""
    values = [0.9, 0.95, 0.5, 0.847123, 0.92, 0.88, 0.99, 0.97, 0.93, 0.96]
    assert ask(values, limit(">=", 0.8), 2.83).limit == 0.8471
    close = [0.9, 0.95, 0.847121, 0.847123, 0.92, 0.88, 0.99, 0.97, 0.93, 0.5]
    assert ask(close, limit(">=", 0.8), 3.6).limit == 0.847123  # 0.8471 would let 0.847121 pass


def test_a_pinned_incident_must_be_flagged() -> None:
    """The budget allows 0.7; the incident with 0.65 is below it, the one with 0.75 is not."""
    kept = ask(MONTH, limit(">=", 0.8), 2.83, pin(0.65, "flagged"))
    assert (kept.limit, kept.pins) == (0.7, ("incident",))
    lost = ask(MONTH, limit(">=", 0.8), 2.83, pin(0.75, "flagged"))
    assert lost.limit is None
    assert "pin incident must be flagged, which no limit within the budget does (the strictest is >= 0.7)" in lost.why


def test_a_pinned_good_time_must_pass() -> None:
    """The budget allows 0.7; a day with 0.65 that was fine pulls the limit down to it."""
    assert ask(MONTH, limit(">=", 0.8), 2.83, pin(0.65, "passes")).limit == 0.65
    assert ask(MONTH, limit(">=", 0.8), 2.83, pin(0.9, "passes")).limit == 0.7


def test_other_limits_count_and_can_use_up_the_budget() -> None:
    other = limit(">=", 0.6, "recall")  # its value is always 0.5: it flags everything
    made = ask(MONTH, limit(">=", 0.8), 2.0, more=(other,))
    assert made.limit is None
    assert "uncalibrated" in made.why  # the platform did not flag what recall would


def test_too_few_windows_say_how_many_would_do() -> None:
    """Seven windows a week, one to be flagged: 24 without a single one bring the upper end below it."""
    made = ask(MONTH, limit(">=", 0.8), 1)
    assert (made.limit, made.missing) == (None, "at least 24 judged windows, or a larger budget")
    assert 7 * wilson(0, 24).high <= 1 < 7 * wilson(0, 23).high


def test_an_uncalibrated_past_suggests_nothing() -> None:
    made = ask([0.9, 0.95], limit(">=", 0.8), 7)
    assert made.limit is None
    assert made.why.startswith("uncalibrated: no window failed")
    assert made.missing == "a time in which windows passed and failed: look further back"


def test_a_threshold_that_is_new_in_the_manifest_has_no_past() -> None:
    """The platform judged by one threshold; the manifest has a second one, on what was never measured."""
    score, recall = limit(">=", 0.8), limit(">=", 0.5, "recall")
    budget = Budget(7, WEEK)
    made = suggest(days(MONTH, score), [score, recall], score, budget=budget, per_period=7, judging=[score])
    assert made.limit is None
    assert made.why == "no window has a value for every threshold; recall was not measured"


def test_the_past_was_judged_by_what_is_at_the_platform() -> None:
    """The manifest has 0.9 already, the platform still 0.8: that does not make the past implausible."""
    at_the_platform, written = limit(">=", 0.8), limit(">=", 0.9)
    windows, budget = days(MONTH, at_the_platform), Budget(3.6, WEEK)
    made = suggest(windows, [written], written, budget=budget, per_period=7, judging=[at_the_platform])
    assert (made.current, made.limit) == (0.9, 0.85)
    assert made.now is not None
    assert made.now.flagged == 4


def test_no_results_suggest_nothing() -> None:
    assert ask([], limit(">=", 0.8), 7).why == "there are no results in this time"


def test_only_written_numbers_with_an_order_can_be_moved() -> None:
    learned = Criterion("a", ">=", None, automatic=True)
    assert tunable([limit(">=", 1), limit("is", 1), learned, Criterion("b", ">=", True)]) == [limit(">=", 1)]


def test_windows_of_every_pipeline_count_in_a_week() -> None:
    """A window a day on two pipelines: fourteen a week."""
    there = days([1, 2, 3], limit(">=", 0))
    canary = [Window(Evaluation(TEST, e.evaluation.status, "canary", {}, "", "c", 0, DAY)) for e in there[:1]]
    assert per_period([*there, *canary], Budget(1, WEEK)) == 14
    assert per_period([], Budget(1, WEEK)) == 0


# ------------------------------------------------------------------------------------------- against trying everything

NUMBERS = st.integers(0, 40).map(lambda number: number / 40)
PINS = st.lists(st.builds(pin, NUMBERS, st.sampled_from(["flagged", "passes"])), max_size=2)


@given(st.lists(NUMBERS, min_size=2, max_size=40), NUMBERS, st.sampled_from(sorted(COMPARE)), st.floats(0.5, 6.9), PINS)
def test_no_stricter_limit_would_do(
    values: list[float], current: float, operator: str, a_week: float, pins: list[PinnedPoint]
) -> None:
    """The answer keeps the budget and the pins, and everything that flags more windows breaks one of them.

    With seven alarms a week every window may be flagged, and there is nothing to suggest.
    """
    holds = COMPARE[operator]
    made = ask(values, limit(operator, current), a_week, *pins)

    def flagged(candidate: float) -> int:
        return sum(not holds(value, candidate) for value in values)

    def fits(candidate: float) -> bool:
        kept = all(holds(each.values["score"], candidate) is (each.verdict == "passes") for each in pins)
        return kept and 7 * wilson(flagged(candidate), len(values)).high <= a_week

    grid = [number / 80 for number in range(-2, 84)]
    if made.limit is None:
        assert "uncalibrated" in made.why or not any(map(fits, grid))
        return
    assert isinstance(made.limit, int | float)
    assert fits(made.limit)
    assert made.then is not None
    assert made.then.flagged == flagged(made.limit) == max(flagged(each) for each in grid if fits(each))
