"""What a change of the manifests means, without the platform: two revisions, one plan.  Touches: disk, git.

The manifests of the older revision stand in for the platform, as if they had just been applied, so that the planner's
own judgement is what is shown.  What only the platform can tell is not checked: whether what the manifests merely look
up is there, what somebody changed by hand, what is not ours.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from msgspec import Struct
from msgspec.structs import replace

from reconciler.applying.memory import remembered
from reconciler.errors import ManifestsInvalid
from reconciler.manifests.cache import Loaded
from reconciler.manifests.revision import Revision, taken_out
from reconciler.model.kind import AnyKind, Criterion, LookUp
from reconciler.model.neighbourhood import Neighbourhood
from reconciler.model.plan import NOT_IN_BASE, NOT_THERE, Action, Base, Basis, Plan, Refusal, Step
from reconciler.model.resource import Address, Desired, Live, LiveObject
from reconciler.model.state import Entry, State
from reconciler.model.values import Fields
from reconciler.pipeline.checking import check_manifests
from reconciler.pipeline.lost_pins import Asked, judgeable
from reconciler.pipeline.session import (
    DEFAULT,
    LOCAL,
    NOTHING,
    Request,
    declared,
    load_manifests,
    name_of,
    policy_of,
    read_manifests,
)
from reconciler.pipeline.unplanned import unplanned
from reconciler.planning.guards import perhaps_denied
from reconciler.planning.planner import make_plan
from reconciler.planning.virtual import as_settled
from reconciler.planning.world import Options
from reconciler.providers import KINDS
from reconciler.reporting.declarations import Declared
from reconciler.settings import Settings

_UNTOLD = "whether more or less is better is not known offline"


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
    return Summary(found, tuple(map(str, checked.warnings)))


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
        before = former.desired if former else NOTHING
        basis = Basis(
            environment=name_of(request, loaded.environment),
            origins={},
            manifests=loaded.desired.digest,
            lineage="",
            state_serial=0,
            options=request.options(),
            base=Base(revision.ref, revision.commit),
        )
        kinds = tuple(map(_offline, KINDS.values()))
        options = Options(select=request.select, policy=policy_of(loaded.environment, request))
        live, state = _as_applied(before, loaded.desired)
        judged = judgeable(loaded.desired)
        left = (pin for pin in loaded.desired.pins if pin not in judged)
        unjudged = (f"the pin {pin.name} is not judged: {_UNTOLD}" for pin in left)
        made = make_plan(replace(loaded.desired, pins=judged), live, state, kinds, options, basis)
        refusals = (*made.refusals, *_perhaps_denied(made.steps, loaded.desired, options))
        warnings = (*made.warnings, *unjudged, *(unplanned(former, loaded) if former else ()))
        steps = tuple(map(_told, made.steps))
        return replace(made, steps=steps, refusals=refusals, warnings=warnings, unseen=(), digest="")


def _has_environment(request: Request) -> bool:
    if request.environment in (None, LOCAL):
        return True
    names = declared(request)
    return request.environment in names or (request.environment == DEFAULT and not names)


@contextmanager
def _manifests_of(base: str, request: Request, settings: Settings) -> Iterator[tuple[Revision, Loaded | None]]:
    """The revision, and its manifests; None when it has none here, or no such environment."""
    hints = (*request.variables.values(), *settings.variables.values())
    with taken_out(base, request.paths, root=request.root, hints=hints) as revision:
        there = replace(request, paths=revision.paths, root=revision.root)
        if not revision.has_manifests or not _has_environment(there):
            yield revision, None
            return
        try:
            loaded = read_manifests(there, settings)
        except ManifestsInvalid as error:
            raise ManifestsInvalid([replace(each, file=f"{base}:{each.file}") for each in error.problems]) from None
        yield revision, loaded


def _as_applied(before: Desired, after: Desired) -> tuple[Live, State]:
    """The platform and the memory, as they are after ``before`` was applied.

    What is only looked up is there, whichever of the two asks for it; who gives it another name says that it has that.
    """
    owned = {a: r for a, r in before.resources.items() if not r.lookup and not KINDS[a.kind].virtual}
    looked_up = {a: r for each in (before, after) for a, r in each.resources.items() if r.lookup}
    objects = [_live(a, r.fields, after.resources[a].fields if a in after.resources else {}) for a, r in owned.items()]
    objects += [_live(a, r.fields, r.fields) for a, r in looked_up.items() if a not in owned]
    named = ((former, a) for a, r in looked_up.items() for former in r.renamed_from)
    renamed = {former: address for former, address in named if former in looked_up and former not in owned}
    if renamed:
        objects = [_inside(renamed, item) for item in objects if item.address not in renamed]
    entries: dict[Address, Entry] = {
        a: remembered(r, KINDS[a.kind], str(a), None, home=after.home) for a, r in owned.items()
    }
    settled = {a: as_settled(r, after.home) for a, r in before.resources.items() if KINDS[a.kind].virtual}
    return Live(tuple(objects)), State(entries=entries, declared=settled)


def _inside(renamed: Mapping[Address, Address], item: LiveObject) -> LiveObject:
    """The object, under the new name of the root that it stands in."""
    root = KINDS[item.address.kind].parent_of(item.address)
    home = renamed.get(root) if root is not None else None
    if home is None:
        return item
    return replace(item, address=item.address.in_root(home.name))


def _live(address: Address, written: Fields, wanted: Fields) -> LiveObject:
    """The object, with what the vendor fills in by itself, as far as that is known and now written out."""
    kind = KINDS[address.kind]
    usual = {n: v for n, v in wanted.items() if n not in written and n not in kind.tidy({**written, **wanted})}
    return LiveObject(address, str(address), {**kind.complete(written), **usual})


def _offline(kind: AnyKind) -> AnyKind:
    """The kind, without the rules that need the platform."""
    return replace(kind, refuse=lambda _, __, ___: (), criteria=_criteria(kind))


def _criteria(kind: AnyKind) -> Callable[[Fields, LookUp], tuple[Criterion, ...]]:
    """The kind's criteria; where only the platform knows which direction is the stricter one, it is left open."""

    def criteria(written: Fields, find: LookUp) -> tuple[Criterion, ...]:
        asked = Asked(find)
        found = kind.criteria(written, asked)
        return tuple(replace(each, operator="is") for each in found) if asked.in_vain else found

    return criteria


def _perhaps_denied(steps: Iterable[Step], desired: Desired, options: Options) -> Iterator[Refusal]:
    """What is refused because nobody can tell from here whether it is denied."""
    for step in steps:
        resource = desired.resources.get(step.address)
        asked = Asked(Neighbourhood({}, KINDS, step.address))
        KINDS[step.address.kind].criteria(resource.fields if resource else {}, asked)
        if asked.in_vain:
            yield from perhaps_denied(step, desired, options.policy.deny)


def _told(step: Step) -> Step:
    """The step, without what stood in for the platform's ids."""
    reason = NOT_IN_BASE if step.action is Action.CREATE and step.reason == NOT_THERE else step.reason
    return replace(step, reason=reason, remote_id=None, fingerprint="")
