"""How an Openlayer test is evaluated: trigger, wait, read results.  Flows: describe I/O, do none.

POST /tests/{id}/evaluate queues work for monitoring tests over a range that the server widens to whole windows; the
tasks are asked about at /background-tasks/{id}; results are read at /tests/{id}/results.  Development tests are
evaluated when a commit is pushed; /versions/{id} tells how that is doing, /versions/{id}/results what came of it.
/inference-pipelines/{id}/results tells the latest result of each test there.
Source: docs.openlayer.com/api-reference/rest/tests/evaluate, openlayer-python 0.36.0
types/tests/result_list_params.py, types/background_task_retrieve_response.py, types/commit_retrieve_response.py,
types/commits/test_result_list_params.py and resources/inference_pipelines/test_results.py; 2026-11.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from msgspec.structs import replace

from reconciler.errors import ReadFailed
from reconciler.model.call import Call, Flow, Wire, url_path
from reconciler.model.measuring import Measuring, Past, Task, Trigger, Version, Versions
from reconciler.model.outcome import Evaluation, EvaluationStatus, TaskState, TimeRange
from reconciler.model.resource import Address
from reconciler.model.values import Fields, Json, parse_duration
from reconciler.providers.bodies import whole_seconds
from reconciler.providers.openlayer.paging import every
from reconciler.providers.openlayer.replies import task_state

_STATUSES = ("running", "passing", "failing", "skipped", "error")
_COMMIT_STATUSES = ("queued", "running", "paused", "failed", "completed", "unknown")


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


def _trigger(trigger: Trigger, _: Wire) -> Flow[tuple[Task, ...] | None]:
    """``pipelineCount`` 0 says that there is nothing to evaluate; without tasks alone the results are still to come."""
    body: Fields = {
        "startTimestamp": trigger.range.start,
        "endTimestamp": trigger.range.end,
        "overwriteResults": trigger.overwrite,
    }
    if trigger.pipeline is not None:
        body["inferencePipelineId"] = trigger.pipeline
    reply = yield Call("POST", url_path("tests", trigger.remote_id, "evaluate"), body=body, repeatable=False)
    answer = reply.body if isinstance(reply.body, dict) else {}
    listed = answer.get("tasks")
    tasks = tuple(
        Task(str(task["taskResultId"]), str(task["pipelineId"]) if task.get("pipelineId") else trigger.pipeline)
        for task in (listed if isinstance(listed, list) else [])
        if isinstance(task, dict) and task.get("taskResultId")
    )
    return None if not tasks and answer.get("pipelineCount") == 0 else tasks


def _poll(task: Task, _: Wire) -> Flow[TaskState]:
    return task_state(task.task_id)


def _results(
    address: Address, remote_id: str, within: TimeRange | None, _: Collection[str], __: Wire
) -> Flow[tuple[Evaluation, ...]]:
    past = yield from _past(address, remote_id, within)
    return tuple(sorted(past.results, key=lambda each: (each.ends or 0, each.recorded), reverse=True))


def _past(address: Address, remote_id: str, within: TimeRange | None, most: int | None = None) -> Flow[Past]:
    """What the server lists, in its order; everything unless it is told how many."""
    query: dict[str, str | int | bool] = {}
    if within is not None:
        query = {"startTimestamp": within.start, "endTimestamp": within.end}
    path = url_path("tests", remote_id, "results")
    items = yield from every(path, query, lambda found: most is not None and len(found) > most)
    found = [_read(item, address) for item in items]
    inside = [each for each in found if within is None or _overlaps(each, within)]
    return Past(tuple(inside[:most]), whole=most is None or len(items) <= most)


def _latest(place_id: str, addresses: Mapping[str, Address], _: Wire) -> Flow[tuple[Evaluation, ...]]:
    """Only the SDK's docstring says "latest": a list with one test twice holds the past as well, and may be endless."""
    items = yield from every(url_path("inference-pipelines", place_id, "results"), enough=_tells_one_twice)
    if _tells_one_twice(items):
        return ()
    found = [_read(item, addresses[_test_id(item)]) for item in items if _test_id(item) in addresses]
    return tuple(replace(each, pipeline=each.pipeline or place_id) for each in found)


def _tells_one_twice(items: Collection[Fields]) -> bool:
    return len({_test_id(item) for item in items}) < len(items)


