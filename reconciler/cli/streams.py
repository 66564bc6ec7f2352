"""What the streams of the process are able to say, and where they lead.  Touches: stdout; disk, reading only.

A locale, ``PYTHONIOENCODING`` or Windows may give them an encoding that has no letter for a name, and an answer that is
lost when all is done is worse than one that is spelled oddly.
"""

from __future__ import annotations

import codecs
import io
import os
import sys
from contextlib import suppress


def spell_out() -> None:
    r"""Write what stdout's encoding has no letter for as ``\u2265``; where it never fails, nothing changes."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def speak_utf8() -> None:
    """Answer in UTF-8, whatever stdout's encoding is: programs read what follows."""
    stream = sys.stdout
    if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")


def is_stream(path: os.PathLike[str]) -> bool:
    """Whether this leads to the log that our output or our messages are written to: ``/dev/stderr`` in a CI job."""
    for descriptor in (1, 2):
        with suppress(OSError):
            if os.path.samestat(os.stat(path), os.fstat(descriptor)):  # noqa: PTH116 - not worth loading pathlib first
                return True
    return False
