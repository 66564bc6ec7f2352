"""Manifests become a platform and stay it: by the requests that the loop makes, and by what the platform shows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

Doc = dict[str, Any]
MakeProject = Callable[..., str]


# ------------------------------------------------------------------------------------------ both dialects


@pytest.mark.parametrize("dialect", ["", "seed"])
def test_the_whole_loop(dialect: str, bot: Any, platform: Any) -> None:
    """Create, change, replace, archive, un-archive: then the plan is empty, and a second apply writes nothing."""
    platform.renew(dialect=dialect)
    bot.environ["OPENLAYER_DIALECT"] = dialect
    bot("plan", "--detailed-exitcode", code=2)
    assert "Apply: 5 done.  (5 created)" in bot("apply", "--yes").out
    bot("plan", "--detailed-exitcode")
    live = platform.pipelines("bot")["live"]["id"]
    assert platform.tests("bot")["Answers are short"]["includePipelines"] == [live]

    bot.edit("bot.yaml", "value: 2}]", "value: 3}]")
    bot.edit("bot.yaml", "A tenth of the traffic", "A fifth of the traffic")
    bot.edit("bot.yaml", "[live]\n      evaluationWindow: 24h", "[live]\n      evaluationWindow: 7d")
    assert "Apply: 3 done.  (2 updated, 1 replaced)" in bot("apply", "--yes").out
    bot("plan", "--detailed-exitcode")
    assert platform.tests("bot")["Rows arrive"]["thresholds"][0]["value"] == 3
    assert platform.pipelines("bot")["canary"]["description"].startswith("A fifth of the traffic [reconciler:")

    text = (bot.folder / "bot.yaml").read_text()
    bot.write("bot.yaml", text.partition("    - name: Answers are short")[0])
    assert "Apply: 1 done.  (1 archived)" in bot("apply", "--yes").out
    bot("plan", "--detailed-exitcode")
    bot.write("bot.yaml", text)
    assert "Apply: 1 done.  (1 updated)" in bot("apply", "--yes").out
    bot("plan", "--detailed-exitcode")
    assert platform.tests("bot")["Answers are short"]["archived"] is False

    platform.seen.clear()
    assert "No changes" in bot("apply", "--yes").out
    assert platform.writes == []


@pytest.mark.parametrize("window", ["24h", "7d"])
def test_what_was_archived_returns_under_another_name(window: str, bot: Any, platform: Any) -> None:
    """It is the same test with its past; one that needs a new object has the old one's place, and is no second one."""
    bot("apply", "--yes")
    test = platform.tests("bot")["Answers are short"]["id"]
    bot.edit("bot.yaml", "- name: Answers are short", "- name: Answers are short\n      enabled: false")
    assert "Apply: 1 done.  (1 archived)" in bot("apply", "--yes").out
    returned = "- name: Answers stay short\n      renamedFrom: Answers are short"
    bot.edit("bot.yaml", "- name: Answers are short\n      enabled: false", returned)
    bot.edit("bot.yaml", "[live]\n      evaluationWindow: 24h", f"[live]\n      evaluationWindow: {window}")
    renamed = "1 renamed" if window == "24h" else "1 replaced"
    assert f"Apply: 1 done.  ({renamed})" in bot("apply", "--yes").out
    active = {name: item["id"] for name, item in platform.tests("bot").items() if not item["archived"]}
    assert set(active) == {"Rows arrive", "Answers stay short"}
    assert (active["Answers stay short"] == test) is (window == "24h")
    bot("plan", "--detailed-exitcode")
    assert "Answers are short" not in bot("state", "list").out


def test_an_old_server_without_patch(bot: Any, platform: Any, make_project: MakeProject) -> None:
    """It cannot change a project: the step fails and says what to do, the rest is done, nothing else is recorded."""
    platform.renew(dialect="seed")
    bot.environ["OPENLAYER_DIALECT"] = "seed"
    bot.write("other.yaml", make_project("other", 1))
    bot("apply", "--yes")
    bot.edit("bot.yaml", "description: Answers", "description: Answers customers")
    bot.edit("other.yaml", "value: 1", "value: 3")
    ended = bot("apply", "--yes", code=4)
    assert "this server cannot update a project" in ended.words
    assert "hint: it is older than the API's PATCH; change description in the web app" in ended.words
    assert "Apply: 1 done, 1 failed." in ended.out
    remembered = json.loads(bot("state", "show", "openlayer.Project/bot").out)
    assert remembered["applied"]["description"] == "Answers"
    left = json.loads(bot("plan", "--format", "json").out)
    assert [step["id"] for step in left["steps"]] == ["update:openlayer.Project/bot"]


