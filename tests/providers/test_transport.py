"""HTTP over real sockets, byte by byte: what counts as an answer, which connections are kept, who waits for whom."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import threading
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any

import httpx
import pytest

from reconciler.errors import InvalidRequest
from reconciler.model.call import Call
from reconciler.model.values import Secret
from reconciler.providers.http import connect
from reconciler.providers.transport import SocketTransport, tls_context

if TYPE_CHECKING:
    from tests.providers.conftest import Peer, World

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"


def transport(connections: int = 4, *, context: ssl.SSLContext | None = None, **options: Any) -> SocketTransport:
    return SocketTransport(connections=connections, ssl_context=context or tls_context(None, plain=True), **options)


def request(url: str, method: str = "GET", *, timeout: dict[str, float] | None = None, **options: Any) -> httpx.Request:
    return httpx.Request(method, url, extensions={"timeout": timeout or {}}, **options)


async def read(sender: SocketTransport, asked: httpx.Request) -> tuple[int, bytes]:
    response = await sender.handle_async_request(asked)
    body = await response.aread()
    await response.aclose()
    return response.status_code, body


def with_peer(peer: Peer, scenario: Callable[[], Awaitable[None]], tls: ssl.SSLContext | None = None) -> None:
    async def main() -> None:
        server = await peer.start(tls)
        async with asyncio.timeout(20):
            await scenario()
        server.close()
        await asyncio.sleep(0.01)

    asyncio.run(main())


def ask_twice(world: World, *chunks: bytes, method: str = "GET", then_close: bool = False) -> tuple[Any, int]:
    """(the answer made of the chunks, or how it failed; how many connections two requests took)."""
    peer = world.peer([world.raw(*chunks, then_close=then_close), world.raw(OK)])
    found: list[Any] = []

    async def scenario() -> None:
        sender = transport()
        try:
            found.append(await read(sender, request(peer.url, method, timeout={"read": 5.0})))
        except httpx.TransportError as failure:
            found.append(type(failure))
        assert await read(sender, request(peer.url)) == (200, b"hi")
        await sender.aclose()

    with_peer(peer, scenario)
    return found[0], peer.connections


# ---------------------------------------------------------------------------------------------- answers


WHOLE: dict[str, tuple[bytes, tuple[int, bytes]]] = {
    "content-length": (OK, (200, b"hi")),
    "empty": (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", (200, b"")),
    "no reason": (b"HTTP/1.1 201\r\ncontent-length: 2\r\n\r\nhi", (201, b"hi")),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
    "not modified, with the length it would have": (b"HTTP/1.1 304 X\r\nContent-Length: 9\r\n\r\n", (304, b"")),
    "chunks, an extension and a trailer": (
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;x=y\r\nh\r\n1\r\ni\r\n0\r\nX-Sum: 7\r\n\r\n",
        (200, b"hi"),
    ),
    "early hints": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + OK, (200, b"hi")),
}


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_an_answer_is_read_however_it_is_cut_and_its_connection_is_kept(world: World, name: str, size: int) -> None:
    sent, expected = WHOLE[name]
    assert ask_twice(world, *(sent[at : at + size] for at in range(0, len(sent), size))) == (expected, 1)


def test_an_answer_without_a_length_ends_with_its_connection(world: World) -> None:
    assert ask_twice(world, b"HTTP/1.1 200 OK\r\n\r\nhi", then_close=True) == ((200, b"hi"), 2)


@pytest.mark.parametrize("start", [b"HTTP/1.1 200 OK\r\nConnection: close", b"HTTP/1.0 200 OK"])
def test_a_connection_that_the_server_is_going_to_close_is_not_used_again(world: World, start: bytes) -> None:
    """However long it takes to do so."""
    assert ask_twice(world, start + b"\r\nContent-Length: 2\r\n\r\nhi") == ((200, b"hi"), 2)


@pytest.mark.parametrize("more", [b"hi", b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil", b"\0" * 200_000])
def test_what_follows_an_answer_unasked_is_nobody_s_answer(world: World, more: bytes) -> None:
    assert ask_twice(world, OK + more) == ((200, b"hi"), 2)


def test_an_answer_to_head_has_no_body(world: World) -> None:
    assert ask_twice(world, b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n", method="HEAD") == ((200, b""), 2)


BROKEN = {
    "another protocol": b"SSH-2.0-OpenSSH_9.9\r\n",
    "no version": b"200 OK\r\n\r\n",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\n\r\n",
    "another protocol from here on": b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 2\n\nhi",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nhi",
    "a length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "no length": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\nhi",
    "a space before the colon": b"HTTP/1.1 200 OK\r\nContent-Length : 2\r\n\r\nhi",
    "a NUL": b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 2\r\n\r\nhi",
    "a name that is none": b"HTTP/1.1 200 OK\r\nX\x01: a\r\nContent-Length: 2\r\n\r\nhi",
    "a chunk without a size": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a long status line": b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\nContent-Length: 2\r\n\r\nhi",
    "a long header": b"HTTP/1.1 200 OK\r\nX: " + b"x" * 70_000 + b"\r\nContent-Length: 2\r\n\r\nhi",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 12_000 + b"Content-Length: 2\r\n\r\nhi",
    "many hints": b"HTTP/1.1 103 Early\r\n\r\n" * 4_000 + OK,
    "a long extension": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;" + b"x" * 150_000,
    "a long trailer": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: " + b"x" * 150_000,
}


@pytest.mark.parametrize("sent", BROKEN.values(), ids=list(BROKEN))
def test_what_is_not_http_is_a_protocol_error_and_ends_the_connection(world: World, sent: bytes) -> None:
    assert ask_twice(world, sent) == (httpx.RemoteProtocolError, 2)


@pytest.mark.parametrize(
    "sent",
    [b"", b"HTTP/1.1 200 OK\r\nCont", b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi",
     b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n"],
)  # fmt: skip
def test_an_answer_that_stops_is_a_read_error(world: World, sent: bytes) -> None:
    assert ask_twice(world, sent, then_close=True) == (httpx.ReadError, 2)


def test_a_folded_header_is_one_line_and_a_repeated_one_comes_twice(world: World) -> None:
    sent = b"HTTP/1.1 200 OK\r\nA: b\r\n  c\r\nD: e\r\nd: \xe9\x01\r\nContent-Length: 0\r\n\r\n"
    peer = world.peer([world.raw(sent)])

    async def scenario() -> None:
        sender = transport()
        response = await sender.handle_async_request(request(peer.url))
        assert [value for name, value in response.headers.raw if name.lower() in b"ad"] == [b"b  c", b"e", b"\xe9\x01"]
        await sender.aclose()

    with_peer(peer, scenario)


def test_a_body_that_nobody_reads_is_left_to_the_server(world: World) -> None:
    """It is not gathered in memory; when it is read after all, it comes whole."""
    stalled = asyncio.Event()
    size, piece = 64 * 1024 * 1024, b"x" * 1024 * 1024

    async def flood(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % size)
        for _piece in range(size // len(piece)):
            writer.write(piece)
            done, _pending = await asyncio.wait([asyncio.ensure_future(writer.drain())], timeout=0.3)
            if not done:
                stalled.set()
                await writer.drain()

    peer = world.peer([flood, world.raw(OK)])

    async def scenario() -> None:
        sender = transport()
        response = await sender.handle_async_request(request(peer.url))
        await stalled.wait()
        assert isinstance(response.stream, httpx.AsyncByteStream)
        assert sum([len(chunk) async for chunk in response.stream]) == size
        assert await read(sender, request(peer.url)) == (200, b"hi")
        assert peer.connections == 1
        await sender.aclose()

    with_peer(peer, scenario)


# --------------------------------------------------------------------------------------------- requests


@pytest.mark.parametrize(
    "headers", [{"X": "a\r\nEvil: 1"}, {"X": "a\nEvil: 1"}, {"X": "a\rb"}, {"X": "a\0b"}, {"X: a\r\nEvil": "1"}]
)
def test_a_header_can_not_smuggle_another_one_in(world: World, headers: dict[str, str]) -> None:
    peer = world.peer([world.raw(OK)])

    async def scenario() -> None:
        sender = transport(connections=1)
        with pytest.raises(httpx.LocalProtocolError):
            await read(sender, request(peer.url, headers=headers))
        assert peer.seen == []
        assert await read(sender, request(peer.url)) == (200, b"hi")  # its place is free again
        await sender.aclose()

    with_peer(peer, scenario)


def test_a_key_with_a_line_break_is_never_sent_and_that_is_known(world: World) -> None:
    peer = world.peer()

    async def scenario() -> None:
        provider = connect(world.vendor, base_url=peer.url, credential=Secret("a\r\nEvil: 1"), clock=world.clock())
        with pytest.raises(InvalidRequest, match="not sent: ") as caught:
            await provider.send(Call("POST", "/projects", body={}, repeatable=False))
        assert "Evil" not in str(caught.value)
        assert (peer.seen, provider.requests) == ([], 1)
        await provider.close()

    with_peer(peer, scenario)


def test_a_long_content_arrives_as_it_is(world: World) -> None:
    content = random.Random(3).randbytes(5_000_000)
    peer = world.peer([world.raw(OK), world.raw(OK)])

    async def scenario() -> None:
        sender = transport()
        for _ in range(2):
            assert await read(sender, request(peer.url, "PUT", content=content)) == (200, b"hi")
        await sender.aclose()

    with_peer(peer, scenario)
    assert [seen.body for seen in peer.seen] == [content, content]
    assert peer.connections == 1


def test_a_content_that_the_server_does_not_want_is_not_sent_to_its_end(world: World) -> None:
    """It answers and reads no further; the rest would otherwise wait for ever."""

    async def refuse(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno")
        await writer.drain()
        await over.wait()

    over = asyncio.Event()
    peer = world.peer([world.raw(OK)])
    peer.at_connect = [refuse]

    async def scenario() -> None:
        sender = transport()
        assert await read(sender, request(peer.url, "PUT", content=bytes(50_000_000))) == (413, b"no")
        assert await read(sender, request(peer.url)) == (
            200,
            b"hi",
        )  # on another connection: that one is amid a content
        over.set()
        await sender.aclose()

    with_peer(peer, scenario)


def test_a_server_that_does_not_listen_is_a_write_timeout(world: World) -> None:
    async def deaf(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        await over.wait()

    over = asyncio.Event()
    peer = world.peer()
    peer.at_connect = [deaf]

    async def scenario() -> None:
        sender = transport()
        with pytest.raises(httpx.WriteTimeout):
            await read(sender, request(peer.url, "PUT", content=bytes(50_000_000), timeout={"write": 0.2}))
        over.set()
        await sender.aclose()

    with_peer(peer, scenario)


# ------------------------------------------------------------------------------------------ connections


def test_many_requests_open_their_connections_at_once(world: World) -> None:
    """Nobody is answered before all have arrived."""
    peer = world.peer()
    arrived = 0
    all_there = asyncio.Event()

    async def together(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        arrived += 1
        if arrived == 50:
            all_there.set()
        await all_there.wait()
        writer.write(OK)

    peer.script = [together] * 50

    async def scenario() -> None:
        sender = transport(connections=50)
        found = await asyncio.gather(*(read(sender, request(peer.url)) for _ in range(50)))
        assert found == [(200, b"hi")] * 50
        await sender.aclose()

    with_peer(peer, scenario)
    assert peer.connections == 50


def test_a_name_is_looked_up_once(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    names: list[object] = []
    really = socket.getaddrinfo

    def counted(host: Any, *rest: Any, **options: Any) -> Any:
        names.append(host)
        return really("127.0.0.1", *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", counted)
    peer = world.peer([world.raw(OK)] * 9)

    async def scenario() -> None:
        sender = transport(connections=8)
        url = peer.url.replace("127.0.0.1", "acme.example")
        await read(sender, request(url))
        await asyncio.gather(*(read(sender, request(url)) for _ in range(8)))
        await sender.aclose()

    with_peer(peer, scenario)
    assert names.count("acme.example") == 1
    assert peer.connections == 8
    assert {seen.headers["host"].partition(":")[0] for seen in peer.seen} == {"acme.example"}


def test_an_address_that_stops_answering_is_looked_up_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    addresses = ["127.0.0.2", "127.0.0.1"]
    really = socket.getaddrinfo
    monkeypatch.setattr(socket, "getaddrinfo", lambda _, *rest, **options: really(addresses.pop(), *rest, **options))
    before, after = world.peer([world.raw(OK, then_close=True)]), world.peer([world.raw(OK)])

    async def scenario() -> None:
        sender = transport()
        server = await before.start()
        url = before.url.replace("127.0.0.1", "acme.example")
        await read(sender, request(url))
        server.close()
        moved = await after.start(host="127.0.0.2", port=int(url.rpartition(":")[2]))
        with pytest.raises(httpx.ConnectError):
            await read(sender, request(url))
        assert await read(sender, request(url)) == (200, b"hi")
        await sender.aclose()
        moved.close()
        await asyncio.sleep(0.01)

    asyncio.run(asyncio.wait_for(scenario(), 20))


def test_no_more_connections_than_allowed_and_who_waits_too_long_sent_nothing(world: World) -> None:
    peer = world.peer([world.silence, world.raw(OK)])

    async def scenario() -> None:
        sender = transport(connections=1)
        first = asyncio.create_task(read(sender, request(peer.url)))
        await peer.asked.wait()
        with pytest.raises(httpx.PoolTimeout):
            await read(sender, request(peer.url, timeout={"pool": 0.05}))
        second = asyncio.create_task(read(sender, request(peer.url)))
        await asyncio.sleep(0)
        assert (len(peer.seen), peer.connections) == (1, 1)
        first.cancel()
        assert await second == (200, b"hi")
        await sender.aclose()

    with_peer(peer, scenario)
    assert (len(peer.seen), peer.connections) == (2, 2)


def test_an_idle_connection_to_another_host_makes_room(world: World) -> None:
    here, there = world.peer([world.raw(OK)] * 2), world.peer([world.raw(OK)])

    async def scenario() -> None:
        server = await there.start()
        sender = transport(connections=1)
        for url in (here.url, there.url, here.url):
            assert await read(sender, request(url)) == (200, b"hi")
        await sender.aclose()
        server.close()

    with_peer(here, scenario)
    assert (here.connections, there.connections) == (2, 1)


def _closing(ended: asyncio.Event) -> Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]:
    """Answer one request, and tell when the client has closed the connection."""

    async def react(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(OK)
        assert await reader.read() == b""
        ended.set()

    return react


def test_a_connection_that_nobody_uses_is_closed_after_a_while(world: World) -> None:
    ended = asyncio.Event()
    peer = world.peer([_closing(ended)])

    async def scenario() -> None:
        sender = transport(keep_alive_s=0.05)
        await read(sender, request(peer.url))
        await ended.wait()
        await sender.aclose()

    with_peer(peer, scenario)


def test_a_connection_that_was_idle_too_long_is_not_used_however_busy_we_were(world: World) -> None:
    peer = world.peer([world.raw(OK)] * 2)

    async def scenario() -> None:
        sender = transport(keep_alive_s=0.0)
        await read(sender, request(peer.url))
        await read(sender, request(peer.url))
        await sender.aclose()

    with_peer(peer, scenario)
    assert peer.connections == 2


def test_a_connection_that_the_server_closed_while_we_were_busy_is_not_used() -> None:
    """The event loop had no time to notice: a POST on it would be lost, and its outcome unknown."""
    closed = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            for _ in range(2):
                connection, _address = listening.accept()
                with connection:
                    connection.recv(65536)
                    connection.sendall(OK)
                closed.set()

        server = threading.Thread(target=serve)
        server.start()

        async def scenario() -> None:
            sender = transport()
            url = f"http://127.0.0.1:{listening.getsockname()[1]}"
            assert await read(sender, request(url, "POST")) == (200, b"hi")
            closed.wait(10)  # and not awaited: the point is that the loop is blocked meanwhile
            assert await read(sender, request(url, "POST")) == (200, b"hi")
            await sender.aclose()

        asyncio.run(asyncio.wait_for(scenario(), 20))
        server.join()


def test_a_cancelled_request_closes_its_connection(world: World) -> None:
    ended = asyncio.Event()

    async def listen(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        await reader.read()
        ended.set()

    peer = world.peer([listen])

    async def scenario() -> None:
        sender = transport()
        task = asyncio.create_task(read(sender, request(peer.url)))
        await peer.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await ended.wait()
        await sender.aclose()

    with_peer(peer, scenario)


def test_an_answer_that_is_not_read_to_its_end_takes_its_connection_with_it(world: World) -> None:
    part = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhi"
    peer = world.peer([world.raw(part), world.raw(OK)])

    async def scenario() -> None:
        sender = transport(connections=1)
        response = await sender.handle_async_request(request(peer.url))
        await response.aclose()
        assert await read(sender, request(peer.url)) == (200, b"hi")
        await sender.aclose()

    with_peer(peer, scenario)
    assert peer.connections == 2


@pytest.mark.parametrize("seed", range(5))
def test_everyone_gets_their_own_answer_whoever_else_is_cancelled(world: World, seed: int) -> None:
    rng = random.Random(seed)

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while not reader.at_eof():
            name = (await reader.readuntil(b"\r\n\r\n")).split()[1][1:]
            for piece in (b"HTTP/1.1 200 OK\r\nContent-", b"Length: %d\r\n\r\n" % len(name), name):
                writer.write(piece)
                for _ in range(rng.randrange(3)):
                    await asyncio.sleep(0)

    peer = world.peer()
    peer.at_connect = [echo] * 1000

    async def one(sender: SocketTransport, number: int) -> None:
        for _ in range(rng.randrange(40)):
            await asyncio.sleep(0)
        task = asyncio.create_task(read(sender, request(f"{peer.url}/{number}")))
        if rng.random() < 0.5:
            for _ in range(rng.randrange(25)):
                await asyncio.sleep(0)
            task.cancel()
        await asyncio.wait([task])
        if not task.cancelled():
            assert task.result() == (200, str(number).encode())
            arrived.append(number)

    arrived: list[int] = []

    async def scenario() -> None:
        sender = transport(connections=3)
        await asyncio.gather(*(one(sender, number) for number in range(200)))
        await sender.aclose()

    with_peer(peer, scenario)
    assert 60 < len(arrived) < 200
    assert peer.connections < 200


# -------------------------------------------------------------------------------------------- addresses


def test_an_address_in_ipv6(world: World) -> None:
    peer = world.peer([world.raw(OK)])

    async def scenario() -> None:
        server = await peer.start(host="::1")
        sender = transport()
        assert await read(sender, request(peer.url)) == (200, b"hi")
        await sender.aclose()
        server.close()
        await asyncio.sleep(0.01)

    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("no IPv6 here")
    asyncio.run(scenario())
    assert peer.seen[0].headers["host"] == peer.url.removeprefix("http://")


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/", f"http://{'a' * 64}.example/", "http://a..b/"])
def test_an_address_that_can_not_be_used_is_a_connect_error(url: str) -> None:
    async def scenario() -> None:
        sender = transport(connections=1)
        for _ in range(2):  # a place that was not used is free again
            with pytest.raises(httpx.ConnectError):
                await read(sender, request(url, timeout={"pool": 5.0}))

    asyncio.run(scenario())


def _tls(world: World) -> tuple[ssl.SSLContext, list[str | None]]:
    """A server's context, and the names that clients asked it for."""
    names: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(world.self_signed)
    context.sni_callback = lambda _, name, __: names.append(name)
    return context, names


