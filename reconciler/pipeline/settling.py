"""Remember that what was changed holds.  Touches: the state."""

from __future__ import annotations

from reconciler.model.state import Record, fold
from reconciler.pipeline.session import Session


def settle(here: Session) -> None:
    """Remember it of everything but what the given paths do not cover: that was not looked at."""
    state = here.store.load()
    left = [a for a in state.touched if a not in here.desired.resources and a in state.entries]
    kept: Record = {"record": "settled", "kept": True, "left": [str(address) for address in left]}
    here.store.append([kept])
    here.store.commit(fold(state, [kept]))
