"""Every way in which a request can fail, over real sockets: what comes out, and how often it was sent."""

from __future__ import annotations

import asyncio
import gzip
import json
import socket
import traceback
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from reconciler.errors import (
    ApiError,
    Conflict,
    InvalidRequest,
    MethodMissing,
    NotApplied,
    NotAuthorized,
    NotFound,
    OutcomeUnknown,
    PlanLimit,
    RateLimited,
    ReadFailed,
    ReconcilerError,
    SettingsInvalid,
    Unreachable,
)
from reconciler.model.call import Call, Reply
from reconciler.model.values import Json

if TYPE_CHECKING:
    from tests.providers.conftest import World

GET = Call("GET", "/projects")
POST = Call("POST", "/projects", body={"name": "a"}, repeatable=False)
PUT = Call("PUT", "/projects/1/tests", body={"payloads": []})
DELETE = Call("DELETE", "/projects/1")


# ---------------------------------------------------------------------------------- the request as sent


def test_a_get_carries_the_bearer_accepts_json_and_names_the_tool(world: World) -> None:
    talk = world.talk([world.status(200, {"items": []})], GET)
    (seen,) = talk.seen
    assert seen.line == "GET /v1/projects"
    assert seen.headers["authorization"] == f"Bearer {world.key}"
    assert seen.headers["accept"] == "application/json"
    assert seen.headers["user-agent"].startswith("reconciler/")
    assert "cookie" not in seen.headers
    assert (talk.reply.status, talk.reply.body) == (200, {"items": []})


def test_a_body_travels_as_json_and_headers_come_back_in_lower_case(world: World) -> None:
    talk = world.talk([world.status(201, {"id": "1"}, {"X-Thing": "é"})], Call("POST", "/p", body={"name": "Zoë"}))
    assert talk.seen[0].body == '{"name":"Zoë"}'.encode()
    assert talk.seen[0].headers["content-type"] == "application/json"
    assert talk.reply.status == 201
    assert "x-thing" in talk.reply.headers


def test_query_arrays_are_joined_with_commas_and_booleans_are_lower_case(world: World) -> None:
    query: dict[str, str | int | bool] = {"status": "passing,failing", "includeArchived": True, "page": 1}
    talk = world.talk([world.status(200, [])], Call("GET", "/t", query=query))
    assert talk.lines == ["GET /v1/t?status=passing,failing&includeArchived=true&page=1"]


def test_a_list_in_a_query_is_joined_too(world: World) -> None:
    listed = Call("GET", "/t", query={"status": ["passing", "failing"]})  # type: ignore[dict-item]
    assert world.talk([world.status(200, [])], listed).lines == ["GET /v1/t?status=passing,failing"]


def test_a_query_value_arrives_as_it_was_given(world: World) -> None:
    from urllib.parse import parse_qs, urlsplit

    name = "a&b=c +%41/?#é"
    talk = world.talk([world.status(200, [])], Call("GET", "/t", query={"name": name}))
    target = talk.lines[0].removeprefix("GET ")
    assert parse_qs(urlsplit(target).query) == {"name": [name]}


def test_an_encoded_segment_stays_one_segment(world: World) -> None:
    talk = world.talk([world.status(200, [])], Call("GET", "/projects/a%2Fb%3Fc%20d/tests"))
    assert talk.lines == ["GET /v1/projects/a%2Fb%3Fc%20d/tests"]


@pytest.mark.parametrize(
    "path",
    ["projects", "//evil.example/x", "/projects/../tests", "/projects/%2e%2E/tests", "/projects//tests", "/a?b", "/a#b",
     "/a b", "/a\r\nX: y", "@evil.example/", "/a/.", "/%zz", "/é"],
)  # fmt: skip
def test_a_path_that_could_lead_elsewhere_is_never_sent(world: World, path: str) -> None:
    talk = world.talk([], Call("GET", path))
    assert isinstance(talk.error, InvalidRequest)
    assert (talk.connections, talk.requests) == (0, 0)


@pytest.mark.parametrize("body", [{"v": float("nan")}, {"v": "\ud800"}, {"v": [None, float("inf")]}])
def test_a_body_that_is_no_json_is_never_sent(world: World, body: Json) -> None:
    talk = world.talk([], Call("POST", "/p", body=body))
    assert isinstance(talk.error, InvalidRequest)
    assert talk.connections == 0


def test_a_body_is_sent_as_it_is_written(world: World) -> None:
    """In the order of its keys, whether or not something is null."""
    bodies: list[Json] = [{"b": "é", "a": [1.5, True]}, {"b": None, "a": "é"}]
    for body in bodies:
        talk = world.talk([world.status(200, [])], Call("POST", "/p", body=body))
        assert talk.seen[0].body == json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def test_connections_are_kept_alive(world: World) -> None:
    talk = world.talk([world.status(200, [])] * 5, *[GET] * 5)
    assert (talk.connections, talk.requests) == (1, 5)


