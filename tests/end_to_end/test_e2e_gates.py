"""Gates from the manifest to the exit code: runs that disagree, values that fall, tests that are known to be flaky."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.emulator.digitalocean.seed import Seed
from tests.end_to_end.conftest import CARE

Doc = dict[str, Any]
CORRECT = "Correctness (general hallucinations)"
COUNTED = "subtype: rowCount\n"


def day(number: int) -> tuple[str, ...]:
    """The options for one day of November."""
    return ("--select", "bot/*/Rows arrive", "--from", f"2026-11-{number:02}", "--to", f"2026-11-{number + 1:02}")


@pytest.fixture
def stream(platform: Any) -> Callable[[int, int], None]:
    """Sends so many rows of one day to both pipelines."""

    def send(number: int, rows: int) -> None:
        for pipeline in platform.pipelines("bot"):
            stream_to(platform, pipeline, number, rows)

    return send


def stream_to(platform: Any, pipeline: str, number: int, rows: int) -> None:
    """Send so many rows of one day to one pipeline."""
    noon = datetime(2026, 11, number, 12, tzinfo=UTC).timestamp()
    told = [{"output": "yes", "question": "Who?", "at": noon + each} for each in range(rows)]
    body = {"config": {"outputColumnName": "output", "timestampColumnName": "at"}, "rows": told}
    platform.api("POST", f"/inference-pipelines/{platform.pipelines('bot')[pipeline]['id']}/data-stream", body)


def counting(cli: Any, more: str) -> None:
    """Apply the project with more fields in the test that counts rows."""
    cli.edit("bot.yaml", COUNTED, f"{COUNTED}      {more}\n")
    cli("apply", "--yes")


def gate_of(result: Any) -> dict[str, Doc]:
    """Pipeline -> verdict on the test that counts rows."""
    return {each["pipeline"]: each for each in json.loads(result.out)["verdicts"]}


def flip(platform: Any, stream: Callable[[int, int], None]) -> None:
    """Between the first evaluation and the second, two rows arrive late: a test that failed passes from then on."""
    path = f"/tests/{platform.tests('bot')['Rows arrive']['id']}/evaluate"
    late = lambda: platform.meanwhile("POST", path, lambda: stream(10, 2))  # noqa: E731
    platform.meanwhile("POST", path, late)


def accept_a_fall(bot: Any, stream: Callable[[int, int], None]) -> None:
    """From four rows on the tenth to two on the eleventh, which is looked at once without comparing."""
    counting(bot, "regress: {maxDrop: 25%}")
    stream(10, 4)
    stream(11, 2)
    bot("evaluate", *day(10))
    bot("evaluate", *day(11), code=5)
    bot.edit("bot.yaml", "regress: {maxDrop: 25%}", "regress: null")
    bot("status", *day(11))
    bot.edit("bot.yaml", "regress: null", "regress: {maxDrop: 25%}")


# ------------------------------------------------------------------------------------------- runs


def test_a_test_that_flips_passes_when_enough_of_its_runs_do(bot: Any, platform: Any, stream: Any) -> None:
    counting(bot, "gate: {runs: 3, minPass: 2}")
    stream(10, 1)
    flip(platform, stream)
    ended = bot("evaluate", *day(10))
    assert [path.rpartition("/")[2] for _, path in platform.writes[-3:]] == ["evaluate"] * 3
    assert ended.out.count("2 of 3 runs passed") == 2, "on each pipeline"
    platform.seen.clear()
    again = gate_of(bot("status", *day(10), "--format", "json"))
    assert platform.writes == []
    assert again["live"]["runs"] == {"passed": 2, "known": 3, "wanted": 3, "min_pass": 2}


def test_a_test_that_flips_fails_when_all_of_its_runs_must_pass(bot: Any, platform: Any, stream: Any) -> None:
    counting(bot, "gate: {runs: 3}")
    stream(10, 1)
    flip(platform, stream)
    ended = bot("evaluate", *day(10), code=5)
    assert "2 of 3 runs passed (1 to 3), all must; misses the threshold" in ended.words


def test_a_single_look_at_what_must_be_measured_three_times_is_no_pass(bot: Any, stream: Any) -> None:
    bot("apply", "--yes")
    stream(10, 2)
    bot("evaluate", *day(10))
    counting(bot, "gate: {runs: 3, minPass: 2}")
    ended = bot("status", *day(10), code=5)
    assert "1 of 3 runs so far, 1 passed, at least 2 must" in ended.words


# ------------------------------------------------------------------------------------------- the past


def test_a_value_that_falls_fails_though_it_meets_the_threshold(bot: Any, stream: Any) -> None:
    counting(bot, "regress: {maxDrop: 25%}")
    stream(10, 4)
    stream(11, 2)
    first = gate_of(bot("evaluate", *day(10), "--format", "json"))
    assert (first["live"]["level"], first["live"]["why"]) == ("pass", "no baseline yet")
    ended = bot("evaluate", *day(11), code=5)
    assert "2 is 50 % below 4, the last passing value of 2026-11-10 (at most 25 %)" in ended.words
    assert ">= 4 - 25 %" in ended.words
    again = gate_of(bot("evaluate", *day(11), "--overwrite", "--format", "json", code=5))
    assert again["live"]["baseline"] == {
        "value": 4.0, "count": 0, "ends": 1_794_355_200, "drop": 0.5, "max_drop": 0.25, "relative": True,
    }, "to ask again does not make the fallen value the new baseline"  # fmt: skip
    assert gate_of(bot("status", *day(10), "--format", "json"))["live"]["why"] == "no baseline yet"


def test_a_value_that_fell_is_accepted_by_looking_at_it_once_without_comparing(bot: Any, stream: Any) -> None:
    accept_a_fall(bot, stream)
    stream(12, 2)
    assert gate_of(bot("evaluate", *day(12), "--format", "json"))["live"]["baseline"]["value"] == 2.0


def test_the_past_survives_that_the_test_is_replaced(bot: Any, platform: Any, stream: Any) -> None:
    counting(bot, "regress: {maxDrop: 25%}")
    stream(10, 4)
    stream(11, 2)
    bot("evaluate", *day(10))
    former = platform.tests("bot")["Rows arrive"]["id"]
    counting(bot, "includeHistoricalData: true")
    assert platform.tests("bot")["Rows arrive"]["id"] != former
    assert "2 is 50 % below 4" in bot("evaluate", *day(11), code=5).words


def test_a_mean_of_the_past_is_a_baseline_too(bot: Any, stream: Any) -> None:
    counting(bot, "regress: {maxDrop: 1, against: mean(3)}")
    for number, rows in ((8, 2), (9, 4), (10, 6), (11, 3), (12, 2)):
        stream(number, rows)
    bot("evaluate", "--select", "bot/*/Rows arrive", "--from", "2026-11-08", "--to", "2026-11-11")
    assert gate_of(bot("evaluate", *day(11), "--format", "json"))["live"]["baseline"]["value"] == 4.0
    ended = bot("evaluate", *day(12), code=5)
    assert "2 is 2.33 below 4.3333, the mean of the last 3 measurements (at most 1)" in ended.words


def test_a_past_that_can_not_be_read_is_not_taken_for_none(bot: Any, stream: Any) -> None:
    """A gate that compares with the past must not pass because the past is unreadable."""
    counting(bot, "regress: {maxDrop: 25%}")
    stream(10, 4)
    bot("evaluate", *day(10))
    (kept,) = bot.folder.rglob("*history*.db")
    kept.write_bytes(b"not a database, and long enough to be read as one" * 100)
    ended = bot("status", *day(10), code=1)
    assert "default.history.db cannot be read: file is not a database" in ended.words


# ------------------------------------------------------------------------------------------- flaky


def test_a_flaky_test_fails_no_build_and_is_counted(bot: Any, stream: Any) -> None:
    counting(bot, "flaky: true")
    stream(10, 1)
    ended = bot("evaluate", *day(10))
    assert "0 passed, 0 warned, 0 failed, 2 flaky and not blocking" in ended.out
    assert "misses the threshold; flaky: not blocking" in ended.words


def test_an_environment_can_be_more_patient(bot: Any, stream: Any) -> None:
    bot.write(
        "staging.yaml",
        """
        apiVersion: reconciler/v1
        kind: Environment
        metadata: {name: staging}
        spec:
          overrides:
            - match: {project: bot, test: Rows arrive}
              set: {flaky: true, gate: {runs: 1}, regress: {maxDrop: 50%}}
        """,
    )
    bot("apply", "--yes", "--env", "staging")
    stream(10, 1)
    assert "2 flaky and not blocking" in bot("evaluate", "--env", "staging", *day(10)).out


# ------------------------------------------------------------------------------------------- skipped


def test_a_misspelt_column_fails_a_gate_of_several_runs_with_the_platforms_reason(bot: Any, stream: Any) -> None:
    bot.edit("bot.yaml", "column_name: output", "column_name: outptu")
    bot.edit("bot.yaml", "pipelines: [live]\n", "pipelines: [live]\n      gate: {runs: 2, minPass: 1}\n")
    bot("apply", "--yes")
    stream(10, 2)
    ended = bot("evaluate", "--from", "2026-11-10", "--to", "2026-11-11", code=5)
    assert '0 of 2 runs passed, at least 1 must; skipped: no row has a column "outptu"' in ended.words


# ------------------------------------------------------------------------------------------- DigitalOcean


def test_an_agent_is_run_several_times_and_judged_by_all_of_them(care: Any, account: Any) -> None:
    """Runs belong to a version of the agent, not to a window; whoever looks on later finds the same ones."""
    care.edit("care.yaml", "agents: [bot]", "agents: [bot, canary]\n      gate: {runs: 3, minPass: 2}")
    care("apply", "--yes")
    account.platform.seen.clear()
    ended = gate_of(care("evaluate", "--format", "json", code=5))
    assert account.writes.count("POST evaluation_runs") == 6
    assert ended["bot"]["why"] == "3 of 3 runs passed"
    assert ended["canary"]["why"].startswith("0 of 3 runs passed, at least 2 must; misses the threshold")
    assert gate_of(care("status", "--format", "json", code=5))["bot"]["runs"]["passed"] == 3


def test_runs_that_are_there_already_are_not_paid_twice(care: Any, account: Any) -> None:
    """Only as many are started as are missing for the versions at hand; --overwrite asks for all of them anew."""
    care("apply", "--yes")
    account.platform.seen.clear()
    for runs, options, started in [(1, (), 1), (3, (), 3), (3, (), 3), (2, (), 3), (3, ("--overwrite",), 6)]:
        care.write("care.yaml", CARE.replace("agents: [bot]", f"agents: [bot]\n          gate: {{runs: {runs}}}"))
        gate = gate_of(care("evaluate", *options, "--format", "json"))["bot"]
        assert account.writes.count("POST evaluation_runs") == started
        assert gate["runs"] is None or (gate["runs"]["passed"], gate["runs"]["known"]) == (runs, runs)


def test_a_run_that_broke_is_made_up_for(care: Any, account: Any) -> None:
    """It is no verdict on the agent, and takes the place of one among the latest until newer ones push it out."""
    care.edit("care.yaml", "agents: [bot]", "agents: [bot]\n      gate: {runs: 3}")
    care("apply", "--yes")
    account.platform.fail({"method": "POST", "path": "/v2/gen-ai/evaluation_runs", "nth": 2, "action": "task-fails"})
    assert "2 of 3 runs passed, all must" in care("evaluate", code=5).words
    assert gate_of(care("evaluate", "--format", "json"))["bot"]["why"] == "3 of 3 runs passed"
    assert len(account.runs()) == 5


def test_two_that_want_several_runs_of_the_same_share_them(care: Any, account: Any) -> None:
    more = "agents: [bot]\n      gate: {runs: 3}\n    - {name: all, testCase: Answers are correct, agents: [bot]"
    care.edit("care.yaml", "agents: [bot]", more + ", gate: {runs: 2}}")
    care("apply", "--yes")
    found = json.loads(care("evaluate", "--format", "json").out)["verdicts"]
    assert sorted(each["why"] for each in found) == ["2 of 2 runs passed", "3 of 3 runs passed"]
    assert len(account.runs()) == 3


def test_resume_starts_no_run_that_is_missing_and_evaluate_goes_on_from_there(care: Any, account: Any) -> None:
    """It triggers nothing, as it says: what was never started is told, and left to evaluate."""
    care.edit("care.yaml", "agents: [bot]", "agents: [bot]\n      gate: {runs: 3}")
    care("apply", "--yes")
    care("evaluate", "--no-wait")
    for _ in range(2):
        ended = care("evaluate", "--resume", code=5)
        assert "1 of 3 runs so far, 1 passed, all must" in ended.words
        assert "2 runs that gates ask for were not started; reconciler evaluate starts them" in ended.err
        assert len(account.runs()) == 1
    assert gate_of(care("evaluate", "--format", "json"))["bot"]["why"] == "3 of 3 runs passed"
    assert len(account.runs()) == 3
    care("evaluate", "--resume", code=64)


def test_a_renamed_run_keeps_its_past(care: Any, account: Any) -> None:
    """It is no object, so there is nothing to rename at the platform; what was measured goes along."""
    care.edit("care.yaml", "agents: [bot]", "agents: [bot]\n      regress: {maxDrop: 10}")
    care.edit("care.yaml", "threshold: 82.4", "threshold: 20")
    care("apply", "--yes", "--evaluate")
    care.edit("care.yaml", "name: nightly", "name: daily\n      renamedFrom: nightly")
    assert "Nothing to evaluate" in care("apply", "--yes", "--evaluate").err
    newer = {"name": "bot", "answers": {"Can I pay later?": "Yes"}, "otherwise": "Well",
             "run_states": ["EVALUATION_RUN_SUCCESSFUL"]}  # fmt: skip
    account.console.sow(Seed.from_json({"workspaces": [{"name": "care", "agents": [newer]}]}))
    assert "50 is 50 below 100, the last passing value" in care("evaluate", code=5).words
    assert "2 verdicts" in care("history", "*/daily").out
    assert "nothing was recorded of */nightly" in care("history", "*/nightly", code=64).err


def test_a_rename_that_is_only_looked_at_or_put_back_leaves_the_past_where_it_is(care: Any, account: Any) -> None:
    """A branch sees its run compared with the past of the former name; those who still call it so, too."""
    care.edit("care.yaml", "agents: [bot]", "agents: [bot]\n      regress: {maxDrop: 10}")
    care.edit("care.yaml", "threshold: 82.4", "threshold: 20")
    care("apply", "--yes", "--evaluate")
    here = (care.folder / "care.yaml").read_text(encoding="utf-8")
    care.edit("care.yaml", "name: nightly", "name: daily\n      renamedFrom: nightly")
    assert "nothing was recorded of */daily" in care("history", "*/daily", code=64).err
    care("status", "--select", "*/daily")
    assert "1 verdict" in care("history", "*/nightly").out
    care.edit("care.yaml", "threshold: 20", "threshold: 100")
    newer = {"name": "bot", "answers": {"Can I pay later?": "Yes"}, "otherwise": "Well",
             "run_states": ["EVALUATION_RUN_SUCCESSFUL"]}  # fmt: skip
    account.console.sow(Seed.from_json({"workspaces": [{"name": "care", "agents": [newer]}]}))
    care("apply", "--yes", "--evaluate", "--rollback", code=8)
    care.write("care.yaml", here)
    assert "50 is 50 below 100, the last passing value" in care("evaluate", code=5).words


@pytest.mark.parametrize(
    "star",
    [{"success_threshold": 20}, {"name": "Instruction Following", "success_threshold": 0}],
    ids=["threshold", "metric"],
)
@pytest.mark.parametrize("severity", ["error", "warn"])
def test_what_somebody_loosened_at_the_platform_passes_nothing(
    severity: str, star: Doc, care: Any, account: Any
) -> None:
    """A run of the version made by hand passes there; the gate holds what the manifest says, in its severity."""
    care.edit("care.yaml", "agents: [bot]", f"agents: [bot]\n      severity: {severity}")
    agent = {"name": "bot", "answers": {"Can I pay later?": "Yes"}, "otherwise": "Well",
             "run_states": ["EVALUATION_RUN_SUCCESSFUL"]}  # fmt: skip
    account.renew(agents=[agent])
    care("apply", "--yes")
    case = account.case()
    uuids = {metric["metric_name"]: metric["metric_uuid"] for metric in case["metrics"]}
    body = {"star_metric": {**star, "metric_uuid": uuids[star.get("name", case["star_metric"]["name"])]}}
    account.api("PUT", f"/evaluation_test_cases/{case['test_case_uuid']}", body)
    for command in ("evaluate", "status"):
        ended = care(command, code=5 if severity == "error" else 0)
        assert "passes by another threshold at the platform; apply the one that is written, and evaluate" in ended.words
        assert ("0 passed, 0 warned, 1 failed" in ended.out) == (severity == "error")
    care("apply", "--yes", "--evaluate", code=5 if severity == "error" else 0)
    assert "misses the threshold; so do 1 of 2 prompts" in care("status", code=5 if severity == "error" else 0).words


def test_a_star_metric_that_somebody_took_out_at_the_platform_passes_nothing(care: Any, account: Any) -> None:
    care("apply", "--yes")
    case = account.case()
    uuid = next(each["metric_uuid"] for each in case["metrics"] if each["metric_name"] == "Instruction Following")
    body = {"metrics": {"metric_uuids": [uuid]}, "star_metric": {"metric_uuid": uuid, "success_threshold": 0}}
    account.api("PUT", f"/evaluation_test_cases/{case['test_case_uuid']}", body)
    ended = care("evaluate", code=5)
    assert f"passes at the platform, which does not show {CORRECT}" in ended.words


def test_a_value_at_its_limit_passes_by_the_32_bits_that_the_platform_keeps(care: Any, account: Any) -> None:
    """Two thirds are more than 66.666664, which is what is left of two thirds as a threshold."""
    marks = {"metric_name": "Marks", "scoring": "pattern", "pattern": "@", "inverted": True}
    agent = {"name": "bot", "otherwise": "{expected_response}", "run_states": ["EVALUATION_RUN_SUCCESSFUL"]}
    account.renew(metrics=[marks], agents=[agent])
    care.edit("care.yaml", f"[{CORRECT}, Instruction Following]", "[Marks]")
    care.edit("care.yaml", f"name: {CORRECT}, threshold: 82.4", "name: Marks, threshold: 66.6666666667")
    care.write("faq.csv", "query,expected_response\nWho?,a@b\nAnd who?,b@c\nWhy?,So\n")
    care("apply", "--yes")
    assert "1 passed, 0 warned, 0 failed" in care("evaluate").out


def test_another_version_of_an_agent_starts_anew_and_is_compared_with_the_former(care: Any, account: Any) -> None:
    care.edit("care.yaml", "agents: [bot]", "agents: [bot]\n      gate: {runs: 2}\n      regress: {maxDrop: 10}")
    care.edit("care.yaml", "threshold: 82.4", "threshold: 20")
    care("apply", "--yes")
    assert gate_of(care("evaluate", "--format", "json"))["bot"]["why"] == "2 of 2 runs passed; no baseline yet"
    newer = {"name": "bot", "answers": {"Can I pay later?": "Yes"}, "otherwise": "Well",
             "run_states": ["EVALUATION_RUN_SUCCESSFUL"]}  # fmt: skip
    account.console.sow(Seed.from_json({"workspaces": [{"name": "care", "agents": [newer]}]}))
    ended = care("evaluate", code=5)
    assert "0 of 2 runs passed, all must; 50 is 50 below 100, the last passing value of" in ended.words
    assert "(at most 10)" in ended.words


def test_a_threshold_that_was_loosened_by_hand_passes_nothing(bot: Any, platform: Any, stream: Any) -> None:
    """What the platform then passes fails here, as long as the manifest's threshold is not the one that is there."""
    bot("apply", "--yes")
    stream(10, 1)
    (test,) = [each for name, each in platform.tests("bot").items() if name == "Rows arrive"]
    threshold = {name: value for name, value in test["thresholds"][0].items() if value is not None} | {"value": 1}
    body = {"payloads": [{"id": test["id"], "thresholds": [threshold]}]}
    platform.api("PUT", f"/projects/{platform.projects()['bot']['id']}/tests", body)
    found = gate_of(bot("evaluate", *day(10), "--format", "json", code=5))
    told = "passes by another threshold at the platform; apply the one that is written, and evaluate again"
    assert {name: (each["level"], each["why"]) for name, each in found.items()} == {
        "live": ("fail", told),
        "canary": ("fail", told),
    }
    bot("apply", "--yes")
    assert "recorded by another threshold, and misses the one" in bot("evaluate", *day(10), code=5).words
    bot("evaluate", *day(10), "--overwrite", code=5)


