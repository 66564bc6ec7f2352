"""Turn mistakes in manifests into a GitLab Code Quality report.  Pure.

Source: docs.gitlab.com, "Code Quality report format" (2026-11): a JSON array without a byte order mark.
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import Problem
from reconciler.reporting.escape import terminal
from reconciler.reporting.findings import fingerprinted, sentence
from reconciler.reporting.machine import to_json


def problems_gitlab(problems: Sequence[Problem]) -> str:
    """One entry for each mistake; an empty array for none.  A mistake of the whole file is put on its first line."""
    return to_json(
        [
            {
                "description": terminal(sentence(problem)),
                "check_name": "manifest",
                "fingerprint": fingerprint,
                "severity": "major",
                "location": {
                    "path": problem.file.removeprefix("./"),
                    "lines": {"begin": max(problem.line, 1)},
                },
            }
            for problem, fingerprint in fingerprinted(problems)
        ]
    )
