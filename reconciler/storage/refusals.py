"""What every store says when it refuses, wherever it keeps the state.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from reconciler.errors import StalePlan, StateUnreadable, UsageInvalid
from reconciler.model.provider import Holder
from reconciler.model.state import State
from reconciler.storage.encoding import SIZE_CAP, Position


@contextmanager
def named(where: str, hint: str) -> Iterator[None]:
    """Put the place in front of what is wrong with its content, and ``hint`` beside it where it says none."""
    try:
        yield
    except StateUnreadable as error:
        raise StateUnreadable(f"{where}: {error.message}", hint=error.hint or hint) from error


def require_small(content: bytes, where: str) -> None:
    """Raise StateUnreadable for what ``load`` would not read again."""
    if len(content) > SIZE_CAP:
        raise StateUnreadable(f"{where}: {len(content):,} bytes are more than the {SIZE_CAP:,} a state may have")


def moved_on(where: str, found: Position, began: Position | State) -> StalePlan:
    """Another run wrote meanwhile: what is there is not what this run has read."""
    is_same_snapshot = (found.lineage, found.serial) == (began.lineage, began.serial)
    return StalePlan(
        f"another run wrote to {where}: it is at serial {found.serial} of lineage {found.lineage or 'none'}, this run "
        f"started from serial {began.serial} of lineage {began.lineage or 'none'}"
        + (" and an earlier point of its journal" if is_same_snapshot else ""),
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
