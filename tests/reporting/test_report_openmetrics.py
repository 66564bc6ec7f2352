"""OpenMetrics text, as the Prometheus project's own parser reads it."""

from __future__ import annotations

import math
from typing import Any

import pytest
from msgspec.structs import replace
from prometheus_client.openmetrics.parser import text_string_to_metric_families

from reconciler.model.outcome import Baseline, Evaluation, Level, Verdict
from reconciler.model.resource import Address
from reconciler.reporting.openmetrics import verdicts_openmetrics

NAMES = {"project": "support-bot", "test": "Faithful", "address": "openlayer.Test/support-bot/monitoring/Faithful"}


def _families(text: str) -> dict[str, Any]:
    return {family.name: family for family in text_string_to_metric_families(text)}  # type: ignore[no-untyped-call]


def _samples(verdicts: list[Verdict], name: str) -> list[tuple[dict[str, str], float]]:
    return [(sample.labels, sample.value) for sample in _families(verdicts_openmetrics(verdicts))[name].samples]


@pytest.fixture
def verdict(verdicts: tuple[Verdict, ...]) -> Verdict:
    """A failure with values of every sort."""
    measured: dict[str, Any] = {
        "faithfulness": 0.62,
        "rows": 12,
        "huge": 10**400,
        "flag": True,
        "text": "x",
        "list": [1],
        "nothing": None,
        "nan": math.nan,
    }
    failing = verdicts[2]
    return replace(
        failing, evaluation=Evaluation(failing.address, failing.status, measured=measured, ends=1_795_392_000)
    )


def test_numbers_carry_the_names_of_what_was_measured(verdict: Verdict) -> None:
    found = _samples([verdict], "reconciler_measured")
    labels = {**NAMES, "pipeline": "production"}
    assert [(sample, value) for sample, value in found if not math.isnan(value)] == [
        ({**labels, "measurement": "faithfulness"}, 0.62),
        ({**labels, "measurement": "flag"}, 1.0),
        ({**labels, "measurement": "rows"}, 12.0),
    ]
    assert [sample["measurement"] for sample, value in found if math.isnan(value)] == ["nan"]


def test_the_verdict_its_margin_and_its_window_are_gauges(verdict: Verdict) -> None:
    labels = {**NAMES, "pipeline": "production"}
    assert _samples([verdict], "reconciler_verdict") == [(labels, 3.0)]
    assert _samples([verdict], "reconciler_margin") == [(labels, -0.18)]
    assert _samples([verdict], "reconciler_window_end_timestamp_seconds") == [(labels, 1_795_392_000.0)]
    assert {family.type for family in _families(verdicts_openmetrics([verdict])).values()} == {"gauge"}


def test_what_a_value_is_compared_with_is_a_gauge(verdict: Verdict) -> None:
    compared = replace(verdict, baseline=Baseline(value=0.7))
    assert [value for _, value in _samples([compared], "reconciler_baseline")] == [0.7]
    assert "reconciler_baseline" not in _families(verdicts_openmetrics([replace(verdict, baseline=Baseline())]))


def test_a_test_without_a_pipeline_has_no_such_label(verdict: Verdict) -> None:
    assert _samples([replace(verdict, pipeline=None)], "reconciler_verdict") == [(NAMES, 3.0)]


@pytest.mark.parametrize(("level", "number"), [(Level.PASS, 0), (Level.INFO, 1), (Level.WARN, 2), (Level.FAIL, 3)])
def test_worse_is_more(verdict: Verdict, level: Level, number: int) -> None:
    assert _samples([replace(verdict, level=level)], "reconciler_verdict")[0][1] == number


def test_the_levels_are_counted_even_where_there_is_nothing(verdicts: tuple[Verdict, ...]) -> None:
    def counts(some: list[Verdict]) -> dict[str, float]:
        return {labels["level"]: value for labels, value in _samples(some, "reconciler_verdicts")}

    assert counts(list(verdicts)) == {"fail": 2, "warn": 1, "info": 0, "pass": 1}
    assert counts([]) == {"fail": 0, "warn": 0, "info": 0, "pass": 0}


def test_any_text_stays_inside_its_label(hostile: str, verdict: Verdict) -> None:
    address = Address("openlayer.Test", (hostile, "x"))
    ((labels, value),) = _samples([replace(verdict, address=address, pipeline=hostile)], "reconciler_verdict")
    assert set(labels) == {"project", "test", "address", "pipeline"}
    assert value == 3.0


def test_a_text_comes_back_with_its_quotes_and_backslashes(verdict: Verdict) -> None:
    ((labels, _),) = _samples([replace(verdict, pipeline='a"b\\c}')], "reconciler_verdict")
    assert labels["pipeline"] == 'a"b\\c}'


def test_two_names_that_look_the_same_are_one_sample_the_worse_one(verdict: Verdict) -> None:
    """OpenMetrics forbids the same sample twice, and a reader would refuse the whole file."""
    twins = [replace(verdict, level=Level.PASS, pipeline="a\x1b"), replace(verdict, pipeline="a\\x1b")]
    ((_, value),) = _samples(twins, "reconciler_verdict")
    assert value == 3.0


def test_the_order_of_verdicts_does_not_matter(verdicts: tuple[Verdict, ...]) -> None:
    assert verdicts_openmetrics(verdicts) == verdicts_openmetrics(tuple(reversed(verdicts)))
    assert verdicts_openmetrics(verdicts).endswith("# EOF\n")
