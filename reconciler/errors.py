"""Every error we raise on purpose, drawn as a tree, each with the exit code it ends a run with.

ReconcilerError                     1   what happened, where, what next
├── ManifestsInvalid                1   every problem found in the manifests, with positions
├── SettingsInvalid                 1   the environment, a credential or an option is unusable
├── StateUnreadable                 1   the remembered state cannot be trusted
├── LooksLikeOutage                 1   the platform lists (almost) nothing of what we own
├── NothingOurs                     1   we remember nothing of what is declared, so nothing can be compared with it
├── ApiError                        1   a request to a vendor failed; says method, path and status
│   ├── NotApplied                      nothing happened at the vendor, for certain
│   │   ├── Unreachable                 the request never left (connection refused, DNS, TLS)
│   │   ├── NotAuthorized               401: stop sending; 403: stop sending the like
│   │   ├── PlanLimit                   402: the vendor's plan does not allow it
│   │   ├── NotFound                    404
│   │   ├── MethodMissing               405, or 404 for a whole route: the server is too old
│   │   ├── InvalidRequest              400, 413, 415, 422: the vendor refuses what we sent
│   │   ├── RateLimited                 429 for longer than we are willing to wait
│   │   └── Withheld                    a write that had not left when the run was told to stop, or a read that waited
│   ├── Conflict                        409: somebody else holds the name, or a lost create of ours does
│   ├── OutcomeUnknown                  a write may or may not have happened
│   └── ReadFailed                      a read failed for good, or its answer makes no sense
├── RefusedByPolicy                 3   the plan asks for something that was not acknowledged
├── StalePlan                       6   something moved since the plan was saved
├── LockHeld                        6   another run holds the lock
├── ConfirmationRequired            7   no terminal to ask on, and no --yes
├── RolledBack                      8   the gate failed after an apply, and the change was put back
├── RollbackFailed                  9   the gate failed after an apply, and it could not all be put back
├── UsageInvalid                    64  the command line makes no sense
└── Interrupted                     130 stopped by a signal, cleanly

No errors, but what a command returns once it has told all: 2 for changes, 4 for steps that did not work, 5 for gates.

Classified by what may have happened, not by status code: an applier may try ``NotApplied`` again, must never
blindly repeat ``OutcomeUnknown``.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import IntEnum
from typing import Literal

from msgspec import Struct


class ExitCode(IntEnum):
    """What a run ends with.  A signal's is 128 plus its number: INTERRUPTED is that of a Ctrl-C."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    REFUSED = 3
    INCOMPLETE = 4
    GATE_FAILED = 5
    STALE_OR_LOCKED = 6
    UNCONFIRMED = 7
    ROLLED_BACK = 8
    NOT_ROLLED_BACK = 9
    USAGE = 64
    INTERRUPTED = 130
    BROKEN_PIPE = 141


class ReconcilerError(Exception):
    """The root.  ``str()`` is one or more sentences for a person; ``hint`` says what to do next."""

    exit_code: int = ExitCode.ERROR

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class Problem(Struct, frozen=True, order=True):
    """One mistake in a manifest, or with the level ``warning`` what is worth knowing of one that is valid.

    ``line`` and ``column`` count from 1; 0 means the file as a whole.  ``file`` is "" for what stands in none.
    """

    file: str
    line: int
    column: int
    path: str
    message: str
    hint: str = ""
    level: Literal["error", "warning"] = "error"

    @property
    def is_error(self) -> bool:
        """Whether nothing can be planned until it is mended."""
        return self.level == "error"

    @property
    def where(self) -> str:
        """``file:line:column``, or less where there is less."""
        return f"{self.file}:{self.line}:{self.column}" if self.line else self.file

    def __str__(self) -> str:
        parts = (self.where, self.path, self.message)
        return ": ".join(filter(None, parts)) + (f"; {self.hint}" if self.hint else "")


