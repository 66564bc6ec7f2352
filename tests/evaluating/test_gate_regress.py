"""A value compared with the past: which past counts, how much worse is too much, and how it is said."""

from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.evaluating.gates import Past, judge
from reconciler.evaluating.one_result import Expectation
from reconciler.model.history import Observation
from reconciler.model.kind import Criterion
from reconciler.model.outcome import Baseline, Evaluation, EvaluationStatus, Level, Verdict
from reconciler.model.resource import Address, Gate, Regress, Severity
from reconciler.model.values import Json

PASSING, FAILING, SKIPPED, ERROR, RUNNING, MISSING, UNREADABLE = EvaluationStatus
FAIL, WARN, INFO, PASS = Level
FAITHFUL = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))
AT_LEAST = Criterion("metrics|faithfulness", ">=", 0.5, label="faithfulness")
AT_MOST = Criterion("latency|p95", "<=", 900, label="p95")
FIVE_PERCENT = Regress(0.05)
DAY = 86_400
TODAY = 1_795_305_600 // DAY  # 2026-11-22, counted in days since 1970


def value_on(day: int, value: Json, *, status: EvaluationStatus = PASSING, name: str = "faithfulness") -> Evaluation:
    """The result for one day's window, ``day`` days before today; recorded when the day was over."""
    ends = (TODAY - day) * DAY
    return Evaluation(
        FAITHFUL, status, "live", {} if value is None else {name: value}, "", f"r{day}",
        ends - DAY, ends, f"2026-11-{22 - day:02}T00:05:00Z",
    )  # fmt: skip


def seen(evaluation: Evaluation, level: Level = PASS, **more: Any) -> Observation:
    """The result as an earlier run has kept it."""
    return Observation(
        **{"address": FAITHFUL, "pipeline": "live", "level": level, "status": evaluation.status,
           "measured": evaluation.measured, "wanted": ">= 0.5", "starts": evaluation.starts, "ends": evaluation.ends,
           "result_id": evaluation.result_id, "recorded": evaluation.recorded, **more}
    )  # fmt: skip


def one(
    regress: Regress, now: Evaluation, *past: Observation, gate: Gate | None = None, criterion: Criterion = AT_LEAST
) -> Verdict:
    asked = Gate(severity=gate.severity, flaky=gate.flaky, regress=regress) if gate else Gate(regress=regress)
    expectation = Expectation(FAITHFUL, "live", asked, None, (criterion,))
    (verdict,) = judge([expectation], [now], None, {(FAITHFUL, "live"): past})
    return verdict


# ------------------------------------------------------------------------------------------- the decision


@pytest.mark.parametrize(
    ("regress", "value", "before", "level", "why"),
    [
        (FIVE_PERCENT, 0.81, 0.88, FAIL,
         "0.81 is 7.95 % below 0.88, the last passing value of 2026-11-19 (at most 5 %)"),
        (FIVE_PERCENT, 0.84, 0.88, PASS, ""),
        (FIVE_PERCENT, 0.95, 0.88, PASS, ""),
        (FIVE_PERCENT, 0.95, 1, PASS, ""),  # exactly 5 % are not more than 5 %
        (FIVE_PERCENT, 0.94999, 1, FAIL,
         "0.94999 is 5.001 % below 1, the last passing value of 2026-11-19 (at most 5 %)"),
        (FIVE_PERCENT, 2.8499, 3, FAIL,
         "2.8499 is 5.003 % below 3, the last passing value of 2026-11-19 (at most 5 %)"),
        (FIVE_PERCENT, 0, 0.88, FAIL,
         "0 is 100 % below 0.88, the last passing value of 2026-11-19 (at most 5 %)"),
        (Regress(0.05, relative=False), 0.81, 0.88, FAIL,
         "0.81 is 0.07 below 0.88, the last passing value of 2026-11-19 (at most 0.05)"),
        (Regress(0.05, relative=False), 0.83, 0.88, PASS, ""),
        (Regress(0.05, relative=False), 0.8299, 0.88, FAIL,
         "0.8299 is 0.0501 below 0.88, the last passing value of 2026-11-19 (at most 0.05)"),
        (Regress(1.5), 0.5, -1, PASS, ""),  # a share of the size of the past value, whatever its sign
        (Regress(0.5), -1.6, -1, FAIL,
         "-1.6 is 60 % below -1, the last passing value of 2026-11-19 (at most 50 %)"),
        (Regress(0.000001), 0.8799991, 0.88, FAIL,
         "0.8799991 is 0.000102 % below 0.88, the last passing value of 2026-11-19 (at most 0.0001 %)"),
    ],
)  # fmt: skip
def test_a_drop_by_more_than_is_allowed_counts_as_a_failure(
    regress: Regress, value: float, before: float, level: Level, why: str
) -> None:
    verdict = one(regress, value_on(0, value), seen(value_on(2, before)))
    assert (verdict.level, verdict.why) == (level, why)


