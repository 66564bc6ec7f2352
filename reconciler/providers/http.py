"""Turn Calls into HTTP requests to one vendor, and its answers into Replies or our own errors.  Touches: network.

Every request of the program to a vendor goes through ``RestProvider.send``: the credential is added, retries are
counted and the pace is kept there and nowhere else.  Retries are decided by what may have happened (``answers``).
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import ipaddress
import json
import math
import random
import re
import socket
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import TYPE_CHECKING, cast
from urllib.parse import quote, unquote, urlencode, urlsplit

import httpx
import msgspec.json
from msgspec import Struct, field
from msgspec.structs import replace

import reconciler
from reconciler.concurrency import StoppableClock, Stopped
from reconciler.errors import (
    ApiError,
    InvalidRequest,
    NotApplied,
    NotAuthorized,
    RateLimited,
    ReadFailed,
    SettingsInvalid,
    Withheld,
)
from reconciler.model.call import Call, Reply, Upload
from reconciler.model.kind import Vendor
from reconciler.model.places import is_loopback
from reconciler.model.provider import Clock, Permit
from reconciler.model.values import Secret, format_duration
from reconciler.providers.answers import Advice, Again, Answer, BodyTooLarge, Failure, UnknownEncoding, judge, printable
from reconciler.providers.rate_limit import (
    MAX_PAUSE_S,
    PauseTooLong,
    RateLimiter,
    RetryBudget,
    backoff,
    quota_pause,
    retry_after,
)

if TYPE_CHECKING:
    from reconciler.providers.proxied import ProxyTo

Observe = Callable[[str, str, int | None, float], None]
"""Called after every attempt: method, path, status (None when no answer came), seconds."""

TOLD_PAUSE_S = 5.0
"""From so many seconds on a pause that the vendor asks for is told."""

_JSON = msgspec.json.Encoder()
_STRICT_JSON = json.JSONEncoder(ensure_ascii=False, allow_nan=False, separators=(",", ":"))
_JSON_TYPE = b"application/json"
_HEADERS = (
    (b"Accept", _JSON_TYPE),
    # gzip grows a thousandfold at most, so that one chunk of a bomb stays within the body's cap.
    (b"Accept-Encoding", b"gzip, deflate"),
    (b"User-Agent", f"reconciler/{reconciler.__version__}".encode("ascii")),
)
_ENCODINGS = {"", "identity", "gzip", "deflate"}
_PATH = re.compile(r"(?:/(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})+)+")
_WORD = re.compile(r"[A-Za-z_-]+|v[0-9]+")
_WITH_CONTENT = ("POST", "PUT", "PATCH")
_SHORTEST_REDACTED = 8
_PAUSES = {429: "too many requests (429)", 503: "the server is not available (503)"}


class Limits(Struct, frozen=True):
    """How long and how much.  Seconds, bytes.

    ``write_s`` and ``read_s`` bound one attempt from the first byte sent to the last one received, so that an
    answer that drips cannot hold a run.  ``patience_s`` bounds the pauses that 429s ask for, over one call.
    """

    connect_s: float = 5.0
    write_s: float = 30.0
    read_s: float = 60.0
    patience_s: float = 300.0
    attempts: int = 4
    body_bytes: int = 32 * 1024 * 1024
    content_bytes: int = 100 * 1024 * 1024
    error_body_bytes: int = 64 * 1024


class RestProvider:
    """A connection to one vendor's REST API.  Implements ``reconciler.model.provider.Provider``.

    ``base_url`` is absolute, its path part of every request; ``transport`` any httpx transport that raises
    ConnectError, ConnectTimeout or PoolTimeout only when nothing was sent.  ``requests`` counts every attempt.
    Once ``stop`` is set no write leaves any more, and nothing waits; what is under way is answered.
    """

    def __init__(
        self,
        vendor: Vendor,
        *,
        base_url: str,
        credential: Secret,
        clock: Clock,
        transport: httpx.AsyncBaseTransport,
        dialect: str = "",
        parallelism: int = 16,
        limits: Limits | None = None,
        rng: random.Random | None = None,
        key_variable: str | None = None,
        observe: Observe | None = None,
        stop: asyncio.Event | None = None,
        on_pause: Callable[[str], None] = lambda _: None,
    ) -> None:
        self.vendor = vendor
        self.dialect = dialect
        self.requests = 0
        self._base = base_url.rstrip("/")
        parts = urlsplit(self._base)
        self.origin = f"{parts.scheme}://{parts.netloc}"
        self._credential = credential
        self._transport = transport
        self._stop = stop
        self._clock = StoppableClock(clock, stop) if stop else clock
        self._limits = limits or Limits()
        self._rng = rng or random.Random()  # noqa: S311 - jitter, not a secret
        self._budget = RetryBudget()
        self._limiter = RateLimiter(self._clock, parallelism, self._rng)
        self._advice = _advice(vendor, self._base, key_variable)
        self._observe = observe
        self._on_pause = on_pause
        self._told_until = -math.inf
        self._paused_by: int | None = None
        self._locked_out: ApiError | None = None
        self._forbidden: dict[tuple[str, str], ApiError] = {}

    def __repr__(self) -> str:
        return f"RestProvider({self.vendor.name}, {self.origin})"

    async def send(self, call: Call, permit: Permit | None = None) -> Reply:
        """Send one request and return its 2xx answer; retries what is safe to retry.

        Raises NotApplied (nothing happened), Conflict, OutcomeUnknown (a write) or ReadFailed (a GET), chained
        from the library's exception if there was one.  Raises NotAuthorized without sending once a credential was
        refused, or may not do the same elsewhere; and Withheld once the run is to stop.  What ``permit`` raises comes
        out unchanged.
        """
        outgoing = (
            await _signed(call, self._base) if call.elsewhere else _Outgoing(_url(self._base, call), _content(call))
        )
        patience_s = math.inf if call.patience_s is None else call.patience_s
        retries = _Retries(self._limits, min(self._limits.patience_s, patience_s), self._budget, self._rng)
        until = self._clock.monotonic() + patience_s
        while True:
            answer = await self._in_turn(call, outgoing, permit, until)
            result = _judge_signed(call, answer, self._advice) if call.elsewhere else judge(call, answer, self._advice)
            if isinstance(result, Reply):
                self._budget.succeed()
                return result
            pause = retries.pause(call, result, self._asked(answer))
            if result.again is Again.AFTER_PAUSE and pause is not None:
                self._pause(pause, answer.status)  # this call waits in the limiter, together with all others
            elif pause is None or not await self._rest(pause):
                raise self._remembered(retries.error(call, result)) from result.cause

    async def close(self) -> None:
        """Let go of the connections."""
        await self._transport.aclose()

    async def _in_turn(self, call: Call, outgoing: _Outgoing, permit: Permit | None, until: float) -> Answer:
        self._tell_of_pause(until)
        try:
            epoch = await self._limiter.enter(until)
        except PauseTooLong as error:
            why = f"not sent: the vendor asks to wait {format_duration(math.ceil(error.seconds))}"
            raise RateLimited(why, method=call.method, path=call.path, hint="try again later") from error
        except Stopped as error:
            raise _withheld(call) from error
        try:
            self._stop_if_refused(call)
            if permit is not None:  # last of all: the wait for a place may have been long
                await permit()
            if self._stop is not None and self._stop.is_set() and call.method != "GET":
                raise _withheld(call)
            answer = await self._exchange(call, outgoing)
            self._learn(epoch, answer)
        finally:
            self._limiter.leave()
        return answer

    async def _rest(self, seconds: float) -> bool:
        """Wait before the next attempt; whether there is to be one."""
        self._tell_of_pause(math.inf)
        try:
            await self._clock.sleep(seconds)
        except Stopped:
            return False
        return True

    def _remembered(self, error: ApiError) -> ApiError:
        """A 401 is about the key, a 403 about what it may do."""
        if isinstance(error, NotAuthorized) and error.status == 403:
            self._forbidden[error.method, _route(error.path)] = error
        elif isinstance(error, NotAuthorized):
            self._locked_out = error
        return error

    def _stop_if_refused(self, call: Call) -> None:
        if self._locked_out is not None:
            first, why = self._locked_out, "the key was refused before"
        elif self._forbidden and (found := self._forbidden.get((call.method, _route(call.path)))):
            first, why = found, "the key may not do that"
        else:
            return
        why = f"not sent, because {why} ({first.status} on {first.method} {first.path})"
        raise NotAuthorized(why, method=call.method, path=call.path, status=first.status, hint=first.hint)

    def _learn(self, epoch: int, answer: Answer) -> None:
        """Adapt the pace, for everyone, to what the answer says about the vendor's load."""
        if answer.status in (429, 503):
            self._limiter.throttled(epoch)
        elif answer.status is not None and answer.status < 500:
            self._limiter.succeeded()
        if asked := self._asked(answer):
            self._pause(asked, answer.status)

    def _pause(self, seconds: float, status: int | None) -> None:
        """Let nobody send for so long."""
        self._limiter.pause(seconds)
        self._paused_by = status

    def _tell_of_pause(self, until: float) -> None:
        """Tell of a long pause, once for all who wait; not of one that ends after ``until``, which nobody waits for."""
        left = self._limiter.pause_left_s()
        over = self._clock.monotonic() + left
        if left >= TOLD_PAUSE_S and self._told_until + TOLD_PAUSE_S <= over <= until:
            self._told_until = over
            why = _PAUSES.get(self._paused_by or 0, "its quota is used up")
            self._on_pause(f"{self.vendor.name} asks for a pause, {why}: waiting for {left:.0f} s")

    def _asked(self, answer: Answer) -> float | None:
        """Seconds of rest that the vendor asks for.  Retry-After counts on 429 and 503, and wins over a quota."""
        now = self._clock.now()
        asked = retry_after(answer.headers, now) if answer.status in (429, 503) else None
        return quota_pause(answer.headers, now) if asked is None else asked

    # --------------------------------------------------------------------------- one request, one answer

    async def _exchange(self, call: Call, outgoing: _Outgoing) -> Answer:
        """One attempt.  Whatever goes wrong is part of the answer; only a cancellation is raised."""
        total_s = self._limits.read_s if call.method == "GET" else self._limits.write_s
        started = self._clock.monotonic()
        self.requests += 1
        incoming = _Incoming()
        broken: Exception | None = None
        try:
            async with asyncio.timeout(total_s):
                cap = self._limits.content_bytes if call.elsewhere else self._limits.body_bytes
                await self._receive(self._request(call, outgoing), incoming, cap)
        except Exception as exc:  # noqa: BLE001 - a transport may raise anything, and the outcome must not be lost
            broken = exc
        if self._observe is not None:
            self._observe(call.method, call.path, incoming.status, self._clock.monotonic() - started)
        return self._redacted(incoming, broken)

    def _request(self, call: Call, outgoing: _Outgoing) -> httpx.Request:
        # Spelled out rather than left to httpx, which looks at each header three times before it is sent.
        headers = [(b"Host", outgoing.url.netloc), *_HEADERS]
        if outgoing.content is not None:
            headers += [(b"Content-Type", outgoing.content_type), (b"Content-Length", b"%d" % len(outgoing.content))]
        elif call.method in _WITH_CONTENT:
            headers.append((b"Content-Length", b"0"))
        connect_s = self._limits.connect_s
        timeout = {"connect": connect_s, "pool": 2 * connect_s}  # no wait of its own to read or write: see _exchange
        return httpx.Request(
            call.method,
            outgoing.url,
            headers=headers if outgoing.signed else [*headers, self._authorization()],
            stream=httpx.ByteStream(outgoing.content or b""),
            extensions={"timeout": timeout},
        )

    def _authorization(self) -> tuple[bytes, bytes]:
        """The one place where the credential is put on a request, which can only go to our own origin."""
        return b"Authorization", f"Bearer {self._credential.reveal()}".encode()

    async def _receive(self, request: httpx.Request, incoming: _Incoming, cap: int) -> None:
        response = await self._transport.handle_async_request(request)
        assert isinstance(response.stream, httpx.AsyncByteStream)
        incoming.status = response.status_code
        incoming.headers = _by_name(response.headers.raw)
        try:
            await self._read(response, response.stream, incoming, cap)
        finally:
            with suppress(httpx.HTTPError, OSError):
                await response.stream.aclose()

    async def _read(
        self, response: httpx.Response, stream: httpx.AsyncByteStream, incoming: _Incoming, cap: int
    ) -> None:
        """Append the decompressed body to the incoming one.  Raises BodyTooLarge beyond the cap, in bytes."""
        encoding = incoming.headers.get("content-encoding", "").strip().lower()
        if encoding not in _ENCODINGS:
            raise UnknownEncoding(f"unknown content encoding {printable(encoding[:40])!r}")
        cap = cap if response.is_success else self._limits.error_body_bytes
        body = incoming.body
        # Most answers are not compressed, and httpx takes longer to find that out than to hand over the body.
        chunks = cast("AsyncGenerator[bytes]", response.aiter_bytes() if encoding else aiter(stream))
        async with aclosing(chunks):
            async for chunk in chunks:
                body += chunk[: cap - len(body) + 1]
                if len(body) > cap:
                    raise BodyTooLarge(f"more than {cap} bytes")

    def _redacted(self, incoming: _Incoming, broken: Exception | None) -> Answer:
        """The answer without our credential, should the server repeat it (as some do in error messages)."""
        headers, content = incoming.headers, bytes(incoming.body)
        if len(self._credential.reveal()) >= _SHORTEST_REDACTED:
            headers = {name: value.replace(self._credential.reveal(), "***") for name, value in headers.items()}
            content = content.replace(self._credential.reveal().encode(), b"***")
        return Answer(incoming.status, headers, content, broken)


