"""Lead through an apply or a destroy: show the plan, ask, count the steps, tell how they ended.  Touches: the terminal.

What the commands do besides is theirs: ``carried_out`` is given it as ``work``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

from reconciler.cli.asking import Asking
from reconciler.cli.console import Console, StepStory
from reconciler.cli.options import WHOLE_FORMS
from reconciler.cli.render import NOTHING_YET, show_outcomes
from reconciler.cli.running import Signals, run
from reconciler.errors import ExitCode, ReconcilerError
from reconciler.model.outcome import StepStatus
from reconciler.pipeline.session import Hooks, Request, Session, session

if TYPE_CHECKING:
    from reconciler.cli.reports import Reports
    from reconciler.model.plan import Plan
    from reconciler.pipeline.applying import Applied
    from reconciler.settings import Settings


class Course:
    """What has to be told while it goes on.  ``style`` is the form of the answer, or NOTHING_YET."""

    def __init__(self, console: Console, told: Reports, signals: Signals, style: str) -> None:
        self.console, self.told, self.signals, self.style = console, told, signals, style

    def applied(self, done: Applied) -> int:
        """Nothing is under way any more: say what was done.

        Returns INCOMPLETE when not every step is done, else DONE; raises Interrupted when a signal has come in.
        """
        self.signals.gently = None
        self.console.end_progress()
        self.told.applied(done.outcomes)
        if done.outcomes:
            self._answer(done)
        self.signals.raise_if_received()
        is_whole = all(outcome.status is StepStatus.DONE for outcome in done.outcomes)
        return ExitCode.DONE if is_whole else ExitCode.INCOMPLETE

    def _answer(self, done: Applied) -> None:
        from reconciler.reporting.escape import terminal

        if self.style != NOTHING_YET:
            self.console.answer(show_outcomes(done.planned.plan, done.outcomes, self.style, self.console))
        in_another_form = "the platform stores these in another form; write them that way in the manifest"
        never_taken = "apply again; if that changes nothing, the platform does not take these values"
        told = (done.unsettled, in_another_form), (done.not_taken, never_taken), (done.unsent, "apply again")
        for sentences, hint in told:
            for sentence in sentences:
                self.console.story(terminal(f"warning: {sentence}"))
            if sentences:
                self.console.story(f"  hint: {hint}")


def carried_out(
    work: Callable[[Session, Course], Awaitable[int]],
    request: Request,
    settings: Settings,
    console: Console,
    told: Reports,
    *,
    style: str,
    yes: bool,
    word: str = "",
    plan_file: str = "",
) -> int:
    """Do the work in a session that reads the manifests; returns the exit code, once all reports are written.

    ``yes`` and ``word`` are those of ``Asking``; ``plan_file`` is the saved plan that is carried out.
    """
    whole = style if style in WHOLE_FORMS else ""
    style = NOTHING_YET if whole else style
    story, asking = StepStory(console), Asking(console, style=style, yes=yes, word=word)

    def planned(plan: Plan) -> None:
        told.planned(plan, file=plan_file)
        asking.show(plan)

    async def main(signals: Signals) -> int:
        def confirmed(plan: Plan) -> None:
            asking.confirm(plan, signals)
            story.begin(plan)

        hooks = Hooks(
            event=console.event, planned=planned, confirm=confirmed, started=story.started, ended=story.ended,
            note=console.story, progress=console.evaluating, check=signals.raise_if_received,
        )  # fmt: skip
        async with session(request, settings, hooks) as here:
            signals.gently = here.stop.set
            return await work(here, Course(console, told, signals, style))

    ended: ReconcilerError | None = None
    with told:
        try:
            return told.end(run(main, console.story))
        except ReconcilerError as error:
            ended = error
            raise
        finally:
            if whole:
                console.answer(told.document(whole, ended))
