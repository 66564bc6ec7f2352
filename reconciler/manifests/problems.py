"""Turn spots, and what pydantic says about data, into problems with file, line, column and path.  Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct, field
from pydantic import ValidationError

from reconciler.errors import Problem
from reconciler.manifests.loader import Parsed
from reconciler.manifests.positions import Map, Seq, Spot, unpack
from reconciler.model.nearest import did_you_mean, nearest
from reconciler.model.secrecy import NOT_SHOWN
from reconciler.model.spec import Conflict, Mark, Shape
from reconciler.model.values import how_to_write_number, number_meant, some_of

Loc = tuple[int | str, ...]

MOST_FIELDS: Final = 12
"""How many fields a hint lists."""

_ADDRESS_WORDS: Final = re.compile(r"(base|api|server)?_?(url|uri|endpoint|origin|host)|address", re.IGNORECASE)
_SECRET_WORDS: Final = re.compile(
    r".*(api_?key|token|password|passwd|secret|credentials?|bearer|authorization)", re.IGNORECASE
)
_REFERENCE: Final = re.compile(r"(?<!\$)\$\{[^{}]*\}")
_VARIABLE: Final = re.compile(r"(?<!\$)\$\{var\.([^{}]*)\}")
_EXPECTED: Final = {
    "string_type": "text",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "list_type": "a list",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
    "model_attributes_type": "a mapping",
    "none_required": "null",
}
_SIGNS: Final = {
    "=": "is",
    "==": "is",
    "===": "is",
    "≠": "!=",
    "<>": "!=",
    "≤": "<=",
    "le": "<=",
    "≥": ">=",
    "ge": ">=",
}
"""What others call an operator, and what it is called here."""


def quoted(text: str) -> str:
    """A text as a person should see it: in quotes, without line breaks, not longer than a line."""
    shown = json.dumps(text, ensure_ascii=False)
    return shown if len(shown) <= 80 else f'{shown[:76]}..."'


def described(value: Any) -> str:
    """What a value is, in words."""
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {value}"
        case str():
            return quoted(value)
        case list():
            return "a list"
        case _:
            return "a mapping"


def one_of(words: Sequence[str]) -> str:
    """``"a"``, ``"a" or "b"``, ``"a", "b" or "c"``."""
    *most, last = [quoted(word) for word in words]
    return f"{', '.join(most)} or {last}" if most else last


class _Paths(Struct, frozen=True):
    """What stands where in one file, by spot: the path of a value, the path of a key, a text that holds references."""

    values: dict[Spot, str] = field(default_factory=dict)
    keys: dict[Spot, str] = field(default_factory=dict)
    texts: dict[Spot, str] = field(default_factory=dict)


class Problems(Struct):
    """Collects what is wrong (``errors``) and what is worth knowing (``warnings``).

    ``variables`` says where each variable got its value: a mistake in that is mended there.
    """

    files: Sequence[Parsed]
    errors: list[Problem] = field(default_factory=list)
    warnings: list[Problem] = field(default_factory=list)
    silent: set[Spot] = field(default_factory=set)
    unresolved: set[Spot] = field(default_factory=set)
    misspelt: set[tuple[Spot, str]] = field(default_factory=set)
    variables: dict[str, str] = field(default_factory=dict)
    _paths: dict[int, _Paths] = field(default_factory=dict)

    def add(
        self, spot: Spot, message: str, hint: str = "", *, key: bool = False, below: str = "", warning: bool = False
    ) -> None:
        """Note a problem with the value at ``spot`` (with ``key``: with the key there), or with ``below`` inside it.

        Says nothing of a scalar that the loader has refused or whose reference leads nowhere, and of a value in
        ``silent``: it would be a consequence.
        """
        if key or not (self._is_refused(spot, below) or spot in self.unresolved):
            hints = [hint] if key or below else [self._of_what_was_written(spot, hint), *self._origins(spot)]
            self._note(spot, message, "; ".join(filter(None, hints)), key, below, warning)

    def add_reference(self, spot: Spot, message: str, hint: str) -> None:
        """Note a problem with a reference in the text at ``spot``; there may be more than one."""
        if not self._is_refused(spot):
            self._note(spot, message, hint)
            self.unresolved.add(spot)

    def is_unsound(self, spot: Spot) -> bool:
        """Whether it was reported that the value at ``spot`` cannot be read, or that its reference leads nowhere."""
        return spot in self.unresolved or self._is_refused(spot)

    def _is_refused(self, spot: Spot, below: str = "") -> bool:
        return spot in self.silent or (not below and spot in self.files[unpack(spot)[0]].doubtful)

    def _note(
        self, spot: Spot, message: str, hint: str, key: bool = False, below: str = "", warning: bool = False
    ) -> None:
        number, line, column = unpack(spot)
        paths = self._paths_of(number)
        path = (paths.keys if key else paths.values).get(spot, "")
        path = f"{path}.{below}".removeprefix(".") if below else path
        level: Literal["error", "warning"] = "warning" if warning else "error"
        problem = Problem(self.files[number].file, line, column, path, message, hint, level)
        (self.warnings if warning else self.errors).append(problem)

    def _of_what_was_written(self, spot: Spot, hint: str) -> str:
        """The hint; where it would give another spelling to a text that a reference is only part of, one about that."""
        text = self._paths_of(unpack(spot)[0]).texts.get(spot, "") if hint.startswith("write ") else ""
        if not _REFERENCE.search(text) or _REFERENCE.fullmatch(text):
            return hint
        return f"{quoted(text)} is always a text; let one reference be the whole value"

    def _origins(self, spot: Spot) -> Iterator[str]:
        """Where the variables got their values that the text at ``spot`` refers to."""
        text = self._paths_of(unpack(spot)[0]).texts.get(spot, "") if self.variables else ""
        for name in dict.fromkeys(_VARIABLE.findall(text)):
            if name in self.variables:
                yield f"${{var.{name}}} comes from {self.variables[name]}"

    def add_unknown(self, container: Map, key: str, what: str, known: Iterable[str], *, hint: str = "") -> None:
        """Note that ``key`` is not a field of ``what``; the field it nearly is will not be called missing."""
        known = list(known)
        near = nearest(key, known)
        self.misspelt.add((container.spot, near))
        fields = f"it has {some_of(known, MOST_FIELDS)}" if known else ""
        reason = forbidden_key(key) or (f"not a field {what}", f'did you mean "{near}"?' if near else hint or fields)
        self.add(container.key_spot(key), *reason, key=True)

    def place(self, spot: Spot) -> str:
        """``file:line`` of a spot."""
        number, line, _ = unpack(spot)
        return f"{self.files[number].file}:{line}"

    def is_beside(self, spot: Spot, other: Spot) -> bool:
        """Whether both stand in one mapping as it is written, and not in two of which one was laid over the other."""
        one, two = ((unpack(each)[0], self._path_of(each).rpartition(".")[0]) for each in (spot, other))
        return one == two

    def _path_of(self, spot: Spot) -> str:
        return self._paths_of(unpack(spot)[0]).values.get(spot, "")

    def file_problem(self, file: str, message: str, hint: str = "") -> None:
        """Note a problem with a file as a whole."""
        self.errors.append(Problem(file, 0, 0, "", message, hint))

    def _paths_of(self, number: int) -> _Paths:
        """What stands where in a file.  Made when the first problem in it is found."""
        if number not in self._paths:
            self._paths[number] = _Paths()
            for document, spot in self.files[number].documents:
                _index(document, spot, "", self._paths[number])
        return self._paths[number]


def _index(value: Any, spot: Spot, path: str, paths: _Paths) -> None:
    if spot in paths.values:
        return  # an alias: its home is where the anchor stands
    paths.values[spot] = path
    if isinstance(value, Map):
        for key, (item, key_spot, value_spot) in value.entries().items():
            inner = f"{path}.{key}".removeprefix(".")
            paths.keys[key_spot] = inner
            _index(item, value_spot, inner, paths)
    elif isinstance(value, Seq):
        for index, (item, item_spot) in enumerate(zip(value, value.spots, strict=True)):
            _index(item, item_spot, f"{path}[{index}]", paths)
    elif isinstance(value, str) and "${" in value:
        paths.texts[spot] = value


# --------------------------------------------------------------------------------------- pydantic's errors


class _Complaint(Struct, frozen=True):
    """One error of pydantic's, found in the data."""

    type: str
    value: Any
    path: Loc
    container: Map | Seq
    spot: Spot
    message: str
    context: Mapping[str, Any]
    missing: str = ""
    is_sensitive: bool = False


