"""The vendor's own SDK works against the emulator, over a socket."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from reconciler.emulator.app import create_app
from reconciler.emulator.server import running

if TYPE_CHECKING:
    from openlayer import Openlayer

NINE = 1_800_000_000 // 3600 * 3600


@pytest.fixture(scope="module")
def client() -> Iterator[Openlayer]:
    """The SDK without its retries, so that a refusal shows at once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from openlayer import Openlayer
    app = create_app(api_key="secret", now=lambda: NINE + 60.0)
    with running(app) as url, Openlayer(api_key="secret", base_url=f"{url}/v1", max_retries=0) as client:
        yield client


@pytest.fixture
def project_id(client: Openlayer, request: pytest.FixtureRequest) -> str:
    return client.projects.create(name=request.node.name[:64], task_type="llm-base").id


THRESHOLD: Any = {"insight_name": "metrics", "measurement": "rowCount", "operator": ">=", "value": 2}


def monitoring_test(client: Openlayer, project_id: str) -> str:
    return client.projects.tests.create(
        project_id,
        name="Rows arrive",
        description=None,
        type="integrity",
        subtype="rowCount",
        thresholds=[THRESHOLD],
        uses_production_data=True,
        evaluation_window=3600,
    ).id


def test_projects(client: Openlayer) -> None:
    created = client.projects.create(name="sdk", task_type="llm-base", description="Bot", data_retention_days=30)
    assert (created.name, created.task_type, created.goal_count, created.source) == ("sdk", "llm-base", 0, "api")
    changed = client.projects.update(created.id, description=None, model_types=["gpt"])
    assert (changed.description, changed.api_model_types, changed.data_retention_days) == (None, ["gpt"], 30)
    assert [project.id for project in client.projects.list(name="sdk").items] == [created.id]
    client.projects.delete(created.id)
    assert client.projects.list(name="sdk").items == []


def test_refusals_are_the_errors_the_sdk_knows(client: Openlayer, project_id: str) -> None:
    import openlayer

    name = client.projects.list(per_page=100).items[-1].name
    with pytest.raises(openlayer.ConflictError):
        client.projects.create(name=name, task_type="llm-base")
    with pytest.raises(openlayer.UnprocessableEntityError, match="String should have at least 1 character"):
        client.projects.update(project_id, name="")
    with pytest.raises(openlayer.NotFoundError):
        client.inference_pipelines.retrieve("00000000-0000-0000-0000-000000000000")
    with pytest.raises(openlayer.AuthenticationError):
        client.with_options(api_key="wrong").projects.list()


def test_pipelines(client: Openlayer, project_id: str) -> None:
    created = client.projects.inference_pipelines.create(
        project_id,
        name="production",
        description="Live",
        data_backend={
            "backend_type": "bigquery",
            "bigquery_connection_id": None,
            "project_id": "p",
            "dataset_id": "d",
            "table_id": "t",
            "config": {"timestamp_column_name": "at"},
        },
    )
    assert (created.project_id, created.status) == (project_id, "queued")
    assert created.data_backend is not None
    assert created.data_backend.backend_type == "bigquery"
    changed = client.inference_pipelines.update(created.id, name="prod", reference_dataset_uri="s3://b/r.tar.gz")
    assert (changed.name, changed.description) == ("prod", "Live")
    shown = client.inference_pipelines.retrieve(created.id, expand=["project", "workspace"])
    assert shown.project is not None
    assert shown.workspace is not None
    assert (shown.project.id, shown.workspace.id) == (project_id, shown.workspace_id)
    assert client.workspaces.retrieve(shown.workspace.id).status == "active"
    assert [each.name for each in client.projects.inference_pipelines.list(project_id).items] == ["prod"]
    client.inference_pipelines.delete(created.id)
    assert client.projects.inference_pipelines.list(project_id).items == []


def test_tests(client: Openlayer, project_id: str) -> None:
    test_id = monitoring_test(client, project_id)
    (shown,) = client.projects.tests.list(project_id, uses_production_data=True, suggested=False).items
    assert (shown.id, shown.number, shown.thresholds[0].value) == (test_id, 1, 2.0)
    answer = client.projects.tests.update(project_id, payloads=[{"id": test_id, "archived": True, "name": "Old"}])
    assert answer.task_result_id is not None
    assert client.background_tasks.retrieve(answer.task_result_id).complete is False
    assert client.background_tasks.retrieve(answer.task_result_id).complete is True
    assert client.projects.tests.list(project_id).items == []
    (archived,) = client.projects.tests.list(project_id, include_archived=True).items
    assert (archived.name, archived.date_archived is not None) == ("Old", True)


def test_streamed_rows_are_evaluated_and_their_results_read(client: Openlayer, project_id: str) -> None:
    pipeline = client.projects.inference_pipelines.create(project_id, name="production", description=None)
    test_id = monitoring_test(client, project_id)
    streamed = client.inference_pipelines.data.stream(
        pipeline.id,
        config={"output_column_name": "output", "timestamp_column_name": "at", "inference_id_column_name": "id"},
        rows=[{"output": "a", "at": NINE, "id": "1"}, {"output": "b", "at": NINE + 1, "id": "2"}],
    )
    assert streamed.success is True
    evaluation = client.tests.evaluate(test_id, start_timestamp=NINE, end_timestamp=NINE + 60)
    (task,) = evaluation.tasks
    assert (evaluation.pipeline_count, task.pipeline_id) == (1, pipeline.id)
    looks = [client.background_tasks.retrieve(task.task_result_id) for _ in range(2)]
    assert [(look.complete, look.progress, look.error) for look in looks] == [(False, 50, None), (True, 100, None)]
    (result,) = client.tests.list_results(
        test_id, status=["passing", "failing"], inference_pipeline_id=pipeline.id
    ).items
    assert (result.status, result.goal_id, result.inference_pipeline_id) == ("passing", test_id, pipeline.id)
    assert result.goal is not None
    assert result.goal.name == "Rows arrive"
    assert result.expected_values is not None
    assert (result.expected_values[0].measurement, result.expected_values[0].lower_threshold) == ("rowCount", 2.0)
    (same,) = client.inference_pipelines.test_results.list(pipeline.id, status="passing").items
    assert same.id == result.id
    shown = client.inference_pipelines.retrieve(pipeline.id)
    assert (shown.passing_goal_count, shown.total_goal_count, shown.total_records_count) == (1, 1, 2)
    assert client.inference_pipelines.rows.retrieve("1", inference_pipeline_id=pipeline.id).success is True
    client.inference_pipelines.rows.update(pipeline.id, inference_id="1", row={"output": "c"})
    found = client.inference_pipelines.rows.list(pipeline.id, search_query_and=["c"])
    assert len(found.items) == 1


def test_commits(client: Openlayer, project_id: str) -> None:
    place = client.storage.presigned_url.create(object_name="bundle.tar.gz")
    commit = client.projects.commits.create(project_id, commit={"message": "m"}, storage_uri=place.storage_uri)
    assert commit.status == "queued"
    assert [client.commits.retrieve(commit.id).status for _ in range(2)] == ["running", "completed"]
    assert [each.id for each in client.projects.commits.list(project_id).items] == [commit.id]
    assert client.commits.test_results.list(commit.id).items == []
