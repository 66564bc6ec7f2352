"""What a run remembers, and the records that make it durable.  Touches: journal."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.applying.means import Known, Means
from reconciler.model.checkout import from_top
from reconciler.model.kind import AnyKind, Replace, root_of
from reconciler.model.plan import Action, Plan, Step
from reconciler.model.records import removed, renamed
from reconciler.model.resource import Address, Resource
from reconciler.model.state import Entry, Intent, done, intent_to_json


class Memory:
    """``entries`` and ``ids`` follow what is done; ``live`` is what was there when the run began, by remote id."""

    def __init__(self, plan: Plan, known: Known, means: Means) -> None:
        self._known, self._means = known, means
        self.ids = dict(known.ids)
        self.live = known.live.by_id()
        self.entries: dict[Address, Entry] = dict(known.state.entries)
        self._former_roots = {
            step.address: step.former.root
            for step in plan.pending
            if step.action in (Action.RENAME, Action.ADOPT) and step.former is not None and step.address.is_root
        }
        self._brought_along: set[Address] = set()

    # -- what is remembered

    def of(self, address: Address) -> Entry | None:
        """What we remembered of an address when the run began, also under the former name of its root."""
        known = self.entries.get(address)
        if known is not None or not self._former_roots:
            return known
        root = self._former_roots.get(root_of(address, self._means.kinds))
        return self.entries.get(address.in_root(root)) if root is not None else None

    def missing(self, address: Address) -> Entry | None:
        """What we remember of an address whose object the platform did not list."""
        known = self.of(address)
        return known if known is not None and known.remote_id not in self.live else None

    def of_step(self, step: Step) -> Entry | None:
        """What we remember of the object that the step changes."""
        return self.entries.get(step.former or step.address)

    def op_of(self, step: Step) -> str | None:
        """The operation that the marker of the step's object names, as far as it is to carry one."""
        entry = self.of_step(step)
        if entry is not None and entry.op is not None:
            return entry.op if self._means.marked else None
        return self.live[str(step.remote_id)].op

    def doubt(self, step: Step) -> Intent | None:
        """The create that was never answered, under the former name or, where that gets a new object, the new one."""
        root = step.former.root if step.former else step.address.root
        meant = step.address.in_root(root)
        doubts = self._known.state.in_doubt
        return doubts.get(step.former or step.address) or doubts.get(meant) or doubts.get(step.address)

    def is_unanswered(self, step: Step) -> bool:
        """Whether the object of the step carries the mark of a create that is in doubt."""
        live = self.live.get(str(step.remote_id))
        return live is not None and any(live.op == doubt.op for doubt in self._known.state.in_doubt.values())

    def replaced_by(self, step: Step) -> tuple[str, ...]:
        """What stays to be let go when a list has left out the old object of a replace that is in doubt."""
        address = step.former or step.address
        if address not in self._known.state.in_doubt:
            return ()
        known, kind = self.of(address), self._means.kinds[step.address.kind]
        if known is None or kind.replace is not Replace.CREATE_FIRST:
            return ()
        return tuple(sorted({*known.retiring, known.remote_id} - {str(step.remote_id)}))

    # -- what is written down

    async def keep(self, address: Address, entry: Entry, doubt: Intent | None = None) -> None:
        """Remember ``entry`` from now on; ``doubt`` is what is in doubt there about another object."""
        await self._means.write(done(address, entry, doubt))
        self.entries[address] = entry

    async def intend(self, step: Step, op: str, attempt: int) -> None:
        """Write down that a create is about to be sent."""
        meant = self.entry(step, "", op)
        intent = Intent(op, attempt, meant.protect, meant.on_removal, meant.source)
        await self._means.write({"record": "intent", "address": str(step.address), **intent_to_json(intent)})

    async def not_applied(self, step: Step) -> None:
        """Write down that the create of this step has made nothing for certain."""
        await self._means.write({"record": "not_applied", "address": str(step.address)})

    async def forget(self, step: Step) -> None:
        """Write down that there is nothing to remember any more; a doubt about another object stays."""
        stays = step.remote_id is not None and self.of_step(step) is not None and self.doubt(step) is not None
        record = removed(step.address, self._means.kinds)
        await self._means.write({**record, "in_doubt": True} if stays else record)

    async def bring_along(self, step: Step) -> None:
        """Move what is remembered under the former name of a step, once its object is there under the new one."""
        former = self._remembered_as(step)
        if former != step.address and step.address not in self._brought_along:
            self._brought_along.add(step.address)
            await self._means.write(renamed(former, step.address, self._means.kinds))

    def _remembered_as(self, step: Step) -> Address:
        """The address in the state: a root that is renamed comes first, and has carried along what stands in it."""
        former = step.former or step.address
        is_carried = not former.is_root and root_of(step.address, self._means.kinds) in self._former_roots
        return former.in_root(step.address.root) if is_carried else former

    def entry(self, step: Step, remote_id: str, op: str | None, retiring: tuple[str, ...] = ()) -> Entry:
        """What there is to remember of the step's resource once it is at the platform as wanted."""
        resource = self._known.resources[step.address]
        before = (self.entries.get(step.former) if step.former else None) or self.of(step.address)
        kind = self._means.kinds[step.address.kind]
        return remembered(resource, kind, remote_id, op, retiring, known=before, home=self._known.home)


def remembered(
    resource: Resource,
    kind: AnyKind,
    remote_id: str,
    op: str | None,
    retiring: Sequence[str] = (),
    *,
    known: Entry | None = None,
    home: str = ".",
) -> Entry:
    """What the state keeps of a resource that is at the platform as the manifests, read at ``home``, want it.

    ``known`` is what it kept before.
    """
    protect = resource.lifecycle.protect
    return Entry(
        remote_id=remote_id,
        applied=resource.fields,
        op=op,
        protect=known is not None and known.protect if protect is None else protect,
        on_removal=resource.lifecycle.onRemoval,
        source=from_top(home, resource.source.file),
        retiring=tuple(retiring),
        gate=resource.gate if kind.gate is not None else None,
    )
