"""Which word was probably meant."""

from __future__ import annotations

import pytest

from reconciler.model.nearest import did_you_mean, nearest


@pytest.mark.parametrize(
    ("word", "known", "meant"),
    [
        ("metricTreshold", ["metricThreshold", "rowCount"], "metricThreshold"),
        ("LLM-Base", ["llm-base", "tabular-regression"], "llm-base"),
        ("=>", [">", ">=", "<="], ">="),
        ("banana", ["metricThreshold", "rowCount"], ""),
        ("", ["a"], ""),
        ("a", [], ""),
    ],
)
def test_the_word_that_was_probably_meant(word: str, known: list[str], meant: str) -> None:
    assert nearest(word, known) == meant
    assert did_you_mean(word, known) == (f'did you mean "{meant}"?' if meant else "")


def test_how_near_is_near_may_be_said() -> None:
    assert nearest("eval", ["evaluate", "plan"]) == ""
    assert nearest("eval", ["evaluate", "plan"], 0.6) == "evaluate"
