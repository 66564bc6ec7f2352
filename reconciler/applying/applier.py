"""Carry out a plan's steps: in order, several at once, each written down before and after.  Touches: network, journal.

A failed step takes only what waits for it along.  A create is written down before it is sent; if its answer is lost
it is looked for, never blindly sent again (``lost_creates``).  Everything else is safe to repeat: the next run does.

A process may be frozen between any two instructions, and go on in another world.  So right before a write leaves, the
lock must still be ours, and before a create the proof that there is no such object must be young.
"""

from __future__ import annotations

import asyncio
import json
import math
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.applying.lost_creates import SHARED_UNSENT_S, Absence, LostCreates, Sought
from reconciler.applying.ready import Ready
from reconciler.applying.second_looks import SecondLooks
from reconciler.applying.siblings import Siblings
from reconciler.errors import (
    ApiError,
    Conflict,
    InvalidRequest,
    NotApplied,
    NotAuthorized,
    OutcomeUnknown,
    StateUnreadable,
)
from reconciler.model.checkout import from_top
from reconciler.model.flow import Send, drive
from reconciler.model.kind import AnyKind, Call, Mark, Replace, Reply, Wire, Write
from reconciler.model.outcome import StepOutcome, StepStatus
from reconciler.model.plan import Action, Plan, Step
from reconciler.model.provider import Clock, Provider
from reconciler.model.resource import Address, Live, LiveObject, Resource
from reconciler.model.state import Entry, Intent, Record, State, entry_to_json

MOST_SENDS = 3
"""How often one create is sent at the most, each time after its absence was proven."""

GREATEST_AGE_S = 10.0
"""How old the proof of absence may be when a create leaves."""

IN_GOOD_TIME_S = 2.0
"""So long before it gets too old a proof is not relied on any more: a create may wait for its turn."""

LOOK_AHEAD = 4
"""A proof is renewed so many times as many steps ahead as requests may be under way.  A step takes little longer than
a request, so the list is there when the create is, and nobody waits for it."""

MOST_PROOFS = 20
"""How often absence is proven anew for one send at the most, while something holds it up each time."""


class Means(Struct, frozen=True):
    """What the applier works with.

    ``write`` makes one journal record durable; ``confirm`` raises when this run must not write to the platform any
    more, because somebody broke its lock.  ``new_op`` gives an unguessable operation id.  ``window_s`` is the
    uncertainty window: how long an abandoned request may still take effect and stay invisible.  ``marked`` says
    whether objects get the ownership marker.  ``root`` is the folder that paths of files are relative to.  ``stop`` is
    set when nothing new may start.
    """

    providers: Mapping[str, Provider]
    kinds: Mapping[str, AnyKind]
    clock: Clock
    write: Callable[[Record], Awaitable[None]]
    confirm: Callable[[], Awaitable[None]]
    new_op: Callable[[], str]
    window_s: Callable[[Provider], float]
    marked: bool = True
    parallelism: int = 16
    root: Path = field(default_factory=Path)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    on_start: Callable[[Step], None] = lambda _: None
    on_end: Callable[[Step, StepOutcome], None] = lambda _, __: None
    on_wait: Callable[[str], None] = lambda _: None


class World(Struct, frozen=True):
    """What is wanted and known when the run starts.  ``ids`` holds the remote id of every known address.

    ``live`` was read from the monotonic second ``read_at`` on.  ``home`` is where the manifests' names start, from the
    top of the checkout.
    """

    resources: Mapping[Address, Resource]
    state: State
    live: Live
    ids: Mapping[Address, str]
    read_at: float
    home: str = "."


async def apply(plan: Plan, world: World, means: Means) -> tuple[StepOutcome, ...]:
    """Carry out every pending step; returns one outcome for each, in the plan's order.

    Raises no ApiError, but what ``write`` and ``confirm`` raise: then nothing more is sent.
    """
    return await _Run(plan, world, means).go()


