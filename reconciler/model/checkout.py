"""Name the files of a run from the top of the checkout, where every folder of it calls them the same.  Pure.

Messages name files from the working directory; what outlives the run, and may be read from another folder, does not.
``home`` is the way from the top of the checkout to the working directory: ``.`` where there is none.
"""

from __future__ import annotations

import posixpath


def from_top(home: str, name: str) -> str:
    """A name from the working directory, as one from the top."""
    return name if home == "." else posixpath.normpath(posixpath.join(home, name))


def from_home(home: str, name: str) -> str:
    """The inverse of ``from_top``."""
    return name if home == "." or name.startswith("/") else posixpath.relpath(name, home)
