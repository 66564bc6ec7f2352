"""Which risks must be acknowledged, by name and exact number."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.model.plan import Action, Effect, Step
from reconciler.model.resource import Address
from reconciler.model.risks import DENIABLE, RISKS
from reconciler.planning.policy import Policy, risks, unacknowledged


def steps(action: Action, count: int, effect: Effect | None = None) -> list[Step]:
    made = []
    for number in range(count):
        address = Address("v.Thing", ("p", str(number)))
        made.append(Step(f"{action}:{address}", action, address, "because", effect=effect))
    return made


def missing(
    found: list[Step], policy: Policy, owned: int = 100, deletes: int = 0, archives: int = 0, along: str = ""
) -> list[str]:
    """The hints of what is not acknowledged."""
    refused = unacknowledged(
        found, policy, owned=owned, deletes_allowed=deletes, archives_allowed=archives, along=along
    )
    return [hint for _, hint in refused]


def test_risks_are_counted_apart() -> None:
    """An archive that loosens carries both risks."""
    found = [
        *steps(Action.ARCHIVE, 2, Effect.LOOSENED),
        *steps(Action.DELETE, 3),
        *steps(Action.REPLACE, 1, Effect.REDEFINED),
        *steps(Action.UPDATE, 4, Effect.TIGHTENED),
    ]
    assert risks(found) == {"archive": 2, "delete": 3, "replace": 1, "loosen": 2}


@pytest.mark.parametrize(
    ("count", "owned", "refused"),
    [
        (5, 5, False),  # five are free, however few there are
        (6, 20, False),  # exactly 30 %
        (6, 19, True),
        (30, 100, False),
        (31, 100, True),
    ],
)
def test_a_mass_archive_is_more_than_five_and_more_than_thirty_percent(count: int, owned: int, refused: bool) -> None:
    hints = missing(steps(Action.ARCHIVE, count), Policy(), owned=owned)
    assert hints == ([f"if that is meant: --ack archive={count}"] if refused else [])


def test_archives_that_end_what_was_begun_are_free_but_counted() -> None:
    found = steps(Action.ARCHIVE, 12)
    assert missing(found, Policy(), owned=12, archives=7) == []
    assert missing(found, Policy(), owned=12, archives=6) == ["if that is meant: --ack archive=12"]


def test_every_delete_that_nobody_asked_for_in_its_lifecycle_is_refused() -> None:
    found = steps(Action.DELETE, 2)
    assert missing(found, Policy(), deletes=2) == []
    assert missing(found, Policy(), deletes=1) == ["if that is meant: --ack delete=2"]


@pytest.mark.parametrize(("risk", "action"), [("replace", Action.REPLACE), ("archive", Action.ARCHIVE)])
def test_what_the_environment_requires_is_refused_even_once(risk: str, action: Action) -> None:
    found = steps(action, 1)
    assert missing(found, Policy()) == []
    assert missing(found, Policy(require=frozenset({risk}))) == [f"if that is meant: --ack {risk}=1"]
    assert missing(found, Policy(frozenset({risk}), {risk: 1})) == []


def test_what_is_required_and_does_not_occur_needs_nothing() -> None:
    assert missing([], Policy(require=frozenset({"loosen", "replace", "archive", "delete"}))) == []


def test_an_acknowledgement_is_exact() -> None:
    """An approval that was given for one plan does not cover another, be it larger or smaller."""
    found = steps(Action.UPDATE, 2, Effect.LOOSENED)
    assert missing(found, Policy(acks={"loosen": 2})) == []
    assert missing(found, Policy(acks={"loosen": 1})) == ["if that is meant: --ack loosen=2"]
    assert missing(found, Policy(acks={"loosen": 3})) == ["if that is meant: --ack loosen=2"]
    assert missing(found, Policy(acks={"delete": 1})) == ["leave out --ack delete"]


def test_an_acknowledgement_of_nothing_is_exact_too() -> None:
    assert missing([], Policy(acks={"archive": 0})) == []
    assert missing(steps(Action.DELETE, 1), Policy(acks={"delete": 0}), deletes=1) == [
        "if that is meant: --ack delete=1"
    ]


def test_a_resumed_plan_may_have_done_part_of_what_was_acknowledged() -> None:
    found = steps(Action.DELETE, 2)
    assert missing(found, Policy(acks={"delete": 3}, resumed=True)) == []
    assert missing([], Policy(acks={"delete": 3}, resumed=True)) == []
    assert missing(found, Policy(acks={"delete": 1}, resumed=True)) == ["if that is meant: --ack delete=2"]


def test_what_is_gone_already_may_be_among_the_acknowledged_deletes() -> None:
    """Not more than that, and of deletes only."""
    found = steps(Action.DELETE, 2)
    for given, refused in ((1, True), (2, False), (3, False), (4, True)):
        assert bool(unacknowledged(found, Policy(acks={"delete": given}), owned=9, gone=1)) is refused
    assert len(unacknowledged(found, Policy(acks={"delete": 2, "archive": 1}), owned=9, gone=1)) == 1


def test_destroying_was_confirmed_as_a_whole() -> None:
    found = [*steps(Action.DELETE, 9), *steps(Action.ARCHIVE, 90)]
    assert missing(found, Policy(frozenset({"archive", "delete"}), destroy=True)) == []


def test_every_risk_is_named_at_once_in_a_fixed_order() -> None:
    found = [*steps(Action.REPLACE, 1, Effect.LOOSENED), *steps(Action.DELETE, 1), *steps(Action.ARCHIVE, 8)]
    everything = Policy(require=frozenset({"loosen", "replace"}))
    assert unacknowledged(found, everything, owned=10) == (
        ("8 of 10 resources would be archived", "if that is meant: --ack archive=8"),
        ("1 would be deleted for good", "if that is meant: --ack delete=1"),
        ("1 would be replaced, and history stays with the old ones; this environment asks for an acknowledgement",
         "if that is meant: --ack replace=1"),
        ("1 would be loosened; this environment asks for an acknowledgement", "if that is meant: --ack loosen=1"),
    )  # fmt: skip


def test_the_risks_and_effects_that_can_be_named_are_those_that_there_are() -> None:
    """They have a list of their own: the command line starts without plan and planner."""
    assert tuple(risks([])) == RISKS
    assert [*DENIABLE, "same"] == [str(each) for each in Effect]


@pytest.mark.parametrize("policy", [Policy(), Policy(destroy=True)])
def test_what_is_not_known_as_ours_goes_along_only_where_that_is_acknowledged(policy: Policy) -> None:
    """Whatever ``onRemoval`` says; with the number of all deletes, as ever."""
    found = [*steps(Action.DELETE, 2), *steps(Action.ARCHIVE, 9)]
    assert missing(found, policy, deletes=2, along="theirs") == ["if that is meant: --ack delete=2"]
    assert missing(found, replace(policy, acks={"delete": 2}), deletes=2, along="theirs") == []
    assert missing(found, replace(policy, acks={"delete": 1}), deletes=2) == ["if that is meant: --ack delete=2"]
    assert missing(found, policy, deletes=2) == []
