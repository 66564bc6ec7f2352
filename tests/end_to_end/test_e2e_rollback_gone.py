"""``apply --evaluate --rollback`` where an object of before is gone for good: that is told, and the rest put back."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.end_to_end.conftest import FAQ

Doc = dict[str, Any]
DAY = ("--from", "2026-11-10", "--to", "2026-11-11")
TRY = ("apply", "--yes", "--evaluate", "--rollback", *DAY)
GOES = ", lifecycle: {onRemoval: delete}}"


def state(cli: Any) -> Doc:
    return dict(json.loads((cli.folder / ".reconciler" / "default.state.json").read_text()))


def ids(cli: Any) -> dict[str, str]:
    return {address: entry["remote_id"] for address, entry in state(cli)["entries"].items()}


# ------------------------------------------------------------------------------------------ what names it


def bot_with(pipelines: str, targets: str, least: int) -> str:
    return f"""
        apiVersion: openlayer/v1
        kind: Project
        metadata: {{name: bot}}
        spec:
          taskType: llm-base
          pipelines: [{pipelines}]
          tests:
            - name: Rows arrive
              type: integrity
              subtype: rowCount
              evaluationWindow: 24h
              {targets}
              thresholds: [{{insightName: metrics, measurement: rowCount, operator: ">=", value: {least}}}]
    """


@pytest.mark.parametrize(
    ("before", "left"),
    [
        ("pipelines: [old]", {"includePipelines": []}),
        ("pipelines: [live, old]", {"includePipelines": ["live"]}),
        ("excludePipelines: [old]", {"excludePipelines": []}),
    ],
)
def test_a_test_whose_pipeline_was_deleted_is_put_back_but_for_that(
    before: str, left: Doc, cli: Any, platform: Any
) -> None:
    """Exit 9 naming the field and the pipeline; the old test is in use with its old limit, also after another try."""
    cli.write("bot.yaml", bot_with("{name: live}, {name: old" + GOES, before, 1))
    cli("apply", "--yes")
    was = platform.tests("bot")["Rows arrive"]["id"]
    cli.write("bot.yaml", bot_with("{name: live}", "pipelines: [live]", 9))
    field = before.partition(":")[0]
    for _ in range(2):
        ended = cli(*TRY, code=9)
        assert f"{field} named openlayer.InferencePipeline/bot/old, which is gone" in ended.words
        assert "with your key" not in ended.words
        (test,) = (each for each in platform.tests("bot").values() if not each["archived"])
        assert (test["id"], test["thresholds"][0]["value"]) == (was, 1)
        names = {each["id"]: name for name, each in platform.pipelines("bot").items()}
        assert {name: [names[each] for each in test[name] or []] for name in left} == left
        assert state(cli)["in_doubt"] == {}
        assert ids(cli)["openlayer.Test/bot/monitoring/Rows arrive"] == was
    cli("apply", "--yes")
    cli("plan", "--detailed-exitcode")


# ------------------------------------------------------------------------------------------ what was replaced for good


@pytest.fixture
def fails(care: Any) -> Any:
    """A dataset that goes once it is replaced, with a test case whose gate held; now it has other content, and the
    agent that is judged is never right.
    """
    care.edit("care.yaml", "file: faq.csv}", "file: faq.csv" + GOES)
    care("apply", "--yes", "--evaluate")
    care.write("faq.csv", FAQ + "Who are you?,A shop\n")
    care.edit("care.yaml", "agents: [bot]", "agents: [canary]")
    return care


def test_a_test_case_whose_dataset_was_deleted_under_its_former_name_is_put_back_but_for_that(
    fails: Any, account: Any
) -> None:
    """It stays on the new dataset, which is ours as before; everything else of it is as it was."""
    fails.edit("care.yaml", "- {name: faq,", "- {name: faq2, renamedFrom: faq,")
    fails.edit("care.yaml", "dataset: faq", "dataset: faq2")
    fails.edit("care.yaml", "threshold: 82.4", "threshold: 90")
    for _ in range(2):
        ended = fails(*TRY, code=9)
        assert "dataset named digitalocean.EvaluationDataset/faq, which is gone" in ended.words
        assert "with your key" not in ended.words
        (dataset,) = account.datasets()
        assert account.case()["dataset_uuid"] == dataset["dataset_uuid"]
        assert account.case()["star_metric"]["success_threshold"] == pytest.approx(82.4)
    fails.edit("care.yaml", "agents: [canary]", "agents: [bot]")
    fails(*TRY)
    fails("plan", "--detailed-exitcode")


def test_a_dataset_that_was_deleted_for_good_is_told_and_the_one_in_its_place_stays_ours(
    fails: Any, account: Any
) -> None:
    """The manifests of before make another one, and nobody has to help."""
    for _ in range(2):
        ended = fails(*TRY, code=9)
        assert "was deleted for good; what took its place stays" in ended.words
        (dataset,) = account.datasets()
        assert ids(fails)["digitalocean.EvaluationDataset/faq"] == dataset["dataset_uuid"]
        assert account.case()["dataset_uuid"] == dataset["dataset_uuid"]
    fails.write("faq.csv", FAQ)
    fails.edit("care.yaml", "agents: [canary]", "agents: [bot]")
    fails(*TRY)
    fails("plan", "--detailed-exitcode")


# ------------------------------------------------------------------------------------------ what stays beside it


@pytest.mark.parametrize("renamed", [False, True], ids=["of its name", "renamed"])
def test_what_an_upload_brought_stays_ours_to_be_retired(renamed: bool, care: Any, account: Any) -> None:
    """The change is pending again, however often it is tried; nobody's twins are left behind."""
    care("apply", "--yes", "--evaluate")
    was = account.case()["dataset_uuid"]
    care.write("faq.csv", FAQ + "Who are you?,A shop\n")
    care.edit("care.yaml", "agents: [bot]", "agents: [canary]")
    if renamed:
        care.edit("care.yaml", "- {name: faq,", "- {name: faq2, renamedFrom: faq,")
        care.edit("care.yaml", "dataset: faq", "dataset: faq2")
    for _ in range(2):
        care(*TRY, code=8)
        assert account.case()["dataset_uuid"] == was
        remembered = state(care)["entries"]["digitalocean.EvaluationDataset/faq"]
        others = sorted({each["dataset_uuid"] for each in account.datasets()} - {was})
        assert (remembered["remote_id"], sorted(remembered["retiring"])) == (was, others)
    care.edit("care.yaml", "agents: [canary]", "agents: [bot]")
    care("apply", "--yes", "--evaluate", "--ack", "delete=3")
    assert [each["dataset_uuid"] for each in account.datasets()] == [account.case()["dataset_uuid"]]
    care("plan", "--detailed-exitcode")


# ------------------------------------------------------------------------------------------ what is told beforehand


def test_the_plan_that_is_shown_is_the_one_that_was_saved(fails: Any) -> None:
    """With the warnings about what cannot be rolled back, its digest is that of what it says."""
    fails("plan", "--rollback", "--out", "plan.json")
    saved = json.loads((fails.folder / "plan.json").read_text())
    shown = json.loads(fails(*TRY, "--plan", "plan.json", "--format", "json", code=9).out)["plan"]
    assert "cannot be rolled back" in json.dumps(saved["warnings"])
    assert shown == saved