def explain(
    error: ValidationError,
    data: Map,
    what: str,
    fields: Mapping[str, Shape],
    problems: Problems,
    *,
    open_references: bool = False,
    said: Container[str] = (),
) -> None:
    """Add to ``problems`` what ``error`` says of ``data``, which is ``what`` (``"openlayer.Test"``).

    ``fields`` are the fields of the model, for naming near misses.  ``open_references``: a text that holds a
    reference may become anything, so nothing is said of it.  ``said``: fields whose lack was reported before.
    """
    found = [_locate(item, data, fields) for item in error.errors(include_url=False, include_input=False)]
    found = [each for each in found if not (each.missing in said and len(each.path) == 1)]
    if open_references:
        found = [each for each in found if not (isinstance(each.value, str) and "${" in each.value)]
    places: dict[Loc, list[_Complaint]] = {}
    for each in found:
        places.setdefault(each.path, []).append(each)
    above = {path[:length] for path in places for length in range(len(path))}
    unknown = {complaint.path for complaint in found if complaint.type == "extra_forbidden"}
    for path in sorted(places, key=lambda path: (path not in unknown, list(map(str, path)))):
        here = places[path]
        if path in above and all(complaint.type in {*_EXPECTED, "literal_error"} for complaint in here):
            continue  # another branch of a union got further in; what it says is closer to what was meant
        _say(here, what, fields, problems)


