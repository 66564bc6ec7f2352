"""``reconciler evaluate``: trigger evaluations, wait for them, judge the results."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.options import VERDICT_FORMS, Common, Report, common, example, output_format, report_option
from reconciler.cli.ranges import range_options

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.cli.reports import Reports
    from reconciler.pipeline.measuring import Evaluated


@click.command(
    "evaluate",
    epilog=example(
        "reconciler evaluate --env production --since 7d\n"
        "reconciler evaluate --select 'support-bot/monitoring/*' --from 2026-11-01 --to 2026-11-08"
    ),
)
@common(locks=True)
@range_options
@click.option("--overwrite", is_flag=True, help="Evaluate again where there are results already.")
@click.option("--no-wait", is_flag=True, help="Trigger and leave; run again to wait for what was triggered.")
@click.option("--timeout", default="10m", show_default=True, metavar="DURATION", help="Wait at most so long.")
@output_format(*VERDICT_FORMS)
@report_option(*VERDICT_FORMS)
def command(
    common: Common,
    since: str | None,
    start: str | None,
    end: str | None,
    overwrite: bool,
    no_wait: bool,
    timeout: str,
    style: str,
    reports: tuple[Report, ...],
) -> int:
    """Evaluate the tests declared under PATH (default: this folder) over a time range.

    An evaluation is triggered at most once: run the same command again to go on waiting.  Exits 5 when a gate
    fails; a test that was skipped, failed to run or has no result counts as failed, unless its gate says otherwise.
    """
    import os
    import time

    from reconciler.cli.console import Console
    from reconciler.cli.ranges import time_range
    from reconciler.cli.reports import Reports
    from reconciler.cli.running import Signals, run
    from reconciler.errors import UsageInvalid
    from reconciler.model.values import parse_duration
    from reconciler.pipeline.measuring import Measurement, evaluate
    from reconciler.pipeline.session import Hooks, session
    from reconciler.settings import Settings

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    try:
        deadline_s = parse_duration(timeout)
    except ValueError as error:
        raise UsageInvalid(f"--timeout {timeout}: {error}") from error
    ask = Measurement(
        time_range(since, start, end, time.time()), overwrite=overwrite, wait=not no_wait, deadline_s=deadline_s
    )

    async def main(_: Signals) -> Evaluated:
        hooks = Hooks(event=console.event, note=console.story, progress=console.evaluating)
        async with session(common.request(), settings, hooks) as here:
            return await evaluate(here, ask)

    if no_wait and reports:
        raise UsageInvalid("--report has nothing to tell of evaluations that nobody waits for", hint="leave one out")
    with Reports(reports, console, settings.ci, environment=common.named_environment) as told:
        evaluated = run(main, console.story)
        console.end_progress()
        if no_wait:
            console.answer(f"{len(evaluated.result.unfinished)} evaluations are under way.")
            return 0
        return told.end(report_verdicts(evaluated, style, console, told))


def report_verdicts(evaluated: Evaluated, style: str, console: Console, told: Reports) -> int:
    """Print the verdicts and what stands beside them; returns 5 when a gate fails, 4 when nobody can tell, else 0."""
    from reconciler.cli.render import show_verdicts
    from reconciler.evaluating.gates import passed
    from reconciler.reporting.escape import terminal

    told.judged(evaluated.verdicts, evaluated.apart, passed=passed(evaluated.verdicts))
    shown = show_verdicts(evaluated.verdicts, style, console, environment=told.environment, apart=evaluated.apart)
    console.answer(shown)
    if evaluated.apart:
        count, reason = len(evaluated.apart), evaluated.apart[0][1]
        console.story(terminal(f"{count} test{'' if count == 1 else 's'} left out: {reason}"))
    if evaluated.unapplied:
        console.story(f"warning: {evaluated.unapplied} changes in the manifests are not applied yet")
    if not passed(evaluated.verdicts):
        return 5
    return 4 if evaluated.result.doubtful else 0
