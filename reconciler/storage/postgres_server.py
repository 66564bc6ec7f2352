"""Turn an address and the process environment into connections to a PostgreSQL database.  Touches: the network.

The address stands in a manifest, and a manifest comes through a pull request.  So it may say which database, but not
how well the connection is protected, and a password goes only to a server that the process environment names.

What a connection needs must stay with one session of the server (advisory locks, settings): a pool such as PgBouncer
in transaction mode cannot be used, one in session mode can.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final, LiteralString
from urllib.parse import parse_qsl, unquote, urlsplit

from reconciler.errors import SettingsInvalid, StateUnreadable
from reconciler.model.places import DATABASES, SAFE_OPTIONS, is_loopback

try:
    import psycopg
    from psycopg import errors, pq
except ImportError as error:
    raise SettingsInvalid(
        "a state at postgresql:// needs the library psycopg, which is not installed",
        hint="pip install 'psycopg[binary]'; or, in a checkout of reconciler: pip install '.[postgres]'",
    ) from error

Connection = psycopg.Connection[tuple[Any, ...]]
PostgresError = psycopg.Error

FORMAT: Final = 1
STATE_ORIGIN: Final = "RECONCILER_STATE_ORIGIN"
STATE_URL: Final = "RECONCILER_STATE_URL"
SSL_MODES: Final = ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")
"""From the weakest to the strongest.  The first three may send everything readable over the network."""

SESSION: Final = {
    "statement_timeout": "60s",
    "lock_timeout": "15s",
    "idle_in_transaction_session_timeout": "30s",
    "idle_session_timeout": "0",  # a run may wait long between two writes
    "synchronous_commit": "on",
    "tcp_keepalives_idle": "30",  # a host that vanished keeps its lock for a minute, not for two hours
    "tcp_keepalives_interval": "10",
    "tcp_keepalives_count": "3",
    "search_path": "pg_catalog",
}
"""What we set for a session, as far as the server knows it."""

CLIENT: Final = {
    "connect_timeout": "10",
    "application_name": "reconciler",
    "keepalives_idle": "30",
    "keepalives_interval": "10",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
    "client_encoding": "UTF8",
}

TABLES: Final[LiteralString] = """
create table reconciler.format (version integer not null);
create table reconciler.states (
    environment text primary key,
    epoch bigint not null default 0,
    lock_id text not null default '',
    holder text not null default '',
    lineage text not null default '',
    serial bigint not null default 0,
    tip text not null,
    write text not null default ''
);
create table reconciler.snapshots (
    environment text, lineage text, serial bigint, content bytea not null, written timestamptz not null default now(),
    primary key (environment, lineage, serial)
);
create table reconciler.journal (
    environment text, place bigint generated always as identity, line bytea not null,
    primary key (environment, place)
);
create table reconciler.observations (
    environment text, key text, address text not null, pipeline text, at double precision not null,
    recorded text not null, seen double precision not null, body text not null,
    primary key (environment, key)
);
create index on reconciler.observations (environment, address, pipeline, at desc);
insert into reconciler.format (version) values (1);
"""

_ALONE = 7_238_103_291
"""Any number: the advisory lock of whoever makes the tables."""


class Server:
    """One database.  ``name`` tells a person which, without user and options; ``what`` is kept there.

    Raises SettingsInvalid for an address that cannot be used, or where a password would go to a server that the
    process environment does not name.  Touches nothing until ``connect``.
    """

    def __init__(self, url: str, environ: Mapping[str, str], what: str = "state") -> None:
        self._what = what
        given, query = _address(url)
        self.name = f"postgresql://{_shown_host(given)}/{given.get('dbname', '')}".rstrip("/")
        known = _from_environ(environ)
        self._password = known.get("password", "")
        self._parameters = {**CLIENT, **known, **given, "sslmode": _ssl_mode(query, given, known)}
        self._is_ready = False
        _require_vouched(given, known, environ)

    @contextmanager
    def connected(self, done: str) -> Iterator[Connection]:
        """A connection for a ``with`` block.  ``done`` is what was to be done with the state: read, written."""
        with self.sentences(done):
            connection = self.connect()
            try:
                yield connection
            finally:
                connection.close()

    def connect(self) -> Connection:
        """A new connection that commits every statement by itself.  Raises psycopg.Error."""
        connection: Connection = psycopg.connect(
            **self._parameters,  # type: ignore[arg-type]  # all of them are libpq's, and texts
            autocommit=True,
            prepare_threshold=None,
        )
        try:
            connection.execute(
                "select set_config(known.name, asked.value, false) from unnest(%s::text[], %s::text[]) "
                "as asked(name, value) join pg_catalog.pg_settings as known on known.name = asked.name",
                (list(SESSION), list(SESSION.values())),
            )
        except BaseException:
            connection.close()
            raise
        return connection

    def is_ready(self, connection: Connection) -> bool:
        """Whether the tables are there.  Raises StateUnreadable when a newer version made them."""
        if self._is_ready:
            return True
        # Not by to_regclass: that looks into a cache, which may not know yet what another run has just made.
        there = "select exists (select from pg_tables where schemaname = 'reconciler' and tablename = 'format')"
        if not _one(connection, there):
            return False
        found = _one(connection, "select max(version) from reconciler.format")
        if not isinstance(found, int) or found > FORMAT:
            raise StateUnreadable(
                f"the tables at {self.name} have format {found}; this version reads {FORMAT}",
                hint="use the version of reconciler that made them",
            )
        self._is_ready = True
        return True

    def make_ready(self, connection: Connection) -> None:
        """Make the tables where there are none.  Several runs may do so at once."""
        if self.is_ready(connection):
            return
        with connection.transaction():
            connection.execute("select pg_advisory_xact_lock(%s)", (_ALONE,))
            if self.is_ready(connection):
                return
            if not _one(connection, "select exists (select from pg_namespace where nspname = 'reconciler')"):
                connection.execute("create schema reconciler")
            connection.execute(TABLES)

    @contextmanager
    def sentences(self, done: str) -> Iterator[None]:
        """Turn what the driver raises into one sentence without a password."""
        try:
            yield
        except psycopg.Error as error:
            raise self.sentence(done, error) from None  # the driver's error may quote what we sent

    def sentence(self, done: str, error: psycopg.Error) -> StateUnreadable:
        """What went wrong, for a person."""
        return StateUnreadable(
            f"the {self._what} at {self.name} cannot be {done}: {self.reason(error)}", hint=_hint(error)
        )

    def reason(self, error: psycopg.Error) -> str:
        """What the server or the driver says, on one line."""
        text = " ".join((error.diag.message_primary or str(error) or type(error).__name__).split())
        return text.replace(self._password, "…") if self._password else text


def _one(connection: Connection, query: LiteralString) -> Any:
    row = connection.execute(query).fetchone()
    return row[0] if row else None


def _hint(error: psycopg.Error) -> str:
    match error:
        case errors.InsufficientPrivilege():
            return (
                "the user needs a schema of its own: let the database's owner run "
                "CREATE SCHEMA reconciler AUTHORIZATION the_user"
            )
        case errors.LockNotAvailable() | errors.QueryCanceled():
            return "the database is busy; try again"
        case errors.ReadOnlySqlTransaction():
            return "this is a replica: give the address of the primary"
        case _:
            return "check the address, PGUSER, PGPASSWORD and PGSSLMODE, and that the server can be reached"


# ------------------------------------------------------------------------------------------ the address


def _address(url: str) -> tuple[dict[str, str], dict[str, str]]:
    """The connection parameters in the address, and its query.  Never repeats the address: it may hold a password."""
    unusable = SettingsInvalid(
        "the address of the state cannot be used",
        hint="write it as postgresql://host/database; PG* variables say the rest",
    )
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
        port = parts.port
    except ValueError:
        raise unusable from None
    if parts.scheme not in DATABASES or parts.fragment or "," in parts.netloc:
        raise unusable
    if parts.password is not None or "password" in query:
        raise SettingsInvalid(
            "the address of the state holds a password", hint="take it out, change it, and set PGPASSWORD instead"
        )
    if any(option not in SAFE_OPTIONS for option in parse_qsl(parts.query, keep_blank_values=True)):
        raise SettingsInvalid(
            "the address of the state holds an option that cannot stand there",
            hint="only sslmode=require, verify-ca or verify-full can; set PG* variables for anything else",
        )
    user, _, place = parts.netloc.rpartition("@")
    host = re.sub(r":\d*$", "", place).strip("[]")
    given = {
        "user": unquote(user),
        "host": unquote(host),
        "port": str(port or ""),
        "dbname": unquote(parts.path.removeprefix("/")),
    }
    return {name: value for name, value in given.items() if value}, query


def _from_environ(environ: Mapping[str, str]) -> dict[str, str]:
    """The connection parameters that the process environment sets."""
    options = {option.keyword.decode(): option.envvar for option in pq.Conninfo.get_defaults()}
    named = {keyword: variable.decode() for keyword, variable in options.items() if variable}
    return {keyword: environ[variable] for keyword, variable in named.items() if environ.get(variable)}


def _ssl_mode(query: Mapping[str, str], given: Mapping[str, str], known: Mapping[str, str]) -> str:
    """The stronger of what manifest and environment ask for; encryption over a network unless told otherwise."""
    asked = [mode for mode in (query.get("sslmode"), known.get("sslmode")) if mode in SSL_MODES]
    if asked:
        return max(asked, key=SSL_MODES.index)
    return "prefer" if _is_local(given.get("host", known.get("host", ""))) else "require"


def _is_local(host: str) -> bool:
    """Whether nothing leaves this computer: a socket, or a loopback address."""
    return not host or host.startswith(("/", "@")) or is_loopback(host)


def _shown_host(given: Mapping[str, str]) -> str:
    host = given.get("host", "")
    if not host or host.startswith(("/", "@")):
        return ""
    shown = f"[{host}]" if ":" in host else host
    return f"{shown}:{given['port']}" if "port" in given else shown


# ------------------------------------------------------------------------------------------ where a password may go


_SECRETS: Final = {"password": "PGPASSWORD", "service": "the service that PGSERVICE names"}


def _require_vouched(given: Mapping[str, str], known: Mapping[str, str], environ: Mapping[str, str]) -> None:
    """Raise SettingsInvalid where a password would be sent to a server that only the manifest names."""
    host, port = given.get("host", ""), given.get("port", known.get("port", "5432"))
    if _is_local(host) or _is_named(host, port, known, environ):
        return
    source = next((name for key, name in _SECRETS.items() if key in known), _open_password_file(known, environ))
    if not source:
        return
    named = f"postgresql://{_shown_host({'host': host})}" + ("" if port == "5432" else f":{port}")
    raise SettingsInvalid(
        f"the password in {source} is not sent to {host}: only the manifest names this server, and a pull request can "
        "change a manifest",
        hint=f"set {STATE_ORIGIN}={named} where the run's secrets are set",
    )


def _is_named(host: str, port: str, known: Mapping[str, str], environ: Mapping[str, str]) -> bool:
    named = {(each.lower(), known.get("port", "5432")) for each in known.get("host", "").split(",")}
    for variable in (STATE_ORIGIN, STATE_URL):
        with suppress(ValueError):
            parts = urlsplit(environ.get(variable, "").strip())
            if parts.scheme in DATABASES and parts.hostname:
                named.add((parts.hostname, str(parts.port or 5432)))
    return (host.lower(), port) in named


def _open_password_file(known: Mapping[str, str], environ: Mapping[str, str]) -> str:
    """The password file, if a line of it is for every host.  Lines that name a host vouch for it."""
    home = environ.get("HOME", "")
    file = known.get("passfile") or (f"{home}/.pgpass" if home else "")
    try:
        lines = Path(file).read_text(encoding="utf-8", errors="replace").splitlines() if file else []
    except OSError:
        return ""
    return file if any(line.startswith("*:") for line in lines) else ""
