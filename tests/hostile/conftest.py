"""The command line against a platform whose people write hostile names, and what must not come out of it."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.cli.main import main
from reconciler.emulator.app import create_app
from reconciler.emulator.server import running
from tests.by_hand import ask

Doc = dict[str, Any]
OF_OTHERS = ("RECONCILER_", "OPENLAYER_", "DIGITALOCEAN_", "CI", "GITHUB_", "GITLAB_")
KEY = "canary-key-5e77a1c9d0"


@dataclass
class Door:
    """What stands in front of the emulator: anything that a test puts there."""

    app: Any = None
    door: ASGIApp | None = None
    authorized: list[str] = field(default_factory=list)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.authorized += [value.decode() for name, value in scope["headers"] if name == b"authorization"]
        by_hand = (b"user-agent", b"by-hand") in scope["headers"]
        await (self.app if by_hand or self.door is None else self.door)(scope, receive, send)


@dataclass(frozen=True)
class Said:
    """What a command said."""

    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err

    def check(self, *, annotates: bool = False) -> Said:
        """Nothing in it acts on a terminal, on a CI runner, or hides."""
        for text in (self.out, self.err):
            assert text.replace("\n", "").isprintable(), [c for c in text if not c.isprintable() and c != "\n"]
            assert not re.search(r"##\w*\[", text)
            commands = [line for line in text.split("\n") if line.lstrip().startswith("::")]
            assert annotates or commands == []
            assert all(re.match(r"::(error|warning|notice) (file|title)=", line) for line in commands), commands
            assert not any("::owned" in line.partition("::")[2].partition("::")[0] for line in commands)
        assert KEY not in self.text
        return self


@dataclass
class Run:
    """Commands in a folder, and the platform that they talk to."""

    folder: Path
    url: str
    door: Door
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, code: int | None = 0, **environ: str) -> Said:
        """Run a command; ``code`` None allows any end but a defect."""
        variables = {
            "OPENLAYER_BASE_URL": f"{self.url}/v1",
            "OPENLAYER_API_KEY": KEY,
            "RECONCILER_UNCERTAINTY_WINDOW": "0s",
            "COLUMNS": "120",
            **environ,
        }
        with self.monkeypatch.context() as patch:
            for name in [name for name in os.environ if name.startswith(OF_OTHERS)]:
                patch.delenv(name)
            for name, value in variables.items():
                patch.setenv(name, value)
            patch.chdir(self.folder)
            self.capsys.readouterr()
            ended = main(list(arguments))
        out, err = self.capsys.readouterr()
        said = Said(ended, out, err)
        assert "a defect in reconciler" not in err, err
        assert code in (None, ended), f"exit {ended}\n{said.text}"
        return said

    def api(self, method: str, path: str, body: object = None) -> Any:
        """By hand; the JSON of an answer that must be a success."""
        return ask(method, f"{self.url}/v1{path}", KEY, body)

    def artefacts(self) -> dict[str, bytes]:
        """Every file that the commands left, by name."""
        files = (path for path in self.folder.rglob("*") if path.is_file())
        return {path.relative_to(self.folder).as_posix(): path.read_bytes() for path in files}


@pytest.fixture(scope="session")
def _served() -> Iterator[tuple[Door, str]]:
    door = Door()
    with running(door) as url:
        yield door, url
    if door.app is not None:
        door.app.state.database.close()


@pytest.fixture
def run(
    _served: tuple[Door, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Run:
    """The command line in an empty folder, and an empty platform."""
    door, url = _served
    if door.app is not None:
        door.app.state.database.close()
    door.app, door.door = create_app(api_key=KEY), None
    door.authorized.clear()
    return Run(tmp_path, url, door, monkeypatch, capsys)


@pytest.fixture
def key() -> str:
    """The credential, which must turn up nowhere."""
    return KEY
