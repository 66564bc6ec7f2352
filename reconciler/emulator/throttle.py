"""Make an application as slow, or as sparing, as a real server: latency for every answer, 429 above a rate."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.emulator.rest import ErrorBody


class Throttle:
    """ASGI middleware.  A bucket of one second's worth of requests (at least one) refills at ``rate_per_s``.

    An answer leaves ``latency_s`` after it was asked for, or when it is there, if that takes longer: who measures a
    client measures that latency, not how fast an emulator is.
    """

    def __init__(
        self,
        app: ASGIApp,
        *,
        latency_s: float,
        rate_per_s: float | None,
        now: Callable[[], float],
        error_body: ErrorBody,
    ) -> None:
        self._app = app
        self._latency_s = latency_s
        self._rate = rate_per_s
        self._now = now
        self._error_body = error_body
        self._room = max(1.0, rate_per_s or 1.0)
        self._filled_at = now()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on, or refuse with ``Retry-After`` in whole seconds."""
        if self._latency_s:
            send = _held_back(send, asyncio.get_running_loop().time() + self._latency_s)
        wait_s = self._wait_s()
        if wait_s:
            answer = JSONResponse(
                self._error_body(429, "Too many requests."), 429, {"Retry-After": str(math.ceil(wait_s))}
            )
            await answer(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _wait_s(self) -> float:
        """Take one request out of the bucket: 0, or the seconds until there is room for one."""
        if self._rate is None:
            return 0.0
        now = self._now()
        self._room = min(max(1.0, self._rate), self._room + (now - self._filled_at) * self._rate)
        self._filled_at = now
        if self._room < 1:
            return (1 - self._room) / self._rate
        self._room -= 1
        return 0.0


def _held_back(send: Send, until: float) -> Send:
    """Begins to answer no sooner than ``until``, on the clock of the running loop."""

    async def send_then(message: Message) -> None:
        if message["type"] == "http.response.start":
            await asyncio.sleep(max(0.0, until - asyncio.get_running_loop().time()))
        await send(message)

    return send_then
