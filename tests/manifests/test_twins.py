"""What an item means is known from one that differs in prose only, and comes to the same as validating it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.errors import ManifestsInvalid
from reconciler.manifests.validator import load
from reconciler.model.resource import Resource
from reconciler.providers import VENDORS
from reconciler.providers.openlayer.test import TEST

PROJECT = "apiVersion: openlayer/v1\nkind: Project\nmetadata: {name: p}\nspec:\n  taskType: llm-base\n"
PIPELINES = "  pipelines: [{name: live}]\n"
DEFAULTS = "  testDefaults:\n    evaluationWindow: 24h\n    gate: {runs: 2}\n    description: by default\n"
ITEM = """\
    - name: {name}
      type: integrity
      subtype: {subtype}
      description: {description}
      enabled: {enabled}
      severity: {severity}
      evaluationWindow: {window}
      pipelines: [live]
      thresholds:
        - insightName: {insight}
          measurement: {insight}
          operator: "<="
          value: {value}
"""
SOUND = {
    "name": ["one", "two", "three", '"four"', "'five: 5'", '"true"', '"7"', '" six"'],
    "description": ["why", "why not", "~", '""', '"~"'],
    "subtype": ["rowCount"],
    "enabled": ["true", "false"],
    "severity": ["error", "warn", "info"],
    "window": ["1d", "24h", "2d"],
    "insight": ["metrics"],
    "value": ["0", "0.0", "1", "9"],
}
ODD = {
    "name": [*SOUND["name"], "7", "~", '""', "null", "a\u0430"],
    "description": ["why", "1.5"],
    "subtype": ["rowCount", "containsPii", "nonsense", "1"],
    "enabled": ["true", '"true"'],
    "severity": ["error", "fatal"],
    "window": ["1d", "90d", "soon"],
    "insight": ["metrics", "containsPii", "~"],
    "value": ["0", "true", '"1"', "~"],
}
USUAL = {name: spellings[0] for name, spellings in SOUND.items()}


def items(spellings: dict[str, list[str]]) -> st.SearchStrategy[dict[str, str]]:
    return st.fixed_dictionaries({name: st.sampled_from(each) for name, each in spellings.items()})


def found_out(folder: Path, written: Iterable[str]) -> Any:
    """What these items of one project come to: resources with warnings, or what is wrong with them."""
    head, *tests = written
    (folder / "p.yaml").write_text(f"{PROJECT}{PIPELINES}{head}  tests:\n" + "".join(tests), encoding="utf-8")
    try:
        known = load((), root=folder, vendors=VENDORS)
    except ManifestsInvalid as invalid:
        return invalid.problems
    return [*map(spelled, known.desired), known.warnings]


def spelled(resource: Resource) -> Any:
    """All of a resource, values with their types."""
    return {name: repr(getattr(resource, name)) for name in resource.__struct_fields__}


def assert_known_alike(folder: Path, head: str, tests: Sequence[dict[str, str]]) -> None:
    """Remarks behind their first lines hide that items are laid out alike, and move nothing."""
    plainly = [ITEM.format(**each) for each in tests]
    hidden = [text.replace("\n", f"  # {number}\n", 1) for number, text in enumerate(plainly)]
    assert found_out(folder, [head, *plainly]) == found_out(folder, [head, *hidden])


@example(head="", tests=[{**USUAL, "name": name} for name in ODD["name"]])
@example(head=DEFAULTS, tests=[{**USUAL, "name": name} for name in ("one", "two", "three", "two")])
@example(head="", tests=[{**USUAL, "name": name, "enabled": "false"} for name in ("one", "two", '"four"')])
@example(
    head="", tests=[{**USUAL, "name": f"a{number}", "value": v} for number, v in enumerate(["1", "true", "1"] * 2)]
)
@example(head="", tests=[{**USUAL, "name": f"a{number}", "subtype": "nonsense"} for number in range(3)])
@example(
    head="", tests=[{**USUAL, "name": f"a{number}", "description": d} for number, d in enumerate(["x", "~", "y", '""'])]
)
@given(
    head=st.sampled_from(["", DEFAULTS]),
    tests=st.lists(items(SOUND), min_size=3, max_size=8, unique_by=lambda item: item["name"])
    | st.lists(items(ODD), min_size=3, max_size=8),
)
def test_an_item_means_the_same_whether_one_like_it_was_validated_before(
    head: str, tests: list[dict[str, str]]
) -> None:
    with TemporaryDirectory() as folder:
        assert_known_alike(Path(folder), head, tests)


def test_defaults_below_the_list_and_of_another_document_are_not_taken_for_each_other(tmp_path: Path) -> None:
    tests = [{**USUAL, "name": name} for name in ("one", "two", "three")]
    (tmp_path / "q.yaml").write_text(
        PROJECT.replace("name: p", "name: q") + PIPELINES + "  tests:\n"
        + "".join(ITEM.format(**each).replace("      evaluationWindow: 1d\n", "") for each in tests)
        + "  testDefaults: {evaluationWindow: 48h, labels: {of: q}}\n"
    )  # fmt: skip
    (tmp_path / "r.yaml").write_text(
        PROJECT.replace("name: p", "name: r") + "  testDefaults: {evaluationWindow: 7d, labels: {of: r}}\n" + PIPELINES
        + "  tests:\n" + "".join(ITEM.format(**each).replace("      evaluationWindow: 1d\n", "") for each in tests)
    )  # fmt: skip
    desired = load((), root=tmp_path, vendors=VENDORS).desired
    tests_of = {root: [each for each in desired if each.address.root == root and each.address.kind == TEST.id]
                for root in "qr"}  # fmt: skip
    assert [each.fields["evaluationWindow"] for each in tests_of["q"]] == ["2d"] * 3
    assert [each.fields["evaluationWindow"] for each in tests_of["r"]] == ["7d"] * 3
    assert [each.labels for each in tests_of["q"] + tests_of["r"]] == [{"of": "q"}] * 3 + [{"of": "r"}] * 3
    assert [each.line_of("evaluationWindow") for each in tests_of["q"] + tests_of["r"]] == [44] * 3 + [6] * 3


def validations(monkeypatch: pytest.MonkeyPatch, folder: Path, written: Iterable[str]) -> int:
    """How many tests of a project are validated."""
    seen: list[Any] = []
    validate = TEST.spec.model_validate

    def counted(data: Any) -> Any:
        seen.append(data)
        return validate(data)

    with monkeypatch.context() as patched:
        patched.setattr(TEST.spec, "model_validate", counted)
        found_out(folder, written)
    return len(seen)


def test_only_what_differs_in_more_than_prose_is_validated(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first item is read by the parser, the second is the first of its family, and 9.5 is another limit."""
    alike = [ITEM.format(**{**USUAL, "name": f"t{number}", "description": f"d{number}"}) for number in range(20)]
    assert validations(monkeypatch, tmp_path, ["", *alike]) == 2
    other = [ITEM.format(**{**USUAL, "name": f"u{number}", "value": "9.5"}) for number in range(20)]
    assert validations(monkeypatch, tmp_path, ["", *alike, *other]) == 3
    assert validations(monkeypatch, tmp_path, [DEFAULTS, *alike, *other]) == 3
    unsound = [ITEM.format(**{**USUAL, "name": f"t{number}", "subtype": "nonsense"}) for number in range(20)]
    assert validations(monkeypatch, tmp_path, ["", *unsound]) == 20


def test_twins_share_no_fields_that_could_be_changed_in_one_of_them(tmp_path: Path) -> None:
    alike = [ITEM.format(**{**USUAL, "name": f"t{number}"}) for number in range(4)]
    found_out(tmp_path, ["", *alike])
    tests = [each.fields for each in load((), root=tmp_path, vendors=VENDORS).desired if each.address.kind == TEST.id]
    assert [fields["name"] for fields in tests] == ["t0", "t1", "t2", "t3"]
    assert len({id(fields) for fields in tests}) == 4


def test_no_more_is_kept_than_there_is_room_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("reconciler.manifests.twins._MOST", 2)
    tests = [ITEM.format(**{**USUAL, "name": f"t{number}", "value": str(number % 4)}) for number in range(20)]
    assert validations(monkeypatch, tmp_path, ["", *tests]) == 1 + 2 + 9  # two of four limits are known from then on
    assert_known_alike(
        tmp_path, "", [{**USUAL, "name": f"t{number}", "value": str(number % 4)} for number in range(20)]
    )
