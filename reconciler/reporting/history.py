"""Turn what was observed into a picture for a terminal, JSON, or CSV for a spreadsheet.  Pure.

openlayer.Test/support-bot/monitoring/Faithful
  production  ▆▇▆▂▆▇█  0.62 to 0.93, latest 0.93; 7 verdicts, 1 failed (!)
                 !
"""

from __future__ import annotations

import csv
import io
import math
import re
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import groupby

from msgspec.structs import asdict

from reconciler.model.criteria import family, rounded, value_text
from reconciler.model.history import Observation
from reconciler.model.outcome import Level
from reconciler.model.plan import FORMAT_VERSION
from reconciler.model.values import Json, counted
from reconciler.reporting.columns import Row, table, table_width
from reconciler.reporting.escape import line_start, terminal
from reconciler.reporting.lines import Line, Span, Tint, cells, lay, line, paint
from reconciler.reporting.machine import to_json
from reconciler.reporting.tables import LEVEL_TINTS, margin_text

BLOCKS, PLAIN = "▁▂▃▄▅▆▇█", "_.-:=+*#"
"""From the lowest value to the highest: for a terminal with Unicode, and for one without."""

NO_NUMBER = "?"
MARKS: dict[Level, str] = {Level.FAIL: "!", Level.WARN: "~", Level.INFO: "i", Level.PASS: " "}
"""What stands under a point, so that it can be told without colour."""

_WORDS = {Level.FAIL: "failed", Level.WARN: "warned", Level.INFO: "for information"}
_HEADER = ("WHEN (UTC)", "PIPELINE", "VERDICT", "VALUE", "EXPECTATION", "MARGIN")
_INDENT = 2


def history_text(
    observations: Sequence[Observation], *, width: int, color: bool, unicode: bool = True, verbose: bool = False
) -> str:
    """A sparkline for each test and pipeline, oldest point first, and a table of each test, newest window first.

    Under a point that did not pass stands a mark.  ``verbose`` adds why.  The observations come in the order in which
    a history gives them.
    """
    ordered = sorted(observations, key=lambda each: each.address)  # keeps the order within an address
    blocks = []
    for address, group in groupby(ordered, key=lambda each: each.address):
        known = list(group)
        lines = [paint(terminal(str(address)), "title", color=color)]
        lines += _sparklines(known, width, color, BLOCKS if unicode else PLAIN)
        lines += ["", *_table(known, width, color, verbose)]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks) + "\n"


def sparkline(values: Sequence[float | None], levels: str = BLOCKS) -> str:
    """One character a value, the lowest and the highest of them at the ends of ``levels``; ``?`` for None.

    >>> sparkline([0.0, 0.5, None, 1.0])
    '▁▅?█'
    """
    numbers = [value for value in values if value is not None]
    low, high = min(numbers, default=0.0), max(numbers, default=0.0)

    def level(value: float) -> str:
        # Halves, because the distance of two finite numbers may be infinite.
        share = (value / 2 - low / 2) / (high / 2 - low / 2) if high / 2 > low / 2 else 0.5
        return levels[min(int(share * len(levels)), len(levels) - 1)]

    return "".join(NO_NUMBER if value is None else level(value) for value in values)


def history_json(observations: Sequence[Observation], *, environment: str = "") -> str:
    """Everything that is known of each observation, with unrounded values and times in Unix seconds."""
    listed = [
        {**asdict(each), "address": str(each.address), "level": each.level.value, "status": each.status.value}
        for each in observations
    ]
    return to_json({"format_version": FORMAT_VERSION, "environment": environment, "observations": listed})


# ------------------------------------------------------------------------------------------ CSV

CSV_HEADER = (
    "address", "pipeline", "verdict", "status", "measurement", "value", "expectation", "margin", "why", "starts",
    "ends", "recorded", "result_id", "seen",
)  # fmt: skip

# A spreadsheet takes a cell for a formula that begins with one of these (OWASP, "CSV Injection"), also where it parts
# cells at semicolons or tabs.  The last four are full-width forms, which some of them take for the same.
_FORMULA = re.compile(r"(^|[;,\t])(?=[=+\-@\t\r＝＋－＠])")


def history_csv(observations: Sequence[Observation]) -> str:
    """One line for each measured value (one without a value for an observation that has none), a header first.

    Times are ISO 8601 in UTC.  Text that a spreadsheet would take for a formula gets an apostrophe in front; numbers
    stay numbers.
    """
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\n")
    writer.writerow(CSV_HEADER)
    for each in observations:
        for name, value in sorted(each.measured.items()) or [("", None)]:
            writer.writerow([_cell(cell) for cell in _csv_row(each, name, value)])
    return text.getvalue()


def _csv_row(each: Observation, name: str, value: Json) -> tuple[Json, ...]:
    return (
        str(each.address), each.pipeline, each.level.value, each.status.value, name, value, each.wanted, each.margin,
        each.why, _iso(each.starts), _iso(each.ends), each.recorded, each.result_id, _iso(each.seen),
    )  # fmt: skip


def _cell(value: Json) -> str | int | float:
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return value
    text = "" if value is None else value if isinstance(value, str) else value_text(value)
    return _FORMULA.sub(r"\1'", terminal(text))


def _iso(seconds: float | None) -> str:
    moment = _moment(seconds)
    return moment.isoformat(timespec="seconds") if moment else ""


def _moment(seconds: float | None) -> datetime | None:
    """None also for what is beyond any calendar: the vendor may say anything."""
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
    except (OverflowError, OSError, ValueError):
        return None


# ------------------------------------------------------------------------------------------ sparklines


