"""Keep what a set of manifests meant, by its content, so that unchanged files are not read twice.  Touches: disk.

The key is a digest of everything that a load looks at: this program, the files by name, the environment asked for and
all variables.  So an entry can be old, but never wrong; one that can not be read is as good as none.

The folder is the user's own and closed to others: whoever could write here could change what a manifest means.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from msgspec import Struct, field, to_builtins

import reconciler
from reconciler.errors import Problem
from reconciler.manifests.environment import Environment
from reconciler.model.resource import Address, Desired, Evidence, Gate, Lifecycle, Pin, Regress, Resource, Source

KEPT: Final = 16
"""How many entries stay; the oldest go."""

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
            return _decoded(json.loads(text))
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            return None

    def put(self, key: str, loaded: Loaded) -> None:
        """Keep an entry, if that is possible: a full disk or a foreign folder is no reason to stop."""
        with suppress(OSError):
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            if not self._is_ours(self.folder.lstat()):
                return
            descriptor, temporary = tempfile.mkstemp(dir=self.folder, suffix=".tmp")
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(json.dumps(_encoded(loaded), separators=(",", ":")))
            Path(temporary).replace(self.folder / f"{key}.json")
            self._tidy()

    @staticmethod
    def _is_ours(folder: os.stat_result) -> bool:
        return stat.S_ISDIR(folder.st_mode) and folder.st_uid == os.getuid() and not folder.st_mode & 0o022

    def _tidy(self) -> None:
        entries = sorted(self.folder.iterdir(), key=lambda each: each.stat().st_mtime_ns, reverse=True)
        for path in entries[KEPT:]:
            path.unlink(missing_ok=True)


# ------------------------------------------------------------------------------------------------- as plain data


class _Table(Struct):
    """Values that many resources share, each written once."""

    rows: list[Any] = field(default_factory=list)
    places: dict[Any, int] = field(default_factory=dict)

    def place(self, key: Any, row: Any) -> int:
        if key not in self.places:
            self.places[key] = len(self.rows)
            self.rows.append(row)
        return self.places[key]


def _encoded(loaded: Loaded) -> dict[str, Any]:
    addresses, files, gates, lifecycles = _Table(), _Table(), _Table(), _Table()

    def place(address: Address) -> int:
        return addresses.place(address, (address.kind, address.path))

    def row(one: Resource) -> list[Any]:
        return [
            place(one.address),
            one.fields,
            files.place(one.source.file, one.source.file),
            one.source.line,
            one.source.column,
            lifecycles.place(one.lifecycle, one.lifecycle.model_dump()),
            gates.place(repr(one.gate), to_builtins(one.gate)),
            [place(address) for address in one.references],
            None if one.renamed_from is None else place(one.renamed_from),
            one.labels,
            one.lines,
            one.lookup,
            one.files,
        ]

    desired, environment = loaded.desired, loaded.environment
    return {
        "resources": [row(resource) for resource in desired],
        "addresses": addresses.rows,
        "files": files.rows,
        "gates": gates.rows,
        "lifecycles": lifecycles.rows,
        "desired": [desired.digest, desired.scope, desired.warnings],
        "pins": [to_builtins(pin) for pin in desired.pins],
        "environment": None if environment is None else environment.model_dump(mode="json", by_alias=True),
        "environments": loaded.environments,
        "warnings": [to_builtins(problem) for problem in loaded.warnings],
    }


def _decoded(data: Mapping[str, Any]) -> Loaded:
    addresses = [Address(kind, tuple(path)) for kind, path in data["addresses"]]
    files, gates = data["files"], [_gate(row) for row in data["gates"]]
    lifecycles = [Lifecycle(**row) for row in data["lifecycles"]]
    resources: dict[Address, Resource] = {}
    for place, fields, file, line, column, lifecycle, gate, references, former, *rest in data["resources"]:
        resources[addresses[place]] = Resource(
            addresses[place],
            fields,
            Source(files[file], line, column),
            lifecycles[lifecycle],
            gates[gate],
            tuple([addresses[each] for each in references]),
            None if former is None else addresses[former],
            *rest,
        )
    digest, scope, warnings = data["desired"]
    environment = data["environment"]
    return Loaded(
        Desired(resources, digest, tuple(scope), tuple(warnings), tuple(map(_pin, data["pins"]))),
        None if environment is None else Environment.model_validate_json(json.dumps(environment)),
        tuple(data["environments"]),
        tuple(Problem(**row) for row in data["warnings"]),
    )


def _gate(row: dict[str, Any]) -> Gate:
    regress = row.pop("regress")
    return Gate(**row, regress=None if regress is None else Regress(**regress))


def _pin(row: dict[str, Any]) -> Pin:
    (kind, path), source = row.pop("address"), row.pop("source")
    measured = tuple(Evidence(**each) for each in row.pop("measured"))
    return Pin(address=Address(kind, tuple(path)), source=Source(**source), measured=measured, **row)
