"""Help is there at once: showing it loads click and nothing that is only needed to run a command."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from reconciler.cli.group import reconciler
from reconciler.cli.main import COMMANDS

CHECKOUT = Path(__file__).resolve().parents[1]
HEAVY = ("deepdiff", "httptools", "httpx", "pydantic", "yaml")
SCRIPT = """
import json, sys
from reconciler.cli.main import main
found = {}
for command in sys.argv[2:]:
    main([command, "--help"])
    found[command] = [name for name in sys.argv[1].split(",") if name in sys.modules]
print(json.dumps(found))
"""


def test_no_help_loads_a_heavy_library() -> None:
    """All of them in one process, so that the first to load one is named with it."""
    arguments = [sys.executable, "-c", SCRIPT, ",".join(HEAVY), *COMMANDS]
    done = subprocess.run(arguments, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {command: [] for command in COMMANDS}


@pytest.mark.parametrize(
    ("option", "commands"),
    [
        ("--select", "plan apply drift destroy export evaluate status state-list"),
        ("--parallelism", "plan apply drift destroy export evaluate status pin suggest"),
        (
            "--events",
            "plan apply drift destroy export evaluate status pin suggest state-import state-move-origin doctor",
        ),
        (
            "--lock-timeout",
            "apply destroy export evaluate state-rm state-mv state-import state-migrate state-move-origin",
        ),
    ],
)
def test_a_command_offers_what_it_honours(option: str, commands: str) -> None:
    """An option that is taken and then does nothing misleads: nobody is told that it was left out."""
    assert {name for name, command in _commands() if option in command} == set(commands.split())


def _commands() -> Iterator[tuple[str, set[str]]]:
    """Every command, those below another one joined to its name with a dash, with its options."""
    context = click.Context(reconciler)
    for name in COMMANDS:
        command = reconciler.get_command(context, name)
        assert command is not None
        below = command.commands if isinstance(command, click.Group) else {}
        for full, each in {name: command, **{f"{name}-{key}": each for key, each in below.items()}}.items():
            yield full, {option for parameter in each.params for option in parameter.opts}
