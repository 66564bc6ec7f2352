"""The whole run, top to bottom; beside ``cli`` the only place that sees every part.  Touches: everything.

    manifests -> desired ---+
    vendor    -> live ------+--> planner -> plan -> applier -> outcomes -> runner -> gates -> verdicts
    store     -> state -----+

A command opens a ``Session`` and calls one of the functions below it; what it prints is the command's business.
"""

from __future__ import annotations

import asyncio
import base64
import difflib
import json
import secrets
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from reconciler.applying.applier import Means, World, remembered
from reconciler.applying.applier import apply as carry_out
from reconciler.applying.journal import Journal
from reconciler.errors import (
    ApiError,
    ManifestsInvalid,
    Problem,
    ReconcilerError,
    RefusedByPolicy,
    StalePlan,
    StateUnreadable,
    UsageInvalid,
)
from reconciler.evaluating.gates import Expectation, judge
from reconciler.evaluating.runner import RunResult, resume, run
from reconciler.manifests.environment import Environment
from reconciler.manifests.exporter import documents
from reconciler.manifests.rows import load_rows, stamped
from reconciler.manifests.validator import Loaded, declared_environments, load
from reconciler.model.flow import drive
from reconciler.model.kind import AnyKind, Measuring, Trigger, Vendor, Wire
from reconciler.model.outcome import Evaluation, StepOutcome, StepStatus, TimeRange, Verdict
from reconciler.model.plan import Action, Basis, Plan, Step
from reconciler.model.provider import Clock, Provider, StateStore
from reconciler.model.resource import Address, Desired, Live, LiveObject, Resource
from reconciler.model.state import Entry, Record, State, entry_to_json, fold
from reconciler.model.values import parse_duration
from reconciler.planning.planner import Options, known_ids, make_plan, only_drift, selects, settled
from reconciler.planning.policy import Policy
from reconciler.planning.saved import check_untouched, what_moved
from reconciler.providers import KINDS, VENDORS
from reconciler.providers.clock import RealClock
from reconciler.providers.reader import Roots, all_of, read_live
from reconciler.settings import Settings
from reconciler.storage.file import FileStore

LOCAL = "local"
DEFAULT = "default"
FOLDER = ".reconciler"


@dataclass(frozen=True)
class Request:
    """What the command line asks, whatever the command.  ``root`` is the folder that paths are relative to."""

    paths: tuple[str, ...] = (".",)
    environment: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    select: tuple[str, ...] = ()
    adopt: bool = False
    acks: Mapping[str, int] = field(default_factory=dict)
    parallelism: int = 16
    root: Path = field(default_factory=Path.cwd)

    def options(self) -> dict[str, Any]:
        """Everything that shapes a plan, as plain data: what a saved plan needs to be derived again."""
        return {
            "paths": list(self.paths),
            "environment": self.environment,
            "variables": dict(self.variables),
            "select": list(self.select),
            "adopt": self.adopt,
            "acks": dict(self.acks),
        }

    def with_options(self, options: Mapping[str, Any]) -> Request:
        """The same request, shaped as a saved plan was."""
        return replace(
            self,
            paths=tuple(options["paths"]),
            environment=options["environment"],
            variables=dict(options["variables"]),
            select=tuple(options["select"]),
            adopt=bool(options["adopt"]),
            acks=dict(options["acks"]),
        )


@dataclass(frozen=True)
class Hooks:
    """Where a run tells its story while it goes on.  All of them are called on the event loop's thread."""

    event: Callable[[dict[str, Any]], None] = lambda _: None
    planned: Callable[[Plan], None] = lambda _: None
    confirm: Callable[[Plan], None] = lambda _: None
    started: Callable[[Step], None] = lambda _: None
    ended: Callable[[Step, StepOutcome], None] = lambda _, __: None
    note: Callable[[str], None] = lambda _: None
    progress: Callable[[int, int, str], None] = lambda _, __, ___: None


