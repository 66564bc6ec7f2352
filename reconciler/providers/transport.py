"""Carry httpx requests over sockets, and tell truthfully what failed.  Touches: network.

    SocketTransport   which connection a request takes: the one used last, else a new one
    _Connection       one socket: a request out, its answer in
    _Answer           what llhttp has made of the bytes so far; its body is read while it arrives

Why our own: httpx's async pool collapses at 32 requests in flight, aiohttp under httpx takes longer to import than
everything else and twice the time for each request, and neither tells for sure whether anything was sent.  A client
that repeats a POST only when nothing was sent must know.
"""

from __future__ import annotations

import asyncio
import functools
import ipaddress
import os
import re
import select
import ssl
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Mapping
from typing import NamedTuple, cast

import httptools
import httpx

KEEP_ALIVE_S = 3.0
"""Idle connections are dropped after this: below the 5 s of common servers, so that a POST seldom meets a connection
the server is just closing."""

_LONGEST_HEAD = 64 * 1024
"""Bytes that may arrive in a row without one of a body: status line and headers, or what stands around chunks."""

_MOST_UNREAD = 256 * 1024
"""A body of which so much waits to be read is left in the network's care."""

_AT_ONCE = 256 * 1024
"""How many bytes are taken from a socket at once, into the same memory each time."""

_PIECE = 64 * 1024
"""Longer contents are handed to the socket in pieces, each once the one before is on its way."""

_NEXT_ADDRESS_S = 0.25
"""When a host's first address is silent, the next is tried beside it after this (RFC 8305)."""

_Timeouts = Mapping[str, float | None]
"""Seconds for ``connect``, ``pool``, ``read`` and ``write``, each for one wait, as httpx has them."""


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int


