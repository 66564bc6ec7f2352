"""The workflow that ``reconciler init`` writes, run step by step: pull request, fork, merge, night."""

from __future__ import annotations

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


def test_a_merge_a_refused_pull_request_an_agreement_and_a_quiet_night(
    start: Start, forge: Forge, repository: Path
) -> None:
    """Nothing streamed rows, so the gate fails after the first merge, and the state is saved nevertheless."""
    merged = start("apply", "push")
    assert merged.failed
    assert "Apply: 5 done." in merged.log
    assert "Rows arrive" in merged.summary
    assert [uses.partition("@")[0] for uses in merged.used][-2:] == ["actions/cache/save", "actions/upload-artifact"]
    assert "Rows arrive" in (repository / "report.html").read_text(encoding="utf-8")
    _loosen(repository)
    refused = start("plan", "pull_request", pull_request())
    assert refused.failed
    assert "--ack loosen=1" in forge.bodies("ci-bot")[0]
    assert "Apply: 1 done." in start("apply", "workflow_dispatch", ack="loosen=1").log
    assert not start("drift", "schedule").failed


def test_several_risks_are_agreed_to_at_once(start: Start, repository: Path) -> None:
    """The starter's own policy asks for both.  Each word is one value: no option, no path, no command."""
    start("apply", "push")
    _loosen(repository)
    manifest = repository / "projects/assistant.yaml"
    text = manifest.read_text(encoding="utf-8")
    manifest.write_text(text.replace("evaluationWindow: 24h", "evaluationWindow: 12h"), encoding="utf-8")
    short = start("apply", "workflow_dispatch", ack="loosen=1")
    assert "--ack replace=3" in short.log
    for odd in ("--ack replace=3", "loosen=1 * $(touch was-run) `touch was-run`", "loosen=1; touch was-run"):
        refused = start("apply", "workflow_dispatch", ack=odd)
        assert "Invalid value for '--ack'" in refused.log
        assert not (repository / "was-run").exists()
    assert "3 replaced" in start("apply", "workflow_dispatch", ack="  loosen=1 replace=3 ").log


def test_a_fork_s_change_is_shown_without_key_and_token(start: Start, forge: Forge, repository: Path) -> None:
    _loosen(repository)
    done = start("plan", "pull_request", pull_request("stranger/bots"), key="")
    assert "LOOSENED" in done.log
    assert "Offline" in done.summary
    assert forge.seen == []
