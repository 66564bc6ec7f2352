"""One state, several folders of one checkout: what was declared elsewhere is never taken for gone."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

PROJECT = """
    apiVersion: openlayer/v1
    kind: Project
    metadata: {{name: {name}}}
    spec:
      taskType: llm-base
      tests:
        - name: Rows arrive
          type: integrity
          subtype: rowCount
          evaluationWindow: 24h
          thresholds: [{{insightName: metrics, measurement: rowCount, operator: ">=", value: 2}}]
    """


class Checkout:
    """A git checkout, as far as one sees it, with ``top.yaml`` and ``team/team.yaml``, applied as a whole."""

    def __init__(self, cli: Any, top: Path) -> None:
        self.cli, self.top = cli, top
        (top / ".git").mkdir()
        (top / "team").mkdir()
        cli.environ["RECONCILER_STATE_URL"] = str(top / "memory")
        cli.write("top.yaml", PROJECT.format(name="top"))
        cli.write("team/team.yaml", PROJECT.format(name="team"))
        cli("apply", "--yes")

    def inside(self, folder: str) -> Any:
        """The command line, in a folder of the checkout."""
        self.cli.folder = self.top / folder
        return self.cli


@pytest.fixture
def checkout(cli: Any, tmp_path: Path) -> Checkout:
    return Checkout(cli, tmp_path)


def active(platform: Any) -> dict[str, list[str]]:
    """The tests that are not archived, by project."""
    return {
        name: sorted(each for each, item in platform.tests(name).items() if not item["archived"])
        for name in platform.projects()
    }


WHOLE = {"top": ["Rows arrive"], "team": ["Rows arrive"]}


def test_a_subfolder_says_nothing_of_what_is_declared_above(checkout: Checkout, platform: Any) -> None:
    team = checkout.inside("team")
    assert "2 resources of ours lie outside the given paths" in team("plan").words
    team("apply", "--yes")
    assert active(platform) == WHOLE


def test_a_folder_without_the_state_says_where_it_looked(bot: Any) -> None:
    """In text as a note, in JSON as a warning; not where something is to be made, nor where all is taken over."""
    bot("apply", "--yes")
    (bot.folder / "team").mkdir()
    (bot.folder / "bot.yaml").rename(bot.folder / "team" / "bot.yaml")
    bot.folder = bot.folder / "team"
    told = (
        "there is no state at .reconciler/default.state.json yet, so nothing of this is ours; if it was applied "
        "before, that was in another folder or with another state, else "
        "apply --adopt takes over what is at the platform"
    )
    seen = bot("plan", "--out", "plan.json")
    assert f"warning: {told}" in seen.words
    assert "No changes. 0 resources match the manifests, 5 not ours." in seen.out
    assert json.loads(bot("plan", "--format", "json").out)["warnings"] == [told]
    bot("show", "plan.json")
    assert told not in bot("plan", "--adopt").words
    bot.edit("bot.yaml", "Answers\n", "Other answers\n")
    assert told in bot("plan", code=3).words
    bot.edit("bot.yaml", "- name: live", "- name: new")
    bot.edit("bot.yaml", "[live]", "[new]")
    assert told not in bot("plan", code=3).words
    bot.folder = bot.folder.parent
    assert "no state" not in bot("plan", "team").words


def test_a_repository_is_split_as_the_guide_says(checkout: Checkout, platform: Any) -> None:
    """docs/state.md: forgotten, moved, adopted; in the other order the tests are archived, and revived."""
    before = active(platform)
    cli = checkout.inside(".")
    cli("state", "rm", "openlayer.Project/team")
    (checkout.top / "team" / "team.yaml").rename(checkout.top / "kept")
    assert cli("plan").out == "No changes. 2 resources match the manifests.\n"
    (checkout.top / "kept").rename(checkout.top / "team" / "team.yaml")
    new = {"RECONCILER_STATE_URL": str(checkout.top / "other")}
    platform.seen.clear()
    assert "Apply: 2 done.  (2 adopted)" in cli("apply", "team", "--adopt", "--yes", **new).out
    assert (active(platform), platform.writes) == (before, [])
    assert cli("plan", "team", **new).out == "No changes. 2 resources match the manifests.\n"
    (checkout.top / "top.yaml").rename(checkout.top / "kept")
    assert "1 archived" in cli("apply", "--yes", "--adopt").out
    (checkout.top / "kept").rename(checkout.top / "top.yaml")
    assert "2 adopted" in cli("apply", "top.yaml", "--adopt", "--yes", **new).out
    assert active(platform) == before


def test_what_is_gone_from_a_subfolder_is_gone(checkout: Checkout, platform: Any) -> None:
    team = checkout.inside("team")
    team.edit("team.yaml", "Rows arrive", "Rows still arrive")
    team("apply", "--yes")
    assert active(platform) == {"top": ["Rows arrive"], "team": ["Rows still arrive"]}


def test_a_subfolder_that_declared_it_and_the_top_agree(checkout: Checkout, platform: Any) -> None:
    """What was applied from the subfolder is known by its place when somebody looks from the top."""
    checkout.inside("team").edit("team.yaml", "Rows arrive", "Rows still arrive")
    checkout.cli("apply", "--yes")
    assert "No changes" in checkout.inside(".")("plan").words
    assert "No changes" in checkout.cli("plan", "top.yaml").words
    (checkout.top / "team/team.yaml").rename(checkout.top / "team.yaml")
    assert "No changes" in checkout.cli("apply", "--yes").words
    (checkout.top / "team.yaml").unlink()
    checkout.cli("apply", "--yes")
    assert active(platform) == {"top": ["Rows arrive"], "team": []}


def test_destroying_a_folder_leaves_the_others(checkout: Checkout, platform: Any) -> None:
    checkout.inside("team")("destroy", ".", "--yes")
    assert active(platform) == {"top": ["Rows arrive"]}


def test_destroying_without_a_path_means_everything(checkout: Checkout, platform: Any) -> None:
    checkout.inside("team")("destroy", "--yes")
    assert active(platform) == {}


def test_a_neighbouring_folder_can_be_named(checkout: Checkout, platform: Any) -> None:
    (checkout.top / "other").mkdir()
    checkout.inside("other")("destroy", "../team", "--yes")
    assert active(platform) == {"top": ["Rows arrive"]}


@pytest.mark.parametrize(
    ("made", "applied", "told", "way"),
    [
        ("team", ".", "made in the folder team of the checkout, and this is the top of it", "cd 'team'"),
        (".", "team", "made in the top of the checkout, and this is the folder team of it", "cd '..'"),
    ],
)
def test_a_saved_plan_is_applied_where_it_was_made(
    made: str, applied: str, told: str, way: str, checkout: Checkout, platform: Any
) -> None:
    """Its paths mean something else anywhere else; the way to its folder is told."""
    checkout.cli.write("team/more.yaml", PROJECT.format(name="more"))
    file = str(checkout.top / "plan.json")
    checkout.inside(made)("plan", "--out", file)
    platform.seen.clear()
    refused = checkout.inside(applied)("apply", "--plan", file, code=64)
    assert f"this plan was {told}" in refused.words
    assert f"hint: go there first: {way}" in refused.words
    assert platform.seen == []
    checkout.inside(made)("apply", "--plan", file)


def test_a_saved_plan_is_applied_to_the_same_files_without_a_checkout(bot: Any) -> None:
    """As they come out of an archive, with nothing around them."""
    (bot.folder / "team").mkdir()
    (bot.folder / "bot.yaml").rename(bot.folder / "team" / "bot.yaml")
    (bot.folder / ".git").mkdir()
    bot.folder /= "team"
    bot("plan", "--out", "plan.json")
    (bot.folder.parent / ".git").rmdir()
    bot("apply", "--plan", "plan.json")


def test_what_was_archived_and_is_wanted_again_elsewhere_is_left_alone(checkout: Checkout, platform: Any) -> None:
    """Where it was declared is known still: whether it is wanted there, the other folder cannot tell."""
    cli = checkout.cli
    cli.write("team/team.yaml", PROJECT.format(name="team").partition("tests:")[0].rstrip())
    cli("apply", "--yes")
    (test,) = platform.tests("team").values()
    assert test["archived"]
    platform.api("PUT", f"/tests/{test['id']}", {"archived": False})
    cli.write("team/team.yaml", PROJECT.format(name="team"))
    assert "No changes." in cli("plan", "top.yaml").out
    cli("apply", "--yes")
    assert active(platform) == WHOLE


SET = """
    apiVersion: openlayer/v1
    kind: TestSet
    metadata: {name: basics}
    spec:
      appliesTo: {projects: ["bot-*"]}
      tests:
        - name: Rows arrive
          type: integrity
          subtype: rowCount
          evaluationWindow: 24h
          thresholds: [{insightName: metrics, measurement: rowCount, operator: ">=", value: 2}]
    """
BARE = """
    apiVersion: openlayer/v1
    kind: Project
    metadata: {{name: {name}}}
    spec: {{taskType: llm-base}}
    """


@pytest.fixture
def teams(cli: Any) -> Any:
    """The command line beside the folders of two teams, and of a set of tests for both."""
    files = {"a/p.yaml": BARE.format(name="bot-a"), "b/p.yaml": BARE.format(name="bot-b"), "s/set.yaml": SET}
    for name, text in files.items():
        (cli.folder / name).parent.mkdir()
        cli.write(name, text)
    return cli


def test_a_set_says_nothing_of_projects_that_are_not_read(teams: Any, platform: Any) -> None:
    """Its tests in another team's project are wanted there as long as that team's files say so."""
    teams("apply", "a", "b", "s", "--yes")
    assert "2 resources of ours lie outside the given paths" in teams("plan", "a", "s").words
    teams("apply", "a", "s", "--yes")
    assert active(platform) == {"bot-a": ["Rows arrive"], "bot-b": ["Rows arrive"]}

    teams.edit("s/set.yaml", "Rows arrive", "Rows still arrive")
    teams("apply", "a", "s", "--yes")
    assert active(platform) == {"bot-a": ["Rows still arrive"], "bot-b": ["Rows arrive"]}
    teams("apply", "b", "s", "--yes")
    assert active(platform) == {"bot-a": ["Rows still arrive"], "bot-b": ["Rows still arrive"]}


def test_a_project_that_is_gone_takes_the_tests_of_a_set_along(teams: Any, platform: Any) -> None:
    teams("apply", "--yes")
    (teams.folder / "b" / "p.yaml").unlink()
    teams("apply", "--yes")
    assert active(platform) == {"bot-a": ["Rows arrive"], "bot-b": []}


def test_destroying_a_project_and_a_set_leaves_other_projects_their_tests(teams: Any, platform: Any) -> None:
    teams("apply", "--yes")
    teams("destroy", "a", "s", "--yes")
    assert active(platform) == {"bot-b": ["Rows arrive"]}


def test_what_was_taken_into_the_state_is_gone_only_for_who_sees_everything(checkout: Checkout, platform: Any) -> None:
    """Where it is declared is not known before an apply has met its manifest."""
    cli = checkout.cli
    test = "openlayer.Test/top/monitoring/Rows arrive"
    project = "openlayer.Project/top"
    cli("state", "rm", project)
    cli("state", "import", project, platform.projects()["top"]["id"])
    cli("state", "import", test, platform.tests("top")["Rows arrive"]["id"])
    for folder, paths in ((".", ["team"]), ("team", []), ("team", ["."])):
        ended = checkout.inside(folder)("apply", "--yes", *paths)
        assert "2 resources of ours lie outside the given paths" in ended.words
        assert active(platform) == WHOLE
    checkout.inside(".")("apply", "top.yaml", "--yes")
    assert '"source": "top.yaml"' in cli("state", "show", test).words

    cli("state", "rm", test)
    cli("state", "import", test, platform.tests("top")["Rows arrive"]["id"])
    cli.edit("top.yaml", "Rows arrive", "Rows still arrive")
    cli("apply", "--yes")
    assert active(platform) == {"top": ["Rows still arrive"], "team": ["Rows arrive"]}


def test_a_lost_create_is_settled_where_it_was_declared(checkout: Checkout, platform: Any) -> None:
    """A run over other files neither archives what it made nor forgets that it may have made it."""
    cli = checkout.cli
    late = (
        "        - {name: Late, type: integrity, subtype: rowCount, evaluationWindow: 24h, thresholds: [{insightName: "
    )
    late += "metrics, measurement: rowCount, operator: '>=', value: 1}]}\n"
    cli.write("team/team.yaml", PROJECT.format(name="team").rstrip(" ") + late)
    tests = f"/v1/projects/{platform.projects()['team']['id']}/tests"
    lost = {"method": "POST", "path": tests, "action": "drop-after"}
    platform.fail(lost, {"method": "GET", "path": tests, "action": "status", "status": 404, "nth": list(range(2, 10))})
    cli("apply", "--yes", code=4)
    platform.fail()
    both = {"top": ["Rows arrive"], "team": ["Late", "Rows arrive"]}
    assert active(platform) == both
    assert "3 resources of ours lie outside the given paths" in cli("apply", "top.yaml", "--yes").words
    assert active(platform) == both
    assert "1 in doubt" in cli("state", "list").out
    checkout.inside("team")("apply", "--yes")
    assert active(platform) == both
    assert "in doubt" not in cli("state", "list").out
