"""``reconciler validate``: everything that can be said without the platform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import Common, Report, common, example, output_format, report_option
from reconciler.cli.render import PROBLEM_FORMS
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.errors import Problem


@click.command(
    "validate",
    epilog=example(
        "reconciler validate\nreconciler validate --format sarif > problems.sarif\n"
        "reconciler validate --report github --report gitlab=codequality.json"
    ),
)
@common()
@output_format(*PROBLEM_FORMS)
@report_option(*PROBLEM_FORMS)
@click.option("--strict", is_flag=True, help="Fail on warnings, too.")
def command(common: Common, style: str, reports: tuple[Report, ...], strict: bool) -> int:
    """Check the manifests under PATH (default: this folder), for every environment they declare or for --env.

    Needs no account and no network.  Reports every problem at once; exits 1 when there is one.  Warnings fail nothing
    without --strict.
    """
    import os

    from reconciler.cli.console import Console
    from reconciler.cli.reports import Reports
    from reconciler.errors import ManifestsInvalid
    from reconciler.model.values import counted
    from reconciler.pipeline.checking import check_manifests
    from reconciler.settings import Settings

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    with Reports(reports, console, settings.ci) as told:
        try:
            checked = check_manifests(common.request(), settings)
        except ManifestsInvalid as error:
            told.checked(error.problems)
            _answer(error.problems, style, console)
            return told.end(ExitCode.ERROR)
        told.checked(checked.warnings)
        fails = strict and bool(checked.warnings)
        for warning in () if fails or style == "github" else checked.warnings:
            console.story(f"warning: {warning}")
        if style == "text" and not fails:
            where = f" in {len(checked.environments)} environments" if len(checked.environments) > 1 else ""
            console.answer(f"{counted(checked.resources, 'resource')}{where}: valid.")
        else:
            _answer(checked.warnings, style, console)
        return told.end(ExitCode.ERROR if fails else ExitCode.DONE)


def _answer(problems: Sequence[Problem], style: str, console: Console) -> None:
    from reconciler.cli.render import show_problems

    console.answer(show_problems(problems, style, console))
