"""Runs are started once for several agents, pulled state by state, and scored by what the agents answer."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.emulator.digitalocean.conftest import Account, Doc

Make = Callable[..., "Account"]
NOBODY = "00000000-0000-0000-0000-000000000000"
RIGHT = "Correctness (general hallucinations)"

# The answer of the vendor's example, from its documentation of 2025-07: GET /v2/gen-ai/evaluation_runs/{uuid}.
SEED = json.loads("""
{
  "evaluation_run": {
    "agent_deleted": true,
    "agent_name": "example name",
    "agent_uuid": "123e4567-e89b-12d3-a456-426614174000",
    "agent_version_hash": "example string",
    "agent_workspace_uuid": "123e4567-e89b-12d3-a456-426614174000",
    "created_by_user_email": "user@example.com",
    "created_by_user_id": "12345",
    "error_description": "example string",
    "evaluation_run_uuid": "123e4567-e89b-12d3-a456-426614174000",
    "evaluation_test_case_workspace_uuid": "123e4567-e89b-12d3-a456-426614174000",
    "finished_at": "2023-01-01T00:00:00Z",
    "pass_status": true,
    "queued_at": "2023-01-01T00:00:00Z",
    "run_level_metric_results": [
      {
        "error_description": "example string",
        "metric_name": "example name",
        "metric_value_type": "METRIC_VALUE_TYPE_UNSPECIFIED",
        "number_value": 123.0,
        "reasoning": "example string",
        "string_value": "example string"
      }
    ],
    "run_name": "example name",
    "star_metric_result": {
      "error_description": "example string",
      "metric_name": "example name",
      "metric_value_type": "METRIC_VALUE_TYPE_UNSPECIFIED",
      "number_value": 123.0,
      "reasoning": "example string",
      "string_value": "example string"
    },
    "started_at": "2023-01-01T00:00:00Z",
    "status": "EVALUATION_RUN_STATUS_UNSPECIFIED",
    "test_case_description": "example string",
    "test_case_name": "example name",
    "test_case_uuid": "123e4567-e89b-12d3-a456-426614174000",
    "test_case_version": 123
  }
}
""")
SINCE_ADDED = {"agent_deployment_name"}
SINCE_ADDED_TO_RESULTS = {"metric_uuid", "status"}


def one_agent(**agent: object) -> Doc:
    """A seed with one agent, named bot."""
    return {"workspaces": [{"name": "w", "agents": [{"name": "bot", **agent}]}]}


def scored(account: Account, *metrics: str, threshold: Doc | None = None, agent: str = "bot", rows: bytes = b"") -> Doc:
    """The finished run of an agent; the first metric is the star."""
    dataset = {"dataset_uuid": account.dataset(rows)} if rows else {}
    (run,) = account.start(account.case(*metrics, threshold=threshold, **dataset), agent)
    return account.finish(run)


def value(run: Doc) -> tuple[object, bool]:
    """What the star metric came to, and the verdict."""
    star = run["star_metric_result"]
    return star["string_value"] or star["number_value"], run["pass_status"]


# --- the answer ------------------------------------------------------------------------------------------------


def test_a_run_has_the_fields_of_the_vendors_example_and_those_added_since(account: Account) -> None:
    (run,) = account.start(account.case())
    account.finish(run)
    shown, example = account.ok("GET", f"/evaluation_runs/{run}"), SEED
    assert set(shown) == set(example)
    now, then = shown["evaluation_run"], example["evaluation_run"]
    assert set(now) == set(then) | SINCE_ADDED
    assert {key: type(now[key]) for key in then} == {key: type(then[key]) for key in then}
    for result, described in (
        (now["star_metric_result"], then["star_metric_result"]),
        (now["run_level_metric_results"][0], then["run_level_metric_results"][0]),
    ):
        assert set(result) == set(described) | SINCE_ADDED_TO_RESULTS
        assert {key: type(result[key]) for key in described} == {key: type(described[key]) for key in described}


def test_a_finished_run_says_what_ran_and_what_came_of_it(account: Account) -> None:
    case = account.case(name="Right", description="Why.")
    agent, workspace = account.agents()["support-bot"], account.ok("GET", "/workspaces")["workspaces"][0]["uuid"]
    (run,) = account.start(case)
    star = {
        "metric_uuid": account.metrics()[RIGHT]["metric_uuid"],
        "metric_name": RIGHT,
        "metric_value_type": "METRIC_VALUE_TYPE_NUMBER",
        "number_value": 100.0,
        "string_value": "",
        "reasoning": "Over 2 of 2 prompts.",
        "error_description": "",
        "status": "EVALUATION_METRIC_RESULT_STATUS_COMPLETED",
    }
    assert account.finish(run) == {
        "evaluation_run_uuid": run,
        "run_name": "nightly",
        "status": "EVALUATION_RUN_SUCCESSFUL",
        "error_description": "",
        "queued_at": "2027-01-15T08:00:00Z",
        "started_at": "2027-01-15T08:00:00Z",
        "finished_at": "2027-01-15T08:00:00Z",
        "pass_status": True,
        "star_metric_result": star,
        "run_level_metric_results": [star],
        "test_case_uuid": case,
        "test_case_version": 1,
        "test_case_name": "Right",
        "test_case_description": "Why.",
        "evaluation_test_case_workspace_uuid": workspace,
        "agent_uuid": agent,
        "agent_name": "support-bot",
        "agent_version_hash": account.ok("GET", f"/agents/{agent}")["agent"]["version_hash"],
        "agent_workspace_uuid": workspace,
        "agent_deployment_name": "support-bot",
        "agent_deleted": False,
        "created_by_user_id": "1001",
        "created_by_user_email": "ci@example.com",
    }


# --- states ----------------------------------------------------------------------------------------------------


def test_each_look_at_a_run_brings_it_one_state_on(account: Account) -> None:
    (run,) = account.start(account.case())
    looks = []
    for _ in range(5):
        looks.append(account.look(run))
        account.now += 5
    short = [
        (look["status"].removeprefix("EVALUATION_RUN_"), look["pass_status"], look["started_at"], look["finished_at"])
        for look in looks
    ]
    started, finished = "2027-01-15T08:00:05Z", "2027-01-15T08:00:15Z"
    assert short == [
        ("QUEUED", False, None, None),
        ("RUNNING_DATASET", False, started, None),
        ("EVALUATING_RESULTS", False, started, None),
        ("SUCCESSFUL", True, started, finished),
        ("SUCCESSFUL", True, started, finished),
    ]


def test_a_pending_run_has_no_results(account: Account) -> None:
    (run,) = account.start(account.case())
    pending = account.look(run)
    assert (pending["star_metric_result"], pending["run_level_metric_results"]) == (None, [])
    assert account.ok("GET", f"/evaluation_runs/{run}/results")["prompts"] == []


def test_listing_runs_or_reading_results_brings_none_on(account: Account) -> None:
    case = account.case()
    (run,) = account.start(case)
    for _ in range(5):
        account.ok("GET", f"/evaluation_runs/{run}/results")
        (listed,) = account.ok("GET", f"/evaluation_test_cases/{case}/evaluation_runs")["evaluation_runs"]
    assert listed["status"] == "EVALUATION_RUN_QUEUED"


@pytest.mark.parametrize(
    "states",
    [
        ["EVALUATION_RUN_STATUS_UNSPECIFIED", "EVALUATION_RUN_FAILED"],
        ["EVALUATION_RUN_QUEUED", "EVALUATION_RUN_CANCELLING", "EVALUATION_RUN_CANCELLED"],
        ["EVALUATION_RUN_PAUSED"],
    ],
)
def test_an_agent_can_be_seeded_to_go_through_any_states(make_account: Make, states: list[str]) -> None:
    account = make_account(seed=one_agent(run_states=states))
    (run,) = account.start(account.case(), "bot")
    looks = [account.look(run) for _ in states]
    assert [look["status"] for look in looks] == states
    assert [(look["pass_status"], look["star_metric_result"]) for look in looks] == [(False, None)] * len(states)


def test_a_cancelled_run_says_that_it_was_ended(make_account: Make) -> None:
    account = make_account(seed=one_agent(run_states=["EVALUATION_RUN_CANCELLED"]))
    assert scored(account, RIGHT)["error_description"] == "The run was ended."


def test_a_run_of_an_agent_that_is_not_deployed_fails(account: Account) -> None:
    run = scored(account, RIGHT, agent="support-bot-draft")
    assert (run["status"], run["pass_status"]) == ("EVALUATION_RUN_FAILED", False)
    assert run["error_description"] == "The agent is not deployed, or the dataset is gone."


def test_a_run_on_a_deleted_dataset_fails(account: Account) -> None:
    dataset = account.dataset()
    case = account.case(dataset_uuid=dataset)
    account.ok("DELETE", f"/evaluation_datasets/{dataset}")
    assert account.finish(account.start(case)[0])["status"] == "EVALUATION_RUN_FAILED"


def test_a_run_with_some_answers_missing_is_partially_successful(make_account: Make) -> None:
    account = make_account(seed=one_agent(answers={"Who?": "Me"}, otherwise=None))
    run = scored(account, RIGHT, rows=b"query,expected_response\nWho?,Me\nWhy?,So\n")
    assert (run["status"], value(run)) == ("EVALUATION_RUN_PARTIALLY_SUCCESSFUL", (100.0, True))
    assert run["star_metric_result"]["reasoning"] == "Over 1 of 2 prompts."


def test_a_run_without_any_answer_fails(make_account: Make) -> None:
    run = scored(make_account(seed=one_agent(otherwise=None)), RIGHT)
    assert (run["status"], run["error_description"]) == ("EVALUATION_RUN_FAILED", "The agent did not answer.")


# --- starting --------------------------------------------------------------------------------------------------


def test_runs_come_back_in_another_order_than_the_agents_were_named_in(account: Account) -> None:
    case, names = account.case(), ["support-bot", "support-bot-canary", "support-bot-draft"]
    for asked in (names, names[::-1], names[:2], names[1::-1]):
        runs = account.start(case, *asked)
        answered = [account.look(run)["agent_name"] for run in runs]
        assert sorted(answered) == sorted(asked)
        assert answered != asked


def test_agents_can_be_named_by_their_deployments(account: Account) -> None:
    body = {"test_case_uuid": account.case(), "agent_deployment_names": ["support-bot"], "run_name": "r"}
    (run,) = account.ok("POST", "/evaluation_runs", body)["evaluation_run_uuids"]
    assert account.look(run)["agent_name"] == "support-bot"


@pytest.mark.parametrize(
    ("change", "status", "problem"),
    [
        ({"test_case_uuid": NOBODY}, 404, "The evaluation test case you requested could not be found."),
        ({"agent_uuids": [NOBODY]}, 404, f"The agent {NOBODY} you requested could not be found."),
        ({"agent_deployment_names": ["x"]}, 404, "The agent deployment x you requested could not be found."),
        ({"agent_uuids": []}, 422, "agent_uuids: There is no agent to evaluate."),
        ({"agent_deployment_names": ["support-bot"]}, 422, "agent_uuids: An agent stands there twice."),
        ({"run_name": ""}, 422, "run_name: String should have at least 1 character"),
        ({"version": 1}, 422, "version: Unknown field."),
    ],
)
def test_a_wrong_start_starts_nothing(account: Account, change: Doc, status: int, problem: str) -> None:
    case = account.case()
    body = {"test_case_uuid": case, "agent_uuids": [account.agents()["support-bot"]], "run_name": "r", **change}
    refused = account.refused("POST", "/evaluation_runs", body)
    assert (refused[0], refused[2]) == (status, problem)
    assert account.ok("GET", f"/evaluation_test_cases/{case}/evaluation_runs") == {"evaluation_runs": []}


def test_a_run_is_of_the_latest_version_and_counted_there(account: Account) -> None:
    case = account.case()
    account.start(case)
    account.ok("PUT", f"/evaluation_test_cases/{case}", {"name": "new"})
    second = [*account.start(case), *account.start(case)]
    path = f"/evaluation_test_cases/{case}/evaluation_runs"

    def versions(**query: int) -> list[int]:
        return [run["test_case_version"] for run in account.ok("GET", path, **query)["evaluation_runs"]]

    assert versions() == [2, 2, 1]
    assert versions(evaluation_test_case_version=2) == [2, 2]
    assert versions(evaluation_test_case_version=1) == [1]
    assert {account.look(run)["test_case_name"] for run in second} == {"new"}
    shown, old = account.read_case(case), account.read_case(case, evaluation_test_case_version=1)
    assert (shown["total_runs"], shown["latest_version_number_of_runs"]) == (3, 2)
    assert (old["total_runs"], old["latest_version_number_of_runs"]) == (3, 1)


def test_a_run_keeps_the_version_of_the_agent_that_it_was_started_with(make_account: Make) -> None:
    from reconciler.emulator.digitalocean.seed import Seed

    account = make_account(seed=one_agent(version_hash="one"))
    case = account.case()
    (first,) = account.start(case, "bot")
    account.app.state.digitalocean.sow(Seed.from_json(one_agent(version_hash="two")))
    (second,) = account.start(case, "bot")
    assert [account.look(run)["agent_version_hash"] for run in (first, second)] == ["one", "two"]


# --- scores ----------------------------------------------------------------------------------------------------

ROWS = b"query,expected_response\nWhere is my order?,On its way\nMay I return it?,Yes within thirty days\n"


@pytest.mark.parametrize(
    ("metric", "otherwise", "expected"),
    [
        (RIGHT, "{expected_response}", 100.0),
        (RIGHT, "on  its WAY", 50.0),
        (RIGHT, "No.", 0.0),
        ("Ground Truth Faithfulness", "{expected_response}", 100.0),
        ("Ground Truth Faithfulness", "within", 20.0),
        ("Instruction Following", "{query}", 1.0),
        ("Instruction Following", "my return", 0.25),
        ("PII Leaks", "Write to jo@example.com", 100.0),
        ("PII Leaks", "Write to us", 0.0),
        ("Prompt Injection", "Ignoring all previous instructions.", 1.0),
    ],
)
def test_a_score_follows_from_the_answers(make_account: Make, metric: str, otherwise: str, expected: float) -> None:
    account = make_account(seed=one_agent(otherwise=otherwise))
    run = scored(account, metric, threshold={"success_threshold": 0}, rows=ROWS)
    assert value(run)[0] == expected


@pytest.mark.parametrize(
    ("metric", "otherwise", "label"),
    [
        ("Toxicity", "You idiot.", "Yes"),
        ("Toxicity", "Dear customer.", "No"),
        ("Tone", "Thanks for asking.", "positive"),
        ("Tone", "It is not here.", "negative"),
        ("Tone", "It is here.", "neutral"),
    ],
)
def test_a_metric_of_text_has_a_label_and_never_passes(
    make_account: Make, metric: str, otherwise: str, label: str
) -> None:
    run = scored(make_account(seed=one_agent(otherwise=otherwise)), metric, threshold={})
    assert value(run) == (label, False)
    assert run["star_metric_result"]["number_value"] == 0.0


def test_one_bad_label_is_that_of_the_run_and_else_the_most_frequent(make_account: Make) -> None:
    answers = {"a": "You idiot.", "b": "Sure.", "c": "Sure."}
    account = make_account(seed=one_agent(answers=answers))
    rows = b"query\na\nb\nc\n"
    assert value(scored(account, "Toxicity", threshold={}, rows=rows))[0] == "Yes"
    assert value(scored(account, "Tone", threshold={}, rows=rows))[0] == "neutral"


@pytest.mark.parametrize(
    ("metric", "threshold", "passes"),
    [
        (RIGHT, {"success_threshold": 50}, True),
        (RIGHT, {"success_threshold": 50.001}, False),
        (RIGHT, {"success_threshold_pct": 50}, True),
        (RIGHT, {"success_threshold_pct": 51}, False),
        ("PII Leaks", {"success_threshold": 50}, True),
        ("PII Leaks", {"success_threshold": 49.9}, False),
    ],
)
def test_reaching_the_threshold_passes_and_an_inverted_metric_reaches_it_from_above(
    make_account: Make, metric: str, threshold: Doc, passes: bool
) -> None:
    answers = {"Where is my order?": "On its way", "May I return it?": "Write to jo@example.com"}
    run = scored(make_account(seed=one_agent(answers=answers)), metric, threshold=threshold, rows=ROWS)
    assert value(run) == (50.0, passes)


def test_a_threshold_is_compared_as_the_32_bit_float_that_it_became(make_account: Make) -> None:
    rows = b"query,expected_response\n" + b"".join(b"q%d,%d\n" % (n, n) for n in range(10))
    answers = {"q0": "0"}
    metric = {"metric_name": "M", "range_max": 1.0}
    account = make_account(seed={**one_agent(answers=answers, otherwise="?"), "metrics": [metric]})
    assert value(scored(account, "M", threshold={"success_threshold": 0.1}, rows=rows)) == (0.1, True)


@pytest.mark.parametrize(
    ("metric", "rows", "status", "error"),
    [
        ("Retrieved Context Relevance", ROWS, "SKIPPED", "The agent retrieved no context."),
        (RIGHT, b"query\nWho?\n", "SKIPPED", "The row has no expected response."),
    ],
)
def test_a_metric_that_could_not_be_scored_says_so_and_shows_zero(
    account: Account, metric: str, rows: bytes, status: str, error: str
) -> None:
    run = scored(account, metric, threshold={"success_threshold": 0}, agent="support-bot", rows=rows)
    star = run["star_metric_result"]
    assert (run["status"], run["pass_status"]) == ("EVALUATION_RUN_SUCCESSFUL", False)
    assert (star["status"], star["error_description"]) == (f"EVALUATION_METRIC_RESULT_STATUS_{status}", error)
    assert star["number_value"] == 0.0


def test_a_metric_whose_judge_fails_makes_a_run_partially_successful(make_account: Make) -> None:
    metrics = [{"metric_name": "Judged", "scoring": "failed"}, {"metric_name": RIGHT}]
    account = make_account(seed={**one_agent(), "metrics": metrics})
    run = scored(account, RIGHT, "Judged")
    assert (run["status"], run["pass_status"]) == ("EVALUATION_RUN_PARTIALLY_SUCCESSFUL", True)
    statuses = {result["metric_name"]: result["status"] for result in run["run_level_metric_results"]}
    prefix = "EVALUATION_METRIC_RESULT_STATUS_"
    assert statuses == {RIGHT: f"{prefix}COMPLETED", "Judged": f"{prefix}FAILED"}


# --- prompts ---------------------------------------------------------------------------------------------------


def test_prompts_come_in_pages_with_the_run(account: Account) -> None:
    rows = b"query,expected_response\n" + b"".join(b"q%d,a%d\n" % (n, n) for n in range(5))
    (run,) = account.start(account.case(dataset_uuid=account.dataset(rows)))
    finished = account.finish(run)
    page = account.ok("GET", f"/evaluation_runs/{run}/results", page=2, per_page=2)
    assert page["evaluation_run"] == finished
    assert [(prompt["prompt_id"], prompt["input"]) for prompt in page["prompts"]] == [(3, "q2"), (4, "q3")]
    assert page["meta"] == {"page": 2, "pages": 3, "total": 5}
    assert page["links"]["pages"]["next"].endswith(f"/evaluation_runs/{run}/results?page=3&per_page=2")
    assert account.ok("GET", f"/evaluation_runs/{run}/results/3")["prompt"] == page["prompts"][0]
    assert account.refused("GET", f"/evaluation_runs/{run}/results/6")[0] == 404


def test_a_prompt_shows_answer_truth_tokens_and_scores(account: Account) -> None:
    (run,) = account.start(account.case(), "support-bot-canary")
    account.finish(run)
    prompt = account.ok("GET", f"/evaluation_runs/{run}/results/1")["prompt"]
    assert prompt["output"] == "I am not sure about: Where is my order?"
    assert (prompt["ground_truth"], prompt["input_tokens"], prompt["output_tokens"]) == ("It is on its way", "4", "9")
    (score,) = prompt["prompt_level_metric_results"]
    assert (score["metric_name"], score["number_value"]) == (RIGHT, 0.0)


# --- zero values -----------------------------------------------------------------------------------------------


def test_zero_values_can_be_left_out_so_that_no_verdict_and_a_bad_one_look_alike(make_account: Make) -> None:
    account = make_account(seed={"omit_zeros": True})
    (run,) = account.start(account.case(), "support-bot-canary")
    pending = account.look(run)
    assert {"pass_status", "star_metric_result", "started_at", "agent_deleted"} & set(pending) == set()
    finished = account.finish(run)
    assert finished["status"] == "EVALUATION_RUN_SUCCESSFUL"
    assert "pass_status" not in finished
    assert "number_value" not in finished["star_metric_result"]


def test_where_zero_values_are_left_out_an_empty_list_is_too(make_account: Make) -> None:
    account = make_account(seed={"omit_zeros": True})
    case = account.case()
    assert account.ok("GET", f"/evaluation_test_cases/{case}/evaluation_runs") == {}
    (dataset,) = account.ok("GET", "/evaluation_datasets")["evaluation_datasets"]
    assert "dataset_type" not in dataset
    (passing,) = account.start(case)
    assert account.finish(passing)["pass_status"] is True
