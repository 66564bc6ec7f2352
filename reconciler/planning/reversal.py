"""What was before an apply, what of it cannot come back, and what has to be wanted so that it does.  Pure.

Going back is an ordinary plan towards manifests as they would have to be: with the values that were at the platform,
and without what was not there.  Only our memory needs a hand beforehand where an address got another object:

| an apply has     | our memory first                     | what the plan then does                          |
|------------------|--------------------------------------|--------------------------------------------------|
| created          | drops the protection                 | archives or deletes it, where allowed; else keeps |
| updated, renamed |                                      | updates, renames back                            |
| un-archived      |                                      | archives                                         |
| archived         |                                      | un-archives                                      |
| replaced         | the old object, the new one retiring | un-archives the old one, archives the new one    |
| adopted          |                                      | updates, renames back; then it is given up       |
| forgotten        | ours again, if it is still there     |                                                  |
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.model.checkout import from_home
from reconciler.model.kind import AnyKind, Removal, Replace, named, root_of
from reconciler.model.plan import Action, Plan, Step
from reconciler.model.records import removed
from reconciler.model.resource import Address, Desired, Gate, Lifecycle, Live, LiveObject, Resource, Source
from reconciler.model.secrecy import digests, is_sealed, unknown
from reconciler.model.spec import Mark, Shape
from reconciler.model.state import Entry, Record, State, done, entry_from_json, entry_to_json
from reconciler.model.values import Fields, Json
from reconciler.planning.alignment import aligned
from reconciler.planning.differ import same
from reconciler.planning.wanted import with_our_names


class Before(Struct, frozen=True):
    """What was at one address before an apply.

    ``address`` is the one that it had then.  ``remote_id`` None: there was no object.  ``entry`` None: it was not ours.
    ``fields`` holds the live values of what we had written or were about to write, as far as the platform shows them.
    """

    address: Address
    remote_id: str | None = None
    entry: Entry | None = None
    fields: Fields = field(default_factory=dict)
    archived: bool = False

    @property
    def is_wanted(self) -> bool:
        """Whether an object was there and in use."""
        return self.remote_id is not None and not self.archived


def before_to_json(before: Before) -> Fields:
    """Plain data, for the state."""
    return {
        "address": str(before.address),
        "remote_id": before.remote_id,
        "entry": entry_to_json(before.entry) if before.entry else None,
        "fields": before.fields,
        "archived": before.archived,
    }


def before_from_json(data: Mapping[str, Any]) -> Before:
    """The inverse of ``before_to_json``.  Raises KeyError, ValueError or TypeError for anything else."""
    entry = data["entry"]
    return Before(
        Address.parse(data["address"]),
        data["remote_id"],
        entry_from_json(entry) if entry is not None else None,
        dict(data["fields"]),
        bool(data["archived"]),
    )


def snapshot(plan: Plan, live: Live, state: State, kinds: Mapping[str, AnyKind]) -> dict[Address, Before]:
    """What is there now, by the address that each step of the plan leaves it at; also where only our memory changes.

    What ends an earlier replace, or the doubt about one, is left out: it does not come back.  Nor does the former name
    of a root that is not ours: what stands in it was there under its new one.
    """
    there = live.by_id()
    roots = _former_roots(plan, there)
    befores = _only_remembered(plan, there, state, roots, kinds) | {
        step.address: _before(step, there.get(step.remote_id or ""), state, roots, kinds)
        for step in plan.pending
        if not (_is_leftover(step, state) or step.changes_memory_only or step.ends_doubt)
    }
    followed = [step for step in plan.pending if step.changes_memory_only or _is_adopted_in_place(step, there)]
    homes = {step.former: step.address for step in followed if step.former is not None}
    return {address: replace(each, address=moved_back(each.address, homes, kinds)) for address, each in befores.items()}


def _former_roots(plan: Plan, there: Mapping[str, LiveObject]) -> Homes:
    """Of the roots that get another name: what each is called so far."""
    formers = {
        step.address: _former(step, there.get(step.remote_id or "")) for step in plan.pending if step.address.is_root
    }
    return {address: former for address, former in formers.items() if former != address}


def _former(step: Step, live: LiveObject | None) -> Address:
    """What the object of a step is called so far: what is adopted as the platform has it, in its root as that will be
    called; what is ours as we remember it.
    """
    if step.action is not Action.ADOPT or live is None or (step.former is not None and not step.address.is_root):
        return step.former or step.address
    return live.address if live.address.is_root else live.address.in_root(step.address.root)


def _is_adopted_in_place(step: Step, there: Mapping[str, LiveObject]) -> bool:
    """Whether a root bears its name already, and only what we remember inside it stands under a former one."""
    live = there.get(step.remote_id or "")
    return step.action is Action.ADOPT and step.address.is_root and live is not None and live.address == step.address


def _only_remembered(
    plan: Plan, there: Mapping[str, LiveObject], state: State, roots: Homes, kinds: Mapping[str, AnyKind]
) -> dict[Address, Before]:
    """What is remembered so far of whatever an apply remembers otherwise, steps or none."""
    befores = {}
    for address in dict.fromkeys(change.address for change in plan.lifecycle):
        former = moved_back(address, roots, kinds)
        entry = state.entries.get(former)
        live = there.get(entry.remote_id) if entry is not None else None
        if live is not None:
            befores[address] = _noted(former, entry, live, {}, kinds[address.kind])
    return befores


def _is_leftover(step: Step, state: State) -> bool:
    entry = state.entries.get(step.former or step.address)
    if step.action not in (Action.ARCHIVE, Action.DELETE) or entry is None:
        return False
    return step.remote_id in entry.retiring or step.remote_id != entry.remote_id


def _before(step: Step, live: LiveObject | None, state: State, roots: Homes, kinds: Mapping[str, AnyKind]) -> Before:
    # What is remembered under another address stands in the root of then already.
    former = _former(step, live)
    address = former if step.former is not None else moved_back(former, roots, kinds)
    entry = state.entries.get(address)
    if live is None:
        return Before(address, entry=entry)
    return _noted(address, None if step.action is Action.ADOPT else entry, live, step.fields, kinds[address.kind])


def _noted(address: Address, entry: Entry | None, live: LiveObject, written: Fields, kind: AnyKind) -> Before:
    """What is there of what was written, or is about to be."""
    applied = entry.applied if entry else {}
    names = [name for name in {**applied, **written} if name in kind.shapes]
    hidden = {name for name in names if Mark.WRITE_ONLY in kind.shapes[name].marks or name not in live.fields}
    fields = {name: applied[name] if name in hidden else live.fields[name]
              for name in names if name not in hidden or name in applied}  # fmt: skip
    for name, shape in kind.sensitive.items():
        if name in fields and name not in hidden:
            fields[name] = _with_digests(fields[name], applied.get(name), shape)
    return Before(address, live.remote_id, entry, fields, live.archived)


def _with_digests(shown: Json, applied: Json, shape: Shape) -> Json:
    """What the platform shows, with the digests of what it does not show inside of it, as we remember them."""
    if isinstance(shown, dict) and isinstance(applied, dict) and shape.fields is not None:
        inner = shape.fields
        found = {
            name: _with_digests(value, applied.get(name), inner[name]) if name in inner else value
            for name, value in shown.items()
        }
        lost = [name for name in inner if name not in shown and is_sealed(applied.get(name))]
        return {**found, **{name: applied[name] for name in lost}}
    if isinstance(shown, list) and isinstance(applied, list) and shape.item is not None and shape.parts:
        pairs = aligned(shown, applied, shape.item, same) if shape.item.keys else enumerate(range(len(shown)))
        places = {theirs: ours for theirs, ours in pairs if ours is not None and ours < len(applied)}
        return [
            _with_digests(each, applied[places[place]] if place in places else None, shape.item)
            for place, each in enumerate(shown)
        ]
    return shown


# ---------------------------------------------------------------------------------------------- what cannot come back


def irreversible(
    plan: Plan, befores: Mapping[Address, Before], desired: Desired, kinds: Mapping[str, AnyKind]
) -> tuple[str, ...]:
    """A sentence for everything that the plan does and a roll-back would not undo, in the plan's order."""
    made = {step.address for step in plan.pending if step.action is Action.CREATE}
    found = []
    for step in plan.pending:
        kind, before = kinds[step.address.kind], befores.get(step.address)
        if step.action is Action.CREATE:
            found.append(_why_it_stays(step.address, root_of(step.address, kinds), kind, desired, made))
        elif not step.ends_doubt:
            found.append(_why_not_back(step, kind, before))
    if any(kinds[step.address.kind].measuring for step in plan.pending if step.action is Action.UPDATE):
        found.append("results that the evaluation writes over, and notifications that the platform has sent by then")
    return tuple(f"cannot be rolled back: {why}" for why in found if why)


