"""A file of sample rows -> rows as they are streamed.  Touches: disk (reading).  For the embedded emulator only.

Rows carry no time of their own, so that a sample in git does not grow stale: all of them are spread over the current
evaluation window and again over the one before it.  Windows are aligned as the platform aligns them, to multiples of
their length since 1970, so every window of a range that ends now holds the whole sample, whatever time it is.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path

from reconciler.errors import ManifestsInvalid, Problem
from reconciler.model.values import Fields

TIMESTAMP = "timestamp"


def load_rows(path: Path, shown: str) -> list[Fields]:
    """The rows of a JSON Lines (``.jsonl``) or CSV file; ``shown`` names it in problems.

    CSV cells that read as numbers become numbers.  Raises ManifestsInvalid with the line.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            if path.suffix == ".csv":
                return [{name: _number(cell) for name, cell in row.items()} for row in csv.DictReader(file)]
            return [_row(line, number, shown) for number, line in enumerate(file, 1) if line.strip()]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ManifestsInvalid([Problem(shown, 0, 0, "", f"the rows cannot be read: {error}")]) from error


def stamped(
    rows: Sequence[Fields], config: Fields, *, now: float, window_s: int, last: float | None
) -> tuple[list[Fields], Fields]:
    """The rows with a timestamp each (Unix seconds), and the column configuration that says so.

    ``last`` is when rows were streamed before, None for never: a window that has its rows gets none again.
    """
    name = str(config.get("timestampColumnName") or TIMESTAMP)
    current = int(now) // window_s * window_s
    windows = [(current - window_s, window_s), (current, int(now) - current)]
    timed: list[Fields] = [
        {**row, name: start + place * length // max(1, len(rows))}
        for start, length in windows
        if last is None or last < start
        for place, row in enumerate(rows)
    ]
    return timed, {**config, "timestampColumnName": name}


def _row(line: str, number: int, shown: str) -> Fields:
    try:
        row = json.loads(line)
    except ValueError as error:
        raise ManifestsInvalid([Problem(shown, number, 1, "", f"not JSON: {error}")]) from error
    if not isinstance(row, dict):
        raise ManifestsInvalid([Problem(shown, number, 1, "", "a row is a JSON object, one a line")])
    return row


def _number(cell: str | None) -> str | float | int | None:
    for kind in (int, float):
        try:
            return kind(cell or "")
        except ValueError:
            continue
    return cell
