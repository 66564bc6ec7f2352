"""A base revision is a stranger's: taking it out of the repository runs nothing and writes nowhere else."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import UsageInvalid
from reconciler.manifests.revision import taken_out

AGAINST_MAIN = ("plan", "--offline", "--base", "main")


def tree(repository: Any, *entries: tuple[str, str, str]) -> str:
    """A tree made by hand of (mode, name, object), in whatever order and with whatever names."""
    content = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(blob) for mode, name, blob in entries)
    return str(repository.git("hash-object", "-t", "tree", "-w", "--literally", "--stdin", given=content))


def commit_of(repository: Any, tree_name: str) -> str:
    return str(repository.git("commit-tree", tree_name, "-m", "By hand"))


def blob(repository: Any, content: bytes) -> str:
    return str(repository.git("hash-object", "-w", "--stdin", given=content))


def test_neither_network_nor_key_is_needed(repository: Any) -> None:
    """Every way to reach anybody raises, and no variable holds a credential."""
    with socket.socket() as refusing, pytest.raises(AssertionError, match="was asked for"):
        refusing.connect(("localhost", 9))
    repository.edit("bot.yaml", "value: 20", "value: 10")
    for style in ("text", "json", "markdown"):
        repository("plan", "--offline", "--format", style)
        repository(*AGAINST_MAIN, "--format", style)


def test_a_link_out_of_the_root_is_not_followed(repository: Any, tmp_path: Path) -> None:
    """Neither an absolute one nor one that climbs; the mistake names the revision."""
    secret = tmp_path / "secret.yaml"
    secret.write_text("apiVersion: openlayer/v1\nkind: Project\nmetadata: {name: stolen}\nspec: {taskType: llm-base}\n")
    for name, target in (("absolute.yaml", str(secret)), ("climbing.yaml", "../" * 30 + str(secret)[1:])):
        (repository.folder / name).symlink_to(target)
    repository.commit()
    for name in ("absolute.yaml", "climbing.yaml"):
        (repository.folder / name).unlink()
    ended = repository(*AGAINST_MAIN, code=1)
    assert "main:absolute.yaml: a link leads out of the folder that is read" in ended.words
    assert "main:climbing.yaml: a link leads out of the folder that is read" in ended.words
    assert "stolen" not in ended.words


def test_a_link_inside_the_root_is_followed(repository: Any) -> None:
    """As in the working folder."""
    repository.write("elsewhere/care.txt", (repository.folder / "bot.yaml").read_text().replace("bot}", "care}"))
    (repository.folder / "care.yaml").symlink_to("elsewhere/care.txt")
    repository.commit()
    repository(*AGAINST_MAIN, "--detailed-exitcode")


@pytest.mark.parametrize("name", ["..", ".", "../up"])
def test_names_that_climb_are_refused(name: str, repository: Any) -> None:
    """A tree can be made by hand; git itself would never check it out."""
    inner = tree(repository, ("100644", "evil.yaml", blob(repository, b"a: 1\n")))
    commit = commit_of(repository, tree(repository, ("40000", name, inner)))
    with pytest.raises(UsageInvalid, match="cannot be a file"), taken_out(commit, (".",), root=repository.folder):
        pass


@pytest.mark.parametrize("link", ["sub", "SUB"])
def test_nothing_is_written_through_a_link(link: str, repository: Any, tmp_path: Path) -> None:
    """A link and a folder of the same name, for some file systems: what is in the folder would land behind the link."""
    inner = tree(repository, ("100644", "evil.yaml", blob(repository, b"a: 1\n")))
    target = blob(repository, os.fsencode(tmp_path))
    commit = commit_of(repository, tree(repository, ("120000", link, target), ("40000", "sub", inner)))
    with pytest.raises(UsageInvalid, match="cannot be a file"), taken_out(commit, (".",), root=repository.folder):
        pass
    assert list(tmp_path.iterdir()) == []


def test_no_filter_hook_or_text_conversion_runs(repository: Any, tmp_path: Path) -> None:
    """Whatever the repository has configured."""
    ran = tmp_path / "ran"
    repository.write(".gitattributes", "*.yaml filter=evil diff=evil\n")
    repository.commit()
    for name in ("filter.evil.smudge", "filter.evil.clean", "diff.evil.textconv", "core.fsmonitor", "core.sshCommand"):
        repository.git("config", name, f"touch {ran}; cat")
    hooks = repository.folder / ".git" / "hooks"
    for name in ("post-checkout", "post-index-change", "reference-transaction"):
        (hooks / name).write_text(f"#!/bin/sh\ntouch {ran}\n")
        (hooks / name).chmod(0o755)
    repository.edit("bot.yaml", "value: 20", "value: 10")
    assert "LOOSENED" in repository(*AGAINST_MAIN).out
    assert not ran.exists()


def test_the_working_folder_and_the_index_stay_as_they_are(repository: Any) -> None:
    """Nothing is checked out and nothing is left behind."""
    repository.edit("bot.yaml", "value: 20", "value: 10")
    index = (repository.folder / ".git" / "index").read_bytes()
    repository(*AGAINST_MAIN)
    assert (repository.folder / ".git" / "index").read_bytes() == index
    assert repository.git("status", "--porcelain").strip() == "M bot.yaml"
    with taken_out("main", (".",), root=repository.folder) as revision:
        folder = revision.root
        assert (folder / "bot.yaml").is_file()
    assert not folder.exists()


def test_a_partial_clone_fetches_nothing(repository: Any) -> None:
    """A blob that is not here would be fetched by git itself; it is an error that says so instead."""
    repository.git("config", "uploadpack.allowFilter", "true")
    repository.git("clone", "--quiet", "--filter=blob:none", "--no-checkout", f"file://{repository.folder}", "clone")
    clone = repository.folder / "clone"
    (clone / "bot.yaml").write_text((repository.folder / "bot.yaml").read_text())
    before = sorted(path.name for path in (clone / ".git" / "objects").rglob("*"))
    repository.folder = clone
    ended = repository(*AGAINST_MAIN, code=64)
    assert "git cannot list" in ended.words
    assert "git fetch --refetch --no-filter origin" in ended.words
    assert sorted(path.name for path in (clone / ".git" / "objects").rglob("*")) == before


def test_files_that_no_manifest_mentions_are_left_in_the_repository(repository: Any) -> None:
    """A repository is larger than its manifests."""
    repository.write("model.bin", "x" * 1000)
    repository.write("Makefile", "all:\n")
    repository.write("rows.csv", "a\n1\n")
    repository.commit()
    with taken_out("main", (".",), root=repository.folder, hints=["rows.csv"]) as revision:
        assert sorted(path.name for path in revision.root.iterdir()) == ["bot.yaml", "rows.csv"]


def test_an_enormous_manifest_is_a_problem_and_not_read(repository: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in the working folder: its size is said, its content never touched."""
    monkeypatch.setattr("reconciler.manifests.revision.MAX_CONTENT_BYTES", 9_000_000)
    (repository.folder / "huge.yaml").write_bytes(bytes(10_000_000))
    repository.commit()
    (repository.folder / "huge.yaml").unlink()
    ended = repository(*AGAINST_MAIN, code=1)
    assert "main:huge.yaml: the file has 10,000,000 bytes, more than 8,388,608" in ended.words


def test_a_submodule_is_somebody_elses(repository: Any) -> None:
    """It is passed over, as the loader passes over a folder that is empty."""
    commit = repository.git("rev-parse", "HEAD")
    listed = repository.git("ls-tree", "HEAD")
    made = repository.git("mktree", given=f"{listed}\n160000 commit {commit}\tmodule\n".encode())
    with taken_out(commit_of(repository, made), (".",), root=repository.folder) as revision:
        assert [path.name for path in revision.root.iterdir()] == ["bot.yaml"]
