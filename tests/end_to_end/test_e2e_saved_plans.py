"""A saved plan is applied once, as it was shown, or not at all."""

from __future__ import annotations

import base64
import hashlib
import json
import shutil
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


def state_of(cli: Any) -> dict[str, Any]:
    return dict(json.loads((cli.folder / ".reconciler/default.state.json").read_text()))


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


@pytest.mark.parametrize(
    "arguments",
    [("nonexist",), (".",), ("--select", "x"), ("--adopt",), ("--ack", "loosen=7")],
    ids=lambda arguments: arguments[0],
)
def test_what_a_plan_says_itself_is_not_said_again(arguments: tuple[str, ...], saved: Any, platform: Any) -> None:
    """It was shaped by these when it was made; with others it would be another plan."""
    ended = saved("apply", "--plan", "plan.json", *arguments, code=64)
    given = arguments[0] if arguments[0].startswith("--") else "PATH"
    assert f"--plan and {given} do not go together" in ended.words
    assert platform.seen == []


def test_what_is_asked_of_an_apply_goes_with_a_plan(saved: Any) -> None:
    """How to carry it out, whom to tell, and what to do afterwards."""
    how = ("--yes", "--parallelism", "2", "--lock-timeout", "1s", "--events", "events", "--report", "text=report.txt")
    saved("apply", "--plan", "plan.json", *how, "--deny", "loosened", "--evaluate", "--since", "1d", code=5)


def test_a_plan_that_was_made_before_it_is_denied(saved: Any, platform: Any) -> None:
    """Nothing has moved: it is refused by the rule, as a plan made now would be."""
    saved.edit("bot.yaml", "value: 3}]", "value: 1}]")
    saved("plan", "--out", "plan.json")
    ended = saved("apply", "--plan", "plan.json", "--deny", "loosened", code=3)
    assert "which is denied here" in ended.words
    assert "moved" not in ended.words
    assert platform.writes == []


def test_a_saved_plan_is_applied_without_a_question_on_a_terminal_too(saved: Any) -> None:
    """It was looked at when it was saved; the help says so."""
    terminal = saved.sit_down("apply", "--plan", "plan.json")
    assert terminal.ends(30) == 0
    assert "[y/N]" not in terminal.screen
    assert "Asks first, unless told --yes, or given a saved --plan" in saved("apply", "--help").words


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
    """What it would do is done."""
    saved("apply", "--yes")
    is_refused(saved, platform, "openlayer.Test/bot/monitoring/Rows arrive: update is not needed any more")


def test_nights_of_measuring_come_between(saved: Any, platform: Any) -> None:
    """A plan that waits for its approval outlives evaluations: they write to the state, and change nothing of ours."""
    serial = state_of(saved)["serial"]
    saved("evaluate", "--since", "1d", code=5)
    assert state_of(saved)["serial"] > serial
    assert "Apply: 1 done.  (1 updated)" in saved("apply", "--plan", "plan.json").out
    assert platform.tests("bot")["Rows arrive"]["thresholds"][0]["value"] == 3


def test_an_apply_of_something_else_comes_between(bot: Any) -> None:
    """Two pull requests that have nothing in common do not wait for each other."""
    bot("apply", "--yes")
    bot.edit("bot.yaml", "value: 2}]", "value: 3}]")
    bot.edit("bot.yaml", "A tenth of", "A fifth of")
    bot("plan", "--out", "plan.json", "--select", "bot/monitoring/*")
    bot("apply", "--yes", "--select", "bot/canary")
    assert "Apply: 1 done.  (1 updated)" in bot("apply", "--plan", "plan.json").out
    bot("plan", "--detailed-exitcode")


def test_what_was_applied_and_taken_back_by_hand_is_not_applied_again(saved: Any, platform: Any) -> None:
    """The same steps would be needed; but they were agreed to once."""
    before = [
        {k: v for k, v in row.items() if v is not None} for row in platform.tests("bot")["Rows arrive"]["thresholds"]
    ]
    saved("apply", "--plan", "plan.json")
    platform.api("PUT", f"/tests/{platform.tests('bot')['Rows arrive']['id']}", {"thresholds": before})
    is_refused(saved, platform, "this plan was applied already")


