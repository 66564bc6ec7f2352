"""``reconciler init``: the files of ``starter/`` -> a new folder.  Touches: disk."""

from __future__ import annotations

import os
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path

import click

from reconciler.cli.options import ANY, example

HIDDEN = "dot_"
"""How names in ``starter/`` spell a leading dot, so that build tools and git do not act on the files."""


@click.command("init", epilog=example("reconciler init evaluations\ncd evaluations\n"
               "reconciler apply --env local --yes --evaluate"))  # fmt: skip
@click.argument("folder", type=ANY, metavar="[DIR]", default=".")
def command(folder: str) -> None:
    """Write a commented starter repository into DIR (default: this folder), which is made if need be.

    A project with three tests, an environment that needs no account, one for the real platform, a CI workflow and a
    .gitignore.  Never overwrites: when one of its files is there already, nothing is written.
    """
    target = Path(folder)
    contents = dict(starter())
    _refuse_to_overwrite(target, contents)
    for name, content in contents.items():
        _write(target / name, content)
        click.echo(f"+ {target / name}")
    step = "" if folder == "." else f"cd {folder} && "
    click.echo(f"\nTry it without an account:  {step}reconciler apply --env local --yes --evaluate", err=True)


def starter() -> Iterator[tuple[str, bytes]]:
    """(name below DIR, content) of every file, in the order of names."""
    yield from _below(files("reconciler.cli") / "starter", "")


def _below(folder: Traversable, prefix: str) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name):
        name = prefix + ("." + entry.name.removeprefix(HIDDEN) if entry.name.startswith(HIDDEN) else entry.name)
        if entry.is_dir():
            yield from _below(entry, f"{name}/")
        else:
            yield name, entry.read_bytes()


def _refuse_to_overwrite(target: Path, contents: dict[str, bytes]) -> None:
    from reconciler.errors import UsageInvalid
    from reconciler.model.values import some_of

    taken = [str(target / name) for name in contents if os.path.lexists(target / name)]
    if taken:
        raise UsageInvalid(f"{some_of(taken, 1)} would be overwritten", hint="name another folder: reconciler init DIR")


def _write(path: Path, content: bytes) -> None:
    from reconciler.errors import SettingsInvalid

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            file.write(content)
    except OSError as error:
        raise SettingsInvalid(f"{path} cannot be written: {error.strerror}") from error
