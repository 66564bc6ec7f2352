"""A DigitalOcean evaluation dataset, told apart by its content.

API: three requests make one: a presigned URL, a PUT of the bytes to it (another host: no credential goes there),
and POST /evaluation_datasets.  There is no update and no GET by id, names may repeat, and no checksum is kept: so the
content's digest stands in the name, ``faq-3fa9c1d2e4b5``, and other content is another dataset.
Source: pydo 0.44.0, gradient-adk @1894857 and mcp-digitalocean (upload flow), docs "How to Create an Evaluation
Dataset"; 2026-08.
"""

import codecs
import csv
import io
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated

from pydantic import Field

from reconciler.errors import NotApplied, ReadFailed
from reconciler.model.call import Call, Flow, Upload, Wire, Write, delete
from reconciler.model.kind import Kind, Replace
from reconciler.model.resource import LiveObject
from reconciler.model.spec import Mark, Spec
from reconciler.model.values import DIGEST_DIGITS, Fields, Json, counted
from reconciler.providers.bodies import listed
from reconciler.providers.digitalocean.routes import at, text_of, whole_list, whole_number
from reconciler.providers.digitalocean.workspace import uuid_in

MOST_ROWS = 1_000
csv.field_size_limit(2**30)  # that of a whole file: the platform has no other for a cell
_OTHER_TYPES = ("EVALUATION_DATASET_TYPE_MODEL", "EVALUATION_DATASET_TYPE_ADK")
_OTHER_PARADIGMS = tuple(f"EVALUATION_DATASET_PARADIGM_{each}" for each in ("MULTI_TURN", "CODING", "N_PLUS_1"))
"""Of what no test case takes.  What is new there may be what ours are called one day, and is not ruled out."""
_NAMED = re.compile(rf"(?P<name>.+)-(?P<digest>[0-9a-f]{{{DIGEST_DIGITS}}})")


class EvaluationDataset(Spec):
    """A CSV file of prompts: column ``query``, and ``expected_response`` for metrics that compare."""

    name: Annotated[str, Field(min_length=1, max_length=100, description="The name, without the digest.")]
    file: Annotated[str, Mark.FILE, Mark.CREATE_ONLY, Field(description="A CSV file, relative to this manifest.")]


def check_csv(content: bytes) -> Sequence[tuple[int, str]]:
    """(line, message) for everything that the platform would refuse, or evaluate to nothing.

    Source: docs.digitalocean.com "How to Create an Evaluation Dataset" and "Evaluations Limits", 2026-08.
    """
    if content.startswith(codecs.BOM_UTF8):
        what = "the file begins with a byte-order mark, which would be a part of the first column's name"
        return [(1, f"{what}; save it as UTF-8 without one")]
    try:
        text = content.decode("utf-8")
    except UnicodeDecodeError as error:
        return [(content[: error.start].count(b"\n") + 1, "this is not UTF-8")]
    return list(_check_rows(text))


def _check_rows(text: str) -> Iterator[tuple[int, str]]:
    # Not strict, what follows a quotation mark that nothing closes would be one cell, however many lines it has.
    reader, begins = csv.reader(io.StringIO(text, newline=""), strict=True), 1
    try:
        header = next(reader, [])
        if "query" not in header:
            shown = ", ".join(header) or "nothing"
            yield 1, f'the header has no column "query" (it has {shown}); the name is case-sensitive'
            return
        for name in sorted({name for name in header if header.count(name) > 1}):
            yield 1, f'the header has the column "{name}" more than once'
        place, count, begins = header.index("query"), 0, reader.line_num + 1
        for row in reader:
            count, begins = count + 1, reader.line_num + 1
            if not row:
                yield reader.line_num, "the line is empty; remove it"
            elif len(row) != len(header):
                yield reader.line_num, f"{counted(len(row), 'cell')} under {counted(len(header), 'column')}"
            elif not row[place].strip():
                yield reader.line_num, "the query is empty"
    except csv.Error as error:
        is_open = "end of data" in str(error)
        why = "a cell begins with a quotation mark that nothing closes" if is_open else str(error)
        yield begins, f"this is not CSV: {why}"
        return
    if not count:
        yield 1, "there are no rows"
    if count > MOST_ROWS:
        yield MOST_ROWS + 2, f"{count:,} rows; the platform takes {MOST_ROWS:,}"


def columns(content: bytes) -> frozenset[str]:
    """The names in the header of a file; what is wrong with it, ``check_csv`` says."""
    try:
        return frozenset(next(csv.reader(io.StringIO(content.decode("utf-8-sig"), newline="")), []))
    except (UnicodeDecodeError, csv.Error):
        return frozenset()


def remote_name(fields: Fields) -> str:
    """The name at the platform: the logical one and the beginning of the content's digest."""
    file = fields["file"]
    assert isinstance(file, dict)
    return f"{fields['name']}-{str(file['sha256'])[:DIGEST_DIGITS]}"


