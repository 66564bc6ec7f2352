"""What is ours and what is not: taking over, exporting, drift, destroying, and mending the memory."""

from __future__ import annotations

import json
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.model.state import fold
from reconciler.storage.file import FileStore

Doc = dict[str, Any]
PII = {
    "name": "No ${PII} in answers",
    "description": "Regulators ask",
    "type": "integrity",
    "subtype": "containsPii",
    "usesProductionData": True,
    "usesReferenceDataset": True,
    "delayWindow": 600,
    "thresholds": [
        {
            "insightName": "containsPii",
            "insightParameters": [
                {"name": "pii_type", "value": "EMAIL_ADDRESS"},
                {"name": "column_name", "value": "openlayer_output"},
            ],
            "measurement": "containsPIIRowCount",
            "operator": "<=",
            "value": 0,
        }
    ],
}
ROWS = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 5.5}


@pytest.fixture
def by_hand(platform: Any) -> Any:
    """A workspace that somebody made by hand: odd names, all sorts of fields, an archived and a development test."""
    odd = {"name": 'Søk & svar: "v2" #1', "taskType": "text-classification", "purpose": "no", "modelTypes": ["a", "b"]}
    project = platform.api("POST", "/projects", {**odd, "description": "yes: # no", "dataRetentionDays": 30})
    pipelines = f"/projects/{project['id']}/inference-pipelines"
    live = platform.api("POST", pipelines, {"name": "live/eu", "description": None})
    warehouse: Doc = {
        "backendType": "redshift",
        "redshiftConnectionId": None,
        "schemaName": "s",
        "tableName": "t",
        "config": {},
    }
    platform.api("POST", pipelines, {"name": "12:30", "description": "~", "dataBackend": warehouse})
    tests = f"/projects/{project['id']}/tests"
    targeted = {"defaultToAllPipelines": False, "includePipelines": [live["id"]], "evaluationWindow": 604_800}
    platform.api("POST", tests, {**PII, **targeted})
    development = {"usesProductionData": False, "usesValidationDataset": True, "delayWindow": None}
    platform.api(
        "POST",
        tests,
        {**PII, **development, "usesReferenceDataset": False, "subtype": "rowCount", "thresholds": [ROWS]},
    )
    gone = platform.api("POST", tests, {**PII, "name": "old", "usesReferenceDataset": False})
    platform.api("PUT", f"/tests/{gone['id']}", {"archived": True})
    platform.api("POST", "/projects", {"name": "empty", "taskType": "llm-base"})
    return platform


# ------------------------------------------------------------------------------------------------ export


def test_an_exported_workspace_plans_to_no_changes(by_hand: Any, cli: Any) -> None:
    """Not ours yet, and nothing to do; exporting wrote nothing to the platform."""
    before = by_hand.everything()
    exported = cli("export", "--out", "live")
    assert "6 resources in 2 files; not ours until 'apply --adopt'." in exported.out
    cli("validate", "live")
    cli("plan", "live", "--detailed-exitcode")
    assert by_hand.writes == []
    cli("apply", "live", "--yes", "--adopt")
    cli("plan", "live", "--detailed-exitcode")
    assert (by_hand.writes, by_hand.everything()) == ([], before)


def test_export_and_adopt_in_one(by_hand: Any, cli: Any) -> None:
    """The objects are ours from then on, and the platform was only read."""
    assert "6 resources in 2 files, which are ours now." in cli("export", "--out", "live", "--adopt").out
    cli("plan", "live", "--detailed-exitcode")
    left = json.loads(cli("plan", "live", "--format", "json").out)
    assert (left["steps"], left["summary"]["unchanged"]) == ([], 6)
    assert cli("state", "list").out.count("openlayer.") == 6
    assert by_hand.writes == []


def test_an_export_knows_what_is_ours_already(by_hand: Any, cli: Any) -> None:
    """All of it, or all but what somebody has made since."""
    cli("export", "--out", "live", "--adopt")
    assert "6 resources in 2 files, which are ours." in cli("export", "--out", "live", "--force").out
    by_hand.api("POST", "/projects", {"name": "new", "taskType": "llm-base"})
    told = cli("export", "--out", "live", "--force").out
    assert "7 resources in 3 files; 1 not ours until 'apply --adopt'." in told


def test_an_export_overwrites_nothing(by_hand: Any, cli: Any) -> None:
    """A file in the way is named; --force replaces it."""
    assert by_hand.projects()
    cli("export", "--out", "live")
    ended = cli("export", "--out", "live", code=64)
    assert "is there already" in ended.err
    cli("export", "--out", "live", "--force")


