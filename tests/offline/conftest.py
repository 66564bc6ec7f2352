"""A git repository with manifests, and the command line without a platform, a key or a network."""

from __future__ import annotations

import os
import socket
import subprocess
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from reconciler.cli.main import main

OF_OTHERS = ("RECONCILER_", "OPENLAYER_", "DIGITALOCEAN_", "GIT_", "CI", "GITHUB_", "GITLAB_")
BOT = """
    apiVersion: openlayer/v1
    kind: Project
    metadata: {name: bot}
    spec:
      taskType: llm-base
      description: Answers
      pipelines:
        - name: live
        - {name: canary, description: A tenth of the traffic}
      tests:
        - name: Rows arrive
          type: integrity
          subtype: rowCount
          evaluationWindow: 24h
          thresholds: [{insightName: metrics, measurement: rowCount, operator: ">=", value: 20}]
        - name: Answers are short
          type: integrity
          subtype: characterLength
          pipelines: [live]
          evaluationWindow: 24h
          thresholds:
            - insightName: characterLength
              insightParameters: {column_name: output}
              measurement: maxCharacterLength
              operator: lte
              value: 100
"""


@dataclass(frozen=True)
class Result:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def words(self) -> str:
        """Everything that was said, without line breaks."""
        return " ".join((self.out + self.err).split())


@dataclass
class Repository:
    """A working folder under git.  Called, it runs a command there."""

    folder: Path
    monkeypatch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str, code: int = 0, at: str = ".") -> Result:
        with self.monkeypatch.context() as patch:
            patch.chdir(self.folder / at)
            self.capsys.readouterr()
            ended = main(list(arguments))
        out, err = self.capsys.readouterr()
        assert ended == code, f"exit {ended}\n{out}{err}"
        return Result(ended, out, err)

    def git(self, *arguments: str, given: bytes | None = None) -> str:
        """A git command that must work; what it prints."""
        command = ["git", "-c", "user.name=A", "-c", "user.email=a@b.invalid", "-c", "protocol.file.allow=always"]
        ended = subprocess.run([*command, *arguments], cwd=self.folder, input=given, capture_output=True, check=False)
        assert ended.returncode == 0, ended.stderr.decode()
        return ended.stdout.decode().strip()

    def write(self, name: str, text: str) -> None:
        (self.folder / name).parent.mkdir(parents=True, exist_ok=True)
        (self.folder / name).write_text(dedent(text), encoding="utf-8")

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.folder / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (self.folder / name).write_text(text.replace(old, new), encoding="utf-8")

    def commit(self, message: str = "A change") -> str:
        """Everything in the folder, committed; the commit's name."""
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", message)
        return self.git("rev-parse", "HEAD")


class NoNetwork(socket.socket):
    """A socket that refuses to reach anybody."""

    def connect(self, address: Any) -> None:
        raise AssertionError(f"a connection to {address} was asked for")

    def connect_ex(self, address: Any) -> int:
        raise AssertionError(f"a connection to {address} was asked for")


@pytest.fixture
def empty(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Repository:
    """A repository without commits; no key is set, and nobody can be reached."""
    for name in [name for name in os.environ if name.startswith(OF_OTHERS)]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", os.devnull)
    monkeypatch.setenv("GIT_CONFIG_SYSTEM", os.devnull)
    monkeypatch.setenv("NO_COLOR", "1")
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setattr(socket, "socket", NoNetwork)
    monkeypatch.setattr(socket, "create_connection", NoNetwork.connect)
    monkeypatch.setattr(socket, "getaddrinfo", NoNetwork.connect)
    made = Repository(tmp_path_factory.mktemp("repository"), monkeypatch, capsys)
    made.git("init", "--quiet", "--initial-branch", "main")
    return made


@pytest.fixture
def repository(empty: Repository) -> Repository:
    """One project with two pipelines and two tests, committed to ``main``."""
    empty.write("bot.yaml", BOT)
    empty.commit("The bot")
    return empty


@pytest.fixture
def bot() -> str:
    """The manifest of the project."""
    return BOT
