"""Turn plain data into YAML that a person would write and every YAML reader understands alike.  Pure.

Block style, two spaces, short lists of scalars on one line, long texts as literal blocks.  A text stands without
quotes only where YAML 1.1 and YAML 1.2 both read it as that text; operators are always quoted.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from reconciler.manifests.scalars import Refused, plain_value

LINE_WIDTH: Final = 100
"""What a flow list may fill, indentation included."""

_PLAIN_START = re.compile(r"[\w./(]")
_PLAIN_KEY = re.compile(r"[^\W\d][\w.\-/ ]*")
_NOT_PLAIN = re.compile(r"[\[\]{},]|: |:$| #|^\.\.\.|^---|\s$")


def to_yaml(document: Mapping[str, Any], *, schema: str | None = None) -> str:
    """One document, with a line break at its end.  ``schema`` is named in a first line for editors.

    Strings, finite numbers, booleans, None, lists and mappings with text keys; the order of keys is kept.
    """
    header = [f"# yaml-language-server: $schema={schema}"] if schema else []
    return "\n".join([*header, *_lines(document, 0)]) + "\n"


def scalar_text(value: Any, *, in_flow: bool = False) -> str:
    """One scalar on one line."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case float():
            text = repr(value or 0.0)
            return text if "." in text else text.replace("e", ".0e")  # 1e16 is a text to YAML 1.1
        case int():
            return str(value)
        case _:
            return value if _is_plain(value, in_flow=in_flow) else quoted_text(value)


def key_text(key: str) -> str:
    """A key of a mapping."""
    return key if _PLAIN_KEY.fullmatch(key) and _is_plain(key, in_flow=True) else quoted_text(key)


def quoted_text(text: str) -> str:
    """The text in double quotes; what cannot be seen is written as an escape."""
    quoted = json.dumps(text, ensure_ascii=False)
    return "".join(char if char.isprintable() else _escape(char) for char in quoted)


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def _is_plain(text: str, *, in_flow: bool) -> bool:
    """Whether a text can stand without quotes, whoever reads it."""
    if not text or not text.isprintable() or not _PLAIN_START.match(text) or _NOT_PLAIN.search(text):
        return False
    if in_flow and (":" in text or "?" in text):
        return False
    if not any(char.isalnum() for char in text):
        return False
    try:
        return isinstance(plain_value(text), str)
    except Refused:
        return False


def _lines(value: Any, indent: int) -> Iterator[str]:
    """The lines of a value that begins a line of its own."""
    pad = " " * indent
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _entry(f"{pad}{key_text(key)}:", item, indent)
    elif isinstance(value, list) and value:
        for item in value:
            yield from _item(pad, item, indent)
    else:
        yield pad + _inline(value)


def _entry(head: str, value: Any, indent: int) -> Iterator[str]:
    """``key: value``, or ``key:`` and lines below it."""
    if isinstance(value, str) and (block := _literal(value, indent + 2)):
        yield f"{head} {block[0]}"
        yield from block[1:]
    elif isinstance(value, list) and (flow := _flow(value, LINE_WIDTH - len(head) - 1)):
        yield f"{head} {flow}"
    elif isinstance(value, (Mapping, list)) and value:
        yield head
        yield from _lines(value, indent + 2)
    else:
        yield f"{head} {_inline(value)}"


def _item(pad: str, value: Any, indent: int) -> Iterator[str]:
    """``- value``, the first line of a mapping or list beside its dash."""
    if isinstance(value, str) and (block := _literal(value, indent + 2)):
        yield f"{pad}- {block[0]}"
        yield from block[1:]
        return
    for number, line in enumerate(_lines(value, indent + 2)):
        yield f"{pad}- {line[indent + 2 :]}" if number == 0 else line


def _inline(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{}"
    return "[]" if isinstance(value, list) else scalar_text(value)


def _flow(values: Sequence[Any], width: int) -> str:
    """A list of short scalars on one line; "" when it does not fit or holds anything else."""
    if not values or any(isinstance(value, (Mapping, list)) for value in values):
        return ""
    text = f"[{', '.join(scalar_text(value, in_flow=True) for value in values)}]"
    return text if len(text) <= width else ""


def _literal(text: str, indent: int) -> list[str]:
    """The lines of a literal block, header first; none when the text has one line or needs escapes."""
    lines = text.split("\n")
    body = lines[:-1] if text.endswith("\n") else lines
    if len(lines) < 2 or not body[0].strip() or body[0][0] in " \t" or not body[-1].strip():
        return []
    if not all(line.isprintable() and line == line.rstrip() for line in body):
        return []
    header = "|" if text.endswith("\n") else "|-"
    return [header, *(f"{' ' * indent}{line}" if line else "" for line in body)]
