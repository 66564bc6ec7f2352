"""A saved plan is applied once, as it was shown, or not at all."""

from __future__ import annotations

import json
import stat
from typing import Any

import pytest


@pytest.fixture
def saved(bot: Any, platform: Any) -> Any:
    """The project applied, a change in the manifests, and a plan for it in ``plan.json``."""
    bot("apply", "--yes")
    bot.edit("bot.yaml", "value: 2}]", "value: 3}]")
    bot("plan", "--out", "plan.json")
    platform.seen.clear()
    return bot


def is_refused(cli: Any, platform: Any, *sentences: str, arguments: tuple[str, ...] = ()) -> None:
    """Exit 6 naming what moved, without a write."""
    before = len(platform.writes)
    ended = cli("apply", "--plan", "plan.json", *arguments, code=6)
    for sentence in sentences:
        assert sentence in ended.words
    assert len(platform.writes) == before


def test_a_saved_plan_is_applied(saved: Any, platform: Any) -> None:
    """As it was saved, without asking, and only for the owner's eyes."""
    assert stat.S_IMODE((saved.folder / "plan.json").stat().st_mode) == 0o600
    assert "Apply: 1 done.  (1 updated)" in saved("apply", "--plan", "plan.json").out
    assert platform.tests("bot")["Rows arrive"]["thresholds"][0]["value"] == 3
    saved("plan", "--detailed-exitcode")


def test_a_plan_for_nothing_yet_is_applied(bot: Any) -> None:
    """A first plan, made without any state."""
    bot("plan", "--out", "plan.json")
    assert "Apply: 5 done." in bot("apply", "--plan", "plan.json").out
    bot("plan", "--detailed-exitcode")


def test_a_plan_is_applied_once(saved: Any, platform: Any) -> None:
    """The second time it is refused as what it is."""
    saved("apply", "--plan", "plan.json")
    is_refused(saved, platform, "this plan was applied already")


def test_a_first_plan_is_applied_once(bot: Any, platform: Any) -> None:
    """Also one that was made without any state."""
    bot("plan", "--out", "plan.json")
    bot("apply", "--plan", "plan.json")
    is_refused(bot, platform, "this plan was applied already")


def test_somebody_changed_the_platform(saved: Any, platform: Any) -> None:
    """The test that moved is named."""
    item = platform.tests("bot")["Rows arrive"]
    thresholds = [{key: value for key, value in row.items() if value is not None} for row in item["thresholds"]]
    platform.api("PUT", f"/tests/{item['id']}", {"thresholds": [{**thresholds[0], "value": 9}]})
    moved = "openlayer.Test/bot/monitoring/Rows arrive: somebody changed it at the platform"
    is_refused(saved, platform, "the world has moved since this plan was made", moved)


def test_another_drift_than_planned_needs_a_new_plan(saved: Any, platform: Any) -> None:
    """A step that is needed now and was not then."""
    live = platform.pipelines("bot")["canary"]
    platform.api("PUT", f"/inference-pipelines/{live['id']}", {"description": "By hand"})
    is_refused(saved, platform, "openlayer.InferencePipeline/bot/canary: update is needed now")


def test_another_apply_came_first(saved: Any, platform: Any) -> None:
    """The state has moved on."""
    saved("apply", "--yes")
    is_refused(saved, platform, "the state: it was at serial", "update is not needed any more")


def test_the_manifests_changed(saved: Any, platform: Any) -> None:
    """What would be applied is not what was shown."""
    saved.edit("bot.yaml", "value: 3}]", "value: 4}]")
    is_refused(saved, platform, "the manifests, or the variables they use")


def test_another_platform(saved: Any, platform: Any) -> None:
    """A plan for one platform is not for another; nothing is asked there."""
    platform.seen.clear()
    ended = saved("apply", "--plan", "plan.json", code=1, OPENLAYER_BASE_URL="http://localhost:9/v1")
    assert "belongs to" in ended.err
    assert platform.seen == []


def test_a_plan_edited_by_hand(saved: Any, platform: Any) -> None:
    """Whatever was changed in it."""
    plan = json.loads((saved.folder / "plan.json").read_text())
    plan["steps"][0]["changes"][0]["after"] = 0
    (saved.folder / "plan.json").write_text(json.dumps(plan))
    is_refused(saved, platform, "the plan file was changed after it was made")
    assert platform.seen == []


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", "not json", '{"basis": 7}', '{"basis": {"options": {}}, "steps": []}']
)
def test_no_plan_at_all(content: str, saved: Any, platform: Any) -> None:
    """One sentence, exit 6."""
    (saved.folder / "plan.json").write_text(content)
    is_refused(saved, platform, "error: ")
    assert platform.seen == []


def test_a_plan_that_was_cut_short_is_finished(saved: Any, platform: Any) -> None:
    """``--resume`` goes on with the steps that are left; without it the plan is stale."""
    saved.edit("bot.yaml", "value: 100", "value: 90")
    saved.edit("bot.yaml", "A tenth of", "A fifth of")
    saved("plan", "--out", "plan.json")
    platform.fail({"method": "PUT", "path": "/v1/projects/*/tests", "nth": 1, "action": "status", "status": 422})
    platform.fail({"method": "PUT", "path": "/v1/inference-pipelines/*", "action": "status", "status": 422})
    saved("apply", "--plan", "plan.json", code=4)
    platform.fail()
    is_refused(saved, platform, "the state: it was at serial")
    saved("apply", "--plan", "plan.json", "--resume")
    saved("plan", "--detailed-exitcode")
    is_refused(saved, platform, "this plan was applied already", arguments=("--resume",))


def test_detailed_exit_codes(bot: Any) -> None:
    """0 nothing to do, 2 changes, and 0 for changes where nobody asked."""
    bot("plan", "--detailed-exitcode", code=2)
    bot("plan", code=0)
    bot("apply", "--yes")
    bot("plan", "--detailed-exitcode", code=0)
