"""The emulator as the platform of one world: carries out what arrives, early or late, and remembers who asked."""

from __future__ import annotations

import asyncio
import json
import random
import zlib
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import cache
from typing import Any

import httpx

from reconciler.emulator.app import create_app
from reconciler.emulator.digitalocean import application as digitalocean
from reconciler.emulator.faults import FaultRule, Faults, FaultScript
from reconciler.emulator.openlayer import application as openlayer
from tests.simulation.machine import EPOCH, Process
from tests.simulation.schedule import Fault, Network, Schedule

Doc = dict[str, Any]
BY_HAND = "Bearer by-hand"


@dataclass(frozen=True, slots=True)
class Sent:
    """One request that left a process: which, under the lock that it took when, when, and what."""

    who: str
    locked_at: float
    at: float
    what: str


@dataclass(frozen=True)
class Asked:
    """One write that the platform carried out: who asked, when it was sent and handled, and what was answered."""

    who: str
    sent: float
    handled: float
    method: str
    path: str
    body: Any
    status: int
    answer: Any

    @property
    def made(self) -> str | None:
        """The id of what it created."""
        answer = self.answer if isinstance(self.answer, dict) else {}
        return str(answer["id"]) if self.method == "POST" and self.status < 300 and "id" in answer else None


class _Emulator:
    """One application for all worlds of this process; ``now`` is set by the world in force."""

    def __init__(self) -> None:
        self.now: Callable[[], float] = lambda: EPOCH
        self.app = create_app(":memory:", now=lambda: self.now(), quotas=False)
        self.connection = self.app.state.database.connection
        self.empty = self.snapshot()

    def snapshot(self) -> bytes:
        return zlib.compress(self.connection.serialize(), 1)

    def restore(self, snapshot: bytes) -> None:
        self.connection.deserialize(zlib.decompress(snapshot))


@cache
def emulator() -> _Emulator:
    """The one emulator of this process: making it takes longer than a whole world."""
    return _Emulator()


_SHORT, _BARE = FaultRule.model_validate({"action": "clamp-page", "perPage": 2}), FaultRule(action="no-meta")
_NEVER, _FAILS = FaultRule(action="task-never"), FaultRule(action="task-fails")
_OVERLAPPING, _SAME = FaultRule(action="repeat-items"), FaultRule(action="same-page")
_ODD_LISTS: tuple[tuple[FaultRule, ...], ...] = (
    (), (), (_SHORT,), (_BARE,), (_SHORT, _OVERLAPPING), (_SHORT, _BARE, _OVERLAPPING), (_BARE, _SAME),
)  # fmt: skip


class _Shapes(FaultScript):
    """Lists and tasks that are odd in the ways of one world, until the platform is well again."""

    def __init__(self, schedule: Schedule) -> None:
        super().__init__(())
        self.schedule, self.is_well, self.often = schedule, False, 0.0
        self._chance = schedule.stream("shapes")
        self._always = self._chance.choice(_ODD_LISTS)
        if self._always and not schedule.strikes("odd lists", "+".join(rule.action for rule in self._always)):
            self._always = ()
        self._lists, self._stuck = 0, range(0)

    def get_stuck(self) -> None:
        """For a while, lists show their first page for any: where pages are counted, else nobody could tell."""
        chance = self.schedule.stream("first pages")
        begin = self._lists + chance.randrange(60)
        if self._always == (_SHORT,) and chance.random() < 0.5 and self.schedule.strikes("first pages"):
            self._stuck = range(begin, begin + chance.randrange(10, 100))

    def hitting(self, method: str, path: str) -> tuple[FaultRule, ...]:
        if self.is_well:
            return ()
        if method == "GET":
            self._lists += 1
            return (*self._always, _SAME) if self._lists in self._stuck else self._always
        dice, which = self._chance.random(), self._chance.choice(("task-never", "task-fails"))
        starts_task = (method == "PUT" and path.endswith("/tests")) or path.endswith("/evaluate")
        if starts_task and dice < self.often and self.schedule.strikes(which, path):
            return (_NEVER if which == "task-never" else _FAILS,)
        return ()


