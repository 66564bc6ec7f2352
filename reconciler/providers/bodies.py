"""What stands in the bodies of answers, whoever the vendor is."""

from __future__ import annotations

from reconciler.errors import OutcomeUnknown
from reconciler.model.call import Call
from reconciler.model.kind import can_be_id
from reconciler.model.values import Json, unix_seconds


def listed(value: Json) -> list[Json]:
    """A list; an empty one for all else."""
    return value if isinstance(value, list) else []


def whole_seconds(text: Json) -> int | None:
    """A time as ISO 8601 has it, in whole Unix seconds; None for all else."""
    found = unix_seconds(text)
    return None if found is None else int(found)


def id_in(made: object, key: str, call: Call, status: int, word: str = "id") -> str:
    """The id of what ``call`` made; ``word`` is the vendor's for it.  Raises OutcomeUnknown for what can be none."""
    found = made.get(key) if isinstance(made, dict) else None
    if not can_be_id(found):
        raise OutcomeUnknown(
            f"the answer holds no {word} of what was created", method=call.method, path=call.path, status=status
        )
    return found
