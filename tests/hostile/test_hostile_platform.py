"""Text that somebody else wrote, at the platform or in an answer, can do nothing wherever a command shows it.

The renderers have tests of their own (tests/reporting/test_report_escape.py); here the whole command line is tried,
with names and messages that people with access to the workspace, or a server, can choose.
"""

from __future__ import annotations

import json
import re
from typing import Any
from xml.etree import ElementTree

import pytest
from markdown_it import MarkdownIt
from starlette.types import Receive, Scope, Send

HOSTILE = {
    "what acts on a terminal": "R \x1b[2J\x1b]0;o\x07\r+ openlayer.Test/fake \u202er\u2066 \ud800",
    "workflow commands": "::error title=x::owned\n::x::owned\n##[error]owned",
    "html": "</details><img src=x onerror=alert(1)><script> & |",
    "markdown": "`x` ```\n# o [a](http://e.x) ![i](//e.x) @team #1 |",
}
TEST: dict[str, Any] = {
    "type": "integrity",
    "subtype": "rowCount",
    "usesProductionData": True,
    "thresholds": [{"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 1}],
}
BOT = """
apiVersion: openlayer/v1
kind: Project
metadata: {name: bot}
spec:
  taskType: llm-base
  description: Answers
  pipelines: [{name: live, description: Live}]
  tests:
    - name: Rows arrive
      type: integrity
      subtype: rowCount
      thresholds: [{insightName: metrics, measurement: rowCount, operator: ">=", value: 2}]
"""


@pytest.fixture(params=HOSTILE.values(), ids=list(HOSTILE))
def text(request: pytest.FixtureRequest) -> str:
    """What somebody calls things."""
    found: str = request.param
    return found


@pytest.fixture
def workspace(run: Any, text: str) -> Any:
    """Our project, applied; then somebody writes the text wherever a person can."""
    (run.folder / "bot.yaml").write_text(BOT)
    run("apply", "--yes")
    project = run.api("GET", "/projects")["items"][0]
    (live,) = run.api("GET", f"/projects/{project['id']}/inference-pipelines")["items"]
    (test,) = run.api("GET", f"/projects/{project['id']}/tests")["items"]
    escaped = text.encode("utf-8", "replace").decode()  # httpx sends no surrogates
    run.api("PUT", f"/inference-pipelines/{live['id']}", {"description": escaped})
    run.api("PUT", f"/tests/{test['id']}", {"name": escaped, "description": escaped})
    run.api("POST", f"/projects/{project['id']}/tests", {**TEST, "name": f"{escaped} too", "description": escaped})
    run.api("POST", "/projects", {"name": f"{escaped} project", "taskType": "llm-base", "description": escaped})
    return run


def structure(markdown: str) -> set[str]:
    """The kinds of nodes in a page of Markdown."""
    tokens = MarkdownIt("commonmark").enable("table").parse(markdown)
    return {token.type for each in tokens for token in (each, *(each.children or ()))}


def test_every_command_shows_hostile_names_harmlessly(workspace: Any) -> None:
    """plan, drift, status, state, export and apply; in text, JSON and Markdown; with -v and events."""
    for style in ("text", "json", "markdown"):
        said = workspace("plan", "--format", style, "-v", "--events", "events.ndjson", code=None).check()
        if style == "json":
            json.loads(said.out)
        if style == "markdown":
            assert not {"link_open", "image", "list_item_open"} & structure(said.out)
            html = re.sub(r"<!-- reconciler:\w+ [0-9a-f]{12} -->|</?details( open)?>|</?summary>", "", said.out)
            outside = re.sub(r"(?s)^(`{3,})diff\n.*?^\1$", "", html, flags=re.MULTILINE)
            assert "<img" not in outside
            assert "<script" not in outside
    workspace("drift", "-v", code=2).check()
    workspace("drift", "--format", "json", code=2).check()
    workspace("plan", "--adopt", "--out", "plan.json", code=None).check()
    exported = workspace("export", "--out", "out", code=None).check()
    assert exported.code == (4 if ' was left out: its "name" ' in exported.err else 0)
    workspace("apply", "--yes", "-v", "--events", "events.ndjson", code=None).check()
    workspace("status", code=None).check()
    workspace("state", "list").check()
    for line in (workspace.folder / "events.ndjson").read_text().splitlines():
        assert line.isprintable()
        json.loads(line)
    exported = "".join(path.read_text() for path in (workspace.folder / "out").iterdir())
    assert exported.replace("\n", "").isprintable()


def test_every_report_shows_hostile_names_harmlessly(workspace: Any) -> None:
    """For GitHub, GitLab, JUnit and OpenMetrics; what a CI job hands on, and what is kept for later."""
    folder = workspace.folder
    github = {
        "GITHUB_ACTIONS": "true",
        "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
        "GITHUB_OUTPUT": str(folder / "output.txt"),
    }
    for style in ("github", "gitlab"):
        workspace("plan", "--format", style, code=None).check(annotates=style == "github")
    plans = [f"--report={form}=plan.{form}" for form in ("text", "json", "markdown", "html", "gitlab")]
    workspace("plan", *plans, "--report", "github", code=None, **github).check(annotates=True)
    forms = ("text", "json", "markdown", "html", "junit", "openmetrics")
    verdicts = [f"--report={form}=verdicts.{form}" for form in forms]
    workspace("status", *verdicts, "--report", "github", code=None, **github).check(annotates=True)
    for style in ("text", "json", "csv"):
        workspace("history", "--format", style, code=None).check()
    made = workspace.artefacts()
    assert {"summary.md", "output.txt", "verdicts.junit", "verdicts.openmetrics", "plan.markdown"} <= made.keys()
    for name, content in made.items():
        if name.startswith(("plan.", "verdicts.", "summary", "output")):
            text = content.decode("utf-8")
            assert text.replace("\n", "").isprintable(), name
            assert not re.search(r"##\w*\[", text), name
    ElementTree.fromstring(made["verdicts.junit"])
    for name in ("plan.json", "verdicts.json"):
        json.loads(made[name])
    assert not {"link_open", "image"} & structure(made["summary.md"].decode())
    outputs = re.sub(r"(?ms)^([\w-]+)<<(\S+)\n.*?^\2$", "", made["output.txt"].decode())
    assert re.fullmatch(r"(\s*[\w-]+=[\w.,:-]*\s*)*", outputs.strip()), outputs


def test_an_export_of_hostile_names_stays_in_its_folder_and_loads_again(run: Any) -> None:
    """A name is no path: what comes out is a file of ours, beside the others."""
    names = ("../../etc/cron.d/x", "..", "/tmp/x", "a\\b", "con", "x\n.yaml", "-rf", ".hidden", "\x1b[2J", "e" * 64)
    for name in names:
        run.api("POST", "/projects", {"name": name, "taskType": "llm-base", "description": None})
    run("export", "--out", "out", code=4).check()
    made = list(run.folder.rglob("*.yaml"))
    assert {path.parent.name for path in made} == {"out"}
    assert all(re.fullmatch(r"[a-z0-9][a-z0-9.-]*\.yaml", path.name) for path in made)
    run("validate", "out").check()
    run("plan", "out", "--detailed-exitcode", code=None).check()


class Answering:
    """A server that answers everything in the same way, after the first ``well`` requests."""

    def __init__(self, app: Any, status: int, body: bytes, headers: dict[str, str], *, well: int = 0) -> None:
        self._app, self._status, self._body, self._well = app, status, body, well
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self._well > 0:
            self._well -= 1
            await self._app(scope, receive, send)
            return
        await send({"type": "http.response.start", "status": self._status, "headers": self._headers})
        await send({"type": "http.response.body", "body": self._body})


def test_an_error_body_is_quoted_harmlessly(run: Any, text: str, key: str) -> None:
    """In the error of a plan, and in the outcome of a step; a credential that the server repeats is not shown."""
    (run.folder / "bot.yaml").write_text(BOT)
    for body in ({"error": f"{text} {key}"}, {"message": {text: [text]}}, [text]):
        content = json.dumps(body).encode()
        run.door.door = Answering(run.door.app, 422, content, {"content-type": "application/json"})
        run("plan", "-v", code=1).check()
        run.door.door = Answering(run.door.app, 422, content, {"content-type": "application/json"}, well=1)
        for style in ("text", "json"):
            run("apply", "--yes", "--format", style, "--events", "events.ndjson", code=None).check()
    for line in (run.folder / "events.ndjson").read_text().splitlines():
        assert line.isprintable()


@pytest.mark.usefixtures("hurried")
def test_headers_are_quoted_harmlessly(run: Any) -> None:
    """The request id, the media type and the place of a redirect."""
    (run.folder / "bot.yaml").write_text(BOT)
    for status, headers in (
        (500, {"x-request-id": "##[error]x ::error::y \x80"}),
        (200, {"content-type": "text/##[error]x"}),
        (302, {"location": "http://evil.example/##[error]x"}),
    ):
        run.door.door = Answering(run.door.app, status, b"<x>", headers)
        run("plan", code=1).check()


def test_a_defect_of_ours_is_told_harmlessly(run: Any, key: str) -> None:
    """With and without a traceback: what it quotes can do nothing, and no credential stands in it."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError(f"about \x1b[2J {key} ##[error]x")

    run.monkeypatch.setattr("reconciler.pipeline.planning.plan", broken)
    (run.folder / "bot.yaml").write_text(BOT)
    for arguments in (("plan",), ("plan", "-v")):
        with pytest.raises(AssertionError, match="a defect in reconciler") as told:
            run(*arguments, code=1)
        shown = str(told.value).partition("\nassert")[0]
        assert key not in shown
        assert "\x1b" not in shown
        assert "##[" not in shown
        assert "***" in shown


def test_a_defect_of_ours_is_told_with_its_traceback_where_there_is_no_option_for_that(run: Any) -> None:
    """A hint names an option only where the command has it."""

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("oh")

    run.monkeypatch.setattr("reconciler.manifests.files.rewrite", broken)
    run.monkeypatch.setattr("reconciler.pipeline.planning.plan", broken)
    (run.folder / "bot.yaml").write_text(BOT)
    for arguments, has_option in ((("fmt",), False), (("plan",), True), (("plan", "--env", "local"), True)):
        with pytest.raises(AssertionError, match="a defect in reconciler") as told:
            run(*arguments, code=1)
        shown = str(told.value)
        assert ("Traceback" in shown) is not has_option
        assert ("run it again with -v" in shown) is has_option
        assert "please report it" in shown
