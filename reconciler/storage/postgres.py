"""Keep the memory of environments in a PostgreSQL database.  Touches: the network, the clock, chance (ids).

====================  ===========================================================================================
``states``            one row an environment: who holds the lock, its *epoch*, and how far the state goes
``snapshots``         the last ten snapshots, as in the file backend
``journal``           one row a record of what came after the newest snapshot
====================  ===========================================================================================

Who may write.  The lock is an advisory lock of the session that holds it, so the server frees it when the connection
ends, however that ends.  Its key is made of environment and epoch, and every new holder takes the next epoch.  Breaking
a lock is to raise the epoch: the old holder keeps an advisory lock that nobody asks for any more.

How a second writer cannot hurt.  Every append and every commit is one statement, and so one transaction.  It changes
the row of the environment first, and only while epoch, lineage, serial and the tip of the journal are those we know.

How a lost answer cannot hurt.  Each write puts an id of its own in the row.  After a lost connection we make another
and look: the row is locked meanwhile, so a write that is still under way has ended by then.  If nobody else took the
lock, we take the next epoch, which also shuts out whatever of ours still lingers in the network; the id in the row
tells whether the write was done.
"""

from __future__ import annotations

import hashlib
import json
import secrets
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, LiteralString, NamedTuple

from msgspec import Struct
from msgspec.structs import asdict, replace

from reconciler.errors import ReconcilerError, StateUnreadable
from reconciler.model.environments import require_environment_name
from reconciler.model.provider import Holder
from reconciler.model.state import Record, State, fold
from reconciler.storage.encoding import (
    SIZE_CAP,
    Position,
    Snapshot,
    empty_tip,
    header_line,
    parse_journal,
    parse_snapshot,
    record_lines,
    snapshot_bytes,
)
from reconciler.storage.holders import lock_held, new_holder, told_holder
from reconciler.storage.postgres_server import Connection, PostgresError, Server
from reconciler.storage.refusals import lock_broken, moved_on, named, require_held

LEASE = "until its connection ends"
KEPT = 10
"""How many snapshots stay in the table."""

SENDS = 5
"""How often one write is sent, should the connection be lost each time before it is done."""

PATIENCE_S = 30.0
"""How long to try for another connection before giving up on a write whose answer was lost."""

OURS: LiteralString = """
    environment = %(environment)s and epoch = %(epoch)s and lock_id = %(lock)s and pg_backend_pid() = %(session)s
    and lineage = %(lineage)s and serial = %(serial)s and tip = %(tip)s
"""
# Put together from the constants above alone; every value goes as a parameter.
APPEND: LiteralString = f"""
with head as (
    update reconciler.states set tip = %(new_tip)s, write = %(write)s where {OURS} returning environment
)
insert into reconciler.journal (environment, line)
select head.environment, added.line
from head, unnest(%(lines)s::bytea[]) with ordinality as added (line, place) order by added.place
"""  # noqa: S608
COMMIT: LiteralString = f"""
with head as (
    update reconciler.states
    set lineage = %(new_lineage)s, serial = %(new_serial)s, tip = %(new_tip)s, write = %(write)s
    where {OURS} returning environment
), emptied as (
    delete from reconciler.journal using head where journal.environment = head.environment
), outdated as (
    delete from reconciler.snapshots using head
    where snapshots.environment = head.environment and snapshots.serial <= %(outdated)s
)
insert into reconciler.snapshots (environment, lineage, serial, content)
select environment, %(new_lineage)s, %(new_serial)s, %(content)s from head
"""  # noqa: S608
ROW: LiteralString = """
select epoch, lock_id, holder, lineage, serial, tip, write from reconciler.states where environment = %s
"""
IS_HELD: LiteralString = """
select exists (
    select from pg_locks where locktype = 'advisory' and granted and objsubid = 1 and classid = %s and objid = %s
    and database = (select oid from pg_database where datname = current_database())
)
"""
TAKE: LiteralString = """
update reconciler.states set epoch = %s, lock_id = %s, holder = %s where environment = %s and pg_try_advisory_lock(%s)
"""
BREAK: LiteralString = """
update reconciler.states set epoch = epoch + 1, lock_id = '', holder = '' where environment = %s
"""
RELEASE: LiteralString = """
with gone as (
    update reconciler.states set lock_id = '', holder = '' where environment = %s and lock_id = %s
)
select pg_advisory_unlock_all()
"""


