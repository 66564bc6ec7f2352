"""Which pinned measurements the wanted thresholds would judge differently.  Pure: needs the manifests only.

A pin holds the values that were measured, so it can be judged again in any place, without an account.

    pinned                      wanted          verdict
    faithfulness 0.62 flagged   >= 0.8          kept
    faithfulness 0.62 flagged   >= 0.6          lost: refused
    faithfulness 0.62 flagged   (no longer)     cannot be judged: refused
    faithfulness 0.93 passes    >= 0.95         lost: refused
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence

from reconciler.model.criteria import criteria_text, family, is_defined, meets, value_text
from reconciler.model.kind import AnyKind, Criterion
from reconciler.model.plan import Refusal
from reconciler.model.resource import Address, Evidence, Pin, Resource
from reconciler.model.spec import Mark
from reconciler.model.values import Fields, Json
from reconciler.planning.world import World

DIGITS = 12


def definition(kind: AnyKind, fields: Fields, criterion: Criterion) -> str:
    """A short digest of what a criterion measures: not of its limit, nor of how it is written.

    Two criteria with the same digest measure the same, so that a value of the one says something of the other.
    """
    shapes, written = kind.shapes, kind.tidy(fields)
    names = sorted(name for name in written if name in shapes and Mark.REDEFINES in shapes[name].marks)
    around = {name: written[name] for name in names if written[name] not in (None, "", [], {})}
    text = json.dumps([criterion.key, around], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:DIGITS]


def lost_pins(world: World) -> Iterator[Refusal]:
    """A refusal, where the pin stands, for each pin that the wanted thresholds break or leave unjudged."""
    for pin in world.desired.pins:
        resource = world.desired.resources.get(pin.address)
        if resource is None:
            continue  # only a part of the manifests is looked at
        kind = world.kinds[pin.address.kind]
        criteria = kind.criteria(resource.fields, world.around(pin.address))
        found = broken(pin, resource, kind, criteria)
        if found is not None:
            yield Refusal(
                pin.address, f"pin {pin.name} ({_place(pin)}): {found[0]}", found[1], pin.source, by_rule=True
            )


def broken(pin: Pin, resource: Resource, kind: AnyKind, criteria: Sequence[Criterion]) -> tuple[str, str] | None:
    """(what is wrong, what to do) when these criteria do not give the pinned verdict; None when they do."""
    if _left_out(pin, resource, kind):
        what = f"the test does not run on the pipeline {pin.pipeline} any more, so it flags nothing there"
        return (what, "keep the pipeline, or delete the pin") if pin.verdict == "flagged" else None
    values = pinned_values(pin, resource.fields, kind, criteria)
    if not values:
        names = ", ".join(each.measurement for each in pin.measured)
        gone = f"{names} is not measured any more as it was then (insight, parameters, rubric or window)"
        return (
            gone,
            "measure that time again with the new definition, then pin it anew: reconciler pin --from-result ID",
        )
    known = [criterion for criterion in criteria if criterion.key in values]
    blind = [criterion for criterion in known if not is_defined(criterion)]
    if blind and pin.verdict == "flagged":
        what = f"the limit of {_text(values, blind)} is not a written one, so nobody can tell what it flags"
        return what, "write the limit down, or delete the pin"
    odd = [c for c in known if is_defined(c) and family(values[c.key]) != family(c.value)]
    if odd:
        what = f"{_text(values, odd)} cannot be compared with {criteria_text(odd)}"
        return what, "write the value as it was measured: a number without quotes"
    missed = [criterion for criterion in known if is_defined(criterion) and not meets(values[criterion.key], criterion)]
    if pin.verdict == "flagged" and not missed:
        what = f"{_text(values, known)} would not be flagged by {criteria_text(known)}"
        return what, "tighten the threshold, or delete the pin if this may pass from now on"
    if pin.verdict == "passes" and missed:
        what = f"{_text(values, missed)} passed, and would be flagged by {criteria_text(missed)}"
        return what, "loosen the threshold, or delete the pin if this was not good enough"
    return None


def pinned_values(pin: Pin, fields: Fields, kind: AnyKind, criteria: Sequence[Criterion]) -> dict[str, Json]:
    """The pinned value for each criterion's key that measures what the pin measured."""
    values = {}
    for criterion in criteria:
        same = [each for each in pin.measured if _is_about(each, criterion, kind, fields, criteria)]
        if same and family(same[0].value) is not None:
            values[criterion.key] = same[0].value
    return values


def _is_about(
    evidence: Evidence, criterion: Criterion, kind: AnyKind, fields: Fields, criteria: Sequence[Criterion]
) -> bool:
    if evidence.definition:
        return evidence.definition == definition(kind, fields, criterion)
    keys = {each.key for each in criteria if each.label == evidence.measurement}
    return keys == {criterion.key}  # of two of this name nobody knows which one was meant


def _left_out(pin: Pin, resource: Resource, kind: AnyKind) -> bool:
    if pin.pipeline is None or kind.measuring is None:
        return False
    place = Address(kind.measuring.place, (pin.address.root, pin.pipeline))
    return not kind.measuring.places(resource.fields, [place])


def _text(values: Mapping[str, Json], criteria: Sequence[Criterion]) -> str:
    named = {criterion.label or criterion.key: values[criterion.key] for criterion in criteria}
    return ", ".join(f"{name} {value_text(value)}" for name, value in named.items())


def _place(pin: Pin) -> str:
    return f"{pin.source.file}:{pin.source.line}"
