"""Options that several commands share, and how they become a ``Request``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

if TYPE_CHECKING:
    from reconciler.pipeline.session import Request

F = TypeVar("F", bound=Callable[..., Any])
RISKS = ("archive", "delete", "replace", "loosen")


@dataclass(frozen=True, slots=True)
class Common:
    """What every command that reads manifests or state is asked."""

    environment: str | None
    variables: Mapping[str, str]
    color: bool
    verbose: bool
    select: tuple[str, ...] = ()
    parallelism: int = 16
    events: str | None = None
    paths: tuple[str, ...] = (".",)

    def request(self, *, adopt: bool = False, acks: Mapping[str, int] | None = None) -> Request:
        """The request for the pipeline."""
        from reconciler.pipeline.session import Request

        return Request(
            paths=self.paths,
            environment=self.environment,
            variables=self.variables,
            select=self.select,
            adopt=adopt,
            acks=acks or {},
            parallelism=self.parallelism,
        )


def _pairs(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{value!r} is not NAME=VALUE", param=parameter)
        pairs[name] = rest
    return pairs


def _acks(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    acks = {}
    for name, count in _pairs(context, parameter, values).items():
        if name not in RISKS or not count.isdecimal():
            raise click.BadParameter(f"{name}={count}: RISK is one of {', '.join(RISKS)}, N a number", param=parameter)
        acks[name] = int(count)
    return acks


def common(*, paths: bool = True, runs: bool = True) -> Callable[[F], F]:
    """Add the common options; the command gets them as one argument ``common``.

    Without ``runs`` those of a command that asks no platform anything.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(**values: Any) -> Any:
            given = {name: values.pop(name) for name in _NAMES if name in values}
            given["paths"] = values.pop("paths", ()) or (".",)
            return function(common=Common(color=not given.pop("no_color"), **given), **values)

        decorated: Any = wrapped
        for option in reversed(_OPTIONS if runs else _OFFLINE):
            decorated = option(decorated)
        if paths:
            decorated = click.argument("paths", nargs=-1, metavar="[PATH]...")(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


_NAMES = ("environment", "variables", "select", "parallelism", "no_color", "verbose", "events")
_MANIFESTS = (
    click.option(
        "--env",
        "environment",
        metavar="NAME",
        envvar="RECONCILER_ENV",
        help="Environment to work on; 'local' is built in and needs no account.",
    ),
    click.option(
        "--var", "variables", multiple=True, callback=_pairs, metavar="NAME=VALUE", help="Set ${var.NAME}; repeatable."
    ),
)
_LOOKS = (
    click.option("--no-color", is_flag=True, help="Plain text; NO_COLOR does the same."),
    click.option("-v", "--verbose", is_flag=True, help="Show every field, and requests as they are made."),
)
_RUNS = (
    click.option("--select", multiple=True, metavar="GLOB", help="Only these addresses: 'support-bot/*'; repeatable."),
    click.option(
        "--parallelism",
        type=click.IntRange(1, 256),
        default=16,
        show_default=True,
        metavar="N",
        help="Requests in flight.",
    ),
    click.option(
        "--events",
        type=click.Path(dir_okay=False),
        metavar="FILE",
        help="Write everything that happens to FILE, one JSON object a line.",
    ),
)
_OFFLINE = (*_MANIFESTS, *_LOOKS)
_OPTIONS = (*_MANIFESTS, *_RUNS, *_LOOKS)

adopt_option = click.option("--adopt", is_flag=True, help="Take over objects of the same name that are not ours.")
ack_option = click.option(
    "--ack",
    "acks",
    multiple=True,
    callback=_acks,
    metavar="RISK=N",
    help="Acknowledge exactly N of a risk (archive, delete, replace, loosen); repeatable.",
)


def output_format(*choices: str) -> Callable[[F], F]:
    """``--format`` with the first choice as default."""
    return click.option(
        "--format", "style", type=click.Choice(choices), default=choices[0], show_default=True, help="What to print."
    )


def example(text: str) -> str:
    """The end of a command's help: examples, line by line."""
    return "\b\nExample:\n  " + text.replace("\n", "\n  ")
