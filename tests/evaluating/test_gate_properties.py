"""What holds for whatever was measured, expected and seen before."""

import re
from collections import Counter
from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.evaluating.gates import judge
from reconciler.evaluating.one_result import Expectation
from reconciler.model.criteria import meets
from reconciler.model.history import Observation
from reconciler.model.kind import Criterion
from reconciler.model.outcome import Evaluation, EvaluationStatus, Level, Verdict
from reconciler.model.resource import Address, Gate, OnUnusual, Regress
from reconciler.model.values import Json
from reconciler.pipeline.expecting import laxer_then

SEVERITY = {"error": Level.FAIL, "warn": Level.WARN, "info": Level.INFO}
WORST_FIRST = list(Level)
ADDRESSES = [Address("openlayer.Test", ("bot", "monitoring", name)) for name in ("Faithful", "Polite")]
PLACES = ["live", "canary"]
LIMITS = [Criterion("m|score", operator, 0.8, label="score") for operator in (">=", "<=", ">", "is")]
STRICTER = [(), (Criterion("m|score", ">=", 0.9, label="score"),)]

values = st.sampled_from([None, 0, 0.5, 0.79999, 0.8, 0.85, 0.95, 1, True, "high", float("nan")])
statuses = st.sampled_from(EvaluationStatus)
unusual: st.SearchStrategy[OnUnusual] = st.sampled_from(["fail", "warn", "pass"])
times = st.sampled_from(["", "2026-11-01T00:00:00Z", "2026-11-01T00:01:00Z", "2026-11-02T00:00:00Z"])
ids = st.sampled_from(["", "r1", "r2", "r3"])
regressions = st.none() | st.builds(Regress, st.sampled_from([0.05, 0.5]), st.booleans(), st.sampled_from([0, 2, 5]))


@st.composite
def gates(draw: st.DrawFn) -> Gate:
    runs = draw(st.sampled_from([1, 1, 2, 3]))
    return Gate(
        draw(st.sampled_from(["error", "warn", "info"])),
        draw(unusual),
        draw(unusual),
        draw(unusual),
        runs=runs,
        min_pass=draw(st.none() | st.integers(1, runs)),
        flaky=draw(st.booleans()),
        regress=draw(regressions),
    )


@st.composite
def evaluations(draw: st.DrawFn) -> Evaluation:
    window = draw(st.none() | st.integers(0, 2))
    return Evaluation(
        draw(st.sampled_from(ADDRESSES)),
        draw(statuses),
        draw(st.sampled_from([None, *PLACES, "ghost"])),
        draw(st.just({}) | values.map(lambda value: {"score": value})),
        draw(st.sampled_from(["", "column not found"])),
        draw(ids),
        None if window is None else window * 3600,
        None if window is None else (window + 1) * 3600,
        draw(times),
    )


observations = st.builds(
    lambda each, level, seen: Observation(
        each.address, each.pipeline, level, each.status, each.measured, "", None, "",
        each.starts, each.ends, each.result_id, each.recorded, seen,
    ),
    evaluations(),
    st.sampled_from(Level),
    st.sampled_from([0.0, 1.0]),
)  # fmt: skip


@st.composite
def expectations(draw: st.DrawFn) -> tuple[Expectation, ...]:
    """For each resource either one expectation without a place, or one for each place."""
    found: list[Expectation] = []
    for address in ADDRESSES:
        one = Expectation(
            address,
            None,
            draw(gates()),
            None,
            (draw(st.sampled_from(LIMITS)),),
            draw(st.sampled_from(STRICTER)),
            draw(st.booleans()),
        )
        places = draw(st.sets(st.sampled_from(PLACES)))
        found += [replace(one, pipeline=place) for place in sorted(places)] or [one]
    return tuple(found)


Seen = dict[tuple[Address, str | None], list[Observation]]


def past_of(seen: list[Observation]) -> Seen:
    found: Seen = {}
    for each in seen:
        found.setdefault((each.address, each.pipeline), []).append(each)
    return found


worlds = st.tuples(expectations(), st.lists(evaluations(), max_size=8), st.lists(observations, max_size=6))
World = tuple[tuple[Expectation, ...], list[Evaluation], list[Observation]]


def expected_ones(verdicts: tuple[Verdict, ...]) -> list[Verdict]:
    """Without those on pipelines that nobody named."""
    return [each for each in verdicts if not each.why.startswith("on a pipeline that the manifests do not name")]