@pytest.mark.parametrize(
    ("regress", "value", "before", "level", "why"),
    [
        (FIVE_PERCENT, 500, 400, FAIL, "500 is 25 % above 400, the last passing value of 2026-11-19 (at most 5 %)"),
        (FIVE_PERCENT, 420, 400, PASS, ""),
        (FIVE_PERCENT, 10, 400, PASS, ""),
        (Regress(5, relative=False), 406, 400, FAIL,
         "406 is 6 above 400, the last passing value of 2026-11-19 (at most 5)"),
        # No rise is a share of nothing: any is too much.
        (FIVE_PERCENT, 3, 0, FAIL, "3 is above 0, the last passing value of 2026-11-19 (at most 5 %)"),
        (FIVE_PERCENT, 0, 0, PASS, ""),
    ],
)  # fmt: skip
def test_where_less_is_better_a_rise_is_the_drop(
    regress: Regress, value: float, before: float, level: Level, why: str
) -> None:
    now, then = value_on(0, value, name="p95"), seen(value_on(2, before, name="p95"))
    verdict = one(regress, now, then, criterion=AT_MOST)
    assert (verdict.level, verdict.why) == (level, why)


@pytest.mark.parametrize(("severity", "level"), [("error", FAIL), ("warn", WARN), ("info", INFO)])
def test_a_drop_counts_by_the_severity(severity: Severity, level: Level) -> None:
    verdict = one(FIVE_PERCENT, value_on(0, 0.81), seen(value_on(2, 0.88)), gate=Gate(severity))
    assert verdict.level is level


def test_a_drop_of_a_flaky_test_is_shown_and_blocks_nothing() -> None:
    verdict = one(FIVE_PERCENT, value_on(0, 0.81), seen(value_on(2, 0.88)), gate=Gate(flaky=True))
    assert verdict.level is INFO
    assert verdict.why == (
        "0.81 is 7.95 % below 0.88, the last passing value of 2026-11-19 (at most 5 %); flaky: not blocking"
    )


def test_the_verdict_shows_the_limit_that_decided_and_holds_the_baseline_for_machines() -> None:
    verdict = one(FIVE_PERCENT, value_on(0, 0.81), seen(value_on(2, 0.9)))
    assert (verdict.measured, verdict.wanted, verdict.margin) == ("0.81", ">= 0.9 - 5 %", -0.045)
    assert verdict.baseline == Baseline(0.9, 0, (TODAY - 2) * DAY, 0.1, 0.05, relative=True)
    passes = one(FIVE_PERCENT, value_on(0, 0.99), seen(value_on(2, 0.9)))
    assert (passes.wanted, passes.margin) == (">= 0.5", 0.49)
    assert passes.baseline == Baseline(0.9, 0, (TODAY - 2) * DAY, -0.1, 0.05, relative=True)


