"""Make sure that what was deleted is gone, or archived what was archived.  Touches: network (reads only), the clock.

A server that lacks the route answers 404 as well, and one may answer 204 and do nothing.  So what was deleted is
forgotten when a list that was begun after the answer does not show it any more.  The deletes of one kind below one
parent share that list: it is read when the last of them was answered.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct

from reconciler.applying.lost_creates import FIRST_PAUSE_S, LONGEST_PAUSE_S
from reconciler.applying.siblings import Siblings
from reconciler.concurrency import Stopped, unless
from reconciler.errors import ApiError, NotApplied, NotFound, OutcomeUnknown
from reconciler.model.kind import AnyKind, Removal
from reconciler.model.plan import Action, Step
from reconciler.model.provider import Clock
from reconciler.model.resource import Address
from reconciler.model.values import some_of

_Place = tuple[str, Address | None]
"""A kind, and what its objects stand in."""


class Deleted(Struct, frozen=True):
    """A removal that was answered; ``refusal`` is the answer of a server that knows no such object."""

    step: Step
    refusal: NotFound | None


Tell = Callable[[Step, ApiError | None], Awaitable[None]]
"""Hears of each removal what is wrong with it; None where the object is gone."""


class Removals:
    """The deletes of one run that were answered, until their list is due."""

    def __init__(self, steps: Iterable[Step], kinds: Mapping[str, AnyKind]) -> None:
        self._kinds = kinds
        self._to_come: dict[_Place, set[str]] = defaultdict(set)
        self._answered: dict[_Place, list[Deleted]] = defaultdict(list)
        for step in steps:
            if step.action is Action.DELETE:
                self._to_come[self._place(step)].add(step.id)

    def answered(self, deleted: Deleted) -> None:
        """A delete was answered; whether the object is gone is not known yet."""
        self._answered[self._place(deleted.step)].append(deleted)
        self.over(deleted.step)

    def over(self, step: Step) -> None:
        """No answer to this step is to come any more."""
        self._to_come[self._place(step)].discard(step.id)

    def due(self, *, is_idle: bool) -> list[list[Deleted]]:
        """What one list each can tell of: where no more is to come, and if the run ``is_idle`` otherwise, all."""
        places = [place for place in self._answered if not self._to_come[place]]
        if not places and is_idle:
            places = list(self._answered)
        return [self._answered.pop(place) for place in places]

    def _place(self, step: Step) -> _Place:
        return step.address.kind, self._kinds[step.address.kind].parent_of(step.address)


class Look(Struct, frozen=True):
    """How to see what has become of removals that share a list.  What is archived is gone.

    ``window_s`` is how long a list may go on showing what is gone; once ``stop`` is set nobody waits for that.
    """

    siblings: Siblings
    clock: Clock
    window_s: float
    stop: asyncio.Event
    on_wait: Callable[[str], None]

    async def make_sure(self, sent: Sequence[Deleted], tell: Tell) -> None:
        """Tell of each removal as soon as its end is known."""
        pause, until, left = FIRST_PAUSE_S, self.clock.monotonic() + self.window_s, sent
        while left:
            began = self.clock.monotonic()
            is_last = began >= until or self.stop.is_set()
            left = await self._look(left, tell, is_last=is_last)
            if left:
                if pause == FIRST_PAUSE_S:
                    what = f"{some_of([each.step.address for each in left], 1)} was {self._removed} and still shows"
                    self.on_wait(f"{what}; making sure for {until - began:.0f} s")
                with suppress(Stopped):
                    await unless(self.stop, self.clock.sleep(min(pause, until - began)))
                pause = min(LONGEST_PAUSE_S, pause * 2)

    async def _look(self, sent: Sequence[Deleted], tell: Tell, *, is_last: bool) -> list[Deleted]:
        """Read the list once; returns what it shows that may go yet."""
        try:
            listed = await self._listed()
        except ApiError as error:
            for each in sent:
                await tell(each.step, self._unseen(error))
            return []
        left: list[Deleted] = []
        for each in sent:
            if each.step.remote_id not in listed:
                await tell(each.step, None)
            elif each.refusal is not None:
                await tell(each.step, _refused(each.refusal))
            elif is_last:
                await tell(each.step, self._in_vain(each))
            else:
                left.append(each)
        return left

    @property
    def _removed(self) -> str:
        return "archived" if self.siblings.kind.removal is Removal.ARCHIVE else "deleted"

    def _unseen(self, error: ApiError) -> OutcomeUnknown:
        """What is to be said of a removal where the list cannot be read."""
        said = error.message.removeprefix(f"{error.method} {error.path}: ")
        what = f"nobody can tell whether the {self.siblings.kind.noun} was {self._removed}: {said}"
        return OutcomeUnknown(what, method=error.method, path=error.path, status=error.status, hint=error.hint)

    def _in_vain(self, sent: Deleted) -> ApiError:
        """What is to be said of what was accepted, and shows as ever when the time is over."""
        noun = self.siblings.kind.noun
        if self.siblings.kind.removal is not Removal.ARCHIVE:
            what = f"the platform has accepted it and still lists the {noun}"
            return _unknown(sent, what, "run the same command again: it looks first")
        what = f"the platform has accepted it, and the {noun} is not archived"
        hint = "apply again; if that changes nothing, archive it by hand"
        return NotApplied(what, method="PUT", path=str(sent.step.address), hint=hint)

    async def _listed(self) -> set[str]:
        """The ids that are listed and not archived.  Nothing is inside of what is gone itself."""
        try:
            return {item.remote_id for item in await self.siblings.read(self.clock.sleep) if not item.archived}
        except NotFound:
            if self.siblings.parent_id is None:
                raise
            return set()


def _refused(refusal: NotFound) -> NotFound:
    """The answer to a delete of what is there after all."""
    said = refusal.message.removeprefix(f"{refusal.method} {refusal.path}: ")
    return NotFound(
        f"{said}; but the platform still lists it, so nothing was deleted",
        method=refusal.method, path=refusal.path, status=refusal.status,
        hint="the server may be older than the API that is spoken here, and not know this request",
    )  # fmt: skip


def _unknown(sent: Deleted, what: str, hint: str) -> OutcomeUnknown:
    method = "DELETE" if sent.step.action is Action.DELETE else "PUT"
    return OutcomeUnknown(what, method=method, path=str(sent.step.address), hint=hint)
