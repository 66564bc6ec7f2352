"""``export --adopt`` knows its own objects again, whatever they are called at the platform by now."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.storage.file import FileStore

ROWS = '{insightName: metrics, measurement: rowCount, operator: ">=", value: 2}'
P6 = f"""
    apiVersion: openlayer/v1
    kind: Project
    metadata: {{name: p6}}
    spec:
      taskType: llm-base
      lifecycle: {{onRemoval: delete}}
      pipelines: [{{name: live}}]
      tests:
        - {{name: A, type: integrity, subtype: rowCount, thresholds: [{ROWS}]}}
        - {{name: B, type: integrity, subtype: rowCount, thresholds: [{ROWS}]}}
"""


@pytest.fixture
def p6(cli: Any) -> Any:
    """A project that goes for good when its block goes, with a pipeline and two tests; applied."""
    cli.write("p6.yaml", P6)
    cli("apply", "--yes")
    return cli


def remembered(cli: Any) -> dict[str, str]:
    entries = json.loads(cli("state", "list", "--format", "json").out)["entries"]
    return {address: entry["remote_id"] for address, entry in entries.items()}


def rename_project(platform: Any, old: str, new: str) -> None:
    platform.api("PATCH", f"/projects/{platform.projects()[old]['id']}", {"name": new})


def rename_tests(platform: Any, project: str, **names: str) -> None:
    known = {old: test["id"] for old, test in platform.tests(project).items()}
    for old, new in names.items():
        platform.api("PUT", f"/tests/{known[old]}", {"name": new})


def export_instead(cli: Any, *arguments: str, code: int = 0) -> Any:
    """What the platform shows takes the place of the manifest."""
    (cli.folder / "p6.yaml").unlink(missing_ok=True)
    return cli("export", "--out", "m", "--adopt", *arguments, code=code)


def test_a_project_renamed_at_the_platform_moves(p6: Any, platform: Any) -> None:
    """One id has one address: nothing is deleted from under the manifest that was just written."""
    before = remembered(p6)
    rename_project(platform, "p6", "q6")
    there = platform.everything()
    export_instead(p6, "--select", "q6")
    assert remembered(p6) == {address.replace("/p6", "/q6"): remote_id for address, remote_id in before.items()}
    p6("plan", "--detailed-exitcode")
    p6("apply", "--yes")
    assert platform.everything() == there


def test_the_file_of_a_project_that_was_renamed_is_named(p6: Any, platform: Any) -> None:
    """It was exported under its former name, and that file is not written over: with it all would be made again."""
    export_instead(p6)
    rename_project(platform, "p6", "q6")
    there = platform.everything()
    ended = p6("export", "--out", "./m", "--adopt", "--force")
    said = "m/p6.yaml declares openlayer.Project/p6, which is openlayer.Project/q6 now: remove it there, or the next"
    assert ended.words.count(said) == 1
    assert ended.words.count("m/p6.yaml") == 1
    (p6.folder / "m" / "p6.yaml").unlink()
    p6("plan", "--detailed-exitcode")
    assert "p6.yaml" not in p6("export", "--out", "./m", "--adopt", "--force").words
    assert platform.everything() == there


def test_a_test_renamed_in_a_file_that_is_written_anew_is_not_told(p6: Any, platform: Any) -> None:
    export_instead(p6)
    rename_tests(platform, "p6", A="C")
    assert "now: remove it there" not in p6("export", "--out", "m", "--adopt", "--force").words
    p6("plan", "--detailed-exitcode")


def test_a_test_renamed_at_the_platform_moves(p6: Any, platform: Any) -> None:
    before = remembered(p6)
    rename_tests(platform, "p6", A="C")
    export_instead(p6)
    assert remembered(p6) == {address.replace("monitoring/A", "monitoring/C"): each for address, each in before.items()}
    p6("plan", "--detailed-exitcode")
    p6("apply", "--yes")
    assert not platform.tests("p6")["C"]["archived"]


def test_names_that_were_passed_on(p6: Any, platform: Any) -> None:
    """B has A's former name and the project another one: each object keeps its memory, and none is lost on the way."""
    before = remembered(p6)
    rename_tests(platform, "p6", B="C", A="B")
    rename_project(platform, "p6", "q6")
    export_instead(p6)
    after = remembered(p6)
    names = {"A": "B", "B": "C"}
    assert {after[f"openlayer.Test/q6/monitoring/{new}"] for new in names.values()} == {
        before[f"openlayer.Test/p6/monitoring/{old}"] for old in names
    }
    assert after["openlayer.Test/q6/monitoring/B"] == before["openlayer.Test/p6/monitoring/A"]
    assert len(after) == len(before)
    p6("plan", "--detailed-exitcode")