def _trusting() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def test_over_tls_the_server_learns_the_name_and_connections_are_kept(world: World) -> None:
    context, names = _tls(world)
    content = random.Random(3).randbytes(2_000_000)
    peer = world.peer([world.status(200, content), world.status(200, content)])

    async def scenario() -> None:
        sender = transport(context=_trusting())
        url = peer.url.replace("127.0.0.1", "localhost")
        for _ in range(2):
            assert await read(sender, request(url, "PUT", content=content)) == (200, content)
        await sender.aclose()

    with_peer(peer, scenario, context)
    assert (names, peer.connections) == (["localhost"], 1)
    assert peer.seen[1].body == content


def test_over_tls_the_server_learns_the_name_on_every_connection(world: World) -> None:
    """Also on those that go at once to where the first one has led: the certificate is for the name."""
    context, names = _tls(world)
    peer = world.peer([world.raw(OK, then_close=True), world.raw(OK)])

    async def scenario() -> None:
        sender = transport(context=_trusting())
        for _ in range(2):
            assert await read(sender, request(peer.url.replace("127.0.0.1", "localhost"))) == (200, b"hi")
        await sender.aclose()

    with_peer(peer, scenario, context)
    assert (names, peer.connections) == (["localhost", "localhost"], 2)


def test_who_is_cancelled_while_connecting_gives_the_place_to_the_next(world: World) -> None:
    """A server that takes the connection and says nothing of TLS."""
    peer, connected = world.peer([world.raw(OK)]), asyncio.Event()

    async def mute(reader: asyncio.StreamReader, _: asyncio.StreamWriter) -> None:
        connected.set()
        await reader.read()

    peer.at_connect.append(mute)

    async def scenario() -> None:
        sender = transport(connections=1, context=_trusting())
        connecting = asyncio.create_task(read(sender, request(peer.url.replace("http:", "https:"))))
        await connected.wait()
        connecting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await connecting
        assert await read(sender, request(peer.url, timeout={"pool": 0.5})) == (200, b"hi")
        await sender.aclose()

    with_peer(peer, scenario)


def test_over_tls_a_body_may_end_with_the_connection(world: World) -> None:
    context, _ = _tls(world)
    peer = world.peer([world.raw(b"HTTP/1.1 200 OK\r\n\r\nhi", then_close=True), world.raw(OK)])

    async def scenario() -> None:
        sender = transport(context=_trusting())
        for _ in range(2):
            assert await read(sender, request(peer.url)) == (200, b"hi")
        await sender.aclose()

    with_peer(peer, scenario, context)
    assert peer.connections == 2
