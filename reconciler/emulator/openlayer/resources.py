"""Answer for what is configured: projects, pipelines, tests, commits and the workspace."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any

from reconciler.emulator.database import Document
from reconciler.emulator.openlayer import bodies, views
from reconciler.emulator.openlayer.storage import COMMITS, PIPELINES, PROJECTS, TESTS, NameTaken, Table
from reconciler.emulator.openlayer.wire import Call, listed, listed_as_stored
from reconciler.emulator.rest import ApiError, Reply, moment

_DEFAULT_WINDOW_S = 3600.0
_NAMED = "instr(lower(name), lower(?))"
"""SQL: the name contains a text, in upper or lower case."""


def _found(call: Call, table: Table, thing_id: str) -> Document:
    doc = call.store.get(table, thing_id)
    if doc is None:
        raise ApiError(404, f"There is no such {table.noun}.")
    return doc


def project_of(call: Call) -> Document:
    """The project of the path.  Raises ApiError 404."""
    return _found(call, PROJECTS, call.path["project"])


def pipeline_of(call: Call) -> Document:
    """The pipeline of the path.  Raises ApiError 404."""
    return _found(call, PIPELINES, call.path["pipeline"])


def test_of(call: Call) -> Document:
    """The test of the path.  Raises ApiError 404."""
    return _found(call, TESTS, call.path["test"])


def commit_of(call: Call) -> Document:
    """The commit of the path.  Raises ApiError 404."""
    return _found(call, COMMITS, call.path["version"])


def _new(call: Call) -> Document:
    """What every new thing begins with."""
    at = moment(call.now)
    return {"id": str(uuid.uuid4()), "dateCreated": at, "dateUpdated": at}


def _changed(call: Call, doc: Document, changes: Document) -> Document:
    return {**doc, **changes, "dateUpdated": moment(call.now)}


def _write(write: Callable[[Table, Document], None], table: Table, doc: Document) -> None:
    """Raises ApiError 409."""
    try:
        write(table, doc)
    except NameTaken as error:
        raise ApiError(409, f'A {table.noun} named "{doc["name"]}" already exists.') from error


def read_workspace(call: Call) -> Reply:
    """GET /workspaces/{workspace}."""
    if call.path["workspace"] != call.store.workspace["id"]:
        raise ApiError(404, "There is no such workspace.")
    return Reply(200, views.workspace(call.store))


# --- projects --------------------------------------------------------------------------------------------------


def list_projects(call: Call) -> Reply:
    """GET /projects."""
    query = call.asks(bodies.ProjectQuery)
    where = {_NAMED: query.name, "taskType = ?": query.task_type}
    read, show = partial(call.store.page, PROJECTS, where), partial(views.project, call.store)
    return Reply(200, listed(call, query, read, show))


def create_project(call: Call) -> Reply:
    """POST /projects."""
    sent = call.body(bodies.ProjectCreate).sent()
    unsent = ("description", "dataRetentionDays", "modelDeveloper", "modelTypes", "purpose", "gitRepo")
    doc = {
        **_new(call),
        **dict.fromkeys(unsent),
        "source": "api",
        "workspaceId": call.store.workspace["id"],
        "creatorId": call.store.workspace["creatorId"],
        **sent,
    }
    _write(call.store.add, PROJECTS, doc)
    return Reply(201, views.project(call.store, doc))


def update_project(call: Call) -> Reply:
    """PATCH /projects/{project}."""
    doc = _changed(call, project_of(call), call.body(bodies.ProjectUpdate).sent())
    _write(call.store.put, PROJECTS, doc)
    return Reply(200, views.project(call.store, doc))


def delete_project(call: Call) -> Reply:
    """DELETE /projects/{project}."""
    call.store.delete(PROJECTS, project_of(call)["id"])
    return Reply(204)


# --- pipelines -------------------------------------------------------------------------------------------------


def list_pipelines(call: Call) -> Reply:
    """GET /projects/{project}/inference-pipelines."""
    project, query = project_of(call), call.asks(bodies.NamedQuery)
    where = {"project = ?": project["id"], _NAMED: query.name}
    read, show = partial(call.store.page, PIPELINES, where), partial(views.pipeline, call.store)
    return Reply(200, listed(call, query, read, show))


def create_pipeline(call: Call) -> Reply:
    """POST /projects/{project}/inference-pipelines."""
    project = project_of(call)
    model = bodies.SeedPipelineCreate if call.dialect == "seed" else bodies.PipelineCreate
    sent = {key: value for key, value in call.body(model).sent().items() if key not in ("project", "workspace")}
    sent["dataBackend"] = sent.get("dataBackend") or {"backendType": "default"}
    unset = ("dateLastEvaluated", "dateOfNextEvaluation", "dateLastPolled", "referenceDatasetUri", "description")
    parents = {"projectId": project["id"], "workspaceId": project["workspaceId"]}
    doc = {**_new(call), **dict.fromkeys(unset), **parents, **sent}
    _write(call.store.add, PIPELINES, doc)
    return Reply(201, views.pipeline(call.store, doc))


def read_pipeline(call: Call) -> Reply:
    """GET /inference-pipelines/{pipeline}."""
    expand = tuple(part for part in call.asks(bodies.ExpandQuery).expand.split(",") if part)
    if not set(expand) <= {"project", "workspace"}:
        raise ApiError(422, "expand: Must be one of: project, workspace.")
    return Reply(200, views.pipeline(call.store, pipeline_of(call), expand))


def update_pipeline(call: Call) -> Reply:
    """PUT /inference-pipelines/{pipeline}; what is not sent stays."""
    doc = _changed(call, pipeline_of(call), call.body(bodies.PipelineUpdate).sent())
    _write(call.store.put, PIPELINES, doc)
    return Reply(200, views.pipeline(call.store, doc))


def delete_pipeline(call: Call) -> Reply:
    """DELETE /inference-pipelines/{pipeline}; tests that target it do so no longer."""
    doc = pipeline_of(call)
    call.store.delete(PIPELINES, doc["id"])
    for test in call.store.page(TESTS, {"project = ?": doc["projectId"]})[0]:
        targets = {key: test[key] for key in ("includePipelines", "excludePipelines") if doc["id"] in test[key]}
        if targets:
            rest = {key: [each for each in ids if each != doc["id"]] for key, ids in targets.items()}
            call.store.put(TESTS, {**test, **rest})
    return Reply(204)


# --- tests -----------------------------------------------------------------------------------------------------


def list_tests(call: Call) -> Reply:
    """GET /projects/{project}/tests; the seed dialect knows no paging and gives all."""
    project, query = project_of(call), call.asks(bodies.TestQuery)
    if query.origin_version_id:
        return Reply(200, listed(call, query, lambda *_: ([], 0), dict))
    where = {
        "project = ?": project["id"],
        "archived = ?": None if query.include_archived else False,
        "monitoring = ?": query.uses_production_data,
        "type = ?": query.type,
        "suggested = ?": query.suggested,
    }

    def read(limit: int, offset: int) -> tuple[list[str], int]:
        paging = () if call.dialect == "seed" else (limit, offset)
        return call.store.page_as_stored(TESTS, where, *paging)

    return Reply(200, listed_as_stored(call, query, read))


def create_test(call: Call) -> Reply:
    """POST /projects/{project}/tests; names need not be unique."""
    project = project_of(call)
    sent = call.body(bodies.SeedTestCreate) if call.dialect == "seed" else call.body(bodies.TestCreate)
    _check_targets(call, project["id"], sent)
    doc = {
        **_new(call),
        **_defaults(sent),
        "name": sent.name,
        "type": sent.type,
        "subtype": sent.subtype,
        "description": sent.description,
        "thresholds": _thresholds(sent.thresholds),
        "archived": sent.archived,
        "dateArchived": moment(call.now) if sent.archived else None,
        "creatorId": call.store.workspace["creatorId"],
    }
    return Reply(201, call.store.add_test(project["id"], doc))


def _defaults(sent: bodies.TestFields) -> Document:
    """Everything of a test that is fixed at creation, filled in where it was not sent."""
    monitoring = sent.uses_production_data
    include = sorted(set(sent.include_pipelines or ()))
    to_all = sent.default_to_all_pipelines
    return {
        "usesMlModel": sent.uses_ml_model,
        "usesProductionData": monitoring,
        "usesReferenceDataset": sent.uses_reference_dataset,
        "usesTrainingDataset": sent.uses_training_dataset,
        "usesValidationDataset": sent.uses_validation_dataset,
        "evaluationWindow": sent.evaluation_window or (_DEFAULT_WINDOW_S if monitoring else None),
        "delayWindow": sent.delay_window if sent.delay_window is not None else (0.0 if monitoring else None),
        "defaultToAllPipelines": not include if to_all is None else to_all,
        "includePipelines": include,
        "excludePipelines": sorted(set(sent.exclude_pipelines or ())),
        "includeHistoricalData": bool(sent.include_historical_data),
        "suggested": False,
        "paused": False,
        "commentCount": 0,
        "originProjectVersionId": None,
        "syncId": str(uuid.uuid4()),
    }


def _check_targets(call: Call, project_id: str, sent: bodies.TestFields) -> None:
    targets = {"includePipelines": sent.include_pipelines, "excludePipelines": sent.exclude_pipelines}
    if not any(targets.values()):
        return
    ours = {doc["id"] for doc in call.store.page(PIPELINES, {"project = ?": project_id})[0]}
    for key, ids in targets.items():
        for foreign in set(ids or ()) - ours:
            raise ApiError(422, f"{key}: there is no inference pipeline {foreign} in this project.")


def _thresholds(sent: Iterable[bodies.SeedThreshold]) -> list[Document]:
    """Thresholds as they are read back: every key is there, numbers are floats."""
    return [
        {
            "insightName": threshold.insight_name,
            "insightParameters": [p.model_dump() for p in threshold.insight_parameters or ()] or None,
            "measurement": threshold.measurement,
            "operator": threshold.operator,
            "value": threshold.value,
            "thresholdMode": threshold.threshold_mode,
        }
        for threshold in sent
    ]


def _updated_test(call: Call, doc: Document, sent: bodies.TestPayload | bodies.TestUpdate, where: str) -> Document:
    """A test with what was sent of the fields that can change."""
    changes: dict[str, Any] = {key: value for key, value in sent.sent().items() if key != "id"}
    if "thresholds" in changes:
        try:
            bodies.check_parameters(doc["subtype"], sent.thresholds)
        except ValueError as error:
            raise ApiError(422, f"{where}{error}") from error
        changes["thresholds"] = _thresholds(sent.thresholds)
    if changes.get("archived", doc["archived"]) != doc["archived"]:
        changes["dateArchived"] = moment(call.now) if changes["archived"] else None
    return _changed(call, doc, changes)


def update_tests(call: Call) -> Reply:
    """PUT /projects/{project}/tests: all payloads or none.  The change is visible before its task is done."""
    project = project_of(call)
    for index, payload in enumerate(call.body(bodies.TestsUpdate).payloads):
        doc = call.store.get(TESTS, payload.id)
        if doc is None or call.store.project_of_test(payload.id) != project["id"]:
            raise ApiError(422, f"payloads.{index}.id: there is no test {payload.id} in this project.")
        call.store.put(TESTS, _updated_test(call, doc, payload, f"payloads.{index}."))
    return Reply(200, new_task(call, f"update_tests(project_id={project['id']})"))


def new_task(call: Call, name: str) -> dict[str, str]:
    """Queue a background task: its id, and where to look at it."""
    task_id = call.store.add_task(name, call.task_fate, call.now)
    return {"taskResultId": task_id, "taskResultUrl": f"{call.origin}/v1/background-tasks/{task_id}"}


def update_tests_of_the_seed(call: Call) -> Reply:
    """PUT /projects/{project}/tests as the seed spec has it: whole tests in, whole tests out."""
    project = project_of(call)
    updated = []
    for index, sent in enumerate(call.body(bodies.SeedTestsUpdate).tests):
        doc = call.store.get(TESTS, sent.id)
        if doc is None or call.store.project_of_test(sent.id) != project["id"]:
            raise ApiError(422, f"tests.{index}.id: there is no test {sent.id} in this project.")
        changes = sent.model_dump(by_alias=True, exclude_unset=True)
        if "thresholds" in changes:
            changes["thresholds"] = _thresholds(sent.thresholds)
        if changes.get("archived", doc["archived"]) != doc["archived"]:
            changes["dateArchived"] = moment(call.now) if sent.archived else None
        updated.append(_changed(call, doc, changes))
        call.store.put(TESTS, updated[-1])
    return Reply(200, {"items": updated})


def read_test(call: Call) -> Reply:
    """GET /tests/{test}; not in the SDK, but the vendor's MCP server uses it."""
    return Reply(200, test_of(call))


def update_test(call: Call) -> Reply:
    """PUT /tests/{test}; not in the SDK, but the vendor's MCP server uses it."""
    doc = _updated_test(call, test_of(call), call.body(bodies.TestUpdate), "")
    call.store.put(TESTS, doc)
    return Reply(200, doc)


def delete_test(call: Call) -> Reply:
    """DELETE /tests/{test}, for good; not in the SDK, but the vendor's MCP server uses it."""
    call.store.delete(TESTS, test_of(call)["id"])
    return Reply(204)
