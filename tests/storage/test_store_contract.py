"""What every state store promises, whatever it is made of.  A new backend is added to the fixture ``open_store``."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from reconciler.errors import LockHeld, StalePlan, StateUnreadable, UsageInvalid
from reconciler.model.provider import StateStore
from reconciler.model.resource import Address
from reconciler.model.state import Entry, Intent, Record, State

OpenStore = Callable[..., StateStore]

BOT = Address("openlayer.Project", ("bot",))
ODD = Address("openlayer.Test", ("a/b", "monitoring", "100 % ünïcode \U0001f600\n\u2028 %2F"))


def intent(op: str, address: Address = BOT) -> Record:
    return {"record": "intent", "address": str(address), "op": op}


def done(remote_id: str, address: Address = BOT) -> Record:
    return {"record": "done", "address": str(address), "entry": {"remote_id": remote_id, "applied": {"x": [1, None]}}}


# ------------------------------------------------------------------------------------------ remembering


def test_a_place_that_was_never_written_holds_the_empty_state(open_store: OpenStore) -> None:
    assert open_store().load() == State()


def test_what_was_committed_is_what_another_run_loads(open_store: OpenStore) -> None:
    state = State(
        origins={"openlayer": "https://api.openlayer.com"},
        entries={ODD: Entry("t1", {"value": 0.1, "list": [1, None, "é"]}, "0a", protect=True, retiring=("t0",))},
        in_doubt={BOT: Intent("0b", 2, protect=True, on_removal="delete", source="team/bot.yaml")},
        tasks={"k": {"task_id": "9"}},
        consumed=("d1",),
        started="d2",
    )
    store = open_store()
    with store.lock("apply"):
        written = store.commit(state)
    assert open_store().load() == written
    assert written == State(
        written.lineage, 1, state.origins, state.entries, state.in_doubt, state.tasks, state.consumed, state.started
    )


def test_a_commit_makes_the_lineage_once_and_counts_the_serial(open_store: OpenStore) -> None:
    store = open_store()
    with store.lock("apply"):
        first = store.commit(State())
        second = store.commit(first)
    assert len(first.lineage) == 32
    assert (second.lineage, first.serial, second.serial) == (first.lineage, 1, 2)


def test_two_new_states_have_two_lineages(open_store: OpenStore) -> None:
    here, there = open_store("staging"), open_store("production")
    with here.lock("apply"), there.lock("apply"):
        assert here.commit(State()).lineage != there.commit(State()).lineage


def test_records_are_there_for_the_next_run_before_any_commit(open_store: OpenStore) -> None:
    store = open_store()
    with store.lock("apply"):
        store.append([intent("0a"), done("p1")])
        store.append([intent("0b", ODD)])
    state = open_store().load()
    assert state.entries == {BOT: Entry("p1", {"x": [1, None]})}
    assert state.in_doubt == {ODD: Intent("0b")}
    assert (state.lineage, state.serial) == ("", 0)


def test_the_next_run_goes_on_where_one_that_died_stopped(open_store: OpenStore) -> None:
    first = open_store()
    with first.lock("apply"):
        first.append([intent("0a")])
    second = open_store()
    with second.lock("apply"):
        second.append([done("p1")])
        written = second.commit(second.load())
    assert written.entries == {BOT: Entry("p1", {"x": [1, None]})}
    assert open_store().load() == written


def test_a_commit_empties_the_journal(open_store: OpenStore) -> None:
    store = open_store()
    with store.lock("apply"):
        store.append([done("p1")])
        written = store.commit(State())
    assert written.entries == {}
    assert open_store().load().entries == {}


def test_records_after_a_commit_continue_it(open_store: OpenStore) -> None:
    store = open_store()
    with store.lock("apply"):
        store.append([intent("0a")])
        written = store.commit(store.load())
        store.append([done("p1")])
    state = open_store().load()
    assert (state.lineage, state.serial) == (written.lineage, 1)
    assert state.entries == {BOT: Entry("p1", {"x": [1, None]})}
    assert state.in_doubt == {}


def test_appending_nothing_changes_nothing(open_store: OpenStore) -> None:
    store = open_store()
    with store.lock("apply"):
        store.append([])
    assert open_store().load() == State()


def test_environments_do_not_see_each_other(open_store: OpenStore) -> None:
    staging = open_store("staging")
    with staging.lock("apply"), open_store("production").lock("apply"):
        staging.append([done("p1")])
    assert open_store("production").load() == State()
    assert open_store("staging").load().entries.keys() == {BOT}


def test_a_record_that_is_no_json_is_not_written(open_store: OpenStore) -> None:
    store = open_store()
    with store.lock("apply"):
        store.append([intent("0a")])
        with pytest.raises(StateUnreadable):
            store.append([intent("0b"), {**done("p1"), "why": math.nan}])
        store.append([intent("0c")])
    assert open_store().load().in_doubt == {BOT: Intent("0c")}


def test_a_store_says_where_it_is(open_store: OpenStore) -> None:
    assert "production" in open_store().describe()


# ------------------------------------------------------------------------------------------ one writer


def test_writing_needs_the_lock(open_store: OpenStore) -> None:
    store = open_store()
    with store.lock("apply"):
        pass
    with pytest.raises(StateUnreadable, match="without the lock"):
        store.append([intent("0a")])
    with pytest.raises(StateUnreadable, match="without the lock"):
        store.commit(State())
    assert store.load() == State()


def test_a_second_lock_is_refused_and_names_the_holder(open_store: OpenStore) -> None:
    with open_store(job="https://ci.example/7").lock("apply") as holder:
        other = open_store()
        with pytest.raises(LockHeld) as caught, other.lock("destroy"):
            pass
        told = caught.value.message
        for part in (holder.owner, str(holder.pid), holder.host, "apply", "2026-11-22T12:00:00+00:00"):
            assert part in told
        assert "https://ci.example/7" in told
        assert f"reconciler state unlock {holder.lock_id}" in caught.value.hint


def test_the_same_store_can_not_be_locked_twice(open_store: OpenStore) -> None:
    store = open_store()
    with store.lock("apply"):
        with pytest.raises(LockHeld), store.lock("apply"):
            pass
        store.append([intent("0a")])
    assert store.load().in_doubt == {BOT: Intent("0a")}


def test_a_lock_is_free_again_after_its_block_even_after_an_error(open_store: OpenStore) -> None:
    store = open_store()
    with pytest.raises(ZeroDivisionError), store.lock("apply"):
        raise ZeroDivisionError
    assert store.holder() is None
    with open_store().lock("apply") as holder:
        assert store.holder() == holder


def test_nobody_holds_a_lock_that_was_never_taken(open_store: OpenStore) -> None:
    assert open_store().holder() is None


def test_every_lock_has_an_id_of_its_own(open_store: OpenStore) -> None:
    store = open_store()
    with store.lock("apply") as first:
        pass
    with store.lock("apply") as second:
        pass
    assert first.lock_id != second.lock_id


def test_reading_needs_no_lock(open_store: OpenStore) -> None:
    store = open_store()
    with store.lock("apply"):
        store.append([intent("0a")])
        assert open_store().load().in_doubt == {BOT: Intent("0a")}


def test_unlocking_what_is_not_locked_is_a_usage_error(open_store: OpenStore) -> None:
    with pytest.raises(UsageInvalid, match="no lock abc is held"):
        open_store().unlock("abc")


def test_unlocking_with_the_wrong_id_breaks_nothing(open_store: OpenStore) -> None:
    store = open_store()
    with store.lock("apply") as holder:
        with pytest.raises(UsageInvalid, match=holder.lock_id):
            open_store().unlock("abc")
        store.append([intent("0a")])
        assert open_store().holder() == holder


def test_a_holder_whose_lock_was_broken_writes_nothing_more(open_store: OpenStore) -> None:
    old = open_store()
    with old.lock("apply") as holder:
        old.append([intent("0a")])
        open_store().unlock(holder.lock_id)
        with pytest.raises(StateUnreadable, match="was broken"):
            old.append([intent("0b")])
        with pytest.raises(StateUnreadable, match="was broken"):
            old.commit(State())
    assert open_store().load().in_doubt == {BOT: Intent("0a")}


def test_an_append_of_nothing_asks_whether_the_lock_is_still_ours(open_store: OpenStore) -> None:
    """So that a run that was frozen can find out before it sends anything to a platform."""
    old, new = open_store(), open_store()
    with old.lock("apply") as holder:
        old.append([])
        open_store().unlock(holder.lock_id)
        with pytest.raises(StateUnreadable, match="was broken"):
            old.append([])
        with new.lock("apply"), pytest.raises(StateUnreadable, match="was broken"):
            old.append([])
    assert open_store().load() == State()


def test_the_next_holder_works_on_while_the_old_one_is_fenced(open_store: OpenStore) -> None:
    old, new = open_store(), open_store()
    with old.lock("apply") as broken:
        old.append([intent("0a")])
        open_store().unlock(broken.lock_id)
        with new.lock("apply") as holder:
            with pytest.raises(StateUnreadable, match="was broken"):
                old.append([intent("0b")])
            new.append([done("p1")])
            written = new.commit(new.load())
            with pytest.raises(StateUnreadable, match="was broken"):
                old.commit(State())
            assert new.holder() == holder
    assert open_store().load() == written


def test_leaving_a_broken_lock_does_not_free_the_next_one(open_store: OpenStore) -> None:
    old, new = open_store(), open_store()
    leaving = old.lock("apply")
    broken = leaving.__enter__()
    open_store().unlock(broken.lock_id)
    with new.lock("apply") as holder:
        leaving.__exit__(None, None, None)
        assert open_store().holder() == holder
        new.append([intent("0a")])
    assert open_store().load().in_doubt == {BOT: Intent("0a")}


# ------------------------------------------------------------------------------------------ compare and swap


def test_of_two_commits_from_one_state_the_second_is_refused(open_store: OpenStore) -> None:
    first, second = open_store(), open_store()
    start, same_start = first.load(), second.load()
    with first.lock("apply"):
        written = first.commit(start)
    with second.lock("apply"), pytest.raises(StalePlan, match="another run wrote"):
        second.commit(same_start)
    assert open_store().load() == written


def test_a_state_of_another_serial_is_refused_even_without_a_load(open_store: OpenStore) -> None:
    store = open_store()
    with store.lock("apply"):
        written = store.commit(State())
        with pytest.raises(StalePlan, match="serial 1"):
            store.commit(State())
        assert store.commit(written).serial == 2


def test_a_state_of_another_lineage_is_refused(open_store: OpenStore) -> None:
    store = open_store()
    with store.lock("apply"):
        store.commit(State())
        with pytest.raises(StalePlan, match="lineage other"):
            store.commit(State("other", 1))


def test_records_are_refused_after_another_run_committed(open_store: OpenStore) -> None:
    slow, fast = open_store(), open_store()
    slow.load()
    with fast.lock("apply"):
        written = fast.commit(State())
    with slow.lock("apply"), pytest.raises(StalePlan, match="another run wrote"):
        slow.append([intent("0a")])
    assert open_store().load() == written


def test_records_of_a_run_that_died_can_not_be_committed_away_unseen(open_store: OpenStore) -> None:
    slow, fast = open_store(), open_store()
    start = slow.load()
    with fast.lock("apply"):
        fast.append([done("p1")])
    with slow.lock("apply"):
        with pytest.raises(StalePlan, match="another run wrote"):
            slow.append([intent("0b", ODD)])
        with pytest.raises(StalePlan, match="another run wrote"):
            slow.commit(start)
        assert slow.commit(slow.load()).entries.keys() == {BOT}


def test_a_lock_that_came_and_went_without_writing_disturbs_nobody(open_store: OpenStore) -> None:
    slow, idle = open_store(), open_store()
    start = slow.load()
    with idle.lock("plan"):
        idle.append([])
    with slow.lock("apply"):
        assert slow.commit(start).serial == 1