def _why_it_stays(address: Address, root: Address, kind: AnyKind, desired: Desired, made: set[Address]) -> str:
    if kind.removal is Removal.ARCHIVE and kind.remove is not None:
        return ""
    if kind.removal is Removal.FORGET or kind.remove is None:
        return f"{address} is created, and the platform cannot remove {kind.noun}s"
    if any(desired.resources[each].lifecycle.onRemoval == "delete" for each in {address, root} & made):
        return ""
    return f"{address} is created, and stays there: it has no lifecycle.onRemoval: delete"


def _why_not_back(step: Step, kind: AnyKind, before: Before | None) -> str:
    if step.action is Action.DELETE:
        return f"{step.address} is deleted, with everything in it"
    if before is None:
        return f"{step.address}: what an earlier replace left behind is archived"
    if step.action is Action.REPLACE and kind.replace is Replace.CREATE_THEN_RETIRE:
        return f"{step.address}: the new one stays beside the old one"
    if step.action not in (Action.UPDATE, Action.RENAME, Action.ADOPT):
        return ""
    changed = {change.top for change in step.changes} & kind.shapes.keys()
    lost = " and ".join(sorted(changed - before.fields.keys()))
    secret = ", ".join(_given_up(step, before, kind)) if kind.sensitive else ""
    why = [f"the platform does not show what {lost} was"] if lost else []
    why += [f"nobody keeps the sensitive value of {secret}"] if secret else []
    return f"{step.address}: {', and '.join(why)}" if why else ""


