"""What ``evaluate`` covers and costs, what it takes up again, and what a commit says: nothing of it in silence."""

from __future__ import annotations

import io
import json
import shutil
import tarfile
import time
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from junitparser import JUnitXml

from tests.by_hand import PLAIN

Doc = dict[str, Any]
KEY = "canary-key-7d20b1"
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()
DAY = ("--from", "2026-11-10", "--to", "2026-11-11")
ALL, SHORT = "Rows arrive", "Answers are short"


@pytest.fixture
def measured(bot: Any, platform: Any) -> Any:
    """The project applied, and two rows of one day on each pipeline."""
    bot("apply", "--yes")
    for pipeline in platform.pipelines("bot").values():
        rows = [{"output": "yes", "at": NOON + number} for number in range(2)]
        body = {"config": {"outputColumnName": "output", "timestampColumnName": "at"}, "rows": rows}
        platform.api("POST", f"/inference-pipelines/{pipeline['id']}/data-stream", body)
    platform.seen.clear()
    return bot


def judged(result: Any) -> dict[str, str]:
    """Test -> its worst level."""
    verdicts = json.loads(result.out)["verdicts"]
    return {item["address"].rpartition("/")[2]: item["level"] for item in reversed(verdicts)}


def events(folder: Any) -> list[Doc]:
    return [json.loads(line) for line in (folder / "events.ndjson").read_text().splitlines()]


# ------------------------------------------------------------------------------------------ ranges and costs


def test_a_range_is_aligned_to_windows_and_told(measured: Any) -> None:
    """The platform widens it to whole days: said before, for people and machines; nothing is said where it fits."""
    ended = measured(
        "evaluate", "--from", "2026-11-10T06:00Z", "--to", "2026-11-10T18:30Z", "--format", "json",
        "--events", "events.ndjson",
    )  # fmt: skip
    assert "aligned to 24h windows: 2026-11-10T00:00Z to 2026-11-11T00:00Z\n" in ended.err
    estimate = json.loads(ended.out)["estimate"]
    assert estimate["spans"] == [{"window_s": 86400, "start": NOON - 43_200, "end": NOON + 43_200}]
    assert (estimate["evaluations"], estimate["under_way"]) == (3, 0)
    (told,) = [event for event in events(measured.folder) if event["event"] == "estimate"]
    assert {key: told[key] for key in estimate} == estimate
    assert "aligned" not in measured("evaluate", *DAY).err


def test_a_range_that_is_only_looked_at_is_aligned_to_windows_and_told_too(measured: Any) -> None:
    """The whole day counts, though only its morning was asked for."""
    measured("evaluate", *DAY)
    ended = measured("status", "--from", "2026-11-10T06:00Z", "--to", "2026-11-10T08:00Z")
    assert ended.err.count("aligned to 24h windows: 2026-11-10T00:00Z to 2026-11-11T00:00Z\n") == 1
    assert "will run" not in ended.err
    assert "aligned" not in measured("status", *DAY).err
    assert "aligned" not in measured("status").err


def test_the_cost_is_told_before_anything_is_triggered(measured: Any) -> None:
    """Windows by pipelines by tests, in one line, also where tests differ."""
    week = ("--from", "2026-11-04", "--to", "2026-11-11")
    ended = measured("evaluate", *week, "--select", f"*/{SHORT}", code=5)
    assert "will run 7 evaluations: 1 test × 1 pipeline × 7 windows" in ended.err
    ended = measured("evaluate", *week, code=5)
    assert "will run 21 evaluations: 2 tests × up to 2 pipelines × 7 windows\n" in ended.err
    assert f"{ALL}\n" not in ended.err
    ended = measured("evaluate", *week, "-v", code=5)
    assert f"  14 for openlayer.Test/bot/monitoring/{ALL}\n  7 for openlayer.Test/" in ended.err


def test_more_than_allowed_is_refused_before_the_first_trigger(measured: Any, platform: Any) -> None:
    """Exit 3, naming what costs most; exactly as many are allowed."""
    ended = measured("evaluate", *DAY, "--max-evaluations", "2", code=3)
    assert "this would run 3 evaluations, and --max-evaluations allows 2" in ended.words
    assert f"{ALL} (2 = 2 pipelines × 1 window)" in ended.words
    assert "will run" not in ended.err
    assert platform.writes == []
    measured("evaluate", *DAY, "--max-evaluations", "3")


