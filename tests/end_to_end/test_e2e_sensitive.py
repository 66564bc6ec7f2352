"""A field marked SENSITIVE: its value reaches the platform, and nothing else.  With a kind that only the tests have."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tests.hooks import Hooks

Doc = dict[str, Any]
CHECKOUT = Path(__file__).resolve().parents[2]
ADDRESS = "openlayer.Hook/on-call"
NOT_SHOWN = "(sensitive, not shown)"
CANARIES = ("canary", "77.25", "78.5")
"""What stands in every sensitive value."""
NOON = datetime(2026, 11, 10, 12, tzinfo=UTC).timestamp()
TRY = ("apply", "--yes", "--evaluate", "--rollback", "--from", "2026-11-10", "--to", "2026-11-11")


def hook(**fields: Any) -> Doc:
    return {"description": "Who listens", **fields}


SECRETS: Doc = {
    "secret": "canary-secret",
    "token": "canary-token",
    "words": ["canary-a", "canary-b"],
    "retry": {"attempts": 3, "pin": 77.25, "login": {"user": "bob", "password": "canary-password"}},
    "targets": [
        {"name": "one", "url": "https://one.example.com", "code": "canary-one"},
        {"name": "two", "url": "https://two.example.com", "code": "canary-two"},
    ],
}
CHANGED: Doc = {
    "secret": "canary-secret-2",
    "token": "canary-token-2",
    "words": ["canary-a", "canary-c"],
    "retry": {"attempts": 3, "pin": 78.5, "login": {"user": "bob", "password": "canary-password-2"}},
    "targets": [
        {"name": "one", "url": "https://one.example.com", "code": "canary-one-2"},
        {"name": "two", "url": "https://two.example.com", "code": "canary-two"},
    ],
}


@dataclass
class Desk:
    """The command line with hooks, in a folder of its own; nothing that it writes or prints may hold a secret."""

    folder: Path
    environ: dict[str, str]
    hooks: Hooks
    said: list[str] = field(default_factory=list)

    def __call__(self, *arguments: str, code: int = 0) -> str:
        """What a command prints."""
        environ = {**os.environ, **self.environ, "PYTHONPATH": str(CHECKOUT), "CI": ""}
        command = [sys.executable, "-m", "tests.hooks", *arguments]
        ended = subprocess.run(command, cwd=self.folder, env=environ, capture_output=True, text=True, check=False)
        text = ended.stdout + ended.stderr
        assert ended.returncode == code, f"exit {ended.returncode}\n{text}"
        assert "Traceback" not in text
        self.said.append(text)
        assert leaks(text) == []
        assert self.leaking() == []
        assert self.hooks.found == []  # nor did the journal, while a request was under way
        return ended.stdout if code in (0, 2) and not ended.stderr.startswith("Error") else text

    def leaking(self) -> list[Path]:
        """The files beside the manifest that hold a secret."""
        there = [path for path in self.folder.rglob("*") if path.is_file() and path.name != "hook.yaml"]
        return [path for path in there if leaks(path.read_bytes().decode(errors="replace"))]

    def wants(self, fields: Doc | None, **metadata: Any) -> None:
        """Let the manifest ask for a hook with these fields, or for none; and for a bot."""
        document = {"apiVersion": "openlayer/v1", "kind": "Hook", "metadata": {"name": "on-call", **metadata}}
        text = json.dumps({**document, "spec": fields}) if fields is not None else "# none\n"
        (self.folder / "hook.yaml").write_text(text)

    def plan(self, *more: str) -> Doc:
        """The step about the hook."""
        found = [s for s in json.loads(self("plan", "--format", "json", *more))["steps"] if s["address"] == ADDRESS]
        return found[0] if found else {}

    def changes(self) -> list[tuple[str, Any, Any, bool]]:
        return [(c["path"], c["before"], c["after"], c["sensitive"]) for c in self.plan().get("changes", ())]

    def entry(self) -> Doc:
        state = json.loads((self.folder / ".reconciler" / "default.state.json").read_text())
        return dict(state["entries"][ADDRESS])


def leaks(text: str) -> list[str]:
    return [each for each in CANARIES if each in text]


@pytest.fixture
def desk(cli: Any, platform: Any, make_project: Any) -> Desk:
    platform.door = hooks = Hooks(platform.door)
    made = Desk(cli.folder, {**cli.environ, "RECONCILER_CACHE": str(cli.folder / "cache")}, hooks)
    cli.write("bot.yaml", make_project("bot", 1, more="  pipelines: [{name: live}]\n"))
    made.wants(hook(**SECRETS))
    hooks.look = made.leaking
    return made


def test_a_create_sends_values_and_shows_none(desk: Desk) -> None:
    """In every form of a plan; the rest of a part is shown."""
    step = {c["path"]: c for c in desk.plan()["changes"]}
    assert [(name, step[name]["after"], step[name]["sensitive"]) for name in ("secret", "token", "words")] == [
        ("secret", None, True),
        ("token", None, True),
        ("words", None, True),
    ]
    login = {"user": "bob", "password": NOT_SHOWN}
    assert step["retry"]["after"] == {"attempts": 3, "pin": NOT_SHOWN, "login": login}
    assert step["targets"]["after"][0] == {"name": "one", "url": "https://one.example.com", "code": NOT_SHOWN}
    text = desk("plan", "-v")
    assert f"secret: {NOT_SHOWN}" in text
    assert f"retry.login.password: {NOT_SHOWN}" in text
    for form in ("markdown", "html", "github"):
        desk("plan", "--format", form)
    desk("plan", "--out", "plan.json")
    desk("apply", "--plan", "plan.json", "--yes", "--events", "events.ndjson", "-v")
    assert {name: desk.hooks.one[name] for name in SECRETS} == SECRETS
    assert desk.plan() == {}


def test_the_state_keeps_a_digest(desk: Desk) -> None:
    """Marked as one, the same for the same value, and shown to nobody."""
    desk("apply", "--yes")
    applied = desk.entry()["applied"]
    digests = [applied["secret"], applied["token"], applied["words"], applied["retry"]["pin"],
               applied["retry"]["login"]["password"], *(each["code"] for each in applied["targets"])]  # fmt: skip
    assert all(each.startswith("sensitive:sha256:") and len(each) == 81 for each in digests)
    assert len(set(digests)) == len(digests)
    assert applied["retry"]["attempts"] == 3
    shown = desk("state", "show", ADDRESS)
    assert json.loads(shown)["applied"]["secret"] == NOT_SHOWN
    desk("state", "list", "--format", "json")


def test_an_update_says_what_changes_and_sends_it(desk: Desk) -> None:
    """What the platform shows and what it does not, at every depth; another order of a set is no change."""
    desk("apply", "--yes")
    desk.wants(hook(**{**SECRETS, "words": ["canary-b", "canary-a"], "retry": {**SECRETS["retry"], "pin": 77.250}}))
    assert desk.changes() == []
    desk.wants(hook(**CHANGED))
    assert desk.changes() == [
        ("secret", None, None, True),
        ("token", None, None, True),
        ("words", None, None, True),
        ("retry.pin", None, None, True),
        ("retry.login.password", None, None, True),
        ("targets.0.code", None, None, True),
    ]
    assert f"retry.login.password: {NOT_SHOWN}" in desk("plan")
    desk("apply", "--yes")
    assert {name: desk.hooks.one[name] for name in CHANGED} == CHANGED
    assert desk.plan() == {}


def test_a_part_that_goes_or_an_item_that_comes_is_masked(desk: Desk) -> None:
    desk("apply", "--yes")
    new = {"name": "three", "url": None, "code": "canary-three"}
    desk.wants(hook(**{**SECRETS, "retry": None, "targets": [*SECRETS["targets"], new]}))
    assert desk.changes() == [
        ("retry", {"attempts": 3, "pin": NOT_SHOWN, "login": {"user": "bob"}}, None, False),
        ("targets.2", None, {**new, "code": NOT_SHOWN}, False),
    ]
    desk("plan", "-v")
    desk("apply", "--yes")
    assert (desk.hooks.one["retry"], desk.hooks.one["targets"][2]) == (None, new)


def test_a_change_beside_a_secret_sends_it_along(desk: Desk) -> None:
    """A part is sent as a whole: with the value, never with what stands for it."""
    desk("apply", "--yes")
    desk.wants(hook(**{**SECRETS, "retry": {**SECRETS["retry"], "attempts": 4}}))
    assert desk.changes() == [("retry.attempts", 3, 4, False)]
    desk("apply", "--yes")
    assert desk.hooks.one["retry"] == {**SECRETS["retry"], "attempts": 4}
    assert not [each for each in desk.hooks.bodies if "sensitive" in each]


def test_a_rename_changes_no_secret(desk: Desk) -> None:
    desk("apply", "--yes")
    document = json.loads((desk.folder / "hook.yaml").read_text())
    document["metadata"] = {"name": "off-call", "renamedFrom": "on-call"}
    (desk.folder / "hook.yaml").write_text(json.dumps(document))
    (step,) = json.loads(desk("plan", "--format", "json"))["steps"]
    assert [change["path"] for change in step["changes"]] == ["name"]


def test_drift_is_told_and_not_shown(desk: Desk) -> None:
    desk("apply", "--yes")
    desk.hooks.one.update(token="canary-other", retry={"attempts": 3, "pin": 78.5, "login": {"user": "bob"}})
    drift = desk("drift", code=2)
    assert f"token: {NOT_SHOWN}" in drift
    assert f"retry.pin: {NOT_SHOWN}" in drift
    desk("drift", "--format", "json", code=2)


def test_a_removal_shows_nothing(desk: Desk) -> None:
    desk.wants(hook(**SECRETS, lifecycle={"onRemoval": "delete"}))
    desk("apply", "--yes")
    desk.wants(None)
    desk("plan", "-v")
    desk("apply", "--yes")
    assert desk.hooks.there == {}


def test_mistakes_are_told_without_the_value(desk: Desk) -> None:
    """Ours about a manifest, those of the kind's own rules, and the platform's, which repeats what it was sent."""
    retry = {"attempts": 3, "pin": "canary-pin"}
    desk.wants({"secret": ["canary"], "token": "canary-worn", "retry": retry})
    said = desk("validate", code=1)
    assert f"spec.secret: is not valid: expected text {NOT_SHOWN}" in said
    assert f"spec.retry.pin: is not valid: expected a number {NOT_SHOWN}" in said
    desk.wants({"token": "canary-worn"})
    assert f"{NOT_SHOWN} is worn out" in desk("validate", code=1)
    desk.wants(hook(**SECRETS))
    desk.hooks.refuses = True
    assert NOT_SHOWN in desk("apply", "--yes", "--select", ADDRESS, "--events", "events.ndjson", code=4)


def test_an_export_leaves_it_out(desk: Desk) -> None:
    desk("apply", "--yes")
    said = desk("export", "--out", "live", "--adopt")
    assert f"{ADDRESS}: token was left out: it is sensitive" in desk.said[-1] + said
    assert f"{ADDRESS}: retry.pin was left out: it is sensitive" in desk.said[-1]
    written = (desk.folder / "live" / "on-call.yaml").read_text()
    assert "attempts: 3" in written
    assert "sensitive" not in written


def test_large_manifests_with_a_secret_are_not_kept_in_the_cache(desk: Desk) -> None:
    filler = {"description": "long " * 20_000}
    desk.wants({**filler})
    desk("plan")
    assert len(list((desk.folder / "cache").iterdir())) == 1
    desk.wants({**filler, **SECRETS})
    desk("plan")
    assert len(list((desk.folder / "cache").iterdir())) == 1


# ------------------------------------------------------------------------------------------ rolling back


@pytest.fixture
def measured(desk: Desk, platform: Any) -> Desk:
    """Applied, with one row, so that a demand for nine fails its gate."""
    desk("apply", "--yes")
    (pipeline,) = platform.pipelines("bot").values()
    body = {
        "config": {"outputColumnName": "output", "timestampColumnName": "at"},
        "rows": [{"output": "y", "at": NOON}],
    }
    platform.api("POST", f"/inference-pipelines/{pipeline['id']}/data-stream", body)
    path = desk.folder / "bot.yaml"
    path.write_text(path.read_text().replace("value: 1}", "value: 9}"))
    return desk


def test_a_roll_back_says_that_nobody_keeps_the_old_value(measured: Desk) -> None:
    """Everything else is put back; the secret stays as it is now, and no digest is sent."""
    measured.wants(hook(**{**SECRETS, "secret": "canary-new", "description": "Somebody else"}))
    said = measured(*TRY, code=9)
    assert f"cannot be rolled back: {ADDRESS}: nobody keeps the sensitive value of secret" in " ".join(said.split())
    assert "nobody keeps the sensitive value that secret had; it stays as it is now" in " ".join(said.split())
    assert measured.hooks.one["secret"] == "canary-new"
    assert measured.hooks.one["description"] == "Who listens"
    measured.wants(hook(**SECRETS))
    assert measured.changes() == [("secret", None, None, True)]
    assert not [each for each in measured.hooks.bodies if "sensitive" in each]


def test_a_roll_back_leaves_a_part_whose_secret_changed(measured: Desk) -> None:
    measured.wants(hook(**{**CHANGED, "retry": {**CHANGED["retry"], "attempts": 9}}))
    said = " ".join(measured(*TRY, code=9).split())
    assert "that retry.login.password, retry.pin, secret, targets.code, token, words had" in said
    assert {name: measured.hooks.one[name] for name in ("retry", "targets")} == {
        "retry": {**CHANGED["retry"], "attempts": 9},
        "targets": CHANGED["targets"],
    }
    assert not [each for each in measured.hooks.bodies if "sensitive" in each]


def test_a_roll_back_beside_a_secret_that_did_not_change_is_whole(measured: Desk) -> None:
    """The manifests know the value that is sent along."""
    measured.wants(hook(**{**SECRETS, "retry": {**SECRETS["retry"], "attempts": 9}, "targets": SECRETS["targets"][:1]}))
    measured(*TRY, code=9)
    assert measured.hooks.one["retry"] == SECRETS["retry"]
