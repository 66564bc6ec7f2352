"""Where a kind is declared, what it may name, and what is only looked up: from the kinds' declarations alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import pytest
from jsonschema import Draft7Validator
from pydantic import Field

from reconciler.errors import ManifestsInvalid
from reconciler.manifests.documents import document_kinds
from reconciler.manifests.loader import parse
from reconciler.manifests.schemas import schemas
from reconciler.manifests.validator import load
from reconciler.manifests.writer import to_yaml
from reconciler.model.kind import AnyKind, Kind, Vendor
from reconciler.model.resource import Address, Desired, Gate, Severity
from reconciler.model.spec import Mark, RefTo, Spec
from reconciler.providers.digitalocean import DIGITALOCEAN
from reconciler.providers.openlayer import OPENLAYER

SPACE, BOOK, PAPER, INK = "acme.Space", "acme.Book", "acme.Paper", "acme.Ink"


class Space(Spec):
    """A root, looked up unless it is ours."""

    note: str | None = None
    ours: Annotated[bool, Mark.LOCAL] = False


class Paper(Spec):
    """Declared in a space, and living in nothing."""


class Book(Spec):
    """Lives in a space; names papers, another book and inks."""

    paper: Annotated[str, RefTo(PAPER)]
    more: Annotated[list[str], RefTo(PAPER)] = Field(default_factory=list)
    after: Annotated[str | None, RefTo(BOOK)] = None
    inks: Annotated[list[str], RefTo(INK, declared=False)] = Field(default_factory=list)
    severity: Annotated[Severity, Mark.LOCAL, Mark.OVERRIDABLE] = "error"


class Ink(Spec):
    """Never declared."""


def made(kind_id: str, spec: type[Any], **declared: Any) -> AnyKind:
    """A kind that is named, listed and read as projects are."""
    project = OPENLAYER.kinds[0]
    return Kind(id=kind_id, spec=spec, identity=("name",), list=project.list, read=project.read, **declared)


def acme() -> Vendor:
    create = OPENLAYER.kinds[0].create
    ink = made(INK, Ink, lookup=lambda _: True)
    paper = made(PAPER, Paper, create=create, declared_in=SPACE, plural="papers", defaults_field="paperDefaults")
    space = made(SPACE, Space, create=create, lookup=lambda spec: not spec.ours)
    book = made(BOOK, Book, parent=SPACE, plural="books", virtual=True, gate=lambda spec: Gate(spec.severity))
    kinds = (ink, paper, space, book)
    return Vendor("acme", "acme/v1", kinds, "https://acme.example", "ACME_KEY", "ACME_URL", "ACME_")


ONE: dict[str, Any] = {
    "apiVersion": "acme/v1",
    "kind": "Space",
    "metadata": {"name": "one"},
    "spec": {
        "paperDefaults": {"lifecycle": {"protect": True}},
        "papers": [{"name": "white", "labels": {"tone": "light"}}, {"name": "cream", "labels": {"tone": "light"}}],
        "books": [{"name": "log", "paper": "white", "inks": ["whatever"]}],
    },
}
TWO: dict[str, Any] = {
    "apiVersion": "acme/v1",
    "kind": "Space",
    "metadata": {"name": "two"},
    "spec": {
        "ours": True,
        "books": [{"name": "diary", "paper": "white", "more": {"labels": {"tone": "light"}}},
                  {"name": "memoir", "paper": "cream", "after": "diary"}],
    },
}  # fmt: skip


def desired(root: Path, *documents: dict[str, Any], environment: str | None = None) -> Desired:
    for number, document in enumerate(documents):
        (root / f"{number}.yaml").write_text(to_yaml(document), encoding="utf-8")
    return load([], root=root, vendors=[acme(), OPENLAYER], environment=environment).desired


def addresses(found: tuple[Address, ...]) -> list[str]:
    return [str(each) for each in found]


def test_what_is_declared_in_another_document_has_an_address_of_its_own(tmp_path: Path) -> None:
    found = desired(tmp_path, ONE, TWO).resources
    assert [str(each) for each in found] == [
        "acme.Space/one",
        "acme.Space/two",
        "acme.Paper/white",
        "acme.Paper/cream",
        "acme.Book/one/log",
        "acme.Book/two/diary",
        "acme.Book/two/memoir",
    ]
    white = found[Address(PAPER, ("white",))]
    assert (white.references, white.lifecycle.protect) == ((), True)
    assert str(white.source) == "0.yaml:10:7"


def test_references_are_the_parent_and_what_is_named_wherever_that_is_declared(tmp_path: Path) -> None:
    found = desired(tmp_path, ONE, TWO).resources
    assert addresses(found[Address(BOOK, ("one", "log"))].references) == ["acme.Paper/white", "acme.Space/one"]
    diary = found[Address(BOOK, ("two", "diary"))]
    assert diary.fields["more"] == ["white", "cream"]
    assert addresses(diary.references) == ["acme.Paper/cream", "acme.Paper/white", "acme.Space/two"]
    memoir = found[Address(BOOK, ("two", "memoir"))]
    assert addresses(memoir.references) == ["acme.Book/two/diary", "acme.Paper/cream", "acme.Space/two"]


def test_a_kind_says_of_each_spec_whether_it_is_only_looked_up(tmp_path: Path) -> None:
    found = desired(tmp_path, ONE, TWO)
    assert [str(each.address) for each in found if each.lookup] == ["acme.Space/one"]
    assert found.warnings == ()


def test_an_environment_overrides_what_is_only_measured(tmp_path: Path) -> None:
    environment = {
        "apiVersion": "reconciler/v1",
        "kind": "Environment",
        "metadata": {"name": "staging"},
        "spec": {"overrides": [{"match": {"space": "two", "book": "m*"}, "set": {"severity": "info"}}]},
    }
    found = desired(tmp_path, ONE, TWO, environment, environment="staging").resources
    severities = {address.name: each.gate.severity for address, each in found.items() if address.kind == BOOK}
    assert severities == {"log": "error", "diary": "error", "memoir": "info"}


def test_a_name_is_looked_for_where_its_kind_lives(tmp_path: Path) -> None:
    wrong = {**TWO, "spec": {"books": [{"name": "x", "paper": "whit", "more": ["creme"], "after": "log"}]}}
    with pytest.raises(ManifestsInvalid) as caught:
        desired(tmp_path, ONE, wrong)
    assert [str(problem) for problem in caught.value.problems] == [
        '1.yaml:8:14: spec.books[0].paper: there is no paper "whit" under the paths given; did you mean "white"?',
        '1.yaml:9:14: spec.books[0].more[0]: there is no paper "creme" under the paths given; did you mean "cream"?',
        '1.yaml:10:14: spec.books[0].after: there is no book "log" here; there is x',
    ]


@pytest.mark.parametrize("kind", [{"kind": "Ink"}, {"kind": "Paper"}, {"kind": "Book"}])
def test_only_what_has_a_document_of_its_own_is_a_document(tmp_path: Path, kind: dict[str, str]) -> None:
    with pytest.raises(ManifestsInvalid, match=r"has no document of its own|is never declared"):
        desired(tmp_path, {**ONE, **kind})
    assert list(document_kinds([acme()])["acme/v1"]) == ["Space"]
    assert list(schemas([acme()])) == ["acme.v1.space.json", "reconciler.v1.environment.json", "reconciler.v1.pin.json"]


def test_the_schema_lists_what_is_declared_in_a_document() -> None:
    """A label selector stands where a list of declared resources does, and nowhere else."""
    check = Draft7Validator(schemas([acme()])["acme.v1.space.json"])
    assert [error.message for document in (ONE, TWO) for error in check.iter_errors(document)] == []
    labels = {"labels": {"tone": "light"}}
    for field, valid in {"more": True, "paper": False, "inks": False}.items():
        book = {"name": "x", "paper": "white", field: labels}
        document = {**ONE, "spec": {"books": [book]}}
        assert check.is_valid(document) is valid


def test_a_kind_that_can_not_be_made_is_a_document_when_others_stand_in_it() -> None:
    ink, paper, _, book = acme().kinds
    found = made(SPACE, Space, lookup=lambda _: True)
    vendor = Vendor("acme", "acme/v1", (ink, paper, found, book), "https://acme.example", "A", "B", "C")
    assert list(document_kinds([vendor])["acme/v1"]) == ["Space"]


# ---------------------------------------------------------------------------------------- DigitalOcean's documents

WORKSPACE = """\
# yaml-language-server: $schema=../schemas/digitalocean.v1.workspace.json
apiVersion: digitalocean/v1
kind: Workspace
metadata:
  name: customer-care
