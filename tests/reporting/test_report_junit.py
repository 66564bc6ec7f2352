"""JUnit XML, as junitparser and Python's own XML parser read it."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Callable

import pytest
from junitparser import JUnitXml, TestCase
from msgspec.structs import replace

from reconciler.errors import StateUnreadable
from reconciler.model.outcome import Baseline, Evaluation, EvaluationStatus, Level, Runs, Verdict
from reconciler.model.resource import Address
from reconciler.reporting.junit import verdicts_junit


def _read(text: str) -> JUnitXml:
    return JUnitXml.fromstring(text.encode())


def _cases(text: str) -> list[TestCase]:
    return [case for suite in _read(text) for case in suite]


def _case(verdict: Verdict) -> TestCase:
    (case,) = _cases(verdicts_junit([verdict]))
    return case


def _properties(case: TestCase) -> dict[str, str]:
    """As written: junitparser reads the properties of suites only."""
    return {each.get("name", ""): each.get("value", "") for each in case._elem.iter("property")}


@pytest.fixture
def verdict(verdicts: tuple[Verdict, ...]) -> Verdict:
    """A test that misses its threshold."""
    return verdicts[2]


def test_a_missed_threshold_is_a_failure_at_its_line(verdict: Verdict) -> None:
    case = _case(verdict)
    (result,) = case.result
    assert (case.classname, case.name) == ("support-bot", "monitoring/Faithful [production]")
    assert (case._elem.get("file"), case._elem.get("line")) == ("projects/support-bot.yaml", "7")
    assert (type(result).__name__, result.type, result.message) == ("Failure", "failing", "misses the threshold")
    assert result.text == (
        "support-bot/monitoring/Faithful on production: measured 0.62, wanted >= 0.8, margin -0.18: "
        "misses the threshold"
    )


def test_a_value_that_fell_is_a_regression(verdict: Verdict) -> None:
    """The platform says passing; that is no type of a failure."""
    (result,) = _case(replace(verdict, status=EvaluationStatus.PASSING, fell=True)).result
    assert (type(result).__name__, result.type) == ("Failure", "regression")


def test_what_passes_by_something_else_than_is_written_is_no_regression(verdict: Verdict) -> None:
    (result,) = _case(replace(verdict, status=EvaluationStatus.PASSING)).result
    assert (type(result).__name__, result.type) == ("Failure", "unapplied")


@pytest.mark.parametrize(
    ("level", "status", "kind"),
    [
        (Level.PASS, EvaluationStatus.PASSING, []),
        (Level.WARN, EvaluationStatus.FAILING, []),
        (Level.INFO, EvaluationStatus.FAILING, []),
        (Level.FAIL, EvaluationStatus.FAILING, ["Failure"]),
        (Level.FAIL, EvaluationStatus.PASSING, ["Failure"]),
        (Level.FAIL, EvaluationStatus.SKIPPED, ["Error"]),
        (Level.FAIL, EvaluationStatus.ERROR, ["Error"]),
        (Level.FAIL, EvaluationStatus.MISSING, ["Error"]),
        (Level.FAIL, EvaluationStatus.RUNNING, ["Error"]),
        (Level.FAIL, EvaluationStatus.UNREADABLE, ["Error"]),
        (Level.PASS, EvaluationStatus.SKIPPED, ["Skipped"]),
        (Level.WARN, EvaluationStatus.MISSING, ["Skipped"]),
    ],
)
def test_what_a_verdict_counts_as(verdict: Verdict, level: Level, status: EvaluationStatus, kind: list[str]) -> None:
    """Only what fails the gate is red: without a result it is an error; and without harm it was skipped."""
    case = _case(replace(verdict, level=level, status=status))
    assert [type(result).__name__ for result in case.result] == kind


def test_a_warning_passes_and_says_so(verdict: Verdict) -> None:
    assert (_case(replace(verdict, level=Level.WARN)).system_out or "").startswith(
        "WARN support-bot/monitoring/Faithful"
    )
    assert _case(replace(verdict, level=Level.PASS)).system_out is None


def test_everything_that_is_known_is_a_property(verdict: Verdict) -> None:
    full = replace(
        verdict,
        evaluation=Evaluation(verdict.address, verdict.status, starts=1_795_305_600, ends=10**30, result_id="r-1"),
        flaky=True,
        runs=Runs(passed=1, known=3, wanted=3, min_pass=2),
        baseline=Baseline(value=0.7, drop=0.114),
    )
    assert _properties(_case(full)) == {
        "address": "openlayer.Test/support-bot/monitoring/Faithful",
        "pipeline": "production",
        "level": "fail",
        "status": "failing",
        "severity": "error",
        "measured": "0.62",
        "wanted": ">= 0.8",
        "margin": "-0.18",
        "flaky": "true",
        "runs": "1 of 3 passed, 2 of 3 wanted",
        "baseline": "11.4 % worse than 0.7",
        "result": "r-1",
        "starts": "2026-11-22T00:00:00Z",
        "ends": "1" + "0" * 30,
    }


ATTRIBUTES = {
    "testsuites": ({"name", "time", "tests", "failures", "errors"}, set()),
    "testsuite": ({"name", "time", "tests", "failures", "errors", "skipped"}, {"name", "tests", "failures", "errors"}),
    "testcase": ({"name", "time", "classname"} | {"file", "line"}, {"name"}),
    "properties": (set(), set()),
    "property": ({"name", "value"}, {"name", "value"}),
    "failure": ({"type", "message"}, set()),
    "error": ({"type", "message"}, set()),
    "skipped": ({"type", "message"}, set()),
    "system-out": (set(), set()),
}
"""Those that an element may and must have by Jenkins' junit-10.xsd; the second set of a case is ours."""


