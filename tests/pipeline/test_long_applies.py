"""What an apply reads while it creates much: nothing that it knows, and no create waits for what is read again.

In virtual time: every write takes a while, every read is there at once.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from starlette.types import Message, Receive, Scope, Send

from reconciler.applying.creating import GREATEST_AGE_S
from reconciler.emulator.app import create_app
from reconciler.model.outcome import StepStatus
from reconciler.model.state import State
from reconciler.model.values import Secret
from reconciler.pipeline.applying import Applied, apply
from reconciler.pipeline.session import Hooks, Request, session
from reconciler.providers import VENDORS
from reconciler.providers.http import RestProvider
from reconciler.settings import Settings
from reconciler.storage.file import FileStore
from tests.virtual_time import VirtualClock

KEY = "canary-key-long"


class Platform(VirtualClock):
    """The emulator, where each write takes ``write_s`` of its own time.  ``requests`` tells what came when."""

    def __init__(self, write_s: float) -> None:
        super().__init__()
        self.app = create_app(":memory:")
        self.write_s = write_s
        self.rewrites = ""
        self.requests: list[tuple[float, str, str]] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.requests.append((self.passed, scope["method"], scope["path"]))
        if scope["method"] != "GET":
            self.passed += self.write_s
        await self.app(scope, self.rewriting(receive) if scope["path"].endswith("/tests") else receive, send)

    def rewriting(self, receive: Receive) -> Receive:
        """Let tests of the name ``rewrites`` come out with another threshold than was sent."""

        async def received() -> Message:
            message = await receive()
            if self.rewrites and self.rewrites.encode() in message["body"]:
                message["body"] = message["body"].replace(b'"value":1', b'"value":2')
            return message

        return received

    def listed_again(self) -> Counter[str]:
        """How often each path was listed between the very first write and the last create there."""
        posts = {path: number for number, (_, method, path) in enumerate(self.requests) if method == "POST"}
        first = next(number for number, (_, method, _) in enumerate(self.requests) if method != "GET")
        return Counter(
            path
            for number, (_, method, path) in enumerate(self.requests)
            if method == "GET" and first < number < posts.get(path, 0)
        )


@pytest.fixture
def platform() -> Iterator[Platform]:
    made = Platform(write_s=0.1)
    yield made
    made.app.state.database.close()


def declare(root: Path, name: str, tests: int) -> None:
    threshold = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 1}
    test = {"type": "integrity", "subtype": "rowCount", "thresholds": [threshold]}
    document = {
        "apiVersion": "openlayer/v1",
        "kind": "Project",
        "metadata": {"name": name},
        "spec": {"taskType": "llm-base", "tests": [{"name": f"test {number}", **test} for number in range(tests)]},
    }
    (root / f"{name}.yaml").write_text(json.dumps(document), encoding="utf-8")


def run(root: Path, platform: Platform, parallelism: int = 4) -> Applied:
    async def whole() -> Applied:
        environ = {"OPENLAYER_BASE_URL": "http://platform.invalid/v1", "OPENLAYER_API_KEY": KEY}
        request = Request(root=root, parallelism=parallelism)
        async with session(request, Settings.from_environ(environ), Hooks()) as here:
            here.clock = platform
            here.providers["openlayer"] = RestProvider(
                VENDORS[0],
                base_url="http://platform.invalid/v1",
                credential=Secret(KEY),
                clock=platform,
                transport=httpx.ASGITransport(app=platform),
                parallelism=parallelism,
            )
            return await apply(here)

    return asyncio.run(whole())


def remembered(root: Path) -> State:
    return FileStore(root / ".reconciler", "default", now=lambda: datetime.now(UTC)).load()


def test_a_new_project_is_filled_right_after_it_was_made_and_never_looked_into(
    tmp_path: Path, platform: Platform
) -> None:
    """Half a minute of creates: only the list of the projects is read again, every few seconds."""
    for number in range(30):
        declare(tmp_path, f"project {number:02}", tests=9)
    applied = run(tmp_path, platform)
    assert {outcome.status for outcome in applied.outcomes} == {StepStatus.DONE}
    assert platform.passed == pytest.approx(30)
    listed = platform.listed_again()
    assert listed.keys() == {"/v1/projects"}
    assert 3 <= listed["/v1/projects"] <= 6


def test_a_large_project_is_listed_once_for_all_creates_of_some_seconds(tmp_path: Path, platform: Platform) -> None:
    declare(tmp_path, "project", tests=1)
    run(tmp_path, platform)
    platform.requests.clear()
    declare(tmp_path, "project", tests=251)
    assert len(run(tmp_path, platform).outcomes) == 250
    listed = platform.listed_again()
    assert len(listed) == 1
    assert 3 <= listed.total() <= 10  # 25 s, of up to three pages


def test_the_next_project_is_listed_before_its_creates_have_their_turn(tmp_path: Path, platform: Platform) -> None:
    """Each project is listed once, before its creates begin; only the first ones rest on the lists of the plan."""
    for number in range(10):
        declare(tmp_path, f"project {number}", tests=1)
    run(tmp_path, platform)
    platform.requests.clear()
    for number in range(10):
        declare(tmp_path, f"project {number}", tests=17)
    run(tmp_path, platform)
    listed = platform.listed_again()
    assert 5 <= len(listed) <= 8
    assert set(listed.values()) == {1}
    began = min(at for at, method, _ in platform.requests if method == "POST")
    first = {path: at for at, method, path in reversed(platform.requests) if method == "POST"}
    read = {path: at for at, method, path in reversed(platform.requests) if method == "GET" and at > began}
    late = [path for path in first if first[path] > began + GREATEST_AGE_S]
    assert len(late) >= 2
    assert all(read[path] <= first[path] for path in late)


def test_a_project_is_read_back_while_others_are_filled(tmp_path: Path, platform: Platform) -> None:
    """Everything is read back once; after the last write only what was written in the last moments."""
    for number in range(20):
        declare(tmp_path, f"project {number:02}", tests=9)
    applied = run(tmp_path, platform)
    assert applied.unsettled == ()
    last = max(number for number, (_, method, _) in enumerate(platform.requests) if method != "GET")
    inside = [path for _, method, path in platform.requests if method == "GET" and path.endswith("/tests")]
    assert len(inside) == len(set(inside)) == 20
    at_the_end = [path for _, _, path in platform.requests[last + 1 :] if path.endswith("/tests")]
    assert 1 <= len(at_the_end) <= 4
    assert not any(entry.unlisted for entry in remembered(tmp_path).entries.values())


def test_what_was_read_back_early_and_has_not_come_out_is_told(tmp_path: Path, platform: Platform) -> None:
    """Somebody else changes a test of the first project right after it was made."""
    for number in range(20):
        declare(tmp_path, f"project {number:02}", tests=9)
    platform.rewrites = "test 3"
    applied = run(tmp_path, platform)
    assert len(applied.unsettled) == 20
    assert applied.unsettled[0].startswith("openlayer.Test/project 00/monitoring/test 3: thresholds.0.value came back")
    assert run(tmp_path, platform).outcomes != ()


def test_of_what_was_only_archived_one_list_tells(tmp_path: Path, platform: Platform) -> None:
    declare(tmp_path, "project", tests=3)
    run(tmp_path, platform)
    platform.requests.clear()
    declare(tmp_path, "project", tests=1)
    applied = run(tmp_path, platform)
    assert [outcome.status for outcome in applied.outcomes] == [StepStatus.DONE] * 2
    last = max(number for number, (_, method, _) in enumerate(platform.requests) if method != "GET")
    read = [path.rpartition("/")[2] for _, _, path in platform.requests[last + 1 :] if "background-tasks" not in path]
    assert read == ["tests"]


def test_the_lists_of_roots_are_asked_for_once_at_the_end_and_what_is_left_in_them_after(
    tmp_path: Path, platform: Platform
) -> None:
    for number in range(3):
        declare(tmp_path, f"project {number}", tests=1)
    run(tmp_path, platform)
    last = max(number for number, (_, method, _) in enumerate(platform.requests) if method != "GET")
    read = [path.rpartition("/")[2] for _, _, path in platform.requests[last + 1 :]]
    assert read[0] == "projects"
    assert Counter(read) == {"projects": 1, "inference-pipelines": 3, "tests": 3}
