"""``reconciler export``: live projects -> manifests that plan to "no changes"."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.options import FOLDER, RUNS, Common, common, example, lock_option
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from reconciler.pipeline.exporting import Exported
    from reconciler.pipeline.session import Session


@click.command(
    "export",
    epilog=example("reconciler export --out manifests --adopt\nreconciler export --out one --select support-bot"),
)
@common(*RUNS, lock_option, paths=False)
@click.option("--out", required=True, type=FOLDER, metavar="DIR", help="Write one file a project there.")
@click.option("--adopt", is_flag=True, help="Also make the exported objects ours.")
@click.option("--force", is_flag=True, help="Overwrite files that are there.")
def command(common: Common, out: str, adopt: bool, force: bool) -> int:
    """Write manifests for the projects of the workspace, as they are now, and the files that they name.

    --select takes globs over project names.  Archived tests and what the platform never shows are left out.  Exits 4
    when something else was: a file could not be had, or two names are one.
    """
    import os

    from reconciler.cli.console import Console
    from reconciler.cli.running import in_session
    from reconciler.model.values import counted
    from reconciler.pipeline.exporting import export
    from reconciler.settings import Settings

    async def work(here: Session) -> Exported:
        return await export(here, out, adopt=adopt, force=force)

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    exported = in_session(work, common.request(), settings, console, manifests=False)
    for warning in exported.warnings:
        console.story(f"warning: {warning}")
    for file in exported.files:
        console.answer(f"+ {file}")
    what = f"{counted(exported.resources, 'resource')} in {counted(len(exported.files), 'file')}"
    console.answer(f"{what}{_whose(exported, adopt=adopt)}.")
    return ExitCode.DONE if exported.whole else ExitCode.INCOMPLETE


def _whose(exported: Exported, *, adopt: bool) -> str:
    if adopt:
        return ", which are ours now"
    if exported.owned == exported.resources:
        return ", which are ours"
    some = f"{exported.resources - exported.owned} " if exported.owned else ""
    return f"; {some}not ours until 'apply --adopt'"
