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

    Prints the names of the files that changed.
    """
    from pathlib import Path

    from reconciler.manifests.files import rewrite

    check_paths(paths)
    changed = rewrite(paths or (".",), root=Path.cwd(), write=not check)
    for name in changed:
        click.echo(name)
    return ExitCode.ERROR if check and changed else ExitCode.DONE
