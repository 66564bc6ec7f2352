"""GitHub's and GitLab's endpoints for comments behind a real socket, as strict as theirs, and time that does not pass.

Sources: docs.github.com, "Issue comments" and "Users"; docs.gitlab.com, "Notes API" and "Users API" (2026-11).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

import pytest
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope, Send

from reconciler.emulator.faults import HANG_UP
from reconciler.emulator.server import running
from reconciler.settings import Settings
from tests.virtual_time import VirtualClock

TOKEN = "canary-token-91f2c0"
LONGEST = 65_536
Doc = dict[str, Any]


@dataclass
class Forge:
    """Both forges on one server.  ``comments`` holds (id, author, body) of the one thread, oldest first.

    ``me`` is who the token belongs to; ``app`` says that it is a job's token, which may not ask who it is.
    ``read_only`` refuses writes as for a fork.  ``lost`` answers of writes are cut off after the work is done,
    ``broken`` ones before.  ``page`` clamps how many comments a page holds, ``refusal`` is why writes are
    refused; ``odd`` holds answers to GETs that make no sense, by the end of their path.
    """

    me: str = "ci-bot"
    app: bool = False
    read_only: bool = False
    lost: int = 0
    broken: int = 0
    page: int = 100
    comments: list[tuple[int, str, str]] = field(default_factory=list)
    systems: set[int] = field(default_factory=set)
    seen: list[str] = field(default_factory=list)
    url: str = ""
    redirect: str = ""
    vanish: bool = False
    refusal: str = ""
    odd: Doc = field(default_factory=dict)

    def say(self, author: str, body: str) -> int:
        """Somebody writes a comment; its id."""
        number = 1000 + len(self.comments)
        self.comments.append((number, author, body))
        return number

    def renew(self) -> None:
        """A pull request without comments; everything works."""
        self.__dict__.update(Forge(url=self.url).__dict__)

    def bodies(self, author: str) -> list[str]:
        return [body for _, by, body in self.comments if by == author]

    @property
    def writes(self) -> list[str]:
        return [line for line in self.seen if not line.startswith("GET")]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        body = await request.body()
        self.seen.append(f"{request.method} {scope['path']}")
        if request.method != "GET" and self.broken:
            self.broken -= 1
            scope[HANG_UP]()
            return
        answer = self._answer(request, body)
        if request.method != "GET" and self.lost and answer.status_code < 300:
            self.lost -= 1
            scope[HANG_UP]()
            return
        await answer(scope, receive, send)

    def _answer(self, request: Request, body: bytes) -> Response:
        if self.redirect:
            return Response(status_code=301, headers={"location": f"{self.redirect}{request.url.path}"})
        if request.headers.get("authorization") != f"Bearer {TOKEN}":
            return JSONResponse({"message": "Bad credentials"}, 401)
        if not request.headers.get("user-agent", "").startswith("reconciler/"):
            return JSONResponse({"message": "Request forbidden by administrative rules"}, 403)
        path = unquote(request.url.path)
        for end, answer in self.odd.items():
            if request.method == "GET" and path.endswith(end):
                return JSONResponse(answer)
        if path.startswith("/api/v4"):
            return GitLab(self).answer(request.method, path.removeprefix("/api/v4"), request.query_params, body)
        return GitHub(self).answer(request.method, path, request.query_params, body)


@dataclass
class _Rest:
    forge: Forge
    thread = ""
    places = ""
    change = ""
    denied = ""

    def answer(self, method: str, path: str, query: Mapping[str, str], body: bytes) -> Response:
        forge = self.forge
        if (method, path) == ("GET", "/user"):
            if forge.app:
                return JSONResponse({"message": "Resource not accessible by integration"}, 403)
            return JSONResponse({"login": forge.me, "username": forge.me, "id": 7})
        if (method, path) == ("GET", self.thread):
            return self._page(query)
        if (method, path) == ("POST", self.thread):
            return self._write(body, None)
        if method == self.change and path.startswith(self.places):
            return self._write(body, int(path.removeprefix(self.places)))
        return JSONResponse({"message": "Not Found"}, 404)

    def _page(self, query: Mapping[str, str]) -> Response:
        assert set(query) <= {"per_page", "page", "sort", "order_by"}, query
        size, page = min(int(query["per_page"]), self.forge.page), int(query["page"])
        found = self.forge.comments[(page - 1) * size : page * size]
        more = page * size < len(self.forge.comments)
        return JSONResponse([self.shown(*each) for each in found], headers=self.paging(page, more))

    def _write(self, content: bytes, number: int | None) -> Response:
        body = json.loads(content)
        if set(body) != {"body"} or not isinstance(body["body"], str) or not body["body"].strip():
            return JSONResponse({"message": "Validation Failed"}, 422)
        if len(body["body"]) > LONGEST:
            return JSONResponse({"message": f"body is too long (maximum is {LONGEST} characters)"}, 422)
        if self.forge.read_only:
            return JSONResponse({"message": self.forge.refusal or self.denied}, 403)
        if number is None:
            number = self.forge.say(self.forge.me, body["body"])
            return JSONResponse(self.shown(number, self.forge.me, body["body"]), 201)
        if self.forge.vanish:
            self.forge.comments = [each for each in self.forge.comments if each[0] != number]
        place = next((n for n, each in enumerate(self.forge.comments) if each[0] == number), None)
        if place is None:
            return JSONResponse({"message": "Not Found"}, 404)
        author = self.forge.comments[place][1]
        self.forge.comments[place] = (number, author, body["body"])
        return JSONResponse(self.shown(number, author, body["body"]))

    def shown(self, number: int, author: str, body: str) -> Doc:
        raise AssertionError

    def paging(self, page: int, more: bool) -> dict[str, str]:
        raise AssertionError


class GitHub(_Rest):
    """``acme/bots``, pull request 12."""

    thread = "/repos/acme/bots/issues/12/comments"
    places = "/repos/acme/bots/issues/comments/"
    change = "PATCH"
    denied = "Resource not accessible by integration"

    def shown(self, number: int, author: str, body: str) -> Doc:
        user = {"login": author, "type": "Bot" if author.endswith("[bot]") else "User"} if author else None
        url = f"https://github.com/acme/bots/pull/12#issuecomment-{number}"
        return {"id": number, "user": user, "body": body, "html_url": url}

    def paging(self, page: int, more: bool) -> dict[str, str]:
        """Only where there is more; the address leads elsewhere, where nobody may send a token to."""
        return {"link": f'<https://elsewhere.invalid/?page={page + 1}>; rel="next"'} if more else {}


class GitLab(_Rest):
    """Project 42 (or ``acme/bots``), merge request 12."""

    thread = "/projects/42/merge_requests/12/notes"
    places = "/projects/42/merge_requests/12/notes/"
    change = "PUT"
    denied = "403 Forbidden"

    def shown(self, number: int, author: str, body: str) -> Doc:
        return {"id": number, "author": {"username": author}, "body": body, "system": number in self.forge.systems}

    def paging(self, page: int, more: bool) -> dict[str, str]:
        return {"x-next-page": str(page + 1) if more else "", "x-page": str(page)}


@pytest.fixture(scope="session")
def _server() -> Iterator[Forge]:
    made = Forge()
    with running(made) as made.url:
        yield made


@pytest.fixture
def forge(_server: Forge) -> Forge:
    """A pull request without comments, and a token of an ordinary account."""
    _server.renew()
    return _server


@pytest.fixture
def clock() -> VirtualClock:
    return VirtualClock()


@pytest.fixture(params=["github", "gitlab"])
def variables(request: pytest.FixtureRequest, forge: Forge) -> dict[str, str]:
    """What a job of either forge finds in its environment."""
    if request.param == "github":
        return github_variables(forge)
    return {
        "GITLAB_CI": "true",
        "CI_API_V4_URL": f"{forge.url}/api/v4",
        "CI_PROJECT_ID": "42",
        "CI_MERGE_REQUEST_IID": "12",
        "GITLAB_TOKEN": TOKEN,
    }


def github_variables(forge: Forge) -> dict[str, str]:
    return {
        "GITHUB_ACTIONS": "true",
        "GITHUB_API_URL": forge.url,
        "GITHUB_REPOSITORY": "acme/bots",
        "GITHUB_TOKEN": TOKEN,
    }


@pytest.fixture
def settings(variables: dict[str, str]) -> Settings:
    return Settings.from_environ(variables)


@pytest.fixture
def on_github(forge: Forge) -> Settings:
    """The settings of a job of GitHub Actions."""
    return Settings.from_environ(github_variables(forge))
