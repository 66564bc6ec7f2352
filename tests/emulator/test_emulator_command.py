"""The page of commands tells what the emulator reads, and an option that makes no sense is refused."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest

from reconciler.cli.main import main
from reconciler.emulator.digitalocean.seed import Quota, Seed, SeededAgent, SeededMetric, SeededWorkspace
from reconciler.emulator.faults import Action, FaultRule, FaultScript

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "commands.md").read_text(encoding="utf-8")


def section(heading: str) -> str:
    found = re.search(rf"^### {heading}$(.*?)(?=^##)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None
    return found[1]


def example(heading: str) -> object:
    """The one JSON block of a section."""
    (text,) = re.findall(r"^```json\n(.*?)^```$", section(heading), re.MULTILINE | re.DOTALL)
    return json.loads(text)


def rows(heading: str) -> set[str]:
    """What stands in the first column of the tables of a section."""
    cells = re.findall(r"^\| (`[^|]+`) \|", section(heading), re.MULTILINE)
    return {word for cell in cells for word in re.findall(r"`([^`]+)`", cell)}


def test_the_fault_script_of_the_page_is_one() -> None:
    script = FaultScript.from_json(example("A script of faults"))
    hits = [[rule.action for rule in script.hitting("POST", "/v1/projects/p1/tests")] for _ in range(3)]
    assert hits == [[], ["drop-after"], []]


def test_every_field_and_action_of_a_fault_script_stands_in_the_page() -> None:
    fields = {field.alias for field in FaultRule.model_fields.values()}
    assert rows("A script of faults") == {*fields, *get_args(Action)}


def test_the_seed_of_the_page_is_one() -> None:
    seed = Seed.from_json(example("A seed"))
    assert [agent.name for workspace in seed.workspaces for agent in workspace.agents] == ["bot", "broken"]
    assert [metric.metric_name for metric in seed.metrics] == ["Leaks"]


def test_every_field_of_a_seed_stands_in_the_page() -> None:
    models = (Seed, SeededWorkspace, SeededAgent, SeededMetric, Quota)
    assert rows("A seed") == {name for model in models for name in model.model_fields}


@pytest.mark.parametrize("rate", ["0/s", "0.0/s", "-1/s", "100", "", "nan/s"])
def test_a_rate_that_lets_nothing_through_is_none(rate: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emulator", "--port", "0", "--rate", rate]) == 64
    assert f"--rate {rate}: write 100/s" in capsys.readouterr().err
