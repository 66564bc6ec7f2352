"""``reconciler drift``: only what somebody changed at the platform."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.options import Common, common, example, output_format

if TYPE_CHECKING:
    from reconciler.pipeline.planning import Planned


@click.command(
    "drift",
    epilog=example("reconciler drift --env production   # exit 2 when anything drifted: run it at night"),
)
@common()
@output_format("text", "json")
def command(common: Common, style: str) -> int:
    """Compare the platform with what we last applied to the resources under PATH (default: this folder).

    Changes nothing.  Exits 0 when clean, 2 when drifted, and 1 when it can not be told.  Names the fields that the
    platform does not show: drift in those can not be known.
    """
    import os

    from reconciler.cli.console import Console
    from reconciler.cli.render import show_drift
    from reconciler.cli.running import Signals, run
    from reconciler.pipeline.planning import drift
    from reconciler.pipeline.session import Hooks, session
    from reconciler.settings import Settings

    console = Console.of(common)

    async def main(_: Signals) -> Planned:
        hooks = Hooks(event=console.event, note=console.story)
        async with session(common.request(), Settings.from_environ(os.environ), hooks) as here:
            return await drift(here)

    planned = run(main, console.story)
    console.answer(show_drift(planned.plan, style, console))
    if planned.plan.pending:
        return 2
    return 1 if planned.plan.refusals else 0
