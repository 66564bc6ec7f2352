"""One comment of ours on a pull request: found, updated, made once; and nothing of anybody else's."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from reconciler.errors import NotAuthorized, OutcomeUnknown, ReadFailed
from reconciler.forge.comments import Kept, marked
from reconciler.model.provider import Clock
from reconciler.pipeline.commenting import NotPermitted, comment, find_place
from reconciler.settings import Settings

MARKER = "<!-- reconciler:plan 0123456789ab -->"
BODY = f"{MARKER}\n### Plan\n\n1 to create"


def _keep(settings: Settings, clock: Clock, body: str = BODY, author: str = "") -> Kept:
    return asyncio.run(comment(find_place(settings, 12), body, settings, clock, author=author))


def test_the_first_time_it_is_made(forge: Any, settings: Settings, clock: Any) -> None:
    assert _keep(settings, clock).what == "created"
    assert forge.bodies("ci-bot") == [BODY]


def test_the_next_time_it_is_brought_up_to_date(forge: Any, settings: Settings, clock: Any) -> None:
    forge.say("ci-bot", f"{MARKER}\r\nold")
    assert _keep(settings, clock).what == "updated"
    assert forge.bodies("ci-bot") == [BODY]


def test_what_says_it_already_is_left_alone(forge: Any, settings: Settings, clock: Any) -> None:
    """Forges turn line ends around and cut the last ones off."""
    forge.say("ci-bot", BODY.replace("\n", "\r\n"))
    assert _keep(settings, clock, f"{BODY}\n").what == "unchanged"
    assert forge.writes == []


def test_it_is_found_on_the_last_of_many_pages(forge: Any, settings: Settings, clock: Any) -> None:
    forge.page = 7
    for number in range(50):
        forge.say("a-person", f"comment {number}")
    forge.say("ci-bot", f"{MARKER}\nold")
    assert _keep(settings, clock).what == "updated"
    assert len(forge.bodies("ci-bot")) == 1


@pytest.mark.parametrize(
    ("author", "body"),
    [
        ("a-person", f"{MARKER}\nI copied this"),
        ("a-person", f"> {MARKER}\n> quoted\n\nwhat is this?"),
        ("", f"{MARKER}\nby an account that is gone"),
        ("ci-bot", f"Another job of ours quotes it:\n{MARKER}\nx"),
        ("ci-bot", "<!-- reconciler:plan ffffffffffff -->\nof another environment"),
        ("ci-bot[bot]", f"{MARKER}\nof another account"),
    ],
)
def test_what_is_not_ours_is_never_touched(forge: Any, settings: Settings, clock: Any, author: str, body: str) -> None:
    forge.say(author, body)
    assert _keep(settings, clock).what == "created"
    assert forge.comments[0][2] == body
    assert forge.comments[1][1:] == ("ci-bot", BODY)


def test_what_the_forge_writes_by_itself_is_no_comment(forge: Any, clock: Any, variables: dict[str, str]) -> None:
    forge.systems.add(forge.say("ci-bot", f"{MARKER}\nadded 1 commit"))
    if "GITLAB_CI" in variables:
        assert _keep(Settings.from_environ(variables), clock).what == "created"


def test_twins_are_counted_and_the_oldest_is_kept(forge: Any, settings: Settings, clock: Any) -> None:
    forge.say("ci-bot", f"{MARKER}\nfirst")
    forge.say("ci-bot", f"{MARKER}\nsecond")
    assert _keep(settings, clock).twins == 1
    assert forge.bodies("ci-bot") == [BODY, f"{MARKER}\nsecond"]


# ------------------------------------------------------------------------------------------- what goes wrong


def test_a_comment_whose_answer_was_lost_is_not_made_twice(forge: Any, settings: Settings, clock: Any) -> None:
    forge.lost = 1
    assert _keep(settings, clock).what == "created"
    assert forge.bodies("ci-bot") == [BODY]
    assert [line for line in forge.writes if line.startswith("POST")] == [forge.writes[0]]
    assert clock.slept[0] == 2.0


def test_a_comment_that_never_arrived_is_looked_for_and_then_made(forge: Any, settings: Settings, clock: Any) -> None:
    forge.broken = 1
    assert _keep(settings, clock).what == "created"
    assert forge.bodies("ci-bot") == [BODY]
    assert clock.slept == [2.0, 5.0, 10.0]


def test_a_forge_that_never_answers_is_not_asked_for_ever(forge: Any, settings: Settings, clock: Any) -> None:
    forge.broken = 9
    with pytest.raises(OutcomeUnknown):
        _keep(settings, clock)
    assert forge.bodies("ci-bot") == []
    assert len(forge.writes) == 2


def test_an_update_whose_answer_was_lost_is_sent_again(forge: Any, settings: Settings, clock: Any) -> None:
    forge.say("ci-bot", f"{MARKER}\nold")
    forge.lost = 1
    assert _keep(settings, clock).what == "updated"
    assert forge.bodies("ci-bot") == [BODY]


def test_a_comment_that_somebody_deletes_meanwhile_is_made_again(forge: Any, settings: Settings, clock: Any) -> None:
    forge.say("ci-bot", f"{MARKER}\nold")
    forge.vanish = True
    assert _keep(settings, clock).what == "created"
    assert forge.bodies("ci-bot") == [BODY]


def test_a_wrong_token_says_which_variable(variables: dict[str, str], clock: Any) -> None:
    name = "GITHUB_TOKEN" if "GITHUB_TOKEN" in variables else "GITLAB_TOKEN"
    with pytest.raises(NotAuthorized) as caught:
        _keep(Settings.from_environ({**variables, name: "another-token"}), clock)
    assert caught.value.status == 401
    assert name in caught.value.hint


def test_a_token_that_may_only_read_is_told_apart(forge: Any, settings: Settings, clock: Any) -> None:
    forge.read_only = True
    with pytest.raises(NotPermitted):
        _keep(settings, clock)
    assert forge.comments == []


def test_a_forge_that_is_asked_too_often_is_no_missing_permission(forge: Any, settings: Settings, clock: Any) -> None:
    """GitHub answers 403 to both; only one of them means that the text belongs elsewhere."""
    forge.read_only, forge.refusal = True, "You have exceeded a secondary rate limit."
    with pytest.raises(NotAuthorized, match="secondary rate limit") as caught:
        _keep(settings, clock)
    assert not isinstance(caught.value, NotPermitted)


@pytest.mark.parametrize("answer", [{}, None, "x", {"message": "maintenance"}])
def test_an_answer_that_is_no_list_of_comments_ends_the_run(
    forge: Any, settings: Settings, clock: Any, answer: Any
) -> None:
    forge.odd = {"/comments": answer, "/notes": answer}
    with pytest.raises(ReadFailed, match="no list of comments"):
        _keep(settings, clock)
    assert forge.writes == []


@pytest.mark.parametrize("answer", [{}, [], {"login": None, "username": 7}, {"login": "", "username": ""}])
def test_an_account_without_a_name_ends_the_run(forge: Any, settings: Settings, clock: Any, answer: Any) -> None:
    """Without knowing who we are, no comment is ours."""
    forge.odd = {"/user": answer}
    with pytest.raises(ReadFailed, match="names no account"):
        _keep(settings, clock)


def test_items_that_are_no_comments_are_passed_over(forge: Any, settings: Settings, clock: Any) -> None:
    items = [7, None, {}, {"id": "x", "body": MARKER}, {"id": 3, "body": None}, {"id": 4, "body": BODY, "user": "x"}]
    forge.odd = {"/comments": items, "/notes": items}
    assert _keep(settings, clock).what == "created"


def test_a_list_without_an_end_is_given_up(forge: Any, settings: Settings, clock: Any) -> None:
    forge.page = 1
    for number in range(202):
        forge.say("a-person", f"comment {number}")
    with pytest.raises(ReadFailed, match="more than 200 pages"):
        _keep(settings, clock)
    assert forge.writes == []


def test_the_token_goes_nowhere_else(forge: Any, settings: Settings, clock: Any) -> None:
    """A redirect is not followed, wherever it leads."""
    forge.redirect = forge.url.replace("127.0.0.1", "localhost")
    with pytest.raises(ReadFailed, match="not followed"):
        _keep(settings, clock)
    assert len(forge.seen) == 1


def test_the_token_of_a_job_writes_as_the_bot_of_actions(forge: Any, on_github: Settings, clock: Any) -> None:
    """It may not ask who it is."""
    forge.me, forge.app = "github-actions[bot]", True
    forge.say("github-actions[bot]", f"{MARKER}\nold")
    assert _keep(on_github, clock).what == "updated"


def test_the_token_of_an_app_is_told_which_name_to_pass(forge: Any, on_github: Settings, clock: Any) -> None:
    forge.me, forge.app = "acme-app[bot]", True
    assert _keep(on_github, clock).stranger == "acme-app[bot]"
    assert _keep(on_github, clock, author="acme-app[bot]").what == "unchanged"


# ------------------------------------------------------------------------------------------------- markers


def test_a_text_keeps_the_marker_that_it_has() -> None:
    assert marked(BODY) == BODY


def test_a_name_makes_another_comment() -> None:
    one, other = marked(BODY, "one"), marked(BODY, "--> <b>")
    assert one.split("\n")[1:] == other.split("\n")[1:] == BODY.split("\n")[1:]
    assert len({line.split("\n")[0] for line in (BODY, one, other)}) == 3
    assert all(line.startswith("<!-- reconciler:comment ") for line in (one, other))


def test_a_text_without_a_marker_gets_one() -> None:
    assert marked("hello\nworld").split("\n")[1:] == ["hello", "world"]
    assert marked("hello") == marked("hello")