def _withheld(call: Call) -> Withheld:
    return Withheld("not sent, because the run was interrupted", method=call.method, path=printable(call.path))


class _Outgoing(Struct, frozen=True):
    """What goes out.  ``signed``: to an address that the vendor signed, so without our credential."""

    url: httpx.URL
    content: bytes | None
    content_type: bytes = _JSON_TYPE
    signed: bool = False


class _Incoming(Struct):
    """What has arrived so far."""

    status: int | None = None
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class _Retries:
    """The bookkeeping of one call: how often it was tried, and how long it waited for the vendor."""

    def __init__(self, limits: Limits, patience_s: float, budget: RetryBudget, rng: random.Random) -> None:
        self._limits = limits
        self._patience_s = patience_s
        self._budget = budget
        self._rng = rng
        self._failed = 0
        self._throttled = 0
        self._waited_s = 0.0
        self._asked_s = 0.0
        self._is_over = False

    def pause(self, call: Call, failure: Failure, asked: float | None) -> float | None:
        """Seconds until the next attempt; None when there shall be none.  Counts the attempt that failed."""
        if failure.again is Again.AFTER_PAUSE:
            self._asked_s = asked or 0.0
            return self._throttle_pause()
        self._failed += 1
        if failure.status == 503 and asked:
            self._asked_s = asked
            if self._waits_too_long(asked):
                return None
        allowed = failure.again is Again.ALWAYS or (failure.again is Again.IF_REPEATABLE and call.repeatable)
        if not allowed or self._failed >= self._limits.attempts or not self._budget.spend(failure.cost):
            return None
        return backoff(self._failed, self._rng)

    def _throttle_pause(self) -> float | None:
        """A 429 costs patience, not attempts: nothing happened, and the vendor says that later is fine."""
        self._throttled += 1
        pause = max(self._asked_s, backoff(self._throttled, self._rng))
        return None if self._waits_too_long(pause) else pause

    def _waits_too_long(self, pause: float) -> bool:
        """Whether a pause is beyond our patience; else it is counted."""
        self._is_over = self._waited_s + pause > self._patience_s
        if not self._is_over:
            self._waited_s += min(pause, MAX_PAUSE_S)
        return self._is_over

    def error(self, call: Call, failure: Failure) -> ApiError:
        """The error that ends the call."""
        if failure.again is Again.AFTER_PAUSE or self._is_over:
            asked = f"; the vendor asks to wait {format_duration(self._asked_s)}" if self._asked_s else ""
            hint = f"gave up, as a request waits no longer than {format_duration(self._patience_s)}; try again later"
            hint = failure.hint or hint
            failure = replace(failure, message=failure.message.removesuffix(".") + asked, hint=hint)
        return failure.raised_for(call, self._failed + self._throttled)


