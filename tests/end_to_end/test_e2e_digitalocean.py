"""Workspaces, datasets and test cases of DigitalOcean: what is refused when planning, and what applying does."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydo import Client

from reconciler.emulator.digitalocean.seed import Seed
from tests.end_to_end.conftest import GEN_AI, Answering, Replacing

Doc = dict[str, Any]
CORRECT = "Correctness (general hallucinations)"
FAQ = "query,expected_response\nWhere is my order?,On its way\nCan I pay later?,Yes\n"
MORE = "query,expected_response\nWhere is my order?,On its way\nCan I pay later?,Yes\nMay I cancel?,Until it is sent\n"


def named(content: str) -> str:
    """The name of the dataset ``faq`` with this content."""
    return "faq-" + hashlib.sha256(content.encode()).hexdigest()[:12]


def text_of(cli: Any, name: str) -> str:
    return str((Path(cli.folder) / name).read_text(encoding="utf-8"))


# ------------------------------------------------------------------------------------------------ the loop


def test_the_whole_loop(care: Any, account: Any) -> None:
    """Upload and create, then no changes; change the file and the threshold; evaluate; take it all out again."""
    care("plan", "--detailed-exitcode", code=2)
    assert "Apply: 2 done.  (2 created)" in care("apply", "--yes").out
    assert account.writes == [
        "POST file_upload_presigned_urls", "PUT spaces", "POST evaluation_datasets", "POST evaluation_test_cases",
    ]  # fmt: skip
    care("plan", "--detailed-exitcode")
    (dataset,), case = account.datasets(), account.case()
    assert dataset["dataset_name"] == named(text_of(care, "faq.csv"))
    assert case["description"].startswith("What customers ask [reconciler:")
    assert (case["dataset"]["dataset_uuid"], case["version"]) == (dataset["dataset_uuid"], 1)

    care.write("faq.csv", MORE)
    care.edit("care.yaml", "threshold: 82.4", "threshold: 90")
    assert "Apply: 2 done.  (1 replaced, 1 updated)" in care("apply", "--yes").out
    care("plan", "--detailed-exitcode")
    (newer,) = [each for each in account.datasets() if each["dataset_uuid"] != dataset["dataset_uuid"]]
    case = account.case()
    assert (case["dataset"]["dataset_uuid"], case["version"]) == (newer["dataset_uuid"], 2)
    assert case["star_metric"]["success_threshold"] == 90

    assert "1 passed, 0 warned, 0 failed" in care("evaluate").out
    care.write("care.yaml", text_of(care, "care.yaml").partition("  datasets:")[0] + "  managed: false\n")
    ended = care("apply", "--yes", "--ack", "delete=1")  # the older dataset; the newer one is still needed
    assert "the platform cannot remove evaluation test cases" in ended.words
    assert f"{case['test_case_uuid']} stays there" in ended.words
    assert account.datasets() == [newer]
    assert list(account.cases()) == ["Answers are correct"]
    care("plan", "--detailed-exitcode")
    account.platform.seen.clear()
    care("apply", "--yes")
    assert account.writes == []


def test_a_dataset_does_not_go_alone_while_a_test_case_of_ours_refers_to_it(care: Any, account: Any) -> None:
    """Whatever is selected: what refers to the older content is pointed at the newer one first."""
    care.edit("care.yaml", "file: faq.csv}", "file: faq.csv, lifecycle: {onRemoval: delete}}")
    care("apply", "--yes")
    care.write("faq.csv", MORE)
    care("apply", "--yes", "--select", "digitalocean.EvaluationDataset/*")
    (dataset,) = account.datasets()
    assert account.case()["dataset"]["dataset_uuid"] == dataset["dataset_uuid"]
    care("plan", "--detailed-exitcode")


def test_without_a_token_one_sentence_says_which(care: Any, account: Any) -> None:
    """Before any request, and whatever other vendor has a key."""
    ended = care("plan", code=1, DIGITALOCEAN_TOKEN="")
    assert ended.err == (
        "error: DIGITALOCEAN_TOKEN is not set: put the API key for digitalocean into this environment variable\n"
    )
    assert account.platform.seen == []


def test_the_doctor_counts_workspaces_and_passes_over_who_has_no_key(care: Any) -> None:
    """Datasets stand beside workspaces at the platform, and are none."""
    care("apply", "--yes")
    ended = care("doctor", OPENLAYER_API_KEY="")
    assert "1 workspace" in ended.words
    assert "OPENLAYER_API_KEY is not set" in ended.words


# ------------------------------------------------------------------------------------- errors when planning


def refused(cli: Any) -> str:
    """What a plan refuses, on one line."""
    return str(cli("plan", code=3).words)


@pytest.mark.parametrize(
    ("old", "new", "line", "said"),
    [
        (
            "Instruction Following", "Instruction Folowing", 12,
            'metrics: the platform has no metric "Instruction Folowing"; did you mean "Instruction Following"?',
        ),
        ("Instruction Following", "Tone", 12, 'metrics: the platform has deprecated "Tone"'),
        ("82.4", "100.5", 13,
         f'starMetric.threshold: 100.5 is outside the range of "{CORRECT}": 0 to 100'),
        (f"[{CORRECT}, Instruction Following]\n      starMetric: {{name: {CORRECT}",
         "[Toxicity]\n      starMetric: {name: Toxicity", 13,
         'starMetric.threshold: "Toxicity" yields a text, which no threshold can judge'),
        ("agents: [bot]", "agents: [bott]", 17, 'agents: the workspace has no agent "bott"; did you mean "bot"?'),
        ("{name: care}", "{name: cares}", 4, "the platform has no workspace of this name"),
    ],
    ids=["unknown", "deprecated", "range", "text", "agent", "workspace"],
)  # fmt: skip
def test_what_the_platform_would_not_take_is_refused_with_its_line(
    old: str, new: str, line: int, said: str, care: Any, account: Any
) -> None:
    """Known only at the platform, so exit 3 with the place in the file, and nothing is written."""
    care.edit("care.yaml", old, new)
    shown = refused(care)
    assert said in shown
    assert f"(care.yaml:{line})" in shown
    care("apply", "--yes", code=3)
    assert account.writes == []


def test_a_deprecated_metric_that_is_in_use_stops_nothing(care: Any, account: Any) -> None:
    """Only where a test case would get it is it refused: what is there goes on, and the plan says so."""
    care("apply", "--yes")
    case = account.case()
    known = {each["metric_name"]: each["metric_uuid"] for each in account.api("GET", "/evaluation_metrics")["metrics"]}
    uuids = [known[CORRECT], known["Instruction Following"], known["Tone"]]
    account.api("PUT", f"/evaluation_test_cases/{case['test_case_uuid']}", {"metrics": {"metric_uuids": uuids}})
    care("export", "--out", "m", "--adopt", OPENLAYER_API_KEY="")
    said = 'care/Answers are correct: metrics: the platform has deprecated "Tone"; put another metric in its place (m/'
    assert said in care("plan", "m", "--detailed-exitcode").words
    assert said in care("drift", "m").words
    assert said not in care("plan", "m", "--select", "*Dataset/*").words
    care.edit("m/care.yaml", "82.4", "90")
    assert "Apply: 1 done.  (1 updated)" in care("apply", "m", "--yes").out
    care.edit("m/care.yaml", ", Tone", ", Prompt Perplexity")
    ended = care("plan", "m", code=3).words
    assert 'metrics: the platform has deprecated "Prompt Perplexity"' in ended
    assert "hint: put another metric in its place" in ended


def test_a_star_metric_that_is_none_of_the_metrics_is_wrong_without_the_platform(care: Any) -> None:
    care.edit("care.yaml", f"starMetric: {{name: {CORRECT}", "starMetric: {name: PII Leaks")
    ended = care("validate", code=1)
    assert 'care.yaml:13:26: spec.testCases[0].starMetric.name: "PII Leaks" is not among the metrics' in ended.words


def test_everything_that_is_wrong_is_said_at_once(care: Any) -> None:
    care.edit("care.yaml", "Instruction Following", "Tonne")
    care.edit("care.yaml", "82.4", "-1")
    care.edit("care.yaml", "agents: [bot]", "agents: [robot]")
    shown = refused(care)
    assert all(each in shown for each in ("Tonne", "-1 is outside", "robot", "3 refused"))


def test_two_workspaces_of_one_name_are_not_guessed_between(care: Any, account: Any) -> None:
    twin = account.api("POST", "/workspaces", {"name": "care"})["workspace"]["uuid"]
    shown = refused(care)
    assert "there are 2 of this name" in shown
    assert twin in shown
    care("apply", "--yes", code=3)
    assert account.writes == []


def test_two_agents_of_one_name_are_not_guessed_between(care: Any, account: Any) -> None:
    """Neither by a plan, nor by an evaluation: nothing is run, and both are named."""
    care("apply", "--yes")
    account.platform.seen.clear()
    done = {"run_states": ["EVALUATION_RUN_SUCCESSFUL"]}
    uuid = "4a51e1f4-0000-4000-8000-000000000001"
    twin = {"name": "bot", "agent_uuid": uuid, "otherwise": "Well", **done}
    account.console.sow(Seed.from_json({"workspaces": [{"name": "care", "agents": [twin]}]}))
    first = next(each["uuid"] for each in account.api("GET", "/agents")["agents"] if each["name"] == "bot")
    both = ", ".join(sorted([str(first), uuid]))
    shown = refused(care)
    assert f'agents: there are 2 agents of the name "bot": {both}' in shown
    assert "rename all but one" in shown
    for command in ("evaluate", "status"):
        assert f'there are 2 agents of the name "bot": {both}' in care(command, code=5).words
    assert account.writes == []


def test_two_metrics_of_one_name_are_not_guessed_between(care: Any, account: Any) -> None:
    uuids = [f"4a51e1f4-0000-4000-8000-00000000000{number}" for number in (1, 2)]
    account.renew(metrics=[{"metric_name": CORRECT, "metric_uuid": uuid} for uuid in uuids])
    care.edit("care.yaml", f"[{CORRECT}, Instruction Following]", f"[{CORRECT}]")
    assert f'metrics: there are 2 metrics of the name "{CORRECT}": {", ".join(uuids)}' in refused(care)


# ------------------------------------------------------------------------------------------------ datasets


def test_a_cell_may_be_as_long_as_a_file(care: Any, account: Any) -> None:
    """The platform limits rows and bytes: 1,000, and 1 GB."""
    care.write("faq.csv", f"query,expected_response\n{'x' * 140_000},Yes\n")
    care("apply", "--yes")
    care("plan", "--detailed-exitcode")
    assert account.case()["dataset"]["row_count"] == 1


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("Query\nWhere?\n", 'faq.csv:1:1: the header has no column "query" (it has Query); the name is case-sensitive'),
        ("query,expected_response\nWhere?,Here\n ,There\n", "faq.csv:3:1: the query is empty"),
        ("query,expected_response\nWhere?\n", "faq.csv:2:1: 1 cell under 2 columns"),
        ("query,expected_response\nWhere?,Here\n\n", "faq.csv:3:1: the line is empty; remove it"),
        ("query\n", "faq.csv:1:1: there are no rows"),
        (
            "\ufeffquery\nWhere?\n",
            "faq.csv:1:1: the file begins with a byte-order mark, which would be a part of the first column's name",
        ),
        ("", 'faq.csv:1:1: the header has no column "query"'),
        ("query\n" + "Where?\n" * 1001, "faq.csv:1002:1: 1,001 rows; the platform takes 1,000"),
        (
            'query\nWhen?\n"Where?\nWho?\n',
            "faq.csv:3:1: this is not CSV: a cell begins with a quotation mark that nothing closes",
        ),
        ('query\n"Where" is it?\n', "faq.csv:2:1: this is not CSV: ',' expected after '\"'"),
        ("query,x,query\nWhere?,,Who?\n", 'faq.csv:1:1: the header has the column "query" more than once'),
    ],
    ids=["header", "empty", "cells", "line", "rows", "mark", "nothing", "many", "open", "quoted", "twice"],
)
def test_what_is_wrong_with_a_file_is_said_before_any_request(content: str, said: str, care: Any, account: Any) -> None:
    care.write("faq.csv", content)
    assert said in care("apply", "--yes", code=1).words
    assert account.platform.seen == []


@pytest.mark.parametrize("column", ["", ",expected", ",Expected_response"])
def test_a_metric_that_compares_needs_something_to_compare_with(column: str, care: Any, account: Any) -> None:
    """Else each run is paid, and scored by nothing."""
    care.edit("care.yaml", "Instruction Following]", "Ground Truth Faithfulness]")
    care("validate")
    care.write("faq.csv", f"query{column}\nWhere?{',There' if column else ''}\n")
    said = '"Ground Truth Faithfulness" compares with the column "expected_response", which "faq" does not have'
    ended = care("plan", code=1).words
    assert said in ended
    assert "care.yaml:12:" in ended
    assert account.platform.seen == []
    care.edit("care.yaml", "Ground Truth Faithfulness]", "Instruction Following]")
    care("validate")


def test_a_file_that_is_no_utf8_is_said_with_its_line(care: Any, account: Any) -> None:
    (Path(care.folder) / "faq.csv").write_bytes(b"query\nWhere?\nCaf\xe9?\n")
    assert "faq.csv:3:1: this is not UTF-8" in care("plan", code=1).words
    assert account.platform.seen == []


def test_windows_line_ends_change_nothing_on_the_way(care: Any, account: Any) -> None:
    """What is uploaded are the bytes of the file."""
    content = b"query\r\nWhere?\r\n"
    (Path(care.folder) / "faq.csv").write_bytes(content)
    care("apply", "--yes")
    (dataset,) = account.datasets()
    url = account.api("GET", f"/evaluation_datasets/{dataset['dataset_uuid']}/download_url")["download_url"]
    assert httpx.get(url).content == content


def test_an_upload_address_that_has_expired_is_asked_for_once_more(care: Any, account: Any) -> None:
    account.platform.fail({"method": "PUT", "path": "/spaces/*", "nth": 1, "action": "status", "status": 403})
    care("apply", "--yes")
    assert account.writes[:5] == [
        "POST file_upload_presigned_urls", "PUT spaces", "POST file_upload_presigned_urls", "PUT spaces",
        "POST evaluation_datasets",
    ]  # fmt: skip
    care("plan", "--detailed-exitcode")


def test_a_storage_that_refuses_fails_one_step_and_leaves_nothing(care: Any, account: Any) -> None:
    """Our token is not blamed; what refers to the dataset waits; the next run does it all."""
    account.platform.fail({"method": "PUT", "path": "/spaces/*", "action": "status", "status": 403})
    ended = care("apply", "--yes", code=4)
    assert "the upload was refused (403)" in ended.words
    assert "Apply: 0 done, 1 failed, 1 skipped." in ended.out
    assert account.datasets() == []
    account.platform.fail()
    assert "Apply: 2 done.  (2 created)" in care("apply", "--yes").out


def test_a_file_that_changes_after_the_plan_is_not_uploaded(care: Any, account: Any) -> None:
    """Whoever said yes has seen other bytes."""
    path = "/v2/gen-ai/evaluation_datasets/file_upload_presigned_urls"
    account.platform.meanwhile("POST", path, lambda: care.write("faq.csv", MORE))
    ended = care("apply", "--yes", code=4)
    assert "faq.csv has changed since it was planned" in ended.words
    assert (account.datasets(), account.writes) == ([], ["POST file_upload_presigned_urls"])
    care("apply", "--yes")
    assert [each["dataset_name"] for each in account.datasets()] == [named(MORE)]


def test_a_saved_plan_does_not_take_another_file(care: Any, account: Any) -> None:
    care("plan", "--out", "plan.json")
    care.write("faq.csv", MORE)
    care("apply", "--plan", "plan.json", "--yes", code=6)
    assert account.writes == []


def test_the_older_generation_goes_when_somebody_says_so(care: Any, account: Any) -> None:
    """Never in the plan that replaces it unasked; with --ack delete=1 after the test cases point elsewhere."""
    care("apply", "--yes")
    (first,) = account.datasets()
    care.write("faq.csv", MORE)
    assert "replaced by other content, and stays at the platform" in care("plan").words
    care("apply", "--yes")
    assert len(account.datasets()) == 2
    kept = care("plan", "--verbose").words
    assert f"replaced by other content, and stays at the platform (id {first['dataset_uuid']}, care.yaml:7)" in kept
    assert "--ack delete=N" in kept
    care("apply", "--yes", "--ack", "delete=2", code=3)
    assert len(account.datasets()) == 2
    assert "Apply: 1 done.  (1 deleted)" in care("apply", "--yes", "--ack", "delete=1").out
    assert first["dataset_uuid"] not in {each["dataset_uuid"] for each in account.datasets()}
    care("plan", "--detailed-exitcode")


def test_on_removal_delete_lets_older_generations_go_by_themselves(care: Any, account: Any) -> None:
    """In one apply: upload, repoint, then delete."""
    care.edit("care.yaml", "{name: faq, file: faq.csv}", "{name: faq, file: faq.csv, lifecycle: {onRemoval: delete}}")
    care("apply", "--yes")
    care.write("faq.csv", MORE)
    account.platform.seen.clear()
    care("apply", "--yes")
    assert account.writes[-3:] == [
        "POST evaluation_datasets",
        "PUT evaluation_test_cases",
        "DELETE evaluation_datasets",
    ]
    assert [each["dataset_name"] for each in account.datasets()] == [named(MORE)]


@pytest.mark.parametrize("when", ["with the new content", "afterwards"])
def test_on_removal_delete_holds_from_the_moment_that_it_is_written(when: str, care: Any, account: Any) -> None:
    """It stands in the manifest: nobody has to say it once more as a number."""
    care("apply", "--yes")
    care.write("faq.csv", MORE)
    if when == "afterwards":
        care("apply", "--yes")
    care.edit("care.yaml", "{name: faq, file: faq.csv}", "{name: faq, file: faq.csv, lifecycle: {onRemoval: delete}}")
    assert "1 deleted" in care("apply", "--yes").out
    assert [each["dataset_name"] for each in account.datasets()] == [named(MORE)]


def test_an_older_generation_that_somebody_else_uses_stays(care: Any, account: Any) -> None:
    """A test case that is in no manifest would lose its questions."""
    care("apply", "--yes")
    case = account.case()
    stranger = {
        "name": "By hand",
        "dataset_uuid": case["dataset"]["dataset_uuid"],
        "metrics": [metric["metric_uuid"] for metric in case["metrics"]],
        "star_metric": {"metric_uuid": case["star_metric"]["metric_uuid"], "success_threshold": 50},
        "workspace_uuid": account.workspace(),
    }
    account.api("POST", "/evaluation_test_cases", stranger)
    care.write("faq.csv", MORE)
    ended = care("apply", "--yes", "--ack", "delete=1", code=3)
    assert "still in use by digitalocean.EvaluationTestCase/care/By hand" in ended.words
    care("apply", "--yes")
    assert len(account.datasets()) == 2


@pytest.mark.parametrize("by_hand", [False, True])
def test_an_older_dataset_goes_with_the_test_case_that_is_renamed_too(by_hand: bool, care: Any, account: Any) -> None:
    """It is the same test case, whatever it is called at the platform."""
    care.edit("care.yaml", "file: faq.csv}", "file: faq.csv, lifecycle: {onRemoval: delete}}")
    care("apply", "--yes")
    case = account.case()
    if by_hand:
        account.api("PUT", f"/evaluation_test_cases/{case['test_case_uuid']}", {"name": "Renamed by hand"})
    else:
        care.edit("care.yaml", "name: Answers are correct", "name: Right\n      renamedFrom: Answers are correct")
        care.edit("care.yaml", "testCase: Answers are correct", "testCase: Right")
    care.write("faq.csv", MORE)
    assert "still in use by" not in care("apply", "--yes").words
    (dataset,) = account.datasets()
    assert dataset["dataset_name"] == named(MORE)
    assert account.case()["test_case_uuid"] == case["test_case_uuid"]
    care("plan", "--detailed-exitcode")


def test_an_older_dataset_stays_for_a_strangers_test_case_of_the_same_name(care: Any, account: Any) -> None:
    """A name does not make it ours: nobody points it at the newer content."""
    care.edit("care.yaml", "file: faq.csv}", "file: faq.csv, lifecycle: {onRemoval: delete}}")
    care("apply", "--yes")
    case = account.case()
    copy = {
        "name": case["name"],
        "dataset_uuid": case["dataset"]["dataset_uuid"],
        "metrics": [each["metric_uuid"] for each in case["metrics"]],
        "star_metric": {"metric_uuid": case["star_metric"]["metric_uuid"], "success_threshold": 50},
        "workspace_uuid": account.workspace(),
    }
    theirs = account.api("POST", "/evaluation_test_cases", copy)["test_case_uuid"]
    care.write("faq.csv", MORE)
    used = f"still in use by digitalocean.EvaluationTestCase/care/Answers are correct (id {theirs})"
    assert used in care("apply", "--yes").words
    assert len(account.datasets()) == 2
    care("plan", "--detailed-exitcode")


@pytest.mark.parametrize("new", ["faq", "questions"])
def test_a_generation_whose_upload_was_never_answered_is_not_made_twice(new: str, care: Any, account: Any) -> None:
    """A dataset carries no marker: the next run knows the one that an earlier run may have made by its content."""
    care("apply", "--yes")
    care.write("faq.csv", MORE)
    if new != "faq":
        care.edit("care.yaml", "{name: faq, file", f"{{name: {new}, renamedFrom: faq, file")
        care.edit("care.yaml", "dataset: faq", f"dataset: {new}")
    lists = {"method": "GET", "path": "/v2/gen-ai/evaluation_datasets*", "action": "status", "status": 404}
    account.platform.fail(
        {"method": "POST", "path": "/v2/gen-ai/evaluation_datasets", "action": "drop-after"},
        {**lists, "nth": list(range(2, 10))},
    )
    care("apply", "--yes", code=4)
    account.platform.fail()
    care("apply", "--yes")
    assert [each["dataset_name"] for each in account.datasets()] == [
        named(text_of(care, "faq.csv")).replace("faq", new), named(FAQ),
    ]  # fmt: skip
    care("plan", "--detailed-exitcode")


def test_a_new_name_and_new_content_at_once(care: Any, account: Any) -> None:
    """The next generation is remembered under the new name, and the test case asks its questions."""
    care("apply", "--yes")
    (first,) = account.datasets()
    care.write("faq.csv", MORE)
    care.edit("care.yaml", "{name: faq, file", "{name: questions, renamedFrom: faq, file")
    care.edit("care.yaml", "dataset: faq", "dataset: questions")
    care("apply", "--yes")
    (newer,) = [each for each in account.datasets() if each["dataset_uuid"] != first["dataset_uuid"]]
    assert newer["dataset_name"] == named(MORE).replace("faq", "questions")
    assert account.case()["dataset"]["dataset_uuid"] == newer["dataset_uuid"]
    assert "digitalocean.EvaluationDataset/faq" not in care("state", "list").out
    care("plan", "--detailed-exitcode")
    care("apply", "--yes", "--ack", "delete=1")
    assert account.datasets() == [newer]
    care("plan", "--detailed-exitcode")


def test_a_dataset_called_like_its_workspace_is_renamed_alone(care: Any, account: Any) -> None:
    """What stands in the workspace stays there."""
    care.edit("care.yaml", "{name: faq, file", "{name: care, file")
    care.edit("care.yaml", "dataset: faq", "dataset: care")
    care("apply", "--yes")
    care.write("faq.csv", MORE)
    care.edit("care.yaml", "{name: care, file", "{name: faq, renamedFrom: care, file")
    care.edit("care.yaml", "dataset: care", "dataset: faq")
    care("apply", "--yes")
    care("plan", "--detailed-exitcode")
    assert account.case()["version"] == 2
    care("state", "mv", "digitalocean.EvaluationDataset/faq", "digitalocean.EvaluationDataset/care")
    care("state", "mv", "digitalocean.EvaluationDataset/care", "digitalocean.EvaluationDataset/faq")
    listed = care("state", "list").out
    assert "digitalocean.EvaluationTestCase/care/Answers are correct" in listed


def test_a_dataset_called_like_its_workspace_is_forgotten_alone(care: Any) -> None:
    """Forgetting the workspace forgets what stands in it, and no dataset."""
    care.edit("care.yaml", "{name: care}", "{name: ours}")
    care.edit("care.yaml", "spec:\n", "spec:\n  managed: true\n")
    care.edit("care.yaml", "{name: faq, file", "{name: ours, file")
    care.edit("care.yaml", "dataset: faq", "dataset: ours")
    care.write("care.yaml", text_of(care, "care.yaml").partition("  runs:")[0])
    care("apply", "--yes")
    dataset, workspace = "digitalocean.EvaluationDataset/ours", "digitalocean.Workspace/ours"
    care("state", "rm", dataset)
    listed = care("state", "list").out
    assert dataset not in listed
    assert workspace in listed
    assert "digitalocean.EvaluationTestCase/ours/Answers are correct" in listed
    care("apply", "--yes", "--adopt")
    care("state", "rm", workspace)
    listed = care("state", "list").out
    assert dataset in listed
    assert "Answers are correct" not in listed


def test_a_dataset_called_like_a_renamed_workspace_is_no_renamed_dataset(care: Any, account: Any) -> None:
    """It is made, and nothing that was remembered of the dataset with the workspace's former name is said of it."""
    both = (
        MANAGED
        + """\
      datasets:
        - {name: ours, file: faq.csv, lifecycle: {protect: true}}
"""
    )
    care.write("ours.yaml", both)
    care("apply", "--yes")
    care.edit("ours.yaml", "metadata: {name: ours}", "metadata: {name: home, renamedFrom: ours}")
    care.write("more.csv", MORE)
    care.write("ours.yaml", text_of(care, "ours.yaml") + "    - {name: home, file: more.csv}\n")
    assert "(1 created, 1 renamed)" in care("apply", "--yes").out
    assert account.workspace("home")
    assert json.loads(care("state", "show", "digitalocean.EvaluationDataset/ours").out)["protect"] is True
    assert "protect" not in json.loads(care("state", "show", "digitalocean.EvaluationDataset/home").out)
    care("plan", "--detailed-exitcode")


