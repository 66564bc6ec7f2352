"""Turn YAML text into plain data that remembers where every key and value stood.  Touches: nothing.

Strict: what YAML 1.1 and YAML 1.2 read differently is refused, so that a reviewer, an editor and this program see
the same thing.  Built on libyaml's *events* rather than on PyYAML's constructor, which is six times slower, keeps no
positions and silently takes the last of two equal keys.
"""

from __future__ import annotations

import gc
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import yaml
from msgspec import Struct, field
from yaml.events import (
    AliasEvent,
    MappingEndEvent,
    MappingStartEvent,
    NodeEvent,
    ScalarEvent,
    SequenceEndEvent,
)

from reconciler.errors import ManifestsInvalid, Problem
from reconciler.manifests.positions import COLUMN_MASK, FILE_BITS, LINE_BITS, Map, Seq, Spot, unpack
from reconciler.manifests.repeats import STAND_IN, Layouts, Repeats
from reconciler.manifests.scalars import Refused, plain_value
from reconciler.model.values import number_meant

MAX_FILE_BYTES: Final = 8 * 1024 * 1024
MAX_DEPTH: Final = 64
MAX_ALIAS_NODES: Final = 100_000
"""How many values aliases may add to a file, counted as if each were written out."""
MAX_PROBLEMS: Final = 1000


class Parsed(Struct):
    """One file.  ``documents`` are (value, spot); empty documents are left out.

    ``doubtful`` are the spots of scalars that were refused: what is said of them later is a consequence.
    ``refers``: there may be a ``${...}`` in it.
    """

    file: str
    documents: list[tuple[Any, Spot]] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    doubtful: set[Spot] = field(default_factory=set)
    refers: bool = True


def parse(data: bytes | str, file: str = "manifest.yaml") -> list[Any]:
    """The documents in ``data``.  Raises ManifestsInvalid with everything that is wrong with it."""
    parsed = read(data, file, layouts=Layouts())
    if parsed.problems:
        raise ManifestsInvalid(parsed.problems)
    return [value for value, _ in parsed.documents]


def read(data: bytes | str, file: str, number: int = 0, layouts: Layouts | None = None) -> Parsed:
    """Like ``parse``, but hands back problems beside whatever could be read.

    ``number`` is the file's in every spot.  A syntax error ends the file; all else is collected.  With ``layouts``,
    list items that are laid out alike are read faster, and come to the same.
    """
    parsed = Parsed(file)
    text = _text_of(data, parsed)
    if text is None:
        return parsed
    parsed.refers = "$" in text or "\\" in text  # an escape may spell a dollar
    with no_garbage_collection():
        if layouts is None or parsed.problems or not _read_repeats(text, parsed, number, layouts):
            _Builder(text, parsed, number).build()
    return parsed


def _read_repeats(text: str, parsed: Parsed, number: int, layouts: Layouts) -> bool:
    """Fill ``parsed``, without reading repeated items; False, and nothing done, when anything is odd about the file."""
    repeats = layouts.take_out(text)
    tried = Parsed(parsed.file)
    builder = _Builder(repeats.text, tried, number, repeats)
    builder.build()
    if tried.problems:  # what is wrong with an item must be told of each that is like it
        for layout in repeats.firsts.values():
            layout.forget()
    if repeats.items and (tried.problems or builder.put_back < len(repeats.items)):
        return False
    parsed.documents, parsed.problems, parsed.doubtful = tried.documents, tried.problems, tried.doubtful
    return True


