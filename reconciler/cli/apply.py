"""``reconciler apply``: plan, ask, do, read back; with ``--evaluate`` go on and measure what changed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import (
    FILE,
    RUNS,
    Common,
    Report,
    ack_option,
    adopt_option,
    apart,
    common,
    deny_option,
    example,
    goes_with,
    lock_option,
    output_format,
    report_option,
)
from reconciler.cli.ranges import cost_options, given_range, range_options

if TYPE_CHECKING:
    from reconciler.cli.course import Course
    from reconciler.pipeline.session import Session
from reconciler.cli.render import PLAN_FORMS, VERDICT_FORMS


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
@output_format("text", "json", "markdown", "html")
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

    from reconciler.cli.console import Console
    from reconciler.cli.course import carried_out
    from reconciler.cli.ranges import patience, time_range
    from reconciler.cli.reports import Reports, recent
    from reconciler.cli.saved_plan import read_plan
    from reconciler.cli.verification import Verification
    from reconciler.errors import UsageInvalid
    from reconciler.pipeline.applying import apply
    from reconciler.pipeline.measuring import Inquiry
    from reconciler.settings import Settings

    goes_with("--plan", plan_file, {"--resume": resume})
    shapes = {"PATH": common.named_paths, "--select": common.select, "--adopt": adopt, "--ack": acks}
    apart("--plan", plan_file, shapes, hint="what a saved plan covers and allows was said when it was made")
    costs = {"--timeout": timeout is not None, "--max-evaluations": most is not None}
    goes_with("--evaluate", evaluates, {"--rollback": rollback, **given_range(since, start, end), **costs})
    within = time_range(since, start, end, time.time())
    ask = Inquiry(within, deadline_s=patience(timeout), most=most, recent=recent(style, reports))
    if not evaluates and (judging := [each.form for each in reports if each.form not in PLAN_FORMS]):
        raise UsageInvalid(f"--report {judging[0]} goes with --evaluate: it tells of verdicts")
    settings = Settings.from_environ(os.environ)
    request = common.request(adopt=adopt, acks=acks, deny=deny)
    saved = read_plan(plan_file) if plan_file else None
    if saved is not None:
        request = request.with_options(saved["basis"]["options"])

    async def work(here: Session, course: Course) -> int:
        if not evaluates:
            return course.applied(await apply(here, saved=saved, resumed=resume))
        return await Verification(ask, course, rollback=rollback).run(here, saved=saved, resumed=resume)

    console = Console.of(common, environment=request.environment)
    told = Reports(reports, console, settings.ci, environment=request.environment or "default")
    agreed = yes or saved is not None
    return carried_out(work, request, settings, console, told, style=style, yes=agreed, plan_file=plan_file or "")