def test_a_dataset_called_like_another_workspace_says_nothing_of_the_runs_there(care: Any) -> None:
    """What held there still holds, and is not judged again."""
    care("apply", "--yes", "--evaluate")
    care.write("ours.yaml", MANAGED + "      datasets:\n        - {name: care, file: faq.csv}\n")
    care("apply", "ours.yaml", "--yes", "--evaluate")
    assert "nightly" not in care("apply", "--yes", "--evaluate").text


def test_going_back_to_former_content_is_one_more_generation(care: Any, account: Any) -> None:
    """Every generation but the newest can go, in any number of applies."""
    faq = text_of(care, "faq.csv")
    for content in (faq, MORE, faq):
        care.write("faq.csv", content)
        care("apply", "--yes")
        care("plan", "--detailed-exitcode")
    assert [each["dataset_name"] for each in account.datasets()] == [named(faq), named(MORE), named(faq)]
    assert "Apply: 2 done.  (2 deleted)" in care("apply", "--yes", "--ack", "delete=2").out
    (left,) = account.datasets()
    assert account.case()["dataset"]["dataset_uuid"] == left["dataset_uuid"]
    care("plan", "--detailed-exitcode")


def test_a_dataset_made_by_hand_is_adopted_by_name_and_size(care: Any, account: Any) -> None:
    """It has no digest in its name, so its size must do."""
    by_hand = account.upload("faq", text_of(care, "faq.csv"))
    assert "= digitalocean.EvaluationDataset/faq" in care("plan").words
    care("apply", "--yes", "--adopt")
    assert [each["dataset_uuid"] for each in account.datasets()] == [by_hand]
    assert account.case()["dataset"]["dataset_uuid"] == by_hand
    care("plan", "--detailed-exitcode")


