"""The shapes that requests must have: bodies strict to the key, queries read from text.

From pydo 0.44.0 and the OpenAPI document (2026-08).  There every property is optional; a field without default here
is one that the official clients treat as required.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, model_validator

Text = Annotated[str, StringConstraints(min_length=1)]
Uuids = list[Text]
DatasetType = Literal["EVALUATION_DATASET_TYPE_UNKNOWN", "EVALUATION_DATASET_TYPE_MODEL"]
Paradigm = Literal[
    "EVALUATION_DATASET_PARADIGM_SINGLE_TURN",
    "EVALUATION_DATASET_PARADIGM_MULTI_TURN",
    "EVALUATION_DATASET_PARADIGM_CODING",
    "EVALUATION_DATASET_PARADIGM_N_PLUS_1",
]
LONGEST_FILE_BYTES = 1_000_000_000


def _whole(value: object) -> object:
    """Protobuf's JSON takes a 64-bit number as a number and as text."""
    return int(value) if isinstance(value, str) and value.isdecimal() else value


FileSize = Annotated[int, BeforeValidator(_whole), Field(ge=1, le=LONGEST_FILE_BYTES)]


class Body(BaseModel):
    """Strict: no unknown key, no text for a number."""

    model_config = ConfigDict(strict=True, extra="forbid", allow_inf_nan=False)

    def sent(self) -> dict[str, Any]:
        """The keys that were in the request, and no others."""
        return self.model_dump(exclude_unset=True, exclude_none=True)


class Query(BaseModel):
    """A query string: values are text, unknown names are refused."""

    model_config = ConfigDict(extra="forbid")


class PageQuery(Query):
    """The paging of lists that have pages; of the others it is ignored."""

    page: Annotated[int, Field(ge=1)] = 1
    per_page: Annotated[int, Field(ge=1)] = 20


class AgentQuery(PageQuery):
    """Lists of agents."""

    only_deployed: bool = False


class DatasetQuery(PageQuery):
    """List of datasets; what is not asked for does not filter."""

    dataset_type: DatasetType | None = None
    dataset_paradigm: Paradigm | None = None
    has_ground_truth: bool | None = None


class TestCaseQuery(PageQuery):
    """List of test cases; neither name is documented, but official clients send them."""

    workspace_uuid: str | None = None
    agent_workspace_name: str | None = None


class VersionQuery(PageQuery):
    """One version of a test case; 0, the zero of protobuf, asks for none in particular."""

    evaluation_test_case_version: Annotated[int, Field(ge=0)] = 0


# --- workspaces ------------------------------------------------------------------------------------------------


class WorkspaceCreate(Body):
    """POST of a workspace."""

    name: Text
    description: str = ""
    agent_uuids: Uuids = []


class WorkspaceUpdate(Body):
    """PUT of a workspace; what is not sent stays."""

    workspace_uuid: str = ""
    name: Text = ""
    description: str = ""


class AgentsMove(Body):
    """PUT of agents into a workspace."""

    workspace_uuid: str = ""
    agent_uuids: Annotated[Uuids, Field(min_length=1)]


# --- datasets --------------------------------------------------------------------------------------------------


class UploadFile(Body):
    """A file that will be uploaded."""

    file_name: Text
    file_size: FileSize


class UploadsCreate(Body):
    """POST for presigned URLs."""

    files: Annotated[list[UploadFile], Field(min_length=1)]


class StoredFile(Body):
    """A file that has been uploaded."""

    original_file_name: Text
    stored_object_key: Text
    size_in_bytes: FileSize


class DatasetCreate(Body):
    """POST of a dataset."""

    name: Text
    file_upload_dataset: StoredFile
    dataset_type: DatasetType = "EVALUATION_DATASET_TYPE_UNKNOWN"
    dataset_paradigm: Paradigm = "EVALUATION_DATASET_PARADIGM_SINGLE_TURN"


# --- test cases and runs ---------------------------------------------------------------------------------------


class StarMetric(Body):
    """The one metric that decides."""

    metric_uuid: Text
    name: str = ""
    success_threshold: float = 0.0
    success_threshold_pct: Annotated[int, Field(ge=0, le=100)] = 0

    @model_validator(mode="after")
    def _one_form(self) -> Self:
        if self.thresholds > 1:
            raise ValueError("success_threshold and success_threshold_pct exclude each other")
        return self

    @property
    def thresholds(self) -> int:
        """How many forms of the threshold were sent."""
        return len(self.model_fields_set & {"success_threshold", "success_threshold_pct"})


class TestCaseCreate(Body):
    """POST of a test case; ``metrics`` is a plain list."""

    name: Text
    description: str = ""
    dataset_uuid: Text
    metrics: Annotated[Uuids, Field(min_length=1)]
    star_metric: StarMetric
    workspace_uuid: Text = ""
    agent_workspace_name: Text = ""

    @model_validator(mode="after")
    def _one_workspace(self) -> Self:
        if bool(self.workspace_uuid) == bool(self.agent_workspace_name):
            raise ValueError("send workspace_uuid or agent_workspace_name, and not both")
        return self


class MetricUuids(Body):
    """What ``metrics`` is wrapped in on update."""

    metric_uuids: Annotated[Uuids, Field(min_length=1)]


class TestCaseUpdate(Body):
    """PUT of a test case; what is not sent stays."""

    test_case_uuid: str = ""
    name: Text = ""
    description: str = ""
    dataset_uuid: Text = ""
    metrics: MetricUuids | None = None
    star_metric: StarMetric | None = None


class RunCreate(Body):
    """POST of evaluation runs, one for each agent."""

    test_case_uuid: Text
    run_name: Text
    agent_uuids: Uuids = []
    agent_deployment_names: list[Text] = []
