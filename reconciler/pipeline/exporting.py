"""Live projects -> manifests.  Touches: network (reads only), disk."""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.concurrency import all_of
from reconciler.errors import ApiError, LooksLikeOutage, NotAuthorized, SettingsInvalid, UsageInvalid
from reconciler.manifests.attachments import file_value
from reconciler.manifests.exporter import Exported as Document
from reconciler.manifests.exporter import documents
from reconciler.manifests.files import MAX_CONTENT_BYTES
from reconciler.manifests.loader import printable
from reconciler.manifests.validator import roots_declared
from reconciler.model.checkout import from_home, from_top
from reconciler.model.flow import drive
from reconciler.model.kind import Vendor
from reconciler.model.resource import Address, Gate, LiveObject
from reconciler.model.state import Entry, Folding, Record, State, done
from reconciler.model.values import counted
from reconciler.pipeline.locking import locked
from reconciler.pipeline.origins import check_origins
from reconciler.pipeline.remembering import carry_over
from reconciler.pipeline.session import Session
from reconciler.planning.moves import moves
from reconciler.planning.selecting import meant_by_name
from reconciler.providers import KINDS, VENDORS
from reconciler.providers.reader import read_live, read_roots

MOST_NAMED = 3
"""How many of several a sentence names."""


class Exported(Struct, frozen=True):
    """What ``export`` wrote.  ``owned`` of its resources are ours.  Not ``whole``: an object could not be written."""

    files: tuple[str, ...]
    resources: int
    owned: int
    warnings: tuple[str, ...]
    whole: bool = True


