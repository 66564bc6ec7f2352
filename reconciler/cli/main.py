"""Turn argv into a command, and whatever it raises into an exit code.

Nothing heavy is imported here: ``--version`` needs no library at all, ``--help`` only click.  Each command imports what
it needs when it runs.
"""

from __future__ import annotations

import errno
import gc
import os
import sys
from collections.abc import Callable
from functools import partial

from reconciler.cli.streams import spell_out

COMMANDS = {
    "init": "Write a commented starter repository.",
    "validate": "Check manifests offline; report every problem.",
    "plan": "Show what would change at the platform.",
    "show": "Show a saved plan again.",
    "apply": "Plan, ask, and make it so.",
    "drift": "Show only what somebody changed at the platform.",
    "destroy": "Remove what we manage.",
    "export": "Write manifests for what is at the platform.",
    "evaluate": "Trigger evaluations, wait, and gate on the results.",
    "status": "Gate on the latest results without triggering.",
    "history": "Show what was measured before.",
    "comment": "Keep one comment on the pull or merge request.",
    "pin": "Record an incident in git that a test must keep flagging.",
    "suggest": "Find the strictest limit within a budget of alerts.",
    "state": "Look into and mend the memory.",
    "schema": "Print the JSON schema of a document.",
    "fmt": "Rewrite manifests in canonical YAML.",
    "doctor": "Check credentials, reachability and the state.",
    "emulator": "Serve the vendors' APIs on this machine.",
}
"""Every command with its line in the help, in the order of use; each stands in a module of its name."""

SHORTEST_SECRET = 8
"""Characters.  What is shorter is no credential, and stands in ordinary words."""


def run() -> None:
    """The console script.  Exits with the codes of ``reconciler.errors``.

    Garbage is not collected, unless a command enables that: a run allocates much, drops little and ends soon.
    """
    gc.disable()
    # pydantic would open the metadata of every package of the environment, in search of plugins to let into our models.
    os.environ.setdefault("PYDANTIC_DISABLE_PLUGINS", "__all__")
    arguments = sys.argv[1:]
    for stream in ("stdout", "stderr"):
        if getattr(sys, stream) is None:  # closed by whoever started us: write to nobody
            setattr(sys, stream, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115, PTH123 - for the process
    spell_out()
    if arguments == ["--version"]:
        from reconciler import __version__

        print(f"reconciler {__version__}")  # noqa: T201 - before click is worth loading
        sys.exit(0)
    try:
        code = main(arguments)
    except KeyboardInterrupt:  # before there was a command that could be stopped
        from reconciler.errors import ExitCode

        code = ExitCode.INTERRUPTED
    gc.freeze()  # or Python searches all that the run has left once more before it ends
    sys.exit(code)


def main(arguments: list[str]) -> int:
    """Run one command; returns the exit code, and raises nothing but a Ctrl-C that comes while it begins."""
    import click

    from reconciler.cli.group import reconciler
    from reconciler.errors import ExitCode, ReconcilerError

    try:
        result = reconciler.main(arguments, prog_name="reconciler", standalone_mode=False)
    except click.UsageError as error:
        return _ended(ExitCode.USAGE, error.show)
    except (click.Abort, KeyboardInterrupt):
        return _ended(ExitCode.INTERRUPTED, partial(click.echo, "stopped", err=True))
    except click.ClickException as error:
        return _ended(ExitCode.ERROR, error.show)
    except ReconcilerError as error:
        return _ended(error.exit_code, partial(_show, error))
    except SystemExit as error:
        if error.code == 1:  # how click itself ends when the reader of the answer went away; commands return their code
            return ExitCode.BROKEN_PIPE
        raise
    except Exception as error:  # noqa: BLE001 - the last door: a bug of ours must read like one
        if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
            cut_short = f"error: what is written is cut short: {error.strerror}"
            return _ended(ExitCode.ERROR, partial(click.echo, cut_short, err=True))
        return _ended(ExitCode.ERROR, partial(_bug, error, arguments))
    return result if isinstance(result, int) else ExitCode.DONE


def _ended(code: int, tell: Callable[[], None]) -> int:
    """The exit code, which stands even if there is nobody left to tell why."""
    try:
        tell()
    except OSError:
        sys.stderr = open(os.devnull, "w", encoding="utf-8")  # noqa: SIM115, PTH123 - for the rest of the process
    return code


def _show(error: object) -> None:
    from reconciler.cli.console import Console
    from reconciler.errors import ReconcilerError

    assert isinstance(error, ReconcilerError)
    Console.of_process().error(error)


def _bug(error: Exception, arguments: list[str]) -> None:
    """Tell of a defect of ours.  What it says may quote anything: it is made harmless, and holds no credential.

    With its traceback where that was asked for, and where the command has no option to ask for it.
    """
    import traceback

    import click

    from reconciler.reporting.escape import page, terminal

    asked = "-v" in arguments or "--verbose" in arguments
    can_ask = asked or _takes_verbose(arguments)
    if asked or not can_ask:
        click.echo(page(_without_secrets("".join(traceback.format_exception(error)))), err=True)
    click.echo(
        f"Error: a defect in reconciler: {type(error).__name__}: {terminal(_without_secrets(str(error)))}\n"
        f"  hint: {'run it again with -v for the traceback, and ' if can_ask else ''}please report it",
        err=True,
    )


def _takes_verbose(arguments: list[str]) -> bool:
    """Whether the command that these arguments name has ``--verbose``; not where it cannot even be loaded."""
    import click

    from reconciler.cli.group import reconciler

    command: click.Command = reconciler
    context = click.Context(reconciler)
    try:
        for word in arguments:
            inner = command.get_command(context, word) if isinstance(command, click.Group) else None
            command = inner or command
    except Exception:  # noqa: BLE001 - it may be the defect that is told of
        return False
    return any("--verbose" in parameter.opts for parameter in command.params)


def _without_secrets(text: str) -> str:
    """The text without the values of variables that look like credentials by their name."""
    words = ("KEY", "TOKEN", "SECRET", "PASS", "CREDENTIAL", "AUTH")
    for name, value in os.environ.items():
        if len(value) >= SHORTEST_SECRET and any(word in name.upper() for word in words):
            text = text.replace(value, "***")
    return text
