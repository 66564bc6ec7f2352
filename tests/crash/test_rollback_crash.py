"""An apply that is verified and rolled back may die at any moment: the next run ends where the first would have."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from reconciler.errors import StalePlan
from reconciler.model.resource import Address
from tests.crash.conftest import AFTER, BEFORE, LIVE, project, rows

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


def as_written(made: Doc) -> Doc:
    """What people made, without what the platform dates and counts by itself."""
    moving = ("date", "Count", "status")

    def written(item: Doc) -> Doc:
        return {key: value for key, value in item.items() if not any(part in key for part in moving)}

    pipelines, tests = ([written(item) for item in made[key]] for key in ("pipelines", "tests"))
    return {"project": written(made["project"]), "pipelines": pipelines, "tests": tests}


def as_it_is(world: Any) -> None:
    """The manifests of the story."""


def renamed(world: Any, of: Doc) -> None:
    """A project like this one is to stand under another name."""
    (world.root / "bot.yaml").unlink(missing_ok=True)
    world.declare({**of, "metadata": {"name": "robot", "renamedFrom": "bot"}})


def renamed_all_over(world: Any) -> None:
    """The same changes in a project that gets another name, and what people made taken over, under another name too."""
    adopt = {"lifecycle": {"adopt": True}}
    test = rows("by machine", 4, renamedFrom="by hand", **adopt)
    renamed(world, {**AFTER, "spec": {**AFTER["spec"], "tests": [*AFTER["spec"]["tests"], test]}})
    taken = project("taken", "Ours now", [{**LIVE, "description": "Ours too", **adopt}], [rows("in it")])
    taken["metadata"]["renamedFrom"] = "theirs"
    world.declare({**taken, "spec": {**taken["spec"], **adopt}})


def is_put_back(world: Any, before: Any, verified: Any) -> None:
    """The very tests that were in use are, with their thresholds; what came on the way is archived or stays."""
    assert verified.put_back is not None
    assert verified.put_back.left == ()
    assert in_use(world) == before
    projects = world.projects()
    assert str(projects["bot"]["description"]).startswith("Answers [")
    assert world.pipelines(projects["bot"]) == ["canary", "live"]  # one was deleted for good, one was made and stays
    assert all(test["archived"] for test in world.tests(projects["second"]))
    assert as_written(world.made_by_hand()) == as_written(world.strangers)
    state = world.load()
    assert (state.unsettled, state.before, state.touched, state.in_doubt, state.tasks) == (False, {}, (), {}, {})


def test_a_renamed_project_is_put_back_with_all_that_happened_in_it(make_world: MakeWorld) -> None:
    """Also what was adopted in it or under a former name: it is called as people called it, and not ours again."""
    world = make_world()
    before, known = in_use(world), world.load().entries
    renamed_all_over(world)
    is_put_back(world, before, world.verify())
    entries = world.load().entries
    assert {each for each in entries.keys() - known.keys() if each.root != "second"} == {
        Address.parse(f"openlayer.{place}")
        for place in (
            "InferencePipeline/bot/canary",
            "Test/bot/development/newest",
            "Test/bot/monitoring/new",
        )
    }
    assert not any(test["archived"] is False for test in world.tests(world.projects()["theirs"]))


def test_what_a_second_apply_changes_in_a_project_that_the_first_renamed_is_put_back(
    make_world: MakeWorld, make_death: MakeDeath, killed: Killed
) -> None:
    """The first was killed right after the rename; by the second the manifests ask for more."""
    world, death = make_world(), make_death()
    renamed(world, BEFORE)
    world.verify(death)
    is_done = "after the journal: done openlayer.Project/robot"
    world = make_world()
    before = in_use(world)
    renamed(world, BEFORE)
    with pytest.raises(killed):
        world.verify(make_death(next(at for at, what in enumerate(death.moments) if what.startswith(is_done))))
    renamed_all_over(world)
    is_put_back(world, before, world.verify())


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


@pytest.mark.parametrize(
    ("story", "every"),
    [
        (as_it_is, 31),
        (renamed_all_over, 97),
        pytest.param(as_it_is, 1, marks=pytest.mark.simulation),
        pytest.param(renamed_all_over, 1, marks=pytest.mark.simulation),
    ],
)
def test_killed_at_any_moment_the_next_run_puts_it_back(
    story: Callable[[Any], None], every: int, make_world: MakeWorld, make_death: MakeDeath, killed: Killed
) -> None:
    """Between any two requests and writes; not at every moment, for the sake of time, but at each in a simulation."""
    world, death = make_world(), make_death()
    before = in_use(world)
    story(world)
    world.verify(death)
    count = len(death.moments)
    assert count > 250
    for at in range(count % every, count, every):
        world = make_world()
        story(world)
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


@pytest.mark.parametrize("every", [61, pytest.param(1, marks=pytest.mark.simulation)])
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


def test_a_plain_apply_that_finds_nothing_to_do_settles_one_that_was_killed(
    make_world: MakeWorld, make_death: MakeDeath, killed: Killed
) -> None:
    """As that would have been in the end: kept, and not verified.  One that does not look at all of it leaves it."""
    world, death = make_world(), make_death()
    world.apply(death)
    last = next(at for at, what in enumerate(death.moments) if what.startswith("before the journal: settled"))
    whole = world.load()
    world = make_world()
    with pytest.raises(killed):
        world.apply(make_death(last))
    cut_short = world.load()
    assert cut_short.unsettled
    assert world.apply(select=("second/*",)).outcomes == ()
    assert world.load().unsettled
    assert world.apply().outcomes == ()
    settled = world.load()
    assert (settled.unsettled, settled.unverified, settled.touched) == (False, True, whole.touched)
    assert world.apply().outcomes == ()
    assert world.load().serial == settled.serial


def test_what_was_to_be_verified_is_not_settled_by_a_plain_apply_that_finds_nothing_to_do(
    make_world: MakeWorld, make_death: MakeDeath, killed: Killed
) -> None:
    """Killed before its gate was judged, or before the way back; nor what a second run was asked to verify."""
    world, death = make_world(), make_death()
    before = in_use(world)
    world.verify(death)
    back = next(at for at, what in enumerate(death.moments) if what.startswith("before the journal: going_back"))
    world = make_world()
    with pytest.raises(killed):
        world.verify(make_death(back))
    assert world.apply().outcomes == ()
    assert world.load().unsettled
    is_put_back(world, before, world.verify())

    plain, death = make_world(), make_death()
    plain.apply(death)
    last = next(at for at, what in enumerate(death.moments) if what.startswith("before the journal: settled"))
    world = make_world()
    with pytest.raises(killed):
        world.apply(make_death(last))
    assert world.verify().evaluated is not None
    assert world.apply().outcomes == ()
    assert world.load().unsettled
    assert world.verify().evaluated is not None
