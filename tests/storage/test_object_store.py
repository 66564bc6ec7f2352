"""States in a bucket: what stands in it, and which servers are refused."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from msgspec.structs import replace

from reconciler.errors import SettingsInvalid, StateUnreadable
from reconciler.model.places import parse_place
from reconciler.model.provider import StateStore
from reconciler.model.state import Record, State
from reconciler.storage.encoding import SIZE_CAP, header_line
from reconciler.storage.object_store import ObjectStateStore


def noon() -> datetime:
    return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


OpenStore = Callable[..., StateStore]
SECRET = "canary-aws-secret-83c2"


def done(number: int, size: int = 0) -> Record:
    entry = {"remote_id": f"id{number}", "applied": {"text": "x" * size}}
    return {"record": "done", "address": f"openlayer.Project/p{number}", "entry": entry}


@pytest.fixture
def bucket(s3_prefix: str, s3_environ: dict[str, str]) -> Iterator[Bucket]:
    """The objects of the environment ``production``, as a person sees and changes them."""
    import boto3  # type: ignore[import-untyped]

    client = boto3.resource("s3", endpoint_url=s3_environ["AWS_ENDPOINT_URL"])
    yield Bucket(client.Bucket("states"), s3_prefix.rpartition("/")[2] + "/production/")
    client.meta.client.close()


class Bucket:
    def __init__(self, bucket: Any, prefix: str) -> None:
        self._bucket, self._prefix = bucket, prefix

    def names(self) -> list[str]:
        found = (item.key.removeprefix(self._prefix) for item in self._bucket.objects.filter(Prefix=self._prefix))
        return sorted(found)

    def get(self, name: str) -> bytes:
        return bytes(self._bucket.Object(self._prefix + name).get()["Body"].read())

    def put(self, name: str, content: bytes) -> None:
        self._bucket.Object(self._prefix + name).put(Body=content)

    def delete(self, name: str) -> None:
        self._bucket.Object(self._prefix + name).delete()


# ------------------------------------------------------------------------------------------ what stands there


def test_looking_leaves_no_trace(open_s3: OpenStore, bucket: Bucket) -> None:
    store = open_s3()
    assert (store.load(), store.holder(), bucket.names()) == (State(), None, [])


def test_the_head_names_the_holder_and_holds_the_journal(open_s3: OpenStore, bucket: Bucket) -> None:
    store = open_s3()
    with store.lock("apply") as holder:
        store.append([done(1)])
        header, record = (json.loads(line)["data"] for line in bucket.get("head.jsonl").splitlines())
    assert header["holder"]["lock_id"] == holder.lock_id
    assert (header["environment"], header["serial"], header["snapshot"]) == ("production", 0, "")
    assert record == done(1)


def test_two_snapshots_are_kept_and_nothing_else(open_s3: OpenStore, bucket: Bucket) -> None:
    store = open_s3()
    with store.lock("apply"):
        for number in range(4):
            store.append([done(number)])
            store.commit(store.load())
    kinds = [name.rpartition("-")[0].rpartition("-")[0] or name for name in bucket.names()]
    assert kinds == ["head.jsonl", "probe", "snapshot-000003", "snapshot-000004"]


def test_a_long_journal_is_put_aside_in_parts_and_read_as_one(open_s3: OpenStore, bucket: Bucket) -> None:
    """The state that a later commit was made from is still the one that counts."""
    store: Any = open_s3()
    store.segment_bytes = 1_000
    with store.lock("apply"):
        start = store.load()
        for number in range(30):
            store.append([done(number, 100)])
        loaded = open_s3().load()
        assert len(loaded.entries) == 30
        assert (loaded.lineage, loaded.serial) == (start.lineage, start.serial)
        assert sum(name.startswith("journal-") for name in bucket.names()) == 6
        written = store.commit(loaded)
    assert open_s3().load() == written
    assert not any(name.startswith("journal-") for name in bucket.names())


def test_the_bytes_sent_grow_with_the_records_and_not_with_their_square(open_s3: OpenStore, s3_wire: Any) -> None:
    def sent(count: int) -> int:
        store: Any = open_s3(f"e{count}", environ={"AWS_ENDPOINT_URL": s3_wire.url})
        store.segment_bytes = 2_000
        with store.lock("apply"):
            s3_wire.renew()
            for number in range(count):
                store.append([done(number, 100)])
            return sum(size for _, _, size in s3_wire.seen)

    twenty, eighty = sent(20), sent(80)
    assert eighty < 6 * twenty, "four times the records; their square would be sixteen times the bytes"


def test_who_reads_while_a_commit_removes_what_it_replaces_reads_again(open_s3: OpenStore, s3_wire: Any) -> None:
    writer: Any = open_s3()
    writer.segment_bytes = 100
    reader = open_s3(environ={"AWS_ENDPOINT_URL": s3_wire.url})
    with writer.lock("apply"):
        writer.append([done(1, 100)])
        s3_wire.next("GET", "journal-", answer="its own", meanwhile=lambda: writer.commit(writer.load()))
        state = reader.load()
    assert (state.serial, len(state.entries)) == (1, 1)


def test_a_missing_snapshot_is_no_empty_state(open_s3: OpenStore, bucket: Bucket) -> None:
    store = open_s3()
    with store.lock("apply"):
        store.commit(State())
    (snapshot,) = (name for name in bucket.names() if name.startswith("snapshot"))
    bucket.delete(snapshot)
    with pytest.raises(StateUnreadable, match=f"{snapshot} is missing") as caught:
        open_s3().load()
    assert caught.value.hint == "restore it from an older version of the bucket"


def test_a_missing_head_is_no_empty_state(open_s3: OpenStore, bucket: Bucket) -> None:
    store = open_s3()
    with store.lock("apply"):
        store.commit(State())
    bucket.delete("head.jsonl")
    with pytest.raises(StateUnreadable, match=r"head.jsonl is gone, but snapshot-000001-\S+ is there"):
        open_s3().load()
    with pytest.raises(StateUnreadable, match="is gone"), open_s3().lock("apply"):
        pass


@pytest.mark.parametrize("part", ["head.jsonl", "snapshot", "journal"])
def test_every_damage_is_noticed(open_s3: OpenStore, bucket: Bucket, part: str) -> None:
    store: Any = open_s3()
    store.segment_bytes = 300
    with store.lock("apply"):
        store.commit(State())
        store.append([done(1, 400)])
        store.append([done(2)])
    (name,) = (name for name in bucket.names() if name.startswith(part))
    content = bucket.get(name)
    for position in range(0, len(content), 97):
        bucket.put(name, content[:position] + bytes([content[position] ^ 1]) + content[position + 1 :])
        with pytest.raises(StateUnreadable, match="production"):
            open_s3().load()
    bucket.put(name, content[: len(content) // 2])
    with pytest.raises(StateUnreadable, match="production"):
        open_s3().load()


def test_a_head_can_not_lead_to_other_objects(open_s3: OpenStore, bucket: Bucket) -> None:
    store: Any = open_s3()
    with store.lock("apply"):
        store.commit(State())
    from reconciler.storage.remote import parse_head

    forged = parse_head(bucket.get("head.jsonl")).next(snapshot="../../other/secrets.json")
    bucket.put("head.jsonl", forged.header())
    with pytest.raises(StateUnreadable, match="which is not one of ours"):
        open_s3().load()


@pytest.mark.simulation
def test_an_enormous_object_is_not_fetched(open_s3: OpenStore, bucket: Bucket) -> None:
    bucket.put("head.jsonl", b" " * (SIZE_CAP + 1))
    with pytest.raises(StateUnreadable, match=f"larger than the {SIZE_CAP:,} bytes"):
        open_s3().load()


@pytest.mark.parametrize("change", [{"snapshot": 7}, {"segments": [None]}, {"segments": 7}, {"holder": {"x": 1}}])
def test_a_forged_head_is_a_sentence(open_s3: OpenStore, bucket: Bucket, change: dict[str, Any]) -> None:
    """With checksums that fit."""
    header = {"environment": "production", "tip": "", "snapshot": "", "former": "", "segments": [], "write": "w"}
    bucket.put("head.jsonl", header_line("", 0, "", **{**header, "holder": None, **change}))
    with pytest.raises(StateUnreadable, match="this is not the head of a state"):
        open_s3().load()


@pytest.mark.simulation
def test_a_journal_has_a_greatest_length(open_s3: OpenStore, bucket: Bucket) -> None:
    store: Any = open_s3()
    store.segment_bytes = SIZE_CAP * 5 // 8
    with store.lock("apply"):
        store.append([done(1, SIZE_CAP * 5 // 8)])
        with pytest.raises(StateUnreadable, match=f"the journal is longer than the {SIZE_CAP:,} bytes"):
            store.append([done(2, SIZE_CAP * 5 // 8)])
    assert len(open_s3().load().entries) == 1
    assert sum(name.startswith("journal-") for name in bucket.names()) == 1


# ------------------------------------------------------------------------------------------ which servers


@pytest.mark.parametrize("header", ["if-none-match", "if-match"])
def test_a_server_that_ignores_conditions_is_refused_before_anything_is_written(
    open_s3: OpenStore, s3_wire: Any, bucket: Bucket, header: str
) -> None:
    s3_wire.stripped = {header}
    for _ in range(2):  # the probe object is there the second time
        store = open_s3(environ={"AWS_ENDPOINT_URL": s3_wire.url})
        with pytest.raises(SettingsInvalid, match="this server ignores conditional writes"), store.lock("apply"):
            pass
    assert bucket.names() == ["probe"]


def test_a_conflict_in_flight_is_tried_again(open_s3: OpenStore, s3_wire: Any) -> None:
    """S3 may answer 409 to a conditional write that meets another one."""
    store = open_s3(environ={"AWS_ENDPOINT_URL": s3_wire.url}, pause=lambda _: None)
    with store.lock("apply"):
        for _ in range(3):
            s3_wire.next("PUT", "head", deliver=False, answer=409)
        store.append([done(1)])
    assert len(open_s3().load().entries) == 1


def test_a_bucket_that_is_not_there_is_no_empty_state(open_s3: OpenStore, s3_environ: dict[str, str]) -> None:
    assert open_s3().load() == State()
    place = parse_place("s3://another-bucket/states")
    store = ObjectStateStore(place, "production", environ=s3_environ, now=noon)
    with pytest.raises(SettingsInvalid, match="s3://another-bucket: there is no such bucket"):
        store.load()


def test_a_commit_that_failed_and_a_later_one_do_not_meet(open_s3: OpenStore, s3_wire: Any) -> None:
    """The snapshot of the first was put aside, and the head that would name it was not written."""
    store = open_s3(environ={"AWS_ENDPOINT_URL": s3_wire.url}, pause=lambda _: None)
    with store.lock("apply"):
        written = store.commit(State())
        for _ in range(6):
            s3_wire.next("PUT", "head", deliver=False, answer=503)
        with pytest.raises(StateUnreadable, match="cannot be written: head"):
            store.commit(replace(written, consumed=("first",)))
        store.commit(replace(written, consumed=("second",)))
    assert open_s3().load().consumed == ("second",)


def test_what_is_kept_aside_is_tried_again(open_s3: OpenStore, s3_wire: Any) -> None:
    """A snapshot is put before the head that names it."""
    store = open_s3(environ={"AWS_ENDPOINT_URL": s3_wire.url}, pause=lambda _: None)
    with store.lock("apply"):
        for answer in (500, 503):
            s3_wire.next("PUT", "snapshot", answer=answer)
        written = store.commit(State())
        for _ in range(6):
            s3_wire.next("PUT", "snapshot", deliver=False, answer=503)
        with pytest.raises(StateUnreadable, match=r"cannot be written: snapshot-000002-\S+: the server answered 503"):
            store.commit(written)
    assert open_s3().load() == written


@pytest.mark.parametrize("name", ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
@pytest.mark.parametrize("text", ["minio:9000", "s3://minio", "https://user:canary-pw@minio"])
def test_an_endpoint_is_an_address_of_the_web(name: str, text: str) -> None:
    with pytest.raises(SettingsInvalid, match=f"^{name}") as caught:
        ObjectStateStore(parse_place("s3://states"), "production", environ={name: text}, now=noon)
    assert "canary-pw" not in caught.value.message


def test_without_credentials_it_says_which(s3_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The library then asks the machine, which has none to give."""
    for variable in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setenv("AWS_METADATA_ENDPOINT", "http://169.254.169.254.invalid")
    store = ObjectStateStore(
        parse_place("s3://states"), "production", environ=s3_environ, now=noon, pause=lambda _: None
    )
    with pytest.raises(SettingsInvalid, match="there are no credentials") as caught:
        store.load()
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint


@pytest.mark.parametrize("status", [401, 403])
def test_refused_credentials_are_told_at_once_and_without_them(open_s3: OpenStore, s3_wire: Any, status: int) -> None:
    store = open_s3(environ={"AWS_ENDPOINT_URL": s3_wire.url})
    s3_wire.next("GET", deliver=False, answer=status)
    with pytest.raises(SettingsInvalid, match="the credentials are refused") as caught:
        store.load()
    assert len(s3_wire.seen) == 1
    assert "AWS_ACCESS_KEY_ID" in caught.value.hint
    assert SECRET not in f"{caught.value!r} {caught.value.hint} {caught.value.__cause__!r}"


def test_a_redirect_is_an_error(open_s3: OpenStore, s3_wire: Any) -> None:
    store = open_s3(environ={"AWS_ENDPOINT_URL": s3_wire.url})
    s3_wire.next("GET", deliver=False, answer=301)
    with pytest.raises(StateUnreadable, match="the server answered 301") as caught:
        store.load()
    assert "AWS_REGION" in caught.value.hint


def test_plain_http_to_another_computer_needs_permission(s3_environ: dict[str, str]) -> None:
    environ = {**s3_environ, "AWS_ENDPOINT_URL": "http://minio.example:9000"}
    place = parse_place("s3://states")
    with pytest.raises(SettingsInvalid, match="AWS_ENDPOINT_URL is a plain http address"):
        ObjectStateStore(place, "production", environ=environ, now=noon)
    allowed = {**environ, "RECONCILER_ALLOW_HTTP": "1"}
    store = ObjectStateStore(place, "production", environ=allowed, now=noon)
    assert store.describe() == "s3://states/production"


@pytest.mark.parametrize(
    ("url", "variables"),
    [
        ("gs://states/evals", {"GOOGLE_SERVICE_ACCOUNT": "/nowhere/account.json"}),
        ("az://states/evals", {}),
    ],
)
def test_other_clouds_without_credentials_say_which_are_missing(
    url: str, variables: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(SettingsInvalid, match=url) as caught:
        ObjectStateStore(parse_place(url), "production", environ={}, now=noon)
    assert ("GOOGLE_" if url.startswith("gs") else "AZURE_") in caught.value.hint


def test_without_the_library_the_extra_is_named(s3_environ: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "obstore.store", None)
    with pytest.raises(SettingsInvalid, match="obstore, which is not installed") as caught:
        ObjectStateStore(parse_place("s3://states"), "production", environ=s3_environ, now=noon)
    assert caught.value.hint == "pip install obstore; or, in a checkout of reconciler: pip install '.[object-store]'"
