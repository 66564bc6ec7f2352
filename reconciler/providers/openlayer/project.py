"""An Openlayer project.

API: GET and POST /projects, PATCH and DELETE /projects/{id}.  Names are unique in a workspace.  PATCH is missing on
servers older than SDK 0.36; the task type cannot be changed at all; DELETE takes commits, pipelines, tests and data
along.  Source: openlayer-python 0.36.0 types/project_create_params.py, project_update_params.py; 2026-11.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import Field

from reconciler.errors import ApiError, MethodMissing, NotFound
from reconciler.model.call import Call, Flow, Wire, Write, delete, url_path
from reconciler.model.kind import Flaw, Kind, Removal, Replace
from reconciler.model.marker import sign, split
from reconciler.model.nearest import did_you_mean
from reconciler.model.resource import LiveObject
from reconciler.model.spec import Mark, Spec
from reconciler.model.values import Fields, Json
from reconciler.providers.openlayer.paging import every
from reconciler.providers.openlayer.replies import id_of

TASK_TYPES = ("llm-base", "tabular-classification", "tabular-regression", "text-classification")
TEXT_LIMIT = 140
"""Characters in a description, by the vendor's hand-written client of 2024; longer text carries no marker."""

_CONTENTS = {"pipelines": "inferencePipelineCount", "tests": "goalCount", "commits": "versionCount"}
"""What a project holds, and the key that counts it."""
_PLAIN = ("description", "dataRetentionDays", "modelDeveloper", "modelTypes", "purpose")


class Project(Spec):
    """A project: the home of pipelines and tests."""

    name: Annotated[str, Field(min_length=1, max_length=64, description="Unique in the workspace.")]
    task_type: Annotated[str, Mark.CREATE_ONLY, Field(description="What the model does.", examples=list(TASK_TYPES))]
    description: Annotated[str | None, Mark.BLANK_IS_ABSENT, Field(description="What the project is about.")] = None
    data_retention_days: Annotated[
        int | None, Field(ge=3, description="Days to keep data; null keeps it for ever. Lowering it deletes data.")
    ] = None
    model_developer: Annotated[str | None, Mark.BLANK_IS_ABSENT, Field(description="Who made the model.")] = None
    model_types: Annotated[
        list[str] | None, Mark.UNORDERED, Mark.BLANK_IS_ABSENT, Field(description="Kinds of model in use.")
    ] = None
    purpose: Annotated[str | None, Mark.BLANK_IS_ABSENT, Field(description="What the model is for.")] = None


def _check(fields: Fields) -> Sequence[Flaw]:
    task_type = str(fields.get("taskType"))
    if task_type in TASK_TYPES:
        return ()
    if mean := did_you_mean(task_type, TASK_TYPES):
        return [Flaw("taskType", f'"{task_type}" is not a task type', mean)]
    known = ", ".join(TASK_TYPES)
    return [Flaw("taskType", f'"{task_type}" is none of the known task types ({known})', is_error=False)]


def _list(_: str | None, __: Wire) -> Flow[list[Fields]]:
    return every("/projects")


def _read(item: Fields, _: tuple[str, ...], __: Callable[[str, str], str | None]) -> LiveObject:
    text, op = split(str(item["description"])) if item.get("description") else (None, None)
    fields: Fields = {"name": item["name"], "taskType": item.get("taskType"), "description": text}
    fields.update((name, item.get(name)) for name in _PLAIN if name != "description" and name in item)
    return LiveObject(
        address=PROJECT.address((), fields),
        remote_id=str(item["id"]),
        fields=fields,
        op=op,
        rank=(item.get("dateCreated"), str(item["id"])),
        details={name: item.get(key) for name, key in _CONTENTS.items()},
    )


def _create(write: Write, _: Wire) -> Flow[str]:
    body: Fields = {"name": write.fields["name"], "taskType": write.fields["taskType"]}
    body.update((name, write.fields[name]) for name in _PLAIN if name in write.fields)
    signed = sign(write.text("description"), write.op, limit=TEXT_LIMIT)
    if signed:
        body["description"] = signed
    call = Call("POST", "/projects", body=body, repeatable=False)
    return id_of((yield call), call)


def _update(writes: Sequence[Write], _: Wire) -> Flow[None]:
    for write in writes:
        assert write.live is not None
        body: dict[str, Json] = {name: write.fields.get(name) for name in sorted(write.changed)}
        if "description" in body:
            body["description"] = sign(write.text("description"), write.op, limit=TEXT_LIMIT)
        call = Call("PATCH", url_path("projects", write.live.remote_id), body=body)
        try:
            yield call
        except (NotFound, MethodMissing) as error:
            if isinstance(error, NotFound) and not (yield from _is_there(write.live.remote_id)):
                raise
            raise MethodMissing(
                "this server cannot update a project",
                method=call.method,
                path=call.path,
                status=error.status,
                hint=f"it is older than the API's PATCH; change {', '.join(sorted(write.changed))} in the web app",
            ) from error


def _is_there(project_id: str) -> Flow[bool]:
    """Whether there is such a project for certain.  Asked of a list in it: a GET of one project is not documented."""
    try:
        yield Call("GET", url_path("projects", project_id, "inference-pipelines"), query={"page": 1, "perPage": 1})
    except ApiError:
        return False
    return True


def _remove(writes: Sequence[Write], _: Wire) -> Flow[None]:
    for write in writes:
        assert write.live is not None
        yield from delete(url_path("projects", write.live.remote_id))


PROJECT = Kind(
    id="openlayer.Project",
    spec=Project,
    identity=("name",),
    list=_list,
    read=_read,
    create=_create,
    update=_update,
    remove=_remove,
    removal=Removal.DELETE,
    replace=Replace.REFUSE,
    refusal_hint="a new task type needs a new project: give it another name, or delete this one first",
    unique_names=True,
    marker="description",
    check=_check,
    example={"name": "support-bot", "taskType": "llm-base", "description": "Customer support assistant"},
)
