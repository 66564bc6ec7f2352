"""What a handler is given and gives back: a ``Call`` in, a ``Reply`` out, or an ``ApiError`` raised.

Also the reading of bodies and queries into models, and the envelope of lists.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ValidationError

from reconciler.emulator.openlayer.bodies import PageQuery
from reconciler.emulator.openlayer.storage import Store

Dialect = Literal["", "seed"]
Document = dict[str, Any]
Body = TypeVar("Body", bound=BaseModel)

MISSING = object()
"""Stands for a request without a body."""

_WORDS = {"missing": "Missing data for required field.", "extra_forbidden": "Unknown field."}


class ApiError(Exception):
    """An answer other than success: HTTP status and text."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Reply:
    """Status and JSON payload; None is an empty body."""

    status: int
    payload: object = None


@dataclass(frozen=True, slots=True)
class Call:
    """One authenticated request inside its transaction.

    ``now`` is Unix seconds; ``origin`` is scheme, host and port; ``task_fate`` is ``never`` or ``fails`` where a
    fault script says so of the tasks that the request starts.
    """

    store: Store
    dialect: Dialect
    now: float
    page_cap: int
    origin: str
    path: Mapping[str, str]
    query: Mapping[str, str]
    payload: object
    task_fate: str = ""

    def body(self, model: type[Body]) -> Body:
        """The body as a model.  Raises ApiError 422 naming every field that is wrong."""
        if self.payload is MISSING:
            raise ApiError(422, "The request has no body.")
        return validated(model, self.payload)

    def asks(self, model: type[Body]) -> Body:
        """The query as a model.  Raises ApiError 422; the seed dialect ignores what it does not know."""
        known = {field.alias or name for name, field in model.model_fields.items()}
        query = {k: v for k, v in self.query.items() if self.dialect != "seed" or k in known}
        return validated(model, query)


def validated(model: type[Body], value: object, *, inside: str = "") -> Body:
    """The value as a model.  Raises ApiError 422; ``inside`` is where in the body the value stood."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        raise ApiError(422, "; ".join(inside + _problem(e) for e in error.errors(include_url=False))) from error


def _problem(error: Mapping[str, Any]) -> str:
    """One line in the server's words, such as ``thresholds.0.measurement: Missing data for required field.``"""
    where = ".".join(map(str, error["loc"]))
    if error["type"] == "value_error":
        said = str(error["ctx"]["error"])
        return said if not where else f"{where}.{said}" if ": " in said else f"{where}: {said}"
    if error["input"] is None and error["type"].endswith("_type"):
        return f"{where}: Field may not be null."
    return f"{where}: {_WORDS.get(error['type'], error['msg'])}"


def listed(
    call: Call,
    query: PageQuery,
    read: Callable[[int, int], tuple[Sequence[Document], int]],
    show: Callable[[Document], Document],
) -> Document:
    """One page of a list.  ``read(limit, offset)`` gives the documents of the page and how many there are in all."""
    per_page = min(query.per_page, call.page_cap)
    found, total = read(per_page, (query.page - 1) * per_page)
    page: Document = {"items": [show(document) for document in found]}
    if call.dialect != "seed":
        page["_meta"] = {
            "page": query.page,
            "perPage": per_page,
            "totalItems": total,
            "totalPages": -(-total // per_page),
        }
    return page
