"""Past results are read page by page, with the test as it was judged, and not without end."""

from __future__ import annotations

import asyncio
from typing import Any

from reconciler.model.call import Call, Reply
from reconciler.model.flow import drive
from reconciler.model.measuring import Past
from reconciler.model.outcome import TimeRange
from reconciler.model.resource import Address
from reconciler.providers.openlayer.test import TEST

ADDRESS = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))
HOURS = 250


def result(number: int) -> dict[str, Any]:
    """The result of hour ``number`` of 1 January 2026."""
    day, hour = divmod(number, 24)
    return {
        "id": f"r{number}",
        "status": "passing",
        "inferencePipelineId": "p1",
        "dateDataStarts": f"2026-01-{day + 1:02}T{hour:02}:00:00Z",
        "dateDataEnds": f"2026-01-{day + 1:02}T{hour:02}:59:59Z",
        "value": {"faithfulness": number / 1000},
        "goalSnapshot": {"id": "t1", "name": "Faithful"} if number % 2 else None,
    }


class Platform:
    """Answers with pages of at most ``clamp`` results; tells no totals."""

    def __init__(self, clamp: int = 100) -> None:
        self.clamp = clamp
        self.asked: list[Call] = []

    async def send(self, call: Call) -> Reply:
        self.asked.append(call)
        page = int(call.query["page"])
        first = (page - 1) * self.clamp
        return Reply(200, {"items": [result(number) for number in range(first, min(first + self.clamp, HOURS))]})


async def _no_sleep(_: float) -> None:
    raise AssertionError("nothing waits here")


def read(platform: Platform, within: TimeRange | None = None, most: int = 10_000) -> Past:
    assert TEST.measuring is not None
    assert TEST.measuring.past is not None
    return asyncio.run(drive(TEST.measuring.past(ADDRESS, "t1", within, most), platform.send, _no_sleep))


def test_all_pages_are_read_whatever_their_size() -> None:
    for clamp in (100, 30, 7):
        found = read(Platform(clamp))
        assert [each.result_id for each in found.results] == [f"r{number}" for number in range(HOURS)]
        assert found.whole


def test_a_range_is_asked_for_and_kept_even_if_the_server_does_not() -> None:
    """The second of January: 24 hours of the 250 that this server answers with."""
    day = TimeRange(1_767_312_000, 1_767_398_400)
    platform = Platform()
    found = read(platform, day)
    assert [each.result_id for each in found.results] == [f"r{number}" for number in range(24, 48)]
    assert platform.asked[0].query["startTimestamp"] == day.start
    assert platform.asked[0].query["endTimestamp"] == day.end


def test_no_more_is_read_than_is_asked_for_and_that_is_told() -> None:
    """Of 250 results 120 are wanted: two pages are read, and not all pages."""
    platform = Platform()
    found = read(platform, most=120)
    assert (len(found.results), found.whole, len(platform.asked)) == (120, False, 2)
    assert read(Platform(), most=HOURS).whole


def test_the_test_as_it_was_comes_along_where_the_platform_keeps_it() -> None:
    first, second, *_ = read(Platform()).results
    assert first.item is None
    assert second.item == {"id": "t1", "name": "Faithful"}
    assert second.measured == {"faithfulness": 0.001}
