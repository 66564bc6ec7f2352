"""Make an object, once and not twice.  Touches: network, journal, the clock.

A create is written down before it is sent; if its answer is lost it is looked for, never blindly sent again
(``lost_creates``).

No vendor knows "create it unless it is there", so all that keeps two objects of one name apart is how young the list is
that shows none.  Nothing is fetched twice in a run, but for the lists that prove absence: a long run reads the list of
a parent again, once for all creates of some seconds, unless it made that parent just now.
"""

from __future__ import annotations

import json
import math
from contextlib import closing

from msgspec import Struct
from msgspec.structs import replace

from reconciler.applying.lost_creates import SHARED_UNSENT_S, Absence, LostCreates, Sought
from reconciler.applying.means import Known, Means
from reconciler.applying.memory import Memory
from reconciler.applying.requests import Requests
from reconciler.applying.second_looks import SecondLooks
from reconciler.applying.siblings import Siblings
from reconciler.errors import ApiError, Conflict, NotApplied, NotFound, OutcomeUnknown
from reconciler.model.call import Call, Reply
from reconciler.model.plan import FieldChange, Step
from reconciler.model.resource import Address, LiveObject
from reconciler.model.spec import Mark
from reconciler.model.state import Entry, Intent

MOST_SENDS = 3
"""How often one create is sent at the most, each time after its absence was proven."""

GREATEST_AGE_S = 10.0
"""How old the proof of absence may be when a create leaves."""

IN_GOOD_TIME_S = 2.0
"""So long before it gets too old a proof is not relied on any more: a create may wait for its turn."""

APPLY_AGAIN = "apply again: the plan says what is to be done about it"

MOST_PROOFS = 20
"""How often absence is proven anew for one send at the most, while something holds it up each time."""


class _HeldUp(Exception):
    """A create was not sent, because it was held up until its proof of absence had grown old."""


class _Creation(Struct, frozen=True):
    """An object that is to be made, and what may have been made of it already.

    ``op`` is the operation that its marker names.  ``missing`` is what we remember of the address although the
    platform has not listed its object.  ``given_up`` is the monotonic second at which the last create that may have
    been carried out was given up; None where none was sent.  ``retiring`` are ids of what it is made in place of.
    """

    step: Step
    op: str
    missing: Entry | None
    given_up: float | None
    retiring: tuple[str, ...]

    @property
    def is_unsent(self) -> bool:
        return self.given_up is None


