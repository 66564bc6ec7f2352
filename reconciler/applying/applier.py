"""Carry out a plan's steps: in order, several at once, each written down before and after.  Touches: network, journal.

A failed step takes only what waits for it along.  A create is never blindly sent again (``creating``).  Everything else
is safe to repeat: the next run does.

A process may be frozen between any two instructions, and go on in another world.  So right before a write leaves, the
lock must still be ours, and before a create the proof that there is no such object must be young.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict

from msgspec.structs import replace

from reconciler.applying.creating import APPLY_AGAIN, Creating
from reconciler.applying.in_flight import InFlight
from reconciler.applying.means import Known, Means
from reconciler.applying.memory import Memory
from reconciler.applying.ready import Ready
from reconciler.applying.removals import Deleted, Look, Removals
from reconciler.applying.requests import Requests
from reconciler.errors import ApiError, InvalidRequest, NotAuthorized, OutcomeUnknown, Withheld
from reconciler.model.kind import Removal, Replace
from reconciler.model.outcome import StepOutcome, StepStatus
from reconciler.model.plan import Action, Plan, Step
from reconciler.model.resource import LiveObject
from reconciler.model.secrecy import Secrets, withheld
from reconciler.model.state import Entry, in_place_of

LOOK_AHEAD = 4
"""Proofs of absence are renewed this many times ``parallelism`` steps ahead.  A step takes little longer than a
request, so the list has arrived when its create runs, and nobody waits for it."""


async def apply(plan: Plan, known: Known, means: Means) -> tuple[StepOutcome, ...]:
    """Carry out every pending step; returns one outcome for each, in the plan's order.

    Raises no ApiError, but what ``write`` and ``confirm`` raise: then nothing more is sent.
    """
    return await _Run(plan, known, means).go()


class _Run:
    """One application of one plan: what is ready, what runs, what came of it."""

    def __init__(self, plan: Plan, known: Known, means: Means) -> None:
        self.means = means
        self.steps = {step.id: step for step in plan.pending}
        self.outcomes: dict[str, StepOutcome] = {}
        self.waits = {step.id: {other for other in step.after if other in self.steps} for step in plan.pending}
        self.waited_for: dict[str, list[str]] = defaultdict(list)
        for step_id, others in self.waits.items():
            for other in others:
                self.waited_for[other].append(step_id)
        self.ready = Ready(means.kinds, self._opens)
        self.removals = Removals(plan.pending, means.kinds)
        self.opening: dict[str, int] = {}
        """How many steps wait for the roots that are under way."""
        self.refused = ""
        self.memory = Memory(plan, known, means)
        self.requests = Requests(known, means, self.memory)
        self.creating = Creating(known, means, self.memory, self.requests)

    async def go(self) -> tuple[StepOutcome, ...]:
        for step in self.steps.values():
            if not self.waits[step.id]:
                self.ready.put(step)
        try:
            await self._carry_out_all(InFlight())
        finally:
            await self.creating.close()
        for step in self.steps.values():
            if step.id not in self.outcomes:
                why = self.refused or "the run was interrupted before it was its turn"
                self._finish(step, StepOutcome(step.id, StepStatus.SKIPPED, why))
        return tuple(self.outcomes[step_id] for step_id in self.steps)

    async def _carry_out_all(self, in_flight: InFlight) -> None:
        while True:
            while unit := self._next_unit(len(in_flight)):
                in_flight.start(self._carry_out(unit))
                self._look_ahead()
            for deleted in self.removals.due(is_idle=not in_flight):
                in_flight.start(self._make_sure(deleted))
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

    def _look_ahead(self) -> None:
        """Renew the proofs that creates will need soon."""
        if self.creating.needs_no_proof:
            return
        step = self.ready.soon(LOOK_AHEAD * self.means.parallelism)
        if step is not None and step.action is Action.CREATE:
            self.creating.look_ahead(step)

    def _finish(self, step: Step, outcome: StepOutcome) -> None:
        self.outcomes[step.id] = outcome
        self.opening.pop(step.id, None)
        self.removals.over(step)
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
            if error.status != 403:  # that is about what the key may do, and others may need something else
                self.refused = f"stopped, because {withheld(error.message, self._secrets(unit))}"
            self._fail(unit, error, StepStatus.FAILED)
        except OutcomeUnknown as error:
            self._fail(unit, error, StepStatus.UNKNOWN)
        except Withheld as error:
            self._fail(unit, error, StepStatus.SKIPPED)
        except ApiError as error:
            left = [step for step in unit if step.id not in self.outcomes]
            if isinstance(error, InvalidRequest) and len(left) > 1:  # find the one the platform refuses
                middle = len(left) // 2
                await self._attempt(left[:middle])
                await self._attempt(left[middle:])
                return
            self._fail(left, error, StepStatus.FAILED)

    def _fail(self, unit: list[Step], error: ApiError, status: StepStatus) -> None:
        secrets = self._secrets(unit)  # a platform may repeat what it refuses
        message, hint = withheld(error.message, secrets), withheld(error.hint, secrets)
        for step in unit:
            if step.id not in self.outcomes:
                refused = status is StepStatus.FAILED and error.lasts
                self._finish(step, StepOutcome(step.id, status, message, hint, step.remote_id, refused))

    def _secrets(self, unit: list[Step]) -> Secrets:
        return {digest: value for step in unit for digest, value in self.requests.secrets(step).items()}

    async def _act(self, unit: list[Step]) -> None:
        step = unit[0]
        match step.action:
            case Action.CREATE:
                known = self.memory.of(step.former or step.address)
                retiring = self.memory.replaced_by(step) or (known.retiring if known else ())
                await self._remember(step, await self.creating.create(step, retiring))
            case Action.REPLACE:
                await self._replace(step)
            case Action.ADOPT:
                await self._adopt(step)
            case Action.FORGET:
                await self._forget(step)
            case _:
                await self._write_together(unit)

    async def _replace(self, step: Step) -> None:
        """The new one first, so that no gap opens; then the old one goes."""
        old, known = self.memory.live[str(step.remote_id)], self.memory.of_step(step)
        entry = await self.creating.create(step, (*(known.retiring if known else ()), old.remote_id))
        if self.means.kinds[step.address.kind].replace is Replace.CREATE_THEN_RETIRE:
            await self._remember(step, entry)  # others still refer to the old one; another step lets it go
            return
        if not old.archived:
            await self.requests.remove([step])
        await self._remember(step, self._still_retiring(entry, old))

    def _still_retiring(self, entry: Entry, old: LiveObject) -> Entry:
        """The entry without ``old``, nor what was let go already: other steps let go of what is left."""
        live = self.memory.live
        left = (each for each in entry.retiring if each != old.remote_id)
        return replace(entry, retiring=tuple(each for each in left if each not in live or not live[each].archived))

    async def _adopt(self, step: Step) -> None:
        op = self.memory.live[str(step.remote_id)].op
        if step.changes:
            await self.requests.update([(step, op)])
        if step.address.is_root:
            await self.memory.bring_along(step)
        await self._settle(step, self.memory.entry(step, str(step.remote_id), op, self.memory.replaced_by(step)))

    async def _forget(self, step: Step) -> None:
        if await self.creating.has_shown(step):
            why = "what the unanswered create made shows at the platform after all"
            self._finish(step, StepOutcome(step.id, StepStatus.FAILED, why, "apply again"))
            return
        if step.ends_doubt:
            await self.memory.not_applied(step)
            self._finish(step, StepOutcome(step.id, StepStatus.DONE))
            return
        missing = self.memory.missing(step.address)
        if missing is not None and await self.creating.still_there(step.address, missing) is not None:
            why = "it is at the platform after all: a list had left it out"
            self._finish(step, StepOutcome(step.id, StepStatus.FAILED, why, "apply again"))
            return
        live = self.memory.live.get(step.remote_id or "")
        if live is not None and live.archived and self.means.kinds[step.address.kind].removal is Removal.ARCHIVE:
            await self._removed(step)  # somebody has archived it: it is un-archived when it returns to the manifests
            return
        await self._gone(step)

    async def _gone(self, step: Step) -> None:
        await self.memory.forget(step)
        self._finish(step, StepOutcome(step.id, StepStatus.DONE, remote_id=step.remote_id))

    async def _write_together(self, unit: list[Step]) -> None:
        changing = [step for step in unit if step.action in (Action.UPDATE, Action.RENAME)]
        removing = [step for step in unit if step.action in (Action.ARCHIVE, Action.DELETE)]
        if changing:
            different = [(step, self.memory.op_of(step)) for step in changing if step.changes]
            if different:
                await self.requests.update(different)
            await asyncio.gather(*map(self._changed, changing))  # their records share an append
        if removing:
            refusal = await self.requests.remove(removing)
            for step in removing:
                if step.action is Action.DELETE:
                    self.removals.answered(Deleted(step, refusal))
                else:
                    await self._removed(step)

    async def _make_sure(self, deleted: list[Deleted]) -> None:
        """End the steps of deletes that one list tells of."""
        means, address = self.means, deleted[0].step.address
        window_s = means.window_s(self.requests.provider(address))
        look = Look(self.requests.siblings(address), means.clock, window_s, means.stop, means.on_wait)

        async def tell(step: Step, error: ApiError | None) -> None:
            if error is None:
                await self._removed(step)
            else:
                unknown = isinstance(error, OutcomeUnknown)
                self._fail([step], error, StepStatus.UNKNOWN if unknown else StepStatus.FAILED)

        await look.make_sure(deleted, tell)

    async def _changed(self, step: Step) -> None:
        await self.memory.bring_along(step)
        if step.changes_memory_only:
            self._finish(step, StepOutcome(step.id, StepStatus.DONE, remote_id=step.remote_id))
            return
        known = self.memory.of_step(step)
        retiring = known.retiring if known else ()  # what a replace left behind stays to be let go
        entry = self.memory.entry(step, str(step.remote_id), self.memory.op_of(step), retiring)
        await self._settle(step, in_place_of(self.memory.entries.get(step.address), entry))

    async def _settle(self, step: Step, entry: Entry) -> None:
        """Remember what a step has brought in line, as far as it could."""
        if not step.fixed:
            await self._remember(step, entry)
            return
        await self.memory.keep(step.address, entry.without({path.partition(".")[0] for path in step.fixed}))
        why = f"it is ours now, and differs in {', '.join(step.fixed)}, which cannot be changed in place"
        self._finish(step, StepOutcome(step.id, StepStatus.FAILED, why, APPLY_AGAIN, step.remote_id))

    async def _removed(self, step: Step) -> None:
        entry = self.memory.of_step(step)
        if entry is not None and entry.remote_id != step.remote_id:
            if self.memory.is_unanswered(step):
                await self.memory.not_applied(step)
            await self._remember(step, _without(entry, str(step.remote_id)))
        elif step.action is Action.DELETE or entry is None:
            await self._gone(step)
        else:
            await self._remember(step, replace(entry, archived=True, protect=False, unlisted=False))

    async def _remember(self, step: Step, entry: Entry) -> None:
        if self.memory.entries.get(step.address) != entry:
            known = self.memory.of_step(step)
            is_known = known is not None and known.remote_id == entry.remote_id
            await self.memory.keep(step.address, entry, self.memory.doubt(step) if is_known else None)
        self._finish(step, StepOutcome(step.id, StepStatus.DONE, remote_id=entry.remote_id))


def _without(entry: Entry, remote_id: str) -> Entry:
    return replace(entry, retiring=tuple(each for each in entry.retiring if each != remote_id))