def _locate(item: Any, data: Map, fields: Mapping[str, Shape]) -> _Complaint:
    """Walk down the data along pydantic's location, which holds names of union branches in between."""
    value: Any = data
    container: Map | Seq = data
    spot, shape = data.spot, Shape(fields=fields)
    is_sensitive = False
    path: list[int | str] = []
    missing = str(item["loc"][-1]) if item["type"] == "missing" else ""
    for part in item["loc"][:-1] if missing else item["loc"]:
        if isinstance(value, Map) and part in value:
            container, spot, value = value, value.value_spot(str(part)), value[part]
        elif isinstance(value, Seq) and isinstance(part, int) and part < len(value):
            container, spot, value = value, value.item_spot(part), value[part]
        else:
            continue
        path.append(part)
        shape = (shape.item if isinstance(part, int) else (shape.fields or {}).get(part)) or Shape()
        is_sensitive = is_sensitive or Mark.SENSITIVE in shape.marks
    where = (*path, missing) if missing else tuple(path)
    return _Complaint(
        item["type"], value, where, container, spot, item["msg"], item.get("ctx", {}), missing, is_sensitive
    )


def _say(complaints: list[_Complaint], what: str, fields: Mapping[str, Shape], problems: Problems) -> None:
    """One sentence for everything that was said of one place."""
    first = complaints[0]
    if first.missing:
        if (first.spot, first.missing) not in problems.misspelt:
            problems.add(first.spot, "is missing", below=first.missing)
    elif first.type == "extra_forbidden":
        _say_unknown(first, what, fields, problems)
    elif first.is_sensitive:
        words = [_EXPECTED[each.type] for each in complaints if each.type in _EXPECTED]
        expected = f": expected {' or '.join(dict.fromkeys(words))}" if words else ""
        problems.add(first.spot, f"is not valid{expected} {NOT_SHOWN}")
    elif first.type == "literal_error" and len(complaints) == 1:
        words = re.findall(r"'([^']*)'", str(first.context.get("expected", "")))
        hint = _word_meant(first.value, words) if isinstance(first.value, str) else ""
        problems.add(first.spot, f"{described(first.value)} is not {one_of(words)}", hint)
    elif all(complaint.type in {*_EXPECTED, "literal_error"} for complaint in complaints):
        _say_expected(complaints, problems)
    else:
        message, hint = _sentence(first)
        problems.add(first.spot, message, _from_elsewhere(first, problems) or hint)


def _from_elsewhere(complaint: _Complaint, problems: Problems) -> str:
    """Where the value has its place that this one does not go with; empty where it stands beside it."""
    conflict, container = complaint.context.get("error"), complaint.container
    if not isinstance(conflict, Conflict) or not isinstance(container, Map) or conflict.field not in container:
        return ""
    spot = container.value_spot(conflict.field)
    if problems.is_beside(spot, complaint.spot):
        return ""
    return f"{conflict.field}: {container[conflict.field]} comes from {problems.place(spot)}"


