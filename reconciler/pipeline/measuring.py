"""Trigger evaluations, wait, judge.  Touches: network, the state."""

from __future__ import annotations

import asyncio
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.applying.journal import Journal
from reconciler.concurrency import all_of
from reconciler.errors import ApiError, NotAuthorized, ReconcilerError, UsageInvalid
from reconciler.evaluating.asking import OnProgress, Run
from reconciler.evaluating.estimate import Estimate
from reconciler.evaluating.gates import Past, as_recorded, judge, passed
from reconciler.evaluating.notes import noted, outdated, resume
from reconciler.evaluating.one_result import Expectation
from reconciler.evaluating.recent import RecentAnswers
from reconciler.evaluating.regress import newest_first
from reconciler.evaluating.runner import RunResult, run
from reconciler.manifests.rows import load_rows, stamped
from reconciler.model.call import Wire
from reconciler.model.flow import Send, drive
from reconciler.model.history import Observation
from reconciler.model.kind import Vendor
from reconciler.model.measuring import Trigger
from reconciler.model.outcome import Doubt, Evaluation, EvaluationStatus, Level, TimeRange, Verdict
from reconciler.model.plan import Effect
from reconciler.model.resource import Address, Desired, Resource
from reconciler.model.state import State
from reconciler.model.values import parse_duration, unix_seconds
from reconciler.pipeline.commits import commit_results
from reconciler.pipeline.estimating import announce, announce_range, estimated, estimated_whole
from reconciler.pipeline.expecting import expectations_of, to_be_judged
from reconciler.pipeline.locking import locked
from reconciler.pipeline.looking import look, measuring_of, subject_of, targets_of
from reconciler.pipeline.planning import Planned, plan
from reconciler.pipeline.remembering import carry_over, past, remember
from reconciler.pipeline.replaying import Looking
from reconciler.pipeline.session import LOCAL, Session, new_operation_id
from reconciler.pipeline.settling import settle
from reconciler.planning.gating import is_stricter
from reconciler.planning.selecting import meant_by_any
from reconciler.planning.thresholds import classify_by_key
from reconciler.providers import KINDS, VENDORS

LOOKED_BACK = 250
"""How many measurements of a test on each place, before those to be judged, are looked at to compare them with."""


class Evaluated(Struct, frozen=True):
    """Verdicts, worst first; ``apart`` are resources that cannot be evaluated on demand, with the reason.

    ``nothing`` says why there are no verdicts where that is as it should be: nothing that is measured has changed.
    ``unverified`` are the tests that had to be judged for the last apply to be verified, where nobody asked it to.
    ``doubts`` are the triggers of which nobody knows whether they started anything.  ``past`` is what is on record of
    what was judged, this run's verdicts among it, as far as the inquiry asks for it.
    """

    verdicts: tuple[Verdict, ...]
    apart: tuple[tuple[Address, str], ...] = ()
    result: RunResult = field(default_factory=RunResult)
    unapplied: int = 0
    estimate: Estimate | None = None
    nothing: str = ""
    unverified: tuple[Address, ...] = ()
    doubts: tuple[Doubt, ...] = ()
    past: Past = field(default_factory=dict)


class Inquiry(Struct, frozen=True):
    """What to measure, and how.

    ``changed`` limits it to what the last apply touched, or is not settled of it, and to ``also``.  ``trigger`` False
    only reads what was recorded.  ``anew`` measures windows again that have results, even without ``overwrite``:
    the tests were others when those were recorded, but for those that are ``kept``.
    ``resume`` takes up what earlier runs have noted, whatever range they asked for.  ``commit`` reads the results of a
    commit instead (its id, or ``commits.LATEST``).  ``most`` is how many evaluations may be triggered.  ``recent`` is
    how many of the latest verdicts on each test and place are wanted beside those of this run, for who looks at them.
    ``revocable``: what the manifests rename may be put back, so the past stays with the former names for now.
    """

    range: TimeRange | None
    changed: bool = False
    also: tuple[Address, ...] = ()
    trigger: bool = True
    overwrite: bool = False
    anew: bool = False
    kept: frozenset[Address] = frozenset()
    wait: bool = True
    resume: bool = False
    commit: str = ""
    deadline_s: float = 600.0
    most: int | None = None
    recent: int = 0
    revocable: bool = False


