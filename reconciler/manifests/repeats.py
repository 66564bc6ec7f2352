"""List items that are laid out like one before them, read without a YAML parser.  Pure.

A workspace repeats itself: tests that differ in a name, a limit and a sentence.  libyaml and what PyYAML makes of its
events take two thirds of the time of reading them, so only the first item of each layout goes there.  The others are
taken out of the text before it is parsed, one scalar left standing in for each (``Layouts.take_out``), and made from
what the parser made of the first (``Layout.make``), be it in this file or in another.

Why that is safe, whatever the text holds:

* A layout is everything of an item but the scalars after its keys, character by character, and those scalars are all
  of forms that end where their line ends, or the braces and brackets at its end begin.  So two items of one layout
  have one structure.
* Whether an item stands where a list item can stand, and not inside a text, is left to the parser: up to the first
  stand-in it sees what it would have seen, and a stand-in that it does not report as an item was no item.  So if it
  reports all of them, at the lines where they were put, and nothing is wrong, nothing else can have changed; otherwise
  the caller has the file read without this.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from msgspec import Struct, field

from reconciler.manifests.positions import LINE_BITS, Alike, Map, Seq, Spot
from reconciler.manifests.scalars import Refused, plain_value

STAND_IN: Final = "0"
"""What is left in the text for an item; unlike a quoted one, it lets no open text end."""

# An item of a block list: its first line, and all further ones that are indented more deeply, with blank ones and
# remarks between.
_BEGIN = re.compile(r"^( {0,40})- ", re.MULTILINE)
_FURTHER = r"(?: *(?:#[^\n]*)?\n)*{indent}  "
_ITEM = re.compile(r"( *)- [^\n]*\n(?:" + _FURTHER.format(indent=r"\1") + r"[^\n]*\n)*")

# A scalar that follows its key and ends with its line, or with the collection in braces or brackets that does: no
# comment, escape, tag or anchor.  What is in front of it on its line is the same in all items of a layout, so no item
# moves it.
_QUOTED = r"""(?:"[^"\\\n]*"|'[^'\n]*')(?=[\]}]*\n)"""
_BEGINS = r"-?[A-Za-z0-9_.+$/(<=~]"
_PLAIN = _BEGINS + r"[^\n:#]*(?::[^\s:#][^\n:#]*)*(?<![\s\]}])(?=\n)"
_IN_FLOW = _BEGINS + r"[^\n:#,{}\[\]]*(?<!\s)(?=[\]}]+\n)"
_SCALAR = f"({_QUOTED}|{_PLAIN}|{_IN_FLOW})"
_AFTER_KEY = ": "
_SCALARS = re.compile(_AFTER_KEY + _SCALAR)

# What may stand around these scalars: keys and dashes, blank lines, flow collections on one line.
_DASHES = r" *(?:- )*"
_KEY = _DASHES + r"[A-Za-z_][\w.-]*"
_LINES = rf"(?: *\n|{_KEY}:(?: [\[{{][^\n&*!]*[\]}}])?\n|{_DASHES}[\[{{][^\n&*!]*[\]}}]\n)*"
_INTO_FLOW = rf"(?:{_KEY}: |{_DASHES})[\[{{](?:\"[^\"\\\n]*\"|'[^'\n]*'|[^\n&*!#\"'\\])*"
_BEFORE_SCALAR = re.compile(rf"(?:[\]}}]+\n)?{_LINES}(?:{_KEY}|{_INTO_FLOW})", re.ASCII)
_AFTER_ALL = re.compile(rf"(?:[\]}}]+\n)?{_LINES}", re.ASCII)

_COMMON = 8
"""How many items make a layout common, so that it gets a pattern of its own, which takes 0.5 ms to compile."""
_TRIED = 8
"""How many common layouts are tried before an item is taken apart."""
_PATIENCE = 50
"""Repeats are given up once this many more layouts were new than repeated: looking on only takes time."""
_TRIES = 3
"""How many new layouts are tried in each file nevertheless."""
_MOST = 1000
"""Layouts that are kept; each holds the text of an item."""


