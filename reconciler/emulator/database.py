"""Open one SQLite file (or memory), give out transactions, and read JSON documents from its tables.  Touches: disk.

One connection serves every request: SQLite takes microseconds where a request takes a millisecond, so requests stand
in line for it instead of sharing a pool.  A file survives restarts and kills; several processes may open it.
"""

from __future__ import annotations

import json
import sqlite3
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import msgspec.json

Document = dict[str, Any]
Page = tuple[list[Document], int]

_PATIENCE_S = 30.0
_ENCODER = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))


class Encoded(str):
    """JSON as text: a document that is shown as it is stored needs no parsing to be shown."""

    __slots__ = ()


def encoded(value: object) -> Encoded:
    """A value as JSON.  Raises ValueError for what JSON has no word for."""
    return Encoded(_ENCODER.encode(value))


def encoded_again(document: Document) -> Encoded:
    """A document that holds only what has come in as JSON: as ``encoded``, in a tenth of the time."""
    return Encoded(msgspec.json.encode(document).decode())


class Database:
    """A connection and the lock in front of it.  Raises sqlite3.Error if the file cannot be opened."""

    def __init__(self, file: str | Path = ":memory:") -> None:
        if str(file) != ":memory:":
            Path(file).parent.mkdir(parents=True, exist_ok=True)
        self.connection = sqlite3.connect(
            str(file), timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False, cached_statements=256
        )
        self._lock = threading.Lock()
        self._closing = weakref.finalize(self, self.connection.close)
        # WAL with NORMAL survives the death of this process; only a power cut can lose the last commits.
        for pragma in ("journal_mode = WAL", "synchronous = NORMAL", "foreign_keys = ON"):
            self.connection.execute(f"PRAGMA {pragma}")

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All of it or, when the block raises, nothing of it."""
        with self._lock:
            self.connection.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.connection.execute("ROLLBACK")
                raise
            self.connection.execute("COMMIT")

    def close(self) -> None:
        """Close the file.  Closing twice is fine."""
        self._closing()


def conditions(where: Mapping[str, object]) -> tuple[str, tuple[object, ...]]:
    """SQL and its values from {condition with one "?": value}; a value of None is no condition.

    Conditions are written in this package, never taken from a request; only values are.
    """
    held = {condition: value for condition, value in where.items() if value is not None}
    return " AND ".join(held) or "TRUE", tuple(held.values())


def _document(text: str) -> Document:
    with suppress(ValueError):  # some hold what is no number, which only Python reads
        return msgspec.json.decode(text, type=Document)
    document: Document = json.loads(text)
    return document


class DocumentStore:
    """Tables whose rows are JSON documents in a column ``doc``.  All questions are asked inside a transaction."""

    def __init__(self, database: Database, schema: str) -> None:
        self.database = database
        self._sql = database.connection
        self._sql.executescript(schema)

    def _documents(self, sql: str, values: Sequence[object] = ()) -> list[Document]:
        return [_document(doc) for (doc,) in self._sql.execute(sql, values)]

    def _one(self, sql: str, values: Sequence[object]) -> Document | None:
        return next(iter(self._documents(sql, values)), None)

    def _count(self, sql: str, values: Sequence[object]) -> int:
        return int(self._sql.execute(sql, values).fetchone()[0])

    def _page(self, table: str, where: Mapping[str, object], order: str, limit: int, offset: int) -> Page:
        """Documents of a table under every condition whose value is not None, and how many there are in all."""
        found, total = self._page_as_stored(table, where, order, limit, offset)
        return [_document(doc) for doc in found], total

    def _page_as_stored(
        self, table: str, where: Mapping[str, object], order: str, limit: int, offset: int
    ) -> tuple[list[str], int]:
        """The same, as text."""
        held, values = conditions(where)
        rest = f"FROM {table} WHERE {held}"
        total = self._count(f"SELECT count(*) {rest}", values)
        found = self._sql.execute(f"SELECT doc {rest} ORDER BY {order} LIMIT ? OFFSET ?", (*values, limit, offset))
        return [doc for (doc,) in found], total
