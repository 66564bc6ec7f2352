"""Open one SQLite file (or memory) and give out transactions.  Touches: disk.

One connection serves every request: SQLite takes microseconds where a request takes a millisecond, so requests stand
in line for it instead of sharing a pool.  A file survives restarts and kills; several processes may open it.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PATIENCE_S = 30.0


class Database:
    """A connection and the lock in front of it.  Raises sqlite3.Error if the file can not be opened."""

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
