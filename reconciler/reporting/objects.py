"""Turn one object of the platform into lines for a person: a field each, what is inside indented.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.model.criteria import value_text
from reconciler.model.values import Fields, Json
from reconciler.reporting.escape import line_start, terminal


def object_text(fields: Fields) -> str:
    """``name: value`` lines in the platform's order; texts as they are but for what acts on a terminal."""
    return "".join(f"{line_start(line)}\n" for line in _lines(fields))


def _lines(fields: Fields) -> Iterator[str]:
    for name, value in fields.items():
        key = terminal(name)
        inner = list(_inside(value))
        yield f"{key}:" if inner else f"{key}: {_plain(value)}"
        yield from (f"  {line}" for line in inner)


def _inside(value: Json) -> Iterator[str]:
    """The lines inside a value; none for a plain or an empty one."""
    if isinstance(value, dict):
        yield from _lines(value)
    elif isinstance(value, list):
        for item in value:
            first, *rest = list(_inside(item)) or [_plain(item)]
            yield f"- {first}"
            yield from (f"  {line}" for line in rest)


def _plain(value: Json) -> str:
    return terminal(value) if isinstance(value, str) and value else value_text(value)
