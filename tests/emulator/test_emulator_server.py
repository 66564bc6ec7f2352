"""Over a socket: ready when it says so, ends cleanly on a signal, and loses nothing when it is killed."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from reconciler.emulator.app import create_app
from reconciler.emulator.server import running, serve

HEADERS = {"Authorization": "Bearer k"}
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = """
import sys
import time
from reconciler.emulator.app import create_app
from reconciler.emulator.server import serve
serve(create_app(sys.argv[1]), on_ready=lambda url: print(url, flush=True))
print("ended", flush=True)
"""


@contextmanager
def emulator(file: Path) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process that serves a file, and its base URL."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", PROGRAM, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment) as child:
        try:
            assert child.stdout is not None
            yield child, child.stdout.readline().strip()
        finally:
            child.kill()


def create(url: str, name: str) -> int:
    body = {"name": name, "taskType": "llm-base"}
    return httpx.post(f"{url}/v1/projects", json=body, headers=HEADERS).status_code


def names(url: str) -> list[str]:
    page = httpx.get(f"{url}/v1/projects", headers=HEADERS).json()
    return [project["name"] for project in page["items"]]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_server_quietly(tmp_path: Path, number: signal.Signals) -> None:
    with emulator(tmp_path / "data.db") as (child, url):
        assert create(url, "one") == 201
        child.send_signal(number)
        out, err = child.communicate(timeout=20)
        assert (out, err, child.returncode) == ("ended\n", "", 0)


def test_what_was_answered_survives_a_kill(tmp_path: Path) -> None:
    file = tmp_path / "new" / "folder" / "data.db"
    with emulator(file) as (child, url):
        assert [create(url, f"p{number}") for number in range(20)] == [201] * 20
        child.kill()
        child.wait(timeout=20)
    with emulator(file) as (_, url):
        assert names(url) == [f"p{number}" for number in range(20)]


def test_two_processes_may_share_a_file(tmp_path: Path) -> None:
    file = tmp_path / "data.db"
    with emulator(file) as (_, one), emulator(file) as (_, two):
        assert [create(one, "a"), create(two, "b"), create(one, "b")] == [201, 201, 409]
        assert names(one) == names(two) == ["a", "b"]


def test_many_requests_at_once_are_each_carried_out_once() -> None:
    async def crowd(url: str) -> list[int]:
        async with httpx.AsyncClient(headers=HEADERS) as client:
            bodies = [{"name": f"p{number % 50}", "taskType": "llm-base"} for number in range(100)]
            answers = await asyncio.gather(*(client.post(f"{url}/v1/projects", json=body) for body in bodies))
            return sorted(answer.status_code for answer in answers)

    with running(create_app()) as url:
        assert asyncio.run(crowd(url)) == [201] * 50 + [409] * 50


def test_an_answer_does_not_wait_for_an_acknowledgement() -> None:
    """Thirty requests take hundredths of a second; with delayed acknowledgements they took 1.3 s."""
    with running(create_app()) as url, httpx.Client(headers=HEADERS) as client:
        started = time.monotonic()
        for number in range(30):
            client.post(f"{url}/v1/projects", json={"name": f"p{number}", "taskType": "llm-base"})
        assert time.monotonic() - started < 0.9


def test_an_application_can_be_served_again() -> None:
    app = create_app()
    with running(app) as url:
        assert create(url, "kept") == 201
    with running(app) as url:
        assert names(url) == ["kept"]


def test_a_taken_port_is_an_os_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(OSError, match="in use"):
            serve(create_app(), port=port, on_ready=lambda _: None)


def test_importing_the_package_imports_nothing_heavy() -> None:
    program = (
        "import sys, reconciler.emulator; print([m for m in ('starlette', 'pydantic', 'sqlite3') if m in sys.modules])"
    )
    answer = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60
    )
    assert answer.stdout == "[]\n"