def test_an_export_tells_what_is_declared_twice_from_then_on(bot: Any) -> None:
    """Where both files are read, and nowhere else."""
    bot("apply", "--yes")
    told = bot("export", "--out", "live")
    project = "openlayer.Project/bot"
    assert f"warning: bot.yaml declares {project}, and live/bot.yaml does so, too: remove one of them" in told.words
    assert "declared twice" in bot("plan", code=1).words
    assert "No changes." in bot("plan", "live").out
    assert "does so, too" in bot("export", "--out", "live", "--force", "--adopt").words
    assert "warning" not in bot("export", "--out", ".hidden").err
    (bot.folder / "bot.yaml").unlink()
    assert "warning" not in bot("export", "--out", "live", "--force").err


# --------------------------------------------------------------------------------------------- adopting


def test_what_equals_its_manifest_waits_for_adopt(bot: Any, platform: Any) -> None:
    """Lost state: the plan has nothing to do, shows what could be adopted, and changes nothing by itself."""
    bot("apply", "--yes")
    (bot.folder / ".reconciler" / "default.state.json").unlink()
    (bot.folder / ".reconciler" / "default.journal.jsonl").unlink()
    before = platform.everything()
    platform.seen.clear()
    bot("plan", "--detailed-exitcode")
    bot("apply", "--yes")
    assert bot("state", "list").out.count("openlayer.") == 0
    bot("apply", "--yes", "--adopt")
    assert bot("state", "list").out.count("openlayer.") == 5
    bot("plan", "--detailed-exitcode")
    assert (platform.writes, platform.everything()) == ([], before)


@pytest.mark.parametrize(
    ("by_hand", "former"),
    [(False, ", renamedFrom: bot"), (True, ", renamedFrom: bot"), (True, "")],
    ids=["renamed by us", "renamed by hand", "renamed by hand and unsaid"],
)
def test_a_project_that_is_adopted_under_a_new_name_takes_along_what_is_ours_in_it(
    by_hand: bool, former: str, bot: Any, platform: Any
) -> None:
    """The state remembers what stands in the project, and not the project itself."""
    bot("apply", "--yes")
    forget_only_the_project(bot, platform)
    if by_hand:
        platform.api("PATCH", f"/projects/{platform.projects()['bot']['id']}", {"name": "help"})
    bot.edit("bot.yaml", "{name: bot}", f"{{name: help{former}}}")
    bot.edit("bot.yaml", "value: 100", "value: 90")
    platform.seen.clear()
    bot("apply", "--yes", "--adopt")
    project = platform.projects()["help"]["id"]
    renamed = [] if by_hand else [("PATCH", f"/projects/{project}")]
    assert platform.writes == [*renamed, ("PUT", f"/projects/{project}/tests")]
    assert len(platform.tests("help")) == 2
    listed = bot("state", "list").out
    assert (listed.count("/help"), listed.count("/bot")) == (5, 0)
    assert "No changes" in bot("plan", "--detailed-exitcode").out


def test_what_is_ours_in_a_project_that_is_not_is_changed_under_its_new_name(bot: Any, platform: Any) -> None:
    """Nobody adopts the project, which somebody has renamed."""
    bot("apply", "--yes")
    forget_only_the_project(bot, platform)
    platform.api("PATCH", f"/projects/{platform.projects()['bot']['id']}", {"name": "help"})
    bot.edit("bot.yaml", "{name: bot}", "{name: help}")
    bot.edit("bot.yaml", "value: 100", "value: 90")
    bot("apply", "--yes")
    assert "No changes" in bot("plan", "--detailed-exitcode").out
    listed = bot("state", "list").out
    assert (listed.count("Answers are short"), "Project" in listed) == (1, False)


def forget_only_the_project(bot: Any, platform: Any) -> None:
    bot("state", "rm", "openlayer.Project/bot")
    for name, test in platform.tests("bot").items():
        bot("state", "import", f"openlayer.Test/bot/monitoring/{name}", test["id"])
    for name, pipeline in platform.pipelines("bot").items():
        bot("state", "import", f"openlayer.InferencePipeline/bot/{name}", pipeline["id"])


def test_two_of_one_name_stop_the_plan(bot: Any, platform: Any) -> None:
    """Nobody guesses between twins: both ids are named, and one can be chosen."""
    bot("apply", "--yes")
    project = platform.projects()["bot"]["id"]
    bot("state", "rm", "openlayer.Test/bot/monitoring/Rows arrive")
    first = platform.tests("bot")["Rows arrive"]
    body = {key: first[key] for key in ("name", "description", "type", "subtype", "usesProductionData")}
    twin = platform.api("POST", f"/projects/{project}/tests", {**body, "thresholds": [ROWS]})
    ended = bot("apply", "--yes", "--adopt", code=3)
    assert "2 live objects have this identity" in ended.words
    assert first["id"] in ended.words
    assert twin["id"] in ended.words
    bot("state", "import", "openlayer.Test/bot/monitoring/Rows arrive", first["id"])
    bot("apply", "--yes")
    bot("plan", "--detailed-exitcode")


# ------------------------------------------------------------------------------------------------- drift