def _overlaps(evaluation: Evaluation, within: TimeRange) -> bool:
    """Whether a result is about the range, whatever the server takes for its borders; one without times may be."""
    begins_before = evaluation.starts is None or evaluation.starts < within.end
    return begins_before and (evaluation.ends is None or evaluation.ends > within.start)


def _window(fields: Fields) -> int:
    """The documented default is an hour (docs, "Evaluation and delay windows", 2026-11)."""
    written = fields.get("evaluationWindow")
    return parse_duration(written) if isinstance(written, str) else 3600


# ------------------------------------------------------------------------------------------------ commits


def _version(version_id: str, _: Wire) -> Flow[Version]:
    path = url_path("versions", version_id)
    reply = yield Call("GET", path)
    if not isinstance(reply.body, dict) or not reply.body.get("id"):
        raise ReadFailed("the answer holds no commit", method="GET", path=path, status=reply.status)
    return _read_version(reply.body)


def _latest_version(root_id: str, wire: Wire) -> Flow[Version | None]:
    """The newest by its date: the order of the list is not documented."""
    items = yield from every(url_path("projects", root_id, "versions"))
    there = [item for item in items if item.get("archived") is not True]
    if not there:
        return None
    newest = max(there, key=lambda item: (whole_seconds(item.get("dateCreated")) or 0, str(item.get("dateCreated"))))
    return (yield from _version(str(newest["id"]), wire))


def _read_version(item: Fields) -> Version:
    commit = item.get("commit")
    status, said = str(item.get("status")), str(item.get("statusMessage") or "")
    return Version(
        version_id=str(item["id"]),
        root_id=str(item.get("projectId") or ""),
        message=str(commit.get("message") or "") if isinstance(commit, dict) else "",
        created=str(item.get("dateCreated") or ""),
        state=TaskState(
            complete=status == "completed",
            error=f"the commit failed{f': {said}' if said else ''}" if status == "failed" else "",
            note=_odd(status),
        ),
    )


def _odd(status: str) -> str:
    """What is to be said of a commit that is neither completed nor on its way."""
    if status == "paused":
        return "the commit is paused"
    return "" if status in _COMMIT_STATUSES else f"the platform answered the unknown status {status!r}"


def _version_results(version_id: str, addresses: Mapping[str, Address], _: Wire) -> Flow[tuple[Evaluation, ...]]:
    items = yield from every(url_path("versions", version_id, "results"))
    found = [_read(item, addresses[_test_id(item)]) for item in items if _test_id(item) in addresses]
    return tuple(sorted(found, key=lambda each: each.recorded, reverse=True))


def _test_id(item: Fields) -> str:
    goal = item.get("goal")
    return str(item.get("goalId") or (goal.get("id") if isinstance(goal, dict) else ""))


def _read(item: Fields, address: Address) -> Evaluation:
    """``goalSnapshot`` is the test as it was judged: on the wire, but not in the SDK's types (openlayer-mcp 0.17.0)."""
    status, then = str(item.get("status")), item.get("goalSnapshot")
    known = status in _STATUSES
    message = str(item.get("statusMessage") or "")
    return Evaluation(
        address=address,
        status=EvaluationStatus(status) if known else EvaluationStatus.UNREADABLE,
        pipeline=str(item["inferencePipelineId"]) if item.get("inferencePipelineId") else None,
        measured=_measured(item),
        message=message if known else f"the platform answered the unknown status {status!r}",
        result_id=str(item["id"]),
        starts=whole_seconds(item.get("dateDataStarts")),
        ends=whole_seconds(item.get("dateDataEnds")),
        recorded=str(item.get("dateCreated") or ""),
        item=then if isinstance(then, dict) else None,
    )


def _measured(item: Fields) -> dict[str, Json]:
    """Measurement -> observed value.  ``value`` is on the wire but not in the SDK's types; it may be one scalar."""
    value = item.get("value")
    if isinstance(value, dict):
        return dict(value)
    expected = item.get("expectedValues")
    names = [row.get("measurement") for row in expected if isinstance(row, dict)] if isinstance(expected, list) else []
    return {} if value is None else {str(names[0]) if len(names) == 1 else "value": value}


MEASURING = Measuring(
    place="openlayer.InferencePipeline",
    possible=_possible,
    targets=_targets,
    places=_places,
    trigger=_trigger,
    poll=_poll,
    results=_results,
    window=_window,
    versions=Versions(named=_version, latest=_latest_version, results=_version_results),
    latest=_latest,
    past=_past,
)
