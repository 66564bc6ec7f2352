"""What counts as a difference, who made it, and what of it a digest remembers."""

from __future__ import annotations

from typing import Annotated, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field

from reconciler.model.kind import AnyKind, Kind
from reconciler.model.plan import Cause, FieldChange
from reconciler.model.spec import FilledIn, Mark, Part, Shape, Spec
from reconciler.model.values import Fields, Json
from reconciler.planning.differ import field_changes, fingerprint, same, unseen

PLAIN = Shape()
BLANK = Shape(frozenset({Mark.BLANK_IS_ABSENT}))
BAG = Shape(frozenset({Mark.UNORDERED}), item=Shape())
LIST = Shape(item=Shape())
RECORD = Shape(fields={"operator": Shape(), "mode": Shape(), "note": BLANK})
RECORDS = Shape(item=RECORD)


class Limit(Part):
    operator: str
    value: float
    mode: Annotated[str | None, FilledIn("usual")] = None
    note: Annotated[str | None, Mark.BLANK_IS_ABSENT] = None


class Hidden(Part):
    column: str | None = None


class Star(Part):
    metric: str
    threshold: float | None = None


class Backend(Part):
    table: str
    split: str | None = None
    config: Annotated[Hidden | None, Mark.WRITE_ONLY] = None


class Thing(Spec):
    """A kind with one field for each mark."""

    text: Annotated[str | None, Mark.BLANK_IS_ABSENT] = None
    size: int | None = None
    tags: Annotated[list[str], Mark.UNORDERED] = Field(default_factory=list)
    limits: list[Limit] = Field(default_factory=list)
    star: Star | None = None
    fixed: Annotated[str | None, Mark.CREATE_ONLY] = None
    places: Annotated[str | list[str], Mark.CREATE_ONLY, Mark.UNORDERED] = "all"
    without: Annotated[list[str], Mark.CREATE_ONLY, Mark.BLANK_IS_ABSENT] = Field(default_factory=list)
    backend: Annotated[Backend | None, Mark.CREATE_ONLY] = None
    upload: Annotated[str | None, Mark.WRITE_ONLY] = None
    token: Annotated[str | None, Mark.SENSITIVE] = None


def _nothing(*_: Any) -> Any:
    raise AssertionError("nothing is read here")


THING: AnyKind = Kind(
    id="vendor.Thing",
    spec=Thing,
    identity=("name",),
    list=_nothing,
    read=_nothing,
    complete=lambda fields: {"places": "all", **fields},
)
BARE: Fields = {"name": "a", "text": None, "size": None, "tags": [], "limits": [], "star": None, "fixed": None,
                "places": "all", "without": [], "backend": None, "token": None}  # fmt: skip


def changed(wanted: Fields, live: Fields, applied: Fields | None = None) -> list[tuple[str, Json, Json, str]]:
    """The differences from a live object that is bare but for ``live``."""
    found = field_changes(THING, {"name": "a", **wanted}, {**BARE, **live}, applied)
    return [(change.path, change.before, change.after, change.cause.value) for change in found]


# ------------------------------------------------------------------------------------------------ same


