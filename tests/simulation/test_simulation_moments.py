"""What single worlds have shown, told one by one."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator

import pytest

from reconciler.errors import StateUnreadable
from reconciler.model.outcome import StepStatus
from reconciler.model.plan import Action, Plan
from reconciler.pipeline.applying import Applied, apply
from tests.simulation.schedule import Schedule
from tests.simulation.stories import TABLES, Case, by_hand
from tests.simulation.world import World, opened, quiet, take_over

pytestmark = pytest.mark.usefixtures("uncounted")

SEED = 4


@pytest.fixture
def world() -> Iterator[World]:
    """A world in which nothing goes wrong by itself."""
    with opened(Schedule(SEED)) as made:
        yield made


def new_case(world: World) -> tuple[str, Case]:
    """A test that the last generation adds: its project's name at the platform, and the test."""
    there = {json.loads(doc)["name"] for doc in world.platform.rows(TABLES[2]).values()}
    projects = {json.loads(doc)["name"] for doc in world.platform.rows(TABLES[0]).values()}
    return next(
        (team.former or team.name, case)
        for team in world.wishes.teams
        for case in team.cases
        if (team.former or team.name) in projects and case.name not in there and not case.former
    )


def test_a_name_that_is_taken_while_somebody_thinks_about_the_plan_is_not_made_twice(world: World) -> None:
    """The lists of the plan are too old when the create leaves, so they are read again: a stranger has the name now."""
    team, case = new_case(world)
    projects = {json.loads(doc)["name"]: key for key, doc in world.platform.rows(TABLES[0]).items()}

    def think(_: Plan) -> None:
        world.platform.later(0.0, lambda: world.platform.api("POST", f"/v1/projects/{projects[team]}/tests", taken))
        world.loop.skip(30.0)

    taken = by_hand(case.name)
    ended = world.loop.run_until_complete(world.run(world.process("run"), apply, disturbed=False, confirm=think))
    assert isinstance(ended, Applied)
    failed = [each for each in ended.outcomes if each.status is StepStatus.FAILED]
    assert [each.step_id.split(":")[0] for each in failed] == [Action.CREATE]
    assert "somebody has made a test of this name meanwhile" in failed[0].error
    named = [doc for doc in world.platform.rows(TABLES[2]).values() if json.loads(doc)["name"] == case.name]
    assert [json.loads(doc)["description"] for doc in named] == ["Not ours"]


def test_a_plan_that_is_carried_out_at_once_reads_nothing_again(world: World) -> None:
    """The proof of absence is the plan's own lists: between the writes nothing is read but tasks."""
    ended = world.loop.run_until_complete(world.run(world.process("run"), apply, disturbed=False))
    assert isinstance(ended, Applied)
    first_write = next(n for n, sent in enumerate(world.platform.sent) if not sent.what.startswith("GET"))
    last_write = max(n for n, sent in enumerate(world.platform.sent) if not sent.what.startswith("GET"))
    between = world.platform.sent[first_write:last_write]
    assert [sent.what for sent in between if sent.what.startswith("GET") and "background-tasks" not in sent.what] == []


@pytest.mark.parametrize("moment", range(8, 80, 6))
def test_who_is_robbed_of_the_lock_while_frozen_sends_no_write_any_more(moment: int) -> None:
    """Frozen at any moment, for longer than the successor needs: at most what was under way is carried out."""
    with opened(Schedule(moment)) as world:
        world.loop.run_until_complete(frozen_and_robbed(world, moment))


async def frozen_and_robbed(world: World, moment: int) -> None:
    frozen = world.loop.create_future()
    process = world.process("run", freezes={moment: 200.0}, on_freeze=frozen.set_result)
    world.parallelism = 4
    running = world.loop.create_task(world.run(process, apply, disturbed=False))
    await asyncio.wait([running, frozen], return_when=asyncio.FIRST_COMPLETED)
    if frozen.done():
        await asyncio.sleep(100.0)
        await take_over(world, process, "successor")
    ended = await running
    if world.broken_at:
        assert isinstance(ended, StateUnreadable | Applied)
        writes = [sent for sent in world.platform.sent if sent.who == "run" and not sent.what.startswith("GET")]
        assert [sent for sent in writes if sent.at > world.broken_at["run"]] == []
    await quiet(world)
