"""Openlayer's routes as one ASGI application."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from functools import partial

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp

from reconciler.emulator.database import Database, Document
from reconciler.emulator.openlayer import commits, data, evaluations, resources
from reconciler.emulator.openlayer.storage import Store
from reconciler.emulator.openlayer.wire import Call, Dialect
from reconciler.emulator.rest import ApiError, ErrorBody, Reply, application, moment

Handler = Callable[[Call], Reply]

_ROUTES: dict[str, dict[str, Handler]] = {
    "/projects": {"GET": resources.list_projects, "POST": resources.create_project},
    "/projects/{project}": {"PATCH": resources.update_project, "DELETE": resources.delete_project},
    "/projects/{project}/inference-pipelines": {"GET": resources.list_pipelines, "POST": resources.create_pipeline},
    "/projects/{project}/tests": {
        "GET": resources.list_tests,
        "POST": resources.create_test,
        "PUT": resources.update_tests,
    },
    "/projects/{project}/versions": {"GET": commits.list_commits, "POST": commits.create_commit},
    "/inference-pipelines/{pipeline}": {
        "GET": resources.read_pipeline,
        "PUT": resources.update_pipeline,
        "DELETE": resources.delete_pipeline,
    },
    "/inference-pipelines/{pipeline}/data-stream": {"POST": data.stream},
    "/inference-pipelines/{pipeline}/results": {"GET": evaluations.list_pipeline_results},
    "/inference-pipelines/{pipeline}/rows": {"POST": data.search_rows, "PUT": data.update_row},
    "/inference-pipelines/{pipeline}/rows/{inference}": {"GET": data.read_row, "DELETE": data.delete_row},
    "/tests/{test}": {"GET": resources.read_test, "PUT": resources.update_test, "DELETE": resources.delete_test},
    "/tests/{test}/evaluate": {"POST": evaluations.evaluate},
    "/tests/{test}/results": {"GET": evaluations.list_test_results},
    "/versions/{version}": {"GET": commits.read_commit},
    "/versions/{version}/results": {"GET": evaluations.list_commit_results},
    "/background-tasks/{task}": {"GET": evaluations.read_task},
    "/storage/presigned-url": {"GET": data.download_url, "POST": data.upload_url},
    "/workspaces/{workspace}": {"GET": resources.read_workspace},
}

# What the seed spec has otherwise, and what it has not.
_SEED_ROUTES: dict[str, dict[str, Handler]] = {
    **_ROUTES,
    "/projects/{project}": {"DELETE": resources.delete_project},
    "/projects/{project}/tests": {
        **_ROUTES["/projects/{project}/tests"],
        "PUT": resources.update_tests_of_the_seed,
    },
    "/tests/{test}/evaluate": {"POST": evaluations.evaluate_as_the_seed_does},
    "/storage/presigned-url": {"POST": data.upload_url},
}
for _absent in ("/tests/{test}", "/background-tasks/{task}", "/workspaces/{workspace}"):
    del _SEED_ROUTES[_absent]


def error_body(dialect: Dialect) -> ErrorBody:
    """How a dialect writes an error of a status and a text."""
    if dialect == "seed":
        return lambda status, message: {"code": str(status), "message": message}
    return lambda status, message: {"code": status, "error": message}


def build(
    database: Database, *, api_key: str | None, dialect: Dialect, now: Callable[[], float], page_cap: int
) -> ASGIApp:
    """The application, whose paths begin where ``/v1`` ends.  ``api_key`` None accepts every bearer."""
    store = Store(database, _new_workspace(now()))
    return application(
        _SEED_ROUTES if dialect == "seed" else _ROUTES,
        partial(Call, store=store, dialect=dialect, page_cap=page_cap),
        database=database,
        api_key=api_key,
        now=now,
        error_body=error_body(dialect),
        unlocked=_object_routes(store),
    )


def _new_workspace(now: float) -> Document:
    at = moment(now)
    return {
        "id": str(uuid.uuid4()),
        "creatorId": str(uuid.uuid4()),
        "name": "Emulator",
        "slug": "emulator",
        "status": "active",
        "inviteCount": 0,
        "memberCount": 1,
        "dateCreated": at,
        "dateUpdated": at,
    }


def _object_routes(store: Store) -> Iterator[Route]:
    """Presigned URLs: the address is the permission, so there is no key to check."""

    async def put(request: Request) -> Response:
        content = await request.body()
        with store.database.transaction():
            store.put_object(data.object_uri(request.path_params), content)
        return Response(status_code=200)

    async def get(request: Request) -> Response:
        with store.database.transaction():
            content = store.object(data.object_uri(request.path_params))
        if content is None:
            raise ApiError(404, "There is no such object.")
        return Response(content, media_type="application/octet-stream")

    yield Route("/storage/objects/{name:path}", put, methods=["PUT"])
    yield Route("/storage/objects/{name:path}", get, methods=["GET"])
