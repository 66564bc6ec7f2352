"""Unchanged manifests are taken from the cache as if they had been read; anything else is read."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from msgspec import to_builtins

from reconciler.errors import ManifestsInvalid
from reconciler.manifests.cache import KEPT, Cache, Loaded
from reconciler.manifests.validator import load
from reconciler.model.resource import Desired, Gate, Lifecycle, Regress, Resource
from reconciler.providers import VENDORS

PROJECT = """\
apiVersion: openlayer/v1
kind: Project
metadata: {{name: support-bot, labels: {{team: cx}}}}
spec:
  taskType: llm-base
  pipelines: [{{name: production, renamedFrom: prod}}]
  testDefaults: {{evaluationWindow: 24h, severity: warn}}
  tests:
{tests}"""
TEST = """\
    - name: Test {number}
      description: "${{var.why}}"
      type: integrity
      subtype: containsPii
      lifecycle: {{protect: true}}
      gate: {{onSkipped: pass}}
      pipelines: [production]
      thresholds:
        - {{insightName: containsPii, measurement: containsPIIRowCount, operator: "<=", value: {number}}}
"""
ENVIRONMENT = """\
apiVersion: reconciler/v1
kind: Environment
metadata: {name: staging}
spec:
  vars: {why: because}
  overrides: [{match: {test: Test 3}, set: {severity: info}}]
"""
PIN = """\
apiVersion: reconciler/v1
kind: Pin
metadata: {name: leak}
spec:
  project: support-bot
  test: Test 3
  result: a
  measured: [{measurement: containsPIIRowCount, value: 7}]
  verdict: flagged
