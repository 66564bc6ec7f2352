"""What we remember: how each record changes it, and that nothing is lost on its way to JSON and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from reconciler.errors import StateUnreadable
from reconciler.model.resource import Address, Gate, Regress
from reconciler.model.state import (
    Entry,
    Intent,
    Record,
    State,
    done,
    entry_from_json,
    entry_to_json,
    fold,
    intent_to_json,
    state_from_json,
    state_to_json,
)
from reconciler.model.values import Fields

PROJECT = Address("openlayer.Project", ("bot",))
PIPELINE = Address("openlayer.InferencePipeline", ("bot", "production"))
TEST = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))

# ------------------------------------------------------------------------------------------ one record each


def test_an_intent_is_in_doubt_until_its_outcome_is_written() -> None:
    state = fold(State(), [{"record": "intent", "address": "openlayer.Project/bot", "op": "0a"}])
    assert state == State(in_doubt={PROJECT: Intent("0a", 1)})


def test_an_intent_tells_where_the_resource_was_declared() -> None:
    """Empty where an older version wrote it."""
    intent = {"record": "intent", "address": "openlayer.Project/bot", "op": "0a", "source": "team/bot.yaml"}
    state = fold(State(), [intent])
    assert state.in_doubt == {PROJECT: Intent("0a", 1, source="team/bot.yaml")}
    assert state_from_json(state_to_json(state)) == state


def test_a_second_attempt_keeps_the_operation_and_counts() -> None:
    first = {"record": "intent", "address": "openlayer.Project/bot", "op": "0a"}
    state = fold(State(), [first, {**first, "attempts": 2}])
    assert state.in_doubt == {PROJECT: Intent("0a", 2)}


def test_done_settles_the_doubt_and_remembers_the_object() -> None:
    entry = {"remote_id": "p1", "applied": {"description": "x"}, "op": "0a", "protect": True, "on_removal": "delete"}
    state = fold(
        State(in_doubt={PROJECT: Intent("0a")}),
        [{"record": "done", "address": "openlayer.Project/bot", "entry": entry}],
    )
    assert state.in_doubt == {}
    assert state.entries == {PROJECT: Entry("p1", {"description": "x"}, "0a", protect=True, on_removal="delete")}


def test_an_intent_says_what_is_to_become_of_its_object() -> None:
    """An older journal says nothing of it."""
    intent = Intent("0a", 2, protect=True, on_removal="delete", source="bot.yaml")
    record: Record = {"record": "intent", "address": str(PROJECT), **intent_to_json(intent)}
    assert fold(State(), [record]) == State(in_doubt={PROJECT: intent})
    assert state_from_json(state_to_json(State(in_doubt={PROJECT: intent}))).in_doubt == {PROJECT: intent}
    assert intent_to_json(Intent("0a")) == {"op": "0a", "attempts": 1}


def test_how_results_count_is_remembered_or_unknown() -> None:
    """Only what is not as usual is written of a gate; an older version, which wrote nothing, claims nothing."""
    gate = Gate(severity="warn", runs=3, min_pass=2, warn={"thresholds": [{"value": 4}]}, regress=Regress(0.05))
    told = {"severity": "warn", "runs": 3, "min_pass": 2, "warn": {"thresholds": [{"value": 4}]}}
    regress = {"max_drop": 0.05, "relative": True, "against": 0}
    assert entry_to_json(Entry("t1", gate=gate))["gate"] == {**told, "regress": regress}
    assert entry_to_json(Entry("t1", gate=Gate()))["gate"] == {}
    assert "gate" not in entry_to_json(Entry("t1"))
    for known in (gate, Gate(), None):
        assert entry_from_json(json.loads(json.dumps(entry_to_json(Entry("t1", gate=known))))).gate == known
    with pytest.raises(StateUnreadable):
        fold(State(), [{"record": "done", "address": str(TEST), "entry": {"remote_id": "t1", "gate": {"runs": "3"}}}])


def test_not_applied_settles_the_doubt_and_keeps_what_was_known() -> None:
    known = State(entries={PROJECT: Entry("p1")}, in_doubt={PROJECT: Intent("0a")})
    assert fold(known, [{"record": "not_applied", "address": str(PROJECT)}]) == State(entries={PROJECT: Entry("p1")})


def test_what_is_done_to_an_object_that_was_known_leaves_another_in_doubt() -> None:
    """The create that is in doubt was to replace it, and may still have been carried out."""
    known = State(entries={PROJECT: Entry("p1")}, in_doubt={PROJECT: Intent("0a")})
    done: Record = {"record": "done", "address": str(PROJECT), "entry": entry_to_json(Entry("p1", protect=True))}
    assert fold(known, [{**done, "in_doubt": True}]).in_doubt == known.in_doubt
    assert fold(known, [done]).in_doubt == {}


def test_removed_forgets_the_object_and_its_doubt() -> None:
    known = State(entries={PROJECT: Entry("p1"), TEST: Entry("t1")}, in_doubt={PROJECT: Intent("0a")})
    assert fold(known, [{"record": "removed", "address": str(PROJECT)}]) == State(entries={TEST: Entry("t1")})


def test_what_is_written_of_another_object_leaves_the_doubt() -> None:
    """An update of the old one, or its end, says nothing of what the create may have made in its place."""
    known = State(entries={TEST: Entry("t1", op="0a")}, in_doubt={TEST: Intent("0b")})
    updated = Entry("t1", {"value": 2}, op="0a")
    assert fold(known, [done(TEST, updated, known.in_doubt[TEST])]) == replace(known, entries={TEST: updated})
    ended: Record = {"record": "removed", "address": str(TEST), "in_doubt": True}
    assert fold(known, [ended]) == State(in_doubt=known.in_doubt)


def test_what_is_written_of_what_the_create_has_made_settles_the_doubt() -> None:
    """Its marker tells; and a record of an older version always did."""
    known = State(entries={TEST: Entry("t1", op="0a")}, in_doubt={TEST: Intent("0b")})
    made = Entry("t2", op="0b")
    assert fold(known, [done(TEST, made, known.in_doubt[TEST])]) == State(entries={TEST: made})
    older: Record = {"record": "done", "address": str(TEST), "entry": entry_to_json(Entry("t1", op="0a"))}
    assert fold(known, [older]) == State(entries={TEST: Entry("t1", op="0a")})


def test_what_was_listed_has_been_seen() -> None:
    """Of what is not remembered there is nothing to note: it was given up meanwhile."""
    known = State(entries={PROJECT: Entry("p1", unlisted=True), TEST: Entry("t1", unlisted=True)})
    seen = fold(known, [{"record": "listed", "addresses": [str(PROJECT), str(PIPELINE)]}])
    assert seen == State(entries={PROJECT: Entry("p1"), TEST: Entry("t1", unlisted=True)})


def test_origins_are_added_to_those_that_were_known() -> None:
    known = State(origins={"openlayer": "https://a"})
    state = fold(known, [{"record": "origins", "origins": {"digitalocean": "https://b"}}])
    assert state.origins == {"openlayer": "https://a", "digitalocean": "https://b"}


def test_a_task_is_remembered_until_it_is_over() -> None:
    begun = fold(State(), [{"record": "task", "key": "k", "task": {"task_id": "9"}}])
    assert begun.tasks == {"k": {"task_id": "9"}}
    assert fold(begun, [{"record": "task_over", "key": "k"}]).tasks == {}


def test_a_plan_is_started_and_then_consumed() -> None:
    started = fold(State(), [{"record": "plan_started", "digest": "d1"}])
    assert (started.started, started.consumed) == ("d1", ())
    applied = fold(started, [{"record": "plan_applied", "digest": "d1"}])
    assert (applied.started, applied.consumed) == ("", ("d1",))


def test_the_last_hundred_consumed_plans_are_kept() -> None:
    state = fold(State(), [{"record": "plan_applied", "digest": str(number)} for number in range(105)])
    assert state.consumed[0] == "5"
    assert state.consumed[-1] == "104"
    assert len(state.consumed) == 100


# ------------------------------------------------------------------------------------------ the last apply


def changing(*addresses: Address, **more: Any) -> Record:
    return {"record": "changing", "addresses": [str(address) for address in addresses], **more}


KEPT: Record = {"record": "settled", "kept": True}
PUT_BACK: Record = {"record": "settled", "kept": False}


def test_what_the_last_apply_changes_is_remembered() -> None:
    state = fold(State(), [changing(PROJECT, TEST), KEPT])
    assert (state.touched, state.unsettled) == ((PROJECT, TEST), False)
    assert fold(state, [changing(PIPELINE), KEPT]).touched == (PIPELINE,)


def test_what_was_not_settled_is_added_to() -> None:
    """An apply that was cut short, or not verified, and then another one: both count."""
    assert fold(State(), [changing(PROJECT), changing(TEST, PROJECT), KEPT]).touched == (PROJECT, TEST)


def test_what_nobody_asked_to_verify_is_unverified_until_a_gate_holds() -> None:
    """Also where another apply comes between, as long as it leaves something; what a destroy leaves is nothing."""
    plain: Record = {**KEPT, "verified": False}
    state = fold(State(), [changing(PROJECT, TEST), plain])
    assert (state.unverified, state.unsettled) == (True, False)
    assert fold(state, [KEPT]) == replace(state, unverified=False)
    assert fold(state, [changing(PIPELINE), plain]).unverified
    assert not fold(state, [changing(PIPELINE)]).unverified
    assert not fold(state, [changing(), plain]).unverified


def test_an_apply_that_was_not_asked_to_verify_leaves_it_to_the_next_such_one_to_settle() -> None:
    """Unless something is unsettled that was to be verified, or somebody has asked for that since."""
    plain: Record = {"verify": False}
    cut_short = fold(State(), [changing(PROJECT, **plain)])
    assert cut_short.plain
    assert fold(cut_short, [changing(TEST, **plain)]).plain
    assert fold(cut_short, [{**KEPT, "left": [str(PROJECT)]}]).plain
    asked = fold(cut_short, [changing()])
    assert (asked.plain, asked.unsettled, asked.touched) == (False, True, (PROJECT,))
    assert not fold(asked, [changing(TEST, **plain)]).plain
    assert not fold(cut_short, [KEPT]).plain


def test_what_was_put_back_is_not_touched() -> None:
    assert fold(State(), [changing(PROJECT, before={str(PROJECT): {"fields": {}}}), PUT_BACK]) == State()


def test_what_was_not_looked_at_is_left_unsettled() -> None:
    """Whether the rest holds or was put back; then an evaluation of that is over, too."""
    was: dict[str, Fields] = {str(TEST): {"remote_id": "t1"}, str(PROJECT): {"remote_id": "p1"}}
    notes: dict[str, Fields] = {"k": {"address": str(PROJECT)}, "other": {"address": str(TEST)}}
    begun = replace(fold(State(), [changing(PROJECT, TEST, before=was)]), tasks=notes)
    kept = fold(begun, [{**KEPT, "left": [str(TEST)]}])
    assert (kept.touched, kept.unsettled, list(kept.before), list(kept.tasks)) == (
        (PROJECT, TEST), True, [TEST], ["k", "other"],
    )  # fmt: skip
    back = fold(begun, [{**PUT_BACK, "left": [str(TEST)]}])
    assert (back.touched, back.unsettled, list(back.before), list(back.tasks)) == ((TEST,), True, [TEST], ["other"])


def test_what_was_before_is_kept_until_it_is_settled() -> None:
    was = {str(TEST): {"remote_id": "t1", "fields": {"thresholds": []}}}
    begun = fold(State(), [changing(TEST, before=was)])
    assert begun.before == {TEST: {"remote_id": "t1", "fields": {"thresholds": []}}}
    assert fold(begun, [KEPT]).before == {}


def test_a_way_back_that_was_begun_is_remembered_until_it_is_settled() -> None:
    """Also while the rest is verified; a roll-back that is done leaves nothing of it."""
    was: dict[str, Fields] = {str(TEST): {"remote_id": "t1"}}
    begun = fold(State(), [changing(PROJECT, TEST, before=was), {"record": "going_back"}])
    assert begun.going_back
    assert fold(begun, [changing(TEST, before=was), {**KEPT, "left": [str(TEST)]}]).going_back
    assert not fold(begun, [KEPT]).going_back
    assert not fold(begun, [PUT_BACK]).going_back


def test_what_is_measured_and_no_object_is_remembered_as_it_was_declared() -> None:
    run = Address("digitalocean.EvaluationRun", ("care", "nightly"))
    told: Record = {"record": "measured", "declared": {str(run): {"agents": ["bot"]}}}
    assert fold(State(), [told]).measured == {run: {"agents": ["bot"]}}
    assert fold(fold(State(), [told]), [{"record": "measured", "declared": {}}]).measured == {}
    care = renamed(Address("digitalocean.Workspace", ("care",)), Address("digitalocean.Workspace", ("help",)))
    assert list(fold(State(), [told, care]).measured) == [Address("digitalocean.EvaluationRun", ("help", "nightly"))]


def test_what_is_no_object_is_remembered_as_it_was_settled() -> None:
    """And moves along with what it stands in."""
    run = Address("digitalocean.EvaluationRun", ("care", "nightly"))
    told: Record = {"record": "declared", "declared": {str(run): {"fields": {"agents": ["bot"]}, "gate": {}}}}
    assert fold(State(), [told]).declared == {run: {"fields": {"agents": ["bot"]}, "gate": {}}}
    care = renamed(Address("digitalocean.Workspace", ("care",)), Address("digitalocean.Workspace", ("help",)))
    assert list(fold(State(), [told, care]).declared) == [Address("digitalocean.EvaluationRun", ("help", "nightly"))]


def test_a_rename_reaches_what_was_touched() -> None:
    state = fold(State(), [changing(TEST), renamed(PROJECT, Address("openlayer.Project", ("helper",)))])
    assert state.touched == (Address("openlayer.Test", ("helper", "monitoring", "Faithful")),)
    noted = fold(
        State(), [changing(TEST, before={str(TEST): {}}), renamed(PROJECT, Address("openlayer.Project", ("x",)))]
    )
    assert list(noted.before) == [Address("openlayer.Test", ("x", "monitoring", "Faithful"))]


def test_an_evaluation_of_what_changes_is_not_waited_for() -> None:
    """It began with the test as it was; that of another test goes on."""
    notes: dict[str, Fields] = {
        "k": {"address": str(TEST)},
        "other": {"address": "openlayer.Test/bot/monitoring/Toxic"},
    }
    assert list(fold(State(tasks=notes), [changing(TEST)]).tasks) == ["other"]


def test_a_state_that_never_heard_of_this_is_read_and_written_as_it_was() -> None:
    old = state_to_json(State(lineage="l", serial=3))
    assert not {"touched", "unsettled", "plain", "unverified", "before", "measured", "declared"} & old.keys()
    assert state_from_json(old) == State(lineage="l", serial=3)


# ------------------------------------------------------------------------------------------ renamed


def renamed(former: Address, address: Address) -> Record:
    return {"record": "renamed", "former": str(former), "address": str(address)}


def moved(former: Address, address: Address, *known: Address) -> set[str]:
    state = State(entries={item: Entry(str(item)) for item in known})
    return {str(item) for item in fold(state, [renamed(former, address)]).entries}


def test_a_renamed_project_takes_its_children_along() -> None:
    assert moved(PROJECT, Address("openlayer.Project", ("helper",)), PROJECT, PIPELINE, TEST) == {
        "openlayer.Project/helper",
        "openlayer.InferencePipeline/helper/production",
        "openlayer.Test/helper/monitoring/Faithful",
    }


def test_a_renamed_project_takes_its_doubts_along() -> None:
    state = fold(State(in_doubt={TEST: Intent("0a")}), [renamed(PROJECT, Address("openlayer.Project", ("helper",)))])
    assert state.in_doubt == {Address("openlayer.Test", ("helper", "monitoring", "Faithful")): Intent("0a")}


def test_a_renamed_project_leaves_its_neighbours_alone() -> None:
    neighbour = Address("openlayer.Project", ("bot2",))
    inside = Address("openlayer.Test", ("bot2", "monitoring", "Faithful"))
    assert moved(PROJECT, Address("openlayer.Project", ("helper",)), neighbour, inside) == {
        "openlayer.Project/bot2",
        "openlayer.Test/bot2/monitoring/Faithful",
    }


def test_a_renamed_project_leaves_another_vendor_s_resource_of_that_name_alone() -> None:
    stranger = Address("digitalocean.Workspace", ("bot",))
    inside = Address("digitalocean.EvaluationTestCase", ("bot", "Faithful"))
    assert moved(PROJECT, Address("openlayer.Project", ("helper",)), stranger, inside) == {
        "digitalocean.Workspace/bot",
        "digitalocean.EvaluationTestCase/bot/Faithful",
    }


def test_a_renamed_root_leaves_another_root_of_that_name_alone() -> None:
    dataset, workspace = Address("digitalocean.Dataset", ("bot",)), Address("digitalocean.Workspace", ("bot",))
    assert moved(dataset, Address("digitalocean.Dataset", ("rows",)), dataset, workspace) == {
        "digitalocean.Dataset/rows",
        "digitalocean.Workspace/bot",
    }


def test_a_renamed_root_that_holds_nothing_is_moved_alone() -> None:
    """A dataset may have the name of a workspace; what stands in that stays there."""
    dataset, case = "digitalocean.EvaluationDataset", Address("digitalocean.EvaluationTestCase", ("care", "Polite"))
    known = State(entries={Address(dataset, ("care",)): Entry("d1"), case: Entry("c1")})
    record = {**renamed(Address(dataset, ("care",)), Address(dataset, ("faq",))), "alone": True}
    assert fold(known, [record]).entries == {Address(dataset, ("faq",)): Entry("d1"), case: Entry("c1")}


def test_what_was_archived_in_a_root_that_was_renamed_is_forgotten_with_it() -> None:
    """Also where another root had gone before."""
    other, helper = (Address("openlayer.Project", (name,)) for name in ("other", "helper"))
    known = State(entries={other: Entry("p2"), PROJECT: Entry("p1"), TEST: Entry("t1", archived=True)})
    gone = [{"record": "removed", "address": str(address)} for address in (other, helper)]
    assert fold(known, [gone[0], renamed(PROJECT, helper), gone[1]]).entries == {}


def test_what_was_archived_in_a_root_is_forgotten_with_it_and_not_with_another_root_of_its_name() -> None:
    archived = State(entries={PROJECT: Entry("p1"), TEST: Entry("t1", archived=True)})
    assert fold(archived, [{"record": "removed", "address": str(PROJECT)}]).entries == {}
    alone = {"record": "removed", "address": "openlayer.File/bot", "alone": True}
    assert fold(archived, [alone]).entries == archived.entries


def test_a_renamed_pipeline_called_like_a_mode_leaves_the_tests_of_that_mode_alone() -> None:
    pipeline = Address("openlayer.InferencePipeline", ("bot", "monitoring"))
    assert moved(pipeline, Address("openlayer.InferencePipeline", ("bot", "live")), pipeline, TEST) == {
        "openlayer.InferencePipeline/bot/live",
        "openlayer.Test/bot/monitoring/Faithful",
    }


def test_a_rename_onto_another_object_keeps_that_in_mind() -> None:
    """It is not lost: it has to go.  What is archived under the name stays archived, and needs nobody."""
    new = Address("openlayer.Test", ("bot", "monitoring", "Grounded"))
    known = State(entries={TEST: Entry("t1", retiring=("t0",)), new: Entry("t2", unlisted=True)})
    assert fold(known, [renamed(TEST, new)]).entries == {new: Entry("t1", retiring=("t0", "t2"))}
    archived = replace(known, entries={**known.entries, new: Entry("t2", archived=True)})
    assert fold(archived, [renamed(TEST, new)]).entries == {new: Entry("t1", retiring=("t0",))}


def test_renaming_what_is_not_known_changes_nothing() -> None:
    assert moved(PROJECT, Address("openlayer.Project", ("helper",)), Address("x.Y", ("z",))) == {"x.Y/z"}


# ------------------------------------------------------------------------------------------ damage


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"record": "teleported", "address": "openlayer.Project/bot"}, "unknown kind 'teleported'"),
        ({"record": "teleported"}, "unknown kind 'teleported'"),
        ({"record": "intent", "address": "openlayer.Project/bot"}, "damaged record: KeyError('op')"),
        ({"record": "done", "address": "openlayer.Project/bot", "entry": {}}, "damaged record: KeyError('remote_id')"),
        ({"record": "done", "address": "openlayer.Project/bot", "entry": []}, "damaged record: TypeError"),
        ({"record": "done", "address": "nothing"}, "not an address"),
        ({"record": "renamed", "address": "openlayer.Project/bot"}, "damaged record: KeyError('former')"),
        ({"record": "origins", "origins": 7}, "damaged record: TypeError"),
        ({}, "damaged record: KeyError('record')"),
    ],
)
def test_a_record_that_is_not_understood_is_never_skipped(record: Record, says: str) -> None:
    with pytest.raises(StateUnreadable) as caught:
        fold(State(), [record])
    assert says in caught.value.message


@pytest.mark.parametrize(
    "change",
    [{"entries": []}, {"entries": {"nothing": {"remote_id": "1"}}}, {"entries": {"a.B/c": {}}}, {"in_doubt": None}],
)
def test_damaged_state_is_a_sentence_not_a_traceback(change: dict[str, Any]) -> None:
    with pytest.raises(StateUnreadable, match="the state is damaged"):
        state_from_json({**state_to_json(State()), **change})


def test_a_newer_format_names_both_formats() -> None:
    with pytest.raises(StateUnreadable, match="the state has format 2; this version reads 1"):
        state_from_json({**state_to_json(State()), "format": 2})


# ------------------------------------------------------------------------------------------ properties

NAMES = st.text(min_size=1, max_size=12) | st.sampled_from(
    ["a/b", "100%", "%2F", "%25", "%2f", "é", "\U0001f600", "\n"]
)
ADDRESSES = st.builds(
    Address,
    st.sampled_from(["openlayer.Project", "openlayer.Test", "digitalocean.Workspace"]),
    st.lists(NAMES, min_size=1, max_size=3).map(tuple),
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
FIELDS = st.dictionaries(st.text(max_size=8), JSON, max_size=3)
ENTRIES = st.builds(
    lambda **fields: Entry(**fields),
    remote_id=st.text(max_size=12),
    applied=FIELDS,
    op=st.none() | st.text(max_size=4),
    protect=st.booleans(),
    on_removal=st.sampled_from(["keep", "delete"]),
    source=st.text(max_size=8),
    archived=st.booleans(),
    unlisted=st.booleans(),
    retiring=st.lists(st.text(max_size=4), max_size=2).map(tuple),
    gate=st.none() | st.builds(Gate, st.sampled_from(["error", "warn"]), flaky=st.booleans(), warn=FIELDS),
)
STATES = st.builds(
    lambda **fields: State(**fields),
    lineage=st.text(max_size=8),
    serial=st.integers(min_value=0),
    origins=st.dictionaries(NAMES, st.text(max_size=8), max_size=2),
    entries=st.dictionaries(ADDRESSES, ENTRIES, max_size=4),
    in_doubt=st.dictionaries(ADDRESSES, st.builds(Intent, st.text(max_size=4), st.integers(1, 3)), max_size=2),
    tasks=st.dictionaries(st.text(max_size=8), FIELDS, max_size=2),
    consumed=st.lists(st.text(max_size=4), max_size=3).map(tuple),
    started=st.text(max_size=4),
    touched=st.lists(ADDRESSES, max_size=3, unique=True).map(tuple),
    unsettled=st.booleans(),
    plain=st.booleans(),
    unverified=st.booleans(),
    before=st.dictionaries(ADDRESSES, FIELDS, max_size=2),
    going_back=st.booleans(),
    measured=st.dictionaries(ADDRESSES, FIELDS, max_size=2),
    declared=st.dictionaries(ADDRESSES, FIELDS, max_size=2),
)


@given(ADDRESSES)
def test_an_address_survives_its_text_form(address: Address) -> None:
    assert Address.parse(str(address)) == address


@given(STATES)
def test_a_state_survives_json_whatever_its_names(state: State) -> None:
    assert state_from_json(json.loads(json.dumps(state_to_json(state)))) == state


@given(STATES)
def test_writing_does_not_depend_on_the_order_things_were_learnt_in(state: State) -> None:
    backwards = replace(state, entries=dict(reversed(list(state.entries.items()))))
    assert json.dumps(state_to_json(backwards)) == json.dumps(state_to_json(state))


@given(STATES, ADDRESSES, ENTRIES)
def test_folding_the_same_outcome_twice_changes_nothing_more(state: State, address: Address, entry: Entry) -> None:
    records: list[Record] = [
        {"record": "intent", "address": str(address), "op": "0a"},
        {"record": "done", "address": str(address), "entry": entry_to_json(entry)},
        {"record": "origins", "origins": {"openlayer": "https://a"}},
        {"record": "task", "key": "k", "task": {}},
        {"record": "task_over", "key": "k"},
    ]
    once = fold(state, records)
    assert once.entries[address] == entry
    assert fold(once, records) == once


@given(STATES, st.lists(ADDRESSES, max_size=6), st.integers(0, 6))
def test_folding_in_two_parts_is_folding_at_once(state: State, addresses: list[Address], cut: int) -> None:
    records: list[Record] = [
        {"record": "removed" if number % 3 == 2 else "intent", "address": str(address), "op": str(number)}
        for number, address in enumerate(addresses)
    ]
    assert fold(fold(state, records[:cut]), records[cut:]) == fold(state, records)


@given(STATES)
def test_folding_leaves_the_state_it_started_from_alone(state: State) -> None:
    before = json.dumps(state_to_json(state))
    fold(state, [{"record": "removed", "address": str(address)} for address in state.entries])
    fold(state, [renamed(Address(address.kind, address.path[:1]), PROJECT) for address in state.entries])
    assert json.dumps(state_to_json(state)) == before
