"""What results mean for the build: one verdict for everything expected, the worst window, never silence."""

from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.evaluating.gates import as_recorded, judge, passed
from reconciler.evaluating.one_result import Expectation
from reconciler.model.kind import Criterion
from reconciler.model.outcome import Evaluation, EvaluationStatus, Level, Verdict
from reconciler.model.resource import Address, Gate, Severity, Source
from reconciler.model.values import Json

PASSING, FAILING, SKIPPED, ERROR, RUNNING, MISSING, UNREADABLE = EvaluationStatus
FAIL, WARN, INFO, PASS = Level
FAITHFUL = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))
TOXIC = Address("openlayer.Test", ("bot", "monitoring", "Toxic"))
SOURCE = Source("project.yaml", 12, 7)


def limit(operator: str, value: Json, label: str = "faithfulness", key: str = "") -> Criterion:
    return Criterion(key or f"metrics|{label}", operator, value, label=label)  # type: ignore[arg-type]


AT_LEAST = limit(">=", 0.8)


def expect(address: Address = FAITHFUL, pipeline: str | None = "live", **more: Any) -> Expectation:
    return Expectation(address, pipeline, **{"criteria": (AT_LEAST,), "source": SOURCE, **more})


def result(
    status: EvaluationStatus, value: Json = None, *, address: Address = FAITHFUL, pipeline: str | None = "live",
    window: int = 0, recorded: str = "2026-11-01T00:00:00Z", message: str = "", result_id: str = "r1",
) -> Evaluation:  # fmt: skip
    """One recorded result; ``window`` counts hours."""
    measured: dict[str, Json] = {} if value is None else {"faithfulness": value}
    starts, ends = window * 3600, (window + 1) * 3600
    return Evaluation(address, status, pipeline, measured, message, result_id, starts, ends, recorded)


def one(expectation: Expectation, *evaluations: Evaluation) -> Verdict:
    (verdict,) = judge([expectation], evaluations)
    return verdict


def test_what_the_limit_is_not_about_is_not_shown_beside_it() -> None:
    """Where nothing has a limit, everything that was measured is shown."""
    other = Evaluation(FAITHFUL, ERROR, "live", {"toxicity": 100.0})
    assert one(expect(), other).measured == ""
    assert one(expect(criteria=()), other).measured == "toxicity 100"


def test_a_passing_result_passes_and_says_by_how_much() -> None:
    verdict = one(expect(), result(PASSING, 0.9))
    assert verdict == Verdict(
        FAITHFUL, "live", PASS, PASSING, "error", "0.9", ">= 0.8", 0.1, "", SOURCE, result(PASSING, 0.9)
    )


@pytest.mark.parametrize(("severity", "level"), [("error", FAIL), ("warn", WARN), ("info", INFO)])
def test_a_failing_result_counts_by_its_severity(severity: Severity, level: Level) -> None:
    verdict = one(expect(gate=Gate(severity=severity)), result(FAILING, 0.75))
    assert (verdict.level, verdict.margin, verdict.why) == (level, -0.05, "misses the threshold")


@pytest.mark.parametrize("status", [SKIPPED, ERROR, RUNNING, UNREADABLE])
@pytest.mark.parametrize(("severity", "level"), [("error", FAIL), ("warn", WARN), ("info", INFO)])
def test_what_is_not_an_answer_counts_like_a_failure(
    status: EvaluationStatus, severity: Severity, level: Level
) -> None:
    verdict = one(expect(gate=Gate(severity=severity)), result(status, message="column not found"))
    assert verdict.level is level
    assert verdict.why.endswith(": column not found")


def test_no_result_at_all_counts_like_a_failure() -> None:
    verdict = one(expect())
    assert (verdict.level, verdict.status, verdict.why) == (FAIL, MISSING, "no result")
    assert (verdict.measured, verdict.wanted, verdict.margin, verdict.evaluation) == ("", ">= 0.8", None, None)


