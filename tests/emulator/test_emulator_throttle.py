"""An answer takes as long as the latency says, the emulator's own work included."""

from __future__ import annotations

import asyncio

import pytest
from starlette.types import Message, Receive, Scope, Send

from reconciler.emulator.openlayer.application import error_body
from reconciler.emulator.throttle import Throttle
from tests.virtual_time import in_virtual_time


@pytest.mark.parametrize(
    ("latency_s", "work_s", "rate_per_s", "answered"),
    [
        pytest.param(0.0, 0.2, None, 0.2, id="without latency, as soon as it is there"),
        pytest.param(0.5, 0.2, None, 0.5, id="the work is part of the latency"),
        pytest.param(0.5, 0.8, None, 0.8, id="what takes longer is not delayed any further"),
        pytest.param(0.5, 0.2, 0.5, 0.5, id="a refusal takes as long"),
    ],
)
def test_an_answer_takes_as_long_as_the_latency_says(
    latency_s: float, work_s: float, rate_per_s: float | None, answered: float
) -> None:
    sent: list[tuple[str, float]] = []

    async def app(_: Scope, __: Receive, send: Send) -> None:
        await asyncio.sleep(work_s)
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b""})

    async def main() -> None:
        loop = asyncio.get_running_loop()

        async def send(message: Message) -> None:
            sent.append((message["type"], round(loop.time(), 3)))

        async def receive() -> Message:
            raise AssertionError("nothing reads")

        door = Throttle(app, latency_s=latency_s, rate_per_s=rate_per_s, now=lambda: 0.0, error_body=error_body(""))
        if rate_per_s:
            door._wait_s()  # the only request that there is room for
        await door({"type": "http", "method": "GET", "path": "/", "headers": []}, receive, send)

    in_virtual_time(main())
    assert sent == [("http.response.start", answered), ("http.response.body", answered)]
