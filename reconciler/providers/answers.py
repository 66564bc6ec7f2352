"""Turn what came back for a request into a Reply, or into a Failure that says what may have happened.  Pure.

What may have happened, by what came back (a write has three outcomes: done, not applied, unknown):

    nothing was sent                          not applied        may be sent again, whatever the method
    429                                       not applied        may be sent again after a pause
    400 401 402 403 404 405 410 413 415 422   not applied        sending it again changes nothing
    409                                       Conflict           somebody holds the name, perhaps a lost create of ours
    2xx that can be read                      done
    all else: 408, 5xx, 3xx, other 4xx,       unknown            may be sent again if that does no harm
    no answer, a cut or unreadable answer
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from enum import Enum
from urllib.parse import urlsplit

import httpx
import msgspec.json
from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.errors import (
    ApiError,
    Conflict,
    InvalidRequest,
    MethodMissing,
    NotAuthorized,
    NotFound,
    OutcomeUnknown,
    PlanLimit,
    RateLimited,
    ReadFailed,
    Unreachable,
)
from reconciler.model.call import Call, Reply
from reconciler.model.values import Json

EXCERPT = 300
_RETRY_COST = 5
_TIMEOUT_COST = 10
_REQUEST_ID_HEADERS = ("x-request-id", "request-id", "cf-ray")


class BodyTooLarge(Exception):
    """The answer's body is longer than we are willing to hold."""


class UnknownEncoding(Exception):
    """The answer's body is packed in a way that was not asked for."""


class ProxyFailed(httpx.ConnectError):
    """Nothing was sent, for the proxy in between does not do its part."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


class Again(Enum):
    """When a request that failed may be sent again."""

    NEVER = "it would fail the same way"
    AFTER_PAUSE = "the vendor asked us to wait; nothing happened"
    ALWAYS = "nothing was sent"
    IF_REPEATABLE = "it may have been carried out"


class Answer(Struct, frozen=True):
    """What came back.  ``status`` is None when no answer did; ``broken`` is what ended it early, if anything.

    ``headers`` by lower-case name; ``content`` is decompressed, and may be only a part when ``broken`` is set.
    """

    status: int | None
    headers: Mapping[str, str] = field(default_factory=dict)
    content: bytes = b""
    broken: Exception | None = None


class Failure(Struct, frozen=True):
    """One attempt that failed; ``cost`` is what a retry takes from the run's budget."""

    error: type[ApiError]
    message: str
    status: int | None = None
    hint: str = ""
    again: Again = Again.NEVER
    cost: int = _RETRY_COST
    cause: Exception | None = None

    def raised_for(self, call: Call, attempts: int) -> ApiError:
        """The error to raise after the last attempt."""
        tries = f" ({attempts} attempts)" if attempts > 1 else ""
        return self.error(
            self.message + tries, method=call.method, path=printable(call.path), status=self.status, hint=self.hint
        )


class Advice(Struct, frozen=True):
    """What hints may name: the variables of the credential and of the URL, and the path that the URL lacks."""

    key_variable: str
    url_variable: str
    missing_path: str = ""


def judge(call: Call, answer: Answer, advice: Advice) -> Reply | Failure:
    """What the answer to this call means."""
    if answer.status is None:
        return _no_answer(call, answer.broken, advice)
    if 200 <= answer.status < 300:
        return _accepted(call, answer, answer.status, advice)
    if 300 <= answer.status < 400:
        return _redirected(call, answer, answer.status, advice)
    return _refused(call, answer, answer.status, advice)


# ------------------------------------------------------------------------------------------ no answer


def _no_answer(call: Call, broken: Exception | None, advice: Advice) -> Failure:
    reason = printable(str(broken)) or type(broken).__name__
    if isinstance(broken, httpx.ConnectError | httpx.ConnectTimeout | httpx.PoolTimeout | httpx.UnsupportedProtocol):
        cost = _TIMEOUT_COST if isinstance(broken, httpx.TimeoutException) else _RETRY_COST
        hint = f"check the network and {advice.url_variable}"
        if "certificate" in reason:
            hint = "set SSL_CERT_FILE to the certificate authority of a self-hosted server"
        if isinstance(broken, ProxyFailed):
            hint = broken.hint
        message = f"the server cannot be reached: {reason}"
        return Failure(Unreachable, message, None, hint, Again.ALWAYS, cost, broken)
    if isinstance(broken, httpx.LocalProtocolError):
        return Failure(InvalidRequest, f"not sent: {reason}", None, "", Again.NEVER, 0, broken)
    return _unsure(call, f"no answer: {reason}", None, broken)