@pytest.mark.parametrize(
    ("wanted", "live", "shape", "alike"),
    [
        (1, 1.0, PLAIN, True),
        (1.5, 1.5, PLAIN, True),
        (1, 2, PLAIN, False),
        (1, "1", PLAIN, False),
        (1, True, PLAIN, False),
        (0, False, PLAIN, False),
        (True, True, PLAIN, True),
        (False, None, PLAIN, False),
        (0, None, BLANK, False),
        ("", None, PLAIN, False),
        ("", None, BLANK, True),
        (None, "", BLANK, True),
        ({}, None, BLANK, True),
        ([], None, BLANK, True),
        (" ", None, BLANK, False),
        (["a", "b"], ["b", "a"], BAG, True),
        (["a", "b"], ["b", "a"], LIST, False),
        (["a", "a", "b"], ["a", "b", "b"], BAG, False),
        (["a"], ["a", "b"], BAG, False),
        ([1, 2], [2.0, 1.0], BAG, True),
        ("all", ["a"], BAG, False),
        ({"operator": "<="}, {"operator": "<=", "mode": "x"}, RECORD, True),
        ({"operator": "<=", "mode": None}, {"operator": "<=", "mode": "x"}, RECORD, False),
        ({"operator": "<=", "mode": None}, {"operator": "<="}, RECORD, True),
        ({"operator": "<=", "note": ""}, {"operator": "<="}, RECORD, True),
        ({"column_name": "a"}, {"column_name": "a", "other": "b"}, PLAIN, False),
        ({"column_name": "a"}, {"column_name": "a"}, PLAIN, True),
        ({"limit": 1}, {"limit": 1.0}, PLAIN, True),
        ({"limit": 1}, {"limit": True}, PLAIN, False),
        ([{"operator": "<="}], [{"operator": "<=", "mode": "x"}], RECORDS, True),
        ([{"operator": "<="}], [{"operator": "<="}, {"operator": ">="}], RECORDS, False),
        ({"a": 1}, [1], PLAIN, False),
        ("anything", "else", Shape(frozenset({Mark.WRITE_ONLY})), True),
    ],
)
def test_what_means_the_same(wanted: Json, live: Json, shape: Shape, alike: bool) -> None:
    """The table in the module's docstring, with its neighbours."""
    assert same(wanted, live, shape) is alike


# --------------------------------------------------------------------------------------- field by field


def test_unwritten_fields_are_not_compared() -> None:
    """A default that the vendor fills in is no difference."""
    assert changed({"size": 1}, {"size": 1, "text": "filled in", "tags": ["x"], "fixed": "y"}) == []


@pytest.mark.parametrize(
    ("wanted", "live", "paths"),
    [
        ({"size": 1}, {"size": True}, ["size"]),
        ({"size": 1}, {"size": 1.0}, []),
        ({"limits": [{"operator": "<=", "value": 1}]}, {"limits": [{"operator": "<=", "value": 1.0, "mode": "x"}]}, []),
        (
            {"limits": [{"operator": "<=", "value": 1}]},
            {"limits": [{"operator": "<=", "value": True}]},
            ["limits.0.value"],
        ),
        (
            {"limits": [{"operator": "<=", "value": 1, "mode": "y"}]},
            {"limits": [{"operator": "<=", "value": 1}]},
            ["limits.0.mode"],
        ),
        ({"limits": [{"operator": "<=", "value": 1}]}, {"limits": []}, ["limits.0"]),
        ({"limits": [{"operator": "<=", "value": 1}]}, {"limits": "none"}, ["limits"]),
    ],
)
def test_what_is_spelled_alike_is_told_from_what_only_seems_so(wanted: Fields, live: Fields, paths: list[str]) -> None:
    """Most fields are never looked into; those that are must be found, however deep."""
    assert [path for path, *_ in changed(wanted, live)] == paths


def test_differences_stand_in_the_order_of_the_kinds_fields() -> None:
    assert [path for path, *_ in changed({"size": 1, "tags": ["a"], "text": "t"}, {})] == ["text", "size", "tags"]


def test_items_of_a_list_are_compared_one_by_one() -> None:
    """Only what differs inside an item is named; an item too many or too few as a whole."""
    one: Fields = {"operator": ">=", "value": 1}
    two: Fields = {"operator": "<=", "value": 2}
    assert changed({"limits": [one]}, {"limits": [{**one, "value": 5, "mode": "usual"}]}) == [
        ("limits.0.value", 5, 1, "manifest")
    ]
    assert changed({"limits": [one, two]}, {"limits": [one]}) == [("limits.1", None, two, "manifest")]
    assert changed({"limits": [one]}, {"limits": [one, two]}) == [("limits.1", two, None, "manifest")]


