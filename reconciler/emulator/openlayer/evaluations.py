"""Answer for what is measured: evaluations, background tasks and results."""

from __future__ import annotations

import uuid
from bisect import bisect_left
from collections.abc import Mapping
from typing import get_args

from reconciler.emulator.database import Document
from reconciler.emulator.openlayer import bodies, views
from reconciler.emulator.openlayer.judging import expected, judged, windows
from reconciler.emulator.openlayer.resources import commit_of, new_task, pipeline_of, test_of
from reconciler.emulator.openlayer.storage import LATEST, PIPELINES, StoredRow
from reconciler.emulator.openlayer.wire import Call, listed
from reconciler.emulator.rest import MISSING, ApiError, Reply, moment

_MOST_WINDOWS = 10_000
_DEFAULT_WIDTH_S = 3600


def evaluate(call: Call) -> Reply:
    """POST /tests/{test}/evaluate: one task for each pipeline that the test applies to."""
    test, sent = test_of(call), call.body(bodies.Evaluate)
    if not test["usesProductionData"]:
        raise ApiError(422, "Only monitoring tests can be evaluated; this one belongs to development.")
    starts = _windows(test, sent.start_timestamp, sent.end_timestamp)
    pipelines = _pipelines(call, test, sent.inference_pipeline_id)
    tasks = [_evaluate_pipeline(call, test, pipeline, starts, sent.overwrite_results) for pipeline in pipelines]
    return Reply(
        202,
        {
            "message": "Evaluation task queued successfully",
            "pipelineCount": len(tasks),
            "requestedStartTimestamp": sent.start_timestamp,
            "requestedEndTimestamp": sent.end_timestamp,
            "tasks": tasks,
        },
    )


def _width(test: Document) -> int:
    return int(test["evaluationWindow"] or _DEFAULT_WIDTH_S)


def _windows(test: Document, start: int, end: int) -> list[int]:
    """The starts of the windows of a range.  Raises ApiError 422 where the range is none, or too long to store."""
    if not views.EARLIEST_S <= start < end <= views.LATEST_S:
        raise ApiError(422, "endTimestamp: Must be after startTimestamp, both in seconds.")
    if (end - start) / _width(test) > _MOST_WINDOWS:
        raise ApiError(422, f"endTimestamp: The range has more than {_MOST_WINDOWS} evaluation windows.")
    return windows(start, end, _width(test))


def _pipelines(call: Call, test: Document, wanted: str | None) -> list[Document]:
    """The pipelines to evaluate.  Raises ApiError 422 if the test does not apply to the wanted one."""
    all_of_them, _ = call.store.page(PIPELINES, {"project = ?": call.store.project_of_test(test["id"])})
    targeted = [pipeline for pipeline in all_of_them if views.applies(test, pipeline["id"])]
    if wanted is None:
        return targeted
    chosen = [pipeline for pipeline in targeted if pipeline["id"] == wanted]
    if not chosen:
        raise ApiError(422, f"inferencePipelineId: The test does not apply to an inference pipeline {wanted}.")
    return chosen


def _evaluate_pipeline(
    call: Call, test: Document, pipeline: Document, starts: list[int], overwrite: bool
) -> dict[str, str]:
    """Judge every window and keep the results; they show as running until the task is done."""
    task = new_task(call, f"evaluate_test(test_id={test['id']}, pipeline_id={pipeline['id']})")
    _judge_windows(call, test, pipeline, starts, overwrite=overwrite, task=task["taskResultId"])
    return {**task, "pipelineId": pipeline["id"]}


def _judge_windows(
    call: Call, test: Document, pipeline: Document, starts: list[int], *, overwrite: bool, task: str | None
) -> None:
    width = _width(test)
    if overwrite:
        call.store.delete_results(test["id"], pipeline["id"], starts)
    done = call.store.evaluated_windows(test["id"], pipeline["id"])
    rows = call.store.rows_between(pipeline["id"], starts[0], starts[-1] + width)
    times = [row.at for row in rows]
    for start in starts:
        if start not in done:
            inside = rows[bisect_left(times, start) : bisect_left(times, start + width)]
            _keep_result(call, test, pipeline["id"], inside, start, task)
    call.store.put(PIPELINES, {**pipeline, "dateLastEvaluated": moment(call.now)})


