"""Requests are counted per token, in sliding windows of an hour and of a minute."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.emulator.digitalocean.conftest import Account

Make = Callable[..., "Account"]
PATH = "/evaluation_metrics"


def counts(account: Account) -> tuple[int, dict[str, str]]:
    """Status, and every header that is about the rate."""
    answer = account("GET", PATH)
    names = ("ratelimit-limit", "ratelimit-remaining", "ratelimit-reset", "retry-after")
    return answer.status_code, {name: answer.headers[name] for name in names if name in answer.headers}


def test_every_answer_counts_down_from_five_thousand_an_hour(account: Account) -> None:
    first = {"ratelimit-limit": "5000", "ratelimit-remaining": "4999", "ratelimit-reset": "1800003600"}
    assert counts(account) == (200, first)
    account.now += 10
    assert counts(account) == (200, first | {"ratelimit-remaining": "4998"})
    assert account("GET", "/nothing").headers["ratelimit-remaining"] == "4997"


def test_a_burst_of_more_than_250_a_minute_is_429_with_retry_after(account: Account) -> None:
    assert {account("GET", "/nothing").status_code for _ in range(250)} == {404}
    account.now += 20.5
    status, headers = counts(account)
    assert (status, headers["retry-after"], headers["ratelimit-remaining"]) == (429, "40", "4750")
    assert account.refused("GET", PATH)[:2] == (429, "too_many_requests")
    account.now += 39.5
    assert counts(account)[0] == 200


def test_above_the_hourly_limit_there_is_only_the_reset(make_account: Make) -> None:
    account = make_account(seed={"quota": {"per_hour": 2, "per_minute": 2}})
    assert counts(account)[0] == 200
    account.now += 120
    assert counts(account)[0] == 200
    account.now += 120
    exhausted = {"ratelimit-limit": "2", "ratelimit-remaining": "0", "ratelimit-reset": "1800003600"}
    assert counts(account) == (429, exhausted)
    account.now += 3360
    assert counts(account)[0] == 200
    assert counts(account)[0] == 429


def test_each_token_has_its_own_windows(make_account: Make) -> None:
    account = make_account(seed={"quota": {"per_hour": 1, "per_minute": 1}})
    assert [counts(account)[0], counts(account)[0]] == [200, 429]
    account.key = "another"
    assert counts(account)[0] == 200


def test_without_a_quota_nothing_is_counted(make_account: Make) -> None:
    assert counts(make_account(seed={"quota": None})) == (200, {})


def test_the_other_vendor_and_the_object_store_are_not_counted(account: Account) -> None:
    for url in ("http://emulator/v1/projects", "http://emulator/spaces/x"):
        assert "ratelimit-limit" not in account.send("GET", url, headers={"Authorization": "Bearer k"}).headers
