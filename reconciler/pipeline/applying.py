"""Plan, show, ask, do, and read back, under the lock.  Touches: network, the state."""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reconciler.applying.applier import apply as carry_out
from reconciler.applying.journal import AT_ONCE, Journal
from reconciler.applying.means import Known, Means
from reconciler.applying.memory import remembered
from reconciler.concurrency import Stopped, unless
from reconciler.errors import (
    ApiError,
    Interrupted,
    LooksLikeOutage,
    RefusedByPolicy,
    StalePlan,
    StateUnreadable,
)
from reconciler.model.kind import root_of
from reconciler.model.outcome import StepOutcome, StepStatus
from reconciler.model.plan import Action, FieldChange, Plan, Step
from reconciler.model.resource import Address, Desired, Live, Resource
from reconciler.model.secrecy import NOT_SHOWN
from reconciler.model.state import Entry, Record, State, done
from reconciler.model.values import Fields
from reconciler.pipeline.archives import not_archived, still_ours
from reconciler.pipeline.locking import locked
from reconciler.pipeline.planning import ALL_KINDS, Planned, plan, read_vendors
from reconciler.pipeline.reading_back import ReadingBack
from reconciler.pipeline.remembering import carry_over
from reconciler.pipeline.session import Session, new_operation_id
from reconciler.pipeline.settling import never_held, not_looked_at, remember_declared
from reconciler.planning.found import lacking
from reconciler.planning.gating import is_stricter
from reconciler.planning.planner import compared, warned
from reconciler.planning.saved import check_untouched, what_moved
from reconciler.providers import KINDS, VENDORS

_Seen = tuple[Resource, Entry, tuple[FieldChange, ...]]
"""A resource of ours that the platform shows, what we remember of it, and what is different there."""


class Applied(Struct, frozen=True):
    """What an apply did.

    ``unsettled`` are sentences about fields that came back different from what was sent, ``not_taken`` about those that
    are as they were before, ``unsent`` about fields that differ and of which nothing was sent.  ``touched`` are the
    addresses that were brought in line.
    """

    planned: Planned
    outcomes: tuple[StepOutcome, ...] = ()
    unsettled: tuple[str, ...] = ()
    not_taken: tuple[str, ...] = ()
    unsent: tuple[str, ...] = ()

    @property
    def touched(self) -> tuple[Address, ...]:
        """The addresses of steps that are done and leave something behind."""
        done = {outcome.step_id for outcome in self.outcomes if outcome.status is StepStatus.DONE}
        return tuple(s.address for s in self.planned.plan.pending if s.id in done and not s.action.leaves_nothing)


class Trial(Struct, frozen=True):
    """An apply that is yet to be verified.

    ``before`` gives what the state has to remember for a roll-back, by address; ``undone`` the addresses at which a
    roll-back that was cut short may have put something back; ``warn`` sentences that the plan is shown with; ``check``
    may refuse a plan before anything is asked or changed.
    """

    before: Callable[[Planned], Mapping[str, Fields]] = lambda _: {}
    undone: Callable[[Planned], Collection[Address]] = lambda _: ()
    warn: Callable[[Planned], Sequence[str]] = lambda _: ()
    check: Callable[[Planned], None] = lambda _: None


NO_TRIAL = Trial()
"""One that nobody will verify: it is settled when it is done."""


async def apply(
    here: Session, *, saved: Mapping[str, Any] | None = None, resumed: bool = False, destroy: bool = False
) -> Applied:
    """Plan, show, ask, do, and read back; under the lock from the first read to the last.

    ``saved`` is a plan file's content: the plan is derived again and must be the same, or with ``resumed`` hold
    nothing that the saved one does not.  Raises LockHeld, StalePlan, RefusedByPolicy, ConfirmationRequired and what
    ``plan`` raises; failures of single steps are in the outcomes.
    """
    async with locked(here, "destroy" if destroy else "apply") as holder:
        here.hooks.event({"event": "locked", "lock": holder.lock_id})
        return await apply_under_lock(here, saved=saved, resumed=resumed, destroy=destroy)


