"""The PostgreSQL backend: killed holders, fenced holders, lost answers, damage, and pools that cannot be used."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import psycopg
import pytest

from reconciler.errors import LockHeld, StalePlan, StateUnreadable, UsageInvalid
from reconciler.model.resource import Address
from reconciler.model.state import Entry, Intent, Record, State
from reconciler.storage import postgres as under_test
from reconciler.storage.postgres import PostgresStore

ROOT = Path(__file__).resolve().parents[2]
BOT = Address("openlayer.Project", ("bot",))
INTENT: Record = {"record": "intent", "address": "openlayer.Project/bot", "op": "0a"}
DONE: Record = {"record": "done", "address": "openlayer.Project/bot", "entry": {"remote_id": "p1"}}

OpenPostgres = Callable[..., PostgresStore]


def task(key: str) -> Record:
    return {"record": "task", "key": key, "task": {}}


def keys(store: PostgresStore) -> set[str]:
    return set(store.load().tasks)


# ------------------------------------------------------------------------------------------ the tables


def test_looking_leaves_no_trace(postgres: Any, open_postgres: OpenPostgres) -> None:
    store = open_postgres()
    assert (store.load(), store.holder()) == (State(), None)
    with pytest.raises(UsageInvalid, match="no lock abc is held"):
        store.unlock("abc")
    assert postgres.run("select to_regnamespace('reconciler')") == [(None,)]


def test_many_runs_may_make_the_tables_at_once(open_postgres: OpenPostgres) -> None:
    def first_run(number: int) -> int:
        store = open_postgres(f"e{number}")
        with store.lock("apply"):
            return store.commit(State()).serial

    with ThreadPoolExecutor(8) as runs:
        assert list(runs.map(first_run, range(8))) == [1] * 8


def test_an_append_adds_rows_and_a_commit_removes_them(postgres: Any, open_postgres: OpenPostgres) -> None:
    """The journal is not rewritten with every append."""
    store = open_postgres()
    with store.lock("apply"):
        store.append([INTENT, DONE])
        first = postgres.run("select place, line from reconciler.journal order by place")
        store.append([task("a")])
        assert postgres.run("select place, line from reconciler.journal order by place")[:2] == first
        store.commit(store.load())
    assert postgres.run("select count(*) from reconciler.journal") == [(0,)]


def test_the_last_ten_snapshots_are_kept(postgres: Any, open_postgres: OpenPostgres) -> None:
    store = open_postgres()
    with store.lock("apply"):
        state = State()
        for _ in range(12):
            state = store.commit(state)
    assert postgres.run("select min(serial), max(serial), count(*) from reconciler.snapshots") == [(3, 12, 10)]


def test_tables_of_a_newer_version_are_called_newer(postgres: Any, open_postgres: OpenPostgres) -> None:
    with open_postgres().lock("apply"):
        pass
    postgres.run("insert into reconciler.format values (2)")
    with pytest.raises(StateUnreadable, match="format 2; this version reads 1"):
        open_postgres().load()
    with pytest.raises(StateUnreadable, match="format 2; this version reads 1"), open_postgres().lock("apply"):
        pass


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        ("delete from reconciler.journal where place = (select max(place) from reconciler.journal)", "lost its end"),
        ("delete from reconciler.journal where place = (select min(place) from reconciler.journal)", "line 2: damaged"),
        ("update reconciler.journal set line = overlay(line placing 'X'::bytea from 9)", "line 2: damaged"),
        ("delete from reconciler.journal", "lost its end"),
        ("delete from reconciler.snapshots", "snapshot with serial 1 is missing"),
        (
            "update reconciler.snapshots set content = overlay(content placing 'X'::bytea from 40)",
            "checksum does not fit",
        ),
        ("update reconciler.states set serial = 2", "snapshot with serial 2 is missing"),
    ],
)
def test_damage_is_noticed_and_named(postgres: Any, open_postgres: OpenPostgres, damage: str, told: str) -> None:
    store = open_postgres()
    with store.lock("apply"):
        store.commit(State())
        store.append([INTENT, DONE])
    postgres.run(damage)
    with pytest.raises(StateUnreadable, match=rf"^postgresql://127\.0\.0\.1:\d+/states \(production\): .*{told}"):
        open_postgres().load()


# ------------------------------------------------------------------------------------------ processes


PRELUDE = """
import os, signal, sys
from datetime import UTC, datetime
from reconciler.errors import ReconcilerError
from reconciler.model.state import State
from reconciler.storage.postgres import PostgresStore
store = PostgresStore(sys.argv[1], "production", environ=os.environ, now=lambda: datetime.now(UTC), job="https://ci/7")
def tell(text): print(text, flush=True)
def task(key): return {"record": "task", "key": str(key), "task": {}}
"""


@pytest.fixture
def in_process(postgres: Any) -> Callable[..., Any]:
    """Runs Python lines in another process, where ``store`` is a store on the same database and ``tell`` prints."""

    @contextmanager
    def run(lines: str, *, url: str = postgres.url) -> Iterator[subprocess.Popen[str]]:
        with subprocess.Popen(
            [sys.executable, "-c", PRELUDE + lines, url], cwd=ROOT, env=postgres.environ, text=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        ) as process:  # fmt: skip
            try:
                yield process
            finally:
                process.kill()

    return run


def test_kill_9_frees_the_lock_and_loses_nothing(in_process: Any, open_postgres: OpenPostgres) -> None:
    store = open_postgres()
    writer = """
