"""Our action: it passes on what it is given as it is, keeps the tool's exit code, and is careful with forks."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ci.conftest import KEY, OURS, ROOT, WITHOUT_INDEX, Job, commit, git, job, pull_request
from tests.forge.conftest import TOKEN, Forge

MANIFEST = """apiVersion: openlayer/v1
kind: Project
metadata: {name: bot}
spec:
  taskType: llm-base
  pipelines: [{name: live}]
  testDefaults: {evaluationWindow: 1h}
  tests:
    - name: Enough rows
      type: integrity
      subtype: rowCount
      thresholds: [{insightName: metrics, measurement: rowCount, operator: ">=", value: 3}]
"""
Start = Callable[..., Job]


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """What the default branch holds: one manifest."""
    folder = tmp_path / "checkout"
    folder.mkdir()
    (folder / "bot.yaml").write_text(MANIFEST, encoding="utf-8")
    (folder / ".gitignore").write_text(".reconciler/\n", encoding="utf-8")
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "one")
    return folder


@pytest.fixture
def start(checkout: Path, tmp_path: Path, tools: str, forge: Forge) -> Start:
    """A job about an event in the checkout, in which the forge can be reached."""

    def started(event_name: str = "push", event: dict[str, Any] | None = None, **environ: str) -> Job:
        variables = {"GITHUB_API_URL": forge.url, **environ}
        return job(checkout, tmp_path / "temp", tools, event_name, event or {}, variables)

    return started


@pytest.fixture
def keyed(platform: str) -> dict[str, str]:
    return {"OPENLAYER_BASE_URL": platform, "OPENLAYER_API_KEY": KEY}


def test_a_push_is_applied_without_asking_and_a_failed_gate_is_told(
    start: Start, forge: Forge, keyed: dict[str, str]
) -> None:
    """The key stands in the ``env`` of the step that uses the action, and reaches the tool."""
    applied = start().action(keyed, command="apply")
    assert (applied.failed, applied.outputs["exit-code"]) == (False, "0")
    assert "Apply: 3 done." in applied.log
    again = start().action(keyed, command="plan", arguments="--detailed-exitcode")
    assert (again.failed, again.outputs["has-changes"]) == (False, "false")
    assert "No changes" in again.summary
    event = pull_request()
    gate = start("pull_request", event).action(keyed, command="evaluate", arguments="--since 2h", comment="true")
    assert (gate.failed, gate.outputs["exit-code"], gate.outputs["gate"]) == (True, "5", "failed")
    assert "Enough rows" in forge.bodies("ci-bot")[0]


def test_the_exit_code_of_the_tool_is_the_step_s(start: Start, keyed: dict[str, str]) -> None:
    changes = start().action(keyed, command="plan", arguments="--detailed-exitcode")
    assert (changes.failed, changes.outputs["exit-code"], changes.outputs["has-changes"]) == (True, "2", "true")


def test_a_command_line_that_makes_no_sense_has_an_exit_code_too(start: Start) -> None:
    """It ends before the tool looks at ``--report``."""
    wrong = start().action(command="validate", arguments="--wrong")
    assert (wrong.failed, wrong.outputs["exit-code"]) == (True, "64")


def test_words_are_passed_on_as_they_are_and_nothing_is_run(
    start: Start, checkout: Path, keyed: dict[str, str]
) -> None:
    """Substitutions, globs and separators mean nothing; quotes keep words together."""
    (checkout / "with space").mkdir()
    (checkout / "bot.yaml").rename(checkout / "with space" / "bot.yaml")
    done = start().action(
        keyed,
        command="plan",
        paths="'with space'",
        arguments="--var 'x=$(touch made) ; `touch made` && *'\n--select \"bot/*\"\n--events events.ndjson",
    )
    assert "Plan: 3 to create." in done.log
    assert not done.failed
    assert not (checkout / "made").exists()
    assert (checkout / "events.ndjson").exists()


@pytest.mark.parametrize(
    ("inputs", "said"),
    [
        ({"command": "destroy"}, "the input command must be"),
        ({"command": "plan; true"}, "the input command must be"),
        ({"command": "plan", "arguments": "--select 'bot"}, "arguments cannot be read: a quote is not closed"),
        ({"command": "plan", "paths": '"bot'}, "paths cannot be read: a quote is not closed"),
        ({"command": "plan", "offline": "yes"}, "the input offline must be"),
    ],
)
def test_inputs_that_make_no_sense_are_said_at_once(inputs: dict[str, str], said: str, start: Start) -> None:
    refused = start().action(**inputs)
    assert said in refused.log
    assert (refused.failed, refused.outputs["exit-code"]) == (True, "64")


def test_an_environment_or_a_path_that_looks_like_an_option_is_none(start: Start) -> None:
    odd = start().action(command="validate", environment="--help")
    assert "Usage:" not in odd.log
    assert '"--help"' in odd.log
    path = start().action(command="validate", paths="--help")
    assert "Usage:" not in path.log
    assert path.failed


def test_modules_in_the_checkout_do_not_stand_in_for_python_s(start: Start, checkout: Path) -> None:
    """A stranger's ``shlex.py`` is not run, although Python looks into the working directory first."""
    for name in ("shlex", "os", "venv"):
        (checkout / f"{name}.py").write_text("open('made', 'w')\n", encoding="utf-8")
    done = start(PYTHONPATH=str(ROOT)).action(command="validate", arguments="--no-color")
    assert "3 resources" in done.log
    assert not (checkout / "made").exists()


