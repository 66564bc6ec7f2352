"""What Openlayer's handlers are given, and the envelope of its lists."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from reconciler.emulator.database import Document, Encoded, encoded
from reconciler.emulator.openlayer.bodies import PageQuery
from reconciler.emulator.openlayer.storage import Store
from reconciler.emulator.rest import Body, RestCall, validated

Dialect = Literal["", "seed"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call(RestCall):
    """A request, with what it is answered from; ``page_cap`` is the most items of a page."""

    store: Store
    dialect: Dialect
    page_cap: int

    def asks(self, model: type[Body]) -> Body:
        """The query as a model.  Raises ApiError 422; the seed dialect ignores what it does not know."""
        known = {field.alias or name for name, field in model.model_fields.items()}
        query = {k: v for k, v in self.query.items() if self.dialect != "seed" or k in known}
        return validated(model, query)


def listed(
    call: Call,
    query: PageQuery,
    read: Callable[[int, int], tuple[Sequence[Document], int]],
    show: Callable[[Document], Document],
) -> Document:
    """One page of a list.  ``read(limit, offset)`` gives the documents of the page and how many there are in all."""
    per_page = _per_page(call, query)
    found, total = read(per_page, (query.page - 1) * per_page)
    return {"items": [show(document) for document in found], **_about(call, query, total)}


def listed_as_stored(call: Call, query: PageQuery, read: Callable[[int, int], tuple[Sequence[str], int]]) -> Encoded:
    """One page of a list of what is shown as it is stored: JSON text from ``read``, joined."""
    per_page = _per_page(call, query)
    found, total = read(per_page, (query.page - 1) * per_page)
    parts = {"items": f"[{','.join(found)}]"}
    parts |= {name: encoded(value) for name, value in _about(call, query, total).items()}
    return Encoded("{" + ",".join(f'"{name}":{text}' for name, text in parts.items()) + "}")


def _per_page(call: Call, query: PageQuery) -> int:
    return min(query.per_page, call.page_cap)


def _about(call: Call, query: PageQuery, total: int) -> Document:
    """What a page says of itself; the seed dialect says nothing."""
    if call.dialect == "seed":
        return {}
    per_page = _per_page(call, query)
    return {
        "_meta": {
            "page": query.page,
            "perPage": per_page,
            "totalItems": total,
            "totalPages": -(-total // per_page),
        }
    }
