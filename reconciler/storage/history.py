"""Keep what was measured, one row for each verdict, in a SQLite file beside the state.  Touches: disk.

The file is opened for each call and closed after it, so that runs do not stand in each other's way; SQLite's
write-ahead log lets one run read while another writes.  Reading makes no file and works in a folder that cannot be
written.
"""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from reconciler.errors import StateUnreadable
from reconciler.model.environments import require_environment_name
from reconciler.model.history import HistoryStore, Observation
from reconciler.model.places import DATABASES
from reconciler.model.resource import Address
from reconciler.storage.folder import make_private
from reconciler.storage.observations import HISTORY_FORMAT, Row, carried, column, observation_of, rows_of, shares_root

BUSY_S = 30.0
"""How long to wait for another run that writes."""

SCHEMA = """
create table observations (
    key text primary key,
    address text not null,
    pipeline text,
    at real not null,
    recorded text not null,
    seen real not null,
    body text not null
);
create index observations_by_address on observations (address, pipeline, at desc);
"""
NEWEST = """
select body from (
    select body, at, recorded, seen,
        row_number() over (partition by address, pipeline order by at desc, recorded desc, seen desc, key) as place
    from observations where :all or address in (select value from json_each(:addresses))
) where :limit is null or place <= :limit
order by at desc, recorded desc, seen desc
"""
MOVE_HINT = "move the file away to begin a new history"


def open_history(
    folder: Path,
    environment: str,
    url: str | None = None,
    *,
    environ: Mapping[str, str],
    places: frozenset[str] = frozenset(),
) -> HistoryStore:
    """The history of one environment: where its state is, if ``url`` names a PostgreSQL database, else in ``folder``.

    Touches nothing yet.  ``places`` are the kinds of what things are measured on.  Raises SettingsInvalid for a
    database that cannot be used, and UsageInvalid for a name of an environment that could lead out of the folder.
    """
    if url is not None and url.partition(":")[0] in DATABASES:
        from reconciler.storage.postgres_history import PostgresHistory

        return PostgresHistory(url, environment, environ=environ, places=places)
    require_environment_name(environment)
    return FileHistory(folder / f"{environment}.history.db", places=places)


class FileHistory:
    """A ``HistoryStore`` in one SQLite file.  May be used by several threads and processes at once."""

    def __init__(self, path: Path, *, places: frozenset[str] = frozenset()) -> None:
        self._path = path
        self._places = places

    def record(self, observations: Sequence[Observation]) -> int:
        """See ``HistoryStore.record``.  Makes folder and file, for this user only."""
        rows = rows_of(observations)
        if not rows:
            return 0
        with self._writing() as connection:
            keys = json.dumps([row.key for row in rows])
            counted = "select count(*) from observations where key in (select value from json_each(?))"
            [known] = connection.execute(counted, (keys,)).fetchone()
            _put(connection, rows)
        return len(rows) - int(known)

    def of(self, addresses: Sequence[Address] = (), limit: int | None = None) -> tuple[Observation, ...]:
        """See ``HistoryStore.of``.  Nothing where there is no file yet."""
        texts = json.dumps([column(str(address)) for address in addresses])
        asked = {"all": not addresses, "addresses": texts, "limit": limit}
        with self._reading() as connection:
            bodies = connection.execute(NEWEST, asked).fetchall() if connection else []
        return tuple(observation_of(body) for (body,) in bodies)

    def moved(self, former: Address, address: Address) -> None:
        """See ``HistoryStore.moved``.  What was measured on ``former`` goes along too, where it is a place."""
        if not self._path.exists():
            return
        with self._writing() as connection:
            known = [text for (text,) in connection.execute("select distinct address from observations")]
            near = json.dumps([text for text in known if shares_root(text, former)])
            find = "select key, body from observations where address in (select value from json_each(?)) order by seen"
            found = connection.execute(find, (near,)).fetchall()
            fresh = {key: carried(observation_of(body), former, address, self._places) for key, body in found}
            moving = {key: each for key, each in fresh.items() if each is not None}
            connection.executemany("delete from observations where key = ?", [(key,) for key in moving])
            _put(connection, rows_of(moving.values()))

    @contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        with self._sentences("read"):
            if not self._path.exists():
                yield None
                return
            # In a folder that cannot be written SQLite can make no shared memory for its log; without a writer
            # the file can be read as if nobody ever changed it.
            with closing(self._shared() or self._checked("immutable=1")) as connection:
                yield connection if _version(connection) else None

    def _shared(self) -> sqlite3.Connection | None:
        try:
            return self._checked("mode=ro")
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode & 0xFF in (sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
                return None
            raise

    @contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A connection in a transaction; what was done in it is durable when the block ends well."""
        with self._sentences("written"):
            make_private(self._path.parent)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600))
            with closing(self._checked("mode=rw")) as connection:
                connection.execute("begin immediate")
                if not _version(connection):
                    for statement in SCHEMA.split(";"):
                        connection.execute(statement)
                    connection.execute(f"pragma user_version = {HISTORY_FORMAT}")
                yield connection
                connection.execute("commit")

    def _checked(self, how: str) -> sqlite3.Connection:
        """A connection to a history that this version understands."""
        address = f"file:{quote(str(self._path.absolute()))}?{how}"
        connection = sqlite3.connect(address, uri=True, isolation_level=None, timeout=BUSY_S)
        try:
            found = _version(connection)
            if how == "mode=rw":
                with suppress(sqlite3.OperationalError):  # another run is about to do the same
                    connection.execute("pragma journal_mode = wal")
                connection.execute("pragma synchronous = full")
            if found > HISTORY_FORMAT:
                raise StateUnreadable(
                    f"the history {self._path} has format {found}; this version reads {HISTORY_FORMAT}",
                    hint="use the version of reconciler that wrote it",
                )
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _sentences(self, done: str) -> Iterator[None]:
        """Turn what the system and SQLite raise into one sentence."""
        try:
            yield
        except OSError as error:
            raise StateUnreadable(
                f"the history {self._path} cannot be {done}: {(error.strerror or str(error)).lower()}"
            ) from error
        except sqlite3.Error as error:
            raise StateUnreadable(f"the history {self._path} cannot be {done}: {error}", hint=MOVE_HINT) from error


def _put(connection: sqlite3.Connection, rows: Sequence[Row]) -> None:
    connection.executemany("insert or replace into observations values (?, ?, ?, ?, ?, ?, ?)", rows)


def _version(connection: sqlite3.Connection) -> int:
    [version] = connection.execute("pragma user_version").fetchone()
    return int(version)
