"""Which values of a resource were decided elsewhere: by a variable, a parameter or an override.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, field

from reconciler.manifests.overrides import Overrides
from reconciler.manifests.positions import Alike, Map, Spot, leaves, unpack
from reconciler.manifests.problems import Problems
from reconciler.model.resource import Source, ValueSource


class ValueSources(Struct):
    """Looks up where values come from; the others cost nothing.

    ``references`` are those of the scope: where a text with references stands -> name -> where that has its value.
    """

    references: Mapping[Spot, Mapping[str, Spot]]
    overrides: Overrides
    problems: Problems
    defaults: dict[int, tuple[Map, bool]] = field(default_factory=dict)
    made: dict[tuple[str, str, Spot], ValueSource] = field(default_factory=dict)

    def of(self, data: Map, *, is_overridden: bool) -> tuple[ValueSource, ...]:
        """What decided the values of a resource that are not spelled out where they stand."""
        return tuple(self._found(data)) if is_overridden or self._may_refer(data) else ()

    def _may_refer(self, data: Map) -> bool:
        """Whether there may be a reference: what was made from a layout has none of its own, but perhaps defaults."""
        if not self.references or not isinstance(data, Alike):
            return bool(self.references)
        return data.below is not None and self._refers(data.below)

    def _refers(self, below: Map) -> bool:
        known = self.defaults.get(id(below))
        if known is None:
            known = below, any(spot in self.references for _, spot in leaves(below, below.spot))
            self.defaults[id(below)] = known
        return known[1]

    def _found(self, data: Map) -> Iterator[ValueSource]:
        overridden, references = self.overrides.spots, self.references
        for path, spot in leaves(data, data.spot):
            if spot in overridden:
                yield self._at(path, "override", spot)
            if spot in references:
                yield from (self._at(path, name, place) for name, place in references[spot].items())

    def _at(self, path: str, what: str, spot: Spot) -> ValueSource:
        """One object serves all that have a value in the same field from the same place."""
        key = path, what, spot
        if key not in self.made:
            number, line, column = unpack(spot)
            self.made[key] = ValueSource(path, what, Source(self.problems.files[number].file, line, column))
        return self.made[key]
