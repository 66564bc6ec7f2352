"""Choose the renderer that a form names: the text of ``--format``, or of one ``--report``."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from msgspec import Struct

from reconciler import __version__
from reconciler.cli.next_commands import plan_in_environment
from reconciler.cli.places import PLACED, placed_doubts, placed_plan, placed_problems, placed_verdicts

if TYPE_CHECKING:
    from reconciler.errors import Problem, ReconcilerError
    from reconciler.model.outcome import Doubt, StepOutcome, Verdict
    from reconciler.model.plan import Plan
    from reconciler.model.resource import Address
    from reconciler.model.values import Fields
    from reconciler.reporting.pages import Past


NOTHING_YET = ""
"""The form of what is printed in one piece with something that comes later."""


class Paper(Protocol):
    """What a text is written for."""

    @property
    def width(self) -> int:
        """Columns."""

    @property
    def answer_color(self) -> bool:
        """Whether colours are shown."""

    @property
    def verbose(self) -> bool:
        """Whether every field is wanted."""

    @property
    def place(self) -> str:
        """The way from the top of a CI job's checkout to where we run: ``evals/``, or nothing."""


class File(Struct, frozen=True):
    """A file that somebody reads later, or a machine."""

    width: int = 100
    answer_color: bool = False
    verbose: bool = False
    place: str = ""


def tool() -> str:
    """Name and version, as they stand in files that we write."""
    return f"reconciler {__version__}"


def show_plan(plan: Plan, form: str, paper: Paper) -> str:
    """A plan in one of the forms ``PLAN_FORMS``."""
    plan = placed_plan(plan, paper.place) if form in PLACED else plan
    return _PLAN[form](plan if form == "json" else plan_in_environment(plan), paper)


def _plan_text(plan: Plan, paper: Paper) -> str:
    from reconciler.reporting.text import plan_text

    return plan_text(plan, width=paper.width, color=paper.answer_color, verbose=paper.verbose)


def _plan_json(plan: Plan, _: Paper) -> str:
    from reconciler.reporting.machine import plan_json

    return plan_json(plan, tool=tool())


def _plan_markdown(plan: Plan, paper: Paper) -> str:
    from reconciler.reporting.markdown import plan_markdown

    return plan_markdown(plan, verbose=paper.verbose)


def _plan_html(plan: Plan, paper: Paper) -> str:
    return _page(paper, plan=plan)


def _plan_github(plan: Plan, _: Paper) -> str:
    from reconciler.reporting.github import github, of_plan

    return github(of_plan(plan))


def _plan_gitlab(plan: Plan, _: Paper) -> str:
    from reconciler.reporting.gitlab import plan_gitlab

    return plan_gitlab(plan)


def show_drift(plan: Plan, form: str, paper: Paper) -> str:
    """Drift in one of the forms ``PLAN_FORMS``: told from the platform in some, in all others as a plan."""
    if form not in _DRIFT:
        return show_plan(plan, form, paper)
    plan = placed_plan(plan, paper.place) if form in PLACED else plan
    return _DRIFT[form](plan_in_environment(plan), paper)


def _drift_text(plan: Plan, paper: Paper) -> str:
    from reconciler.reporting.text import drift_text

    return drift_text(plan, width=paper.width, color=paper.answer_color, verbose=paper.verbose)


def _drift_markdown(plan: Plan, paper: Paper) -> str:
    from reconciler.reporting.markdown import drift_markdown

    return drift_markdown(plan, verbose=paper.verbose)


def _drift_html(plan: Plan, paper: Paper) -> str:
    return _page(paper, plan=plan, only_drift=True)


def _drift_github(plan: Plan, _: Paper) -> str:
    from reconciler.reporting.github import github, of_drift

    return github(of_drift(plan))


def show_outcomes(plan: Plan, outcomes: Sequence[StepOutcome], form: str, paper: Paper) -> str:
    """What an apply did as text, json or markdown."""
    plan = placed_plan(plan, paper.place) if form in PLACED else plan
    return _OUTCOMES[form](plan, outcomes, paper)


def _outcomes_text(plan: Plan, outcomes: Sequence[StepOutcome], paper: Paper) -> str:
    from reconciler.reporting.text import apply_text

    return apply_text(plan, outcomes, width=paper.width, color=paper.answer_color, verbose=paper.verbose)


def _outcomes_json(plan: Plan, outcomes: Sequence[StepOutcome], _: Paper) -> str:
    from reconciler.reporting.machine import outcomes_json

    return outcomes_json(plan, outcomes)


def _outcomes_markdown(plan: Plan, outcomes: Sequence[StepOutcome], _: Paper) -> str:
    from reconciler.reporting.pages import outcomes_markdown

    return outcomes_markdown(plan, outcomes)


class _Judged(Struct, frozen=True):
    """Verdicts, and what some forms tell beside them."""

    verdicts: Sequence[Verdict]
    environment: str
    apart: Sequence[tuple[Address, str]]
    cost: Fields | None
    doubts: Sequence[Doubt]
    past: Past
    error: ReconcilerError | None


def show_verdicts(
    verdicts: Sequence[Verdict],
    form: str,
    paper: Paper,
    *,
    environment: str = "",
    apart: Sequence[tuple[Address, str]] = (),
    cost: Fields | None = None,
    doubts: Sequence[Doubt] = (),
    past: Past | None = None,
    error: ReconcilerError | None = None,
) -> str:
    """Verdicts in one of the forms ``VERDICT_FORMS``; json also tells the ``cost``, html shows the ``past``, and junit
    holds the ``error`` that ended the run after they were there.

    The ``doubts`` stand in all of them but the text: there they come after it, in the story.
    """
    verdicts = placed_verdicts(verdicts, paper.place) if form in PLACED else verdicts
    doubts = placed_doubts(doubts, paper.place) if form in PLACED else doubts
    return _VERDICTS[form](_Judged(verdicts, environment, apart, cost, doubts, past or {}, error), paper)


