"""Where values come from that are not spelled out where their field is written."""

from __future__ import annotations

from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import pytest

from reconciler.manifests.cache import WORTH_BYTES, Cache
from reconciler.manifests.validator import load
from reconciler.model.resource import Address, Desired
from reconciler.providers.openlayer import OPENLAYER

PROJECT = """
    apiVersion: openlayer/v1
    kind: Project
    metadata: {name: bot, labels: {tier: top}}
    spec:
      taskType: llm-base
      pipelines: [{name: live}, {name: canary}]
"""
METRIC = 'insightName: metrics, measurement: rowCount, operator: ">="'


def desired(
    folder: Path, cache: Cache | None = None, /, *, given: dict[str, str] | None = None, **texts: str
) -> Desired:
    for name, text in texts.items():
        (folder / f"{name}.yaml").write_text(dedent(text), encoding="utf-8")
    loaded = load([], root=folder, vendors=[OPENLAYER], environment="staging", variables=given, cache=cache)
    return loaded.desired


def environment(spec: str) -> str:
    head = "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: staging}\nspec:\n"
    return head + indent(dedent(spec), "  ")


def sources(found: Desired, name: str) -> dict[str, list[str]]:
    """Path -> what decided it and where, of one test."""
    told: dict[str, list[str]] = {}
    for each in found.resources[Address("openlayer.Test", ("bot", "monitoring", name))].value_sources:
        told.setdefault(each.path, []).append(f"{each.what} {each.source.file}:{each.source.line}")
    return told


def project(*written: str, head: str = "") -> str:
    """The project with tests, each on a line of its own from line 8 on, or from 9 with a ``head``."""
    return dedent(PROJECT) + head + "  tests:\n" + "".join(f"    - {{type: integrity, {each}}}\n" for each in written)


def rows(name: str, value: str, more: str = "") -> str:
    return f"name: {name}, subtype: rowCount{more}, thresholds: [{{{METRIC}, value: {value}}}]"


def test_a_variable_leads_to_where_the_environment_sets_it(tmp_path: Path) -> None:
    found = desired(
        tmp_path,
        bot=project(
            rows("A", '"${var.least}"'),
            rows("B", "7"),
            rows("C", "7", ', description: "${var.who}, ${var.who} at ${var.least}"'),
        ),
        staging=environment("  vars:\n    least: 20\n    who: Ann\n"),
    )
    assert sources(found, "A") == {"thresholds.0.value": ["var least staging.yaml:6"]}
    assert sources(found, "B") == {}
    assert sources(found, "C") == {"description": ["var who staging.yaml:7", "var least staging.yaml:6"]}


def test_what_the_command_line_gives_stands_nowhere(tmp_path: Path) -> None:
    found = desired(
        tmp_path,
        given={"least": "3"},
        bot=project(rows("A", '"${var.least}"')),
        staging=environment("  vars: {least: 20}\n"),
    )
    assert sources(found, "A") == {}


def test_a_variable_that_is_a_list_leads_to_the_item(tmp_path: Path) -> None:
    found = desired(
        tmp_path,
        bot=project('name: A, subtype: rowCount, pipelines: "${var.places}", thresholds: "${var.limits}"'),
        staging=environment(
            f"""\
            vars:
              places:
                - live
                - canary
              limits:
                - {{{METRIC},
                   value: 4}}
            """
        ),
    )
    told = sources(found, "A")
    assert told["pipelines.0"] == ["var places staging.yaml:7"]
    assert told["pipelines.1"] == ["var places staging.yaml:8"]
    assert told["thresholds.0.operator"] == ["var limits staging.yaml:10"]
    assert told["thresholds.0.value"] == ["var limits staging.yaml:11"]