@pytest.mark.parametrize(
    ("applied", "wanted", "live", "cause"),
    [
        ("old", "new", "old", "manifest"),
        ("old", "old", "by hand", "drift"),
        ("old", "new", "by hand", "both"),
        (None, "new", "by hand", "manifest"),
    ],
)
def test_who_made_the_difference(applied: str | None, wanted: str, live: str, cause: str) -> None:
    """Told by what we wrote last; what we never wrote nobody has changed."""
    last: Fields = {} if applied is None else {"text": applied}
    assert changed({"text": wanted}, {"text": live}, last) == [("text", live, wanted, cause)]


def test_each_part_of_a_list_has_its_own_cause() -> None:
    def limit(operator: str, value: int) -> Fields:
        return {"operator": operator, "value": value}

    found = changed(
        {"limits": [limit(">=", 2), limit("<=", 9)]},
        {"limits": [limit(">=", 1), limit("<=", 7)]},
        {"limits": [limit(">=", 1), limit("<=", 9)]},
    )
    assert found == [("limits.0.value", 1, 2, "manifest"), ("limits.1.value", 7, 9, "drift")]


# ------------------------------------------------------------------------------- written once, and no more


def test_what_is_no_longer_written_goes_back_to_nothing() -> None:
    assert changed({}, {"text": "old"}, {"text": "old"}) == [("text", "old", None, "manifest")]
    assert changed({}, {"text": "by hand"}, {"text": "old"}) == [("text", "by hand", None, "both")]
    assert changed({}, {"size": 0}, {"size": 0}) == [("size", 0, None, "manifest")]


def test_what_is_no_longer_written_and_empty_is_no_difference() -> None:
    assert changed({}, {"text": ""}, {"text": "old"}) == []
    assert changed({}, {"tags": []}, {"tags": ["a"]}) == []


def test_what_was_never_written_is_left_alone() -> None:
    assert changed({}, {"text": "by hand"}, {}) == []
    assert changed({}, {"text": "by hand"}, None) == []


def test_a_create_only_field_goes_back_to_its_default_where_that_is_known() -> None:
    """``places`` is spelled out by every create, ``without`` is empty; ``fixed`` is then the vendor's affair."""
    assert changed({}, {"places": ["a"]}, {"places": ["a"]}) == [("places", ["a"], "all", "manifest")]
    assert changed({}, {"without": ["a"]}, {"without": ["a"]}) == [("without", ["a"], None, "manifest")]
    assert changed({}, {"fixed": "x"}, {"fixed": "x"}) == []


def test_what_is_no_longer_written_inside_of_a_part_is_taken_away() -> None:
    """Of a part and of the parts in a list: only what we wrote there last, while it is still there."""
    bare: Fields = {"operator": "<=", "value": 1}
    full: Fields = {**bare, "mode": "strict", "note": "why"}
    gone = [("limits.0.mode", "strict", None, "manifest"), ("limits.0.note", "why", None, "manifest")]
    assert changed({"limits": [bare]}, {"limits": [full]}, {"limits": [full]}) == gone
    assert changed({"limits": [bare]}, {"limits": [{**full, "mode": "lax"}]}, {"limits": [full]}) == [
        ("limits.0.mode", "lax", None, "both"),
        gone[1],
    ]
    assert changed({"limits": [bare]}, {"limits": [bare]}, {"limits": [full]}) == []
    star: Fields = {"metric": "a", "threshold": 80}
    assert changed({"star": {"metric": "a"}}, {"star": star}, {"star": star}) == [
        ("star.threshold", 80, None, "manifest")
    ]


def test_what_nobody_wrote_inside_of_a_part_is_not_compared() -> None:
    bare: Fields = {"operator": "<=", "value": 1}
    there: Fields = {"limits": [{**bare, "mode": "by hand"}], "star": {"metric": "a", "threshold": 80}}
    wanted: Fields = {"limits": [bare], "star": {"metric": "a"}}
    assert changed(wanted, there, None) == []
    assert changed(wanted, there, {}) == []
    assert changed(wanted, there, wanted) == []


