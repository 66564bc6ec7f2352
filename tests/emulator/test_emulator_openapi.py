"""Every answer that the third-party OpenAPI document describes is as it describes it.

The document has no ``additionalProperties: false``: the official API shows more, and so does the emulator.  Where it
contradicts the official documentation (the answers to PUT of tests, to evaluate and to data-stream, and the shape of
errors) the seed dialect is what is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import jsonschema
import pytest
import yaml

if TYPE_CHECKING:
    import httpx

    from tests.emulator.conftest import Api, Doc

Check = Callable[[Literal["get", "post", "put", "delete"], str, "httpx.Response"], None]


def nullable(schema: Any) -> Any:
    """OpenAPI 3.0's ``nullable`` in the words of JSON Schema."""
    if isinstance(schema, list):
        return [nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    plain = {key: nullable(value) for key, value in schema.items() if key != "nullable"}
    if schema.get("nullable") is True:
        plain["type"] = [plain["type"], "null"]
    return plain


@pytest.fixture(scope="module")
def spec() -> Doc:
    text = Path(__file__).with_name("openlayer_seed.openapi.yml").read_text(encoding="utf-8")
    return dict(nullable(yaml.safe_load(text)))


@pytest.fixture
def check(spec: Doc) -> Check:
    """Raises unless an answer is one that the document describes for the operation."""

    def check_answer(method: str, path: str, answer: httpx.Response) -> None:
        described = spec["paths"][path][method]["responses"][str(answer.status_code)]
        if "$ref" in described:
            described = spec["components"]["responses"][described["$ref"].rsplit("/", 1)[1]]
        if "content" not in described:
            assert answer.content == b""
            return
        schema = {**described["content"]["application/json"]["schema"], "components": spec["components"]}
        checker = jsonschema.FormatChecker(["date", "uuid"])
        jsonschema.Draft202012Validator(schema, format_checker=checker).validate(answer.json())

    return check_answer


@pytest.mark.parametrize("dialect", ["", "seed"])
def test_answers_are_as_described(
    make_api: Callable[..., Api], row_count: Callable[..., Doc], check: Check, dialect: str
) -> None:
    api = make_api(dialect=dialect)
    body: Doc = {"name": "p", "taskType": "llm-base", "description": "d"}
    created = api("POST", "/projects", body)
    check("post", "/projects", created)
    check("get", "/projects", api("GET", "/projects"))
    project = created.json()["id"]

    pipelines = f"/projects/{project}/inference-pipelines"
    created = api("POST", pipelines, {"name": "production", "description": "d"})
    check("post", "/projects/{projectId}/inference-pipelines", created)
    check("get", "/projects/{projectId}/inference-pipelines", api("GET", pipelines))
    pipeline = f"/inference-pipelines/{created.json()['id']}"
    check("get", "/inference-pipelines/{inferencePipelineId}", api("GET", pipeline))
    check("put", "/inference-pipelines/{inferencePipelineId}", api("PUT", pipeline, {"description": None}))

    tests = f"/projects/{project}/tests"
    created = api("POST", tests, row_count())
    check("post", "/projects/{projectId}/tests", created)
    check("post", "/projects/{projectId}/tests", api("POST", tests, row_count(usesProductionData=False)))
    check("get", "/projects/{projectId}/tests", api("GET", tests, includeArchived="true"))
    test = f"/tests/{created.json()['id']}"
    stream = {"config": {"outputColumnName": "o", "inferenceIdColumnName": "i"}, "rows": [{"o": "x", "i": "a"}]}
    assert api("POST", f"{pipeline}/data-stream", stream).status_code == 200
    api.evaluate(created.json(), api.now, api.now + 1)
    for _ in range(2):
        check("get", "/tests/{testId}/results", api("GET", f"{test}/results"))
        check("get", "/inference-pipelines/{inferencePipelineId}/results", api("GET", f"{pipeline}/results"))

    row = "/inference-pipelines/{inferencePipelineId}/rows/{inferenceId}"
    check("get", row, api("GET", f"{pipeline}/rows/a"))
    check("delete", row, api("DELETE", f"{pipeline}/rows/a"))

    versions = f"/projects/{project}/versions"
    created = api("POST", versions, {"commit": {"message": "m"}, "storageUri": "local://x"})
    check("post", "/projects/{projectId}/versions", created)
    check("get", "/projects/{projectId}/versions", api("GET", versions))
    version = f"/versions/{created.json()['id']}"
    check("get", "/versions/{projectVersionId}", api("GET", version))
    results = api("GET", f"{version}/results")
    assert len(results.json()["items"]) == 1
    check("get", "/versions/{projectVersionId}/results", results)

    check("post", "/storage/presigned-url", api("POST", "/storage/presigned-url", objectName="x"))
    check("delete", "/inference-pipelines/{inferencePipelineId}", api("DELETE", pipeline))
    check("delete", "/projects/{projectId}", api("DELETE", f"/projects/{project}"))


def test_where_sources_disagree_the_seed_dialect_is_as_described(make_api: Callable[..., Api], check: Check) -> None:
    api = make_api(dialect="seed")
    project = api.project()
    pipeline, test = api.pipeline(project), api.test(project)
    check(
        "put",
        "/projects/{projectId}/tests",
        api("PUT", f"/projects/{project['id']}/tests", {"tests": [test | {"name": "New"}]}),
    )
    stream = f"/inference-pipelines/{pipeline['id']}/data-stream"
    rows = {"config": {"outputColumnName": "o"}, "rows": [{"o": "x"}]}
    described = "/inference-pipelines/{inferencePipelineId}/data-stream"
    check("post", described, api("POST", stream, rows))
    check("post", described, api("POST", stream, {"rows": []}))
    check("post", "/tests/{testId}/evaluate", api("POST", f"/tests/{test['id']}/evaluate"))
    check("get", "/inference-pipelines/{inferencePipelineId}", api("GET", "/inference-pipelines/none"))
    api.key = None
    check("get", "/projects", api("GET", "/projects"))


def test_the_check_itself_notices_a_wrong_answer(api: Api, check: Check) -> None:
    api.key = None
    with pytest.raises(jsonschema.ValidationError, match="401 is not of type 'string'"):
        check("get", "/projects", api("GET", "/projects"))
