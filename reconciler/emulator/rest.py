"""What every vendor's REST API is made of here: a request read strictly, a handler in a transaction, a JSON answer.

A vendor brings its routes, its words for errors and a ``Call`` of its own; nothing here knows a vendor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import compare_digest
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from reconciler.emulator.database import Database
from reconciler.emulator.faults import TASK_FATE

Body = TypeVar("Body", bound=BaseModel)
AnyCall = TypeVar("AnyCall")
ErrorBody = Callable[[int, str], dict[str, object]]

MISSING = object()
"""Stands for a request without a body."""

_WORDS = {"missing": "Missing data for required field.", "extra_forbidden": "Unknown field."}


class ApiError(Exception):
    """An answer other than success: HTTP status and text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and JSON payload; None is an empty body."""

    status: int
    payload: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestCall:
    """One authenticated request inside its transaction.

    ``now`` is Unix seconds; ``origin`` is scheme, host and port; ``task_fate`` is ``never`` or ``fails`` where a
    fault script says so of the tasks that the request starts.
    """

    now: float
    origin: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    payload: object
    task_fate: str = ""

    def body(self, model: type[Body]) -> Body:
        """The body as a model.  Raises ApiError 422 naming every field that is wrong."""
        if self.payload is MISSING:
            raise ApiError(422, "The request has no body.")
        return validated(model, self.payload)

    def asks(self, model: type[Body]) -> Body:
        """The query as a model.  Raises ApiError 422."""
        return validated(model, self.query)


def moment(unix_s: float) -> str:
    """RFC 3339 in UTC."""
    return datetime.fromtimestamp(unix_s, UTC).isoformat().replace("+00:00", "Z")


Routes = Mapping[str, Mapping[str, Callable[[AnyCall], Reply]]]
"""{path: {method: handler}}."""


def validated(model: type[Body], value: object, *, inside: str = "") -> Body:
    """The value as a model.  Raises ApiError 422; ``inside`` is where in the body the value stood."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ApiError(422, "; ".join(inside + _problem(e) for e in error.errors(include_url=False))) from error


def _problem(error: Mapping[str, Any]) -> str:
    """One line in the server's words, such as ``thresholds.0.measurement: Missing data for required field.``"""
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "value_error":
        said = str(error["ctx"]["error"])
        return said if not where else f"{where}.{said}" if ": " in said else f"{where}: {said}"
    if error["input"] is None and error["type"].endswith("_type"):
        return f"{where}: Field may not be null."
    return f"{where}: {_WORDS.get(error['type'], error['msg'])}"


def application(
    routes: Routes[AnyCall],
    call_of: Callable[..., AnyCall],
    *,
    database: Database,
    api_key: str | None,
    now: Callable[[], float],
    error_body: ErrorBody,
    unlocked: Iterable[BaseRoute] = (),
) -> Starlette:
    """An application of routes.  ``call_of`` is called with the fields of ``RestCall``, by keyword.

    ``api_key`` None accepts every bearer; ``unlocked`` routes need none.  An ApiError rolls back what the handler did.
    """

    async def answer_error(_: Request, error: Exception) -> Response:
        match error:
            case ApiError():
                return JSONResponse(error_body(error.status, error.message), error.status)
            case HTTPException():
                return JSONResponse(error_body(error.status_code, error.detail), error.status_code, error.headers)
        raise error

    def endpoint(methods: Mapping[str, Callable[[AnyCall], Reply]]) -> Callable[[Request], object]:
        async def answer(request: Request) -> Response:
            _check_key(request, api_key)
            call = call_of(
                now=now(),
                origin=f"{request.url.scheme}://{request.url.netloc}",
                path=request.path_params,
                query=dict(request.query_params),
                payload=_parsed(await request.body()),
                task_fate=request.scope.get(TASK_FATE, ""),
            )
            handler = methods["GET" if request.method == "HEAD" else request.method]
            with database.transaction():
                # Rendered inside, so that what can not be answered is not kept either.
                return _response(handler(call))

        return answer

    endpoints = (Route(path, endpoint(methods), methods=list(methods)) for path, methods in routes.items())
    app = Starlette(
        routes=[*endpoints, *unlocked],
        exception_handlers={ApiError: answer_error, HTTPException: answer_error},
    )
    app.router.redirect_slashes = False
    return app


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