async def apply_under_lock(
    here: Session,
    *,
    saved: Mapping[str, Any] | None = None,
    resumed: bool = False,
    destroy: bool = False,
    trial: Trial = NO_TRIAL,
) -> Applied:
    """As ``apply``, under a lock that is held already.

    With a ``trial`` the state says that what was changed is not settled yet; whoever asked for it settles it.
    """
    if saved is not None:
        check_untouched(saved)
    planned = await _unless_stopped(here, plan(here, destroy=destroy, resumed=resumed))
    if saved is not None:
        _check_saved(here, saved, planned, trial, resumed=resumed)
    warnings = trial.warn(planned)
    here.hooks.planned(warned(planned.plan, warnings) if warnings else planned.plan)
    if planned.plan.refusals:
        count = len(planned.plan.refusals)
        raise RefusedByPolicy(
            f"{count} refusal{'s' if count > 1 else ''}: nothing was changed",
            hint=f"settle what the plan refuses, then {'destroy' if destroy else 'apply'} again",
        )
    trial.check(planned)
    if planned.plan.pending:
        here.hooks.confirm(planned.plan)
    ended: list[StepOutcome] = []
    try:
        applied = await _apply_planned(here, planned, saved, trial, ended)
    except StateUnreadable as error:
        raise _cut_short(error, planned.plan, ended) from error
    if trial is NO_TRIAL:
        remember_declared(here, planned)
    return applied


async def _unless_stopped(here: Session, planning: Coroutine[Any, Any, Planned]) -> Planned:
    try:
        return await unless(here.stop, planning)
    except Stopped as error:
        raise Interrupted("interrupted while it read what is there; nothing was changed") from error


def _cut_short(error: StateUnreadable, plan: Plan, ended: Sequence[StepOutcome]) -> StateUnreadable:
    """The same, with what the apply had done by then, for no report will tell."""
    if not plan.pending:
        return error
    is_done = sum(outcome.status is StepStatus.DONE for outcome in ended)
    so_far = f"{is_done:,} of {len(plan.pending):,} steps were done by then, and what was under way may be"
    return StateUnreadable(f"{error.message}; {so_far}", hint=error.hint)


async def _apply_planned(
    here: Session,
    planned: Planned,
    saved: Mapping[str, Any] | None,
    trial: Trial,
    ended: list[StepOutcome],
) -> Applied:
    """``ended`` grows by how each step has ended, should this end with an error."""
    journal = Journal(here.store.append, planned.state, here.clock.monotonic, writers=here.request.parallelism)
    reading = ReadingBack(here, planned)

    def heard(step: Step, outcome: StepOutcome) -> None:
        ended.append(outcome)
        reading.ended(step, outcome)

    try:
        for record in _begun(planned, saved, trial):
            await journal.write(record)
        outcomes: tuple[StepOutcome, ...] = ()
        if planned.plan.pending:
            outcomes = await carry_out(planned.plan, known_of(planned), means_of(here, journal, heard))
            reading.ended_all()
        applied, state = Applied(planned, outcomes), journal.state()
        after, live = await _look_again(here, applied, state, reading)
        await journal.write_all(_refreshed(planned, after, state))
        failed = await not_archived(here, planned, outcomes, live)
        await journal.write_all(still_ours(planned, journal.state(), failed))  # last: it adds to what is remembered
        outcomes = tuple(failed.get(outcome.step_id, outcome) for outcome in outcomes)
        applied = replace(applied, outcomes=outcomes)
        if all(outcome.status is StepStatus.DONE for outcome in outcomes):
            for record in _finished(here, outcomes, planned, saved, trial):
                await journal.write(record)
        return _with_what_differs(applied, after)
    finally:
        await reading.close()
        await journal.close()
        if journal.is_to_commit:
            here.store.commit(journal.state())
            await carry_over(here, journal.renamed)


def _begun(planned: Planned, saved: Mapping[str, Any] | None, trial: Trial) -> Iterator[Record]:
    """What is remembered before the first step: an apply that is cut short has touched what it was to change, too."""
    origins = planned.plan.basis.origins
    if planned.state.origins != {**planned.state.origins, **origins}:
        yield {"record": "origins", "origins": dict(origins)}
    if saved is not None and saved["digest"] not in planned.state.consumed:
        yield {"record": "plan_started", "digest": saved["digest"]}
    is_asked_now = trial is not NO_TRIAL and planned.state.plain
    gates = set[Address]() if trial is NO_TRIAL else stricter(planned.plan)
    if planned.plan.pending or is_asked_now or gates:
        before = dict(trial.before(planned))
        addresses = sorted(map(str, staying(planned.plan) | gates))
        asked: Record = {"verify": False} if trial is NO_TRIAL else {}
        yield {"record": "changing", "addresses": addresses, **({"before": before} if before else {}), **asked}


def _finished(
    here: Session,
    outcomes: Sequence[StepOutcome],
    planned: Planned,
    saved: Mapping[str, Any] | None,
    trial: Trial,
) -> Iterator[Record]:
    """What is remembered after the last step, when all of them are done."""
    state = planned.state
    if saved is not None and saved["digest"] not in state.consumed:
        yield {"record": "plan_applied", "digest": saved["digest"]}
    if trial is NO_TRIAL and (outcomes or _ends_another(here, state)):
        yield {"record": "settled", "kept": True, "verified": False}


