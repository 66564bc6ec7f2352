"""How an Openlayer test is evaluated: trigger, wait, read results.  Flows: describe I/O, do none.

POST /tests/{id}/evaluate queues work for monitoring tests over a range that the server widens to whole windows; the
tasks are asked about at /background-tasks/{id}; results are read at /tests/{id}/results.
Source: docs.openlayer.com/api-reference/rest/tests/evaluate, openlayer-python 0.36.0
types/tests/result_list_params.py and types/background_task_retrieve_response.py; 2026-11.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from reconciler.model.kind import Call, Flow, Measuring, Task, Trigger, Wire, url_path
from reconciler.model.outcome import Evaluation, EvaluationStatus, TaskState, TimeRange
from reconciler.model.resource import Address
from reconciler.model.values import Fields, Json
from reconciler.providers.openlayer.paging import every
from reconciler.providers.openlayer.replies import task_state

_STATUSES = ("running", "passing", "failing", "skipped", "error")


def _possible(fields: Fields) -> str:
    if fields.get("mode", "monitoring") == "monitoring":
        return ""
    return "the API evaluates monitoring tests only; development tests are evaluated when a commit is pushed"


def _targets(address: Address, fields: Fields) -> tuple[Address, ...]:
    names = fields.get("pipelines", "all")
    if not isinstance(names, list):
        return ()
    parent = address.path[:-2]
    return tuple(Address("openlayer.InferencePipeline", (*parent, str(name))) for name in sorted(map(str, names)))


def _places(fields: Fields, siblings: Sequence[Address]) -> tuple[Address, ...]:
    names, excluded = fields.get("pipelines", "all"), fields.get("excludePipelines") or []
    assert isinstance(excluded, list)
    wanted = names if isinstance(names, list) else [place.name for place in siblings if place.name not in excluded]
    return tuple(place for place in siblings if place.name in wanted)


def _trigger(trigger: Trigger, _: Wire) -> Flow[tuple[Task, ...]]:
    body: Fields = {
        "startTimestamp": trigger.range.start,
        "endTimestamp": trigger.range.end,
        "overwriteResults": trigger.overwrite,
    }
    if trigger.pipeline is not None:
        body["inferencePipelineId"] = trigger.pipeline
    reply = yield Call("POST", url_path("tests", trigger.remote_id, "evaluate"), body=body, repeatable=False)
    tasks = reply.body.get("tasks") if isinstance(reply.body, dict) else None
    return tuple(
        Task(str(task["taskResultId"]), str(task["pipelineId"]) if task.get("pipelineId") else trigger.pipeline)
        for task in (tasks if isinstance(tasks, list) else [])
        if isinstance(task, dict) and task.get("taskResultId")
    )


def _poll(task: Task, _: Wire) -> Flow[TaskState]:
    return task_state(task.task_id)


def _results(address: Address, remote_id: str, within: TimeRange | None, _: Wire) -> Flow[tuple[Evaluation, ...]]:
    query: dict[str, str | int | bool] = {}
    if within is not None:
        query = {"startTimestamp": within.start, "endTimestamp": within.end}
    items = yield from every(url_path("tests", remote_id, "results"), query)
    found = [_read(item, address) for item in items]
    return tuple(sorted(found, key=lambda each: (each.ends or 0, each.recorded), reverse=True))


def _read(item: Fields, address: Address) -> Evaluation:
    status = str(item.get("status"))
    known = status in _STATUSES
    message = str(item.get("statusMessage") or "")
    return Evaluation(
        address=address,
        status=EvaluationStatus(status) if known else EvaluationStatus.UNREADABLE,
        pipeline=str(item["inferencePipelineId"]) if item.get("inferencePipelineId") else None,
        measured=_measured(item),
        message=message if known else f"the platform answered the unknown status {status!r}",
        result_id=str(item["id"]),
        starts=_unix(item.get("dateDataStarts")),
        ends=_unix(item.get("dateDataEnds")),
        recorded=str(item.get("dateCreated") or ""),
    )


def _measured(item: Fields) -> dict[str, Json]:
    """Measurement -> observed value.  ``value`` is on the wire but not in the SDK's types; it may be one scalar."""
    value = item.get("value")
    if isinstance(value, dict):
        return dict(value)
    expected = item.get("expectedValues")
    names = [row.get("measurement") for row in expected if isinstance(row, dict)] if isinstance(expected, list) else []
    return {} if value is None else {str(names[0]) if len(names) == 1 else "value": value}


def _unix(text: Json) -> int | None:
    if not isinstance(text, str):
        return None
    try:
        return int(datetime.fromisoformat(text).timestamp())
    except ValueError:
        return None


MEASURING = Measuring(
    place="openlayer.InferencePipeline",
    possible=_possible,
    targets=_targets,
    places=_places,
    trigger=_trigger,
    poll=_poll,
    results=_results,
)
