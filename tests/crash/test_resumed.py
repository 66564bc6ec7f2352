"""A saved plan that was cut short is finished by ``--resume``, wherever its run died: what moved was its own doing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from reconciler.errors import StalePlan

pytestmark = pytest.mark.usefixtures("uncounted")

MakeWorld = Callable[..., Any]
MakeDeath = Callable[..., Any]
Killed = type[BaseException]
Doc = dict[str, Any]

WRITES = ("after POST", "after PUT", "after PATCH", "after DELETE", "after the journal")


def rows(name: str, least: float = 1, **fields: Any) -> Doc:
    threshold = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": least}
    return {"name": name, "type": "integrity", "subtype": "rowCount", "thresholds": [threshold], **fields}


def as_it_is(world: Any) -> None:
    """The manifests of the story."""


def renamed_all_over(world: Any) -> None:
    """A project, a pipeline and tests get new names, what they say changes as well, and a test of others is adopted."""
    for name in ("bot", "second"):
        (world.root / f"{name}.yaml").unlink()
    pipelines = [{"name": "main", "renamedFrom": "live", "description": "All of it"}, {"name": "old"}]
    tests = [
        rows("changed"),
        rows("formerly", 5, renamedFrom="former"),
        rows("replaced"),
        rows("wide", renamedFrom="narrow", evaluationWindow="24h"),
        rows("archived"),
        rows("back"),
        rows("by hand", 4, lifecycle={"adopt": True}),
    ]
    spec = {"taskType": "llm-base", "description": "Answers", "pipelines": pipelines, "tests": tests}
    metadata = {"name": "robot", "renamedFrom": "bot"}
    world.declare({"apiVersion": "openlayer/v1", "kind": "Project", "metadata": metadata, "spec": spec})


@pytest.mark.parametrize("story", [as_it_is, renamed_all_over])
def test_a_saved_plan_killed_after_any_write_is_resumed(
    story: Callable[[Any], None], make_world: MakeWorld, make_death: MakeDeath, killed: Killed
) -> None:
    """After every request that writes, and after every record."""

    def begun() -> tuple[Any, Doc]:
        world = make_world()
        story(world)
        return world, world.save_plan()

    death = make_death()
    world, saved = begun()
    world.apply_saved(saved, death)
    moments = [at for at, what in enumerate(death.moments) if what.startswith(WRITES)]
    first = next(at for at in moments if death.moments[at].startswith("after the journal: plan_started"))
    last = next(at for at in moments if "plan_applied" in death.moments[at])
    stale = []
    for at in [each for each in moments if first <= each < last]:
        world, saved = begun()
        with pytest.raises(killed):
            world.apply_saved(saved, make_death(at))
        try:
            applied = world.apply_saved(saved, resumed=True)
        except StalePlan as error:
            stale.append((death.moments[at], str(error)))
            continue
        assert {outcome.status for outcome in applied.outcomes} <= {"done"}
        assert world.plan().plan.is_empty
        assert world.load().started == ""
    assert stale == []