class _HeldUp(Exception):
    """A create was not sent, because it was held up until its proof of absence had grown old."""


class _Run:
    """One application of one plan: what is ready, what runs, what came of it."""

    def __init__(self, plan: Plan, world: World, means: Means) -> None:
        self.world, self.means = world, means
        self.steps = {step.id: step for step in plan.pending}
        self.ids = dict(world.ids)
        self.live = world.live.by_id()
        self.entries: dict[Address, Entry] = dict(world.state.entries)
        self.outcomes: dict[str, StepOutcome] = {}
        self.waits = {step.id: {other for other in step.after if other in self.steps} for step in plan.pending}
        self.waited_for: dict[str, list[str]] = defaultdict(list)
        for step_id, others in self.waits.items():
            for other in others:
                self.waited_for[other].append(step_id)
        self.former_roots = {
            (step.address.vendor, step.address.root): step.former.root
            for step in plan.pending
            if step.action is Action.RENAME and step.former is not None and len(step.address.path) == 1
        }
        self.brought_along: set[Address] = set()
        self.born: dict[str, float] = {}
        """When we began to make an object, by its id: nothing can have stood inside it then."""
        self.ready = Ready(means.kinds, self._opens)
        self.opening: dict[str, int] = {}
        """How many steps wait for the roots that are under way."""
        self.refused = ""
        self.second_looks = SecondLooks(means.clock)
        owned = frozenset(each for entry in self.entries.values() for each in (entry.remote_id, *entry.retiring))
        now, known = means.clock.monotonic(), frozenset(self.live) - (self._perhaps_ours() - owned)
        self.lost = LostCreates(means.clock, known, owned, now, means.on_wait)

    def _perhaps_ours(self) -> set[str]:
        """The ids of what an earlier run may have made without an answer, where there is no room for a marker."""
        doubts = self.world.state.in_doubt
        named = (item for item in self.live.values() if item.address in doubts) if doubts else ()
        return {item.remote_id for item in named if self.means.kinds[item.address.kind].marker is None}

    async def go(self) -> tuple[StepOutcome, ...]:
        for step in self.steps.values():
            if not self.waits[step.id]:
                self.ready.put(step)
        try:
            await self._carry_out_all(_InFlight())
        finally:
            await self.lost.close()
        for step in self.steps.values():
            if step.id not in self.outcomes:
                why = self.refused or "the run was interrupted before it was its turn"
                self._finish(step, StepOutcome(step.id, StepStatus.SKIPPED, why))
        return tuple(self.outcomes[step_id] for step_id in self.steps)

    async def _carry_out_all(self, in_flight: _InFlight) -> None:
        while True:
            while unit := self._next_unit(len(in_flight)):
                in_flight.start(self._carry_out(unit))
                self._look_ahead()
            if not in_flight:
                return
            await in_flight.one_less()

    def _next_unit(self, in_flight: int) -> list[Step]:
        """What may start now that so many are under way, if anything.

        More steps than requests: while one waits for its record, another one's request is sent.  The provider holds
        back what is too much.  Who asks for one request at a time gets one step after the other.  A root is begun in
        time for what waits for it to go on where the others end.
        """
        most = self.means.parallelism
        if in_flight >= 2 * most - 1 or self.means.stop.is_set() or self.refused:
            return []
        if len(self.ready) + sum(self.opening.values()) < LOOK_AHEAD * most and (roots := self.ready.next_root()):
            self.opening.update((step.id, self._opens(step)) for step in roots)
            return roots
        return self.ready.next_unit()

    # -- scheduling

    def _opens(self, step: Step) -> int:
        return len(self.waited_for.get(step.id, ()))

    def _parent_path(self, address: Address) -> tuple[str, ...]:
        return address.path[: -len(self.means.kinds[address.kind].identity)]

    def _finish(self, step: Step, outcome: StepOutcome) -> None:
        self.outcomes[step.id] = outcome
        self.opening.pop(step.id, None)
        self.means.on_end(step, outcome)
        for waiting in self.waited_for[step.id]:
            self.waits[waiting].discard(step.id)
            if outcome.status is not StepStatus.DONE and waiting not in self.outcomes:
                reason = f"it waits for {step.address}, which is {outcome.status.value}"
                self._finish(self.steps[waiting], StepOutcome(waiting, StepStatus.SKIPPED, reason))
            elif not self.waits[waiting] and waiting not in self.outcomes:
                self.ready.put(self.steps[waiting])

    # -- carrying out

    async def _carry_out(self, unit: list[Step]) -> None:
        for step in unit:
            self.means.on_start(step)
        await self._attempt(unit)

    async def _attempt(self, unit: list[Step]) -> None:
        try:
            await self._act(unit)
        except NotAuthorized as error:
            self.refused = f"stopped, because {error.message}"
            self._fail(unit, error, StepStatus.FAILED)
        except OutcomeUnknown as error:
            self._fail(unit, error, StepStatus.UNKNOWN)
        except ApiError as error:
            left = [step for step in unit if step.id not in self.outcomes]
            if isinstance(error, InvalidRequest) and len(left) > 1:  # find the one the platform refuses
                middle = len(left) // 2
                await self._attempt(left[:middle])
                await self._attempt(left[middle:])
                return
            self._fail(left, error, StepStatus.FAILED)

    def _fail(self, unit: list[Step], error: ApiError, status: StepStatus) -> None:
        for step in unit:
            if step.id not in self.outcomes:
                self._finish(step, StepOutcome(step.id, status, error.message, error.hint, step.remote_id))

    async def _act(self, unit: list[Step]) -> None:
        step = unit[0]
        match step.action:
            case Action.CREATE:
                known = self._known(step.former or step.address)
                retiring = self._replaced_by(step) or (known.retiring if known else ())
                await self._remember(step, await self._create(step, retiring))
            case Action.REPLACE:
                await self._replace(step)
            case Action.ADOPT:
                await self._adopt(step)
            case Action.FORGET:
                await self._forget(step)
            case _:
                await self._write_together(unit)

    async def _create(self, step: Step, retiring: tuple[str, ...] = ()) -> Entry:
        """Send the create, or find what an unanswered one made.  Returns what to remember, already journalled.

        Raises NotApplied or Conflict when there is no such object for certain, OutcomeUnknown when nobody can tell.
        """
        doubt = self._doubt(step)
        op = doubt.op if doubt else self.means.new_op()
        missing = self._missing(step.address)
        lagging = missing.remote_id if missing is not None and missing.unlisted else None
        retiring = tuple(each for each in retiring if each != lagging)
        since = self.lost.began if doubt or lagging else None
        if missing is not None and since is None:
            there = await self._still_there(step.address, missing)
            if there is not None:
                return await self._found(step, there, missing.op, retiring)
        if doubt is None:
            await self._require_no_former(step)
        absence = await self._absent(step, op) if since is None else None
        for attempt in range(1, MOST_SENDS + 1):
            if absence is None:
                looked = await self._look_for(step, op, since, lagging)
                if isinstance(looked, LiveObject):
                    return await self._found(step, looked, op, retiring)
                if missing is not None and lagging is not None:  # its create was answered: one list proves too little
                    there = await self._still_there(step.address, missing, looked.at)
                    if there is not None:
                        return await self._found(step, there, missing.op, retiring)
                absence = looked
            await self.means.write({"record": "intent", "address": str(step.address), "op": op, "attempts": attempt})
            try:
                made = await self._send_create(step, op, absence, since, lagging)
                if isinstance(made, LiveObject):
                    return await self._found(step, made, op, retiring)
                return await self._created(step, made, op, retiring)
            except Conflict as error:
                # The first send of an operation can not have met an object of its own.
                found = None if since is None else await self._look_for(step, op, since, lagging)
                if not isinstance(found, LiveObject):
                    await self._not_applied(step)
                    raise NotApplied(
                        f"{_reason(error).removesuffix('.')}; what is there is not ours",
                        method=error.method, path=error.path, status=error.status, hint="plan again to see it",
                    ) from error  # fmt: skip
                return await self._found(step, found, op, retiring)
            except OutcomeUnknown as error:
                since, unanswered, absence = self.means.clock.monotonic(), error, None
        raise unanswered

    async def _send_create(
        self, step: Step, op: str, absence: Absence, since: float | None, lagging: str | None
    ) -> str | LiveObject:
        """Send it once the proof of absence is young enough, and nobody else has made one of this name meanwhile.

        Returns the new id, or what an earlier send made after all (``since`` is when that one was given up).
        """
        for _ in range(MOST_PROOFS):
            if absence.stranger is not None:
                await self._not_applied(step)
                raise NotApplied(
                    f"somebody has made a {self.means.kinds[step.address.kind].noun} of this name meanwhile "
                    f"({absence.stranger.remote_id})",
                    method="POST", path=str(step.address), hint="plan again to see it",
                )  # fmt: skip
            try:
                return await self._sent_create(step, op, absence)
            except _HeldUp:
                looked = await self._proven_anew(step, op, since, lagging)
            if isinstance(looked, LiveObject):
                return looked
            absence = looked
        await self._not_applied(step)
        raise NotApplied("not sent, because it was held up again and again", method="POST", path=str(step.address))

    # Nothing is fetched twice in a run, but for the lists that prove absence.  No vendor knows "create it unless it is
    # there", so all that keeps two objects of one name apart is how young the list is that shows none.  A long run
    # reads the list of a parent again, once for all creates of some seconds, unless it made that parent just now.

    async def _absent(self, step: Step, op: str) -> Absence:
        """The proof that there is no such object, for a create that was never sent.  Raises ApiError.

        When it is about to grow too old a new one is read beside the creates that can still rely on it.
        """
        known = self._absent_since(step.address)
        age_s = self.means.clock.monotonic() - known
        if age_s <= SHARED_UNSENT_S or (not self._renew(step) and age_s <= GREATEST_AGE_S - IN_GOOD_TIME_S):
            return Absence(known)
        found = await self._look_for(step, op, None, None)
        assert isinstance(found, Absence)
        return found

    def _absent_since(self, address: Address) -> float:
        """When what was read for the plan, or the making of its parent, showed that there is no such object."""
        return max(self.world.read_at, self.born.get(self._parent_id(address) or "", -math.inf))

    def _renew(self, step: Step) -> bool:
        """Have a young list read that shows the step's object if it is there; whether there is one already."""
        return self.lost.renew(self._siblings(step.address, self._parent_id(step.address)))

    def _look_ahead(self) -> None:
        """Renew the proofs that creates will need soon."""
        if self.means.clock.monotonic() - self.world.read_at <= SHARED_UNSENT_S:
            return  # all of them are young
        step = self.ready.soon(LOOK_AHEAD * self.means.parallelism)
        if step is None or step.action is not Action.CREATE:
            return
        if self.means.clock.monotonic() - self._absent_since(step.address) > SHARED_UNSENT_S:
            self._renew(step)

    async def _proven_anew(self, step: Step, op: str, since: float | None, lagging: str | None) -> LiveObject | Absence:
        try:
            return await self._look_for(step, op, since, lagging)
        except ApiError:
            if since is None:  # nothing was sent, so nothing is in doubt
                await self._not_applied(step)
            raise

    async def _sent_create(self, step: Step, op: str, absence: Absence) -> str:
        kind = self.means.kinds[step.address.kind]
        assert kind.create is not None
        accepted: list[Call] = []
        send_one, began = self._sender(step, absence), self.means.clock.monotonic()

        async def send(call: Call) -> Reply:
            reply = await send_one(call)
            if not call.repeatable:
                accepted.append(call)
            return reply

        try:
            made = await drive(kind.create(self._to_write(step, op), self._wire(step)), send, self.means.clock.sleep)
        except NotApplied as error:
            if accepted:  # the object exists; a later request of the same create was refused
                raise OutcomeUnknown(
                    f"created, but not finished: {error.message}",
                    method=error.method, path=error.path, status=error.status, hint=error.hint,
                ) from error  # fmt: skip
            await self._not_applied(step)
            raise
        if made not in self.lost.known and made not in self.lost.owned:
            self.born[made] = began
        return made

    async def _look_for(self, step: Step, op: str, since: float | None, remote_id: str | None) -> LiveObject | Absence:
        """What the create of ``op`` made that was abandoned at ``since``, or the proof of its absence.

        Without ``since`` nothing was sent yet: what has appeared is somebody else's.
        """
        sought = Sought(
            step.address,
            op,
            step.fields,
            by_name=since is not None and self._is_known_by_name(step, op),
            until=since + self.means.window_s(self._provider(step)) if since is not None else -math.inf,
            remote_id=remote_id,
        )
        return await self.lost.find(sought, self._siblings(step.address, self._parent_id(step.address)))

    def _is_known_by_name(self, step: Step, op: str) -> bool:
        """Whether nothing but its name and its files tell what a create made: there may be no room for the marker."""
        kind = self.means.kinds[step.address.kind]
        if not self.means.marked or kind.marker is None:
            return True
        if not kind.unique_names:
            return False
        assert kind.create is not None
        with closing(kind.create(self._to_write(step, op), self._wire(step))) as flow:
            first = next(flow)
        return not isinstance(first, Call) or op not in json.dumps(first.body)

    async def _require_no_former(self, step: Step) -> None:
        """Raise NotApplied where the object that should only be renamed is there: its name was left out of a list."""
        former = self.world.resources[step.address].renamed_from
        missing = self._missing(former) if former is not None else None
        if former is None or missing is None or await self._still_there(former, missing) is None:
            return
        raise NotApplied(
            f"{former} is at the platform after all: a list had left it out",
            method="POST", path=str(step.address), hint="apply again: it is renamed then",
        )  # fmt: skip

    def _missing(self, address: Address) -> Entry | None:
        """What we remember of an address whose object the platform did not list."""
        known = self._known(address)
        return known if known is not None and known.remote_id not in self.live else None

    def _known(self, address: Address) -> Entry | None:
        """What we remembered of an address when the run began, also under the former name of its root."""
        known = self.entries.get(address)
        if known is not None or not self.former_roots:
            return known
        root = self.former_roots.get((address.vendor, address.root))
        return self.entries.get(Address(address.kind, (root, *address.path[1:]))) if root is not None else None

    async def _still_there(self, address: Address, entry: Entry, since: float = -math.inf) -> LiveObject | None:
        """The object of ``entry``, if a second list of its siblings shows it."""
        kind, parent_id = self.means.kinds[address.kind], None
        if kind.parent is not None:
            parent = Address(kind.parent, self._parent_path(address))
            known = self.entries.get(parent)
            parent_id = self.ids.get(parent) or (known.remote_id if known is not None else None)
            if parent_id is None:
                return None
        return (await self.second_looks.at(self._siblings(address, parent_id), since)).get(entry.remote_id)

    def _siblings(self, address: Address, parent_id: str | None) -> Siblings:
        provider = self.means.providers[address.vendor]
        kind, path = self.means.kinds[address.kind], self._parent_path(address)
        return Siblings(kind, parent_id, path, provider.send, Wire(self.ids, provider.dialect))

    async def _found(self, step: Step, live: LiveObject, op: str | None, retiring: tuple[str, ...]) -> Entry:
        """Remember what an unanswered create made, and send again what the platform does not show of it.

        A create of several requests may have been cut short between them.
        """
        kind = self.means.kinds[step.address.kind]
        never_shown = {name for name, shape in kind.shapes.items() if Mark.WRITE_ONLY in shape.marks}
        hidden = frozenset(never_shown & step.fields.keys())
        entry = await self._created(step, live.remote_id, op, retiring, hidden)
        if not hidden or kind.update is None:
            return entry
        write = replace(self._to_write(step, op), changed=hidden, live=live)
        await self._drive(step, kind.update([write], self._wire(step)))
        return await self._created(step, live.remote_id, op, retiring)

    async def _created(
        self,
        step: Step,
        remote_id: str,
        op: str | None,
        retiring: tuple[str, ...],
        without: frozenset[str] = frozenset(),
    ) -> Entry:
        """Remember a new object; ``without`` names fields of which it is not known that they arrived."""
        self.ids[step.address] = remote_id
        entry = self._entry(step, remote_id, op if self.means.marked else None, retiring)
        if without:
            applied = {name: value for name, value in entry.applied.items() if name not in without}
            entry = replace(entry, applied=applied)
        await self._bring_memory_along(step)
        await self._record_done(step.address, replace(entry, unlisted=True))
        return self.entries[step.address]

    async def _replace(self, step: Step) -> None:
        """The new one first, so that no gap opens; then the old one goes."""
        kind = self.means.kinds[step.address.kind]
        old = self.live[str(step.remote_id)]
        known = self.entries.get(step.former or step.address)
        retiring = (*(known.retiring if known else ()), old.remote_id)
        entry = await self._create(step, retiring)
        if kind.replace is Replace.CREATE_THEN_RETIRE:
            await self._remember(step, entry)  # others still refer to the old one; another step lets it go
            return
        if not old.archived:
            assert kind.remove is not None
            write = Write(step.address, old.fields, self._parent_id(step.address), live=old, archived=True)
            await self._drive(step, kind.remove([write], self._wire(step)))
        await self._remember(step, replace(entry, retiring=()))

    async def _adopt(self, step: Step) -> None:
        if step.changes:
            kind = self.means.kinds[step.address.kind]
            assert kind.update is not None
            op = self.live[str(step.remote_id)].op
            await self._drive(step, kind.update([self._to_write(step, op)], self._wire(step)))
        op, retiring = self.live[str(step.remote_id)].op, self._replaced_by(step)
        await self._remember(step, self._entry(step, str(step.remote_id), op, retiring))

    def _replaced_by(self, step: Step) -> tuple[str, ...]:
        """What stays to be let go when a list has left out the old object of a replace that is in doubt."""
        address = step.former or step.address
        if address not in self.world.state.in_doubt:
            return ()
        known, kind = self._known(address), self.means.kinds[step.address.kind]
        if known is None or kind.replace is not Replace.CREATE_FIRST:
            return ()
        return tuple(sorted({*known.retiring, known.remote_id} - {str(step.remote_id)}))

    async def _forget(self, step: Step) -> None:
        missing = self._missing(step.address)
        if missing is not None and await self._still_there(step.address, missing) is not None:
            why = "it is at the platform after all: a list had left it out"
            self._finish(step, StepOutcome(step.id, StepStatus.FAILED, why, "apply again"))
            return
        await self.means.write({"record": "removed", "address": str(step.address)})
        self._finish(step, StepOutcome(step.id, StepStatus.DONE, remote_id=step.remote_id))

    async def _write_together(self, unit: list[Step]) -> None:
        kind = self.means.kinds[unit[0].address.kind]
        changing = [step for step in unit if step.action in (Action.UPDATE, Action.RENAME)]
        removing = [step for step in unit if step.action in (Action.ARCHIVE, Action.DELETE)]
        if changing:
            assert kind.update is not None
            writes = [self._to_write(step, self._op_of(step)) for step in changing if step.changes]
            if writes:
                await self._drive(changing[0], kind.update(writes, self._wire(changing[0])))
            await asyncio.gather(*map(self._changed, changing))  # their records share an append
        if removing:
            assert kind.remove is not None
            writes = [self._to_remove(step) for step in removing]
            await self._drive(removing[0], kind.remove(writes, self._wire(removing[0])))
            for step in removing:
                await self._removed(step)

    async def _changed(self, step: Step) -> None:
        await self._bring_memory_along(step)
        if step.changes_memory_only:
            self._finish(step, StepOutcome(step.id, StepStatus.DONE, remote_id=step.remote_id))
            return
        known = self.entries.get(step.former or step.address)
        retiring = known.retiring if known else ()  # what a replace left behind stays to be let go
        await self._remember(step, self._entry(step, str(step.remote_id), self._op_of(step), retiring))

    async def _removed(self, step: Step) -> None:
        entry = self.entries.get(step.former or step.address)
        if entry is not None and entry.remote_id != step.remote_id:
            await self._remember(step, _without(entry, str(step.remote_id)))
        elif step.action is Action.DELETE or entry is None:
            await self._forget(step)
        else:
            archived = Entry(entry.remote_id, entry.applied, entry.op, archived=True, retiring=entry.retiring)
            await self._remember(step, archived)

    async def _bring_memory_along(self, step: Step) -> None:
        """Move what is remembered under the former name of a step, once its object is there under the new one."""
        former = self._remembered_as(step)
        if former != step.address and step.address not in self.brought_along:
            self.brought_along.add(step.address)
            await self.means.write(renamed(former, step.address, self.means.kinds))

    def _remembered_as(self, step: Step) -> Address:
        """The address in the state: a root's own rename comes first, and has carried along what stands in it."""
        former = step.former or step.address
        return former if len(former.path) == 1 else Address(former.kind, (step.address.root, *former.path[1:]))

    def _doubt(self, step: Step) -> Intent | None:
        """The create that was never answered, under the former name or, where that gets a new object, the new one."""
        root = step.former.root if step.former else step.address.root
        meant = Address(step.address.kind, (root, *step.address.path[1:]))
        doubts = self.world.state.in_doubt
        return doubts.get(step.former or step.address) or doubts.get(meant) or doubts.get(step.address)

    # -- small parts

    async def _drive(self, step: Step, flow: object) -> None:
        await drive(flow, self._sender(step), self.means.clock.sleep)  # type: ignore[arg-type]

    def _sender(self, step: Step, absence: Absence | None = None) -> Send:
        """How to send the requests of a step: writes only with a permit, a create only with a young ``absence``."""
        provider = self._provider(step)

        async def send(call: Call) -> Reply:
            if call.method == "GET":
                return await provider.send(call)
            return await provider.send(call, partial(self._permit, None if call.repeatable else absence))

        return send

    async def _permit(self, absence: Absence | None) -> None:
        """Raise what keeps a write from leaving: a lock that is not ours any more, or a proof that has grown old."""
        await self.means.confirm()
        if absence is not None and self.means.clock.monotonic() - absence.at > GREATEST_AGE_S:
            raise _HeldUp

    async def _remember(self, step: Step, entry: Entry) -> None:
        if self.entries.get(step.address) != entry:
            await self._record_done(step.address, entry)
        self._finish(step, StepOutcome(step.id, StepStatus.DONE, remote_id=entry.remote_id))

    async def _record_done(self, address: Address, entry: Entry) -> None:
        await self.means.write({"record": "done", "address": str(address), "entry": entry_to_json(entry)})
        self.entries[address] = entry

    async def _not_applied(self, step: Step) -> None:
        await self.means.write({"record": "not_applied", "address": str(step.address)})

    def _entry(self, step: Step, remote_id: str, op: str | None, retiring: tuple[str, ...] = ()) -> Entry:
        resource = self.world.resources[step.address]
        known = self.entries.get(step.address) or (self.entries.get(step.former) if step.former else None)
        return remembered(resource, remote_id, op, retiring, known=known, home=self.world.home)

    def _op_of(self, step: Step) -> str | None:
        entry = self.entries.get(step.former or step.address)
        if entry is not None and entry.op is not None:
            return entry.op if self.means.marked else None
        return self.live[str(step.remote_id)].op

    def _to_write(self, step: Step, op: str | None) -> Write:
        resource = self.world.resources.get(step.address)
        return Write(
            address=step.address,
            fields=step.fields,
            parent_id=self._parent_id(step.address),
            changed=frozenset() if step.action is Action.CREATE else _differing(step),
            live=self.live.get(str(step.remote_id)),
            op=op if self.means.marked else None,
            files={name: str(self.means.root / path) for name, path in resource.files.items()} if resource else {},
        )

    def _to_remove(self, step: Step) -> Write:
        live: LiveObject = self.live[str(step.remote_id)]
        return Write(step.address, live.fields, self._parent_id(step.address), live=live, archived=True)

    def _parent_id(self, address: Address) -> str | None:
        kind = self.means.kinds[address.kind]
        return self.ids[Address(kind.parent, self._parent_path(address))] if kind.parent else None

    def _provider(self, step: Step) -> Provider:
        return self.means.providers[step.address.vendor]

    def _wire(self, step: Step) -> Wire:
        return Wire(self.ids, self._provider(step).dialect)