class Creating:
    """The creates of one run: they share what is known of what else is there."""

    def __init__(self, known: Known, means: Means, memory: Memory, requests: Requests) -> None:
        self._known, self._means, self._memory, self._requests = known, means, memory, requests
        owned = frozenset(each for entry in memory.entries.values() for each in (entry.remote_id, *entry.retiring))
        began, listed = means.clock.monotonic(), frozenset(memory.live) - (self._perhaps_ours() - owned)
        self._lost = LostCreates(means.clock, listed, owned, began, means.on_wait, means.stop)
        self._second_looks = SecondLooks(means.clock)
        self._born: dict[str, float] = {}
        """When we began to make an object, by its id: nothing can have stood inside it then."""

    def _perhaps_ours(self) -> set[str]:
        """The ids of what an earlier run may have made without an answer, where there is no room for a marker."""
        doubts = self._known.state.in_doubt
        named = (item for item in self._memory.live.values() if item.address in doubts) if doubts else ()
        return {item.remote_id for item in named if self._means.kinds[item.address.kind].marker is None}

    async def close(self) -> None:
        """Read no list any further."""
        await self._lost.close()

    async def create(self, step: Step, retiring: tuple[str, ...] = ()) -> Entry:
        """Send the create, or find what an unanswered one made.  Returns what to remember, already journalled.

        Raises NotApplied or Conflict when there is no such object for certain, OutcomeUnknown when nobody can tell.
        """
        doubt = self._memory.doubt(step)
        creation = self._creation(step, doubt, retiring)
        if creation.is_unsent and (overlooked := await self._overlooked(creation)) is not None:
            return overlooked
        if doubt is None:
            await self._require_no_former(step)
        for attempt in range(1, MOST_SENDS + 1):
            made = await self._made_already(creation)
            if isinstance(made, Entry):
                return made
            await self._memory.intend(step, creation.op, attempt)
            try:
                return await self._send(creation, absence=made)
            except Conflict as error:
                return await self._met(creation, error)
            except OutcomeUnknown as error:
                creation, unanswered = replace(creation, given_up=self._means.clock.monotonic()), error
        raise unanswered

    def _creation(self, step: Step, doubt: Intent | None, retiring: tuple[str, ...]) -> _Creation:
        """What is to be made, and whether an earlier run may have done so: it got no answer, or no list showed it."""
        missing = self._memory.missing(step.address)
        lagging = _lagging(missing)
        return _Creation(
            step,
            doubt.op if doubt else self._means.new_op(),
            missing,
            self._lost.began if doubt or lagging else None,
            tuple(each for each in retiring if each != lagging),
        )

    # -- what there is already

    async def _made_already(self, creation: _Creation) -> Entry | Absence:
        """What an earlier send made, remembered; or the proof that there is no such object.  Raises ApiError."""
        if creation.is_unsent:
            return await self._absence(creation)
        looked = await self._look_for(creation)
        if isinstance(looked, LiveObject):
            return await self._found(creation, looked)
        if _lagging(creation.missing) is not None:  # its create was answered: one list proves too little
            return await self._overlooked(creation, looked.at) or looked
        return looked

    async def _look_for(self, creation: _Creation, *, taken: bool = False) -> LiveObject | Absence:
        """What the create made that was given up, or the proof of its absence.

        Where nothing was sent yet, what has appeared is somebody else's.  ``taken``: the platform says that something
        has the name.  Raises OutcomeUnknown where something was sent and cannot be looked for.
        """
        step, by_name, until = creation.step, False, -math.inf
        if creation.given_up is not None:
            by_name = self._is_known_by_name(step, creation.op)
            until = self._shows_by(step.address, creation.given_up)
        sought = Sought(step.address, creation.op, step.fields, by_name, until, _lagging(creation.missing), taken)
        try:
            return await self._lost.find(sought, self._requests.siblings(step.address))
        except ApiError as error:
            if creation.is_unsent:
                raise
            raise _unknown(f"nobody can tell whether it was made: {_reason(error)}", error) from error

    def _is_known_by_name(self, step: Step, op: str) -> bool:
        """Whether nothing but its name and its files tell what a create made: there may be no room for the marker."""
        kind = self._means.kinds[step.address.kind]
        if not self._means.marked or kind.marker is None:
            return True
        if not kind.unique_names:
            return False
        assert kind.create is not None
        with closing(kind.create(self._requests.to_write(step, op), self._requests.wire(step.address))) as flow:
            first = next(flow)
        return not isinstance(first, Call) or op not in json.dumps(first.body)

    async def _overlooked(self, creation: _Creation, since: float = -math.inf) -> Entry | None:
        """What a list has left out although we remember it, and a second one (begun at ``since`` or later) shows."""
        missing = creation.missing
        if missing is None:
            return None
        there = await self.still_there(creation.step.address, missing, since)
        if there is None:
            return None
        if not missing.unlisted:
            self._means.on_wait(
                f"{creation.step.address} was there all along: lists had left it out, nothing was created"
            )
        return await self._found(creation, there)

    async def still_there(self, address: Address, entry: Entry, since: float = -math.inf) -> LiveObject | None:
        """The object of ``entry``, if a second list of its siblings shows it."""
        siblings = self._requests.remembered_siblings(address)
        return (await self._second_looks.at(siblings, since)).get(entry.remote_id) if siblings is not None else None

    async def has_shown(self, step: Step) -> bool:
        """Whether a create that is to be forgotten has made something that no list had shown when that was decided.

        Waits until it cannot show any more.  Raises ApiError.
        """
        doubt = self._memory.doubt(step) if step.remote_id is None else None
        siblings = self._requests.remembered_siblings(step.address) if doubt is not None else None
        if doubt is None or siblings is None:  # nothing is in doubt, or it would stand in what is gone
            return False
        by_name = not self._means.marked or siblings.kind.marker is None
        until = self._shows_by(step.address, self._lost.began)
        found = await self._shown(Sought(step.address, doubt.op, {}, by_name, until), siblings)
        return found is not None and not found.archived and found.remote_id not in self._memory.live

    async def _require_no_former(self, step: Step) -> None:
        """Raise NotApplied where the object that should only be renamed is there: a list had left it out.

        Waits for one that no list has shown yet, until it cannot show any more.
        """
        for former in self._known.resources[step.address].renamed_from:
            missing = self._memory.missing(former)
            if missing is None:
                continue
            is_there = await self._will_show(former, missing) if missing.unlisted else False
            if is_there or await self.still_there(former, missing) is not None:
                what = f"{former} is at the platform after all: a list had left it out"
                raise _not_made(step, what, "apply again: it is renamed then")

    async def _will_show(self, address: Address, made: Entry) -> bool:
        """Whether what an earlier run made, and no list has shown since, shows before the window is over."""
        siblings = self._requests.remembered_siblings(address)
        if siblings is None:
            return False
        until = self._shows_by(address, self._lost.began)
        sought = Sought(address, made.op or "", {}, by_name=False, until=until, remote_id=made.remote_id)
        return await self._shown(sought, siblings) is not None

    def _shows_by(self, address: Address, given_up: float) -> float:
        """The monotonic second from which on a list shows what a create given up at that one has made."""
        return given_up + self._means.window_s(self._requests.provider(address))

    async def _shown(self, sought: Sought, siblings: Siblings) -> LiveObject | None:
        """What a create has made; None where it has made nothing, or what it would stand in is gone."""
        try:
            found = await self._lost.find(sought, siblings)
        except NotFound:
            return None
        return found if isinstance(found, LiveObject) else None

    # -- the proof that there is none

    async def _absence(self, creation: _Creation) -> Absence:
        """The proof that there is no such object, for a create that was never sent.  Raises ApiError.

        When it is about to grow too old a new one is read beside the creates that can still rely on it.
        """
        step = creation.step
        at = self._absent_since(step)
        age_s = self._means.clock.monotonic() - at
        if age_s <= SHARED_UNSENT_S or (not self._renew(step) and age_s <= GREATEST_AGE_S - IN_GOOD_TIME_S):
            return Absence(at)
        found = await self._look_for(creation)
        assert isinstance(found, Absence)
        return found

    def _absent_since(self, step: Step) -> float:
        """When what was read for the plan, or the making of its parent, showed that there is no such object."""
        return max(self._known.read_at, self._born.get(self._requests.parent_id(step.address) or "", -math.inf))

    def _renew(self, step: Step) -> bool:
        """Have a young list read that shows the step's object if it is there; whether there is one already."""
        return self._lost.renew(self._requests.siblings(step.address))

    @property
    def needs_no_proof(self) -> bool:
        """Whether what was read for the plan is young enough to be relied on for a while."""
        return self._means.clock.monotonic() - self._known.read_at <= SHARED_UNSENT_S

    def look_ahead(self, step: Step) -> None:
        """Renew the proof that the create of ``step`` will need soon."""
        if self._means.clock.monotonic() - self._absent_since(step) > SHARED_UNSENT_S:
            self._renew(step)

    # -- sending

    async def _send(self, creation: _Creation, absence: Absence) -> Entry:
        """Send it once the proof of absence is young enough, and nobody else has made one of this name meanwhile.

        Returns what to remember of it, or of what an earlier send made after all.
        """
        step = creation.step
        for _ in range(MOST_PROOFS):
            if absence.stranger is not None:
                await self._memory.not_applied(step)
                noun = self._means.kinds[step.address.kind].noun
                what = f"somebody has made a {noun} of this name meanwhile ({absence.stranger.remote_id})"
                raise _not_made(step, what, "plan again to see it")
            try:
                remote_id = await self._sent(creation, absence)
            except _HeldUp:
                looked = await self._proven_anew(creation)
            else:
                return await self._created(creation, remote_id, creation.op)
            if isinstance(looked, LiveObject):
                return await self._found(creation, looked)
            absence = looked
        await self._memory.not_applied(step)
        raise _not_made(step, f"it could not be sent before its absence check expired ({MOST_PROOFS} tries)")

    async def _sent(self, creation: _Creation, absence: Absence) -> str:
        """The id of the new object.  Raises ApiError, and _HeldUp when ``absence`` has grown old before it left."""
        step, began = creation.step, self._means.clock.monotonic()
        kind = self._means.kinds[step.address.kind]
        assert kind.create is not None
        accepted: list[Call] = []

        async def permit() -> None:
            await self._means.confirm()
            if self._means.clock.monotonic() - absence.at > GREATEST_AGE_S:
                raise _HeldUp

        send_one = self._requests.sender(step, permit)

        async def send(call: Call) -> Reply:
            reply = await send_one(call)
            if not call.repeatable:
                accepted.append(call)
            return reply

        flow = kind.create(self._requests.to_write(step, creation.op), self._requests.wire(step.address))
        try:
            made = await self._requests.drive(step, flow, send)
        except NotApplied as error:
            if accepted:  # the object exists; a later request of the same create was refused
                raise _unknown(f"created, but not finished: {error.message}", error) from error
            await self._memory.not_applied(step)
            raise
        if made not in self._lost.known and made not in self._lost.owned:
            self._born[made] = began
        return made

    async def _proven_anew(self, creation: _Creation) -> LiveObject | Absence:
        try:
            return await self._look_for(creation)
        except ApiError:
            if creation.is_unsent:  # so nothing is in doubt
                await self._memory.not_applied(creation.step)
            raise

    async def _met(self, creation: _Creation, error: Conflict) -> Entry:
        """What to remember where the platform has such an object already: it may be what a send of ours made.

        That of this very send, too: a proxy may send it twice, and tell what the second one was answered.
        """
        is_there = "what is there is not ours"
        if not creation.is_unsent or not self._is_known_by_name(creation.step, creation.op):
            creation = replace(creation, given_up=self._means.clock.monotonic())
            looked = await self._look_for(creation, taken=True)
            if isinstance(looked, LiveObject):
                return await self._found(creation, looked)
            if looked.stranger is None:
                is_there = "no list shows what that is"
        await self._memory.not_applied(creation.step)
        raise NotApplied(
            f"{_reason(error).removesuffix('.')}; {is_there}",
            method=error.method, path=error.path, status=error.status, hint="plan again to see it",
        ) from error  # fmt: skip

    # -- remembering

    async def _found(self, creation: _Creation, live: LiveObject) -> Entry:
        """Remember what a create has made, and bring it in line with what is wanted by now.

        The manifests may have been edited since; and a create of several requests may have been cut short between them,
        so what the platform does not show is sent again.  Raises NotApplied, with what is there remembered, where it
        differs in what cannot be changed in place.
        """
        step, missing = creation.step, creation.missing
        meant = missing.op if missing is not None and missing.remote_id == live.remote_id else creation.op
        op = live.op or meant
        kind = self._means.kinds[step.address.kind]
        never_shown = {name for name, shape in kind.shapes.items() if Mark.WRITE_ONLY in shape.marks}
        hidden = never_shown & step.fields.keys()
        lacking = self._lacking(creation, live)
        unsent = frozenset(hidden | {change.top for change in lacking})
        entry = await self._created(creation, live.remote_id, op, unsent)
        if fixed := [change.path for change in lacking if change.create_only or kind.update is None]:
            what = f"made by an earlier create, and it differs in {', '.join(fixed)}, which cannot be changed in place"
            raise _not_made(step, what, APPLY_AGAIN)
        if not (unsent or live.archived) or kind.update is None:
            return entry
        write = replace(self._requests.to_write(step, op, live), changed=unsent)
        await self._requests.drive(step, kind.update([write], self._requests.wire(step.address)))
        return await self._created(creation, live.remote_id, op)

    def _lacking(self, creation: _Creation, live: LiveObject) -> tuple[FieldChange, ...]:
        """What separates ``live`` from what is wanted; of a create that was never answered only what shows."""
        step, missing = creation.step, creation.missing
        applied = missing.applied if missing is not None and missing.remote_id == live.remote_id else step.fields
        return self._means.lacking(step.address, step.fields, live, applied, self._memory.ids)

    async def _created(
        self, creation: _Creation, remote_id: str, op: str | None, without: frozenset[str] = frozenset()
    ) -> Entry:
        """Remember a new object; ``without`` names fields of which it is not known that they arrived."""
        step = creation.step
        self._memory.ids[step.address] = remote_id
        entry = self._memory.entry(step, remote_id, op if self._means.marked else None, creation.retiring)
        await self._memory.bring_along(step)
        entry = replace(entry.without(without) if without else entry, unlisted=True)
        await self._memory.keep(step.address, entry)
        return entry


def _lagging(missing: Entry | None) -> str | None:
    """The id of an object whose create was answered, and that no list has shown since."""
    return missing.remote_id if missing is not None and missing.unlisted else None


def _not_made(step: Step, what: str, hint: str = "") -> NotApplied:
    """The refusal to send a create, or to take what is there for what it makes."""
    return NotApplied(what, method="POST", path=str(step.address), hint=hint)


def _unknown(what: str, error: ApiError) -> OutcomeUnknown:
    """The same failure, where nobody can tell what it has left."""
    return OutcomeUnknown(what, method=error.method, path=error.path, status=error.status, hint=error.hint)


def _reason(error: ApiError) -> str:
    """The error without the request in front of it."""
    return error.message.removeprefix(f"{error.method} {error.path}: ")
