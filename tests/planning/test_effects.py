"""What changes of thresholds mean, change by change, where another thing is measured than before."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from reconciler.model.gating import declared_criteria
from reconciler.model.plan import Effect, worst
from reconciler.model.resource import LiveObject
from reconciler.model.values import Fields, Json
from reconciler.planning.differ import field_changes
from reconciler.planning.effects import with_effects
from reconciler.planning.thresholds import classify
from reconciler.providers.digitalocean.evaluation_test_case import EVALUATION_TEST_CASE
from reconciler.providers.openlayer.test import TEST


class Nobody:
    """Finds nothing at the platform."""

    def __call__(self, kind_id: str, name: str) -> LiveObject | None:
        return None

    def names(self, kind_id: str) -> list[str]:
        return []


def threshold(text: str) -> dict[str, Json]:
    """``"metrics recall >= 0.9"``, with parameters in brackets, ``-`` for no insight: ``"- rows(a) <= 0"``."""
    insight, measurement, operator, value = text.split()
    name, _, column = measurement.rstrip(")").partition("(")
    made: dict[str, Json] = {"measurement": name, "operator": operator, "value": float(value)}
    made |= {"insightName": insight} if insight != "-" else {}
    return made | ({"insightParameters": {"column_name": column}} if column else {})


def thresholds(texts: list[str]) -> Fields:
    return {"thresholds": [threshold(each) for each in texts]}


def effect(before: list[str], after: list[str]) -> Effect | None:
    return of(thresholds(before), thresholds(after))


def of(was: Fields, wanted: Fields) -> Effect | None:
    changes = with_effects(TEST, wanted, was, field_changes(TEST, wanted, was, was), Nobody())
    return worst([change.effect for change in changes if change.effect])


@pytest.mark.parametrize(
    ("before", "after", "means"),
    [
        (["metrics m >= 0.9"], ["other m >= 0.9"], Effect.LOOSENED),
        (["metrics m >= 0.9"], ["- m >= 0.9"], Effect.LOOSENED),
        (["metrics m >= 0.9"], ["- m >= 0.95"], Effect.LOOSENED),
        (["- m >= 0.9"], ["metrics m >= 0.9"], Effect.LOOSENED),
        (["metrics m >= 0.9"], ["metrics n >= 0.9"], Effect.LOOSENED),
        (["rows m(a) <= 0"], ["- m <= 0"], Effect.LOOSENED),
        (["rows m(a) <= 0"], ["rows m(b) <= 0"], Effect.REDEFINED),
        (["rows m(a) <= 0"], ["rows m <= 0"], Effect.REDEFINED),
        (["rows m <= 0"], ["rows m(a) <= 0"], Effect.REDEFINED),
        (["rows m(a) <= 0", "rows m(b) <= 5"], ["rows m(c) <= 5"], Effect.LOOSENED),
        (["rows m(a) <= 0", "rows m(b) <= 5"], ["rows m(c) <= 0"], Effect.LOOSENED),
        (["rows m <= 1", "rows m(a) <= 1"], ["rows m <= 1", "rows m <= 0"], Effect.LOOSENED),
        (["rows m <= 1", "rows m <= 0"], ["rows m <= 1", "rows m(a) <= 0"], Effect.LOOSENED),
        (["rows m <= 1", "rows m(a) <= 1"], ["- m <= 1", "rows m(b) <= 1"], Effect.LOOSENED),
        (["rows m(a) <= 1", "rows m(b) <= 1"], ["rows m <= 1", "rows m <= 1"], Effect.LOOSENED),
        (["rows m(a) <= 1", "rows m(a) >= 1"], ["rows m(b) <= 1", "rows m(b) >= 1"], Effect.REDEFINED),
        (["metrics m >= 0.9"], ["metrics m >= 0.9", "other m >= 0.9"], Effect.TIGHTENED),
    ],
)
def test_what_is_measured_no_more_loosens(before: list[str], after: list[str], means: Effect) -> None:
    assert effect(before, after) is means


def test_a_rubric_that_is_reworded_is_another_one_whatever_its_limit() -> None:
    def rubric(text: str, limit: float) -> Fields:
        made: Fields = {"insightName": "rubric", "measurement": "criteria0MeanScore", "operator": ">=", "value": limit}
        return {"thresholds": [{**made, "insightParameters": {"criteria_list": [{"criteria": text}]}}]}

    assert of(rubric("polite", 0.8), rubric("warm", 0.9)) is Effect.REDEFINED
    assert of(rubric("polite", 0.8), rubric("warm", 0.7)) is Effect.REDEFINED


@pytest.mark.parametrize(
    ("wanted", "means"),
    [
        ({"name": "Correct", "threshold": 70.0}, {"starMetric.threshold": Effect.LOOSENED}),
        ({"name": "Correct", "threshold": 90.0}, {"starMetric.threshold": Effect.TIGHTENED}),
        ({"name": "Polite", "threshold": 80.0}, {"starMetric.name": Effect.REDEFINED}),
        (
            {"name": "Polite", "threshold": 70.0},
            {"starMetric.name": Effect.REDEFINED, "starMetric.threshold": Effect.LOOSENED},
        ),
    ],
)
def test_another_metric_that_decides_asks_another_question(wanted: Json, means: dict[str, Effect]) -> None:
    """A test case at DigitalOcean has one limit: of another metric it neither loosens nor tightens anything."""
    was: Fields = {"starMetric": {"name": "Correct", "threshold": 80.0}}
    changes = field_changes(EVALUATION_TEST_CASE, {"starMetric": wanted}, was, was)
    judged = with_effects(EVALUATION_TEST_CASE, {"starMetric": wanted}, was, changes, Nobody())
    assert {change.path: change.effect for change in judged} == means


LIMITS = ["x m >= 1", "x m >= 2", "y m >= 1", "- m >= 1", "x n >= 1", "x m(a) >= 1", "x m(b) >= 1", "x m(b) >= 2"]
ANY = st.lists(st.sampled_from(LIMITS), min_size=1, max_size=3)


@settings(max_examples=300)
@given(ANY, ANY)
def test_the_changes_never_say_better_of_a_change_than_the_limits_as_a_whole(
    before: list[str], after: list[str]
) -> None:
    whole = classify(declared_criteria(TEST, thresholds(before)), declared_criteria(TEST, thresholds(after)))
    order = [*Effect]
    said = effect(before, after)
    assert said is None or order.index(said) <= order.index(whole)
