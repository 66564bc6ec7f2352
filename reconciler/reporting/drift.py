"""Turn a plan of what drifted into blocks of lines that tell it from the platform, and into the answer.  Pure.

The text, the Markdown and the HTML form are all made from these, so they cannot disagree.
"""

from __future__ import annotations

from typing import Literal

from msgspec.structs import replace

from reconciler.model.plan import Action, Cause, FieldChange, Plan, Step
from reconciler.model.secrecy import NOT_SHOWN
from reconciler.model.values import counted
from reconciler.reporting.blocks import Block, Group, drifted, note_block, plan_blocks
from reconciler.reporting.changes import badge, is_item, item_text, shown
from reconciler.reporting.lines import Line, Span, line

DriftAnswer = Literal["clean", "drifted", "unknown"]


def drift_answer(plan: Plan) -> DriftAnswer:
    """Whether somebody changed something at the platform; unknown where the vendor does not show everything."""
    if drifted(plan) or plan.unmanaged:
        return "drifted"
    return "unknown" if plan.unseen or plan.refusals else "clean"


def drift_blocks(plan: Plan, *, verbose: bool) -> list[Block]:
    """What was changed at the platform, what cannot be told, and the notes.  No block is empty."""
    groups = tuple(_group(step) for step in drifted(plan))
    notes = note_block(plan, verbose=verbose)
    return [
        *([Block("Changed at the platform", groups, "warn")] if groups else []),
        *([_unmanaged(plan)] if plan.unmanaged else []),
        *plan_blocks(replace(plan, steps=()), verbose=verbose),
        *([notes] if notes else []),
    ]


def _unmanaged(plan: Plan) -> Block:
    groups = tuple(
        (
            line(
                Span("+ ", "warn", solid=True),
                Span(str(address), "warn", solid=True),
                tail=[Span(f"(id {remote_id})", "dim")],
            ),
        )
        for address, remote_id in plan.unmanaged
    )
    return Block("In what is ours, and in no manifest (reconciler export --adopt takes it in)", groups, "warn")


def _group(step: Step) -> Group:
    place = f"({step.source.file}:{step.source.line})" if step.source else ""
    is_gone = step.action is Action.CREATE  # as a whole: the fields would say no more
    changes = [change for change in step.changes if change.cause is not Cause.MANIFEST and not is_gone]
    effect = step.effect if is_gone else None
    head = line(
        Span("~ ", "warn", solid=True),
        Span(str(step.address), "warn", solid=True),
        *badge(effect),
        tail=[Span(step.reason), *([Span(f" {place}", "dim")] if place else [])],
    )
    return (head, *(_line(change) for change in changes))


def _line(change: FieldChange) -> Line:
    head = Span(f"{change.path}: ", solid=True)
    if change.sensitive:
        return line(head, NOT_SHOWN, indent=4)
    if is_item(change):
        gone = change.before is None  # the step would put it back
        item = Span(item_text(change, verbose=False), "remove" if gone else "add")
        what = f"  {'gone' if gone else 'added'} at the platform"
        return line("- " if gone else "+ ", head, item, what, *badge(change.effect), indent=4)
    there = Span(f"{shown(change.before, verbose=False)} at the platform", "remove")
    here = Span(f"{shown(change.after, verbose=False)} in the manifests", "add")
    return line(head, there, ", ", here, *badge(change.effect), indent=4)


def drift_sentence(plan: Plan) -> str:
    """The answer in words, with the counts."""
    found, own = drifted(plan), len(plan.pending) - len(drifted(plan))
    hidden = [f"{counted(len(plan.unseen), 'field')} cannot be seen"] if plan.unseen else []
    hidden += [f"{counted(len(plan.refusals), 'resource')} cannot be told"] if plan.refusals else []
    unknown = " and ".join(hidden)
    rest = f" {counted(own, 'change')} from the manifests not applied yet." if own else ""
    match drift_answer(plan):
        case "drifted":
            what = [counted(len(found), "resource")] if found or not plan.unmanaged else []
            what += [f"{len(plan.unmanaged):,} in no manifest"] if plan.unmanaged else []
            return f"Drifted: {', '.join(what)}.{f' Unknown: {unknown}.' if unknown else ''}{rest}"
        case "unknown":
            return f"Unknown: no drift found, but {unknown}.{rest}"
        case "clean":
            return f"Clean: {counted(plan.unchanged, 'resource matches', 'resources match')} the manifests.{rest}"
