"""``apply --evaluate --rollback``: what fails its gate is put back, and what cannot be is said."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.reporting.reading import read_told

Doc = dict[str, Any]
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()
DAY = ("--from", "2026-11-10", "--to", "2026-11-11")
TRY = ("apply", "--yes", "--evaluate", "--rollback", *DAY)
HARDER = ("value: 2}]", "value: 9}]")
"""More rows than there are: the gate fails."""


@pytest.fixture
def measured(bot: Any, platform: Any) -> Any:
    """The project applied, and two rows of one day on each pipeline."""
    bot("apply", "--yes")
    stream(platform, 2)
    platform.seen.clear()
    return bot


def stream(platform: Any, count: int) -> None:
    """So many rows of the day, to each pipeline."""
    for pipeline in platform.pipelines("bot").values():
        rows = [{"output": "yes", "at": NOON + number} for number in range(count)]
        body = {"config": {"outputColumnName": "output", "timestampColumnName": "at"}, "rows": rows}
        platform.api("POST", f"/inference-pipelines/{pipeline['id']}/data-stream", body)


def as_written(platform: Any) -> Doc:
    """Everything at the platform that somebody wrote, without what it counts and dates by itself."""
    moving = ("date", "Count", "status")
    return {
        kind: {
            name: {key: value for key, value in item.items() if not any(part in key for part in moving)}
            for name, item in items.items()
        }
        for kind, items in (
            ("projects", platform.projects()),
            ("pipelines", platform.pipelines("bot")),
            ("tests", platform.tests("bot")),
        )
    }


def steps(bot: Any) -> list[tuple[str, str]]:
    plan = json.loads(bot("plan", "--format", "json").out)
    return [(step["action"], step["cause"]) for step in plan["steps"]]


def state(bot: Any) -> Doc:
    return dict(json.loads((bot.folder / ".reconciler" / "default.state.json").read_text()))


def test_a_change_that_fails_its_gate_is_put_back(measured: Any, platform: Any) -> None:
    """Exit 8; the platform and the memory are as before: the change is pending again, and nothing has drifted."""
    before, remembered = as_written(platform), state(measured)
    measured.edit("bot.yaml", *HARDER)
    ended = measured(*TRY, code=8)
    assert "the gate failed, and what was changed was put back" in ended.words
    assert "update openlayer.Test/bot/monitoring/Rows arrive (thresholds.0.value)" in ended.words
    assert as_written(platform) == before
    assert state(measured)["entries"] == remembered["entries"]
    assert not {"before", "unsettled", "touched"} & state(measured).keys()
    assert steps(measured) == [("update", "manifest")]
    assert "Clean" in measured("drift").out
    assert "as far as the state tells" in measured("evaluate", "--changed", code=64).words


def test_a_change_that_holds_stays(measured: Any, platform: Any) -> None:
    """Exit 0, nothing is sent after the evaluation, and the state no longer knows what was before."""
    measured.edit("bot.yaml", "value: 2}]", "value: 1}]")
    ended = measured(*TRY)
    assert "cannot be rolled back: results that the evaluation writes over" in ended.words
    assert [path.rpartition("/")[2] for _, path in platform.writes] == ["tests", "evaluate"]
    assert not {"before", "unsettled"} & state(measured).keys()
    assert "3 passed" in measured("evaluate", *DAY).out
    assert "2 passed" in measured("evaluate", *DAY, "--changed").out


def test_what_was_changed_without_rollback_stays_and_is_not_forgotten(measured: Any, platform: Any) -> None:
    """A first apply fails its gate and is not rolled back; a second one is, and the first stays to be verified."""
    measured.edit("bot.yaml", "value: 100", "value: 1")
    measured("apply", "--yes", "--evaluate", *DAY, code=5)
    measured.edit("bot.yaml", *HARDER)
    ended = measured(*TRY, code=8)
    assert "update openlayer.Test/bot/monitoring/Rows arrive" in ended.words
    assert "Answers are short stays, and is not verified: it was changed without --rollback" in ended.words
    assert platform.tests("bot")["Answers are short"]["thresholds"][0]["value"] == 1
    measured.edit("bot.yaml", "value: 9}]", "value: 2}]")
    assert "Answers are short" in measured(*TRY, code=5).out


def test_only_the_first_of_many_are_named_and_none_of_other_paths(measured: Any) -> None:
    """Twelve tests that were applied without a look back: ten and a count, and nothing about another project."""
    measured.write("other.yaml", OTHER)
    measured("apply", "other.yaml", "--yes", "--evaluate", *DAY, code=5)
    many = "".join(MANY.format(number=number) for number in range(12))
    measured.edit("bot.yaml", "  tests:\n", f"  tests:\n{many}")
    measured("apply", "bot.yaml", "--yes", "--evaluate", *DAY, code=5)
    measured.edit("bot.yaml", *HARDER)
    told = measured(TRY[0], "bot.yaml", *TRY[1:], code=8).words
    assert told.count("stays, and is not verified") == 10
    assert "... and 2 more like these" in told
    assert "openlayer.Test/other/" not in told


MANY = """\
    - name: Rows come {number:02}
      type: integrity
      subtype: rowCount
      thresholds: [{{insightName: metrics, measurement: rowCount, operator: ">=", value: 1000}}]
