"""What goes with a manifest that an exported one takes the place of, in words."""

from __future__ import annotations

from textwrap import dedent

import pytest

from reconciler.manifests.overwriting import lost

EXPORTED = """
    apiVersion: openlayer/v1
    kind: Project
    metadata:
      name: bot
    spec:
      taskType: llm-base
      pipelines:
        - name: live
      tests:
        - name: A
          type: integrity
          thresholds:
            - {insightName: metrics, value: 10}
            - {insightName: other, insightParameters: {column_name: out}}
"""


def told(before: str, after: str = EXPORTED) -> str:
    return lost(dedent(before).encode(), dedent(after).encode(), "bot.yaml")


def test_nothing_goes_where_only_values_order_and_layout_differ() -> None:
    same = """
        apiVersion: openlayer/v1
        kind: Project
        metadata: {name: bot}
        spec:
          tests:
            - {name: A, thresholds: [{insightParameters: {column_name: in}}, {value: 3, insightName: "$${x}"}]}
          pipelines: [{name: live}]
    """
    assert told(same) == ""


def test_what_only_people_know_is_named_with_its_lines() -> None:
    before = """
        # Owned by team cx.
        apiVersion: openlayer/v1
        kind: Project
        metadata: {name: bot, labels: {team: cx}}
        spec:
          taskType: "${var.type}"
          testDefaults: {evaluationWindow: 24h}
          tests:
            - name: A  # noisy
              severity: warn
              gate: {onSkipped: pass}
              thresholds: [{insightName: metrics, value: "${var.rows}"}]
            - name: B
              severity: warn
    """
    assert told(before) == (
        "metadata.labels (line 5), ${var.type} (line 7), spec.testDefaults (line 8), spec.tests.severity (line 11), "
        "spec.tests.gate (line 12), ${var.rows} (line 13), spec.tests 'B' (line 14), comments (lines 2, 10)"
    )


def test_other_documents_of_the_file_go() -> None:
    before = EXPORTED + dedent("""
        ---
        apiVersion: reconciler/v1
        kind: Environment
        metadata: {name: staging}
        spec: {vars: {rows: "${env.RECONCILER_VAR_ROWS}"}}
    """)
    assert told(dedent(EXPORTED) + before.removeprefix(EXPORTED)) == "Environment staging (line 18)"


def test_many_lines_are_counted() -> None:
    names = [f"test {number}" for number in range(9)]
    before = "kind: Project\nspec:\n  tests:\n" + "".join(f"    - {{name: {n}, severity: warn}}\n" for n in names)
    after = "kind: Project\nspec:\n  tests:\n" + "".join(f"    - {{name: {n}}}\n" for n in names)
    assert told(before, after) == "spec.tests.severity (lines 4, 5, 6, 7, 8 and 4 more)"


@pytest.mark.parametrize("before", ["a: [", "\ufeffa: &x 1\nb: *y", "- \x07"])
def test_a_file_that_nobody_can_read_is_told_as_such(before: str) -> None:
    assert told(before) == "what it says, for it cannot be read"


@pytest.mark.parametrize("before", ["", "just text\n", "- a\n- b\n"])
def test_a_file_that_is_no_manifest(before: str) -> None:
    assert told(before) == ("a document (line 1)" if before else "")
