"""What was deleted is forgotten when the platform does not list it any more, whatever it has answered."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

pytestmark = pytest.mark.usefixtures("uncounted")

MakeWorld = Callable[..., Any]
OLD = "openlayer.InferencePipeline/bot/old"


class Deleting:
    """The application, answering ``status`` to every DELETE; the next ``reads`` lists show what was there before.

    None for ``reads``: nothing is deleted.
    """

    def __init__(self, app: ASGIApp, status: int, reads: int | None) -> None:
        self._app, self._status, self._reads = app, status, reads
        self._delayed: tuple[Scope, Receive] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["method"] == "DELETE":
            self._delayed = scope, receive
            await Response(status_code=self._status)(scope, receive, send)
            return
        if scope["path"].endswith("/inference-pipelines") and self._delayed and self._reads is not None:
            self._reads -= 1
            if self._reads < 0:
                await self._app(*self._delayed, _unheard)
                self._delayed = None
        await self._app(scope, receive, send)


async def _unheard(_: object) -> None:
    await asyncio.sleep(0)


def removing(world: Any, status: int, reads: int | None) -> Any:
    """Apply, and how the step ends that deletes a pipeline."""
    world.door = Deleting(world.app, status, reads)
    (outcome,) = (each for each in world.apply().outcomes if each.step_id == f"delete:{OLD}")
    return outcome


@pytest.mark.parametrize("status", [404, 204])
def test_a_delete_that_was_carried_out_is_done(status: int, make_world: MakeWorld) -> None:
    """404 also answers the second of two that a retry has sent."""
    world = make_world()
    assert removing(world, status, 0).status == "done"
    world.converges(within=1)


def test_a_404_for_what_is_listed_deletes_nothing(make_world: MakeWorld) -> None:
    """A server that lacks the route says so as well."""
    world = make_world()
    outcome = removing(world, 404, None)
    assert outcome.status == "failed"
    assert "not found (404); but the platform still lists it, so nothing was deleted" in outcome.error
    assert OLD in map(str, world.load().entries)
    world.converges(within=1)


def test_an_accepted_delete_that_does_nothing_is_unknown(make_world: MakeWorld) -> None:
    """It is looked at until the window has passed, which is said once, and stays remembered."""
    world = make_world()
    outcome = removing(world, 204, None)
    assert outcome.status == "unknown"
    assert outcome.error == (f"DELETE {OLD}: the platform has accepted it and still lists the inference pipeline")
    assert OLD in map(str, world.load().entries)
    assert world.notes[0] == f"{OLD} was deleted and still shows; making sure for 60 s"
    world.converges(within=1)


def test_lists_may_lag_behind_a_delete(make_world: MakeWorld) -> None:
    world = make_world()
    assert removing(world, 204, 5).status == "done"
    world.converges(within=1)


def test_what_cannot_be_looked_at_is_unknown(make_world: MakeWorld) -> None:
    """The lists fail after the delete: nobody can tell what it has done."""
    world = make_world()
    lists = {"method": "GET", "path": "*/inference-pipelines", "action": "status", "status": 500}
    world.fail({**lists, "nth": list(range(2, 99))})
    (outcome,) = (each for each in world.apply().outcomes if each.step_id == f"delete:{OLD}")
    assert outcome.status == "unknown"
    assert outcome.error.startswith("GET /projects/")
    assert "/inference-pipelines: nobody can tell whether the inference pipeline was deleted: " in outcome.error
    world.converges(within=1)
