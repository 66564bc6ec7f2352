"""What is exported loads again, and says of everything else why it was left out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from reconciler.manifests.exporter import documents
from reconciler.manifests.validator import load
from reconciler.manifests.writer import to_yaml
from reconciler.model.resource import Address, LiveObject
from reconciler.model.values import Fields
from reconciler.providers.digitalocean import DIGITALOCEAN
from reconciler.providers.openlayer import OPENLAYER

VENDORS = (OPENLAYER, DIGITALOCEAN)
UNWRITTEN = "which is not among what was written"
AGAIN = "mend that, and export again"
STAYS = "it stays there, and is not compared; write it by hand to change that"
TEST: Fields = {
    "mode": "monitoring",
    "type": "integrity",
    "subtype": "rowCount",
    "thresholds": [{"insightName": "metrics", "measurement": "numRows", "operator": ">=", "value": 10}],
}


def live(address: str, *, unmanaged: tuple[str, ...] = (), **fields: Any) -> LiveObject:
    where = Address.parse(address)
    return LiveObject(where, f"id of {where.name}", {"name": where.name, **fields}, unmanaged=unmanaged)


def project(name: str = "bot", **fields: Any) -> LiveObject:
    return live(f"openlayer.Project/{name}", taskType="llm-base", **fields)


def test(name: str, **fields: Any) -> LiveObject:
    return live(f"openlayer.Test/bot/monitoring/{name}", **{**TEST, **fields})


test.__test__ = False  # type: ignore[attr-defined]


def exported(folder: Path, *objects: LiveObject) -> tuple[dict[str, Fields], list[str]]:
    """What the exported files declare when they are loaded, by address, and the warnings of the export."""
    told = documents(objects, VENDORS)
    found, warnings = told.documents, told.warnings
    for each in found:
        (folder / each.file).write_text(to_yaml(each.document), encoding="utf-8")
    loaded = load([], root=folder, vendors=VENDORS).desired.resources
    assert {address for each in found for address in each.fields} == {a for a, r in loaded.items() if not r.lookup}
    return {str(address): resource.fields for address, resource in loaded.items()}, warnings


def test_what_is_exported_loads_as_what_is_there(tmp_path: Path) -> None:
    pipeline = live("openlayer.InferencePipeline/bot/live", description="Costs ${5}\nand more")
    found, warnings = exported(tmp_path, project(), pipeline, test("Rows", pipelines=["live"]))
    assert found == {
        "openlayer.Project/bot": {"name": "bot", "taskType": "llm-base"},
        "openlayer.InferencePipeline/bot/live": {"name": "live", "description": "Costs ${5}\nand more"},
        "openlayer.Test/bot/monitoring/Rows": {
            "name": "Rows",
            "type": "integrity",
            "subtype": "rowCount",
            "thresholds": [{"insightName": "metrics", "measurement": "numRows", "operator": ">=", "value": 10}],
            "pipelines": ["live"],
        },
    }
    assert warnings == []


@pytest.mark.parametrize("text", ["bell \x07", "\x1b[31mred", "right \u202e left", "half \ud83d", "zero\u200bwidth"])
def test_a_text_that_no_manifest_can_hold_is_left_out(tmp_path: Path, text: str) -> None:
    """What is not written is not compared, so the plan is still empty."""
    found, warnings = exported(tmp_path, project(description=text))
    assert found == {"openlayer.Project/bot": {"name": "bot", "taskType": "llm-base"}}
    assert warnings == [f"openlayer.Project/bot: description was left out: it holds what a manifest cannot; {STAYS}"]


def test_a_number_that_would_lose_digits_takes_its_test_along(tmp_path: Path) -> None:
    limit = [{"insightName": "metrics", "measurement": "numRows", "operator": ">=", "value": 2**60}]
    found, warnings = exported(tmp_path, project(), test("Rows", thresholds=limit))
    assert list(found) == ["openlayer.Project/bot"]
    assert warnings == [
        f'openlayer.Test/bot/monitoring/Rows was left out: its "thresholds" holds what a manifest cannot; {AGAIN}'
    ]


@pytest.mark.parametrize("value", [10.0, 2.0**53, 2.0**53 + 2, -1e16, 1e300])
def test_a_whole_float_is_written_as_a_manifest_can_hold_it(tmp_path: Path, value: float) -> None:
    """As a whole number where that keeps its digits, else as the float that the platform keeps."""
    limit: Fields = {"insightName": "metrics", "measurement": "numRows", "operator": ">=", "value": value}
    found, warnings = exported(tmp_path, project(), test("Rows", thresholds=[limit]))
    assert found["openlayer.Test/bot/monitoring/Rows"]["thresholds"] == [limit]
    assert warnings == []


def test_a_name_that_nobody_can_see_takes_everything_inside_along(tmp_path: Path) -> None:
    inside = live("openlayer.InferencePipeline/b\x07t/live")
    found, warnings = exported(tmp_path, project("b\x07t"), inside, project("other"))
    assert list(found) == ["openlayer.Project/other"]
    why = f'its "name" holds what a manifest cannot; {AGAIN}'
    assert warnings == [f"openlayer.Project/b\ufffdt was left out with the 1 object in it: {why}"]


def test_names_that_can_not_be_told_apart_do_not_load_together(tmp_path: Path) -> None:
    found, warnings = exported(tmp_path, project(), test("Rows"), test("rows"), test("Rows"))
    assert list(found) == ["openlayer.Project/bot", "openlayer.Test/bot/monitoring/Rows"]
    other = "was left out: let one of them have another name, and export again"
    assert warnings == [
        f"openlayer.Test/bot/monitoring/Rows stands there twice; id of Rows {other}",
        f"openlayer.Test/bot/monitoring/rows {untold('openlayer.Test/bot/monitoring/Rows')}; id of rows {other}",
    ]


def untold(twin: str) -> str:
    return f"cannot be told from {twin} (letter case, spaces at the ends and forms of one character do not count)"


@pytest.mark.parametrize("name", ["BOT", " bot", "\uff42ot"])
def test_of_two_projects_that_can_not_be_told_apart_ours_is_written(name: str) -> None:
    """With what is in it; of the other one it is said how much is.  Where neither is ours, the first is written."""
    inside = [test("Rows"), *(live(f"openlayer.InferencePipeline/{name}/{each}") for each in ("a", "b"))]
    objects = [project(), project(name), *inside]
    first, second = sorted(("bot", name))
    assert not (told := documents(objects, VENDORS)).whole
    assert [each.document["metadata"]["name"] for each in told.documents] == [first]
    told = documents(objects, VENDORS, ours=[f"id of {second}"])
    assert [each.document["metadata"]["name"] for each in told.documents] == [second]
    what = f"openlayer.Project/{first} {untold(f'openlayer.Project/{second}')}; id of {first} was left out"
    many = {"bot": "1 object", name: "2 objects"}[first]
    other = "let one of them have another name, and export again"
    assert told.warnings == [f"{what} with the {many} in it: {other}"]
    assert not told.whole


def test_what_is_ours_changes_no_order() -> None:
    objects = [project(), test("Alpha"), test("Beta"), project("another")]
    assert documents(objects, VENDORS, ours=["id of Beta", "id of bot"]) == documents(objects, VENDORS)
    assert documents(objects, VENDORS).whole


def test_a_field_with_a_value_that_a_manifest_can_not_say_is_left_out(tmp_path: Path) -> None:
    """The platform may know more than we do."""
    newer = live("openlayer.InferencePipeline/bot/live", description="x", dataBackend={"backendType": "duckdb"})
    found, warnings = exported(tmp_path, project(), newer)
    assert found["openlayer.InferencePipeline/bot/live"] == {"name": "live", "description": "x"}
    assert warnings == [
        "openlayer.InferencePipeline/bot/live: dataBackend was left out: it is not of a form that a manifest can have; "
        + STAYS
    ]


def test_what_is_against_the_rules_of_its_kind_is_left_out(tmp_path: Path) -> None:
    found, warnings = exported(tmp_path, project(), test("Rows", evaluationWindow="30m"))
    assert "evaluationWindow" not in found["openlayer.Test/bot/monitoring/Rows"]
    assert warnings == [
        "openlayer.Test/bot/monitoring/Rows: evaluationWindow was left out: it is not valid: 30m is outside 1h to 28d; "
        + STAYS
    ]


def test_a_set_in_which_something_stands_twice_is_left_out(tmp_path: Path) -> None:
    found, warnings = exported(tmp_path, project(modelTypes=["llm", "retriever", "llm"]))
    assert found == {"openlayer.Project/bot": {"name": "bot", "taskType": "llm-base"}}
    assert warnings == [
        f'openlayer.Project/bot: modelTypes was left out: it is not valid: "llm" stands here twice; {STAYS}'
    ]


def test_what_can_not_be_set_is_said(tmp_path: Path) -> None:
    _, warnings = exported(tmp_path, project(unmanaged=("gitRepo",)))
    again = "set it again by hand where the object is ever replaced"
    assert warnings == [f"openlayer.Project/bot: gitRepo is set and cannot be expressed; {again}"]


def test_a_reference_to_what_was_left_out_is_left_out(tmp_path: Path) -> None:
    bad = live("openlayer.InferencePipeline/bot/li\u200bve")
    found, warnings = exported(tmp_path, project(), bad, test("Rows", pipelines=["li\u200bve"]))
    assert "pipelines" not in found["openlayer.Test/bot/monitoring/Rows"]
    assert len(warnings) == 2


def test_a_test_that_runs_nowhere_is_left_out(tmp_path: Path) -> None:
    """Its only pipeline was deleted; a manifest that named none would mean all of them."""
    found, warnings = exported(tmp_path, project(), test("Rows", pipelines=[]), test("Other", pipelines="all"))
    assert list(found) == ["openlayer.Project/bot", "openlayer.Test/bot/monitoring/Other"]
    (said,) = warnings
    assert said.startswith('openlayer.Test/bot/monitoring/Rows was left out: its "pipelines" is not valid: names no')


def test_lookups_are_named_and_files_are_left_out(tmp_path: Path) -> None:
    """A dataset is not exported without its file, nor a test case without its dataset; a lookup is not taken over."""
    found, warnings = exported(
        tmp_path,
        live("digitalocean.Metric/Correctness"),
        live("digitalocean.EvaluationDataset/faq", file={"bytes": 33, "sha256": "dfc5712bac14"}),
        live("digitalocean.Workspace/care", description="For the support team"),
        live("digitalocean.Agent/care/support-agent"),
        live("digitalocean.EvaluationTestCase/care/Correct", dataset="faq", metrics=["Correctness"],
             starMetric={"name": "Correctness", "threshold": 80.0}),
    )  # fmt: skip
    assert found == {"digitalocean.Workspace/care": {"name": "care"}}
    assert warnings == [
        f'digitalocean.EvaluationDataset/faq was left out: its "file" is not at hand; {AGAIN}',
        f'digitalocean.EvaluationTestCase/care/Correct was left out: its "dataset" names "faq", {UNWRITTEN}; {AGAIN}',
    ]


def test_files_are_named_after_roots_and_no_two_are_the_same() -> None:
    objects = [project("Größe: 5"), project("Grosse 5"), project("日本"), live("digitalocean.Workspace/日本")]
    assert [each.file for each in documents(objects, VENDORS).documents] == [
        "grosse-5.yaml",
        "groe-5.yaml",
        "project.yaml",
        "workspace.yaml",
    ]
