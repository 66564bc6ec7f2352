"""``reconciler plan --offline``: what the manifests say, or how they differ from those of a git revision."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from reconciler.errors import ExitCode, UsageInvalid

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.cli.options import Common, Report
    from reconciler.pipeline.offline import Summary


def plan_offline(
    common: Common,
    *,
    base: str | None,
    acks: Mapping[str, int],
    deny: tuple[str, ...],
    style: str,
    detailed_exitcode: bool,
    reports: tuple[Report, ...] = (),
) -> int:
    """Answer without network and credentials; returns the exit code.

    Without ``base`` the manifests are checked and counted; there is nothing that they could change then.
    """
    import os

    from reconciler.cli.console import Console
    from reconciler.cli.render import show_plan
    from reconciler.cli.reports import Reports
    from reconciler.pipeline.offline import declarations, plan_against
    from reconciler.settings import Settings

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    request = common.request(acks=acks, deny=deny)
    if base is None:
        if detailed_exitcode:
            raise UsageInvalid("--detailed-exitcode needs something to compare with", hint="give --base REF")
        if reports or style in ("github", "gitlab"):
            option = "--report" if reports else f"--format {style}"
            raise UsageInvalid(f"{option} needs something to compare with", hint="give --base REF")
        _show_declarations(declarations(request, settings), style, console)
        return ExitCode.DONE
    environment = common.named_environment
    with Reports(reports, console, settings.ci, environment=environment, about="offline plan") as told:
        plan = plan_against(base, request, settings)
        told.planned(plan)
        console.answer(show_plan(plan, style, console))
        if plan.refusals:
            return told.end(ExitCode.REFUSED)
        return told.end(ExitCode.CHANGES if detailed_exitcode and plan.has_changes else ExitCode.DONE)


def _show_declarations(summary: Summary, style: str, console: Console) -> None:
    for warning in summary.warnings:
        console.story(f"warning: {warning}")
    if style == "json":
        from reconciler.reporting.declarations import declared_json

        console.answer(declared_json(summary.environments, summary.warnings))
    elif style == "markdown":
        from reconciler.reporting.declarations import declared_markdown

        console.answer(declared_markdown(summary.environments))
    elif style == "html":
        from reconciler.reporting.html_page import declared_html

        console.answer(declared_html(summary.environments))
    else:
        from reconciler.reporting.declarations import declared_text

        console.answer(declared_text(summary.environments, width=console.width, color=console.answer_color))
