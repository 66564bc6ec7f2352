"""Keep what a set of manifests meant, by its content, so that unchanged files are not read twice.  Touches: disk.

The key is a digest of everything that a load looks at: this program, the files by name, the environment asked for and
all variables.  So an entry can be old, but never wrong.  It begins with a digest of itself: one that is not whole is as
good as none.

The folder is the user's own and closed to others: whoever could write here could change what a manifest means.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct, field, to_builtins
from msgspec.structs import replace

import reconciler
from reconciler.errors import Problem
from reconciler.model.resource import (
    Address,
    Desired,
    Evidence,
    Gate,
    Lifecycle,
    Pin,
    Regress,
    Resource,
    Source,
    ValueSource,
)

if TYPE_CHECKING:
    from reconciler.manifests.environment import Environment

KEPT: Final = 16
"""How many entries stay; the oldest go."""

_OURS: Final = re.compile(r"[0-9a-f]{64}\.(json|[^.]+\.tmp)")
"""Entries, and what was left of one that was never finished."""

WORTH_BYTES: Final = 65_536
"""Smaller sets of manifests are read faster than they are looked up."""


class Loaded(Struct, frozen=True):
    """What a run starts from.

    ``environments`` are the names that are declared; ``local`` is built in, and among them only when it is declared.
    """

    desired: Desired
    environment: Environment | None
    environments: tuple[str, ...]
    warnings: tuple[Problem, ...]


def key_of(contents: Mapping[str, bytes], asked: Sequence[Any]) -> str:
    """The key of files by name, and of what was asked of them (plain data)."""
    digest = hashlib.sha256(_program().encode())
    digest.update(json.dumps(asked, sort_keys=True).encode("utf-8", "surrogatepass"))
    for name, content in contents.items():
        digest.update(f"\0{name}\0{len(content)}\0".encode("utf-8", "surrogatepass"))
        digest.update(content)
    return digest.hexdigest()


def _program() -> str:
    """What this program is: its version, and for one that is being worked on the state of its files."""
    folder = Path(reconciler.__file__).parent
    states = [each.stat() for each in sorted(folder.rglob("*.py"))]
    return json.dumps([reconciler.__version__, [[state.st_mtime_ns, state.st_size] for state in states]])


class Cache:
    """Entries in one folder, which is made when the first one is written."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def get(self, key: str) -> Loaded | None:
        """The entry, None when there is none that can be trusted."""
        try:
            if not self._is_ours(self.folder.lstat()):
                return None
            path = self.folder / f"{key}.json"
            text = path.read_bytes()
            with suppress(OSError):
                os.utime(path)  # used last, removed last
            digest, _, content = text.partition(b"\n")
            if digest != _digest(key, content):
                return None
            return _decoded(msgspec.json.decode(content, type=_Entry))
        except (OSError, ValueError, KeyError, TypeError, IndexError, RecursionError, msgspec.MsgspecError):
            return None

    def put(self, key: str, loaded: Loaded) -> None:
        """Keep an entry, if that is possible: a full disk or a foreign folder is no reason to stop."""
        with suppress(OSError, UnicodeEncodeError):  # the name of a file may be no text
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._is_ours(self.folder.lstat()):
                return
            descriptor, temporary = tempfile.mkstemp(dir=self.folder, prefix=f"{key}.", suffix=".tmp")
            with os.fdopen(descriptor, "wb") as file:
                content = msgspec.json.encode(_encoded(loaded))
                file.writelines((_digest(key, content), b"\n", content))
            Path(temporary).replace(self.folder / f"{key}.json")
            self._tidy()

    @staticmethod
    def _is_ours(folder: os.stat_result) -> bool:
        return stat.S_ISDIR(folder.st_mode) and folder.st_uid == os.getuid() and not folder.st_mode & 0o022

    def _tidy(self) -> None:
        """Remove the oldest entries, and nothing else: the user may have named a folder that holds more."""
        ours = [each for each in self.folder.iterdir() if _OURS.fullmatch(each.name)]
        entries = sorted(ours, key=lambda each: each.stat().st_mtime_ns, reverse=True)
        for path in entries[KEPT:]:
            path.unlink(missing_ok=True)


def _digest(key: str, content: bytes) -> bytes:
    """What the content of an entry under a key begins with, in hexadecimal: 1 ms for 10,000 tests."""
    digest = hashlib.sha256(key.encode())
    digest.update(content)
    return digest.hexdigest().encode()


# ------------------------------------------------------------------------------------------------- as plain data


_OWN: Final = ("name", "description")
"""Fields that hardly two resources have in common."""


class _Row(Struct, array_like=True):
    """A resource; what many of them share stands in the entry's lists, and here by its place there.

    ``own`` are the values of its own, in the order in which they stand in the fields.
    """

    address: int
    fields: int
    own: list[Any]
    file: int
    line: int
    column: int
    lifecycle: int
    gate: int
    references: list[int]
    former: list[int]
    labels: dict[str, str]
    lines: int
    lookup: bool
    files: dict[str, str]


