"""Read what a write answered, and wait for the task it may have started.  Flows: describe I/O, do none."""

from __future__ import annotations

from reconciler.errors import ApiError, InvalidRequest, MethodMissing, NotFound, OutcomeUnknown
from reconciler.model.call import Call, Flow, Reply, Wait, url_path
from reconciler.model.outcome import TaskState
from reconciler.providers.bodies import id_in

POLLS = (0.0, 0.2, 0.5, 1.0, 2.0, 3.0, 5.0, 5.0, 10.0, 10.0, 10.0, 10.0)
"""Pauses before each look at a background task, in seconds.  The vendor names no interval (2026-11)."""


def id_of(reply: Reply, call: Call) -> str:
    """The id of the object that ``call`` made.  Raises OutcomeUnknown when the answer does not tell."""
    return id_in(reply.body, "id", call, reply.status)


def task_state(task_id: str) -> Flow[TaskState]:
    """How a background task is doing.  Raises NotFound on servers without the route.

    A non-null ``error`` means failure whatever ``complete`` says (openlayer-python 0.36.0
    types/background_task_retrieve_response.py, 2026-11).
    """
    reply = yield Call("GET", url_path("background-tasks", task_id))
    body = reply.body if isinstance(reply.body, dict) else {}
    return TaskState(
        complete=body.get("complete") is True,
        error=str(body["error"]) if body.get("error") else "",
    )


def settle(reply: Reply, call: Call) -> Flow[None]:
    """Wait until the background task that ``call`` started, if any, is over.

    Raises InvalidRequest when the task failed, OutcomeUnknown when it does not end or cannot be looked at.
    """
    task_id = reply.body.get("taskResultId") if isinstance(reply.body, dict) else None
    if not isinstance(task_id, str) or not task_id:
        return
    for pause in POLLS:
        if pause:
            yield Wait(pause)
        try:
            state = yield from task_state(task_id)
        except (NotFound, MethodMissing):
            return  # an older server: reading back decides
        except ApiError as error:  # which is about the look, and not about what was accepted
            raise OutcomeUnknown(
                f"it was accepted, and how the platform's background task ended is not known: {error.message}",
                method=call.method,
                path=call.path,
                hint=error.hint,
            ) from error
        if state.error:
            raise InvalidRequest(
                f"the platform's background task failed: {state.error}", method=call.method, path=call.path
            )
        if state.complete:
            return
    raise OutcomeUnknown(
        f"the platform's background task {task_id} has not ended after {sum(POLLS):.0f} s",
        method=call.method,
        path=call.path,
    )