def test_names_that_were_exchanged_are_refused(p6: Any, platform: Any) -> None:
    """No order of moves leads there; nothing is written, and what is said to do helps."""
    rename_tests(platform, "p6", A="C")
    rename_tests(platform, "p6", B="A")
    rename_tests(platform, "p6", C="B")
    before = remembered(p6)
    ended = p6("export", "--out", "m", "--adopt", code=64)
    assert "have exchanged their names" in ended.words
    assert not (p6.folder / "m").exists()
    assert remembered(p6) == before
    hint = re.search(r"reconciler (state mv) '([^']+)' '([^']+)'", ended.words)
    assert hint is not None
    p6("state", "mv", hint[2], hint[3])
    export_instead(p6)
    assert remembered(p6)["openlayer.Test/p6/monitoring/A"] == before["openlayer.Test/p6/monitoring/B"]
    assert remembered(p6)["openlayer.Test/p6/monitoring/B"] == before["openlayer.Test/p6/monitoring/A"]


def test_the_address_of_another_object_that_stays_is_refused(p6: Any, platform: Any, make_project: Any) -> None:
    """r6 is ours under the name q6, and is not exported along: it must not be forgotten without a word."""
    p6.write("q6.yaml", make_project("q6", 1))
    p6("apply", "--yes")
    rename_project(platform, "q6", "r6")
    rename_project(platform, "p6", "q6")
    before = remembered(p6)
    ended = p6("export", "--out", "m", "--adopt", "--select", "q6", code=64)
    assert "openlayer.Project/q6 is ours already" in ended.words
    assert "reconciler state rm 'openlayer.Project/q6'" in ended.words
    assert not (p6.folder / "m").exists()
    assert remembered(p6) == before
    export_instead(p6)
    after = remembered(p6)
    assert after["openlayer.Project/r6"] == before["openlayer.Project/q6"]
    assert after["openlayer.Project/q6"] == before["openlayer.Project/p6"]


def test_the_past_goes_along(p6: Any, platform: Any) -> None:
    p6("status", code=5)
    rename_project(platform, "p6", "q6")
    export_instead(p6)
    assert "q6/monitoring/A" in p6("history", "q6/monitoring/A").out
    assert "nothing was recorded" in p6("history", "p6/*", code=64).words


def test_what_was_made_anew_inherits_nothing(p6: Any, platform: Any) -> None:
    """Our pipeline is gone and somebody's has its name: what was asked for ours does not hold for theirs."""
    p6.edit("p6.yaml", "{name: live}", "{name: live, lifecycle: {onRemoval: delete}}")
    p6("apply", "--yes")
    address = "openlayer.InferencePipeline/p6/live"
    assert json.loads(p6("state", "show", address).out)["on_removal"] == "delete"
    platform.api("DELETE", f"/inference-pipelines/{platform.pipelines('p6')['live']['id']}")
    made = platform.api(
        "POST",
        f"/projects/{platform.projects()['p6']['id']}/inference-pipelines",
        {"name": "live", "description": None},
    )
    export_instead(p6)
    shown = json.loads(p6("state", "show", address).out)
    assert shown["remote_id"] == made["id"]
    assert not shown.keys() & {"op", "on_removal", "retiring", "archived"}


