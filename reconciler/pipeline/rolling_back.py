"""Put back what an apply has changed, as ordinary steps, under the lock of that apply.  Touches: network, the state.

What was there before stands in the state since before the apply, so that a run that was killed anywhere on the way is
taken up by the next ``apply --evaluate --rollback``: it applies again, verifies, and rolls back to the same values.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.applying.applier import apply as carry_out
from reconciler.applying.journal import Journal
from reconciler.applying.unsent import first_write
from reconciler.model.call import Call
from reconciler.model.outcome import StepOutcome, StepStatus
from reconciler.model.plan import Basis, Plan, Step
from reconciler.model.resource import Address
from reconciler.model.secrecy import masked_fields
from reconciler.model.state import State
from reconciler.model.values import Fields
from reconciler.pipeline.applying import known_of, means_of
from reconciler.pipeline.planning import ALL_KINDS, Planned, read_vendors
from reconciler.pipeline.remembering import carry_over
from reconciler.pipeline.session import LOCAL, Session
from reconciler.planning.matcher import match
from reconciler.planning.planner import known_ids, make_plan, warned
from reconciler.planning.policy import Policy, risks
from reconciler.planning.reversal import (
    Before,
    as_it_was,
    as_named_now,
    back,
    before_from_json,
    before_to_json,
    beyond_recall,
    concerned,
    irreversible,
    left_as_they_are,
    left_as_they_name,
    memory_first,
    memory_last,
    merged,
    naming_what_is_gone,
    snapshot,
    still_there,
)
from reconciler.planning.world import Options
from reconciler.providers import KINDS, VENDORS
from reconciler.settings import base_url


class Left(Struct, frozen=True):
    """Something that could not be put back: why, and the request that would do it, where it is known."""

    address: Address
    why: str
    request: Call | None = None
    url: str = ""

    def lines(self) -> list[str]:
        """For a person: what and why, then the request and its JSON body, each on a line of its own."""
        told = [f"{self.address}: {self.why}"]
        if self.request is not None:
            told.append(f"{self.request.method} {self.url}")
            told += [json.dumps(self.request.body)] if self.request.body is not None else []
        return told

    def to_json(self) -> Fields:
        """Plain data, for events."""
        request = self.request
        body = request.body if request else None
        method = request.method if request else None
        return {"address": str(self.address), "why": self.why, "method": method, "url": self.url, "body": body}


class _Lost(Struct, frozen=True):
    """What of each address cannot lead back, and stays as it is now.

    ``secrets`` are paths, without positions; ``names`` what is not there any more, by the field that named it.
    """

    secrets: Mapping[Address, Sequence[str]]
    names: Mapping[Address, Mapping[str, Sequence[Address]]]

    def left(self) -> Iterator[Left]:
        """The same, to be told."""
        for address, paths in self.secrets.items():
            what = f"the sensitive value that {', '.join(paths)} had"
            yield Left(address, f"nobody keeps {what}; it stays as it is now")
        for address, fields in self.names.items():
            for field, gone in fields.items():
                names = f"{', '.join(map(str, gone))}, which {'is' if len(gone) == 1 else 'are'} gone"
                yield Left(address, f"{field} named {names}; it stays as it is now")


class PutBack(Struct, frozen=True):
    """What a roll-back did.  ``left`` is empty when all is as it was.

    ``earlier`` was changed by an apply without ``--rollback``, so nobody knows what was there; it stays unverified.
    What the given paths do not cover is not named among it.
    """

    plan: Plan
    outcomes: tuple[StepOutcome, ...] = ()
    left: tuple[Left, ...] = ()
    earlier: tuple[Address, ...] = ()


def what_is_there(planned: Planned) -> dict[str, Fields]:
    """What to remember before a plan is applied, so that it can be rolled back; older notes are kept as they are."""
    state = planned.state
    now = snapshot(planned.plan, planned.live, state, KINDS)
    first = merged(_befores(state), now, KINDS) if state.unsettled else now
    return {str(address): before_to_json(before) for address, before in first.items()}


def what_may_be_back(planned: Planned) -> set[Address]:
    """The addresses at which a roll-back that was cut short, or failed, may have put something back."""
    befores = _befores(planned.state) if planned.state.going_back else {}
    return as_named_now({*befores, *concerned(befores, KINDS)}, planned.desired, KINDS)


def what_was_there(state: State) -> list[str]:
    """For a person who has to go back by hand: each address, and on the next line what was there as JSON."""
    told = []
    for address, before in _befores(state).items():
        was = (
            "it was not there, or archived"
            if not before.is_wanted
            else f"it was {before.address.name}, {before.remote_id}"
        )
        fields = masked_fields(before.fields, KINDS[address.kind].sensitive)
        told += [f"{address}: {was}", *([json.dumps(fields)] if before.is_wanted else [])]
    return told


def what_stays(planned: Planned) -> tuple[str, ...]:
    """Sentences about everything that a roll-back of this plan would not undo."""
    now = snapshot(planned.plan, planned.live, planned.state, KINDS)
    return irreversible(planned.plan, now, planned.desired, KINDS)


def with_what_stays(planned: Planned) -> Planned:
    """The plan with these sentences among its warnings."""
    return replace(planned, plan=warned(planned.plan, what_stays(planned)))


def _befores(state: State) -> dict[Address, Before]:
    return {address: before_from_json(data) for address, data in state.before.items()}


async def roll_back(here: Session, planned_back: Callable[[Plan], None] = lambda _: None) -> PutBack:
    """Lead everything that the state remembers of before back to what it was.

    ``planned_back`` is told the steps before they are carried out.  Raises what reading the platform raises, and what
    writing to the state does; failures of single steps are in what it returns.
    """
    state = here.store.load()
    befores = _befores(state)
    journal = Journal(here.store.append, state, here.clock.monotonic, writers=here.request.parallelism)
    try:
        await journal.write({"record": "going_back"})
        planned, lost = await _plan_back(here, state, befores, journal)
        planned_back(planned.plan)
        there = still_there(befores, planned.live)
        means = replace(means_of(here, journal), on_start=lambda _: None, on_end=_teller(here))
        outcomes = await carry_out(planned.plan, known_of(planned), means)
        left = [Left(each.address, each.reason) for each in planned.plan.refusals]
        left += lost.left()
        left += [
            Left(address, f"what was there, {was.remote_id}, was deleted for good; what took its place stays")
            for address, was in befores.items()
            if address not in there and address in journal.state().entries
        ]
        for step, outcome in zip(planned.plan.pending, outcomes, strict=True):
            if outcome.status is not StepStatus.DONE:
                left.append(await _left(here, planned, step, outcome))
        stuck = {each.address for each in left}
        settled = {each: was for each, was in there.items() if not stuck & concerned({each: was}, KINDS)}
        await journal.write_all(memory_last(settled, journal.state(), KINDS))
        earlier = tuple(sorted(set(state.touched) - befores.keys()))
        if not left:
            await journal.write({"record": "settled", "kept": False, "left": [str(each) for each in earlier]})
        named = tuple(each for each in earlier if each in here.desired.resources)
        return PutBack(planned.plan, outcomes, tuple(left), named)
    finally:
        await journal.close()
        if journal.is_to_commit:
            here.store.commit(journal.state())
            await carry_over(here, journal.renamed)


async def _plan_back(
    here: Session, state: State, befores: Mapping[Address, Before], journal: Journal
) -> tuple[Planned, _Lost]:
    """The steps that lead back, from what is there now.  What they risk was agreed to when it was asked for.

    Beside them what of each address cannot lead back, because nobody knows a value or what it named is gone.
    """
    read_at = here.clock.monotonic()
    both = {**here.desired.resources, **as_it_was(befores, here.desired, KINDS).resources}
    live = await read_vendors(here, here.vendors(state), state, replace(here.desired, resources=both))
    befores = still_there(befores, live)
    desired = as_it_was(befores, here.desired, KINDS)
    await journal.write_all(memory_first(befores, state, live))
    state = journal.state()
    origins = {name: provider.origin for name, provider in here.providers.items()}
    basis = Basis(here.environment, origins, here.desired.digest, state.lineage, state.serial)
    first = back(make_plan(desired, live, state, ALL_KINDS, Options(), basis), befores, KINDS)
    secrets = beyond_recall(first.pending, desired, KINDS)
    if secrets:
        desired = left_as_they_are(secrets, first.pending, desired, state, live)
        first = back(make_plan(desired, live, state, ALL_KINDS, Options(), basis), befores, KINDS)
    names = naming_what_is_gone(first.pending, desired, known_ids(desired, live, state, ALL_KINDS), KINDS)
    if names:
        aliases = match(desired, live, state, KINDS).aliases
        desired = left_as_they_name(names, first.pending, desired, live, aliases, KINDS)
        first = back(make_plan(desired, live, state, ALL_KINDS, Options(), basis), befores, KINDS)
    counts = risks(first.pending)
    acks = {risk: counts[risk] for risk in ("archive", "replace", "loosen") if counts[risk]}
    whole = make_plan(desired, live, state, ALL_KINDS, Options(policy=Policy(acks=acks)), basis)
    return Planned(back(whole, befores, KINDS), desired, live, state, read_at), _Lost(secrets, names)


def _teller(here: Session) -> Callable[[Step, StepOutcome], None]:
    def tell(step: Step, outcome: StepOutcome) -> None:
        status, error = outcome.status.value, outcome.error
        here.hooks.event({"event": "put_back", "step": step.id, "status": status, "error": error})

    return tell


async def _left(here: Session, planned: Planned, step: Step, outcome: StepOutcome) -> Left:
    """What is left to do of a step, with the request that does it."""
    provider = here.providers[step.address.vendor]
    live = planned.live.by_id()

    def op_of(step: Step) -> str | None:
        entry = planned.state.entries.get(step.former or step.address)
        return entry.op if entry is not None and entry.op is not None else live[str(step.remote_id)].op

    request = await first_write(step, KINDS[step.address.kind], provider, planned.ids, live, here.clock, op_of)
    return Left(step.address, outcome.error, request, _url(here, step.address, request) if request else "")


def _url(here: Session, address: Address, call: Call) -> str:
    vendor = next(vendor for vendor in VENDORS if vendor.name == address.vendor)
    base = vendor.base_url if here.environment == LOCAL else base_url(vendor, here.settings)
    return f"{base.rstrip('/')}{call.path}"
