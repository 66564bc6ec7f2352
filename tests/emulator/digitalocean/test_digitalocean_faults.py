"""A fault script breaks this vendor's requests too, in this vendor's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import httpx
import pytest

from reconciler.emulator.server import running

if TYPE_CHECKING:
    from tests.emulator.digitalocean.conftest import Account, Doc

Make = Callable[..., "Account"]
API = "/v2/gen-ai"


def names(account: Account, **query: int) -> list[str]:
    return [each["name"] for each in account.ok("GET", "/workspaces", **query)["workspaces"]]


def test_a_run_can_be_started_although_the_answer_is_503(make_account: Make) -> None:
    rule = {"method": "POST", "path": f"{API}/evaluation_runs", "action": "status", "status": 503, "when": "after"}
    account = make_account(faults=[rule])
    case = account.case()
    body = {"test_case_uuid": case, "agent_uuids": [account.agents()["support-bot"]], "run_name": "op-1"}
    assert account.refused("POST", "/evaluation_runs", body)[:2] == (503, "service_unavailable")
    (run,) = account.ok("GET", f"/evaluation_test_cases/{case}/evaluation_runs")["evaluation_runs"]
    assert run["run_name"] == "op-1"


def test_an_answer_can_be_lost_after_the_write(make_account: Make) -> None:
    account = make_account(faults=[{"method": "POST", "path": f"{API}/workspaces", "action": "drop-after"}])
    headers = {"Authorization": "Bearer k"}
    with running(account.app) as url, pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{url}{API}/workspaces", json={"name": "lost"}, headers=headers)
    assert names(account) == ["default", "lost"]


def test_an_upload_can_fail(make_account: Make) -> None:
    account = make_account(faults=[{"method": "PUT", "path": "/spaces/*", "nth": 1, "action": "refuse-before"}])
    body = {"files": [{"file_name": "rows.csv", "file_size": 5}]}
    (upload,) = account.ok("POST", "/evaluation_datasets/file_upload_presigned_urls", body)["uploads"]
    answers = [account.send("PUT", upload["presigned_url"], content=b"query").status_code for _ in range(2)]
    assert answers == [503, 200]


def lagging(path: str) -> list[Doc]:
    """Whatever is created there is missing from the next list."""
    return [{"method": "POST", "path": f"{API}{path}", "action": "lag"}]


def test_a_new_workspace_lags_behind_in_lists(make_account: Make) -> None:
    account = make_account(faults=lagging("/workspaces"))
    account.workspace(name="late")
    assert [names(account), names(account)] == [["default"], ["default", "late"]]


def test_new_datasets_test_cases_and_runs_lag_behind_in_lists(make_account: Make) -> None:
    account = make_account(faults=lagging("/evaluation_*"))
    account.dataset()
    datasets = [len(account.ok("GET", "/evaluation_datasets")["evaluation_datasets"]) for _ in range(2)]
    case = account.case()
    cases = [len(account.ok("GET", "/evaluation_test_cases")["evaluation_test_cases"]) for _ in range(2)]
    account.start(case, "support-bot", "support-bot-canary")
    path = f"/evaluation_test_cases/{case}/evaluation_runs"
    runs = [len(account.ok("GET", path)["evaluation_runs"]) for _ in range(2)]
    assert (datasets, cases, runs) == ([0, 1], [0, 1], [0, 2])


def test_pages_can_be_clamped_stripped_and_repeated(make_account: Make) -> None:
    shapes: list[Doc] = [{"action": "clamp-page", "perPage": 2}, {"action": "no-meta"}, {"action": "repeat-items"}]
    account = make_account(faults=[{"method": "GET", "path": f"{API}/agents", **shape} for shape in shapes])
    pages = [account.ok("GET", "/agents", page=number, per_page=100) for number in (1, 2)]
    assert [[agent["name"] for agent in page["agents"]] for page in pages] == [
        ["support-bot", "support-bot-canary"],
        ["support-bot-canary", "support-bot-draft"],
    ]
    assert [set(page) for page in pages] == [{"agents"}, {"agents"}]


def test_a_list_without_pages_is_not_clamped(make_account: Make) -> None:
    account = make_account(faults=[{"method": "GET", "action": "clamp-page"}])
    account.workspace(name="second")
    assert names(account) == ["default", "second"]


def test_faults_in_lists_leave_a_file_as_it_is(make_account: Make) -> None:
    account = make_account(faults=[{"method": "GET", "action": "no-meta"}])
    url = account.ok("GET", f"/evaluation_datasets/{account.dataset()}/download_url")["download_url"]
    assert account.send("GET", url).content.startswith(b"query,expected_response\n")


@pytest.mark.parametrize(
    ("action", "statuses"),
    [
        ("task-never", ["QUEUED", "RUNNING_DATASET", "RUNNING_DATASET", "RUNNING_DATASET"]),
        ("task-fails", ["QUEUED", "RUNNING_DATASET", "EVALUATING_RESULTS", "FAILED"]),
    ],
)
def test_a_run_can_hang_or_fail(make_account: Make, action: str, statuses: list[str]) -> None:
    account = make_account(faults=[{"path": "*/evaluation_runs", "method": "POST", "action": action}])
    (run,) = account.start(account.case())
    looks = [account.look(run) for _ in range(4)]
    assert [look["status"].removeprefix("EVALUATION_RUN_") for look in looks] == statuses
    assert looks[-1]["error_description"] == ("The evaluation failed." if action == "task-fails" else "")


def test_the_rate_and_the_latency_are_this_vendors_too(make_account: Make) -> None:
    account = make_account(rate_per_s=2, latency_s=0.02)
    answers = [account("GET", "/workspaces") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 200, 429]
    assert answers[-1].json()["id"] == "too_many_requests"
    assert answers[0].elapsed.total_seconds() >= 0.02
