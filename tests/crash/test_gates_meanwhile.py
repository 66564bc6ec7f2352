"""What is remembered of gates survives a death at any moment: what was not written down yet is shown again."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest

from reconciler.model.resource import Gate
from tests.crash.conftest import BEFORE, LIVE, OLD, project, rows

pytestmark = pytest.mark.usefixtures("uncounted")

MakeWorld = Callable[..., Any]
MakeDeath = Callable[..., Any]
Killed = type[BaseException]

WARN, FLAKY = Gate(severity="warn"), Gate(flaky=True)
WEAKER = project(
    "bot",
    "Answers",
    [LIVE, OLD],
    [
        rows("changed", 2, severity="warn"),
        rows("former", flaky=True),
        *BEFORE["spec"]["tests"][2:],
        rows("new"),
    ],
)


@pytest.fixture
def make_weaker(make_world: MakeWorld) -> MakeWorld:
    """A world in which one test changes with its gate, of another one only the gate, and a third one is new."""

    def make() -> Any:
        world = make_world()
        world.declare(WEAKER)
        return world

    return make


def gates(world: Any) -> dict[str, Gate]:
    """What is remembered of those that are not as usual."""
    entries = world.load().entries
    return {address.name: entry.gate for address, entry in entries.items() if entry.gate not in (None, Gate())}


def shown(world: Any) -> set[str]:
    return {change.address.name for change in world.plan().plan.lifecycle}


def test_a_gate_is_shown_until_it_is_remembered(make_weaker: MakeWorld, make_death: MakeDeath, killed: Killed) -> None:
    """At every moment one of the two; and the next apply remembers both."""
    death = make_death()
    make_weaker().apply(death)
    count = len(death.moments)
    assert count > 20
    for at in range(0, count, 3):
        world = make_weaker()
        with suppress(killed):
            world.apply(make_death(at))
        assert shown(world) | gates(world).keys() == {"changed", "former"}, at
        assert not shown(world) & gates(world).keys(), at
        world.apply()
        assert gates(world) == {"changed": WARN, "former": FLAKY}
        assert not world.plan().plan.has_changes


def test_a_gate_is_put_back_whenever_the_run_dies(
    make_weaker: MakeWorld, make_death: MakeDeath, killed: Killed
) -> None:
    """The new test fails, so what came with it is given up: at the platform, and in what is remembered."""
    death = make_death()
    make_weaker().verify(death)
    count = len(death.moments)
    for at in range(count % 7, count, 7):
        world = make_weaker()
        with suppress(killed):
            world.verify(make_death(at))
        verified = world.verify()
        if verified.put_back is not None:
            assert verified.put_back.left == ()
        assert gates(world) == {}, at
        assert shown(world) == {"changed", "former"}
