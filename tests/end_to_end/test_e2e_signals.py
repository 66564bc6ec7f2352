"""Processes that are interrupted, or that meet each other: what was done is recorded, and there is one writer."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

SLOW = {"method": "POST", "path": "/v1/projects/*/tests", "action": "delay", "seconds": 0.6}


def wait_until(platform: Any, method: str, end: str, process: subprocess.Popen[str]) -> None:
    """Until such a request has arrived."""
    deadline = time.monotonic() + 30
    while not any(seen == method and path.endswith(end) for seen, path in platform.seen):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.002)


def remembered(cli: Any) -> set[str]:
    """The addresses in the state."""
    state = json.loads(cli("state", "list", "--format", "json").out)
    assert state["in_doubt"] == {}
    return set(state["entries"])


def test_two_applies_at_once(bot: Any, platform: Any) -> None:
    """The second is refused before it asks the platform for anything, and names the holder; the first goes on."""
    platform.fail(SLOW)
    first = bot.start("apply", "--yes")
    wait_until(platform, "POST", "/tests", first)
    before = len(platform.seen)
    second = bot("apply", "--yes", code=6)
    assert f"(pid {first.pid} on " in second.words
    assert ", apply) since 20" in second.words
    assert len([path for _, path in platform.seen[before:] if path == "/projects"]) == 0
    out, _ = first.communicate()
    assert (first.returncode, "Apply: 5 done." in out) == (0, True)
    bot("plan", "--detailed-exitcode")


def test_a_plan_needs_no_lock(bot: Any, platform: Any) -> None:
    """Looking is always allowed."""
    platform.fail(SLOW)
    first = bot.start("apply", "--yes")
    wait_until(platform, "POST", "/tests", first)
    bot("plan")
    first.communicate()
    assert first.returncode == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_lets_running_requests_finish(number: int, code: int, bot: Any, platform: Any) -> None:
    """Nothing new is started, what runs is recorded, and the next apply does the rest."""
    platform.fail(SLOW)
    process = bot.start("apply", "--yes", "--parallelism", "1")
    wait_until(platform, "POST", "/tests", process)
    process.send_signal(number)
    out, err = process.communicate()
    assert process.returncode == code
    assert "stopping: letting the running requests finish; once more stops at once" in err
    assert "Apply: 4 done, 1 skipped." in out
    assert "Traceback" not in err
    assert len([path for method, path in platform.writes if path.endswith("/tests")]) == 1
    assert remembered(bot) == {
        "openlayer.Project/bot",
        "openlayer.InferencePipeline/bot/canary",
        "openlayer.InferencePipeline/bot/live",
        "openlayer.Test/bot/monitoring/Rows arrive",
    }
    platform.fail()
    assert "Apply: 1 done." in bot("apply", "--yes").out
    bot("plan", "--detailed-exitcode")


def test_a_second_signal_stops_at_once(bot: Any, platform: Any) -> None:
    """The requests that were running stay in doubt; the next apply looks for them, and each object is there once."""
    platform.fail({**SLOW, "seconds": 3.0})
    process = bot.start("apply", "--yes")
    wait_until(platform, "POST", "/tests", process)
    process.send_signal(signal.SIGINT)
    assert "stopping" in str(process.stderr.readline())
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, time.monotonic() - began < 2.0) == (130, True)
    assert "Traceback" not in err
    state = json.loads(bot("state", "list", "--format", "json").out)
    assert "openlayer.Test/bot/monitoring/Rows arrive" in state["in_doubt"]
    platform.fail()
    bot("apply", "--yes")
    bot("plan", "--detailed-exitcode")
    project = platform.projects()["bot"]["id"]
    assert len(platform.api("GET", f"/projects/{project}/tests")["items"]) == 2


def test_a_signal_ends_the_wait_for_a_lost_create(bot: Any, platform: Any) -> None:
    """It is not sent again: it stays in doubt, is told so, and the next apply looks for it."""
    platform.fail({"method": "POST", "path": "/v1/projects/*/tests", "nth": 1, "action": "drop-before"})
    process = bot.start("apply", "--yes", "--parallelism", "1", RECONCILER_UNCERTAINTY_WINDOW="10m")
    assert "may have been created and not show yet" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Apply: 3 done, 1 skipped, 1 unknown." in out
    assert "nobody can tell whether it was made: the run was interrupted" in " ".join((out + err).split())
    assert len([path for _, path in platform.writes if path.endswith("/tests")]) == 1
    state = json.loads(bot("state", "list", "--format", "json").out)
    [doubtful] = state["in_doubt"]
    for command in ("show", doubtful), ("show", doubtful.partition("/")[2]), ("mv", doubtful, f"{doubtful} again"):
        refused = bot("state", *command, code=64)
        assert "is in doubt: it may be at the platform or not" in refused.words
        assert "hint: settle it first: reconciler apply" in refused.words
    platform.fail()
    assert "Apply: 2 done." in bot("apply", "--yes").out
    assert sorted(platform.tests("bot")) == ["Answers are short", "Rows arrive"]
    bot("plan", "--detailed-exitcode")


@pytest.mark.parametrize("method", ["POST", "GET"])
def test_a_signal_ends_the_pause_that_a_platform_asks_for(method: str, bot: Any, platform: Any) -> None:
    """A write that was refused is not sent again, and a read that waits is not sat out."""
    refused = {"method": method, "path": "/v1/projects", "nth": 1, "action": "status", "status": 429, "retryAfter": 50}
    platform.fail(refused)
    process = bot.start("apply", "--yes")
    wait_until(platform, method, "/projects", process)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=30)
    assert process.returncode == 143
    assert ("Apply: 0 done, 5 skipped." in out) == (method == "POST")
    assert platform.projects() == {}
    assert len(platform.writes) == (method == "POST")
    platform.fail()
    bot("apply", "--yes")
    bot("plan", "--detailed-exitcode")


SILENT = ("http://127.0.0.1:{port}/state", "s3://states/evaluations", "postgresql://127.0.0.1:{port}/evaluations")


@pytest.mark.parametrize("url", SILENT)
def test_a_second_signal_stops_while_the_state_does_not_answer(url: str, bot: Any, platform: Any) -> None:
    """Nobody hears of a signal then but a thread that does nothing else; what is left behind is what a kill leaves."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        origin = f"http://127.0.0.1:{port}"
        process = bot.start(
            "apply",
            "--yes",
            RECONCILER_STATE_URL=url.format(port=port),
            RECONCILER_STATE_ORIGIN=origin.replace("http", "postgresql") if url.startswith("postgres") else origin,
            AWS_ENDPOINT_URL=origin,
            AWS_ACCESS_KEY_ID="k",
            AWS_SECRET_ACCESS_KEY="s",
            AWS_REGION="eu",
        )
        connection, _ = silent.accept()
        with connection:
            connection.recv(1)
            process.send_signal(signal.SIGINT)
            process.send_signal(signal.SIGTERM)  # the same one twice may count once
            _, err = process.communicate(timeout=10)
    assert process.returncode in (130, 143)
    assert err.startswith("error: stopped at once, while something did not answer")
    assert platform.seen == []