def _given_up(step: Step, before: Before, kind: AnyKind) -> list[str]:
    """The paths of sensitive values that stand nowhere any more once the step is done."""
    found = []
    for name in sorted({change.top for change in step.changes} & kind.sensitive.keys() & before.fields.keys()):
        wanted = {digest for _, digest in digests(name, step.fields.get(name), kind.sensitive)}
        found += unknown(name, before.fields[name], kind.sensitive, wanted)
    return found


# ---------------------------------------------------------------------------------------------- the way back


def merged(
    before: Mapping[Address, Before], now: Mapping[Address, Before], kinds: Mapping[str, AnyKind]
) -> dict[Address, Before]:
    """What was before two applies of which the first is not settled: the older wins, also under its later name.

    What only the second one changes was in its root when that had the name of before the first.
    """
    first, homes = dict(before), _homes(before)
    for address, each in now.items():
        older = first.pop(each.address) if each.address in first else first.get(address)
        first[address] = replace(each, address=moved_back(each.address, homes, kinds)) if older is None else older
    return first


def still_there(befores: Mapping[Address, Before], live: Live) -> dict[Address, Before]:
    """Without objects that are gone for good: another one of the same name would not be what was there."""
    ids = live.by_id()
    return {address: each for address, each in befores.items() if not each.is_wanted or each.remote_id in ids}


def memory_first(befores: Mapping[Address, Before], state: State, live: Live) -> list[Record]:
    """What has to be remembered otherwise, so that a plan can lead back."""
    there, records = live.by_id(), []
    for address, before in befores.items():
        entry = _as_it_must_be(state.entries.get(address), before, there)
        if entry is not None and entry != state.entries.get(address):
            records.append(done(address, entry, state.in_doubt.get(address)))
    return records


def _as_it_must_be(entry: Entry | None, before: Before, there: Mapping[str, LiveObject]) -> Entry | None:
    if entry is None:
        lost = before.entry if before.remote_id in there else None
        return replace(lost, archived=before.archived) if lost else None
    if not before.is_wanted:
        return replace(entry, protect=False)
    if before.entry is not None and entry.remote_id != before.remote_id and before.remote_id in there:
        return replace(before.entry, retiring=(*before.entry.retiring, entry.remote_id), unlisted=False)
    return None