async def evaluate(here: Session, ask: Inquiry) -> Evaluated:
    """Trigger evaluations (or only read results), wait, and judge every test on every place where it runs.

    Raises what ``plan`` raises, RefusedByPolicy when it would cost more than allowed, and UsageInvalid when there is
    nothing to measure: silence is not a pass.
    """
    if not ask.trigger or ask.commit:
        return await measure(here, ask)  # looking on needs no lock
    async with locked(here, "evaluate"):
        evaluated = await measure(here, ask)
        if holds(evaluated.unverified, evaluated.verdicts, anew=ask.overwrite):
            settle(here)
        return evaluated


def holds(tests: Collection[Address], verdicts: Sequence[Verdict], *, anew: bool) -> bool:
    """Whether the verdicts verify these tests.  What is not ``anew`` may have been measured by a test as it was."""
    judged = {each.address for each in verdicts}
    clear = anew or all(each.level is Level.PASS for each in verdicts if each.address in tests)
    return bool(tests) and judged.issuperset(tests) and passed(verdicts) and clear


async def measure(here: Session, ask: Inquiry) -> Evaluated:
    """As ``evaluate``, under a lock that is held already where anything is triggered."""
    planned = await plan(here)
    only = _touched(here, planned, ask.also) if ask.changed else None
    tests, apart = _measurable(here, planned, ask, only)
    if not tests and only is not None and len(only) == len(apart):
        why = "what changed is not evaluated on demand" if apart else "no test changed"
        return Evaluated((), tuple(apart), unapplied=len(planned.plan.pending), nothing=why)
    if not tests:
        raise _nothing_to_measure(ask, here.desired)
    if ask.trigger and not ask.revocable:
        await carry_over_renamed(here, [each.address for each in tests])
    expectations = expectations_of(planned, tests)
    estimate = None
    if ask.commit:
        patience = ask.deadline_s if ask.trigger else 0.0
        tests, result = await commit_results(here, planned, tests, ask.commit, patience)
    elif ask.trigger:
        result, estimate = await _triggered(here, planned, tests, expectations, ask)
    else:
        if ask.range:
            announce_range(here, estimated_whole(planned, tests, expectations, ask.range))
        result = await look(here, planned, tests, ask.range)
    looking = Looking(here, planned)
    found = to_be_judged(planned, tests, expectations, looking, result.evaluations)
    expected = [each for resource in tests for each in expectations[resource.address]]
    verdicts = judge(expected, found, looking.names, await _past_of(here, tests, result.evaluations))
    if not ask.trigger or ask.resume:
        verdicts = as_recorded(verdicts)
        _warn_of_preliminary(here, found)
    if ask.wait:
        otherwise = set() if ask.trigger else _judged_otherwise(planned, expected)
        await remember(here, [each for each in verdicts if each.address not in otherwise])
    return Evaluated(
        verdicts,
        tuple(apart),
        result,
        unapplied=len(planned.plan.pending),
        estimate=estimate,
        unverified=unverified(here, planned.state),
        doubts=_doubts(result, tests, planned.ids),
        past=await _recent(here, tests, ask.recent),
    )


async def _triggered(
    here: Session,
    planned: Planned,
    tests: Sequence[Resource],
    expectations: Mapping[Address, Sequence[Expectation]],
    ask: Inquiry,
) -> tuple[RunResult, Estimate | None]:
    """What came of everything that is to be triggered or resumed; what it costs, where a range was asked for."""
    recent = {name: RecentAnswers(here.clock) for name in here.providers}
    sends = {name: recent[name].before(provider.send) for name, provider in here.providers.items()}
    triggers, unread = await _with_versions(here, planned, _all_triggers(here, planned, tests, ask), sends)
    if not ask.resume:
        _tell_of_outdated(here, outdated(triggers, planned.state.tasks))
        triggers = resume(triggers, planned.state.tasks)
    estimate = None
    if ask.range:
        estimate = await estimated(here, planned, tests, expectations, triggers, ask.range, sends)
    announce(here, estimate, triggers, ask.most)
    result = await _run(here, planned, triggers, ask, recent)
    _tell_of_unstarted(here, result.unstarted)
    return replace(result, evaluations=(*result.evaluations, *unread)), estimate


async def carry_over_renamed(here: Session, addresses: Collection[Address]) -> None:
    """Give what is no object at the platform, and was renamed, its past: no step says that it has another name."""
    tests = (here.desired.resources[address] for address in sorted(addresses))
    await carry_over(here, [(former, each.address) for each in tests for former in _formers(each)])


def _formers(resource: Resource) -> Sequence[Address]:
    """Under which names the past of a resource may still be: that of an object is moved when the object is renamed."""
    return resource.renamed_from if KINDS[resource.address.kind].virtual else ()