def test_drift_says_what_somebody_changed(bot: Any, platform: Any) -> None:
    """0 clean, 2 drifted, 1 when nobody can tell; changes of the manifests are not drift."""
    bot("apply", "--yes")
    bot("drift")
    bot.edit("bot.yaml", "value: 100", "value: 90")
    bot("drift")
    canary = platform.pipelines("bot")["canary"]["id"]
    platform.api("PUT", f"/inference-pipelines/{canary}", {"description": "By hand"})
    ended = bot("drift", code=2)
    assert "openlayer.InferencePipeline/bot/canary" in ended.out
    assert "By hand" in ended.out
    assert "Answers are short" not in ended.out
    assert platform.writes[-1][0] == "POST"  # nothing since the apply
    platform.fail({"method": "GET", "action": "status", "status": 403})
    bot("drift", code=1)


def test_who_has_the_name_of_ours_is_told_and_left_alone(bot: Any, platform: Any) -> None:
    """It is neither drift nor a change, and stays as it is: people may make tests of one name."""
    bot("apply", "--yes")
    ours = platform.tests("bot")["Rows arrive"]
    made = {"name": ours["name"], "type": "integrity", "subtype": "rowCount", "thresholds": [ROWS]}
    made["usesProductionData"] = True
    tests = f"/projects/{platform.projects()['bot']['id']}/tests"
    theirs = platform.api("POST", tests, {**made, "description": "By hand"})
    told = f"openlayer.Test/bot/monitoring/Rows arrive: {theirs['id']} has the name of ours, {ours['id']}, and is left"
    for command in ("plan", "drift"):
        (warning,) = json.loads(bot(command, "--format", "json").out)["warnings"]
        assert warning.startswith(told)
    assert theirs["id"] in bot("plan", "--detailed-exitcode").out
    copy = platform.api("POST", tests, {**made, "description": ours["description"]})
    assert f"{copy['id']} has the name and the mark of ours, {ours['id']}" in " ".join(bot("plan").out.split())
    platform.seen.clear()
    bot("apply", "--yes")
    assert platform.writes == []


@pytest.mark.parametrize("way", ["apply", "destroy"])
def test_a_project_with_what_a_stranger_archived_goes_only_where_that_is_acknowledged(
    way: str, bot: Any, platform: Any
) -> None:
    """Neither that the project may be deleted, nor the environment's name, says that their history may go."""
    bot.edit("bot.yaml", "spec:\n", "spec:\n  lifecycle: {onRemoval: delete}\n")
    bot("apply", "--yes")
    tests = f"/projects/{platform.projects()['bot']['id']}/tests"
    theirs = platform.api("POST", tests, {**PII, "name": "theirs", "usesReferenceDataset": False})
    platform.api("PUT", f"/tests/{theirs['id']}", {"archived": True})
    bot.write(
        "bot.yaml", "apiVersion: openlayer/v1\nkind: Project\nmetadata: {name: other}\nspec: {taskType: llm-base}\n"
    )
    words = bot(way, "--yes", code=3).words
    assert "3 would be deleted for good, and with that what is archived and not known as ours:" in words
    assert "openlayer.Test/bot/monitoring/theirs hint: if that is meant: --ack delete=3" in words
    assert platform.tests("bot")["theirs"]["id"] == theirs["id"]
    bot(way, "--yes", "--ack", "delete=3")
    assert "bot" not in platform.projects()


def test_what_the_manifests_say_by_now_as_well_is_no_drift(bot: Any, platform: Any) -> None:
    """Nothing would be put back, so it is clean; and said to match the manifests, not what was applied."""
    bot("apply", "--yes")
    canary = platform.pipelines("bot")["canary"]["id"]
    platform.api("PUT", f"/inference-pipelines/{canary}", {"description": "By hand"})
    bot("drift", code=2)
    bot.edit("bot.yaml", "A tenth of the traffic", "By hand")
    assert bot("drift").out == "Clean: 5 resources match the manifests.\n"


def test_a_test_archived_by_hand_is_drift(bot: Any, platform: Any) -> None:
    """And the next apply brings it back, as itself."""
    bot("apply", "--yes")
    item = platform.tests("bot")["Rows arrive"]
    platform.api("PUT", f"/tests/{item['id']}", {"archived": True})
    assert "Rows arrive" in bot("drift", code=2).out
    bot("apply", "--yes")
    assert platform.tests("bot")["Rows arrive"]["archived"] is False
    bot("drift")


class Overlooking:
    """The platform, whose first ``times`` lists that hold something of this name leave it out."""

    def __init__(self, app: ASGIApp, name: str, times: int) -> None:
        self._app, self._name, self._times = app, name.encode(), times

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def shown(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name, value) for name, value in message["headers"] if name != b"content-length"]
                message = {**message, "headers": headers}
            elif self._times and b'"name":"%s"' % self._name in message["body"]:
                self._times -= 1
                answer = json.loads(message["body"])
                left = [item for item in answer["items"] if item["name"] != self._name.decode()]
                message = {**message, "body": json.dumps({**answer, "items": left}).encode()}
            await send(message)

        await self._app(scope, receive, shown)