def test_what_a_write_takes_along_is_shown_with_what_is_written() -> None:
    """A list is sent as a whole, and so is a part: what others put there goes, in items that stay as they are, too."""
    one: Fields = {"operator": ">=", "value": 1}
    two: Fields = {"operator": "<=", "value": 2}
    there: Fields = {"limits": [one, {**two, "note": "by hand"}], "star": {"metric": "b", "threshold": 80}}
    wanted: Fields = {"limits": [{**one, "value": 5}, two], "star": {"metric": "a"}}
    found = [
        ("limits.0.value", 1, 5, "manifest"),
        ("limits.1.note", "by hand", None, "drift"),
        ("star.metric", "b", "a", "manifest"),
        ("star.threshold", 80, None, "drift"),
    ]
    assert changed(wanted, there, {"limits": [one, two], "star": {"metric": "b"}}) == found
    assert changed(wanted, there, None) == [(*change[:3], "manifest") for change in found]


@pytest.mark.parametrize("there", ["usual", "", None])
def test_what_the_vendor_fills_in_again_is_not_taken_away(there: str | None) -> None:
    bare: Fields = {"operator": "<=", "value": 1}
    usual: Fields = {**bare, "mode": "usual"}
    live: Fields = {"limits": [{**bare, "mode": there}]}
    assert changed({"limits": [bare]}, live, {"limits": [usual]}) == []
    assert changed({"limits": [bare]}, live, {"limits": [{**bare, "mode": None}]}) == []
    assert changed({"limits": [{**bare, "value": 2}]}, live, {"limits": [usual]}) == [
        ("limits.0.value", 1, 2, "manifest")
    ]


def test_a_part_of_a_create_only_field_that_is_written_no_more_is_the_vendors_affair() -> None:
    """As the field itself would be: there is no way to take it away."""
    wrote: Fields = {"table": "t", "split": "day", "config": {"column": "c"}}
    assert changed({"backend": {"table": "t"}}, {"backend": {"table": "t", "split": "day"}}, {"backend": wrote}) == []


def _plain(found: Any) -> list[Json]:
    return [*found]


def limits(**inner: st.SearchStrategy[Json]) -> st.SearchStrategy[list[Json]]:
    limit = {"operator": st.sampled_from(["<=", ">="]), "value": st.integers(0, 2)}
    return st.lists(st.fixed_dictionaries(limit, optional=inner), max_size=3).map(_plain)


WRITTEN = limits(mode=st.sampled_from(["usual", "strict"]), note=st.sampled_from(["", "why"]))
SHOWN = limits(mode=st.sampled_from(["usual", "strict", None]), note=st.sampled_from(["", "why", "by hand", None]))


@given(wanted=WRITTEN, live=SHOWN, applied=st.none() | WRITTEN)
def test_a_plan_shows_all_that_its_write_does(wanted: list[Json], live: list[Json], applied: list[Json] | None) -> None:
    """The live list with all its changes is the list that is sent, but for what the vendor fills in again.

    Once it is sent and remembered, there is nothing left to do.
    """
    after: list[Any] = [dict(item) for item in live if isinstance(item, dict)]
    changes = changed({"limits": wanted}, {"limits": live}, None if applied is None else {"limits": applied})
    for path, before, value, _ in changes:
        _, place, *inner = path.split(".")
        if inner:
            assert before == after[int(place)].get(inner[0])
            after[int(place)][inner[0]] = value
        elif before is None:
            after.append(value)
        else:
            del after[len(wanted)]
    if changes:
        assert list(map(_meant, after)) == list(map(_meant, wanted))
    sent: list[Json] = [{"mode": "usual", **each} for each in wanted if isinstance(each, dict)]
    assert changed({"limits": wanted}, {"limits": sent}, {"limits": wanted}) == []


def _meant(item: Any) -> Fields:
    return {key: value for key, value in item.items() if value not in (None, "", "usual")}


# ---------------------------------------------------------------------------------- what is not shown