def test_cookies_are_not_sent_back(world: World) -> None:
    script = [world.status(200, [], {"Set-Cookie": "session=1; Path=/"}), world.status(200, [])]
    talk = world.talk(script, GET, GET)
    assert "cookie" not in talk.seen[1].headers


# ------------------------------------------------------------------------------------- 2xx and its body


@pytest.mark.parametrize(("code", "body"), [(204, None), (200, b""), (200, b" \n"), (202, b"")])
def test_an_empty_body_is_none(world: World, code: int, body: bytes | None) -> None:
    talk = world.talk([world.status(code, body)], DELETE)
    assert (talk.reply.status, talk.reply.body) == (code, None)


def test_a_compressed_body_is_read(world: World) -> None:
    talk = world.talk([world.status(200, gzip.compress(b"[1]"), {"Content-Encoding": "gzip"})], GET)
    assert talk.reply.body == [1]


def test_json_under_another_content_type_is_accepted(world: World) -> None:
    assert world.talk([world.status(200, b"[1]", {"Content-Type": "text/plain"})], GET).reply.body == [1]


def test_not_a_number_is_read_as_absent(world: World) -> None:
    assert world.talk([world.status(200, b'{"value": NaN, "high": Infinity}')], GET).reply.body == {
        "value": None,
        "high": None,
    }


def test_html_instead_of_json_is_a_failed_read_that_is_not_repeated(world: World) -> None:
    page = world.status(200, b"<html>Please log in</html>", {"Content-Type": "text/html; charset=utf-8"})
    talk = world.talk([page], GET)
    assert isinstance(talk.error, ReadFailed)
    assert str(talk.error) == "GET /projects: the answer (200, text/html) is not JSON"
    assert talk.requests == 1


def test_html_instead_of_json_leaves_a_write_unknown(world: World) -> None:
    talk = world.talk([world.status(200, b"<html>", {"Content-Type": "text/html"})], POST)
    assert isinstance(talk.error, OutcomeUnknown)
    assert talk.lines == ["POST /v1/projects"]


def test_text_that_is_not_json_is_quoted_briefly_and_without_control_characters(world: World) -> None:
    text = b"\x1b]0;owned\x07 \xe2\x80\xae" + b"x" * 5000
    talk = world.talk([world.status(200, text, {"Content-Type": "text/plain"})], GET)
    assert isinstance(talk.error, ReadFailed)
    assert str(talk.error).startswith(
        r'GET /projects: the answer (200, text/plain) is not JSON: "\x1b]0;owned\x07 \u202e'
    )
    assert str(talk.error).isprintable()
    assert len(str(talk.error)) < 200


def test_a_body_cut_in_half_is_read_again(world: World) -> None:
    talk = world.talk([world.status(200, b'{"items": [', declared_length=500), world.status(200, {"items": []})], GET)
    assert talk.reply.body == {"items": []}
    assert talk.requests == 2


def test_a_body_that_is_always_cut_is_a_failed_read(world: World) -> None:
    talk = world.talk([world.status(200, b'{"items": [', declared_length=500)] * 9, GET)
    assert isinstance(talk.error, ReadFailed)
    assert str(talk.error) == "GET /projects: the answer (200, application/json) was cut off (4 attempts)"
    assert talk.requests == 4


def test_json_that_stops_half_way_is_read_again(world: World) -> None:
    talk = world.talk([world.status(200, b'{"items": ['), world.status(200, [])], GET)
    assert (talk.reply.body, talk.requests) == ([], 2)


def test_a_post_whose_answer_is_cut_is_unknown_and_sent_once(world: World) -> None:
    talk = world.talk([world.status(201, b'{"id"', declared_length=500)], POST)
    assert isinstance(talk.error, OutcomeUnknown)
    assert talk.lines == ["POST /v1/projects"]
    assert talk.slept == []


def test_a_body_over_the_cap_ends_the_read(world: World) -> None:
    talk = world.talk([world.status(200, b'"' + b"x" * 2000 + b'"')], GET, limits=world.Limits(body_bytes=1000))
    assert isinstance(talk.error, ReadFailed)
    assert str(talk.error) == "GET /projects: the answer (200) is too long: more than 1000 bytes"
    assert talk.requests == 1


