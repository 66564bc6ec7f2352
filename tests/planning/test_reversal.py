"""What was before an apply is noted, merged over several applies, and leads back; what cannot come back is told."""

from __future__ import annotations

import json

import pytest
from msgspec.structs import replace

from reconciler.model.plan import Action, Basis, Effect, FieldChange, LifecycleChange, Plan, Step
from reconciler.model.resource import Address, Desired, Gate, Lifecycle, Live, LiveObject, Resource, Source
from reconciler.model.state import Entry, State, entry_from_json
from reconciler.model.values import Fields
from reconciler.planning.reversal import (
    Before,
    as_it_was,
    back,
    before_from_json,
    before_to_json,
    concerned,
    irreversible,
    memory_first,
    memory_last,
    merged,
    snapshot,
    still_there,
)
from reconciler.providers import KINDS

PROJECT = Address("openlayer.Project", ("bot",))
PIPELINE = Address("openlayer.InferencePipeline", ("bot", "live"))
TEST = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))
OTHER = Address("openlayer.Test", ("bot", "monitoring", "Toxic"))
OLD: Fields = {"name": "Faithful", "mode": "monitoring", "thresholds": [{"value": 1}]}
NEW: Fields = {"name": "Faithful", "mode": "monitoring", "thresholds": [{"value": 2}]}
LIVE = LiveObject(TEST, "t1", {**OLD, "type": "integrity"})
OURS = Entry("t1", OLD, op="0a", source="bot.yaml")


def step(action: Action, address: Address = TEST, **more: object) -> Step:
    return Step(f"{action}:{address}", action, address, "because", **more)  # type: ignore[arg-type]


def plan(*steps: Step) -> Plan:
    return Plan(Basis("production", {}, "m", "l", 1), steps)


def desired(*resources: Resource) -> Desired:
    return Desired({each.address: each for each in resources}, "digest")


def wanted(address: Address, fields: Fields, **more: object) -> Resource:
    return Resource(address, fields, Source("bot.yaml", 1, 1), **more)  # type: ignore[arg-type]


def taken(*steps: Step, entries: dict[Address, Entry], live: tuple[LiveObject, ...] = (LIVE,)) -> dict[Address, Before]:
    return snapshot(plan(*steps), Live(live), State(entries=entries), KINDS)


# ------------------------------------------------------------------------------------------ taking note


def test_an_update_notes_the_live_values_of_what_we_write() -> None:
    """Somebody had changed the threshold by hand: that is what it goes back to."""
    live = LiveObject(TEST, "t1", {**OLD, "thresholds": [{"value": 7}], "type": "integrity"})
    noted = taken(step(Action.UPDATE, fields=NEW, remote_id="t1"), entries={TEST: OURS}, live=(live,))
    assert noted == {TEST: Before(TEST, "t1", OURS, {**OLD, "thresholds": [{"value": 7}]})}


def test_what_the_platform_does_not_show_is_what_we_wrote_last() -> None:
    """Or unknown, when we never wrote it."""
    pipeline = LiveObject(PIPELINE, "p1", {"name": "live"})
    update = step(Action.UPDATE, PIPELINE, fields={"name": "live", "referenceDatasetUri": "new"}, remote_id="p1",
                  changes=(FieldChange("referenceDatasetUri", None, "new"),))  # fmt: skip
    known = taken(update, entries={PIPELINE: Entry("p1", {"referenceDatasetUri": "old"})}, live=(pipeline,))
    assert known[PIPELINE].fields == {"name": "live", "referenceDatasetUri": "old"}
    unknown = taken(update, entries={PIPELINE: Entry("p1", {"name": "live"})}, live=(pipeline,))
    assert unknown[PIPELINE].fields == {"name": "live"}
    assert irreversible(plan(update), known, desired(), KINDS) == ()
    assert irreversible(plan(update), unknown, desired(), KINDS) == (
        f"cannot be rolled back: {PIPELINE}: the platform does not show what referenceDatasetUri was",
    )


