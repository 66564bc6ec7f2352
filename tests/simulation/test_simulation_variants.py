"""The simulation notices when a part of the algorithm is missing: each part is needed, and each is watched."""

from __future__ import annotations

from contextlib import nullcontext

import pytest

from tests.simulation import variants
from tests.simulation.variants import Variant, caught

pytestmark = pytest.mark.usefixtures("uncounted")

SOON: dict[Variant, tuple[int, str]] = {
    variants.blind_resend: (130, "is there 2 times"),
    variants.no_wait: (0, "is there 2 times"),
    variants.no_intents: (60, "is there 2 times"),
    variants.no_fence: (20, "lost the lock"),
    variants.torn_line_is_damage: (0, "StateUnreadable"),
    variants.snapshot_in_place: (20, "this is not JSON"),
    variants.first_pages_are_believed: (510, "is there 2 times"),
}
"""Variant -> the seed to begin with, which is near one that catches it, and how it is caught."""

SOON_WITHIN = 100

LATER: dict[Variant, tuple[int, str]] = {
    variants.no_results: (100, ""),
    variants.lying_errors_believed: (1000, ""),
    variants.no_marker: (1000, ""),
    variants.no_second_question: (1000, "lost the lock"),
    variants.window_from_the_journal: (1000, ""),
    variants.lists_are_believed: (1000, ""),
    variants.window_from_sending: (5000, "is there 2 times"),
    variants.clock_after_list: (10000, ""),
}


def name(variant: Variant) -> str:
    return getattr(variant, "__name__", "")


@pytest.mark.parametrize("variant", SOON, ids=name)
def test_a_broken_algorithm_is_caught_soon(variant: Variant) -> None:
    start, how = SOON[variant]
    found = caught(variant, SOON_WITHIN, start=start)
    assert found is not None
    assert how in found.how


@pytest.mark.simulation
@pytest.mark.parametrize("variant", LATER, ids=name)
def test_a_broken_algorithm_is_caught(variant: Variant) -> None:
    within, how = LATER[variant]
    found = caught(variant, within)
    assert found is not None
    assert how in found.how


@pytest.mark.simulation
def test_a_platform_that_is_later_than_the_window_is_noticed() -> None:
    """The window is what the promise rests on: beyond it there may be a second one, and the simulation sees it."""
    found = caught(nullcontext, 1000, handled_within_s=120.0)
    assert found is not None
    assert "is there 2 times" in found.how
