"""The algorithm with one part taken out, so that the simulation can show that it would notice.

Each variant replaces one function of ours while it is in force.  A simulation that never fails proves nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any
from unittest.mock import patch

from msgspec.structs import replace

from reconciler.applying import creating, lost_creates
from reconciler.applying.journal import Journal
from reconciler.applying.means import Means
from reconciler.errors import NotApplied
from reconciler.model.state import Record
from reconciler.pipeline import applying
from reconciler.pipeline.session import Session
from reconciler.providers import answers, http, paging, reader
from reconciler.storage import encoding, file
from tests.simulation.world import Broken, live_through

Variant = Callable[[], AbstractContextManager[Any]]


def blind_resend() -> AbstractContextManager[Any]:
    """A POST whose outcome is unknown is sent again, as the vendors' own SDKs do."""
    pause = http._Retries.pause

    def blind(self: Any, call: Any, failure: Any, asked: Any) -> Any:
        return pause(self, replace(call, repeatable=True), failure, asked)

    return patch.object(http._Retries, "pause", blind)


def lying_errors_believed() -> AbstractContextManager[Any]:
    """A 5xx on a create counts as "nothing happened"."""
    judge = answers.judge

    def believing(call: Any, answer: Any, advice: Any) -> Any:
        result = judge(call, answer, advice)
        if not call.repeatable and answer.status in (500, 502, 503) and isinstance(result, answers.Failure):
            return replace(result, error=NotApplied)
        return result

    return patch.object(http, "judge", believing)


def no_wait() -> AbstractContextManager[Any]:
    """Absence is believed at once."""
    return patch.object(Session, "window_s", lambda *_: 0.0)


def _without(*dropped: str) -> AbstractContextManager[Any]:
    write = Journal.write

    async def forgetful(self: Journal, record: Record) -> None:
        if record["record"] not in dropped:
            await write(self, record)

    return patch.object(Journal, "write", forgetful)


def no_intents() -> AbstractContextManager[Any]:
    """Nothing is written down before a create is sent."""
    return _without("intent")


def no_results() -> AbstractContextManager[Any]:
    """Nothing is written down after a step, only at the end of the run."""
    return _without("done")


def no_marker() -> AbstractContextManager[Any]:
    """Objects carry no operation id; a lost create is recognised by its name."""
    means_of = applying.means_of

    def unmarked(*arguments: Any) -> Means:
        return replace(means_of(*arguments), marked=False)

    return patch.object(applying, "means_of", unmarked)


@contextmanager
def no_fence() -> Iterator[None]:
    """A store that does not notice that its lock was broken."""
    with (
        patch.object(file.FileStore, "_require_lock", lambda _: None),
        patch.object(file.FileStore, "_require_journal", lambda *_: None),
    ):
        yield


def no_second_question() -> AbstractContextManager[Any]:
    """Nobody asks whether the lock is still ours before a write is sent; only the journal would notice."""

    async def trusting(_: Journal) -> None:
        return

    return patch.object(Journal, "confirm", trusting)


def clock_after_list() -> AbstractContextManager[Any]:
    """The moment of a list is taken when it has been read, not when it was begun."""
    make = lost_creates.LostCreates._list

    def late(self: Any, *arguments: Any) -> Any:
        made = make(self, *arguments)

        class Late:
            def __getattr__(_, name: str) -> Any:  # noqa: N805 - the outer self is meant
                return self.clock.monotonic() if name == "began" else getattr(made, name)

        return Late()

    return patch.object(lost_creates.LostCreates, "_list", late)


def window_from_sending() -> AbstractContextManager[Any]:
    """The window is counted from when the request was sent, not from when it was given up."""
    return patch.object(creating.Creating, "_look_for", _shifted(creating.Creating._look_for, http.Limits().write_s))


def window_from_the_journal() -> AbstractContextManager[Any]:
    """What a dead process left in doubt is believed to be settled, because it was written down a while ago."""
    return patch.object(creating.Creating, "_look_for", _shifted(creating.Creating._look_for, 50.0))


def _shifted(look_for: Any, seconds: float) -> Any:
    async def early(self: Any, creation: Any, **how: Any) -> Any:
        given_up = creation.given_up
        early = replace(creation, given_up=None if given_up is None else given_up - seconds)
        return await look_for(self, early, **how)

    return early


def torn_line_is_damage() -> AbstractContextManager[Any]:
    """A journal whose last line was torn by a crash cannot be read."""
    return patch.object(encoding, "_whole_lines", lambda content: content.removesuffix(b"\n").split(b"\n"))


def snapshot_in_place() -> AbstractContextManager[Any]:
    """The snapshot is written over the old one instead of beside it."""

    def in_place(_: Any, path: Any, content: bytes) -> None:
        with path.open("r+b" if path.exists() else "wb", buffering=0) as out:
            out.truncate(0)
            file._write(out.fileno(), content)

    return patch.object(file.FileStore, "_put", in_place)


@contextmanager
def lists_are_believed() -> Iterator[None]:
    """What a list leaves out is gone: nobody looks a second time."""

    async def gone(*_: Any) -> None:
        return None

    with (
        patch.object(creating.Creating, "still_there", gone),
        patch.object(reader._Expected, "lacks", lambda *_: False),
    ):
        yield


def first_pages_are_believed() -> AbstractContextManager[Any]:
    """A page that shows what was shown before is taken for the end of the list, whatever number of pages it tells."""
    take = paging.Paging._repeats

    def believing(*arguments: Any) -> bool:
        take(*arguments)
        return False

    return patch.object(paging.Paging, "_repeats", believing)


@dataclass(frozen=True)
class Caught:
    """The seed at which a variant was caught, after so many worlds, and how."""

    seed: int
    worlds: int
    how: str


def caught(variant: Variant, within: int, *, start: int = 0, **options: Any) -> Caught | None:
    """Live through at most ``within`` worlds of a broken algorithm; the first that breaks."""
    for number, seed in enumerate(range(start, start + within), start=1):
        try:
            with variant():
                live_through(seed, **options)
        except Broken as problem:
            return Caught(seed, number, str(problem))
    return None