# ------------------------------------------------------------------------------------ calls into bytes


def _url(base: str, call: Call) -> httpx.URL:
    """The address of a call, always below ``base``.  Raises InvalidRequest for a path that could lead elsewhere.

    Such a path comes from an id that is no id: empty, ``..``, or not encoded.
    """
    address = _below(base, call.path)
    if address is None:
        raise InvalidRequest("not sent: the path is not a valid one", method=call.method, path=printable(call.path))
    if not call.query:
        return address
    query = urlencode({key: _query_text(value) for key, value in call.query.items()}, safe=",", quote_via=quote)
    return httpx.URL(f"{base}{call.path}?{query}")


@functools.lru_cache(maxsize=1024)
def _below(base: str, path: str) -> httpx.URL | None:
    """Creates of one project go to one address; it is looked at once.  None for a path that could lead elsewhere."""
    steps = (unquote(step) for step in path.split("/"))
    if not _PATH.fullmatch(path) or any(step in (".", "..") for step in steps):
        return None
    return httpx.URL(base + path)


def _route(path: str) -> str:
    """The path with its ids taken out.  No word of a vendor's paths holds a digit, but for the version of the API.

    >>> _route("/v2/gen-ai/workspaces/5d41402a-bc4b/evaluation_test_cases")
    '/v2/gen-ai/workspaces//evaluation_test_cases'
    """
    return "/".join(step if _WORD.fullmatch(step) else "" for step in path.split("/"))


