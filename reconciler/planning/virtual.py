"""What becomes of resources that are no objects at the platform, such as runs: what they measure, their gates.  Pure.

No step tells of them.  What an apply has settled of each stands in the state, and is compared with what is declared; of
one that does not stand there, nothing is said.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct, convert
from msgspec.structs import replace

from reconciler.errors import StateUnreadable
from reconciler.model.checkout import from_top
from reconciler.model.kind import AnyKind
from reconciler.model.neighbourhood import Neighbourhood
from reconciler.model.plan import Effect, LifecycleChange, deciding
from reconciler.model.resource import Address, Desired, Gate, Resource
from reconciler.model.secrecy import masked
from reconciler.model.state import gate_to_json
from reconciler.model.values import Fields, Json
from reconciler.planning.differ import same
from reconciler.planning.effects import scope_effect
from reconciler.planning.gating import gate_changes

Kinds = Mapping[str, AnyKind]


class Virtual(Struct, frozen=True):
    """One that is declared, or was.  ``former`` is where the state has it, None where it has nothing of it."""

    address: Address
    former: Address | None
    resource: Resource | None
    changes: tuple[LifecycleChange, ...] = ()


def as_settled(resource: Resource, home: str) -> Fields:
    """What the state keeps of one that manifests declare which were read at ``home``."""
    source = from_top(home, resource.source.file)
    return {"fields": dict(resource.fields), "gate": gate_to_json(resource.gate), "source": source}


def virtuals(
    desired: Desired, settled: Mapping[Address, Fields], kinds: Kinds, followed: Mapping[Address, Address]
) -> Iterator[Virtual]:
    """All that are declared, with what has changed since they were ``settled``; then those that are gone.

    ``followed`` leads from the name of a root to its former one, where somebody renamed it at the platform.
    """
    found = set[Address | None]()
    for resource in desired:
        kind = kinds[resource.address.kind]
        if kind.virtual:
            former = next((each for each in _names(resource, desired, kind, followed) if each in settled), None)
            changes = tuple(_changes(resource, settled[former], desired, kind, kinds)) if former else ()
            found.add(former)
            yield Virtual(resource.address, former, resource, changes)
    for address in sorted(settled.keys() - found):
        if address.kind in kinds:
            yield Virtual(address, address, None, tuple(_gone(address, settled[address], kinds[address.kind])))


def _names(
    resource: Resource, desired: Desired, kind: AnyKind, followed: Mapping[Address, Address]
) -> Iterator[Address]:
    """The addresses that it may have in the state: its own or former name, in a root of its own or former name."""
    parent = kind.parent_of(resource.address)
    root = desired.resources.get(parent) if parent is not None else None
    homes = (parent, *(root.renamed_from if root else ()), followed.get(parent) if parent else None)
    for home in homes:
        for name in (resource.address, *resource.renamed_from):
            if home is not None:
                yield name.in_root(home.name)


def _changes(
    resource: Resource, before: Fields, desired: Desired, kind: AnyKind, kinds: Kinds
) -> Iterator[LifecycleChange]:
    was, gate = _read(resource.address, before)
    for name, shape in kind.shapes.items():
        old, new = was.get(name), resource.fields.get(name)
        if name in kind.identity or same(_named_before(name, new, old, resource, desired, kind), old, shape):
            continue
        place = kind.measuring.place if kind.measuring is not None else None
        effect = scope_effect(old, new) if shape.ref is not None and shape.ref.kind == place else Effect.REDEFINED
        yield _change(resource, name, masked(old, shape), masked(new, shape), effect)
    around = Neighbourhood({}, kinds, resource.address)
    for each in gate_changes(gate, resource.gate, kind, around) if gate != resource.gate else ():
        yield _change(resource, each.path, each.before, each.after, each.effect)


def _named_before(name: str, new: Json, old: Json, resource: Resource, desired: Desired, kind: AnyKind) -> Json:
    """The value of a field; where it names what was renamed, by the name that this had."""
    ref = kind.shapes[name].ref
    if ref is None or not isinstance(new, str):
        return new
    named = desired.resources.get(Address(ref.kind, (*resource.address.path[:-1], new)))
    formers = named.renamed_from if named is not None else ()
    return old if any(former.name == old for former in formers) else new


def _change(resource: Resource, path: str, before: Json, after: Json, effect: Effect) -> LifecycleChange:
    source = replace(resource.source, line=resource.line_of(path.partition(".")[0]))
    change = LifecycleChange(resource.address, path, before, after, effect, source)
    return replace(change, value_sources=deciding(resource.value_sources, [change]))


def _gone(address: Address, before: Fields, kind: AnyKind) -> Iterator[LifecycleChange]:
    was, _ = _read(address, before)
    for name in kind.shapes:
        if name in was and name not in kind.identity:
            yield LifecycleChange(address, name, was[name], None, Effect.LOOSENED)


def gate_settled(address: Address, before: Fields) -> Gate:
    """The gate in what was settled.  Raises StateUnreadable."""
    try:
        return convert(before.get("gate", {}), Gate)
    except ValueError as error:
        raise StateUnreadable(f"the state is damaged: the gate of {address}: {error!r:.200}") from error


def _read(address: Address, before: Fields) -> tuple[Fields, Gate]:
    """Fields and gate.  Raises StateUnreadable."""
    fields, gate = before.get("fields"), gate_settled(address, before)
    return (fields if isinstance(fields, dict) else {}), gate