MODEL = "input,query\nAsked?,Where is my order?\n"


@pytest.mark.parametrize("name", ["faq", f"faq-{hashlib.sha256(FAQ.encode()).hexdigest()[:12]}"])
@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (MODEL + "x" * (len(FAQ) - len(MODEL) - 3) + ",y\n", {"dataset_type": "EVALUATION_DATASET_TYPE_MODEL"}),
        (FAQ, {"dataset_paradigm": "EVALUATION_DATASET_PARADIGM_MULTI_TURN"}),
    ],
    ids=["of models", "of conversations"],
)
def test_a_dataset_of_another_type_is_none_of_ours(
    name: str, content: str, kind: dict[str, str], care: Any, account: Any
) -> None:
    """A test case cannot use it, whatever its name and size."""
    account.upload(name, content, **kind)
    assert {each["file_size"] for each in account.datasets()} == {str(len(FAQ))}
    assert "Plan: 2 to create." in care("plan").out
    care("apply", "--yes", "--adopt")
    account.upload(name, content, **kind)
    care("plan", "--detailed-exitcode")
    assert len(account.datasets()) == 3


def test_a_dataset_made_by_hand_with_other_content_is_not_taken_for_ours(care: Any, account: Any) -> None:
    by_hand = account.upload("faq", MORE)
    ended = care("apply", "--yes", code=3)
    assert "it differs in file, which cannot be changed in place" in ended.words
    assert account.writes == []
    care("apply", "--yes", "--adopt")
    (ours,) = [each for each in account.datasets() if each["dataset_uuid"] != by_hand]
    assert len(account.datasets()) == 2
    assert account.case()["dataset"]["dataset_uuid"] == ours["dataset_uuid"]
    care("plan", "--detailed-exitcode")


