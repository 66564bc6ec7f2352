"""A saved plan is believed only if nobody touched it, and applied only if it would be made again today."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.errors import StalePlan
from reconciler.model.plan import (
    LOST_REPLY,
    Action,
    Basis,
    Effect,
    FieldChange,
    LifecycleChange,
    Plan,
    Refusal,
    Step,
    plan_to_json,
)
from reconciler.model.resource import Address
from reconciler.planning.planner import digest
from reconciler.planning.saved import check_untouched, what_moved

BASIS = Basis("production", {"openlayer": "https://api.openlayer.com/v1"}, "m1", "l1", 7)
PROJECT = Address("openlayer.Project", ("bot",))
TEST = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))
UPDATE = Step(
    f"update:{TEST}",
    Action.UPDATE,
    TEST,
    "changed in the manifests",
    changes=(FieldChange("thresholds.0.value", 0.8, 0.9),),
    remote_id="t1",
    fingerprint="f1",
    former=TEST,
)
CREATE = Step(f"create:{PROJECT}", Action.CREATE, PROJECT, "not at the platform yet")


def plan(*steps: Step, basis: Basis = BASIS, refusals: tuple[Refusal, ...] = ()) -> Plan:
    made = Plan(basis, steps, refusals)
    return replace(made, digest=digest(made))


def saved(made: Plan) -> dict[str, Any]:
    """The plan after a journey through a file."""
    document: dict[str, Any] = json.loads(json.dumps(plan_to_json(made, tool="reconciler 1.0")))
    return document


SAVED = saved(plan(CREATE, UPDATE))


# ------------------------------------------------------------------------------------------- untouched


def test_a_plan_that_nobody_touched_is_believed() -> None:
    assert check_untouched(SAVED) is None  # type: ignore[func-returns-value]  # what matters is that nothing is raised


def test_a_vendor_s_half_of_a_character_makes_no_difference() -> None:
    """Its JSON can hold a lone surrogate, and UTF-8 cannot."""
    odd = replace(UPDATE, changes=(FieldChange("description", "\ud83d", {"é": [None, 1.5]}, sensitive=True),))
    assert check_untouched(saved(plan(odd))) is None  # type: ignore[func-returns-value]


def test_another_version_of_the_tool_may_have_written_it() -> None:
    assert check_untouched({**SAVED, "tool": "reconciler 9.9"}) is None  # type: ignore[func-returns-value]


@pytest.mark.parametrize(
    "edit",
    [
        {"environment": "staging"},
        {"steps": []},
        {"steps": [*SAVED["steps"], SAVED["steps"][0]]},
        {"refusals": [{"address": "x", "reason": "y", "hint": "", "source": None}]},
        {"basis": {**SAVED["basis"], "state_serial": 8}},
        {"summary": {**SAVED["summary"], "delete": 1}},
        {"digest": "0" * 64},
        {"digest": None},
        {"more": True},
    ],
)
def test_an_edited_plan_is_refused(edit: dict[str, Any]) -> None:
    with pytest.raises(StalePlan, match="changed after it was made"):
        check_untouched({**SAVED, **edit})


def test_an_edit_deep_inside_is_refused() -> None:
    edited = json.loads(json.dumps(SAVED))
    edited["steps"][1]["changes"][0]["after"] = 0.1
    with pytest.raises(StalePlan, match="changed after it was made"):
        check_untouched(edited)


@pytest.mark.parametrize("lifecycle", [7, [7], [{"address": str(TEST), "path": "severity"}]])
def test_what_is_no_plan_is_refused_whoever_has_made_its_digest(lifecycle: Any) -> None:
    edited = {**SAVED, "lifecycle": lifecycle, "digest": "", "tool": ""}
    text = json.dumps(edited, sort_keys=True, separators=(",", ":"))
    with pytest.raises(StalePlan, match="this is not a plan file"):
        check_untouched({**edited, "digest": hashlib.sha256(text.encode()).hexdigest()})


@pytest.mark.parametrize("version", ["2.0", "", None, 1])
def test_another_format_is_refused(version: Any) -> None:
    """A later minor version may add keys, which the digest covers; a major one is not understood."""
    with pytest.raises(StalePlan, match="format_version"):
        check_untouched({**SAVED, "format_version": version} if version != 1 else {"steps": []})


# ------------------------------------------------------------------------------------------ what moved


def test_nothing_moved() -> None:
    assert what_moved(SAVED, plan(CREATE, UPDATE)) == ()


@pytest.mark.parametrize(
    ("basis", "sentence"),
    [
        (replace(BASIS, manifests="m2"), "the manifests, or the variables they use"),
        (replace(BASIS, state_serial=6), "the state: it was at serial 7, now it is at 6, an older one"),
        (replace(BASIS, lineage="l2"), "the state: this is another one (its lineage differs)"),
        (
            replace(BASIS, origins={"openlayer": "https://eu.example"}),
            "the platform: planned for https://api.openlayer.com/v1, now https://eu.example",
        ),
        (replace(BASIS, origins={}), "the platform: planned for https://api.openlayer.com/v1, now nothing"),
    ],
)
def test_what_it_was_made_from_moved(basis: Basis, sentence: str) -> None:
    assert what_moved(SAVED, plan(CREATE, UPDATE, basis=basis)) == (sentence,)


def test_a_first_plan_has_no_lineage_yet() -> None:
    first = saved(plan(CREATE, basis=replace(BASIS, lineage="", state_serial=0)))
    assert what_moved(first, plan(CREATE, basis=replace(BASIS, lineage="l1", state_serial=0))) == ()


@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (replace(UPDATE, fingerprint="f2"), "somebody changed it at the platform"),
        (replace(UPDATE, remote_id="t2"), "update means something else now"),
        (replace(UPDATE, changes=()), "update means something else now"),
        (replace(UPDATE, former=None), "update means something else now"),
    ],
)
def test_a_step_that_means_something_else_is_named(other: Step, sentence: str) -> None:
    assert what_moved(SAVED, plan(CREATE, other)) == (f"{TEST}: {sentence}",)


def test_a_step_that_came_or_went_is_named() -> None:
    assert what_moved(SAVED, plan(UPDATE)) == (f"{PROJECT}: create is not needed any more",)
    assert what_moved(saved(plan(UPDATE)), plan(CREATE, UPDATE)) == (
        f"{PROJECT}: create is needed now (not at the platform yet)",
    )


def test_a_refusal_that_came_is_named() -> None:
    refusal = Refusal(PROJECT, "taskType cannot be changed in place")
    assert what_moved(SAVED, plan(CREATE, UPDATE, refusals=(refusal,))) == (
        "openlayer.Project/bot: taskType cannot be changed in place",
    )
    assert what_moved(saved(plan(CREATE, refusals=(refusal,))), plan(CREATE, refusals=(refusal,))) == ()


def test_a_gate_that_would_count_otherwise_is_named() -> None:
    """A plan that hides it, or says something else of it, is not what somebody agreed to."""
    weaker = LifecycleChange(TEST, "severity", "error", "warn", Effect.LOOSENED)
    other = replace(weaker, after="info")
    with_gate, with_other, without = (replace(plan(UPDATE), lifecycle=some) for some in ((weaker,), (other,), ()))
    assert what_moved(saved(with_gate), with_gate) == ()
    assert what_moved(saved(without), with_gate) == (f"{TEST}: its severity changes now",)
    assert what_moved(saved(with_gate), without) == (f"{TEST}: its severity does not change any more, or otherwise",)
    assert f"{TEST}: its severity changes now" in what_moved(saved(with_gate), with_other)
    assert what_moved(saved(with_gate), without, resumed=True) == ()
    assert what_moved(saved(without), with_gate, resumed=True) == (f"{TEST}: its severity changes now",)


def test_what_only_reads_differently_has_not_moved() -> None:
    """A reason or a note is for people; what is done stays the same."""
    other = replace(UPDATE, reason="changed at the platform", notes=("a note",))
    assert what_moved(SAVED, plan(CREATE, other)) == ()


def test_a_state_that_moved_on_moves_nothing_by_itself() -> None:
    """Each evaluation writes to it; what matters of it shows in the steps."""
    assert what_moved(SAVED, plan(CREATE, UPDATE, basis=replace(BASIS, state_serial=8))) == ()
    assert what_moved(SAVED, plan(CREATE, basis=replace(BASIS, state_serial=8))) == (
        f"{TEST}: update is not needed any more",
    )


# --------------------------------------------------------------------------------------------- resumed


def begun(before: Step, after: Step) -> tuple[str, ...]:
    """What moved for a resumed plan that held ``before`` and needs ``after`` now."""
    return what_moved(saved(plan(before)), plan(after, basis=replace(BASIS, state_serial=8)), resumed=True)


def test_a_resumed_plan_may_be_done_in_part() -> None:
    assert what_moved(SAVED, plan(UPDATE, basis=replace(BASIS, state_serial=8)), resumed=True) == ()


def test_a_resumed_plan_may_end_a_create_whose_answer_was_lost() -> None:
    adopt = Step(f"adopt:{PROJECT}", Action.ADOPT, PROJECT, LOST_REPLY, remote_id="p1")
    assert begun(CREATE, adopt) == ()


def test_a_resumed_plan_adopts_nothing_that_a_stranger_made() -> None:
    adopt = Step(f"adopt:{PROJECT}", Action.ADOPT, PROJECT, "made by somebody else", remote_id="p1")
    assert begun(CREATE, adopt) == (f"{PROJECT}: adopt is needed now (made by somebody else)",)


def test_a_resumed_plan_may_archive_what_its_replace_left_behind() -> None:
    """That object and no other."""
    swap = Step(f"replace:{TEST}", Action.REPLACE, TEST, "type cannot be changed", remote_id="t1")
    left = Step(f"archive:{TEST}#t1", Action.ARCHIVE, TEST, "left behind", remote_id="t1")
    assert begun(swap, left) == ()
    assert begun(swap, replace(left, remote_id="t9")) == (f"{TEST}: archive is needed now (left behind)",)


def test_a_resumed_plan_may_forget_what_it_deleted() -> None:
    gone = Step(f"forget:{PROJECT}", Action.FORGET, PROJECT, "it is gone already")
    assert begun(Step(f"delete:{PROJECT}", Action.DELETE, PROJECT, "gone", remote_id="p1"), gone) == ()
    assert begun(CREATE, gone) == (f"{PROJECT}: forget is needed now (it is gone already)",)


def test_in_a_resumed_plan_a_parent_may_have_its_new_name_already() -> None:
    assert begun(UPDATE, replace(UPDATE, former=None)) == ()


def test_what_a_resumed_plan_has_carried_out_was_changed_by_nobody_else() -> None:
    """It was not recorded any more: an archive, a rename, some of the fields of an update."""
    archive = Step(f"archive:{TEST}", Action.ARCHIVE, TEST, "gone", remote_id="t1", fingerprint="False")
    assert begun(archive, replace(archive, fingerprint="True")) == ()
    assert begun(UPDATE, replace(UPDATE, fingerprint="f2", changes=())) == ()
    assert begun(replace(archive, fingerprint="True"), archive) == (f"{TEST}: somebody changed it at the platform",)


def test_what_a_resumed_plan_did_not_plan_was_changed_by_somebody() -> None:
    """Another field, or the same one from another value on."""
    (planned,) = UPDATE.changes
    for change in FieldChange("description", "x", None), FieldChange(planned.path, 0.1, planned.after):
        moved = replace(UPDATE, fingerprint="f2", changes=(change,))
        assert begun(UPDATE, moved) == (f"{TEST}: somebody changed it at the platform",)


def test_of_several_fields_a_resumed_plan_may_have_written_some_and_somebody_else_none() -> None:
    """Fewer are left than were planned, and one that is left has got another value meanwhile."""
    (first,), second = UPDATE.changes, FieldChange("description", "x", "y")
    both = replace(UPDATE, changes=(first, second))
    assert begun(both, replace(both, fingerprint="f2", changes=(second,))) == ()
    for change in FieldChange(first.path, 0.1, first.after), FieldChange("name", "a", "b"):
        moved = replace(both, fingerprint="f2", changes=(change,))
        assert begun(both, moved) == (f"{TEST}: somebody changed it at the platform",)


def test_what_a_resumed_plan_has_carried_out_was_done_to_the_object_that_was_planned_for() -> None:
    """Another one that has its address since is as far from what is wanted only by chance."""
    archive = Step(f"archive:{TEST}", Action.ARCHIVE, TEST, "gone", remote_id="t1", fingerprint="True")
    assert begun(archive, replace(archive, remote_id="t2")) == (f"{TEST}: archive means something else now",)
    other = replace(UPDATE, remote_id="t2", fingerprint="f2", changes=())
    assert begun(UPDATE, other) == (f"{TEST}: somebody changed it at the platform",)


def test_a_resumed_plan_does_nothing_new() -> None:
    assert begun(CREATE, UPDATE) == (f"{TEST}: update is needed now (changed in the manifests)",)
    assert begun(UPDATE, replace(UPDATE, fingerprint="f2")) == (f"{TEST}: somebody changed it at the platform",)
