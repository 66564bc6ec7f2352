"""Walk through a paged list, whatever the server does with the page size.  A flow: describes I/O, does none.

The first page tells how many there are; the others are then asked for together::

    page 1 ──► 1 of 12 ──► pages 2 … 12 at once ──► still 12 ──► done

A server that tells no number is walked page by page, until a page shows nothing new.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

from msgspec import Struct

from reconciler.errors import ReadFailed
from reconciler.model.call import Call, Flow, Reply, Together
from reconciler.model.values import Fields, Json

AT_ONCE = 64
"""How many pages to ask for together: more than a transport has in flight helps nobody."""

Query = Mapping[str, str | int | bool]


class Paging(Struct, frozen=True):
    """How a vendor pages its lists.

    ``size`` is the query parameter for the page size, and its value.  ``items`` reads the items of (body, path), and
    raises ReadFailed where there are none to be read; ``key`` names an item; ``last`` reads the number of the last
    page, None where the server does not tell it.  More than ``most`` pages are no list.
    """

    size: tuple[str, int]
    items: Callable[[Json, str], list[Fields]]
    key: Callable[[Fields], str]
    last: Callable[[Json], int | None]
    most: int

    def every(
        self, path: str, query: Query | None = None, enough: Callable[[Collection[Fields]], bool] | None = None
    ) -> Flow[list[Fields]]:
        """Every item of the list at ``path``, each once, in the server's order; no further page once it is ``enough``.

        Raises ReadFailed when there is no list of items, or when the pages never end.
        """
        found: dict[str, Fields] = {}
        read = 0
        pages: Sequence[int] = (1,)
        while pages:
            replies = yield from self._pages(path, query or {}, pages)
            read = pages[-1]
            known = len(found)
            for reply in replies:
                for item in self.items(reply.body, path):
                    found.setdefault(self.key(item), item)
            last = max((number for reply in replies if (number := self.last(reply.body)) is not None), default=None)
            if last is None:  # it tells no number: on, while there is anything new
                last = read if len(found) == known else read + 1
            if enough is not None and enough(found.values()):
                break
            pages = range(read + 1, min(last, read + AT_ONCE) + 1)
            if pages and pages[-1] > self.most:
                raise ReadFailed(f"the list did not end after {self.most} pages", method="GET", path=path)
        return list(found.values())

    def _pages(self, path: str, query: Query, pages: Sequence[int]) -> Flow[tuple[Reply, ...]]:
        name, size = self.size
        calls = tuple(Call("GET", path, {**query, "page": page, name: size}) for page in pages)
        if len(calls) == 1:
            reply = yield calls[0]
            return (reply,)
        together = yield Together(calls)
        return together.parts
