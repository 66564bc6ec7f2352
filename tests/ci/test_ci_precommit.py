"""Our hooks, run by pre-commit itself in a repository with manifests and with other YAML."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.ci.conftest import ROOT, WITHOUT_INDEX, commit, git

Doc = dict[str, Any]
MANIFEST = """apiVersion: openlayer/v1
kind: Project
metadata:
  name: bot
spec:
  taskType: llm-base
"""
HOOKS: list[Doc] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "repository"
    (folder / ".github/workflows").mkdir(parents=True)
    (folder / ".github/workflows/ci.yml").write_text("on:   push\n", encoding="utf-8")
    (folder / "bot.yaml").write_text(MANIFEST, encoding="utf-8")
    git(folder, "init", "-q", "-b", "main")
    commit(folder, "one")
    return folder


def _pre_commit(repository: Path, tools: str, *arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    variables = {"PATH": tools, "HOME": str(repository.parent), "PYTHONPATH": str(ROOT), **environ}
    return subprocess.run(
        [sys.executable, "-m", "pre_commit", *arguments],
        cwd=repository, env=variables, capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=300,
    )  # fmt: skip


@pytest.fixture
def run(repository: Path, tools: str) -> Any:
    """Runs a hook as declared, but with the ``reconciler`` that is there, and ``args`` of the user's."""

    def started(hook: str, *args: str, files: tuple[str, ...] = ("--all-files",)) -> subprocess.CompletedProcess[str]:
        declared = next(each for each in HOOKS if each["id"] == hook)
        local = {"repo": "local", "hooks": [declared | {"language": "system", "args": list(args)}]}
        (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [local]}), encoding="utf-8")
        git(repository, "add", "-A")
        return _pre_commit(repository, tools, "run", *files)

    return started


def test_manifests_in_order_pass_both_hooks(run: Any) -> None:
    """What hidden folders hold is no manifest."""
    for hook in ("reconciler-validate", "reconciler-fmt"):
        done = run(hook)
        assert done.returncode == 0, done.stdout
        assert "Passed" in done.stdout


def test_a_mistake_stops_the_commit_and_says_where(run: Any, repository: Path) -> None:
    """Also one in a file that is not of the commit: manifests refer to each other."""
    (repository / "wrong.yaml").write_text(MANIFEST.replace("name: bot", "nam: bot"), encoding="utf-8")
    done = run("reconciler-validate", files=("--files", "bot.yaml"))
    assert done.returncode == 1
    assert "wrong.yaml:4:3" in done.stdout


def test_the_formatter_rewrites_and_stops_the_commit(run: Any, repository: Path) -> None:
    (repository / "bot.yaml").write_text(MANIFEST.replace("name: bot", "name:    bot"), encoding="utf-8")
    done = run("reconciler-fmt")
    assert done.returncode == 1
    assert "files were modified by this hook" in done.stdout
    assert (repository / "bot.yaml").read_text(encoding="utf-8") == MANIFEST
    assert (repository / ".github/workflows/ci.yml").read_text(encoding="utf-8") == "on:   push\n"


def test_args_name_the_folders_with_manifests(run: Any, repository: Path) -> None:
    """So that other YAML of the repository is left alone."""
    (repository / "manifests").mkdir()
    (repository / "bot.yaml").rename(repository / "manifests/bot.yaml")
    (repository / "docker-compose.yml").write_text("services: {}\n", encoding="utf-8")
    assert run("reconciler-validate").returncode == 1
    assert run("reconciler-validate", "manifests").returncode == 0


def test_a_commit_without_yaml_runs_nothing(run: Any, repository: Path) -> None:
    (repository / "README.md").write_text("", encoding="utf-8")
    assert "Skipped" in run("reconciler-validate", files=("--files", "README.md")).stdout


def test_the_hooks_install_from_this_repository(repository: Path, tools: str, tmp_path: Path) -> None:
    """As pre-commit does it: cloned at a commit, and built with pip into an environment of its own."""
    clone = tmp_path / "tool"
    shutil.copytree(ROOT / "reconciler", clone / "reconciler", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE", ".pre-commit-hooks.yaml"):
        shutil.copy(ROOT / name, clone)
    git(clone, "init", "-q")
    commit(clone, "one")
    revision = git(clone, "rev-parse", "HEAD").strip()
    hooks = {"repo": str(clone), "rev": revision, "hooks": [{"id": each["id"]} for each in HOOKS]}
    (repository / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [hooks]}), encoding="utf-8")
    git(repository, "add", "-A")
    without_ours = tools.partition(os.pathsep)[2]
    done = _pre_commit(repository, without_ours, "run", "--all-files", **WITHOUT_INDEX)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Passed") == 2
