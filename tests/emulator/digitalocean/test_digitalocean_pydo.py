"""The vendor's own client, pydo, drives every operation that we use, over a socket."""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest

from reconciler.emulator.app import create_app
from reconciler.emulator.faults import FaultScript
from reconciler.emulator.server import running

NOON = 1_800_000_000.0
CSV = b"query,expected_response\nWhere is my order?,It is on its way\n"
NOBODY = "00000000-0000-0000-0000-000000000000"


class Pydo:
    """The client's operations over http, which it has to be allowed call by call; without its retries.

    Every key of an answer must be one that the client's documentation of the operation has.
    """

    def __init__(self, url: str, token: str = "secret") -> None:
        from pydo import Client

        self._operations = Client(token=token, endpoint=url).genai

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = getattr(self._operations, name)
        documented = set(re.findall(r'"(\w+)":', inspect.getdoc(operation) or ""))

        def call(*args: object, **options: object) -> Any:
            answer = operation(*args, enforce_https=False, **{"retry_total": 0, **options})
            assert keys(answer) - documented == set()
            return answer

        return call


def keys(value: object) -> set[str]:
    """All keys in a JSON value, however deep."""
    if isinstance(value, list):
        return {key for item in value for key in keys(item)}
    return {key for name, item in value.items() for key in {name} | keys(item)} if isinstance(value, dict) else set()


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    with running(create_app(api_key="secret", now=lambda: NOON)) as url:
        yield url


@pytest.fixture(scope="module")
def pydo(url: str) -> Pydo:
    return Pydo(url)


@pytest.fixture
def dataset(pydo: Pydo, request: pytest.FixtureRequest) -> str:
    """The three steps of an upload."""
    files = [{"file_name": "rows.csv", "file_size": str(len(CSV))}]
    (upload,) = pydo.create_evaluation_dataset_file_upload_presigned_urls({"files": files})["uploads"]
    assert httpx.put(upload["presigned_url"], content=CSV, headers={"Content-Type": "text/csv"}).status_code == 200
    stored = {"original_file_name": "rows.csv", "stored_object_key": upload["object_key"], "size_in_bytes": len(CSV)}
    answer = pydo.create_evaluation_dataset({"name": request.node.name, "file_upload_dataset": stored})
    return str(answer["evaluation_dataset_uuid"])


@pytest.fixture
def case(pydo: Pydo, dataset: str) -> str:
    """A test case in the workspace that every account has."""
    metric = pydo.list_evaluation_metrics()["metrics"][0]["metric_uuid"]
    body = {
        "name": "Answers are right",
        "description": "",
        "dataset_uuid": dataset,
        "metrics": [metric],
        "star_metric": {"metric_uuid": metric, "success_threshold": 90},
        "workspace_uuid": pydo.list_workspaces()["workspaces"][0]["uuid"],
    }
    return str(pydo.create_evaluation_test_case(body)["test_case_uuid"])


def test_workspaces(pydo: Pydo) -> None:
    created = pydo.create_workspace({"name": "one", "description": "First"})["workspace"]
    assert (created["name"], created["description"], created["agents"]) == ("one", "First", [])
    uuid = created["uuid"]
    assert pydo.update_workspace(uuid, {"name": "two", "workspace_uuid": uuid})["workspace"]["name"] == "two"
    assert pydo.get_workspace(uuid)["workspace"]["description"] == "First"
    assert uuid in [each["uuid"] for each in pydo.list_workspaces()["workspaces"]]
    assert pydo.delete_workspace(uuid) == {"workspace_uuid": uuid}
    assert pydo.get_workspace(uuid)["id"] == "not_found"


def test_agents(pydo: Pydo) -> None:
    home = pydo.list_workspaces()["workspaces"][0]["uuid"]
    listed = pydo.list_agents(only_deployed=True, page=1, per_page=50)
    names = {each["name"]: each["uuid"] for each in listed["agents"]}
    assert set(names) == {"support-bot", "support-bot-canary"}
    agent = pydo.get_agent(names["support-bot"])["agent"]
    assert (agent["workspace"]["uuid"], agent["deployment"]["status"]) == (home, "STATUS_RUNNING")
    (version,) = pydo.list_agent_versions(agent["uuid"])["agent_versions"]
    assert (version["version_hash"], version["currently_applied"]) == (agent["version_hash"], True)
    other = pydo.create_workspace({"name": "other"})["workspace"]["uuid"]
    moved = pydo.update_agents_workspace(other, {"agent_uuids": [agent["uuid"]]})["workspace"]
    assert [each["uuid"] for each in moved["agents"]] == [agent["uuid"]]
    assert [each["uuid"] for each in pydo.list_agents_by_workspace(other)["agents"]] == [agent["uuid"]]
    pydo.update_agents_workspace(home, {"agent_uuids": [agent["uuid"]], "workspace_uuid": home})
    assert pydo.list_agents_by_workspace(other)["agents"] == []