# ------------------------------------------------------------------------------------------ comments


def test_a_plan_is_told_on_the_pull_request_and_brought_up_to_date(
    start: Start, forge: Forge, checkout: Path, keyed: dict[str, str]
) -> None:
    start("pull_request", pull_request()).action(keyed, command="plan", comment="true")
    assert "3 to create" in forge.bodies("ci-bot")[0]
    (checkout / "bot.yaml").write_text(MANIFEST.partition("  tests:")[0], encoding="utf-8")
    start("pull_request", pull_request()).action(keyed, command="plan", comment="true")
    assert len(forge.comments) == 1
    assert "2 to create" in forge.bodies("ci-bot")[0]


def test_a_run_that_could_not_plan_is_told_too(start: Start, forge: Forge, platform: str) -> None:
    wrong = {"OPENLAYER_BASE_URL": platform, "OPENLAYER_API_KEY": "another"}
    done = start("pull_request", pull_request()).action(wrong, command="plan", comment="true")
    assert (done.failed, done.outputs["exit-code"]) == (True, "1")
    assert len(forge.comments) == 1


def test_nothing_is_told_where_nobody_asked_or_there_is_no_pull_request(
    start: Start, forge: Forge, keyed: dict[str, str]
) -> None:
    start("pull_request", pull_request()).action(keyed, command="plan")
    done = start().action(keyed, command="plan", comment="true")
    assert not done.failed
    assert forge.seen == []


def test_the_token_is_for_the_comment_only(start: Start, keyed: dict[str, str], tmp_path: Path) -> None:
    """The process that reads manifests has none, neither in its variables nor in its log."""
    spy = tmp_path / "spy"
    spy.mkdir()
    (spy / "reconciler").write_text('#!/bin/sh\nenv > "$RUNNER_TEMP/seen"\n', encoding="utf-8")
    (spy / "reconciler").chmod(0o755)
    started = start("pull_request", pull_request())
    started.environ["PATH"] = f"{spy}{os.pathsep}{started.environ['PATH']}"
    done = started.action(keyed, command="plan")
    assert KEY in (tmp_path / "temp" / "seen").read_text()
    assert TOKEN not in (tmp_path / "temp" / "seen").read_text()
    assert TOKEN not in done.log


# ------------------------------------------------------------------------------------------ forks


@pytest.fixture
def fork(checkout: Path, tmp_path: Path) -> Path:
    """The checkout is a shallow clone of a stranger's change, which loosens a threshold; the clone's origin."""
    origin = tmp_path / "origin"
    subprocess.run(["git", "clone", "-q", "--bare", str(checkout), str(origin)], check=True)
    (checkout / "bot.yaml").write_text(MANIFEST.replace("value: 3", "value: 2"), encoding="utf-8")
    git(checkout, "checkout", "-q", "-b", "change")
    commit(checkout, "two")
    git(checkout, "push", "-q", str(origin), "change")
    shutil.rmtree(checkout)
    command = ["git", "clone", "-q", "--depth=1", "--single-branch", "-b", "change", f"file://{origin}", str(checkout)]
    subprocess.run(command, check=True)
    return origin


@pytest.mark.usefixtures("fork")
@pytest.mark.parametrize(("event", "of"), [("pull_request", "stranger/bots"), ("pull_request_target", "")])
def test_a_fork_s_pull_request_gets_an_offline_plan(of: str, event: str, start: Start, forge: Forge) -> None:
    """Also with a key in reach, which ``pull_request_target`` would give; no platform and no forge is asked."""
    key = {"OPENLAYER_BASE_URL": "http://127.0.0.1:9/v1", "OPENLAYER_API_KEY": KEY}
    done = start(event, pull_request(of)).action(key, command="plan", comment="true")
    assert not done.failed
    assert "::notice title=reconciler::No credentials here" in done.log
    assert "LOOSENED" in done.log
    assert "thresholds" in done.summary
    assert (done.outputs["offline"], done.outputs["loosened"]) == ("true", "1")
    assert forge.seen == []


@pytest.mark.usefixtures("fork")
def test_a_fork_s_mistakes_are_shown_on_their_lines(start: Start, checkout: Path) -> None:
    (checkout / "bot.yaml").write_text(MANIFEST.replace("taskType", "tasktype"), encoding="utf-8")
    done = start("pull_request", pull_request("stranger/bots")).action(command="validate")
    assert done.outputs["valid"] == "false"
    assert "::error file=bot.yaml,line=5" in done.log


@pytest.mark.usefixtures("fork")
@pytest.mark.parametrize("command", ["apply", "evaluate", "drift", "status"])
def test_a_fork_s_pull_request_reaches_no_platform(command: str, start: Start) -> None:
    refused = start("pull_request_target", pull_request("stranger/bots")).action(command=command)
    assert "which this pull request does not get" in refused.log
    assert refused.outputs["exit-code"] == "64"


