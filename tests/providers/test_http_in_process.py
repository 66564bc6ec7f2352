"""The same provider over an application in the same process, without sockets."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from reconciler.errors import OutcomeUnknown, ReadFailed
from reconciler.model.call import Call
from reconciler.model.provider import Provider
from reconciler.model.values import Secret
from reconciler.providers.http import RestProvider

if TYPE_CHECKING:
    from tests.providers.conftest import World


async def _echo(request: Request) -> Response:
    return JSONResponse({"auth": request.headers["authorization"], "body": (await request.body()).decode()})


async def _broken(_: Request) -> Response:
    raise RuntimeError("a bug in the application")


APPLICATION = Starlette(
    routes=[Route("/v1/echo", _echo, methods=["POST"]), Route("/v1/broken", _broken, methods=["GET", "POST"])]
)


def _provider(world: World) -> RestProvider:
    return RestProvider(
        world.vendor,
        base_url="http://emulator.localhost/v1/",
        credential=Secret("local"),
        clock=world.clock(),
        transport=httpx.ASGITransport(APPLICATION),
    )


def test_a_call_reaches_the_application_in_process(world: World) -> None:
    provider: Provider = _provider(world)
    reply = asyncio.run(provider.send(Call("POST", "/echo", body={"a": 1})))
    assert reply.body == {"auth": "Bearer local", "body": '{"a":1}'}
    assert (provider.origin, provider.requests) == ("http://emulator.localhost", 1)
    assert repr(provider) == "RestProvider(acme, http://emulator.localhost)"


def test_an_exception_of_the_application_is_an_answer_that_never_came(world: World) -> None:
    provider = _provider(world)
    with pytest.raises(OutcomeUnknown) as caught:
        asyncio.run(provider.send(Call("POST", "/broken", repeatable=False)))
    assert isinstance(caught.value.__cause__, RuntimeError)
    with pytest.raises(ReadFailed):
        asyncio.run(provider.send(Call("GET", "/broken")))
    assert provider.requests == 1 + 4


def test_talking_in_process_does_not_import_the_socket_library() -> None:
    code = "import sys, reconciler.providers.http; sys.exit('httptools' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


class _Busy(httpx.AsyncBaseTransport):
    """Too busy twice, then at the caller's service."""

    def __init__(self) -> None:
        self.sent = 0

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.sent += 1
        busy = httpx.Response(429, headers={"retry-after": "30"}, json={"error": "busy"}, request=request)
        return busy if self.sent <= 2 else httpx.Response(201, json={"id": "1"}, request=request)


def _busy(world: World) -> tuple[RestProvider, _Busy, list[float]]:
    transport, clock = _Busy(), world.clock()
    provider = RestProvider(
        world.vendor, base_url="http://busy.localhost", credential=Secret("local"), clock=clock, transport=transport
    )
    return provider, transport, clock.slept


def test_a_permit_is_asked_for_right_before_each_attempt(world: World) -> None:
    """After the pause, not before it: what was allowed half a minute ago may not be so any more."""
    provider, transport, slept = _busy(world)
    asked: list[tuple[int, int]] = []

    async def permit() -> None:
        asked.append((transport.sent, len(slept)))

    reply = asyncio.run(provider.send(Call("POST", "/things", body={}, repeatable=False), permit))
    assert reply.status == 201
    assert asked == [(0, 0), (1, 1), (2, 2)]


def test_without_a_permit_nothing_more_is_sent(world: World) -> None:
    """What it raises comes out as it is, and the place in the line is given back."""
    provider, transport, _ = _busy(world)

    async def permit() -> None:
        if transport.sent:
            raise LookupError("the lock is gone")

    async def twice() -> None:
        for _ in range(2):
            with pytest.raises(LookupError, match="the lock is gone"):
                await provider.send(Call("PUT", "/things"), permit)

    asyncio.run(asyncio.wait_for(twice(), 10))
    assert transport.sent == 1
