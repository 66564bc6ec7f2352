"""A root that is only looked up has no memory of its own: what is remembered inside it tells which name it has now."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from reconciler.model.plan import LOST_REPLY, MATCHES_NOT_OURS, Action, Basis, Plan, Refusal
from reconciler.model.resource import Address, Desired, Live, LiveObject, Resource, Source
from reconciler.model.state import Entry, Intent, State
from reconciler.model.values import Fields
from reconciler.planning.planner import make_plan
from reconciler.planning.world import Options
from reconciler.providers.digitalocean import DIGITALOCEAN

BASIS = Basis("production", {"digitalocean": "https://api.digitalocean.com"}, "m", "l", 1)
WORKSPACE, CASE, DATASET = (f"digitalocean.{each}" for each in ("Workspace", "EvaluationTestCase", "EvaluationDataset"))
HERE = Source("care.yaml", 1, 1)
METRIC = LiveObject(Address("digitalocean.Metric", ("Correctness",)), "m1", {"name": "Correctness"})


def case_fields(name: str) -> Fields:
    return {"name": name, "dataset": "faq", "metrics": ["Correctness"], "starMetric": {"name": "Correctness"}}


def workspace(name: str, *cases: str, former: str | None = None, managed: bool = False) -> list[Resource]:
    """A workspace as the manifests have it, with test cases of these names."""
    root = Address(WORKSPACE, (name,))
    was = Address(WORKSPACE, (former,)) if former else None
    resources = [Resource(root, {"name": name}, HERE, renamed_from=(was,) if was else (), lookup=not managed)]
    for each in cases:
        address = Address(CASE, (name, each))
        resources.append(Resource(address, case_fields(each), HERE, references=(root,)))
    return resources


def there(name: str, uuid: str, **cases: str) -> list[LiveObject]:
    """A workspace at the platform, with test cases of these names and ids."""
    found = [LiveObject(Address(WORKSPACE, (name,)), uuid, {"name": name})]
    for each, remote_id in cases.items():
        fields = {**case_fields(each), "description": None}
        found.append(LiveObject(Address(CASE, (name, each)), remote_id, fields))
    return found


def remembered(*known: tuple[str, str, str]) -> State:
    """(workspace, test case, id) of everything that is ours."""
    return State(entries={Address(CASE, (root, name)): Entry(each, case_fields(name)) for root, name, each in known})


def planned(wanted: Sequence[Resource], live: Sequence[LiveObject], state: State) -> Plan:
    dataset = LiveObject(Address(DATASET, ("faq",)), "d1", {"name": "faq", "file": {"bytes": 1}})
    desired = Desired({each.address: each for each in wanted}, "m")
    return make_plan(desired, Live((METRIC, dataset, *live)), state, DIGITALOCEAN.kinds, Options(), BASIS)


def steps(plan: Plan) -> list[str]:
    assert plan.refusals == ()
    return [step.id for step in plan.steps]


def only_refusal(plan: Plan) -> Refusal:
    (refusal,) = plan.refusals
    return refusal


RENAME = "rename:digitalocean.Workspace/renamed"
ANSWERS = ("default", "Answers", "c1")


def test_what_stands_in_it_tells_that_it_was_renamed() -> None:
    """One step moves the memory; what is in it stays what it is."""
    plan = planned(workspace("renamed", "Answers"), there("renamed", "w1", Answers="c1"), remembered(ANSWERS))
    assert steps(plan) == [RENAME]
    (step,) = plan.steps
    assert (step.former, step.remote_id) == (Address(WORKSPACE, ("default",)), "w1")
    assert step.changes_memory_only
    assert step.reason == "it was renamed at the platform, and what stands in it is remembered under default"


def test_the_former_name_tells_the_same() -> None:
    wanted = workspace("renamed", "Answers", former="default")
    plan = planned(wanted, there("renamed", "w1", Answers="c1"), remembered(ANSWERS))
    assert steps(plan) == [RENAME]


def test_the_former_name_tells_it_of_what_no_list_shows() -> None:
    """A create that was never answered is looked for in the workspace that it was meant for."""
    wanted = workspace("renamed", "Answers", former="default")
    doubt = State(in_doubt={Address(CASE, ("default", "Answers")): Intent("abcdefghijklmnopqrstuvwxyz")})
    plan = planned(wanted, there("renamed", "w1"), doubt)
    assert steps(plan) == [RENAME, "create:digitalocean.EvaluationTestCase/renamed/Answers"]
    assert [step.former for step in plan.steps] == [
        Address(WORKSPACE, ("default",)), Address(CASE, ("default", "Answers")),
    ]  # fmt: skip


def test_what_is_renamed_inside_is_found_too() -> None:
    """In the manifests both have new names, at the platform only the workspace has."""
    wanted = workspace("renamed", "Correct")
    case = replace(wanted[1], renamed_from=(Address(CASE, ("renamed", "Answers")),))
    plan = planned([wanted[0], case], there("renamed", "w1", Answers="c1"), remembered(ANSWERS))
    assert steps(plan) == [RENAME, "rename:digitalocean.EvaluationTestCase/renamed/Correct"]
    assert [str(step.former) for step in plan.steps] == [
        "digitalocean.Workspace/default", "digitalocean.EvaluationTestCase/default/Answers",
    ]  # fmt: skip


def test_what_changes_inside_waits_for_the_memory() -> None:
    wanted = workspace("renamed", "Answers")
    changed = replace(wanted[1], fields={**wanted[1].fields, "description": "New"})
    plan = planned([wanted[0], changed], there("renamed", "w1", Answers="c1"), remembered(ANSWERS))
    assert [(step.action, step.after) for step in plan.steps] == [(Action.RENAME, ()), (Action.UPDATE, (RENAME,))]


def test_once_the_memory_is_moved_the_former_name_says_nothing() -> None:
    """Not even when somebody makes a workspace of that name."""
    wanted = workspace("renamed", "Answers", former="default")
    live = [*there("renamed", "w1", Answers="c1"), *there("default", "w2", Answers="c9")]
    assert steps(planned(wanted, live, remembered(("renamed", "Answers", "c1")))) == []


def test_a_new_workspace_that_took_the_former_name_is_another_one() -> None:
    live = [*there("renamed", "w1", Answers="c1"), *there("default", "w2", Answers="c9")]
    assert steps(planned(workspace("renamed", "Answers"), live, remembered(ANSWERS))) == [RENAME]


def test_a_workspace_that_was_not_renamed_is_not_followed() -> None:
    """Both are there, and what is ours stands in the former one."""
    live = [*there("renamed", "w1"), *there("default", "w2", Answers="c1")]
    refusal = only_refusal(planned(workspace("renamed", "Answers", former="default"), live, remembered(ANSWERS)))
    assert refusal.reason == "renamedFrom says default, but both default and renamed are at the platform"
    assert refusal.hint == "drop renamedFrom: it is only looked up, and what is in it cannot be moved"


def test_a_new_name_that_the_platform_does_not_have_is_refused() -> None:
    """It is never renamed by us."""
    wanted = workspace("renamed", "Answers", former="default")
    refusal = only_refusal(planned(wanted, there("default", "w1", Answers="c1"), remembered(ANSWERS)))
    assert (str(refusal.address), refusal.reason) == (
        "digitalocean.Workspace/renamed", "the platform has no workspace of this name",
    )  # fmt: skip


def test_nothing_is_made_beside_what_is_ours_under_another_name() -> None:
    """Where two memories would become one, nobody can tell which is meant: nothing is made, and it is said why."""
    state = remembered(ANSWERS, ("renamed", "Polite", "c2"), ("default", "Polite", "c3"))
    live = there("renamed", "w1", Answers="c1", Polite="c2")
    refusal = only_refusal(planned(workspace("renamed", "Answers", "Polite"), live, state))
    assert str(refusal.address) == "digitalocean.EvaluationTestCase/renamed/Answers"
    assert refusal.reason == "it is there, and remembered as digitalocean.EvaluationTestCase/default/Answers"
    assert refusal.hint == (
        "say that it is the same: reconciler state mv 'digitalocean.EvaluationTestCase/default/Answers'"
        " 'digitalocean.EvaluationTestCase/renamed/Answers'"
    )


def test_a_dataset_of_the_former_name_does_not_move() -> None:
    """Datasets stand beside workspaces."""
    plan = planned(workspace("renamed", "Answers"), there("renamed", "w1", Answers="c1"), replace(
        remembered(ANSWERS), entries={**remembered(ANSWERS).entries, Address(DATASET, ("default",)): Entry("d0")},
    ))  # fmt: skip
    assert steps(plan) == [RENAME, "forget:digitalocean.EvaluationDataset/default"]


def test_what_a_dataset_under_a_new_name_has_replaced_is_forgotten() -> None:
    """The state of a version that remembered both names; the older generation stays, or goes on request."""
    both = {Address(DATASET, ("old",)): Entry("d0"), Address(DATASET, ("faq",)): Entry("d1", retiring=("d0",))}
    file: Fields = {"name": "faq", "file": {"bytes": 1}}
    faq = Resource(Address(DATASET, ("faq",)), file, HERE, renamed_from=(Address(DATASET, ("old",)),))
    old = LiveObject(Address(DATASET, ("old",)), "d0", {"name": "old", "file": {"bytes": 2}})
    plan = planned([faq], [old], State(entries=both))
    assert steps(plan) == ["keep:digitalocean.EvaluationDataset/faq#d0", "forget:digitalocean.EvaluationDataset/old"]


def test_a_dataset_of_the_same_size_is_not_what_an_unanswered_create_has_made() -> None:
    """A digest in its name tells the content of one of ours; of somebody else's nobody knows it."""
    questions = Address(DATASET, ("questions",))
    file: Fields = {"bytes": 7, "sha256": "ab" * 32}
    wanted = Resource(questions, {"name": "questions", "file": file}, HERE)
    doubt = State(in_doubt={questions: Intent("abcdefghijklmnopqrstuvwxyz")})
    ours = LiveObject(questions, "d8", {"name": "questions", "file": file})
    theirs = LiveObject(questions, "d9", {"name": "questions", "file": {"bytes": 7}})
    (step,) = planned([wanted], [ours], doubt).steps
    assert (step.action, step.remote_id, step.reason) == (Action.ADOPT, "d8", LOST_REPLY)
    (step,) = planned([wanted], [theirs], doubt).steps
    assert (step.remote_id, step.reason, step.idle) == ("d9", MATCHES_NOT_OURS, True)


