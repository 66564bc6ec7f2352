"""What a change of thresholds means for what passes, checked against plain comparison of sampled values."""

import operator
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.model.kind import Criterion
from reconciler.model.plan import Effect
from reconciler.model.values import Json
from reconciler.planning.thresholds import classify, classify_by_key

LOOSENED, REDEFINED, MOVED, TIGHTENED, SAME = Effect


def limits(text: str, key: str = "k") -> list[Criterion]:
    """``">= 0.8 and < 5"`` as criteria; values are Python literals."""
    words = {"true": True, "false": False}

    def value(word: str) -> Json:
        return words[word] if word in words else (word if word.isalpha() else float(word))

    parts = [part.split() for part in text.split(" and ")] if text else []
    return [Criterion(key, op, value(word)) for op, word in parts]  # type: ignore[arg-type]


def learned(op: str = ">=") -> Criterion:
    return Criterion("k", op, None, automatic=True)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("before", "after", "effect"),
    [
        (">= 0.8", ">= 0.9", TIGHTENED),
        (">= 0.9", ">= 0.85", LOOSENED),
        (">= 0.8", "> 0.8", TIGHTENED),
        ("<= 5", "<= 0", TIGHTENED),
        ("<= 5", ">= 5", MOVED),
        ("<= 5", ">= 6", MOVED),
        (">= 0.8", ">= 0.8 and >= 0.5", SAME),
        (">= 0.8", ">= 0.8 and <= 1", TIGHTENED),
        (">= 1 and <= 5", "<= 5 and >= 1", SAME),
        (">= 1 and <= 5", ">= 2 and <= 6", MOVED),
        (">= 1 and <= 1", "is 1", SAME),
        ("is 0", "<= 0", LOOSENED),
        ("is 0", "is 1", MOVED),
        ("!= 0", "> 0", TIGHTENED),
        ("> 5 and < 1", "< 2 and > 7", SAME),
        ("is true", "is false", MOVED),
        ("is false", "!= true", SAME),
        ("is en", "is de", MOVED),
        ("is en", "!= de", LOOSENED),
        ("!= en", "!= en and != de", TIGHTENED),
        ("is en and is de", "is en", LOOSENED),
    ],
)
def test_effects(before: str, after: str, effect: Effect) -> None:
    assert classify(limits(before), limits(after)) is effect


def test_whole_numbers_and_fractions_are_one_family() -> None:
    assert classify([Criterion("k", "is", 1)], [Criterion("k", "is", 1.0)]) is SAME
    assert classify([Criterion("k", ">=", 0)], [Criterion("k", ">=", 0.0)]) is SAME


def test_a_truth_value_is_not_a_number() -> None:
    assert classify([Criterion("k", "is", 1)], [Criterion("k", "is", True)]) is MOVED


def test_neighbouring_floats_are_told_apart() -> None:
    below, above = 0.1, 0.10000000000000002
    assert classify([Criterion("k", ">", below)], [Criterion("k", ">=", above)]) is TIGHTENED


def test_a_list_is_one_value_and_its_order_counts() -> None:
    one: list[Criterion] = [Criterion("k", "is", ["a", "b"])]
    assert classify(one, [Criterion("k", "is", ["a", "b"])]) is SAME
    assert classify(one, [Criterion("k", "is", ["b", "a"])]) is MOVED
    assert classify(one, [Criterion("k", "!=", ["c"])]) is LOOSENED


def test_switching_between_written_and_learned_limits_redefines() -> None:
    assert classify(limits(">= 0.8"), [learned()]) is REDEFINED
    assert classify([learned()], limits(">= 0.8")) is REDEFINED


def test_learned_on_both_sides_is_the_same_whatever_value_stands_there() -> None:
    assert classify([learned()], [Criterion("k", ">=", 0.7, automatic=True)]) is SAME


def test_turning_the_direction_of_a_learned_limit_redefines() -> None:
    assert classify([learned(">=")], [learned("<=")]) is REDEFINED


def test_a_written_limit_beside_a_learned_one_is_compared() -> None:
    assert classify([learned(), *limits("<= 5")], [learned(), *limits("<= 9")]) is LOOSENED
    assert classify([learned(), *limits("<= 5")], [learned()]) is LOOSENED


