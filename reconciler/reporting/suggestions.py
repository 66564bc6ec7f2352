"""Turn a suggested limit into text with a patch, or into JSON.  Pure.

The patch is a unified diff of the manifest, which ``git apply`` takes with everything that stands before it.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

from reconciler.model.criteria import value_text
from reconciler.model.plan import FORMAT_VERSION
from reconciler.model.replay import Share, Suggestion, share_to_json
from reconciler.model.resource import Address
from reconciler.model.values import counted, format_duration
from reconciler.reporting.escape import terminal
from reconciler.reporting.lines import Line, Span, lay, line
from reconciler.reporting.machine import to_json
from reconciler.reporting.replays import interval, percent


class SuggestedLimit(Struct, frozen=True):
    """A suggestion, and what was asked: ``count`` flagged windows in ``period_s`` seconds, of ``look_back_s`` seconds.

    ``patch`` is a unified diff; without one ``unpatched`` says why, where there is anything to change.  Not ``whole``:
    there are more results than were read.
    """

    address: Address
    suggestion: Suggestion
    count: float
    period_s: int
    look_back_s: int
    patch: str = ""
    unpatched: str = ""
    whole: bool = True


def unified_diff(file: str, before: str, after: str) -> str:
    """The patch that turns one text of a file into the other, as git writes it."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), f"a/{file}", f"b/{file}"
    )
    return "".join(each if each.endswith("\n") else f"{each}\n\\ No newline at end of file\n" for each in lines)


def suggestion_text(made: SuggestedLimit, *, width: int, color: bool) -> str:
    """The limit, its evidence and the patch; or why there is no limit, and what is missing."""
    text = "\n".join(lay(_lines(made), width=width, color=color))
    # A patch must keep every space; what acts on a terminal cannot stand in a manifest.
    patch = "".join(f"{terminal(each)}\n" for each in made.patch.splitlines())
    return f"{text}\n\n{patch}" if patch else f"{text}\n"


def _lines(made: SuggestedLimit) -> Iterator[Line]:
    found = made.suggestion
    now = f"{found.measurement} {found.operator} {value_text(found.current)}"
    yield line(Span(f"{made.address}", "title", solid=True))
    if found.limit is None:
        yield line(f"no suggestion for {now}: ", Span(found.why, "warn"), indent=2)
        yield line("missing: ", found.missing, indent=2)
    elif found.limit == found.current:
        yield line(f"{now} is the strictest limit within the budget already", indent=2)
    else:
        yield line(f"{now} -> ", Span(f"{found.operator} {value_text(found.limit)}", "add"), indent=2)
    number = f"{found.per_period:.4g}"
    there = "there is 1 window" if number == "1" else f"there are {number} windows"
    yield line(f"budget: {_budget(made)}; {there} in that time", indent=2)
    looked = format_duration(made.look_back_s)
    if found.now is not None:
        yield line(f"now:  {_share(found.now)} in the last {looked}", indent=2)
    if found.then is not None and found.expected is not None:
        yield line(f"then: {_share(found.then)}; at the upper end {found.expected:.3g} in {_period(made)}", indent=2)
    if found.pins:
        yield line(f"keeps {counted(len(found.pins), 'pin')}: {', '.join(found.pins)}", indent=2)
    if not made.whole:
        yield line("there are more results in that time; only the first that the platform lists were read", indent=2)
    if made.unpatched:
        yield line("no patch: ", Span(made.unpatched, "warn"), indent=2)


def _share(share: Share) -> str:
    chance = f"{percent(share.share)}, at 95 % between {interval(share)}"
    return f"{share.flagged:,} of {share.windows:,} windows flagged ({chance})"


def _budget(made: SuggestedLimit) -> str:
    windows = "window" if made.count == 1 else "windows"
    return f"at most {made.count:g} flagged {windows} in {_period(made)}"


def _period(made: SuggestedLimit) -> str:
    return format_duration(made.period_s)


def suggestion_json(made: SuggestedLimit) -> str:
    """The same as plain data, unrounded.  ``limit`` is null when there is none."""
    found = made.suggestion
    data: dict[str, Any] = {
        "format_version": FORMAT_VERSION,
        "address": str(made.address),
        "measurement": found.measurement,
        "operator": found.operator,
        "current": found.current,
        "limit": found.limit,
        "why": found.why,
        "missing": found.missing,
        "budget": {"count": made.count, "period_s": made.period_s},
        "look_back_s": made.look_back_s,
        "per_period": found.per_period,
        "now": share_to_json(found.now),
        "then": share_to_json(found.then),
        "expected": found.expected,
        "pins": list(found.pins),
        "patch": made.patch,
        "unpatched": made.unpatched,
        "whole": made.whole,
    }
    return to_json(data)
