"""The committed JSON schemas are what the kinds declare, and editors can use them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator

from reconciler.manifests.loader import parse
from reconciler.manifests.schemas import schema_text, schemas
from reconciler.providers.digitalocean import DIGITALOCEAN
from reconciler.providers.openlayer import OPENLAYER

ROOT = Path(__file__).parent.parent.parent
SCHEMAS = schemas((OPENLAYER, DIGITALOCEAN))
EXAMPLES = sorted((ROOT / "examples").rglob("*.y*ml")) + sorted((ROOT / "tests" / "problems").glob("*/*.yaml"))


def schema_for(document: Any) -> str:
    return f"{document['apiVersion'].replace('/', '.')}.{document['kind'].lower()}.json"


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_committed_schema_is_fresh(name: str) -> None:
    """If this fails, run: reconciler schema --write schemas."""
    assert (ROOT / "schemas" / name).read_text(encoding="utf-8") == schema_text(SCHEMAS[name])


@pytest.mark.parametrize("name", SCHEMAS)
def test_a_schema_is_valid_draft_7_and_closed(name: str) -> None:
    schema = SCHEMAS[name]
    Draft7Validator.check_schema(schema)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert list(open_objects(schema, "")) == []


def open_objects(schema: Any, path: str) -> Any:
    """Paths of objects with known properties that accept others too."""
    if isinstance(schema, dict):
        if "properties" in schema and schema.get("additionalProperties") is not False and "const" not in schema:
            yield path
        for key, inner in schema.items():
            yield from open_objects(inner, f"{path}/{key}")
    elif isinstance(schema, list):
        for index, inner in enumerate(schema):
            yield from open_objects(inner, f"{path}/{index}")


def is_manifest(path: Path) -> bool:
    """Not a file of the CI system or of a tool; only those are hidden, or named after the system."""
    hidden = any(part.startswith(".") for part in path.relative_to(ROOT).parts)
    return "examples" in path.parts and not hidden and not path.name.endswith(".gitlab-ci.yml")


@pytest.mark.parametrize("path", [path for path in EXAMPLES if is_manifest(path)], ids=lambda path: path.name)
def test_every_example_manifest_is_valid(path: Path) -> None:
    for document in parse(path.read_bytes(), str(path)):
        errors = [error.message for error in Draft7Validator(SCHEMAS[schema_for(document)]).iter_errors(document)]
        assert errors == []


PROJECT: dict[str, Any] = {
    "apiVersion": "openlayer/v1",
    "kind": "Project",
    "metadata": {"name": "a", "labels": {"team": "cx"}},
    "spec": {
        "taskType": "llm-base",
        "dataRetentionDays": "${var.days}",
        "pipelines": [{"name": "p", "labels": {"tier": "prod"}, "dataBackend": {"backendType": "default"}}],
        "testDefaults": {"type": "integrity", "severity": "warn"},
        "tests": [
            {
                "name": "${each}",
                "forEach": ["a", "b"],
                "subtype": "rowCount",
                "pipelines": {"labels": {"tier": "prod"}},
                "evaluationWindow": "24h",
                "thresholds": [{"measurement": "m", "operator": "lte", "value": "${var.x}"}],
            }
        ],
    },
}


def errors_in(name: str, document: Any) -> list[str]:
    return ["/".join(map(str, error.absolute_path)) for error in Draft7Validator(SCHEMAS[name]).iter_errors(document)]


def changed(document: dict[str, Any], path: str, value: object) -> dict[str, Any]:
    """The document with another value at a path."""
    made = copy.deepcopy(document)
    *parents, last = path.split("/")
    place: Any = made
    for step in parents:
        place = place[int(step)] if step.isdigit() else place[step]
    place[int(last) if last.isdigit() else last] = value
    return made


def test_references_selectors_and_defaults_are_accepted() -> None:
    assert errors_in("openlayer.v1.project.json", PROJECT) == []


def test_null_takes_off_a_default() -> None:
    fields = SCHEMAS["openlayer.v1.project.json"]["properties"]["spec"]["properties"]["testDefaults"]["properties"]
    test = {**PROJECT["spec"]["tests"][0], **dict.fromkeys(fields)}
    assert errors_in("openlayer.v1.project.json", {**PROJECT, "spec": {**PROJECT["spec"], "tests": [test]}}) == []


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("spec/tests/0/subtyp", "x"),
        ("spec/tests/0/name", None),
        ("spec/testDefaults/severity", None),
        ("spec/tests/0/severity", "loud"),
        ("spec/tests/0/evaluationWindow", "24"),
        ("spec/tests/0/thresholds/0/operator", "=>"),
        ("spec/tests/0/pipelines", ["p", "p"]),
        ("spec/testDefaults/uses", ["mlModel", "mlModel"]),
        ("spec/modelTypes", ["llm", "llm"]),
        ("spec/dataRetentionDays", "ten"),
        ("spec/pipelines/0/dataBackend", {"backendType": "unknown"}),
        ("metadata/name", None),
        ("kind", "Projekt"),
    ],
)
def test_a_mistake_is_seen_in_the_editor(path: str, value: object) -> None:
    assert errors_in("openlayer.v1.project.json", changed(PROJECT, path, value)) != []


PIN: dict[str, Any] = {
    "apiVersion": "reconciler/v1",
    "kind": "Pin",
    "metadata": {"name": "march"},
    "spec": {
        "project": "a",
        "test": "Rows",
        "window": {"from": "2026-03-01T00:00:00Z", "to": "2026-03-02T00:00:00Z"},
        "measured": [{"measurement": "m", "value": 3}],
        "verdict": "flagged",
    },
}
SET: dict[str, Any] = {
    "apiVersion": "openlayer/v1",
    "kind": "TestSet",
    "metadata": {"name": "s", "labels": {}},
    "spec": {"appliesTo": {"projects": ["a"], "matchLabels": {"team": "cx"}}, "testDefaults": {}, "tests": []},
}
ENVIRONMENT: dict[str, Any] = {
    "apiVersion": "reconciler/v1",
    "kind": "Environment",
    "metadata": {"name": "staging"},
    "spec": {"policy": {}, "overrides": [{"match": {"test": "*"}, "set": {"thresholds": [{"measurement": "m"}]}}]},
}


@pytest.mark.parametrize(
    ("document", "path"),
    [
        (PROJECT, "metadata/labels"),
        (PROJECT, "spec/lifecycle"),
        (PROJECT, "spec/pipelines/0/dataBackend"),
        (PROJECT, "spec/testDefaults"),
        (PROJECT, "spec/tests/0/thresholds"),
        (PROJECT, "spec/tests/0/thresholds/0"),
        (PROJECT, "spec/tests/0/thresholds/0/insightParameters"),
        (PROJECT, "spec/tests/0/pipelines/labels"),
        (PROJECT, "spec/tests/0/gate"),
        (PROJECT, "spec/tests/0/regress"),
        (PIN, "metadata/labels"),
        (PIN, "spec/window"),
        (PIN, "spec/measured"),
        (PIN, "spec/measured/0"),
        (SET, "metadata/labels"),
        (SET, "spec/appliesTo"),
        (SET, "spec/appliesTo/projects"),
        (SET, "spec/appliesTo/matchLabels"),
        (SET, "spec/testDefaults"),
        (ENVIRONMENT, "spec/policy"),
        (ENVIRONMENT, "spec/overrides"),
        (ENVIRONMENT, "spec/overrides/0"),
        (ENVIRONMENT, "spec/overrides/0/match"),
        (ENVIRONMENT, "spec/overrides/0/set"),
        (ENVIRONMENT, "spec/overrides/0/set/gate"),
        (ENVIRONMENT, "spec/overrides/0/set/thresholds"),
        (ENVIRONMENT, "spec/overrides/0/set/thresholds/0"),
    ],
)
def test_a_reference_may_stand_for_a_mapping_or_a_list(document: dict[str, Any], path: str) -> None:
    """A whole one: it keeps the type of its value.  No other text may."""
    name = schema_for(document)
    assert errors_in(name, changed(document, path, "${var.x}")) == []
    for text in ("x", "a ${var.x}"):
        assert [path.startswith(each) for each in errors_in(name, changed(document, path, text))] == [True]


def test_an_environment_may_override_parts_of_thresholds() -> None:
    document = {
        "apiVersion": "reconciler/v1",
        "kind": "Environment",
        "metadata": {"name": "staging"},
        "spec": {
            "vars": {"x": [1, {"y": 2}]},
            "apiKey": {"fromEnv": "OPENLAYER_API_KEY_STAGING"},
            "overrides": [
                {
                    "match": {"project": "*", "test": "Rows", "mode": "monitoring"},
                    "set": {"thresholds": [{"measurement": "m", "value": 3}], "severity": "warn", "enabled": False},
                }
            ],
        },
    }
    assert errors_in("reconciler.v1.environment.json", document) == []
    document["spec"]["overrides"][0]["set"].update(subtype="x", pipelines=["p", "p"])  # type: ignore[index]
    assert errors_in("reconciler.v1.environment.json", document) == [
        "spec/overrides/0/set",
        "spec/overrides/0/set/pipelines",
    ]


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_editor_can_say_what_a_field_is(name: str) -> None:
    """Every field has a description; those of data sources are the vendor's own, and it has none for them."""
    schema = SCHEMAS[name]
    own = {each for each, model in schema["definitions"].items() if "backendType" not in model.get("properties", {})}
    definitions = [schema["definitions"][each] for each in own - {"BackendConfig"}]
    parts = [schema["properties"]["metadata"], schema["properties"]["spec"], *definitions]
    assert [place for part in parts for place in undescribed(part, "")] == []


def undescribed(schema: Any, path: str) -> Iterator[str]:
    """The paths of fields of which nothing is said."""
    if isinstance(schema, list):
        for inner in schema:
            yield from undescribed(inner, path)
    elif isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            if "description" not in inner and "const" not in inner:
                yield f"{path}/{name}"
            yield from undescribed(inner, f"{path}/{name}")
        for key in ("items", "anyOf"):
            yield from undescribed(schema.get(key), path)
