"""What one result means by itself: the platform's word, and what the manifests expect of it.  Pure.

    platform says              level
    passing                    as failing if the value fell by more than ``regress`` allows or cannot be compared;
                               as failing if it misses the threshold while another one is at the platform, or was when
                               it was recorded, or that of a version: there is no older one;
                               warn if it misses the threshold, and nobody knows of another one by which it was judged,
                               or the stricter ``warn`` threshold, or what is shown is no number (NaN, null); else pass,
                               also where there is no past to compare with, or no value is shown at all
    failing                    fail, warn or info: the severity
    skipped / error            as onSkipped / onError say; by default as failing
    missing, still running     as onMissing says; by default as failing
    something unknown          as failing, whatever the gate says

Whatever comes out is never worse than the severity.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.evaluating.regress import Compared
from reconciler.model.criteria import (
    criteria_text,
    is_defined,
    margin,
    meets,
    name_of,
    no_number_for,
    rounded,
    undirected,
    value_text,
    values_of,
)
from reconciler.model.kind import Criterion
from reconciler.model.outcome import Evaluation, EvaluationStatus, Level, Verdict
from reconciler.model.resource import Address, Gate, OnUnusual, Severity, Source
from reconciler.model.values import Json

WORST_FIRST = tuple(Level)
_FAILED: Mapping[Severity, Level] = {"error": Level.FAIL, "warn": Level.WARN, "info": Level.INFO}


class Expectation(Struct, frozen=True):
    """One thing that must be judged: a resource on one pipeline, or wherever there are results (``pipeline`` None).

    ``criteria`` are the thresholds that the platform is to judge by, ``there`` those that it has now, None where
    nothing is there; ``warn_criteria`` are ours alone.  Not ``windowed``: results are about no range of
    time, so all results on one place are about the same.
    """

    address: Address
    pipeline: str | None = None
    gate: Gate = field(default_factory=Gate)
    source: Source | None = None
    criteria: tuple[Criterion, ...] = ()
    warn_criteria: tuple[Criterion, ...] = ()
    windowed: bool = True
    there: tuple[Criterion, ...] | None = None


class Judged(Struct, frozen=True):
    """A verdict, and whether it is no failure, whatever the severity makes of one.

    ``singles`` are the verdicts on the results of this run that it sums up.
    """

    verdict: Verdict
    holds: bool
    singles: tuple[Verdict, ...]

    @property
    def passes(self) -> bool:
        """Whether the platform says so, too, and nothing was forgiven."""
        return self.holds and self.verdict.status is EvaluationStatus.PASSING


def judged_alone(expectation: Expectation, evaluation: Evaluation, compared: Compared | None) -> Judged:
    """The verdict on one result; ``compared`` is its value beside the past, None where nothing can be compared."""
    gate = expectation.gate
    finding = _finding(expectation, evaluation, compared)
    values = values_of(evaluation.measured, finding.criteria)
    margins = [margin(values[c.key], [c]) for c in finding.criteria if c.key in values]
    verdict = Verdict(
        address=expectation.address,
        pipeline=evaluation.pipeline or expectation.pipeline,
        level=milder(finding.level, _FAILED[gate.severity]),
        status=evaluation.status,
        severity=gate.severity,
        measured=_measured_text(evaluation, finding.criteria),
        wanted=criteria_text(finding.criteria),
        margin=min((each for each in margins if each is not None), default=None),
        why=finding.why,
        source=expectation.source,
        evaluation=None if evaluation.status is EvaluationStatus.MISSING else evaluation,
        flaky=gate.flaky,
        baseline=compared.baseline if compared else None,
    )
    if compared and finding.fell:
        beside = {"measured": compared.measured, "wanted": compared.wanted, "margin": compared.margin}
        verdict = replace(verdict, **beside, fell=True)
    return Judged(verdict, finding.holds, (verdict,))


def milder(one: Level, other: Level) -> Level:
    """That of the two which blocks less."""
    return max(one, other, key=WORST_FIRST.index)


def joined(*texts: str) -> str:
    """The clauses in one sentence; what the platform said may have been a sentence of its own."""
    *others, last = [text for text in texts if text] or [""]
    return "; ".join([*(text.removesuffix(".") for text in others), last])


def unusual(gate: Gate, decision: OnUnusual, option: str, why: str) -> tuple[Level, str, bool]:
    """The level of what is neither passing nor failing, why, and whether it holds: as the gate's option decides."""
    match decision:
        case "fail":
            return _FAILED[gate.severity], why, False
        case "warn":
            return milder(Level.WARN, _FAILED[gate.severity]), f"{why} ({option}: warn)", True
        case "pass":
            return Level.PASS, f"{why} ({option}: pass)", True


