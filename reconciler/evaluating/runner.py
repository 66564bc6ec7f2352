"""Turns triggers into evaluations: start each once, remember it, wait for it, read what was recorded.

Touches nothing itself: requests go through ``send``, durable notes through ``record``, time through ``clock``.

An evaluation that runs twice costs money, so a trigger is sent at most once.  Its note is durable before the request
and holds the task ids before the wait, so that a killed wait can be taken up again (see ``notes``; for one whose reply
was lost, ``lost_triggers``).

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
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, TypeVar

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.concurrency import all_of
from reconciler.errors import (
    ApiError,
    Conflict,
    MethodMissing,
    NotApplied,
    NotAuthorized,
    NotFound,
    OutcomeUnknown,
)
from reconciler.evaluating.asking import Note, Run
from reconciler.evaluating.lost_triggers import LostTrigger
from reconciler.evaluating.notes import Started, forgotten, superseded, task_key
from reconciler.evaluating.waiting import TimeIsUp, in_time
from reconciler.model.call import Call, Flow, Reply
from reconciler.model.flow import drive
from reconciler.model.measuring import Task, Trigger
from reconciler.model.outcome import Evaluation, EvaluationStatus, TaskState, TimeRange
from reconciler.model.values import format_duration

T = TypeVar("T")

SETTLED_S = 10.0
"""Without a task to ask about, results count as complete when they have not changed for this long."""
LAG_S = 3.0
"""How long results may lag behind the end of their task."""


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
            for key in sorted({task_key(each.trigger) for each in every if each.note.started}):
                await here.record(forgotten(key))
        elif end.over:
            await measurement.note.say_over()
        return end

    ends = await all_of(one(each) for each in every)
    return RunResult(
        evaluations=_sorted(evaluation for end in ends for evaluation in end.evaluations),
        unfinished=tuple(each for each, end in zip(triggers, ends, strict=True) if not end.over),
        doubtful=tuple(each for each, end in zip(triggers, ends, strict=True) if end.doubtful),
        unstarted=sum(end.unstarted for end in ends),
    )


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
        self.note = Note(run, trigger)
        self.lost = LostTrigger(run, self.measuring, self.note)
        self.tasks_are_runs = self.measuring.of_tasks is not None
        self.asked_at = run.began
        """When the vendor last answered a trigger; what an earlier process has sent may have been sent just now."""

    async def all_runs(self) -> _End:
        """What came of all its runs, from the one that an earlier process has started or the first."""
        known, trigger = self.note.started, self.trigger
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
                started = (await self.lost.taken_up(known) if known else None) or await self._start(planned)
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
        await self.note.say(unsure)
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
            await self.note.remove()
            raise
        except ApiError as error:
            # When something was lost, that the look for it was refused says nothing about the trigger.  Where only
            # reading was tried, nothing was started.
            if lost or (carried_out and not isinstance(error, (NotApplied, Conflict))):
                return replace(unsure, since=self.run.now)
            await self.note.remove()
            raise
        if all(tasks is None for tasks in asked):
            await self.note.remove()
            return None
        self.asked_at = self.run.now
        started = replace(planned, tasks=tuple(task for tasks in asked for task in tasks or ()))
        await self.note.say(started)
        return started

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

    async def _look_for(self, started: Started) -> _End:
        """For a trigger whose reply was lost: whether it was started after all."""
        if not self.lost.has_name(started):
            return await self._look_for_results(started)
        sought = await self.lost.sought(started)
        if sought is not None and sought.sure:
            return await self._wait_for(sought)
        return self._in_doubt(over=sought is None)

    async def _look_for_results(self, started: Started) -> _End:
        reading, until = _Reading(started.seen, SETTLED_S), self.lost.doubt_ends(started)
        if await self._read_until(min(self.run.deadline, until), started, reading):
            # Only one that writes over others, or follows them, knows what was there before; else they may be older.
            return _End(reading.results, doubtful=not self.trigger.overwrite and started.number == 1)
        over = self.run.now >= until
        if not over:
            await self.lost.still_in_doubt(started)
        end = self._in_doubt(over=over)
        return replace(end, evaluations=(*end.evaluations, *reading.results))

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
