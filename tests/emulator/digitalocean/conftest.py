"""A DigitalOcean account in process, and a small client that keeps the tests about the rules."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from reconciler.emulator.app import create_app
from reconciler.emulator.digitalocean.seed import Seed
from reconciler.emulator.faults import FaultScript

NOW = 1_800_000_000.0
Doc = dict[str, Any]

CSV = b"query,expected_response\nWhere is my order?,It is on its way\nCan I pay later?,Yes you can\n"


class Account:
    """Requests against one emulator; the clock stands still unless a test moves ``now``."""

    def __init__(self, *, faults: list[Doc] | None = None, seed: Doc | None = None, **options: Any) -> None:
        self.now = NOW
        self.key: str | None = "any-key"
        script = None if faults is None else FaultScript.from_json(faults)
        account = Seed.from_json(seed) if seed is not None else None
        self.app: Starlette = create_app(now=lambda: self.now, faults=script, seed=account, **options)
        self._names = itertools.count(1)

    def __call__(self, method: str, path: str, body: object = None, **query: Any) -> httpx.Response:
        headers = {} if self.key is None else {"Authorization": f"Bearer {self.key}"}
        content: Doc = {"content": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
        return self.send(method, f"http://emulator/v2/gen-ai{path}", headers=headers, params=query or None, **content)

    def send(self, method: str, url: str, **request: Any) -> httpx.Response:
        """A request as it is, with no bearer added."""

        async def send() -> httpx.Response:
            async with httpx.AsyncClient(transport=httpx.ASGITransport(self.app)) as client:
                return await client.request(method, url, **request)

        return asyncio.run(send())

    def ok(self, method: str, path: str, body: object = None, **query: Any) -> Any:
        """The JSON of an answer that must be a success; every success is 200."""
        answer = self(method, path, body, **query)
        assert answer.status_code == 200, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer.json()

    def refused(self, method: str, path: str, body: object = None, **query: Any) -> tuple[int, str, str]:
        """Status, id and message of an answer that must be an error in the documented shape."""
        answer = self(method, path, body, **query)
        error = answer.json()
        assert set(error) == {"id", "message", "request_id"}
        return answer.status_code, error["id"], error["message"]

    # --- what most tests need first

    def workspace(self, **fields: Any) -> Doc:
        body = {"name": f"workspace {next(self._names)}", **fields}
        return dict(self.ok("POST", "/workspaces", body)["workspace"])

    def agents(self) -> dict[str, str]:
        """{name: uuid} of every agent."""
        return {agent["name"]: agent["uuid"] for agent in self.ok("GET", "/agents")["agents"]}

    def metrics(self) -> dict[str, Doc]:
        """{name: metric} of the catalogue."""
        return {metric["metric_name"]: metric for metric in self.ok("GET", "/evaluation_metrics")["metrics"]}

    def upload(self, content: bytes = CSV, name: str = "rows.csv") -> Doc:
        """Where a file was put: an upload, as the API describes it."""
        files = [{"file_name": name, "file_size": len(content) or 1}]
        (upload,) = self.ok("POST", "/evaluation_datasets/file_upload_presigned_urls", {"files": files})["uploads"]
        assert self.send("PUT", upload["presigned_url"], content=content).status_code == 200
        return dict(upload)

    def dataset_body(self, content: bytes = CSV, **fields: Any) -> Doc:
        """What registers a file that has just been put there."""
        stored = {"original_file_name": "rows.csv", "stored_object_key": self.upload(content)["object_key"]}
        return {"name": "rows", "file_upload_dataset": {**stored, "size_in_bytes": len(content)}, **fields}

    def dataset(self, content: bytes = CSV, **fields: Any) -> str:
        body = self.dataset_body(content, **fields)
        return str(self.ok("POST", "/evaluation_datasets", body)["evaluation_dataset_uuid"])

    def case_body(self, *names: str, threshold: Doc | None = None, **fields: Any) -> Doc:
        """What creates a test case of metrics by name; the first is the star metric."""
        catalogue = self.metrics()
        uuids = [catalogue[name]["metric_uuid"] for name in names or ("Correctness (general hallucinations)",)]
        star = {"metric_uuid": uuids[0], **({"success_threshold": 80.0} if threshold is None else threshold)}
        body = {"name": "case", "description": "Why.", "metrics": uuids, "star_metric": star, **fields}
        if "dataset_uuid" not in body:
            body["dataset_uuid"] = self.dataset()
        if "workspace_uuid" not in body and "agent_workspace_name" not in body:
            body["workspace_uuid"] = self.ok("GET", "/workspaces")["workspaces"][0]["uuid"]
        return body

    def case(self, *names: str, threshold: Doc | None = None, **fields: Any) -> str:
        body = self.case_body(*names, threshold=threshold, **fields)
        return str(self.ok("POST", "/evaluation_test_cases", body)["test_case_uuid"])

    def read_case(self, case: str, **query: Any) -> Doc:
        return dict(self.ok("GET", f"/evaluation_test_cases/{case}", **query)["evaluation_test_case"])

    def start(self, case: str, *agents: str) -> list[str]:
        """Runs of agents by name."""
        uuids = self.agents()
        asked = [uuids[name] for name in agents or ("support-bot",)]
        body = {"test_case_uuid": case, "agent_uuids": asked, "run_name": "nightly"}
        return list(self.ok("POST", "/evaluation_runs", body)["evaluation_run_uuids"])

    def look(self, run: str) -> Doc:
        return dict(self.ok("GET", f"/evaluation_runs/{run}")["evaluation_run"])

    def finish(self, run: str) -> Doc:
        """The run after four looks, which is as many as it takes."""
        return [self.look(run) for _ in range(4)][-1]


@pytest.fixture
def make_account() -> Iterator[Callable[..., Account]]:
    """Emulators with options of their own, closed at the end."""
    made: list[Account] = []

    def make(**options: Any) -> Account:
        made.append(Account(**options))
        return made[-1]

    yield make
    for account in made:
        account.app.state.database.close()


@pytest.fixture
def account(make_account: Callable[..., Account]) -> Account:
    """One emulator with what every new one holds."""
    return make_account()
