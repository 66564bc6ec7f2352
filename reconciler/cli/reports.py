"""Write what ``--report`` asks for when a run ends, however it ends.  Touches: disk, stderr.

An old report is taken away before the run, so that nobody mistakes it for today's.  A report that cannot be written
is an error of its own, but never hides how the run ended.
"""

from __future__ import annotations

import math
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from reconciler.cli.next_commands import plan_in_environment
from reconciler.cli.places import from_checkout, placed_doubts, placed_plan, placed_problems, placed_verdicts
from reconciler.cli.render import (
    File,
    show_drift,
    show_error,
    show_outcomes,
    show_plan,
    show_problems,
    show_verdicts,
    tool,
)
from reconciler.cli.streams import is_stream
from reconciler.errors import ExitCode, ManifestsInvalid, ReconcilerError, SettingsInvalid

if TYPE_CHECKING:
    from reconciler.cli.console import Console
    from reconciler.cli.options import Report
    from reconciler.errors import Problem
    from reconciler.model.outcome import Doubt, StepOutcome, Verdict
    from reconciler.model.plan import Plan
    from reconciler.model.resource import Address
    from reconciler.model.values import Fields
    from reconciler.reporting.pages import Past, Told
    from reconciler.settings import Ci

LARGEST_SUMMARY = 1024 * 1024
"""Bytes that GitHub takes of one step's summary; with more it shows none of it (docs.github.com, 2026-11)."""
RECENT = 30
"""How many of the latest verdicts on a test a page shows, as ``reconciler history`` does."""
_ABOUT = {
    "validate": "manifests",
    "plan": "plan",
    "drift": "drift",
    "apply": "apply",
    "destroy": "apply",
    "evaluate": "verdicts",
    "status": "verdicts",
}


