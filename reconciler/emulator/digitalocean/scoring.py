"""Score an agent's answers to the rows of a dataset, and the whole run from them.  Pure.

============  =========================================================================================
scoring       share of the metric's range, or label, that one answer gets
============  =========================================================================================
match         all, if it equals the expected response (case and spaces aside), else nothing
overlap       F1 of the words that it has in common with the expected response
relevance     share of the query's words that it repeats
pattern       all, if the regular expression is found in it; of a STRING metric: ``Yes`` or ``No``
tone          ``negative``, ``positive`` or ``neutral``, by a few words
skipped       none: the agent retrieves no context that could be scored
failed        none: the judge always fails
============  =========================================================================================

A run has the mean over its answers; of labels the most frequent one, but ``Yes`` if there is any.  How the vendor
aggregates is not documented; that ``inverted`` turns the comparison round is only implied.
"""

from __future__ import annotations

import re
import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

Metric = Mapping[str, Any]
COMPLETED, FAILED, SKIPPED = ("EVALUATION_METRIC_RESULT_STATUS_" + end for end in ("COMPLETED", "FAILED", "SKIPPED"))

_NEGATIVE = re.compile(r"\b(bad|can ?not|no|not|sorry|unable)\b", re.IGNORECASE)
_POSITIVE = re.compile(r"\b(glad|good|great|happy|please|thanks?)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Prompt:
    """One row and what the agent made of it: ``output`` None is no answer, ``truth`` None is no such column."""

    query: str
    truth: str | None
    output: str | None


@dataclass(frozen=True, slots=True)
class Score:
    """A number in the metric's unit, or a label, or why there is neither."""

    status: str = COMPLETED
    number: float = 0.0
    text: str = ""
    reasoning: str = ""
    error: str = ""


def float32(number: float) -> float:
    """What is left of a number that passed through a 32-bit float.  Raises OverflowError beyond 3.4e38."""
    return float(struct.unpack("<f", struct.pack("<f", number))[0])


def prompt_score(metric: Metric, prompt: Prompt) -> Score:
    """The score of one answer."""
    if metric["scoring"] == "skipped":
        return Score(SKIPPED, error="The agent retrieved no context.")
    if metric["scoring"] == "failed":
        return Score(FAILED, error="The judge did not answer.")
    if prompt.output is None:
        return Score(FAILED, error="The agent did not answer.")
    if metric["scoring"] in ("match", "overlap") and not prompt.truth:
        return Score(SKIPPED, error="The row has no expected response.")
    if metric["metric_value_type"] == "STRING":
        return Score(text=_label(metric, prompt.output), reasoning="By the words of the answer.")
    share = _share(metric, prompt.query, prompt.truth or "", prompt.output)
    number = metric["range_min"] + share * (metric["range_max"] - metric["range_min"])
    return Score(number=number, reasoning=f"{share:.0%} of the range, by {metric['scoring']}.")


def _words(text: str) -> list[str]:
    return re.findall(r"\w+", text.casefold())


def _share(metric: Metric, query: str, truth: str, output: str) -> float:
    match metric["scoring"]:
        case "overlap":
            common = sum((Counter(_words(output)) & Counter(_words(truth))).values())
            return 2 * common / max(1, len(_words(output)) + len(_words(truth)))
        case "relevance":
            asked = set(_words(query))
            return len(asked & set(_words(output))) / max(1, len(asked))
        case "pattern":
            return float(_is_found(metric, output))
        case _:
            return float(output.casefold().split() == truth.casefold().split())


def _is_found(metric: Metric, output: str) -> bool:
    return re.search(metric["pattern"], output, re.IGNORECASE) is not None


def _label(metric: Metric, output: str) -> str:
    if metric["scoring"] == "pattern":
        return "Yes" if _is_found(metric, output) else "No"
    if _NEGATIVE.search(output):
        return "negative"
    return "positive" if _POSITIVE.search(output) else "neutral"


def run_score(metric: Metric, scores: Sequence[Score]) -> Score:
    """The score of a run from those of its prompts; what could not be scored does not count."""
    completed = [score for score in scores if score.status == COMPLETED]
    if not completed:
        missing = next((score for score in scores if score.status == FAILED), scores[0])
        return Score(missing.status, error=missing.error)
    reasoning = f"Over {len(completed)} of {len(scores)} prompts."
    if metric["metric_value_type"] == "STRING":
        labels = Counter(score.text for score in completed)
        label = "Yes" if "Yes" in labels else min(labels, key=lambda text: (-labels[text], text))
        return Score(text=label, reasoning=reasoning)
    return Score(number=sum(score.number for score in completed) / len(completed), reasoning=reasoning)


def passes(metric: Metric, star: Mapping[str, Any], score: Score) -> bool:
    """The verdict on a run: reaching the threshold is enough, for an inverted metric from above.

    A score that there is none of, or that is text, does not pass.
    """
    if score.status != COMPLETED or metric["metric_value_type"] == "STRING":
        return False
    limit = star["success_threshold"]
    if star["success_threshold_pct"]:
        span = metric["range_max"] - metric["range_min"]
        limit = metric["range_min"] + star["success_threshold_pct"] / 100 * span
    reached = float32(score.number)
    return reached <= float32(limit) if metric["inverted"] else reached >= float32(limit)
