"""What GitHub's runner reads: annotations and outputs, fed to a runner that obeys commands as the real one does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from msgspec.structs import replace

from reconciler.errors import Problem, RefusedByPolicy
from reconciler.model.outcome import Level, StepOutcome, StepStatus, Verdict
from reconciler.model.plan import Plan
from reconciler.model.resource import Address
from reconciler.reporting.github import (
    Annotation,
    github,
    github_annotations,
    github_outputs,
    of_error,
    of_outcomes,
    of_plan,
    of_problems,
    of_verdicts,
    plan_outputs,
    problem_outputs,
    verdict_outputs,
)


@dataclass(frozen=True)
class Obeyed:
    """A command as the runner understood it."""

    name: str
    properties: dict[str, str]
    message: str


def _obeyed(log: str) -> list[Obeyed]:
    """What a runner makes of a log: commands after leading white space, properties unescaped (actions/runner)."""
    found = []
    for line in log.split("\n"):
        assert "##[" not in line
        if match := re.match(r"\s*::(?P<name>[\w-]+)(?: (?P<properties>.*?))?::(?P<message>.*)$", line):
            pairs = [pair.partition("=") for pair in (match["properties"] or "").split(",") if "=" in pair]
            found.append(Obeyed(match["name"], {k: _plain(v, ":,") for k, _, v in pairs}, _plain(match["message"], "")))
    return found


def _plain(text: str, more: str) -> str:
    for character in f"\r\n{more}%":
        text = text.replace(f"%{ord(character):02X}", character)
    return text


def _set_outputs(text: str) -> dict[str, str]:
    """The outputs that a runner reads from the file: ``name<<delimiter``, lines, ``delimiter``."""
    found, lines = {}, iter(text.split("\n"))
    for line in lines:
        if not line:
            continue
        name, _, delimiter = line.partition("<<")
        found[name] = "\n".join(_until(delimiter, lines))
    return found


def _until(delimiter: str, lines: Iterator[str]) -> Iterator[str]:
    for line in lines:
        if line == delimiter:
            return
        yield line
    raise AssertionError("the value never ended")


# --------------------------------------------------------------------------------------------- annotations


def test_a_refusal_is_an_error_at_the_line_of_the_manifest(plan: Plan) -> None:
    assert _obeyed(github_annotations(of_plan(plan)))[0] == Obeyed(
        "error",
        {"file": "projects/other.yaml", "line": "4", "col": "3", "title": "reconciler: Refused"},
        "other: taskType cannot be changed in place; make a project under a new name",
    )


def test_what_lets_more_pass_is_a_warning_that_says_what(plan: Plan) -> None:
    found = [each for each in _obeyed(github_annotations(of_plan(plan))) if each.name == "warning"]
    assert [each.message for each in found] == [
        "support-bot/monitoring/Faithful: thresholds.0.value: 0.90 -> 0.85  LOOSENED  (metrics faithfulness >=)",
        "support-bot/monitoring/Answers contain no PII: gone from the manifests",
    ]


def test_verdicts_are_annotated_worst_first_and_passes_are_not(verdicts: tuple[Verdict, ...]) -> None:
    found = _obeyed(github_annotations(of_verdicts(verdicts)))
    assert [(each.name, each.message.partition(":")[0]) for each in found] == [
        ("error", "support-bot/monitoring/Faithful on production"),
        ("error", "support-bot/monitoring/Nulls"),
        ("warning", "support-bot/monitoring/Tone on production"),
    ]
    assert found[0].properties == {
        "file": "projects/support-bot.yaml",
        "line": "7",
        "col": "3",
        "title": "reconciler: Test failed",
    }


def test_what_is_only_for_information_is_a_notice(verdicts: tuple[Verdict, ...]) -> None:
    (found,) = _obeyed(github_annotations(of_verdicts([replace(verdicts[0], level=Level.INFO)])))
    assert found.name == "notice"


def test_a_flaky_test_is_a_notice_that_calls_it_so(verdicts: tuple[Verdict, ...]) -> None:
    flaky = replace(verdicts[2], level=Level.INFO, flaky=True)
    (found,) = _obeyed(github_annotations(of_verdicts([flaky])))
    assert (found.name, found.properties["title"]) == ("notice", "reconciler: Flaky test failed")
    assert verdict_outputs([flaky], passed=True)["tests-flaky"] == "1"


def test_steps_that_did_not_work_are_errors_and_what_waited_for_them_is_not(plan: Plan) -> None:
    outcomes = [
        StepOutcome("update:faithful", StepStatus.FAILED, "422: no such insight", "check it"),
        StepOutcome("update:project", StepStatus.UNKNOWN, "no answer"),
        StepOutcome("replace:latency", StepStatus.SKIPPED, "waits for update:project"),
        StepOutcome("create:canary", StepStatus.DONE),
    ]
    assert [(each.properties["title"], each.message) for each in _obeyed(github(of_outcomes(plan, outcomes)))] == [
        ("reconciler: Step failed", "update support-bot/monitoring/Faithful: 422: no such insight; check it"),
        ("reconciler: Step unknown", "update support-bot: no answer"),
    ]


def test_what_ended_the_run_is_an_error_without_a_place() -> None:
    (found,) = _obeyed(github_annotations(of_error(RefusedByPolicy("1 refusal", hint="settle it"))))
    assert found == Obeyed("error", {"title": "reconciler"}, "1 refusal; settle it")


def test_each_level_keeps_ten_and_counts_its_own(verdicts: tuple[Verdict, ...]) -> None:
    many = [replace(verdicts[2], pipeline=f"p{n}") for n in range(500)]
    warned = [replace(each, level=Level.WARN) for each in many[:12]]
    found = _obeyed(github_annotations(of_verdicts([*many, *warned])))
    assert [each.name for each in found] == ["error"] * 10 + ["warning"] * 10
    assert found[9].message == "491 more errors: GitHub keeps ten, the log has all of them"
    assert found[19].message == "3 more warnings: GitHub keeps ten, the log has all of them"


def test_a_message_as_long_as_a_book_is_cut() -> None:
    (found,) = _obeyed(github_annotations([Annotation("error", "x" * 100_000)]))
    assert len(found.message) == 4_000


def test_no_text_becomes_a_command_or_a_property(hostile: str) -> None:
    """Whatever the names, the runner obeys our own annotations, at our own places, and nothing else."""
    problems = [Problem(hostile, 3, 1, hostile, hostile, hostile)] * 12
    log = github(of_problems(problems)) + github_annotations(of_error(RefusedByPolicy(hostile, hint=hostile)))
    found = _obeyed(log)
    assert [each.name for each in found] == ["error"] * 11
    assert all(set(each.properties) <= {"file", "line", "col", "title"} for each in found)
    assert {each.properties.get("line", "") for each in found} <= {"3", ""}


# ------------------------------------------------------------------------------------------------- outputs


def _deliver(values: dict[str, str], *delimiters: str) -> dict[str, str]:
    words = iter(delimiters or ("end-1",))
    return _set_outputs(github_outputs(values, lambda: next(words)))


def test_the_outputs_of_a_plan(plan: Plan) -> None:
    assert _deliver(plan_outputs(plan)) == {
        "has-changes": "true",
        "create": "1",
        "update": "2",
        "replace": "1",
        "delete": "1",
        "archive": "1",
        "adopt": "1",
        "rename": "1",
        "forget": "1",
        "loosened": "2",
        "refused": "1",
        "digest": "5be0c1d29aa4f00b",
    }


def test_nothing_to_do_has_no_changes(empty: Plan) -> None:
    assert plan_outputs(empty)["has-changes"] == "false"


def test_the_outputs_of_a_gate_and_of_a_check(verdicts: tuple[Verdict, ...]) -> None:
    assert _deliver(verdict_outputs(verdicts, passed=False)) == {
        "gate": "failed",
        "tests-passed": "1",
        "tests-informed": "0",
        "tests-flaky": "0",
        "tests-warned": "1",
        "tests-failed": "2",
    }
    assert verdict_outputs([], passed=True)["gate"] == "passed"
    warning = Problem("a", 1, 1, "", "x", level="warning")
    assert problem_outputs([]) == {"valid": "true", "problems": "0", "warnings": "0"}
    assert problem_outputs([warning]) == {"valid": "true", "problems": "0", "warnings": "1"}
    assert problem_outputs([replace(warning, level="error")]) == {"valid": "false", "problems": "1", "warnings": "0"}


@pytest.mark.parametrize("value", ["plan.json", "a\nend-1\nother=1", "a\nend-1\nother<<end-1\n1\nend-1", "", "a<<b"])
def test_no_value_ends_itself_and_sets_another_output(value: str) -> None:
    """The delimiter is one that no value contains: ``end-1`` is passed over where it stands in one."""
    assert _deliver({"plan-file": value, "exit-code": "2"}, "end-1", "end-2") == {"plan-file": value, "exit-code": "2"}


def test_percent_signs_and_colons_survive_the_escapes(verdicts: tuple[Verdict, ...]) -> None:
    named = replace(verdicts[2], address=Address("openlayer.Test", ("bot", "100%, sure: yes")))
    (found,) = _obeyed(github_annotations(of_verdicts([named])))
    assert found.message.startswith("bot/100%25, sure: yes on production")
