"""What the flows of a kind describe and are sent: requests, and what becomes of them.  No I/O.

Flows are generators, after httpx's ``auth_flow``; whoever drives them (``model.flow``) does the I/O.
"""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping
from contextlib import suppress
from typing import Literal, TypeVar
from urllib.parse import quote

from msgspec import Struct, field

from reconciler.errors import NotFound
from reconciler.model.resource import Address, LiveObject
from reconciler.model.values import Fields, Json

T = TypeVar("T")


MISREAD = (ArithmeticError, AssertionError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What comes out of reading an answer that is not as it should be."""


class Upload(Struct, frozen=True):
    """A file to be sent, and what it held when the plan was made: its size in bytes, its SHA-256 or the beginning."""

    path: str
    size: int
    sha256: str


class Call(Struct, frozen=True):
    """One request, described.  ``path`` is relative to the vendor's base URL, its segments already encoded.

    ``repeatable`` says that sending it twice does no more than sending it once.  Array values in ``query`` are
    joined with commas.  ``elsewhere`` is an absolute URL that the vendor signed: it gets no credential, and as its body
    the file ``upload``, if that still holds what was planned; what is read there comes as it is.  ``patience_s`` is how
    long it may wait where the vendor asks for a pause, if that is shorter than the provider's own patience; then it is
    not sent.  ``recent`` says that what the same request was answered a few seconds ago will do.
    """

    method: Literal["GET", "POST", "PUT", "PATCH", "DELETE"]
    path: str
    query: Mapping[str, str | int | bool] = field(default_factory=dict)
    body: Json = None
    repeatable: bool = True
    elsewhere: str = ""
    upload: Upload | None = None
    patience_s: float | None = None
    recent: bool = False

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


class Wait(Struct, frozen=True):
    """A pause, in seconds; the driver decides what a second is."""

    seconds: float


class Together(Struct, frozen=True):
    """Requests that do not depend on each other; the driver may send them at once."""

    calls: tuple[Call, ...]


class Reply(Struct, frozen=True):
    """A successful (2xx) answer.  ``body`` is the decoded JSON, None when there was none.

    ``parts`` are the answers to requests that were asked together, in their order.  ``content`` is what was read from
    an address that the vendor signed.
    """

    status: int
    body: Json = None
    headers: Mapping[str, str] = field(default_factory=dict)
    parts: tuple[Reply, ...] = ()
    content: bytes = b""


Flow = Generator[Call | Wait | Together, Reply, T]
"""Yields requests and pauses, is sent the reply to each request (None after a pause), returns its result.

Errors of a request are thrown into the flow as ``reconciler.errors.ApiError``; a flow may catch those that it
knows how to live with (404 on DELETE is success)."""


@functools.lru_cache(maxsize=1024)
def url_path(*segments: str) -> str:
    """``/a/b/c`` with each segment percent-encoded, so that no id or name can change the route.

    >>> url_path("projects", "../x?y", "tests")
    '/projects/..%2Fx%3Fy/tests'
    """
    return "".join("/" + quote(segment, safe="") for segment in segments)


def delete(path: str) -> Flow[None]:
    """Remove what stands at ``path``; that it is gone already is what was wanted.

    Whoever drives this makes sure of it: neither answer proves anything.
    """
    with suppress(NotFound):
        yield Call("DELETE", path)


class Wire(Struct, frozen=True):
    """What a flow needs to know of the world: remote ids by address, and the server's dialect."""

    ids: Mapping[Address, str]
    dialect: str = ""


class Write(Struct, frozen=True):
    """One object to be written.

    ``fields`` is everything the user wrote; ``changed`` names the top-level fields that differ, for an update;
    ``op`` is the operation id for the ownership marker, None when there shall be none; ``parent_id`` the remote id
    of what it lives in, None for a root.  ``archived`` is the wanted value where a kind archives.  ``files`` are the
    paths behind the fields that name a file.
    """

    address: Address
    fields: Fields
    parent_id: str | None = None
    changed: frozenset[str] = frozenset()
    live: LiveObject | None = None
    op: str | None = None
    archived: bool = False
    files: Mapping[str, str] = field(default_factory=dict)

    def text(self, name: str) -> str | None:
        """The text that was written in a field; None for no text, or an empty one."""
        value = self.fields.get(name)
        return str(value) if value else None

    def text_to_send(self, name: str) -> str | None:
        """As ``text``, for a write that sends the field whatever changed: what nobody wrote stays as it was found."""
        if self.live is None or name in self.fields or name in self.changed:
            return self.text(name)
        found = self.live.fields.get(name)
        return str(found) if found else None
