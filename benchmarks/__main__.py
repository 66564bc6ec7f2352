"""``python -m benchmarks``: whole processes against peers, in ratios.

    python -m benchmarks                                  1,000 tests without latency
    python -m benchmarks --tests 1000 10000 100000 --latency 0 50 --rounds 5
    python -m benchmarks --write                          also benchmarks/results/*.json, the table and the picture

Every candidate runs in turn, round by round, so that a slow minute of the machine hits all of them; the median counts.
Quote ratios from one run, not seconds.  The peers need ``pip install '.[benchmark]'``.
"""

from __future__ import annotations

import argparse
import json
import platform
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks import pure, report, scenarios
from benchmarks.processes import ROOT
from benchmarks.world import Size

TESTS_IN_A_PROJECT = 100
PEERS = ("floor", "sdk", "octodns")
PEERS_UP_TO = {False: 10_000, True: 1_000}
"""Without and with latency: a sequential peer needs minutes for more."""
WIDTHS = (8, 16, 32, 64, 100)


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tests", type=int, nargs="+", default=[1000], metavar="N", help="how many tests, in projects of 100"
    )
    parser.add_argument("--pipelines", type=int, default=2, metavar="L", help="in each project")
    parser.add_argument("--latency", type=int, nargs="+", default=[0], metavar="MS", help="of the emulator's answers")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--in-flight", type=int, default=16, metavar="N")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    parser.add_argument("--sweep", action="store_true", help="creates at 50 ms with 8 to 100 requests in flight")
    parser.add_argument("--write", action="store_true", help="keep the results, and draw them")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), asked)
    print(report.table(results["settings"]))
    for name, ratio in results["ratios"].items():
        print(f"{name}: {ratio:.3f}")
    if asked.write:
        _write(results)


def measure(folder: Path, asked: argparse.Namespace) -> dict[str, dict[str, dict[str, object]]]:
    """Everything that was asked for, as plain data."""
    settings: dict[str, dict[str, object]] = {}
    started = scenarios.startup(folder, max(asked.rounds, 5))
    bare = started["python -c pass"].median_s
    ratios: dict[str, object] = {
        f"{name} / python -c pass": started[name].median_s / bare for name in ("--version", "--help")
    }
    ratios |= pure.ratios(folder)
    for latency_ms in asked.latency:
        for tests in asked.tests:
            size = Size(max(1, tests // TESTS_IN_A_PROJECT), asked.pipelines, min(tests, TESTS_IN_A_PROJECT))
            sequential = tests <= PEERS_UP_TO[latency_ms > 0]
            peers = frozenset(peer for peer in asked.peers if sequential or peer == "floor")
            name = f"{tests:,} tests, {latency_ms} ms"
            setting = scenarios.Setting(size, latency_ms, asked.rounds, asked.in_flight, peers, _teller(name))
            settings[name] = {
                scenario: {"tests": tests, "latency_ms": latency_ms, **timing.to_json()}
                for scenario, timing in scenarios.run(setting, folder / "run").items()
            }
    if asked.sweep:
        reached = scenarios.sweep(folder / "sweep", Size(10, 2, 100), 50, WIDTHS, _teller("sweep"))
        ratios |= {f"create 1,000 at 50 ms, {width} in flight: share of the limit": r for width, r in reached.items()}
    return {"settings": settings, "ratios": ratios}  # type: ignore[dict-item]


def _teller(name: str) -> object:
    return lambda what: print(f"{name}: {what}", file=sys.stderr, flush=True)


def _write(results: dict[str, dict[str, dict[str, object]]]) -> None:
    now = datetime.now(UTC)
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    about = {
        "when": now.isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    (folder / f"{now:%Y-%m-%d}.json").write_text(json.dumps({**about, **results}, indent=1) + "\n", encoding="utf-8")
    (folder / "table.md").write_text(report.table(results["settings"]), encoding="utf-8")
    report.picture(results["settings"], ROOT / "docs" / "performance.png")


if __name__ == "__main__":
    main()
