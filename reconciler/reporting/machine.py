r"""Turn plans, outcomes, verdicts and mistakes into JSON for machines.  Pure.

Indented, keys in a fixed order, text as it is.  What cannot be seen or acts on a terminal is written as ``\u001b``,
so that the JSON can be looked at in a log as well; a reader gets the same text back.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec.structs import asdict

from reconciler.errors import Problem, ReconcilerError
from reconciler.model.outcome import Doubt, Evaluation, Level, StepOutcome, StepStatus, Verdict
from reconciler.model.plan import FORMAT_VERSION, Plan, plan_to_json
from reconciler.model.resource import Source
from reconciler.reporting.escape import HIDDEN, LOG_COMMAND


def plan_json(plan: Plan, *, tool: str) -> str:
    """The plan as ``schemas/plan.v1.json`` describes it.  ``tool`` is our name and version."""
    return to_json(plan_to_json(plan, tool=tool))


def outcomes_json(plan: Plan, outcomes: Sequence[StepOutcome]) -> str:
    """What became of each step, in the plan's order; a step that was not started has the status null."""
    by_id = {outcome.step_id: outcome for outcome in outcomes}
    counts = Counter(by_id[step.id].status for step in plan.pending if step.id in by_id)
    return to_json(
        {
            "format_version": FORMAT_VERSION,
            "environment": plan.basis.environment,
            "digest": plan.digest,
            "summary": {
                **{status.value: counts[status] for status in StepStatus},
                "not_started": len(plan.pending) - counts.total(),
            },
            "outcomes": [
                {
                    "id": step.id,
                    "action": step.action.value,
                    "address": str(step.address),
                    **_outcome(by_id.get(step.id)),
                }
                for step in plan.pending
            ],
        }
    )


def _outcome(outcome: StepOutcome | None) -> dict[str, Any]:
    if outcome is None:
        return {"status": None, "error": "", "hint": "", "remote_id": None}
    return {
        "status": outcome.status.value,
        "error": outcome.error,
        "hint": outcome.hint,
        "remote_id": outcome.remote_id,
    }


def verdicts_json(
    verdicts: Sequence[Verdict],
    *,
    environment: str = "",
    cost: Mapping[str, object] | None = None,
    doubts: Sequence[Doubt] = (),
) -> str:
    """The verdicts in the order given, and how many there are of each level.

    ``flaky`` counts those among ``info`` that would count for more if they were not known to be flaky.  ``cost`` is
    what was triggered for them, as ``evaluating.estimate`` says: range, windows, number of evaluations.
    ``doubtful`` are the evaluations of which nobody knows whether they were started.
    """
    counts = Counter(verdict.level for verdict in verdicts)
    flaky = sum(verdict.flaky and verdict.level is not Level.PASS for verdict in verdicts)
    return to_json(
        {
            "format_version": FORMAT_VERSION,
            "environment": environment,
            "summary": {**{level.value: counts[level] for level in Level}, "flaky": flaky},
            **({"estimate": cost} if cost is not None else {}),
            "verdicts": [_verdict(verdict) for verdict in verdicts],
            "doubtful": [_doubt(each) for each in doubts],
        }
    )


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "address": str(verdict.address),
        "pipeline": verdict.pipeline,
        "level": verdict.level.value,
        "status": verdict.status.value,
        "severity": verdict.severity,
        "measured": verdict.measured,
        "wanted": verdict.wanted,
        "margin": verdict.margin,
        "why": verdict.why,
        "flaky": verdict.flaky,
        "runs": asdict(verdict.runs) if verdict.runs else None,
        "baseline": asdict(verdict.baseline) if verdict.baseline else None,
        "source": _source(verdict.source),
        "result": _result(verdict.evaluation) if verdict.evaluation else None,
    }


def _doubt(doubt: Doubt) -> dict[str, Any]:
    return {
        "address": str(doubt.address),
        "pipeline": doubt.pipeline,
        "why": doubt.why,
        "hint": doubt.hint,
        "source": _source(doubt.source),
    }


def _result(evaluation: Evaluation) -> dict[str, Any]:
    return {
        "id": evaluation.result_id,
        "starts": evaluation.starts,
        "ends": evaluation.ends,
        "recorded": evaluation.recorded,
        "measured": dict(evaluation.measured),
        "message": evaluation.message,
    }


def _source(source: Source | None) -> dict[str, Any] | None:
    return {"file": source.file, "line": source.line} if source else None


def problems_json(problems: Sequence[Problem]) -> str:
    """Mistakes and warnings in the order given.  ``line`` and ``column`` are 0 when the file as a whole is meant."""
    errors = sum(problem.is_error for problem in problems)
    return to_json(
        {
            "format_version": FORMAT_VERSION,
            "summary": {"problems": errors, "warnings": len(problems) - errors},
            "problems": [
                {
                    "file": problem.file,
                    "line": problem.line,
                    "column": problem.column,
                    "path": problem.path,
                    "message": problem.message,
                    "hint": problem.hint,
                    "level": problem.level,
                }
                for problem in problems
            ],
        }
    )


def error_to_json(error: ReconcilerError) -> dict[str, Any]:
    """What ended a run, as a part of what is told of it: its sentences, and the exit code that it has for that."""
    return {"exit_code": int(error.exit_code), "message": error.message, "hint": error.hint}


def to_json(data: object) -> str:
    """JSON text with a line break at its end.  NaN and infinities, which JSON lacks, become strings."""
    text = json.dumps(_finite(data), indent=2, ensure_ascii=False)
    # The line breaks are json's own: those inside strings are "\n" already.  All else that matches is in a string.
    text = re.sub(HIDDEN, lambda match: match.group() if match.group() == "\n" else _unicode(match.group()), text)
    return re.sub(LOG_COMMAND, r"#\\u0023", text) + "\n"


def _unicode(character: str) -> str:
    return json.dumps(character)[1:-1] if character != "\x7f" else "\\u007f"


def _finite(value: object) -> object:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    return value