def memory_last(befores: Mapping[Address, Before], state: State, kinds: Mapping[str, AnyKind]) -> list[Record]:
    """What is to be remembered of everything that is back: what was remembered before, and what is to be retired since.

    What this apply has made in its place is ours, and stays there where its kind archives nothing.
    """
    records: list[Record] = []
    for before in befores.values():
        entry = state.entries.get(before.address)
        if before.remote_id is None or entry is None:
            continue
        if before.entry is None:
            records.append(removed(before.address, kinds))
            continue
        was = replace(before.entry, retiring=entry.retiring)
        if entry != was:
            records.append(done(before.address, was, state.in_doubt.get(before.address)))
    return records


def as_it_was(befores: Mapping[Address, Before], desired: Desired, kinds: Mapping[str, AnyKind]) -> Desired:
    """The manifests as they would have to be for everything to be as it was before."""
    homes = _homes(befores)
    resources = {
        moved.address: moved
        for each in desired
        if each.address not in befores
        for moved in [_moved(each, homes, kinds)]
    }
    for address, before in befores.items():
        if before.is_wanted:
            written = desired.resources.get(address)
            now = moved_back(address, homes, kinds)
            resources[before.address] = _resource(before, now, written, homes, kinds, desired.home)
    return replace(desired, resources=resources)


def concerned(befores: Mapping[Address, Before], kinds: Mapping[str, AnyKind]) -> set[Address]:
    """The addresses that a plan leading back may have steps for."""
    homes = _homes(befores)
    return {each for address, before in befores.items() for each in (before.address, moved_back(address, homes, kinds))}


def as_named_now(addresses: Iterable[Address], desired: Desired, kinds: Mapping[str, AnyKind]) -> set[Address]:
    """These, and what the manifests call them, should some have their former names again."""
    formers = {former: each.address for each in desired for former in each.renamed_from}
    found = set(addresses)
    found |= {
        each.in_root(formers[root].name)
        for each in found
        if not each.is_root and (root := root_of(each, kinds)) in formers
    }
    return found | {formers[each] for each in found if each in formers}


Homes = Mapping[Address, Address]
"""A root as it is called now -> as it was called before."""


def _homes(befores: Mapping[Address, Before]) -> Homes:
    roots = [(address, before) for address, before in befores.items() if address.is_root]
    return {address: before.address for address, before in roots if before.is_wanted and before.address != address}


def moved_back(address: Address, homes: Homes, kinds: Mapping[str, AnyKind]) -> Address:
    """Where something stands once its root has its former name again; a root itself stays."""
    parent = kinds[address.kind].parent_of(address) if homes else None
    home = homes.get(parent) if parent is not None else None
    return address.in_root(home.name) if home is not None else address


def _moved(resource: Resource, homes: Homes, kinds: Mapping[str, AnyKind]) -> Resource:
    if not homes:
        return resource
    return replace(
        resource,
        address=moved_back(resource.address, homes, kinds),
        references=_references(resource.references, homes, kinds),
    )


def _references(addresses: Iterable[Address], homes: Homes, kinds: Mapping[str, AnyKind]) -> tuple[Address, ...]:
    return tuple(homes.get(each) or moved_back(each, homes, kinds) for each in addresses)


def _resource(
    before: Before,
    address: Address,
    written: Resource | None,
    homes: Homes,
    kinds: Mapping[str, AnyKind],
    home: str,
) -> Resource:
    """The resource as it was; ``address`` is where it stands now, but for its root."""
    entry, kind = before.entry, kinds[before.address.kind]
    lifecycle = Lifecycle(protect=entry.protect, onRemoval=entry.on_removal) if entry else Lifecycle()  # type: ignore[arg-type]
    gate = (entry.gate if entry else None) or (written.gate if written else Gate())
    parent = kind.parent_of(before.address)
    fields = {**before.fields, **dict(zip(kind.identity, before.address.path[-len(kind.identity) :], strict=True))}
    return Resource(
        address=before.address,
        fields={name: value for name, value in fields.items() if name in kind.shapes},
        source=written.source if written else Source(from_home(home, entry.source) if entry else "", 0, 0),
        lifecycle=lifecycle,
        gate=gate,
        references=_references(written.references, homes, kinds) if written else (parent,) if parent else (),
        renamed_from=(address,) if address != before.address else (),
        files=written.files if written else {},
        secrets=written.secrets if written else {},
    )