class Reports:
    """Use as a context manager around a run: collects what came of it, and writes the reports at the end.

    ``environment`` and ``about`` (by default what the command tells of) are what comments are told apart by.  ``end``
    is called with the run's exit code and returns the one to exit with; when a ReconcilerError ends the run, its own
    code stands.
    """

    def __init__(
        self, asked: Sequence[Report], console: Console, ci: Ci, *, environment: str = "", about: str = ""
    ) -> None:
        self._asked, self._console, self._ci = asked, console, ci
        self.environment = environment
        self._plan: Plan | None = None
        self._outcomes: Sequence[StepOutcome] | None = None
        self._verdicts: Sequence[Verdict] | None = None
        self._passed = True
        self._cost: Fields | None = None
        self._apart: Sequence[tuple[Address, str]] = ()
        self._doubts: Sequence[Doubt] = ()
        self._past: Past = {}
        self._problems: Sequence[Problem] | None = None
        self._plan_file = ""
        self._only_drift = False
        self._unwritten = False
        self._paper = File(verbose=console.verbose, place=from_checkout(ci))
        self._command = command_name()
        self._about = about or _ABOUT.get(self._command, "")

    def __enter__(self) -> Reports:
        for report in self._asked:
            if report.file:
                _make_room(report.file)
        if self._asks_github and self._ci.system != "github":
            self._console.story(
                "warning: --report github: this is no job of GitHub Actions, so there is nobody to tell"
            )
        self._console.event({"event": "run_started", "command": self._command, "tool": tool()})
        return self

    def __exit__(self, _: type[BaseException] | None, error: BaseException | None, __: TracebackType | None) -> None:
        if isinstance(error, ReconcilerError):
            error.hint = self._console.command(error.hint)
            self._write(error.exit_code, error)
            self._end(error.exit_code, error.message)
        elif isinstance(error, BrokenPipeError):  # nobody reads the answer to its end; the reports are for others
            self._write(ExitCode.BROKEN_PIPE, None)
            self._end(ExitCode.BROKEN_PIPE, "")

    # ------------------------------------------------------------------------------- what came of the run

    def planned(self, plan: Plan, *, file: str = "", drift: bool = False) -> None:
        """The plan; ``file`` is where it was saved, ``drift`` that only what drifted is meant."""
        self._plan, self._plan_file, self._only_drift = plan, file, drift
        told = {"environment": plan.basis.environment, "digest": plan.digest, "summary": plan.summary()}
        self._console.event({"event": "planned", **told})

    def applied(self, outcomes: Sequence[StepOutcome]) -> None:
        """What became of the plan's steps."""
        self._outcomes = outcomes

    def judged(
        self,
        verdicts: Sequence[Verdict],
        apart: Sequence[tuple[Address, str]],
        *,
        passed: bool,
        cost: Fields | None = None,
        doubts: Sequence[Doubt] = (),
        past: Past | None = None,
    ) -> None:
        """The verdicts, what was left out of them with the reason, whether the gate holds, what it cost, what is
        doubtful, what was judged before.
        """
        self._verdicts, self._apart, self._passed, self._cost, self._doubts = verdicts, apart, passed, cost, doubts
        self._past = past or {}
        for verdict in verdicts:
            self._console.event(_verdict_event(verdict))
        for doubt in doubts:
            told = {"address": str(doubt.address), "pipeline": doubt.pipeline, "why": doubt.why, "hint": doubt.hint}
            self._console.event({"event": "doubtful", **told})

    def checked(self, problems: Sequence[Problem]) -> None:
        """The mistakes in the manifests, if any."""
        self._problems = problems

    def end(self, code: int) -> int:
        """Write everything; returns what to exit with: ERROR where all is well but a report could not be written."""
        self._write(code, None)
        final = code or (ExitCode.ERROR if self._unwritten else ExitCode.DONE)
        self._end(final, "")
        return final

    def _end(self, code: int, error: str) -> None:
        self._console.event({"event": "run_ended", "exit_code": code, "error": error})
        self._console.close_events()

    def document(self, form: str, error: ReconcilerError | None = None) -> str:
        """What came of an apply as one document of parts, and the ``error`` that ended it; a part that it did not get
        to is left out.

        Empty where it got to none of them.
        """
        if error is not None:
            error.hint = self._console.command(error.hint)
        told = self._told(error)
        if told.plan is None and told.verdicts is None:
            return ""
        return self._page(told) if form == "html" else _joined(self._parts(told, "json"), error)

    # --------------------------------------------------------------------------------------------- writing

    @property
    def _asks_github(self) -> bool:
        return any(report.form == "github" for report in self._asked)

    def _write(self, code: int, error: ReconcilerError | None) -> None:
        for report in self._asked:
            if not report.file:
                continue
            judging = report.form in ("junit", "openmetrics")
            text = self._text(report.form, error or (self._untold(code) if judging else None))
            if text:
                self._to_file(report, text)
            else:
                self._console.story(f"no {report.form} report: the run ended before there was anything to write")
        if self._asks_github and self._ci.system == "github":
            self._tell_github(code, error)

    def _untold(self, code: int) -> ReconcilerError | None:
        """What ended a run without verdicts that has no error of its own: an apply that failed is not evaluated."""
        if not code or self._verdicts is not None:
            return None
        return ReconcilerError(f"nothing was evaluated: the run ended with exit code {code}")

    def _to_file(self, report: Report, text: str) -> None:
        try:
            path = Path(report.file)
            with path.open("a" if is_stream(path) else "w", encoding="utf-8", newline="\n") as file:
                file.write(text)
        except OSError as error:
            self._unwritten = True
            self._console.story(f"error: --report {report.form}={report.file}: {error.strerror}")

    def _text(self, form: str, error: ReconcilerError | None) -> str:
        """One report; empty where there is nothing that this form can say."""
        told = self._told(error)
        if form == "markdown":
            from reconciler.reporting.pages import page

            return page(_explained(told, self._paper.place), verbose=self._paper.verbose)
        if form == "html":
            return self._page(told)
        texts = list(self._parts(told, form))
        if form == "json" and texts and self._about == "apply":
            return _joined(texts, error)
        return "\n".join(texts) or (show_error(error, form) if error else "")

    def _page(self, told: Told) -> str:
        from reconciler.reporting.html_page import page_html

        return page_html(_explained(told, self._paper.place), verbose=self._paper.verbose)

    def _parts(self, told: Told, form: str) -> list[str]:
        texts = []
        if told.problems is not None:
            texts.append(show_problems(told.problems, form, self._paper))
        if told.plan is not None and form in ("text", "json", "gitlab"):
            show = show_drift if self._only_drift else show_plan
            texts.append(show(told.plan, form, self._paper))
            if told.outcomes and form != "gitlab":
                texts.append(show_outcomes(told.plan, told.outcomes, form, self._paper))
        verdicts = told.verdicts
        if verdicts is None and told.error is None and form in ("junit", "openmetrics"):
            verdicts = ()  # no test had changed
        if verdicts is not None and form in ("text", "json", "junit", "openmetrics"):
            texts.append(
                show_verdicts(
                    verdicts,
                    form,
                    self._paper,
                    environment=self.environment,
                    apart=self._apart,
                    cost=self._cost,
                    doubts=self._doubts,
                    error=told.error,
                )
            )
        return texts

    def _told(self, error: ReconcilerError | None) -> Told:
        from reconciler.reporting.pages import Told

        return Told(
            environment=self.environment,
            plan=self._plan,
            outcomes=self._outcomes,
            verdicts=self._verdicts,
            problems=self._problems,
            error=error,
            only_drift=self._only_drift,
            about=self._about,
            doubts=self._doubts,
            past=self._past,
        )

    # ---------------------------------------------------------------------------------------------- GitHub

    def _tell_github(self, code: int, error: ReconcilerError | None) -> None:
        """Annotations on stderr, the job's summary, the step's outputs.  None of it can fail the run."""
        from reconciler.reporting import github

        told = _explained(self._told(error), self._paper.place)
        of_plan = github.of_drift if told.only_drift else github.of_plan
        found = [
            *(github.of_error(told.error) if told.error else ()),
            *(github.of_problems(told.problems) if told.problems else ()),
            *(of_plan(told.plan) if told.plan else ()),
            *(github.of_outcomes(told.plan, told.outcomes) if told.plan and told.outcomes else ()),
            *(github.of_verdicts(told.verdicts) if told.verdicts else ()),
            *github.of_doubts(told.doubts),
        ]
        if found:
            self._console.story(github.github_annotations(found).rstrip("\n"))
        values = {
            **(github.problem_outputs(told.problems) if told.problems is not None else {}),
            **(github.plan_outputs(told.plan) if told.plan else {}),
            **(github.verdict_outputs(told.verdicts, passed=self._passed) if told.verdicts is not None else {}),
            **({"plan-file": self._plan_file} if self._plan_file else {}),
            "exit-code": str(code),
        }
        self._append(self._ci.summary_file, "GITHUB_STEP_SUMMARY", lambda room: self._summary(told, room))
        self._append(
            self._ci.output_file,
            "GITHUB_OUTPUT",
            lambda _: github.github_outputs(values, lambda: f"end-{secrets.token_hex(16)}"),
        )

    def _summary(self, told: Told, room: int) -> str:
        from reconciler.reporting.pages import fitting

        return fitting(told, room, verbose=self._paper.verbose)

    def _append(self, file: str, variable: str, make: Callable[[int], str]) -> None:
        append_for_github(file, variable, make, self._console)


