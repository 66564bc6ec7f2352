"""A command that a message names works as it stands: with the environment that was worked on."""

from __future__ import annotations

from typing import Any

import pytest

from reconciler.cli.next_commands import in_environment

STAGING = "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: staging}\nspec: {}\n"


@pytest.fixture
def staging(bot: Any) -> Any:
    """The project applied to an environment of its own."""
    bot.write("staging.yaml", STAGING)
    bot("apply", "--env", "staging", "--yes")
    return bot


def test_what_is_left_to_wait_for(staging: Any, platform: Any) -> None:
    """The command on the screen waits for the results of this environment."""
    platform.fail({"method": "GET", "path": "/v1/tests/*/results", "action": "delay", "seconds": 0.1})
    ended = staging("evaluate", "--env", "staging", "--no-wait")
    assert ended.out.endswith("to wait for the results: reconciler evaluate --env staging --resume\n")


def test_what_an_error_advises(staging: Any, platform: Any) -> None:
    """Whatever part of ours it comes from."""
    ended = staging("state", "rm", "nothing", "--env", "staging", code=64)
    assert "hint: see: reconciler state list --env staging\n" in ended.err
    staging("plan", "--env", "staging", "--out", "plan.json")
    staging("apply", "--env", "staging", "--plan", "plan.json")
    ended = staging("apply", "--env", "staging", "--plan", "plan.json", code=6)
    assert "reconciler plan --env staging --out plan.json" in ended.words
    platform.renew()
    ended = staging("plan", "--env", "staging", "--report", "markdown=plan.md", code=1)
    assert "reconciler state rm --env staging" in (staging.folder / "plan.md").read_text()
    assert "looks like an outage" in ended.words
    assert "reconciler state rm --env staging 'ADDRESS' (a glob works)" in ended.words


def test_what_a_saved_plan_advises(staging: Any) -> None:
    """It says itself which environment it was made for."""
    staging.edit("bot.yaml", "value: 100", "value: 120")
    staging("plan", "--env", "staging", "--out", "plan.json")
    staging("apply", "--plan", "plan.json")
    ended = staging("apply", "--plan", "plan.json", code=6)
    assert "hint: make a new one: reconciler plan --env staging --out plan.json" in ended.words


def test_what_a_plan_advises(staging: Any) -> None:
    """On paper as on the screen; the JSON is the plan as it was made, whoever reads it."""
    staging.edit("bot.yaml", "- name: live", "- {name: live, lifecycle: {protect: true}}")
    staging("apply", "--env", "staging", "--yes")
    ended = staging("destroy", "--env", "staging", "--yes", "--report", "markdown=plan.md", code=3)
    address = "openlayer.Project/bot"
    assert f"give up all of bot without touching it: reconciler state rm --env staging '{address}'" in ended.words
    assert "reconciler state rm --env staging" in " ".join((staging.folder / "plan.md").read_text().split())
    assert (
        f"reconciler state rm '{address}'"
        in staging("destroy", "--env", "staging", "--yes", "--format", "json", code=3).out
    )


def test_what_a_refused_destroy_advises(staging: Any, platform: Any) -> None:
    """Given up alone, what is protected would stop the deletion of its project as somebody else's."""
    staging.edit("bot.yaml", "- name: live", "- {name: live, lifecycle: {protect: true}}")
    staging("apply", "--env", "staging", "--yes")
    ended = staging("destroy", "--env", "staging", "--yes", code=3)
    assert "hint: settle what the plan refuses, then destroy again" in ended.words
    before = platform.everything()
    staging("state", "rm", "--env", "staging", "openlayer.Project/bot")
    staging("destroy", "--env", "staging", "--yes")
    assert platform.everything() == before


def test_without_an_environment_nothing_is_added(bot: Any) -> None:
    assert "hint: see: reconciler state list\n" in bot("state", "rm", "nothing", code=64).err


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("see: reconciler state mv", "see: reconciler state mv --env 'my own'"),
        (
            "at a new address: reconciler state move-origin",
            "at a new address: reconciler state move-origin --env 'my own'",
        ),
        (
            "free it: reconciler state unlock 5f0c27d3a9b1",
            "free it: reconciler state unlock 5f0c27d3a9b1 --env 'my own'",
        ),
        ("reconciler status --format json tells ids", "reconciler status --env 'my own' --format json tells ids"),
        ("name another folder: reconciler init DIR", "name another folder: reconciler init DIR"),
        ("use another --env: reconciler plan", "use another --env: reconciler plan"),
        ("what reconciler planned", "what reconciler planned"),
    ],
)
def test_only_commands_that_know_an_environment_are_given_it(text: str, told: str) -> None:
    """Quoted for a shell, and not where one is named already."""
    assert in_environment(text, "my own") == told
