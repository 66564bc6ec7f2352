"""The word that was probably meant.  Pure, and quick to import: the command line asks, too."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

NEAR = 0.7
"""How alike two words must be for one to be suggested, as difflib counts it."""


def nearest(word: str, known: Iterable[str], near: float = NEAR) -> str:
    """The known word that was probably meant, whatever its case; "" when none is near."""
    by_fold = {each.casefold(): each for each in known}
    turned = [each for each in by_fold if sorted(each) == sorted(word)]  # "=>" is ">=", however near ">" may be
    close = turned or difflib.get_close_matches(word.casefold(), by_fold, 1, near)
    return by_fold[close[0]] if close else ""


def did_you_mean(word: str, known: Iterable[str], near: float = NEAR) -> str:
    """``did you mean "..."?``, "" when none is near."""
    found = nearest(word, known, near)
    return f'did you mean "{found}"?' if found else ""
