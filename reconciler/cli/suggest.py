"""``reconciler suggest``: the strictest limit that past results can afford."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import Common, common, events_option, example, output_format, parallelism_option
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from reconciler.evaluating.suggesting import Budget
    from reconciler.pipeline.pinning import Suggested
    from reconciler.pipeline.session import Session

PERIODS = {"hour": 3600, "day": 86_400, "week": 604_800, "month": 2_592_000}


@click.command(
    "suggest",
    epilog=example(
        "reconciler suggest support-bot/monitoring/Faithful --budget 1/week --since 30d\n"
        "reconciler suggest Faithful --budget 1/week | git apply"
    ),
)
@click.argument("test", metavar="TEST")
@common(parallelism_option, events_option)
@click.option(
    "--budget", required=True, metavar="N/PERIOD", help="So many flagged windows at most: 1/week, 2/day, 3/30d."
)
@click.option("--since", default="30d", show_default=True, metavar="DURATION", help="Results of the last 30d, 90d, ...")
@click.option("--measurement", metavar="NAME", help="Which limit, where the test has several.")
@output_format("text", "json")
def command(common: Common, test: str, budget: str, since: str, measurement: str | None, style: str) -> int:
    """Find the strictest limit of TEST whose flagged windows stay within a budget, and that keeps every pin.

    Prints the evidence and a patch of the manifest; changes nothing.  Exits 1 when past results say too little.
    """
    import os

    from reconciler.cli.console import Console
    from reconciler.cli.ranges import seconds
    from reconciler.cli.running import in_session
    from reconciler.cli.streams import speak_utf8
    from reconciler.pipeline.pinning import suggested
    from reconciler.reporting.suggestions import SuggestedLimit, suggestion_json, suggestion_text, unified_diff
    from reconciler.settings import Settings

    async def work(here: Session) -> Suggested:
        return await suggested(here, test, allowed, look_back_s, measurement)

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    allowed, look_back_s = _budget(budget), seconds("--since", since)
    found = in_session(work, common.request(), settings, console, ahead=True)
    patch = unified_diff(found.source.file, found.now, found.then)
    made = SuggestedLimit(
        found.address,
        found.suggestion,
        allowed.count,
        allowed.period_s,
        look_back_s,
        patch,
        found.unpatched,
        found.whole,
    )
    if style == "json":
        console.answer(suggestion_json(made))
    else:
        speak_utf8()  # there is a patch in it
        console.answer(suggestion_text(made, width=console.width, color=console.answer_color))
    return ExitCode.DONE if found.suggestion.limit is not None else ExitCode.ERROR


def _budget(text: str) -> Budget:
    """``1/week``, ``0.5/day``, ``3/30d``.  Raises UsageInvalid."""
    from reconciler.cli.ranges import seconds
    from reconciler.errors import UsageInvalid
    from reconciler.evaluating.suggesting import Budget

    count, slash, period = text.partition("/")
    if not slash or not re.fullmatch(r"[0-9]+(\.[0-9]+)?", count) or not float(count):
        raise UsageInvalid(f"--budget {text}: not a budget", hint="write 1/week, 2/day or 3/30d")
    period_s = PERIODS.get(period) or seconds("--budget", period)
    if not period_s:
        raise UsageInvalid(f"--budget {text}: the time is empty", hint="write 1/week, 2/day or 3/30d")
    return Budget(float(count), period_s)
