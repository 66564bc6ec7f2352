"""One seed, one world: applies that are disturbed, killed and frozen, people beside them, and what must be true after.

The real pipeline (plan, apply, convergence check, evaluate) runs against the real emulator, with the real store in a
folder.  Only the clock, the connection and the moment of death are the world's.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import secrets
import shutil
import tempfile
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from reconciler.applying.journal import FRESH_S
from reconciler.errors import LockHeld, ReconcilerError, StalePlan
from reconciler.manifests.validator import Loaded
from reconciler.model.outcome import StepStatus, TimeRange
from reconciler.model.plan import Plan, plan_to_json
from reconciler.model.state import State
from reconciler.model.values import Secret
from reconciler.pipeline import applying, measuring
from reconciler.pipeline.applying import Applied, apply
from reconciler.pipeline.measuring import Inquiry, evaluate
from reconciler.pipeline.planning import Planned, plan
from reconciler.pipeline.session import Hooks, Request, Session, load_manifests
from reconciler.planning.saved import check_untouched
from reconciler.providers import VENDORS
from reconciler.providers.http import RestProvider
from reconciler.settings import Settings
from reconciler.storage import file_lock
from tests.simulation.machine import CURRENT, Killed, MortalStore, Process, VirtualLoop, mortal_disk
from tests.simulation.platform import Connection, Platform
from tests.simulation.schedule import LONGEST_LAG_S, WINDOW_S, Network, Schedule
from tests.simulation.stories import TABLES, People, Story, Team, story

KEY = "canary-key-7c41e09b"
STORIES = 96
"""So many different beginnings; they are kept, because reaching one costs as much as a world."""
SETTINGS = Settings.from_environ(
    {
        "OPENLAYER_BASE_URL": "http://platform.invalid/v1",
        "OPENLAYER_API_KEY": KEY,
        "DIGITALOCEAN_BASE_URL": "http://platform.invalid",
        "DIGITALOCEAN_TOKEN": KEY,
        "RECONCILER_UNCERTAINTY_WINDOW": f"{WINDOW_S}s",
    }
)
HOME = Path("/dev/shm") if os.access("/dev/shm", os.W_OK) else Path(tempfile.gettempdir())


class Broken(AssertionError):
    """The world is not as it must be."""


@dataclass(frozen=True)
class Wishes:
    """One generation of manifests: what the team means, and what the loader made of it."""

    teams: tuple[Team, ...]
    loaded: Loaded


@dataclass(frozen=True)
class Beginning:
    """A platform and a folder at the point where the last generation is to be applied."""

    snapshot: bytes
    files: dict[str, bytes]
    wishes: Wishes
    second: Wishes
    strangers: dict[str, dict[str, str]]


@dataclass
class Tally:
    """Figures over many worlds."""

    worlds: int = 0
    kills: int = 0
    moments: int = 0
    freezes: int = 0
    take_overs: int = 0
    runs: int = 0
    requests: int = 0
    evaluations: int = 0
    faults: Counter[str] = field(default_factory=Counter)
    deeds: Counter[str] = field(default_factory=Counter)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Tally:
        """The inverse of ``dataclasses.asdict``."""
        return cls(**{**data, "faults": Counter(data["faults"]), "deeds": Counter(data["deeds"])})

    def add(self, other: Tally) -> None:
        """Count another tally in."""
        for name in ("worlds", "kills", "moments", "freezes", "take_overs", "runs", "requests", "evaluations"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.faults += other.faults
        self.deeds += other.deeds

    def __str__(self) -> str:
        faults = ", ".join(f"{name} {count}" for name, count in sorted(self.faults.items()))
        return (
            f"{self.worlds} schedules: {self.runs} runs, {self.kills} killed at one of {self.moments} moments, "
            f"{self.freezes} freezes, {self.take_overs} take-overs, {self.requests} requests, {self.evaluations} "
            f"evaluations, {sum(self.deeds.values())} deeds by hand, {sum(self.faults.values())} faults ({faults})"
        )


class World:
    """The world of one seed.  ``folder`` is empty at first, and its own."""

    def __init__(self, schedule: Schedule, folder: Path, loop: VirtualLoop) -> None:
        self.schedule, self.folder, self.loop = schedule, folder, loop
        self.chance = schedule.stream("story")
        self.trace: list[str] = []
        self.tally = Tally(worlds=1)
        self.platform = Platform(loop, schedule, log=self.log)
        self.people = People(self.platform, schedule.stream("people"))
        self.wishes: Wishes
        self.broken_at: dict[str, float] = {}
        self.said: list[str] = []
        self.parallelism = 1
        self.often = 0.0

    def log(self, text: str) -> None:
        """Write one line of what happened."""
        self.trace.append(f"{self.loop.time():9.2f} {text.replace(str(self.folder), '')}")

    # ------------------------------------------------------------------------------------------ runs

    def process(self, name: str, **options: Any) -> Process:
        """A new process."""
        return Process(name, self.loop, log=lambda text: self.log(f"{name}: {text}"), **options)

    def session(
        self,
        process: Process,
        *,
        disturbed: bool,
        adopt: bool = False,
        confirm: Callable[[Plan], None] = lambda _: None,
    ) -> Session:
        """The parts of one run of this process.  ``confirm`` is asked before anything is changed."""
        hooks = Hooks(
            confirm=confirm,
            event=lambda event: self.said.append(json.dumps(event)),
            note=lambda text: self.note(process, text),
            ended=lambda step, outcome: self.note(process, f"{step.id}: {outcome.status} {outcome.error}"),
        )
        request = Request(root=self.folder, parallelism=self.parallelism, adopt=adopt)
        here = Session(request, SETTINGS, hooks, None, self.wishes.loaded.desired)
        here.clock = process
        here.store = MortalStore(self.folder / ".reconciler", process)
        for vendor in VENDORS:
            path = "/v1" if vendor.name == "openlayer" else ""
            network = Network(self.schedule, process.name, self.often) if disturbed else None
            here.providers[vendor.name] = RestProvider(
                vendor,
                base_url=f"http://platform.invalid{path}",
                credential=Secret(KEY),
                clock=process,
                transport=Connection(process, self.platform, network),
                parallelism=self.parallelism,
                rng=random.Random(f"{self.schedule.seed} jitter of {process.name}"),
                observe=here._observe,
            )
        return here

    def note(self, process: Process, text: str) -> None:
        """What a run tells a person."""
        self.said.append(text)
        self.log(f"{process.name}: {text}")

    async def run(self, process: Process, work: Callable[[Session], Any], **options: Any) -> Any:
        """Carry out one run to its end, whatever that is; returns what came of it, or the error, or None if killed."""
        self.tally.runs += 1
        task = self.loop.create_task(self._run(process, work, options))
        try:
            return await task
        except Killed:
            return None
        except ReconcilerError as error:
            self.note(process, f"{type(error).__name__}: {error.message}")
            return error
        finally:
            self.tally.kills += process.dead
            self.tally.moments += process.moments
            process.die()

    async def _run(self, process: Process, work: Callable[[Session], Any], options: dict[str, Any]) -> Any:
        CURRENT.set(process)
        return await work(self.session(process, **options))

    async def apply_evaluating(self, here: Session) -> Applied:
        """``apply --evaluate``: what was touched is evaluated over the last day."""
        applied = await apply(here)
        if all(outcome.status is StepStatus.DONE for outcome in applied.outcomes):
            await self.evaluate(here)
        return applied

    async def evaluate(self, here: Session) -> None:
        """What ``apply --evaluate`` does once everything is applied."""
        end = int(here.clock.now())
        await evaluate(here, Inquiry(TimeRange(end - 86_400, end), changed=True, deadline_s=120))

    async def apply_saved(self, here: Session) -> Applied:
        """``plan --out``, then, a little later, ``apply --plan``."""
        planned = await plan(here)
        saved = plan_to_json(planned.plan, tool="simulation")
        self.said.append(json.dumps(saved))
        check_untouched(saved)
        await here.clock.sleep(5)
        return await apply(here, saved=saved)

    # ------------------------------------------------------------------------------------------ the end

    def check(self, left: Planned, state: State) -> None:
        """Everything that must be true once the platform is well and everybody is done."""
        problems = [f"left to do: {step.id} ({step.reason})" for step in left.plan.pending]
        problems += [f"refused: {refusal.address}: {refusal.reason}" for refusal in left.plan.refusals]
        problems += [f"in doubt: {address}" for address in state.in_doubt]
        marked = {item.remote_id: item.op for item in left.live.objects if item.op is not None}
        problems += [
            f"{address} is remembered as made by {entry.op}, and marked as made by {marked[entry.remote_id]}"
            for address, entry in state.entries.items()
            if marked.get(entry.remote_id, entry.op) != entry.op
        ]
        problems += self._content(state)
        problems += self._strangers(state)
        problems += self._triggers()
        problems += self._fenced()
        problems += self._leaks()
        if problems:
            raise Broken("\n".join(problems))

    def _content(self, state: State) -> Iterator[str]:
        """Everything wanted is there once as it was wanted; nothing else of ours is active."""
        projects, pipelines, tests = (
            {key: json.loads(doc) for key, doc in self.platform.rows(t).items()} for t in TABLES
        )
        project_of = self.platform.inside(TABLES[2])
        by_hand = {key for rows in self.people.strangers.values() for key in rows} | self.people.estranged
        owned = {entry.remote_id for entry in state.entries.values()}
        home = {
            team.name: [key for key, doc in projects.items() if doc["name"] == team.name] for team in self.wishes.teams
        }
        wanted: set[str] = set()
        for team in self.wishes.teams:
            if len(home[team.name]) != 1:
                yield f"project {team.name} is there {len(home[team.name])} times"
                continue
            (project,) = home[team.name]
            wanted.add(project)
            if team.description and _text(projects[project]["description"]) != team.description:
                yield f"project {team.name}: its description is {projects[project]['description']!r}"
            for name, text, _ in team.pipelines:
                found = [k for k, doc in pipelines.items() if doc["projectId"] == project and doc["name"] == name]
                wanted.update(found)
                if len(found) != 1:
                    yield f"pipeline {team.name}/{name} is there {len(found)} times"
                elif text and _text(pipelines[found[0]]["description"]) != text:
                    yield f"pipeline {team.name}/{name}: its description is {pipelines[found[0]]['description']!r}"
            for case in team.cases:
                found = [key for key, doc in tests.items() if project_of[key] == project and doc["name"] == case.name
                         and doc["usesProductionData"] is not case.development and not doc["archived"]
                         and (key in owned or key not in by_hand)]  # fmt: skip
                wanted.update(found)
                if len(found) != 1:
                    yield f"test {team.name}/{case.name} is there {len(found)} times: {found}"
                    continue
                doc = tests[found[0]]
                if found[0] not in owned:
                    yield f"test {team.name}/{case.name} is not in the state"
                if doc["thresholds"][0]["value"] != case.least:
                    yield f"test {team.name}/{case.name}: its threshold is {doc['thresholds'][0]['value']}"
                if not case.development and doc["evaluationWindow"] != (86_400 if case.window == "24h" else 3_600):
                    yield f"test {team.name}/{case.name}: its window is {doc['evaluationWindow']}"
                names = tuple(pipelines[each]["name"] for each in doc["includePipelines"] or ())
                if names != case.pipelines:
                    yield f"test {team.name}/{case.name}: it runs on {names}"
        active = {*projects, *pipelines, *(key for key, doc in tests.items() if not doc["archived"])}
        for key in sorted(active - wanted - by_hand):
            yield f"nobody wants {key} ({({**projects, **pipelines, **tests})[key]['name']}), and it is active"
        for key in sorted(wanted - owned):
            yield f"{key} is not in the state"

    def _strangers(self, state: State) -> Iterator[str]:
        """What people made is as they left it, byte for byte, unless we were told to adopt it."""
        owned = {entry.remote_id for entry in state.entries.values()}
        for table in TABLES:
            rows = self.platform.rows(table)
            for key, doc in self.people.strangers[table].items():
                if key not in owned and rows.get(key) != doc:
                    yield f"{table}: {key} is not ours and was touched:\n  {doc}\n  {rows.get(key)}"

    def _triggers(self) -> Iterator[str]:
        """No evaluation was started twice."""
        started = Counter(
            (each.path, each.body["startTimestamp"], each.body["endTimestamp"], each.body.get("inferencePipelineId"))
            for each in self.platform.evaluations()
        )
        for trigger, count in started.items():
            if count > 1:
                yield f"{trigger} was started {count} times"

    def _fenced(self) -> Iterator[str]:
        """Who has lost the lock sends no write any more."""
        for sent in self.platform.sent:
            since = self.broken_at.get(sent.who)
            if since is None or not sent.locked_at <= since < sent.at - FRESH_S or sent.what.startswith("GET"):
                continue
            yield f"{sent.who} lost the lock at {since:.2f} and sent {sent.what} at {sent.at:.2f}"

    def _leaks(self) -> Iterator[str]:
        """The key is in nothing that was written or said."""
        for path in sorted((self.folder / ".reconciler").iterdir()):
            if KEY.encode() in path.read_bytes():
                yield f"the key is in {path.name}"
        if any(KEY in text for text in self.said):
            yield "the key is in what was said"


def _text(description: str | None) -> str:
    """A description without a marker."""
    return (description or "").partition("[reconciler:")[0].strip()


# ------------------------------------------------------------------------------------------------- the story


async def _settle_down(world: World, told: Story) -> None:
    """Bring a new world to the point where the last generation is to be applied."""
    for number, teams in enumerate((told.first, told.second)):
        world.wishes = _wishes(world.folder, teams)
        applied = await world.run(world.process(f"beginning {number}"), apply, disturbed=False)
        if not isinstance(applied, Applied) or any(o.status is not StepStatus.DONE for o in applied.outcomes):
            raise Broken(f"the story does not begin: {world.trace}")
    await world.people.settle_in()


_beginnings: dict[int, Beginning] = {}


def beginning(seed: int) -> Beginning:
    """Where the story of this seed begins; kept."""
    key = seed % STORIES
    if key not in _beginnings:
        told = story(random.Random(f"story {key}"))
        with _new_world(Schedule(-1 - key)) as world:
            platform = world.platform
            platform.emulator.restore(platform.emulator.empty)
            world.loop.run_until_complete(_settle_down(world, told))
            files = {path.name: path.read_bytes() for path in (world.folder / ".reconciler").iterdir()}
            _beginnings[key] = Beginning(
                platform.emulator.snapshot(),
                files,
                _wishes(world.folder, told.third),
                world.wishes,
                world.people.strangers,
            )
    return _beginnings[key]


def _wishes(folder: Path, teams: Sequence[Team]) -> Wishes:
    manifests = folder / "manifests"
    shutil.rmtree(manifests, ignore_errors=True)
    manifests.mkdir()
    for team in teams:
        (manifests / f"{team.name}.yaml").write_text(json.dumps(team.written()), encoding="utf-8")
    return Wishes(tuple(teams), load_manifests(Request(root=folder), SETTINGS))


@contextmanager
def _new_world(schedule: Schedule) -> Iterator[World]:
    """A world in an empty folder, whose ids are drawn from its seed."""
    ids = schedule.stream("ids")
    folder = Path(tempfile.mkdtemp(prefix="reconciler-", dir=HOME))
    loop = VirtualLoop()

    def drawn_uuid() -> uuid.UUID:
        return uuid.UUID(int=ids.getrandbits(128), version=4)

    def drawn_op() -> str:
        return "".join(ids.choice("abcdefghijklmnopqrstuvwxyz234567") for _ in range(26))

    def drawn_lock(size: int) -> str:
        return f"{ids.getrandbits(8 * size):0{2 * size}x}"

    try:
        with (
            mortal_disk(),
            patch.object(secrets, "token_hex", drawn_lock),
            patch.object(uuid, "uuid4", drawn_uuid),
            patch.object(applying, "new_operation_id", drawn_op),
            patch.object(measuring, "new_operation_id", drawn_op),
            patch.object(file_lock, "SETTLING_S", 0.0),
        ):
            yield World(schedule, folder, loop)
    finally:
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0))
        loop.close()
        shutil.rmtree(folder, ignore_errors=True)


async def _live(world: World) -> None:
    """The disturbed part and the quiet part of one schedule."""
    chance = world.chance
    world.parallelism = chance.choice((1, 1, 2, 4, 16))
    world.often = chance.choice((0.0, 0.01, 0.03, 0.08, 0.2))
    world.platform.shapes.often = world.often
    world.platform.shapes.get_stuck()
    if chance.random() < 0.4 and world.schedule.strikes("lists lag"):
        world.platform.lag_s = chance.uniform(0.5, LONGEST_LAG_S)
    for number in range(chance.choice((1, 1, 2, 2, 3))):
        if chance.random() < 0.3 and world.schedule.strikes("by hand"):
            world.log(f"by hand: {await world.people.act(world.wishes.teams)}")
        await _disturbed(world, f"run {number}")
        await asyncio.sleep(chance.choice((0.0, 0.1, 3.0, 30.0, 200.0)))
    if chance.random() < 0.3 and world.schedule.strikes("by hand"):
        world.log(f"by hand: {await world.people.act(world.wishes.teams)}")
    await quiet(world)


async def _disturbed(world: World, name: str) -> None:
    """One run that may die, freeze, and lose the lock to another while it is frozen."""
    chance = world.schedule.stream(name)
    how = chance.choice(("early", "late", "write"))
    dies_at = int(chance.uniform(0, 40 if how == "early" else 200))
    doomed = chance.random() < 0.75 and world.schedule.strikes("death", name)
    freezes = {}
    if chance.random() < 0.4 and world.schedule.strikes("freeze", name):
        for _ in range(chance.randint(1, 3)):
            freezes[int(chance.uniform(4, 50))] = chance.choice((15.0, 70.0, 300.0))
    frozen: asyncio.Future[float] = world.loop.create_future()

    def on_freeze(seconds: float) -> None:
        world.tally.freezes += 1
        if not frozen.done():
            frozen.set_result(seconds)

    work = chance.choice((apply, apply, apply, world.apply_evaluating, world.apply_saved))
    takes_over, waits = chance.random() < 0.7, chance.random()
    process = world.process(
        name,
        dies_at=dies_at if doomed and how != "write" else None,
        dies_within=dies_at // 20 if doomed and how == "write" else None,
        torn=chance.random(),
        freezes=freezes,
        on_freeze=on_freeze,
    )
    world.log(f"{name}: {getattr(work, '__name__', '')}")
    running = world.loop.create_task(world.run(process, work, disturbed=True))
    await asyncio.wait([running, frozen], return_when=asyncio.FIRST_COMPLETED)
    if frozen.done() and takes_over:
        await asyncio.sleep(waits * frozen.result())
        await take_over(world, process, f"{name}'s successor")
    await running


async def take_over(world: World, former: Process, name: str) -> None:
    """Another runner breaks the lock that a frozen one holds, and does the work."""
    successor = world.process(name)
    store = MortalStore(world.folder / ".reconciler", successor)
    holder = store.holder()
    if holder is None:
        return
    store.unlock(holder.lock_id)
    world.broken_at[former.name] = world.loop.time()
    world.tally.take_overs += 1
    world.log(f"{name}: breaks the lock of {former.name}")
    await world.run(successor, apply, disturbed=True)


async def quiet(world: World) -> None:
    """Two runs at the most on a platform that is well; then everything must be in order."""
    world.log("quiet from now on")
    world.platform.shapes.is_well = True
    for number in range(2):
        process = world.process(f"quiet {number}")
        ended = await world.run(process, apply, disturbed=False, adopt=True)
        if isinstance(ended, ReconcilerError) and not isinstance(ended, LockHeld | StalePlan):
            left = await world.run(world.process("plan"), plan, disturbed=False, adopt=True)
            refused = (
                [f"{each.address}: {each.reason}" for each in left.plan.refusals] if isinstance(left, Planned) else []
            )
            raise Broken(
                "\n".join((f"the run after all the trouble ends with {type(ended).__name__}: {ended}", *refused))
            )
        await world.platform.drained()
        await asyncio.sleep(world.platform.lag_s)
        left = await world.run(world.process(f"plan {number}"), plan, disturbed=False, adopt=True)
        if isinstance(left, Planned) and left.plan.is_empty:
            break
    if not isinstance(left, Planned):
        raise Broken(f"no plan can be made: {left}")
    world.check(left, left.state)


@contextmanager
def opened(schedule: Schedule) -> Iterator[World]:
    """A world at the point where the last generation of its story is to be applied."""
    begun = beginning(schedule.seed)
    with _new_world(schedule) as world:
        world.platform.emulator.restore(begun.snapshot)
        world.people.strangers = {table: dict(rows) for table, rows in begun.strangers.items()}
        world.wishes = begun.wishes
        folder = world.folder / ".reconciler"
        folder.mkdir(mode=0o700)
        for name, content in begun.files.items():
            (folder / name).write_bytes(content)
        yield world


def live_through(seed: int, muted: frozenset[int] = frozenset(), **options: Any) -> World:
    """Live through the world of one seed.  Raises Broken, with everything needed to look at it again."""
    schedule = Schedule(seed, muted, **options)
    with opened(schedule) as world:
        try:
            world.loop.run_until_complete(_live(world))
        except Broken as problem:
            raise Broken(_told(world, str(problem))) from None
        except Exception as error:
            raise Broken(_told(world, f"{type(error).__name__}: {error}")) from error
        world.tally.faults = schedule.sorts
        world.tally.requests = len(world.platform.sent)
        world.tally.evaluations = len(list(world.platform.evaluations()))
        world.tally.deeds = Counter(deed.partition(":")[0] for deed in world.people.deeds)
        return world


def _told(world: World, problem: str) -> str:
    return (
        f"seed {world.schedule.seed}\n{problem}\n\ndrawn:\n"
        + "\n".join(world.schedule.hits)
        + ("\n\nwhat happened:\n" + "\n".join(world.trace))
    )


def shrunk(seed: int, **options: Any) -> tuple[frozenset[int], str]:
    """The disturbances that can be left out of a world that breaks, and how it breaks without them."""
    muted: frozenset[int] = frozenset()
    message = _breaks(seed, muted, options) or "it does not break"
    number = 0
    while number < message.count("\n"):  # at most so many disturbances as there are lines about them
        told = message.partition("drawn:\n")[2].partition("\n\n")[0].splitlines()
        if number >= len(told):
            break
        without = _breaks(seed, muted | {number}, options)
        if without is not None:
            muted, message = muted | {number}, without
        number += 1
    return muted, message


def _breaks(seed: int, muted: frozenset[int], options: dict[str, Any]) -> str | None:
    try:
        live_through(seed, muted, **options)
    except Broken as problem:
        return str(problem)
    return None
