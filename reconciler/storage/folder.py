"""The local folder of a run: state, history, the emulator's data.  Touches: disk."""

from __future__ import annotations

import os
from pathlib import Path


def make_private(folder: Path) -> None:
    """Make the folder for this user only and hide it from git; one that is there is the user's and stays as it is.

    Raises OSError.
    """
    if folder.is_dir():
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    (folder / ".gitignore").write_text("*\n", encoding="ascii")
    sync(folder.parent)


def sync(folder: Path) -> None:
    """Return when names that were made or replaced in the folder are on the disk.  Raises OSError."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
