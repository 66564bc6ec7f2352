"""Count requests as the vendor does: per token, in sliding windows of an hour and of a minute.

Every answer has ``ratelimit-limit``, ``-remaining`` (both of the hour) and ``-reset``: the Unix second at which the
oldest request of the hour expires.  Beyond either window the answer is 429; ``retry-after`` stands there for the
minute only.
"""

from __future__ import annotations

import math
from collections import defaultdict, deque
from collections.abc import Callable

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.emulator.digitalocean.seed import Quota
from reconciler.emulator.rest import ErrorBody

_HOUR_S, _MINUTE_S = 3600.0, 60.0


class QuotaDoor:
    """ASGI middleware.  A refused request is not counted."""

    def __init__(self, app: ASGIApp, quota: Quota, *, now: Callable[[], float], error_body: ErrorBody) -> None:
        self._app = app
        self._quota = quota
        self._now = now
        self._error_body = error_body
        self._of_the_hour: dict[str, deque[float]] = defaultdict(deque)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count the request and pass it on, or refuse it."""
        now = self._now()
        seen = self._of_the_hour[Headers(scope=scope).get("authorization", "")]
        while seen and seen[0] <= now - _HOUR_S:
            seen.popleft()
        refused = self._refusal(seen, now)
        if refused is None:
            seen.append(now)
        counts = {
            "ratelimit-limit": str(self._quota.per_hour),
            "ratelimit-remaining": str(self._quota.per_hour - len(seen)),
            "ratelimit-reset": str(math.ceil(seen[0] + _HOUR_S)),
        }

        async def send_counted(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update(counts)
            await send(message)

        await (refused or self._app)(scope, receive, send_counted)

    def _refusal(self, seen: deque[float], now: float) -> JSONResponse | None:
        if len(seen) >= self._quota.per_hour:
            return JSONResponse(self._error_body(429, "The hourly limit is reached."), 429)
        if len(seen) < self._quota.per_minute or seen[-self._quota.per_minute] <= now - _MINUTE_S:
            return None
        wait_s = math.ceil(seen[-self._quota.per_minute] + _MINUTE_S - now)
        body = self._error_body(429, "The limit per minute is reached.")
        return JSONResponse(body, 429, {"retry-after": str(wait_s)})
