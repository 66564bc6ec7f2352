"""What a change of the manifests means that no plan shows, because it is not at the platform.  Pure.

Protection, pins, and what the environment asks for.  What becomes of gates and of runs stands in the plan itself.
"""

from __future__ import annotations

from collections.abc import Iterator

from reconciler.manifests.cache import Loaded
from reconciler.manifests.environment import Policy
from reconciler.model.criteria import value_text
from reconciler.model.resource import Address, Desired, Evidence, Pin, Resource
from reconciler.providers import KINDS


def unplanned(before: Loaded, after: Loaded) -> Iterator[str]:
    """What a change of the manifests means beyond the platform: protection, pins and the policy."""
    for address, resource in after.desired.resources.items():
        former = _former(resource, before.desired, after.desired)
        if former is not None and former.lifecycle.protect and resource.lifecycle.protect is False:
            yield f"{address}: it is not protected any more"
    yield from _pin_changes(before.desired, after.desired)
    was, now = _policy(before), _policy(after)
    if dropped := sorted(set(was.require) - set(now.require)):
        yield f"the environment asks for no acknowledgement any more: {', '.join(dropped)}"
    if allowed := sorted(set(was.deny) - set(now.deny)):
        yield f"the environment denies no more: {', '.join(allowed)}"


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
    names = (resource.address, *resource.renamed_from)
    home = _former_root(resource.address, before, after)
    places = (each if each.is_root else each.in_root(home) for each in names)
    return next((before.resources[each] for each in places if each in before.resources), None)


def _former_root(address: Address, before: Desired, after: Desired) -> str:
    """The name that the root around an address had in the older revision."""
    parent = KINDS[address.kind].parent_of(address)
    root = after.resources.get(parent) if parent is not None else None
    if root is None or root.address in before.resources:
        return address.root
    return next((former.name for former in root.renamed_from if former in before.resources), address.root)


def _policy(loaded: Loaded) -> Policy:
    return loaded.environment.policy if loaded.environment else Policy()
