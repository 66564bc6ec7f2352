"""Where text goes: stdout is the answer, stderr is the story.  Touches: the terminal, the events file."""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

import click

from reconciler.errors import ReconcilerError, SettingsInvalid

if TYPE_CHECKING:
    from reconciler.cli.options import Common
    from reconciler.model.outcome import StepOutcome
    from reconciler.model.plan import Plan, Step

QUIET_S = 10.0
"""Without a terminal, a line of progress at most this often."""


class Console:
    """Prints.  Knows the width, whether colour is wanted, and whether anybody watches."""

    def __init__(
        self, *, color: bool, verbose: bool = False, events: str | None = None, environment: str | None = None
    ) -> None:
        self.width = _width()
        self.verbose = verbose
        self._environment = environment
        self.color = color and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        self.watched = sys.stderr.isatty()
        self._events = _open_events(events) if events else None
        self._progress: Progress | None = None

    @classmethod
    def of(cls, common: Common, *, environment: str | None = None) -> Console:
        """As the common options ask; ``environment`` is what is worked on where they do not say."""
        named = common.environment or environment
        return cls(color=common.color, verbose=common.verbose, events=common.events, environment=named)

    @classmethod
    def of_process(cls) -> Console:
        """For errors that end the run, wherever they come from: looks at argv itself."""
        return cls(color="--no-color" not in sys.argv)

    @property
    def answer_color(self) -> bool:
        """Whether the answer may be coloured: only where a terminal shows it."""
        return self.color and sys.stdout.isatty()

    @property
    def answer_width(self) -> int | None:
        """Columns of the terminal that shows the answer; None where something else reads it, line by line."""
        return self.width if sys.stdout.isatty() else None

    @property
    def place(self) -> str:
        """The way from the top of a CI job's checkout to where we run."""
        from reconciler.cli.places import from_checkout
        from reconciler.settings import Settings

        return from_checkout(Settings.from_environ(os.environ).ci)

    def answer(self, text: str) -> None:
        """What was asked for.  An empty answer is none: a form may have nothing to say."""
        if not text:
            return
        self._pause_progress()
        click.echo(text.rstrip("\n"), color=self.answer_color)

    def story(self, text: str) -> None:
        """What happens on the way.  Nobody listening is no reason to stop: it must not end an apply half way."""
        from reconciler.reporting.escape import page

        self._pause_progress()
        with suppress(OSError):
            click.echo(page(text), err=True, color=self.color and self.watched)

    def command(self, text: str) -> str:
        """A command of ours that the reader may run next, as it has to be typed."""
        from reconciler.cli.next_commands import in_environment

        return in_environment(text, self._environment)

    def error(self, error: ReconcilerError) -> None:
        """What went wrong, where, and what to do next."""
        from reconciler.reporting.text import error_text

        self._pause_progress()
        shown = error_text(error, width=self.width, color=self.color and self.watched)
        click.echo(shown.rstrip("\n"), err=True, color=self.color and self.watched)

    def event(self, event: dict[str, Any]) -> None:
        """Something that happened, for machines; requests also for people who asked for more."""
        if self._events is not None:
            self._write_event({"time": round(time.time(), 3), **event})
        if self.verbose and event.get("event") == "request":
            from reconciler.reporting.escape import terminal

            status = event["status"] if event["status"] is not None else "no answer"
            self.story(terminal(f"{event['method']} {event['path']} {status} {event['seconds'] * 1000:.0f} ms"))
        if self.verbose and event.get("event") == "estimate":
            self._largest(event["tests"])

    def _largest(self, costs: list[dict[str, Any]]) -> None:
        """What each test costs, the dearest first."""
        for cost in sorted(costs, key=lambda cost: (-cost["evaluations"], cost["address"])):
            self.story(f"  {cost['evaluations']:,} for {cost['address']}")

    def close_events(self) -> None:
        """Nothing more happens: let go of the events file."""
        if self._events is not None:
            with suppress(OSError):
                self._events.close()
            self._events = None

    def _write_event(self, event: dict[str, Any]) -> None:
        assert self._events is not None
        try:
            self._events.write(json.dumps(event, ensure_ascii=True) + "\n")
            self._events.flush()
        except OSError as error:
            self._events = None
            self.story(f"warning: --events is cut short: {error.strerror}")

    def start_progress(self, what: str, total: int) -> Progress:
        """Count something that takes longer than a second, until ``end_progress``."""
        self._progress = Progress(what, total, live=self.watched and self.color, say=self._line)
        return self._progress

    def evaluating(self, done: int, total: int, what: str) -> None:
        """So many evaluations are over."""
        if self._progress is None or self._progress.what != "evaluating":
            self.start_progress("evaluating", total)
        assert self._progress is not None
        self._progress.at(done, total, what)

    def end_progress(self) -> None:
        """The counting is over."""
        if self._progress is not None:
            self._progress.close()
            self._progress = None

    def _line(self, text: str) -> None:
        with suppress(OSError):
            click.echo(text, err=True)

    def _pause_progress(self) -> None:
        if self._progress is not None:
            self._progress.clear()


