"""What a change of thresholds means, as the command line says it: denied, replayed, pinned, suggested."""

from __future__ import annotations

import json
from typing import Any

LOOSER = ("value: 100", "value: 200")


def test_a_denied_loosening_is_exit_3_and_names_the_line(bot: Any, platform: Any) -> None:
    """``--deny loosened`` on plan and apply; an acknowledgement does not help; a tightening passes."""
    bot("apply", "--yes")
    bot.edit("bot.yaml", *LOOSER)
    platform.seen.clear()
    for command in ("plan", "apply"):
        more = ("--yes",) if command == "apply" else ()
        ended = bot(command, "--deny", "loosened", "--deny", "moved", "--ack", "loosen=1", *more, code=3)
        assert "(bot.yaml:22)" in ended.words
        assert "thresholds.0.value 100 -> 200: loosened, which is denied here" in ended.words
    assert platform.writes == []
    bot.edit("bot.yaml", "value: 200", "value: 50")
    bot("apply", "--yes", "--deny", "loosened")


def test_what_the_environment_denies_no_option_allows(bot: Any) -> None:
    """``policy: {deny: [loosened]}``, in the plan and in its JSON."""
    environment = (
        "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: prod}\nspec: {policy: {deny: [loosened]}}\n"
    )
    bot.write("prod.yaml", environment)
    bot("apply", "--env", "prod", "--yes")
    bot.edit("bot.yaml", *LOOSER)
    ended = bot("plan", "--env", "prod", "--ack", "loosen=1", "--format", "json", code=3)
    (refusal,) = json.loads(ended.out)["refusals"]
    assert refusal["source"] == {"file": "bot.yaml", "line": 22}
    assert "denied" in refusal["reason"]


def test_a_saved_plan_keeps_what_it_was_denied(bot: Any) -> None:
    """The options of a saved plan, and those of the command that applies it, count both."""
    bot("apply", "--yes")
    bot.edit("bot.yaml", *LOOSER)
    bot("plan", "--out", "plan.json")
    assert "denied" in bot("apply", "--plan", "plan.json", "--deny", "loosened", code=6).words
