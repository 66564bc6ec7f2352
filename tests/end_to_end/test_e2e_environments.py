"""Which environment a command works on, where manifests declare some: the one that was named, and it must be one."""

from __future__ import annotations

import json
from typing import Any

import pytest

READS_NO_MANIFESTS = [
    ["state", "list"],
    ["state", "show", "openlayer.Project/bot"],
    ["state", "rm", "*"],
    ["state", "mv", "openlayer.Project/bot", "openlayer.Project/cat"],
    ["state", "import", "openlayer.Project/bot", "some-id"],
    ["state", "move-origin", "--yes"],
    ["state", "unlock", "some-id"],
    ["doctor"],
    ["history"],
    ["export", "--out", "exported", "--adopt"],
]


@pytest.fixture
def two(bot: Any) -> Any:
    """A folder with the project ``bot``, and the environments ``staging`` and ``production``."""
    for name in ("staging", "production"):
        bot.write(
            f"{name}.yaml",
            f"""
            apiVersion: reconciler/v1
            kind: Environment
            metadata: {{name: {name}}}
            spec:
              vars: {{limit: 100}}
            """,
        )
    return bot


@pytest.mark.parametrize("command", READS_NO_MANIFESTS, ids=" ".join)
def test_a_misspelt_environment_is_told_before_anything_is_done(command: list[str], two: Any, platform: Any) -> None:
    told = two(*command, "--env", "stagin", code=64)
    assert 'there is no environment "stagin"' in told.words
    assert 'did you mean "staging"?' in told.words
    assert told.words == two("plan", "--env", "stagin", code=64).words
    assert platform.seen == []
    assert not (two.folder / ".reconciler").exists()


@pytest.mark.parametrize("command", READS_NO_MANIFESTS, ids=" ".join)
def test_an_environment_is_named_as_soon_as_one_is_declared(command: list[str], two: Any, platform: Any) -> None:
    told = two(*command, code=64)
    assert told.words.startswith(two("plan", code=64).words)
    assert "declare 2 environments, and none was named" in told.words
    assert "--env default is what was applied without one" in told.words
    assert platform.seen == []
    assert not (two.folder / ".reconciler").exists()


def test_environments_that_are_declared_and_local_can_be_looked_into(two: Any) -> None:
    for name in ("staging", "production", "local"):
        two("apply", "--yes", "--adopt", "--env", name)
        assert "openlayer.Project/bot" in two("state", "list", "--env", name).out
        assert f"{name}.state.json" in two("doctor", "--env", name).words
        assert f"nothing was recorded in the environment {name} yet" in two("history", "--env", name, code=64).words


def test_what_was_applied_without_an_environment_is_found_by_its_name(two: Any) -> None:
    """Some paths declare an environment, others do not: those are applied without one from the same folder."""
    two("apply", "bot.yaml", "--yes")
    assert "openlayer.Project/bot" in two("state", "list", "--env", "default").out
    assert "default.state.json" in two("doctor", "--env", "default").words


def test_broken_manifests_do_not_keep_anybody_from_mending(two: Any) -> None:
    """The environment of that name may stand in the file that nobody can read."""
    two("apply", "--yes", "--env", "staging")
    two.write("staging.yaml", "kind: Environment\nmetadata: {name: staging")
    assert "openlayer.Project/bot" in two("state", "list", "--env", "staging").out
    assert "Forgotten: 5." in two("state", "rm", "openlayer.Project/bot", "--env", "staging").out
    assert "none was named" in two("state", "list", code=64).words


def test_without_a_declared_environment_any_may_be_mended(two: Any) -> None:
    """A folder without manifests, or with those of projects alone: their environments may be gone."""
    two("apply", "--yes", "--env", "staging")
    for name in ("staging.yaml", "production.yaml"):
        (two.folder / name).unlink()
    assert "openlayer.Project/bot" in two("state", "list", "--env", "staging").out
    (two.folder / "bot.yaml").unlink()
    assert "openlayer.Project/bot" in two("state", "list", "--env", "staging").out
    assert two("state", "list").out == "No state yet.\n"
    two("doctor")


@pytest.mark.parametrize(
    "command",
    [["doctor"], ["export", "--out", "exported", "--adopt"], ["state", "import", "openlayer.Project/bot", "some-id"]],
    ids=" ".join,
)
def test_without_a_declared_environment_nothing_begins_in_one(command: list[str], bot: Any, platform: Any) -> None:
    told = bot(*command, "--env", "nope", code=64)
    assert told.words == 'error: there is no environment "nope" hint: there is "local"'
    assert told.words == bot("plan", "--env", "nope", code=64).words
    assert platform.seen == []
    assert not (bot.folder / ".reconciler").exists()