class Session:
    """The parts of one run, put together: manifests, memory, connections.  Made by ``session``."""

    def __init__(
        self, request: Request, settings: Settings, hooks: Hooks, loaded: Loaded | None, environment: str
    ) -> None:
        self.request, self.settings, self.hooks = request, settings, hooks
        self.loaded = loaded
        self.environment = environment
        self.clock: Clock = RealClock()
        self.stop = asyncio.Event()
        self.folder = request.root / FOLDER
        self.store: StateStore = FileStore(
            self.folder, environment, now=lambda: datetime.now(UTC), job=settings.ci.job_url
        )
        self.providers: dict[str, Provider] = {}
        self._emulator: Any = None
        self._closing = AsyncExitStack()

    @property
    def desired(self) -> Desired:
        """What the manifests ask for; nothing for commands that read none."""
        return self.loaded.desired if self.loaded else Desired({}, "", ())

    @property
    def manifest(self) -> Environment | None:
        """The Environment document in force, if there is one."""
        return self.loaded.environment if self.loaded else None

    @property
    def policy(self) -> Policy:
        """What must be acknowledged, and what was."""
        required = frozenset(self.manifest.policy.require) if self.manifest else frozenset()
        return Policy(require=required, acks=self.request.acks)

    def vendors(self, state: State) -> list[Vendor]:
        """The vendors that the manifests or our memory speak of."""
        names = {address.vendor for address in (*self.desired.resources, *state.entries, *state.in_doubt)}
        return [vendor for vendor in VENDORS if vendor.name in names]

    async def provider(self, vendor: Vendor) -> Provider:
        """The connection to a vendor; made once.  Raises SettingsInvalid before any network without a credential."""
        if vendor.name not in self.providers:
            provider = self._connect(vendor)
            self.providers[vendor.name] = provider
            self._closing.push_async_callback(provider.close)
        return self.providers[vendor.name]

    async def close(self) -> None:
        """Let go of the connections and of the emulator's file."""
        await self._closing.aclose()

    def window_s(self, provider: Provider) -> float:
        """How long a request that was given up may still take effect there, in seconds."""
        if self.environment == LOCAL:
            return 0.0  # the server is this process
        return self.settings.uncertainty_window(provider.origin)

    def _connect(self, vendor: Vendor) -> Provider:
        if self.environment == LOCAL:
            return self._connect_emulator(vendor)
        # Imported here: aiohttp and httpx take longer to load than a help text may take.
        from reconciler.providers.http import connect
        from reconciler.settings import base_url, credential, dialect

        key_variable = self._key_variable(vendor)
        return connect(
            vendor,
            base_url=base_url(vendor, self.settings),
            credential=credential(vendor, self.settings, key_variable),
            clock=self.clock,
            dialect=dialect(vendor, self.settings),
            parallelism=self.request.parallelism,
            key_variable=key_variable,
            observe=self._observe,
            ca_file=self.settings.ca_file,
        )

    def _key_variable(self, vendor: Vendor) -> str | None:
        """The variable that the Environment names for this vendor's key, if it names one."""
        named = self.manifest.api_key.from_env if self.manifest and self.manifest.api_key else None
        return named if named and named.startswith(vendor.prefix) else None

    def _connect_emulator(self, vendor: Vendor) -> Provider:
        from reconciler.emulator.app import create_app
        from reconciler.providers.local import connect_in_process

        if self._emulator is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._emulator = create_app(self.folder / "local.db")
            self._closing.callback(self._emulator.state.database.close)
        return connect_in_process(
            vendor,
            self._emulator,
            clock=self.clock,
            parallelism=self.request.parallelism,
            observe=self._observe,
        )

    def _observe(self, method: str, path: str, status: int | None, seconds: float) -> None:
        self.hooks.event(
            {"event": "request", "method": method, "path": path, "status": status, "seconds": round(seconds, 6)}
        )