def _keep_result(
    call: Call, test: Document, pipeline_id: str, rows: list[StoredRow], start: int, task: str | None
) -> None:
    judgement = judged(test, rows)
    end = start + _width(test)
    doc = {
        "id": str(uuid.uuid4()),
        "dateCreated": moment(call.now),
        "dateUpdated": moment(call.now),
        "status": judgement.status,
        "statusMessage": judgement.message,
        "inferencePipelineId": pipeline_id,
        "projectVersionId": None,
        "goalId": test["id"],
        "goalSnapshot": test,
        "dateDataStarts": moment(start),
        "dateDataEnds": moment(end),
        "expectedValues": expected(test["thresholds"]),
        "value": judgement.values,
    }
    call.store.add_result(doc, starts=start, ends=end, task=task)


def evaluate_as_the_seed_does(call: Call) -> Reply:
    """POST /tests/{test}/evaluate as the seed spec has it: no body needed, and the newest result is the answer.

    Without a range it is the window that the clock stands in.
    """
    test = test_of(call)
    if call.payload is MISSING:
        sent = bodies.Evaluate(startTimestamp=int(call.now), endTimestamp=int(call.now) + 1, overwriteResults=True)
    else:
        sent = call.body(bodies.Evaluate)
    starts = _windows(test, sent.start_timestamp, sent.end_timestamp)
    for pipeline in _pipelines(call, test, sent.inference_pipeline_id):
        _judge_windows(call, test, pipeline, starts, overwrite=sent.overwrite_results, task=None)
    newest, _ = call.store.results({"r.test = ?": test["id"]}, 1, 0)
    if not newest:
        raise ApiError(404, "The test applies to no inference pipeline.")
    return Reply(200, views.result(newest[0]))


def read_task(call: Call) -> Reply:
    """GET /background-tasks/{task}: half done at the first look, done at the second."""
    task = call.store.look_at_task(call.path["task"], call.now)
    if task is None:
        raise ApiError(404, "There is no such background task.")
    return Reply(200, views.task(task))


# --- results ---------------------------------------------------------------------------------------------------


def _listed_results(call: Call, query: bodies.PageQuery, where: Mapping[str, object]) -> Document:
    return listed(call, query, lambda limit, offset: call.store.results(where, limit, offset), views.result)


def _look_at_tasks(call: Call, where: Mapping[str, object]) -> None:
    """Reading results brings their evaluation on, so that a client that never asks for the task gets there too."""
    for task in call.store.unfinished_tasks(where):
        call.store.look_at_task(task, call.now)


def list_test_results(call: Call) -> Reply:
    """GET /tests/{test}/results, newest data first."""
    test, query = test_of(call), call.asks(bodies.TestResultQuery)
    _look_at_tasks(call, {"r.test = ?": test["id"]})
    scope: dict[str, object] = {
        "r.test = ?": test["id"],
        "r.pipeline = ?": query.inference_pipeline_id,
        "r.version = ?": query.project_version_id,
    }
    filters = {
        "r.ends > ?": query.start_timestamp,
        "r.starts < ?": query.end_timestamp,
        "instr(?, ',' || r.status || ',')": _statuses(query.status),
    }
    unskipped, _ = call.store.results({**scope, "r.status NOT IN ('running', ?)": "skipped"}, 1, 0)
    page = _listed_results(call, query, {**scope, **filters})
    if call.dialect != "seed":
        page["lastUnskippedResult"] = views.result(unskipped[0]) if unskipped else None
    return Reply(200, page)


def _statuses(text: str) -> str | None:
    """A comma list of statuses between commas, or None for any.  Raises ApiError 422."""
    asked = [part for part in text.split(",") if part]
    for status in asked:
        if status not in get_args(bodies.Status):
            raise ApiError(422, f"status: Must be one of: {', '.join(get_args(bodies.Status))}.")
    return f",{','.join(asked)}," if asked else None


def list_pipeline_results(call: Call) -> Reply:
    """GET /inference-pipelines/{pipeline}/results: the latest of each test, newest data first; by the seed all."""
    pipeline, query = pipeline_of(call), call.asks(bodies.ResultQuery)
    _look_at_tasks(call, {"r.pipeline = ?": pipeline["id"]})
    where = {
        "r.pipeline = ?": pipeline["id"],
        "r.status = ?": query.status,
        "t.type = ?": query.type,
        LATEST: None if call.dialect == "seed" else pipeline["id"],
    }
    return Reply(200, _listed_results(call, query, where))


def list_commit_results(call: Call) -> Reply:
    """GET /versions/{version}/results."""
    commit, query = commit_of(call), call.asks(bodies.ResultQuery)
    _look_at_tasks(call, {"r.version = ?": commit["id"]})
    where = {
        "r.version = ?": commit["id"],
        "r.status = ?": query.status,
        "t.type = ?": query.type,
        "t.archived = ?": None if query.include_archived else 0,
    }
    return Reply(200, _listed_results(call, query, where))
