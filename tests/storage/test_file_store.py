"""The file backend: what stands in the folder, and what is left of it after a crash, damage or a full disk."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import re
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
from msgspec.structs import replace

from reconciler.errors import LockHeld, StalePlan, StateUnreadable, UsageInvalid
from reconciler.model.resource import Address
from reconciler.model.state import Entry, Intent, Record, State
from reconciler.storage.encoding import SIZE_CAP
from reconciler.storage.file import END_BYTES, FileStore

OpenFileStore = Callable[[], FileStore]
Run = Callable[[str], AbstractContextManager["subprocess.Popen[str]"]]

BOT = Address("openlayer.Project", ("bot",))
INTENT: Record = {"record": "intent", "address": "openlayer.Project/bot", "op": "0a"}
DONE: Record = {"record": "done", "address": "openlayer.Project/bot", "entry": {"remote_id": "p1"}}


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


# ------------------------------------------------------------------------------------------ the folder


def test_looking_leaves_no_trace(folder: Path, open_file_store: OpenFileStore) -> None:
    store = open_file_store()
    assert (store.load(), store.holder()) == (State(), None)
    assert not folder.exists()


def test_the_folder_is_private_and_hidden_from_git(folder: Path, open_file_store: OpenFileStore) -> None:
    store = open_file_store()
    with store.lock("apply"):
        store.append([INTENT])
        written = store.commit(State())
        store.append([INTENT])
        store.commit(written)
        store.append([INTENT])
    assert (folder / ".gitignore").read_text() == "*\n"
    assert folder.stat().st_mode & 0o777 == 0o700
    assert {path.name: oct(path.stat().st_mode & 0o777) for path in folder.glob("production.*")} == {
        "production.state.json": "0o600",
        "production.state.json.backup": "0o600",
        "production.journal.jsonl": "0o600",
        "production.lock": "0o600",
    }


def test_a_folder_that_was_there_is_not_hidden_from_git(folder: Path, open_file_store: OpenFileStore) -> None:
    folder.mkdir()
    with open_file_store().lock("apply"):
        pass
    assert names(folder) == {"production.lock"}


def test_after_a_commit_the_journal_names_its_snapshot_and_holds_no_record(
    folder: Path, open_file_store: OpenFileStore
) -> None:
    store = open_file_store()
    with store.lock("apply") as holder:
        store.append([INTENT])
        written = store.commit(store.load())
    [line] = (folder / "production.journal.jsonl").read_text().splitlines()
    header = {"journal": 1, "lineage": written.lineage, "serial": 1, "writer": holder.lock_id}
    assert json.loads(line)["data"] == {**header, "environment": "production"}


def test_a_state_without_its_journal_is_the_snapshot(folder: Path, open_file_store: OpenFileStore) -> None:
    store = open_file_store()
    with store.lock("apply"):
        written = store.commit(State(started="d1"))
    (folder / "production.journal.jsonl").unlink()
    assert open_file_store().load() == written


def test_the_backup_is_the_snapshot_before(folder: Path, open_file_store: OpenFileStore) -> None:
    store = open_file_store()
    with store.lock("apply"):
        first = store.commit(State())
        before = (folder / "production.state.json").read_bytes()
        store.commit(first)
    assert (folder / "production.state.json.backup").read_bytes() == before


@pytest.mark.parametrize(
    "name", ["", "..", ".", ".hidden", "-x", "x" * 65, "../x", "a/b", "a b", "prod\n", "é", "a\0b"]
)
def test_an_environment_s_name_can_not_lead_out_of_the_folder(folder: Path, name: str) -> None:
    with pytest.raises(UsageInvalid, match="cannot be the name of an environment"):
        FileStore(folder, name, now=lambda: pytest.fail("no clock is needed"))


# ------------------------------------------------------------------------------------------ crashes


@pytest.fixture
def crashed(open_file_store: OpenFileStore) -> State:
    """What a run left that committed once, recorded an object and died: serial 1, one record in the journal."""
    store = open_file_store()
    with store.lock("apply"):
        store.commit(State(in_doubt={BOT: Intent("0a")}))
        store.append([DONE])
    return store.load()


def test_a_journal_cut_at_any_byte_is_the_state_before_or_after_a_record(
    folder: Path, open_file_store: OpenFileStore
) -> None:
    store = open_file_store()
    with store.lock("apply"):
        states = [store.load()]
        for record in (INTENT, DONE, {"record": "removed", "address": "openlayer.Project/bot"}):
            store.append([record])
            states.append(store.load())
    journal = folder / "production.journal.jsonl"
    content = journal.read_bytes()
    seen: list[State] = []
    for length in range(content.index(b"\n"), len(content) + 1):
        journal.write_bytes(content[:length])
        state = open_file_store().load()
        assert state in states
        if not seen or seen[-1] != state:
            seen.append(state)
    assert seen == states


def test_nothing_is_appended_that_load_would_find_too_long(folder: Path, open_file_store: OpenFileStore) -> None:
    store = open_file_store()
    with store.lock("apply"):
        store.append([INTENT])
        os.truncate(folder / "production.journal.jsonl", SIZE_CAP)  # zeros stand for the records of a very long run
        with pytest.raises(StateUnreadable, match=f"journal is longer than the {SIZE_CAP:,} bytes it may have"):
            store.append([DONE])
    assert (folder / "production.journal.jsonl").stat().st_size == SIZE_CAP


def test_a_torn_line_is_gone_when_the_next_run_writes(folder: Path, open_file_store: OpenFileStore) -> None:
    store = open_file_store()
    with store.lock("apply"):
        store.append([INTENT])
    with (folder / "production.journal.jsonl").open("ab") as journal:
        journal.write(b'{"data":{"record":"do')
    with open_file_store().lock("apply"):
        pass
    second = open_file_store()
    with second.lock("apply"):
        second.append([DONE])
    assert open_file_store().load() == State(entries={BOT: Entry("p1")})
    assert b"do\n" not in (folder / "production.journal.jsonl").read_bytes()


def test_a_journal_that_outlived_its_commit_is_not_replayed(folder: Path, open_file_store: OpenFileStore) -> None:
    """The crash between the new snapshot and the new journal."""
    journal = folder / "production.journal.jsonl"
    store = open_file_store()
    with store.lock("apply"):
        store.append([{"record": "plan_applied", "digest": "d1"}])
        left = journal.read_bytes()
        written = store.commit(store.load())
    journal.write_bytes(left)
    assert open_file_store().load() == written
    assert written.consumed == ("d1",)


def test_an_outlived_journal_gives_way_to_the_next_one(folder: Path, open_file_store: OpenFileStore) -> None:
    journal = folder / "production.journal.jsonl"
    first = open_file_store()
    with first.lock("apply"):
        first.append([INTENT])
        left = journal.read_bytes()
        first.commit(first.load())
    journal.write_bytes(left)
    second = open_file_store()
    with second.lock("apply"):
        second.append([DONE])
    state = open_file_store().load()
    assert (state.serial, state.entries, state.in_doubt) == (1, {BOT: Entry("p1")}, {})


def test_a_half_written_snapshot_is_never_looked_at_and_cleared_away(
    folder: Path, open_file_store: OpenFileStore, crashed: State
) -> None:
    """The crash while a temporary file is written.  A stranger's file, even of a similar name, is left alone."""
    for name in ("state.json", "state.json.backup", "journal.jsonl"):
        (folder / f"production.{name}.0123456789ab.tmp").write_bytes(b'{"format":')
    (folder / "production.state.json.mine.tmp").touch()
    (folder / "production.eu.state.json.0123456789ab.tmp").touch()
    assert open_file_store().load() == crashed
    with open_file_store().lock("apply"):
        pass
    assert open_file_store().load() == crashed
    assert {name for name in names(folder) if name.endswith(".tmp")} == {
        "production.state.json.mine.tmp",
        "production.eu.state.json.0123456789ab.tmp",
    }