@given(worlds)
@settings(max_examples=50)
def test_every_expectation_gets_exactly_one_verdict(world: World) -> None:
    expected, found, seen = world
    verdicts = expected_ones(judge(expected, found, None, past_of(seen)))
    assert Counter(each.address for each in verdicts) == Counter(each.address for each in expected)
    for each in expected:
        if each.pipeline is not None:
            assert [v.pipeline for v in verdicts if v.address == each.address].count(each.pipeline) >= 1


@given(worlds, st.data())
@settings(max_examples=50)
def test_neither_the_order_of_results_nor_of_the_past_matters(world: World, data: st.DataObject) -> None:
    expected, found, seen = world
    shuffled, earlier = data.draw(st.permutations(found)), data.draw(st.permutations(seen))
    assert repr(judge(expected, shuffled, None, past_of(earlier))) == repr(judge(expected, found, None, past_of(seen)))


@given(worlds)
@settings(max_examples=50)
def test_nothing_counts_more_than_its_severity_and_flaky_never_blocks(world: World) -> None:
    expected, found, seen = world
    for each in judge(expected, found, None, past_of(seen)):
        assert WORST_FIRST.index(each.level) >= WORST_FIRST.index(SEVERITY[each.severity])
        assert not each.flaky or each.level in (Level.INFO, Level.PASS)
        assert all(part.flaky == each.flaky for part in each.each)


@given(worlds)
@settings(max_examples=50)
def test_nothing_unreadable_passes(world: World) -> None:
    """A pass rests on a passing result, or on something that the gate forgives and says so."""
    expected, found, seen = world
    for verdict in judge(expected, found, None, past_of(seen)):
        if verdict.level is Level.PASS:
            assert verdict.status is not EvaluationStatus.UNREADABLE
            assert verdict.status is not EvaluationStatus.FAILING
            assert verdict.status is EvaluationStatus.PASSING or "pass)" in verdict.why


@given(worlds, evaluations())
@settings(max_examples=60)
def test_a_failing_result_more_never_improves_a_verdict(world: World, more: Evaluation) -> None:
    expected, found, seen = world
    failing = replace(more, status=EvaluationStatus.FAILING)
    before = expected_ones(judge(expected, found, None, past_of(seen)))
    after = expected_ones(judge(expected, [*found, failing], None, past_of(seen)))
    for address in ADDRESSES:
        assert _levels(after, address) <= _levels(before, address)


limits = st.sampled_from([0.5, 0.8, 0.85, 0.9, 0.95, 1])


@given(
    st.lists(st.tuples(evaluations(), st.none() | limits), max_size=6),
    gates(),
    st.tuples(limits, limits).map(sorted),
    st.none() | limits,
    st.booleans(),
)
@settings(max_examples=100)
def test_a_tightened_threshold_never_improves_a_verdict(
    found: list[tuple[Evaluation, float | None]], gate: Gate, both: list[float], warn: float | None, differs: bool
) -> None:
    """Whatever limit a result was judged by, known or not, and whether or not that was as we would have judged."""

    def at_least(value: float) -> tuple[Criterion, ...]:
        return (Criterion("m|score", ">=", value, label="score"),)

    def level(limit: float) -> list[int]:
        gate_of_one = replace(gate, runs=1, min_pass=None, regress=None)
        stricter = at_least(warn) if warn is not None else ()
        results = [
            each if then is None else replace(each, laxer_then=laxer_then(at_least(then), at_least(limit)))
            for each, then in found
        ]
        there = at_least(-1) if differs else None
        one = Expectation(ADDRESSES[0], None, gate_of_one, None, at_least(limit), stricter, there=there)
        return _levels(list(judge([one], results)), ADDRESSES[0])

    looser, tighter = both
    assert level(tighter) <= level(looser)


def _levels(verdicts: list[Verdict], address: Address) -> list[int]:
    """The levels of a resource's verdicts as numbers, worst first; a lower list is worse."""
    return sorted(WORST_FIRST.index(each.level) for each in verdicts if each.address == address)