def test_of_datasets_with_one_name_the_one_with_the_wanted_content_counts(care: Any, account: Any) -> None:
    """Names need not be unique; every evaluation of the vendor's own tool makes another one."""
    content = text_of(care, "faq.csv")
    ours = account.upload(named(content), content)
    account.upload(named(MORE), MORE)
    account.upload("faq", MORE)
    care("apply", "--yes", "--adopt")
    assert account.case()["dataset"]["dataset_uuid"] == ours
    assert len(account.datasets()) == 3
    care("plan", "--detailed-exitcode")


def test_a_dataset_whose_create_was_not_answered_is_found_by_its_name(care: Any, account: Any) -> None:
    path = "/v2/gen-ai/evaluation_datasets"
    account.platform.fail({"method": "POST", "path": path, "nth": 1, "action": "drop-after"})
    care("apply", "--yes")
    assert len(account.datasets()) == 1
    care("plan", "--detailed-exitcode")


# ---------------------------------------------------------------------------------------------- test cases


def test_a_changed_test_case_is_put_whole_with_its_metrics_wrapped(care: Any, account: Any) -> None:
    """The platform refuses a plain list there; a new version keeps what the manifest says and nothing else moves."""
    care("apply", "--yes")
    care.edit("care.yaml", "Instruction Following]", "PII Leaks]")
    account.platform.seen.clear()
    assert "Apply: 1 done.  (1 updated)" in care("apply", "--yes").out
    assert account.writes == ["PUT evaluation_test_cases"]
    case = account.case()
    assert sorted(metric["metric_name"] for metric in case["metrics"]) == [CORRECT, "PII Leaks"]
    assert (case["version"], case["description"].partition(" [")[0]) == (2, "What customers ask")


