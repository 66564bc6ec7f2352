"""Requests are read strictly: what the vendor would refuse is refused, with its status and its error body."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.emulator.app import create_app

if TYPE_CHECKING:
    from tests.emulator.conftest import Api, Doc

CONFIG = {"timestampColumnName": "at"}


def test_a_request_without_a_bearer_is_401_whatever_the_key(api: Api) -> None:
    api.key = None
    assert api.refused("GET", "/projects") == (401, "The request has no bearer token.")


def test_any_bearer_will_do_unless_the_emulator_was_given_a_key(make_api: Callable[..., Api]) -> None:
    api = make_api(api_key="right")
    assert api.refused("GET", "/projects") == (401, "The API key is not valid.")
    api.key = "right"
    assert api("GET", "/projects").status_code == 200


def test_an_unknown_route_is_404_and_a_known_one_with_the_wrong_method_405(api: Api) -> None:
    assert api.refused("GET", "/nothing")[0] == 404
    assert api.refused("PUT", "/projects")[0] == 405
    project = f"/projects/{api.project()['id']}"
    assert api.refused("GET", project)[0] == 405
    assert api("GET", project).headers["Allow"] == "PATCH, DELETE"
    assert api.refused("DELETE", "/projects/")[0] == 404
    assert api("HEAD", "/projects").status_code == 200


def test_outside_of_the_vendors_there_is_nothing(api: Api) -> None:
    assert api("GET", "http://emulator/v3").status_code == 404


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PATCH", "/projects/none"),
        ("DELETE", "/projects/none"),
        ("GET", "/projects/none/tests"),
        ("GET", "/projects/none/inference-pipelines"),
        ("GET", "/projects/none/versions"),
        ("GET", "/inference-pipelines/none"),
        ("DELETE", "/inference-pipelines/none"),
        ("GET", "/inference-pipelines/none/results"),
        ("GET", "/tests/none"),
        ("DELETE", "/tests/none"),
        ("GET", "/tests/none/results"),
        ("GET", "/versions/none"),
        ("GET", "/versions/none/results"),
        ("GET", "/background-tasks/none"),
        ("GET", "/workspaces/none"),
    ],
)
def test_an_unknown_id_is_404(api: Api, method: str, path: str) -> None:
    assert api.refused(method, path, {} if method == "PATCH" else None)[0] == 404


@pytest.mark.parametrize("body", [b"{", b"[NaN]", b"1e999", b"9" * 400, b"\xff", b'["\\ud800"]'])
def test_a_body_that_is_no_json_is_400(api: Api, body: bytes) -> None:
    assert api.refused("POST", "/projects", body) == (400, "The request body is not valid JSON.")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        (None, "The request has no body."),
        ({"taskType": "llm-base"}, "name: Missing data for required field."),
        ({"name": "p"}, "taskType: Missing data for required field."),
        ({"name": "p", "taskType": "llm"}, "taskType: Input should be 'llm-base'"),
        ({"name": "", "taskType": "llm-base"}, "name: String should have at least 1 character"),
        ({"name": "p" * 65, "taskType": "llm-base"}, "name: String should have at most 64 characters"),
        ({"name": 1, "taskType": "llm-base"}, "name: Input should be a valid string"),
        ({"name": None, "taskType": "llm-base"}, "name: Field may not be null."),
        ({"name": "p", "task_type": "llm-base", "taskType": "llm-base"}, "task_type: Unknown field."),
        ({"name": "p", "taskType": "llm-base", "dataRetentionDays": 2}, "dataRetentionDays: Input should be greater"),
        ({"name": "p", "taskType": "llm-base", "dataRetentionDays": "9"}, "dataRetentionDays: Input should be a valid"),
    ],
)
def test_a_bad_project_is_422_and_names_the_field(api: Api, body: object, problem: str) -> None:
    status, error = api.refused("POST", "/projects", body)
    assert status == 422
    assert error.startswith(problem)
    assert api.ok("GET", "/projects")["items"] == []


def test_every_problem_of_a_body_is_named_at_once(api: Api) -> None:
    _, error = api.refused("POST", "/projects", {"name": 1, "kind": "llm"})
    assert error == (
        "name: Input should be a valid string; taskType: Missing data for required field.; kind: Unknown field."
    )


def test_a_project_keeps_its_task_type(api: Api) -> None:
    project = api.project()
    refusal = api.refused("PATCH", f"/projects/{project['id']}", {"taskType": "tabular-regression"})
    assert refusal == (422, "taskType: Unknown field.")


def test_a_name_is_taken_once_in_a_workspace_and_once_in_a_project(api: Api) -> None:
    one, two = api.project(name="one"), api.project(name="two")
    assert api.refused("POST", "/projects", {"name": "one", "taskType": "llm-base"}) == (
        409,
        'A project named "one" already exists.',
    )
    assert api.refused("PATCH", f"/projects/{two['id']}", {"name": "one"})[0] == 409
    pipeline = api.pipeline(one, name="production")
    api.pipeline(two, name="production")
    body = {"name": "production", "description": ""}
    assert api.refused("POST", f"/projects/{one['id']}/inference-pipelines", body)[0] == 409
    canary = api.pipeline(one, name="canary")
    assert api.refused("PUT", f"/inference-pipelines/{canary['id']}", {"name": "production"})[0] == 409
    assert api.ok("PUT", f"/inference-pipelines/{pipeline['id']}", {"name": "production"})["name"] == "production"


def test_a_patch_changes_what_it_sends_and_null_clears(api: Api) -> None:
    project = api.project(description="old", purpose="chat", modelTypes=["b", "a"])
    api.now += 60
    changed = api.ok("PATCH", f"/projects/{project['id']}", {"description": None, "dataRetentionDays": 30})
    assert (changed["description"], changed["dataRetentionDays"]) == (None, 30)
    assert (changed["purpose"], changed["modelTypes"]) == ("chat", ["b", "a"])
    assert changed["dateUpdated"] > changed["dateCreated"] == project["dateCreated"]


def test_deleting_a_project_takes_everything_in_it_along(api: Api) -> None:
    project = api.project()
    pipeline, test = api.pipeline(project), api.test(project)
    api.stream(pipeline, [{"output": "x"}])
    api.evaluate(test, api.now, api.now + 1)
    assert api("DELETE", f"/projects/{project['id']}").status_code == 204
    assert api("GET", f"/inference-pipelines/{pipeline['id']}").status_code == 404
    assert api("GET", f"/tests/{test['id']}").status_code == 404
    assert api("DELETE", f"/projects/{project['id']}").status_code == 404


WAREHOUSES: list[Doc] = [
    {"backendType": "bigquery", "bigqueryConnectionId": None, "projectId": "p", "datasetId": "d", "tableId": None},
    {"backendType": "snowflake", "snowflakeConnectionId": None, "database": "d", "schema": "s", "table": None},
    {"backendType": "databricks_dtl", "databricksDtlConnectionId": "c", "tableId": "t"},
    {"backendType": "redshift", "redshiftConnectionId": None, "schemaName": "s", "tableName": "t"},
    {"backendType": "postgres", "postgresConnectionId": None, "database": "d", "schema": "s", "table": "t"},
]


@pytest.mark.parametrize("backend", WAREHOUSES, ids=lambda backend: backend["backendType"])
def test_a_warehouse_needs_every_key_and_a_config_that_is_never_shown(api: Api, backend: Doc) -> None:
    project = api.project()
    pipeline = api.pipeline(project, dataBackend={**backend, "config": CONFIG | {"latencyColumnName": None}})
    assert pipeline["dataBackend"] == backend
    path = f"/projects/{project['id']}/inference-pipelines"
    for missing in (*(key for key in backend if key != "backendType"), "config"):
        incomplete = {key: value for key, value in {**backend, "config": CONFIG}.items() if key != missing}
        status, error = api.refused("POST", path, {"name": "x", "description": None, "dataBackend": incomplete})
        assert (status, error) == (
            422,
            f"dataBackend.{backend['backendType']}.{missing}: Missing data for required field.",
        )


def test_a_pipeline_without_backend_reads_back_as_the_default_one(api: Api) -> None:
    pipeline = api.pipeline(api.project())
    assert pipeline["dataBackend"] == {"backendType": "default"}
    assert pipeline["status"] == "queued"


def test_a_pipeline_must_say_its_description_even_if_null(api: Api) -> None:
    path = f"/projects/{api.project()['id']}/inference-pipelines"
    assert api.refused("POST", path, {"name": "p"}) == (422, "description: Missing data for required field.")


def test_the_reference_dataset_is_written_and_never_shown(api: Api) -> None:
    pipeline = api.pipeline(api.project(), description="kept")
    path = f"/inference-pipelines/{pipeline['id']}"
    changed = api.ok("PUT", path, {"referenceDatasetUri": "s3://bucket/reference.tar.gz"})
    assert "referenceDatasetUri" not in changed
    assert changed["description"] == "kept"
    assert api.refused("PUT", path, {"dataBackend": {"backendType": "default"}}) == (422, "dataBackend: Unknown field.")


def test_a_pipeline_shows_its_parents_when_asked(api: Api) -> None:
    project = api.project(name="parent")
    path = f"/inference-pipelines/{api.pipeline(project)['id']}"
    expanded = api.ok("GET", path, expand="project,workspace")
    assert expanded["project"]["name"] == "parent"
    assert expanded["workspace"]["projectCount"] == 1
    assert "project" not in api.ok("GET", path)
    assert api.refused("GET", path, expand="tests")[0] == 422
    assert api.ok("GET", f"/workspaces/{project['workspaceId']}")["status"] == "active"


def one(**fields: Any) -> Doc:
    return {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 1, **fields}


def without(body: Doc, key: str) -> Doc:
    return {name: value for name, value in body.items() if name != key}


@pytest.mark.parametrize("key", ["name", "description", "type", "subtype", "thresholds"])
def test_a_test_must_say_five_things(api: Api, row_count: Callable[..., Doc], key: str) -> None:
    path = f"/projects/{api.project()['id']}/tests"
    assert api.refused("POST", path, without(row_count(), key)) == (422, f"{key}: Missing data for required field.")


@pytest.mark.parametrize(
    ("fields", "problem"),
    [
        ({"type": "fairness"}, "type: Input should be 'integrity', 'consistency' or 'performance'"),
        ({"evaluationWindow": 3599}, "evaluationWindow: Input should be greater than or equal to 3600"),
        ({"evaluationWindow": 2_419_201}, "evaluationWindow: Input should be less than or equal to 2419200"),
        ({"evaluationWindow": "1h"}, "evaluationWindow: Input should be a valid number"),
        ({"delayWindow": -1}, "delayWindow: Input should be greater than or equal to 0"),
        ({"usesMlModel": "true"}, "usesMlModel: Input should be a valid boolean"),
        ({"suggested": True}, "suggested: Unknown field."),
        ({"mode": "monitoring"}, "mode: Unknown field."),
        ({"includePipelines": ["x"], "defaultToAllPipelines": True}, "includePipelines: defaultToAllPipelines must be"),
        ({"includePipelines": ["x"]}, "includePipelines: there is no inference pipeline x in this project."),
        ({"excludePipelines": ["x"]}, "excludePipelines: there is no inference pipeline x in this project."),
        ({"thresholds": [one(operator="==")]}, "thresholds.0.operator: Input should be 'is', '>'"),
        ({"thresholds": [one(value=None)]}, "thresholds.0.value: Missing data for required field."),
        ({"thresholds": [one(value={})]}, "thresholds.0.value: Must be a number, a boolean, a string or a list"),
        ({"thresholds": [one(value=[1])]}, "thresholds.0.value: Must be a number, a boolean, a string or a list"),
        ({"thresholds": [one(), one(insightParameters=None)]}, "thresholds.1.insightParameters: Field may not be null"),
        ({"thresholds": [one(insightParameters=[])]}, "thresholds.0.insightParameters: List should have at least 1"),
        ({"thresholds": [one(insightParameters={"a": 1})]}, "thresholds.0.insightParameters: Input should be a valid"),
        ({"thresholds": [one(insightParameters=[{"name": "a"}])]}, "thresholds.0.insightParameters.0.value: Missing"),
        ({"thresholds": [one(mode="manual")]}, "thresholds.0.mode: Unknown field."),
        ({"thresholds": [one(thresholdMode="auto")]}, "thresholds.0.thresholdMode: Input should be"),
        ({"thresholds": [without(one(), "insightName")]}, "thresholds.0.insightName: Missing data"),
    ],
)
def test_a_bad_test_is_422_and_names_the_field(
    api: Api, row_count: Callable[..., Doc], fields: Doc, problem: str
) -> None:
    project = api.project()
    status, error = api.refused("POST", f"/projects/{project['id']}/tests", row_count(**fields))
    assert status == 422
    assert error.startswith(problem)
    assert api.ok("GET", f"/projects/{project['id']}/tests")["items"] == []


def test_contains_pii_wants_exactly_its_two_parameters(api: Api, row_count: Callable[..., Doc]) -> None:
    path = f"/projects/{api.project()['id']}/tests"
    column = {"name": "column_name", "value": "openlayer_output"}
    limit = {"insightName": "containsPii", "measurement": "containsPIIRowCount", "operator": "<=", "value": 0}
    body = row_count(subtype="containsPii", thresholds=[{**limit, "insightParameters": [column]}])
    assert api.refused("POST", path, body) == (
        422,
        "thresholds.0.insightParameters: Length must be 2: pii_type and column_name.",
    )
    both = [{"name": "pii_type", "value": ["EMAIL_ADDRESS"]}, column]
    test = api.ok("POST", path, body | {"thresholds": [{**limit, "insightParameters": both}]})
    assert test["thresholds"][0]["insightParameters"] == both
    for change in ({"thresholds": [limit]}, {"thresholds": [{**limit, "insightParameters": [column]}]}):
        assert api.refused("PUT", f"/tests/{test['id']}", change)[0] == 422


def test_a_test_reads_back_with_what_the_server_filled_in(api: Api) -> None:
    test = api.test(api.project())
    assert test["thresholds"] == [
        {
            "insightName": "metrics",
            "insightParameters": None,
            "measurement": "rowCount",
            "operator": ">=",
            "value": 1.0,
            "thresholdMode": "manual",
        }
    ]
    assert isinstance(test["thresholds"][0]["value"], float)
    assert (test["evaluationWindow"], test["delayWindow"]) == (3600.0, 0.0)
    assert (test["defaultToAllPipelines"], test["includePipelines"], test["excludePipelines"]) == (True, [], [])
    assert (test["archived"], test["dateArchived"], test["suggested"]) == (False, None, False)
    development = api.test(api.project(), usesProductionData=False)
    assert (development["evaluationWindow"], development["delayWindow"]) == (None, None)


@pytest.mark.parametrize("value", [0.5, True, False, "a", ["b", "a"]])
def test_every_kind_of_threshold_value_round_trips(api: Api, threshold: Callable[..., Doc], value: object) -> None:
    test = api.test(api.project(), thresholds=[threshold(value=value)])
    assert test["thresholds"][0]["value"] == value
    assert type(test["thresholds"][0]["value"]) is type(value)


@pytest.mark.parametrize("description", [None, "", "text [op:k3v9]", {}, {"type": "doc", "content": []}])
def test_a_description_round_trips_whatever_it_is(api: Api, description: object) -> None:
    test = api.test(api.project(), description=description)
    assert api.ok("GET", f"/tests/{test['id']}")["description"] == description


def test_pipelines_are_targeted_as_a_set(api: Api, row_count: Callable[..., Doc]) -> None:
    project = api.project()
    ids = sorted((api.pipeline(project)["id"], api.pipeline(project)["id"]))
    test = api.test(project, includePipelines=[ids[1], ids[0], ids[1]], defaultToAllPipelines=False)
    assert test["includePipelines"] == ids
    assert test["defaultToAllPipelines"] is False
    foreign = api.pipeline(api.project())["id"]
    body = row_count(includePipelines=[foreign], defaultToAllPipelines=False)
    assert api.refused("POST", f"/projects/{project['id']}/tests", body)[0] == 422


def test_a_deleted_pipeline_is_targeted_no_longer(api: Api) -> None:
    project = api.project()
    gone, kept = api.pipeline(project), api.pipeline(project)
    test = api.test(project, includePipelines=[gone["id"], kept["id"]], defaultToAllPipelines=False)
    assert api("DELETE", f"/inference-pipelines/{gone['id']}").status_code == 204
    assert api.ok("GET", f"/tests/{test['id']}")["includePipelines"] == [kept["id"]]


def test_a_batch_changes_names_thresholds_and_archiving_at_once(api: Api, threshold: Callable[..., Doc]) -> None:
    project = api.project()
    first, second = api.test(project), api.test(project)
    payloads = [
        {"id": first["id"], "name": "Renamed", "thresholds": [threshold(value=5)], "description": "why"},
        {"id": second["id"], "archived": True, "suggested": False},
    ]
    answer = api.ok("PUT", f"/projects/{project['id']}/tests", {"payloads": payloads})
    assert set(answer) == {"taskResultId", "taskResultUrl"}
    assert answer["taskResultUrl"] == f"http://emulator/v1/background-tasks/{answer['taskResultId']}"
    changed = api.ok("GET", f"/tests/{first['id']}")
    assert (changed["name"], changed["description"], changed["thresholds"][0]["value"]) == ("Renamed", "why", 5.0)
    archived = api.ok("GET", f"/tests/{second['id']}")
    assert (archived["archived"], archived["dateArchived"]) == (True, "2027-01-15T08:00:00Z")
    looks = [api.ok("GET", f"/background-tasks/{answer['taskResultId']}") for _ in range(3)]
    assert [(look["progress"], look["complete"]) for look in looks] == [(50, False), (100, True), (100, True)]
    api.ok("PUT", f"/projects/{project['id']}/tests", {"payloads": [{"id": second["id"], "archived": False}]})
    assert api.ok("GET", f"/tests/{second['id']}")["dateArchived"] is None


@pytest.mark.parametrize(
    ("bad", "problem"),
    [
        ({"type": "performance"}, "payloads.1.type: Unknown field."),
        ({"evaluationWindow": 7200}, "payloads.1.evaluationWindow: Unknown field."),
        ({"suggested": True}, "payloads.1.suggested: Input should be False"),
        ({"archived": None}, "payloads.1.archived: Field may not be null."),
        ({"thresholds": [{"value": 1}]}, "payloads.1.thresholds.0.insightName: Missing data for required field."),
        ({"id": "other"}, "payloads.1.id: there is no test other in this project."),
    ],
)
def test_a_batch_with_one_bad_item_changes_nothing(api: Api, bad: Doc, problem: str) -> None:
    project = api.project()
    good, other = api.test(project), api.test(project)
    payloads = [{"id": good["id"], "name": "Changed"}, {"id": other["id"], **bad}]
    status, error = api.refused("PUT", f"/projects/{project['id']}/tests", {"payloads": payloads})
    assert status == 422
    assert error.startswith(problem)
    assert api.ok("GET", f"/tests/{good['id']}")["name"] == "Rows arrive"


def test_a_batch_takes_payloads_and_no_tests(api: Api) -> None:
    project = api.project()
    path = f"/projects/{project['id']}/tests"
    assert api.refused("PUT", path, {"payloads": []})[0] == 422
    tests = {"tests": [api.test(project)]}
    assert api.refused("PUT", path, tests) == (
        422,
        "payloads: Missing data for required field.; tests: Unknown field.",
    )


def test_one_test_can_be_paused_changed_and_deleted(api: Api, threshold: Callable[..., Doc]) -> None:
    test = api.test(api.project())
    path = f"/tests/{test['id']}"
    changed = api.ok("PUT", path, {"paused": True, "thresholds": [threshold(operator="!=", value=3)]})
    assert (changed["paused"], changed["thresholds"][0]["operator"]) == (True, "!=")
    assert api.refused("PUT", path, {"subtype": "isJson"}) == (422, "subtype: Unknown field.")
    assert api("DELETE", path).status_code == 204
    assert api("GET", path).status_code == 404


@pytest.mark.parametrize(
    ("task_type", "config", "problem"),
    [
        ("llm-base", {}, "config.outputColumnName: Missing data for required field."),
        ("llm-base", {"outputColumnName": "o", "classNames": ["a"]}, "config.classNames: Unknown field."),
        ("text-classification", {"labelColumnName": "l"}, "config.classNames: Missing data for required field."),
        ("tabular-classification", {"classNames": ["a"]}, "config.categoricalFeatureNames: Missing data"),
        ("tabular-regression", {"outputColumnName": "o"}, "config.outputColumnName: Unknown field."),
    ],
)
def test_rows_come_with_the_config_of_their_task_type(api: Api, task_type: str, config: Doc, problem: str) -> None:
    pipeline = api.pipeline(api.project(taskType=task_type))
    path = f"/inference-pipelines/{pipeline['id']}/data-stream"
    status, error = api.refused("POST", path, {"config": config, "rows": []})
    assert status == 422
    assert error.startswith(problem)


@pytest.mark.parametrize("at", ["now", True, None, 1_800_000_000_000])
def test_a_time_is_in_seconds(api: Api, at: object) -> None:
    path = f"/inference-pipelines/{api.pipeline(api.project())['id']}/data-stream"
    body = {"config": {"outputColumnName": "o", "timestampColumnName": "at"}, "rows": [{"o": "x", "at": at}]}
    assert api.refused("POST", path, body) == (422, "rows.0.at: Must be a UNIX timestamp in seconds.")
    assert api.ok("POST", f"{path.removesuffix('data-stream')}rows", {})["items"] == []


def test_there_are_two_dialects() -> None:
    with pytest.raises(ValueError, match='there is no dialect "old"'):
        create_app(dialect="old")
