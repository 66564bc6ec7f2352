"""Triggers become evaluations: each sent at most once, remembered before the wait, read at the end.

The platform is a script at the I/O boundary, and time is virtual: it passes only while everybody waits.
"""

import asyncio
import gc
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from msgspec.structs import replace

from reconciler.errors import (
    ApiError,
    MethodMissing,
    NotAuthorized,
    NotFound,
    OutcomeUnknown,
    PlanLimit,
    RateLimited,
    ReadFailed,
)
from reconciler.evaluating.asking import Run
from reconciler.evaluating.notes import noted, outdated, resume, task_key
from reconciler.evaluating.runner import RunResult, run
from reconciler.model.call import Call, Flow, Reply, Wire, url_path
from reconciler.model.measuring import Measuring, Task, Trigger
from reconciler.model.outcome import Evaluation, EvaluationStatus, TaskState, TimeRange
from reconciler.model.resource import Address
from reconciler.model.state import Record, State, fold
from tests.virtual_time import in_virtual_time

T = TypeVar("T")


class VirtualClock:
    def monotonic(self) -> float:
        return asyncio.get_running_loop().time()

    def now(self) -> float:
        return 1_760_000_000 + self.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


DAY = TimeRange(1_700_000_000, 1_700_086_400)
LIVE, CANARY = Address("toy.Pipeline", ("bot", "live")), Address("toy.Pipeline", ("bot", "canary"))
WIRE = Wire({LIVE: "p-live", CANARY: "p-canary"})


def check(name: str) -> Address:
    return Address("toy.Test", ("bot", name))


def trigger(name: str = "faithful", pipeline: str | None = None, *, overwrite: bool = False) -> Trigger:
    return Trigger(check(name), f"id-{name}", pipeline, DAY, overwrite)


def _start(of: Trigger, _: Wire) -> Flow[tuple[Task, ...] | None]:
    reply = yield Call("POST", url_path("start", of.remote_id), repeatable=False)
    if reply.body is None:
        return None
    assert isinstance(reply.body, list)
    return tuple(Task(str(each), of.pipeline) for each in reply.body)


def _poll(task: Task, _: Wire) -> Flow[TaskState]:
    reply = yield Call("GET", url_path("task", task.task_id))
    assert isinstance(reply.body, dict)
    return TaskState(bool(reply.body.get("complete")), str(reply.body.get("error") or ""))


def _results(
    address: Address, remote_id: str, within: TimeRange | None, _: Collection[str], __: Wire
) -> Flow[tuple[Evaluation, ...]]:
    assert within == DAY
    reply = yield Call("GET", url_path("results", remote_id))
    assert isinstance(reply.body, list)
    rows: list[Any] = reply.body
    return tuple(
        Evaluation(
            address,
            EvaluationStatus(row["status"]),
            row.get("pipeline"),
            result_id=row["id"],
            starts=DAY.start,
            ends=DAY.end,
            recorded=row.get("at", ""),
        )
        for row in rows
    )


TOY = Measuring(
    place="toy.Pipeline",
    possible=lambda _: "",
    targets=lambda _address, _fields: (),
    places=lambda _fields, siblings: tuple(siblings),
    trigger=_start,
    poll=_poll,
    results=_results,
)


def passing(result_id: str = "r1", **more: str) -> dict[str, str]:
    return {"id": result_id, "status": "passing", **more}


@dataclass
class Platform:
    """The far side of the wire.

    ``script`` maps a path to the list of its answers: it is used up one per request and its last one stays,
    an exception is raised.  Unknown paths do not exist.  ``log`` holds requests and notes in their order.
    """

    script: Mapping[str, Any]
    log: list[str] = field(default_factory=list)
    at: list[float] = field(default_factory=list)
    records: list[Record] = field(default_factory=list)
    progress: list[tuple[int, int, str]] = field(default_factory=list)
    busy: int = 0
    busiest: int = 0
    measuring: Measuring = TOY

    async def send(self, call: Call) -> Reply:
        self.log.append(str(call))
        self.at.append(asyncio.get_running_loop().time())
        self.busy += 1
        self.busiest = max(self.busiest, self.busy)
        await asyncio.sleep(0.01)
        self.busy -= 1
        if call.path not in self.script:
            raise MethodMissing("no such route", method=call.method, path=call.path, status=404)
        answers = self.script[call.path]
        answer = answers.pop(0) if len(answers) > 1 else answers[0]
        if isinstance(answer, BaseException):
            raise answer
        return Reply(200, answer)

    async def record(self, record: Record) -> None:
        await asyncio.sleep(0)
        self.records.append(record)
        self.log.append(f"note {record['record']}")

    @property
    def calls(self) -> list[str]:
        return [line for line in self.log if not line.startswith("note")]

    def tasks(self) -> dict[str, Any]:
        """What the state remembers after everything recorded."""
        return dict(fold(State(), self.records).tasks)

    async def evaluate(self, triggers: Sequence[Trigger], **options: Any) -> RunResult:
        clock = VirtualClock()
        here = Run(
            measuring=lambda _: self.measuring,
            send=self.send,
            wire=WIRE,
            clock=clock,
            record=self.record,
            on_progress=lambda done, total, what: self.progress.append((done, total, what)),
            began=clock.monotonic(),
            **{"deadline_s": 1800, "parallelism": 4, **options},
        )
        return await run(triggers, here)

    def run(self, *triggers: Trigger, **options: Any) -> RunResult:
        return in_virtual_time(self.evaluate(triggers, **options))


