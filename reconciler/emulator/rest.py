"""What every vendor's REST API is made of here: a request read strictly, a handler in a transaction, a JSON answer.

A vendor brings its routes, its words for errors and a ``Call`` of its own; nothing here knows a vendor.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import compare_digest
from typing import Any, Generic, TypeVar

import msgspec.json
from pydantic import BaseModel, ValidationError
from starlette.applications import Starlette
from starlette.datastructures import URL
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.emulator.database import Database, Encoded, encoded
from reconciler.emulator.faults import TASK_FATE

Body = TypeVar("Body", bound=BaseModel)
AnyCall = TypeVar("AnyCall")
ErrorBody = Callable[[int, str], dict[str, object]]

MISSING = object()
"""Stands for a request without a body."""

_WORDS = {"missing": "Missing data for required field.", "extra_forbidden": "Unknown field."}


class ApiError(Exception):
    """An answer other than success: HTTP status and text."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.headers = headers


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and payload: what JSON can say, or JSON already; None is an empty body."""

    status: int
    payload: object = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RestCall:
    """One authenticated request inside its transaction.

    ``now`` is Unix seconds; ``url`` is the one that was asked for; ``task_fate`` is ``never`` or ``fails`` where a
    fault script says so of the tasks that the request starts.
    """

    now: float
    url: Callable[[], URL]
    path: Mapping[str, str]
    query: Mapping[str, str]
    payload: object
    task_fate: str = ""

    def body(self, model: type[Body]) -> Body:
        """The body as a model.  Raises ApiError 422 naming every field that is wrong."""
        if self.payload is MISSING:
            raise ApiError(422, "The request has no body.")
        return validated(model, self.payload)

    @property
    def origin(self) -> str:
        """Scheme, host and port."""
        url = self.url()
        return f"{url.scheme}://{url.netloc}"

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


class _Paths(Generic[AnyCall]):
    """Which of an API's paths, such as ``/projects/{project}/tests``, a request means."""

    def __init__(self, routes: Routes[AnyCall]) -> None:
        self._of_length: dict[int, list[tuple[list[str], Mapping[str, Callable[[AnyCall], Reply]]]]] = {}
        for path, methods in routes.items():
            parts = path.split("/")
            self._of_length.setdefault(len(parts), []).append((parts, methods))

    def handler(self, method: str, path: str) -> tuple[Callable[[AnyCall], Reply], dict[str, str]] | None:
        """The handler and the names in the path; None if there is no such path.

        The first path that fits and has the method counts.  Raises ApiError 405 if none has it.
        """
        asked = path.split("/")
        allowed: list[str] = []
        for parts, methods in self._of_length.get(len(asked), ()):
            pairs = list(zip(parts, asked, strict=True))
            if all(part == given or (given and part[:1] == "{") for part, given in pairs):
                if method in methods:
                    return methods[method], {part[1:-1]: given for part, given in pairs if part[:1] == "{"}
                allowed += methods
        if allowed:
            raise ApiError(405, "Method Not Allowed", {"Allow": ", ".join(allowed)})
        return None


def application(
    routes: Routes[AnyCall],
    call_of: Callable[..., AnyCall],
    *,
    database: Database,
    api_key: str | None,
    now: Callable[[], float],
    error_body: ErrorBody,
    unlocked: Iterable[BaseRoute] = (),
) -> ASGIApp:
    """An application of routes.  ``call_of`` is called with the fields of ``RestCall``, by keyword.

    ``api_key`` None accepts every bearer; ``unlocked`` routes need none.  An ApiError rolls back what the handler did.
    """
    paths = _Paths(routes)

    def refused(_: Request, error: Exception) -> Response:
        match error:
            case ApiError():
                return JSONResponse(error_body(error.status, error.message), error.status, error.headers)
            case HTTPException():
                return JSONResponse(error_body(error.status_code, error.detail), error.status_code, error.headers)
        raise error

    others = Starlette(routes=[*unlocked], exception_handlers={ApiError: refused, HTTPException: refused})
    others.router.redirect_slashes = False

    async def answer(request: Request, handler: Callable[[AnyCall], Reply], path: Mapping[str, str]) -> Response:
        _check_key(request, api_key)
        call = call_of(
            now=now(),
            url=lambda: request.url,
            path=path,
            query=dict(request.query_params),
            payload=_parsed(await request.body()),
            task_fate=request.scope.get(TASK_FATE, ""),
        )
        with database.transaction():
            # Rendered inside, so that what cannot be answered is not kept either.
            return _response(handler(call))

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        # Not by Starlette's routes and the middleware around each, which are a third of the time of an answer.
        request = Request(scope, receive)
        try:
            method = "GET" if request.method == "HEAD" else request.method
            found = paths.handler(method, scope["path"].removeprefix(scope["root_path"]))
            if found is None:
                return await others(scope, receive, send)
            response = await answer(request, *found)
        except ApiError as error:
            response = refused(request, error)
        return await response(scope, receive, send)

    return app


def _response(reply: Reply) -> Response:
    if reply.status == 204:
        return Response(status_code=204)
    content = reply.payload if isinstance(reply.payload, Encoded) else encoded(reply.payload)
    return Response(content, reply.status, media_type="application/json")


def _check_key(request: Request, api_key: str | None) -> None:
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        raise ApiError(401, "The request has no bearer token.")
    if api_key is not None and not compare_digest(token.strip().encode(), api_key.encode()):
        raise ApiError(401, "The API key is not valid.")


_ZEROS = bytes.maketrans(b"123456789", b"000000000")
_HUGE = b"0" * 300
"""A whole number with so many digits may be infinite."""


def _parsed(raw: bytes) -> object:
    """The JSON of a body.  Raises ApiError 400 for what is none: infinite numbers and half characters included."""
    if not raw:
        return MISSING
    if _HUGE not in raw.translate(_ZEROS):
        with suppress(ValueError, RecursionError):
            return msgspec.json.decode(raw)
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
