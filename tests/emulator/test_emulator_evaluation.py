"""Evaluations are real: windows, tasks and results over the rows that were streamed."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.emulator.conftest import Api, Doc

HOUR = 3600
NINE = 1_800_000_000 // HOUR * HOUR


def rows_at(*times: float) -> list[Doc]:
    return [{"output": "x", "at": at} for at in times]


def test_a_range_is_widened_to_whole_windows(api: Api) -> None:
    project = api.project()
    pipeline, test = api.pipeline(project), api.test(project)
    api.stream(pipeline, rows_at(NINE, NINE + 3599, NINE + HOUR), timestampColumnName="at")
    answer = api.evaluate(test, NINE + 10, NINE + HOUR + 1)
    assert (answer["requestedStartTimestamp"], answer["requestedEndTimestamp"]) == (NINE + 10, NINE + HOUR + 1)
    newest, oldest = api.results(test)
    assert (oldest["dateDataStarts"], oldest["dateDataEnds"]) == ("2027-01-15T08:00:00Z", "2027-01-15T09:00:00Z")
    assert (newest["dateDataStarts"], newest["dateDataEnds"]) == ("2027-01-15T09:00:00Z", "2027-01-15T10:00:00Z")
    assert (oldest["value"], newest["value"]) == ({"rowCount": 2.0}, {"rowCount": 1.0})


def test_a_range_that_fits_its_windows_stays_as_it_is(api: Api) -> None:
    project = api.project()
    api.pipeline(project)
    test = api.test(project, evaluationWindow=2 * HOUR)
    even = NINE // (2 * HOUR) * 2 * HOUR
    api.evaluate(test, even, even + 4 * HOUR)
    assert len(api.results(test)) == 2


def test_a_window_without_rows_is_skipped_not_passed(api: Api, threshold: Callable[..., Doc]) -> None:
    project = api.project()
    api.pipeline(project)
    test = api.test(project, thresholds=[threshold(operator="<=", value=10)])
    api.evaluate(test, NINE, NINE + HOUR)
    (result,) = api.results(test)
    assert (result["status"], result["value"]) == ("skipped", {})
    assert result["statusMessage"] == "There are no rows in the evaluation window."
    assert api.ok("GET", f"/tests/{test['id']}/results")["lastUnskippedResult"] is None


def test_rows_without_a_time_count_at_their_arrival(api: Api) -> None:
    project = api.project()
    pipeline, test = api.pipeline(project), api.test(project)
    api.now = NINE + 30.5
    api.stream(pipeline, [{"output": "x"}])
    api.evaluate(test, NINE, NINE + HOUR)
    assert [result["status"] for result in api.results(test)] == ["passing"]
    shown = api.ok("GET", f"/inference-pipelines/{pipeline['id']}")
    assert (shown["totalRecordsCount"], shown["dateLastSampleReceived"]) == (1, "2027-01-15T08:00:30.500000Z")


def test_every_threshold_must_hold(api: Api, threshold: Callable[..., Doc]) -> None:
    project = api.project()
    pipeline = api.pipeline(project)
    between = [threshold(value=2), threshold(operator="<", value=4)]
    inside, outside = (
        api.test(project, thresholds=between),
        api.test(project, thresholds=[*between, threshold(value=9)]),
    )
    api.stream(pipeline, rows_at(NINE, NINE, NINE), timestampColumnName="at")
    for test in (inside, outside):
        api.evaluate(test, NINE, NINE + 1)
    (passed,), (failed,) = api.results(inside), api.results(outside)
    assert (passed["status"], failed["status"]) == ("passing", "failing")
    assert passed["value"] == {"rowCount": 3.0}
    assert passed["expectedValues"] == [{"measurement": "rowCount", "lowerThreshold": 2.0, "upperThreshold": 4.0}]


@pytest.mark.parametrize(
    ("operator", "value", "status"),
    [
        ("is", 2, "passing"),
        ("is", 3, "failing"),
        ("!=", 2, "failing"),
        (">", 2, "failing"),
        (">=", 2, "passing"),
        ("<", 2, "failing"),
        ("<=", 2.0, "passing"),
        ("is", "2", "skipped"),
        ("is", ["2"], "skipped"),
    ],
)
def test_two_rows_compared(api: Api, threshold: Callable[..., Doc], operator: str, value: object, status: str) -> None:
    project = api.project()
    pipeline = api.pipeline(project)
    test = api.test(project, thresholds=[threshold(operator=operator, value=value)])
    api.stream(pipeline, rows_at(NINE, NINE), timestampColumnName="at")
    api.evaluate(test, NINE, NINE + 1)
    assert [result["status"] for result in api.results(test)] == [status]


def test_results_run_until_their_task_is_done_and_reading_them_brings_it_on(api: Api) -> None:
    project = api.project()
    pipeline, test = api.pipeline(project), api.test(project)
    api.stream(pipeline, rows_at(NINE), timestampColumnName="at")
    (task,) = api.evaluate(test, NINE, NINE + 1)["tasks"]
    assert task["pipelineId"] == pipeline["id"]
    (early,) = api.ok("GET", f"/tests/{test['id']}/results")["items"]
    assert (early["status"], early["value"]) == ("running", {})
    look = api.ok("GET", f"/background-tasks/{task['taskResultId']}")
    assert (look["progress"], look["complete"], look["error"]) == (100, True, None)
    (late,) = api.ok("GET", f"/tests/{test['id']}/results")["items"]
    assert (late["status"], late["value"]) == ("passing", {"rowCount": 1.0})


def test_windows_that_have_a_result_are_left_alone_unless_overwritten(api: Api) -> None:
    project = api.project()
    pipeline, test = api.pipeline(project), api.test(project)
    api.evaluate(test, NINE, NINE + 1)
    (stale,) = api.results(test)
    api.stream(pipeline, rows_at(NINE), timestampColumnName="at")
    api.evaluate(test, NINE, NINE + HOUR + 1)
    _, kept = api.results(test)
    assert (kept["id"], kept["status"]) == (stale["id"], "skipped")
    api.evaluate(test, NINE, NINE + 1, overwriteResults=True)
    _, fresh = api.results(test)
    assert (fresh["status"], fresh["value"]) == ("passing", {"rowCount": 1.0})
    assert fresh["id"] != stale["id"]


def test_a_test_is_evaluated_on_the_pipelines_it_applies_to(api: Api) -> None:
    project = api.project()
    one, two = api.pipeline(project), api.pipeline(project)
    everywhere = api.test(project)
    only_one = api.test(project, includePipelines=[one["id"]], defaultToAllPipelines=False)
    not_one = api.test(project, excludePipelines=[one["id"]])
    not_one_either = api.test(project, excludePipelines=[one["id"]], defaultToAllPipelines=False)
    nowhere = api.test(project, defaultToAllPipelines=False)

    def evaluated(test: Doc, **fields: str) -> list[str]:
        answer = api.evaluate(test, NINE, NINE + 1, **fields)
        assert answer["pipelineCount"] == len(answer["tasks"])
        return [task["pipelineId"] for task in answer["tasks"]]

    assert evaluated(everywhere) == [one["id"], two["id"]]
    assert evaluated(everywhere, inferencePipelineId=two["id"]) == [two["id"]]
    assert evaluated(only_one) == [one["id"]]
    assert evaluated(not_one) == evaluated(not_one_either) == [two["id"]]
    assert evaluated(nowhere) == []
    body = {"startTimestamp": NINE, "endTimestamp": NINE + 1, "inferencePipelineId": two["id"]}
    assert api.refused("POST", f"/tests/{only_one['id']}/evaluate", body)[0] == 422
    shown = api.ok("GET", f"/inference-pipelines/{one['id']}")
    assert (shown["totalGoalCount"], shown["status"]) == (2, "completed")


def test_a_project_without_pipelines_has_nothing_to_evaluate(api: Api) -> None:
    answer = api.evaluate(api.test(api.project()), NINE, NINE + 1)
    assert (answer["pipelineCount"], answer["tasks"]) == (0, [])


@pytest.mark.parametrize(
    "body",
    [
        {"startTimestamp": NINE},
        {"startTimestamp": NINE, "endTimestamp": NINE},
        {"startTimestamp": NINE, "endTimestamp": NINE - 1},
        {"startTimestamp": -1, "endTimestamp": NINE},
        {"startTimestamp": NINE * 1000, "endTimestamp": NINE * 1000 + 1},
        {"startTimestamp": 0, "endTimestamp": NINE},
        {"startTimestamp": float(NINE) + 0.5, "endTimestamp": NINE + 1},
        {"startTimestamp": NINE, "endTimestamp": NINE + 1, "pipelineId": "x"},
        {"startTimestamp": NINE, "endTimestamp": NINE + 1, "inferencePipelineId": "x"},
    ],
)
def test_a_bad_range_is_422(api: Api, body: Doc) -> None:
    project = api.project()
    api.pipeline(project)
    assert api.refused("POST", f"/tests/{api.test(project)['id']}/evaluate", body)[0] == 422


def test_a_development_test_can_not_be_evaluated(api: Api) -> None:
    test = api.test(api.project(), usesProductionData=False)
    body = {"startTimestamp": NINE, "endTimestamp": NINE + 1}
    status, error = api.refused("POST", f"/tests/{test['id']}/evaluate", body)
    assert (status, error) == (422, "Only monitoring tests can be evaluated; this one belongs to development.")


def test_results_keep_the_test_as_it_was(api: Api, threshold: Callable[..., Doc]) -> None:
    project = api.project()
    api.pipeline(project)
    test = api.test(project)
    api.evaluate(test, NINE, NINE + 1)
    api.ok("PUT", f"/tests/{test['id']}", {"thresholds": [threshold(value=7)]})
    (result,) = api.results(test)
    assert result["goalId"] == test["id"]
    assert result["goalSnapshot"]["thresholds"][0]["value"] == 1.0
    assert result["goal"]["thresholds"][0]["value"] == 7.0
    assert "includePipelines" not in result["goal"]


def test_results_are_filtered_by_time_status_and_pipeline(api: Api) -> None:
    project = api.project()
    one, two = api.pipeline(project), api.pipeline(project)
    test = api.test(project)
    api.stream(one, rows_at(NINE), timestampColumnName="at")
    api.evaluate(test, NINE, NINE + 2 * HOUR)
    assert len(api.results(test)) == 4
    assert len(api.results(test, status="passing,failing")) == 1
    assert len(api.results(test, inferencePipelineId=two["id"])) == 2
    assert len(api.results(test, startTimestamp=NINE + HOUR)) == 2
    assert len(api.results(test, endTimestamp=NINE + HOUR)) == 2
    assert len(api.results(test, perPage=3)) == 3
    assert api.refused("GET", f"/tests/{test['id']}/results", status="green")[0] == 422
    page = api.ok("GET", f"/tests/{test['id']}/results", status="skipped")
    assert page["lastUnskippedResult"]["status"] == "passing"


def test_a_pipeline_lists_the_latest_result_of_each_test(api: Api) -> None:
    """The SDK: "List the latest test results for an inference pipeline"; filters choose among these."""
    project = api.project()
    one, _ = api.pipeline(project), api.pipeline(project)
    tests = [api.test(project), api.test(project)]
    api.stream(one, rows_at(NINE), timestampColumnName="at")
    for test in tests:
        api.evaluate(test, NINE - HOUR, NINE + HOUR)
        assert len(api.results(test) + api.results(test)) == 8  # two looks, and it is done

    def listed(**query: str) -> list[str]:
        items = api.ok("GET", f"/inference-pipelines/{one['id']}/results", **query)["items"]
        assert {item["status"] for item in items} <= {"passing"}
        return sorted(item["goalId"] for item in items)

    assert listed() == listed(status="passing", type="integrity") == sorted(test["id"] for test in tests)
    assert listed(status="skipped") == listed(type="performance") == []


def test_a_pipeline_counts_the_newest_result_of_each_test(api: Api, threshold: Callable[..., Doc]) -> None:
    project = api.project()
    pipeline = api.pipeline(project)
    api.stream(pipeline, rows_at(NINE), timestampColumnName="at")
    passing, failing = api.test(project), api.test(project, thresholds=[threshold(value=2)])

    def counts() -> tuple[int, int, int]:
        shown = api.ok("GET", f"/inference-pipelines/{pipeline['id']}")
        return shown["passingGoalCount"], shown["failingGoalCount"], shown["totalGoalCount"]

    for test in (passing, failing):
        api.evaluate(test, NINE, NINE + 1)
        api.results(test)
    assert counts() == (1, 1, 2)
    api.evaluate(passing, NINE + HOUR, NINE + 2 * HOUR)
    api.results(passing)
    assert counts() == (0, 1, 2)


def test_rows_can_be_searched_mended_and_deleted(api: Api) -> None:
    pipeline = api.pipeline(api.project())
    rows: list[Doc] = [{"id": "a", "output": "yes", "score": 2}, {"id": "b", "output": "no", "score": 1}]
    api.stream(pipeline, rows, inferenceIdColumnName="id")
    path = f"/inference-pipelines/{pipeline['id']}/rows"

    def found(search: Doc, **query: object) -> list[str]:
        return [row["id"] for row in api.ok("POST", path, search, **query)["items"]]

    assert found({}, sortColumn="score", asc="true") == ["b", "a"]
    assert found({}, sortColumn="score", perPage=1) == ["a"]
    assert found({"columnFilters": [{"measurement": "score", "operator": ">", "value": 1}]}) == ["a"]
    assert found({"columnFilters": [{"measurement": "output", "operator": "one_of", "value": ["no"]}]}) == ["b"]
    assert found({"searchQueryOr": ["YES", "absent"]}) == ["a"]
    assert found({"notSearchQueryOr": ["yes"]}) == ["b"]
    assert found({"rowIdList": [1]}) == ["a"]
    assert api.refused("POST", path, {"filters": []})[0] == 422
    assert api.ok("PUT", path, {"row": {"score": 5}}, inferenceId="a") == {"success": True}
    assert api.ok("GET", f"{path}/a")["row"] == {"id": "a", "output": "yes", "score": 5}
    assert api("DELETE", f"{path}/a").status_code == 204
    assert api.refused("GET", f"{path}/a")[0] == 404
    assert api.refused("PUT", path, {"row": {}}, inferenceId="a")[0] == 404


def test_a_file_goes_up_and_comes_down_through_presigned_urls_without_a_key(api: Api) -> None:
    place = api.ok("POST", "/storage/presigned-url", objectName="reference data.tar.gz")
    api.key = None
    path = place["url"].removeprefix("http://emulator/v1")
    assert api("PUT", path, b"content").status_code == 200
    api.key = "any"
    url = api.ok("GET", "/storage/presigned-url", storageUri=place["storageUri"])["url"]
    api.key = None
    assert api("GET", url.removeprefix("http://emulator/v1")).content == b"content"
    api.key = "any"
    assert api.refused("GET", "/storage/presigned-url", storageUri="local://none")[0] == 404
    assert api.refused("POST", "/storage/presigned-url")[0] == 422
