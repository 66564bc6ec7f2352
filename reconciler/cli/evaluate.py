"""``reconciler evaluate``: trigger evaluations, wait for them, judge the results."""

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
    lock_option,
    output_format,
    report_option,
)
from reconciler.cli.ranges import cost_options, given_range, range_options
from reconciler.cli.render import VERDICT_FORMS
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.cli.reports import Reports
    from reconciler.pipeline.measuring import Evaluated


@click.command(
    "evaluate",
    epilog=example(
        "reconciler evaluate --env production --since 7d --max-evaluations 200\n"
        "reconciler evaluate --select 'support-bot/monitoring/*' --from 2026-11-01 --to 2026-11-08"
    ),
)
@common(*RUNS, lock_option)
@range_options
@click.option("--overwrite", is_flag=True, help="Evaluate again where there are results already.")
@click.option("--changed", is_flag=True, help="Only what the last apply touched.")
@click.option("--no-wait", is_flag=True, help="Trigger and leave; --resume waits for what was triggered.")
@click.option("--resume", is_flag=True, help="Trigger nothing; wait for what earlier runs have triggered.")
@click.option("--commit", metavar="ID", help="Judge development tests by this commit's results, or by the 'latest'.")
@cost_options
@output_format(*VERDICT_FORMS)
@report_option(*VERDICT_FORMS)
def command(
    common: Common,
    since: str | None,
    start: str | None,
    end: str | None,
    overwrite: bool,
    changed: bool,
    no_wait: bool,
    resume: bool,
    commit: str | None,
    timeout: str | None,
    most: int | None,
    style: str,
    reports: tuple[Report, ...],
) -> int:
    """Evaluate the tests declared under PATH (default: this folder) over a time range.

    An evaluation is triggered at most once: run the same command again, or with --resume, to go on waiting.  Exits 5
    when a gate fails; a test that was skipped, failed to run or has no result counts as failed, unless its gate says
    otherwise.  Exits 3 when it would cost more than --max-evaluations.
    """
    import os
    import time

    from reconciler.cli.console import Console
    from reconciler.cli.ranges import patience, time_range
    from reconciler.cli.reports import Reports, recent
    from reconciler.cli.running import in_session
    from reconciler.errors import UsageInvalid
    from reconciler.pipeline.measuring import Inquiry, evaluate
    from reconciler.settings import Settings

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    costs = {"--overwrite": overwrite, "--max-evaluations": most is not None, "--no-wait": no_wait}
    triggers = {**given_range(since, start, end), **costs}
    apart("--resume", resume, {**triggers, "--changed": changed, "--commit": commit is not None})
    apart("--commit", commit is not None, triggers)
    ask = Inquiry(
        None if resume else time_range(since, start, end, time.time()),
        changed=changed,
        overwrite=overwrite,
        wait=not no_wait,
        resume=resume,
        commit=commit or "",
        deadline_s=patience(timeout),
        most=most,
        recent=recent(style, reports),
    )

    if no_wait and reports:
        raise UsageInvalid("--report has nothing to tell of evaluations that nobody waits for", hint="leave one out")
    with Reports(reports, console, settings.ci, environment=common.named_environment) as told:
        evaluated = in_session(lambda here: evaluate(here, ask), common.request(), settings, console)
        console.end_progress()
        if no_wait and not evaluated.nothing:
            return told.end(_left_alone(evaluated, console))
        return told.end(report_verdicts(evaluated, style, console, told))


def _left_alone(evaluated: Evaluated, console: Console) -> int:
    """Say what is under way; returns GATE_FAILED when something could not be started, INCOMPLETE when nobody
    can tell, else DONE.
    """
    from reconciler.reporting.escape import terminal

    result = evaluated.result
    count = len({each.address for each in result.unfinished})
    console.answer(
        f"{count:,} {'test is' if count == 1 else 'tests are'} being evaluated; to wait for the results: "
        + console.command("reconciler evaluate --resume")
    )
    for each in result.evaluations:
        console.story(terminal(f"not started: {each.address}: {each.message}"))
    _warn_of_doubts(evaluated, console)
    if result.evaluations:
        return ExitCode.GATE_FAILED
    return ExitCode.INCOMPLETE if result.doubtful else ExitCode.DONE


def _warn_of_doubts(evaluated: Evaluated, console: Console) -> None:
    from reconciler.reporting.escape import terminal
    from reconciler.reporting.tables import doubt_words

    for each in evaluated.doubts:
        console.story(terminal(f"warning: {doubt_words(each)}"))


def report_verdicts(evaluated: Evaluated, style: str, console: Console, told: Reports) -> int:
    """Print the verdicts and what stands beside them; returns 5 when a gate fails, 4 when nobody can tell, else 0."""
    from reconciler.cli.render import NOTHING_YET, show_verdicts
    from reconciler.evaluating.gates import passed
    from reconciler.reporting.escape import terminal

    good = passed(evaluated.verdicts) or bool(evaluated.nothing)
    cost = evaluated.estimate.to_json() if evaluated.estimate else None
    told.judged(
        evaluated.verdicts, evaluated.apart, passed=good, cost=cost, doubts=evaluated.doubts, past=evaluated.past
    )
    if evaluated.nothing:
        console.story(f"Nothing to evaluate: {evaluated.nothing}.")
    elif style != NOTHING_YET:
        shown = show_verdicts(
            evaluated.verdicts,
            style,
            console,
            environment=told.environment,
            apart=evaluated.apart,
            cost=cost,
            doubts=evaluated.doubts,
            past=evaluated.past,
        )
        console.answer(shown)
    if evaluated.apart:
        count, reason = len(evaluated.apart), evaluated.apart[0][1]
        console.story(terminal(f"{count} test{'' if count == 1 else 's'} left out: {reason}"))
    if evaluated.unapplied:
        count = evaluated.unapplied
        differ = "resource differs" if count == 1 else "resources differ"
        hint = console.command("reconciler plan")
        console.story(f"warning: {count} {differ} from the manifests at the platform\n  hint: {hint} shows how")
    _warn_of_doubts(evaluated, console)
    if not good:
        return ExitCode.GATE_FAILED
    return ExitCode.INCOMPLETE if evaluated.result.doubtful else ExitCode.DONE
