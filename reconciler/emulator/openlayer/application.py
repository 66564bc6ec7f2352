"""Openlayer's routes as one ASGI application: HTTP in, transaction around a handler, HTTP out."""

from __future__ import annotations

import json
import math
import uuid
from collections.abc import Callable, Iterator
from secrets import compare_digest

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reconciler.emulator.database import Database
from reconciler.emulator.faults import TASK_FATE
from reconciler.emulator.openlayer import data, evaluations, resources, views
from reconciler.emulator.openlayer.storage import Document, Store
from reconciler.emulator.openlayer.wire import MISSING, ApiError, Call, Dialect, Reply

Handler = Callable[[Call], Reply]
ErrorBody = Callable[[int, str], dict[str, object]]

_ROUTES: dict[str, dict[str, Handler]] = {
    "/projects": {"GET": resources.list_projects, "POST": resources.create_project},
    "/projects/{project}": {"PATCH": resources.update_project, "DELETE": resources.delete_project},
    "/projects/{project}/inference-pipelines": {"GET": resources.list_pipelines, "POST": resources.create_pipeline},
    "/projects/{project}/tests": {
        "GET": resources.list_tests,
        "POST": resources.create_test,
        "PUT": resources.update_tests,
    },
    "/projects/{project}/versions": {"GET": resources.list_commits, "POST": resources.create_commit},
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
    "/versions/{version}": {"GET": resources.read_commit},
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
) -> Starlette:
    """The application, whose paths begin where ``/v1`` ends.  ``api_key`` None accepts every bearer."""
    store = Store(database, _new_workspace(now()))
    body_of = error_body(dialect)

    async def answer_error(_: Request, error: Exception) -> Response:
        match error:
            case ApiError():
                return JSONResponse(body_of(error.status, error.message), error.status)
            case HTTPException():
                return JSONResponse(body_of(error.status_code, error.detail), error.status_code, error.headers)
        raise error

    routes = _SEED_ROUTES if dialect == "seed" else _ROUTES
    endpoints = (
        Route(path, _endpoint(methods, store, api_key, dialect, now, page_cap), methods=list(methods))
        for path, methods in routes.items()
    )
    app = Starlette(
        routes=[*endpoints, *_object_routes(store)],
        exception_handlers={ApiError: answer_error, HTTPException: answer_error},
    )
    app.router.redirect_slashes = False
    return app


def _new_workspace(now: float) -> Document:
    at = views.moment(now)
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


def _endpoint(
    methods: dict[str, Handler],
    store: Store,
    api_key: str | None,
    dialect: Dialect,
    now: Callable[[], float],
    page_cap: int,
) -> Callable[[Request], object]:
    """Check the key, read the body, and run the handler in a transaction that an error rolls back."""

    async def endpoint(request: Request) -> Response:
        _check_key(request, api_key)
        raw = await request.body()
        call = Call(
            store=store,
            dialect=dialect,
            now=now(),
            page_cap=page_cap,
            origin=f"{request.url.scheme}://{request.url.netloc}",
            path=request.path_params,
            query=dict(request.query_params),
            payload=_parsed(raw),
            task_fate=request.scope.get(TASK_FATE, ""),
        )
        handler = methods["GET" if request.method == "HEAD" else request.method]
        with store.database.transaction():
            # Rendered inside, so that what can not be answered is not kept either.
            return _response(handler(call))

    return endpoint


def _response(reply: Reply) -> Response:
    return Response(status_code=204) if reply.status == 204 else JSONResponse(reply.payload, reply.status)


def _check_key(request: Request, api_key: str | None) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ApiError(401, "The request has no bearer token.")
    if api_key is not None and not compare_digest(token.strip().encode(), api_key.encode()):
        raise ApiError(401, "The API key is not valid.")


def _parsed(raw: bytes) -> object:
    """The JSON of a body.  Raises ApiError 400 for what is none: infinite numbers and half characters included."""
    if not raw:
        return MISSING
    try:
        payload = json.loads(raw, parse_constant=_finite, parse_float=_finite, parse_int=_whole)
        if b"\\u" in raw:
            json.dumps(payload, ensure_ascii=False).encode()
        return payload
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "The request body is not valid JSON.") from error


def _finite(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise ValueError(text)
    return number


def _whole(text: str) -> int:
    _finite(text)
    return int(text)


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