@pytest.mark.parametrize("name", ["bot", "canary", "Rows arrive"])
def test_what_one_list_leaves_out_is_not_gone(name: str, bot: Any, platform: Any) -> None:
    """A page has shifted while it was read: the list is read once more, and shows it."""
    bot("apply", "--yes")
    platform.seen.clear()
    bot("drift")
    healthy = len(platform.seen)
    for command, said in (("drift", "Clean: 5 resources match the manifests."), ("plan", "No changes.")):
        platform.seen.clear()
        platform.door = Overlooking(platform.app, name, 1)
        assert said in bot(command).out
        assert len(platform.seen) == healthy + 1
    platform.door = Overlooking(platform.app, name, 1)
    bot("apply", "--yes")
    assert platform.writes == []


def test_what_two_lists_leave_out_is_gone(bot: Any, platform: Any) -> None:
    bot("apply", "--yes")
    platform.seen.clear()
    bot("plan")
    healthy = len(platform.seen)
    platform.api("DELETE", f"/inference-pipelines/{platform.pipelines('bot')['canary']['id']}")
    platform.seen.clear()
    assert "removed at the platform" in bot("drift", code=2).words
    assert len(platform.seen) == healthy + 1


def test_an_apply_says_that_it_created_nothing(bot: Any, platform: Any) -> None:
    """The lists of the plan have left it out twice; the one before the create shows it."""
    bot("apply", "--yes")
    platform.door = Overlooking(platform.app, "canary", 2)
    told = bot("apply", "--yes").words
    assert "openlayer.InferencePipeline/bot/canary was there all along: lists had left it out" in told
    assert sorted(platform.pipelines("bot")) == ["canary", "live"]


@pytest.mark.parametrize("history", ["never applied", "state lost", "state emptied"])
def test_drift_of_what_is_not_ours_can_not_be_told(bot: Any, history: str) -> None:
    """Exit 1, with the number of what is declared: nothing that was applied is there to compare with."""
    if history != "never applied":
        bot("apply", "--yes", "--env", "local")
        bot("drift", "--env", "local")
    if history == "state lost":
        for file in [*bot.folder.glob(".reconciler/local.state.json*"), *bot.folder.glob(".reconciler/local.journal*")]:
            file.unlink()
    if history == "state emptied":
        bot("state", "rm", "openlayer.Project/bot", "--env", "local")
    told = bot("drift", "--env", "local", "--report=markdown=drift.md", code=1)
    assert "could not tell what drifted: none of the 5 declared resources is ours" in told.words
    assert "hint: was the state lost, or nothing applied yet?" in told.words
    assert "reconciler apply --env local --adopt" in told.words
    assert "Clean" not in told.text
    assert "none of the 5 declared resources is ours" in (bot.folder / "drift.md").read_text()
    github = bot("drift", "--env", "local", "--format", "github", "--select", "*.Test/*", code=1)
    assert "none of the 2 declared resources is ours" in github.words


def test_drift_says_what_it_did_not_look_at(bot: Any) -> None:
    """What is declared and was never applied has nothing to drift from: no error, but no silence either."""
    bot("apply", "--yes")
    bot("state", "rm", "*/Rows arrive")
    told = bot("drift")
    assert "Clean: 4 resources match the manifests." in told.out
    assert "1 declared resource is not ours, so drift in it is not looked for" in told.words
    assert "is not ours" in json.loads(bot("drift", "--format", "json").out)["warnings"][0]
    assert "not ours" not in bot("drift", "--select", "*.InferencePipeline/*").text
    assert "the one declared resource is not ours" in bot("drift", "--select", "*/Rows arrive", code=1).words


def test_what_was_archived_by_hand_before_it_left_the_manifests_is_only_remembered(
    cli: Any, platform: Any, make_project: Any
) -> None:
    """Nothing is left to archive: nothing is asked for, nothing is sent, and the same objects return when it does."""
    cli.write("bot.yaml", make_project("bot", 8))
    cli("apply", "--yes")
    known = {name: test["id"] for name, test in platform.tests("bot").items()}
    gone = [{"id": test_id, "archived": True} for test_id in list(known.values())[1:]]
    platform.api("PUT", f"/projects/{platform.projects()['bot']['id']}/tests", {"payloads": gone})
    cli.write("bot.yaml", make_project("bot", 1))
    platform.seen.clear()
    assert "Apply: 7 done.  (7 forgotten)" in cli("apply", "--yes").out
    assert platform.writes == []
    cli("plan", "--detailed-exitcode")
    cli.write("bot.yaml", make_project("bot", 8))
    assert "Apply: 7 done.  (7 updated)" in cli("apply", "--yes").out
    assert {name: test["id"] for name, test in platform.tests("bot").items() if not test["archived"]} == known


