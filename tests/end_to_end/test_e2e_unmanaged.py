"""``drift --unmanaged`` also lists what somebody has made by hand in something of ours."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest

BY_HAND = {
    "name": "By hand",
    "description": None,
    "type": "integrity",
    "subtype": "rowCount",
    "usesProductionData": True,
    "evaluationWindow": 86_400,
    "thresholds": [{"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 9}],
}
SCHEMA = json.loads((Path(__file__).parents[2] / "schemas" / "plan.v1.json").read_text())


def make(platform: Any, project: str, name: str) -> Any:
    return platform.api("POST", f"/projects/{platform.projects()[project]['id']}/tests", {**BY_HAND, "name": name})


@pytest.fixture
def shared(bot: Any, platform: Any) -> Any:
    """Everything is applied; somebody has added tests, one of them archived again, a pipeline and a project."""
    bot("apply", "--yes")
    make(platform, "bot", "By hand")
    platform.api("PUT", f"/tests/{make(platform, 'bot', 'Given up')['id']}", {"archived": True})
    path = f"/projects/{platform.projects()['bot']['id']}/inference-pipelines"
    platform.api("POST", path, {"name": "shadow", "description": "Tried out"})
    platform.api("POST", "/projects", {"name": "theirs", "taskType": "llm-base"})
    make(platform, "theirs", "Of no concern")
    return bot


def test_without_it_a_stranger_is_no_drift(shared: Any) -> None:
    assert "Clean: 5 resources match the manifests." in shared("drift").out


def test_with_it_each_is_named_and_the_exit_is_2(shared: Any, platform: Any) -> None:
    ids = {name: item["id"] for name, item in [*platform.tests("bot").items(), *platform.pipelines("bot").items()]}
    told = shared("drift", "--unmanaged", code=2).words
    assert f"+ openlayer.Test/bot/monitoring/By hand (id {ids['By hand']})" in told
    assert f"+ openlayer.InferencePipeline/bot/shadow (id {ids['shadow']})" in told
    assert "Drifted: 2 in no manifest." in told
    for name in ("Given up", "theirs", "Of no concern"):
        assert name not in told
    assert "By hand" not in shared("drift", "--unmanaged", "--select", "*/bot/shadow", code=64).words


def test_it_is_narrowed_down_by_select(shared: Any) -> None:
    told = shared("drift", "--unmanaged", "--select", "openlayer.Test/*", code=2).words
    assert "Drifted: 1 in no manifest." in told
    assert "By hand" in told


def test_programs_and_pages_are_told_too(shared: Any) -> None:
    document = json.loads(shared("drift", "--unmanaged", "--format", "json", code=2).out)
    jsonschema.validate(document, SCHEMA)
    found = [each["address"] for each in document["unmanaged"]]
    assert found == ["openlayer.InferencePipeline/bot/shadow", "openlayer.Test/bot/monitoring/By hand"]
    for form in ("markdown", "html", "github"):
        assert "By hand" in shared("drift", "--unmanaged", "--format", form, code=2).out


def test_what_is_ours_by_now_or_gone_is_listed_no_more(shared: Any, platform: Any) -> None:
    platform.api("DELETE", f"/inference-pipelines/{platform.pipelines('bot')['shadow']['id']}")
    shared("state", "import", "openlayer.Test/bot/monitoring/By hand", platform.tests("bot")["By hand"]["id"])
    assert "Clean" in shared("drift", "--unmanaged").words


def test_a_project_renamed_by_hand_is_ours_still(shared: Any, platform: Any) -> None:
    """What is declared in it is known by the name in the manifests, what is not by the one at the platform."""
    platform.api("PATCH", f"/projects/{platform.projects()['bot']['id']}", {"name": "robot"})
    told = shared("drift", "--unmanaged", code=2).words
    assert "openlayer.Test/robot/monitoring/By hand" in told
    assert "Drifted: 1 resource, 2 in no manifest." in told