def _unsure(
    call: Call, what: str, status: int | None, cause: Exception | None = None, *, again: bool = True
) -> Failure:
    """It may have been carried out: harmless for a read, to be looked up for a write."""
    cost = _TIMEOUT_COST if isinstance(cause, TimeoutError | httpx.TimeoutException) else _RETRY_COST
    retry = Again.IF_REPEATABLE if again else Again.NEVER
    if call.method == "GET":
        return Failure(ReadFailed, what, status, "", retry, cost, cause)
    message = f"{what.removesuffix('.')}; whether it was carried out is not known"
    return Failure(OutcomeUnknown, message, status, "run the same command again: it looks first", retry, cost, cause)


# ------------------------------------------------------------------------------------------- an answer


def _accepted(call: Call, answer: Answer, status: int, advice: Advice) -> Reply | Failure:
    if answer.broken is not None:
        return _cut(call, answer, status)
    if not answer.content.strip():
        return Reply(status, None, answer.headers)
    with suppress(ValueError, RecursionError):  # where it is not quite JSON, Python's reader is more lenient
        return Reply(status, _DECODE(answer.content), answer.headers)
    try:
        text = answer.content.decode(json.detect_encoding(answer.content), "surrogatepass")
        return Reply(status, _JSON.decode(text), answer.headers)
    except (ValueError, RecursionError) as exc:
        kind = content_type(answer.headers)
        # JSON that stops half-way may be whole the next time; a login page will stay a login page.
        again = "json" in kind or not kind
        what = f"the answer ({status}, {kind or 'no content type'}) is not JSON{_excerpt_of(answer)}"
        failure = _unsure(call, what, status, exc, again=again)
        return failure if again or failure.hint else replace(failure, hint=_other_place(advice))


def _other_place(advice: Advice) -> str:
    """What is most likely wrong where somebody answers who does not speak JSON."""
    ending = f", which ends in {advice.missing_path}" if advice.missing_path else ""
    return (
        f"check that {advice.url_variable} is the address of the API itself{ending}, and that no proxy or sign-in page "
        "stands in between"
    )


def _not_a_number(_: str) -> None:
    """NaN and Infinity are not JSON, but servers written in Python send them: a value that is not there."""


_DECODE = msgspec.json.Decoder().decode
_JSON = json.JSONDecoder(parse_constant=_not_a_number)


def _cut(call: Call, answer: Answer, status: int) -> Failure:
    if isinstance(answer.broken, BodyTooLarge):
        return _unsure(call, f"the answer ({status}) is too long: {answer.broken}", status, answer.broken, again=False)
    reason = "did not end in time" if isinstance(answer.broken, TimeoutError) else "was cut off"
    if isinstance(answer.broken, UnknownEncoding):
        return _unsure(call, f"the answer ({status}) has an {answer.broken}", status, answer.broken, again=False)
    kind = content_type(answer.headers) or "no content type"
    return _unsure(call, f"the answer ({status}, {kind}) {reason}", status, answer.broken)


def _redirected(call: Call, answer: Answer, status: int, advice: Advice) -> Failure:
    """Never followed: the credential belongs to one origin."""
    target = _target(answer.headers.get("location", ""))
    what = f"the server redirects {target} ({status}), which is not followed"
    hint = f"set {advice.url_variable} to the address of the API itself"
    return replace(_unsure(call, what, status, again=False), hint=hint)


def _target(location: str) -> str:
    """Where a redirect leads, in words: the origin only, because the rest may hold secrets."""
    try:
        parts = urlsplit(location)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "to an address that makes no sense"
    scheme = f"{parts.scheme}:" if parts.scheme else ""
    return printable(f"to {scheme}//{parts.hostname}{port}") if parts.hostname else "to another path"


_REFUSALS: dict[int, tuple[type[ApiError], str]] = {
    400: (InvalidRequest, "the request was refused"),
    401: (NotAuthorized, "the key was not accepted"),
    402: (PlanLimit, "the account's plan does not allow this"),
    403: (NotAuthorized, "this key may not do that"),
    404: (NotFound, "not found"),
    405: (MethodMissing, "the server has no such operation"),
    409: (Conflict, "conflict with something that exists"),
    410: (NotFound, "not there any more"),
    413: (InvalidRequest, "the request is too large for the server"),
    415: (InvalidRequest, "the request was refused"),
    422: (InvalidRequest, "the request was refused"),
}