@asynccontextmanager
async def session(
    request: Request, settings: Settings, hooks: Hooks | None = None, *, manifests: bool = True
) -> AsyncIterator[Session]:
    """Read the manifests (unless told not to) and put the parts together; closes everything at the end.

    Raises ManifestsInvalid, UsageInvalid.
    """
    loaded = load_manifests(request, settings) if manifests else None
    name = request.environment or (loaded.environment.name if loaded and loaded.environment else DEFAULT)
    opened = Session(request, settings, hooks or Hooks(), loaded, name)
    try:
        yield opened
    finally:
        await opened.close()


def load_manifests(request: Request, settings: Settings) -> Loaded:
    """The manifests under the request's paths, for its environment.

    Raises UsageInvalid when Environments are declared and none was named.
    """
    try:
        loaded = _load(request, settings)
    except ManifestsInvalid:
        if request.environment is None and (names := _besides_local(_declared(request))):
            raise _unnamed(names) from None  # what is undefined now may be defined in one of them
        raise
    if request.environment is None and (names := _besides_local(loaded.environments)):
        raise _unnamed(names)
    return loaded


def _load(request: Request, settings: Settings) -> Loaded:
    return load(
        request.paths,
        root=request.root,
        vendors=VENDORS,
        environment=request.environment,
        variables=request.variables,
        environ_variables=settings.variables,
    )


def _besides_local(names: Iterable[str]) -> tuple[str, ...]:
    """The environments that somebody could have meant; ``local`` is never meant unless it is named."""
    return tuple(name for name in names if name != LOCAL)


def _unnamed(names: Sequence[str]) -> UsageInvalid:
    return UsageInvalid(
        f"these manifests declare {len(names)} environment{'s' if len(names) > 1 else ''}, and none was named",
        hint=", or ".join(f"--env {name}" for name in (*names, LOCAL)),
    )


# ------------------------------------------------------------------------------------------------- planning


@dataclass(frozen=True)
class Planned:
    """A plan and what it was made from."""

    plan: Plan
    desired: Desired
    live: Live
    state: State

    def ids(self, kinds: Sequence[AnyKind]) -> dict[Address, str]:
        """The remote id of every address that has a live object."""
        return known_ids(self.desired, self.live, self.state, kinds)


async def plan(here: Session, *, destroy: bool = False) -> Planned:
    """Read live state and decide what would change.  Changes nothing.

    Raises ApiError, StateUnreadable, LooksLikeOutage, UsageInvalid.
    """
    state = here.store.load()
    vendors = here.vendors(state)
    for vendor in vendors:  # all credentials before any network
        await here.provider(vendor)
    origins = {vendor.name: here.providers[vendor.name].origin for vendor in vendors}
    _check_origins(state, origins, here)
    live = await _read(here, vendors, state, here.desired)
    desired = replace(here.desired, resources={}) if destroy else here.desired
    basis = Basis(
        environment=here.environment,
        origins=origins,
        manifests=here.desired.digest,
        lineage=state.lineage,
        state_serial=state.serial,
        options={**here.request.options(), "destroy": destroy},
    )
    options = Options(here.request.adopt, here.request.select, replace(here.policy, destroy=destroy))
    return Planned(make_plan(desired, live, state, _kinds(VENDORS), options, basis), desired, live, state)


async def drift(here: Session) -> Planned:
    """Only what somebody changed at the platform."""
    planned = await plan(here)
    return replace(planned, plan=only_drift(planned.plan))


async def _read(here: Session, vendors: Iterable[Vendor], state: State, desired: Desired) -> Live:
    remembered_ids = {address: entry.remote_id for address, entry in state.entries.items()}
    former = [resource.renamed_from for resource in desired if resource.renamed_from]
    roots = Roots.of((*desired.resources, *former, *state.in_doubt), remembered_ids)
    lists = await all_of(read_live(here.providers[vendor.name], here.clock, roots) for vendor in vendors)
    return Live(tuple(item for live in lists for item in live.objects), sum(live.requests for live in lists))


def _check_origins(state: State, origins: Mapping[str, str], here: Session) -> None:
    for vendor, origin in origins.items():
        bound = state.origins.get(vendor)
        if bound is not None and bound != origin:
            raise StateUnreadable(
                f"the state of environment {here.environment} belongs to {bound}, not to {origin}",
                hint="use another --env for another platform; each has a state of its own",
            )


