"""Say what an evaluation will cover and cost before it begins, and refuse one that is too large."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from reconciler.errors import RefusedByPolicy
from reconciler.evaluating.estimate import Cost, Estimate, alignment_text, together
from reconciler.evaluating.gates import Expectation
from reconciler.evaluating.runner import is_under_way
from reconciler.model.kind import Trigger
from reconciler.model.outcome import TimeRange
from reconciler.model.resource import Address, LiveObject, Resource
from reconciler.model.values import format_duration
from reconciler.pipeline.planning import Planned
from reconciler.pipeline.session import Session
from reconciler.providers import KINDS


def estimated(
    planned: Planned,
    tests: Sequence[Resource],
    expectations: Mapping[Address, Sequence[Expectation]],
    triggers: Sequence[Trigger],
    asked: TimeRange,
) -> Estimate:
    """What the triggers cost that are not under way yet.  A test that names no pipelines runs on those it expects."""
    fresh = [trigger for trigger in triggers if not is_under_way(trigger, planned.state.tasks)]
    live = {item.address: item for item in planned.live.objects if not item.archived}
    resources = {resource.address: resource for resource in tests}
    costs = []
    for trigger in fresh:
        resource, everywhere = resources[trigger.address], expectations[trigger.address]
        pipelines = 1 if trigger.pipeline else sum(each.pipeline is not None for each in everywhere)
        costs.append(_cost(resource, live.get(resource.address), pipelines, asked))
    return Estimate(asked, together(costs), len(triggers) - len(fresh))


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


def _cost(resource: Resource, live: LiveObject | None, pipelines: int, asked: TimeRange) -> Cost:
    measuring = KINDS[resource.address.kind].measuring
    assert measuring is not None
    if measuring.window is None:
        return Cost(resource.address, pipelines, resource.gate.runs)
    width = measuring.window({**(live.fields if live else {}), **resource.fields})
    return Cost.over(asked, width, resource.address, pipelines, resource.gate.runs)


def announce(here: Session, estimate: Estimate | None, triggers: Sequence[Trigger], most: int | None) -> None:
    """Tell what is about to happen, people and machines.  Raises RefusedByPolicy as ``refuse_beyond`` does."""
    if estimate is None:
        here.hooks.note(f"resuming {len(triggers)} trigger{'' if len(triggers) == 1 else 's'} of an earlier run")
        return
    for sentence in alignment_text(estimate.asked, estimate.spans().items(), here.clock.now()):
        here.hooks.note(sentence)
    if not _is_beyond(most, estimate):
        here.hooks.note(estimate.text())
    here.hooks.event({"event": "estimate", **estimate.to_json()})
    refuse_beyond(most, estimate)


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