def test_default_is_what_has_no_environment_for_every_command(bot: Any) -> None:
    """One state and one plan, whether it is named or not."""
    bot("export", "--out", "m", "--env", "default", code=64)  # there is nothing yet
    saved = bot("plan", "--env", "default", "--out", "plan.json").out
    assert saved.splitlines()[1:] == bot("plan").out.splitlines()[1:]  # the first line holds what a new state is called
    bot("apply", "--plan", "plan.json")
    assert bot("plan", "--env", "default").out == bot("plan").out == "No changes. 5 resources match the manifests.\n"
    bot("drift", "--env", "default")
    bot("validate", "--env", "default")
    bot("state", "list", "--env", "default")
    bot.write("local.yaml", "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: local}\nspec: {}\n")
    bot("plan", "--env", "default")
    bot.write("staging.yaml", "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: staging}\nspec: {}\n")
    told = bot("plan", "--env", "default", code=64)
    assert told.words == 'error: there is no environment "default" hint: there is "local" or "staging"'


@pytest.fixture
def inside(two: Any) -> Any:
    """The command line in ``projects``, a folder of a checkout that declares its environments in another one."""
    for folder in (".git", "projects", "environments"):
        (two.folder / folder).mkdir()
    (two.folder / "bot.yaml").rename(two.folder / "projects" / "bot.yaml")
    for name in ("staging.yaml", "production.yaml"):
        (two.folder / name).rename(two.folder / "environments" / name)
    two.folder = two.folder / "projects"
    return two


def test_an_environment_of_the_checkout_is_found_from_a_subfolder(inside: Any) -> None:
    """The key and the state that it names are those of the run whose hint is followed."""
    path = inside.folder.parent / "environments" / "staging.yaml"
    path.write_text(path.read_text().replace("vars: {limit: 100}", "state: {url: kept}"))
    inside("apply", "..", "--yes", "--env", "staging")
    assert "openlayer.Project/bot" in inside("state", "list", "--env", "staging").out
    assert "kept/staging.state.json" in inside("doctor", "--env", "staging").words
    assert "kept/staging.lock" in inside("state", "unlock", "5f0c27d3a9b1", "--env", "staging", code=64).words
    inside("state", "rm", "openlayer.Test/*", "--env", "staging")
    inside("state", "rm", "openlayer.InferencePipeline/*", "--env", "staging")
    assert "serial 3, 1 resource ok" in inside("doctor", "--env", "staging").words
    told = inside("doctor", "--env", "stagin", code=64)
    assert 'there is no environment "stagin"' in told.words


def test_a_default_that_the_checkout_declares_is_not_passed_over(inside: Any, platform: Any) -> None:
    """Its key and its policy would be."""
    file = inside.folder.parent / "environments" / "staging.yaml"
    file.write_text(file.read_text().replace("name: staging", "name: default"))
    told = inside("plan", "--env", "default", code=64)
    assert "it is declared in ../environments/staging.yaml: name that, too" in told.words
    assert platform.seen == []


def test_an_environment_that_the_checkout_declares_twice_is_not_guessed(inside: Any) -> None:
    other = inside.folder.parent / "other"
    other.mkdir()
    (other / "staging.yaml").write_text((inside.folder.parent / "environments" / "staging.yaml").read_text())
    assert 'there is no environment "staging"' in inside("doctor", "--env", "staging", code=64).words
    told = inside("plan", "--env", "staging", code=64)
    assert told.words == 'error: there is no environment "staging" hint: there is "local"'


def test_where_an_environment_is_declared_is_told_to_who_left_that_out(inside: Any, platform: Any) -> None:
    told = inside("plan", "--env", "staging", code=64)
    file = "../environments/staging.yaml"
    assert told.words == (
        f'error: there is no environment "staging" hint: it is declared in {file}: name that, too, as in . {file}'
    )
    assert platform.seen == []
    assert "5 to create" in inside("plan", ".", file, "--env", "staging").out
    inside.folder = inside.folder.parent
    told = inside("plan", "projects", "--env", "staging", code=64)
    assert told.words.endswith("name that, too, as in projects environments/staging.yaml")
    assert "there is no nowhere" in inside("plan", "nowhere", "--env", "staging", code=64).words


def test_what_local_keeps_is_hidden_from_git_whichever_command_comes_first(bot: Any) -> None:
    bot("plan", "--env", "local")
    assert (bot.folder / ".reconciler" / ".gitignore").read_text() == "*\n"


def _depends(bot: Any, environments: dict[str, str]) -> None:
    """A limit that is a variable, and environments with the value of it that they give, if any."""
    bot.write("bot.yaml", (bot.folder / "bot.yaml").read_text().replace("value: 2}", 'value: "${var.rows}"}'))
    for name, rows in environments.items():
        given = f"\n  vars: {{rows: {rows}}}" if rows else " {}"
        text = f"apiVersion: reconciler/v1\nkind: Environment\nmetadata: {{name: {name}}}\nspec:{given}\n"
        bot.write(f"{name}.yaml", text)


