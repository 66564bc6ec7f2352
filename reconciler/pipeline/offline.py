"""What a change of the manifests means, without the platform: two revisions, one plan.  Touches: disk, git.

The manifests of the older revision stand in for the platform, as if they had just been applied, so that the planner's
own judgement is what is shown.  What only the platform can tell is not checked: whether what the manifests merely look
up is there, what somebody changed by hand, what is not ours.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from msgspec import Struct
from msgspec.structs import asdict, fields, replace

from reconciler.applying.memory import remembered
from reconciler.errors import ManifestsInvalid
from reconciler.manifests.cache import Loaded
from reconciler.manifests.environment import Policy as EnvironmentPolicy
from reconciler.manifests.revision import Revision, taken_out
from reconciler.model.criteria import value_text
from reconciler.model.kind import AnyKind, Criterion, LookUp
from reconciler.model.neighbourhood import Neighbourhood
from reconciler.model.plan import NOT_IN_BASE, NOT_THERE, Action, Base, Basis, Plan, Refusal, Step
from reconciler.model.resource import Address, Desired, Evidence, Gate, Live, LiveObject, Pin, Regress, Resource
from reconciler.model.state import Entry, State
from reconciler.model.values import Fields, Json
from reconciler.pipeline.checking import check_manifests
from reconciler.pipeline.session import DEFAULT, LOCAL, Request, declared, load_manifests, policy_of, read_manifests
from reconciler.planning.differ import same
from reconciler.planning.guards import perhaps_denied
from reconciler.planning.planner import make_plan
from reconciler.planning.world import Options
from reconciler.providers import KINDS
from reconciler.reporting.declarations import Declared
from reconciler.settings import Settings


class Summary(Struct, frozen=True):
    """What the manifests declare, in each environment that was looked at, and what looks odd."""

    environments: tuple[Declared, ...]
    warnings: tuple[str, ...]


def declarations(request: Request, settings: Settings) -> Summary:
    """What the manifests declare, for the request's environment or for every one of theirs.

    Raises ManifestsInvalid with the problems of all of them.
    """
    checked = check_manifests(request, settings)
    names = checked.environments or (request.environment,)
    found = tuple(_declared(replace(request, environment=name), settings) for name in names)
    return Summary(found, checked.warnings)


def _declared(request: Request, settings: Settings) -> Declared:
    addresses = read_manifests(request, settings).desired.resources
    counts = Counter(address.kind for address in addresses)
    roots = Counter(f"{address.vendor}/{address.root}" for address in addresses)
    kinds = {kind: counts[kind] for kind in KINDS if kind in counts}
    return Declared(request.environment or DEFAULT, kinds, dict(sorted(roots.items())))


def plan_against(base: str, request: Request, settings: Settings) -> Plan:
    """What would change if the manifests of the git revision ``base`` had been applied, and these were applied next.

    Raises ManifestsInvalid, naming the revision where its manifests are the ones that are wrong, UsageInvalid when
    there is no such revision in this clone, and what ``make_plan`` raises.
    """
    loaded = load_manifests(request, settings)
    with _manifests_of(base, request, settings) as (revision, former):
        environment = loaded.environment
        before = former.desired if former else Desired({}, "", ())
        basis = Basis(
            environment=request.environment or (environment.name if environment else DEFAULT),
            origins={},
            manifests=loaded.desired.digest,
            lineage="",
            state_serial=0,
            options=request.options(),
            base=Base(revision.ref, revision.commit),
        )
        kinds = tuple(map(_offline, KINDS.values()))
        options = Options(select=request.select, policy=policy_of(environment, request))
        live, state = _as_applied(before, loaded.desired)
        made = make_plan(loaded.desired, live, state, kinds, options, basis)
        refusals = (*made.refusals, *_perhaps_denied(made.steps, loaded.desired, options))
        warnings = (*made.warnings, *(unplanned(former, loaded) if former else ()))
        steps = tuple(map(_told, made.steps))
        return replace(made, steps=steps, refusals=refusals, warnings=warnings, unseen=(), digest="")


@contextmanager
def _manifests_of(base: str, request: Request, settings: Settings) -> Iterator[tuple[Revision, Loaded | None]]:
    """The revision, and its manifests; None when it has none here, or no such environment."""
    hints = (*request.variables.values(), *settings.variables.values())
    with taken_out(base, request.paths, root=request.root, hints=hints) as revision:
        there = replace(request, paths=revision.paths, root=revision.root)
        named = request.environment not in (None, LOCAL)
        if not revision.has_manifests or (named and request.environment not in declared(there)):
            yield revision, None
            return
        try:
            loaded = read_manifests(there, settings)
        except ManifestsInvalid as error:
            raise ManifestsInvalid([replace(each, file=f"{base}:{each.file}") for each in error.problems]) from None
        yield revision, loaded


def unplanned(before: Loaded, after: Loaded) -> Iterator[str]:
    """What a change of the manifests means beyond the platform: gates, protection, runs, pins and the policy."""
    for address, resource in after.desired.resources.items():
        former = _former(resource, before.desired, after.desired)
        if former is not None:
            yield from (f"{address}: {change}" for change in _gate_changes(former.gate, resource.gate))
            if former.lifecycle.protect and resource.lifecycle.protect is False:
                yield f"{address}: it is not protected any more"
    yield from _run_changes(before.desired, after.desired)
    yield from _pin_changes(before.desired, after.desired)
    was, now = _policy(before), _policy(after)
    if dropped := sorted(set(was.require) - set(now.require)):
        yield f"the environment asks for no acknowledgement any more: {', '.join(dropped)}"
    if allowed := sorted(set(was.deny) - set(now.deny)):
        yield f"the environment denies no more: {', '.join(allowed)}"


def _run_changes(before: Desired, after: Desired) -> Iterator[str]:
    """What is only measured, and is no object at the platform: what is gone of it, and what it is about otherwise."""
    virtual = [resource for resource in after if KINDS[resource.address.kind].virtual]
    heirs = {former.address: each for each in virtual if (former := _former(each, before, after)) is not None}
    for address, resource in before.resources.items():
        kind, heir = KINDS[address.kind], heirs.get(address)
        names = [name for name in kind.shapes if name in resource.fields and name not in kind.identity]
        if kind.virtual and heir is None:
            what = ", ".join(f"{name}: {value_text(resource.fields[name])}" for name in names)
            yield f"{address}: it is gone ({what})"
        elif heir is not None:
            for name in names:
                was, now = resource.fields[name], heir.fields.get(name)
                if not same(_named_before(name, now, heir, before, after), was, kind.shapes[name]):
                    yield f"{heir.address}: {name}: {value_text(was)} -> {value_text(now)}"


def _named_before(field: str, value: Json, resource: Resource, before: Desired, after: Desired) -> Json:
    """The value of a field; where it names what is declared, by the name that this had in the older revision."""
    ref = KINDS[resource.address.kind].shapes[field].ref
    if ref is None or not isinstance(value, str):
        return value
    named = after.resources.get(Address(ref.kind, (*resource.address.path[:-1], value)))
    former = _former(named, before, after) if named is not None else None
    return value if former is None else former.address.name


def _pin_changes(before: Desired, after: Desired) -> Iterator[str]:
    """Which pins are gone, and which ones hold something else from now on."""
    kept = {pin.name: pin for pin in after.pins}
    for pin in before.pins:
        heir = kept.get(pin.name)
        if heir is None:
            must = "flag" if pin.verdict == "flagged" else "pass"
            yield f"the pin {pin.name} is gone: {pin.address} need not {must} that any more"
            continue
        test = _former(after.resources[heir.address], before, after)
        was, now = _held(pin), _held(heir)
        if test is None or test.address != pin.address:
            was, now = {"test": str(pin.address), **was}, {"test": str(heir.address), **now}
        changes = (
            f"{name}: {was[name] or 'unset'} -> {now[name] or 'unset'}" for name in was if was[name] != now[name]
        )
        yield from (f"the pin {pin.name} is not what it was: {change}" for change in changes)


def _held(pin: Pin) -> dict[str, str]:
    """What a pin holds its test to, by the manifest's names; the reason is for people."""
    return {
        "pipeline": pin.pipeline or "",
        "window": pin.window,
        "result": pin.result,
        "measured": ", ".join(sorted(map(_evidence, pin.measured))),
        "verdict": pin.verdict,
    }


