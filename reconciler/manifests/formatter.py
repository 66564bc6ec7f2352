"""Turn a manifest into the same manifest in canonical form: comments stay where they belong.  Pure.

Two spaces, lists indented under their key, double quotes where quotes are needed, operators always quoted, at most one
empty line in a row.  Lists and mappings in brackets stay on their line when they stood on one.  Written over the
parser's events with their positions: a comment is whatever stands between two of them.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import zip_longest
from typing import Any, Final

import yaml
from msgspec import Struct, field
from yaml.events import (
    AliasEvent,
    DocumentStartEvent,
    MappingEndEvent,
    MappingStartEvent,
    ScalarEvent,
    SequenceEndEvent,
    SequenceStartEvent,
)

from reconciler.errors import ManifestsInvalid, Problem
from reconciler.manifests.loader import Parsed, read
from reconciler.manifests.positions import Map, Seq, Spot, unpack
from reconciler.manifests.repeats import Layouts
from reconciler.manifests.scalars import plain_value
from reconciler.manifests.writer import key_text, quoted_text, scalar_text

FLOW_WIDTH: Final = 120
"""A bracketed list or mapping that would make its line longer than this is written in lines of its own."""


def fmt(text: str, file: str = "manifest.yaml") -> str:
    """The canonical form of ``text``; formatting it again changes nothing.

    Raises ManifestsInvalid when it cannot be read, or when something in it has no canonical form (then nothing
    should be written).
    """
    text = text.removeprefix("\ufeff").replace("\r\n", "\n").rstrip("\n") + "\n"
    before = read(text, file, layouts=Layouts())
    if before.problems:
        raise ManifestsInvalid(before.problems)
    source = _Source(text)
    printer = _Printer(source)
    try:
        formatted = "\n".join(printer.printed()).strip("\n") + "\n"
        _check(before, source, formatted, printer)
    except _Formless as error:
        place = (error.line + 1, error.column + 1)
        raise ManifestsInvalid([Problem(file, *place, "", "this has no canonical form", error.hint)]) from error
    return formatted if formatted.strip() else ""


def comment_lines(text: str) -> list[int]:
    """The lines, from 1, that hold a comment; the text is one that can be read."""
    return [comment.line + 1 for comment in _Source(text.removeprefix("\ufeff").replace("\r\n", "\n")).comments]


class _Formless(Exception):
    """What stands at this place, counted from 0, cannot be written in canonical form."""

    def __init__(self, line: int, column: int, hint: str = "write it in a plainer way") -> None:
        super().__init__(line, column)
        self.line, self.column, self.hint = line, column, hint


def _check(before: Parsed, source: _Source, formatted: str, printer: _Printer) -> None:
    """Raise _Formless, with its place in the source, for the first thing that does not come out alike."""
    after = read(formatted, before.file, layouts=Layouts())
    if after.problems:
        raise _Formless(printer.line_before(min(problem.line for problem in after.problems) - 1), 0)
    comments = [each.text for each in _Source(formatted).comments]
    for comment, found in zip_longest(source.comments, comments):
        if comment is not None and comment.text != found:
            raise _Formless(comment.line, comment.column, "move the comment above the key, to a line of its own")
    for (one, spot), (other, _) in zip_longest(before.documents, after.documents, fillvalue=(None, 0)):
        place = _difference(one, spot, other)
        if place is not None:
            _, line, column = unpack(place)
            raise _Formless(line - 1, column - 1)


def _difference(one: Any, spot: Spot, other: Any) -> Spot | None:
    """Where the first is not the second, with ``true`` told from ``1`` and one order of keys from another."""
    if type(one) is not type(other):
        return spot
    inside: Iterable[tuple[Any, Spot, Any]]
    if isinstance(one, Map):
        if list(one) != list(other):
            return spot
        inside = ((value, value_spot, other[key]) for key, (value, _, value_spot) in one.entries().items())
    elif isinstance(one, Seq):
        if len(one) != len(other):
            return spot
        inside = zip(one, one.spots, other, strict=True)
    else:
        return None if one == other else spot
    return next((place for each in inside if (place := _difference(*each)) is not None), None)


# ------------------------------------------------------------------------------------------------ source


class _Comment(Struct, frozen=True):
    """A comment.  ``beside`` says that something else stands before it on its line."""

    line: int
    column: int
    text: str
    beside: bool


class _Leaf(Struct, frozen=True):
    """A scalar or an alias: its text in one line, or the lines of a block scalar."""

    event: Any
    line: int
    column: int


class _Branch(Struct):
    """A mapping (keys and values in turn) or a list.  ``anchor`` is its ``&name``, or empty."""

    is_map: bool
    in_brackets: bool
    line: int
    column: int
    end_line: int = 0
    anchor: str = ""
    children: list[_Leaf | _Branch] = field(default_factory=list)


class _Tree(Struct, frozen=True):
    """One document, and the line of its ``---``."""

    root: _Leaf | _Branch
    document_line: int


def _is_nothing(node: _Leaf | _Branch) -> bool:
    """An empty document."""
    return (
        isinstance(node, _Leaf)
        and isinstance(node.event, ScalarEvent)
        and not node.event.value
        and node.event.implicit[0]
    )


class _Source:
    """The text, its trees, its comments, and which lines are empty."""

    def __init__(self, text: str) -> None:
        self.lines = text.split("\n")
        self.events: list[Any] = list(yaml.parse(text, Loader=_Loader))
        self.comments = list(self._find_comments())
        self.trees = list(self._trees())

    def _find_comments(self) -> Iterator[_Comment]:
        """Every ``#`` outside of scalars that begins a line or follows a space."""
        taken = self._taken_by_scalars()
        for number, line in enumerate(self.lines):
            for found in re.finditer(r"(?:^|(?<=[\s]))#", line):
                if not any(start <= found.start() < end for start, end in taken.get(number, ())):
                    before = line[: found.start()]
                    yield _Comment(number, found.start(), line[found.start() :].rstrip(), bool(before.strip(" -")))
                    break

    def _taken_by_scalars(self) -> dict[int, list[tuple[int, int]]]:
        """Line -> the columns that scalars fill."""
        taken: dict[int, list[tuple[int, int]]] = {}
        for event in self.events:
            if event.__class__ is ScalarEvent:
                start: Any = event.start_mark
                end: Any = event.end_mark
                for line in range(start.line, end.line + 1):
                    first = start.column if line == start.line else 0
                    last = end.column if line == end.line else len(self.lines[line]) + 1
                    taken.setdefault(line, []).append((first, last))
        return taken

    def _trees(self) -> Iterator[_Tree]:
        """The documents that hold anything."""
        stack: list[_Branch] = []
        document_line = 0
        for event in self.events:
            mark = event.start_mark
            if event.__class__ in (ScalarEvent, AliasEvent):
                node: _Leaf | _Branch = _Leaf(event, mark.line, mark.column)
            elif event.__class__ in (MappingStartEvent, SequenceStartEvent):
                stack.append(self._branch(event))
                continue
            elif event.__class__ in (MappingEndEvent, SequenceEndEvent):
                node = stack.pop()
                node.end_line = mark.line
            else:
                document_line = mark.line if event.__class__ is DocumentStartEvent else document_line
                continue
            if stack:
                stack[-1].children.append(node)
            elif not _is_nothing(node):
                yield _Tree(node, document_line)

    def _branch(self, event: Any) -> _Branch:
        mark = event.start_mark
        anchor = f"&{event.anchor}" if event.anchor else ""
        return _Branch(
            isinstance(event, MappingStartEvent), bool(event.flow_style), mark.line, mark.column, anchor=anchor
        )

    def is_blank(self, line: int) -> bool:
        """Whether a line of this number is there and empty."""
        return 0 <= line < len(self.lines) and not self.lines[line].strip()


