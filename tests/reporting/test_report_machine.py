"""JSON for machines: one committed schema, the same text back, no surprises in a log."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
from msgspec.structs import replace

from reconciler.errors import Problem
from reconciler.model.outcome import StepOutcome, StepStatus, Verdict
from reconciler.model.plan import FieldChange, Plan
from reconciler.reporting.declarations import Declared, declared_json
from reconciler.reporting.declarations_schema import declarations_schema
from reconciler.reporting.machine import outcomes_json, plan_json, problems_json, to_json, verdicts_json
from reconciler.reporting.plan_schema import plan_schema

COMMITTED = Path(__file__).parents[2] / "schemas" / "plan.v1.json"


def _is_valid(text: str) -> bool:
    jsonschema.Draft7Validator.check_schema(plan_schema())
    jsonschema.Draft7Validator(plan_schema()).validate(json.loads(text))
    return True


def test_the_committed_schema_is_fresh() -> None:
    """If this fails, write to_json(plan_schema()) to schemas/plan.v1.json and read the difference."""
    assert COMMITTED.read_text(encoding="utf-8") == to_json(plan_schema())


def test_the_committed_schema_of_declarations_is_fresh() -> None:
    """If this fails, write to_json(declarations_schema()) to schemas/declarations.v1.json and read the difference."""
    committed = COMMITTED.with_name("declarations.v1.json").read_text(encoding="utf-8")
    assert committed == to_json(declarations_schema())


def test_what_is_declared_is_valid() -> None:
    jsonschema.Draft7Validator.check_schema(declarations_schema())
    declared = Declared("staging", {"openlayer.Project": 1, "openlayer.Test": 2}, {"openlayer/bot": 3})
    for environments, warnings in (((declared, declared), ["odd"]), ((), [])):
        data = json.loads(declared_json(environments, warnings))
        jsonschema.Draft7Validator(declarations_schema()).validate(data)
        assert list(data) == list(declarations_schema()["properties"])


def test_every_plan_is_valid(plan: Plan, empty: Plan) -> None:
    assert _is_valid(plan_json(plan, tool="reconciler 0.1.0"))
    assert _is_valid(plan_json(empty, tool=""))


def test_a_plan_of_hostile_names_is_valid(hostile: str, renderings: Callable[[str], dict[str, str]]) -> None:
    assert _is_valid(renderings(hostile)["plan json"])


def test_the_schema_is_closed(plan: Plan) -> None:
    data = json.loads(plan_json(plan, tool="x"))
    data["steps"][0]["surprise"] = 1
    errors = list(jsonschema.Draft7Validator(plan_schema()).iter_errors(data))
    assert [error.message for error in errors] == ["Additional properties are not allowed ('surprise' was unexpected)"]


def test_a_reader_gets_the_same_text_back() -> None:
    text = 'é 日本 "quoted" \\ \x1b\x7f\x9b\u202e\U000e0041 ##[error] \\##[x] \n'
    printed = to_json({"text": text})
    assert json.loads(printed) == {"text": text}
    assert "é 日本" in printed
    assert r"\u001b\u007f\u009b\u202e\udb40\udc41 #\u0023[error]" in printed


def test_numbers_that_json_lacks_become_text(plan: Plan) -> None:
    change = FieldChange("value", float("nan"), float("inf"))
    odd = replace(plan, steps=(replace(plan.steps[0], changes=(change,)),))
    [step] = json.loads(plan_json(odd, tool=""), parse_constant=lambda name: f"bare {name}")["steps"]
    assert (step["changes"][0]["before"], step["changes"][0]["after"]) == ("nan", "inf")


def test_outcomes_stand_in_the_order_of_the_plan(plan: Plan) -> None:
    outcomes = [
        StepOutcome("update:project", StepStatus.FAILED, "PATCH /projects/p_1: 500", "try again"),
        StepOutcome("create:canary", StepStatus.DONE, remote_id="ip_9"),
    ]
    data = json.loads(outcomes_json(plan, outcomes))
    assert data["summary"] == {"done": 1, "failed": 1, "skipped": 0, "unknown": 0, "not_started": 7}
    assert data["outcomes"][:2] == [
        {
            "id": "create:canary",
            "action": "create",
            "address": "openlayer.InferencePipeline/support-bot/canary",
            "status": "done",
            "error": "",
            "hint": "",
            "remote_id": "ip_9",
        },
        {
            "id": "update:project",
            "action": "update",
            "address": "openlayer.Project/support-bot",
            "status": "failed",
            "error": "PATCH /projects/p_1: 500",
            "hint": "try again",
            "remote_id": None,
        },
    ]


def test_verdicts_are_counted_by_level(verdicts: tuple[Verdict, ...]) -> None:
    data = json.loads(verdicts_json(verdicts))
    assert data["summary"] == {"fail": 2, "warn": 1, "info": 0, "pass": 1, "flaky": 0}
    assert data["verdicts"][2] == {
        "address": "openlayer.Test/support-bot/monitoring/Faithful",
        "pipeline": "production",
        "level": "fail",
        "status": "failing",
        "severity": "error",
        "measured": "0.62",
        "wanted": ">= 0.8",
        "margin": -0.18,
        "why": "misses the threshold",
        "flaky": False,
        "runs": None,
        "baseline": None,
        "source": {"file": "projects/support-bot.yaml", "line": 7},
        "result": None,
    }


def test_problems_keep_their_place() -> None:
    data = json.loads(problems_json([Problem("a.yaml", 7, 3, "spec.subtyp", "not a field", "did you mean subtype?")]))
    assert data["problems"] == [
        {
            "file": "a.yaml",
            "line": 7,
            "column": 3,
            "path": "spec.subtyp",
            "message": "not a field",
            "hint": "did you mean subtype?",
            "level": "error",
        }
    ]
