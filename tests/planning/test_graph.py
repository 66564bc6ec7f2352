"""Which step waits for which, and that the order in which they stand can be carried out."""

from __future__ import annotations

from reconciler.model.kind import Kind
from reconciler.model.plan import Action, FieldChange, Step
from reconciler.model.resource import Address
from reconciler.model.spec import Spec
from reconciler.planning.graph import EXCHANGED, linked


def kind(kind_id: str, parent: str | None = None) -> Kind[Spec]:
    return Kind(
        id=kind_id,
        spec=Spec,
        identity=("name",),
        list=lambda _, __: iter(()),  # type: ignore[arg-type, return-value]
        read=lambda _, __, ___: None,
        parent=parent,
    )


KINDS = {
    each.id: each
    for each in (kind("v.Project"), kind("v.File"), kind("v.Pipeline", "v.Project"), kind("v.Test", "v.Project"))
}
PROJECT, LIVE, CANARY = Address("v.Project", ("p",)), Address("v.Pipeline", ("p", "live")), Address(
    "v.Pipeline", ("p", "canary")
)  # fmt: skip
FIRST, SECOND = Address("v.Test", ("p", "first")), Address("v.Test", ("p", "second"))
ELSEWHERE = Address("v.Test", ("q", "first"))
REFERENCES = {LIVE: (PROJECT,), CANARY: (PROJECT,), FIRST: (PROJECT, LIVE), SECOND: (PROJECT,), ELSEWHERE: ()}


def step(action: Action, address: Address, suffix: str = "", remote_id: str | None = None) -> Step:
    return Step(f"{action}:{address}{suffix}", action, address, "because", remote_id=remote_id)


def order(*steps: Step) -> dict[str, list[str]]:
    """Step -> what it waits for, both as ``action name``, in the order of the plan."""
    found = linked(steps, KINDS, REFERENCES)
    names = {each.id: f"{each.action.value} {each.address.name}" for each in found}
    return {names[each.id]: [names[other] for other in each.after] for each in found}


def test_creates_stand_parents_first() -> None:
    """A test waits for its project and for the pipelines that it names; the others merely stand in front of it."""
    steps = [step(Action.CREATE, address) for address in (SECOND, FIRST, CANARY, LIVE, PROJECT)]
    assert order(*steps) == {
        "create p": [],
        "create canary": ["create p"],
        "create live": ["create p"],
        "create first": ["create live", "create p"],
        "create second": ["create p"],
    }


def test_removals_stand_children_first() -> None:
    steps = [step(Action.DELETE, PROJECT), step(Action.DELETE, LIVE), step(Action.ARCHIVE, FIRST)]
    assert order(*steps) == {
        "archive first": [],
        "delete live": ["archive first"],
        "delete p": ["archive first", "delete live"],
    }


def test_an_update_waits_for_what_it_refers_to_only() -> None:
    steps = [step(Action.UPDATE, FIRST), step(Action.RENAME, LIVE), step(Action.CREATE, CANARY)]
    assert order(*steps) == {"create canary": [], "rename live": [], "update first": ["rename live"]}


def test_nothing_waits_for_a_mere_update_of_its_project() -> None:
    """A server that cannot change a project must not keep its tests from being changed, added or archived."""
    steps = [step(Action.UPDATE, PROJECT), step(Action.UPDATE, FIRST), step(Action.CREATE, CANARY)]
    found = order(*steps, step(Action.ARCHIVE, SECOND))
    assert found == {"update p": [], "create canary": [], "update first": [], "archive second": []}


def test_a_pipeline_is_deleted_after_the_tests_that_stop_naming_it() -> None:
    assert order(step(Action.REPLACE, FIRST), step(Action.DELETE, CANARY)) == {
        "replace first": [],
        "delete canary": ["replace first"],
    }


def test_a_removal_waits_for_the_rename_of_its_root() -> None:
    """The memory of it moves with the root; before that it could not be found."""
    assert order(step(Action.ARCHIVE, FIRST), step(Action.RENAME, PROJECT)) == {
        "rename p": [],
        "archive first": ["rename p"],
    }


def test_a_leftover_goes_after_what_stands_at_its_address() -> None:
    found = order(step(Action.ARCHIVE, FIRST, "#7", "7"), step(Action.REPLACE, FIRST, remote_id="8"))
    assert found == {"replace first": [], "archive first": ["replace first"]}


def test_an_older_file_goes_after_the_tests_of_any_project_that_are_pointed_at_the_newer_one() -> None:
    file = Address("v.File", ("questions",))
    steps = [step(Action.DELETE, file, "#7", "7"), step(Action.UPDATE, ELSEWHERE), step(Action.REPLACE, file)]
    found = linked(steps, KINDS, {ELSEWHERE: (file,)})
    assert [(each.id, each.after) for each in found] == [
        (f"replace:{file}", ()),
        (f"update:{ELSEWHERE}", (f"replace:{file}",)),
        (f"delete:{file}#7", (f"replace:{file}", f"update:{ELSEWHERE}")),
    ]


def called(address: Address, name: str) -> Step:
    """The step that gives something its name back."""
    change = FieldChange("name", name, address.name)
    return Step(f"update:{address}", Action.UPDATE, address, "because", changes=(change,), remote_id=name)


def test_a_name_is_taken_once_it_is_given_up() -> None:
    """By what is made, too; also where names moved on in a row."""
    third = Address("v.Pipeline", ("p", "third"))
    found = order(called(CANARY, "live"), called(LIVE, "third"), step(Action.CREATE, third))
    assert list(found.items()) == [
        ("update canary", []),
        ("update live", ["update canary"]),
        ("create third", ["update live"]),
    ]


def test_names_that_were_exchanged_wait_for_a_person() -> None:
    found = linked([called(CANARY, "live"), called(LIVE, "canary")], KINDS, REFERENCES)
    assert [(each.address.name, each.after, each.notes) for each in found] == [
        ("canary", (), (EXCHANGED,)),
        ("live", (), (EXCHANGED,)),
    ]


def test_projects_do_not_wait_for_each_other() -> None:
    steps = [step(Action.CREATE, PROJECT), step(Action.CREATE, ELSEWHERE)]
    assert order(*steps) == {"create p": [], "create first": []}


def test_a_root_of_another_vendor_is_another_root() -> None:
    other = Address("w.Project", ("p",))
    found = linked([step(Action.DELETE, PROJECT), step(Action.ARCHIVE, FIRST), step(Action.DELETE, other)],
                   {**KINDS, "w.Project": kind("w.Project")}, {})  # fmt: skip
    assert [(each.id, each.after) for each in found] == [
        ("archive:v.Test/p/first", ()),
        ("delete:v.Project/p", ("archive:v.Test/p/first",)),
        ("delete:w.Project/p", ()),
    ]


def test_a_root_of_another_kind_and_the_same_name_is_another_root() -> None:
    """A removal waits for the rename of the project that it stands in, and a file goes without waiting for any."""
    file = Address("v.File", ("p",))
    steps = [step(Action.ARCHIVE, FIRST), step(Action.RENAME, PROJECT), step(Action.CREATE, file)]
    found = linked(steps, KINDS, REFERENCES)
    assert [each.after for each in found if each.address == FIRST] == [("rename:v.Project/p",)]
    steps = [step(Action.DELETE, file), step(Action.DELETE, PROJECT), step(Action.ARCHIVE, FIRST)]
    assert [each.after for each in linked(steps, KINDS, REFERENCES) if each.address == file] == [()]
