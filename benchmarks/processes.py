"""Run whole processes and say what they took.  The server has one core, everything that is measured another."""

from __future__ import annotations

import compileall
import json
import os
import statistics
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
KEY = "benchmark"
CLI = (sys.executable, "-m", "reconciler")


@dataclass(frozen=True)
class Run:
    """One process: seconds of wall time and of CPU, and its peak memory in MB."""

    wall_s: float
    cpu_s: float
    peak_mb: float


@dataclass(frozen=True)
class Timing:
    """All rounds of one candidate, and the requests of one of them by method."""

    runs: tuple[Run, ...]
    requests: Mapping[str, int] | None = None

    @property
    def median_s(self) -> float:
        """The figure to quote: the median wall time."""
        return statistics.median(run.wall_s for run in self.runs)

    def to_json(self) -> dict[str, object]:
        """Plain data, for the results file."""
        walls = sorted(run.wall_s for run in self.runs)
        return {
            "rounds": len(walls),
            "min_s": round(walls[0], 4),
            "median_s": round(self.median_s, 4),
            "max_s": round(walls[-1], 4),
            "cpu_s": round(statistics.median(run.cpu_s for run in self.runs), 4),
            "peak_mb": round(max(run.peak_mb for run in self.runs), 1),
            **({"requests": dict(self.requests)} if self.requests is not None else {}),
        }


def _on_core(number: int) -> None:
    """Stay on one core, if there are several and the system can."""
    if hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[number % len(cores)]})


def environ(**more: str) -> dict[str, str]:
    """The environment of every process: the package of this checkout, and nothing kept between runs unless asked."""
    return {**os.environ, "PYTHONPATH": str(ROOT), "RECONCILER_CACHE": "off", **more}


def compile_package() -> None:
    """Compile the modules of this checkout, as an installer does: else every process might, for half a second."""
    compileall.compile_dir(ROOT / "reconciler", quiet=2)


def measured(command: Sequence[str], folder: Path, environment: Mapping[str, str]) -> Run:
    """Run one process.  Raises RuntimeError, with what it said, when it fails."""
    with (folder / "said.txt").open("w+b") as said:
        began = time.perf_counter()
        process = subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=said, preexec_fn=lambda: _on_core(1)
        )
        _, status, used = os.wait4(process.pid, 0)
        wall_s = time.perf_counter() - began
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{' '.join(command)}: exit {process.returncode}\n{said.read().decode()[-2000:]}")
    return Run(wall_s, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


def requests_of(arguments: Sequence[str], folder: Path, environment: Mapping[str, str]) -> tuple[Run, dict[str, int]]:
    """Run one of our commands and count its requests by method, from its own event log."""
    log = folder / "events.ndjson"
    log.unlink(missing_ok=True)
    run = measured([*CLI, *arguments, "--events", str(log)], folder, environment)
    events = (json.loads(line) for line in log.read_text(encoding="utf-8").splitlines())
    return run, dict(Counter(event["method"] for event in events if event["event"] == "request"))


@contextmanager
def serving(command: Sequence[str]) -> Iterator[str]:
    """A server on its own core, for a ``with`` block: its first line of output is the URL."""
    server = subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=environ(), preexec_fn=lambda: _on_core(0)
    )
    try:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
    finally:
        server.terminate()
        server.wait()


def emulator(latency: str) -> list[str]:
    """The command that serves the emulator."""
    return [*CLI, "emulator", "--port", "0", "--api-key", KEY, "--latency", latency]