@dataclass
class Platform:
    """Everything there is at the platform.  ``lag_s`` is how long lists do not show what was created."""

    loop: asyncio.AbstractEventLoop
    schedule: Schedule
    lag_s: float = 0.0
    log: Callable[[str], None] = lambda _: None
    asked: list[Asked] = field(default_factory=list)
    sent: list[Sent] = field(default_factory=list)
    bytes_seen: int = 0
    _late: set[asyncio.Task[Any]] = field(default_factory=set)
    _hidden: dict[str, float] = field(default_factory=dict)
    _shifted: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.emulator = emulator()
        self.emulator.now = self.now
        self.shapes = _Shapes(self.schedule)
        self._chance = self.schedule.stream("page shifts")
        app = self.emulator.app
        self._openlayer = Faults(app, self.shapes, error_body=openlayer.error_body(""))
        self._digitalocean = Faults(app, self.shapes, error_body=digitalocean.error_body, lists=digitalocean.LISTS)

    def now(self) -> float:
        return EPOCH + self.loop.time()

    # -- requests

    async def handle(
        self, who: str, sent: float, method: str, target: str, authorization: str, content: bytes
    ) -> tuple[int, dict[str, str], bytes]:
        """Carry out one request now."""
        path, _, query = target.partition("?")
        scope: Any = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "server": ("platform.invalid", 80), "client": ("process", 1),
            "headers": [(b"host", b"platform.invalid"), (b"authorization", authorization.encode()),
                        (b"content-type", b"application/json")],
        }  # fmt: skip
        messages: list[Any] = []

        async def receive() -> Any:
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message: Any) -> None:
            messages.append(message)

        door = self._digitalocean if path.startswith("/v2/") else self._openlayer
        await (self.emulator.app if who == "hand" else door)(scope, receive, send)
        status = messages[0]["status"]
        headers = {name.decode(): value.decode() for name, value in messages[0]["headers"]}
        body = b"".join(message.get("body", b"") for message in messages[1:])
        if method == "GET":
            return status, headers, body if who == "hand" else self._lagging(target, body)
        answer = json.loads(body) if body else None
        asked = Asked(
            who, sent, self.loop.time(), method, target, json.loads(content) if content else None, status, answer
        )
        self.asked.append(asked)
        if asked.made and self.lag_s and who != "hand":
            self._hidden[asked.made] = self.loop.time() + self.lag_s
        self.log(f"platform: {who}: {method} {path} -> {status}{' ' + asked.made[:8] if asked.made else ''}")
        return status, headers, body

    def _lagging(self, target: str, body: bytes) -> bytes:
        """A list without what it does not show yet, and now and then without something that was on a shifted page."""
        now = self.loop.time()
        hidden = {key for key, until in self._hidden.items() if until > now}
        shifts = not self.shapes.is_well and self._chance.random() < self.shapes.often / 2
        if not hidden and not shifts:
            return body
        page = json.loads(body)
        if not isinstance(page, dict) or not isinstance(page.get("items"), list):
            return body
        left = [item for item in page["items"] if item.get("id") not in hidden]
        if shifts and left:
            lost = left[self._chance.randrange(len(left))]
            # Two lists do not miss the same thing by such an accident.
            if lost["id"] not in self._shifted and self.schedule.strikes("page shift", target):
                self._shifted |= {lost["id"], *self._inside_of(lost["id"])}
                left.remove(lost)
        return json.dumps({**page, "items": left}).encode()

    def _inside_of(self, project: str) -> set[str]:
        """What nobody sees who does not see the project."""
        inside = {**self.inside("openlayer_tests"), **self.inside("openlayer_pipelines")}
        return {key for key, home in inside.items() if home == project}

    def later(self, seconds: float, work: Callable[[], Any]) -> None:
        """Do ``work`` at the platform in so many seconds, whoever lives then."""

        async def wait() -> None:
            await asyncio.sleep(seconds)
            await work()

        task = self.loop.create_task(wait())
        self._late.add(task)
        task.add_done_callback(self._late.discard)

    async def drained(self) -> None:
        """Return when nothing is under way at the platform any more."""
        while self._late:
            await asyncio.gather(*self._late)

    # -- people

    async def api(self, method: str, path: str, body: object = None) -> Any:
        """What a person does or sees."""
        content = json.dumps(body).encode() if body is not None else b""
        status, _, answer = await self.handle("hand", self.loop.time(), method, path, BY_HAND, content)
        assert status < 300, answer
        return json.loads(answer) if answer else None

    def rows(self, table: str) -> dict[str, str]:
        """Every row of one of the emulator's tables, byte by byte, by id."""
        return dict(self.emulator.connection.execute(f"SELECT id, doc FROM {table}"))

    def inside(self, table: str) -> dict[str, str]:
        """The project of every row."""
        return dict(self.emulator.connection.execute(f"SELECT id, project FROM {table}"))

    def evaluations(self) -> Iterable[Asked]:
        """Every evaluation that was started."""
        return (each for each in self.asked if each.path.endswith("/evaluate") and each.status < 300)


