"""A vendor's server that follows a script over real sockets, and one conversation with it in virtual time."""

from __future__ import annotations

import asyncio
import json
import random
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import ApiError
from reconciler.model.call import Call, Reply
from reconciler.model.kind import Vendor
from reconciler.model.values import Json, Secret
from reconciler.providers.http import Limits, RestProvider, connect
from tests.virtual_time import VirtualClock

KEY = "canary-5f1d0c7e9b"
SELF_SIGNED = Path(__file__).with_name("self_signed.pem")
VENDOR = Vendor(
    name="acme",
    api_version="acme/v1",
    kinds=(),
    base_url="https://api.acme.example/v1",
    key_variable="ACME_API_KEY",
    url_variable="ACME_BASE_URL",
    prefix="ACME_",
    dialect_variable="ACME_DIALECT",
    dialects=("", "seed"),
)


Reaction = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
"""What the server does once it has read a request."""


@dataclass
class Seen:
    """One request as it came over the wire.  ``headers`` by lower-case name."""

    line: str
    headers: dict[str, str]
    body: bytes

    def __str__(self) -> str:
        return self.line


@dataclass
class Peer:
    """A server: ``script`` holds one reaction per request, ``at_connect`` what to do instead of reading a request.

    ``asked`` is set once a request was read.
    """

    script: list[Reaction]
    at_connect: list[Reaction | None] = field(default_factory=list)
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    url: str = ""
    asked: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(
        self, tls: ssl.SSLContext | None = None, *, host: str = "127.0.0.1", port: int = 0
    ) -> asyncio.Server:
        server = await asyncio.start_server(self._serve, host, port, ssl=tls)
        port = server.sockets[0].getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://{f'[{host}]' if ':' in host else host}:{port}"
        return server

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            first = self.at_connect.pop(0) if self.at_connect else None
            if first is not None:
                await first(reader, writer)
                return
            while not writer.is_closing():
                await self._one_request(reader, writer)
        except (asyncio.IncompleteReadError, OSError):
            pass
        finally:
            writer.close()

    async def _one_request(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:] if line)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        self.seen.append(Seen(head[0].removesuffix(" HTTP/1.1"), headers, body))
        self.asked.set()
        reaction = self.script.pop(0) if self.script else status(599, {"error": "the script is at its end"})
        await reaction(reader, writer)


# ------------------------------------------------------------------------------------------- reactions


def raw(*chunks: bytes, then_close: bool = False) -> Reaction:
    async def react(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        for chunk in chunks:
            writer.write(chunk)
            await writer.drain()
        if then_close:
            writer.close()

    return react


def status(
    code: int,
    body: Json | bytes = None,
    headers: Mapping[str, str] | None = None,
    *,
    declared_length: int | None = None,
) -> Reaction:
    """An answer: JSON unless ``body`` is bytes; cut short when ``declared_length`` is longer than the body."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    length = len(content) if declared_length is None else declared_length
    fields = {"Content-Type": "application/json", "Content-Length": str(length), **(headers or {})}
    head = f"HTTP/1.1 {code} Scripted\r\n" + "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return raw(head.encode("latin-1") + b"\r\n" + content, then_close=length != len(content))


async def reset(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Break the connection with a TCP reset."""
    connection = writer.get_extra_info("socket")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


async def hang_up(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Close the connection in an orderly way, without an answer."""
    writer.close()


async def silence(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
    """Say nothing until the client gives up."""
    await reader.read()


async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Send a 200 whose body comes one byte at a time, for as long as the client listens."""
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 1000000\r\n\r\n")
    gone = asyncio.create_task(reader.read())
    while not gone.done():
        writer.write(b" ")
        await asyncio.wait([gone], timeout=0.005)


# ---------------------------------------------------------------------------------------- conversations


@dataclass
class Talk:
    """What one conversation left behind.  ``results`` holds a Reply or an error per call."""

    results: list[Reply | ApiError]
    seen: list[Seen]
    connections: int
    requests: int
    slept: list[float]
    observed: list[tuple[str, str, int | None]]

    @property
    def reply(self) -> Reply:
        """The only call's reply."""
        (result,) = self.results
        assert isinstance(result, Reply), result
        return result

    @property
    def error(self) -> ApiError:
        """The only call's error."""
        (result,) = self.results
        assert isinstance(result, ApiError), result
        return result

    @property
    def lines(self) -> list[str]:
        """The request lines that the server saw."""
        return [seen.line for seen in self.seen]


class World:
    """Reactions to write scripts with, and ``talk`` to play them."""

    Limits = Limits
    raw = staticmethod(raw)
    status = staticmethod(status)
    reset = staticmethod(reset)
    hang_up = staticmethod(hang_up)
    silence = staticmethod(silence)
    drip = staticmethod(drip)
    key = KEY
    vendor = VENDOR
    self_signed = SELF_SIGNED

    def tls_server(self) -> ssl.SSLContext:
        """What a server needs to speak TLS with the self-signed certificate."""
        return _tls_server()

    def clock(self) -> VirtualClock:
        """A fresh clock that stands still."""
        return VirtualClock()

    def peer(self, script: Sequence[Reaction] = ()) -> Peer:
        """A server that is not started yet."""
        return Peer(list(script))

    def provider(self, base_url: str, **options: Any) -> RestProvider:
        """A provider over real sockets, in virtual time unless a clock is given."""
        options.setdefault("clock", self.clock())
        options.setdefault("rng", random.Random(7))
        return connect(VENDOR, base_url=base_url, credential=Secret(KEY), **options)

    def talk(
        self,
        script: Sequence[Reaction],
        *calls: Call,
        at_connect: Sequence[Reaction | None] = (),
        base_path: str = "/v1",
        tls: bool = False,
        together: bool = False,
        **options: Any,
    ) -> Talk:
        """Send the calls, one after the other or all ``together``, to a server that follows the script.

        Anything but an ApiError that comes out of ``send`` fails the test.
        """
        return asyncio.run(self._talk(Peer(list(script), list(at_connect)), calls, base_path, tls, together, options))

    async def _talk(
        self, peer: Peer, calls: Sequence[Call], path: str, tls: bool, together: bool, options: dict[str, Any]
    ) -> Talk:
        clock = VirtualClock()
        observed: list[tuple[str, str, int | None]] = []
        server = await peer.start(_tls_server() if tls else None)
        provider = self.provider(
            peer.url + path,
            clock=clock,
            observe=lambda method, path, code, _: observed.append((method, path, code)),
            **options,
        )
        try:
            if together:
                results = list(await asyncio.gather(*(_outcome(provider, call) for call in calls)))
            else:
                results = [await _outcome(provider, call) for call in calls]
        finally:
            await provider.close()
            server.close()
            await asyncio.sleep(0.01)  # lets the server's tasks see that their connections are closed
        return Talk(results, peer.seen, peer.connections, provider.requests, clock.slept, observed)


async def _outcome(provider: RestProvider, call: Call) -> Reply | ApiError:
    try:
        return await provider.send(call)
    except ApiError as error:
        return error


def _tls_server() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SELF_SIGNED)
    return context


@pytest.fixture
def world() -> World:
    """Everything a test about HTTP needs."""
    return World()
