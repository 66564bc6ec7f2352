"""Make sure that what was archived is.  Touches: network (reads only).

A platform may answer 200 and do nothing.  What was read back tells.  A list is asked for only where nothing was read
back, and where that shows something as it was: lists may be a little behind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence

from msgspec.structs import replace

from reconciler.applying.removals import Deleted, Look
from reconciler.applying.siblings import Siblings
from reconciler.concurrency import all_of
from reconciler.errors import ApiError, OutcomeUnknown
from reconciler.model.call import Wire
from reconciler.model.kind import Removal, Replace, root_of
from reconciler.model.outcome import StepOutcome, StepStatus
from reconciler.model.plan import Action, Step
from reconciler.model.resource import Address, Live
from reconciler.model.state import Entry, Record, State, done
from reconciler.pipeline.planning import Planned
from reconciler.pipeline.session import Session
from reconciler.providers import KINDS


def _archiving(planned: Planned, outcomes: Sequence[StepOutcome]) -> Iterator[Step]:
    """The steps that are done and have archived something in a root that is still there."""
    ended = {outcome.step_id for outcome in outcomes if outcome.status is StepStatus.DONE}
    gone = {step.address for step in planned.plan.pending if step.action is Action.DELETE}
    for step in planned.plan.pending:
        kind = KINDS[step.address.kind]
        replaces = step.action is Action.REPLACE and kind.replace is Replace.CREATE_FIRST
        archives = kind.removal is Removal.ARCHIVE and (step.action is Action.ARCHIVE or replaces)
        if archives and step.id in ended and root_of(step.address, KINDS) not in gone:
            yield step


async def not_archived(
    here: Session, planned: Planned, outcomes: Sequence[StepOutcome], live: Live | None
) -> Mapping[str, StepOutcome]:
    """How the steps have ended in truth that have archived nothing, by their ids; ``live`` is what was read back."""
    by_id, found = live.by_id() if live is not None else {}, dict[str, StepOutcome]()
    left: dict[tuple[str, Address | None], list[Deleted]] = defaultdict(list)
    for step in _archiving(planned, outcomes) if not here.stop.is_set() else ():
        item = by_id.get(str(step.remote_id))
        if item is None or not item.archived:
            left[step.address.kind, KINDS[step.address.kind].parent_of(step.address)].append(Deleted(step, None))

    async def tell(step: Step, error: ApiError | None) -> None:
        if error is not None:
            status = StepStatus.UNKNOWN if isinstance(error, OutcomeUnknown) else StepStatus.FAILED
            found[step.id] = StepOutcome(step.id, status, error.message, error.hint, step.remote_id)
            here.hooks.event({"event": "step_ended", "step": step.id, "status": status.value, "error": error.message})

    await all_of(_look(here, planned, sent[0].step.address).make_sure(sent, tell) for sent in left.values())
    return found


def _look(here: Session, planned: Planned, address: Address) -> Look:
    """How to see what has become of the address and what stands beside it."""
    kind, provider = KINDS[address.kind], here.providers[address.vendor]
    parent = kind.parent_of(address)
    path, parent_id = (parent.path, planned.ids[parent]) if parent is not None else ((), None)
    siblings = Siblings(kind, parent_id, path, provider.send, Wire(planned.ids, provider.dialect))
    return Look(siblings, here.clock, here.window_s(provider), here.stop, here.hooks.note)


def still_ours(planned: Planned, state: State, failed: Mapping[str, StepOutcome]) -> list[Record]:
    """What is remembered of objects that were to be archived and are not: as if nobody had tried."""
    entries: dict[Address, Entry] = {}
    for step in planned.plan.pending if failed else ():
        entry = entries.get(step.address) or state.entries.get(step.address)
        before = planned.state.entries.get(step.former or step.address)
        if step.id not in failed or entry is None or before is None:
            continue
        if entry.remote_id == step.remote_id:
            entries[step.address] = before
        else:
            entries[step.address] = replace(entry, retiring=(*entry.retiring, str(step.remote_id)))
    return [done(address, entry, state.in_doubt.get(address)) for address, entry in entries.items()]
