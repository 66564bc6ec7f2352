"""Say what an evaluation will cover and cost before it begins, and refuse one that is too large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.concurrency import all_of
from reconciler.errors import ApiError, RefusedByPolicy
from reconciler.evaluating.estimate import Cost, Estimate, alignment_text, together
from reconciler.evaluating.notes import is_under_way, unstarted
from reconciler.evaluating.one_result import Expectation
from reconciler.model.call import Wire
from reconciler.model.flow import Send, drive
from reconciler.model.measuring import Trigger
from reconciler.model.outcome import TimeRange
from reconciler.model.resource import Address, LiveObject, Resource
from reconciler.model.values import format_duration
from reconciler.pipeline.looking import measuring_of
from reconciler.pipeline.planning import Planned
from reconciler.pipeline.session import Session


async def estimated(
    here: Session,
    planned: Planned,
    tests: Sequence[Resource],
    expectations: Mapping[Address, Sequence[Expectation]],
    triggers: Sequence[Trigger],
    asked: TimeRange,
    sends: Mapping[str, Send],
) -> Estimate:
    """What the triggers cost that are not under way yet.  A test that names no pipelines runs on those it expects.

    ``sends`` is how to ask each vendor, by its name.
    """
    live = {item.address: item for item in planned.live.objects if not item.archived}
    resources = {resource.address: resource for resource in tests}
    costs, there, under_way = [], 0, 0
    for trigger, (missing, known) in zip(triggers, await _missing(here, planned, triggers, sends), strict=True):
        resource, everywhere = resources[trigger.address], expectations[trigger.address]
        pipelines = 1 if trigger.pipeline else sum(each.pipeline is not None for each in everywhere)
        if is_under_way(trigger, planned.state.tasks):
            under_way += 1
        else:
            there += known
        if missing:
            costs.append(_cost(resource, live.get(resource.address), pipelines, asked, missing))
    return Estimate(asked, together(costs), under_way, there)


async def _missing(
    here: Session, planned: Planned, triggers: Sequence[Trigger], sends: Mapping[str, Send]
) -> list[tuple[int, int]]:
    """Of each trigger how many runs will be started, and how many are there already, as far as one can tell.

    Those that one trigger starts are there for the next one on the same place, unless it asks for runs of its own.
    """
    looks = await all_of(_there(here, planned, sends[each.address.vendor], each) for each in triggers)
    started: dict[tuple[str, str | None], int] = {}
    found = []
    for trigger, there in zip(triggers, looks, strict=True):
        if there is None:
            found.append((unstarted(trigger, planned.state.tasks), 0))
            continue
        place = (trigger.remote_id, trigger.pipeline)
        known = there if trigger.overwrite else max(there, started.get(place, 0))
        missing = max(0, trigger.runs - known)
        started[place] = known + missing
        found.append((missing, min(there, trigger.runs)))
    return found


async def _there(here: Session, planned: Planned, send: Send, trigger: Trigger) -> int | None:
    """How many of its runs are there; None where nobody can tell: what cannot be read, the trigger will tell."""
    there = measuring_of(trigger.address).there
    if there is None:
        return None
    wire = Wire(planned.ids, here.providers[trigger.address.vendor].dialect)
    try:
        return await drive(there(trigger, wire), send, here.clock.sleep)
    except ApiError:
        return None


def estimated_whole(
    planned: Planned,
    tests: Sequence[Resource],
    expectations: Mapping[Address, Sequence[Expectation]],
    asked: TimeRange,
) -> Estimate:
    """What it would cost to evaluate all of these everywhere, whether or not they are at the platform yet."""
    live = {item.address: item for item in planned.live.objects if not item.archived}
    places = {address: sum(each.pipeline is not None for each in every) for address, every in expectations.items()}
    costs = [_cost(each, live.get(each.address), places[each.address], asked) for each in tests]
    return Estimate(asked, together(costs))


def _cost(
    resource: Resource, live: LiveObject | None, pipelines: int, asked: TimeRange, runs: int | None = None
) -> Cost:
    """``runs`` are all that the gate asks for, unless it is told."""
    runs = resource.gate.runs if runs is None else runs
    window = measuring_of(resource.address).window
    if window is None:
        return Cost(resource.address, pipelines, runs)
    width = window({**(live.fields if live else {}), **resource.fields})
    return Cost.over(asked, width, resource.address, pipelines, runs)


def announce(here: Session, estimate: Estimate | None, triggers: Sequence[Trigger], most: int | None) -> None:
    """Tell what is about to happen, people and machines.  Raises RefusedByPolicy as ``refuse_beyond`` does."""
    if estimate is None:
        here.hooks.note(f"resuming {len(triggers)} trigger{'' if len(triggers) == 1 else 's'} of an earlier run")
        return
    announce_range(here, estimate)
    if not _is_beyond(most, estimate):
        here.hooks.note(estimate.text())
    here.hooks.event({"event": "estimate", **estimate.to_json()})
    refuse_beyond(most, estimate)


def announce_range(here: Session, estimate: Estimate) -> None:
    """Tell what the range becomes where windows begin or end elsewhere, or are not over."""
    for sentence in alignment_text(estimate.asked, estimate.spans().items(), here.clock.now()):
        here.hooks.note(sentence)


def refuse_beyond(most: int | None, estimate: Estimate | None) -> None:
    """Raise RefusedByPolicy, naming the largest contributors, when it is more than ``most`` evaluations."""
    if estimate is None or not _is_beyond(most, estimate):
        return
    largest = "\n".join(f"  {line}" for line in estimate.largest())
    raise RefusedByPolicy(
        f"this would run {estimate.evaluations:,} evaluations, and --max-evaluations allows {most:,}; most of them:\n"
        f"{largest}",
        hint=f"ask for less than {format_duration(estimate.asked.end - estimate.asked.start)}, or --select fewer tests",
    )


def _is_beyond(most: int | None, estimate: Estimate) -> bool:
    return most is not None and estimate.evaluations > most