def recent(style: str, reports: Sequence[Report]) -> int:
    """How much of the past is shown beside verdicts: some where a page is made, which draws it."""
    return RECENT if "html" in (style, *(each.form for each in reports)) else 0


def command_name() -> str:
    """The command that runs: ``plan``."""
    import click

    context = click.get_current_context(silent=True)
    return str(context.info_name) if context else ""


def _explained(told: Told, place: str) -> Told:
    """As people read it beside the checkout: with commands as they have to be typed, and mistakes in the manifests that
    ended the run told one by one.
    """
    ended = isinstance(told.error, ManifestsInvalid)
    problems = told.error.problems if isinstance(told.error, ManifestsInvalid) else told.problems
    return replace(
        told,
        plan=plan_in_environment(placed_plan(told.plan, place)) if told.plan else None,
        verdicts=None if told.verdicts is None else placed_verdicts(told.verdicts, place),
        doubts=placed_doubts(told.doubts, place),
        problems=None if problems is None else placed_problems(problems, place),
        error=None if ended else told.error,
    )


def _verdict_event(verdict: Verdict) -> dict[str, Any]:
    return {
        "event": "verdict",
        "address": str(verdict.address),
        "pipeline": verdict.pipeline,
        "level": verdict.level.value,
        "status": verdict.status.value,
        "measured": verdict.measured,
        "wanted": verdict.wanted,
        "margin": verdict.margin if verdict.margin is not None and math.isfinite(verdict.margin) else None,
        "why": verdict.why,
    }


def append_for_github(file: str, variable: str, make: Callable[[int], str], console: Console) -> bool:
    """Append to a file that the runner reads; ``make`` is given how many bytes there is room for in a summary.

    Says so when that does not work, and fails nothing; returns whether something was written.
    """
    if not file:
        return False
    try:
        path = Path(file)
        room = LARGEST_SUMMARY - (path.stat().st_size if path.exists() else 0) - 1
        text = make(room)
        if not text:
            console.story(f"warning: {variable} is full: GitHub shows at most 1 MiB for each step")
            return False
        with path.open("a", encoding="utf-8", newline="\n") as out:
            out.write(text if text.endswith("\n") else f"{text}\n")
    except OSError as error:
        console.story(f"warning: {variable} cannot be written: {error.strerror}")
        return False
    return True


def _make_room(file: str) -> None:
    """Take an old report away, and make its folder.  Raises SettingsInvalid when it cannot be written there.

    What is no ordinary file (a pipe), or one of this process's own streams, is left as it is.  What a link leads to is
    emptied: the link stays, and leads somewhere.
    """
    path = Path(file)
    if path.exists() and ((not path.is_file() and not path.is_dir()) or is_stream(path)):
        return
    try:
        if path.is_symlink():
            path.write_bytes(b"")
            return
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.touch()
        path.unlink()
    except OSError as error:
        raise SettingsInvalid(f"--report {file}: {error.strerror}") from error


def _joined(texts: Sequence[str], error: ReconcilerError | None) -> str:
    """One document of several: an apply has a plan, outcomes and, with ``--evaluate``, verdicts; and what ended it."""
    import json

    from reconciler.reporting.machine import error_to_json, to_json

    documents = map(json.loads, texts)
    names = {"steps": "plan", "outcomes": "apply", "verdicts": "evaluation"}
    parts = {name: each for each in documents for key, name in names.items() if key in each}
    return to_json({**parts, **({"error": error_to_json(error)} if error is not None else {})})
