"""Everything that goes wrong ends in one clear sentence, the right exit code, and a memory that is right."""

from __future__ import annotations

import json
import re
import socket
from typing import Any

import pytest
from starlette.responses import JSONResponse
from starlette.types import Message, Receive, Scope, Send

pytestmark = pytest.mark.usefixtures("hurried")

Doc = dict[str, Any]


def remembered(cli: Any) -> list[str]:
    """The addresses in the state, and those in doubt with a question mark."""
    state = json.loads(cli("state", "list", "--format", "json").out)
    return [*state["entries"], *(f"{address} ?" for address in state["in_doubt"])]


def finishes(cli: Any, platform: Any) -> None:
    """On a platform that is well, the next apply ends it: everything there once, nothing left to do."""
    platform.fail()
    cli("apply", "--yes")
    cli("plan", "--detailed-exitcode")
    assert [item["name"] for item in platform.api("GET", "/projects")["items"]] == ["bot"]
    assert sorted(platform.pipelines("bot")) == ["canary", "live"]
    project = platform.projects()["bot"]["id"]
    tests = platform.api("GET", f"/projects/{project}/tests?includeArchived=true")["items"]
    assert sorted(item["name"] for item in tests) == ["Answers are short", "Rows arrive"]


def test_no_key(bot: Any, platform: Any) -> None:
    """The variable is named, before any request."""
    ended = bot("apply", "--yes", code=1, OPENLAYER_API_KEY="")
    assert ended.text == (
        "error: OPENLAYER_API_KEY is not set: put the API key for openlayer into this environment variable\n"
    )
    assert platform.seen == []


def test_a_wrong_key(bot: Any, platform: Any) -> None:
    """One request, and nothing with that key after it."""
    ended = bot("apply", "--yes", code=1, OPENLAYER_API_KEY="mistyped-key-000")
    assert ended.text == (
        "error: GET /projects: the key was not accepted (401): The API key is not valid.\n"
        "hint: check the key in OPENLAYER_API_KEY: it may be mistyped, revoked or expired\n"
    )
    assert platform.seen == [("GET", "/projects")]
    assert not (bot.folder / ".reconciler" / "default.state.json").exists()


