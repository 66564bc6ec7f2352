"""A server that is reached at another address than the one the state was made for."""

from __future__ import annotations

from typing import Any

import pytest


@pytest.fixture
def moved(bot: Any, platform: Any) -> Any:
    """What was applied at 127.0.0.1, and is looked for at localhost now."""
    bot("apply", "--yes")
    bot.environ["OPENLAYER_BASE_URL"] = at_localhost(platform) + "/v1"
    platform.seen.clear()
    return bot


def at_localhost(platform: Any) -> str:
    return str(platform.url.replace("127.0.0.1", "localhost"))


@pytest.mark.parametrize("command", ["plan", "drift", "doctor"])
def test_every_command_says_what_to_do(command: str, moved: Any, platform: Any) -> None:
    told = moved(command, code=1).words
    assert f"the state of environment default belongs to {platform.url}, not to {at_localhost(platform)}" in told
    assert "hint: if it is the same platform at a new address: reconciler state move-origin; else name another" in told


def test_doctor_says_that_the_server_answers_all_the_same(moved: Any) -> None:
    assert "FAIL openlayer: " in moved("doctor", code=1).words
    assert "ok state: " in moved("doctor", code=1).words


def test_the_state_goes_along_once_somebody_has_said_so(moved: Any, platform: Any) -> None:
    told = moved("state", "move-origin", "--yes")
    assert f"> openlayer: {at_localhost(platform)} (was {platform.url}); 5 of our 5 objects are there" in told.words
    assert platform.writes == []
    assert "No changes. 5 resources match" in moved("plan").words
    moved("doctor")
    assert (
        moved("state", "move-origin").words == "Nothing has moved: the state belongs to the platforms that are set up."
    )


def test_it_is_asked_first(moved: Any) -> None:
    told = moved("state", "move-origin", code=7)
    assert "5 of our 5 objects are there" in told.words
    assert "there is no terminal to ask on hint: pass --yes if it is the same platform" in told.words
    moved("plan", code=1)
    for answer, code in (("n\n", 7), ("y\n", 0)):
        terminal = moved.sit_down("state", "move-origin")
        terminal.read_until("Is it the same platform? [y/N]: ")
        terminal.type(answer)
        assert terminal.ends(30) == code
    moved("plan")


def test_an_object_that_is_gone_is_counted(moved: Any, platform: Any) -> None:
    platform.api("DELETE", f"/inference-pipelines/{platform.pipelines('bot')['canary']['id']}")
    assert "4 of our 5 objects are there" in moved("state", "move-origin", "--yes").words


def test_a_platform_that_has_nothing_of_ours_is_another_one(moved: Any, platform: Any) -> None:
    platform.renew()
    told = moved("state", "move-origin", "--yes", code=64)
    assert f"{at_localhost(platform)} has none of the 5 objects that are ours at {platform.url}" in told.words
    assert f"belongs to {platform.url}" in moved("plan", code=1).words
