"""Turn mistakes and plans into the reports that a GitLab merge request shows.  Pure.

Sources: docs.gitlab.com, "Code Quality report format" (a JSON array without a byte order mark) and "Terraform
integration in merge requests" (2026-11).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence

from reconciler.errors import Problem
from reconciler.model.plan import Action, Plan
from reconciler.reporting.escape import terminal
from reconciler.reporting.findings import fingerprinted, sentence
from reconciler.reporting.machine import to_json


def problems_gitlab(problems: Sequence[Problem]) -> str:
    """One entry for each mistake or warning; an empty array for none.

    What is said of a whole file is put on its first line, and what stands in no file on the folder.
    """
    return to_json(
        [
            {
                "description": terminal(sentence(problem)),
                "check_name": "manifest",
                "fingerprint": fingerprint,
                "severity": "major" if problem.is_error else "minor",
                "location": {
                    "path": problem.file.removeprefix("./") or ".",
                    "lines": {"begin": max(problem.line, 1)},
                },
            }
            for problem, fingerprint in fingerprinted(problems)
        ]
    )


_WIDGET: dict[Action, tuple[str, ...]] = {
    Action.CREATE: ("create",),
    Action.UPDATE: ("update",),
    Action.RENAME: ("update",),
    Action.ADOPT: ("update",),
    Action.REPLACE: ("create", "delete"),
    Action.ARCHIVE: ("delete",),
    Action.DELETE: ("delete",),
    Action.FORGET: (),
    Action.KEEP: (),
}


def plan_gitlab(plan: Plan) -> str:
    """What the widget for Terraform plans counts: ``{"create":1,"update":0,"delete":2}``.

    A replace counts as a create and a delete, as Terraform's own do; a gate that counts otherwise as an update.
    """
    counts = Counter(what for step in plan.pending for what in _WIDGET[step.action])
    gates = {each.address for each in plan.lifecycle if each.effect is not None}
    counts["update"] += len(gates.difference(step.address for step in plan.pending))
    return json.dumps({what: counts[what] for what in ("create", "update", "delete")}, separators=(",", ":")) + "\n"
