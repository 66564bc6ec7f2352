"""The examples: valid for all their environments, applied, and empty when planned again."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml
from jsonschema import Draft7Validator

Run = Callable[..., CompletedProcess[str]]

ROOT = Path(__file__).parents[2]
EXAMPLES = {
    # example: (environment, the variable that holds its key, declared, created, matching afterwards)
    "quickstart": (None, "OPENLAYER_API_KEY", 15, 15, 15),
    "many-projects": (None, "OPENLAYER_API_KEY", 22, 22, 22),
    "multi-environment": ("production", "OPENLAYER_API_KEY_PRODUCTION", 5, 5, 5),
    "digitalocean": (None, "DIGITALOCEAN_TOKEN", 7, 3, 4),  # runs are no objects, the workspace is looked up
}
IN_CI = {"gitops", "gitlab-ci"}
"""What ``tests/ci`` runs: a repository with a state in a bucket, and jobs without manifests."""


def test_every_example_is_tried_here(scratch: Path) -> None:
    """A new example fails until it stands in the table above."""
    folders = {folder.name for folder in (scratch / "examples").iterdir() if folder.is_dir()}
    assert folders == set(EXAMPLES) | IN_CI


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_example_is_valid_for_all_its_environments_and_warns_of_nothing(example: str, reconciler: Run) -> None:
    done = reconciler("validate", f"examples/{example}")
    resources = EXAMPLES[example][2]
    assert done.stdout.startswith(f"{resources} resources")
    assert done.stderr == ""


@pytest.mark.parametrize("example", EXAMPLES)
def test_an_applied_example_plans_to_no_changes(example: str, reconciler: Run, emulator: str, key: str) -> None:
    """Over a socket, as against the live platform."""
    environment, variable, _, created, matching = EXAMPLES[example]
    chosen = ["--env", environment] if environment else []
    environ = {
        "OPENLAYER_BASE_URL": emulator,
        "DIGITALOCEAN_BASE_URL": emulator.removesuffix("/v1"),
        variable: key,
    }
    path = f"examples/{example}"
    plan = json.loads(reconciler("plan", path, *chosen, "--format", "json", environ=environ).stdout)
    assert plan["summary"]["create"] == created
    reconciler("apply", path, *chosen, "--yes", environ=environ)
    again = reconciler("plan", path, *chosen, "--detailed-exitcode", environ=environ)
    assert again.stdout == f"No changes. {matching} resources match the manifests.\n"


def test_runs_of_the_digitalocean_example_are_judged_by_their_own_agents(reconciler: Run) -> None:
    """The canary is wrong, and only the run that is about it says so; looking again triggers nothing."""
    command = ("examples/digitalocean", "--env", "local")
    applied = reconciler("apply", *command, "--yes", "--evaluate")
    assert "3 passed, 1 warned, 0 failed" in applied.stdout
    verdicts = json.loads(reconciler("status", *command, "--format", "json").stdout)["verdicts"]
    assert {(v["address"].split("/")[-1], v["pipeline"], v["level"]) for v in verdicts} == {
        ("correctness", "support-bot", "pass"),
        ("correctness of the canary", "support-bot-canary", "warn"),
        ("leaks", "support-bot", "pass"),
        ("leaks", "support-bot-canary", "pass"),
    }


def test_the_quickstart_passes_its_gate_with_two_warnings(reconciler: Run) -> None:
    """Both are about the canary: one test of severity warn fails, one passes but misses its stricter threshold."""
    applied = reconciler("apply", "examples/quickstart", "--env", "local", "--yes", "--evaluate")
    assert "20 passed, 2 warned, 0 failed" in applied.stdout
    verdicts = json.loads(reconciler("status", "examples/quickstart", "--env", "local", "--format", "json").stdout)
    warned = {(v["address"].split("/")[-1], v["pipeline"]) for v in verdicts["verdicts"] if v["level"] == "warn"}
    assert warned == {("Customers are satisfied", "canary"), ("Answers are as approved", "canary")}


def test_the_quickstart_run_again_changes_and_evaluates_nothing(reconciler: Run) -> None:
    command = ("apply", "examples/quickstart", "--env", "local", "--yes", "--evaluate")
    reconciler(*command)
    again = reconciler(*command)
    assert again.stdout == "No changes. 15 resources match the manifests.\n"
    assert "Nothing to evaluate" in again.stderr


def test_one_set_of_manifests_differs_between_environments_only_where_they_say_so(
    reconciler: Run, emulator: str, key: str
) -> None:
    values = {}
    for environment in ("staging", "production"):
        environ = {"OPENLAYER_BASE_URL": emulator, f"OPENLAYER_API_KEY_{environment.upper()}": key}
        command = ("plan", "examples/multi-environment", "--env", environment, "--format", "json")
        steps = json.loads(reconciler(*command, environ=environ).stdout)["steps"]
        values[environment] = {(step["name"], c["path"]): c["after"] for step in steps for c in step["changes"]}
    staging, production = values["staging"], values["production"]
    assert staging.keys() == production.keys()
    different = [where for where in staging if staging[where] != production[where]]
    assert {where: ([t["value"] for t in staging[where]], [t["value"] for t in production[where]])
            for where in different} == {
        ("Enough mail to judge", "thresholds"): ([20], [500]),
        ("Mail reaches the right team", "thresholds"): ([0.85, 0.8], [0.93, 0.9]),
    }  # fmt: skip


def test_an_environment_uses_the_key_that_it_names_and_no_other(reconciler: Run, emulator: str, key: str) -> None:
    done = reconciler(
        "plan", "examples/multi-environment", "--env", "staging",
        environ={"OPENLAYER_BASE_URL": emulator, "OPENLAYER_API_KEY_PRODUCTION": key, "OPENLAYER_API_KEY": key},
        exits=1,
    )  # fmt: skip
    assert "OPENLAYER_API_KEY_STAGING is not set" in done.stderr


def test_production_asks_for_a_yes_to_a_loosened_threshold(
    reconciler: Run, scratch: Path, emulator: str, key: str
) -> None:
    """Its policy names ``loosen``; staging's does not."""
    environ = {
        "OPENLAYER_BASE_URL": emulator,
        "OPENLAYER_API_KEY_STAGING": key,
        "OPENLAYER_API_KEY_PRODUCTION": key,
    }
    manifest = scratch / "examples/multi-environment/ticket-router.yaml"
    command = ("apply", "examples/multi-environment", "--yes", "--env")
    reconciler(*command, "production", environ=environ)
    manifest.write_text(manifest.read_text(encoding="utf-8").replace("value: 300}", "value: 900}"), encoding="utf-8")
    refused = reconciler(*command, "production", environ=environ, exits=3)
    assert "--ack loosen=1" in refused.stdout
    reconciler(*command, "production", "--ack", "loosen=1", environ=environ)


