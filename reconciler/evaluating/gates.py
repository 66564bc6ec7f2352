"""Turns recorded results and what the manifests expect into verdicts, worst first.  Pure.

The platform says whether a window passes; we say what that means for the build.  Every expectation gets exactly one
verdict, and nothing is passed over in silence: no result, a result that can not be read, a skipped, failed or
unfinished evaluation all fail unless the gate says otherwise.

    platform says              level
    passing                    pass; warn if the value misses the stricter ``warn`` threshold, or even the threshold
                               itself (it was judged by an older one)
    failing                    fail, warn or info: the severity
    skipped / error            as onSkipped / onError say; by default as failing
    missing, still running     as onMissing says; by default as failing
    something unknown          as failing, whatever the gate says
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from math import inf

from reconciler.model.criteria import criteria_text, family, is_defined, margin, meets, name_of, value_text
from reconciler.model.kind import Criterion
from reconciler.model.outcome import Evaluation, EvaluationStatus, Level, Verdict
from reconciler.model.resource import Address, Gate, OnUnusual, Severity, Source
from reconciler.model.values import Json

_WORST_FIRST = tuple(Level)
_FAILED: Mapping[Severity, Level] = {"error": Level.FAIL, "warn": Level.WARN, "info": Level.INFO}


@dataclass(frozen=True, slots=True)
class Expectation:
    """One thing that must be judged: a resource on one pipeline, or wherever there are results (``pipeline`` None).

    ``criteria`` are the thresholds that the platform judges by; ``warn_criteria`` are ours alone.
    """

    address: Address
    pipeline: str | None = None
    gate: Gate = field(default_factory=Gate)
    source: Source | None = None
    criteria: tuple[Criterion, ...] = ()
    warn_criteria: tuple[Criterion, ...] = ()


def judge(
    expectations: Iterable[Expectation], evaluations: Iterable[Evaluation], names: Mapping[str, str] | None = None
) -> tuple[Verdict, ...]:
    """One verdict for each expectation, worst first: by level, smallest margin, address, pipeline.

    Every window counts and the worst is shown, so that a failing window is not hidden by a later passing one; of
    several results for the same window the one recorded last counts.  ``names`` maps the vendor's pipeline ids to
    names.  A result that is not about any pipeline speaks for all of them when it is bad news (a trigger that
    failed), and for none when it is good.  Results of expected resources on other pipelines are added as warnings
    unless they pass; results of other resources are left out.
    """
    wanted, known = _by_address(expectations), names or {}
    found: dict[Address, list[Evaluation]] = {}
    for each in evaluations:
        name = known.get(each.pipeline, each.pipeline) if each.pipeline else None
        found.setdefault(each.address, []).append(replace(each, pipeline=name))
    verdicts = [
        verdict for address, group in wanted.items() for verdict in _judge(group, _latest(found.get(address, [])))
    ]
    return tuple(sorted(verdicts, key=_rank))


def passed(verdicts: Sequence[Verdict]) -> bool:
    """Whether the build may go on.  No verdicts at all prove nothing and do not pass."""
    return bool(verdicts) and all(verdict.level is not Level.FAIL for verdict in verdicts)


def _by_address(expectations: Iterable[Expectation]) -> dict[Address, list[Expectation]]:
    groups: dict[Address, list[Expectation]] = {}
    for expectation in expectations:
        groups.setdefault(expectation.address, []).append(expectation)
    return groups


def _rank(verdict: Verdict) -> tuple[int, float, Address, str]:
    distance = inf if verdict.margin is None else verdict.margin
    return (_WORST_FIRST.index(verdict.level), distance, verdict.address, verdict.pipeline or "")


# ------------------------------------------------------------------------------------- which results count


def _latest(evaluations: list[Evaluation]) -> list[Evaluation]:
    """The results without those that a later evaluation of the same window replaced.

    What the vendor did not record (no id: our own news of a failed trigger) neither replaces nor is replaced.
    """
    newest: dict[object, Evaluation] = {}
    for each in evaluations:
        recorded_window = each.result_id and each.starts is not None and each.ends is not None
        key = (each.pipeline, each.starts, each.ends) if recorded_window else id(each)
        if key not in newest or each.recorded > newest[key].recorded:
            newest[key] = each
    return list(newest.values())


def _judge(expectations: list[Expectation], evaluations: list[Evaluation]) -> Iterator[Verdict]:
    """The verdicts on one resource."""
    for expectation in expectations:
        windows = [each for each in evaluations if _is_about(each, expectation)]
        yield _worst(expectation, windows or [_missing(expectation)])
    named = {expectation.pipeline for expectation in expectations}
    if None not in named:
        yield from _elsewhere(expectations[0], [e for e in evaluations if e.pipeline and e.pipeline not in named])


def _is_about(evaluation: Evaluation, expectation: Expectation) -> bool:
    if expectation.pipeline is None or evaluation.pipeline == expectation.pipeline:
        return True
    return evaluation.pipeline is None and evaluation.status is not EvaluationStatus.PASSING


def _missing(expectation: Expectation) -> Evaluation:
    return Evaluation(expectation.address, EvaluationStatus.MISSING, expectation.pipeline)


def _elsewhere(expectation: Expectation, evaluations: list[Evaluation]) -> Iterator[Verdict]:
    """Verdicts on pipelines that nobody named: never worse than a warning, and silent when all is well."""
    for pipeline in sorted({each.pipeline for each in evaluations if each.pipeline}):
        there = replace(expectation, pipeline=pipeline)
        verdict = _worst(there, [each for each in evaluations if each.pipeline == pipeline])
        if verdict.status is not EvaluationStatus.PASSING:
            level = Level.WARN if verdict.level is Level.FAIL else verdict.level
            why = f"on a pipeline that the manifests do not name: {verdict.why}"
            yield replace(verdict, level=level, why=why)


def _worst(expectation: Expectation, windows: list[Evaluation]) -> Verdict:
    """The worst of the windows, saying how many there were; of equally bad ones the latest."""
    latest_first = sorted(windows, key=lambda each: each.ends or 0, reverse=True)
    verdicts = [_verdict(expectation, each) for each in latest_first]
    worst = min(verdicts, key=_rank)
    if len(verdicts) == 1:
        return worst
    bad = sum(verdict.status is not EvaluationStatus.PASSING for verdict in verdicts)
    count = f"worst of {len(verdicts)} windows, {f'{bad} of them not passing' if bad else 'all passing'}"
    return replace(worst, why=f"{worst.why}; {count}" if worst.why else count)


# ------------------------------------------------------------------------------------- what one result means


def _verdict(expectation: Expectation, evaluation: Evaluation) -> Verdict:
    level, why, criteria = _level(expectation, evaluation)
    values = _values(evaluation, criteria)
    margins = [margin(values[c.key], [c]) for c in criteria if c.key in values]
    return Verdict(
        address=expectation.address,
        pipeline=evaluation.pipeline or expectation.pipeline,
        level=level,
        status=evaluation.status,
        severity=expectation.gate.severity,
        measured=_measured_text(evaluation, criteria),
        wanted=criteria_text(criteria),
        margin=min((each for each in margins if each is not None), default=None),
        why=why,
        source=expectation.source,
        evaluation=None if evaluation.status is EvaluationStatus.MISSING else evaluation,
    )


def _level(expectation: Expectation, evaluation: Evaluation) -> tuple[Level, str, tuple[Criterion, ...]]:
    """How one result counts, why, and the criteria that decided."""
    gate, criteria = expectation.gate, expectation.criteria
    match evaluation.status:
        case EvaluationStatus.PASSING:
            return _level_of_passing(expectation, evaluation)
        case EvaluationStatus.FAILING:
            return _FAILED[gate.severity], _why_failing(evaluation, criteria), criteria
        case EvaluationStatus.SKIPPED:
            return *_unusual(gate, gate.on_skipped, "onSkipped", _said(evaluation, "skipped")), criteria
        case EvaluationStatus.ERROR:
            return *_unusual(gate, gate.on_error, "onError", _said(evaluation, "could not be evaluated")), criteria
        case EvaluationStatus.MISSING:
            return *_unusual(gate, gate.on_missing, "onMissing", _said(evaluation, "no result in this range")), criteria
        case EvaluationStatus.RUNNING:
            return *_unusual(gate, gate.on_missing, "onMissing", _said(evaluation, "still running")), criteria
        case EvaluationStatus.UNREADABLE:
            return _FAILED[gate.severity], _said(evaluation, "the result can not be read"), criteria


def _unusual(gate: Gate, decision: OnUnusual, option: str, why: str) -> tuple[Level, str]:
    match decision:
        case "fail":
            return _FAILED[gate.severity], why
        case "warn":
            return Level.WARN, f"{why} ({option}: warn)"
        case "pass":
            return Level.PASS, f"{why} ({option}: pass)"


def _said(evaluation: Evaluation, what: str) -> str:
    return f"{what}: {evaluation.message}" if evaluation.message else what


def _level_of_passing(expectation: Expectation, evaluation: Evaluation) -> tuple[Level, str, tuple[Criterion, ...]]:
    criteria, stricter = expectation.criteria, expectation.warn_criteria
    values = _values(evaluation, stricter)
    unseen = [c for c in stricter if c.key not in values]
    if unseen:
        why = f"the platform does not show {name_of(unseen[0])}, so the warning threshold can not be judged"
        return Level.WARN, why, stricter
    if not all(meets(values[c.key], c) for c in stricter):
        return Level.WARN, "passes, but misses the stricter warning threshold", stricter
    if _contradicts(evaluation, criteria):
        why = "recorded as passing, but the value misses the threshold as it is written now; evaluate again"
        return Level.WARN, why, criteria
    return Level.PASS, evaluation.message, criteria


def _why_failing(evaluation: Evaluation, criteria: Sequence[Criterion]) -> str:
    if evaluation.message:
        return evaluation.message
    values = _values(evaluation, criteria)
    judged = [c for c in criteria if is_defined(c)]
    if judged and len(judged) == len(criteria) and all(c.key in values and meets(values[c.key], c) for c in judged):
        return "recorded as failing, although the value meets the threshold as it is written now"
    return "misses the threshold"


def _contradicts(evaluation: Evaluation, criteria: Sequence[Criterion]) -> bool:
    """Whether the value that the vendor shows would not pass by more than the noise of its last digits."""
    values = _values(evaluation, criteria)
    shown = [(values[c.key], c) for c in criteria if c.key in values and is_defined(c)]
    return any(not meets(value, c) and not _is_noise(value, c) for value, c in shown)


def _is_noise(value: Json, criterion: Criterion) -> bool:
    distance = margin(value, [criterion])
    limit = criterion.value if isinstance(criterion.value, int | float) else 0
    # A distance of 0 on the wrong side is a decision (> 5 with 5), not noise.
    return bool(distance) and distance is not None and abs(distance) <= 1e-9 * max(1.0, abs(limit))


# ------------------------------------------------------------------------------------- values, and their text


def _values(evaluation: Evaluation, criteria: Sequence[Criterion]) -> dict[str, Json]:
    """The measured value for each criterion's key, where it is certain which one that is.

    Results name the measurement only.  Two keys with the same measurement (one insight with different parameters)
    can not be told apart, so neither gets a value; a lone value without a name belongs to a lone key.
    """
    labels = {criterion.key: criterion.label for criterion in criteria}
    names = list(labels.values())
    values: dict[str, Json] = {}
    for key, label in labels.items():
        name = key if key in evaluation.measured else label
        if name in evaluation.measured and (name == key or names.count(label) == 1):
            values[key] = evaluation.measured[name]
        elif len(labels) == 1 and list(evaluation.measured) == ["value"]:
            values[key] = evaluation.measured["value"]
    return {key: value for key, value in values.items() if family(value) is not None}


def _measured_text(evaluation: Evaluation, criteria: Sequence[Criterion]) -> str:
    """What was measured, named where the expectation is about more than one thing; empty when nothing is shown."""
    values = _values(evaluation, criteria)
    if not values:
        return ", ".join(f"{name} {value_text(value)}" for name, value in sorted(evaluation.measured.items()))
    texts = {key: _rounded(value, [c for c in criteria if c.key == key]) for key, value in values.items()}
    names = {criterion.key: name_of(criterion) for criterion in criteria}
    if len(names) == 1:
        return next(iter(texts.values()))
    return ", ".join(f"{names[key]} {text}" for key, text in texts.items())


def _rounded(value: Json, criteria: Sequence[Criterion]) -> str:
    """The value with four digits after the point, or all of them where rounding would hide or turn the decision."""
    if not isinstance(value, float):
        return value_text(value)
    short = round(value, 4) if abs(value) >= 1 else float(f"{value:.4g}")
    limits = [criterion.value for criterion in criteria]
    hides = short != value and (short in limits or any(meets(short, c) != meets(value, c) for c in criteria))
    return value_text(value if hides else short)
