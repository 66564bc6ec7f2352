"""Remember that what was changed holds.  Touches: the state."""

from __future__ import annotations

from collections.abc import Collection

from reconciler.model.kind import root_of
from reconciler.model.neighbourhood import Neighbourhood
from reconciler.model.resource import Address, Resource
from reconciler.model.state import Record, State, fold, gate_to_json
from reconciler.model.values import Fields, Json
from reconciler.pipeline.planning import Planned
from reconciler.pipeline.session import Session
from reconciler.planning.gating import gate_changes, is_stricter
from reconciler.planning.selecting import meant_by_any
from reconciler.planning.virtual import as_settled, gate_settled, virtuals
from reconciler.providers import KINDS

_GATE = "gate"


def settle(here: Session) -> None:
    """Remember that what was changed holds, except where the given paths do not reach: that was not looked at."""
    state = here.store.load()
    left = [str(address) for address in not_looked_at(here, state)]
    _remember(here, state, {"record": "settled", "kept": True, "left": left})


def not_looked_at(here: Session, state: State) -> tuple[Address, ...]:
    """What the last apply changed where the given paths do not reach."""
    return tuple(each for each in state.touched if each not in here.desired.resources and each in state.entries)


def never_held(here: Session, state: State) -> tuple[Address, ...]:
    """Virtual resources (no step tells of them) whose gate has not held as they are declared, or got stricter since."""
    patterns = here.request.select
    chosen = meant_by_any(patterns, {*here.desired.resources, *state.entries, *state.in_doubt}) if patterns else None
    virtual = (each for each in here.desired if KINDS[each.address.kind].virtual)
    return tuple(
        each.address for each in virtual if not _has_held(each, state) and (chosen is None or each.address in chosen)
    )


def remember_measured(here: Session, judged: Collection[Address]) -> None:
    """Remember how virtual resources are declared whose gate has held."""
    state, desired = here.store.load(), here.desired.resources
    roots = {root_of(address, KINDS) for address in desired}
    kept = {a: was for a, was in state.measured.items() if a in desired or root_of(a, KINDS) not in roots}
    held = {a: _as_held(desired[a]) for a in judged if a in desired and KINDS[a.kind].virtual}
    measured = {**kept, **held}
    if measured != state.measured:
        _remember(here, state, {"record": "measured", "declared": {str(a): measured[a] for a in sorted(measured)}})


def remember_declared(here: Session, planned: Planned) -> None:
    """Remember what an apply has settled of virtual resources: what its plan said, and what nobody knew of before."""
    if not (planned.state.declared or any(KINDS[each.address.kind].virtual for each in here.desired)):
        return
    state, told = here.store.load(), {change.address for change in planned.plan.lifecycle}
    # Nobody was told of what --select leaves out, or what was declared outside the given paths.
    found = [
        each
        for each in virtuals(here.desired, state.declared, KINDS, {})
        if each.address in told or not (each.changes or each.resource is None)
    ]
    former = {each.former for each in found}
    settled = {address: was for address, was in state.declared.items() if address not in former}
    settled |= {each.address: as_settled(each.resource, here.desired.home) for each in found if each.resource}
    if planned.plan.basis.options.get("destroy"):
        settled = {address: was for address, was in settled.items() if address not in here.desired.resources}
    if settled != state.declared:
        _remember(here, state, {"record": "declared", "declared": {str(a): settled[a] for a in sorted(settled)}})


def _remember(here: Session, state: State, record: Record) -> None:
    after = fold(state, [record])  # first: what load could not read must not be written
    here.store.append([record])
    here.store.commit(after)


def _has_held(resource: Resource, state: State) -> bool:
    """Whether its gate has held for what it measures, and now fails for no more than it did then."""
    names = (resource.address, *resource.renamed_from)
    held = next((state.measured[each] for each in names if each in state.measured), None)
    if held is None or {**held, _GATE: None} != {**_declared(resource), _GATE: None}:
        return False
    # An older version did not write the gate down; what the last apply has settled is next to it.
    settled = next((state.declared[each] for each in names if each in state.declared), {})
    told = held if _GATE in held else settled
    if _GATE not in told:
        return True
    kind, around = KINDS[resource.address.kind], Neighbourhood({}, KINDS, resource.address)
    changes = gate_changes(gate_settled(resource.address, told), resource.gate, kind, around)
    return not any(is_stricter(each.effect) for each in changes)


def _as_held(resource: Resource) -> Fields:
    return {**_declared(resource), _GATE: gate_to_json(resource.gate)}


def _declared(resource: Resource) -> Fields:
    """What it says beside its name, with the same words for the same meaning."""
    kind = KINDS[resource.address.kind]

    def plain(name: str, value: Json) -> Json:
        return list[Json](sorted(map(str, value))) if name in kind.sets and isinstance(value, list) else value

    return {name: plain(name, value) for name, value in resource.fields.items() if name not in kind.identity}