def test_a_signal_while_only_reading(bot: Any, platform: Any) -> None:
    """A plan that is interrupted ends at once; there is nothing to finish."""
    platform.fail({"method": "GET", "action": "delay", "seconds": 5.0})
    process = bot.start("plan")
    wait_until(platform, "GET", "/projects", process)
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert (process.returncode, time.monotonic() - began < 3.0) == (130, True)
    assert err == "error: interrupted; what was done is recorded, and the next run goes on from there\n"


QUESTIONS = {"apply": "[y/N]:", "destroy": "Type default to go on:"}


@pytest.mark.parametrize("command", QUESTIONS)
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_at_the_question_ends_the_run(number: int, code: int, command: str, bot: Any, platform: Any) -> None:
    """At once, and with the lock released: nobody has said yes, so there is nothing to finish."""
    if command == "destroy":
        bot("apply", "--yes")
    before = len(platform.writes)
    terminal = bot.sit_down(command)
    terminal.read_until(QUESTIONS[command])
    if number == signal.SIGINT:
        terminal.type("\x03")
    else:
        terminal.process.send_signal(number)
    assert terminal.ends() == code
    assert "error: interrupted before anything was agreed to; nothing was changed" in " ".join(terminal.screen.split())
    assert "Traceback" not in terminal.screen
    assert len(platform.writes) == before
    bot(command, "--yes")


def test_a_signal_before_the_question_is_not_forgotten_there(bot: Any, platform: Any) -> None:
    """It comes while the plan is worked out, and the question is not even asked."""
    bot.write("plain.py", BEFORE_THE_QUESTION)
    terminal = bot.sit_down("apply", program="plain.py")
    assert terminal.ends(30) == 130
    assert "[y/N]" not in terminal.screen
    assert platform.writes == []
    bot("apply", "--yes")


BEFORE_THE_QUESTION = """
import os, signal, sys
from reconciler.cli.asking import Asking
from reconciler.cli.main import run

show = Asking.show

def shown(self, plan):
    show(self, plan)
    os.kill(os.getpid(), signal.SIGINT)

Asking.show = shown
run()
"""


