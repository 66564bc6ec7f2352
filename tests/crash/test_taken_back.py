"""A run dies, and the manifests that it was about are taken back before the next one: nothing it made stays in use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

pytestmark = pytest.mark.usefixtures("uncounted")

MakeWorld = Callable[..., Any]
MakeDeath = Callable[..., Any]
Killed = type[BaseException]

WANTED = ["archived", "changed", "former", "narrow", "replaced"]


def taken_back(world: Any, **edit: Any) -> None:
    """The manifests are what they were before, but for an edit of each test."""
    world.declare_former(**edit)
    world.apply()
    is_settled(world)


def is_settled(world: Any) -> None:
    """There is nothing to do, what is wanted is there once, and nothing is in doubt but what is kept."""
    left = world.plan()
    assert [(step.id, step.reason) for step in left.plan.pending] == []
    assert left.plan.refusals == ()
    assert left.plan.warnings == ()
    assert left.state.in_doubt.keys() <= {step.address for step in left.plan.steps if step.action.value == "keep"}
    assert [address for address in left.state.in_doubt if address.kind == "openlayer.Test"] == []
    there = world.tests(world.projects()["bot"])
    assert sorted(test["name"] for test in there if not test["archived"]) == sorted([*WANTED, "by hand"])
    assert world.made_by_hand() == world.strangers


@pytest.fixture
def count(make_world: MakeWorld, make_death: MakeDeath) -> int:
    """How many moments there are to die at."""
    death = make_death()
    make_world().apply(death)
    return len(death.moments)


@pytest.fixture
def died(make_world: MakeWorld, make_death: MakeDeath, killed: Killed) -> Callable[[int], Any]:
    """A world whose first apply died at a moment."""

    def at(moment: int) -> Any:
        world = make_world()
        with pytest.raises(killed):
            world.apply(make_death(moment))
        return world

    return at


def test_taken_back_after_a_death_at_any_moment(count: int, died: Callable[[int], Any]) -> None:
    """No twin is in use, and nothing is in doubt; every fourth moment, for the sake of time."""
    for at in range(0, count, 4):
        taken_back(died(at))


def test_taken_back_and_edited_after_a_death_at_any_moment(count: int, died: Callable[[int], Any]) -> None:
    """What is written down of the old object does not end the doubt about the new one."""
    for at in range(1, count, 6):
        taken_back(died(at), least=3)


def test_destroyed_after_a_death_at_any_moment(count: int, died: Callable[[int], Any]) -> None:
    """Nothing that a run has made stands in the way; what people made inside is gone first."""
    for at in range(2, count, 6):
        world = died(at)
        world.declare_former()
        (test,) = world.strangers["tests"]
        world.api("DELETE", f"/tests/{test['id']}")
        world.destroy()
        assert list(world.projects()) == ["theirs"]
        assert world.load().in_doubt == {}


@pytest.mark.parametrize("name", ["replaced", "new"])
def test_what_no_list_shows_yet_is_waited_for(
    name: str, make_world: MakeWorld, make_death: MakeDeath, killed: Killed
) -> None:
    """The doubt stays until the window is over, whether the old object is there or there was none."""
    death = make_death()
    make_world().apply(death)
    at = death.moments.index(f"after the journal: intent openlayer.Test/bot/monitoring/{name}") + 2
    assert death.moments[at].startswith("after POST")
    world = make_world()
    world.fail({"method": "POST", "path": "/v1/projects/*/tests", "action": "lag", "reads": 3})
    with pytest.raises(killed):
        world.apply(make_death(at))
    world.declare_former()
    applied = world.apply()
    told = [outcome.error for outcome in applied.outcomes if outcome.status == "failed"]
    assert told == ["what the unanswered create made shows at the platform after all"]
    world.apply()
    is_settled(world)
