"""What an evaluation will cover and cost, before anything is triggered.  Pure.

A platform that works in windows widens a range to whole ones (docs.openlayer.com/api-reference/rest/tests/evaluate,
2026-11).  It does not say where they begin; we count from 1970-01-01T00:00Z, so that days begin at midnight.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from msgspec import Struct

from reconciler.model.outcome import TimeRange
from reconciler.model.resource import Address
from reconciler.model.values import Fields, Json, counted, format_duration

MOST_NAMED = 3
"""How many of the largest contributors are named."""


class Cost(Struct, frozen=True):
    """What one resource costs: each window on each pipeline in each run is one evaluation.

    ``width`` is the length of a window in seconds; None where there are no windows.
    """

    address: Address
    pipelines: int
    runs: int = 1
    windows: int = 1
    width: int | None = None

    @classmethod
    def over(cls, asked: TimeRange, width: int, address: Address, pipelines: int, runs: int) -> Cost:
        """The cost of a range that is cut into windows of ``width`` seconds."""
        span = aligned(asked, width)
        return cls(address, pipelines, runs, (span.end - span.start) // width, width)

    @property
    def evaluations(self) -> int:
        """How many the platform is asked for."""
        return self.pipelines * self.windows * self.runs

    def factors(self) -> str:
        """``2 pipelines × 12 windows × 3 runs``; what is one of a kind is left out where it says nothing."""
        parts = [counted(self.pipelines, "pipeline" if self.width is not None else "place")]
        parts += [counted(self.windows, "window")] if self.width is not None else []
        parts += [counted(self.runs, "run")] if self.runs != 1 else []
        return " × ".join(parts)


class Estimate(Struct, frozen=True):
    """Everything that is about to be triggered.

    ``asked`` is the range as it was asked for.  ``under_way`` counts triggers of an earlier run, not sent again, and
    ``there`` runs that are there already and are enough.
    """

    asked: TimeRange
    costs: tuple[Cost, ...]
    under_way: int = 0
    there: int = 0

    @property
    def evaluations(self) -> int:
        """The sum of all."""
        return sum(cost.evaluations for cost in self.costs)

    def text(self) -> str:
        """``will run 44 evaluations: 12 tests × up to 2 pipelines × 2 windows``."""
        waiting = f"{counted(self.under_way, 'trigger')} of an earlier run still under way" if self.under_way else ""
        verb = "is" if self.there == 1 else "are"
        there = f"{counted(self.there, 'run')} {verb} there already" if self.there else ""
        spared = "; ".join(filter(None, (there, waiting)))
        if not self.costs:
            return f"will run no evaluation: {spared or 'there is nothing to run on'}"
        total = f"will run {counted(self.evaluations, 'evaluation')}: "
        text = f"{total}{counted(len({cost.address for cost in self.costs}), 'test')} × {self._factors()}"
        return f"{text}; {spared}" if spared else text

    def _factors(self) -> str:
        """``up to 2 pipelines × 12 windows``: the most of each, said to be so where tests differ."""
        windowed = all(cost.width is not None for cost in self.costs)
        parts = [_most([cost.pipelines for cost in self.costs], "pipeline" if windowed else "place")]
        if any(cost.width is not None for cost in self.costs):
            parts.append(_most([cost.windows for cost in self.costs], "window"))
        if any(cost.runs != 1 for cost in self.costs):
            parts.append(_most([cost.runs for cost in self.costs], "run"))
        return " × ".join(parts)

    def largest(self) -> list[str]:
        """The largest contributors, the largest first: ``openlayer.Test/bot/... (48 = 2 pipelines × 24 windows)``."""
        ranked = sorted(self.costs, key=lambda cost: (-cost.evaluations, cost.address))[:MOST_NAMED]
        return [f"{cost.address} ({cost.evaluations:,} = {cost.factors()})" for cost in ranked]

    def to_json(self) -> Fields:
        """Plain data, for events and reports."""
        costs: list[Json] = [
            {
                "address": str(cost.address),
                "evaluations": cost.evaluations,
                "pipelines": cost.pipelines,
                "windows": cost.windows,
                "runs": cost.runs,
            }
            for cost in self.costs
        ]
        spans: list[Json] = [
            {"window_s": width, "start": span.start, "end": span.end} for width, span in self.spans().items()
        ]
        return {
            "evaluations": self.evaluations,
            "under_way": self.under_way,
            "start": self.asked.start,
            "end": self.asked.end,
            "spans": spans,
            "tests": costs,
        }

    def spans(self) -> dict[int, TimeRange]:
        """Width of a window -> what the range becomes in such windows, shortest windows first."""
        widths = {cost.width for cost in self.costs if cost.width is not None}
        return {width: aligned(self.asked, width) for width in sorted(widths)}


def aligned(within: TimeRange, width: int) -> TimeRange:
    """The range widened to whole windows of ``width`` seconds."""
    return TimeRange(within.start // width * width, -(-within.end // width) * width)


def alignment_text(asked: TimeRange, spans: Iterable[tuple[int, TimeRange]], now: float) -> list[str]:
    """A sentence for each width of window in which the range is not what was asked for, or ends later than now."""
    told = []
    for width, span in spans:
        last = " (not over yet)" if span.end > now else ""
        between = f"{moment(span.start)} to {moment(span.end)}"
        if span != asked:
            told.append(f"aligned to {format_duration(width)} windows: {between}{last}")
        elif last:
            told.append(f"{format_duration(width)} windows: {between}{last}")
    return told


def moment(seconds: int) -> str:
    """Unix seconds as ``2026-11-20T00:00Z``; with seconds where there are any."""
    at = datetime.fromtimestamp(seconds, UTC)
    return at.strftime("%Y-%m-%dT%H:%MZ" if at.second == 0 else "%Y-%m-%dT%H:%M:%SZ")


def together(costs: Sequence[Cost]) -> tuple[Cost, ...]:
    """One cost for each resource: its triggers on single pipelines added up."""
    by_address: dict[tuple[Address, int, int, int | None], int] = defaultdict(int)
    for cost in costs:
        by_address[cost.address, cost.runs, cost.windows, cost.width] += cost.pipelines
    found = (Cost(address, pipelines, runs, windows, width)
             for (address, runs, windows, width), pipelines in by_address.items())  # fmt: skip
    return tuple(cost for cost in found if cost.evaluations)


def _most(counts: Sequence[int], noun: str) -> str:
    most = counted(max(counts), noun)
    return most if min(counts) == max(counts) else f"up to {most}"