def test_a_threshold_that_is_tightened_flags_what_was_recorded_before(bot: Any, stream: Any) -> None:
    """The platform keeps the result of a window that is over; it counts by the threshold that is written."""
    bot("apply", "--yes")
    stream(10, 3)
    bot("evaluate", *day(10))
    bot.edit("bot.yaml", "value: 2}", "value: 4}")
    bot("apply", "--yes")
    told = "recorded by another threshold, and misses the one that is written now; evaluate it anew, with --overwrite"
    for command in (("evaluate", *day(10)), ("status", *day(10)), ("status", *day(10)[:2])):
        found = gate_of(bot(*command, "--format", "json", code=5))["live"]
        assert (found["level"], found["measured"], found["wanted"], found["margin"]) == ("fail", "3", ">= 4", -1.0)
        assert found["why"] == told
    assert gate_of(bot("evaluate", *day(10), "--overwrite", "--format", "json", code=5))["live"]["status"] == "failing"
    bot.edit("bot.yaml", "value: 4}", "value: 3}")
    bot("apply", "--yes")
    stream(11, 3)
    bot("evaluate", *day(11))
    bot.edit("bot.yaml", "value: 3}", "value: 1}")
    bot("apply", "--yes")
    bot("status", *day(11))


def test_an_old_run_that_misses_a_tightened_threshold_fails_however_often_one_looks(bot: Any, stream: Any) -> None:
    """Beside a stricter warning threshold, too; the platform has written the second run over the first."""
    warn = "{insightName: metrics, measurement: rowCount, operator: '>=', value: 9}"
    counting(bot, f"gate: {{runs: 2}}\n      warn: [{warn}]")
    stream(10, 3)
    bot("evaluate", *day(10))
    bot.edit("bot.yaml", "value: 2}", "value: 4}")
    bot("apply", "--yes")
    assert "0 of 2 runs passed, all must; recorded by another threshold" in bot("status", *day(10), code=5).words
    stream(10, 2)
    assert gate_of(bot("evaluate", *day(10), "--format", "json", code=5))["live"]["runs"]["passed"] == 1
    again = bot("status", *day(10), code=5)
    assert "1 of 2 runs passed (3 to 5), all must; recorded by another threshold" in again.words


