"""The seed dialect: the same emulator, as the older third-party spec describes the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.emulator.conftest import Api, Doc

NINE = 1_800_000_000 // 3600 * 3600


@pytest.fixture
def seed(make_api: Callable[..., Api]) -> Api:
    return make_api(dialect="seed", page_cap=2)


def test_errors_have_a_message_and_a_textual_code(seed: Api) -> None:
    answer = seed("GET", "/nothing")
    assert (answer.status_code, answer.json()) == (404, {"code": "404", "message": "Not Found"})


def test_what_the_seed_spec_lacks_is_not_there(seed: Api) -> None:
    project = seed.project()
    assert seed("PATCH", f"/projects/{project['id']}", {"name": "new"}).status_code == 405
    assert seed("GET", "/background-tasks/any").status_code == 404
    assert seed("GET", f"/tests/{seed.test(project)['id']}").status_code == 404
    assert seed("GET", f"/workspaces/{project['workspaceId']}").status_code == 404
    assert seed("GET", "/storage/presigned-url", storageUri="x").status_code == 405


def test_lists_have_no_meta_and_tests_are_not_paged(seed: Api) -> None:
    project = seed.project()
    for _ in range(3):
        seed.test(project)
    assert set(seed.ok("GET", "/projects")) == {"items"}
    page = seed.ok("GET", f"/projects/{project['id']}/tests", page=9, perPage=1, unknown="x")
    assert set(page) == {"items"}
    assert [test["number"] for test in page["items"]] == [1, 2, 3]


def test_a_test_needs_a_name_a_type_and_thresholds(seed: Api) -> None:
    path = f"/projects/{seed.project()['id']}/tests"
    bare = {"measurement": "rowCount", "operator": ">=", "value": 1}
    created = seed.ok("POST", path, {"name": "t", "type": "integrity", "thresholds": [bare]})
    assert (created["subtype"], created["description"]) == (None, None)
    assert created["thresholds"][0]["measurement"] == "rowCount"
    assert seed("POST", path, {"name": "t", "thresholds": [bare]}).status_code == 422


def test_a_pipeline_needs_a_name_only(seed: Api) -> None:
    path = f"/projects/{seed.project()['id']}/inference-pipelines"
    assert seed.ok("POST", path, {"name": "production"})["description"] is None


def test_put_takes_whole_tests_and_answers_them(seed: Api) -> None:
    project = seed.project()
    path = f"/projects/{project['id']}/tests"
    first, second = seed.test(project), seed.test(project)
    sent: list[Doc] = [first | {"name": "Renamed"}, second | {"archived": True}]
    answer = seed.ok("PUT", path, {"tests": sent})
    assert [(test["name"], test["archived"]) for test in answer["items"]] == [
        ("Renamed", False),
        ("Rows arrive", True),
    ]
    assert [test["name"] for test in seed.ok("GET", path)["items"]] == ["Renamed"]
    assert seed("PUT", path, {"payloads": [{"id": first["id"], "name": "x"}]}).status_code == 422
    assert seed("PUT", path, {"tests": [{"id": first["id"], "name": "x"}]}).status_code == 422
    stranger = sent[0] | {"id": "other", "name": "Lost"}
    assert seed("PUT", path, {"tests": [sent[0] | {"name": "Kept out"}, stranger]}).status_code == 422
    assert [test["name"] for test in seed.ok("GET", path)["items"]] == ["Renamed"]


def test_evaluate_needs_no_body_and_answers_the_result(seed: Api) -> None:
    project = seed.project()
    pipeline, test = seed.pipeline(project), seed.test(project)
    path = f"/inference-pipelines/{pipeline['id']}/data-stream"
    body = {"config": {"outputColumnName": "output"}, "rows": [{"output": "x"}]}
    assert seed.ok("POST", path, body) == {"success": "success"}
    answer = seed("POST", f"/tests/{test['id']}/evaluate")
    assert (answer.status_code, answer.json()["status"]) == (200, "passing")
    earlier = {"startTimestamp": NINE - 7200, "endTimestamp": NINE - 3600}
    seed.ok("POST", f"/tests/{test['id']}/evaluate", earlier)
    listed = seed.ok("GET", f"/tests/{test['id']}/results")
    assert set(listed) == {"items"}
    assert [result["status"] for result in listed["items"]] == ["passing", "skipped"]


def test_a_test_without_pipelines_has_no_result_to_answer(seed: Api) -> None:
    assert seed("POST", f"/tests/{seed.test(seed.project())['id']}/evaluate").status_code == 404
