"""Judge past results by the thresholds of a plan, look up a result to pin, find a limit.  Touches: network (reads)."""

from __future__ import annotations

from contextlib import suppress

from msgspec import Struct
from msgspec.structs import replace

from reconciler.concurrency import all_at_once, all_of
from reconciler.errors import ReconcilerError, UsageInvalid
from reconciler.evaluating.impact import Window, replay
from reconciler.model.flow import drive
from reconciler.model.kind import Criterion
from reconciler.model.measuring import Past as Recordings
from reconciler.model.neighbourhood import Neighbourhood
from reconciler.model.outcome import Evaluation, TimeRange
from reconciler.model.plan import Action, Effect, Step
from reconciler.model.replay import Replay, ReplayState
from reconciler.model.resource import Address, LiveObject, Resource
from reconciler.model.spec import Mark
from reconciler.model.values import Fields
from reconciler.pipeline.planning import Planned
from reconciler.pipeline.session import Session
from reconciler.planning.planner import digest
from reconciler.planning.thresholds import classify
from reconciler.providers import KINDS

MOST_RESULTS = 10_000
"""Results read of one test: a month of hours on a dozen pipelines."""
_PLACES = {Mark.SCOPE, Mark.EXCEPT}
_JUDGED_ALREADY = (Action.UPDATE, Action.REPLACE, Action.ADOPT, Action.RENAME)


class Past(Struct, frozen=True):
    """What was recorded of one subject, pipelines by name; not ``whole`` when there was more than we read."""

    windows: tuple[Window, ...]
    whole: bool


class Looking:
    """Reads the past of what is at the platform, with the plan's knowledge of ids and names."""

    def __init__(self, here: Session, planned: Planned) -> None:
        self.here, self.planned = here, planned
        self.ids = planned.ids
        self.names = {remote_id: address.name for address, remote_id in self.ids.items()}
        self.there = {item.address: item for item in planned.live.objects if not item.archived}
        self.by_id = planned.live.by_id()
        self.measuring = {_subject(each): each for each in planned.desired if KINDS[each.address.kind].measuring}
        """The resource that measures a subject: mostly the subject itself."""

    def criteria(self, address: Address, fields: Fields) -> tuple[Criterion, ...]:
        """The thresholds that these fields of a resource set."""
        return KINDS[address.kind].criteria(fields, Neighbourhood(self.there, KINDS, address))

    async def past(self, subject: Address, remote_id: str, within: TimeRange | None) -> Past:
        """What was recorded of the object, all pages.  Raises ApiError, and UsageInvalid where nothing is recorded."""
        found = await self._recorded(subject, remote_id, within)
        return Past(tuple(self._window(each, subject) for each in found.results), found.whole)

    async def past_with_fields(
        self, subject: Address, item: LiveObject, within: TimeRange | None
    ) -> list[tuple[Window, Fields]]:
        """The same, each with the fields of that time; those of today where the vendor does not tell."""
        found = await self._recorded(subject, item.remote_id, within)
        pairs = [(self._window(each, subject), self.as_it_was(each, subject)) for each in found.results]
        return [(window, then.fields if then is not None else item.fields) for window, then in pairs]

    async def _recorded(self, subject: Address, remote_id: str, within: TimeRange | None) -> Recordings:
        resource = self.measuring.get(subject)
        measuring = KINDS[resource.address.kind].measuring if resource else None
        if resource is None or measuring is None or measuring.past is None:
            raise UsageInvalid(f"the platform shows no past results of {subject}")
        provider = self.here.providers[subject.vendor]
        flow = measuring.past(resource.address, remote_id, within, MOST_RESULTS)
        return await drive(flow, provider.send, self.here.clock.sleep, all_at_once(provider.send))

    def _window(self, one: Evaluation, subject: Address) -> Window:
        named = replace(one, pipeline=self.names.get(one.pipeline, one.pipeline) if one.pipeline else None)
        return Window(named, self.judged_by(one, subject))

    def judged_by(self, evaluation: Evaluation, subject: Address) -> tuple[Criterion, ...] | None:
        """The thresholds of that time; None where the vendor does not tell."""
        then = self.as_it_was(evaluation, subject)
        return self.criteria(subject, then.fields) if then is not None else None

    def as_it_was(self, evaluation: Evaluation, subject: Address) -> LiveObject | None:
        """What was measured, as it was then; None where the vendor does not tell."""
        kind = KINDS[subject.kind]
        if evaluation.item is None:
            return None
        with suppress(KeyError, TypeError, ValueError):  # an older server may keep less of it
            parent = kind.parent_of(subject)
            path = parent.path if parent is not None else ()
            return kind.read(evaluation.item, path, lambda _, remote_id: self.names.get(remote_id))
        return None


def last(here: Session, look_back_s: int) -> TimeRange:
    """The last seconds, the running one among them."""
    end = int(here.clock.now()) + 1
    return TimeRange(end - look_back_s, end)


def _subject(resource: Resource) -> Address:
    measuring = KINDS[resource.address.kind].measuring
    assert measuring is not None
    return measuring.subject(resource.address, resource.fields)


async def replayed(here: Session, planned: Planned, look_back_s: int) -> Planned:
    """The plan, with what its changed thresholds would have made of the last ``look_back_s`` seconds.

    A test whose past cannot be read says so; the plan does not fail for that.
    """
    looking = Looking(here, planned)
    found = await all_of(_replay(looking, step, last(here, look_back_s)) for step in planned.plan.steps)
    steps = tuple(replace(step, replay=each) for step, each in zip(planned.plan.steps, found, strict=True))
    plan = replace(planned.plan, steps=steps)
    return replace(planned, plan=replace(plan, digest=digest(plan)))


async def _replay(looking: Looking, step: Step, within: TimeRange) -> Replay | None:
    """None for a step that changes no thresholds."""
    resource, live = looking.planned.desired.resources.get(step.address), looking.by_id.get(step.remote_id or "")
    if step.action not in _JUDGED_ALREADY or step.idle or resource is None or live is None:
        return None
    if not KINDS[step.address.kind].judges:
        return None
    before = looking.criteria(step.address, live.fields)
    after = looking.criteria(step.address, {**live.fields, **resource.fields})
    look_back_s = within.end - within.start
    redefining = [change.path for change in step.changes if change.effect is Effect.REDEFINED]
    if redefining:
        paths = ", ".join(dict.fromkeys(redefining))
        why = f"{paths} changes what is measured, so past values do not help"
        return Replay(ReplayState.REDEFINED, look_back_s, why)
    if classify(before, after) is Effect.SAME:
        return None
    try:
        past = await looking.past(step.address, live.remote_id, within)
    except ReconcilerError as error:
        return Replay(ReplayState.UNCALIBRATED, look_back_s, f"the past cannot be read: {error.message}")
    return replay(past.windows, before, after, look_back_s=look_back_s, notes=tuple(_notes(step, past)))


def _notes(step: Step, past: Past) -> list[str]:
    notes = []
    if not past.whole:
        notes.append(f"only the first {MOST_RESULTS:,} results that the platform lists were read")
    shapes = KINDS[step.address.kind].shapes
    scope = [c.path for c in step.changes if c.path in shapes and _PLACES & shapes[c.path].marks]
    if scope:
        notes.append(f"{', '.join(scope)} changes too: windows are counted wherever they were measured")
    return notes
