"""Options that several commands share, and how they become a ``Request``."""

from __future__ import annotations

import functools
import os.path
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

import click
from msgspec import Struct

from reconciler.cli.streams import speak_utf8
from reconciler.errors import ReconcilerError
from reconciler.model.risks import DENIABLE, RISKS

if TYPE_CHECKING:
    from reconciler.pipeline.session import Request

F = TypeVar("F", bound=Callable[..., Any])
WHOLE_FORMS = ("json", "html")
"""The forms that are one document, which is complete only at the end of a run that has several things to tell."""


class Common(Struct, frozen=True):
    """What every command that reads manifests or state is asked."""

    environment: str | None
    variables: Mapping[str, str]
    color: bool
    verbose: bool
    select: tuple[str, ...] = ()
    parallelism: int = 16
    events: str | None = None
    lock_timeout_s: float = 0.0
    named_paths: tuple[str, ...] = ()

    @property
    def paths(self) -> tuple[str, ...]:
        """Where manifests are: as named, or the working directory."""
        return self.named_paths or (".",)

    @property
    def named_environment(self) -> str:
        """The environment's name, as plans have it where none was named."""
        return self.environment or "default"

    def request(
        self, *, adopt: bool = False, acks: Mapping[str, int] | None = None, deny: tuple[str, ...] = ()
    ) -> Request:
        """The request for the pipeline."""
        from pathlib import Path

        from reconciler.manifests.files import home_of
        from reconciler.pipeline.session import Request

        return Request(
            paths=self.paths,
            environment=self.environment,
            variables=self.variables,
            select=self.select,
            adopt=adopt,
            acks=acks or {},
            deny=deny,
            parallelism=self.parallelism,
            lock_timeout_s=self.lock_timeout_s,
            home=home_of(Path.cwd()),
            everything=not self.named_paths,
        )


class _Named(click.Path):
    """A file or folder that has a name: without one nothing would be read or written, and nobody would notice."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if value == "":
            self.fail("it is empty; was a variable not set?", param, ctx)
        return super().convert(value, param, ctx)


ANY, FILE, FOLDER = _Named(), _Named(dir_okay=False), _Named(file_okay=False)
READABLE_FILE = _Named(dir_okay=False, exists=True)
"""The types of options that name a file or a folder."""


def _pairs(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    pairs = {}
    for value in values:
        name, equals, rest = value.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{value!r} is not {parameter.metavar}", param=parameter)
        pairs[name] = rest
    return pairs


def _acks(context: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, int]:
    acks = {}
    for name, count in _pairs(context, parameter, values).items():
        if name not in RISKS or not count.isdecimal():
            raise click.BadParameter(f"{name}={count}: RISK is one of {', '.join(RISKS)}, N a number", param=parameter)
        acks[name] = int(count)
    return acks


def _seconds(_: click.Context, parameter: click.Parameter, text: str) -> int:
    from reconciler.model.values import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: {error}", param=parameter) from error


def together(*options: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Several options as one decorator; the help lists them in this order."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def common(*more: Callable[[Any], Any], paths: bool = True) -> Callable[[F], F]:
    """Add the options that every command has, and ``more`` that it honours; it gets them as one argument ``common``."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(**values: Any) -> Any:
            given = {name: values.pop(name) for name in _NAMES if name in values}
            given["named_paths"] = values.pop("paths", ())
            asked = Common(color=not given.pop("no_color"), **given)
            with advising(asked.environment):
                check_paths(asked.named_paths)
                if places := _written(asked, values):
                    from reconciler.cli.overwriting import check_places

                    check_places(places, asked.paths, str(values.get("plan_file") or ""))
                return function(common=asked, **values)

        named = (click.argument("paths", nargs=-1, metavar="[PATH]..."),) if paths else ()
        decorated: F = together(*named, *_MANIFESTS, *more, *_LOOKS)(wrapped)
        return decorated

    return decorate


def _written(common: Common, values: Mapping[str, Any]) -> dict[str, str]:
    """Where a run writes over what is there, by the option that says so."""
    reports: tuple[Report, ...] = values.get("reports", ())
    places = {f"--report {each.form}={each.file}": each.file for each in reports if each.file}
    places |= {f"--events {common.events}": common.events} if common.events else {}
    out = values.get("out") if "reports" in values else None  # what is alone with --out writes over nothing
    return places | ({f"--out {out}": out} if out else {})


@contextmanager
def advising(environment: str | None) -> Iterator[None]:
    """Let the commands that an error advises name the environment that was worked on."""
    try:
        yield
    except ReconcilerError as error:
        from reconciler.cli.next_commands import in_environment

        error.hint = in_environment(error.hint, environment)
        raise


