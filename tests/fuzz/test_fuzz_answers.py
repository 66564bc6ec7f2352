"""A platform that answers anything at all: a run ends with a result or with one of our own errors.

What the platform answered in a run where all went well is answered again, with a few things in it damaged: values of
other types, missing keys, repeated items, enormous numbers, other statuses, half a body.  What is remembered stays
readable.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.emulator.app import create_app
from reconciler.emulator.digitalocean.seed import Seed
from reconciler.model.outcome import TimeRange
from reconciler.model.values import Secret
from reconciler.pipeline.applying import apply
from reconciler.pipeline.exporting import export
from reconciler.pipeline.measuring import Inquiry, evaluate
from reconciler.pipeline.planning import plan
from reconciler.pipeline.session import Request, Session, session
from reconciler.providers import VENDORS
from reconciler.providers.http import RestProvider
from reconciler.reporting.machine import plan_json, verdicts_json
from reconciler.reporting.markdown import plan_markdown, verdicts_markdown
from reconciler.reporting.text import plan_text, verdict_table
from reconciler.settings import Settings
from tests.virtual_time import VirtualClock

Target = Callable[[Any], None]
Hunt = Callable[[Target], int]
Work = Callable[[Session], Awaitable[object]]

BOT = """
apiVersion: openlayer/v1
kind: Project
metadata: {name: bot}
spec:
  taskType: llm-base
  description: Answers
  pipelines: [{name: live}, {name: canary, description: A tenth}]
  tests:
    - name: Rows arrive
      type: integrity
      subtype: rowCount
      pipelines: [live]
      evaluationWindow: 24h
      thresholds: [{insightName: metrics, measurement: rowCount, operator: ">=", value: 2}]
"""
CARE = """
apiVersion: digitalocean/v1
kind: Workspace
metadata: {name: care}
spec:
  datasets: [{name: faq, file: faq.csv}]
  testCases:
    - name: Right
      dataset: faq
      metrics: [Correctness (general hallucinations)]
      starMetric: {name: Correctness (general hallucinations), threshold: 80}
  runs: [{name: nightly, testCase: Right, agents: [bot]}]
