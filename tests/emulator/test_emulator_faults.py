"""A fault script breaks the requests it names, and says whether they were carried out."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import TYPE_CHECKING

import httpx
import pytest
from starlette.types import Message

from reconciler.emulator.faults import HANG_UP, FaultScript
from reconciler.emulator.server import running

if TYPE_CHECKING:
    from tests.emulator.conftest import Api, Doc

Make = Callable[..., "Api"]
BODY = {"name": "p", "taskType": "llm-base"}


def post(**rule: object) -> Doc:
    return {"method": "POST", "path": "/v1/projects", "nth": 1, **rule}


def names(api: Api) -> list[str]:
    return [project["name"] for project in api.ok("GET", "/projects")["items"]]


def test_a_refusal_comes_before_the_commit(make_api: Make) -> None:
    api = make_api(faults=[post(action="refuse-before")])
    assert api.refused("POST", "/projects", BODY) == (503, "Service unavailable.")
    assert names(api) == []
    assert api("POST", "/projects", BODY).status_code == 201


@pytest.mark.parametrize(("when", "kept"), [("before", []), ("after", ["p"]), (None, [])])
def test_a_status_comes_before_or_after_the_commit(make_api: Make, when: str | None, kept: list[str]) -> None:
    api = make_api(faults=[post(action="status", status=502, **({"when": when} if when else {}))])
    assert api.refused("POST", "/projects", BODY)[0] == 502
    assert names(api) == kept


@pytest.mark.parametrize(("given", "header"), [(2, "2"), (0.5, "0.5"), (-1, "-1"), ("soon", "soon")])
def test_retry_after_is_seconds_or_whatever_the_script_says(make_api: Make, given: object, header: str) -> None:
    api = make_api(faults=[post(action="status", status=429, retryAfter=given)])
    assert api("POST", "/projects", BODY).headers["retry-after"] == header


def test_retry_after_can_be_a_date_or_missing(make_api: Make) -> None:
    dated = make_api(faults=[post(action="status", status=429, retryAfter="date")])
    assert parsedate_to_datetime(dated("POST", "/projects", BODY).headers["retry-after"]).tzinfo is not None
    bare = make_api(faults=[post(action="status", status=429)])
    assert "retry-after" not in bare("POST", "/projects", BODY).headers


@pytest.mark.parametrize(("action", "kept"), [("drop-before", []), ("drop-after", ["p"])])
def test_a_dropped_connection_gives_no_answer(make_api: Make, action: str, kept: list[str]) -> None:
    api = make_api(faults=[post(action=action)])
    with running(api.app) as url, httpx.Client(headers={"Authorization": "Bearer k"}) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="disconnected without sending a response"):
            client.post(f"{url}/v1/projects", json=BODY)
        assert client.get(f"{url}/v1/projects").is_success
    assert names(api) == kept


def test_a_connection_is_dropped_when_the_whole_request_is_there(make_api: Make) -> None:
    """Closed before, it would be reset while the body is on its way: another failure, and chance would choose."""
    api = make_api(faults=[post(action="drop-before")])
    arriving = [{"type": "http.request", "more_body": more} for more in (True, True, False)]
    seen: list[object] = []

    async def receive() -> Message:
        message = arriving.pop(0) if arriving else {"type": "http.disconnect"}
        seen.append(message.get("more_body", message["type"]))
        return message

    async def send(message: Message) -> None:
        seen.append(message["type"])

    scope = {"type": "http", "method": "POST", "path": "/v1/projects", "query_string": b"", "headers": []}
    asyncio.run(api.app({**scope, HANG_UP: lambda: seen.append("hung up")}, receive, send))
    assert seen == [True, True, False, "hung up", "http.disconnect"]
    assert names(api) == []


def test_in_process_a_drop_is_a_connection_reset(make_api: Make) -> None:
    api = make_api(faults=[post(action="drop-after")])
    with pytest.raises(ConnectionResetError):
        api("POST", "/projects", BODY)
    assert names(api) == ["p"]


def test_a_cut_body_ends_in_the_middle(make_api: Make) -> None:
    api = make_api(faults=[post(action="cut-body")])
    with running(api.app) as url, httpx.Client(headers={"Authorization": "Bearer k"}) as client:
        with pytest.raises(httpx.RemoteProtocolError, match="closed connection without sending complete message body"):
            client.post(f"{url}/v1/projects", json=BODY)
        assert client.get(f"{url}/v1/projects").is_success
    assert names(api) == ["p"]
    in_process = make_api(faults=[post(action="cut-body")])
    answer = in_process("POST", "/projects", BODY)
    assert answer.status_code == 201
    with pytest.raises(json.JSONDecodeError):
        answer.json()


@pytest.mark.parametrize(
    ("action", "status", "media", "body"),
    [("not-json", 201, "application/json", "not json"), ("html", 200, "text/html", "<!doctype html>")],
)
def test_an_answer_that_is_no_json(make_api: Make, action: str, status: int, media: str, body: str) -> None:
    api = make_api(faults=[post(action=action)])
    answer = api("POST", "/projects", BODY)
    assert (answer.status_code, answer.headers["content-type"]) == (status, media)
    assert answer.text.startswith(body)
    assert names(api) == ["p"]


def test_a_web_page_can_stand_in_front_of_the_server(make_api: Make) -> None:
    api = make_api(faults=[post(action="html", when="before")])
    assert api("POST", "/projects", BODY).text.startswith("<!doctype html>")
    assert names(api) == []


def test_a_late_answer_is_still_an_answer(make_api: Make) -> None:
    api = make_api(faults=[post(action="delay", seconds=0.01)])
    assert api("POST", "/projects", BODY).status_code == 201


@pytest.mark.parametrize(
    ("hits", "statuses"),
    [
        ({"nth": 2}, [201, 500, 201, 201]),
        ({"nth": [1, 4]}, [500, 201, 201, 500]),
        ({"every": 2}, [201, 500, 201, 500]),
        ({}, [500, 500, 500, 500]),
    ],
)
def test_a_rule_hits_the_requests_it_counts(make_api: Make, hits: Doc, statuses: list[int]) -> None:
    api = make_api(faults=[{"method": "POST", "path": "/v1/pro*", "action": "status", "status": 500, **hits}])
    answers = [api("POST", "/projects", {**BODY, "name": f"p{n}"}).status_code for n in range(4)]
    assert answers == statuses
    assert api("GET", "/projects").status_code == 200


def test_pages_can_be_clamped_stripped_and_repeated(make_api: Make) -> None:
    rule = {"method": "GET", "path": "/v1/projects"}
    shapes: list[Doc] = [{"action": "clamp-page", "perPage": 2}, {"action": "no-meta"}, {"action": "repeat-items"}]
    api = make_api(faults=[rule | shape for shape in shapes])
    for number in range(4):
        api.project(name=f"p{number}")
    first, second = (api.ok("GET", "/projects", page=page, perPage=100) for page in (1, 2))
    assert set(first) == {"items"}
    assert [[item["name"] for item in page["items"]] for page in (first, second)] == [
        ["p0", "p1"],
        ["p1", "p2", "p3"],
    ]


def test_every_page_can_be_the_first(make_api: Make) -> None:
    api = make_api(faults=[{"method": "GET", "action": "same-page"}])
    for number in range(3):
        api.project(name=f"p{number}")
    pages = [api.ok("GET", "/projects", page=page, perPage=2)["items"] for page in (1, 2, 3)]
    assert [[item["name"] for item in page] for page in pages] == [["p0", "p1"]] * 3


def test_a_new_item_lags_behind_in_lists(make_api: Make) -> None:
    api = make_api(faults=[post(action="lag", reads=2, nth=2)])
    api.project(name="seen")
    api.project(name="late")
    assert [names(api) for _ in range(3)] == [["seen"], ["seen"], ["seen", "late"]]


@pytest.mark.parametrize(
    ("action", "looks", "status"),
    [
        ("task-never", [(50, False, None), (50, False, None), (50, False, None)], "running"),
        ("task-fails", [(50, False, None), (100, True, "The task failed."), (100, True, "The task failed.")], "error"),
    ],
)
def test_a_task_can_hang_or_fail(make_api: Make, action: str, looks: list[object], status: str) -> None:
    api = make_api(faults=[{"path": "*/evaluate", "action": action}])
    project = api.project()
    api.pipeline(project)
    test = api.test(project)
    (task,) = api.evaluate(test, api.now, api.now + 1)["tasks"]
    seen = [api.ok("GET", f"/background-tasks/{task['taskResultId']}") for _ in range(3)]
    assert [(look["progress"], look["complete"], look["error"]) for look in seen] == looks
    assert [result["status"] for result in api.results(test)] == [status]


def test_a_script_is_read_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "faults.json"
    file.write_text('[{"method": "POST", "action": "drop-after", "nth": 1}]')
    assert [rule.action for rule in FaultScript.read(file).hitting("POST", "/v1/projects")] == ["drop-after"]


@pytest.mark.parametrize(
    ("rules", "problem"),
    [
        ({}, "expected a list, found an object"),
        (["html"], '[0]: expected an object, found "html"'),
        ([{"action": "html"}, {}], "[1].action: is missing"),
        ([{"action": "status"}], '[0]: status goes with action "status", and only with it'),
        ([{"action": "html", "status": 500}], '[0]: status goes with action "status", and only with it'),
        ([{"action": "status", "status": 200}], "[0].status: 200 is less than 400"),
        ([{"action": "html", "nth": 1, "every": 2}], "[0]: nth and every exclude each other"),
        ([{"action": "html", "nth": 0}], "[0].nth: 0 is less than 1"),
        ([{"action": "html", "nth": "1"}], '[0].nth: expected a whole number or a list, found "1"'),
        ([{"action": "html", "nth": [1, "2"]}], '[0].nth[1]: expected a whole number, found "2"'),
        (
            [{"action": "html", "times": 3, "path": None}],
            "[0].path: expected text, found null; [0].times: there is no such field",
        ),
    ],
)
def test_a_bad_script_is_refused_by_field(rules: object, problem: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}$"):
        FaultScript.from_json(rules)


def test_an_action_that_is_none_is_told_with_those_there_are() -> None:
    with pytest.raises(
        ValueError, match=r'^\[0\].action: "explode" is not one of refuse-before, status, .*, task-fails$'
    ):
        FaultScript.from_json([{"action": "explode"}])


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b'[\n  {"action" "html"}\n]', "line 2, column 13: this is no JSON: "),
        (b'["caf\xe9"]', "byte 6 is not UTF-8; save the file as UTF-8"),
        (b"[" * 200_000, "it is nested too deep"),
    ],
)
def test_a_file_that_holds_no_json_is_refused_by_place(content: bytes, problem: str, tmp_path: Path) -> None:
    (tmp_path / "faults.json").write_bytes(content)
    with pytest.raises(ValueError, match=f"^{re.escape(problem)}"):
        FaultScript.read(tmp_path / "faults.json")


def test_above_the_rate_requests_are_refused_until_there_is_room_again(make_api: Make) -> None:
    api = make_api(rate_per_s=2)
    assert [api("GET", "/projects").status_code for _ in range(3)] == [200, 200, 429]
    answer = api("GET", "/projects")
    assert (answer.headers["retry-after"], answer.json()) == ("1", {"code": 429, "error": "Too many requests."})
    api.now += 0.5
    assert [api("GET", "/projects").status_code for _ in range(2)] == [200, 429]


def test_latency_delays_every_answer(make_api: Make) -> None:
    api = make_api(latency_s=0.02)
    assert api("GET", "/projects").elapsed.total_seconds() >= 0.02
