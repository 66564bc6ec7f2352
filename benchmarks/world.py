"""Generate a workspace of P projects with L pipelines and T tests each, as manifests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Size:
    """How many projects, pipelines in each, and tests in each."""

    projects: int
    pipelines: int
    tests: int

    @property
    def all_tests(self) -> int:
        """N."""
        return self.projects * self.tests

    @property
    def resources(self) -> int:
        """Everything that has to be created."""
        return self.projects * (1 + self.pipelines + self.tests)


def write_manifests(folder: Path, size: Size, *, changed: float = 0.0) -> Path:
    """One file a project; every test has one threshold, which another value in ``changed`` of all tests."""
    folder.mkdir(parents=True, exist_ok=True)
    every = round(1 / changed) if changed else 0
    for number in range(size.projects):
        (folder / f"project-{number:04}.yaml").write_text(_project(number, size, every), encoding="utf-8")
    return folder


def _project(number: int, size: Size, every: int) -> str:
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
    streams = "".join(f"    - name: pipeline-{each}\n" for each in range(size.pipelines))
    tests = "".join(_test(each, is_changed=bool(every) and each % every == 0) for each in range(size.tests))
    return f"{head}{streams}  tests:\n{tests}"


def _test(number: int, *, is_changed: bool) -> str:
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
          value: {number % 7 + (10 if is_changed else 0)}
"""
