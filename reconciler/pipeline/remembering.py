"""Keep what was measured, and look back at it.  Touches: the history.

A history that cannot be written is a warning: it must not fail a gate, nor keep ``status`` from working in a folder
that is read-only.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

from reconciler.errors import ReconcilerError, UsageInvalid
from reconciler.model.history import HistoryStore, Observation, observed
from reconciler.model.nearest import nearest
from reconciler.model.outcome import Verdict
from reconciler.model.places import parse_place
from reconciler.model.resource import Address
from reconciler.pipeline.session import Session
from reconciler.planning.selecting import meant
from reconciler.providers import KINDS
from reconciler.storage.history import open_history
from reconciler.storage.opening import FOLDER

PLACES = frozenset(kind.measuring.place for kind in KINDS.values() if kind.measuring is not None)
"""The kinds of what things are measured on."""

MOST_NAMES = 10
"""How many names a hint lists."""


async def remember(here: Session, verdicts: Iterable[Verdict]) -> None:
    """Keep these verdicts, each window and run by itself; notes it where that is not possible."""
    seen = here.clock.now()
    observations = [observed(each, seen) for verdict in verdicts for each in verdict.each]

    def keep() -> None:
        history(here).record(observations)

    try:
        await asyncio.to_thread(keep)
    except ReconcilerError as error:
        here.hooks.note(f"warning: this is not kept for later: {error.message}")


async def carry_over(here: Session, renamed: Sequence[tuple[Address, Address]]) -> None:
    """Give what was renamed its past: (former, address) in the order of the journal.

    What is alone in it was never measured, nor was anything inside it.
    """
    if not renamed:
        return

    def move() -> None:
        store = history(here)
        for former, address in renamed:
            store.moved(former, address)

    try:
        await asyncio.to_thread(move)
    except ReconcilerError as error:
        here.hooks.note(f"warning: the history stays with the former names: {error.message}")


def past(
    here: Session, addresses: Sequence[Address], limit: int | None = None
) -> Mapping[tuple[Address, str | None], Sequence[Observation]]:
    """What was observed of each of these on each pipeline, newest first, at most ``limit`` of each.

    A pair of which nothing is known is missing.  What is about to be judged may be among it already: a measurement
    is known by ``result_id`` and ``recorded``.  Raises StateUnreadable.
    """
    if not addresses:
        return {}
    found: dict[tuple[Address, str | None], list[Observation]] = defaultdict(list)
    for each in history(here).of(addresses, limit):
        found[each.address, each.pipeline].append(each)
    return dict(found)


def recorded(here: Session, patterns: Sequence[str], pipeline: str | None, limit: int) -> tuple[Observation, ...]:
    """What was observed of the tests that the globs name, newest window first, ``limit`` of each test and pipeline.

    Raises UsageInvalid, saying what is known, when nothing was recorded of one of them; StateUnreadable.
    """
    store = history(here)
    latest = store.of(limit=1)
    if not latest:
        raise UsageInvalid(
            f"nothing was recorded in the environment {here.environment} yet",
            hint="evaluate, status and apply --evaluate record what they show; --env names another environment",
        )
    chosen = {each.address for pattern in patterns or ["*"] for each in _matching(latest, pattern, pipeline)}
    found = store.of(sorted(chosen), limit)
    return tuple(each for each in found if pipeline in (None, each.pipeline))


def _matching(latest: Sequence[Observation], pattern: str, pipeline: str | None) -> list[Observation]:
    chosen = meant(pattern, {each.address for each in latest})
    named = [each for each in latest if each.address in chosen]
    if not named:
        raise UsageInvalid(f"nothing was recorded of {pattern}", hint=_suggestion(pattern, latest))
    there = [each for each in named if pipeline in (None, each.pipeline)]
    if not there:
        places = ", ".join(sorted({each.pipeline or "no pipeline" for each in named}))
        raise UsageInvalid(f"nothing was recorded of {pattern} on {pipeline}", hint=f"recorded is: {places}")
    return there


def _suggestion(pattern: str, latest: Sequence[Observation]) -> str:
    """The names that were meant, perhaps; else some of those that are known."""
    names = sorted({str(each.address) for each in latest})
    short = {name.partition("/")[2]: name for name in names}
    if near := nearest(pattern, [*names, *short]):
        return f"did you mean {short.get(near, near)}?"
    more = f" and {len(names) - MOST_NAMES:,} more" if len(names) > MOST_NAMES else ""
    return f"known are {', '.join(names[:MOST_NAMES])}{more}"


def history(here: Session) -> HistoryStore:
    """The history of the session's environment."""
    return history_at(here, here.state_url)


def history_at(here: Session, url: str | None) -> HistoryStore:
    """The history that belongs to a state at ``url``."""
    place = parse_place(url or FOLDER)
    folder = here.request.root / (place.path if place.scheme == "file" else FOLDER)
    return open_history(folder, here.environment, url, environ=here.settings.plain(), places=PLACES)
