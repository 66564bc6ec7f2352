"""``reconciler destroy``: remove what we manage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.options import (
    PLAN_FORMS,
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

    from reconciler.model.plan import Plan


@click.command(
    "destroy",
    epilog=example("reconciler destroy --env staging\nreconciler destroy projects/old.yaml --env local --yes"),
)
@common(*RUNS, lock_option)
@click.option("--yes", is_flag=True, help="Do not ask for the environment's name.")
@ack_option
@output_format("text", "json", "markdown")
@report_option(*PLAN_FORMS)
def command(common: Common, yes: bool, acks: Mapping[str, int], style: str, reports: tuple[Report, ...]) -> int:
    """Delete our projects and pipelines and archive our tests in an environment; nothing that is not ours.

    With a PATH only what was declared there, else everything, also what no manifest declares any more.

    Asks for the environment's name.  Refuses (exit 3) while anything is protected, or while a project holds objects
    that are not ours; where these are archived, --ack delete=N takes them along.
    """
    import os

    from reconciler.cli.apply import report
    from reconciler.cli.asking import Asking
    from reconciler.cli.console import Console, StepStory
    from reconciler.cli.render import NOTHING_YET
    from reconciler.cli.reports import Reports
    from reconciler.cli.running import Signals, run
    from reconciler.pipeline.applying import apply
    from reconciler.pipeline.session import DEFAULT, Hooks, session
    from reconciler.settings import Settings

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    told = Reports(reports, console, settings.ci, environment=common.named_environment)
    story = StepStory(console)
    whole = style == "json"  # one document, which is complete only at the end
    style = NOTHING_YET if whole else style
    asking = Asking(console, style=style, yes=yes, word=common.environment or DEFAULT)

    def planned(plan: Plan) -> None:
        told.planned(plan)
        asking.show(plan)

    async def main(signals: Signals) -> int:
        def confirmed(plan: Plan) -> None:
            asking.confirm(plan, signals)
            story.begin(plan)

        hooks = Hooks(
            event=console.event, planned=planned, confirm=confirmed, started=story.started, ended=story.ended,
            note=console.story,
        )  # fmt: skip
        async with session(common.request(acks=acks), settings, hooks) as here:
            signals.gently = here.stop.set
            applied = await apply(here, destroy=True)
            console.end_progress()
            told.applied(applied.outcomes)
            code = report(applied, style, console)
            signals.raise_if_received()
            return code

    with told:
        try:
            return told.end(run(main, console.story))
        finally:
            if whole:
                console.answer(told.document())