def test_noise_in_the_last_digit_is_no_drop() -> None:
    assert one(Regress(0.1), value_on(0, 0.72), seen(value_on(1, 0.8000000000000002))).level is PASS


@pytest.mark.parametrize("status", [FAILING, SKIPPED, ERROR, RUNNING, UNREADABLE])
def test_what_does_not_pass_is_not_excused_by_a_good_comparison(status: EvaluationStatus) -> None:
    assert one(FIVE_PERCENT, value_on(0, 0.9, status=status), seen(value_on(1, 0.1))).level is FAIL


# ------------------------------------------------------------------------------------------- windows of one run


def over(values: list[float], regress: Regress, *past: Observation, gate: Gate | None = None) -> Verdict:
    """The verdict on windows that are measured in one run, the oldest first, the last of them today's."""
    asked = replace(gate or Gate(), regress=regress)
    found = [value_on(day, value) for day, value in zip(range(len(values) - 1, -1, -1), values, strict=True)]
    expectation = Expectation(FAITHFUL, "live", asked, None, (AT_LEAST,))
    (verdict,) = judge([expectation], found, None, {(FAITHFUL, "live"): past})
    return verdict


def test_a_window_is_compared_with_the_earlier_ones_of_the_same_run() -> None:
    verdict = over([4.5, 4.5, 4.5, 2.2], FIVE_PERCENT)
    assert verdict.level is FAIL
    assert verdict.why == (
        "2.2 is 51.1 % below 4.5, the last passing value of 2026-11-20 (at most 5 %); "
        "worst of 4 windows, 1 of them not passing"
    )


def test_a_window_that_dropped_is_no_baseline_for_those_after_it() -> None:
    verdict = over([4.5, 2.2, 2.2], FIVE_PERCENT)
    assert [part.level for part in verdict.parts] == [FAIL, FAIL, PASS], "the latest first"


def test_a_window_that_is_judged_anew_counts_as_it_is_judged_now() -> None:
    """The past may hold a pass of a window that is a drop beside the windows before it."""
    forgiven = seen(value_on(1, 2.2), PASS)
    assert [part.level for part in over([4.5, 2.2, 2.2], FIVE_PERCENT, forgiven).parts] == [FAIL, FAIL, PASS]


def test_the_mean_is_also_of_the_windows_of_the_same_run() -> None:
    verdict = over([4.0, 5.0, 4.0], Regress(0.05, against=2))
    assert verdict.why.startswith("4 is 11.1 % below 4.5, the mean of the last 2 measurements (at most 5 %)")


def test_the_windows_of_one_place_are_no_past_of_another() -> None:
    found = [value_on(1, 4.5), replace(value_on(0, 2.2), pipeline="canary")]
    anywhere = Expectation(FAITHFUL, None, Gate(regress=FIVE_PERCENT), None, (AT_LEAST,))
    (verdict,) = judge([anywhere], found)
    assert [part.level for part in verdict.parts] == [PASS, PASS]


# ------------------------------------------------------------------------------------------- nothing to compare


def test_the_first_result_passes_and_says_that_there_is_no_past() -> None:
    verdict = one(FIVE_PERCENT, value_on(0, 0.81))
    assert (verdict.level, verdict.why, verdict.wanted) == (PASS, "no baseline yet", ">= 0.5")
    assert verdict.baseline == Baseline(None, 0, None, None, 0.05, relative=True)


def test_a_value_that_is_not_shown_can_not_be_compared_and_fails() -> None:
    verdict = one(FIVE_PERCENT, value_on(0, None), seen(value_on(1, 0.9)))
    assert (verdict.level, verdict.why) == (
        FAIL,
        "cannot be compared with the past: the platform does not show faithfulness as a number",
    )