def _ends_another(here: Session, state: State) -> bool:
    """Whether a plain apply that has found nothing to do was the end of one that was cut short: it has looked at all of
    what that one was to change.
    """
    return state.plain and not here.request.select and not not_looked_at(here, state)


def staying(plan: Plan) -> set[Address]:
    """The addresses that a plan changes and that are still there afterwards."""
    steps = (step for step in plan.pending if not step.changes_memory_only)
    return {step.address for step in steps if not step.action.leaves_nothing}


def stricter(plan: Plan) -> set[Address]:
    """The addresses of objects whose gate may fail from then on where it did not."""
    told = (each for each in plan.lifecycle if is_stricter(each.effect))
    return {each.address for each in told if not KINDS[each.address.kind].virtual}


def known_of(planned: Planned) -> Known:
    """What the applier has to know of the making of a plan."""
    return Known(
        resources=planned.desired.resources,
        state=planned.state,
        live=planned.live,
        ids=planned.ids,
        read_at=planned.read_at,
        home=planned.desired.home,
    )


def means_of(here: Session, journal: Journal, heard: Callable[[Step, StepOutcome], None] = lambda _, __: None) -> Means:
    """What the applier works with in this session; ``heard`` is told how each step ended, as the hooks are."""

    def ended(step: Step, outcome: StepOutcome) -> None:
        here.hooks.ended(step, outcome)
        heard(step, outcome)

    marked = here.manifest is None or here.manifest.ownership == "marker"
    return Means(
        providers=here.providers,
        kinds=KINDS,
        clock=here.clock,
        write=journal.write,
        confirm=journal.confirm,
        new_op=new_operation_id,
        window_s=here.window_s,
        lacking=functools.partial(lacking, KINDS),
        marked=marked,
        parallelism=here.request.parallelism,
        root=here.request.root,
        stop=here.stop,
        on_start=here.hooks.started,
        on_end=ended,
        on_wait=here.hooks.note,
    )


async def _look_again(
    here: Session, applied: Applied, state: State, reading: ReadingBack
) -> tuple[Sequence[_Seen], Live | None]:
    """Read back the roots that were touched, but for what was read already, and compare them with what is wanted.

    Returns what was seen of the resources, and all that was read; None where nothing was.
    """
    roots = _with_what_they_need({root_of(a, KINDS) for a in applied.touched}, applied.planned.desired)
    if not roots or here.stop.is_set():
        return (), None
    here.hooks.note("reading back what was written")
    desired = _within(applied.planned.desired, roots)
    kept = {a: e for a, e in state.entries.items() if root_of(a, KINDS) in roots}
    state = replace(state, entries=kept, in_doubt={})
    vendors = [vendor for vendor in VENDORS if vendor.name in {root.vendor for root in roots}]
    try:
        live = await read_vendors(here, vendors, state, desired, await reading.inside())
        return tuple(compared(desired, live, state, ALL_KINDS)), live
    except (ApiError, LooksLikeOutage) as error:  # what was done is done, and recorded
        here.hooks.note(f"could not read back what was written: {error.message}")
        return (), None


def _with_what_they_need(roots: set[Address], desired: Desired) -> set[Address]:
    """The roots, and those of everything that what stands in them refers to."""
    found: set[Address] = set()
    left = roots
    while left:
        found |= left
        inside = (r for r in desired if root_of(r.address, KINDS) in left)
        left = {root_of(each, KINDS) for resource in inside for each in resource.references} - found
    return found


def _within(desired: Desired, roots: set[Address]) -> Desired:
    kept = {a: r for a, r in desired.resources.items() if root_of(a, KINDS) in roots}
    return replace(desired, resources=kept)


def _with_what_differs(applied: Applied, after: Sequence[_Seen]) -> Applied:
    """The same, with sentences about what is not as it is wanted, by what was sent of it and what became of that."""
    different = [(resource.address, changes) for resource, _, changes in after if changes]
    touched = set(applied.touched) if different else ()
    steps = {step.address: step for step in applied.planned.plan.pending if step.address in touched}
    unsettled, not_taken, unsent = list[str](), list[str](), list[str]()
    for address, changes in different:
        for change in changes if address in steps else ():
            was, wanted = (NOT_SHOWN if change.sensitive else _short(side) for side in (change.before, change.after))
            if not _sends(steps[address], change.top):
                unsent.append(f"{address}: {change.path} is {was} at the platform, wanted is {wanted}")
            elif _is_as_before(steps[address], change):
                not_taken.append(
                    f"{address}: {change.path} was not taken over: it is {was} as before, sent was {wanted}"
                )
            else:
                unsettled.append(f"{address}: {change.path} came back as {was}, sent was {wanted}")
    return replace(applied, unsettled=tuple(unsettled), not_taken=tuple(not_taken), unsent=tuple(unsent))


