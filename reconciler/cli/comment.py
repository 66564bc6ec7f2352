"""``reconciler comment``: one comment on the pull or merge request, kept up to date."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.options import FILE, example
from reconciler.errors import ExitCode

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.errors import ReconcilerError
    from reconciler.forge.comments import Kept
    from reconciler.pipeline.commenting import Place
    from reconciler.settings import Settings

LARGEST = 64 * 1024 * 1024


@click.command(
    "comment",
    epilog=example(
        "reconciler plan --env production --format markdown | reconciler comment\n"
        "reconciler comment --from plan.json              # a saved plan, or what --report json=FILE wrote\n"
        "reconciler comment --from notes.md --marker notes --pull 12"
    ),
)
@click.option("--from", "file", type=FILE, default="-", metavar="FILE", help="What to say: Markdown, or a JSON that "
              "reconciler wrote (nothing else is taken from *.json); standard input by default.")  # fmt: skip
@click.option("--marker", default="", metavar="NAME", help="Keep a comment of its own under this name.  [default: one "
              "for each environment's plan, and one for its evaluation]")  # fmt: skip
@click.option("--pull", "number", type=click.IntRange(min=1), metavar="N", help="The pull or merge request.  "
              "[default: the one that this job belongs to]")  # fmt: skip
@click.option("--author", default="", metavar="LOGIN", help="The account that the token writes as, where it cannot be "
              "asked: that of a GitHub App of your own.")  # fmt: skip
@click.option("--token-variable", default="", metavar="NAME", help="The variable that holds the token.  [default: "
              "GITHUB_TOKEN or GITLAB_TOKEN]")  # fmt: skip
@click.option("--no-color", is_flag=True, help="Plain text; NO_COLOR does the same.")
def command(file: str, marker: str, number: int | None, author: str, token_variable: str, no_color: bool) -> int:
    """Post a comment on the pull or merge request, or bring the one that is there up to date.

    It is found by an invisible marker and by its author: what people write is never touched.  From a fork, whose jobs
    may not write, the text goes into the job's summary instead, and the command succeeds; where a permission is
    missing otherwise, it goes there too and the command exits 1.
    """
    import os

    from reconciler.cli.console import Console
    from reconciler.cli.running import Signals, run
    from reconciler.errors import SettingsInvalid
    from reconciler.forge.comments import LIMIT, marked
    from reconciler.pipeline.commenting import NotPermitted, comment, find_place, variable_of
    from reconciler.providers.clock import RealClock
    from reconciler.reporting.pages import cut
    from reconciler.settings import Settings

    console, settings = Console(color=not no_color), Settings.from_environ(os.environ)
    text = _told(_read(file), prepared=not file.lower().endswith(".json"))
    place = find_place(settings, number)
    body = cut(marked(text, marker), LIMIT)

    async def main(_: Signals) -> Kept:
        return await comment(place, body, settings, RealClock(), token_variable=token_variable, author=author)

    try:
        kept = run(main, console.story)
    except NotPermitted as error:
        return _left(place, error, text, settings, console)
    except SettingsInvalid as error:
        if not place.from_fork or settings.get(variable_of(place, token_variable)):
            raise
        return _left(place, error, text, settings, console)
    _report(kept, place, console)
    return ExitCode.DONE


def _read(file: str) -> str:
    """The text of a file or of standard input.  Raises SettingsInvalid, or UsageInvalid where there is nothing."""
    import sys
    from pathlib import Path

    from reconciler.errors import SettingsInvalid, UsageInvalid

    if file == "-" and sys.stdin.isatty():
        raise UsageInvalid("nothing to say", hint="pipe it in, or give --from FILE")
    try:
        if file == "-":
            content = sys.stdin.buffer.read(LARGEST + 1)
        else:
            with Path(file).open("rb") as source:
                content = source.read(LARGEST + 1)
    except OSError as error:
        raise SettingsInvalid(f"--from {file}: {error.strerror}") from error
    if len(content) > LARGEST:
        raise SettingsInvalid(f"--from {file}: larger than {LARGEST // 1024**2} MiB")
    text = content.decode("utf-8", "replace").removeprefix("\ufeff").replace("\r\n", "\n").replace("\0", "")
    if not text.strip():
        raise UsageInvalid("nothing to say", hint=f"{'standard input' if file == '-' else file} is empty")
    return text


def _told(text: str, *, prepared: bool) -> str:
    """Markdown: of a plan or of verdicts where the text is their JSON, else the text itself where that is ``prepared``.

    What calls itself JSON is none: it may come from a stranger, whose Markdown would be posted in the job's name.
    """
    from reconciler.errors import UsageInvalid
    from reconciler.reporting.pages import page
    from reconciler.reporting.reading import read_told

    try:
        told = read_told(text)
    except ValueError as error:
        raise UsageInvalid(f"--from: {error}", hint="reconciler plan --out plan.json writes one") from error
    if told is None and not prepared:
        hint = "Markdown is taken from a file of another name, or from standard input"
        raise UsageInvalid("--from: not a JSON of a plan, of verdicts or of problems that reconciler wrote", hint=hint)
    return text if told is None else page(told)


def _report(kept: Kept, place: Place, console: Console) -> None:
    from reconciler.reporting.escape import terminal

    where = f" {kept.url}" if kept.url else ""
    console.answer(terminal(f"Comment on {place.noun}: {kept.what}.{where}"))
    if kept.twins:
        console.story(f"warning: {kept.twins} more of our comments carry this marker; they are left as they are")
    if kept.stranger:
        warning = f"warning: pass --author '{kept.stranger}', or the next run does not find this comment"
        console.story(terminal(warning))


def _left(place: Place, error: ReconcilerError, text: str, settings: Settings, console: Console) -> int:
    """Nobody may comment: put the text where it can be read.  Returns DONE for a fork, else ERROR."""
    from reconciler.cli.reports import append_for_github
    from reconciler.reporting.escape import line_start, terminal

    level, why, code = "error", f"the token may not write there; {error.hint}", ExitCode.ERROR
    if place.from_fork:
        level, why, code = "note", "it comes from a fork, whose jobs get no right to write", ExitCode.DONE
    told = append_for_github(
        settings.ci.summary_file, "GITHUB_STEP_SUMMARY", lambda room: _fitting(text, room), console
    )
    instead = "it stands in the job's summary" if told else "it follows here"
    console.story(f"{level}: no comment on {place.noun}: {why}; {instead}")
    if not told:
        console.answer("\n".join(line_start(terminal(line)) for line in text.split("\n")))
    return code


def _fitting(text: str, room: int) -> str:
    """As much as fits into so many bytes: a character takes four of them at most."""
    from reconciler.reporting.pages import SMALLEST, cut

    return cut(text, room // 4) if room // 4 >= SMALLEST else ""
