"""What becomes of the exit code when nobody reads the answer, or when it cannot be written."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import IO

import pytest

CHECKOUT = Path(__file__).resolve().parents[1]
SCRIPT = "from reconciler.cli.main import run; run()"


def started(*arguments: str, out: int | IO[bytes], err: int | IO[bytes]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], cwd=CHECKOUT, stdout=out, stderr=err)


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
