"""``reconciler show``: a saved plan, as it was shown when it was made."""

from __future__ import annotations

import click

from reconciler.cli.options import FILE, example, looks, output_format


@click.command(
    "show", epilog=example("reconciler show plan.json\nreconciler show plan.json --format markdown > plan.md")
)
@click.argument("file", metavar="PLAN", type=FILE)
@output_format("text", "json", "markdown", "html")
@looks
def command(file: str, style: str, no_color: bool, verbose: bool) -> None:
    """Show PLAN, which 'plan --out' saved, as it was shown then.

    Asks no platform, reads no manifests and changes nothing.
    Refuses what 'apply --plan' would not read: a file that is no plan, or was changed after it was made.
    """
    from reconciler.cli.console import Console
    from reconciler.cli.render import show_plan
    from reconciler.cli.saved_plan import read_plan, told_plan
    from reconciler.reporting.machine import to_json

    saved = read_plan(file, named=file)
    console = Console(color=not no_color, verbose=verbose)
    console.answer(to_json(saved) if style == "json" else show_plan(told_plan(saved, named=file), style, console))
