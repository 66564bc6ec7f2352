"""Where the value of a change comes from: a plan names the place in the Environment beside the one in the project."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.values import compact

PROJECT = """
    apiVersion: openlayer/v1
    kind: Project
    metadata: {name: bot}
    spec:
      taskType: llm-base
      pipelines: [{name: live}]
      testDefaults: {evaluationWindow: "${var.window}"}
      tests:
        - name: Rows arrive
          type: integrity
          subtype: rowCount
          thresholds:
            - {insightName: metrics, measurement: rowCount, operator: ">=", value: "${var.rows}"}
        - name: Answers are short
          description: Plain
          type: integrity
          subtype: characterLength
          evaluationWindow: 24h
          thresholds:
            - insightName: characterLength
              insightParameters: {column_name: output}
              measurement: maxCharacterLength
              operator: lte
              value: 100
"""
STAGING = """
    apiVersion: reconciler/v1
    kind: Environment
    metadata: {name: staging}
    spec:
      vars:
        window: 24h
        rows: 20
      overrides:
        - match: {test: Answers are short}
          set:
            severity: error
            thresholds:
              - insightName: characterLength
                value: 90
"""


@pytest.fixture
def staging(cli: Any) -> Any:
    """The command line where the project ``bot`` was applied to the environment ``staging``."""
    (cli.folder / "projects").mkdir()
    (cli.folder / "environments").mkdir()
    cli.write("projects/bot.yaml", PROJECT)
    cli.write("environments/staging.yaml", STAGING)
    cli("apply", "--env", "staging", "--yes")
    return cli


def place(cli: Any, name: str, text: str) -> str:
    """Where a text stands in a file."""
    lines = (cli.folder / name).read_text(encoding="utf-8").splitlines()
    return f"{name}:{next(number for number, line in enumerate(lines, 1) if text in line)}"


def test_a_changed_variable_is_named_with_its_place(staging: Any) -> None:
    staging.edit("environments/staging.yaml", "rows: 20", "rows: 10")
    told = staging("plan", "--env", "staging", "--format", "text")
    origin = place(staging, "environments/staging.yaml", "rows: 10")
    declared = place(staging, "projects/bot.yaml", "Rows arrive")
    assert f"({declared})" in told.words
    assert f"thresholds.0.value: 20 -> 10 LOOSENED (metrics rowCount >=) (var rows: {origin})" in told.words, told.text
    for form in ("markdown", "html"):
        assert origin in staging("plan", "--env", "staging", "--format", form).text


def test_a_changed_override_is_named_with_its_place(staging: Any) -> None:
    staging.edit("environments/staging.yaml", "value: 90", "value: 95")
    told = staging("plan", "--env", "staging")
    assert f"(override: {place(staging, 'environments/staging.yaml', 'value: 95')})" in told.words


def test_what_is_written_where_it_is_declared_has_no_other_place(staging: Any) -> None:
    staging.edit("projects/bot.yaml", "description: Plain", "description: Otherwise")
    told = staging("plan", "--env", "staging", "--format", "json")
    assert "value_sources" not in told.out
    assert "environments/staging.yaml" not in staging("plan", "--env", "staging").out


def test_the_json_of_a_plan_names_it_beside_the_source(staging: Any) -> None:
    staging.edit("environments/staging.yaml", "rows: 20", "rows: 10")
    staging.edit("environments/staging.yaml", "value: 90", "value: 95")
    steps = json.loads(staging("plan", "--env", "staging", "--format", "json").out)["steps"]
    short, rows = sorted(steps, key=lambda step: step["name"])
    for step, what, text in ((rows, "var rows", "rows: 10"), (short, "override", "value: 95")):
        file, _, line = place(staging, "environments/staging.yaml", text).rpartition(":")
        origin = {"path": "thresholds.0.value", "what": what, "file": file, "line": int(line)}
        assert step["value_sources"] == [origin]
        assert step["source"]["file"] == "projects/bot.yaml"


def test_annotations_name_it_at_the_declared_place(staging: Any) -> None:
    staging.edit("environments/staging.yaml", "rows: 20", "rows: 10")
    staging.edit("environments/staging.yaml", "severity: error", "severity: info")
    told = staging("plan", "--env", "staging", "--format", "github").out
    rows = place(staging, "environments/staging.yaml", "rows: 10")
    severity = place(staging, "environments/staging.yaml", "severity: info")
    loosened = [line for line in told.splitlines() if line.startswith("::warning")]
    assert len(loosened) == 2
    assert all("file=projects/bot.yaml" in line for line in loosened)
    assert f"(var rows: {rows})" in loosened[0]
    assert f"(override: {severity})" in loosened[1]


def test_a_refusal_of_what_is_denied_names_it(staging: Any) -> None:
    staging.edit("environments/staging.yaml", "rows: 20", "rows: 10")
    staging.edit("environments/staging.yaml", "severity: error", "severity: info")
    rows = place(staging, "environments/staging.yaml", "rows: 10")
    severity = place(staging, "environments/staging.yaml", "severity: info")
    told = staging("plan", "--env", "staging", "--deny", "loosened", code=3).words
    assert f"var rows: {rows})" in told
    assert f"override: {severity})" in told
    machine = json.loads(staging("plan", "--env", "staging", "--deny", "loosened", "--format", "json", code=3).out)
    assert [each["value_sources"][0]["what"] for each in machine["refusals"]] == ["var rows", "override"]
    annotated = staging("plan", "--env", "staging", "--deny", "loosened", "--format", "github", code=3).out
    errors = [line for line in annotated.splitlines() if line.startswith("::error")]
    assert rows in errors[0]
    assert severity in errors[1]


def test_a_gate_that_an_override_changes_names_it(staging: Any) -> None:
    staging.edit("environments/staging.yaml", "severity: error", "severity: info")
    severity = place(staging, "environments/staging.yaml", "severity: info")
    told = staging("plan", "--env", "staging")
    assert f'severity: "error" -> "info" LOOSENED (override: {severity})' in told.words
    (change,) = json.loads(staging("plan", "--env", "staging", "--format", "json").out)["lifecycle"]
    assert [f"{each['file']}:{each['line']}" for each in change["value_sources"]] == [severity]


def test_places_are_those_of_the_checkout(staging: Any, tmp_path: Path) -> None:
    staging.edit("environments/staging.yaml", "rows: 20", "rows: 10")
    staging.edit("environments/staging.yaml", "severity: error", "severity: info")
    rows = place(staging, "environments/staging.yaml", "rows: 10")
    ci = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(tmp_path.parent)}
    told = staging("plan", "--env", "staging", "--format", "github", **ci).out
    assert f"{tmp_path.name}/{rows}" in told
    assert f" {rows}" not in told


def test_what_a_report_shows_of_a_plan_is_what_the_plan_showed(staging: Any) -> None:
    staging.edit("environments/staging.yaml", "rows: 20", "rows: 10")
    staging.edit("environments/staging.yaml", "severity: error", "severity: info")
    planned = staging("plan", "--env", "staging", "--out", "plan.json")
    assert "(var rows: environments/staging.yaml" in planned.words
    shown = staging("show", "plan.json").out
    assert "(var rows: environments/staging.yaml" in shown
    assert "(override: environments/staging.yaml" in shown


def test_a_plan_that_was_saved_without_these_places_holds(staging: Any) -> None:
    staging.edit("environments/staging.yaml", "rows: 20", "rows: 10")
    staging("plan", "--env", "staging", "--out", "plan.json")
    path = staging.folder / "plan.json"
    saved = json.loads(path.read_text(encoding="utf-8"))
    for step in saved["steps"]:
        del step["value_sources"]
    saved["digest"] = hashlib.sha256(compact({**saved, "digest": "", "tool": ""})).hexdigest()
    path.write_text(json.dumps(saved), encoding="utf-8")
    assert "1 updated" in staging("apply", "--plan", "plan.json").text
