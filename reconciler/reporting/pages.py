"""Turn everything that came of one run into one page of Markdown: a job's summary, or a comment.  Pure.

What ended the run comes first, then what failed; a page is cut at the borders of rows and says how much is left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct

from reconciler.errors import Problem, ReconcilerError
from reconciler.model.history import Observation
from reconciler.model.outcome import Doubt, StepOutcome, StepStatus, Verdict
from reconciler.model.plan import Plan, Step
from reconciler.model.resource import Address
from reconciler.model.values import counted
from reconciler.reporting.escape import markdown, markdown_code
from reconciler.reporting.findings import sentence, told_of
from reconciler.reporting.lines import is_to_be_copied
from reconciler.reporting.markdown import LIMIT, drift_markdown, marker, plan_markdown, rows_fitting, verdicts_markdown
from reconciler.reporting.tables import short_address

Past = Mapping[tuple[Address, str | None], Sequence[Observation]]
"""What was observed of each test on each pipeline, newest first."""

SMALLEST = 1_000
"""No part of a page is worth less room than that."""
RESERVE = 200
LONGEST_CELL = 500
_ORDER = (StepStatus.FAILED, StepStatus.UNKNOWN, StepStatus.SKIPPED)
_ICONS = {StepStatus.FAILED: "🔴", StepStatus.UNKNOWN: "🟠", StepStatus.SKIPPED: "⚪"}


class Told(Struct, frozen=True):
    """What a run has to tell.  A part is None where the run did not get there, or has none.

    ``only_drift``: the plan holds what somebody changed at the platform, and is told from there.  ``doubts`` belong
    to the verdicts, as ``past`` does, as far as somebody asked for it.  ``about`` is what the run was to tell of,
    whether it got there or not: a comment that says how it failed takes the place of the one that says how it went.
    """

    environment: str = ""
    plan: Plan | None = None
    outcomes: Sequence[StepOutcome] | None = None
    verdicts: Sequence[Verdict] | None = None
    problems: Sequence[Problem] | None = None
    error: ReconcilerError | None = None
    only_drift: bool = False
    about: str = ""
    doubts: Sequence[Doubt] = ()
    past: Past = {}


def page(told: Told, *, limit: int = LIMIT, verbose: bool = False) -> str:
    """All of it in at most ``limit`` characters (1,500 or more).

    Each part gets what the parts before it left; a part for which there is no room is named.
    """
    about = subject_of(told)
    mark = marker(about, environment_of(told, about))
    parts: list[str] = []
    room = limit - RESERVE - len(mark)
    for name, make in _parts(told, verbose):
        text = make(room) if room >= SMALLEST else f"*The {name} is left out: this page would be too long.*\n"
        parts.append(text)
        room -= len(text) + 1
    text = "\n".join(parts)
    return text if text.startswith(mark) else f"{mark}\n{text}"


def subject_of(told: Told) -> str:
    """What all of it is about: as was said, or as its parts tell."""
    if told.about:
        return told.about
    if told.outcomes is not None:
        return "apply"
    if told.verdicts is not None:
        return "verdicts"
    if told.plan is not None:
        return "drift" if told.only_drift else "offline plan" if told.plan.basis.base else "plan"
    return "manifests" if told.problems is not None else "run"


def environment_of(told: Told, about: str) -> str:
    """The name of the environment.  Mistakes are those of all environments."""
    if about == "manifests":
        return ""
    return told.plan.basis.environment if told.plan is not None else told.environment


def fitting(told: Told, size: int, *, verbose: bool = False) -> str:
    """The same page in at most ``size`` bytes of UTF-8; empty where there is no room for one."""
    limit = size
    while limit >= SMALLEST + 2 * RESERVE:
        text = page(told, limit=limit, verbose=verbose)
        needed = len(text.encode())
        if needed <= size:
            return text
        limit = min(limit - 1, limit * size // needed, len(text) - 1)
    return ""


def _parts(told: Told, verbose: bool) -> Iterator[tuple[str, Callable[[int], str]]]:
    if told.error is not None:
        error = told.error
        yield "error", lambda room: error_markdown(error, limit=room)
    if told.problems is not None:
        problems = told.problems
        yield "list of problems", lambda room: problems_markdown(problems, limit=room)
    if told.verdicts is not None:
        verdicts = told.verdicts
        yield (
            "evaluation",
            lambda room: verdicts_markdown(verdicts, environment=told.environment, limit=room, doubts=told.doubts),
        )
    if told.plan is not None:
        plan = told.plan
        if told.outcomes:
            outcomes = told.outcomes
            yield "apply", lambda room: outcomes_markdown(plan, outcomes, limit=room)
        make = drift_markdown if told.only_drift else plan_markdown
        yield "plan", lambda room: make(plan, limit=room, verbose=verbose)


# ------------------------------------------------------------------------------------------------ the parts


def error_markdown(error: ReconcilerError, *, limit: int = LIMIT) -> str:
    """What ended the run, and what to do next; a long message is cut at the border of a line."""
    lines = error.message.split("\n")
    quoted = [f"> {(markdown_code if is_to_be_copied(line) else markdown)(_short(line))}  " for line in lines]
    hint = f"\n> *{markdown(_short(error.hint))}*" if error.hint else ""
    kept = rows_fitting(quoted, limit - len(hint) - RESERVE)
    more = f"\n> … {counted(len(lines) - kept, 'more line')}" if kept < len(lines) else ""
    return "> [!CAUTION]\n" + "\n".join(quoted[:kept]) + more + hint + "\n"


def problems_markdown(problems: Sequence[Problem], *, limit: int = LIMIT) -> str:
    """Every mistake and warning in a row of a table, as many as fit; the others are counted."""
    mark = marker("manifests", "")
    if not problems:
        return f"{mark}\n### Manifests\n\n**No problems in the manifests.**\n"
    head = f"{mark}\n### Manifests\n\n**{told_of(problems)}**\n\n| Where | What |\n|---|---|"
    return _table(head, [*map(_problem_row, problems)], limit)


def _problem_row(problem: Problem) -> str:
    where = markdown_code(_place(problem)) if problem.file else ""
    level = "" if problem.is_error else "⚠️ warning: "
    return f"| {where} | {level}{markdown(_short(sentence(problem)))} |"


def outcomes_markdown(plan: Plan, outcomes: Sequence[StepOutcome], *, limit: int = LIMIT) -> str:
    """What did not work, worst first, each with its error; ends with nothing where all is done."""
    head = f"### Apply\n\n**{done_sentence(plan, outcomes)}**"
    rows = [_outcome_row(*each) for each in not_done(plan, outcomes)]
    return _table(f"{head}\n\n| | Step | Why |\n|---|---|---|", rows, limit) if rows else f"{head}\n"


def done_sentence(plan: Plan, outcomes: Sequence[StepOutcome]) -> str:
    """``3 done, 1 failed, 5 not started``."""
    counts = Counter(outcome.status for outcome in outcomes)
    told = [f"{counts[StepStatus.DONE]:,} done", *(f"{counts[each]:,} {each}" for each in _ORDER if counts[each])]
    waiting = len(plan.pending) - len(outcomes)
    told += [f"{waiting:,} not started"] if waiting > 0 else []
    return ", ".join(told)


def not_done(plan: Plan, outcomes: Sequence[StepOutcome]) -> list[tuple[Step, StepOutcome]]:
    """What did not work, worst first."""
    steps = {step.id: step for step in plan.steps}
    bad = sorted((each for each in outcomes if each.status in _ORDER), key=lambda each: _ORDER.index(each.status))
    return [(steps[each.step_id], each) for each in bad]


def _outcome_row(step: Step, outcome: StepOutcome) -> str:
    what = f"{step.action} {markdown_code(_short(short_address(step.address)))}"
    return f"| {_ICONS[outcome.status]} {outcome.status} | {what} | {markdown(_short(outcome_reason(outcome)))} |"


def outcome_reason(outcome: StepOutcome) -> str:
    """What went wrong, and what to do next."""
    return "; ".join(part for part in (outcome.error, outcome.hint) if part)


def _place(problem: Problem) -> str:
    file = _short(problem.file)
    return f"{file}:{problem.line}:{problem.column}" if problem.line else file


def _table(head: str, rows: Sequence[str], limit: int) -> str:
    kept = rows_fitting(rows, limit - len(head) - RESERVE)
    more = f"\n\n… {len(rows) - kept:,} more, left out because this page would be too long." if kept < len(rows) else ""
    return "\n".join([head, *rows[:kept]]) + more + "\n"


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_CELL else text[: LONGEST_CELL - 1] + "…"


# ------------------------------------------------------------------------------------- pages of somebody else

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")


def cut(text: str, limit: int = LIMIT) -> str:
    """A Markdown text in at most ``limit`` characters: cut at the border of a line, and what was open is closed."""
    if len(text) <= limit:
        return text
    lines = text.rstrip("\n").split("\n")
    kept = rows_fitting(lines, limit - RESERVE)
    while True:
        closing = _closing(lines[:kept])
        more = f"… {counted(len(lines) - kept, 'more line')}, left out because this would be too long."
        shorter = "\n".join([*lines[:kept], *closing, "", more, ""])
        if len(shorter) <= limit or not kept:
            return shorter
        kept -= 1


def _closing(lines: Sequence[str]) -> list[str]:
    """The lines that close the fence and the folded parts which are open after these lines."""
    fence, folded = "", 0
    for line in lines:
        mark = _FENCE.match(line)
        if fence:
            if mark and mark[1].startswith(fence) and not line.strip().strip(fence[0]):
                fence = ""
        elif mark:
            fence = mark[1]
        else:
            folded += line.count("<details") - line.count("</details>")
    return [*([fence] if fence else []), *(["", "</details>"] * max(0, folded))]
