"""Keep snapshot, journal and lock behind one *head* that is only ever swapped.  Touches: network, clock, chance.

A ``StateStore`` for places that can replace one value atomically, if it is still the one we know::

    head  = who holds the lock + which snapshot + the journal after it
    take the lock, append, commit, give the lock back, break it: each swaps the head once

Why a second writer cannot hurt.  All that counts is what the head says, and every write is a swap that names the
version it replaces.  Taking or breaking a lock is such a swap too.  So it does not matter where the old holder stands,
not even between its last look and its write: if its swap arrives first, the successor's swap misses, looks again and
takes the record along; if it arrives second, it misses, and the old holder learns that it is fenced.  A snapshot is
put under a new name before the swap and means nothing until a head names it.

Why a lost answer cannot hurt.  A swap whose answer is lost, or is a conflict or an error of the server, is resolved
by reading: every head carries an id of that very write (``write``).  If the head carries ours, the write was done.  If
it is the one we know, it was not done, and may be repeated: should the first try still arrive late, it finds another
version and misses.  If it is a third one, somebody else wrote: we are fenced.
"""

from __future__ import annotations

import random
import secrets
import time
import uuid
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import asdict, replace

from reconciler.errors import ReconcilerError, StateUnreadable
from reconciler.model.environments import require_environment_name
from reconciler.model.provider import Holder
from reconciler.model.state import Record, State, fold
from reconciler.storage.encoding import (
    SIZE_CAP,
    Position,
    Snapshot,
    empty_tip,
    header_line,
    parse_header,
    parse_journal,
    parse_snapshot,
    record_lines,
    snapshot_bytes,
)
from reconciler.storage.holders import lock_held, new_holder
from reconciler.storage.refusals import lock_broken, moved_on, named, require_held, require_small

LEASE = "until it is unlocked"
TRIES = 6
"""How often one step is tried while the place gives no clear answer: with the pauses, about ten seconds."""

PATIENCE_S = 45.0
"""When no further read is begun, should the place let us wait for each answer."""

CONTENDERS = 100
"""How often to try for a head that others keep changing."""


T = TypeVar("T")


class Unsure(Exception):
    """It is not known whether a write was done.  The text says why, without a secret.

    ``final``: the place has a reason that trying again does not remove, such as a lock that is not ours.
    """

    def __init__(self, why: str, *, final: bool = False) -> None:
        super().__init__(why)
        self.final = final


class Unavailable(Exception):
    """A read failed in a way that may pass.  The text says how, without a secret."""


class Missing(Exception):
    """What a head refers to is not there."""


class Head(Struct, frozen=True):
    """One version of all that counts.

    ``snapshot``, ``former`` (the snapshot before it) and ``segments`` (earlier parts of the journal, in order) are
    references that the place understands, "" and () for nothing.  ``lines`` are the journal lines after them, ``tip``
    the tip of the journal.  ``writer`` is the lock that this was written under, ``write`` the id of this version.
    """

    environment: str
    lineage: str = ""
    serial: int = 0
    tip: str = field(default_factory=lambda: empty_tip("", 0))
    snapshot: str = ""
    former: str = ""
    segments: tuple[str, ...] = ()
    lines: bytes = b""
    writer: str = ""
    write: str = ""
    holder: Holder | None = None

    @property
    def position(self) -> Position:
        """How far the state goes."""
        return Position(self.lineage, self.serial, self.tip)

    def next(self, **changes: Any) -> Head:
        """A version to replace this one."""
        return replace(self, write=secrets.token_hex(8), **changes)

    def header(self) -> bytes:
        """The first line of the journal, which holds everything but ``lines``."""
        return header_line(
            self.lineage,
            self.serial,
            self.writer,
            environment=self.environment,
            tip=self.tip,
            snapshot=self.snapshot,
            former=self.former,
            segments=list(self.segments),
            write=self.write,
            holder=asdict(self.holder) if self.holder else None,
        )


def parse_head(content: bytes) -> Head:
    """The inverse of ``header() + lines``.  Raises StateUnreadable."""
    first, newline, lines = content.partition(b"\n")
    data = parse_header(first)
    try:
        holder = data["holder"]
        head = Head(
            environment=data["environment"],
            lineage=data["lineage"],
            serial=data["serial"],
            tip=data["tip"],
            snapshot=data["snapshot"],
            former=data["former"],
            segments=tuple(data["segments"]),
            lines=lines if newline else b"",
            writer=data["writer"],
            write=data["write"],
            holder=Holder(**holder) if holder else None,
        )
        for text in (head.environment, head.lineage, head.tip, head.snapshot, head.former, head.writer, *head.segments):
            if not isinstance(text, str):
                raise TypeError(f"{text!r} is not a text")
        return head
    except (KeyError, TypeError) as error:
        raise StateUnreadable(f"line 1: this is not the head of a state: {error!r}") from error


