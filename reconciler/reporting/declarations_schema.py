"""The JSON schema of what ``plan --offline`` prints without a revision to compare with, draft-07.  Pure.

``schemas/declarations.v1.json`` is this, committed.  A minor version adds keys; a reader refuses an unknown major one.
"""

from __future__ import annotations

from typing import Any

_Schema = dict[str, Any]


def declarations_schema() -> _Schema:
    """The schema as plain data, in the order in which the keys stand."""
    nothing = {"type": "null", "description": "No revision: nothing was compared."}
    environment = {
        "name": {"type": "string", "description": "The environment; default where none is declared."},
        "resources": {**_COUNT, "description": "How many resources the manifests declare for it."},
        "kinds": _counts("How many there are of each kind."),
        "roots": _counts("How many stand in each project or workspace, by platform and name."),
    }
    return {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "title": "reconciler declarations, version 1",
        "description": "What manifests declare, compared with nothing: plan --offline without --base. Holds no secret.",
        **_closed(
            {
                "format_version": {"type": "string", "pattern": r"^1\.[0-9]+$", "description": "Major and minor."},
                "offline": _closed({"base": nothing, "commit": nothing}),
                "environments": {
                    "type": "array",
                    "items": _closed(environment),
                    "description": "One each, in the order of their names.",
                },
                "warnings": {"type": "array", "items": {"type": "string"}, "description": "What looks odd in them."},
            }
        ),
    }


_COUNT: _Schema = {"type": "integer", "minimum": 0}


def _counts(description: str) -> _Schema:
    return {"type": "object", "additionalProperties": _COUNT, "description": description}


def _closed(properties: _Schema) -> _Schema:
    return {
        "type": "object",
        "additionalProperties": False,
        "required": list(properties),
        "properties": properties,
    }
