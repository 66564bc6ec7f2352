"""Live projects -> manifests.  Touches: network (reads only), disk."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reconciler.errors import (
    UsageInvalid,
)
from reconciler.manifests.exporter import documents
from reconciler.model.kind import Vendor
from reconciler.model.resource import Address, LiveObject
from reconciler.model.state import Entry, Record, entry_to_json, fold
from reconciler.pipeline.locking import locked
from reconciler.pipeline.planning import check_origins
from reconciler.pipeline.session import Session
from reconciler.planning.selecting import meant_by_name
from reconciler.providers import VENDORS
from reconciler.providers.reader import all_of, read_live, read_roots


class Exported(Struct, frozen=True):
    """What ``export`` wrote."""

    files: tuple[str, ...]
    resources: int
    warnings: tuple[str, ...]


async def export(here: Session, folder: str, *, adopt: bool, force: bool) -> Exported:
    """Write one manifest a root into ``folder``; with ``adopt`` remember the objects as ours.

    Raises UsageInvalid when a file is in the way, or when ``select`` names no root.
    """
    from reconciler.manifests.writer import to_yaml  # loads a YAML writer that nothing else needs

    vendors = reachable(here)
    providers = [await here.provider(vendor) for vendor in vendors]
    roots = await all_of(read_roots(provider, here.clock) for provider in providers)
    wanted = _wanted_roots(
        here.request.select, [item.address for each in roots for items in each.values() for item in items]
    )
    lists = await all_of(
        read_live(provider, here.clock, lambda root: root.address in wanted, inside=there)
        for provider, there in zip(providers, roots, strict=True)
    )
    found, warnings = documents([item for live in lists for item in live.objects], vendors)
    if not found:
        raise UsageInvalid("there is nothing to export", hint="check --select and the key's workspace")
    target = here.request.root / folder
    taken = [each.file for each in found if (target / each.file).exists()]
    if taken and not force:
        raise UsageInvalid(f"{folder}/{taken[0]} is there already", hint="choose another --out, or --force")
    target.mkdir(parents=True, exist_ok=True)
    for each in found:
        (target / each.file).write_text(to_yaml(each.document), encoding="utf-8")
    if adopt:
        ids = {item.address: item for live in lists for item in live.objects if not item.archived}
        await _take_over(here, found, ids, folder)
    count = sum(len(each.fields) for each in found)
    return Exported(tuple(f"{folder.rstrip('/')}/{each.file}" for each in found), count, tuple(warnings))


def _wanted_roots(patterns: Sequence[str], roots: Sequence[Address]) -> set[Address]:
    if not patterns:
        return set(roots)
    return {root for pattern in patterns for root in meant_by_name(pattern, roots)}


async def _take_over(here: Session, found: Sequence[Any], live: Mapping[Address, LiveObject], folder: str) -> None:
    """Write entries for the exported objects; what we remember already stays."""
    async with locked(here, "export"):
        state = here.store.load()
        origins = {name: provider.origin for name, provider in here.providers.items()}
        check_origins(state, origins, here)
        records: list[Record] = [{"record": "origins", "origins": origins}]
        for each in found:
            for address, fields in each.fields.items():
                known = state.entries.get(address, Entry(live[address].remote_id, op=live[address].op))
                source = f"{folder.rstrip('/').removeprefix('./')}/{each.file}"
                entry = replace(known, remote_id=live[address].remote_id, applied=fields, source=source)
                records.append({"record": "done", "address": str(address), "entry": entry_to_json(entry)})
        here.store.commit(fold(state, records))


def reachable(here: Session) -> list[Vendor]:
    """The vendors that a credential is set for; all of them where none is, so that the error names a variable."""
    return [vendor for vendor in VENDORS if here.is_set_up(vendor)] or list(VENDORS)
