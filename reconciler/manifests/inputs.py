"""Tell whether a file is one that a run over manifests reads.  Touches: disk, reading only.

For whoever is about to write to it: a manifest that is taken away counts as gone, and what it declared with it.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

import yaml

from reconciler.manifests.files import IGNORE_FILE, File, discover, read_file


def read_as(real: Path, paths: Sequence[str | Path], root: Path) -> str:
    """What the file is to a run over the manifests under ``paths``; empty for one that it does not read.

    ``real`` is where it really is.  What a manifest names is known as far as it stands there without variables.  Raises
    UsageInvalid for a path that does not exist.
    """
    if not real.is_file():
        return ""
    if real.name == IGNORE_FILE:
        return "it says what is no manifest"
    files = discover(paths, root).files
    if any(file.path == real for file in files):
        return "one of the manifests of this run"
    naming = next((file for file in files if _names(file, real, root)), None)
    return f"named in {naming.name}" if naming else ""


def _names(file: File, real: Path, root: Path) -> bool:
    """Whether the manifest holds the way to a file, from its own folder or from the root."""
    try:
        content = read_file(file)
    except (OSError, ValueError):
        return False  # whoever reads the manifests says so
    if real.name.encode("utf-8", "surrogateescape") not in content:
        return False
    folders = (file.path.parent, root)
    return any(os.path.realpath(folder / text) == str(real) for text in _scalars(content) for folder in folders)


def _scalars(content: bytes) -> Iterator[str]:
    """The values in YAML that can be paths, up to where it is no YAML any more."""
    with suppress(yaml.YAMLError, UnicodeDecodeError):
        for token in yaml.scan(content.decode("utf-8"), Loader=yaml.SafeLoader):
            if isinstance(token, yaml.ScalarToken) and "\0" not in token.value:
                yield token.value
