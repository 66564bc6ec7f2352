"""Runners that share nothing but the state: in a bucket, and behind Terraform's HTTP protocol."""

from __future__ import annotations

import json
import signal
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from reconciler.storage import remote

STATE_PASSWORD = "canary-state-password-5e1f"
SECRETS = (STATE_PASSWORD, "canary-aws-secret-83c2")


nightly = pytest.mark.simulation


@dataclass
class Shared:
    """A place for states: its address for an environment, and the variables that lead to it."""

    url: Callable[[str], str]
    environ: dict[str, str]


@pytest.fixture(params=["s3", "http", "gitlab"])
def shared(request: pytest.FixtureRequest) -> Shared:
    if request.param == "s3":
        prefix = f"s3://states/{uuid.uuid4().hex}"
        return Shared(lambda _: prefix, request.getfixturevalue("s3_environ"))
    server = request.getfixturevalue("terraform_server")
    if request.param == "http":
        environ = request.getfixturevalue("terraform_environ")
        return Shared(lambda name: f"{server.url}/states/{name}", environ)
    environ = {"CI_API_V4_URL": f"{server.url}/api/v4", "CI_JOB_TOKEN": STATE_PASSWORD}
    return Shared(lambda name: f"{server.url}/api/v4/projects/7/terraform/state/{name}", environ)


def declare(cli: Any, shared: Shared, name: str = "production") -> None:
    cli.write(
        f"{name}.yaml",
        f"""
        apiVersion: reconciler/v1
        kind: Environment
        metadata: {{name: {name}}}
        spec:
          state: {{url: "{shared.url(name)}"}}
        """,
    )


def test_two_runners_share_a_state(bot: Any, platform: Any, shared: Shared, tmp_path: Path) -> None:
    """What one made is known to the other, which has nothing but a checkout; nothing stays on the runner."""
    declare(bot, shared)
    bot("apply", "--yes", "--env", "production", **shared.environ)
    before = platform.everything()
    assert not (tmp_path / ".reconciler").exists()

    listed = bot("state", "list", "--env", "production", **shared.environ)
    assert "openlayer.Project/bot" in listed.out
    again = bot("apply", "--yes", "--env", "production", **shared.environ)
    assert "No changes" in again.words
    assert platform.everything() == before
    bot.edit("bot.yaml", "description: Answers", "description: Answers all")
    bot("apply", "--yes", "--env", "production", **shared.environ)
    assert platform.projects()["bot"]["description"].startswith("Answers all")
    assert not any(secret in bot("doctor", "--env", "production", **shared.environ).text for secret in SECRETS)


@pytest.mark.parametrize("shared", ["s3", pytest.param("http", marks=nightly), "gitlab"], indirect=True)
def test_a_runner_that_is_killed_is_taken_over(bot: Any, platform: Any, shared: Shared) -> None:
    """Its lock stays, with its name on it; another runner breaks it, goes on, and makes nothing twice."""
    declare(bot, shared)
    platform.meanwhile("POST", "/projects", lambda: bot.started[0].send_signal(signal.SIGKILL))
    killed = bot.start("apply", "--yes", "--env", "production", **shared.environ)
    killed.communicate(timeout=60)
    assert killed.returncode == -signal.SIGKILL

    refused = bot("apply", "--yes", "--env", "production", code=6, **shared.environ)
    assert f"pid {killed.pid}" in refused.words
    assert f"pid {killed.pid}" in bot("doctor", "--env", "production", **shared.environ).words
    bot("state", "unlock", "0123456789ab", "--env", "production", code=64, **shared.environ)
    bot("state", "unlock", lock_shown(refused), "--env", "production", **shared.environ)
    assert "locked by" not in bot("doctor", "--env", "production", **shared.environ).words

    bot("apply", "--yes", "--env", "production", **shared.environ)
    assert platform.tests("bot").keys() == {"Rows arrive", "Answers are short"}
    assert (platform.writes.count(("POST", "/projects")), len(platform.pipelines("bot"))) == (1, 2)
    assert "No changes" in bot("plan", "--env", "production", **shared.environ).words


def lock_shown(refused: Any) -> str:
    return str(refused.words.rpartition("state unlock ")[2].split()[0])


@pytest.mark.parametrize(
    "shared", ["s3", *(pytest.param(each, marks=nightly) for each in ("http", "gitlab"))], indirect=True
)
def test_a_frozen_runner_whose_lock_was_broken_sends_nothing_more(bot: Any, platform: Any, shared: Shared) -> None:
    """It wakes up when another runner has done its work: what it would record next is refused, so it stops."""
    declare(bot, shared)
    is_frozen = threading.Event()

    def freeze() -> None:
        bot.started[0].send_signal(signal.SIGSTOP)
        is_frozen.set()

    platform.meanwhile("POST", "/projects", freeze)
    frozen = bot.start("apply", "--yes", "--env", "production", **shared.environ)
    assert is_frozen.wait(60)
    refused = bot("apply", "--yes", "--env", "production", code=6, **shared.environ)
    bot("state", "unlock", lock_shown(refused), "--env", "production", **shared.environ)
    bot("apply", "--yes", "--env", "production", **shared.environ)
    before, writes = platform.everything(), list(platform.writes)
    frozen.send_signal(signal.SIGCONT)
    out, err = frozen.communicate(timeout=60)
    assert frozen.returncode != 0, out
    assert "was broken while this run held it" in " ".join((out + err).split())
    assert (platform.everything(), platform.writes) == (before, writes)
    assert not any(secret in out + err for secret in SECRETS)
    assert "No changes" in bot("plan", "--env", "production", **shared.environ).words


