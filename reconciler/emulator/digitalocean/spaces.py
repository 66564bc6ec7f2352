"""The object store behind presigned URLs: S3's rules at a path of its own, where a bearer is refused.

A URL carries its permission: method, key and time of expiry, signed.  Errors are XML, as S3 has them.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import quote, urlencode

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from reconciler.emulator.digitalocean.storage import Store

PATH = "/spaces"


def presigned(store: Store, origin: str, method: str, key: str, expires_s: int) -> str:
    """A URL under which one method of one object is allowed until a Unix second."""
    permission = {"X-Amz-Expires-At": expires_s, "X-Amz-Signature": _signature(store, method, key, str(expires_s))}
    return f"{origin}{PATH}/{quote(key)}?{urlencode(permission)}"


def _signature(store: Store, method: str, key: str, expires_at: str) -> str:
    message = "\n".join((method, key, expires_at)).encode()
    return hmac.new(store.signing_key.encode(), message, hashlib.sha256).hexdigest()


@dataclass(frozen=True, slots=True)
class _Refusal:
    status: int
    code: str
    message: str

    def answer(self) -> Response:
        body = f"<Error><Code>{self.code}</Code><Message>{self.message}</Message></Error>"
        return Response(f'<?xml version="1.0" encoding="UTF-8"?>{body}', self.status, media_type="application/xml")


_TWO_CREDENTIALS = _Refusal(400, "InvalidArgument", "Only one auth mechanism allowed.")
_WRONG_SIGNATURE = _Refusal(403, "SignatureDoesNotMatch", "The request signature does not match.")
_EXPIRED = _Refusal(403, "AccessDenied", "Request has expired.")
_NO_OBJECT = _Refusal(404, "NoSuchKey", "The specified key does not exist.")


def build(store: Store, now: Callable[[], float]) -> Starlette:
    """The application, whose paths begin where ``PATH`` ends."""

    def refusal(request: Request) -> _Refusal | None:
        given = request.query_params
        expires_at, key = given.get("X-Amz-Expires-At", ""), request.path_params["key"]
        expected = _signature(store, request.method, key, expires_at)
        if "authorization" in request.headers:
            return _TWO_CREDENTIALS
        if not hmac.compare_digest(given.get("X-Amz-Signature", "").encode(), expected.encode()):
            return _WRONG_SIGNATURE
        return _EXPIRED if now() >= int(expires_at) else None

    async def put(request: Request) -> Response:
        content = await request.body()
        refused = refusal(request)
        if refused:
            return refused.answer()
        with store.database.transaction():
            store.put_object(request.path_params["key"], content)
        return Response(status_code=200, headers={"ETag": f'"{hashlib.sha256(content).hexdigest()[:32]}"'})

    async def get(request: Request) -> Response:
        refused = refusal(request)
        if refused:
            return refused.answer()
        with store.database.transaction():
            content = store.object(request.path_params["key"])
        return _NO_OBJECT.answer() if content is None else Response(content, media_type="text/csv")

    routes = [Route("/{key:path}", put, methods=["PUT"]), Route("/{key:path}", get, methods=["GET"])]
    app = Starlette(routes=routes)
    app.router.redirect_slashes = False
    return app
