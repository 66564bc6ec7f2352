"""Of two gates it is said, field by field, whether the later one lets more results pass in a build."""

from __future__ import annotations

from itertools import product

import pytest

from reconciler.model.neighbourhood import Neighbourhood
from reconciler.model.plan import Effect
from reconciler.model.resource import Address, Gate, Regress
from reconciler.model.values import Json
from reconciler.planning.gating import gate_changes
from reconciler.providers import KINDS

TEST = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))


def changes(before: Gate, after: Gate) -> list[tuple[str, Json, Json, str]]:
    found = gate_changes(before, after, KINDS[TEST.kind], Neighbourhood({}, KINDS, TEST))
    return [(each.path, each.before, each.after, each.effect.value) for each in found]


def effects(before: Gate, after: Gate) -> set[str]:
    return {effect for _, _, _, effect in changes(before, after)}


def warn(*limits: tuple[str, float]) -> dict[str, Json]:
    return {
        "thresholds": [
            {"insightName": "metrics", "measurement": "faithfulness", "operator": sign, "value": value}
            for sign, value in limits
        ]
    }


GATES = [
    Gate(severity="warn"),
    Gate(severity="info", on_error="pass"),
    Gate(flaky=True),
    Gate(runs=3),
    Gate(runs=3, min_pass=2),
    Gate(on_skipped="warn", on_missing="pass"),
    Gate(regress=Regress(0.05)),
    Gate(regress=Regress(0.05, relative=False, against=5)),
    Gate(warn=warn((">=", 0.9))),
    Gate(warn=warn((">=", 0.9), ("<=", 0.99))),
]


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        (Gate(), Gate(severity="info"), [("severity", "error", "info", "loosened")]),
        (Gate(severity="info"), Gate(severity="warn"), [("severity", "info", "warn", "tightened")]),
        (Gate(on_error="pass"), Gate(on_error="warn"), [("gate.onError", "pass", "warn", "tightened")]),
        (Gate(), Gate(regress=Regress(0.07, against=5)),
         [("regress", None, {"maxDrop": "7%", "against": "mean(5)"}, "tightened")]),
        (Gate(regress=Regress(0.05)), Gate(regress=Regress(0.1)), [("regress.maxDrop", "5%", "10%", "loosened")]),
        (Gate(regress=Regress(0.5, relative=False)), Gate(regress=Regress(0.4, relative=False)),
         [("regress.maxDrop", 0.5, 0.4, "tightened")]),
        (Gate(regress=Regress(0.05)), Gate(regress=Regress(0.05, relative=False)),
         [("regress.maxDrop", "5%", 0.05, "moved")]),
        (Gate(regress=Regress(0.05)), Gate(regress=Regress(0.05, against=3)),
         [("regress.against", "lastPassing", "mean(3)", "moved")]),
        (Gate(warn=warn((">=", 0.9))), Gate(warn=warn((">=", 0.95))), [("warn.0.value", 0.9, 0.95, "tightened")]),
        (Gate(warn=warn((">=", 0.9))), Gate(warn=warn(("<=", 0.9))), [("warn.0.operator", ">=", "<=", "moved")]),
        (Gate(min_pass=1), Gate(), [("gate.minPass", 1, None, "same")]),
    ],
)  # fmt: skip
def test_what_a_change_means(before: Gate, after: Gate, told: list[tuple[str, Json, Json, str]]) -> None:
    """Spelled as in a manifest."""
    assert changes(before, after) == told


def test_warnings_that_change_places_mean_the_same() -> None:
    assert effects(Gate(warn=warn((">=", 0.9), ("<=", 0.99))), Gate(warn=warn(("<=", 0.99), (">=", 0.9)))) == {"same"}


@pytest.mark.parametrize("gate", GATES)
def test_equal_gates_say_nothing(gate: Gate) -> None:
    assert changes(gate, gate) == []


@pytest.mark.parametrize(("one", "other"), [pair for pair in product([Gate(), *GATES], repeat=2) if pair[0] != pair[1]])
def test_what_differs_is_named_and_the_way_back_means_the_opposite(one: Gate, other: Gate) -> None:
    opposite = {"loosened": "tightened", "tightened": "loosened"}
    there = {path: effect for path, _, _, effect in changes(one, other)}
    back = {path: effect for path, _, _, effect in changes(other, one)}
    assert there
    assert back == {path: opposite.get(effect, effect) for path, effect in there.items()}


def test_of_runs_it_is_said_what_any_results_would_show() -> None:
    """Loosened: whatever the latest results are, what passed still does; and so on."""
    latest = list(product([True, False], repeat=4))
    gates = [Gate(runs=runs, min_pass=least) for runs in range(1, 5) for least in (None, *range(1, runs + 1))]
    for before, after in product(gates, repeat=2):
        was, now = ({some for some in latest if _passes(gate, some)} for gate in (before, after))
        meant = (
            Effect.SAME if was == now else Effect.LOOSENED if was < now
            else Effect.TIGHTENED if was > now else Effect.MOVED
        )  # fmt: skip
        assert effects(before, after) <= {meant.value}
        assert bool(effects(before, after)) == (before != after)


def _passes(gate: Gate, latest: tuple[bool, ...]) -> bool:
    return sum(latest[: gate.runs]) >= (gate.min_pass or gate.runs)
