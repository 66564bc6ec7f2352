"""Turns triggers into evaluations: start each once, remember it, wait for it, read what was recorded.

Touches nothing itself: requests go through ``send``, durable notes through ``record``, time through ``clock``.

An evaluation that runs twice costs money, so a trigger is sent at most once.  Its note is durable before the request
and holds the task ids before the wait, so that a killed wait can be taken up again (see ``notes``).

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
from collections import defaultdict
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping, Sequence
from functools import cached_property
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
from reconciler.evaluating.notes import Started, forgotten, started_before, superseded, task_key, under_way
from reconciler.evaluating.waiting import LAST_LOOK_S, TimeIsUp, in_time, pauses
from reconciler.model.call import Call, Flow, Reply, Wire
from reconciler.model.flow import Send, drive
from reconciler.model.measuring import Measuring, Task, Trigger
from reconciler.model.outcome import Evaluation, EvaluationStatus, TaskState, TimeRange
from reconciler.model.provider import Clock
from reconciler.model.resource import Address
from reconciler.model.state import Record
from reconciler.model.values import Fields, format_duration

T = TypeVar("T")
OnProgress: TypeAlias = Callable[[int, int, str], None]

SETTLED_S = 10.0
"""Without a task to ask about, results count as complete when they have not changed for this long."""
LAG_S = 3.0
"""How long results may lag behind the end of their task."""
DOUBT_S = 60.0
"""How long a lost trigger can still turn up, unless it is said, and how long its results may take."""
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


async def run(triggers: Sequence[Trigger], here: Run) -> RunResult:
    """Start every trigger, wait at most ``deadline_s`` for all of them together, and read the results.

    The deadline holds whatever ``send`` is doing: reading ends LAST_LOOK_S after it, what had no turn by then is
    not started, and only a trigger that is being sent is waited for, so that it does not go without its note.

    The failure of one trigger is an ERROR evaluation with the reason.  Raises NotAuthorized (401, 403), which
    concerns them all, and what ``record`` raises.  When cancelled, starts nothing new and notes what is under way.
    """
    for key in superseded(triggers, here.tasks, resumed=here.resumed):
        await here.record(forgotten(key))
    every = [_Measurement(here, each) for each in triggers]
    ended, ended_for_good = 0, 0

    async def one(measurement: _Measurement) -> _End:
        nonlocal ended, ended_for_good
        end = await measurement.all_runs()
        ended, ended_for_good = ended + 1, ended_for_good + end.over
        here.on_progress(ended, len(every), measurement.label())
        if ended_for_good == len(every):
            for key in sorted({task_key(each.trigger) for each in every if each.noted}):
                await here.record(forgotten(key))
        elif end.over:
            await measurement.remember_end()
        return end

    ends = await all_of(one(each) for each in every)
    return RunResult(
        evaluations=_sorted(evaluation for end in ends for evaluation in end.evaluations),
        unfinished=tuple(each for each, end in zip(triggers, ends, strict=True) if not end.over),
        doubtful=tuple(each for each, end in zip(triggers, ends, strict=True) if end.doubtful),
        unstarted=sum(end.unstarted for end in ends),
    )


# --------------------------------------------------------------------------------------------------- asking


class Run(Struct, frozen=True, kw_only=True, dict=True):
    """What all triggers of one run share: how to ask, what is known of them already, and for how long to wait.

    ``measuring``   how what stands at an address is measured.
    ``record``      keeps a note; it must be durable when it returns.
    ``on_progress`` is told (done, total, what) after each trigger.
    ``parallelism`` bounds the requests in flight.
    ``tasks``       ``State.tasks``: a trigger noted there is not sent again (``notes`` finds the triggers to give).
    ``resumed``     neither is one sent again that is noted as over, nor are the runs started that a series lacks: it
                    stays noted for a run that may start them.
    ``began``       the monotonic second from which the deadline counts.
    ``wait``        False returns as soon as everything is started, however long that takes.
    ``doubt_s``     the uncertainty window: for how long a trigger whose reply was lost may still turn up.  What an
                    earlier process left in doubt counts from now, less what was spent on looking for it: nobody knows
                    when it was sent.
    """

    measuring: Callable[[Address], Measuring]
    send: Send
    wire: Wire
    clock: Clock
    record: Callable[[Record], Awaitable[None]]
    on_progress: OnProgress = lambda _done, _total, _what: None
    parallelism: int
    tasks: Mapping[str, Fields] = {}
    resumed: bool = False
    began: float
    deadline_s: float
    wait: bool = True
    doubt_s: float = DOUBT_S

    @cached_property
    def names(self) -> Mapping[tuple[str, str], str]:
        """The name of what has a remote id, by the name of its root and that id."""
        return {(address.root, remote_id): address.name for address, remote_id in self.wire.ids.items()}

    @cached_property
    def slots(self) -> asyncio.Semaphore:
        """Held for each request in flight."""
        return asyncio.Semaphore(self.parallelism)

    @cached_property
    def starting(self) -> defaultdict[tuple[str, str | None], asyncio.Lock]:
        """Held for a subject and a place while something is started there."""
        return defaultdict(asyncio.Lock)

    @property
    def now(self) -> float:
        """Monotonic seconds, as all points in time here."""
        return self.clock.monotonic()

    @property
    def deadline(self) -> float:
        """When nobody waits any longer."""
        return self.began + self.deadline_s if self.wait else math.inf

    @property
    def end(self) -> float:
        """When the last look is over."""
        return self.deadline + LAST_LOOK_S

    async def ask_until(self, until: float, ask: Callable[[], Awaitable[T | None]]) -> T | None:
        """The first answer that is not None; None when time is up.  Asks at least once."""
        pause, failures = pauses(), 0
        while True:
            try:
                answer = await ask()
                failures = 0
            except TimeIsUp:
                return None
            except (ReadFailed, RateLimited, Unreachable):
                answer, failures = None, failures + 1
                if failures == FAILED_READS:
                    raise
            left = until - self.now
            if answer is not None or left <= 0:
                return answer
            await self.clock.sleep(min(next(pause), left))

    async def read(self, flow: Flow[T]) -> T:
        """What is read before the end.  Raises TimeIsUp, whatever the reading was waiting for."""
        return await in_time(drive(flow, self._send, self.clock.sleep, all_at_once(self._send)), self.end - self.now)

    async def _send(self, call: Call) -> Reply:
        async with self.slots:
            return await self.send(call)


# --------------------------------------------------------------------------------------------------- one trigger


class _End(Struct, frozen=True):
    """What came of one trigger.  Not ``over``: there is still something to wait for, and its note stays.

    Not ``is_measured``: it certainly did not start.  ``runs`` is how many of its runs it is about, ``unstarted`` how
    many more there should be, which a resumed run leaves alone.
    """

    evaluations: tuple[Evaluation, ...] = ()
    over: bool = True
    doubtful: bool = False
    is_measured: bool = True
    runs: int = 1
    unstarted: int = 0


class _Measurement:
    """One trigger, from the request to the results of its last run."""

    def __init__(self, run: Run, trigger: Trigger) -> None:
        self.run, self.trigger, self.measuring = run, trigger, run.measuring(trigger.address)
        self.noted = started_before(trigger, run.tasks, resumed=run.resumed)
        """What its note says; None where there is none."""
        self.tasks_are_runs = self.measuring.of_tasks is not None
        self.asked_at = run.began
        """When the vendor last answered a trigger; what an earlier process has sent may have been sent just now."""

    async def all_runs(self) -> _End:
        """What came of all its runs, from the one that an earlier process has started or the first."""
        known, trigger = self.noted, self.trigger
        found, done = (known.earlier, known.number - 1) if known else ((), 0)
        while True:
            end = await self._one_run(known, Started(trigger, number=done + 1, earlier=found, about=trigger.about))
            found, done = (*found, *end.evaluations), done + end.runs
            last = done >= trigger.runs or not end.is_measured or (known is not None and known.over)
            if last or end.doubtful or not end.over:
                return replace(end, evaluations=found)
            if self.run.resumed:
                return replace(end, evaluations=found, over=False, unstarted=trigger.runs - done)
            if self.run.now >= self.run.deadline:
                late = self._running(trigger.pipeline, f"{done} of {trigger.runs} runs are done")
                return replace(end, evaluations=(*found, late), over=False)
            known = None

    async def _one_run(self, known: Started | None, planned: Started) -> _End:
        try:
            # One subject may be measured for several resources: each sees what was started there before it starts more.
            async with self.run.starting[self.trigger.remote_id, self.trigger.pipeline]:
                started = (await self._taken_up(known) if known else None) or await self._start(planned)
            if started is None:
                return _End(await self._recorded_before(), is_measured=False)
        except TimeIsUp:
            why = f"not started within {format_duration(self.run.deadline_s)}; the next run starts it"
            return _End((self._failed(why),), is_measured=False)
        except NotAuthorized:
            raise
        except ApiError as error:
            return _End((self._failed(str(error)),), is_measured=False)
        if not self.run.wait:
            return _End(over=False, doubtful=not started.sure)
        runs = max(1, len(started.tasks)) if self.tasks_are_runs else 1  # several may have been joined together
        end = await self._awaited(started)
        return replace(end, runs=runs, evaluations=await self._explained(end.evaluations))

    async def _awaited(self, started: Started) -> _End:
        try:
            if started.over:
                return _End(await self._recorded(started), doubtful=not started.sure)
            return await self._wait_for(started)
        except TimeIsUp:
            news = self._unread()
        except NotAuthorized:
            raise
        except ApiError as error:
            news = self._failed(str(error))
        return _End((news,), over=False, doubtful=not started.sure)

    # ----------------------------------------------------------------------------------------------- starting

    async def _start(self, planned: Started) -> Started | None:
        """Send the request, noted before and after; None where the vendor has nothing to evaluate.

        Raises ApiError when it certainly did not start anything, and TimeIsUp when it had no turn by the deadline.
        """
        trigger = planned.sent
        if planned.number > 1 and not self.tasks_are_runs:
            trigger = replace(trigger, overwrite=True)
        tells_apart = trigger.overwrite and not self.tasks_are_runs
        there = await self._results() if tells_apart or self.measuring.window is not None else ()
        parts = _parts(trigger, there)
        # Overwritten results are there before and after; only what was there before tells them apart.
        old = there if any(part.overwrite for part in parts) else planned.earlier
        planned = replace(planned, seen=frozenset(map(_fingerprint, old)))
        async with self.run.slots:
            if self.run.now >= self.run.end:
                raise TimeIsUp
            return await _to_its_end(self._request(planned, parts))

    async def _request(self, planned: Started, parts: Sequence[Trigger]) -> Started | None:
        unsure = replace(planned, sure=False)
        await self._remember(unsure)
        lost = carried_out = False

        async def send(call: Call) -> Reply:
            nonlocal lost, carried_out
            left = self.run.end - self.run.now
            # What waits for the vendor was not sent, so it can be given up; what looks for a lost answer cannot.
            limited = replace(call, patience_s=max(0.0, left)) if math.isfinite(left) and not lost else call
            if call.method == "GET" and not lost and not carried_out:
                return await in_time(self.run.send(limited), left)
            try:
                reply = await self.run.send(limited)
            except OutcomeUnknown:
                lost = True
                raise
            carried_out = carried_out or call.method != "GET"
            return reply

        try:
            flows = (self.measuring.trigger(part, self.run.wire) for part in parts)
            asked = [await drive(flow, send, self.run.clock.sleep) for flow in flows]
        except TimeIsUp:
            await self._forget()
            raise
        except ApiError as error:
            # When something was lost, that the look for it was refused says nothing about the trigger.  Where only
            # reading was tried, nothing was started.
            if lost or (carried_out and not isinstance(error, (NotApplied, Conflict))):
                return replace(unsure, since=self.run.now)
            await self._forget()
            raise
        if all(tasks is None for tasks in asked):
            await self._forget()
            return None
        self.asked_at = self.run.now
        started = replace(planned, tasks=tuple(task for tasks in asked for task in tasks or ()))
        await self._remember(started)
        return started

    async def _remember(self, started: Started) -> None:
        self.noted = started
        await self.run.record(under_way(started))

    async def remember_end(self) -> None:
        """Note that it is over while others are not."""
        if self.noted is not None and not self.noted.over:
            await self._remember(replace(self.noted, over=True))

    async def _forget(self) -> None:
        self.noted = None
        await self.run.record(forgotten(task_key(self.trigger)))

    # ----------------------------------------------------------------------------------------------- waiting

    async def _wait_for(self, started: Started) -> _End:
        if not started.sure:
            return await self._look_for(started)
        if not started.tasks:
            return await self._wait_for_results(started)
        try:
            states = await all_of(self._state(task) for task in started.tasks)
        except (NotFound, MethodMissing) as error:
            if self.tasks_are_runs:
                return _End((self._failed(str(error)),))
            # Older servers know no tasks, or forgot this one; what was recorded is still there.
            return await self._wait_for_results(started)
        return await self._after_tasks(started, list(zip(started.tasks, states, strict=True)))

    async def _state(self, task: Task) -> TaskState | None:
        """How the task ended, or how it was doing when time was up; None where nobody has told by then."""
        last: TaskState | None = None

        async def ended() -> TaskState | None:
            nonlocal last
            try:
                last = await self.run.read(self.measuring.poll(task, self.run.wire))
            except NotFound:
                if not self._may_be_too_new():
                    raise
                last = TaskState(complete=False, note="the platform does not show it yet")
            return last if last.over else None

        return await self.run.ask_until(self.run.deadline, ended) or last

    def _may_be_too_new(self) -> bool:
        """Whether a run that is not found may have been made so lately that the vendor does not show it yet."""
        return self.tasks_are_runs and self.run.now < self.asked_at + self.run.doubt_s

    async def _after_tasks(self, started: Started, ends: list[tuple[Task, TaskState | None]]) -> _End:
        news = [self._failed(end.error, task.pipeline) for task, end in ends if end and end.error]
        news += [self._running(task.pipeline, end.note) for task, end in ends if end and not end.over]
        news += [self._unread(task.pipeline) for task, end in ends if end is None]
        over = all(end is not None and end.over for _, end in ends)
        complete = tuple(task for task, end in ends if end and end.complete and not end.error)
        if not complete:
            return _End(tuple(news), over=over)
        reading, until = _Reading(started.seen, settled_s=0), self.run.now + LAG_S
        found = await self._read_until(min(until, self.run.end), replace(started, tasks=complete), reading)
        if not found and (not reading.is_read or self.run.now < until):
            news.append(self._unread(failure=reading.failure))
            over = False
        return _End((*news, *reading.results), over=over)

    async def _wait_for_results(self, started: Started) -> _End:
        """Without tasks to ask about: until results are there and have settled."""
        reading = _Reading(started.seen, SETTLED_S)
        if await self._read_until(self.run.deadline, started, reading):
            return _End(reading.results)
        news = self._running(self.trigger.pipeline) if reading.is_read else self._unread(failure=reading.failure)
        return _End((news, *reading.results), over=False)

    async def _read_until(self, until: float, started: Started, reading: _Reading) -> bool:
        async def ready() -> bool | None:
            try:
                recorded = await self._recorded(started)
            except ApiError as error:
                reading.failure = error
                if isinstance(error, NotFound) and self._may_be_too_new():
                    return None
                raise
            return reading.take(recorded, self.run.now) or None

        return bool(await self.run.ask_until(until, ready)) or reading.is_fresh

    # ----------------------------------------------------------------------------------------- a lost reply

    async def _taken_up(self, known: Started) -> Started | None:
        """What an earlier run has started; None where it turns out that it has not, and somebody may send it."""
        if known.sure or known.over or not self._has_name(known):
            return known
        try:
            sought = await self._sought(known)
        except NotAuthorized:
            raise
        except ApiError:
            return known
        if sought is None and not self.run.resumed:
            await self._forget()
            return None
        return sought or known

    async def _look_for(self, started: Started) -> _End:
        """For a trigger whose reply was lost: whether it was started after all."""
        if not self._has_name(started):
            return await self._look_for_results(started)
        sought = await self._sought(started)
        if sought is not None and sought.sure:
            return await self._wait_for(sought)
        return self._in_doubt(over=sought is None)

    async def _sought(self, started: Started) -> Started | None:
        """With its task where that was found, as it was at the deadline; None where it certainly did not start."""
        lost, until = self.measuring.lost, self._doubt_ends(started)
        assert lost is not None
        sent = replace(started.sent, about=started.about)

        async def found() -> tuple[Task, ...] | None:
            began = self.run.now  # only a look that was begun after the window proves anything
            tasks = await self.run.read(lost(sent, self.run.wire))
            return tasks if tasks or began >= until else None

        tasks = await self.run.ask_until(self.run.deadline, found)
        if tasks is None:
            return await self._still_in_doubt(started)
        if not tasks:
            return None
        started = replace(started, tasks=tasks, sure=True)
        await self._remember(started)
        return started

    async def _look_for_results(self, started: Started) -> _End:
        reading, until = _Reading(started.seen, SETTLED_S), self._doubt_ends(started)
        if await self._read_until(min(self.run.deadline, until), started, reading):
            # Only one that writes over others, or follows them, knows what was there before; else they may be older.
            return _End(reading.results, doubtful=not self.trigger.overwrite and started.number == 1)
        over = self.run.now >= until
        if not over:
            await self._still_in_doubt(started)
        end = self._in_doubt(over=over)
        return replace(end, evaluations=(*end.evaluations, *reading.results))

    def _has_name(self, started: Started) -> bool:
        """Whether what it started can be told from everything else."""
        return self.measuring.lost is not None and bool(started.trigger.op)

    def _doubt_ends(self, started: Started) -> float:
        """From when on it cannot turn up any more.  Results take longer than what is in a list."""
        window = self.run.doubt_s if self._has_name(started) else max(self.run.doubt_s, DOUBT_S)
        return self._since(started) + window - started.looked_s

    def _since(self, started: Started) -> float:
        return self.run.began if started.since is None else started.since

    async def _still_in_doubt(self, started: Started) -> Started:
        """Note how long it was looked for, so that the next run need not begin again."""
        now = self.run.now
        started = replace(started, since=now, looked_s=started.looked_s + now - self._since(started))
        await self._remember(started)
        return started

    def _in_doubt(self, *, over: bool) -> _End:
        then = ", and it is not sent a second time" if over else "; the next evaluation goes on looking for it"
        lost = self._failed(f"may have been started: the reply was lost{then}")
        return _End((lost,), over=over, doubtful=True)

    # ----------------------------------------------------------------------------------------------- results

    async def _recorded_before(self) -> tuple[Evaluation, ...]:
        """What is recorded though the vendor has nothing to evaluate; without any, that it is missing and why."""
        found = await self._results() if self.run.wait else ()
        why = "the platform has nothing to evaluate here"
        return found or (self._news(EvaluationStatus.MISSING, why),)

    async def _recorded(self, started: Started) -> tuple[Evaluation, ...]:
        """What is recorded of what was started: of its very tasks where each of them is a run."""
        of_tasks = self.measuring.of_tasks
        if of_tasks is None or not started.tasks:
            return await self._results()
        return await self._read(of_tasks(self.trigger, started.tasks, self.run.wire))

    async def _explained(self, evaluations: tuple[Evaluation, ...]) -> tuple[Evaluation, ...]:
        """With what the platform says beside its verdicts; without where that takes too long."""
        if self.measuring.explained is None:
            return evaluations
        try:
            return await self.run.read(self.measuring.explained(self.trigger.remote_id, evaluations))
        except TimeIsUp:
            return evaluations

    async def _results(self) -> tuple[Evaluation, ...]:
        """What is recorded for the trigger's range and pipeline; a result without a pipeline may belong to any."""
        trigger = self.trigger
        places = () if trigger.pipeline is None else (trigger.pipeline,)
        flow = self.measuring.results(trigger.address, trigger.remote_id, trigger.range, places, self.run.wire)
        return await self._read(flow)

    async def _read(self, flow: Flow[tuple[Evaluation, ...]]) -> tuple[Evaluation, ...]:
        found = [replace(each, pipeline=self._name(each.pipeline)) for each in await self.run.read(flow)]
        wanted = self._name(self.trigger.pipeline)
        return tuple(each for each in found if wanted is None or each.pipeline in (wanted, None))

    # -------------------------------------------------------------------------------------------------- words

    def label(self) -> str:
        """The trigger, for a person."""
        pipeline = self._name(self.trigger.pipeline)
        return f"{self.trigger.address} on {pipeline}" if pipeline else str(self.trigger.address)

    def _name(self, pipeline: str | None) -> str | None:
        """The name of the pipeline with this remote id in the trigger's project; else what was given."""
        return self.run.names.get((self.trigger.address.root, pipeline), pipeline) if pipeline else None

    def _failed(self, why: str, pipeline: str | None = None) -> Evaluation:
        return self._news(EvaluationStatus.ERROR, why, pipeline)

    def _running(self, pipeline: str | None, note: str = "") -> Evaluation:
        why = f"not finished after {format_duration(self.run.deadline_s)}; it goes on at the platform"
        return self._news(EvaluationStatus.RUNNING, f"{why}; {note}" if note else why, pipeline)

    def _unread(self, pipeline: str | None = None, failure: ApiError | None = None) -> Evaluation:
        """Nobody has said that anything is missing or still runs: it may be over, and have failed."""
        late = f"not read within {format_duration(self.run.deadline_s)}: the platform took too long to answer"
        return self._failed(late if failure is None else str(failure), pipeline)

    def _news(self, status: EvaluationStatus, why: str, pipeline: str | None = None) -> Evaluation:
        return Evaluation(
            address=self.trigger.address,
            status=status,
            pipeline=self._name(pipeline or self.trigger.pipeline),
            message=why,
            starts=self.trigger.range.start,
            ends=self.trigger.range.end,
        )


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
    """Results read again and again, until there is something new, nothing of it runs, and it has settled.

    ``failure`` is why they could not be read the last time, None where they could.
    """

    seen: frozenset[str]
    settled_s: float
    results: tuple[Evaluation, ...] = ()
    is_fresh: bool = False
    is_read: bool = False
    failure: ApiError | None = None
    _prints: frozenset[str] = field(default_factory=frozenset)
    _unchanged_since: float = 0.0

    def take(self, results: tuple[Evaluation, ...], now: float) -> bool:
        """Take what was read at ``now`` (monotonic seconds); returns whether that was the last time."""
        prints = frozenset(map(_fingerprint, results))
        if prints != self._prints:
            self._unchanged_since = now
        running = any(each.status is EvaluationStatus.RUNNING for each in results)
        self.results, self._prints, self.is_read, self.failure = results, prints, True, None
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
