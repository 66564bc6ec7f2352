"""Turn observations into rows of a database, and back.  Pure: the same for every history.

A row repeats in columns what a query needs; the observation itself is the ``body``, JSON in plain ASCII, so that a
database has nothing to refuse in a text that a platform wrote (a NUL, half a character).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, NamedTuple

from msgspec.structs import fields, replace

from reconciler.errors import StateUnreadable
from reconciler.model.history import Observation
from reconciler.model.outcome import EvaluationStatus, Level
from reconciler.model.resource import Address

HISTORY_FORMAT = 1
_FIELDS = tuple(field.name for field in fields(Observation))


class Row(NamedTuple):
    """One observation in a table.

    ``key`` is the same for two observations of one measurement.  ``at`` is the end of its window in Unix seconds, or
    when it was seen where there is no window.
    """

    key: str
    address: str
    pipeline: str | None
    at: float
    recorded: str
    seen: float
    body: str


def row_of(each: Observation) -> Row:
    """The row that stands for an observation."""
    address = str(each.address)
    pipeline = None if each.pipeline is None else column(each.pipeline)
    at = next((float(time) for time in (each.ends, each.starts) if time is not None), each.seen)
    key = hashlib.sha256(json.dumps(each.measurement).encode()).hexdigest()
    body = json.dumps({**{name: getattr(each, name) for name in _FIELDS}, "address": address}, sort_keys=True)
    return Row(key, column(address), pipeline, at, column(each.recorded), each.seen, body)


def rows_of(observations: Iterable[Observation]) -> list[Row]:
    """One row for each measurement: of several observations of one measurement the last."""
    return list({row.key: row for row in map(row_of, observations)}.values())


def observation_of(body: str) -> Observation:
    """The inverse of ``row_of``.  Raises StateUnreadable for anything but an observation."""
    try:
        data: dict[str, Any] = json.loads(body)
        return Observation(
            **{
                **data,
                "address": Address.parse(data["address"]),
                "level": Level(data["level"]),
                "status": EvaluationStatus(data["status"]),
            }
        )
    except (KeyError, TypeError, ValueError) as error:
        raise StateUnreadable(f"the history holds a damaged observation: {error!r}") from error


def column(text: str) -> str:
    """The text as every database can hold and compare it; the body has it as it was."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def carried(each: Observation, former: Address, address: Address, places: frozenset[str]) -> Observation | None:
    """The observation once ``former`` is called ``address``; None when that changes nothing for it.

    It does when the observation is about ``former`` or, where that is a root, about something inside; and when it was
    measured on ``former``, where that is of a kind in ``places``.
    """
    known = each.address
    if known == former:
        return replace(each, address=address)
    if known.vendor != former.vendor or known.root != former.root:
        return None
    if former.is_root:
        return replace(each, address=Address(known.kind, address.path + known.path[1:]))
    if former.kind in places and each.pipeline == former.name:
        return replace(each, pipeline=address.name)
    return None


def shares_root(text: str, address: Address) -> bool:
    """Whether the address in a column ``address`` stands inside the same root of the same vendor."""
    kind, _, path = text.partition("/")
    root = column(str(Address(address.kind, address.path[:1]))).partition("/")[2]
    return kind.partition(".")[0] == address.vendor and path.partition("/")[0] == root
