"""Stores to test, by backend; and a second process that holds a lock."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.model.history import HistoryStore
from reconciler.model.provider import StateStore
from reconciler.storage.file import FileStore
from reconciler.storage.history import FileHistory

ROOT = Path(__file__).resolve().parents[2]

OpenStore = Callable[..., StateStore]
OpenHistory = Callable[..., HistoryStore]
Run = Callable[..., "subprocess.Popen[str]"]


def noon() -> datetime:
    return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.fixture(params=["file"])
def open_store(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    """A function from an environment's name to a new store on one and the same place, as another run would make it."""
    makers: dict[str, OpenStore] = {
        "file": lambda environment="production", job="": FileStore(tmp_path / "state", environment, now=noon, job=job)
    }
    maker: OpenStore = makers[request.param]
    return maker


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "state"


@pytest.fixture
def open_file_store(folder: Path) -> Callable[[], FileStore]:
    """A new store of the environment ``production`` in ``folder``."""
    return lambda: FileStore(folder, "production", now=noon)


@pytest.fixture(params=["file"])
def open_history(request: pytest.FixtureRequest, tmp_path: Path) -> OpenHistory:
    """A function from an environment's name to its history, as another run would open it."""
    places = frozenset({"openlayer.InferencePipeline"})
    makers: dict[str, OpenHistory] = {
        "file": lambda environment="production": FileHistory(tmp_path / f"{environment}.history.db", places=places)
    }
    maker: OpenHistory = makers[request.param]
    return maker


PRELUDE = """
import os, signal, sys
from datetime import UTC, datetime
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
