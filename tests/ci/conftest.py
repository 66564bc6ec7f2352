"""Jobs of GitHub Actions without GitHub: the steps of workflows and of our own action, as the runner would start them.

A step's ``run`` is a process of bash in the checkout, with the variables, files and outputs that the runner gives it;
an expression ``${{ }}`` is evaluated; an action of somebody else is noted and does nothing.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.emulator.app import create_app
from reconciler.emulator.server import running
from tests.forge.conftest import TOKEN, Forge

ROOT = Path(__file__).parents[2]
KEY = "canary-key-6d10"
OURS = "reconciler-dev/reconciler@"
EXPRESSION = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
LEXEME = re.compile(r"\s*('(?:[^']|'')*'|[A-Za-z_][\w.-]*|&&|\|\||==|!=|[!()]|\d+)")
OPERATORS = {"&&": " and ", "||": " or ", "!": " not ", "==": "==", "!=": "!=", "(": "(", ")": ")"}
WITHOUT_INDEX = {
    "PIP_NO_INDEX": "1",
    "PIP_NO_DEPS": "1",
    "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it so: no isolation
    "PYTHONPATH": str(Path(yaml.__file__).parents[1]),
}
"""pip builds and installs this checkout alone; the libraries are those that the tests run with."""
STATUSES = ("always", "cancelled", "success", "failure")

Doc = dict[str, Any]


@dataclass
class Job:
    """One job.  ``contexts`` are what expressions see: ``github``, ``secrets``, ``vars``, ``matrix``, ``steps``, ..."""

    checkout: Path
    temp: Path
    contexts: Doc
    environ: dict[str, str]
    log: str = ""
    failed: bool = False
    used: list[str] = field(default_factory=list)
    outputs: Doc = field(default_factory=dict)
    installed: Doc = field(default_factory=lambda: {"python-version": "", "install": "none"})
    """Inputs that our action gets whatever a workflow says: the tool is there, and nobody waits for pip."""

    @property
    def summary(self) -> str:
        path = self.temp / "summary"
        return path.read_text(encoding="utf-8") if path.exists() else ""

    def action(self, env: Mapping[str, str] | None = None, /, **inputs: str) -> Job:
        """A job with one step that uses our action; names of inputs are spelled with ``_``."""
        given = {name.replace("_", "-"): value for name, value in inputs.items()}
        return self.run([{"uses": OURS, "with": given, "env": env or {}}])

    def run(self, steps: list[Doc], env: Mapping[str, str] | None = None) -> Job:
        """These steps in order, as the runner does: after a failure only those that ask for it."""
        self.environ = {**self.environ, **{name: self.text(value) for name, value in (env or {}).items()}}
        for step in steps:
            self.step(step, {})
        return self

    def step(self, step: Doc, inputs: Doc) -> None:
        condition = str(step.get("if", "success()"))
        if not any(f"{status}()" in condition for status in STATUSES):
            condition = f"success() && ({condition})"
        if not self.value(condition, inputs):
            return
        environ = {name: self.text(value, inputs) for name, value in step.get("env", {}).items()}
        if "run" in step:
            self._shell(step, environ, inputs)
        elif step["uses"].startswith(OURS):
            self._composite(step, environ, inputs)
        else:
            self.used.append(step["uses"])

    def _composite(self, step: Doc, environ: dict[str, str], inputs: Doc) -> None:
        """Our ``action.yml``: its steps see its inputs, the step's variables, each other's outputs and failures."""
        action = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
        given = {name: self.text(value, inputs) for name, value in step.get("with", {}).items()}
        assert given.keys() <= action["inputs"].keys()
        defaults = {name: self.text(each.get("default", "")) for name, each in action["inputs"].items()}
        inner = Job(self.checkout, self.temp, {**self.contexts, "steps": {}}, {**self.environ, **environ})
        for each in action["runs"]["steps"]:
            inner.step(each, defaults | given | self.installed)
        self.log += inner.log
        self.used += inner.used
        self.failed |= inner.failed
        self.outputs = {name: inner.text(each["value"]) for name, each in action["outputs"].items()}
        self._remember(step, self.outputs)

    def _shell(self, step: Doc, environ: dict[str, str], inputs: Doc) -> None:
        assert "${{" not in step["run"]
        output = self.temp / "output"
        output.write_text("", encoding="utf-8")
        done = subprocess.run(
            ["bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"]],
            cwd=self.checkout / self.text(step.get("working-directory", "."), inputs),
            env={**self.environ, "GITHUB_OUTPUT": str(output), "GITHUB_ACTION_PATH": str(ROOT), **environ},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=300,
        )
        self.log += done.stdout
        self.failed |= done.returncode != 0
        self._remember(step, _outputs(output.read_text(encoding="utf-8")))

    def _remember(self, step: Doc, outputs: Doc) -> None:
        if "id" in step:
            self.contexts["steps"] = {**self.contexts["steps"], step["id"]: {"outputs": outputs}}

    def text(self, value: object, inputs: Doc | None = None) -> str:
        """A scalar of a workflow with its expressions evaluated."""
        written = {True: "true", False: "false"}.get(value, str(value)) if isinstance(value, bool) else str(value)
        return EXPRESSION.sub(lambda found: _spelled(self.value(found[1], inputs or {})), written)

    def value(self, expression: str, inputs: Doc) -> Any:
        """An expression of GitHub's: strings, contexts, ``! == != && ||`` and the functions about the job's status."""
        inner = found[1] if (found := EXPRESSION.fullmatch(expression.strip())) else expression
        statuses = {"always": True, "cancelled": False, "success": not self.failed, "failure": self.failed}
        scope = {**self.contexts, "inputs": {**self.contexts.get("inputs", {}), **inputs}}
        python, place = "", 0
        while inner[place:].strip():
            lexeme = LEXEME.match(inner, place)
            assert lexeme is not None, inner
            word, place = lexeme[1], lexeme.end()
            if inner[place : place + 2] == "()":
                python, place = f"{python}{statuses[word]}", place + 2
            else:
                python += OPERATORS.get(word) or repr(_literal(word, scope))
        return eval(python.strip(), {})


def _literal(word: str, scope: Doc) -> Any:
    if word.startswith("'"):
        return word[1:-1].replace("''", "'")
    if word in {"true", "false"}:
        return word == "true"
    value: Any = scope
    for name in word.split("."):
        value = value.get(name, "") if isinstance(value, dict) else ""
    return value


def _spelled(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _outputs(text: str) -> Doc:
    """What a step wrote to ``$GITHUB_OUTPUT``: ``name=value``, or ``name<<END``, lines, ``END``."""
    found: Doc = {}
    lines = iter(text.splitlines())
    for line in lines:
        name, sign, value = re.split(r"(<<|=)", line, maxsplit=1)
        if sign == "<<":
            value = "\n".join(iter(lambda end=value: _until(end, lines), None))  # type: ignore[misc]
        found[name] = value
    return found


def _until(end: str, lines: Iterator[str]) -> str | None:
    return None if (line := next(lines)) == end else line


@pytest.fixture(scope="session")
def tools(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A ``PATH`` with the ``reconciler`` of this checkout, this Python, and what the system has."""
    folder = tmp_path_factory.mktemp("bin")
    script = folder / "reconciler"
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m reconciler "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return os.pathsep.join([str(folder), str(Path(sys.executable).parent), os.environ["PATH"]])


