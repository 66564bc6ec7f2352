"""A DigitalOcean GenAI workspace: the home of agents and test cases.

API: GET and POST /workspaces, PUT and DELETE /workspaces/{uuid}.  Whether names are unique is not stated, nor what
DELETE does to what is inside; so a workspace is looked up unless the manifest says ``managed: true``, and several of
one name are an error.  Source: pydo 0.44.0, digitalocean/openapi @7c1300c; 2026-08.
"""

from collections.abc import Callable, Sequence
from typing import Annotated

from pydantic import Field

from reconciler.model.call import Call, Flow, Wire, Write, delete
from reconciler.model.kind import Kind
from reconciler.model.marker import sign, split
from reconciler.model.resource import LiveObject
from reconciler.model.spec import Mark, Spec
from reconciler.model.values import Fields
from reconciler.providers.bodies import id_in
from reconciler.providers.digitalocean.routes import at, object_of, text_of, whole_list


class Workspace(Spec):
    """A workspace: the home of agents and test cases."""

    name: Annotated[str, Field(min_length=1, description="The name in the account.")]
    description: Annotated[str | None, Mark.BLANK_IS_ABSENT, Field(description="What it is for.")] = None
    managed: Annotated[
        bool, Mark.LOCAL, Field(description="true: create and change it; false: it must be there already.")
    ] = False


def _list(_: str | None, __: Wire) -> Flow[list[Fields]]:
    return whole_list(at("workspaces"), "workspaces", "uuid")


def _read(item: Fields, _: tuple[str, ...], __: Callable[[str, str], str | None]) -> LiveObject | None:
    if item.get("deleted_at"):
        return None
    text, op = split(text_of(item.get("description")))
    fields: Fields = {"name": item.get("name"), "description": text}
    return LiveObject(
        address=WORKSPACE.address((), fields),
        remote_id=str(item["uuid"]),
        fields=fields,
        op=op,
        rank=(item.get("created_at"), str(item["uuid"])),
    )


def _one(remote_id: str) -> Flow[Fields]:
    path = at("workspaces", remote_id)
    reply = yield Call("GET", path)
    return object_of(reply.body, "workspace", path)


def _create(write: Write, _: Wire) -> Flow[str]:
    body: Fields = {"name": write.fields["name"]}
    text = sign(write.text("description"), write.op)
    if text:
        body["description"] = text
    call = Call("POST", at("workspaces"), body=body, repeatable=False)
    reply = yield call
    made = reply.body.get("workspace") if isinstance(reply.body, dict) else None
    return uuid_in(made, "uuid", call, reply.status)


def uuid_in(made: object, key: str, call: Call, status: int) -> str:
    """The uuid of what ``call`` made.  Raises OutcomeUnknown when the answer does not tell."""
    return id_in(made, key, call, status, word="uuid")


def _update(writes: Sequence[Write], _: Wire) -> Flow[None]:
    for write in writes:
        assert write.live is not None
        text = sign(write.text_to_send("description"), write.op)
        body: Fields = {"workspace_uuid": write.live.remote_id, "name": write.fields["name"], "description": text or ""}
        yield Call("PUT", at("workspaces", write.live.remote_id), body=body)


def _remove(writes: Sequence[Write], _: Wire) -> Flow[None]:
    for write in writes:
        assert write.live is not None
        yield from delete(at("workspaces", write.live.remote_id))


WORKSPACE = Kind(
    id="digitalocean.Workspace",
    spec=Workspace,
    identity=("name",),
    list=_list,
    one=_one,
    read=_read,
    create=_create,
    update=_update,
    remove=_remove,
    lookup=lambda spec: not spec.managed,
    refusal_hint="managed: true makes it",
    marker="description",
    example={"name": "customer-care"},
)
