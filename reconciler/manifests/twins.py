"""What items mean, kept for those that differ in prose only: they need not be validated again.  Pure.

A workspace repeats itself in more than its layout: most tests have the limits, the windows and the severity of many
others, under a name and a sentence of their own.  No rule looks at such texts (``Mark.PROSE``), so what was found out
about one item of a layout holds for all that spell the rest as it does.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from msgspec import Struct, field

from reconciler.manifests.positions import Alike, Map
from reconciler.model.kind import AnyKind
from reconciler.model.resource import NO_SECRETS, Gate
from reconciler.model.secrecy import Secrets
from reconciler.model.spec import Spec
from reconciler.model.values import Fields

_MOST: Final = 1000
"""Meanings that are kept; each holds a validated model."""


class Meaning(Struct, frozen=True):
    """What an item means.  ``lines``, ``secrets``: see ``Resource``."""

    spec: Spec
    fields: Fields
    gate: Gate
    lookup: bool
    is_enabled: bool
    lines: Mapping[str, int]
    secrets: Secrets = NO_SECRETS


class Family(Struct):
    """Items of one kind and one layout, over the same defaults (``below``), by how their scalars are spelled.

    ``prose`` are the keys of those that do not matter, ``pick`` takes the others.
    """

    prose: Sequence[str]
    pick: Callable[[Sequence[str]], Any]
    below: Map | None
    known: dict[Any, Meaning] = field(default_factory=dict)

    def meaning_of(self, data: Alike) -> Meaning | None:
        """What an item means, its lines apart; None where no twin of it is known."""
        known = self.known.get(self.pick(data.texts))
        if known is None:
            return None
        fields = known.fields.copy()
        for name in self.prose:
            text = data[name]
            if type(text) is not str or not text:
                return None
            fields[name] = text
        return Meaning(known.spec, fields, known.gate, known.lookup, known.is_enabled, known.lines, known.secrets)


class Twins:
    """All families that were met."""

    def __init__(self) -> None:
        self._families: dict[tuple[str, object, int], Family] = {}
        self._room = _MOST

    def family_of(self, kind: AnyKind, data: Alike) -> Family:
        """The family of an item."""
        key = kind.id, data.layout, id(data.below)
        family = self._families.get(key)
        if family is None:
            prose = [key for key in data.varying if key in kind.prose]
            free = {data.varying[key] for key in prose}
            matters = [number for number in range(len(data.texts)) if number not in free]
            family = self._families[key] = Family(prose, itemgetter(*matters) if matters else len, data.below)
        return family

    def remember(self, family: Family, data: Alike, meaning: Meaning) -> None:
        """Keep what a sound item means, of which no rule has anything to say, while there is room."""
        if self._room > 0:
            self._room -= 1
            family.known[family.pick(data.texts)] = meaning
