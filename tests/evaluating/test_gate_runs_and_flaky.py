"""Several runs of one window, and tests that are known to be flaky: what they mean for the build."""

from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.evaluating.gates import judge, passed
from reconciler.evaluating.one_result import Expectation
from reconciler.model.history import Observation
from reconciler.model.kind import Criterion
from reconciler.model.outcome import Evaluation, EvaluationStatus, Level, Runs, Verdict
from reconciler.model.resource import Address, Gate, Severity
from reconciler.model.values import Json

PASSING, FAILING, SKIPPED, ERROR, RUNNING, MISSING, UNREADABLE = EvaluationStatus
FAIL, WARN, INFO, PASS = Level
JUDGED = Address("openlayer.Test", ("bot", "monitoring", "Polite"))
AT_LEAST = Criterion("metrics|polite", ">=", 0.8, label="polite")
TWO_OF_THREE = Gate(runs=3, min_pass=2)


def expect(gate: Gate, **more: Any) -> Expectation:
    return Expectation(JUDGED, "live", gate, **{"criteria": (AT_LEAST,), **more})


def run(status: EvaluationStatus, value: Json = None, *, number: int, window: int = 0) -> Evaluation:
    """The result of one run of a window; ``window`` counts hours, ``number`` the minutes until it was recorded."""
    measured: dict[str, Json] = {} if value is None else {"polite": value}
    return Evaluation(
        JUDGED, status, "live", measured, "", f"w{window}r{number}",
        window * 3600, (window + 1) * 3600, f"2026-11-01T00:{number:02}:00Z",
    )  # fmt: skip


def seen(evaluation: Evaluation, level: Level) -> Observation:
    """The result as an earlier run of ours has kept it."""
    return Observation(
        JUDGED, "live", level, evaluation.status, evaluation.measured, ">= 0.8",
        starts=evaluation.starts, ends=evaluation.ends, result_id=evaluation.result_id, recorded=evaluation.recorded,
    )  # fmt: skip


def one(gate: Gate, *evaluations: Evaluation, past: tuple[Observation, ...] = (), **more: Any) -> Verdict:
    (verdict,) = judge([expect(gate, **more)], evaluations, None, {(JUDGED, "live"): past})
    return verdict


FIRST, SECOND, THIRD = run(PASSING, 0.88, number=1), run(FAILING, 0.79, number=2), run(PASSING, 0.84, number=3)


# ------------------------------------------------------------------------------------------- several runs


@pytest.mark.parametrize(
    ("gate", "results", "level", "status", "why"),
    [
        # A judge that flips between runs.
        (TWO_OF_THREE, "pfp", PASS, PASSING, "2 of 3 runs passed (0.75 to 0.85)"),
        (TWO_OF_THREE, "fpp", PASS, PASSING, "2 of 3 runs passed (0.75 to 0.85)"),
        (TWO_OF_THREE, "ffp", FAIL, FAILING,
         "1 of 3 runs passed (0.75 to 0.85), at least 2 must; misses the threshold"),
        (TWO_OF_THREE, "ppp", PASS, PASSING, "3 of 3 runs passed"),
        (TWO_OF_THREE, "fff", FAIL, FAILING, "0 of 3 runs passed, at least 2 must; misses the threshold"),
        # Without minPass all of them must pass.
        (Gate(runs=3), "ppf", FAIL, FAILING, "2 of 3 runs passed (0.75 to 0.85), all must; misses the threshold"),
        (Gate(runs=2), "pp", PASS, PASSING, "2 of 2 runs passed"),
        # Only the latest count.
        (TWO_OF_THREE, "ffppp", PASS, PASSING, "3 of 3 runs passed"),
        (TWO_OF_THREE, "pppff", FAIL, FAILING,
         "1 of 3 runs passed (0.75 to 0.85), at least 2 must; misses the threshold"),
        # Too few of them, and decided all the same.
        (TWO_OF_THREE, "pp", PASS, PASSING, "2 of 3 runs so far, 2 passed"),
        (TWO_OF_THREE, "ff", FAIL, FAILING, "2 of 3 runs so far, 0 passed, at least 2 must; misses the threshold"),
        # Too few of them to tell.
        (TWO_OF_THREE, "p", FAIL, MISSING, "1 of 3 runs so far, 1 passed, at least 2 must"),
        (TWO_OF_THREE, "pf", FAIL, MISSING, "2 of 3 runs so far, 1 passed (0.75 to 0.85), at least 2 must"),
        (Gate(runs=3, min_pass=2, on_missing="warn"), "p", WARN, MISSING,
         "1 of 3 runs so far, 1 passed, at least 2 must (onMissing: warn)"),
        (Gate(runs=3, min_pass=2, on_missing="pass"), "f", PASS, MISSING,
         "1 of 3 runs so far, 0 passed, at least 2 must (onMissing: pass)"),
        # What is not an answer is no pass, unless the gate says so.
        (TWO_OF_THREE, "psu", FAIL, UNREADABLE, "1 of 3 runs passed, at least 2 must; the result cannot be read"),
        (Gate(runs=3, min_pass=2, on_skipped="pass"), "pfs", PASS, PASSING,
         "2 of 3 runs passed (0.75 to 0.85), 1 of them forgiven"),
        (TWO_OF_THREE, "pfe", FAIL, FAILING,
         "1 of 3 runs passed (0.75 to 0.85), at least 2 must; misses the threshold"),
        # The severity stays what it is.
        (Gate("warn", runs=2), "pf", WARN, FAILING,
         "1 of 2 runs passed (0.75 to 0.85), all must; misses the threshold"),
        (Gate(runs=1), "fp", PASS, PASSING, ""),
    ],
)  # fmt: skip
def test_of_several_runs_of_a_window_enough_must_pass(
    gate: Gate, results: str, level: Level, status: EvaluationStatus, why: str
) -> None:
    """Oldest first: p is passing with 0.85, f failing with 0.75, s skipped, e an error, u unreadable."""
    statuses = {"p": PASSING, "f": FAILING, "s": SKIPPED, "e": ERROR, "u": UNREADABLE}
    values = {"p": 0.85, "f": 0.75}
    runs = [run(statuses[each], values.get(each), number=number) for number, each in enumerate(results, 1)]
    verdict = one(gate, *runs)
    assert (verdict.level, verdict.status, verdict.why) == (level, status, why)


