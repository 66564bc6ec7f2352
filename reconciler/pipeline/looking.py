"""Read what was measured already, with few requests.  Touches: network."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Coroutine, Mapping, Sequence
from itertools import chain
from typing import Any

from reconciler.concurrency import all_at_once, all_of
from reconciler.errors import MethodMissing, NotFound
from reconciler.evaluating.gates import is_empty_so_far
from reconciler.evaluating.runner import RunResult
from reconciler.model.call import Flow, Wire
from reconciler.model.flow import drive
from reconciler.model.measuring import Measuring
from reconciler.model.outcome import Evaluation, TimeRange
from reconciler.model.provider import Provider
from reconciler.model.resource import Address, Resource
from reconciler.pipeline.planning import Planned
from reconciler.pipeline.session import Session
from reconciler.providers import KINDS


async def look(here: Session, planned: Planned, tests: Sequence[Resource], within: TimeRange | None) -> RunResult:
    """What was recorded already."""
    ids = planned.ids
    there = [resource for resource in tests if subject_of(resource) in ids]
    told = await _latest(here, planned, there) if within is None else {}
    lists = await all_of(
        _recorded(here, provider, resource, ids, Wire(ids, provider.dialect), within)
        for resource in there
        if resource.address not in told
        for provider in [here.providers[resource.address.vendor]]
    )
    return RunResult(tuple(each for evaluations in (*told.values(), *lists) for each in evaluations))


async def _latest(here: Session, planned: Planned, tests: Sequence[Resource]) -> Mapping[Address, Sequence[Evaluation]]:
    """The latest results as the lists of whole places tell them, where these are fewer than the resources.

    What is not in the list of a place where it runs is left out, and so is what has no rows there yet: it may have a
    result that only it tells.
    """
    groups: dict[tuple[str, str], list[Resource]] = defaultdict(list)
    for resource in tests:
        groups[resource.address.kind, resource.address.root].append(resource)
    lists = await all_of(flow for group in groups.values() for flow in _lists(here, planned, group))
    found: dict[Address, list[Evaluation]] = defaultdict(list)
    for each in chain.from_iterable(lists):
        found[each.address].append(each)

    def is_told(resource: Resource) -> bool:
        if any(map(is_empty_so_far, found[resource.address])):
            return False
        places = places_of(resource, planned)
        wanted = {planned.ids[place] for place in places if place in planned.ids}
        return wanted <= {each.pipeline for each in found[resource.address]}

    return {each.address: found[each.address] for each in tests if each.address in found and is_told(each)}


def _lists(
    here: Session, planned: Planned, group: Sequence[Resource]
) -> list[Coroutine[Any, Any, Sequence[Evaluation]]]:
    """One for each place beside resources of one kind and root; none where asking each of these takes fewer."""
    ids, address = planned.ids, group[0].address
    measuring, provider = measuring_of(address), here.providers[address.vendor]
    places = [ids[place] for place in planned.by_root[measuring.place, address.root] if place in ids]
    if measuring.latest is None or len(places) > len(group):
        return []
    addresses, wire = {ids[each.address]: each.address for each in group}, Wire(ids, provider.dialect)

    async def told(flow: Flow[tuple[Evaluation, ...]]) -> tuple[Evaluation, ...]:
        try:
            return await drive(flow, provider.send, here.clock.sleep, all_at_once(provider.send))
        except (NotFound, MethodMissing):  # an older platform, or the place is gone: its resources are asked
            return ()

    return [told(measuring.latest(place, addresses, wire)) for place in places]


async def _recorded(
    here: Session,
    provider: Provider,
    resource: Resource,
    ids: Mapping[Address, str],
    wire: Wire,
    within: TimeRange | None,
) -> tuple[Evaluation, ...]:
    """What was recorded for one resource: everything in a range, or else the latest on each place.

    Where results belong to a version and not to a window, as many of the latest as the gate has runs.
    """
    measuring, subject_id = measuring_of(resource.address), ids[subject_of(resource)]
    places = [ids[place] for place in targets_of(resource) if place in ids]
    repeats = measuring.repeated is not None and resource.gate.runs > 1
    if measuring.repeated is not None and repeats:
        flow = measuring.repeated(resource.address, subject_id, resource.gate.runs, places)
    else:
        flow = measuring.results(resource.address, subject_id, within, places, wire)
    found = await drive(flow, provider.send, here.clock.sleep, all_at_once(provider.send))
    if within is not None or repeats:
        return found
    return tuple(chain.from_iterable(_as_far_as_telling(each) for each in _by_place(found).values()))


def _by_place(evaluations: Sequence[Evaluation]) -> Mapping[str | None, Sequence[Evaluation]]:
    found: dict[str | None, list[Evaluation]] = defaultdict(list)
    for each in evaluations:
        found[each.pipeline].append(each)
    return found


def _as_far_as_telling(evaluations: Sequence[Evaluation]) -> Sequence[Evaluation]:
    """Of results newest first the latest, and those before it as long as there were no rows yet."""
    last = next((n for n, each in enumerate(evaluations) if not is_empty_so_far(each)), len(evaluations) - 1)
    return evaluations[: last + 1]


def measuring_of(address: Address) -> Measuring:
    measuring = KINDS[address.kind].measuring
    assert measuring is not None
    return measuring


def places_of(resource: Resource, planned: Planned) -> tuple[Address, ...]:
    """All places that it runs on: as the platform has it in what no manifest has ever said."""
    measuring, live = measuring_of(resource.address), planned.by_id.get(planned.ids.get(resource.address, ""))
    entry = planned.state.entries.get(resource.address)
    said = {**(entry.applied if entry else {}), **resource.fields}
    shown = {name: value for name, value in live.fields.items() if name not in said} if live else {}
    return measuring.places({**shown, **resource.fields}, planned.by_root[measuring.place, resource.address.root])


def subject_of(resource: Resource) -> Address:
    """Whose object at the platform is evaluated: mostly the resource's own."""
    return measuring_of(resource.address).subject(resource.address, resource.fields)


def targets_of(resource: Resource) -> tuple[Address, ...]:
    """The places to trigger it on one by one; none where one trigger is for all of them."""
    return measuring_of(resource.address).targets(resource.address, resource.fields)
