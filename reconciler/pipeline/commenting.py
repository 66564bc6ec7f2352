"""Find the pull or merge request that a run is about, and keep one comment on it.  Touches: network, disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from reconciler.errors import NotAuthorized, SettingsInvalid, UsageInvalid
from reconciler.forge import github, gitlab
from reconciler.forge.comments import Kept, Thread, keep
from reconciler.model.flow import drive
from reconciler.model.kind import Vendor
from reconciler.model.provider import Clock, Provider
from reconciler.settings import Settings

LARGEST_EVENT = 32 * 1024 * 1024
_GO_ON = "pass --pull N"


class Place(Struct, frozen=True):
    """A pull or merge request.  ``project`` is ``owner/name`` at GitHub, an id or a path at GitLab.

    ``from_fork`` says that it comes from somebody else's copy, whose runs may not write; None where nobody told.
    """

    forge: Literal["github", "gitlab"]
    project: str
    number: int
    from_fork: bool | None = None

    @property
    def noun(self) -> str:
        """What people there call it, with its number."""
        return f"pull request #{self.number}" if self.forge == "github" else f"merge request !{self.number}"


class NotPermitted(NotAuthorized):
    """The forge takes no comment from this run: what to say is left to the caller."""


def find_place(settings: Settings, number: int | None) -> Place:
    """Where to comment, from the variables of the CI system; ``number`` goes before what they say.

    Raises UsageInvalid when they do not tell.
    """
    forge = settings.ci.system or _guessed(settings)
    if forge == "github":
        return _github_place(settings, number)
    if forge == "gitlab":
        return _gitlab_place(settings, number)
    raise UsageInvalid(
        "nobody told where to comment",
        hint="in no CI, set GITHUB_REPOSITORY or CI_PROJECT_ID, and pass --pull N",
    )


def _guessed(settings: Settings) -> str:
    """Outside of a job the variables may still be set by hand."""
    return next((forge for forge, name in (("github", "GITHUB_REPOSITORY"), ("gitlab", "CI_PROJECT_ID"))
                 if settings.get(name)), "")  # fmt: skip


def _github_place(settings: Settings, number: int | None) -> Place:
    project = settings.get("GITHUB_REPOSITORY").reveal()
    if project.count("/") != 1 or not all(project.split("/")):
        raise UsageInvalid(f"GITHUB_REPOSITORY is not owner/name: {project!r}")
    event = _event(settings.get("GITHUB_EVENT_PATH").reveal())
    pull, issue = _inner(event, "pull_request"), _inner(event, "issue")
    told = pull.get("number") or (issue.get("number") if issue.get("pull_request") else None)
    found = number if number is not None else told
    if not isinstance(found, int):
        raise UsageInvalid("this run belongs to no pull request", hint=_GO_ON)
    return Place("github", project, found, _is_fork(pull) if pull and pull.get("number") == found else None)


def _is_fork(pull: dict[str, Any]) -> bool | None:
    """Whether head and base lie in different repositories; a head that was deleted was somebody's copy."""
    head, base = (_inner(_inner(pull, side), "repo").get("full_name") for side in ("head", "base"))
    return head != base if base else None


def _inner(event: dict[str, Any], name: str) -> dict[str, Any]:
    inner = event.get(name)
    return inner if isinstance(inner, dict) else {}


def _event(path: str) -> dict[str, Any]:
    """What GitHub tells of the event; nothing where there is none."""
    if not path:
        return {}
    try:
        with Path(path).open("rb") as file:
            event = json.loads(file.read(LARGEST_EVENT))
    except (OSError, ValueError, RecursionError) as error:
        raise UsageInvalid("GITHUB_EVENT_PATH cannot be read as JSON", hint=_GO_ON) from error
    return event if isinstance(event, dict) else {}