def test_a_day_that_is_not_over_is_said(measured: Any) -> None:
    assert "(not over yet)" in measured("evaluate", "--since", "1h", code=5).err


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--from", "1795402800000"), "--from 1795402800000: these are milliseconds; give seconds"),
        (("--to", "99999999999999999"), "--to 99999999999999999: these are milliseconds; give seconds"),
        (("--to", "9" * 5000), "these are milliseconds; give seconds"),
        (("--from", "0001-01-01"), "--from 0001-01-01: not a time between the years 1970 and 5138"),
        (("--to", "9999-12-31"), "--to 9999-12-31: not a time between the years 1970 and 5138"),
        (("--since", "99999999d"), "the time range starts before 1970, 99999999d before its end"),
    ],
)
@pytest.mark.parametrize("command", ["evaluate", "status"])
def test_a_range_outside_of_the_calendar_is_a_usage_error(
    command: str, options: tuple[str, ...], says: str, bot: Any
) -> None:
    """Exit 64 before anybody asks the platform."""
    assert says in bot(command, *options, code=64).words


# ------------------------------------------------------------------------------------------ what the last apply touched


def test_changed_is_what_the_last_apply_touched(measured: Any, platform: Any) -> None:
    """Only the test that was changed; an apply that changes nothing does not forget it."""
    measured.edit("bot.yaml", "value: 100", "value: 90")
    measured("apply", "--yes")
    measured("apply", "--yes")
    platform.seen.clear()
    assert judged(measured("evaluate", *DAY, "--changed", "--format", "json")) == {SHORT: "pass"}
    assert len(platform.writes) == 1
    assert judged(measured("status", "--changed", "--format", "json")) == {SHORT: "pass"}


def test_changed_without_a_test_among_it_is_nothing_to_evaluate(measured: Any) -> None:
    measured.edit("bot.yaml", "description: Answers", "description: Questions")
    measured("apply", "--yes")
    assert "Nothing to evaluate: no test changed." in measured("evaluate", *DAY, "--changed").err


def test_changed_that_can_not_be_evaluated_is_said(measured: Any) -> None:
    """Nothing to gate on, and the reason beside it."""
    measured.edit("bot.yaml", "      pipelines: [live]\n      evaluationWindow: 24h\n", "      mode: development\n")
    ended = measured("apply", "--yes", "--evaluate", *DAY)
    assert "Nothing to evaluate: what changed is not evaluated on demand." in ended.err
    assert "1 test left out: the API evaluates monitoring tests only" in ended.err


def test_changed_without_any_apply_is_an_error(bot: Any) -> None:
    """A state that knows of no apply does not mean that nothing changed."""
    bot("apply", "--yes")
    shutil.rmtree(bot.folder / ".reconciler")
    assert "no apply of environment default" in bot("evaluate", *DAY, "--changed", code=64).words


# ------------------------------------------------------------------------------------------ taking up again


def test_resume_takes_up_what_was_left_with_its_own_range(measured: Any, platform: Any) -> None:
    """--no-wait and then --resume: nothing is triggered again, everything is judged, and then nothing is left."""
    left = measured("evaluate", *DAY, "--no-wait")
    assert "2 tests are being evaluated" in left.out
    platform.seen.clear()
    assert judged(measured("evaluate", "--resume", "--format", "json")) == {ALL: "pass", SHORT: "pass"}
    assert platform.writes == []
    assert "there is nothing to resume" in measured("evaluate", "--resume", code=64).words


def test_resume_judges_also_what_was_over_when_time_was_up(measured: Any, platform: Any) -> None:
    """One test fails while the other never ends: that one alone must not make the build pass later."""
    measured.edit("bot.yaml", "value: 100", "value: 1")
    measured("apply", "--yes")
    test = platform.tests("bot")[ALL]["id"]
    platform.fail({"method": "POST", "path": f"/v1/tests/{test}/evaluate", "action": "task-never"})
    ended = measured("evaluate", *DAY, "--timeout", "1s", code=5)
    assert "not finished after 1s; it goes on at the platform" in ended.words
    assert judged(measured("evaluate", "--resume", "--timeout", "1s", "--format", "json", code=5)) == {
        ALL: "fail",
        SHORT: "fail",
    }


def test_what_could_not_be_started_is_not_left_alone_in_silence(measured: Any, platform: Any) -> None:
    """Exit 5 although nobody waits: resuming would not know of it."""
    platform.fail({"method": "POST", "path": "/v1/tests/*/evaluate", "nth": 1, "action": "status", "status": 422})
    ended = measured("evaluate", *DAY, "--no-wait", code=5)
    assert "1 test is being evaluated" in ended.out
    assert "not started: openlayer.Test/bot/monitoring/" in ended.err


def test_nothing_to_evaluate_is_missing_at_once_and_not_under_way_later(cli: Any, make_project: Any) -> None:
    """A project without any pipeline: the second run triggers again, since the first one has left nothing behind."""
    cli.write("bot.yaml", make_project("bot", 1))
    cli("apply", "--yes")
    for _ in range(2):
        ended = cli("evaluate", *DAY, "--timeout", "5s", code=5)
        assert "no result: the platform has nothing to evaluate here" in ended.words
        assert "under way" not in ended.err
    assert "there is nothing to resume" in cli("evaluate", "--resume", code=64).words


