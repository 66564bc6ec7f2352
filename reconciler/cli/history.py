"""``reconciler history``: what was measured before, as a table and a line."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.options import Common, common, example, output_format

if TYPE_CHECKING:
    from reconciler.model.history import Observation
    from reconciler.pipeline.session import Session


@click.command(
    "history",
    epilog=example(
        "reconciler history 'support-bot/*' --env production\n"
        "reconciler history openlayer.Test/support-bot/monitoring/Faithful --pipeline production --limit 100\n"
        "reconciler history --format csv > history.csv"
    ),
)
@click.argument("tests", nargs=-1, metavar="[TEST]...")
@common(paths=False)
@click.option("--pipeline", metavar="NAME", help="Only what was measured on this pipeline.")
@click.option(
    "--limit", type=click.IntRange(min=1), default=30, show_default=True, metavar="N",
    help="At most so many of each test and pipeline, the newest.",
)  # fmt: skip
@output_format("text", "json", "csv")
def command(common: Common, tests: tuple[str, ...], pipeline: str | None, limit: int, style: str) -> None:
    """Show what was measured before of each TEST (an address or a glob over addresses; default: all).

    Every verdict that evaluate, status and apply --evaluate have shown is kept.  Asks no platform anything.
    """
    import os
    import sys

    from reconciler.cli.console import Console
    from reconciler.cli.running import in_session
    from reconciler.pipeline.remembering import recorded
    from reconciler.reporting.history import history_csv, history_json, history_text
    from reconciler.settings import Settings

    async def work(here: Session) -> tuple[tuple[Observation, ...], str]:
        return recorded(here, tests, pipeline, limit), here.environment

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    found, environment = in_session(work, common.request(), settings, console, manifests=False, mends=True)
    if style == "json":
        console.answer(history_json(found, environment=environment))
    elif style == "csv":
        console.answer(history_csv(found))
    else:
        unicode = _shows_blocks(getattr(sys.stdout, "encoding", None) or "ascii")
        text = history_text(
            found, width=console.width, color=console.answer_color, unicode=unicode, verbose=console.verbose
        )
        console.answer(text)


def _shows_blocks(encoding: str) -> bool:
    """Whether text in this encoding can hold a sparkline, and the terminal is one that draws."""
    import os

    try:
        "▁█".encode(encoding)
    except (LookupError, UnicodeEncodeError):
        return False
    return os.environ.get("TERM") != "dumb"