SHORT_ONLY = ("--select", "bot/*/Answers are short", "--from", "2026-11-10", "--to", "2026-11-11")
COUNT = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 5}
SHORT = {
    "insightName": "characterLength",
    "insightParameters": [{"name": "column_name", "value": "output"}],
    "measurement": "maxCharacterLength",
    "operator": "<=",
    "value": 100,
}


@pytest.mark.parametrize(
    "other",
    [
        {**SHORT, "measurement": "averageCharacterLength"},
        {**SHORT, "insightParameters": [{"name": "column_name", "value": "question"}]},
        {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 1},
    ],
    ids=["measurement", "column", "insight"],
)
def test_what_measures_something_else_at_the_platform_passes_nothing(other: Doc, bot: Any, platform: Any) -> None:
    """Somebody made it measure another thing, which passes: of what is written nobody knows anything."""
    bot("apply", "--yes")
    stream_to(platform, "live", 10, 3)
    bot("evaluate", *SHORT_ONLY)
    test = platform.tests("bot")["Answers are short"]
    platform.api("PUT", f"/tests/{test['id']}", {"thresholds": [other]})
    ended = bot("evaluate", *SHORT_ONLY, "--overwrite", code=5)
    told_why = (
        "passes at the platform, which measures something else than the maxCharacterLength that is written; apply"
    )
    assert told_why in ended.words
    assert told_why in bot("status", "--select", "bot/*/Answers are short", code=5).words
    bot("apply", "--yes")
    bot("evaluate", *SHORT_ONLY, "--overwrite")


