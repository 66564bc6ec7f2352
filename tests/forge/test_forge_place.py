"""Which pull or merge request a run is about, and whether it comes from somebody else's copy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from reconciler.errors import UsageInvalid
from reconciler.pipeline.commenting import Place, find_place
from reconciler.settings import Settings

ACTIONS = {"GITHUB_ACTIONS": "true", "GITHUB_REPOSITORY": "acme/bots"}
MERGE = {"GITLAB_CI": "true", "CI_PROJECT_ID": "42", "CI_MERGE_REQUEST_IID": "12"}


def _sides(head: str | None, base: str = "acme/bots") -> dict[str, Any]:
    return {
        "number": 12,
        "head": {"repo": {"full_name": head} if head else None},
        "base": {"repo": {"full_name": base}},
    }


def _place(tmp_path: Path, event: Any, number: int | None = None) -> Place:
    file = tmp_path / "event.json"
    file.write_text(event if isinstance(event, str) else json.dumps(event), encoding="utf-8")
    return find_place(Settings.from_environ({**ACTIONS, "GITHUB_EVENT_PATH": str(file)}), number)


@pytest.mark.parametrize(
    ("event", "from_fork"),
    [
        ({"pull_request": _sides("acme/bots")}, False),
        ({"pull_request": _sides("someone/bots")}, True),
        ({"pull_request": _sides(None)}, True),
        ({"issue": {"number": 12, "pull_request": {"url": "x"}}}, None),
    ],
)
def test_github_tells_the_number_and_where_it_comes_from(tmp_path: Path, event: Any, from_fork: bool | None) -> None:
    assert _place(tmp_path, event) == Place("github", "acme/bots", 12, from_fork)


@pytest.mark.parametrize(
    "event",
    [
        {},
        {"issue": {"number": 12}},
        {"pull_request": None},
        {"pull_request": {"number": "12"}},
        [],
        "not json",
        "[" * 10**6,
    ],
)
def test_a_run_without_a_pull_request_says_what_to_do(tmp_path: Path, event: Any) -> None:
    with pytest.raises(UsageInvalid) as caught:
        _place(tmp_path, event)
    assert "--pull N" in caught.value.hint


def test_a_number_goes_before_the_event(tmp_path: Path) -> None:
    assert _place(tmp_path, {"pull_request": _sides("someone/bots")}, 13) == Place("github", "acme/bots", 13, None)


@pytest.mark.parametrize("name", ["", "acme", "acme/", "/bots", "a/b/c"])
def test_a_repository_is_an_owner_and_a_name(name: str) -> None:
    with pytest.raises(UsageInvalid, match="GITHUB_REPOSITORY"):
        find_place(Settings.from_environ({**ACTIONS, "GITHUB_REPOSITORY": name}), 12)


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({}, Place("gitlab", "42", 12, None)),
        (
            {"CI_MERGE_REQUEST_PROJECT_ID": "42", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "42"},
            Place("gitlab", "42", 12, False),
        ),
        (
            {"CI_PROJECT_ID": "99", "CI_MERGE_REQUEST_PROJECT_ID": "42", "CI_MERGE_REQUEST_SOURCE_PROJECT_ID": "99"},
            Place("gitlab", "42", 12, True),
        ),
    ],
)
def test_gitlab_comments_where_the_merge_request_lies(more: dict[str, str], expected: Place) -> None:
    """In a fork's pipeline the project is the fork, and the merge request lies in the one that it is made to."""
    assert find_place(Settings.from_environ({**MERGE, **more}), None) == expected


def test_a_branch_pipeline_has_no_merge_request() -> None:
    with pytest.raises(UsageInvalid, match="no merge request"):
        find_place(Settings.from_environ({**MERGE, "CI_MERGE_REQUEST_IID": ""}), None)


def test_by_hand_the_variables_say_which_forge_it_is() -> None:
    assert find_place(Settings.from_environ({"GITHUB_REPOSITORY": "acme/bots"}), 3).forge == "github"
    assert find_place(Settings.from_environ({"CI_PROJECT_ID": "42"}), 3).forge == "gitlab"
    with pytest.raises(UsageInvalid, match="nobody told where"):
        find_place(Settings.from_environ({}), 3)