def test_a_description_that_no_manifest_writes_survives_a_new_version(care: Any, account: Any) -> None:
    """A PUT replaces it all: what a person wrote in the console goes along, and the mark stays behind it."""
    care.edit("care.yaml", "      description: What customers ask\n", "")
    care("apply", "--yes")
    mark = account.case()["description"]
    path = f"/evaluation_test_cases/{account.case()['test_case_uuid']}"
    account.api("PUT", path, {"description": f"Agreed with legal {mark}"})
    care.edit("care.yaml", "82.4", "90")
    care("apply", "--yes")
    assert (account.case()["description"], account.case()["version"]) == (f"Agreed with legal {mark}", 3)
    care("plan", "--detailed-exitcode")


def test_an_adopted_test_case_keeps_the_description_that_a_person_wrote(care: Any, account: Any) -> None:
    """Also where the answer to the update is lost, and what is there has to tell whether it arrived."""
    care("apply", "--yes")
    path = f"/evaluation_test_cases/{account.case()['test_case_uuid']}"
    account.api("PUT", path, {"description": "Owner: Ada"})
    shutil.rmtree(Path(care.folder) / ".reconciler")
    care.edit("care.yaml", "      description: What customers ask\n", "")
    care.edit("care.yaml", "82.4", "90")
    account.platform.fail({**LOST_UPDATE, "action": "drop-after"})
    care("apply", "--yes", "--adopt")
    assert (account.case()["description"], account.case()["version"]) == ("Owner: Ada", 3)
    care("plan", "--detailed-exitcode")


def test_the_order_of_metrics_and_the_rounding_of_thresholds_are_no_changes(care: Any, account: Any) -> None:
    """82.4 comes back as 82.4000015258789, because the platform stores 32 bits."""
    care("apply", "--yes")
    assert account.case()["star_metric"]["success_threshold"] != 82.4
    care.edit("care.yaml", f"[{CORRECT}, Instruction Following]", f"[Instruction Following, {CORRECT}]")
    care("plan", "--detailed-exitcode")


@pytest.mark.parametrize("written", ["", ", threshold: null"], ids=["nothing", "null"])
@pytest.mark.parametrize("value_type", ["NUMBER", "PERCENTAGE"])
def test_a_metric_that_yields_numbers_needs_a_threshold(value_type: str, written: str, care: Any, account: Any) -> None:
    """The platform takes no test case without; one that was written before would go on to decide."""
    metrics = [{"metric_name": each, "metric_value_type": value_type} for each in (CORRECT, "Instruction Following")]
    account.renew(metrics=metrics)
    whole = text_of(care, "care.yaml")
    care.edit("care.yaml", ", threshold: 82.4", written)
    what = f'starMetric: "{CORRECT}" yields numbers; write the threshold that it must reach'
    assert what in refused(care)
    care.write("care.yaml", whole)
    care("apply", "--yes")
    care.edit("care.yaml", ", threshold: 82.4", written)
    assert what in refused(care)


def test_a_threshold_with_more_digits_than_are_kept_is_no_change_for_ever(care: Any, account: Any) -> None:
    """66.6666666667 comes back as 66.66666412353516."""
    care.edit("care.yaml", "threshold: 82.4", "threshold: 66.6666666667")
    applied = care("apply", "--yes")
    assert "66.66" not in applied.err
    care("plan", "--detailed-exitcode")
    assert account.case()["version"] == 1
    care.edit("care.yaml", "threshold: 66.6666666667", "threshold: 70")
    assert "starMetric.threshold: 66.666664 -> 70.000000 TIGHTENED" in care("plan").words


def test_a_metric_whose_values_are_text_has_no_threshold_to_compare(care: Any, account: Any) -> None:
    """The platform shows 0 where nothing was sent, and null is not sent."""
    care.edit("care.yaml", f"[{CORRECT}, Instruction Following]", "[Toxicity]")
    care.edit("care.yaml", f"{{name: {CORRECT}, threshold: 82.4}}", "{name: Toxicity, threshold: null}")
    care("apply", "--yes")
    care("plan", "--detailed-exitcode")
    care("apply", "--yes")
    assert account.case()["version"] == 1


@pytest.mark.parametrize("omit_zeros", [False, True], ids=["zeros", "no zeros"])
def test_a_threshold_of_zero_is_written_once(omit_zeros: bool, care: Any, account: Any) -> None:
    """protobuf's JSON may leave a zero out: no second version of the test case, and no more runs that cost."""
    account.renew(omit_zeros=omit_zeros)
    care.edit("care.yaml", f"[{CORRECT}, Instruction Following]", "[PII Leaks]")
    care.edit("care.yaml", f"name: {CORRECT}, threshold: 82.4", "name: PII Leaks, threshold: 0")
    care("apply", "--yes", "--evaluate")
    care("plan", "--detailed-exitcode")
    account.platform.seen.clear()
    care("apply", "--yes", "--evaluate")
    assert account.writes == []


@pytest.mark.parametrize("omit_zeros", [False, True], ids=["zeros", "no zeros"])
def test_a_threshold_made_by_hand_in_percent_is_the_same_in_the_metrics_unit(
    omit_zeros: bool, care: Any, account: Any
) -> None:
    """80 percent of 0 to 1 is 0.8: neither a difference, nor a zero that a manifest may ask for unnoticed."""
    account.renew(omit_zeros=omit_zeros)
    care.edit("care.yaml", f"name: {CORRECT}, threshold: 82.4", "name: Instruction Following, threshold: 0.8")
    care("apply", "--yes")
    (case,) = account.api("GET", "/evaluation_test_cases")["evaluation_test_cases"]
    star = {"metric_uuid": case["star_metric"]["metric_uuid"], "success_threshold_pct": 80}
    account.api("PUT", f"/evaluation_test_cases/{case['test_case_uuid']}", {"star_metric": star})
    care("plan", "--detailed-exitcode")
    care.edit("care.yaml", "threshold: 0.8", "threshold: 0")
    assert "starMetric.threshold: 0.8 -> 0" in " ".join(care("plan", "--detailed-exitcode", code=2).words.split())


def test_a_range_that_begins_at_zero_is_known_where_zeros_are_left_out(care: Any, account: Any) -> None:
    account.renew(omit_zeros=True)
    care.edit("care.yaml", "82.4", "100.5")
    assert f'100.5 is outside the range of "{CORRECT}": 0 to 100' in refused(care)


def test_a_lower_threshold_is_a_loosened_one(care: Any) -> None:
    care("apply", "--yes")
    care.edit("care.yaml", "82.4", "80")
    assert "starMetric.threshold: 82.4 -> 80.0 LOOSENED" in care("plan").words
    care.edit("care.yaml", "threshold: 80", "threshold: 90")
    assert "starMetric.threshold: 82.4 -> 90.0 TIGHTENED" in care("plan").words


def test_for_a_metric_where_less_is_better_a_higher_threshold_is_the_looser_one(care: Any) -> None:
    care.edit("care.yaml", f"[{CORRECT}, Instruction Following]", "[PII Leaks]")
    care.edit("care.yaml", f"{{name: {CORRECT}, threshold: 82.4}}", "{name: PII Leaks, threshold: 5}")
    care("apply", "--yes")
    care.edit("care.yaml", "threshold: 5", "threshold: 10")
    assert "starMetric.threshold: 5 -> 10 LOOSENED" in care("plan").words


