"""Answer for datasets: where to put a file, what is in it, and where to get it back."""

from __future__ import annotations

import csv
import io
import uuid
from pathlib import PurePosixPath

from reconciler.emulator.database import Document
from reconciler.emulator.digitalocean import bodies, views
from reconciler.emulator.digitalocean.spaces import presigned
from reconciler.emulator.digitalocean.wire import Call, found
from reconciler.emulator.rest import ApiError, moment

MOST_ROWS = 1000
csv.field_size_limit(2**30)  # of the file's size: no other limit of a cell is known

# The column that must be there and the one that may, by the type of dataset.
_COLUMNS = {
    "EVALUATION_DATASET_TYPE_UNKNOWN": ("query", "expected_response"),
    "EVALUATION_DATASET_TYPE_MODEL": ("input", "ground_truth"),
}

Row = dict[str, str]


def request_uploads(call: Call) -> Document:
    """POST /evaluation_datasets/file_upload_presigned_urls: one URL for each file.  The emulator takes CSV only."""
    sent = call.body(bodies.UploadsCreate)
    for index, file in enumerate(sent.files):
        if PurePosixPath(file.file_name).suffix.lower() != ".csv":
            raise ApiError(422, f"files.{index}.file_name: Is not a .csv file.")
    return {"request_id": str(uuid.uuid4()), "uploads": [_upload(call, file.file_name) for file in sent.files]}


def _upload(call: Call, file_name: str) -> Document:
    expires_s = int(call.now) + call.upload_ttl_s
    key = f"evaluation-datasets/{uuid.uuid4()}/{PurePosixPath(file_name).name}"
    return {
        "original_file_name": file_name,
        "object_key": key,
        "presigned_url": presigned(call.store, call.origin, "PUT", key, expires_s),
        "expires_at": moment(expires_s),
    }


def list_datasets(call: Call) -> Document:
    """GET /evaluation_datasets: all that fit the filters."""
    query = call.asks(bodies.DatasetQuery)
    docs = call.store.datasets(query.dataset_type, query.dataset_paradigm, query.has_ground_truth)
    return {"evaluation_datasets": [views.dataset(doc) for doc in docs]}


def create_dataset(call: Call) -> Document:
    """POST /evaluation_datasets: register an uploaded file.  Names need not be unique; only the uuid comes back."""
    sent = call.body(bodies.DatasetCreate)
    content = _uploaded(call, sent.file_upload_dataset)
    rows = read_rows(content, sent.dataset_type)
    doc = {
        "dataset_uuid": str(uuid.uuid4()),
        "dataset_name": sent.name,
        "dataset_type": sent.dataset_type,
        "dataset_paradigm": sent.dataset_paradigm,
        "file_size": str(len(content)),
        "row_count": len(rows),
        "has_ground_truth": _COLUMNS[sent.dataset_type][1] in rows[0],
        "created_at": moment(call.now),
        "object_key": sent.file_upload_dataset.stored_object_key,
    }
    call.store.put_dataset(doc)
    return {"evaluation_dataset_uuid": doc["dataset_uuid"]}


def _uploaded(call: Call, file: bodies.StoredFile) -> bytes:
    content = call.store.object(file.stored_object_key)
    if content is None:
        raise ApiError(422, "file_upload_dataset.stored_object_key: Nothing was uploaded there.")
    if len(content) != file.size_in_bytes:
        raise ApiError(422, f"file_upload_dataset.size_in_bytes: The file has {len(content)} bytes.")
    return content


def read_rows(content: bytes, dataset_type: str) -> list[Row]:
    """The rows of a CSV file by its header.  Raises ApiError 422 for what cannot be evaluated.

    There is at least one row and at most MOST_ROWS; the column that holds the prompt is never empty.
    """
    needed, _ = _COLUMNS[dataset_type]
    try:
        table = list(csv.reader(io.StringIO(content.decode("utf-8"), newline=""), strict=True))
    except UnicodeDecodeError as error:
        raise ApiError(422, "The file is not UTF-8.") from error
    except csv.Error as error:
        raise ApiError(422, f"The file is not CSV: {error}.") from error
    header, *lines = [line for line in table if line] or [[]]
    if needed not in header:
        raise ApiError(422, f'The file has no column "{needed}".')
    for name in header:
        if header.count(name) > 1:
            raise ApiError(422, f'The file has the column "{name}" more than once.')
    if not 1 <= len(lines) <= MOST_ROWS:
        raise ApiError(422, f"The file has {len(lines)} rows; it must have 1 to {MOST_ROWS}.")
    for number, line in enumerate(lines, 1):
        if len(line) != len(header):
            raise ApiError(422, f"Row {number} has {len(line)} cells; the header has {len(header)}.")
        if not line[header.index(needed)].strip():
            raise ApiError(422, f'Row {number} has no "{needed}".')
    return [dict(zip(header, line, strict=True)) for line in lines]


def _dataset_of(call: Call) -> Document:
    return found("evaluation dataset", call.store.dataset(call.path["dataset"]))


def delete_dataset(call: Call) -> Document:
    """DELETE /evaluation_datasets/{dataset}, whether or not a test case uses it."""
    call.store.delete_dataset(_dataset_of(call)["dataset_uuid"])
    return {}


def download_url(call: Call) -> Document:
    """GET /evaluation_datasets/{dataset}/download_url: the bytes as they were uploaded."""
    expires_s = int(call.now) + call.upload_ttl_s
    url = presigned(call.store, call.origin, "GET", _dataset_of(call)["object_key"], expires_s)
    return {"download_url": url, "expires_at": moment(expires_s)}
