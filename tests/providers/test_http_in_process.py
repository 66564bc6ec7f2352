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
from reconciler.model.kind import Call
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
    code = "import sys, reconciler.providers.http; sys.exit('aiohttp' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