def beyond_recall(steps: Iterable[Step], desired: Desired, kinds: Mapping[str, AnyKind]) -> dict[Address, list[str]]:
    """What of each address cannot lead back: paths in fields that differ, whose values of then nobody knows."""
    found: dict[Address, list[str]] = {}
    for step in steps:
        sensitive, resource = kinds[step.address.kind].sensitive, desired.resources.get(step.address)
        if not sensitive or resource is None:
            continue
        changed = {change.top for change in step.changes} & step.fields.keys() & sensitive.keys()
        paths = sorted(
            path for name in changed for path in unknown(name, step.fields[name], sensitive, resource.secrets)
        )
        if paths:
            found[step.address] = paths
    return found


def left_as_they_are(
    lost: Mapping[Address, Iterable[str]], steps: Iterable[Step], desired: Desired, state: State, live: Live
) -> Desired:
    """The same, but for the fields that cannot lead back: they are wanted as they are now."""
    there, resources = live.by_id(), dict(desired.resources)
    for step in steps:
        if step.address not in lost or not step.changes:  # what is left behind at the same address has none
            continue
        entry, item = state.entries.get(step.former or step.address), there.get(step.remote_id or "")
        now = {**(item.fields if item else {}), **(entry.applied if entry else {})}
        resource = resources[step.address]
        names = {path.partition(".")[0] for path in lost[step.address]}
        fields = {name: value for name, value in resource.fields.items() if name not in names}
        resources[step.address] = replace(resource, fields={**fields, **{n: now[n] for n in names if n in now}})
    return replace(desired, resources=resources)


def naming_what_is_gone(
    steps: Iterable[Step], desired: Desired, ids: Container[Address], kinds: Mapping[str, AnyKind]
) -> dict[Address, dict[str, list[Address]]]:
    """What the steps would name and nothing bears any more, by address and field; ``ids`` has all that is there."""
    found: dict[Address, dict[str, list[Address]]] = {}
    for step in steps:
        resource = desired.resources.get(step.address)
        for name in sorted({change.top for change in step.changes} & resource.fields.keys()) if resource else ():
            shape, value = kinds[step.address.kind].shapes[name], step.fields.get(name)
            if shape.ref is None or (isinstance(value, str) and shape.item is not None):  # a word for all of them
                continue
            gone = [each for each in named(value, shape.ref.kind, step.address, kinds) if each not in ids]
            if gone:
                found.setdefault(step.address, {})[name] = gone
    return found


def left_as_they_name(
    gone: Mapping[Address, Iterable[str]],
    steps: Iterable[Step],
    desired: Desired,
    live: Live,
    aliases: Mapping[Address, Address],
    kinds: Mapping[str, AnyKind],
) -> Desired:
    """The same, but for the fields that would name what is gone: they are wanted as the platform shows them.

    ``aliases`` leads from the addresses there to ours.
    """
    there, resources = live.by_id(), dict(desired.resources)
    for step in steps:
        item = there.get(step.remote_id or "") if step.changes else None  # not what is left behind at the same address
        if step.address in gone and item is not None:
            now = with_our_names(item, kinds, aliases)
            shown = {name: now[name] for name in gone[step.address] if name in now}
            resource = resources[step.address]
            resources[step.address] = replace(resource, fields={**resource.fields, **shown})
    return replace(desired, resources=resources)


def back(plan: Plan, befores: Mapping[Address, Before], kinds: Mapping[str, AnyKind]) -> Plan:
    """The part of a plan that concerns what is rolled back."""
    ours = concerned(befores, kinds)
    steps = tuple(step for step in plan.steps if step.address in ours)
    known = {step.id for step in steps}
    linked = tuple(replace(step, after=tuple(each for each in step.after if each in known)) for step in steps)
    refusals, lifecycle = (
        tuple(each for each in told if each.address in ours) for told in (plan.refusals, plan.lifecycle)
    )
    return replace(plan, steps=linked, refusals=refusals, lifecycle=lifecycle)