class SocketTransport(httpx.AsyncBaseTransport):
    """Raises ConnectError, ConnectTimeout or PoolTimeout if and only if nothing was sent; repeats nothing by itself.

    A request whose head would be more than one head (a line break in a value) is a LocalProtocolError; nothing is
    sent of it either.  At most ``connections`` are open.
    """

    def __init__(self, *, connections: int, ssl_context: ssl.SSLContext, keep_alive_s: float = KEEP_ALIVE_S) -> None:
        self._most = connections
        self._ssl_context = ssl_context
        self._keep_alive_s = keep_alive_s
        self._places = asyncio.Semaphore(connections)
        self._open: set[_Connection] = set()
        self._idle: defaultdict[_Origin, list[_Connection]] = defaultdict(list)  # the one used last is at the end
        self._reached: dict[_Origin, str] = {}
        self._cleaning: asyncio.TimerHandle | None = None
        self.buffer = memoryview(bytearray(_AT_ONCE))
        """What has just arrived, for any connection: each copies it before the next one reads."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        """Send, and return the answer as soon as its headers are there; the body is still to be read."""
        timeouts: _Timeouts = request.extensions.get("timeout", {})
        url = request.url
        origin = _Origin(url.scheme, url.raw_host.decode("ascii"), url.port or (443 if url.scheme == "https" else 80))
        connection = await self._take(origin, timeouts)
        answer = await connection.ask(request, timeouts)
        return httpx.Response(answer.status, headers=answer.headers, stream=answer)

    async def aclose(self) -> None:
        """Close the connections."""
        if self._cleaning is not None:
            self._cleaning.cancel()
        for connection in tuple(self._open):
            connection.abort()
        await asyncio.sleep(0)  # asyncio closes a socket in the next round of the loop

    def over(self, connection: _Connection, *, reusable: bool) -> None:
        """The exchange on this connection has ended: somebody else may have its place."""
        self._places.release()
        if not reusable:
            return
        self._idle[connection.origin].append(connection)
        if self._cleaning is None:
            self._clean_later()

    def gone(self, connection: _Connection) -> None:
        """Forget a connection that is closed."""
        self._open.discard(connection)
        idle = self._idle[connection.origin]
        if connection in idle:
            idle.remove(connection)

    # ------------------------------------------------------------------------------ choosing and connecting

    async def _take(self, origin: _Origin, timeouts: _Timeouts) -> _Connection:
        if self._places.locked():
            await self._free_place(timeouts.get("pool"))
        else:
            await self._places.acquire()
        try:
            return self._kept(origin) or await self._opened(origin, timeouts.get("connect"))
        except BaseException:
            self._places.release()
            raise

    async def _free_place(self, pool_s: float | None) -> None:
        try:
            async with asyncio.timeout(pool_s):
                await self._places.acquire()
        except TimeoutError:
            raise httpx.PoolTimeout("no connection is free") from None

    def _kept(self, origin: _Origin) -> _Connection | None:
        """The idle connection used last, if it is still good."""
        idle = self._idle[origin]
        earliest = asyncio.get_running_loop().time() - self._keep_alive_s
        while idle:
            connection = idle.pop()
            if connection.idle_since > earliest and connection.is_quiet():
                return connection
            connection.abort()
        return None

    async def _opened(self, origin: _Origin, connect_s: float | None) -> _Connection:
        if len(self._open) >= self._most:  # those beyond the busy ones are idle ones to other hosts
            self._drop_an_idle_one()
        connection = _Connection(self, origin)
        self._open.add(connection)
        try:
            async with asyncio.timeout(connect_s):
                await self._connect(connection)
            return connection
        except TimeoutError:
            failure: httpx.TransportError = httpx.ConnectTimeout("no connection in time")
        except OSError as exc:
            failure = httpx.ConnectError(reason(exc))
        except (ValueError, OverflowError):
            failure = httpx.ConnectError("the address cannot be used")
        except BaseException:
            connection.abort()
            raise
        connection.abort()
        self._reached.pop(origin, None)
        raise failure

    async def _connect(self, connection: _Connection) -> None:
        """Once a name has led somewhere, further connections go there at once, without asking who that is."""
        origin = connection.origin
        if origin.scheme not in ("http", "https"):
            raise ValueError(origin.scheme)
        is_tls = origin.scheme == "https"
        reached = self._reached.get(origin)
        transport, _ = await asyncio.get_running_loop().create_connection(
            lambda: connection,
            reached or origin.host,
            origin.port,
            ssl=self._ssl_context if is_tls else None,
            server_hostname=origin.host if is_tls else None,
            # No race where there is nothing to race: asyncio loses a socket when one is cancelled at its end.
            happy_eyeballs_delay=None if reached or _is_numeric(origin.host) else _NEXT_ADDRESS_S,
        )
        if peer := transport.get_extra_info("peername"):
            self._reached[origin] = peer[0]

    # ---------------------------------------------------------------------------------------- tidying up

    def _drop_an_idle_one(self) -> None:
        idle = next((idle for idle in self._idle.values() if idle), None)
        if idle:
            idle[0].abort()

    def _clean_later(self) -> None:
        self._cleaning = asyncio.get_running_loop().call_later(self._keep_alive_s, self._clean)

    def _clean(self) -> None:
        """Drop what has been idle for long."""
        self._cleaning = None
        latest = asyncio.get_running_loop().time() - self._keep_alive_s
        for idle in tuple(self._idle.values()):
            while idle and idle[0].idle_since <= latest:
                idle[0].abort()
        if any(self._idle.values()):
            self._clean_later()


class _Connection(asyncio.BufferedProtocol):
    """One socket: a request out, its answer in.  Tells its ``SocketTransport`` when that is over."""

    def __init__(self, pool: SocketTransport, origin: _Origin) -> None:
        self.origin = origin
        self.is_open = False
        self.idle_since = 0.0
        self._pool = pool
        self._answer: _Answer | None = None
        self._parser: httptools.HttpResponseParser | None = None
        self._all_sent = False
        self._is_full = False

    async def ask(self, request: httpx.Request, timeouts: _Timeouts) -> _Answer:
        """Send the request; returns once the head of the answer is there."""
        answer = self._answer = _Answer(self, timeouts.get("read"), is_head=request.method == "HEAD")
        try:
            if not self.is_open:
                raise httpx.ConnectError("the connection was closed at once")
            self._parser = httptools.HttpResponseParser(answer)
            self._parser.set_dangerous_leniencies(lenient_headers=True)  # in values only: see on_header
            request.read()
            if not self._write(request):
                raise httpx.LocalProtocolError("the method, the address or a header has a line break in it")
            if not self._all_sent:
                await self._write_on(request, answer, timeouts.get("write"))
            while not answer.has_head:
                await answer.more()
        except BaseException:
            self.give_up(answer)
            raise
        return answer

    def is_quiet(self) -> bool:
        """Whether nothing has arrived, bytes or the end.  Asked of the system: the loop may have been busy."""
        return not self._arrivals.poll(0)

    def abort(self) -> None:
        """Close it at once, and fail what is under way."""
        if self.is_open:
            self._transport.abort()
        self._close(httpx.ReadError("the connection was closed"))

    def give_up(self, answer: _Answer) -> None:
        """Close it if this answer is still under way; else somebody else may be using it."""
        if answer is self._answer:
            self.abort()

    def status(self) -> int:
        """The status of the answer under way."""
        assert self._parser is not None
        return self._parser.get_status_code()

    def keeps_alive(self) -> bool:
        """Whether the server means to go on after the answer under way."""
        assert self._parser is not None
        return self._parser.should_keep_alive()

    def read_on(self) -> None:
        """Take in more of the body."""
        self._transport.resume_reading()

    # ------------------------------------------------------------------------------------------- sending

    def _write(self, request: httpx.Request) -> bool:
        """Send the head, and with it a short content.  False, and nothing is sent, if it would not be one head.

        A function of its own, so that the credential is in no frame that an exception passes through.
        """
        fields = request.headers.raw
        head = b"%b %b HTTP/1.1\r\n" % (request.method.encode(), request.url.raw_path)
        head += b"\r\n".join(map(b": ".join, fields))
        if head.count(b"\n") != len(fields) or head.count(b"\r") != len(fields) or b"\0" in head:
            return False
        content = request.content
        self._all_sent = len(content) <= _PIECE
        self._transport.write(head + b"\r\n\r\n" + (content if self._all_sent else b""))
        return True

    async def _write_on(self, request: httpx.Request, answer: _Answer, write_s: float | None) -> None:
        """Send a long content; stops when the server answers before it has heard the end."""
        rest = memoryview(request.content)
        while rest and not answer.has_head and answer.failure is None:
            if not self._is_full:
                self._transport.write(rest[:_PIECE])
                rest = rest[_PIECE:]
            elif not await answer.news(write_s):
                raise httpx.WriteTimeout("the request could not be sent in time")
        self._all_sent = not rest

    # ------------------------------------------------------------------------------- what asyncio tells us

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._arrivals = select.poll()
        self._arrivals.register(transport.get_extra_info("socket"), select.POLLIN)
        self.is_open = True

    def get_buffer(self, sizehint: int) -> memoryview:
        # Saves the quarter of a megabyte that asyncio would allocate for each answer, however short.
        return self._pool.buffer

    def buffer_updated(self, nbytes: int) -> None:
        data = bytes(self._pool.buffer[:nbytes])
        answer = self._answer
        if answer is None:  # nobody has asked for anything
            self.abort()
            return
        failure = self._parse(data, answer)
        if failure is not None or answer.is_whole:
            self._end(failure)
        elif answer.unread > _MOST_UNREAD:
            self._transport.pause_reading()
            answer.is_paused = True
        answer.wake()

    def eof_received(self) -> None:
        if self._answer is not None and self._answer.ends_with_the_connection:
            self._answer.is_whole = True
            self._close(None)
        else:
            self._close(httpx.ReadError("the server closed the connection"))

    def connection_lost(self, exc: Exception | None) -> None:
        self._close(httpx.ReadError(f"the connection was lost ({reason(exc)})" if exc else "the connection was lost"))

    def pause_writing(self) -> None:
        self._is_full = True

    def resume_writing(self) -> None:
        self._is_full = False
        if self._answer is not None:
            self._answer.wake()

    # ------------------------------------------------------------------------------------------- receiving

    def _parse(self, data: bytes, answer: _Answer) -> httpx.TransportError | None:
        """Give the parser what has arrived, at most as much at a time as may go by without a body."""
        assert self._parser is not None
        while data:
            part = data[: answer.room]
            data = data[len(part) :]
            answer.room -= len(part)
            try:
                self._parser.feed_data(part)
            except (httptools.HttpParserError, httptools.HttpParserUpgrade):
                answer.is_last = True
                return None if answer.is_whole else httpx.RemoteProtocolError("the answer is not HTTP")
            if answer.room == 0:
                return httpx.RemoteProtocolError("the answer's head is too long")
        return None

    def _end(self, failure: httpx.TransportError | None) -> None:
        """The answer is whole, or will never be."""
        answer = self._answer
        assert answer is not None
        if failure is not None or answer.is_last or not self._all_sent:
            self._transport.abort()
            self._close(failure)
            return
        self._answer = self._parser = None
        self.idle_since = asyncio.get_running_loop().time()
        self._pool.over(self, reusable=True)

    def _close(self, failure: httpx.TransportError | None) -> None:
        """It is closed, or about to be: an answer that is under way ends here."""
        self.is_open = False
        answer, self._answer, self._parser = self._answer, None, None
        self._pool.gone(self)
        if answer is not None:
            answer.failure = failure
            answer.wake()
            self._pool.over(self, reusable=False)


class _Answer(httpx.AsyncByteStream):
    """One answer while it arrives.  The parser calls the ``on_`` methods; whoever wants the body iterates."""

    def __init__(self, connection: _Connection, read_s: float | None, *, is_head: bool) -> None:
        self.status = 0
        self.headers: list[tuple[bytes, bytes]] = []
        self.has_head = False
        self.is_whole = False
        self.is_last = False  # nothing can be sent after it on this connection
        self.is_paused = False
        self.failure: httpx.TransportError | None = None
        self.ends_with_the_connection = False
        self.room = _LONGEST_HEAD
        self.unread = 0
        self._chunks: deque[bytes] = deque()
        self._connection = connection
        self._read_s = read_s
        self._is_head = is_head
        self._waiting: asyncio.Future[bool] | None = None

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self  # and no generator, which takes 2 µs more for a short answer

    async def __anext__(self) -> bytes:
        while not self._chunks:
            if self.is_whole:
                raise StopAsyncIteration
            await self.more()
        chunk = self._chunks.popleft()
        self.unread -= len(chunk)
        return chunk

    async def aclose(self) -> None:
        """An answer that was not read to its end takes its connection with it."""
        self._connection.give_up(self)

    async def more(self) -> None:
        """Wait for something to arrive.  Raises ReadTimeout, and what has gone wrong."""
        if self.failure is not None:
            raise self.failure
        if self.is_paused:
            self.is_paused = False
            self._connection.read_on()
        if not await self.news(self._read_s):
            raise httpx.ReadTimeout("no answer in time")

    async def news(self, timeout_s: float | None) -> bool:
        """Wait until something has happened; False if nothing has in so many seconds.  Raises what has gone wrong."""
        loop = asyncio.get_running_loop()
        waiting: asyncio.Future[bool] = loop.create_future()
        self._waiting = waiting
        # Not asyncio.timeout, which costs as much as all the rest of a wait.
        timer = loop.call_later(timeout_s, _settle, waiting, False) if timeout_s is not None else None
        try:
            has_news = await waiting
        finally:
            self._waiting = None
            if timer is not None:
                timer.cancel()
        if self.failure is not None:
            raise self.failure
        return has_news

    def wake(self) -> None:
        """Something has happened."""
        if self._waiting is not None:
            _settle(self._waiting, True)

    # ---------------------------------------------------------------------------- what the parser tells us

    def on_message_begin(self) -> None:
        if self.is_whole:  # something follows that nobody has asked for
            self.is_last = True

    def on_header(self, name: bytes, value: bytes) -> None:
        """Control characters in values and folded lines are taken in, as user agents do (RFC 9110 5.5, 9112 5.2)."""
        if name.endswith(b" ") or b"\0" in value:
            raise ValueError("not a header")
        if not self.has_head:  # else it stands behind the last chunk
            self.headers.append((name, value))

    def on_headers_complete(self) -> None:
        if self.has_head:
            return
        self.status = self._connection.status()
        if self.status < 200:  # 100 Continue, 103 Early Hints: the answer is still to come
            self.headers.clear()
            return
        self.has_head = True
        self.room = _LONGEST_HEAD
        names = {name.lower() for name, _ in self.headers}
        self.ends_with_the_connection = names.isdisjoint((b"content-length", b"transfer-encoding"))
        self.is_whole = self.is_last = self._is_head  # the parser would wait for a body

    def on_body(self, chunk: bytes) -> None:
        self.room = _LONGEST_HEAD
        if not self.is_whole:
            self._chunks.append(chunk)
            self.unread += len(chunk)

    def on_message_complete(self) -> None:
        if self.has_head and not self.is_whole:
            self.is_whole = True
            self.room = _LONGEST_HEAD
            self.is_last = not self._connection.keeps_alive()


def _is_numeric(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _settle(waiting: asyncio.Future[bool], value: bool) -> None:
    if not waiting.done():
        waiting.set_result(value)


def reason(error: Exception) -> str:
    """Why there is no connection, as the system or TLS says it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"the server's certificate cannot be verified: {error.verify_message}"
    if refused := re.search(r"\[Errno (\d+)\] Connect call failed", str(error)):
        return os.strerror(int(refused[1]))  # asyncio names the addresses, in place of the reason
    return getattr(error, "strerror", None) or str(error) or type(error).__name__


@functools.lru_cache(maxsize=4)
def tls_context(ca_file: str | None, *, plain: bool) -> ssl.SSLContext:
    """The one context for all connections of a process: building it takes 35 ms.

    ``ca_file`` replaces the built-in certificate authorities (self-hosted servers).  ``plain``: an empty context for
    http, which trusts nobody.  Raises OSError when the file cannot be read.
    """
    if plain:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file:
        return ssl.create_default_context(cafile=ca_file)
    return httpx.create_ssl_context(trust_env=False)