def test_a_crash_before_the_snapshot_is_replaced_loses_nothing(
    folder: Path, open_file_store: OpenFileStore, crashed: State
) -> None:
    """The backup is written by then; it is a copy of what still counts."""
    shutil.copy(folder / "production.state.json", folder / "production.state.json.backup")
    assert open_file_store().load() == crashed


def test_what_was_acknowledged_survives_kill_9(in_process: Run, open_file_store: OpenFileStore) -> None:
    """Five runs, each killed while it writes: everything they were told is durable is there, in order."""
    for _ in range(5):
        writer = """
with store.lock("apply"):
    known = store.load().tasks
    for number in range(len(known), 10_000):
        store.append([{"record": "task", "key": str(number), "task": {"padding": "x" * 200}}])
        tell(number)
"""
        with in_process(writer) as process:
            assert process.stdout is not None
            for _ in range(7):
                acknowledged = int(process.stdout.readline())
            process.kill()
            rest = process.stdout.read().split("\n")[:-1]
            acknowledged = int(rest[-1]) if rest else acknowledged
        tasks = open_file_store().load().tasks
        assert list(map(int, tasks)) == list(range(len(tasks)))
        assert len(tasks) - 1 in {acknowledged, acknowledged + 1}
    assert len(tasks) >= 35