@pytest.mark.parametrize(
    ("criteria", "why"),
    [
        ((), "there is no threshold that says whether more or less is better; write one"),
        (
            (Criterion("a", "is", 1, label="a"),),
            '"is" says only whether a value is the same, not which one is worse; use ">=" or "<="',
        ),
        (
            (Criterion("a", ">=", 1, label="a"), Criterion("b", ">=", 1, label="b")),
            "there are thresholds on several measurements (a, b); write a test for each",
        ),
    ],
)
def test_what_has_no_direction_can_not_be_compared_and_fails(criteria: tuple[Criterion, ...], why: str) -> None:
    """Manifests are refused for it; what a test case of another document measures is known only here."""
    expectation = Expectation(FAITHFUL, "live", Gate(regress=FIVE_PERCENT), None, criteria)
    (verdict,) = judge([expectation], [value_on(0, 0.9)])
    assert (verdict.level, verdict.why) == (FAIL, f"cannot be compared with the past: {why}")


# ------------------------------------------------------------------------------------------- which past counts


def test_a_result_is_never_compared_with_itself() -> None:
    now = value_on(0, 0.81)
    assert one(FIVE_PERCENT, now, seen(now)).why == "no baseline yet"
    assert one(FIVE_PERCENT, now, seen(now), seen(value_on(3, 0.88))).level is FAIL


def test_the_latest_passing_value_counts_whatever_the_order() -> None:
    past = [
        seen(value_on(1, 0.2, status=FAILING), FAIL),
        seen(value_on(2, 0.8)),
        seen(value_on(3, 0.99)),
        seen(value_on(1, None, status=SKIPPED), PASS),
    ]
    for order in (past, past[::-1]):
        baseline = one(FIVE_PERCENT, value_on(0, 0.8), *order).baseline
        assert baseline is not None
        assert (baseline.value, baseline.ends) == (0.8, (TODAY - 2) * DAY)


def test_a_window_is_compared_with_earlier_ones_only() -> None:
    """Whoever evaluates last week again does not compare it with today."""
    assert one(FIVE_PERCENT, value_on(7, 0.6), seen(value_on(1, 0.9))).why == "no baseline yet"


def test_a_window_that_is_measured_again_is_compared_with_its_former_result() -> None:
    former = seen(value_on(0, 0.9), result_id="r0 before", recorded="2026-11-22T00:01:00Z")
    assert one(FIVE_PERCENT, value_on(0, 0.81), former).level is FAIL


def test_runs_of_one_window_are_not_compared_with_each_other() -> None:
    gate = Gate(runs=2, min_pass=1, regress=FIVE_PERCENT)
    other = seen(value_on(0, 0.95), result_id="r0 before", recorded="2026-11-22T00:01:00Z")
    expectation = Expectation(FAITHFUL, "live", gate, None, (AT_LEAST,))
    (verdict,) = judge([expectation], [value_on(0, 0.81)], None, {(FAITHFUL, "live"): [other, seen(value_on(1, 0.8))]})
    assert (verdict.level, verdict.why) == (PASS, "2 of 2 runs passed (0.81 to 0.95)")


def test_a_run_that_dropped_is_a_run_that_did_not_pass() -> None:
    gate = Gate(runs=2, regress=FIVE_PERCENT)
    other = seen(value_on(0, 0.95), result_id="r0 before", recorded="2026-11-22T00:01:00Z")
    expectation = Expectation(FAITHFUL, "live", gate, None, (AT_LEAST,))
    (verdict,) = judge([expectation], [value_on(0, 0.81)], None, {(FAITHFUL, "live"): [other, seen(value_on(1, 0.9))]})
    assert verdict.level is FAIL
    assert verdict.why == (
        "1 of 2 runs passed (0.81 to 0.95), all must; "
        "0.81 is 10 % below 0.9, the last passing value of 2026-11-20 (at most 5 %)"
    )


