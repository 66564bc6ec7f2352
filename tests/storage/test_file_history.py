"""The history in a file: what stands in the folder, two processes at once, damage, and folders that are read-only."""

from __future__ import annotations

import shutil
import sqlite3
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

import pytest

from reconciler.errors import StateUnreadable, UsageInvalid
from reconciler.model.history import Observation
from reconciler.model.outcome import EvaluationStatus, Level
from reconciler.model.resource import Address
from reconciler.storage.history import FileHistory, open_history
from tests.nobody import as_nobody

ROOT = Path(__file__).resolve().parents[2]
FAITHFUL = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))


def seen(number: int) -> Observation:
    return Observation(FAITHFUL, "live", Level.PASS, EvaluationStatus.PASSING, ends=number, result_id=f"r{number}")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "production.history.db"


def test_looking_leaves_no_trace(path: Path) -> None:
    store = FileHistory(path)
    assert store.of() == ()
    store.moved(FAITHFUL, FAITHFUL)
    store.record([])
    assert not path.parent.exists()


def test_the_file_is_private_and_hidden_from_git(path: Path) -> None:
    FileHistory(path).record([seen(1)])
    assert oct(stat.S_IMODE(path.stat().st_mode)) == "0o600"
    assert oct(stat.S_IMODE(path.parent.stat().st_mode)) == "0o700"
    assert (path.parent / ".gitignore").read_text() == "*\n"


def test_nothing_but_the_file_is_left_when_nobody_writes(path: Path) -> None:
    FileHistory(path).record([seen(1)])
    assert {each.name for each in path.parent.iterdir()} == {".gitignore", "production.history.db"}


def test_a_reader_is_not_stopped_by_a_writer(path: Path) -> None:
    store = FileHistory(path)
    store.record([seen(1)])
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("begin immediate")
        writer.execute("delete from observations")
        assert store.of() == (seen(1),)


def test_what_was_recorded_survives_kill_9(path: Path) -> None:
    lines = """
import os, sys
from pathlib import Path
from tests_seen import seen
from reconciler.storage.history import FileHistory
FileHistory(Path(sys.argv[1])).record([seen(1)])
os.kill(os.getpid(), 9)
"""
    ended = _python(lines, path)
    assert ended.returncode == -9
    assert FileHistory(path).of() == (seen(1),)


def _python(lines: str, path: Path) -> subprocess.CompletedProcess[str]:
    lines = lines.replace("from tests_seen import seen", _SEEN)
    return subprocess.run(
        [sys.executable, "-c", lines, str(path)], cwd=ROOT, text=True, capture_output=True, check=False
    )


_SEEN = """
from reconciler.model.history import Observation
from reconciler.model.outcome import EvaluationStatus, Level
from reconciler.model.resource import Address
ADDRESS = Address("openlayer.Test", ("bot", "monitoring", "Faithful"))
def seen(number):
    return Observation(ADDRESS, "live", Level.PASS, EvaluationStatus.PASSING, ends=number, result_id=f"r{number}")
"""


def test_several_processes_make_and_fill_one_history(path: Path) -> None:
    lines = f"""
import sys
from pathlib import Path
{_SEEN}
from reconciler.storage.history import FileHistory
first = int(sys.argv[2])
sys.stdin.readline()
for number in range(first, first + 25):
    assert FileHistory(Path(sys.argv[1])).record([seen(number)]) == 1
"""
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", lines, str(path), str(first)],
            cwd=ROOT, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )
        for first in (0, 100, 200)
    ]  # fmt: skip
    for writer in writers:
        assert writer.stdin is not None
        writer.stdin.write("\n")
        writer.stdin.flush()
    assert [writer.communicate(timeout=60) for writer in writers] == [("", "")] * 3
    assert len(FileHistory(path).of()) == 75


@pytest.fixture
def read_only(path: Path) -> Iterator[Path]:
    """A folder with a history, that its reader may not write to."""
    FileHistory(path).record([seen(1)])
    folder = Path(tempfile.mkdtemp(prefix="read-only-"))
    try:
        shutil.copy(path, folder / path.name)
        (folder / path.name).chmod(0o444)
        folder.chmod(0o555)
        yield folder / path.name
    finally:
        folder.chmod(0o755)
        shutil.rmtree(folder)


def test_a_history_in_a_read_only_folder_can_be_read_and_says_that_it_can_not_be_written(read_only: Path) -> None:
    with as_nobody():
        found = FileHistory(read_only).of()
    assert found == (seen(1),)
    with as_nobody(), pytest.raises(StateUnreadable, match=r"history\.db cannot be written: permission denied"):
        FileHistory(read_only).record([seen(2)])


def test_a_file_that_is_no_history_is_named(path: Path) -> None:
    path.parent.mkdir()
    path.write_text("something else, and longer than the header of a database would be " * 9)
    calls: tuple[Callable[[], object], ...] = (
        FileHistory(path).of,
        lambda: FileHistory(path).record([seen(1)]),
        lambda: FileHistory(path).moved(FAITHFUL, FAITHFUL),
    )
    for call in calls:
        with pytest.raises(StateUnreadable, match=r"production\.history\.db cannot be .*not a database") as caught:
            call()
        assert caught.value.hint == "move the file away to begin a new history"


def test_a_history_that_was_only_begun_is_empty(path: Path) -> None:
    path.parent.mkdir()
    path.touch()
    assert FileHistory(path).of() == ()
    FileHistory(path).record([seen(1)])
    assert FileHistory(path).of() == (seen(1),)


def test_a_newer_history_is_called_newer(path: Path) -> None:
    FileHistory(path).record([seen(1)])
    with closing(sqlite3.connect(path)) as other:
        other.execute("pragma user_version = 2")
    for call in (FileHistory(path).of, lambda: FileHistory(path).record([seen(1)])):
        with pytest.raises(StateUnreadable, match="format 2; this version reads 1"):
            call()


def test_a_damaged_row_is_not_passed_over(path: Path) -> None:
    FileHistory(path).record([seen(1)])
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("""update observations set body = '{"level": "pass"}'""")
    with pytest.raises(StateUnreadable, match="damaged observation"):
        FileHistory(path).of()


def test_a_link_in_the_place_of_the_file_is_not_followed(path: Path, tmp_path: Path) -> None:
    """A pull request could bring one."""
    path.parent.mkdir()
    path.symlink_to(tmp_path / "elsewhere.db")
    with pytest.raises(StateUnreadable, match="cannot be written"):
        FileHistory(path).record([seen(1)])
    assert not (tmp_path / "elsewhere.db").exists()


@pytest.mark.parametrize("name", ["", "..", ".hidden", "x" * 65, "../x", "a/b", "prod\n"])
def test_an_environment_s_name_can_not_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageInvalid, match="cannot be the name of an environment"):
        open_history(tmp_path, name, environ={})
