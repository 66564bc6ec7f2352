"""Answer for workspaces, and for the agents in them, which the API can move but not make."""

from __future__ import annotations

import uuid
from collections.abc import Iterable

from reconciler.emulator.database import Document
from reconciler.emulator.digitalocean import bodies, views
from reconciler.emulator.digitalocean.wire import Call, found, paged
from reconciler.emulator.rest import ApiError, moment


def workspace_of(call: Call) -> Document:
    """The workspace of the path.  Raises ApiError 404."""
    return found("workspace", call.store.workspace(call.path["workspace"]))


def check_echo(call: Call, name: str, sent: str) -> None:
    """The uuid of the path may stand in the body once more.  Raises ApiError 422 where another one does."""
    if sent and sent not in call.path.values():
        raise ApiError(422, f"{name}: Is not the one of the path.")


def list_workspaces(call: Call) -> Document:
    """GET /workspaces: all of them."""
    call.asks(bodies.PageQuery)
    return {"workspaces": [views.workspace(call.store, doc) for doc in call.store.workspaces()]}


def create_workspace(call: Call) -> Document:
    """POST /workspaces; names need not be unique."""
    sent, at = call.body(bodies.WorkspaceCreate), moment(call.now)
    doc = {"uuid": str(uuid.uuid4()), "name": sent.name, "description": sent.description}
    doc |= {"created_at": at, "updated_at": at}
    call.store.put_workspace(doc)
    _move(call, sent.agent_uuids, doc["uuid"])
    return {"workspace": views.workspace(call.store, doc)}


def read_workspace(call: Call) -> Document:
    """GET /workspaces/{workspace}."""
    return {"workspace": views.workspace(call.store, workspace_of(call))}


def update_workspace(call: Call) -> Document:
    """PUT /workspaces/{workspace}; what is not sent stays."""
    doc, sent = workspace_of(call), call.body(bodies.WorkspaceUpdate)
    check_echo(call, "workspace_uuid", sent.workspace_uuid)
    changes = {key: value for key, value in sent.sent().items() if key != "workspace_uuid"}
    doc |= {**changes, "updated_at": moment(call.now)}
    call.store.put_workspace(doc)
    return {"workspace": views.workspace(call.store, doc)}


def delete_workspace(call: Call) -> Document:
    """DELETE /workspaces/{workspace}, if nothing is in it."""
    doc = workspace_of(call)
    _, agents = call.store.agents(doc["uuid"])
    if agents or call.store.test_cases([doc["uuid"]]):
        raise ApiError(409, "The workspace still holds agents or evaluation test cases.")
    call.store.delete_workspace(doc["uuid"])
    return {"workspace_uuid": doc["uuid"]}


def list_agents_of_workspace(call: Call) -> Document:
    """GET /workspaces/{workspace}/agents."""
    doc, query = workspace_of(call), call.asks(bodies.AgentQuery)
    return paged(
        call,
        query,
        f"/workspaces/{doc['uuid']}/agents",
        "agents",
        lambda limit, offset: call.store.agents(doc["uuid"], deployed=query.only_deployed, limit=limit, offset=offset),
        lambda agent: views.agent(call.store, agent),
    )


def move_agents(call: Call) -> Document:
    """PUT /workspaces/{workspace}/agents: out of where they are, into this one."""
    doc, sent = workspace_of(call), call.body(bodies.AgentsMove)
    check_echo(call, "workspace_uuid", sent.workspace_uuid)
    _move(call, sent.agent_uuids, doc["uuid"])
    return {"workspace": views.workspace(call.store, doc)}


def _move(call: Call, agent_uuids: Iterable[str], workspace_uuid: str) -> None:
    for agent_uuid in agent_uuids:
        found(f"agent {agent_uuid}", call.store.agent(agent_uuid))
        call.store.move_agent(agent_uuid, workspace_uuid)


def list_agents(call: Call) -> Document:
    """GET /agents."""
    query = call.asks(bodies.AgentQuery)
    return paged(
        call,
        query,
        "/agents",
        "agents",
        lambda limit, offset: call.store.agents(deployed=query.only_deployed, limit=limit, offset=offset),
        views.listed_agent,
    )


def _agent_of(call: Call) -> Document:
    return found("agent", call.store.agent(call.path["agent"]))


def read_agent(call: Call) -> Document:
    """GET /agents/{agent}."""
    return {"agent": views.agent(call.store, _agent_of(call))}


def list_agent_versions(call: Call) -> Document:
    """GET /agents/{agent}/versions."""
    doc, query = _agent_of(call), call.asks(bodies.PageQuery)
    return paged(
        call,
        query,
        f"/agents/{doc['uuid']}/versions",
        "agent_versions",
        lambda limit, offset: call.store.agent_versions(doc["uuid"], limit, offset),
        lambda version: views.agent_version(doc["version_hash"], version),
    )
