"""Show a plan and ask whether to go on.  Touches: the terminal."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import click

from reconciler.cli.render import NOTHING_YET, show_plan
from reconciler.errors import ConfirmationRequired, Interrupted

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.cli.running import Signals
    from reconciler.model.plan import Plan


class Asking:
    """``yes`` answers beforehand.  ``word`` is what has to be typed; an empty one means a plain yes or no."""

    def __init__(self, console: Console, *, style: str, yes: bool, word: str = "") -> None:
        self._console, self._style, self._yes, self._word = console, style, yes, word

    def show(self, plan: Plan) -> None:
        """Print the plan; as text on stderr where the answer comes in one piece at the end."""
        if self._style == NOTHING_YET:
            self._console.story(show_plan(plan, "text", self._console))
        else:
            self._console.answer(show_plan(plan, self._style, self._console))

    def confirm(self, plan: Plan, signals: Signals) -> None:
        """Return when the answer is yes.

        Raises ConfirmationRequired when it is no, or when nobody can be asked; Interrupted when a signal comes first.
        """
        if self._yes:
            return
        require_terminal("pass --yes if the plan is meant")
        count = len(plan.pending)
        what = f"{count:,} step{'' if count == 1 else 's'} in environment {plan.basis.environment}"
        question = f"{what}.  Type {self._word} to go on: " if self._word else f"Carry out {what}? [y/N]: "
        require_agreement(f"\n{question}", signals, word=self._word)


def require_terminal(hint: str) -> None:
    """Raise ConfirmationRequired when nobody can be asked."""
    if not sys.stdin.isatty():
        raise ConfirmationRequired("there is no terminal to ask on", hint=hint)


def require_agreement(question: str, signals: Signals, *, word: str = "") -> None:
    """Ask.  Raises ConfirmationRequired unless the answer is yes, or ``word``; Interrupted if a signal comes first."""
    answer = _answer(question, signals)
    agreed = answer == word if word else answer.lower() in ("y", "yes")
    if not agreed:
        raise ConfirmationRequired("not confirmed; nothing was changed")


def _answer(question: str, signals: Signals) -> str:
    """The line that is typed; empty when the input ends instead."""
    if signals.received is None:
        click.echo(question, nl=False, err=True)
    try:
        signals.wait_for_input(sys.stdin.fileno())
    except Interrupted:
        click.echo(err=True)  # what is said next does not belong on the line of the question
        raise
    return sys.stdin.readline().strip()
