"""What is noted of triggers, so that a later run neither sends them again nor forgets them.  Pure.

A note is filed under the test, the pipeline and the range, and replaced as what it is about goes on:

    note                                       a later run
    {"record": "task", ..., no "tasks" yet}    may have been started: looks for it before anything is sent again
    {"record": "task", ..., "tasks": [...]}    goes on waiting for them
    {"record": "task", ..., "over": true}      reads its results once more, if it takes up the whole run
    {"record": "task_over", ...}               knows nothing of it

Where results belong to versions, the note says of which (``about``), and one about others than the trigger's ends.  In
notes of older formats it is not said: only a doubt outlives them, for what is under way is joined without a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.measuring import Task, Trigger
from reconciler.model.outcome import Evaluation, EvaluationStatus, TimeRange
from reconciler.model.resource import Address
from reconciler.model.state import Record
from reconciler.model.values import Fields, Json


class Started(Struct, frozen=True):
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


def started_before(trigger: Trigger, tasks: Mapping[str, Any], *, resumed: bool) -> Started | None:
    """What an earlier run has sent of this trigger; when ``resumed`` also what is over, or about other versions."""
    note = tasks.get(task_key(trigger))
    if note is None or replace(_from_note(note), op=trigger.op, about=trigger.about) != trigger:
        return None
    if not resumed and (note.get("over") or not _tells_of(note, trigger)):
        return None
    return Started(
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
    return started_before(trigger, tasks, resumed=False) is not None


def unstarted(trigger: Trigger, tasks: Mapping[str, Fields]) -> int:
    """How many runs of this trigger an earlier run has not sent, as far as its note tells."""
    known = started_before(trigger, tasks, resumed=False)
    return trigger.runs if known is None else trigger.runs - known.number


def noted(tasks: Mapping[str, Fields]) -> tuple[Trigger, ...]:
    """Every trigger that an earlier run has noted, with the range that it asked for."""
    return tuple(_from_note(note) for note in tasks.values())


def task_key(trigger: Trigger) -> str:
    """What the note of a trigger is filed under: the test, the pipeline and the range."""
    return f"{trigger.address} {trigger.pipeline or '*'} {trigger.range.start}-{trigger.range.end}"


def superseded(triggers: Sequence[Trigger], tasks: Mapping[str, Any], *, resumed: bool) -> list[str]:
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


def _tells_of(note: Mapping[str, Any], trigger: Trigger) -> bool:
    """Whether what was noted is about the same versions as the trigger, or a doubt about what nobody knows."""
    about = note.get("about")
    return not trigger.about or (tuple(about) == trigger.about if about else "tasks" not in note)


# ------------------------------------------------------------------------------------------------- the note


def under_way(started: Started) -> Record:
    """What the journal keeps of a trigger that is about to be sent, or goes on."""
    return {"record": "task", "key": task_key(started.trigger), "task": _note(started)}


def forgotten(key: str) -> Record:
    """What the journal keeps when nothing is to be known any more of what is noted under the key."""
    return {"record": "task_over", "key": key}


def _note(started: Started) -> Fields:
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