def _kinds(vendors: Iterable[Vendor]) -> tuple[AnyKind, ...]:
    return tuple(kind for vendor in vendors for kind in vendor.kinds)


# ------------------------------------------------------------------------------------------------- applying


@dataclass(frozen=True)
class Applied:
    """What an apply did.

    ``unsettled`` are sentences about fields that came back different from what was sent.  ``touched`` are the
    addresses that were brought in line.
    """

    planned: Planned
    outcomes: tuple[StepOutcome, ...] = ()
    unsettled: tuple[str, ...] = ()

    @property
    def touched(self) -> tuple[Address, ...]:
        """The addresses of steps that are done and leave something behind."""
        done = {outcome.step_id for outcome in self.outcomes if outcome.status is StepStatus.DONE}
        gone = (Action.ARCHIVE, Action.DELETE, Action.FORGET)
        return tuple(s.address for s in self.planned.plan.pending if s.id in done and s.action not in gone)


async def apply(
    here: Session, *, saved: Mapping[str, Any] | None = None, resumed: bool = False, destroy: bool = False
) -> Applied:
    """Plan, show, ask, do, and read back; under the lock from the first read to the last.

    ``saved`` is a plan file's content: the plan is derived again and must be the same, or with ``resumed`` hold
    nothing that the saved one does not.  Raises LockHeld, StalePlan, RefusedByPolicy, ConfirmationRequired and what
    ``plan`` raises; failures of single steps are in the outcomes.
    """
    with here.store.lock("destroy" if destroy else "apply") as holder:
        here.hooks.event({"event": "locked", "lock": holder.lock_id})
        if saved is not None:
            check_untouched(saved)
        planned = await plan(here, destroy=destroy)
        if saved is not None:
            _check_saved(saved, planned, resumed=resumed)
        here.hooks.planned(planned.plan)
        if planned.plan.refusals:
            count = len(planned.plan.refusals)
            raise RefusedByPolicy(
                f"{count} refusal{'s' if count > 1 else ''}: nothing was changed",
                hint="settle what the plan refuses, then apply again",
            )
        if planned.plan.pending:
            here.hooks.confirm(planned.plan)
        return await _apply_planned(here, planned, saved)


async def _apply_planned(here: Session, planned: Planned, saved: Mapping[str, Any] | None) -> Applied:
    journal = Journal(here.store.append)
    try:
        if planned.state.origins != {**planned.state.origins, **planned.plan.basis.origins}:
            await journal.write({"record": "origins", "origins": dict(planned.plan.basis.origins)})
        if saved is not None:
            await journal.write({"record": "plan_started", "digest": saved["digest"]})
        outcomes: tuple[StepOutcome, ...] = ()
        if planned.plan.pending:
            outcomes = await carry_out(planned.plan, _world(planned), _means(here, journal))
        applied = Applied(planned, outcomes)
        after = await _look_again(here, applied, fold(planned.state, journal.records))
        for record in _refreshed(planned, after):
            await journal.write(record)
        whole = all(outcome.status is StepStatus.DONE for outcome in outcomes)
        if saved is not None and whole:
            await journal.write({"record": "plan_applied", "digest": saved["digest"]})
        return replace(applied, unsettled=_unsettled(after.plan, applied) if after else ())
    finally:
        await journal.close()
        if journal.records and journal.failure is None:
            here.store.commit(fold(planned.state, journal.records))


def _world(planned: Planned) -> World:
    return World(
        resources=planned.desired.resources,
        state=planned.state,
        live=planned.live,
        ids=planned.ids(_kinds(VENDORS)),
    )


def _means(here: Session, journal: Journal) -> Means:
    marked = here.manifest is None or here.manifest.ownership == "marker"
    return Means(
        providers=here.providers,
        kinds=KINDS,
        clock=here.clock,
        write=journal.write,
        new_op=new_operation_id,
        window_s=here.window_s,
        marked=marked,
        parallelism=here.request.parallelism,
        stop=here.stop,
        on_start=here.hooks.started,
        on_end=here.hooks.ended,
        on_wait=here.hooks.note,
    )