def test_an_order_of_strings_has_no_meaning_and_can_not_be_compared() -> None:
    assert classify(limits(">= low"), limits(">= high")) is REDEFINED
    assert classify(limits(">= 0.8"), limits(">= high")) is REDEFINED
    assert classify(limits(">= low"), limits(">= low")) is SAME


def test_null_says_nothing_and_can_not_be_compared() -> None:
    assert classify([Criterion("k", "is", None)], [Criterion("k", "is", 0)]) is REDEFINED


def test_what_is_no_longer_judged_loosens_and_what_is_newly_judged_tightens() -> None:
    before = [*limits(">= 0.8", "precision"), *limits(">= 0.7", "recall")]
    after = [*limits(">= 0.7", "recall"), *limits("<= 9", "latency")]
    assert classify_by_key(before, after) == {"precision": LOOSENED, "recall": SAME, "latency": TIGHTENED}
    assert classify_by_key([learned()], []) == {"k": LOOSENED}


def parameters(column: str, op: str = "<=", value: Json = 0) -> Criterion:
    return Criterion(f"pii|{column}", op, value, measure="pii")  # type: ignore[arg-type]


def test_other_parameters_of_the_same_measure_redefine() -> None:
    before, after = [parameters("input")], [parameters("output", "<=", 100)]
    assert classify_by_key(before, after) == {"pii|input": REDEFINED, "pii|output": REDEFINED}


def test_of_two_of_one_measure_the_one_without_an_heir_was_removed() -> None:
    before = [parameters("input"), parameters("output")]
    assert classify_by_key(before, [parameters("context")]) == {
        "pii|input": REDEFINED,
        "pii|output": LOOSENED,
        "pii|context": REDEFINED,
    }
    assert classify(before, [parameters("output")]) is LOOSENED


def test_the_whole_is_the_worst_of_its_parts() -> None:
    before = [*limits(">= 0.8", "a"), *limits("<= 5", "b"), *limits(">= 1", "c")]
    assert classify(before, [*limits(">= 0.9", "a"), *limits(">= 5", "b"), *limits(">= 1", "c")]) is MOVED
    assert classify(before, [*limits(">= 0.9", "a"), *limits(">= 5", "b"), *limits(">= 0", "c")]) is LOOSENED
    assert classify(before, [*limits(">= 0.9", "a"), *limits("<= 5", "b"), *limits(">= 1", "c")]) is TIGHTENED


def test_nothing_before_and_nothing_after_is_the_same() -> None:
    assert classify([], []) is SAME


# -------------------------------------------------------------------------- against plain comparison of values

OPERATORS: dict[str, Any] = {
    "is": operator.eq, "!=": operator.ne, ">": operator.gt, ">=": operator.ge, "<": operator.lt, "<=": operator.le,
}  # fmt: skip
NUMBERS: list[Json] = [0, 1, 1.0, 2, -0.5, 3.5]
EVERY_NUMBER = [step / 4 for step in range(-12, 24)]
BOOLS: list[Json] = [True, False]
STRINGS: list[Json] = ["", "a", "b", "ab"]
EVERY_STRING = [*STRINGS, "something else"]


def some(values: list[Json], operators: list[str]) -> st.SearchStrategy[list[Criterion]]:
    """One to three criteria on one key."""
    one = st.builds(Criterion, st.just("k"), st.sampled_from(operators), st.sampled_from(values))
    return st.lists(one, min_size=1, max_size=3)


def passing(criteria: list[Criterion], universe: list[Any]) -> set[Any]:
    return {value for value in universe if all(OPERATORS[c.operator](value, c.value) for c in criteria)}


def expected(before: list[Criterion], after: list[Criterion], universe: list[Any]) -> Effect:
    old, new = passing(before, universe), passing(after, universe)
    if old == new:
        return SAME
    if old <= new:
        return LOOSENED
    return TIGHTENED if new <= old else MOVED


ANY_NUMBER = some(NUMBERS, list(OPERATORS))
ANY_BOOL = some(BOOLS, ["is", "!="])
ANY_STRING = some(STRINGS, ["is", "!="])


@given(ANY_NUMBER, ANY_NUMBER)
def test_numbers_agree_with_trying_every_quarter(before: list[Criterion], after: list[Criterion]) -> None:
    assert classify(before, after) is expected(before, after, EVERY_NUMBER)


