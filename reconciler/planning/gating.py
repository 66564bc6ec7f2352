"""What another gate means for what a build lets pass: loosened, moved, tightened, same.  Pure.

severity: error -> warn                    loosened     regress: 5% -> 10%, or none       loosened
gate.onSkipped: pass -> fail               tightened    regress against something else    moved
runs: 3 -> 3, minPass: 3 -> 2              loosened     warn: as thresholds are
runs: 1 -> 3, minPass: 1 -> 2              moved
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from decimal import Decimal

from msgspec import Struct

from reconciler.model.kind import AnyKind, LookUp
from reconciler.model.plan import Effect
from reconciler.model.resource import Gate, Regress
from reconciler.model.values import Fields, Json
from reconciler.planning.differ import field_changes
from reconciler.planning.effects import with_effects
from reconciler.planning.thresholds import classify

_SEVERITIES = ("error", "warn", "info")
_ANSWERS = ("fail", "warn", "pass")
_UNUSUAL = {"on_skipped": "gate.onSkipped", "on_error": "gate.onError", "on_missing": "gate.onMissing"}


class GateChange(Struct, frozen=True):
    """One field of a gate that differs; ``path`` and values are spelled as in a manifest."""

    path: str
    before: Json
    after: Json
    effect: Effect


def gate_changes(before: Gate, after: Gate, kind: AnyKind, find: LookUp) -> Iterator[GateChange]:
    """What separates two gates, each with what it means, in the order in which a manifest says it."""
    if before.severity != after.severity:
        effect = _ranked(_SEVERITIES, before.severity, after.severity)
        yield GateChange("severity", before.severity, after.severity, effect)
    if before.flaky != after.flaky:
        yield GateChange("flaky", before.flaky, after.flaky, Effect.LOOSENED if after.flaky else Effect.TIGHTENED)
    yield from _warnings(before.warn, after.warn, kind, find)
    yield from _regress(before.regress, after.regress)
    for name, path in _UNUSUAL.items():
        was, now = getattr(before, name), getattr(after, name)
        if was != now:
            yield GateChange(path, was, now, _ranked(_ANSWERS, was, now))
    effect = _of_runs(before, after)
    if before.runs != after.runs:
        yield GateChange("gate.runs", before.runs, after.runs, effect)
    if before.min_pass != after.min_pass:
        yield GateChange("gate.minPass", before.min_pass, after.min_pass, effect)


def is_stricter(effect: Effect | None) -> bool:
    """Whether a change of this effect lets something fail that passed before."""
    return effect not in (None, Effect.LOOSENED, Effect.SAME)


def _ranked(strictest_first: Sequence[str], before: str, after: str) -> Effect:
    is_milder = strictest_first.index(after) > strictest_first.index(before)
    return Effect.LOOSENED if is_milder else Effect.TIGHTENED


def _of_runs(before: Gate, after: Gate) -> Effect:
    """Of more results more must pass, and no more may fail: else there are results that only one of the two lets pass.

    The latest results of fewer are among those of more.
    """
    must, must_now = before.min_pass or before.runs, after.min_pass or after.runs
    may_fail, may_fail_now = before.runs - must, after.runs - must_now
    if (must, may_fail) == (must_now, may_fail_now):
        return Effect.SAME
    if must_now <= must and may_fail_now >= may_fail:
        return Effect.LOOSENED
    return Effect.TIGHTENED if must_now >= must and may_fail_now <= may_fail else Effect.MOVED


def _regress(before: Regress | None, after: Regress | None) -> Iterator[GateChange]:
    if before == after:
        return
    if before is None or after is None:
        effect = Effect.TIGHTENED if before is None else Effect.LOOSENED
        yield GateChange("regress", _spelled(before), _spelled(after), effect)
        return
    is_alike = (before.relative, before.against) == (after.relative, after.against)
    wider = Effect.LOOSENED if after.max_drop > before.max_drop else Effect.TIGHTENED
    for name, was in _written(before).items():
        now = _written(after)[name]
        if was != now:
            yield GateChange(f"regress.{name}", was, now, wider if is_alike else Effect.MOVED)


def _spelled(regress: Regress | None) -> Json:
    return dict(_written(regress)) if regress else None


def _written(regress: Regress) -> Fields:
    percent = f"{(Decimal(str(regress.max_drop)) * 100).normalize():f}%"
    return {
        "maxDrop": percent if regress.relative else regress.max_drop,
        "against": f"mean({regress.against})" if regress.against else "lastPassing",
    }


def _warnings(before: Fields, after: Fields, kind: AnyKind, find: LookUp) -> Iterator[GateChange]:
    """What becomes of the stricter thresholds."""
    if before == after:
        return
    if not before or not after:
        yield GateChange("warn", _items(before), _items(after), Effect.TIGHTENED if after else Effect.LOOSENED)
        return
    whole = classify(kind.criteria(before, find), kind.criteria(after, find))
    found = with_effects(kind, after, before, field_changes(kind, after, before, before), find)
    for change in found:
        inside = change.path.partition(".")[2]
        path = f"warn.{inside}" if inside else "warn"
        yield GateChange(path, change.before, change.after, change.effect or whole)
    if not found:
        yield GateChange("warn", _items(before), _items(after), whole)


def _items(warn: Fields) -> Json:
    """The list that a manifest writes, without the name of the field whose criteria they are."""
    return next(iter(warn.values()), None)
