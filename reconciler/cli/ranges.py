"""``--since 24h``, ``--from`` and ``--to`` -> a time range.  Pure but for ``now``, which is given."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from reconciler.cli.options import together
from reconciler.errors import UsageInvalid

if TYPE_CHECKING:
    from reconciler.model.outcome import TimeRange

DEFAULT_SINCE = "24h"
DEFAULT_TIMEOUT = "10m"
LATEST = 100_000_000_000
"""Unix seconds of a day in the year 5138; a larger number is a time in milliseconds."""
_DIGITS = 30
"""More are not turned into a number: Python refuses to beyond some thousands."""


range_options = together(
    click.option("--since", metavar="DURATION", help="Rows of the last 24h, 7d, ...  [default: 24h]"),
    click.option(
        "--from", "start", metavar="TIME", help="Rows from then on: 2026-11-01, 2026-11-01T14:00Z, or Unix seconds."
    ),
    click.option("--to", "end", metavar="TIME", help="Rows before then; now by default."),
)
cost_options = together(
    click.option("--timeout", metavar="DURATION", help="Wait at most so long.  [default: 10m]"),
    click.option(
        "--max-evaluations", "most", type=click.IntRange(min=0), metavar="N", help="Refuse to trigger more than N."
    ),
)


def given_range(since: str | None, start: str | None, end: str | None) -> dict[str, bool]:
    """Whether each of ``range_options`` was given, by its name."""
    return {"--since": since is not None, "--from": start is not None, "--to": end is not None}


def time_range(since: str | None, start: str | None, end: str | None, now: float) -> TimeRange:
    """The range that the options ask for, in Unix seconds.

    Raises UsageInvalid when they contradict each other, make no sense or leave nothing.
    """
    from reconciler.model.outcome import TimeRange
    from reconciler.model.values import format_duration

    if since is not None and start is not None:
        raise UsageInvalid("--since and --from say the same thing twice", hint="use one of them")
    last = _moment("--to", end) if end is not None else int(now)
    if start is not None:
        first = _moment("--from", start)
    else:
        first = last - seconds("--since", since or DEFAULT_SINCE)
    if first < 0:
        raise UsageInvalid(f"the time range starts before 1970, {format_duration(last - first)} before its end")
    if first >= last:
        raise UsageInvalid(f"the time range is empty: it starts at {_iso(first)} and ends at {_iso(last)}")
    return TimeRange(first, last)


def patience(timeout: str | None) -> int:
    """How many seconds ``--timeout`` allows.  Raises UsageInvalid."""
    return seconds("--timeout", timeout or DEFAULT_TIMEOUT)


def seconds(option: str, text: str) -> int:
    """A duration of the command line in seconds.  Raises UsageInvalid."""
    from reconciler.model.values import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageInvalid(f"{option} {text}: {error}") from error


def _moment(option: str, text: str) -> int:
    """Unix seconds of ``2026-11-01``, ``2026-11-01T14:00:00+01:00`` or ``1762000000``; UTC where no zone is given."""
    if text.isdecimal():
        if len(text) > _DIGITS or int(text) > LATEST:
            raise UsageInvalid(f"{option} {text:.40}: these are milliseconds; give seconds")
        return int(text)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageInvalid(
            f"{option} {text}: not a time; write 2026-11-01, 2026-11-01T14:00Z or Unix seconds"
        ) from error
    found = int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    if not 0 <= found <= LATEST:
        raise UsageInvalid(f"{option} {text}: not a time between the years 1970 and 5138")
    return found


def _iso(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ")
