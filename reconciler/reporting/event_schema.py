"""The JSON schema of the events that ``--events`` writes, draft-07: one JSON object a line.  Pure.

``schemas/event.v1.json`` is this, committed.  New events and new keys may be added; a reader passes over what it does
not know.
"""

from __future__ import annotations

from typing import Any

from reconciler.model.outcome import EvaluationStatus, Level, StepStatus
from reconciler.model.plan import Action

_Schema = dict[str, Any]


def event_schema() -> _Schema:
    """The schema as plain data; ``definitions`` holds one event each, by its name."""
    events = {name: _event(name, *described) for name, described in _EVENTS.items()}
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "reconciler event, version 1",
        "description": "One line of what --events writes. Holds no secret.",
        "oneOf": [*({"$ref": f"#/definitions/{name}"} for name in events), _another(list(events))],
        "definitions": events,
    }


def _event(name: str, description: str, properties: _Schema) -> _Schema:
    return _object({"time": _TIME, "event": {"const": name}, **properties}, description)


def _another(known: list[str]) -> _Schema:
    event = {"type": "string", "not": {"enum": known}, "description": "Its name."}
    return _object({"time": _TIME, "event": event}, "An event of a later version: pass over it.")


def _object(properties: _Schema, description: str = "") -> _Schema:
    return {
        "type": "object",
        **({"description": description} if description else {}),
        "required": list(properties),
        "properties": properties,
    }


def _text(description: str, *, nullable: bool = False) -> _Schema:
    return {"type": ["string", "null"] if nullable else "string", "description": description}


def _number(description: str, *, nullable: bool = False) -> _Schema:
    return {"type": ["number", "null"] if nullable else "number", "description": description}


def _count(description: str, *, nullable: bool = False) -> _Schema:
    return {"type": ["integer", "null"] if nullable else "integer", "description": description}


def _list_of(items: _Schema, description: str) -> _Schema:
    return {"type": "array", "items": items, "description": description}


_TIME = _number("Unix seconds, in milliseconds' steps.")
_STATUS = {"enum": [status.value for status in StepStatus], "description": "What became of it."}
_ERROR = _text("Why it is not done; empty when it is.")
_COST = _object(
    {
        "address": _text("The test."),
        "evaluations": _count("What it costs."),
        "pipelines": _count("On how many pipelines."),
        "windows": _count("Over how many windows; null where nobody can tell.", nullable=True),
        "runs": _count("How often each window is measured."),
    }
)
_SPAN = _object(
    {
        "window_s": _count("Length of a window in seconds."),
        "start": _count("Where the first window begins, in Unix seconds."),
        "end": _count("Where the last one ends."),
    }
)
_LEFT = _object(
    {
        "address": _text("What could not be put back."),
        "why": _text("The reason."),
        "method": _text("The request to send; null where there is none.", nullable=True),
        "url": _text("Where to."),
        "body": {"description": "Its body."},
    }
)
_EVENTS: dict[str, tuple[str, _Schema]] = {
    "run_started": (
        "A command begins.",
        {"command": _text("Its name."), "tool": _text("Name and version of the program.")},
    ),
    "request": (
        "One attempt of a request to a vendor is over.",
        {
            "method": _text("GET, POST, ..."),
            "path": _text("Below the vendor's address, without the query."),
            "status": _count("Of the answer; null when none came.", nullable=True),
            "seconds": _number("How long it took."),
        },
    ),
    "locked": ("The state is ours now.", {"lock": _text("The lock's id, for state unlock.")}),
    "planned": (
        "The plan is made.",
        {
            "environment": _text("Its environment."),
            "digest": _text("Its digest."),
            "summary": _object(
                {name: _count("How many.") for name in (*(action.value for action in Action), "refused")},
                "How many steps of each action, and how many refusals.",
            ),
        },
    ),
    "step_started": ("A step's requests are about to be sent.", {"step": _text("The step's id in the plan.")}),
    "step_ended": (
        "A step is over.",
        {"step": _text("The step's id in the plan."), "status": _STATUS, "error": _ERROR},
    ),
    "estimate": (
        "What an evaluation is going to cost.",
        {
            "evaluations": _count("How many are triggered."),
            "under_way": _count("How many were triggered before and are waited for."),
            "start": _count("Where the range begins, in Unix seconds."),
            "end": _count("Where it ends."),
            "spans": _list_of(_SPAN, "The range as it is widened to whole windows, by their length."),
            "tests": _list_of(_COST, "What each test costs."),
        },
    ),
    "verdict": (
        "One test on one pipeline was judged.",
        {
            "address": _text("The test."),
            "pipeline": _text("The pipeline; null where there is none.", nullable=True),
            "level": {"enum": [level.value for level in Level], "description": "How it counts."},
            "status": {
                "enum": [status.value for status in EvaluationStatus],
                "description": "What the platform says of the result.",
            },
            "measured": _text("What was measured, ready to print."),
            "wanted": _text("What is wanted."),
            "margin": _number("How far on the right side of its limit; negative on the wrong one.", nullable=True),
            "why": _text("What decided."),
        },
    ),
    "doubtful": (
        "Nobody knows whether an evaluation was started: the answer to its trigger was lost.",
        {
            "address": _text("The test."),
            "pipeline": _text("The pipeline; null for all of them.", nullable=True),
            "why": _text("What that means for the verdicts."),
            "hint": _text("What to do next."),
        },
    ),
    "put_back": (
        "A step of a roll-back is over.",
        {"step": _text("The step's id."), "status": _STATUS, "error": _ERROR},
    ),
    "rolled_back": (
        "A roll-back is over.",
        {
            "steps": _list_of({"type": "string"}, "The ids of its steps."),
            "left": _list_of(_LEFT, "What could not be put back."),
        },
    ),
    "run_ended": (
        "The command is over.",
        {"exit_code": _count("What it exits with."), "error": _text("What ended it; empty for nothing.")},
    ),
}
