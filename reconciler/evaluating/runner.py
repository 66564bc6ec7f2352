"""Turns triggers into evaluations: start each once, remember it, wait for it, read what was recorded.

Touches nothing itself: requests go through ``send``, durable notes through ``record``, time through ``clock``.

An evaluation that runs twice costs money, so a trigger is sent at most once.  Its note is durable before the request
and holds the task ids before the wait, so that a killed wait can be taken up again:

    note                                       a later run
    {"record": "task", ..., no "tasks" yet}    may have been started: looks for it before anything is sent again
    {"record": "task", ..., "tasks": [...]}    goes on waiting for them
    {"record": "task", ..., "over": true}      reads its results once more, if it takes up the whole run
    {"record": "task_over", ...}               knows nothing of it

Where results belong to versions, the note says of which (``about``), and one about others than the trigger's ends.  In
notes of older formats it is not said: only a doubt outlives them, for what is under way is joined without a note.

A lost trigger that has a name of its own (``Measuring.lost``) is looked for by that, and certainly did not start when
the uncertainty window is over without it; the next run sends it anew.  Without a name it is looked for in the results,
which prove nothing, and not sent again as long as it is noted.

A run that was cut short is judged as a whole when it is taken up, so its notes go together, when all of it is over.

A window may have a result from before it was over, which says nothing of the rows that came in since.  The platform
would keep it, so this window alone is evaluated again: the trigger is sent in parts, and one of them writes over.

A trigger that asks for several runs is started anew after each of them, over the same range.  Its note then says which
run it is about and holds what the earlier ones measured: the platform writes the next results over them.  Where each
task is a run with a result of its own, nothing is written over, a trigger may join several runs that are there, and
these runs are judged, whatever newer ones somebody else has started.
"""

from __future__ import annotations

import asyncio
import hashlib
import math
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.concurrency import all_at_once, all_of
from reconciler.errors import (
    ApiError,
    Conflict,
    MethodMissing,
    NotApplied,
    NotAuthorized,
    NotFound,
    OutcomeUnknown,
    RateLimited,
    ReadFailed,
    Unreachable,
)
from reconciler.model.call import Call, Flow, Reply, Wire
from reconciler.model.flow import Send, drive
from reconciler.model.measuring import Measuring, Task, Trigger
from reconciler.model.outcome import Evaluation, EvaluationStatus, TaskState, TimeRange
from reconciler.model.provider import Clock
from reconciler.model.resource import Address
from reconciler.model.state import Record
from reconciler.model.values import Fields, Json, format_duration

T = TypeVar("T")
OnProgress: TypeAlias = Callable[[int, int, str], None]

FIRST_PAUSE_S, LONGEST_PAUSE_S, PAUSE_GROWTH = 1.0, 10.0, 1.5
SETTLED_S = 10.0
"""Without a task to ask about, results count as complete when they have not changed for this long."""
LAG_S = 3.0
"""How long results may lag behind the end of their task."""
DOUBT_S = 60.0
"""How long a lost trigger can still turn up, unless it is said, and how long its results may take."""
LAST_LOOK_S = 2.0
"""How long after the deadline the last look may take: what is over should not be called unfinished."""
FAILED_READS = 3
"""How many failed reads in a row, each already retried by the transport, end the waiting."""


class RunResult(Struct, frozen=True):
    """What came of all triggers.

    ``evaluations`` are sorted by address, pipeline and window; every window in the range is there, and our own news
    (could not be started, failed, nothing to evaluate, not finished) stands among them as ERROR, MISSING or RUNNING
    without a ``result_id``.
    ``pipeline`` is the name where ``wire`` knows it.  ``unfinished`` go on at the platform and can be resumed;
    ``doubtful`` may have been started, nobody knows.  ``unstarted`` counts the runs that a resumed series lacks.
    """

    evaluations: tuple[Evaluation, ...] = ()
    unfinished: tuple[Trigger, ...] = ()
    doubtful: tuple[Trigger, ...] = ()
    unstarted: int = 0


