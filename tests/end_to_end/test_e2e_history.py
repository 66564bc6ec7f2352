"""What was judged is kept under its logical name, and ``reconciler history`` shows it again."""

from __future__ import annotations

import csv
import io
import json
from datetime import UTC, datetime
from typing import Any

import pytest

from reconciler.model.history import Observation
from reconciler.model.outcome import EvaluationStatus, Level
from reconciler.model.resource import Address
from reconciler.storage.history import FileHistory

NOON = datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()
DAY = 86_400
RANGE = ("--from", "2026-11-10", "--to", "2026-11-12")

Known = list[tuple[str, str, str, float]]


def known(cli: Any, *arguments: str) -> Known:
    """(test, pipeline, verdict, value)."""
    found = json.loads(cli("history", *arguments, "--format", "json").out)["observations"]
    return sorted(
        (each["address"].partition("/")[2], each["pipeline"], each["level"], next(iter(each["measured"].values())))
        for each in found
    )


# ------------------------------------------------------------------------------------------ what is kept


@pytest.fixture
def measured(bot: Any, platform: Any) -> Any:
    """Two days were evaluated: enough rows on the first, too few on the canary on the second."""
    bot("apply", "--yes")
    for name, counts in (("live", (3, 2)), ("canary", (2, 1))):
        rows = [{"output": "yes", "at": NOON + DAY * day + n} for day, count in enumerate(counts) for n in range(count)]
        body = {"config": {"outputColumnName": "output", "timestampColumnName": "at"}, "rows": rows}
        platform.api("POST", f"/inference-pipelines/{platform.pipelines('bot')[name]['id']}/data-stream", body)
    bot("evaluate", *RANGE, "--select", "*Rows*", code=5)
    return bot


def rows(test: str = "bot/monitoring/Rows arrive", canary: str = "canary") -> Known:
    return sorted(
        [(test, canary, "pass", 2), (test, "live", "pass", 3), (test, canary, "fail", 1), (test, "live", "pass", 2)]
    )


def test_every_window_of_a_verdict_is_kept_once_whoever_looks_at_it(measured: Any) -> None:
    assert known(measured) == rows()
    measured("status", *RANGE, "--select", "*Rows*", code=5)
    measured("status", "--select", "*Rows*", code=5)
    assert known(measured) == rows()
    (measured.folder / ".reconciler" / "default.history.db").unlink()
    measured("status", *RANGE, "--select", "*Rows*", code=5)
    assert known(measured) == rows()


def test_a_look_with_other_thresholds_or_another_gate_leaves_the_past_as_it_was_judged(measured: Any) -> None:
    """A branch that is not applied: what it would say is not what was said, and the baseline of others stays."""
    measured.edit("bot.yaml", 'operator: ">=", value: 2', 'operator: ">=", value: 9')
    assert "0 passed" in measured("status", *RANGE, "--select", "*Rows*", code=5).words
    assert known(measured) == rows()
    measured.edit("bot.yaml", 'operator: ">=", value: 9}]', 'operator: ">=", value: 2}]\n      gate: {runs: 2}')
    assert "0 passed" in measured("status", *RANGE, "--select", "*Rows*", code=5).words
    assert known(measured) == rows()


def test_what_nobody_has_judged_yet_is_not_kept(bot: Any) -> None:
    bot("apply", "--yes")
    bot("evaluate", *RANGE, "--no-wait")
    assert "nothing was recorded in the environment default yet" in bot("history", code=64).words