def test_it_goes_beyond_its_schema_only_where_it_says_so(verdicts: tuple[Verdict, ...]) -> None:
    apart = [(Address("openlayer.Test", ("another", "development", "Rows")), "not on demand")]
    for text in (verdicts_junit(verdicts, apart), verdicts_junit(verdicts, apart, limit=20_100)):
        for element in ElementTree.fromstring(text).iter():
            may, must = ATTRIBUTES[element.tag]
            assert must <= set(element.attrib) <= may, ElementTree.tostring(element)


def test_a_suite_is_a_project_and_counts_its_own(verdicts: tuple[Verdict, ...]) -> None:
    other = replace(verdicts[1], address=Address("openlayer.Test", ("another", "monitoring", "Nulls")))
    suites = list(_read(verdicts_junit([*verdicts, other])))
    assert [(suite.name, suite.tests, suite.failures, suite.errors, suite.skipped) for suite in suites] == [
        ("another", 1, 1, 0, 0),
        ("support-bot", 4, 2, 0, 0),
    ]
    assert (total := _read(verdicts_junit([*verdicts, other]))).tests == 5
    assert (total.failures, total.errors) == (3, 0)


def test_tests_that_can_not_be_judged_here_are_skipped_with_the_reason(verdicts: tuple[Verdict, ...]) -> None:
    (case,) = _cases(verdicts_junit([], [(verdicts[0].address, "development tests run on commits")]))
    assert [(type(each).__name__, each.message) for each in case.result] == [
        ("Skipped", "development tests run on commits")
    ]


def test_a_run_without_verdicts_is_no_success() -> None:
    report = _read(verdicts_junit((), error=StateUnreadable("the state is damaged", hint="restore it")))
    (case,) = (case for suite in report for case in suite)
    (result,) = case.result
    assert report.errors == 1
    assert (result.type, result.message, result.text) == ("StateUnreadable", "the state is damaged", "restore it")


def test_any_text_comes_back_as_it_is_seen(hostile: str, verdict: Verdict) -> None:
    """No text ends an attribute or an element, and none is illegal in XML."""
    named = replace(verdict, address=Address("openlayer.Test", (hostile, hostile)), why=hostile, pipeline=hostile)
    (case,) = _cases(verdicts_junit([named]))
    (result,) = case.result
    assert result.message == result.text[-len(result.message) :]
    assert len(list(case._elem.iter())) == 2 + len(_properties(case)) + 1


@pytest.mark.parametrize(
    "character", [*map(chr, range(0x20)), "\x7f", "\ud800", "\ufffe", "\uffff", "\U0001f600", "]]>"]
)
def test_no_character_breaks_the_file(character: str, verdict: Verdict) -> None:
    text = verdicts_junit([replace(verdict, why=f"a{character}b", measured=character)])
    assert ElementTree.fromstring(text.encode()).find(".//failure") is not None


def test_names_stay_apart_by_pipeline(verdict: Verdict) -> None:
    """GitLab keeps only the first of several cases of one name."""
    names = [case.name for case in _cases(verdicts_junit([verdict, replace(verdict, pipeline="canary")]))]
    assert sorted(names) == ["monitoring/Faithful [canary]", "monitoring/Faithful [production]"]


def test_five_hundred_failures_are_all_there(verdict: Verdict) -> None:
    many = [replace(verdict, address=Address("openlayer.Test", ("bot", f"Test {number}"))) for number in range(500)]
    assert _read(verdicts_junit(many)).failures == 500


def test_a_file_too_large_for_a_reader_keeps_the_failures_and_counts_the_others(verdict: Verdict) -> None:
    passes = [replace(verdict, level=Level.PASS, status=EvaluationStatus.PASSING, pipeline=f"p{n}") for n in range(400)]
    text = verdicts_junit([*passes, verdict], limit=100_000)
    kept = _cases(text)
    assert len(text.encode()) <= 100_000
    assert kept[0].name == "monitoring/Faithful [production]"
    assert f'value="{401 - len(kept)} cases more"' in text


def test_the_same_verdicts_give_the_same_bytes(verdicts: tuple[Verdict, ...], expected: Callable[[str], str]) -> None:
    assert verdicts_junit(verdicts) == verdicts_junit(tuple(reversed(verdicts))) == expected("verdicts.junit.xml")
