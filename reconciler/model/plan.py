"""The plan: what would change, why, and what was refused.  Data only; reads no clock.

A plan can be printed, saved, compared and applied by somebody else: no step holds a callable.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import Any

from msgspec import Struct, field, to_builtins

from reconciler.model.replay import Replay, replay_to_json
from reconciler.model.resource import Address, Source, ValueSource
from reconciler.model.values import Fields, Json

FORMAT_VERSION = "1.0"
NOT_THERE = "not at the platform yet"
"""The reason of an ordinary create: so plain that a text need not repeat it a hundred times."""
MATCHES_NOT_OURS = "it matches the manifest, but is not ours; --adopt takes it over"
"""The reason of an adoption that nobody asked for."""
NOT_IN_BASE = "not in the revision that this is compared with"
"""The reason of an ordinary create in a plan that compares two revisions."""
LOST_REPLY = "ours: the answer to its create was lost"
"""The reason of adopting what an earlier run of ours made."""

UNANSWERED = "an earlier create was never answered"
"""Why a create is looked for before anything else is done about it."""


class Action(StrEnum):
    """What a step does."""

    CREATE = "create"
    UPDATE = "update"
    REPLACE = "replace"
    DELETE = "delete"
    ARCHIVE = "archive"
    ADOPT = "adopt"
    RENAME = "rename"
    FORGET = "forget"
    KEEP = "keep"

    @property
    def sign(self) -> str:
        """The sign a person sees in front of the step."""
        return _SIGNS[self]

    @property
    def leaves_nothing(self) -> bool:
        """Whether nothing stands there afterwards that could be read back or evaluated."""
        return self in (Action.ARCHIVE, Action.DELETE, Action.FORGET)


_SIGNS = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "±",
    Action.DELETE: "-",
    Action.ARCHIVE: "-",
    Action.ADOPT: "=",
    Action.RENAME: ">",
    Action.FORGET: ".",
    Action.KEEP: " ",
}


class Cause(StrEnum):
    """Who made the difference: the manifests, somebody at the platform, or both."""

    MANIFEST = "manifest"
    DRIFT = "drift"
    BOTH = "both"


class Effect(StrEnum):
    """What a change means for what passes, worst first.

    ``LOOSENED``  more values pass than before.
    ``REDEFINED`` something else is measured; past values say nothing.
    ``MOVED``     some values newly pass and some newly fail: incomparable.
    ``TIGHTENED`` fewer values pass.
    ``SAME``      written differently, means the same.
    """

    LOOSENED = "loosened"
    REDEFINED = "redefined"
    MOVED = "moved"
    TIGHTENED = "tightened"
    SAME = "same"

    @property
    def opposite(self) -> Effect:
        """What the way back means."""
        return {Effect.LOOSENED: Effect.TIGHTENED, Effect.TIGHTENED: Effect.LOOSENED}.get(self, self)


def worst(effects: list[Effect]) -> Effect | None:
    """The effect of a whole made of parts: the first in the order of ``Effect``; None for no parts."""
    order = list(Effect)
    return min(effects, key=order.index, default=None)


class FieldChange(Struct, frozen=True):
    """One field that differs.  ``path`` uses dots and list positions: ``thresholds.0.value``.

    Positions are those of the wanted list; of the live one for an item that is gone (``after`` is None).

    ``before`` is the live value, ``after`` the wanted one; both are None for a ``sensitive`` field.
    What is sensitive inside of them is ``secrecy.NOT_SHOWN``.
    ``create_only`` fields are what forces a replace.
    """

    path: str
    before: Json
    after: Json
    effect: Effect | None = None
    cause: Cause = Cause.MANIFEST
    sensitive: bool = False
    create_only: bool = False

    @property
    def top(self) -> str:
        """The field at the top that it is in."""
        return self.path.partition(".")[0]


class Step(Struct, frozen=True):
    """One thing to do.

    ``id`` is unique in the plan.  ``after`` holds the ids of the steps it waits for.  ``changes`` is empty for
    what has no fields to compare.  ``remote_id`` is the live object it touches (None for a create), and
    ``fingerprint`` how that was when the plan was made: a digest of the fields that are compared, or ``uncompared``;
    empty where there is no object.
    ``fixed`` are paths that differ and that this step cannot change: another one has to, once this one is done.
    ``fields`` is everything the user wrote, for creates and updates.  ``former`` is the address in the state when
    it differs (a rename).  ``idle`` steps are shown and not done: a keep, and the adoption of an object that matches
    its manifest while nobody asked to take it over.  ``replay`` is what its thresholds would have made of the past, if
    somebody asked.  ``ends_doubt``: it forgets a create that was never answered, and not what else is remembered there.
    ``value_sources`` are those of the changes.
    """

    id: str
    action: Action
    address: Address
    reason: str
    cause: Cause = Cause.MANIFEST
    changes: tuple[FieldChange, ...] = ()
    after: tuple[str, ...] = ()
    effect: Effect | None = None
    source: Source | None = None
    remote_id: str | None = None
    fingerprint: str = ""
    fields: Fields = field(default_factory=dict)
    former: Address | None = None
    notes: tuple[str, ...] = ()
    idle: bool = False
    replay: Replay | None = None
    fixed: tuple[str, ...] = ()
    ends_doubt: bool = False
    value_sources: tuple[ValueSource, ...] = ()

    @property
    def changes_memory_only(self) -> bool:
        """Whether it moves what we remember of a root that is not ours, and leaves the root alone."""
        return self.action is Action.RENAME and not self.fields


def uncompared(*, archived: bool) -> str:
    """The fingerprint of an object in a step that compares no fields: only this matters of it then."""
    return str(archived)


class Refusal(Struct, frozen=True):
    """Something that was asked for and will not be done; the whole plan waits until it is settled.

    ``by_rule``: a rule of ours forbids it (a denied effect, a pin); what is at the platform is known all the same.
    """

    address: Address
    reason: str
    hint: str = ""
    source: Source | None = None
    by_rule: bool = False
    value_sources: tuple[ValueSource, ...] = ()


class LifecycleChange(Struct, frozen=True):
    """A rule about a resource of ours that an apply remembers from then on; nothing at the platform changes for it.

    ``effect`` is what it means for what a build lets pass, and ``source`` where that is written; None for a rule that
    is not about results.
    """

    address: Address
    path: str
    before: Json
    after: Json
    effect: Effect | None = None
    source: Source | None = None
    value_sources: tuple[ValueSource, ...] = ()


def deciding(known: Iterable[ValueSource], changes: Iterable[FieldChange | LifecycleChange]) -> tuple[ValueSource, ...]:
    """Those that decided what these change to.

    What is gone has none: at its path something else may be wanted.
    """
    paths = [each.path for each in changes if each.after is not None or _is_withheld(each)]
    return tuple([each for each in known if any(_is_part(each.path, path) for path in paths)])


def _is_withheld(change: FieldChange | LifecycleChange) -> bool:
    return isinstance(change, FieldChange) and change.sensitive


def _is_part(path: str, other: str) -> bool:
    """Whether one is the other, or inside of it."""
    return f"{path}.".startswith(f"{other}.") or other.startswith(f"{path}.")


def loosenings(steps: Iterable[Step], changes: Iterable[LifecycleChange]) -> int:
    """How many resources let more pass afterwards; one that does so in both ways counts once."""
    loosened = [step.address for step in steps if step.effect is Effect.LOOSENED]
    return len(loosened) + len(
        {each.address for each in changes if each.effect is Effect.LOOSENED}.difference(loosened)
    )


class Base(Struct, frozen=True):
    """The git revision that stands in for the platform: ``ref`` as it was asked for, ``commit`` its full name."""

    ref: str
    commit: str

    def __str__(self) -> str:
        return f"{self.ref} ({self.commit[:12]})"


class Basis(Struct, frozen=True):
    """What a plan was made from.  Moves in any of these make a saved plan stale.

    ``options`` are the command-line options that shaped it, so that it can be derived again.  ``base`` is what the
    manifests were compared with instead of the platform; such a plan cannot be applied.
    """

    environment: str
    origins: Mapping[str, str]
    manifests: str
    lineage: str
    state_serial: int
    options: Mapping[str, Json] = field(default_factory=dict)
    base: Base | None = None


class Plan(Struct, frozen=True):
    """Steps in the order of their addresses within what must come first, and what stands in their way.

    ``unchanged`` counts resources that need nothing; ``outside`` counts owned resources that the given paths do
    not cover; ``unseen`` names written fields that the vendor does not show, so that drift in them is unknown.
    ``owned`` and ``unowned`` count what is declared and selected: what we remember of it, and what was never ours, is
    forgotten, or has somebody else's object in its place.  ``lifecycle`` is what is declared about resources of
    ours otherwise than we remember.  ``unmanaged`` is what stands in something of ours and is in no manifest, with its
    remote id, where somebody asked for that.
    """

    basis: Basis
    steps: tuple[Step, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    unchanged: int = 0
    outside: int = 0
    unselected: int = 0
    owned: int = 0
    unowned: int = 0
    unseen: tuple[tuple[Address, str], ...] = ()
    warnings: tuple[str, ...] = ()
    digest: str = ""
    lifecycle: tuple[LifecycleChange, ...] = ()
    unmanaged: tuple[tuple[Address, str], ...] = ()

    @property
    def pending(self) -> tuple[Step, ...]:
        """The steps that do something."""
        return tuple(step for step in self.steps if not step.idle)

    @property
    def has_changes(self) -> bool:
        """Whether an apply would change anything: at the platform, or in what we remember."""
        return bool(self.pending or self.lifecycle)

    @property
    def loosened(self) -> int:
        """How many resources let more pass, at the platform or in a build."""
        return loosenings(self.pending, self.lifecycle)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do and nothing to refuse."""
        return not self.has_changes and not self.refusals

    def summary(self) -> dict[str, int]:
        """How many steps of each action, and how many refusals; every key is always there."""
        counts: dict[str, int] = {action.value: 0 for action in Action}
        for step in self.steps:
            counts[step.action.value] += 1
        return {**counts, "refused": len(self.refusals)}


