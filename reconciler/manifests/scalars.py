"""What an unquoted scalar means, or why it is refused.  Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, Final

from reconciler.model.values import MAX_INTEGER

_PLAIN: Final[dict[str, Any]] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMBERS_BEGIN = frozenset("0123456789+-.")
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)", re.ASCII)
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?", re.ASCII)
_TRUE: Final = "true or false to some YAML readers", "true"
_FALSE: Final = "true or false to some YAML readers", "false"
_REFUSED_WORDS: Final[dict[str, tuple[str, str]]] = {
    **dict.fromkeys(("yes", "Yes", "YES", "y", "Y", "on", "On", "ON"), _TRUE),
    **dict.fromkeys(("no", "No", "NO", "n", "N", "off", "Off", "OFF"), _FALSE),
    **dict.fromkeys(("=", "<<"), ("a special value to some YAML readers", "")),
}
"""What each is to others, and what to write for it."""


def _in_base(base: int) -> Callable[[str], float]:
    return lambda text: int(text, base)


def _in_base_60(text: str) -> float:
    value = 0.0
    for part in text.lstrip("+-").split(":"):
        value = value * 60 + float(part)
    return -value if text.startswith("-") else value


_REFUSED_NUMBERS: Final[tuple[tuple[re.Pattern[str], str, Callable[[str], float] | None], ...]] = (
    (re.compile(r"[-+]?0[0-9_]+"), "an octal number to some YAML readers", int),
    (re.compile(r"[-+]?0o[0-7]+"), "an octal number to some YAML readers", _in_base(8)),
    (re.compile(r"[-+]?0x[0-9a-fA-F_]+"), "a hexadecimal number to some YAML readers", _in_base(16)),
    (re.compile(r"[-+]?0b[01_]+"), "a binary number to some YAML readers", _in_base(2)),
    (
        re.compile(r"[-+]?[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?"),
        "a number in base 60 to some YAML readers",
        _in_base_60,
    ),
    (re.compile(r"[-+]?(\.?[0-9][0-9_]*)(\.[0-9_]*)?([eE][-+]?[0-9]+)?"), "a number to some YAML readers", float),
    (re.compile(r"[0-9]{4}-[0-9]{1,2}-[0-9]{1,2}([Tt \t].*)?"), "a date to some YAML readers", None),
    (re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)"), "not a number that can be sent", None),
)
"""What matches, what it is to others, and what turns it into the number that was probably meant."""


class Refused(ValueError):
    """A plain scalar that should be quoted, or a number that cannot be sent.

    ``instead`` is what to write for the number, or the true or false, that was probably meant; "" where nothing was.
    """

    def __init__(self, message: str, instead: str = "") -> None:
        super().__init__(message)
        self.instead = instead


def plain_value(text: str) -> Any:
    """What an unquoted scalar means by YAML 1.2's core schema: None, a bool, a number or the text itself.

    Raises Refused for what YAML 1.1 reads differently, and for numbers outside of what JSON carries exactly.

    >>> plain_value("1e3"), plain_value("gte"), plain_value("~")
    (1000.0, 'gte', None)
    """
    if text in _PLAIN:
        return _PLAIN[text]
    if text in _REFUSED_WORDS:
        meaning, instead = _REFUSED_WORDS[text]
        raise Refused(f"{text} is {meaning}", instead)
    if text[0] not in _NUMBERS_BEGIN:
        return text
    if _INTEGER.fullmatch(text):
        return _integer(text)
    if _FLOAT.fullmatch(text):
        return _float(text)
    for pattern, meaning, read in _REFUSED_NUMBERS:
        if pattern.fullmatch(text):
            raise Refused(f"{text} is {meaning}", _plainly(text, read) if read is not None else "")
    return text


def _plainly(text: str, read: Callable[[str], float]) -> str:
    """The number in one spelling that all readers share, "" for one that cannot be sent."""
    try:
        value = read(text.replace("_", ""))
    except ValueError:  # nothing but underscores, or more digits than Python reads
        return ""
    if abs(value) > MAX_INTEGER or not math.isfinite(value):
        return ""
    return str(int(value) if value == int(value) else value)


def _integer(text: str) -> int:
    value = int(text) if len(text) < 20 else MAX_INTEGER + 1
    if abs(value) > MAX_INTEGER:
        raise Refused(f"{text[:40]} is too large: beyond 2^53 a number loses digits on its way")
    return value


def _float(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Refused(f"{text[:40]} is too large to be sent")
    return value or 0.0  # -0.0 is 0
