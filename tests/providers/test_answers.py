"""What a vendor's error body says, in one line fit for a terminal."""

from __future__ import annotations

import json

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reconciler.errors import ApiError, OutcomeUnknown, Unreachable
from reconciler.model.call import Call, Reply
from reconciler.model.values import Json
from reconciler.providers.answers import Advice, Again, Answer, Failure, excerpt, judge, printable, vendor_message

ADVICE = Advice("ACME_API_KEY", "ACME_BASE_URL")


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"code": 422, "error": "name is taken"}, "name is taken"),
        ({"code": "invalid", "message": "name is taken"}, "name is taken"),
        ({"detail": "name is taken"}, "name is taken"),
        ({"id": "not_found", "message": "the resource is gone"}, "the resource is gone"),
        ({"error": {"name": ["Missing data for required field."]}}, "name: Missing data for required field."),
        ({"error": {"thresholds": {"0": {"value": ["May not be null."]}}}}, "thresholds.0.value: May not be null."),
        ({"error": {"a": ["One.", "Two."], "b": "Three."}}, "a: One.; a: Two.; b: Three."),
        ({"error": "{'name': ['Unknown field.']}"}, "name: Unknown field."),
        ({"error": "{not a mapping"}, "{not a mapping"),
        ({"error": "Unprocessable", "message": {"name": ["Too long."]}}, "name: Too long."),
        ({"error": {"message": "wrong", "type": "x"}}, "wrong"),
        ({"detail": [{"loc": ["body", "name"], "msg": "field required"}]}, "body.name: field required"),
        ({"errors": [{"field": "name", "message": "too long"}, "and more"]}, "name: too long; and more"),
        (["a", ["b"]], "a; b"),
        ("plain", "plain"),
        ({"error": None, "message": ""}, ""),
        ({"name": ["Missing."]}, "name: Missing."),
        ({}, ""),
        (None, ""),
        (5, "5"),
    ],
)
def test_the_vendor_s_own_words_are_found_in_every_known_shape(body: Json, message: str) -> None:
    assert vendor_message(Answer(422, {"content-type": "application/json"}, json.dumps(body).encode())) == message


@pytest.mark.parametrize(
    ("content", "kind", "message"),
    [
        (b"upstream\n  timed out", "text/plain", "upstream timed out"),
        (b"<html><h1>Bad gateway", "text/html", ""),
        (b"<?xml version='1.0'?>", "", ""),
        (b"", "", ""),
        (b"\xff\xfe", "text/plain", "��"),
    ],
)
def test_text_is_shown_and_a_web_page_is_not(content: bytes, kind: str, message: str) -> None:
    assert vendor_message(Answer(502, {"content-type": kind}, content)) == message


def test_control_bidirectional_and_invisible_characters_are_spelled_out() -> None:
    hostile = "a\x1b[2J\r\x07\x9b\u202e\u200b\u2028\ufeff\ud800z"
    assert printable(hostile) == r"a\x1b[2J\r\x07\x9b\u202e\u200b\u2028\ufeff\ud800z"
    assert excerpt("x" * 1000, 10) == "xxxxxxxxx…"


@given(st.binary(max_size=300), st.sampled_from([None, 200, 204, 302, 400, 401, 404, 409, 418, 422, 429, 500, 503]))
def test_any_answer_is_a_reply_or_one_printable_line(content: bytes, status: int | None) -> None:
    call = Call("POST", "/projects", repeatable=False)
    result = judge(call, Answer(status, {"content-type": "application/json"}, content, OSError("x")), ADVICE)
    assert isinstance(result, Failure)
    error = result.raised_for(call, 1)
    assert isinstance(error, ApiError)
    assert str(error).isprintable()
    assert len(str(error)) < 600


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x)
    )
)
def test_any_json_is_read_as_it_is_and_any_json_error_is_one_line(body: Json) -> None:
    content = json.dumps(body).encode()
    assert judge(Call("GET", "/p"), Answer(200, {}, content), ADVICE) == Reply(200, body, {})
    assert vendor_message(Answer(422, {}, content)).isprintable()


@pytest.mark.parametrize("kind", [httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout])
def test_where_nothing_was_sent_anything_may_be_sent_again(kind: type[httpx.TransportError]) -> None:
    result = judge(Call("POST", "/projects", repeatable=False), Answer(None, broken=kind("no")), ADVICE)
    assert isinstance(result, Failure)
    assert (result.error, result.again) == (Unreachable, Again.ALWAYS)


@pytest.mark.parametrize("kind", [httpx.ReadError, httpx.ReadTimeout, httpx.WriteError, TimeoutError])
def test_where_something_may_have_been_sent_a_create_is_not_repeated(kind: type[Exception]) -> None:
    result = judge(Call("POST", "/projects", repeatable=False), Answer(None, broken=kind("no")), ADVICE)
    assert isinstance(result, Failure)
    assert (result.error, result.again) == (OutcomeUnknown, Again.IF_REPEATABLE)


def test_the_vendor_s_words_never_exceed_their_limit() -> None:
    body = {"error": {str(number): "x" * 50 for number in range(1000)}}
    assert len(vendor_message(Answer(422, {}, json.dumps(body).encode()))) == 300


@pytest.mark.parametrize(
    "content",
    [
        b'{"a": 1, "b": 2, "a": 3}',
        b"[18446744073709551616, -0, -0.0, 1E5, 9007199254740993.0, 4.9e-324, 0.30000000000000004, 1e-400]",
        b"[1e400, -1e400]",
        b'["\\ud800", "\\ud83d\\ude00", "\\u0000", "\\/", "\x7f", "\xed\xa0\x80"]',
        b"\xef\xbb\xbf[1]",
        "[1]".encode("utf-16"),
        b'["a\x01"]',
        b"[01]",
        b"[1,]",
        b"1 2",
        b"9" * 5000,
        b"[" * 100_000,
        b'"\xff"',
    ],
)
def test_json_is_read_as_python_reads_it(content: bytes) -> None:
    """Also what is not quite JSON, and with the same refusals, whatever reads it."""
    try:
        expected: object = json.loads(content)
    except (ValueError, RecursionError) as error:
        expected = type(error)
    found = judge(Call("GET", "/projects"), Answer(200, {}, content), ADVICE)
    assert repr(found.body if isinstance(found, Reply) else type(found.cause)) == repr(expected)
