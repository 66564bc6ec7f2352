"""Walk through a paged list, whatever the server does with the page size.  A flow: describes I/O, does none.

The first page tells how many there are; the others are then asked for together::

    page 1 ──► 1 of 12 ──► pages 2 … 12 at once ──► still 12 ──► done

A server that tells no number is walked page by page, until a page shows nothing new.  One that tells a number, and
on one of these pages only what stood on others, does not show the list: what it leaves out would be made again.  An
empty page says no such thing: numbers lag, and may count what nobody is shown.  Several that were asked for together
and are all empty are its end.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence, Sized

from msgspec import Struct

from reconciler.errors import ReadFailed
from reconciler.model.call import Call, Flow, Reply, Together
from reconciler.model.values import Fields, Json

AT_ONCE = 64
"""How many pages to ask for together: more than a transport has in flight helps nobody."""

_NOT_WHOLE = "run it again; if it stays so, the platform or a proxy before it ignores which page is asked for"

Query = Mapping[str, str | int | bool]


class Paging(Struct, frozen=True):
    """How a vendor pages its lists.

    ``size`` is the query parameter for the page size, and its value.  ``items`` reads the items of (body, path), and
    raises ReadFailed where there are none to be read; ``key`` names an item; ``last`` reads the number of the last
    page and ``total`` how many items there are, None where the server does not tell it.  More than ``most`` pages are
    no list.
    """

    size: tuple[str, int]
    items: Callable[[Json, str], list[Fields]]
    key: Callable[[Fields], str]
    last: Callable[[Json], int | None]
    total: Callable[[Json], int | None]
    most: int

    def every(
        self, path: str, query: Query | None = None, enough: Callable[[Collection[Fields]], bool] | None = None
    ) -> Flow[list[Fields]]:
        """Every item of the list at ``path``, each once, in the server's order; no further page once it is ``enough``.

        A list of several pages that shows fewer items than the server told is read once more: a page shifts when an
        item before it is removed meanwhile.  Raises ReadFailed when there is no list of items, when a page repeats
        others, or when the pages never end.
        """
        found: dict[str, Fields] = {}
        told = yield from self._walk(path, query or {}, found, enough)
        if told > len(found):
            again: dict[str, Fields] = {}
            yield from self._walk(path, query or {}, again, enough)
            found |= {key: item for key, item in again.items() if key not in found}
        return list(found.values())

    def _walk(
        self,
        path: str,
        query: Query,
        found: dict[str, Fields],
        enough: Callable[[Collection[Fields]], bool] | None,
    ) -> Flow[int]:
        """Add every item to what was found; returns how many there are, as several pages tell, else 0."""
        told = read = 0
        pages: Sequence[int] = (1,)
        while pages:
            replies = yield from self._pages(path, query, pages)
            read = pages[-1]
            known = len(found)
            repeats = [page for page, reply in zip(pages, replies, strict=True) if self._repeats(reply, path, found)]
            last = _most(self.last, replies)
            told = max(told, _most(self.total, replies) or 0)
            if enough is not None and enough(found.values()):
                return 0
            if last is None:  # it tells no number: on, while there is anything new
                last = read if len(found) == known else read + 1
            elif repeats and repeats[0] <= last and not self._is_all(found, replies):
                what = (
                    f"page {repeats[0]} of {last} shows only what stands on the pages before it: the list is not whole"
                )
                raise ReadFailed(what, method="GET", path=path, hint=_NOT_WHOLE)
            if len(pages) > 1 and not any(self.items(reply.body, path) for reply in replies):
                break
            pages = range(read + 1, min(last, read + AT_ONCE) + 1)
            if pages and pages[-1] > self.most:
                raise ReadFailed(f"the list did not end after {self.most} pages", method="GET", path=path)
        return told if read > 1 else 0

    def _repeats(self, reply: Reply, path: str, found: dict[str, Fields]) -> bool:
        """Add a page to what was found; whether it shows something, and nothing new."""
        known, items = len(found), self.items(reply.body, path)
        for item in items:
            found.setdefault(self.key(item), item)
        return bool(items) and len(found) == known

    def _is_all(self, found: Sized, replies: Sequence[Reply]) -> bool:
        """Whether the server tells how many items there are, and so many were found."""
        total = _most(self.total, replies)
        return total is not None and len(found) >= total

    def _pages(self, path: str, query: Query, pages: Sequence[int]) -> Flow[tuple[Reply, ...]]:
        name, size = self.size
        calls = tuple(Call("GET", path, {**query, "page": page, name: size}) for page in pages)
        if len(calls) == 1:
            reply = yield calls[0]
            return (reply,)
        together = yield Together(calls)
        return together.parts


def _most(number: Callable[[Json], int | None], replies: Sequence[Reply]) -> int | None:
    """The largest of what the server tells in these replies, None where it tells nothing."""
    return max((told for reply in replies if (told := number(reply.body)) is not None), default=None)
