"""``reconciler validate``: everything that can be said without the platform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import Common, common, example, output_format

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.errors import Problem


@click.command("validate", epilog=example("reconciler validate\nreconciler validate --format sarif > problems.sarif"))
@common(runs=False)
@output_format("text", "json", "github", "sarif", "gitlab")
def command(common: Common, style: str) -> int:
    """Check the manifests under PATH (default: this folder), for every environment they declare or for --env.

    Needs no account and no network.  Reports every problem at once; exits 1 when there is one.
    """
    import os

    from reconciler.cli.console import Console
    from reconciler.errors import ManifestsInvalid
    from reconciler.pipeline.checking import check_manifests
    from reconciler.settings import Settings

    console = Console.of(common)
    try:
        checked = check_manifests(common.request(), Settings.from_environ(os.environ))
    except ManifestsInvalid as error:
        _answer(error.problems, style, console)
        return 1
    for warning in checked.warnings:
        console.story(f"warning: {warning}")
    if style == "text":
        where = f" in {len(checked.environments)} environments" if len(checked.environments) > 1 else ""
        console.answer(f"{checked.resources} resources{where}: valid.")
    else:
        _answer((), style, console)
    return 0


def _answer(problems: Sequence[Problem], style: str, console: Console) -> None:
    match style:
        case "json":
            from reconciler.reporting.machine import problems_json

            console.answer(problems_json(problems))
        case "github":
            from reconciler.reporting.github import problems_github

            console.answer(problems_github(problems))
        case "sarif":
            from reconciler import __version__
            from reconciler.reporting.sarif import problems_sarif

            console.answer(problems_sarif(problems, version=__version__))
        case "gitlab":
            from reconciler.reporting.gitlab import problems_gitlab

            console.answer(problems_gitlab(problems))
        case _:
            from reconciler.reporting.text import problems_text

            console.answer(problems_text(problems, color=console.answer_color))
