"""Turn the paths in fields that name a file into what stands for the files.  Touches: disk, reading only.

A file's field holds its size and the beginning of its SHA-256: two files with the same content are the same.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from msgspec import Struct, field

from reconciler.errors import Problem
from reconciler.manifests.files import MAX_CONTENT_BYTES, File, beside, read_file
from reconciler.manifests.loader import MAX_PROBLEMS, printable
from reconciler.manifests.positions import Map, Spot, unpack
from reconciler.manifests.problems import Problems
from reconciler.model.kind import AnyKind
from reconciler.model.values import DIGEST_DIGITS, Fields

_MESSAGE_WIDTH: Final = 300
"""A message about a file may quote from it; a line of a megabyte helps nobody."""


class Attached(Struct, frozen=True):
    """One file.

    ``name`` is relative to the root, ``value`` what stands in the field, ``holds`` what others may need of it.
    """

    name: str
    value: Fields
    holds: frozenset[str] = frozenset()


class Attachments(Struct):
    """Reads the files that manifests name, each once for a kind.

    ``digests`` collects the SHA-256 of every content, by name.
    """

    root: Path
    problems: Problems
    digests: dict[str, str] = field(default_factory=dict)
    _read: dict[tuple[str, Path], Attached | None] = field(default_factory=dict)

    def of(self, kind: AnyKind, data: Map) -> Mapping[str, Attached]:
        """The files behind the fields of an item; what cannot be read, or is not good, is reported."""
        found = {}
        for name in kind.file_fields:
            named = data.get(name)
            if isinstance(named, str):
                attached = self._attached(kind, named, data.value_spot(name))
                if attached:
                    found[name] = attached
        return found

    def _attached(self, kind: AnyKind, named: str, spot: Spot) -> Attached | None:
        if "${" in named and self.problems.errors:
            return None  # a reference that could not be replaced has been reported
        try:
            file = beside(named, self.problems.files[unpack(spot)[0]].file, self.root)
        except ValueError as error:
            self.problems.add(spot, *error.args)
            return None
        key = (kind.id, file.path)
        if key not in self._read:
            self._read[key] = self._content(kind, file, spot)
        return self._read[key]

    def _content(self, kind: AnyKind, file: File, spot: Spot) -> Attached | None:
        try:
            content = read_file(file, MAX_CONTENT_BYTES)
        except (OSError, ValueError) as error:
            self.problems.add(spot, getattr(error, "strerror", None) or str(error))
            return None
        self.digests[file.name] = hashlib.sha256(content).hexdigest()
        self.problems.errors += _faults(kind, file, content)
        return Attached(file.name, file_value(content), kind.holds(content) if kind.holds else frozenset())


def file_value(content: bytes) -> Fields:
    """What stands for a file of this content in a field that is compared."""
    return {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()[:DIGEST_DIGITS]}


def _faults(kind: AnyKind, file: File, content: bytes) -> Iterator[Problem]:
    """What the kind finds wrong with the content, as problems of that file."""
    for line, message in kind.check_file(content)[:MAX_PROBLEMS]:
        yield Problem(file.name, line, 1, "", _shown(message))


def _shown(message: str) -> str:
    """A message that may quote a stranger's file, on one line and without what nobody can see."""
    line = printable(message)
    return line if len(line) <= _MESSAGE_WIDTH else f"{line[: _MESSAGE_WIDTH - 3]}..."