async def run(
    triggers: Sequence[Trigger],
    measuring: Callable[[Address], Measuring],
    send: Send,
    wire: Wire,
    clock: Clock,
    record: Callable[[Record], Awaitable[None]],
    *,
    deadline_s: float,
    parallelism: int,
    on_progress: OnProgress = lambda _done, _total, _what: None,
    tasks: Mapping[str, Fields] | None = None,
    wait: bool = True,
    resumed: bool = False,
    doubt_s: float = DOUBT_S,
) -> RunResult:
    """Start every trigger, wait at most ``deadline_s`` for all of them together, and read the results.

    ``parallelism`` bounds the requests in flight.  ``tasks`` is ``State.tasks``: a trigger noted there is not sent
    again (``resume`` and ``noted`` find the triggers to give), and when ``resumed`` not even one that is over, nor the
    runs of it that were never started: it stays noted for a run that may start them.
    ``doubt_s`` is the uncertainty window: for how long a trigger whose reply was lost may still turn up.  What an
    earlier process left in doubt counts from now, less what was spent on looking for it: nobody knows when it was sent.
    ``record`` must be durable when it returns.  ``on_progress`` is told (done, total, what) after each trigger.
    Without ``wait``, returns as soon as everything is started, however long that takes.

    The deadline holds whatever ``send`` is doing: reading ends LAST_LOOK_S after it, what had no turn by then is
    not started, and only a trigger that is being sent is waited for, so that it does not go without its note.

    The failure of one trigger is an ERROR evaluation with the reason.  Raises NotAuthorized (401, 403), which
    concerns them all, and what ``record`` raises.  When cancelled, starts nothing new and notes what is under way.
    """
    slots = asyncio.Semaphore(parallelism)
    known, deadline = tasks or {}, (clock.monotonic() + deadline_s if wait else math.inf)
    names = {(address.root, remote_id): address.name for address, remote_id in wire.ids.items()}
    here = _Run(
        measuring, send, wire, clock, record, slots, known, names, deadline, deadline_s, wait, resumed,
        doubt_s, clock.monotonic(),
    )  # fmt: skip
    for key in _superseded(triggers, known, resumed=resumed):
        await record({"record": "task_over", "key": key})
    done, over = 0, 0

    async def one(trigger: Trigger) -> _End:
        nonlocal done, over
        end = await here.measure(trigger)
        done, over = done + 1, over + end.over
        on_progress(done, len(triggers), here.label(trigger))
        if over == len(triggers):
            for key in sorted(here.noted):
                await record({"record": "task_over", "key": key})
        elif end.over:
            await here.remember_end(trigger)
        return end

    ends = await all_of(one(trigger) for trigger in triggers)
    return RunResult(
        evaluations=_sorted(evaluation for end in ends for evaluation in end.evaluations),
        unfinished=tuple(end.trigger for end in ends if not end.over),
        doubtful=tuple(end.trigger for end in ends if end.doubtful),
        unstarted=sum(end.unstarted for end in ends),
    )


def resume(triggers: Iterable[Trigger], tasks: Mapping[str, Fields], *, within_s: int = 3600) -> tuple[Trigger, ...]:
    """The triggers, those that an earlier run is still waiting for with the range that it asked for.

    ``--since 24h`` means another range a minute later; an unfinished one of the same length that began at most
    ``within_s`` earlier is meant to be the same.
    """
    waiting = [(_from_note(note), note) for note in tasks.values() if not note.get("over")]
    known: dict[tuple[Address, str | None], list[tuple[Trigger, Fields]]] = {}
    for old, note in sorted(waiting, key=lambda each: each[0].range.start, reverse=True):
        known.setdefault((old.address, old.pipeline), []).append((old, note))

    def older(new: Trigger) -> Trigger | None:
        before = [old for old, note in known.get((new.address, new.pipeline), ()) if _tells_of(note, new)]
        return next((replace(old, about=new.about) for old in before if _continues(old, new, within_s)), None)

    return tuple(older(each) or each for each in triggers)


def outdated(triggers: Iterable[Trigger], tasks: Mapping[str, Fields]) -> int:
    """How many evaluations that an earlier run is waiting for are about other versions than these triggers."""
    waiting: dict[object, list[Fields]] = {}
    for note in tasks.values():
        if note.get("about") and not note.get("over"):
            waiting.setdefault((note["address"], note["pipeline"]), []).append(note)
    found = ((each, note) for each in triggers for note in waiting.get((str(each.address), each.pipeline), ()))
    return sum(not _tells_of(note, trigger) for trigger, note in found)


def is_under_way(trigger: Trigger, tasks: Mapping[str, Fields]) -> bool:
    """Whether an earlier run has sent this trigger, so that it is waited for and not sent again."""
    return _started_before(trigger, tasks, resumed=False) is not None