def _sparklines(known: Sequence[Observation], width: int, color: bool, levels: str) -> list[str]:
    by_pipeline: dict[str | None, list[Observation]] = {}
    for each in reversed(known):
        by_pipeline.setdefault(each.pipeline, []).append(each)
    pipelines = sorted(by_pipeline, key=lambda name: (name is not None, name))
    widest = max((cells(terminal(_place(name))) for name in pipelines), default=0)
    lines = []
    for pipeline in pipelines:
        points = by_pipeline[pipeline]
        shown = terminal(_place(pipeline))
        head = " " * _INDENT + shown + " " * (widest - cells(shown) + 2)
        room = max(8, width - cells(head))
        lines += _sparkline_lines(points[-room:], points, head, width, color, levels)
    return lines


def _sparkline_lines(
    points: Sequence[Observation], known: Sequence[Observation], head: str, width: int, color: bool, levels: str
) -> list[str]:
    name, values = series(points)
    drawn = "".join(
        paint(character, _tint(each), color=color)
        for character, each in zip(sparkline(values, levels), points, strict=True)
    )
    told = series_words(name, values, known)
    beside = cells(head) + len(points) + 2 + cells(told) <= width
    marks = "".join(MARKS[each.level] for each in points).rstrip()
    below = " " * cells(head)
    return [
        line_start(f"{head}{drawn}" + (f"  {told}" if beside else "")),
        *([below + marks] if marks else []),
        *([] if beside else lay([line(told, indent=len(below), hang=0)], width=width, color=color)),
    ]


def _tint(each: Observation) -> Tint:
    return "" if each.level is Level.PASS else LEVEL_TINTS[each.level]


def series(points: Sequence[Observation]) -> tuple[str, list[float | None]]:
    """What the line shows, and its numbers: the one value that is measured, else how far it is from the limit."""
    names = {name for each in points for name, value in each.measured.items() if family(value) == "number"}
    if len(names) == 1:
        [name] = names
        return name, [_number(each.measured.get(name)) for each in points]
    return "margin", [_number(each.margin) for each in points]


def _number(value: Json) -> float | None:
    """None also for what is no number, or too large for one."""
    if family(value) != "number" or not isinstance(value, int | float):
        return None
    try:
        return float(value)
    except OverflowError:
        return None


def series_words(name: str, values: Sequence[float | None], known: Sequence[Observation]) -> str:
    """``faithfulness 0.62 to 0.93, latest 0.93; 7 verdicts, 1 failed (!)``."""
    numbers = [value for value in values if value is not None]
    span = ""
    if numbers:
        low, high, latest = (f"{value:.4g}" for value in (min(numbers), max(numbers), numbers[-1]))
        span = f"{terminal(name)} " + (f"{low}; " if low == high else f"{low} to {high}, latest {latest}; ")
    counts = Counter(each.level for each in known)
    worse = [f"{counts[level]:,} {word} ({MARKS[level]})" for level, word in _WORDS.items() if counts[level]]
    return span + ", ".join([counted(len(known), "verdict"), *(worse or ["all passed"])])


def _place(pipeline: str | None) -> str:
    return "-" if pipeline is None else pipeline


# ------------------------------------------------------------------------------------------ the table


def _table(known: Sequence[Observation], width: int, color: bool, verbose: bool) -> list[str]:
    rows = [_row(each) for each in known]
    if table_width(_HEADER, rows) > width:
        records = [part for each, row in zip(known, rows, strict=True) for part in _record(each, row, verbose)]
        return lay(records, width=width, color=color)
    header, *body = table(_HEADER, rows, color)
    lines = [header]
    for text, each in zip(body, known, strict=True):
        why = [line(each.why, indent=len("2026-11-22 12:00") + 2, hang=2)] if verbose and each.why else []
        lines += [text, *lay(why, width=width, color=color)]
    return lines


def _row(each: Observation) -> Row:
    return Row(
        (
            _when(each),
            _place(each.pipeline),
            each.level.value.upper(),
            _values(each) or each.status.value,
            each.wanted or "-",
            margin_text(each.margin) or "-",
        ),
        _tint(each),
    )


def _record(each: Observation, row: Row, verbose: bool) -> list[Line]:
    """One observation where the table does not fit."""
    when, pipeline, verdict, value, wanted, margin = row.cells
    facts = [("", value), ("wanted", wanted), ("margin", margin)]
    told = ", ".join(f"{name} {fact}".strip() for name, fact in facts if fact != "-")
    first = line(Span(when, row.tint, solid=True), f"  {verdict:<5} {pipeline}", tail=[Span(told)], hang=4)
    return [first, *([line(each.why, indent=4, hang=2)] if verbose and each.why else [])]


def _when(each: Observation) -> str:
    """The end of the window; when it was seen, where there is no window."""
    seconds = next((time for time in (each.ends, each.starts) if time is not None), each.seen)
    moment = _moment(seconds)
    return moment.strftime("%Y-%m-%d %H:%M") if moment else str(seconds)


def _values(each: Observation) -> str:
    if len(each.measured) == 1:
        return _rounded(next(iter(each.measured.values())), each.margin)
    return ", ".join(f"{name} {_rounded(value, each.margin)}" for name, value in sorted(each.measured.items()))


def _rounded(value: Json, margin: float | None) -> str:
    """The value as a person reads it, or with all its digits where the decision lies within the rounding."""
    if not isinstance(value, float) or not math.isfinite(value):
        return value_text(value)
    short = rounded(value)
    hides = margin is not None and short != value and abs(short - value) >= abs(margin)
    return value_text(value if hides else short)
