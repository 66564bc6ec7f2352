"""``reconciler status``: the same gate as ``evaluate``, on what was recorded already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.options import Common, common, example, output_format
from reconciler.cli.ranges import range_options

if TYPE_CHECKING:
    from reconciler.pipeline.measuring import Evaluated


@click.command(
    "status",
    epilog=example("reconciler status --env production\nreconciler status --since 7d --format json"),
)
@common()
@range_options
@output_format("text", "json", "markdown")
def command(common: Common, since: str | None, start: str | None, end: str | None, style: str) -> int:
    """Judge the recorded results of the tests declared under PATH (default: this folder).

    Without a time range the latest result of each test on each pipeline counts.  Triggers nothing.  Exits 5 when a
    gate fails.
    """
    import os
    import time

    from reconciler.cli.console import Console
    from reconciler.cli.evaluate import report_verdicts
    from reconciler.cli.ranges import time_range
    from reconciler.cli.running import Signals, run
    from reconciler.pipeline.measuring import Measurement, evaluate
    from reconciler.pipeline.session import Hooks, session
    from reconciler.settings import Settings

    console = Console.of(common)
    ranged = since is not None or start is not None or end is not None
    ask = Measurement(time_range(since, start, end, time.time()) if ranged else None, trigger=False)

    async def main(_: Signals) -> Evaluated:
        hooks = Hooks(event=console.event, note=console.story, progress=console.evaluating)
        async with session(common.request(), Settings.from_environ(os.environ), hooks) as here:
            return await evaluate(here, ask)

    return report_verdicts(run(main, console.story), style, console)