def test_a_create_an_adoption_and_a_leftover() -> None:
    """Nothing was there; it was there and not ours; it only ends an earlier replace."""
    assert taken(step(Action.CREATE), entries={}, live=()) == {TEST: Before(TEST)}
    adopted = taken(step(Action.ADOPT, fields=NEW, remote_id="t1"), entries={})
    assert adopted == {TEST: Before(TEST, "t1", None, OLD)}
    leftover = step(Action.ARCHIVE, remote_id="t0")
    assert taken(leftover, entries={TEST: Entry("t1", OLD, retiring=("t0",))}) == {}


def test_what_is_only_remembered_otherwise_is_noted_too() -> None:
    """Under its former name, where the project around it is renamed; with a step of its own it is noted once."""
    robot = Address("openlayer.Project", ("robot",))
    inside = Address("openlayer.Test", ("robot", "monitoring", "Faithful"))
    rename = step(Action.RENAME, robot, former=PROJECT, remote_id="p1", fields={"name": "robot"})
    entries = {PROJECT: Entry("p1"), TEST: replace(OURS, gate=Gate())}
    weaker = replace(plan(rename), lifecycle=(LifecycleChange(inside, "severity", "error", "warn", Effect.LOOSENED),))
    live = Live((LIVE, LiveObject(PROJECT, "p1", {"name": "bot"})))
    noted = snapshot(weaker, live, State(entries=entries), KINDS)
    assert noted[inside] == Before(TEST, "t1", entries[TEST], OLD)
    update = step(Action.UPDATE, fields=NEW, remote_id="t1")
    both = replace(plan(update), lifecycle=(LifecycleChange(TEST, "severity", "error", "warn", Effect.LOOSENED),))
    assert snapshot(both, live, State(entries=entries), KINDS) == {TEST: Before(TEST, "t1", entries[TEST], OLD)}


def test_a_gate_is_wanted_as_it_was() -> None:
    """As it was remembered; where nobody knows it, as it is written now."""
    flaky, usual = Gate(flaky=True), Gate()
    now = desired(wanted(TEST, NEW, gate=flaky))
    for known, then in ((usual, usual), (None, flaky)):
        befores = {TEST: Before(TEST, "t1", replace(OURS, gate=known), OLD)}
        assert as_it_was(befores, now, KINDS).resources[TEST].gate == then


def test_what_may_become_of_it_is_wanted_as_it_was() -> None:
    """Not as the manifests have it now, which were to be applied; what was nobody's has no protection."""
    now = desired(wanted(TEST, NEW, lifecycle=Lifecycle(protect=False, onRemoval="keep")))
    strict = replace(OURS, protect=True, on_removal="delete")
    befores = {TEST: Before(TEST, "t1", strict, OLD)}
    assert as_it_was(befores, now, KINDS).resources[TEST].lifecycle == Lifecycle(protect=True, onRemoval="delete")
    befores = {TEST: Before(TEST, "t1", None, OLD)}
    assert as_it_was(befores, now, KINDS).resources[TEST].lifecycle == Lifecycle()


def test_what_is_adopted_in_a_project_that_is_renamed_was_in_that_under_its_former_name() -> None:
    """So it was called as the platform calls it, too; there is nothing that we remember of it."""
    robot, inside = PROJECT.in_root("robot"), OTHER.in_root("robot")
    adopt = step(Action.ADOPT, inside, fields={**NEW, "name": "Toxic"}, remote_id="t1")
    live = (LIVE, LiveObject(PROJECT, "p1", {"name": "bot"}))
    for root in (
        step(Action.RENAME, robot, former=PROJECT, remote_id="p1", fields={"name": "robot"}),
        step(Action.ADOPT, robot, remote_id="p1", fields={"name": "robot"}),
    ):
        noted = taken(root, adopt, entries={}, live=live)
        assert noted == {robot: Before(PROJECT, "p1", None, {"name": "bot"}), inside: Before(TEST, "t1", None, OLD)}


def test_notes_survive_json() -> None:
    for before in (Before(TEST), Before(TEST, "t1", OURS, OLD, archived=True)):
        assert before_from_json(json.loads(json.dumps(before_to_json(before)))) == before