# --------------------------------------------------------------------------------------------- destroying


def test_destroy_takes_ours_and_nothing_else(bot: Any, by_hand: Any) -> None:
    """Objects that people made are the same to the last byte."""
    before = by_hand.everything()
    bot("apply", "--yes")
    bot("destroy", code=7)
    assert "bot" in by_hand.projects()
    bot("destroy", "--yes")
    assert by_hand.everything() == before
    assert "0 resources" in bot("state", "list").out
    bot("plan", "--detailed-exitcode", code=2)


def test_deletes_are_made_sure_of_with_one_list_a_parent(bot: Any, platform: Any, make_project: Any) -> None:
    """Two pipelines of a project, and two projects: a list each, after the last delete that it tells of."""
    bot.write("other.yaml", make_project("other", 0))
    bot("apply", "--yes")
    project = platform.projects()["bot"]["id"]
    platform.seen.clear()
    bot("destroy", "--yes")
    first = next(place for place, (method, _) in enumerate(platform.seen) if method == "DELETE")
    lists = [path for method, path in platform.seen[first:] if method == "GET" and "task" not in path]
    assert platform.projects() == {}
    assert sum(method == "DELETE" for method, _ in platform.seen) == 4
    assert lists == [f"/projects/{project}/inference-pipelines", "/projects"]


def test_destroy_does_not_take_strangers_along(bot: Any, platform: Any) -> None:
    """A project that holds something of somebody else's stays: exit 3, and nothing was removed."""
    bot("apply", "--yes")
    project = platform.projects()["bot"]["id"]
    platform.api("POST", f"/projects/{project}/inference-pipelines", {"name": "theirs", "description": None})
    before = platform.everything()
    ended = bot("destroy", "--yes", code=3)
    assert "openlayer.InferencePipeline/bot/theirs" in ended.words
    assert platform.everything() == before


def test_a_plan_says_who_names_what_it_deletes(bot: Any, platform: Any) -> None:
    """Somebody else's test is left without the pipeline that it runs on."""
    bot.edit("bot.yaml", "A tenth of the traffic}", "A tenth of the traffic, lifecycle: {onRemoval: delete}}")
    bot("apply", "--yes")
    body = {"name": "Theirs", "description": None, "type": "integrity", "subtype": "rowCount"}
    canary = platform.pipelines("bot")["canary"]["id"]
    project = platform.projects()["bot"]["id"]
    scope = {"usesProductionData": True, "defaultToAllPipelines": False, "includePipelines": [canary]}
    threshold = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 1}
    platform.api("POST", f"/projects/{project}/tests", {**body, **scope, "thresholds": [threshold]})
    text = (bot.folder / "bot.yaml").read_text()
    start, end = text.index("    - {name: canary"), text.index("  tests:")
    bot.write("bot.yaml", text[:start] + text[end:])
    assert "it is named by what stays: openlayer.Test/bot/monitoring/Theirs" in bot("plan").words


@pytest.mark.parametrize("protect", [False, True])
def test_a_pipeline_does_not_go_alone_while_a_test_of_ours_names_it(protect: bool, bot: Any, platform: Any) -> None:
    """Whatever is selected: the test is pointed elsewhere first, and where it may not be, the pipeline stays."""
    bot.edit("bot.yaml", "- name: live", "- {name: live, lifecycle: {onRemoval: delete}}")
    bot.edit(
        "bot.yaml", "pipelines: [live]", f"pipelines: [live]\n      lifecycle: {{protect: {str(protect).lower()}}}"
    )
    bot("apply", "--yes")
    bot.edit("bot.yaml", "- {name: live,", "- {name: prod,")
    bot.edit("bot.yaml", "pipelines: [live]", "pipelines: [prod]")
    bot("apply", "--yes", "--select", "openlayer.InferencePipeline/bot/live", code=3 if protect else 0)
    pipelines = platform.pipelines("bot")
    assert set(pipelines) == ({"live", "canary"} if protect else {"prod", "canary"})
    runs_on = platform.tests("bot")["Answers are short"]["includePipelines"]
    assert runs_on == [pipelines["live" if protect else "prod"]["id"]]


def test_destroy_with_a_path_takes_what_was_declared_there(bot: Any, platform: Any, make_project: Any) -> None:
    """Without one also what is in no manifest any more."""
    for name in ("old", "older"):
        (bot.folder / f"{name}.yaml").write_text(make_project(name, 1))
    bot("apply", "--yes")
    bot("destroy", "old.yaml", "--yes")
    assert platform.projects().keys() == {"bot", "older"}
    bot("plan", "bot.yaml", "older.yaml", "--detailed-exitcode")
    (bot.folder / "older.yaml").unlink()
    (bot.folder / "old.yaml").unlink()
    bot("destroy", "--yes")
    assert platform.projects() == {}