@contextmanager
def no_garbage_collection() -> Iterator[None]:
    """Nothing built here is garbage, and looking for it doubles the time of a large file."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


# ------------------------------------------------------------------------------------------- characters

_INVISIBLE = (
    "\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f"  # control characters
    "\u00ad\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u206f\ufeff"  # invisible, bidi, line separators
    "\ud800-\udfff\ufffe\uffff\U000e0000-\U000e007f"  # no characters at all, tags
)
FORBIDDEN: Final = re.compile(
    f"[{_INVISIBLE}]"
    "|[\u200c\u200d](?![^\x00-\x7f])"  # joiners belong between letters of other scripts and in emoji
    "|(?<![^\x00-\x7f])[\u200c\u200d]"
    "|\r(?!\n)"
)
"""What must not stand in a manifest: a reviewer would not see it."""

_MARKED_LINE = re.compile("^\ufeff+", re.MULTILINE)
"""A byte order mark before a line, as files that were joined have them: it would be taken for a part of a key."""
_ASCII_SEEN: Final = bytes((*b"\t\n", *range(0x20, 0x7F)))
_ASCII_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]|\r(?!\n)")
_FORBIDDEN_IN_VALUE = re.compile(FORBIDDEN.pattern.replace("|\r(?!\n)", ""))


def printable(text: str) -> str:
    """The text on one line, with U+FFFD for everything that nobody can see."""
    return re.sub("[\n\t\r]", "\ufffd", FORBIDDEN.sub("\ufffd", text))


def _text_of(data: bytes | str, parsed: Parsed) -> str | None:
    """The text, forbidden characters replaced one by one, so that positions stay right but in a line with a mark."""
    size = len(data)
    if size > MAX_FILE_BYTES:
        message = f"the file has {size:,} bytes, more than {MAX_FILE_BYTES:,}"
        parsed.problems.append(Problem(parsed.file, 0, 0, "", message, "split it"))
        return None
    try:
        text = data.decode("utf-8") if isinstance(data, bytes) else data
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode("utf-8")
        parsed.problems.append(_at(parsed.file, before, "the file is not UTF-8", "save it as UTF-8"))
        return None
    text = text.removeprefix("\ufeff")
    is_ascii = text.isascii()
    # Nothing that is forbidden is printable; telling so takes a hundredth of a search in ASCII, a tenth in other text.
    if not text.encode().translate(None, _ASCII_SEEN) if is_ascii else text.replace("\n", "").isprintable():
        return text
    pattern = _ASCII_CONTROL if is_ascii else FORBIDDEN
    for found in list(pattern.finditer(text))[:MAX_PROBLEMS]:
        message = f"U+{ord(found[0]):04X} is a character that nobody can see"
        parsed.problems.append(_at(parsed.file, text[: found.start()], message, "remove it"))
    return pattern.sub("\ufffd", _MARKED_LINE.sub("", text))


def _at(file: str, before: str, message: str, hint: str) -> Problem:
    """A problem right after the text ``before``."""
    line_start = before.rfind("\n") + 1
    return Problem(file, before.count("\n") + 1, len(before) - line_start + 1, "", message, hint)


# ---------------------------------------------------------------------------------------------- builder

_EventLoader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # the C parser is optional in PyYAML
_DISCARDED = "\0"
"""Starts the stand-in for a key that was refused; such entries are taken out again at the end."""


class _Stop(Exception):
    """The rest of the file is not worth reading."""


class _Builder:
    """Builds the documents of one text, one call for each mapping and each list."""

    def __init__(self, text: str, parsed: Parsed, number: int, repeats: Repeats | None = None) -> None:
        self.text = text
        self.repeats = repeats
        self.put_back = 0  # how many repeated items
        self.parsed = parsed
        self.base = number << FILE_BITS
        self.get_event = _EventLoader(text).get_event
        self.known: dict[str, Any] = {}  # plain scalars seen before: field names and words repeat
        self.path: list[str | Seq] = []  # what leads to where we are: keys, and lists that are being read
        self.alias_nodes = 0
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.open_anchors: list[str] = []
        self.discarded: list[Map] = []

    def build(self) -> None:
        """Fill ``parsed``."""
        try:
            self._documents()
        except _Stop:
            pass
        except yaml.YAMLError as error:
            self.parsed.problems.append(_syntax_problem(self.parsed.file, self.text, error))
        for mapping in self.discarded:
            _discard(mapping)

    def _documents(self) -> None:
        while (event := self.get_event()) is not None:
            if isinstance(event, NodeEvent):
                spot = self._spot(event)
                value = self._node(event, spot)
                if value is not None:
                    self.parsed.documents.append((value, spot))
            else:
                self.anchors.clear()  # an anchor lives as long as its document

    def _spot(self, event: Any) -> Spot:
        mark = event.start_mark
        spot: Spot = self.base + (mark.line << LINE_BITS) + mark.column
        return spot

    def _fill_map(self, made: Map) -> None:
        """Read the entries of a mapping.

        The hot loop: most events are plain scalars that have been seen before, and for them nothing is called.
        """
        get_event, base, known, path = self.get_event, self.base, self.known, self.path
        spots: list[Spot] = []
        made.home, made.places = 0, spots
        while type(event := get_event()) is not MappingEndEvent:
            mark = event.start_mark
            key_spot = base + (mark.line << LINE_BITS) + mark.column
            if type(event) is ScalarEvent and event.implicit[0] and event.anchor is None and event.value in known:
                key = known[event.value]
            else:
                key = self._key(event, key_spot, made)
            if type(key) is not str or key in made:
                key = self._odd_key(event, key, key_spot, made)

            event = get_event()
            mark = event.start_mark
            spot = base + (mark.line << LINE_BITS) + mark.column
            if type(event) is ScalarEvent and event.implicit[0] and event.anchor is None and event.value in known:
                made[key] = known[event.value]
            else:
                path.append(key)
                made[key] = self._node(event, spot)
                path.pop()
            spots += (key_spot, spot)

    def _fill_seq(self, made: Seq) -> None:
        self.path.append(made)
        repeats = self.repeats
        spots: list[Spot] = []
        made.home, made.places = 0, spots
        while type(event := self.get_event()) is not SequenceEndEvent:
            spot = self._spot(event)
            made.append(self._node(event, spot) if repeats is None else self._repeated(event, spot, repeats))
            spots.append(spot)
        self.path.pop()

    def _repeated(self, event: Any, spot: Spot, repeats: Repeats) -> Any:
        """The item of a list that a stand-in stands for, or any other, from which a layout may be learned."""
        place, home = spot - self.base, spot & ~COLUMN_MASK
        if place in repeats.items and type(event) is ScalarEvent and event.value == STAND_IN:
            layout, texts, scalars = repeats.items[place]
            if layout.is_known:
                self.put_back += 1
                return layout.make(texts, scalars, home)
        item = self._node(event, spot)
        if place in repeats.firsts and isinstance(item, (Map, Seq)):
            repeats.firsts[place].learn(item, home)
        return item

    def _node(self, event: Any, spot: Spot) -> Any:
        if type(event) is ScalarEvent:
            return self._scalar(event, spot)
        return self._alias(event, spot) if type(event) is AliasEvent else self._container(event, spot)

    def _key(self, event: Any, spot: Spot, made: Map) -> Any:
        if type(event) is ScalarEvent:
            if event.value == "<<" and event.implicit[0]:
                self._problem(spot, "merge keys (<<) are not used here", "YAML 1.2 has none; write the fields out")
                return self._stand_in(made)
            return self._cut(event, spot, made) or self._scalar(event, spot, is_key=True)
        if type(event) is AliasEvent:
            return self._alias(event, spot)
        self._problem(spot, "a key must be text", "a mapping or list cannot be one")
        raise _Stop

    def _scalar(self, event: Any, spot: Spot, *, is_key: bool = False) -> Any:
        value = event.value
        if event.tag is not None:
            self._tag(event, spot)
        elif event.implicit[0]:
            value = self.known[value] if value in self.known else self._plain(value, spot, is_key)
        elif event.style in (">", "|") and not value:
            message = f"YAML reads an unquoted {event.style} as the start of a text, and this text is empty"
            is_operator = event.style == ">" and self.path[-1:] == ["operator"]
            self._problem(spot, message, _quote_operator(">") if is_operator else 'write "" for an empty text')
            self.parsed.doubtful.add(spot)
        elif event.style == '"' and not value.isprintable() and (found := _FORBIDDEN_IN_VALUE.search(value)):
            self._problem(spot, f"U+{ord(found[0]):04X} is a character that nobody can see", "remove it")
            self.parsed.doubtful.add(spot)
        if event.anchor is not None:
            self._check_anchor(event.anchor, spot)
            self.anchors[event.anchor] = (value, 1)
        return value

    def _plain(self, text: str, spot: Spot, is_key: bool) -> Any:
        try:
            value = self.known[text] = plain_value(text)
        except Refused as error:
            instead = f"{error.instead}, or " if error.instead and not is_key else ""
            hint = f'write {instead}"{text}" in quotes if it is text'
            hint = 'write "is"' if text == "=" and self.path[-1:] == ["operator"] else hint
            self._problem(spot, str(error), hint if len(text) < 40 else "")
            self.parsed.doubtful.add(spot)
            return text
        return value

    def _tag(self, event: Any, spot: Spot) -> None:
        tag = event.tag.replace("tag:yaml.org,2002:", "!!")
        message = f"YAML reads {tag} as a tag, and tags are not used here"
        hint = _quote_operator("!=") if event.tag == "!=" else "put the value in quotes, or remove the tag"
        self._problem(spot, message, hint)
        self.parsed.doubtful.add(spot)

    def _container(self, event: Any, spot: Spot) -> Map | Seq:
        if len(self.path) >= MAX_DEPTH:
            self.path.clear()  # a path of that length helps nobody
            self._problem(spot, f"nested more than {MAX_DEPTH} levels deep")
            raise _Stop
        if event.tag is not None:
            self._tag(event, spot)
        anchor = event.anchor
        if anchor is not None:
            self._check_anchor(anchor, spot)
            self.open_anchors.append(anchor)
        made: Map | Seq
        if type(event) is MappingStartEvent:
            made = Map()
            made.spot = spot
            self._fill_map(made)
        else:
            made = Seq()
            made.spot = spot
            self._fill_seq(made)
        if anchor is not None:
            self.open_anchors.pop()
            self.anchors[anchor] = (made, _size(made))
        return made

    def _check_anchor(self, name: str, spot: Spot) -> None:
        """YAML lets an anchor move on; some readers refuse that, and a reviewer may look at the wrong one."""
        if name in self.anchors or name in self.open_anchors:
            self._problem(spot, f"there are two &{name} in this document", "give them two names")

    def _alias(self, event: Any, spot: Spot) -> Any:
        name = event.anchor
        if name in self.open_anchors:
            self._problem(spot, f"*{name} stands inside what it repeats")
            self.parsed.doubtful.add(spot)
            return None
        if name not in self.anchors:
            self._problem(spot, f"there is no &{name} before this", "an anchor lives in one document")
            self.parsed.doubtful.add(spot)
            return None
        value, nodes = self.anchors[name]
        self.alias_nodes += nodes
        if self.alias_nodes > MAX_ALIAS_NODES:
            self._problem(spot, f"aliases add more than {MAX_ALIAS_NODES:,} values to this file")
            raise _Stop
        return value

    def _odd_key(self, event: Any, value: Any, spot: Spot, container: Map) -> str:
        """The name under which an entry goes whose key cannot be used as it is."""
        if type(value) is not str and type(event) is ScalarEvent and (cut := self._cut(event, spot, container)):
            return cut
        if type(value) is not str:
            text = event.value if type(event) is ScalarEvent else ""
            self._problem(spot, "a key must be text", f'write "{text}" in quotes' if text else "")
            return text if text and text not in container else self._stand_in(container)
        line = unpack(container.key_spot(value))[1]
        self._problem(spot, f'"{value}" stands here twice, first on line {line}', "remove one of them")
        return self._stand_in(container)

    def _cut(self, event: Any, spot: Spot, container: Map) -> str:
        """A stand-in for a key that is the rest of a number with a comma, which is reported; "" for any other key."""
        if not (container and event.implicit[0] and event.value.isdecimal()):
            return ""
        before = container.places[-1]
        line, column = unpack(before)[1:]
        written = _line(self.text, line - 1)[column - 1 : unpack(spot)[2] - 1] + event.value
        if unpack(spot)[1] != line or not _COMMA.fullmatch(written):
            return ""
        meant = number_meant(written) or "it without the comma, or with a point for it"
        self.path.append(next(reversed(container)))
        self._problem(before, f"{written} is a number and another key to YAML", f"write {meant}")
        self.path.pop()
        return self._stand_in(container)

    def _stand_in(self, container: Map) -> str:
        self.discarded.append(container)
        return f"{_DISCARDED}{len(self.discarded)}"

    def _problem(self, spot: Spot, message: str, hint: str = "") -> None:
        _, line, column = unpack(spot)
        path = "".join(map(_step, self.path)).removeprefix(".")
        self.parsed.problems.append(Problem(self.parsed.file, line, column, path, message, hint))
        if len(self.parsed.problems) >= MAX_PROBLEMS:
            raise _Stop


def _step(part: str | Seq) -> str:
    """One part of the path to what is being read; a list stands for the item that comes next."""
    if isinstance(part, Seq):
        return f"[{len(part)}]"
    return "" if part.startswith(_DISCARDED) else f".{part}"


def _size(value: Any) -> int:
    """How many values there are in a value, keys and itself among them."""
    if isinstance(value, Map):
        return 1 + len(value) + sum(map(_size, value.values()))
    return 1 + sum(map(_size, value)) if isinstance(value, Seq) else 1


def _discard(mapping: Map) -> None:
    kept = {key: entry for key, entry in mapping.entries().items() if not key.startswith(_DISCARDED)}
    mapping.clear()
    mapping.update((key, entry[0]) for key, entry in kept.items())
    mapping.home, mapping.places = 0, [spot for entry in kept.values() for spot in entry[1:]]


# --------------------------------------------------------------------------------------------- messages


def _quote_operator(operator: str) -> str:
    return f'quote the operator: "{operator}"'


_CONFLICT: Final = re.compile(r"^(<{7}|\|{7}|={7}|>{7})( |\r?$)", re.MULTILINE)
"""A line that git leaves in a file that was changed on both sides."""


def _syntax_problem(file: str, text: str, error: yaml.YAMLError) -> Problem:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    what = str(getattr(error, "problem", None) or getattr(error, "reason", None) or "this is not YAML")
    context = str(getattr(error, "context", None) or "")
    if mark is None:
        return Problem(file, 0, 0, "", what)
    line, column = mark.line, mark.column
    if conflict := _CONFLICT.search(text):
        what, hint = "a merge conflict begins here", "keep one side, and remove the lines with the markers"
        return Problem(file, text.count("\n", 0, conflict.start()) + 1, 1, "", what, hint)
    start = getattr(error, "context_mark", None)
    if start is not None and any(each in f"{context}: {what}" for each in _TOLD_LATE):
        line, column = start.line, start.column
    if "':'" in what or "mapping values" in what:
        for number in (line, line - 1):
            if found := _ODD_SPACE.search(_line(text, number)):
                message = f"U+{ord(found[1]):04X} looks like a space, and is none to YAML"
                return Problem(file, number + 1, found.start(1) + 1, "", message, "write a space after the colon")
    if _character(text, line, column - 1) + _character(text, line, column) == "${":
        message, hint = "a ${...} without quotes cannot stand in brackets", 'write it in quotes: "${...}"'
    else:
        message, hint = _in_our_words(what, context, _character(text, line, column), _operator(text, line, column))
        if "':'" in what and _CLOSE_COLON.match(_line(text, line), column):
            message, hint = "there is no space after the colon of this key", "write one"
    return Problem(file, line + 1, column + 1, "", message, hint)


_COMMA: Final = re.compile(r"[-+]?[0-9]+,[0-9]+")
_CLOSE_COLON: Final = re.compile(r"[\w.-]+:(?!//)")
_TOLD_LATE: Final = ("block scalar", "end of stream", "could not find expected ':'")
"""What is told where libyaml gives up, and begins earlier."""
_ODD_SPACE: Final = re.compile(r"""^[ ]*(?:-[ ]+)*[^\s:#"'{}\[\]]+:([^\S \t\r\n])""")
"""A key whose colon is followed by a space of another sort."""


def _line(text: str, number: int) -> str:
    """The line of this number, "" when there is none."""
    lines = text.split("\n", number + 1)
    return lines[number] if 0 <= number < len(lines) else ""


def _character(text: str, line: int, column: int) -> str:
    """The character at a position, "" when there is none."""
    return _line(text, line)[column : column + 1] if column >= 0 else ""


def _operator(text: str, line: int, column: int) -> str:
    """The operator that somebody wrote at a position: the character there, and an equals sign after it.

    "" where the key before it asks for something else.
    """
    before = text.split("\n", line + 1)[line][:column] if column > 0 else ""
    if not _ASKS_OPERATOR.search(before):
        return ""
    equals = "=" if _character(text, line, column + 1) == "=" else ""
    return _character(text, line, column) + equals


_ASKS_OPERATOR: Final = re.compile(r"""operator["']?[ ]*:[ ]*$""")


_COMPLAINTS: Final = (
    (
        "block scalar.*, operator [>|]$",
        "YAML reads an unquoted {character} as the start of a text",
        _quote_operator("{operator}"),
    ),
    (
        "block scalar.*, [>|]$",
        "YAML reads an unquoted {character} as the start of a text",
        "put the text in quotes, or begin it on the next line",
    ),
    (r"\t|tab", "there is a tab where YAML wants spaces", "indent with spaces"),
    ("cannot start any token, operator [>|]$", "{character} has a meaning in YAML", _quote_operator("{operator}")),
    (
        "cannot start any token, [>|]$",
        "a text that begins with {character} cannot stand in brackets",
        "put the text itself in quotes",
    ),
    ("cannot start any token", "a value cannot start with {character}", "put it in quotes"),
    (
        "mapping values are not allowed",
        "there is a colon where no key can be",
        "put a text that holds a colon in quotes, or mend the indentation",
    ),
    ("end of stream", "this quoted text never ends", "close the quotes"),
    ("flow node.*did not find expected", "a value, or a closing ] or }}, is missing before this", ""),
    ("flow sequence.*did not find expected", "a comma or the closing ] is missing before this", ""),
    ("flow.*did not find expected", "a comma or the closing }} is missing before this", ""),
    ("could not find expected ':'", "a colon is missing after this key", ""),
    ("an anchor", "{theirs}", "put a text that starts with & in quotes"),
    (
        "sequence entries are not allowed",
        "a list cannot begin here",
        "begin it on the next line, or put a text that starts with - in quotes",
    ),
    (
        "block collection",
        "this is no item of the list above",
        "mend the indentation: all items begin with - in one column",
    ),
    ("block mapping", "this is no key of the mapping above", "mend the indentation, or put the whole value in quotes"),
    ("escape|hexdecimal", "this backslash begins no escape that YAML knows", "put the text in single quotes"),
    ("document start", "there is something after the end of a document", "begin the next document with ---"),
    ("directive|incompatible", "{theirs}", "remove the line that starts with %"),
    ("block node", "a value cannot start with {character}", "put it in quotes"),
    ("alias", "{theirs}", "put a text that starts with * in quotes"),
    ("tag", "{theirs}", "put a text that starts with ! in quotes"),
    ("", "{theirs}", ""),
)
"""(pattern, message, hint) for "context: what, character" of libyaml's or PyYAML's scanner: the first that fits holds.

Their own words stay where we have no better ones.
"""


def _in_our_words(what: str, context: str, character: str, operator: str) -> tuple[str, str]:
    """(message, hint) for a complaint of libyaml's or PyYAML's scanner."""
    complaint = f"{context}: {what}, {'operator ' if operator else ''}{character}"
    message, hint = next(words for pattern, *words in _COMPLAINTS if re.search(pattern, complaint))
    words = {"character": character, "operator": operator, "theirs": f"{what} {context}".strip()}
    return message.format_map(words), hint.format_map(words)
