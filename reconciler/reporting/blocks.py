"""Turn a plan into blocks of lines, worst first, and into the sentence that sums it up.  Pure.

The text, the Markdown and the HTML form are all made from these, so they cannot disagree.  What is refused, and what
removes, replaces or lets more pass, comes first; what stays or is not known comes last.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from itertools import chain

from msgspec import Struct

from reconciler.model.plan import (
    MATCHES_NOT_OURS,
    NOT_IN_BASE,
    NOT_THERE,
    Action,
    Cause,
    Effect,
    Plan,
    Refusal,
    Step,
)
from reconciler.model.resource import Address, Source
from reconciler.model.values import counted
from reconciler.reporting.changes import EFFECT_TINTS, cause_words, changes_lines, decided, rule_text, value_lines
from reconciler.reporting.gate_changes import count_gates, gate_lines, named
from reconciler.reporting.lines import Line, Span, Tint, line
from reconciler.reporting.replays import replay_lines

TINTS: dict[Action, Tint] = {
    Action.CREATE: "add",
    Action.UPDATE: "change",
    Action.REPLACE: "remove",
    Action.DELETE: "remove",
    Action.ARCHIVE: "remove",
    Action.ADOPT: "move",
    Action.RENAME: "move",
    Action.FORGET: "dim",
    Action.KEEP: "dim",
}
_VERBS = {
    Action.CREATE: "to create",
    Action.UPDATE: "to update",
    Action.REPLACE: "to replace",
    Action.RENAME: "to rename",
    Action.ADOPT: "to adopt",
    Action.ARCHIVE: "to archive",
    Action.DELETE: "to delete",
    Action.FORGET: "to forget",
}
_REMOVING = (Action.DELETE, Action.ARCHIVE, Action.REPLACE)

Group = tuple[Line, ...]


class Block(Struct, frozen=True):
    """Lines under one title; a group is what belongs together (a step and its fields)."""

    title: str
    groups: tuple[Group, ...]
    tint: Tint = "title"


def plan_blocks(plan: Plan, *, verbose: bool) -> list[Block]:
    """The refusals and the steps: what to look at first, the rest, and what is left alone.  No block is empty."""
    first = [step for step in plan.pending if _is_risky(step)]
    rest = [step for step in plan.pending if not _is_risky(step)]
    stays = [step for step in plan.steps if step.idle and step.reason != MATCHES_NOT_OURS]
    strange = [step for step in plan.steps if step.idle and step.reason == MATCHES_NOT_OURS]
    gates = gate_lines(plan, verbose=verbose)
    tint: Tint = "bad" if any(each.effect is Effect.LOOSENED for each in plan.lifecycle) else "title"
    blocks = [
        Block("Refused: nothing is applied until this is settled", tuple(map(_refusal, plan.refusals)), "bad"),
        Block("Removes, replaces or loosens", _steps(sorted(first, key=_risk), verbose), "bad"),
        Block("Gates: results will count otherwise in a build", gates, tint),
        Block("Other changes" if first else "Changes", _steps(rest, verbose)),
        Block("Left alone", _steps(stays, verbose)),
        Block("As the manifests want it, but not ours: --adopt takes over", _steps(strange, verbose)),
    ]
    return [block for block in blocks if block.groups]


def note_block(plan: Plan, *, verbose: bool) -> Block | None:
    """What the plan does not cover or does not know; None where there is nothing of the kind."""
    groups = [*_lifecycle(plan, verbose), *_unseen(plan, verbose)]
    if plan.outside:
        owned = counted(plan.outside, "resource of ours lies", "resources of ours lie")
        groups.append((line(f"{owned} outside the given paths; nothing happens to them"),))
    if plan.unselected:
        left_out = counted(plan.unselected, "resource is", "resources are")
        groups.append((line(f"{left_out} left out by --select"),))
    groups += [(line(Span("warning: ", "warn"), warning),) for warning in plan.warnings]
    return Block("Notes", tuple(groups)) if groups else None


def _is_risky(step: Step) -> bool:
    return step.action in _REMOVING or step.effect is Effect.LOOSENED


def _risk(step: Step) -> int:
    """Where among the risky ones: what cannot be undone comes first."""
    return _REMOVING.index(step.action) if step.action in _REMOVING else len(_REMOVING)


def _steps(steps: list[Step], verbose: bool) -> tuple[Group, ...]:
    return tuple(step_lines(step, verbose=verbose) for step in steps)


def step_lines(step: Step, *, verbose: bool) -> Group:
    """One line for the step, then one for each field (more for long ones), each note and, if verbose, each value."""
    below: list[Line] = []
    if step.former:
        below.append(line("was ", Span(str(step.former), solid=True), indent=4))
    below += _fields(step, verbose)
    below += [_deeper(each) for each in (replay_lines(step.replay) if step.replay else ())]
    below += [line(Span("note: ", "dim"), note, indent=4) for note in step.notes]
    return (_step_line(step, verbose=verbose), *below)


def _step_line(step: Step, *, verbose: bool) -> Line:
    tint = TINTS[step.action]
    return line(
        Span(f"{step.action.sign} ", tint, solid=True),
        Span(str(step.address), tint, solid=True),
        tail=[*_badges(step), *_reasons(step, verbose=verbose)],
    )


def _badges(step: Step) -> Iterator[Span]:
    """What the sign does not say or what must not be overlooked, in capitals."""
    if step.action in _REMOVING:
        yield from (Span(step.action.value.upper(), "bad", loud=True), Span("  "))
    if step.effect:
        yield from (Span(step.effect.value.upper(), EFFECT_TINTS[step.effect], loud=True), Span("  "))


def _reasons(step: Step, *, verbose: bool) -> list[Span]:
    # Most reasons say themselves what happened at the platform.
    reason = "" if step.reason in (NOT_THERE, NOT_IN_BASE, MATCHES_NOT_OURS) else step.reason
    cause = "" if "platform" in step.reason or step.changes else cause_words(step.cause)
    sentence = "; ".join(part for part in (reason, cause) if part)
    if step.action is Action.CREATE and not sentence and not verbose:
        return []  # a new environment is a page of these: one line each
    # Two objects can look alike; what is taken away or left there is named by the platform's own id.
    is_named = step.action in (*_REMOVING, Action.KEEP)
    identity = f"id {step.remote_id}" if step.remote_id and is_named else ""
    place = ", ".join(part for part in (identity, _place(step.source)) if part)
    return [Span(sentence), Span(" " if sentence and place else ""), Span(f"({place})" if place else "", "dim", True)]


def _place(source: Source | None) -> str:
    return f"{source.file}:{source.line}" if source else ""


def _fields(step: Step, verbose: bool) -> list[Line]:
    """The fields that change; what a create writes is in the manifest already, so only if verbose."""
    if step.action is Action.CREATE:
        lines = chain.from_iterable(map(value_lines, step.changes if verbose else ()))
    else:
        lines = chain.from_iterable(changes_lines(step, verbose=verbose))
    return [_deeper(each) for each in lines]


def _deeper(each: Line) -> Line:
    return Line(each.spans, each.tail, each.indent + 4, each.hang)


def _refusal(refusal: Refusal) -> Group:
    place = _place(refusal.source)
    tail = [Span(f"({place})", "dim", solid=True), *decided(refusal.value_sources)] if place else []
    return (
        line(Span("! ", "bad"), Span(str(refusal.address), "bad", solid=True), tail=tail),
        line(refusal.reason, indent=4),
        *hint_lines(refusal.hint, indent=4),
    )


def hint_lines(hint: str, *, indent: int) -> tuple[Line, ...]:
    """What to do next, on a line of its own; nothing for no hint."""
    return (line(Span("hint: ", "move"), hint, indent=indent),) if hint else ()


def _lifecycle(plan: Plan, verbose: bool) -> list[Group]:
    """What an apply will remember, one line for all resources of which the same changes."""
    alike: dict[str, list[Address]] = defaultdict(list)
    for each in plan.lifecycle:
        if each.effect is None:
            alike[rule_text(each, verbose=False)].append(each.address)
    if not alike:
        return []
    lines = [line("nothing changes at the platform for this, but apply will remember:")]
    for change, addresses in sorted(alike.items()):
        lines.append(line(Span(change), f"  of {named(sorted(addresses), verbose=verbose)}", indent=4))
    return [tuple(lines)]


def _unseen(plan: Plan, verbose: bool) -> list[Group]:
    """Fields the vendor does not show, one line for each kind and field."""
    found: dict[tuple[str, str], list[Address]] = defaultdict(list)
    for address, path in plan.unseen:
        found[address.kind, path].append(address)
    if not found:
        return []
    lines = [line("not shown by the platform, so changes made there are unknown:")]
    for (kind, path), addresses in sorted(found.items()):
        lines.append(line(Span(f"{kind} {path}"), f"  ({counted(len(addresses), 'resource')})", indent=4))
        if verbose:
            lines += [line(Span(str(address), solid=True), indent=8) for address in sorted(addresses)]
    return [tuple(lines)]


# ---------------------------------------------------------------------------------------------- the sentence


def summary_line(plan: Plan) -> str:
    """What the plan comes to, from our own counts only.

    ``Plan: 3 to create, 1 to update (1 loosened), 1 refused. 12 unchanged.``
    """
    if plan.is_empty:
        return _nothing_to_remove(plan) if plan.basis.options.get("destroy") else f"No changes. {_matching(plan)}"
    if not plan.pending and not plan.refusals:
        rules = sum(each.effect is None for each in plan.lifecycle)
        ours = ", ".join(part for part in (f"{rules:,} to remember" if rules else "", count_gates(plan)) if part)
        return f"No changes at the platform, {ours}. {_matching(plan)}"
    parts = [part for action in _VERBS if (part := _count(plan, action))]
    parts += [part for part in [count_gates(plan)] if part]
    if plan.refusals:
        parts.append(f"{len(plan.refusals):,} refused")
    return f"Plan: {', '.join(parts)}. {plan.unchanged:,} unchanged{_left_alone(plan)}."


def _count(plan: Plan, action: Action) -> str:
    steps = [step for step in plan.pending if step.action is action]
    if not steps:
        return ""
    loosened = sum(step.effect is Effect.LOOSENED for step in steps)
    alike = sum(step.effect is Effect.SAME for step in steps)
    remarks = [f"{loosened:,} loosened"] if loosened else []
    remarks += [f"{alike:,} with the same meaning"] if alike else []
    remark = f" ({', '.join(remarks)})" if remarks else ""
    return f"{len(steps):,} {_VERBS[action]}{remark}"


def comparison(plan: Plan) -> str:
    """What an offline plan compares with, for its first line; empty for a plan that was made from the platform."""
    base = plan.basis.base
    return f"Offline: compared with the manifests of {base}, not with the platform." if base else ""


def _nothing_to_remove(plan: Plan) -> str:
    """Of a plan to destroy: what is not ours is not touched, so it is not said to match anything."""
    return f"Nothing to remove{_left_alone(plan) or ': nothing here is ours'}."


def _matching(plan: Plan) -> str:
    if plan.basis.base:
        return f"{counted(plan.unchanged, 'resource is', 'resources are')} as before."
    matches = counted(plan.unchanged, "resource matches", "resources match")
    return f"{matches} the manifests{_left_alone(plan)}."


def _left_alone(plan: Plan) -> str:
    kept = sum(step.idle and step.action is Action.KEEP for step in plan.steps)
    strange = sum(step.idle and step.action is Action.ADOPT for step in plan.steps)
    return (f", {kept:,} kept" if kept else "") + (f", {strange:,} not ours" if strange else "")


def drifted(plan: Plan) -> tuple[Step, ...]:
    """The steps that exist because somebody changed something at the platform."""
    return tuple(step for step in plan.pending if step.cause in (Cause.DRIFT, Cause.BOTH))
