"""Lists come in pages that are clamped, filtered and counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from reconciler.emulator.database import Database
from reconciler.emulator.openlayer.storage import Store

if TYPE_CHECKING:
    from tests.emulator.conftest import Api, Doc


def names(page: Doc) -> list[str]:
    return [item["name"] for item in page["items"]]


def test_pages_are_counted_and_end(api: Api) -> None:
    for number in range(5):
        api.project(name=f"p{number}")
    second = api.ok("GET", "/projects", page=2, perPage=2)
    assert names(second) == ["p2", "p3"]
    assert second["_meta"] == {"page": 2, "perPage": 2, "totalItems": 5, "totalPages": 3}
    assert names(api.ok("GET", "/projects", page=3, perPage=2)) == ["p4"]
    beyond = api.ok("GET", "/projects", page=4, perPage=2)
    assert (beyond["items"], beyond["_meta"]["totalItems"]) == ([], 5)


def test_a_page_is_never_longer_than_the_cap(make_api: Callable[..., Api]) -> None:
    api = make_api(page_cap=3)
    for number in range(5):
        api.project(name=f"p{number}")
    page = api.ok("GET", "/projects", perPage=100)
    assert names(page) == ["p0", "p1", "p2"]
    assert page["_meta"] == {"page": 1, "perPage": 3, "totalItems": 5, "totalPages": 2}


def test_a_page_has_a_hundred_items_unless_asked_otherwise(api: Api) -> None:
    assert api.ok("GET", "/projects", perPage=1000)["_meta"]["perPage"] == 100
    assert api.ok("GET", "/projects")["_meta"] == {"page": 1, "perPage": 100, "totalItems": 0, "totalPages": 0}


@pytest.mark.parametrize("query", [{"page": 0}, {"page": "x"}, {"perPage": 0}, {"perPage": -1}, {"per_page": 10}])
def test_a_bad_page_is_422(api: Api, query: Doc) -> None:
    assert api.refused("GET", "/projects", **query)[0] == 422


def test_names_are_found_by_any_part_of_them_so_a_client_must_compare(api: Api) -> None:
    project = api.project(name="support-bot")
    api.project(name="Support-Bot-EU")
    api.project(name="search")
    assert names(api.ok("GET", "/projects", name="support-bot")) == ["support-bot", "Support-Bot-EU"]
    api.pipeline(project, name="production")
    api.pipeline(project, name="pre-production")
    found = api.ok("GET", f"/projects/{project['id']}/inference-pipelines", name="production")
    assert names(found) == ["production", "pre-production"]


def test_projects_are_filtered_by_task_type(api: Api) -> None:
    api.project(name="llm")
    api.project(name="tabular", taskType="tabular-regression")
    assert names(api.ok("GET", "/projects", taskType="tabular-regression")) == ["tabular"]


def test_a_pipeline_counts_the_tests_that_are_run_on_it(api: Api) -> None:
    project = api.project()
    ours, other = api.pipeline(project)["id"], api.pipeline(project)["id"]
    api.test(project)
    api.test(project, includePipelines=[ours], defaultToAllPipelines=False)
    api.test(project, includePipelines=[other], defaultToAllPipelines=False)
    api.test(project, excludePipelines=[other], defaultToAllPipelines=False)
    api.test(project, excludePipelines=[ours])
    api.test(project, archived=True)
    page = api.ok("GET", f"/projects/{project['id']}/inference-pipelines")
    assert {item["id"]: item["totalGoalCount"] for item in page["items"]} == {ours: 3, other: 3}


@pytest.mark.parametrize("where", ["project = ''", "project = '' AND archived = 0"])
def test_a_page_of_tests_costs_no_sorting_of_the_project(where: str) -> None:
    database = Database()
    Store(database, {})
    sql = f"EXPLAIN QUERY PLAN SELECT doc FROM openlayer_tests WHERE {where} ORDER BY number LIMIT 100"
    assert all("TEMP B-TREE" not in str(row) for row in database.connection.execute(sql))


def test_archived_tests_are_hidden_until_asked_for(api: Api) -> None:
    project = api.project()
    path = f"/projects/{project['id']}/tests"
    api.test(project, name="live")
    api.test(project, name="old", archived=True)
    assert names(api.ok("GET", path)) == ["live"]
    assert api.ok("GET", path)["_meta"]["totalItems"] == 1
    assert names(api.ok("GET", path, includeArchived="true")) == ["live", "old"]


def test_tests_are_filtered_by_mode_type_and_suggestion(api: Api) -> None:
    project = api.project()
    path = f"/projects/{project['id']}/tests"
    api.test(project, name="monitoring")
    api.test(project, name="development", usesProductionData=False, type="performance")
    assert names(api.ok("GET", path, usesProductionData="false")) == ["development"]
    assert names(api.ok("GET", path, usesProductionData="true")) == ["monitoring"]
    assert names(api.ok("GET", path, type="performance")) == ["development"]
    assert names(api.ok("GET", path, type="fairness")) == []
    assert names(api.ok("GET", path, suggested="true")) == []
    assert names(api.ok("GET", path, suggested="false")) == ["monitoring", "development"]
    assert names(api.ok("GET", path, originVersionId="00000000-0000-0000-0000-000000000000")) == []


def test_test_names_need_not_be_unique_but_numbers_count_up_in_each_project(api: Api) -> None:
    project, other = api.project(), api.project()
    assert [api.test(project)["number"], api.test(project)["number"], api.test(other)["number"]] == [1, 2, 1]
    assert names(api.ok("GET", f"/projects/{project['id']}/tests")) == ["Rows arrive", "Rows arrive"]


def test_a_project_counts_what_is_in_it_without_the_archived(api: Api) -> None:
    project = api.project()
    api.pipeline(project)
    api.test(project)
    api.test(project, archived=True)
    api.test(project, usesProductionData=False)
    (shown,) = api.ok("GET", "/projects")["items"]
    counts = {key: value for key, value in shown.items() if key.endswith("Count")}
    assert counts == {
        "goalCount": 2,
        "developmentGoalCount": 1,
        "monitoringGoalCount": 1,
        "versionCount": 0,
        "inferencePipelineCount": 1,
    }


def test_a_commit_is_queued_then_runs_then_is_completed_and_without_a_bundle_its_tests_are_skipped(api: Api) -> None:
    project = api.project()
    api.test(project, name="monitoring")
    api.test(project, name="development", usesProductionData=False)
    body = {"commit": {"message": "first", "source": "cli"}, "storageUri": "local://bundle"}
    commit = api.ok("POST", f"/projects/{project['id']}/versions", body)
    assert (commit["status"], commit["totalGoalCount"], commit["commit"]["message"]) == ("queued", 1, "first")
    assert [api.ok("GET", f"/versions/{commit['id']}")["status"] for _ in range(3)] == [
        "running",
        "completed",
        "completed",
    ]
    assert [each["id"] for each in api.ok("GET", f"/projects/{project['id']}/versions")["items"]] == [commit["id"]]
    (result,) = api.ok("GET", f"/versions/{commit['id']}/results")["items"]
    assert (result["goal"]["name"], result["status"]) == ("development", "skipped")
    assert result["statusMessage"] == "The emulator has neither the model nor the datasets of the commit."
    assert result["projectVersionId"] == commit["id"]
    assert api.ok("GET", f"/versions/{commit['id']}/results", status="failing")["items"] == []
    bad = {"commit": {}, "storageUri": "x"}
    assert api.refused("POST", f"/projects/{project['id']}/versions", bad)[0] == 422
