"""Windows that are not over: what was recorded of them is judged again, and what has no rows yet fails nothing."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qs

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

Doc = dict[str, Any]
SHORT = ("--select", "*/Answers are short")
LONG = "x" * 101


def at(text: str) -> float:
    """Unix seconds of a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


class Watch:
    """The platform's clock."""

    def __init__(self) -> None:
        self.time = at("2026-11-10T13:00")

    def __call__(self) -> float:
        return self.time


@pytest.fixture
def watch(platform: Any) -> Watch:
    """An empty platform at 13:00 of 10 November, until somebody turns the hands."""
    made = Watch()
    platform.renew(now=made)
    return made


def stream(platform: Any, rows: dict[str, str]) -> None:
    """One row for each time, to the pipeline that is live."""
    told = [{"output": answer, "at": at(moment)} for moment, answer in rows.items()]
    body = {"config": {"outputColumnName": "output", "timestampColumnName": "at"}, "rows": told}
    platform.api("POST", f"/inference-pipelines/{platform.pipelines('bot')['live']['id']}/data-stream", body)


def only(result: Any) -> Doc:
    (verdict,) = json.loads(result.out)["verdicts"]
    return dict(verdict)


def recorded(platform: Any) -> dict[str, str]:
    """Beginning of a window -> id of its only result."""
    test = platform.tests("bot")["Answers are short"]["id"]
    return {item["dateDataStarts"][:13]: item["id"] for item in platform.api("GET", f"/tests/{test}/results")["items"]}


# ------------------------------------------------------------------------------------------ results too early

TODAY = (*SHORT, "--from", "2026-11-10", "--to", "2026-11-11", "--format", "json")
BOTH = (*SHORT, "--from", "2026-11-09", "--to", "2026-11-10T14:00Z", "--format", "json")


@pytest.mark.usefixtures("watch")
def test_rows_that_came_in_since_the_last_evaluation_of_the_day_are_judged(bot: Any, platform: Any) -> None:
    """The platform would keep the result that it recorded at noon; a pass of then is none for the day."""
    bot("apply", "--yes")
    stream(platform, {"2026-11-10T12:00": "yes"})
    assert only(bot("evaluate", *TODAY))["level"] == "pass"
    stream(platform, {"2026-11-10T12:30": LONG})
    assert only(bot("evaluate", *TODAY, code=5))["measured"] == "101"


def test_a_day_that_was_evaluated_too_early_is_evaluated_again_when_it_is_over_and_then_never_again(
    bot: Any, platform: Any, watch: Watch
) -> None:
    bot("apply", "--yes")
    stream(platform, {"2026-11-10T12:00": "yes"})
    bot("evaluate", *TODAY)
    watch.time = at("2026-11-11T00:05")
    stream(platform, {"2026-11-10T23:00": LONG})
    bot("evaluate", *TODAY, code=5)
    final = recorded(platform)
    bot("evaluate", *TODAY, code=5)
    assert recorded(platform) == final


@pytest.mark.usefixtures("watch")
def test_windows_that_are_over_keep_their_results(bot: Any, platform: Any) -> None:
    """Evaluations cost money: of two days only the one that is not over is evaluated again."""
    bot("apply", "--yes")
    stream(platform, {"2026-11-09T12:00": "yes", "2026-11-10T12:00": "yes"})
    bot("evaluate", *BOTH)
    before = recorded(platform)
    platform.seen.clear()
    bot("evaluate", *BOTH)
    after = recorded(platform)
    assert after["2026-11-09T00"] == before["2026-11-09T00"]
    assert after["2026-11-10T00"] != before["2026-11-10T00"]
    assert len(platform.writes) == 2, "one request for each of the two"


@pytest.mark.usefixtures("watch")
def test_a_wait_for_the_current_day_is_taken_up_and_triggers_nothing(bot: Any, platform: Any) -> None:
    bot("apply", "--yes")
    stream(platform, {"2026-11-10T12:00": "yes"})
    bot("evaluate", *TODAY)
    bot("evaluate", *TODAY[:-2], "--no-wait")
    platform.seen.clear()
    assert only(bot("evaluate", *TODAY))["level"] == "pass"
    assert platform.writes == []


def test_status_says_that_a_result_is_from_before_the_end_of_its_window(bot: Any, platform: Any, watch: Watch) -> None:
    """In the reason for machines, and as a warning for people, who do not see the reason of what passes."""
    bot("apply", "--yes")
    stream(platform, {"2026-11-10T12:00": "yes"})
    assert only(bot("evaluate", *TODAY))["why"] == ""
    ended = bot("status", *SHORT, "--format", "json")
    assert (only(ended)["level"], only(ended)["why"]) == ("pass", "recorded before its window was over")
    assert (
        "warning: 1 result was recorded before the end of the window, and may miss rows; reconciler evaluate judges it"
        " again" in ended.words
    )
    watch.time = at("2026-11-11T00:05")
    bot("evaluate", *TODAY)
    ended = bot("status", *SHORT, "--format", "json")
    assert (only(ended)["why"], "warning" in ended.err) == ("", False)