async def export(here: Session, folder: str, *, adopt: bool, force: bool) -> Exported:
    """Write one manifest a root into ``folder``; with ``adopt`` remember the objects as ours.

    Raises UsageInvalid when a file is in the way, when ``select`` names no root, or when to adopt one object would
    be to forget another; nothing is written then.  Raises SettingsInvalid when the folder cannot be written, and
    LooksLikeOutage when to adopt would be to forget all that is ours for what has its names.
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
    objects, unused = _with_files([item for live in lists for item in live.objects], all_roots)
    contents = await _contents(here, objects)
    if not adopt:
        state = here.store.load()
        told = documents(objects, vendors, contents, _ids(state))
        exported = _write(here, told.documents, [*unused, *told.warnings], folder, state.entries, force=force)
        twice = _declared_twice(here, exported.files)
        return replace(exported, whole=told.whole, warnings=(*exported.warnings, *twice))
    async with locked(here, "export"):
        state = here.store.load()
        origins = {name: provider.origin for name, provider in here.providers.items()}
        check_origins(state, origins, here)
        _check_workspace(state, vendors, {item.remote_id for item in all_roots})
        objects = _ours_first(objects, state)
        told = documents(objects, vendors, contents, _ids(state))
        found = told.documents
        there = {item.remote_id: item for item in (*all_roots, *objects)}
        records: list[Record] = [{"record": "origins", "origins": origins}]
        records += _taken_over(state, found, objects, there, folder, here.request.home)
        taken = {address for each in found for address in each.fields}
        exported = _write(here, found, [*unused, *told.warnings], folder, taken, force=force)
        folding = Folding(state)
        folding.take(records)
        after = folding.state()
        left = tuple(_left_in_files(here, state, after, exported.files))
        here.store.commit(after)
        await carry_over(here, folding.renamed)
    twice = _declared_twice(here, exported.files)
    return replace(exported, whole=told.whole, warnings=(*exported.warnings, *left, *twice))


def _check_workspace(state: State, vendors: Iterable[Vendor], there: Container[str]) -> None:
    """Raise LooksLikeOutage where a vendor lists none of the roots that are ours."""
    roots = {a: e for a, e in state.entries.items() if a.is_root and not e.archived and not e.unlisted}
    for vendor in vendors:
        ours = {address: entry.remote_id for address, entry in roots.items() if address.vendor == vendor.name}
        if ours and not any(each in there for each in ours.values()):
            some = ", ".join(map(str, sorted(ours)[:MOST_NAMED]))
            raise LooksLikeOutage(
                f"{vendor.name} lists none of {counted(len(ours), 'root')} of ours ({some}); this looks like the key of"
                " another workspace, and to adopt would be to forget them",
                hint="if they are really gone, forget them first: reconciler state rm 'ADDRESS' (a glob works)",
            )


def _with_files(objects: Sequence[LiveObject], roots: Sequence[LiveObject]) -> tuple[list[LiveObject], list[str]]:
    """The objects, and what holds a file as far as one of them names it; what nobody names is told."""
    named = {each for item in objects for ids in item.refs.values() for each in ids}
    kept = [item for item in objects if not _holds_file(item)]
    held = {item.remote_id: item for item in (*roots, *objects) if _holds_file(item)}
    what = "let something name it, or delete it there"
    unused = [
        printable(f"{item.address} was left out: nothing names it ({item.remote_id}); {what}")
        for item in objects
        if _holds_file(item) and item.remote_id not in named
    ]
    return [*kept, *(item for each, item in held.items() if each in named)], unused


def _holds_file(item: LiveObject) -> bool:
    return KINDS[item.address.kind].content is not None


async def _contents(here: Session, objects: Iterable[LiveObject]) -> dict[str, bytes | str]:
    """By remote id the content of each file, or why there is none."""
    holding = [item for item in objects if _holds_file(item)]
    contents = await all_of(_content(here, item) for item in holding)
    return {item.remote_id: content for item, content in zip(holding, contents, strict=True)}


async def _content(here: Session, item: LiveObject) -> bytes | str:
    kind, provider = KINDS[item.address.kind], here.providers[item.address.vendor]
    assert kind.content is not None
    shown = [value for name in kind.file_fields if isinstance(value := item.fields.get(name), dict)]
    if any(isinstance(size := each.get("bytes"), int) and size > MAX_CONTENT_BYTES for each in shown):
        return f"it has more than {MAX_CONTENT_BYTES:,} bytes"
    try:
        content = await drive(kind.content(item.remote_id), provider.send, here.clock.sleep)
    except NotAuthorized:
        raise
    except ApiError as error:
        return error.message
    value = file_value(content)
    if any(each.get(name) not in (None, value[name]) for each in shown for name in value):
        return "the platform gives another content than it shows"
    faults = kind.check_file(content)
    return f"line {faults[0][0]}: {faults[0][1]}" if faults else content


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
    ours = _ids(state)

    def rank(item: LiveObject) -> tuple[bool, bool]:
        known = state.entries.get(item.address)
        return known is None or known.remote_id != item.remote_id, item.remote_id not in ours

    return sorted(objects, key=rank)


def _ids(state: State) -> set[str]:
    return {entry.remote_id for entry in state.entries.values()}


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
    texts = {each.file: to_yaml(each.document).encode() for each in found}
    texts |= {name: content for each in found for name, content in each.beside.items()}
    taken = [name for name in texts if (target / name).exists()]
    if taken and not force:
        raise UsageInvalid(f"{folder}/{taken[0]} is there already", hint="choose another --out, or --force")
    try:
        target.mkdir(parents=True, exist_ok=True)
        for each in found:
            _warn_of_loss(here, f"{folder.rstrip('/')}/{each.file}", texts[each.file])
        for name, text in texts.items():
            (target / name).write_bytes(text)
    except OSError as error:
        why = (error.strerror or str(error)).lower()
        raise SettingsInvalid(f"--out {folder}: {why}", hint="name a folder that can be written") from error
    written = [address for each in found for address in each.fields]
    owned = sum(address in ours for address in written)
    return Exported(tuple(f"{folder.rstrip('/')}/{name}" for name in texts), len(written), owned, tuple(warnings))


def _warn_of_loss(here: Session, file: str, text: bytes) -> None:
    """Say what a manifest that is there says and the one that takes its place does not.  Raises OSError."""
    from reconciler.manifests.overwriting import lost  # loads what hardly an export needs

    path = here.request.root / file
    before = path.read_bytes() if path.exists() else text
    if before != text and (what := lost(before, text, file)):
        here.hooks.note(printable(f"warning: {file} is written over, and this goes: {what}"))


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
    moved, records = moves(state, {address: first[address] for address, _, _ in declared}, there, KINDS)
    for address, fields, file in declared:
        item, known = first[address], moved.entries.get(address)
        if known is None or known.remote_id != item.remote_id:
            known = Entry(item.remote_id, op=item.op)
        source = from_top(home, f"{folder.rstrip('/').removeprefix('./')}/{file}")
        gate = Gate() if KINDS[address.kind].gate is not None else None
        # A manifest that says nothing of it wants it kept; protection is given up by saying so only.
        entry = replace(
            known, applied=fields, source=source, on_removal="keep", archived=False, unlisted=False, gate=gate
        )
        records.append(
            done(address, entry, moved.in_doubt.get(address) if address in moved.entries or item.op else None)
        )
    return records


def _left_in_files(here: Session, before: State, after: State, written: Iterable[str]) -> Iterator[str]:
    """One sentence a file that was not written now and declares something under the name that it had before."""
    former = {(address.kind, entry.remote_id): address for address, entry in before.entries.items()}
    told = {os.path.normpath(file) for file in written}
    for address, entry in sorted(after.entries.items(), key=lambda each: (len(each[0].path), each[0])):
        old = former.get((address.kind, entry.remote_id), address)
        source = before.entries[old].source if old != address and not entry.archived else ""
        file = os.path.normpath(from_home(here.request.home, source)) if source else ""
        if file and file not in told and (here.request.root / file).is_file():
            told.add(file)
            what = f"{file} declares {old}, which is {address} now"
            yield printable(f"{what}: remove it there, or the next apply makes it a second time")


def _declared_twice(here: Session, written: Iterable[str]) -> Iterator[str]:
    """One sentence a root that other files of the working directory declare, too, where all of them are read."""
    ours = {os.path.normpath(file) for file in written}
    declared = roots_declared(here.request.root, vendors=VENDORS)
    exported = {address: file for file, address in declared if file in ours}
    for file, address in declared:
        if file not in ours and address in exported:
            what = f"{file} declares {address}, and {exported[address]} does so, too"
            yield printable(f"{what}: remove one of them, or a command that reads both stops")


def reachable(here: Session) -> list[Vendor]:
    """The vendors that a credential is set or named for; all of them where none is, so that the error says which."""
    return [vendor for vendor in VENDORS if here.is_in_use(vendor)] or list(VENDORS)