DONE: dict[str, Any] = {"complete": True}
BUSY: dict[str, Any] = {"complete": False}
START, TASK, RESULTS = "/start/id-faithful", "/task/t1", "/results/id-faithful"


def failure(kind: type[ApiError], message: str = "no", path: str = START) -> ApiError:
    return kind(message, method="POST", path=path)


def told(result: RunResult) -> list[tuple[str, str | None, str, str]]:
    """Name, pipeline, status, message of every evaluation."""
    return [(e.address.name, e.pipeline, e.status.value, e.message) for e in result.evaluations]


def test_a_trigger_is_noted_before_and_after_it_is_sent_and_forgotten_after_reading() -> None:
    platform = Platform({START: [["t1"]], TASK: [DONE], RESULTS: [[passing()]]})
    result = platform.run(trigger())
    assert told(result) == [("faithful", None, "passing", "")]
    assert (result.unfinished, result.doubtful) == ((), ())
    assert platform.log == [
        "note task", f"POST {START}", "note task", f"GET {TASK}", f"GET {RESULTS}", "note task_over",
    ]  # fmt: skip
    assert "tasks" not in platform.records[0]["task"]
    assert platform.records[1]["task"]["tasks"] == [{"id": "t1", "pipeline": None}]
    assert platform.tasks() == {}


def test_polling_backs_off_from_one_to_ten_seconds() -> None:
    platform = Platform({START: [["t1"]], TASK: [*[BUSY] * 9, DONE], RESULTS: [[passing()]]})
    platform.run(trigger())
    times = [at for call, at in zip(platform.calls, platform.at, strict=True) if call == f"GET {TASK}"]
    pauses = [round(after - before - 0.01, 2) for before, after in pairwise(times)]
    assert pauses == [1.0, 1.5, 2.25, 3.38, 5.06, 7.59, 10.0, 10.0, 10.0]


def test_an_evaluation_that_failed_is_an_error_with_the_platforms_words() -> None:
    platform = Platform({START: [["t1"]], TASK: [{"complete": True, "error": "column not found"}]})
    assert told(platform.run(trigger(pipeline="p-live"))) == [("faithful", "live", "error", "column not found")]
    assert platform.tasks() == {}


def test_one_failed_task_does_not_hide_the_results_of_the_others() -> None:
    script = {START: [["t1", "t2"]], TASK: [{"error": "out of memory"}], "/task/t2": [DONE], RESULTS: [[passing()]]}
    assert told(Platform(script).run(trigger())) == [
        ("faithful", None, "error", "out of memory"),
        ("faithful", None, "passing", ""),
    ]


def test_at_the_deadline_it_is_still_running_and_stays_noted() -> None:
    platform = Platform({START: [["t1"]], TASK: [BUSY]})
    result = platform.run(trigger(), deadline_s=120)
    assert told(result) == [("faithful", None, "running", "not finished after 2m; it goes on at the platform")]
    assert result.unfinished == (trigger(),)
    assert platform.at[-1] == pytest.approx(120, abs=1)
    assert list(platform.tasks()) == [task_key(trigger())]


def test_a_killed_wait_is_taken_up_again_without_sending_anew() -> None:
    first = Platform({START: [["t1"]], TASK: [BUSY]})
    first.run(trigger(), deadline_s=1)
    second = Platform({TASK: [DONE], RESULTS: [[passing()]]}, records=first.records)
    assert told(second.run(trigger(), tasks=first.tasks())) == [("faithful", None, "passing", "")]
    assert second.calls == [f"GET {TASK}", f"GET {RESULTS}"]
    assert second.tasks() == {}


def test_without_waiting_everything_is_started_and_noted() -> None:
    platform = Platform({START: [["t1"]]})
    result = platform.run(trigger(), wait=False)
    assert (result.evaluations, result.unfinished) == ((), (trigger(),))
    assert platform.tasks()[task_key(trigger())]["tasks"] == [{"id": "t1", "pipeline": None}]


# ------------------------------------------------------------------------------------------ nothing to evaluate


def test_what_the_platform_has_nothing_to_evaluate_of_is_missing_and_not_waited_for() -> None:
    platform = Platform({START: [None], RESULTS: [[]]})
    result = platform.run(trigger(pipeline="p-live"))
    assert told(result) == [("faithful", "live", "missing", "the platform has nothing to evaluate here")]
    assert (result.unfinished, platform.tasks()) == ((), {})
    assert platform.at[-1] < 1


def test_what_was_recorded_before_is_no_less_worth_for_it() -> None:
    platform = Platform({START: [None], RESULTS: [[passing()]]})
    assert told(platform.run(trigger())) == [("faithful", None, "passing", "")]


def test_nothing_to_evaluate_is_said_without_waiting_too() -> None:
    platform = Platform({START: [None]})
    result = platform.run(trigger(), wait=False)
    assert told(result) == [("faithful", None, "missing", "the platform has nothing to evaluate here")]
    assert result.unfinished == ()


# ------------------------------------------------------------------------------------------ a transport that waits


@dataclass
class Patient(Platform):
    """The paths in ``held`` are answered after so many seconds: the transport sits out what the platform asks for."""

    held: Mapping[str, float] = field(default_factory=dict)

    async def send(self, call: Call) -> Reply:
        await asyncio.sleep(self.held.get(call.path, 0.0))
        return await super().send(call)


def lasting(platform: Platform, *triggers: Trigger, **options: Any) -> tuple[RunResult, float]:
    """What came of it, and how many seconds it took."""

    async def timed() -> tuple[RunResult, float]:
        result = await platform.evaluate(triggers, **options)
        return result, asyncio.get_running_loop().time()

    return in_virtual_time(timed())


