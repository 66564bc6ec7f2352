"""The peer: a straightforward script with the official SDK, one request at a time.

``python -m benchmarks.peers.sdk plan|create FOLDER BASE_URL KEY``.  Reads the same manifests with ``yaml.safe_load``;
``plan`` lists everything and counts what differs, ``create`` creates everything.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from openlayer import Openlayer


def documents(folder: str) -> Iterator[dict[str, Any]]:
    for path in sorted(Path(folder).glob("*.yaml")):
        yield yaml.safe_load(path.read_text(encoding="utf-8"))


def plan(folder: str, client: Openlayer) -> int:
    """How many tests differ."""
    wanted = list(documents(folder))
    projects = {item.name: item for item in _all(lambda page: client.projects.list(page=page, per_page=100))}
    different = 0
    for document in wanted:
        project = projects[document["metadata"]["name"]]
        pipelines = _all(
            lambda page, i=project.id: client.projects.inference_pipelines.list(i, page=page, per_page=100)
        )
        assert {item.name for item in pipelines} == {item["name"] for item in document["spec"]["pipelines"]}
        tests = _all(lambda page, i=project.id: client.projects.tests.list(i, page=page, per_page=100))
        live = {item.name: item for item in tests}
        for test in document["spec"]["tests"]:
            item = live.get(test["name"])
            shown = [(t.measurement, t.operator, t.value) for t in item.thresholds] if item else None
            different += shown != [(t["measurement"], t["operator"], t["value"]) for t in test["thresholds"]]
    return different


def create(folder: str, client: Openlayer) -> int:
    """How many objects it made."""
    made = 0
    for document in documents(folder):
        spec = document["spec"]
        project = client.projects.create(
            name=document["metadata"]["name"], task_type=spec["taskType"], description=spec["description"]
        )
        for pipeline in spec["pipelines"]:
            client.projects.inference_pipelines.create(project.id, name=pipeline["name"], description="")
        for test in spec["tests"]:
            client.projects.tests.create(project.id, **_body(test))
        made += 1 + len(spec["pipelines"]) + len(spec["tests"])
    return made


def _body(test: dict[str, Any]) -> dict[str, Any]:
    thresholds = [
        {
            "insight_name": each["insightName"],
            "insight_parameters": [{"name": n, "value": v} for n, v in each["insightParameters"].items()],
            "measurement": each["measurement"],
            "operator": each["operator"],
            "value": each["value"],
        }
        for each in test["thresholds"]
    ]
    uses = {f"uses_{name}": name == "production_data" for name in (
        "production_data", "ml_model", "reference_dataset", "training_dataset", "validation_dataset"
    )}  # fmt: skip
    same = {name: test[name] for name in ("name", "description", "type", "subtype")}
    return {**same, **uses, "thresholds": thresholds, "evaluation_window": 86_400, "delay_window": 0}


def _all(read: Any) -> list[Any]:
    items: list[Any] = []
    page = 1
    while True:
        batch = read(page).items
        items += batch
        if len(batch) < 100:
            return items
        page += 1


if __name__ == "__main__":
    what, folder, base_url, key = sys.argv[1:]
    print({"plan": plan, "create": create}[what](folder, Openlayer(api_key=key, base_url=base_url)))
