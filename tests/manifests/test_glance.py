"""What is told of a run before its manifests are parsed: exactly what a load finds out, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.manifests.validator import MOST_AT_A_GLANCE, Glance, glance, load, sources_of
from reconciler.providers import VENDORS

PROJECT = "apiVersion: openlayer/v1\nkind: Project\nmetadata: {name: p}\nspec: {taskType: llm-base}\n"
WORKSPACE = "apiVersion: digitalocean/v1\nkind: Workspace\nmetadata: {name: w}\nspec: {}\n"
STAGING = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: staging}
spec:
  apiKey: {fromEnv: "OPENLAYER_API_KEY_${var.who}"}
  state: {url: s3://acme/state}
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "p.yaml").write_text(PROJECT)
    return tmp_path


def at_a_glance(folder: Path, environment: str | None = None, **variables: str) -> Glance | None:
    return glance(
        sources_of((".",), folder),
        root=folder,
        vendors=VENDORS,
        environment=environment,
        variables=variables,
        environ_variables={},
    )


def vendors_of(folder: Path) -> list[str]:
    found = at_a_glance(folder)
    assert found is not None
    assert found.environment is None
    return [vendor.name for vendor in found.vendors]


def test_the_environment_is_the_one_that_a_load_chooses(folder: Path) -> None:
    (folder / "environments.yaml").write_text(f"{STAGING}---\n{STAGING.replace('staging', 'production')}")
    found = at_a_glance(folder, "staging", who="ME")
    loaded = load([], root=folder, vendors=VENDORS, environment="staging", variables={"who": "ME"})
    assert found is not None
    assert found.environment == loaded.environment
    assert found.environment is not None
    assert found.environment.api_key is not None
    assert found.environment.api_key.from_env == "OPENLAYER_API_KEY_ME"


@pytest.mark.parametrize(
    ("environment", "more"),
    [
        (None, STAGING.replace("${var.who}", "ME")),  # none is named
        ("prod", STAGING.replace("${var.who}", "ME")),
        ("staging", STAGING),  # the variable is not given
        ("staging", STAGING.replace("${var.who}", "ME") + "  colour: blue\n"),
        ("staging", STAGING.replace("${var.who}", "ME") + "---\n" + STAGING.replace("${var.who}", "YOU")),
        ("staging", STAGING.replace("${var.who}", "ME") + "---\n{Environment"),
        ("staging", STAGING.replace("${var.who}", "ME").replace("Environment", r'"\x45nvironment"')),
        ("staging", STAGING.replace("${var.who}", "ME") + "#" * MOST_AT_A_GLANCE),
    ],
)
def test_what_is_wrong_or_takes_longer_is_left_to_the_load(folder: Path, environment: str | None, more: str) -> None:
    (folder / "e.yaml").write_text(more)
    assert at_a_glance(folder, environment) is None


def test_a_file_that_can_not_be_read_is_left_to_the_load(folder: Path) -> None:
    (folder / "link.yaml").symlink_to("/nowhere")
    assert at_a_glance(folder) is None


def test_vendors_are_those_whose_documents_begin_a_file(folder: Path) -> None:
    assert vendors_of(folder) == ["openlayer"]
    (folder / "w.yaml").write_text(f"# Ours\n---\n{WORKSPACE}")
    assert vendors_of(folder) == ["openlayer", "digitalocean"]


@pytest.mark.parametrize(
    "text",
    [
        PROJECT.replace("kind: Project", "kind: TestSet"),  # it may apply to nothing
        PROJECT.replace("kind: Project", "kind:  Project"),
        "apiVersion: reconciler/v1\nkind: Pin\nmetadata: {name: p}\nspec: {}\n",
    ],
)
def test_a_vendor_of_which_nothing_is_declared_for_sure_does_not_count(folder: Path, text: str) -> None:
    (folder / "p.yaml").write_text(text)
    assert vendors_of(folder) == []