def test_commits_survive_kill_9_with_one_lineage_and_a_serial_that_only_grows(
    in_process: Run, open_file_store: OpenFileStore
) -> None:
    committer = """
with store.lock("apply"):
    state = store.load()
    while True:
        store.append([{"record": "task", "key": "n", "task": {"serial": state.serial}}])
        state = store.commit(store.load())
        tell(f"{state.lineage} {state.serial}")
"""
    lineages, last = set(), 0
    for _ in range(5):
        with in_process(committer) as process:
            assert process.stdout is not None
            for _ in range(5):
                lineage, serial = process.stdout.readline().split()
                lineages.add(lineage)
            process.kill()
            process.wait()
        state = open_file_store().load()
        assert state.serial >= int(serial) > last
        assert state.tasks["n"]["serial"] in {state.serial - 1, state.serial}
        last = state.serial
    assert len(lineages) == 1


def test_a_reader_beside_a_writer_sees_only_states_that_were(in_process: Run, open_file_store: OpenFileStore) -> None:
    """The writer records n and commits it, over and over; a commit without its journal would show n going back."""
    writer = """
with store.lock("apply"):
    state = store.load()
    tell("started")
    while True:
        store.append([{"record": "task", "key": "n", "task": {"number": state.serial}}])
        state = store.commit(store.load())
"""
    with in_process(writer) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        numbers = [-1]
        while numbers[-1] < 50:
            state = open_file_store().load()
            numbers.append(int(str(state.tasks.get("n", {}).get("number", -1))))
            assert numbers[-1] in {state.serial - 1, state.serial}
    assert numbers == sorted(numbers)


# ------------------------------------------------------------------------------------------ at the worst moment


class Crash(BaseException):
    """The process is gone."""


@contextmanager
def at_call(
    patch: pytest.MonkeyPatch, module: ModuleType | type, name: str, act: Callable[[], None], *, skip: int = 0
) -> Iterator[None]:
    """Do ``act`` once, just before a call of a function of the system: the next, or one later."""
    real = getattr(module, name)
    calls = iter(range(1_000_000))

    def acting(*arguments: object, **options: object) -> object:
        if next(calls) < skip:
            return real(*arguments, **options)
        patch.setattr(module, name, real)
        act()
        return real(*arguments, **options)

    patch.setattr(module, name, acting)
    yield
    patch.setattr(module, name, real)


def fail_at(patch: pytest.MonkeyPatch, numbers: range, error: BaseException) -> None:
    """Raise instead of the calls with these numbers, of all calls that change the disk, counted from 0."""
    calls = iter(range(1_000_000))

    def failing(real: Callable[..., object]) -> Callable[..., object]:
        def call(*arguments: object, **options: object) -> object:
            if next(calls) in numbers:
                raise error
            return real(*arguments, **options)

        return call

    for name in ("write", "fsync", "replace", "unlink"):
        patch.setattr(os, name, failing(getattr(os, name)))


def crash_at(patch: pytest.MonkeyPatch, number: int) -> None:
    """Let the process end before its ``number``-th call that changes the disk."""
    fail_at(patch, range(number, 1_000_000), Crash())


@pytest.mark.parametrize("leftover", [False, True], ids=["journal", "journal absorbed before"])
def test_a_crash_at_any_call_of_a_commit_leaves_the_state_before_or_after(
    folder: Path, open_file_store: OpenFileStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, leftover: bool
) -> None:
    """Also when the run before it crashed at the worst moment, and left a journal that its snapshot had absorbed."""
    journal = folder / "production.journal.jsonl"
    store = open_file_store()
    with store.lock("apply"):
        before = store.commit(State())
        store.append([{"record": "plan_applied", "digest": "d1"}])
        if leftover:
            left = journal.read_bytes()
            before = store.commit(store.load())
            journal.write_bytes(left)
        else:
            before = store.load()
    shutil.copytree(folder, tmp_path / "saved")
    outcomes = []
    for number in range(100):
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "saved", folder)
        store = open_file_store()
        with suppress(Crash), store.lock("apply"), monkeypatch.context() as patch:
            state = store.load()
            crash_at(patch, number)
            store.commit(replace(state, started="d2"))
            break
        found = open_file_store().load()
        assert found in (before, replace(before, serial=before.serial + 1, started="d2"))
        assert found.consumed == ("d1",)
        outcomes.append(found.started)
    assert outcomes == sorted(outcomes)
    assert set(outcomes) == {"", "d2"}


