"""What goes wrong in one world, drawn from its seed; every disturbance has a number, and can be muted by it."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Fault:
    """What becomes of one request.

    ``handled`` says whether the platform carries it out; where ``late_s`` is set, so long after it was given up.
    ``end`` is what the client sees: ``answer`` (changed by ``status``, ``retry_after`` and ``body``, on its way for
    ``slow_s`` longer), ``refused``, ``reset`` or ``silence``.
    """

    name: str
    handled: bool = True
    end: str = "answer"
    late_s: float = 0.0
    slow_s: float = 0.0
    status: int | None = None
    retry_after: str | None = None
    body: str = ""


HANDLED_WITHIN_S = 40.0
"""The platform carries out what was given up within this; with the longest list lag it stays within the window."""
LONGEST_LAG_S = 14.0
WINDOW_S = 60

PLAIN = (
    Fault("refused", handled=False, end="refused"),
    Fault("reset before", handled=False, end="reset"),
    Fault("reset after", end="reset"),
    Fault("timeout before", handled=False, end="silence"),
    Fault("timeout after", end="silence"),
    *(Fault(f"{code} before", handled=False, status=code) for code in (500, 502, 503)),
    *(Fault(f"{code} after", status=code) for code in (408, 500, 502, 503)),
    Fault("503 with seconds", handled=False, status=503, retry_after="2"),
    Fault("429 with seconds", handled=False, status=429, retry_after="3"),
    Fault("429 with a date", handled=False, status=429, retry_after="date"),
    Fault("429 alone", handled=False, status=429),
    Fault("429 with rubbish", handled=False, status=429, retry_after="soon"),
    Fault("cut body", body="cut"),
    Fault("not JSON", body="not json"),
    Fault("web page", body="html"),
    Fault("wrong content type", body="type"),
    Fault("no body", body="empty"),
)
LATE = ("reset, handled late", "timeout, handled late")
SLOW = "slow answer"


@dataclass
class Schedule:
    """Draws from one seed.  ``muted`` are numbers of disturbances that do not happen; ``hits`` names those that do."""

    seed: int
    muted: frozenset[int] = frozenset()
    hits: list[str] = field(default_factory=list)
    sorts: Counter[str] = field(default_factory=Counter)
    handled_within_s: float = HANDLED_WITHIN_S

    def stream(self, name: str) -> random.Random:
        """Chance of its own for one purpose, so that muting one thing leaves the others as they are."""
        return random.Random(f"{self.seed} {name}")

    def strikes(self, sort: str, what: str = "") -> bool:
        """Count a disturbance; whether it happens."""
        number = len(self.hits)
        happens = number not in self.muted
        self.hits.append(f"{number}: {sort} {what}".rstrip() + ("" if happens else " (muted)"))
        if happens:
            self.sorts[sort] += 1
        return happens


class Network:
    """Draws the fate of each request of one process.

    In many worlds only a few sorts of faults happen, so that they meet each other more often.
    """

    def __init__(self, schedule: Schedule, name: str, often: float) -> None:
        self._schedule, self._often = schedule, often
        taste, numbers = schedule.stream("taste of faults"), range(len(PLAIN) + 6)
        few = [*taste.sample(numbers, taste.randint(1, 4)), len(PLAIN) + taste.randrange(6)]
        self._sorts = few if taste.random() < 0.6 else list(numbers)
        self._chance = schedule.stream(f"network of {name}")

    def fate(self, what: str) -> tuple[Fault | None, float, float]:
        """What goes wrong with the next request, if anything, and its seconds on the way there and back.

        A slow answer comes within 20 s, so that it is still waited for.
        """
        there, back = self._chance.uniform(0.005, 0.08), self._chance.uniform(0.005, 0.08)
        late = self._chance.uniform(0.5, self._schedule.handled_within_s)
        which, dice = self._chance.choice(self._sorts), self._chance.random()
        if dice >= self._often:
            return None, there, back
        if which < len(PLAIN):
            fault = PLAIN[which]
        elif which < len(PLAIN) + 2:
            fault = Fault(SLOW, slow_s=late / 2)
        else:
            name = LATE[which % 2]
            fault = Fault(name, end=name.split(",")[0].replace("timeout", "silence"), late_s=late)
        return (fault if self._schedule.strikes(fault.name, what) else None), there, back