async def _signed(call: Call, base: str) -> _Outgoing:
    """A file on its way to or from an address that the vendor signed.

    Raises InvalidRequest when it must not or cannot go.  A vendor elsewhere has no business with what listens on this
    very computer, nor with the addresses at which a cloud tells a machine its secrets.
    """
    address = f"the address to {'download from' if call.method == 'GET' else 'upload to'}"
    try:
        parts = urlsplit(call.elsewhere)
        host = parts.hostname or ""
        url = httpx.URL(call.elsewhere)
    except (ValueError, httpx.InvalidURL) as exc:
        raise InvalidRequest(f"not sent: {address} makes no sense", method=call.method, path=call.path) from exc
    both_here = _stays_here(host) and _stays_here(urlsplit(base).hostname or "")
    if parts.scheme != "https" and not (parts.scheme == "http" and both_here):
        raise InvalidRequest(f"not sent: {address} is not https", method=call.method, path=call.path)
    if not both_here and (_stays_here(host) or _is_near(host)):
        raise InvalidRequest(f"not sent: {address} is on this computer", method=call.method, path=call.path)
    content = await asyncio.to_thread(_planned_content, call, call.upload) if call.upload else None
    return _Outgoing(url, content, b"text/csv", signed=True)


def _planned_content(call: Call, upload: Upload) -> bytes:
    """The file's content.  Raises InvalidRequest when it cannot be read, or is not what was planned any more."""
    try:
        content = Path(upload.path).read_bytes()
    except OSError as exc:
        why = f"not sent: {upload.path} cannot be read: {exc.strerror}"
        raise InvalidRequest(why, method=call.method, path=call.path) from exc
    if len(content) != upload.size or not hashlib.sha256(content).hexdigest().startswith(upload.sha256):
        why = f"not sent: {upload.path} has changed since it was planned"
        raise InvalidRequest(why, method=call.method, path=call.path, hint="plan again")
    return content


