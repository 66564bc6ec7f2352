"""``reconciler status``: the same gate as ``evaluate``, on what was recorded already."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.options import (
    RUNS,
    Common,
    Report,
    apart,
    common,
    example,
    output_format,
    report_option,
)
from reconciler.cli.ranges import given_range, range_options
from reconciler.cli.render import VERDICT_FORMS
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.settings import Settings


@click.command(
    "status",
    epilog=example(
        "reconciler status --env production\nreconciler status --since 7d --format json\n"
        "reconciler status --run 2c4f1d0e-7a55-4f0b-9d3e-6a1c0f0b8e21"
    ),
)
@common(*RUNS)
@range_options
@click.option("--changed", is_flag=True, help="Only what the last apply touched.")
@click.option("--commit", metavar="ID", help="Judge development tests by this commit's results, or by the 'latest'.")
@click.option("--run", "run_id", metavar="UUID", help="Show one evaluation run with all of its fields.")
@output_format(*VERDICT_FORMS)
@report_option(*VERDICT_FORMS)
def command(
    common: Common,
    since: str | None,
    start: str | None,
    end: str | None,
    changed: bool,
    commit: str | None,
    run_id: str | None,
    style: str,
    reports: tuple[Report, ...],
) -> int:
    """Judge the recorded results of the tests declared under PATH (default: this folder).

    Without a time range the latest result of each test on each pipeline counts.  Triggers nothing.  Exits 5 when a
    gate fails.
    """
    import os
    import time

    from reconciler.cli.console import Console
    from reconciler.cli.evaluate import report_verdicts
    from reconciler.cli.ranges import time_range
    from reconciler.cli.reports import Reports, recent
    from reconciler.cli.running import in_session
    from reconciler.errors import UsageInvalid
    from reconciler.pipeline.measuring import Inquiry, evaluate
    from reconciler.settings import Settings

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    ranges = given_range(since, start, end)
    if run_id is not None:
        chosen = {"PATH": common.named_paths, "--select": common.select, "--changed": changed, "--commit": commit}
        forms = {"--report": reports, f"--format {style}": style not in ("text", "json")}
        apart("--run", run_id, {**ranges, **chosen, **forms}, hint="it shows one run of --env, as text or json")
        return _show_run(run_id, common, style, console, settings)
    ranged = any(ranges.values())
    if commit is not None and ranged:
        raise UsageInvalid("--commit goes without a time range: its results are of the commit")
    within = time_range(since, start, end, time.time()) if ranged else None
    ask = Inquiry(within, trigger=False, changed=changed, commit=commit or "", recent=recent(style, reports))

    with Reports(reports, console, settings.ci, environment=common.named_environment) as told:
        evaluated = in_session(lambda here: evaluate(here, ask), common.request(), settings, console, ahead=True)
        return told.end(report_verdicts(evaluated, style, console, told))


def _show_run(run_id: str, common: Common, style: str, console: Console, settings: Settings) -> int:
    from reconciler.cli.running import in_session
    from reconciler.pipeline.showing import show_run
    from reconciler.reporting.machine import to_json
    from reconciler.reporting.objects import object_text

    found = in_session(lambda here: show_run(here, run_id), common.request(), settings, console, manifests=False)
    console.answer(to_json(found) if style == "json" else object_text(found))
    return ExitCode.DONE
