"""Whatever stands in a manifest, the answer is resources or problems with a place, never another error."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from reconciler.errors import ManifestsInvalid
from reconciler.manifests.validator import load
from reconciler.manifests.writer import to_yaml
from reconciler.providers.digitalocean import DIGITALOCEAN
from reconciler.providers.openlayer import OPENLAYER

THRESHOLD = {"insightName": "metrics", "measurement": "numRows", "operator": ">=", "value": "${var.rows}"}
DOCUMENTS: dict[str, Any] = {
    "project": {
        "apiVersion": "openlayer/v1",
        "kind": "Project",
        "metadata": {"name": "bot", "labels": {"team": "cx"}, "renamedFrom": "old"},
        "spec": {
            "taskType": "llm-base",
            "modelTypes": ["a"],
            "pipelines": [{"name": "live", "labels": {"tier": "prod"}, "dataBackend": {"backendType": "default"}}],
            "testDefaults": {"severity": "warn", "lifecycle": {"protect": True}},
            "tests": [
                {
                    "name": "Rows of ${each.name}",
                    "forEach": [{"name": "live"}],
                    "type": "integrity",
                    "subtype": "rowCount",
                    "pipelines": ["${each.name}"],
                    "evaluationWindow": "24h",
                    "warn": [THRESHOLD],
                    "gate": {"onSkipped": "pass"},
                    "thresholds": [THRESHOLD],
                }
            ],
        },
    },
    "set": {
        "apiVersion": "openlayer/v1",
        "kind": "TestSet",
        "metadata": {"name": "basics"},
        "spec": {
            "appliesTo": {"projects": ["b*"], "matchLabels": {"team": "cx"}},
            "params": {"limit": 3},
            "testDefaults": {"type": "integrity"},
            "tests": [
                {
                    "name": "More rows",
                    "subtype": "rowCount",
                    "pipelines": {"labels": {"tier": "prod"}},
                    "thresholds": [{**THRESHOLD, "value": "${param.limit}"}],
                }
            ],
        },
    },
    "workspace": {
        "apiVersion": "digitalocean/v1",
        "kind": "Workspace",
        "metadata": {"name": "care"},
        "spec": {
            "managed": True,
            "datasets": [{"name": "faq", "file": "faq.csv"}],
            "testCases": [
                {"name": "Correct", "dataset": "faq", "metrics": ["A"], "starMetric": {"name": "A", "threshold": 5}}
            ],
            "runs": [{"name": "nightly", "testCase": "Correct", "agents": ["a"], "gate": {"onError": "warn"}}],
        },
    },
    "environment": {
        "apiVersion": "reconciler/v1",
        "kind": "Environment",
        "metadata": {"name": "local"},
        "spec": {
            "vars": {"rows": 5, "list": ["x"]},
            "apiKey": {"fromEnv": "OPENLAYER_API_KEY"},
            "state": {"url": "file:state.json"},
            "ownership": "marker",
            "policy": {"require": ["loosen"]},
            "overrides": [
                {
                    "match": {"project": "bot", "test": "More*", "mode": "*"},
                    "set": {"severity": "info", "thresholds": [{"measurement": "numRows", "value": 1}]},
                }
            ],
            "emulator": {"rows": [{"project": "bot", "pipeline": "live", "file": "rows.jsonl", "config": {}}]},
        },
    },
}
REPLACEMENTS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 5),
    st.sampled_from(
        ["", "x", "${var.rows}", "${var.list}", "${each}", "${param.limit}", "${", "*", "local", "a\nb", "."]
    ),
    st.sampled_from([[], {}, [[]], [{}], [None], {"labels": {}}, {"labels": {"tier": 1}}, {"name": "x"}, ["live", 3]]),
)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(each for key, item in inner for each in places(item, (*path, key)))]


PLACES = [path for path in places(DOCUMENTS) if len(path) > 1]


@st.composite
def mutated(draw: st.DrawFn) -> dict[str, Any]:
    documents = copy.deepcopy(DOCUMENTS)
    for path in draw(st.lists(st.sampled_from(PLACES), min_size=1, max_size=3)):
        place: Any = documents
        try:
            for key in path[:-1]:
                place = place[key]
            action = draw(st.sampled_from(["replace", "remove", "rename"]))
            if action == "replace":
                place[path[-1]] = draw(REPLACEMENTS)
            else:
                taken = place.pop(path[-1])
                if action == "rename" and isinstance(place, dict):
                    place[f"{path[-1]}s"] = taken
        except (KeyError, IndexError, TypeError, AttributeError):
            continue  # an earlier change took this place away
    return documents


@given(mutated(), st.sampled_from([None, "local"]))
@settings(max_examples=100, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_damaged_manifest_gives_problems_with_a_place(
    tmp_path: Path, documents: dict[str, Any], environment: str | None
) -> None:
    for name, document in documents.items():
        (tmp_path / f"{name}.yaml").write_text(
            to_yaml(document) if isinstance(document, dict) else json.dumps(document)
        )
    (tmp_path / "rows.jsonl").write_text("{}\n")
    (tmp_path / "faq.csv").write_text("query\nHello\n")
    try:
        found = load(
            [], root=tmp_path, vendors=[OPENLAYER, DIGITALOCEAN], environment=environment, variables={"rows": "1"}
        )
    except ManifestsInvalid as error:
        problems = error.problems
    else:
        assert len(found.desired) > 0
        problems = found.warnings
    assert all(problem.line >= 1 or problem.file in (".", "--var") for problem in problems)


def test_the_undamaged_manifests_are_valid(tmp_path: Path) -> None:
    """Else the mutations would prove little."""
    for name, document in DOCUMENTS.items():
        (tmp_path / f"{name}.yaml").write_text(to_yaml(document))
    (tmp_path / "rows.jsonl").write_text("{}\n")
    (tmp_path / "faq.csv").write_text("query\nHello\n")
    found = load([], root=tmp_path, vendors=[OPENLAYER, DIGITALOCEAN], environment="local")
    assert [each.address.name for each in found.desired] == [
        "bot",
        "care",
        "live",
        "Rows of live",
        "faq",
        "Correct",
        "nightly",
        "More rows",
    ]
    with pytest.raises(ManifestsInvalid):
        load(["project.yaml"], root=tmp_path, vendors=[OPENLAYER, DIGITALOCEAN])  # the variable is declared elsewhere
