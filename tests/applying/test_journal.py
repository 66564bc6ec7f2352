"""Group commit: a record is durable when ``write`` returns, and those that wait together are written together."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.applying.journal import AT_ONCE, FRESH_S, Journal
from reconciler.errors import StateUnreadable
from reconciler.model.call import Call, Reply
from reconciler.model.provider import Permit
from reconciler.model.state import Record, State
from reconciler.providers import VENDORS
from reconciler.storage.file import FileStore


class Disk:
    """Stands where a store's ``append`` stands.  Counts, and holds each append until it is told to go on."""

    def __init__(self, *, is_open: bool = True, fails_at: int = 0) -> None:
        self.appends: list[list[Record]] = []
        self.begun = threading.Semaphore(0)
        self.gate = threading.Event()
        self.fails_at = fails_at
        self.at_work = 0
        if is_open:
            self.gate.set()

    def append(self, records: Sequence[Record]) -> None:
        self.at_work += 1
        assert self.at_work == 1, "two appends at a time"
        self.begun.release()
        assert self.gate.wait(10)
        self.at_work -= 1
        if len(self.appends) + 1 == self.fails_at:
            raise StateUnreadable("no space left on device")
        self.appends.append(list(records))

    async def has_begun(self) -> None:
        assert await asyncio.to_thread(self.begun.acquire, timeout=10)


def remembered(journal: Journal) -> list[Record]:
    """The records that the journal's state was made of."""
    return [record(int(key)) for key in journal.state().tasks]


def record(number: int) -> Record:
    return {"record": "task", "key": str(number), "task": {}}


async def writers(journal: Journal, numbers: range) -> list[asyncio.Task[None]]:
    """Tasks that have each handed in one record."""
    tasks = [asyncio.create_task(journal.write(record(number))) for number in numbers]
    await asyncio.sleep(0)
    return tasks


def test_a_record_is_durable_when_write_returns() -> None:
    async def run() -> None:
        disk = Disk()
        journal = Journal(disk.append, State())
        await journal.write(record(1))
        assert disk.appends == [[record(1)]]
        assert remembered(journal) == [record(1)]
        await journal.write(record(2))
        assert disk.appends == [[record(1)], [record(2)]]
        assert remembered(journal) == [record(1), record(2)]

    asyncio.run(run())


def test_write_does_not_return_before_the_append_does() -> None:
    async def run() -> None:
        disk = Disk(is_open=False)
        journal = Journal(disk.append, State())
        [waiting] = await writers(journal, range(1))
        await disk.has_begun()
        assert not waiting.done()
        assert not journal.is_to_commit
        disk.gate.set()
        await waiting
        assert journal.is_to_commit

    asyncio.run(run())


def test_records_that_arrive_during_an_append_share_the_next_one() -> None:
    async def run() -> None:
        disk = Disk(is_open=False)
        journal = Journal(disk.append, State())
        first = await writers(journal, range(1))
        await disk.has_begun()
        rest = await writers(journal, range(1, 100))
        disk.gate.set()
        await asyncio.gather(*first, *rest)
        assert disk.appends == [[record(0)], [record(number) for number in range(1, 100)]]
        assert remembered(journal) == [record(number) for number in range(100)]

    asyncio.run(run())


def test_a_thousand_writes_of_sixteen_workers_take_far_fewer_appends() -> None:
    async def run() -> int:
        disk = Disk()
        journal = Journal(disk.append, State())

        async def worker(first: int) -> None:
            for number in range(first, 1000, 16):
                await journal.write(record(number))

        await asyncio.gather(*(worker(first) for first in range(16)))
        assert sorted(int(item["key"]) for append in disk.appends for item in append) == list(range(1000))
        return len(disk.appends)

    assert asyncio.run(run()) <= 250


def test_a_failed_append_fails_everyone_who_waits_and_everyone_after() -> None:
    async def run() -> None:
        disk = Disk(is_open=False, fails_at=2)
        journal = Journal(disk.append, State())
        first = await writers(journal, range(1))
        await disk.has_begun()
        second = await writers(journal, range(1, 3))
        disk.gate.set()
        assert await asyncio.gather(*first) == [None]
        for failed in await asyncio.gather(*second, return_exceptions=True):
            assert isinstance(failed, StateUnreadable)
            assert failed.message == "no space left on device"
        with pytest.raises(StateUnreadable, match="no space left on device"):
            await journal.write(record(3))
        assert disk.appends == [[record(0)]]
        assert not journal.is_to_commit

    asyncio.run(run())


