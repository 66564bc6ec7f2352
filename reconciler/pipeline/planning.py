"""Read live state and decide what would change.  Touches: network (reads only), the state (reads only)."""

from __future__ import annotations

import math
import os
from collections import defaultdict
from collections.abc import Iterable, Mapping
from functools import cached_property

from msgspec import Struct
from msgspec.structs import replace

from reconciler.concurrency import all_of
from reconciler.model.kind import Vendor
from reconciler.model.plan import Action, Basis, Plan
from reconciler.model.resource import Address, Desired, Live, LiveObject
from reconciler.model.state import State
from reconciler.model.values import Fields, share
from reconciler.pipeline.left_out import check_left_out
from reconciler.pipeline.origins import check_origins
from reconciler.pipeline.session import Ahead, Session
from reconciler.planning.planner import digest, known_ids, make_plan, only_drift
from reconciler.planning.unmanaged import unmanaged
from reconciler.planning.world import Options
from reconciler.providers import KINDS
from reconciler.providers.reader import Inside, Roots, read_live

ALL_KINDS = tuple(KINDS.values())
"""Every kind of every vendor, parents before children."""

MANY = 20_000
"""From this many resources on, equal values of manifests, state and platform are shared to save memory; below that, not
looking for them is faster."""


class Planned(Struct, frozen=True, dict=True):
    """A plan and what it was made from; ``live`` was read from the monotonic second ``read_at`` on."""

    plan: Plan
    desired: Desired
    live: Live
    state: State
    read_at: float = -math.inf

    @cached_property
    def ids(self) -> Mapping[Address, str]:
        """The remote id of every address that has a live object."""
        return known_ids(self.desired, self.live, self.state, ALL_KINDS)

    @cached_property
    def by_id(self) -> Mapping[str, LiveObject]:
        """The live objects by the vendor's id."""
        return self.live.by_id()

    @cached_property
    def by_root(self) -> Mapping[tuple[str, str], list[Address]]:
        """What is at the platform, or wanted there, by kind and root, sorted; nothing where there is none.

        What was renamed at the platform has the address that we know it by.
        """
        known = {remote_id: address for address, remote_id in self.ids.items()}
        there = {known.get(item.remote_id, item.address) for item in self.live.objects if not item.archived}
        found: dict[tuple[str, str], list[Address]] = defaultdict(list)
        for address in sorted(there | self.desired.resources.keys()):
            found[address.kind, address.root].append(address)
        return found


async def plan(here: Session, *, destroy: bool = False, resumed: bool = False) -> Planned:
    """Read live state and decide what would change.  Changes nothing.

    ``resumed``: a plan that was cut short goes on, and part of what was acknowledged may be done already.
    Raises ApiError, StateUnreadable, LooksLikeOutage, UsageInvalid.
    """
    ahead = await here.read_ahead()
    state = ahead.state if ahead else here.store.load()
    vendors = here.vendors(state)
    for vendor in vendors:  # all credentials before any network
        await here.provider(vendor)
    origins = {vendor.name: here.providers[vendor.name].origin for vendor in vendors}
    check_origins(state, origins, here)
    ahead = ahead or Ahead(state, here.clock.monotonic())
    if ahead.failure is not None:
        raise ahead.failure
    live = await read_vendors(here, vendors, state, here.desired, ahead.lists)
    live = replace(live, requests=live.requests + ahead.requests)
    desired = replace(here.desired, resources={}) if destroy else here.desired
    basis = Basis(
        environment=here.environment,
        origins=origins,
        manifests=here.desired.digest,
        lineage=state.lineage,
        state_serial=state.serial,
        options={**here.request.options(), "destroy": destroy},
    )
    policy = replace(here.policy, destroy=destroy, everything=here.request.everything, resumed=resumed)
    options = Options(here.request.adopt, here.request.select, policy)
    made = make_plan(desired, live, state, ALL_KINDS, options, basis)
    if not state.serial and _waits_for_adoption(made):
        made = replace(made, warnings=(_no_state_yet(here), *made.warnings))
        made = replace(made, digest=digest(made))
    await check_left_out(here, made, state)
    return Planned(made, desired, live, state, ahead.read_at)


def _waits_for_adoption(plan: Plan) -> bool:
    """Whether all that there is to say of anything is that it is at the platform, and not ours."""
    refused = {refusal.address for refusal in plan.refusals}
    strange = (step.action is Action.ADOPT and (step.idle or step.address in refused) for step in plan.steps)
    return bool(plan.steps) and all(strange)


def _no_state_yet(here: Session) -> str:
    place = here.store.describe().removeprefix(f"{here.request.root}{os.sep}")
    return (
        f"there is no state at {place} yet, so nothing of this is ours; if it was applied before, that was in another "
        "folder or with another state, else apply --adopt takes over what is at the platform"
    )


async def drift(here: Session, *, and_unmanaged: bool = False) -> Planned:
    """Only what somebody changed at the platform; with what was made by hand in what is ours, where that is asked."""
    planned = await plan(here)
    found = only_drift(planned.plan, ALL_KINDS)
    if and_unmanaged:
        strangers = unmanaged(planned.desired, planned.live, planned.state, KINDS, here.request.select)
        found = replace(found, unmanaged=strangers)
    return replace(planned, plan=found)


async def read_vendors(
    here: Session, vendors: Iterable[Vendor], state: State, desired: Desired, inside: Inside | None = None
) -> Live:
    """What the vendors list of everything that is wanted or remembered, ``inside`` apart.  Raises ApiError."""
    remembered_ids = {address: entry.remote_id for address, entry in state.entries.items()}
    expected = [address for address, entry in state.entries.items() if not (entry.archived or entry.unlisted)]
    former = [address for resource in desired for address in resource.renamed_from]
    roots = Roots.of((*desired.resources, *former, *state.in_doubt), remembered_ids)
    written = shareable(desired)
    for address, entry in state.entries.items() if written else ():
        share(entry.applied, written.get(address, {}))
    lists = await all_of(
        read_live(here.providers[vendor.name], here.clock, roots, remembered_ids, written, inside, expected)
        for vendor in vendors
    )
    return Live(tuple(item for live in lists for item in live.objects), sum(live.requests for live in lists))


def shareable(desired: Desired) -> dict[Address, Fields]:
    """The fields that others say alike, where there are so many that it counts."""
    return {resource.address: resource.fields for resource in desired} if len(desired) >= MANY else {}
