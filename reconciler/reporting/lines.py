"""Turn styled pieces of text into lines of a terminal: escaped, wrapped, indented, coloured.  Pure.

Everything that is printed for a person goes through ``lay``, so that no caller can forget to escape.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from itertools import groupby
from typing import Literal

from msgspec import Struct

from reconciler.reporting.escape import line_start, terminal

Tint = Literal["", "title", "add", "change", "remove", "move", "good", "bad", "warn", "dim"]

_SGR: dict[Tint, str] = {
    "title": "1",
    "add": "32",
    "change": "33",
    "remove": "31",
    "move": "36",
    "good": "32",
    "bad": "1;31",
    "warn": "1;33",
    "dim": "2",
}


class Span(Struct, frozen=True):
    """A piece of text in one tint.  A ``solid`` one is never broken (an address: people copy it).

    A ``loud`` one is a word in capitals that must not be overlooked.
    """

    text: str
    tint: Tint = ""
    solid: bool = False
    loud: bool = False


class Line(Struct, frozen=True):
    """One line, and how it goes on when it is too long.

    ``tail`` stands on the same line when everything fits, else on lines of its own, ``hang`` columns further in.
    """

    spans: tuple[Span, ...] = ()
    tail: tuple[Span, ...] = ()
    indent: int = 0
    hang: int = 4


def line(*parts: str | Span, tail: Sequence[Span] = (), indent: int = 0, hang: int = 4) -> Line:
    """A line of parts; a plain string is a span without a tint."""
    spans = tuple(Span(part) if isinstance(part, str) else part for part in parts)
    return Line(spans, tuple(tail), indent, hang)


def lay(lines: Iterable[Line], *, width: int, color: bool, margin: int = 0) -> list[str]:
    """The finished lines, at most ``width`` cells wide where words allow it, each ``margin`` further in."""
    return [text for each in lines for text in _lay_one(each, width, color, margin)]


def _lay_one(each: Line, width: int, color: bool, margin: int) -> list[str]:
    first, further = " " * (margin + each.indent), " " * (margin + each.indent + each.hang)
    if not each.tail:
        return _wrap(each.spans, first, further, width, color)
    whole = (*each.spans, Span("  "), *each.tail)
    if len(first) + sum(cells(terminal(span.text)) for span in whole) <= width:
        return _wrap(whole, first, further, width, color)
    return [*_wrap(each.spans, first, further, width, color), *_wrap(each.tail, further, further, width, color)]


Unit = list[tuple[str, Tint]]


def _units(spans: Sequence[Span]) -> list[Unit]:
    """What a line may be broken between: words, each in one or more tints.  Two spaces make an empty one."""
    units: list[Unit] = [[]]
    for span in spans:
        text = terminal(span.text)
        for position, word in enumerate([text] if span.solid else text.split(" ")):
            if position:
                units.append([])
            if word:
                units[-1].append((word, span.tint))
    return units


def _wrap(spans: Sequence[Span], first: str, further: str, width: int, color: bool) -> list[str]:
    whole = first + "".join([terminal(span.text) for span in spans])
    if not color and cells(whole) <= width and not whole.startswith(" ", len(first)):
        return [line_start(whole.rstrip(" "))]  # most lines are short, and have no colours to keep apart
    finished: list[str] = []
    pieces: Unit = [(first, "")]
    used, at_start = len(first), True
    for unit in _units(spans):
        needed = sum(cells(word) for word, _ in unit)
        if not at_start and used + 1 + needed > width:
            finished.append(_painted(pieces, color))
            pieces, used, at_start = [(further, "")], len(further), True
        if at_start and not unit:
            continue
        gap = "" if at_start else " "
        # A gap between two words of one tint has that tint too, so that they are painted in one go.
        tint = unit[0][1] if unit and unit[0][1] == pieces[-1][1] else ""
        pieces += [(gap, tint), *unit]
        used, at_start = used + len(gap) + needed, False
    return [*finished, _painted(pieces, color)]


def _painted(pieces: Unit, color: bool) -> str:
    runs = groupby((piece for piece in pieces if piece[0]), key=lambda piece: piece[1])
    text = "".join(paint("".join(word for word, _ in run), tint, color=color) for tint, run in runs)
    return line_start(text.rstrip(" "))


def paint(text: str, tint: Tint, *, color: bool) -> str:
    """The text in its colour, if colours are wanted.  The only place where an escape sequence is made."""
    return f"\x1b[{_SGR[tint]}m{text}\x1b[0m" if color and tint and text else text


def cells(text: str) -> int:
    """How many columns of a terminal the text takes: two for a wide character, none for a combining one."""
    if text.isascii():
        return len(text)
    return sum(map(_cell, text))


def _cell(character: str) -> int:
    if unicodedata.combining(character) or unicodedata.category(character) in ("Mn", "Me"):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def is_to_be_copied(text: str) -> bool:
    """Whether a line of an error is a request to send by hand: ``PUT https://...``, or the JSON of its body."""
    return re.match(r"\{|(DELETE|GET|PATCH|POST|PUT) https?://\S+$", text) is not None
