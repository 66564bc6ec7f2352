"""Read a plan file.  Touches: disk."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from reconciler.errors import SettingsInvalid
from reconciler.planning.saved import check_untouched

if TYPE_CHECKING:
    from reconciler.model.plan import Plan

LARGEST = 256 * 1024 * 1024
_ALWAYS_THERE = {"format_version", "digest", "basis", "steps"}


def read_plan(path: str, *, named: str = "") -> dict[str, Any]:
    """The plan in a file, as it was saved; messages call it ``named``, by default as ``apply --plan`` is given it.

    Raises SettingsInvalid when it cannot be read or is no plan at all, StalePlan when it was changed since.
    """
    named = named or f"--plan {path}"
    try:
        if Path(path).stat().st_size > LARGEST:
            raise SettingsInvalid(f"{named}: larger than {LARGEST // 1024**2} MiB")
        plan = json.loads(Path(path).read_text(encoding="utf-8"))
        if isinstance(plan, dict) and plan.keys() >= _ALWAYS_THERE:
            check_untouched(plan)  # what has its digest was written by us, so the rest of it is as it should be
            return plan
    except OSError as error:
        raise SettingsInvalid(f"{named}: {error.strerror}") from error
    except (ValueError, RecursionError) as error:
        raise _no_plan(named) from error
    raise _no_plan(named)


def told_plan(saved: Mapping[str, Any], *, named: str) -> Plan:
    """What ``read_plan`` found, to be shown.  Raises SettingsInvalid when somebody made it up, digest and all."""
    from reconciler.reporting.reading import plan_in  # only to show: whoever applies a plan derives it again

    try:
        return plan_in(saved)
    except ValueError as error:
        raise _no_plan(named) from error


def _no_plan(named: str) -> SettingsInvalid:
    return SettingsInvalid(f"{named}: not a plan file", hint="make one: reconciler plan --out plan.json")