def new_operation_id() -> str:
    """128 unguessable bits in 26 characters of a-z and 2-7: what an ownership marker carries."""
    return base64.b32encode(secrets.token_bytes(16)).decode().rstrip("=").lower()


async def _look_again(here: Session, applied: Applied, state: State) -> Planned | None:
    """Read back the roots that were touched and plan again: what is left there has not come out as it was sent."""
    roots = {(address.vendor, address.root) for address in applied.touched}
    if not roots or here.stop.is_set():
        return None
    here.hooks.note("reading back what was written")
    desired = _within(applied.planned.desired, roots)
    kept = {a: e for a, e in state.entries.items() if (a.vendor, a.root) in roots}
    state = replace(state, entries=kept, in_doubt={})
    vendors = [vendor for vendor in VENDORS if vendor.name in {name for name, _ in roots}]
    try:
        live = await _read(here, vendors, state, desired)
    except ApiError as error:
        here.hooks.note(f"could not read back what was written: {error.message}")
        return None
    fresh = make_plan(desired, live, state, _kinds(VENDORS), Options(), applied.planned.plan.basis)
    return Planned(fresh, desired, live, state)


def _within(desired: Desired, roots: set[tuple[str, str]]) -> Desired:
    kept = {a: r for a, r in desired.resources.items() if (a.vendor, a.root) in roots}
    return replace(desired, resources=kept)


def _unsettled(fresh: Plan, applied: Applied) -> tuple[str, ...]:
    touched = set(applied.touched)
    found = []
    for step in fresh.pending:
        if step.address not in touched or step.action not in (Action.UPDATE, Action.RENAME, Action.REPLACE):
            continue
        found += [f"{step.address}: {c.path} came back as {_short(c.before)}, sent was {_short(c.after)}"
                  for c in step.changes]  # fmt: skip
    return tuple(found)