class Step(Struct, frozen=True):
    """How one mapping or list of an item is made: ``of`` its ``keys``, which a list has not, and their values.

    ``pick`` takes the values from all of the item.  Places are distances from where the item's line begins.
    """

    of: type[Map | Seq]
    keys: tuple[str, ...] | None
    pick: Callable[[Sequence[Any]], Sequence[Any]]
    place: int
    places: tuple[int, ...]


class Layout(Struct, eq=False):
    """What some items have in common: ``around`` is their text before, between and after the scalars.

    ``places`` are those of the scalars, none when there is more to such items than we know; ``lines`` is how many an
    item takes, ``seen`` how often it was met.  ``first`` holds the scalars of the item from which it is learned,
    ``constants`` those that are the same in all items.  ``steps`` make the parts of an item, innermost first; the last
    one makes the item, in which ``varying`` keys hold a scalar, each the one of this number.
    """

    around: tuple[str, ...]
    places: list[int]
    lines: int
    seen: int = 0
    first: Sequence[Any] = ()
    constants: Sequence[Any] = ()
    steps: Sequence[Step] = ()
    varying: Mapping[str, int] = field(default_factory=dict)

    @property
    def is_known(self) -> bool:
        """Whether items can be made."""
        return bool(self.steps)

    def learn(self, first: Map | Seq, home: Spot) -> None:
        """Take over how the parser understood the first item, whose line begins at ``home``.

        Nothing is learned when a scalar is not where it looked to be, or not what, or when there is more to the item
        than the text of the layout.
        """
        parts = list(_inside_out(first))
        held = {
            spot - home: value
            for part in parts
            for value, spot in zip(_values(part), _value_spots(part), strict=True)
        }  # fmt: skip
        if max(held, default=0) >> LINE_BITS >= self.lines:
            return
        for place, scalar in zip(self.places, self.first, strict=True):
            if place not in held or type(held[place]) is not type(scalar) or held[place] != scalar:
                return
        constants = {
            place: value
            for place, value in held.items()
            if place not in self.places and not isinstance(value, (Map, Seq))
        }
        places = [*self.places, *constants, *(part.spot - home for part in parts)]
        number = {place: number for number, place in enumerate(places)}
        self.constants = list(constants.values())
        self.steps = [
            Step(
                Seq if isinstance(part, Seq) else Alike if part is first else Map,
                tuple(part) if isinstance(part, Map) else None,
                _pick([number[spot - home] for spot in _value_spots(part)]),
                part.spot - home,
                tuple(spot - home for spot in part.spots),
            )
            for part in parts
        ]
        if isinstance(first, Map):
            numbers = [number[spot - home] for spot in _value_spots(first)]
            self.varying = {key: each for key, each in zip(first, numbers, strict=True) if each < len(self.places)}

    def forget(self) -> None:
        """Undo ``learn``."""
        self.steps = ()

    def make(self, texts: Sequence[str], scalars: Sequence[Any], home: Spot) -> Map | Seq:
        """The item with these scalars, which are written like this, whose line begins at ``home``."""
        values = [*scalars, *self.constants]
        part: Map | Seq
        for step in self.steps:
            picked = step.pick(values)
            part = step.of(picked if step.keys is None else zip(step.keys, picked))  # noqa: B905 - as many, by design
            part.spot, part.home, part.places = home + step.place, home, step.places
            values.append(part)
        if isinstance(part, Alike):
            part.layout, part.below, part.texts, part.varying = self, None, texts, self.varying
        return part


class Repeats(Struct):
    """A text without its repeated items.

    ``firsts`` are the layouts to be learned, by the place of an item that has one; ``items`` tells of each stand-in, by
    its place, which item it stands for: the layout, the texts of the scalars, and the scalars.
    """

    text: str
    firsts: dict[int, Layout] = field(default_factory=dict)
    items: dict[int, tuple[Layout, Sequence[str], list[Any]]] = field(default_factory=dict)


_Found = tuple[Layout, Sequence[str], int]
"""The layout of an item, the texts of its scalars, and where it ends."""