def test_an_update_stops_when_somebody_made_a_version_since_the_plan(care: Any, account: Any) -> None:
    """There is no If-Match: the version is read again just before the PUT."""
    care("apply", "--yes")
    case = account.case()["test_case_uuid"]
    care.edit("care.yaml", "82.4", "90")
    path = f"/evaluation_test_cases/{case}"
    account.platform.meanwhile("GET", f"/v2/gen-ai{path}", lambda: account.api("PUT", path, {"description": "Mine"}))
    ended = care("apply", "--yes", code=4)
    assert "somebody made version 2 of it while version 1 was planned" in ended.words
    assert "plan again, and look at what they changed" in ended.words
    assert (account.case()["description"], account.case()["version"]) == ("Mine", 2)


LOST_UPDATE = {"method": "PUT", "path": "/v2/gen-ai/evaluation_test_cases/*", "nth": 1}


@pytest.mark.parametrize(
    "lost",
    [{"action": "drop-after"}, {"action": "status", "status": 503, "when": "after"}],
    ids=["no answer", "503"],
)
def test_an_update_whose_answer_was_lost_is_looked_for_and_makes_one_version(
    lost: Doc, care: Any, account: Any
) -> None:
    """Each PUT makes a version, which all runs so far say nothing about."""
    care("apply", "--yes")
    care.edit("care.yaml", "82.4", "90")
    account.platform.seen.clear()
    account.platform.fail({**LOST_UPDATE, **lost})
    assert "Apply: 1 done.  (1 updated)" in care("apply", "--yes").out
    assert (account.case()["version"], account.writes) == (2, ["PUT evaluation_test_cases"])
    care("plan", "--detailed-exitcode")


def test_an_update_that_nobody_can_tell_about_is_not_sent_twice(care: Any, account: Any) -> None:
    """It may still arrive; the next run looks first."""
    care("apply", "--yes")
    care.edit("care.yaml", "82.4", "90")
    account.platform.seen.clear()
    account.platform.fail({**LOST_UPDATE, "action": "drop-before"})
    assert "whether it was carried out is not known" in care("apply", "--yes", code=4).words
    assert (account.case()["version"], account.writes) == (1, ["PUT evaluation_test_cases"])
    care("apply", "--yes")
    assert account.case()["version"] == 2


def test_a_version_of_somebody_else_is_not_taken_for_a_lost_update(care: Any, account: Any) -> None:
    care("apply", "--yes")
    care.edit("care.yaml", "82.4", "90")
    path = f"/evaluation_test_cases/{account.case()['test_case_uuid']}"
    account.platform.fail({**LOST_UPDATE, "action": "drop-before"})
    account.platform.meanwhile("PUT", f"/v2/gen-ai{path}", lambda: account.api("PUT", path, {"description": "Mine"}))
    assert "whether it was carried out is not known" in care("apply", "--yes", code=4).words
    assert (account.case()["description"], account.case()["version"]) == ("Mine", 2)


def test_a_forgotten_test_case_can_be_taken_over_again(care: Any, account: Any) -> None:
    """Removing says what stays; declaring it again shows it, and makes no second one."""
    whole = text_of(care, "care.yaml")
    care("apply", "--yes")
    uuid = account.case()["test_case_uuid"]
    care.write("care.yaml", whole.partition("  testCases:")[0])
    shown = care("plan").words
    assert ". digitalocean.EvaluationTestCase/care/Answers are correct" in shown
    assert f"the platform cannot remove evaluation test cases; {uuid} stays there" in shown
    assert "Apply: 1 done.  (1 forgotten)" in care("apply", "--yes").out
    care.write("care.yaml", whole)
    care("apply", "--yes", "--adopt")
    assert account.case()["test_case_uuid"] == uuid
    care("plan", "--detailed-exitcode")


def test_a_test_case_that_was_archived_by_hand_is_made_again(care: Any, account: Any) -> None:
    care("apply", "--yes")
    archived = account.case()["test_case_uuid"]
    account.console.archive(archived)
    assert "it was removed at the platform" in care("plan").words
    care("apply", "--yes")
    assert account.case()["test_case_uuid"] != archived
    care("plan", "--detailed-exitcode")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"evaluation_test_cases":', '"test_cases":', "the answer holds no list of evaluation_test_cases"),
        ('"test_case_uuid":', '"uuid":', "the answer lists evaluation_test_cases without test_case_uuid"),
        ('"evaluation_datasets":', '"datasets":', "the answer holds no list of evaluation_datasets"),
        ('"dataset_uuid":', '"uuid":', "the answer lists evaluation_datasets without dataset_uuid"),
        ('"dataset_name":', '"name":', "it has no name"),
        ('"workspaces":', '"items":', "the answer holds no list of workspaces"),
    ],
)
def test_a_list_of_another_form_is_no_empty_list(old: str, new: str, said: str, care: Any, account: Any) -> None:
    """What cannot be read is not taken for gone: a test case that is made twice can never be deleted."""
    care("apply", "--yes")
    account.platform.seen.clear()
    account.platform.door = Replacing(account.platform.app, old, new)
    assert said in care("apply", "--yes", code=1).words
    assert account.writes == []
    account.platform.door = account.platform.app
    care("plan", "--detailed-exitcode")


@pytest.mark.parametrize("path", ["workspaces", "workspaces/*/evaluation_test_cases", "evaluation_datasets"])
def test_an_error_that_is_answered_as_data_is_no_empty_list(path: str, care: Any, account: Any) -> None:
    care("apply", "--yes")
    account.platform.seen.clear()
    error = {"id": "server_error", "message": "upstream timed out"}
    account.platform.door = Answering(account.platform.app, f"{GEN_AI}/{path}", error)
    assert "the answer holds no list of" in care("apply", "--yes", code=1).words
    assert account.writes == []


@pytest.mark.parametrize("answer", [{}, {"meta": {"page": 1}}, {"evaluation_test_cases": []}])
def test_an_empty_list_alone_does_not_make_a_test_case_anew(answer: Doc, care: Any, account: Any) -> None:
    """The platform is asked for it by its id, and only where a list leaves it out."""
    care("apply", "--yes")
    case = account.case()["test_case_uuid"]
    one = ("GET", f"{GEN_AI}/evaluation_test_cases/{case}")
    account.platform.seen.clear()
    care("plan", "--detailed-exitcode")
    assert one not in account.platform.seen
    path = f"{GEN_AI}/workspaces/*/evaluation_test_cases"
    account.platform.door = Answering(account.platform.app, path, answer)
    for command in (("plan",), ("drift",), ("apply", "--yes")):
        said = care(*command, code=1).words
        assert "the list leaves out digitalocean.EvaluationTestCase/care/Answers are correct" in said
        assert f"which is there by its id ({case})" in said
    assert account.writes == []
    assert account.platform.seen.count(one) == 3
    account.platform.door = account.platform.app
    care("plan", "--detailed-exitcode")


def test_the_vendors_own_client_sees_what_we_made(care: Any, account: Any) -> None:
    care("apply", "--yes")
    token = care.environ["DIGITALOCEAN_TOKEN"]
    genai = Client(token=token, endpoint=account.platform.url).genai
    listed = genai.list_evaluation_test_cases_by_workspace(account.workspace(), enforce_https=False)
    (case,) = listed["evaluation_test_cases"]
    assert (case["name"], case["dataset"]["row_count"], case["star_metric"]["name"]) == (
        "Answers are correct", 2, CORRECT,
    )  # fmt: skip


def test_a_lost_state_and_other_content_make_a_generation_beside_the_one_that_is_there(care: Any, account: Any) -> None:
    """It may be somebody else's, so it is neither changed nor deleted; asked for with --adopt, as all that is there."""
    care("apply", "--yes")
    (first,), case = account.datasets(), account.case()["test_case_uuid"]
    care("state", "rm", "*")
    care.write("faq.csv", MORE)
    ended = care("plan", code=3).words
    assert "it differs in file, which cannot be changed in place" in ended
    assert "hint: --adopt makes another one beside it; for the one that is there, take what reconciler export" in ended
    assert f"note: {first['dataset_uuid']} of this name stays: it is not ours" in care("plan", "--adopt").words
    assert "Apply: 2 done.  (1 created, 1 adopted)" in care("apply", "--yes", "--adopt").out
    (newer,) = [each for each in account.datasets() if each != first]
    assert newer["dataset_name"] == named(MORE)
    assert account.case()["test_case_uuid"] == case
    assert account.case()["dataset"]["dataset_uuid"] == newer["dataset_uuid"]
    care("plan", "--detailed-exitcode")
    care("apply", "--yes")
    assert first in account.datasets()