@pytest.mark.usefixtures("fork")
def test_whoever_has_no_key_can_ask_for_the_offline_plan(start: Start) -> None:
    """As Dependabot's pull requests, which come from the repository itself and get no secrets."""
    arguments = (
        "--rollback --out plan.json --adopt --replay 30d --detailed-exitcode"  # the last one makes sense offline
    )
    done = start("pull_request", pull_request()).action(command="plan", offline="true", arguments=arguments)
    assert (done.outputs["exit-code"], done.outputs["offline"]) == ("2", "true")


def test_offline_means_nothing_without_a_pull_request(start: Start, keyed: dict[str, str]) -> None:
    done = start().action(keyed, command="plan", offline="true")
    assert (done.failed, done.outputs["offline"]) == (False, "false")


def test_a_target_branch_that_can_not_be_fetched_is_said(start: Start, fork: Path) -> None:
    shutil.rmtree(fork)
    done = start("pull_request", pull_request("stranger/bots")).action(command="plan")
    assert "the target branch cannot be fetched" in done.log
    assert (done.failed, done.outputs["exit-code"]) == (True, "1")


class Private(BaseHTTPRequestHandler):
    """A private repository over HTTP: git's own program, behind the one right credential."""

    origin: Path
    asked: list[list[str] | None]

    def log_message(self, *_: object) -> None: ...

    def do_GET(self) -> None:
        self.asked.append(self.headers.get_all("authorization"))
        right = "Basic " + base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
        if self.asked[-1] != [right]:
            self.send_error(401)
            return
        path, _, query = self.path.partition("?")
        environ = {
            "GIT_PROJECT_ROOT": str(self.origin.parent), "GIT_HTTP_EXPORT_ALL": "1", "PATH_INFO": path,
            "QUERY_STRING": query, "REQUEST_METHOD": self.command, "REMOTE_USER": "x",
            "CONTENT_TYPE": self.headers.get("content-type", ""), "PATH": os.environ["PATH"],
            "CONTENT_LENGTH": self.headers.get("content-length", "0"), "HOME": str(self.origin),
            "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
        }  # fmt: skip
        body = self.rfile.read(int(self.headers.get("content-length") or 0))
        done = subprocess.run(["git", "http-backend"], env=environ, input=body, capture_output=True, check=True)
        head, _, content = done.stdout.partition(b"\r\n\r\n")
        self.send_response(200)
        for line in head.decode().split("\r\n"):
            self.send_header(*line.split(": ", 1))
        self.end_headers()
        self.wfile.write(content)

    do_POST = do_GET  # noqa: N815 - the name that the server looks for


def test_the_target_branch_of_a_private_repository_is_read_with_the_token(
    start: Start, fork: Path, checkout: Path
) -> None:
    """The checkout's own credential, should it have kept one, is not sent beside it: GitHub refuses two."""
    Private.origin, Private.asked = fork, []
    server = ThreadingHTTPServer(("127.0.0.1", 0), Private)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    git(checkout, "remote", "set-url", "origin", f"{url}/origin")
    git(checkout, "config", f"http.{url}/.extraheader", "Authorization: Basic c3RhbGU=")
    try:
        done = start("pull_request", pull_request("stranger/bots"), GITHUB_SERVER_URL=url).action(command="plan")
    finally:
        server.shutdown()
        server.server_close()
    assert (done.failed, done.outputs["loosened"]) == (False, "1")
    assert Private.asked
    assert TOKEN not in done.log + git(checkout, "config", "--list")


# ------------------------------------------------------------------------------------------ the file itself


def test_the_action_installs_its_own_code_once_a_job(checkout: Path, tmp_path: Path, tools: str) -> None:
    """With pip, from the action's folder into one of the runner's."""
    made = job(checkout, tmp_path / "temp", tools, "push", {}, WITHOUT_INDEX)
    made.environ["PATH"] = made.environ["PATH"].partition(os.pathsep)[2]
    made.installed = {"python-version": ""}
    steps = [{"uses": OURS, "with": {"command": "validate"}}]
    done = made.run(steps)
    assert "3 resources" in done.log
    places = [path.parent for path in (tmp_path / "temp").glob("*/complete")]
    assert [(path / "bin" / "reconciler").exists() for path in places] == [True]
    begun = (places[0] / "complete").stat().st_mtime_ns
    assert not made.run(steps).failed
    assert (places[0] / "complete").stat().st_mtime_ns == begun


def test_every_input_and_output_is_described() -> None:
    """``docs/ci.md`` names every input and every output, and no other."""
    action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    page = (ROOT / "docs" / "ci.md").read_text(encoding="utf-8")
    section = page.partition("## The GitHub Action")[2].partition("\n## ")[0]
    named = {line.split("`")[1] for line in section.splitlines() if line.startswith("| `")}
    assert named == set(action["inputs"])
    assert all(f"`{name}`" in page for name in action["outputs"])