def unstarted(trigger: Trigger, tasks: Mapping[str, Fields]) -> int:
    """How many runs of this trigger an earlier run has not sent, as far as its note tells."""
    known = _started_before(trigger, tasks, resumed=False)
    return trigger.runs if known is None else trigger.runs - known.number


def noted(tasks: Mapping[str, Fields]) -> tuple[Trigger, ...]:
    """Every trigger that an earlier run has noted, with the range that it asked for."""
    return tuple(_from_note(note) for note in tasks.values())


def task_key(trigger: Trigger) -> str:
    """What the note of a trigger is filed under: the test, the pipeline and the range."""
    return f"{trigger.address} {trigger.pipeline or '*'} {trigger.range.start}-{trigger.range.end}"


# --------------------------------------------------------------------------------------------------- notes


class _Started(Struct, frozen=True):
    """A trigger that was sent.  ``seen`` are the results that were there before; not ``sure``: the reply was lost.

    ``number`` says which of its runs it is, from 1; ``earlier`` is what those before it measured.  ``about`` is what it
    was about when it was sent, which may be older than what the trigger is about.  It is in doubt ``since`` a monotonic
    second of this run, None for one of an earlier process, and was looked for ``looked_s`` seconds before that.
    """

    trigger: Trigger
    tasks: tuple[Task, ...] = ()
    seen: frozenset[str] = frozenset()
    sure: bool = True
    number: int = 1
    earlier: tuple[Evaluation, ...] = ()
    over: bool = False
    about: tuple[str, ...] = ()
    since: float | None = None
    looked_s: float = 0.0

    @property
    def sent(self) -> Trigger:
        """The trigger as this run of it is sent."""
        if self.number == 1:
            return self.trigger
        return replace(self.trigger, number=self.number, op=f"{self.trigger.op}-{self.number}")


class _End(Struct, frozen=True):
    """What came of one trigger.  Not ``over``: there is still something to wait for, and its note stays.

    Not ``is_measured``: it certainly did not start.  ``runs`` is how many of its runs it is about, ``unstarted`` how
    many more there should be, which a resumed run leaves alone.
    """

    trigger: Trigger
    evaluations: tuple[Evaluation, ...] = ()
    over: bool = True
    doubtful: bool = False
    is_measured: bool = True
    runs: int = 1
    unstarted: int = 0


def _note(started: _Started) -> Fields:
    trigger = started.trigger
    note: Fields = {
        "address": str(trigger.address),
        "remote_id": trigger.remote_id,
        "pipeline": trigger.pipeline,
        "start": trigger.range.start,
        "end": trigger.range.end,
        "overwrite": trigger.overwrite,
        "seen": list[Json](sorted(started.seen)),
    }
    if started.sure:
        note["tasks"] = [{"id": task.task_id, "pipeline": task.pipeline} for task in started.tasks]
    if trigger.runs > 1:
        earlier: list[Json] = [_evaluation_to_json(each) for each in started.earlier]
        note |= {"runs": trigger.runs, "number": started.number, "earlier": earlier}
    if trigger.op:
        note["op"] = trigger.op
    if started.looked_s:
        note["looked_s"] = started.looked_s
    if started.about:
        note["about"] = list[Json](started.about)
    if started.over:
        note["over"] = True
    return note


def _from_note(note: Mapping[str, Any]) -> Trigger:
    return Trigger(
        address=Address.parse(note["address"]),
        remote_id=note["remote_id"],
        pipeline=note["pipeline"],
        range=TimeRange(note["start"], note["end"]),
        overwrite=note["overwrite"],
        op=note.get("op", ""),
        runs=note.get("runs", 1),
        about=tuple(note.get("about", ())),
    )


def _tells_of(note: Mapping[str, Any], trigger: Trigger) -> bool:
    """Whether what was noted is about the same versions as the trigger, or a doubt about what nobody knows."""
    about = note.get("about")
    return not trigger.about or (tuple(about) == trigger.about if about else "tasks" not in note)


def _started_before(trigger: Trigger, tasks: Mapping[str, Any], *, resumed: bool) -> _Started | None:
    note = tasks.get(task_key(trigger))
    if note is None or replace(_from_note(note), op=trigger.op, about=trigger.about) != trigger:
        return None
    if not resumed and (note.get("over") or not _tells_of(note, trigger)):
        return None
    return _Started(
        replace(trigger, op=note.get("op", "")),
        tuple(Task(task["id"], task["pipeline"]) for task in note.get("tasks", ())),
        frozenset(note["seen"]),
        sure="tasks" in note,
        number=note.get("number", 1),
        earlier=tuple(_evaluation_from_json(each, trigger.address) for each in note.get("earlier", ())),
        over=note.get("over", False),
        about=tuple(note.get("about", ())),
        looked_s=note.get("looked_s", 0.0),
    )


