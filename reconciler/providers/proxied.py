"""Carry httpx requests through the proxies that the environment names, by httpx's own transport.  Touches: network.

    ProxiedTransport   which proxy a request goes through, if any
    _Passage           how far one request has come, so that what fails can be told truthfully

The library speaks with proxies (tunnels, their TLS and authentication).  Its pool is slower than ours with many
requests in flight, which is why only who needs a proxy gets it.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any

import httpx

from reconciler.model.proxies import Proxy
from reconciler.providers.answers import ProxyFailed
from reconciler.providers.transport import KEEP_ALIVE_S, reason

ProxyTo = Callable[[str], Proxy | None]
"""The proxy for an absolute address; None for the direct way."""


class ProxiedTransport(httpx.AsyncBaseTransport):
    """Takes what ``proxy_to`` names no proxy for to ``direct``.  At most ``connections`` are open to each proxy.

    Raises ConnectError, ConnectTimeout or PoolTimeout only when nothing was sent to the server behind the proxy.
    """

    def __init__(
        self, direct: httpx.AsyncBaseTransport, proxy_to: ProxyTo, *, connections: int, ssl_context: ssl.SSLContext
    ) -> None:
        self._direct = direct
        self._proxy_to = proxy_to
        self._ssl_context = ssl_context
        self._limits = httpx.Limits(
            max_connections=connections, max_keepalive_connections=connections, keepalive_expiry=KEEP_ALIVE_S
        )
        self._transports: dict[str, httpx.AsyncHTTPTransport] = {}

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and return the answer as soon as its headers are there; the body is still to be read."""
        proxy = self._proxy_to(str(request.url))
        if proxy is None:
            return await self._direct.handle_async_request(request)
        return await _Passage(proxy).take(request, self._transport(proxy))

    async def aclose(self) -> None:
        """Close the connections."""
        await self._direct.aclose()
        for transport in self._transports.values():
            await transport.aclose()

    def _transport(self, proxy: Proxy) -> httpx.AsyncHTTPTransport:
        url = proxy.url.reveal()
        if url not in self._transports:
            is_tls = url.startswith("https:")
            self._transports[url] = httpx.AsyncHTTPTransport(
                proxy=httpx.Proxy(url, ssl_context=self._ssl_context if is_tls else None),
                verify=self._ssl_context,
                trust_env=False,
                limits=self._limits,
            )
        return self._transports[url]


class _Passage:
    """One request on its way through a proxy.

    What the library tells of its progress decides whether anything was sent.  Where it tells nothing that is known
    here, what failed stays as it is told: a request that may have been sent is never taken for one that was not.
    """

    def __init__(self, proxy: Proxy) -> None:
        self._proxy = proxy
        self._at = ""  # then "proxy", which is asked for a tunnel; "server", which is met in it; "sent"
        self._deadline = asyncio.timeout(None)
        self._tunnel_s: float | None = None

    async def take(self, request: httpx.Request, transport: httpx.AsyncBaseTransport) -> httpx.Response:
        """Send it.  Raises ConnectError where nothing was sent, ProxyFailed among them where the proxy is to blame."""
        timeouts: Mapping[str, float | None] = request.extensions.get("timeout", {})
        connect_s = timeouts.get("connect")
        self._tunnel_s = None if connect_s is None else 2 * connect_s  # the proxy has to connect, too
        request.extensions["trace"] = self._progress
        try:
            async with self._deadline:
                return await transport.handle_async_request(request)
        except httpx.ProxyError as error:
            raise self._refused(str(error)[:3]) from error
        except (httpx.TransportError, TimeoutError) as error:
            failure = self._failure(error)
            if failure is None:
                raise
            raise failure from error

    async def _progress(self, event: str, info: Mapping[str, Any]) -> None:
        """The ``trace`` extension of httpcore.  Source: its documentation, "Request Extensions", 1.0, 2026-11."""
        if self._at == "sent":
            return
        if event.endswith(".send_request_headers.started"):
            asks_for_tunnel = info["request"].method == b"CONNECT"
            self._at = "proxy" if asks_for_tunnel else "sent"
            seconds = self._tunnel_s if asks_for_tunnel else None
            now = asyncio.get_running_loop().time()
            self._deadline.reschedule(None if seconds is None else now + seconds)
        elif event == "proxy.start_tls.started":
            self._at = "server"

    def _failure(self, error: Exception) -> httpx.TransportError | None:
        """What is to be told instead; None to leave it as it is."""
        if self._at == "proxy":
            is_late = isinstance(error, TimeoutError | httpx.TimeoutException)
            what = "does not answer in time" if is_late else "broke the connection off"
            return ProxyFailed(f"the proxy {self._proxy} {what}", self._hint())
        if self._at == "server":
            return httpx.ConnectError(f"{_why(error)}, through the proxy {self._proxy}")
        if self._at == "" and isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
            return ProxyFailed(f"the proxy {self._proxy} cannot be reached: {_why(error)}", self._hint())
        return None

    def _refused(self, status: str) -> ProxyFailed:
        """For what a proxy answers in place of a tunnel; its own words are left out, for they may repeat a password."""
        known = {str(each.value): each.phrase for each in HTTPStatus}
        if status == "407":
            hint = f"put a user name and a password into {self._proxy.variable}: http://USER:PASSWORD@HOST:PORT"
        else:
            hint = self._hint()
        return ProxyFailed(f"the proxy {self._proxy} answers {status} {known.get(status, '')}".rstrip(), hint)

    def _hint(self) -> str:
        return f"check {self._proxy.variable}; NO_PROXY lists the servers that no proxy is needed for"


def _why(error: Exception) -> str:
    """The reason as the system gives it, which the library wraps several times."""
    if isinstance(error, TimeoutError | httpx.TimeoutException):
        return "no connection in time"
    inner: BaseException | None = error
    found: Exception = error
    while inner is not None:
        if isinstance(inner, OSError) and (inner.errno or isinstance(inner, ssl.SSLError)):
            found = inner
        inner = inner.exceptions[0] if isinstance(inner, BaseExceptionGroup) else inner.__cause__ or inner.__context__
    return reason(found)
