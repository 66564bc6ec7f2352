"""The command line in a scratch folder beside copies of the examples, and an emulator behind a socket."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from reconciler.cli.main import main
from reconciler.emulator.app import create_app
from reconciler.emulator.server import running
from reconciler.evaluating import waiting

ROOT = Path(__file__).parents[2]
KEY = "a-key-of-the-tests"

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def scratch(tmp_path: Path) -> Path:
    """A folder with a copy of ``examples/``."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns(".reconciler"))
    return tmp_path


@pytest.fixture
def reconciler(scratch: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs ``reconciler`` with these arguments, in the scratch folder or in ``cwd`` below it.

    The environment holds what is given as ``environ``, and of ours only where programs are.  Commands run in this
    process: those of the README's tests are processes, and begin with the same quickstart.
    """
    # The emulator is done at once: it is asked more often than one asks a platform.
    monkeypatch.setattr(waiting, "FIRST_PAUSE_S", 0.02)
    monkeypatch.setattr(waiting, "LONGEST_PAUSE_S", 0.2)

    def run(
        *arguments: str, exits: int = 0, cwd: str = ".", environ: dict[str, str] | None = None
    ) -> CompletedProcess[str]:
        with monkeypatch.context() as patch:
            for name in os.environ.keys() - {"PATH"}:
                patch.delenv(name)
            for name, value in (environ or {}).items():
                patch.setenv(name, value)
            patch.chdir(scratch / cwd)
            capsys.readouterr()
            code = main(list(arguments))
        done = CompletedProcess(arguments, code, *capsys.readouterr())
        assert done.returncode == exits, f"exit {done.returncode}, not {exits}\n{done.stdout}\n{done.stderr}"
        return done

    return run


@pytest.fixture
def emulator() -> Iterator[str]:
    """The base URL of an emulator behind a socket that accepts ``KEY`` only."""
    app = create_app(api_key=KEY)
    with running(app) as url:
        yield f"{url}/v1"
    app.state.database.close()


@pytest.fixture
def key() -> str:
    """The only key that the emulator accepts."""
    return KEY
