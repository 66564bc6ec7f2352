"""An emulator in process, and a small client that keeps the tests about the rules."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from reconciler.emulator.app import create_app
from reconciler.emulator.faults import FaultScript

NOW = 1_800_000_000.0
Doc = dict[str, Any]


class Api:
    """Requests against one emulator; the clock stands still unless a test moves ``now``."""

    def __init__(self, *, faults: list[Doc] | None = None, **options: Any) -> None:
        self.now = NOW
        self.key: str | None = "any-key"
        script = None if faults is None else FaultScript.from_json(faults)
        self.app: Starlette = create_app(now=lambda: self.now, faults=script, **options)
        self._names = itertools.count(1)

    def __call__(self, method: str, path: str, body: object = None, **query: Any) -> httpx.Response:
        return asyncio.run(self._send(method, path, body, query))

    async def _send(self, method: str, path: str, body: object, query: Doc) -> httpx.Response:
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        content: Doc = {"content": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
        transport = httpx.ASGITransport(self.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://emulator/v1", headers=headers) as client:
            return await client.request(method, path, params=query, **content)

    def ok(self, method: str, path: str, body: object = None, **query: Any) -> Any:
        """The JSON of an answer that must be a success."""
        answer = self(method, path, body, **query)
        assert answer.is_success, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json() if answer.content else None

    def refused(self, method: str, path: str, body: object = None, **query: Any) -> tuple[int, str]:
        """Status and text of an answer that must be an error in the documented shape."""
        answer = self(method, path, body, **query)
        error = answer.json()
        assert set(error) == {"code", "error"}
        assert error["code"] == answer.status_code
        return answer.status_code, error["error"]

    def project(self, **fields: Any) -> Doc:
        body = {"name": f"project {next(self._names)}", "taskType": "llm-base", **fields}
        return dict(self.ok("POST", "/projects", body))

    def pipeline(self, project: Doc, **fields: Any) -> Doc:
        body = {"name": f"pipeline {next(self._names)}", "description": None, **fields}
        return dict(self.ok("POST", f"/projects/{project['id']}/inference-pipelines", body))

    def test(self, project: Doc, **fields: Any) -> Doc:
        return dict(self.ok("POST", f"/projects/{project['id']}/tests", row_count(**fields)))

    def stream(self, pipeline: Doc, rows: list[Doc], **config: Any) -> None:
        body = {"config": {"outputColumnName": "output", **config}, "rows": rows}
        self.ok("POST", f"/inference-pipelines/{pipeline['id']}/data-stream", body)

    def evaluate(self, test: Doc, start: float, end: float, **fields: Any) -> Doc:
        body = {"startTimestamp": int(start), "endTimestamp": int(end), **fields}
        return dict(self.ok("POST", f"/tests/{test['id']}/evaluate", body))

    def results(self, test: Doc, **query: Any) -> list[Doc]:
        """The results once their tasks are done: the second read."""
        self.ok("GET", f"/tests/{test['id']}/results")
        return list(self.ok("GET", f"/tests/{test['id']}/results", **query)["items"])


def threshold(**fields: Any) -> Doc:
    """At least one row."""
    return {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 1, **fields}


def row_count(**fields: Any) -> Doc:
    """The body that creates a monitoring test with a window of an hour."""
    return {
        "name": "Rows arrive",
        "description": None,
        "type": "integrity",
        "subtype": "rowCount",
        "usesProductionData": True,
        "thresholds": [threshold()],
        **fields,
    }


@pytest.fixture
def make_api() -> Iterator[Callable[..., Api]]:
    """Emulators with options of their own, closed at the end."""
    made: list[Api] = []

    def make(**options: Any) -> Api:
        made.append(Api(**options))
        return made[-1]

    yield make
    for api in made:
        api.app.state.database.close()


@pytest.fixture
def api(make_api: Callable[..., Api]) -> Api:
    """One emulator with an empty memory."""
    return make_api()


@pytest.fixture(name="row_count")
def _row_count() -> Callable[..., Doc]:
    return row_count


@pytest.fixture(name="threshold")
def _threshold() -> Callable[..., Doc]:
    return threshold
