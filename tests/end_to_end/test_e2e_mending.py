"""A lost memory comes back, what was made by hand is taken over, and what is renamed stays what it is."""

from __future__ import annotations

import json
import shutil
from typing import Any

import pytest

ROWS = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 2}


def ids(platform: Any) -> dict[str, str]:
    """Every object's id by its name."""
    found = {name: item["id"] for name, item in platform.projects().items()}
    for project in platform.projects():
        found |= {name: item["id"] for name, item in platform.pipelines(project).items()}
        found |= {name: item["id"] for name, item in platform.tests(project).items()}
    return found


def lose_the_state(cli: Any) -> None:
    shutil.rmtree(cli.folder / ".reconciler")


# ------------------------------------------------------------------------------------------ lost states


def test_a_lost_state_is_adopted_back(bot: Any, platform: Any) -> None:
    """Nothing is made twice and nothing is written to the platform: only ownership had been lost."""
    bot("apply", "--yes")
    before = platform.everything()
    lose_the_state(bot)
    assert "4 not ours" not in bot("plan").out
    assert "5 not ours" in bot("plan").out
    bot("apply", "--yes")
    assert platform.everything() == before
    platform.seen.clear()
    assert "Apply: 5 done.  (5 adopted)" in bot("apply", "--adopt", "--yes").out
    assert platform.everything() == before
    bot("plan", "--detailed-exitcode")
    bot("destroy", "--yes")
    assert platform.projects() == {}


def test_a_lost_state_and_an_edit_since_then_need_adopt(bot: Any, platform: Any) -> None:
    """Without it nothing is touched; with it the same objects are brought in line."""
    bot("apply", "--yes")
    known = ids(platform)
    lose_the_state(bot)
    bot.edit("bot.yaml", "value: 2}]", "value: 3}]")
    before = platform.everything()
    assert "take it over with --adopt" in bot("apply", "--yes", code=3).words
    assert platform.everything() == before
    bot("apply", "--adopt", "--yes")
    assert ids(platform) == known
    assert platform.tests("bot")["Rows arrive"]["thresholds"][0]["value"] == 3
    bot("plan", "--detailed-exitcode")


def test_an_older_state_does_not_bring_back_what_was_replaced_since(bot: Any, platform: Any) -> None:
    """Mended as docs/state.md says of a damaged file: what replaced the archived one is adopted."""
    bot("apply", "--yes")
    (bot.folder / "bot.yaml").write_text((bot.folder / "bot.yaml").read_text().replace("24h", "12h"))
    assert "2 replaced" in bot("apply", "--yes").out
    known, before = ids(platform), platform.everything()
    states = bot.folder / ".reconciler"
    (states / "default.state.json").write_text("{")
    assert "default.state.json.backup" in bot("plan", code=1).words
    (states / "default.state.json.backup").replace(states / "default.state.json")
    (states / "default.journal.jsonl").unlink()
    assert "No changes. 3 resources match the manifests, 2 not ours." in bot("plan", "--detailed-exitcode").out
    assert "2 declared resources are not ours" in bot("drift").words
    platform.seen.clear()
    assert "Apply: 2 done.  (2 adopted)" in bot("apply", "--adopt", "--yes").out
    assert platform.writes == []
    assert (ids(platform), platform.everything()) == (known, before)
    assert "No changes. 5 resources match the manifests.\n" in bot("plan").out


# --------------------------------------------------------------------------------------------- adoption


def test_lifecycle_adopt_takes_over_what_says_so_and_nothing_else(bot: Any, platform: Any) -> None:
    """The permission stands in the manifest, at one test; another one of the same kind stays refused."""
    project = platform.api("POST", "/projects", {"name": "bot", "taskType": "llm-base", "description": "Answers"})
    threshold = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 9}
    made = platform.api(
        "POST",
        f"/projects/{project['id']}/tests",
        {
            "name": "Rows arrive",
            "description": None,
            "type": "integrity",
            "subtype": "rowCount",
            "usesProductionData": True,
            "evaluationWindow": 86_400,
            "thresholds": [threshold],
        },
    )
    bot("apply", "--yes", code=3)
    bot.edit("bot.yaml", "name: Rows arrive", "name: Rows arrive\n      lifecycle: {adopt: true}")
    ended = bot("apply", "--yes")
    assert "= openlayer.Test/bot/monitoring/Rows arrive" in ended.out
    assert platform.tests("bot")["Rows arrive"]["id"] == made["id"]
    assert platform.tests("bot")["Rows arrive"]["thresholds"][0]["value"] == 2
    state = json.loads(bot("state", "list", "--format", "json").out)
    assert "openlayer.Test/bot/monitoring/Rows arrive" in state["entries"]
    assert "openlayer.Project/bot" not in state["entries"]
    bot("plan", "--detailed-exitcode")


