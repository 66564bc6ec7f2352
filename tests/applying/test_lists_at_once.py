"""The lists that are read while applying: their pages travel at once, whoever reads them."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from reconciler.applying.lost_creates import Absence, LostCreates, Sought
from reconciler.applying.second_looks import SecondLooks
from reconciler.applying.siblings import Siblings
from reconciler.model.call import Call, Reply, Wire
from reconciler.model.resource import Address
from reconciler.model.values import Json
from reconciler.providers import KINDS
from tests.virtual_time import VirtualClock, in_virtual_time

PAGES, ROUND_TRIP_S = 5, 1.0


async def page(call: Call) -> Reply:
    """One of five pages of a hundred projects, a second after it was asked for."""
    await asyncio.sleep(ROUND_TRIP_S)
    number = int(call.query["page"])
    items: list[Json] = [{"id": f"{number}-{each}", "name": f"bot {number}-{each}"} for each in range(100)]
    return Reply(200, {"items": items, "_meta": {"totalPages": PAGES}})


PROJECTS = Siblings(KINDS["openlayer.Project"], None, (), page, Wire({}))


async def second_look() -> None:
    assert len(await SecondLooks(VirtualClock()).at(PROJECTS, 0.0)) == PAGES * 100


async def lost_create() -> None:
    looking = LostCreates(VirtualClock(), frozenset(), frozenset(), 0.0, lambda _: None)
    sought = Sought(Address("openlayer.Project", ("new",)), "op", {}, by_name=True)
    found = await looking.find(sought, PROJECTS)
    assert isinstance(found, Absence)


@pytest.mark.parametrize("read", [second_look, lost_create])
def test_the_pages_of_a_list_are_read_at_once(read: Callable[[], Awaitable[None]]) -> None:
    """The first page tells how many there are, and the others take one more round trip together."""

    async def duration() -> float:
        await read()
        return asyncio.get_running_loop().time()

    assert in_virtual_time(duration()) == pytest.approx(2 * ROUND_TRIP_S, abs=0.5)
