"""Which files are read, and which are refused: a repository may come from a stranger."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ManifestsInvalid, UsageInvalid
from reconciler.manifests.files import File, discover, read_file, rewrite
from reconciler.providers import VENDORS


def touch(root: Path, *names: str) -> None:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("a: 1\n", encoding="utf-8")


def names(root: Path, *paths: str) -> list[str]:
    found = discover(paths, root)
    assert found.problems == []
    return [file.name for file in found.files]


def refusals(root: Path, *paths: str) -> list[str]:
    return [str(problem) for problem in discover(paths, root).problems]


def test_yaml_files_are_found_at_any_depth_in_order_without_hidden_ones(tmp_path: Path) -> None:
    touch(tmp_path, "b.yml", "a/z.yaml", "a/b/c.yaml", ".github/ci.yaml", ".hidden.yaml", "a/notes.md", "rows.jsonl")
    assert names(tmp_path) == ["a/b/c.yaml", "a/z.yaml", "b.yml"]
    assert names(tmp_path, "a") == ["a/b/c.yaml", "a/z.yaml"]


def test_too_many_files_are_said_once(tmp_path: Path) -> None:
    """And not of each that is too many."""
    for number in range(10_003):
        (tmp_path / f"{number:05}.yaml").touch()
    (problem,) = refusals(tmp_path, ".", "10001.yaml")
    assert problem.endswith(
        ".yaml: this and whatever comes after it are more than 10,000 files; "
        "give narrower paths, or name what holds no manifests in .reconcilerignore"
    )


def test_a_file_that_is_named_is_read_whatever_it_is_called(tmp_path: Path) -> None:
    touch(tmp_path, ".hidden/x.json")
    assert names(tmp_path, ".hidden/x.json") == [".hidden/x.json"]


def test_overlapping_paths_give_each_file_once(tmp_path: Path) -> None:
    touch(tmp_path, "a/x.yaml")
    assert names(tmp_path, ".", "a", "a/x.yaml") == ["a/x.yaml"]


def test_ignored_files_are_left_out_by_glob(tmp_path: Path) -> None:
    touch(
        tmp_path, "keep.yaml", "values.yaml", "deep/values.yaml", "charts/a.yaml", "deep/charts/b.yaml", "docs/x/y.yaml"
    )
    (tmp_path / ".reconcilerignore").write_text("# ours not\nvalues.y?ml\n/charts/\ndocs/**/*.yaml\n", encoding="utf-8")
    assert names(tmp_path) == ["deep/charts/b.yaml", "keep.yaml"]


def test_a_path_that_does_not_exist_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageInvalid, match="there is no nowhere"):
        discover(["nowhere"], tmp_path)


def test_a_folder_outside_the_root_is_read_when_it_is_named(tmp_path: Path) -> None:
    touch(tmp_path, "elsewhere/x.yaml", "root/y.yaml")
    assert names(tmp_path / "root", "../elsewhere") == ["../elsewhere/x.yaml"]


def test_links_are_followed_inside_the_root_and_refused_outside(tmp_path: Path) -> None:
    root = tmp_path / "root"
    touch(tmp_path, "secret.yaml", "outside/x.yaml", "root/common/a.yaml")
    (root / "env").mkdir()
    (root / "env" / "common").symlink_to("../common")
    (root / "env" / "loop").symlink_to("..")
    (root / "secret.yaml").symlink_to("../secret.yaml")
    (root / "outside").symlink_to(tmp_path / "outside")
    (root / "gone.yaml").symlink_to("nothing.yaml")
    (root / "unmounted").symlink_to("nowhere")
    found = discover(["env"], root)
    assert [file.name for file in found.files] == ["env/common/a.yaml"]
    assert refusals(root) == [
        "gone.yaml: a link leads nowhere; remove it, or name it in .reconcilerignore",
        "outside: a link leads out of the folder that is read; copy the file here",
        "secret.yaml: a link leads out of the folder that is read; copy the file here",
        "unmounted: a link leads nowhere; remove it, or name it in .reconcilerignore",
    ]
    (root / ".reconcilerignore").write_text("unmounted\n*.yaml\noutside\n", encoding="utf-8")
    assert refusals(root) == []


def test_a_named_link_out_of_the_root_is_refused_too(tmp_path: Path) -> None:
    """In a pipeline the path is fixed, and what stands there came with the pull request."""
    touch(tmp_path, "etc/passwd.yaml")
    root = tmp_path / "root"
    root.mkdir()
    (root / "manifests").symlink_to("../etc")
    assert refusals(root, "manifests") == ["manifests: a link leads out of the folder that is read; copy the file here"]


def test_a_pipe_is_refused_without_waiting_for_a_writer(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.yaml")
    assert refusals(tmp_path) == ["pipe.yaml: not a regular file; remove it"]


def test_a_named_pipe_or_device_is_said_to_be_the_wrong_path(tmp_path: Path) -> None:
    """Nobody is told to remove what does not belong here; the path is repeated as it was given."""
    os.mkfifo(tmp_path / "pipe.yaml")
    read_end, write_end = os.pipe()
    for path in ("pipe.yaml", "/dev/null", f"/dev/fd/{read_end}"):
        with pytest.raises(UsageInvalid, match=f"^{path} is not a regular file$"):
            discover([path], tmp_path)
    os.close(read_end)
    os.close(write_end)


def test_a_name_that_hides_something_is_refused(tmp_path: Path) -> None:
    touch(tmp_path, "a\nb.yaml", "a\u202eb.yaml")
    assert refusals(tmp_path) == [
        "a\ufffdb.yaml: the name holds characters that nobody can see; rename it",
        "a\ufffdb.yaml: the name holds characters that nobody can see; rename it",
    ]


@given(st.lists(st.sampled_from(["..", ".", "in", "out", "link", "x.yaml"]), min_size=1, max_size=6))
def test_no_link_target_leads_out(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> None:
    """T11: whatever a link says, every file that is read lies under the root."""
    base = tmp_path_factory.mktemp("tree")
    root = base / "root"
    touch(base, "root/in/x.yaml", "out/x.yaml", "x.yaml")
    (root / "link").symlink_to("/".join(steps))
    found = discover([], root)
    assert all(root in file.path.parents for file in found.files)
    assert all(file.path.is_file() for file in found.files)


HEAD = "apiVersion: openlayer/v1\nkind: Project\n"


def rewritten(root: Path, *paths: str, write: bool = True) -> list[str]:
    done = rewrite(paths, root=root, vendors=VENDORS, write=write)
    assert done.strangers == []
    return done.changed


def test_rewriting_changes_only_what_is_not_canonical(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{HEAD}a:   1 # one\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text(f"{HEAD}b: 2\n", encoding="utf-8")
    (tmp_path / "a.yaml").chmod(0o640)
    assert rewritten(tmp_path, write=False) == ["a.yaml"]
    assert (tmp_path / "a.yaml").read_text(encoding="utf-8") == f"{HEAD}a:   1 # one\n"
    assert rewritten(tmp_path) == ["a.yaml"]
    assert (tmp_path / "a.yaml").read_text(encoding="utf-8") == f"{HEAD}a: 1   # one\n"
    assert (tmp_path / "a.yaml").stat().st_mode & 0o777 == 0o640
    assert rewritten(tmp_path) == []
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.yaml", "b.yaml"]


def test_nothing_is_rewritten_when_one_file_can_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text(f"{HEAD}a:   1\n", encoding="utf-8")
    (tmp_path / "b.yaml").write_text(f"{HEAD}b: [\n", encoding="utf-8")
    with pytest.raises(ManifestsInvalid, match=r"b\.yaml:4:1"):
        rewritten(tmp_path)
    assert (tmp_path / "a.yaml").read_text(encoding="utf-8") == f"{HEAD}a:   1\n"


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"apiVersion: openlayer/v1\nb: caf\xe9\n", "m.yaml:2:7: the file is not UTF-8; save it as UTF-8"),
        (
            b"apiVersion: openlayer/v1\nb: # why\n  |\n  text\n",
            "m.yaml:2:4: this has no canonical form; move the comment above the key, to a line of its own",
        ),
    ],
)
def test_what_can_not_be_rewritten_has_a_place(tmp_path: Path, content: bytes, problem: str) -> None:
    (tmp_path / "m.yaml").write_bytes(content)
    with pytest.raises(ManifestsInvalid) as refused:
        rewritten(tmp_path)
    assert [str(each) for each in refused.value.problems] == [problem]
    assert (tmp_path / "m.yaml").read_bytes() == content


@pytest.mark.parametrize("room", [0, 8192], ids=["for nothing", "for a part"])
def test_a_full_disk_leaves_a_file_as_it_was_and_no_other_beside_it(tmp_path: Path, room: int) -> None:
    """The limit on a file's size refuses what goes beyond it, as a full disk does."""
    text = f"{HEAD}a:   1\n" + "# " + "x" * 20_000 + "\n"
    (tmp_path / "a.yaml").write_text(text, encoding="utf-8")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, limits[1]))
    try:
        with pytest.raises(ManifestsInvalid, match=r"a\.yaml: cannot be written: File too large"):
            rewritten(tmp_path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {"a.yaml": text}


OTHERS = {
    "compose.yaml": "services:   {web: {image: nginx}}\n",
    "map.yaml": "apiVersion:   v1\nkind: ConfigMap\n",
    "some.yaml": f"{HEAD}a:   1\n---\n- b\n",
}
_KNOWN = ", ".join(f'"{each}"' for each in (*(vendor.api_version for vendor in VENDORS), "reconciler/v1"))
_HINT = "list the file in .reconcilerignore if it belongs to something else"
SAID = [
    f"compose.yaml:1:1: not a manifest: it has neither apiVersion nor kind; {_HINT}",
    f'map.yaml:1:15: apiVersion: "v1" is not known; there are {_KNOWN}; {_HINT}',
    f"some.yaml:5:1: expected a mapping, found a list; {_HINT}",
]


@pytest.mark.parametrize("paths", [[], ["."]])
def test_what_is_no_manifest_is_left_alone(tmp_path: Path, paths: list[str]) -> None:
    texts = {**OTHERS, "a.yaml": f"{HEAD}a: 1\n", "empty.yaml": ""}
    for name, text in texts.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    (tmp_path / "a.yaml").write_text(f"{HEAD}a:   1\n", encoding="utf-8")
    done = rewrite(paths, root=tmp_path, vendors=VENDORS)
    assert (done.changed, [str(each) for each in done.strangers]) == (["a.yaml"], SAID)
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == texts


@pytest.mark.parametrize("name", OTHERS)
def test_what_is_named_and_no_manifest_is_refused(tmp_path: Path, name: str) -> None:
    texts = {**OTHERS, "a.yaml": f"{HEAD}a:   1\n"}
    for each, text in texts.items():
        (tmp_path / each).write_text(text, encoding="utf-8")
    with pytest.raises(ManifestsInvalid) as refused:
        rewrite(["a.yaml", name], root=tmp_path, vendors=VENDORS)
    assert [str(each) for each in refused.value.problems] == [each for each in SAID if each.startswith(name)]
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == texts


def test_a_huge_file_is_refused_without_being_read(tmp_path: Path) -> None:
    """B1: a gibibyte, of which nothing is read."""
    with (tmp_path / "huge.yaml").open("wb") as stream:
        stream.truncate(1024**3)
    (file,) = discover([], tmp_path).files
    with pytest.raises(ValueError, match="1,073,741,824 bytes, more than 8,388,608"):
        read_file(file)


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="Linux shows processes as files of no size")
def test_a_file_that_holds_more_than_it_says_is_read_whole() -> None:
    """As generated file systems have them."""
    path = Path("/proc/self/cmdline")
    assert path.stat().st_size == 0
    assert read_file(File("cmdline", path)) == path.read_bytes() != b""
