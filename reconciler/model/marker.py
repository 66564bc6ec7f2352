"""The ownership marker: an operation id at the end of a description.  Pure.

``"Live traffic [reconciler:k5f2...]"``: 128 random bits, made once per intended create, so that an object whose
create reply was lost can be told from a stranger's.  It is cut off before diffing, display and export.
"""

from __future__ import annotations

import re

_MARKER = re.compile(r" ?\[reconciler:([a-z2-7]{26})\]\s*$")
"""With the one space that ``sign`` puts before it: other white space there is the text's own."""


def sign(text: str | None, op: str | None, *, limit: int | None = None) -> str | None:
    """``text`` with the marker of ``op`` behind it; unchanged without an op, or where it would pass ``limit``.

    ``limit`` is in characters.  An object that cannot carry the marker is recognised by its unique name instead.
    """
    if op is None:
        return text
    signed = f"{text} [reconciler:{op}]" if text else f"[reconciler:{op}]"
    return text if limit is not None and len(signed) > limit else signed


def split(text: str | None) -> tuple[str | None, str | None]:
    """The text without its marker, and the marker's operation id; (text, None) where there is no marker.

    >>> split("Live traffic [reconciler:abcdefghijklmnopqrstuvwxyz]")
    ('Live traffic', 'abcdefghijklmnopqrstuvwxyz')
    """
    found = _MARKER.search(text or "")
    return ((text or "")[: found.start()], found[1]) if found else (text, None)