def test_the_past_goes_along_with_every_name(measured: Any) -> None:
    """Of a test, of its pipeline, of its project; in the manifests, and by hand in the state."""
    measured.edit("bot.yaml", "- name: Rows arrive\n", "- name: Traffic\n      renamedFrom: Rows arrive\n")
    measured("apply", "--yes")
    assert known(measured) == rows("bot/monitoring/Traffic")
    measured.edit("bot.yaml", "- {name: canary,", "- {name: tenth, renamedFrom: canary,")
    measured("apply", "--yes")
    assert known(measured) == rows("bot/monitoring/Traffic", "tenth")
    measured.edit("bot.yaml", "metadata: {name: bot}", "metadata: {name: helper, renamedFrom: bot}")
    measured("apply", "--yes")
    assert known(measured) == rows("helper/monitoring/Traffic", "tenth")
    measured("state", "mv", "openlayer.Test/helper/monitoring/Traffic", "openlayer.Test/helper/monitoring/Rows")
    assert known(measured) == rows("helper/monitoring/Rows", "tenth")


def test_a_replaced_test_goes_on_with_its_past(measured: Any, platform: Any) -> None:
    """Another object at the platform, the same name."""
    before = platform.tests("bot")["Rows arrive"]["id"]
    measured.edit("bot.yaml", "rowCount\n      evaluationWindow: 24h", "rowCount\n      evaluationWindow: 12h")
    measured("apply", "--yes")
    assert platform.tests("bot")["Rows arrive"]["id"] != before
    measured("evaluate", "--from", "2026-11-10T12:00Z", "--to", "2026-11-11", "--select", "*Rows*")
    assert len(known(measured)) == len(rows()) + 2


def test_a_test_that_is_replaced_under_a_new_name_goes_on_with_its_past(measured: Any, platform: Any) -> None:
    """One apply does both, and afterwards nothing is left of the former name."""
    before = platform.tests("bot")["Rows arrive"]["id"]
    measured.edit("bot.yaml", "- name: Rows arrive\n", "- name: Traffic\n      renamedFrom: Rows arrive\n")
    measured.edit("bot.yaml", "rowCount\n      evaluationWindow: 24h", "rowCount\n      evaluationWindow: 12h")
    measured("apply", "--yes")
    tests = platform.tests("bot")
    assert (tests["Rows arrive"]["id"], tests["Rows arrive"]["archived"]) == (before, True)
    assert known(measured) == rows("bot/monitoring/Traffic")
    measured("plan", "--detailed-exitcode")
    assert "Rows arrive" not in measured("state", "list").out


def test_a_history_that_can_not_be_written_fails_no_gate(measured: Any) -> None:
    """A full disk, a read-only folder: a warning, and the verdicts as ever."""
    history = measured.folder / ".reconciler" / "default.history.db"
    history.write_text("mine " * 1000)
    judged = measured("status", "--from", "2026-11-10", "--to", "2026-11-11", "--select", "*Rows*")
    assert "warning: this is not kept for later: the history " in judged.words
    assert "2 passed" in judged.out
    measured.edit("bot.yaml", "- name: Rows arrive\n", "- name: Traffic\n      renamedFrom: Rows arrive\n")
    assert "warning: the history stays with the former names" in measured("apply", "--yes").words
    assert "file is not a database" in measured("history", code=1).words
    assert history.read_text() == "mine " * 1000


def test_a_page_draws_what_was_measured_before(measured: Any, platform: Any) -> None:
    """Without a request more to the platform; what cannot be read is not shown, which fails nothing."""
    ask = ("status", "--from", "2026-11-11", "--to", "2026-11-12", "--select", "*Rows*")
    platform.seen.clear()
    measured(*ask, code=5)
    usual = len(platform.seen)
    platform.seen.clear()
    page = measured(*ask, "--format", "html", code=5).out
    assert len(platform.seen) == usual
    assert "<title>rowCount 1 to 2, latest 1; 2 verdicts, 1 failed (!)</title>" in page
    assert "<title>rowCount 2 to 3, latest 2; 2 verdicts, all passed</title>" in page
    (measured.folder / ".reconciler" / "default.history.db").write_text("mine " * 1000)
    told = measured(*ask, "--report=html=page.html", code=5)
    assert "warning: what was measured before is not shown: the history " in told.words
    assert "<title>Failed: Evaluation" in (measured.folder / "page.html").read_text()


