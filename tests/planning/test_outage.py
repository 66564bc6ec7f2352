"""What tells an outage, or the key of another workspace, from what somebody did: tests/plans/81* has whole plans."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from reconciler.errors import LooksLikeOutage
from reconciler.model.plan import Basis, Plan
from reconciler.model.resource import Address, Desired, Live, LiveObject
from reconciler.model.state import Entry, State
from reconciler.planning.planner import make_plan
from reconciler.planning.world import Options
from reconciler.providers.digitalocean import DIGITALOCEAN
from reconciler.providers.openlayer import OPENLAYER

BASIS = Basis("production", {}, "m", "l", 1)
BOT = Address("openlayer.Project", ("bot",))
TESTS = [Address("openlayer.Test", ("bot", "monitoring", f"Test {number}")) for number in range(7)]
DATASETS = [Address("digitalocean.EvaluationDataset", (f"dataset {number}",)) for number in range(2)]
OURS = {address: Entry(f"id of {address}") for address in (BOT, *TESTS)}


def planned(entries: dict[Address, Entry], *listed: Address) -> Plan:
    """The plan where the platforms list these, and the manifests ask for nothing."""
    live = Live(tuple(LiveObject(each, f"id of {each}", {"name": each.name}) for each in listed))
    kinds = (*OPENLAYER.kinds, *DIGITALOCEAN.kinds)
    return make_plan(Desired({}, "m"), live, State(entries=entries), kinds, Options(), BASIS)


def test_seven_of_eight_that_are_missing_are_an_outage() -> None:
    with pytest.raises(LooksLikeOutage, match="only 1 of 8 resources of ours"):
        planned(OURS, BOT)


def test_what_we_have_archived_may_be_gone() -> None:
    """A platform need not keep it, and nothing is done about it."""
    archived = {address: replace(entry, archived=True) for address, entry in OURS.items() if address != BOT}
    assert [step.address for step in planned({**OURS, **archived}, BOT).steps] == [BOT]


def test_what_no_list_has_shown_yet_is_not_missing() -> None:
    """An apply has made it a moment ago, and the platform's lists are behind."""
    made = {address: replace(entry, unlisted=True) for address, entry in OURS.items() if address != BOT}
    plan = planned({**OURS, **made}, BOT)
    assert {step.reason for step in plan.steps if step.address in TESTS} == {
        "it was created, and the platform has not listed it since"
    }


def test_a_vendor_that_lists_everything_does_not_make_up_for_one_that_lists_nothing() -> None:
    datasets = {address: Entry(f"id of {address}") for address in DATASETS}
    with pytest.raises(LooksLikeOutage, match="nothing of 2 resources of ours"):
        planned({**OURS, **datasets}, BOT, *TESTS)


def test_what_stands_under_two_addresses_is_there() -> None:
    """A state that was put together from two is not an outage: it is said which of the two addresses to forget."""
    twice = {Address(each.kind, ("bot", "monitoring", f"{each.name} too")): OURS[each] for each in TESTS}
    refusals = planned({**OURS, **twice}, BOT, *TESTS).refusals
    assert [refusal.address for refusal in refusals] == sorted((*TESTS, *twice))
