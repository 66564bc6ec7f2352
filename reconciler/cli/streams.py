"""What the streams of the process are able to say.  Touches: stdout.

A locale, ``PYTHONIOENCODING`` or Windows may give them an encoding that has no letter for a name, and an answer that is
lost when all is done is worse than one that is spelled oddly.
"""

from __future__ import annotations

import codecs
import io
import sys


def spell_out() -> None:
    r"""Write what stdout's encoding has no letter for as ``\u2265``; where it never fails, nothing changes."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="backslashreplace")


def speak_utf8() -> None:
    """Answer in UTF-8, whatever stdout's encoding is: programs read what follows."""
    stream = sys.stdout
    if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
        stream.reconfigure(encoding="utf-8", errors="backslashreplace")