_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


# ----------------------------------------------------------------------------------------------- printer


class _Printer:
    """Prints the trees of a source in order, and each comment before whatever followed it."""

    def __init__(self, source: _Source) -> None:
        self.source = source
        self.out: list[str] = []
        self.pending = list(reversed(source.comments))
        self.open: list[tuple[int, int]] = []
        """(column in the source, column now) of the blocks around what is printed next, outermost first."""
        self.begun: list[tuple[int, int]] = []
        """(line now, line in the source) of each entry and item."""
        self.last_open: list[tuple[int, int]] = []
        """The same for what was printed last: a comment may end one of these."""

    def printed(self) -> list[str]:
        """The lines."""
        for number, tree in enumerate(self.source.trees):
            if number:
                self._flush(tree.document_line, 0, 0, 0)
                self.out.append("---")
            self.open = []
            self._node(tree.root, -2, "")
        self._flush(len(self.source.lines), 0, 0, 0)
        return self.out

    def line_before(self, line: int) -> int:
        """The line in the source, from 0, of the entry or item that a printed line belongs to."""
        return max((source for now, source in self.begun if now <= line), default=0)

    # -------------------------------------------------------------------------------------- comments

    def _flush(self, line: int, column: int, was: int | None, now: int) -> None:
        """Print the comments before a place in the source, and an empty line where there was one or more.

        What comes next stood in column ``was`` and will stand in column ``now``; None in brackets, where columns say
        nothing, and a comment belongs to what follows.
        """
        while self.pending and (self.pending[-1].line, self.pending[-1].column) < (line, column):
            comment = self.pending.pop()
            if comment.beside and self.out and self.out[-1] and not self.out[-1].lstrip().startswith("#"):
                gap = max(2, comment.column - len(self.out[-1]))
                self.out[-1] += " " * gap + comment.text
                continue
            self._blank_before(comment.line)
            is_item = re.match(r"# ?- ", comment.text)  # commented out: it belongs to the list before it
            follows = was is None or (comment.column == was and not is_item)
            column_now = now if follows else self._aligned(comment)
            self.out.append(" " * column_now + comment.text)
        self._blank_before(line)

    def _blank_before(self, line: int) -> None:
        if self.source.is_blank(line - 1) and self.out and self.out[-1] and line < len(self.source.lines):
            self.out.append("")

    def _aligned(self, comment: _Comment) -> int:
        """Where a comment goes that is not aligned with what follows: along with the block that it ends."""
        around = [pair for pair in {*self.open, *self.last_open} if pair[0] <= comment.column]
        return max(around, default=(0, 0))[1]

    # ----------------------------------------------------------------------------------------- nodes

    def _node(self, node: _Leaf | _Branch, indent: int, begun: str) -> None:
        """Print a node.  ``begun`` is the line so far: a key with its colon, dashes, or nothing.

        ``indent`` is the column of the key or dash; what goes on lines of its own is indented by two more.
        """
        if isinstance(node, _Leaf):
            self._leaf(node, indent, begun)
        elif node.in_brackets and self._fits(node, begun):
            self._line(begun, _in_brackets(node))
        elif node.is_map:
            self._map(node, indent + 2, begun)
        else:
            self._list(node, indent + 2, begun)

    def _line(self, begun: str, text: str) -> None:
        self.out.append(f"{begun} {text}" if begun.endswith(":") else begun + text)
        self.last_open = list(self.open)

    def _fits(self, node: _Branch, begun: str) -> bool:
        if not node.children:
            return True
        return node.line == node.end_line and len(begun) + 1 + len(_in_brackets(node)) <= FLOW_WIDTH

    def _start(self, node: _Branch, begun: str) -> str:
        """Finish the line of a key or anchor, and hand back what the first line of the block begins with."""
        if node.anchor:
            self._line(begun, node.anchor)
            return ""
        if begun.endswith(":"):
            self._line(begun[:-1], ":")
            return ""
        return begun

    def _map(self, node: _Branch, indent: int, begun: str) -> None:
        begun = self._start(node, begun)
        self.open.append((node.column, indent))
        for number in range(0, len(node.children), 2):
            key, value = node.children[number : number + 2]
            assert isinstance(key, _Leaf)
            head = begun if begun and number == 0 else " " * indent
            self._before(key, node, head)
            self._node(value, indent, f"{head}{_key(key)}:")
        self._end(node, indent)

    def _list(self, node: _Branch, indent: int, begun: str) -> None:
        begun = self._start(node, begun)
        self.open.append((node.column, indent))
        for number, item in enumerate(node.children):
            head = begun if begun and number == 0 else " " * indent
            self._before(item, node, head)
            self._node(item, indent, f"{head}- ")
        self._end(node, indent)

    def _before(self, child: _Leaf | _Branch, node: _Branch, head: str) -> None:
        """Print what stands before an entry or item of a block, whose line will begin with ``head``."""
        _, indent = self.open[-1]
        if node.in_brackets:
            self._flush(child.line, child.column, None, _leading(head))
        else:
            self._flush(child.line, child.column, node.column, indent)
        self.begun.append((len(self.out), child.line))

    def _end(self, node: _Branch, indent: int) -> None:
        """Print the comments before a closing bracket, and leave the block."""
        if node.in_brackets and self.pending and self.pending[-1].line < node.end_line:
            self._flush(node.end_line, 0, None, indent)
        self.open.pop()

    def _leaf(self, leaf: _Leaf, indent: int, begun: str) -> None:
        event = leaf.event
        if not isinstance(event, ScalarEvent) or event.style not in ("|", ">"):
            self._line(begun, _in_one_line(leaf))
            return
        header, body = self._block_scalar(event)
        self._line(begun, (f"&{event.anchor} " if event.anchor else "") + header)
        self.out += [f"{' ' * (indent + 2)}{line}" if line.strip() else "" for line in body]

    def _block_scalar(self, event: Any) -> tuple[str, list[str]]:
        """(header with its comment, lines without their indentation) of a literal or folded text."""
        lines = self.source.lines
        first = lines[event.start_mark.line]
        start = first.find(event.style, event.start_mark.column)
        if start < 0 or "#" in first[event.start_mark.column : start]:  # its anchor stands on a line of its own
            raise _Formless(event.start_mark.line, event.start_mark.column, "write the anchor beside the text")
        header = first[start:].rstrip()
        body = lines[event.start_mark.line + 1 : event.end_mark.line]
        while body and not body[-1].strip() and "+" not in header.partition("#")[0]:
            body.pop()
        deepest = next((_leading(line) for line in body if line.strip()), 0)
        kept = next((_leading(line) for line in event.value.split("\n") if line.strip()), 0)
        marks, hash_sign, comment = header.partition("#")
        marks = re.sub("[0-9]", "", marks)
        if kept:
            marks = f"{marks[0]}2{marks[1:]}"
        return marks + hash_sign + comment, [line[deepest - kept :] for line in body]


