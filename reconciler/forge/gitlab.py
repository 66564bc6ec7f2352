"""Turn GitLab's notes into our comments.  Pure.

Source: docs.gitlab.com, "Notes API" and "Users API" (2026-11).  A job's own token cannot write notes.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.errors import ReadFailed
from reconciler.forge.comments import Comment, Thread
from reconciler.model.call import Call, Flow, url_path
from reconciler.model.kind import Vendor
from reconciler.model.values import Json


def gitlab(key_variable: str) -> Vendor:
    """The forge as something to connect to; ``key_variable`` holds the token."""
    return Vendor(
        name="GitLab",
        api_version="",
        kinds=(),
        base_url="https://gitlab.com/api/v4",
        key_variable=key_variable,
        url_variable="CI_API_V4_URL",
        prefix="",
    )


def thread(project: str, number: int) -> Thread:
    """The notes of a merge request, oldest first; ``project`` is its id or its path."""
    path = url_path("projects", project, "merge_requests", str(number), "notes")
    return Thread(
        path=path,
        place=lambda note_id: path + url_path(note_id),
        method="PUT",
        read=_comment,
        query={"sort": "asc", "order_by": "created_at"},
    )


def _comment(item: Mapping[str, Json]) -> Comment | None:
    """None for what GitLab itself writes about a merge request."""
    author, note_id, body = item.get("author"), item.get("id"), item.get("body")
    if item.get("system") is True or not isinstance(note_id, int) or not isinstance(body, str):
        return None
    name = author.get("username") if isinstance(author, dict) else None
    return Comment(str(note_id), str(name or ""), body)


def whoami() -> Flow[str]:
    """The account behind the token."""
    reply = yield Call("GET", "/user")
    name = reply.body.get("username") if isinstance(reply.body, dict) else None
    if not isinstance(name, str) or not name:
        raise ReadFailed("the answer names no account", method="GET", path="/user")
    return name
