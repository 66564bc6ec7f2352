"""What every history promises, whatever it is made of.  A new backend is added to the fixture ``open_history``."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.model.history import HistoryStore, Observation
from reconciler.model.outcome import EvaluationStatus, Level
from reconciler.model.resource import Address

OpenHistory = Callable[..., HistoryStore]

FAITHFUL = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))
PII = Address("openlayer.Test", ("bot", "monitoring", "No PII"))
ODD = Address("openlayer.Test", ("a/b", "monitoring", "100 % ünïcode \U0001f600\n\u2028 %2F"))
DAY = 86_400


def seen(day: int, address: Address = FAITHFUL, pipeline: str | None = "live", **given: Any) -> Observation:
    """The measurement of one day."""
    values: dict[str, Any] = {
        "level": Level.PASS,
        "status": EvaluationStatus.PASSING,
        "measured": {"faithfulness": 0.9},
        "starts": day * DAY,
        "ends": (day + 1) * DAY,
        "result_id": f"r{day}",
        "recorded": f"2026-11-{day:02}T00:00:00Z",
        "seen": (day + 1) * DAY + 60.0,
    }
    return Observation(address, pipeline, **{**values, **given})


def test_a_history_that_was_never_written_is_empty(open_history: OpenHistory) -> None:
    assert open_history().of() == ()
    assert open_history().of([FAITHFUL], limit=3) == ()


def test_what_was_recorded_is_what_another_run_finds(open_history: OpenHistory) -> None:
    whole = Observation(
        ODD,
        "live",
        Level.FAIL,
        EvaluationStatus.FAILING,
        measured={"faithfulness": 0.1 + 0.2, "rows": 7, "odd": [1, None, {"é": True}]},
        wanted=">= 0.8",
        margin=-0.5,
        why="misses\x00 the \ud800 threshold \U0001f600",
        starts=1,
        ends=2,
        result_id="r\x00\ud8001",
        recorded="2026-11-22T12:00:00.000001Z",
        seen=1_795_000_000.25,
    )
    bare = Observation(FAITHFUL, None, Level.WARN, EvaluationStatus.MISSING)
    store = open_history()
    assert store.record([whole, bare]) == 2
    assert open_history().of() == (whole, bare)


def test_a_measurement_that_is_no_number_comes_back(open_history: OpenHistory) -> None:
    open_history().record([seen(1, measured={"x": math.inf}, margin=None)])
    assert open_history().of()[0].measured == {"x": math.inf}


def test_what_has_no_result_is_told_apart_by_its_window_and_one_broken_evaluation_from_another(
    open_history: OpenHistory,
) -> None:
    """What is missing is the same, however often somebody looks."""
    bare: dict[str, Any] = {"result_id": "", "recorded": "", "measured": {}}
    broke, missing = {**bare, "status": EvaluationStatus.ERROR}, {**bare, "status": EvaluationStatus.MISSING}
    store = open_history()
    assert store.record([seen(1, **broke), seen(2, **broke)]) == 2
    assert store.record([seen(2, **broke), seen(2, **{**broke, "seen": 4.0 * DAY})]) == 1
    assert store.record([seen(3, **missing), seen(3, **{**missing, "seen": 5.0 * DAY})]) == 1


def test_one_measurement_is_kept_once_and_as_it_was_judged_last(open_history: OpenHistory) -> None:
    store = open_history()
    assert store.record([seen(1), seen(2)]) == 2
    assert store.record([seen(1, level=Level.FAIL, wanted=">= 0.95"), seen(3)]) == 1
    assert store.record([seen(1, level=Level.WARN), seen(1, level=Level.INFO)]) == 0
    assert [(each.result_id, each.level) for each in store.of()] == [
        ("r3", Level.PASS),
        ("r2", Level.PASS),
        ("r1", Level.INFO),
    ]


@pytest.mark.parametrize(
    "other", [{"pipeline": "canary"}, {"address": PII}, {"result_id": "r9"}, {"recorded": "later"}]
)
def test_what_differs_in_any_part_of_its_name_is_another_measurement(
    open_history: OpenHistory, other: dict[str, Any]
) -> None:
    assert open_history().record([seen(1), replace(seen(1), **other)]) == 2


def test_no_pipeline_and_an_unnamed_pipeline_are_two(open_history: OpenHistory) -> None:
    assert open_history().record([seen(1, pipeline=None), seen(1, pipeline="")]) == 2
    assert {each.pipeline for each in open_history().of()} == {None, ""}


def test_recording_nothing_is_allowed(open_history: OpenHistory) -> None:
    assert open_history().record([]) == 0


def test_the_newest_window_comes_first_whenever_it_was_seen(open_history: OpenHistory) -> None:
    store = open_history()
    store.record([seen(2), seen(1, seen=1e12), seen(3)])
    assert [each.result_id for each in store.of()] == ["r3", "r2", "r1"]


def test_of_two_results_of_one_window_the_one_recorded_last_comes_first(open_history: OpenHistory) -> None:
    store = open_history()
    store.record([seen(1, result_id="new", recorded="2026-11-09"), seen(1, result_id="old", recorded="2026-11-08")])
    assert [each.result_id for each in store.of()] == ["new", "old"]


def test_what_has_no_window_stands_where_it_was_seen(open_history: OpenHistory) -> None:
    store = open_history()
    missing = seen(9, starts=None, ends=None, result_id="", recorded="", seen=3 * DAY + 5.0)
    store.record([seen(1), missing, seen(2), seen(3)])
    assert [each.result_id for each in store.of()] == ["r3", "", "r2", "r1"]


def test_a_limit_is_for_each_address_and_pipeline(open_history: OpenHistory) -> None:
    store = open_history()
    store.record([seen(day, address, pipeline) for day in range(1, 6) for address in (FAITHFUL, PII)
                  for pipeline in ("live", "canary", None)])  # fmt: skip
    found = store.of(limit=2)
    assert len(found) == 12
    assert {each.result_id for each in found} == {"r4", "r5"}


def test_only_the_addresses_asked_for_are_told_of(open_history: OpenHistory) -> None:
    store = open_history()
    store.record([seen(1), seen(1, PII), seen(1, ODD)])
    assert {each.address for each in store.of([PII, ODD])} == {PII, ODD}
    assert store.of([Address("openlayer.Test", ("bot", "monitoring", "No PI"))]) == ()


def test_many_addresses_can_be_asked_for_at_once(open_history: OpenHistory) -> None:
    addresses = [Address("openlayer.Test", ("bot", "monitoring", f"t{number}")) for number in range(40_000)]
    store = open_history()
    store.record([seen(1, addresses[0]), seen(1, addresses[-1])])
    assert len(store.of(addresses)) == 2


def test_several_runs_may_record_the_same_at_once(open_history: OpenHistory) -> None:
    """As two jobs do that look at the same results; whatever order they found them in."""
    observations = [seen(day, pipeline=f"p{number}") for day in range(10) for number in range(150)]

    def record(number: int) -> int:
        return open_history().record(observations[:: 1 if number % 2 else -1])

    with ThreadPoolExecutor(6) as runs:
        new = list(runs.map(record, range(6)))
    assert sum(new) == len(open_history().of()) == 1500


def test_environments_have_histories_of_their_own(open_history: OpenHistory) -> None:
    open_history("staging").record([seen(1)])
    assert open_history("production").of() == ()
    open_history("production").moved(FAITHFUL, PII)
    assert open_history("staging").of() == (seen(1),)


# ------------------------------------------------------------------------------------------ renames


def test_a_renamed_test_keeps_its_past(open_history: OpenHistory) -> None:
    store = open_history()
    store.record([seen(1), seen(2, pipeline="canary"), seen(3, PII)])
    renamed = Address("openlayer.Test", ("bot", "monitoring", "Grounded"))
    store.moved(FAITHFUL, renamed)
    assert store.of() == (seen(3, PII), seen(2, renamed, "canary"), seen(1, renamed))
    assert store.record([seen(1, renamed)]) == 0


def test_a_renamed_project_takes_the_past_of_everything_inside_along(open_history: OpenHistory) -> None:
    store = open_history()
    strangers = [
        seen(3, Address("openlayer.Test", ("bots", "monitoring", "Faithful"))),
        seen(4, Address("digitalocean.EvaluationRun", ("bot", "monitoring", "Faithful"))),
    ]
    store.record([seen(1), seen(2, PII), *strangers])
    store.moved(Address("openlayer.Project", ("bot",)), Address("openlayer.Project", ("support/bot",)))
    assert {each.address.path[0] for each in store.of()} == {"support/bot", "bots", "bot"}
    assert all(stranger in store.of() for stranger in strangers)


def test_a_renamed_pipeline_keeps_what_was_measured_on_it(open_history: OpenHistory) -> None:
    store = open_history()
    elsewhere = seen(4, Address("openlayer.Test", ("other", "monitoring", "Faithful")))
    store.record([seen(1), seen(2, pipeline="canary"), seen(3, pipeline=None), elsewhere])
    store.moved(Address("openlayer.InferencePipeline", ("bot", "live")),
                Address("openlayer.InferencePipeline", ("bot", "production")))  # fmt: skip
    assert store.of() == (elsewhere, seen(3, pipeline=None), seen(2, pipeline="canary"), seen(1, pipeline="production"))


def test_something_else_of_a_pipeline_s_name_carries_nothing_along(open_history: OpenHistory) -> None:
    store = open_history()
    store.record([seen(1)])
    store.moved(Address("openlayer.Note", ("bot", "live")), Address("openlayer.Note", ("bot", "production")))
    assert store.of() == (seen(1),)


def test_two_pasts_under_one_name_become_one(open_history: OpenHistory) -> None:
    store = open_history()
    store.record([seen(1), seen(2), seen(2, PII, seen=7.0), seen(3, PII)])
    store.moved(PII, FAITHFUL)
    assert [(each.address, each.result_id) for each in store.of()] == [(FAITHFUL, f"r{day}") for day in (3, 2, 1)]


def test_what_has_no_past_can_be_renamed(open_history: OpenHistory) -> None:
    open_history().moved(FAITHFUL, PII)
    store = open_history()
    store.record([seen(1)])
    store.moved(PII, FAITHFUL)
    assert store.of() == (seen(1),)
