"""README and docs cannot lie: their commands run, their output is compared, their manifests are valid, links lead on.

What is run: in ``console`` blocks every line after ``$ ``, in ``sh`` blocks every line that begins with ``reconciler``,
or that installs it and goes on.  Blocks of one README section run in order in one folder, beside a copy of the
examples, with an emulator as the live platform.  A command must exit 0, or as its comment ``# exit 6`` says.  The lines
below a command must be its output, stdout and stderr together, 80 columns wide; a line ``…`` stands for any lines, and
digests are not compared.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import click
import pytest

from reconciler.cli.group import reconciler as command_group
from reconciler.cli.main import COMMANDS

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")])
KEY = "a-key-of-the-tests"
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
INSTALL = re.compile(r"^pip install \. && (?=reconciler )")


@dataclass(frozen=True)
class Command:
    """One command line, how it must end, and the output shown for it; no output shown means none is compared."""

    line: str
    exits: int
    shown: tuple[str, ...]


def _text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def _sections() -> dict[str, str]:
    """Heading -> text of every section of the README that has something to run."""
    parts = re.split(r"^## (.+)$", _text(ROOT / "README.md"), flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {heading: text for heading, text in found.items() if _commands(text)}


def _commands(text: str) -> list[Command]:
    """In order; one that is written for copying and then shown with its output is run once."""
    found = [command for kind, body in FENCE.findall(text) for command in _of_block(kind, body)]
    again = {
        number for number, pair in enumerate(pairwise(found)) if pair[0].line == pair[1].line and not pair[0].shown
    }
    return [command for number, command in enumerate(found) if number not in again]


def _of_block(kind: str, body: str) -> Iterator[Command]:
    if kind == "console":
        for part in re.split(r"^\$ ", body, flags=re.MULTILINE)[1:]:
            line, *shown = part.splitlines()
            yield _command(line, tuple(shown))
    if kind == "sh":
        for line in body.splitlines():
            run = INSTALL.sub("", line)
            if run.startswith("reconciler "):
                yield _command(run, ())


def _command(line: str, shown: tuple[str, ...]) -> Command:
    exits = re.search(r"  # exit (\d+)$", line)
    return Command(line, int(exits[1]) if exits else 0, shown)


# ------------------------------------------------------------------------------------------------ running


@pytest.fixture
def here(tmp_path: Path) -> Path:
    """A folder with the examples, and ``reconciler`` on the way to it."""
    shutil.copytree(ROOT / "examples", tmp_path / "examples", ignore=shutil.ignore_patterns(".reconciler"))
    script = tmp_path / "bin" / "reconciler"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} -m reconciler "$@"\n', encoding="utf-8")
    script.chmod(0o755)
    return tmp_path


@pytest.fixture
def platform() -> Iterator[str]:
    """The base URL of an emulator that holds a project made by hand."""
    server = subprocess.Popen(
        [sys.executable, "-m", "reconciler", "emulator", "--port", "0", "--api-key", KEY],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    url = server.stdout.readline().strip()
    project = _post(url, "/projects", {"name": "handmade", "taskType": "llm-base"})
    _post(url, f"/projects/{project['id']}/inference-pipelines", {"name": "production", "description": None})
    yield url
    server.terminate()
    server.wait(timeout=30)
    server.stdout.close()


def _post(url: str, path: str, body: dict[str, object]) -> dict[str, object]:
    request = urllib.request.Request(
        url + path,
        data=json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"},
        method="POST",
    )
    with urllib.request.urlopen(request, timeout=30) as reply:
        return dict(json.load(reply))


@pytest.mark.parametrize("heading", _sections())
def test_a_section_of_the_readme_does_what_it_says(heading: str, here: Path, platform: str) -> None:
    for command in _commands(_sections()[heading]):
        done = subprocess.run(
            ["bash", "-c", command.line],
            cwd=here,
            env={
                "PATH": f"{here / 'bin'}:{os.environ['PATH']}",
                "PYTHONPATH": str(ROOT),
                "COLUMNS": "80",
                "OPENLAYER_BASE_URL": platform,
                "OPENLAYER_API_KEY": KEY,
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        assert done.returncode == command.exits, f"$ {command.line}\n{done.stdout}"
        if command.shown:
            assert _is_shown(command.shown, done.stdout), f"$ {command.line}\n{done.stdout}"


def _is_shown(shown: tuple[str, ...], output: str) -> bool:
    """Whether the output is what is shown, ``…`` standing for any lines."""
    gap = r"(?:[^\n]*\n)*?"
    lines = [gap if line == "…" else re.escape(_steady(line)) + r"\n" for line in shown if line.strip()]
    steady = "".join(f"{_steady(line)}\n" for line in output.splitlines() if line.strip())
    return re.fullmatch("".join(lines), steady) is not None


def _steady(line: str) -> str:
    return re.sub(r"\(digest [0-9a-f]{12}\)", "(digest 0)", line).rstrip()


# ---------------------------------------------------------------------------------------------- reading


def test_the_first_command_is_the_one_that_the_quickstart_is_made_for() -> None:
    wanted = "```sh\npip install . && reconciler apply examples/quickstart --env local --yes --evaluate\n```"
    assert wanted in _text(ROOT / "README.md")


def test_continuous_integration_runs_the_test_command_of_the_readme() -> None:
    command = next(line for line in _text(ROOT / "README.md").splitlines() if line.startswith("pip install '.[test]'"))
    assert command == "pip install '.[test]' && pytest -n auto"
    assert _text(ROOT / ".ci" / "run").splitlines()[-1] == command
    assert ".ci/run" in _text(ROOT / ".github" / "workflows" / "ci.yml")


def _spoken() -> list[tuple[str, str]]:
    """(page, command line) of every ``reconciler ...`` in the pages: in code spans, console and sh blocks."""
    found = []
    for page in PAGES:
        text = _text(page)
        lines = [command.line for command in _commands(text)]
        spans = re.findall(r"`(reconciler\s[^`]+)`", FENCE.sub("", text))
        lines += [re.sub(r"\s+", " ", span) for span in spans]
        found += [(page.name, line) for line in lines if line.startswith("reconciler ")]
    return found


@pytest.mark.parametrize(("page", "line"), _spoken())
def test_every_command_in_the_pages_exists_with_its_options(page: str, line: str) -> None:
    """Parsed as the command line would be, without being run."""
    words = shlex.split(line.partition("  #")[0].partition(" > ")[0].partition(" && ")[0])[1:]
    words = [word for word in words if word not in ("…", "...")]
    command: click.Command = command_group
    context = click.Context(command, info_name="reconciler")
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, found, words = command.resolve_command(context, words)
        assert found is not None, f"{page}: {line}"
        command, context = found, click.Context(found, info_name=name, parent=context)
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h", "--version"}
    unknown = [word for word in words if word.startswith("-") and word.partition("=")[0] not in known]
    assert unknown == [], f"{page}: {line}"


def test_nobody_is_told_to_install_what_bears_our_name_in_the_package_index() -> None:
    """That is somebody else's project: ours is installed from a checkout, or from where its code is."""
    asked = re.compile(r"""\binstall\s+(?:-\S+\s+)*["'`]*reconciler\b(?!\S*\s+@ )""")
    places = [*(ROOT / "reconciler").rglob("*"), *(ROOT / "examples").rglob("*"), *(ROOT / "docs").rglob("*")]
    texts = [each for each in (*places, *ROOT.glob("*.*")) if each.suffix in (".md", ".py", ".yaml", ".yml", ".toml")]
    assert len(texts) > 200
    assert [path.relative_to(ROOT).as_posix() for path in texts if asked.search(_text(path))] == []


