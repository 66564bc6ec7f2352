"""Trigger evaluations, wait, judge.  Touches: network, the state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from datetime import datetime

from reconciler.applying.journal import Journal
from reconciler.errors import (
    UsageInvalid,
)
from reconciler.evaluating.gates import Expectation, judge
from reconciler.evaluating.runner import RunResult, resume, run
from reconciler.manifests.rows import load_rows, stamped
from reconciler.model.flow import drive
from reconciler.model.kind import Measuring, Trigger, Wire
from reconciler.model.neighbourhood import Neighbourhood
from reconciler.model.outcome import Evaluation, TimeRange, Verdict
from reconciler.model.provider import Provider
from reconciler.model.resource import Address, LiveObject, Resource
from reconciler.model.state import fold
from reconciler.model.values import parse_duration
from reconciler.pipeline.locking import locked
from reconciler.pipeline.planning import ALL_KINDS, Planned, plan
from reconciler.pipeline.remembering import remember
from reconciler.pipeline.session import LOCAL, Session, new_operation_id
from reconciler.planning.selecting import selects
from reconciler.providers import KINDS, VENDORS
from reconciler.providers.reader import all_of


@dataclass(frozen=True)
class Evaluated:
    """Verdicts, worst first; ``apart`` are resources that can not be evaluated on demand, with the reason."""

    verdicts: tuple[Verdict, ...]
    apart: tuple[tuple[Address, str], ...] = ()
    result: RunResult = field(default_factory=RunResult)
    unapplied: int = 0


@dataclass(frozen=True)
class Measurement:
    """What to measure.  ``only`` limits it to these addresses; ``trigger`` False only reads what was recorded."""

    range: TimeRange | None
    only: tuple[Address, ...] | None = None
    trigger: bool = True
    overwrite: bool = False
    wait: bool = True
    deadline_s: float = 600.0


async def evaluate(here: Session, ask: Measurement) -> Evaluated:
    """Trigger evaluations (or only read results), wait, and judge every test on every place where it runs.

    Raises what ``plan`` raises, and UsageInvalid when there is nothing to measure: silence is not a pass.
    """
    async with locked(here, "evaluate") if ask.trigger else nullcontext():  # looking on needs no lock
        planned = await plan(here)
        tests, apart = _measurable(here, planned, ask)
        if not tests:
            raise UsageInvalid("nothing here can be evaluated", hint="check the paths, --select and the tests' mode")
        if ask.trigger:
            await _stream_samples(here, planned)
        journal = Journal(here.store.append, here.clock.monotonic)
        try:
            result = await _measure(here, planned, tests, ask, journal)
        finally:
            await journal.close()
            if journal.records and journal.failure is None:
                here.store.commit(fold(planned.state, journal.records))
    ids, there = planned.ids(ALL_KINDS), {item.address: item for item in planned.live.objects if not item.archived}
    verdicts = judge(
        [each for resource in tests for each in _expectations(resource, planned, there)],
        _asked_for(result.evaluations, tests, ids),
        {remote_id: address.name for address, remote_id in ids.items()},
    )
    if ask.wait:
        await remember(here, verdicts)
    return Evaluated(verdicts, tuple(apart), result, len(planned.plan.pending))


def tests_about(here: Session, addresses: Iterable[Address]) -> tuple[Address, ...]:
    """What measures any of these resources: tests among them, and what is measured on behalf of one of them."""
    asked = set(addresses)
    measured = [resource for resource in here.desired if KINDS[resource.address.kind].measuring is not None]
    return tuple(each.address for each in measured if {each.address, _subject(each)} & asked)


def _measurable(here: Session, planned: Planned, ask: Measurement) -> tuple[list[Resource], list[tuple[Address, str]]]:
    tests: list[Resource] = []
    apart: list[tuple[Address, str]] = []
    patterns = here.request.select
    for resource in planned.desired:
        measuring = KINDS[resource.address.kind].measuring
        left_out = ask.only is not None and resource.address not in ask.only
        if measuring is None or left_out or (patterns and not any(selects(p, resource.address) for p in patterns)):
            continue
        why_not = measuring.possible(resource.fields)
        if why_not and ask.trigger:
            apart.append((resource.address, why_not))
        else:
            tests.append(resource)
    return tests, apart


async def _measure(
    here: Session, planned: Planned, tests: Sequence[Resource], ask: Measurement, journal: Journal
) -> RunResult:
    ids = planned.ids(ALL_KINDS)
    there = [resource for resource in tests if _subject(resource) in ids]
    results = []
    for vendor in here.vendors(planned.state):
        provider = here.providers[vendor.name]
        wire = Wire(ids, provider.dialect)
        mine = [resource for resource in there if resource.address.vendor == vendor.name]
        if not ask.trigger:
            lists = await all_of(_recorded(here, provider, resource, ids, wire, ask.range) for resource in mine)
            results.append(RunResult(tuple(each for evaluations in lists for each in evaluations)))
            continue
        assert ask.range is not None
        triggers = [each for resource in mine for each in _triggers(resource, ids, ask.range, overwrite=ask.overwrite)]
        results.append(
            await run(
                resume(triggers, planned.state.tasks),
                measuring_of,
                journal.guard(provider),
                wire,
                here.clock,
                journal.write,
                deadline_s=ask.deadline_s,
                parallelism=here.request.parallelism,
                on_progress=here.hooks.progress,
                tasks=planned.state.tasks,
                wait=ask.wait,
            )
        )
    return RunResult(
        tuple(each for result in results for each in result.evaluations),
        tuple(each for result in results for each in result.unfinished),
        tuple(each for result in results for each in result.doubtful),
    )


async def _recorded(
    here: Session,
    provider: Provider,
    resource: Resource,
    ids: Mapping[Address, str],
    wire: Wire,
    within: TimeRange | None,
) -> tuple[Evaluation, ...]:
    """What was recorded for one resource: everything in a range, or else the latest on each place."""
    flow = measuring_of(resource.address).results(resource.address, ids[_subject(resource)], within, wire)
    found = await drive(flow, provider.send, here.clock.sleep)
    if within is not None:
        return found
    latest: dict[str | None, Evaluation] = {}
    for each in found:  # newest first
        latest.setdefault(each.pipeline, each)
    return tuple(latest.values())


def measuring_of(address: Address) -> Measuring:
    measuring = KINDS[address.kind].measuring
    assert measuring is not None
    return measuring


def _subject(resource: Resource) -> Address:
    """Whose object at the platform is evaluated: mostly the resource's own."""
    return measuring_of(resource.address).subject(resource.address, resource.fields)