class Layouts:
    """All layouts that were met, in one file or in many."""

    def __init__(self) -> None:
        self._by_text: dict[tuple[str, ...], Layout] = {}
        self._common: list[tuple[re.Pattern[str], Layout]] = []
        self._patience = _PATIENCE

    def take_out(self, text: str) -> Repeats:
        """Leave a stand-in for each item that is laid out like an earlier one; every line stays where it is.

        ``text`` is what the loader lets through: no carriage returns, no characters that nobody can see.
        """
        repeats = Repeats(text)
        waiting: set[tuple[str, ...]] = set()  # layouts that will be learned from this text
        meanings: dict[str, Any] = {}
        kept: list[str] = []
        done = position = line = 0
        tries = _TRIES
        while (self._patience > 0 or tries > 0) and (begin := _BEGIN.search(text, position)):
            start, indent = begin.start(), begin[1]
            line += text.count("\n", position, start)
            place = (line << LINE_BITS) + begin.end() - start
            found = self._recognized(text, start) or self._taken_apart(text, start)
            if found is None:
                break  # the last line of the file, without an end
            layout, texts, position = found
            line += layout.lines
            repeated = layout.seen > 0 and bool(layout.places)
            layout.seen += 1
            self._patience += 1 if repeated else -1
            tries -= not repeated
            if layout.seen == _COMMON and layout.places and len(self._common) < _TRIED:
                self._common.append((_pattern(layout, indent), layout))
            scalars = _meanings(texts, meanings) if layout.places else None
            if scalars is None:
                continue
            if layout.is_known or layout.around in waiting:
                repeats.items[place] = layout, texts, scalars
                kept += (text[done:start], indent, "- ", STAND_IN, "\n" * layout.lines)
                done = position
            else:
                waiting.add(layout.around)
                layout.first = scalars
                repeats.firsts[place] = layout
        repeats.text = "".join((*kept, text[done:]))
        return repeats

    def _recognized(self, text: str, start: int) -> _Found | None:
        for pattern, layout in self._common:
            if match := pattern.match(text, start):
                return layout, match.groups(), match.end()
        return None

    def _taken_apart(self, text: str, start: int) -> _Found | None:
        if match := _ITEM.match(text, start):
            parts = _SCALARS.split(match[0])
            around = tuple(parts[::2])
            layout = self._by_text.get(around) or _layout(around)
            if len(self._by_text) < _MOST:
                self._by_text[around] = layout
            elif not layout.seen:
                layout.places = []  # there is no room for what would be learned
            return layout, parts[1::2], match.end()
        return None


def _pattern(layout: Layout, indent: str) -> re.Pattern[str]:
    """Matches the items of a layout: all of an item, as ``_ITEM`` does."""
    nothing_further = f"(?!{_FURTHER.format(indent=indent)})"
    return re.compile((_AFTER_KEY + _SCALAR).join(map(re.escape, layout.around)) + nothing_further)


def _meanings(texts: Sequence[str], known: dict[str, Any]) -> list[Any] | None:
    """What scalars mean; None when one of them is refused."""
    meanings = []
    for text in texts:
        if text not in known:
            try:
                known[text] = text[1:-1] if text[0] in "\"'" else plain_value(text)
            except Refused:
                return None
        meanings.append(known[text])
    return meanings


def _layout(around: tuple[str, ...]) -> Layout:
    *before, after = around
    is_known = all(map(_BEFORE_SCALAR.fullmatch, before)) and _AFTER_ALL.fullmatch(after)
    places: list[int] = []
    line = 0
    for text in before:
        line += text.count("\n")
        places.append((line << LINE_BITS) + len(text) - text.rfind("\n") - 1 + len(_AFTER_KEY))
    return Layout(around, places if is_known else [], line + after.count("\n"))


def _inside_out(part: Map | Seq) -> Iterator[Map | Seq]:
    """Every mapping and list in a value, then the value."""
    for value in _values(part):
        if isinstance(value, (Map, Seq)):
            yield from _inside_out(value)
    yield part


def _values(part: Map | Seq) -> Iterable[Any]:
    return part.values() if isinstance(part, Map) else part


def _value_spots(part: Map | Seq) -> Sequence[Spot]:
    return part.spots[1::2] if isinstance(part, Map) else part.spots


def _pick(numbers: list[int]) -> Callable[[Sequence[Any]], Sequence[Any]]:
    """``itemgetter`` for any number of items: a single one comes as a tuple, too."""
    if len(numbers) > 1:
        return itemgetter(*numbers)
    return itemgetter(slice(numbers[0], numbers[0] + 1) if numbers else slice(0))