class Row(NamedTuple):
    """What ``states`` says of an environment."""

    epoch: int
    lock_id: str
    holder: str
    lineage: str
    serial: int
    tip: str
    write: str

    @property
    def position(self) -> Position:
        """How far the state goes."""
        return Position(self.lineage, self.serial, self.tip)


class Held(Struct, frozen=True):
    """A lock of ours: the session that has it, and under which epoch."""

    holder: Holder
    connection: Connection
    epoch: int


class PostgresStore:
    """A ``StateStore`` in a database.  For one thread at a time.

    ``url`` is ``postgresql://host/database``; ``environ`` the process environment with PG* variables; ``now`` gives an
    aware datetime, for showing only; ``job`` is the CI job's URL.  The tables are made on the first lock.  Raises
    SettingsInvalid as ``Server`` does, and UsageInvalid for a name that an environment cannot have.
    """

    def __init__(
        self, url: str, environment: str, *, environ: Mapping[str, str], now: Callable[[], datetime], job: str = ""
    ) -> None:
        require_environment_name(environment)
        self._server = Server(url, environ)
        self._environment = environment
        self._now = now
        self._job = job
        self._seen: Position | None = None
        self._held: Held | None = None
        self._failed = False

    def describe(self) -> str:
        """The database and the environment."""
        return f"{self._server.name} ({self._environment})"

    def load(self) -> State:
        """See ``StateStore.load``.  Later writes are refused if the database has moved on from what this shows."""
        with self._server.connected("read") as connection:
            row, snapshot, journal = self._content(connection)
        state = self._understood(row, snapshot, journal)
        self._seen = row.position
        return state

    @contextmanager
    def lock(self, operation: str) -> Iterator[Holder]:
        """See ``StateStore.lock``.  Raises StateUnreadable when the database cannot be written."""
        if self._held is not None:
            raise lock_held(self._held.holder)
        holder = new_holder(operation, now=self._now, job=self._job, lease=LEASE)
        with self._server.sentences("locked"):
            self._held = self._taken(holder)
        self._failed = False
        try:
            yield holder
        finally:
            self._release()

    def append(self, records: Sequence[Record]) -> None:
        """See ``StateStore.append``.

        Raises StateUnreadable without the lock, when it was broken, and when the database cannot be written; after a
        failed write every further append under this lock fails too.  Raises StalePlan when another run wrote since
        ``load``.
        """
        self._require_lock()
        if self._failed:
            raise StateUnreadable(f"{self.describe()}: an earlier write failed, so nothing more is added")
        if not records:
            self._require_row()
            return
        position = self._seen or self._position()
        lines, tip = record_lines(position.tip, records)
        self._write(APPEND, position, {"new_tip": tip, "lines": lines.splitlines(keepends=True)})
        self._seen = replace(position, tip=tip)

    def commit(self, state: State) -> State:
        """See ``StateStore.commit``.  A state without lineage gets one.

        Raises StalePlan when the database holds another version than the one that ``state`` was made from.
        """
        self._require_lock()
        # After a failed append there may be lines that were never acknowledged; a commit replaces them.
        position = self._position() if self._failed or self._seen is None else self._seen
        if (position.lineage, position.serial) != (state.lineage, state.serial):
            raise moved_on(self.describe(), self._position(), state)
        written = replace(state, lineage=state.lineage or uuid.uuid4().hex, serial=state.serial + 1)
        content = snapshot_bytes(written, position.tip)
        if len(content) > SIZE_CAP:
            raise StateUnreadable(f"{len(content):,} bytes are more than the {SIZE_CAP:,} a state may have")
        fresh = Position.after(written)
        values = {
            "new_lineage": fresh.lineage,
            "new_serial": fresh.serial,
            "new_tip": fresh.tip,
            "outdated": fresh.serial - KEPT,
            "content": content,
        }
        self._write(COMMIT, position, values)
        self._seen = fresh
        return written

    def holder(self) -> Holder | None:
        """See ``StateStore.holder``."""
        with self._server.connected("read") as connection:
            row = self._row(connection) if self._server.is_ready(connection) else None
            return self._holding(connection, row) if row else None

    def unlock(self, lock_id: str) -> None:
        """See ``StateStore.unlock``.  The old holder's next write fails, whoever holds the lock then."""
        with self._server.connected("unlocked") as connection, connection.transaction():
            row = self._row(connection, to_change=True) if self._server.is_ready(connection) else None
            holder = self._holding(connection, row) if row else None
            require_held(holder, lock_id, self.describe())
            connection.execute(BREAK, (self._environment,))

    # ------------------------------------------------------------------------------------------ reading

    def _content(self, connection: Connection) -> tuple[Row, bytes | None, bytes]:
        """The row, its snapshot and the journal's lines, as they were at one moment."""
        nothing = Row(0, "", "", "", 0, empty_tip("", 0), "")
        if not self._server.is_ready(connection):
            return nothing, None, b""
        with connection.transaction():
            connection.execute("set transaction isolation level repeatable read, read only")
            row = self._row(connection)
            if row is None:
                return nothing, None, b""
            found = connection.execute(
                "select content from reconciler.snapshots where environment = %s and lineage = %s and serial = %s",
                (self._environment, row.lineage, row.serial),
                binary=True,
            ).fetchone()
            lines = connection.execute(
                "select line from reconciler.journal where environment = %s order by place",
                (self._environment,),
                binary=True,
            ).fetchall()
        return row, found[0] if found else None, b"".join(line for (line,) in lines)

    def _understood(self, row: Row, content: bytes | None, journal: bytes) -> State:
        hint = "the tables in the schema reconciler were changed by hand, or restored in part: restore all of them"
        with named(self.describe(), hint):
            if content is None and row.lineage:
                raise StateUnreadable(f"the snapshot with serial {row.serial} is missing")
            snapshot = parse_snapshot(content) if content is not None else Snapshot(State())
            lines = parse_journal(header_line(row.lineage, row.serial, "") + journal)
            if lines.tip != row.tip:
                raise StateUnreadable("the journal has lost its end")
            return fold(snapshot.state, lines.records)

    def _row(self, connection: Connection, *, to_change: bool = False) -> Row | None:
        """The environment's row; ``to_change`` keeps others from changing it until the transaction ends."""
        query: LiteralString = f"{ROW} for update" if to_change else ROW
        found = connection.execute(query, (self._environment,)).fetchone()
        return Row(*found) if found else None

    def _position(self) -> Position:
        with self._server.connected("read") as connection:
            row = self._row(connection)
        return row.position if row else Position.after(State())

    # ------------------------------------------------------------------------------------------ the lock

    def _taken(self, holder: Holder) -> Held:
        """The lock in the name of ``holder``, with a session of its own.  Raises LockHeld, PostgresError."""
        connection = self._server.connect()
        try:
            self._server.make_ready(connection)
            with connection.transaction():
                connection.execute(
                    "insert into reconciler.states (environment, tip) values (%s, %s) on conflict do nothing",
                    (self._environment, empty_tip("", 0)),
                )
                row = self._row(connection, to_change=True)
                assert row is not None
                other = self._holding(connection, row)
                if other is not None and other.lock_id != holder.lock_id:
                    raise lock_held(other)
                epoch = row.epoch + 1
                self._begin(connection, epoch, holder)
        except BaseException:
            connection.close()
            raise
        return Held(holder, connection, epoch)

    def _holding(self, connection: Connection, row: Row) -> Holder | None:
        """Who holds the lock.  The row alone does not count: its session may have ended."""
        if not row.lock_id:
            return None
        return told_holder(row.holder) if self._is_held(connection, row.epoch) else None

    def _is_held(self, connection: Connection, epoch: int) -> bool:
        key = self._key(epoch) % 2**64
        found = connection.execute(IS_HELD, (key >> 32, key % 2**32)).fetchone()
        return bool(found and found[0])

    def _begin(self, connection: Connection, epoch: int, holder: Holder) -> None:
        """Begin the epoch of a holder whose session this is."""
        told = json.dumps(asdict(holder))
        taken = connection.execute(TAKE, (epoch, holder.lock_id, told, self._environment, self._key(epoch)))
        if taken.rowcount != 1 or not self._is_held(connection, epoch):
            raise StateUnreadable(
                f"{self._server.name} does not keep advisory locks as PostgreSQL does, so that it cannot hold a lock",
                hint="use a PostgreSQL server, without a pool in transaction mode before it",
            )

    def _key(self, epoch: int) -> int:
        """The advisory lock of an epoch: 64 bits with a sign."""
        name = f"reconciler\n{self._environment}\n{epoch}".encode()
        return int.from_bytes(hashlib.sha256(name).digest()[:8], signed=True)

    def _release(self) -> None:
        """Give the lock back.  When that fails the server does it, as the connection ends."""
        held, self._held = self._held, None
        if held is None:
            return
        with suppress(PostgresError):
            held.connection.execute(RELEASE, (self._environment, held.holder.lock_id))
        held.connection.close()

    def _require_lock(self) -> Held:
        if self._held is None:
            raise StateUnreadable(f"{self.describe()} cannot be written without the lock")
        return self._held

    # ------------------------------------------------------------------------------------------ writing

    def _write(self, statement: LiteralString, position: Position, values: Mapping[str, Any]) -> None:
        """Change row, snapshots and journal at once, if the row stands at ``position``; durable when this returns."""
        failed_before, self._failed = self._failed, True
        write = secrets.token_hex(8)
        for _ in range(SENDS):
            held = self._require_lock()
            try:
                changed = held.connection.execute(statement, {**values, **self._ours(held, position), "write": write})
            except PostgresError as error:
                if not held.connection.closed:
                    raise self._server.sentence("written", error) from None
                if self._taken_up_again(error) != write:
                    continue
            else:
                if not changed.rowcount:
                    self._failed = failed_before
                    raise self._refused(held, position)
            self._failed = False
            return
        raise StateUnreadable(
            f"{self.describe()} cannot be written: the connection was lost at each of {SENDS} tries",
            hint="look into the server's log: it may end the session because of this very write",
        )

    def _require_row(self) -> None:
        """Raise StateUnreadable when the lock was broken; a session that was lost is taken up again."""
        held = self._require_lock()
        try:
            row = self._row(held.connection)
        except PostgresError as error:
            if not held.connection.closed:
                raise self._server.sentence("read", error) from None
            self._taken_up_again(error)
            return
        if row is None or row.lock_id != held.holder.lock_id:
            raise self._broken(held)

    def _ours(self, held: Held, position: Position) -> dict[str, Any]:
        return {
            "environment": self._environment,
            "epoch": held.epoch,
            "lock": held.holder.lock_id,
            "session": held.connection.info.backend_pid,
            "lineage": position.lineage,
            "serial": position.serial,
            "tip": position.tip,
        }

    def _taken_up_again(self, lost: PostgresError) -> str:
        """Hold the lock in a new session after the connection was lost; the id of the last write that was done.

        Raises StateUnreadable when the lock is somebody else's by now, or when there is no connection to be had.
        """
        deadline, pause = time.monotonic() + PATIENCE_S, 0.1
        while True:
            try:
                return self._reconnected()
            except PostgresError as error:
                if time.monotonic() > deadline:
                    raise StateUnreadable(
                        f"the connection to {self.describe()} was lost during a write, and there is no other: "
                        f"{self._server.reason(error)}",
                        hint="run again when the server can be reached: what was written is looked up then",
                    ) from lost
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def _reconnected(self) -> str:
        """The same, tried once.  Raises PostgresError."""
        held = self._require_lock()
        connection = self._server.connect()
        try:
            with connection.transaction():
                row = self._row(connection, to_change=True)
                if row is None or row.lock_id != held.holder.lock_id:
                    raise self._broken(held)
                self._begin(connection, row.epoch + 1, held.holder)
        except BaseException:
            connection.close()
            raise
        held.connection.close()
        self._held = Held(held.holder, connection, row.epoch + 1)
        return row.write

    def _refused(self, held: Held, position: Position) -> ReconcilerError:
        """Why a write changed nothing."""
        with self._server.connected("read") as connection:
            row = self._row(connection)
        if row is None or row.lock_id != held.holder.lock_id:
            return self._broken(held)
        if row.position == position:
            return StateUnreadable(
                f"{self._server.name} does not keep one session for us, so that it cannot hold a lock",
                hint="a pool such as PgBouncer must be in session mode; or give the address of the server itself",
            )
        return moved_on(self.describe(), row.position, position)

    def _broken(self, held: Held) -> StateUnreadable:
        or_else = ", or its connection was lost and another run took it"
        return lock_broken(held.holder.lock_id, self.describe(), or_else=or_else)
