"""Runs that meet at the lock: one waits for the other, or gives up and says for whom it waited."""

from __future__ import annotations

import signal
import threading
import time
from datetime import UTC, datetime
from typing import Any

from reconciler.storage.file import FileStore


def other_run(bot: Any) -> FileStore:
    """The state in the folder, for somebody who holds its lock without doing anything."""
    return FileStore(bot.folder / ".reconciler", "default", now=lambda: datetime.now(UTC))


def test_of_two_applies_at_once_the_second_waits_and_finds_everything_done(bot: Any, platform: Any) -> None:
    """The first one's create is answered only once the second has said that it waits."""
    go_on = threading.Event()
    platform.meanwhile("POST", "/projects", lambda: go_on.wait(60))
    first = bot.start("apply", "--yes")
    while ("POST", "/projects") not in platform.seen:
        assert first.poll() is None, first.communicate()
        time.sleep(0.01)
    second = bot.start("apply", "--yes", "--lock-timeout", "1m")
    told = second.stderr.readline()
    go_on.set()
    out, err = second.communicate()
    assert (second.returncode, first.wait()) == (0, 0)
    assert told.startswith("waiting up to 1m: another run holds the lock: ")
    assert f"(pid {first.pid} on " in told
    assert "waiting" not in err
    assert "No changes" in out
    assert len(platform.projects()) == 1


def test_every_command_that_needs_the_lock_says_for_whom_it_waited(bot: Any) -> None:
    with other_run(bot).lock("destroy") as holder:
        commands = [
            ("apply", "--yes"),
            ("destroy", "--yes"),
            ("evaluate",),
            ("state", "rm", "*"),
            ("state", "mv", "openlayer.Project/bot", "openlayer.Project/new"),
            ("state", "import", "openlayer.Project/bot", "3c90c3cc"),
        ]
        waiting = [bot.start(*command, "--lock-timeout", "1s") for command in commands]
        for process in waiting:
            _, err = process.communicate()
            words = " ".join(err.split())
            assert process.returncode == 6, process.args
            assert f"waiting up to 1s: another run holds the lock: {holder}" in words
            assert f"error: after 1s, another run holds the lock: {holder}" in words


def test_an_export_waits_where_it_takes_over(bot: Any) -> None:
    bot("apply", "--yes")
    with other_run(bot).lock("destroy"):
        bot("export", "--out", "exported")
        result = bot("export", "--out", "again", "--adopt", "--lock-timeout", "1s", code=6)
    assert "after 1s, another run holds the lock" in result.words


def test_a_signal_ends_the_waiting(bot: Any) -> None:
    with other_run(bot).lock("destroy"):
        second = bot.start("apply", "--yes", "--lock-timeout", "1h")
        assert "waiting up to 1h" in str(second.stderr.readline())
        second.send_signal(signal.SIGTERM)
        second.communicate(timeout=10)
    assert second.returncode == 143


def test_a_time_without_a_unit_is_a_usage_error(bot: Any) -> None:
    assert "a duration is a whole number with a unit" in bot("apply", "--lock-timeout", "300", code=64).words