spec:
  datasets:
    - name: faq
      file: data/faq.csv
  testCases:
    - name: Answers are correct
      description: What people ask most
      dataset: faq
      metrics: [Correctness (general hallucinations), Instruction following]
      starMetric: {name: Correctness (general hallucinations), threshold: 80}
  runs:
    - name: nightly
      testCase: Answers are correct
      agents: [support-agent]
      gate: {onError: warn}
"""


def test_a_workspace_of_digitalocean_loads(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "faq.csv").write_text("query,expected_response\nHello,Hi\n", encoding="utf-8")
    (tmp_path / "care.yaml").write_text(WORKSPACE, encoding="utf-8")
    loaded = load([], root=tmp_path, vendors=[OPENLAYER, DIGITALOCEAN])
    workspace, dataset, case, run = loaded.desired
    assert loaded.warnings == ()
    assert (str(workspace.address), workspace.lookup) == ("digitalocean.Workspace/customer-care", True)
    assert (str(dataset.address), dataset.lookup) == ("digitalocean.EvaluationDataset/faq", False)
    assert dataset.fields == {"name": "faq", "file": {"bytes": 33, "sha256": "dfc5712bac14"}}
    assert dataset.files == {"file": "data/faq.csv"}
    assert str(case.address) == "digitalocean.EvaluationTestCase/customer-care/Answers are correct"
    assert addresses(case.references) == [
        "digitalocean.EvaluationDataset/faq",
        "digitalocean.Workspace/customer-care",
    ]
    assert case.fields["starMetric"] == {"name": "Correctness (general hallucinations)", "threshold": 80}
    assert str(run.address) == "digitalocean.EvaluationRun/customer-care/nightly"
    assert addresses(run.references) == [str(case.address), "digitalocean.Workspace/customer-care"]
    assert run.gate == Gate(on_error="warn")
    schema = schemas([OPENLAYER, DIGITALOCEAN])["digitalocean.v1.workspace.json"]
    assert list(Draft7Validator(schema).iter_errors(parse(WORKSPACE)[0])) == []
