"""What was measured before: one observation for each verdict that a run saw.  Frozen, no I/O.

Observations are keyed by logical name (address and pipeline), not by the vendor's ids, so that the history of a test
survives its replacement by another object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from msgspec import Struct, field

from reconciler.model.outcome import EvaluationStatus, Level, Verdict
from reconciler.model.resource import Address
from reconciler.model.values import Json


class Observation(Struct, frozen=True):
    """One verdict as it was given.

    ``measured`` maps measurement to the unrounded value; ``wanted`` is the criteria in words as they were then.
    ``starts`` and ``ends`` are Unix seconds of the window; ``recorded`` is the vendor's time stamp as text, and
    ``seen`` the Unix seconds when we judged it.
    """

    address: Address
    pipeline: str | None
    level: Level
    status: EvaluationStatus
    measured: Mapping[str, Json] = field(default_factory=dict)
    wanted: str = ""
    margin: float | None = None
    why: str = ""
    starts: int | None = None
    ends: int | None = None
    result_id: str = ""
    recorded: str = ""
    seen: float = 0.0

    @property
    def measurement(self) -> tuple[Json, ...]:
        """What tells two measurements apart; of two observations of the same one the later replaces the earlier.

        That is the vendor's result.  Where there is none, it is the window; and an evaluation that broke is not the
        one that broke before, while what is missing stays the same for everybody who looks.
        """
        known = (str(self.address), self.pipeline, self.result_id, self.recorded)
        if self.result_id or self.recorded:
            return known
        broke = self.seen if self.status is EvaluationStatus.ERROR else None
        return (*known, self.starts, self.ends, broke)


def observed(verdict: Verdict, seen: float) -> Observation:
    """The verdict on one result, as what was seen of it."""
    found = verdict.evaluation
    return Observation(
        address=verdict.address,
        pipeline=verdict.pipeline,
        level=verdict.level,
        status=verdict.status,
        measured=dict(found.measured) if found else {},
        wanted=verdict.wanted,
        margin=verdict.margin,
        why=verdict.why,
        starts=found.starts if found else None,
        ends=found.ends if found else None,
        result_id=found.result_id if found else "",
        recorded=found.recorded if found else "",
        seen=seen,
    )


class HistoryStore(Protocol):
    """Where observations of one environment are kept.

    Nothing is held between calls.  Blocking; every method raises StateUnreadable on trouble.
    """

    def record(self, observations: Sequence[Observation]) -> int:
        """Keep these durably; returns how many were not known before."""
        ...

    def of(self, addresses: Sequence[Address] = (), limit: int | None = None) -> tuple[Observation, ...]:
        """Observations of these addresses (of all, for none), newest window first, at most ``limit`` for each
        address and pipeline.
        """
        ...

    def moved(self, former: Address, address: Address) -> None:
        """Carry the past of ``former``, and of what stands inside it, over to ``address``."""
        ...
