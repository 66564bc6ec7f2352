"""Walk through a paged list, whatever the server does with the page size.  A flow: describes I/O, does none.

``page`` and ``perPage`` are documented; the default, the maximum and ``_meta`` are not (openlayer-python 0.36.0,
2026-11), so the walk trusts ids it has not seen before over any number the server tells.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.errors import ReadFailed
from reconciler.model.kind import Call, Flow
from reconciler.model.values import Fields

PER_PAGE = 100
MOST_PAGES = 10_000


def every(path: str, query: Mapping[str, str | int | bool] | None = None) -> Flow[list[Fields]]:
    """Every item of the list at ``path``, each id once, in the server's order.

    Stops after ``_meta.totalPages`` pages where the server tells, else at the first page that shows nothing new.
    Raises ReadFailed when there is no list of items, or when the pages never end.
    """
    found: dict[str, Fields] = {}
    for page in range(1, MOST_PAGES + 1):
        reply = yield Call("GET", path, {**(query or {}), "page": page, "perPage": PER_PAGE})
        items = _items(reply.body, path)
        fresh = [item for item in items if str(item["id"]) not in found]
        found.update((str(item["id"]), item) for item in fresh)
        last = _last_page(reply.body)
        if page >= last if last is not None else not fresh:
            return list(found.values())
    raise ReadFailed(f"the list did not end after {MOST_PAGES} pages", method="GET", path=path)


def _items(body: object, path: str) -> list[Fields]:
    items = body.get("items") if isinstance(body, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) and item.get("id") for item in items):
        raise ReadFailed("the answer holds no list of items with ids", method="GET", path=path)
    return items


def _last_page(body: object) -> int | None:
    meta = body.get("_meta") if isinstance(body, dict) else None
    total = meta.get("totalPages") if isinstance(meta, dict) else None
    return total if isinstance(total, int) and not isinstance(total, bool) else None
