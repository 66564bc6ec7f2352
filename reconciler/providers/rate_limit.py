"""Decide how fast one vendor may be asked, from what its answers say; everybody waits together.

The top half is pure: headers and a moment in, seconds out.  ``RateLimiter`` below it does the waiting, on the Clock.

Why one limiter per vendor: a 429 is about the account, not about the worker that happened to get it.  So it pauses
everyone, and afterwards the number in flight grows again slowly (additive increase, multiplicative decrease).
"""

from __future__ import annotations

import asyncio
import math
import random
import re
from collections import deque
from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime

from reconciler.model.provider import Clock

MAX_PAUSE_S = 60.0
"""No single pause is longer, whatever a header says."""

_LONGEST_S = 1e9
_EPOCH_FROM = 1e8
_CLEAN_ANSWERS_PER_STEP = 10

# ------------------------------------------------------------------------------------------- decisions


def parse_http_date(value: str) -> float | None:
    """Unix seconds of an HTTP date; None for anything else."""
    try:
        moment = parsedate_to_datetime(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def parse_retry_after(value: str | None, now: float) -> float | None:
    """Seconds to wait from ``now`` (Unix seconds): never negative, at most 10⁹; None when it makes no sense.

    Accepts seconds and HTTP dates.  A negative number and a date in the past are 0.
    """
    text = (value or "").strip()
    if re.fullmatch(r"[+-]?[0-9]+(\.[0-9]+)?", text, re.ASCII):
        return min(max(0.0, float(text)), _LONGEST_S)
    moment = parse_http_date(text) if text else None
    return None if moment is None else min(max(0.0, moment - now), _LONGEST_S)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """``Retry-After`` in seconds.  ``headers`` by lower-case name.

    A date is measured against the server's own ``Date``, so that a wrong clock on either side does no harm.
    """
    server_now = parse_http_date(headers.get("date", ""))
    return parse_retry_after(headers.get("retry-after"), now if server_now is None else server_now)


def quota_pause(headers: Mapping[str, str], now: float) -> float | None:
    """Seconds until an exhausted quota is refilled; None while something remains or nothing is said.

    Reads the three-header form (``ratelimit-remaining`` and ``ratelimit-reset``, with or without ``x-``; the reset
    counts seconds, or is a Unix time as at DigitalOcean, 2026-11) and the IETF draft's single ``RateLimit`` field.
    """
    if "ratelimit" in headers and (single := _exhausted_policies(headers["ratelimit"])) is not None:
        return single
    for prefix in ("ratelimit-", "x-ratelimit-"):
        if headers.get(f"{prefix}remaining", "").strip() == "0":
            return _until(headers.get(f"{prefix}reset", ""), now)
    return None


def _exhausted_policies(value: str) -> float | None:
    """Longest reset among the policies with nothing left: ``"burst";r=0;t=5`` or ``limit=9, remaining=0, reset=5``."""
    policies = [value] if "remaining=" in value else value.split(",")
    resets = [
        float(reset[1])
        for policy in policies
        if re.search(r"\b(?:r|remaining)=0+\b(?!\.)", policy)
        and (reset := re.search(r"\b(?:t|reset)=([0-9]{1,9})\b", policy))
    ]
    return max(resets, default=None)


def _until(reset: str, now: float) -> float | None:
    if not re.fullmatch(r"[0-9]{1,12}(\.[0-9]+)?", reset.strip(), re.ASCII):
        return None
    value = float(reset)
    return max(0.0, value - now) if value >= _EPOCH_FROM else value


def backoff(attempt: int, rng: random.Random, *, base_s: float = 0.5, cap_s: float = 20.0) -> float:
    """Seconds to wait after failed attempt ``attempt`` (the first is 1): full jitter, so clients do not march in step.

    Source: AWS Architecture Blog, "Exponential Backoff and Jitter".
    """
    return rng.uniform(0.0, min(cap_s, base_s * 2.0 ** min(attempt - 1, 32)))


class RetryBudget:
    """How many retries a run may still afford, over all its requests.

    A retry costs 5 of 100 tokens, one after a timeout 10, and a success gives 1 back.  When the tokens are used up
    nothing is retried, so an outage ends a run in seconds with at most 20 requests more than a healthy run makes.
    """

    def __init__(self, tokens: int = 100) -> None:
        self._full = tokens
        self.tokens = tokens

    def spend(self, cost: int) -> bool:
        """Pay for one retry.  False, and nothing is paid, when the tokens do not suffice."""
        if self.tokens < cost:
            return False
        self.tokens -= cost
        return True

    def succeed(self) -> None:
        """One request was answered."""
        self.tokens = min(self._full, self.tokens + 1)


# --------------------------------------------------------------------------------------------- waiting


class PauseTooLong(Exception):
    """Everybody pauses for longer than somebody can wait.  ``seconds`` are left of the pause."""

    def __init__(self, seconds: float) -> None:
        super().__init__(seconds)
        self.seconds = seconds


class RateLimiter:
    """At most ``limit`` requests in flight, first come first served, and none while paused.

    Use: ``epoch = await enter()``, send, ``leave()`` in a ``finally``; tell what came back by ``succeeded()``,
    ``throttled(epoch)`` and ``pause(seconds)``.
    """

    def __init__(self, clock: Clock, parallelism: int, rng: random.Random) -> None:
        self._clock = clock
        self._ceiling = max(1, parallelism)
        self._rng = rng
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._in_flight = 0
        self._resume_at = -math.inf
        self._clean = 0
        self._epoch = 0
        self.limit = self._ceiling

    async def enter(self, until: float = math.inf) -> int:
        """Wait for a free place and for the end of a pause.  Returns the epoch, for ``throttled``.

        Raises PauseTooLong when the pause lasts beyond ``until`` (monotonic seconds).
        """
        await self._take_place()
        try:
            while (remaining := self._resume_at - self._clock.monotonic()) > 0:
                if self._resume_at > until:
                    raise PauseTooLong(remaining)
                # A little late on purpose, so that those who wait do not all come back in one instant.
                await self._clock.sleep(remaining + self._rng.uniform(0.0, 0.25 * remaining))
        except BaseException:
            self.leave()
            raise
        return self._epoch

    def leave(self) -> None:
        """Give the place back."""
        self._in_flight -= 1
        self._admit()

    def succeeded(self) -> None:
        """A clean answer: after each ten of them one more request may be in flight."""
        self._clean += 1
        if self._clean >= _CLEAN_ANSWERS_PER_STEP and self.limit < self._ceiling:
            self.limit += 1
            self._clean = 0
            self._admit()

    def throttled(self, epoch: int) -> None:
        """The vendor is overloaded: halve the number in flight.

        Answers to requests that were already under way at the last halving say nothing new and change nothing.
        """
        if epoch != self._epoch:
            return
        self._epoch += 1
        self._clean = 0
        self.limit = max(1, self.limit // 2)

    def pause(self, seconds: float) -> float:
        """Let nobody send for so long, at most MAX_PAUSE_S; never shortens a pause.  Returns the seconds granted."""
        granted = min(max(0.0, seconds), MAX_PAUSE_S)
        self._resume_at = max(self._resume_at, self._clock.monotonic() + granted)
        return granted

    def pause_left_s(self) -> float:
        """Seconds until somebody may send again."""
        return max(0.0, self._resume_at - self._clock.monotonic())

    async def _take_place(self) -> None:
        if self._in_flight < self.limit and not self._waiting:
            self._in_flight += 1
            return
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(place)
        try:
            await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():
                self.leave()
            raise

    def _admit(self) -> None:
        while self._waiting and self._in_flight < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                self._in_flight += 1
                place.set_result(None)