@pytest.mark.parametrize(
    ("gate", "status", "level", "why"),
    [
        (Gate(on_skipped="warn"), SKIPPED, WARN, "skipped (onSkipped: warn)"),
        (Gate(on_skipped="pass"), SKIPPED, PASS, "skipped (onSkipped: pass)"),
        (Gate(on_error="pass"), ERROR, PASS, "could not be evaluated (onError: pass)"),
        (Gate(on_missing="pass"), RUNNING, PASS, "still running (onMissing: pass)"),
        (Gate(on_missing="warn"), MISSING, WARN, "no result (onMissing: warn)"),
        (Gate(on_skipped="pass"), ERROR, FAIL, "could not be evaluated"),
    ],
)
def test_the_gate_may_forgive_one_kind_of_non_answer_and_says_so(
    gate: Gate, status: EvaluationStatus, level: Level, why: str
) -> None:
    verdict = one(expect(gate=gate), *([] if status is MISSING else [result(status)]))
    assert (verdict.level, verdict.why) == (level, why)


def test_what_can_not_be_read_is_never_forgiven() -> None:
    gate = Gate(on_skipped="pass", on_error="pass", on_missing="pass")
    assert one(expect(gate=gate), result(UNREADABLE)).level is FAIL


def test_a_passing_value_that_misses_the_stricter_threshold_warns() -> None:
    stricter = expect(warn_criteria=(limit(">=", 0.9),))
    verdict = one(stricter, result(PASSING, 0.85))
    assert (verdict.level, verdict.wanted, verdict.margin) == (WARN, ">= 0.9", -0.05)
    assert one(stricter, result(PASSING, 0.95)).level is PASS


def test_a_failing_value_is_not_excused_by_the_warning_threshold() -> None:
    assert one(expect(warn_criteria=(limit(">=", 0.9),)), result(FAILING, 0.7)).level is FAIL


def test_a_warning_threshold_on_a_value_that_is_not_shown_warns() -> None:
    verdict = one(expect(warn_criteria=(limit(">=", 0.9),)), result(PASSING))
    assert (verdict.level, verdict.why) == (
        WARN,
        "the platform does not show faithfulness, so the warning threshold cannot be judged",
    )


def test_a_warning_threshold_on_one_of_two_columns_that_can_not_be_told_apart_warns() -> None:
    """The platform shows one average, and nobody knows of which column."""
    score, delay = (Criterion(f"average|{name}", ">=", 0.5, label="average") for name in ("score", "delay"))
    both = expect(criteria=(score, delay), warn_criteria=(Criterion("average|score", ">=", 0.95, label="average"),))
    shown = Evaluation(FAITHFUL, PASSING, "live", {"average": 900}, "", "r1")
    verdict = one(both, shown)
    assert verdict.level is WARN
    assert "so the warning threshold cannot be judged" in verdict.why


def test_a_result_that_the_platform_judges_otherwise_than_we_do_warns() -> None:
    """Nobody knows of another threshold by which it passed."""
    verdict = one(expect(), result(PASSING, 0.75))
    assert verdict.level is WARN
    assert verdict.why == (
        "recorded as passing, but the value misses the threshold as it is written now; "
        "evaluate it anew, with --overwrite"
    )


@pytest.mark.parametrize(("severity", "level"), [("error", FAIL), ("warn", WARN), ("info", INFO)])
def test_a_result_that_passed_by_another_threshold_and_misses_the_present_one_fails(
    severity: Severity, level: Level
) -> None:
    """Even where it misses a stricter warning threshold, too."""
    old = replace(result(PASSING, 0.75), laxer_then=("metrics|faithfulness",))
    for warn in ((), (limit(">=", 0.9),)):
        verdict = one(expect(gate=Gate(severity=severity), warn_criteria=warn), old)
        assert (verdict.level, verdict.measured, verdict.wanted, verdict.margin) == (level, "0.75", ">= 0.8", -0.05)
        assert verdict.why == (
            "recorded by another threshold, and misses the one that is written now; evaluate it anew, with --overwrite"
        )
    assert one(expect(), replace(old, measured={"faithfulness": 0.85})).level is PASS, "no matter by what, it passes"


