"""Answer for metrics and test cases; a test case is never deleted, and every change of it is a new version."""

from __future__ import annotations

import uuid

from reconciler.emulator.database import Document
from reconciler.emulator.digitalocean import bodies, views
from reconciler.emulator.digitalocean.scoring import float32
from reconciler.emulator.digitalocean.wire import Call, found
from reconciler.emulator.digitalocean.workspaces import check_echo, workspace_of
from reconciler.emulator.rest import ApiError, moment


def _metrics_of_agents(call: Call) -> dict[str, Document]:
    return {key: doc for key, doc in call.store.metrics().items() if doc["evaluation_scope"] != "MODEL"}


def list_metrics(call: Call) -> Document:
    """GET /evaluation_metrics: those of agent evaluations, all of them."""
    call.asks(bodies.PageQuery)
    return {"metrics": [views.metric(doc) for doc in _metrics_of_agents(call).values()]}


def case_of(call: Call, version: int = 0) -> Document:
    """A version of the test case of the path; 0 is the latest.  Raises ApiError 404."""
    return found("evaluation test case", call.store.test_case(call.path["test_case"], version))


def list_test_cases(call: Call) -> Document:
    """GET /evaluation_test_cases: all of them, or those of a workspace."""
    query = call.asks(bodies.TestCaseQuery)
    within = None
    if query.workspace_uuid is not None:
        within = [query.workspace_uuid]
    elif query.agent_workspace_name is not None:
        within = [doc["uuid"] for doc in call.store.workspaces() if doc["name"] == query.agent_workspace_name]
    return {"evaluation_test_cases": [views.test_case(call.store, doc) for doc in call.store.test_cases(within)]}


def list_test_cases_of_workspace(call: Call) -> Document:
    """GET /workspaces/{workspace}/evaluation_test_cases."""
    docs = call.store.test_cases([workspace_of(call)["uuid"]])
    call.asks(bodies.PageQuery)
    return {"evaluation_test_cases": [views.test_case(call.store, doc) for doc in docs]}


def create_test_case(call: Call) -> Document:
    """POST /evaluation_test_cases; names need not be unique, and only the uuid comes back."""
    sent, at = call.body(bodies.TestCaseCreate), moment(call.now)
    workspace = found("workspace", _named_workspace(call, sent))
    doc = {
        "test_case_uuid": str(uuid.uuid4()),
        "name": sent.name,
        "description": sent.description,
        "version": 1,
        "dataset_uuid": sent.dataset_uuid,
        "metric_uuids": sent.metrics,
        "star_metric": sent.star_metric.model_dump(),
        "created_at": at,
        "updated_at": at,
        "archived_at": None,
    }
    call.store.add_test_case(_checked(call, doc, sent.star_metric), workspace["uuid"])
    return {"test_case_uuid": doc["test_case_uuid"]}


def _named_workspace(call: Call, sent: bodies.TestCaseCreate) -> Document | None:
    if sent.workspace_uuid:
        return call.store.workspace(sent.workspace_uuid)
    return next((doc for doc in call.store.workspaces() if doc["name"] == sent.agent_workspace_name), None)


def read_test_case(call: Call) -> Document:
    """GET /evaluation_test_cases/{test_case}, of any version."""
    doc = case_of(call, call.asks(bodies.VersionQuery).evaluation_test_case_version)
    return {"evaluation_test_case": views.test_case(call.store, doc)}


def update_test_case(call: Call) -> Document:
    """PUT /evaluation_test_cases/{test_case}: a new version; what is not sent is taken over from the last."""
    doc, sent = case_of(call), call.body(bodies.TestCaseUpdate)
    check_echo(call, "test_case_uuid", sent.test_case_uuid)
    changes = {key: value for key, value in sent.sent().items() if key not in ("test_case_uuid", "metrics")}
    if sent.metrics is not None:
        changes["metric_uuids"] = sent.metrics.metric_uuids
    if sent.star_metric is not None:
        changes["star_metric"] = sent.star_metric.model_dump()
    doc |= {**changes, "version": doc["version"] + 1, "updated_at": moment(call.now)}
    call.store.put_test_case(_checked(call, doc, sent.star_metric))
    return {"test_case_uuid": doc["test_case_uuid"], "version": doc["version"]}


def _checked(call: Call, doc: Document, star: bodies.StarMetric | None) -> Document:
    """The document with names filled in and its threshold rounded.  Raises ApiError 404 or 422.

    ``star`` is the star metric if it was sent: one that stays need not be asked for its threshold again.
    """
    dataset = found("evaluation dataset", call.store.dataset(doc["dataset_uuid"]))
    if dataset["dataset_type"] != "EVALUATION_DATASET_TYPE_UNKNOWN":
        raise ApiError(422, "dataset_uuid: The dataset is none of agent evaluations.")
    metrics = _metrics_of_agents(call)
    for metric_uuid in doc["metric_uuids"]:
        found(f"evaluation metric {metric_uuid}", metrics.get(metric_uuid))
    if len(set(doc["metric_uuids"])) < len(doc["metric_uuids"]):
        raise ApiError(422, "metrics: A metric stands there twice.")
    if doc["star_metric"]["metric_uuid"] not in doc["metric_uuids"]:
        raise ApiError(422, "star_metric.metric_uuid: Is not one of the metrics.")
    metric = metrics[doc["star_metric"]["metric_uuid"]]
    if star is not None:
        _check_threshold(star, metric)
    rounded = {
        "name": metric["metric_name"],
        "success_threshold": float32(doc["star_metric"]["success_threshold"]),
    }
    return {**doc, "dataset_name": dataset["dataset_name"], "star_metric": {**doc["star_metric"], **rounded}}


def _check_threshold(star: bodies.StarMetric, metric: Document) -> None:
    if metric["metric_value_type"] == "STRING":
        if star.thresholds:
            raise ApiError(422, "star_metric: A metric whose values are text has no threshold.")
    elif not star.thresholds:
        raise ApiError(422, "star_metric.success_threshold: Missing data for required field.")
    elif not star.success_threshold_pct and not metric["range_min"] <= star.success_threshold <= metric["range_max"]:
        between = f"{metric['range_min']:g} to {metric['range_max']:g}"
        raise ApiError(422, f"star_metric.success_threshold: Must be in the metric's range, {between}.")