def test_destroy_with_a_path_leaves_what_holds_something_from_elsewhere(bot: Any, platform: Any) -> None:
    """Deleting a project deletes whatever is in it."""
    bot("apply", "--yes")
    bot.write(
        "more.yaml",
        """
        apiVersion: openlayer/v1
        kind: TestSet
        metadata: {name: more}
        spec:
          appliesTo: {projects: [bot]}
          tests:
            - name: More rows arrive
              type: integrity
              subtype: rowCount
              thresholds: [{insightName: metrics, measurement: rowCount, operator: ">=", value: 3}]
        """,
    )
    bot("apply", "--yes")
    before = platform.everything()
    ended = bot("destroy", "bot.yaml", "--yes", code=3)
    assert "declared outside the given paths: openlayer.Test/bot/monitoring/More rows arrive" in ended.words
    assert platform.everything() == before


def test_protected_stays(bot: Any, platform: Any) -> None:
    """Also after its block has gone from the manifests: the state remembers."""
    bot.edit("bot.yaml", "subtype: rowCount", "subtype: rowCount\n      lifecycle: {protect: true}")
    bot("apply", "--yes")
    bot("destroy", "--yes", code=3)
    text = (bot.folder / "bot.yaml").read_text()
    start, end = text.index("    - name: Rows arrive"), text.index("    - name: Answers are short")
    bot.write("bot.yaml", text[:start] + text[end:])
    assert "it is protected" in bot("apply", "--yes", code=3).words
    assert platform.tests("bot")["Rows arrive"]["archived"] is False


def test_protection_is_given_up_by_saying_so(bot: Any, platform: Any) -> None:
    """Taking out the line that gave it does not, whether the apply after that does anything or nothing."""
    protected = "subtype: rowCount\n      lifecycle: {protect: true}"
    bot.edit("bot.yaml", "subtype: rowCount", protected)
    bot("apply", "--yes")
    bot.edit("bot.yaml", protected, "subtype: rowCount")
    assert "No changes" in bot("apply", "--yes").words
    bot("destroy", "--yes", code=3)
    bot.edit("bot.yaml", "value: 2", "value: 3")
    bot("apply", "--yes")
    bot("destroy", "--yes", code=3)
    bot.edit("bot.yaml", "name: Rows arrive", "name: More rows arrive\n      renamedFrom: Rows arrive")
    bot("apply", "--yes")
    bot.edit("bot.yaml", "{name: bot}", "{name: help, renamedFrom: bot}")
    bot.edit("bot.yaml", "value: 3", "value: 4")
    bot("apply", "--yes")
    assert "apply lifecycle.protect: false first" in bot("destroy", "--yes", code=3).words
    bot.edit("bot.yaml", "subtype: rowCount", "subtype: rowCount\n      lifecycle: {protect: false}")
    assert "No changes" in bot("apply", "--yes").words
    bot("destroy", "--yes")
    assert platform.projects() == {}


def test_an_emptied_folder_removes_nothing(bot: Any, platform: Any) -> None:
    """No manifests is an error, not a wish."""
    bot("apply", "--yes")
    (bot.folder / "bot.yaml").unlink()
    before = platform.everything()
    bot("apply", "--yes", code=1)
    assert platform.everything() == before


# ------------------------------------------------------------------------------- the key of another workspace


@pytest.mark.parametrize(
    "command",
    ["plan", "drift", "status", "apply --adopt --yes", "destroy --yes", "evaluate"],
)
def test_another_workspace_with_the_same_names_is_not_ours(command: str, bot: Any, platform: Any) -> None:
    """Two environments in two workspaces at one address, and the key of one is used for the other: nothing there is
    touched, and nothing is forgotten.
    """
    for name in ("production", "staging"):
        bot.write(
            f"{name}.yaml", f"apiVersion: reconciler/v1\nkind: Environment\nmetadata: {{name: {name}}}\nspec: {{}}\n"
        )
        platform.renew()
        bot("apply", "--yes", "--env", name)
    known, there = bot("state", "list", "--env", "production").out, platform.everything()
    platform.seen.clear()
    words = bot(*command.split(), "--env", "production", code=1).words
    assert "lists nothing of 5 resources of ours" in words
    assert "the key of another workspace, where others have 5 of the names" in words
    assert platform.writes == []
    assert bot("state", "list", "--env", "production").out == known
    assert platform.everything() == there


