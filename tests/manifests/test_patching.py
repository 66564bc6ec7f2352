"""One number is changed where it is written, and not a byte beside it."""

from __future__ import annotations

from textwrap import dedent

import pytest

from reconciler.errors import UsageInvalid
from reconciler.manifests.patching import patched
from reconciler.model.resource import Source
from reconciler.model.values import Json

TEXT = dedent("""\
    # the bot
    apiVersion: openlayer/v1
    kind: Project
    metadata: {name: bot}
    spec:
      taskType: llm-base
      testDefaults: {severity: warn}
      tests:
        - name: Faithful      # keep
          type: performance
          thresholds:
            - {measurement: precision, operator: ">=", value: 0.80}   # agreed
            - measurement: recall
              operator: ">="
              value: 7e-1
            - {measurement: f1, operator: ">=", value: "${var.f1}"}
        - name: Short
          thresholds: [{measurement: length, operator: lte, value: 100}]
    """)
FAITHFUL = Source("bot.yaml", 9, 7)


def changed(path: str, before: Json, after: Json, source: Source = FAITHFUL) -> list[tuple[str, str]]:
    """The lines that differ, before and after."""
    now = patched(TEXT, source, path, before, after)
    pairs = zip(TEXT.splitlines(keepends=True), now.splitlines(keepends=True), strict=True)
    return [(old.strip(), new.strip()) for old, new in pairs if old != new]


def test_the_number_and_nothing_else() -> None:
    assert changed("thresholds.0.value", 0.8, 0.85) == [
        (
            '- {measurement: precision, operator: ">=", value: 0.80}   # agreed',
            '- {measurement: precision, operator: ">=", value: 0.85}   # agreed',
        )
    ]
    assert changed("thresholds.1.value", 0.7, 1) == [("value: 7e-1", "value: 1")]


def test_the_item_is_found_by_its_place() -> None:
    assert changed("thresholds.0.value", 100, 150, Source("bot.yaml", 17, 7))[0][1].endswith("value: 150}]")


@pytest.mark.parametrize(
    ("path", "before", "why"),
    [
        ("thresholds.2.value", 0.9, "comes from a variable or from an Environment's override"),
        ("thresholds.0.value", 0.75, "comes from a variable or from an Environment's override"),
        ("thresholds.9.value", 0.8, "it comes from defaults"),
        ("severity.value", 0.8, "it comes from defaults"),
    ],
)
def test_what_is_not_written_there_is_not_changed(path: str, before: float, why: str) -> None:
    with pytest.raises(UsageInvalid) as caught:
        patched(TEXT, FAITHFUL, path, before, 0.5)
    assert why in caught.value.hint


def test_line_ends_stay_as_they_are() -> None:
    windows = TEXT.replace("\n", "\r\n")
    now = patched(windows, FAITHFUL, "thresholds.0.value", 0.8, 0.85)
    assert now == windows.replace("0.80", "0.85")
