"""The shapes that requests must have: bodies strict to the key, queries read from text.

From the types of the official SDK (openlayer 0.36.0, 2026-11); limits from the vendor's documentation and its legacy
client.  A field without default must be sent; one with a default may be left out, and null is refused unless the
type says otherwise.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator, model_validator
from pydantic.alias_generators import to_camel

TaskType = Literal["llm-base", "tabular-classification", "tabular-regression", "text-classification"]
TestType = Literal["integrity", "consistency", "performance"]
FilterType = Literal["integrity", "consistency", "performance", "fairness", "robustness"]
Operator = Literal["is", ">", ">=", "<", "<=", "!="]
Status = Literal["running", "passing", "failing", "skipped", "error"]

Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Text = Annotated[str, StringConstraints(min_length=1)]
EvaluationWindow = Annotated[float, Field(ge=3600, le=2_419_200)]
Retention = Annotated[int, Field(ge=3)]

PARAMETERS_OF_PII = {"pii_type", "column_name"}


class Body(BaseModel):
    """Strict: no unknown key, no text for a number; keys are camelCase."""

    model_config = ConfigDict(strict=True, extra="forbid", alias_generator=to_camel, allow_inf_nan=False)

    def sent(self) -> dict[str, Any]:
        """The keys that were in the request, and no others."""
        return self.model_dump(by_alias=True, exclude_unset=True)


class Query(BaseModel):
    """A query string: values are text, unknown names are refused."""

    model_config = ConfigDict(extra="forbid", alias_generator=to_camel)


class PageQuery(Query):
    """The paging that every list takes."""

    page: Annotated[int, Field(ge=1)] = 1
    per_page: Annotated[int, Field(ge=1)] = 100


# --- projects and pipelines ------------------------------------------------------------------------------------


class ProjectUpdate(Body):
    """PATCH of a project; ``taskType`` is fixed at creation, so here it is an unknown key."""

    name: Name = ""
    description: str | None = None
    data_retention_days: Retention | None = None
    developer: str | None = Field(default=None, alias="modelDeveloper")
    kinds: list[str] | None = Field(default=None, alias="modelTypes")
    purpose: str | None = None


class ProjectCreate(ProjectUpdate):
    """POST of a project."""

    name: Name
    task_type: TaskType


class ProjectQuery(PageQuery):
    """List of projects."""

    name: str | None = None
    task_type: str | None = None


class WarehouseConfig(Body):
    """Which columns of a warehouse table mean what."""

    ground_truth_column_name: str | None = None
    human_feedback_column_name: str | None = None
    inference_id_column_name: str | None = None
    latency_column_name: str | None = None
    timestamp_column_name: str | None = None


class DefaultBackend(Body):
    """Rows are streamed to Openlayer."""

    backend_type: Literal["default"]


class BigQueryBackend(Body):
    """Rows are read from BigQuery."""

    backend_type: Literal["bigquery"]
    bigquery_connection_id: str | None
    project_id: str
    dataset_id: str
    table_id: str | None
    partition_type: Literal["DAY", "MONTH", "YEAR"] | None = None
    config: WarehouseConfig


class SnowflakeBackend(Body):
    """Rows are read from Snowflake."""

    backend_type: Literal["snowflake"]
    snowflake_connection_id: str | None
    database: str
    namespace: str = Field(alias="schema")
    table: str | None
    config: WarehouseConfig


class DatabricksBackend(Body):
    """Rows are read from Databricks."""

    backend_type: Literal["databricks_dtl"]
    databricks_dtl_connection_id: str | None
    table_id: str | None
    config: WarehouseConfig


class RedshiftBackend(Body):
    """Rows are read from Redshift."""

    backend_type: Literal["redshift"]
    redshift_connection_id: str | None
    schema_name: str
    table_name: str
    config: WarehouseConfig


class PostgresBackend(Body):
    """Rows are read from Postgres."""

    backend_type: Literal["postgres"]
    postgres_connection_id: str | None
    database: str
    namespace: str = Field(alias="schema")
    table: str | None
    config: WarehouseConfig


DataBackend = Annotated[
    DefaultBackend | BigQueryBackend | SnowflakeBackend | DatabricksBackend | RedshiftBackend | PostgresBackend,
    Field(discriminator="backend_type"),
]


class SeedPipelineCreate(Body):
    """POST of a pipeline as the seed spec has it: the description may be left out."""

    name: Name
    description: str | None = None
    data_backend: DataBackend | None = None
    project: dict[str, Any] | None = None
    workspace: dict[str, Any] | None = None


class PipelineCreate(SeedPipelineCreate):
    """POST of a pipeline; ``project`` and ``workspace`` are taken and ignored."""

    description: str | None


class PipelineUpdate(Body):
    """PUT of a pipeline; what is left out stays."""

    name: Name = ""
    description: str | None = None
    reference_dataset_uri: str | None = None


class NamedQuery(PageQuery):
    """List filtered by name."""

    name: str | None = None


class ExpandQuery(Query):
    """GET of a pipeline; ``expand`` is a comma list of ``project`` and ``workspace``."""

    expand: str = ""


# --- tests -----------------------------------------------------------------------------------------------------


class InsightParameter(Body):
    """One parameter of an insight."""

    name: str
    value: Any


class SeedThreshold(Body):
    """A threshold as the seed spec has it: nothing is required but what a comparison needs."""

    insight_name: Text | None = None
    insight_parameters: list[InsightParameter] | None = None
    measurement: Text
    operator: Operator
    value: Any = None
    threshold_mode: Literal["automatic", "manual"] = "manual"

    @field_validator("value")
    @classmethod
    def _is_comparable(cls, value: object) -> object:
        """Numbers are kept as floats, as the server does."""
        if isinstance(value, list) and all(isinstance(item, str) for item in value):
            return value
        if value is None or isinstance(value, bool | str):
            return value
        if isinstance(value, int | float) and math.isfinite(value):
            return float(value)
        raise ValueError("Must be a number, a boolean, a string or a list of strings.")

    @model_validator(mode="after")
    def _has_a_value(self) -> SeedThreshold:
        if self.value is None and self.threshold_mode == "manual":
            raise ValueError("value: Missing data for required field.")
        return self


class Threshold(SeedThreshold):
    """A threshold as the server takes it: it names its insight; parameters are left out rather than null or empty.

    Source of the latter: the vendor's own agent guidance, 2026.
    """

    insight_name: Text
    insight_parameters: Annotated[list[InsightParameter], Field(min_length=1)] = []


class TestFields(Body):
    """What a test has besides its name and thresholds; all of it is fixed at creation."""

    __test__ = False

    description: Any = None
    type: TestType
    archived: bool = False
    uses_ml_model: bool = False
    uses_production_data: bool = False
    uses_reference_dataset: bool = False
    uses_training_dataset: bool = False
    uses_validation_dataset: bool = False
    evaluation_window: EvaluationWindow | None = None
    delay_window: Annotated[float, Field(ge=0)] | None = None
    default_to_all_pipelines: bool | None = None
    include_pipelines: list[str] | None = None
    exclude_pipelines: list[str] | None = None
    include_historical_data: bool | None = None

    @model_validator(mode="after")
    def _targets_one_way(self) -> TestFields:
        if self.include_pipelines and self.default_to_all_pipelines:
            raise ValueError("includePipelines: defaultToAllPipelines must be false to include pipelines one by one.")
        return self


class TestCreate(TestFields):
    """POST of a test."""

    name: Text
    description: Any
    subtype: Text
    thresholds: list[Threshold]

    @model_validator(mode="after")
    def _fits_its_subtype(self) -> TestCreate:
        check_parameters(self.subtype, self.thresholds)
        return self


class SeedTestCreate(TestFields):
    """POST of a test as the seed spec has it."""

    name: Text
    subtype: Text | None = None
    thresholds: list[SeedThreshold]


class TestPayload(Body):
    """One item of a batch PUT: a selector and the only fields that can change."""

    __test__ = False

    id: str
    name: Text = ""
    description: Any = None
    archived: bool = False
    suggested: Literal[False] = False
    thresholds: list[Threshold] = []


class TestsUpdate(Body):
    """Batch PUT of tests."""

    __test__ = False

    payloads: Annotated[list[TestPayload], Field(min_length=1)]


class TestUpdate(Body):
    """PUT of one test."""

    __test__ = False

    name: Text = ""
    description: Any = None
    thresholds: list[Threshold] = []
    archived: bool = False
    paused: bool = False


class SeedTest(BaseModel):
    """A whole test as the seed spec sends it back: what the server fills in is taken and ignored."""

    model_config = ConfigDict(strict=True, alias_generator=to_camel, allow_inf_nan=False)

    id: str
    name: Text
    type: TestType
    subtype: str | None = None
    description: Any = None
    archived: bool = False
    thresholds: list[SeedThreshold] = []


class SeedTestsUpdate(Body):
    """Batch PUT of tests as the seed spec has it."""

    tests: list[SeedTest]


class TestQuery(PageQuery):
    """List of tests."""

    __test__ = False

    include_archived: bool = False
    suggested: bool | None = None
    uses_production_data: bool | None = None
    origin_version_id: str | None = None
    type: FilterType | None = None


def check_parameters(subtype: str, thresholds: Iterable[Threshold]) -> None:
    """Raise ValueError where a subtype's parameters are known and others were given.

    ``containsPii`` wants exactly two; the server says "Length must be 2" (the vendor's agent guidance, 2026).
    """
    for index, threshold in enumerate(thresholds):
        names = {parameter.name for parameter in threshold.insight_parameters or ()}
        if subtype == "containsPii" and names != PARAMETERS_OF_PII:
            raise ValueError(f"thresholds.{index}.insightParameters: Length must be 2: pii_type and column_name.")


# --- commits, evaluations and results --------------------------------------------------------------------------


class CommitDetails(Body):
    """What a commit says of itself; the vendor's clients send ``source``."""

    message: str
    source: str | None = None


class CommitCreate(Body):
    """POST of a commit."""

    commit: CommitDetails
    storage_uri: Text
    archived: bool | None = None
    deployment_status: str | None = None


class Evaluate(Body):
    """POST of an evaluation; times are Unix seconds."""

    start_timestamp: int
    end_timestamp: int
    inference_pipeline_id: str | None = None
    overwrite_results: bool = False


class ResultQuery(PageQuery):
    """List of the results of a pipeline or a commit."""

    status: Status | None = None
    type: FilterType | None = None
    include_archived: bool = False


class TestResultQuery(PageQuery):
    """List of the results of a test; ``status`` is a comma list, times are Unix seconds."""

    __test__ = False

    inference_pipeline_id: str | None = None
    project_version_id: str | None = None
    start_timestamp: float | None = None
    end_timestamp: float | None = None
    status: str = ""
    include_insights: bool = False


# --- rows and storage ------------------------------------------------------------------------------------------


class StreamConfig(Body):
    """What the columns of streamed rows mean, whatever the task type."""

    inference_id_column_name: str | None = None
    latency_column_name: str | None = None
    timestamp_column_name: str | None = None
    metadata: Any = None


class LlmConfig(StreamConfig):
    """Columns of ``llm-base`` rows."""

    output_column_name: str
    input_variable_names: list[str] = []
    prompt: list[dict[str, str]] | None = None
    context_column_name: str | None = None
    question_column_name: str | None = None
    cost_column_name: str | None = None
    ground_truth_column_name: str | None = None
    num_of_token_column_name: str | None = None
    session_id_column_name: str | None = None
    user_id_column_name: str | None = None


class TextClassificationConfig(StreamConfig):
    """Columns of ``text-classification`` rows; labels and predictions count from 0."""

    class_names: list[str]
    label_column_name: str | None = None
    predictions_column_name: str | None = None
    prediction_scores_column_name: str | None = None
    text_column_name: str | None = None


class TabularClassificationConfig(StreamConfig):
    """Columns of ``tabular-classification`` rows.

    The server wants ``categoricalFeatureNames`` although the SDK does not (the vendor's agent guidance, 2026).
    """

    class_names: list[str]
    categorical_feature_names: list[str]
    feature_names: list[str] = []
    label_column_name: str | None = None
    predictions_column_name: str | None = None
    prediction_scores_column_name: str | None = None


class TabularRegressionConfig(StreamConfig):
    """Columns of ``tabular-regression`` rows."""

    categorical_feature_names: list[str] = []
    feature_names: list[str] = []
    predictions_column_name: str | None = None
    target_column_name: str | None = None


class Stream(Body):
    """POST of rows; ``STREAM_CONFIGS`` says what the config must be for the project's task type."""

    config: dict[str, Any]
    rows: list[dict[str, Any]]


STREAM_CONFIGS: dict[str, type[StreamConfig]] = {
    "llm-base": LlmConfig,
    "text-classification": TextClassificationConfig,
    "tabular-classification": TabularClassificationConfig,
    "tabular-regression": TabularRegressionConfig,
}


class RowUpdate(Body):
    """PUT of one row: the columns given replace those stored."""

    row: dict[str, Any]
    config: WarehouseConfig | None = None


class RowId(Query):
    """Which row to PUT."""

    inference_id: str


class ColumnFilter(Body):
    """One condition of a search."""

    measurement: str
    operator: Literal["contains_none", "contains_any", "contains_all", "one_of", "none_of"] | Operator
    value: float | bool | str | list[str | float] | None


class RowSearch(Body):
    """POST of a search for rows; every condition must hold."""

    column_filters: list[ColumnFilter] | None = None
    row_id_list: list[int] | None = None
    exclude_row_id_list: list[int] | None = None
    search_query_and: list[str] | None = None
    search_query_or: list[str] | None = None
    not_search_query_and: list[str] | None = None
    not_search_query_or: list[str] | None = None


class RowQuery(PageQuery):
    """Paging and order of a search for rows."""

    sort_column: str | None = None
    asc: bool = False


class UploadQuery(Query):
    """Where to put a file."""

    object_name: Text


class DownloadQuery(Query):
    """Which file to get."""

    storage_uri: Text
