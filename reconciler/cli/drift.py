"""``reconciler drift``: only what somebody changed at the platform."""

from __future__ import annotations

import click

from reconciler.cli.options import RUNS, Common, Report, common, example, output_format, report_option
from reconciler.cli.render import PLAN_FORMS
from reconciler.errors import ExitCode


@click.command(
    "drift",
    epilog=example("reconciler drift --env production   # exit 2 when anything drifted: run it at night"),
)
@common(*RUNS)
@output_format(*PLAN_FORMS)
@report_option(*PLAN_FORMS)
@click.option("--unmanaged", is_flag=True, help="Also list what was made by hand in projects of ours.")
def command(common: Common, style: str, reports: tuple[Report, ...], unmanaged: bool) -> int:
    """Show what was changed at the platform since the last apply and differs from the resources under PATH.

    PATH is this folder by default.  What the manifests say by now as well is no drift.  Changes nothing.  Exits 0
    when clean, 2 when drifted, and 1 when it cannot be told.  Names the fields that the platform does not show: drift
    in those cannot be known.
    """
    import functools
    import os

    from reconciler.cli.console import Console
    from reconciler.cli.render import show_drift
    from reconciler.cli.reports import Reports
    from reconciler.cli.running import in_session
    from reconciler.pipeline.planning import drift
    from reconciler.settings import Settings

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    with Reports(reports, console, settings.ci, environment=common.named_environment) as told:
        look = functools.partial(drift, and_unmanaged=unmanaged)
        found = in_session(look, common.request(), settings, console, ahead=True).plan
        told.planned(found, drift=True)
        console.answer(show_drift(found, style, console))
        if found.pending or found.unmanaged:
            return told.end(ExitCode.CHANGES)
        return told.end(ExitCode.ERROR if found.refusals else ExitCode.DONE)
