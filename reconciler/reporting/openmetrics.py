"""Turn verdicts into OpenMetrics text: what was measured, how far from its limit, and how it counts.  Pure.

Sources: OpenMetrics 1.0 (every sample of a metric in one piece, no sample twice, ``# EOF`` at the end);
docs.gitlab.com, "Metrics reports", which shows how each sample differs from the target branch's (2026-11).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence

from reconciler.model.outcome import Doubt, Level, Verdict
from reconciler.model.values import Json
from reconciler.reporting.escape import terminal
from reconciler.reporting.tables import worst_first

Labels = tuple[tuple[str, str], ...]
Sample = tuple[Labels, float]

_NUMBER = {Level.PASS: 0, Level.INFO: 1, Level.WARN: 2, Level.FAIL: 3}


def verdicts_openmetrics(verdicts: Sequence[Verdict], doubts: Sequence[Doubt] = ()) -> str:
    """Gauges labelled by project, test, address and pipeline, in the order of their labels: files can be compared.

    Nothing but numbers is measured here: texts and lists are left out.  ``doubts`` are the evaluations of which nobody
    knows whether they were started.
    """
    ordered = worst_first(verdicts)
    counts = Counter(each.level for each in ordered)
    families = (
        _family(
            "reconciler_verdict",
            "How a test counts: 0 pass, 1 for information, 2 warning, 3 failure.",
            ((_labels(each), float(_NUMBER[each.level])) for each in ordered),
        ),
        _family(
            "reconciler_measured",
            "What was measured last, by measurement.",
            (sample for each in ordered for sample in _measured(each)),
        ),
        _family(
            "reconciler_margin",
            "How far a value is on the right side of its limit; negative on the wrong side.",
            ((_labels(each), each.margin) for each in ordered if each.margin is not None),
        ),
        _family(
            "reconciler_baseline",
            "What the value is compared with, where the gate compares it with the past.",
            (
                (_labels(each), each.baseline.value)
                for each in ordered
                if each.baseline and each.baseline.value is not None
            ),
        ),
        _family(
            "reconciler_window_end_timestamp_seconds",
            "When the window ends that was measured, in Unix time.",
            (
                (_labels(each), float(each.evaluation.ends))
                for each in ordered
                if each.evaluation and each.evaluation.ends is not None
            ),
        ),
        _family(
            "reconciler_verdicts",
            "How many tests count that way.",
            (((("level", level.value),), float(counts[level])) for level in Level),
        ),
        _family(
            "reconciler_doubtful",
            "1 where nobody knows whether an evaluation was started.",
            ((_labels(each), 1.0) for each in doubts),
        ),
    )
    return "".join(families) + "# EOF\n"


def _labels(of: Verdict | Doubt, *more: tuple[str, str]) -> Labels:
    pipeline = (("pipeline", of.pipeline),) if of.pipeline else ()
    address = of.address
    return (("project", address.root), ("test", address.name), ("address", str(address)), *pipeline, *more)


def _measured(verdict: Verdict) -> Iterator[Sample]:
    found = verdict.evaluation.measured if verdict.evaluation else {}
    for name, value in sorted(found.items()):
        if (number := _number(value)) is not None:
            yield _labels(verdict, ("measurement", name)), number


def _number(value: Json) -> float | None:
    """None for what is no number, or none that fits into a float."""
    try:
        return float(value) if isinstance(value, int | float) else None
    except OverflowError:
        return None


def _family(name: str, told: str, samples: Iterable[Sample]) -> str:
    lines: dict[str, str] = {}
    for labels, value in samples:
        # Two names that differ only in what cannot be seen look the same here: the first, worse one counts.
        text = ",".join(f'{key}="{_escaped(word)}"' for key, word in labels)
        lines.setdefault(text, f"{name}{{{text}}} {_value(value)}\n")
    head = f"# TYPE {name} gauge\n# HELP {name} {told}\n"
    return head + "".join(lines[text] for text in sorted(lines)) if lines else ""


def _escaped(text: str) -> str:
    return terminal(text).replace("\\", "\\\\").replace('"', '\\"')


def _value(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "+Inf" if value > 0 else "-Inf"
    return str(int(value)) if value.is_integer() and abs(value) < 2**53 else repr(value)
