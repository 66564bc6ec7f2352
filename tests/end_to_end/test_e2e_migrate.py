"""A state is brought to another place, with its history, and the former place is closed behind it."""

from __future__ import annotations

import fcntl
import json
import shutil
import uuid
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(params=["folder", "s3", "http", "postgres"])
def elsewhere(request: pytest.FixtureRequest, bot: Any) -> str:
    """An address where nothing is kept yet."""
    if request.param == "folder":
        return "kept/here"
    if request.param == "s3":
        bot.environ.update(request.getfixturevalue("s3_environ"))
        return f"s3://states/{uuid.uuid4().hex}"
    if request.param == "http":
        bot.environ.update(request.getfixturevalue("terraform_environ"))
        return f"{request.getfixturevalue('terraform_server').url}/states/production"
    postgres = request.getfixturevalue("postgres")
    bot.environ.update(postgres.environ)
    return str(postgres.url)


def keep_at(cli: Any, url: str) -> None:
    cli.write(
        "production.yaml",
        f"""
        apiVersion: reconciler/v1
        kind: Environment
        metadata: {{name: production}}
        spec:
          state: {{url: "{url}"}}
        """,
    )


@pytest.fixture
def production(bot: Any) -> Any:
    """Applied and measured, with the state in the folder ``first``."""
    keep_at(bot, "first")
    bot.environ["RECONCILER_ENV"] = "production"
    bot("apply", "--yes")
    bot("status", code=5)
    return bot


def known(cli: Any) -> Any:
    return json.loads(cli("state", "list", "--format", "json").out)["entries"]


def observed(cli: Any) -> Any:
    return json.loads(cli("history", "--format", "json").out)["observations"]


def test_everything_is_known_at_the_new_place_and_back_again(production: Any, platform: Any, elsewhere: str) -> None:
    entries, history, before = known(production), observed(production), platform.everything()
    assert len(entries) == 5
    keep_at(production, elsewhere)
    moved = production("state", "migrate", "first").words
    assert "Moved: 5 resources" in moved
    assert "At the platform nothing changed." in moved
    assert (known(production), observed(production)) == (entries, history)
    assert "No changes" in production("apply", "--yes").words
    shutil.rmtree(production.folder / "first")
    keep_at(production, "first")
    assert "Moved: 5 resources" in production("state", "migrate", elsewhere).words
    assert (known(production), observed(production)) == (entries, history)
    assert platform.everything() == before


def test_a_branch_that_is_behind_is_refused_at_the_former_place(production: Any, platform: Any) -> None:
    """It would take the platform for something that was never applied, and part of it for its own to make anew."""
    keep_at(production, "second")
    production("state", "migrate", "first")
    keep_at(production, "first")
    before = platform.everything()
    for command in (["plan"], ["apply", "--yes", "--adopt"], ["destroy", "--yes"], ["state", "list"]):
        refused = production(*command, code=1).words
        assert "production.state.json: the state was moved to" in refused
        assert "second/production.state.json" in refused
        assert "this checkout may be behind" in refused
    assert platform.everything() == before


def test_one_that_was_killed_in_between_is_repeated(production: Any) -> None:
    """The new place had everything; the former one did not say so yet."""
    folder: Path = production.folder
    shutil.copytree(folder / "first", folder / "as it was")
    entries = known(production)
    keep_at(production, "second")
    production("state", "migrate", "first")
    shutil.rmtree(folder / "first")
    (folder / "as it was").rename(folder / "first")
    assert "Moved: 5 resources" in production("state", "migrate", "first").words
    assert "moved to" in production("state", "migrate", "first", code=1).words
    assert known(production) == entries


def test_a_place_with_a_state_of_its_own_is_left_as_it_is(production: Any) -> None:
    keep_at(production, "second")
    production("apply", "--yes", "--adopt")
    production("state", "rm", "openlayer.Test/bot/monitoring/*")
    left = known(production)
    refused = production("state", "migrate", "first", code=64).words
    assert f"second/production.state.json has a state of its own, of {len(left)} resources" in refused
    assert known(production) == left
    keep_at(production, "first")
    assert len(known(production)) == 5


def test_where_there_is_nothing_to_bring_nothing_is_made(production: Any) -> None:
    refused = production("state", "migrate", "frist", code=64).words
    assert "no state of the environment production is at" in refused
    assert not (production.folder / "frist").exists()
    assert "is where the state is" in production("state", "migrate", "first", code=64).words
    assert "cannot be used" in production("state", "migrate", "ftp://host/x", code=1).words


def test_somebody_at_work_at_the_former_place_is_waited_for(production: Any) -> None:
    keep_at(production, "second")
    with (production.folder / "first" / "production.lock").open("r+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert "another run holds the lock" in production("state", "migrate", "first", code=6).words
    assert "Moved: 5 resources" in production("state", "migrate", "first", "--lock-timeout", "5s").words
