"""What has to happen for the resources that the manifests ask for.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final

from msgspec import Struct
from msgspec.structs import replace

from reconciler.model.kind import AnyKind, Replace, named
from reconciler.model.plan import (
    LOST_REPLY,
    MATCHES_NOT_OURS,
    NOT_THERE,
    UNANSWERED,
    Action,
    Cause,
    Effect,
    FieldChange,
    Refusal,
    Step,
    deciding,
    uncompared,
    worst,
)
from reconciler.model.resource import Address, LiveObject, Resource
from reconciler.model.spec import Mark
from reconciler.model.state import Entry
from reconciler.model.values import Fields, Json
from reconciler.planning.differ import field_changes, fingerprint, showable
from reconciler.planning.effects import with_effects
from reconciler.planning.leftovers import leftover, refuse_double, refuse_misplaced, unanswered
from reconciler.planning.matcher import Match
from reconciler.planning.world import Decision, World, removal

MOST_NAMED: Final = 3
"""How many environments a note names."""


class Notice(Struct, frozen=True, order=True):
    """What is worth knowing of what is at the platform, and stands in nobody's way."""

    address: Address
    text: str


def for_wanted(world: World) -> Iterator[Decision | Notice]:
    """One decision at least for each resource that is not as it should be; none for the others."""
    rank = {kind_id: place for place, kind_id in enumerate(world.kinds)}
    renewed: set[Address] = set()
    # What others refer to comes first: they must know whether it gets a new object.
    for address, found in sorted(world.matches.by_address.items(), key=lambda item: rank[item[0].kind]):
        resource = world.desired.resources.get(address)
        if resource is not None:
            for each in Wanted(resource, found, world.kinds[address.kind], world, renewed).decisions():
                if isinstance(each, Step) and each.action in (Action.CREATE, Action.REPLACE):
                    renewed.add(address)
                yield each