def test_the_new_name_of_what_a_field_names_is_no_change_of_who_refers_to_it() -> None:
    """Be it one name or a list of them: the object behind it is the same.  Here, of a dataset that can be changed."""
    case_kind = next(kind for kind in DIGITALOCEAN.kinds if kind.id == CASE)
    kinds = [replace(kind, update=kind.update or case_kind.update) for kind in DIGITALOCEAN.kinds]
    questions, faq = (Address(DATASET, (name,)) for name in ("questions", "faq"))
    home, case = workspace("default", "Answers")
    renamed = Resource(questions, {"name": "questions", "file": {"bytes": 1}}, HERE, renamed_from=(faq,))
    case = replace(case, fields={**case.fields, "dataset": "questions"}, references=(*case.references, questions))
    held = {**remembered(ANSWERS).entries, faq: Entry("d1", {"name": "faq", "file": {"bytes": 1}})}
    live = LiveObject(faq, "d1", {"name": "faq", "file": {"bytes": 1}})
    desired = Desired({each.address: each for each in (home, renamed, case)}, "m")
    there_now = Live((METRIC, live, *there("default", "w1", Answers="c1")))
    plan = make_plan(desired, there_now, State(entries=held), kinds, Options(), BASIS)
    assert steps(plan) == ["rename:digitalocean.EvaluationDataset/questions"]