with store.lock("apply") as holder:
    tell(holder.lock_id)
    number = 0
    while True:
        store.append([task(number)])
        tell(number)
        number += 1
"""
    with in_process(writer) as process:
        lock_id = process.stdout.readline().strip()
        with pytest.raises(LockHeld) as caught, store.lock("apply"):
            pass
        for _ in range(5):
            process.stdout.readline()
        process.kill()
        process.wait()
        acknowledged = 4 + len(process.stdout.read().splitlines())
    assert lock_id in caught.value.message
    assert str(process.pid) in caught.value.message
    assert "It is held until its connection ends" in caught.value.hint
    assert caught.value.hint.endswith(f"reconciler state unlock {lock_id}")
    holder = _eventually_free(store)
    assert holder != lock_id
    assert acknowledged <= max(map(int, keys(store))) <= acknowledged + 1


def _eventually_free(store: PostgresStore) -> str:
    """The id of a lock that is taken as soon as the server has seen that the old holder's connection is gone."""
    for _ in range(500):
        with suppress(LockHeld), store.lock("apply") as holder:
            assert store.holder() == holder
            return holder.lock_id
    raise AssertionError("the lock is not freed")


def test_a_broken_lock_fences_a_process_that_is_still_alive(in_process: Any, open_postgres: OpenPostgres) -> None:
    frozen = """
with store.lock("apply") as holder:
    store.append([task("before")])
    tell(holder.lock_id)
    sys.stdin.readline()
    for write in (lambda: store.append([task("after")]), lambda: store.commit(store.load())):
        try:
            write()
        except ReconcilerError as error:
            tell(f"{type(error).__name__} {'was broken' in error.message}")
"""
    store = open_postgres()
    with in_process(frozen) as process:
        store.unlock(process.stdout.readline().strip())
        with store.lock("apply"):
            out, err = process.communicate("go on\n")
            store.append([task("successor")])
    assert (out, err) == ("StateUnreadable True\nStateUnreadable True\n", "")
    assert keys(open_postgres()) == {"before", "successor"}


def test_every_holder_and_every_breaking_begins_another_epoch(postgres: Any, open_postgres: OpenPostgres) -> None:
    def epoch() -> int:
        [(found,)] = postgres.run("select epoch from reconciler.states")
        return int(found)

    with open_postgres().lock("apply") as holder:
        first = epoch()
        open_postgres().unlock(holder.lock_id)
        assert epoch() == first + 1
    with open_postgres().lock("apply"):
        assert epoch() == first + 2