def test_a_gzip_bomb_ends_at_the_cap(world: World) -> None:
    bomb = gzip.compress(b" " * 40_000_000)
    talk = world.talk([world.status(200, bomb, {"Content-Encoding": "gzip"})], GET)
    assert str(talk.error) == "GET /projects: the answer (200) is too long: more than 33554432 bytes"


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd", "rot13"])
def test_an_encoding_we_did_not_ask_for_is_not_unpacked(world: World, encoding: str) -> None:
    talk = world.talk([world.status(200, b"[]", {"Content-Encoding": encoding})] * 4, GET)
    assert isinstance(talk.error, ReadFailed)
    assert str(talk.error) == f"GET /projects: the answer (200) has an unknown content encoding '{encoding}'"
    assert talk.requests == 1


def test_json_nested_too_deeply_is_a_failed_read(world: World) -> None:
    talk = world.talk([world.status(200, b"[" * 200_000 + b"]" * 200_000)] * 4, GET)
    assert isinstance(talk.error, ReadFailed)


def test_a_dripping_answer_ends_at_the_deadline(world: World) -> None:
    talk = world.talk([world.drip], GET, limits=world.Limits(read_s=0.1, attempts=1))
    assert isinstance(talk.error, ReadFailed)
    assert str(talk.error) == "GET /projects: the answer (200, application/json) did not end in time"


def test_a_dripping_answer_to_a_post_is_unknown_and_sent_once(world: World) -> None:
    talk = world.talk([world.drip], POST, limits=world.Limits(write_s=0.1))
    assert isinstance(talk.error, OutcomeUnknown)
    assert talk.requests == 1


# ------------------------------------------------------------------------------------------ no answer


def _closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    return port


@pytest.mark.parametrize("call", [GET, POST, PUT], ids=["GET", "POST", "PUT"])
@pytest.mark.parametrize("host", ["127.0.0.1", "nowhere.invalid"])
def test_a_refused_connection_and_an_unknown_host_are_tried_again_and_then_unreachable(
    world: World, call: Call, host: str
) -> None:
    clock = world.clock()

    async def scenario() -> tuple[ApiError, int]:
        provider = world.provider(f"http://{host}:{_closed_port()}/v1", clock=clock)
        with pytest.raises(ApiError) as caught:
            await provider.send(call)
        await provider.close()
        return caught.value, provider.requests

    error, requests = asyncio.run(scenario())
    assert isinstance(error, Unreachable)
    assert str(error).startswith(f"{call.method} {call.path}: the server cannot be reached: ")
    assert error.__cause__ is not None
    assert (requests, len(clock.slept)) == (4, 3)


def test_a_certificate_that_can_not_be_verified_is_unreachable(world: World) -> None:
    talk = world.talk([], POST, tls=True)
    assert isinstance(talk.error, Unreachable)
    assert "the server's certificate cannot be verified: self-signed certificate" in str(talk.error)
    assert "SSL_CERT_FILE" in talk.error.hint
    assert talk.seen == []


def test_a_handshake_that_never_ends_is_tried_again_also_for_a_post_and_then_unreachable(world: World) -> None:
    async def scenario() -> tuple[ApiError, int]:
        peer = world.peer()
        peer.at_connect = [world.silence] * 4
        server = await peer.start()
        provider = world.provider(peer.url.replace("http:", "https:"), limits=world.Limits(connect_s=0.05))
        with pytest.raises(Unreachable) as caught:
            await provider.send(POST)
        await provider.close()
        server.close()
        await asyncio.sleep(0.01)
        return caught.value, provider.requests

    error, requests = asyncio.run(scenario())
    assert str(error) == "POST /projects: the server cannot be reached: no connection in time (4 attempts)"
    assert requests == 4


def test_a_given_certificate_authority_is_trusted(world: World) -> None:
    talk = world.talk([world.status(200, [])], GET, tls=True, ca_file=str(world.self_signed))
    assert talk.reply.body == []


def test_an_unreadable_certificate_authority_is_a_setting_to_mend(world: World) -> None:
    with pytest.raises(SettingsInvalid, match=r"SSL_CERT_FILE\) cannot be read: No such file"):
        world.provider("https://127.0.0.1/v1", ca_file="/nonexistent/ca.pem")


@pytest.mark.parametrize("fault", ["reset", "hang_up"])
@pytest.mark.parametrize("call", [GET, PUT, DELETE], ids=["GET", "PUT", "DELETE"])
def test_a_connection_lost_after_the_request_is_repeated_where_that_is_harmless(
    world: World, call: Call, fault: str
) -> None:
    talk = world.talk([getattr(world, fault), world.status(200, [])], call)
    assert (talk.reply.body, talk.requests) == ([], 2)