def test_nothing_is_forgotten_for_what_another_workspace_has_under_its_name(bot: Any, platform: Any) -> None:
    """``export --adopt`` with the key of another workspace."""
    bot("apply", "--yes")
    known = bot("state", "list").out
    platform.renew()
    (bot.folder / ".reconciler").rename(bot.folder / "aside")
    bot("apply", "--yes")
    shutil.rmtree(bot.folder / ".reconciler")
    (bot.folder / "aside").rename(bot.folder / ".reconciler")
    words = bot("export", "--adopt", "--out", "exported", code=1).words
    assert "openlayer lists none of 1 root of ours (openlayer.Project/bot); this looks like the key of another" in words
    assert bot("state", "list").out == known
    assert not (bot.folder / "exported").exists()
    bot("export", "--out", "exported")  # to look on is no harm


# ------------------------------------------------------------------------------------------------- memory


def test_the_memory_can_be_looked_into_and_mended(bot: Any, platform: Any) -> None:
    """list, show, rm, import, mv: each changes the memory only, and says what it did."""
    assert bot("state", "list").out == "No state yet.\n"
    bot("apply", "--yes")
    address = "openlayer.Test/bot/monitoring/Rows arrive"
    item = platform.tests("bot")["Rows arrive"]
    before = platform.everything()
    assert address in bot("state", "list").out
    assert json.loads(bot("state", "show", address).out)["remote_id"] == item["id"]
    near = bot("state", "show", "openlayer.Test/bot/monitoring/Row arrives", code=64)
    assert f"did you mean {address}?" in near.words
    assert f". {address}" in bot("state", "rm", address).out
    assert address not in bot("state", "list").out
    bot("plan", "--detailed-exitcode")  # a stranger now, but as it should be
    bot("state", "import", address, "no-such-id", code=64)
    bot("state", "import", address, item["id"])
    bot("plan", "--detailed-exitcode")
    moved = "openlayer.Test/bot/monitoring/Rows came"
    assert f"did you mean {address}?" in bot("state", "mv", "bot/monitoring/Row arrives", moved, code=64).words
    there_and_back = (address, moved), (moved, address), ("bot/monitoring/Rows arrive", "bot/monitoring/Rows came")
    assert [bot("state", "mv", *each).out for each in there_and_back] == [
        f"> {moved}  (was {address})\n",
        f"> {address}  (was {moved})\n",
        f"> {moved}  (was {address})\n",
    ]
    assert json.loads(bot("state", "show", "bot/monitoring/Rows came").out)["remote_id"] == item["id"]
    bot("state", "mv", "bot", "openlayer.Test/bot/monitoring/x", code=64)
    bot.edit("bot.yaml", "Rows arrive", "Rows came")
    assert platform.everything() == before
    assert 'name: "Rows arrive" -> "Rows came"' in bot("apply", "--yes").out
    assert platform.tests("bot")["Rows came"]["id"] == item["id"]
    bot("plan", "--detailed-exitcode")


def test_making_room_at_an_address_says_what_goes_along(cli: Any, make_project: Any) -> None:
    for name, tests in (("one", 3), ("two", 1), ("three", 0)):
        cli.write(f"{name}.yaml", make_project(name, tests))
    cli("apply", "--yes")
    one, two, three = (f"openlayer.Project/{name}" for name in ("one", "two", "three"))
    told = cli("state", "mv", three, one, code=64)
    assert f"forget it first, and with it the 3 resources in it: reconciler state rm '{one}'" in told.words
    told = cli("state", "mv", three, two, code=64)
    assert f"forget it first, and with it the 1 resource in it: reconciler state rm '{two}'" in told.words
    assert f"forget it first: reconciler state rm '{three}'" in cli("state", "mv", one, three, code=64).words
    told = cli("state", "mv", one, one, code=64)
    assert told.words == f"error: {one} is to be moved onto itself hint: name another address"


def test_a_list_of_the_memory_is_narrowed_and_never_by_nothing(bot: Any) -> None:
    """As in a plan, a glob that names nothing is exit 64."""
    bot("apply", "--yes")
    listed = bot("state", "list", "--select", "*.InferencePipeline/*").out
    assert ("bot/live" in listed, "bot/canary" in listed, "Rows arrive" in listed) == (True, True, False)
    told = bot("state", "list", "--select", "*.Test/*", "--select", "zzz*", code=64)
    assert "--select 'zzz*' matches no resource" in told.words
    assert told.words == bot("plan", "--select", "*.Test/*", "--select", "zzz*", code=64).words


def test_an_export_leaves_out_nothing_that_was_asked_for(by_hand: Any, bot: Any) -> None:
    """One misspelt name among several, and nothing is written."""
    name = next(iter(by_hand.projects()))
    told = bot("export", "--out", "out", "--select", name, "--select", "zzz", code=64)
    assert "--select 'zzz' matches no project" in told.words
    assert not (bot.folder / "out").exists()


