"""Plain JSON values and the spelling of durations, times, counts and secrets.  Pure."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, TypeAlias

import msgspec
from pydantic import BeforeValidator, WithJsonSchema

Json: TypeAlias = "None | bool | int | float | str | list[Json] | dict[str, Json]"
Fields: TypeAlias = dict[str, Json]

SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
DURATION_PATTERN = r"^[0-9]+(s|m|h|d|w)$"
MAX_INTEGER = 2**53
"""Larger integers do not survive a JSON parser that reads numbers as doubles."""
DIGEST_DIGITS = 12
"""How many hexadecimal digits of a SHA-256 stand for the content of a file, in fields and in names."""

_COMPACT = msgspec.json.Encoder(order="sorted")
_COMPACT_TOO = json.JSONEncoder(sort_keys=True, ensure_ascii=False, separators=(",", ":"), default=msgspec.to_builtins)

_NUMBERS = frozenset({int, float})  # bool is none: true is not 1
_NOTHING = object()


def alike(one: object, other: object) -> bool:
    """Whether two JSON values are equal all the way down, in whatever order their keys stand; true is not 1.

    Texts come first and mappings are walked through here, for nearly all there is to compare are texts in mappings.
    """
    if one is other:
        return True
    kind = one.__class__
    if kind is str:
        return one == other
    if isinstance(one, dict):
        if not isinstance(other, dict) or len(one) != len(other):
            return False
        for key, value in one.items():
            there = other.get(key, _NOTHING)
            if value.__class__ is str:
                if value != there:
                    return False
            elif not alike(value, there):
                return False
        return True
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(alike, one, other))
    if kind in _NUMBERS:
        return other.__class__ in _NUMBERS and one == other
    return False  # null, true and false are each one object


def compact(value: object) -> bytes:
    """JSON in UTF-8 with sorted keys and without white space: what digests are taken of.

    ``value`` may hold records: they are spelled as mappings.  Lone surrogates, which a vendor's JSON can hold, survive;
    NaN and infinities, which JSON lacks, do not.  Raises RecursionError, TypeError, ValueError.
    """
    try:
        return _COMPACT.encode(value)
    except (TypeError, ValueError):  # a lone surrogate, a key that is no text; eight times as slow
        return _COMPACT_TOO.encode(value).encode("utf-8", "surrogatepass")


def share(fields: Fields, known: Fields) -> bool:
    """Let ``fields`` hold the very objects that ``known`` holds, wherever both are alike: one copy is enough.

    Returns whether they are alike as a whole.
    """
    whole = len(fields) == len(known)
    for name, value in fields.items():
        there = known.get(name, _NOTHING)
        if value == there if value.__class__ is str else _shared(value, there):
            fields[name] = there  # type: ignore[assignment]
        else:
            whole = False
    return whole


def _shared(value: Json, there: object) -> bool:
    """Whether both are alike; where they are not, what is alike inside of them is held once."""
    if isinstance(value, dict) and isinstance(there, dict):
        return value is there or share(value, there)
    if isinstance(value, list) and isinstance(there, list):
        inside = [_shared(one, other) for one, other in zip(value, there, strict=False)]
        return len(value) == len(there) and all(inside)
    return alike(value, there)


def parse_duration(text: object) -> int:
    """Seconds in ``"90s"``, ``"15m"``, ``"24h"``, ``"7d"`` or ``"2w"``.

    Raises ValueError for anything else: a bare number has no unit, and the vendor's own sources disagree
    about which one it would be.  So it does for a time that would come back as another one.
    """
    seconds = _seconds(text) if isinstance(text, str) else None
    if seconds is None:
        raise ValueError('a duration is a whole number with a unit: "90s", "15m", "24h", "7d", "2w"')
    if seconds > MAX_INTEGER:
        raise ValueError("too long: beyond 2^53 seconds a duration loses digits on its way")
    return seconds


@functools.lru_cache
def _seconds(text: str) -> int | None:
    """The seconds, or some number beyond ``MAX_INTEGER`` for what is longer; None for what is no duration."""
    if not re.fullmatch(DURATION_PATTERN, text):
        return None
    digits = text[:-1].lstrip("0") or "0"
    return int(digits) * SECONDS[text[-1]] if len(digits) < 20 else MAX_INTEGER + 1


@functools.lru_cache
def format_duration(seconds: float) -> str:
    """The one spelling of a duration: the largest unit that divides it, but hours up to one day.

    >>> [format_duration(s) for s in (0, 90, 3600, 86_400, 172_800, 1_209_600)]
    ['0s', '90s', '1h', '24h', '2d', '14d']
    """
    whole = int(seconds)
    if whole and whole % 86_400 == 0 and whole > 86_400:
        return f"{whole // 86_400}d"
    if whole and whole % 3600 == 0:
        return f"{whole // 3600}h"
    if whole and whole % 60 == 0:
        return f"{whole // 60}m"
    return f"{whole}s"


def unix_seconds(text: Json) -> float | None:
    """A time as ISO 8601 has it, in Unix seconds; None for anything else.

    One without a zone is in UTC: what it means must not depend on the machine.

    >>> [unix_seconds(text) for text in ("1970-01-02T00:00:00", "1970-01-02T01:00:00+01:00", "soon")]
    [86400.0, 86400.0, None]
    """
    try:
        moment = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() if moment else None


@functools.lru_cache
def _respelled(text: str) -> str:
    return format_duration(parse_duration(text))


_DECIMAL_COMMA = re.compile(r"([-+]?[0-9]+),([0-9]+)", re.ASCII)
_PERCENT = re.compile(r"([-+]?[0-9]+(?:[.,][0-9]+)?) ?%", re.ASCII)


def number_meant(text: str) -> str:
    """What to write for a number that a text spells in a way that JSON has not, "" where it spells none.

    A comma before three digits may part thousands.

    >>> number_meant("0,9"), number_meant("5%"), number_meant("1,000")
    ('0.9', '0.05, or 5 if the unit is percent', '')
    """
    found = _DECIMAL_COMMA.fullmatch(text)
    if found and (len(found[2]) != 3 or found[1].lstrip("+-") == "0"):
        return f"{found[1]}.{found[2]}"
    if (found := _PERCENT.fullmatch(text)) and not _is_long(found[1]):
        percent = found[1].replace(",", ".")
        return f"{Decimal(percent) / 100:f}, or {percent} if the unit is percent"
    return ""


_MOST_DIGITS = 20
"""Before the point; MAX_INTEGER has fewer."""
_NUMERAL = re.compile(r"([-+]?)0*([0-9]+(?:\.[0-9]+)?)", re.ASCII)
_OTHER_REFERENCE = re.compile(r"\$?\{\{ ?([\w.-]+) ?\}\}|\$([A-Za-z][\w.-]*)", re.ASCII)


def reference_meant(text: str) -> str:
    """The reference that a text spells as other tools do, "" where it spells none.

    >>> reference_meant("$var.min"), reference_meant("{{ min }}"), reference_meant("$5")
    ('${var.min}', '${var.min}', '')
    """
    found = _OTHER_REFERENCE.fullmatch(text)
    name = (found[1] or found[2]) if found else ""
    is_known = name.partition(".")[0] in ("var", "param", "each", "env")
    return f"${{{name if is_known else f'var.{name}'}}}" if name else ""


def how_to_write_number(text: str) -> str:
    """What to do about a text where a number is wanted; "" where it cannot be told.

    >>> how_to_write_number("5"), how_to_write_number("012"), how_to_write_number("")
    ('write 5 without quotes', 'write 12', 'it is empty: give it a value')
    """
    if not text:
        return "it is empty: give it a value"
    if reference := reference_meant(text):
        return f'a reference is written "{reference}"'
    found = _NUMERAL.fullmatch(text)
    if not found:
        return ""
    plain = found[1] + found[2]
    if _is_long(plain) or abs(Decimal(plain)) > MAX_INTEGER:
        return "beyond 2^53 a number loses digits on its way"
    return f"write {plain} without quotes" if plain == text else f"write {plain}"


def _is_long(numeral: str) -> bool:
    """Whether a numeral is beyond all that can be sent, and perhaps beyond what Decimal computes with."""
    return len(re.split("[.,]", numeral.lstrip("+-0"), maxsplit=1)[0]) >= _MOST_DIGITS


def counted(number: int, noun: str, plural: str = "") -> str:
    """``1 resource``, ``2 resources``, ``1,200 resources``."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def some_of(items: Sequence[object], most: int) -> str:
    """The first of them, and how many others there are.

    >>> some_of(["a", "b", "c", "d"], 2), some_of([7], 2)
    ('a, b and 2 more', '7')
    """
    shown = ", ".join(map(str, items[:most]))
    return f"{shown} and {len(items) - most} more" if len(items) > most else shown


Duration = Annotated[
    str,
    BeforeValidator(lambda value: _respelled(value) if isinstance(value, str) else parse_duration(value)),
    WithJsonSchema({"type": "string", "pattern": DURATION_PATTERN, "examples": ["24h", "7d"]}),
]
"""A field holding a duration: a string with a unit, kept in its one spelling."""


class Secret:
    """A credential.  Shows itself as ``***`` in every text form; ``reveal`` is the only way to the value.

    Cannot be pickled or copied into JSON, so it cannot reach a log, a plan or a state file by accident.
    """

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        """The value itself.  Call it where a header is made, and nowhere else."""
        return self._value

    def __repr__(self) -> str:
        return "***"

    __str__ = __repr__

    def __format__(self, spec: str) -> str:
        return format("***", spec)

    def __bool__(self) -> bool:
        return bool(self._value)

    def __reduce__(self) -> Any:
        raise TypeError("a Secret cannot be pickled")
