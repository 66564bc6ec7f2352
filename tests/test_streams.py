"""What becomes of the exit code when nobody reads the answer, or when it cannot be written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
SCRIPT = "from reconciler.cli.main import run; run()"


NAME = "Größe ≥ ok"
MANIFEST = f"""\
apiVersion: openlayer/v1
kind: Project
metadata: {{name: spoken}}
spec:
  taskType: llm-base
  pipelines: [{{name: production}}]
  tests:
    - name: {NAME}
      type: integrity
      subtype: rowCount
      thresholds: [{{insightName: metrics, measurement: rowCount, operator: ">=", value: 3}}]
"""


def started(*arguments: str, out: int | IO[bytes], err: int | IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], cwd=CHECKOUT, stdout=out, stderr=err)


def said(folder: Path, encoding: str, *arguments: str) -> tuple[int, bytes]:
    """The exit code and the answer of a command whose streams have an encoding, as a locale or Windows gives it."""
    environ = {**os.environ, "PYTHONPATH": str(CHECKOUT), "PYTHONIOENCODING": encoding}
    command = [sys.executable, "-c", SCRIPT, *arguments]
    ended = subprocess.run(command, cwd=folder, env=environ, capture_output=True, timeout=60)
    return ended.returncode, ended.stdout


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252", "ascii"])
def test_what_programs_read_is_utf_8_whatever_the_stream_speaks(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "spoken.yaml").write_text(MANIFEST, encoding="utf-8")
    code, answer = said(tmp_path, encoding, "plan", "--env", "local", "--format", "json")
    assert code == 0
    assert NAME in answer.decode("utf-8")


def test_every_form_that_programs_read_is_the_same_on_every_stream(tmp_path: Path) -> None:
    (tmp_path / "spoken.yaml").write_text(MANIFEST, encoding="utf-8")
    for form in ("json", "markdown", "html"):
        plan = ("plan", "--env", "local", "--format", form)
        assert said(tmp_path, "ascii", *plan) == said(tmp_path, "utf-8", *plan)
    code, answer = said(tmp_path, "ascii", "apply", "--env", "local", "--yes", "--format", "json")
    assert code == 0
    assert json.loads(answer)["apply"]["outcomes"]
    for form in ("json", "junit", "markdown"):
        code, answer = said(tmp_path, "ascii", "status", "--env", "local", "--format", form)
        assert code == 5
        assert NAME in answer.decode("utf-8")


@pytest.mark.parametrize("encoding", ["latin-1", "cp1252"])
def test_what_people_read_says_what_their_encoding_has_no_letter_for(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "spoken.yaml").write_text(MANIFEST, encoding="utf-8")
    code, answer = said(tmp_path, encoding, "plan", "--env", "local")
    assert code == 0
    assert r"Größe \u2265 ok" in answer.decode(encoding)


def unread() -> int:
    """The writing end of a pipe whose reader has gone."""
    reading, writing = os.pipe()
    os.close(reading)
    return writing


@pytest.mark.parametrize("arguments", [["schema", "Project"], ["validate", "examples/quickstart"], ["plan", "--help"]])
def test_an_answer_that_nobody_reads_ends_as_in_a_shell_and_without_a_word(arguments: list[str]) -> None:
    """128 and SIGPIPE, so that ``set -o pipefail`` can tell it from an error."""
    pipe = unread()
    process = started(*arguments, out=pipe, err=subprocess.PIPE)
    os.close(pipe)
    assert process.communicate(timeout=60)[1] == b""
    assert process.returncode == 141


@pytest.mark.parametrize(("arguments", "code"), [(["plan", "--nonsense"], 64), (["validate", "no-such-folder"], 64)])
def test_a_code_stands_even_if_nobody_reads_why(arguments: list[str], code: int) -> None:
    pipe = unread()
    process = started(*arguments, out=pipe, err=pipe)
    os.close(pipe)
    assert process.wait(timeout=60) == code


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no full disk to write to")
def test_a_full_disk_is_no_defect_of_ours() -> None:
    with Path("/dev/full").open("wb") as full:
        process = started("schema", "Project", out=full, err=subprocess.PIPE)
    told = process.communicate(timeout=60)[1].decode()
    assert (process.returncode, told) == (1, "error: what is written is cut short: No space left on device\n")
