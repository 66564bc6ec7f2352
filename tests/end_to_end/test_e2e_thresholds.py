"""What a change of thresholds means, as the command line says it: denied, replayed, pinned, suggested."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import jsonschema
import pytest

from reconciler.reporting.plan_schema import plan_schema

LOOSER = ("value: 100", "value: 200")


def test_a_denied_loosening_is_exit_3_and_names_the_line(bot: Any, platform: Any) -> None:
    """``--deny loosened`` on plan and apply; an acknowledgement does not help; a tightening passes."""
    bot("apply", "--yes")
    bot.edit("bot.yaml", *LOOSER)
    platform.seen.clear()
    for command in ("plan", "apply"):
        more = ("--yes",) if command == "apply" else ()
        ended = bot(command, "--deny", "loosened", "--deny", "moved", "--ack", "loosen=1", *more, code=3)
        assert "(bot.yaml:22)" in ended.words
        assert "thresholds.0.value 100 -> 200: loosened, which is denied here" in ended.words
    assert platform.writes == []
    bot.edit("bot.yaml", "value: 200", "value: 50")
    bot("apply", "--yes", "--deny", "loosened")


def test_what_the_environment_denies_no_option_allows(bot: Any) -> None:
    """``policy: {deny: [loosened]}``, in the plan and in its JSON."""
    environment = (
        "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: prod}\nspec: {policy: {deny: [loosened]}}\n"
    )
    bot.write("prod.yaml", environment)
    bot("apply", "--env", "prod", "--yes")
    bot.edit("bot.yaml", *LOOSER)
    ended = bot("plan", "--env", "prod", "--ack", "loosen=1", "--format", "json", code=3)
    (refusal,) = json.loads(ended.out)["refusals"]
    assert refusal["source"] == {"file": "bot.yaml", "line": 22}
    assert "denied" in refusal["reason"]


def test_a_saved_plan_keeps_what_it_was_denied(bot: Any) -> None:
    """The options of a saved plan, and those of the command that applies it, count both."""
    bot("apply", "--yes")
    bot.edit("bot.yaml", *LOOSER)
    bot("plan", "--out", "plan.json")
    assert "denied" in bot("apply", "--plan", "plan.json", "--deny", "loosened", code=3).words


# ------------------------------------------------------------------------------------------- the past

LENGTHS = {1: 40, 2: 90, 3: 163, 4: 95, 5: 99, 6: 150, 7: 80, 8: 60}
"""What the longest answer of each day in November 2026 is: two are above the limit of 100."""


@pytest.fixture
def measured(bot: Any, platform: Any) -> Any:
    """The project applied; eight days of rows on the live pipeline, one answer a day, all evaluated."""
    bot("apply", "--yes")
    platform.stream({day: "x" * length for day, length in LENGTHS.items()})
    bot("evaluate", "--from", "2026-11-01", "--to", "2026-11-09", "--select", "*/Answers are short", code=5)
    platform.seen.clear()
    return bot


def replay_of(result: Any) -> dict[str, Any]:
    """The replay of the only step that has one."""
    (found,) = [step["replay"] for step in json.loads(result.out)["steps"] if "replay" in step]
    return dict(found)


def test_replay_says_what_the_new_limit_would_have_flagged(measured: Any, platform: Any) -> None:
    """163 and 150 were flagged; with 160 only one of them would be.  Reads only; in text, JSON and Markdown."""
    measured.edit("bot.yaml", "value: 100", "value: 160")
    found = replay_of(measured("plan", "--replay", "365d", "--format", "json"))
    assert (found["state"], found["agreement"], found["checked"]) == ("calibrated", 1.0, 8)
    assert (found["before"]["flagged"], found["after"]["flagged"], found["after"]["windows"]) == (2, 1, 8)
    assert (found["only_before"], found["only_after"]) == (1, 0)
    assert [(near["value"], near["margin"]) for near in found["nearest"]] == [(163, -3), (150, 10), (99, 61)]
    assert {near["pipeline"] for near in found["nearest"]} == {"live"}
    text = measured("plan", "--replay", "365d").words
    assert "replay of 365d: 8 windows, flagged 2 -> 1" in text
    assert "1 would be missed now" in text
    assert "near: maxCharacterLength 163, misses by 3 live 2026-11-03T00:00Z" in text
    assert "flagged 2 -> 1" in measured("plan", "--replay", "365d", "--format", "markdown").out
    assert platform.writes == []


def why_not(cli: Any, *, state: str = "uncalibrated") -> str:
    """The reason of the only replay, which is no forecast; the JSON keeps its schema."""
    document = cli("plan", "--replay", "365d", "--format", "json")
    jsonschema.validate(json.loads(document.out), plan_schema())
    found = replay_of(document)
    assert found["state"] == state
    assert found["after"] is None
    return str(found["why"])


def test_a_forecast_stands_in_the_plan_as_the_schema_promises(measured: Any) -> None:
    """And a saved plan with a replay can be applied: the past is evidence, not part of what is done."""
    measured.edit("bot.yaml", "value: 100", "value: 160")
    measured("plan", "--replay", "365d", "--out", "plan.json")
    saved = json.loads((measured.folder / "plan.json").read_text(encoding="utf-8"))
    jsonschema.validate(saved, plan_schema())
    assert any("replay" in step for step in saved["steps"])
    assert "Apply: 1 done." in measured("apply", "--plan", "plan.json").out


def test_a_time_without_results_says_so(bot: Any) -> None:
    """Nothing was evaluated yet; and what was, lies too far back."""
    bot("apply", "--yes")
    bot.edit("bot.yaml", "value: 100", "value: 160")
    assert why_not(bot, state="nothing") == "no results in this time"


def test_a_past_without_failures_proves_nothing(bot: Any, platform: Any) -> None:
    bot("apply", "--yes")
    platform.stream({1: "yes", 2: "no"})
    bot("evaluate", "--from", "2026-11-01", "--to", "2026-11-03", "--select", "*/Answers are short")
    bot.edit("bot.yaml", "value: 100", "value: 160")
    assert "no window failed" in why_not(bot)


def test_what_is_measured_in_another_way_can_not_be_replayed(measured: Any) -> None:
    """Another column, or another window: past values do not help, in the words of the field."""
    measured.edit("bot.yaml", "column_name: output", "column_name: answer")
    assert why_not(measured, state="redefined").startswith("thresholds.0.insightParameters changes what is measured")
    measured.edit("bot.yaml", "column_name: answer", "column_name: output")
    text = (measured.folder / "bot.yaml").read_text(encoding="utf-8")
    head, mark, tail = text.rpartition("evaluationWindow: 24h")
    measured.write("bot.yaml", f"{head}evaluationWindow: 7d{tail}")
    assert mark
    assert why_not(measured, state="redefined").startswith("evaluationWindow changes what is measured")


def test_a_replaced_test_is_replayed_where_it_measures_the_same(measured: Any) -> None:
    """Another pipeline makes another object of it; the values of the old one still say something, with a note."""
    measured.edit("bot.yaml", "pipelines: [live]", "pipelines: [live, canary]")
    measured.edit("bot.yaml", "value: 100", "value: 160")
    found = replay_of(measured("plan", "--replay", "365d", "--format", "json"))
    assert (found["state"], found["only_before"]) == ("calibrated", 1)
    assert found["notes"] == ["pipelines changes too: windows are counted wherever they were measured"]
    measured.edit("bot.yaml", "pipelines: [live, canary]", "excludePipelines: [canary]")
    found = replay_of(measured("plan", "--replay", "365d", "--format", "json"))
    assert (found["state"], found["only_before"]) == ("calibrated", 1)
    assert found["notes"][0].startswith("pipelines, excludePipelines changes too")


def test_a_past_that_can_not_be_read_is_told_and_the_plan_stands(measured: Any, platform: Any) -> None:
    """The key may not read results."""
    measured.edit("bot.yaml", "value: 100", "value: 160")
    platform.fail({"method": "GET", "path": "/v1/tests/*/results", "action": "status", "status": 403})
    assert why_not(measured).startswith("the past cannot be read: GET /tests/")


def test_percent_against_a_fraction_is_refused(bot: Any, platform: Any) -> None:
    """Values from 40 to 99, judged by 90 until now: a limit of 0.9 is of another scale."""
    bot.edit("bot.yaml", "value: 100", "value: 90")
    bot("apply", "--yes")
    platform.stream({day: "x" * length for day, length in enumerate([40, 75, 99, 88, 95], 1)})
    bot("evaluate", "--from", "2026-11-01", "--to", "2026-11-06", "--select", "*/Answers are short", code=5)
    bot.edit("bot.yaml", "value: 90", "value: 0.9")
    assert why_not(bot) == (
        "the values are percent, while the threshold is a fraction (they reach 99, the limit is 0.9)"
    )


def test_the_same_in_other_words_needs_no_replay(measured: Any) -> None:
    """Two thresholds that mean what one meant: SAME, nothing to forecast."""
    again = (
        "- {insightName: characterLength, insightParameters: {column_name: output}, measurement: maxCharacterLength, "
    )
    measured.edit("bot.yaml", "value: 100", f"value: 100\n        {again}operator: lt, value: 500}}")
    ended = measured("plan", "--replay", "365d")
    assert "SAME" in ended.out
    assert "replay" not in ended.out


# ------------------------------------------------------------------------------------------- pins


def result_of(platform: Any, day: int) -> str:
    """The id of the result of one day of November 2026."""
    test = platform.tests("bot")["Answers are short"]["id"]
    found = platform.api("GET", f"/tests/{test}/results?perPage=100")["items"]
    return next(str(item["id"]) for item in found if item["dateDataStarts"].startswith(f"2026-11-{day:02}"))


def test_an_incident_is_pinned_and_defended(measured: Any, platform: Any) -> None:
    """From a result to a file in git; from then on no plan may let it pass, online or between two revisions."""
    incident = result_of(platform, 6)
    measured("pin", "--from-result", incident, "--out", "pins/i.yaml", "--name", "i-812", "--why", "incident 812")
    text = (measured.folder / "pins" / "i.yaml").read_text(encoding="utf-8")
    for line in (
        "name: i-812",
        "test: Answers are short",
        "mode: monitoring",
        "pipeline: live",
        'from: "2026-11-06T00:00:00Z"',
        f"result: {incident}",
        "measurement: maxCharacterLength",
        "value: 150",
        "verdict: flagged",
        "why: incident 812",
    ):
        assert line in text
    measured("validate")
    measured("plan", "--detailed-exitcode")
    measured.edit("bot.yaml", "value: 100", "value: 149")
    measured("plan")
    measured.edit("bot.yaml", "value: 149", "value: 150")
    refused = measured("apply", "--yes", code=3)
    assert "(pins/i.yaml:1)" in refused.words
    assert "pin i-812 (pins/i.yaml:1): maxCharacterLength 150 would not be flagged by <= 150" in refused.words
    assert platform.writes == []


def test_a_pin_of_what_is_measured_differently_now_asks_to_be_renewed(measured: Any, platform: Any) -> None:
    """Another column: the value in the pin says nothing of it, although the measurement has the same name."""
    measured("pin", "--from-result", result_of(platform, 6), "--test", "Answers are short", "--out", "pin.yaml")
    measured.edit("bot.yaml", "column_name: output", "column_name: answer")
    refused = measured("plan", code=3)
    assert "maxCharacterLength is not measured any more as it was then" in refused.words
    assert "reconciler pin --from-result ID" in refused.words


def test_a_good_time_is_pinned_as_passing(measured: Any, platform: Any) -> None:
    """Named by test and day when no name is given, printed when no file is."""
    written = measured("pin", "--from-result", result_of(platform, 5)).out
    assert "name: answers-are-short-2026-11-05" in written
    assert "verdict: passes" in written
    measured.write("pin.yaml", written)
    measured.edit("bot.yaml", "value: 100", "value: 98")
    assert "maxCharacterLength 99 passed, and would be flagged by <= 98" in measured("plan", code=3).words


def test_what_can_not_be_pinned(measured: Any, platform: Any) -> None:
    """An unknown result, a skipped one, a file that is there already."""
    ended = measured("pin", "--from-result", "nobody", code=64)
    assert "no result nobody is recorded of any of 2 tests" in ended.words
    assert "is none of the tests" in measured("pin", "--from-result", "x", "--test", "Nothing", code=64).words
    measured("evaluate", "--from", "2026-11-10", "--to", "2026-11-11", "--select", "*/Answers are short", code=5)
    assert "is skipped: There are no rows" in measured("pin", "--from-result", result_of(platform, 10), code=64).words
    measured("pin", "--from-result", result_of(platform, 6), "--out", "pin.yaml")
    assert "pin.yaml" in measured("pin", "--from-result", result_of(platform, 5), "--out", "pin.yaml", code=1).words


# ------------------------------------------------------------------------------------------- a limit for a budget


def test_a_limit_is_suggested_as_a_patch_that_git_takes(measured: Any) -> None:
    """Four flagged windows a week can be afforded: of 8 windows at most one (upper end 3.3 a week)."""
    answer = measured("suggest", "Answers are short", "--budget", "4/week", "--since", "365d")
    assert "maxCharacterLength <= 100 -> <= 150" in answer.words
    assert "now: 2 of 8 windows flagged (25.0 %," in answer.words
    assert (
        "then: 1 of 8 windows flagged (12.5 %, at 95 % between 2.2 % and 47.1 %); at the upper end 3.3 in 7d"
        in answer.words
    )
    subprocess.run(["git", "apply", "-"], input=answer.out, text=True, check=True, cwd=measured.folder)
    assert "value: 150" in (measured.folder / "bot.yaml").read_text(encoding="utf-8")
    again = measured("suggest", "bot/monitoring/Answers are short", "--budget", "4/week", "--since", "365d")
    assert "<= 150 is the strictest limit within the budget already" in again.words


def test_a_suggestion_keeps_every_pin(measured: Any, platform: Any) -> None:
    """The incident with 150 must be flagged, which four a week do not allow; six do (upper end of 4 in 8: 5.5)."""
    measured("pin", "--from-result", result_of(platform, 6), "--out", "pin.yaml", "--name", "i-812")
    ended = measured(
        "suggest", "Answers are short", "--budget", "4/week", "--since", "365d", "--format", "json", code=1
    )
    found = json.loads(ended.out)
    assert (found["limit"], found["patch"]) == (None, "")
    assert "pin i-812 must be flagged" in found["why"]
    assert found["missing"] == "a larger budget, or delete the pin"
    found = json.loads(
        measured("suggest", "Answers are short", "--budget", "6/week", "--since", "365d", "--format", "json").out
    )
    assert (found["limit"], found["pins"], found["then"]["flagged"]) == (90, ["i-812"], 4)


def test_too_few_windows_are_told_with_how_many_are_needed(measured: Any) -> None:
    """One flagged window a week from eight days: even none of eight could be 2.3 a week."""
    ended = measured("suggest", "Answers are short", "--budget", "1/week", "--since", "365d", code=1)
    assert "8 windows are too few: with none of them flagged, up to 2.27 could still be expected" in ended.words
    assert "missing: at least 24 judged windows, or a larger budget" in ended.words


def test_a_suggestion_needs_a_past(bot: Any) -> None:
    bot("apply", "--yes")
    ended = bot("suggest", "Answers are short", "--budget", "1/week", code=1)
    assert "there are no results in this time" in ended.words
    assert "not a budget" in bot("suggest", "Answers are short", "--budget", "weekly", code=64).words


def test_a_limit_from_a_variable_is_suggested_without_a_patch(measured: Any) -> None:
    """The file does not hold the number: where it can be set is said instead."""
    measured.edit("bot.yaml", "value: 100", 'value: "${var.longest}"')
    asked = ("suggest", "Answers are short", "--budget", "4/week", "--since", "365d", "--var", "longest=100")
    answer = measured(*asked)
    assert "<= 100 -> <= 150" in answer.words
    assert "no patch: bot.yaml:27: what stands there is not 100; the limit comes from a variable" in answer.words
    assert "---" not in answer.out


def test_pins_hold_between_two_revisions_without_an_account(measured: Any, platform: Any) -> None:
    """``plan --offline --base``: no request is made, and the fork's pull request is refused all the same."""
    measured("pin", "--from-result", result_of(platform, 6), "--out", "pins/i.yaml", "--name", "i-812")
    (measured.folder / ".gitignore").write_text(".reconciler/\n", encoding="utf-8")
    who = ("-c", "user.name=a", "-c", "user.email=a@example.org")
    for command in (("init", "-q", "-b", "main"), ("add", "."), (*who, "commit", "-qm", "all")):
        subprocess.run(["git", *command], check=True, cwd=measured.folder)
    measured.edit("bot.yaml", "value: 100", "value: 500")
    platform.seen.clear()
    refused = measured("plan", "--offline", "--base", "main", code=3, OPENLAYER_API_KEY="")
    assert "maxCharacterLength 150 would not be flagged by <= 500" in refused.words
    assert platform.seen == []