def test_a_bucket_that_is_lost_while_something_is_made(
    bot: Any, platform: Any, s3_environ: dict[str, str], s3_wire: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told what was done by then, and which lock stays; who follows that finds nothing made twice."""

    def lose_the_bucket() -> None:
        s3_wire.renew()
        s3_wire.nth_write(0, deliver=False, and_then_dead=True)

    monkeypatch.setattr(remote, "TRIES", 2)
    declare(bot, Shared(lambda _: f"s3://states/{uuid.uuid4().hex}", {}))
    platform.meanwhile("POST", "/projects", lose_the_bucket)
    cut = bot("apply", "--yes", "--env", "production", code=1, **{**s3_environ, "AWS_ENDPOINT_URL": s3_wire.url})
    assert platform.projects()
    assert "cannot be written: " in cut.words
    assert "0 of 5 steps were done by then, and what was under way may be" in cut.words
    assert (
        "hint: run again when it can be reached; what is in doubt is looked for then; the lock may be held" in cut.words
    )
    bot("state", "unlock", lock_shown(cut), "--env", "production", **s3_environ)
    bot("apply", "--yes", "--env", "production", **s3_environ)
    assert "No changes. 5 resources" in bot("plan", "--env", "production", **s3_environ).words
    assert [len(platform.pipelines("bot")), len(platform.tests("bot"))] == [2, 2]
    assert platform.writes.count(("POST", "/projects")) == 1


def test_the_operator_says_where_states_are_when_no_environment_does(
    bot: Any, platform: Any, s3_environ: dict[str, str], tmp_path: Path
) -> None:
    prefix = f"s3://states/{uuid.uuid4().hex}"
    environ = {**s3_environ, "RECONCILER_STATE_URL": prefix}
    bot("apply", "--yes", **environ)
    assert f"{prefix}/default" in bot("doctor", **environ).words
    assert not (tmp_path / ".reconciler").exists()
    bot("apply", "--yes", "--env", "local", **environ)
    assert (tmp_path / ".reconciler" / "local.state.json").exists()
    assert platform.projects().keys() == {"bot"}


def test_a_manifest_can_not_send_credentials_to_another_server(
    bot: Any, terraform_server: Any, terraform_environ: dict[str, str]
) -> None:
    """As in a pull request that changes state.url."""
    stranger = type(terraform_server)()
    try:
        declare(bot, Shared(lambda name: f"{stranger.url}/states/{name}", {}))
        for command in (["plan"], ["apply", "--yes"], ["doctor"], ["state", "list"]):
            refused = bot(*command, "--env", "production", code=1, **terraform_environ)
            assert f"does not vouch for {stranger.url}" in refused.words
            assert STATE_PASSWORD not in refused.text
        assert stranger.seen == []
    finally:
        stranger.close()


@pytest.mark.parametrize("url", ["https://ann:canary-pw@state.example/x", "https://state.example/x?token=canary-pw"])
def test_a_credential_in_a_manifest_is_refused_and_not_repeated(bot: Any, url: str) -> None:
    declare(bot, Shared(lambda _: url, {}))
    refused = bot("validate", code=1)
    assert "production.yaml:6" in refused.words
    assert "state.url" in refused.words
    assert "canary-pw" not in refused.text


def test_the_environment_local_stays_here(bot: Any) -> None:
    declare(bot, Shared(lambda _: "s3://states/x", {}), "local")
    assert "keeps its state in a folder" in bot("apply", "--yes", "--env", "local", code=1).words


def test_a_saved_plan_is_applied_by_another_runner_once(bot: Any, platform: Any, shared: Shared) -> None:
    declare(bot, shared)
    bot("plan", "--out", "plan.json", "--env", "production", **shared.environ)
    text = (bot.folder / "plan.json").read_text()
    assert not any(secret in text for secret in SECRETS)
    assert json.loads(text)["summary"]["create"] == 5
    bot("apply", "--yes", "--plan", "plan.json", **shared.environ)
    refused = bot("apply", "--yes", "--plan", "plan.json", code=6, **shared.environ)
    assert "applied already" in refused.words
    assert len(platform.tests("bot")) == 2


def test_a_lock_that_can_not_be_freed_hides_nothing(
    bot: Any, platform: Any, terraform_wire: Any, terraform_environ: dict[str, str]
) -> None:
    """What was done is told as always, and then what went wrong: the next run would be kept waiting."""
    there = {**terraform_environ, "RECONCILER_STATE_ORIGIN": terraform_wire.url}
    bot.environ |= {**there, "RECONCILER_STATE_URL": f"{terraform_wire.url}/states/{uuid.uuid4().hex}"}
    terraform_wire.next("UNLOCK", deliver=False, answer=403)
    ended = bot("apply", "--yes", code=1)
    assert "Apply: 5 done." in ended.out
    assert "UNLOCK is not allowed (403)" in ended.err
    assert ended.err.index("reading back") < ended.err.index("UNLOCK")
    assert set(platform.projects()) == {"bot"}
    assert "another run holds the lock" in bot("apply", "--yes", code=6).words
