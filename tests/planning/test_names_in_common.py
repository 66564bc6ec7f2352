"""A workspace and a dataset may have one name: what is done to the one says nothing of the other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import pytest
from msgspec.structs import replace

from reconciler.errors import LooksLikeOutage
from reconciler.model.plan import Plan
from reconciler.model.resource import Address, Desired, Live, LiveObject, Resource
from reconciler.model.state import Entry, State
from reconciler.planning.moves import moves
from reconciler.planning.planner import make_plan
from reconciler.planning.policy import Policy
from reconciler.planning.world import Options
from reconciler.providers import KINDS
from reconciler.providers.digitalocean import DIGITALOCEAN
from tests.planning.test_workspaces import BASIS, CASE, DATASET, METRIC, WORKSPACE, case_fields, there, workspace

AT_HAND, HOME, FAQ = Address(DATASET, ("support",)), Address(WORKSPACE, ("support",)), Address(DATASET, ("faq",))
ANSWERS = Address(CASE, ("support", "Answers"))
AGENT = LiveObject(Address("digitalocean.Agent", ("support", "bot")), "a1", {"name": "bot"})
TO_GO = Entry("d1", {"name": "support"}, on_removal="delete", source="care.yaml")
TO_STAY = Entry("w1", {"name": "support"}, source="care.yaml")
A_CASE = Entry("c1", case_fields("Answers"), source="care.yaml")


def dataset(name: str, uuid: str) -> LiveObject:
    return LiveObject(Address(DATASET, (name,)), uuid, {"name": name, "file": {"bytes": 1}})


def planned(
    live: Iterable[LiveObject],
    entries: Mapping[Address, Entry],
    wanted: Iterable[Resource] = (),
    *,
    select: tuple[str, ...] = (),
    acks: Mapping[str, int] | None = None,
    scope: tuple[str, ...] = (".",),
) -> Plan:
    desired = Desired({each.address: each for each in wanted}, "m", scope)
    options = Options(select=select, policy=Policy(acks=dict(acks or {})))
    there = Live((METRIC, dataset("faq", "d0"), *live))
    return make_plan(desired, there, State(entries=entries), DIGITALOCEAN.kinds, options, BASIS)


def told(plan: Plan) -> list[str]:
    """The steps without their vendor, where nothing was refused."""
    assert plan.refusals == ()
    return [step.id.replace("digitalocean.", "") for step in plan.steps]


BESIDE = [dataset("support", "d1"), *there("support", "w1")]
BOTH = {AT_HAND: TO_GO, HOME: TO_STAY}
HELD = {**BOTH, ANSWERS: A_CASE}


def test_a_workspace_stays_though_a_dataset_of_its_name_is_deleted() -> None:
    plan = planned(BESIDE, BOTH)
    assert told(plan) == ["keep:Workspace/support", "delete:EvaluationDataset/support"]


def test_a_wanted_workspace_is_not_concerned_by_the_end_of_a_dataset_of_its_name() -> None:
    plan = planned(BESIDE, BOTH, workspace("support", managed=True))
    assert told(plan) == ["delete:EvaluationDataset/support"]


def test_the_delete_of_a_workspace_is_acknowledged_for_itself() -> None:
    """That of the dataset was asked for; that of the workspace is not until somebody says so."""
    (refusal,) = planned(BESIDE, BOTH, acks={"delete": 1}).refusals
    assert refusal.reason == "--ack delete=1 was given, but the plan holds 2"
    assert sorted(told(planned(BESIDE, BOTH, acks={"delete": 2}))) == [
        "delete:EvaluationDataset/support", "delete:Workspace/support",
    ]  # fmt: skip


def test_a_dataset_takes_along_no_stranger_in_a_workspace_of_its_name() -> None:
    plan = planned([*BESIDE, AGENT], {AT_HAND: TO_GO})
    assert told(plan) == ["delete:EvaluationDataset/support"]


def test_a_dataset_takes_along_nothing_that_other_files_declare_in_a_workspace_of_its_name() -> None:
    live = [dataset("support", "d1"), *there("support", "w1", Answers="c1")]
    entries = {AT_HAND: TO_GO, ANSWERS: replace(A_CASE, source="elsewhere/care.yaml")}
    assert told(planned(live, entries, scope=("care.yaml",))) == ["delete:EvaluationDataset/support"]


def test_a_dataset_does_not_stay_for_what_can_not_be_removed_from_a_workspace_of_its_name() -> None:
    live = [dataset("support", "d1"), *there("support", "w1", Answers="c1")]
    plan = planned(live, HELD)
    assert sorted(told(plan)) == [
        "delete:EvaluationDataset/support", "forget:EvaluationTestCase/support/Answers", "keep:Workspace/support",
    ]  # fmt: skip


def test_selecting_a_dataset_to_delete_selects_nothing_in_a_workspace_of_its_name() -> None:
    live = [dataset("support", "d1"), *there("support", "w1", Answers="c1")]
    plan = planned(live, HELD, select=("digitalocean.EvaluationDataset/support",))
    assert told(plan) == ["delete:EvaluationDataset/support"]
    assert plan.unselected == 2


def test_a_dataset_that_is_gone_explains_nothing_that_is_missing_in_a_workspace_of_its_name() -> None:
    """Seven of seven test cases are missing while their workspace is there: that looks like an outage."""
    names = [f"case {number}" for number in range(7)]
    cases = {Address(CASE, ("support", each)): Entry(each, case_fields(each)) for each in names}
    entries = {**BOTH, FAQ: Entry("d0"), **cases}
    with pytest.raises(LooksLikeOutage, match="only 2 of 10 resources"):
        planned(there("support", "w1"), entries)


def test_where_a_test_case_stands_a_dataset_does_not_tell() -> None:
    """Only a workspace that is ours shows that it was remembered in the wrong one."""
    wanted = [*workspace("care", "Answers"), *workspace("support")]
    live = [dataset("support", "d1"), *there("care", "w2"), *there("support", "w1", Answers="c1")]
    entries = {Address(CASE, ("care", "Answers")): A_CASE}
    without = planned(live, entries, wanted)
    beside = planned(live, {**entries, AT_HAND: TO_GO}, wanted)
    assert beside.refusals == without.refusals


def test_what_stands_in_a_workspace_does_not_move_with_a_dataset_of_its_name() -> None:
    new = Address(DATASET, ("prompts",))
    item = LiveObject(new, "d1", {"name": "prompts"})
    moved, records = moves(State(entries=HELD), {new: item}, {"d1": item}, KINDS)
    assert set(moved.entries) == {new, HOME, ANSWERS}
    assert [record.get("alone") for record in records] == [True]
