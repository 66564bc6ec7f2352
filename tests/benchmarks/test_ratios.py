"""What is measured becomes ratios, each against its goal."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.goals import GOALS, Goal
from benchmarks.ratios import growth, of_a_sweep, ratios, together
from benchmarks.report import goals_table, table

PLAN, SDK, FLOOR = "plan, no changes", "SDK script, plan", "floor: the same reads, bare"


def figures(tests: int, median_s: float, peak_mb: float = 50, latency_ms: int = 0) -> dict[str, Any]:
    seconds = {"min_s": median_s, "median_s": median_s, "max_s": median_s, "cpu_s": median_s}
    return {"tests": tests, "latency_ms": latency_ms, **seconds, "peak_mb": peak_mb}


SETTINGS = {
    "1,000 tests, 0 ms": {PLAN: figures(1_000, 0.5), SDK: figures(1_000, 2.0)},
    "10,000 tests, 0 ms": {PLAN: figures(10_000, 6.0, 120), SDK: figures(10_000, 60.0), FLOOR: figures(10_000, 1.0)},
    "10,000 tests, 50 ms": {PLAN: figures(10_000, 8.0, 120, latency_ms=50)},
}


def test_ratios_are_of_medians_in_one_setting() -> None:
    assert ratios(SETTINGS) == pytest.approx({
        "1,000 tests, 0 ms: plan, no changes / SDK script, plan": 0.25,
        "1,000 tests: peak MB of plan, no changes": 50,
        "10,000 tests, 0 ms: plan, no changes / SDK script, plan": 0.1,
        "10,000 tests, 0 ms: plan, no changes / floor: the same reads, bare": 6.0,
        "10,000 tests: peak MB of plan, no changes": 120,
        "1,000 to 10,000 tests: worst growth in time / linear": 1.2,
        "1,000 to 10,000 tests: worst growth in memory / linear": 0.24,
    })  # fmt: skip


def test_runs_of_one_day_are_kept_together() -> None:
    small, large = "1,000 tests, 0 ms", "10,000 tests, 0 ms"
    before = {"settings": {small: {PLAN: figures(1_000, 9.0)}}, "ratios": {"kept": 1.0, "again": 1.0}}
    now = {"settings": {small: SETTINGS[small], large: SETTINGS[large]}, "ratios": {"again": 2.0}}
    both = together(before, now)
    assert both["settings"] == now["settings"]
    assert (both["ratios"]["kept"], both["ratios"]["again"]) == (1.0, 2.0)
    assert both["ratios"]["1,000 to 10,000 tests: worst growth in time / linear"] == pytest.approx(1.2)


def test_growth_is_ours_alone_and_one_if_linear() -> None:
    smaller = {"validate": figures(10, 1.0), PLAN: figures(10, 2.0), SDK: figures(10, 1.0)}
    larger = {"validate": figures(100, 10.0), PLAN: figures(100, 30.0), SDK: figures(100, 99.0), "new": figures(100, 1)}
    assert growth(smaller, larger, "median_s") == {"validate": 1.0, PLAN: 1.5}


def test_a_sweep_is_held_against_what_latency_alone_allows() -> None:
    found = of_a_sweep(1_000, 1_030, 50, {8: 10.3, 16: 5.15, 32: 10.3})
    assert found == pytest.approx({
        "create 1,000 at 50 ms, 8 in flight: share of the limit": 0.625,
        "create 1,000 at 50 ms, 16 in flight: share of the limit": 0.625,
        "create 1,000 at 50 ms, 32 in flight: share of the limit": 0.15625,
        "create 1,000 at 50 ms, more in flight: least change in throughput": 0.5,
    })  # fmt: skip


def test_every_goal_is_one_of_a_ratio_that_a_whole_run_measures() -> None:
    scenarios = (PLAN, SDK, "octoDNS, plan", "plan, unchanged files")
    creates = ("apply, create all", "SDK script, create", "octoDNS, create")
    whole = {
        f"{n:,} tests, 0 ms": {name: figures(n, 1) for name in (*scenarios, *creates)} for n in (1_000, 10_000, 100_000)
    }
    measured = ratios(whole) | of_a_sweep(10_000, 10_300, 50, dict.fromkeys((8, 16, 32, 64, 100), 1.0))
    elsewhere = [goal.ratio for goal in GOALS if goal.ratio not in measured]
    assert elsewhere == [
        "--version / python -c pass",
        "--help / python -c pass",
        "load and validate 10,000 / PyYAML's C loader",
        "compare equal pairs / DeepDiff",
    ]


def test_goals_come_first_and_say_whether_they_are_reached() -> None:
    goals = [Goal("a", 0.2), Goal("b", 0.85, is_least=True), Goal("c", 1.0), Goal("d", 2.0)]
    assert goals_table({"other": 12.346, "a": 0.2, "b": 0.8, "c": 1.01}, goals) == (
        "| ratio | measured | goal | reached |\n"
        "| --- | --: | --: | --: |\n"
        "| a | 0.2 | ≤ 0.2 | yes |\n"
        "| b | 0.8 | ≥ 0.85 | **no** |\n"
        "| c | 1.01 | ≤ 1 | **no** |\n"
        "| d |  | ≤ 2 | not measured |\n"
        "| other | 12.35 |  |  |\n"
    )


def test_a_table_says_how_each_scenario_grew_where_a_tenth_was_measured() -> None:
    first, second, _ = table(SETTINGS).split("\n\n### ")
    assert "| plan, no changes | 0.50 | 0.50 | 0.50 | 0.50 | 50 |  |" in first
    assert "s x" not in first
    assert "| plan, no changes | 6.00 | 6.00 | 6.00 | 6.00 | 120 |  | 1.20 | 0.24 |" in second
    assert "| floor: the same reads, bare | 1.00 | 1.00 | 1.00 | 1.00 | 50 |  |  |  |" in second