def plan_to_json(plan: Plan, *, tool: str, as_records: bool = False) -> dict[str, Any]:
    """The stable JSON form, as ``schemas/plan.v1.json`` describes it.  Holds no secret.

    ``as_records``: changes stay the records that they are, for ``compact``, which spells them alike.
    """
    base = plan.basis.base
    return {
        "format_version": FORMAT_VERSION,
        "tool": tool,
        **({"offline": {"base": base.ref, "commit": base.commit}} if base else {}),
        "environment": plan.basis.environment,
        "digest": plan.digest,
        "basis": {
            "origins": dict(plan.basis.origins),
            "manifests": plan.basis.manifests,
            "lineage": plan.basis.lineage,
            "state_serial": plan.basis.state_serial,
            "options": dict(plan.basis.options),
        },
        "summary": {**plan.summary(), "unchanged": plan.unchanged},
        "steps": [_step_to_json(step, as_records=as_records) for step in plan.steps],
        "refusals": [
            {
                "address": str(refusal.address),
                "reason": refusal.reason,
                "hint": refusal.hint,
                "source": _source_to_json(refusal.source),
                **_value_sources_to_json(refusal.value_sources),
            }
            for refusal in plan.refusals
        ],
        "unseen": [{"address": str(address), "path": path} for address, path in plan.unseen],
        "warnings": list(plan.warnings),
        **({"lifecycle": list(map(_lifecycle_to_json, plan.lifecycle))} if plan.lifecycle else {}),
        **({"unmanaged": _unmanaged_to_json(plan)} if plan.unmanaged else {}),
    }