def _stays_here(host: str) -> bool:
    """Whether a host is this very computer, or the emulator inside this process."""
    return is_loopback(host) or host.endswith(".invalid")


def _is_near(host: str) -> bool:
    """Whether a host is given in numbers, as resolvers read them, as this computer or something on its network link."""
    address = _numbers(host)
    if address is None:
        return False
    address = getattr(address, "ipv4_mapped", None) or address
    return address.is_link_local or address.is_loopback or address.is_unspecified


def _numbers(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a host is; None for a name.  ``127.1``, ``0x7f.1`` and ``2130706433`` are addresses, too."""
    with suppress(ValueError):
        return ipaddress.ip_address(host)
    with suppress(OSError):
        return ipaddress.ip_address(socket.inet_aton(host))
    return None


def _by_name(headers: list[tuple[bytes, bytes]]) -> dict[str, str]:
    """Headers by lower-case name; one that comes several times is one list (RFC 9110 5.3)."""
    found: dict[str, str] = {}
    for raw_name, raw_value in headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        found[name] = f"{found[name]}, {value}" if name in found else value
    return found


def _judge_signed(call: Call, answer: Answer, advice: Advice) -> Reply | Failure:
    """Storage answers nothing or XML, and 403 for an address that has expired: that says nothing about our key."""
    is_download = call.method == "GET"
    if answer.status is not None and 200 <= answer.status < 300 and not (is_download and answer.broken):
        return Reply(answer.status, content=answer.content if is_download else b"")
    if answer.status in (400, 401, 403):
        refused = ReadFailed if is_download else NotApplied
        raise refused(
            f"the {'download' if is_download else 'upload'} was refused ({answer.status})",
            method=call.method,
            path=call.path,
            status=answer.status,
            hint="the signed address may have expired; the same command again asks for a new one",
        )
    judged = judge(call, answer, advice)
    if isinstance(judged, Failure) and advice.url_variable in judged.hint:  # which has no say in this address
        return replace(judged, hint="the platform named the address; check the network, and what stands in between")
    return judged


def _query_text(value: object) -> str:
    """As the official SDK spells it (0.36.0): arrays joined with commas, true and false in lower case."""
    if isinstance(value, list | tuple):
        return ",".join(map(_query_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _content(call: Call) -> bytes | None:
    if call.body is None:
        return None
    with suppress(RecursionError, TypeError, ValueError):
        content = _JSON.encode(call.body)
        if b"null" not in content:  # it could stand for what is no number; elsewhere, this is eight times as fast
            return content
    try:
        return _STRICT_JSON.encode(call.body).encode()
    except (ValueError, RecursionError) as exc:
        why = f"not sent: the body cannot be written as JSON ({printable(str(exc))})"
        raise InvalidRequest(why, method=call.method, path=printable(call.path)) from exc


def _advice(vendor: Vendor, base: str, key_variable: str | None) -> Advice:
    expected = urlsplit(vendor.base_url).path.rstrip("/")
    missing = "" if urlsplit(base).path.endswith(expected) else expected
    return Advice(key_variable or vendor.key_variable, vendor.url_variable, missing)


# ------------------------------------------------------------------------------------------ connecting


def connect(
    vendor: Vendor,
    *,
    base_url: str,
    credential: Secret,
    clock: Clock,
    dialect: str = "",
    parallelism: int = 16,
    limits: Limits | None = None,
    rng: random.Random | None = None,
    key_variable: str | None = None,
    observe: Observe | None = None,
    stop: asyncio.Event | None = None,
    on_pause: Callable[[str], None] = lambda _: None,
    ca_file: str | None = None,
    proxy_to: ProxyTo | None = None,
) -> RestProvider:
    """A provider over real sockets, with as many connections as requests may be in flight.

    ``ca_file`` replaces the built-in certificate authorities; certificates are always verified.  ``proxy_to`` names
    the proxy for an address, be it ours or a signed one; .netrc is not read.  Raises SettingsInvalid for an unusable
    ``ca_file``, and for an unusable proxy.
    """
    # Here and not at the top: tests and --env local need no sockets.
    from reconciler.providers.transport import SocketTransport, tls_context

    try:
        context = tls_context(ca_file, plain=base_url.startswith("http://") and proxy_to is None)
    except OSError as exc:
        why = exc.strerror or exc
        raise SettingsInvalid(
            f"the certificate authorities in {ca_file} (SSL_CERT_FILE) cannot be read: {why}"
        ) from exc
    transport: httpx.AsyncBaseTransport = SocketTransport(connections=parallelism, ssl_context=context)
    if proxy_to is not None:
        from reconciler.providers.proxied import ProxiedTransport

        proxy_to(base_url)  # one that cannot be used is said before anything is sent
        transport = ProxiedTransport(transport, proxy_to, connections=parallelism, ssl_context=context)
    return RestProvider(
        vendor,
        base_url=base_url,
        credential=credential,
        clock=clock,
        transport=transport,
        dialect=dialect,
        parallelism=parallelism,
        limits=limits,
        rng=rng,
        key_variable=key_variable,
        observe=observe,
        stop=stop,
        on_pause=on_pause,
    )
