"""Turn a text into one comment of ours on a pull or merge request: found again, brought up to date, or made.  Pure.

Ours is a comment that begins with our invisible marker *and* was written by the account that we write with; what a
person writes, a quoted marker among it, is never touched.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Literal

from msgspec import Struct

from reconciler.errors import NotFound, OutcomeUnknown, ReadFailed
from reconciler.model.call import Call, Flow, Wait
from reconciler.model.values import Json

LIMIT = 65_536
"""Characters of one comment at GitHub (its own error message, 2026-11); GitLab takes more."""
MOST_PAGES = 200
LOOKS_S = (2.0, 5.0, 10.0)
"""How long to wait before each look for a comment whose answer was lost."""
_MARKER = re.compile(r"<!-- reconciler:[a-z ]+ [0-9a-f]{12} -->")


class Comment(Struct, frozen=True):
    """One comment as the forge shows it.  ``author`` is an account's name; empty for an account that is gone."""

    comment_id: str
    author: str
    body: str
    url: str = ""


class Thread(Struct, frozen=True):
    """The comments of one pull or merge request.

    ``path`` lists them and makes new ones; ``place`` is the path of one; ``method`` changes it; ``read`` understands
    an item of the list, and returns None for what nobody wrote.
    """

    path: str
    place: Callable[[str], str]
    method: Literal["PATCH", "PUT"]
    read: Callable[[Mapping[str, Json]], Comment | None]
    query: Mapping[str, str | int | bool]


class Kept(Struct, frozen=True):
    """What came of it.

    ``twins`` counts further comments of ours with the same marker, which are left alone.  ``stranger`` is the account
    that a new comment was written by, where it is another than the one that was looked for.
    """

    what: Literal["created", "updated", "unchanged"]
    url: str = ""
    twins: int = 0
    stranger: str = ""


def marked(text: str, name: str = "") -> str:
    """The text with a marker as its first line: its own if it has one and no ``name`` is given.

    A name's own characters could end the marker, so a digest stands for it.
    """
    first, _, rest = text.partition("\n")
    has_one = bool(_MARKER.fullmatch(first.strip()))
    if has_one and not name:
        return text
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"<!-- reconciler:comment {digest} -->\n{rest if has_one else text}"


def keep(thread: Thread, body: str, author: str) -> Flow[Kept]:
    """Let the one comment of ``author`` with the marker in the first line of ``body`` say ``body``.

    Made only where there is none; a lost answer is looked for before anything is sent again, and it is sent again
    once at most.
    """
    mine = yield from _mine(thread, body, author)
    if not mine:
        return (yield from _make(thread, body, author))
    first, twins = mine[0], len(mine) - 1
    if _plain(first.body) == _plain(body):
        return Kept("unchanged", first.url, twins)
    try:
        yield Call(thread.method, thread.place(first.comment_id), body={"body": body})
    except NotFound:  # somebody deleted it meanwhile
        return (yield from _make(thread, body, author))
    return Kept("updated", first.url, twins)


def _make(thread: Thread, body: str, author: str) -> Flow[Kept]:
    try:
        return (yield from _post(thread, body, author))
    except OutcomeUnknown:
        for pause_s in LOOKS_S:
            yield Wait(pause_s)
            if mine := (yield from _mine(thread, body, author)):
                return Kept("created", mine[0].url, len(mine) - 1)
    return (yield from _post(thread, body, author))


def _post(thread: Thread, body: str, author: str) -> Flow[Kept]:
    reply = yield Call("POST", thread.path, body={"body": body}, repeatable=False)
    made = thread.read(reply.body) if isinstance(reply.body, dict) else None
    if made is None:
        return Kept("created")
    return Kept("created", made.url, stranger=made.author if made.author != author else "")


def _mine(thread: Thread, body: str, author: str) -> Flow[list[Comment]]:
    """Our comments with the marker of ``body``, oldest first."""
    marker = body.partition("\n")[0].strip()
    found: list[Comment] = []
    for page in range(1, MOST_PAGES + 1):
        reply = yield Call("GET", thread.path, {**thread.query, "per_page": 100, "page": page})
        found += [each for each in _comments(thread, reply.body) if each.author == author and _has(each.body, marker)]
        if not _goes_on(reply.headers):
            return found
    raise ReadFailed(f"more than {MOST_PAGES} pages of comments", method="GET", path=thread.path)


def _comments(thread: Thread, body: Json) -> Iterator[Comment]:
    if not isinstance(body, list):
        raise ReadFailed("the answer is no list of comments", method="GET", path=thread.path)
    for item in body:
        comment = thread.read(item) if isinstance(item, dict) else None
        if comment is not None:
            yield comment


def _goes_on(headers: Mapping[str, str]) -> bool:
    """Whether there is another page.  Both forges say so; only the fact is taken from them, never an address."""
    return 'rel="next"' in headers.get("link", "") or bool(headers.get("x-next-page", "").strip())


def _has(body: str, marker: str) -> bool:
    return body.partition("\n")[0].strip() == marker


def _plain(body: str) -> str:
    """Without what forges change by themselves: line ends, and space at the end."""
    return "\n".join(body.split("\r\n")).rstrip()
