"""Choose the renderer that a form names: the text of ``--format``, or of one ``--report``."""

from __future__ import annotations

from collections.abc import Sequence
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
    """A plan as text, json, markdown, html, github or gitlab."""
    plan = placed_plan(plan, paper.place) if form in PLACED else plan
    plan = plan if form == "json" else plan_in_environment(plan)
    match form:
        case "json":
            from reconciler.reporting.machine import plan_json

            return plan_json(plan, tool=tool())
        case "markdown":
            from reconciler.reporting.markdown import plan_markdown

            return plan_markdown(plan, verbose=paper.verbose)
        case "html":
            return _page(paper, plan=plan)
        case "github":
            from reconciler.reporting.github import github, of_plan

            return github(of_plan(plan))
        case "gitlab":
            from reconciler.reporting.gitlab import plan_gitlab

            return plan_gitlab(plan)
        case _:
            from reconciler.reporting.text import plan_text

            return plan_text(plan, width=paper.width, color=paper.answer_color, verbose=paper.verbose)


def show_drift(plan: Plan, form: str, paper: Paper) -> str:
    """Drift as text, markdown, html or github, told from the platform; in all other forms as a plan."""
    plan = placed_plan(plan, paper.place) if form in ("markdown", "html", "github") else plan
    plan = plan_in_environment(plan) if form in ("text", "markdown", "html", "github") else plan
    match form:
        case "text":
            from reconciler.reporting.text import drift_text

            return drift_text(plan, width=paper.width, color=paper.answer_color, verbose=paper.verbose)
        case "markdown":
            from reconciler.reporting.markdown import drift_markdown

            return drift_markdown(plan, verbose=paper.verbose)
        case "html":
            return _page(paper, plan=plan, only_drift=True)
        case "github":
            from reconciler.reporting.github import github, of_drift

            return github(of_drift(plan))
        case _:
            return show_plan(plan, form, paper)


def show_outcomes(plan: Plan, outcomes: Sequence[StepOutcome], form: str, paper: Paper) -> str:
    """What an apply did as text, json, markdown or github."""
    plan = placed_plan(plan, paper.place) if form in PLACED else plan
    match form:
        case "json":
            from reconciler.reporting.machine import outcomes_json

            return outcomes_json(plan, outcomes)
        case "markdown":
            from reconciler.reporting.pages import outcomes_markdown

            return outcomes_markdown(plan, outcomes)
        case "github":
            from reconciler.reporting.github import github, of_outcomes

            return github(of_outcomes(plan, outcomes))
        case _:
            from reconciler.reporting.text import apply_text

            return apply_text(plan, outcomes, width=paper.width, color=paper.answer_color, verbose=paper.verbose)


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
) -> str:
    """Verdicts as a table, json, markdown, html, github, junit or openmetrics; json also tells the ``cost``, and
    html shows the ``past``.

    The ``doubts`` stand in all of them but the table: there they come after it, in the story.
    """
    verdicts = placed_verdicts(verdicts, paper.place) if form in PLACED else verdicts
    doubts = placed_doubts(doubts, paper.place) if form in PLACED else doubts
    match form:
        case "json":
            from reconciler.reporting.machine import verdicts_json

            return verdicts_json(verdicts, environment=environment, cost=cost, doubts=doubts)
        case "markdown":
            from reconciler.reporting.markdown import verdicts_markdown

            return verdicts_markdown(verdicts, environment=environment, doubts=doubts)
        case "html":
            return _page(paper, environment=environment, verdicts=verdicts, doubts=doubts, past=past or {})
        case "github":
            from reconciler.reporting.github import github, of_doubts, of_verdicts

            return github([*of_verdicts(verdicts), *of_doubts(doubts)])
        case "junit":
            from reconciler.reporting.junit import verdicts_junit

            return verdicts_junit(verdicts, apart, doubts=doubts)
        case "openmetrics":
            from reconciler.reporting.openmetrics import verdicts_openmetrics

            return verdicts_openmetrics(verdicts, doubts)
        case _:
            return _verdict_text(verdicts, paper)


def _verdict_text(verdicts: Sequence[Verdict], paper: Paper) -> str:
    from reconciler.reporting.tables import verdict_summary, verdict_table

    table = verdict_table(verdicts, width=paper.width, color=paper.answer_color, verbose=paper.verbose)
    summary = verdict_summary(verdicts)
    return table if summary in table else f"{table.rstrip()}\n\n{summary}"


def show_problems(problems: Sequence[Problem], form: str, paper: Paper) -> str:
    """Mistakes in manifests as text, json, markdown, html, github, gitlab or sarif."""
    problems = placed_problems(problems, paper.place) if form in PLACED else problems
    match form:
        case "json":
            from reconciler.reporting.machine import problems_json

            return problems_json(problems)
        case "markdown":
            from reconciler.reporting.pages import problems_markdown

            return problems_markdown(problems)
        case "html":
            return _page(paper, problems=problems)
        case "github":
            from reconciler.reporting.github import github, of_problems

            return github(of_problems(problems))
        case "gitlab":
            from reconciler.reporting.gitlab import problems_gitlab

            return problems_gitlab(problems)
        case "sarif":
            from reconciler.reporting.sarif import problems_sarif

            return problems_sarif(problems, version=__version__)
        case _:
            from reconciler.reporting.text import problems_text

            return problems_text(problems, color=paper.answer_color)


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
