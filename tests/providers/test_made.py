"""What a create has made is known by an id that can be one."""

from __future__ import annotations

import pytest

from reconciler.errors import OutcomeUnknown
from reconciler.model.call import Call
from reconciler.providers.bodies import id_in

CREATE = Call("POST", "/v1/projects", {})


@pytest.mark.parametrize("made", [None, [], {}, *({"id": each} for each in (None, 7, "", "a\nb", "\ud800", "x" * 501))])
def test_an_answer_without_such_an_id_leaves_it_open_what_was_made(made: object) -> None:
    """It would stand in the paths of the next requests, and in our state."""
    with pytest.raises(OutcomeUnknown, match="the answer holds no id of what was created"):
        id_in(made, "id", CREATE, 201)


def test_any_other_id_will_do() -> None:
    assert id_in({"id": "7b"}, "id", CREATE, 201) == "7b"
