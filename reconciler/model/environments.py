"""What an environment may be called: files, keys and rows are named after it.  Pure."""

from __future__ import annotations

import re

from reconciler.errors import UsageInvalid

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


def is_environment_name(text: str) -> bool:
    """Whether an environment may be called so: such a name leads out of no folder and hides no file."""
    return _NAME.fullmatch(text) is not None


def require_environment_name(text: str) -> None:
    """Raise UsageInvalid unless an environment may be called so."""
    if not is_environment_name(text):
        raise UsageInvalid(
            f"{text!r} cannot be the name of an environment",
            hint="use up to 64 letters, digits, dots, dashes and underscores, and begin with a letter or a digit",
        )