# ------------------------------------------------------------------------------------------ no rows yet

HOURS = (*SHORT, "--from", "2026-11-10T10:03Z", "--to", "2026-11-10T13:03Z", "--format", "json")


@pytest.fixture
def hourly(bot: Any, watch: Watch) -> Any:
    """Windows of an hour, three minutes after the last one began."""
    text = (bot.folder / "bot.yaml").read_text().replace("evaluationWindow: 24h", "evaluationWindow: 1h")
    (bot.folder / "bot.yaml").write_text(text)
    watch.time = at("2026-11-10T13:03")
    bot("apply", "--yes")
    return bot


def test_the_current_window_fails_no_gate_as_long_as_it_has_no_rows(hourly: Any, platform: Any) -> None:
    stream(platform, {"2026-11-10T10:30": "yes", "2026-11-10T11:30": "yes", "2026-11-10T12:30": "yes"})
    verdict = only(hourly("evaluate", *HOURS))
    assert (verdict["level"], verdict["why"]) == (
        "pass",
        "worst of 3 windows, all passing; not counting 1 window skipped before its end",
    )
    latest = only(hourly("status", *SHORT, "--format", "json"))
    assert (latest["level"], latest["why"]) == ("pass", "not counting 1 window skipped before its end")


def test_a_finished_window_without_rows_still_fails(hourly: Any, platform: Any) -> None:
    stream(platform, {"2026-11-10T10:30": "yes", "2026-11-10T12:30": "yes"})
    verdict = only(hourly("evaluate", *HOURS, code=5))
    assert verdict["why"].startswith("skipped: There are no rows")


def test_a_place_that_has_nothing_but_the_current_window_without_rows_fails(hourly: Any) -> None:
    options = (*SHORT, "--from", "2026-11-10T13:00Z", "--to", "2026-11-10T13:03Z", "--format", "json")
    assert only(hourly("evaluate", *options, code=5))["status"] == "skipped"
    assert only(hourly("status", *SHORT, "--format", "json", code=5))["status"] == "skipped"


def test_rows_that_come_in_later_in_the_hour_are_judged(hourly: Any, platform: Any, watch: Watch) -> None:
    stream(platform, {f"2026-11-10T{hour}:30": "yes" for hour in (10, 11, 12)})
    hourly("evaluate", *HOURS)
    watch.time = at("2026-11-10T13:20")
    stream(platform, {"2026-11-10T13:10": LONG})
    assert only(hourly("evaluate", *HOURS, code=5))["measured"] == "101"


# ------------------------------------------------------------------------------------------ many of them


class Meeting:
    """A door at which each further page of results waits until another one is there, too."""

    def __init__(self, inside: ASGIApp) -> None:
        self._inside, self._two_are_here = inside, asyncio.Event()
        self.arrived: list[str] = []
        self.alone: list[str] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        page = parse_qs(scope["query_string"].decode()).get("page", ["1"])[0]
        if scope["path"].endswith("/results") and page != "1":
            self.arrived.append(page)
            if len(self.arrived) > 1:
                self._two_are_here.set()
            try:
                await asyncio.wait_for(self._two_are_here.wait(), 5)
            except TimeoutError:
                self.alone.append(page)
        await self._inside(scope, receive, send)


@pytest.mark.parametrize(
    "command",
    [
        ("evaluate", *SHORT, "--from", "2026-11-01", "--to", "2026-11-10"),
        ("status", *SHORT, "--from", "2026-11-01", "--to", "2026-11-10"),
        ("plan", "--replay", "365d"),
    ],
    ids=lambda command: command[0],
)
@pytest.mark.usefixtures("watch")
def test_the_pages_of_results_travel_together(command: tuple[str, ...], bot: Any, platform: Any) -> None:
    """Windows of an hour for nine days are three pages: once the first has told so, the others are not queued."""
    bot.edit("bot.yaml", "[live]\n      evaluationWindow: 24h", "[live]\n      evaluationWindow: 1h")
    bot("apply", "--yes")
    stream(platform, {f"2026-11-{day:02}T{hour:02}:30": "short" for day in range(1, 10) for hour in range(24)})
    bot("evaluate", *SHORT, "--from", "2026-11-01", "--to", "2026-11-10")
    if command[0] == "plan":
        bot.edit("bot.yaml", "value: 100", "value: 90")
    meeting = platform.door = Meeting(platform.door)
    bot(*command)
    assert (set(meeting.arrived), meeting.alone) == ({"2", "3"}, [])