def _is_as_before(step: Step, change: FieldChange) -> bool:
    """Whether a field is what it was before the step was to change it in place."""
    if step.action is Action.CREATE or step.action is Action.REPLACE:
        return False
    same = ((each.path, each.before) == (change.path, change.before) for each in step.changes)
    return not change.sensitive and any(same)


def _sends(step: Step, field: str) -> bool:
    """Whether a step that is done has sent what is wanted of this field."""
    return step.action in (Action.CREATE, Action.REPLACE) or any(change.top == field for change in step.changes)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _refreshed(planned: Planned, after: Sequence[_Seen], state: State) -> list[Record]:
    """Bring our memory in line where the platform needs nothing: protection, place of declaration, and so on."""
    pending = {step.address for step in planned.plan.steps}
    others = planned.desired.resources.keys() - pending
    before = compared(planned.desired, planned.live, planned.state, ALL_KINDS, without=pending) if others else ()
    agreed = {resource.address: (resource, entry) for resource, entry, changes in (*before, *after) if not changes}
    told = {change.address for change in planned.plan.lifecycle if change.effect}
    records: list[Record] = []
    listed: list[str] = []
    for address, (resource, entry) in agreed.items():
        home = planned.desired.home
        kind = KINDS[address.kind]
        wanted = remembered(resource, kind, entry.remote_id, entry.op, entry.retiring, known=entry, home=home)
        if entry.gate is not None and entry.gate != wanted.gate and address not in told:
            wanted = replace(wanted, gate=entry.gate)  # left out by --select: nobody was told of it
        if entry.unlisted and wanted == replace(entry, unlisted=False):
            listed.append(str(address))
        elif wanted != entry:
            records.append(done(address, wanted, state.in_doubt.get(address)))
    records += [{"record": "listed", "addresses": listed[i : i + AT_ONCE]} for i in range(0, len(listed), AT_ONCE)]
    return records


def _check_saved(here: Session, saved: Mapping[str, Any], planned: Planned, trial: Trial, *, resumed: bool) -> None:
    """Raise StalePlan unless the saved plan holds: as one that is applied now, or with ``resumed`` as one to finish."""
    digest, state = str(saved["digest"]), planned.state
    is_applied = digest in state.consumed
    if is_applied and (trial is NO_TRIAL or not _is_on_trial(here, saved, state)):
        raise StalePlan("this plan was applied already", hint="make a new one: reconciler plan --out plan.json")
    if resumed and not is_applied and state.started != digest:
        raise StalePlan("this plan was not begun, or it was finished", hint="leave out --resume")
    if not resumed and (is_applied or state.started == digest):
        left = "applied and not verified" if is_applied else "begun and not finished"
        raise StalePlan(f"this plan was {left}", hint="finish it: the same command with --resume")
    undone = frozenset(map(str, trial.undone(planned))) if is_applied else frozenset()
    moved = what_moved(saved, planned.plan, resumed=resumed, undone=undone)
    if moved:
        raise StalePlan(
            "the world has moved since this plan was made:\n" + "\n".join(f"  {line}" for line in moved),
            hint="make a new one: reconciler plan --out plan.json",
        )


def _is_on_trial(here: Session, saved: Mapping[str, Any], state: State) -> bool:
    """Whether what a plan that was applied has changed is not settled, and no other plan was applied or begun since."""
    is_last = state.consumed[-1:] == (saved["digest"],) and not state.started
    return is_last and (_is_unsettled(saved, state) or _is_unheld(here, saved, state))


def _is_unsettled(saved: Mapping[str, Any], state: State) -> bool:
    """Whether something that the plan has changed is."""
    changed = {*map(str, state.touched), *map(str, state.before)}
    planned = (*saved["steps"], *saved.get("lifecycle", ()))
    return state.unsettled and (state.going_back or any(each["address"] in changed for each in planned))


def _is_unheld(here: Session, saved: Mapping[str, Any], state: State) -> bool:
    """Whether the gate has not held of something that the plan tells of and no step does."""
    new = set(map(str, never_held(here, state)))
    return any(each["address"] in new for each in saved.get("lifecycle", ()))
