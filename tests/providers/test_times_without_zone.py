"""A time without a zone is in UTC, wherever the machine stands."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import pytest

from reconciler.model.call import Call, Reply, Wire
from reconciler.model.flow import drive
from reconciler.model.measuring import Measuring
from reconciler.model.outcome import Evaluation
from reconciler.model.resource import Address
from reconciler.model.values import unix_seconds
from reconciler.providers import KINDS

MIDNIGHT = 1_795_132_800  # 2026-11-20T00:00Z
START, END = "2026-11-20T00:00:00", "2026-11-20T01:00:00"
RUN = {
    "evaluation_run_uuid": "r1",
    "agent_uuid": "a1",
    "status": "EVALUATION_RUN_SUCCESSFUL",
    "pass_status": True,
    "started_at": START,
    "finished_at": END,
}
ANSWERS: dict[str, Any] = {
    "/v2/gen-ai/evaluation_test_cases/x": {"evaluation_test_case": {"version": 1}},
    "/v2/gen-ai/evaluation_test_cases/x/evaluation_runs": {"evaluation_runs": [RUN]},
    "/v2/gen-ai/evaluation_runs/r1": {"evaluation_run": RUN},
    "/tests/x/results": {
        "items": [{"id": "r1", "status": "passing", "dateDataStarts": START, "dateDataEnds": END}],
    },
}


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A machine whose clock is five hours behind UTC."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "EST5")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2026-11-20T00:00:00", MIDNIGHT),
        ("2026-11-20", MIDNIGHT),
        ("2026-11-20T00:00:00Z", MIDNIGHT),
        ("2026-11-20T01:00:00+01:00", MIDNIGHT),
        ("2026-11-20T00:00:00.5", MIDNIGHT + 0.5),
        ("yesterday", None),
        ("", None),
        (None, None),
        (20, None),
    ],
)
def test_a_time_is_read_in_its_zone_or_else_in_utc(text: Any, seconds: float | None) -> None:
    assert unix_seconds(text) == seconds


@pytest.mark.parametrize("kind", ["digitalocean.EvaluationRun", "openlayer.Test"])
def test_the_times_of_a_result_do_not_depend_on_the_machine(kind: str) -> None:
    measuring = KINDS[kind].measuring
    assert measuring is not None
    (found,) = read(measuring, Address(kind, ("bot", "x")))
    assert (found.starts, found.ends) == (MIDNIGHT, MIDNIGHT + 3600)


def read(measuring: Measuring, address: Address) -> tuple[Evaluation, ...]:
    """The recorded results, from these answers."""

    async def send(call: Call) -> Reply:
        return Reply(200, ANSWERS[call.path])

    async def sleep(_: float) -> None:
        raise AssertionError("nothing waits here")

    return asyncio.run(drive(measuring.results(address, "x", None, (), Wire({})), send, sleep))
