"""What an object that a create has made lacks of what is wanted by now.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.kind import AnyKind, named
from reconciler.model.plan import FieldChange
from reconciler.model.resource import Address, LiveObject
from reconciler.model.values import Fields, Json
from reconciler.planning.differ import field_changes


def lacking(
    kinds: Mapping[str, AnyKind],
    address: Address,
    wanted: Fields,
    live: LiveObject,
    applied: Fields,
    ids: Mapping[Address, str],
) -> tuple[FieldChange, ...]:
    """What separates ``live`` from what is wanted at ``address``.

    ``applied`` is what its create has sent, or what is wanted where nobody knows that: then what the vendor does not
    show is believed.  ``ids`` are those of what may be referred to.
    """
    kind = kinds[address.kind]
    there = {**live.fields, **_meant(kinds, address, wanted, live, ids)}
    return field_changes(kind, wanted, there, applied)


def _meant(
    kinds: Mapping[str, AnyKind], address: Address, wanted: Fields, live: LiveObject, ids: Mapping[Address, str]
) -> Fields:
    """The references of ``live`` in the words of the manifest, where they lead to what bears these names now."""
    found: Fields = {}
    for name, shape in kinds[address.kind].shapes.items():
        if shape.ref is None or name not in wanted or name not in live.fields:
            continue
        names = named(wanted[name], shape.ref.kind, address, kinds)
        now = {ids.get(each, each.name) for each in names}
        there = live.refs.get(name)
        if there is not None:
            found[name] = wanted[name] if set(there) == now else list[Json](sorted(there))
        elif _texts(live.fields[name]) in ({each.name for each in names}, now):
            found[name] = wanted[name]
    return found


def _texts(value: Json) -> set[str]:
    return set(map(str, value if isinstance(value, list) else [value]))