def _evaluation_to_json(evaluation: Evaluation) -> Fields:
    return {
        "status": evaluation.status.value,
        "pipeline": evaluation.pipeline,
        "measured": dict(evaluation.measured),
        "message": evaluation.message,
        "result_id": evaluation.result_id,
        "starts": evaluation.starts,
        "ends": evaluation.ends,
        "recorded": evaluation.recorded,
    }


def _evaluation_from_json(data: Mapping[str, Any], address: Address) -> Evaluation:
    return Evaluation(**{**data, "address": address, "status": EvaluationStatus(data["status"])})


def _superseded(triggers: Sequence[Trigger], tasks: Mapping[str, Any], *, resumed: bool) -> list[str]:
    """Notes of the same targets over other ranges or of other versions, which nobody will ask about any more."""
    asked = {task_key(trigger): trigger for trigger in triggers}
    targets = {(str(trigger.address), trigger.pipeline) for trigger in triggers}

    def is_past(key: str, note: Mapping[str, Any]) -> bool:
        if key in asked:
            return not resumed and not _tells_of(note, asked[key])
        return (note["address"], note["pipeline"]) in targets

    return [key for key, note in tasks.items() if is_past(key, note)]


def _continues(old: Trigger, new: Trigger, within_s: int) -> bool:
    later = new.range.start - old.range.start
    same = replace(old, range=new.range, op=new.op, about=new.about) == new  # each run names its triggers anew
    return same and later == new.range.end - old.range.end and 0 <= later <= within_s


# --------------------------------------------------------------------------------------------------- one trigger


