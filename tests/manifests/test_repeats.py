"""List items that are laid out alike are read without the parser, and come to the same as with it."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from reconciler.manifests.loader import read
from reconciler.manifests.positions import Map, Seq
from reconciler.manifests.repeats import Layouts

TESTS = """\
tests:
  - name: first
    subtype: rowCount
    gate: {runs: 2, tags: [a, "b c"]}
    thresholds:
      - operator: ">="
        value: 5

  # limits of ours
  - name: "second: quoted"
    subtype: containsPii
    gate: {runs: 2, tags: [a, "b c"]}
    thresholds:
      - operator: '<'
        value: -0.5
  - name: without a limit
    subtype: rowCount
  - name: third
    subtype:
    gate: {runs: 2, tags: [a, "b c"]}
    thresholds:
      - operator: ">="
        value: 5
  - name: fourth, of the first layout
    subtype: rowCount
    gate: {runs: 2, tags: [a, "b c"]}
    thresholds:
      - operator: ~
        value: 1e3
"""


def spelled(value: Any) -> Any:
    """A value with its type and every spot, so that two that differ in any of it are unequal."""
    if isinstance(value, Map):
        return ("map", value.spot, value.spots, [(key, spelled(each)) for key, each in value.items()])
    if isinstance(value, Seq):
        return ("list", value.spot, value.spots, [spelled(each) for each in value])
    return (type(value).__name__, value)


def assert_read_alike(*texts: str) -> None:
    """Each text, read with what the ones before it have taught, comes to the same as with the parser alone."""
    layouts = Layouts()
    for text in texts:
        quickly, plainly = read(text, "x.yaml", 3, layouts), read(text, "x.yaml", 3)
        assert [(spelled(value), spot) for value, spot in quickly.documents] == [
            (spelled(value), spot) for value, spot in plainly.documents
        ]
        assert quickly.problems == plainly.problems
        assert quickly.doubtful == plainly.doubtful
        assert quickly.refers == plainly.refers


def test_the_second_item_of_a_layout_is_taken_out_and_the_lines_stay() -> None:
    repeats = Layouts().take_out(TESTS)
    assert repeats.text == (
        TESTS[: TESTS.index('  - name: "second')]
        + "  - 0\n\n\n\n\n\n"
        + TESTS[TESTS.index("  - name: without") : TESTS.index("  - name: fourth")]
        + "  - 0\n\n\n\n\n\n"
    )
    assert [(list(texts), scalars) for _, texts, scalars in repeats.items.values()] == [
        (['"second: quoted"', "containsPii", "'<'", "-0.5"], ["second: quoted", "containsPii", "<", -0.5]),
        (
            ["fourth, of the first layout", "rowCount", "~", "1e3"],
            ["fourth, of the first layout", "rowCount", None, 1000.0],
        ),
    ]


def test_what_was_taken_out_comes_back_at_its_place() -> None:
    assert_read_alike(TESTS)
    second = read(TESTS, "x.yaml", 0, Layouts()).documents[0][0]["tests"][1]
    assert second == {
        "name": "second: quoted",
        "subtype": "containsPii",
        "gate": {"runs": 2, "tags": ["a", "b c"]},
        "thresholds": [{"operator": "<", "value": -0.5}],
    }


def test_limits_on_one_line_are_taken_out_whatever_their_last_value_is() -> None:
    """As the examples write them."""
    item = '  - name: {}\n    thresholds:\n      - {{insightName: metrics, operator: ">=", value: {}}}\n'
    text = "tests:\n" + item.format("one", "0.9") + item.format("two", '"${var.least}"') + item.format("three", "1e3")
    repeats = Layouts().take_out(text)
    assert repeats.text == "tests:\n" + item.format("one", "0.9") + "  - 0\n\n\n" * 2
    assert [scalars for _, _, scalars in repeats.items.values()] == [["two", "${var.least}"], ["three", 1000.0]]
    assert_read_alike(text, text.replace("three", "four"))


def test_where_only_what_can_not_be_taken_out_repeats_itself_the_search_ends() -> None:
    assert Layouts().take_out("- a: &x 1\n- a: *x\n" * 100 + TESTS).items == {}


def test_items_share_nothing_that_could_be_changed_in_one_of_them() -> None:
    first, second, _, _, fourth = read(TESTS, "x.yaml", 0, Layouts()).documents[0][0]["tests"]
    assert len({id(item["gate"]) for item in (first, second, fourth)}) == 3


def test_what_one_file_has_taught_holds_in_the_next() -> None:
    layouts = Layouts()
    read(TESTS, "x.yaml", 0, layouts)
    assert layouts.take_out(TESTS).text == "tests:\n" + "  - 0" + 7 * "\n" + "\n".join(
        ["  # limits of ours", "  - 0\n\n\n\n\n", "  - 0\n", "  - 0\n\n\n\n\n", "  - 0\n\n\n\n\n\n"]
    )
    assert_read_alike(TESTS, f"# moved\n{TESTS}", TESTS.replace("rowCount", "characterLength"))


def test_a_layout_of_a_file_that_can_not_be_read_is_learned_from_the_next() -> None:
    item = "- a: 1\n  b: x\n"
    assert_read_alike(f"{{\n{item}", item + item, f"text: |\n  {item}", item + item)


def test_no_more_layouts_are_kept_than_there_is_room_for() -> None:
    layouts = Layouts()
    for number in range(1100):
        layouts.take_out(f"- a{number}: 1\n")
    assert len(layouts.take_out("- a5: 2\n- a5: 2\n").firsts) == 1  # it was never learned
    assert_read_alike(*(f"- a{number}: 1\n- a{number}: 2\n" for number in range(1100)))


def test_where_nothing_repeats_itself_the_search_ends() -> None:
    different = "".join(f"- a{number}: {number}\n" for number in range(200))
    assert Layouts().take_out(different + TESTS).items == {}
    assert Layouts().take_out(TESTS + different + TESTS).text.count("- 0\n") == 2
    assert_read_alike(f"x:\n{different}")


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("text: |\n  - a: 1\n  - a: 2\n  - a: 3\n", id="in a literal text"),
        pytest.param('text: "\n  - a: 1\n  - a: 2\n  - a: 3"\n', id="in a quoted text"),
        pytest.param("text: folded\n  - a b\n  - a\n", id="in a plain text"),
        pytest.param('- a: "x\n- a: 1\n- a: 2\n- b: y"\n- a: 3\n', id="in a text that begins in an item"),
        pytest.param("text: [\n  - a: 1\n  - a: 2\n]\n", id="in a flow list"),
        pytest.param("- a: 1\n- a: 2\n\n  b: 3\n- a: 4\n", id="a blank line inside"),
        pytest.param("- a: 1\n- a: 2\n\n # a remark\n  b: 3\n- a: 4\n", id="a remark inside"),
        pytest.param("- a: 1\n# a remark\n  b: 2\n- a: 3\n- a: 4\n", id="a remark before the rest of the first item"),
        pytest.param("- a: 1\n- a: 2\n# a remark\n  b: 3\n- a: 4\n", id="a remark before the rest of a later item"),
        pytest.param(
            "".join(f"- a: {n}\n" for n in range(20)) + "# x\n  b: 1\n- a: 1\n", id="a remark in one of many items"
        ),
        pytest.param("- a: 1\n- a: 2\n   x\n- a: 3\n", id="a scalar over two lines"),
        pytest.param("- a: 1\n- a: 2\n x: y\n", id="indented less than the item"),
        pytest.param("- a: 1\n- a: 2\n-\n- a: 3", id="no end of the last line"),
        pytest.param("- - a: 1\n- - a: 2\n- - a: 3\n  - a: 4\n", id="lists in lists"),
        pytest.param("- a: 1\n  a: 1\n- a: 2\n  a: 2\n", id="equal keys"),
        pytest.param("- a: yes\n- a: 1\n- a: 012\n- a: 2\n", id="refused words"),
        pytest.param("- a: &x 1\n- a: *x\n- a: {b: *x}\n- a: {b: *x}\n", id="anchors and aliases"),
        pytest.param("x: &x\n- a: 1\n- a: 2\ny: *x\n", id="an anchor before the list"),
        pytest.param("- a: b\n---\n- a: c\n---\n- a: d\n", id="several documents"),
        pytest.param("- a: b\r\n- a: c\r\n- a: d\r\n", id="carriage returns"),
        pytest.param("- a: b\u200b\n- a: c\n", id="an invisible character"),
        pytest.param("- a: [1, {b: 2}]\n- a: [1, {b: 2}]\n", id="only flow collections"),
        pytest.param("- c: 1\n  a: [1, {b: ~}, {}, []]\n- c: 2\n  a: [1, {b: ~}, {}, []]\n", id="empty collections"),
        pytest.param('- {a: "x\n  b: y"}\n- {a: "x\n  b: z"}\n', id="a flow mapping over two lines"),
        pytest.param("- {a: b}\n- {a: c\n  }\n- {a: d}\n", id="a flow mapping that ends on another line"),
        pytest.param("- {a: b} # c: d}\n- {a: b} # c: e}\n", id="what looks like the end of one, in a remark"),
        pytest.param("- a: b}\n- a: c}\n- {a: b}\n- {a: c}\n", id="what looks like the end of one, in a plain text"),
        pytest.param('- {a: "b: c"}\n- {a: "b: d"}\n', id="what looks like a key, in a quoted text"),
        pytest.param("- {a: 'x', b: it's: 1}\n- {a: 'x', b: it's: 2}\n", id="a quote in a plain text"),
        pytest.param("- {a: 1, a: 2}\n- {a: 1, a: 3}\n", id="equal keys, the last one before the end"),
        pytest.param("- {a: b]\n- {a: c]\n- [a: b]\n- [a: c]\n", id="braces and brackets that end each other"),
        pytest.param("- on: 1\n- on: 2\n", id="a refused key"),
        pytest.param("- a: 1\n  b: {c: 1, c: 2}\n- a: 2\n  b: {c: 1, c: 2}\n", id="equal keys in a flow mapping"),
        pytest.param("- a: 1\n  b: [on, 012]\n- a: 2\n  b: [on, 012]\n", id="refused words in a flow list"),
        pytest.param("- 1: 1\n- 1: 2\n", id="a key that is no text"),
        pytest.param("- null: 1\n- null: 2\n", id="a key that is null"),
        pytest.param("- a:\n    b: 1\n- a:\n    b: 2\n  \n- a:\n    b: 3\n", id="trailing blanks"),
        pytest.param("".join(f"- a: {n}\n  b: x{n}\n" for n in range(40)), id="a common layout"),
        pytest.param("".join(f"- a: {n}\n  b: x{n}\n" for n in range(40)) + "  c: 1\n", id="a common layout goes on"),
        pytest.param("".join(f"- k{n}: {n}\n" * 12 for n in range(20)), id="many common layouts"),
    ],
)
def test_what_only_looks_like_an_item_is_read_as_without(text: str) -> None:
    assert_read_alike(text, text)


def test_every_file_of_five_such_lines_is_read_as_without() -> None:
    lines = ("- a: 1", "- a: y", "  b: 2", "  c:", "  - a: 3", "    x", "# remark", "")
    assert_read_alike(*("\n".join((*chosen, "- a: 4\n")) for chosen in itertools.product(lines, repeat=5)))


SCALARS = (
    *("a", "a b", "5", "-5", "1e3", "true", "~", "'q'", '"q"', "''", '"', "'", "a'", 'a"', "a  ", "${x}", "é"),
    *("yes", "012", "", "|", ">", "x: y", "a #c", "a # c", "#c", "http://x", "a:", "?", "- a", "-", "=", "<=", "%"),
    *("&a 1", "*a", "!t", "[a, b]", "{a: b}", "[a,", "b]", "{a: b, c: d} # e", "a\tb", "`", '"a\\n"', "'it''s'"),
)
LAYOUTS = (
    ("- a: {}", "  b: {}"),
    ("- a: {}", "  b:", "    c: {}", "    d: {}"),
    ("- a: {}", "  b:", "  - c: {}", "  - c: {}"),
    ("- a: {}", "", "  b: {}"),
    ("- a: {}", "# c", "  b: {}"),
    ("- a: {}", "  b: [1, {{c: d}}]", "  e: {}"),
    ("- - {}", "  - a: {}"),
    ("- {}",),
    ("- a: {}",),
    ("- {{a: {}}}",),
    ("- a:", '  - {{b: c, d: ">=", e: {}}}', "  f: {}"),
    ("- a: [b, {{c: {}}}]", "  d: {{e: {}, f: {}}}"),
)
CONTEXTS = (
    "list:",
    "more:",
    "text: |",
    "text: >-",
    'text: "',
    '"',
    "text: '",
    "'",
    "text: a",
    "flow: [",
    "]",
    "---",
    "# c",
)
ODD_LINES = ("", "   ", "   x", " # c", "      # c", "    z: 1", "  z: 1", "z: 1", " - 0", "\t")


@st.composite
def items(draw: st.DrawFn) -> str:
    """Some items of one layout, as often with plain scalars as with odd ones."""
    layout = draw(st.sampled_from(LAYOUTS))
    indent = " " * draw(st.sampled_from((0, 2, 2)))
    scalars = st.sampled_from(SCALARS[: draw(st.sampled_from((10, 10, 10, len(SCALARS))))])
    return "".join(
        indent + line.format(*[draw(scalars)] * line.count("{}")) + "\n"
        for _ in range(draw(st.integers(1, 12)))
        for line in layout[: draw(st.sampled_from((len(layout), len(layout), 1)))]
    )


def numbered(parts: list[str]) -> str:
    """The parts one after the other, those that are items of a list of its own below a key of its own."""
    return "".join(f"list{number}:\n{part[1:]}" if part[0] == "+" else part for number, part in enumerate(parts))


LINES = st.sampled_from(CONTEXTS + ODD_LINES).map("{}\n".format)
LISTS = items().map("+{}".format)
TEXTS = st.lists(st.one_of(LISTS, LISTS, LISTS, items(), LINES), max_size=6).map(numbered)


@settings(max_examples=400)
@given(TEXTS, TEXTS)
@example(TESTS, TESTS)
def test_reading_with_repeats_comes_to_the_same_as_without(one: str, other: str) -> None:
    assert_read_alike(one, other)