class _InFlight:
    """What is being carried out.  Each end is told once; asyncio.wait would ask all that run each time."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[None]] = set()
        self._failures: list[BaseException] = []
        self._ended = asyncio.Event()

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, None]) -> None:
        """Begin one more."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._over)

    async def one_less(self) -> None:
        """Return when one is over.

        A failure ends the run, so what else runs is let finish first: a task that outlives the run would go on
        without a journal.  When the run is cancelled, or nothing can be written down any more, it is stopped.
        """
        try:
            await self._ended.wait()
        except asyncio.CancelledError:
            await self._let_go(stopped=True)
            raise
        self._ended.clear()
        if self._failures:
            await self._let_go(stopped=isinstance(self._failures[0], StateUnreadable))
            raise self._failures[0]

    def _over(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        failure = asyncio.CancelledError() if task.cancelled() else task.exception()
        if failure is not None:
            self._failures.append(failure)
        self._ended.set()

    async def _let_go(self, *, stopped: bool) -> None:
        left = tuple(self._tasks)
        for task in left if stopped else ():
            task.cancel()
        await asyncio.gather(*left, return_exceptions=True)


def renamed(former: Address, address: Address, kinds: Mapping[str, AnyKind]) -> Record:
    """The record that moves what is remembered, and what stands in it where its kind can hold others."""
    is_holder = len(former.path) > 1 or any(kind.parent == former.kind for kind in kinds.values())
    record: Record = {"record": "renamed", "address": str(address), "former": str(former)}
    return record if is_holder else {**record, "alone": True}


def remembered(
    resource: Resource,
    remote_id: str,
    op: str | None,
    retiring: Sequence[str] = (),
    *,
    known: Entry | None = None,
    home: str = ".",
) -> Entry:
    """What the state keeps of a resource that is at the platform as the manifests, read at ``home``, want it.

    ``known`` is what it kept before.
    """
    protect = resource.lifecycle.protect
    return Entry(
        remote_id=remote_id,
        applied=resource.fields,
        op=op,
        protect=known is not None and known.protect if protect is None else protect,
        on_removal=resource.lifecycle.onRemoval,
        source=from_top(home, resource.source.file),
        retiring=tuple(retiring),
    )


def _differing(step: Step) -> frozenset[str]:
    """The fields that are different, by their names at the top."""
    return frozenset(change.path.partition(".")[0] for change in step.changes)


def _reason(error: ApiError) -> str:
    """The error without the request in front of it."""
    return error.message.removeprefix(f"{error.method} {error.path}: ")


def _without(entry: Entry, remote_id: str) -> Entry:
    return replace(entry, retiring=tuple(each for each in entry.retiring if each != remote_id))
