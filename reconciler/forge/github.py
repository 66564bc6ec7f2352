"""Turn GitHub's comments into ours.  Pure.

Source: docs.github.com, REST API, "Issue comments" (a pull request is an issue) and "Users" (2026-11).
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.errors import NotAuthorized, ReadFailed
from reconciler.forge.comments import Comment, Thread
from reconciler.model.call import Call, Flow, url_path
from reconciler.model.kind import Vendor
from reconciler.model.values import Json

ACTIONS_BOT = "github-actions[bot]"
INSTALLATION_TOKEN = "ghs_"  # noqa: S105 - what a token of an app begins with; such a token cannot ask who it is


def github(key_variable: str) -> Vendor:
    """The forge as something to connect to; ``key_variable`` holds the token."""
    return Vendor(
        name="GitHub",
        api_version="",
        kinds=(),
        base_url="https://api.github.com",
        key_variable=key_variable,
        url_variable="GITHUB_API_URL",
        prefix="",
    )


def thread(owner: str, repository: str, number: int) -> Thread:
    """The comments of a pull request, oldest first."""
    issues = url_path("repos", owner, repository, "issues")
    return Thread(
        path=f"{issues}/{number}/comments",
        place=lambda comment_id: issues + url_path("comments", comment_id),
        method="PATCH",
        read=_comment,
        query={},
    )


def _comment(item: Mapping[str, Json]) -> Comment | None:
    user, comment_id, body = item.get("user"), item.get("id"), item.get("body")
    if not isinstance(comment_id, int) or not isinstance(body, str):
        return None
    login = user.get("login") if isinstance(user, dict) else None
    return Comment(str(comment_id), str(login or ""), body, str(item.get("html_url") or ""))


def whoami() -> Flow[str]:
    """The account behind the token.  The token of a job may not ask: then it is the one that Actions write with."""
    try:
        reply = yield Call("GET", "/user")
    except NotAuthorized as error:
        if error.status == 403:
            return ACTIONS_BOT
        raise
    login = reply.body.get("login") if isinstance(reply.body, dict) else None
    if not isinstance(login, str) or not login:
        raise ReadFailed("the answer names no account", method="GET", path="/user")
    return login
