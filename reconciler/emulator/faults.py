"""Break requests on purpose, by script: turn a JSON list of rules into ASGI middleware.

A script is a JSON list.  A rule says which requests it counts and what becomes of the ones it hits::

    [
      {"method": "POST", "path": "/v1/projects/*/tests", "nth": 2, "action": "drop-after"},
      {"path": "/v1/*", "every": 10, "action": "status", "status": 429, "retryAfter": 1},
      {"method": "GET", "path": "/v1/projects", "action": "clamp-page", "perPage": 2}
    ]

===========  ==========================================================================================
method       of the request; default any
path         glob over the whole path; ``*`` crosses slashes; default any
nth          hit the nth counted request (from 1), or each in a list of such numbers
every        hit each kth counted request; with neither ``nth`` nor ``every`` all are hit
action       one of the following
===========  ==========================================================================================

==============  =======================================================================================
refuse-before   503, and nothing was done
status          answers ``status``; ``when`` says whether the request was carried out: ``before`` it could be
                (default) or ``after``; ``retryAfter``: seconds, ``date`` (one second from now), or any text
drop-before     the connection closes without an answer, and nothing was done
drop-after      the same, but the request was carried out
delay           the request is carried out, the answer comes ``seconds`` later
cut-body        the request is carried out, half of the answer arrives
not-json        the answer is no JSON although it says so; ``when`` as above, default ``after``
html            the answer is a web page with status 200; ``when`` as above, default ``after``
clamp-page      lists give at most ``perPage`` items a page (default 1)
same-page       lists answer the first page whatever page was asked for
no-meta         lists omit what they say of their pages (``_meta``; ``links`` and ``meta``)
repeat-items    a page starts with the last item of the page before
lag             a created item is missing from its next ``reads`` list reads (default 1)
task-never      the background task, or evaluation run, that the request starts is never done
task-fails      the background task, or evaluation run, that the request starts fails
==============  =======================================================================================

Several rules may hit one request: the ones that shape lists and tasks add up, of the others the first one counts.
Dropping and cutting need a socket (``server``); in process a drop raises ConnectionResetError.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import parse_qsl, urlencode

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from reconciler.emulator.scripts import in_words, read_json

Action = Literal[
    "refuse-before",
    "status",
    "drop-before",
    "drop-after",
    "delay",
    "cut-body",
    "not-json",
    "html",
    "clamp-page",
    "same-page",
    "no-meta",
    "repeat-items",
    "lag",
    "task-never",
    "task-fails",
]
Positive = Annotated[int, Field(ge=1)]

_SHAPES_QUERY = frozenset({"clamp-page", "same-page"})
_SHAPES_LIST = frozenset({"no-meta", "repeat-items", "lag"})
_TASKS = {"task-never": "never", "task-fails": "fails"}
_SHAPES = _SHAPES_QUERY | _SHAPES_LIST | _TASKS.keys()
_HTML = b"<!doctype html><html><body><h1>Welcome</h1></body></html>"

HANG_UP = "emulator.hang_up"
"""Scope key under which a door over a socket leaves a function that closes the connection."""

TASK_FATE = "emulator.task_fate"
"""Scope key under which an application reads what shall become of the task it starts: ``never`` or ``fails``."""


class FaultRule(BaseModel):
    """One rule of a script; the module says what each field means."""

    model_config = ConfigDict(frozen=True, strict=True, extra="forbid", alias_generator=to_camel)

    action: Action
    method: str = "*"
    path: str = "*"
    nth: Positive | list[Positive] | None = None
    every: Positive | None = None
    status: Annotated[int, Field(ge=400, le=599)] | None = None
    retry_after: float | str | None = None
    when: Literal["before", "after"] | None = None
    seconds: Annotated[float, Field(ge=0)] = 0.0
    per_page: Positive = 1
    reads: Positive = 1

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.nth is not None and self.every is not None:
            raise ValueError("nth and every exclude each other")
        if (self.action == "status") != (self.status is not None):
            raise ValueError('status goes with action "status", and only with it')
        return self

    @property
    def comes_before(self) -> bool:
        """Whether the request must not be carried out."""
        if self.action in ("status", "not-json", "html"):
            return (self.when or ("before" if self.action == "status" else "after")) == "before"
        return self.action.endswith("-before")

    def counts(self, method: str, path: str) -> bool:
        """Whether a request is one of those that the rule counts."""
        return self.method in ("*", method) and fnmatchcase(path, self.path)

    def hits(self, number: int) -> bool:
        """Whether the rule hits the ``number``-th request it has counted, from 1."""
        if self.every is not None:
            return number % self.every == 0
        if self.nth is None:
            return True
        return number in (self.nth if isinstance(self.nth, list) else [self.nth])


class FaultScript:
    """Rules and how many requests each has counted so far: a script remembers, so use a new one per server."""

    def __init__(self, rules: Iterable[FaultRule]) -> None:
        self._rules = tuple(rules)
        self._counted = [0] * len(self._rules)

    @classmethod
    def from_json(cls, rules: object) -> Self:
        """A script from parsed JSON.  Raises ValueError naming every bad field."""
        try:
            return cls(TypeAdapter(list[FaultRule]).validate_python(rules))
        except ValidationError as error:
            raise ValueError(in_words(error, rules)) from error

    @classmethod
    def read(cls, file: str | Path) -> Self:
        """A script from a file.  Raises OSError if it cannot be read and ValueError if it is no script."""
        return cls.from_json(read_json(file))

    def hitting(self, method: str, path: str) -> tuple[FaultRule, ...]:
        """Count one request; the rules that hit it, in the order of the script."""
        hitting = []
        for index, rule in enumerate(self._rules):
            if rule.counts(method, path):
                self._counted[index] += 1
                if rule.hits(self._counted[index]):
                    hitting.append(rule)
        return tuple(hitting)


@dataclass(frozen=True, slots=True)
class ListForm:
    """How a vendor writes lists; by default as Openlayer does.

    ``ids``: the key under which an answer holds a list -> the key of an item's id.  ``per_page``: the query that asks
    for a page's length.  ``about``: the keys that describe the page.  ``created``: the ids in the answer to a create.
    """

    ids: Mapping[str, str] = field(default_factory=lambda: {"items": "id"})
    per_page: str = "perPage"
    about: tuple[str, ...] = ("_meta",)
    created: Callable[[Mapping[str, Any]], Iterable[object]] = lambda body: (body.get("id"),)


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    body: bytes
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def with_body(self, body: bytes) -> _Answer:
        return replace(self, body=body)

    @property
    def is_json(self) -> bool:
        return bool(self.body) and dict(self.headers).get(b"content-type") == b"application/json"


def _json_answer(status: int, payload: object, headers: Mapping[str, str] | None = None) -> _Answer:
    extra = tuple((name.lower().encode(), value.encode()) for name, value in (headers or {}).items())
    return _Answer(status, json.dumps(payload).encode(), ((b"content-type", b"application/json"), *extra))


class Faults:
    """ASGI middleware that does to each request what the script says."""

    def __init__(
        self,
        app: ASGIApp,
        script: FaultScript,
        *,
        error_body: Callable[[int, str], dict[str, object]],
        lists: ListForm | None = None,
    ) -> None:
        self._app = app
        self._script = script
        self._error_body = error_body
        self._lists = lists or ListForm()
        self._unseen: dict[str, int] = {}
        self._last_items: dict[str, object] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Carry out the request, or not, and answer with what is left of the answer."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        rules = self._script.hitting(scope["method"], scope["path"])
        if not rules and not self._unseen:
            return await self._app(scope, receive, send)
        scope = _shaped_request(scope, rules, self._lists.per_page)
        breaking = next((rule for rule in rules if rule.action not in _SHAPES), None)
        answer = None
        if breaking is None or not breaking.comes_before:
            answer = await self._carried_out(scope, receive)
            answer = self._shaped_list(scope, answer, rules)
        return await self._deliver(breaking, answer, scope, receive, send)

    async def _carried_out(self, scope: Scope, receive: Receive) -> _Answer:
        """Let the application answer, to us instead of to the client."""
        start: MutableMapping[str, Any] = {}
        chunks: list[bytes] = []

        async def keep(message: Message) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
            elif message["type"] == "http.response.body":
                chunks.append(message.get("body", b""))

        await self._app(scope, receive, keep)
        return _Answer(start["status"], b"".join(chunks), tuple(start.get("headers", ())))

    def _shaped_list(self, scope: Scope, answer: _Answer, rules: Iterable[FaultRule]) -> _Answer:
        """Hide, repeat or strip what the rules say, if the answer is a list; remember a new item that shall lag."""
        actions = {rule.action: rule for rule in rules if rule.action in _SHAPES_LIST}
        if not (actions or self._unseen) or not answer.is_json:
            return answer
        body = json.loads(answer.body)
        if scope["method"] == "POST" and "lag" in actions and answer.status < 300:
            self._unseen |= dict.fromkeys(map(str, self._lists.created(body)), actions["lag"].reads)
        name = next((name for name in self._lists.ids if isinstance(body, dict) and name in body), None)
        if scope["method"] != "GET" or name is None:
            return answer
        body[name] = [item for item in body[name] if not self._is_unseen(str(item.get(self._lists.ids[name])))]
        if "repeat-items" in actions:
            body[name] = self._repeated(scope, body[name])
        if "no-meta" in actions:
            body = {key: value for key, value in body.items() if key not in self._lists.about}
        return answer.with_body(json.dumps(body).encode())

    def _is_unseen(self, key: str) -> bool:
        """Whether this read must not show the item of this id yet; counts the read."""
        left = self._unseen.get(key, 0)
        if left <= 1:
            self._unseen.pop(key, None)
        else:
            self._unseen[key] = left - 1
        return left > 0

    def _repeated(self, scope: Scope, items: list[object]) -> list[object]:
        path = scope["path"]
        page = dict(parse_qsl(scope["query_string"].decode())).get("page", "1")
        before = [self._last_items[path]] if page != "1" and path in self._last_items else []
        if items:
            self._last_items[path] = items[-1]
        return [*before, *items]

    async def _deliver(
        self, rule: FaultRule | None, answer: _Answer | None, scope: Scope, receive: Receive, send: Send
    ) -> None:
        match rule.action if rule else None:
            case "drop-before" | "drop-after":
                return await _hang_up(scope, receive, has_arrived=answer is not None)
            case "cut-body" if answer is not None:
                return await _cut(answer, scope, receive, send)
            case "delay" if rule is not None:
                await asyncio.sleep(rule.seconds)
        return await _send(self._replaced(rule, answer), send)

    def _replaced(self, rule: FaultRule | None, answer: _Answer | None) -> _Answer:
        """The answer that the client gets to see where it gets to see a whole one."""
        match rule.action if rule else None:
            case "status" if rule is not None and rule.status is not None:
                return _json_answer(rule.status, self._error_body(rule.status, "Fault injected."), _retry_after(rule))
            case "not-json":
                return _Answer(answer.status if answer else 200, b"not json", ((b"content-type", b"application/json"),))
            case "html":
                return _Answer(200, _HTML, ((b"content-type", b"text/html"),))
        return answer or _json_answer(503, self._error_body(503, "Service unavailable."))


def _shaped_request(scope: Scope, rules: Iterable[FaultRule], per_page: str) -> Scope:
    """The request with its paging rewritten and the fate of its task noted."""
    query = parse_qsl(scope["query_string"].decode(), keep_blank_values=True)
    changes: dict[str, object] = {}
    for rule in rules:
        if rule.action in _TASKS:
            changes[TASK_FATE] = _TASKS[rule.action]
        if rule.action == "clamp-page" and scope["method"] == "GET":
            asked = int(dict(query).get(per_page, rule.per_page))
            query = [*((k, v) for k, v in query if k != per_page), (per_page, str(min(asked, rule.per_page)))]
        if rule.action == "same-page":
            query = [(k, v) for k, v in query if k != "page"]
    return {**scope, **changes, "query_string": urlencode(query).encode()}


def _retry_after(rule: FaultRule) -> dict[str, str]:
    if rule.retry_after is None:
        return {}
    if rule.retry_after == "date":
        return {"Retry-After": formatdate(time.time() + 1, usegmt=True)}
    value = rule.retry_after
    return {"Retry-After": f"{value:g}" if isinstance(value, float) else value}


async def _send(answer: _Answer, send: Send, *, of: int | None = None, more: bool = False) -> None:
    """Send an answer that claims to be ``of`` bytes long (default: as long as it is)."""
    length = str(len(answer.body) if of is None else of).encode()
    headers = [(name, value) for name, value in answer.headers if name.lower() != b"content-length"]
    has_body = answer.status not in (204, 304)
    if has_body:
        headers.append((b"content-length", length))
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body if has_body else b"", "more_body": more})


async def _cut(answer: _Answer, scope: Scope, receive: Receive, send: Send) -> None:
    half = answer.with_body(answer.body[: len(answer.body) // 2])
    if HANG_UP not in scope:
        return await _send(half, send)
    await _send(half, send, of=len(answer.body), more=True)
    return await _hang_up(scope, receive, has_arrived=True)


async def _hang_up(scope: Scope, receive: Receive, *, has_arrived: bool) -> None:
    """Close the connection and wait until it is closed, so that the server does not answer in our stead.

    A request that nobody has read is read first: else the connection is reset while its body is on the way.
    """
    if HANG_UP not in scope:
        raise ConnectionResetError("the connection was dropped by the fault script")
    while not has_arrived:
        has_arrived = not (await receive()).get("more_body")
    scope[HANG_UP]()
    while (await receive())["type"] != "http.disconnect":
        continue
