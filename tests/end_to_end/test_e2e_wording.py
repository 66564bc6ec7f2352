"""What commands say where there is one of something, nothing, or too much to list."""

from __future__ import annotations

from typing import Any

PROJECT = """
    apiVersion: openlayer/v1
    kind: Project
    metadata: {name: bot}
    spec: {taskType: llm-base}
"""


def test_one_is_not_called_many(cli: Any, platform: Any) -> None:
    cli.write("bot.yaml", PROJECT)
    assert cli("validate").out == "1 resource: valid.\n"
    platform.api("POST", "/projects", {"name": "bot", "taskType": "llm-base"})
    assert "1 resource in 1 file;" in cli("export", "--out", "live").out


def test_in_a_pipe_the_list_of_the_state_has_one_line_for_each_resource(cli: Any, platform: Any) -> None:
    """However long their names: grep and awk find the id beside the address."""
    name = "bot" * 20
    cli.write("bot.yaml", PROJECT.replace("bot}", f"{name}}}"))
    cli("apply", "--yes")
    (row,) = [line for line in cli("state", "list", COLUMNS="40").out.splitlines() if name in line]
    assert row.split() == [f"openlayer.Project/{name}", platform.projects()[name]["id"]]


def test_a_pattern_that_means_many_tests_says_how_many_it_does_not_name(cli: Any, make_project: Any) -> None:
    for number, more in ((5, ""), (12, " and 7 more")):
        cli.write("bot.yaml", make_project("bot", number))
        said = cli("suggest", "*", "--budget", "1/week", code=64).words
        assert f"means {number} tests: openlayer.Test/bot/monitoring/test 000, " in said
        assert f"openlayer.Test/bot/monitoring/test 004{more} hint:" in said


def test_destroying_nothing_says_that_nothing_is_ours(cli: Any, platform: Any) -> None:
    platform.api("POST", "/projects", {"name": "bot", "taskType": "llm-base"})
    cli.write("bot.yaml", PROJECT)
    assert cli("destroy", "--yes").out == "Nothing to remove: nothing here is ours.\n"
    assert "bot" in platform.projects()


def test_where_there_is_nothing_to_annotate_nothing_is_printed(cli: Any) -> None:
    cli.write("bot.yaml", PROJECT)
    cli("apply", "--yes")
    for command in ("validate", "drift", "plan"):
        assert cli(command, "--format", "github").out == ""
