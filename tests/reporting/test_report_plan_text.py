"""The plan for a person: what a reviewer must see comes first, and nothing is said twice."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler.model.plan import Action, Basis, Cause, Effect, FieldChange, Plan, Step
from reconciler.model.resource import Address, Source
from reconciler.model.values import Json
from reconciler.reporting.lines import cells
from reconciler.reporting.text import plan_text

BASIS = Basis("", {}, "", "", 1)
FAITHFUL = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))


def _update(*changes: FieldChange, **more: object) -> Plan:
    step = Step("1", Action.UPDATE, FAITHFUL, "changed in the manifests", changes=changes)
    return Plan(BASIS, (replace(step, **more),), unchanged=2)


def _text(plan: Plan, *, width: int = 100, verbose: bool = False) -> str:
    return plan_text(plan, width=width, color=False, verbose=verbose)


@pytest.mark.parametrize(
    ("width", "verbose", "name"), [(80, False, "plan_80.txt"), (200, True, "plan_200_verbose.txt")]
)
def test_one_of_everything(plan: Plan, expected: Callable[[str], str], width: int, verbose: bool, name: str) -> None:
    assert _text(plan, width=width, verbose=verbose) == expected(name)


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(plan: Plan, width: int) -> None:
    assert [line for line in _text(plan, width=width).split("\n") if cells(line) > width] == []


def test_colours_change_nothing_but_the_colour(plan: Plan) -> None:
    painted = plan_text(plan, width=80, color=True)
    assert "\x1b[31m- openlayer.InferencePipeline/support-bot/old\x1b[0m" in painted
    assert re.sub(r"\x1b\[[\d;]+m", "", painted) == plan_text(plan, width=80, color=False)


def test_nothing_to_do_is_one_sentence(empty: Plan) -> None:
    assert _text(empty) == "No changes. 15 resources match the manifests.\n"
    assert _text(replace(empty, unchanged=1)) == "No changes. 1 resource matches the manifests.\n"


def test_the_sentence_counts_what_loosens() -> None:
    create = Step("2", Action.CREATE, Address("openlayer.Project", ("bot",)), "not at the platform yet")
    plan = _update(FieldChange("thresholds.0.value", 0.9, 0.85, Effect.LOOSENED), effect=Effect.LOOSENED)
    plan = replace(plan, steps=(*plan.steps, create), unchanged=1200)
    assert _text(plan).split("\n")[-2] == "Plan: 1 to create, 1 to update (1 loosened). 1,200 unchanged."


def test_a_plan_of_one_loosened_threshold_reads_in_three_lines() -> None:
    plan = _update(
        FieldChange("thresholds.0.value", 0.9, 0.85, Effect.LOOSENED),
        effect=Effect.LOOSENED,
        source=Source("a.yaml", 7, 3),
    )
    assert (
        _text(plan)
        == """\
Plan

Removes, replaces or loosens
  ~ openlayer.Test/bot/monitoring/Faithful  LOOSENED  changed in the manifests (a.yaml:7)
      thresholds.0.value: 0.90 -> 0.85  LOOSENED

