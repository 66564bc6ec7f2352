"""The requests that steps would send, without sending them: for a person who has to finish what we could not.

Touches: network, reads only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from msgspec.structs import replace

from reconciler.errors import ApiError
from reconciler.model.call import Call, Flow, Reply, Wire, Write
from reconciler.model.flow import drive
from reconciler.model.kind import AnyKind
from reconciler.model.plan import Action, Step
from reconciler.model.provider import Clock, Provider
from reconciler.model.resource import Address, LiveObject
from reconciler.model.secrecy import masked_fields


class _Write(Exception):
    """A request that would change something, caught before it is sent."""

    def __init__(self, call: Call) -> None:
        super().__init__(str(call))
        self.call = call


async def first_write(
    step: Step,
    kind: AnyKind,
    provider: Provider,
    ids: Mapping[Address, str],
    live: Mapping[str, LiveObject],
    clock: Clock,
    op_of: Callable[[Step], str | None],
) -> Call | None:
    """The first request of a step that changes something at the platform, without the values of what is sensitive.

    ``op_of`` gives the operation id of the ownership marker that the object carries.  None for a step that sends
    nothing, or when what has to be read for it cannot be read.
    """
    flow = _flow(step, kind, Wire(ids, provider.dialect), ids, live, op_of)
    if flow is None:
        return None

    async def send(call: Call) -> Reply:
        if call.method == "GET":
            return await provider.send(call)
        raise _Write(call)

    try:
        await drive(flow, send, clock.sleep)
    except _Write as caught:
        return caught.call
    except ApiError:
        return None
    return None


def _flow(
    step: Step,
    kind: AnyKind,
    wire: Wire,
    ids: Mapping[Address, str],
    live: Mapping[str, LiveObject],
    op_of: Callable[[Step], str | None],
) -> Flow[None] | None:
    item = live.get(step.remote_id or "")
    parent = kind.parent_of(step.address)
    parent_id = ids.get(parent) if parent else None
    if item is None or (parent and parent_id is None):
        return None
    item = replace(item, fields=masked_fields(item.fields, kind.sensitive)) if kind.sensitive else item
    if step.action in (Action.ARCHIVE, Action.DELETE) and kind.remove is not None:
        return kind.remove([Write(step.address, item.fields, parent_id, live=item, archived=True)], wire)
    if step.action in (Action.UPDATE, Action.RENAME, Action.ADOPT) and kind.update is not None:
        changed = frozenset(change.top for change in step.changes)
        write = Write(step.address, masked_fields(step.fields, kind.sensitive), parent_id, changed, item, op_of(step))
        return kind.update([write], wire)
    return None