def test_only_the_threshold_that_was_another_one_makes_an_old_result_fail() -> None:
    """The platform judged by the other one as it is now, and our judgement merely disagrees."""
    both = expect(criteria=(limit(">=", 0.8), limit("<=", 0.1, "toxicity")))
    shown = Evaluation(
        FAITHFUL, PASSING, "live", {"faithfulness": 0.75, "toxicity": 0.05}, "", "r1", laxer_then=("metrics|toxicity",)
    )
    assert one(both, shown).level is WARN


def test_a_value_that_belongs_to_nobody_for_certain_makes_no_old_result_fail() -> None:
    """Two columns of one measurement, of which one had another threshold."""
    score, delay = (Criterion(f"average|{name}", ">=", 0.5, label="average") for name in ("score", "delay"))
    shown = Evaluation(FAITHFUL, PASSING, "live", {"average": 0.1}, "", "r1", laxer_then=("average|score",))
    assert one(expect(criteria=(score, delay)), shown).level is PASS


def test_an_old_result_of_a_commit_asks_for_another_commit() -> None:
    """It is about no range of time, so nothing can evaluate it again."""
    old = replace(result(PASSING, 0.75), starts=None, ends=None, laxer_then=("metrics|faithfulness",))
    assert one(expect(), old).why.endswith("; push a commit, which is judged anew")


@pytest.mark.parametrize(
    "stricter", [limit(">=", 0.9), limit(">=", 0.5), limit("<=", 0.1, "toxicity")], ids=["missed", "met", "not shown"]
)
def test_no_warning_threshold_hides_that_the_value_misses_the_threshold_itself(stricter: Criterion) -> None:
    verdict = one(expect(warn_criteria=(stricter,)), result(PASSING, 0.75))
    assert (verdict.level, verdict.wanted, verdict.margin) == (WARN, ">= 0.8", -0.05)
    assert "the value misses the threshold as it is written now" in verdict.why


def test_no_value_that_can_not_be_read_hides_that_another_misses_its_threshold() -> None:
    both = expect(criteria=(limit(">=", 0.8), limit("<=", 0.1, "toxicity")))
    shown = Evaluation(FAITHFUL, PASSING, "live", {"faithfulness": float("nan"), "toxicity": 0.3}, "", "r1")
    assert "the value misses the threshold as it is written now" in one(both, shown).why
    assert one(replace(both, there=(limit(">=", 0.5), limit("<=", 0.5, "toxicity"))), shown).level is FAIL


@pytest.mark.parametrize("value", [float("nan"), float("inf"), None, "NaN", [], {"mean": 0.9}])
def test_a_measurement_that_is_shown_and_is_no_number_warns(value: Json) -> None:
    """The platform says passing: whether that is so, nobody can tell."""
    shown = Evaluation(FAITHFUL, PASSING, "live", {"faithfulness": value}, "", "r1")
    verdict = one(expect(), shown)
    assert (verdict.level, verdict.why) == (
        WARN,
        "recorded as passing, but the platform shows no number for faithfulness",
    )


def test_a_measurement_that_is_not_shown_is_the_platforms_to_judge() -> None:
    assert one(expect(), result(PASSING)).level is PASS


def test_a_text_where_a_text_is_wanted_is_no_number_and_need_be_none() -> None:
    shown = Evaluation(FAITHFUL, PASSING, "live", {"faithfulness": "high"}, "", "r1")
    assert one(expect(criteria=(limit("is", "high"),)), shown).level is PASS


def test_noise_in_the_last_digit_does_not_make_a_passing_result_suspicious() -> None:
    assert one(expect(criteria=(limit("<=", 0.3),)), result(PASSING, 0.1 + 0.2)).level is PASS