def test_of_two_thresholds_the_one_that_somebody_took_out_passes_nothing(bot: Any, platform: Any) -> None:
    bot.edit("bot.yaml", "          value: 100\n", f"          value: 100\n        - {json.dumps(COUNT)}\n")
    bot("apply", "--yes")
    stream_to(platform, "live", 10, 3)
    bot("evaluate", *SHORT_ONLY, code=5)
    platform.api("PUT", f"/tests/{platform.tests('bot')['Answers are short']['id']}", {"thresholds": [SHORT]})
    assert (
        "something else than the rowCount that is written" in bot("evaluate", *SHORT_ONLY, "--overwrite", code=5).words
    )


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("value: 100\n", f"value: 100\n        - {json.dumps({**COUNT, 'value': 9})}\n", "rowCount"),
        ("{column_name: output}", "{column_name: question}", "maxCharacterLength"),
    ],
    ids=["one more", "another column"],
)
def test_a_result_from_before_a_threshold_was_written_warns_and_verifies_nothing(
    old: str, new: str, name: str, bot: Any, platform: Any
) -> None:
    """The platform keeps the result of a window that is over, whatever the test measures since."""
    bot("apply", "--yes")
    stream_to(platform, "live", 10, 3)
    bot("evaluate", *SHORT_ONLY)
    bot.edit("bot.yaml", old, new)
    bot("apply", "--yes")
    for command in (("evaluate", *SHORT_ONLY), ("status", "--select", "bot/*/Answers are short")):
        ended = bot(*command)
        assert f"recorded as passing, but without {name} as it is written now; evaluate it anew" in ended.words
        assert "0 passed, 1 warned, 0 failed" in ended.out
    assert "1 test that an earlier apply changed is not verified" in bot("apply", "--yes", "--evaluate").words


