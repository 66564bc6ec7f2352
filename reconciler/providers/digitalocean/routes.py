"""Paths and lists of the GenAI API.  Flows: describe I/O, do none.

The path table of the OpenAPI document is authoritative; descriptions in it name other paths (digitalocean/openapi
@7c1300c, 2026-08).
"""

from __future__ import annotations

import math
from collections.abc import Collection

from reconciler.errors import ReadFailed
from reconciler.model.call import Call, Flow, url_path
from reconciler.model.values import Fields, Json
from reconciler.providers.paging import Paging

PER_PAGE = 200
"""The general API's maximum (docs.digitalocean.com/reference/api, 2026-11)."""
MOST_PAGES = 1_000
_OF_PAGES = ("links", "meta")


def at(*segments: str) -> str:
    """The path below ``/v2/gen-ai``."""
    return url_path("v2", "gen-ai", *segments)


def whole_list(
    path: str, key: str, id_key: str, query: dict[str, str | int | bool] | None = None, *, recent: bool = False
) -> Flow[list[Fields]]:
    """The list under ``key`` of an answer that is not paged, each item with an id.  ``recent`` as in ``Call``."""
    reply = yield Call("GET", path, query or {}, recent=recent)
    return identified(items_of(reply.body, key, path), key, id_key, path)


def paged_list(path: str, key: str, id_key: str) -> Flow[list[Fields]]:
    """The list under ``key``, page by page, each id once."""
    paging = Paging(
        ("per_page", PER_PAGE),
        items=lambda body, where: identified(items_of(body, key, where), key, id_key, where),
        key=lambda item: str(item[id_key]),
        last=last_page,
        total=all_items,
        most=MOST_PAGES,
    )
    return (yield from paging.every(path))


def items_of(body: Json, key: str, path: str, beside: Collection[str] = ()) -> list[Fields]:
    """The objects listed under ``key``.  Raises ReadFailed when the answer does not hold such a list.

    protobuf's JSON may leave an empty one out.  So nothing is listed where there is no key, nor any other but those of
    pages and ``beside``; an error with the status 200, or a list under another key, is no empty list.
    """
    listed = body.get(key) if isinstance(body, dict) else None
    if isinstance(body, dict) and body.keys() <= {*_OF_PAGES, *beside}:
        listed = []
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise ReadFailed(f"the answer holds no list of {key}", method="GET", path=path)
    return [item for item in listed if isinstance(item, dict)]


def identified(items: list[Fields], key: str, id_key: str, path: str) -> list[Fields]:
    """The items.  Raises ReadFailed when one of them has no id: left out, it would be made again."""
    if not all(item.get(id_key) for item in items):
        raise ReadFailed(f"the answer lists {key} without {id_key}", method="GET", path=path)
    return items


def object_of(body: Json, key: str, path: str) -> Fields:
    """The object under ``key``.  Raises ReadFailed when there is none."""
    found = body.get(key) if isinstance(body, dict) else None
    if not isinstance(found, dict):
        raise ReadFailed(f"the answer holds no {key}", method="GET", path=path)
    return found


def text_of(value: Json) -> str | None:
    """A text, None for what protobuf JSON leaves out or sends as a zero value."""
    return str(value) if value else None


def whole_number(value: Json) -> int | None:
    """An integer that may come as a string (64-bit values in protobuf JSON); None for anything else."""
    try:
        return int(str(value)) if value is not None and not isinstance(value, bool) else None
    except ValueError:
        return None


def number_of(value: Json) -> float | None:
    """A finite number, also one that comes as text; None for all else, such as protobuf JSON's "NaN" and "Infinity".

    >>> [number_of(value) for value in (0.5, "0", "NaN", "-Infinity", "low", True, None)]
    [0.5, 0.0, None, None, None, None, None]
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def last_page(body: Json) -> int | None:
    """The number of the last page, None where the answer does not tell it."""
    return _told(body, "pages")


def all_items(body: Json) -> int | None:
    """How many items the list has on all of its pages, None where the answer does not tell it."""
    return _told(body, "total")


def _told(body: Json, name: str) -> int | None:
    meta = body.get("meta") if isinstance(body, dict) else None
    return whole_number(meta.get(name)) if isinstance(meta, dict) else None
