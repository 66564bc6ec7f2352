"""Lists are read once, parents first; again only where one shows something no more that should be there."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from reconciler.model.call import Call, Reply
from reconciler.model.kind import Vendor
from reconciler.model.resource import Address, Live
from reconciler.model.values import Fields
from reconciler.providers.clock import RealClock
from reconciler.providers.openlayer import OPENLAYER
from reconciler.providers.reader import Roots, read_live

BOT = Address("openlayer.Project", ("bot",))
TESTS = {each: Address("openlayer.Test", ("bot", "monitoring", each)) for each in ("One", "Two", "Three")}
REMEMBERED = {BOT: "p1", TESTS["One"]: "id of One", TESTS["Two"]: "id of Two"}
INSIDE = "/projects/p1/tests"


@dataclass
class Platform:
    """A vendor; ``tests`` are the names that each reading of the list of tests shows, the last one for good."""

    tests: list[list[str]]
    project: Fields = field(default_factory=lambda: {"id": "p1", "name": "bot", "taskType": "llm-base"})
    asked: list[str] = field(default_factory=list)
    vendor: Vendor = OPENLAYER
    origin: str = "https://api.openlayer.com/v1"
    dialect: str = ""
    requests: int = 0

    async def send(self, call: Call, permit: object = None) -> Reply:
        self.asked.append(call.path)
        items: list[Fields] = [self.project] if call.path == "/projects" else []
        if call.path == INSIDE:
            shown = self.tests.pop(0) if len(self.tests) > 1 else self.tests[0]
            items = [{"id": f"id of {each}", "name": each, "usesProductionData": True} for each in shown]
        return Reply(200, {"items": [*items], "_meta": {"totalPages": 1}})

    async def close(self) -> None:
        """There is nothing to close."""

    def read(self, *expected: Address) -> list[str]:
        """The names of the tests that were found."""

        async def main() -> Live:
            roots = Roots.of((), REMEMBERED)
            return await read_live(self, RealClock(), roots, REMEMBERED, expected=expected)

        return [item.address.name for item in asyncio.run(main()).objects if item.address.kind == "openlayer.Test"]


def test_a_list_that_shows_everything_is_read_once() -> None:
    platform = Platform([["One", "Two"]])
    assert platform.read(*REMEMBERED) == ["One", "Two"]
    assert platform.asked.count(INSIDE) == 1


def test_a_list_that_shows_something_no_more_is_read_again_and_what_either_shows_is_there() -> None:
    """A page has shifted while it was read, and may shift once more: what would be taken for gone is made anew."""
    platform = Platform([["One", "Three"], ["Two", "Three"]])
    assert sorted(platform.read(*REMEMBERED)) == ["One", "Three", "Two"]
    assert platform.asked.count(INSIDE) == 2


def test_what_is_not_expected_may_be_gone() -> None:
    platform = Platform([["One"]])
    assert platform.read(BOT, TESTS["One"]) == ["One"]
    assert platform.asked.count(INSIDE) == 1


def test_a_project_that_was_renamed_at_the_platform_is_looked_into_and_its_lists_are_held_against_what_is_ours() -> (
    None
):
    platform = Platform([["One"], ["One", "Two"]], {"id": "p1", "name": "robot", "taskType": "llm-base"})
    assert platform.read(*REMEMBERED) == ["One", "Two"]
    assert platform.asked.count(INSIDE) == 2


def test_nothing_is_looked_into_that_is_nobodys() -> None:
    platform = Platform([["One"]], {"id": "p9", "name": "robot", "taskType": "llm-base"})
    assert platform.read() == []
    assert set(platform.asked) == {"/projects"}
