"""Turn mistakes in manifests into annotations on GitHub.  Pure.

Source: docs.github.com, "Workflow commands for GitHub Actions"; a step keeps its first ten errors (2026-11).
"""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.errors import Problem
from reconciler.reporting.escape import line_start, terminal, workflow_command, workflow_property
from reconciler.reporting.findings import sentence
from reconciler.reporting.lines import counted

MOST_ANNOTATIONS = 10


def problems_github(problems: Sequence[Problem]) -> str:
    """One ``::error`` command for each mistake, at most ten.

    With more than ten, the tenth says how many are left, and the others follow as plain lines of the log.  Empty for
    no problems.
    """
    if len(problems) <= MOST_ANNOTATIONS:
        lines = [_annotation(problem) for problem in problems]
    else:
        kept, others = problems[: MOST_ANNOTATIONS - 1], problems[MOST_ANNOTATIONS - 1 :]
        more = f"::error title=reconciler::{counted(len(others), 'more problem')} in the manifests, listed in the log"
        lines = [*map(_annotation, kept), more, *(line_start(terminal(str(problem))) for problem in others)]
    return "".join(f"{each}\n" for each in lines)


def _annotation(problem: Problem) -> str:
    place = {"file": problem.file.removeprefix("./")}
    if problem.line:
        place |= {"line": str(problem.line), "col": str(max(problem.column, 1))}
    properties = ",".join(
        f"{key}={workflow_property(value)}" for key, value in (place | {"title": "reconciler"}).items()
    )
    return f"::error {properties}::{workflow_command(sentence(problem))}"
