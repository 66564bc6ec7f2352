"""What must be judged, and what is to be said of it.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from msgspec.structs import replace

from reconciler.evaluating.one_result import Expectation
from reconciler.model.criteria import name_of
from reconciler.model.kind import Criterion
from reconciler.model.nearest import did_you_mean
from reconciler.model.neighbourhood import Neighbourhood
from reconciler.model.outcome import Evaluation, EvaluationStatus
from reconciler.model.plan import Effect
from reconciler.model.resource import Address, Resource
from reconciler.pipeline.looking import measuring_of, places_of, subject_of, targets_of
from reconciler.pipeline.planning import Planned
from reconciler.pipeline.replaying import Looking
from reconciler.planning.thresholds import classify_by_key
from reconciler.planning.world import namesakes
from reconciler.providers import KINDS


def expectations_of(planned: Planned, tests: Iterable[Resource]) -> dict[Address, list[Expectation]]:
    """One for each place where a resource runs or shall; one without a place where there is none to be named."""
    there = {item.address: item for item in planned.live.objects if not item.archived}

    def each(resource: Resource) -> list[Expectation]:
        measuring = measuring_of(resource.address)
        places = () if measuring.possible(resource.fields) else (*targets_of(resource), *places_of(resource, planned))
        beside = Neighbourhood(there, KINDS, resource.address)
        subject = planned.desired.resources.get(subject_of(resource), resource)
        criteria_of = KINDS[subject.address.kind].criteria
        live = planned.by_id.get(planned.ids.get(subject.address, ""))
        expectation = Expectation(
            resource.address,
            None,
            resource.gate,
            resource.source,
            criteria_of(subject.fields, beside),
            KINDS[resource.address.kind].criteria(resource.gate.warn, beside),
            windowed=measuring.window is not None,
            there=None if live is None else criteria_of(live.fields, beside),
        )
        return [replace(expectation, pipeline=place.name) for place in dict.fromkeys(places)] or [expectation]

    return {resource.address: each(resource) for resource in tests}


def to_be_judged(
    planned: Planned,
    tests: Sequence[Resource],
    expectations: Mapping[Address, Sequence[Expectation]],
    looking: Looking,
    evaluations: Iterable[Evaluation],
) -> list[Evaluation]:
    """The results of these tests, saying by what they were judged, and an ERROR for each place that is unclear."""
    asked_for = _asked_for(evaluations, tests, planned.ids)
    found = [_with_differences(each, expectations[each.address][0].criteria, looking) for each in asked_for]
    return [*found, *_unclear(planned, tests)]


def _asked_for(
    evaluations: Iterable[Evaluation], tests: Sequence[Resource], ids: Mapping[Address, str]
) -> list[Evaluation]:
    """Without what was measured elsewhere for somebody else: several resources may measure one subject.

    A place is known by its name or by the vendor's id.
    """
    places = {
        resource.address: {name for place in targets_of(resource) for name in (place.name, ids.get(place))}
        for resource in tests
        if subject_of(resource) != resource.address
    }
    return [each for each in evaluations if each.pipeline in {None, *places.get(each.address, (each.pipeline,))}]


def _with_differences(evaluation: Evaluation, criteria: Sequence[Criterion], looking: Looking) -> Evaluation:
    """The evaluation, saying which of the thresholds that are written it was not judged by, where the vendor tells."""
    if not criteria or evaluation.item is None or evaluation.status is not EvaluationStatus.PASSING:
        return evaluation
    judged_by = looking.judged_by(evaluation, evaluation.address)
    if judged_by is None:
        return evaluation
    then = {each.key for each in judged_by}
    return replace(
        evaluation,
        unmeasured=next((name_of(each) for each in criteria if each.key not in then), ""),
        laxer_then=laxer_then(judged_by, criteria),
    )


def laxer_then(judged_by: Sequence[Criterion], criteria: Sequence[Criterion]) -> tuple[str, ...]:
    """The keys of what was judged, and by others than ``criteria``, so that a pass says nothing about these.

    What passed by stricter ones passes by these, too: whoever finds that it does not, judges otherwise than the vendor.
    """
    then, now = ({each.key for each in each_time} for each_time in (judged_by, criteria))
    meant = classify_by_key(judged_by, criteria)
    return tuple(key for key in meant if key in then & now and meant[key] not in (Effect.SAME, Effect.LOOSENED))


def _unclear(planned: Planned, tests: Iterable[Resource]) -> Iterator[Evaluation]:
    """What cannot be measured, because no place has the name of the one that is meant, or several have it."""
    there = namesakes(planned.live, KINDS)
    for resource in tests:
        for place in targets_of(resource):
            ids = there.get(place, ())
            why = KINDS[place.kind].alike(place.name, ids) if len(ids) > 1 else "" if ids else _absent(planned, place)
            if why:
                yield Evaluation(resource.address, EvaluationStatus.ERROR, place.name, message=why)


def _absent(planned: Planned, place: Address) -> str:
    """Why there is no place of this name, where we never make one: ``the workspace has no agent "x"``; else ""."""
    kind = KINDS[place.kind]
    if kind.create is not None or kind.parent is None or Address(kind.parent, place.path[:-1]) not in planned.ids:
        return ""
    mean = did_you_mean(place.name, [each.name for each in planned.by_root[place.kind, place.root]], 0.5)
    return f'the {KINDS[kind.parent].noun} has no {kind.noun} "{place.name}"{f"; {mean}" if mean else ""}'