def test_validate_names_the_environment_in_which_a_mistake_is(bot: Any) -> None:
    """Where it is not the same in all of them; and the place where the variable got its value."""
    _depends(bot, {"dev": "20", "staging": '"20"', "production": '"20"', "broken": ""})
    bot.write("bot.yaml", (bot.folder / "bot.yaml").read_text().replace("taskType", "tasktype"))
    told = bot("validate", code=1).out
    production, staging = (
        f'in environment {name}: >= needs a number, found "20"; write 20 without quotes; '
        f"${{var.rows}} comes from {name}.yaml:5\n"
        for name in ("production", "staging")
    )
    for line in (
        'bot.yaml:6:3: spec.tasktype: not a field of openlayer.Project; did you mean "taskType"?\n',
        "value: in environment broken: ${var.rows} is not defined; give --var rows=..., ",
        production,
        staging,
    ):
        assert line in told
    assert "in environment" not in bot("validate", "--env", "staging", code=1).out


def test_validate_names_all_environments_in_which_a_mistake_is(bot: Any) -> None:
    _depends(bot, {"dev": "20", "staging": "", "production": ""})
    told = bot("validate", code=1).out
    assert "in environments production and staging: ${var.rows} is not defined; give --var" in told
    assert told.endswith("1 problem in the manifests\n")


def test_validate_names_the_environment_in_which_something_looks_odd(bot: Any) -> None:
    _depends(bot, {"dev": "20", "staging": '"${var.most}"'})
    warned = bot("validate", "--var", "most=7").err
    assert warned == "warning: --var most: in environment dev: no manifest refers to this variable\n"


@pytest.mark.parametrize("command", [["doctor"], ["plan"], ["export", "--out", "exported"]], ids=" ".join)
def test_a_key_that_an_environment_names_and_nobody_has_set_is_missed_by_its_name(
    command: list[str], bot: Any, platform: Any
) -> None:
    """Whatever other vendor, and whatever other variable of this one, has a key."""
    bot.write(
        "staging.yaml",
        """
        apiVersion: reconciler/v1
        kind: Environment
        metadata: {name: staging}
        spec:
          apiKey: {fromEnv: OPENLAYER_API_KEY_STAGING}
        """,
    )
    others = {"DIGITALOCEAN_TOKEN": "some-other-key", "DIGITALOCEAN_BASE_URL": platform.url}
    told = bot(*command, "--env", "staging", code=1, **others)
    assert "OPENLAYER_API_KEY_STAGING is not set: put the API key for openlayer into" in told.words
    assert "OPENLAYER_API_KEY is not set" not in told.words
    assert not (bot.folder / "exported").exists()


def test_an_environment_that_missed_a_release_catches_up(bot: Any, platform: Any) -> None:
    """A test is renamed by a release that this one never saw, and once more by the next."""
    bot("apply", "--yes")
    before = platform.tests("bot")["Rows arrive"]["id"]
    bot.edit("bot.yaml", "name: Rows arrive", "name: Rows come in\n      renamedFrom: [Rows came, Rows arrive]")
    assert "Apply: 1 done.  (1 renamed)" in bot("apply", "--yes").out
    assert platform.tests("bot")["Rows come in"]["id"] == before
    bot("plan", "--detailed-exitcode")


def test_a_rename_at_the_platform_is_told_for_the_other_environments(two: Any, platform: Any) -> None:
    """What was accepted into git from one of them is a new name without a former one in the others."""
    two("apply", "--yes", "--env", "production")
    before = platform.tests("bot")["Rows arrive"]["id"]
    platform.api("PUT", f"/tests/{before}", {"name": "Traffic"})
    two.edit("bot.yaml", "name: Rows arrive", "name: Traffic")
    note = "staging may know it as Rows arrive still; write renamedFrom: Rows arrive, or it is made anew there"
    assert f"note: {note}" in two("plan", "--env", "production").words
    (step,) = json.loads(two("plan", "--env", "production", "--format", "json").out)["steps"]
    assert (step["action"], step["notes"]) == ("rename", [note])
    assert "may know it" not in two("drift", "--env", "production", code=0).words
    two.edit("bot.yaml", "name: Traffic", "name: Traffic\n      renamedFrom: Rows arrive")
    assert "may know it" not in two("plan", "--env", "production").words
    two("apply", "--yes", "--env", "production")
    assert platform.tests("bot")["Traffic"]["id"] == before


def test_where_no_other_environment_is_declared_nothing_is_told_of_them(bot: Any, platform: Any) -> None:
    bot.write("local.yaml", "apiVersion: reconciler/v1\nkind: Environment\nmetadata: {name: local}\nspec: {}\n")
    bot("apply", "--yes")
    platform.api("PUT", f"/tests/{platform.tests('bot')['Rows arrive']['id']}", {"name": "Traffic"})
    bot.edit("bot.yaml", "name: Rows arrive", "name: Traffic")
    told = bot("plan").words
    assert "renamed from Rows arrive" in told
    assert "may know it" not in told


def test_an_environment_that_missed_a_release_is_told_what_it_would_lose(bot: Any) -> None:
    """One former name is not enough: the test would be made anew, and the old one archived with its past."""
    bot("apply", "--yes")
    bot.edit("bot.yaml", "name: Rows arrive", "name: Rows come in\n      renamedFrom: Rows came")
    assert (
        "there is no Rows came to rename, while Rows arrive is gone from the manifests; if it was called so once, add "
        "that name to renamedFrom" in bot("plan").words
    )