def test_export_and_adopt_then_an_edit_is_an_update(bot: Any, platform: Any) -> None:
    """What was made by hand is ours after ``export --adopt``, and changed in place from then on."""
    bot("apply", "--yes")
    lose_the_state(bot)
    (bot.folder / "bot.yaml").unlink()
    known = ids(platform)
    bot("export", "--out", "out", "--adopt")
    bot("plan", "out", "--detailed-exitcode")
    bot.edit("out/bot.yaml", "value: 100", "value: 90")
    assert "Apply: 1 done.  (1 updated)" in bot("apply", "out", "--yes").out
    assert ids(platform) == known


# ---------------------------------------------------------------------------------------------- renames


@pytest.mark.parametrize(
    ("old", "new", "former", "name"),
    [
        ("metadata: {name: bot}", "metadata: {name: helper, renamedFrom: bot}", "bot", "helper"),
        ("- name: live\n", "- {name: production, renamedFrom: live}\n", "live", "production"),
        ("- name: Rows arrive\n", "- name: Rows come\n      renamedFrom: Rows arrive\n", "Rows arrive", "Rows come"),
    ],
    ids=["project", "pipeline", "test"],
)
def test_a_rename_keeps_the_object(old: str, new: str, former: str, name: str, bot: Any, platform: Any) -> None:
    """Its id stays, and everything else is as it was; ``renamedFrom`` may stay or go afterwards."""
    bot("apply", "--yes")
    known = ids(platform)
    text = (bot.folder / "bot.yaml").read_text().replace("[live]", "[production]" if former == "live" else "[live]")
    (bot.folder / "bot.yaml").write_text(text.replace(old, new))
    assert "1 to rename" in bot("plan").out
    bot("apply", "--yes")
    assert ids(platform) == {(name if each == former else each): known[each] for each in known}
    bot("plan", "--detailed-exitcode")
    text = (bot.folder / "bot.yaml").read_text()
    (bot.folder / "bot.yaml").write_text(text.replace(f", renamedFrom: {former}", "").replace(
        f"      renamedFrom: {former}\n", ""))  # fmt: skip
    bot("plan", "--detailed-exitcode")


# ----------------------------------------------------------------------------------------------- misuse


def twin_of(test: dict[str, Any], platform: Any) -> dict[str, Any]:
    """Somebody makes another test of this name."""
    body = {key: test[key] for key in ("name", "type", "subtype", "usesProductionData")}
    body |= {"description": None, "thresholds": [ROWS]}
    made: dict[str, Any] = platform.api("POST", f"/projects/{platform.projects()['bot']['id']}/tests", body)
    return made


def test_an_owned_address_is_not_given_away_nor_is_an_owned_object(bot: Any, platform: Any) -> None:
    """The object that has it is still there, and would be ours no more without a word; or ours twice."""
    bot("apply", "--yes")
    address = "openlayer.Test/bot/monitoring/Rows arrive"
    ours = platform.tests("bot")["Rows arrive"]
    theirs = twin_of(ours, platform)
    ended = bot("state", "import", address, theirs["id"], code=64)
    assert f"{address} is ours already, as {ours['id']}" in ended.words
    assert f"forget it first: reconciler state rm '{address}'" in ended.words
    assert json.loads(bot("state", "show", address).out)["remote_id"] == ours["id"]
    ended = bot("state", "import", f"{address} too", ours["id"], code=64)
    assert f"{ours['id']} is ours already, as {address} hint: see: reconciler state mv" in ended.words
    bot("state", "import", address, ours["id"])
    bot("state", "rm", address)
    bot("state", "import", address, theirs["id"])
    assert json.loads(bot("state", "show", address).out)["remote_id"] == theirs["id"]


def test_an_owned_address_is_kept_in_a_project_that_was_renamed_by_hand(bot: Any, platform: Any) -> None:
    """Ours is still there, though no longer under the name that the address begins with."""
    bot("apply", "--yes")
    ours = platform.tests("bot")["Rows arrive"]
    platform.api("PATCH", f"/projects/{platform.projects()['bot']['id']}", {"name": "robot"})
    platform.api("POST", "/projects", {"name": "bot", "taskType": "llm-base"})
    theirs = twin_of(ours, platform)
    ended = bot("state", "import", "openlayer.Test/bot/monitoring/Rows arrive", theirs["id"], code=64)
    assert "is ours already" in ended.words


def test_the_address_of_what_is_gone_can_be_given_away(bot: Any, platform: Any) -> None:
    """Somebody made the pipeline anew: nothing is lost by remembering the new one."""
    bot("apply", "--yes")
    platform.api("DELETE", f"/inference-pipelines/{platform.pipelines('bot')['canary']['id']}")
    project = platform.projects()["bot"]["id"]
    made = platform.api("POST", f"/projects/{project}/inference-pipelines", {"name": "canary", "description": None})
    bot("state", "import", "openlayer.InferencePipeline/bot/canary", made["id"])
    assert "1 to update" in bot("plan").out


