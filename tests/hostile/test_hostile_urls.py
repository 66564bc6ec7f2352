"""The credential goes to one origin, to nobody that an answer names, and into nothing that a run leaves behind."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlencode

import pytest
from starlette.types import Message, Receive, Scope, Send

from reconciler.emulator.app import create_app
from reconciler.emulator.digitalocean.seed import Seed
from reconciler.emulator.server import running

BOT = """
apiVersion: openlayer/v1
kind: Project
metadata: {name: bot}
spec:
  taskType: llm-base
  pipelines: [{name: live, description: Live}]
  tests:
    - name: Rows arrive
      type: integrity
      subtype: rowCount
      evaluationWindow: 24h
      thresholds: [{insightName: metrics, measurement: rowCount, operator: ">=", value: 2}]
"""
CARE = """
apiVersion: digitalocean/v1
kind: Workspace
metadata: {name: care}
spec:
  datasets: [{name: faq, file: faq.csv}]
"""
CASE = """
  testCases:
    - name: Answers are correct
      dataset: faq
      metrics: [Instruction Following]
      starMetric: {name: Instruction Following, threshold: 0.5}
"""


@dataclass
class Probe:
    """Another host: notes who comes by, and with what."""

    url: str = ""
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name.decode(): value.decode() for name, value in scope["headers"]}
        self.seen.append((scope["method"], scope["path"], headers))
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
        await send({"type": "http.response.body", "body": b'{"id": "x", "status": "completed"}'})


@pytest.fixture
def probe() -> Iterator[Probe]:
    made = Probe()
    with running(made) as made.url:
        yield made


class Pointing:
    """The application, with every address in its answers leading to another host."""

    def __init__(self, app: Any, elsewhere: str) -> None:
        self._app, self._elsewhere = app, elsewhere
        self.changed = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        messages: list[Message] = []

        async def keep(message: Message) -> None:
            messages.append(message)

        await self._app(scope, receive, keep)
        body = b"".join(message.get("body", b"") for message in messages[1:])
        pointed, count = re.subn(rb'"https?://[^/"]+', b'"' + self._elsewhere.encode(), body)
        for name in (b"taskResultUrl", b"resultUrl"):
            extra = b'{"' + name + b'": "' + self._elsewhere.encode() + b'/owned", "links": {"app": "//evil"}, '
            pointed = re.sub(rb"^\{(?=.)", extra, pointed) if body != b"{}" and body.startswith(b"{") else pointed
        self.changed += count
        headers = [(name, value) for name, value in messages[0]["headers"] if name != b"content-length"]
        await send({**messages[0], "headers": headers})
        await send({"type": "http.response.body", "body": pointed})


@pytest.mark.usefixtures("hurried")
def test_no_address_in_an_answer_is_followed_with_the_credential(run: Any, probe: Probe) -> None:
    """Links, results of tasks, next pages: the other host sees nobody."""
    (run.folder / "bot.yaml").write_text(BOT)
    run.door.door = Pointing(run.door.app, probe.url)
    run("apply", "--yes")
    run("evaluate", code=None)
    run("status", code=None)
    run("plan")
    run("export", "--out", "out")
    assert probe.seen == []


def test_an_upload_goes_where_the_vendor_says_without_the_credential(run: Any, probe: Probe, key: str) -> None:
    """Signed addresses are meant to lead elsewhere: the file goes there, and nothing of ours with it."""
    run.door.app.state.database.close()
    run.door.app = create_app(api_key=key, seed=Seed.from_json({"workspaces": [{"name": "care", "agents": []}]}))
    (run.folder / "care.yaml").write_text(CARE)
    (run.folder / "faq.csv").write_text("query,expected_response\nWhere?,There\n")
    run.door.door = Pointing(run.door.app, probe.url)
    run("apply", "--yes", code=None, DIGITALOCEAN_BASE_URL=run.url, DIGITALOCEAN_TOKEN=key)
    assert [method for method, _, _ in probe.seen] == ["PUT"]
    (_, _, headers) = probe.seen[0]
    assert "authorization" not in headers
    assert key not in json.dumps(headers)


def test_a_download_comes_from_where_the_vendor_says_without_the_credential(run: Any, probe: Probe, key: str) -> None:
    """And what another host gives is not taken for the file."""
    run.door.app.state.database.close()
    run.door.app = create_app(api_key=key, seed=Seed.from_json({"workspaces": [{"name": "care", "agents": []}]}))
    (run.folder / "care.yaml").write_text(CARE + CASE)
    (run.folder / "faq.csv").write_text("query,expected_response\nWhere?,There\n")
    account = {"DIGITALOCEAN_BASE_URL": run.url, "DIGITALOCEAN_TOKEN": key, "OPENLAYER_API_KEY": ""}
    run("apply", "--yes", **account)
    run.door.door = Pointing(run.door.app, probe.url)
    run("export", "--out", "out", code=4, **account)
    assert [method for method, _, _ in probe.seen] == ["GET"]
    (_, _, headers) = probe.seen[0]
    assert "authorization" not in headers
    assert key not in json.dumps(headers)
    assert not (run.folder / "out" / "faq.csv").exists()


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_not_followed_to_another_host(status: int, run: Any, probe: Probe) -> None:
    """Neither by a read nor by a write."""

    async def redirect(scope: Scope, _: Receive, send: Send) -> None:
        headers = [(b"location", f"{probe.url}{scope['path']}".encode())]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b""})

    (run.folder / "bot.yaml").write_text(BOT)
    run.door.door = redirect
    said = run("apply", "--yes", code=1)
    assert "which is not followed" in " ".join(said.err.split())
    assert probe.seen == []


def test_a_key_is_not_sent_in_the_clear(run: Any) -> None:
    """Plain http to another host needs a permission of the operator's; manifests cannot give it."""
    (run.folder / "bot.yaml").write_text(BOT)
    said = run("plan", code=1, OPENLAYER_BASE_URL="http://platform.example/v1")
    assert "RECONCILER_ALLOW_HTTP" in said.err
    assert run.door.authorized == []


