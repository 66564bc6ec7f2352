"""``reconciler init``: what it writes works, and it never overwrites."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import yaml

from reconciler.cli.init import starter

Run = Callable[..., CompletedProcess[str]]

FILES = [
    ".github/workflows/evaluations.yml",
    ".gitignore",
    "environments/local.yaml",
    "environments/production.yaml",
    "projects/assistant.yaml",
    "rows/production.jsonl",
]


def test_the_starter_is_written_into_a_new_folder(reconciler: Run, scratch: Path) -> None:
    done = reconciler("init", "evals")
    written = sorted(str(path.relative_to(scratch / "evals")) for path in (scratch / "evals").rglob("*.*"))
    assert [name for name in written if (scratch / "evals" / name).is_file()] == FILES
    assert done.stdout.splitlines() == [f"+ evals/{name}" for name in FILES]


def test_the_starter_is_valid_applied_evaluated_and_then_has_no_changes(reconciler: Run) -> None:
    reconciler("init", "evals")
    assert reconciler("validate", cwd="evals").stdout == "5 resources in 2 environments: valid.\n"
    applied = reconciler("apply", "--env", "local", "--yes", "--evaluate", cwd="evals")
    assert "3 passed, 0 warned, 0 failed" in applied.stdout
    again = reconciler("plan", "--env", "local", "--detailed-exitcode", cwd="evals")
    assert again.stdout == "No changes. 5 resources match the manifests.\n"


def test_the_starter_plans_against_a_platform_with_a_key(reconciler: Run, emulator: str, key: str) -> None:
    reconciler("init", "evals")
    environ = {"OPENLAYER_BASE_URL": emulator, "OPENLAYER_API_KEY": key}
    planned = reconciler("plan", "--env", "production", "--detailed-exitcode", cwd="evals", environ=environ, exits=2)
    assert "Plan: 5 to create." in planned.stdout


@pytest.mark.parametrize("name", FILES)
def test_nothing_is_written_when_any_file_would_be_overwritten(name: str, reconciler: Run, scratch: Path) -> None:
    """A link that leads nowhere counts as a file."""
    taken = scratch / "evals" / name
    taken.parent.mkdir(parents=True)
    taken.symlink_to("nowhere")
    refused = reconciler("init", "evals", exits=64)
    assert f"evals/{name} would be overwritten" in refused.stderr
    assert [path for path in (scratch / "evals").rglob("*") if path.is_file()] == []
    assert not taken.exists()


def test_a_folder_that_can_not_be_made_is_one_sentence(reconciler: Run, scratch: Path) -> None:
    (scratch / "file").write_text("")
    done = reconciler("init", "file", exits=1)
    assert "file/.github/workflows/evaluations.yml cannot be written: Not a directory" in done.stderr


def test_the_workflow_of_the_starter_has_few_rights_and_pinned_actions() -> None:
    """Nothing that a pull request can write stands in a shell line.  Only the job that comments may write comments."""
    text = dict(starter())[".github/workflows/evaluations.yml"].decode()
    workflow = yaml.safe_load(text)
    assert workflow["permissions"] == {"contents": "read"}
    more = {name: job["permissions"] for name, job in workflow["jobs"].items() if "permissions" in job}
    assert more == {"plan": {"contents": "read", "pull-requests": "write"}}
    steps = [step for job in workflow["jobs"].values() for step in job["steps"]]
    assert all(re.fullmatch(r"[\w/-]+@[0-9a-f]{40}", step["uses"]) for step in steps if "uses" in step)
    assert [step["run"] for step in steps if "${{" in step.get("run", "")] == []


def test_the_workflow_of_the_starter_shows_its_key_to_no_pull_request_from_a_fork() -> None:
    workflow = yaml.safe_load(dict(starter())[".github/workflows/evaluations.yml"])
    keyed = {
        name: [str(job["if"]), *(str(step.get("if", "")) for step in job["steps"] if _has_a_secret(step))]
        for name, job in workflow["jobs"].items()
        if any(_has_a_secret(step) for step in job["steps"])
    }
    ours = "github.event.pull_request.head.repo.full_name == github.repository"
    assert keyed == {
        "plan": ["github.event_name == 'pull_request'", ours, f"(!cancelled()) && {ours}"],
        "apply": ["github.event_name == 'push' || github.event_name == 'workflow_dispatch'", ""],
        "drift": ["github.event_name == 'schedule'", ""],
    }


def _has_a_secret(step: dict[str, Any]) -> bool:
    return any("secrets." in value or "github.token" in value for value in step.get("env", {}).values())
