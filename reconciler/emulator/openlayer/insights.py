"""Measure rows: (rows, insight, parameters) -> values by measurement.  Pure.

Names of insights, parameters and measurements are the vendor's, from its documentation, templates and agent guidance
(2026).  Percentages are fractions, 1.0 being all rows.  Where the vendor does not say how it computes, this is plain:
null means absent or null, percentiles interpolate linearly, more than two classes are averaged unweighted.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from statistics import fmean, median
from typing import Any

from reconciler.emulator.openlayer.storage import StoredRow

Rows = Sequence[StoredRow]
Parameters = Mapping[str, Any]
Values = Mapping[str, float]

CANONICAL = {
    "openlayer_output": "outputColumnName",
    "openlayer_latency": "latencyColumnName",
    "openlayer_cost": "costColumnName",
    "openlayer_num_of_tokens": "numOfTokenColumnName",
}
"""Names that stand for whatever column the stream's config names."""

INSIGHT_OF_SUBTYPE = {"metricThreshold": "metrics", "rowCount": "metrics"}
"""Where the insight is not called like the subtype."""


class CannotMeasure(Exception):
    """Why there is no value; the result is skipped with this text."""


def measured(rows: Rows, insight: str, parameters: Parameters, measurement: str) -> float:
    """One measurement over at least one row.  Raises CannotMeasure."""
    if insight == "metrics":
        if measurement not in METRICS:
            raise CannotMeasure(f'the emulator does not compute the metric "{measurement}"')
        return METRICS[measurement](rows)
    if insight not in INSIGHTS:
        raise CannotMeasure(f'the emulator does not evaluate the insight "{insight}"')
    values = INSIGHTS[insight](rows, parameters)
    if measurement not in values:
        raise CannotMeasure(f'the insight "{insight}" has no measurement "{measurement}"; it has {", ".join(values)}')
    return values[measurement]


# --- columns ---------------------------------------------------------------------------------------------------


def _column(rows: Rows, name: str) -> list[Any]:
    """The cells of a column, None where a row has none.  Raises CannotMeasure if no row has it."""
    names = [row.config.get(CANONICAL.get(name, "")) or name for row in rows]
    if not any(named in row.cells for named, row in zip(names, rows, strict=True)):
        raise CannotMeasure(f'no row has a column "{name}"')
    return [row.cells.get(named) for named, row in zip(names, rows, strict=True)]


def _role(rows: Rows, role: str) -> list[Any]:
    """The cells of the column that the config names for a role, such as ``labelColumnName``."""
    if not any(row.config.get(role) for row in rows):
        raise CannotMeasure(f"the data's config names no {role}")
    return [row.cells.get(row.config.get(role) or "") for row in rows]


def _parameter(parameters: Parameters, name: str) -> str:
    if not isinstance(parameters.get(name), str):
        raise CannotMeasure(f'the insight needs a parameter "{name}"')
    return str(parameters[name])


def _numbers(cells: Sequence[Any], name: str) -> list[float]:
    """The numbers of a column without its nulls."""
    present = [cell for cell in cells if cell is not None]
    if not present:
        raise CannotMeasure(f'the column "{name}" has no values')
    if not all(isinstance(cell, int | float) and not isinstance(cell, bool) for cell in present):
        raise CannotMeasure(f'the column "{name}" is not numeric')
    return [float(cell) for cell in present]


# --- insights --------------------------------------------------------------------------------------------------


def _null_rows(rows: Rows, _: Parameters) -> Values:
    columns = {name for row in rows for name in row.cells}
    count = sum(any(row.cells.get(name) is None for name in columns) for row in rows)
    return {"nullRowCount": count, "nullRowPercentage": count / len(rows)}


def _duplicate_rows(rows: Rows, _: Parameters) -> Values:
    """Rows that repeat an earlier one; when a row came and which id it has make no difference."""
    contents = {json.dumps(_content(row), sort_keys=True) for row in rows}
    count = len(rows) - len(contents)
    return {"duplicateRowCount": count, "duplicateRowPercentage": count / len(rows)}