class Wanted(Struct, frozen=True):
    """A resource that the manifests ask for, and what is known of it.

    ``renewed`` are the addresses that get a new object in this plan: what refers to them is pointed at it.
    """

    resource: Resource
    found: Match
    kind: AnyKind
    world: World
    renewed: AbstractSet[Address] = frozenset()

    def decisions(self) -> Iterator[Decision | Notice]:
        """Everything that has to happen for it, and what is worth knowing of it."""
        resource, found, kind = self.resource, self.found, self.kind
        if found.also:
            yield refuse_double(resource.address, found, resource.source)
            return
        if found.live is not None and found.live.unmanaged and not found.live.archived:
            yield from self._worth_telling(found.live)
        said = (*self._unclear_names(), *self._said_by_kind()) if kind.refuses or kind.looking_up else ()
        yield from said
        is_refused = any(isinstance(each, Refusal) for each in said)
        decided: Sequence[Decision] = ()
        if not is_refused and not kind.virtual:
            decided = tuple(self._look_up() if resource.lookup else self._decide())
        yield from decided
        for item in found.left_behind:
            yield leftover(resource.address, found, item, self.world, resource.source)
        if found.in_doubt and not is_refused and not any(map(_settles_doubt, decided)):
            yield from unanswered(resource.address, found, self.world, resource.source)

    # -- what is refused or told before anything is decided

    def _worth_telling(self, live: LiveObject) -> Iterator[Notice]:
        """What nobody here can set, and a reader of the plan should know."""
        address, source = self.resource.address, self.resource.source
        for name in live.unmanaged:
            if name in self.kind.worth_telling:
                yield Notice(address, f"{address}: {self.kind.worth_telling[name]} ({source.file}:{source.line})")

    def _unclear_names(self) -> Iterator[Refusal]:
        """What is only looked up, by a name that several have."""
        resource, kinds = self.resource, self.world.kinds
        for field, other in self.kind.looking_up:
            for target in named(resource.fields.get(field), other, resource.address, kinds):
                ids = self.world.namesakes.get(target, ())
                if len(ids) > 1:
                    source = replace(resource.source, line=resource.line_of(field))
                    what = kinds[other].alike(target.name, ids)
                    yield Refusal(resource.address, f"{field}: {what}", "rename all but one", source)

    def _said_by_kind(self) -> Iterator[Refusal | Notice]:
        """What the kind itself refuses, now that the platform can be looked at, and what it only warns of."""
        resource, address = self.resource, self.resource.address
        live = self.found.live.fields if self.found.live is not None else None
        for flaw in self.kind.refuse(resource.fields, live, self.world.around(address)):
            source = replace(resource.source, line=resource.line_of(flaw.path.partition(".")[0]))
            if flaw.is_error:
                yield Refusal(address, f"{flaw.path}: {flaw.message}", flaw.hint, source)
            else:
                yield Notice(address, f"{address}: {flaw.path}: {flaw} ({source.file}:{source.line})")

    def _refuse(self, reason: str, hint: str = "") -> Refusal:
        return Refusal(self.resource.address, reason, hint, self.resource.source)

    # -- what is only looked up

    def _look_up(self) -> Iterator[Decision]:
        """It must be there, once; it is never changed, and what we may remember of it is given up."""
        found, address, matches = self.found, self.resource.address, self.world.matches
        if found.twins:
            ids = ", ".join(item.remote_id for item in found.twins)
            yield self._refuse(f"there are {len(found.twins)} of this name: {ids}", "rename all but one")
        elif found.live is None or found.live.address != address:
            yield self._refuse(f"the platform has no {self.kind.noun} of this name", self.kind.refusal_hint)
        elif clash := matches.clashes.get(address):
            hint = "drop renamedFrom: it is only looked up, and what is in it cannot be moved"
            yield self._refuse(self._both_are_there(clash), hint)
        elif (followed := matches.followed.get(address)) is not None:
            yield self._follow(found.live, followed)
        elif found.entry is not None and found.ours:
            yield removal(Action.FORGET, address, found, "only looked up from now on")

    def _follow(self, live: LiveObject, former: Address) -> Step:
        """Move what is remembered inside a root to the name that the root has now."""
        return Step(
            id=f"{Action.RENAME}:{self.resource.address}",
            action=Action.RENAME,
            address=self.resource.address,
            reason=f"it was renamed at the platform, and what stands in it is remembered under {former.name}",
            source=self.resource.source,
            remote_id=live.remote_id,
            fingerprint=uncompared(archived=live.archived),
            former=former,
        )

    # -- what is ours to make

    def _decide(self) -> Iterable[Decision]:
        found, live = self.found, self.found.live
        if (refusal := self._refuse_muddle()) is not None:
            return (refusal,)
        if live is not None and found.ours:
            return self._bring_in_line(live)
        address = self.resource.address
        if (known := self._known_elsewhere()) is not None:
            hint = f"say that it is the same: reconciler state mv '{known}' '{address}'"
            return (self._refuse(f"it is there, and remembered as {known}", hint),)
        if self._is_lagging():
            return (self._create(),)
        if found.twins:
            ids = ", ".join(item.remote_id for item in found.twins)
            what = f"{len(found.twins)} live objects have this identity: {ids}"
            hint = f"rename or archive all but one, or say which: reconciler state import '{address}' ID"
            return (self._refuse(what, hint),)
        if live is None or (live.archived and not self._revives(live)):
            return (self._instead_of_rename(self._create(live)),)
        return self._adopt(live)

    def _refuse_muddle(self) -> Refusal | None:
        """The refusal to guess which of several addresses an object has, or which of several objects is meant."""
        matches, address = self.world.matches, self.resource.address
        if not (matches.misplaced or matches.unclear or matches.clashes):
            return None
        if (place := matches.misplaced.get(address)) is not None:
            return refuse_misplaced(address, place, self.resource.source)
        if unclear := matches.unclear.get(address):
            return self._refuse(*_which_of_them(unclear))
        clash = matches.clashes.get(address)
        if clash is not None and not self._is_replace_in_doubt(clash):
            return self._refuse(self._both_are_there(clash), "drop renamedFrom, and remove one of the two")
        return None

    def _both_are_there(self, former: Address) -> str:
        names = f"{former.name} and {self.resource.address.name}"
        return f"renamedFrom says {former.name}, but both {names} are at the platform"

    def _is_replace_in_doubt(self, clash: Address) -> bool:
        """Whether both names are there because an earlier run may have made what replaces the former."""
        found = self.found
        if found.live is None or found.former is None or found.former.name != clash.name:
            return False
        return any(change.create_only for change in self.differences(found.live, found.entry))

    def _known_elsewhere(self) -> Address | None:
        """The address inside another root by which we remember what stands at this one.

        Where that root is renamed it is not elsewhere, but renamed back; one that is only looked up is never renamed.
        """
        matches, address = self.world.matches, self.resource.address
        for ours, place in matches.misplaced.items():
            if place == address:
                return ours
        known = matches.aliases.get(address)
        if known is None or known.root == address.root:
            return None
        parent = self.kind.parent_of(address)
        root = self.world.desired.resources.get(parent) if parent is not None else None
        return known if root is not None and root.lookup else None

    def _is_lagging(self) -> bool:
        """Whether we made it and no list has shown it since: whatever else has its name is not it.

        A stranger is not adopted either while a create of ours is in doubt: it is looked for first.
        """
        found = self.found
        made = found.entry is not None and found.entry.unlisted
        return (made or (found.in_doubt and self._adopts)) and not found.ours

    # -- what is not there

    def _create(self, archived: LiveObject | None = None) -> Decision:
        """The create; ``archived`` is somebody's that bears the name."""
        resource, kind, entry, in_doubt = self.resource, self.kind, self.found.entry, self.found.in_doubt
        if kind.create is None:
            return self._refuse(f"there is no such {kind.noun}, and it cannot be created from here")
        gone = entry is not None and not (in_doubt or entry.unlisted or entry.archived)
        reason = "it was removed at the platform" if gone else NOT_THERE
        if entry is not None and entry.unlisted:
            reason = "it was created, and the platform has not listed it since"
        if in_doubt:
            reason = f"{UNANSWERED}, and nothing of it is at the platform"
        notes: tuple[str, ...] = ()
        if archived is not None:
            there = f"an archived {kind.noun} of this name exists ({archived.remote_id})"
            why = "it cannot become what is wanted" if self._adopts else "--adopt revives it instead"
            notes = (f"{there}; {why}",)
        cause = Cause.DRIFT if gone else Cause.MANIFEST
        return Step(
            id=f"{Action.CREATE}:{resource.address}",
            action=Action.CREATE,
            address=resource.address,
            reason=reason,
            cause=cause,
            changes=tuple(_shown(resource.fields, kind, cause)),
            source=resource.source,
            fields=resource.fields,
            former=self.found.former if in_doubt else None,
            notes=notes,
        )

    def _instead_of_rename(self, create: Decision) -> Decision:
        """The create, with a word about what it is not sent for: the former one may be there, and not be listed yet."""
        for former in self.resource.renamed_from:
            known = self.world.matches.by_address.get(former)
            if isinstance(create, Step) and known is not None and known.entry is not None and known.entry.unlisted:
                note = f"{former} was created, and the platform has not listed it since; if it shows, that is renamed"
                create = replace(create, notes=(*create.notes, f"{note} instead"))
        return create

    # -- what is a stranger's

    @property
    def _adopts(self) -> bool:
        return self.world.options.adopt or self.resource.lifecycle.adopt

    def _revives(self, archived: LiveObject) -> bool:
        """Whether a stranger's archived object is to be taken over, and can become what is wanted."""
        return self._adopts and not any(change.create_only for change in self.differences(archived, None))

    def _adopt(self, live: LiveObject) -> Iterator[Decision]:
        changes = self.differences(live, None)
        fixed = [change.path for change in changes if change.create_only]
        in_generations = self.kind.replace is Replace.CREATE_THEN_RETIRE
        if fixed and self._adopts and in_generations:
            yield self._create_beside(live)
            return
        reason = MATCHES_NOT_OURS if not changes and not self._adopts else self._who_made(live)
        yield replace(self._step(Action.ADOPT, live, changes, reason), idle=not (changes or self._adopts))
        if fixed:
            hint = "adopt it as it is first: write the live value into the manifest"
            if in_generations:
                hint = (
                    "--adopt makes another one beside it; for the one that is there, take what reconciler export writes"
                )
            yield self._refuse(f"it differs in {', '.join(fixed)}, which cannot be changed in place", hint)
        elif changes and not self._adopts:
            yield self._refuse(f"{reason}, and it is not ours", "take it over with --adopt or lifecycle.adopt: true")

    def _who_made(self, live: LiveObject) -> str:
        if self.found.outlived is not None:
            return f"made in place of {self.found.outlived.remote_id} by a run that this state does not remember"
        if live.op is not None:
            return "an object of this name was made by a run of reconciler that this state does not remember"
        if self.kind.marker is None:
            return "an object of this name is there, and not in this state"
        return "an object of this name was made by somebody else"

    def _create_beside(self, live: LiveObject) -> Decision:
        """A generation of our own where one has the name that nobody remembers: that stays, whatever it holds."""
        step = self._create()
        if isinstance(step, Refusal):
            return step
        return replace(step, notes=(f"{live.remote_id} of this name stays: it is not ours",))

    # -- what is ours and there

    def _bring_in_line(self, live: LiveObject) -> Iterable[Decision]:
        changes = self.differences(live, self.found.entry)
        fixed = [change.path for change in changes if change.create_only]
        if self.found.recovered and (not fixed or self.kind.replace is Replace.CREATE_FIRST):
            return (self._take_back(live, changes, fixed),)
        if fixed:
            return self._replace(live, changes, ", ".join(fixed))
        if changes and self.kind.update is None:
            paths = ", ".join(change.path for change in changes)
            what = f"the platform cannot change {self.kind.noun}s in place: {paths}"
            return (self._refuse(what, self.kind.refusal_hint),)
        if (former := self._former_name) is not None:
            return (self._step(Action.RENAME, live, changes, f"renamed from {former}"),)
        return (self._step(Action.UPDATE, live, changes, _CHANGED[_cause(changes)]),) if changes else ()

    @property
    def _former_name(self) -> str | None:
        """The name under which it is remembered, if that is another one."""
        former = self.found.former
        return former.name if former is not None and former.name != self.resource.address.name else None

    def _take_back(self, live: LiveObject, changes: Sequence[FieldChange], fixed: Sequence[str]) -> Step:
        """Adopt what an unanswered create of ours has made, as far as it can be brought in line in place."""
        action = Action.ADOPT if self._former_name is None else Action.RENAME
        step = self._step(action, live, tuple(change for change in changes if not change.create_only), LOST_REPLY)
        later = (f"{', '.join(fixed)} cannot be changed in place; the next plan replaces it",) if fixed else ()
        twins = (f"the same create also made {twin.remote_id}; archive it by hand" for twin in self.found.twins)
        return replace(step, notes=(*later, *twins, *step.notes), fixed=tuple(fixed))

    def _replace(self, live: LiveObject, changes: tuple[FieldChange, ...], paths: str) -> Iterator[Decision]:
        """Another object in place of this one, for ``paths`` that differ and cannot be changed."""
        if self.kind.replace is Replace.REFUSE:
            yield self._refuse(f"{paths} cannot be changed in place", self.kind.refusal_hint)
            return
        if self.resource.lifecycle.protect or (self.found.entry is not None and self.found.entry.protect):
            yield self._refuse(f"{paths} needs a replace, and it is protected", "apply lifecycle.protect: false first")
            return
        retires = self.kind.replace is Replace.CREATE_THEN_RETIRE
        history = "history stays with the old one, which is archived"
        if retires:
            history = "what refers to the old one is pointed at the new"
        notes = (f"{name} is set at the platform and cannot be carried over" for name in live.unmanaged)
        step = self._step(Action.REPLACE, live, changes, f"{paths} cannot be changed in place")
        yield replace(step, notes=(history, *notes, *step.notes))
        if retires:
            yield leftover(self.resource.address, self.found, live, self.world, self.resource.source)

    def _step(self, action: Action, live: LiveObject, changes: tuple[FieldChange, ...], reason: str) -> Step:
        resource = self.resource
        return Step(
            id=f"{action}:{resource.address}",
            action=action,
            address=resource.address,
            reason=reason,
            cause=_cause(changes),
            changes=changes,
            effect=worst([change.effect for change in changes if change.effect]),
            source=resource.source,
            remote_id=live.remote_id,
            fingerprint=fingerprint(self.kind, resource.fields, live.fields, archived=live.archived),
            fields=resource.fields,
            former=self.found.former,
            notes=tuple(self._for_others()),
            value_sources=deciding(resource.value_sources, changes),
        )

    def _for_others(self) -> Iterator[str]:
        """What other environments need to be told, where it was renamed at the platform that belongs to this one."""
        former, others = self._former_name, self.world.desired.others
        if former is None or not others or former in [each.name for each in self.resource.renamed_from]:
            return
        more = f" and {len(others) - MOST_NAMED} more" if len(others) > MOST_NAMED else ""
        known = f"{', '.join(others[:MOST_NAMED])}{more} may know it as {former} still"
        yield f"{known}; write renamedFrom: {former}, or it is made anew there"

    # -- what is different

    def differences(self, live: LiveObject, entry: Entry | None) -> tuple[FieldChange, ...]:
        """What separates ``live`` from what is wanted, and what each of it means; ``entry`` is None for a stranger."""
        resource, kind, world = self.resource, self.kind, self.world
        there = with_our_names(live, world.kinds, world.matches.aliases)
        changes = field_changes(kind, resource.fields, there, entry.applied if entry else None)
        if not changes and not live.refs and not live.archived:
            return ()
        changes = (*changes, *self._repointed(live, {change.path for change in changes}))
        judged = with_effects(kind, resource.fields, there, changes, world.around(resource.address))
        if not live.archived:
            return judged
        cause = Cause.DRIFT if entry is not None and not entry.archived else Cause.MANIFEST
        return (FieldChange("archived", True, False, effect=Effect.TIGHTENED, cause=cause), *judged)

    def _repointed(self, live: LiveObject, changed: AbstractSet[str]) -> Iterator[FieldChange]:
        """References whose name is right while the object behind it is an older one than what bears the name now."""
        matches = self.world.matches.by_address
        for name, ids in live.refs.items():
            ref, value = self.kind.shapes[name].ref, self.resource.fields.get(name)
            if ref is None or name in changed or value is None:
                continue
            targets = named(value, ref.kind, self.resource.address, self.world.kinds)
            found = [matches.get(target) for target in targets]
            now = {each.live.remote_id for each in found if each is not None and each.live is not None}
            if set(ids) != now or not self.renewed.isdisjoint(targets):
                yield FieldChange(name, f"{value} (as it was)", value)