def test_datasets(pydo: Pydo, dataset: str) -> None:
    (shown,) = [
        each for each in pydo.list_evaluation_datasets()["evaluation_datasets"] if each["dataset_uuid"] == dataset
    ]
    assert (shown["file_size"], shown["row_count"], shown["has_ground_truth"]) == (str(len(CSV)), 1, True)
    url = pydo.get_evaluation_dataset_download_url(dataset)["download_url"]
    assert httpx.get(url).content == CSV
    assert pydo.delete_evaluation_dataset(dataset) == {}
    assert pydo.delete_evaluation_dataset(dataset)["id"] == "not_found"


def test_test_cases(pydo: Pydo, case: str, dataset: str) -> None:
    first = pydo.get_evaluation_test_case(case)["evaluation_test_case"]
    assert (first["name"], first["version"], first["dataset"]["dataset_uuid"]) == ("Answers are right", 1, dataset)
    uuids = [each["metric_uuid"] for each in pydo.list_evaluation_metrics()["metrics"][:2]]
    changes = {
        "name": "Answers are better",
        "metrics": {"metric_uuids": uuids},
        "star_metric": {"metric_uuid": uuids[1], "success_threshold": 0.85},
    }
    assert pydo.update_evaluation_test_case(case, changes) == {"test_case_uuid": case, "version": 2}
    second = pydo.get_evaluation_test_case(case)["evaluation_test_case"]
    assert ([each["metric_uuid"] for each in second["metrics"]], second["version"]) == (uuids, 2)
    old = pydo.get_evaluation_test_case(case, evaluation_test_case_version=1)["evaluation_test_case"]
    assert (old["name"], old["version"]) == ("Answers are right", 1)
    workspace = pydo.list_workspaces()["workspaces"][0]["uuid"]
    for listed in (pydo.list_evaluation_test_cases(), pydo.list_evaluation_test_cases_by_workspace(workspace)):
        assert case in [each["test_case_uuid"] for each in listed["evaluation_test_cases"]]


def test_runs(pydo: Pydo, case: str) -> None:
    agents = {each["name"]: each["uuid"] for each in pydo.list_agents(only_deployed=True)["agents"]}
    body = {"test_case_uuid": case, "agent_uuids": list(agents.values()), "run_name": "nightly"}
    runs = pydo.run_evaluation_test_case(body)["evaluation_run_uuids"]
    looks = [[pydo.get_evaluation_run(run)["evaluation_run"] for _ in range(4)] for run in runs]
    verdicts = {look[-1]["agent_name"]: (look[-1]["status"], look[-1]["pass_status"]) for look in looks}
    assert verdicts == {
        "support-bot": ("EVALUATION_RUN_SUCCESSFUL", True),
        "support-bot-canary": ("EVALUATION_RUN_SUCCESSFUL", False),
    }
    page = pydo.get_evaluation_run_results(runs[0], page=1, per_page=10)
    (prompt,) = page["prompts"]
    assert (prompt["input"], prompt["ground_truth"]) == ("Where is my order?", "It is on its way")
    assert pydo.get_evaluation_run_prompt_results(runs[0], 1)["prompt"] == prompt
    listed = pydo.list_evaluation_runs_by_test_case(case, evaluation_test_case_version=1)["evaluation_runs"]
    assert {each["evaluation_run_uuid"] for each in listed} == set(runs)
    assert pydo.list_evaluation_runs_by_test_case(case, evaluation_test_case_version=2) == {"evaluation_runs": []}


def test_refusals_are_the_errors_the_client_knows(pydo: Pydo, url: str) -> None:
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError

    assert pydo.get_evaluation_run(NOBODY)["id"] == "not_found"
    with pytest.raises(ClientAuthenticationError):
        Pydo(url, token="wrong").list_workspaces()
    with pytest.raises(HttpResponseError) as refused:
        pydo.create_workspace({"name": ""})
    assert refused.value.status_code == 422


def test_the_clients_own_retries_start_a_run_twice_when_a_503_lies() -> None:
    """Why runs must be started without automatic retries."""
    script = FaultScript.from_json(
        [{"method": "POST", "path": "*/workspaces", "nth": 1, "action": "status", "status": 503, "when": "after"}]
    )
    with running(create_app(faults=script)) as url:
        pydo = Pydo(url)
        pydo.create_workspace({"name": "twin"}, retry_total=1, retry_backoff_factor=0)
        assert [each["name"] for each in pydo.list_workspaces()["workspaces"]] == ["default", "twin", "twin"]
