"""A kind with secrets, for tests only, and the platform that it is at.

``python -m tests.hooks`` is the command line with this kind among those of Openlayer.
"""

import json
from collections.abc import Callable, Sequence
from typing import Annotated, Any

from msgspec.structs import replace
from pydantic import Field
from starlette.types import ASGIApp, Receive, Scope, Send

from reconciler.model.call import Call, Flow, Wire, Write, delete, url_path
from reconciler.model.kind import Flaw, Kind
from reconciler.model.resource import LiveObject
from reconciler.model.spec import Mark, Part, Spec, no_items
from reconciler.model.values import Fields
from reconciler.providers.openlayer.replies import id_of

HIDDEN = ("secret", "password", "code")
"""Keys that no answer holds, wherever they stand."""


class Login(Part):
    """Two parts deep."""

    user: str
    password: Annotated[str | None, Mark.SENSITIVE, Mark.WRITE_ONLY] = None


class Retry(Part):
    """One part deep; the platform shows the pin."""

    attempts: int
    pin: Annotated[float | None, Mark.SENSITIVE] = None
    login: Login | None = None


class Target(Part):
    """An item of a list."""

    name: Annotated[str, Mark.KEY]
    url: str | None = None
    code: Annotated[str | None, Mark.SENSITIVE, Mark.WRITE_ONLY] = None


class Hook(Spec):
    """Where somebody is told."""

    description: Annotated[str | None, Mark.BLANK_IS_ABSENT] = None
    secret: Annotated[str | None, Mark.SENSITIVE, Mark.WRITE_ONLY, Field(min_length=3)] = None
    token: Annotated[str | None, Mark.SENSITIVE] = None
    words: Annotated[list[str] | None, Mark.SENSITIVE, Mark.UNORDERED] = None
    retry: Retry | None = None
    targets: list[Target] = Field(default_factory=no_items)


def _list(_: str | None, __: Wire) -> Flow[list[Fields]]:
    reply = yield Call("GET", url_path("hooks"))
    return reply.body["items"]  # type: ignore[call-overload, index, return-value]  # this platform


def _read(item: Fields, _: tuple[str, ...], __: Callable[[str, str], str | None]) -> LiveObject:
    fields = {name: value for name, value in item.items() if name != "id"}
    return LiveObject(HOOK.address((), fields), str(item["id"]), fields)


def _create(write: Write, _: Wire) -> Flow[str]:
    call = Call("POST", url_path("hooks"), body=write.fields, repeatable=False)
    return id_of((yield call), call)


def _update(writes: Sequence[Write], _: Wire) -> Flow[None]:
    for write in writes:
        assert write.live is not None
        yield Call("PUT", url_path("hooks", write.live.remote_id), body={n: write.fields.get(n) for n in write.changed})


def _remove(writes: Sequence[Write], _: Wire) -> Flow[None]:
    for write in writes:
        assert write.live is not None
        yield from delete(url_path("hooks", write.live.remote_id))


def _check(fields: Fields) -> list[Flaw]:
    token = fields.get("token")
    return [Flaw("token", f"{token} is worn out", f"do not use {token}")] if str(token).endswith("worn") else []


HOOK = Kind(
    id="openlayer.Hook",
    spec=Hook,
    identity=("name",),
    list=_list,
    read=_read,
    create=_create,
    update=_update,
    remove=_remove,
    check=_check,
    unique_names=True,
    example={"name": "on-call"},
)


class Hooks:
    """The platform of hooks, in front of another one.  ``there`` is what it holds by id, ``bodies`` what was sent.

    ``found`` is what ``look`` finds whenever something is sent.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.there: dict[str, dict[str, Any]] = {}
        self.bodies: list[str] = []
        self.refuses = False
        self.look: Callable[[], list[Any]] = list
        self.found: list[Any] = []

    @property
    def one(self) -> dict[str, Any]:
        """The only one there is."""
        (found,) = self.there.values()
        return found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not str(scope["path"]).startswith("/v1/hooks"):
            await self._app(scope, receive, send)
            return
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        status, answer = self._answer(scope["method"], str(scope["path"]).rpartition("/")[2], body.decode())
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(answer).encode()})

    def _answer(self, method: str, last: str, body: str) -> tuple[int, Any]:
        if method == "GET":
            return 200, {"items": [_shown(each) for each in self.there.values()]}
        self.bodies.append(body)
        self.found += self.look()
        if self.refuses:
            return 422, {"error": f"this is nothing for us: {body}"}
        if method == "DELETE":
            del self.there[last]
            return 200, {}
        if method == "POST":
            last = f"hook-{len(self.bodies)}"
            self.there[last] = {"id": last}
        self.there[last].update(json.loads(body))
        return 200, _shown(self.there[last])


def _shown(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _shown(each) for key, each in value.items() if key not in HIDDEN}
    return [_shown(each) for each in value] if isinstance(value, list) else value


if __name__ == "__main__":
    from reconciler import providers
    from tests.hooks import HOOK as KIND  # the one that all others import, too

    openlayer, *others = providers.VENDORS
    providers.VENDORS = (replace(openlayer, kinds=(*openlayer.kinds, KIND)), *others)
    providers.KINDS = {kind.id: kind for vendor in providers.VENDORS for kind in vendor.kinds}

    from reconciler.cli.main import run

    run()
