"""Files that manifests name: found beside the manifest, read once, and compared by what is in them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ManifestsInvalid
from reconciler.manifests.files import beside
from reconciler.manifests.validator import load
from reconciler.model.kind import Kind, Vendor
from reconciler.model.resource import Address, Desired, Resource
from reconciler.model.spec import Mark, Spec
from reconciler.providers.openlayer import OPENLAYER

CONTENT = b"one\ntwo\n"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
SHELF = """\
apiVersion: acme/v1
kind: Shelf
metadata: {name: top}
spec:
  boxes:
    - {name: first, file: ../data/rows.txt}
"""


class Shelf(Spec):
    """Holds boxes."""


class Box(Spec):
    """A file."""

    file: Annotated[str | None, Mark.FILE] = None


class Checker:
    """Counts how often a content is looked at, and finds fault with every line that says ``bad``."""

    def __init__(self) -> None:
        self.contents: list[bytes] = []

    def __call__(self, content: bytes) -> Sequence[tuple[int, str]]:
        self.contents.append(content)
        lines = content.decode().split("\n")
        return [(number, f"line {number} says {line}") for number, line in enumerate(lines, 1) if "bad" in line]


def acme(check: Checker) -> Vendor:
    project = OPENLAYER.kinds[0]
    shelf = Kind(
        id="acme.Shelf", spec=Shelf, identity=("name",), list=project.list, read=project.read, create=project.create
    )
    box = Kind(
        id="acme.Box",
        spec=Box,
        identity=("name",),
        list=project.list,
        read=project.read,
        create=project.create,
        parent="acme.Shelf",
        plural="boxes",
        check_file=check,
    )
    return Vendor("acme", "acme/v1", (shelf, box), "https://acme.example", "ACME_KEY", "ACME_URL", "ACME_")


def write(root: Path, shelf: str = SHELF, content: bytes = CONTENT) -> Path:
    for name, data in (("shelves/top.yaml", shelf.encode()), ("data/rows.txt", content)):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    return root


def desired(root: Path, *paths: str, check: Checker | None = None, **variables: str) -> Desired:
    return load(paths, root=root, vendors=[acme(check or Checker())], variables=variables).desired


def box(root: Path, name: str = "first") -> Resource:
    return desired(root).resources[Address("acme.Box", ("top", name))]


def problems(root: Path, *paths: str) -> list[str]:
    with pytest.raises(ManifestsInvalid) as caught:
        desired(root, *paths)
    return [str(problem) for problem in caught.value.problems]


def test_a_file_stands_in_its_field_by_size_and_digest(tmp_path: Path) -> None:
    """Twelve digits of the SHA-256; the path is named from the root, with slashes."""
    found = box(write(tmp_path))
    assert found.fields == {"name": "first", "file": {"bytes": 8, "sha256": DIGEST[:12]}}
    assert found.files == {"file": "data/rows.txt"}


def test_a_field_that_names_no_file_stays_as_it_is(tmp_path: Path) -> None:
    found = box(write(tmp_path, SHELF.replace("../data/rows.txt", "null")))
    assert (found.fields, found.files) == ({"name": "first", "file": None}, {})


def test_the_name_may_come_from_a_variable(tmp_path: Path) -> None:
    write(tmp_path, SHELF.replace("../data/rows.txt", '"../data/${var.which}.txt"'))
    (resource,) = [each for each in desired(tmp_path, which="rows") if each.files]
    assert resource.files == {"file": "data/rows.txt"}


def test_a_file_that_two_items_name_is_read_and_checked_once(tmp_path: Path) -> None:
    check = Checker()
    second = "    - {name: second, file: ../shelves/../data/rows.txt}\n"
    resources = desired(write(tmp_path, SHELF + second), check=check).resources
    assert check.contents == [CONTENT]
    assert [each.files for each in resources.values()] == [{}, {"file": "data/rows.txt"}, {"file": "data/rows.txt"}]


def test_what_is_wrong_inside_is_said_of_that_file_and_line(tmp_path: Path) -> None:
    write(tmp_path, content=b"good\nbad\nworse\nbad \x1b[31mred\x07\n")
    assert problems(tmp_path) == [
        "data/rows.txt:2:1: line 2 says bad",
        "data/rows.txt:4:1: line 4 says bad \ufffd[31mred\ufffd",
    ]


def test_a_message_that_quotes_a_long_line_is_cut(tmp_path: Path) -> None:
    (message,) = problems(write(tmp_path, content=b"bad" * 100_000))
    assert len(message) == len("data/rows.txt:1:1: ") + 300
    assert message.endswith("...")


def test_a_thousand_faults_are_enough(tmp_path: Path) -> None:
    assert len(problems(write(tmp_path, content=b"bad\n" * 5_000))) == 1_000


def test_the_digest_of_a_run_changes_with_the_content(tmp_path: Path) -> None:
    first = desired(write(tmp_path)).digest
    assert desired(write(tmp_path)).digest == first
    assert desired(write(tmp_path, content=CONTENT + b"three\n")).digest != first


def test_a_link_may_lead_to_another_place_in_the_root(tmp_path: Path) -> None:
    """The path handed on is the real one: a link that is moved later changes nothing."""
    write(tmp_path, SHELF.replace("../data/rows.txt", "link.txt"))
    (tmp_path / "shelves" / "link.txt").symlink_to("../data/rows.txt")
    assert box(tmp_path).files == {"file": "data/rows.txt"}


def test_a_link_out_of_the_root_is_refused(tmp_path: Path) -> None:
    root = write(tmp_path / "root", SHELF.replace("../data/rows.txt", "link.txt"))
    (tmp_path / "secret.txt").write_bytes(b"bad")
    (root / "shelves" / "link.txt").symlink_to(tmp_path / "secret.txt")
    assert problems(root) == [
        "shelves/top.yaml:6:27: spec.boxes[0].file: leads out of the root of this run; keep it beside this manifest"
    ]


def test_whether_a_file_outside_exists_is_not_told(tmp_path: Path) -> None:
    root = write(tmp_path / "root", SHELF.replace("../data/rows.txt", "../../there.txt"))
    absent = problems(root)
    (tmp_path / "there.txt").write_bytes(b"bad")
    assert problems(root) == absent


@pytest.mark.parametrize("name", [".env", ".git/config", "../.reconciler/state.json"])
def test_hidden_files_are_not_read_even_through_a_link(tmp_path: Path, name: str) -> None:
    """They hold what is no data: credentials, the remote of a checkout, what we remember."""
    write(tmp_path, SHELF.replace("../data/rows.txt", name))
    hidden = tmp_path / "shelves" / name
    hidden.parent.mkdir(parents=True, exist_ok=True)
    hidden.write_bytes(b"bad")
    said = "shelves/top.yaml:6:27: spec.boxes[0].file: is hidden, and hidden files are not read; rename it"
    assert problems(tmp_path) == [said]
    write(tmp_path, SHELF.replace("../data/rows.txt", "link.txt"))
    (tmp_path / "shelves" / "link.txt").symlink_to(name)
    assert problems(tmp_path) == [said]


def test_a_mounted_configuration_is_read_through_its_links(tmp_path: Path) -> None:
    """Kubernetes mounts a ConfigMap as links into a folder whose name begins with two dots."""
    mounted = tmp_path / "shelves" / "..2026_11_22"
    mounted.mkdir(parents=True)
    (mounted / "rows.txt").write_bytes(CONTENT)
    (mounted / "top.yaml").write_text(SHELF.replace("../data/", ""))
    for name in ("rows.txt", "top.yaml"):
        (tmp_path / "shelves" / name).symlink_to(f"..2026_11_22/{name}")
    assert box(tmp_path).fields["file"] == {"bytes": 8, "sha256": DIGEST[:12]}


def test_a_file_beside_a_manifest_outside_of_the_root_is_read(tmp_path: Path) -> None:
    """The user named that folder; a pull request cannot."""
    root, other = tmp_path / "root", tmp_path / "other"
    root.mkdir()
    write(other, SHELF.replace("../data/rows.txt", "rows.txt"))
    (other / "shelves" / "rows.txt").write_bytes(CONTENT)
    resources = desired(root, "../other/shelves").resources
    assert resources[Address("acme.Box", ("top", "first"))].files == {"file": "../other/shelves/rows.txt"}
    write(other)
    where, message = "../other/shelves/top.yaml:6:27", "leads out of the root of this run; keep it beside this manifest"
    assert problems(root, "../other/shelves") == [f"{where}: spec.boxes[0].file: {message}"]


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    write(tmp_path, SHELF.replace("../data/rows.txt", "pipe"))
    os.mkfifo(tmp_path / "shelves" / "pipe")
    assert problems(tmp_path) == ["shelves/top.yaml:6:27: spec.boxes[0].file: not a regular file"]


def test_a_huge_file_is_refused_without_being_read(tmp_path: Path) -> None:
    write(tmp_path)
    with (tmp_path / "data" / "rows.txt").open("wb") as stream:
        stream.truncate(1024**3)
    assert problems(tmp_path) == [
        "shelves/top.yaml:6:27: spec.boxes[0].file: the file has 1,073,741,824 bytes, more than 104,857,600"
    ]


@given(st.lists(st.sampled_from(["..", ".", "", "in", "out", "link", "x.txt", "/", "~", "\0", "x" * 300]), max_size=6))
def test_no_name_leads_out(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    """Whatever is written and whatever links say: a file under the root, or a sentence why not."""
    base = tmp_path_factory.mktemp("tree")
    for name in ("root/in/x.txt", "out/x.txt", "x.txt"):
        (base / name).parent.mkdir(parents=True, exist_ok=True)
        (base / name).write_bytes(CONTENT)
    (base / "root" / "in" / "link").symlink_to("../../out")
    try:
        file = beside("/".join(steps), "in/a.yaml", base / "root")
    except ValueError as error:
        message, hint = error.args
        assert message
        assert isinstance(hint, str)
    else:
        assert base / "root" in file.path.parents
        assert file.name == "in/x.txt"