def _set(event: asyncio.Future[None]) -> None:
    if not event.done():
        event.set_result(None)


class _Cut(httpx.AsyncByteStream):
    """Half of a body."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield self._body[: len(self._body) // 2]
        raise httpx.ReadError("the connection was lost")

    async def aclose(self) -> None:
        return


class Connection(httpx.AsyncBaseTransport):
    """A process's way to the platform.  ``network`` None: nothing goes wrong."""

    def __init__(self, process: Process, platform: Platform, network: Network | None) -> None:
        self._process, self._platform, self._network = process, platform, network
        self._calm = random.Random(process.name)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        process, platform = self._process, self._platform
        method, target = request.method, request.url.raw_path.decode()
        what = f"{method} {target.partition('?')[0]}"
        process.instant(f"before {what}")
        fault, there, back = self._network.fate(f"{process.name}: {what}") if self._network else (None, 0.02, 0.02)
        platform.sent.append(Sent(process.name, process.locked_at, platform.loop.time(), what))
        if fault:
            platform.log(f"{process.name}: {fault.name}: {what}")
        try:
            return await self._exchange(request, fault or Fault(""), there, back, what)
        except asyncio.CancelledError:
            await process.thawed()  # a timer that goes off in a frozen process is heard when it thaws
            raise

    async def _exchange(
        self, request: httpx.Request, fault: Fault, there: float, back: float, what: str
    ) -> httpx.Response:
        process, platform = self._process, self._platform
        answered: asyncio.Future[None] = platform.loop.create_future()
        content, sent = await request.aread(), platform.loop.time()
        answers: list[tuple[int, dict[str, str], bytes]] = []
        credential = request.headers.get("authorization", "")
        target = request.url.raw_path.decode()

        async def carry_out() -> None:
            answers.append(await platform.handle(process.name, sent, request.method, target, credential, content))
            if fault.end == "answer":
                platform.loop.call_later(back + fault.slow_s, _set, answered)

        if fault.handled and not fault.late_s:
            platform.later(there, carry_out)
        elif fault.end == "answer":
            platform.loop.call_later(there + back, _set, answered)
        try:
            await process.until(answered, after=there + back if fault.end in ("refused", "reset") else None)
        finally:
            if fault.late_s:  # counted from when it was given up: by the connection, the client's patience, or death
                platform.later(fault.late_s, carry_out)
        await process.moment(f"after {what}")
        if fault.end != "answer":
            raise (httpx.ConnectError if fault.end == "refused" else httpx.ReadError)(fault.name)
        return self._told(fault, answers[0] if answers else (200, {}, b""))

    def _told(self, fault: Fault, answer: tuple[int, dict[str, str], bytes]) -> httpx.Response:
        status, headers, body = answer
        if fault.status is not None:
            headers = {"content-type": "application/json"}
            if fault.retry_after:
                in_a_while = formatdate(self._platform.now() + 4, usegmt=True)
                headers["retry-after"] = in_a_while if fault.retry_after == "date" else fault.retry_after
            return httpx.Response(fault.status, headers=headers, content=b'{"code": 0, "error": "Fault injected."}')
        match fault.body:
            case "cut":
                return httpx.Response(status, headers=headers, stream=_Cut(body))
            case "not json":
                return httpx.Response(status, headers=headers, content=b"not json")
            case "html":
                return httpx.Response(200, headers={"content-type": "text/html"}, content=b"<html>Welcome</html>")
            case "type":
                return httpx.Response(status, headers={"content-type": "text/plain"}, content=body)
            case "empty":
                return httpx.Response(status, headers=headers, content=b"")
        headers.pop("content-length", None)
        return httpx.Response(status, headers=headers, content=body)
