"""Answer for data: rows that are streamed, searched and mended, and files that are uploaded."""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote

from reconciler.emulator.database import Document
from reconciler.emulator.openlayer import bodies, views
from reconciler.emulator.openlayer.resources import pipeline_of
from reconciler.emulator.openlayer.storage import PROJECTS, StoredRow
from reconciler.emulator.openlayer.wire import Call, listed
from reconciler.emulator.rest import ApiError, Reply, validated

_SCHEME = "local://"


def stream(call: Call) -> Reply:
    """POST /inference-pipelines/{pipeline}/data-stream; the config must fit the project's task type."""
    pipeline, sent = pipeline_of(call), call.body(bodies.Stream)
    project = call.store.get(PROJECTS, pipeline["projectId"])
    model = bodies.STREAM_CONFIGS[project["taskType"] if project else "llm-base"]
    config = validated(model, sent.config, inside="config.").sent()
    rows = [_timed(call, config, index, row) for index, row in enumerate(sent.rows)]
    call.store.add_rows(pipeline["id"], config, rows)
    return Reply(200, {"success": "success" if call.dialect == "seed" else True})


def _timed(call: Call, config: Document, index: int, row: Document) -> tuple[str, float, Document]:
    """(inference id, time, cells): the time of the row, else of its arrival; an id of the row, else a new one."""
    column = config.get("timestampColumnName")
    at = row.get(column, call.now) if column else call.now
    if isinstance(at, bool) or not isinstance(at, int | float) or not views.EARLIEST_S <= at < views.LATEST_S:
        raise ApiError(422, f"rows.{index}.{column}: Must be a UNIX timestamp in seconds.")
    inference = row.get(config.get("inferenceIdColumnName") or "")
    return str(uuid.uuid4() if inference is None else inference), float(at), row


# --- rows ------------------------------------------------------------------------------------------------------


def search_rows(call: Call) -> Reply:
    """POST /inference-pipelines/{pipeline}/rows: a search, although it is a POST."""
    pipeline, query, sent = pipeline_of(call), call.asks(bodies.RowQuery), call.body(bodies.RowSearch)
    found = [row for row in call.store.rows(pipeline["id"]) if _is_found(row, sent)]
    if query.sort_column:
        column = query.sort_column
        found.sort(key=lambda row: _order(row.cells.get(column)), reverse=not query.asc)
    shown = [{**row.cells, "openlayer_row_id": row.number} for row in found]

    def read(limit: int, offset: int) -> tuple[list[Document], int]:
        return shown[offset : offset + limit], len(shown)

    return Reply(200, listed(call, query, read, dict))


def _order(cell: object) -> tuple[int, float, str]:
    """Nulls, then numbers, then everything else as text."""
    if cell is None:
        return (0, 0.0, "")
    if isinstance(cell, int | float):
        return (1, float(cell), "")
    return (2, 0.0, str(cell))


def _is_found(row: StoredRow, search: bodies.RowSearch) -> bool:
    text = json.dumps(row.cells, ensure_ascii=False).lower()

    def holds(words: list[str] | None, quantify: Callable[..., bool]) -> bool:
        return quantify(word.lower() in text for word in words or ())

    return (
        all(_passes(row, condition) for condition in search.column_filters or ())
        and (search.row_id_list is None or row.number in search.row_id_list)
        and row.number not in (search.exclude_row_id_list or ())
        and holds(search.search_query_and, all)
        and (not search.search_query_or or holds(search.search_query_or, any))
        and not (search.not_search_query_and and holds(search.not_search_query_and, all))
        and not holds(search.not_search_query_or, any)
    )


def _passes(row: StoredRow, condition: bodies.ColumnFilter) -> bool:
    cell, wanted = row.cells.get(condition.measurement), condition.value
    many = wanted if isinstance(wanted, list) else [wanted]
    inside = cell if isinstance(cell, list) else [cell]
    match condition.operator:
        case "is":
            return bool(cell == wanted)
        case "!=":
            return bool(cell != wanted)
        case "one_of":
            return cell in many
        case "none_of":
            return cell not in many
        case "contains_any":
            return any(each in inside for each in many)
        case "contains_all":
            return all(each in inside for each in many)
        case "contains_none":
            return not any(each in inside for each in many)
        case ">" | ">=" | "<" | "<=" as sign:
            return _compares(cell, sign, wanted)


def _compares(cell: object, sign: str, wanted: object) -> bool:
    """Numbers only; a cell that is none is never found."""
    if not isinstance(cell, int | float) or not isinstance(wanted, int | float):
        return False
    return {">": cell > wanted, ">=": cell >= wanted, "<": cell < wanted, "<=": cell <= wanted}[sign]


def _row_of(call: Call, inference_id: str) -> StoredRow:
    row = call.store.row(pipeline_of(call)["id"], inference_id)
    if row is None:
        raise ApiError(404, "There is no row with this inference id.")
    return row


def read_row(call: Call) -> Reply:
    """GET /inference-pipelines/{pipeline}/rows/{inference}."""
    row = _row_of(call, call.path["inference"])
    return Reply(200, {"inferenceId": row.inference_id, "row": row.cells, "success": True})


def update_row(call: Call) -> Reply:
    """PUT /inference-pipelines/{pipeline}/rows?inferenceId=…"""
    row = _row_of(call, call.asks(bodies.RowId).inference_id)
    call.store.put_row(row, {**row.cells, **call.body(bodies.RowUpdate).row})
    return Reply(200, {"success": True})


def delete_row(call: Call) -> Reply:
    """DELETE /inference-pipelines/{pipeline}/rows/{inference}."""
    if not call.store.delete_rows(pipeline_of(call)["id"], call.path["inference"]):
        raise ApiError(404, "There is no row with this inference id.")
    return Reply(204)


# --- files -----------------------------------------------------------------------------------------------------


def upload_url(call: Call) -> Reply:
    """POST /storage/presigned-url: where to PUT a file, and what to call it afterwards."""
    name = f"{uuid.uuid4()}/{call.asks(bodies.UploadQuery).object_name}"
    return Reply(200, {"url": _object_url(call, name), "storageUri": f"{_SCHEME}{name}", "fields": {}})


def download_url(call: Call) -> Reply:
    """GET /storage/presigned-url: where to GET a file."""
    uri = call.asks(bodies.DownloadQuery).storage_uri
    if call.store.object(uri) is None:
        raise ApiError(404, "There is no such object.")
    return Reply(200, {"url": _object_url(call, uri.removeprefix(_SCHEME))})


def _object_url(call: Call, name: str) -> str:
    return f"{call.origin}/v1/storage/objects/{quote(name)}"


def object_uri(path: Mapping[str, Any]) -> str:
    """What an uploaded file is called, from the path of its presigned URL."""
    return f"{_SCHEME}{path['name']}"