def test_asking_for_a_task_ends_at_the_deadline_and_can_be_resumed() -> None:
    """Nobody has said that it runs, so it is not among what a gate lets pass as not finished."""
    platform = Patient({START: [["t1"]], TASK: [DONE]}, held={TASK: 300})
    result, took = lasting(platform, trigger(), deadline_s=10)
    assert told(result) == [("faithful", None, "error", "not read within 10s: the platform took too long to answer")]
    assert (result.unfinished, list(platform.tasks())) == ((trigger(),), [task_key(trigger())])
    assert took == pytest.approx(11, abs=1.1)


def test_results_that_could_not_be_read_in_time_are_not_missing() -> None:
    platform = Patient({START: [["t1"]], TASK: [DONE], RESULTS: [[passing()]]}, held={RESULTS: 300})
    result, took = lasting(platform, trigger(), deadline_s=10)
    assert told(result) == [("faithful", None, "error", "not read within 10s: the platform took too long to answer")]
    assert result.unfinished == (trigger(),)
    assert took == pytest.approx(11, abs=1.1)
    second = Platform({TASK: [DONE], RESULTS: [[passing()]]}, records=platform.records)
    assert told(second.run(trigger(), tasks=platform.tasks())) == [("faithful", None, "passing", "")]


def test_a_task_that_was_last_seen_running_is_running() -> None:
    class Stalling(Platform):
        async def send(self, call: Call) -> Reply:
            if self.calls.count(f"GET {TASK}") == 2:
                await asyncio.sleep(300)
            return await super().send(call)

    result, _ = lasting(Stalling({START: [["t1"]], TASK: [BUSY]}), trigger(), deadline_s=10)
    assert told(result) == [("faithful", None, "running", "not finished after 10s; it goes on at the platform")]


def test_results_that_nobody_told_of_by_the_deadline_are_not_missing() -> None:
    """A platform without tasks."""
    platform = Patient({START: [[]], RESULTS: [[passing()]]}, held={RESULTS: 300})
    result, _ = lasting(platform, trigger(), deadline_s=10)
    assert told(result) == [("faithful", None, "error", "not read within 10s: the platform took too long to answer")]
    assert result.unfinished == (trigger(),)


def test_results_that_the_platform_refuses_to_show_are_said_to_be_refused() -> None:
    """Long before the deadline: it is not the platform that took too long, and nothing runs any more."""
    refused = failure(ReadFailed, "the server failed", RESULTS)
    platform = Patient({START: [["t1"]], TASK: [DONE], RESULTS: [refused]}, held={RESULTS: 5})
    result, took = lasting(platform, trigger(), deadline_s=60)
    assert told(result) == [("faithful", None, "error", f"POST {RESULTS}: the server failed")]
    assert result.unfinished == (trigger(),)
    assert took < 10
    second = Platform({TASK: [DONE], RESULTS: [[passing()]]}, records=platform.records)
    assert told(second.run(trigger(), tasks=platform.tasks())) == [("faithful", None, "passing", "")]


def test_results_of_what_is_over_are_read_by_the_deadline_when_it_is_taken_up() -> None:
    first = Platform({START: [["t1"]], "/start/id-toxic": [["t2"]], TASK: [DONE], "/task/t2": [BUSY],
                      RESULTS: [[passing()]]})  # fmt: skip
    first.run(trigger(), trigger("toxic"), deadline_s=10)
    assert first.tasks()[task_key(trigger())]["over"]
    second = Patient({TASK: [DONE], RESULTS: [[passing()]]}, records=first.records, held={RESULTS: 300})
    result, took = lasting(second, trigger(), tasks=first.tasks(), resumed=True, deadline_s=10)
    assert result.unfinished == (trigger(),)
    assert took == pytest.approx(12, abs=0.1)


def test_a_trigger_that_is_being_sent_at_the_deadline_gets_its_note() -> None:
    """It may be carried out, so nobody turns away from it; then one more look is too late."""
    platform = Patient({START: [["t1"]], TASK: [DONE]}, held={START: 30})
    result, took = lasting(platform, trigger(), deadline_s=10)
    assert platform.tasks()[task_key(trigger())]["tasks"] == [{"id": "t1", "pipeline": None}]
    assert result.unfinished == (trigger(),)
    assert took == pytest.approx(30, abs=1)


def test_what_is_read_before_a_trigger_is_waited_for_no_longer_than_the_deadline() -> None:
    """Nothing was sent by then, so nothing is in doubt, and the next run starts it."""

    def looking_first(of: Trigger, wire: Wire) -> Flow[tuple[Task, ...] | None]:
        yield Call("GET", "/look")
        return (yield from _start(of, wire))

    script = {"/look": [{}], START: [["t1"]], TASK: [DONE], RESULTS: [[passing()]]}
    platform = Patient(script, held={"/look": 300}, measuring=replace(TOY, trigger=looking_first))
    result, took = lasting(platform, trigger(), deadline_s=10)
    assert told(result) == [("faithful", None, "error", "not started within 10s; the next run starts it")]
    assert (result.doubtful, result.unfinished, platform.tasks(), platform.calls) == ((), (), {}, [])
    assert took == pytest.approx(12, abs=0.1)