class Progress:
    """``applying  120/1,000  3 s``: one line that is rewritten on a terminal, now and then a line elsewhere."""

    def __init__(self, what: str, total: int, *, live: bool, say: Callable[[str], None]) -> None:
        self.what, self._total, self._live, self._say = what, total, live, say
        self._began = self._shown = time.monotonic()
        self._on_screen = False

    def at(self, done: int, total: int | None = None, detail: object = "") -> None:
        """So many are done; ``detail`` is made a text, and safe for a terminal, when it is shown: seldom."""
        self._total = total if total is not None else self._total
        now = time.monotonic()
        if now - self._shown < (0.1 if self._live else QUIET_S) or now - self._began < 1.0:
            return
        self._shown = now
        text = f"{self.what}  {done:,}/{self._total:,}  {now - self._began:.0f} s"
        if not self._live:
            self._say(text)
            return
        from reconciler.reporting.escape import terminal

        room = shutil.get_terminal_size().columns - 1
        self._put("\r\x1b[2K" + f"{text}  {terminal(str(detail))}".rstrip()[:room])
        self._on_screen = True

    def clear(self) -> None:
        """Take the line off the screen, so that something else can be printed."""
        if self._on_screen:
            self._put("\r\x1b[2K")
            self._on_screen = False

    def _put(self, text: str) -> None:
        with suppress(OSError):
            sys.stderr.write(text)
            sys.stderr.flush()

    def close(self) -> None:
        """Done."""
        self.clear()


class StepStory:
    """Tells an apply as it goes: counts on a terminal, and a line for each step that did not work."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._total = self._done = 0
        self._progress: Progress | None = None

    def begin(self, plan: Plan) -> None:
        """The plan was shown and agreed to."""
        self._total = len(plan.pending)
        self._progress = self._console.start_progress("applying", self._total)

    def started(self, step: Step) -> None:
        """A step's requests are about to be sent."""
        self._console.event({"event": "step_started", "step": step.id})

    def ended(self, step: Step, outcome: StepOutcome) -> None:
        """A step is over."""
        self._done += 1
        self._console.event(
            {"event": "step_ended", "step": step.id, "status": outcome.status.value, "error": outcome.error}
        )
        if self._progress is not None:
            self._progress.at(self._done, self._total, step.address)


def _width() -> int:
    """Columns: the terminal's, or 100 where the output is read later (a file, a CI log)."""
    return max(40, min(shutil.get_terminal_size((100, 24)).columns, 200))


def _open_events(path: str) -> IO[str]:
    try:
        return Path(path).open("a", encoding="utf-8")
    except OSError as error:
        raise SettingsInvalid(f"--events {path}: {error.strerror}") from error