def test_of_two_applies_that_nobody_verified_the_first_counts() -> None:
    """Also under the name that the second one gave it."""
    first, second = Before(TEST, "t1", OURS, OLD), Before(TEST, "t1", OURS, NEW)
    assert merged({TEST: first}, {TEST: second}, KINDS) == {TEST: first}
    assert merged({TEST: first}, {OTHER: second}, KINDS) == {OTHER: first}
    assert merged({}, {OTHER: second}, KINDS) == {OTHER: second}


def test_what_only_the_second_apply_changes_was_in_a_project_as_that_was_called_before_the_first() -> None:
    robot = {PROJECT.in_root("robot"): Before(PROJECT, "p1", Entry("p1"))}
    inside = TEST.in_root("robot")
    noted = merged(robot, {inside: Before(inside, "t1", OURS, OLD)}, KINDS)
    assert noted == {**robot, inside: Before(TEST, "t1", OURS, OLD)}


# ------------------------------------------------------------------------------------------ what cannot come back


@pytest.mark.parametrize(
    ("action", "address", "lifecycle", "says"),
    [
        (Action.DELETE, PROJECT, Lifecycle(), f"{PROJECT} is deleted, with everything in it"),
        (Action.CREATE, PROJECT, Lifecycle(), (f"{PROJECT} is created, and stays there: it has no lifecycle.onRemoval: "
                                              "delete")),
        (Action.CREATE, PROJECT, Lifecycle(onRemoval="delete"), ""),
        (Action.CREATE, TEST, Lifecycle(), ""),
        (Action.ARCHIVE, TEST, Lifecycle(), ""),
    ],
)  # fmt: skip
def test_what_stays_is_told_beforehand(action: Action, address: Address, lifecycle: Lifecycle, says: str) -> None:
    made = plan(step(action, address, remote_id=None if action is Action.CREATE else "x"))
    told = irreversible(made, {address: Before(address)}, desired(wanted(address, {}, lifecycle=lifecycle)), KINDS)
    assert told == ((f"cannot be rolled back: {says}",) if says else ())


def test_a_workspace_stays_though_a_dataset_of_its_name_goes_again() -> None:
    workspace, dataset = (
        Address("digitalocean.Workspace", ("bot",)),
        Address("digitalocean.EvaluationDataset", ("bot",)),
    )
    both = desired(wanted(workspace, {}), wanted(dataset, {}, lifecycle=Lifecycle(onRemoval="delete")))
    assert irreversible(plan(step(Action.CREATE, workspace), step(Action.CREATE, dataset)), {}, both, KINDS) == (
        f"cannot be rolled back: {workspace} is created, and stays there: it has no lifecycle.onRemoval: delete",
    )  # fmt: skip


def test_an_evaluation_writes_over_results_for_good() -> None:
    update = step(Action.UPDATE, fields=NEW, remote_id="t1", changes=(FieldChange("thresholds.0.value", 1, 2),))
    (told,) = irreversible(plan(update), taken(update, entries={TEST: OURS}), desired(), KINDS)
    assert told.startswith("cannot be rolled back: results that the evaluation writes over")


# ------------------------------------------------------------------------------------------ the way back


def test_everything_is_wanted_as_it_was() -> None:
    """The old values for what was changed, nothing for what was made, and again what was archived."""
    now = desired(wanted(PROJECT, {"name": "bot"}), wanted(TEST, NEW), wanted(PIPELINE, {"name": "live"}))
    archived = {**OLD, "name": "Toxic"}
    befores = {TEST: Before(TEST, "t1", OURS, OLD), PIPELINE: Before(PIPELINE),
               OTHER: Before(OTHER, "t2", Entry("t2", archived), archived)}  # fmt: skip
    then = as_it_was(befores, now, KINDS)
    assert {address: each.fields for address, each in then.resources.items()} == {
        PROJECT: {"name": "bot"},
        TEST: OLD,
        OTHER: archived,
    }
    assert then.resources[OTHER].references == (PROJECT,)


