"""Turn replays of past results into lines that stand below a step.  Pure.

Shares are rounded for reading, except where that would hide something: 0.04 % is not 0 %.
"""

from __future__ import annotations

from datetime import UTC, datetime

from reconciler.model.criteria import rounded, value_text
from reconciler.model.replay import Near, Replay, ReplayState, Share
from reconciler.model.values import counted, format_duration
from reconciler.reporting.lines import Line, Span, Tint, line


def replay_lines(replay: Replay) -> list[Line]:
    """What the new thresholds would have made of the past, or why nobody knows."""
    head = Span(f"replay of {format_duration(replay.look_back_s)}: ", "dim")
    notes = [line(Span(note, "dim"), indent=4) for note in replay.notes]
    if replay.state is not ReplayState.CALIBRATED or replay.before is None or replay.after is None:
        return [line(head, Span(replay.state.value, "warn"), f", {replay.why}"), *notes]
    before, after = replay.before, replay.after
    windows = counted(after.windows, "window")
    found = [
        line(head, f"{windows}, flagged {before.flagged:,} -> ", Span(f"{after.flagged:,}", _tint(replay)),
             f"  ({percent(before.share)} -> {percent(after.share)}, at 95 % between {interval(after)})"),
    ]  # fmt: skip
    if replay.only_before or replay.only_after:
        parts = [f"{replay.only_before:,} would be missed now"] if replay.only_before else []
        parts += [f"{replay.only_after:,} newly flagged"] if replay.only_after else []
        found.append(line(", ".join(parts), indent=4))
    if replay.unknown:
        found.append(line(f"{counted(replay.unknown, 'window')} not counted: no verdict or no value", indent=4))
    return [*found, *(_near_line(near) for near in replay.nearest), *notes]


def _tint(replay: Replay) -> Tint:
    return "bad" if replay.only_before else "warn" if replay.only_after else ""


def _near_line(near: Near) -> Line:
    by = f"{abs(rounded(near.margin)):.15g}"
    verdict = f"passes by {by}" if near.margin > 0 else f"misses by {by}" if near.margin else "right on the limit"
    where = Span(f"  {near.pipeline or near.result_id} {when(near)}", "dim")
    value = f"{near.value:.6g}" if isinstance(near.value, float) else value_text(near.value)
    return line(f"near: {near.measurement} {value}, {verdict}", where, indent=4)


def when(near: Near) -> str:
    """The beginning of the window in UTC; empty where it is not known."""
    return "" if near.starts is None else moment(near.starts)


def moment(seconds: int) -> str:
    """``2026-05-03T14:00Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%MZ")


def percent(share: float) -> str:
    """``3.0 %``; more digits for what would round to nothing or to everything.

    >>> [percent(share) for share in (0.0, 0.0298, 0.0004, 0.99996, 1.0)]
    ['0.0 %', '3.0 %', '0.04 %', '99.996 %', '100.0 %']
    """
    for digits in range(1, 6):
        text = f"{100 * share:.{digits}f}"
        if (float(text) == 0) == (share == 0) and (float(text) == 100) == (share == 1):
            return f"{text} %"
    return f"{100 * share:.6g} %"


def interval(share: Share) -> str:
    """``1.3 % and 6.8 %``."""
    return f"{percent(share.low)} and {percent(share.high)}"