@pytest.fixture
def forge() -> Iterator[Forge]:
    """GitHub's comments on pull request 12 of ``acme/bots``, written with ``TOKEN``."""
    made = Forge()
    with running(made) as made.url:
        yield made


@pytest.fixture
def platform() -> Iterator[str]:
    """The base URL of an empty Openlayer that accepts ``KEY`` only."""
    made = create_app(api_key=KEY)
    with running(made) as url:
        yield f"{url}/v1"
    made.state.database.close()


def commit(checkout: Path, message: str) -> None:
    """Everything in the checkout becomes a commit."""
    git(checkout, "add", "-A")
    git(checkout, "-c", "user.name=a", "-c", "user.email=a@example.com", "commit", "-q", "-m", message)


def git(folder: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


def job(checkout: Path, temp: Path, tools: str, event_name: str, event: Doc, environ: Mapping[str, str]) -> Job:
    """A job of ``acme/bots`` about an event, in a checkout."""
    temp.mkdir(exist_ok=True)
    (temp / "event.json").write_text(json.dumps(event), encoding="utf-8")
    github = {"event_name": event_name, "event": event, "repository": "acme/bots", "token": TOKEN, "ref": "main"}
    base = event.get("pull_request", {}).get("base", {}).get("ref", "")
    return Job(
        checkout,
        temp,
        {"github": github, "steps": {}, "secrets": {}, "vars": {}, "matrix": {}},
        {
            "PATH": tools,
            "PYTHONPATH": str(ROOT),
            "HOME": str(temp),
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_WORKSPACE": str(checkout),
            "GITHUB_REPOSITORY": "acme/bots",
            "GITHUB_SERVER_URL": "https://github.com",
            "GITHUB_EVENT_NAME": event_name,
            "GITHUB_EVENT_PATH": str(temp / "event.json"),
            "GITHUB_BASE_REF": base,
            "GITHUB_STEP_SUMMARY": str(temp / "summary"),
            "RUNNER_TEMP": str(temp),
            **environ,
        },
    )


def pull_request(of: str = "acme/bots") -> Doc:
    """The event of pull request 12 to main, whose branch lies in the repository ``of``; "" when that was deleted."""
    head = {"repo": {"full_name": of} if of else None, "ref": "change"}
    return {"pull_request": {"number": 12, "head": head, "base": {"ref": "main", "repo": {"full_name": "acme/bots"}}}}
