"""Read a plan file.  Touches: disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reconciler.errors import SettingsInvalid, StalePlan

LARGEST = 256 * 1024 * 1024


def read_plan(path: str) -> dict[str, Any]:
    """The plan in a file.  Raises SettingsInvalid when it can not be read, StalePlan when it is no plan."""
    try:
        if Path(path).stat().st_size > LARGEST:
            raise SettingsInvalid(f"--plan {path}: larger than {LARGEST // 1024**2} MiB")
        plan = json.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsInvalid(f"--plan {path}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise StalePlan(f"--plan {path}: not a plan file", hint="make one: reconciler plan --out plan.json") from error
    options = plan.get("basis", {}).get("options") if isinstance(plan, dict) else None
    if not isinstance(options, dict) or "steps" not in plan:
        raise StalePlan(f"--plan {path}: not a plan file", hint="make one: reconciler plan --out plan.json")
    return plan  # type: ignore[no-any-return]
