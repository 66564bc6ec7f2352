"""An apply that is verified and rolled back may die at any moment: the next run ends where the first would have."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from reconciler.errors import StalePlan

pytestmark = pytest.mark.usefixtures("uncounted")

MakeWorld = Callable[..., Any]
MakeDeath = Callable[..., Any]
Killed = type[BaseException]
Doc = dict[str, Any]


def in_use(world: Any) -> dict[str, list[tuple[str, str, Any]]]:
    """Project -> (id, name, thresholds) of its tests that are not archived; by-hand ones too."""
    return {
        name: sorted(
            (test["id"], test["name"], test["thresholds"]) for test in world.tests(project) if not test["archived"]
        )
        for name, project in world.projects().items()
        if name != "second"  # it was made on the way, and stays
    }


def is_put_back(world: Any, before: Any, verified: Any) -> None:
    """The very tests that were in use are, with their thresholds; what came on the way is archived or stays."""
    assert verified.put_back is not None
    assert verified.put_back.left == ()
    assert in_use(world) == before
    projects = world.projects()
    assert str(projects["bot"]["description"]).startswith("Answers [")
    assert world.pipelines(projects["bot"]) == ["canary", "live"]  # one was deleted for good, one was made and stays
    assert all(test["archived"] for test in world.tests(projects["second"]))
    assert world.made_by_hand() == world.strangers
    state = world.load()
    assert (state.unsettled, state.before, state.touched, state.in_doubt, state.tasks) == (False, {}, (), {}, {})


def test_everything_that_can_be_is_put_back(make_world: MakeWorld) -> None:
    """Updates, renames, replaces, archives, un-archives and creates at once; then the manifests are pending again."""
    world = make_world()
    before, first = in_use(world), [step.id for step in world.plan().plan.pending]
    verified = world.verify()
    is_put_back(world, before, verified)
    again = [step.id for step in world.plan().plan.pending]
    made = (
        "openlayer.Project/second",
        "openlayer.InferencePipeline/second/live",
        "openlayer.InferencePipeline/bot/canary",
    )
    done = {f"create:{each}" for each in made} | {"delete:openlayer.InferencePipeline/bot/old"}
    came_back = [each.replace("create:openlayer.Test", "update:openlayer.Test") for each in first if each not in done]
    assert sorted(again) == sorted(came_back)


@pytest.mark.parametrize("every", [31, pytest.param(1, marks=pytest.mark.simulation)])
def test_killed_at_any_moment_the_next_run_puts_it_back(
    every: int, make_world: MakeWorld, make_death: MakeDeath, killed: Killed
) -> None:
    """Between any two requests and writes; not at every moment, for the sake of time, but at each in a simulation."""
    world, death = make_world(), make_death()
    before = in_use(world)
    world.verify(death)
    count = len(death.moments)
    assert count > 250
    for at in range(count % every, count, every):
        world = make_world()
        with suppress(killed):
            world.verify(make_death(at))
        is_put_back(world, before, world.verify())


def test_a_roll_back_may_be_killed_twice(make_world: MakeWorld, make_death: MakeDeath, killed: Killed) -> None:
    """Two deaths on the way back, and then a run that is left alone."""
    world, death = make_world(), make_death()
    before = in_use(world)
    world.verify(death)
    back = next(n for n, what in enumerate(death.moments) if "before the journal: done" in what and n > 200)
    for first, second in ((back, 12), (back + 9, 40), (back + 21, 150)):
        world = make_world()
        with pytest.raises(killed):
            world.verify(make_death(first))
        with suppress(killed):
            world.verify(make_death(second))
        is_put_back(world, before, world.verify())


@pytest.mark.parametrize("every", [31, pytest.param(1, marks=pytest.mark.simulation)])
def test_a_saved_plan_killed_at_any_moment_is_resumed_and_put_back(
    every: int, make_world: MakeWorld, make_death: MakeDeath, killed: Killed
) -> None:
    """Once it is begun ``--resume`` takes it up wherever it died, also half way back; once it is settled, never."""
    world, death = make_world(), make_death()
    before = in_use(world)
    world.verify(death, world.save_plan())
    begun = next(at for at, what in enumerate(death.moments) if what.startswith("after the journal: plan_started"))
    for at in range(len(death.moments) - 1, begun, -every):
        world = make_world()
        saved = world.save_plan()
        with suppress(killed):
            world.verify(make_death(at), saved)
        if world.load().unsettled:
            is_put_back(world, before, world.verify(None, saved, resumed=True))
        with pytest.raises(StalePlan, match="applied already"):
            world.verify(None, saved, resumed=True)