def _short(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else text[:57] + "..."


def _refreshed(planned: Planned, after: Planned | None) -> list[Record]:
    """Bring our memory in line where the platform needs nothing: protection, place of declaration, and so on."""
    pending = {step.address for step in planned.plan.steps}
    agreed: dict[Address, tuple[Resource, Entry]] = {}
    for resource, entry in settled(planned.desired, planned.live, planned.state, _kinds(VENDORS)):
        if resource.address not in pending:
            agreed[resource.address] = (resource, entry)
    if after is not None:
        for resource, entry in settled(after.desired, after.live, after.state, _kinds(VENDORS)):
            agreed[resource.address] = (resource, entry)
    records: list[Record] = []
    for address, (resource, entry) in agreed.items():
        wanted = remembered(resource, entry.remote_id, entry.op, entry.retiring)
        if wanted != entry:
            records.append({"record": "done", "address": str(address), "entry": entry_to_json(wanted)})
    return records


def _check_saved(saved: Mapping[str, Any], planned: Planned, *, resumed: bool) -> None:
    digest = str(saved["digest"])
    if digest in planned.state.consumed:
        raise StalePlan("this plan was applied already", hint="make a new one: reconciler plan --out plan.json")
    if resumed and planned.state.started != digest:
        raise StalePlan("this plan was not begun, or it was finished", hint="leave out --resume")
    moved = what_moved(saved, planned.plan, resumed=resumed)
    if moved:
        raise StalePlan(
            "the world has moved since this plan was made:\n" + "\n".join(f"  {line}" for line in moved),
            hint="make a new one: reconciler plan --out plan.json",
        )


# ------------------------------------------------------------------------------------------------ measuring


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
    with here.store.lock("evaluate" if ask.trigger else "status") as _:
        planned = await plan(here)
        tests, apart = _measurable(here, planned, ask)
        if not tests:
            raise UsageInvalid("nothing here can be evaluated", hint="check the paths, --select and the tests' mode")
        if ask.trigger:
            await _stream_samples(here, planned)
        journal = Journal(here.store.append)
        try:
            result = await _measure(here, planned, tests, ask, journal)
        finally:
            await journal.close()
            if journal.records and journal.failure is None:
                here.store.commit(fold(planned.state, journal.records))
    ids = planned.ids(_kinds(VENDORS))
    verdicts = judge(
        [each for resource in tests for each in _expectations(resource, planned)],
        result.evaluations,
        {remote_id: address.name for address, remote_id in ids.items()},
    )
    return Evaluated(verdicts, tuple(apart), result, len(planned.plan.pending))


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
    ids = planned.ids(_kinds(VENDORS))
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
                _measuring_of,
                provider.send,
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
    flow = _measuring_of(resource.address).results(resource.address, ids[_subject(resource)], within, wire)
    found = await drive(flow, provider.send, here.clock.sleep)
    if within is not None:
        return found
    latest: dict[str | None, Evaluation] = {}
    for each in found:  # newest first
        latest.setdefault(each.pipeline, each)
    return tuple(latest.values())


def _measuring_of(address: Address) -> Measuring:
    measuring = KINDS[address.kind].measuring
    assert measuring is not None
    return measuring


def _subject(resource: Resource) -> Address:
    """Whose object at the platform is evaluated: mostly the resource's own."""
    return _measuring_of(resource.address).subject(resource.address, resource.fields)


def _triggers(resource: Resource, ids: Mapping[Address, str], within: TimeRange, *, overwrite: bool) -> list[Trigger]:
    places = _measuring_of(resource.address).targets(resource.address, resource.fields)
    targets = [ids[place] for place in places if place in ids] if places else [None]
    subject = ids[_subject(resource)]
    return [Trigger(resource.address, subject, target, within, overwrite, new_operation_id()) for target in targets]


def _expectations(resource: Resource, planned: Planned) -> list[Expectation]:
    """One for each place where the resource runs; one without a place where there is none to be named."""
    kind, measuring = KINDS[resource.address.kind], _measuring_of(resource.address)
    siblings = sorted(
        {item.address for item in planned.live.objects if _is_beside(item, resource, measuring)}
        | {a for a in planned.desired.resources if a.kind == measuring.place and a.root == resource.address.root}
    )
    places = [] if measuring.possible(resource.fields) else measuring.places(resource.fields, siblings)
    warn = kind.criteria({"thresholds": list(resource.gate.warn)}) if resource.gate.warn else ()
    subject = planned.desired.resources.get(_subject(resource), resource)
    criteria = KINDS[subject.address.kind].criteria(subject.fields)
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


# ------------------------------------------------------------------------------------------ around the loop


@dataclass(frozen=True)
class Checked:
    """What ``check_manifests`` found: how much there is, for which environments, and what looks odd."""

    resources: int
    environments: tuple[str, ...]
    warnings: tuple[str, ...]


def check_manifests(request: Request, settings: Settings) -> Checked:
    """Load the manifests for the request's environment, or for every environment that they declare.

    Raises ManifestsInvalid with the problems of all of them.
    """
    problems: list[Problem] = []
    loaded: list[Loaded] = []

    def attempt(name: str | None) -> None:
        try:
            loaded.append(_load(replace(request, environment=name), settings))
        except ManifestsInvalid as error:
            problems.extend(error.problems)

    attempt(request.environment)
    named = request.environment is not None
    names = () if named else loaded[0].environments if loaded else _declared(request)
    if names:  # what is undefined without an environment may be defined in each of them
        problems.clear()
        loaded.clear()
    for name in names:
        attempt(name)
    if problems:
        raise ManifestsInvalid(problems)
    warnings = sorted({str(warning) for each in loaded for warning in each.warnings})
    return Checked(max(len(each.desired) for each in loaded), names, tuple(warnings))


def _declared(request: Request) -> tuple[str, ...]:
    return declared_environments(request.paths, root=request.root, vendors=VENDORS)


@dataclass(frozen=True)
class Exported:
    """What ``export`` wrote."""

    files: tuple[str, ...]
    resources: int
    warnings: tuple[str, ...]


async def export(here: Session, folder: str, *, adopt: bool, force: bool) -> Exported:
    """Write one manifest a root into ``folder``; with ``adopt`` remember the objects as ours.

    Raises UsageInvalid when a file is in the way, or when ``select`` names no root.
    """
    from reconciler.manifests.writer import to_yaml  # loads a YAML writer that nothing else needs

    vendors = _reachable(here)
    patterns = here.request.select

    def wanted(root: LiveObject) -> bool:
        return not patterns or any(p == root.address.name or selects(p, root.address) for p in patterns)

    providers = [await here.provider(vendor) for vendor in vendors]
    lists = await all_of(read_live(provider, here.clock, wanted) for provider in providers)
    found, warnings = documents([item for live in lists for item in live.objects], vendors)
    if not found:
        raise UsageInvalid("there is no project to export", hint="check --select and the key's workspace")
    target = here.request.root / folder
    taken = [each.file for each in found if (target / each.file).exists()]
    if taken and not force:
        raise UsageInvalid(f"{folder}/{taken[0]} is there already", hint="choose another --out, or --force")
    target.mkdir(parents=True, exist_ok=True)
    for each in found:
        (target / each.file).write_text(to_yaml(each.document), encoding="utf-8")
    if adopt:
        ids = {item.address: item for live in lists for item in live.objects if not item.archived}
        _take_over(here, found, ids, folder)
    count = sum(len(each.fields) for each in found)
    return Exported(tuple(f"{folder.rstrip('/')}/{each.file}" for each in found), count, tuple(warnings))


def _take_over(here: Session, found: Sequence[Any], live: Mapping[Address, LiveObject], folder: str) -> None:
    """Write entries for the exported objects; what we remember already stays."""
    with here.store.lock("export"):
        state = here.store.load()
        origins = {name: provider.origin for name, provider in here.providers.items()}
        _check_origins(state, origins, here)
        records: list[Record] = [{"record": "origins", "origins": origins}]
        for each in found:
            for address, fields in each.fields.items():
                known = state.entries.get(address, Entry(live[address].remote_id, op=live[address].op))
                source = f"{folder.rstrip('/').removeprefix('./')}/{each.file}"
                entry = replace(known, remote_id=live[address].remote_id, applied=fields, source=source)
                records.append({"record": "done", "address": str(address), "entry": entry_to_json(entry)})
        here.store.commit(fold(state, records))


@dataclass(frozen=True)
class Check:
    """One finding of ``examine``."""

    what: str
    works: bool
    found: str
    hint: str = ""


async def examine(here: Session) -> list[Check]:
    """Whether the credentials, the platforms and the state can be used; every check is made, whatever fails."""
    checks = []
    for vendor in VENDORS:
        try:
            provider = await here.provider(vendor)
            began = here.clock.monotonic()
            seen: list[LiveObject] = []
            await read_live(provider, here.clock, lambda root, seen=seen: bool(seen.append(root)))  # type: ignore[misc]
            took = (here.clock.monotonic() - began) * 1000
            checks.append(Check(vendor.name, True, f"{provider.origin} answers in {took:.0f} ms; {len(seen)} projects"))
        except ReconcilerError as error:
            checks.append(Check(vendor.name, False, error.message, error.hint))
    try:
        state = here.store.load()
        holder = here.store.holder()
        held = f"; locked by {holder}" if holder else ""
        ours = sum(not entry.archived for entry in state.entries.values())
        doubt = f", {len(state.in_doubt)} in doubt" if state.in_doubt else ""
        text = f"{here.store.describe()}, serial {state.serial}, {ours} resources{doubt}{held}"
        checks.append(Check("state", True, text))
    except ReconcilerError as error:
        checks.append(Check("state", False, error.message, error.hint))
    return checks


def _reachable(here: Session) -> list[Vendor]:
    """The vendors that a credential is set for; all of them where none is, so that the error names a variable."""
    if here.environment == LOCAL:
        return list(VENDORS)
    return [vendor for vendor in VENDORS if here.settings.get(vendor.key_variable)] or list(VENDORS)


def selected_state(here: Session) -> State:
    """The state, limited to what ``select`` names."""
    state, patterns = here.store.load(), here.request.select
    if not patterns:
        return state
    return replace(state, entries={a: e for a, e in state.entries.items() if any(selects(p, a) for p in patterns)})


def remembered_at(here: Session, text: str) -> tuple[Address, Entry]:
    """The entry at an address.  Raises UsageInvalid with the nearest address when there is none."""
    entries = here.store.load().entries
    address = _address(text)
    if address not in entries:
        near = difflib.get_close_matches(text, [str(known) for known in entries], 1)
        raise UsageInvalid(f"{text} is not in the state", hint=f"did you mean {near[0]}?" if near else "")
    return address, entries[address]


def forget(here: Session, pattern: str) -> tuple[Address, ...]:
    """Drop what the pattern names from the state, roots with everything inside; returns what was dropped."""
    with here.store.lock("state rm"):
        state = here.store.load()
        known = {*state.entries, *state.in_doubt}
        roots = {(a.vendor, a.root) for a in known if len(a.path) == 1 and selects(pattern, a)}
        gone = tuple(sorted(a for a in known if selects(pattern, a) or (a.vendor, a.root) in roots))
        if not gone:
            raise UsageInvalid(f"{pattern} matches nothing in the state", hint="see: reconciler state list")
        here.store.commit(fold(state, [{"record": "removed", "address": str(address)} for address in gone]))
        return gone


def move(here: Session, old: str, new: str) -> None:
    """Remember ``old`` as ``new``.  Raises UsageInvalid when there is nothing to move or something in the way."""
    former, address = _address(old), _address(new)
    if former.kind != address.kind or len(former.path) != len(address.path):
        raise UsageInvalid(f"{old} and {new} are not addresses of one kind")
    with here.store.lock("state mv"):
        state = here.store.load()
        if former not in state.entries:
            raise UsageInvalid(f"{old} is not in the state", hint="see: reconciler state list")
        if address in state.entries:
            raise UsageInvalid(f"{new} is in the state already", hint=f"forget it first: reconciler state rm '{new}'")
        here.store.commit(fold(state, [{"record": "renamed", "address": str(address), "former": str(former)}]))


async def take_in(here: Session, text: str, remote_id: str) -> None:
    """Remember the live object ``remote_id`` as ours under an address.

    Raises UsageInvalid when the platform lists no such object of that kind there.
    """
    address = _address(text)
    vendor = next((vendor for vendor in VENDORS if vendor.name == address.vendor), None)
    if vendor is None or address.kind not in KINDS:
        raise UsageInvalid(f"{address.kind} is not a kind we know", hint=f"there are: {', '.join(KINDS)}")
    with here.store.lock("state import"):
        state = here.store.load()
        provider = await here.provider(vendor)
        _check_origins(state, {vendor.name: provider.origin}, here)
        live = await read_live(
            provider, here.clock, lambda root: root.address.root == address.root or len(address.path) == 1
        )
        found = live.by_id().get(remote_id)
        if found is None or found.address.kind != address.kind:
            raise UsageInvalid(f"the platform lists no {KINDS[address.kind].word} {remote_id} there")
        holder = next((known for known, entry in state.entries.items() if entry.remote_id == remote_id), None)
        if holder is not None and holder != address:
            raise UsageInvalid(f"{remote_id} is ours already, as {holder}", hint="see: reconciler state mv")
        entry = Entry(remote_id, op=found.op, archived=found.archived)
        records: list[Record] = [
            {"record": "origins", "origins": {vendor.name: provider.origin}},
            {"record": "done", "address": str(address), "entry": entry_to_json(entry)},
        ]
        here.store.commit(fold(state, records))


def _address(text: str) -> Address:
    try:
        return Address.parse(text)
    except ValueError as error:
        raise UsageInvalid(str(error)) from error