def test_an_answer_after_the_question_is_heard(bot: Any, platform: Any) -> None:
    """Yes goes on, and from then on a signal lets running requests finish; anything else changes nothing."""
    terminal = bot.sit_down("apply")
    terminal.read_until("[y/N]:")
    terminal.type("n\n")
    assert terminal.ends() == 7
    assert platform.writes == []
    platform.fail(SLOW)
    terminal = bot.sit_down("apply", "--parallelism", "1")
    terminal.read_until("[y/N]:")
    terminal.type("y\n")
    wait_until(platform, "POST", "/tests", terminal.process)
    terminal.type("\x03")
    assert terminal.ends() == 130
    assert "stopping: letting the running requests finish" in terminal.screen
    assert "Apply: 4 done, 1 skipped." in terminal.screen


@pytest.mark.parametrize("module", ["reconciler.cli.main", "click", "reconciler.cli.validate", "reconciler.settings"])
def test_a_signal_while_it_is_still_being_loaded(module: str, bot: Any) -> None:
    """A short Ctrl-C is no defect: it ends with 130, and whatever was imported then is nobody's concern."""
    bot.write("early.py", WHILE_LOADING)
    done = subprocess.run(
        [sys.executable, "early.py", module, "validate"],
        cwd=bot.folder,
        env={**os.environ, **bot.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout, done.stderr.replace("stopped", "").strip()) == (130, "", "")


WHILE_LOADING = """
import os, runpy, signal, sys

class Interrupting:
    def find_spec(self, name, *_):
        if name == module:
            os.kill(os.getpid(), signal.SIGINT)

module = sys.argv.pop(1)
sys.meta_path.insert(0, Interrupting())
runpy.run_module("reconciler", run_name="__main__")
"""


def test_a_lock_whose_holder_is_stuck_can_be_broken(bot: Any, platform: Any) -> None:
    """``state unlock`` with the id from the message; the old holder writes nothing more.

    What it had sent may still be on its way, so the successor waits for it.
    """
    platform.fail(SLOW)
    first = bot.start("apply", "--yes")
    wait_until(platform, "POST", "/tests", first)
    first.send_signal(signal.SIGSTOP)
    refused = bot("apply", "--yes", code=6)
    lock_id = refused.words.partition(", lock ")[2].split()[0].rstrip(";.,:")
    bot("state", "unlock", "0123456789ab", code=64)
    assert bot("state", "unlock", lock_id).out == f"Lock {lock_id} is broken.\n"
    platform.fail()
    bot("apply", "--yes", RECONCILER_UNCERTAINTY_WINDOW="2s")
    first.send_signal(signal.SIGCONT)
    _, err = first.communicate()
    assert (first.returncode, f"the lock {lock_id} was broken" in " ".join(err.split())) == (1, True)
    assert "Traceback" not in err
    bot("plan", "--detailed-exitcode")
    project = platform.projects()["bot"]["id"]
    assert len(platform.api("GET", f"/projects/{project}/tests")["items"]) == 2


def test_a_reader_that_goes_away_does_no_harm(bot: Any, platform: Any) -> None:
    """``reconciler apply | head -1``: the apply finishes its work."""
    process = bot.start("apply", "--yes")
    assert process.stdout.readline().startswith("Plan for default")
    process.stdout.close()
    _, err = process.communicate()
    assert "Traceback" not in err
    assert sorted(platform.tests("bot")) == ["Answers are short", "Rows arrive"]
    bot("plan", "--detailed-exitcode")


def test_an_apply_that_nobody_watches_is_carried_out(bot: Any, platform: Any) -> None:
    """Both streams are closed from the start: there is nobody to tell, and all the same everything to do."""
    command = [sys.executable, "-m", "reconciler", "apply", "--yes"]
    environ = {**os.environ, **bot.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    closed = ["/bin/sh", "-c", 'exec "$@" >&- 2>&-', "sh"]
    done = subprocess.run([*closed, *command], cwd=bot.folder, env=environ, check=False)
    assert done.returncode == 0
    assert set(platform.projects()) == {"bot"}
    bot("plan", "--detailed-exitcode")


CLOSING = """
import os, signal
from asyncio.selector_events import BaseSelectorEventLoop

from reconciler.cli.running import run

close = BaseSelectorEventLoop.close

def struck(loop):
    close(loop)
    os.kill(os.getpid(), signal.SIGTERM)

async def main(signals):
    return 0

BaseSelectorEventLoop.close = struck
print(run(main, print))
"""


def test_a_signal_while_the_loop_is_closed_says_nothing() -> None:
    """All is done by then, and the pipe that woke the loop is gone."""
    environ = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
    ended = subprocess.run([sys.executable, "-c", CLOSING], env=environ, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "0\n", "")
