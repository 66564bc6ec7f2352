"""Data that remembers where in its file every key and value stood.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final, Self

Spot = int
"""Where something stands: number of the file, line and column from 0, packed into one integer.

A tuple each would cost a 10,000-test manifest 60 MB and the garbage collector a walk over a million objects.
"""

LINE_BITS: Final = 23
FILE_BITS: Final = 46
COLUMN_MASK: Final = (1 << LINE_BITS) - 1
_LINE_MASK = COLUMN_MASK
_FEW: Final = 32
"""Keys that are counted off quickly enough each time."""


def unpack(spot: Spot) -> tuple[int, int, int]:
    """(number of the file, line from 1, column from 1)."""
    return spot >> FILE_BITS, (spot >> LINE_BITS & _LINE_MASK) + 1, (spot & COLUMN_MASK) + 1


def file_of(spot: Spot) -> int:
    """The number of the file."""
    return spot >> FILE_BITS


def line_of(spot: Spot) -> int:
    """The line, from 1."""
    return (spot >> LINE_BITS & _LINE_MASK) + 1


def lines_below(home: Spot, spots: Iterable[Spot]) -> list[int | None]:
    """How many lines below ``home`` each spot is; minus its own line when it is above, None when in another file."""
    start = home & ~COLUMN_MASK
    below = [spot - start >> LINE_BITS for spot in spots]
    if min(below, default=0) >= 0 and max(below, default=0) <= _LINE_MASK:
        return list(below)
    number = file_of(home)
    return [
        None if file_of(spot) != number else lines if lines >= 0 else -line_of(spot)
        for spot, lines in zip(spots, below, strict=True)
    ]


class _Placed:
    """Remembers where it stands and where its parts do.

    Parts stand at ``places`` from ``home``: items of a list that are laid out alike have one tuple of places together.
    """

    __slots__ = ()

    spot: Spot
    home: Spot
    places: Sequence[int]

    @property
    def spots(self) -> Sequence[Spot]:
        """Where the parts stand."""
        home = self.home
        return [home + place for place in self.places] if home else self.places


class Map(dict[str, Any], _Placed):
    """A mapping.  ``spot`` is its own; ``spots`` holds those of each key and value, in the order of the keys.

    ``numbers`` are those of the keys, kept where there are more than ``_FEW`` once one was asked for.
    """

    __slots__ = ("home", "numbers", "places", "spot")

    numbers: Mapping[str, int]

    @classmethod
    def of(cls, spot: Spot, entries: Mapping[str, tuple[Any, Spot, Spot]]) -> Self:
        """Made from key -> (value, spot of the key, spot of the value)."""
        made = cls((key, entry[0]) for key, entry in entries.items())
        made.spot, made.home = spot, 0
        made.places = [each for entry in entries.values() for each in entry[1:]]
        return made

    def entries(self) -> dict[str, tuple[Any, Spot, Spot]]:
        """The inverse of ``of``: key -> (value, spot of the key, spot of the value)."""
        spots = self.spots
        return {
            key: (value, spots[2 * index], spots[2 * index + 1]) for index, (key, value) in enumerate(self.items())
        }  # fmt: skip

    def key_spot(self, key: str) -> Spot:
        """Where the key stands; the mapping itself when it has no such key."""
        return self.home + self.places[2 * self._number(key)] if key in self else self.spot

    def value_spot(self, key: str) -> Spot:
        """Where the value of the key stands; the mapping itself when it has no such key."""
        return self.home + self.places[2 * self._number(key) + 1] if key in self else self.spot

    def _number(self, key: str) -> int:
        """Which of the keys this is, from 0."""
        if len(self) <= _FEW:
            return list(self).index(key)
        if len(getattr(self, "numbers", ())) != len(self):
            self.numbers = {each: number for number, each in enumerate(self)}
        return self.numbers[key]


class Alike(Map):
    """A mapping that was made from a layout: two of one layout differ in nothing but what their ``texts`` mean.

    ``layout`` and the defaults ``below`` are compared by identity.  ``varying`` are the keys that hold a scalar which
    may differ, with the number of its text.
    """

    __slots__ = ("below", "layout", "texts", "varying")

    layout: object
    below: Map | None
    texts: Sequence[str]
    varying: Mapping[str, int]


class Seq(list[Any], _Placed):
    """A list.  ``spot`` is its own; ``spots`` holds those of its items."""

    __slots__ = ("home", "places", "spot")

    @classmethod
    def of(cls, spot: Spot, items: list[tuple[Any, Spot]]) -> Seq:
        """Made from (item, spot of the item)."""
        made = cls(item for item, _ in items)
        made.spot, made.home = spot, 0
        made.places = [each for _, each in items]
        return made

    def item_spot(self, index: int) -> Spot:
        """Where an item stands."""
        return self.home + self.places[index]


def leaves(value: Any, spot: Spot) -> list[tuple[str, Spot]]:
    """(dotted path, spot) of every value inside that holds no others; of ``value`` itself where that holds none."""
    found: list[tuple[str, Spot]] = []
    if isinstance(value, (Map, Seq)) and value:
        _add_leaves(value, "", found)
    else:
        found.append(("", spot))
    return found


def _add_leaves(holder: Map | Seq, before: str, found: list[tuple[str, Spot]]) -> None:
    spots = holder.spots[1::2] if isinstance(holder, Map) else holder.spots
    inside = holder.items() if isinstance(holder, Map) else enumerate(holder)
    for (key, inner), at in zip(inside, spots, strict=True):
        if isinstance(inner, (Map, Seq)) and inner:
            _add_leaves(inner, f"{before}{key}.", found)
        else:
            found.append((f"{before}{key}", at))
