"""When two JSON values are equal all the way down."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.values import alike, compact, share

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from(["", "a", "1", "true"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["a", "b", "c"]), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES, VALUES)
def test_alike_is_what_has_the_same_sorted_json(one: Any, other: Any) -> None:
    same = json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)
    assert alike(one, other) is same
    assert alike(one, json.loads(json.dumps(one)))


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (1, 1.0, True),
        (0, False, False),
        ({"a": 1}, {"a": True}, False),
        ({"a": None}, {"b": None}, False),
        ({"a": None}, {}, False),
        ({"a": 1, "b": [2.0]}, {"b": [2], "a": 1}, True),
        ([], {}, False),
        ([], None, False),
        ("", None, False),
    ],
)
def test_a_number_is_a_number_and_true_is_none(one: Any, other: Any, expected: bool) -> None:
    assert alike(one, other) is expected
    assert alike(other, one) is expected


def test_what_is_shared_is_the_same_object_and_nothing_else_changes() -> None:
    limit = {"insight": "".join(["p", "ii"]), "parameters": {"column": "a"}, "value": 1}
    known: dict[str, Any] = {"name": "".join(["o", "ne"]), "limits": [limit], "tags": ["x"], "on": 1}
    live = json.loads(json.dumps({**known, "tags": ["y"], "on": True, "more": "z"}))
    live["limits"][0]["mode"] = "manual"
    before = json.loads(json.dumps(live))
    assert share(live, known) is False
    assert live == before
    assert live["on"] is True
    assert live["name"] is known["name"]
    assert live["limits"][0]["insight"] is limit["insight"]
    assert live["limits"][0]["parameters"] is limit["parameters"]


def test_what_is_alike_as_a_whole_is_shared_as_a_whole() -> None:
    known: dict[str, Any] = {"name": "".join(["o", "ne"]), "limits": [{"value": 1, "of": ["a", ["b"]]}], "more": {}}
    other = json.loads(json.dumps(known))
    assert share(other, known) is True
    assert [value is known[name] for name, value in other.items()] == [True] * 3
    longer, shorter = json.loads(json.dumps([{**known, "limits": [*known["limits"], 2]}, {"name": "one"}]))
    assert [share(longer, known), share(shorter, known)] == [False, False]
    assert longer == {**known, "limits": [*known["limits"], 2]}


@given(st.dictionaries(st.text(), VALUES | st.integers() | st.text(st.characters(codec=None))))
def test_compact_is_the_sorted_json_whatever_the_texts_hold(value: Any) -> None:
    expected = json.dumps(value, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    assert compact(value) == expected.encode("utf-8", "surrogatepass")


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_compact_keeps_every_number(value: float) -> None:
    assert json.loads(compact([value])) == [value]