# ------------------------------------------------------------------------------------------- the canary


def spellings(secret: str) -> dict[str, bytes]:
    """The ways in which a secret could stand somewhere."""
    raw = secret.encode()
    return {
        "plain": raw,
        "base64": base64.b64encode(raw).rstrip(b"="),
        "base64 of the header": base64.b64encode(b"Bearer " + raw).rstrip(b"="),
        "percent": quote(secret, safe="").encode(),
        "hexadecimal": raw.hex().encode(),
        "backwards": raw[::-1],
        "in half": raw[: len(raw) // 2 + 2],
    }


def leaks(artefacts: dict[str, bytes], secret: str) -> set[tuple[str, str]]:
    """Where the secret stands, and how."""
    spelt = spellings(secret)
    return {(name, how) for name, content in artefacts.items() for how, each in spelt.items() if each in content}


@pytest.mark.usefixtures("hurried")
def test_the_canary_is_in_nothing_that_runs_leave_behind(run: Any, key: str) -> None:
    """State, journal, saved plan, events, history, exports, stdout and stderr; also when everything goes wrong."""
    said: list[str] = []
    (run.folder / ".reconcilerignore").write_text("out/\n")

    async def failing(scope: Scope, _: Receive, send: Send) -> None:
        sent = b" ".join(value for name, value in scope["headers"] if name == b"authorization")
        headers = [(b"content-type", b"application/json"), (b"x-request-id", sent)]
        await send({"type": "http.response.start", "status": 500, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps({"error": sent.decode()}).encode()})

    async def refusing(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "GET":
            await run.door.app(scope, receive, send)
            return
        sent = next(value for name, value in scope["headers"] if name == b"authorization")
        await send({"type": "http.response.start", "status": 422, "headers": [(b"content-type", b"text/plain")]})
        await send({"type": "http.response.body", "body": b"you sent " + sent})

    everything = ("-v", "--events", "events.ndjson")
    commands = (
        ("plan", "--out", "plan.json", *everything),
        ("plan", "--format", "json", *everything),
        ("plan", "--format", "markdown", *everything),
        ("apply", "--yes", *everything),
        ("evaluate", "--timeout", "20s", *everything),
        ("status", "--format", "json", *everything),
        ("drift", *everything),
        ("export", "--out", "out", "--force", "--adopt"),
        ("state", "list", "--format", "json"),
        ("doctor",),
    )
    for number, door in enumerate((None, failing, refusing, None)):
        (run.folder / "bot.yaml").write_text(BOT.replace("value: 2", f"value: {number}"))
        run.door.door = door
        tried = commands[:1] if door is failing else commands  # each waits and tries again
        said += [run(*command, code=None).check().text for command in tried]
    assert any("you sent Bearer ***" in " ".join(text.split()) for text in said)
    artefacts = run.artefacts()
    assert {"events.ndjson", "plan.json", ".reconciler/default.state.json"} <= artefacts.keys()
    artefacts["what was said"] = "\n".join(said).encode()
    assert leaks(artefacts, key) == set()


@pytest.mark.parametrize(
    ("how", "written"),
    [
        ("plain", lambda key: json.dumps({"headers": {"authorization": f"Bearer {key}"}})),
        ("base64", lambda key: base64.b64encode(key.encode()).decode()),
        ("base64 of the header", lambda key: base64.b64encode(f"Bearer {key}".encode()).decode()),
        ("percent", lambda key: f"https://platform.example/v1?{urlencode({'token': key})}"),
        ("hexadecimal", lambda key: "".join(f"{byte:02x}" for byte in key.encode())),
        ("backwards", lambda key: "".join(reversed(key))),
        ("in half", lambda key: f"{key[: len(key) * 2 // 3]}..."),
    ],
)
def test_a_canary_would_be_found(how: str, written: Callable[[str], str], run: Any, key: str) -> None:
    """Beside what a run has left, in a hidden folder, amid bytes that are no text: else the scan would prove little."""
    (run.folder / "bot.yaml").write_text(BOT)
    run("apply", "--yes")
    assert leaks(run.artefacts(), key) == set()
    (run.folder / ".reconciler" / "crash.log").write_bytes(b"\xff\x00" + written(key).encode() + b"\x00\xff")
    found = leaks(run.artefacts(), key)
    assert {name for name, _ in found} == {".reconciler/crash.log"}
    assert how in {each for _, each in found}
