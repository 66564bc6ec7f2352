"""What a test case asks for, whichever way its platform writes that down."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.providers.digitalocean.evaluation_test_case import EVALUATION_TEST_CASE

Doc = dict[str, Any]
NUMBER = {"metric_uuid": "m1", "metric_name": "Right", "metric_value_type": "METRIC_VALUE_TYPE_NUMBER"}
TEXT = {"metric_uuid": "m1", "metric_name": "Right", "metric_value_type": "METRIC_VALUE_TYPE_STRING"}


SHARE = {**NUMBER, "range_min": 0.0, "range_max": 1.0}
GRADE = {**NUMBER, "range_min": 1.0, "range_max": 5.0}
PERCENTAGE = {**NUMBER, "metric_value_type": "METRIC_VALUE_TYPE_PERCENTAGE", "range_max": 100.0}


def threshold(metric: Doc, star: Doc) -> Any:
    """The threshold of a test case with this metric, as a manifest would write it."""
    item: Doc = {
        "test_case_uuid": "c1",
        "name": "Answers",
        "metrics": [{**NUMBER, "metric_uuid": "m0", "metric_name": "Other"}, metric],
        "star_metric": {"metric_uuid": "m1", "name": "Right", **star},
    }
    found = EVALUATION_TEST_CASE.read(item, ("care",), lambda _, __: None)
    assert found is not None
    assert isinstance(found.fields["starMetric"], dict)
    return found.fields["starMetric"]["threshold"]


@pytest.mark.parametrize(
    ("metric", "star", "expected"),
    [
        (NUMBER, {"success_threshold": 82.5}, 82.5),
        (NUMBER, {"success_threshold": 0.0}, 0.0),
        (NUMBER, {"success_threshold": None}, 0.0),
        (NUMBER, {}, 0.0),
        (TEXT, {"success_threshold": 0.0}, None),
        (TEXT, {}, None),
    ],
)
def test_a_missing_threshold_is_zero_and_a_text_has_none(metric: Doc, star: Doc, expected: float | None) -> None:
    """protobuf's JSON may leave a zero out, and may write one for a metric whose values no threshold can judge."""
    assert threshold(metric, star) == expected


@pytest.mark.parametrize("zero", [{"success_threshold": 0.0}, {}], ids=["zeros", "no zeros"])
@pytest.mark.parametrize(
    ("metric", "percent", "expected"),
    [
        (SHARE, 80, 0.8),
        ({**NUMBER, "range_max": 1.0}, 80, 0.8),
        (GRADE, 50, 3.0),
        (PERCENTAGE, 55, 55.0),
        (NUMBER, 80, 80.0),
        (SHARE, 0, 0.0),
    ],
)
def test_a_percentage_is_a_share_of_the_metrics_range(metric: Doc, percent: int, expected: float, zero: Doc) -> None:
    """In the older form; the number beside it is a zero then.  Without a range to be seen it is in percent."""
    assert threshold(metric, {**zero, "success_threshold_pct": percent}) == expected


def test_a_number_goes_before_a_percentage() -> None:
    assert threshold(SHARE, {"success_threshold": 0.5, "success_threshold_pct": 80}) == 0.5
