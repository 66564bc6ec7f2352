"""Records that move or drop what is remembered, which say how far that goes: a state knows no kinds.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.model.kind import AnyKind
from reconciler.model.resource import Address
from reconciler.model.state import Record


def renamed(former: Address, address: Address, kinds: Mapping[str, AnyKind]) -> Record:
    """The record that moves what is remembered, and what stands in it where its kind can hold others."""
    return {"record": "renamed", "address": str(address), "former": str(former), **_alone(former, kinds)}


def removed(address: Address, kinds: Mapping[str, AnyKind]) -> Record:
    """The record that drops what is remembered, and what was archived in it where its kind can hold others."""
    return {"record": "removed", "address": str(address), **_alone(address, kinds)}


def _alone(address: Address, kinds: Mapping[str, AnyKind]) -> Record:
    """What tells a root in which nothing can stand from another one of its name."""
    is_holder = not address.is_root or any(kind.parent == address.kind for kind in kinds.values())
    return {} if is_holder else {"alone": True}