def test_a_crash_at_any_call_of_an_append_leaves_the_state_before_or_after(
    folder: Path, open_file_store: OpenFileStore, monkeypatch: pytest.MonkeyPatch, crashed: State, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "saved")
    for number in range(100):
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "saved", folder)
        store = open_file_store()
        with suppress(Crash), store.lock("apply"), monkeypatch.context() as patch:
            crash_at(patch, number)
            store.append([{"record": "plan_started", "digest": "d2"}])
            break
        assert open_file_store().load() in (crashed, replace(crashed, started="d2"))
    assert number == 6
    assert open_file_store().load() == replace(crashed, started="d2")


def test_a_run_that_goes_on_after_a_failed_commit_can_not_damage_the_state(
    folder: Path, open_file_store: OpenFileStore, monkeypatch: pytest.MonkeyPatch, crashed: State, tmp_path: Path
) -> None:
    """What is acknowledged after it is there; what is refused is not."""
    shutil.copytree(folder, tmp_path / "saved")
    for number in range(100):
        shutil.rmtree(folder)
        shutil.copytree(tmp_path / "saved", folder)
        store = open_file_store()
        with store.lock("apply"):
            with monkeypatch.context() as patch:
                fail_at(patch, range(number, number + 1), OSError(errno.EIO, "Input/output error"))
                with suppress(StateUnreadable):
                    store.commit(store.load())
                    break
            try:
                store.append([{"record": "plan_started", "digest": "d2"}])
                expected = "d2"
            except StalePlan:
                expected = ""
        found = open_file_store().load()
        assert (found.started, found.entries) == (expected, crashed.entries)
    assert number == 16, "four files, each written, synced, renamed, and its folder synced"


def test_a_lock_broken_while_a_snapshot_is_written_keeps_it_out(
    open_file_store: OpenFileStore, monkeypatch: pytest.MonkeyPatch, crashed: State
) -> None:
    store = open_file_store()
    with store.lock("apply") as holder:
        state = store.load()
        breaking = at_call(monkeypatch, os, "fsync", lambda: open_file_store().unlock(holder.lock_id))
        with breaking, pytest.raises(StateUnreadable, match="was broken"):
            store.commit(state)
    assert open_file_store().load() == crashed


def taking_over(open_file_store: OpenFileStore) -> Callable[[], None]:
    """Breaks whatever lock is held, and records an object under the next one."""

    def take_over() -> None:
        holder = open_file_store().holder()
        assert holder is not None
        open_file_store().unlock(holder.lock_id)
        successor = open_file_store()
        with successor.lock("apply"):
            successor.append([DONE])

    return take_over


