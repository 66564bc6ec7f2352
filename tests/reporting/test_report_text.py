"""What happened, what somebody changed elsewhere, and what is wrong: told so that the next step is clear."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.errors import LockHeld, ManifestsInvalid, Problem, ReconcilerError
from reconciler.model.outcome import StepOutcome, StepStatus
from reconciler.model.plan import Action, Basis, Cause, Effect, FieldChange, Plan, Refusal, Step
from reconciler.model.resource import Address, Source
from reconciler.model.values import Json
from reconciler.reporting.text import apply_text, drift_answer, drift_text, error_text, plan_text, problems_text

PROJECT = Address("openlayer.Project", ("bot",))
FAITHFUL = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))
BASIS = Basis("", {}, "", "", 1)


# ------------------------------------------------------------------------------------------------ apply


def _plan() -> Plan:
    steps = (
        Step("1", Action.CREATE, PROJECT, "not at the platform yet"),
        Step("2", Action.UPDATE, FAITHFUL, "changed in the manifests"),
        Step("3", Action.ARCHIVE, FAITHFUL._replace(path=("bot", "Old")), "gone from the manifests"),
        Step("4", Action.DELETE, FAITHFUL._replace(path=("bot", "Older")), "gone from the manifests"),
        Step("5", Action.FORGET, FAITHFUL._replace(path=("bot", "Gone")), "gone from the platform"),
        Step("6", Action.KEEP, FAITHFUL._replace(path=("bot", "Kept")), "it stays", idle=True),
    )
    return Plan(BASIS, steps)


def test_what_went_wrong_stands_below_its_step_with_what_to_do() -> None:
    outcomes = [
        StepOutcome("1", StepStatus.DONE, remote_id="p_1"),
        StepOutcome("3", StepStatus.UNKNOWN, "PUT /tests: the reply was cut off"),
        StepOutcome("2", StepStatus.FAILED, "PUT /tests: 422 value must be below 1", "correct the value"),
        StepOutcome("4", StepStatus.SKIPPED, "waits for openlayer.Test/bot/Old"),
    ]
    assert (
        apply_text(_plan(), outcomes, width=80, color=False)
        == """\
  FAILED    openlayer.Test/bot/monitoring/Faithful
      PUT /tests: 422 value must be below 1
      hint: correct the value
  UNKNOWN   openlayer.Test/bot/Old
      PUT /tests: the reply was cut off
  SKIPPED   openlayer.Test/bot/Older
      waits for openlayer.Test/bot/Old

Apply: 1 done, 1 failed, 1 skipped, 1 unknown, 1 not started.  (1 created)
hint: run apply again to finish; what is done is remembered, and what is unknown
    is looked up before anything is sent
"""
    )


@pytest.mark.parametrize(
    ("others", "hint"),
    [
        ([], "mend what was refused, then apply again; what is done is remembered"),
        ([StepOutcome("3", StepStatus.SKIPPED, "it waits for it")], "mend what was refused, then apply again; "),
        ([StepOutcome("3", StepStatus.FAILED, "too many requests")], "run apply again to finish; "),
        ([StepOutcome("3", StepStatus.UNKNOWN, "no answer")], "run apply again to finish; "),
    ],
)
def test_what_was_refused_is_not_finished_by_a_repetition(others: list[StepOutcome], hint: str) -> None:
    """Where anything else went wrong, too, a repetition may finish that."""
    refused = StepOutcome("2", StepStatus.FAILED, "PUT /tests: 422", refused=True)
    text = apply_text(_plan(), [refused, *others], width=100, color=False)
    assert f"\nhint: {hint}" in text


def test_what_is_done_is_counted_for_the_plan_has_just_listed_it() -> None:
    outcomes = [StepOutcome(str(number), StepStatus.DONE, remote_id="x") for number in range(1, 6)]
    assert (
        apply_text(_plan(), outcomes, width=80, color=False)
        == """\
Apply: 5 done.  (1 created, 1 updated, 1 archived, 1 deleted, 1 forgotten)
"""
    )


def test_verbose_lists_ids_and_what_was_not_started() -> None:
    text = apply_text(
        _plan(), [StepOutcome("1", StepStatus.DONE, remote_id="p_1")], width=80, color=False, verbose=True
    )
    assert "  created   openlayer.Project/bot  (id p_1)\n" in text
    assert "  waiting   openlayer.Test/bot/Gone\n" in text


# ------------------------------------------------------------------------------------------------ drift


def _drift(*changes: FieldChange, **more: object) -> Plan:
    step = Step("1", Action.UPDATE, FAITHFUL, "changed at the platform", Cause.DRIFT, changes)
    return replace(Plan(BASIS, (step,), unchanged=3), **more)


def test_drift_is_told_from_the_platform() -> None:
    """Whose effects are those of what somebody did there."""
    plan = _drift(FieldChange("thresholds.0.value", 0.6, 0.7, Effect.LOOSENED, Cause.DRIFT))
    assert (
        drift_text(plan, width=100, color=False)
        == """\
Changed at the platform
  ~ openlayer.Test/bot/monitoring/Faithful  changed at the platform
      thresholds.0.value: 0.6 at the platform, 0.7 in the manifests  LOOSENED