def test_a_drop_is_not_forgiven_by_asking_again() -> None:
    """The platform says passing; it is our own verdict that tells whether a value may be a baseline."""
    dropped = seen(value_on(1, 0.81), FAIL)
    assert one(FIVE_PERCENT, value_on(0, 0.81), dropped, seen(value_on(2, 0.9))).level is FAIL


@pytest.mark.parametrize(
    ("gate", "level", "passes"),
    [
        (Gate("error"), WARN, True),  # only the stricter threshold warns: it passed
        (Gate("warn"), WARN, False),  # may have been a drop
        (Gate("info"), INFO, False),
        (Gate("error", flaky=True), INFO, False),
        (Gate("error", flaky=True), PASS, True),
    ],
)
def test_a_value_that_was_warned_of_is_a_baseline_only_where_a_drop_would_have_failed(
    gate: Gate, level: Level, passes: bool
) -> None:
    verdict = one(FIVE_PERCENT, value_on(0, 0.9), seen(value_on(1, 0.9), level), gate=gate)
    assert verdict.baseline is not None
    assert (verdict.baseline.value is not None) is passes


def test_values_measured_under_another_threshold_are_values_all_the_same() -> None:
    assert one(FIVE_PERCENT, value_on(0, 0.81), seen(value_on(1, 0.9), wanted=">= 0.85")).level is FAIL


def test_another_measurement_is_no_past() -> None:
    assert one(FIVE_PERCENT, value_on(0, 0.81), seen(value_on(1, 0.9, name="recall"))).why == "no baseline yet"


def test_each_place_has_its_own_past() -> None:
    expectation = Expectation(FAITHFUL, "live", Gate(regress=FIVE_PERCENT), None, (AT_LEAST,))
    canary = [seen(value_on(1, 0.9))]
    (verdict,) = judge([expectation], [value_on(0, 0.81)], None, {(FAITHFUL, "canary"): canary})
    assert verdict.why == "no baseline yet"


def test_a_past_without_windows_goes_by_the_time_of_recording() -> None:
    before = seen(value_on(5, 0.9), starts=None, ends=None)
    after = seen(value_on(5, 0.9), starts=None, ends=None, recorded="2026-11-23T00:00:00Z")
    verdict = one(FIVE_PERCENT, value_on(0, 0.81), before)
    assert verdict.why == "0.81 is 10 % below 0.9, the last passing value (at most 5 %)"
    assert one(FIVE_PERCENT, value_on(0, 0.81), after).why == "no baseline yet"


def test_an_earlier_window_that_was_measured_again_later_is_still_earlier() -> None:
    again = seen(value_on(3, 0.9), recorded="2026-11-23T00:00:00Z")
    assert one(FIVE_PERCENT, value_on(0, 0.81), again).level is FAIL


def test_a_result_without_times_is_not_compared_with_itself() -> None:
    bare = Evaluation(FAITHFUL, PASSING, "live", {"faithfulness": 0.81}, "", "r1")
    assert one(FIVE_PERCENT, bare, seen(bare)).why == "no baseline yet"
    other = seen(bare, result_id="r0", measured={"faithfulness": 0.9})
    assert one(FIVE_PERCENT, bare, seen(bare), other).level is FAIL


def test_what_was_forgiven_is_no_passing_value() -> None:
    forgiven = seen(value_on(1, 0.9, status=SKIPPED), PASS)
    assert one(FIVE_PERCENT, value_on(0, 0.81), forgiven).why == "no baseline yet"


def test_a_missed_threshold_is_told_before_a_drop() -> None:
    verdict = one(FIVE_PERCENT, value_on(0, 0.4, status=FAILING), seen(value_on(1, 0.9)))
    assert (verdict.wanted, verdict.margin, verdict.why) == (">= 0.5", -0.1, "misses the threshold")