class _Entry(Struct):
    """What is kept of one load.  ``value_sources`` are those of the few resources that have some, by place."""

    resources: list[_Row]
    fields: list[dict[str, Any]]
    addresses: list[Address]
    files: list[str]
    gates: list[dict[str, Any]]
    lifecycles: list[dict[str, Any]]
    lines: list[dict[str, int]]
    digest: str
    scope: tuple[str, ...]
    texts: tuple[str, ...]
    pins: list[dict[str, Any]]
    environment: Any
    environments: tuple[str, ...]
    warnings: tuple[Problem, ...]
    value_sources: dict[int, tuple[ValueSource, ...]]
    off: list[tuple[Address, Source]]


class _Table(Struct):
    """Values that many resources share, each written once."""

    rows: list[Any] = field(default_factory=list)
    places: dict[Any, int] = field(default_factory=dict)

    def place(self, key: Any, row: Any) -> int:
        if key not in self.places:
            self.places[key] = len(self.rows)
            self.rows.append(row)
        return self.places[key]


def _encoded(loaded: Loaded) -> _Entry:
    addresses, fields, files, gates, lifecycles, lines = (_Table() for _ in range(6))

    def row(one: Resource) -> _Row:
        shared = one.fields | {name: None for name in _OWN if name in one.fields}
        return _Row(
            address=addresses.place(one.address, one.address),
            fields=fields.place(msgspec.json.encode(shared), shared),
            own=[one.fields[name] for name in shared if name in _OWN],
            file=files.place(one.source.file, one.source.file),
            line=one.source.line,
            column=one.source.column,
            lifecycle=lifecycles.place(one.lifecycle, one.lifecycle.model_dump(exclude_none=True)),
            gate=gates.place(repr(one.gate), to_builtins(one.gate)),
            references=[addresses.place(address, address) for address in one.references],
            former=[addresses.place(address, address) for address in one.renamed_from],
            labels=dict(one.labels),
            lines=lines.place(tuple(one.lines.items()), one.lines),
            lookup=one.lookup,
            files=dict(one.files),
        )

    desired, environment = loaded.desired, loaded.environment
    return _Entry(
        resources=[row(resource) for resource in desired],
        fields=fields.rows,
        addresses=addresses.rows,
        files=files.rows,
        gates=gates.rows,
        lifecycles=lifecycles.rows,
        lines=lines.rows,
        digest=desired.digest,
        scope=desired.scope,
        texts=desired.warnings,
        pins=[to_builtins(pin) for pin in desired.pins],
        environment=None if environment is None else environment.model_dump(mode="json", by_alias=True),
        environments=loaded.environments,
        warnings=loaded.warnings,
        value_sources={place: one.value_sources for place, one in enumerate(desired) if one.value_sources},
        off=list(desired.off.items()),
    )


def _decoded(entry: _Entry) -> Loaded:
    addresses, files, lines = entry.addresses, entry.files, entry.lines
    gates = [_gate(row) for row in entry.gates]
    lifecycles = [Lifecycle(**row) for row in entry.lifecycles]
    shared = [(fields, [name for name in fields if name in _OWN]) for fields in entry.fields]
    resources: dict[Address, Resource] = {}
    for row in entry.resources:
        address, (fields, own) = addresses[row.address], shared[row.fields]
        fields = fields.copy()
        fields.update(zip(own, row.own, strict=True))
        resources[address] = Resource(
            address,
            fields,
            Source(files[row.file], row.line, row.column),
            lifecycles[row.lifecycle],
            gates[row.gate],
            tuple([addresses[each] for each in row.references]),
            tuple([addresses[each] for each in row.former]),
            row.labels,
            lines[row.lines],
            row.lookup,
            row.files,
        )
    for place, found in entry.value_sources.items():
        address = addresses[entry.resources[place].address]
        resources[address] = replace(resources[address], value_sources=found)
    return Loaded(
        Desired(
            resources=resources,
            digest=entry.digest,
            scope=entry.scope,
            warnings=entry.texts,
            pins=tuple(map(_pin, entry.pins)),
            off=dict(entry.off),
        ),
        None if entry.environment is None else _environment(entry.environment),
        entry.environments,
        entry.warnings,
    )


def _environment(written: Any) -> Environment:
    from reconciler.manifests.environment import Environment

    return Environment.model_validate_json(json.dumps(written))


def _gate(row: dict[str, Any]) -> Gate:
    regress = row.pop("regress")
    return Gate(**row, regress=None if regress is None else Regress(**regress))


def _pin(row: dict[str, Any]) -> Pin:
    (kind, path), source = row.pop("address"), row.pop("source")
    measured = tuple(Evidence(**each) for each in row.pop("measured"))
    return Pin(address=Address(kind, tuple(path)), source=Source(**source), measured=measured, **row)