def _evidence(measured: Evidence) -> str:
    definition = f" ({measured.definition})" if measured.definition else ""
    return f"{measured.measurement} {value_text(measured.value)}{definition}"


def _former(resource: Resource, before: Desired, after: Desired) -> Resource | None:
    """What the resource was in the older revision, perhaps under another name, or in a root of another name."""
    names = [resource.address] if resource.renamed_from is None else [resource.address, resource.renamed_from]
    home = _former_root(resource.address, before, after)
    places = (Address(each.kind, (home, *each.path[1:])) if len(each.path) > 1 else each for each in names)
    return next((before.resources[each] for each in places if each in before.resources), None)


def _former_root(address: Address, before: Desired, after: Desired) -> str:
    """The name that the root around an address had in the older revision."""
    kind = KINDS[address.kind].parent
    root = after.resources.get(Address(kind, address.path[:1])) if kind is not None else None
    if root is None or root.renamed_from is None or root.address in before.resources:
        return address.root
    return root.renamed_from.name


def _policy(loaded: Loaded) -> EnvironmentPolicy:
    return loaded.environment.policy if loaded.environment else EnvironmentPolicy()


def _gate_changes(before: Gate, after: Gate) -> Iterator[str]:
    """How results will count otherwise, by the manifest's names."""
    for each in fields(Gate):
        was, now = getattr(before, each.name), getattr(after, each.name)
        if was != now:
            yield f"{_manifest_name(each.name)}: {_spelled(was)} -> {_spelled(now)}"