def test_the_verdict_holds_the_counts_for_machines_and_each_run_by_itself() -> None:
    verdict = one(TWO_OF_THREE, FIRST, SECOND, THIRD)
    assert verdict.runs == Runs(passed=2, known=3, wanted=3, min_pass=2)
    assert [(each.level, each.measured, each.runs) for each in verdict.each] == [
        (PASS, "0.84", None),
        (FAIL, "0.79", None),
        (PASS, "0.88", None),
    ]


def test_runs_of_earlier_evaluations_count() -> None:
    past = (seen(SECOND, FAIL), seen(FIRST, PASS))
    verdict = one(TWO_OF_THREE, THIRD, past=past)
    assert (verdict.level, verdict.runs) == (PASS, Runs(2, 3, 3, 2))
    assert [each.measured for each in verdict.each] == ["0.84"], "only what was measured now is kept anew"


def test_a_result_that_the_past_knows_already_is_one_run() -> None:
    verdict = one(TWO_OF_THREE, FIRST, past=(seen(FIRST, PASS),))
    assert verdict.runs == Runs(1, 1, 3, 2)


def test_a_run_that_misses_the_threshold_as_it_is_written_now_is_no_pass() -> None:
    """Nor one that misses a stricter warning threshold as well."""
    stricter = Criterion("metrics|polite", ">=", 0.95, label="polite")
    for warn in ((), (stricter,)):
        verdict = one(TWO_OF_THREE, run(PASSING, 0.7, number=1), run(PASSING, 0.7, number=2), warn_criteria=warn)
        assert verdict.runs == Runs(0, 2, 3, 2)
        assert "the value misses the threshold as it is written now" in verdict.why


@pytest.mark.parametrize(
    ("level", "wanted", "counts"),
    [(PASS, ">= 0.6", FAIL), (WARN, ">= 0.6", FAIL), (FAIL, ">= 0.8", FAIL), (WARN, ">= 0.8", WARN)],
    ids=["passed", "warned of", "failed already", "warned of in the same words"],
)
def test_a_run_of_the_past_fails_unless_it_was_judged_by_the_same_threshold(
    level: Level, wanted: str, counts: Level
) -> None:
    """What it was judged by is not kept, but what was made of it: 0.7 misses 0.8 now."""
    past = replace(seen(run(PASSING, 0.7, number=1), level), wanted=wanted)
    verdict = one(Gate(runs=2), run(PASSING, 0.9, number=2), past=(past,))
    assert (verdict.level, verdict.runs) == (counts, Runs(1, 2, 2, 2))