def test_a_renamed_root_is_wanted_under_its_former_name_with_all_that_is_in_it() -> None:
    robot = Address("openlayer.Project", ("robot",))
    inside = Address("openlayer.Test", ("robot", "monitoring", "Faithful"))
    renamed = Address("openlayer.Test", ("robot", "monitoring", "Kind"))
    now = desired(wanted(robot, {"name": "robot"}), wanted(inside, OLD, references=(robot,)), wanted(renamed, OLD))
    befores = {robot: Before(PROJECT, "p1", Entry("p1"), {"name": "bot"}),
               renamed: Before(OTHER, "t2", Entry("t2"), {**OLD, "name": "Toxic"})}  # fmt: skip
    then = as_it_was(befores, now, KINDS).resources
    assert then.keys() == {PROJECT, TEST, OTHER}
    assert then[PROJECT].renamed_from == (robot,)
    assert then[TEST].references == (PROJECT,)
    assert then[OTHER].renamed_from == (Address("openlayer.Test", ("bot", "monitoring", "Kind")),)
    assert concerned(befores, KINDS) == {
        PROJECT,
        robot,
        OTHER,
        Address("openlayer.Test", ("bot", "monitoring", "Kind")),
    }


def test_a_renamed_dataset_leaves_what_stands_in_a_workspace_of_its_name_alone() -> None:
    case = Address("digitalocean.EvaluationTestCase", ("rows", "Kind"))
    home, rows, faq = (
        Address("digitalocean.Workspace", ("rows",)),
        *(Address("digitalocean.EvaluationDataset", (name,)) for name in ("rows", "faq")),
    )
    now = desired(wanted(home, {}), wanted(rows, {"name": "rows"}), wanted(case, {}, references=(home, rows)))
    then = as_it_was({rows: Before(faq, "d1", Entry("d1"), {"name": "faq"})}, now, KINDS)
    assert then.resources.keys() == {home, faq, case}
    assert then.resources[case].references == (home, faq)


def test_memory_is_led_back_first_where_a_replace_gave_an_address_another_object() -> None:
    """The old object is ours again and the new one retires; what was made loses the protection it was made with."""
    befores = {TEST: Before(TEST, "t1", OURS, OLD), OTHER: Before(OTHER)}
    state = State(entries={TEST: Entry("t9", NEW, op="9z"), OTHER: Entry("t2", {}, protect=True)})
    records = memory_first(befores, state, Live((LIVE,)))
    assert {record["address"]: entry_from_json(record["entry"]) for record in records} == {
        str(TEST): Entry("t1", OLD, op="0a", source="bot.yaml", retiring=("t9",)),
        str(OTHER): Entry("t2", {}),
    }


def test_memory_is_at_last_what_it_was() -> None:
    """What was adopted is given up again; what was forgotten and is still there is ours again."""
    befores = {TEST: Before(TEST, "t1", OURS, OLD), OTHER: Before(OTHER, "t2", None, OLD)}
    state = State(entries={TEST: Entry("t1", NEW), OTHER: Entry("t2", OLD)})
    first, second = memory_last(befores, state, KINDS)
    assert (first["record"], entry_from_json(first["entry"])) == ("done", OURS)
    assert second == {"record": "removed", "address": str(OTHER)}
    (again,) = memory_first({TEST: befores[TEST]}, State(), Live((LIVE,)))
    assert entry_from_json(again["entry"]) == OURS


def test_what_is_gone_for_good_is_not_made_anew() -> None:
    befores = {TEST: Before(TEST, "t1", OURS, OLD), OTHER: Before(OTHER)}
    assert still_there(befores, Live(())) == {OTHER: Before(OTHER)}
    assert still_there(befores, Live((LIVE,))) == befores


def test_only_what_was_touched_is_led_back() -> None:
    """What else is pending waits for the next apply; a step waits only for steps that are there."""
    made = plan(step(Action.UPDATE, PROJECT), step(Action.UPDATE, after=(f"update:{PROJECT}",)))
    assert back(made, {TEST: Before(TEST, "t1")}, KINDS).steps == (step(Action.UPDATE),)