"""
MANY = 300
"""Enough tests to be worth keeping."""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "manifests"
    folder.mkdir()
    tests = "".join(TEST.format(number=number) for number in range(MANY))
    (folder / "bot.yaml").write_text(PROJECT.format(tests=tests))
    (folder / "staging.yaml").write_text(ENVIRONMENT)
    (folder / "leak.yaml").write_text(PIN)
    return folder


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


def read(root: Path, cache: Cache | None, variables: Mapping[str, str] | None = None) -> Loaded:
    return load([], root=root, vendors=VENDORS, environment="staging", variables=variables, cache=cache)


def entries(cache: Cache) -> list[Path]:
    return sorted(cache.folder.glob("*.json"))


def edit(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_what_comes_out_is_what_went_in(root: Path, cache: Cache) -> None:
    fresh, first = read(root, None), read(root, cache)
    assert len(entries(cache)) == 1
    (key,) = [path.stem for path in entries(cache)]
    kept = cache.get(key)
    assert kept is not None
    assert fresh == first == kept == read(root, cache)
    assert list(fresh.desired) == list(kept.desired)
    assert [list(one.fields.items()) for one in fresh.desired] == [list(one.fields.items()) for one in kept.desired]
    assert [pin.name for pin in kept.desired.pins] == ["leak"]
    assert {resource.gate.severity for resource in kept.desired} == {"error", "warn", "info"}


def test_what_is_switched_off_is_kept(root: Path, cache: Cache) -> None:
    """With the place that says so, here and in an environment."""
    edit(root / "bot.yaml", "    - name: Test 7\n", "    - name: Test 7\n      enabled: false\n")
    edit(root / "staging.yaml", "]", ", {match: {test: Test 8}, set: {enabled: false}}]")
    first = read(root, cache)
    assert len(entries(cache)) == 1
    places = {address.name: (source.file, source.line) for address, source in first.desired.off.items()}
    assert places == {"Test 7": ("bot.yaml", 73), "Test 8": ("staging.yaml", 6)}
    assert first == read(root, cache)


def test_what_resources_have_in_common_is_kept_once(root: Path, cache: Cache) -> None:
    """All but a name and a description; 1, 1.0 and "1" are three limits."""
    limits = ("1", "1.0", '"1"')
    tests = "".join(
        TEST.format(number=number).replace(f'"<=", value: {number}}}', f"is, value: {limits[number % 3]}}}")
        for number in range(MANY)
    )
    (root / "bot.yaml").write_text(PROJECT.format(tests=tests))
    read(root, cache)
    assert entries(cache)[0].read_text().count("containsPIIRowCount") == len(limits) + 1  # and the pin's
    fields = [one.fields for one in read(root, cache).desired if "thresholds" in one.fields]
    fresh = [one.fields for one in read(root, None).desired if "thresholds" in one.fields]
    assert repr(fields) == repr(fresh)
    assert len({id(each) for each in fields}) == MANY


def test_every_field_of_what_is_loaded_is_kept() -> None:
    """A field that is added here must be added to the cache, or a second run loses it.

    ``home`` and ``others`` are the run's own, and no set with ``secrets`` is kept.
    """
    assert {each.__name__: list(each.__struct_fields__) for each in (Loaded, Desired, Resource)} == {
        "Loaded": ["desired", "environment", "environments", "warnings"],
        "Desired": ["resources", "digest", "scope", "warnings", "pins", "home", "others", "off"],
        "Resource": [
            *("address", "fields", "source", "lifecycle", "gate", "references", "renamed_from", "labels", "lines"),
            *("lookup", "files", "value_sources", "secrets"),
        ],
    }
    gate = Gate(severity="warn", runs=3, min_pass=2, flaky=True, regress=Regress(0.05, against=5))
    assert to_builtins(gate)["regress"] == {"max_drop": 0.05, "relative": True, "against": 5}
    assert Lifecycle(**Lifecycle(protect=True).model_dump()) == Lifecycle(protect=True)


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [("bot.yaml", "value: 7}", "value: 8}"), ("staging.yaml", "why: because", "why: so")],
)
def test_a_changed_file_is_read(root: Path, cache: Cache, file: str, old: str, new: str) -> None:
    before = read(root, cache)
    edit(root / file, old, new)
    assert read(root, cache).desired.resources != before.desired.resources
    assert read(root, cache) == read(root, None)


def test_another_name_place_or_variable_is_another_entry(root: Path, cache: Cache) -> None:
    before = read(root, cache)
    (root / "bot.yaml").rename(root / "renamed.yaml")
    sources = {resource.source.file for resource in read(root, cache).desired}
    assert sources == {"renamed.yaml"}
    assert read(root, cache, {"why": "x"}).desired.digest != before.desired.digest
    assert len(entries(cache)) == 3


def test_mistakes_are_never_kept(root: Path, cache: Cache) -> None:
    edit(root / "bot.yaml", 'operator: "<="', 'operator: "=<"')
    for _ in range(2):
        with pytest.raises(ManifestsInvalid):
            read(root, cache)
    assert entries(cache) == []


def test_a_small_set_of_manifests_is_not_worth_an_entry(root: Path, cache: Cache) -> None:
    (root / "bot.yaml").write_text(PROJECT.format(tests="".join(TEST.format(number=n) for n in range(3, 5))))
    read(root, cache)
    assert not cache.folder.exists()


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"resources": [[0]]}', b"\xff"])
def test_a_damaged_entry_is_as_good_as_none(root: Path, cache: Cache, damage: bytes) -> None:
    before = read(root, cache)
    entries(cache)[0].write_bytes(damage)
    assert read(root, cache) == before
    assert cache.get(entries(cache)[0].stem) == before


def _nested(text: bytes) -> bytes:
    return text.replace(b'"digest"', b'"x":' + b"[" * 200_000 + b"]" * 200_000 + b',"digest"', 1)


def _cut(text: bytes) -> bytes:
    """Three resources of all, in an entry that reads well."""
    head, brace, document = text.partition(b"{")
    entry = json.loads(brace + document)
    return head + json.dumps({**entry, "resources": entry["resources"][:3]}).encode()


@pytest.mark.parametrize(
    "damage",
    [
        _nested,
        _cut,
        lambda text: text.replace(b"openlayer.Test", b"openlayer.Tost"),
        lambda text: text.replace(b'"taskType"', b'"taskTipe"'),
        lambda text: text[:-1] + b" }",
    ],
    ids=["nested", "cut", "kind", "field", "space"],
)
def test_an_entry_is_whole_or_is_none(root: Path, cache: Cache, damage: Callable[[bytes], bytes]) -> None:
    """A damaged one may still read well: a plan of a part of the manifests would remove the rest."""
    before = read(root, cache)
    (entry,) = entries(cache)
    text = entry.read_bytes()
    assert damage(text) != text
    entry.write_bytes(damage(text))
    assert cache.get(entry.stem) is None
    assert read(root, cache) == before
    assert cache.get(entry.stem) == before


def test_an_entry_under_another_key_is_none(root: Path, cache: Cache) -> None:
    read(root, cache)
    (entry,) = entries(cache)
    entry.rename(entry.with_stem("0" * 64))
    assert cache.get("0" * 64) is None


def test_a_folder_that_others_can_write_is_not_trusted(root: Path, cache: Cache) -> None:
    read(root, cache)
    (key,) = [path.stem for path in entries(cache)]
    assert cache.get(key) is not None
    assert cache.folder.stat().st_mode & 0o777 == 0o700
    cache.folder.chmod(0o777)
    assert cache.get(key) is None


def test_a_link_in_the_place_of_the_folder_is_not_followed(root: Path, cache: Cache, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    os.symlink(tmp_path / "elsewhere", cache.folder)  # noqa: PTH211
    assert read(root, cache) == read(root, None)
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.parametrize("wrong", ["a link out of the folder", "a file that is no text"])
def test_what_can_not_be_read_is_a_mistake_also_beside_what_is_known(root: Path, cache: Cache, wrong: str) -> None:
    read(root, cache)
    if wrong == "a file that is no text":
        (root / "more.yaml").write_bytes(b"\xff")
    else:
        (root / "more.yaml").symlink_to("/etc/hostname")
    with pytest.raises(ManifestsInvalid, match=r"more\.yaml"):
        read(root, cache)


def test_only_the_entries_used_last_stay(root: Path, cache: Cache) -> None:
    for number in range(KEPT + 3):
        read(root, cache, {"why": f"reason {number}"})
    assert len(entries(cache)) == KEPT


def test_what_is_not_an_entry_stays(root: Path, cache: Cache) -> None:
    cache.folder.mkdir(mode=0o700)
    mine = [cache.folder / name for name in ("notes.txt", "bot.yaml", "data.json", *map("{}.tmp".format, range(KEPT)))]
    for file in mine:
        file.write_text("mine")
    for number in range(2):
        read(root, cache, {"why": f"reason {number}"})
    assert [file for file in mine if not file.exists()] == []
    assert len(entries(cache)) == 3  # one is mine


def test_what_is_left_of_an_unfinished_entry_goes_in_its_turn(root: Path, cache: Cache) -> None:
    cache.folder.mkdir(mode=0o700)
    half = cache.folder / f"{'0' * 64}.x1y2.tmp"
    half.write_text("{")
    os.utime(half, (0, 0))
    for number in range(KEPT):
        read(root, cache, {"why": f"reason {number}"})
    assert not half.exists()
