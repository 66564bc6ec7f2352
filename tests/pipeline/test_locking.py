"""Waiting for the lock of another run: how long, how often, what is said, and what ends it.  Virtual time."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest
from msgspec.structs import replace

from reconciler.errors import Interrupted, LockHeld
from reconciler.pipeline.locking import locked
from reconciler.pipeline.session import Hooks, Request, Session, session
from reconciler.settings import Settings
from reconciler.storage.file import FileStore
from tests.virtual_time import VirtualClock

PIPELINE = Path(__file__).resolve().parents[2] / "reconciler" / "pipeline"


def other_run(folder: Path) -> FileStore:
    return FileStore(
        folder / ".reconciler", "local", now=lambda: datetime(2026, 11, 22, tzinfo=UTC), job="https://ci/7"
    )


def run(folder: Path, timeout_s: float, prepare: Callable[[Session, VirtualClock], None], notes: list[str]) -> str:
    """Hold the lock for a moment; returns the operation it was held for."""

    async def main() -> str:
        request = Request(environment="local", root=folder, lock_timeout_s=timeout_s)
        async with session(request, Settings(), Hooks(note=notes.append), manifests=False) as here:
            clock = VirtualClock()
            here.clock = clock
            prepare(here, clock)
            async with locked(here, "apply") as holder:
                assert here.store.holder() == holder
                return holder.operation

    return asyncio.run(main())


def test_a_free_lock_is_taken_at_once(tmp_path: Path) -> None:
    notes: list[str] = []
    assert run(tmp_path, 300, lambda _, clock: clock.at.update({0.0: pytest.fail}), notes) == "apply"
    assert notes == []
    assert other_run(tmp_path).holder() is None


def test_a_signal_that_came_while_the_lock_was_taken_ends_the_run_at_once(tmp_path: Path) -> None:
    """A store that answers late keeps the loop from hearing of it; nothing is begun then, and the lock is freed."""

    def check() -> None:
        raise Interrupted("interrupted")

    def late(here: Session, _: VirtualClock) -> None:
        here.hooks = replace(here.hooks, check=check)

    with pytest.raises(Interrupted):
        run(tmp_path, 0, late, [])
    assert other_run(tmp_path).holder() is None


def test_without_a_timeout_nobody_waits(tmp_path: Path) -> None:
    notes: list[str] = []
    with other_run(tmp_path).lock("destroy"), pytest.raises(LockHeld, match=r"^another run holds the lock"):
        run(tmp_path, 0, lambda _, clock: clock.at.update({0.0: pytest.fail}), notes)
    assert notes == []


def test_a_lock_that_is_freed_in_time_is_taken_and_who_had_it_is_told_once(tmp_path: Path) -> None:
    notes: list[str] = []
    holding = other_run(tmp_path).lock("destroy")
    holder = holding.__enter__()
    clocks: list[VirtualClock] = []

    def prepare(_: Session, clock: VirtualClock) -> None:
        clock.at[100.0] = lambda: holding.__exit__(None, None, None)
        clocks.append(clock)

    assert run(tmp_path, 300, prepare, notes) == "apply"
    assert notes == [f"waiting up to 5m: another run holds the lock: {holder}"]
    assert 100 <= clocks[0].passed <= 102
    assert clocks[0].slept[:5] == [0.25, 0.5, 1.0, 2.0, 2.0]


def test_when_the_time_is_over_the_error_names_the_holder_and_how_long_it_was_waited(tmp_path: Path) -> None:
    clocks: list[VirtualClock] = []
    with other_run(tmp_path).lock("destroy") as holder, pytest.raises(LockHeld) as caught:
        run(tmp_path, 90, lambda _, clock: clocks.append(clock), [])
    assert caught.value.message == f"after 90s, another run holds the lock: {holder}"
    assert caught.value.hint == (
        "wait for it: --lock-timeout 5m. It is held until its process ends; to break the lock of a run that is stuck "
        f"or dead: reconciler state unlock {holder.lock_id}"
    )
    assert clocks[0].passed == 90


def test_a_run_that_is_told_to_stop_waits_no_longer(tmp_path: Path) -> None:
    def prepare(here: Session, clock: VirtualClock) -> None:
        clock.at[5.0] = here.stop.set

    with other_run(tmp_path).lock("destroy"), pytest.raises(Interrupted, match="nothing was changed"):
        run(tmp_path, 300, prepare, [])


def test_a_holder_reads_as_a_sentence(tmp_path: Path) -> None:
    with other_run(tmp_path).lock("destroy") as holder:
        assert re.fullmatch(
            r".+ \(pid \d+ on .+, destroy\) since 2026-11-22T00:00:00\+00:00, https://ci/7, lock [0-9a-f]{12}",
            str(holder),
        )


def test_whoever_takes_the_lock_can_be_made_to_wait_for_it() -> None:
    """Nothing in the pipeline takes the lock but the one place that waits."""
    takers = {path.name for path in PIPELINE.glob("*.py") if ".lock(" in path.read_text(encoding="utf-8")}
    assert takers == {"locking.py"}
