"""What a pull request from a fork shows: the offline plan in the job's summary, on its lines, and as a comment."""

from __future__ import annotations

import json
from typing import Any

import pytest

from reconciler.reporting.markdown import plan_markdown
from reconciler.reporting.pages import page
from reconciler.reporting.reading import read_told

OFFLINE = ("plan", "--offline", "--base", "main")


@pytest.fixture
def loosened(repository: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A job of a fork's pull request, which lets more rows pass."""
    repository.edit("bot.yaml", "value: 100", "value: 200")
    for name, value in {
        "GITHUB_ACTIONS": "true",
        "GITHUB_WORKSPACE": str(repository.folder),
        "GITHUB_STEP_SUMMARY": str(repository.folder / "summary.md"),
        "GITHUB_OUTPUT": str(repository.folder / "outputs"),
    }.items():
        monkeypatch.setenv(name, value)
    return repository


def test_a_fork_sees_its_plan_without_account_and_network(loosened: Any) -> None:
    told = loosened(*OFFLINE, "--report", "github")
    summary = (loosened.folder / "summary.md").read_text(encoding="utf-8")
    assert "Offline: compared with the manifests of main" in summary
    assert "100 -> 200  LOOSENED" in summary
    assert "::warning file=bot.yaml,line=" in told.err
    assert "has-changes<<" in (loosened.folder / "outputs").read_text(encoding="utf-8")


def test_its_json_makes_the_comment_elsewhere(loosened: Any) -> None:
    """Another job, with the right to write, makes the page from data and not from a stranger's Markdown."""
    told = read_told(loosened(*OFFLINE, "--format", "json").out)
    assert told is not None
    assert told.plan is not None
    assert page(told).startswith("<!-- reconciler:offline plan ")
    assert page(told) == plan_markdown(told.plan, limit=65_336)
    assert str(told.plan.basis.base).startswith("main (")


def test_the_widget_counts_what_would_change(loosened: Any) -> None:
    assert json.loads(loosened(*OFFLINE, "--format", "gitlab").out) == {"create": 0, "update": 1, "delete": 0}


@pytest.mark.parametrize("option", [("--report", "json=x"), ("--format", "gitlab"), ("--format", "github")])
def test_nothing_to_compare_with_is_nothing_to_report(repository: Any, option: tuple[str, str]) -> None:
    assert "needs something to compare with" in repository("plan", "--offline", *option, code=64).words