def test_a_failing_result_whose_value_passes_now_still_fails_and_says_so() -> None:
    verdict = one(expect(), result(FAILING, 0.9))
    assert (verdict.level, verdict.why) == (
        FAIL,
        "recorded as failing, although the value meets the threshold as it is written now",
    )


# ------------------------------------------------------------------------------------------- windows and pipelines


def test_a_failing_window_is_not_hidden_by_a_later_passing_one() -> None:
    verdict = one(expect(), result(PASSING, 0.9, window=2), result(FAILING, 0.7, window=1), result(PASSING, 0.95))
    assert (verdict.level, verdict.measured) == (FAIL, "0.7")
    assert verdict.why == "misses the threshold; worst of 3 windows, 1 of them not passing"


def test_what_the_platform_says_as_a_sentence_becomes_a_clause() -> None:
    skipped = [result(SKIPPED, window=each, message="There are no rows.") for each in (0, 1)]
    assert one(expect(), *skipped).why == "skipped: There are no rows; worst of 2 windows, 2 of them not passing"


def test_of_passing_windows_the_closest_call_is_shown() -> None:
    verdict = one(expect(), result(PASSING, 0.9), result(PASSING, 0.81, window=1))
    assert (verdict.level, verdict.measured, verdict.why) == (
        PASS,
        "0.81",
        "worst of 2 windows, all passing",
    )


def test_an_evaluation_of_the_same_window_replaces_the_one_before() -> None:
    again = result(PASSING, 0.9, recorded="2026-11-01T01:00:00Z", result_id="r2")
    assert one(expect(), result(FAILING, 0.7), again).level is PASS
    assert one(expect(), again, result(FAILING, 0.7)).level is PASS


def test_a_failed_evaluation_is_told_before_a_window_without_rows() -> None:
    """Both fail, and neither has a value; only one of them is news."""
    empty, broken = result(SKIPPED, window=1, message="There are no rows."), result(ERROR, message="no such column")
    for order in ([empty, broken], [broken, empty]):
        told = "could not be evaluated: no such column; worst of 2 windows, 2 of them not passing"
        assert one(expect(), *order).why == told
    twice = expect(gate=Gate(runs=2, min_pass=1))
    again = result(SKIPPED, recorded="2026-11-01T01:00:00Z", result_id="r2")
    verdict = one(twice, broken, again)
    assert verdict.why == "0 of 2 runs passed, at least 1 must; could not be evaluated: no such column"


def test_news_of_our_own_is_no_window() -> None:
    """It has no id at the platform: a task that failed, a wait that was given up."""
    news = result(ERROR, message="The task failed.", result_id="")
    good, bad = result(PASSING, 0.9, window=1), result(FAILING, 0.7, window=2)
    failed = "could not be evaluated: The task failed"
    assert one(expect(), news).why == f"{failed}."
    assert one(expect(), news, good).why == f"{failed}; beside 1 window that passes"
    assert one(expect(), news, good, replace(good, starts=0)).why == f"{failed}; beside 2 windows, all passing"
    assert one(expect(), news, bad).why == "misses the threshold; beside 1 evaluation without a result"
    told = "misses the threshold; worst of 2 windows, 1 of them not passing; beside 1 evaluation without a result"
    assert one(expect(), news, good, bad).why == told
    empty = result(SKIPPED, window=2, recorded="1970-01-01T04:00:00Z")
    assert one(expect(), news, empty).why == f"{failed}; beside 1 window that does not pass"


IN_HOUR_2, AFTER_HOUR_2 = "1970-01-01T02:03:00Z", "1970-01-01T03:00:00Z"


def test_a_window_that_is_not_over_and_was_skipped_does_not_count_beside_another() -> None:
    now = result(SKIPPED, window=2, recorded=IN_HOUR_2)
    verdict = one(expect(), now, result(PASSING, 0.9, window=1))
    assert (verdict.level, verdict.why) == (PASS, "not counting 1 window skipped before its end")
    verdict = one(expect(), now, result(FAILING, 0.7, window=1), result(PASSING, 0.9))
    assert (verdict.level, len(verdict.parts)) == (FAIL, 2)
    assert verdict.why == (
        "misses the threshold; worst of 2 windows, 1 of them not passing; not counting 1 window skipped before its end"
    )


