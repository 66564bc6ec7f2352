"""DigitalOcean's routes as one ASGI application; every success is 200."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from starlette.types import ASGIApp

from reconciler.emulator.database import Document
from reconciler.emulator.digitalocean import cases, datasets, runs, views, workspaces
from reconciler.emulator.digitalocean.seed import Seed
from reconciler.emulator.digitalocean.storage import Store
from reconciler.emulator.digitalocean.wire import Call
from reconciler.emulator.faults import ListForm
from reconciler.emulator.rest import Reply, application, moment

Handler = Callable[[Call], Document]

# A test case and a run have no DELETE, and a dataset has neither PUT nor GET: such a request is 405.
_ROUTES: dict[str, dict[str, Handler]] = {
    "/workspaces": {"GET": workspaces.list_workspaces, "POST": workspaces.create_workspace},
    "/workspaces/{workspace}": {
        "GET": workspaces.read_workspace,
        "PUT": workspaces.update_workspace,
        "DELETE": workspaces.delete_workspace,
    },
    "/workspaces/{workspace}/agents": {
        "GET": workspaces.list_agents_of_workspace,
        "PUT": workspaces.move_agents,
    },
    "/workspaces/{workspace}/evaluation_test_cases": {"GET": cases.list_test_cases_of_workspace},
    "/agents": {"GET": workspaces.list_agents},
    "/agents/{agent}": {"GET": workspaces.read_agent},
    "/agents/{agent}/versions": {"GET": workspaces.list_agent_versions},
    "/evaluation_datasets": {"GET": datasets.list_datasets, "POST": datasets.create_dataset},
    "/evaluation_datasets/file_upload_presigned_urls": {"POST": datasets.request_uploads},
    "/evaluation_datasets/{dataset}": {"DELETE": datasets.delete_dataset},
    "/evaluation_datasets/{dataset}/download_url": {"GET": datasets.download_url},
    "/evaluation_metrics": {"GET": cases.list_metrics},
    "/evaluation_test_cases": {"GET": cases.list_test_cases, "POST": cases.create_test_case},
    "/evaluation_test_cases/{test_case}": {"GET": cases.read_test_case, "PUT": cases.update_test_case},
    "/evaluation_test_cases/{test_case}/evaluation_runs": {"GET": runs.list_runs},
    "/evaluation_runs": {"POST": runs.start_runs},
    "/evaluation_runs/{run}": {"GET": runs.read_run},
    "/evaluation_runs/{run}/results": {"GET": runs.list_prompts},
    "/evaluation_runs/{run}/results/{prompt}": {"GET": runs.read_prompt},
}

_IDS = {
    400: "bad_request",
    401: "unauthorized",
    403: "forbidden",
    404: "not_found",
    405: "method_not_allowed",
    409: "conflict",
    422: "unprocessable_entity",
    429: "too_many_requests",
    503: "service_unavailable",
}


def error_body(status: int, message: str) -> dict[str, object]:
    """How the vendor writes an error; its ``id`` is the status in words."""
    return {"id": _IDS.get(status, "server_error"), "message": message, "request_id": str(uuid.uuid4())}


def _created(body: Mapping[str, Any]) -> list[str]:
    workspace = body.get("workspace") or {}
    made = [workspace.get("uuid"), body.get("evaluation_dataset_uuid"), body.get("test_case_uuid")]
    return [each for each in (*made, *body.get("evaluation_run_uuids", ())) if each]


LISTS = ListForm(
    ids={
        "workspaces": "uuid",
        "agents": "uuid",
        "agent_versions": "id",
        "metrics": "metric_uuid",
        "evaluation_datasets": "dataset_uuid",
        "evaluation_test_cases": "test_case_uuid",
        "evaluation_runs": "evaluation_run_uuid",
        "prompts": "prompt_id",
    },
    per_page="per_page",
    about=("links", "meta"),
    created=_created,
)
"""How the vendor writes lists, for faults in them."""


def build(store: Store, seed: Seed, *, api_key: str | None, now: Callable[[], float], page_cap: int) -> ASGIApp:
    """The application, whose paths begin where ``wire.PREFIX`` ends.  ``api_key`` None accepts every bearer."""
    show = views.without_zeros if seed.omit_zeros else dict
    routes = {
        path: {method: partial(_answered, handler, show) for method, handler in methods.items()}
        for path, methods in _ROUTES.items()
    }
    return application(
        routes,
        partial(Call, store=store, page_cap=page_cap, upload_ttl_s=seed.upload_ttl_s),
        database=store.database,
        api_key=api_key,
        now=now,
        error_body=error_body,
    )


def _answered(handler: Handler, show: Callable[[Document], Document], call: Call) -> Reply:
    return Reply(200, show(handler(call)))


class Console:
    """What people do to an account that the API has no call for."""

    def __init__(self, store: Store, now: Callable[[], float]) -> None:
        self._store = store
        self._now = now

    def sow(self, seed: Seed) -> None:
        """Add what a seed holds or, under the same uuids, change it: so an agent gets a new version."""
        with self._store.database.transaction():
            self._store.sow(seed, self._now())

    def archive(self, test_case_uuid: str) -> None:
        """Archive a test case.  Raises KeyError if there is none."""
        with self._store.database.transaction():
            doc = self._store.test_case(test_case_uuid)
            if doc is None:
                raise KeyError(test_case_uuid)
            self._store.put_test_case({**doc, "archived_at": moment(self._now())})
