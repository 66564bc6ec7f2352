"""Ask for what the lists leave out before it is taken for gone, and made again.  Touches: network (reads only).

A list that is read twice may be wrong twice.  Only where something is missing is anything asked for, by its id.
"""

from __future__ import annotations

from reconciler.concurrency import all_of
from reconciler.errors import NotFound, ReadFailed
from reconciler.model.flow import drive
from reconciler.model.plan import Action, Plan
from reconciler.model.resource import Address
from reconciler.model.state import State
from reconciler.pipeline.session import Session
from reconciler.providers import KINDS


async def check_left_out(here: Session, plan: Plan, state: State) -> None:
    """Raises ReadFailed when something of ours that ``plan`` makes again is there after all, and ApiError."""
    made = [step.address for step in plan.steps if step.action is Action.CREATE]
    known = {address: entry for address in made if (entry := state.entries.get(address)) is not None}
    await all_of(
        _check(here, address, entry.remote_id)
        for address, entry in known.items()
        if not entry.archived and not entry.unlisted
    )


async def _check(here: Session, address: Address, remote_id: str) -> None:
    kind, provider = KINDS[address.kind], here.providers[address.vendor]
    if kind.one is None:
        return
    try:
        item = await drive(kind.one(remote_id), provider.send, here.clock.sleep)
    except NotFound:
        return
    if kind.understand(item, address.path[: -len(kind.identity)], lambda _, __: None) is not None:
        raise ReadFailed(
            f"the list leaves out {address}, which is there by its id ({remote_id})",
            method="GET",
            path=f"the list of {kind.noun}s",
            hint=f"run it again; if it belongs elsewhere by now, forget it: reconciler state rm '{address}'",
        )
