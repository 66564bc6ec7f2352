"""Apply, evaluate what changed, and put it back when the gate fails; under one lock.  Touches: network, the state."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reconciler.errors import Interrupted, ReconcilerError, RollbackFailed
from reconciler.evaluating.estimate import Estimate
from reconciler.evaluating.gates import passed
from reconciler.model.plan import Plan
from reconciler.model.resource import Address
from reconciler.model.state import State
from reconciler.pipeline.applying import Applied, Trial, apply_under_lock, staying, stricter
from reconciler.pipeline.estimating import refuse_beyond
from reconciler.pipeline.locking import locked
from reconciler.pipeline.measuring import (
    Evaluated,
    Inquiry,
    carry_over_renamed,
    expected_cost,
    holds,
    measure,
    unverified,
)
from reconciler.pipeline.planning import Planned
from reconciler.pipeline.rolling_back import (
    PutBack,
    roll_back,
    what_is_there,
    what_may_be_back,
    what_stays,
    what_was_there,
)
from reconciler.pipeline.session import Session
from reconciler.pipeline.settling import never_held, remember_declared, remember_measured, settle


class Watch(Struct, frozen=True):
    """Who is told what, while it goes on.

    ``applied`` returns whether to go on; ``rolling_back`` is told the steps that lead back before they are carried out.
    """

    applied: Callable[[Applied], bool] = lambda _: True
    judged: Callable[[Evaluated], None] = lambda _: None
    rolling_back: Callable[[Plan], None] = lambda _: None


class Verified(Struct, frozen=True):
    """What came of it.  ``evaluated`` is None when nothing had to be, ``put_back`` when nothing was rolled back.

    ``unverified`` are the tests about what an earlier apply changed that was not asked to verify it, and that were not
    evaluated now.  Not ``changed``: nothing was to be verified but runs that were never evaluated.
    """

    applied: Applied
    evaluated: Evaluated | None = None
    put_back: PutBack | None = None
    unverified: tuple[Address, ...] = ()
    changed: bool = True


async def apply_and_verify(
    here: Session,
    ask: Inquiry,
    watch: Watch,
    *,
    saved: Mapping[str, Any] | None = None,
    resumed: bool = False,
    rollback: bool = False,
) -> Verified:
    """Apply, then evaluate what changed since the last time that a gate held; with ``rollback`` undo what fails it.

    A test has also changed when its gate got stricter.  What is no object at the platform has when it is declared
    otherwise, or with a stricter gate, than when its gate held.

    Raises what ``apply`` and ``evaluate`` raise.  What was applied and could not be evaluated stays unsettled: the next
    run evaluates it, and can still put it back.
    """

    def check(planned: Planned) -> None:
        refuse_beyond(ask.most, _cost(here, planned, ask))

    trial = Trial(what_is_there, what_may_be_back, what_stays, check) if rollback else Trial(check=check)
    async with locked(here, "apply") as holder:
        here.hooks.event({"event": "locked", "lock": holder.lock_id})
        applied = await apply_under_lock(here, saved=saved, resumed=resumed, trial=trial)
        way_back = partial(_roll_back, here, watch, same_command(saved)) if rollback else None
        verified = await _verified(here, applied, ask, watch, way_back) if watch.applied(applied) else Verified(applied)
        if verified.put_back is None:
            remember_declared(here, applied.planned)
        return verified


def same_command(saved: Mapping[str, Any] | None) -> str:
    """What takes up an apply that was not settled: a saved plan is applied once, and from then on only finished."""
    return "the same command" if saved is None else "the same command with --resume"


async def _verified(
    here: Session, applied: Applied, ask: Inquiry, watch: Watch, way_back: Callable[[], Awaitable[PutBack]] | None
) -> Verified:
    """Evaluate what is not settled; settle it when the gate holds, and go the ``way_back`` when it does not."""
    state = here.store.load()
    new = never_held(here, state)
    if not state.unsettled and not new:
        return Verified(applied, unverified=unverified(here, state))
    if not state.touched and not new:
        settle(here)
        return Verified(applied)
    revocable = way_back is not None
    kept = _as_they_were(applied.planned)
    evaluated = await measure(here, replace(ask, changed=True, also=new, anew=True, kept=kept, revocable=revocable))
    watch.judged(evaluated)
    judged = {verdict.address for verdict in evaluated.verdicts}
    left = tuple(each for each in unverified(here, applied.planned.state) if each not in judged)
    if evaluated.nothing or passed(evaluated.verdicts):
        if state.unsettled or holds(evaluated.unverified, evaluated.verdicts, anew=ask.overwrite):
            settle(here)
        remember_measured(here, judged)
        await carry_over_renamed(here, judged)
    elif way_back and state.before:
        return Verified(applied, evaluated, await way_back(), left)
    return Verified(applied, evaluated, unverified=left, changed=state.unsettled)


async def _roll_back(here: Session, watch: Watch, same: str) -> PutBack:
    """Raises RollbackFailed, saying what was there before, when the way back cannot even be worked out."""
    before = what_was_there(here.store.load())
    try:
        return await roll_back(here, watch.rolling_back)
    except Interrupted:
        raise
    except ReconcilerError as error:
        raise RollbackFailed(
            f"the gate failed, and the rollback could not be planned: {error.message}\n" + "\n".join(before),
            hint=f"run {same} again: it still knows what was there before",
        ) from error


def _cost(here: Session, planned: Planned, ask: Inquiry) -> Estimate:
    state = planned.state
    changing = staying(planned.plan) | stricter(planned.plan)
    return expected_cost(here, planned, {*changing, *_left_over(state), *never_held(here, state)}, ask)


def _as_they_were(planned: Planned) -> frozenset[Address]:
    """The tests of which this apply has only made the gate stricter: what they have measured so far, they have."""
    return frozenset(stricter(planned.plan) - staying(planned.plan) - {*_left_over(planned.state)})


def _left_over(state: State) -> tuple[Address, ...]:
    """What an earlier apply changed that is yet to be verified."""
    return state.touched if state.unsettled else ()
