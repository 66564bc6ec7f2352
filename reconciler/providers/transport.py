"""Carry httpx requests over aiohttp's connections, and tell truthfully what failed.  Touches: network.

Why aiohttp underneath: httpx's own async pool collapses at 32 requests in flight.  Why a layer of ours on top:
httpx-aiohttp 0.2.0 reports a refused connection and a connection lost after the request was sent both as
``ConnectTimeout``, and lets a malformed status line through as aiohttp's own exception.  A client that repeats a POST
only when nothing was sent must be able to tell them apart.
"""

from __future__ import annotations

import functools
import ssl
from collections.abc import AsyncIterator, Callable

import aiohttp
import httpx
from httpx_aiohttp import AiohttpTransport

KEEP_ALIVE_S = 3.0
"""Idle connections are dropped after this: below the 5 s of common servers, so that a POST seldom meets a connection
the server is just closing."""

_Session = Callable[[], aiohttp.ClientSession]


class SocketTransport(httpx.AsyncBaseTransport):
    """Raises ConnectError, ConnectTimeout or PoolTimeout if and only if nothing was sent."""

    def __init__(self, *, connections: int, ssl_context: ssl.SSLContext) -> None:
        self._inner = AiohttpTransport(
            verify=ssl_context, trust_env=False, client=_session_factory(connections, ssl_context)
        )

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and return the answer as soon as its headers are there; the body is still to be read."""
        try:
            response = await self._inner.handle_async_request(request)
        except (httpx.HTTPError, aiohttp.ClientError, OSError) as exc:
            failure = _truthful(exc)
        else:
            assert isinstance(response.stream, httpx.AsyncByteStream)
            response.stream = _Body(response.stream)
            return response
        # Raised outside the handler: aiohttp's exceptions carry the request's headers, credential included.
        raise failure

    async def aclose(self) -> None:
        """Close the connections."""
        await self._inner.aclose()


class _Body(httpx.AsyncByteStream):
    """A body whose failures are httpx's: whatever goes wrong here, the request has been handled or is being handled."""

    def __init__(self, inner: httpx.AsyncByteStream) -> None:
        self._inner = inner

    async def __aiter__(self) -> AsyncIterator[bytes]:
        chunks = aiter(self._inner)
        while True:
            try:
                chunk = await anext(chunks)
            except StopAsyncIteration:
                return
            except (httpx.HTTPError, aiohttp.ClientError, OSError) as exc:
                failure = _broken_off(exc)
                break
            yield chunk
        raise failure

    async def aclose(self) -> None:
        await self._inner.aclose()


def _session_factory(connections: int, ssl_context: ssl.SSLContext) -> _Session:
    def session() -> aiohttp.ClientSession:
        connector = aiohttp.TCPConnector(limit=connections, ssl=ssl_context, keepalive_timeout=KEEP_ALIVE_S)
        made = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
        # aiohttp repeats GET, PUT and DELETE on its own when a kept-alive connection breaks.  Retries live in one
        # layer, which counts them; there is no public switch, and a test proves that this one works.
        made._retry_connection = False
        return made

    return session


def _truthful(exc: Exception) -> httpx.RequestError:
    """The httpx exception that says what happened, judged by aiohttp's."""
    cause = exc.__cause__ if isinstance(exc, httpx.HTTPError) and exc.__cause__ else exc
    match cause:
        case aiohttp.ClientConnectorCertificateError():
            return httpx.ConnectError(_reason(cause.certificate_error))
        case aiohttp.ClientConnectorError():
            return httpx.ConnectError(_reason(cause.os_error))
        case aiohttp.ConnectionTimeoutError():
            return httpx.ConnectTimeout("no connection in time")
        case aiohttp.InvalidURL() | aiohttp.NonHttpUrlClientError():
            return httpx.ConnectError("the address can not be used")
        case aiohttp.ServerTimeoutError():
            return httpx.ReadTimeout("no answer in time")
        case aiohttp.ClientResponseError():
            return httpx.RemoteProtocolError("the answer is not HTTP")
        case _:
            return _broken_off(cause)


def _broken_off(cause: BaseException) -> httpx.RequestError:
    if isinstance(cause, TimeoutError | httpx.TimeoutException):
        return httpx.ReadTimeout("no answer in time")
    return httpx.ReadError(f"the connection was lost ({type(cause).__name__})")


def _reason(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate can not be verified: {error.verify_message}"
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@functools.lru_cache(maxsize=4)
def tls_context(ca_file: str | None, *, plain: bool) -> ssl.SSLContext:
    """The one context for all connections of a process: building it takes 35 ms.

    ``ca_file`` replaces the built-in certificate authorities (self-hosted servers).  ``plain``: an empty context for
    http, which trusts nobody.  Raises OSError when the file can not be read.
    """
    if plain:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file:
        return ssl.create_default_context(cafile=ca_file)
    return httpx.create_ssl_context(trust_env=False)