def test_a_second_run_right_after_the_first_triggers_again(measured: Any, platform: Any) -> None:
    """What is over is not under way: the platform is asked anew, and leaves what has a result as it is."""
    assert "will run 3 evaluations" in measured("evaluate", *DAY).err
    path = f"/tests/{platform.tests('bot')[ALL]['id']}/results"
    results = [item["id"] for item in platform.api("GET", path)["items"]]
    first = len(platform.writes)
    assert "will run 3 evaluations: 2 tests × up to 2 pipelines × 1 window\n" in measured("evaluate", *DAY).err
    assert len(platform.writes) == 2 * first
    assert [item["id"] for item in platform.api("GET", path)["items"]] == results


LOST = {"method": "POST", "path": "/v1/tests/*/evaluate", "nth": 1, "action": "status", "status": 503, "when": "after"}


@pytest.mark.usefixtures("hurried")
def test_a_trigger_that_may_be_lost_is_a_warning_in_every_form(measured: Any, platform: Any) -> None:
    """It was carried out and answered 503: exit 4 says what it means, and what to do next."""
    platform.fail(LOST)
    reports = [f"--report={form}=report.{form}" for form in ("json", "markdown", "junit", "openmetrics")]
    ended = measured("evaluate", *DAY, "--select", f"*/{SHORT}", *reports, "--report", "github", "--events",
                     "events.ndjson", code=4, GITHUB_ACTIONS="true")  # fmt: skip
    assert "1 passed, 0 warned, 0 failed" in ended.out
    says = "nobody knows whether this evaluation was started"
    assert f"warning: bot/monitoring/{SHORT} on live: {says}" in ended.err
    assert "run reconciler evaluate again, without --overwrite" in ended.words
    (annotation,) = [line for line in ended.err.splitlines() if line.startswith("::warning file=bot.yaml")]
    assert says in annotation
    (doubt,) = json.loads((measured.folder / "report.json").read_text())["doubtful"]
    assert (doubt["address"], doubt["pipeline"]) == (f"openlayer.Test/bot/monitoring/{SHORT}", "live")
    assert doubt["source"]["file"] == "bot.yaml"
    assert says in doubt["why"]
    assert says in (measured.folder / "report.markdown").read_text()
    junit = JUnitXml.fromfile(str(measured.folder / "report.junit"))
    assert (junit.tests, junit.errors) == (2, 1)
    (case,) = (case for suite in junit for case in suite if case.result)
    assert (case.classname, case.name) == ("bot", f"monitoring/{SHORT} [live] (in doubt)")
    assert says in case.result[0].message
    metrics = (measured.folder / "report.openmetrics").read_text().splitlines()
    (metric,) = (line for line in metrics if line.startswith("reconciler_doubtful{"))
    assert f'test="{SHORT}"' in metric
    (event,) = [event for event in events(measured.folder) if event["event"] == "doubtful"]
    assert (event["address"], event["pipeline"]) == (f"openlayer.Test/bot/monitoring/{SHORT}", "live")
    assert says in event["why"]
    platform.fail()
    again = measured("evaluate", *DAY, "--select", f"*/{SHORT}", "--format", "json")
    assert json.loads(again.out)["doubtful"] == []


@pytest.mark.usefixtures("hurried")
def test_a_trigger_that_may_be_lost_is_a_warning_without_waiting_too(measured: Any, platform: Any) -> None:
    platform.fail(LOST)
    ended = measured("evaluate", *DAY, "--no-wait", "--select", f"*/{SHORT}", code=4)
    assert "nobody knows whether this evaluation was started" in ended.words
    assert "reconciler evaluate --resume looks for its results" in ended.words
    platform.fail()
    assert judged(measured("evaluate", "--resume", "--format", "json", code=4)) == {SHORT: "pass"}


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--resume", "--since", "7d"), "--resume and --since do not go together"),
        (("--resume", "--no-wait"), "--resume and --no-wait do not go together"),
        (("--commit", "latest", "--overwrite"), "--commit and --overwrite do not go together"),
        (("--timeout", "soon"), "--timeout soon"),
    ],
)
def test_options_that_make_each_other_meaningless(options: tuple[str, ...], says: str, bot: Any) -> None:
    assert says in bot("evaluate", *options, code=64).words


# ------------------------------------------------------------------------------------------ several runs


