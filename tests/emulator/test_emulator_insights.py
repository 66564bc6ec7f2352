"""Each insight gives the numbers that one works out by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.emulator.conftest import Api, Doc

NINE = 1_800_000_000 // 3600 * 3600
OUTPUT = {"column_name": "openlayer_output"}


def measured(api: Api, rows: list[Doc], config: Doc, threshold: Doc, task_type: str = "llm-base") -> Doc:
    """The one result of a test with one threshold, over rows of one window."""
    project = api.project(taskType=task_type)
    pipeline = api.pipeline(project)
    parameters = threshold.pop("parameters", {})
    if parameters:
        threshold["insightParameters"] = [{"name": name, "value": value} for name, value in parameters.items()]
    test = api.test(project, subtype="anySubtype", thresholds=[{"operator": ">=", "value": 0, **threshold}])
    api.now = NINE
    api.ok("POST", f"/inference-pipelines/{pipeline['id']}/data-stream", {"config": config, "rows": rows})
    api.evaluate(test, NINE, NINE + 1)
    (result,) = api.results(test)
    return result


def value(api: Api, rows: list[Doc], config: Doc, threshold: Doc, task_type: str = "llm-base") -> float:
    result = measured(api, rows, config, threshold, task_type)
    assert result["statusMessage"] is None
    return float(result["value"][threshold["measurement"]])


def said(output: Any) -> Doc:
    return {"text": output}


LLM = {"outputColumnName": "text"}
LONG: list[Doc] = [said("ab"), said("abcd"), said(None)]
JSON: list[Doc] = [said('{"a": 1}'), said("[1"), said("plain"), said({"a": 1})]
HOLES: list[Doc] = [{"text": "a", "b": None}, {"text": "a", "b": 1}, {"text": "a"}, {"text": None, "b": 2}]
TWICE: list[Doc] = [{"text": "a", "n": 1}, {"n": 1, "text": "a"}, {"text": "a", "n": 2}, {"text": "a", "n": 1}]


@pytest.mark.parametrize(
    ("rows", "insight", "parameters", "measurement", "expected"),
    [
        (LONG, "metrics", {}, "rowCount", 3),
        (HOLES, "nullRowCount", {}, "nullRowCount", 3),
        (HOLES, "nullRowCount", {}, "nullRowPercentage", 0.75),
        (TWICE, "duplicateRowCount", {}, "duplicateRowCount", 2),
        (TWICE, "duplicateRowCount", {}, "duplicateRowPercentage", 0.5),
        (JSON, "isJson", OUTPUT, "isJsonRowPercentage", 0.5),
        (JSON, "isJson", {"column_name": "text"}, "isJsonRowPercentage", 0.5),
        (LONG, "characterLength", OUTPUT, "maxCharacterLength", 4),
        (LONG, "characterLength", OUTPUT, "averageCharacterLength", 3),
        (TWICE, "columnAverage", {"column_name": "n"}, "columnAverage", 1.25),
    ],
)
def test_rows_and_columns(
    api: Api, rows: list[Doc], insight: str, parameters: Doc, measurement: str, expected: float
) -> None:
    threshold = {"insightName": insight, "measurement": measurement, "parameters": parameters}
    assert value(api, rows, LLM, threshold) == expected


def test_rows_that_differ_only_in_time_and_id_are_duplicates(api: Api) -> None:
    rows = [{"text": "a", "id": "1", "at": NINE}, {"text": "a", "id": "2", "at": NINE + 1}]
    config = LLM | {"inferenceIdColumnName": "id", "timestampColumnName": "at"}
    threshold = {"insightName": "duplicateRowCount", "measurement": "duplicateRowCount"}
    assert value(api, rows, config, threshold) == 1


@pytest.mark.parametrize(
    ("kind", "text", "expected"),
    [
        ("EMAIL_ADDRESS", "write to jane.doe+x@mail.example.com today", 1),
        ("EMAIL_ADDRESS", "meet @ example", 0),
        ("PHONE_NUMBER", "call +1 (415) 555-0132", 1),
        ("PHONE_NUMBER", "call 415-555-0132.", 1),
        ("PHONE_NUMBER", "order 12345", 0),
        ("CREDIT_CARD", "card 4111 1111 1111 1111 ok", 1),
        ("CREDIT_CARD", "card 4111 1111 1111 1112 ok", 0),
        ("US_SSN", "ssn 123-45-6789", 1),
        ("US_SSN", "ssn 000-45-6789", 0),
        ("US_SSN", "ssn 123-45-67890", 0),
        ("IP_ADDRESS", "from 192.168.0.254", 1),
        ("IP_ADDRESS", "version 1.2.3.400", 0),
    ],
)
def test_personal_data_is_recognised(api: Api, kind: str, text: str, expected: int) -> None:
    parameters = {"pii_type": [kind], **OUTPUT}
    threshold = {"insightName": "containsPii", "measurement": "containsPIIRowCount", "parameters": parameters}
    assert value(api, [said(text), said("nothing"), said(None)], LLM, threshold) == expected


def test_a_row_with_two_kinds_of_personal_data_counts_once(api: Api) -> None:
    parameters = {"pii_type": ["EMAIL_ADDRESS", "IP_ADDRESS"], **OUTPUT}
    threshold = {"insightName": "containsPii", "measurement": "containsPIIRowCount", "parameters": parameters}
    assert value(api, [said("a@b.example at 10.0.0.1")], LLM, threshold) == 1


# Five predictions of class 1, three of them right, out of four that are class 1; six of ten right in all.
BINARY: list[Doc] = [
    {"label": label, "guess": guess}
    for label, guess, times in ((1, 1, 3), (0, 1, 2), (1, 0, 1), (0, 0, 3))
    for _ in range(times)
] + [{"label": 0, "guess": None}]
THREE: list[Doc] = [
    {"label": label, "guess": guess} for label, guess in ((0, 0), (0, 1), (1, 1), (1, 1), (2, 2), (2, 0), (2, 2))
]
CLASSES = {"labelColumnName": "label", "predictionsColumnName": "guess"}
NUMBERS: list[Doc] = [{"label": 1.0, "guess": 2.0}, {"label": 2.0, "guess": 2.0}, {"label": 3.0, "guess": 1.0}]


@pytest.mark.parametrize(
    ("rows", "classes", "measurement", "expected"),
    [
        (BINARY, ["no", "yes"], "accuracy", 6 / 9),
        (BINARY, ["no", "yes"], "precision", 3 / 5),
        (BINARY, ["no", "yes"], "recall", 3 / 4),
        (BINARY, ["no", "yes"], "f1", 6 / 9),
        (THREE, ["a", "b", "c"], "accuracy", 5 / 7),
        (THREE, ["a", "b", "c"], "precision", (1 / 2 + 2 / 3 + 1) / 3),
        (THREE, ["a", "b", "c"], "recall", (1 / 2 + 1 + 2 / 3) / 3),
        (THREE, ["a", "b", "c"], "f1", (1 / 2 + 4 / 5 + 4 / 5) / 3),
    ],
)
def test_classifications(api: Api, rows: list[Doc], classes: list[str], measurement: str, expected: float) -> None:
    config = CLASSES | {"classNames": classes}
    threshold = {"insightName": "metrics", "measurement": measurement}
    assert value(api, rows, config, threshold, "text-classification") == pytest.approx(expected)


@pytest.mark.parametrize(
    ("measurement", "expected"), [("mae", 1.0), ("mse", 5 / 3), ("rmse", (5 / 3) ** 0.5), ("r2", -1.5)]
)
def test_regressions(api: Api, measurement: str, expected: float) -> None:
    config = {"targetColumnName": "label", "predictionsColumnName": "guess"}
    threshold = {"insightName": "metrics", "measurement": measurement}
    assert value(api, NUMBERS, config, threshold, "tabular-regression") == pytest.approx(expected)


def test_exact_match_is_the_share_of_answers_equal_to_the_truth(api: Api) -> None:
    rows: list[Doc] = [
        {"text": "Paris", "truth": "Paris"},
        {"text": "paris", "truth": "Paris"},
        {"text": "x", "truth": None},
    ]
    config = LLM | {"groundTruthColumnName": "truth"}
    assert value(api, rows, config, {"insightName": "metrics", "measurement": "exactMatch"}) == 0.5


@pytest.mark.parametrize(
    ("measurement", "expected"),
    [
        ("minLatency", 100),
        ("maxLatency", 1100),
        ("meanLatency", 600),
        ("medianLatency", 600),
        ("p90Latency", 1000),
        ("p95Latency", 1050),
        ("p99Latency", 1090),
        ("totalCost", 1.1),
        ("meanCost", 0.1),
        ("totalTokens", 66),
        ("maxTokens", 11),
    ],
)
def test_latency_cost_and_tokens_come_from_the_mapped_columns(api: Api, measurement: str, expected: float) -> None:
    rows: list[Doc] = [{"text": "x", "ms": 100 * n, "usd": 0.1, "n": n} for n in range(1, 12)]
    config = LLM | {"latencyColumnName": "ms", "costColumnName": "usd", "numOfTokenColumnName": "n"}
    threshold = {"insightName": "metrics", "measurement": measurement}
    assert value(api, rows, config, threshold) == pytest.approx(expected)


@pytest.mark.parametrize("column", ["openlayer_latency", "ms"])
def test_canonical_names_stand_for_the_mapped_columns(api: Api, column: str) -> None:
    config = LLM | {"latencyColumnName": "ms"}
    threshold = {"insightName": "columnAverage", "measurement": "columnAverage", "parameters": {"column_name": column}}
    assert value(api, [{"text": "x", "ms": 2}, {"text": "x", "ms": 4}], config, threshold) == 3


@pytest.mark.parametrize(
    ("threshold", "why"),
    [
        (
            {"insightName": "isJson", "measurement": "isJsonRowPercentage", "parameters": {"column_name": "outptu"}},
            'no row has a column "outptu"',
        ),
        (
            {"insightName": "isJson", "measurement": "isJsonRowPercentage"},
            'the insight needs a parameter "column_name"',
        ),
        (
            {"insightName": "isJson", "measurement": "isJsonRowCount", "parameters": OUTPUT},
            'the insight "isJson" has no measurement "isJsonRowCount"; it has isJsonRowPercentage',
        ),
        (
            {"insightName": "columnAverage", "measurement": "columnAverage", "parameters": OUTPUT},
            'the column "openlayer_output" is not numeric',
        ),
        ({"insightName": "metrics", "measurement": "maxLatency"}, "the data's config names no latencyColumnName"),
        ({"insightName": "metrics", "measurement": "accuracy"}, "the data's config names no labelColumnName"),
        (
            {"insightName": "metrics", "measurement": "faithfulness"},
            'the emulator does not compute the metric "faithfulness"',
        ),
        (
            {"insightName": "llmRubricV2", "measurement": "criteria0MeanScore"},
            'the emulator does not evaluate the insight "llmRubricV2"',
        ),
        (
            {
                "insightName": "containsPii",
                "measurement": "containsPIIRowCount",
                "parameters": {"pii_type": ["PERSON"], **OUTPUT},
            },
            "the emulator does not recognise PERSON",
        ),
        (
            {"insightName": "metrics", "measurement": "rowCount", "thresholdMode": "automatic", "value": 1},
            "the emulator does not learn automatic thresholds",
        ),
    ],
)
def test_what_can_not_be_measured_is_skipped_and_says_why(api: Api, threshold: Doc, why: str) -> None:
    result = measured(api, [said("x")], LLM, threshold)
    assert (result["status"], result["statusMessage"]) == ("skipped", why)


def test_one_threshold_that_can_not_be_measured_skips_the_test(api: Api, threshold: Callable[..., Doc]) -> None:
    project = api.project()
    pipeline = api.pipeline(project)
    unknown = threshold(measurement="toxicity", operator="<=", value=1)
    test = api.test(project, thresholds=[threshold(value=99), unknown])
    api.now = NINE
    api.stream(pipeline, [{"output": "x"}])
    api.evaluate(test, NINE, NINE + 1)
    (result,) = api.results(test)
    assert (result["status"], result["value"]) == ("skipped", {"rowCount": 1.0})
