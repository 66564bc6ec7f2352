"""What stands in a plan's way: risks that nobody acknowledged.  Pure.

A risk is acknowledged by name and number, ``--ack delete=2``: exactly the number in the plan, so that an approval given
for one plan does not cover another.  Of deletes, those that were carried out meanwhile may count along, so that the
same command can be run again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from msgspec import Struct, field

from reconciler.model.plan import Action, Effect, LifecycleChange, Step, loosenings
from reconciler.model.risks import RISKS

FREE_ARCHIVES = 5
FREE_SHARE = 0.30


class Policy(Struct, frozen=True):
    """What the operator asks for.

    ``require`` names risks that always need an acknowledgement; ``acks`` is what was acknowledged.  ``deny`` names
    effects that no acknowledgement allows.  ``destroy`` means that removal is the purpose of the run and was confirmed
    as a whole, with ``everything`` of all that we remember, wherever it was declared; ``resumed`` that part of what was
    acknowledged may be done already.
    """

    require: frozenset[str] = frozenset()
    acks: Mapping[str, int] = field(default_factory=dict)
    deny: frozenset[Effect] = frozenset()
    destroy: bool = False
    everything: bool = False
    resumed: bool = False


def risks(steps: Sequence[Step], changes: Sequence[LifecycleChange] = ()) -> dict[str, int]:
    """How many steps carry each risk; ``changes`` of what is only remembered can loosen, too."""
    return {
        "archive": sum(step.action is Action.ARCHIVE for step in steps),
        "delete": sum(step.action is Action.DELETE for step in steps),
        "replace": sum(step.action is Action.REPLACE for step in steps),
        "loosen": loosenings(steps, changes),
    }


def unacknowledged(
    steps: Sequence[Step],
    policy: Policy,
    *,
    owned: int,
    deletes_allowed: int = 0,
    archives_allowed: int = 0,
    changes: Sequence[LifecycleChange] = (),
    along: str = "",
    gone: int = 0,
) -> tuple[tuple[str, str], ...]:
    """(reason, hint) for every risk that needs an acknowledgement it does not have, in the order of ``RISKS``.

    ``owned`` counts the active resources that we manage, ``deletes_allowed`` the delete steps that ``onRemoval:
    delete`` asks for, ``archives_allowed`` the archive steps that only end what was begun.  ``changes`` are those of
    what is only remembered.  ``along`` names what is not known as ours and goes with what is deleted: neither
    ``onRemoval: delete`` nor to destroy says that this is meant.  ``gone`` counts what was to be deleted and is gone
    already: the answer to its delete may have been lost, and what was acknowledged for both is no more than that.
    """
    counts = risks(steps, changes)
    archives = counts["archive"] - archives_allowed
    needed = {
        "archive": archives > FREE_ARCHIVES and archives > FREE_SHARE * owned and not policy.destroy,
        "delete": bool(along) or (counts["delete"] > deletes_allowed and not policy.destroy),
        "replace": False,
        "loosen": False,
    }
    required = frozenset[str]() if policy.destroy else policy.require
    found = []
    for risk in RISKS:
        count, given = counts[risk], policy.acks.get(risk)
        done = gone if risk == "delete" else 0
        if given is not None and not (count <= given if policy.resumed else count <= given <= count + done):
            found.append((f"--ack {risk}={given} was given, but the plan holds {count}", _hint(risk, count)))
        elif given is None and count and (needed[risk] or risk in required):
            found.append((_reason(risk, count, owned, along, required=risk in required), _hint(risk, count)))
    return tuple(found)


def _reason(risk: str, count: int, owned: int, along: str, *, required: bool) -> str:
    with_it = f", and with that what is archived and not known as ours: {along}" if along else ""
    what = {
        "archive": f"{count} of {owned} resources would be archived",
        "delete": f"{count} would be deleted for good{with_it}",
        "replace": f"{count} would be replaced, and history stays with the old ones",
        "loosen": f"{count} would be loosened",
    }[risk]
    return f"{what}; this environment asks for an acknowledgement" if required else what


def _hint(risk: str, count: int) -> str:
    return f"if that is meant: --ack {risk}={count}" if count else f"leave out --ack {risk}"