def _leading(line: str) -> int:
    return len(line) - len(line.lstrip(" "))


def _in_one_line(leaf: _Leaf, *, in_flow: bool = False) -> str:
    event = leaf.event
    if not isinstance(event, ScalarEvent):
        return f"*{event.anchor}"
    anchor = f"&{event.anchor} " if event.anchor else ""
    if not event.implicit[0]:
        return anchor + quoted_text(event.value)
    value = plain_value(event.value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return anchor + event.value  # 0.90 stays 0.90
    return anchor + scalar_text(value, in_flow=in_flow)


def _key(leaf: _Leaf) -> str:
    event = leaf.event
    if not isinstance(event, ScalarEvent):
        return f"*{event.anchor} "  # a colon may be a part of the name
    return (f"&{event.anchor} " if event.anchor else "") + key_text(event.value)


def _in_brackets(node: _Leaf | _Branch) -> str:
    """A node on one line."""
    if isinstance(node, _Leaf):
        return _in_one_line(node, in_flow=True)
    parts = [_in_brackets(child) for child in node.children]
    anchor = f"{node.anchor} " if node.anchor else ""
    if not node.is_map:
        return f"{anchor}[{', '.join(parts)}]"
    keys = [_key(child) for child in node.children[::2] if isinstance(child, _Leaf)]
    pairs = [f"{key}: {value}" for key, value in zip(keys, parts[1::2], strict=True)]
    return f"{anchor}{{{', '.join(pairs)}}}"
