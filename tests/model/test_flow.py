"""What driving a flow means: replies go in, errors are thrown in, pauses are slept, the result comes out."""

import asyncio
from collections.abc import Coroutine, Sequence
from typing import Any, TypeVar

import pytest

from reconciler.errors import NotFound, OutcomeUnknown
from reconciler.model.call import Call, Flow, Reply, Together, Wait
from reconciler.model.flow import drive

T = TypeVar("T")
LIST = Call("GET", "/things")


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    return asyncio.run(coroutine)


class Vendor:
    """Answers each path as scripted and remembers what was asked and slept."""

    def __init__(self, **answers: Any) -> None:
        self.answers = answers
        self.log: list[object] = []

    async def send(self, call: Call) -> Reply:
        self.log.append(str(call))
        answer = self.answers[call.path.strip("/")]
        if isinstance(answer, BaseException):
            raise answer
        return Reply(200, answer)

    async def sleep(self, seconds: float) -> None:
        self.log.append(seconds)


def not_found() -> NotFound:
    return NotFound("no such thing", method="GET", path="/gone", status=404)


def test_replies_are_sent_in_and_the_return_value_comes_out() -> None:
    def flow() -> Flow[list[object]]:
        first = yield Call("GET", "/one")
        second = yield Call("GET", "/two")
        return [first.body, second.body]

    vendor = Vendor(one=1, two=2)
    assert run(drive(flow(), vendor.send, vendor.sleep)) == [1, 2]
    assert vendor.log == ["GET /one", "GET /two"]


def test_a_flow_that_asks_for_nothing_just_returns() -> None:
    def flow() -> Flow[str]:
        return "nothing to do"
        yield LIST  # type: ignore[unreachable]

    vendor = Vendor()
    assert run(drive(flow(), vendor.send, vendor.sleep)) == "nothing to do"
    assert vendor.log == []


def test_a_wait_is_slept_and_answered_with_none() -> None:
    def flow() -> Flow[object]:
        return (yield Wait(2.5))

    vendor = Vendor()
    assert run(drive(flow(), vendor.send, vendor.sleep)) is None
    assert vendor.log == [2.5]


def test_a_flow_may_catch_the_error_of_its_own_request_and_go_on() -> None:
    def flow() -> Flow[object]:
        try:
            yield Call("GET", "/gone")
        except NotFound:
            return (yield Call("GET", "/one")).body
        return "found"

    vendor = Vendor(gone=not_found(), one=1)
    assert run(drive(flow(), vendor.send, vendor.sleep)) == 1
    assert vendor.log == ["GET /gone", "GET /one"]


def test_an_error_that_the_flow_does_not_catch_comes_out_unchanged() -> None:
    def flow() -> Flow[None]:
        yield Call("POST", "/things")

    error = OutcomeUnknown("the reply was cut off", method="POST", path="/things")
    with pytest.raises(OutcomeUnknown) as caught:
        run(drive(flow(), Vendor(things=error).send, Vendor().sleep))
    assert caught.value is error


def test_a_cancellation_closes_the_flow_and_is_not_thrown_into_it() -> None:
    seen: list[str] = []

    def flow() -> Flow[None]:
        try:
            yield LIST
        except Exception:  # noqa: BLE001
            seen.append("thrown in")
        finally:
            seen.append("closed")

    vendor = Vendor(things=asyncio.CancelledError())
    with pytest.raises(asyncio.CancelledError):
        run(drive(flow(), vendor.send, vendor.sleep))
    assert seen == ["closed"]


def test_requests_asked_together_are_answered_in_their_order() -> None:
    def flow() -> Flow[list[object]]:
        answer = yield Together((Call("GET", "/one"), Call("GET", "/two")))
        return [part.body for part in answer.parts]

    async def both(calls: Sequence[Call]) -> list[Reply]:
        vendor.log.append("at once")
        return [await vendor.send(call) for call in calls]

    vendor = Vendor(one=1, two=2)
    assert run(drive(flow(), vendor.send, vendor.sleep, both)) == [1, 2]
    assert run(drive(flow(), vendor.send, vendor.sleep)) == [1, 2]
    assert vendor.log == ["at once", "GET /one", "GET /two", "GET /one", "GET /two"]