# ------------------------------------------------------------------------------------------ what is shown


@pytest.fixture
def recorded(cli: Any) -> Any:
    """A folder with nothing but a history: what ``measured`` records, and one test more."""

    def seen(test: str, pipeline: str, day: int, value: int) -> Observation:
        level, status = (Level.PASS, EvaluationStatus.PASSING) if value > 1 else (Level.FAIL, EvaluationStatus.FAILING)
        starts = int(NOON) // DAY * DAY + day * DAY
        return Observation(
            Address("openlayer.Test", ("bot", "monitoring", test)), pipeline, level, status, {"rowCount": value},
            ">= 2", value - 2, "", starts, starts + DAY, f"r{day}",
        )  # fmt: skip

    store = FileHistory(cli.folder / ".reconciler" / "default.history.db")
    store.record([seen("Rows arrive", "canary", 0, 2), seen("Rows arrive", "canary", 1, 1),
                  seen("Rows arrive", "live", 0, 3), seen("Rows arrive", "live", 1, 2),
                  seen("Answers are short", "live", 0, 9)])  # fmt: skip
    return cli


def test_the_picture(recorded: Any) -> None:
    shown = recorded("history", "bot/monitoring/Rows arrive").out
    assert shown == (
        "openlayer.Test/bot/monitoring/Rows arrive\n"
        "  canary  █▁  rowCount 1 to 2, latest 1; 2 verdicts, 1 failed (!)\n"
        "           !\n"
        "  live    █▁  rowCount 2 to 3, latest 2; 2 verdicts, all passed\n"
        "\n"
        "WHEN (UTC)        PIPELINE  VERDICT  VALUE  EXPECTATION  MARGIN\n"
        "2026-11-12 00:00  canary    FAIL     1      >= 2         -1\n"
        "2026-11-12 00:00  live      PASS     2      >= 2         +0\n"
        "2026-11-11 00:00  canary    PASS     2      >= 2         +0\n"
        "2026-11-11 00:00  live      PASS     3      >= 2         +1\n"
    )


def test_a_terminal_that_draws_no_blocks_gets_signs(recorded: Any) -> None:
    assert "  canary  #_  rowCount" in recorded("history", "*Rows*", TERM="dumb").out


def test_globs_and_options_choose(recorded: Any) -> None:
    assert known(recorded, "*Rows*") == rows()
    assert len(known(recorded)) == len(known(recorded, "*Rows*", "bot/*short")) == 5
    assert [row[2] for row in known(recorded, "*Rows*", "--pipeline", "canary")] == ["fail", "pass"]
    assert [row[3] for row in known(recorded, "*Rows*", "--limit", "1")] == [1, 2]


def test_a_spreadsheet_gets_a_line_for_each_value(recorded: Any) -> None:
    found = csv.DictReader(io.StringIO(recorded("history", "*Rows*", "--format", "csv").out))
    assert sorted((row["pipeline"], row["verdict"], row["value"]) for row in found) == [
        ("canary", "fail", "1"), ("canary", "pass", "2"), ("live", "pass", "2"), ("live", "pass", "3"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("bot/monitoring/Rows arrived",), "did you mean openlayer.Test/bot/monitoring/Rows arrive?"),
        (("zzz",), "known are openlayer.Test/bot/monitoring/Answers are short, openlayer.Test/bot/monitoring/Rows"),
        (("*Rows*", "zzz"), "nothing was recorded of zzz"),
        (("--pipeline", "prod"), "recorded is: canary, live"),
        (("*short", "--pipeline", "canary"), "recorded is: live"),
        (("--env", "local"), "nothing was recorded in the environment local yet"),
    ],
)
def test_what_was_not_recorded_is_an_error_that_says_what_is_known(
    recorded: Any, arguments: tuple[str, ...], told: str
) -> None:
    refused = recorded("history", *arguments, code=64)
    assert refused.out == ""
    assert told in refused.words
