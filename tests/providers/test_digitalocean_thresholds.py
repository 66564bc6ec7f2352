"""The platform keeps 32 bits of a threshold; what is wanted is spelled as what it will show."""

from __future__ import annotations

import json
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from reconciler.model.values import Fields, Json
from reconciler.providers.digitalocean.evaluation_test_case import EVALUATION_TEST_CASE

METRIC = "Correctness (general hallucinations)"
LARGEST = 3.4028234663852886e38


def wanted(threshold: float) -> Json:
    """What a manifest with this threshold wants."""
    star: Json = {"name": METRIC, "threshold": threshold}
    spec = EVALUATION_TEST_CASE.spec.model_validate({**EVALUATION_TEST_CASE.example, "starMetric": star})
    found = spec.written()["starMetric"]
    assert isinstance(found, dict)
    return found["threshold"]


def live(shown: Json) -> Json:
    """What is read where the platform shows this threshold."""
    star: Json = {"name": METRIC, "success_threshold": shown}
    item: Fields = {"test_case_uuid": "c1", "name": "Correct", "dataset_name": "faq", "star_metric": star}
    found = EVALUATION_TEST_CASE.read(item, ("care",), lambda _, __: None)
    assert found is not None
    read = found.fields["starMetric"]
    assert isinstance(read, dict)
    return read["threshold"]


@pytest.mark.parametrize(
    ("written", "spelled"),
    [
        (80, 80.0),
        (82.4, 82.4),
        (66.6666666667, 66.666664),
        (0.1 + 0.2, 0.3),
        (16_777_217, 16_777_216.0),
        (1e-50, 0.0),
        (LARGEST, 3.4028235e38),
    ],
)
def test_a_threshold_has_the_digits_that_the_platform_keeps(written: float, spelled: float) -> None:
    assert wanted(written) == spelled


@pytest.mark.parametrize("written", [1e39, -1e39])
def test_a_threshold_that_the_platform_can_not_keep_is_refused(written: float) -> None:
    with pytest.raises(ValidationError, match="is more than the platform can store"):
        wanted(written)


@given(st.floats(-LARGEST, LARGEST))
def test_what_is_wanted_is_what_is_read_back(written: float) -> None:
    """Whether the platform shows all digits of its 32 bits, or as few as tell them apart."""
    spelled = wanted(written)
    (kept,) = struct.unpack("<f", struct.pack("<f", written))
    assert live(kept) == live(spelled) == spelled
    assert wanted(json.loads(json.dumps(spelled))) == spelled


@pytest.mark.parametrize("shown", ["NaN", "Infinity", "low"])
def test_what_is_no_number_is_not_shown_as_zero(shown: Json) -> None:
    """Only what is left out, or null, is one."""
    assert live(shown) is None