def _triggers(resource: Resource, ids: Mapping[Address, str], within: TimeRange, *, overwrite: bool) -> list[Trigger]:
    places = _targets(resource)
    targets = [ids[place] for place in places if place in ids] if places else [None]
    subject = ids[_subject(resource)]
    return [Trigger(resource.address, subject, target, within, overwrite, new_operation_id()) for target in targets]


def _asked_for(
    evaluations: Iterable[Evaluation], tests: Sequence[Resource], ids: Mapping[Address, str]
) -> list[Evaluation]:
    """Without what was measured elsewhere for somebody else: several resources may measure one subject.

    A place is known by its name or by the vendor's id.
    """
    places = {
        resource.address: {name for place in _targets(resource) for name in (place.name, ids.get(place))}
        for resource in tests
        if _subject(resource) != resource.address
    }
    return [each for each in evaluations if each.pipeline in {None, *places.get(each.address, (each.pipeline,))}]


def _targets(resource: Resource) -> tuple[Address, ...]:
    return measuring_of(resource.address).targets(resource.address, resource.fields)


def _expectations(resource: Resource, planned: Planned, there: Mapping[Address, LiveObject]) -> list[Expectation]:
    """One for each place where the resource runs; one without a place where there is none to be named."""
    kind, measuring = KINDS[resource.address.kind], measuring_of(resource.address)
    siblings = sorted(
        {item.address for item in planned.live.objects if _is_beside(item, resource, measuring)}
        | {a for a in planned.desired.resources if a.kind == measuring.place and a.root == resource.address.root}
    )
    places = [] if measuring.possible(resource.fields) else measuring.places(resource.fields, siblings)
    beside = Neighbourhood(there, KINDS, resource.address)
    warn = kind.criteria(resource.gate.warn, beside)
    subject = planned.desired.resources.get(_subject(resource), resource)
    criteria = KINDS[subject.address.kind].criteria(subject.fields, beside)
    expectation = Expectation(resource.address, None, resource.gate, resource.source, criteria, warn)
    return [replace(expectation, pipeline=place.name) for place in places] or [expectation]


def _is_beside(item: LiveObject, resource: Resource, measuring: Measuring) -> bool:
    return item.address.kind == measuring.place and item.address.root == resource.address.root and not item.archived


async def _stream_samples(here: Session, planned: Planned) -> None:
    """Fill the embedded emulator's pipelines with the rows that the local Environment names."""
    if here.environment != LOCAL or here.manifest is None:
        return
    places = {item.address.path: item for item in planned.live.objects if not item.archived}
    for sample in here.manifest.emulator.rows:
        place = places.get((sample.project, sample.pipeline))
        if place is None:
            continue
        vendor = next(vendor for vendor in VENDORS if vendor.name == place.address.vendor)
        assert vendor.sample is not None
        found = load_rows(here.request.root / sample.file, sample.file)
        rows, config = stamped(
            found,
            dict(sample.config),
            now=here.clock.now(),
            window_s=parse_duration(sample.spread),
            last=_last_row(place),
        )
        if rows:
            here.hooks.note(f"streaming {len(rows)} sample rows to {sample.project}/{sample.pipeline}")
            flow = vendor.sample(place.remote_id, rows, config)
            await drive(flow, here.providers[vendor.name].send, here.clock.sleep)


def _last_row(item: LiveObject) -> float | None:
    last = item.details.get("lastRow")
    return datetime.fromisoformat(last).timestamp() if isinstance(last, str) else None