def test_a_project_that_was_deleted_before_its_change_arrives(bot: Any, platform: Any) -> None:
    """Says that it is not there, not that the server is old."""
    bot("apply", "--yes")
    project = f"/projects/{platform.projects()['bot']['id']}"
    bot.edit("bot.yaml", "description: Answers", "description: Answers customers")
    platform.meanwhile("PATCH", project, lambda: platform.api("DELETE", project))
    ended = bot("apply", "--yes", code=4)
    assert "not found (404" in ended.words
    assert "cannot update a project" not in ended.words


# ---------------------------------------------------------------------------------------------- pipelines

BACKENDS = {
    "default": "{backendType: default}",
    "bigquery": "{backendType: bigquery, bigqueryConnectionId: c-1, projectId: p, datasetId: d, tableId: t, "
    "partitionType: DAY, config: {timestampColumnName: at}}",
    "snowflake": "{backendType: snowflake, snowflakeConnectionId: c-1, database: d, schema: s, table: t, config: {}}",
    "databricks_dtl": "{backendType: databricks_dtl, databricksDtlConnectionId: c-1, tableId: t, config: {}}",
    "redshift": "{backendType: redshift, redshiftConnectionId: c-1, schemaName: s, tableName: t, config: {}}",
    "postgres": "{backendType: postgres, postgresConnectionId: null, database: d, schema: s, table: null, "
    "config: {groundTruthColumnName: label, inferenceIdColumnName: id}}",
}


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_data_backend(backend: str, cli: Any, platform: Any, make_project: MakeProject) -> None:
    """Each variant is created and settles; a change of it is refused by name, the hidden columns included."""
    pipeline = f"  pipelines:\n    - {{name: live, dataBackend: {BACKENDS[backend]}}}\n"
    cli.write("p.yaml", make_project("p", 0, more=pipeline))
    cli("apply", "--yes")
    cli("plan", "--detailed-exitcode")
    assert platform.pipelines("p")["live"]["dataBackend"]["backendType"] == backend
    if backend == "default":
        return
    cli.edit("p.yaml", "config: {", "config: {latencyColumnName: ms" + (", " if "config: {}" not in pipeline else ""))
    ended = cli("plan", code=3)
    assert "dataBackend.config cannot be changed in place" in ended.words
    assert cli("apply", "--yes", code=3).words.count("nothing was changed") == 1


def test_a_reference_dataset(cli: Any, platform: Any, make_project: MakeProject) -> None:
    """Creating does not take it, so it is sent behind; a change is sent, although the platform never shows it."""
    pipeline = "  pipelines:\n    - {name: live, referenceDatasetUri: 's3://data/one.tar.gz'}\n"
    cli.write("p.yaml", make_project("p", 0, more=pipeline))
    cli("apply", "--yes")
    assert [method for method, _ in platform.writes] == ["POST", "POST", "PUT"]
    assert "referenceDatasetUri" in cli("drift").text
    cli("plan", "--detailed-exitcode")
    cli.edit("p.yaml", "one.tar.gz", "two.tar.gz")
    platform.seen.clear()
    cli("apply", "--yes")
    assert [method for method, _ in platform.writes] == ["PUT"]
    cli("plan", "--detailed-exitcode")


# -------------------------------------------------------------------------------------------------- tests