@pytest.mark.parametrize("fault", ["reset", "hang_up"])
def test_a_connection_lost_after_a_post_is_unknown_and_sent_once(world: World, fault: str) -> None:
    talk = world.talk([getattr(world, fault)], POST)
    assert isinstance(talk.error, OutcomeUnknown)
    assert not isinstance(talk.error, NotApplied)
    assert talk.lines == ["POST /v1/projects"]


@pytest.mark.parametrize("fault", ["reset", "hang_up"])
def test_a_connection_lost_before_the_server_read_a_post_may_still_have_been_read(world: World, fault: str) -> None:
    talk = world.talk([], POST, at_connect=[getattr(world, fault)])
    assert isinstance(talk.error, OutcomeUnknown)
    assert (talk.connections, talk.requests) == (1, 1)


def test_a_get_whose_connection_always_breaks_fails_after_four_attempts(world: World) -> None:
    talk = world.talk([world.reset] * 9, GET)
    assert isinstance(talk.error, ReadFailed)
    assert talk.requests == len(talk.seen) == 4


def test_a_put_whose_connection_always_breaks_is_unknown(world: World) -> None:
    talk = world.talk([world.reset] * 9, PUT)
    assert isinstance(talk.error, OutcomeUnknown)
    assert talk.requests == len(talk.seen) == 4


@pytest.mark.parametrize("fault", ["reset", "hang_up"])
def test_a_write_that_is_not_repeatable_is_sent_once_even_on_a_kept_alive_connection(world: World, fault: str) -> None:
    once = Call("PUT", "/tests", body={}, repeatable=False)
    talk = world.talk([world.status(200, []), getattr(world, fault)], GET, once)
    assert isinstance(talk.results[1], OutcomeUnknown)
    assert talk.lines == ["GET /v1/projects", "PUT /v1/tests"]


def test_no_answer_within_the_deadline_is_repeated_for_a_read(world: World) -> None:
    talk = world.talk([world.silence, world.status(200, [])], GET, limits=world.Limits(read_s=0.1))
    assert (talk.reply.body, talk.requests) == ([], 2)


def test_no_answer_within_the_deadline_leaves_a_post_unknown(world: World) -> None:
    talk = world.talk([world.silence], POST, limits=world.Limits(write_s=0.1))
    assert isinstance(talk.error, OutcomeUnknown)
    assert "no answer" in str(talk.error)
    assert talk.requests == 1


def test_an_answer_that_is_not_http_leaves_a_post_unknown(world: World) -> None:
    talk = world.talk([world.raw(b"SSH-2.0-OpenSSH_9.9\r\n\r\n", then_close=True)], POST)
    assert isinstance(talk.error, OutcomeUnknown)
    assert str(talk.error) == (
        "POST /projects: no answer: the answer is not HTTP; whether it was carried out is not known"
    )


# ------------------------------------------------------------------------------------------ 3xx to 5xx


REFUSALS: list[tuple[int, type[ApiError], str]] = [
    (400, InvalidRequest, "the request was refused (400): bad"),
    (401, NotAuthorized, "the key was not accepted (401): bad"),
    (402, PlanLimit, "the account's plan does not allow this (402): bad"),
    (403, NotAuthorized, "this key may not do that (403): bad"),
    (404, NotFound, "not found (404): bad"),
    (405, MethodMissing, "the server has no such operation (405): bad"),
    (409, Conflict, "conflict with something that exists (409): bad"),
    (413, InvalidRequest, "the request is too large for the server (413): bad"),
    (415, InvalidRequest, "the request was refused (415): bad"),
    (422, InvalidRequest, "the request was refused (422): bad"),
]


@pytest.mark.parametrize("call", [GET, POST, PUT, DELETE], ids=["GET", "POST", "PUT", "DELETE"])
@pytest.mark.parametrize(("code", "expected", "message"), REFUSALS, ids=[str(code) for code, _, _ in REFUSALS])
def test_a_refusal_is_one_sentence_with_method_and_path_and_is_not_repeated(
    world: World, call: Call, code: int, expected: type[ApiError], message: str
) -> None:
    talk = world.talk([world.status(code, {"code": code, "error": "bad"})], call)
    assert type(talk.error) is expected
    assert str(talk.error) == f"{call.method} {call.path}: {message}"
    assert (talk.error.status, talk.error.method, talk.error.path) == (code, call.method, call.path)
    assert (talk.requests, talk.slept) == (1, [])


def test_a_field_error_names_the_field(world: World) -> None:
    body: Json = {"code": 422, "error": {"thresholds": {"0": {"value": ["Field may not be null."]}}}}
    talk = world.talk([world.status(422, body)], POST)
    assert (
        str(talk.error) == "POST /projects: the request was refused (422): thresholds.0.value: Field may not be null."
    )


