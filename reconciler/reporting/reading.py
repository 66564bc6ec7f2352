"""Turn JSON that we wrote back into plans, verdicts and mistakes, so that they can be told in another form.  Pure.

A file may have come from anybody (an artifact of a fork's run): whatever it holds, it only becomes data.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from reconciler.errors import Problem, ReconcilerError
from reconciler.model.outcome import (
    Baseline,
    Doubt,
    Evaluation,
    EvaluationStatus,
    Level,
    Runs,
    StepOutcome,
    StepStatus,
    Verdict,
)
from reconciler.model.plan import (
    Action,
    Base,
    Basis,
    Cause,
    Effect,
    FieldChange,
    LifecycleChange,
    Plan,
    Refusal,
    Step,
)
from reconciler.model.replay import Near, Replay, ReplayState, Share
from reconciler.model.resource import Address, Source, ValueSource
from reconciler.reporting.pages import Told

Document = Mapping[str, Any]


def read_told(text: str) -> Told | None:
    """What a JSON of ``--format json`` or ``--report json=FILE`` tells; None for a text that is no JSON object.

    Raises ValueError for a JSON that is none of ours, or of a version that we do not know.
    """
    if not text.lstrip().startswith("{"):
        return None
    try:
        document = json.loads(text)
        return _told(document)
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError("not a JSON of a plan, of verdicts or of problems that reconciler wrote") from error


def plan_in(document: Document) -> Plan:
    """The plan that a JSON of one tells.  Raises ValueError for one of another form."""
    try:
        return _plan(document)
    except (KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError("not a JSON of a plan that reconciler wrote") from error


def _told(document: Document) -> Told:
    parts = [document[name] for name in ("plan", "apply", "evaluation") if name in document] or [document]
    plan = next((_plan(part) for part in parts if "steps" in part), None)
    evaluation = next((part for part in parts if "verdicts" in part), None)
    outcomes = next((part["outcomes"] for part in parts if "outcomes" in part), None)
    problems = next((part["problems"] for part in parts if "problems" in part), None)
    if plan is None and evaluation is None and problems is None:
        raise ValueError("nothing that can be told")
    if any(not str(part["format_version"]).startswith("1.") for part in parts):
        raise ValueError("another version")
    environment = evaluation.get("environment", "") if evaluation else plan.basis.environment if plan else ""
    return Told(
        environment=str(environment),
        plan=plan,
        outcomes=[_outcome(each) for each in outcomes if each["status"]] if outcomes is not None and plan else None,
        verdicts=[_verdict(each) for each in evaluation["verdicts"]] if evaluation else None,
        doubts=[_doubt(each) for each in evaluation.get("doubtful", ())] if evaluation else (),
        problems=[_problem(each) for each in problems] if problems is not None else None,
        error=_error(document["error"]) if document.get("error") else None,
    )


def _error(document: Document) -> ReconcilerError:
    return ReconcilerError(str(document["message"]), hint=str(document["hint"]))


def _plan(document: Document) -> Plan:
    basis, offline = document["basis"], document.get("offline")
    return Plan(
        basis=Basis(
            environment=str(document["environment"]),
            origins={str(name): str(origin) for name, origin in basis["origins"].items()},
            manifests=str(basis["manifests"]),
            lineage=str(basis["lineage"]),
            state_serial=int(basis["state_serial"]),
            options=dict(basis.get("options") or {}),
            base=Base(str(offline["base"]), str(offline["commit"])) if offline else None,
        ),
        steps=tuple(map(_step, document["steps"])),
        refusals=tuple(
            Refusal(
                Address.parse(each["address"]),
                str(each["reason"]),
                str(each["hint"]),
                _source(each["source"]),
                value_sources=_value_sources(each),
            )
            for each in document["refusals"]
        ),
        unchanged=int(document["summary"]["unchanged"]),
        unseen=tuple((Address.parse(each["address"]), str(each["path"])) for each in document["unseen"]),
        warnings=_texts(document["warnings"]),
        digest=str(document["digest"]),
        lifecycle=tuple(map(_lifecycle, document.get("lifecycle", ()))),
        unmanaged=tuple(
            (Address.parse(each["address"]), str(each["remote_id"])) for each in document.get("unmanaged", ())
        ),
    )


def _lifecycle(document: Document) -> LifecycleChange:
    address = Address.parse(document["address"])
    effect, source = document.get("effect"), _source(document.get("source"))
    path, before, after = str(document["path"]), document["before"], document["after"]
    return LifecycleChange(
        address, path, before, after, Effect(effect) if effect else None, source, _value_sources(document)
    )


def _step(document: Document) -> Step:
    return Step(
        id=str(document["id"]),
        action=Action(document["action"]),
        address=Address.parse(document["address"]),
        reason=str(document["reason"]),
        cause=Cause(document["cause"]),
        changes=tuple(map(_change, document["changes"])),
        after=_texts(document["after"]),
        effect=Effect(document["effect"]) if document["effect"] else None,
        source=_source(document["source"]),
        remote_id=_text(document["remote_id"]),
        former=Address.parse(document["former"]) if document["former"] else None,
        notes=_texts(document["notes"]),
        idle=bool(document["idle"]),
        replay=_replay(document["replay"]) if document.get("replay") else None,
        value_sources=_value_sources(document),
    )


def _value_sources(document: Document) -> tuple[ValueSource, ...]:
    found = document.get("value_sources", ())
    return tuple(
        ValueSource(str(each["path"]), str(each["what"]), Source(str(each["file"]), int(each["line"]), 1))
        for each in found
    )


def _replay(document: Document) -> Replay:
    return Replay(
        state=ReplayState(document["state"]),
        look_back_s=int(document["look_back_s"]),
        why=str(document["why"]),
        unknown=int(document["unknown"]),
        checked=int(document["checked"]),
        agreement=_float(document["agreement"]),
        before=_share(document["before"]),
        after=_share(document["after"]),
        only_before=int(document["only_before"]),
        only_after=int(document["only_after"]),
        nearest=tuple(map(_near, document["nearest"])),
        notes=_texts(document["notes"]),
    )


def _share(document: Document | None) -> Share | None:
    if document is None:
        return None
    shares = (float(document[name]) for name in ("share", "low", "high"))
    return Share(int(document["flagged"]), int(document["windows"]), *shares)


def _near(document: Document) -> Near:
    return Near(
        pipeline=_text(document["pipeline"]),
        starts=_int(document["starts"]),
        ends=_int(document["ends"]),
        result_id=str(document["result_id"]),
        measurement=str(document["measurement"]),
        value=document["value"],
        margin=float(document["margin"]),
    )


def _change(document: Document) -> FieldChange:
    return FieldChange(
        path=str(document["path"]),
        before=document["before"],
        after=document["after"],
        effect=Effect(document["effect"]) if document["effect"] else None,
        cause=Cause(document["cause"]),
        sensitive=bool(document["sensitive"]),
        create_only=bool(document["create_only"]),
    )


def _outcome(document: Document) -> StepOutcome:
    return StepOutcome(
        str(document["id"]), StepStatus(document["status"]), str(document["error"]), str(document["hint"])
    )


def _verdict(document: Document) -> Verdict:
    address, severity = Address.parse(document["address"]), document["severity"]
    if severity not in ("error", "warn", "info"):
        raise ValueError("unknown severity")
    result = document["result"]
    return Verdict(
        address=address,
        pipeline=_text(document["pipeline"]),
        level=Level(document["level"]),
        status=EvaluationStatus(document["status"]),
        severity=severity,
        measured=str(document["measured"]),
        wanted=str(document["wanted"]),
        margin=_float(document["margin"]),
        why=str(document["why"]),
        source=_source(document["source"]),
        evaluation=Evaluation(address, EvaluationStatus(document["status"]), result_id=str(result["id"]))
        if result
        else None,
        flaky=bool(document.get("flaky")),
        runs=_runs(document.get("runs")),
        baseline=_baseline(document.get("baseline")),
    )


def _doubt(document: Document) -> Doubt:
    return Doubt(
        Address.parse(document["address"]),
        _text(document["pipeline"]),
        str(document["why"]),
        str(document["hint"]),
        _source(document["source"]),
    )


def _runs(document: Document | None) -> Runs | None:
    if document is None:
        return None
    return Runs(*(int(document[name]) for name in ("passed", "known", "wanted", "min_pass")))


def _baseline(document: Document | None) -> Baseline | None:
    if document is None:
        return None
    return Baseline(
        value=_float(document["value"]),
        count=int(document["count"]),
        ends=_int(document["ends"]),
        drop=_float(document["drop"]),
        max_drop=float(document["max_drop"]),
        relative=bool(document["relative"]),
    )


def _problem(document: Document) -> Problem:
    return Problem(
        file=str(document["file"]),
        line=int(document["line"]),
        column=int(document["column"]),
        path=str(document["path"]),
        message=str(document["message"]),
        hint=str(document["hint"]),
        level="warning" if document.get("level") == "warning" else "error",
    )


def _source(document: Document | None) -> Source | None:
    return Source(str(document["file"]), int(document["line"]), int(document.get("column", 1))) if document else None


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _int(value: Any) -> int | None:
    return None if value is None else int(value)


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _texts(values: Sequence[object]) -> tuple[str, ...]:
    return tuple(str(value) for value in values)
