"""The example of a team's repository: its workflows run step by step, over states in a bucket, on two platforms."""

from __future__ import annotations

import re
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.emulator.app import create_app
from reconciler.emulator.server import running
from tests.by_hand import ask
from tests.ci.conftest import KEY, ROOT, Job, commit, git, job, pull_request
from tests.forge.conftest import Forge

Doc = dict[str, Any]
ENVIRONMENTS = ("staging", "production")
BOT = "projects/support-bot.yaml"


@dataclass
class Team:
    """The repository at its default branch, an account at the platform for each environment, and one pull request."""

    checkout: Path
    temp: Path
    tools: str
    environ: dict[str, str]
    platforms: dict[str, str]
    forge: Forge
    logs: list[str] = field(default_factory=list)

    def run(self, file: str, name: str, environment: str, event_name: str, event: Doc, **inputs: str) -> Job:
        """One job of a workflow, in a matrix about one environment, with the secrets that its event has."""
        trusted = event_name != "pull_request" or event == pull_request()
        secrets = {f"OPENLAYER_API_KEY_{each.upper()}": KEY for each in ENVIRONMENTS} if trusted else {}
        environ = {
            "OPENLAYER_BASE_URL": self.platforms[environment],
            "GITHUB_API_URL": self.forge.url,
            **(self.environ if trusted else {}),
        }
        made = job(self.checkout, self.temp, self.tools, event_name, event, environ)
        made.contexts |= {"secrets": secrets, "inputs": inputs, "matrix": {"environment": environment}}
        told = yaml.safe_load((self.checkout / ".github/workflows" / file).read_text(encoding="utf-8"))["jobs"][name]
        done = made.run(told["steps"], told.get("env"))
        self.logs.append(done.log)
        return done

    def merge(self, environment: str, **inputs: str) -> Job:
        """The job of ``merge.yml`` about an environment."""
        event = "workflow_dispatch" if inputs else "push"
        return self.run("merge.yml", environment, environment, event, {}, **inputs)

    def plan(self, environment: str, of: str = "acme/bots") -> Job:
        return self.run("pr.yml", "plan", environment, "pull_request", pull_request(of))

    def night(self, environment: str) -> Job:
        return self.run("drift.yml", "drift", environment, "schedule", {})

    def by_hand(self, *arguments: str, environment: str) -> str:
        """A command at somebody's desk."""
        done = subprocess.run(
            ["reconciler", *arguments, "--env", environment],
            cwd=self.checkout,
            env={
                "PATH": self.tools, "PYTHONPATH": str(ROOT), **self.environ,
                "OPENLAYER_BASE_URL": self.platforms[environment],
                f"OPENLAYER_API_KEY_{environment.upper()}": KEY,
            },
            capture_output=True, text=True, stdin=subprocess.DEVNULL, timeout=120,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def edit(self, name: str, old: str, new: str) -> None:
        text = (self.checkout / name).read_text(encoding="utf-8")
        assert text.count(old) == 1
        (self.checkout / name).write_text(text.replace(old, new), encoding="utf-8")

    def api(self, environment: str, method: str, path: str, body: object = None) -> Any:
        return ask(method, self.platforms[environment] + path, KEY, body)

    def bootstrap(self, environment: str) -> None:
        """As the README says: applied once, and then there is traffic; one answer in twenty is not the approved one."""
        self.by_hand("apply", "--yes", environment=environment)
        now = time.time()
        for project in self.api(environment, "GET", "/projects")["items"]:
            path = f"/projects/{project['id']}/inference-pipelines"
            pipeline = self.api(environment, "GET", path)["items"][0]["id"]
            rows = [
                {"answer": "no" if number == 0 else "yes", "approved": "yes", "ms": 900, "at": int(at)}
                for at in (now - 86_400, now)
                for number in range(20)
            ]
            columns = {"outputColumnName": "answer", "groundTruthColumnName": "approved", "latencyColumnName": "ms"}
            body = {"config": {**columns, "timestampColumnName": "at"}, "rows": rows}
            self.api(environment, "POST", f"/inference-pipelines/{pipeline}/data-stream", body)

    def threshold(self, environment: str) -> float:
        """Of the protected test, as the platform has it."""
        projects = {each["name"]: each["id"] for each in self.api(environment, "GET", "/projects")["items"]}
        tests = self.api(environment, "GET", f"/projects/{projects['support-bot']}/tests")["items"]
        found = next(test for test in tests if test["name"] == "Answers are as approved")
        return float(found["thresholds"][0]["value"])


@pytest.fixture
def team(tmp_path: Path, tools: str, forge: Forge, s3_url: str, s3_environ: Mapping[str, str]) -> Iterator[Team]:
    """The manifests are taken as they are, with the state in the bucket that they name."""
    checkout = tmp_path / "checkout"
    shutil.copytree(ROOT / "examples/gitops", checkout, ignore=shutil.ignore_patterns(".reconciler"))
    git(checkout, "init", "-q", "-b", "main")
    commit(checkout, "one")
    git(checkout, "clone", "-q", "--bare", ".", str(tmp_path / "origin"))
    git(checkout, "remote", "add", "origin", str(tmp_path / "origin"))
    _empty_bucket(s3_url, s3_environ)
    apps = {environment: create_app(api_key=KEY) for environment in ENVIRONMENTS}
    with running(apps["staging"]) as staging, running(apps["production"]) as production:
        platforms = {"staging": f"{staging}/v1", "production": f"{production}/v1"}
        yield Team(checkout, tmp_path / "temp", tools, dict(s3_environ), platforms, forge)
    for app in apps.values():
        app.state.database.close()


def _empty_bucket(url: str, environ: Mapping[str, str]) -> None:
    """The bucket of the example, new."""
    import boto3  # type: ignore[import-untyped]

    s3 = boto3.resource(
        "s3",
        endpoint_url=url,
        region_name=environ["AWS_REGION"],
        aws_access_key_id=environ["AWS_ACCESS_KEY_ID"],
        aws_secret_access_key=environ["AWS_SECRET_ACCESS_KEY"],
    )
    bucket = s3.create_bucket(Bucket="acme-evaluations")
    bucket.objects.all().delete()
    s3.meta.client.close()


def test_a_merge_goes_through_staging_to_production(team: Team) -> None:
    """Resources of the same names in two accounts, two states in one bucket, no state in the checkout."""
    for environment in ENVIRONMENTS:
        team.bootstrap(environment)
    team.edit("projects/returns-bot.yaml", "value: 4000}", "value: 3000}")
    for environment in ENVIRONMENTS:
        merged = team.merge(environment)
        assert not merged.failed, merged.log
        assert "Apply: 1 done.  (1 updated)" in merged.log
    assert [path for path in (team.checkout / ".reconciler").iterdir() if "state" in path.name] == []
    assert all(KEY not in log for log in team.logs)


def test_production_loosens_on_agreement_and_never_past_a_pin(team: Team) -> None:
    """0.86 would no longer flag the incident of 0.8624; 0.88 would."""
    team.bootstrap("production")
    team.edit(BOT, "value: 0.9}", "value: 0.86}")
    assert team.plan("production").failed
    assert "incident-812" in team.forge.bodies("ci-bot")[0]
    pinned = team.merge("production", acknowledge="--ack loosen=1")
    assert pinned.failed
    assert "pins/incident-812.yaml" in pinned.log
    team.edit(BOT, "value: 0.86}", "value: 0.88}")
    refused = team.merge("production")
    assert refused.failed
    assert "--ack loosen=1" in refused.log
    assert team.threshold("production") == 0.9
    assert not team.merge("production", acknowledge="--ack loosen=1").failed
    assert team.threshold("production") == 0.88


def test_what_fails_its_gate_in_production_is_put_back_and_nights_look_for_hands(team: Team) -> None:
    team.bootstrap("production")
    team.edit(BOT, "value: 0.9}", "value: 0.99}")
    failed = team.merge("production")
    assert failed.failed
    assert "rolled back" in failed.log.lower()
    assert "Answers are as approved" in failed.summary
    assert team.threshold("production") == 0.9
    git(team.checkout, "checkout", "-q", ".")
    team.by_hand("drift", environment="production")
    team.by_hand("evaluate", "--overwrite", environment="production")
    project = team.api("production", "GET", "/projects")["items"][0]["id"]
    test = team.api("production", "GET", f"/projects/{project}/tests")["items"][0]
    team.api("production", "PUT", f"/projects/{project}/tests", {"payloads": [{"id": test["id"], "name": "By hand"}]})
    found = team.night("production")
    assert found.failed
    assert "By hand" in found.log
    assert "6 passed, 1 warned, 0 failed" in found.log  # judged all the same


def test_a_fork_sees_its_mistakes_and_the_pin_with_neither_key_nor_state(team: Team) -> None:
    git(team.checkout, "checkout", "-q", "-b", "change")
    stranger = pull_request("stranger/evaluations")
    team.edit(BOT, "severity: warn", "severity: warning")
    done = team.run("pr.yml", "validate", "staging", "pull_request", stranger)
    assert done.failed
    assert "::error file=projects/support-bot.yaml,line=21" in done.log
    git(team.checkout, "checkout", "-q", ".")
    team.edit(BOT, "value: 0.9}", "value: 0.86}")
    shown = team.plan("production", of="stranger/evaluations")
    assert shown.failed
    assert "incident-812" in shown.summary
    assert "LOOSENED" in shown.log
    assert team.forge.seen == []
    assert [uses for uses in shown.used if "credentials" in uses] == []
    assert not team.plan("staging", of="stranger/evaluations").failed


def test_hooks_of_the_example_are_ours() -> None:
    """And are pinned by the same commit as the action."""
    hooks = {each["id"] for each in yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8"))}
    used = yaml.safe_load((ROOT / "examples/gitops/.pre-commit-config.yaml").read_text(encoding="utf-8"))
    assert {each["id"] for each in used["repos"][0]["hooks"]} == hooks
    workflows = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "examples/gitops/.github").rglob("*.yml"))
    assert set(re.findall(r"reconciler-dev/reconciler@(\S+) # main", workflows)) == {used["repos"][0]["rev"]}
