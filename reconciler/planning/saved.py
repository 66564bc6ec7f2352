"""Is a saved plan still true?  Compares its JSON with a plan made just now.  Pure.

A saved plan is never executed: it is derived again from the manifests and the live platform, and only if that gives
the same steps is it applied.  So a file that was edited can at worst be refused.
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from reconciler.errors import StalePlan
from reconciler.model.plan import FORMAT_VERSION, LOST_REPLY, Action, Plan, plan_to_json, uncompared
from reconciler.model.values import compact

_SAME = ("action", "address", "remote_id", "changes")
_RULE = ("address", "path", "before", "after")


def check_untouched(saved: Mapping[str, Any]) -> None:
    """Raise StalePlan unless ``saved`` is a plan of this format, with the content that it was saved with."""
    version = str(saved.get("format_version", ""))
    if version.partition(".")[0] != FORMAT_VERSION.partition(".")[0]:
        raise StalePlan(f"this is not a plan file that this version reads (format_version {version or 'missing'})")
    if "offline" in saved:
        raise StalePlan(
            "this plan compares the manifests with a git revision, not with the platform, and cannot be applied",
            hint="make one: reconciler plan --out plan.json",
        )
    content = compact({**saved, "digest": "", "tool": ""})
    if hashlib.sha256(content).hexdigest() != saved.get("digest"):
        raise StalePlan(
            "the plan file was changed after it was made", hint="make a new one: reconciler plan --out plan.json"
        )
    if not _is_whole(saved):
        raise StalePlan("this is not a plan file", hint="make one: reconciler plan --out plan.json")


def _is_whole(saved: Mapping[str, Any]) -> bool:
    """Whether everything that is read of a plan is there.  Whoever edits a plan can make its digest too."""
    basis, steps, refusals = saved.get("basis"), saved.get("steps"), saved.get("refusals")
    lifecycle = saved.get("lifecycle", [])
    return (
        _holds(basis, origins=dict, manifests=str, lineage=str, state_serial=int, options=dict)
        and all(isinstance(origin, str) for origin in basis["origins"].values())  # type: ignore[index]  # _holds
        and isinstance(steps, list)
        and all(
            _holds(step, id=str, action=str, address=str, reason=str, fingerprint=str, changes=list) for step in steps
        )
        and all(step.keys() >= {*_SAME, "former"} for step in steps)
        and isinstance(refusals, list)
        and isinstance(lifecycle, list)
        and all(_holds(each, address=str, path=str) and each.keys() >= {*_RULE} for each in lifecycle)
    )


def _holds(value: object, **types: type) -> bool:
    return isinstance(value, dict) and all(isinstance(value.get(name), each) for name, each in types.items())


def what_moved(
    saved: Mapping[str, Any], fresh: Plan, *, resumed: bool = False, undone: Collection[str] = ()
) -> tuple[str, ...]:
    """Sentences that say why the plan does not hold any more; empty when it does.

    The environment, the platforms and the manifests must be the same, and what each step does to which object, which
    must be as it was; the reasons and notes of a step, and the order of steps, may differ.  The state may have moved
    on, as it does with each evaluation: whether that matters is told by the steps.  A refusal that is new has moved as
    well, unless a rule of ours makes it: then it says itself what is wrong.

    With ``resumed`` the fresh plan may lack steps that were done already and hold steps that end what was begun.  What
    a step does may be carried out and not remembered, and a rename be remembered already.  At the addresses ``undone``
    a roll-back was under way: whatever is needed there leads to the manifests that were planned for.
    """
    saved, now = (_without(undone, plan) for plan in (saved, plan_to_json(fresh, tool="")))
    standing = zip(now["refusals"], fresh.refusals, strict=True)
    refused = [each for each, refusal in standing if each not in saved["refusals"] and not refusal.by_rule]
    elsewhere = saved.get("environment") != now["environment"]
    return (
        *((f"the environment: planned for {saved.get('environment')}, now {now['environment']}",) if elsewhere else ()),
        *_basis(saved["basis"], now["basis"]),
        *_steps(saved, now, resumed=resumed),
        *_remembered(saved, now, resumed=resumed),
        *(f"{each['address']}: {each['reason']}" for each in refused),
    )


def _without(addresses: Collection[str], plan: Mapping[str, Any]) -> dict[str, Any]:
    """The plan but for what it says of these addresses; its refusals stay."""
    parts = {part: plan.get(part, ()) for part in ("steps", "lifecycle")}
    return {**plan, **{part: [e for e in told if e["address"] not in addresses] for part, told in parts.items()}}


def _basis(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """An older state was put in the place of the one that was planned for: it may not know which plans were applied."""
    if before["origins"] != now["origins"]:
        yield f"the platform: planned for {_listed(before['origins'])}, now {_listed(now['origins'])}"
    if before["manifests"] != now["manifests"]:
        yield "the manifests, or the variables they use"
    if before["lineage"] and before["lineage"] != now["lineage"]:
        yield "the state: this is another one (its lineage differs)"
    elif before["state_serial"] > now["state_serial"]:
        yield f"the state: it was at serial {before['state_serial']}, now it is at {now['state_serial']}, an older one"


def _steps(saved: Mapping[str, Any], now: Mapping[str, Any], *, resumed: bool) -> list[str]:
    """In the order of the steps' ids."""
    planned, fresh = ({step["id"]: step for step in plan["steps"]} for plan in (saved, now))
    begun = defaultdict(list)
    for step in saved["steps"]:
        begun[step["address"]].append(step)
    moved = {}
    for step_id in fresh.keys() - planned.keys():
        step = fresh[step_id]
        if not (resumed and any(_ends(step, each) for each in begun[step["address"]])):
            moved[step_id] = f"{step['address']}: {step['action']} is needed now ({step['reason']})"
    for step_id in () if resumed else planned.keys() - fresh.keys():
        step = planned[step_id]
        moved[step_id] = f"{step['address']}: {step['action']} is not needed any more"
    for step_id in planned.keys() & fresh.keys():
        before, after = planned[step_id], fresh[step_id]
        if resumed and _is_carried_out(before, after):
            continue
        if before["fingerprint"] != after["fingerprint"]:
            moved[step_id] = f"{before['address']}: somebody changed it at the platform"
        elif any(before[key] != after[key] for key in (_SAME if resumed else (*_SAME, "former"))):
            moved[step_id] = f"{before['address']}: {before['action']} means something else now"
    return [moved[step_id] for step_id in sorted(moved)]


