"""Through a proxy: who sees what, what holds as without one, and what is told when the proxy is the one that fails."""

from __future__ import annotations

import asyncio
import base64
import functools
import hashlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.errors import ApiError, InvalidRequest, ReadFailed, Unreachable
from reconciler.model.call import Call, Reply, Upload
from reconciler.model.proxies import proxy_to

if TYPE_CHECKING:
    from tests.providers.conftest import World

GET = Call("GET", "/projects")
POST = Call("POST", "/projects", body={"name": "bot"}, repeatable=False)
BASE = "https://api.acme.example/v1"
SECRET = "canary-proxy-password"
CONNECT = "CONNECT api.acme.example:443"


def through(
    world: World,
    proxy: Any,
    *calls: Call,
    script: Any = (),
    environ: dict[str, str] | None = None,
    together: bool = False,
    tls: bool = True,
    base_url: str = BASE,
    **options: Any,
) -> tuple[list[Reply | ApiError], Any]:
    """The results of calls to a server that only the proxy finds, and that server."""
    variables = {"HTTPS_PROXY": proxy.origin, "http_proxy": proxy.origin} if environ is None else environ
    options = {"ca_file": str(world.self_signed), "proxy_to": functools.partial(_to, variables), **options}

    async def one(provider: Any, call: Call) -> Reply | ApiError:
        try:
            reply: Reply = await provider.send(call)
            return reply
        except ApiError as error:
            return error

    async def main() -> tuple[list[Reply | ApiError], Any]:
        peer = world.peer(script)
        server = await peer.start(world.tls_server() if tls else None)
        proxy.target = server.sockets[0].getsockname()
        provider = world.provider(base_url, **options)
        try:
            if together:
                return list(await asyncio.gather(*(one(provider, call) for call in calls))), peer
            return [await one(provider, call) for call in calls], peer
        finally:
            await provider.close()
            server.close()
            await asyncio.sleep(0.01)

    return asyncio.run(main())


def _to(environ: dict[str, str], url: str) -> Any:
    return proxy_to(url, environ)


def test_requests_go_through_a_tunnel_in_which_the_proxy_sees_nothing(world: World, proxy: Any) -> None:
    script = [world.status(200, [1]), world.status(201, {"id": "p1"})]
    (first, second), peer = through(world, proxy, GET, POST, script=script)
    assert isinstance(first, Reply)
    assert isinstance(second, Reply)
    assert (first.body, second.status) == ([1], 201)
    assert [seen.line for seen in peer.seen] == ["GET /v1/projects", "POST /v1/projects"]
    assert peer.seen[0].headers["authorization"] == f"Bearer {world.key}"
    ((line, headers),) = proxy.seen  # one tunnel, kept for both
    assert line == CONNECT
    assert "authorization" not in headers
    assert world.key not in str(headers)


def test_plain_http_goes_to_the_proxy_as_a_whole(world: World, proxy: Any) -> None:
    (reply,), peer = through(
        world, proxy, GET, script=[world.status(200, [])], tls=False, base_url="http://api.acme.example/v1"
    )
    assert isinstance(reply, Reply)
    assert [line for line, _ in proxy.seen] == ["GET http://api.acme.example/v1/projects"]
    assert peer.seen[0].headers["host"] == "api.acme.example"


def test_a_user_name_and_a_password_are_shown_to_the_proxy_alone(world: World, proxy: Any) -> None:
    environ = {"HTTPS_PROXY": proxy.origin.replace("//", f"//me:{SECRET}%40@")}
    (reply,), peer = through(world, proxy, GET, script=[world.status(200, [])], environ=environ)
    assert isinstance(reply, Reply)
    told = base64.b64decode(proxy.seen[0][1]["proxy-authorization"].removeprefix("Basic ")).decode()
    assert told == f"me:{SECRET}@"
    assert "proxy-authorization" not in peer.seen[0].headers


@pytest.mark.parametrize("call", [GET, POST], ids=["GET", "POST"])
def test_a_proxy_that_refuses_is_named_with_its_variable(world: World, proxy: Any, call: Call) -> None:
    proxy.answer = 502
    environ = {"HTTPS_PROXY": proxy.origin.replace("//", f"//me:{SECRET}@")}
    (error,), peer = through(world, proxy, call, environ=environ)
    assert isinstance(error, Unreachable)
    assert error.message == (
        f"{call.method} /projects: the server cannot be reached: the proxy {proxy.origin} (HTTPS_PROXY) answers "
        "502 Bad Gateway (4 attempts)"
    )
    assert error.hint == "check HTTPS_PROXY; NO_PROXY lists the servers that no proxy is needed for"
    assert SECRET not in f"{error!r} {error.__cause__!r} {error.hint}"
    assert (peer.seen, len(proxy.seen)) == ([], 4)


def test_a_proxy_that_asks_who_we_are(world: World, proxy: Any) -> None:
    proxy.answer = 407
    (error,), _ = through(world, proxy, GET)
    assert isinstance(error, Unreachable)
    assert "(HTTPS_PROXY) answers 407 Proxy Authentication Required" in error.message
    assert error.hint == "put a user name and a password into HTTPS_PROXY: http://USER:PASSWORD@HOST:PORT"


