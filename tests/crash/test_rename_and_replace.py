"""A new name and a change that needs a new object, at once: the memory moves along, wherever the run dies."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from reconciler.errors import RefusedByPolicy
from reconciler.model.resource import Address

pytestmark = pytest.mark.usefixtures("uncounted")

MakeWorld = Callable[..., Any]
MakeDeath = Callable[..., Any]
Killed = type[BaseException]
Doc = dict[str, Any]

NARROW = Address.parse("openlayer.Test/bot/monitoring/narrow")
WIDE = Address.parse("openlayer.Test/bot/monitoring/wide")


def struck(name: str, make_world: MakeWorld, make_death: MakeDeath, killed: Killed) -> Any:
    """A world whose apply died at the moment of this name."""
    death = make_death()
    make_world().apply(death)
    world = make_world()
    with pytest.raises(killed):
        world.apply(make_death(death.moments.index(name)))
    return world


def test_the_memory_of_the_former_name_goes_along(make_world: MakeWorld) -> None:
    """One apply, and nothing is remembered under the name that nothing has any more."""
    world = make_world()
    world.apply()
    known = world.load()
    assert NARROW not in known.entries
    assert WIDE in known.entries
    world.converges(within=1)


@pytest.mark.parametrize(
    "moment",
    [
        "after the journal: intent openlayer.Test/bot/monitoring/wide",
        "before the journal: renamed openlayer.Test/bot/monitoring/wide",
        "within the journal: renamed openlayer.Test/bot/monitoring/wide",
        "after the journal: renamed openlayer.Test/bot/monitoring/wide",
        "before the journal: done openlayer.Test/bot/monitoring/wide",
        "after the journal: done openlayer.Test/bot/monitoring/wide",
    ],
)
def test_a_run_killed_between_two_records_is_finished_by_the_next(
    moment: str, make_world: MakeWorld, make_death: MakeDeath, killed: Killed
) -> None:
    """Whether the object is there already, remembered already, or only meant to be made."""
    struck(moment, make_world, make_death, killed).converges(within=1)


def test_a_create_that_is_refused_leaves_the_memory_as_it_was(make_world: MakeWorld) -> None:
    """Who takes the change back finds the very test that was there."""
    world = make_world()
    before = world.load().entries[NARROW]
    world.fail({"method": "POST", "path": "/v1/projects/*/tests", "action": "status", "status": 422})
    world.apply()
    world.fail()
    assert world.load().entries[NARROW] == before
    assert world.load().in_doubt == {}
    world.converges(within=1)


def test_a_new_name_that_is_taken_back_while_its_create_is_in_doubt(
    make_world: MakeWorld, make_death: MakeDeath, killed: Killed
) -> None:
    """The old test stays what it was, and what the unanswered create made is archived."""
    world = struck("before the journal: renamed openlayer.Test/bot/monitoring/wide", make_world, make_death, killed)
    manifest = json.loads((world.root / "bot.yaml").read_text(encoding="utf-8"))
    tests = manifest["spec"]["tests"]
    manifest["spec"]["tests"] = [row_count("narrow") if each["name"] == "wide" else each for each in tests]
    world.declare(manifest)
    world.apply()
    assert world.plan().plan.is_empty
    names = {test["name"]: test["archived"] for test in world.tests(world.projects()["bot"])}
    assert (names["narrow"], names["wide"]) == (False, True)


@pytest.mark.parametrize("reads", [1, 3, 6])
def test_a_rename_of_what_no_list_shows_yet(reads: int, make_world: MakeWorld) -> None:
    """Nothing is made under the new name: the object is waited for, and then renamed."""
    world, test = lagging(make_world, reads)
    world.declare(project_of({**row_count("later"), "renamedFrom": "soon"}))
    for _ in range(2):
        world.apply()
    left = world.plan()
    assert (left.plan.pending, left.plan.refusals, left.plan.warnings) == ((), (), ())
    assert [(each["id"], each["archived"]) for each in named(world, "later")] == [(test, False)]
    assert named(world, "soon") == []


def test_a_former_name_is_not_taken_from_what_no_list_shows_yet(make_world: MakeWorld) -> None:
    """Both are ours, and neither is forgotten for the other: a person has to say which one is meant."""
    world, test = lagging(make_world, 2)
    world.declare(project_of({**row_count("soon"), "renamedFrom": "changed"}, without="changed"))
    with pytest.raises(RefusedByPolicy):
        world.apply()
    known = world.load().entries
    assert {known[at("soon")].remote_id, known[at("changed")].remote_id} > {test}


def lagging(make_world: MakeWorld, reads: int) -> tuple[Any, str]:
    """A world with one more test, which the next lists do not show, and the id of that."""
    world = make_world()
    (world.root / "second.yaml").unlink()
    world.declare(project_of())
    world.apply()
    world.fail({"method": "POST", "path": "/v1/projects/*/tests", "action": "lag", "reads": reads})
    world.declare(project_of(row_count("soon")))
    world.apply()
    return world, world.load().entries[at("soon")].remote_id


def named(world: Any, name: str) -> list[Doc]:
    return [each for each in world.tests(world.projects()["bot"]) if each["name"] == name]


def at(name: str) -> Address:
    return Address.parse(f"openlayer.Test/bot/monitoring/{name}")


def project_of(*tests: Doc, without: str = "") -> Doc:
    names = [name for name in ("changed", "former", "replaced", "narrow", "archived") if name != without]
    pipelines = [{"name": "live"}, {"name": "old"}]
    spec = {"taskType": "llm-base", "description": "Answers", "pipelines": pipelines}
    spec["tests"] = [*map(row_count, names), *tests]
    return {"apiVersion": "openlayer/v1", "kind": "Project", "metadata": {"name": "bot"}, "spec": spec}


def test_in_a_project_that_is_renamed_too(make_world: MakeWorld, make_death: MakeDeath, killed: Killed) -> None:
    """Every moment from the first write on, and the project's other tests come along."""
    world, death = renamed_project(make_world), make_death()
    world.apply(death)
    is_settled(world)
    first = next(number for number, what in enumerate(death.moments) if what.startswith("before PATCH"))
    for at in range(first, len(death.moments)):
        world = renamed_project(make_world)
        with pytest.raises(killed):
            world.apply(make_death(at))
        world.apply()
        is_settled(world)


