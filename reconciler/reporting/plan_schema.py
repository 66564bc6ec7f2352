"""The JSON schema of the plan's JSON form, draft-07: what other programs may rely on.  Pure.

``schemas/plan.v1.json`` is this, committed.  A minor version adds keys; a reader refuses an unknown major one.
"""

from __future__ import annotations

from typing import Any

from reconciler.model.plan import Action, Cause, Effect
from reconciler.model.replay import ReplayState
from reconciler.model.secrecy import NOT_SHOWN

_Schema = dict[str, Any]


def plan_schema() -> _Schema:
    """The schema as plain data, in the order in which the plan's keys stand."""
    schema = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "reconciler plan, version 1",
        "description": "What would change at the platform, why, and what was refused. Holds no secret.",
        **_closed(
            {
                "format_version": {"type": "string", "pattern": r"^1\.[0-9]+$", "description": "Major and minor."},
                "tool": _text("Name and version of the program that made the plan."),
                "environment": _text("The environment it was made for; empty for none."),
                "digest": _text("SHA-256 over everything the plan would do and was made from, in hex; empty offline."),
                "basis": _basis(),
                "summary": _summary(),
                "steps": _list_of(_step(), "What to do, in the order of their dependencies."),
                "refusals": _list_of(_refusal(), "What was asked for and will not be done; the plan waits for it."),
                "unseen": _list_of(_unseen(), "Fields that the vendor does not show, so that drift is unknown."),
                "warnings": _list_of({"type": "string"}, "What a reviewer should know."),
            }
        ),
    }
    schema["properties"] = {
        **schema["properties"],
        "offline": _offline(),
        "lifecycle": _lifecycle(),
        "unmanaged": _unmanaged(),
    }
    return schema


def _lifecycle() -> _Schema:
    change = {
        "address": _text("The resource."),
        "path": _text("What is declared about it, with dots."),
        "before": {"description": "What is remembered."},
        "after": {"description": "What is declared."},
    }
    schema = _closed(change)
    schema["properties"] = {
        **change,
        "effect": {
            "enum": [effect.value for effect in Effect],
            "description": "What it means for what a build lets pass; only where it is about a gate.",
        },
        "source": _source(),
        "value_sources": _value_sources(),
    }
    return _list_of(schema, "Only where an apply will remember something for which nothing else changes.")


def _unmanaged() -> _Schema:
    stranger = _closed({"address": _text("As it is called at the platform."), "remote_id": _text("Its id there.")})
    return _list_of(stranger, "Only for drift --unmanaged, where something of ours holds what is in no manifest.")


def _offline() -> _Schema:
    return _closed(
        {
            "base": _text("The git revision, as it was asked for."),
            "commit": _text("Its full name."),
        },
        "Only where the manifests were compared with those of a git revision, and not with the platform.",
    )


def _closed(properties: _Schema, description: str = "") -> _Schema:
    """An object with exactly these keys, all of them always there."""
    return {
        "type": "object",
        **({"description": description} if description else {}),
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }


def _text(description: str, *, nullable: bool = False) -> _Schema:
    return {"type": ["string", "null"] if nullable else "string", "description": description}


def _number(description: str) -> _Schema:
    return {"type": "number", "description": description}


def _flag(description: str) -> _Schema:
    return {"type": "boolean", "description": description}


def _count(description: str) -> _Schema:
    return {"type": "integer", "minimum": 0, "description": description}


def _list_of(items: _Schema, description: str) -> _Schema:
    return {"type": "array", "description": description, "items": items}


def _one_of(words: type[Action] | type[Cause], description: str) -> _Schema:
    return {"enum": [word.value for word in words], "description": description}


def _effect() -> _Schema:
    return {
        "enum": [*(effect.value for effect in Effect), None],
        "description": "What the way from before to after means for the values that pass; in what drift writes, the "
        "way from after to before, as the platform went. null where it means nothing.",
    }


def _basis() -> _Schema:
    return _closed(
        {
            "origins": {
                "type": "object",
                "description": "The platform's origin, by vendor.",
                "additionalProperties": {"type": "string"},
            },
            "manifests": _text("SHA-256 over the manifests, variables and overrides that were read, in hex."),
            "lineage": _text("Which state the plan was made from."),
            "state_serial": _count("Which version of that state."),
            "options": {"type": "object", "description": "The command-line options that shaped the plan."},
        },
        "What the plan was made from; it is stale when any of these has moved.",
    )


def _summary() -> _Schema:
    return _closed(
        {
            **{action.value: _count(f"Steps with the action {action.value}.") for action in Action},
            "refused": _count("Refusals."),
            "unchanged": _count("Resources that need nothing."),
        },
        "How many of each.",
    )


def _step() -> _Schema:
    schema = _step_as_always()
    schema["properties"] = {**schema["properties"], "value_sources": _value_sources(), "replay": _replay()}
    return schema


