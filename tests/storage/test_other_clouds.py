"""Google's and Azure's buckets, as far as their wire can be told from here: the real library against small stand-ins.

The stand-ins know objects, versions and conditions, and nothing of signatures: sources are Google's "XML API" pages on
request preconditions and Azure's "Specifying conditional headers for Blob service operations", 2026-11.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from reconciler.errors import LockHeld, SettingsInvalid, StateUnreadable
from reconciler.model.places import parse_place
from reconciler.model.state import Record, State
from reconciler.storage.object_store import ObjectStateStore

DONE: Record = {"record": "done", "address": "openlayer.Project/bot", "entry": {"remote_id": "p1"}}
MODIFIED = {"Last-Modified": "Sun, 22 Nov 2026 12:00:00 GMT"}


class Cloud:
    """Objects with versions, behind either vendor's headers.  ``lawless``: conditions are ignored."""

    def __init__(self, vendor: str, served: Any) -> None:
        self.vendor = vendor
        self.objects: dict[str, tuple[int, bytes]] = {}
        self.lawless = False
        self.conditions: list[str] = []
        self._versions = 1_795_000_000_000_000  # at Google a time in microseconds
        outer = self

        class Server(served):  # type: ignore[misc]
            def handle(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
                return outer.answer(method, path, {name.lower(): value for name, value in headers.items()}, body)

        self.server = Server()

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> Any:
        parts = urlsplit(path)
        key, query = unquote(parts.path), parse_qs(parts.query)
        if "list-type" in query or query.get("comp") == ["list"]:
            return 200, {"Content-Type": "application/xml"}, self._listed()
        if method in ("GET", "HEAD"):
            if key not in self.objects:
                return 404, {}, b"<Error><Code>NoSuchKey</Code></Error>"
            version, content = self.objects[key]
            return 200, {**MODIFIED, **self._told(version)}, content
        if method == "PUT":
            if self._is_refused(key, headers):
                return (412 if self.vendor == "gs" or "if-match" in headers else 409), {}, b""
            self._versions += 1
            self.objects[key] = (self._versions, body)
            return (200 if self.vendor == "gs" else 201), {**MODIFIED, **self._told(self._versions)}, b""
        return 404, {}, b""

    def _told(self, version: int) -> dict[str, str]:
        return {"ETag": f'"{version:#x}"', **({"x-goog-generation": str(version)} if self.vendor == "gs" else {})}

    def _is_refused(self, key: str, headers: dict[str, str]) -> bool:
        there = self.objects.get(key, (0, b""))[0]
        if self.vendor == "gs":
            condition = headers.get("x-goog-if-generation-match", "")
            self.conditions.append(condition)
            return not self.lawless and condition != "" and int(condition) != there
        condition = headers.get("if-none-match") or headers.get("if-match", "")
        self.conditions.append(condition)
        return not self.lawless and (there != 0 if condition == "*" else condition != self._told(there)["ETag"])

    def _listed(self) -> bytes:
        if self.vendor == "gs":
            return b"<ListBucketResult><IsTruncated>false</IsTruncated></ListBucketResult>"
        return b"<EnumerationResults><Blobs></Blobs><NextMarker/></EnumerationResults>"


@pytest.fixture(params=["gs", "az"])
def cloud(
    request: pytest.FixtureRequest, terraform_server: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Any]:
    """A stand-in, and ``open`` that gives a new store on it, as another run would."""
    made: Any = Cloud(request.param, type(terraform_server).__mro__[1])
    environ = {"RECONCILER_ALLOW_HTTP": "1"}
    if request.param == "gs":
        account = {"gcs_base_url": made.server.url, "disable_oauth": True, "client_email": "", "private_key": "",
                   "private_key_id": ""}  # fmt: skip
        (tmp_path / "account.json").write_text(json.dumps(account))
        monkeypatch.setenv("GOOGLE_SERVICE_ACCOUNT", str(tmp_path / "account.json"))
        monkeypatch.setenv("GOOGLE_ALLOW_HTTP", "true")
    else:
        environ = {"AZURE_STORAGE_ENDPOINT": made.server.url}
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "evals")
        monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "Y2FuYXJ5LWF6dXJlLWtleQ==")

    def opener() -> ObjectStateStore:
        place = parse_place(f"{request.param}://states/evals")
        now = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)
        return ObjectStateStore(place, "production", environ=environ, now=lambda: now, pause=lambda _: None)

    made.open = opener
    yield made
    made.server.close()


def test_a_run_and_its_successor(cloud: Any) -> None:
    """Every write carries a condition: the version it replaces, or that there is none."""
    store = cloud.open()
    assert store.load() == State()
    with store.lock("apply") as holder:
        store.append([DONE])
        written = store.commit(store.load())
        with pytest.raises(LockHeld, match=holder.lock_id):
            cloud.open().lock("apply").__enter__()
    assert cloud.open().load() == written
    assert "" not in cloud.conditions


def test_a_holder_whose_lock_was_broken_is_fenced(cloud: Any) -> None:
    old, new = cloud.open(), cloud.open()
    with old.lock("apply") as holder:
        cloud.open().unlock(holder.lock_id)
        with new.lock("apply"):
            with pytest.raises(StateUnreadable, match="was broken"):
                old.append([DONE])
            new.append([DONE])
    assert len(cloud.open().load().entries) == 1


def test_a_server_that_ignores_conditions_is_refused(cloud: Any) -> None:
    cloud.lawless = True
    with pytest.raises(SettingsInvalid, match="ignores conditional writes"), cloud.open().lock("apply"):
        pass
    assert not any(key.endswith("head.jsonl") for key in cloud.objects)
