"""Generate a workspace of P projects with L pipelines and T tests each, as manifests."""

from __future__ import annotations

from pathlib import Path


def write_manifests(folder: Path, *, projects: int, pipelines: int, tests: int) -> None:
    """One file a project; every test has one threshold."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(projects):
        (folder / f"project-{number:04}.yaml").write_text(_project(number, pipelines, tests), encoding="utf-8")


def _project(number: int, pipelines: int, tests: int) -> str:
    head = f"""\
apiVersion: openlayer/v1
kind: Project
metadata:
  name: project-{number:04}
spec:
  taskType: llm-base
  description: Number {number}
  pipelines:
"""
    streams = "".join(f"    - name: pipeline-{each}\n" for each in range(pipelines))
    return head + streams + "  tests:\n" + "".join(_test(each) for each in range(tests))


def _test(number: int) -> str:
    return f"""\
    - name: Test {number:05}
      description: Answers stay clean, rule {number}
      type: integrity
      subtype: containsPii
      evaluationWindow: 24h
      thresholds:
        - insightName: containsPii
          insightParameters: {{pii_type: EMAIL_ADDRESS, column_name: openlayer_output}}
          measurement: containsPIIRowCount
          operator: "<="
          value: {number % 7}
"""
