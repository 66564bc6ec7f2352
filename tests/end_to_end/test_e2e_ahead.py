"""Roots are listed while manifests are parsed: beside each other, no request more, and nothing else is different.

What holds the parsing up is its cache: the entry to look into is a pipe, into which the test has yet to write.
"""

from __future__ import annotations

import json
import os
import re
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.manifests.cache import key_of
from reconciler.manifests.validator import sources_of
from reconciler.pipeline.ahead import WORTH
from reconciler.providers import VENDORS
from tests.by_hand import PLAIN
from tests.end_to_end.conftest import KEY
from tests.end_to_end.test_e2e_signals import wait_until

ROOTS = ("GET", "/projects")
LONG = "# Nobody reads this, but it has to be parsed.\n" * (WORTH.start // 45)
INTERRUPTED = "error: interrupted; what was done is recorded, and the next run goes on from there\n"


@pytest.fixture
def long_bot(bot: Any) -> Any:
    """The command line in a folder with one project, whose manifest is worth reading ahead."""
    lengthen(bot)
    return bot


def lengthen(bot: Any) -> None:
    with (bot.folder / "bot.yaml").open("a") as file:
        file.write(LONG)


class HeldUp:
    """A run whose manifests are not parsed before ``go_on``."""

    def __init__(self, cli: Any, *arguments: str) -> None:
        contents = sources_of((".",), cli.folder).contents
        key = key_of(contents, [(".",), [vendor.name for vendor in VENDORS], None, {}, {}])
        self.cache = cli.folder.parent / f"{cli.folder.name}-cache"
        self.cache.mkdir(mode=0o700, exist_ok=True)
        self.pipe: Path = self.cache / f"{key}.json"
        os.mkfifo(self.pipe)
        self.process = cli.start(*arguments, RECONCILER_CACHE=str(self.cache))

    def go_on(self) -> tuple[int, str, str]:
        """Its exit code, and what it says."""
        os.close(os.open(self.pipe, os.O_WRONLY))  # nothing stands in it: no entry
        out, err = self.process.communicate(timeout=60)
        return self.process.returncode, out, err


# ------------------------------------------------------------------------------------------ it happens


@pytest.mark.parametrize("command", ["plan", "drift", "status"])
def test_roots_are_listed_while_manifests_are_parsed(command: str, long_bot: Any, platform: Any) -> None:
    long_bot("apply", "--yes")
    platform.stream({1: "short"})
    platform.seen.clear()
    ordinary = long_bot(command, code=5 if command == "status" else 0)
    asked = sorted(platform.seen)
    platform.seen.clear()
    run = HeldUp(long_bot, command)
    wait_until(platform, *ROOTS, run.process)
    assert platform.seen == [ROOTS]
    assert run.go_on() == (ordinary.code, ordinary.out, ordinary.err)
    assert sorted(platform.seen) == asked


def test_a_state_on_a_server_is_read_meanwhile_too_and_once(
    bot: Any, platform: Any, terraform_server: Any, terraform_environ: dict[str, str]
) -> None:
    bot.environ |= {**terraform_environ, "RECONCILER_STATE_URL": f"{terraform_server.url}/states/bot"}
    bot("apply", "--yes")
    terraform_server.seen.clear()
    bot("plan", "--detailed-exitcode")
    asked = list(terraform_server.seen)
    terraform_server.seen.clear()
    platform.seen.clear()
    lengthen(bot)
    run = HeldUp(bot, "plan", "--detailed-exitcode")
    wait_until(platform, *ROOTS, run.process)
    assert terraform_server.seen == asked
    assert run.go_on()[0] == 0
    assert terraform_server.seen == asked


def test_an_apply_reads_nothing_before_it_has_the_lock(long_bot: Any, platform: Any) -> None:
    run = HeldUp(long_bot, "apply", "--yes")
    descriptor = os.open(run.pipe, os.O_WRONLY)  # returns once the other end is being read
    assert platform.seen == []
    assert not (long_bot.folder / ".reconciler").exists()
    os.close(descriptor)
    out, _ = run.process.communicate(timeout=60)
    assert (run.process.returncode, "Apply: 5 done." in out) == (0, True)


@pytest.mark.parametrize("applied", [False, True])
@pytest.mark.parametrize("command", ["plan", "drift"])
def test_the_requests_are_those_of_a_run_that_does_not_read_ahead(
    command: str, applied: bool, bot: Any, platform: Any, make_project: Callable[..., str]
) -> None:
    """Whether the state knows the roots or not, and with several pages of them."""
    if applied:
        bot("apply", "--yes")
    headers = {"Authorization": f"Bearer {KEY}", "User-Agent": "by-hand"}
    with httpx.Client(base_url=f"{platform.url}/v1", headers=headers, **PLAIN) as by_hand:
        for number in range(120):
            by_hand.post("/projects", json={"name": f"stranger {number}", "taskType": "llm-base"}).raise_for_status()
    bot.write("new.yaml", make_project("new", 1))
    seen = []
    for _ in range(2):
        platform.seen.clear()
        events = bot.folder / "events"
        code = 0 if applied or command == "plan" else 1  # nothing is ours: drift cannot tell, after the same requests
        told = re.sub(r"digest \w+", "", bot(command, "--events", str(events), code=code).out)
        requests = [event for event in map(json.loads, events.read_text().splitlines()) if event["event"] == "request"]
        assert len(requests) == len(platform.seen)
        seen.append((told, sorted(platform.seen), {(each["method"], each["path"]) for each in requests}))
        events.unlink()
        lengthen(bot)
    assert seen[0] == seen[1]
    assert seen[0][1].count(ROOTS) == 2


def test_an_environment_says_which_key_to_use(long_bot: Any, platform: Any) -> None:
    """The other one would be refused."""
    long_bot.write(
        "staging.yaml",
        """
        apiVersion: reconciler/v1
        kind: Environment
        metadata: {name: staging}
        spec:
          apiKey: {fromEnv: "OPENLAYER_API_KEY_${var.where}"}
          vars: {least: 2}
        """,
    )
    environ = {"OPENLAYER_API_KEY": "another", "OPENLAYER_API_KEY_HERE": long_bot.environ["OPENLAYER_API_KEY"]}
    told = long_bot("plan", "--env", "staging", "--var", "where=HERE", **environ)
    assert "5 to create" in told.words
    assert platform.seen == [ROOTS]


# ------------------------------------------------------------------------- what is wrong is said as ever

FAILING = {
    "refuses the key": {"path": "/v1/projects", "action": "status", "status": 401},
    "breaks": {"path": "/v1/projects", "action": "status", "status": 400},
    "is slow": {"path": "/v1/projects", "action": "delay", "seconds": 30},
    "is well": None,
}


@pytest.mark.parametrize("how", FAILING)
def test_invalid_manifests_are_told_whatever_the_platform_has_said(how: str, long_bot: Any, platform: Any) -> None:
    """In the same words as without a key, with which nothing can be asked; no event tells of a request."""
    long_bot.edit("bot.yaml", "taskType: llm-base", "taskType: lm-base")
    ordinary = long_bot("plan", "-v", code=1, OPENLAYER_API_KEY="")
    assert ordinary.err.startswith("error: bot.yaml:6:13: spec.taskType:")
    platform.fail(*filter(None, [FAILING[how]]))
    run = HeldUp(long_bot, "plan", "-v", "--events", "events")
    wait_until(platform, *ROOTS, run.process)
    assert run.go_on() == (1, ordinary.out, ordinary.err)
    events = map(json.loads, (long_bot.folder / "events").read_text().splitlines())
    assert [event["event"] for event in events] == ["run_started", "run_ended"]


def test_invalid_manifests_are_told_whatever_is_in_the_state(long_bot: Any, platform: Any) -> None:
    long_bot("apply", "--yes")
    platform.seen.clear()
    (long_bot.folder / ".reconciler" / "default.state.json").write_text("no state")
    long_bot.edit("bot.yaml", "taskType: llm-base", "taskType: lm-base")
    ordinary = long_bot("plan", code=1, OPENLAYER_API_KEY="")
    assert long_bot("plan", code=1) == ordinary
    assert HeldUp(long_bot, "plan").go_on() == (1, ordinary.out, ordinary.err)
    assert platform.seen == []


@pytest.mark.parametrize("how", ["refuses the key", "breaks"])
def test_a_failing_platform_is_told_as_ever(how: str, bot: Any, platform: Any) -> None:
    platform.fail(FAILING[how])
    ordinary = bot("plan", code=1)
    asked = list(platform.seen)
    platform.seen.clear()
    lengthen(bot)
    assert bot("plan", code=1) == ordinary
    assert platform.seen == asked


def test_the_platform_of_another_state_is_asked_nothing(long_bot: Any, platform: Any) -> None:
    long_bot("apply", "--yes")
    platform.seen.clear()
    elsewhere = platform.url.replace("127.0.0.1", "localhost")
    told = long_bot("plan", code=1, OPENLAYER_BASE_URL=f"{elsewhere}/v1")
    assert f"belongs to {platform.url}, not to {elsewhere}" in told.words
    assert platform.seen == []


def test_a_state_that_can_not_be_read_is_told_as_ever(bot: Any, platform: Any) -> None:
    bot("apply", "--yes")
    platform.seen.clear()
    (bot.folder / ".reconciler" / "default.state.json").write_text("no state")
    ordinary = bot("plan", code=1)
    lengthen(bot)
    assert bot("plan", code=1) == ordinary
    assert platform.seen == []


@pytest.mark.parametrize("answers", [True, False])
def test_an_interrupted_run_ends_without_a_word_of_what_it_read(answers: bool, long_bot: Any, platform: Any) -> None:
    platform.fail(*([] if answers else [FAILING["is slow"]]))
    run = HeldUp(long_bot, "plan")
    wait_until(platform, *ROOTS, run.process)
    run.process.send_signal(signal.SIGINT)
    assert run.go_on() == (130, "", INTERRUPTED)


def test_small_manifests_send_nothing_before_they_are_valid(bot: Any, platform: Any) -> None:
    bot.edit("bot.yaml", "taskType: llm-base", "taskType: lm-base")
    bot("plan", code=1)
    assert platform.seen == []
