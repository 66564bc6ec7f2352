"""The fields by which a manifest says how results count in a build, shared by every kind that is measured.  No I/O."""

import re
from decimal import Decimal
from typing import Annotated, Protocol

from pydantic import BeforeValidator, Field, ValidationInfo, WithJsonSchema, field_validator

from reconciler.model.criteria import undirected
from reconciler.model.kind import AnyKind, Criterion
from reconciler.model.resource import Gate, LiveObject, OnUnusual, Regress, Severity
from reconciler.model.spec import Conflict, Mark, Part
from reconciler.model.values import Fields

MOST_RUNS = 20
MOST_AVERAGED = 100
MOST_DROP = 1e9
LAST_PASSING = "lastPassing"
_PERCENT = r"[0-9]+(\.[0-9]+)? ?%"
_MEAN = r"mean\(([2-9]|[1-9][0-9]|100)\)"


def _max_drop(value: object) -> object:
    match value:
        case str():
            written = re.fullmatch(_PERCENT, value)
            if not written:
                raise ValueError(f'"{value}" is not a drop; write 5% of the past value, or 0.05 in its unit')
            size: float = float(value.rstrip("% "))
        case bool():
            raise ValueError("expected a number or a percentage; write 0.05 or 5%")
        case int() | float():
            size = value
        case _:
            return value
    if not size > 0:
        raise ValueError("leaves no room; write how much worse than before it may be, 5% or 0.05")
    if size > MOST_DROP:
        raise ValueError("forbids nothing; write how much worse than before it may be, 5% or 0.05")
    return value


def _against(value: object) -> object:
    if value == LAST_PASSING or not isinstance(value, str) or re.fullmatch(_MEAN, value):
        return value
    count = re.fullmatch(r"mean\((-?[0-9]+)\)", value)
    if count:
        raise ValueError(f"mean({count[1]}) is out of range; give 2 to {MOST_AVERAGED} measurements, mean(5)")
    near = "; did you mean mean(5)?" if "mean" in value.lower() else ""
    near = f'; did you mean "{LAST_PASSING}"?' if "last" in value.lower() or "pass" in value.lower() else near
    raise ValueError(f'"{value}" is not "{LAST_PASSING}" or "mean(5)"{near}')


MaxDrop = Annotated[
    float | str,
    BeforeValidator(_max_drop),
    WithJsonSchema(
        {"anyOf": [{"type": "number", "exclusiveMinimum": 0}, {"type": "string", "pattern": f"^{_PERCENT}$"}]}
    ),
]
Against = Annotated[
    str,
    BeforeValidator(_against),
    WithJsonSchema({"type": "string", "pattern": f"^({LAST_PASSING}|{_MEAN})$", "examples": [LAST_PASSING, "mean(5)"]}),
]


class RegressPolicy(Part):
    """How much worse than before a value may be."""

    max_drop: Annotated[
        MaxDrop, Field(description="The largest drop that passes: 5% of the past value, or 0.05 in the value's unit.")
    ]
    against: Annotated[
        Against, Field(description="lastPassing: the latest value that passed; mean(5): the mean of the last five.")
    ] = LAST_PASSING


class GatePolicy(Part):
    """What counts as a failed gate beyond a failing result."""

    on_skipped: Annotated[OnUnusual, Field(description="The platform skipped it.")] = "fail"
    on_error: Annotated[OnUnusual, Field(description="The platform could not evaluate it.")] = "fail"
    on_missing: Annotated[OnUnusual, Field(description="There is no result, or not enough of them.")] = "fail"
    runs: Annotated[int, Field(ge=1, le=MOST_RUNS, description="How often each window is measured.")] = 1
    min_pass: Annotated[
        int | None, Field(ge=1, description="How many of the runs must pass; all of them when left out.")
    ] = None

    @field_validator("min_pass")
    @classmethod
    def _within_runs(cls, value: int | None, info: ValidationInfo) -> int | None:
        runs = info.data.get("runs")
        if value is not None and runs is not None and value > runs:
            hint = f"; write runs: {min(value + 1, MOST_RUNS)} beside it" if runs == 1 else ""
            raise Conflict("runs", f"{value} cannot pass of {runs} run{'' if runs == 1 else 's'}{hint}")
        return value


SeverityField = Annotated[
    Severity, Mark.LOCAL, Mark.OVERRIDABLE, Field(description="error fails the gate, warn and info do not.")
]
FlakyField = Annotated[
    bool, Mark.LOCAL, Mark.OVERRIDABLE, Field(description="true: measured, shown and counted, but never blocking.")
]
GateField = Annotated[
    GatePolicy,
    Mark.LOCAL,
    Mark.OVERRIDABLE,
    Field(description="What counts as a failed gate beyond a failing result, and how often is measured."),
]
RegressField = Annotated[
    RegressPolicy | None, Mark.LOCAL, Mark.OVERRIDABLE, Field(description="How much worse than before it may be.")
]


_GATE_FIELDS = frozenset({"severity", "flaky", "gate", "regress"})
_USUAL = Gate()
"""That of every resource that says nothing about it."""


class Gated(Protocol):
    """A spec with the fields above.  ``model_fields_set`` are those that were written."""

    @property
    def model_fields_set(self) -> set[str]: ...
    @property
    def severity(self) -> Severity: ...
    @property
    def flaky(self) -> bool: ...
    @property
    def gate(self) -> GatePolicy: ...
    @property
    def regress(self) -> RegressPolicy | None: ...


def gate_of(spec: Gated, warn: Fields | None = None) -> Gate:
    """The gate that a spec asks for; ``warn`` are its stricter thresholds, as fields that its kind reads."""
    if not warn and spec.model_fields_set.isdisjoint(_GATE_FIELDS):
        return _USUAL
    policy = spec.gate
    return Gate(
        severity=spec.severity,
        on_skipped=policy.on_skipped,
        on_error=policy.on_error,
        on_missing=policy.on_missing,
        warn=warn or {},
        runs=policy.runs,
        min_pass=policy.min_pass,
        flaky=spec.flaky,
        regress=_regress(spec.regress) if spec.regress else None,
    )


def incomparable(kind: AnyKind, fields: Fields) -> str:
    """Why values of a resource cannot be compared with the past, as far as its manifest tells; "" when they can."""
    return undirected(declared_criteria(kind, fields))


def declared_criteria(kind: AnyKind, fields: Fields) -> tuple[Criterion, ...]:
    """The criteria of a resource, as far as its manifest tells."""
    return kind.criteria(fields, _Unseen())


class _Unseen:
    """Finds nothing at the platform, because nobody has looked there."""

    def __call__(self, kind_id: str, name: str) -> LiveObject | None:
        return None

    def names(self, kind_id: str) -> list[str]:
        return []


def _regress(policy: RegressPolicy) -> Regress:
    written, mean = policy.max_drop, re.fullmatch(_MEAN, policy.against)
    count = int(mean[1]) if mean else 0
    if isinstance(written, str):
        return Regress(float(Decimal(written.rstrip("% ")) / 100), relative=True, against=count)
    return Regress(written, relative=False, against=count)
