"""A test case is never deleted; every change of it is a new version, and its one threshold is checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.emulator.digitalocean.conftest import Account, Doc

Make = Callable[..., "Account"]
NOBODY = "00000000-0000-0000-0000-000000000000"
RIGHT = "Correctness (general hallucinations)"
CLOSE = "Ground Truth Faithfulness"


def listed(account: Account, path: str = "/evaluation_test_cases", **query: object) -> list[str]:
    return [case["name"] for case in account.ok("GET", path, **query)["evaluation_test_cases"]]


def put(account: Account, case: str, **changes: object) -> int:
    """The version that a PUT answers."""
    answer = account.ok("PUT", f"/evaluation_test_cases/{case}", changes)
    assert answer == {"test_case_uuid": case, "version": answer["version"]}
    return int(answer["version"])


def test_a_test_case_is_read_with_everything_but_its_workspace(account: Account) -> None:
    body = account.case_body(RIGHT, CLOSE, name="Right", description="Why.")
    created = account.ok("POST", "/evaluation_test_cases", body)
    assert set(created) == {"test_case_uuid"}
    shown = account.read_case(created["test_case_uuid"])
    (dataset,) = account.ok("GET", "/evaluation_datasets")["evaluation_datasets"]
    assert shown == {
        "test_case_uuid": created["test_case_uuid"],
        "name": "Right",
        "description": "Why.",
        "version": 1,
        "dataset": dataset,
        "dataset_uuid": dataset["dataset_uuid"],
        "dataset_name": "rows",
        "metrics": [account.metrics()[RIGHT], account.metrics()[CLOSE]],
        "star_metric": {
            "metric_uuid": account.metrics()[RIGHT]["metric_uuid"],
            "name": RIGHT,
            "success_threshold": 80.0,
            "success_threshold_pct": 0,
        },
        "total_runs": 0,
        "latest_version_number_of_runs": 0,
        "created_at": "2027-01-15T08:00:00Z",
        "updated_at": "2027-01-15T08:00:00Z",
        "archived_at": None,
        "created_by_user_id": "1001",
        "created_by_user_email": "ci@example.com",
        "updated_by_user_id": "1001",
        "updated_by_user_email": "ci@example.com",
    }


def test_the_workspace_is_named_by_uuid_or_by_name(account: Account) -> None:
    workspace = account.workspace(name="eu")
    account.case(name="a", workspace_uuid=workspace["uuid"])
    account.case(name="b", agent_workspace_name="eu")
    account.case(name="c")
    assert listed(account, f"/workspaces/{workspace['uuid']}/evaluation_test_cases") == ["a", "b"]
    assert listed(account, workspace_uuid=workspace["uuid"]) == ["a", "b"]
    assert listed(account, agent_workspace_name="eu") == ["a", "b"]
    assert listed(account) == ["a", "b", "c"]


@pytest.mark.parametrize("names", [{"workspace_uuid": "x", "agent_workspace_name": "y"}, {}])
def test_both_or_neither_name_of_the_workspace_is_422(account: Account, names: Doc) -> None:
    body = {key: value for key, value in account.case_body().items() if key != "workspace_uuid"} | names
    refused = account.refused("POST", "/evaluation_test_cases", body)
    assert refused[2] == "send workspace_uuid or agent_workspace_name, and not both"


def test_two_test_cases_of_a_workspace_may_have_one_name(account: Account) -> None:
    assert account.case(name="twin") != account.case(name="twin")
    assert listed(account) == ["twin", "twin"]


@pytest.mark.parametrize("field", ["name", "dataset_uuid", "metrics", "star_metric"])
def test_what_official_clients_always_send_is_required(account: Account, field: str) -> None:
    body = {key: value for key, value in account.case_body().items() if key != field}
    refused = account.refused("POST", "/evaluation_test_cases", body)
    assert refused[2] == f"{field}: Missing data for required field."


@pytest.mark.parametrize(
    "change", [{"dataset_uuid": NOBODY}, {"workspace_uuid": NOBODY}, {"metrics": [NOBODY]}], ids=lambda c: next(iter(c))
)
def test_a_body_that_names_what_does_not_exist_is_404(account: Account, change: Doc) -> None:
    assert account.refused("POST", "/evaluation_test_cases", account.case_body() | change)[:2] == (404, "not_found")


def test_metrics_are_a_plain_list_at_creation(account: Account) -> None:
    body = account.case_body()
    wrapped = body | {"metrics": {"metric_uuids": body["metrics"]}}
    refused = account.refused("POST", "/evaluation_test_cases", wrapped)
    assert refused == (422, "unprocessable_entity", "metrics: Input should be a valid list")


def test_metrics_are_wrapped_on_update(account: Account) -> None:
    body = account.case_body()
    case = account.ok("POST", "/evaluation_test_cases", body)["test_case_uuid"]
    status, _, message = account.refused("PUT", f"/evaluation_test_cases/{case}", {"metrics": body["metrics"]})
    assert (status, message.startswith("metrics: Input should be a valid dictionary")) == (422, True)
    assert put(account, case, metrics={"metric_uuids": body["metrics"]}) == 2


def test_a_metric_of_model_evaluations_is_not_one_of_agents(make_account: Make) -> None:
    metric = {"metric_name": "M", "metric_uuid": "m", "evaluation_scope": "MODEL"}
    account = make_account(seed={"metrics": [metric, {"metric_name": RIGHT}]})
    assert list(account.metrics()) == [RIGHT]
    assert account.refused("POST", "/evaluation_test_cases", account.case_body() | {"metrics": ["m"]})[0] == 404


# --- versions --------------------------------------------------------------------------------------------------


def test_every_put_makes_a_version_even_one_that_changes_nothing(account: Account) -> None:
    case = account.case(name="same")
    assert [put(account, case, name="same"), put(account, case), put(account, case, name="new")] == [2, 3, 4]


def test_old_versions_stay_readable(account: Account) -> None:
    case = account.case(name="old")
    account.now += 60
    put(account, case, name="new")
    assert account.read_case(case)["name"] == "new"
    old = account.read_case(case, evaluation_test_case_version=1)
    assert (old["name"], old["version"], old["updated_at"]) == ("old", 1, "2027-01-15T08:00:00Z")
    assert account.read_case(case, evaluation_test_case_version=0)["version"] == 2
    assert account.refused("GET", f"/evaluation_test_cases/{case}", evaluation_test_case_version=3)[0] == 404


def test_what_is_not_sent_of_a_test_case_stays(account: Account) -> None:
    case = account.case(RIGHT, CLOSE, name="kept", description="Kept.")
    before = account.read_case(case)
    put(account, case, description="")
    after = account.read_case(case)
    assert {key for key in before if before[key] != after[key]} == {"description", "version"}


def test_another_uuid_in_the_body_than_in_the_path_is_422(account: Account) -> None:
    case = account.case()
    refused = account.refused("PUT", f"/evaluation_test_cases/{case}", {"test_case_uuid": NOBODY})
    assert refused[2] == "test_case_uuid: Is not the one of the path."
    assert put(account, case, test_case_uuid=case) == 2


def test_the_workspace_of_a_test_case_can_not_be_changed(account: Account) -> None:
    refused = account.refused("PUT", f"/evaluation_test_cases/{account.case()}", {"workspace_uuid": NOBODY})
    assert refused[2] == "workspace_uuid: Unknown field."


def test_a_refused_put_makes_no_version(account: Account) -> None:
    case = account.case()
    assert account.refused("PUT", f"/evaluation_test_cases/{case}", {"dataset_uuid": NOBODY})[0] == 404
    assert account.read_case(case)["version"] == 1


def test_an_archived_test_case_is_listed_and_can_not_be_run(account: Account) -> None:
    case = account.case(name="old")
    account.now += 60
    account.app.state.digitalocean.archive(case)
    (shown,) = account.ok("GET", "/evaluation_test_cases")["evaluation_test_cases"]
    assert (shown["archived_at"], shown["version"]) == ("2027-01-15T08:01:00Z", 1)
    assert account.read_case(case, evaluation_test_case_version=1) == shown
    body = {"test_case_uuid": case, "agent_uuids": [account.agents()["support-bot"]], "run_name": "r"}
    assert account.refused("POST", "/evaluation_runs", body)[2] == "test_case_uuid: The test case is archived."


def test_what_does_not_exist_can_not_be_archived(account: Account) -> None:
    with pytest.raises(KeyError):
        account.app.state.digitalocean.archive(NOBODY)


# --- the threshold ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("metric", "threshold", "problem"),
    [
        (RIGHT, {}, "star_metric.success_threshold: Missing data for required field."),
        (
            RIGHT,
            {"success_threshold": 100.5},
            "star_metric.success_threshold: Must be in the metric's range, 0 to 100.",
        ),
        (RIGHT, {"success_threshold": -1}, "star_metric.success_threshold: Must be in the metric's range, 0 to 100."),
        ("Instruction Following", {"success_threshold": 80}, "star_metric.success_threshold: Must be in the metric's"),
        (RIGHT, {"success_threshold_pct": 101}, "star_metric.success_threshold_pct: Input should be less than or"),
        (RIGHT, {"success_threshold": "80"}, "star_metric.success_threshold: Input should be a valid number"),
        (
            RIGHT,
            {"success_threshold": 80, "success_threshold_pct": 80},
            "star_metric: success_threshold and success_threshold_pct exclude each other",
        ),
        ("Toxicity", {"success_threshold": 0}, "star_metric: A metric whose values are text has no threshold."),
    ],
)
def test_a_threshold_that_can_not_be_meant_is_422(account: Account, metric: str, threshold: Doc, problem: str) -> None:
    status, _, message = account.refused(
        "POST", "/evaluation_test_cases", account.case_body(metric, threshold=threshold)
    )
    assert (status, message[: len(problem)]) == (422, problem)


def test_a_metric_whose_values_are_text_may_be_the_star(account: Account) -> None:
    star = account.read_case(account.case("Toxicity", threshold={}))["star_metric"]
    assert (star["name"], star["success_threshold"], star["success_threshold_pct"]) == ("Toxicity", 0.0, 0)


def test_the_star_is_one_of_the_metrics(account: Account) -> None:
    body = account.case_body(RIGHT) | {"metrics": [account.metrics()[CLOSE]["metric_uuid"]]}
    refused = account.refused("POST", "/evaluation_test_cases", body)
    assert refused[2] == "star_metric.metric_uuid: Is not one of the metrics."
    case = account.case(RIGHT)
    wrapper = {"metrics": {"metric_uuids": body["metrics"]}}
    assert account.refused("PUT", f"/evaluation_test_cases/{case}", wrapper)[2] == refused[2]


def test_a_metric_stands_in_a_test_case_once(account: Account) -> None:
    body = account.case_body(RIGHT)
    refused = account.refused("POST", "/evaluation_test_cases", body | {"metrics": body["metrics"] * 2})
    assert refused[2] == "metrics: A metric stands there twice."


def test_a_threshold_comes_back_as_a_32_bit_float(account: Account) -> None:
    case = account.case("Instruction Following", threshold={"success_threshold": 0.85})
    assert account.read_case(case)["star_metric"]["success_threshold"] == 0.8500000238418579


def test_the_older_form_of_the_threshold_is_kept_as_it_is(account: Account) -> None:
    star = account.read_case(account.case(threshold={"success_threshold_pct": 80}))["star_metric"]
    assert (star["success_threshold"], star["success_threshold_pct"]) == (0.0, 80)


def test_the_older_form_of_the_threshold_fits_a_range_that_has_no_zero(make_account: Make) -> None:
    """The number that is shown beside it was not sent, and need not be in the range."""
    account = make_account(seed={"metrics": [{"metric_name": "Grade", "range_min": 1.0, "range_max": 5.0}]})
    star = account.read_case(account.case("Grade", threshold={"success_threshold_pct": 50}))["star_metric"]
    assert (star["success_threshold"], star["success_threshold_pct"]) == (0.0, 50)
