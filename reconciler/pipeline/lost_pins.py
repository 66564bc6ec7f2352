"""Which pins the thresholds of the manifests would not keep, as far as they tell without a platform.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.errors import Problem
from reconciler.model.kind import LookUp
from reconciler.model.neighbourhood import Neighbourhood
from reconciler.model.resource import Desired, LiveObject, Pin
from reconciler.planning.pins import broken
from reconciler.providers import KINDS


def judgeable(desired: Desired) -> tuple[Pin, ...]:
    """The pins that the manifests are enough for: what is better of some metrics only the platform knows."""

    def is_told(pin: Pin) -> bool:
        resource, asked = desired.resources.get(pin.address), Asked(Neighbourhood({}, KINDS, pin.address))
        KINDS[pin.address.kind].criteria(resource.fields if resource else {}, asked)
        return not asked.in_vain

    return tuple(pin for pin in desired.pins if is_told(pin))


def lost_pins(desired: Desired) -> Iterator[Problem]:
    """What is wrong with the pins, as far as the manifests tell."""
    for pin in judgeable(desired):
        resource, kind = desired.resources.get(pin.address), KINDS[pin.address.kind]
        if resource is None:
            continue  # only a part of the manifests is looked at
        criteria = kind.criteria(resource.fields, Neighbourhood({}, KINDS, pin.address))
        found = broken(pin, resource, kind, criteria)
        if found is not None:
            what, hint = found
            yield Problem(pin.source.file, pin.source.line, pin.source.column, "", f"pin {pin.name}: {what}", hint)


class Asked:
    """A look-up that notes whether something was asked for that is not there."""

    def __init__(self, find: LookUp) -> None:
        self._find, self.in_vain = find, False

    def __call__(self, kind_id: str, name: str) -> LiveObject | None:
        """See ``LookUp``."""
        found = self._find(kind_id, name)
        self.in_vain = self.in_vain or found is None
        return found

    def names(self, kind_id: str) -> list[str]:
        """See ``LookUp``: who wants all names there are cannot be answered here."""
        self.in_vain = True
        return self._find.names(kind_id)