def test_a_state_from_before_may_not_know_what_was_applied(saved: Any, platform: Any) -> None:
    """A copy put back in its place: the plan is refused, whatever its steps are."""
    kept = saved.folder / "kept"
    shutil.copytree(saved.folder / ".reconciler", kept)
    saved("evaluate", "--since", "1d", code=5)
    saved("plan", "--out", "plan.json")
    shutil.rmtree(saved.folder / ".reconciler")
    kept.rename(saved.folder / ".reconciler")
    is_refused(saved, platform, "the state: it was at serial", "an older one")


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


def test_a_plan_that_was_not_begun_can_not_be_resumed(saved: Any, platform: Any) -> None:
    """To go on is to look less closely: what is done already may be missing."""
    said = "this plan was not begun, or it was finished hint: leave out --resume"
    is_refused(saved, platform, said, arguments=("--resume",))
    assert "Apply: 1 done." in saved("apply", "--plan", "plan.json").out


def test_a_plan_edited_by_hand(saved: Any, platform: Any) -> None:
    """Whatever was changed in it."""
    plan = json.loads((saved.folder / "plan.json").read_text())
    plan["steps"][0]["changes"][0]["after"] = 0
    (saved.folder / "plan.json").write_text(json.dumps(plan))
    is_refused(saved, platform, "the plan file was changed after it was made")
    assert platform.seen == []


def with_its_digest(plan: dict[str, Any]) -> str:
    """The plan as somebody saves it who knows how its digest is made."""
    text = json.dumps({**plan, "digest": "", "tool": ""}, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return json.dumps({**plan, "digest": hashlib.sha256(text.encode()).hexdigest()})


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        ({"steps": []}, "update is needed now"),
        ({"refusals": 7}, "this is not a plan file"),
        ({"basis": {"options": {}}}, "this is not a plan file"),
    ],
)
def test_a_plan_edited_by_somebody_who_knows_the_digest(
    edit: dict[str, Any], sentence: str, saved: Any, platform: Any
) -> None:
    """The digest is no signature; what holds is that the plan is derived again, and nothing is read out of the file."""
    plan = json.loads((saved.folder / "plan.json").read_text())
    (saved.folder / "plan.json").write_text(with_its_digest({**plan, **edit}))
    is_refused(saved, platform, sentence)


def test_another_step_can_not_be_smuggled_in(saved: Any, platform: Any) -> None:
    """Not with other values, not on another object, not as another action."""
    plan = json.loads((saved.folder / "plan.json").read_text())
    (step,) = plan["steps"]
    for edit, sentence in (
        ({"changes": [{**step["changes"][0], "after": 0}]}, "update means something else now"),
        ({"remote_id": "00000000-0000-0000-0000-000000000000"}, "update means something else now"),
        ({"action": "archive"}, "archive means something else now"),
        ({"fingerprint": "0" * 16}, "somebody changed it at the platform"),
        ({"changes": None}, "this is not a plan file"),
    ):
        (saved.folder / "plan.json").write_text(with_its_digest({**plan, "steps": [{**step, **edit}]}))
        is_refused(saved, platform, sentence)


@pytest.mark.parametrize("home", ["", "elsewhere"])
def test_a_plan_that_says_oddly_where_it_was_made(home: str, saved: Any, platform: Any) -> None:
    """An empty place is the top of the checkout, as ``.`` is."""
    plan = json.loads((saved.folder / "plan.json").read_text())
    plan["basis"]["options"]["home"] = home
    (saved.folder / "plan.json").write_text(with_its_digest(plan))
    (saved.folder / ".git").mkdir()
    if home:
        told = "made in the folder elsewhere of the checkout, and this is the top of it"
        assert told in saved("apply", "--plan", "plan.json", code=64).words
        assert platform.writes == []
    else:
        saved("apply", "--plan", "plan.json")


def test_a_plan_keeps_no_values_of_variables(bot: Any, platform: Any) -> None:
    """They may be secret: the same ones are given again, and another value is another plan."""
    bot.edit("bot.yaml", "description: Answers\n", 'description: "${var.about}"\n')
    bot("plan", "--out", "plan.json", "--var", "about=Answers", "--var", "spare=hunter2-canary")
    text = (bot.folder / "plan.json").read_text()
    assert "hunter2-canary" not in text
    assert json.loads(text)["basis"]["options"]["variables"] == ["about", "spare"]
    ended = bot("apply", "--plan", "plan.json", code=64)
    assert "--var about=... --var spare=..." in ended.words
    again = ("--var", "spare=hunter2-canary")
    is_refused(bot, platform, "the manifests, or the variables", arguments=("--var", "about=Other", *again))
    bot("apply", "--plan", "plan.json", "--var", "about=Answers", *again)
    bot("plan", "--detailed-exitcode", "--var", "about=Answers")


