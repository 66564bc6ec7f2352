"""What a test case asks for, whichever way its platform writes that down."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.providers.digitalocean.evaluation_test_case import EVALUATION_TEST_CASE

Doc = dict[str, Any]
NUMBER = {"metric_uuid": "m1", "metric_name": "Right", "metric_value_type": "METRIC_VALUE_TYPE_NUMBER"}
TEXT = {"metric_uuid": "m1", "metric_name": "Right", "metric_value_type": "METRIC_VALUE_TYPE_STRING"}


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
