"""What makes no sense to measure is said at once."""

from __future__ import annotations

import subprocess
import sys

import pytest

from benchmarks.processes import ROOT, environ

MISSING = """\
import importlib.util, sys
found = importlib.util.find_spec
importlib.util.find_spec = lambda name: None if name in ("octodns", "matplotlib") else found(name)
import benchmarks.__main__ as program
program.main(sys.argv[1:])
"""


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--tests", "0"], "argument --tests: 0 is less than 1"),
        (["--pipelines", "-1"], "argument --pipelines: -1 is less than 1"),
        (["--projects", "3"], "--projects 3 does not divide --tests 1000"),
        (["--projects", "2", "--sweep"], "--projects goes without --write and --sweep"),
        ([], "the peer octodns needs octodns"),
        (["--peers", "--write"], "--write needs matplotlib: pip install '.[benchmark]', or name the peers"),
    ],
)
def test_what_can_not_be_measured_is_a_usage_error(options: list[str], told: str) -> None:
    """Before anything is measured: also what the extra would bring."""
    command = [sys.executable, "-c", MISSING, *options]
    ended = subprocess.run(command, cwd=ROOT, env=environ(), capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 2
    assert told in " ".join(ended.stderr.split())
    assert "start-up" not in ended.stderr
