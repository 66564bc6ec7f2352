"""Schemas are found by what a document says, by what a plan says, and by their files' names."""

from __future__ import annotations

from typing import Any

import pytest

NAMES = ["digitalocean.Workspace", "openlayer.Project", "openlayer.TestSet", "reconciler.Environment", "reconciler.Pin"]


def test_without_a_kind_all_are_named_and_each_name_finds_its_schema(cli: Any) -> None:
    assert cli("schema").out.splitlines() == NAMES
    for name in NAMES:
        assert cli("schema", name).out.startswith("{")


@pytest.mark.parametrize("name", ["Project", "project", "openlayer.Project", "openlayer.v1.project.json"])
def test_a_kind_has_several_names(name: str, cli: Any) -> None:
    assert '"title": "openlayer/v1 Project"' in cli("schema", name).out


def test_writing_takes_all_or_the_one_that_is_named(cli: Any) -> None:
    assert cli("schema", "openlayer.TestSet", "--write", "one").out == "+ one/openlayer.v1.testset.json\n"
    assert [path.name for path in (cli.folder / "one").iterdir()] == ["openlayer.v1.testset.json"]
    printed = cli("schema", "TestSet").out
    assert (cli.folder / "one/openlayer.v1.testset.json").read_text(encoding="utf-8") == printed
    assert len(cli("schema", "--write", "all").out.splitlines()) == len(NAMES)


@pytest.mark.parametrize("arguments", [["Test"], ["openlayer.Test", "--write", "x"], [""]])
def test_what_is_no_document_has_no_schema_and_nothing_is_written(arguments: list[str], cli: Any) -> None:
    told = cli("schema", *arguments, code=64)
    assert f"there is no schema of {arguments[0]}" in told.words
    assert f"there are: {', '.join(NAMES)}" in told.words
    assert not (cli.folder / "x").exists()
