"""Servers that states are kept on: S3 by moto, and Terraform's HTTP protocol; and a wire on which answers get lost."""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

STATE_PASSWORD = "canary-state-password-5e1f"
AWS_SECRET = "canary-aws-secret-83c2"
HOP_BY_HOP = {"connection", "keep-alive", "transfer-encoding", "te", "upgrade"}


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

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 64

            def handle_error(self, *_: object) -> None:
                """A client that hangs up is no news."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@dataclass
class Rule:
    """What happens to the next ``times`` requests of this method whose path holds ``part``.

    ``deliver``: whether the server gets them; ``status``: what is answered instead, None hangs up.
    """

    method: str
    part: str
    deliver: bool = True
    status: int | None = None
    times: int = 1


class Wire(Served):
    """Passes requests on to a server.  ``seen`` holds (method, path, size of the body)."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self._target = urlsplit(target).netloc
        self.rules: list[Rule] = []
        self.stripped: set[str] = set()
        self.seen: list[tuple[str, str, int]] = []

    def lose(self, method: str, part: str = "", *, times: int = 1) -> None:
        """The server does it, and nobody hears of it."""
        self.rules.append(Rule(method, part, times=times))

    def refuse(self, method: str, part: str, status: int, *, deliver: bool = False, times: int = 1) -> None:
        """Answer ``status``, whether or not the server did it."""
        self.rules.append(Rule(method, part, deliver, status, times))

    def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        self.seen.append((method, path, len(body)))
        rule = next((rule for rule in self.rules if rule.times and rule.method == method and rule.part in path), None)
        if rule is not None:
            rule.times -= 1
        answer = self._passed_on(method, path, headers, body) if rule is None or rule.deliver else None
        if rule is None:
            return answer
        return None if rule.status is None else (rule.status, {}, b"")

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


# ------------------------------------------------------------------------------------------ S3


@pytest.fixture(scope="session")
def s3_url() -> Iterator[str]:
    """A real server that speaks S3, with the bucket ``states`` in it."""
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
    raise RuntimeError("the S3 server does not start")


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
