"""Choose the renderer that a ``--format`` names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from reconciler import __version__

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.model.outcome import Verdict
    from reconciler.model.plan import Plan


def tool() -> str:
    """Name and version, as they stand in files that we write."""
    return f"reconciler {__version__}"


def show_plan(plan: Plan, style: str, console: Console) -> str:
    """A plan as text, json or markdown."""
    if style == "json":
        from reconciler.reporting.machine import plan_json

        return plan_json(plan, tool=tool())
    if style == "markdown":
        from reconciler.reporting.markdown import plan_markdown

        return plan_markdown(plan, verbose=console.verbose)
    from reconciler.reporting.text import plan_text

    return plan_text(plan, width=console.width, color=console.answer_color, verbose=console.verbose)


def show_drift(plan: Plan, style: str, console: Console) -> str:
    """Drift as text or json."""
    if style == "json":
        from reconciler.reporting.machine import plan_json

        return plan_json(plan, tool=tool())
    from reconciler.reporting.text import drift_text

    return drift_text(plan, width=console.width, color=console.answer_color, verbose=console.verbose)


def show_verdicts(verdicts: Sequence[Verdict], style: str, console: Console) -> str:
    """Verdicts as a table, json or markdown."""
    if style == "json":
        from reconciler.reporting.machine import verdicts_json

        return verdicts_json(verdicts)
    if style == "markdown":
        from reconciler.reporting.markdown import verdicts_markdown

        return verdicts_markdown(verdicts)
    from reconciler.reporting.tables import verdict_summary, verdict_table

    table = verdict_table(verdicts, width=console.width, color=console.answer_color, verbose=console.verbose)
    summary = verdict_summary(verdicts)
    return table if summary in table else f"{table.rstrip()}\n\n{summary}"