Drifted: 1 resource.
"""
    )
    assert drift_answer(plan) == "drifted"


def test_a_threshold_that_came_or_went_at_the_platform() -> None:
    """One line each, told from the platform, where what the plan would take away was added."""
    limit: Json = {"insightName": "metrics", "measurement": "faithfulness", "operator": ">=", "value": 0.9}
    plan = _drift(
        FieldChange("thresholds.0", None, limit, Effect.LOOSENED, Cause.DRIFT),
        FieldChange("thresholds.1", limit, None, Effect.TIGHTENED, Cause.DRIFT),
    )
    text = drift_text(plan, width=100, color=False)
    assert "- thresholds.0: metrics faithfulness >= 0.9  gone at the platform  LOOSENED\n" in text
    assert "+ thresholds.1: metrics faithfulness >= 0.9  added at the platform  TIGHTENED\n" in text


def test_what_the_manifests_changed_is_not_drift() -> None:
    plan = replace(_drift(), steps=(Step("1", Action.UPDATE, FAITHFUL, "changed in the manifests"),))
    assert drift_answer(plan) == "clean"
    assert drift_text(plan, width=100, color=False) == (
        "Clean: 3 resources match the manifests. 1 change from the manifests not applied yet.\n"
    )


def test_what_was_removed_at_the_platform_is_drift() -> None:
    step = Step("1", Action.CREATE, FAITHFUL, "it was removed at the platform", Cause.DRIFT)
    step = replace(step, changes=(FieldChange("mode", None, "monitoring"),))
    text = drift_text(Plan(BASIS, (step,)), width=100, color=False)
    assert "  ~ openlayer.Test/bot/monitoring/Faithful  it was removed at the platform\n" in text
    assert "mode" not in text
    assert text.endswith("Drifted: 1 resource.\n")


def test_fields_that_can_not_be_seen_are_never_called_clean() -> None:
    plan = Plan(BASIS, unchanged=3, unseen=((PROJECT, "secret"), (FAITHFUL, "secret")))
    assert drift_answer(plan) == "unknown"
    assert (
        drift_text(plan, width=100, color=False)
        == """\
Notes
  not shown by the platform, so changes made there are unknown:
      openlayer.Project secret  (1 resource)
      openlayer.Test secret  (1 resource)

Unknown: no drift found, but 2 fields cannot be seen.
"""
    )


def test_what_was_refused_is_unknown_too() -> None:
    plan = Plan(BASIS, refusals=(Refusal(PROJECT, "2 live objects have this identity"),))
    assert drift_answer(plan) == "unknown"
    assert "Unknown: no drift found, but 1 resource cannot be told.\n" in drift_text(plan, width=100, color=False)


def test_a_sensitive_field_stays_hidden_in_drift() -> None:
    plan = _drift(FieldChange("token", None, None, cause=Cause.DRIFT, sensitive=True))
    assert "      token: (sensitive, not shown)\n" in drift_text(plan, width=100, color=False)


# --------------------------------------------------------------------------------------------- mistakes


def test_a_problem_stands_on_one_line_that_an_editor_understands() -> None:
    problems = [
        Problem("tests.yaml", 7, 5, "spec.subtyp", "not a field of Test", 'did you mean "subtype"?'),
        Problem("a.yaml", 0, 0, "", "the file is empty"),
    ]
    assert (
        problems_text(problems)
        == """\
tests.yaml:7:5: spec.subtyp: not a field of Test; did you mean "subtype"?
a.yaml: the file is empty
2 problems in the manifests
"""
    )


@pytest.mark.parametrize(
    "problem",
    [Problem("a.yaml", 7, 5, "p", "m", "h"), Problem("a.yaml", 0, 0, "", "m"), Problem("a.yaml", 1, 2, "", "m")],
)
def test_a_problem_reads_the_same_everywhere(problem: Problem) -> None:
    assert problems_text([problem]).split("\n")[0] == str(problem)


def test_no_problems_is_a_sentence() -> None:
    assert problems_text([]) == "No problems in the manifests.\n"


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (LockHeld("ci holds the lock", hint="wait for it"), "error: ci holds the lock\nhint: wait for it\n"),
        (ReconcilerError("two\nlines"), "error: two\n  lines\n"),
        (
            ManifestsInvalid([Problem("a.yaml", 1, 2, "", "no kind")]),
            "error: a.yaml:1:2: no kind\n  1 problem in the manifests\n",
        ),
    ],
)
def test_an_error_says_what_happened_and_what_next(error: ReconcilerError, text: str) -> None:
    assert error_text(error, width=80, color=False) == text


def test_a_request_to_send_by_hand_is_never_broken() -> None:
    url, body = f"PUT https://api.example/{'x' * 80}", '{"description": "' + "y " * 40 + '"}'
    shown = error_text(
        ReconcilerError(f"left to do:\nPUT is said by {'us ' * 20}\n{url}\n{body}"), width=40, color=False
    )
    assert f"\n  {url}\n  {body}\n" in shown
    assert max(map(len, shown.splitlines()[:3])) <= 40


def test_a_refusal_names_the_place_and_the_way_out() -> None:
    refusal = Refusal(PROJECT, "taskType cannot be changed in place", "use a new name", Source("a.yaml", 3, 1))
    assert (
        plan_text(Plan(BASIS, refusals=(refusal,), unchanged=1), width=80, color=False)
        == """\
Plan

Refused: nothing is applied until this is settled
  ! openlayer.Project/bot  (a.yaml:3)
      taskType cannot be changed in place
      hint: use a new name

Plan: 1 refused. 1 unchanged.
"""
    )
