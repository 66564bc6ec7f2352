"""``reconciler apply``: plan, ask, do, read back; with ``--evaluate`` go on and measure what changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import (
    FILE,
    PLAN_FORMS,
    RUNS,
    VERDICT_FORMS,
    Common,
    Report,
    ack_option,
    adopt_option,
    advising,
    apart,
    common,
    deny_option,
    example,
    lock_option,
    output_format,
    report_option,
)
from reconciler.cli.ranges import cost_options, range_options
from reconciler.cli.render import NOTHING_YET, show_outcomes
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.model.plan import Plan
    from reconciler.pipeline.applying import Applied


@click.command(
    "apply",
    epilog=example(
        "reconciler apply examples/quickstart --env local --yes --evaluate\n"
        "reconciler apply --env production --ack archive=7\n"
        "reconciler apply --env production --evaluate --since 2d --rollback\n"
        "reconciler apply --plan plan.json --yes"
    ),
)
@common(*RUNS, lock_option)
@adopt_option
@ack_option
@deny_option
@click.option("--plan", "plan_file", type=FILE, metavar="FILE", help="Apply a saved plan, "
              "if it still holds; does not ask.")  # fmt: skip
@click.option("--resume", is_flag=True, help="With --plan: finish a plan that was cut short.")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--evaluate", "evaluates", is_flag=True, help="Then evaluate the tests that changed, and gate on them.")
@click.option("--rollback", is_flag=True, help="With --evaluate: put back what was changed when the gate fails.")
@range_options
@cost_options
@output_format("text", "json", "markdown")
@report_option(*dict.fromkeys((*PLAN_FORMS, *VERDICT_FORMS)))
def command(
    common: Common,
    adopt: bool,
    acks: Mapping[str, int],
    deny: tuple[str, ...],
    plan_file: str | None,
    resume: bool,
    yes: bool,
    evaluates: bool,
    rollback: bool,
    since: str | None,
    start: str | None,
    end: str | None,
    timeout: str | None,
    most: int | None,
    style: str,
    reports: tuple[Report, ...],
) -> int:
    """Bring the platform in line with the manifests under PATH (default: this folder).

    Asks first, unless told --yes, or given a saved --plan: that was looked at before.  Exits 3 when the plan holds
    refusals, 4 when not every step worked, 5 when a gate fails, 6 when a saved plan is stale or the state is locked,
    7 when it cannot ask.  With --rollback a failed gate exits 8 when everything was put back, and 9, saying what is
    left to send, when it was not.
    """
    import os
    import time

    from reconciler.cli.asking import Asking
    from reconciler.cli.console import Console, StepStory
    from reconciler.cli.ranges import patience, time_range
    from reconciler.cli.reports import Reports
    from reconciler.cli.running import Signals, run
    from reconciler.cli.saved_plan import read_plan
    from reconciler.cli.verification import Verification
    from reconciler.errors import UsageInvalid
    from reconciler.pipeline.applying import apply
    from reconciler.pipeline.measuring import Inquiry
    from reconciler.pipeline.session import Hooks, session
    from reconciler.settings import Settings

    if resume and not plan_file:
        raise UsageInvalid("--resume goes with --plan")
    shapes = {"PATH": common.named_paths, "--select": common.select, "--adopt": adopt, "--ack": acks}
    apart("--plan", plan_file, shapes, hint="what a saved plan covers and allows was said when it was made")
    ranges = {"--since": since is not None, "--from": start is not None, "--to": end is not None}
    costs = {"--timeout": timeout is not None, "--max-evaluations": most is not None}
    for option, given in {"--rollback": rollback, **ranges, **costs}.items():
        if given and not evaluates:
            raise UsageInvalid(f"{option} goes with --evaluate")
    within = time_range(since, start, end, time.time())
    ask = Inquiry(within, deadline_s=patience(timeout), most=most)
    if not evaluates and (judging := [each.form for each in reports if each.form not in PLAN_FORMS]):
        raise UsageInvalid(f"--report {judging[0]} goes with --evaluate: it tells of verdicts")
    settings = Settings.from_environ(os.environ)
    request = common.request(adopt=adopt, acks=acks, deny=deny)
    saved = read_plan(plan_file) if plan_file else None
    if saved is not None:
        request = request.with_options(saved["basis"]["options"])
    console = Console.of(common, environment=request.environment)
    whole = style == "json"  # one document, which is complete only at the end
    style = NOTHING_YET if whole else style
    story, asking = StepStory(console), Asking(console, style=style, yes=yes or bool(plan_file))
    told = Reports(reports, console, settings.ci, environment=request.environment or "default")

    def planned(plan: Plan) -> None:
        told.planned(plan, file=plan_file or "")
        asking.show(plan)

    async def main(signals: Signals) -> int:
        def confirmed(plan: Plan) -> None:
            asking.confirm(plan, signals)
            story.begin(plan)

        hooks = Hooks(
            event=console.event, planned=planned, confirm=confirmed, started=story.started, ended=story.ended,
            note=console.story, progress=console.evaluating,
        )  # fmt: skip
        async with session(request, settings, hooks) as here:
            signals.gently = here.stop.set

            def applied(done: Applied) -> int:
                signals.gently = None
                console.end_progress()
                told.applied(done.outcomes)
                code = report(done, style, console)
                signals.raise_if_received()
                return code

            if not evaluates:
                return applied(await apply(here, saved=saved, resumed=resume))
            verify = Verification(ask, console, style, told, applied, signals, rollback=rollback)
            return await verify.run(here, saved=saved, resumed=resume)

    with told, advising(request.environment):
        try:
            return told.end(run(main, console.story))
        finally:
            if whole:
                console.answer(told.document())


def report(applied: Applied, style: str, console: Console) -> int:
    """Print what an apply did; returns INCOMPLETE when not every step is done, else DONE."""
    from reconciler.model.outcome import StepStatus

    if not applied.outcomes:
        return ExitCode.DONE
    if style != NOTHING_YET:
        console.answer(show_outcomes(applied.planned.plan, applied.outcomes, style, console))
    _warn_unsettled(applied, console)
    is_whole = all(outcome.status is StepStatus.DONE for outcome in applied.outcomes)
    return ExitCode.DONE if is_whole else ExitCode.INCOMPLETE


def _warn_unsettled(applied: Applied, console: Console) -> None:
    from reconciler.reporting.escape import terminal

    in_another_form = "the platform stores these in another form; write them that way in the manifest"
    for sentences, hint in (applied.unsettled, in_another_form), (applied.unsent, "apply again"):
        for sentence in sentences:
            console.story(terminal(f"warning: {sentence}"))
        if sentences:
            console.story(f"  hint: {hint}")