def test_a_trigger_waits_for_the_vendor_no_longer_than_the_deadline() -> None:
    """How long is said with the request; without waiting for results there is no limit."""
    patience: list[float | None] = []

    class Noting(Platform):
        async def send(self, call: Call) -> Reply:
            patience.append(call.patience_s)
            return await super().send(call)

    script = {START: [failure(RateLimited, "not sent: the vendor asks to wait 15s")]}
    platform = Noting(script)
    assert told(platform.run(trigger(), deadline_s=10))[0][2:] == (
        "error", "POST /start/id-faithful: not sent: the vendor asks to wait 15s",
    )  # fmt: skip
    assert platform.tasks() == {}
    Noting(script).run(trigger(), deadline_s=10, wait=False)
    assert patience == [pytest.approx(12, abs=0.1), None]


def test_a_refused_look_for_a_lost_trigger_does_not_prove_that_it_was_not_started() -> None:
    """The flow itself looks for what it sent, and that is answered 429: the note stays."""
    platform = Platform({START: [failure(OutcomeUnknown)], "/look": [failure(RateLimited)], RESULTS: [[]]})

    def looking(of: Trigger, _: Wire) -> Flow[tuple[Task, ...] | None]:
        try:
            yield Call("POST", url_path("start", of.remote_id), repeatable=False)
        except OutcomeUnknown:
            yield Call("GET", "/look")
        return ()

    platform.measuring = replace(TOY, trigger=looking)
    result = platform.run(trigger(), deadline_s=5, parallelism=1)
    assert result.doubtful == (trigger(),)


def test_a_refused_look_after_a_trigger_does_not_prove_that_it_was_not_started() -> None:
    """It was answered, and its tasks are to be read somewhere else: what was started is not sent a second time."""
    refused = failure(ReadFailed, "the server failed", "/look")
    platform = Platform({START: [{}], "/look": [refused], RESULTS: [[]]})

    def looking(of: Trigger, _: Wire) -> Flow[tuple[Task, ...] | None]:
        yield Call("POST", url_path("start", of.remote_id), repeatable=False)
        yield Call("GET", "/look")
        return ()

    platform.measuring = replace(TOY, trigger=looking)
    result = platform.run(trigger(), deadline_s=5)
    assert (result.doubtful, list(platform.tasks())) == ((trigger(),), [task_key(trigger())])


def test_what_has_no_turn_by_the_deadline_is_not_started() -> None:
    platform = Patient({START: [["t1"]], "/start/id-toxic": [["t2"]]}, held={START: 30})
    result, _ = lasting(platform, trigger(), trigger("toxic"), deadline_s=10, parallelism=1)
    assert ("toxic", None, "error", "not started within 10s; the next run starts it") in told(result)
    assert list(platform.tasks()) == [task_key(trigger())]
    assert platform.calls == [f"POST {START}"]


def test_without_waiting_everything_is_started_however_long_it_takes() -> None:
    platform = Patient({START: [["t1"]], "/start/id-toxic": [["t2"]]}, held={START: 30, "/start/id-toxic": 30})
    result, took = lasting(platform, trigger(), trigger("toxic"), deadline_s=10, parallelism=1, wait=False)
    assert (len(result.unfinished), result.evaluations) == (2, ())
    assert took == pytest.approx(60, abs=1)


# ------------------------------------------------------------------------------------------ servers without tasks


@pytest.mark.parametrize("gone", [NotFound, MethodMissing])
def test_without_a_route_for_tasks_the_results_are_asked_until_they_settle(gone: type[ApiError]) -> None:
    script = {START: [["t1"]], TASK: [failure(gone)], RESULTS: [[], [], [passing()], [passing(), passing("r2")]]}
    platform = Platform(script)
    assert len(platform.run(trigger()).evaluations) == 2
    assert platform.tasks() == {}


def test_an_empty_list_of_tasks_means_asking_for_results() -> None:
    running = {"id": "r1", "status": "running"}
    platform = Platform({START: [[]], RESULTS: [[], [running], [passing()]]})
    assert told(platform.run(trigger())) == [("faithful", None, "passing", "")]


def test_results_that_never_come_are_still_running_at_the_deadline() -> None:
    platform = Platform({START: [[]], RESULTS: [[]]})
    result = platform.run(trigger(), deadline_s=300)
    assert [each.status for each in result.evaluations] == [EvaluationStatus.RUNNING]
    assert result.unfinished == (trigger(),)


def test_results_to_be_overwritten_are_not_taken_for_new_ones() -> None:
    old, new = passing("r1", at="2026-11-01"), passing("r1", at="2026-11-02")
    platform = Platform({START: [[]], RESULTS: [[old], [old], [old], [new]]})
    (evaluation,) = platform.run(trigger(overwrite=True)).evaluations
    assert evaluation.recorded == "2026-11-02"
    assert platform.log[:3] == [f"GET {RESULTS}", "note task", f"POST {START}"]


def test_results_may_lag_a_little_behind_the_end_of_their_task() -> None:
    platform = Platform({START: [["t1"]], TASK: [DONE], RESULTS: [[], [passing()]]})
    assert told(platform.run(trigger())) == [("faithful", None, "passing", "")]


def test_a_finished_task_without_any_result_leaves_nothing_to_report() -> None:
    platform = Platform({START: [["t1"]], TASK: [DONE], RESULTS: [[]]})
    assert platform.run(trigger()) == RunResult()
    assert platform.at[-1] < 5


# ------------------------------------------------------------------------------------------ windows that were not over


HALF = 43_200
NOON = DAY.start + HALF
BEFORE, AFTER = "2023-11-15T00:00:00Z", "2023-11-16T00:00:00Z"
"""Times between the noon and the end of the day, and after it."""


