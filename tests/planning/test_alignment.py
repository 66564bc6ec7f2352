"""Which items of two lists are taken for the same thing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.values import Json
from reconciler.planning.alignment import Pair, aligned
from reconciler.planning.differ import field_changes, same
from reconciler.providers.openlayer.test import TEST

ITEM = TEST.shapes["thresholds"].item
assert ITEM is not None


def limit(text: str) -> dict[str, Json]:
    """``"faithfulness >= 0.9"``, with parameters in brackets: ``"rows(input) <= 0"``."""
    measurement, operator, value = text.split()
    name, _, column = measurement.rstrip(")").partition("(")
    made: dict[str, Json] = {"insightName": "metrics", "measurement": name, "operator": operator, "value": float(value)}
    return {**made, "insightParameters": {"column": column}} if column else made


@pytest.mark.parametrize(
    ("wanted", "live", "pairs"),
    [
        (["a >= 1"], ["a >= 2"], [(0, 0)]),
        (["b >= 1", "a >= 1"], ["a >= 1"], [(0, None), (1, 0)]),
        (["a >= 1"], ["b >= 1", "a >= 1"], [(0, 1), (None, 0)]),
        (["a >= 1", "b >= 1"], ["b >= 1", "a >= 1"], [(0, 1), (1, 0)]),
        (["a <= 9", "a >= 1"], ["a >= 1"], [(0, None), (1, 0)]),  # what is equal goes first
        (["a >= 2", "a <= 9"], ["a <= 8", "a >= 1"], [(0, 1), (1, 0)]),  # then what differs least
        (["a(x) <= 0"], ["a(y) <= 0"], [(0, 0)]),  # other parameters: redefined, and still that threshold
        (["a(x) <= 0", "a(y) <= 0"], ["a(y) <= 0"], [(0, None), (1, 0)]),
        (["b >= 1"], ["a >= 1"], [(0, None), (None, 0)]),  # another measurement is another threshold
        ([], ["a >= 1"], [(None, 0)]),
    ],
)
def test_pairs(wanted: list[str], live: list[str], pairs: list[Pair]) -> None:
    assert ITEM is not None
    assert aligned([limit(each) for each in wanted], [limit(each) for each in live], ITEM, same) == pairs


def test_only_items_with_marked_fields_are_aligned() -> None:
    assert ITEM is not None
    assert list(ITEM.keys) == ["insightName", "insightParameters", "measurement"]
    assert not (TEST.shapes["uses"].item or TEST.shapes["name"]).keys


ANY = st.lists(st.sampled_from(["a >= 1", "a >= 2", "a <= 9", "b >= 1", "a(x) <= 0", "a(y) <= 0"]), max_size=4)


@given(ANY, ANY)
def test_every_item_of_both_lists_stands_in_one_pair(wanted: list[str], live: list[str]) -> None:
    assert ITEM is not None
    pairs = aligned([limit(each) for each in wanted], [limit(each) for each in live], ITEM, same)
    assert sorted(ours for ours, _ in pairs if ours is not None) == list(range(len(wanted)))
    assert sorted(theirs for _, theirs in pairs if theirs is not None) == list(range(len(live)))
    assert (None, None) not in pairs


@given(ANY, ANY)
def test_there_is_a_change_exactly_where_the_lists_differ(wanted: list[str], live: list[str]) -> None:
    """Aligning changes what a difference looks like, never whether there is one."""
    ours: list[Json] = [limit(each) for each in wanted]
    theirs: list[Json] = [limit(each) for each in live]
    changes = field_changes(TEST, {"thresholds": ours}, {"thresholds": theirs}, None)
    assert bool(changes) is (wanted != live)