def _list(_: str | None, __: Wire) -> Flow[list[Fields]]:
    return whole_list(at("evaluation_datasets"), "evaluation_datasets", "dataset_uuid")


def _read(item: Fields, _: tuple[str, ...], __: Callable[[str, str], str | None]) -> LiveObject | None:
    full = text_of(item.get("dataset_name"))
    if item.get("dataset_type") in _OTHER_TYPES or item.get("dataset_paradigm") in _OTHER_PARADIGMS:
        return None
    found = _NAMED.fullmatch(full or "")
    file: dict[str, Json] = {"bytes": whole_number(item.get("file_size"))}
    if found:
        file["sha256"] = found["digest"]
    fields: Fields = {"name": found["name"] if found else full, "file": file}
    return LiveObject(
        address=EVALUATION_DATASET.address((), fields),
        remote_id=str(item["dataset_uuid"]),
        fields=fields,
        rank=(item.get("created_at"), str(item["dataset_uuid"])),
        details={"rows": whole_number(item.get("row_count"))},
    )


def _create(write: Write, _: Wire) -> Flow[str]:
    path, file = write.files["file"], write.fields["file"]
    assert isinstance(file, dict)
    name = f"{remote_name(write.fields)}.csv"
    upload = yield from _upload(name, Upload(path, _size(file), str(file["sha256"])))
    register = Call(
        "POST",
        at("evaluation_datasets"),
        body={
            "name": remote_name(write.fields),
            "file_upload_dataset": {
                "original_file_name": name,
                "stored_object_key": upload.get("object_key"),
                "size_in_bytes": _size(file),
            },
        },
        repeatable=False,
    )
    reply = yield register
    return uuid_in(reply.body, "evaluation_dataset_uuid", register, reply.status)


def _size(file: Fields) -> int:
    size = file["bytes"]
    assert isinstance(size, int)
    return size


def _upload(name: str, file: Upload) -> Flow[Fields]:
    """Put the file where the platform can fetch it; an address that has expired meanwhile is asked for once more.

    Asking for an address, or leaving a file that nobody registers, changes nothing that anybody sees.
    """
    presign = Call(
        "POST",
        at("evaluation_datasets", "file_upload_presigned_urls"),
        body={"files": [{"file_name": name, "file_size": file.size}]},
    )
    for last in (False, True):
        reply = yield presign
        upload = _first_of(reply.body)
        if not upload.get("presigned_url"):
            raise NotApplied("the answer holds no address to upload to", method="POST", path=presign.path)
        try:
            yield Call("PUT", presign.path, elsewhere=str(upload["presigned_url"]), upload=file)
        except NotApplied as error:
            if last or error.status is None:  # never sent
                raise
        else:
            break
    return upload


def _first_of(body: Json) -> Fields:
    uploads = listed(body.get("uploads")) if isinstance(body, dict) else []
    return next((each for each in uploads if isinstance(each, dict)), {})


def _remove(writes: Sequence[Write], _: Wire) -> Flow[None]:
    """What deleting does to test cases that use it is not stated; some may stand in workspaces that are not ours."""
    cases = yield from whole_list(at("evaluation_test_cases"), "evaluation_test_cases", "test_case_uuid")
    for write in writes:
        assert write.live is not None
        users = [case for case in cases if not case.get("archived_at") and _uses(case, write.live.remote_id)]
        if users:
            names = ", ".join(f'"{case.get("name")}"' for case in users[:3])
            raise NotApplied(
                f"not sent: the dataset is in use by {names}",
                method="DELETE",
                path=at("evaluation_datasets", write.live.remote_id),
                hint="point these test cases elsewhere first",
            )
        yield from delete(at("evaluation_datasets", write.live.remote_id))


def _content(dataset_id: str) -> Flow[bytes]:
    """The file as it was uploaded, from another host; nobody says that it comes back byte for byte."""
    path = at("evaluation_datasets", dataset_id, "download_url")
    reply = yield Call("GET", path)
    address = reply.body.get("download_url") if isinstance(reply.body, dict) else None
    if not address:
        raise ReadFailed("the answer holds no address to download from", method="GET", path=path)
    reply = yield Call("GET", path, elsewhere=str(address))
    return reply.content


def _uses(case: Fields, dataset_id: str) -> bool:
    dataset = case.get("dataset")
    inside = dataset.get("dataset_uuid") if isinstance(dataset, dict) else None
    return dataset_id in (case.get("dataset_uuid"), inside)


EVALUATION_DATASET = Kind(
    id="digitalocean.EvaluationDataset",
    spec=EvaluationDataset,
    declared_in="digitalocean.Workspace",
    plural="datasets",
    identity=("name",),
    list=_list,
    read=_read,
    create=_create,
    remove=_remove,
    replace=Replace.CREATE_THEN_RETIRE,
    check_file=check_csv,
    holds=columns,
    content=_content,
    example={"name": "faq", "file": "faq.csv"},
)