def test_a_field_that_is_never_shown_is_compared_with_what_we_wrote() -> None:
    assert changed({"upload": "b"}, {}, {"upload": "a"}) == [("upload", "a", "b", "manifest")]
    assert changed({"upload": "b"}, {}, {"upload": "b"}) == []
    assert changed({"upload": "b"}, {}, None) == [("upload", None, "b", "manifest")]
    assert changed({}, {}, {"upload": "a"}) == []


def test_a_hidden_part_of_a_create_only_field_is_believed_until_we_wrote_it() -> None:
    """It can neither be seen nor set: an object made by hand could never be adopted otherwise."""
    backend: Fields = {"table": "t", "config": {"column": "c"}}
    assert changed({"backend": backend}, {"backend": {"table": "t"}}, None) == []
    wrote: Fields = {"backend": {"table": "t", "config": {"column": "old"}}}
    found = changed({"backend": backend}, {"backend": {"table": "t"}}, wrote)
    assert found == [("backend.config", {"column": "old"}, {"column": "c"}, "manifest")]


def test_a_field_that_an_older_server_does_not_show_is_compared_with_what_we_wrote() -> None:
    live: Fields = {"name": "a"}

    def found(wanted: int, applied: Fields | None) -> list[str]:
        return [change.path for change in field_changes(THING, {"name": "a", "size": wanted}, live, applied)]

    assert found(1, {"size": 1}) == []
    assert found(2, {"size": 1}) == ["size"]
    assert found(1, None) == ["size"]


def test_what_can_not_be_seen_is_named() -> None:
    wanted: Fields = {"upload": "u", "backend": {"table": "t", "config": {}}, "size": 1}
    assert list(unseen(THING, wanted)) == ["upload", "backend.config"]
    assert list(unseen(THING, wanted, {"name": "a", "backend": None})) == ["upload", "backend.config", "size"]
    assert list(unseen(THING, wanted, {"name": "a"})) == ["upload", "backend", "size"]


def test_marks_travel_with_the_change() -> None:
    """A secret is not in the change at all, and what forces a replace says so."""
    live: Fields = {**BARE, "token": "old", "backend": {"table": "a"}}
    changes = field_changes(THING, {"token": "new", "backend": {"table": "b"}}, live, None)
    assert changes == (
        FieldChange("backend.table", "a", "b", cause=Cause.MANIFEST, create_only=True),
        FieldChange("token", None, None, cause=Cause.MANIFEST, sensitive=True),
    )


# ------------------------------------------------------------------------------------------ fingerprint


WANTED: Fields = {"size": 1, "tags": ["a", "b"], "limits": [{"operator": ">=", "value": 1}], "text": "t"}
LIVE: Fields = {**BARE, **WANTED}


@pytest.mark.parametrize(
    "other",
    [
        {"size": 1.0},
        {"tags": ["b", "a"]},
        {"limits": [{"operator": ">=", "value": 1.0, "mode": "x"}]},
        {"fixed": "not compared"},
        {"name": "not compared"},
    ],
)
def test_a_fingerprint_overlooks_what_a_comparison_overlooks(other: Fields) -> None:
    assert fingerprint(THING, WANTED, {**LIVE, **other}, archived=False) == fingerprint(
        THING, WANTED, LIVE, archived=False
    )


@pytest.mark.parametrize(
    "other",
    [
        {"size": 2},
        {"size": True},
        {"tags": ["a", "c"]},
        {"limits": []},
        {"limits": [{"operator": ">=", "value": 2}]},
        {"limits": [{"operator": ">=", "value": 1}, {"operator": "<=", "value": 5}]},
        {"text": None},
    ],
)
def test_a_fingerprint_shows_what_a_comparison_sees(other: Fields) -> None:
    assert fingerprint(THING, WANTED, {**LIVE, **other}, archived=False) != fingerprint(
        THING, WANTED, LIVE, archived=False
    )


def test_a_fingerprint_shows_whether_it_is_archived() -> None:
    assert fingerprint(THING, WANTED, LIVE, archived=True) != fingerprint(THING, WANTED, LIVE, archived=False)
