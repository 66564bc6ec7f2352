"""Turn a file into a lock that one process holds and that its death frees.  Touches: disk.

The lock is the kernel's (``flock``); the file's content only says who holds it, and counts only while somebody
does.  Breaking a lock removes the file: the old holder still has its descriptor, but no longer of the file that
stands at the path, and so can find out that it is fenced.

``flock`` is reliable on local file systems.  On network file systems it depends on the server.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import time
from contextlib import suppress
from pathlib import Path

from msgspec.structs import asdict

from reconciler.model.provider import Holder
from reconciler.storage.holders import lock_held, told_holder
from reconciler.storage.refusals import require_held

SETTLING_S = 0.02
"""How long a new holder may need between getting the lock and having written who it is."""

TRIES = 1000
"""How often to try for a lock that nobody seems to hold, before giving up on the file system."""


class FileLock:
    """The lock at ``path``, whose folder must exist.  Every method may raise OSError."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._descriptor: int | None = None

    def take(self, holder: Holder) -> None:
        """Take the lock at once, in the name of ``holder``.  Raises LockHeld when somebody has it, us included."""
        descriptor = self._taken()
        try:
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(holder)).encode(), 0)
        except OSError:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def release(self) -> None:
        """Give the lock back.  Does nothing to a lock that was broken and taken by somebody else."""
        if self._descriptor is None:
            return
        with suppress(OSError):
            os.ftruncate(self._descriptor, 0)
        os.close(self._descriptor)
        self._descriptor = None

    def is_ours(self) -> bool:
        """Whether we took the lock and nobody has broken it since."""
        return self._descriptor is not None and stands_at(self._descriptor, self.path)

    def holder(self) -> Holder | None:
        """Who holds the lock right now.  What a dead holder left in the file does not count."""
        seen = None
        while (told := self._told()) is not None and told != seen:
            seen = told
            time.sleep(SETTLING_S)
        return told_holder(told) if told is not None else None

    def break_(self, lock_id: str) -> None:
        """Take the lock away from the holder with this id.  Raises UsageInvalid when there is none."""
        require_held(self.holder(), lock_id, str(self.path))
        self.path.unlink(missing_ok=True)

    def _taken(self) -> int:
        """A descriptor that holds the lock.  Tries again after those who only looked."""
        for _ in range(TRIES):
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
            if self._locked(descriptor):
                return descriptor
            os.close(descriptor)
            if (other := self.holder()) is not None:
                raise lock_held(other)
        raise OSError(errno.EDEADLK, "the file system does not settle who holds the lock")

    def _locked(self, descriptor: int) -> bool:
        """Whether the lock is now ours; false when somebody holds it, or broke it just before we got it."""
        try:
            return _flock(descriptor, fcntl.LOCK_EX) and stands_at(descriptor, self.path)
        except OSError:
            os.close(descriptor)
            raise

    def _told(self) -> bytes | None:
        """What the file says, if somebody holds it; else None.

        Looks with a shared lock: two who look do not disturb each other, and one who takes tries again.
        """
        try:
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NOFOLLOW)
        except FileNotFoundError:
            return None
        try:
            return None if _flock(descriptor, fcntl.LOCK_SH) else os.pread(descriptor, 65_536, 0)
        finally:
            os.close(descriptor)


def stands_at(descriptor: int, path: Path) -> bool:
    """Whether the open file is the one that the path leads to now."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except FileNotFoundError:
        return False


def _flock(descriptor: int, operation: int) -> bool:
    try:
        fcntl.flock(descriptor, operation | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
