"""What a vendor answered a moment ago stands for asking again, until somebody writes."""

from __future__ import annotations

import asyncio

import pytest

from reconciler.errors import ReadFailed
from reconciler.evaluating.recent import RECENT_S, RecentAnswers
from reconciler.model.call import Call, Reply
from tests.virtual_time import VirtualClock

LOOK = Call("GET", "/runs", {"version": 1}, recent=True)
START = Call("POST", "/runs", repeatable=False)


class Vendor:
    """Answers each request with its number."""

    def __init__(self) -> None:
        self.asked: list[str] = []
        self.failing = False

    async def send(self, call: Call) -> Reply:
        self.asked.append(str(call))
        await asyncio.sleep(0)
        if self.failing:
            raise ReadFailed("no answer", method=call.method, path=call.path)
        return Reply(200, body=len(self.asked))


def test_an_answer_stands_for_some_seconds() -> None:
    async def main() -> list[object]:
        clock, vendor = VirtualClock(), Vendor()
        send = RecentAnswers(clock).before(vendor.send)
        first = await send(LOOK)
        await clock.sleep(RECENT_S)
        within = await send(LOOK)
        await clock.sleep(0.1)
        return [first.body, within.body, (await send(LOOK)).body]

    assert asyncio.run(main()) == [1, 1, 2]


def test_only_what_asks_for_no_more_gets_an_older_answer() -> None:
    async def main() -> list[object]:
        vendor = Vendor()
        send = RecentAnswers(VirtualClock()).before(vendor.send)
        calls = (LOOK, Call("GET", "/runs", {"version": 1}), Call("GET", "/runs", {"version": 2}, recent=True), LOOK)
        return [(await send(call)).body for call in calls]

    assert asyncio.run(main()) == [1, 2, 3, 1]


def test_those_who_ask_at_once_are_answered_once_however_they_send() -> None:
    async def main() -> tuple[list[object], list[str]]:
        vendor, other = Vendor(), Vendor()
        answers = RecentAnswers(VirtualClock())
        sends = [answers.before(vendor.send), answers.before(other.send)]
        replies = await asyncio.gather(*(send(LOOK) for send in sends))
        return [reply.body for reply in replies], vendor.asked + other.asked

    assert asyncio.run(main()) == ([1, 1], ["GET /runs"])


def test_what_was_asked_before_a_write_was_over_is_asked_again() -> None:
    """The look that began while the run was being started may not show it."""

    async def main() -> list[object]:
        vendor = Vendor()
        send = RecentAnswers(VirtualClock()).before(vendor.send)
        await send(LOOK)
        started, meanwhile = await asyncio.gather(send(START), send(LOOK))
        return [started.body, meanwhile.body, (await send(LOOK)).body]

    assert asyncio.run(main()) == [2, 1, 3]


def test_a_failed_write_may_have_written() -> None:
    async def main() -> list[object]:
        vendor = Vendor()
        send = RecentAnswers(VirtualClock()).before(vendor.send)
        await send(LOOK)
        vendor.failing = True
        with pytest.raises(ReadFailed):
            await send(START)
        vendor.failing = False
        return [(await send(LOOK)).body]

    assert asyncio.run(main()) == [3]


def test_a_failure_is_no_answer() -> None:
    async def main() -> list[object]:
        vendor = Vendor()
        send = RecentAnswers(VirtualClock()).before(vendor.send)
        vendor.failing = True
        with pytest.raises(ReadFailed):
            await send(LOOK)
        vendor.failing = False
        return [(await send(LOOK)).body]

    assert asyncio.run(main()) == [2]
