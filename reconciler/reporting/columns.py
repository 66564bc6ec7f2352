"""Turn rows of texts into aligned columns for a terminal, escaped.  Pure."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from reconciler.reporting.escape import line_start, terminal
from reconciler.reporting.lines import Tint, cells, paint

GAP = 2
"""Spaces between two columns."""


class Row(Struct, frozen=True):
    """The cells of one row; the first one is tinted."""

    cells: tuple[str, ...]
    tint: Tint = ""


def table_width(header: Sequence[str], rows: Sequence[Row]) -> int:
    """How many columns of a terminal the table takes."""
    widths = _widths(header, rows)
    return sum(widths) + GAP * (len(widths) - 1)


def table(header: Sequence[str], rows: Sequence[Row], color: bool) -> list[str]:
    """Aligned columns, a header first.  As wide as its content."""
    widths = _widths(header, rows)
    body = [_padded(row.cells, widths, row.tint, color) for row in rows]
    return [paint(_padded(header, widths, "", False), "dim", color=color), *body]


def _widths(header: Sequence[str], rows: Sequence[Row]) -> list[int]:
    columns = zip(header, *(row.cells for row in rows), strict=True)
    return [max(cells(terminal(cell)) for cell in column) for column in columns]


def _padded(row: Sequence[str], widths: Sequence[int], tint: Tint, color: bool) -> str:
    texts = [terminal(cell) for cell in row]
    padded = [text + " " * (wide - cells(text)) for text, wide in zip(texts, widths, strict=True)]
    first, *others = padded
    return line_start((" " * GAP).join([paint(first, tint, color=color), *others]).rstrip(" "))
