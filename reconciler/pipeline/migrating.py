"""Bring the state of an environment from the place where it was to the one that is named now.  Touches: both states.

The new place has everything, durably, before the old one says that it was moved; a run that is killed in between is
repeated.  What uses the old place still, such as a branch that is behind, is refused there: two states of the same
objects would each remove what the other one declares.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from reconciler.errors import UsageInvalid
from reconciler.model.state import State
from reconciler.model.values import counted
from reconciler.pipeline.locking import locked
from reconciler.pipeline.remembering import history_at
from reconciler.pipeline.session import Session


class Migrated(Struct, frozen=True):
    """What was brought: ``resources`` that are ours, ``in_doubt`` creates, and ``observations`` of the history."""

    former: str
    place: str
    resources: int
    in_doubt: int
    observations: int


async def migrate(here: Session, former_url: str) -> Migrated:
    """Bring state and history from ``former_url`` to the session's place, and close the former one.

    Raises UsageInvalid where there is nothing to bring and where the session's place has a state of its own,
    LockHeld when somebody is at work at one of them, SettingsInvalid for a place that cannot be used.
    """
    former, store = here.store_at(former_url), here.store
    if former.describe() == store.describe():
        raise UsageInvalid(
            f"{former.describe()} is where the state is",
            hint="name the new place first, in state.url of the Environment or RECONCILER_STATE_URL",
        )
    if _content(former.load()) == State():  # asked before the lock, which would make what is not there
        raise UsageInvalid(f"no state of the environment {here.environment} is at {former.describe()}")
    async with locked(here, "state migrate", former), locked(here, "state migrate"):
        state, there = former.load(), store.load()
        if _content(there) not in (State(), _content(state)):
            raise UsageInvalid(
                f"{store.describe()} has a state of its own, of {counted(len(there.entries), 'resource')}",
                hint="name a place where nothing is kept of this environment yet",
            )
        observations = history_at(here, here.state_url).record(history_at(here, former_url).of())
        store.commit(replace(state, lineage=there.lineage, serial=there.serial))
        former.commit(State(lineage=state.lineage, serial=state.serial, moved_to=store.describe()))
    return Migrated(former.describe(), store.describe(), len(state.entries), len(state.in_doubt), observations)


def _content(state: State) -> State:
    """What is remembered, whichever version of whatever state it is."""
    return replace(state, lineage="", serial=0)