def _value_sources() -> _Schema:
    found = _closed(
        {
            "path": _text("The value that it decided: of a change, or inside of one."),
            "what": _text("override, or the name that was referred to: var limit, param limit."),
            "file": _text("The manifest."),
            "line": {"type": "integer", "minimum": 0, "description": "Counts from 1."},
        }
    )
    return _list_of(found, "Where changed values come from that are not spelled out at the source; only if there are.")


def _replay() -> _Schema:
    share = _closed(
        {
            "flagged": _count("Windows that miss a threshold."),
            "windows": _count("Windows that could be judged by the old and by the new thresholds."),
            "share": _number("flagged / windows, not rounded."),
            "low": _number("Lower end of the Wilson interval at 95 %."),
            "high": _number("Upper end of it."),
        }
    )
    near = _closed(
        {
            "pipeline": _text("Where it was measured.", nullable=True),
            "starts": {"type": ["integer", "null"], "description": "Unix seconds."},
            "ends": {"type": ["integer", "null"], "description": "Unix seconds."},
            "result_id": _text("The platform's id of the result."),
            "measurement": _text("What was measured."),
            "value": {"description": "The value, not rounded."},
            "margin": _number("How far it is on the right side of the new limit; negative on the wrong one."),
        }
    )
    either = {"anyOf": [share, {"type": "null"}]}
    replay = _closed(
        {
            "state": {
                "enum": [state.value for state in ReplayState],
                "description": "Whether the past says something.",
            },
            "why": _text("Why there is no forecast; empty when there is one."),
            "look_back_s": _count("How long a time was looked at, in seconds."),
            "unknown": _count("Windows without a verdict or a value; they count neither way."),
            "checked": _count("Recorded verdicts that were recomputed."),
            "agreement": {"type": ["number", "null"], "description": "The share of them that came out as recorded."},
            "before": {**either, "description": "What the old thresholds flag; null without a forecast."},
            "after": {**either, "description": "What the new thresholds flag; null without a forecast."},
            "only_before": _count("Flagged by the old thresholds only: they would be missed."),
            "only_after": _count("Flagged by the new thresholds only."),
            "nearest": _list_of(near, "The windows nearest to a new limit, the nearest first."),
            "notes": _list_of({"type": "string"}, "What else a reviewer should know."),
        }
    )
    return {**replay, "description": "What the thresholds would have made of past results; only with --replay."}


def _step_as_always() -> _Schema:
    return _closed(
        {
            "id": _text("Unique in the plan."),
            "action": _one_of(Action, "What the step does."),
            "address": _text("Kind and names, outermost first: openlayer.Project/support-bot."),
            "kind": _text("The address's kind."),
            "name": _text("The address's innermost name."),
            "project": _text("The address's outermost name."),
            "cause": _one_of(Cause, "Who made the difference: the manifests, somebody at the platform, or both."),
            "reason": _text("Why, in words."),
            "effect": _effect(),
            "remote_id": _text("The platform's id of the object; null for a create.", nullable=True),
            "fingerprint": _text(
                "The object as it was: a digest of the compared fields, or True or False for archived where none are "
                "compared; empty where there is no object."
            ),
            "former": _text("The address in the state, when it differs.", nullable=True),
            "changes": _list_of(_change(), "The fields that differ."),
            "after": _list_of({"type": "string"}, "Ids of the steps it waits for."),
            "notes": _list_of({"type": "string"}, "What else a reviewer should know."),
            "idle": _flag("Shown, and not done: it stays as it is."),
            "source": _source(),
        }
    )


_INSIDE = f'What is sensitive in a part is "{NOT_SHOWN}".'


def _change() -> _Schema:
    return _closed(
        {
            "path": _text("Dots and positions in the wanted list (of an item that is gone, in the live one)."),
            "before": {"description": f"The live value; null for unset, and for a sensitive field. {_INSIDE}"},
            "after": {"description": f"The wanted value; null for unset, and for a sensitive field. {_INSIDE}"},
            "effect": _effect(),
            "cause": _one_of(Cause, "Who changed this field."),
            "sensitive": _flag("The field is sensitive: its values are withheld."),
            "create_only": _flag("Cannot be changed in place: this is what forces a replace."),
        }
    )


def _refusal() -> _Schema:
    schema = _closed(
        {
            "address": _text("What was refused."),
            "reason": _text("Why, in words."),
            "hint": _text("What to do about it; may be empty."),
            "source": _source(),
        }
    )
    schema["properties"] = {**schema["properties"], "value_sources": _value_sources()}
    return schema


def _unseen() -> _Schema:
    return _closed({"address": _text("The resource."), "path": _text("The field.")})


def _source() -> _Schema:
    inner = _closed(
        {"file": _text("The manifest."), "line": {"type": "integer", "minimum": 0, "description": "Counts from 1."}}
    )
    return {**inner, "type": ["object", "null"], "description": "Where it was written; null where it was removed."}