# ------------------------------------------------------------------------------------------------ decisions


class _Finding(Struct, frozen=True):
    """How one result counts and why; ``criteria`` are those that decided, ``fell``: the past did."""

    level: Level
    why: str
    criteria: tuple[Criterion, ...]
    holds: bool
    fell: bool = False


def _finding(expectation: Expectation, evaluation: Evaluation, compared: Compared | None) -> _Finding:
    gate, criteria = expectation.gate, expectation.criteria
    match evaluation.status:
        case EvaluationStatus.PASSING:
            return _of_passing(expectation, evaluation, compared)
        case EvaluationStatus.FAILING:
            return _failed(expectation, _why_failing(evaluation, criteria))
        case EvaluationStatus.SKIPPED:
            decision, option, what = gate.on_skipped, "onSkipped", "skipped"
        case EvaluationStatus.ERROR:
            decision, option, what = gate.on_error, "onError", "could not be evaluated"
        case EvaluationStatus.MISSING:
            decision, option, what = gate.on_missing, "onMissing", "no result"
        case EvaluationStatus.RUNNING:
            decision, option, what = gate.on_missing, "onMissing", "still running"
        case EvaluationStatus.UNREADABLE:
            decision, option, what = "fail", "", "the result cannot be read"
    told = f"{what}: {evaluation.message}" if evaluation.message else what
    level, why, holds = unusual(gate, decision, option, told)
    return _Finding(level, why, criteria, holds)


def _failed(expectation: Expectation, why: str, *, fell: bool = False) -> _Finding:
    return _Finding(_FAILED[expectation.gate.severity], why, expectation.criteria, holds=False, fell=fell)


def _of_passing(expectation: Expectation, evaluation: Evaluation, compared: Compared | None) -> _Finding:
    """What fails comes first, then what is at least no pass: no milder reason may hide a graver one."""
    criteria, stricter = expectation.criteria, expectation.warn_criteria
    if why := _measures_something_else(expectation):
        return _failed(expectation, why)
    if compared is None and expectation.gate.regress is not None:
        return _failed(expectation, _why_not_compared(criteria))
    if compared is not None and compared.why:
        return _failed(expectation, compared.why, fell=True)
    if why := _passes_by_another(expectation, evaluation):
        return _failed(expectation, why)
    if why := _differs_from_the_record(evaluation, criteria):
        return _Finding(Level.WARN, f"recorded as passing, but {why}; {_anew(evaluation)}", criteria, holds=False)
    if (unread := no_number_for(evaluation.measured, criteria)) is not None:
        why = f"recorded as passing, but the platform shows no number for {name_of(unread)}"
        return _Finding(Level.WARN, why, criteria, holds=True)
    if why := _misses_the_stricter(evaluation, criteria, stricter):
        return _Finding(Level.WARN, why, stricter, holds=True)
    first = "no baseline yet" if compared and compared.baseline.value is None else ""
    return _Finding(Level.PASS, joined(evaluation.message, first), criteria, holds=True)


def _measures_something_else(expectation: Expectation) -> str:
    """Why what passes at the platform says nothing here: what is written is not measured there; else ""."""
    if expectation.there is None or not expectation.windowed:
        return ""
    keys = {each.key for each in expectation.there}
    unmeasured = next((c for c in expectation.criteria if c.key not in keys), None)
    if unmeasured is None:
        return ""
    what = f"something else than the {name_of(unmeasured)} that is written"
    return f"passes at the platform, which measures {what}; apply it, and evaluate again"


def _passes_by_another(expectation: Expectation, evaluation: Evaluation) -> str:
    """Why what passes at the platform does not pass here: it was judged by other thresholds there; else ""."""
    criteria = expectation.criteria
    if not expectation.windowed and (unseen := _unseen(evaluation, criteria)):
        return f"passes at the platform, which does not show {unseen}; apply what is written, and evaluate again"
    missed = _missed(evaluation, criteria)
    differs = expectation.there is not None and any(each not in expectation.there for each in criteria)
    if missed and (differs or not expectation.windowed):
        return "passes by another threshold at the platform; apply the one that is written, and evaluate again"
    if any(criterion.key in evaluation.laxer_then for criterion in missed):
        return f"recorded by another threshold, and misses the one that is written now; {_anew(evaluation)}"
    return ""


def _unseen(evaluation: Evaluation, criteria: Sequence[Criterion]) -> str:
    """The name of what is limited and not shown, among what is; what is shown and cannot be read is not meant."""
    if not evaluation.measured or no_number_for(evaluation.measured, criteria) is not None:
        return ""
    values = values_of(evaluation.measured, criteria)
    return next((name_of(c) for c in criteria if c.key not in values), "")


