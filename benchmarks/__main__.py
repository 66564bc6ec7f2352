"""``python -m benchmarks``: start-up, a no-op plan and a first apply, as whole processes, in ratios.

Every candidate runs in turn, round by round, so that a slow minute of the machine hits all of them; the median of the
rounds counts.  Quote ratios from one run, not seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from benchmarks.world import write_manifests

KEY = "benchmark"
CLI = [sys.executable, "-m", "reconciler"]


@dataclass(frozen=True)
class Timing:
    """Seconds of wall time, round by round."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        """The figure to quote."""
        return statistics.median(self.seconds)

    def __str__(self) -> str:
        low, high = min(self.seconds), max(self.seconds)
        return f"{low * 1000:7.0f} {self.median * 1000:7.0f} {high * 1000:7.0f}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--projects", type=int, default=10)
    parser.add_argument("--pipelines", type=int, default=2)
    parser.add_argument("--tests", type=int, default=100, help="in each project")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--latency", default="0ms", help="of the emulator's answers")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        measure(Path(folder), asked)


def measure(folder: Path, asked: argparse.Namespace) -> None:
    """Start the emulator in its own process, fill it, and time the candidates."""
    write_manifests(folder / "manifests", projects=asked.projects, pipelines=asked.pipelines, tests=asked.tests)
    server = subprocess.Popen(
        [*CLI, "emulator", "--port", "0", "--api-key", KEY, "--latency", asked.latency],
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert server.stdout is not None
        url = server.stdout.readline().strip()
        environ = {**os.environ, "OPENLAYER_BASE_URL": url, "OPENLAYER_API_KEY": KEY, "PYTHONPATH": str(Path.cwd())}
        print(f"{asked.projects} projects x {asked.pipelines} pipelines x {asked.tests} tests, {asked.rounds} rounds")
        first = _time([*CLI, "apply", "manifests", "--yes"], folder, environ)
        print(f"first apply, once: {first * 1000:.0f} ms")
        print(f"requests of a no-op plan: {_requests(folder, environ)}")
        print(f"writes of a second apply: {_writes(folder, environ)}")
        candidates = {
            "python -c pass": [sys.executable, "-c", "pass"],
            "reconciler --version": [*CLI, "--version"],
            "reconciler --help": [*CLI, "--help"],
            "reconciler validate": [*CLI, "validate", "manifests"],
            "reconciler plan, no changes": [*CLI, "plan", "manifests"],
            "floor: the same requests, bare": [sys.executable, "-m", "benchmarks.floor", url, KEY],
            "peer: sequential SDK script": [sys.executable, "-m", "benchmarks.sequential_sdk", url, KEY],
        }
        timings = _rounds(candidates, folder, environ, asked.rounds)
    finally:
        server.terminate()
        server.wait()
    _print(timings)


def _rounds(candidates: dict[str, list[str]], folder: Path, environ: dict[str, str], rounds: int) -> dict[str, Timing]:
    found: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, command in candidates.items():
            found[name].append(_time(command, folder, environ))
    return {name: Timing(tuple(seconds)) for name, seconds in found.items()}


def _time(command: list[str], folder: Path, environ: dict[str, str]) -> float:
    began = time.perf_counter()
    subprocess.run(command, cwd=folder, env=environ, check=True, capture_output=True)
    return time.perf_counter() - began


def _requests(folder: Path, environ: dict[str, str]) -> int:
    return len(_events(["plan", "manifests"], folder, environ))


def _writes(folder: Path, environ: dict[str, str]) -> int:
    return sum(event["method"] != "GET" for event in _events(["apply", "manifests", "--yes"], folder, environ))


def _events(arguments: list[str], folder: Path, environ: dict[str, str]) -> list[dict[str, object]]:
    """The requests that a command makes, from its own event log."""
    log = folder / "events.ndjson"
    log.unlink(missing_ok=True)
    _time([*CLI, *arguments, "--events", str(log)], folder, environ)
    events = [json.loads(line) for line in log.read_text().splitlines()]
    return [event for event in events if event["event"] == "request"]


def _print(timings: dict[str, Timing]) -> None:
    print(f"\n{'milliseconds, whole process':34}     min  median     max")
    for name, timing in timings.items():
        print(f"{name:34} {timing}")
    bare = timings["python -c pass"].median
    plan = timings["reconciler plan, no changes"].median
    print("\nratios of medians")
    for name, of in (
        ("--version / python -c pass", timings["reconciler --version"].median / bare),
        ("--help / python -c pass", timings["reconciler --help"].median / bare),
        ("plan / floor", plan / timings["floor: the same requests, bare"].median),
        ("plan / sequential SDK script", plan / timings["peer: sequential SDK script"].median),
    ):
        print(f"  {name:32} {of:5.2f}")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    print(f"largest process: {peak:.0f} MB")


if __name__ == "__main__":
    main()