def _verdicts_text(told: _Judged, paper: Paper) -> str:
    from reconciler.reporting.tables import verdict_summary, verdict_table

    table = verdict_table(told.verdicts, width=paper.width, color=paper.answer_color, verbose=paper.verbose)
    summary = verdict_summary(told.verdicts)
    return table if summary in table else f"{table.rstrip()}\n\n{summary}"


def _verdicts_json(told: _Judged, _: Paper) -> str:
    from reconciler.reporting.machine import verdicts_json

    return verdicts_json(told.verdicts, environment=told.environment, cost=told.cost, doubts=told.doubts)


def _verdicts_markdown(told: _Judged, _: Paper) -> str:
    from reconciler.reporting.markdown import verdicts_markdown

    return verdicts_markdown(told.verdicts, environment=told.environment, doubts=told.doubts)


def _verdicts_html(told: _Judged, paper: Paper) -> str:
    return _page(paper, environment=told.environment, verdicts=told.verdicts, doubts=told.doubts, past=told.past)


def _verdicts_github(told: _Judged, _: Paper) -> str:
    from reconciler.reporting.github import github, of_doubts, of_verdicts

    return github([*of_verdicts(told.verdicts), *of_doubts(told.doubts)])


def _verdicts_junit(told: _Judged, _: Paper) -> str:
    from reconciler.reporting.junit import verdicts_junit

    return verdicts_junit(told.verdicts, told.apart, doubts=told.doubts, error=told.error)


def _verdicts_openmetrics(told: _Judged, _: Paper) -> str:
    from reconciler.reporting.openmetrics import verdicts_openmetrics

    return verdicts_openmetrics(told.verdicts, told.doubts)


def show_problems(problems: Sequence[Problem], form: str, paper: Paper) -> str:
    """Mistakes in manifests in one of the forms ``PROBLEM_FORMS``."""
    return _PROBLEMS[form](placed_problems(problems, paper.place) if form in PLACED else problems, paper)


def _problems_text(problems: Sequence[Problem], paper: Paper) -> str:
    from reconciler.reporting.text import problems_text

    return problems_text(problems, color=paper.answer_color)


def _problems_json(problems: Sequence[Problem], _: Paper) -> str:
    from reconciler.reporting.machine import problems_json

    return problems_json(problems)


def _problems_markdown(problems: Sequence[Problem], _: Paper) -> str:
    from reconciler.reporting.pages import problems_markdown

    return problems_markdown(problems)


def _problems_html(problems: Sequence[Problem], paper: Paper) -> str:
    return _page(paper, problems=problems)


def _problems_github(problems: Sequence[Problem], _: Paper) -> str:
    from reconciler.reporting.github import github, of_problems

    return github(of_problems(problems))


def _problems_gitlab(problems: Sequence[Problem], _: Paper) -> str:
    from reconciler.reporting.gitlab import problems_gitlab

    return problems_gitlab(problems)


def _problems_sarif(problems: Sequence[Problem], _: Paper) -> str:
    from reconciler.reporting.sarif import problems_sarif

    return problems_sarif(problems, version=__version__)


def _page(paper: Paper, **parts: Any) -> str:
    """A page of HTML that tells ``parts`` of a run."""
    from reconciler.reporting.html_page import page_html
    from reconciler.reporting.pages import Told

    return page_html(Told(**parts), verbose=paper.verbose)


def show_error(error: ReconcilerError, form: str) -> str:
    """What ended a run before there was anything else to show; empty in forms that have no place for it."""
    if form != "junit":
        return ""
    from reconciler.reporting.junit import verdicts_junit

    return verdicts_junit((), error=error)


# Each form with what renders it, in the order in which they are offered: a form that is not here cannot be asked for.
# What renders it is loaded when it is asked for.
_PLAN: Mapping[str, Callable[[Plan, Paper], str]] = {
    "text": _plan_text,
    "json": _plan_json,
    "markdown": _plan_markdown,
    "html": _plan_html,
    "github": _plan_github,
    "gitlab": _plan_gitlab,
}
_DRIFT: Mapping[str, Callable[[Plan, Paper], str]] = {
    "text": _drift_text,
    "markdown": _drift_markdown,
    "html": _drift_html,
    "github": _drift_github,
}
_OUTCOMES: Mapping[str, Callable[[Plan, Sequence[StepOutcome], Paper], str]] = {
    "text": _outcomes_text,
    "json": _outcomes_json,
    "markdown": _outcomes_markdown,
}
_VERDICTS: Mapping[str, Callable[[_Judged, Paper], str]] = {
    "text": _verdicts_text,
    "json": _verdicts_json,
    "markdown": _verdicts_markdown,
    "html": _verdicts_html,
    "github": _verdicts_github,
    "junit": _verdicts_junit,
    "openmetrics": _verdicts_openmetrics,
}
_PROBLEMS: Mapping[str, Callable[[Sequence[Problem], Paper], str]] = {
    "text": _problems_text,
    "json": _problems_json,
    "markdown": _problems_markdown,
    "html": _problems_html,
    "github": _problems_github,
    "gitlab": _problems_gitlab,
    "sarif": _problems_sarif,
}
PLAN_FORMS, VERDICT_FORMS, PROBLEM_FORMS = tuple(_PLAN), tuple(_VERDICTS), tuple(_PROBLEMS)
"""What can be printed of a plan, of verdicts and of mistakes: the choices of ``--format`` and ``--report``."""
