"""Which store an address opens, and that no library is loaded before it is asked for."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from reconciler.errors import SettingsInvalid, UsageInvalid
from reconciler.model.places import BUCKETS, DATABASES, WEB
from reconciler.storage.opening import open_store

ROOT = Path(__file__).resolve().parents[2]


def noon() -> datetime:
    return datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (None, "{root}/.reconciler/production.state.json"),
        ("state", "{root}/state/production.state.json"),
        ("file:state", "{root}/state/production.state.json"),
        ("/srv/state", "/srv/state/production.state.json"),
        ("file:///srv/state", "/srv/state/production.state.json"),
        ("s3://bucket", "s3://bucket/production"),
        ("s3://bucket/a/b/", "s3://bucket/a/b/production"),
        ("https://state.example/x", "https://state.example/x"),
    ],
)
def test_an_address_opens_a_store(url: str | None, expected: str, tmp_path: Path) -> None:
    environ = {"RECONCILER_STATE_ORIGIN": "https://state.example"}
    store = open_store(url, "production", root=tmp_path, environ=environ, now=noon)
    assert Path(store.describe()) == Path(expected.format(root=tmp_path))


@pytest.mark.parametrize("scheme", [*BUCKETS, *DATABASES, *WEB])
def test_each_scheme_has_its_store(scheme: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that may begin an address and is opened by none, or by that of another, is told here."""
    expected = {
        "s3": "ObjectStateStore",
        "gs": "ObjectStateStore",
        "az": "ObjectStateStore",
        "postgresql": "PostgresStore",
        "postgres": "PostgresStore",
        "http": "HttpStateStore",
        "https": "HttpStateStore",
    }
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "evals")
    environ = {"RECONCILER_STATE_ORIGIN": f"{scheme}://state", "RECONCILER_ALLOW_HTTP": "1"}
    store = open_store(f"{scheme}://state/x", "production", root=tmp_path, environ=environ, now=noon)
    assert type(store).__name__ == expected[scheme]


@pytest.mark.parametrize("url", ["ftp://host/x", "s3://", "https://user:canary-pw@host/x"])
def test_an_address_that_can_not_be_used_is_a_sentence_without_it(url: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsInvalid, match="the address of the state cannot be used") as caught:
        open_store(url, "production", root=tmp_path, environ={}, now=noon)
    assert "canary-pw" not in caught.value.message + caught.value.hint


@pytest.mark.parametrize("url", ["s3://bucket/x", "https://state.example/x", "state", None])
@pytest.mark.parametrize("name", ["..", "a/b", "", ".hidden", "a b", "x" * 65])
def test_the_name_of_an_environment_can_not_lead_out_of_its_place(url: str | None, name: str, tmp_path: Path) -> None:
    with pytest.raises(UsageInvalid, match="cannot be the name of an environment"):
        open_store(url, name, root=tmp_path, environ={}, now=noon)


def test_a_folder_needs_none_of_the_libraries() -> None:
    code = (
        "import sys; from pathlib import Path; from reconciler.storage.opening import open_store; "
        "open_store(None, 'a', root=Path('.'), environ={}, now=lambda: None); "
        "print([name for name in ('obstore', 'psycopg', 'httpx', 'ssl') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


def test_a_missing_library_is_named_with_its_extra() -> None:
    lines = """
import sys
from pathlib import Path
sys.modules["psycopg"] = None
from reconciler.errors import SettingsInvalid
from reconciler.storage.opening import open_store
try:
    open_store("postgresql://host/db", "production", root=Path(), environ={}, now=lambda: None)
except SettingsInvalid as error:
    print(error.message, error.hint, sep="\\n")
"""
    told = subprocess.run([sys.executable, "-c", lines], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert told.splitlines() == [
        "a state at postgresql:// needs the library psycopg, which is not installed",
        "pip install 'psycopg[binary]'; or, in a checkout of reconciler: pip install '.[postgres]'",
    ]