def in_windows(*found: tuple[str, TimeRange, str, str]) -> tuple[list[tuple[int, int, bool]], RunResult, Platform]:
    """What is sent for a day of two windows, in which ``found`` is there: id, window, time of recording, status."""
    sent: list[tuple[int, int, bool]] = []

    def start(of: Trigger, wire: Wire) -> Flow[tuple[Task, ...] | None]:
        sent.append((of.range.start - DAY.start, of.range.end - DAY.start, of.overwrite))
        return (yield from _start(of, wire))

    def results(
        address: Address, remote_id: str, _: TimeRange | None, __: Sequence[str], ___: Wire
    ) -> Flow[tuple[Evaluation, ...]]:
        yield Call("GET", url_path("results", remote_id))
        return tuple(
            Evaluation(address, EvaluationStatus(status), "live", {}, "", name, window.start, window.end, recorded)
            for name, window, recorded, status in found
        )

    platform = Platform({START: [["t1"], ["t2"]], TASK: [DONE], "/task/t2": [DONE], RESULTS: [[]]})
    platform.measuring = replace(TOY, trigger=start, results=results, window=lambda _: HALF)
    return sent, platform.run(trigger()), platform


EARLY, LATE = TimeRange(DAY.start, NOON), TimeRange(NOON, DAY.end)


@pytest.mark.parametrize(
    ("found", "sent"),
    [
        ([], [(0, 86_400, False)]),
        ([("r1", EARLY, AFTER, "passing"), ("r2", LATE, AFTER, "passing")], [(0, 86_400, False)]),
        ([("r1", EARLY, AFTER, "passing"), ("r2", LATE, BEFORE, "passing")],
         [(0, HALF, False), (HALF, 86_400, True)]),
        ([("r1", EARLY, "2023-11-14T23:00:00Z", "failing")], [(0, HALF, True), (HALF, 86_400, False)]),
        ([("r1", EARLY, "2023-11-14T23:00:00Z", "passing"), ("r2", LATE, BEFORE, "skipped")], [(0, 86_400, True)]),
        # Wider than what is asked for: no more is written over than that.
        ([("r1", TimeRange(DAY.start - 1, DAY.end + 1), BEFORE, "passing")], [(0, 86_400, True)]),
        # Judged again since; being judged; recorded nobody knows when.
        ([("r1", LATE, BEFORE, "passing"), ("r2", LATE, AFTER, "passing")], [(0, 86_400, False)]),
        ([("r1", LATE, BEFORE, "running")], [(0, 86_400, False)]),
        ([("r1", LATE, "", "passing")], [(0, 86_400, False)]),
    ],
)  # fmt: skip
def test_only_windows_with_a_result_from_before_their_end_are_written_over(
    found: list[tuple[str, TimeRange, str, str]], sent: list[tuple[int, int, bool]]
) -> None:
    assert in_windows(*found)[0] == sent


def test_parts_of_a_trigger_have_one_note_and_are_waited_for_together() -> None:
    """So that a killed wait is found again by the range that was asked for."""
    _, _, platform = in_windows(("r1", LATE, BEFORE, "passing"))
    notes = [record for record in platform.records if record["record"] == "task"]
    assert {record["key"] for record in notes} == {task_key(trigger())}
    assert [task["id"] for task in notes[-1]["task"]["tasks"]] == ["t1", "t2"]
    assert {f"GET {TASK}", "GET /task/t2"} < set(platform.calls)


# ------------------------------------------------------------------------------------------ a reply that was lost


def test_a_trigger_whose_reply_was_lost_is_never_sent_twice() -> None:
    platform = Platform({START: [failure(OutcomeUnknown)], RESULTS: [[]]})
    result = platform.run(trigger())
    assert told(result) == [
        ("faithful", None, "error", "may have been started: the reply was lost, and it is not sent a second time")
    ]
    assert result.doubtful == (trigger(),)
    assert platform.calls.count(f"POST {START}") == 1
    assert platform.at[-1] == pytest.approx(60, abs=1)


def test_new_results_settle_the_doubt_about_an_overwriting_trigger() -> None:
    old, new = passing("r1"), passing("r2")
    platform = Platform({START: [failure(OutcomeUnknown)], RESULTS: [[old], [old], [new, old]]})
    result = platform.run(trigger(overwrite=True))
    assert (len(result.evaluations), result.doubtful) == (2, ())


def test_results_that_may_be_older_are_reported_and_the_doubt_stays() -> None:
    platform = Platform({START: [failure(OutcomeUnknown)], RESULTS: [[passing()]]})
    result = platform.run(trigger())
    assert told(result) == [("faithful", None, "passing", "")]
    assert result.doubtful == (trigger(),)


def test_killed_between_request_and_reply_the_next_run_looks_and_does_not_send() -> None:
    first = Platform({START: [failure(OutcomeUnknown)]})
    first.run(trigger(), wait=False)
    assert "tasks" not in first.tasks()[task_key(trigger())]
    second = Platform({RESULTS: [[]]}, records=first.records)
    assert second.run(trigger(), tasks=first.tasks()).doubtful == (trigger(),)
    assert set(second.calls) == {f"GET {RESULTS}"}