def test_a_window_that_was_skipped_counts_when_it_is_over_or_nothing_else_is_there() -> None:
    early = result(SKIPPED, window=2, recorded=IN_HOUR_2)
    assert one(expect(), early).level is FAIL
    assert one(expect(), replace(early, recorded=AFTER_HOUR_2), result(PASSING, 0.9, window=1)).level is FAIL
    assert one(expect(), early, result(ERROR, window=1)).level is FAIL


def test_recorded_results_say_that_they_are_from_before_the_end_of_their_window() -> None:
    early, final = result(PASSING, 0.9, window=2, recorded=IN_HOUR_2), result(PASSING, 0.9, window=1)
    assert [each.why for each in as_recorded([one(expect(), early)])] == ["recorded before its window was over"]
    assert [each.why for each in as_recorded([one(expect(), early, final)])] == [
        "worst of 2 windows, all passing; recorded before its window was over"
    ]
    assert [each.why for each in as_recorded([one(expect(), final)])] == [""]
    assert [
        each.why for each in as_recorded([one(expect(), early, replace(final, measured={"faithfulness": 0.85}))])
    ] == ["worst of 2 windows, all passing; 1 other result recorded before the end of the window"]


def test_news_of_our_own_is_not_replaced_by_a_recorded_result() -> None:
    news = result(RUNNING, result_id="", message="not finished after 30m")
    assert one(expect(), news, result(PASSING, 0.9, recorded="2026-11-02T00:00:00Z")).level is FAIL


def test_each_pipeline_has_its_own_verdict() -> None:
    verdicts = judge([expect(pipeline="live"), expect(pipeline="canary")], [result(PASSING, 0.9)])
    assert [(v.pipeline, v.level) for v in verdicts] == [("canary", FAIL), ("live", PASS)]


def test_a_result_names_its_pipeline_by_the_vendors_id() -> None:
    verdicts = judge([expect(pipeline="live")], [result(PASSING, 0.9, pipeline="uuid-1")], {"uuid-1": "live"})
    assert [(v.pipeline, v.level) for v in verdicts] == [("live", PASS)]


def test_bad_news_about_no_pipeline_is_bad_news_for_all_of_them() -> None:
    news = result(ERROR, pipeline=None, result_id="", message="402 not in your plan")
    verdicts = judge([expect(pipeline="live"), expect(pipeline="canary")], [news, result(PASSING, 0.9)])
    assert [(v.pipeline, v.level) for v in verdicts] == [("canary", FAIL), ("live", FAIL)]


def test_good_news_about_no_pipeline_proves_nothing_for_any() -> None:
    assert one(expect(pipeline="live"), result(PASSING, 0.9, pipeline=None)).status is MISSING


def test_an_expectation_without_pipeline_counts_results_from_anywhere() -> None:
    verdict = one(expect(pipeline=None), result(PASSING, 0.9, pipeline=None), result(FAILING, 0.7, pipeline="x"))
    assert (verdict.level, verdict.pipeline) == (FAIL, "x")


def test_trouble_on_a_pipeline_that_nobody_named_warns() -> None:
    verdicts = judge([expect()], [result(PASSING, 0.9), result(FAILING, 0.2, pipeline="ghost")])
    assert [(v.pipeline, v.level) for v in verdicts] == [("ghost", WARN), ("live", PASS)]
    assert verdicts[0].why == "on a pipeline that the manifests do not name: misses the threshold"


def test_a_passing_result_on_a_pipeline_that_nobody_named_is_left_out() -> None:
    assert [v.pipeline for v in judge([expect()], [result(PASSING, 1), result(PASSING, 1, pipeline="ghost")])] == [
        "live"
    ]