Plan: 1 to update (1 loosened). 2 unchanged.
"""
    )


def _field(before: Json, after: Json, path: str = "field") -> list[str]:
    """The lines below the step, without their common indent."""
    lines = _text(_update(FieldChange(path, before, after))).split("\n")
    start = next(number for number, line in enumerate(lines) if line.startswith("  ~ ")) + 1
    return [line.removeprefix("      ") for line in lines[start : lines.index("", start)]]


@pytest.mark.parametrize(
    ("before", "after", "line"),
    [
        (0.9, 0.85, "field: 0.90 -> 0.85"),
        (1, 0.5, "field: 1.0 -> 0.5"),
        (1000, 2000, "field: 1000 -> 2000"),
        (1e-9, 0.5, "field: 1e-09 -> 0.5"),
        (True, False, "field: true -> false"),
        (None, "x", 'field: unset -> "x"'),
        ("1", 1, 'field: "1" -> 1'),
        ("", " ", 'field: "" -> " "'),
        ('say "hi"', "a\\b", 'field: "say \\"hi\\"" -> "a\\\\b"'),
        ("two  spaces", "two spaces", 'field: "two  spaces" -> "two spaces"'),
        (["a"], ["a", "b"], 'field: ["a"] -> ["a", "b"]'),
        (None, {"a": [1]}, 'field: unset -> {"a": [1]}'),
        (float("nan"), float("inf"), "field: nan -> inf"),
    ],
)
def test_values_show_their_type_and_both_sides(before: Json, after: Json, line: str) -> None:
    assert _field(before, after) == [line]


def test_a_long_text_shows_the_words_that_changed() -> None:
    before = "Answer with the facts that stand in the context, never with what you remember from elsewhere."
    assert _field(before, before.replace("never", "rarely"), "rubric") == [
        "rubric: text differs",
        "    ~ … stand in the context, [-never-]{+rarely+} with what you remember …",
    ]


def test_a_text_of_many_lines_shows_the_lines_that_changed() -> None:
    assert _field("one\ntwo\nthree", "one\n2\nthree\nfour", "rubric") == [
        "rubric: text differs",
        "    ~ [-two-]{+2+}",
        "    + four",
    ]


def test_many_changed_lines_are_cut_unless_verbose() -> None:
    plan = _update(FieldChange("rubric", "\n".join("x" * 50), "\n".join(map(str, range(50)))))
    assert "… 30 more lines; -v shows all" in _text(plan)
    assert "more line" not in _text(plan, verbose=True)


def test_a_nested_value_shows_the_paths_inside_that_differ() -> None:
    before: Json = {"columns": [{"name": "a"}, {"name": "b"}], "limit": 3, "mode": "strict", "same": [1, 2, 3]}
    after: Json = {"columns": [{"name": "z"}, {"name": "a"}, {"name": "b"}], "limit": 4, "same": [1, 2, 3.0], "new": {}}
    assert _field(before, after) == [
        "field:",
        '    + columns.0: {"name": "z"}',
        "    ~ limit: 3 -> 4",
        '    - mode: "strict"',
        "    + new: {}",
    ]


def test_a_reordered_list_is_not_called_equal() -> None:
    lines = _field([{"a": 1}, {"b": 2}], [{"b": 2}, {"a": 1}])
    assert lines[0] == "field:"
    assert len(lines) > 1


def test_a_threshold_is_named_by_the_words_beside_the_value() -> None:
    threshold = {"insightName": "metrics", "measurement": "faithfulness", "operator": ">=", "value": 0.85}
    plan = _update(FieldChange("thresholds.0.value", 0.9, 0.85), fields={"thresholds": [threshold]})
    assert "thresholds.0.value: 0.90 -> 0.85  (metrics faithfulness >=)\n" in _text(plan)


def test_a_threshold_is_not_named_by_words_that_belong_to_another_position() -> None:
    threshold = {"insightName": "metrics", "measurement": "faithfulness", "operator": ">=", "value": 0.5}
    plan = _update(FieldChange("thresholds.0.value", 0.9, None), fields={"thresholds": [threshold]})
    assert "faithfulness" not in _text(plan)


def test_who_changed_a_field_is_said_once() -> None:
    drift = FieldChange("a", 1, 2, cause=Cause.DRIFT)
    told = _text(_update(drift, cause=Cause.DRIFT, reason="changed at the platform"))
    assert told.count("changed at the platform") == 1
    mixed = _text(_update(drift, FieldChange("b", 1, 2), cause=Cause.BOTH, reason="both"))
    assert "a: 1 -> 2  changed at the platform\n" in mixed
    assert "b: 1 -> 2\n" in mixed


def test_a_sensitive_field_shows_that_it_changes_and_nothing_else() -> None:
    plan = _update(FieldChange("token", None, None, sensitive=True))
    assert "      token: (sensitive, not shown)\n" in _text(plan)


def test_a_create_shows_its_fields_only_if_asked() -> None:
    changes = (FieldChange("thresholds", None, [{"value": 1}, {"value": 2}]), FieldChange("mode", None, "monitoring"))
    step = Step("1", Action.CREATE, FAITHFUL, "not at the platform yet", changes=changes, source=Source("a.yaml", 7, 3))
    plan = Plan(BASIS, (step,))
    head = "  + openlayer.Test/bot/monitoring/Faithful"
    assert f"{head}\n\n" in _text(plan)
    assert (
        f'{head}  (a.yaml:7)\n      thresholds.0.value: 1\n      thresholds.1.value: 2\n      mode: "monitoring"\n'
        in _text(plan, verbose=True)
    )


def test_what_can_not_be_undone_comes_first() -> None:
    order = (Action.CREATE, Action.REPLACE, Action.UPDATE, Action.ARCHIVE, Action.DELETE)
    steps = [Step(action, action, Address("openlayer.Test", (action,)), "r") for action in order]
    signs = [line[2:].split("/")[0] for line in _text(Plan(BASIS, tuple(steps))).split("\n") if line.startswith("  ")]
    assert signs == ["- openlayer.Test", "- openlayer.Test", "± openlayer.Test", "+ openlayer.Test", "~ openlayer.Test"]


def test_an_address_is_never_broken() -> None:
    name = "A name of many words that is longer than the terminal is wide, and goes on, and on"
    step = Step("1", Action.CREATE, Address("openlayer.Test", (name,)), "it was removed at the platform")
    lines = _text(Plan(BASIS, (step,)), width=60).split("\n")
    assert f"  + openlayer.Test/{name}" in lines
    assert "      it was removed at the platform" in lines


def test_wide_characters_are_counted_as_two() -> None:
    step = Step("1", Action.CREATE, Address("openlayer.Test", ("日本語",)), "理由 " * 20)
    lines = _text(Plan(BASIS, (step,)), width=40).split("\n")
    assert max(map(cells, lines)) <= 40
    assert cells("日本語") == 6


def test_an_ordinary_plan_loads_no_heavy_library() -> None:
    """deepdiff takes longer to load than a plan to print, and rich is not needed for text."""
    program = (
        "import sys; import reconciler.reporting.text, reconciler.reporting.markdown, reconciler.reporting.machine;"
        "from reconciler.reporting.changes import change_lines;"
        "from reconciler.model.plan import *; from reconciler.model.resource import Address;"
        "step = Step('1', Action.UPDATE, Address('k', ('n',)), 'r');"
        "change_lines(FieldChange('a', 1, 2), step, verbose=False);"
        "print(sorted({'deepdiff', 'html', 'rich', 'httpx', 'click', 'yaml'} & set(sys.modules)))"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", program], cwd=root, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