def test_a_generation_beside_a_strangers_whose_upload_was_never_answered_is_not_made_twice(
    care: Any, account: Any
) -> None:
    care("apply", "--yes")
    care("state", "rm", "*")
    care.write("faq.csv", MORE)
    lists = {"method": "GET", "path": "/v2/gen-ai/evaluation_datasets*", "action": "status", "status": 404}
    account.platform.fail(
        {"method": "POST", "path": "/v2/gen-ai/evaluation_datasets", "action": "drop-after"},
        {**lists, "nth": list(range(2, 10))},
    )
    care("apply", "--yes", "--adopt", code=4)
    account.platform.fail()
    care("apply", "--yes", "--adopt")
    assert sorted(each["dataset_name"] for each in account.datasets()) == sorted([named(FAQ), named(MORE)])
    care("plan", "--detailed-exitcode")


# ---------------------------------------------------------------------------------------------- workspaces


MANAGED = """
    apiVersion: digitalocean/v1
    kind: Workspace
    metadata: {name: ours}
    spec:
      managed: true
      description: For experiments
"""


def test_a_managed_workspace_is_made_changed_and_deleted_only_on_request(care: Any, account: Any) -> None:
    care.write("ours.yaml", MANAGED)
    assert "+ digitalocean.Workspace/ours" in care("apply", "--yes").words
    uuid = account.workspace("ours")
    care.edit("ours.yaml", "For experiments", "For trials")
    assert "Apply: 1 done.  (1 updated)" in care("apply", "--yes").out
    shown = account.api("GET", f"/workspaces/{uuid}")["workspace"]
    assert (shown["name"], shown["description"].partition(" [")[0]) == ("ours", "For trials")
    (Path(care.folder) / "ours.yaml").unlink()
    assert "it stays at the platform" in care("apply", "--yes").words
    assert account.workspace("ours") == uuid
    care("apply", "--yes", "--ack", "delete=1")
    with pytest.raises(KeyError):
        account.workspace("ours")
    care("plan", "--detailed-exitcode")


def test_a_list_that_leaves_a_workspace_out_does_not_make_it_anew(care: Any, account: Any) -> None:
    care.write("ours.yaml", MANAGED)
    care("apply", "--yes")
    account.platform.seen.clear()
    others = [each for each in account.api("GET", "/workspaces")["workspaces"] if each["name"] != "ours"]
    account.platform.door = Answering(account.platform.app, f"{GEN_AI}/workspaces", {"workspaces": others})
    ended = care("apply", "--yes", code=1).words
    assert "the list leaves out digitalocean.Workspace/ours, which is there by its id" in ended
    assert account.writes == []


def test_a_workspace_that_is_only_looked_up_from_now_on_is_forgotten_not_deleted(care: Any, account: Any) -> None:
    care.write("ours.yaml", MANAGED.replace("\n      description: For experiments", ""))
    care("apply", "--yes")
    care.edit("ours.yaml", "managed: true", "managed: false")
    assert "only looked up from now on" in care("apply", "--yes").words
    assert account.workspace("ours")
    care("plan", "--detailed-exitcode")


def test_a_looked_up_workspace_is_never_removed(care: Any, account: Any) -> None:
    care("apply", "--yes")
    ended = care("destroy", "--yes")
    assert "digitalocean.Workspace" not in ended.text
    assert account.workspace("care")


@pytest.mark.parametrize("former", ["", ", renamedFrom: care"], ids=["unsaid", "said"])
def test_a_looked_up_workspace_that_was_renamed_keeps_what_is_in_it(former: str, care: Any, account: Any) -> None:
    """The memory moves, nothing is made twice; it is followed from name to name, also while something changes."""
    care("apply", "--yes")
    before, uuid = account.case(), account.workspace()
    account.api("PUT", f"/workspaces/{uuid}", {"workspace_uuid": uuid, "name": "help"})
    care.edit("care.yaml", "{name: care}", f"{{name: help{former}}}")
    care.edit("care.yaml", "82.4", "80")
    account.platform.seen.clear()
    assert "1 to rename" in care("plan").out
    care("apply", "--yes")
    assert account.writes == ["PUT evaluation_test_cases"]
    cases = account.api("GET", f"/workspaces/{uuid}/evaluation_test_cases")["evaluation_test_cases"]
    assert {each["test_case_uuid"] for each in cases} == {before["test_case_uuid"]}
    care("plan", "--detailed-exitcode")
    listed = care("state", "list").out
    assert "digitalocean.EvaluationTestCase/help/Answers are correct" in listed
    assert "digitalocean.Workspace" not in listed  # looked up, as before


def test_a_renamed_workspace_is_followed_before_anything_is_rolled_back(care: Any, account: Any) -> None:
    """What the roll-back puts back stands where it stands now."""
    care("apply", "--yes")
    before, uuid = account.case(), account.workspace()
    account.api("PUT", f"/workspaces/{uuid}", {"workspace_uuid": uuid, "name": "help"})
    care.edit("care.yaml", "{name: care}", "{name: help}")
    care.edit("care.yaml", "82.4", "90")
    care.edit("care.yaml", "agents: [bot]", "agents: [canary]")
    assert "what was changed was put back" in care("apply", "--yes", "--evaluate", "--rollback", code=8).words
    (after,) = account.api("GET", f"/workspaces/{uuid}/evaluation_test_cases")["evaluation_test_cases"]
    assert after["test_case_uuid"] == before["test_case_uuid"]
    assert after["star_metric"]["success_threshold"] == before["star_metric"]["success_threshold"]
    care.edit("care.yaml", "threshold: 90", "threshold: 82.4")
    assert 'agents: ["bot"] -> ["canary"] MOVED' in care("plan", "--detailed-exitcode", code=2).words
    care.edit("care.yaml", "agents: [canary]", "agents: [bot]")
    care("plan", "--detailed-exitcode")


def test_nothing_is_deleted_that_a_forgotten_test_case_needs(care: Any, account: Any) -> None:
    """The test case stays at the platform, and with it its dataset and its workspace."""
    care.edit("care.yaml", "{name: care}", "{name: ours}")
    care.edit("care.yaml", "spec:\n", "spec:\n  managed: true\n")
    care.write("care.yaml", text_of(care, "care.yaml").partition("  runs:")[0])
    care("apply", "--yes")
    (dataset,) = account.datasets()
    words = care("destroy", "--yes").words
    stays = "it cannot go while this stays: digitalocean.EvaluationTestCase/ours/Answers are correct"
    assert words.count(stays) == 2
    assert "1 to forget" in words
    assert account.datasets() == [dataset]
    assert account.workspace("ours")


def test_a_forgotten_test_case_loosens_as_an_archived_test_does(care: Any) -> None:
    """It stays at the platform, and holds nobody to anything any more."""
    care("apply", "--yes")
    care.write("care.yaml", text_of(care, "care.yaml").partition("  testCases:")[0])
    words = care("plan", "--deny", "loosened", code=3).words
    assert "digitalocean.EvaluationTestCase/care/Answers are correct" in words
    assert "forget: loosened, which is denied here" in words
    assert "1 to forget (1 loosened)" in words
    assert "1 forgotten" in care("apply", "--yes", "--ack", "loosen=2").words  # and the run of it


