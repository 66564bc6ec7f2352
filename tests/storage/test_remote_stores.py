"""States in a network: answers get lost, runs die, and locks are broken while somebody writes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from reconciler.errors import LockHeld, ReconcilerError, StateUnreadable
from reconciler.model.provider import StateStore
from reconciler.model.resource import Address
from reconciler.model.state import Record, State


def project(number: int) -> Address:
    return Address("openlayer.Project", (f"p{number}",))


def done(number: int) -> Record:
    return {"record": "done", "address": str(project(number)), "entry": {"remote_id": f"id{number}"}}


def known(state: State) -> set[int]:
    return {int(address.name.removeprefix("p")) for address in state.entries}


def whole_run(store: StateStore, durable: list[int] | None = None) -> None:
    """Lock, write in every way there is, and unlock; notes what is durable."""
    durable = [] if durable is None else durable
    with store.lock("apply"):
        store.append([done(1)])
        durable.append(1)
        store.append([done(2), done(3)])
        durable += [2, 3]
        store.commit(store.load())
        store.append([done(4)])
        durable.append(4)
        store.commit(store.load())


@pytest.fixture
def writes(remote: Any) -> int:
    """How many requests of a run are writes."""
    whole_run(remote.wired("counted"))
    return int(remote.wire.writes)


# ------------------------------------------------------------------------------------------ lost answers

nightly = pytest.mark.simulation
FAULTS: dict[str, dict[str, Any]] = {
    "the answer is lost": {"deliver": True},
    "the request is lost": {"deliver": False},
    "503, but it was done": {"deliver": True, "answer": 503},
    "503": {"deliver": False, "answer": 503},
}
two_places = pytest.mark.parametrize("remote", ["s3", pytest.param("http", marks=nightly), "gitlab"], indirect=True)


@pytest.mark.parametrize(
    "fault", ["the answer is lost", *(pytest.param(each, marks=nightly) for each in list(FAULTS)[1:])]
)
@two_places
def test_no_single_fault_of_a_write_does_harm(remote: Any, writes: int, fault: str) -> None:
    """Whichever write it hits: the run ends well, every record is there, and the lock is free."""
    for number in range(writes):
        remote.wire.renew()
        remote.wire.nth_write(number, **FAULTS[fault])
        whole_run(remote.wired(f"e{number}"))
        after = remote.open(f"e{number}")
        state = after.load()
        assert (known(state), state.serial, after.holder()) == ({1, 2, 3, 4}, 2, None), number


@nightly
def test_a_look_after_a_lost_answer_may_fail_too(remote: Any, writes: int) -> None:
    for number in range(writes):
        remote.wire.renew()
        remote.wire.nth_write(number, meanwhile=lambda: remote.wire.next("GET", deliver=False, answer=503))
        whole_run(remote.wired(f"e{number}"))
        assert known(remote.open(f"e{number}").load()) == {1, 2, 3, 4}, number


@pytest.mark.parametrize("deliver", [True, pytest.param(False, marks=nightly)])
@two_places
def test_what_was_acknowledged_outlives_a_run_that_dies_at_any_write(remote: Any, writes: int, deliver: bool) -> None:
    """And what was not is there in whole or not at all.  The next run breaks the lock and goes on."""
    for number in range(writes):
        remote.wire.renew()
        remote.wire.nth_write(number, and_then_dead=True, deliver=deliver)
        durable: list[int] = []
        with pytest.raises((ReconcilerError, LockHeld)):
            whole_run(remote.wired(f"e{number}"), durable)
        after = remote.open(f"e{number}")
        state = after.load()
        assert set(durable) <= known(state) <= {1, 2, 3, 4}, number
        assert (2 in known(state)) == (3 in known(state)), "a batch is one append"
        free_the_lock(after)
        with after.lock("apply"):
            after.append([done(5)])
            written = after.commit(after.load())
        assert remote.open(f"e{number}").load() == written
        assert known(written) == {5, *known(state)}


def free_the_lock(store: StateStore) -> None:
    """As a person does who is told of the lock by the next run."""
    try:
        with store.lock("apply"):
            return
    except LockHeld as held:
        store.unlock(held.hint.rpartition(" ")[2])


def test_a_write_that_never_gets_an_answer_ends_in_a_sentence(remote: Any) -> None:
    """The run does not go on as if it had been written, even once the place answers again."""
    store = remote.wired()
    with store.lock("apply"):
        store.append([done(1)])
        remote.wire.renew()
        remote.wire.nth_write(0, deliver=False, and_then_dead=True)
        with pytest.raises(StateUnreadable, match="cannot be written"):
            store.append([done(2)])
        remote.wire.renew()
        with pytest.raises(StateUnreadable, match="an earlier write failed"):
            store.append([done(3)])
        assert known(store.commit(store.load())) == {1}
    assert remote.open().holder() is None


def test_a_place_that_can_not_be_reached_is_a_sentence_with_its_name(remote: Any) -> None:
    store = remote.wired()
    remote.wire.close()
    with pytest.raises(StateUnreadable, match=r"production cannot be read: .*connection failed"):
        store.load()


def test_a_lock_that_can_not_be_given_back_is_told_with_its_id(remote: Any) -> None:
    store = remote.wired()
    with pytest.raises(StateUnreadable, match="could not be given back") as caught, store.lock("apply") as holder:
        store.commit(State())
        remote.wire.renew()
        remote.wire.nth_write(0, deliver=False, and_then_dead=True)
    assert f"reconciler state unlock {holder.lock_id}" in caught.value.hint
    remote.open().unlock(holder.lock_id)
    assert remote.open().load().serial == 1


def test_what_went_wrong_in_the_block_is_told_even_when_the_lock_can_not_be_given_back(remote: Any) -> None:
    store = remote.wired()
    with pytest.raises(ZeroDivisionError), store.lock("apply"):
        remote.wire.renew()
        remote.wire.nth_write(0, deliver=False, and_then_dead=True)
        raise ZeroDivisionError


def test_what_went_wrong_tells_of_the_lock_that_stays(remote: Any) -> None:
    """Whoever follows its hint would meet that lock first."""
    store = remote.wired()
    with pytest.raises(StateUnreadable, match="cannot be written") as caught, store.lock("apply") as holder:
        remote.wire.renew()
        remote.wire.nth_write(0, deliver=False, and_then_dead=True)
        store.append([done(1)])
    assert caught.value.hint.startswith("run again when it can be reached; ")
    assert caught.value.hint.endswith(f"free it first: reconciler state unlock {holder.lock_id}")


# ------------------------------------------------------------------------------------------ fencing


def take_over(successor: StateStore, lock_id: str) -> None:
    """Somebody breaks the lock, takes it, writes, and is gone again."""
    successor.unlock(lock_id)
    with successor.lock("apply"):
        successor.append([done(9)])


def write_record(store: StateStore) -> None:
    store.append([done(2)])


def write_snapshot(store: StateStore) -> None:
    store.commit(store.load())


@pytest.mark.parametrize("write", [write_record, write_snapshot])
def test_a_holder_that_is_taken_over_between_its_look_and_its_write_is_fenced(
    remote: Any, write: Callable[[StateStore], None]
) -> None:
    """Its request is on the way already; when it arrives, it changes nothing.

    A commit to a bucket is two writes, the snapshot and the head; all others are one.
    """
    for nth in range(1 if write is write_record else remote.writes_of_a_commit):
        store = remote.wired(f"e{nth}")
        with store.lock("apply") as holder:
            store.append([done(1)])
            remote.wire.renew()
            taken_over = partial(take_over, remote.open(f"e{nth}"), holder.lock_id)
            remote.wire.nth_write(nth, answer="its own", meanwhile=taken_over)
            with pytest.raises(StateUnreadable, match=f"the lock {holder.lock_id} was broken"):
                write(store)
            with pytest.raises(StateUnreadable):
                write(store)
        state = remote.open(f"e{nth}").load()
        assert (known(state), state.serial) == ({1, 9}, 0)


def test_a_record_that_arrives_before_the_lock_is_broken_is_taken_over(remote: Any) -> None:
    """The successor looks, the old holder writes, the successor takes over: nothing of it is lost."""
    old, successor = remote.open(), remote.wired()
    with old.lock("apply") as holder:
        remote.open().unlock(holder.lock_id)
    with old.lock("apply") as holder:
        remote.wire.renew()
        remote.wire.nth_write(0, answer="its own", meanwhile=lambda: old.append([done(1)]))
        successor.unlock(holder.lock_id)
        with successor.lock("apply"):
            successor.append([done(2)])
    assert known(remote.open().load()) == {1, 2}


@pytest.mark.parametrize("rounds", [1, pytest.param(60, marks=nightly)])
def test_of_sixteen_contenders_one_gets_the_lock(remote: Any, rounds: int) -> None:
    """All others are told who it is."""
    tried = threading.Barrier(16, timeout=120)
    first = remote.open()
    with first.lock("plan"):
        pass  # the place is there, as it nearly always is

    def contend(number: int) -> str:
        store = remote.open()
        tried.wait()
        try:
            with store.lock(f"apply {number}") as holder:
                tried.wait()
                store.append([done(number)])
                return str(holder.lock_id)
        except LockHeld as held:
            tried.wait()
            return held.message

    with ThreadPoolExecutor(16) as pool:
        for round_ in range(rounds):
            told = list(pool.map(contend, range(16 * round_, 16 * round_ + 16)))
            (winner,) = [each for each in told if len(each) == 12]
            assert all(winner in each for each in told)
            assert len(known(first.load())) == round_ + 1


def test_of_sixteen_contenders_for_a_new_place_one_gets_the_lock(remote: Any) -> None:
    """The first lock is also the first write there."""
    tried = threading.Barrier(16, timeout=120)

    def contend(_: int) -> bool:
        store = remote.open()
        tried.wait()
        try:
            with store.lock("apply"):
                tried.wait()
                return True
        except LockHeld:
            tried.wait()
            return False

    with ThreadPoolExecutor(16) as pool:
        assert sorted(pool.map(contend, range(16))) == [False] * 15 + [True]


# ------------------------------------------------------------------------------------------ what else stands there


def test_two_environments_can_not_share_one_place(remote: Any) -> None:
    store = remote.open("staging")
    with store.lock("apply"):
        store.commit(State())
    intruder = remote.open("staging")
    intruder.environment = "production"
    with pytest.raises(StateUnreadable, match="holds the state of the environment staging, not of production"):
        intruder.load()
    with pytest.raises(StateUnreadable), intruder.lock("apply"):
        pass
    with store.lock("apply"):
        pass