def _gitlab_place(settings: Settings, number: int | None) -> Place:
    def get(name: str) -> str:
        return settings.get(name).reveal()

    # In a pipeline of a fork CI_PROJECT_ID is the fork; the merge request lies in the project that it is made to.
    project = get("CI_MERGE_REQUEST_PROJECT_ID") or get("CI_PROJECT_ID")
    if not project:
        raise UsageInvalid("CI_PROJECT_ID is not set")
    told = get("CI_MERGE_REQUEST_IID")
    found = number if number is not None else int(told) if told.isdecimal() else None
    if found is None:
        raise UsageInvalid(
            "this run belongs to no merge request",
            hint="run it in a merge request pipeline (rules: if $CI_PIPELINE_SOURCE == 'merge_request_event'), "
            f"or {_GO_ON}",
        )
    source = get("CI_MERGE_REQUEST_SOURCE_PROJECT_ID")
    return Place("gitlab", project, found, source != project if source else None)


# ------------------------------------------------------------------------------------------------- comment


async def comment(
    place: Place, body: str, settings: Settings, clock: Clock, *, token_variable: str = "", author: str = ""
) -> Kept:
    """Keep the one comment that begins with the first line of ``body``.

    ``author`` is the account that the token writes as, where it cannot be asked.  Raises SettingsInvalid without a
    token, NotPermitted where the token may not write, and what the forge's answers lead to.
    """
    vendor = _vendor(place, token_variable)
    if not settings.get(vendor.key_variable).reveal().strip():
        raise SettingsInvalid(f"{vendor.key_variable} is not set", hint=_source_of_token(place, token_variable))
    author = author or await _author(place, vendor, settings, clock)
    connection = connect(vendor, settings, clock)
    try:
        return await drive(keep(_thread(place), body, author), connection.send, clock.sleep)
    except NotAuthorized as error:
        if error.status == 403 and "rate limit" not in error.message.lower():
            raise NotPermitted(
                "this run may not comment", method=error.method, path=error.path, status=403, hint=_advice(place)
            ) from error
        raise
    finally:
        await connection.close()


def variable_of(place: Place, named: str) -> str:
    """The variable that holds the token: the one that was named, or else what it is called there."""
    return named or ("GITHUB_TOKEN" if place.forge == "github" else "GITLAB_TOKEN")


def _vendor(place: Place, token_variable: str) -> Vendor:
    variable = variable_of(place, token_variable)
    return github.github(variable) if place.forge == "github" else gitlab.gitlab(variable)


def _thread(place: Place) -> Thread:
    if place.forge == "github":
        owner, _, repository = place.project.partition("/")
        return github.thread(owner, repository, place.number)
    return gitlab.thread(place.project, place.number)


async def _author(place: Place, vendor: Vendor, settings: Settings, clock: Clock) -> str:
    """Asked over a connection of its own: one that was refused once sends nothing more."""
    if place.forge == "github" and settings.get(vendor.key_variable).reveal().startswith(github.INSTALLATION_TOKEN):
        return github.ACTIONS_BOT
    connection = connect(vendor, settings, clock)
    try:
        asking = github.whoami() if place.forge == "github" else gitlab.whoami()
        return await drive(asking, connection.send, clock.sleep)
    finally:
        await connection.close()


def connect(vendor: Vendor, settings: Settings, clock: Clock) -> Provider:
    """A connection to the forge: the token goes to its API only, redirects are not followed, POSTs are not repeated."""
    from reconciler.providers.http import connect as connect_to
    from reconciler.settings import base_url, credential

    return connect_to(
        vendor,
        base_url=base_url(vendor, settings),
        credential=credential(vendor, settings),
        clock=clock,
        parallelism=1,
        ca_file=settings.ca_file,
        proxy_to=settings.proxy_to if settings.names_proxy() else None,
    )


def _source_of_token(place: Place, token_variable: str) -> str:
    if token_variable:
        return f"put a token that may comment on the {place.noun} into {token_variable}"
    if place.forge == "github":
        return "give the step `env: {GITHUB_TOKEN: ${{ github.token }}}`"
    return "put a project access token with the scope api into the CI/CD variable GITLAB_TOKEN"


def _advice(place: Place) -> str:
    if place.forge == "github":
        return "give the job `permissions: pull-requests: write`"
    return "use a project access token with the scope api and the role Reporter or higher"