def test_of_many_processes_one_at_a_time_holds_the_lock(in_process: Any, open_postgres: OpenPostgres) -> None:
    """Each adds one to a number, with nothing but the lock between reading and writing it."""
    adder = """
from reconciler.errors import LockHeld
added = 0
while added < 3:
    try:
        with store.lock("apply"):
            n = store.load().tasks.get("n", {}).get("is", 0)
            store.append([{"record": "task", "key": "n", "task": {"is": n + 1}}])
            added += 1
    except LockHeld as error:
        assert "pid" in error.message
"""
    with in_process(adder) as one, in_process(adder) as two, in_process(adder) as three:
        for process in (one, two, three):
            assert process.communicate() == ("", "")
    assert open_postgres().load().tasks == {"n": {"is": 9}}


def test_of_sixteen_contenders_exactly_one_gets_the_lock(open_postgres: OpenPostgres) -> None:
    with open_postgres().lock("apply"):
        pass
    together, over = threading.Barrier(16), threading.Barrier(16)

    def contend(_: int) -> str:
        store = open_postgres()
        together.wait()
        try:
            with store.lock("apply") as holder:
                over.wait()
                return holder.lock_id
        except LockHeld as error:
            over.wait()
            return error.hint.rpartition(" ")[2]

    with ThreadPoolExecutor(16) as contenders:
        told = list(contenders.map(contend, range(16)))
    assert len(set(told)) == 1, "all name the one who has it"
    assert open_postgres().holder() is None


# ------------------------------------------------------------------------------------------ lost answers