def test_a_dataset_that_another_workspace_uses_is_not_deleted(care: Any, account: Any) -> None:
    """Datasets belong to the account, so somebody whom we never look at may use one."""
    care("apply", "--yes")
    case, elsewhere = account.case(), account.api("POST", "/workspaces", {"name": "others"})["workspace"]["uuid"]
    metric = case["star_metric"]["metric_uuid"]
    theirs = {"name": "Theirs", "metrics": [metric], "star_metric": {"metric_uuid": metric, "success_threshold": 50}}
    dataset = case["dataset"]["dataset_uuid"]
    account.api("POST", "/evaluation_test_cases", {**theirs, "dataset_uuid": dataset, "workspace_uuid": elsewhere})
    care.write("faq.csv", MORE)
    ended = care("apply", "--yes", "--ack", "delete=1", code=4)
    assert 'the dataset is in use by "Theirs"' in ended.words
    assert dataset in {each["dataset_uuid"] for each in account.datasets()}


# ------------------------------------------------------------------------------------------------ overrides


def test_an_environment_may_have_another_threshold(care: Any, account: Any) -> None:
    care.write(
        "environments.yaml",
        """
        apiVersion: reconciler/v1
        kind: Environment
        metadata: {name: staging}
        spec:
          overrides:
            - match: {workspace: care, evaluationTestCase: Answers are correct}
              set: {starMetric: {threshold: 50}}
        """,
    )
    care("apply", "--env", "staging", "--yes")
    assert account.case()["star_metric"]["success_threshold"] == 50
    plan = json.loads(care("plan", "--env", "staging", "--format", "json").out)
    assert plan["steps"] == []


# -------------------------------------------------------------------------------------------------- export


SPACES = "/spaces/*"


@pytest.fixture
def made(care: Any) -> Any:
    """The workspace applied, and nobody remembers it or has its files."""
    care("apply", "--yes")
    care("state", "rm", "*")
    for name in ("care.yaml", "faq.csv"):
        (Path(care.folder) / name).unlink()
    return care


@pytest.mark.parametrize("select", [(), ("--select", "care")], ids=["all", "one"])
def test_an_exported_workspace_comes_with_the_files_of_its_datasets(
    select: tuple[str, ...], made: Any, account: Any
) -> None:
    """Byte for byte, so that there is nothing to be changed; also where only one workspace is asked for."""
    account.upload("somebody's", "query\nWho?\n")
    older = account.upload(named(MORE), MORE)
    ended = made("export", "--out", "live", "--adopt", *select, OPENLAYER_API_KEY="")
    assert text_of(made, "live/faq.csv") == FAQ
    assert "live/care.yaml" in ended.out
    assert "live/faq.csv" in ended.out
    assert (f"nothing names it ({older})" in ended.err) == (not select)
    made("plan", "live", "--detailed-exitcode")
    assert "live/care.yaml is there already" in made("export", "--out", "live", OPENLAYER_API_KEY="", code=64).err


def test_a_dataset_is_written_beside_the_test_cases_that_name_it(made: Any, account: Any) -> None:
    """So each document is valid by itself, where no two workspaces share one."""
    account.api("POST", "/workspaces", {"name": "abacus"})
    case = account.case()
    body = {
        "name": "Others",
        "dataset_uuid": account.upload("sums", "query\nHow many?\n"),
        "metrics": [each["metric_uuid"] for each in case["metrics"]],
        "star_metric": {"metric_uuid": case["star_metric"]["metric_uuid"], "success_threshold": 1},
        "workspace_uuid": account.workspace("abacus"),
    }
    account.api("POST", "/evaluation_test_cases", body)
    made("export", "--out", "live", "--adopt", OPENLAYER_API_KEY="")
    for name in ("abacus", "care"):
        made("validate", f"live/{name}.yaml")
    assert "sums.csv" in text_of(made, "live/abacus.yaml")
    made("plan", "live", "--detailed-exitcode")


def test_a_dataset_that_is_not_in_the_state_is_not_said_to_be_somebody_elses(care: Any) -> None:
    """It carries no mark, so nothing tells who made it; what does carry one is told by that."""
    care("apply", "--yes")
    care("state", "rm", "*")
    told = care("plan", "--adopt").words
    assert "EvaluationDataset/faq an object of this name is there, and not in this state" in told
    assert "Answers are correct an object of this name was made by a run of reconciler that this state does not" in told
    assert "somebody else" not in told


def test_a_file_that_can_not_be_had_is_told_and_exits_4(made: Any, account: Any) -> None:
    """What names it is left out with it; the rest is written and loads."""
    account.platform.fail({"method": "GET", "path": SPACES, "action": "status", "status": 403})
    ended = made("export", "--out", "live", OPENLAYER_API_KEY="", code=4)
    assert 'EvaluationDataset/faq was left out: its "file" is not at hand: GET ' in ended.words
    assert "the download was refused (403)" in ended.words
    assert 'Answers are correct was left out: its "dataset" names "faq"' in ended.words
    made("validate", "live")


def test_two_contents_under_one_name_are_not_mixed_up(made: Any, account: Any) -> None:
    """A manifest can tell only one of them, and a test case that names the other is left out."""
    case = account.case()
    other = account.upload(named(MORE), MORE)
    body = {
        "name": "Zero",
        "dataset_uuid": other,
        "metrics": [each["metric_uuid"] for each in case["metrics"]],
        "star_metric": {"metric_uuid": case["star_metric"]["metric_uuid"], "success_threshold": 1},
        "workspace_uuid": account.workspace(),
    }
    account.api("POST", "/evaluation_test_cases", body)
    ended = made("export", "--out", "live", "--adopt", OPENLAYER_API_KEY="", code=4)
    assert "EvaluationDataset/faq stands there twice" in ended.words
    assert "was left out: let what names it name the other one, and export again" in ended.words
    assert "was left out: it names" in ended.words
    assert "; let it name the one that was written" in ended.words
    made("plan", "live", "--detailed-exitcode")


def test_what_would_not_be_valid_with_its_file_is_left_out(made: Any, account: Any) -> None:
    """The platform takes a metric that compares for a dataset without answers; a manifest cannot say so."""
    case = account.case()
    known = {each["metric_name"]: each["metric_uuid"] for each in account.api("GET", "/evaluation_metrics")["metrics"]}
    body = {
        "name": "Zero",
        "dataset_uuid": account.upload("questions", "query\nWhere?\n"),
        "metrics": [known[CORRECT], known["Ground Truth Faithfulness"]],
        "star_metric": {"metric_uuid": case["star_metric"]["metric_uuid"], "success_threshold": 1},
        "workspace_uuid": account.workspace(),
    }
    account.api("POST", "/evaluation_test_cases", body)
    ended = made("export", "--out", "live", "--adopt", OPENLAYER_API_KEY="", code=4)
    assert 'EvaluationTestCase/care/Zero was left out: its "metrics" is not valid: "Ground Truth' in ended.words
    assert "testCases:" in text_of(made, "live/care.yaml")
    made("plan", "live", "--detailed-exitcode")


def test_a_file_that_would_not_be_valid_is_left_out(made: Any, account: Any) -> None:
    """Written without its mark it would be another dataset, and the plan not empty."""
    marked = account.upload("marked", "\ufeffid,query\n1,Where?\n")
    case = account.case()["test_case_uuid"]
    account.api("PUT", f"/evaluation_test_cases/{case}", {"dataset_uuid": marked})
    ended = made("export", "--out", "live", "--adopt", OPENLAYER_API_KEY="", code=4)
    assert "EvaluationDataset/marked was left out: " in ended.words
    assert "line 1: the file begins with a byte-order mark" in ended.words
    made("plan", "live", "--detailed-exitcode")


def test_a_file_that_is_not_what_the_platform_shows_is_left_out(made: Any, account: Any) -> None:
    account.platform.door = Replacing(account.platform.door, "On its way", "Lost for ever")
    ended = made("export", "--out", "live", OPENLAYER_API_KEY="", code=4)
    assert "the platform gives another content than it shows" in ended.words
