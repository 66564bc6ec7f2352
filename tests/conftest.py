"""Servers that states are kept on: S3 by moto, Terraform's HTTP protocol, PostgreSQL; lossy wires, and a proxy."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import settings

from reconciler.providers.clock import RealClock

# A property is about values: how long one example takes depends on who else uses the machine.
# The gate takes the same examples each time, so that what it finds is of the change; the profile "anew" takes others.
settings.register_profile("reconciler", deadline=None, derandomize=True)
settings.register_profile("anew", deadline=None)
settings.load_profile("reconciler")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Of ``-n auto``: two workers for each core, as tests that talk to servers wait."""
    return (os.cpu_count() or 1) * 2


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Who is done takes tests from others, unless something else was asked for: some files take a minute."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "worksteal"


HURRY = 20
STATE_PASSWORD = "canary-state-password-5e1f"
AWS_SECRET = "canary-aws-secret-83c2"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade"}


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twenty seconds pass in one, for whoever waits for a platform in this process."""
    monotonic, sleep = RealClock.monotonic, RealClock.sleep
    monkeypatch.setattr(RealClock, "monotonic", lambda self: HURRY * monotonic(self))
    monkeypatch.setattr(RealClock, "sleep", lambda self, seconds: sleep(self, seconds / HURRY))


@pytest.fixture(scope="module")
def uncounted() -> Iterator[None]:
    """Let coverage look away: a sweep goes over the lines that others count, again and again, at half the speed.

    In this thread only: after pytest-cov's ``no_cover`` a server's thread that runs already is never counted again.
    """
    trace = sys.gettrace()
    sys.settrace(None)
    yield
    sys.settrace(trace)


def serving(handler: type[BaseHTTPRequestHandler]) -> ThreadingHTTPServer:
    """A server on a free port, at work in threads of this process; ``shutdown`` and ``server_close`` end it."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        request_queue_size = 64

        def handle_error(self, *_: object) -> None:
            """A client that hangs up is no news."""

    server = Server(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()
    return server


class Served:
    """A server in threads of this process.  ``handle`` answers (method, path, headers, body); None hangs up."""

    def __init__(self) -> None:
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True  # an answer leaves in two pieces

            def log_message(self, *_: object) -> None:
                pass

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self.answer
                raise AttributeError(name)

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                answer = outer.handle(self.command, self.path, dict(self.headers.items()), body)
                if answer is None:
                    self.close_connection = True
                    return
                status, headers, content = answer
                self.send_response_only(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                if "content-length" not in {name.lower() for name in headers}:
                    self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(content)

        self._server = serving(Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Fate:
    """What happens to a request that ``concerns`` is true of.

    ``deliver``: the server gets it; ``answer``: what comes back: "its own", a status, (status, body), or None
    for nothing at all;
    ``meanwhile``: what somebody else does just before it arrives.
    """

    concerns: Callable[[str, str], bool]
    deliver: bool = True
    answer: Any = None
    meanwhile: Callable[[], object] | None = None
    lasting: bool = False


class Wire(Served):
    """Passes requests on to a server, but for those that have another fate, once each.

    ``seen`` holds (method, path, size of the body).  Options of ``next`` and ``nth_write`` are those of ``Fate``.
    """

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = urlsplit(target).netloc
        self.stripped: set[str] = set()
        self.renew()

    def renew(self) -> None:
        """All is well again, and nothing was seen."""
        self.seen: list[tuple[str, str, int]] = []
        self._fates: list[Fate] = []

    @property
    def writes(self) -> int:
        return sum(method != "GET" for method, _, _ in self.seen)

    def next(self, method: str, part: str = "", **fate: Any) -> None:
        """The next request of this method whose path holds ``part``."""
        self._fates.append(Fate(lambda asked, path: asked == method and part in path, **fate))

    def nth_write(self, number: int, *, and_then_dead: bool = False, **fate: Any) -> None:
        """The write with this number, from 0; with ``and_then_dead`` nothing gets through after it."""
        if and_then_dead:
            self._fates.append(Fate(lambda *_: self._is_past(number), deliver=False, lasting=True))
        self._fates.append(Fate(lambda method, _: method != "GET" and self.writes == number + 1, **fate))

    def _is_past(self, number: int) -> bool:
        return self.writes > number + 1 or (self.writes == number + 1 and self.seen[-1][0] == "GET")

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        self.seen.append((method, path, len(body)))
        fate = next((fate for fate in self._fates if fate.concerns(method, path)), None)
        if fate is None:
            return self._passed_on(method, path, headers, body)
        if not fate.lasting:
            self._fates.remove(fate)
        if fate.meanwhile is not None:
            fate.meanwhile()
        answer = self._passed_on(method, path, headers, body) if fate.deliver else None
        if fate.answer == "its own":
            return answer
        if fate.answer is None:
            return None
        status, content = fate.answer if isinstance(fate.answer, tuple) else (fate.answer, b"")
        return status, {}, content

    def _passed_on(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        connection = http.client.HTTPConnection(self._target, timeout=30)
        try:
            dropped = HOP_BY_HOP | self.stripped
            kept = {name: value for name, value in headers.items() if name.lower() not in dropped}
            connection.request(method, path, body=body or None, headers=kept)
            answer = connection.getresponse()
            content = answer.read()
            told = {name: value for name, value in answer.getheaders() if name.lower() not in HOP_BY_HOP}
            return answer.status, told, content
        finally:
            connection.close()


class Proxy:
    """A forward proxy with tunnels, in threads of this process; each name leads to ``target``, a host and a port.

    ``seen`` holds the (request line, headers by lower-case name) that it was asked with itself, so of a tunnel only
    how it began.  ``answer`` is a status to give instead, ``instead`` what to do with the connection of a tunnel.
    """

    def __init__(self) -> None:
        self.target: tuple[str, int] = ("", 0)
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.answer = 0
        self.instead: Callable[[socket.socket], object] | None = None
        outer = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def log_message(self, *_: object) -> None:
                pass

            def __getattr__(self, name: str) -> Any:
                if name.startswith("do_"):
                    return self.pass_on
                raise AttributeError(name)

            def pass_on(self) -> None:
                outer.seen.append(
                    (f"{self.command} {self.path}", {name.lower(): value for name, value in self.headers.items()})
                )
                self.close_connection = True
                if outer.answer:
                    self.send_response_only(outer.answer, "as its owner says")
                    self.send_header("Content-Length", "0")
                    self.end_headers()
                elif self.command == "CONNECT":
                    outer.tunnel(self.connection)
                else:
                    self.forward()

            def forward(self) -> None:
                address = urlsplit(self.path)
                connection = http.client.HTTPConnection(*outer.target, timeout=30)
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                kept = {name: value for name, value in self.headers.items() if name.lower() not in HOP_BY_HOP}
                try:
                    path = address.path + (f"?{address.query}" if address.query else "")
                    connection.request(self.command, path, body=body or None, headers=kept)
                    answer = connection.getresponse()
                    content = answer.read()
                finally:
                    connection.close()
                self.send_response_only(answer.status)
                for name, value in answer.getheaders():
                    if name.lower() not in HOP_BY_HOP:
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.send_header("Connection", "close")
                self.end_headers()
                self.wfile.write(content)

        self._server = serving(Handler)
        self.origin = f"http://127.0.0.1:{self._server.server_port}"

    def tunnel(self, near: socket.socket) -> None:
        if self.instead is not None:
            self.instead(near)
            return
        with socket.create_connection(self.target) as far:
            near.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            other = {near: far, far: near}
            while True:
                for ready in select.select(list(other), [], [])[0]:
                    data = ready.recv(65_536)
                    if not data:
                        return
                    other[ready].sendall(data)

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def proxy() -> Iterator[Proxy]:
    made = Proxy()
    yield made
    made.close()


# ------------------------------------------------------------------------------------------ S3


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """A real server that speaks S3, with the bucket ``states`` in it, which keeps versions."""
    import boto3  # type: ignore[import-untyped]
    from botocore.config import Config  # type: ignore[import-untyped]

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://127.0.0.1:{port}"
            _wait_for(port, process)
            client = boto3.client(
                "s3",
                endpoint_url=url,
                region_name="us-east-1",
                aws_access_key_id="state-writer",
                aws_secret_access_key=AWS_SECRET,
                config=Config(retries={"max_attempts": 1}),
            )
            client.create_bucket(Bucket="states")
            client.put_bucket_versioning(Bucket="states", VersioningConfiguration={"Status": "Enabled"})
            client.close()
            yield url
        finally:
            process.kill()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return
        time.sleep(0.02)
    raise RuntimeError(f"the server does not start: {process.args!r}")


@pytest.fixture
def s3_environ(s3_url: str) -> dict[str, str]:
    """The variables with which AWS's own tools would find the server."""
    return {
        "AWS_ENDPOINT_URL": s3_url,
        "AWS_ACCESS_KEY_ID": "state-writer",
        "AWS_SECRET_ACCESS_KEY": AWS_SECRET,
        "AWS_REGION": "us-east-1",
    }


@pytest.fixture
def s3_wire(s3_url: str) -> Iterator[Wire]:
    wire = Wire(s3_url)
    yield wire
    wire.close()


# ------------------------------------------------------------------------------------------ Terraform's HTTP protocol


@dataclass
class Document:
    """One state at a Terraform server.  ``versions`` are the serials that were ever written."""

    content: bytes = b""
    versions: set[int] = field(default_factory=set)
    lock: dict[str, str] | None = None


class TerraformServer(Served):
    """Terraform's HTTP state protocol, strict about locks; below ``/api/v4/`` as GitLab speaks it.

    GitLab's way, after lib/api/terraform/state.rb (2026-11): 204 for an empty state, POST and DELETE on ``/lock``, a
    conflict that repeats what the one who asks has said, 500 for a write without the lock and for a known serial.
    """

    def __init__(self) -> None:
        super().__init__()
        self.documents: dict[str, Document] = {}
        self.seen: list[tuple[str, str]] = []
        self.users = {("state-writer", STATE_PASSWORD), ("gitlab-ci-token", STATE_PASSWORD)}
        self._one_at_a_time = threading.Lock()

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        with self._one_at_a_time:
            self.seen.append((method, path))
            told = headers.get("Authorization", "").removeprefix("Basic ")
            if tuple(base64.b64decode(told).decode().split(":", 1)) not in self.users:
                return 401, {}, b""
            digest = headers.get("Content-MD5", "")
            if body and digest != base64.b64encode(hashlib.md5(body).digest()).decode():
                return 400, {}, b"Content-MD5"
            parts = urlsplit(path)
            asked_id = parse_qs(parts.query).get("ID", [""])[0]
            serve = self._gitlab if parts.path.startswith("/api/v4/") else self._plain
            status, answer = serve(method, parts.path, asked_id, body)
            return status, {}, answer

    def _plain(self, method: str, path: str, asked_id: str, body: bytes) -> tuple[int, bytes]:
        document = self.documents.setdefault(path, Document())
        holder = json.dumps(document.lock).encode()
        held_id = document.lock["ID"] if document.lock else ""
        if method == "GET":
            return (200, document.content) if document.content else (404, b"")
        if method == "POST":
            if asked_id != held_id:
                return 423, holder
            document.content = body
            return 200, b""
        if method == "LOCK":
            if document.lock is not None:
                return 423, holder
            document.lock = json.loads(body)
            return 200, b""
        if method == "UNLOCK" and asked_id:  # the address of another document, which is free already
            return 200, b""
        if method == "UNLOCK":
            if json.loads(body)["ID"] != held_id:
                return 409, holder
            document.lock = None
            return 200, b""
        return 405, b""

    def _gitlab(self, method: str, path: str, asked_id: str, body: bytes) -> tuple[int, bytes]:
        document = self.documents.setdefault(path.removesuffix("/lock"), Document())
        held_id = document.lock["ID"] if document.lock else ""
        match method, path.endswith("/lock"):
            case "GET", False:
                return (200, document.content) if document.content else (204, b"")
            case "POST", False:
                serial = json.loads(body)["serial"]
                if asked_id != held_id or serial in document.versions:
                    return 500, b'{"message":"500 Internal Server Error"}'
                document.versions.add(serial)
                document.content = body
                return 200, b""
            case "POST", True:
                info = json.loads(body)
                assert info.keys() == {"ID", "Operation", "Info", "Who", "Version", "Created", "Path"}
                if document.lock is None:
                    document.lock = {"ID": info["ID"], "Who": "a-gitlab-user", "Created": "2026-11-22T12:00:01Z"}
                    return 200, json.dumps(info).encode()
                return 409, json.dumps({**info, **document.lock}).encode()
            case "DELETE", True:
                if asked_id not in ("", held_id) or not held_id:
                    return 409, b""
                document.lock = None
                return 200, b""
        return 405, b""


@pytest.fixture
def terraform_server() -> Iterator[TerraformServer]:
    server = TerraformServer()
    yield server
    server.close()


@pytest.fixture
def terraform_environ(terraform_server: TerraformServer) -> dict[str, str]:
    """The variables that Terraform itself would use, and the word of the operator for the server."""
    return {
        "TF_HTTP_USERNAME": "state-writer",
        "TF_HTTP_PASSWORD": STATE_PASSWORD,
        "RECONCILER_STATE_ORIGIN": terraform_server.url,
    }


@pytest.fixture
def terraform_wire(terraform_server: TerraformServer) -> Iterator[Wire]:
    wire = Wire(terraform_server.url)
    yield wire
    wire.close()


# ------------------------------------------------------------------------------------------ PostgreSQL

PG_PASSWORD = "canary-pg-password-41d7"
CLUSTER = """
port = {port}
listen_addresses = '127.0.0.1'
unix_socket_directories = '{folder}'
max_connections = 60
shared_buffers = '16MB'
fsync = off
full_page_writes = off
autovacuum = off
"""


@dataclass(frozen=True)
class Postgres:
    """A PostgreSQL server of this test run.  ``environ`` holds the variables with which psql would find it too."""

    port: int

    @property
    def url(self) -> str:
        return f"postgresql://127.0.0.1:{self.port}/states"

    @property
    def environ(self) -> dict[str, str]:
        return {"PGUSER": "state_writer", "PGPASSWORD": PG_PASSWORD}

    def run(self, statement: str, *values: object, database: str = "states", user: str = "state_writer") -> Any:
        """The rows of one statement, as somebody else would make it."""
        import psycopg

        with psycopg.connect(
            host="127.0.0.1", port=self.port, dbname=database, user=user, password=PG_PASSWORD, autocommit=True
        ) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []


def _binary(name: str) -> str:
    """Where a program of PostgreSQL is.  Without one the test is skipped, or fails where servers are required."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    found = shutil.which(name, path=os.pathsep.join([*map(str, folders), os.environ.get("PATH", "")]))
    if found is None:
        reason = "PostgreSQL is not installed: apt-get install postgresql"
        assert os.environ.get("RECONCILER_REQUIRE_SERVERS") != "1", reason
        pytest.skip(reason)
    return found


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Postgres]:
    """A private server; root runs it as the user ``postgres``, because it refuses to be root's."""
    as_user = (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", "--pdeathsig=INT"]
        if os.geteuid() == 0
        else []
    )
    initdb, postgres = _binary("initdb"), _binary("postgres")
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        (folder / "password").write_text(PG_PASSWORD)
        if as_user:
            shutil.chown(folder, "postgres")
            shutil.chown(folder / "password", "postgres")
        data = str(folder / "data")
        made = subprocess.run(
            [*as_user, initdb, "-D", data, "-U", "state_writer", "-A", "scram-sha-256", "--no-sync", "-E", "UTF8",
             "--locale=C", f"--pwfile={folder / 'password'}"],
            capture_output=True, text=True, cwd=folder,
        )  # fmt: skip
        assert made.returncode == 0, made.stderr
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with (folder / "data" / "postgresql.conf").open("a") as settings:
            settings.write(CLUSTER.format(port=port, folder=folder))
        with subprocess.Popen(
            [*as_user, postgres, "-D", data], cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                _wait_for(port, process)
                server = Postgres(port)
                _until_it_answers(server)
                server.run("create database states", database="postgres")
                yield server
            finally:
                process.send_signal(signal.SIGINT)  # fast shutdown: sessions that are still open do not matter
                process.wait(timeout=30)
    finally:
        shutil.rmtree(folder)


def _until_it_answers(server: Postgres) -> None:
    """A server that listens may still be starting up."""
    import psycopg

    deadline = time.monotonic() + 60
    while True:
        try:
            server.run("select 1", database="postgres")
            return
        except psycopg.OperationalError:
            assert time.monotonic() < deadline
            time.sleep(0.02)


@pytest.fixture
def postgres(postgres_server: Postgres) -> Postgres:
    """A database without any table of ours."""
    postgres_server.run("set client_min_messages = error; drop schema if exists reconciler cascade")
    return postgres_server