class Wire:
    """Passes bytes on to the server, until a message of ours that holds ``cut_at``, or is the one with the number
    ``cut_message``, has gone through.

    With ``deliver`` the server gets that message and its answer is lost; else the message is lost.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self.port = self._listening.getsockname()[1]
        self.cut_at = b""
        self.messages = self.cut_message = 0
        self.deliver = True
        self.cuts = 0
        self.refuse = False
        self.meanwhile: Callable[[], object] = lambda: None
        self._open: list[socket.socket] = []
        self._lost: dict[socket.socket, threading.Event] = {}
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        with suppress(OSError):
            while True:
                client, _ = self._listening.accept()
                if self.refuse:
                    client.close()
                    continue
                server = socket.create_connection(("127.0.0.1", self._target))
                self._open += [client, server]
                threading.Thread(target=self._pass, args=(client, server), daemon=True).start()
                threading.Thread(target=self._back, args=(server, client), daemon=True).start()

    def _pass(self, client: socket.socket, server: socket.socket) -> None:
        with suppress(OSError):
            while data := client.recv(1 << 20):
                self.messages += 1
                if (self.cut_at and self.cut_at in data) or self.messages == self.cut_message:
                    self.cut_at, self.cut_message = b"", 0
                    self.cuts += 1
                    if self.deliver:
                        lost = self._lost[server] = threading.Event()
                        server.sendall(data)
                        assert lost.wait(10)
                    work, self.meanwhile = self.meanwhile, lambda: None
                    work()
                    break
                server.sendall(data)
        _close(server, client)

    def _back(self, server: socket.socket, client: socket.socket) -> None:
        with suppress(OSError):
            while data := server.recv(1 << 20):
                if server in self._lost:
                    self._lost[server].set()  # so it was done
                else:
                    client.sendall(data)
        if server in self._lost:
            self._lost[server].set()  # a farewell has no answer
        _close(server, client)

    def close(self) -> None:
        _close(self._listening, *self._open)


def _close(*sockets: socket.socket) -> None:
    for each in sockets:
        with suppress(OSError):
            each.shutdown(socket.SHUT_RDWR)
        each.close()


@pytest.fixture
def wire(postgres: Any) -> Iterator[Wire]:
    made = Wire(postgres.port)
    yield made
    made.close()


@pytest.fixture
def wired(postgres: Any, wire: Wire) -> PostgresStore:
    """A store whose connections go over the wire."""
    url = postgres.url.replace(str(postgres.port), str(wire.port))
    return PostgresStore(url, "production", environ=postgres.environ, now=lambda: datetime.now(UTC))


APPENDING, COMMITTING = b"reconciler.journal (environment", b"reconciler.snapshots (environment"


@pytest.mark.parametrize("deliver", [True, False])
def test_an_append_whose_answer_is_lost_is_there_once(
    deliver: bool, wire: Wire, wired: PostgresStore, open_postgres: OpenPostgres
) -> None:
    """The run goes on under the same lock id, over another connection; nobody else could have the lock meanwhile."""
    with wired.lock("apply") as holder:
        wired.append([task("a")])
        wire.cut_at, wire.deliver = APPENDING, deliver
        wired.append([task("b")])
        assert open_postgres().holder() == holder
        with pytest.raises(LockHeld), open_postgres().lock("apply"):
            pass
        wired.append([task("c")])
        wired.commit(wired.load())
    assert (wire.cuts, keys(open_postgres()), open_postgres().holder()) == (1, {"a", "b", "c"}, None)


@pytest.mark.parametrize("deliver", [True, False])
def test_a_commit_whose_answer_is_lost_counts_one_serial(
    deliver: bool, wire: Wire, wired: PostgresStore, open_postgres: OpenPostgres
) -> None:
    with wired.lock("apply"):
        wired.append([DONE])
        wire.cut_at, wire.deliver = COMMITTING, deliver
        written = wired.commit(wired.load())
        assert written.serial == 1
        wired.append([task("a")])
    assert (wire.cuts, open_postgres().load().entries) == (1, {BOT: Entry("p1")})
    assert open_postgres().load().serial == 1


def test_a_lost_answer_of_the_look_is_looked_up_again(
    wire: Wire, wired: PostgresStore, open_postgres: OpenPostgres
) -> None:
    """The second connection dies as well, after it had taken the next epoch."""
    with wired.lock("apply"):
        wired.append([task("a")])
        wire.meanwhile = lambda: setattr(wire, "cut_at", b"COMMIT")
        wire.cut_at = APPENDING
        wired.append([task("b")])
        wired.append([task("c")])
    assert (wire.cuts, keys(open_postgres())) == (2, {"a", "b", "c"})


def test_a_write_that_ends_the_connection_every_time_is_given_up(
    wire: Wire, wired: PostgresStore, open_postgres: OpenPostgres
) -> None:
    def again() -> None:
        wire.cut_at, wire.meanwhile = APPENDING, again

    with wired.lock("apply"):
        wired.append([task("a")])
        wire.deliver = False
        again()
        with pytest.raises(StateUnreadable, match="lost at each of 5 tries"):
            wired.append([task("b")])
        with pytest.raises(StateUnreadable, match="earlier write failed"):
            wired.append([task("c")])
    assert (wire.cuts, keys(open_postgres())) == (5, {"a"})


def whole_run(store: PostgresStore, durable: set[str]) -> None:
    """Lock, write in every way there is, and unlock; notes what is durable."""
    with store.lock("apply"):
        store.load()
        store.append([task("a")])
        durable.add("a")
        store.append([task("b"), task("c")])
        durable |= {"b", "c"}
        store.commit(store.load())
        store.append([task("d")])
        durable.add("d")
        store.commit(store.load())


@pytest.mark.parametrize(
    ("deliver", "first", "step"),
    [(True, 1, 4), (False, 3, 4), pytest.param(True, 1, 1, marks=pytest.mark.simulation),
     pytest.param(False, 1, 1, marks=pytest.mark.simulation)],
)  # fmt: skip
def test_no_message_that_is_lost_does_harm(
    deliver: bool, first: int, step: int, wire: Wire, postgres: Any, open_postgres: OpenPostgres
) -> None:
    """Whichever it is: what was acknowledged is there once, and the next run takes the lock and goes on."""
    url = postgres.url.replace(str(postgres.port), str(wire.port))
    for number in count(first, step):
        environment = f"e{number}"
        store = PostgresStore(url, environment, environ=postgres.environ, now=lambda: datetime.now(UTC))
        wire.messages, wire.cut_message, wire.deliver, wire.cuts = 0, number, deliver, 0
        durable: set[str] = set()
        with suppress(StateUnreadable):
            whole_run(store, durable)
        after = open_postgres(environment)
        found = keys(after)
        assert durable <= found <= {"a", "b", "c", "d"}, number
        assert ("b" in found) == ("c" in found), "a batch is one append"
        _eventually_free(after)
        with after.lock("apply"):
            after.append([task("next")])
            written = after.commit(after.load())
        assert written.tasks.keys() == {"next", *found}, number
        if not wire.cuts:
            break
    assert number > 30
    assert durable == {"a", "b", "c", "d"}


def test_another_run_that_took_the_lock_while_the_connection_was_lost_is_not_disturbed(
    wire: Wire, wired: PostgresStore, open_postgres: OpenPostgres
) -> None:
    other = open_postgres()

    def take_over() -> None:
        held = other.holder()
        assert held is not None
        other.unlock(held.lock_id)
        with other.lock("apply"):
            other.append([task("theirs")])

    with wired.lock("apply"):
        wired.append([task("a")])
        wire.cut_at, wire.deliver, wire.meanwhile = APPENDING, False, take_over
        with pytest.raises(StateUnreadable, match="was broken"):
            wired.append([task("b")])
        with pytest.raises(StateUnreadable, match="earlier write failed"):
            wired.append([task("c")])
    assert keys(open_postgres()) == {"a", "theirs"}


def test_a_server_that_does_not_come_back_ends_in_a_sentence(
    wire: Wire, wired: PostgresStore, open_postgres: OpenPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(under_test, "PATIENCE_S", 0.2)
    with wired.lock("apply"):
        wired.append([task("a")])
        wire.refuse, wire.cut_at = True, APPENDING
        with pytest.raises(StateUnreadable, match="was lost during a write, and there is no other") as caught:
            wired.append([task("b")])
        assert "looked up then" in caught.value.hint
    assert keys(open_postgres()) == {"a", "b"}


def test_a_run_that_waited_long_goes_on_after_the_server_dropped_its_connection(
    postgres: Any, open_postgres: OpenPostgres
) -> None:
    store = open_postgres()
    with store.lock("apply"):
        store.append([task("a")])
        postgres.run("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'reconciler'")
        assert keys(store) == {"a"}
        store.append([task("b")])
    assert keys(open_postgres()) == {"a", "b"}


def test_records_of_a_write_that_the_server_refused_are_not_there(postgres: Any, open_postgres: OpenPostgres) -> None:
    """A full disk, a replica, a permission taken away: an error of the server is a certain no."""
    store = open_postgres()
    with store.lock("apply"):
        store.append([task("a")])
        postgres.run("alter table reconciler.journal add constraint full_disk check (false) not valid")
        with pytest.raises(StateUnreadable, match=r"cannot be written: .*full_disk"):
            store.append([task("b")])
        with pytest.raises(StateUnreadable, match="earlier write failed"):
            store.append([task("c")])
    assert keys(open_postgres()) == {"a"}


def test_a_commit_after_a_failed_append_is_made_from_what_is_there(postgres: Any, open_postgres: OpenPostgres) -> None:
    store = open_postgres()
    with store.lock("apply"):
        store.append([INTENT])
        postgres.run("alter table reconciler.journal add constraint full_disk check (false) not valid")
        with pytest.raises(StateUnreadable, match="full_disk"):
            store.append([DONE])
        store.commit(State(in_doubt={BOT: Intent("0a")}))
    assert open_postgres().load().in_doubt == {BOT: Intent("0a")}


# ------------------------------------------------------------------------------------------ sessions


def test_a_pool_that_gives_every_statement_another_session_is_refused(
    postgres: Any, open_postgres: OpenPostgres
) -> None:
    """As PgBouncer does in transaction mode: here the store's session is exchanged behind its back."""
    store = open_postgres()
    with store.lock("apply"):
        held = store._held
        assert held is not None
        with psycopg.connect(postgres.url, user="state_writer", password=postgres.environ["PGPASSWORD"],
                             autocommit=True) as other:  # fmt: skip
            pooled = _Pooled(held.connection, other)
            store._held = under_test.Held(held.holder, pooled, held.epoch)  # type: ignore[arg-type]
            with pytest.raises(StateUnreadable, match="does not keep one session") as caught:
                store.append([task("a")])
            store._held = held
        assert "session mode" in caught.value.hint
    assert keys(open_postgres()) == set()