class _Run(Struct, frozen=True):
    """What all triggers of one run share."""

    measuring: Callable[[Address], Measuring]
    send: Send
    wire: Wire
    clock: Clock
    record: Callable[[Record], Awaitable[None]]
    slots: asyncio.Semaphore
    tasks: Mapping[str, Fields]
    names: Mapping[tuple[str, str], str]
    deadline: float
    deadline_s: float
    wait: bool
    resumed: bool
    doubt_s: float
    began: float
    noted: dict[str, _Started] = field(default_factory=dict)
    starting: dict[tuple[str, str | None], asyncio.Lock] = field(default_factory=dict)

    async def measure(self, trigger: Trigger) -> _End:
        """Everything for one trigger, from the request to the results of its last run."""
        started = _started_before(trigger, self.tasks, resumed=self.resumed)
        if started is not None:
            self.noted[task_key(trigger)] = started
        number, earlier = (started.number, started.earlier) if started else (1, ())
        while True:
            end = await self._measure_once(started, trigger, number, earlier)
            earlier, done = (*earlier, *end.evaluations), number + end.runs - 1
            last = done >= trigger.runs or not end.is_measured or (started is not None and started.over)
            if last or end.doubtful or not end.over:
                return replace(end, evaluations=earlier)
            if self.resumed:
                return replace(end, evaluations=earlier, over=False, unstarted=trigger.runs - done)
            if self.clock.monotonic() >= self.deadline:
                late = self._running(trigger, trigger.pipeline, f"{done} of {trigger.runs} runs are done")
                return replace(end, evaluations=(*earlier, late), over=False)
            started, number = None, done + 1

    async def _measure_once(
        self, known: _Started | None, trigger: Trigger, number: int, earlier: tuple[Evaluation, ...]
    ) -> _End:
        try:
            # One subject may be measured for several resources: each sees what was started there before it starts more.
            async with self.starting.setdefault((trigger.remote_id, trigger.pipeline), asyncio.Lock()):
                started = await self._taken_up(known) if known else None
                started = started or await self._start(
                    _Started(trigger, number=number, earlier=earlier, about=trigger.about)
                )
            if started is None:
                return _End(trigger, await self._recorded_before(trigger), is_measured=False)
        except _TimeIsUp:
            why = f"not started within {format_duration(self.deadline_s)}; the next run starts it"
            return _End(trigger, (self._failed(trigger, why),), is_measured=False)
        except NotAuthorized:
            raise
        except ApiError as error:
            return _End(trigger, (self._failed(trigger, str(error)),), is_measured=False)
        if not self.wait:
            return _End(trigger, over=False, doubtful=not started.sure)
        runs = self._runs_of(started)
        try:
            if started.over:
                return _End(trigger, await self._recorded(started), doubtful=not started.sure, runs=runs)
            return replace(await self._wait_for(started), runs=runs)
        except _TimeIsUp:
            return _End(trigger, (self._unread(trigger),), over=False, doubtful=not started.sure)
        except NotAuthorized:
            raise
        except ApiError as error:
            return _End(trigger, (self._failed(trigger, str(error)),), over=False, doubtful=not started.sure)

    async def _start(self, planned: _Started) -> _Started | None:
        """Send the request, noted before and after; None where the vendor has nothing to evaluate.

        Raises ApiError when it certainly did not start anything, and _TimeIsUp when it had no turn by the deadline.
        """
        trigger, measuring = planned.sent, self.measuring(planned.trigger.address)
        if planned.number > 1 and measuring.of_tasks is None:
            trigger = replace(trigger, overwrite=True)
        tells_apart = trigger.overwrite and measuring.of_tasks is None
        there = await self._results(trigger) if tells_apart or measuring.window is not None else ()
        parts = _parts(trigger, there)
        # Overwritten results are there before and after; only what was there before tells them apart.
        old = there if any(part.overwrite for part in parts) else planned.earlier
        seen = frozenset(map(_fingerprint, old))
        async with self.slots:
            if self.clock.monotonic() >= self.end:
                raise _TimeIsUp
            return await _to_its_end(self._request(replace(planned, seen=seen), parts))

    async def _request(self, planned: _Started, parts: Sequence[Trigger]) -> _Started | None:
        unsure = replace(planned, sure=False)
        await self._remember(unsure)
        start, asked = self.measuring(planned.trigger.address).trigger, list[tuple[Task, ...] | None]()
        lost: list[ApiError] = []

        async def send(call: Call) -> Reply:
            left = self.end - self.clock.monotonic()
            # What waits for the vendor was not sent, so it can be given up; what looks for a lost answer cannot.
            limited = replace(call, patience_s=max(0.0, left)) if math.isfinite(left) and not lost else call
            try:
                return await self.send(limited)
            except OutcomeUnknown as error:
                lost.append(error)
                raise

        try:
            for part in parts:
                asked.append(await drive(start(part, self.wire), send, self.clock.sleep))
        except (NotApplied, Conflict):
            if lost:  # that the look for it was refused says nothing about the trigger
                return replace(unsure, since=self.clock.monotonic())
            await self._forget(planned.trigger)
            raise
        except ApiError:
            return replace(unsure, since=self.clock.monotonic())
        if not any(each is not None for each in asked):
            await self._forget(planned.trigger)
            return None
        started = replace(planned, tasks=tuple(task for tasks in asked for task in tasks or ()))
        await self._remember(started)
        return started

    async def _remember(self, started: _Started) -> None:
        key = task_key(started.trigger)
        self.noted[key] = started
        await self.record({"record": "task", "key": key, "task": _note(started)})

    async def remember_end(self, trigger: Trigger) -> None:
        """Note that a trigger is over while others are not."""
        started = self.noted.get(task_key(trigger))
        if started is not None and not started.over:
            await self._remember(replace(started, over=True))

    async def _forget(self, trigger: Trigger) -> None:
        self.noted.pop(task_key(trigger), None)
        await self.record({"record": "task_over", "key": task_key(trigger)})

    # ----------------------------------------------------------------------------------------------- waiting

    async def _wait_for(self, started: _Started) -> _End:
        if not started.sure:
            return await self._look_for(started)
        if not started.tasks:
            return await self._wait_for_results(started)
        try:
            states = await all_of(self._outcome(task, started.trigger) for task in started.tasks)
        except (NotFound, MethodMissing) as error:
            if self.measuring(started.trigger.address).of_tasks is not None:
                return _End(started.trigger, (self._failed(started.trigger, str(error)),))
            # Older servers know no tasks, or forgot this one; what was recorded is still there.
            return await self._wait_for_results(started)
        return await self._after_tasks(started, list(zip(started.tasks, states, strict=True)))

    async def _outcome(self, task: Task, trigger: Trigger) -> TaskState:
        """How the task ended, or how it was doing when time was up."""
        poll = self.measuring(trigger.address).poll
        last = TaskState(complete=False)

        async def ended() -> TaskState | None:
            nonlocal last
            last = await self._in_time(drive(poll(task, self.wire), self._send, self.clock.sleep))
            return last if last.over else None

        return await self._ask_until(self.deadline, ended) or last

    async def _after_tasks(self, started: _Started, ends: list[tuple[Task, TaskState]]) -> _End:
        trigger = started.trigger
        news = [self._failed(trigger, end.error, task.pipeline) for task, end in ends if end.error]
        news += [self._running(trigger, task.pipeline, end.note) for task, end in ends if not end.over]
        results: tuple[Evaluation, ...] = ()
        over = all(end.over for _, end in ends)
        complete = tuple(task for task, end in ends if end.complete and not end.error)
        if complete:
            reading = _Reading(started.seen, settled_s=0)
            until = self.clock.monotonic() + LAG_S
            found = await self._read_until(min(until, self.end), replace(started, tasks=complete), reading)
            results = reading.results
            if not found and (not reading.is_read or self.clock.monotonic() < until):
                news.append(self._unread(trigger))
                over = False
        return _End(trigger, (*news, *results), over=over)

    async def _wait_for_results(self, started: _Started) -> _End:
        """Without tasks to ask about: until results are there and have settled."""
        reading = _Reading(started.seen, SETTLED_S)
        if await self._read_until(self.deadline, started, reading):
            return _End(started.trigger, reading.results)
        running = self._running(started.trigger, started.trigger.pipeline)
        return _End(started.trigger, (running, *reading.results), over=False)

    # ----------------------------------------------------------------------------------------- a lost reply

    async def _taken_up(self, known: _Started) -> _Started | None:
        """What an earlier run has started; None where it turns out that it has not, and somebody may send it."""
        if known.sure or known.over or not self._has_name(known):
            return known
        try:
            sought = await self._sought(known)
        except NotAuthorized:
            raise
        except ApiError:
            return known
        if sought is None and not self.resumed:
            await self._forget(known.trigger)
            return None
        return sought or known

    async def _look_for(self, started: _Started) -> _End:
        """For a trigger whose reply was lost: whether it was started after all."""
        if not self._has_name(started):
            return await self._look_for_results(started)
        sought = await self._sought(started)
        if sought is not None and sought.sure:
            return await self._wait_for(sought)
        return self._in_doubt(started.trigger, over=sought is None)

    async def _sought(self, started: _Started) -> _Started | None:
        """With its task where that was found, as it was at the deadline; None where it certainly did not start."""
        lost, until = self.measuring(started.trigger.address).lost, self._doubt_ends(started)
        assert lost is not None
        sent = replace(started.sent, about=started.about)

        async def found() -> tuple[Task, ...] | None:
            began = self.clock.monotonic()  # only a look that was begun after the window proves anything
            tasks = await self._in_time(drive(lost(sent, self.wire), self._send, self.clock.sleep))
            return tasks if tasks or began >= until else None

        tasks = await self._ask_until(self.deadline, found)
        if tasks is None:
            return await self._still_in_doubt(started)
        if not tasks:
            return None
        started = replace(started, tasks=tasks, sure=True)
        await self._remember(started)
        return started

    async def _look_for_results(self, started: _Started) -> _End:
        trigger, reading, until = started.trigger, _Reading(started.seen, SETTLED_S), self._doubt_ends(started)
        if await self._read_until(min(self.deadline, until), started, reading):
            # Only one that writes over others, or follows them, knows what was there before; else they may be older.
            return _End(trigger, reading.results, doubtful=not trigger.overwrite and started.number == 1)
        over = self.clock.monotonic() >= until
        if not over:
            await self._still_in_doubt(started)
        end = self._in_doubt(trigger, over=over)
        return replace(end, evaluations=(*end.evaluations, *reading.results))

    def _has_name(self, started: _Started) -> bool:
        """Whether what it started can be told from everything else."""
        return self.measuring(started.trigger.address).lost is not None and bool(started.trigger.op)

    def _doubt_ends(self, started: _Started) -> float:
        """From when on it cannot turn up any more (monotonic seconds).  Results take longer than what is in a list."""
        window = self.doubt_s if self._has_name(started) else max(self.doubt_s, DOUBT_S)
        return self._since(started) + window - started.looked_s

    def _since(self, started: _Started) -> float:
        return self.began if started.since is None else started.since

    async def _still_in_doubt(self, started: _Started) -> _Started:
        """Note how long it was looked for, so that the next run need not begin again."""
        now = self.clock.monotonic()
        started = replace(started, since=now, looked_s=started.looked_s + now - self._since(started))
        await self._remember(started)
        return started

    def _in_doubt(self, trigger: Trigger, *, over: bool) -> _End:
        then = ", and it is not sent a second time" if over else "; the next evaluation goes on looking for it"
        lost = self._failed(trigger, f"may have been started: the reply was lost{then}")
        return _End(trigger, (lost,), over=over, doubtful=True)

    # ----------------------------------------------------------------------------------------------- reading

    async def _read_until(self, until: float, started: _Started, reading: _Reading) -> bool:
        async def ready() -> bool | None:
            return reading.take(await self._recorded(started), self.clock.monotonic()) or None

        return bool(await self._ask_until(until, ready)) or reading.is_fresh

    async def _ask_until(self, until: float, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        """The first answer that is not None; None when time is up.  Asks at least once."""
        pause, failures = FIRST_PAUSE_S, 0
        while True:
            try:
                answer = await ask()
                failures = 0
            except _TimeIsUp:
                return None
            except (ReadFailed, RateLimited, Unreachable):
                answer, failures = None, failures + 1
                if failures == FAILED_READS:
                    raise
            left = until - self.clock.monotonic()
            if answer is not None or left <= 0:
                return answer
            await self.clock.sleep(min(pause, left))
            pause = min(LONGEST_PAUSE_S, pause * PAUSE_GROWTH)

    # ----------------------------------------------------------------------------------------------- results

    async def _recorded_before(self, trigger: Trigger) -> tuple[Evaluation, ...]:
        """What is recorded though the vendor has nothing to evaluate; without any, that it is missing and why."""
        found = await self._results(trigger) if self.wait else ()
        why = "the platform has nothing to evaluate here"
        return found or (self._news(trigger, EvaluationStatus.MISSING, why, trigger.pipeline),)

    def _runs_of(self, started: _Started) -> int:
        """How many runs were started or joined together: one, but where each task is a run."""
        is_run = self.measuring(started.trigger.address).of_tasks is not None
        return max(1, len(started.tasks)) if is_run else 1

    async def _recorded(self, started: _Started) -> tuple[Evaluation, ...]:
        """What is recorded of what was started: of its very tasks where each of them is a run."""
        trigger, of_tasks = started.trigger, self.measuring(started.trigger.address).of_tasks
        if of_tasks is None or not started.tasks:
            return await self._results(trigger)
        return await self._read(trigger, of_tasks(trigger, started.tasks, self.wire))

    async def _results(self, trigger: Trigger) -> tuple[Evaluation, ...]:
        """What is recorded for the trigger's range and pipeline; a result without a pipeline may belong to any."""
        places = () if trigger.pipeline is None else (trigger.pipeline,)
        results = self.measuring(trigger.address).results
        return await self._read(trigger, results(trigger.address, trigger.remote_id, trigger.range, places, self.wire))

    async def _read(self, trigger: Trigger, flow: Flow[tuple[Evaluation, ...]]) -> tuple[Evaluation, ...]:
        found = await self._in_time(drive(flow, self._send, self.clock.sleep, all_at_once(self._send)))
        named = [replace(each, pipeline=self._name(trigger, each.pipeline)) for each in found]
        wanted = self._name(trigger, trigger.pipeline)
        return tuple(each for each in named if wanted is None or each.pipeline in (wanted, None))

    @property
    def end(self) -> float:
        """When the last look is over (monotonic seconds)."""
        return self.deadline + LAST_LOOK_S

    async def _in_time(self, reading: Awaitable[T]) -> T:
        """What is read before the end.  Raises _TimeIsUp, whatever the reading was waiting for."""
        left = self.end - self.clock.monotonic()
        limit = asyncio.timeout(None if math.isinf(left) else max(0.0, left))
        try:
            async with limit:
                return await reading
        except TimeoutError:
            if limit.expired():
                raise _TimeIsUp from None
            raise

    async def _send(self, call: Call) -> Reply:
        async with self.slots:
            return await self.send(call)

    def _name(self, trigger: Trigger, pipeline: str | None) -> str | None:
        """The name of the pipeline with this remote id in the trigger's project; else what was given."""
        return self.names.get((trigger.address.root, pipeline), pipeline) if pipeline else None

    def label(self, trigger: Trigger) -> str:
        """The trigger, for a person."""
        pipeline = self._name(trigger, trigger.pipeline)
        return f"{trigger.address} on {pipeline}" if pipeline else str(trigger.address)

    def _failed(self, trigger: Trigger, why: str, pipeline: str | None = None) -> Evaluation:
        return self._news(trigger, EvaluationStatus.ERROR, why, pipeline)

    def _running(self, trigger: Trigger, pipeline: str | None, note: str = "") -> Evaluation:
        why = f"not finished after {format_duration(self.deadline_s)}; it goes on at the platform"
        return self._news(trigger, EvaluationStatus.RUNNING, f"{why}; {note}" if note else why, pipeline)

    def _unread(self, trigger: Trigger) -> Evaluation:
        why = f"not read within {format_duration(self.deadline_s)}: the platform took too long to answer"
        return self._news(trigger, EvaluationStatus.RUNNING, why, trigger.pipeline)

    def _news(self, trigger: Trigger, status: EvaluationStatus, why: str, pipeline: str | None) -> Evaluation:
        return Evaluation(
            address=trigger.address,
            status=status,
            pipeline=self._name(trigger, pipeline or trigger.pipeline),
            message=why,
            starts=trigger.range.start,
            ends=trigger.range.end,
        )


class _TimeIsUp(Exception):
    """The deadline passed before there was an answer, or a turn."""


def _parts(trigger: Trigger, there: Iterable[Evaluation]) -> tuple[Trigger, ...]:
    """The trigger as it is sent: where ``there`` has only preliminary results, writing over them; elsewhere not.

    From the first such window to the last is one part: what lies between them is evaluated again, too.
    """
    final = {(each.pipeline, each.starts, each.ends) for each in there if not each.is_preliminary}
    again = [
        TimeRange(each.starts, each.ends)
        for each in there
        if each.is_preliminary and each.status is not EvaluationStatus.RUNNING
        if each.starts is not None and each.ends is not None and (each.pipeline, each.starts, each.ends) not in final
    ]
    if trigger.overwrite or not again:
        return (trigger,)
    asked = trigger.range
    first = max(asked.start, min(window.start for window in again))
    last = min(asked.end, max(window.end for window in again))
    spans = ((asked.start, first, False), (first, last, True), (last, asked.end, False))
    return tuple(
        replace(trigger, range=TimeRange(start, end), overwrite=overwrite)
        for start, end, overwrite in spans
        if start < end
    )


class _Reading(Struct):
    """Results read again and again, until there is something new, nothing of it runs, and it has settled."""

    seen: frozenset[str]
    settled_s: float
    results: tuple[Evaluation, ...] = ()
    is_fresh: bool = False
    is_read: bool = False
    _prints: frozenset[str] = field(default_factory=frozenset)
    _unchanged_since: float = 0.0

    def take(self, results: tuple[Evaluation, ...], now: float) -> bool:
        """Take what was read at ``now`` (monotonic seconds); returns whether that was the last time."""
        prints = frozenset(map(_fingerprint, results))
        if prints != self._prints:
            self._unchanged_since = now
        running = any(each.status is EvaluationStatus.RUNNING for each in results)
        self.results, self._prints, self.is_read = results, prints, True
        self.is_fresh = bool(prints - self.seen) and not running
        return self.is_fresh and now - self._unchanged_since >= self.settled_s


def _fingerprint(result: Evaluation) -> str:
    """Changes when a result is written anew, even in its old place."""
    text = f"{result.result_id} {result.recorded} {result.status} {sorted(result.measured.items())}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _sorted(evaluations: Iterable[Evaluation]) -> tuple[Evaluation, ...]:
    """By address, pipeline, window and time, each recorded result once though two triggers may have read it."""
    once: dict[object, Evaluation] = {}
    for each in evaluations:
        once.setdefault((each.address, each.result_id, each.recorded) if each.result_id else id(each), each)
    return tuple(
        sorted(once.values(), key=lambda e: (e.address, e.pipeline or "", e.starts or 0, e.recorded, e.result_id))
    )


# --------------------------------------------------------------------------------------------------- concurrency


async def _to_its_end(work: Coroutine[Any, Any, T]) -> T:
    """The result.  A cancellation waits until the work is done, so that nothing sent goes without its note."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        if not running.cancelled():
            running.exception()  # asked for, or asyncio prints it with its traceback when the task is thrown away
        raise