def _unmanaged_to_json(plan: Plan) -> list[dict[str, Any]]:
    return [{"address": str(address), "remote_id": remote_id} for address, remote_id in plan.unmanaged]


def _lifecycle_to_json(change: LifecycleChange) -> dict[str, Any]:
    return {
        "address": str(change.address),
        "path": change.path,
        "before": change.before,
        "after": change.after,
        **({"effect": change.effect.value, "source": _source_to_json(change.source)} if change.effect else {}),
        **_value_sources_to_json(change.value_sources),
    }


def _step_to_json(step: Step, *, as_records: bool) -> dict[str, Any]:
    return {
        "id": step.id,
        "action": step.action.value,
        "address": str(step.address),
        "kind": step.address.kind,
        "name": step.address.name,
        "project": step.address.root,
        "cause": step.cause.value,
        "reason": step.reason,
        "effect": step.effect.value if step.effect else None,
        "remote_id": step.remote_id,
        "fingerprint": step.fingerprint,
        "former": str(step.former) if step.former else None,
        "changes": step.changes if as_records else list(map(to_builtins, step.changes)),
        "after": list(step.after),
        "notes": list(step.notes),
        "idle": step.idle,
        "source": _source_to_json(step.source),
        **_value_sources_to_json(step.value_sources),
        **({"replay": replay_to_json(step.replay)} if step.replay else {}),
    }


def _source_to_json(source: Source | None) -> dict[str, Any] | None:
    return {"file": source.file, "line": source.line} if source else None


def _value_sources_to_json(found: tuple[ValueSource, ...]) -> dict[str, Any]:
    """Nothing for none, as for most."""
    told = [{"path": each.path, "what": each.what, "file": each.source.file, "line": each.source.line}
            for each in found]  # fmt: skip
    return {"value_sources": told} if told else {}
