"""``reconciler destroy``: remove what we manage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.options import (
    RUNS,
    Common,
    Report,
    ack_option,
    common,
    example,
    lock_option,
    output_format,
    report_option,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from reconciler.cli.course import Course
    from reconciler.pipeline.session import Session
from reconciler.cli.render import PLAN_FORMS


@click.command(
    "destroy",
    epilog=example("reconciler destroy --env staging\nreconciler destroy projects/old.yaml --env local --yes"),
)
@common(*RUNS, lock_option)
@click.option("--yes", is_flag=True, help="Do not ask for the environment's name.")
@ack_option
@output_format("text", "json", "markdown", "html")
@report_option(*PLAN_FORMS)
def command(common: Common, yes: bool, acks: Mapping[str, int], style: str, reports: tuple[Report, ...]) -> int:
    """Delete our projects and pipelines and archive our tests in an environment; nothing that is not ours.

    With a PATH only what was declared there, else everything, also what no manifest declares any more.

    Asks for the environment's name.  Refuses (exit 3) while anything is protected, or while a project holds objects
    that are not ours; where these are archived, --ack delete=N takes them along.
    """
    import os

    from reconciler.cli.console import Console
    from reconciler.cli.course import carried_out
    from reconciler.cli.reports import Reports
    from reconciler.pipeline.applying import apply
    from reconciler.settings import Settings

    async def work(here: Session, course: Course) -> int:
        return course.applied(await apply(here, destroy=True))

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    name = common.named_environment
    told = Reports(reports, console, settings.ci, environment=name)
    return carried_out(work, common.request(acks=acks), settings, console, told, style=style, yes=yes, word=name)
