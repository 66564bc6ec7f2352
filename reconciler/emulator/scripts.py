"""Read the JSON files that an emulator is set up with, and say where one of them is wrong.  Touches: disk."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

_EXPECTED = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "dict_type": "an object",
    "model_type": "an object",
}


def read_json(file: str | Path) -> object:
    """What stands in a file.  Raises OSError if it cannot be read and ValueError, with the place, if it is no JSON."""
    try:
        return json.loads(Path(file).read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ValueError(f"byte {error.start + 1} is not UTF-8; save the file as UTF-8") from error
    except json.JSONDecodeError as error:
        what = error.msg[:1].lower() + error.msg[1:]
        raise ValueError(f"line {error.lineno}, column {error.colno}: this is no JSON: {what}") from error
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error


def in_words(error: ValidationError, data: object) -> str:
    """Everything that is wrong with ``data``: ``[0].nth: 0 is less than 1; [2].action: is missing``.

    What the branches of a union say of one place is said at once, and not at all where one of them got further in.
    """
    said: dict[str, list[dict[str, Any]]] = {}
    for each in error.errors(include_url=False):
        said.setdefault(_place(each["loc"], data, each["type"]), []).append(dict(each))
    told = {place: some for place, some in said.items() if not _is_overtaken(place, some, said)}
    return "; ".join(f"{place}: {_sentence(some)}" if place else _sentence(some) for place, some in told.items())


def _is_overtaken(place: str, said: list[dict[str, Any]], places: Iterable[str]) -> bool:
    is_of_type = all(each["type"] in _EXPECTED for each in said)
    return is_of_type and any(other.startswith((f"{place}.", f"{place}[")) for other in places)


def _place(loc: tuple[int | str, ...], data: object, kind: str) -> str:
    """``[0].nth``: the steps that lead through the data, and the last to what is missing; not the names of branches."""
    path = ""
    here: Any = data
    for number, step in enumerate(loc):
        if isinstance(here, list) and isinstance(step, int):
            path, here = f"{path}[{step}]", here[step]
        elif isinstance(here, dict) and step in here:
            path, here = f"{path}.{step}", here[step]
        elif kind == "missing" and number == len(loc) - 1:
            path = f"{path}.{step}"
    return path.removeprefix(".")


def _sentence(said: list[dict[str, Any]]) -> str:
    expected = [_EXPECTED[each["type"]] for each in said if each["type"] in _EXPECTED]
    others = [each for each in said if each["type"] not in _EXPECTED]
    if others:  # one branch of a union understood more of it
        return ", and ".join(_rule(each) for each in others)
    return f"expected {' or '.join(dict.fromkeys(expected))}, found {_shown(said[0]['input'])}"


def _rule(each: dict[str, Any]) -> str:
    context, found = each.get("ctx", {}), _shown(each["input"])
    match each["type"]:
        case "missing":
            return "is missing"
        case "extra_forbidden":
            return "there is no such field"
        case "literal_error":
            return f"{found} is not one of {', '.join(_words(context['expected']))}"
        case "greater_than_equal":
            return f"{found} is less than {context['ge']}"
        case "less_than_equal":
            return f"{found} is more than {context['le']}"
        case "string_too_short" | "too_short":
            return "is empty"
        case "value_error":
            return str(each["msg"]).removeprefix("Value error, ")
        case _:
            return str(each["msg"][:1].lower() + each["msg"][1:])


def _words(expected: str) -> Iterator[str]:
    yield from re.findall(r"'([^']*)'", expected)


def _shown(value: object) -> str:
    if isinstance(value, list):
        return "a list"
    return "an object" if isinstance(value, dict) else json.dumps(value, ensure_ascii=False)[:60]