def test_an_error_page_in_html_is_not_echoed(world: World) -> None:
    talk = world.talk([world.status(404, b"<html><script>", {"Content-Type": "text/html"})], GET)
    assert str(talk.error) == "GET /projects: not found (404)"


def test_a_refusal_whose_body_is_cut_or_endless_is_still_that_refusal(world: World) -> None:
    cut = world.talk([world.status(404, b'{"error"', declared_length=500)], POST)
    assert isinstance(cut.error, NotFound)
    long = world.talk([world.status(422, b"x" * 200_000)], POST)
    assert isinstance(long.error, InvalidRequest)
    assert len(str(long.error)) < 400


def test_the_request_id_of_the_answer_is_kept_in_the_message(world: World) -> None:
    talk = world.talk([world.status(404, {}, {"X-Request-Id": "req-42"})], GET)
    assert str(talk.error) == "GET /projects: not found (404, request id req-42)"


def test_a_wrong_key_names_the_variable(world: World) -> None:
    assert "ACME_API_KEY" in world.talk([world.status(401)], GET).error.hint
    talk = world.talk([world.status(403)], GET, key_variable="ACME_API_KEY_STAGING")
    assert talk.error.hint == "the key in ACME_API_KEY_STAGING belongs to another workspace or lacks the permission"


def test_nothing_more_is_sent_after_the_key_was_refused(world: World) -> None:
    talk = world.talk([world.status(200, []), world.status(401)], GET, GET, POST, GET)
    assert isinstance(talk.results[2], NotAuthorized)
    assert isinstance(talk.results[3], NotAuthorized)
    assert str(talk.results[2]) == (
        "POST /projects: not sent, because the key was refused before (401 on GET /projects)"
    )
    assert talk.requests == len(talk.seen) == 2


CASE = "/v2/gen-ai/evaluation_test_cases/0b9d7c52-6d1c-4f6e-9a57-8d1f6f2a7b11"
OTHER_CASE = "/v2/gen-ai/evaluation_test_cases/77a1e0c4-2f43-4b52-8f0e-b1f2c3d4e5f6"


def test_what_the_key_may_not_do_is_sent_once_and_everything_else_goes_on(world: World) -> None:
    """A 403 is about one method at one kind of place: the path without its ids."""
    calls = [
        Call("PUT", CASE, body={}),
        Call("PUT", OTHER_CASE, body={}),
        Call("GET", OTHER_CASE),
        Call("PUT", CASE + "/evaluation_runs", body={}),
        Call("PUT", "/v2/gen-ai/evaluation_test_cases", body={}),
        Call("PUT", "/v1/gen-ai/evaluation_test_cases", body={}),
    ]
    talk = world.talk([world.status(403), *[world.status(200, [])] * 4], *calls)
    assert [isinstance(result, NotAuthorized) for result in talk.results] == [True, True, *[False] * 4]
    assert str(talk.results[1]) == f"PUT {OTHER_CASE}: not sent, because the key may not do that (403 on PUT {CASE})"
    assert talk.requests == len(talk.seen) == 5


def test_calls_that_wait_for_their_turn_are_not_sent_once_the_key_was_refused(world: World) -> None:
    talk = world.talk([world.status(401)], *[GET] * 20, together=True, parallelism=1)
    assert [type(result) for result in talk.results] == [NotAuthorized] * 20
    assert talk.requests == 1


def test_a_404_below_a_base_without_the_api_s_path_says_so(world: World) -> None:
    talk = world.talk([world.status(404)], GET, base_path="")
    assert talk.error.hint == "ACME_BASE_URL does not end in /v1, the path the API is expected at"
    assert world.talk([world.status(404)], GET).error.hint == ""


def test_a_500_is_followed_by_success_for_a_read(world: World) -> None:
    talk = world.talk([world.status(500), world.status(503), world.status(200, [])], GET)
    assert (talk.reply.body, talk.requests) == ([], 3)
    assert talk.observed == [("GET", "/projects", 500), ("GET", "/projects", 503), ("GET", "/projects", 200)]


@pytest.mark.parametrize("code", [408, 500, 502, 503, 504])
def test_a_server_error_on_a_post_is_unknown_and_sent_once(world: World, code: int) -> None:
    talk = world.talk([world.status(code, {"error": "oops"})], POST)
    assert isinstance(talk.error, OutcomeUnknown)
    assert str(talk.error) == (
        f"POST /projects: the server failed ({code}): oops; whether it was carried out is not known"
    )
    assert talk.lines == ["POST /v1/projects"]


