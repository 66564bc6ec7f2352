"""The command line with its state in PostgreSQL: one state for many machines, killed runs, waiting runs, history."""

from __future__ import annotations

import json
import threading
import time
from typing import Any

import pytest

STUCK = {"method": "POST", "path": "/v1/projects/*/tests", "action": "delay", "seconds": 20.0}


@pytest.fixture
def shared(bot: Any, postgres: Any) -> Any:
    """The command line in a folder whose Environment keeps its state in a database."""
    bot.write("environments.yaml", f"""
        apiVersion: reconciler/v1
        kind: Environment
        metadata: {{name: production}}
        spec:
          state: {{url: "{postgres.url}"}}
    """)  # fmt: skip
    bot.environ.update(postgres.environ, RECONCILER_ENV="production")
    return bot


def locked(process: Any) -> Any:
    """The process, once it has shown its plan: then it holds the lock."""
    for line in process.stdout:
        if "to create" in line:
            return process
    raise AssertionError(process.communicate())


def test_what_one_machine_applied_another_finds(shared: Any, postgres: Any) -> None:
    """Nothing of the state is in the folder, so that a checkout elsewhere sees the same."""
    assert "Apply: 5 done." in shared("apply", "--yes").out
    assert not list((shared.folder / ".reconciler").glob("*state*"))
    assert postgres.run("select serial, lock_id from reconciler.states where environment = 'production'") == [(1, "")]
    shared("plan", "--detailed-exitcode")
    assert "Serial 1" in shared("state", "list").out
    assert "Serial 1" not in shared("state", "list", RECONCILER_ENV="local").out
    shared("doctor")


def test_a_killed_run_frees_its_lock_and_the_next_one_finishes_its_work(shared: Any, platform: Any) -> None:
    platform.fail(STUCK)
    first = locked(shared.start("apply", "--yes"))
    while not any(path.endswith("/tests") for method, path in platform.seen if method == "POST"):
        assert first.poll() is None
        time.sleep(0.01)
    first.kill()
    first.wait()
    platform.fail()
    assert "done." in shared("apply", "--yes", "--lock-timeout", "30s").out
    shared("plan", "--detailed-exitcode")
    assert sorted(platform.tests("bot")) == ["Answers are short", "Rows arrive"]
    assert len(platform.api("GET", f"/projects/{platform.projects()['bot']['id']}/tests")["items"]) == 2


def test_of_two_applies_at_once_the_second_waits(shared: Any, platform: Any) -> None:
    """The first one's create is answered only once the second has said that it waits."""
    go_on = threading.Event()
    platform.meanwhile("POST", "/projects", lambda: go_on.wait(60))
    first = locked(shared.start("apply", "--yes"))
    second = shared.start("apply", "--yes", "--lock-timeout", "1m")
    told = second.stderr.readline()
    go_on.set()
    out, _ = second.communicate()
    assert (second.returncode, first.wait()) == (0, 0)
    assert told.startswith("waiting up to 1m: another run holds the lock: ")
    assert f"(pid {first.pid} on " in told
    assert "No changes" in out


def test_a_broken_lock_fences_the_run_that_held_it(shared: Any, platform: Any) -> None:
    go_on = threading.Event()
    platform.meanwhile("POST", "/projects", lambda: go_on.wait(60))
    first = locked(shared.start("apply", "--yes"))
    refused = shared("state", "rm", "*", code=6)
    assert "It is held until its connection ends" in refused.words
    lock_id = refused.words.rpartition("state unlock ")[2].split()[0]
    assert f"Lock {lock_id} is broken." in shared("state", "unlock", lock_id).out
    go_on.set()
    _, err = first.communicate()
    assert first.returncode == 1
    assert "was broken" in " ".join(err.split())
    shared("apply", "--yes")
    shared("plan", "--detailed-exitcode")
    assert len(platform.api("GET", f"/projects/{platform.projects()['bot']['id']}/tests")["items"]) == 2


def test_the_history_is_beside_the_state(shared: Any, postgres: Any) -> None:
    shared("apply", "--yes")
    shared("evaluate", "--from", "2026-11-10", "--to", "2026-11-11", code=5)
    found = json.loads(shared("history", "--format", "json").out)
    assert len(found["observations"]) == 3
    assert not list((shared.folder / ".reconciler").glob("*.history.db"))
    assert postgres.run("select count(*) from reconciler.observations") == [(3,)]
    shared.edit("bot.yaml", "- name: Rows arrive\n", "- name: Traffic\n      renamedFrom: Rows arrive\n")
    shared("apply", "--yes")
    assert "2 verdicts" not in shared("history", "*Traffic").out
    assert "nothing was recorded of *Rows*" in shared("history", "*Rows*", code=64).words


def test_no_password_is_ever_shown(shared: Any, postgres: Any) -> None:
    """Neither when all goes well, nor when the server refuses it, nor when somebody wrote one into the manifest."""
    secret = postgres.environ["PGPASSWORD"]
    for result in (
        shared("apply", "--yes", "-v", "--events", "events.ndjson"),
        shared("plan", "-v", PGPASSWORD="canary-wrong-77", code=1),
        shared("plan", "-v", PGHOST="127.0.0.1", PGUSER="nobody", code=1),
    ):
        assert secret not in result.text
        assert "canary-wrong-77" not in result.text
    assert secret not in (shared.folder / "events.ndjson").read_text()
    shared.edit("environments.yaml", "postgresql://", "postgresql://state_writer:canary-in-manifest@")
    assert "canary-in-manifest" not in shared("plan", code=1).text


def test_a_pull_request_can_not_send_the_password_elsewhere(shared: Any, postgres: Any) -> None:
    shared.edit("environments.yaml", "127.0.0.1", "db.evil.example")
    refused = shared("plan", code=1)
    assert "the password in PGPASSWORD is not sent to db.evil.example" in refused.words
    assert f"RECONCILER_STATE_ORIGIN=postgresql://db.evil.example:{postgres.port}" in refused.words


def test_a_database_that_is_down_is_a_sentence_before_anything_is_asked(shared: Any, platform: Any) -> None:
    shared.edit("environments.yaml", f":{_port(shared)}/", ":1/")
    refused = shared("apply", "--yes", code=1)
    assert "cannot be locked: " in refused.words
    assert "efused" in refused.words
    assert platform.seen == []


def _port(shared: Any) -> str:
    text = (shared.folder / "environments.yaml").read_text()
    return str(text.partition("127.0.0.1:")[2].partition("/")[0])