def _judged_otherwise(planned: Planned, expected: Iterable[Expectation]) -> set[Address]:
    """What the manifests judge by other thresholds, or a stricter gate, than those that were applied.

    To look at it is nobody's business but the looker's: the past of everybody else stays as what was applied judged it.
    Who looks without comparing (``regress: null``) accepts a fall for all.
    """
    gates = {each.address for each in planned.plan.lifecycle if is_stricter(each.effect)}
    return gates.union(each.address for each in expected if _is_judged_otherwise_there(each))


def _is_judged_otherwise_there(expectation: Expectation) -> bool:
    """Whether the platform has other thresholds than the manifests."""
    meant = classify_by_key(expectation.there or (), expectation.criteria)
    return expectation.there is not None and any(effect is not Effect.SAME for effect in meant.values())


def _tell_of_unstarted(here: Session, count: int) -> None:
    """Note how many runs of a series are left to somebody who may start them."""
    if count:
        were, them = ("run that a gate asks for was", "it") if count == 1 else ("runs that gates ask for were", "them")
        here.hooks.note(f"{count:,} {were} not started; reconciler evaluate starts {them}")


def _tell_of_outdated(here: Session, count: int) -> None:
    """Note how many evaluations that are under way will not be judged."""
    if count:
        are = "evaluation under way is" if count == 1 else "evaluations under way are"
        here.hooks.note(f"{count:,} {are} of an older version of test or place, and not waited for")


def _warn_of_preliminary(here: Session, evaluations: Iterable[Evaluation]) -> None:
    """Note how many windows have no later result than one from before their end."""
    ordered = sorted(evaluations, key=lambda each: each.recorded)
    latest = {(each.address, each.pipeline, each.starts, each.ends): each for each in ordered}
    count = sum(each.is_preliminary for each in latest.values())
    if count:
        were, again = ("result was", "it") if count == 1 else ("results were", "them")
        here.hooks.note(
            f"warning: {count:,} {were} recorded before the end of the window, and may miss rows;"
            f" reconciler evaluate judges {again} again"
        )


async def _past_of(here: Session, tests: Iterable[Resource], evaluations: Iterable[Evaluation]) -> Past:
    """What was measured before of those whose gate asks for it.  Raises StateUnreadable: no past is not a good past."""
    asking = [each for each in tests if each.gate.regress is not None or each.gate.runs > 1]
    new = Counter((each.address, each.pipeline) for each in evaluations)
    return await asyncio.to_thread(_known, here, asking, LOOKED_BACK + max(new.values(), default=0))


async def _recent(here: Session, tests: Iterable[Resource], count: int) -> Past:
    """The latest ``count`` verdicts on each of these; nothing is decided by them, so a warning where they are lost."""
    try:
        return await asyncio.to_thread(_known, here, list(tests), count) if count else {}
    except ReconcilerError as error:
        here.hooks.note(f"warning: what was measured before is not shown: {error.message}")
        return {}


def _known(here: Session, tests: Sequence[Resource], limit: int) -> Past:
    """The past of each of these, with what is known of it under former names."""
    now = {former: each.address for each in tests for former in _formers(each)}
    found = past(here, [*(each.address for each in tests), *now], limit)
    if now.keys().isdisjoint(address for address, _ in found):
        return found
    together: dict[tuple[Address, str | None], list[Observation]] = defaultdict(list)
    for (address, pipeline), observations in found.items():
        together[now.get(address, address), pipeline] += observations
    return {key: newest_first(observations)[:limit] for key, observations in together.items()}


def expected_cost(here: Session, planned: Planned, changing: Iterable[Address], ask: Inquiry) -> Estimate:
    """What evaluating everything about these resources will cost, before any of them is changed."""
    assert ask.range is not None
    tests, _ = _measurable(here, planned, ask, tests_about(here, changing))
    return estimated_whole(planned, tests, expectations_of(planned, tests), ask.range)


def tests_about(here: Session, addresses: Iterable[Address]) -> tuple[Address, ...]:
    """What measures any of these resources: tests among them, and what is measured on behalf of one of them."""
    asked = set(addresses)
    measured = [resource for resource in here.desired if KINDS[resource.address.kind].measuring is not None]
    return tuple(each.address for each in measured if {each.address, subject_of(each)} & asked)


def unverified(here: Session, state: State) -> tuple[Address, ...]:
    """The tests about what the last apply changed, where nobody asked it to verify that and no gate has held since."""
    return _evaluable(here, state) if state.unverified else ()


