"""The command group, which loads a command's module only when that command runs."""

from __future__ import annotations

import importlib
from typing import Any

import click

from reconciler import __version__
from reconciler.cli.main import COMMANDS
from reconciler.model.nearest import nearest


class Commands(click.Group):
    """Lists commands from a table, so that ``--help`` imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names in the order of use."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now; None for a name that is not in the table."""
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"reconciler.cli.{cmd_name}").command
        return command

    def resolve_command(self, ctx: click.Context, args: list[str]) -> Any:
        """As click does, with a guess for a mistyped name."""
        if args and not args[0].startswith("-") and args[0] not in COMMANDS:
            near = nearest(args[0], COMMANDS, 0.6)  # eval is evaluate
            mean = f" Did you mean '{near}'?" if near else ""
            raise click.UsageError(f"There is no command '{args[0]}'.{mean}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The table itself."""
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Try it without an account:  reconciler apply examples/quickstart --env local --yes --evaluate",
)
@click.version_option(__version__, prog_name="reconciler", message="%(prog)s %(version)s")
def reconciler() -> None:
    """Config-as-code for AI evaluations: projects, pipelines and tests from YAML in git."""
