"""What we wrote as JSON reads back as what it was, so that every form can be made of it later."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from reconciler.errors import Problem
from reconciler.model.outcome import Baseline, Doubt, Runs, StepOutcome, StepStatus, Verdict
from reconciler.model.plan import Plan
from reconciler.model.replay import Near, Replay, ReplayState, Share
from reconciler.model.resource import Source
from reconciler.reporting.machine import outcomes_json, plan_json, problems_json, verdicts_json
from reconciler.reporting.markdown import plan_markdown, verdicts_markdown
from reconciler.reporting.pages import page
from reconciler.reporting.reading import read_told


def _shown_in_json(plan: Plan) -> Plan:
    """Without what a plan's JSON leaves out: whole manifests, and what other paths and --select would have covered."""
    steps = tuple(replace(step, fields={}) for step in plan.steps)
    return replace(plan, steps=steps, outside=0, unselected=0)


def test_a_plan_makes_the_same_comment(plan: Plan) -> None:
    told = read_told(plan_json(plan, tool="reconciler 1"))
    assert told is not None
    assert page(told) == plan_markdown(_shown_in_json(plan), limit=65_336)
    assert told.plan is not None
    assert [step.source for step in told.plan.steps if step.source] != []


def test_verdicts_make_the_same_comment(verdicts: tuple[Verdict, ...]) -> None:
    told = read_told(verdicts_json(verdicts, environment="staging"))
    assert told is not None
    assert page(told) == verdicts_markdown(verdicts, environment="staging")


def test_doubts_make_the_same_comment(verdicts: tuple[Verdict, ...]) -> None:
    doubts = [Doubt(verdicts[0].address, "live", "nobody knows", "look again", Source("bot.yaml", 3, 1))]
    told = read_told(verdicts_json(verdicts, doubts=doubts))
    assert told is not None
    assert "> [!WARNING]\n> support-bot/monitoring/" in page(told)
    assert page(told) == verdicts_markdown(verdicts, doubts=doubts)


def test_runs_the_past_and_flaky_tests_read_back(verdicts: tuple[Verdict, ...]) -> None:
    full = replace(verdicts[2], flaky=True, runs=Runs(1, 3, 3, 2), baseline=Baseline(0.7, 5, 1_795_219_200, 0.1, 0.05))
    told = read_told(verdicts_json([full]))
    assert told is not None
    assert told.verdicts is not None
    assert (told.verdicts[0].flaky, told.verdicts[0].runs, told.verdicts[0].baseline) == (
        True,
        full.runs,
        full.baseline,
    )


def test_a_replay_reads_back(plan: Plan) -> None:
    share = Share(3, 42, 0.0714, 0.025, 0.19)
    near = Near("live", 1, 2, "r-1", "faithfulness", 0.8493, -0.0007)
    replays = (
        Replay(ReplayState.CALIBRATED, 86_400, "", 1, 40, 0.99, share, share, 2, 1, (near,), ("a note",)),
        Replay(ReplayState.NOTHING, 86_400, "no results"),
    )
    steps = tuple(replace(step, replay=replay) for step, replay in zip(plan.steps[:2], replays, strict=True))
    told = read_told(plan_json(replace(plan, steps=steps), tool="reconciler 1"))
    assert told is not None
    assert told.plan is not None
    assert tuple(step.replay for step in told.plan.steps) == replays


def test_problems_read_back() -> None:
    problems = [
        Problem("a.yaml", 7, 5, "spec.x", "wrong", "right"),
        Problem("b.yaml", 0, 0, "", "empty", level="warning"),
    ]
    told = read_told(problems_json(problems))
    assert told is not None
    assert told.problems == problems


def test_the_report_of_an_apply_holds_all_of_it(plan: Plan, verdicts: tuple[Verdict, ...]) -> None:
    outcomes = [StepOutcome("update:faithful", StepStatus.FAILED, "422", "check it")]
    documents = {
        "plan": json.loads(plan_json(plan, tool="reconciler 1")),
        "apply": json.loads(outcomes_json(plan, outcomes)),
        "evaluation": json.loads(verdicts_json(verdicts)),
    }
    told = read_told(json.dumps(documents))
    assert told is not None
    assert told.outcomes == outcomes
    assert [part in page(told) for part in ("### Evaluation", "### Apply", "### Plan", "422; check it")] == [True] * 4


@pytest.mark.parametrize("text", ["# Markdown", "", "[1]", "- {", "plain"])
def test_what_is_no_json_object_is_not_ours_to_read(text: str) -> None:
    assert read_told(text) is None


@pytest.mark.parametrize(
    "change",
    [
        {"format_version": "2.0"},
        {"format_version": None},
        {"steps": [{}]},
        {"steps": "x"},
        {"steps": None},
        {"refusals": [{"address": "nonsense", "reason": "", "hint": "", "source": None}]},
        {"summary": {}},
        {"basis": []},
    ],
)
def test_a_plan_that_is_not_one_is_refused(plan: Plan, change: dict[str, object]) -> None:
    document = {**json.loads(plan_json(plan, tool="reconciler 1")), **change}
    with pytest.raises(ValueError, match="not a JSON of a plan"):
        read_told(json.dumps(document))


def test_every_hostile_text_survives_the_way_back(hostile: str, verdicts: tuple[Verdict, ...]) -> None:
    """What JSON could not hold (a lone surrogate) is shown as the text that it was written as."""
    told = read_told(verdicts_json([replace(verdicts[2], why=hostile)]))
    assert told is not None
    assert told.verdicts is not None
    assert told.verdicts[0].why == hostile
