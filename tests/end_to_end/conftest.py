"""The command line against an emulator over a real socket, and what a person can do at that platform by hand."""

from __future__ import annotations

import asyncio
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from fnmatch import fnmatchcase
from pathlib import Path
from textwrap import dedent
from typing import Any

import httpx
import pytest
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.cli.main import main
from reconciler.emulator.app import create_app
from reconciler.emulator.digitalocean.seed import Seed
from reconciler.emulator.faults import Faults, FaultScript
from reconciler.emulator.server import running
from reconciler.evaluating import waiting
from tests.by_hand import PLAIN, ask

Doc = dict[str, Any]
CHECKOUT = Path(__file__).resolve().parents[2]
OF_OTHERS = ("RECONCILER_", "OPENLAYER_", "DIGITALOCEAN_", "CI", "GITHUB_", "GITLAB_")
KEY = "canary-key-7d20b1"


class Platform:
    """An emulator behind a socket.  ``seen`` holds (method, path) of every request that was not made by hand."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[tuple[str, str]] = []
        self.app: Any = None
        self._meanwhile: dict[tuple[str, str], Callable[[], object]] = {}
        self.door: ASGIApp = self._closed

    async def _closed(self, *_: object) -> None:
        raise RuntimeError("no platform was made")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if (b"user-agent", b"by-hand") in scope["headers"]:
            await self.app(scope, receive, send)
            return
        request = (scope["method"], scope["path"].removeprefix("/v1"))
        self.seen.append(request)
        if request in self._meanwhile:
            whole = [await receive()]  # or who sends it may be killed before its body has left
            while whole[-1].get("more_body"):
                whole.append(await receive())
            await asyncio.to_thread(self._meanwhile.pop(request))
            receive = _again(whole, receive)
        await self.door(scope, receive, send)

    def renew(self, **options: Any) -> None:
        """An empty platform; ``options`` are those of ``create_app``."""
        self.close()
        self.door = self.app = create_app(api_key=KEY, **options)
        self.seen.clear()
        self._meanwhile.clear()

    def close(self) -> None:
        if self.app is not None:
            self.app.state.database.close()

    def fail(self, *rules: Doc) -> None:
        """Let the tool's requests go wrong from now on, as a fault script says; without rules all is well again."""
        script = FaultScript.from_json(list(rules))
        self.door = Faults(self.app, script, error_body=lambda code, text: {"code": code, "error": text})

    def meanwhile(self, method: str, path: str, work: Callable[[], object]) -> None:
        """Somebody else does ``work`` between our last look and the arrival of this request."""
        self._meanwhile[method, path] = work

    @property
    def writes(self) -> list[tuple[str, str]]:
        return [(method, path) for method, path in self.seen if method != "GET"]

    # -- by hand

    def api(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of an answer that must be a success."""
        return ask(method, f"{self.url}/v1{path}", KEY, body)

    def projects(self) -> dict[str, Doc]:
        return {item["name"]: item for item in self.api("GET", "/projects")["items"]}

    def pipelines(self, project: str) -> dict[str, Doc]:
        found = self.api("GET", f"/projects/{self.projects()[project]['id']}/inference-pipelines")["items"]
        return {item["name"]: item for item in found}

    def tests(self, project: str) -> dict[str, Doc]:
        """By name; the archived one only where there is no other."""
        path = f"/projects/{self.projects()[project]['id']}/tests?includeArchived=true"
        found = sorted(self.api("GET", path)["items"], key=lambda item: not item["archived"])
        return {item["name"]: item for item in found}

    def stream(self, answers: dict[int, str], pipeline: str = "live") -> None:
        """One row for each day of November 2026, at noon, to a pipeline of the project ``bot``."""
        noon = datetime(2026, 11, 1, 12, tzinfo=UTC).timestamp() - 86_400
        rows = [{"output": answer, "at": noon + 86_400 * day} for day, answer in answers.items()]
        config = {"outputColumnName": "output", "timestampColumnName": "at"}
        body = {"config": config, "rows": rows}
        self.api("POST", f"/inference-pipelines/{self.pipelines('bot')[pipeline]['id']}/data-stream", body)

    def everything(self) -> Doc:
        """All that the platform shows, by project."""
        return {name: [item, self.pipelines(name), self.tests(name)] for name, item in self.projects().items()}


def _again(received: Iterable[Message], receive: Receive) -> Receive:
    """What was received once, and then what is received next."""
    left = iter(received)

    async def one() -> Message:
        for message in left:
            return message
        return await receive()

    return one


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    @property
    def words(self) -> str:
        """The text without line breaks."""
        return " ".join(self.text.split())


class Terminal:
    """A process on a terminal of its own, and somebody who sits there."""

    def __init__(self, command: list[str], **options: Any) -> None:
        self.screen = ""
        self._keys, screen = pty.openpty()
        # The first terminal that the leader of a session opens is the one whose Ctrl-C it gets.
        opens = ["/bin/sh", "-c", 'terminal="$1"; shift; exec "$@" <"$terminal" >"$terminal" 2>&1', "sh"]
        self.process = subprocess.Popen([*opens, os.ttyname(screen), *command], start_new_session=True, **options)
        self._screen = screen

    def read_until(self, text: str) -> None:
        """Wait until this stands on the screen."""
        deadline = time.monotonic() + 30
        while text not in self.screen:
            assert time.monotonic() < deadline, self.screen
            assert self.process.poll() is None or self._more(), self.screen
            self._more()

    def type(self, keys: str) -> None:
        """Press keys; ``\\x03`` is Ctrl-C."""
        os.write(self._keys, keys.encode())

    def ends(self, within_s: float = 5.0) -> int:
        """The exit code, which is there in so many seconds."""
        deadline = time.monotonic() + within_s
        while self.process.poll() is None:
            assert time.monotonic() < deadline, f"it goes on\n{self.screen}"
            self._more()
        while self._more():
            pass
        return self.process.returncode

    def _more(self) -> bool:
        ready, _, _ = select.select([self._keys], [], [], 0.05)
        if ready:
            self.screen += os.read(self._keys, 65_536).decode(errors="replace")
        return bool(ready)

    def close(self) -> None:
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
        os.close(self._screen)
        os.close(self._keys)


@dataclass
class Cli:
    """Commands in a folder of their own.  Called, it runs in this process; ``start`` begins a process, and ``sit_down``
    one on a terminal.
    """

    folder: Path
    environ: dict[str, str]
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    started: list[subprocess.Popen[str]] = field(default_factory=list)
    terminals: list[Terminal] = field(default_factory=list)

    def __call__(self, *arguments: str, code: int = 0, **environ: str) -> Result:
        """Run a command that must end with ``code``; ``environ`` adds variables, an empty one takes it away."""
        with self.monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(OF_OTHERS)]:
                patch.delenv(name)
            for name, value in {**self.environ, **environ}.items():
                patch.setenv(name, value) if value else patch.delenv(name, raising=False)
            patch.chdir(self.folder)
            self.capsys.readouterr()
            ended = main(list(arguments))
        out, err = self.capsys.readouterr()
        result = Result(ended, out, err)
        assert ended == code, f"exit {ended}\n{result.text}"
        assert "Traceback" not in result.text
        assert KEY not in result.text
        return result

    def start(self, *arguments: str, **environ: str) -> subprocess.Popen[str]:
        """The installed command, as a process."""
        variables = {**os.environ, **self.environ, **environ, "PYTHONPATH": str(CHECKOUT)}
        self.started.append(
            subprocess.Popen(
                [sys.executable, "-m", "reconciler", *arguments],
                cwd=self.folder,
                env=variables,
                text=True,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
            )
        )
        return self.started[-1]

    def sit_down(self, *arguments: str, program: str = "") -> Terminal:
        """The installed command, on a terminal; or a program of the folder, which runs it in its own way."""
        variables = {**os.environ, **self.environ, "PYTHONPATH": str(CHECKOUT)}
        command = [sys.executable, *([program] if program else ["-m", "reconciler"]), *arguments]
        self.terminals.append(Terminal(command, cwd=self.folder, env=variables))
        return self.terminals[-1]

    def write(self, name: str, text: str) -> None:
        """A file in the folder."""
        (self.folder / name).write_text(dedent(text), encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace a text that stands in a file once."""
        text = (self.folder / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (self.folder / name).write_text(text.replace(old, new), encoding="utf-8")


@pytest.fixture(scope="session")
def _platform() -> Iterator[Platform]:
    made = Platform()
    with running(made) as made.url:
        yield made
    made.close()


@pytest.fixture
def platform(_platform: Platform) -> Platform:
    """An empty platform that speaks the official way."""
    _platform.renew()
    return _platform


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask the emulator, which is done at once, more often than one asks a platform."""
    monkeypatch.setattr(waiting, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(waiting, "LONGEST_PAUSE_S", 0.2)


@pytest.fixture
def cli(
    platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Iterator[Cli]:
    """The command line in an empty folder, with a key for the platform."""
    environ = {
        "OPENLAYER_BASE_URL": f"{platform.url}/v1",
        "OPENLAYER_API_KEY": KEY,
        "RECONCILER_UNCERTAINTY_WINDOW": "0s",
        "COLUMNS": "120",
        "NO_COLOR": "1",
    }
    made = Cli(tmp_path, environ, monkeypatch, capsys)
    yield made
    for process in made.started:
        process.kill()
        process.communicate()
    for terminal in made.terminals:
        terminal.close()


BOT = """
    apiVersion: openlayer/v1
    kind: Project
    metadata: {name: bot}
    spec:
      taskType: llm-base
      description: Answers
      pipelines:
        - name: live
        - {name: canary, description: A tenth of the traffic}
      tests:
        - name: Rows arrive
          type: integrity
          subtype: rowCount
          evaluationWindow: 24h
          thresholds: [{insightName: metrics, measurement: rowCount, operator: ">=", value: 2}]
        - name: Answers are short
          type: integrity
          subtype: characterLength
          pipelines: [live]
          evaluationWindow: 24h
          thresholds:
            - insightName: characterLength
              insightParameters: {column_name: output}
              measurement: maxCharacterLength
              operator: lte
              value: 100
"""


@pytest.fixture
def bot(cli: Cli) -> Cli:
    """The command line in a folder with one project: two pipelines, two tests."""
    cli.write("bot.yaml", BOT)
    return cli


@pytest.fixture
def make_project() -> Callable[..., str]:
    """A manifest with so many tests of row counts."""

    def make(name: str, tests: int, *, least: int = 1, more: str = "") -> str:
        head = f"apiVersion: openlayer/v1\nkind: Project\nmetadata: {{name: {name}}}\nspec:\n  taskType: llm-base\n"
        threshold = f'{{insightName: metrics, measurement: rowCount, operator: ">=", value: {least}}}'
        rows = [
            f"    - {{name: test {number:03}, type: integrity, subtype: rowCount, thresholds: [{threshold}]}}\n"
            for number in range(tests)
        ]
        return head + more + ("  tests:\n" + "".join(rows) if rows else "")

    return make


# ------------------------------------------------------------------------------------------- DigitalOcean

CARE = """
    apiVersion: digitalocean/v1
    kind: Workspace
    metadata: {name: care}
    spec:
      datasets:
        - {name: faq, file: faq.csv}
      testCases:
        - name: Answers are correct
          description: What customers ask
          dataset: faq
          metrics: [Correctness (general hallucinations), Instruction Following]
          starMetric: {name: Correctness (general hallucinations), threshold: 82.4}
      runs:
        - name: nightly
          testCase: Answers are correct
          agents: [bot]
"""
FAQ = "query,expected_response\nWhere is my order?,On its way\nCan I pay later?,Yes\n"
DONE = ["EVALUATION_RUN_SUCCESSFUL"]
GEN_AI = "/v2/gen-ai"


class Replacing:
    """The platform, with one text in all that it answers replaced by another."""

    def __init__(self, app: ASGIApp, text: str, other: str) -> None:
        self._app, self._text, self._other = app, text.encode(), other.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def changed(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, value) for name, value in message["headers"] if name != b"content-length"]
                message = {**message, "headers": headers}
            if message["type"] == "http.response.body":
                message = {**message, "body": message["body"].replace(self._text, self._other)}
            await send(message)

        await self._app(scope, receive, changed)


class Answering:
    """The platform, which answers GET of the paths of a glob with this JSON and nothing else."""

    def __init__(self, app: ASGIApp, path: str, body: object, *, status: int = 200) -> None:
        self._app, self._path, self._answer = app, path, JSONResponse(body, status)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        is_meant = scope["method"] == "GET" and fnmatchcase(scope["path"], self._path)
        await (self._answer if is_meant else self._app)(scope, receive, send)


class Account:
    """What a person does and sees in the DigitalOcean account behind the platform's socket."""

    def __init__(self, platform: Platform) -> None:
        self.platform = platform
        self.renew()

    def renew(self, *, agents: list[Doc] | None = None, **seed: Any) -> None:
        """An account with a workspace ``care``; its agents ``bot``, which is right, and ``canary``, which is not, are
        evaluated in no time.
        """
        two = [{"name": "bot", "run_states": DONE}, {"name": "canary", "otherwise": "Well", "run_states": DONE}]
        workspaces = [{"name": "care", "agents": two if agents is None else agents}]
        self.platform.renew(seed=Seed.from_json({"quota": None, "workspaces": workspaces, **seed}))

    @property
    def console(self) -> Any:
        """What people do where the API has no call for it."""
        return self.platform.app.state.digitalocean

    def api(self, method: str, path: str, body: object = None) -> Any:
        """The JSON of an answer that must be a success."""
        return ask(method, f"{self.platform.url}{GEN_AI}{path}", KEY, body)

    def workspace(self, name: str = "care") -> str:
        return {str(each["name"]): str(each["uuid"]) for each in self.api("GET", "/workspaces")["workspaces"]}[name]

    def datasets(self) -> list[Doc]:
        return list(self.api("GET", "/evaluation_datasets")["evaluation_datasets"])

    def upload(self, name: str, content: str, **more: str) -> str:
        """A person uploads a dataset; its uuid.  ``more`` may say of which type and paradigm it is."""
        size = len(content.encode())
        files = {"files": [{"file_name": "rows.csv", "file_size": size}]}
        (put,) = self.api("POST", "/evaluation_datasets/file_upload_presigned_urls", files)["uploads"]
        headers = {"User-Agent": "by-hand"}
        assert httpx.put(put["presigned_url"], content=content.encode(), headers=headers, **PLAIN).is_success
        file = {"original_file_name": "rows.csv", "stored_object_key": put["object_key"], "size_in_bytes": size}
        made = self.api("POST", "/evaluation_datasets", {"name": name, "file_upload_dataset": file, **more})
        return str(made["evaluation_dataset_uuid"])

    def cases(self) -> dict[str, Doc]:
        found = self.api("GET", f"/workspaces/{self.workspace()}/evaluation_test_cases")["evaluation_test_cases"]
        return {item["name"]: item for item in found if not item["archived_at"]}

    def case(self) -> Doc:
        """The only test case there is."""
        (found,) = self.cases().values()
        return found

    def runs(self) -> list[Doc]:
        """Of every version of the only test case."""
        path = f"/evaluation_test_cases/{self.case()['test_case_uuid']}/evaluation_runs"
        return list(self.api("GET", path)["evaluation_runs"])

    @property
    def writes(self) -> list[str]:
        """What we sent, as ``POST evaluation_runs``; ids are left out."""
        known = ("evaluation_runs", "evaluation_datasets", "file_upload_presigned_urls", "evaluation_test_cases",
                 "workspaces", "spaces")  # fmt: skip
        return [
            f"{method} {next(part for part in reversed(path.split('/')) if part in known)}"
            for method, path in self.platform.writes
        ]


@pytest.fixture
def account(platform: Platform) -> Account:
    """A DigitalOcean account with agents and nothing else."""
    return Account(platform)


@pytest.fixture
def care(cli: Cli, account: Account) -> Cli:
    """The command line in a folder with one workspace: a dataset, a test case and a run; with a token for it."""
    cli.environ |= {"DIGITALOCEAN_BASE_URL": account.platform.url, "DIGITALOCEAN_TOKEN": KEY}
    cli.write("care.yaml", CARE)
    cli.write("faq.csv", FAQ)
    return cli
