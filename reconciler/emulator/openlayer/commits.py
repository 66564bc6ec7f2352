"""Answer for commits: a version of what is developed, whose push has the development tests evaluated.

The emulator runs no model.  It judges the rows of the bundle at ``storageUri``, a tar.gz as the vendor's first client
made it: ``validation/dataset.csv`` with its columns explained in ``validation/dataset_config.yaml``.
"""

from __future__ import annotations

import csv
import io
import tarfile
import uuid
from typing import Any

import yaml

from reconciler.emulator.database import Document, Page
from reconciler.emulator.openlayer import bodies, views
from reconciler.emulator.openlayer.judging import Judgement, expected, judged
from reconciler.emulator.openlayer.resources import commit_of, new_task, project_of
from reconciler.emulator.openlayer.storage import COMMITS, TESTS, StoredRow
from reconciler.emulator.openlayer.wire import Call, listed
from reconciler.emulator.rest import Reply, moment

_ROWS, _CONFIG = "validation/dataset.csv", "validation/dataset_config.yaml"
_MOST_BYTES = 16 * 1024 * 1024


def list_commits(call: Call) -> Reply:
    """GET /projects/{project}/versions, newest first."""
    project, query = project_of(call), call.asks(bodies.PageQuery)

    def read(limit: int, offset: int) -> Page:
        return call.store.page(COMMITS, {"project = ?": project["id"]}, limit, offset)

    return Reply(200, listed(call, query, read, lambda doc: views.commit(doc, call.store.task(doc.get("task", "")))))


def create_commit(call: Call) -> Reply:
    """POST /projects/{project}/versions: queued at first, running at the first look, completed at the second."""
    project, sent = project_of(call), call.body(bodies.CommitCreate)
    development = {"project = ?": project["id"], "archived = ?": False, "monitoring = ?": False}
    tests, _ = call.store.page(TESTS, development)
    rows = _rows(call.store.object(sent.storage_uri))
    judgements = [(test, _judged(test, rows)) for test in tests]
    statuses = [judgement.status for _, judgement in judgements]
    at = moment(call.now)
    doc: dict[str, Any] = {"id": str(uuid.uuid4()), "dateCreated": at, "dateUpdated": at}
    unknown = ("statusMessage", "dateArchived", "mlModelId", "trainingDatasetId", "validationDatasetId")
    doc |= dict.fromkeys(unknown)
    doc |= {
        "projectId": project["id"],
        "commit": _details(call, sent),
        "passingGoalCount": statuses.count("passing"),
        "failingGoalCount": statuses.count("failing"),
        "totalGoalCount": len(tests),
        "archived": bool(sent.archived),
        "deploymentStatus": sent.deployment_status,
        "links": views.app_link("versions", doc["id"]),
        "task": new_task(call, f"process_commit(project_id={project['id']})")["taskResultId"],
    }
    call.store.add(COMMITS, doc)
    for test, judgement in judgements:
        _keep_result(call, doc, test, judgement)
    return Reply(201, views.commit(doc, call.store.task(doc["task"])))


def read_commit(call: Call) -> Reply:
    """GET /versions/{version}."""
    doc = commit_of(call)
    return Reply(200, views.commit(doc, call.store.look_at_task(doc.get("task", ""), call.now)))


def _details(call: Call, sent: bodies.CommitCreate) -> Document:
    unknown = ("fileSize", "mlModelId", "trainingDatasetId", "validationDatasetId")
    links = ("gitCommitRef", "gitCommitSha", "gitCommitUrl")
    return {
        **dict.fromkeys((*unknown, *links)),
        "id": str(uuid.uuid4()),
        "authorId": call.store.workspace["creatorId"],
        "message": sent.commit.message,
        "storageUri": sent.storage_uri,
        "dateCreated": moment(call.now),
    }


def _judged(test: Document, rows: list[StoredRow] | None) -> Judgement:
    if rows is None:
        return Judgement("skipped", "The emulator has neither the model nor the datasets of the commit.")
    return judged(test, rows)


def _keep_result(call: Call, commit: Document, test: Document, judgement: Judgement) -> None:
    result = {
        "id": str(uuid.uuid4()),
        "dateCreated": moment(call.now),
        "dateUpdated": moment(call.now),
        "status": judgement.status,
        "statusMessage": judgement.message,
        "inferencePipelineId": None,
        "projectVersionId": commit["id"],
        "goalId": test["id"],
        "goalSnapshot": test,
        "dateDataStarts": None,
        "dateDataEnds": None,
        "expectedValues": expected(test["thresholds"]),
        "value": judgement.values,
    }
    call.store.add_result(result, starts=None, ends=None, task=commit["task"])


def _rows(bundle: bytes | None) -> list[StoredRow] | None:
    """The rows of a bundle; None where there is no bundle, or none that can be read."""
    if bundle is None:
        return None
    try:
        with tarfile.open(fileobj=io.BytesIO(bundle), mode="r:gz") as archive:
            table, config = _content(archive, _ROWS), _content(archive, _CONFIG)
    except (tarfile.TarError, EOFError, OSError):
        return None
    if table is None:
        return None
    meaning = yaml.safe_load(config) if config else {}
    cells = csv.DictReader(io.StringIO(table))
    columns = meaning if isinstance(meaning, dict) else {}
    return [
        StoredRow(number, str(number), 0.0, {name: _cell(text) for name, text in row.items()}, columns)
        for number, row in enumerate(cells)
    ]


def _content(archive: tarfile.TarFile, name: str) -> str | None:
    member = next((each for each in archive if each.name.removeprefix("./") == name and each.isreg()), None)
    file = archive.extractfile(member) if member is not None else None
    return file.read(_MOST_BYTES).decode("utf-8", "replace") if file is not None else None


def _cell(text: object) -> object:
    """A number where it reads as one; nothing where it is empty."""
    if not isinstance(text, str) or text == "":
        return None
    try:
        return float(text)
    except ValueError:
        return text