def test_of_two_with_one_name_ours_stays_ours(p6: Any, platform: Any) -> None:
    """The other one is named and left out."""
    before = remembered(p6)
    threshold = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 2}
    body = {"name": "A", "description": None, "type": "integrity", "subtype": "rowCount", "usesProductionData": True}
    path = f"/projects/{platform.projects()['p6']['id']}/tests"
    twin = platform.api("POST", path, {**body, "thresholds": [threshold]})
    rename_tests(platform, "p6", B="A")
    ended = export_instead(p6, code=4)
    assert f"{twin['id']} was left out" in ended.words
    assert remembered(p6)["openlayer.Test/p6/monitoring/A"] == before["openlayer.Test/p6/monitoring/A"]


def test_of_two_projects_with_one_name_ours_is_written(p6: Any, platform: Any) -> None:
    """And not the one that comes first; what is left out is counted, and told by the exit code, too."""
    platform.api("POST", "/projects", {"name": "P6", "taskType": "llm-base"})
    ended = export_instead(p6, code=4)
    assert "openlayer.Project/P6 cannot be told from openlayer.Project/p6" in ended.words
    assert "4 resources in 1 file" in ended.out
    rename_project(platform, "P6", "other")
    assert "left out" not in p6("export", "--out", "n").text


def test_what_came_back_by_hand_is_no_longer_archived_for_us(p6: Any, platform: Any) -> None:
    """We archived it, somebody un-archived it: exported, it is wanted again."""
    text = (p6.folder / "p6.yaml").read_text()
    kept = [line for line in text.splitlines() if "name: A" not in line]
    (p6.folder / "p6.yaml").write_text("\n".join(kept) + "\n")
    p6("apply", "--yes")
    item = platform.tests("p6")["A"]
    assert item["archived"]
    platform.api("PUT", f"/tests/{item['id']}", {"archived": False})
    export_instead(p6)
    assert "archived" not in json.loads(p6("state", "show", "openlayer.Test/p6/monitoring/A").out)
    p6("plan", "--detailed-exitcode")


def give_second_addresses(cli: Any, project: str) -> None:
    """Remember everything a second time, in another project that is gone for good once it is unwanted."""
    store = FileStore(cli.folder / ".reconciler", "default", now=lambda: datetime(2026, 11, 22, tzinfo=UTC))
    with store.lock("test"):
        state = store.load()
        second = {
            address._replace(path=(project, *address.path[1:])): replace(entry, on_removal="delete")
            for address, entry in state.entries.items()
        }
        store.commit(replace(state, entries={**state.entries, **second}))


def test_a_state_with_one_object_at_two_addresses_removes_nothing(p6: Any, platform: Any) -> None:
    """As an earlier export left it: what the manifests want stays, and the other address is forgotten."""
    rename_project(platform, "p6", "q6")
    export_instead(p6)
    before = remembered(p6)
    give_second_addresses(p6, "p6")
    assert len(remembered(p6)) == 2 * len(before)
    there = platform.everything()
    platform.seen.clear()
    assert "Apply: 4 done.  (4 forgotten)" in p6("apply", "--yes").out
    assert (platform.everything(), platform.writes) == (there, [])
    assert remembered(p6) == before
    p6("plan", "--detailed-exitcode")


def test_what_goes_with_a_file_that_is_written_over_is_told_before(p6: Any) -> None:
    """The platform knows nothing of it, and the plan would not miss it."""
    p6.edit("p6.yaml", "name: A, type", "name: A, severity: warn, type")
    p6.edit("p6.yaml", "kind: Project", "kind: Project  # of team cx")
    p6("apply", "--yes")
    ended = p6("export", "--out", ".", "--force")
    assert (
        "warning: ./p6.yaml is written over, and this goes: spec.lifecycle (line 7), spec.tests.severity (line 10), "
        "a comment (line 3)"
    ) in " ".join(ended.err.split())
    assert "severity" not in (p6.folder / "p6.yaml").read_text()
    assert "written over" not in p6("export", "--out", ".", "--force").err