def test_nobody_listens(bot: Any) -> None:
    """A refused connection names the request, the reason and the variable of the address."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    ended = bot("apply", "--yes", code=1, OPENLAYER_BASE_URL=f"http://127.0.0.1:{port}/v1")
    assert ended.err == (
        "error: GET /projects: the server cannot be reached: Connection refused (4 attempts)\n"
        "hint: check the network and OPENLAYER_BASE_URL\n"
    )


def test_an_address_without_its_path(bot: Any, platform: Any) -> None:
    """The commonest mistake with a self-hosted server is named."""
    ended = bot("plan", code=1, OPENLAYER_BASE_URL=platform.url)
    assert ended.err.splitlines()[0].startswith("error: GET /projects: not found (404)")
    assert ended.err.splitlines()[1] == (
        "hint: OPENLAYER_BASE_URL does not end in /v1, the path the API is expected at"
    )


def test_an_address_where_somebody_else_answers(bot: Any, platform: Any) -> None:
    """Whoever answers with a web page is most likely not the API."""
    platform.fail({"method": "GET", "action": "html"})
    assert bot("plan", code=1).words.endswith(
        "hint: check that OPENLAYER_BASE_URL is the address of the API itself, and that no proxy or sign-in page "
        "stands in between"
    )


READS: dict[str, tuple[Doc, str]] = {
    "500": ({"action": "status", "status": 500}, "the server failed (500): Fault injected. (4 attempts)"),
    "cut in half": ({"action": "cut-body"}, "the answer (200, application/json) was cut off (4 attempts)"),
    "a web page": ({"action": "html"}, "the answer (200, text/html) is not JSON"),
    "429 for too long": (
        {"action": "status", "status": 429, "retryAfter": 400.0},
        "too many requests (429): Fault injected; the vendor asks to wait 400s",
    ),
    "402": ({"action": "status", "status": 402}, "the account's plan does not allow this (402): Fault injected."),
}


@pytest.mark.parametrize("name", READS)
def test_a_read_that_fails_for_good_ends_the_run(name: str, bot: Any, platform: Any) -> None:
    """Method, path and what happened, in one line; nothing is written, and the exit code is 1."""
    fault, sentence = READS[name]
    platform.fail({"method": "GET", **fault})
    ended = bot("apply", "--yes", code=1)
    assert ended.err.splitlines()[0] == f"error: GET /projects: {sentence}"
    assert platform.writes == []
    finishes(bot, platform)


WRITES = {
    "402": (402, "FAILED", "the account's plan does not allow this (402): Fault injected."),
    "403": (403, "FAILED", "this key may not do that (403): Fault injected."),
    "422": (422, "FAILED", "the request was refused (422): Fault injected."),
    "500": (500, "UNKNOWN", "the server failed (500): Fault injected; whether it was carried out is not known"),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_create_that_fails_takes_only_its_dependents_along(name: str, bot: Any, platform: Any) -> None:
    """The step says method, path and reason; what waits for it is skipped by name; exit 4; nothing is remembered."""
    status, word, sentence = WRITES[name]
    platform.fail({"method": "POST", "path": "/v1/projects", "action": "status", "status": status})
    ended = bot("apply", "--yes", code=4)
    lines = [line.strip() for line in ended.out.splitlines()]
    assert f"POST /projects: {sentence}" in lines
    assert f"{word:9} openlayer.Project/bot" in lines
    assert lines.count("it waits for openlayer.Project/bot, which is " + word.lower()) == 3
    next_step = "run apply again to finish" if status == 500 else "mend what was refused, then apply again"
    assert f"hint: {next_step}; what is done is remembered" in ended.words
    assert remembered(bot) == (["openlayer.Project/bot ?"] if status == 500 else [])
    finishes(bot, platform)


def test_a_refused_field_is_told_in_the_vendors_words(bot: Any) -> None:
    """The 422 of a real server names the field; the other steps go on."""
    bot.edit("bot.yaml", "subtype: characterLength", "subtype: containsPii")
    ended = bot("apply", "--yes", code=4)
    refused = r"POST /projects/[0-9a-f-]{36}/tests: the request was refused \(422\): thresholds\.0\.insightParameters: "
    assert re.search(refused, ended.words)
    assert remembered(bot) == [
        "openlayer.InferencePipeline/bot/canary",
        "openlayer.InferencePipeline/bot/live",
        "openlayer.Project/bot",
        "openlayer.Test/bot/monitoring/Rows arrive",
    ]


def test_a_name_taken_behind_our_back(bot: Any, platform: Any) -> None:
    """Somebody makes the project between our look and our create: refused at once, and theirs stays as it is."""
    body = {"name": "bot", "taskType": "llm-base", "description": "Theirs"}
    platform.meanwhile("POST", "/projects", lambda: platform.api("POST", "/projects", body))
    ended = bot("apply", "--yes", code=4, RECONCILER_UNCERTAINTY_WINDOW="60s")
    assert "making sure" not in ended.err
    assert (
        'POST /projects: conflict with something that exists (409): A project named "bot" already exists; '
        "what is there is not ours hint: plan again to see it"
    ) in ended.words
    assert remembered(bot) == []
    assert (platform.projects()["bot"]["description"], platform.pipelines("bot")) == ("Theirs", {})
    refused = bot("apply", "--yes", code=3)
    assert "--adopt" in refused.text


@pytest.mark.parametrize("retry_after", [1.0, "date", "soon", None])
def test_a_moment_of_429_is_waited_out(retry_after: object, bot: Any, platform: Any) -> None:
    """Seconds, a date, rubbish or nothing: the run is a little slower, and whole."""
    rule: Doc = {"path": "/v1/projects", "nth": [1, 2], "action": "status", "status": 429}
    platform.fail({**rule, "retryAfter": retry_after} if retry_after is not None else rule)
    bot("apply", "--yes")
    assert platform.seen.count(("POST", "/projects")) <= 2
    finishes(bot, platform)


@pytest.mark.parametrize("fault", [{"action": "cut-body"}, {"action": "drop-after"}, {"action": "html"}])
def test_a_create_whose_answer_is_lost_is_found(fault: Doc, bot: Any, platform: Any) -> None:
    """Nobody has to be told: the object is looked for and found, in the same run."""
    platform.fail({"method": "POST", "path": "/v1/projects", "nth": 1, **fault})
    ended = bot("apply", "--yes")
    assert "Apply: 5 done." in ended.out
    assert platform.seen.count(("POST", "/projects")) == 1
    finishes(bot, platform)


def test_a_delete_whose_answer_is_lost_is_finished_by_the_same_command(cli: Any, platform: Any) -> None:
    """What was acknowledged counts as deleted where it is gone by now; once that is remembered, it counts no more."""
    project = {"apiVersion": "openlayer/v1", "kind": "Project", "metadata": {"name": "bot"}}
    of_one = {"taskType": "llm-base", "pipelines": [{"name": "live"}]}
    cli.write("bot.yaml", json.dumps({**project, "spec": of_one}))
    cli("apply", "--yes")
    cli.write("bot.yaml", json.dumps({**project, "spec": {"taskType": "llm-base"}}))
    platform.fail({"method": "DELETE", "nth": 1, "action": "html"})
    again = ("apply", "--yes", "--ack", "delete=1")
    assert "run the same command again: it looks first" in cli(*again, code=4).words
    assert platform.pipelines("bot") == {}
    assert "--ack delete=2 was given, but the plan holds 0" in cli("apply", "--yes", "--ack", "delete=2", code=3).words
    assert "Apply: 1 done. (1 forgotten)" in cli(*again).words
    assert "--ack delete=1 was given, but the plan holds 0" in cli(*again, code=3).words


def test_a_long_description_leaves_no_room_for_a_marker(bot: Any, platform: Any) -> None:
    """A create that could not be marked is found by its name, which no other object can have."""
    bot.edit("bot.yaml", "description: Answers", f"description: {'Answers ' * 17}")
    platform.fail({"method": "POST", "path": "/v1/projects", "nth": 1, "action": "drop-after"})
    bot("apply", "--yes")
    assert "[reconciler" not in platform.projects()["bot"]["description"]
    finishes(bot, platform)


def test_a_key_that_is_revoked_while_applying(bot: Any, platform: Any) -> None:
    """No request follows the refusal; what was done is remembered, what was not is named."""
    platform.fail({"method": "POST", "path": "/v1/projects/*/tests", "action": "status", "status": 401})
    ended = bot("apply", "--yes", "--parallelism", "1", code=4)
    assert "the key was not accepted (401)" in ended.out
    assert platform.seen[-1][0] == "POST"
    assert remembered(bot) == [
        "openlayer.InferencePipeline/bot/canary",
        "openlayer.InferencePipeline/bot/live",
        "openlayer.Project/bot",
    ]
    finishes(bot, platform)


def other_project(cli: Any, *pipelines: str, window: str = "1h", second: str = "") -> None:
    """A project beside ``bot``, whose one test is replaced where the window changes; ``second`` is another test."""
    rows = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 1}
    test = {"type": "integrity", "subtype": "rowCount", "thresholds": [rows]}
    tests = [{"name": "Fresh", **test, "evaluationWindow": window}, *([{"name": second, **test}] if second else [])]
    spec = {"taskType": "llm-base", "pipelines": [{"name": name} for name in pipelines], "tests": tests}
    project = {"apiVersion": "openlayer/v1", "kind": "Project", "metadata": {"name": "other"}}
    cli.write("other.yaml", json.dumps({**project, "spec": spec}))


def test_a_key_that_may_not_do_one_thing_does_the_others(cli: Any, platform: Any) -> None:
    """What needs the permission is refused, once; what does not is done, made sure of and read back."""
    other_project(cli, "old", "older", second="Going")
    cli("apply", "--yes")
    other_project(cli, window="5h")
    platform.seen.clear()
    platform.fail({"method": "DELETE", "action": "status", "status": 403})
    ended = cli("apply", "--yes", "--parallelism", "1", "--ack", "delete=2", code=4)
    assert "Apply: 2 done, 2 failed. (1 replaced, 1 archived)" in ended.words
    assert "not sent, because the key may not do that (403 on DELETE /inference-pipelines/" in ended.words
    assert "could not read back" not in ended.text
    assert "hint: mend what was refused, then apply again; what is done is remembered" in ended.words
    assert [method for method, _ in platform.writes].count("DELETE") == 1
    assert platform.tests("other")["Going"]["archived"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_write_that_is_under_way_when_the_key_is_refused_is_unknown(status: int, bot: Any, platform: Any) -> None:
    """The archive was accepted, and nobody may ask how it ended: the next run looks."""
    other_project(bot, second="Going")
    bot("apply", "--yes")
    other_project(bot)
    platform.fail({"method": "GET", "path": "/v1/background-tasks/*", "action": "status", "status": status})
    ended = bot("apply", "--yes", code=4)
    assert "UNKNOWN openlayer.Test/other/monitoring/Going PUT /projects/" in ended.words
    assert "it was accepted, and how the platform's background task ended is not known: GET /background" in ended.words
    assert "hint: run apply again to finish" in ended.words
    platform.fail()
    assert "1 forgotten" in bot("apply", "--yes").words
    bot("plan", "--detailed-exitcode")


def test_a_create_that_nobody_may_look_for_is_unknown(bot: Any, platform: Any) -> None:
    """Its answer was lost, and the list that would show it is refused: it is looked for by the next run."""
    platform.fail(
        {"method": "POST", "path": "/v1/projects", "nth": 1, "action": "drop-after"},
        {"method": "GET", "path": "/v1/projects", "nth": list(range(2, 99)), "action": "status", "status": 403},
    )
    ended = bot("apply", "--yes", code=4)
    assert "UNKNOWN openlayer.Project/bot GET /projects: nobody can tell whether it was made: " in ended.words
    assert remembered(bot) == ["openlayer.Project/bot ?"]
    finishes(bot, platform)


def test_a_delete_that_nobody_may_look_at_is_unknown(cli: Any, platform: Any) -> None:
    """The request that was refused is named."""
    project = {"apiVersion": "openlayer/v1", "kind": "Project", "metadata": {"name": "bot"}}
    kept = {"taskType": "llm-base", "pipelines": [{"name": "live"}]}
    cli.write("bot.yaml", json.dumps({**project, "spec": kept}))
    cli("apply", "--yes")
    cli.write("bot.yaml", json.dumps({**project, "spec": {"taskType": "llm-base"}}))
    lists = {"method": "GET", "path": "/v1/projects/*/inference-pipelines"}
    platform.fail({**lists, "nth": list(range(2, 99)), "action": "status", "status": 403})
    ended = cli("apply", "--yes", "--ack", "delete=1", code=4)
    home = f"/projects/{platform.projects()['bot']['id']}"
    told = f"GET {home}/inference-pipelines: nobody can tell whether the inference pipeline was deleted: "
    assert f"UNKNOWN openlayer.InferencePipeline/bot/live {told}this key may not do that (403)" in ended.words


def test_manifests_are_read_before_anything_is_asked(cli: Any, platform: Any) -> None:
    """A mistake in a manifest is told without a request."""
    cli.write("bad.yaml", "apiVersion: openlayer/v1\nkind: Project\nmetadata: {name: bot}\nspec: {taskTyp: llm-base}\n")
    ended = cli("apply", "--yes", code=1)
    assert 'did you mean "taskType"?' in ended.err
    assert platform.seen == []


def test_nobody_to_ask(bot: Any, platform: Any) -> None:
    """Without a terminal and without --yes nothing is written, and the exit code says so."""
    ended = bot("apply", code=7)
    assert ended.err == "error: there is no terminal to ask on\nhint: pass --yes if the plan is meant\n"
    assert platform.writes == []


def test_another_platform_does_not_get_this_state(bot: Any, platform: Any) -> None:
    """A state belongs to the platform it was made for."""
    bot("apply", "--yes")
    before = len(platform.seen)
    ended = bot("plan", code=1, OPENLAYER_BASE_URL="http://localhost:9/v1")
    assert ended.err == (
        f"error: the state of environment default belongs to {platform.url}, not to http://localhost:9\n"
        "hint: if it is the same platform at a new address: reconciler state move-origin; else name another "
        "environment\n"
    )
    assert len(platform.seen) == before


def test_an_empty_platform_looks_like_an_outage(bot: Any, platform: Any) -> None:
    """It lists nothing of what is ours: nothing is made again."""
    bot("apply", "--yes")
    for item in platform.projects().values():
        platform.api("DELETE", f"/projects/{item['id']}")
    platform.seen.clear()
    ended = bot("apply", "--yes", code=1)
    assert "the platform lists nothing of 5 resources of ours; this looks like an outage" in ended.err
    assert platform.writes == []


def test_what_is_missing_is_named_and_who_took_its_name_is_not_counted(
    cli: Any, platform: Any, make_project: Any
) -> None:
    """Somebody deleted the project and made another one of its name."""
    cli.write("bot.yaml", make_project("bot", 10))
    cli("apply", "--yes")
    (project,) = platform.projects().values()
    platform.api("DELETE", f"/projects/{project['id']}")
    platform.api("POST", "/projects", {"name": "bot", "taskType": "llm-base"})
    words = cli("plan", code=1).words
    assert "the platform lists nothing of 11 resources of ours" in words
    assert "missing: openlayer.Project/bot, openlayer.Test/bot/monitoring/test 000, " in words
    assert "and 8 more hint: if they are really gone" in words


def test_a_platform_that_can_not_be_read_back_undoes_no_success(cli: Any, platform: Any, make_project: Any) -> None:
    """The lists show one test of ten after the update: that is said, and the apply has worked all the same."""
    cli.write("bot.yaml", make_project("bot", 10))
    cli("apply", "--yes")
    cli.write("bot.yaml", make_project("bot", 10, least=2))
    later = {"method": "GET", "path": "*/tests", "nth": list(range(2, 40))}
    few: list[dict[str, Any]] = [{"action": "clamp-page", "perPage": 1}, {"action": "same-page"}, {"action": "no-meta"}]
    platform.fail(*({**later, **rule} for rule in few))
    ended = cli("apply", "--yes")
    assert "could not read back what was written: the platform lists only" in ended.err
    assert "10 done." in ended.out
    platform.fail()
    assert cli("plan", "--detailed-exitcode").code == 0


def test_what_was_not_sent_is_not_said_to_be_stored_in_another_form(bot: Any, platform: Any) -> None:
    """Somebody moves a threshold while the description of the same test is sent."""
    bot("apply", "--yes")
    bot.edit("bot.yaml", "subtype: rowCount", "subtype: rowCount\n      description: Rows arrive daily")
    project, test = platform.projects()["bot"]["id"], platform.tests("bot")["Rows arrive"]
    limit = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 7}
    path, body = f"/projects/{project}/tests", {"payloads": [{"id": test["id"], "thresholds": [limit]}]}
    platform.meanwhile("PUT", path, lambda: platform.api("PUT", path, body))
    assert bot("apply", "--yes").err.endswith(
        "warning: openlayer.Test/bot/monitoring/Rows arrive: thresholds.0.value is 7.0 at the platform, wanted is 2\n"
        "  hint: apply again\n"
    )
    bot("apply", "--yes")
    assert platform.tests("bot")["Rows arrive"]["thresholds"][0]["value"] == 2


def test_what_was_sent_and_not_taken_over_is_not_said_to_be_stored_in_another_form(bot: Any, platform: Any) -> None:
    """Whoever wrote it into the manifest as it is there would have a weaker gate."""
    bot("apply", "--yes")
    bot.edit("bot.yaml", "value: 2}", "value: 5}")

    async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
        answer = JSONResponse({}) if scope["method"] == "PUT" else platform.app
        await answer(scope, receive, send)

    platform.door = deaf
    assert bot("apply", "--yes").err.endswith(
        "warning: openlayer.Test/bot/monitoring/Rows arrive: thresholds.0.value was not taken over: it is 2.0 as "
        "before, sent was 5\n"
        "  hint: apply again; if that changes nothing, the platform does not take these values\n"
    )
    finishes(bot, platform)
    assert platform.tests("bot")["Rows arrive"]["thresholds"][0]["value"] == 5


@pytest.mark.parametrize("beside", [False, True], ids=["alone", "beside a change"])
def test_an_archive_that_was_not_taken_over_has_failed(beside: bool, bot: Any, platform: Any) -> None:
    """It is answered 200, and the test goes on at the platform; nobody forgets that it is there."""
    bot("apply", "--yes")
    text = (bot.folder / "bot.yaml").read_text()
    bot.write("bot.yaml", text.partition("    - name: Answers are short")[0])
    if beside:
        bot.edit("bot.yaml", "description: Answers", "description: All answers")

    async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
        answer = JSONResponse({}) if scope["method"] == "PUT" else platform.app
        await answer(scope, receive, send)

    platform.door = deaf
    platform.seen.clear()
    ended = bot("apply", "--yes", code=4)
    assert ("1 done, 1 failed" if beside else "1 failed") in ended.out
    what = "PUT openlayer.Test/bot/monitoring/Answers are short: the platform has accepted it, and the test is not"
    assert f"{what} archived" in ended.words
    assert "apply again; if that changes nothing, archive it by hand" in ended.words
    entries = json.loads((bot.folder / ".reconciler" / "default.state.json").read_text())["entries"]
    assert "archived" not in entries["openlayer.Test/bot/monitoring/Answers are short"]
    tests = [path for method, path in platform.seen if (method, path[-6:]) == ("GET", "/tests")]
    assert len(tests) == 2 + beside  # for the plan, to make sure, and where more is read back with all of it
    finishes(bot, platform)
    assert platform.tests("bot")["Answers are short"]["archived"]


def test_an_old_object_that_its_replace_did_not_archive_is_known_still(bot: Any, platform: Any) -> None:
    """The archive is answered 200, and both are in use; the next run ends it."""
    bot("apply", "--yes")
    old = platform.tests("bot")["Rows arrive"]["id"]
    window = "subtype: rowCount\n      evaluationWindow:"
    bot.edit("bot.yaml", f"{window} 24h", f"{window} 12h")

    async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
        answer = JSONResponse({}) if scope["method"] == "PUT" else platform.app
        await answer(scope, receive, send)

    platform.door = deaf
    assert "1 failed" in bot("apply", "--yes", code=4).out
    entries = json.loads(bot("state", "list", "--format", "json").out)["entries"]
    assert entries["openlayer.Test/bot/monitoring/Rows arrive"]["retiring"] == [old]


def test_an_old_object_that_stays_is_known_still_when_its_successor_becomes_protected(bot: Any, platform: Any) -> None:
    """A replace was cut short before its archive, which is now answered 200, and nothing is done: two things are to be
    remembered of one address.
    """
    bot("apply", "--yes")
    old = platform.tests("bot")["Rows arrive"]["id"]
    window = "subtype: rowCount\n      evaluationWindow:"
    bot.edit("bot.yaml", f"{window} 24h", f"{window} 12h")
    platform.fail({"method": "PUT", "path": "/v1/projects/*/tests", "action": "status", "status": 422})
    bot("apply", "--yes", code=4)
    bot.edit("bot.yaml", "name: Rows arrive", "name: Rows arrive\n      lifecycle: {protect: true}")
    bot.edit("bot.yaml", "description: Answers", "description: All answers")

    async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
        answer = JSONResponse({}) if scope["method"] == "PUT" else platform.app
        await answer(scope, receive, send)

    platform.door = deaf
    assert "1 done, 1 failed" in bot("apply", "--yes", code=4).out
    entry = json.loads(bot("state", "list", "--format", "json").out)["entries"][
        "openlayer.Test/bot/monitoring/Rows arrive"
    ]
    assert (entry["protect"], entry["retiring"]) == (True, [old])
    platform.fail()
    assert "1 done" in bot("apply", "--yes").out
    project = platform.projects()["bot"]["id"]
    archived = platform.api("GET", f"/projects/{project}/tests?includeArchived=true")["items"]
    assert [item["id"] for item in archived if item["archived"]] == [old]


def test_an_archive_that_shows_late_is_waited_for(bot: Any, platform: Any) -> None:
    """The list that is read first is a little behind."""
    bot("apply", "--yes")
    text = (bot.folder / "bot.yaml").read_text()
    bot.write("bot.yaml", text.partition("    - name: Answers are short")[0])
    bot.edit("bot.yaml", "description: Answers", "description: All answers")
    project, stale = platform.projects()["bot"]["id"], list[bytes]()

    async def behind(scope: Scope, receive: Receive, send: Send) -> None:
        is_list = (scope["method"], scope["path"]) == ("GET", f"/v1/projects/{project}/tests")
        reads = platform.seen.count(("GET", f"/projects/{project}/tests")) if is_list else 0

        async def kept(message: Message) -> None:
            if message["type"] == "http.response.body" and reads == 1:
                stale.append(message["body"])
            if message["type"] == "http.response.body" and reads == 2:
                message = {**message, "body": stale[0]}
            if message["type"] == "http.response.start" and is_list:
                headers = [pair for pair in message["headers"] if pair[0] != b"content-length"]
                message = {**message, "headers": headers}
            await send(message)

        await platform.app(scope, receive, kept)

    platform.door = behind
    platform.seen.clear()
    assert "2 done" in bot("apply", "--yes").out
    assert platform.tests("bot")["Answers are short"]["archived"]
    bot("plan", "--detailed-exitcode")


def test_what_is_found_again_becomes_what_is_written_by_now(bot: Any, platform: Any) -> None:
    """A create is answered and in no list yet when somebody edits its threshold."""
    platform.fail({"method": "POST", "path": "/v1/projects/*/tests", "action": "lag", "reads": 2})
    bot("apply", "--yes")
    bot.edit("bot.yaml", "value: 2}", "value: 8}")
    assert "another form" not in bot("apply", "--yes").err
    platform.fail()
    assert platform.tests("bot")["Rows arrive"]["thresholds"][0]["value"] == 8
    bot("plan", "--detailed-exitcode")