@pytest.mark.parametrize("code", [408, 500, 502, 503, 504])
def test_a_lasting_server_error_ends_a_read_after_four_attempts(world: World, code: int) -> None:
    talk = world.talk([world.status(code)] * 9, GET)
    assert isinstance(talk.error, ReadFailed)
    assert str(talk.error) == f"GET /projects: the server failed ({code}) (4 attempts)"
    assert talk.requests == 4


@pytest.mark.parametrize("call", [PUT, DELETE], ids=["PUT", "DELETE"])
def test_a_repeatable_write_is_repeated_after_a_server_error_and_unknown_in_the_end(world: World, call: Call) -> None:
    assert world.talk([world.status(502), world.status(204)], call).reply.status == 204
    assert isinstance(world.talk([world.status(502)] * 9, call).error, OutcomeUnknown)


@pytest.mark.parametrize("code", [418, 425, 460, 499])
def test_an_unlisted_status_of_a_write_proves_nothing(world: World, code: int) -> None:
    assert isinstance(world.talk([world.status(code)], POST).error, OutcomeUnknown)
    assert isinstance(world.talk([world.status(code)], GET).error, ReadFailed)


def test_what_an_unlisted_status_refuses_is_not_sent_again(world: World) -> None:
    """Not even where that would do no harm: it would be refused the same way."""
    for call in (GET, PUT, DELETE):
        assert world.talk([world.status(418)], call).requests == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("call", [GET, POST], ids=["GET", "POST"])
def test_a_redirect_is_not_followed_and_its_target_sees_nothing(world: World, call: Call, code: int) -> None:
    async def scenario() -> tuple[ApiError, str, int, int]:
        elsewhere = world.peer()
        probe = await elsewhere.start()
        peer = world.peer([world.status(code, None, {"Location": f"{elsewhere.url}/v1/projects?key=x"})])
        server = await peer.start()
        provider = world.provider(f"{peer.url}/v1")
        with pytest.raises(ApiError) as caught:
            await provider.send(call)
        await provider.close()
        server.close()
        probe.close()
        await asyncio.sleep(0.01)
        return caught.value, elsewhere.url, elsewhere.connections, provider.requests

    error, target, connections, requests = asyncio.run(scenario())
    assert isinstance(error, ReadFailed if call is GET else OutcomeUnknown)
    assert f"the server redirects to {target} ({code}), which is not followed" in str(error)
    assert "ACME_BASE_URL" in error.hint
    assert (connections, requests) == (0, 1)


@pytest.mark.parametrize(
    "location", ["", "/other", "//[", "http://evil.example:99999999/", "javascript:alert(1)", "\x01"]
)
def test_any_location_of_a_redirect_is_an_error_in_words(world: World, location: str) -> None:
    talk = world.talk([world.status(302, None, {"Location": location})], GET)
    assert isinstance(talk.error, ReadFailed)
    assert "redirects" in str(talk.error)
    assert str(talk.error).isprintable()


# ------------------------------------------------------------------------------------------------- 429


def test_a_429_waits_as_many_seconds_as_it_says_and_is_then_repeated_even_for_a_post(world: World) -> None:
    talk = world.talk([world.status(429, None, {"Retry-After": "7"}), world.status(201, {"id": "1"})], POST)
    assert talk.reply.body == {"id": "1"}
    assert talk.requests == 2
    assert 7 <= sum(talk.slept) <= 7 * 1.25


def test_a_429_waits_until_the_date_it_names_by_the_server_s_own_clock(world: World) -> None:
    dates = {"Date": "Wed, 21 Oct 2065 07:28:00 GMT", "Retry-After": "Wed, 21 Oct 2065 07:28:30 GMT"}
    talk = world.talk([world.status(429, None, dates), world.status(200, [])], GET)
    assert talk.requests == 2
    assert 30 <= sum(talk.slept) <= 30 * 1.25


@pytest.mark.parametrize("headers", [{}, {"Retry-After": "soon"}, {"Retry-After": "-5"}, {"Retry-After": "0"}])
def test_a_429_without_a_usable_time_backs_off_by_itself(world: World, headers: dict[str, str]) -> None:
    talk = world.talk([world.status(429, None, headers)] * 6 + [world.status(200, [])], GET)
    assert talk.requests == 7
    assert 0 < sum(talk.slept) < 60


def test_one_pause_is_never_longer_than_a_minute(world: World) -> None:
    talk = world.talk([world.status(429, None, {"Retry-After": "200"}), world.status(200, [])], GET)
    assert talk.requests == 2
    assert 60 <= sum(talk.slept) <= 75