def test_every_command_and_option_stands_in_the_page_of_commands() -> None:
    text = _text(ROOT / "docs" / "commands.md")
    sections = dict(re.findall(r"^## `reconciler (\w+)`$(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert list(sections) == list(COMMANDS)
    shared = re.search(r"^## Options of most commands$(.*?)(?=^## )", text, re.MULTILINE | re.DOTALL)
    assert shared is not None
    missing = [
        f"{name} {option}"
        for name in COMMANDS
        for option in sorted(_options(name))
        if f"`{option}" not in sections[name] and f"`{option}" not in shared[1]
    ]
    assert missing == []


def _options(name: str) -> set[str]:
    """The long options of a command and of the commands below it."""
    command = command_group.get_command(click.Context(command_group), name)
    assert command is not None
    commands = [command, *(command.commands.values() if isinstance(command, click.Group) else ())]
    return {
        opt for each in commands for parameter in each.params for opt in parameter.opts if opt.startswith("--")
    }  # fmt: skip


@pytest.mark.parametrize("page", [page.relative_to(ROOT).as_posix() for page in PAGES])
def test_the_manifests_of_a_page_are_valid_together(page: str, here: Path) -> None:
    """Those that begin with ``apiVersion``; the others are fragments."""
    blocks = [body for kind, body in FENCE.findall(_text(ROOT / page)) if kind == "yaml"]
    manifests = [body for body in blocks if body.startswith("apiVersion:")]
    folder = here / "manifests"
    folder.mkdir()
    for number, manifest in enumerate(manifests):
        (folder / f"{number:02}.yaml").write_text(manifest, encoding="utf-8")
    if not manifests:
        assert blocks == [], f"{page}: fragments without a manifest that they belong to"
        return
    done = subprocess.run(
        [here / "bin" / "reconciler", "validate", "manifests"],
        cwd=here,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr


@pytest.mark.parametrize("page", [page.relative_to(ROOT).as_posix() for page in PAGES])
def test_the_links_of_a_page_lead_somewhere(page: str) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", _text(ROOT / page))
    broken = [link for link in links if "://" not in link and not ((ROOT / page).parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("page", ["README.md", "docs/architecture.md"])
def test_the_layout_that_a_page_draws_is_the_layout(page: str) -> None:
    """Every folder and module of the package, and nothing else."""
    drawing = next(body for kind, body in FENCE.findall(_text(ROOT / page)) if body.startswith("reconciler/\n"))
    drawn = {line.split()[0] for line in drawing.splitlines()[1:] if re.match(r"  \S", line)}
    package = ROOT / "reconciler"
    folders = {f"{path.name}/" for path in package.iterdir() if path.is_dir() and (path / "__init__.py").exists()}
    modules = {path.name for path in package.glob("*.py") if not path.name.startswith("__")}
    assert drawn == folders | modules
