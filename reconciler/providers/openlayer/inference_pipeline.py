"""An Openlayer inference pipeline, "data source" in the web app.

API: GET and POST /projects/{id}/inference-pipelines, PUT and DELETE /inference-pipelines/{id}.  Names are unique in
a project.  The data backend is fixed at creation; its ``config`` and ``referenceDatasetUri`` are in no read model, and
the latter is accepted by PUT only.  Source: openlayer-python 0.36.0 types/projects/inference_pipeline_create_params.py,
types/inference_pipeline_update_params.py; 2026-11.
"""

from collections.abc import Callable, Sequence
from typing import Annotated, Literal

from pydantic import Field

from reconciler.model.call import Call, Flow, Wire, Write, delete, url_path
from reconciler.model.kind import Kind, Removal, Replace
from reconciler.model.marker import sign, split
from reconciler.model.resource import LiveObject
from reconciler.model.spec import Mark, Part, Spec
from reconciler.model.values import Fields, Json
from reconciler.providers.openlayer.paging import every
from reconciler.providers.openlayer.project import TEXT_LIMIT
from reconciler.providers.openlayer.replies import id_of


class BackendConfig(Part):
    """Which columns of the warehouse table mean what.  The platform never shows these again."""

    ground_truth_column_name: str | None = None
    human_feedback_column_name: str | None = None
    inference_id_column_name: str | None = None
    latency_column_name: str | None = None
    timestamp_column_name: Annotated[str | None, Field(description="Unix seconds.")] = None


class _Warehouse(Part):
    config: Annotated[BackendConfig, Mark.WRITE_ONLY] = Field(default_factory=BackendConfig)


class DefaultBackend(Part):
    """Rows are streamed to the platform."""

    backend_type: Literal["default"]


class BigQuery(_Warehouse):
    """Rows are read from BigQuery."""

    backend_type: Literal["bigquery"]
    bigquery_connection_id: str | None
    project_id: str
    dataset_id: str
    table_id: str | None
    partition_type: Literal["DAY", "MONTH", "YEAR"] | None = None


class Snowflake(_Warehouse):
    """Rows are read from Snowflake."""

    backend_type: Literal["snowflake"]
    snowflake_connection_id: str | None
    database: str
    schema_: Annotated[str, Field(alias="schema")]
    table: str | None


class Databricks(_Warehouse):
    """Rows are read from a Databricks table."""

    backend_type: Literal["databricks_dtl"]
    databricks_dtl_connection_id: str | None
    table_id: str | None


class Redshift(_Warehouse):
    """Rows are read from Redshift."""

    backend_type: Literal["redshift"]
    redshift_connection_id: str | None
    schema_name: str
    table_name: str


class Postgres(_Warehouse):
    """Rows are read from PostgreSQL."""

    backend_type: Literal["postgres"]
    postgres_connection_id: str | None
    database: str
    schema_: Annotated[str, Field(alias="schema")]
    table: str | None


DataBackend = Annotated[
    DefaultBackend | BigQuery | Snowflake | Databricks | Redshift | Postgres, Field(discriminator="backend_type")
]


class InferencePipeline(Spec):
    """A stream of production rows that tests run on."""

    name: Annotated[str, Field(min_length=1, max_length=64, description="Unique in the project.")]
    description: Annotated[str | None, Mark.BLANK_IS_ABSENT, Field(description="What flows through it.")] = None
    data_backend: Annotated[
        DataBackend | None,
        Mark.CREATE_ONLY,
        Mark.NULL_IS_UNWRITTEN,
        Field(description="Where rows come from; fixed at creation."),
    ] = None
    reference_dataset_uri: Annotated[
        str | None, Mark.WRITE_ONLY, Field(description="Storage URI of the dataset that drift tests compare with.")
    ] = None


def _list(parent: str | None, _: Wire) -> Flow[list[Fields]]:
    return every(url_path("projects", str(parent), "inference-pipelines"))


def _read(item: Fields, parent: tuple[str, ...], _: Callable[[str, str], str | None]) -> LiveObject:
    text, op = split(str(item["description"])) if item.get("description") else (None, None)
    fields: Fields = {"name": item["name"], "description": text}
    if item.get("dataBackend") is not None:
        fields["dataBackend"] = item["dataBackend"]
    return LiveObject(
        address=INFERENCE_PIPELINE.address(parent, fields),
        remote_id=str(item["id"]),
        fields=fields,
        op=op,
        rank=(item.get("dateCreated"), str(item["id"])),
        details={"lastRow": item.get("dateLastSampleReceived")},
    )


def stream_rows(remote_id: str, rows: Sequence[Fields], config: Fields) -> Flow[None]:
    """Send rows to a pipeline.  ``config`` says which column means what.

    Source: openlayer-python 0.36.0 types/inference_pipelines/data_stream_params.py, 2026-11.
    """
    body: Fields = {"config": config, "rows": list(rows)}
    yield Call("POST", url_path("inference-pipelines", remote_id, "data-stream"), body=body, repeatable=False)


def _create(write: Write, _: Wire) -> Flow[str]:
    # The description key is required, its value may be null (openlayer-python 0.36.0).
    text: Fields = {
        "name": write.fields["name"],
        "description": sign(write.text("description"), write.op, limit=TEXT_LIMIT),
    }
    backend = _backend(write.fields.get("dataBackend"))
    call = Call(
        "POST",
        url_path("projects", str(write.parent_id), "inference-pipelines"),
        body={**text, "dataBackend": backend} if backend is not None else text,
        repeatable=False,
    )
    remote_id = id_of((yield call), call)
    reference = write.fields.get("referenceDatasetUri")
    if reference is not None:  # POST does not take it
        yield Call("PUT", url_path("inference-pipelines", remote_id), body={**text, "referenceDatasetUri": reference})
    return remote_id


def _backend(written: Json) -> Json:
    """Every warehouse must come with a ``config``, in which everything may be left out (openlayer-python 0.36.0)."""
    if not isinstance(written, dict) or written["backendType"] == "default":
        return written
    return {"config": {}, **written}


def _update(writes: Sequence[Write], _: Wire) -> Flow[None]:
    for write in writes:
        assert write.live is not None
        # Whether PUT resets what is left out is not known: name and description travel together.
        text = sign(write.text_to_send("description"), write.op, limit=TEXT_LIMIT)
        body: Fields = {"name": write.fields["name"], "description": text}
        if "referenceDatasetUri" in write.changed:
            body["referenceDatasetUri"] = write.fields.get("referenceDatasetUri")
        yield Call("PUT", url_path("inference-pipelines", write.live.remote_id), body=body)


def _remove(writes: Sequence[Write], _: Wire) -> Flow[None]:
    for write in writes:
        assert write.live is not None
        yield from delete(url_path("inference-pipelines", write.live.remote_id))


def _tidy(fields: Fields) -> Fields:
    usual = {"backendType": "default"}
    return {name: value for name, value in fields.items() if name != "dataBackend" or value != usual}


INFERENCE_PIPELINE = Kind(
    id="openlayer.InferencePipeline",
    spec=InferencePipeline,
    parent="openlayer.Project",
    plural="pipelines",
    identity=("name",),
    list=_list,
    read=_read,
    create=_create,
    update=_update,
    remove=_remove,
    removal=Removal.DELETE,
    replace=Replace.REFUSE,
    refusal_hint="a new data backend needs a new pipeline: declare it under another name, then remove this one",
    unique_names=True,
    marker="description",
    tidy=_tidy,
    example={"name": "production", "description": "Live traffic"},
)