@pytest.mark.parametrize(
    ("address", "sentence"),
    [
        ("openlayer.Test/bot/Rows arrive", "looks like openlayer.Test/<the name of its project or workspace>/<mode>"),
        ("openlayer.Project/bot/live", "looks like openlayer.Project/<name>"),
        ("openlayer.Tset/bot", "openlayer.Tset is not a kind we know"),
        ("bot", "not an address"),
        ("digitalocean.Metric/Tone", "a metric is never ours"),
        ("digitalocean.EvaluationRun/care/nightly", "an evaluation run is never ours"),
    ],
)
def test_an_address_that_nothing_can_have_is_not_imported(address: str, sentence: str, bot: Any, platform: Any) -> None:
    """It would make a state that nobody can read any more."""
    bot("apply", "--yes")
    item = platform.tests("bot")["Rows arrive"]
    ended = bot("state", "import", address, item["id"], code=64)
    assert sentence in ended.words
    bot("plan", "--detailed-exitcode")


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("bot/monitoring/Rows arrive", "cat/monitoring/Rows arrive", "openlayer.Project/cat is not in the state"),
        ("bot/live", "cat/live", "openlayer.Project/cat is not in the state, so nothing of ours can be in it"),
        ("bot/monitoring/Rows arrive", "bot/development/Rows arrive", "the mode of a test never changes"),
        ("bot/monitoring/Rows arrive", "bot/nonsense/Rows arrive", "and nonsense is not monitoring"),
    ],
)
def test_what_can_not_be_so_is_not_remembered(old: str, new: str, sentence: str, bot: Any) -> None:
    bot("apply", "--yes")
    before = bot("state", "list").out
    assert sentence in bot("state", "mv", old, new, code=64).words
    assert bot("state", "list").out == before


def test_a_project_that_is_moved_takes_along_what_is_in_it(bot: Any) -> None:
    bot("apply", "--yes")
    bot("state", "mv", "openlayer.Project/bot", "openlayer.Project/cat")
    assert "openlayer.Test/cat/monitoring/Rows arrive" in bot("state", "list").out
    assert "/bot" not in bot("state", "list").out
    bot("state", "mv", "openlayer.Project/cat", "openlayer.Project/bot")
    bot("plan", "--detailed-exitcode")


def test_a_project_is_not_moved_onto_one_that_holds_the_same(bot: Any, platform: Any) -> None:
    """What is remembered there would be forgotten, and nobody would know of its object."""
    bot("apply", "--yes")
    project = platform.api("POST", "/projects", {"name": "cat", "taskType": "llm-base"})
    body: dict[str, Any] = {"name": "Rows arrive", "description": None, "type": "integrity", "subtype": "rowCount"}
    body |= {"thresholds": [ROWS], "usesProductionData": True}
    theirs = platform.api("POST", f"/projects/{project['id']}/tests", body)
    bot("state", "import", "openlayer.Test/cat/monitoring/Rows arrive", theirs["id"])
    before = bot("state", "list").out
    told = bot("state", "mv", "openlayer.Project/bot", "openlayer.Project/cat", code=64)
    assert "openlayer.Project/cat holds something of the same name as openlayer.Project/bot does" in told.words
    assert bot("state", "list").out == before


# ------------------------------------------------------------------------------------------ names that moved by hand


def call_pipelines(platform: Any, *names: tuple[str, str]) -> None:
    """Rename at the platform, one after the other."""
    for old, new in names:
        at = f"/inference-pipelines/{platform.pipelines('bot')[old]['id']}"
        platform.api("PUT", at, {"name": new, "description": platform.pipelines("bot")[old]["description"]})


def test_names_that_moved_on_by_hand_come_back_in_one_apply(bot: Any, platform: Any) -> None:
    """The platform has a name only once, so one waits until the other has given it up."""
    bot("apply", "--yes")
    before = ids(platform)
    call_pipelines(platform, ("canary", "third"), ("live", "canary"))
    bot("apply", "--yes")
    assert ids(platform) == before


def test_names_that_were_exchanged_by_hand_ask_for_help_in_the_plan(bot: Any, platform: Any) -> None:
    bot("apply", "--yes")
    before = ids(platform)
    call_pipelines(platform, ("canary", "third"), ("live", "canary"), ("third", "live"))
    assert "were exchanged at the platform: give one of them a third name there first" in bot("plan").words
    call_pipelines(platform, ("live", "third"))
    bot("apply", "--yes")
    assert ids(platform) == before