def test_a_gate_may_ask_for_several_runs(measured: Any, platform: Any) -> None:
    """Each window is evaluated three times on each pipeline, one after another, and the cost says so."""
    measured.edit("bot.yaml", f"    - name: {ALL}\n", f"    - name: {ALL}\n      gate: {{runs: 3}}\n")
    measured("apply", "--yes")
    platform.seen.clear()
    ended = measured("evaluate", *DAY, "--select", f"*/{ALL}", "--format", "json")
    assert "will run 6 evaluations: 1 test × 2 pipelines × 1 window × 3 runs" in ended.err
    assert len(platform.writes) == 3
    three = {"passed": 3, "known": 3, "wanted": 3, "min_pass": 3}
    assert [item["runs"] for item in json.loads(ended.out)["verdicts"]] == [three, three]


# ------------------------------------------------------------------------------------------ commits


@pytest.fixture
def developed(measured: Any) -> Any:
    """A second project's worth of tests: both run on commits, the one fails where the other passes."""
    text = (
        (measured.folder / "bot.yaml").read_text().replace("      evaluationWindow: 24h\n", "      mode: development\n")
    )
    (measured.folder / "bot.yaml").write_text(text.replace("      pipelines: [live]\n", ""))
    measured("apply", "--yes")
    return measured


def push(platform: Any, answers: list[str], message: str, **headers: str) -> str:
    """A commit with these rows for validation; returns its id."""
    made = io.BytesIO()
    content = "\n".join(["output", *answers]).encode() + b"\n"
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        entry = tarfile.TarInfo("validation/dataset.csv")
        entry.size = len(content)
        archive.addfile(entry, io.BytesIO(content))
    place = platform.api("POST", "/storage/presigned-url?objectName=bundle.tar.gz")
    assert httpx.put(place["url"], content=made.getvalue(), headers={"User-Agent": "by-hand"}, **PLAIN).is_success
    body = {"commit": {"message": message}, "storageUri": place["storageUri"]}
    path = f"/v1/projects/{platform.projects()['bot']['id']}/versions"
    key = {"Authorization": f"Bearer {KEY}", "User-Agent": "by-hand", **headers}
    return str(httpx.post(f"{platform.url}{path}", json=body, headers=key, **PLAIN).json()["id"])


@pytest.mark.usefixtures("hurried")
def test_development_tests_are_judged_by_a_commit(developed: Any, platform: Any) -> None:
    """The latest is named; evaluate waits until it is processed, triggers nothing, and gates as usual."""
    first = push(platform, ["yes", "no"], "two answers")
    ended = developed("evaluate", "--commit", "latest", "--format", "json")
    assert judged(ended) == {ALL: "pass", SHORT: "pass"}
    assert f'bot: commit {first} "two answers"' in ended.err
    second = push(platform, ["yes"], "one answer")
    assert judged(developed("evaluate", "--commit", "latest", "--format", "json", code=5)) == {
        ALL: "fail",
        SHORT: "pass",
    }
    assert judged(developed("status", "--commit", first, "--format", "json")) == {ALL: "pass", SHORT: "pass"}
    assert second in developed("status", "--commit", "latest", code=5).err
    assert "POST" not in {method for method, _ in platform.seen[-6:]}


def test_a_commit_that_fails_or_is_not_there_is_no_pass(developed: Any, platform: Any) -> None:
    """No commit at all, a failed one, one from nowhere, and a test that is younger than the commit."""
    assert "the project has no commit" in developed("evaluate", "--commit", "latest", code=5).words
    assert "there is no commit 42" in developed("evaluate", "--commit", "42", code=64).words
    for action, says in {
        "task-never": "still being processed after 1s",
        "task-fails": "could not be evaluated",
    }.items():
        platform.fail({"method": "POST", "path": "/v1/projects/*/versions", "action": action})
        commit = push(platform, ["yes", "no"], action, **{"User-Agent": "not by hand, so that it goes wrong"})
        assert says in developed("evaluate", "--commit", commit, "--timeout", "1s", code=5).words
    push(platform, ["yes", "no"], "m")
    developed.edit("bot.yaml", f"name: {SHORT}", "name: Answers stay short")
    developed("apply", "--yes")
    assert "has none" in developed("evaluate", "--commit", "latest", code=5).words


def test_a_commit_that_can_not_be_read_in_time_ends_the_run(developed: Any, platform: Any) -> None:
    """The platform asks for a pause of fifteen seconds: a limit of one is not stretched for that."""
    commit = push(platform, ["yes", "no"], "m")
    platform.fail({"method": "GET", "path": "/v1/versions/*", "action": "status", "status": 429, "retryAfter": 15})
    began = time.monotonic()
    ended = developed("evaluate", "--commit", commit, "--timeout", "1s", code=1)
    assert "bot: the platform has not told of the commit within 1s" in ended.words
    assert time.monotonic() - began < 10


def test_monitoring_tests_have_no_commit(measured: Any) -> None:
    assert "no development test is declared here" in measured("evaluate", "--commit", "latest", code=64).words
