"""Turn mistakes, plans and verdicts into what GitHub's runner reads: annotations, and the outputs of a step.  Pure.

Source: docs.github.com, "Workflow commands for GitHub Actions"; a step keeps its first ten annotations of each level
(2026-11).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import Literal

from msgspec import Struct

from reconciler.errors import Problem, ReconcilerError
from reconciler.model.outcome import Doubt, Level, StepOutcome, StepStatus, Verdict
from reconciler.model.plan import Action, Cause, Effect, LifecycleChange, Plan, Step
from reconciler.model.resource import Address, Source, ValueSource
from reconciler.model.values import counted
from reconciler.reporting.blocks import drifted
from reconciler.reporting.changes import change_lines, decided, rule_text
from reconciler.reporting.escape import line_start, terminal, workflow_command, workflow_property
from reconciler.reporting.findings import sentence
from reconciler.reporting.tables import FLAKY, doubt_words, level_word, short_address, verdict_words, worst_first

MOST_ANNOTATIONS = 10
LONGEST = 4_000
"""Characters of one message; the Checks API takes 64 KB, and nobody reads them."""

AnnotationLevel = Literal["error", "warning", "notice"]
_TITLES = {
    "fail": "Test failed",
    "warn": "Test warned",
    "info": "Test missed, for information",
    FLAKY: "Flaky test failed",
}
_LEVELS: dict[Level, AnnotationLevel] = {Level.FAIL: "error", Level.WARN: "warning", Level.INFO: "notice"}


class Annotation(Struct, frozen=True):
    """A remark at a place.  ``line`` and ``column`` count from 1; 0 means that there is none."""

    level: AnnotationLevel
    message: str
    file: str = ""
    line: int = 0
    column: int = 0
    title: str = "reconciler"

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}:{self.column}" if self.line else self.file
        return f"{where}: {self.message}" if where else self.message


# ------------------------------------------------------------------------------------- what is worth a remark


def of_problems(problems: Iterable[Problem]) -> list[Annotation]:
    """One for each mistake and each warning, at its line."""
    return [Annotation(each.level, sentence(each), each.file, each.line, each.column) for each in problems]


def of_plan(plan: Plan) -> list[Annotation]:
    """An error for each refusal, a warning for each step that lets more pass, and for each gate."""
    refused = [
        _at(
            each.source,
            "error",
            f"{short_address(each.address)}: {_with_hint(each.reason + _decided(each.value_sources), each.hint)}",
            "Refused",
        )
        for each in plan.refusals
    ]
    loosened = [
        _at(step.source, "warning", f"{short_address(step.address)}: {_loosening(step)}", "Loosened")
        for step in plan.pending
        if step.effect is Effect.LOOSENED
    ]
    changes = [each for each in plan.lifecycle if each.effect is Effect.LOOSENED]
    gates = [_of_gate(address, list(group)) for address, group in groupby(changes, lambda each: each.address)]
    return [*refused, *loosened, *gates]


def _of_gate(address: Address, changes: Sequence[LifecycleChange]) -> Annotation:
    words = "; ".join(f"{rule_text(each, verbose=False)}  LOOSENED{_decided(each.value_sources)}" for each in changes)
    return _at(changes[0].source, "warning", f"{short_address(address)}: {words}", "Loosened")


def _decided(found: Sequence[ValueSource]) -> str:
    return "".join(span.text for span in decided(found))


def of_drift(plan: Plan) -> list[Annotation]:
    """A warning for each resource that somebody changed at the platform; refusals as those of a plan."""
    refused = [each for each in of_plan(plan) if each.level == "error"]
    changed = [
        _at(step.source, "warning", ": ".join([short_address(step.address), step.reason, *_paths(step)]), "Drifted")
        for step in drifted(plan)
    ]
    strangers = [
        _at(None, "warning", f"{short_address(address)} ({remote_id}) is in no manifest", "Drifted")
        for address, remote_id in plan.unmanaged
    ]
    return [*refused, *changed, *strangers]


def _paths(step: Step) -> list[str]:
    """The fields that were changed at the platform, in one text; none where there are none, or all of it is gone."""
    if step.action is Action.CREATE:
        return []
    paths = [change.path for change in step.changes if change.cause is not Cause.MANIFEST]
    return [", ".join(paths)] if paths else []


def of_outcomes(plan: Plan, outcomes: Iterable[StepOutcome]) -> list[Annotation]:
    """An error for each step that did not work; one that was skipped says nothing that its cause does not."""
    steps = {step.id: step for step in plan.steps}
    bad = [each for each in outcomes if each.status in (StepStatus.FAILED, StepStatus.UNKNOWN)]
    return [
        _at(
            steps[each.step_id].source,
            "error",
            f"{steps[each.step_id].action} {short_address(steps[each.step_id].address)}: "
            + _with_hint(each.error, each.hint),
            f"Step {each.status}",
        )
        for each in bad
    ]


def of_verdicts(verdicts: Sequence[Verdict]) -> list[Annotation]:
    """One for each verdict that is not a pass, worst first."""
    return [
        _at(each.source, _LEVELS[each.level], verdict_words(each), _TITLES[level_word(each)])
        for each in worst_first(verdicts)
        if each.level in _LEVELS
    ]


def of_doubts(doubts: Iterable[Doubt]) -> list[Annotation]:
    """A warning for each evaluation of which nobody knows whether it was started."""
    return [_at(each.source, "warning", doubt_words(each), "Doubtful") for each in doubts]


def of_error(error: ReconcilerError) -> list[Annotation]:
    """What ended the run."""
    return [Annotation("error", _with_hint(error.message, error.hint))]


def _at(source: Source | None, level: AnnotationLevel, message: str, title: str) -> Annotation:
    place = (source.file, source.line, source.column) if source else ("", 0, 0)
    return Annotation(level, message, *place, title=f"reconciler: {title}")


def _with_hint(message: str, hint: str) -> str:
    return f"{message}; {hint}" if hint else message


def _loosening(step: Step) -> str:
    """What lets more pass, as the plan's text puts it."""
    loosened = [change_lines(each, step, verbose=False)[0] for each in step.changes if each.effect is Effect.LOOSENED]
    return "; ".join("".join(span.text for span in each.spans) for each in loosened) or step.reason


