"""``reconciler doctor``: is everything there that a run needs?"""

from __future__ import annotations

import click

from reconciler.cli.options import Common, common, events_option, example
from reconciler.errors import ExitCode


@click.command("doctor", epilog=example("reconciler doctor --env production"))
@common(events_option, paths=False)
def command(common: Common) -> int:
    """Check credentials, the way to each platform, and the state of an environment.

    Only reads.  Exits 1 when something does not work.
    """
    import os

    from reconciler.cli.console import Console
    from reconciler.cli.running import in_session
    from reconciler.pipeline.checking import examine
    from reconciler.reporting.escape import terminal
    from reconciler.settings import Settings

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    checks = in_session(examine, common.request(), settings, console, manifests=False)
    for check in checks:
        word = {True: "ok", False: "FAIL", None: "-"}[check.works]
        console.answer(terminal(f"{word:4}  {check.what}: {check.found}"))
        if check.hint and check.works is False:
            console.answer(terminal(f"      hint: {check.hint}"))
    return ExitCode.ERROR if any(check.works is False for check in checks) else ExitCode.DONE
