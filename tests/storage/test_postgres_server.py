"""Where a state's address may lead, what of the environment counts, and where a password goes.  No address is shown."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import SettingsInvalid, StateUnreadable, UsageInvalid
from reconciler.model.state import State
from reconciler.storage.history import open_history
from reconciler.storage.postgres import PostgresStore
from reconciler.storage.postgres_server import Server

SECRET = "canary-9b1f"
FAR = "postgresql://db.example.com/states"


def parameters(url: str, **environ: str) -> dict[str, str]:
    return Server(url, environ)._parameters


def store(url: str, environment: str = "production", **environ: str) -> PostgresStore:
    return PostgresStore(url, environment, environ=environ, now=lambda: datetime.now(UTC))


# ------------------------------------------------------------------------------------------ the address


@pytest.mark.parametrize(
    "url",
    [
        "mysql://db.example.com/states",
        "postgresql://one.example.com,two.example.com/states",
        "postgresql://db.example.com:port/states",
        "postgresql://[::1/states",
        f"postgresql://user:{SECRET}@db.example.com/states",
        f"postgresql://:{SECRET}@db.example.com/states",
        f"postgresql://db.example.com/states?password={SECRET}",
        "postgresql://db.example.com/states?host=evil.example.com",
        "postgresql://db.example.com/states?hostaddr=203.0.113.1",
        "postgresql://db.example.com/states?sslmode=disable",
        "postgresql://db.example.com/states?sslmode=prefer",
        "postgresql://db.example.com/states?sslrootcert=/tmp/evil.pem&sslmode=verify-full",
        "postgresql://db.example.com/states?service=evil",
        "postgresql://db.example.com/states?options=-csearch_path%3Devil",
        "postgresql://db.example.com/states?x",
    ],
)
def test_an_address_that_could_lead_elsewhere_is_refused_and_not_repeated(url: str) -> None:
    with pytest.raises(SettingsInvalid, match="the address of the state") as caught:
        store(url)
    said = caught.value.message + caught.value.hint
    assert SECRET not in said
    assert "example.com" not in said


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://db.example.com/states", {"host": "db.example.com", "dbname": "states"}),
        ("postgres://db.example.com:5433/states", {"host": "db.example.com", "port": "5433", "dbname": "states"}),
        ("postgresql://writer@db.example.com/a%20b", {"user": "writer", "host": "db.example.com", "dbname": "a b"}),
        ("postgresql://[::1]:5433/states", {"host": "::1", "port": "5433", "dbname": "states"}),
        ("postgresql://[::1]/states", {"host": "::1", "dbname": "states"}),
        ("postgresql://%2Fvar%2FRun/states", {"host": "/var/Run", "dbname": "states"}),
        ("postgresql:///states", {"dbname": "states"}),
        ("postgresql://", {}),
    ],
)
def test_the_address_says_which_database(url: str, expected: dict[str, str]) -> None:
    found = parameters(url)
    assert {name: found[name] for name in ("user", "host", "port", "dbname") if name in found} == expected


def test_the_environment_says_the_rest_and_the_address_wins() -> None:
    found = parameters("postgresql://localhost/states", PGUSER="writer", PGPASSWORD=SECRET, PGDATABASE="other",
                       PGPORT="5433", PGAPPNAME="nightly", PGCONNECT_TIMEOUT="3", PGOPTIONS="")  # fmt: skip
    assert (found["user"], found["password"], found["dbname"], found["port"]) == ("writer", SECRET, "states", "5433")
    assert (found["application_name"], found["connect_timeout"]) == ("nightly", "3")
    assert "options" not in found


@pytest.mark.parametrize(
    ("url", "environ", "mode"),
    [
        (FAR, {}, "require"),
        (FAR, {"PGSSLMODE": "disable"}, "disable"),
        (FAR, {"PGSSLMODE": "verify-full"}, "verify-full"),
        (f"{FAR}?sslmode=verify-ca", {}, "verify-ca"),
        (f"{FAR}?sslmode=require", {"PGSSLMODE": "verify-full"}, "verify-full"),
        (f"{FAR}?sslmode=verify-full", {"PGSSLMODE": "prefer"}, "verify-full"),
        ("postgresql://127.0.0.1/states", {}, "prefer"),
        ("postgresql:///states", {}, "prefer"),
        ("postgresql:///states", {"PGHOST": "db.example.com"}, "require"),
    ],
)
def test_a_manifest_can_make_a_connection_safer_and_never_less_safe(url: str, environ: Any, mode: str) -> None:
    assert parameters(url, **environ)["sslmode"] == mode


@pytest.mark.parametrize("name", ["", "..", ".hidden", "x" * 65, "../x", "a/b", "a b", "prod\n", "é"])
def test_a_name_that_no_environment_can_have_is_refused(name: str) -> None:
    with pytest.raises(UsageInvalid, match="cannot be the name of an environment"):
        store("postgresql:///states", name)


def test_where_it_is_is_told_without_user_and_options() -> None:
    told = store("postgresql://writer@db.example.com:5433/states?sslmode=require").describe()
    assert told == "postgresql://db.example.com:5433/states (production)"
    assert store("postgresql://%2Fvar%2Frun/states").describe() == "postgresql:///states (production)"


# ------------------------------------------------------------------------------------------ passwords


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"PGHOST": "other.example.com"},
        {"PGHOST": "example.com"},
        {"PGHOST": "db.example.com", "PGPORT": "5433"},
        {"RECONCILER_STATE_ORIGIN": "https://db.example.com"},
        {"RECONCILER_STATE_ORIGIN": "postgresql://db.example.com:5433"},
        {"RECONCILER_STATE_ORIGIN": "postgresql://db.example.com.evil.example"},
        {"RECONCILER_STATE_ORIGIN": "db.example.com"},
        {"RECONCILER_STATE_URL": "postgresql://other.example.com/states"},
    ],
)
def test_a_password_is_not_sent_to_a_server_that_only_the_manifest_names(environ: dict[str, str]) -> None:
    url = "postgresql://db.example.com:5432/states"
    for open_one in (lambda e: store(url, **e), lambda e: open_history(Path(), "production", url, environ=e)):
        with pytest.raises(SettingsInvalid, match=r"PGPASSWORD is not sent to db\.example\.com") as caught:
            open_one({**environ, "PGPASSWORD": SECRET})
        assert caught.value.hint == (
            "set RECONCILER_STATE_ORIGIN=postgresql://db.example.com where the run's secrets are set"
        )
        assert SECRET not in caught.value.message + caught.value.hint


@pytest.mark.parametrize(
    ("url", "environ"),
    [
        (FAR, {"PGHOST": "db.example.com"}),
        (FAR, {"PGHOST": "one.example.com,DB.example.com"}),
        (f"{FAR.replace('.com', '.com:5433')}", {"PGHOST": "db.example.com", "PGPORT": "5433"}),
        (FAR, {"RECONCILER_STATE_ORIGIN": "postgresql://db.example.com"}),
        (FAR, {"RECONCILER_STATE_ORIGIN": "postgres://DB.example.com:5432/"}),
        (FAR, {"RECONCILER_STATE_URL": "postgresql://db.example.com/other"}),
        ("postgresql://localhost/states", {}),
        ("postgresql://127.0.0.1:5433/states", {}),
        ("postgresql://[::1]/states", {}),
        ("postgresql://%2Fvar%2Frun/states", {}),
        ("postgresql:///states", {"PGHOST": "db.example.com"}),
    ],
)
def test_a_password_is_sent_where_the_environment_says(url: str, environ: dict[str, str]) -> None:
    assert parameters(url, PGPASSWORD=SECRET, **environ)["password"] == SECRET


def test_a_password_file_for_every_host_counts_as_a_password(tmp_path: Path) -> None:
    file = tmp_path / ".pgpass"
    file.write_text(f"# all\ndb.example.com:*:*:*:{SECRET}\n")
    assert parameters(FAR, HOME=str(tmp_path))["host"] == "db.example.com"
    file.write_text(f"# all\n*:*:*:*:{SECRET}\n")
    for environ in ({"HOME": str(tmp_path)}, {"PGPASSFILE": str(file)}):
        with pytest.raises(SettingsInvalid, match=r"\.pgpass is not sent to db\.example\.com"):
            parameters(FAR, **environ)
    assert parameters(FAR, HOME=str(tmp_path), PGHOST="db.example.com")["host"] == "db.example.com"


def test_a_service_may_hold_a_password_too() -> None:
    with pytest.raises(SettingsInvalid, match="PGSERVICE"):
        parameters(FAR, PGSERVICE="production")


# ------------------------------------------------------------------------------------------ errors


def test_a_server_that_is_not_there_is_a_sentence() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"postgresql://127.0.0.1:{free.getsockname()[1]}/states"
        with pytest.raises(StateUnreadable, match=r"cannot be read: .*refused") as caught:
            store(url, PGPASSWORD=SECRET).load()
        with pytest.raises(StateUnreadable, match=r"cannot be locked: .*refused"), store(url).lock("apply"):
            pass
    assert "\n" not in caught.value.message
    assert SECRET not in caught.value.message


def test_a_wrong_password_is_a_sentence_that_does_not_hold_it(postgres: Any) -> None:
    with pytest.raises(StateUnreadable, match='password authentication failed for user "state_writer"') as caught:
        store(postgres.url, PGUSER="state_writer", PGPASSWORD=SECRET).load()
    assert SECRET not in caught.value.message + caught.value.hint
    assert caught.value.__cause__ is None


def test_a_database_that_is_not_there_is_a_sentence(postgres: Any) -> None:
    with pytest.raises(StateUnreadable, match='database "nowhere" does not exist'):
        store(postgres.url.replace("/states", "/nowhere"), **postgres.environ).load()


@pytest.fixture
def echoing_server() -> Iterator[str]:
    """A server that fails every login with what the client sent, as a broken or hostile one could."""
    listening = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listening.accept()
                with client:
                    first = client.recv(4096)
                    if first[4:8] == (80877103).to_bytes(4):  # SSLRequest
                        client.sendall(b"N")
                        client.recv(4096)
                    client.sendall(b"R" + (8).to_bytes(4) + (3).to_bytes(4))  # AuthenticationCleartextPassword
                    sent = client.recv(4096)[5:].rstrip(b"\0")
                    text = b"SFATAL\0VFATAL\0C28P01\0Mno \x1b[31m" + sent + b" here\0\0"
                    client.sendall(b"E" + (len(text) + 4).to_bytes(4) + text)

    threading.Thread(target=serve, daemon=True).start()
    yield f"postgresql://127.0.0.1:{listening.getsockname()[1]}/states"
    listening.close()


def test_a_password_that_the_server_repeats_is_cut_out(echoing_server: str) -> None:
    with pytest.raises(StateUnreadable, match=r"no .* here") as caught:
        store(echoing_server, PGUSER="writer", PGPASSWORD=SECRET).load()
    assert SECRET not in caught.value.message


def test_a_user_without_a_schema_is_told_what_to_ask_for(postgres: Any) -> None:
    postgres.run("drop role if exists guest")
    postgres.run("create role guest login password 'guest'")
    guest = store(postgres.url, PGUSER="guest", PGPASSWORD="guest")
    assert guest.load() == State()
    with pytest.raises(StateUnreadable, match="permission denied for database states") as caught, guest.lock("apply"):
        pass
    assert "CREATE SCHEMA reconciler AUTHORIZATION" in caught.value.hint
    postgres.run("create schema reconciler authorization guest")
    with guest.lock("apply"):
        assert guest.commit(State()).serial == 1
    postgres.run("drop schema reconciler cascade")
    postgres.run("drop role guest")