def test_records_that_wait_behind_a_failing_append_are_not_tried() -> None:
    async def run() -> None:
        disk = Disk(is_open=False, fails_at=1)
        journal = Journal(disk.append, State())
        tried = await writers(journal, range(1))
        await disk.has_begun()
        behind = await writers(journal, range(1, 3))
        disk.gate.set()
        outcomes = await asyncio.gather(*tried, *behind, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes] == [StateUnreadable] * 3
        assert disk.appends == []
        await journal.close()
        assert isinstance(journal.failure, StateUnreadable)

    asyncio.run(run())


def test_an_unforeseen_error_wakes_everyone_too() -> None:
    def append(_: Sequence[Record]) -> None:
        raise ZeroDivisionError

    async def run() -> None:
        journal = Journal(append, State())
        with pytest.raises(ZeroDivisionError):
            await journal.write(record(1))
        with pytest.raises(ZeroDivisionError):
            await journal.write(record(2))

    asyncio.run(run())


def test_what_a_load_could_not_read_is_not_written() -> None:
    """Nor anything after it: what it says is lost, and may be of something that was made."""

    async def run() -> None:
        disk = Disk()
        journal = Journal(disk.append, State())
        with pytest.raises(StateUnreadable, match="teleported"):
            await journal.write({"record": "teleported", "address": "openlayer.Project/bot"})
        with pytest.raises(StateUnreadable, match="teleported"):
            await journal.write(record(1))
        assert (disk.appends, journal.is_to_commit) == ([], False)

    asyncio.run(run())


def test_a_state_that_was_taken_is_left_as_it_is() -> None:
    async def run() -> None:
        journal = Journal(Disk().append, State())
        await journal.write(record(1))
        early = journal.state()
        await journal.write(record(2))
        assert (list(early.tasks), list(journal.state().tasks)) == (["1"], ["1", "2"])

    asyncio.run(run())


def test_a_record_is_written_though_its_writer_was_cancelled() -> None:
    """An outcome is a fact, whoever gave up waiting."""

    async def run() -> None:
        disk = Disk(is_open=False)
        journal = Journal(disk.append, State())
        first = await writers(journal, range(1))
        await disk.has_begun()
        given_up, patient = await writers(journal, range(1, 3))
        given_up.cancel()
        disk.gate.set()
        await asyncio.gather(*first, patient)
        assert given_up.cancelled()
        assert remembered(journal) == [record(0), record(1), record(2)]

    asyncio.run(run())


def test_close_waits_for_what_was_handed_in_and_takes_nothing_more() -> None:
    async def run() -> None:
        disk = Disk(is_open=False)
        journal = Journal(disk.append, State())
        waiting = await writers(journal, range(2))
        closing = asyncio.create_task(journal.close())
        await disk.has_begun()
        assert not closing.done()
        disk.gate.set()
        await closing
        await asyncio.gather(*waiting)
        assert remembered(journal) == [record(0), record(1)]
        with pytest.raises(StateUnreadable, match="closed"):
            await journal.write(record(2))

    asyncio.run(run())


def test_closing_a_journal_that_wrote_nothing_is_fine() -> None:
    async def run() -> None:
        journal = Journal(Disk().append, State())
        await journal.close()
        assert (journal.is_to_commit, journal.failure) == (False, None)

    asyncio.run(run())


def test_through_a_real_store_every_record_is_in_the_state_of_the_next_run(tmp_path: Path) -> None:
    def open_store() -> FileStore:
        return FileStore(tmp_path, "production", now=lambda: datetime(2026, 11, 22, tzinfo=UTC))

    async def run(journal: Journal) -> None:
        tasks: list[Record] = [{"record": "task", "key": str(number), "task": {}} for number in range(50)]
        await asyncio.gather(*map(journal.write, tasks))
        await journal.close()

    store = open_store()
    with store.lock("apply"):
        asyncio.run(run(Journal(store.append, State())))
    assert list(open_store().load().tasks) == [str(number) for number in range(50)]


def test_a_store_without_its_lock_breaks_the_journal(tmp_path: Path) -> None:
    store = FileStore(tmp_path, "production", now=lambda: datetime(2026, 11, 22, tzinfo=UTC))
    with pytest.raises(StateUnreadable, match="without the lock"):
        asyncio.run(Journal(store.append, State()).write(record(1)))


# ---------------------------------------------------------------------------------------- holding the lock