# ------------------------------------------------------------------------------------------------ commands


def github(annotations: Iterable[Annotation]) -> str:
    """The annotations as workflow commands, and what GitHub would not keep as plain lines of the log after them."""
    kept, others = _kept(annotations)
    lines = [*map(_command, kept), *(line_start(terminal(str(each))) for each in others)]
    return "".join(f"{each}\n" for each in lines)


def github_annotations(annotations: Iterable[Annotation]) -> str:
    """Only the workflow commands: at most ten of each level, the tenth saying how many more there are."""
    return "".join(f"{_command(each)}\n" for each in _kept(annotations)[0])


def _kept(annotations: Iterable[Annotation]) -> tuple[list[Annotation], list[Annotation]]:
    """What a step keeps, with the words for what it does not; and that."""
    kept: list[Annotation] = []
    others: list[Annotation] = []
    for level, group in groupby(sorted(annotations, key=lambda each: each.level), key=lambda each: each.level):
        found = list(group)
        if len(found) <= MOST_ANNOTATIONS:
            kept += found
            continue
        left = found[MOST_ANNOTATIONS - 1 :]
        kept += [
            *found[: MOST_ANNOTATIONS - 1],
            Annotation(level, f"{counted(len(left), f'more {level}')}: GitHub keeps ten, the log has all of them"),
        ]
        others += left
    return kept, others


def _command(annotation: Annotation) -> str:
    place = {"file": annotation.file.removeprefix("./")} if annotation.file else {}
    if annotation.file and annotation.line:
        place |= {"line": str(annotation.line), "col": str(max(annotation.column, 1))}
    properties = ",".join(
        f"{key}={workflow_property(value)}" for key, value in (place | {"title": annotation.title}).items()
    )
    message = annotation.message
    message = message if len(message) <= LONGEST else message[: LONGEST - 1] + "…"
    return f"::{annotation.level} {properties}::{workflow_command(message)}"


# ------------------------------------------------------------------------------------------------- outputs


def plan_outputs(plan: Plan) -> dict[str, str]:
    """``has-changes``, and how many steps of each action, as names and values of outputs."""
    counts = Counter(step.action.value for step in plan.pending)
    summary = {name: str(counts[name]) for name in plan.summary() if name not in ("keep", "refused")}
    return {
        "has-changes": _truth(plan.has_changes),
        **summary,
        "loosened": str(plan.loosened),
        "refused": str(len(plan.refusals)),
        "digest": plan.digest,
    }


def verdict_outputs(verdicts: Sequence[Verdict], *, passed: bool) -> dict[str, str]:
    """``gate`` (passed or failed), and how many verdicts count which way."""
    counts = Counter(map(level_word, verdicts))
    return {
        "gate": "passed" if passed else "failed",
        "tests-passed": str(counts[Level.PASS]),
        "tests-informed": str(counts[Level.INFO]),
        "tests-flaky": str(counts[FLAKY]),
        "tests-warned": str(counts[Level.WARN]),
        "tests-failed": str(counts[Level.FAIL]),
    }


def problem_outputs(problems: Sequence[Problem]) -> dict[str, str]:
    """``valid``, and how many mistakes and warnings there are."""
    errors = sum(each.is_error for each in problems)
    return {"valid": _truth(not errors), "problems": str(errors), "warnings": str(len(problems) - errors)}


def _truth(value: bool) -> str:
    return "true" if value else "false"


def github_outputs(values: Mapping[str, str], new_delimiter: Callable[[], str]) -> str:
    """The text to append to ``$GITHUB_OUTPUT``, each value between two lines that no value contains.

    ``new_delimiter`` gives another unguessable word each time: a value with a known delimiter could end itself and go
    on to set other outputs.
    """
    delimiter = new_delimiter()
    while any(delimiter in value for value in values.values()):
        delimiter = new_delimiter()
    return "".join(f"{name}<<{delimiter}\n{value}\n{delimiter}\n" for name, value in values.items())