def unsettled(here: Session, state: State) -> tuple[Address, ...]:
    """The tests about what was changed where that was cut short, or was to be verified and no gate has held since."""
    return _evaluable(here, state) if state.unsettled else ()


def _evaluable(here: Session, state: State) -> tuple[Address, ...]:
    """The tests about what the last apply changed that can be evaluated on demand."""
    about = (here.desired.resources[address] for address in tests_about(here, state.touched))
    return tuple(each.address for each in about if not measuring_of(each.address).possible(each.fields))


def _touched(here: Session, planned: Planned, also: Sequence[Address]) -> tuple[Address, ...]:
    """What measures something that the last apply touched; with ``also`` that, and what is not settled of the apply.

    Raises UsageInvalid when no apply is remembered, and there is nothing else.
    """
    if also and not planned.state.unsettled:
        return tests_about(here, also)
    if not planned.state.touched and not also:
        raise UsageInvalid(
            f"no apply of environment {here.environment} has left anything changed, as far as the state tells",
            hint="leave out --changed to evaluate everything",
        )
    return tests_about(here, (*planned.state.touched, *also))


def _measurable(
    here: Session, planned: Planned, ask: Inquiry, only: tuple[Address, ...] | None
) -> tuple[list[Resource], list[tuple[Address, str]]]:
    """What is to be measured, and what cannot be in the way that is asked for, with the reason."""
    desired, state, patterns = planned.desired, planned.state, here.request.select
    limits = [] if only is None else [set(only)]
    if ask.resume:
        limits.append({trigger.address for trigger in noted(state.tasks)})
    if patterns and not ask.anew:  # what an earlier apply changed is verified, too
        # What the plan knows, so that a pattern means the same here as it did there.
        limits.append(meant_by_any(patterns, {*desired.resources, *state.entries, *state.in_doubt}))
    tests: list[Resource] = []
    apart: list[tuple[Address, str]] = []
    for resource in desired:
        measuring = KINDS[resource.address.kind].measuring
        if measuring is None or not all(resource.address in limit for limit in limits):
            continue
        why_not = measuring.possible(resource.fields)
        if ask.commit:
            tests += [resource] if why_not and measuring.versions else []
        elif why_not and ask.trigger:
            apart.append((resource.address, why_not))
        else:
            tests.append(resource)
    return tests, apart


def _nothing_to_measure(ask: Inquiry, desired: Desired) -> UsageInvalid:
    if ask.resume:
        return UsageInvalid(
            "there is nothing to resume: no evaluation is under way here",
            hint="leave out --resume to start one, or check the paths and --select",
        )
    if ask.commit:
        return UsageInvalid("no development test is declared here", hint="check the paths and --select")
    usual = "check the paths and --select; development tests are judged with --commit latest"
    return UsageInvalid("nothing here can be evaluated", hint=_never_run(desired) or usual)


def _never_run(desired: Desired) -> str:
    """What to add where thresholds are declared that only what names them measures, and nothing does."""
    declared = {resource.address.kind: KINDS[resource.address.kind] for resource in desired}
    waiting = [kind for kind in declared.values() if kind.judges and kind.measuring is None]
    for kind in KINDS.values():
        judged = [each for each in waiting if each.document == kind.document]
        if kind.virtual and kind.measuring is not None and judged and kind.id not in declared:
            place = KINDS[kind.measuring.place].noun
            return f"add spec.{kind.plural}: they say against which {place}s the {judged[0].noun}s run"
    return ""


def _all_triggers(here: Session, planned: Planned, tests: Sequence[Resource], ask: Inquiry) -> tuple[Trigger, ...]:
    """Everything to be measured; what is resumed stands with the range that was asked for."""
    tasks = planned.state.tasks
    if ask.resume:
        chosen = {resource.address for resource in tests}
        waiting = noted(tasks)
        left = sum(trigger.address not in chosen for trigger in waiting)
        if left:
            here.hooks.note(f"{left} more under way {'is' if left == 1 else 'are'} not covered by what was chosen")
        return tuple(trigger for trigger in waiting if trigger.address in chosen)
    assert ask.range is not None
    ids = planned.ids
    return tuple(each for resource in tests if subject_of(resource) in ids for each in _triggers(resource, ids, ask))


