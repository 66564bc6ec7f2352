"""The command line in a scratch folder beside copies of the examples, and an emulator behind a socket."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
KEY = "a-key-of-the-tests"

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder with a copy of ``examples/``."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns(".reconciler"))
    return tmp_path


@pytest.fixture
def reconciler(scratch: Path) -> Run:
    """Runs ``reconciler`` with these arguments as a process, in the scratch folder or in ``cwd`` below it.

    The environment holds what is given as ``environ``, and of ours only what Python needs.
    """

    def run(
        *arguments: str, exits: int = 0, cwd: str = ".", environ: dict[str, str] | None = None
    ) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            [sys.executable, "-m", "reconciler", *arguments],
            cwd=scratch / cwd,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), **(environ or {})},
            capture_output=True,
            text=True,
            stdin=subprocess.DEVNULL,
            timeout=120,
        )
        assert done.returncode == exits, f"exit {done.returncode}, not {exits}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def emulator() -> Iterator[str]:
    """The base URL of an emulator behind a socket that accepts ``KEY`` only."""
    server = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "emulator", "--port", "0", "--api-key", KEY],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    yield server.stdout.readline().strip()
    server.terminate()
    server.wait(timeout=30)
    server.stdout.close()


@pytest.fixture
def key() -> str:
    """The only key that the emulator accepts."""
    return KEY