def test_a_doubt_that_had_too_little_time_stays_noted_and_the_next_run_looks_for_the_rest() -> None:
    first = Platform({START: [failure(OutcomeUnknown)], RESULTS: [[]]})
    result = first.run(trigger(), deadline_s=20)
    assert (result.doubtful, result.unfinished) == ((trigger(),), (trigger(),))
    second = Platform({RESULTS: [[]]}, records=first.records)
    result = second.run(trigger(), tasks=first.tasks(), doubt_s=60)
    assert (result.doubtful, result.unfinished, second.tasks()) == ((trigger(),), (), {})
    assert set(second.calls) == {f"GET {RESULTS}"}
    assert second.at[-1] == pytest.approx(40, abs=1)


def _lost(_: Trigger, __: Wire) -> Flow[tuple[Task, ...]]:
    reply = yield Call("GET", "/started")
    assert isinstance(reply.body, list)
    return tuple(Task(str(each), None) for each in reply.body)


def test_a_look_that_was_begun_too_early_does_not_prove_that_a_trigger_was_not_started() -> None:
    """The list takes longer than the window, and was made before what was started shows in it."""
    script = {START: [failure(OutcomeUnknown)], "/started": [[], ["t1"]], TASK: [DONE], RESULTS: [[passing()]]}
    platform = Patient(script, held={"/started": 61})
    platform.measuring = replace(TOY, lost=_lost)
    result = platform.run(replace(trigger(), op="abc"), doubt_s=60)
    assert (told(result), result.doubtful) == ([("faithful", None, "passing", "")], ())
    assert platform.calls.count(f"POST {START}") == 1


async def cancelled_while_sending(platform: Platform) -> None:
    """One trigger, cancelled half way through its request."""
    running = asyncio.ensure_future(platform.evaluate([trigger()]))
    await asyncio.sleep(0.005)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running


def test_cancelled_while_sending_the_reply_is_still_noted() -> None:
    platform = Platform({START: [["t1"]], TASK: [BUSY]})
    in_virtual_time(cancelled_while_sending(platform))
    assert platform.calls == [f"POST {START}"]
    assert platform.tasks()[task_key(trigger())]["tasks"] == [{"id": "t1", "pipeline": None}]


def test_cancelled_while_sending_a_failure_that_comes_then_is_not_left_to_the_garbage_collector() -> None:
    platform = Platform({START: [failure(NotAuthorized, "wrong key")]})
    complaints: list[str] = []

    async def listened_to() -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context["message"]))
        await cancelled_while_sending(platform)

    in_virtual_time(listened_to())
    gc.collect(1)  # asyncio complains of a failure that nobody asked for when its task is thrown away
    assert platform.calls == [f"POST {START}"]
    assert complaints == []


# ------------------------------------------------------------------------------------------ failures


def test_the_failure_of_one_trigger_is_local() -> None:
    script = {
        START: [failure(PlanLimit, "not in your plan")],
        "/start/id-toxic": [["t1"]],
        TASK: [DONE],
        "/results/id-toxic": [[passing()]],
    }
    platform = Platform(script)
    assert told(platform.run(trigger(), trigger("toxic"))) == [
        ("faithful", None, "error", "POST /start/id-faithful: not in your plan"),
        ("toxic", None, "passing", ""),
    ]
    assert platform.tasks() == {}


def test_a_refused_trigger_is_not_noted_while_others_go_on() -> None:
    """Or the next run would look for it, and not send it."""
    platform = Platform({START: [failure(PlanLimit)], "/start/id-toxic": [["t1"]], TASK: [BUSY]})
    assert platform.run(trigger(), trigger("toxic"), deadline_s=20).unfinished == (trigger("toxic"),)
    assert list(platform.tasks()) == [task_key(trigger("toxic"))]


def test_a_refused_credential_stops_everything() -> None:
    platform = Platform({START: [failure(NotAuthorized, "wrong key")], "/start/id-toxic": [["t1"]], TASK: [BUSY]})
    with pytest.raises(NotAuthorized, match="wrong key"):
        platform.run(trigger(), trigger("toxic"))
    assert platform.at[-1] < 5


def test_a_credential_refused_while_waiting_stops_everything_and_the_tasks_stay_noted() -> None:
    platform = Platform(
        {START: [["t1"]], "/start/id-toxic": [["t2"]], TASK: [failure(NotAuthorized)], "/task/t2": [BUSY]}
    )
    with pytest.raises(NotAuthorized):
        platform.run(trigger(), trigger("toxic"))
    assert sorted(platform.tasks()) == [task_key(trigger()), task_key(trigger("toxic"))]


def test_what_the_state_refuses_to_note_is_not_sent() -> None:
    platform = Platform({START: [["t1"]]})

    async def full(_: Record) -> None:
        raise OSError("no space left on device")

    platform.record = full  # type: ignore[method-assign, assignment]
    with pytest.raises(OSError, match="no space left"):
        platform.run(trigger())
    assert platform.calls == []


def test_a_few_failed_reads_while_waiting_are_lived_with() -> None:
    broken = failure(ReadFailed, "502")
    platform = Platform({START: [["t1"]], TASK: [broken, broken, DONE], RESULTS: [[passing()]]})
    assert told(platform.run(trigger())) == [("faithful", None, "passing", "")]


def test_failed_reads_with_answers_between_them_are_lived_with_however_many_there_are() -> None:
    """A long evaluation meets more of them than a short one."""
    now_and_then = [failure(ReadFailed), BUSY] * 5
    platform = Platform({START: [["t1"]], TASK: [*now_and_then, DONE], RESULTS: [[passing()]]})
    assert told(platform.run(trigger())) == [("faithful", None, "passing", "")]


