"""The history as a picture, as JSON and as CSV: what is drawn, what is marked, and what can do no harm."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.model.history import Observation
from reconciler.model.outcome import EvaluationStatus, Level
from reconciler.model.resource import Address
from reconciler.reporting.history import CSV_HEADER, PLAIN, history_csv, history_json, history_text, sparkline
from reconciler.reporting.lines import cells

FAITHFUL = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))
DAY = 86_400
NOON = 1_795_003_200  # 2026-11-18 12:00 UTC


def seen(
    days_ago: int,
    value: Any,
    level: Level = Level.PASS,
    address: Address = FAITHFUL,
    pipeline: str | None = "live",
    **given: Any,
) -> Observation:
    values: dict[str, Any] = {
        "status": EvaluationStatus.PASSING if level is Level.PASS else EvaluationStatus.FAILING,
        "measured": {} if value is None else {"faithfulness": value},
        "wanted": ">= 0.8",
        "margin": value - 0.8 if isinstance(value, int | float) else None,
        "starts": NOON - (days_ago + 1) * DAY,
        "ends": NOON - days_ago * DAY,
        "result_id": f"r{days_ago}",
        "seen": float(NOON),
    }
    return Observation(address, pipeline, level, **{**values, **given})


def text(*observations: Observation, width: int = 100, **options: Any) -> str:
    return history_text(observations, width=width, color=False, **options)


# ------------------------------------------------------------------------------------------ the picture


def test_a_test_has_a_line_for_each_pipeline_oldest_first_and_a_table_newest_first() -> None:
    shown = text(
        seen(0, 0.93),
        seen(0, 0.95, pipeline="canary"),
        seen(1, 0.62, Level.FAIL, why="misses the threshold"),
        seen(2, 0.88, Level.WARN),
        seen(3, 0.9),
    )
    assert shown == dedent("""\
        openlayer.Test/bot/monitoring/Faithful
          canary  ▅  faithfulness 0.95; 1 verdict, all passed
          live    █▇▁█  faithfulness 0.62 to 0.93, latest 0.93; 4 verdicts, 1 failed (!), 1 warned (~)
                   ~!

        WHEN (UTC)        PIPELINE  VERDICT  VALUE  EXPECTATION  MARGIN
        2026-11-18 12:00  live      PASS     0.93   >= 0.8       +0.13
        2026-11-18 12:00  canary    PASS     0.95   >= 0.8       +0.15
        2026-11-17 12:00  live      FAIL     0.62   >= 0.8       -0.18
        2026-11-16 12:00  live      WARN     0.88   >= 0.8       +0.08
        2026-11-15 12:00  live      PASS     0.9    >= 0.8       +0.1
        """)


def test_a_terminal_without_unicode_gets_signs_that_it_has() -> None:
    shown = text(*(seen(day, 0.9 - day / 100) for day in range(8)), unicode=False)
    assert shown.isascii()
    assert f"live  {PLAIN}  " in shown


def test_why_is_told_on_demand() -> None:
    assert "misses the threshold" not in text(seen(0, 0.5, Level.FAIL, why="misses the threshold"))
    assert "\n                  misses the threshold\n" in text(
        seen(0, 0.5, Level.FAIL, why="misses the threshold"), verbose=True
    )


def test_what_has_no_number_is_a_question_mark_and_says_its_status() -> None:
    shown = text(seen(0, None, Level.FAIL, status=EvaluationStatus.SKIPPED), seen(1, 0.9))
    assert "  live  ▅?  " in shown
    assert re.search(r"FAIL +skipped +>= 0.8 +-$", shown, re.MULTILINE)


def test_several_values_are_all_in_the_table_and_their_margin_is_drawn() -> None:
    shown = text(
        seen(0, 0, measured={"recall": 0.9, "precision": 0.7}, margin=-0.1),
        seen(1, 0, measured={"recall": 0.9, "precision": 0.85}, margin=0.05),
    )
    assert "live  █▁  margin -0.1 to 0.05, latest -0.1" in shown
    assert "precision 0.85, recall 0.9" in shown


def test_what_is_measured_nowhere_in_particular_has_a_dash() -> None:
    assert "\n  -  ▅  " in text(seen(0, 1, pipeline=None))


@pytest.mark.parametrize(
    ("value", "shown"), [(0.79996, "0.79996"), (0.123456, "0.1235"), (7, "7"), (1.0, "1"), (True, "true"), ("a", '"a"')]
)
def test_a_value_is_rounded_unless_that_hides_the_decision(value: Any, shown: str) -> None:
    assert re.search(rf"PASS +{re.escape(shown)} +>= 0.8", text(seen(0, value)))


def test_a_time_beyond_any_calendar_is_shown_as_it_is() -> None:
    assert "99999999999999" in text(seen(0, 1, ends=99_999_999_999_999))


def test_what_is_older_than_the_terminal_is_wide_is_left_out_of_the_line_and_counted() -> None:
    shown = text(*(seen(day, day % 7) for day in range(300)), width=80)
    line = shown.splitlines()[1]
    assert cells(line) <= 80
    assert "300 verdicts" in shown


@pytest.mark.parametrize("width", [40, 60, 80, 100, 200])
def test_no_line_is_wider_than_the_terminal(width: int) -> None:
    named = Address("openlayer.Test", ("b", "monitoring", "t"))
    shown = text(*(seen(day, 0.5 + day / 10, Level.FAIL, named, "a-rather-long-name", why="because of that " * 5)
                   for day in range(40)), width=width, verbose=True)  # fmt: skip
    assert max(map(cells, shown.splitlines())) <= width


def test_text_from_the_platform_can_do_nothing_to_a_terminal_or_a_runner() -> None:
    evil = "::error::x\x1b[31m\u202e\n##[command]"
    shown = text(seen(0, "v\x1b]0;t\x07", Level.FAIL, Address("openlayer.Test", ("bot", evil)), evil, wanted=evil,
                      why=evil, measured={evil: "\x9b2J"}), verbose=True)  # fmt: skip
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]|##\w*\[", shown)
    assert not re.search(r"^\s*::", shown, re.MULTILINE)


# ------------------------------------------------------------------------------------------ sparklines

NUMBERS = st.floats(allow_nan=False, allow_infinity=False)


@given(st.lists(NUMBERS | st.none(), max_size=30))
def test_a_higher_value_never_stands_lower(values: list[float | None]) -> None:
    drawn = sparkline(values)
    assert len(drawn) == len(values)
    pairs = [(value, character) for value, character in zip(values, drawn, strict=True) if value is not None]
    assert sorted(pairs) == sorted(pairs, key=lambda pair: (pair[1], pair[0]))
    assert [character == "?" for character in drawn] == [value is None for value in values]


@pytest.mark.parametrize(
    ("values", "drawn"),
    [([], ""), ([3.0], "▅"), ([1.0, 1.0], "▅▅"), ([0.0, 7.0], "▁█"), ([None], "?"), ([-1e308, 1e308, 0.0], "▁█▅")],
)
def test_the_lowest_and_the_highest_are_the_ends(values: list[float | None], drawn: str) -> None:
    assert sparkline(values) == drawn


# ------------------------------------------------------------------------------------------ JSON and CSV


def test_the_json_holds_everything_unrounded() -> None:
    data = json.loads(history_json([seen(0, 0.1 + 0.2, Level.FAIL, why="w\x00")], environment="production"))
    assert data["environment"] == "production"
    assert data["observations"] == [
        {
            "address": "openlayer.Test/bot/monitoring/Faithful",
            "pipeline": "live",
            "level": "fail",
            "status": "failing",
            "measured": {"faithfulness": 0.30000000000000004},
            "wanted": ">= 0.8",
            "margin": -0.5,
            "why": "w\x00",
            "starts": NOON - DAY,
            "ends": NOON,
            "result_id": "r0",
            "recorded": "",
            "seen": float(NOON),
        }
    ]


def rows(*observations: Observation) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(history_csv(observations))))


def test_the_csv_has_a_line_for_each_value_with_numbers_as_numbers() -> None:
    several = seen(0, 0, measured={"b": 2, "a": -0.5}, margin=-1.3, level=Level.FAIL)
    lines = history_csv([several, seen(1, None, Level.FAIL)]).splitlines()
    assert lines[0] == ",".join(f'"{name}"' for name in CSV_HEADER)
    assert '"a",-0.5,">= 0.8",-1.3,' in lines[1]
    assert [(each["measurement"], each["value"]) for each in rows(several, seen(1, None))] == [
        ("a", "-0.5"), ("b", "2"), ("", ""),
    ]  # fmt: skip
    assert rows(several)[0]["ends"] == "2026-11-18T12:00:00+00:00"


@pytest.mark.parametrize("start", ["=", "+", "-", "@", "\t", "\r", "＝", "＋"])
@pytest.mark.parametrize("before", ["", "x;", "x,", "x\t"])
def test_no_text_is_a_formula_to_a_spreadsheet(start: str, before: str) -> None:
    """Also where the spreadsheet parts cells at semicolons or tabs: OWASP, "CSV Injection"."""
    evil = f'{before}{start}HYPERLINK("https://evil.example","x")'
    each = seen(0, None, pipeline=evil, wanted=evil, why=evil, measured={evil: evil}, result_id=evil, recorded=evil)
    [row] = rows(each)
    for name in ("pipeline", "measurement", "value", "expectation", "why", "recorded", "result_id"):
        assert not re.search(r"(^|[;,\t])[=+\-@\t\r＝＋－＠]", row[name]), row[name]


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_text_stays_in_its_cell_and_begins_no_formula(name: str, value: str) -> None:
    [row] = rows(seen(0, None, measured={name: value}))
    assert list(row) == list(CSV_HEADER)
    assert None not in row
    assert not row["measurement"].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert row["pipeline"] == "live"


def test_a_number_that_no_spreadsheet_has_is_text() -> None:
    found = rows(seen(0, None, measured={"x": math.inf}), seen(0, None, measured={"x": -math.inf}))
    assert [row["value"] for row in found] == ["Infinity", "'-Infinity"]
