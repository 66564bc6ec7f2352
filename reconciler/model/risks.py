"""What may be acknowledged, and denied: the words of ``--ack`` and ``--deny``, and of an Environment's policy."""

from __future__ import annotations

from typing import Literal, get_args

Risk = Literal["archive", "delete", "replace", "loosen"]
Deniable = Literal["loosened", "redefined", "moved", "tightened"]
RISKS: tuple[str, ...] = get_args(Risk)
DENIABLE: tuple[str, ...] = get_args(Deniable)