def test_windows_and_targets(cli: Any, platform: Any) -> None:
    """Durations arrive in seconds, pipelines as ids, exclusions too; modes and flags are spelled out."""
    cli.write(
        "p.yaml",
        """
        apiVersion: openlayer/v1
        kind: Project
        metadata: {name: p}
        spec:
          taskType: llm-base
          pipelines: [{name: live}, {name: canary}]
          testDefaults: {type: integrity, subtype: rowCount, evaluationWindow: 24h}
          tests:
            - name: everywhere
              delayWindow: 15m
              thresholds: &one [{insightName: metrics, measurement: rowCount, operator: gte, value: 1}]
            - {name: live only, pipelines: [live], evaluationWindow: 2w, thresholds: *one}
            - {name: not on canary, excludePipelines: [canary], includeHistoricalData: true, thresholds: *one}
            - {name: on commits, mode: development, evaluationWindow: null, thresholds: *one}
        """,
    )
    cli("apply", "--yes")
    cli("plan", "--detailed-exitcode")
    ids = {name: item["id"] for name, item in platform.pipelines("p").items()}
    keys = (
        "usesProductionData", "evaluationWindow", "delayWindow", "defaultToAllPipelines", "includePipelines",
        "excludePipelines", "includeHistoricalData",
    )  # fmt: skip
    shown = {name: [test[key] for key in keys] for name, test in platform.tests("p").items()}
    assert shown == {
        "everywhere": [True, 86_400, 900, True, [], [], False],
        "live only": [True, 1_209_600, 0, False, [ids["live"]], [], False],
        "not on canary": [True, 86_400, 0, True, [], [ids["canary"]], True],
        "on commits": [False, None, None, True, [], [], False],
    }


def test_tests_of_a_project_are_updated_together(cli: Any, platform: Any, make_project: MakeProject) -> None:
    """One PUT a project and hundred tests, not one a test."""
    cli.write("a.yaml", make_project("a", 120))
    cli.write("b.yaml", make_project("b", 3))
    cli("apply", "--yes")
    platform.seen.clear()
    cli.write("a.yaml", make_project("a", 120, least=2))
    cli.write("b.yaml", make_project("b", 3, least=2))
    assert "Apply: 123 done.  (123 updated)" in cli("apply", "--yes").out
    a, b = platform.projects()["a"]["id"], platform.projects()["b"]["id"]
    assert Counter(platform.writes) == {("PUT", f"/projects/{a}/tests"): 2, ("PUT", f"/projects/{b}/tests"): 1}


def test_one_bad_test_does_not_hold_up_the_others(cli: Any, platform: Any, make_project: MakeProject) -> None:
    """The platform refuses a whole batch: the bad one is found by halving and told, all others are updated."""
    extra = (
        "    - name: bad\n      type: integrity\n      subtype: containsPii\n      thresholds:\n"
        "        - {insightName: containsPii, measurement: containsPIIRowCount, operator: lte, value: 0,\n"
        "           insightParameters: {column_name: openlayer_output, pii_type: EMAIL_ADDRESS}}\n"
    )
    cli.write("a.yaml", make_project("a", 40) + extra)
    cli("apply", "--yes")
    cli.write("a.yaml", make_project("a", 40, least=2) + extra.replace(", pii_type: EMAIL_ADDRESS", ""))
    platform.seen.clear()
    ended = cli("apply", "--yes", code=4)
    assert "Apply: 40 done, 1 failed.  (40 updated)" in ended.out
    assert "FAILED openlayer.Test/a/monitoring/bad" in ended.words
    assert "payloads.0.thresholds.0.insightParameters: Length must be 2" in ended.words
    assert len(platform.writes) <= 13  # 2 * log2(41) + 1
    shown = {name: test["thresholds"][0]["value"] for name, test in platform.tests("a").items()}
    assert Counter(shown.values()) == {2.0: 40, 0.0: 1}


# ------------------------------------------------------------------------------------------------- scale


@pytest.mark.parametrize("rules", [[], [{"action": "no-meta"}], [{"action": "no-meta"}, {"action": "repeat-items"}]])
def test_lists_longer_than_a_page(rules: list[Doc], cli: Any, platform: Any, make_project: MakeProject) -> None:
    """A server with small pages, with or without a count, overlapping or not: everything is seen."""
    platform.renew(page_cap=4)
    platform.fail(*rules)
    cli.write(
        "a.yaml", make_project("a", 10, more="  pipelines: [" + ", ".join(f"{{name: p{n}}}" for n in range(9)) + "]\n")
    )
    cli("apply", "--yes")
    cli("plan", "--detailed-exitcode")
    assert "20 resources" in cli("state", "list").out