def check_paths(paths: Sequence[str]) -> None:
    """Raise UsageInvalid for a path that is empty: it would be the working directory, all of it."""
    if "" in paths:
        from reconciler.errors import UsageInvalid

        raise UsageInvalid("a path is empty", hint='was a variable not set? For the working directory, write "."')


def apart(option: str, given: object, others: Mapping[str, object], *, hint: str = "") -> None:
    """Raise UsageInvalid when an option was given along with one that it makes meaningless, by their names."""
    from reconciler.errors import UsageInvalid

    for other, also in others.items():
        if given and also:
            raise UsageInvalid(f"{option} and {other} do not go together", hint=hint)


def goes_with(option: str, given: object, others: Mapping[str, object], *, hint: str = "") -> None:
    """Raise UsageInvalid when one of the others was given, which mean nothing without ``option``, by their names."""
    from reconciler.errors import UsageInvalid

    for other, also in others.items():
        if also and not given:
            raise UsageInvalid(f"{other} goes with {option}", hint=hint)


_NAMES = ("environment", "variables", "select", "parallelism", "no_color", "verbose", "events", "lock_timeout_s")
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


looks = together(*_LOOKS)
"""``--no-color`` and ``--verbose``, for a command that has no other option of all."""


select_option = click.option(
    "--select", multiple=True, metavar="GLOB", help="Only these addresses: 'support-bot/*'; repeatable."
)
parallelism_option = click.option(
    "--parallelism",
    type=click.IntRange(1, 256),
    default=16,
    show_default=True,
    metavar="N",
    help="Requests in flight.",
)
events_option = click.option(
    "--events",
    type=FILE,
    metavar="FILE",
    help="Write everything that happens to FILE, one JSON object a line.",
)
lock_option = click.option(
    "--lock-timeout",
    "lock_timeout_s",
    default="0s",
    callback=_seconds,
    metavar="DURATION",
    help="Wait so long for a run that holds the state's lock: 5m.  [default: do not wait]",
)
RUNS = (select_option, parallelism_option, events_option)
"""What a command that asks a platform about many resources honours beside the options of all."""

adopt_option = click.option("--adopt", is_flag=True, help="Take over objects of the same name that are not ours.")
ack_option = click.option(
    "--ack",
    "acks",
    multiple=True,
    callback=_acks,
    metavar="RISK=N",
    help="Acknowledge exactly N of a risk (archive, delete, replace, loosen); repeatable.",
)


deny_option = click.option(
    "--deny",
    multiple=True,
    type=click.Choice(DENIABLE),
    help="Refuse a plan in which anything means this for what passes; repeatable.",
)


def output_format(*choices: str) -> Callable[[F], F]:
    """``--format`` with the first choice as default.  All but ``text`` is for programs, which expect UTF-8."""

    def chosen(_: click.Context, __: click.Parameter, form: str) -> str:
        if form != "text":
            speak_utf8()
        return form

    return click.option(
        "--format",
        "style",
        type=click.Choice(choices),
        default=choices[0],
        callback=chosen,
        show_default=True,
        help="What to print.",
    )


class Report(Struct, frozen=True):
    """One ``--report``: a form, and the file it goes to; ``github`` goes where GitHub's runner looks."""

    form: str
    file: str = ""


def report_option(*forms: str) -> Callable[[F], F]:
    """``--report FORM=FILE``, given to the command as a tuple of ``Report``."""

    def parsed(_: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> tuple[Report, ...]:
        reports = tuple(_report(value, forms, parameter) for value in values)
        files = [os.path.normpath(each.file) for each in reports if each.file]
        if len(set(files)) < len(files):
            raise click.BadParameter("two reports go to the same file", param=parameter)
        return reports

    return click.option(
        "--report",
        "reports",
        multiple=True,
        callback=parsed,
        metavar="FORM=FILE",
        help=f"Also write a form to a file: {', '.join(each for each in forms if each != 'github')}; or "
        "just 'github', for annotations, the job's summary and the step's outputs; repeatable.",
    )


def _report(value: str, forms: tuple[str, ...], parameter: click.Parameter) -> Report:
    form, equals, file = value.partition("=")
    if form not in forms:
        raise click.BadParameter(f"{form!r} is none of {', '.join(forms)}", param=parameter)
    if form == "github" and equals:
        raise click.BadParameter("github takes no file: it writes where GitHub's runner looks", param=parameter)
    if form != "github" and not file:
        raise click.BadParameter(f"{value!r} names no file: write {form}=FILE", param=parameter)
    return Report(form, file)


def example(text: str) -> str:
    """The end of a command's help: examples, line by line."""
    return "\b\nExample:\n  " + text.replace("\n", "\n  ")
