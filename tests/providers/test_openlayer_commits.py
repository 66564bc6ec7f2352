"""Results of Openlayer are read as what they are about: the asked range, or the commit that they belong to."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reconciler.errors import ReadFailed
from reconciler.model.call import Call, Flow, Reply, Wire
from reconciler.model.flow import drive
from reconciler.model.measuring import Version
from reconciler.model.outcome import TimeRange
from reconciler.model.resource import Address
from reconciler.providers.openlayer.evaluation import MEASURING

TEST = Address("openlayer.Test", ("bot", "development", "Faithful"))
WIRE = Wire({})
assert MEASURING.versions is not None
VERSIONS = MEASURING.versions
assert MEASURING.window is not None
WINDOW = MEASURING.window


def read(flow: Flow[Any], **answers: Any) -> Any:
    """What a flow makes of these answers; a list stands for its only page."""

    async def send(call: Call) -> Reply:
        answer = answers[call.path.strip("/").replace("/", "_")]
        if isinstance(answer, list):
            answer = {"items": answer, "_meta": {"totalPages": 1}}
        return Reply(200, answer)

    async def sleep(_: float) -> None:
        raise AssertionError("nothing here waits")

    return asyncio.run(drive(flow, send, sleep))


def commit(version_id: str = "v1", **fields: Any) -> dict[str, Any]:
    return {"id": version_id, "projectId": "p1", "status": "completed", "dateCreated": "2026-11-01T10:00:00Z",
            "commit": {"message": "Fix the prompt"}, **fields}  # fmt: skip


def result(result_id: str, starts: str | None, ends: str | None, **fields: Any) -> dict[str, Any]:
    return {"id": result_id, "status": "passing", "dateDataStarts": starts, "dateDataEnds": ends, **fields}


def test_results_that_only_touch_the_range_are_not_about_it() -> None:
    """Whatever the server takes for the borders; one without times may be about it."""
    hours = [
        result(f"r{hour}", f"2026-11-01T{hour:02}:00:00Z", f"2026-11-01T{hour + 1:02}:00:00Z") for hour in range(5)
    ]
    nine = 1_793_491_200  # 2026-11-01T00:00Z
    within = TimeRange(nine + 3600, nine + 3 * 3600 + 60)
    found = read(MEASURING.results(TEST, "t1", within, (), WIRE), tests_t1_results=[*hours, result("r9", None, None)])
    assert sorted(each.result_id for each in found) == ["r1", "r2", "r3", "r9"]


@pytest.mark.parametrize(("fields", "seconds"), [({}, 3600), ({"evaluationWindow": "24h"}, 86_400)])
def test_a_window_is_an_hour_unless_it_is_written(fields: dict[str, Any], seconds: int) -> None:
    assert WINDOW(fields) == seconds


@pytest.mark.parametrize(
    ("status", "message", "complete", "error", "note"),
    [
        ("completed", None, True, "", ""),
        ("queued", None, False, "", ""),
        ("failed", "no dataset", False, "the commit failed: no dataset", ""),
        ("paused", None, False, "", "the commit is paused"),
        ("resting", None, False, "", "the platform answered the unknown status 'resting'"),
        (None, None, False, "", "the platform answered the unknown status 'None'"),
    ],
)
def test_how_a_commit_is_doing(status: str | None, message: str | None, complete: bool, error: str, note: str) -> None:
    """Nothing but completed is complete, and only failed has failed; the rest is waited for."""
    found: Version = read(VERSIONS.named("v1", WIRE), versions_v1=commit(status=status, statusMessage=message))
    assert (found.state.complete, found.state.error, found.state.note) == (complete, error, note)
    assert (found.version_id, found.root_id, found.message) == ("v1", "p1", "Fix the prompt")


def test_the_latest_commit_is_the_youngest_that_is_not_archived() -> None:
    """In whatever order they are listed."""
    listed = [
        commit("old", dateCreated="2026-11-01T10:00:00Z"),
        commit("new", dateCreated="2026-11-02T09:00:00+00:00"),
        commit("archived", dateCreated="2026-11-03T10:00:00Z", archived=True),
    ]
    found = read(VERSIONS.latest("p1", WIRE), projects_p1_versions=listed, versions_new=commit("new"))
    assert found.version_id == "new"
    assert read(VERSIONS.latest("p1", WIRE), projects_p1_versions=listed[2:]) is None


def test_the_results_of_a_commit_are_told_apart_by_test() -> None:
    """By goalId, or by the goal itself; those of tests that nobody asked about are left out."""
    items = [
        result("r1", None, None, goalId="t1"),
        result("r2", None, None, goal={"id": "t1"}, status="odd"),
        result("r3", None, None, goalId="t7"),
    ]
    found = read(VERSIONS.results("v1", {"t1": TEST}, WIRE), versions_v1_results=items)
    assert [(each.result_id, each.address, each.status.value) for each in found] == [
        ("r1", TEST, "passing"),
        ("r2", TEST, "unreadable"),
    ]


def test_an_answer_that_is_no_commit_is_a_failed_read() -> None:
    with pytest.raises(ReadFailed, match="holds no commit"):
        read(VERSIONS.named("v1", WIRE), versions_v1={})