def _manifest_name(name: str) -> str:
    return re.sub("_(.)", lambda found: found[1].upper(), name)


def _spelled(value: object) -> str:
    return json.dumps(asdict(value)) if isinstance(value, Regress) else json.dumps(value)


def _as_applied(before: Desired, after: Desired) -> tuple[Live, State]:
    """The platform and the memory, as they are after ``before`` was applied.

    What is only looked up is there, whichever of the two asks for it; who gives it another name says that it has that.
    """
    owned = {a: r for a, r in before.resources.items() if not r.lookup and not KINDS[a.kind].virtual}
    looked_up = {a: r for each in (before, after) for a, r in each.resources.items() if r.lookup}
    objects = [_live(a, r.fields, after.resources[a].fields if a in after.resources else {}) for a, r in owned.items()]
    objects += [_live(a, r.fields, r.fields) for a, r in looked_up.items() if a not in owned]
    named = ((r.renamed_from, a) for a, r in looked_up.items() if r.renamed_from is not None)
    renamed = {former: address for former, address in named if former in looked_up and former not in owned}
    if renamed:
        objects = [_inside(renamed, item) for item in objects if item.address not in renamed]
    entries: dict[Address, Entry] = {a: remembered(r, str(a), None, home=after.home) for a, r in owned.items()}
    return Live(tuple(objects)), State(entries=entries)


def _inside(renamed: Mapping[Address, Address], item: LiveObject) -> LiveObject:
    """The object, under the new name of the root that it stands in."""
    root = KINDS[item.address.kind].parent
    home = renamed.get(Address(root, item.address.path[:1])) if root is not None else None
    if home is None:
        return item
    return replace(item, address=Address(item.address.kind, (home.name, *item.address.path[1:])))


def _live(address: Address, written: Fields, wanted: Fields) -> LiveObject:
    """The object, with what the vendor fills in by itself, as far as that is known and now written out."""
    kind = KINDS[address.kind]
    usual = {n: v for n, v in wanted.items() if n not in written and n not in kind.tidy({**written, **wanted})}
    return LiveObject(address, str(address), {**kind.complete(written), **usual})


def _offline(kind: AnyKind) -> AnyKind:
    """The kind, without the rules that need the platform."""
    return replace(kind, refuse=lambda _, __: (), criteria=_criteria(kind))


def _criteria(kind: AnyKind) -> Callable[[Fields, LookUp], tuple[Criterion, ...]]:
    """The kind's criteria; where only the platform knows which direction is the stricter one, it is left open."""

    def criteria(written: Fields, find: LookUp) -> tuple[Criterion, ...]:
        asked = _Asked(find)
        found = kind.criteria(written, asked)
        return tuple(replace(each, operator="is") for each in found) if asked.in_vain else found

    return criteria


def _perhaps_denied(steps: Iterable[Step], desired: Desired, options: Options) -> Iterator[Refusal]:
    """What is refused because nobody can tell from here whether it is denied."""
    for step in steps:
        resource = desired.resources.get(step.address)
        asked = _Asked(Neighbourhood({}, KINDS, step.address))
        KINDS[step.address.kind].criteria(resource.fields if resource else {}, asked)
        if asked.in_vain:
            yield from perhaps_denied(step, desired, options.policy.deny)


class _Asked:
    """A look-up that notes whether something was asked for that is not there."""

    def __init__(self, find: LookUp) -> None:
        self._find, self.in_vain = find, False

    def __call__(self, kind_id: str, name: str) -> LiveObject | None:
        found = self._find(kind_id, name)
        self.in_vain = self.in_vain or found is None
        return found

    def names(self, kind_id: str) -> list[str]:
        self.in_vain = True
        return self._find.names(kind_id)


def _told(step: Step) -> Step:
    """The step, without what stood in for the platform's ids."""
    reason = NOT_IN_BASE if step.action is Action.CREATE and step.reason == NOT_THERE else step.reason
    return replace(step, reason=reason, remote_id=None, fingerprint="")
