"""``reconciler plan``: read live state, show what would change."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import (
    FILE,
    RUNS,
    Common,
    Report,
    ack_option,
    adopt_option,
    common,
    deny_option,
    example,
    goes_with,
    output_format,
    report_option,
)
from reconciler.cli.render import PLAN_FORMS
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from reconciler.model.plan import Plan
    from reconciler.pipeline.session import Session


@click.command(
    "plan",
    epilog=example(
        "reconciler plan                          # everything below this folder\n"
        "reconciler plan --env staging --out plan.json && reconciler apply --plan plan.json\n"
        "reconciler plan --select 'support-bot/*' --format markdown\n"
        "reconciler plan --replay 30d             # what would the new thresholds have flagged?\n"
        "reconciler plan --offline --base origin/main   # no account, no network: two revisions compared"
    ),
)
@common(*RUNS)
@adopt_option
@ack_option
@deny_option
@click.option("--out", type=FILE, metavar="FILE", help="Save the plan for 'apply --plan'.")
@output_format(*PLAN_FORMS)
@report_option(*PLAN_FORMS)
@click.option("--replay", metavar="DURATION", help="Judge the results of the last 30d, ... by the new thresholds.")
@click.option("--rollback", is_flag=True, help="Say what 'apply --evaluate --rollback' could not put back.")
@click.option("--offline", is_flag=True, help="Ask no platform: check the manifests, or compare them with --base.")
@click.option("--base", metavar="REF", help="With --offline: the git revision whose manifests to compare with.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when there are changes, 0 when there are none.")
def command(
    common: Common,
    adopt: bool,
    acks: Mapping[str, int],
    deny: tuple[str, ...],
    out: str | None,
    replay: str | None,
    rollback: bool,
    offline: bool,
    base: str | None,
    style: str,
    reports: tuple[Report, ...],
    detailed_exitcode: bool,
) -> int:
    """Compare the manifests under PATH (default: this folder) with the platform.

    Changes nothing.  Exits 3 when the plan holds refusals.
    """
    import os

    from reconciler.cli.console import Console
    from reconciler.cli.render import show_plan, tool
    from reconciler.cli.reports import Reports
    from reconciler.cli.running import in_session
    from reconciler.errors import UsageInvalid
    from reconciler.pipeline.planning import plan
    from reconciler.settings import Settings

    against = "without it, the manifests are compared with the platform"
    goes_with("--offline", offline, {"--base": base is not None}, hint=against)
    if offline:
        needing = {"--out": out, "--adopt": adopt, "--replay": replay, "--rollback": rollback}
        if option := next((name for name, given in needing.items() if given), None):
            raise UsageInvalid(f"{option} needs the platform", hint="leave out --offline")
        from reconciler.cli.offline_plan import plan_offline

        return plan_offline(
            common, base=base, acks=acks, deny=deny, style=style, detailed_exitcode=detailed_exitcode, reports=reports
        )

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    look_back_s = None
    if replay is not None:
        from reconciler.cli.ranges import seconds

        look_back_s = seconds("--replay", replay)

    async def work(here: Session) -> Plan:
        planned = await plan(here)
        if planned.state.unsettled and planned.plan.is_empty:
            from reconciler.cli.verification import not_verified
            from reconciler.pipeline.measuring import unsettled

            verify = f"reconciler apply --evaluate{' --rollback' if planned.state.before else ''}"
            not_verified(console, len(unsettled(here, planned.state)), verify)
        if rollback:
            from reconciler.pipeline.rolling_back import with_what_stays

            planned = with_what_stays(planned)
        if look_back_s is not None:
            from reconciler.pipeline.replaying import replayed

            planned = await replayed(here, planned, look_back_s)
        return planned.plan  # and nothing of what it was made from, which nobody needs to keep and tidy up

    with Reports(reports, console, settings.ci, environment=common.named_environment) as told:
        request = common.request(adopt=adopt, acks=acks, deny=deny)
        found = in_session(work, request, settings, console, ahead=True)
        if out:
            from reconciler.reporting.machine import plan_json

            _save(Path(out), plan_json(found, tool=tool()))
        told.planned(found, file=out or "")
        console.answer(show_plan(found, style, console))
        if found.refusals:
            return told.end(ExitCode.REFUSED)
        return told.end(ExitCode.CHANGES if detailed_exitcode and found.has_changes else ExitCode.DONE)


def _save(path: Path, text: str) -> None:
    """Write for the owner's eyes only: a plan quotes manifests."""
    import os

    from reconciler.errors import SettingsInvalid

    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise SettingsInvalid(f"--out {path}: {error.strerror}") from error
