"""The pages of Openlayer's lists.

``page`` and ``perPage`` are documented; the default, the maximum and ``_meta`` are not (openlayer-python 0.36.0,
2026-11), so the walk trusts ids it has not seen before over any number the server tells.
"""

from __future__ import annotations

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


def _last_page(body: object) -> int | None:
    meta = body.get("_meta") if isinstance(body, dict) else None
    total = meta.get("totalPages") if isinstance(meta, dict) else None
    return total if isinstance(total, int) and not isinstance(total, bool) else None


every = Paging(("perPage", PER_PAGE), _items, lambda item: str(item["id"]), _last_page, MOST_PAGES).every
"""Every item of the list at a path, each id once, in the server's order."""
