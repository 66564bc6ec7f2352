"""``reconciler destroy``: remove what we manage."""

from __future__ import annotations

import click

from reconciler.cli.options import Common, common, example, output_format


@click.command(
    "destroy",
    epilog=example("reconciler destroy --env staging\nreconciler destroy --env local --yes"),
)
@common(locks=True)
@click.option("--yes", is_flag=True, help="Do not ask for the environment's name.")
@output_format("text", "json", "markdown")
def command(common: Common, yes: bool, style: str) -> int:
    """Delete our projects and pipelines and archive our tests in an environment; nothing that is not ours.

    Asks for the environment's name.  Refuses (exit 3) while anything is protected, or while a project holds objects
    that are not ours.
    """
    import os

    from reconciler.cli.apply import report
    from reconciler.cli.asking import Asking
    from reconciler.cli.console import Console, StepStory
    from reconciler.cli.running import Signals, run
    from reconciler.pipeline.applying import apply
    from reconciler.pipeline.session import DEFAULT, Hooks, session
    from reconciler.settings import Settings

    console = Console.of(common)
    story = StepStory(console)
    asking = Asking(console, style=style, yes=yes, word=common.environment or DEFAULT)

    def confirmed(plan: object) -> None:
        from reconciler.model.plan import Plan

        assert isinstance(plan, Plan)
        asking.confirm(plan)
        story.begin(plan)

    async def main(signals: Signals) -> int:
        hooks = Hooks(
            event=console.event, planned=asking.show, confirm=confirmed, started=story.started, ended=story.ended,
            note=console.story,
        )  # fmt: skip
        async with session(common.request(), Settings.from_environ(os.environ), hooks) as here:
            signals.gently = here.stop.set
            applied = await apply(here, destroy=True)
            console.end_progress()
            code = report(applied, style, console)
            signals.raise_if_received()
            return code

    return run(main, console.story)