def test_a_proxy_that_is_not_there(world: World, proxy: Any) -> None:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        gone = f"http://127.0.0.1:{probe.getsockname()[1]}"
    (error,), _ = through(world, proxy, POST, environ={"ALL_PROXY": gone})
    assert isinstance(error, Unreachable)
    assert f"the proxy {gone} (ALL_PROXY) cannot be reached: Connection refused" in error.message


@pytest.mark.parametrize(
    ("instead", "told"),
    [
        (lambda connection: connection.recv(1), "does not answer in time"),
        (lambda connection: connection.close(), "broke the connection off"),
    ],
    ids=["silent", "closing"],
)
def test_a_tunnel_that_never_opens_means_that_nothing_was_sent(
    world: World, proxy: Any, instead: Callable[[socket.socket], object], told: str
) -> None:
    """So that a create need not be looked for."""
    proxy.instead = instead
    (error,), _ = through(world, proxy, POST, limits=world.Limits(connect_s=0.05))
    assert isinstance(error, Unreachable)
    assert f"the proxy {proxy.origin} (HTTPS_PROXY) {told} (4 attempts)" in error.message


def test_a_certificate_that_can_not_be_verified_is_told_as_without_a_proxy(world: World, proxy: Any) -> None:
    (error,), peer = through(world, proxy, POST, ca_file=None)
    assert isinstance(error, Unreachable)
    assert "the server's certificate cannot be verified: self-signed certificate, through the proxy" in error.message
    assert "SSL_CERT_FILE" in error.hint
    assert peer.seen == []


def test_an_answer_that_is_lost_after_all_was_sent_leaves_a_doubt(world: World, proxy: Any) -> None:
    (error,), peer = through(world, proxy, POST, script=[world.hang_up])
    assert not isinstance(error, Unreachable)
    assert "whether it was carried out is not known" in str(error)
    assert len(peer.seen) == 1


def test_a_body_that_is_too_long_and_an_answer_that_takes_too_long(world: World, proxy: Any) -> None:
    limits = world.Limits(body_bytes=1000, read_s=0.2, attempts=1)
    script = [world.status(200, b"[" + b"1," * 1000 + b"1]"), world.drip]
    (long, late), _ = through(world, proxy, GET, GET, script=script, limits=limits)
    assert isinstance(long, ReadFailed)
    assert "too long: more than 1000 bytes" in long.message
    assert isinstance(late, ReadFailed)
    assert "did not end in time" in late.message


def test_a_redirect_is_not_followed(world: World, proxy: Any) -> None:
    script = [world.status(302, None, {"Location": "https://evil.example/v1"})]
    (error,), _ = through(world, proxy, GET, script=script)
    assert isinstance(error, ApiError)
    assert "redirects to https://evil.example (302), which is not followed" in error.message
    assert [line for line, _ in proxy.seen] == [CONNECT]


def test_no_more_tunnels_than_requests_may_be_in_flight(world: World, proxy: Any) -> None:
    calls = [GET] * 12
    replies, peer = through(world, proxy, *calls, script=[world.status(200, [])] * 12, together=True, parallelism=3)
    assert all(isinstance(reply, Reply) for reply in replies)
    assert peer.connections <= 3


def test_what_is_listed_in_no_proxy_goes_the_direct_way(world: World, proxy: Any) -> None:
    environ = {"HTTPS_PROXY": proxy.origin, "NO_PROXY": "acme.example"}
    (error,), _ = through(world, proxy, GET, environ=environ, limits=world.Limits(attempts=1))
    assert isinstance(error, Unreachable)
    assert proxy.seen == []


# ------------------------------------------------------------------------------------------ signed addresses


def signed(tmp_path: Path, url: str) -> Call:
    (tmp_path / "rows.csv").write_bytes(b"query\r\n")
    upload = Upload(str(tmp_path / "rows.csv"), 7, hashlib.sha256(b"query\r\n").hexdigest())
    return Call("PUT", "/uploads", elsewhere=url, upload=upload)


def test_an_upload_goes_through_the_proxy_for_its_own_address(world: World, proxy: Any, tmp_path: Path) -> None:
    """Here the vendor itself needs no proxy."""
    environ = {"HTTPS_PROXY": proxy.origin, "NO_PROXY": "acme.example"}
    call = signed(tmp_path, "https://storage.example/bucket/rows.csv?signature=x")
    (reply,), peer = through(world, proxy, call, script=[world.status(200)], environ=environ)
    assert isinstance(reply, Reply)
    assert [line for line, _ in proxy.seen] == ["CONNECT storage.example:443"]
    assert peer.seen[0].line == "PUT /bucket/rows.csv?signature=x"
    assert "authorization" not in peer.seen[0].headers


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "0x7f.1", "localhost"])
def test_a_proxy_is_no_way_around_the_addresses_that_nothing_is_sent_to(
    world: World, proxy: Any, tmp_path: Path, host: str
) -> None:
    (error,), _ = through(world, proxy, signed(tmp_path, f"https://{host}/bucket/rows.csv"))
    assert isinstance(error, InvalidRequest)
    assert "is on this computer" in error.message
    assert proxy.seen == []