@given(worlds)
@settings(max_examples=50)
def test_what_was_judged_once_is_judged_the_same_when_it_is_part_of_the_past(world: World) -> None:
    """To look a second time at the same results changes no verdict: none is its own past, none is counted twice."""
    expected, found, _ = world
    recorded = [each for each in found if each.result_id and each.recorded and each.ends]
    first = judge(expected, recorded)
    kept = [
        Observation(
            v.address, v.pipeline, v.level, v.status, v.evaluation.measured, v.wanted, v.margin, v.why,
            v.evaluation.starts, v.evaluation.ends, v.evaluation.result_id, v.evaluation.recorded,
        )
        for verdict in first for v in verdict.each if v.evaluation is not None
    ]  # fmt: skip
    plain = tuple(replace(each, gate=replace(each.gate, regress=None)) for each in expected)
    again = judge(plain, recorded, None, past_of(kept))
    assert [v.level for v in again] == [v.level for v in judge(plain, recorded)]


# ------------------------------------------------------------------------------------------- what is read

floats = st.floats(-1e6, 1e6, allow_nan=False).filter(lambda each: each == 0 or abs(each) > 1e-6)
near = st.sampled_from([0.0, 1e-5, -1e-5, 4e-5, -4e-5, 1e-7, -1e-7, 0.01, -0.01])
operators = st.sampled_from([">", ">=", "<", "<=", "is", "!="])


@given(floats, near, operators)
@settings(max_examples=80)
def test_what_is_shown_says_the_same_as_what_was_decided(limit: float, distance: float, operator: str) -> None:
    """0.84996 is never shown as 0.85 beside >= 0.85."""
    criterion = Criterion("m|score", operator, limit, label="score")  # type: ignore[arg-type]
    found = Evaluation(ADDRESSES[0], EvaluationStatus.FAILING, "live", {"score": limit + distance})
    (verdict,) = judge([Expectation(ADDRESSES[0], "live", criteria=(criterion,))], [found])
    shown, read_limit = float(verdict.measured), replace(criterion, value=float(verdict.wanted.partition(" ")[2]))
    assert meets(shown, read_limit) == meets(limit + distance, criterion)
    assert (shown == limit) == (limit + distance == limit)
    assert verdict.margin is not None
    assert (f"{verdict.margin:+.4g}".strip("+-0.") == "") == (limit + distance == limit)


@given(floats, floats, near, st.sampled_from([0.05, 0.5, 0.0123]), st.booleans(), st.booleans())
@settings(max_examples=80)
def test_a_drop_that_is_shown_is_one_to_whoever_calculates(
    base: float, other: float, distance: float, most: float, relative: bool, near_the_limit: bool
) -> None:
    """The value, the baseline and the room between them, as they are shown, give the decision again."""
    room = most * (abs(base) if relative else 1)
    value = base - room + distance if near_the_limit else other
    regress = Regress(most, relative)
    before = Observation(
        ADDRESSES[0],
        "live",
        Level.PASS,
        EvaluationStatus.PASSING,
        {"score": base},
        ends=1,
        result_id="r1",
        recorded="1",
    )
    found = Evaluation(ADDRESSES[0], EvaluationStatus.PASSING, "live", {"score": value}, "", "r2", 1, 2, "2")
    limit = Criterion("m|score", ">=", -1e9, label="score")
    expectation = Expectation(ADDRESSES[0], "live", Gate(regress=regress), None, (limit,))
    (verdict,) = judge([expectation], [found], None, {(ADDRESSES[0], "live"): [before]})
    if verdict.level is Level.PASS:
        return
    shown = re.fullmatch(r"(\S+) is (?:(\S+) (?:% )?)?below (\S+), the last .* \(at most (\S+)(?: %)?\)", verdict.why)
    assert shown is not None
    read, drop, beside, allowed = (Fraction(each) if each else None for each in shown.groups())
    assert read is not None
    assert beside is not None
    assert allowed is not None
    assert read < beside
    assert beside - read > (allowed / 100 * abs(beside) if relative else allowed)
    assert drop is None or drop > allowed


@given(st.sampled_from([10**400, -(10**400), 1e308, float("inf"), float("nan"), True, "0.9", None]))
def test_what_no_number_can_be_is_not_compared(value: Json) -> None:
    limit = Criterion("m|score", ">=", -(10**500), label="score")
    expectation = Expectation(ADDRESSES[0], "live", Gate(regress=Regress(0.05)), None, (limit,))
    found = Evaluation(ADDRESSES[0], EvaluationStatus.PASSING, "live", {"score": value})
    (verdict,) = judge([expectation], [found])
    assert verdict.level is Level.FAIL
    assert "does not show score as a number" in verdict.why
