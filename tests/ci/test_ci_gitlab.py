"""The jobs for GitLab: their scripts run as shell, over a state that GitLab manages, against the emulator."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from string import Template
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml

from tests.ci.conftest import KEY, ROOT, commit, git
from tests.ci.test_ci_action import MANIFEST
from tests.conftest import STATE_PASSWORD, TerraformServer
from tests.forge.conftest import TOKEN, Forge

Doc = dict[str, Any]
TEMPLATE = ROOT / "examples/gitlab-ci/reconciler.gitlab-ci.yml"
TOLD: Doc = yaml.safe_load(TEMPLATE.read_text(encoding="utf-8"))
JOBS = [".reconciler-validate", ".reconciler-plan", ".reconciler-apply", ".reconciler-evaluate", ".reconciler-drift"]
PRODUCTION = (
    MANIFEST
    + """---
apiVersion: reconciler/v1
kind: Environment
metadata: {name: production}
spec:
  policy: {require: [loosen]}
"""
)
Run = Callable[..., subprocess.CompletedProcess[str]]


def resolved(name: str) -> Doc:
    """A job with what it extends; mappings are merged key by key, as GitLab does."""
    own: Doc = TOLD[name]
    if "extends" not in own:
        return own
    under = resolved(own["extends"])
    return under | own | {"variables": under.get("variables", {}) | own.get("variables", {})}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    folder = tmp_path / "checkout"
    (folder / ".cache/venv/bin").mkdir(parents=True)
    (folder / ".cache/venv/bin/activate").write_text("", encoding="utf-8")
    (folder / "bot.yaml").write_text(PRODUCTION, encoding="utf-8")
    (folder / ".gitignore").write_text(".reconciler/\n.cache/\n", encoding="utf-8")
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "one")
    return folder


@pytest.fixture
def run(checkout: Path, tools: str, platform: str, terraform_server: TerraformServer) -> Run:
    """Runs the script of a job, and what comes after it, with the variables of a pipeline of project 42."""

    def started(name: str, variables: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        found = resolved(name)
        environ = {
            "PATH": tools, "PYTHONPATH": str(ROOT), "HOME": str(checkout.parent), "GITLAB_CI": "true", "CI": "true",
            "CI_PROJECT_DIR": str(checkout), "CI_PROJECT_ID": "42", "CI_API_V4_URL": f"{terraform_server.url}/api/v4",
            "CI_JOB_TOKEN": STATE_PASSWORD, "RECONCILER_ENV": "production",
            "OPENLAYER_BASE_URL": platform, "OPENLAYER_API_KEY": KEY,
            **(variables or {}),
        }  # fmt: skip
        written = {key: str(value) for key, value in found["variables"].items()}
        told = {key: Template(value).safe_substitute(environ) for key, value in written.items()}
        environ = told | environ  # variables of the project go before those of the file
        done = _shell(found["script"], checkout, environ)
        after = _shell(found["after_script"], checkout, environ) if "after_script" in found else None
        return subprocess.CompletedProcess(name, done.returncode, done.stdout + (after.stdout if after else ""))

    return started


def _shell(lines: list[str], folder: Path, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", "\n".join(lines)],
        cwd=folder, env=dict(environ), text=True, stdin=subprocess.DEVNULL, timeout=120,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def _merge_request(source: str = "42", base: str = "") -> dict[str, str]:
    return {
        "CI_MERGE_REQUEST_IID": "12",
        "CI_MERGE_REQUEST_PROJECT_ID": "42",
        "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": source,
        "CI_MERGE_REQUEST_DIFF_BASE_SHA": base,
    }


def test_merge_night_gate_refusal_and_agreement_with_the_state_at_gitlab(
    run: Run, checkout: Path, terraform_server: TerraformServer
) -> None:
    """A gate that fails leaves its reports.  Arguments are words, and globs in them stay what they are."""
    applied = run(".reconciler-apply")
    assert applied.returncode == 0, applied.stdout
    assert list(terraform_server.documents) == ["/api/v4/projects/42/terraform/state/evaluations-production"]
    assert json.loads((checkout / "tfplan.json").read_text()) == {"create": 3, "update": 0, "delete": 0}
    assert run(".reconciler-drift").returncode == 0
    assert run(".reconciler-evaluate").returncode == 5
    suites = ET.parse(checkout / "junit.xml").getroot()
    assert [case.get("name") for case in suites.iter("testcase")] == ["monitoring/Enough rows [live]"]
    assert (checkout / "metrics.txt").read_text().endswith("# EOF\n")
    (checkout / "bot.yaml").write_text(PRODUCTION.replace("value: 3}", "value: 2}"), encoding="utf-8")
    assert run(".reconciler-plan", _merge_request()).returncode == 3
    assert json.loads((checkout / "tfplan.json").read_text()) == {"create": 0, "update": 1, "delete": 0}
    (checkout / "bot").mkdir()
    (checkout / "bot/file").touch()
    arguments = "--ack loosen=1 --select bot/*"
    assert run(".reconciler-apply", {"RECONCILER_ARGUMENTS": arguments}).returncode == 0


def test_a_mistake_is_code_quality_on_its_line(run: Run, checkout: Path) -> None:
    (checkout / "bot.yaml").write_text(PRODUCTION.replace("taskType", "tasktype"), encoding="utf-8")
    assert run(".reconciler-validate").returncode == 1
    found = json.loads((checkout / "codequality.json").read_text())
    assert found[0]["location"] == {"path": "bot.yaml", "lines": {"begin": 5}}


def test_a_plan_is_told_on_the_merge_request_where_there_is_a_token(run: Run, forge: Forge, tmp_path: Path) -> None:
    """Also one that is refused."""
    at_forge = {"CI_API_V4_URL": f"{forge.url}/api/v4", "RECONCILER_STATE_URL": str(tmp_path / "state")}
    assert run(".reconciler-plan", _merge_request() | at_forge).returncode == 0
    assert forge.seen == []
    told = run(".reconciler-plan", _merge_request() | at_forge | {"GITLAB_TOKEN": TOKEN})
    assert told.returncode == 0
    assert "3 to create" in forge.bodies("ci-bot")[0]


def test_a_fork_s_merge_request_is_compared_with_what_it_set_out_from(
    run: Run, checkout: Path, terraform_server: TerraformServer
) -> None:
    """Without key and state."""
    base = git(checkout, "rev-parse", "HEAD").strip()
    (checkout / "bot.yaml").write_text(PRODUCTION.replace("value: 3}", "value: 2}"), encoding="utf-8")
    shown = run(".reconciler-plan", _merge_request("77", base) | {"OPENLAYER_API_KEY": ""})
    assert "LOOSENED" in shown.stdout
    assert shown.returncode == 3
    assert json.loads((checkout / "tfplan.json").read_text()) == {"create": 0, "update": 1, "delete": 0}
    assert terraform_server.seen == []


def test_jobs_write_what_they_hand_over_and_take_turns() -> None:
    """Reports that a job names are files that its script writes; what writes the state is alone in its environment."""
    for name in JOBS:
        told = resolved(name)
        script = "\n".join(told["script"])
        for file in told.get("artifacts", {}).get("reports", {}).values():
            assert f"={file}" in script, name
        assert ("resource_group" in told) == ("apply" in script or "evaluate" in script), name
        assert told["rules"], name
    assert [name for name in TOLD if name.startswith(".reconciler-")] == JOBS
    assert not [name for name in TOLD if not name.startswith(".") and name != "variables"]


def test_the_head_of_the_template_shows_jobs_that_there_are() -> None:
    lines = [line.removeprefix("#")[3:] for line in TEMPLATE.read_text(encoding="utf-8").splitlines()
             if line.startswith("#   ")]  # fmt: skip
    shown = yaml.safe_load("\n".join(lines))
    assert {each["extends"] for name, each in shown.items() if name != "include"} == set(JOBS)
