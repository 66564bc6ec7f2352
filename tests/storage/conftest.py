"""Stores to test, by backend; and a second process that holds a lock."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from reconciler.model.history import HistoryStore
from reconciler.model.places import parse_place
from reconciler.model.provider import StateStore
from reconciler.storage import history as histories
from reconciler.storage.file import FileStore
from reconciler.storage.http import HttpStateStore
from reconciler.storage.object_store import ObjectStateStore
from reconciler.storage.postgres import PostgresStore

ROOT = Path(__file__).resolve().parents[2]

OpenStore = Callable[..., StateStore]
OpenHistory = Callable[..., HistoryStore]
Run = Callable[..., "subprocess.Popen[str]"]


def noon() -> datetime:
    return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["file", "s3", "http", "gitlab", "postgres"])
def open_store(request: pytest.FixtureRequest) -> OpenStore:
    """A function from an environment's name to a new store on one and the same place, as another run would make it."""
    opener: OpenStore = request.getfixturevalue(f"open_{request.param}")
    return opener


@pytest.fixture
def open_file(tmp_path: Path) -> OpenStore:
    return lambda environment="production", job="": FileStore(tmp_path / "state", environment, now=noon, job=job)


@pytest.fixture
def s3_prefix(s3_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> str:
    """A place of its own in the bucket; the library reads the credentials from the process environment."""
    for name, value in s3_environ.items():
        monkeypatch.setenv(name, value)
    return f"s3://states/{uuid.uuid4().hex}"


@pytest.fixture
def open_s3(s3_prefix: str, s3_environ: dict[str, str]) -> OpenStore:
    def opener(environment: str = "production", job: str = "", **options: Any) -> StateStore:
        environ = {**s3_environ, **options.pop("environ", {})}
        return ObjectStateStore(parse_place(s3_prefix), environment, environ=environ, now=noon, job=job, **options)

    return opener


@pytest.fixture
def open_http(terraform_server: Any, terraform_environ: dict[str, str]) -> OpenStore:
    return _web_opener(terraform_server.url, "/states/", terraform_environ)


@pytest.fixture
def open_gitlab(terraform_server: Any, terraform_environ: dict[str, str]) -> OpenStore:
    return _web_opener(terraform_server.url, "/api/v4/projects/7/terraform/state/", terraform_environ)


@pytest.fixture
def open_postgres(postgres: Any) -> OpenStore:
    return lambda environment="production", job="": PostgresStore(
        postgres.url, environment, environ=postgres.environ, now=noon, job=job
    )


@pytest.fixture(params=["s3", "http", "gitlab"])
def remote(request: pytest.FixtureRequest) -> Remote:
    """A place in the network, with a wire in front of it on which requests get lost."""
    opener: OpenStore = request.getfixturevalue(f"open_{request.param}")
    wire = request.getfixturevalue("s3_wire" if request.param == "s3" else "terraform_wire")
    if request.param == "s3":
        return Remote(opener, partial(opener, environ={"AWS_ENDPOINT_URL": wire.url}, pause=no_pause), wire, 2)
    wired = partial(opener, origin=wire.url, environ={"RECONCILER_STATE_ORIGIN": wire.url}, pause=no_pause)
    return Remote(opener, wired, wire, 1)


def no_pause(_: float) -> None:
    """Instead of waiting before another try."""


@dataclass
class Remote:
    """``open`` goes straight to the server, ``wired`` over the wire; both open new stores on one and the same place."""

    open: OpenStore
    wired: OpenStore
    wire: Any
    writes_of_a_commit: int


def _web_opener(origin: str, folder: str, environ: dict[str, str]) -> OpenStore:
    def opener(environment: str = "production", job: str = "", **options: Any) -> StateStore:
        place = parse_place(options.pop("origin", origin) + folder + environment)
        known = {**environ, **options.pop("environ", {})}
        return HttpStateStore(place, environment, environ=known, now=noon, job=job, **options)

    return opener


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def open_file_store(folder: Path) -> Callable[[], FileStore]:
    """A new store of the environment ``production`` in ``folder``."""
    return lambda: FileStore(folder, "production", now=noon)


@pytest.fixture(params=["file", "postgres"])
def open_history(request: pytest.FixtureRequest, tmp_path: Path) -> OpenHistory:
    """A function from an environment's name to its history, as another run would open it."""
    url, environ = None, {}
    if request.param == "postgres":
        postgres = request.getfixturevalue("postgres")
        url, environ = postgres.url, postgres.environ
    places = frozenset({"openlayer.InferencePipeline"})
    return lambda environment="production": histories.open_history(
        tmp_path, environment, url, environ=environ, places=places
    )


PRELUDE = """
import os, signal, sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from reconciler.errors import ReconcilerError
from reconciler.model.state import State
from reconciler.storage.file import FileStore
store = FileStore(Path(sys.argv[1]), "production", now=lambda: datetime(2026, 11, 22, tzinfo=UTC), job="https://ci/7")
def tell(text): print(text, flush=True)
"""


@pytest.fixture
def in_process(folder: Path) -> Run:
    """Runs Python lines in another process, where ``store`` is a store on the same folder and ``tell`` prints."""

    @contextmanager
    def run(lines: str) -> Iterator[subprocess.Popen[str]]:
        command = [sys.executable, "-c", PRELUDE + lines, str(folder)]
        with subprocess.Popen(
            command, cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    return run  # type: ignore[return-value]