def test_a_pipeline_that_is_not_ours_is_judged_by_its_name(bot: Any, platform: Any, stream: Any) -> None:
    """Somebody made it at the platform, and a test that names no pipelines runs on it, too."""
    bot("apply", "--yes")
    project = platform.projects()["bot"]["id"]
    platform.api("POST", f"/projects/{project}/inference-pipelines", {"name": "shadow", "description": None})
    stream(10, 3)
    bot("plan", "--detailed-exitcode")
    found = gate_of(bot("evaluate", *day(10), "--format", "json"))
    assert {name: (each["level"], each["measured"]) for name, each in found.items()} == {
        "live": ("pass", "3"),
        "canary": ("pass", "3"),
        "shadow": ("pass", "3"),
    }
    assert gate_of(bot("status", *day(10)[:2], "--format", "json")).keys() == found.keys()


def test_a_pipeline_that_somebody_deleted_is_no_pass(bot: Any, platform: Any, stream: Any) -> None:
    bot("apply", "--yes")
    stream(10, 3)
    platform.api("DELETE", f"/inference-pipelines/{platform.pipelines('bot')['canary']['id']}")
    for pipelines in ("", "pipelines: [live, canary]"):
        bot.edit("bot.yaml", "subtype: rowCount", f"subtype: rowCount\n      {pipelines}".rstrip())
        found = gate_of(bot("evaluate", *day(10), "--format", "json", code=5))
        assert {name: each["level"] for name, each in found.items()} == {"live": "pass", "canary": "fail"}


def test_a_pipeline_that_was_renamed_by_hand_is_judged_once(bot: Any, platform: Any, stream: Any) -> None:
    """By the name that the manifests have for it."""
    bot("apply", "--yes")
    stream(10, 3)
    canary = platform.pipelines("bot")["canary"]["id"]
    platform.api("PUT", f"/inference-pipelines/{canary}", {"name": "bird", "description": None})
    found = gate_of(bot("evaluate", *day(10), "--format", "json"))
    assert {name: each["level"] for name, each in found.items()} == {"live": "pass", "canary": "pass"}


def test_a_fall_that_was_accepted_stays_accepted_once_its_window_was_evaluated_anew(bot: Any, stream: Any) -> None:
    """The new result is as good as the accepted one; before, its window still fails beside the windows before it."""
    accept_a_fall(bot, stream)
    bot("evaluate", *day(11), "--overwrite")
    both = ("--select", "bot/*/Rows arrive", "--from", "2026-11-10", "--to", "2026-11-12")
    for command in (("evaluate", *both), ("status", *day(11)), ("evaluate", *day(11))):
        assert gate_of(bot(*command, "--format", "json"))["live"]["level"] == "pass"
