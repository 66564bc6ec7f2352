"""``reconciler fmt``: canonical YAML."""

from __future__ import annotations

import click

from reconciler.cli.options import check_paths, example
from reconciler.errors import ExitCode


@click.command("fmt", epilog=example("reconciler fmt\nreconciler fmt --check manifests"))
@click.argument("paths", nargs=-1, metavar="[PATH]...")
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a file is not in canonical form.")
def command(paths: tuple[str, ...], check: bool) -> int:
    """Rewrite the manifests under PATH (default: this folder) in canonical form; comments stay.

    Prints the names of the files that changed.  What is no manifest is left alone; a file of that sort that PATH
    names itself is an error.
    """
    from pathlib import Path

    from reconciler.cli.console import Console
    from reconciler.manifests.files import rewrite
    from reconciler.providers import VENDORS

    check_paths(paths)
    done = rewrite(paths or (".",), root=Path.cwd(), vendors=VENDORS, write=not check)
    console = Console.of_process()
    for stranger in done.strangers:
        console.story(f"warning: left alone: {stranger}")
    for name in done.changed:
        click.echo(name)
    return ExitCode.ERROR if check and done.changed else ExitCode.DONE
