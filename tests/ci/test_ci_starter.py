"""The workflow that ``reconciler init`` writes, run step by step: pull request, fork, merge, night."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.cli.init import starter
from tests.ci.conftest import KEY, Job, commit, git, job, pull_request
from tests.forge.conftest import Forge

Doc = dict[str, Any]
Start = Callable[..., Job]
WORKFLOW = ".github/workflows/evaluations.yml"


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """What ``init`` writes, committed and pushed to an origin."""
    folder = tmp_path / "checkout"
    for name, content in starter():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "one")
    git(folder, "clone", "-q", "--bare", ".", str(tmp_path / "origin"))
    git(folder, "remote", "add", "origin", str(tmp_path / "origin"))
    git(folder, "fetch", "-q", "origin")
    return folder


@pytest.fixture
def start(repository: Path, tmp_path: Path, tools: str, forge: Forge, platform: str) -> Start:
    """Runs one job of the workflow about an event, without what installs the tool."""

    def started(name: str, event_name: str, event: Doc | None = None, key: str = KEY, ack: str = "") -> Job:
        environ = {"GITHUB_API_URL": forge.url, "OPENLAYER_BASE_URL": platform}
        made = job(repository, tmp_path / "temp", tools, event_name, event or {}, environ)
        made.contexts |= {"secrets": {"OPENLAYER_API_KEY": key}, "inputs": {"ack": ack}}
        told = yaml.safe_load((repository / WORKFLOW).read_text(encoding="utf-8"))["jobs"][name]
        assert "if" not in told or made.value(told["if"], {})
        return made.run([step for step in told["steps"] if not step.get("run", "").startswith("pip ")])

    return started


def _loosen(repository: Path) -> None:
    manifest = repository / "projects/assistant.yaml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace("value: 3000}", "value: 4000}"), encoding="utf-8")


def test_a_merge_is_applied_and_its_gate_fails_without_rows(start: Start) -> None:
    """Five resources are made; nothing streamed rows, so ``Rows arrive`` fails, and the state is saved nevertheless."""
    done = start("apply", "push")
    assert "Apply: 5 done." in done.log
    assert "::error" in done.log
    assert "Rows arrive" in done.summary
    assert (done.failed, done.contexts["steps"]) == (True, {})
    assert [uses.partition("@")[0] for uses in done.used][-1] == "actions/cache/save"


def test_a_pull_request_is_planned_and_told(start: Start, forge: Forge) -> None:
    done = start("plan", "pull_request", pull_request())
    assert not done.failed
    assert "5 to create" in done.summary
    assert "5 to create" in forge.bodies("ci-bot")[0]


def test_a_refused_plan_is_told_and_fails_until_the_risk_was_agreed_to(
    start: Start, forge: Forge, repository: Path
) -> None:
    start("apply", "push")
    _loosen(repository)
    refused = start("plan", "pull_request", pull_request())
    assert refused.failed
    assert "--ack loosen=1" in forge.bodies("ci-bot")[0]
    assert "loosen=1" in start("apply", "push").log
    assert "Apply: 1 done." in start("apply", "workflow_dispatch", ack="loosen=1").log


def test_a_fork_s_change_is_shown_without_key_and_token(start: Start, forge: Forge, repository: Path) -> None:
    _loosen(repository)
    done = start("plan", "pull_request", pull_request("stranger/bots"), key="")
    assert "LOOSENED" in done.log
    assert "Offline" in done.summary
    assert forge.seen == []


def test_the_night_finds_what_somebody_changed_by_hand(start: Start, platform: str) -> None:
    start("apply", "push")
    assert not start("drift", "schedule").failed
    project = _api(platform, "GET", "/projects")["items"][0]
    tests = _api(platform, "GET", f"/projects/{project['id']}/tests")["items"]
    _api(platform, "PUT", f"/projects/{project['id']}/tests", {"payloads": [{"id": tests[0]["id"], "name": "By hand"}]})
    found = start("drift", "schedule")
    assert found.failed
    assert "By hand" in found.log


def _api(platform: str, method: str, path: str, body: object = None) -> Any:
    request = urllib.request.Request(
        platform + path,
        None if body is None else json.dumps(body).encode(),
        {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        method=method,
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)