def test_a_platform_that_can_not_be_read_ends_the_wait_and_stays_noted() -> None:
    platform = Platform({START: [["t1"]], TASK: [failure(ReadFailed, "502", TASK)]})
    result = platform.run(trigger())
    assert told(result) == [("faithful", None, "error", f"POST {TASK}: 502")]
    assert result.unfinished == (trigger(),)
    assert list(platform.tasks()) == [task_key(trigger())]


# ------------------------------------------------------------------------------------------ many


def test_results_are_sorted_and_each_trigger_keeps_to_its_pipeline() -> None:
    rows = [passing("r3", pipeline="p-live"), passing("r1", pipeline="p-canary"), passing("r2", pipeline="p-live")]
    platform = Platform({START: [["t1"]], TASK: [DONE], RESULTS: [rows]})
    both = platform.run(trigger(pipeline="p-live"), trigger(pipeline="p-canary"))
    assert [(e.pipeline, e.result_id) for e in both.evaluations] == [("canary", "r1"), ("live", "r2"), ("live", "r3")]
    one = platform.run(trigger(pipeline="p-live"))
    assert [e.result_id for e in one.evaluations] == ["r2", "r3"]


def test_never_more_requests_in_flight_than_allowed_and_progress_counts_to_the_end() -> None:
    names = [f"n{number}" for number in range(20)]
    script: dict[str, list[Any]] = {TASK: [DONE]}
    for name in names:
        script |= {f"/start/id-{name}": [["t1"]], f"/results/id-{name}": [[passing(name)]]}
    platform = Platform(script)
    result = platform.run(*map(trigger, names), parallelism=3)
    assert len(result.evaluations) == 20
    assert platform.busiest == 3
    assert [done for done, _, _ in platform.progress] == list(range(1, 21))
    assert platform.progress[-1][1] == 20


def test_no_triggers_no_evaluations() -> None:
    assert Platform({}).run() == RunResult()


# ------------------------------------------------------------------------------------------ resuming


def shifted(seconds: int, **more: Any) -> Trigger:
    return replace(trigger(), range=TimeRange(DAY.start + seconds, DAY.end + seconds), **more)


def notes_of(of: Trigger) -> dict[str, Any]:
    platform = Platform({START: [["t1"]]})
    platform.run(of, wait=False)
    return platform.tasks()


def test_the_same_question_a_little_later_resumes_the_unfinished_one() -> None:
    assert resume([shifted(600)], notes_of(trigger())) == (trigger(),)


@pytest.mark.parametrize(
    "other",
    [
        shifted(3601),
        shifted(-60),
        shifted(600, pipeline="p-live"),
        shifted(600, overwrite=True),
        shifted(600, remote_id="id-replaced"),
        replace(trigger(), range=TimeRange(DAY.start, DAY.end + 3600)),
    ],
)
def test_another_question_is_not_mistaken_for_the_unfinished_one(other: Trigger) -> None:
    assert resume([other], notes_of(trigger())) == (other,)


def test_a_new_trigger_for_the_same_target_drops_the_note_of_the_old_one() -> None:
    records: list[Record] = []
    old = notes_of(trigger())
    platform = Platform({START: [["t1"]]}, records=records)
    platform.run(replace(trigger(), range=TimeRange(0, 60)), tasks=old, wait=False)
    assert records[0] == {"record": "task_over", "key": task_key(trigger())}


# ------------------------------------------------------------------------------------------ versions


def of_version(version: str, **more: Any) -> Trigger:
    return replace(trigger(), about=(version,), **more)


def test_a_note_of_another_version_ends_and_the_trigger_is_sent() -> None:
    notes = notes_of(of_version("1"))
    new = of_version("2", range=shifted(600).range)
    assert outdated([new], notes) == 1
    assert resume([new], notes) == (new,)
    platform = Platform({START: [["t2"]], "/task/t2": [DONE], RESULTS: [[passing()]]})
    platform.run(of_version("2"), tasks=notes)
    assert platform.records[0] == {"record": "task_over", "key": task_key(trigger())}
    assert platform.calls == [f"POST {START}", "GET /task/t2", f"GET {RESULTS}"]


def test_a_note_of_the_same_version_is_taken_up() -> None:
    notes = notes_of(of_version("1"))
    assert outdated([of_version("1")], notes) == 0
    assert resume([of_version("1", range=shifted(600).range)], notes) == (of_version("1"),)
    platform = Platform({TASK: [DONE], RESULTS: [[passing()]]})
    platform.run(of_version("1"), tasks=notes)
    assert platform.calls == [f"GET {TASK}", f"GET {RESULTS}"]


def test_of_a_note_without_a_version_only_the_doubt_is_kept() -> None:
    """As older versions of this tool wrote them: a run that is under way can be joined, a lost one is paid twice."""
    sent = Platform({START: [["t2"]], "/task/t2": [DONE], RESULTS: [[passing()]]})
    sent.run(of_version("1"), tasks=notes_of(trigger()))
    assert f"POST {START}" in sent.calls
    lost = Platform({START: [failure(OutcomeUnknown)]})
    lost.run(trigger(), wait=False)
    looking = Platform({RESULTS: [[]]})
    assert looking.run(*resume([of_version("1")], lost.tasks()), tasks=lost.tasks()).doubtful == (of_version("1"),)
    assert set(looking.calls) == {f"GET {RESULTS}"}


def test_a_run_that_is_only_taken_up_keeps_what_its_note_is_about() -> None:
    notes = notes_of(of_version("1"))
    platform = Platform({TASK: [BUSY]})
    platform.run(of_version("2"), tasks=notes, resumed=True, deadline_s=5)
    assert (platform.calls[0], platform.records) == (f"GET {TASK}", [])
    assert outdated([of_version("2")], notes) == 1


