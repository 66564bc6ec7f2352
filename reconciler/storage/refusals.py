"""What every store says when it refuses, wherever it keeps the state.  Pure."""

from __future__ import annotations

from reconciler.errors import StalePlan, StateUnreadable, UsageInvalid
from reconciler.model.provider import Holder


def moved_on(where: str, found: tuple[str, int], began: tuple[str, int]) -> StalePlan:
    """Another run wrote meanwhile.  Both are a lineage and a serial: what is there, and what this run has read."""
    lineages = [lineage or "none" for lineage, _ in (found, began)]
    return StalePlan(
        f"another run wrote to {where}: it is at serial {found[1]} of lineage {lineages[0]}, this run started from "
        f"serial {began[1]} of lineage {lineages[1]}"
        + (" and an earlier point of its journal" if found == began else ""),
        hint="plan again",
    )


def lock_broken(lock_id: str, where: str, *, or_else: str = "") -> StateUnreadable:
    """The lock is not ours any more; ``or_else`` is what may have happened instead of somebody breaking it."""
    return StateUnreadable(
        f"the lock {lock_id} was broken while this run held it{or_else}; nothing more is written to {where}",
        hint="run again; what was written before that is kept",
    )


def require_held(holder: Holder | None, lock_id: str, where: str) -> None:
    """Raise UsageInvalid unless the lock to be broken is the one that is held."""
    if holder is None:
        raise UsageInvalid(f"no lock {lock_id} is held here: {where}", hint="there is nothing to unlock")
    if holder.lock_id != lock_id:
        raise UsageInvalid(f"the lock held here is another one: {holder}", hint="unlock by the id shown last")
