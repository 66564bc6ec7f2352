"""A paged list is read whole, whatever the server does: pages of another size, no total, repeats, no end."""

from __future__ import annotations

import pytest

from reconciler.errors import ReadFailed
from reconciler.model.call import Call, Reply, Together, Wait
from reconciler.model.values import Fields, Json
from reconciler.providers.openlayer.paging import every

PATH = "/projects/p/tests"
Page = tuple[list[int], int | None]
"""Numbers of the items on a page, and how many pages the server says there are."""


def read(pages: list[Page], beyond: Page = ([], None), items: int | None = None) -> tuple[list[str], list[list[int]]]:
    """The ids that the flow found in these pages, and the pages that it asked for, wave by wave.

    ``items`` is how many there are, as the server says.
    """

    def answer(call: Call) -> Reply:
        number = int(call.query["page"])
        shown, total = pages[number - 1] if number <= len(pages) else beyond
        body: dict[str, Json] = {"items": [{"id": str(item)} for item in shown]}
        about: dict[str, Json] = {"totalPages": total} if items is None else {"totalPages": total, "totalItems": items}
        return Reply(200, body if total is None else {**body, "_meta": about})

    flow, waves = every(PATH), []
    try:
        asked = next(flow)
        while True:
            assert not isinstance(asked, Wait)
            calls = asked.calls if isinstance(asked, Together) else (asked,)
            waves.append([int(call.query["page"]) for call in calls])
            replies = tuple(answer(call) for call in calls)
            asked = flow.send(Reply(200, parts=replies) if isinstance(asked, Together) else replies[0])
    except StopIteration as end:
        found: list[Fields] = end.value
        return [str(item["id"]) for item in found], waves


@pytest.mark.parametrize(
    ("pages", "ids", "waves"),
    [
        pytest.param([([], 0)], [], [[1]], id="nothing"),
        pytest.param([([1, 2], 1)], ["1", "2"], [[1]], id="one page"),
        pytest.param([([1], 3), ([2], 3), ([3], 3)], ["1", "2", "3"], [[1], [2, 3]], id="the rest at once"),
        pytest.param([([1], 2), ([2], 3), ([3], 3)], ["1", "2", "3"], [[1], [2], [3]], id="it grows meanwhile"),
        pytest.param([([1, 2], 2), ([2, 3], 2)], ["1", "2", "3"], [[1], [2]], id="an item on two pages"),
        pytest.param([([1], None), ([2], None)], ["1", "2"], [[1], [2], [3]], id="no total: until nothing is new"),
        pytest.param([([1], None), ([1], None), ([2], None)], ["1"], [[1], [2]], id="no total, and a repeated page"),
        pytest.param([([1], 2), ([2], None)], ["1", "2"], [[1], [2], [3]], id="the total is missing on a later page"),
        pytest.param([([1], 2), ([], 2)], ["1"], [[1], [2]], id="the total counts what is not shown"),
        pytest.param(
            [([1], 3), ([2], 2), ([2], 2)], ["1", "2"], [[1], [2, 3]], id="it shrinks, and the last is repeated"
        ),
    ],
)
def test_a_list_is_read_whole(pages: list[Page], ids: list[str], waves: list[list[int]]) -> None:
    assert read(pages) == (ids, waves)


def test_a_long_list_is_read_64_pages_at_a_time() -> None:
    pages: list[Page] = [([number], 100) for number in range(1, 101)]
    ids, waves = read(pages)
    assert ids == [str(number) for number in range(1, 101)]
    assert [len(wave) for wave in waves] == [1, 64, 35]


@pytest.mark.parametrize(
    ("pages", "items"),
    [
        pytest.param([([1, 2], 3)] * 3, None, id="always the first"),
        pytest.param([([1, 2], 3)] * 3, 6, id="always the first, and the number of items"),
        pytest.param([([1], 4), ([2], 4), ([2], 4), ([3], 4)], None, id="once in between"),
        pytest.param([([1, 2], 2), ([2], 2)], 3, id="a part of the one before"),
    ],
)
def test_a_page_of_what_was_shown_before_is_an_error(pages: list[Page], items: int | None) -> None:
    """The server says that there are more pages, so something stands on them that it does not show."""
    with pytest.raises(ReadFailed, match=r"^GET /projects/p/tests: page [23] of [234] shows only what stands on"):
        read(pages, items=items)


@pytest.mark.parametrize("told", [3, 4])
def test_a_list_that_shows_fewer_than_it_told_is_read_once_more(told: int) -> None:
    """Somebody removes item 1 after the first page: 3 moves there, and stands on no page that is read."""
    flow, asked = every(PATH), list[int]()
    with pytest.raises(StopIteration) as end:
        call = next(flow)
        for items, total in (([1, 2], 4), ([4], told), ([2, 3], told), ([4], told), ([], 0)):
            assert isinstance(call, Call)
            asked.append(int(call.query["page"]))
            about: dict[str, Json] = {"totalPages": 2, "totalItems": total}
            call = flow.send(Reply(200, {"items": [{"id": str(item)} for item in items], "_meta": about}))
    assert [item["id"] for item in end.value.value] == ["1", "2", "4", "3"]
    assert asked == [1, 2, 1, 2]


def test_a_number_that_never_comes_true_costs_one_more_walk() -> None:
    """It counts what nobody is shown."""
    assert read([([1], 2), ([2], 2)], items=5) == (["1", "2"], [[1], [2], [1], [2]])


def test_one_page_cannot_shift() -> None:
    assert read([([1], 1)], items=5) == (["1"], [[1]])


def test_a_server_that_gives_all_on_every_page_is_believed_once_all_is_there() -> None:
    assert read([([1, 2, 3], 2)] * 2, items=3) == (["1", "2", "3"], [[1], [2]])


def test_pages_without_end_are_an_error() -> None:
    with pytest.raises(ReadFailed, match="did not end after 10000 pages"):
        read([([number], 1_000_000) for number in range(10_001)])


def test_pages_that_are_all_empty_end_a_list() -> None:
    """Whatever number of them the server tells; one empty page among others says nothing."""
    assert read([([1], 1_000_000_000)], beyond=([], 1_000_000_000)) == (["1"], [[1], list(range(2, 66))])
    assert read([([1], 4), ([], 4), ([], 4), ([2], 4)])[0] == ["1", "2"]


def test_an_answer_without_items_is_an_error_on_every_page() -> None:
    flow = every(PATH)
    next(flow)
    with pytest.raises(ReadFailed, match="no list of items with ids"):
        flow.send(Reply(200, {"_meta": {"totalPages": 1}}))
