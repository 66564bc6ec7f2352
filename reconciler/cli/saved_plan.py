"""Read a plan file.  Touches: disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reconciler.errors import SettingsInvalid
from reconciler.planning.saved import check_untouched

LARGEST = 256 * 1024 * 1024
_ALWAYS_THERE = {"format_version", "digest", "basis", "steps"}


def read_plan(path: str) -> dict[str, Any]:
    """The plan in a file, as it was saved.

    Raises SettingsInvalid when it cannot be read or is no plan at all, StalePlan when it was changed since.
    """
    try:
        if Path(path).stat().st_size > LARGEST:
            raise SettingsInvalid(f"--plan {path}: larger than {LARGEST // 1024**2} MiB")
        plan = json.loads(Path(path).read_text(encoding="utf-8"))
        if isinstance(plan, dict) and plan.keys() >= _ALWAYS_THERE:
            check_untouched(plan)  # what has its digest was written by us, so the rest of it is as it should be
            return plan
    except OSError as error:
        raise SettingsInvalid(f"--plan {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _no_plan(path) from error
    raise _no_plan(path)


def _no_plan(path: str) -> SettingsInvalid:
    return SettingsInvalid(f"--plan {path}: not a plan file", hint="make one: reconciler plan --out plan.json")
