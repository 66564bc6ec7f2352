"""Turns recorded results and what the manifests expect into verdicts, worst first.  Pure.

The platform says whether a window passes; we say what that means for the build.  Every expectation gets exactly one
verdict, and nothing is passed over in silence: no result, a result that cannot be read, a skipped, failed or
unfinished evaluation all fail unless the gate says otherwise.

What one result means by itself, ``one_result`` says.  Of a window the latest result counts, and of a place the worst
window.  One that was skipped before it was over counts only where no other window of the place has a result.

    with ``runs: N, minPass: M``, of the N latest results for a window (this run's, and those of the past)
    at least M pass            the worst of those that pass, even before there are N
    more than N - M do not     the worst of those that do not, even before there are N
    neither yet                as onMissing says; by default as failing

With ``flaky`` whatever comes out is never worse than info: it does not block.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from math import inf

from msgspec.structs import replace

from reconciler.evaluating.one_result import WORST_FIRST, Expectation, Judged, joined, judged_alone, milder, unusual
from reconciler.evaluating.regress import Compared, compare, earlier, newest_first, number, passing, take_in
from reconciler.model.criteria import criteria_text, undirected, values_of
from reconciler.model.history import Observation, observed
from reconciler.model.kind import Criterion
from reconciler.model.outcome import Evaluation, EvaluationStatus, Level, Runs, Verdict
from reconciler.model.resource import Address, Gate
from reconciler.model.values import counted

Past = Mapping[tuple[Address, str | None], Sequence[Observation]]
"""What was observed before, by resource and name of the place; inside of this module newest first."""

_WORST_STATUS_FIRST = (
    EvaluationStatus.UNREADABLE,
    EvaluationStatus.FAILING,
    EvaluationStatus.ERROR,
    EvaluationStatus.SKIPPED,
    EvaluationStatus.PASSING,
    EvaluationStatus.MISSING,
    EvaluationStatus.RUNNING,  # an older look at the same result
)


def judge(
    expectations: Iterable[Expectation],
    evaluations: Iterable[Evaluation],
    names: Mapping[str, str] | None = None,
    past: Past | None = None,
) -> tuple[Verdict, ...]:
    """One verdict for each expectation, worst first: by level, smallest margin, address, pipeline.

    Every window counts and the worst is shown, so that a failing window is not hidden by a later passing one; of
    several results for the same window the one recorded last counts, or as many as the gate has ``runs``.  ``names``
    maps the vendor's pipeline ids to names.  A result that is not about any pipeline speaks for all of them when it is
    bad news (a trigger that failed), and for none when it is good.  Results of expected resources on other pipelines
    are added as warnings unless they pass; results of other resources are left out.

    ``past`` may hold what is judged here as well: a result is known by its id and the time of recording.
    """
    wanted, known = _by_address(expectations), names or {}
    before: Past = {place: newest_first(observations) for place, observations in (past or {}).items()}
    found: dict[Address, list[Evaluation]] = {}
    for each in evaluations:
        name = known.get(each.pipeline, each.pipeline) if each.pipeline else None
        found.setdefault(each.address, []).append(replace(each, pipeline=name))
    verdicts = [
        verdict for address, group in wanted.items() for verdict in _judge(group, found.get(address, []), before)
    ]
    return tuple(sorted(verdicts, key=_rank))


def passed(verdicts: Sequence[Verdict]) -> bool:
    """Whether the build may go on.  No verdicts at all prove nothing and do not pass."""
    return bool(verdicts) and all(verdict.level is not Level.FAIL for verdict in verdicts)


def as_recorded(verdicts: Iterable[Verdict]) -> tuple[Verdict, ...]:
    """The verdicts, those that rest on a result from before the end of its window saying so.

    For results that nobody asked for anew: rows may have come in since.
    """
    return tuple(replace(verdict, why=joined(verdict.why, _too_early(verdict))) for verdict in verdicts)


def _too_early(verdict: Verdict) -> str:
    """What is said of results from before the end of their window: of the one that is shown, or else of the others."""
    if verdict.evaluation is not None and verdict.evaluation.is_preliminary:
        return "recorded before its window was over"
    count = sum(each.evaluation is not None and each.evaluation.is_preliminary for each in verdict.each)
    return f"{counted(count, 'other result')} recorded before the end of the window" if count else ""


def _by_address(expectations: Iterable[Expectation]) -> dict[Address, list[Expectation]]:
    groups: dict[Address, list[Expectation]] = {}
    for expectation in expectations:
        groups.setdefault(expectation.address, []).append(expectation)
    return groups


def _rank(verdict: Verdict) -> tuple[int, float, Address, str]:
    distance = inf if verdict.margin is None else verdict.margin
    return (WORST_FIRST.index(verdict.level), distance, verdict.address, verdict.pipeline or "")


# ----------------------------------------------------------------------------------------- places and windows


def _judge(expectations: list[Expectation], evaluations: list[Evaluation], past: Past) -> Iterator[Verdict]:
    """The verdicts on one resource."""
    by_place: dict[str | None, list[Evaluation]] = {}
    for each in evaluations:
        by_place.setdefault(each.pipeline, []).append(each)
    bad_everywhere = [each for each in by_place.pop(None, ()) if each.status is not EvaluationStatus.PASSING]
    for expectation in expectations:
        anywhere = expectation.pipeline is None
        about = evaluations if anywhere else [*by_place.get(expectation.pipeline, ()), *bad_everywhere]
        yield _on_place(expectation, about or [_missing(expectation)], past).verdict
    named = {expectation.pipeline for expectation in expectations}
    if None not in named:
        elsewhere = {place: found for place, found in by_place.items() if place and place not in named}
        yield from _elsewhere(expectations[0], elsewhere, past)


def _missing(expectation: Expectation) -> Evaluation:
    return Evaluation(expectation.address, EvaluationStatus.MISSING, expectation.pipeline)


def _elsewhere(expectation: Expectation, evaluations: Mapping[str, list[Evaluation]], past: Past) -> Iterator[Verdict]:
    """Verdicts on pipelines that nobody named: never worse than a warning, and silent when all is well."""
    for pipeline, found in sorted(evaluations.items(), key=lambda pair: pair[0]):
        judged = _on_place(replace(expectation, pipeline=pipeline), found, past)
        if not judged.passes:
            verdict = judged.verdict
            why = f"on a pipeline that the manifests do not name: {verdict.why}"
            yield replace(verdict, level=milder(verdict.level, Level.WARN), why=why)


def _on_place(expectation: Expectation, evaluations: Iterable[Evaluation], past: Past) -> Judged:
    """The worst of what was measured on one place, saying what else there was; of equally bad windows the latest.

    A window that is not over and has no rows yet tells nothing, as long as any other does.
    """
    found = _windows(expectation, evaluations)
    telling = [window for window in found if not all(map(is_empty_so_far, window))] or found
    windows = _in_turn(expectation, telling, past)
    worst = min(windows, key=_badness)
    singles = tuple(_blunted(single) for each in windows for single in each.singles)
    recorded = [each for window, each in zip(telling, windows, strict=True) if window[0].result_id]
    beside = _beside(worst, recorded, len(windows) - len(recorded), "window" if expectation.windowed else "result")
    verdict = replace(worst.verdict, why=joined(worst.verdict.why, beside))
    if len(telling) < len(found):
        early = len(found) - len(telling)
        without = f"not counting {counted(early, 'window')} skipped before {'its' if early == 1 else 'their'} end"
        verdict = replace(verdict, why=joined(verdict.why, without))
    verdict = replace(_blunted(verdict), parts=singles if len(singles) > 1 or verdict.runs else ())
    return replace(worst, verdict=verdict)


def _badness(judged: Judged) -> tuple[int, float, bool, Address, str]:
    """The worst first; of what is equally bad that last where nothing was tried, for it tells least."""
    level, distance, address, place = _rank(judged.verdict)
    return (level, distance, judged.verdict.status is EvaluationStatus.SKIPPED, address, place)


def _beside(worst: Judged, recorded: Sequence[Judged], news: int, noun: str) -> str:
    """What there was beside the worst: windows that the platform has ``recorded``, and ``news`` of our own."""
    is_news, several = all(each is not worst for each in recorded), len(recorded) > 1
    bad = sum(not each.passes for each in recorded)
    windows = counted(len(recorded), noun)
    if several:
        windows += f", {bad} of them not passing" if bad else ", all passing"
    elif is_news:
        windows += " that does not pass" if bad else " that passes"
    if is_news:
        return f"beside {windows}" if recorded else ""
    others = f"beside {counted(news, 'evaluation')} without a result" if news else ""
    return joined(f"worst of {windows}" if several else "", others)


def _in_turn(expectation: Expectation, windows: Sequence[Sequence[Evaluation]], past: Past) -> list[Judged]:
    """The verdicts on windows that come latest first; each is judged with those before it in its past."""
    if expectation.gate.regress is None:
        return [_of_window(expectation, window, past) for window in windows]
    places = {(expectation.address, each.pipeline or expectation.pipeline) for window in windows for each in window}
    before = {place: list(past.get(place, ())) for place in places}
    judged: list[Judged] = []
    for window in reversed(windows):
        judged.append(_of_window(expectation, window, before))
        for single in judged[-1].singles:  # seen last of all: what was made of it before counts no more
            take_in(before[single.address, single.pipeline], observed(_blunted(single), seen=inf))
    return judged[::-1]


def _windows(expectation: Expectation, evaluations: Iterable[Evaluation]) -> list[list[Evaluation]]:
    """The results for each window, latest first, and the windows latest first.

    What the vendor did not record (no id: our own news of a failed trigger) stands by itself: it neither replaces
    another result nor is replaced.
    """
    found: dict[object, list[Evaluation]] = {}
    for each in sorted(evaluations, key=_recency, reverse=True):
        window = _window(each, windowed=expectation.windowed)
        found.setdefault(id(each) if window is None else window, []).append(each)
    return sorted(found.values(), key=lambda window: window[0].ends or 0, reverse=True)


def is_empty_so_far(each: Evaluation) -> bool:
    """Whether there was nothing to be judged when it was recorded, and still may be: its window was not over."""
    return each.status is EvaluationStatus.SKIPPED and each.is_preliminary


def _window(each: Evaluation, *, windowed: bool) -> object:
    """What results for the same window have in common; None for a result that stands by itself."""
    if not each.result_id:
        return None
    if not windowed:
        return (each.pipeline,)
    return None if each.starts is None or each.ends is None else (each.pipeline, each.starts, each.ends)


def _recency(each: Evaluation) -> tuple[str, int, int, str, str]:
    """What sorts results by the time of recording; of those recorded together the worst counts as the latest."""
    status = -_WORST_STATUS_FIRST.index(each.status)
    rest = repr((sorted(each.measured.items()), each.message, each.pipeline, each.starts))
    return (each.recorded, status, each.ends or 0, each.result_id, rest)


def _blunted(verdict: Verdict) -> Verdict:
    """What is known to be flaky is shown, and blocks nothing."""
    if not verdict.flaky or verdict.level is Level.PASS:
        return verdict
    return replace(verdict, level=Level.INFO, why=joined(verdict.why, "flaky: not blocking"))


# ------------------------------------------------------------------------------------- several runs of a window


def _of_window(expectation: Expectation, window: Sequence[Evaluation], past: Past) -> Judged:
    """The verdict on one window, by its results, latest first."""
    runs = _runs(expectation, window, past) if expectation.gate.runs > 1 else []
    if not runs:
        return _single(expectation, window[0], past)
    own = [(each.result_id, each.recorded) for each in runs]
    judged = [_single(expectation, each, past, own) for each in runs]
    new = tuple(each.verdict for each, run in zip(judged, runs, strict=True) if run in window)
    return replace(_of_runs(expectation.gate, judged), singles=new)


def _single(
    expectation: Expectation, evaluation: Evaluation, past: Past, own: Iterable[tuple[str, str]] = ()
) -> Judged:
    """The verdict on one result; ``own`` are results that are judged together with it, by id and recording."""
    return judged_alone(expectation, evaluation, _compared(expectation, evaluation, past, own))


def _compared(
    expectation: Expectation, evaluation: Evaluation, past: Past, own: Iterable[tuple[str, str]]
) -> Compared | None:
    """The value beside the past; None where the gate does not ask for it, or nothing can be compared."""
    gate, criteria = expectation.gate, expectation.criteria
    if gate.regress is None or undirected(criteria):
        return None
    value = number(next(iter(values_of(evaluation.measured, criteria).values()), None))
    if value is None:
        return None
    before = earlier(_past_of(expectation, evaluation, past), evaluation, criteria, own)
    return compare(gate.regress, value, criteria, before if gate.regress.against else passing(before, gate))


def _runs(expectation: Expectation, window: Sequence[Evaluation], past: Past) -> list[Evaluation]:
    """The latest results for one window, as many as the gate asks for; none where there is no result yet.

    Where results are about no window, those of the past may be about another version of what is measured.
    """
    if not window[0].result_id:
        return []
    times = (window[0].starts, window[0].ends)
    before = _past_of(expectation, window[0], past) if expectation.windowed and None not in times else ()
    beside = [
        _as_evaluation(each, expectation.criteria)
        for each in before
        if each.result_id and (each.starts, each.ends) == times
    ]
    unique: dict[tuple[str, str], Evaluation] = {}
    for each in [*window, *sorted((each for each in beside if _is_over(each)), key=_recency, reverse=True)]:
        unique.setdefault((each.result_id, each.recorded), each)
    latest = sorted(unique.values(), key=_recency, reverse=True)[: expectation.gate.runs]
    return [each for each in latest if _is_over(each)]  # what is under way takes the place of an older result


def _is_over(each: Evaluation) -> bool:
    return each.status not in (EvaluationStatus.RUNNING, EvaluationStatus.MISSING)


def _past_of(expectation: Expectation, evaluation: Evaluation, past: Past) -> Sequence[Observation]:
    return past.get((expectation.address, evaluation.pipeline or expectation.pipeline), ())


def _as_evaluation(each: Observation, criteria: Sequence[Criterion]) -> Evaluation:
    """The observation as a result, which does not say by what it was judged.

    It was by something else, unless it was warned of in the same words: what misses the criteria of then is no pass.
    """
    same = each.level is Level.WARN and each.wanted == criteria_text(criteria)
    return Evaluation(
        address=each.address,
        status=each.status,
        pipeline=each.pipeline,
        measured=each.measured,
        result_id=each.result_id,
        starts=each.starts,
        ends=each.ends,
        recorded=each.recorded,
        laxer_then=() if same else tuple(criterion.key for criterion in criteria),
    )


def _of_runs(gate: Gate, judged: Sequence[Judged]) -> Judged:
    """What several runs of one window mean: decided as soon as more results could not change it."""
    least = gate.runs if gate.min_pass is None else gate.min_pass
    good = [each for each in judged if each.holds]
    bad = [each for each in judged if not each.holds]
    runs = Runs(len(good), len(judged), gate.runs, least)
    text = _runs_text(runs, judged)
    if len(good) >= least or len(bad) > gate.runs - least:
        worst = min(good if len(good) >= least else bad, key=_badness)
        return replace(worst, verdict=replace(worst.verdict, why=joined(text, worst.verdict.why), runs=runs))
    level, why, holds = unusual(gate, gate.on_missing, "onMissing", text)
    verdict = replace(judged[0].verdict, level=level, status=EvaluationStatus.MISSING, why=why, runs=runs)
    return replace(judged[0], verdict=verdict, holds=holds)


def _runs_text(runs: Runs, judged: Sequence[Judged]) -> str:
    """``2 of 3 runs passed (0.79 to 0.88)``; ``1 of 3 runs so far, 1 passed, at least 2 must``."""
    values = sorted({each.verdict.measured for each in judged if each.verdict.measured}, key=_numbers_first)
    spread = f" ({values[0]} to {values[-1]})" if len(values) > 1 else ""
    forgiven = sum(each.holds and not each.passes for each in judged)
    spared = f", {forgiven} of them forgiven" if forgiven else ""
    least = f"at least {runs.min_pass}" if runs.min_pass < runs.wanted else "all"
    must = f", {least} must" if runs.passed < runs.min_pass else ""
    if runs.known < runs.wanted:
        return f"{runs.known} of {runs.wanted} runs so far, {runs.passed} passed{spread}{spared}{must}"
    return f"{runs.passed} of {runs.wanted} runs passed{spread}{spared}{must}"


def _numbers_first(text: str) -> tuple[float, str]:
    try:
        return (float(text), "")
    except ValueError:
        return (inf, text)