class Version(Struct, frozen=True):
    """A head as it stands there, and what the place calls this version."""

    head: Head
    token: Any


class Moved(Exception):
    """The head is neither the one we know nor the one we wrote."""

    def __init__(self, found: Version | None) -> None:
        super().__init__("another version stands there")
        self.found = found


class RemoteStore(ABC):
    """A ``StateStore`` over what a subclass can read and swap.  For one thread at a time.

    ``now`` gives an aware datetime, for showing only; ``job`` is the CI job's URL; ``pause`` waits so many seconds.
    """

    segment_bytes = 64 * 1024
    """A journal is rewritten with every append.  Past this size what it holds is put aside, so that the bytes sent
    grow with the number of records and not with its square."""

    def __init__(
        self,
        environment: str,
        *,
        now: Callable[[], datetime],
        job: str = "",
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        require_environment_name(environment)
        self.environment = environment
        self._now, self._job, self._pause = now, job, pause
        self._seen: Position | None = None
        self._known: Version | None = None
        self._writer = ""
        self._failed = False

    # ------------------------------------------------------------------------------------------ what a place does

    @abstractmethod
    def describe(self) -> str:
        """See ``StateStore.describe``."""

    @abstractmethod
    def _read(self) -> Version | None:
        """The head, None where there is none yet.  Raises Unavailable, ReconcilerError."""

    @abstractmethod
    def _write(self, known: Version | None, head: Head) -> Any:
        """Put ``head`` where ``known`` stands, and return its token.

        Raises Unsure unless it was certainly done, and ReconcilerError when it was certainly not and never will be.
        """

    @abstractmethod
    def _keep(self, name: str, content: bytes) -> str:
        """Put something aside that never changes; a reference for it.  Raises Unsure, ReconcilerError."""

    @abstractmethod
    def _fetch(self, reference: str) -> bytes:
        """What was put aside.  Raises Missing, Unavailable, ReconcilerError."""

    def _drop(self, references: Sequence[str]) -> None:  # noqa: B027 - where a head holds everything there is nothing
        """Remove what no head refers to any more.  Never fails: what stays is only litter."""

    def _enter(self, holder: Holder) -> None:  # noqa: B027 - where the head is the lock there is nothing
        """Make sure that a lock can be had here, and take the place's own if it has one.  Raises LockHeld."""

    def _leave(self, holder: Holder) -> None:  # noqa: B027 - where the head is the lock there is nothing
        """Give back what ``_enter`` took."""

    # ------------------------------------------------------------------------------------------ the protocol

    def load(self) -> State:
        """See ``StateStore.load``.  Later writes are refused if the place has moved on from what this shows."""
        head = self._head()
        while True:
            try:
                state = self._state(head)
            except Missing as missing:
                later = self._head()  # a commit removes what it replaces
                if later.write == head.write:
                    raise StateUnreadable(
                        f"{missing} is missing, though {self.describe()} refers to it",
                        hint="restore it from an older version of the bucket",
                    ) from missing
                head = later
                continue
            self._seen = head.position
            return state

    @contextmanager
    def lock(self, operation: str) -> Iterator[Holder]:
        """See ``StateStore.lock``.  Raises StateUnreadable, SettingsInvalid when the place cannot be used."""
        holder = new_holder(operation, now=self._now, job=self._job, lease=LEASE)
        self._enter(holder)
        try:
            self._known = self._taken(holder)
        except BaseException:
            with suppress(ReconcilerError):
                self._leave(holder)
            raise
        self._writer, self._failed = holder.lock_id, False
        try:
            yield holder
        except BaseException as error:
            try:
                self._give_back(holder)
            except ReconcilerError:
                _tell_that_it_stays(holder, error)
            raise
        self._give_back(holder)

    def append(self, records: Sequence[Record]) -> None:
        """See ``StateStore.append``.

        Raises StateUnreadable without the lock, when it was broken, and when the place cannot be written; after a
        failed write every further append under this lock fails too.  Raises StalePlan when another run wrote since
        ``load``.
        """
        self._require_lock()
        if self._failed:
            raise StateUnreadable(f"{self.describe()}: an earlier write failed, so nothing more is added")
        if not records:
            if self._head().writer != self._writer:
                raise self._fenced()
            return
        known = self._unmoved()
        added, tip = record_lines(known.head.tip, records)
        head = known.head.next(lines=known.head.lines + added, tip=tip)
        self._failed = True
        self._replace(known, self._put_aside(head))
        self._failed = False

    def commit(self, state: State) -> State:
        """See ``StateStore.commit``.  A state without lineage gets one.

        Raises StalePlan when the place holds another version than the one that ``state`` was made from.
        """
        self._require_lock()
        known = self._unmoved()
        former = known.head
        if (former.lineage, former.serial) != (state.lineage, state.serial):
            raise moved_on(self.describe(), former.position, state)
        written = replace(state, lineage=state.lineage or uuid.uuid4().hex, serial=state.serial + 1)
        snapshot = self._kept(f"snapshot-{written.serial:06}-{self._writer}.json", snapshot_bytes(written, former.tip))
        head = former.next(
            **asdict(Position.after(written)),
            snapshot=snapshot,
            former=former.snapshot,
            segments=(),
            lines=b"",
        )
        self._failed = True
        self._replace(known, head)
        self._failed = False
        self._drop([reference for reference in (former.former, *former.segments) if reference])
        return written

    def holder(self) -> Holder | None:
        """See ``StateStore.holder``."""
        return self._head().holder

    def unlock(self, lock_id: str) -> None:
        """See ``StateStore.unlock``.  The old holder's next write fails, whoever holds the lock then."""
        version = self._look()
        for _ in range(CONTENDERS):
            require_held(version.head.holder if version else None, lock_id, self.describe())
            assert version is not None
            try:
                self._swap(version, version.head.next(holder=None, writer=""))
                return
            except Moved as moved:  # its holder wrote in between
                version = moved.found
        raise self._too_busy()

    # ------------------------------------------------------------------------------------------ reading

    def _look(self) -> Version | None:
        """The version that stands there, however often it has to be asked for."""
        version = self._patiently(self._read)
        if version is not None and version.head.environment != self.environment:
            raise StateUnreadable(
                f"{self.describe()} holds the state of the environment {version.head.environment}, not of "
                f"{self.environment}",
                hint="give each environment a place of its own",
            )
        return version

    def _head(self) -> Head:
        version = self._look()
        return version.head if version else Head(self.environment)

    def _state(self, head: Head) -> State:
        """The snapshot with the journal folded in.  Raises Missing when the head is not the newest any more."""
        snapshot = Snapshot(State())
        if head.snapshot:
            with self._named("the snapshot"):
                snapshot = parse_snapshot(self._fetched(head.snapshot))
        parts = [self._fetched(reference) for reference in head.segments]
        with self._named("the journal"):
            first = header_line(head.lineage, head.serial, head.writer)
            journal = parse_journal(b"".join((first, *parts, head.lines)))
            if (snapshot.state.lineage, snapshot.state.serial) != (head.lineage, head.serial):
                raise StateUnreadable(
                    f"it continues serial {head.serial} of lineage {head.lineage or 'none'}, but the snapshot is "
                    f"serial {snapshot.state.serial} of lineage {snapshot.state.lineage or 'none'}"
                )
            if journal.tip != head.tip:
                raise StateUnreadable("it has lost its end")
            return fold(snapshot.state, journal.records)

    def _fetched(self, reference: str) -> bytes:
        return self._patiently(lambda: self._fetch(reference))

    def _patiently(self, read: Callable[[], T]) -> T:
        """Read, again after a while when it fails in a way that may pass."""
        until = time.monotonic() + PATIENCE_S
        for _ in self._tries():
            try:
                return read()
            except Unavailable as error:
                failure = error
            if time.monotonic() > until:
                break
        raise StateUnreadable(
            f"{self.describe()} cannot be read: {failure}", hint="try again when it can be reached"
        ) from failure

    def _tries(self) -> Iterator[None]:
        """One for each time that something may be tried, with a pause before all but the first."""
        for attempt in range(TRIES):
            if attempt:
                self._pause(backoff(attempt))
            yield

    # ------------------------------------------------------------------------------------------ writing

    def _taken(self, holder: Holder) -> Version:
        """The head with ``holder`` in it.  From now on nobody else can write."""
        version = self._look()
        for _ in range(CONTENDERS):
            if version is not None and version.head.holder is not None:
                self._meet(version.head.holder)
            head = version.head if version else Head(self.environment)
            try:
                return self._swap(version, head.next(holder=holder, writer=holder.lock_id))
            except Moved as moved:  # another one took it, or an old holder wrote its last record
                version = moved.found
        raise self._too_busy()

    def _meet(self, other: Holder) -> None:
        """The head names a holder: raise LockHeld."""
        raise lock_held(other)

    def _give_back(self, holder: Holder) -> None:
        """Free the lock, unless it was broken."""
        version, self._known, self._writer = self._known, None, ""
        failures: list[ReconcilerError] = []
        for give in (partial(self._free, version), self._leave):
            try:
                give(holder)
            except ReconcilerError as error:
                failures.append(error)
        if failures:
            raise StateUnreadable(
                f"the lock {holder.lock_id} could not be given back: {failures[0].message}",
                hint=f"what was written is safe; free the lock: reconciler state unlock {holder.lock_id}",
            ) from failures[0]

    def _free(self, version: Version | None, holder: Holder) -> None:
        """Take ``holder`` out of the head, if it is still in it."""
        while version is not None and version.head.holder is not None:
            if version.head.holder.lock_id != holder.lock_id:
                return
            try:
                self._swap(version, version.head.next(holder=None))
                return
            except Moved as moved:  # broken; or a write whose outcome we do not know came through
                if write_of(moved.found) == write_of(version):
                    return
                version = moved.found

    def _require_lock(self) -> None:
        if not self._writer:
            raise StateUnreadable(f"{self.describe()} cannot be written without the lock")

    def _unmoved(self) -> Version:
        """The version to replace, if it is what ``load`` showed or what we wrote since."""
        if self._failed:  # a write may have come through that we do not know of; a commit replaces it
            self._known = self._look()
            if self._known is None or self._known.head.writer != self._writer:
                raise self._fenced()
            return self._known
        assert self._known is not None
        if self._seen is not None and self._seen != self._known.head.position:
            raise moved_on(self.describe(), self._known.head.position, self._seen)
        return self._known

    def _put_aside(self, head: Head) -> Head:
        """The same head; when its lines have grown too many, they are put aside in a segment."""
        if len(head.lines) <= self.segment_bytes:
            return head
        if (len(head.segments) + 1) * self.segment_bytes > SIZE_CAP:
            raise StateUnreadable(f"{self.describe()}: the journal is longer than the {SIZE_CAP:,} bytes it may have")
        name = f"journal-{head.serial:06}-{self._writer}-{len(head.segments):03}.jsonl"
        return replace(head, segments=(*head.segments, self._kept(name, head.lines)), lines=b"")

    def _kept(self, name: str, content: bytes) -> str:
        require_small(content, self.describe())
        for _ in self._tries():
            try:
                return self._keep(name, content)
            except Unsure as error:
                unsure = error
        raise self._unwritten(unsure) from unsure

    def _replace(self, known: Version, head: Head) -> None:
        """Swap under our lock.  Raises StateUnreadable when the lock is not ours any more."""
        try:
            self._known = self._swap(known, head)
        except Moved as moved:
            raise self._fenced() from moved
        self._seen = head.position

    def _swap(self, known: Version | None, head: Head) -> Version:
        """Put ``head`` where ``known`` stands.  Raises Moved when something else stands there."""
        for _ in self._tries():
            try:
                return Version(head, self._write(known, head))
            except Unsure as error:
                unsure = error
            found = self._look_after(unsure)
            if found is not None and found.head.write == head.write:
                return found
            if write_of(found) != write_of(known) or unsure.final:
                raise Moved(found)
            known = found
        raise self._unwritten(unsure)

    def _look_after(self, unsure: Unsure) -> Version | None:
        """What stands there after a write that nobody knows the outcome of: where that cannot be read either, it is
        the write that has failed.
        """
        try:
            return self._look()
        except StateUnreadable as error:
            if isinstance(error.__cause__, Unavailable):
                raise self._unwritten(unsure) from error
            raise

    # ------------------------------------------------------------------------------------------ sentences

    def _fenced(self) -> StateUnreadable:
        return lock_broken(self._writer, self.describe())

    def _unwritten(self, why: Unsure) -> StateUnreadable:
        return StateUnreadable(
            f"{self.describe()} cannot be written: {why}",
            hint="run again when it can be reached; what is in doubt is looked for then",
        )

    def _too_busy(self) -> StateUnreadable:
        return StateUnreadable(f"{self.describe()} changes faster than it can be written", hint="try again")

    def _named(self, what: str) -> AbstractContextManager[None]:
        return named(f"{self.describe()}: {what}", "restore it from an older version, if the place keeps any")


def backoff(attempt: int) -> float:
    """Seconds to wait after failed try ``attempt`` (the first is 1): up to 0.2, 0.4, ... 3, never less than half."""
    longest = min(3.0, 0.2 * float(2 ** (attempt - 1)))
    return longest * random.uniform(0.5, 1.0)  # noqa: S311 - only spreads runs that wait for each other


def _tell_that_it_stays(holder: Holder, error: BaseException) -> None:
    """Say of the lock in the hint of what went wrong under it, which is what has to be told."""
    if isinstance(error, ReconcilerError):
        stays = f"the lock may be held still, then free it first: reconciler state unlock {holder.lock_id}"
        error.hint = f"{error.hint}; {stays}" if error.hint else stays


def write_of(version: Version | None) -> str | None:
    """The id of the write that put this version there; None where there is none."""
    return version.head.write if version else None