def test_another_environment_is_another_plan(bot: Any, platform: Any) -> None:
    """Naming another one is a mistake; a plan that says so itself is refused, with a copy of the state too."""
    for name in ("staging", "production"):
        bot.write(
            f"{name}.yaml", f"apiVersion: reconciler/v1\nkind: Environment\nmetadata: {{name: {name}}}\nspec: {{}}\n"
        )
    bot("apply", "--yes", "--env", "staging")
    bot.edit("bot.yaml", "value: 2}]", "value: 3}]")
    bot("plan", "--env", "staging", "--out", "plan.json")
    ended = bot("apply", "--plan", "plan.json", "--env", "production", code=64)
    assert "this plan was made for environment staging, and --env names production" in ended.words
    state = bot.folder / ".reconciler"
    (state / "production.state.json").write_bytes((state / "staging.state.json").read_bytes())
    plan = json.loads((bot.folder / "plan.json").read_text())
    plan["basis"]["options"]["environment"] = "production"
    (bot.folder / "plan.json").write_text(with_its_digest(plan))
    is_refused(bot, platform, "the environment: planned for staging, now production")


def test_a_lost_state_is_another_state(saved: Any, platform: Any) -> None:
    """Its lineage is new, or there is none."""
    shutil.rmtree(saved.folder / ".reconciler")
    is_refused(saved, platform, "the state: this is another one (its lineage differs)")


def test_a_first_plan_is_not_applied_to_a_state_made_since(bot: Any, platform: Any) -> None:
    """That there was no state is part of what the plan was made from."""
    bot("plan", "--out", "plan.json")
    bot("apply", "--yes")
    is_refused(bot, platform, "openlayer.Project/bot: create is not needed any more")


def test_two_first_plans_make_everything_once(bot: Any, platform: Any) -> None:
    """S9: the second was made from the same nothing."""
    bot("plan", "--out", "plan.json")
    bot("plan", "--out", "again.json", "--select", "bot", "--select", "bot/*")
    bot("apply", "--plan", "again.json")
    is_refused(bot, platform, "openlayer.Project/bot: create is not needed any more")
    assert len(platform.projects()) == 1


def test_another_version_of_the_tool_derives_it_again(saved: Any) -> None:
    """The version is no part of what is bound; a format of another major number is."""
    plan = json.loads((saved.folder / "plan.json").read_text())
    (saved.folder / "plan.json").write_text(with_its_digest({**plan, "format_version": "2.0"}))
    assert (
        "not a plan file that this version reads (format_version 2.0)"
        in saved("apply", "--plan", "plan.json", code=6).words
    )
    (saved.folder / "plan.json").write_text(json.dumps({**plan, "tool": "reconciler 99.0"}))
    saved("apply", "--plan", "plan.json")


def test_no_secret_is_in_a_plan(saved: Any) -> None:
    """Neither the key nor anything made from it."""
    text = (saved.folder / "plan.json").read_text()
    key = saved.environ["OPENLAYER_API_KEY"]
    assert key not in text
    assert base64.b64encode(key.encode()).decode().rstrip("=") not in text
    assert hashlib.sha256(key.encode()).hexdigest() not in text


@pytest.mark.parametrize(
    "content",
    [
        "",
        "{}",
        "[]",
        "not json",
        '{"basis": 7}',
        '{"format_version": "1.0", "verdicts": []}',
        '{"steps": [], "basis": {}}',
    ],
)
def test_no_plan_at_all(content: str, saved: Any, platform: Any) -> None:
    """One sentence, and exit 1 as for a file that is not there: nothing is stale."""
    (saved.folder / "plan.json").write_text(content)
    platform.seen.clear()
    ended = saved("apply", "--plan", "plan.json", code=1)
    assert "error: --plan plan.json: not a plan file hint: make one:" in ended.words
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
    is_refused(saved, platform, "this plan was begun and not finished hint: finish it: the same command with --resume")
    saved("apply", "--plan", "plan.json", "--resume")
    saved("plan", "--detailed-exitcode")
    is_refused(saved, platform, "this plan was applied already", arguments=("--resume",))


def test_detailed_exit_codes(bot: Any) -> None:
    """0 nothing to do, 2 changes, and 0 for changes where nobody asked."""
    bot("plan", "--detailed-exitcode", code=2)
    bot("plan", code=0)
    bot("apply", "--yes")
    bot("plan", "--detailed-exitcode", code=0)
