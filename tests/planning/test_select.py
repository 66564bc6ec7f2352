"""What ``--select`` means, and which part of a plan is drift."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.model.plan import Action, Basis, Cause, Effect, FieldChange, Plan, Refusal, Step
from reconciler.model.resource import Address
from reconciler.planning.planner import only_drift
from reconciler.planning.selecting import meant
from reconciler.providers import KINDS

PROJECT = Address("openlayer.Project", ("support-bot",))
TEST = Address("openlayer.Test", ("support-bot", "monitoring", "No PII"))
ODD = Address("openlayer.Test", ("support-bot", "monitoring", "p95 / p50 [ms]"))


@pytest.mark.parametrize(
    ("pattern", "address", "chosen"),
    [
        ("support-bot", PROJECT, True),
        ("support-bot", TEST, False),
        ("support-bot/*", TEST, True),
        ("support-bot/*", PROJECT, False),
        ("support-bot*", PROJECT, True),
        ("support-bot*", TEST, True),
        ("*", PROJECT, True),
        ("openlayer.Test/*", TEST, True),
        ("openlayer.Test/*", PROJECT, False),
        ("openlayer.Project/support-bot", PROJECT, True),
        ("*/monitoring/*", TEST, True),
        ("*/development/*", TEST, False),
        ("support-bot/monitoring/No PII", TEST, True),
        ("support-bot/monitoring/no pii", TEST, False),
        ("Support-bot/*", TEST, False),
        ("support-bot/monitoring/p95 %2F p50*", ODD, True),
        ("support-bot/monitoring/p95 / p50*", ODD, False),
        ("", PROJECT, False),
    ],
)
def test_a_pattern_is_a_glob_over_addresses(pattern: str, address: Address, chosen: bool) -> None:
    """With or without the kind in front; case counts; a name is spelled as addresses are printed."""
    assert meant(pattern, [address]) == ({address} if chosen else set())


STAR = Address("openlayer.Test", ("support-bot", "monitoring", "*"))
RANGE = Address("openlayer.Test", ("support-bot", "monitoring", "B [p95]"))


@pytest.mark.parametrize(
    ("pattern", "chosen"),
    [
        ("openlayer.Test/support-bot/monitoring/*", {STAR}),
        ("support-bot/monitoring/*", {STAR}),
        ("openlayer.Test/support-bot/monitoring/B [p95]", {RANGE}),
        ("support-bot/monitoring/B [p95]", {RANGE}),
        ("support-bot/monitoring/[*]", {STAR}),
        ("support-bot/monitoring/B*", {RANGE}),
        ("support-bot/monitorin?/*", {TEST, STAR, RANGE}),
    ],
)
def test_an_address_that_is_there_is_no_glob(pattern: str, chosen: set[Address]) -> None:
    """A name may hold what a glob understands: its address, as it is printed, means it and nothing else."""
    assert meant(pattern, [PROJECT, TEST, STAR, RANGE]) == chosen


def test_a_star_is_a_glob_where_nothing_is_called_so() -> None:
    assert meant("openlayer.Test/support-bot/monitoring/*", [PROJECT, TEST, RANGE]) == {TEST, RANGE}


# ------------------------------------------------------------------------------------------------ drift


def step(address: Address, *changes: FieldChange, cause: Cause, effect: Effect | None = None) -> Step:
    return Step(f"update:{address}", Action.UPDATE, address, "because", cause, changes, effect=effect)


def test_only_what_somebody_changed_at_the_platform_is_drift() -> None:
    """A step that has both keeps the changes of the platform.  What it would tighten was loosened there."""
    by_hand = FieldChange("thresholds.0.value", 0.5, 0.9, Effect.TIGHTENED, Cause.DRIFT)
    ours = FieldChange("thresholds.1.value", 0.9, 0.5, Effect.LOOSENED, Cause.MANIFEST)
    both = step(TEST, by_hand, ours, cause=Cause.BOTH, effect=Effect.LOOSENED)
    plain = step(PROJECT, FieldChange("description", "a", "b"), cause=Cause.MANIFEST)
    found = only_drift(Plan(Basis("", {}, "", "", 0), (plain, both)), KINDS.values())
    done = replace(by_hand, effect=Effect.LOOSENED)
    assert found.steps == (step(TEST, done, cause=Cause.BOTH, effect=Effect.LOOSENED),)


def test_a_removal_at_the_platform_is_drift_without_fields() -> None:
    again = step(TEST, cause=Cause.DRIFT)
    assert only_drift(Plan(Basis("", {}, "", "", 0), (again,)), KINDS.values()).steps == (again,)


def test_what_judged_and_was_removed_at_the_platform_lets_more_pass() -> None:
    gone = [replace(step(each, cause=Cause.DRIFT), action=Action.CREATE) for each in (PROJECT, TEST)]
    found = only_drift(Plan(Basis("", {}, "", "", 0), tuple(gone)), KINDS.values())
    assert [each.effect for each in found.steps] == [None, Effect.LOOSENED]
    assert found.loosened == 1


@pytest.mark.parametrize("effect", Effect)
def test_the_way_back_of_the_way_back_is_the_way(effect: Effect) -> None:
    """What was un-archived at the platform and would be archived again, a loosening, was tightened there."""
    back = step(TEST, cause=Cause.DRIFT, effect=effect)
    (found,) = only_drift(Plan(Basis("", {}, "", "", 0), (back,)), KINDS.values()).steps
    assert found.effect is effect.opposite
    assert effect.opposite.opposite is effect


def test_what_is_refused_stays_for_it_can_not_be_told() -> None:
    """But a missing acknowledgement, or a rule of ours, says nothing of drift."""
    twins = Refusal(TEST, "2 live objects have this identity")
    policy = Refusal(Address("reconciler.Policy", ("acknowledgements",)), "1 would be deleted for good")
    denied = Refusal(TEST, "loosened, which is denied here", by_rule=True)
    assert only_drift(Plan(Basis("", {}, "", "", 0), (), (twins, policy, denied)), KINDS.values()).refusals == (twins,)