class Watch:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __call__(self) -> float:
        return self.seconds


def test_many_records_are_written_in_few_appends() -> None:
    async def run() -> None:
        disk = Disk()
        journal = Journal(disk.append, State(), Watch())
        await journal.write_all([record(number) for number in range(AT_ONCE + 1)])
        await journal.write_all([])
        assert [len(appended) for appended in disk.appends] == [AT_ONCE, 1]
        assert remembered(journal) == [record(number) for number in range(AT_ONCE + 1)]

    asyncio.run(run())


def test_the_lock_counts_as_held_for_a_moment_after_each_append_and_is_then_asked_for() -> None:
    """Asking is an append of nothing; it leaves no record."""

    async def run() -> None:
        disk, watch = Disk(), Watch()
        journal = Journal(disk.append, State(), watch)
        await journal.write(record(1))
        watch.seconds = FRESH_S
        await journal.confirm()
        assert disk.appends == [[record(1)]]
        watch.seconds = FRESH_S + 0.1
        await journal.confirm()
        assert disk.appends == [[record(1)], []]
        await journal.confirm()
        assert (disk.appends, remembered(journal)) == ([[record(1)], []], [record(1)])

    asyncio.run(run())


def test_a_slow_append_says_nothing_of_the_time_since_it_began() -> None:
    """Somebody may have broken the lock meanwhile.  A store that is so slow each time is believed the third time."""

    async def run() -> None:
        disk, watch = Disk(), Watch()

        def slow(records: Sequence[Record]) -> None:
            disk.append(records)
            watch.seconds += FRESH_S + 0.1

        journal = Journal(slow, State(), watch)
        await journal.write(record(1))
        await journal.confirm()
        assert disk.appends == [[record(1)], [], [], []]

    asyncio.run(run())


def test_after_a_failure_nobody_holds_the_lock_for_certain() -> None:
    """However young the last append is that did not fail: a request would be sent of which nothing is written down."""

    async def run() -> None:
        journal = Journal(Disk(fails_at=2).append, State(), Watch())
        await journal.write(record(1))
        with pytest.raises(StateUnreadable, match="no space left"):
            await journal.write(record(2))
        with pytest.raises(StateUnreadable, match="no space left"):
            await journal.confirm()

    asyncio.run(run())


class Platform:
    """Stands where a provider stands: asks for leave, and ``sent`` holds what left."""

    vendor = VENDORS[0]
    origin, dialect, requests = "http://platform.invalid", "", 0

    def __init__(self) -> None:
        self.sent: list[str] = []

    async def send(self, call: Call, permit: Permit | None = None) -> Reply:
        if permit is not None:
            await permit()
        self.sent.append(str(call))
        return Reply(200)

    async def close(self) -> None:
        pass


def test_what_is_not_a_step_is_sent_while_the_lock_is_ours_and_read_without_asking() -> None:
    """An evaluation is started so, which costs money."""

    async def run() -> None:
        disk, watch, platform = Disk(fails_at=3), Watch(), Platform()
        journal = Journal(disk.append, State(), watch)
        send = journal.guard(platform)
        await send(Call("POST", "/first"))
        await send(Call("GET", "/results"))
        assert disk.appends == [[]]
        watch.seconds += 600
        await send(Call("GET", "/results"))
        assert disk.appends == [[]]
        await send(Call("POST", "/second"))
        assert disk.appends == [[], []]
        watch.seconds += 600
        with pytest.raises(StateUnreadable):
            await send(Call("POST", "/third"))
        assert platform.sent == ["POST /first", "GET /results", "GET /results", "POST /second"]

    asyncio.run(run())


def test_who_has_lost_the_lock_hears_of_it_at_the_first_question(tmp_path: Path) -> None:
    """A run that was frozen while somebody broke its lock sends nothing more, though it has nothing to write down."""
    now = lambda: datetime(2026, 11, 22, tzinfo=UTC)  # noqa: E731
    store = FileStore(tmp_path, "default", now=now)

    async def run() -> None:
        watch = Watch()
        journal = Journal(store.append, State(), watch)
        await journal.write(record(1))
        watch.seconds = 600.0
        FileStore(tmp_path, "default", now=now).unlock(holder.lock_id)
        with pytest.raises(StateUnreadable, match="was broken"):
            await journal.confirm()
        with pytest.raises(StateUnreadable, match="was broken"):
            await journal.confirm()

    with store.lock("apply") as holder:
        asyncio.run(run())