def _refused(call: Call, answer: Answer, status: int, advice: Advice) -> Failure:
    said = vendor_message(answer)
    details = f" ({status}{_request_id(answer.headers)})" + (f": {said}" if said else "")
    if status in _REFUSALS:
        error, what = _REFUSALS[status]
        return Failure(error, what + details, status, _hint(status, advice))
    if status == 429:
        return Failure(RateLimited, "too many requests" + details, status, "", Again.AFTER_PAUSE)
    if status == 408 or status >= 500:
        return _unsure(call, "the server failed" + details, status)
    # A proxy's 499 or 460 does not say whether the server behind it went on, so an unlisted 4xx proves nothing.
    return _unsure(call, "unexpected answer" + details, status, again=False)


def _hint(status: int, advice: Advice) -> str:
    if status == 401:
        return f"check the key in {advice.key_variable}: it may be mistyped, revoked or expired"
    if status == 403:
        return f"the key in {advice.key_variable} belongs to another workspace or lacks the permission"
    if status == 404 and advice.missing_path:
        return f"{advice.url_variable} does not end in {advice.missing_path}, the path the API is expected at"
    if status == 405:
        return "the server may be older than the API that is spoken here"
    return ""


def _request_id(headers: Mapping[str, str]) -> str:
    found = next((headers[name] for name in _REQUEST_ID_HEADERS if headers.get(name)), "")
    return f", request id {excerpt(found, 80)}" if found else ""


# ------------------------------------------------------------------------------------ the vendor's words


def content_type(headers: Mapping[str, str]) -> str:
    """The media type without parameters, in lower case; empty when there is none."""
    return printable(headers.get("content-type", "").partition(";")[0].strip().lower())[:60]


def vendor_message(answer: Answer) -> str:
    """What the vendor says about a refusal, as one line of at most EXCERPT printable characters.

    Reads ``error``, ``errors``, ``message`` and ``detail``, each a text, a list or a mapping from fields to
    complaints (also one printed as text, as marshmallow's users send it); else plain text.  Empty for a web page.
    """
    text = answer.content.decode("utf-8", "replace")
    try:
        return excerpt("; ".join(_complaints(json.loads(text))))
    except (ValueError, RecursionError):
        kind = content_type(answer.headers)
        is_page = "html" in kind or "xml" in kind or text.lstrip().startswith("<")
        return "" if is_page else excerpt(text)


def _complaints(body: Json) -> Iterator[str]:
    if isinstance(body, dict):
        said = next((body[key] for key in ("error", "errors", "message", "detail") if body.get(key)), body)
        # {"error": "Unprocessable", "message": {...}}: the mapping says more than the title.
        if isinstance(said, str) and said is body.get("error") and isinstance(body.get("message"), dict | list):
            said = body["message"]
        body = said
    yield from _lines(_unprinted(body), "")


def _unprinted(value: Json) -> Json:
    """The mapping that ``str(dict)`` was made of, if the text is one."""
    if not isinstance(value, str) or not value.startswith("{") or len(value) > 2000:
        return value
    try:
        parsed = ast.literal_eval(value)
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return value
    return parsed if isinstance(parsed, dict) else value


def _lines(value: Json, path: str) -> Iterator[str]:
    """``{"a": {"0": ["Missing."]}}`` -> ``a.0: Missing.``"""
    if isinstance(value, dict):
        yield from _object_lines(value, path)
    elif isinstance(value, list):
        for item in value:
            yield from _lines(item, path)
    elif value is not None and value != "":
        yield f"{path}: {value}" if path else str(value)


def _object_lines(value: dict[str, Json], path: str) -> Iterator[str]:
    text = value.get("msg") or value.get("message")
    place = value.get("loc") or value.get("field") or value.get("path")
    if isinstance(text, str):
        steps = place if isinstance(place, list) else [place] if place else []
        yield from _lines(text, ".".join([*([path] if path else []), *map(str, steps)]))
        return
    for key, item in value.items():
        yield from _lines(item, f"{path}.{key}" if path else str(key))


def _excerpt_of(answer: Answer) -> str:
    text = excerpt(answer.content[:2000].decode("utf-8", "replace"), 80)
    return "" if "html" in content_type(answer.headers) or not text else f': "{text}"'


def excerpt(text: str, limit: int = EXCERPT) -> str:
    """The beginning of a text on one line, fit for a terminal."""
    line = printable(" ".join(text[: 4 * limit].split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"


def printable(text: str) -> str:
    r"""Text without control, bidirectional and invisible characters: ESC comes out as the text ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
