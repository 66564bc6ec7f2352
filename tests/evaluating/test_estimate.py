"""What a range becomes in windows, and what it costs, before anything is triggered."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.evaluating.estimate import Cost, Estimate, aligned, alignment_text, moment, together
from reconciler.model.outcome import TimeRange
from reconciler.model.resource import Address

HOUR, DAY = 3600, 86_400
MIDNIGHT = 20_000 * DAY  # 2024-10-04
ASKED = TimeRange(MIDNIGHT + 6 * HOUR, MIDNIGHT + 18 * HOUR)


def check(name: str) -> Address:
    return Address("openlayer.Test", ("bot", "monitoring", name))


def cost(name: str, pipelines: int = 2, *, width: int = HOUR, runs: int = 1, asked: TimeRange = ASKED) -> Cost:
    return Cost.over(asked, width, check(name), pipelines, runs)


@given(st.integers(0, 10**10), st.integers(1, 10**7), st.integers(HOUR, 28 * DAY))
def test_a_range_is_never_cut_and_never_widened_by_a_whole_window(start: int, length: int, width: int) -> None:
    asked = TimeRange(start, start + length)
    span = aligned(asked, width)
    assert span.start <= asked.start < span.start + width
    assert span.end - width < asked.end <= span.end
    assert (span.start % width, span.end % width) == (0, 0)


@pytest.mark.parametrize(
    ("width", "now", "says"),
    [
        (DAY, MIDNIGHT + DAY, ["aligned to 24h windows: 2024-10-04T00:00Z to 2024-10-05T00:00Z"]),
        (DAY, MIDNIGHT,
         ["aligned to 24h windows: 2024-10-04T00:00Z to 2024-10-05T00:00Z (not over yet)"]),
        (HOUR, MIDNIGHT + DAY, []),
        (HOUR, MIDNIGHT, ["1h windows: 2024-10-04T06:00Z to 2024-10-04T18:00Z (not over yet)"]),
    ],
)  # fmt: skip
def test_what_is_not_as_it_was_asked_for_is_told(width: int, now: float, says: list[str]) -> None:
    assert alignment_text(ASKED, [(width, aligned(ASKED, width))], now) == says


@pytest.mark.parametrize(
    ("costs", "under_way", "says"),
    [
        ([cost("a"), cost("b"), cost("c"), cost("d")], 0,
         "will run 96 evaluations: 4 tests × 2 pipelines × 12 windows"),
        ([cost("a", 1, width=DAY)], 0, "will run 1 evaluation: 1 test × 1 pipeline × 1 window"),
        ([cost("a", runs=3)], 0, "will run 72 evaluations: 1 test × 2 pipelines × 12 windows × 3 runs"),
        ([cost("a"), cost("b", 1)], 0, "will run 36 evaluations: 2 tests × up to 2 pipelines × 12 windows"),
        ([cost("a"), cost("b", 1, width=DAY, runs=3)], 0,
         "will run 27 evaluations: 2 tests × up to 2 pipelines × up to 12 windows × up to 3 runs"),
        ([cost("a", 1)], 2,
         "will run 12 evaluations: 1 test × 1 pipeline × 12 windows; 2 triggers of an earlier run still under way"),
        ([], 1, "will run no evaluation: 1 trigger of an earlier run still under way"),
        ([], 0, "will run no evaluation: there is nothing to run on"),
    ],
)  # fmt: skip
def test_the_cost_in_words(costs: list[Cost], under_way: int, says: str) -> None:
    assert Estimate(ASKED, tuple(costs), under_way).text() == says


def test_without_windows_a_run_on_each_place_is_what_it_costs() -> None:
    assert Cost(check("nightly"), pipelines=2, runs=3).evaluations == 6
    assert Estimate(ASKED, (Cost(check("nightly"), 2),)).text() == "will run 2 evaluations: 1 test × 2 places"
    assert Estimate(ASKED, (Cost(check("nightly"), 2),)).spans() == {}


def test_runs_that_are_there_already_are_told_and_not_counted() -> None:
    nightly = check("nightly")
    some = Estimate(ASKED, (Cost(nightly, 1, 3), Cost(nightly, 1, 1)), there=2)
    assert some.text() == "will run 4 evaluations: 1 test × 1 place × up to 3 runs; 2 runs are there already"
    assert Estimate(ASKED, (), there=1).text() == "will run no evaluation: 1 run is there already"
    both = Estimate(ASKED, (), 1, 2).text()
    assert both == "will run no evaluation: 2 runs are there already; 1 trigger of an earlier run still under way"


def test_the_triggers_of_one_test_are_one_contributor() -> None:
    """A test that names its pipelines has a trigger for each; one that runs nowhere costs nothing."""
    assert together([cost("a", 1), cost("a", 1), cost("b", 0)]) == (cost("a", 2),)


def test_the_largest_come_first_and_only_three_are_named() -> None:
    costs = tuple(cost(name, pipelines) for name, pipelines in {"a": 1, "b": 9, "c": 3, "d": 2}.items())
    assert [each.split(" ")[0][-1] for each in Estimate(ASKED, costs).largest()] == ["b", "c", "d"]


def test_a_moment_has_seconds_only_where_it_needs_them() -> None:
    assert [moment(MIDNIGHT), moment(MIDNIGHT + 61)] == ["2024-10-04T00:00Z", "2024-10-04T00:01:01Z"]
