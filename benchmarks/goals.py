"""What the ratios shall be.  Pure: the goals stand here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.ratios import growth_name, peak_name, ratio_name, rise_name, share_name

LOAD = "load and validate 10,000 / PyYAML's C loader"
COMPARE = "compare equal pairs / DeepDiff"
BARE = "{} / python -c pass"


@dataclass(frozen=True)
class Goal:
    """A bound on the ratio of a name: the most that it may be or, of a share, the least."""

    ratio: str
    bound: float
    is_least: bool = False

    def is_reached(self, value: float) -> bool:
        """Whether a ratio is good enough."""
        return value >= self.bound if self.is_least else value <= self.bound

    def __str__(self) -> str:
        return f"{'≥' if self.is_least else '≤'} {self.bound:g}"


GOALS = (
    Goal(BARE.format("--version"), 1.5),
    Goal(BARE.format("--help"), 6),
    Goal(LOAD, 0.25),
    Goal(COMPARE, 0.01),
    Goal(ratio_name(1_000, 0, "plan, no changes", "SDK script, plan"), 0.20),
    Goal(ratio_name(10_000, 0, "plan, no changes", "SDK script, plan"), 0.08),
    Goal(ratio_name(10_000, 0, "plan, no changes", "octoDNS, plan"), 0.30),
    Goal(ratio_name(10_000, 0, "plan, unchanged files", "plan, no changes"), 0.6),
    Goal(ratio_name(10_000, 0, "apply, create all", "SDK script, create"), 0.15),
    Goal(ratio_name(10_000, 0, "apply, create all", "octoDNS, create"), 0.28),
    Goal(share_name(10_000, 32), 0.85, is_least=True),
    Goal(share_name(10_000, 100), 0.70, is_least=True),
    Goal(rise_name(10_000), 1.0, is_least=True),
    Goal(growth_name(1_000, "time"), 1.1),
    Goal(growth_name(10_000, "time"), 1.1),
    Goal(growth_name(1_000, "memory"), 1.1),
    Goal(growth_name(10_000, "memory"), 1.1),
    Goal(peak_name(10_000, "plan, no changes"), 130),
    Goal(peak_name(100_000, "plan, no changes"), 700),
)
