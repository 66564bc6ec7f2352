"""Whatever goes wrong, and whenever a process dies or freezes: at most two more runs, and everything is in order.

In order means (``world.World.check``): the plan is empty; everything wanted is there once, as it was wanted, and in the
state; nothing else of ours is active; what people made is as they left it, byte for byte; no evaluation was started
twice; who lost the lock wrote nothing more; the key is in nothing that was written or said.
"""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest

from tests.simulation.world import Broken, Tally, live_through, shrunk

pytestmark = pytest.mark.usefixtures("uncounted")

CHUNK = 20
USUAL = 100
MANY = int(os.environ.get("RECONCILER_SIMULATIONS", "10000"))
FIRST_OF_MANY = 1_000_000
"""The many are other seeds than the usual ones."""

Keep = Callable[[Tally], None]


def live_through_all(seeds: range) -> Tally:
    """Live through every seed.  The first that breaks is shrunk, and told together with how to repeat it."""
    tally = Tally()
    for seed in seeds:
        try:
            tally.add(live_through(seed).tally)
        except Broken:
            muted, told = shrunk(seed)
            numbers = " ".join(map(str, sorted(muted)))
            pytest.fail(f"repeat it with: python -m tests.simulation.repeat {seed} {numbers}\n{told}", pytrace=False)
    return tally


@pytest.mark.parametrize("start", range(0, USUAL, CHUNK))
def test_every_world_ends_in_order(start: int, keep_figures: Keep) -> None:
    tally = live_through_all(range(start, start + CHUNK))
    assert tally.worlds == CHUNK
    assert tally.kills > 0
    assert tally.faults.total() > CHUNK
    keep_figures(tally)


@pytest.mark.simulation
@pytest.mark.parametrize("start", range(FIRST_OF_MANY, FIRST_OF_MANY + MANY, CHUNK))
def test_many_worlds_end_in_order(start: int, keep_figures: Keep) -> None:
    """``RECONCILER_SIMULATIONS`` says how many (default 10,000)."""
    keep_figures(live_through_all(range(start, min(start + CHUNK, FIRST_OF_MANY + MANY))))


@pytest.mark.parametrize("seed", [8, 1534, 1649, 10556, 1000834, 1000257, 1001214, 1002295, 1004443, 1007961])
def test_worlds_that_have_broken_once_end_in_order(seed: int, keep_figures: Keep) -> None:
    """Twins of what a list had left out, of what was copied, of what was replaced; a name taken meanwhile."""
    keep_figures(live_through_all(range(seed, seed + 1)))


@pytest.mark.parametrize("seed", [3, 14, 15])
def test_one_seed_is_one_world(seed: int) -> None:
    """The same seed gives the same events at the same times, so that what broke can be looked at again."""
    assert live_through(seed).trace == live_through(seed).trace


def test_a_disturbance_can_be_left_out() -> None:
    """Muting by number is what shrinking rests on: what is muted does not happen, and the world still ends in order."""
    seed = next(seed for seed in range(50) if live_through(seed).tally.kills)
    hits = live_through(seed).schedule.hits
    deaths = frozenset(number for number, hit in enumerate(hits) if "death" in hit)
    assert live_through(seed, muted=deaths).tally.kills == 0
