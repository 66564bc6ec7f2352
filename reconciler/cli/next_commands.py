"""Make the commands that messages name work as they stand: with the environment of the run that names them.  Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from msgspec.structs import replace

from reconciler.cli.main import COMMANDS

if TYPE_CHECKING:
    from reconciler.model.plan import Plan

EVERYWHERE = ("init", "show", "comment", "schema", "fmt", "emulator")
"""The commands that know no environment."""

_SOMEWHERE = "|".join(name for name in COMMANDS if name not in (*EVERYWHERE, "state"))
_NAMED = re.compile(rf"\breconciler (?:state unlock \S+|(?:state [a-z-]+|{_SOMEWHERE})\b)")
"""The id of a lock goes first: scripts read it in the message."""


def in_environment(text: str, environment: str | None) -> str:
    """The text, with ``--env`` in every command of ours that it names."""
    if not environment or "--env" in text:
        return text
    import shlex  # hardly ever needed

    option = f" --env {shlex.quote(environment)}"
    return _NAMED.sub(lambda command: command[0] + option, text)


def plan_in_environment(plan: Plan) -> Plan:
    """The plan as it is shown to people: its hints and notes name commands."""
    environment = plan.basis.options.get("environment")
    if not isinstance(environment, str):
        return plan
    refusals = tuple(replace(each, hint=in_environment(each.hint, environment)) for each in plan.refusals)
    steps = tuple(
        replace(each, notes=tuple(in_environment(note, environment) for note in each.notes)) if each.notes else each
        for each in plan.steps
    )
    return replace(plan, refusals=refusals, steps=steps)