class _Pooled:
    """Says that it is one session and is another."""

    def __init__(self, said: Any, real: Any) -> None:
        self.info, self.closed, self.execute = said.info, False, real.execute


def test_a_server_that_only_says_that_it_locks_is_refused(
    open_postgres: OpenPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Some that speak PostgreSQL's protocol answer yes to every advisory lock and keep none."""
    monkeypatch.setattr(under_test, "TAKE", under_test.TAKE.replace("pg_try_advisory_lock(%s)", "%s is not null"))
    with pytest.raises(StateUnreadable, match="does not keep advisory locks"), open_postgres().lock("apply"):
        pass


def test_a_replica_is_called_one(postgres: Any, open_postgres: OpenPostgres) -> None:
    with open_postgres().lock("apply"):
        pass
    postgres.run("drop role if exists replica")
    postgres.run("create role replica superuser login password 'replica'")
    postgres.run("alter role replica set default_transaction_read_only = on")
    environ = {"PGUSER": "replica", "PGPASSWORD": "replica"}
    store = PostgresStore(postgres.url, "production", environ=environ, now=lambda: datetime.now(UTC))
    assert store.load() == State()
    with pytest.raises(StateUnreadable, match=r"cannot be locked: .*read-only") as caught, store.lock("apply"):
        pass
    assert caught.value.hint == "this is a replica: give the address of the primary"


def test_without_the_driver_the_extra_is_named() -> None:
    lines = """
import sys
from pathlib import Path
sys.modules["psycopg"] = None
from reconciler.errors import SettingsInvalid
from reconciler.storage.history import open_history
try:
    open_history(Path(), "production", "postgresql:///states", environ={})
except SettingsInvalid as error:
    print(error.message, "|", error.hint)
"""
    told = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, text=True, capture_output=True, check=True).stdout
    assert "psycopg, which is not installed | pip install 'psycopg[binary]'; or, in a checkout" in told


def test_two_databases_of_one_server_do_not_share_a_lock(postgres: Any, open_postgres: OpenPostgres) -> None:
    postgres.run("drop database if exists elsewhere")
    postgres.run("create database elsewhere")
    url = postgres.url.replace("/states", "/elsewhere")
    other = PostgresStore(url, "production", environ=postgres.environ, now=lambda: datetime.now(UTC))
    with open_postgres().lock("apply") as ours, other.lock("apply") as theirs:
        assert (open_postgres().holder(), other.holder()) == (ours, theirs)


def test_a_state_that_moved_on_is_refused_before_anything_is_written(open_postgres: OpenPostgres) -> None:
    slow, fast = open_postgres(), open_postgres()
    slow.load()
    with fast.lock("apply"):
        fast.append([task("fast")])
    with slow.lock("apply"), pytest.raises(StalePlan, match="an earlier point of its journal"):
        slow.append([task("slow")])
    assert keys(open_postgres()) == {"fast"}
