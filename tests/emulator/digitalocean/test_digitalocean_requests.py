"""Requests are read strictly, and refused in the vendor's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.emulator.digitalocean.conftest import Account, Doc

Make = Callable[..., "Account"]
NOBODY = "00000000-0000-0000-0000-000000000000"


def test_a_request_without_a_bearer_is_401(account: Account) -> None:
    account.key = None
    assert account.refused("GET", "/workspaces") == (401, "unauthorized", "The request has no bearer token.")


def test_any_bearer_will_do_unless_the_emulator_was_given_a_key(make_account: Make) -> None:
    account = make_account(api_key="right")
    assert account.refused("GET", "/workspaces")[:2] == (401, "unauthorized")
    account.key = "right"
    assert account("GET", "/workspaces").status_code == 200


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/nothing"),
        ("GET", "/workspaces/"),
        ("GET", f"/workspaces/{NOBODY}"),
        ("PUT", f"/workspaces/{NOBODY}"),
        ("DELETE", f"/workspaces/{NOBODY}"),
        ("GET", f"/workspaces/{NOBODY}/agents"),
        ("PUT", f"/workspaces/{NOBODY}/agents"),
        ("GET", f"/workspaces/{NOBODY}/evaluation_test_cases"),
        ("GET", f"/agents/{NOBODY}"),
        ("GET", f"/agents/{NOBODY}/versions"),
        ("DELETE", f"/evaluation_datasets/{NOBODY}"),
        ("GET", f"/evaluation_datasets/{NOBODY}/download_url"),
        ("GET", f"/evaluation_test_cases/{NOBODY}"),
        ("PUT", f"/evaluation_test_cases/{NOBODY}"),
        ("GET", f"/evaluation_test_cases/{NOBODY}/evaluation_runs"),
        ("GET", f"/evaluation_runs/{NOBODY}"),
        ("GET", f"/evaluation_runs/{NOBODY}/results"),
        ("GET", f"/evaluation_runs/{NOBODY}/results/1"),
    ],
)
def test_what_does_not_exist_is_404(account: Account, method: str, path: str) -> None:
    assert account.refused(method, path)[:2] == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", "/evaluation_test_cases/x"),
        ("DELETE", "/evaluation_runs/x"),
        ("PUT", "/evaluation_runs/x"),
        ("GET", "/evaluation_runs"),
        ("GET", "/evaluation_datasets/x"),
        ("PUT", "/evaluation_datasets/x"),
        ("POST", "/agents"),
        ("PUT", "/agents/x"),
        ("POST", "/evaluation_metrics"),
    ],
)
def test_what_the_vendor_can_not_do_is_405(account: Account, method: str, path: str) -> None:
    assert account.refused(method, path)[:2] == (405, "method_not_allowed")


def test_a_body_that_is_no_json_is_400_and_none_is_422(account: Account) -> None:
    assert account.refused("POST", "/workspaces", b"{")[:2] == (400, "bad_request")
    assert account.refused("POST", "/workspaces")[:2] == (422, "unprocessable_entity")


@pytest.mark.parametrize(
    ("body", "problem"),
    [
        ({}, "name: Missing data for required field."),
        ({"name": ""}, "name: String should have at least 1 character"),
        ({"name": None}, "name: Field may not be null."),
        ({"name": "w", "description": None}, "description: Field may not be null."),
        ({"name": "w", "description": 1}, "description: Input should be a valid string"),
        ({"name": "w", "tags": []}, "tags: Unknown field."),
    ],
)
def test_a_wrong_workspace_is_422_by_field(account: Account, body: Doc, problem: str) -> None:
    assert account.refused("POST", "/workspaces", body) == (422, "unprocessable_entity", problem)


@pytest.mark.parametrize(
    ("path", "query"),
    [
        ("/workspaces", {"name": "x"}),
        ("/agents", {"page": 0}),
        ("/agents", {"per_page": "many"}),
        ("/agents", {"only_deployed": "perhaps"}),
        ("/evaluation_datasets", {"dataset_type": "CSV"}),
        ("/evaluation_metrics", {"scope": "AGENT"}),
    ],
)
def test_a_wrong_query_is_422(account: Account, path: str, query: Doc) -> None:
    assert account.refused("GET", path, **query)[:2] == (422, "unprocessable_entity")


# --- workspaces and agents -------------------------------------------------------------------------------------


def test_workspace_names_need_not_be_unique(account: Account) -> None:
    one, two = (account.workspace(name="twin") for _ in range(2))
    assert one["uuid"] != two["uuid"]


def test_what_is_not_sent_of_a_workspace_stays(account: Account) -> None:
    uuid = account.workspace(name="w", description="Kept")["uuid"]
    account.now += 60
    changed = account.ok("PUT", f"/workspaces/{uuid}", {"name": "v"})["workspace"]
    assert (changed["name"], changed["description"]) == ("v", "Kept")
    assert (changed["created_at"], changed["updated_at"]) == ("2027-01-15T08:00:00Z", "2027-01-15T08:01:00Z")


def test_another_uuid_in_the_body_than_in_the_path_is_422(account: Account) -> None:
    uuid = account.workspace()["uuid"]
    refused = account.refused("PUT", f"/workspaces/{uuid}", {"workspace_uuid": NOBODY})
    assert refused == (422, "unprocessable_entity", "workspace_uuid: Is not the one of the path.")


def test_a_workspace_that_holds_something_is_not_deleted(account: Account) -> None:
    agents = account.workspace(agent_uuids=[account.agents()["support-bot"]])["uuid"]
    cases = account.workspace()["uuid"]
    account.case(workspace_uuid=cases)
    for uuid in (agents, cases):
        assert account.refused("DELETE", f"/workspaces/{uuid}")[:2] == (409, "conflict")


def test_a_workspace_is_not_made_where_an_agent_of_it_does_not_exist(account: Account) -> None:
    assert account.refused("POST", "/workspaces", {"name": "w", "agent_uuids": [NOBODY]})[0] == 404
    assert [each["name"] for each in account.ok("GET", "/workspaces")["workspaces"]] == ["default"]


def test_an_agent_shows_its_workspace_version_and_secret_only_on_its_own(account: Account) -> None:
    listed = account.ok("GET", "/agents")["agents"][0]
    alone = account.ok("GET", f"/agents/{listed['uuid']}")["agent"]
    assert set(alone) - set(listed) == {"workspace", "version_hash", "api_keys"}
    assert alone["deployment"]["visibility"] == "VISIBILITY_PRIVATE"


def test_agents_come_in_pages(make_account: Make) -> None:
    agents = [{"name": f"a{number}"} for number in range(5)]
    account = make_account(seed={"workspaces": [{"name": "w", "agents": agents}]})
    page = account.ok("GET", "/agents", page=2, per_page=2)
    assert [agent["name"] for agent in page["agents"]] == ["a2", "a3"]
    assert page["meta"] == {"page": 2, "pages": 3, "total": 5}
    url = "http://emulator/v2/gen-ai/agents?page={}&per_page=2"
    links = {name: url.format(number) for name, number in (("first", 1), ("previous", 1), ("next", 3), ("last", 3))}
    assert page["links"] == {"pages": links}
    assert set(account.ok("GET", "/agents", page=3, per_page=2)["links"]["pages"]) == {"first", "previous"}


def test_a_single_page_has_no_links(account: Account) -> None:
    assert set(account.ok("GET", "/agents")) == {"agents", "meta"}


def test_a_page_has_twenty_items_unless_asked_otherwise_and_never_more_than_two_hundred(make_account: Make) -> None:
    agents = [{"name": f"a{number}"} for number in range(201)]
    account = make_account(seed={"workspaces": [{"name": "w", "agents": agents}]})
    assert len(account.ok("GET", "/agents")["agents"]) == 20
    assert len(account.ok("GET", "/agents", per_page=1000)["agents"]) == 200


def test_a_list_without_pages_ignores_the_page(account: Account) -> None:
    whole = account.ok("GET", "/evaluation_metrics")
    assert account.ok("GET", "/evaluation_metrics", page=7, per_page=1) == whole
    assert set(whole) == {"metrics"}


# --- metrics ---------------------------------------------------------------------------------------------------


def test_the_catalogue_has_what_a_client_can_get_wrong(account: Account) -> None:
    metrics = account.metrics()
    shown = {
        name: (m["metric_value_type"].removeprefix("METRIC_VALUE_TYPE_"), m["range_max"], m["inverted"])
        for name, m in metrics.items()
    }
    assert shown == {
        "Correctness (general hallucinations)": ("NUMBER", 100.0, False),
        "Ground Truth Faithfulness": ("PERCENTAGE", 100.0, False),
        "Instruction Following": ("NUMBER", 1.0, False),
        "PII Leaks": ("PERCENTAGE", 100.0, True),
        "Prompt Injection": ("NUMBER", 1.0, True),
        "Toxicity": ("STRING", 0.0, True),
        "Retrieved Context Relevance": ("NUMBER", 100.0, False),
        "Tone": ("STRING", 0.0, False),
        "Retrieved Chunk Usage": ("PERCENTAGE", 100.0, False),
        "Prompt Perplexity": ("NUMBER", 100.0, True),
    }
    deprecated = {name for name, metric in metrics.items() if metric["description"].startswith("Deprecated.")}
    assert deprecated == {"Tone", "Retrieved Chunk Usage", "Prompt Perplexity"}
