"""When a pinned measurement keeps its verdict, and when nobody can tell any more."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.kind import Criterion
from reconciler.model.neighbourhood import Neighbourhood
from reconciler.model.resource import Address, Evidence, Pin, PinnedVerdict, Resource, Source
from reconciler.model.values import Fields, Json
from reconciler.planning.pins import broken, definition, pinned_values
from reconciler.providers import KINDS
from reconciler.providers.openlayer.test import TEST

ADDRESS = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))
HERE = Source("pins.yaml", 3, 1)


def limit(measurement: str, operator: str, value: Json, **parameters: Json) -> Fields:
    made: Fields = {"insightName": "metrics", "measurement": measurement, "operator": operator, "value": value}
    return {**made, "insightParameters": dict(parameters)} if parameters else made


def fields(*thresholds: Fields, **more: Json) -> Fields:
    head: Fields = {"name": "Faithful", "type": "performance", "subtype": "metricThreshold"}
    return {**head, "thresholds": [*thresholds], **more}


def criteria(written: Fields) -> tuple[Criterion, ...]:
    return TEST.criteria(written, Neighbourhood({}, KINDS, ADDRESS))


def pin(verdict: PinnedVerdict, pipeline: str | None = None, definition: str = "", **values: Json) -> Pin:
    measured = tuple(Evidence(name, value, definition) for name, value in values.items())
    return Pin("i-812", ADDRESS, verdict, measured, HERE, pipeline)


def why(pinned: Pin, written: Fields) -> str:
    """Why the pin is broken; empty when it is kept."""
    found = broken(pinned, Resource(ADDRESS, written, HERE), TEST, criteria(written))
    return found[0] if found else ""


AT_LEAST_80 = fields(limit("faithfulness", ">=", 0.8))
TWO = fields(limit("faithfulness", ">=", 0.8), limit("f1", ">=", 0.5))


@pytest.mark.parametrize(
    ("pinned", "written", "said"),
    [
        (pin("flagged", faithfulness=0.62), AT_LEAST_80, ""),
        (pin("flagged", faithfulness=0.8), AT_LEAST_80, "faithfulness 0.8 would not be flagged by >= 0.8"),
        (pin("passes", faithfulness=0.8), AT_LEAST_80, ""),
        (pin("passes", faithfulness=0.79), AT_LEAST_80, "faithfulness 0.79 passed, and would be flagged by >= 0.8"),
        # one missed threshold flags a window
        (pin("flagged", faithfulness=0.9, f1=0.1), TWO, ""),
        (pin("passes", faithfulness=0.9, f1=0.1), TWO, "f1 0.1 passed, and would be flagged by >= 0.5"),
        # a band: two limits on one measurement
        (pin("flagged", f1=0.95), fields(limit("f1", ">=", 0.5), limit("f1", "<=", 0.9)), ""),
        # what the pin does not know of neither saves nor breaks it
        (pin("flagged", faithfulness=0.9), TWO, "faithfulness 0.9 would not be flagged by >= 0.8"),
        (pin("passes", faithfulness=0.9), TWO, ""),
        # the place
        (pin("flagged", "live", faithfulness=0.62), AT_LEAST_80 | {"pipelines": ["canary"]},
         "the test does not run on the pipeline live any more, so it flags nothing there"),
        (pin("passes", "live", faithfulness=0.9), AT_LEAST_80 | {"pipelines": ["canary"]}, ""),
        (pin("flagged", "live", faithfulness=0.62), AT_LEAST_80 | {"excludePipelines": ["live"]},
         "the test does not run on the pipeline live any more, so it flags nothing there"),
        (pin("flagged", "live", faithfulness=0.62), AT_LEAST_80, ""),
    ],
)  # fmt: skip
def test_what_is_said_of_a_pin(pinned: Pin, written: Fields, said: str) -> None:
    assert why(pinned, written) == said


def test_a_value_of_another_kind_is_no_evidence() -> None:
    """A number in quotes misses every limit, so such a pin would always seem to be kept."""
    assert why(pin("flagged", faithfulness="0.62"), AT_LEAST_80) == 'faithfulness "0.62" cannot be compared with >= 0.8'
    assert "cannot be compared" in why(pin("flagged", faithfulness=True), AT_LEAST_80)


def test_a_measurement_that_is_gone_can_not_be_judged() -> None:
    gone = "is not measured any more as it was then"
    assert gone in why(pin("flagged", recall=0.1), AT_LEAST_80)
    assert gone in why(pin("passes", recall=0.9), AT_LEAST_80)


def test_a_name_that_means_two_things_is_no_evidence() -> None:
    """One measurement with two sets of parameters: a pin written by hand does not say which one it meant."""
    twice = fields(limit("rows", "<=", 0, column="a"), limit("rows", "<=", 0, column="b"))
    assert "not measured any more" in why(pin("flagged", rows=3), twice)
    one = definition(TEST, twice, criteria(twice)[1])
    assert why(pin("flagged", definition=one, rows=3), twice) == ""
    found = pinned_values(pin("flagged", definition=one, rows=3), twice, TEST, criteria(twice))
    assert list(found) == [criteria(twice)[1].key]


def digest(written: Fields, place: int = 0) -> str:
    return definition(TEST, written, criteria(written)[place])


def test_a_definition_does_not_change_with_limits_names_or_places() -> None:
    same = [
        fields(limit("faithfulness", ">=", 0.1)),
        fields(limit("faithfulness", "<", 3)),
        AT_LEAST_80 | {"name": "Other", "description": "why"},
        AT_LEAST_80 | {"pipelines": ["live"], "excludePipelines": []},
        AT_LEAST_80 | {"excludePipelines": ["canary"]},
        AT_LEAST_80 | {"evaluationWindow": "1h", "delayWindow": "0s"},  # what the platform fills in
        AT_LEAST_80 | {"mode": "monitoring"},
    ]
    assert {digest(each) for each in same} == {digest(AT_LEAST_80)}
    assert len(digest(AT_LEAST_80)) == 12


def test_a_definition_changes_with_what_is_measured() -> None:
    others = [
        fields(limit("recall", ">=", 0.8)),
        fields(limit("faithfulness", ">=", 0.8, column="a")),
        AT_LEAST_80 | {"evaluationWindow": "24h"},
        AT_LEAST_80 | {"delayWindow": "1h"},
        AT_LEAST_80 | {"subtype": "other"},
    ]
    assert len({digest(each) for each in (AT_LEAST_80, *others)}) == 1 + len(others)


def test_a_reordered_rubric_defines_the_same_criteria() -> None:
    """``criteria0`` becomes ``criteria1``: each keeps its definition, and a pin follows it."""
    polite, short = {"name": "polite", "criteria": "It is polite"}, {"name": "short", "criteria": "It is short"}

    def rubric(first: Any, second: Any) -> Fields:
        return fields(*(limit(f"criteria{n}MeanScore", ">=", 0.5, criteria_list=[first, second]) for n in (0, 1)))

    before, after = rubric(polite, short), rubric(short, polite)
    assert digest(before, 0) == digest(after, 1) != digest(before, 1)
    pinned = pin("flagged", definition=digest(before, 0), criteria0MeanScore=0.2)
    assert why(pinned, after) == ""
    reworded = rubric(short, polite | {"criteria": "It is polite and warm"})
    assert "not measured any more" in why(pinned, reworded)


@given(
    st.floats(0, 1), st.floats(0, 1), st.sampled_from([">=", ">", "<=", "<"]), st.sampled_from(["flagged", "passes"])
)
def test_a_verdict_is_kept_exactly_when_the_limit_gives_it(
    value: float, bound: float, operator: str, verdict: PinnedVerdict
) -> None:
    """Against plain comparison."""
    holds = {">=": value >= bound, ">": value > bound, "<=": value <= bound, "<": value < bound}[operator]
    kept = holds is (verdict == "passes")
    assert (why(pin(verdict, faithfulness=value), fields(limit("faithfulness", operator, bound))) == "") is kept