def _differs_from_the_record(evaluation: Evaluation, criteria: Sequence[Criterion]) -> str:
    """Why a pass is not one by what is written now, as far as one can tell; else ""."""
    if unmeasured := _unmeasured(evaluation, criteria):
        return f"without {unmeasured} as it is written now"
    return "the value misses the threshold as it is written now" if _missed(evaluation, criteria) else ""


def _misses_the_stricter(evaluation: Evaluation, criteria: Sequence[Criterion], stricter: Sequence[Criterion]) -> str:
    """Why what passes is warned of, by the thresholds that are ours alone; else ""."""
    values = values_of(evaluation.measured, [*criteria, *stricter])
    unseen = next((c for c in stricter if c.key not in values), None)
    if unseen is not None:
        return f"the platform does not show {name_of(unseen)}, so the warning threshold cannot be judged"
    missed = any(not meets(values[c.key], c) for c in stricter)
    return "passes, but misses the stricter warning threshold" if missed else ""


def _anew(evaluation: Evaluation) -> str:
    """How to get another result; one that is about no range of time came of a commit."""
    return (
        "evaluate it anew, with --overwrite" if evaluation.ends is not None else "push a commit, which is judged anew"
    )


def _unmeasured(evaluation: Evaluation, criteria: Sequence[Criterion]) -> str:
    """What is written and was not measured, by its name; "" where all was, or nobody can tell."""
    if evaluation.unmeasured:
        return evaluation.unmeasured
    if not evaluation.measured or "value" in evaluation.measured:
        return ""
    shown = evaluation.measured.keys()
    return next((name_of(c) for c in criteria if c.key not in shown and c.label and c.label not in shown), "")


def _why_not_compared(criteria: Sequence[Criterion]) -> str:
    reason = undirected(criteria) or f"the platform does not show {name_of(criteria[0])} as a number"
    return f"cannot be compared with the past: {reason}"


def _why_failing(evaluation: Evaluation, criteria: Sequence[Criterion]) -> str:
    if evaluation.message:
        return evaluation.message
    values = values_of(evaluation.measured, criteria)
    judged = [c for c in criteria if is_defined(c)]
    if judged and len(judged) == len(criteria) and all(c.key in values and meets(values[c.key], c) for c in judged):
        return "recorded as failing, although the value meets the threshold as it is written now"
    return "misses the threshold"


def _missed(evaluation: Evaluation, criteria: Sequence[Criterion]) -> list[Criterion]:
    """The criteria that the value that the vendor shows does not pass, by more than the noise of its last digits.

    What is no number where only numbers can pass says nothing.
    """
    values = values_of(evaluation.measured, criteria)
    judged = [c for c in criteria if c.key in values and is_defined(c)]
    shown = [(values[c.key], c) for c in judged if no_number_for({c.key: values[c.key]}, [c]) is None]
    return [c for value, c in shown if not meets(value, c) and not _is_noise(value, c)]


def _is_noise(value: Json, criterion: Criterion) -> bool:
    distance = margin(value, [criterion])
    limit = criterion.value if isinstance(criterion.value, int | float) else 0
    # A distance of 0 on the wrong side is a decision (> 5 with 5), not noise.
    return bool(distance) and distance is not None and abs(distance) <= criterion.noise * max(1.0, abs(limit))


# ------------------------------------------------------------------------------------------------ words


def _measured_text(evaluation: Evaluation, criteria: Sequence[Criterion]) -> str:
    """What was measured, named where the expectation is about more than one thing; empty when nothing is shown."""
    values = values_of(evaluation.measured, criteria)
    if not values:
        # Nothing else is shown beside the limit, as if it had been compared with that.
        about = {name for c in criteria for name in (c.key, c.label, "value")} or evaluation.measured
        shown = {name: value for name, value in evaluation.measured.items() if name in about}
        return ", ".join(f"{name} {value_text(value)}" for name, value in sorted(shown.items()))
    texts = {key: _rounded(value, [c for c in criteria if c.key == key]) for key, value in values.items()}
    names = {criterion.key: name_of(criterion) for criterion in criteria}
    if len(names) == 1:
        return next(iter(texts.values()))
    return ", ".join(f"{names[key]} {text}" for key, text in texts.items())


def _rounded(value: Json, criteria: Sequence[Criterion]) -> str:
    """The value with four digits after the point, or all of them where rounding would hide or turn the decision."""
    if not isinstance(value, float):
        return value_text(value)
    short = rounded(value)
    limits = [criterion.value for criterion in criteria]
    turns = any(meets(short, c) != meets(value, c) for c in criteria)
    hides = short != value and (turns or short in limits or value in limits)
    return value_text(value if hides else short)
