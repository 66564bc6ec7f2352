"""Turn a folder into the memory of one environment.  Touches: disk, the clock, chance (ids).

=============================  ===================================================================================
``ENV.state.json``             the snapshot; replaced as a whole, never written in place
``ENV.state.json.backup``      the snapshot before it; one, because adoption can rebuild what is older
``ENV.journal.jsonl``          what came after the snapshot; after a commit, a header and no record
``ENV.lock``                   the lock; its content counts only while a process holds it
=============================  ===================================================================================

How a crash cannot hurt: a file appears by ``rename`` after its content is on disk, so it is there in whole or not at
all; only the journal grows in place, and its last line alone can be torn.  A crash between the new snapshot and the
new journal leaves a journal that the snapshot says it has absorbed, so it is not replayed.

How a second writer cannot hurt: writes need the lock, and are compared with what ``load`` showed.  Each lock writes
its own journal file, a copy with its id in the header, and keeps it open.  When somebody breaks the lock, a late
line of the old holder lands in a file that no path leads to any more, and its append fails.
"""

from __future__ import annotations

import os
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from datetime import datetime
from pathlib import Path
from typing import BinaryIO

from msgspec import Struct
from msgspec.structs import replace

from reconciler.errors import StateUnreadable
from reconciler.model.environments import require_environment_name
from reconciler.model.provider import Holder
from reconciler.model.state import Record, State, fold
from reconciler.storage.encoding import (
    SIZE_CAP,
    Lines,
    Position,
    Snapshot,
    empty_tip,
    header_line,
    parse_journal,
    parse_snapshot,
    record_lines,
    snapshot_bytes,
    stands,
)
from reconciler.storage.file_lock import FileLock, stands_at
from reconciler.storage.folder import make_private, sync
from reconciler.storage.holders import new_holder
from reconciler.storage.refusals import lock_broken, moved_on, named, require_small

READ_TRIES = 100
END_BYTES = 64 * 1024
LEASE = "until its process ends"

JOURNAL_HINT = (
    "restore the folder from a backup of yours; without the journal file the state is what it was before the "
    "last run, and what that run created has to be adopted (apply --adopt)"
)


class OnDisk(Struct, frozen=True):
    """What the folder holds: the state with the journal folded in, and what it was read from."""

    state: State
    position: Position
    records: tuple[Record, ...]
    snapshot: bytes | None


