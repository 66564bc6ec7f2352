"""A value compared with the past: which past counts, how much worse is too much, and how it is said."""

from typing import Any

import pytest

from reconciler.evaluating.gates import Expectation, judge
from reconciler.model.history import Observation
from reconciler.model.kind import Criterion
from reconciler.model.outcome import Baseline, Evaluation, EvaluationStatus, Level, Verdict
from reconciler.model.resource import Address, Gate, Regress, Severity
from reconciler.model.values import Json

PASSING, FAILING, SKIPPED, ERROR, RUNNING, MISSING, UNREADABLE = EvaluationStatus
FAIL, WARN, INFO, PASS = Level
FAITHFUL = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))
AT_LEAST = Criterion("metrics|faithfulness", ">=", 0.5, label="faithfulness")
AT_MOST = Criterion("latency|p95", "<=", 900, label="p95")
FIVE_PERCENT = Regress(0.05)
DAY = 86_400
TODAY = 1_795_305_600 // DAY  # 2026-11-22, counted in days since 1970


def value_on(day: int, value: Json, *, status: EvaluationStatus = PASSING, name: str = "faithfulness") -> Evaluation:
    """The result for one day's window, ``day`` days before today; recorded when the day was over."""
    ends = (TODAY - day) * DAY
    return Evaluation(
        FAITHFUL, status, "live", {} if value is None else {name: value}, "", f"r{day}",
        ends - DAY, ends, f"2026-11-{22 - day:02}T00:05:00Z",
    )  # fmt: skip


def seen(evaluation: Evaluation, level: Level = PASS, **more: Any) -> Observation:
    """The result as an earlier run has kept it."""
    return Observation(
        **{"address": FAITHFUL, "pipeline": "live", "level": level, "status": evaluation.status,
           "measured": evaluation.measured, "wanted": ">= 0.5", "starts": evaluation.starts, "ends": evaluation.ends,
           "result_id": evaluation.result_id, "recorded": evaluation.recorded, **more}
    )  # fmt: skip


def one(
    regress: Regress, now: Evaluation, *past: Observation, gate: Gate | None = None, criterion: Criterion = AT_LEAST
) -> Verdict:
    asked = Gate(severity=gate.severity, flaky=gate.flaky, regress=regress) if gate else Gate(regress=regress)
    expectation = Expectation(FAITHFUL, "live", asked, None, (criterion,))
    (verdict,) = judge([expectation], [now], None, {(FAITHFUL, "live"): past})
    return verdict


# ------------------------------------------------------------------------------------------- the decision


@pytest.mark.parametrize(
    ("regress", "value", "before", "level", "why"),
    [
        (FIVE_PERCENT, 0.81, 0.88, FAIL,
         "0.81 is 7.95 % below 0.88, the last passing value of 2026-11-20 (at most 5 %)"),
        (FIVE_PERCENT, 0.84, 0.88, PASS, ""),
        (FIVE_PERCENT, 0.95, 0.88, PASS, ""),
        (FIVE_PERCENT, 0.95, 1, PASS, ""),  # exactly 5 % are not more than 5 %
        (FIVE_PERCENT, 0.94999, 1, FAIL,
         "0.94999 is 5.001 % below 1, the last passing value of 2026-11-20 (at most 5 %)"),
        (FIVE_PERCENT, 0, 0.88, FAIL,
         "0 is 100 % below 0.88, the last passing value of 2026-11-20 (at most 5 %)"),
        (Regress(0.05, relative=False), 0.81, 0.88, FAIL,
         "0.81 is 0.07 below 0.88, the last passing value of 2026-11-20 (at most 0.05)"),
        (Regress(0.05, relative=False), 0.83, 0.88, PASS, ""),
        (Regress(0.05, relative=False), 0.8299, 0.88, FAIL,
         "0.8299 is 0.0501 below 0.88, the last passing value of 2026-11-20 (at most 0.05)"),
        (Regress(1.5), 0.5, -1, PASS, ""),  # a share of the size of the past value, whatever its sign
        (Regress(0.5), -1.6, -1, FAIL,
         "-1.6 is 60 % below -1, the last passing value of 2026-11-20 (at most 50 %)"),
        (Regress(0.000001), 0.8799991, 0.88, FAIL,
         "0.8799991 is 0.000102 % below 0.88, the last passing value of 2026-11-20 (at most 0.0001 %)"),
    ],
)  # fmt: skip
def test_a_drop_by_more_than_is_allowed_counts_as_a_failure(
    regress: Regress, value: float, before: float, level: Level, why: str
) -> None:
    verdict = one(regress, value_on(0, value), seen(value_on(2, before)))
    assert (verdict.level, verdict.why) == (level, why)