"""
AGENT = {"name": "bot", "run_states": ["EVALUATION_RUN_SUCCESSFUL"]}


@dataclass(frozen=True)
class Answered:
    """One answer."""

    status: int
    headers: dict[str, str]
    body: bytes


@dataclass
class Recording(httpx.AsyncBaseTransport):
    """Notes what the application answers, by request."""

    app: Any
    answers: dict[str, list[Answered]] = field(default_factory=lambda: defaultdict(list))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        response = await httpx.ASGITransport(app=self.app).handle_async_request(request)
        body = await response.aread()
        kept = {name: value for name, value in response.headers.items() if name == "content-type"}
        self.answers[f"{request.method} {request.url}"].append(Answered(response.status_code, kept, body))
        return httpx.Response(response.status_code, headers=kept, content=body)


class Damaged(httpx.AsyncBaseTransport):
    """Answers as it was answered before, the last answer again and again; one to three of all answers are damaged."""

    def __init__(self, answers: dict[str, list[Answered]], damage: Any) -> None:
        self._answers, self._damage = answers, damage
        self._given: dict[str, int] = defaultdict(int)
        total = sum(map(len, answers.values()))
        self._when = {damage.dice.randrange(total) for _ in range(damage.dice.randint(1, 3))}
        self._number = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        key = f"{request.method} {request.url}"
        known = self._answers.get(key)
        if not known:
            return httpx.Response(404, json={"error": "not found"})
        answer = known[min(self._given[key], len(known) - 1)]
        self._given[key] += 1
        self._number += 1
        if self._number - 1 in self._when:
            self._damage.done.append(f"answer to {key}:")
            answer = self._damaged(answer)
        return httpx.Response(answer.status, headers=answer.headers, content=answer.body)

    def _damaged(self, answer: Answered) -> Answered:
        dice = self._damage.dice
        match dice.randrange(12):
            case 0:
                status = dice.choice(
                    (200, 201, 202, 204, 206, 299, 302, 400, 402, 404, 405, 409, 410, 418, 422, 500, 599)
                )
                self._damage.done.append(f"status {status}")
                return Answered(status, answer.headers, answer.body)
            case 1:
                self._damage.done.append("cut")
                return Answered(answer.status, answer.headers, answer.body[: dice.randrange(len(answer.body) + 1)])
            case 2:
                self._damage.done.append("other bytes")
                body = dice.choice((b"", b"<html>", b"null", b"[]", b'"x"', b"7", b"\xff\xfe", b"[" * 5000, b"NaN"))
                return Answered(answer.status, answer.headers, body)
            case _:
                data = self._damage.of(json.loads(answer.body) if answer.body else None)
                body = json.dumps(data, ensure_ascii=dice.random() < 0.9).encode("utf-8", "surrogatepass")
                return Answered(answer.status, answer.headers, body)


@dataclass(frozen=True)
class Scenario:
    """One kind of run: the folder it starts in, what it does, and what the platform answered when all went well."""

    folder: Path
    work: Work
    answers: dict[str, list[Answered]]


async def looked_at(here: Session) -> None:
    """A plan, in every form."""
    made = (await plan(here)).plan
    plan_text(made, width=100, color=False, verbose=True)
    plan_markdown(made)
    plan_json(made, tool="fuzz")


async def applied(here: Session) -> None:
    await apply(here)


async def evaluated(here: Session) -> None:
    now = int(here.clock.now())
    found = (await evaluate(here, Inquiry(TimeRange(now - 86_400, now)))).verdicts
    verdict_table(found, width=100, color=False)
    verdicts_markdown(found)
    verdicts_json(found)


async def looked_up(here: Session) -> None:
    verdict_table((await evaluate(here, Inquiry(None, trigger=False))).verdicts, width=100, color=False)


async def exported(here: Session) -> None:
    await export(here, "out", adopt=True, force=True)


async def run(root: Path, transport: httpx.AsyncBaseTransport, work: Work) -> None:
    """One run against both vendors; what it remembers can be read afterwards."""
    environ = dict.fromkeys(("OPENLAYER_API_KEY", "DIGITALOCEAN_TOKEN"), "x" * 20)
    async with session(Request(root=root, parallelism=1), Settings.from_environ(environ)) as here:
        here.clock = clock = VirtualClock()
        for vendor in VENDORS:
            url = "http://platform.invalid" + ("/v1" if vendor.name == "openlayer" else "")
            here.providers[vendor.name] = RestProvider(
                vendor, base_url=url, credential=Secret("k" * 20), clock=clock, transport=transport
            )
        try:
            await work(here)
        finally:
            here.store.load()


def recorded(tmp: Path, app: Any, name: str, work: Work) -> Scenario:
    """The run, done once; it starts where the last one ended."""
    start = tmp / f"start of {name}"
    shutil.copytree(tmp / "folder", start)
    recording = Recording(app)
    asyncio.run(run(tmp / "folder", recording, work))
    return Scenario(start, work, dict(recording.answers))


@pytest.fixture(scope="session")
def scenarios(tmp_path_factory: pytest.TempPathFactory) -> list[Scenario]:
    """First apply, plan, evaluation, look at results, change, export."""
    tmp = tmp_path_factory.mktemp("answers")
    seed = Seed.from_json({"quota": None, "workspaces": [{"name": "care", "agents": [AGENT]}]})
    app = create_app(seed=seed, now=lambda: 1_795_000_000.0)
    (tmp / "folder").mkdir()
    for name, text in (("bot.yaml", BOT), ("care.yaml", CARE), ("faq.csv", "query,expected_response\nWhere?,There\n")):
        (tmp / "folder" / name).write_text(text)
    made = [recorded(tmp, app, "apply", applied), recorded(tmp, app, "plan", looked_at)]
    made += [recorded(tmp, app, "evaluate", evaluated), recorded(tmp, app, "status", looked_up)]
    changed = BOT.replace("value: 2", "value: 3").replace("description: Answers", "description: All").replace(
        "{name: canary, description: A tenth}", "{name: canary, description: A fifth}, {name: new}"
    )  # fmt: skip
    (tmp / "folder" / "bot.yaml").write_text(changed)
    made += [recorded(tmp, app, "change", applied), recorded(tmp, app, "export", exported)]
    app.state.database.close()
    assert sum(len(each.answers) for each in made) > 40
    return made


@pytest.fixture
def answers(scenarios: list[Scenario], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Target:
    """One run of one scenario with damaged answers."""
    monkeypatch.setattr(os, "fsync", lambda _: None)
    monkeypatch.chdir(tmp_path)

    def target(damage: Any) -> None:
        scenario = damage.dice.choice(scenarios)
        folder = tmp_path / "folder"
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(scenario.folder, folder)
        damage.done.append(scenario.folder.name)
        asyncio.run(run(folder, Damaged(scenario.answers, damage), scenario.work))

    return target


def test_a_taste_of_answers(answers: Target, taste: Hunt) -> None:
    assert taste(answers) == 100


@pytest.mark.fuzz
def test_answers(answers: Target, hunt: Hunt) -> None:
    """Every step of both vendors."""
    assert hunt(answers) > 0


def test_undamaged_answers_make_a_run_that_works(scenarios: list[Scenario], tmp_path: Path) -> None:
    """Else the damage would prove little."""
    began = time.monotonic()
    for number, scenario in enumerate(scenarios):
        shutil.copytree(scenario.folder, tmp_path / str(number))
        asyncio.run(run(tmp_path / str(number), Recording(_Same(scenario.answers)), scenario.work))
    assert time.monotonic() - began < 30


class _Same:
    """The recorded answers as an ASGI application, in their order."""

    def __init__(self, answers: dict[str, list[Answered]]) -> None:
        self._left = {key: list(known) for key, known in answers.items()}

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        query = scope["query_string"].decode()
        key = f"{scope['method']} http://platform.invalid{scope['raw_path'].decode()}" + (f"?{query}" if query else "")
        known = self._left[key]
        answer = known.pop(0) if len(known) > 1 else known[0]
        headers = [(name.encode(), value.encode()) for name, value in answer.headers.items()]
        await send({"type": "http.response.start", "status": answer.status, "headers": headers})
        await send({"type": "http.response.body", "body": answer.body})