def _settles_doubt(decision: Decision) -> bool:
    """Whether an unanswered create is looked for on the way, or has to wait for a person."""
    return isinstance(decision, Refusal) or decision.action is Action.REPLACE


def _which_of_them(formers: Sequence[Address]) -> tuple[str, str]:
    """(why it is not known what is renamed, what to do)."""
    *most, last = [former.name for former in formers]
    every = "both" if len(formers) == 2 else "all"
    message = f"renamedFrom says {', '.join(most)} and {last}, and {every} are at the platform"
    return message, "leave in renamedFrom the one that is renamed; what you take out is gone from the manifests then"


def _shown(fields: Fields, kind: AnyKind, cause: Cause) -> Iterator[FieldChange]:
    """What a create will say, beyond the name."""
    for name, shape in kind.shapes.items():
        if name in fields and name not in kind.identity:
            sensitive = Mark.SENSITIVE in shape.marks
            yield FieldChange(name, None, showable(fields[name], shape), cause=cause, sensitive=sensitive)


def with_our_names(live: LiveObject, kinds: Mapping[str, AnyKind], aliases: Mapping[Address, Address]) -> Fields:
    """The live fields, with the names of other resources spelled as we know them: a rename is no change of them."""
    if not aliases:
        return live.fields
    fields = dict(live.fields)
    for name, shape in kinds[live.address.kind].shapes.items():
        value = fields.get(name)
        is_name = isinstance(value, str) and shape.item is None  # a text beside a list is a word for all of them
        if shape.ref is not None and (is_name or isinstance(value, list)):
            there = named(value, shape.ref.kind, live.address, kinds)
            names: list[Json] = [aliases.get(address, address).name for address in there]
            fields[name] = names[0] if is_name else names
    return fields


def _cause(changes: Sequence[FieldChange]) -> Cause:
    causes = {change.cause for change in changes}
    if causes == {Cause.DRIFT}:
        return Cause.DRIFT
    return Cause.BOTH if causes - {Cause.MANIFEST} else Cause.MANIFEST


_CHANGED = {
    Cause.MANIFEST: "changed in the manifests",
    Cause.DRIFT: "changed at the platform",
    Cause.BOTH: "changed in the manifests and at the platform",
}
