"""A saved plan is looked at without a platform, without a key, and without applying it."""

from __future__ import annotations

import json
from typing import Any

import pytest


@pytest.fixture
def saved(bot: Any, platform: Any) -> Any:
    """A plan in ``plan.json``: a test is loosened, another one is new; nothing of the platform can be had any more."""
    bot("apply", "--yes")
    bot.edit("bot.yaml", "value: 2}]", "value: 1}]")
    bot.edit("bot.yaml", "- name: Answers are short", "- name: Answers are brief")
    bot("plan", "--out", "plan.json")
    platform.seen.clear()
    return bot


def alone(cli: Any, *arguments: str, code: int = 0) -> Any:
    """The command without a key, and in an environment that nobody declared."""
    return cli("show", *arguments, code=code, OPENLAYER_API_KEY="", RECONCILER_ENV="nobodys")


def without_siblings(planned: str) -> str:
    """What a plan says, but for the rest of a threshold that changes: that is of the manifests, and not of the file."""
    planned = planned.replace('<span class="t-dim">  (metrics rowCount &gt;=)</span>', "")
    return planned.replace("  (metrics rowCount >=)", "").replace(" (metrics rowCount >=)", "")


@pytest.mark.parametrize("form", ["text", "json", "markdown", "html"])
def test_it_is_shown_as_it_was_planned(form: str, saved: Any, platform: Any) -> None:
    planned = saved("plan", "--format", form).out
    platform.seen.clear()
    (saved.folder / "bot.yaml").unlink()
    assert alone(saved, "plan.json", "--format", form).out == without_siblings(planned)
    assert "LOOSENED" in planned or "loosened" in planned
    assert platform.seen == []


def test_one_with_refusals_is_shown_all_the_same(saved: Any) -> None:
    planned = saved("plan", "--deny", "loosened", "--out", "plan.json", code=3).out
    assert "denied here" in planned
    assert alone(saved, "plan.json").out == without_siblings(planned)


def test_a_replay_is_shown_again(saved: Any) -> None:
    planned = saved("plan", "--replay", "30d", "--out", "plan.json").out
    assert alone(saved, "plan.json").out == without_siblings(planned)


def test_its_commands_name_its_environment(bot: Any) -> None:
    bot.write(
        "staging.yaml",
        """
        apiVersion: reconciler/v1
        kind: Environment
        metadata: {name: staging}
        spec: {policy: {require: [loosen]}}
        """,
    )
    bot("apply", "--yes", "--env", "staging")
    bot.edit("bot.yaml", "value: 2}]", "value: 1}]")
    planned = bot("plan", "--env", "staging", "--out", "plan.json", code=3).out
    assert alone(bot, "plan.json").out == without_siblings(planned)


@pytest.mark.parametrize(
    ("content", "told", "code"),
    [
        (None, "plan.json: No such file or directory", 1),
        ("{", "plan.json: not a plan file", 1),
        ("[]", "plan.json: not a plan file", 1),
        ("{}", "plan.json: not a plan file", 1),
    ],
)
def test_what_is_no_plan_is_refused(content: str | None, told: str, code: int, saved: Any) -> None:
    (saved.folder / "plan.json").unlink()
    if content is not None:
        saved.write("plan.json", content)
    ended = alone(saved, "plan.json", code=code)
    assert told in ended.words
    assert "--plan" not in ended.words
    assert ended.out == ""


def test_what_was_changed_since_is_refused(saved: Any) -> None:
    plan = json.loads((saved.folder / "plan.json").read_text())
    plan["steps"][0]["reason"] = "nothing to see here"
    saved.write("plan.json", json.dumps(plan))
    assert "the plan file was changed after it was made" in alone(saved, "plan.json", code=6).words