@pytest.mark.parametrize("asked", ["301", "1000000000", "9" * 500])
def test_a_429_that_asks_for_more_than_our_patience_ends_at_once(world: World, asked: str) -> None:
    talk = world.talk([world.status(429, {"error": "slow down"}, {"Retry-After": asked})], POST)
    assert isinstance(talk.error, RateLimited)
    assert str(talk.error).startswith("POST /projects: too many requests (429): slow down; the vendor asks to wait ")
    assert (talk.requests, talk.slept) == (1, [])


def test_a_429_that_never_ends_is_given_up_after_our_patience(world: World) -> None:
    talk = world.talk([world.status(429, None, {"Retry-After": "60"})] * 20, GET)
    assert isinstance(talk.error, RateLimited)
    assert talk.requests == 6
    assert 300 <= sum(talk.slept) <= 375


def test_a_call_has_its_own_patience(world: World) -> None:
    """One that may wait 10 s is given up as not sent when 15 are asked for: by its own 429, and by another's answer."""
    hurried = replace(POST, patience_s=10.0)
    talk = world.talk([world.status(429, None, {"Retry-After": "15"})], hurried)
    assert isinstance(talk.error, RateLimited)
    assert (talk.requests, talk.slept) == (1, [])
    talk = world.talk([world.status(200, [], {"RateLimit-Remaining": "0", "RateLimit-Reset": "15"})], GET, hurried)
    assert isinstance(talk.results[1], RateLimited)
    assert str(talk.results[1]) == "POST /projects: not sent: the vendor asks to wait 15s"
    assert (talk.requests, talk.slept) == (1, [])


def test_a_call_waits_as_long_as_its_patience(world: World) -> None:
    hurried = replace(POST, patience_s=20.0)
    talk = world.talk([world.status(429, None, {"Retry-After": "15"}), world.status(201, {})], hurried)
    assert talk.results[0].status == 201


def test_a_429_pauses_everyone(world: World) -> None:
    """Ten calls wait behind one 429; none of them finds out for itself."""
    script = [world.status(429, None, {"Retry-After": "20"})] + [world.status(200, [])] * 10
    talk = world.talk(script, *[GET] * 10, together=True, parallelism=1)
    assert [getattr(result, "status", None) for result in talk.results] == [200] * 10
    assert talk.requests == 11
    assert 20 <= sum(talk.slept) <= 25


def test_an_exhausted_quota_is_respected_before_it_becomes_a_429(world: World) -> None:
    headers = {"RateLimit-Remaining": "0", "RateLimit-Reset": "12"}
    talk = world.talk([world.status(200, [], headers), world.status(200, [])], GET, GET)
    assert talk.requests == 2
    assert 12 <= sum(talk.slept) <= 15


def test_the_pause_of_a_503_holds_back_everyone(world: World) -> None:
    talk = world.talk([world.status(503, None, {"Retry-After": "30"}), world.status(200, [])], POST, GET)
    assert isinstance(talk.results[0], OutcomeUnknown)
    assert 30 <= sum(talk.slept) <= 37.5


def test_a_pause_is_told_once_for_all_who_wait(world: World) -> None:
    """From 5 s on: who asks for it, why, and for how long; not where whoever was told gives up, and nobody waits."""
    told: list[str] = []
    script = [world.status(429, None, {"Retry-After": "20"})] + [world.status(200, [])] * 3
    world.talk(script, GET, GET, GET, together=True, parallelism=1, on_pause=told.append)
    assert told == ["acme asks for a pause, too many requests (429): waiting for 20 s"]
    told.clear()
    script = [
        world.status(503, None, {"Retry-After": "900"}),
        world.status(200, [], {"RateLimit-Remaining": "0", "RateLimit-Reset": "12"}),
        world.status(200, []),
    ]
    world.talk(script, POST, GET, GET, on_pause=told.append)
    assert told == [
        "acme asks for a pause, the server is not available (503): waiting for 60 s",
        "acme asks for a pause, its quota is used up: waiting for 12 s",
    ]
    told.clear()
    world.talk([world.status(429, None, {"Retry-After": "900"})], GET, on_pause=told.append)
    assert told == []
    world.talk([world.status(503, None, {"Retry-After": "40"}), world.status(200, [])], GET, on_pause=told.append)
    assert told == ["acme asks for a pause, the server is not available (503): waiting for 40 s"]
    told.clear()
    world.talk([world.status(429, None, {"Retry-After": "4"}), world.status(200, [])], GET, on_pause=told.append)
    assert told == []


def test_a_503_that_asks_for_more_than_our_patience_ends_at_once(world: World) -> None:
    """As a 429 does."""
    talk = world.talk([world.status(503, None, {"Retry-After": "1000000000"})] * 4, GET)
    assert str(talk.error).startswith("GET /projects: the server failed (503); the vendor asks to wait ")
    assert talk.error.hint.startswith("gave up, as a request waits no longer than ")
    assert (talk.requests, talk.slept) == (1, [])


