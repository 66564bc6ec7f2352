"""Live projects -> manifests.  Touches: network (reads only), disk."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.concurrency import all_of
from reconciler.errors import SettingsInvalid, UsageInvalid
from reconciler.manifests.exporter import Exported as Document
from reconciler.manifests.exporter import documents
from reconciler.model.checkout import from_top
from reconciler.model.kind import Vendor
from reconciler.model.resource import Address, LiveObject
from reconciler.model.state import Entry, Record, State, entry_to_json, fold
from reconciler.pipeline.locking import locked
from reconciler.pipeline.planning import check_origins
from reconciler.pipeline.remembering import carry_over
from reconciler.pipeline.session import Session
from reconciler.planning.moves import moves
from reconciler.planning.selecting import meant_by_name
from reconciler.providers import VENDORS
from reconciler.providers.reader import read_live, read_roots


class Exported(Struct, frozen=True):
    """What ``export`` wrote.  ``owned`` of its resources are ours."""

    files: tuple[str, ...]
    resources: int
    owned: int
    warnings: tuple[str, ...]


async def export(here: Session, folder: str, *, adopt: bool, force: bool) -> Exported:
    """Write one manifest a root into ``folder``; with ``adopt`` remember the objects as ours.

    Raises UsageInvalid when a file is in the way, when ``select`` names no root, or when to adopt one object would
    be to forget another; nothing is written then.  Raises SettingsInvalid when the folder can not be written.
    """
    vendors = reachable(here)
    providers = [await here.provider(vendor) for vendor in vendors]
    roots = await all_of(read_roots(provider, here.clock) for provider in providers)
    all_roots = [item for each in roots for items in each.values() for item in items]
    wanted = _wanted_roots(here.request.select, [item.address for item in all_roots])
    lists = await all_of(
        read_live(provider, here.clock, lambda root: root.address in wanted, inside=there)
        for provider, there in zip(providers, roots, strict=True)
    )
    objects = [item for live in lists for item in live.objects]
    if not adopt:
        found, warnings = documents(objects, vendors)
        return _write(here, found, warnings, folder, here.store.load().entries, force=force)
    async with locked(here, "export"):
        state = here.store.load()
        origins = {name: provider.origin for name, provider in here.providers.items()}
        check_origins(state, origins, here)
        objects = _ours_first(objects, state)
        found, warnings = documents(objects, vendors)
        there = {item.remote_id: item for item in (*all_roots, *objects)}
        records: list[Record] = [{"record": "origins", "origins": origins}]
        records += _taken_over(state, found, objects, there, folder, here.request.home)
        taken = {address for each in found for address in each.fields}
        exported = _write(here, found, warnings, folder, taken, force=force)
        here.store.commit(fold(state, records))
        await carry_over(here, records)
    return exported


def _wanted_roots(patterns: Sequence[str], roots: Sequence[Address]) -> set[Address]:
    if not patterns:
        return set(roots)
    found = {pattern: meant_by_name(pattern, roots) for pattern in patterns}
    if unmatched := [pattern for pattern, some in found.items() if not some]:
        raise UsageInvalid(
            f"--select {unmatched[0]!r} matches no project of the platform",
            hint="it is a name, or a glob over names; see also whose workspace the key is of",
        )
    return set().union(*found.values())


def _ours_first(objects: Iterable[LiveObject], state: State) -> list[LiveObject]:
    """Of several objects with one name the first is exported: what has this address already, else what is ours."""
    ours = {entry.remote_id for entry in state.entries.values()}

    def rank(item: LiveObject) -> tuple[bool, bool]:
        known = state.entries.get(item.address)
        return known is None or known.remote_id != item.remote_id, item.remote_id not in ours

    return sorted(objects, key=rank)


def _write(
    here: Session,
    found: Sequence[Document],
    warnings: Sequence[str],
    folder: str,
    ours: Container[Address],
    *,
    force: bool,
) -> Exported:
    from reconciler.manifests.writer import to_yaml  # loads a YAML writer that nothing else needs

    if not found:
        raise UsageInvalid("there is nothing to export", hint="check --select and the key's workspace")
    target = here.request.root / folder
    taken = [each.file for each in found if (target / each.file).exists()]
    if taken and not force:
        raise UsageInvalid(f"{folder}/{taken[0]} is there already", hint="choose another --out, or --force")
    texts = {each.file: to_yaml(each.document) for each in found}
    try:
        target.mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (target / name).write_text(text, encoding="utf-8")
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise SettingsInvalid(f"--out {folder}: {why}", hint="name a folder that can be written") from error
    written = [address for each in found for address in each.fields]
    owned = sum(address in ours for address in written)
    return Exported(tuple(f"{folder.rstrip('/')}/{each.file}" for each in found), len(written), owned, tuple(warnings))


def _taken_over(
    state: State,
    found: Iterable[Document],
    objects: Iterable[LiveObject],
    there: Mapping[str, LiveObject],
    folder: str,
    home: str,
) -> list[Record]:
    """Records that make the exported objects ours.

    One that is ours under another name moves, with all that is known of it.  What is remembered of the object itself
    stays (that it is protected, say); of another one that had the address before, nothing does.
    """
    first: dict[Address, LiveObject] = {}
    for item in objects:
        if not item.archived:
            first.setdefault(item.address, item)
    declared = [(address, fields, each.file) for each in found for address, fields in each.fields.items()]
    moved, records = moves(state, {address: first[address] for address, _, _ in declared}, there)
    for address, fields, file in declared:
        item, known = first[address], moved.entries.get(address)
        if known is None or known.remote_id != item.remote_id:
            known = Entry(item.remote_id, op=item.op)
        source = from_top(home, f"{folder.rstrip('/').removeprefix('./')}/{file}")
        entry = replace(known, applied=fields, source=source, archived=False, unlisted=False)
        records.append({"record": "done", "address": str(address), "entry": entry_to_json(entry)})
    return records


def reachable(here: Session) -> list[Vendor]:
    """The vendors that a credential is set for; all of them where none is, so that the error names a variable."""
    return [vendor for vendor in VENDORS if here.is_set_up(vendor)] or list(VENDORS)
