"""Turn mistakes in manifests into SARIF 2.1.0, for GitHub code scanning and editors.  Pure.

Source: OASIS SARIF 2.1.0; docs.github.com, "SARIF support for code scanning" (2026-11).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

from msgspec.structs import replace

from reconciler.errors import Problem
from reconciler.model.values import counted
from reconciler.reporting.escape import terminal
from reconciler.reporting.findings import fingerprinted, sentence
from reconciler.reporting.machine import to_json

MOST_RESULTS = 25_000
"""With more, GitHub refuses the whole file (docs.github.com, "SARIF file limits", 2026-11)."""

RULES: dict[str, dict[str, Any]] = {
    "error": {
        "id": "manifest",
        "name": "InvalidManifest",
        "shortDescription": {"text": "A manifest is invalid"},
        "fullDescription": {"text": "Nothing is planned or applied until every manifest is valid."},
        "help": {"text": "Correct the manifest as the message says, and run: reconciler validate"},
        "defaultConfiguration": {"level": "error"},
    },
    "warning": {
        "id": "manifest-warning",
        "name": "DoubtfulManifest",
        "shortDescription": {"text": "A manifest is valid, and hardly what was meant"},
        "fullDescription": {"text": "It is planned and applied as it is written."},
        "help": {"text": "Look whether it is what you mean. To fail on warnings: reconciler validate --strict"},
        "defaultConfiguration": {"level": "warning"},
    },
}
"""The rule of each level, in the order in which a run holds them."""


def problems_sarif(problems: Sequence[Problem], *, version: str, most: int = MOST_RESULTS) -> str:
    """One result for each mistake or warning, at most ``most``, none where nothing is odd; ``version`` is ours."""
    if len(problems) > most:
        problems = sorted(problems, key=lambda each: each.level)
        first, left = problems[: most - 1], problems[most - 1 :]
        more = f"{counted(len(left), 'more problem')} in the manifests"
        problems = [*first, replace(left[0], path="", message=more, hint="")]
    run = {
        "tool": {"driver": {"name": "reconciler", "semanticVersion": version, "rules": [*RULES.values()]}},
        "columnKind": "unicodeCodePoints",
        "results": [_result(problem, fingerprint) for problem, fingerprint in fingerprinted(problems)],
    }
    return to_json({"$schema": "https://json.schemastore.org/sarif-2.1.0.json", "version": "2.1.0", "runs": [run]})


def _result(problem: Problem, fingerprint: str) -> dict[str, Any]:
    return {
        "ruleId": RULES[problem.level]["id"],
        "ruleIndex": [*RULES].index(problem.level),
        "level": problem.level,
        "message": {"text": terminal(sentence(problem))},
        "locations": [{"physicalLocation": _place(problem)}],
        "partialFingerprints": {"primaryLocationLineHash": fingerprint},
    }


def _place(problem: Problem) -> dict[str, Any]:
    """GitHub wants a place and a region always: a mistake of the whole file is put on its first line."""
    uri = quote(problem.file.removeprefix("./") or ".", errors="surrogatepass")
    region = {"startLine": max(problem.line, 1), "startColumn": max(problem.column, 1)}
    return {"artifactLocation": {"uri": uri, "uriBaseId": "%SRCROOT%"}, "region": region}