def test_a_broken_pin_is_no_drift(measured: Any, platform: Any) -> None:
    """What the manifests may not do says nothing of what somebody did at the platform."""
    measured("pin", "--from-result", result_of(platform, 6), "--out", "pin.yaml")
    measured.edit("bot.yaml", "value: 100", "value: 500")
    measured("plan", code=3)
    assert "Clean" in measured("drift").out


def test_a_whole_number_is_written_as_one(bot: Any, platform: Any) -> None:
    """The platform shows an average of 150.0; people write 150, and so do a pin and a patch."""
    bot.edit("bot.yaml", "measurement: maxCharacterLength", "measurement: averageCharacterLength")
    bot("apply", "--yes")
    platform.stream({day: "x" * length for day, length in enumerate([40, 75, 99, 88, 95, 150, 30, 163], 1)})
    bot("evaluate", "--from", "2026-11-01", "--to", "2026-11-09", "--select", "*/Answers are short", code=5)
    pin = bot("pin", "--from-result", result_of(platform, 6)).out
    assert "value: 150\n" in pin
    answer = bot("suggest", "Answers are short", "--budget", "4/week", "--since", "365d").out
    assert "+          value: 150\n" in answer
    found = bot("suggest", "Answers are short", "--budget", "4/week", "--since", "365d", "--format", "json").out
    assert '"limit": 150,' in found


# ------------------------------------------------------------------------------------------- DigitalOcean


def test_runs_of_digitalocean_are_replayed_and_pinned(care: Any, account: Any) -> None:
    """The agent ``bot`` reaches 100, ``canary`` 0; a limit that both reach would miss the canary."""
    care.edit("care.yaml", "agents: [bot]", "agents: [bot, canary]")
    care("apply", "--yes")
    care("evaluate", code=5)
    run = next(each["evaluation_run_uuid"] for each in account.runs() if each["agent_name"] == "canary")
    care.edit("care.yaml", "threshold: 82.4", "threshold: 0")
    found = replay_of(care("plan", "--replay", "30d", "--format", "json"))
    assert (found["state"], found["only_before"], found["after"]["flagged"]) == ("calibrated", 1, 0)
    care("pin", "--from-result", run, "--out", "pin.yaml", "--name", "canary-is-wrong")
    assert "pin canary-is-wrong (pin.yaml:1): Correctness (general hallucinations) 0" in care("plan", code=3).words
    ended = care("suggest", "Answers are correct", "--budget", "1/week", code=64)
    assert "is not measured in windows of time" in ended.words
