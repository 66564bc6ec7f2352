"""Judge the rows of one window by a test's thresholds, and cut a time range into windows.  Pure."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from reconciler.emulator.openlayer.insights import INSIGHT_OF_SUBTYPE, CannotMeasure, Rows, measured

_COMPARISONS: Mapping[str, Callable[[float, float], bool]] = {
    "is": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
}


@dataclass(frozen=True, slots=True)
class Judgement:
    """The status of a result, why it is skipped, and the value of each measurement."""

    status: str
    message: str | None = None
    values: Mapping[str, float] = field(default_factory=dict)


def windows(start: int, end: int, width: int) -> list[int]:
    """The starts of the windows of ``width`` seconds that [start, end) touches; windows begin at multiples."""
    return list(range(start // width * width, -(-end // width) * width, width))


def judged(test: Mapping[str, Any], rows: Rows) -> Judgement:
    """Passing if every threshold holds, failing if one does not, skipped if one cannot be measured."""
    if not rows:
        return Judgement("skipped", "There are no rows in the evaluation window.")
    values: dict[str, float] = {}
    holds, obstacles = [], []
    for threshold in test["thresholds"]:
        try:
            value = _value(test["subtype"], threshold, rows)
            values[threshold["measurement"]] = value
            holds.append(_holds(value, threshold))
        except CannotMeasure as reason:
            obstacles.append(str(reason))
    if obstacles or not holds:
        return Judgement("skipped", "; ".join(obstacles) or "The test has no thresholds.", values)
    return Judgement("passing" if all(holds) else "failing", None, values)


def _value(subtype: str, threshold: Mapping[str, Any], rows: Rows) -> float:
    insight = threshold["insightName"] or INSIGHT_OF_SUBTYPE.get(subtype, subtype)
    parameters = {p["name"]: p["value"] for p in threshold["insightParameters"] or ()}
    return float(measured(rows, insight, parameters, threshold["measurement"]))


def _holds(value: float, threshold: Mapping[str, Any]) -> bool:
    if threshold["thresholdMode"] == "automatic":
        raise CannotMeasure("the emulator does not learn automatic thresholds")
    wanted = threshold["value"]
    if not isinstance(wanted, int | float):
        raise CannotMeasure(f'"{threshold["measurement"]}" is a number and cannot be compared with {wanted!r}')
    return _COMPARISONS[threshold["operator"]](value, wanted)


def expected(thresholds: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The limits that thresholds set, one entry for each measurement with a numeric limit."""
    limits: dict[str, dict[str, Any]] = {}
    for threshold in thresholds:
        name, wanted, sign = threshold["measurement"], threshold["value"], threshold["operator"]
        if isinstance(wanted, bool) or not isinstance(wanted, int | float) or sign == "!=":
            continue
        limit = limits.setdefault(name, {"measurement": name, "lowerThreshold": None, "upperThreshold": None})
        if sign in (">", ">=", "is"):
            limit["lowerThreshold"] = wanted
        if sign in ("<", "<=", "is"):
            limit["upperThreshold"] = wanted
    return list(limits.values())
