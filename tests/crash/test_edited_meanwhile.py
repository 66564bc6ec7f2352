"""A run dies, somebody edits the manifests, and the next runs bring what they say now: nothing else counts as done."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from reconciler.model.resource import Address

pytestmark = pytest.mark.usefixtures("uncounted")

MakeWorld = Callable[..., Any]
MakeDeath = Callable[..., Any]
Killed = type[BaseException]
Doc = dict[str, Any]

RECORDS = ("intent", "done", "renamed", "not_applied")
WINDOWS = {"1h": 3600, "24h": 86_400, "7d": 604_800}


def other_values(tests: list[Doc]) -> list[Doc]:
    return [{**test, "thresholds": [{**test["thresholds"][0], "value": 8}]} for test in tests]


def other_windows(tests: list[Doc]) -> list[Doc]:
    return [test if test.get("mode") else {**test, "evaluationWindow": "7d"} for test in tests]


def other_values_and_windows(tests: list[Doc]) -> list[Doc]:
    return other_values(other_windows(tests))


def other_names(tests: list[Doc]) -> list[Doc]:
    return [{**test, "name": f"{test['name']} 2", "renamedFrom": test["name"]} for test in tests]


def edit(world: Any, change: Callable[[list[Doc]], list[Doc]]) -> dict[str, tuple[int, int]]:
    """Change the tests of the project in the manifests; returns what is to be at the platform then."""
    manifest = json.loads((world.root / "bot.yaml").read_text(encoding="utf-8"))
    manifest["spec"]["tests"] = tests = change(manifest["spec"]["tests"])
    world.declare(manifest)
    return {
        test["name"]: (test["thresholds"][0]["value"], WINDOWS[test.get("evaluationWindow", "1h")]) for test in tests
    }


def there(world: Any) -> Iterator[tuple[str, tuple[int, int]]]:
    """What is active of ours in the project, by the platform's own word."""
    for test in world.tests(world.projects()["bot"]):
        if not test["archived"] and test["name"] != "by hand":
            yield test["name"], (test["thresholds"][0]["value"], test.get("evaluationWindow") or 3600)


def comes_true(world: Any, wanted: dict[str, tuple[int, int]], *, within: int) -> None:
    """Once a run says that all is done, everything is there once and as it is written.

    With lists that show everything nothing is left to do then.
    """
    for _ in range(within):
        applied = world.apply()
        if all(outcome.status == "done" for outcome in applied.outcomes):
            break
    assert sorted(there(world)) == sorted(wanted.items())
    world.fail()
    left = world.plan()
    assert [(step.id, step.reason) for step in left.plan.pending] == []
    assert left.plan.refusals == ()
    assert left.state.in_doubt == {}
    assert world.made_by_hand() == world.strangers


@pytest.mark.parametrize("change", [other_values, other_values_and_windows, other_names])
def test_what_is_edited_after_a_kill_comes_true(
    change: Callable[[list[Doc]], list[Doc]], make_world: MakeWorld, make_death: MakeDeath, killed: Killed
) -> None:
    """Killed after every create that was carried out, and after every record."""
    death = make_death()
    make_world().apply(death)
    records = tuple(f"after the journal: {record} openlayer.Test/bot" for record in RECORDS)
    moments = [at for at, what in enumerate(death.moments) if what.startswith(("after POST", *records))]
    assert len(moments) > 10
    for at in moments:
        world = make_world()
        with pytest.raises(killed):
            world.apply(make_death(at))
        wanted = edit(world, change)
        comes_true(world, wanted, within=3)


@pytest.mark.parametrize("lifecycle", [{"onRemoval": "delete"}, {"onRemoval": "delete", "protect": True}, {}])
def test_what_becomes_of_a_lost_create_is_what_was_written_beside_it(
    lifecycle: Doc, make_world: MakeWorld, make_death: MakeDeath, killed: Killed
) -> None:
    """It is gone from the manifests by the time it is found: deleted, refused or left there, as they said."""

    def begun() -> Any:
        world = make_world()
        manifest = json.loads((world.root / "bot.yaml").read_text(encoding="utf-8"))
        manifest["spec"]["pipelines"].append({"name": "late", "lifecycle": lifecycle})
        world.declare(manifest)
        return world

    death = make_death()
    begun().apply(death)
    world = begun()
    with pytest.raises(killed):
        world.apply(make_death(death.moments.index("before the journal: done openlayer.InferencePipeline/bot/late")))
    manifest = json.loads((world.root / "bot.yaml").read_text(encoding="utf-8"))
    manifest["spec"]["pipelines"] = [each for each in manifest["spec"]["pipelines"] if each["name"] != "late"]
    world.declare(manifest)
    left = world.plan().plan
    if lifecycle.get("protect"):
        assert [(str(each.address), each.reason) for each in left.refusals] == [
            ("openlayer.InferencePipeline/bot/late", "it is protected, and gone from the manifests")
        ]
        return
    world.apply()
    there = world.pipelines(world.projects()["bot"])
    assert there == (["canary", "live"] if lifecycle else ["canary", "late", "live"])


@pytest.mark.parametrize("change", [other_values, other_windows, other_names])
@pytest.mark.parametrize("reads", [1, 2, 3, 4])
def test_what_is_edited_before_any_list_shows_it_comes_true(
    reads: int, change: Callable[[list[Doc]], list[Doc]], make_world: MakeWorld
) -> None:
    """Every create is answered, and left out of so many lists."""
    world = make_world()
    world.fail({"method": "POST", "action": "lag", "reads": reads})
    world.apply()
    comes_true(world, edit(world, change), within=3)


def test_what_was_made_and_can_not_be_changed_in_place_is_not_done(
    make_world: MakeWorld, make_death: MakeDeath, killed: Killed
) -> None:
    """The step fails and says so; what is remembered is what is known to have arrived, and the next run replaces it."""
    death = make_death()
    make_world().apply(death)
    at = death.moments.index("after the journal: intent openlayer.Test/bot/monitoring/new") + 2
    assert death.moments[at].startswith("after POST")
    world = make_world()
    with pytest.raises(killed):
        world.apply(make_death(at))
    wanted = edit(world, other_values_and_windows)
    applied = world.apply()
    (adopted,) = (each for each in applied.outcomes if each.step_id == "adopt:openlayer.Test/bot/monitoring/new")
    assert (adopted.status, adopted.error, adopted.hint) == (
        "failed",
        "it is ours now, and differs in evaluationWindow, which cannot be changed in place",
        "apply again: the plan says what is to be done about it",
    )
    known = world.load().entries[Address.parse("openlayer.Test/bot/monitoring/new")].applied
    assert "evaluationWindow" not in known
    assert known["thresholds"][0]["value"] == 8
    steps = {step.id: step.cause for step in world.plan().plan.pending}
    assert steps["replace:openlayer.Test/bot/monitoring/new"] == "manifest"
    comes_true(world, wanted, within=1)