@pytest.mark.parametrize("command", ["show ADDRESS", "rm *.Test/*", "mv ADDRESS NEW", "import ADDRESS ID", "unlock ID"])
def test_mending_takes_no_option_that_would_do_nothing(command: str, bot: Any) -> None:
    """``state rm PATTERN --select GLOB`` would forget what the glob was meant to spare."""
    bot("apply", "--yes")
    before = bot("state", "list").out
    for option in ("--select=nope", "--parallelism=2"):
        told = bot("state", *command.split(), option, code=64)
        assert "No such option" in told.words
        assert option.partition("=")[0] in told.words
    assert bot("state", "list").out == before


def test_what_is_gone_on_both_sides_is_forgotten(bot: Any, platform: Any, make_project: Any) -> None:
    """The manifest and the project were removed: nothing is sent but reads, and the state is clean."""
    bot.write("other.yaml", make_project("other", 2))
    bot("apply", "--yes")
    (bot.folder / "bot.yaml").unlink()
    platform.api("DELETE", f"/projects/{platform.projects()['bot']['id']}")
    platform.seen.clear()
    assert "Apply: 5 done.  (5 forgotten)" in bot("apply", "--yes").out
    assert platform.writes == []
    assert "openlayer.Project/bot" not in bot("state", "list").out
    bot("plan", "--detailed-exitcode")


def test_a_forgotten_project_takes_its_inside_along(bot: Any, platform: Any) -> None:
    """``state rm`` of a root forgets everything in it, at the platform nothing changes."""
    bot("apply", "--yes")
    before = platform.everything()
    assert "Forgotten: 5." in bot("state", "rm", "openlayer.Project/bot").out
    assert platform.everything() == before
    assert bot("state", "rm", "openlayer.Project/bot", code=64).err.startswith(
        "error: openlayer.Project/bot matches nothing"
    )


@pytest.mark.parametrize("inside", ["InferencePipeline/{}/live", "Test/{}/monitoring/Rows arrive"])
def test_what_is_remembered_in_a_project_that_nobody_has_is_led_back(inside: str, bot: Any, platform: Any) -> None:
    """As ``state mv`` once left it: it still stands where it stood, so no second one is made, and it is not removed."""
    here, elsewhere = (f"openlayer.{inside.format(root)}" for root in ("bot", "cat"))
    bot("apply", "--yes")
    store = FileStore(bot.folder / ".reconciler", "default", now=lambda: datetime(2026, 11, 22, tzinfo=UTC))
    with store.lock("test"):
        moved = {"record": "renamed", "address": elsewhere, "former": here}
        store.commit(fold(store.load(), [moved]))
    platform.seen.clear()
    for command in (["plan"], ["apply", "--yes"]):
        refused = bot(*command, code=3)
        assert f"it is there, and remembered as {elsewhere}" in refused.words
        assert f"reconciler state mv '{elsewhere}' '{here}'" in refused.words
    destroyed = bot("destroy", "--yes", code=3)
    assert "the state has it in cat, and at the platform it stands in bot" in destroyed.words
    assert platform.writes == []
    bot("state", "mv", elsewhere, here)
    assert bot("plan").out.startswith("No changes.")


def test_a_change_that_is_only_remembered_is_a_change(bot: Any, platform: Any, tmp_path: Path) -> None:
    """A job that applies only where a plan has changes must not leave out that something is protected from now on."""
    bot("apply", "--yes")
    bot.edit("bot.yaml", "subtype: rowCount", "subtype: rowCount\n      lifecycle: {protect: true}")
    outputs = str(tmp_path / "outputs")
    ended = bot(
        "plan", "--detailed-exitcode", "--report", "github", code=2, GITHUB_ACTIONS="true", GITHUB_OUTPUT=outputs
    )
    assert "lifecycle.protect: false -> true of openlayer.Test/bot/monitoring/Rows arrive" in ended.words
    assert "No changes at the platform, 1 to remember. 5 resources match the manifests." in ended.out
    assert Path(outputs).read_text().startswith("has-changes<<")
    assert Path(outputs).read_text().splitlines()[1] == "true"
    platform.seen.clear()
    bot("apply", "--yes")
    assert platform.writes == []
    bot("plan", "--detailed-exitcode")
    bot("drift")


def test_a_test_that_somebody_paused_is_told_and_a_pause_is_not_exported(bot: Any, platform: Any) -> None:
    """Nothing has drifted that the manifests say, and yet it judges nothing."""
    bot("apply", "--yes")
    platform.api("PUT", f"/tests/{platform.tests('bot')['Rows arrive']['id']}", {"paused": True})
    said = "openlayer.Test/bot/monitoring/Rows arrive: it is paused at the platform, and not evaluated there by itself"
    assert said in bot("plan", "--detailed-exitcode").words
    assert said in bot("drift").words
    assert "Rows arrive: paused is set and cannot be expressed" in bot("export", "--out", "m").words
    bot.edit("bot.yaml", "subtype: rowCount", "subtype: duplicateRowCount")
    assert "paused is set at the platform and cannot be carried over" in bot("plan", "bot.yaml").words
