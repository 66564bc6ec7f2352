"""A vendor whose kinds could not be read, or not be remembered, is refused where it is declared."""

from __future__ import annotations

from typing import Annotated, Any

import pytest

from reconciler.model.call import Flow, Wire
from reconciler.model.kind import AnyKind, Kind, Vendor, named
from reconciler.model.resource import Address
from reconciler.model.spec import Mark, Part, RefTo, Spec
from reconciler.model.values import Fields


class Thing(Spec):
    """Names nothing else."""


class Book(Spec):
    """Names papers."""

    papers: Annotated[list[str] | None, RefTo("acme.Paper")] = None


class Code(Part):
    """What a list of parts may hold, and a mapping may not."""

    code: Annotated[str, Mark.SENSITIVE]


class Codes(Spec):
    """Hides a secret where nobody looks."""

    codes: dict[str, Code] | None = None


class Alias(Spec):
    """Hides what others call it."""

    alias: Annotated[str, Mark.SENSITIVE]


def nothing(_: str | None, __: Wire) -> Flow[list[Fields]]:
    yield from ()
    return []


def kind(word: str, **declared: Any) -> AnyKind:
    declared = {"spec": Thing, "identity": ("name",), **declared}
    return Kind(id=f"acme.{word}", list=nothing, read=lambda *_: None, **declared)


def vendor(*kinds: AnyKind) -> Vendor:
    return Vendor("acme", "acme/v1", kinds, "https://acme.example", "ACME_KEY", "ACME_URL", "ACME_")


SPACE = kind("Space")
PAPER = kind("Paper", parent="acme.Space")


def test_parents_and_what_others_refer_to_come_first() -> None:
    kinds = (SPACE, PAPER, kind("Book", spec=Book, parent="acme.Space"), kind("Run", parent="acme.Space", virtual=True))
    assert vendor(*kinds).kinds == kinds


def test_what_is_never_read_may_name_its_own_kind() -> None:
    run = kind("Paper", spec=Book, parent="acme.Space", virtual=True)
    assert vendor(SPACE, run).kind("acme.Paper") is run


@pytest.mark.parametrize(
    ("kinds", "message"),
    [
        ((SPACE, kind("Book", parent="acme.Spcae")), "acme.Book: its parent acme.Spcae is no kind of acme"),
        (
            (kind("Space", spec=Codes),),
            "acme.Space: codes marks as SENSITIVE what stands in no Part, nor in a list of them",
        ),
        (
            (kind("Space", spec=Alias, identity=("alias",)),),
            "acme.Space: alias cannot be SENSITIVE: it names something, or its value decides",
        ),
        ((PAPER, SPACE), "acme.Paper: its parent acme.Space must come earlier in the kinds of acme"),
        ((kind("Space", virtual=True), PAPER), "acme.Paper: its parent acme.Space is virtual: nothing can live in it"),
        ((SPACE, PAPER, kind("Line", parent="acme.Paper")), "acme.Line: its parent acme.Paper is no root"),
        (
            (SPACE, kind("Shelf"), PAPER, kind("Book", parent="acme.Shelf")),
            "acme.Book: others live in acme.Space, and what is in two roots of one name could not be told apart",
        ),
        (
            (kind("Space", identity=("name", "labels")), PAPER),
            'acme.Paper: its parent acme.Space must have the identity ("name",)',
        ),
        (
            (SPACE, kind("Book", declared_in="acme.Spcae")),
            "acme.Book: it is declared in acme.Spcae, which is no kind of acme",
        ),
        ((SPACE, kind("Book", spec=Book)), "acme.Book: papers refers to acme.Paper, which is no kind of acme"),
        (
            (SPACE, kind("Book", spec=Book), PAPER),
            "acme.Book: papers refers to acme.Paper, which must come earlier in the kinds of acme",
        ),
        (
            (SPACE, kind("Paper", spec=Book)),
            "acme.Paper: papers refers to acme.Paper, which must come earlier in the kinds of acme",
        ),
        (
            (kind("Paper", identity=("name", "labels")), kind("Book", spec=Book)),
            'acme.Book: papers refers to acme.Paper, which must have the identity ("name",)',
        ),
        ((SPACE, PAPER, SPACE), "acme.Space: declared twice in the kinds of acme"),
    ],
)
def test_a_kind_that_could_not_be_read_is_refused_by_name(kinds: tuple[AnyKind, ...], message: str) -> None:
    with pytest.raises(ValueError) as refused:
        vendor(*kinds)
    assert str(refused.value) == message


def test_a_field_that_is_not_set_names_nothing() -> None:
    """Somebody may have called a paper None."""
    book, kinds = Address("acme.Book", ("attic", "atlas")), {PAPER.id: PAPER}
    assert named(None, PAPER.id, book, kinds) == []
    assert named("None", PAPER.id, book, kinds) == [Address("acme.Paper", ("attic", "None"))]
    assert named(["a", "b"], PAPER.id, book, kinds) == [Address("acme.Paper", ("attic", each)) for each in "ab"]
