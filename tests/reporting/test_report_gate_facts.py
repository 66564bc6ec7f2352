"""Runs, comparisons with the past and flaky tests in every form of the verdicts."""

from __future__ import annotations

import json

import pytest

from reconciler.model.outcome import Baseline, EvaluationStatus, Level, Runs, Verdict
from reconciler.model.resource import Address
from reconciler.reporting.machine import verdicts_json
from reconciler.reporting.markdown import verdicts_markdown
from reconciler.reporting.tables import baseline_remark, verdict_summary, verdict_table


def judged(name: str, level: Level, measured: str, margin: float, why: str, **more: object) -> Verdict:
    status = EvaluationStatus.PASSING if level is Level.PASS or "below" in why else EvaluationStatus.FAILING
    address = Address("openlayer.Test", ("support-bot", "monitoring", name))
    wanted = ">= 0.88 - 5 %" if "below" in why else ">= 0.8"
    return Verdict(address, "live", level, status, "error", measured, wanted, margin, why, None, **more)  # type: ignore[arg-type]


DROP = "0.81 is 7.95 % below 0.88, the last passing value of 2026-11-20 (at most 5 %)"
FLIPS = "1 of 3 runs passed (0.79 to 0.85), at least 2 must; misses the threshold"
VERDICTS = (
    judged("Faithful", Level.FAIL, "0.81", -0.026, DROP, baseline=Baseline(0.88, 0, 1_795_219_200, 0.0795, 0.05)),
    judged("Rude", Level.FAIL, "0.79", -0.01, FLIPS, runs=Runs(1, 3, 3, 2)),
    judged("Coin", Level.INFO, "0.5", -0.3, "misses the threshold; flaky: not blocking", flaky=True),
    judged("Polite", Level.PASS, "0.85", 0.05, "2 of 3 runs passed (0.79 to 0.85)", runs=Runs(2, 3, 3, 2)),
    judged("New", Level.PASS, "0.85", 0.05, "no baseline yet", baseline=Baseline(None)),
    judged("Better", Level.PASS, "0.91", 0.11, "", baseline=Baseline(0.88, 5, None, -0.034)),
    judged("Other coin", Level.PASS, "0.9", 0.1, "", flaky=True),
)  # fmt: skip


@pytest.mark.parametrize("width", [60, 80, 100, 120, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    text = verdict_table(VERDICTS, width=width, color=False)
    assert max(map(len, text.splitlines())) <= width
    for fact in ("last passing", "1 of 3 runs", "2 of 3 runs", "FLAKY", "no baseline yet", "better than 0.88"):
        assert fact in " ".join(text.split())


def test_a_table_holds_all_of_it() -> None:
    text = verdict_table(VERDICTS, width=90, color=False)
    assert (
        text
        == """\
RESULT  TEST of support-bot/monitoring  PIPELINE  MEASURED  WANTED         MARGIN
FAIL    Faithful                        live      0.81      >= 0.88 - 5 %  -0.026
        0.81 is 7.95 % below 0.88, the last passing value of 2026-11-20 (at most 5 %)
FAIL    Rude                            live      0.79      >= 0.8         -0.01
        1 of 3 runs passed (0.79 to 0.85), at least 2 must; misses the threshold
FLAKY   Coin                            live      0.5       >= 0.8         -0.3
        misses the threshold; flaky: not blocking
PASS    New                             live      0.85      >= 0.8         +0.05
        no baseline yet
PASS    Polite                          live      0.85      >= 0.8         +0.05
        2 of 3 runs passed
PASS    Other coin                      live      0.9       >= 0.8         +0.1
PASS    Better                          live      0.91      >= 0.8         +0.11
        3.4 % better than 0.88

4 passed, 0 warned, 2 failed, 1 flaky and not blocking
"""
    )


def test_a_narrow_terminal_shows_them_as_well() -> None:
    text = verdict_table(VERDICTS[2:6], width=60, color=False)
    assert (
        text
        == """\
Tests of support-bot/monitoring
FLAKY   Coin  on live
        measured 0.5, wanted >= 0.8, margin -0.3
        misses the threshold; flaky: not blocking
PASS    New  on live  0.85 >= 0.8  no baseline yet
PASS    Polite  on live  0.85 >= 0.8  2 of 3 runs passed
PASS    Better  on live  0.91 >= 0.8  3.4 % better than 0.88

3 passed, 0 warned, 0 failed, 1 flaky and not blocking
"""
    )


def test_markdown_names_what_is_flaky_and_how_a_pass_stands_to_the_past() -> None:
    text = verdicts_markdown(VERDICTS)
    assert "**4 passed, 0 warned, 2 failed, 1 flaky and not blocking**" in text
    assert "| 🔵 flaky | `support-bot/monitoring/Coin` |" in text
    assert "| no baseline yet |" in text
    assert "better than 0.88 |" in text
    assert "2 of 3 runs passed" in text


def test_json_holds_them_as_numbers() -> None:
    told = json.loads(verdicts_json(VERDICTS))
    assert told["summary"] == {"fail": 2, "warn": 0, "info": 1, "pass": 4, "flaky": 1}
    faithful, rude, coin, *_ = told["verdicts"]
    assert faithful["baseline"] == {
        "value": 0.88, "count": 0, "ends": 1_795_219_200, "drop": 0.0795, "max_drop": 0.05, "relative": True,
    }  # fmt: skip
    assert rude["runs"] == {"passed": 1, "known": 3, "wanted": 3, "min_pass": 2}
    assert (faithful["runs"], rude["baseline"], coin["flaky"], rude["flaky"]) == (None, None, True, False)


def test_what_is_flaky_and_passes_is_a_pass() -> None:
    assert verdict_summary(VERDICTS[-1:]) == "1 passed, 0 warned, 0 failed"


@pytest.mark.parametrize(
    ("baseline", "text"),
    [
        (Baseline(None), "no baseline yet"),
        (Baseline(0.88, drop=0.0), "as good as 0.88"),
        (Baseline(0.88, drop=0.0123), "1.23 % worse than 0.88"),
        (Baseline(0.88, drop=-0.0123), "1.23 % better than 0.88"),
        (Baseline(400, drop=12.0, relative=False), "12 worse than 400"),
        (Baseline(0, drop=None), "compared with 0"),
    ],
)
def test_a_baseline_is_said_in_words(baseline: Baseline, text: str) -> None:
    assert baseline_remark(baseline) == text