def test_a_page_that_was_read_twice_is_one_run() -> None:
    assert one(TWO_OF_THREE, FIRST, FIRST, FIRST).runs == Runs(1, 1, 3, 2)


def test_runs_of_another_window_or_place_do_not_count() -> None:
    other_window = seen(run(PASSING, 0.9, number=1, window=7), PASS)
    elsewhere = seen(run(PASSING, 0.9, number=2), PASS)
    (verdict,) = judge(
        [expect(TWO_OF_THREE)], [FIRST], None, {(JUDGED, "live"): [other_window], (JUDGED, "canary"): [elsewhere]}
    )
    assert verdict.runs == Runs(1, 1, 3, 2)


def test_each_window_needs_its_own_runs() -> None:
    good = [run(PASSING, 0.9, number=n) for n in (1, 2, 3)]
    bad = [run(FAILING, 0.7, number=n, window=1) for n in (1, 2)]
    verdict = one(TWO_OF_THREE, *good, *bad, run(PASSING, 0.9, number=3, window=1))
    assert verdict.level is FAIL
    assert verdict.why == (
        "1 of 3 runs passed (0.7 to 0.9), at least 2 must; misses the threshold; "
        "worst of 2 windows, 1 of them not passing"
    )
    assert len(verdict.each) == 6


def test_an_evaluation_under_way_is_no_run_yet() -> None:
    """The emulator and the platform show a running evaluation of a window that has results already."""
    verdict = one(TWO_OF_THREE, FIRST, THIRD, run(RUNNING, number=4))
    assert (verdict.level, verdict.runs) == (PASS, Runs(2, 2, 3, 2))
    assert one(TWO_OF_THREE, run(RUNNING, number=4)).why == "still running"


def test_an_evaluation_under_way_takes_the_place_of_an_older_result() -> None:
    """What passed three times before may fail now."""
    past = tuple(seen(run(PASSING, 0.9, number=number), PASS) for number in (1, 2, 3))
    verdict = one(Gate(runs=3), run(RUNNING, number=4), past=past)
    assert (verdict.level, verdict.why) == (FAIL, "2 of 3 runs so far, 2 passed, all must")
    assert one(TWO_OF_THREE, run(RUNNING, number=4), past=past).level is PASS


def test_a_look_at_an_older_evaluation_under_way_takes_no_place() -> None:
    """Whatever came of it was never seen; it is not waited for any more."""
    under_way = seen(run(RUNNING, number=9), FAIL)
    good = [run(PASSING, 0.9, number=number) for number in (1, 2, 3)]
    assert one(Gate(runs=3), *good, past=(under_way,)).level is PASS


def test_a_result_that_is_written_over_in_place_is_two_runs() -> None:
    first, again = (replace(run(PASSING, 0.9, number=number), result_id="r") for number in (1, 2))
    assert one(Gate(runs=2), again, past=(seen(first, PASS),)).runs == Runs(2, 2, 2, 2)


def test_a_result_that_was_seen_under_way_is_one_run_when_it_is_over() -> None:
    under_way = seen(run(RUNNING, number=1), FAIL)
    assert one(Gate(runs=2), run(PASSING, 0.9, number=1), run(PASSING, 0.9, number=2), past=(under_way,)).level is PASS


def test_a_trigger_that_failed_is_not_made_up_for_by_runs_that_passed() -> None:
    news = Evaluation(JUDGED, ERROR, "live", message="402 not in your plan")
    verdict = one(TWO_OF_THREE, FIRST, THIRD, news)
    assert (verdict.level, verdict.why) == (
        FAIL,
        "could not be evaluated: 402 not in your plan; beside 1 window that passes",
    )


def test_a_result_without_a_window_is_one_run_and_not_enough() -> None:
    """Nothing tells what it could be counted together with."""
    lone = Evaluation(JUDGED, PASSING, "live", {"polite": 0.9}, "", "r1", recorded="2026-11-01T00:00:00Z")
    past = (seen(Evaluation(JUDGED, PASSING, "live", {}, "", "r0", recorded="2026-10-31T00:00:00Z"), PASS),)
    verdict = one(TWO_OF_THREE, lone, past=past)
    assert (verdict.level, verdict.runs) == (FAIL, Runs(1, 1, 3, 2))


