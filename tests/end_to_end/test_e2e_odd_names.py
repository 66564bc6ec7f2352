"""Names that hold what a glob understands: an address, as it is printed, means what stands there and nothing else."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

MANIFEST = """
    apiVersion: openlayer/v1
    kind: Project
    metadata: {name: odd}
    spec:
      taskType: llm-base
      pipelines: [{name: live}]
      tests:
        - name: "*"
          type: integrity
          subtype: rowCount
          lifecycle: {protect: true}
          thresholds: [{insightName: metrics, measurement: rowCount, operator: ">=", value: 1}]
        - name: B [p95]
          type: integrity
          subtype: rowCount
          lifecycle: {protect: true}
          thresholds: [{insightName: metrics, measurement: rowCount, operator: ">=", value: 1}]
        - name: Plain
          type: integrity
          subtype: rowCount
          thresholds: [{insightName: metrics, measurement: rowCount, operator: ">=", value: 1}]
"""
TESTS = ("*", "B [p95]", "Plain")


def address(name: str) -> str:
    return f"openlayer.Test/odd/monitoring/{name}"


@pytest.fixture
def odd(cli: Any) -> Any:
    """A project with tests that are called ``*`` and ``B [p95]``, both protected, and another one."""
    cli.write("odd.yaml", MANIFEST)
    cli("apply", "--yes")
    return cli


def remembered(cli: Any, *arguments: str) -> set[str]:
    entries = json.loads(cli("state", "list", "--format", "json", *arguments).out)["entries"]
    return {each.rpartition("/")[2] for each in entries if each.startswith("openlayer.Test/")}


@pytest.mark.parametrize("name", ["*", "B [p95]"])
def test_the_printed_hint_gives_up_what_it_names(name: str, odd: Any) -> None:
    """A protected test that has gone from the manifests: the command in the hint forgets this test only."""
    text = (odd.folder / "odd.yaml").read_text()
    parts = text.split("    - name: ")
    (odd.folder / "odd.yaml").write_text(
        "    - name: ".join(part for part in parts if not part.startswith((f"{name}\n", f'"{name}"\n')))
    )
    refused = odd("plan", code=3).words
    hint = re.search(r"reconciler (state rm) '([^']+)'", refused)
    assert hint is not None
    assert odd("state", "rm", hint[2]).out.splitlines() == [
        f". {address(name)}",
        "Forgotten: 1.  At the platform nothing changed.",
    ]
    assert remembered(odd) == set(TESTS) - {name}


@pytest.mark.parametrize("name", ["*", "B [p95]"])
def test_select_takes_an_address_as_it_is_printed(name: str, odd: Any, platform: Any) -> None:
    assert remembered(odd, "--select", address(name)) == {name}
    text = (odd.folder / "odd.yaml").read_text()
    (odd.folder / "odd.yaml").write_text(text.replace("value: 1}", "value: 2}"))
    odd("apply", "--yes", "--select", address(name))
    changed = {key for key, test in platform.tests("odd").items() if test["thresholds"][0]["value"] == 2}
    assert changed == {name}


@pytest.mark.parametrize("name", ["*", "B [p95]"])
def test_measurements_are_of_the_test_that_is_named(name: str, odd: Any, platform: Any) -> None:
    """What is evaluated, and what is shown of the past."""
    odd("status", code=5)
    shown = json.loads(odd("status", "--select", address(name), "--format", "json", code=5).out)
    assert {each["address"] for each in shown["verdicts"]} == {address(name)}
    past = json.loads(odd("history", address(name), "--format", "json").out)
    assert address(name) in json.dumps(past)
    assert address("Plain") not in json.dumps(past)
    assert platform.writes


def test_the_one_test_that_a_command_needs(odd: Any) -> None:
    """A star is a test here, not all of them; its bare name will do."""
    for given in (address("*"), "odd/monitoring/*", "*"):
        assert "means" not in odd("suggest", given, "--budget", "1/week", code=1).words
    assert "means 3 tests" in odd("suggest", "odd/monitoring/**", "--budget", "1/week", code=64).words


def test_export_takes_the_project_that_is_called_so(odd: Any, platform: Any) -> None:
    for name in ("[a]", "a"):
        platform.api("POST", "/projects", {"name": name, "taskType": "llm-base"})
    assert odd("export", "--out", "one", "--select", "[a]").out.startswith("+ one/a.yaml\n1 resource in 1 file;")
    assert "name: '[a]'" in (odd.folder / "one" / "a.yaml").read_text().replace('"', "'")