def renamed_project(make_world: MakeWorld) -> Any:
    """A world whose next manifests give the project and, with another window, a test in it new names."""
    world = make_world()
    (world.root / "second.yaml").unlink()
    (world.root / "bot.yaml").unlink()
    spec = {
        "taskType": "llm-base",
        "description": "Answers",
        "pipelines": [{"name": "live"}, {"name": "old"}],
        "tests": [
            *(row_count(name) for name in ("changed", "former", "replaced", "archived")),
            {**row_count("wide"), "renamedFrom": "narrow", "evaluationWindow": "24h"},
        ],
    }
    metadata = {"name": "robot", "renamedFrom": "bot"}
    world.declare({"apiVersion": "openlayer/v1", "kind": "Project", "metadata": metadata, "spec": spec})
    return world


def row_count(name: str) -> Doc:
    threshold = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 1}
    return {"name": name, "type": "integrity", "subtype": "rowCount", "thresholds": [threshold]}


def is_settled(world: Any) -> None:
    left = world.plan()
    assert [(step.id, step.reason) for step in left.plan.pending] == []
    assert left.plan.refusals == ()
    known = {"/".join(address.path[-2:]) for address in left.state.entries if address.kind == "openlayer.Test"}
    assert known == {f"monitoring/{name}" for name in ("archived", "back", "changed", "former", "replaced", "wide")}
    assert {address.root for address in left.state.entries} == {"robot"}
    there = world.tests(world.projects()["robot"])
    assert sorted(each["name"] for each in there if each["archived"]) == ["back", "narrow"]
    active = ["archived", "by hand", "changed", "former", "replaced", "wide"]
    assert sorted(each["name"] for each in there if not each["archived"]) == active