class FileStore:
    """A ``StateStore`` in a local folder.  For one thread at a time.

    The folder is made on the first lock, private to the user (0700, files 0600) and ignored by git.  ``now`` gives
    an aware datetime, for showing only; ``job`` is the CI job's URL.  Raises UsageInvalid for a name of an
    environment that could lead out of the folder.
    """

    def __init__(self, folder: Path, environment: str, *, now: Callable[[], datetime], job: str = "") -> None:
        require_environment_name(environment)
        self._folder, self._environment = folder, environment
        self._snapshot = folder / f"{environment}.state.json"
        self._backup = folder / f"{environment}.state.json.backup"
        self._journal = folder / f"{environment}.journal.jsonl"
        self._lock = FileLock(folder / f"{environment}.lock")
        self._now = now
        self._job = job
        self._seen: Position | None = None
        self._writer = ""
        self._open_journal: int | None = None
        self._failed = False

    def describe(self) -> str:
        """The path of the snapshot."""
        return str(self._snapshot)

    def load(self) -> State:
        """See ``StateStore.load``.  Later writes are refused if the folder has moved on from what this shows."""
        on_disk = self._read()
        self._seen = on_disk.position
        return on_disk.state

    @contextmanager
    def lock(self, operation: str) -> Iterator[Holder]:
        """See ``StateStore.lock``.  Raises StateUnreadable when the folder cannot be written."""
        holder = new_holder(operation, now=self._now, job=self._job, lease=LEASE)
        with _sentences(f"the lock {self._lock.path} cannot be taken"):
            make_private(self._folder)
            self._lock.take(holder)
        self._writer, self._failed = holder.lock_id, False
        try:
            self._remove_leftovers()  # before anything is read: it stops what an old holder was about to rename
            yield holder
        finally:
            self._close_journal()
            self._writer = ""
            self._lock.release()

    def append(self, records: Sequence[Record]) -> None:
        """See ``StateStore.append``.

        Raises StateUnreadable without the lock, when it was broken, when the disk fails, and before the journal grows
        beyond what ``load`` reads; after a failed write every further append under this lock fails too.  Raises
        StalePlan when another run wrote since ``load``.
        """
        self._require_lock()
        if self._failed:
            raise StateUnreadable(f"{self._journal}: an earlier write failed, so nothing more is added")
        if not records:
            return
        journal, position = self._journal_to_append()
        lines, tip = record_lines(position.tip, records)
        if os.fstat(journal).st_size + len(lines) > SIZE_CAP:
            raise StateUnreadable(
                f"{self._journal}: the journal is longer than the {SIZE_CAP:,} bytes it may have",
                hint="what was done is remembered; apply again for the rest",
            )
        self._failed = True
        with _sentences(f"the journal {self._journal} cannot be written"):
            _write(journal, lines)
        self._require_lock()
        self._require_journal(journal)
        self._seen, self._failed = replace(position, tip=tip), False

    def commit(self, state: State) -> State:
        """See ``StateStore.commit``.  A state without lineage gets one.

        Raises StalePlan when the folder holds another version than the one that ``state`` was made from.
        """
        self._require_lock()
        position, snapshot = self._standing()
        if (position.lineage, position.serial) != (state.lineage, state.serial):
            raise moved_on(self.describe(), position, state)
        written = replace(state, lineage=state.lineage or uuid.uuid4().hex, serial=state.serial + 1)
        content = snapshot_bytes(written, position.tip)
        self._journal_to_append()  # so that no journal is left which only an older snapshot has absorbed
        with _sentences(f"the state {self._snapshot} cannot be written"):
            if snapshot is not None:
                self._put(self._backup, snapshot)
            self._close_journal()  # whatever becomes of the snapshot, no line may follow what it absorbs
            self._put(self._snapshot, content)
            self._seen = Position.after(written)
            self._begin_journal(self._seen, ())
        self._failed = False
        return written

    def holder(self) -> Holder | None:
        """See ``StateStore.holder``."""
        with _sentences(f"the lock {self._lock.path} cannot be read"):
            return self._lock.holder()

    def unlock(self, lock_id: str) -> None:
        """See ``StateStore.unlock``.  The old holder's next write fails."""
        with _sentences(f"the lock {self._lock.path} cannot be broken"):
            self._lock.break_(lock_id)

    # ------------------------------------------------------------------------------------------ reading

    def _read(self) -> OnDisk:
        """Snapshot and journal as they were at one moment.

        A commit replaces the snapshot first and the journal then.  So a journal belongs to a snapshot that is still
        in place after it was read; held open meanwhile, for the file system to have no other file look like it.
        """
        with _sentences(f"the state {self._snapshot} cannot be read"):
            for _ in range(READ_TRIES):
                with _opened(self._snapshot) as file:
                    snapshot, journal = _limited(self._snapshot, file), _content(self._journal)
                    if _is_in_place(file, self._snapshot):
                        return self._understood(snapshot, journal)
        raise StateUnreadable(f"{self._snapshot} changes faster than it can be read", hint="try again")

    def _understood(self, snapshot_content: bytes | None, journal_content: bytes | None) -> OnDisk:
        snapshot = Snapshot(State())
        if snapshot_content is not None:
            with named(str(self._snapshot), self._snapshot_hint()):
                snapshot = parse_snapshot(snapshot_content)
        hint = JOURNAL_HINT if snapshot_content is not None else self._lost_snapshot_hint()
        with named(str(self._journal), hint):
            journal = parse_journal(journal_content) if journal_content is not None else None
            self._require_ours(journal)
            lines = _continuation(snapshot, journal)
            state = fold(snapshot.state, lines.records)
        position = Position(lines.lineage, lines.serial, lines.tip)
        return OnDisk(state, position, lines.records, snapshot_content)

    def _require_ours(self, journal: Lines | None) -> None:
        """Raise StateUnreadable for what was copied from another environment; older versions did not say."""
        if journal is not None and journal.environment not in ("", self._environment):
            raise StateUnreadable(
                f"it belongs to the environment {journal.environment}, not to {self._environment}",
                hint="put the files of this environment back; or, where it was renamed, leave this one out",
            )

    def _lost_snapshot_hint(self) -> str:
        is_gone = f"{self._snapshot} is not there"
        if self._backup.exists():
            return f"{is_gone}: {self._backup_hint('lost')}"
        return (
            f"{is_gone}: restore the folder from a backup of yours; without the journal file nothing is remembered any "
            "more, and what is at the platform has to be adopted (apply --adopt)"
        )

    def _backup_hint(self, what: str) -> str:
        return (
            f"restore the folder from a backup of yours; or put {self._backup} in its place and remove "
            f"{self._journal}, which continues the {what} one: what was made since then has to be adopted "
            "(apply --adopt)"
        )

    def _snapshot_hint(self) -> str:
        if self._backup.exists():
            return self._backup_hint("damaged")
        return (
            f"restore the folder from a backup of yours; or remove it and {self._journal}, which continues it, and "
            "adopt what is there (apply --adopt)"
        )

    # ------------------------------------------------------------------------------------------ writing

    def _require_lock(self) -> None:
        if not self._writer:
            raise StateUnreadable(f"{self.describe()} cannot be written without the lock")
        with _sentences(f"the lock {self._lock.path} cannot be read"):
            ours = self._lock.is_ours()
        if not ours:
            raise lock_broken(self._writer, self.describe())

    def _unmoved(self) -> OnDisk:
        """What is on disk, if it is what ``load`` showed or what we wrote since."""
        on_disk = self._read()
        # After a failed append the disk may hold lines that were never acknowledged; a commit replaces them.
        if self._seen is not None and self._seen != on_disk.position and not self._failed:
            raise moved_on(self.describe(), on_disk.position, self._seen)
        return on_disk

    def _standing(self) -> tuple[Position, bytes | None]:
        """Where the folder stands, and its snapshot; as ``_unmoved``, without reading again what we wrote ourselves."""
        if self._open_journal is not None and self._seen is not None and not self._failed:
            self._require_journal(self._open_journal)
            with _sentences(f"the state {self._snapshot} cannot be read"):
                snapshot, journal = _content(self._snapshot), _both_ends(self._journal)
            if journal is not None and stands(journal) == self._seen:
                return self._seen, snapshot
        on_disk = self._unmoved()
        return on_disk.position, on_disk.snapshot

    def _journal_to_append(self) -> tuple[int, Position]:
        """The open journal of this lock and where it ends; made from what is on disk when it isn't open yet."""
        if self._open_journal is not None and self._seen is not None:
            return self._open_journal, self._seen
        on_disk = self._unmoved()
        self._seen = on_disk.position
        with _sentences(f"the journal {self._journal} cannot be written"):
            return self._begin_journal(self._seen, on_disk.records), self._seen

    def _begin_journal(self, position: Position, records: Sequence[Record]) -> int:
        """Replace the journal file by one of this lock, and keep it open."""
        lines, _ = record_lines(empty_tip(position.lineage, position.serial), records)
        header = header_line(position.lineage, position.serial, self._writer, environment=self._environment)
        journal = self._placed(self._journal, header + lines)
        self._close_journal()
        self._open_journal = journal
        return journal

    def _require_journal(self, descriptor: int) -> None:
        with _sentences(f"the journal {self._journal} cannot be read"):
            if not stands_at(descriptor, self._journal):
                raise StateUnreadable(f"{self._journal} was removed or replaced while this run wrote to it")

    def _put(self, path: Path, content: bytes) -> None:
        """Let ``path`` have this content, in whole or not at all, if the lock is still ours."""
        os.close(self._placed(path, content))

    def _placed(self, path: Path, content: bytes) -> int:
        """Put ``content`` at ``path`` and return the file, still open: the one we wrote, wherever the path leads now.

        A successor that breaks in between the check of the lock and the rename has removed the temporary file, so
        that the rename fails.
        """
        require_small(content, str(path))
        temporary = path.with_name(f"{path.name}.{self._writer}.tmp")
        descriptor = os.open(temporary, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
        try:
            _write(descriptor, content)
            self._require_lock()
            temporary.replace(path)
            sync(self._folder)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _close_journal(self) -> None:
        if self._open_journal is not None:
            os.close(self._open_journal)
            self._open_journal = None

    # ------------------------------------------------------------------------------------------ the folder

    def _remove_leftovers(self) -> None:
        """Remove the temporary files of runs that died, or lost the lock, while they wrote."""
        names = "|".join(re.escape(path.name) for path in (self._snapshot, self._backup, self._journal))
        with _sentences(f"{self._folder} cannot be tidied"):
            for path in self._folder.iterdir():
                if re.fullmatch(rf"({names})\.[0-9a-f]{{12}}\.tmp", path.name):
                    path.unlink(missing_ok=True)


def _continuation(snapshot: Snapshot, lines: Lines | None) -> Lines:
    """What came after the snapshot: the journal, unless the snapshot was made from it and it only outlived a crash."""
    lineage, serial = snapshot.state.lineage, snapshot.state.serial
    nothing = Lines(lineage, serial, (), empty_tip(lineage, serial))
    if lines is None:
        return nothing
    if (lines.lineage, lines.serial) == (lineage, serial):
        return lines
    if lines.tip == snapshot.absorbed:
        return nothing
    raise StateUnreadable(
        f"line 1: the journal continues serial {lines.serial} of lineage {lines.lineage or 'none'}, "
        f"but the state beside it is serial {serial} of lineage {lineage or 'none'}"
    )


def _content(path: Path) -> bytes | None:
    """The file's bytes; None when there is none."""
    with _opened(path) as file:
        return _limited(path, file)


def _both_ends(path: Path) -> bytes | None:
    """The first line of a long file and the last ones, which is what ``stands`` looks at; a short one as a whole."""
    with _opened(path) as file:
        if file is None or os.fstat(file.fileno()).st_size <= 2 * END_BYTES:
            return _limited(path, file)
        head = file.readline(END_BYTES)
        file.seek(-END_BYTES, os.SEEK_END)
        _, _, tail = file.read(END_BYTES).partition(b"\n")
        if head.endswith(b"\n") and tail.count(b"\n") > 1:
            return head + tail
    return _content(path)


def _opened(path: Path) -> AbstractContextManager[BinaryIO | None]:
    """The file, to be closed; None when there is none."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        return nullcontext()


def _is_in_place(file: BinaryIO | None, path: Path) -> bool:
    """Whether the path leads to this file still, or to none as before."""
    try:
        now = path.stat()
    except FileNotFoundError:
        return file is None
    return file is not None and os.path.samestat(os.fstat(file.fileno()), now)


def _limited(path: Path, file: BinaryIO | None) -> bytes | None:
    if file is None:
        return None
    size = os.fstat(file.fileno()).st_size
    if size > SIZE_CAP:
        raise StateUnreadable(f"{path} is larger than the {SIZE_CAP:,} bytes a state may have")
    return file.read(size)  # what a running apply adds to its journal meanwhile comes too late


def _write(descriptor: int, content: bytes) -> None:
    """Write everything, and return when it is on the disk."""
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]
    os.fsync(descriptor)


@contextmanager
def _sentences(what: str) -> Iterator[None]:
    """Turn an error of the operating system into one sentence."""
    try:
        yield
    except OSError as error:
        raise StateUnreadable(
            f"{what}: {(error.strerror or str(error)).lower()}",
            hint="make sure that the folder can be read and written, and that the disk is not full",
        ) from error
