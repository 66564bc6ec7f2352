"""How fast a vendor may be asked: what headers say, and who waits for how long."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.providers.clock import RealClock
from reconciler.providers.rate_limit import (
    RateLimiter,
    RetryBudget,
    backoff,
    parse_retry_after,
    quota_pause,
    retry_after,
)

if TYPE_CHECKING:
    from tests.providers.conftest import World

NOW = 1_750_000_000.0  # Sun, 15 Jun 2025 15:06:40 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0.0),
        ("120", 120.0),
        (" 3 ", 3.0),
        ("1.5", 1.5),
        ("-5", 0.0),
        ("1000000000", 1e9),
        ("9" * 400, 1e9),
        ("Sun, 15 Jun 2025 15:07:40 GMT", 60.0),
        ("Sunday, 15-Jun-25 15:07:40 GMT", 60.0),
        ("Sun, 15 Jun 2025 15:07:40 -0000", 60.0),
        ("Sun, 15 Jun 2025 14:00:00 GMT", 0.0),
        ("Fri, 01 Jan 9999 00:00:00 GMT", 1e9),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_never_negative(value: str, seconds: float) -> None:
    assert parse_retry_after(value, NOW) == seconds


@pytest.mark.parametrize(
    "value", [None, "", "soon", "1e3", "nan", "inf", "5 s", "٣", "Sun, 99 Jun 2025 15:07:40 GMT", "\x00"]
)
def test_a_retry_after_that_makes_no_sense_is_none(value: str | None) -> None:
    assert parse_retry_after(value, NOW) is None


@given(st.text(max_size=40), st.floats(0, 4e9))
def test_any_retry_after_is_none_or_between_zero_and_a_billion_seconds(value: str, now: float) -> None:
    seconds = parse_retry_after(value, now)
    assert seconds is None or 0 <= seconds <= 1e9


def test_a_date_is_measured_against_the_server_s_own_clock() -> None:
    headers = {"date": "Mon, 01 Jan 2001 00:00:00 GMT", "retry-after": "Mon, 01 Jan 2001 00:00:09 GMT"}
    assert retry_after(headers, NOW) == 9.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"ratelimit-remaining": "1", "ratelimit-reset": "30"}, None),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "30"}, 30.0),
        ({"x-ratelimit-remaining": "0", "x-ratelimit-reset": "30"}, 30.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "1750000045"}, 45.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "1740000000"}, 0.0),
        ({"ratelimit-remaining": "0", "ratelimit-reset": "rubbish"}, None),
        ({"ratelimit-remaining": "0"}, None),
        ({"ratelimit": '"default";r=0;t=8'}, 8.0),
        ({"ratelimit": '"default";r=50;t=8'}, None),
        ({"ratelimit": '"burst";r=0;t=2, "day";r=0;t=40'}, 40.0),
        ({"ratelimit": '"burst";r=0;t=2, "day";r=10;t=40'}, 2.0),
        ({"ratelimit": "limit=100, remaining=0, reset=6"}, 6.0),
        ({"ratelimit": "limit=100, remaining=7, reset=6"}, None),
    ],
)
def test_an_exhausted_quota_says_when_it_is_refilled(headers: dict[str, str], seconds: float | None) -> None:
    assert quota_pause(headers, NOW) == seconds


def test_back_off_doubles_from_half_a_second_to_twenty_with_full_jitter() -> None:
    class Highest(random.Random):
        def uniform(self, a: float, b: float) -> float:
            assert a == 0
            return b

    assert [backoff(attempt, Highest()) for attempt in (1, 2, 3, 6, 7, 99)] == [0.5, 1.0, 2.0, 16.0, 20.0, 20.0]


def test_the_budget_pays_for_twenty_retries_and_refills_by_success() -> None:
    budget = RetryBudget()
    assert [budget.spend(5) for _ in range(21)] == [True] * 20 + [False]
    for _ in range(5):
        budget.succeed()
    assert (budget.spend(10), budget.spend(5), budget.spend(5)) == (False, True, False)
    for _ in range(1000):
        budget.succeed()
    assert budget.tokens == 100


# --------------------------------------------------------------------------------------------- the limiter


def test_first_come_first_served_with_at_most_the_limit_in_flight(world: World) -> None:
    async def scenario() -> tuple[list[int], int]:
        limiter = RateLimiter(world.clock(), 3, random.Random(1))
        order: list[int] = []
        flying = most = 0

        async def work(number: int) -> None:
            nonlocal flying, most
            await limiter.enter()
            order.append(number)
            flying += 1
            most = max(most, flying)
            await asyncio.sleep(0)
            flying -= 1
            limiter.leave()

        await asyncio.gather(*(work(number) for number in range(10)))
        return order, most

    assert asyncio.run(scenario()) == (list(range(10)), 3)


def test_overload_halves_once_per_round_trip_and_ten_clean_answers_add_one(world: World) -> None:
    async def scenario() -> list[int]:
        limiter = RateLimiter(world.clock(), 16, random.Random(1))
        epochs = [await limiter.enter() for _ in range(3)]
        limits = []
        for epoch in epochs:  # all three were under way already when the first one came back
            limiter.throttled(epoch)
            limiter.leave()
            limits.append(limiter.limit)
        for _ in range(5):
            limiter.throttled(await limiter.enter())
            limiter.leave()
            limits.append(limiter.limit)
        for _ in range(3):
            for _ in range(10):
                limiter.succeeded()
            limits.append(limiter.limit)
        for _ in range(1000):
            limiter.succeeded()
        return [*limits, limiter.limit]

    assert asyncio.run(scenario()) == [8, 8, 8, 4, 2, 1, 1, 1, 2, 3, 4, 16]


def test_clean_answers_from_before_an_overload_do_not_count_towards_the_next_request(world: World) -> None:
    async def scenario() -> list[int]:
        limiter = RateLimiter(world.clock(), 4, random.Random(1))
        epoch = await limiter.enter()
        for _ in range(9):
            limiter.succeeded()
        limiter.throttled(epoch)
        limits = []
        for _ in range(10):
            limiter.succeeded()
            limits.append(limiter.limit)
        return limits

    assert asyncio.run(scenario()) == [2, 2, 2, 2, 2, 2, 2, 2, 2, 3]


def test_a_pause_is_at_most_a_minute_is_never_shortened_and_holds_everyone(world: World) -> None:
    async def scenario() -> tuple[float, float, float]:
        clock = world.clock()
        limiter = RateLimiter(clock, 4, random.Random(1))
        granted = limiter.pause(1e9)
        limiter.pause(1.0)
        await asyncio.gather(*(limiter.enter() for _ in range(4)))
        return granted, min(clock.slept), max(clock.slept)

    granted, shortest, longest = asyncio.run(scenario())
    assert granted == 60.0
    assert 60.0 <= shortest <= longest <= 75.0


def test_a_pause_that_grows_while_somebody_waits_is_waited_out(world: World) -> None:
    async def scenario() -> float:
        clock = world.clock()
        limiter = RateLimiter(clock, 4, random.Random(1))
        limiter.pause(5.0)
        waiting = asyncio.create_task(limiter.enter())
        await asyncio.sleep(0)
        limiter.pause(30.0)
        await waiting
        return clock.passed

    assert asyncio.run(scenario()) >= 30.0


def test_a_cancelled_wait_gives_its_place_to_the_next(world: World) -> None:
    async def scenario() -> bool:
        limiter = RateLimiter(world.clock(), 1, random.Random(1))
        await limiter.enter()
        second, third = (asyncio.create_task(limiter.enter()) for _ in range(2))
        await asyncio.sleep(0)
        limiter.leave()  # admits the second, which is cancelled before it can run
        second.cancel()
        await asyncio.wait_for(third, 1)
        return second.cancelled()

    assert asyncio.run(scenario())


def test_a_cancelled_pause_gives_its_place_to_the_next() -> None:
    async def scenario() -> bool:
        limiter = RateLimiter(RealClock(), 1, random.Random(1))
        limiter.pause(0.05)
        first, second = (asyncio.create_task(limiter.enter()) for _ in range(2))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait_for(second, 5)
        return first.cancelled()

    assert asyncio.run(scenario())


def test_the_real_clock_moves_forward_and_does_not_sleep_for_nothing() -> None:
    clock = RealClock()
    before = clock.monotonic()
    asyncio.run(clock.sleep(-5))
    assert before <= clock.monotonic() < before + 1
    assert clock.now() > 1_700_000_000