class ManifestsInvalid(ReconcilerError):
    """The manifests are unusable; ``problems`` lists everything that is wrong, in file order."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(sorted(set(problems)))
        count = len(self.problems)
        lines = "\n".join(map(str, self.problems))
        super().__init__(f"{lines}\n{count} problem{'' if count == 1 else 's'} in the manifests")


class SettingsInvalid(ReconcilerError):
    """A credential, an environment variable or an environment's settings are missing or unusable."""


class StateUnreadable(ReconcilerError):
    """The state or its journal is damaged, newer than this program, or belongs to another platform."""


class LooksLikeOutage(ReconcilerError):
    """The platform suddenly lists so little of what we own that it is more likely broken than empty."""


class NothingOurs(ReconcilerError):
    """Nothing that is declared is ours: it was never applied, or the state is lost."""


_PASSING = (404, 408, 409, 410, 425, 429)
"""Of the answers that blame the request, those that another moment, or another look at what is there, may change."""


class ApiError(ReconcilerError):
    """A request failed.  ``status`` is None when no HTTP answer came back."""

    def __init__(self, message: str, *, method: str, path: str, status: int | None = None, hint: str = "") -> None:
        super().__init__(f"{method} {path}: {message}", hint=hint)
        self.method = method
        self.path = path
        self.status = status

    @property
    def lasts(self) -> bool:
        """Whether the same request would be answered the same: no matter of time, nor of what else is there."""
        return self.status is not None and 400 <= self.status < 500 and self.status not in _PASSING


class NotApplied(ApiError):
    """The vendor certainly did not act on the request."""


class Unreachable(NotApplied):
    """Nothing was sent: connection refused, unknown host, TLS failure."""


class NotAuthorized(NotApplied):
    """401: nothing further is sent with this credential.  403: nothing that asks for the same permission is."""


class PlanLimit(NotApplied):
    """402: the account's plan does not include this."""


class NotFound(NotApplied):
    """404: the object is not there (any more)."""


class MethodMissing(NotApplied):
    """The server has no such operation, usually because it is older than the API we speak."""


class InvalidRequest(NotApplied):
    """The vendor read the request and refused it; the message is the vendor's own."""


class RateLimited(NotApplied):
    """429, and the pause it asks for is longer than the run's deadline."""


class Withheld(NotApplied):
    """It was not sent any more, because the run was told to stop."""


class Conflict(ApiError):
    """409: the name is taken, by a stranger or by an earlier attempt of ours whose answer was lost."""


class OutcomeUnknown(ApiError):
    """The request may or may not have been carried out; look before sending it again."""


class ReadFailed(ApiError):
    """A read failed for good, or its answer cannot be understood."""


class RefusedByPolicy(ReconcilerError):
    """The plan holds refusals, or risks that were not acknowledged by name and number."""

    exit_code = ExitCode.REFUSED


class StalePlan(ReconcilerError):
    """A saved plan no longer describes the world; names what moved."""

    exit_code = ExitCode.STALE_OR_LOCKED


class LockHeld(ReconcilerError):
    """Another run holds the lock of this state; names who and since when."""

    exit_code = ExitCode.STALE_OR_LOCKED


class ConfirmationRequired(ReconcilerError):
    """The question could not be asked."""

    exit_code = ExitCode.UNCONFIRMED


class RolledBack(ReconcilerError):
    """The gate failed after an apply, and what the apply had changed was put back."""

    exit_code = ExitCode.ROLLED_BACK


class RollbackFailed(ReconcilerError):
    """The gate failed after an apply, and it could not all be put back.  The message holds what is left to send."""

    exit_code = ExitCode.NOT_ROLLED_BACK


class UsageInvalid(ReconcilerError):
    """Options that contradict each other or name something that does not exist."""

    exit_code = ExitCode.USAGE


class Interrupted(ReconcilerError):
    """A signal arrived; running requests were finished and recorded.  ``exit_code`` is 128 + the signal."""

    exit_code: int = ExitCode.INTERRUPTED