def test_where_windows_mean_nothing_all_runs_on_one_place_count_together() -> None:
    """At DigitalOcean a run has the time that it took, and the past may be of another version of the agent."""
    runs = [run(PASSING, 0.85, number=1, window=1), run(FAILING, 0.7, number=2, window=2)]
    verdict = one(TWO_OF_THREE, *runs, run(PASSING, 0.9, number=3, window=3), windowed=False)
    assert (verdict.level, verdict.runs) == (PASS, Runs(2, 3, 3, 2))
    past = (seen(run(PASSING, 0.9, number=4, window=2), PASS),)
    assert one(TWO_OF_THREE, *runs, windowed=False, past=past).runs == Runs(1, 2, 3, 2)


def test_where_windows_mean_nothing_only_the_latest_result_counts() -> None:
    older, newer = run(FAILING, 0.7, number=1, window=1), run(PASSING, 0.9, number=2, window=2)
    assert one(Gate(), older, newer, windowed=False).level is PASS


def test_of_results_recorded_at_the_same_time_the_worst_counts() -> None:
    twins = [run(PASSING, 0.9, number=1), replace(run(FAILING, 0.7, number=1), result_id="other")]
    assert one(Gate(), *twins).level is FAIL
    assert one(Gate(), *reversed(twins)).level is FAIL


# ------------------------------------------------------------------------------------------- flaky


@pytest.mark.parametrize("severity", ["error", "warn", "info"])
@pytest.mark.parametrize("status", [FAILING, SKIPPED, ERROR, RUNNING, UNREADABLE])
def test_a_flaky_test_is_shown_with_its_status_and_blocks_nothing(severity: Severity, status: EvaluationStatus) -> None:
    verdict = one(Gate(severity, flaky=True), run(status, number=1))
    assert (verdict.level, verdict.status, verdict.flaky) == (INFO, status, True)
    assert verdict.why.endswith("; flaky: not blocking")
    assert passed([verdict])


def test_a_flaky_test_without_any_result_blocks_nothing_but_is_shown() -> None:
    verdict = one(Gate(flaky=True))
    assert (verdict.level, verdict.status, verdict.why) == (
        INFO,
        MISSING,
        "no result; flaky: not blocking",
    )


def test_a_flaky_test_that_passes_is_a_pass() -> None:
    verdict = one(Gate(flaky=True), FIRST)
    assert (verdict.level, verdict.flaky, verdict.why) == (PASS, True, "")


def test_a_flaky_test_does_not_even_warn_whoever_counts_warnings() -> None:
    stricter = Criterion("metrics|polite", ">=", 0.9, label="polite")
    assert one(Gate(flaky=True), FIRST, warn_criteria=(stricter,)).level is INFO


def test_a_flaky_test_can_be_measured_several_times() -> None:
    verdict = one(Gate(runs=3, min_pass=2, flaky=True), SECOND, run(FAILING, 0.7, number=4), THIRD)
    assert (verdict.level, verdict.runs) == (INFO, Runs(1, 3, 3, 2))
    assert [each.level for each in verdict.each] == [INFO, PASS, INFO]


def test_a_run_that_passed_by_an_older_threshold_is_none_of_those_that_pass() -> None:
    """Two that were judged by the threshold that is written failed, and so does the gate that asks for one pass."""
    older = run(PASSING, 0.75, number=1)
    verdict = one(Gate(runs=3, min_pass=1), older, run(FAILING, 0.75, number=2), run(FAILING, 0.75, number=3))
    assert (verdict.level, verdict.runs) == (FAIL, Runs(0, 3, 3, 1))


# ------------------------------------------------------------------------------------------- the severity


@pytest.mark.parametrize(
    ("gate", "status", "level"),
    [
        (Gate("info", on_skipped="warn"), SKIPPED, INFO),
        (Gate("info", on_missing="warn"), RUNNING, INFO),
        (Gate("warn", on_error="warn"), ERROR, WARN),
    ],
)
def test_what_a_gate_forgives_does_not_count_more_than_a_failure(
    gate: Gate, status: EvaluationStatus, level: Level
) -> None:
    assert one(gate, run(status, number=1)).level is level
    assert one(gate, run(FAILING, 0.1, number=1)).level is level


def test_too_few_runs_that_are_forgiven_do_not_count_more_than_a_failure() -> None:
    assert one(Gate("info", on_missing="warn", runs=3), run(PASSING, 0.9, number=1)).level is INFO


def test_a_missed_warning_threshold_does_not_count_more_than_a_failure() -> None:
    stricter = Criterion("metrics|polite", ">=", 0.9, label="polite")
    assert one(Gate("info"), FIRST, warn_criteria=(stricter,)).level is INFO