def test_a_test_set_reaches_a_new_project_by_its_label(reconciler: Run, scratch: Path) -> None:
    reconciler("apply", "examples/many-projects", "--env", "local", "--yes")
    staff = scratch / "examples/many-projects/projects/handbook-search.yaml"
    text = staff.read_text(encoding="utf-8")
    staff.write_text(text.replace("audience: staff", "audience: customers"), encoding="utf-8")
    shown = reconciler("plan", "examples/many-projects", "--env", "local", "--format", "json")
    created = [step["name"] for step in json.loads(shown.stdout)["steps"] if step["action"] == "create"]
    assert created == [
        "Answers leak no card number",
        "Answers leak no mail address",
        "Answers leak no phone number",
        "Answers stay short",
    ]


def test_the_examples_and_the_starter_are_in_canonical_form(reconciler: Run) -> None:
    assert reconciler("fmt", "--check", "examples").stdout == ""
    reconciler("init", "evals")
    assert reconciler("fmt", "--check", cwd="evals").stdout == ""


@pytest.mark.parametrize("example", [*EXAMPLES, "gitops"])
def test_every_manifest_of_an_example_names_a_schema_that_it_meets(example: str, scratch: Path) -> None:
    """What an editor shows is what ``validate`` says: both come from the kinds."""
    for manifest in (scratch / "examples" / example).rglob("[!.]*.yaml"):
        text = manifest.read_text(encoding="utf-8")
        named = text.partition("\n")[0].removeprefix("# yaml-language-server: $schema=")
        schema = (ROOT / "examples" / manifest.relative_to(scratch / "examples")).parent / named
        Draft7Validator(json.loads(schema.read_text(encoding="utf-8"))).validate(yaml.safe_load(text))
