"""What came of it: outcomes of steps, evaluations, verdicts.  Frozen, no I/O."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum

from msgspec import Struct, field

from reconciler.model.resource import Address, Severity, Source
from reconciler.model.values import Fields, Json


class StepStatus(StrEnum):
    """What became of a step.  ``UNKNOWN`` is an answer of its own: the request may have been carried out."""

    DONE = "done"
    FAILED = "failed"
    SKIPPED = "skipped"
    UNKNOWN = "unknown"


class StepOutcome(Struct, frozen=True):
    """The end of one step.  ``error`` says why when it is not done; ``refused``: the same request would fail again."""

    step_id: str
    status: StepStatus
    error: str = ""
    hint: str = ""
    remote_id: str | None = None
    refused: bool = False


class TimeRange(Struct, frozen=True):
    """Unix seconds, start inclusive, end exclusive."""

    start: int
    end: int


class EvaluationStatus(StrEnum):
    """What the platform says of one result; ``MISSING`` and ``UNREADABLE`` are ours."""

    PASSING = "passing"
    FAILING = "failing"
    SKIPPED = "skipped"
    ERROR = "error"
    RUNNING = "running"
    MISSING = "missing"
    UNREADABLE = "unreadable"


class TaskState(Struct, frozen=True):
    """How a task is doing.  ``error`` non-empty means it failed, whatever ``complete`` says.

    ``note`` says what is odd about a task that is not over.
    """

    complete: bool
    error: str = ""
    note: str = ""

    @property
    def over(self) -> bool:
        """Whether nothing more will come of it."""
        return self.complete or bool(self.error)


class Evaluation(Struct, frozen=True):
    """One recorded result: a resource, measured on one pipeline over one window.

    ``measured`` maps measurement to value where the vendor shows it.  ``pipeline`` is the name, or the vendor's
    id if we do not know the name, or None where there are no pipelines.  Times are Unix seconds.  ``item`` is what was
    measured as it was then, as the kind's ``read`` takes it; None where the vendor keeps no such thing.  ``unmeasured``
    names what the manifests limit and the resource did not measure then; "" where there is nothing, or nobody can tell.
    ``laxer_then`` are the keys of the criteria in the manifests that were others then, by which more values passed.
    """

    address: Address
    status: EvaluationStatus
    pipeline: str | None = None
    measured: Mapping[str, Json] = field(default_factory=dict)
    message: str = ""
    result_id: str = ""
    starts: int | None = None
    ends: int | None = None
    recorded: str = ""
    item: Fields | None = None
    unmeasured: str = ""
    laxer_then: tuple[str, ...] = ()

    @property
    def is_preliminary(self) -> bool:
        """Whether it was recorded before its window was over: rows may have come in since that nobody judged.

        A time of recording that cannot be read says nothing.
        """
        if self.starts is None or self.ends is None:
            return False
        try:
            recorded = datetime.fromisoformat(self.recorded)
        except ValueError:
            return False
        return (recorded if recorded.tzinfo else recorded.replace(tzinfo=UTC)).timestamp() < self.ends


class Doubt(Struct, frozen=True):
    """A trigger that may have started an evaluation, or not: its answer was lost, and it is not sent a second time.

    ``pipeline`` is the name of the place, None for all of them.  ``why`` says what that means for the verdicts,
    ``hint`` what to do next.
    """

    address: Address
    pipeline: str | None
    why: str
    hint: str
    source: Source | None = None


class Level(StrEnum):
    """How a verdict counts, worst first."""

    FAIL = "fail"
    WARN = "warn"
    INFO = "info"
    PASS = "pass"  # noqa: S105 - a verdict, not a password


class Runs(Struct, frozen=True):
    """How often one window was measured: ``passed`` of ``known`` results, where ``wanted`` are asked for.

    At least ``min_pass`` of the wanted ones must pass.
    """

    passed: int
    known: int
    wanted: int
    min_pass: int


class Baseline(Struct, frozen=True):
    """What a value is compared with: the last passing one, or the mean of the last ``count`` (``count`` 0: the former).

    ``value`` is None where there is no past yet.  ``ends`` is the end of the last passing window in Unix seconds.
    ``drop`` is how much worse the new value is, negative if it is better: a fraction of the baseline where
    ``relative``, else in the value's own unit; None where nothing can be said (no value, or relative to zero).
    """

    value: float | None = None
    count: int = 0
    ends: int | None = None
    drop: float | None = None
    max_drop: float = 0.0
    relative: bool = True


class Verdict(Struct, frozen=True):
    """What one evaluation means for the build.

    ``measured`` and ``wanted`` are ready to print; ``margin`` is how far the value is on the right side of its
    limit (negative: on the wrong side), None where there is no number.  ``why`` says everything that decided, in
    words; ``flaky`` (never blocks), ``runs`` and ``baseline`` are there where the gate asks for them; ``fell``: it does
    not pass because it is worse than the baseline.  ``parts`` are the verdicts on each result by itself, where it sums
    up several.
    """

    address: Address
    pipeline: str | None
    level: Level
    status: EvaluationStatus
    severity: Severity
    measured: str
    wanted: str
    margin: float | None
    why: str
    source: Source | None
    evaluation: Evaluation | None = None
    flaky: bool = False
    runs: Runs | None = None
    baseline: Baseline | None = None
    fell: bool = False
    parts: tuple[Verdict, ...] = ()

    @property
    def each(self) -> tuple[Verdict, ...]:
        """The verdicts on single results: the parts, or else itself."""
        return self.parts or (self,)
