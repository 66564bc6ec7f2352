"""Who we are, for a lock that others may meet.  Touches: the system's user, host and process, chance (ids)."""

from __future__ import annotations

import json
import os
import secrets
import socket
from collections.abc import Callable
from datetime import UTC, datetime

from reconciler.errors import LockHeld
from reconciler.model.provider import Holder

UNNAMED = Holder(lock_id="unknown", owner="somebody", pid=0, host="an unknown host", operation="unknown", since="?")


def new_holder(operation: str, *, now: Callable[[], datetime], job: str, lease: str) -> Holder:
    """Make this process the holder of a lock with a new id.  ``lease`` as in ``Holder``; ``job`` may be empty."""
    return Holder(
        lock_id=secrets.token_hex(6),
        owner=_user(),
        pid=os.getpid(),
        host=socket.gethostname(),
        operation=operation,
        since=now().astimezone(UTC).isoformat(timespec="seconds"),
        job=job,
        lease=lease,
    )


def told_holder(told: str | bytes) -> Holder:
    """Who left this word of himself as JSON; somebody unnamed where it cannot be read."""
    try:
        return to_holder(json.loads(told)) or UNNAMED
    except ValueError:
        return UNNAMED


def to_holder(data: object) -> Holder | None:
    """A holder from plain JSON data; None for anything else."""
    try:
        return Holder(**data) if isinstance(data, dict) else None
    except TypeError:
        return None


def lock_held(holder: Holder) -> LockHeld:
    """The error for everybody else while ``holder`` has the lock."""
    return LockHeld(
        f"another run holds the lock: {holder}",
        hint=f"wait for it: --lock-timeout 5m. It is held {holder.lease}; to break the lock of a run that is stuck or "
        f"dead: reconciler state unlock {holder.lock_id}",
    )


def _user() -> str:
    """The login name; a number where the system knows none, as in many containers."""
    import getpass  # it loads what asks for passwords, and most runs take no lock

    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"uid {os.getuid()}"
