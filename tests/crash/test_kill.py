"""The command itself, killed without warning while it applies, is finished by the next command."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]


def start(world: Any, *arguments: str) -> subprocess.Popen[bytes]:
    environ = {**os.environ, **world.environ, "PYTHONPATH": str(CHECKOUT)}
    return subprocess.Popen(
        [sys.executable, "-m", "reconciler", *arguments],
        cwd=world.root,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


def wait_for_requests(world: Any, count: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 30
    while len(world.requests) < count and process.poll() is None:
        assert time.monotonic() < deadline, "the run does not get on"
        time.sleep(0.001)


@pytest.mark.parametrize("requests", [1, 6, 11, 18])
def test_kill_9_then_apply_converges(requests: int, socket_world: Any) -> None:
    """SIGKILL once so many requests have arrived: the next apply exits 0, and the one after has nothing to do."""
    process = start(socket_world, "apply", "--yes")
    wait_for_requests(socket_world, requests, process)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    again = start(socket_world, "apply", "--yes")
    assert (again.communicate()[1].count(b"Error"), again.returncode) == (0, 0)
    assert socket_world.plan().plan.is_empty
    socket_world.check()