def _content(row: StoredRow) -> dict[str, Any]:
    aside = {row.config.get("timestampColumnName"), row.config.get("inferenceIdColumnName")}
    return {name: cell for name, cell in row.cells.items() if name not in aside}


def _is_luhn(digits: str) -> bool:
    """Whether the last digit checks the others, as on payment cards (ISO/IEC 7812-1, annex B)."""
    doubled = [int(d) * 2 if i % 2 else int(d) for i, d in enumerate(reversed(digits))]
    return sum(d - 9 if d > 9 else d for d in doubled) % 10 == 0


_CARD = re.compile(r"(?<!\d)\d(?:[ -]?\d){12,18}(?!\d)")


def _has_card(text: str) -> bool:
    return any(_is_luhn(re.sub(r"\D", "", match)) for match in _CARD.findall(text))


def _has(pattern: str, text: str) -> bool:
    return re.search(pattern, text) is not None


_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
PII: Mapping[str, Callable[[str], bool]] = {
    "EMAIL_ADDRESS": partial(_has, r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+"),
    "PHONE_NUMBER": partial(_has, r"(?<![\w.])(?:\+\d{1,3}[ .-]?)?\(?\d{3}\)?[ .-]?\d{3}[ .-]?\d{4}(?![\w-])"),
    "CREDIT_CARD": _has_card,
    "US_SSN": partial(_has, r"(?<![\d-])(?!000|666|9)\d{3}-(?!00)\d{2}-(?!0000)\d{4}(?![\d-])"),
    "IP_ADDRESS": partial(_has, rf"(?<![\d.]){_OCTET}(?:\.{_OCTET}){{3}}(?![\d.])"),
}


def _pii(rows: Rows, parameters: Parameters) -> Values:
    wanted = parameters.get("pii_type", list(PII))
    wanted = [wanted] if isinstance(wanted, str) else list(wanted)
    unknown = [kind for kind in wanted if kind not in PII]
    if unknown:
        raise CannotMeasure(f"the emulator does not recognise {', '.join(map(str, unknown))}")
    cells = _column(rows, _parameter(parameters, "column_name"))
    count = sum(any(PII[kind](_text(cell)) for kind in wanted) for cell in cells)
    return {"containsPIIRowCount": count}


def _text(cell: object) -> str:
    if cell is None:
        return ""
    return cell if isinstance(cell, str) else json.dumps(cell)


def _json_rows(rows: Rows, parameters: Parameters) -> Values:
    cells = _column(rows, _parameter(parameters, "column_name"))
    return {"isJsonRowPercentage": sum(map(_is_json, cells)) / len(cells)}


def _is_json(cell: object) -> bool:
    if not isinstance(cell, str):
        return isinstance(cell, dict | list)
    try:
        json.loads(cell)
    except ValueError:
        return False
    return True


def _character_length(rows: Rows, parameters: Parameters) -> Values:
    name = _parameter(parameters, "column_name")
    lengths = [len(_text(cell)) for cell in _column(rows, name) if cell is not None]
    if not lengths:
        raise CannotMeasure(f'the column "{name}" has no values')
    return {"maxCharacterLength": max(lengths), "averageCharacterLength": fmean(lengths)}


def _column_average(rows: Rows, parameters: Parameters) -> Values:
    name = _parameter(parameters, "column_name")
    return {"columnAverage": fmean(_numbers(_column(rows, name), name))}


INSIGHTS: Mapping[str, Callable[[Rows, Parameters], Values]] = {
    "nullRowCount": _null_rows,
    "duplicateRowCount": _duplicate_rows,
    "containsPii": _pii,
    "isJson": _json_rows,
    "characterLength": _character_length,
    "columnAverage": _column_average,
}

# --- the insight "metrics" -------------------------------------------------------------------------------------


def _percentile(values: Sequence[float], percent: float) -> float:
    """Between the two nearest ranks, in proportion."""
    ordered = sorted(values)
    rank = (len(ordered) - 1) * percent / 100
    low, high = math.floor(rank), math.ceil(rank)
    return ordered[low] + (ordered[high] - ordered[low]) * (rank - low)


_STATISTICS: Mapping[str, Callable[[Sequence[float]], float]] = {
    "min": min,
    "max": max,
    "mean": fmean,
    "median": median,
    "total": math.fsum,
    "p90": partial(_percentile, percent=90),
    "p95": partial(_percentile, percent=95),
    "p99": partial(_percentile, percent=99),
}
_QUANTITIES = {"Latency": "latencyColumnName", "Cost": "costColumnName", "Tokens": "numOfTokenColumnName"}


def _statistic(rows: Rows, statistic: Callable[[Sequence[float]], float], role: str) -> float:
    return statistic(_numbers(_role(rows, role), role))


def _pairs(rows: Rows, truth: str, guess: str) -> list[tuple[Any, Any]]:
    """(truth, guess) of the rows that have both."""
    both = zip(_role(rows, truth), _role(rows, guess), strict=True)
    pairs = [(t, g) for t, g in both if t is not None and g is not None]
    if not pairs:
        raise CannotMeasure(f"no row has both {truth} and {guess}")
    return pairs


def _equal_share(rows: Rows, truth: str, guess: str) -> float:
    return fmean(t == g for t, g in _pairs(rows, truth, guess))


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else 0.0


def _precision(hits: int, claimed: int, _: int) -> float:
    return _ratio(hits, claimed)


def _recall(hits: int, _: int, actual: int) -> float:
    return _ratio(hits, actual)


def _f1(hits: int, claimed: int, actual: int) -> float:
    return _ratio(2 * hits, claimed + actual)


def _by_class(rows: Rows, score: Callable[[int, int, int], float]) -> float:
    """A score of (hits, claimed, actual): of class 1 where there are two classes, else the mean over the classes."""
    pairs = _pairs(rows, "labelColumnName", "predictionsColumnName")
    classes = len(next(row.config["classNames"] for row in rows if row.config.get("classNames")))
    wanted = [1] if classes == 2 else range(classes)
    return fmean(
        score(
            sum(label == prediction == c for label, prediction in pairs),
            sum(prediction == c for _, prediction in pairs),
            sum(label == c for label, _ in pairs),
        )
        for c in wanted
    )


def _errors(rows: Rows) -> list[tuple[float, float]]:
    """(target, prediction - target) of each row that has both."""
    pairs = _pairs(rows, "targetColumnName", "predictionsColumnName")
    targets = _numbers([target for target, _ in pairs], "targetColumnName")
    guesses = _numbers([guess for _, guess in pairs], "predictionsColumnName")
    return [(target, guess - target) for target, guess in zip(targets, guesses, strict=True)]


def _mean_absolute(rows: Rows) -> float:
    return fmean(abs(error) for _, error in _errors(rows))


def _mean_squared(rows: Rows) -> float:
    return fmean(error**2 for _, error in _errors(rows))


def _determination(rows: Rows) -> float:
    errors = _errors(rows)
    mean = fmean(target for target, _ in errors)
    spread = math.fsum((target - mean) ** 2 for target, _ in errors)
    if not spread:
        raise CannotMeasure("r2 needs targets that differ")
    return 1 - math.fsum(error**2 for _, error in errors) / spread


METRICS: Mapping[str, Callable[[Rows], float]] = {
    "rowCount": len,
    "exactMatch": partial(_equal_share, truth="groundTruthColumnName", guess="outputColumnName"),
    "accuracy": partial(_equal_share, truth="labelColumnName", guess="predictionsColumnName"),
    "precision": partial(_by_class, score=_precision),
    "recall": partial(_by_class, score=_recall),
    "f1": partial(_by_class, score=_f1),
    "mae": _mean_absolute,
    "mse": _mean_squared,
    "rmse": lambda rows: math.sqrt(_mean_squared(rows)),
    "r2": _determination,
    **{
        f"{statistic}{quantity}": partial(_statistic, statistic=compute, role=role)
        for statistic, compute in _STATISTICS.items()
        for quantity, role in _QUANTITIES.items()
    },
}