@given(ANY_BOOL, ANY_BOOL)
def test_truth_values_agree_with_trying_both(before: list[Criterion], after: list[Criterion]) -> None:
    assert classify(before, after) is expected(before, after, BOOLS)


@given(ANY_STRING, ANY_STRING)
def test_strings_agree_with_trying_each_and_another(before: list[Criterion], after: list[Criterion]) -> None:
    named = {c.value for c in (*before, *after) if isinstance(c.value, str)}
    assert classify(before, after) is expected(before, after, [*named, "something else"])


LISTS: list[Json] = [[], ["a"], ["b"], ["a", "b"], ["b", "a"]]
EVERY_LIST = [*LISTS, ["something else"]]


@given(some(LISTS, ["is", "!="]), some(LISTS, ["is", "!="]))
def test_lists_agree_with_trying_each_and_another(before: list[Criterion], after: list[Criterion]) -> None:
    assert classify(before, after) is expected(
        frozen(before), frozen(after), [tuple(map(str, each)) for each in EVERY_LIST if isinstance(each, list)]
    )


def frozen(criteria: list[Criterion]) -> list[Criterion]:
    """The same with limits that can stand in a set."""
    return [replace(c, value=tuple(c.value)) if isinstance(c.value, list) else c for c in criteria]


WORST_FIRST = [LOOSENED, REDEFINED, MOVED, TIGHTENED, SAME]
EITHER: st.SearchStrategy[list[Criterion]] = st.one_of(st.just([]), ANY_NUMBER)


@given(EITHER, EITHER, EITHER, EITHER)
def test_of_several_measurements_the_worst_counts(
    precision: list[Criterion], recall: list[Criterion], new_precision: list[Criterion], new_recall: list[Criterion]
) -> None:
    """Each measurement by itself against plain comparison, with none at all as "everything passes"."""

    def on(key: str, criteria: list[Criterion]) -> list[Criterion]:
        return [replace(c, key=key) for c in criteria]

    def alone(before: list[Criterion], after: list[Criterion]) -> Effect:
        if bool(before) != bool(after):
            return LOOSENED if before else TIGHTENED
        return expected(before, after, EVERY_NUMBER)

    found = classify(
        [*on("precision", precision), *on("recall", recall)],
        [*on("recall", new_recall), *on("precision", new_precision)],
    )
    assert found is min(alone(precision, new_precision), alone(recall, new_recall), key=WORST_FIRST.index)


NUMERIC = st.one_of(st.integers(), st.floats(allow_nan=False, allow_infinity=False))
ANY_LIMIT = st.lists(
    st.builds(Criterion, st.just("k"), st.sampled_from(list(OPERATORS)), NUMERIC), min_size=1, max_size=3
)


@given(ANY_LIMIT, ANY_LIMIT, st.lists(NUMERIC))
def test_no_number_contradicts_the_effect(before: list[Criterion], after: list[Criterion], values: list[Json]) -> None:
    """Limits of any size: a value that newly passes rules out "tightened", one that newly fails "loosened"."""
    effect = classify(before, after)
    universe = [*values, *(c.value for c in (*before, *after))]
    old, new = passing(before, universe), passing(after, universe)
    assert not (new - old and effect in {TIGHTENED, SAME})
    assert not (old - new and effect in {LOOSENED, SAME})


MIXED = some([*NUMBERS, *BOOLS, *STRINGS], ["is", "!="])


@given(MIXED, MIXED)
def test_the_way_back_has_the_opposite_effect(before: list[Criterion], after: list[Criterion]) -> None:
    opposite = {LOOSENED: TIGHTENED, TIGHTENED: LOOSENED, MOVED: MOVED, SAME: SAME}
    assert classify(after, before) is opposite[classify(before, after)]


@given(MIXED)
def test_the_order_and_repetition_of_thresholds_mean_nothing(criteria: list[Criterion]) -> None:
    assert classify(criteria, [*reversed(criteria), *criteria]) is SAME


def test_every_single_number_against_every_single_number() -> None:
    """The small grid without chance: 6 operators x 6 limits, squared."""
    single = [[Criterion("k", op, value)] for op, value in product(OPERATORS, NUMBERS)]
    wrong = [(a, b) for a, b in product(single, single) if classify(a, b) is not expected(a, b, EVERY_NUMBER)]
    assert wrong == []