def _word_meant(word: str, words: Sequence[str]) -> str:
    sign = _SIGNS.get(word.lower())
    return f'did you mean "{sign}"?' if sign in words else did_you_mean(word, words)


def _say_unknown(complaint: _Complaint, what: str, fields: Mapping[str, Shape], problems: Problems) -> None:
    key = str(complaint.path[-1])
    assert isinstance(complaint.container, Map)
    known, owner = _fields_at(complaint.path[:-1], fields)
    problems.add_unknown(complaint.container, key, f"of {owner or what}", known)


def _fields_at(path: Loc, fields: Mapping[str, Shape]) -> tuple[Sequence[str], str]:
    """(the field names known at a path, what the thing there is called)."""
    owner = ""
    for part in path:
        if isinstance(part, int):
            continue
        shape = fields.get(part)
        shape = (shape.item or shape) if shape is not None else None
        fields = (shape.fields or {}) if shape is not None else {}
        owner = part
    return list(fields), owner


def _say_expected(complaints: list[_Complaint], problems: Problems) -> None:
    value, spot = complaints[0].value, complaints[0].spot
    words = [
        one_of(re.findall(r"'([^']*)'", str(each.context.get("expected")))) if each.type == "literal_error"
        else _EXPECTED[each.type]
        for each in complaints
    ]  # fmt: skip
    if "a number" in words and "a whole number" in words:
        words.remove("a whole number")
    *most, last = dict.fromkeys(words)
    expected = f"{', '.join(most)} or {last}" if most else last
    problems.add(spot, f"expected {expected}, found {described(value)}", _hint_for(value, words))


def _hint_for(value: Any, words: Sequence[str]) -> str:
    """How a value becomes what was expected."""
    if isinstance(value, (bool, int, float)):
        return "put it in quotes" if "text" in words else ""
    if not isinstance(value, str):
        return ""
    if near := did_you_mean(value, [word.strip('"') for word in words if word.startswith('"')]):
        return near
    if "a list" in words and "\n" not in value:
        return f"write [{value}]"
    if not {"a number", "a whole number"} & set(words):
        return ""
    if how := how_to_write_number(value):
        return how
    meant = number_meant(value) if "a number" in words else ""
    return f"write {meant}" if meant else ""


def _sentence(complaint: _Complaint) -> tuple[str, str]:
    """(message, hint) for the remaining kinds of errors."""
    context, value = complaint.context, complaint.value
    match complaint.type:
        case "value_error":
            what, _, how = complaint.message.removeprefix("Value error, ").partition("; write ")
            return what, f"write {how}" if how else ""
        case "string_too_short" | "too_short":
            return "is empty", ""
        case "string_too_long":
            return f"has {len(value)} characters, more than {context['max_length']}", ""
        case "greater_than_equal":
            return f"{described(value)} is less than {context['ge']}", ""
        case "less_than_equal":
            return f"{described(value)} is more than {context['le']}", ""
        case "string_pattern_mismatch":
            return f"{described(value)} is not of the form {context['pattern']}", ""
        case "union_tag_not_found":
            return f"has no {_discriminator(context)}", ""
        case "union_tag_invalid":
            words = re.findall(r"'([^']*)'", str(context["expected_tags"]))
            hint = did_you_mean(str(context["tag"]), words)
            return f"{_discriminator(context)}: {quoted(str(context['tag']))} is not {one_of(words)}", hint
        case _:
            return complaint.message[:1].lower() + complaint.message[1:], ""


def _discriminator(context: Mapping[str, Any]) -> str:
    """The field that tells the variants apart, by its manifest name, which pydantic lists last."""
    return str(re.findall(r"'([^']*)'", str(context["discriminator"]))[-1])


def forbidden_key(key: str) -> tuple[str, str] | None:
    """(message, hint) for a key that no manifest may hold, whatever it belongs to."""
    if _ADDRESS_WORDS.fullmatch(key):
        return "a manifest cannot say where the platform is: a pull request could send the key elsewhere", (
            "set it in the process environment"
        )
    if _SECRET_WORDS.fullmatch(key):
        return "credentials never stand in a manifest", "set it in the process environment"
    return None
