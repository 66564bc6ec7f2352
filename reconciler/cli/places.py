"""Turn places relative to the working directory into places in a CI job's checkout.  Touches: the working directory.

CI systems look for files from the top of the checkout, while ours are relative to where we run.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from msgspec.structs import replace

if TYPE_CHECKING:
    from reconciler.errors import Problem
    from reconciler.model.outcome import Doubt, Verdict
    from reconciler.model.plan import LifecycleChange, Plan, Refusal, Step
    from reconciler.model.resource import Source
    from reconciler.settings import Ci

PLACED = ("markdown", "html", "github", "gitlab", "sarif", "junit")
"""The forms that are read beside the checkout; the others are read where we run."""

Placed = TypeVar("Placed", "Problem", "Source")
Planned = TypeVar("Planned", "Step", "Refusal", "LifecycleChange")


def from_checkout(ci: Ci) -> str:
    """The way from the checkout's folder to the working directory, with a slash at its end; empty for none."""
    if not ci.workspace:
        return ""
    try:
        inside = Path.cwd().resolve().relative_to(Path(ci.workspace).resolve())
    except (ValueError, OSError):
        return ""
    return "" if inside == Path() else f"{inside.as_posix()}/"


def placed_problems(problems: Sequence[Problem], place: str) -> tuple[Problem, ...]:
    """The mistakes, ``place`` being the way that leads to us."""
    return tuple(_moved(each, place) for each in problems)


def placed_verdicts(verdicts: Sequence[Verdict], place: str) -> tuple[Verdict, ...]:
    """The verdicts, ``place`` being the way that leads to us."""
    return tuple(replace(each, source=_moved(each.source, place) if each.source else None) for each in verdicts)


def placed_doubts(doubts: Sequence[Doubt], place: str) -> tuple[Doubt, ...]:
    """The doubts, ``place`` being the way that leads to us."""
    return tuple(replace(each, source=_moved(each.source, place) if each.source else None) for each in doubts)


def placed_plan(plan: Plan, place: str) -> Plan:
    """The plan, ``place`` being the way that leads to us."""
    if not place:
        return plan
    return replace(
        plan,
        steps=tuple(_placed(each, place) for each in plan.steps),
        refusals=tuple(_placed(each, place) for each in plan.refusals),
        lifecycle=tuple(_placed(each, place) for each in plan.lifecycle),
    )


def _placed(each: Planned, place: str) -> Planned:
    found = tuple(replace(one, source=_moved(one.source, place)) for one in each.value_sources)
    return replace(each, source=_moved(each.source, place) if each.source else None, value_sources=found)


def _moved(each: Placed, place: str) -> Placed:
    return replace(each, file=place + each.file.removeprefix("./")) if place and each.file else each
