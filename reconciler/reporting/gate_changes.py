"""Turn what becomes of gates into lines: resources of which the same changes stand together, worst first.  Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import groupby

from reconciler.model.plan import Effect, LifecycleChange, Plan, worst
from reconciler.model.resource import Address
from reconciler.model.values import counted
from reconciler.reporting.changes import badge, decided, rule_text
from reconciler.reporting.lines import Line, Span, line

MOST_NAMED = 3
"""How many resources are named for which the same changes, unless somebody wants them all."""


def gate_lines(plan: Plan, *, verbose: bool) -> tuple[tuple[Line, ...], ...]:
    """A group for all resources whose gates change alike: their names, then a line for each field."""
    alike: dict[tuple[str, ...], list[list[LifecycleChange]]] = defaultdict(list)
    for _, changes in groupby(_of_gates(plan), lambda change: change.address):
        among = list(changes)
        alike[tuple(f"{rule_text(each, verbose=True)} {each.effect}" for each in among)].append(among)
    order = list(Effect)
    groups = sorted(alike.values(), key=lambda group: (order.index(_worst(group[0])), group[0][0].address))
    return tuple(_lines(group, verbose) for group in groups)


def _lines(group: Sequence[Sequence[LifecycleChange]], verbose: bool) -> tuple[Line, ...]:
    changes, effect = group[0], _worst(group[0])
    source = changes[0].source if len(group) == 1 else None
    place = [Span(f"({source.file}:{source.line})", "dim", solid=True)] if source else []
    names = named([each[0].address for each in group], verbose=verbose)
    return (
        line(Span("~ ", "change", solid=True), Span(names, "change"), *badge(effect), tail=place),
        *(_rule_line(each, among, verbose) for each, among in zip(changes, zip(*group, strict=True), strict=True)),
    )


def _rule_line(change: LifecycleChange, alike: Sequence[LifecycleChange], verbose: bool) -> Line:
    found = [each for one in alike for each in one.value_sources]
    return line(rule_text(change, verbose=verbose), *badge(change.effect), *decided(found), indent=4)


def _worst(changes: Sequence[LifecycleChange]) -> Effect:
    return worst([each.effect for each in changes if each.effect]) or Effect.SAME


def _of_gates(plan: Plan) -> list[LifecycleChange]:
    return [each for each in plan.lifecycle if each.effect is not None]


def named(addresses: Sequence[Address], *, verbose: bool) -> str:
    """The addresses, or the first of them and how many more there are."""
    some = addresses if verbose else addresses[:MOST_NAMED]
    more = f" and {len(addresses) - len(some):,} more" if len(addresses) > len(some) else ""
    return f"{', '.join(map(str, some))}{more}"


def count_gates(plan: Plan) -> str:
    """``2 gates to change (1 loosened)``; empty where none does."""
    changes = _of_gates(plan)
    loosened = len({each.address for each in changes if each.effect is Effect.LOOSENED})
    remark = f" ({loosened:,} loosened)" if loosened else ""
    return f"{counted(len({each.address for each in changes}), 'gate')} to change{remark}" if changes else ""
