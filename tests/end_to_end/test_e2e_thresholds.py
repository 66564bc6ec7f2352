"""What a change of thresholds means, as the command line says it: denied, replayed, pinned, suggested."""

from __future__ import annotations

import json
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
    assert "denied" in bot("apply", "--plan", "plan.json", "--deny", "loosened", code=6).words


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
