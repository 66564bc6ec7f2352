"""The command itself, killed or asked to stop while it applies, is finished by the next command.

Real processes and a real socket: nothing here knows what the process is doing when the signal comes.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

CHECKOUT = Path(__file__).resolve().parents[2]
KILLS = int(os.environ.get("RECONCILER_KILLS", "100"))
ALL_REQUESTS = 45
"""About so many requests an apply of the story makes."""

TROUBLE = (
    {"method": "POST", "every": 3, "action": "drop-after"},
    {"method": "POST", "every": 2, "action": "status", "status": 503, "when": "after"},
    {"method": "PUT", "every": 2, "action": "cut-body"},
    {"method": "POST", "every": 3, "action": "html"},
    {"every": 7, "action": "status", "status": 429, "retryAfter": 0.1},
)


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
    deadline = time.monotonic() + 60
    while len(world.requests) < count and process.poll() is None:
        assert time.monotonic() < deadline, "the run does not get on"
        time.sleep(0.001)


def strike(world: Any, number: int, requests: int, seconds: float = 0.0) -> tuple[int, bytes]:
    """Start an apply, and send it the signal so long after so many of its requests have arrived.

    Returns its exit code, and everything that it said.
    """
    process = start(world, "apply", "--yes")
    wait_for_requests(world, len(world.requests) + requests, process)
    time.sleep(seconds)
    process.send_signal(number)
    out, err = process.communicate(timeout=60)
    return process.returncode, out + err


def check_after(world: Any, *said: bytes) -> None:
    """The next apply exits 0, and the one after has nothing to do; the key is in no file and in nothing said."""
    world.fail()
    again = start(world, "apply", "--yes")
    out, err = again.communicate(timeout=120)
    assert (err.count(b"Error"), again.returncode) == (0, 0), err
    assert world.plan().plan.is_empty
    world.check()
    key = world.environ["OPENLAYER_API_KEY"].encode()
    written = [path.read_bytes() for path in (world.root / ".reconciler").iterdir()]
    assert [text for text in (*said, out, err, *written) if key in text] == []
    assert b"Traceback" not in b"".join(said)


@pytest.mark.parametrize("requests", [1, 6, 11, 18])
def test_kill_9_then_apply_converges(requests: int, socket_world: Any) -> None:
    """SIGKILL once so many requests have arrived."""
    code, said = strike(socket_world, signal.SIGKILL, requests)
    assert code == -signal.SIGKILL
    check_after(socket_world, said)


@pytest.mark.parametrize("requests", [8, 14])
def test_sigterm_then_apply_converges(requests: int, socket_world: Any) -> None:
    """SIGTERM: what runs is finished and recorded, and the exit code says that it was stopped."""
    code, said = strike(socket_world, signal.SIGTERM, requests)
    assert code == 128 + signal.SIGTERM
    check_after(socket_world, said)


@pytest.mark.simulation
@pytest.mark.parametrize("seed", range(KILLS))
def test_kills_at_random_moments(seed: int, socket_world: Any) -> None:
    """One to three runs in a row end by a signal at a random moment, half of them while the platform misbehaves.

    ``RECONCILER_KILLS`` says how many times (default 100).
    """
    chance = random.Random(seed)
    everything = []
    for _ in range(chance.choice((1, 1, 2, 3))):
        if chance.random() < 0.5:
            socket_world.fail(chance.choice(TROUBLE))
        number = chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM))
        code, said = strike(socket_world, number, chance.randrange(ALL_REQUESTS), chance.uniform(0.0, 0.03))
        assert code in (-number, 128 + number, 0, 1, 4)  # by the signal, or by itself before it came
        everything.append(said)
        socket_world.fail()
    check_after(socket_world, *everything)