def test_a_plan_reads_each_page_once(cli: Any, platform: Any, make_project: MakeProject) -> None:
    """Ten projects with a hundred tests each: 21 requests to find that nothing changed, and no write to apply that."""
    for number in range(10):
        cli.write(f"{number}.yaml", make_project(f"project-{number}", 100))
    assert "Apply: 1,010 done." in cli("apply", "--yes").out
    platform.seen.clear()
    assert "1,010" in cli("plan", "--detailed-exitcode").out
    by_list = Counter(path.rpartition("/")[2] for _, path in platform.seen)
    assert by_list == {"projects": 1, "inference-pipelines": 10, "tests": 10}
    platform.seen.clear()
    cli("apply", "--yes")
    assert platform.writes == []


NEEDLESS = {
    "deepdiff",
    "getpass",
    "reconciler.applying",
    "reconciler.emulator",
    "reconciler.evaluating",
    "reconciler.forge",
    "reconciler.manifests.environment",
    "reconciler.manifests.pins",
    "reconciler.manifests.schemas",
    "reconciler.reporting.machine",
    "reconciler.reporting.markdown",
    "sqlite3",
    "starlette",
    "uvicorn",
}


def test_a_plan_without_changes_imports_what_it_needs(bot: Any) -> None:
    """Six tenths of a small plan are imports: of other commands, forms and documents there shall be none."""
    bot("apply", "--yes")
    said, imports = bot.start("plan", PYTHONPROFILEIMPORTTIME="1").communicate(timeout=60)
    assert "No changes" in said
    imported = {line.rpartition("|")[2].strip() for line in imports.splitlines()}
    assert {"pydantic", "reconciler.providers.http", "reconciler.reporting.text"} <= imported
    assert imported & NEEDLESS == set()


def test_what_was_written_is_read_back_and_nothing_else(cli: Any, platform: Any, make_project: MakeProject) -> None:
    """A list is read again if something in it was changed, or in one that names what stands in it."""
    for name in ("tests", "pipelines", "nothing"):
        more = "  pipelines: [{name: live, description: A}]\n"
        cli.write(f"{name}.yaml", make_project(f"with-{name}-changed", 1, more=more))
    cli("apply", "--yes")
    cli.edit("tests.yaml", "value: 1", "value: 3")
    cli.edit("pipelines.yaml", "description: A", "description: B")
    ids = {platform.projects()[f"with-{name}-changed"]["id"]: name for name in ("tests", "pipelines", "nothing")}
    platform.seen.clear()
    assert "2 updated" in cli("apply", "--yes").out
    reads = Counter(
        (ids[path.split("/")[2]], path.rpartition("/")[2])
        for method, path in platform.seen
        if method == "GET" and path.count("/") == 3
    )
    assert reads == {
        ("tests", "inference-pipelines"): 1,
        ("tests", "tests"): 2,
        ("pipelines", "inference-pipelines"): 2,
        ("pipelines", "tests"): 2,
        ("nothing", "inference-pipelines"): 1,
        ("nothing", "tests"): 1,
    }
    cli("plan", "--detailed-exitcode")


def test_white_space_at_the_end_of_a_description_is_no_change(bot: Any) -> None:
    """A block of YAML text ends with a line break, in front of our marker at the platform."""
    bot.edit("bot.yaml", "A tenth of the traffic}", '"A tenth of the traffic\\n"}')
    bot.edit("bot.yaml", "description: Answers", "description: |\n        Answers\n        Twice")
    bot("apply", "--yes")
    bot("plan", "--detailed-exitcode")
    bot("drift")


def test_a_test_that_is_left_without_a_pipeline_does_not_run_on_all(bot: Any, platform: Any) -> None:
    """Somebody deletes the one that it names; it goes on to exist, and measures nothing."""
    bot("apply", "--yes")
    platform.api("DELETE", f"/inference-pipelines/{platform.pipelines('bot')['live']['id']}")
    bot.edit("bot.yaml", "    - name: live\n", "")
    bot.edit("bot.yaml", "      pipelines: [live]\n", "")
    assert 'pipelines: [] -> "all"' in bot("plan", "--detailed-exitcode", code=2).words
    bot("apply", "--yes")
    bot("plan", "--detailed-exitcode")
    assert platform.tests("bot")["Answers are short"]["defaultToAllPipelines"] is True