def _remembered(saved: Mapping[str, Any], now: Mapping[str, Any], *, resumed: bool) -> Iterator[str]:
    """What would be remembered otherwise than the plan says, or with ``resumed`` beyond what it says."""
    planned, fresh = (
        [{key: each[key] for key in _RULE} for each in plan.get("lifecycle", ())] for plan in (saved, now)
    )
    yield from (f"{each['address']}: its {each['path']} changes now" for each in fresh if each not in planned)
    if not resumed:
        unsaid = (each for each in planned if each not in fresh)
        yield from (f"{each['address']}: its {each['path']} does not change any more, or otherwise" for each in unsaid)


def _is_carried_out(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether all that has moved for a step is what the step itself does to its object, in whole or in part.

    What somebody else did is a change that was not planned, or one that begins elsewhere.
    """
    if any(before[key] != after[key] for key in ("action", "address", "remote_id")):
        return False
    match after["action"]:
        case Action.ARCHIVE:
            return bool(after["fingerprint"] == uncompared(archived=True))
        case Action.UPDATE | Action.RENAME | Action.ADOPT:
            fewer = len(after["changes"]) < len(before["changes"])
            return fewer and all(change in before["changes"] for change in after["changes"])
        case _:
            return False


def _ends(step: Mapping[str, Any], begun: Mapping[str, Any]) -> bool:
    """Whether ``step`` is what is left to do of ``begun``, at the same address, when that was cut short."""
    match step["action"], begun["action"]:
        case Action.ADOPT, Action.CREATE | Action.REPLACE:
            return bool(step["reason"] == LOST_REPLY)
        case Action.ARCHIVE, Action.REPLACE:
            return bool(step["remote_id"] == begun["remote_id"])
        case Action.FORGET, Action.DELETE | Action.ARCHIVE:
            return True
        case _:
            return False


def _listed(origins: Mapping[str, str]) -> str:
    return ", ".join(sorted(origins.values())) or "nothing"
