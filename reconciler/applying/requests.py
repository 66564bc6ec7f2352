"""The requests of steps: made of what is wanted and known, and sent while the lock is ours.  Touches: network."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar, overload

from msgspec.structs import replace

from reconciler.applying.means import Known, Means
from reconciler.applying.memory import Memory
from reconciler.applying.siblings import Siblings
from reconciler.concurrency import Stopped, unless
from reconciler.errors import NotFound, OutcomeUnknown
from reconciler.model.call import Call, Flow, Reply, Wire, Write
from reconciler.model.flow import Send, drive
from reconciler.model.plan import Action, Step
from reconciler.model.provider import Permit, Provider
from reconciler.model.resource import Address, LiveObject
from reconciler.model.secrecy import Secrets, opened

T = TypeVar("T")


class Requests:
    """Knows at any moment what the ids are by which the platform is to be told of things."""

    def __init__(self, known: Known, means: Means, memory: Memory) -> None:
        self._known, self._means, self._memory = known, means, memory

    async def drive(self, step: Step, flow: Flow[T], send: Send | None = None) -> T:
        """Carry out a flow of the step's."""

        async def sleep(seconds: float) -> None:
            try:
                await unless(self._means.stop, self._means.clock.sleep(seconds))
            except Stopped as error:
                what, where = "interrupted while the platform was still at it", str(step.address)
                raise OutcomeUnknown(what, method="POST", path=where, hint="apply again: it looks first") from error

        return await drive(flow, send or self.sender(step), sleep)

    def sender(self, step: Step, to_create: Permit | None = None) -> Send:
        """How to send the requests of a step: writes only while the lock is ours.

        ``to_create`` is asked instead for what must not be sent twice.
        """
        provider, to_write = self.provider(step.address), self._means.confirm

        async def send(call: Call) -> Reply:
            if call.method == "GET":
                return await provider.send(call)
            return await provider.send(call, to_write if call.repeatable else to_create or to_write)

        return send

    async def update(self, changing: Sequence[tuple[Step, str | None]]) -> None:
        """Send what is different of objects of one kind and parent, each with the operation that its marker names."""
        first, _ = changing[0]
        update = self._means.kinds[first.address.kind].update
        assert update is not None
        await self.drive(first, update([self.to_write(step, op) for step, op in changing], self.wire(first.address)))

    async def remove(self, removing: Sequence[Step]) -> NotFound | None:
        """Let go of objects of one kind and parent.

        Returns what was answered to a delete by a server that knows no such object: it may not know the request.
        """
        first = removing[0]
        remove = self._means.kinds[first.address.kind].remove
        assert remove is not None
        send_one, refusals = self.sender(first), list[NotFound]()

        async def send(call: Call) -> Reply:
            try:
                return await send_one(call)
            except NotFound as error:
                if call.method == "DELETE":
                    refusals.append(error)
                raise

        writes = [self._to_remove(step) for step in removing]
        await self.drive(first, remove(writes, self.wire(first.address)), send)
        return refusals[0] if refusals else None

    def to_write(self, step: Step, op: str | None, live: LiveObject | None = None) -> Write:
        """What is wanted of the step's object, and what of it is different.

        ``live`` is the object, where that was not known when the plan was made.
        """
        resource = self._known.resources.get(step.address)
        root, live = self._means.root, live or self._memory.live.get(str(step.remote_id))
        changed = frozenset[str]() if step.action is Action.CREATE else _differing(step)
        fields, sensitive = step.fields, self._means.kinds[step.address.kind].sensitive
        if sensitive:
            fields = opened(fields, sensitive, self.secrets(step, live))
            changed -= step.fields.keys() - fields.keys()
        return Write(
            address=step.address,
            fields=fields,
            parent_id=self.parent_id(step.address),
            changed=changed,
            live=self._opened(live),
            op=op if self._means.marked else None,
            files={name: str(root / path) for name, path in resource.files.items()} if resource else {},
        )

    def _to_remove(self, step: Step) -> Write:
        live = self._opened(self._memory.live[str(step.remote_id)])
        return Write(step.address, live.fields, self.parent_id(step.address), live=live, archived=True)

    def secrets(self, step: Step, live: LiveObject | None = None) -> Secrets:
        """The values behind the digests in what is wanted of the step's object and in what is there of it."""
        resource, live = self._known.resources.get(step.address), live or self._memory.live.get(str(step.remote_id))
        there, meant = (each.secrets if each else {} for each in (live, resource))
        return {**there, **meant}

    @overload
    def _opened(self, live: LiveObject) -> LiveObject: ...

    @overload
    def _opened(self, live: None) -> None: ...

    def _opened(self, live: LiveObject | None) -> LiveObject | None:
        """The object as the platform shows it."""
        sensitive = self._means.kinds[live.address.kind].sensitive if live is not None else {}
        if live is None or not sensitive:
            return live
        return replace(live, fields=opened(live.fields, sensitive, live.secrets))

    def parent_id(self, address: Address) -> str | None:
        """The remote id of what the address stands in."""
        parent = self._means.kinds[address.kind].parent_of(address)
        return self._memory.ids[parent] if parent is not None else None

    def siblings(self, address: Address) -> Siblings:
        """The list of everything of its kind that stands beside the address.  What it stands in has to be there."""
        return self._beside(address, self.parent_id(address))

    def remembered_siblings(self, address: Address) -> Siblings | None:
        """The same by what we remember, if what it stands in is not there; None if nothing is known of that either."""
        parent = self._means.kinds[address.kind].parent_of(address)
        if parent is None:
            return self._beside(address, None)
        known = self._memory.entries.get(parent)
        parent_id = self._memory.ids.get(parent) or (known.remote_id if known is not None else None)
        return self._beside(address, parent_id) if parent_id is not None else None

    def _beside(self, address: Address, parent_id: str | None) -> Siblings:
        kind = self._means.kinds[address.kind]
        parent = kind.parent_of(address)
        path = parent.path if parent is not None else ()
        return Siblings(kind, parent_id, path, self.provider(address).send, self.wire(address))

    def provider(self, address: Address) -> Provider:
        """Whom the address belongs to."""
        return self._means.providers[address.vendor]

    def wire(self, address: Address) -> Wire:
        """The ids as they are now, and the dialect of the platform."""
        return Wire(self._memory.ids, self.provider(address).dialect)


def _differing(step: Step) -> frozenset[str]:
    """The fields that are different, by their names at the top."""
    return frozenset(change.top for change in step.changes)
