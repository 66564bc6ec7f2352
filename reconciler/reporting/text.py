"""Turn plans, outcomes, drift and mistakes into text for a terminal.  Pure.

Every function takes the width in columns and whether colours are wanted; without colours the output holds no
escape sequence.  The counts come last and are made from our own numbers, so that no name can fake them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from reconciler.errors import Problem, ReconcilerError
from reconciler.model.outcome import StepOutcome, StepStatus
from reconciler.model.plan import Action, Plan, Step
from reconciler.reporting.blocks import (
    TINTS,
    Block,
    Group,
    comparison,
    hint_lines,
    note_block,
    plan_blocks,
    summary_line,
)
from reconciler.reporting.drift import drift_answer, drift_blocks, drift_sentence
from reconciler.reporting.escape import line_start, terminal
from reconciler.reporting.findings import sentence, told_of
from reconciler.reporting.lines import Line, Span, Tint, is_to_be_copied, lay, line, paint
from reconciler.reporting.tables import state_table, verdict_table

__all__ = [
    "apply_text",
    "drift_answer",
    "drift_text",
    "error_text",
    "plan_text",
    "problems_text",
    "state_table",
    "verdict_table",
]


def plan_text(plan: Plan, *, width: int, color: bool, verbose: bool = False) -> str:
    """The plan for a person, worst first; ends with the counts.  Verbose adds every value of what is created."""
    blocks = plan_blocks(plan, verbose=verbose)
    notes = note_block(plan, verbose=verbose)
    texts = [_block(block, width, color) for block in (*blocks, *([notes] if notes else []))]
    title = [_sentence(compared, width, color)] if (compared := comparison(plan)) else []
    title += [_title(plan, width, color)] if blocks else []
    return "\n\n".join([*title, *texts, _sentence(summary_line(plan), width, color)]) + "\n"


def _sentence(text: str, width: int, color: bool) -> str:
    return "\n".join(lay([line(Span(text, "title"))], width=width, color=color))


def _title(plan: Plan, width: int, color: bool) -> str:
    environment = f" for {plan.basis.environment}" if plan.basis.environment else ""
    digest = [Span(f"(digest {plan.digest[:12]})", "dim")] if plan.digest else []
    return "\n".join(lay([line(Span(f"Plan{environment}", "title"), tail=digest)], width=width, color=color))


def _block(block: Block, width: int, color: bool) -> str:
    lines = [each for group in block.groups for each in group]
    return "\n".join([paint(block.title, block.tint, color=color), *lay(lines, width=width, color=color, margin=2)])


# ---------------------------------------------------------------------------------------------- apply

_DONE_WORDS = {
    Action.CREATE: "created",
    Action.UPDATE: "updated",
    Action.REPLACE: "replaced",
    Action.DELETE: "deleted",
    Action.ARCHIVE: "archived",
    Action.ADOPT: "adopted",
    Action.RENAME: "renamed",
    Action.FORGET: "forgotten",
    Action.KEEP: "kept",
}
_STATUS_TINTS: dict[StepStatus, Tint] = {
    StepStatus.FAILED: "bad",
    StepStatus.SKIPPED: "dim",
    StepStatus.UNKNOWN: "warn",
}


def apply_text(plan: Plan, outcomes: Sequence[StepOutcome], *, width: int, color: bool, verbose: bool = False) -> str:
    """What did not become of each step, in the plan's order, with errors and hints; ends with the counts.

    What is done stands in the plan that was shown before: it is counted, and listed if verbose.  So is a step
    without an outcome, which was not started.
    """
    by_id = {outcome.step_id: outcome for outcome in outcomes}
    lines = [each for step in plan.pending for each in _outcome(step, by_id.get(step.id), verbose)]
    closing = _closing(plan, by_id)
    text = lay(lines, width=width, color=color, margin=2)
    return "\n".join([*text, *([""] if text else []), *lay(closing, width=width, color=color)]) + "\n"


def _outcome(step: Step, outcome: StepOutcome | None, verbose: bool) -> Group:
    done = outcome is not None and outcome.status is StepStatus.DONE
    if not verbose and (done or outcome is None):
        return ()
    address = Span(str(step.address), solid=True)
    if outcome is None:
        return (line(Span("waiting   ", "dim", solid=True), address),)
    tint = TINTS[step.action] if done else _STATUS_TINTS[outcome.status]
    word = _DONE_WORDS[step.action] if done else outcome.status.value.upper()
    identity = [Span(f"(id {outcome.remote_id})", "dim", solid=True)] if verbose and outcome.remote_id else []
    return (
        line(Span(f"{word:<10}", tint, solid=True), address, tail=identity),
        *((line(outcome.error, indent=4),) if outcome.error else ()),
        *hint_lines(outcome.hint, indent=4),
    )


def _closing(plan: Plan, outcomes: dict[str, StepOutcome]) -> list[Line]:
    counts = Counter(outcomes[step.id].status for step in plan.pending if step.id in outcomes)
    parts = [f"{counts[StepStatus.DONE]:,} done"]
    parts += [f"{counts[status]:,} {status.value}" for status in StepStatus if counts[status] and status != "done"]
    waiting = len(plan.pending) - counts.total()
    if waiting:
        parts.append(f"{waiting:,} not started")
    closing = [line(Span(f"Apply: {', '.join(parts)}.", "title"), tail=_done_words(plan, outcomes))]
    if counts[StepStatus.DONE] == len(plan.pending):
        return closing
    failed = [each for each in outcomes.values() if each.status is StepStatus.FAILED]
    is_refused = failed and all(each.refused for each in failed) and not counts[StepStatus.UNKNOWN]
    again = "mend what was refused, then apply again" if is_refused else "run apply again to finish"
    again += "; what is done is remembered"
    looked = ", and what is unknown is looked up before anything is sent" if counts[StepStatus.UNKNOWN] else ""
    return [*closing, *hint_lines(again + looked, indent=0)]


def _done_words(plan: Plan, outcomes: dict[str, StepOutcome]) -> list[Span]:
    """``(3 created, 1 archived)``."""
    done = [step for step in plan.pending if step.id in outcomes and outcomes[step.id].status is StepStatus.DONE]
    counts = Counter(_DONE_WORDS[step.action] for step in done)
    return [Span(f"({', '.join(f'{count:,} {word}' for word, count in counts.items())})", "dim")] if counts else []


# ---------------------------------------------------------------------------------------------- drift


def drift_text(plan: Plan, *, width: int, color: bool, verbose: bool = False) -> str:
    """Only what was changed at the platform, told from there; ends with the answer."""
    texts = [_block(block, width, color) for block in drift_blocks(plan, verbose=verbose)]
    return "\n\n".join([*texts, _sentence(drift_sentence(plan), width, color)]) + "\n"


# ---------------------------------------------------------------------------------------------- mistakes


def problems_text(problems: Sequence[Problem], *, color: bool = False) -> str:
    """Every mistake on one line, ``file:line:col: path: what; hint``, unbroken, as editors read it; then the count.

    A warning is called one: ``file:line:col: warning: path: what``.
    """
    if not problems:
        return "No problems in the manifests.\n"
    lines = [line_start(_problem(problem, color)) for problem in problems]
    return "\n".join([*lines, paint(told_of(problems), "title", color=color)]) + "\n"


def _problem(problem: Problem, color: bool) -> str:
    where = f"{paint(terminal(problem.where), 'title', color=color)}: " if problem.where else ""
    level = "" if problem.is_error else paint("warning: ", "warn", color=color)
    return f"{where}{level}{terminal(sentence(problem))}"


def error_text(error: ReconcilerError, *, width: int, color: bool) -> str:
    """An error for stderr: ``error: what happened``, and ``hint: what to do next`` on a line of its own.

    A request and its JSON are never broken: they are there to be copied.
    """
    first, *further = error.message.split("\n")
    rest = (line(Span(text, solid=is_to_be_copied(text)), indent=2) for text in further)
    lines = [line(Span("error: ", "bad"), first), *rest]
    return "\n".join(lay([*lines, *hint_lines(error.hint, indent=0)], width=width, color=color)) + "\n"