"""

OTHER = """\
apiVersion: openlayer/v1
kind: Project
metadata: {name: other}
spec:
  taskType: llm-base
  pipelines: [{name: production}]
  tests:
    - name: Rows arrive there
      type: integrity
      subtype: rowCount
      thresholds: [{insightName: metrics, measurement: rowCount, operator: ">=", value: 1}]
"""

MORE = """\
    - name: Rows keep coming
      type: integrity
      subtype: rowCount
      thresholds: [{insightName: metrics, measurement: rowCount, operator: ">=", value: 1}]
"""


def test_creates_replaces_and_archives_are_undone(measured: Any, platform: Any) -> None:
    """A new test is archived, a replaced one has its old object again, an archived one is back; a pipeline stays."""
    written = measured.folder / "bot.yaml"
    plain = written.read_text()
    written.write_text(plain + MORE)
    measured("apply", "--yes")
    before = as_written(platform)
    text = plain.replace("Answers are short", "Answers stay short")  # archives that and the last, and creates one
    text = text.replace("evaluationWindow: 24h", "evaluationWindow: 48h", 1).replace(*HARDER)
    text = text.replace("description: Answers", "description: More answers")
    written.write_text(text.replace("    - name: live\n", "    - name: live\n    - name: beta\n"))
    planned = steps(measured)
    assert "cannot be rolled back" in measured("plan", "--rollback", "--out", "plan.json").out
    ended = measured("apply", "--plan", "plan.json", *TRY[1:], code=8)
    assert "Pipeline/bot/beta is created, and stays there: it has no lifecycle.onRemoval: delete" in ended.words
    after = as_written(platform)
    assert after["tests"].pop("Answers stay short")["archived"]
    assert after["pipelines"].pop("beta")
    assert after == before
    assert sorted(action for action, _ in planned) == ["archive", "archive", "create", "create", "replace", "update"]
    again = steps(measured)
    assert sorted(action for action, _ in again) == ["archive", "archive", "replace", "update", "update"]


def test_renames_are_undone(measured: Any, platform: Any) -> None:
    """A renamed project goes back with everything in it, and so does a renamed test inside of it."""
    before, remembered = as_written(platform), state(measured)
    text = (measured.folder / "bot.yaml").read_text()
    text = text.replace("metadata: {name: bot}", "metadata: {name: robot, renamedFrom: bot}")
    text = text.replace("- name: Rows arrive\n", "- name: Rows do arrive\n      renamedFrom: Rows arrive\n")
    (measured.folder / "bot.yaml").write_text(text.replace(*HARDER))
    planned = steps(measured)
    measured(*TRY, code=8)
    assert as_written(platform) == before
    assert state(measured)["entries"] == remembered["entries"]
    assert steps(measured) == planned


@pytest.mark.parametrize("by_hand", [False, True])
def test_a_project_that_took_along_what_is_ours_goes_back_without_it(
    by_hand: bool, measured: Any, platform: Any
) -> None:
    """Renamed by us it has its former name again; renamed by hand it keeps the one that somebody gave it."""
    tests = {name: test["id"] for name, test in platform.tests("bot").items()}
    measured("state", "rm", "openlayer.Project/bot")
    for name, test in tests.items():
        measured("state", "import", f"openlayer.Test/bot/monitoring/{name}", test)
    if by_hand:
        platform.api("PATCH", f"/projects/{platform.projects()['bot']['id']}", {"name": "robot"})
    before = platform.everything()
    measured.edit("bot.yaml", "metadata: {name: bot}", "metadata: {name: robot, renamedFrom: bot}")
    measured.edit("bot.yaml", *HARDER)
    measured(*TRY, "--adopt", code=8)
    after = platform.everything()
    name = "robot" if by_hand else "bot"
    assert after.keys() == before.keys() == {name}
    limits = [[test["thresholds"] for test in each[name][2].values()] for each in (before, after)]
    assert limits[0] == limits[1]
    measured.edit("bot.yaml", *reversed(HARDER))
    measured("apply", "--yes", "--adopt")
    assert measured("plan", "--detailed-exitcode")
    assert len(platform.tests("robot")) == 2


def test_what_could_not_be_put_back_is_left_as_a_request(measured: Any, platform: Any) -> None:
    """Exit 9 with method, URL and body; sent by hand they do it, and the key is not among them."""
    before = as_written(platform)
    measured.edit("bot.yaml", *HARDER)
    tests = f"/projects/{platform.projects()['bot']['id']}/tests"
    platform.fail({"method": "PUT", "path": f"/v1{tests}", "nth": [2, 3], "action": "status", "status": 422})
    ended = measured(*TRY, code=9)
    assert "1 change could not be put back" in ended.words
    lines = [line.strip() for line in ended.err.splitlines()]
    request = lines.index(f"PUT {platform.url}/v1{tests}")
    assert as_written(platform) != before
    platform.api("PUT", tests, json.loads(lines[request + 1]))
    assert as_written(platform) == before


def test_without_a_way_back_what_was_there_is_told(measured: Any, platform: Any) -> None:
    """Exit 9 also when the platform cannot be read for it; before that, exit 1 says that nothing is verified."""
    before = as_written(platform)
    measured.edit("bot.yaml", *HARDER)
    platform.fail({"method": "GET", "path": "/v1/projects", "nth": 3, "action": "status", "status": 403})
    assert "what was applied is not verified; the same command goes on" in measured(*TRY, code=1).words
    platform.fail({"method": "GET", "path": "/v1/projects", "nth": 3, "action": "status", "status": 403})
    ended = measured(*TRY, code=9)
    assert "the rollback could not be planned" in ended.words
    lines = [line.strip() for line in ended.err.splitlines()]
    (was,) = [json.loads(line) for line in lines if line.startswith("{")]
    assert was["thresholds"][0]["value"] == 2
    platform.fail()
    measured(*TRY, code=8)
    assert as_written(platform) == before


def test_a_failed_roll_back_is_finished_by_the_next_run(measured: Any, platform: Any) -> None:
    """The same command again applies nothing, evaluates what is not settled, and puts it back this time."""
    before = as_written(platform)
    measured.edit("bot.yaml", *HARDER)
    platform.fail({"method": "PUT", "path": "/v1/projects/*/tests", "nth": 2, "action": "status", "status": 422})
    measured(*TRY, code=9)
    platform.fail()
    assert "No changes" in measured(*TRY, code=8).out
    assert as_written(platform) == before


def killed_while(when: str, command: Sequence[str], measured: Any, platform: Any) -> None:
    """SIGKILL for the command before an evaluation is triggered, or when the old values arrive."""
    project = f"/projects/{platform.projects()['bot']['id']}/tests"
    test = platform.tests("bot")["Rows arrive"]["id"]
    started: list[Any] = []

    def kill() -> None:
        os.kill(started[0].pid, signal.SIGKILL)
        started[0].wait()

    if when == "verifying":
        platform.meanwhile("GET", f"/tests/{test}/results", kill)
    else:  # the first is the change itself, the second puts it back
        platform.meanwhile("PUT", project, lambda: platform.meanwhile("PUT", project, kill))
    started.append(measured.start(*command))
    started[0].communicate()
    assert started[0].returncode == -signal.SIGKILL


@pytest.mark.parametrize("when", ["verifying", "rolling back"])
def test_killed_while_it_verifies_or_rolls_back_the_next_run_ends_as_it_should(
    when: str, measured: Any, platform: Any
) -> None:
    """The change never counts as verified."""
    before = as_written(platform)
    measured.edit("bot.yaml", *HARDER)
    killed_while(when, TRY, measured, platform)
    ended = measured(*TRY, code=8)
    assert as_written(platform) == before
    assert "Nothing to evaluate" not in ended.words
    assert steps(measured) == [("update", "manifest")]


PLANNED = ("apply", "--plan", "plan.json", *TRY[2:])


@pytest.mark.parametrize("when", ["verifying", "rolling back"])
def test_a_saved_plan_that_was_cut_short_is_taken_up_by_resume(when: str, measured: Any, platform: Any) -> None:
    """It was applied, so the same command says how to finish it; what it was to verify is, and then it is used up."""
    before = as_written(platform)
    measured.edit("bot.yaml", *HARDER)
    measured("plan", "--out", "plan.json")
    killed_while(when, PLANNED, measured, platform)
    refused = measured(*PLANNED, code=6)
    assert "this plan was applied and not verified hint: finish it: the same command with --resume" in refused.words
    measured(*PLANNED, "--resume", code=8)
    assert as_written(platform) == before
    assert "this plan was applied already" in measured(*PLANNED, "--resume", code=6).words


def test_what_is_said_of_a_saved_plan_that_was_not_put_back_can_be_followed(measured: Any, platform: Any) -> None:
    """An evaluation that broke off names ``--resume``, so does exit 9; a plan of nothing says what is left to do."""
    before = as_written(platform)
    measured.edit("bot.yaml", *HARDER)
    measured("plan", "--out", "plan.json")
    platform.fail({"method": "GET", "path": "/v1/tests/*/results*", "action": "status", "status": 403})
    assert "the same command with --resume goes on with that" in measured(*PLANNED, code=1).words
    platform.fail({"method": "PUT", "path": "/v1/projects/*/tests", "action": "status", "status": 422})
    ended = measured(*PLANNED, "--resume", code=9)
    assert "or run the same command with --resume again: it still knows what was there before" in ended.words
    planned = measured("plan")
    assert "1 test that an earlier apply changed is not verified" in planned.words
    assert "hint: reconciler apply --evaluate --rollback" in planned.words
    platform.fail()
    measured(*PLANNED, "--resume", code=8)
    assert as_written(platform) == before
    assert "not verified" not in measured("plan").words


def test_a_saved_plan_whose_gate_failed_is_verified_again(measured: Any, platform: Any) -> None:
    """Without ``--rollback`` it stays as it is until its gate holds; nothing is applied a second time."""
    measured.edit("bot.yaml", *HARDER)
    measured("plan", "--out", "plan.json")
    verify = ("apply", "--plan", "plan.json", "--evaluate", *DAY)
    measured(*verify, code=5)
    assert "hint: reconciler apply --evaluate\n" in measured("plan").err
    platform.seen.clear()
    measured(*verify, "--resume", code=5)
    assert {path.rpartition("/")[2] for _, path in platform.writes} == {"evaluate"}
    refused = measured("apply", "--plan", "plan.json", "--resume", code=6)
    assert "this plan was applied already" in refused.words


def test_the_cost_is_refused_before_anything_is_applied(measured: Any, platform: Any) -> None:
    """Exit 3, naming what costs most; nothing was changed, and nothing triggered."""
    measured.edit("bot.yaml", *HARDER)
    ended = measured(*TRY, "--max-evaluations", "1", code=3)
    assert "this would run 2 evaluations, and --max-evaluations allows 1" in ended.words
    assert "Rows arrive (2 = 2 pipelines × 1 window)" in ended.words
    assert platform.writes == []


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--rollback",), "--rollback goes with --evaluate"),
        (("--max-evaluations", "3"), "--max-evaluations goes with --evaluate"),
        (("--since", "2d"), "--since goes with --evaluate"),
        (("--from", "2026-11-01"), "--from goes with --evaluate"),
        (("--to", "2026-11-02"), "--to goes with --evaluate"),
        (("--timeout", "10m"), "--timeout goes with --evaluate"),
        (("--evaluate", "--timeout", "soon"), "--timeout soon"),
        (("--evaluate", "--since", "yesterday"), "--since yesterday"),
    ],
)
def test_options_that_make_no_sense_stop_it_before_anything(
    options: tuple[str, ...], says: str, bot: Any, platform: Any
) -> None:
    """Exit 64, and not only once everything is applied."""
    assert says in bot("apply", "--yes", *options, code=64).words
    assert platform.seen == []


def test_digitalocean_s_test_cases_are_put_back_too(care: Any, account: Any) -> None:
    """A run is judged on behalf of its test case; an agent that is not right fails it, exit 8."""
    care.edit("care.yaml", "agents: [bot]", "agents: [canary]")
    care("apply", "--yes")
    care.edit("care.yaml", "threshold: 82.4", "threshold: 90")
    assert "what was changed was put back" in care(*TRY, code=8).words
    assert account.case()["star_metric"]["success_threshold"] == pytest.approx(82.4)
    assert [(action, cause) for action, cause in steps(care)] == [("update", "manifest")]


def test_an_evaluation_that_never_ends_is_put_back_and_not_waited_for(measured: Any, platform: Any) -> None:
    """--timeout ends the wait: the gate says that it goes on at the platform, and nothing is left to resume."""
    before = as_written(platform)
    measured.edit("bot.yaml", "value: 2}]", "value: 1}]")
    platform.fail({"method": "POST", "path": "/v1/tests/*/evaluate", "action": "task-never"})
    ended = measured(*TRY, "--timeout", "1s", code=8)
    assert "not finished after 1s; it goes on at the platform" in ended.words
    assert as_written(platform) == before
    measured("evaluate", "--resume", code=64)


def test_what_other_paths_hold_stays_to_be_verified(measured: Any) -> None:
    """A gate that holds for one file says nothing of another one that is not verified yet."""
    other = (measured.folder / "bot.yaml").read_text().replace("{name: bot}", "{name: other}")
    measured.write("other.yaml", other.replace(*HARDER))
    measured("apply", "--yes", "other.yaml", "--evaluate", *DAY, code=5)
    measured.edit("bot.yaml", "value: 2}]", "value: 1}]")
    measured("apply", "--yes", "bot.yaml", "--evaluate", *DAY)
    assert "other/monitoring/Rows arrive" in measured("apply", "--yes", "--evaluate", *DAY, code=5).out


def test_what_was_only_remembered_is_put_back_too(measured: Any) -> None:
    """Protection that came along with the change that fails, and an allowance to delete: neither outlives it."""
    measured.edit("bot.yaml", "- name: live", "- {name: live, lifecycle: {protect: true}}")
    measured("apply", "--yes")
    remembered = state(measured)["entries"]
    measured.edit("bot.yaml", "lifecycle: {protect: true}", "lifecycle: {protect: false, onRemoval: delete}")
    measured.edit("bot.yaml", *HARDER)
    ended = measured(*TRY, code=8)
    assert "lifecycle.protect: true -> false" in ended.words
    assert state(measured)["entries"] == remembered
    assert "lifecycle.protect: true -> false" in measured("plan").words


@pytest.mark.parametrize(
    ("code", "message"),
    [(8, "the gate failed, and what was changed was put back:"), (9, "1 change could not be put back; left to do:")],
)
def test_reports_for_machines_say_what_became_of_a_change_that_failed_its_gate(
    code: int, message: str, measured: Any, platform: Any
) -> None:
    """The steps were done, so what has ended the run stands beside them: with exit 9 also what is left to send."""
    reports = ("--format", "json", "--report", "json=report.json", "--report", "junit=junit.xml")
    measured.edit("bot.yaml", *HARDER)
    if code == 9:
        rule = {"method": "PUT", "path": "/v1/projects/*/tests", "nth": 2, "action": "status", "status": 422}
        platform.fail(rule)
    told = json.loads(measured(*TRY, *reports, code=code).out)
    assert told == json.loads((measured.folder / "report.json").read_text())
    assert list(told) == ["plan", "apply", "evaluation", "error"]
    assert told["apply"]["summary"]["done"] == 1
    assert (told["error"]["exit_code"], told["error"]["hint"] != "") == (code, True)
    assert message in told["error"]["message"]
    assert f"PUT {platform.url}" in told["error"]["message"] or code == 8
    tab = (measured.folder / "junit.xml").read_text()
    assert 'tests="3" failures="2" errors="1"' in tab
    assert message in tab
    page = read_told(json.dumps(told))
    assert page is not None
    assert str(page.error) == told["error"]["message"]


# ---------------------------------------------------------------------------------- a gate that gets stricter


@pytest.fixture
def warned(measured: Any, platform: Any) -> Any:
    """The project with a test that fails and only warns, evaluated."""
    measured.edit("bot.yaml", HARDER[0], f"{HARDER[1]}\n      severity: warn")
    measured("apply", "--yes", "--evaluate", *DAY)
    platform.seen.clear()
    return measured


def results(platform: Any) -> list[Any]:
    """The ids of all results of the test that fails."""
    test = platform.tests("bot")["Rows arrive"]["id"]
    return [each["id"] for each in platform.api("GET", f"/tests/{test}/results")["items"]]


def test_a_gate_that_gets_stricter_is_tried_until_it_holds(warned: Any, platform: Any) -> None:
    """Nothing is sent for it but what evaluates, and nothing is written over: the test is as it was."""
    before, again = results(platform), ("apply", "--yes", "--evaluate", *DAY)
    warned.edit("bot.yaml", "severity: warn", "severity: error")
    assert "TIGHTENED" in warned(*again, code=5).words
    assert {path.rpartition("/")[2] for _, path in platform.writes} == {"evaluate"}
    assert results(platform) == before
    assert "1 test that an earlier apply changed is not verified" in warned("plan").words
    warned(*again, code=5)
    warned.edit("bot.yaml", "severity: error", "severity: warn")
    warned(*again)
    assert "Nothing to evaluate" in warned(*again).err


def test_a_gate_that_gets_milder_is_not_tried(warned: Any, platform: Any) -> None:
    warned.edit("bot.yaml", "severity: warn", "severity: info")
    assert "Nothing to evaluate" in warned(*TRY).err
    assert platform.writes == []


def test_a_gate_that_fails_as_soon_as_it_is_stricter_is_put_back(warned: Any, platform: Any) -> None:
    """Only our memory has changed, so the change is pending again."""
    remembered = state(warned)["entries"]
    warned.edit("bot.yaml", "severity: warn", "severity: error")
    ended = warned(*TRY, code=8)
    assert "the gate failed; putting back 1 change\n" in ended.err
    assert "put back: gate of openlayer.Test/bot/monitoring/Rows arrive (severity)" in ended.words
    assert {path.rpartition("/")[2] for _, path in platform.writes} == {"evaluate"}
    assert state(warned)["entries"] == remembered
    assert not {"before", "unsettled", "touched"} & state(warned).keys()
    assert 'severity: "warn" -> "error" TIGHTENED' in warned("plan", "--detailed-exitcode", code=2).words


def test_a_saved_plan_of_nothing_but_a_stricter_gate_is_finished_by_resume(warned: Any, platform: Any) -> None:
    warned.edit("bot.yaml", "severity: warn", "severity: error")
    warned("plan", "--out", "plan.json")
    verify = ("apply", "--plan", "plan.json", "--evaluate", *DAY)
    warned(*verify, code=5)
    warned(*verify, "--resume", code=5)
    stream(platform, 9)
    warned(*verify, "--resume")
    assert "applied already" in warned(*verify, "--resume", code=6).words


def test_the_cost_of_a_stricter_gate_is_refused_before_it_is_remembered(warned: Any) -> None:
    remembered = state(warned)["entries"]
    warned.edit("bot.yaml", "severity: warn", "severity: error")
    assert "would run 2 evaluations" in warned(*TRY, "--max-evaluations", "1", code=3).words
    assert state(warned)["entries"] == remembered


def test_the_stricter_gate_of_a_run_is_tried_until_it_holds(care: Any, account: Any) -> None:
    """No run is started for it, where there is one.  Nothing was changed at the platform, so nothing is put back."""
    care.edit("care.yaml", "agents: [bot]", "agents: [canary]\n      severity: warn")
    care("apply", "--yes", "--evaluate")
    care.edit("care.yaml", "severity: warn", "severity: error")
    account.platform.seen.clear()
    for _ in range(2):
        ended = care("apply", "--yes", "--evaluate", "--rollback", code=5)
        assert "put back" not in ended.err
    assert account.writes == []
    care.edit("care.yaml", "severity: error", "severity: info")
    for _ in range(2):
        assert "Nothing to evaluate" in care("apply", "--yes", "--evaluate").err
