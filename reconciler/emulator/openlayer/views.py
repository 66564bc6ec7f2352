"""Show what is stored as the API shows it: (document, what is counted on reading) -> read model.  Pure but for counts.

Left out, as in every read model of the vendor: ``dataBackend.config`` and ``referenceDatasetUri``.  Shown although
the SDK has no type for them: ``syncId`` and ``paused`` of tests, ``goalSnapshot`` and ``value`` of results.
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from reconciler.emulator.database import Document
from reconciler.emulator.openlayer.storage import PROJECTS, STEPS_OF_A_TASK, Store, Task
from reconciler.emulator.rest import moment

TARGETING = ("defaultToAllPipelines", "includePipelines", "excludePipelines", "includeHistoricalData")

EARLIEST_S, LATEST_S = 0, 100_000_000_000
"""Unix seconds between which a time is believed: 1970 and the year 5138.  Milliseconds of today lie outside."""


def app_link(kind: str, thing_id: str) -> dict[str, str]:
    """Where the web app would show it; the emulator has none, and the address says so."""
    return {"app": f"https://openlayer.invalid/{kind}/{thing_id}"}


def project(store: Store, doc: Document) -> Document:
    """A project with what is in it counted."""
    return {**doc, **store.counts(doc["id"]), "links": app_link("projects", doc["id"])}


def workspace(store: Store) -> Document:
    """The one workspace of a database."""
    _, projects = store.page(PROJECTS, {}, 0)
    return {**store.workspace, "projectCount": projects}


def pipeline(store: Store, doc: Document, expand: tuple[str, ...] = ()) -> Document:
    """A pipeline with its latest results and its rows counted."""
    backend = {key: value for key, value in doc["dataBackend"].items() if key != "config"}
    shown = {key: value for key, value in doc.items() if key != "referenceDatasetUri"}
    statuses = Counter(store.latest_statuses(doc["id"]))
    monitoring, targeted = store.monitoring_tests(doc["projectId"])
    rows, newest = store.row_summary(doc["id"])
    shown |= {
        "dataBackend": backend,
        "status": "completed" if doc["dateLastEvaluated"] else "queued",
        "statusMessage": None,
        "passingGoalCount": statuses["passing"],
        "failingGoalCount": statuses["failing"],
        "totalGoalCount": monitoring - sum(not applies(test, doc["id"]) for test in targeted),
        "totalRecordsCount": rows,
        "dateLastSampleReceived": None if newest is None else moment(newest),
        "links": app_link("inference-pipelines", doc["id"]),
    }
    if "project" in expand:
        parent = store.get(PROJECTS, doc["projectId"])
        shown["project"] = parent and project(store, parent)
    if "workspace" in expand:
        shown["workspace"] = workspace(store)
    return shown


def applies(test: Document, pipeline_id: str) -> bool:
    """Whether a test is run on a pipeline of its project.

    A test that defaults to all, or only names exclusions, runs on the rest; any other on what it includes.
    """
    if pipeline_id in test["excludePipelines"]:
        return False
    only_excludes = bool(test["excludePipelines"]) and not test["includePipelines"]
    return test["defaultToAllPipelines"] or only_excludes or pipeline_id in test["includePipelines"]


def result(doc: Document) -> Document:
    """A result; while it is running nobody knows its value."""
    goal = {key: value for key, value in doc["goal"].items() if key not in TARGETING}
    shown = {**doc, "goal": goal}
    if doc["status"] == "running":
        shown |= {"statusMessage": None, "value": {}}
    if doc["status"] == "error":
        shown |= {"statusMessage": "The evaluation failed.", "value": {}}
    return shown


def commit(doc: Document, processing: Task | None) -> Document:
    """A commit, whose status is that of the task that processes it; without one it was processed long ago."""
    shown = {key: value for key, value in doc.items() if key != "task"}
    if processing is None or (processing.is_done and processing.fate != "fails"):
        return {**shown, "status": "completed"}
    shown |= {"passingGoalCount": 0, "failingGoalCount": 0}
    if processing.is_done:
        return {**shown, "status": "failed", "statusMessage": "The commit could not be processed."}
    return {**shown, "status": "running" if processing.steps else "queued"}


def task(looked_at: Task) -> Document:
    """A background task, with progress in percent."""
    progress = 100 * looked_at.steps / STEPS_OF_A_TASK
    if looked_at.fate == "never":
        progress = min(progress, 50)
    failed = looked_at.is_done and looked_at.fate == "fails"
    shown: dict[str, Any] = {
        "id": looked_at.id,
        "name": looked_at.name,
        "progress": progress,
        "complete": looked_at.is_done,
        "error": "The task failed." if failed else None,
        "outputs": None,
        "dateCreated": moment(looked_at.created),
        "dateUpdated": moment(looked_at.updated),
    }
    return shown
