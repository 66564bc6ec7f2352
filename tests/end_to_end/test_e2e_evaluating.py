"""From rows to an exit code: evaluations are triggered, waited for and judged; what cannot be judged fails."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest

Doc = dict[str, Any]
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()
DAY = ("--from", "2026-11-10", "--to", "2026-11-11")


@pytest.fixture
def measured(bot: Any, platform: Any) -> Any:
    """The project applied, and rows of one day on both pipelines: three live ones, two on the canary."""
    bot("apply", "--yes")
    stream(platform, {"live": ["yes", "no", "maybe"], "canary": ["yes", "no"]})
    platform.seen.clear()
    return bot


def stream(platform: Any, answers: dict[str, list[str]]) -> None:
    """Rows of one noon, by pipeline."""
    for name, texts in answers.items():
        rows = [{"output": text, "at": NOON + number} for number, text in enumerate(texts)]
        body = {"config": {"outputColumnName": "output", "timestampColumnName": "at"}, "rows": rows}
        platform.api("POST", f"/inference-pipelines/{platform.pipelines('bot')[name]['id']}/data-stream", body)


def verdicts(result: Any) -> dict[tuple[str, str], str]:
    """(test, pipeline) -> level."""
    found = json.loads(result.out)["verdicts"]
    return {(item["address"].rpartition("/")[2], item["pipeline"]): item["level"] for item in found}


def test_everything_passes(measured: Any, platform: Any) -> None:
    """One verdict for each test on each pipeline that it runs on; exit 0; one trigger for each."""
    ended = measured("evaluate", *DAY, "--format", "json")
    assert verdicts(ended) == {
        ("Rows arrive", "canary"): "pass",
        ("Rows arrive", "live"): "pass",
        ("Answers are short", "live"): "pass",
    }
    assert sorted(path.rpartition("/")[2] for method, path in platform.writes) == ["evaluate", "evaluate"]


def test_where_a_test_made_by_hand_runs_is_what_the_platform_says(measured: Any, platform: Any) -> None:
    """No manifest has ever said where, so nothing is expected elsewhere; what a manifest said once is its affair."""
    threshold = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 2}
    body = {
        "name": "By hand", "description": None, "type": "integrity", "subtype": "rowCount", "evaluationWindow": 86_400,
        "thresholds": [threshold], "usesProductionData": True, "defaultToAllPipelines": False,
        "includePipelines": [platform.pipelines("bot")["live"]["id"]],
    }  # fmt: skip
    platform.api("POST", f"/projects/{platform.projects()['bot']['id']}/tests", body)
    item = "    - {name: By hand, type: integrity, subtype: rowCount, pipelines: [live], thresholds:"
    item += ' [{insightName: metrics, measurement: rowCount, operator: ">=", value: 2}]}\n'
    unsaid = item.replace("pipelines: [live], ", "")
    measured.edit("bot.yaml", "  tests:\n", f"  tests:\n{unsaid}")
    measured("apply", "--yes", "--adopt")
    assert "No changes" in measured("plan").out
    only = ("--select", "*/By hand", "--format", "json")
    assert verdicts(measured("evaluate", *DAY, *only)) == {("By hand", "live"): "pass"}
    assert verdicts(measured("status", *only)) == {("By hand", "live"): "pass"}
    measured.edit("bot.yaml", unsaid, item)
    measured("apply", "--yes")
    measured.edit("bot.yaml", item, unsaid)  # back to all of them, with the next apply
    assert verdicts(measured("evaluate", *DAY, *only, code=5))["By hand", "canary"] == "fail"


def test_a_failing_gate_is_exit_5(measured: Any) -> None:
    """The table says what was measured and what was wanted, the worst first."""
    measured.edit("bot.yaml", "value: 2}]", "value: 3}]")
    measured("apply", "--yes")
    ended = measured("evaluate", *DAY, code=5)
    assert "Rows arrive" in ended.out
    lines = [line for line in ended.out.splitlines() if "Rows arrive" in line]
    assert "canary" in lines[0]
    assert ">= 3" in lines[0]
    assert verdicts(measured("status", "--format", "json", code=5))["Rows arrive", "canary"] == "fail"


def test_a_skipped_test_fails_with_the_platforms_reason(measured: Any) -> None:
    """A misspelt column: the platform skips, the gate does not."""
    measured.edit("bot.yaml", "column_name: output", "column_name: outptu")
    measured("apply", "--yes")
    ended = measured("evaluate", *DAY, code=5)
    assert "skipped" in ended.out
    assert 'no row has a column "outptu"' in ended.words


def test_no_rows_is_no_pass(bot: Any) -> None:
    """Nothing was streamed: nothing was measured, exit 5."""
    bot("apply", "--yes")
    ended = bot("evaluate", *DAY, "--format", "json", code=5)
    assert set(verdicts(ended).values()) == {"fail"}


def test_a_task_that_fails_is_told(measured: Any, platform: Any) -> None:
    """The background task of one evaluation fails: an error with its reason, exit 5."""
    platform.fail({"method": "POST", "path": "/v1/tests/*/evaluate", "nth": 1, "action": "task-fails"})
    ended = measured("evaluate", *DAY, code=5)
    assert "The task failed." in ended.words


def test_a_wait_that_is_too_long_can_be_taken_up_again(measured: Any, platform: Any) -> None:
    """--timeout ends the wait, not the evaluation; the next run waits for the same tasks and triggers nothing."""
    assert "being evaluated" in measured("evaluate", *DAY, "--no-wait").out
    assert len(platform.writes) == 2
    measured("evaluate", *DAY)
    assert len(platform.writes) == 2


def asked_for_results(platform: Any) -> list[str]:
    """What was asked for results since, in order, by what kind of thing."""
    found = [path.split("/")[1] for _, path in platform.seen if path.endswith("/results")]
    platform.seen.clear()
    return found


def test_status_reads_one_list_for_each_pipeline(measured: Any, platform: Any) -> None:
    """However many tests there are; one whose result is missing there is asked by itself."""
    measured("evaluate", *DAY, "--select", "*/Rows arrive")
    asked_for_results(platform)
    found = verdicts(measured("status", "--format", "json", code=5))
    assert found["Rows arrive", "live"] == found["Rows arrive", "canary"] == "pass"
    assert found["Answers are short", "live"] == "fail"
    assert sorted(asked_for_results(platform)) == ["inference-pipelines", "inference-pipelines", "tests"]
    measured("evaluate", *DAY)
    asked_for_results(platform)
    measured("status")
    assert asked_for_results(platform) == ["inference-pipelines", "inference-pipelines"]


def test_status_asks_one_test_rather_than_two_pipelines(measured: Any, platform: Any) -> None:
    measured("evaluate", *DAY)
    asked_for_results(platform)
    measured("status", "--select", "*/Rows arrive")
    assert asked_for_results(platform) == ["tests"]


@pytest.mark.parametrize("older", ["without the list", "with the past in the list"])
def test_status_asks_each_test_of_an_older_platform(older: str, bot: Any, platform: Any) -> None:
    """The verdicts are the same, also where a later window is worse than an earlier one."""
    platform.renew(database=bot.folder / "platform.db")
    bot("apply", "--yes")
    stream(platform, {"live": ["yes", "no", "maybe"], "canary": ["yes", "no"]})
    bot("evaluate", "--from", "2026-11-10", "--to", "2026-11-12", code=5)  # no rows on the second day
    before = verdicts(bot("status", "--format", "json", code=5))
    assert set(before.values()) == {"fail"}
    asked_for_results(platform)
    if older == "without the list":
        platform.fail({"path": "/v1/inference-pipelines/*/results", "action": "status", "status": 404})
    else:
        platform.renew(database=bot.folder / "platform.db", dialect="seed")
    assert verdicts(bot("status", "--format", "json", code=5)) == before
    asked = asked_for_results(platform)
    assert asked[:2] == ["inference-pipelines", "inference-pipelines"]
    assert set(asked[2:]) == {"tests"}


def test_status_before_and_after(measured: Any, platform: Any) -> None:
    """Before an evaluation nothing is recorded, which is no pass; afterwards it says the same, and triggers nothing."""
    assert set(verdicts(measured("status", "--format", "json", code=5)).values()) == {"fail"}
    evaluated = verdicts(measured("evaluate", *DAY, "--format", "json"))
    platform.seen.clear()
    assert verdicts(measured("status", "--format", "json")) == evaluated
    assert platform.writes == []


def test_what_was_applied_without_evaluating_is_said_to_be_unverified(bot: Any, platform: Any) -> None:
    """Until a gate has held for it: nothing is evaluated that nobody asked for, and nothing passes for verified."""
    again = ("apply", "--yes", "--evaluate", *DAY)
    warning = "warning: 2 tests that an earlier apply changed are not verified"
    bot("apply", "--yes")
    stream(platform, {"live": ["yes", "no", "maybe"], "canary": ["yes", "no"]})
    ended = bot(*again)
    assert "Nothing to evaluate: no test changed." in ended.err
    assert f"{warning} hint: reconciler evaluate --changed --overwrite" in ended.words
    bot("evaluate", *DAY, "--changed", "--select", "bot/monitoring/Rows*")  # not all of it
    assert warning in bot(*again).words
    bot.edit("bot.yaml", "value: 2}]", "value: 9}]")
    bot("apply", "--yes")
    bot("evaluate", *DAY, "--changed", code=5)  # what is there was measured by the test as it was, and misses it
    assert warning.replace("2 tests", "1 test").replace("are not", "is not") in bot(*again).words
    bot("evaluate", *DAY, "--changed", "--overwrite", code=5)
    assert "not verified" in bot(*again).words
    bot.edit("bot.yaml", "value: 9}]", "value: 1}]")
    bot("apply", "--yes")
    bot("evaluate", *DAY, "--changed", "--overwrite")
    assert "verified" not in bot(*again).words


def test_what_was_not_verified_stays_so_when_a_later_apply_verifies_something_else(bot: Any, platform: Any) -> None:
    """What is remembered to be verified is what the last apply changed: so it is said then, and for the last time."""
    bot("apply", "--yes")
    stream(platform, {"live": ["yes", "no", "maybe"], "canary": ["yes", "no"]})
    bot.edit("bot.yaml", "value: 2}]", "value: 1}]")
    ended = bot("apply", "--yes", "--evaluate", *DAY)
    assert "2 passed" in ended.out
    warning = "warning: 1 test that an earlier apply changed is not verified hint: reconciler evaluate --overwrite"
    assert warning in ended.words
    bot.edit("bot.yaml", "value: 1}]", "value: 2}]")
    assert "verified" not in bot("apply", "--yes", "--evaluate", *DAY).words


def test_apply_and_evaluate_in_one(bot: Any, platform: Any) -> None:
    """``apply --evaluate`` measures what changed until a gate has held, and then nothing while nothing changes."""
    assert "Apply: 5 done." in bot("apply", "--yes", "--evaluate", *DAY, code=5).out  # no rows yet
    assert "3 failed" in bot("apply", "--yes", "--evaluate", *DAY, code=5).out  # a second run does not let it pass
    stream(platform, {"live": ["yes", "no", "maybe"], "canary": ["yes", "no"]})
    assert "3 passed" in bot("apply", "--yes", "--evaluate", *DAY).out
    platform.seen.clear()
    assert "Nothing to evaluate: no test changed." in bot("apply", "--yes", "--evaluate").text
    assert platform.writes == []


def test_development_tests_are_left_out_by_name(measured: Any) -> None:
    """The API evaluates them when a commit is pushed: they are counted and the reason is told."""
    measured.edit("bot.yaml", "      pipelines: [live]\n      evaluationWindow: 24h\n", "      mode: development\n")
    measured("apply", "--yes")
    ended = measured("evaluate", *DAY)
    assert "1 test left out: the API evaluates monitoring tests only" in ended.words
