"""Answers of the platform that are JSON and make no sense: found by damaging good ones (tests/fuzz)."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reconciler.errors import ApiError, OutcomeUnknown, ReadFailed
from reconciler.model.call import Call, Flow, Reply
from reconciler.model.flow import drive
from reconciler.model.resource import LiveObject
from reconciler.providers.openlayer.project import PROJECT
from reconciler.providers.openlayer.test import TEST

GOOD_TEST: dict[str, Any] = {
    "id": "t1",
    "name": "Rows",
    "type": "integrity",
    "subtype": "rowCount",
    "usesProductionData": True,
    "thresholds": [{"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 1}],
}


def read(kind: Any, item: Any) -> LiveObject | None:
    found: LiveObject | None = kind.understand(item, ("bot",) if kind.parent else (), lambda _, __: None)
    return found


def test_a_good_item_is_understood() -> None:
    found = read(TEST, GOOD_TEST)
    assert found is not None
    assert found.address.path == ("bot", "monitoring", "Rows")


@pytest.mark.parametrize(
    "damage",
    [
        {"name": None},
        {"name": ""},
        {"id": None},
        {"thresholds": [7]},
        {"thresholds": [{"measurement": "a", "operator": {}, "value": 1}]},
        {"thresholds": [{"measurement": "a", "operator": ">=", "value": 1, "insightParameters": "x"}]},
        {"evaluationWindow": 1e400},
    ],
)
def test_an_item_that_makes_no_sense_is_one_sentence(damage: dict[str, Any]) -> None:
    """And not skipped: a list without it would be half a picture."""
    item = {**GOOD_TEST, **damage}
    with pytest.raises(ReadFailed, match="GET the list of tests in bot: an item cannot be understood: "):
        read(TEST, {key: value for key, value in item.items() if value is not None})


@pytest.mark.parametrize("name", [None, ""])
def test_an_item_without_a_name_is_told_in_words(name: str | None) -> None:
    """And whose list it is in."""
    with pytest.raises(ReadFailed) as failed:
        read(TEST, {**GOOD_TEST, "name": name})
    assert failed.value.message == "GET the list of tests in bot: an item cannot be understood: it has no name"


@pytest.mark.parametrize("item", [None, [], "x", 7, {}, {"id": "p"}])
def test_an_item_may_be_anything(item: Any) -> None:
    with pytest.raises(ReadFailed, match="GET the list of projects: an item cannot be understood"):
        read(PROJECT, item)


def flow(method: Any) -> Flow[str]:
    reply = yield Call(method, "/things", repeatable=False)
    assert isinstance(reply.body, dict)
    return str(reply.body["id"])


@pytest.mark.parametrize(("method", "error"), [("GET", ReadFailed), ("POST", OutcomeUnknown), ("PUT", OutcomeUnknown)])
@pytest.mark.parametrize("body", [None, [], {}, "x"])
def test_an_answer_that_a_flow_stumbles_over(method: str, error: type[ApiError], body: Any) -> None:
    """A read failed; a write was carried out, and how is not known, so it is looked up before it is sent again."""

    async def send(_: Call) -> Reply:
        return Reply(200, body)

    async def sleep(_: float) -> None:
        raise AssertionError

    with pytest.raises(error, match=rf"{method} /things: the answer cannot be understood"):
        asyncio.run(drive(flow(method), send, sleep))


def test_a_mistake_before_the_first_request_is_ours() -> None:
    """It is no answer of the platform's that is to blame."""

    def broken(ids: dict[str, str]) -> Flow[None]:
        yield Call("GET", ids["ours"])

    with pytest.raises(KeyError, match="ours"):
        asyncio.run(drive(broken({}), None, None))  # type: ignore[arg-type]  # neither is ever called