def test_results_of_resources_that_were_not_asked_for_are_left_out() -> None:
    assert len(judge([expect()], [result(PASSING, 0.9), result(FAILING, 0.1, address=TOXIC)])) == 1


# ------------------------------------------------------------------------------------------- order and text


def test_verdicts_come_worst_first() -> None:
    expectations = [
        expect(pipeline="passes"),
        expect(pipeline="informs", gate=Gate(severity="info")),
        expect(pipeline="warns", gate=Gate(severity="warn")),
        expect(pipeline="misses by little"),
        expect(pipeline="misses by much"),
        expect(pipeline="silent"),
        expect(TOXIC, pipeline="misses by little"),
    ]
    values = [("passes", 0.9), ("informs", 0.7), ("warns", 0.7), ("misses by little", 0.79), ("misses by much", 0.1)]
    results = [result(PASSING if value > 0.8 else FAILING, value, pipeline=name) for name, value in values]
    results.append(result(FAILING, 0.79, pipeline="misses by little", address=TOXIC))
    assert [(v.level, v.address.name, v.pipeline) for v in judge(expectations, results)] == [
        (FAIL, "Faithful", "misses by much"),
        (FAIL, "Faithful", "misses by little"),
        (FAIL, "Toxic", "misses by little"),
        (FAIL, "Faithful", "silent"),
        (WARN, "Faithful", "warns"),
        (INFO, "Faithful", "informs"),
        (PASS, "Faithful", "passes"),
    ]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.7712345, "0.7712"),
        (0.79999, "0.79999"),
        (0.8000001, "0.8000001"),
        (0.8, "0.8"),
        (3.14159265, "3.1416"),
        (0.00001234567, "1.235e-05"),
        (12, "12"),
        (1.0, "1"),
    ],
)
def test_values_are_rounded_except_where_that_would_hide_the_decision(value: Json, text: str) -> None:
    assert one(expect(), result(FAILING, value)).measured == text


def test_several_measurements_are_named_and_the_nearest_limit_gives_the_margin() -> None:
    criteria = (limit(">=", 0.8, "precision"), limit(">=", 0.7, "recall"))
    measured: dict[str, Json] = {"precision": 0.9, "recall": 0.72, "f1": 0.8}
    verdict = one(expect(criteria=criteria), Evaluation(FAITHFUL, PASSING, "live", measured))
    assert verdict.measured == "precision 0.9, recall 0.72"
    assert verdict.wanted == "precision >= 0.8, recall >= 0.7"
    assert verdict.margin == 0.02


def test_one_measurement_with_two_sets_of_parameters_is_not_guessed_at() -> None:
    criteria = (limit("<=", 0, "rows", "pii|input"), limit("<=", 9, "rows", "pii|output"))
    verdict = one(expect(criteria=criteria), Evaluation(FAITHFUL, PASSING, "live", {"rows": 5}))
    assert (verdict.level, verdict.margin, verdict.measured) == (PASS, None, "rows 5")


def test_a_lone_value_without_a_name_belongs_to_the_lone_threshold() -> None:
    assert one(expect(), Evaluation(FAITHFUL, PASSING, "live", {"value": 0.9})).margin == 0.1


def test_a_learned_limit_has_no_margin_and_no_contradiction() -> None:
    learned = Criterion("metrics|faithfulness", ">=", 0.99, automatic=True, label="faithfulness")
    verdict = one(expect(criteria=(learned,)), result(PASSING, 0.5))
    assert (verdict.level, verdict.wanted, verdict.measured, verdict.margin) == (PASS, "automatic", "0.5", None)


def test_only_a_failure_stops_the_build_and_no_verdicts_prove_nothing() -> None:
    warns = one(expect(gate=Gate(severity="warn")), result(FAILING, 0.1))
    fails = one(expect(), result(FAILING, 0.1))
    assert passed([warns])
    assert not passed([warns, fails])
    assert not passed([])