def test_a_default_from_a_variable_leads_there_unless_it_is_overridden_in_the_item(tmp_path: Path) -> None:
    """Laid out alike, so that they are made from a layout, and alike but for a window of its own."""
    own = ", evaluationWindow: 1h"
    written = [rows(f"T{number}", "1", own if number == 30 else "") for number in range(40)]
    head = '  testDefaults: {evaluationWindow: "${var.window}", severity: warn}\n'
    found = desired(tmp_path, bot=project(*written, head=head), staging=environment("  vars:\n    window: 24h\n"))
    for number in range(40):
        expected = {} if number == 30 else {"evaluationWindow": ["var window staging.yaml:6"]}
        assert sources(found, f"T{number}") == expected


def test_an_override_leads_to_each_value_that_it_sets(tmp_path: Path) -> None:
    found = desired(
        tmp_path,
        bot=project(rows("A", "7"), rows("B", '"${var.least}"')),
        staging=environment(
            """\
              vars: {least: 20}
              overrides:
                - match: {test: A}
                  set:
                    severity: warn
                    thresholds:
                      - insightName: metrics
                        value: 9
                - match: {test: B}
                  set: {thresholds: [{measurement: rowCount, value: "${var.least}"}]}
            """
        ),
    )
    assert sources(found, "A") == {
        "severity": ["override staging.yaml:9"],
        "thresholds.0.insightName": ["override staging.yaml:11"],
        "thresholds.0.value": ["override staging.yaml:12"],
    }
    both = ["override staging.yaml:14", "var least staging.yaml:5"]
    assert sources(found, "B")["thresholds.0.value"] == both


def test_a_parameter_leads_to_the_set_or_to_the_variable_behind_it(tmp_path: Path) -> None:
    written = dedent(
        f"""\
        apiVersion: openlayer/v1
        kind: TestSet
        metadata: {{name: common}}
        spec:
          appliesTo: {{matchLabels: {{tier: top}}}}
          params:
            own: 5
            given: "${{var.least}}"
          tests:
            - {{type: integrity, {rows("A", '"${param.own}"')}}}
            - {{type: integrity, {rows("B", '"${param.given}"')}}}
        """
    )
    found = desired(tmp_path, bot=PROJECT, common=written, staging=environment("  vars:\n    least: 20\n"))
    assert sources(found, "A") == {"thresholds.0.value": ["param own common.yaml:7"]}
    assert sources(found, "B") == {"thresholds.0.value": ["var least staging.yaml:6"]}


def test_of_several_that_one_item_makes_only_what_they_share_is_told(tmp_path: Path) -> None:
    found = desired(
        tmp_path,
        bot=project(
            'name: "T ${each.name}", description: "${var.who}", subtype: rowCount, '
            'forEach: [{name: a, least: "${var.least}"}, {name: b, least: 4}], '
            f'thresholds: [{{{METRIC}, value: "${{each.least}}"}}]'
        ),
        staging=environment("  vars:\n    least: 20\n    who: Ann\n"),
    )
    for name in ("T a", "T b"):
        assert sources(found, name) == {"description": ["var who staging.yaml:7"]}


@pytest.mark.parametrize("least", ["20", '"${var.least}"'])
def test_the_cache_gives_the_same_places(tmp_path: Path, least: str) -> None:
    written = [rows(f"T{number}", least if number % 3 else "1", f", description: {'x' * 60}") for number in range(500)]
    override = "  overrides:\n    - match: {test: T7}\n      set: {severity: warn}\n"
    texts: dict[str, Any] = {"bot": project(*written), "staging": environment(f"  vars: {{least: 20}}\n{override}")}
    (tmp_path / "manifests").mkdir()
    cache = Cache(tmp_path / "cache")
    first = desired(tmp_path / "manifests", cache, **texts)
    assert sum(len(text) for text in texts.values()) > WORTH_BYTES
    assert len([*cache.folder.glob("*.json")]) == 1
    assert desired(tmp_path / "manifests", cache, **texts) == first == desired(tmp_path / "manifests", **texts)
    assert sources(first, "T7")["severity"] == ["override staging.yaml:8"]
    assert bool(sources(first, "T8")) is ("var" in least)