def test_a_503_waits_no_longer_than_our_patience(world: World) -> None:
    talk = world.talk([world.status(503, None, {"Retry-After": "40"})] * 4, replace(GET, patience_s=100.0))
    assert isinstance(talk.error, ReadFailed)
    assert talk.requests == 3


# ------------------------------------------------------------------------------- budget, pace, secrecy


def test_an_outage_costs_at_most_twenty_requests_more_than_a_healthy_run(world: World) -> None:
    talk = world.talk([world.status(500)] * 200, *[GET] * 60)
    assert all(isinstance(result, ReadFailed) for result in talk.results)
    assert talk.requests == 60 + 20


def test_a_server_that_fails_now_and_then_is_asked_again_more_than_twenty_times(world: World) -> None:
    """What it answers pays for a part of what it does not: a long run is not an outage."""
    talk = world.talk([world.status(500), world.status(200, [])] * 22, *[GET] * 22)
    assert [result.status for result in talk.results if isinstance(result, Reply)] == [200] * 22


@pytest.mark.parametrize("code", [429, 503])
def test_an_overloaded_server_gets_half_as_many_requests_at_once(world: World, code: int) -> None:
    async def scenario() -> int:
        over = asyncio.Event()

        async def held(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await over.wait()
            await world.status(200, [])(reader, writer)

        peer = world.peer([world.status(code), world.status(200, []), *[held] * 4])
        server = await peer.start()
        provider = world.provider(peer.url, parallelism=4)
        await provider.send(GET)
        four = [asyncio.create_task(provider.send(GET)) for _ in range(4)]
        await asyncio.sleep(0.05)
        at_once = len(peer.seen) - 2
        over.set()
        await asyncio.gather(*four)
        await provider.close()
        server.close()
        await asyncio.sleep(0.01)
        return at_once

    assert asyncio.run(scenario()) == 2


def test_no_more_requests_are_in_flight_than_allowed(world: World) -> None:
    talk = world.talk([world.status(200, [])] * 40, *[GET] * 40, together=True, parallelism=3)
    assert talk.requests == 40
    assert talk.connections <= 3


def test_a_cancelled_request_is_a_cancellation_and_frees_its_place(world: World) -> None:
    async def scenario() -> int:
        peer = world.peer([world.silence, world.status(200, [])])
        server = await peer.start()
        provider = world.provider(peer.url, parallelism=1)
        task = asyncio.create_task(provider.send(POST))
        await peer.asked.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        reply = await provider.send(GET)
        await provider.close()
        server.close()
        await asyncio.sleep(0.01)
        return reply.status

    assert asyncio.run(scenario()) == 200


def test_the_key_is_in_no_message_no_repr_and_no_local_variable_of_ours(world: World) -> None:
    """A server that repeats the key in every place it can, and every kind of failure."""
    echo = {"X-Request-Id": world.key, "Location": f"http://{world.key}.example/", "Content-Type": "text/plain"}
    text = b"y" * 290 + f"Bearer {world.key}".encode()
    script = [world.status(code, text, echo) for code in (200, 302, 400, 404, 409, 422, 500, 429)]
    script += [
        world.reset,
        world.hang_up,
        world.raw(b"SSH-2.0\r\n\r\n", then_close=True),
        world.status(401, text, echo),
    ]
    talk = world.talk(script, *[POST] * 13, limits=world.Limits(patience_s=0.0))
    assert len(talk.seen) == 12
    for error in talk.results:
        assert isinstance(error, ApiError)
        shown = "".join(traceback.TracebackException.from_exception(error, capture_locals=True).format())
        assert world.key not in shown + repr(error) + error.hint


def test_no_exception_of_a_library_gets_out(world: World) -> None:
    faults = [world.reset, world.hang_up, world.raw(b"\x00" * 50, then_close=True),
              world.raw(b"HTTP/1.1 999999 X\r\n\r\n"),
              world.raw(b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", then_close=True),
              world.raw(b"HTTP/1.1 200 OK\r\n" + b"X: " + b"y" * 100_000 + b"\r\n\r\n", then_close=True),
              world.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", then_close=True),
              world.raw(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
              world.raw(b"HTTP/1.1 200 OK\r\nConte", then_close=True)]  # fmt: skip
    for fault in faults:
        error = world.talk([fault], POST).error  # anything but an ApiError fails in ``talk``
        assert isinstance(error, OutcomeUnknown)
        assert isinstance(error, ReconcilerError)
        assert error.__cause__ is not None