def test_a_place_that_no_manifest_names_has_its_own_past() -> None:
    past: Past = {(FAITHFUL, "canary"): [seen(value_on(1, 0.9), pipeline="canary")]}
    found = replace(value_on(0, 0.81), pipeline="canary")
    anywhere = Expectation(FAITHFUL, None, Gate(regress=FIVE_PERCENT), None, (AT_LEAST,))
    (verdict,) = judge([anywhere], [found], None, past)
    assert (verdict.pipeline, verdict.level) == ("canary", FAIL)
    elsewhere, _ = judge([replace(anywhere, pipeline="live")], [found, value_on(0, 0.9)], None, past)
    assert (elsewhere.pipeline, elsewhere.level) == ("canary", WARN)
    assert elsewhere.why.startswith("on a pipeline that the manifests do not name: 0.81 is 10 % below 0.9")


@pytest.mark.parametrize(("value", "before"), [(-1e149, 5e-324), (-1e149, 1e-149), (0, 1e149), (5e-324, 1e-149)])
def test_numbers_of_any_size_are_compared(value: float, before: float) -> None:
    lowest = Criterion("metrics|faithfulness", ">=", -1e200, label="faithfulness")
    verdict = one(FIVE_PERCENT, value_on(0, value), seen(value_on(1, before)), criterion=lowest)
    assert verdict.level is FAIL


@pytest.mark.parametrize("ends", [-62_135_596_800, 10**30])
def test_a_window_at_a_time_that_no_calendar_has_is_compared_without_a_date(ends: int) -> None:
    now = Evaluation(FAITHFUL, PASSING, "live", {"faithfulness": 0.81}, "", "r1", ends, ends + 1, "2026-11-22")
    verdict = one(FIVE_PERCENT, now, seen(value_on(1, 0.9), starts=ends - 1, ends=ends))
    assert verdict.why == "0.81 is 10 % below 0.9, the last passing value (at most 5 %)"


# ------------------------------------------------------------------------------------------- the mean


def test_the_mean_is_of_the_latest_values_passing_or_not() -> None:
    past = [seen(value_on(day, value)) for day, value in enumerate([0.8, 0.9, 1.0, 0.1], 1)]
    past[1] = seen(value_on(2, 0.9, status=FAILING), FAIL)
    verdict = one(Regress(0.05, against=3), value_on(0, 0.85), *past)
    assert (verdict.level, verdict.why) == (
        FAIL,
        "0.85 is 5.56 % below 0.9, the mean of the last 3 measurements (at most 5 %)",
    )
    assert verdict.baseline is not None
    assert (verdict.baseline.value, verdict.baseline.count, verdict.baseline.ends) == (0.9, 3, None)


def test_a_mean_of_fewer_than_were_asked_for_says_so() -> None:
    past = [seen(value_on(day, 0.9)) for day in (1, 2)]
    two = one(Regress(0.05, against=5), value_on(0, 0.8), *past)
    assert two.why == "0.8 is 11.1 % below 0.9, the mean of the last 2 measurements (at most 5 %)"
    only = one(Regress(0.05, against=5), value_on(0, 0.8), past[0])
    assert only.why == "0.8 is 11.1 % below 0.9, the only measurement so far (at most 5 %)"


def test_of_a_result_that_was_seen_twice_the_mean_counts_one() -> None:
    past = [seen(value_on(1, 0.9)), seen(value_on(1, 0.9), seen=5.0), seen(value_on(2, 0.6))]
    verdict = one(Regress(0.5, against=3), value_on(0, 0.75), *past)
    assert verdict.baseline is not None
    assert (verdict.baseline.value, verdict.baseline.count) == (0.75, 2)


def test_a_mean_is_shown_as_exactly_as_the_decision_needs() -> None:
    past = [seen(value_on(day, value)) for day, value in enumerate([0.9, 0.9, 0.90001], 1)]
    verdict = one(Regress(0.000001, against=3), value_on(0, 0.9), *past)
    assert verdict.why == (
        "0.9 is 0.00037 % below 0.9000033333333334, the mean of the last 3 measurements (at most 0.0001 %)"
    )
