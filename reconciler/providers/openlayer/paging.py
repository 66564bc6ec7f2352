"""The pages of Openlayer's lists.

``page`` and ``perPage`` are documented; the default, the maximum and ``_meta`` are not (openlayer-python 0.36.0,
2026-11), so the walk trusts ids it has not seen before over any number the server tells.
"""

from __future__ import annotations

from collections.abc import Callable

from reconciler.errors import ReadFailed
from reconciler.model.values import Fields
from reconciler.providers.paging import Paging

PER_PAGE = 100
MOST_PAGES = 10_000


def _items(body: object, path: str) -> list[Fields]:
    items = body.get("items") if isinstance(body, dict) else None
    if not isinstance(items, list) or not all(isinstance(item, dict) and item.get("id") for item in items):
        raise ReadFailed("the answer holds no list of items with ids", method="GET", path=path)
    return items


def _told(name: str) -> Callable[[object], int | None]:
    """Reads a number that a page tells of its list, None where it tells none."""

    def read(body: object) -> int | None:
        meta = body.get("_meta") if isinstance(body, dict) else None
        number = meta.get(name) if isinstance(meta, dict) else None
        return number if isinstance(number, int) and not isinstance(number, bool) else None

    return read


every = Paging(
    ("perPage", PER_PAGE),
    _items,
    key=lambda item: str(item["id"]),
    last=_told("totalPages"),
    total=_told("totalItems"),
    most=MOST_PAGES,
).every
"""Every item of the list at a path, each id once, in the server's order."""
