"""A run that dies at any moment is finished by the next one: nothing is made twice, nothing is lost."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from reconciler.errors import StateUnreadable

pytestmark = pytest.mark.usefixtures("uncounted")

MakeWorld = Callable[..., Any]
MakeDeath = Callable[..., Any]
Killed = type[BaseException]


@pytest.fixture
def moments(make_world: MakeWorld, make_death: MakeDeath) -> Callable[[int], list[str]]:
    """What can be struck in an undisturbed apply."""

    def of(parallelism: int) -> list[str]:
        world, death = make_world(parallelism=parallelism), make_death()
        world.apply(death)
        world.check()
        return list(death.moments)

    return of


def test_the_story_holds_every_kind_of_step(make_world: MakeWorld) -> None:
    """What the sweeps run over is not poorer than it says."""
    steps = make_world().plan().plan.pending
    assert sorted((step.action.value, "/".join(step.address.path[-2:])) for step in steps) == [
        ("archive", "monitoring/archived"),
        ("create", "bot/canary"),
        ("create", "development/newest"),
        ("create", "monitoring/first"),
        ("create", "monitoring/new"),
        ("create", "second"),
        ("create", "second/live"),
        ("delete", "bot/old"),
        ("rename", "monitoring/renamed"),
        ("replace", "monitoring/replaced"),
        ("replace", "monitoring/wide"),
        ("update", "bot"),
        ("update", "monitoring/back"),
        ("update", "monitoring/changed"),
    ]


def test_a_run_killed_at_any_moment_is_finished_by_the_next(
    make_world: MakeWorld, make_death: MakeDeath, moments: Callable[[int], list[str]], killed: Killed
) -> None:
    """Before and after every request, and before, within and after every write to the state."""
    count = len(moments(1))
    assert count > 100
    for at in range(count):
        world = make_world()
        with pytest.raises(killed):
            world.apply(make_death(at))
        world.converges(within=1)


def test_a_run_cancelled_in_any_turn_of_its_loop_is_finished_by_the_next(
    make_world: MakeWorld, make_turns: Callable[..., Any]
) -> None:
    """A second Ctrl-C: every tenth turn, and each of the last, in which what was done is folded and read back.

    How many turns there are is a matter of luck: threads write to the state meanwhile.
    """
    undisturbed = make_turns()
    make_world().apply_until(undisturbed)
    last = undisturbed.count - 40
    assert last > 100
    cancelled = 0
    for at in [*range(1, last, 10), *range(last, undisturbed.count)]:
        world = make_world()
        try:
            world.apply_until(make_turns(at))
        except asyncio.CancelledError:
            cancelled += 1
        world.converges(within=1)
    assert cancelled > last / 10


def test_a_busy_run_killed_at_any_moment_is_finished_by_the_next(
    make_world: MakeWorld, make_death: MakeDeath, moments: Callable[[int], list[str]], killed: Killed
) -> None:
    """The same with eight requests in flight; every fifth moment, for the sake of time.

    How many records share a write is a matter of luck, and so is which moment is the last one.
    """
    count, deaths = len(moments(8)), 0
    for at in range(0, count, 5):
        world = make_world(parallelism=8)
        try:
            world.apply(make_death(at))
        except killed:
            deaths += 1
        world.converges(within=1)
    assert deaths > count // 10


def test_a_run_that_mends_a_killed_run_may_be_killed_too(
    make_world: MakeWorld, make_death: MakeDeath, moments: Callable[[int], list[str]], killed: Killed
) -> None:
    """Two deaths in a row, at moments drawn with a fixed seed."""
    count, draw = len(moments(1)), random.Random(20261122)
    for _ in range(20):
        world = make_world()
        first, second = draw.randrange(10, count), draw.randrange(4, 60)
        with pytest.raises(killed):
            world.apply(make_death(first))
        with suppress(killed):  # the second run may need fewer moments than that
            world.apply(make_death(second))
        world.converges(within=1)


@pytest.mark.parametrize("record", ["intent openlayer.Project/second", "done openlayer.Project/second"])
def test_a_record_torn_at_any_byte_was_not_written(
    record: str, make_world: MakeWorld, make_death: MakeDeath, moments: Callable[[int], list[str]], killed: Killed
) -> None:
    """The state is what it was before the record, and the next run goes on from there."""
    at = next(number for number, name in enumerate(moments(1)) if name == f"after the journal: {record}")
    world = make_world()
    with pytest.raises(killed):
        world.apply(make_death(at))
    whole, after = world.journal.read_bytes(), world.load()
    start = whole.rstrip(b"\n").rindex(b"\n") + 1
    world.journal.write_bytes(whole[:start])
    before = world.load()
    assert before != after
    for cut in range(start, len(whole) - 1):  # without the line break alone it is whole
        world.journal.write_bytes(whole[:cut])
        assert world.load() == before
    world.converges(within=1)


def test_a_journal_cut_in_the_middle_is_not_believed(
    make_world: MakeWorld, make_death: MakeDeath, moments: Callable[[int], list[str]], killed: Killed
) -> None:
    """A line that is gone from between others is damage, not a crash: nothing is sent, exit 1."""
    last = len(moments(1)) - 2
    world = make_world()
    with pytest.raises(killed):
        world.apply(make_death(last))
    lines = world.journal.read_bytes().splitlines(keepends=True)
    world.journal.write_bytes(b"".join(lines[:3] + lines[4:]))
    before = len(world.requests)
    with pytest.raises(StateUnreadable, match=r"default\.journal\.jsonl: line 4"):
        world.apply()
    assert len(world.requests) == before
