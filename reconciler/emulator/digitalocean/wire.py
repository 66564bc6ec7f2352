"""What DigitalOcean's handlers are given, and how a list with pages is written."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from reconciler.emulator.database import Document, Page
from reconciler.emulator.digitalocean.bodies import PageQuery
from reconciler.emulator.digitalocean.storage import Store
from reconciler.emulator.rest import ApiError, RestCall

PREFIX = "/v2/gen-ai"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(RestCall):
    """A request, with what it is answered from; ``page_cap`` is the most items of a page."""

    store: Store
    page_cap: int
    upload_ttl_s: int


def found(kind: str, doc: Document | None) -> Document:
    """The document.  Raises ApiError 404 where there is none."""
    if doc is None:
        raise ApiError(404, f"The {kind} you requested could not be found.")
    return doc


def paged(
    call: Call,
    query: PageQuery,
    path: str,
    name: str,
    read: Callable[[int, int], Page],
    show: Callable[[Document], Document],
) -> Document:
    """One page under ``name``, with ``meta`` and, where there are several pages, ``links``.

    ``read(limit, offset)`` gives the documents of the page and how many there are in all; ``path`` begins where
    ``PREFIX`` ends.
    """
    per_page = min(query.per_page, call.page_cap)
    documents, total = read(per_page, (query.page - 1) * per_page)
    pages = -(-total // per_page)
    shown: Document = {name: [show(document) for document in documents]}
    if pages > 1:
        turns = {"first": 1, "previous": query.page - 1, "next": query.page + 1, "last": pages}
        others = {key: page for key, page in turns.items() if 1 <= page <= pages and page != query.page}
        url = f"{call.origin}{PREFIX}{path}"
        asked = query.model_dump(exclude_unset=True)
        links = {key: f"{url}?{urlencode({**asked, 'page': page})}" for key, page in others.items()}
        shown["links"] = {"pages": links}
    return {**shown, "meta": {"page": query.page, "pages": pages, "total": total}}