# ------------------------------------------------------------------------------------------ taking up a whole run


def half_done() -> Platform:
    """One of two triggers is over, the other still runs when time is up."""
    script = {START: [["t1"]], "/start/id-toxic": [["t2"]], TASK: [DONE], "/task/t2": [BUSY], RESULTS: [[passing()]]}
    platform = Platform(script)
    platform.run(trigger(), trigger("toxic"), deadline_s=60)
    return platform


def test_the_notes_of_a_run_go_together() -> None:
    """While one trigger runs, the other stays noted as over; when all are over, nothing is noted."""
    first = half_done()
    assert {key: note.get("over", False) for key, note in first.tasks().items()} == {
        task_key(trigger()): True,
        task_key(trigger("toxic")): False,
    }
    second = Platform(
        {"/task/t2": [DONE], RESULTS: [[passing()]], "/results/id-toxic": [[passing("r2")]]}, records=first.records
    )
    second.run(*noted(first.tasks()), tasks=first.tasks(), resumed=True)
    assert second.tasks() == {}


def test_a_run_that_is_taken_up_reads_again_what_was_over_and_sends_nothing() -> None:
    first = half_done()
    failing = {"id": "r1", "status": "failing"}
    second = Platform({"/task/t2": [DONE], RESULTS: [[failing]], "/results/id-toxic": [[passing("r2")]]})
    result = second.run(*noted(first.tasks()), tasks=first.tasks(), resumed=True)
    assert told(result) == [("faithful", None, "failing", ""), ("toxic", None, "passing", "")]
    assert sorted(second.calls) == [f"GET {RESULTS}", "GET /results/id-toxic", "GET /task/t2"]


def test_asked_anew_what_is_over_is_sent_again() -> None:
    """Only taking up a run goes back to what is over: the same question later is about results of its own."""
    first = half_done()
    assert resume([trigger()], first.tasks()) == (trigger(),)
    second = Platform({START: [["t9"]], "/task/t9": [DONE], RESULTS: [[passing()]]})
    second.run(trigger(), tasks=first.tasks())
    assert f"POST {START}" in second.calls


# ------------------------------------------------------------------------------------------ several runs


def at_times(*times: str) -> list[list[dict[str, str]]]:
    return [[passing("r1", at=time)] for time in times]


def test_several_runs_follow_each_other_and_every_result_is_kept() -> None:
    """Each run but the first looks at what is there, sends, waits, and reads what was written over it."""
    platform = Platform(
        {START: [["t1"], ["t2"], ["t3"]], TASK: [DONE], "/task/t2": [DONE], "/task/t3": [DONE],
         RESULTS: at_times("1", "1", "2", "2", "3")}
    )  # fmt: skip
    result = platform.run(replace(trigger(), runs=3))
    assert [each.recorded for each in result.evaluations] == ["1", "2", "3"]
    assert platform.calls == [
        f"POST {START}", f"GET {TASK}", f"GET {RESULTS}",
        f"GET {RESULTS}", f"POST {START}", "GET /task/t2", f"GET {RESULTS}",
        f"GET {RESULTS}", f"POST {START}", "GET /task/t3", f"GET {RESULTS}",
    ]  # fmt: skip
    assert platform.tasks() == {}


def test_a_killed_second_run_is_taken_up_with_what_the_first_measured() -> None:
    asked = replace(trigger(), runs=2)
    first = Platform({START: [["t1"], ["t2"]], TASK: [DONE], "/task/t2": [BUSY], RESULTS: at_times("1")})
    first.run(asked, deadline_s=60)
    second = Platform({"/task/t2": [DONE], RESULTS: at_times("2")})
    result = second.run(*noted(first.tasks()), tasks=first.tasks(), resumed=True)
    assert [each.recorded for each in result.evaluations] == ["1", "2"]
    assert f"POST {START}" not in second.calls


def test_a_series_that_is_only_waited_for_starts_no_further_run() -> None:
    """Its note stays: the next run that may trigger goes on from there."""
    asked = replace(trigger(), runs=3)
    first = Platform({START: [["t1"]], TASK: [BUSY], RESULTS: at_times("1")})
    first.run(asked, deadline_s=60)
    second = Platform({TASK: [DONE], RESULTS: at_times("1")}, records=first.records)
    result = second.run(*noted(first.tasks()), tasks=first.tasks(), resumed=True)
    assert (told(result), result.unstarted) == ([("faithful", None, "passing", "")], 2)
    assert f"POST {START}" not in second.calls
    assert second.tasks() == first.tasks()


def test_a_run_that_can_not_start_ends_the_series() -> None:
    platform = Platform({START: [["t1"], failure(PlanLimit, "used up")], TASK: [DONE], RESULTS: at_times("1")})
    result = platform.run(replace(trigger(), runs=3))
    assert [each.status.value for each in result.evaluations] == ["error", "passing"]
    assert platform.calls.count(f"POST {START}") == 2


def test_a_series_that_runs_out_of_time_says_so_and_can_be_taken_up() -> None:
    asked = replace(trigger(), runs=2)
    platform = Platform({START: [["t1"]], TASK: [DONE], RESULTS: at_times("1")})
    result = platform.run(asked, deadline_s=0)
    assert told(result)[0][3] == "not finished after 0s; it goes on at the platform; 1 of 2 runs are done"
    assert result.unfinished == (asked,)
    assert list(platform.tasks()) == [task_key(asked)]