async def _with_versions(
    here: Session, planned: Planned, triggers: Sequence[Trigger], sends: Mapping[str, Send]
) -> tuple[tuple[Trigger, ...], tuple[Evaluation, ...]]:
    """The triggers with the versions that they are about now; an ERROR for each of which nobody can tell."""

    async def with_versions(trigger: Trigger) -> Trigger | Evaluation:
        about, vendor = measuring_of(trigger.address).about, trigger.address.vendor
        if about is None:
            return trigger
        flow = about(trigger, Wire(planned.ids, here.providers[vendor].dialect))
        try:
            versions = await drive(flow, sends[vendor], here.clock.sleep)
        except NotAuthorized:
            raise
        except ApiError as error:
            return Evaluation(trigger.address, EvaluationStatus.ERROR, trigger.pipeline, message=str(error))
        return replace(trigger, about=versions)

    found = await all_of(with_versions(each) for each in triggers)
    return (
        tuple(each for each in found if isinstance(each, Trigger)),
        tuple(each for each in found if isinstance(each, Evaluation)),
    )


async def _run(
    here: Session,
    planned: Planned,
    triggers: Sequence[Trigger],
    ask: Inquiry,
    recent: Mapping[str, RecentAnswers],
) -> RunResult:
    await _stream_samples(here, planned)
    journal = Journal(here.store.append, planned.state, here.clock.monotonic)
    on_progress = _counted_together(len(triggers), here.hooks.progress)

    async def at(vendor: Vendor) -> RunResult:
        provider = here.providers[vendor.name]
        there = Run(
            measuring=measuring_of,
            send=recent[vendor.name].before(journal.guard(provider)),
            wire=Wire(planned.ids, provider.dialect),
            clock=here.clock,
            record=journal.write,
            on_progress=on_progress,
            parallelism=here.request.parallelism,
            tasks=planned.state.tasks,
            resumed=ask.resume,
            began=here.clock.monotonic(),
            deadline_s=ask.deadline_s,
            wait=ask.wait,
            doubt_s=here.window_s(provider),
        )
        return await run([each for each in triggers if each.address.vendor == vendor.name], there)

    try:
        results = await all_of(at(vendor) for vendor in here.vendors(planned.state))
    finally:
        await journal.close()
        if journal.is_to_commit:
            here.store.commit(journal.state())
    return RunResult(
        tuple(each for result in results for each in result.evaluations),
        tuple(each for result in results for each in result.unfinished),
        tuple(each for result in results for each in result.doubtful),
        sum(result.unstarted for result in results),
    )


def _counted_together(total: int, tell: OnProgress) -> OnProgress:
    """Progress over all vendors, each of which counts its own."""
    done = 0

    def on_progress(_done: int, _total: int, what: str) -> None:
        nonlocal done
        done += 1
        tell(done, total, what)

    return on_progress


def _triggers(resource: Resource, ids: Mapping[Address, str], ask: Inquiry) -> list[Trigger]:
    assert ask.range is not None
    places = targets_of(resource)
    targets = [ids[place] for place in places if place in ids] if places else [None]
    subject, runs = ids[subject_of(resource)], resource.gate.runs
    is_anew = ask.anew and resource.address not in ask.kept
    overwrite = ask.overwrite or (is_anew and measuring_of(resource.address).window is not None)
    return [
        Trigger(resource.address, subject, target, ask.range, overwrite, new_operation_id(), runs) for target in targets
    ]


def _doubts(result: RunResult, tests: Iterable[Resource], ids: Mapping[Address, str]) -> tuple[Doubt, ...]:
    """What is to be said of each trigger that may have been lost: nobody should take its results for new ones."""
    names = {(address.root, remote_id): address.name for address, remote_id in ids.items()}
    sources = {resource.address: resource.source for resource in tests}

    def doubt(trigger: Trigger) -> Doubt:
        place = trigger.pipeline
        return Doubt(
            trigger.address,
            names.get((trigger.address.root, place), place) if place else None,
            "nobody knows whether this evaluation was started: the answer was lost, and it is not sent a second time;"
            " results that are there may be older",
            "reconciler evaluate --resume looks for its results"
            if trigger in result.unfinished
            else "run reconciler evaluate again, without --overwrite: what has a result by then is not evaluated twice",
            sources.get(trigger.address),
        )

    return tuple(doubt(each) for each in result.doubtful)


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
            last=unix_seconds(place.details.get("lastRow")),
        )
        if rows:
            here.hooks.note(f"streaming {len(rows)} sample rows to {sample.project}/{sample.pipeline}")
            flow = vendor.sample(place.remote_id, rows, config)
            await drive(flow, here.providers[vendor.name].send, here.clock.sleep)