def test_a_snapshot_that_comes_too_late_for_its_lock_is_not_renamed(
    open_file_store: OpenFileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The old holder was frozen between its last check and the rename."""
    old = open_file_store()
    at_rename = at_call(monkeypatch, os, "replace", taking_over(open_file_store))
    with old.lock("apply"), at_rename, pytest.raises(StateUnreadable, match="no such file"):
        old.commit(State(tasks={"late": {}}))
    assert open_file_store().load() == State(entries={BOT: Entry("p1")})


def test_an_old_holder_that_committed_in_time_leaves_the_successor_s_journal_alone(
    open_file_store: OpenFileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was frozen between the rename of its snapshot and that of its new journal."""
    old = open_file_store()
    after_rename = at_call(monkeypatch, os, "fsync", taking_over(open_file_store), skip=3)
    with old.lock("apply"), after_rename, pytest.raises(StateUnreadable, match="was broken"):
        old.commit(State(tasks={"in time": {}}))
    state = open_file_store().load()
    assert (state.serial, state.tasks, state.entries) == (1, {"in time": {}}, {BOT: Entry("p1")})


def test_an_old_holder_that_just_made_its_journal_does_not_write_to_the_successor_s(
    open_file_store: OpenFileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It was frozen between the rename of its journal and the first line."""
    old = open_file_store()
    after_rename = at_call(monkeypatch, os, "fsync", taking_over(open_file_store), skip=1)
    with old.lock("apply"), after_rename, pytest.raises(StateUnreadable, match="was broken"):
        old.append([INTENT])
    assert open_file_store().load() == State(entries={BOT: Entry("p1")})


def test_a_lock_broken_while_a_record_is_written_is_noticed_before_anything_is_sent(
    open_file_store: OpenFileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_file_store()
    with store.lock("apply") as holder:
        store.append([INTENT])
        breaking = at_call(monkeypatch, os, "fsync", lambda: open_file_store().unlock(holder.lock_id))
        with breaking, pytest.raises(StateUnreadable, match="was broken"):
            store.append([DONE])


@pytest.mark.parametrize("commits", [1, 2])
@pytest.mark.parametrize("place", [(Path, "open", 1), (os, "stat", 0)], ids=["before the journal", "after it"])
def test_commits_while_a_reader_is_between_snapshot_and_journal_are_not_missed(
    open_file_store: OpenFileStore,
    monkeypatch: pytest.MonkeyPatch,
    place: tuple[ModuleType | type, str, int],
    commits: int,
) -> None:
    """Snapshot and journal of different moments would lose the record, or look damaged."""
    writer, reader = open_file_store(), open_file_store()

    def commit() -> None:
        for _ in range(commits):
            writer.commit(writer.load())

    owner, name, skip = place
    with writer.lock("apply"):
        writer.append([DONE])
        with at_call(monkeypatch, owner, name, commit, skip=skip):
            state = reader.load()
    assert (state.serial, state.entries) == (commits, {BOT: Entry("p1")})


def test_a_lock_file_that_vanishes_while_it_is_taken_is_taken_anew(
    folder: Path, open_file_store: OpenFileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = open_file_store()
    folder.mkdir()
    with at_call(monkeypatch, fcntl, "flock", (folder / "production.lock").unlink), store.lock("apply") as holder:
        assert open_file_store().holder() == holder
        store.append([INTENT])


# ------------------------------------------------------------------------------------------ damage


def state_or_complaint(store: FileStore) -> State | str:
    try:
        return store.load()
    except StateUnreadable as error:
        return error.message


def test_a_flipped_byte_anywhere_is_noticed_or_means_nothing(
    folder: Path, open_file_store: OpenFileStore, crashed: State
) -> None:
    for name in ("production.state.json", "production.journal.jsonl"):
        path = folder / name
        content = path.read_bytes()
        for position in range(len(content)):
            path.write_bytes(content[:position] + bytes([content[position] ^ 0x15]) + content[position + 1 :])
            found = state_or_complaint(open_file_store())
            assert found == crashed or str(path) in str(found)
        path.write_bytes(content)
    assert open_file_store().load() == crashed


@pytest.mark.usefixtures("crashed")
def test_damage_in_the_journal_names_file_and_line(folder: Path, open_file_store: OpenFileStore) -> None:
    journal = folder / "production.journal.jsonl"
    journal.write_bytes(journal.read_bytes().replace(b"p1", b"p2"))
    with pytest.raises(StateUnreadable, match=rf"{re.escape(str(journal))}: line 2: damaged") as caught:
        open_file_store().load()
    assert "apply --adopt" in caught.value.hint


def test_damage_in_the_snapshot_names_the_version_before_it(folder: Path, open_file_store: OpenFileStore) -> None:
    store = open_file_store()
    with store.lock("apply"):
        store.commit(store.commit(State()))
    (folder / "production.state.json").write_text("{}")
    with pytest.raises(StateUnreadable, match=r"production\.state\.json: ") as caught:
        open_file_store().load()
    backup, journal = folder / "production.state.json.backup", folder / "production.journal.jsonl"
    assert f"put {backup} in its place and remove {journal}" in caught.value.hint
    backup.replace(folder / "production.state.json")
    journal.unlink()
    assert open_file_store().load().serial == 1


def test_damage_in_the_first_snapshot_says_what_is_left_to_do(folder: Path, open_file_store: OpenFileStore) -> None:
    store = open_file_store()
    with store.lock("apply"):
        store.commit(State())
    (folder / "production.state.json").write_text("{}")
    with pytest.raises(StateUnreadable) as caught:
        open_file_store().load()
    journal = folder / "production.journal.jsonl"
    assert f"remove it and {journal}" in caught.value.hint
    (folder / "production.state.json").unlink()
    journal.unlink()
    assert open_file_store().load().serial == 0


@pytest.mark.usefixtures("crashed")
def test_a_damaged_state_is_never_written_over(folder: Path, open_file_store: OpenFileStore) -> None:
    snapshot = folder / "production.state.json"
    snapshot.write_text("{}")
    store = open_file_store()
    with store.lock("apply"):
        with pytest.raises(StateUnreadable):
            store.append([INTENT])
        with pytest.raises(StateUnreadable):
            store.commit(State())
    assert snapshot.read_text() == "{}"


def test_a_journal_of_another_lineage_is_refused(folder: Path, open_file_store: OpenFileStore, crashed: State) -> None:
    journal = folder / "production.journal.jsonl"
    left = journal.read_bytes()
    journal.unlink()
    (folder / "production.state.json").unlink()
    other = open_file_store()
    with other.lock("apply"):
        lineage = other.commit(State()).lineage
    journal.write_bytes(left)
    with pytest.raises(StateUnreadable, match=f"of lineage {crashed.lineage}, but .* of lineage {lineage}"):
        open_file_store().load()


@pytest.mark.usefixtures("crashed")
def test_a_journal_without_its_snapshot_is_refused(folder: Path, open_file_store: OpenFileStore) -> None:
    """A lost snapshot must not look like a new beginning."""
    (folder / "production.state.json").unlink()
    with pytest.raises(StateUnreadable, match="serial 0 of lineage none") as caught:
        open_file_store().load()
    assert "without the journal file nothing is remembered" in caught.value.hint
    assert "backup" not in caught.value.hint.replace("a backup of yours", "")


def test_the_files_of_another_environment_are_refused(folder: Path, open_file_store: OpenFileStore) -> None:
    """Copied by mistake; the snapshot alone is taken: an environment that was renamed takes its state along."""
    with open_file_store().lock("apply"):
        pass
    other = FileStore(folder, "staging", now=lambda: datetime(2026, 11, 22, tzinfo=UTC))
    with other.lock("apply"):
        written = other.commit(State(entries={BOT: Entry("p1")}))
    for name in ("state.json", "journal.jsonl"):
        shutil.copy(folder / f"staging.{name}", folder / f"production.{name}")
    with pytest.raises(StateUnreadable, match="belongs to the environment staging, not to production") as caught:
        open_file_store().load()
    assert caught.value.message.startswith(str(folder / "production.journal.jsonl"))
    (folder / "production.journal.jsonl").unlink()
    assert open_file_store().load() == written


def test_a_lost_snapshot_names_the_version_before_it(folder: Path, open_file_store: OpenFileStore) -> None:
    store = open_file_store()
    with store.lock("apply"):
        store.commit(store.commit(State()))
    snapshot, journal = folder / "production.state.json", folder / "production.journal.jsonl"
    snapshot.unlink()
    with pytest.raises(StateUnreadable) as caught:
        open_file_store().load()
    backup = folder / "production.state.json.backup"
    assert f"{snapshot} is not there" in caught.value.hint
    assert f"put {backup} in its place and remove {journal}" in caught.value.hint
    backup.replace(snapshot)
    journal.unlink()
    assert open_file_store().load().serial == 1


def test_an_older_snapshot_put_back_under_a_journal_is_refused(folder: Path, open_file_store: OpenFileStore) -> None:
    store = open_file_store()
    with store.lock("apply"):
        store.commit(store.commit(State()))
        store.append([INTENT])
    (folder / "production.state.json.backup").replace(folder / "production.state.json")
    with pytest.raises(StateUnreadable, match=r"continues serial 2 .* is serial 1"):
        open_file_store().load()


def test_a_journal_that_was_removed_under_a_run_stops_it(folder: Path, open_file_store: OpenFileStore) -> None:
    store = open_file_store()
    with store.lock("apply"):
        store.append([INTENT])
        (folder / "production.journal.jsonl").unlink()
        with pytest.raises(StateUnreadable, match="was removed or replaced"):
            store.append([DONE])


@pytest.mark.parametrize("length", [10, END_BYTES, 2 * END_BYTES])
def test_of_a_long_journal_a_commit_looks_at_the_ends(
    folder: Path, open_file_store: OpenFileStore, length: int
) -> None:
    """Many records, or few long ones: it is known for the one that was written, and another one for another."""
    store, journal = open_file_store(), folder / "production.journal.jsonl"
    records: list[Record] = [
        {"record": "task", "key": str(n), "task": {"id": "x" * length}} for n in range(20_000 // length + 3)
    ]
    with store.lock("apply"):
        store.append([{"record": "task", "key": "first", "task": {"id": "x" * 3 * END_BYTES}}, *records])
        assert journal.stat().st_size > 2 * END_BYTES
        whole = journal.read_bytes()
        journal.write_bytes(whole[:-20] + b"0000" + whole[-16:])
        with pytest.raises(StateUnreadable, match=rf"line {len(records) + 2}: damaged"):
            store.commit(State())
        journal.write_bytes(whole)
        assert store.commit(State()).serial == 1
    assert open_file_store().load() == replace(State(), serial=1, lineage=open_file_store().load().lineage)


def test_a_lock_file_that_was_removed_by_hand_fences_its_holder(folder: Path, open_file_store: OpenFileStore) -> None:
    store = open_file_store()
    with store.lock("apply"):
        (folder / "production.lock").unlink()
        with pytest.raises(StateUnreadable, match="was broken"):
            store.append([INTENT])


def test_a_late_line_of_a_fenced_holder_reaches_no_state(folder: Path, open_file_store: OpenFileStore) -> None:
    """The old holder was frozen after its last check of the lock; its write goes to the file it has open."""
    old, new = open_file_store(), open_file_store()
    with old.lock("apply") as holder:
        old.append([INTENT])
        with (folder / "production.journal.jsonl").open("ab") as frozen:
            open_file_store().unlock(holder.lock_id)
            with new.lock("apply"):
                new.append([DONE])
                frozen.write(b'{"data":{},"sum":"late"}\n')
                frozen.flush()
                assert new.load() == State(entries={BOT: Entry("p1")})
                new.append([{"record": "removed", "address": "openlayer.Project/bot"}])
    assert open_file_store().load() == State()


# ------------------------------------------------------------------------------------------ the system says no


@contextmanager
def not_permitted(folder: Path) -> Iterator[None]:
    """Nobody may write the folder; root, who always may, becomes somebody else."""
    folder.chmod(0o500)
    if os.geteuid() == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        if os.getuid() == 0:
            os.seteuid(0)
        folder.chmod(0o700)


def test_a_folder_that_may_not_be_written_is_a_sentence(folder: Path, open_file_store: OpenFileStore) -> None:
    folder.mkdir()
    refused = pytest.raises(StateUnreadable, match="cannot be taken: permission denied")
    with not_permitted(folder), refused, open_file_store().lock("apply"):
        pass
    assert names(folder) == set()


def test_a_folder_that_is_a_file_is_a_sentence(folder: Path, open_file_store: OpenFileStore) -> None:
    folder.touch()
    with pytest.raises(StateUnreadable, match="cannot be read: not a directory"):
        open_file_store().load()
    with pytest.raises(StateUnreadable, match="cannot be taken: file exists"), open_file_store().lock("apply"):
        pass


def test_a_state_that_is_a_folder_is_a_sentence(folder: Path, open_file_store: OpenFileStore) -> None:
    (folder / "production.state.json").mkdir(parents=True)
    with pytest.raises(StateUnreadable, match="cannot be read: is a directory"):
        open_file_store().load()


def test_a_lock_that_is_a_link_is_not_followed(folder: Path, open_file_store: OpenFileStore, tmp_path: Path) -> None:
    folder.mkdir()
    (tmp_path / "precious").write_text("content")
    (folder / "production.lock").symlink_to(tmp_path / "precious")
    with pytest.raises(StateUnreadable, match="cannot be taken"), open_file_store().lock("apply"):
        pass
    assert (tmp_path / "precious").read_text() == "content"


def test_a_full_disk_stops_the_run_and_harms_nothing(in_process: Run, open_file_store: OpenFileStore) -> None:
    """The limit on a file's size lets half a line through, then refuses, as a full disk does."""
    writer = """
import resource
with store.lock("apply"):
    store.append([{"record": "task", "key": "1", "task": {}}])
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, 400))
    for key in ("2", "3"):
        try:
            store.append([{"record": "task", "key": key, "task": {"padding": "x" * 300}}])
        except ReconcilerError as error:
            tell(f"{type(error).__name__}: {error.message}")
    try:
        store.commit(State(tasks={"4": {"padding": "x" * 300}}))
    except ReconcilerError as error:
        tell(f"{type(error).__name__}: {error.message}")
"""
    with in_process(writer) as process:
        out, err = process.communicate()
    told = out.splitlines()
    assert err == ""
    assert re.fullmatch(r"StateUnreadable: the journal \S+ cannot be written: file too large", told[0])
    assert re.fullmatch(r"StateUnreadable: \S+: an earlier write failed, so nothing more is added", told[1])
    assert re.fullmatch(r"StateUnreadable: the state \S+ cannot be written: file too large", told[2])
    assert open_file_store().load() == State(tasks={"1": {}})


def test_a_commit_can_still_save_the_run_after_a_failed_append(in_process: Run, open_file_store: OpenFileStore) -> None:
    writer = """
import resource
with store.lock("apply"):
    store.append([{"record": "task", "key": "1", "task": {}}])
    resource.setrlimit(resource.RLIMIT_FSIZE, (400, resource.RLIM_INFINITY))
    try:
        store.append([{"record": "task", "key": "2", "task": {"padding": "x" * 300}}])
    except ReconcilerError:
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        store.commit(State(tasks={"1": {}, "2": {}}))
        store.append([{"record": "task", "key": "3", "task": {}}])
"""
    with in_process(writer) as process:
        assert process.communicate() == ("", "")
    assert open_file_store().load().tasks == {"1": {}, "2": {}, "3": {}}


def test_a_disk_that_fails_to_sync_is_not_believed(
    open_file_store: OpenFileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(_: int) -> None:
        raise OSError(errno.EIO, "Input/output error")

    store = open_file_store()
    with store.lock("apply"):
        store.append([INTENT])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", fails)
            with pytest.raises(StateUnreadable, match="cannot be written: input/output error"):
                store.append([DONE])
        with pytest.raises(StateUnreadable, match="an earlier write failed"):
            store.append([DONE])


def test_what_is_written_is_on_the_disk_before_it_counts(
    open_file_store: OpenFileStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content, then the name that leads to it, then the folder; a record in an open journal needs one sync."""
    new_journal = ["sync file", "rename to production.journal.jsonl", "sync folder"]
    events: list[str] = []
    fsync, rename = os.fsync, os.replace

    def synced(descriptor: int) -> None:
        events.append("sync folder" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "sync file")
        fsync(descriptor)

    def renamed(source: Path, target: Path) -> None:
        events.append(f"rename to {Path(target).name}")
        rename(source, target)

    store = open_file_store()
    with store.lock("apply"):
        monkeypatch.setattr(os, "fsync", synced)
        monkeypatch.setattr(os, "replace", renamed)
        store.append([INTENT])
        assert events == [*new_journal, "sync file"]
        events.clear()
        store.append([INTENT, DONE])
        assert events == ["sync file"]
        events.clear()
        store.commit(State())
        assert events == ["sync file", "rename to production.state.json", "sync folder", *new_journal]


def test_a_file_too_large_to_be_a_state_is_refused_before_it_is_parsed(
    folder: Path, open_file_store: OpenFileStore
) -> None:
    folder.mkdir()
    with (folder / "production.state.json").open("wb") as file:
        file.truncate(SIZE_CAP + 1)
    with pytest.raises(StateUnreadable, match=f"larger than the {SIZE_CAP:,} bytes a state may have"):
        open_file_store().load()


# ------------------------------------------------------------------------------------------ between processes


def test_another_process_is_refused_until_the_holder_is_done(in_process: Run, open_file_store: OpenFileStore) -> None:
    holding = 'with store.lock("apply") as holder:\n    tell(holder.lock_id)\n    sys.stdin.readline()\ntell("free")\n'
    with in_process(holding) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        lock_id = process.stdout.readline().strip()
        store = open_file_store()
        held = store.holder()
        assert held is not None
        assert (held.lock_id, held.pid, held.operation, held.job) == (lock_id, process.pid, "apply", "https://ci/7")
        with pytest.raises(LockHeld, match=f"pid {process.pid} .* lock {lock_id}"), store.lock("apply"):
            pass
        process.stdin.write("done\n")
        process.stdin.flush()
        assert process.stdout.readline() == "free\n"
        with store.lock("apply"):
            store.append([INTENT])


def test_kill_9_frees_the_lock_and_nobody_is_named_any_more(
    folder: Path, in_process: Run, open_file_store: OpenFileStore
) -> None:
    store = open_file_store()
    with in_process('with store.lock("apply"):\n    tell("held")\n    sys.stdin.readline()\n') as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        process.kill()
        process.wait()
    left = json.loads((folder / "production.lock").read_bytes())
    assert left["pid"] == process.pid
    assert store.holder() is None
    with pytest.raises(UsageInvalid, match="no lock"):
        store.unlock(left["lock_id"])
    with store.lock("apply") as holder:
        assert store.holder() == holder


def test_a_broken_lock_fences_a_process_that_is_still_alive(in_process: Run, open_file_store: OpenFileStore) -> None:
    frozen = """
with store.lock("apply") as holder:
    store.append([{"record": "task", "key": "before", "task": {}}])
    tell(holder.lock_id)
    sys.stdin.readline()
    late = {"record": "task", "key": "after", "task": {}}
    for write in (lambda: store.append([late]), lambda: store.commit(State())):
        try:
            write()
        except ReconcilerError as error:
            tell(type(error).__name__)
"""
    store = open_file_store()
    with in_process(frozen) as process:
        assert process.stdout is not None
        store.unlock(process.stdout.readline().strip())
        with store.lock("apply"):
            out, err = process.communicate("go on\n")
            store.append([{"record": "task", "key": "successor", "task": {}}])
    assert (out, err) == ("StateUnreadable\nStateUnreadable\n", "")
    assert open_file_store().load().tasks == {"before": {}, "successor": {}}


def test_of_many_processes_one_at_a_time_holds_the_lock(in_process: Run, open_file_store: OpenFileStore) -> None:
    """Each adds one to a number, with nothing but the lock between reading and writing it."""
    adder = """
from reconciler.errors import LockHeld
added = 0
while added < 10:
    try:
        with store.lock("apply"):
            n = store.load().tasks.get("n", {}).get("is", 0)
            store.append([{"record": "task", "key": "n", "task": {"is": n + 1}}])
            added += 1
    except LockHeld as error:
        assert "pid" in error.message
"""
    with in_process(adder) as one, in_process(adder) as two, in_process(adder) as three:
        for process in (one, two, three):
            assert process.communicate() == ("", "")
    assert open_file_store().load().tasks == {"n": {"is": 30}}
