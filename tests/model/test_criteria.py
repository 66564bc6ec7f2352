"""What one value is worth against criteria: does it pass, by how much, and in which words."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.criteria import (
    Passing,
    contradictory,
    criteria_text,
    family,
    implied,
    is_defined,
    margin,
    meets,
    value_text,
    witnesses,
)
from reconciler.model.kind import Criterion
from reconciler.model.values import Json


def limit(text: str, value: Json, *, key: str = "k", label: str = "") -> Criterion:
    return Criterion(key, text, value, label=label)  # type: ignore[arg-type]


def learned(operator: str = ">=") -> Criterion:
    return Criterion("k", operator, 0, automatic=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("value", "operator", "wanted", "passes"),
    [
        (0.8, ">=", 0.8, True),
        (0.8, ">", 0.8, False),
        (0.8, "<=", 0.8, True),
        (0.8, "<", 0.8, False),
        (1, "is", 1.0, True),
        (1.0, "!=", 1, False),
        (True, "is", True, True),
        (False, "!=", True, True),
        ("a", "is", "a", True),
        (["a", "b"], "is", ["a", "b"], True),
        (["b", "a"], "is", ["a", "b"], False),
    ],
)
def test_a_value_of_the_same_family_is_compared(value: Json, operator: str, wanted: Json, passes: bool) -> None:
    assert meets(value, limit(operator, wanted)) is passes


@pytest.mark.parametrize(
    ("value", "operator", "wanted", "passes"),
    [
        (True, "is", 1, False),
        (1, "is", True, False),
        (True, ">=", 0, False),
        ("0.9", ">=", 0.8, False),
        ("a", "!=", 1, True),
        (1, "!=", True, True),
    ],
)
def test_a_value_of_another_family_meets_only_not_equal(value: Json, operator: str, wanted: Json, passes: bool) -> None:
    assert meets(value, limit(operator, wanted)) is passes


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), {"a": 1}, [1, 2]])
def test_what_can_not_be_read_passes_nothing(value: Json) -> None:
    assert not meets(value, limit("!=", 5))


@pytest.mark.parametrize("criterion", [limit(">=", "a"), limit("<", True), limit("is", None), learned()])
def test_a_criterion_without_meaning_lets_nothing_pass(criterion: Criterion) -> None:
    assert not meets("a", criterion)
    assert not meets(True, criterion)
    assert not meets(5, criterion)


@pytest.mark.parametrize(
    ("value", "criteria", "distance"),
    [
        (0.9, [limit(">=", 0.85)], 0.05),
        (0.8, [limit(">=", 0.85)], -0.05),
        (3, [limit("<=", 5)], 2.0),
        (7, [limit("<", 5)], -2.0),
        (4, [limit(">=", 1), limit("<=", 5)], 1.0),
        (3, [limit("is", 0)], -3.0),
        (0, [limit("is", 0)], 0.0),
        (3, [limit("!=", 1)], 2.0),
    ],
)
def test_the_margin_is_the_distance_to_the_nearest_limit(
    value: Json, criteria: list[Criterion], distance: float
) -> None:
    assert margin(value, criteria) == distance


@pytest.mark.parametrize(
    ("value", "criteria"), [("a", [limit("is", "a")]), (True, [limit(">=", 0)]), (1, [learned()]), (1, [])]
)
def test_there_is_no_margin_without_numbers(value: Json, criteria: list[Criterion]) -> None:
    assert margin(value, criteria) is None


def test_values_read_as_in_a_manifest() -> None:
    values: list[Json] = [1.0, 0.85, 10, True, "é", ["a"], None, 1e300]
    assert [value_text(value) for value in values] == [
        "1", "0.85", "10", "true", '"é"', '["a"]', "null", "1e+300",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("criteria", "text"),
    [
        ([], ""),
        ([limit(">=", 0.8)], ">= 0.8"),
        ([limit("<=", 5), limit(">=", 1)], "<= 5 and >= 1"),
        ([learned()], "automatic"),
        ([limit("is", "en"), limit("!=", True)], 'is "en" and != true'),
        (
            [limit(">=", 0.8, key="m/p", label="precision"), limit(">=", 0.7, key="m/r", label="recall")],
            "precision >= 0.8, recall >= 0.7",
        ),
    ],
)
def test_criteria_read_as_a_sentence(criteria: list[Criterion], text: str) -> None:
    assert criteria_text(criteria) == text


NUMBERS = st.sampled_from([-1, 0, 0.5, 1, 1.0, 2, 10**30, 1e30, 0.1, 3])
LIMITS = st.one_of(NUMBERS, NUMBERS, st.booleans(), st.sampled_from(["", "a", "b?"]), st.lists(st.sampled_from("ab")),
                   st.sampled_from([None, float("nan")]))  # fmt: skip
CRITERIA = st.lists(
    st.builds(
        Criterion,
        st.sampled_from("kl"),
        st.sampled_from(["is", "!=", "!=", ">", ">=", "<", "<="]),
        LIMITS,
        automatic=st.sampled_from([False] * 9 + [True]),
    ),
    max_size=6,
)


def _meets_all(value: object, criteria: Sequence[Criterion]) -> bool:
    return all(meets(value, each) for each in criteria)


@given(CRITERIA)
def test_criteria_contradict_each_other_where_no_value_meets_them_all(criteria: list[Criterion]) -> None:
    expected: Sequence[Criterion] = ()
    for key in dict.fromkeys(each.key for each in criteria):
        group = [each for each in criteria if each.key == key and is_defined(each)]
        if len(group) > 1 and not expected and not any(_meets_all(value, group) for value in witnesses(group)):
            expected = group
    assert list(map(id, contradictory(criteria))) == list(map(id, expected))


@given(CRITERIA, CRITERIA)
def test_a_criterion_is_implied_where_every_value_that_meets_the_others_meets_it(
    stricter: list[Criterion], criteria: list[Criterion]
) -> None:
    expected = []
    for each in stricter:
        group = [other for other in criteria if other.key == each.key]
        if group and all(map(is_defined, [each, *group])):
            passing = [value for value in witnesses([each, *group]) if _meets_all(value, group)]
            expected += [each] if all(meets(value, each) for value in passing) else []
    assert list(map(id, implied(stricter, criteria))) == list(map(id, expected))


@given(CRITERIA, CRITERIA)
def test_what_passes_meets_every_criterion(criteria: list[Criterion], others: list[Criterion]) -> None:
    passing = Passing(criteria)
    for value in [*witnesses([*criteria, *others]), None, float("nan"), {}, 1.0, True]:
        assert (value in passing) == (_meets_all(value, criteria) and family(value) is not None)
