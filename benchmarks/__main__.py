"""``python -m benchmarks``: whole processes against peers, in ratios.

    python -m benchmarks                                  1,000 tests without latency
    python -m benchmarks --projects 2 --pipelines 3 --tests 500 --peers   a shape of your own, and no peers
    python -m benchmarks --tests 1000 10000 100000 --latency 0 50 --in-flight 32 --sweep
    python -m benchmarks --write                          also benchmarks/results/*.json, the tables and the picture;
                                                          runs of one day are kept together

Every candidate runs once a round, so that a slow minute of the machine hits all of them; the median counts.  Above
10,000 tests there is one round, and of the peers only the floor; with latency, peers that wait for each answer before
they ask again run on 1,000.  ``--url`` measures another platform than the emulator, beside the peers that only read,
and removes what it has made.  Quote ratios from one run, not seconds.  The peers need ``pip install '.[benchmark]'``;
dbt-jobs-as-code wants an older deepdiff than ours and brings rich, which changes how fast we start: it runs from a
virtual environment of its own, whose command ``--dbt`` names.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from benchmarks import pure, ratios, report, scenarios
from benchmarks.goals import BARE, GOALS
from benchmarks.processes import ROOT, compile_package
from benchmarks.world import Size

TESTS_IN_A_PROJECT = 100
PEERS = ("floor", "sdk", "octodns")
LIBRARIES = {"floor": ("aiohttp",), "sdk": ("openlayer",), "octodns": ("octodns", "octodns_digitalocean")}
SEQUENTIAL_UP_TO = {False: 10_000, True: 1_000}
"""Tests, without and with latency: a sequential peer needs minutes for more."""
ROUNDS_UP_TO = 10_000
WIDTHS = (8, 16, 32, 64, 100)
SWEEP_MS = 50


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure and print."""
    parser = _parser()
    asked = parser.parse_args(arguments)
    if asked.url and (asked.write or asked.sweep or any(asked.latency)):
        parser.error("--url goes without --write, --sweep and --latency: its figures are of another platform")
    if asked.projects and (asked.write or asked.sweep):
        parser.error("--projects goes without --write and --sweep: kept results are of projects of 100 tests")
    for tests in asked.tests if asked.projects else ():
        if tests % asked.projects:
            parser.error(f"--projects {asked.projects} does not divide --tests {tests}: each project has as many")
    if asked.url and not os.environ.get("OPENLAYER_API_KEY"):
        parser.error("--url needs the platform's key in OPENLAYER_API_KEY")
    if missing := _missing(asked):
        parser.error(f"{missing}: pip install '.[benchmark]', or name the peers that are there with --peers")
    with tempfile.TemporaryDirectory() as folder:
        results = measure(Path(folder), asked, _Teller())
    print(_tables(results))
    if asked.write:
        _write(results)


def _missing(asked: argparse.Namespace) -> str:
    """What needs a library that is not there, and which; empty where all of them are."""
    needed = {f"the peer {peer}": LIBRARIES[peer] for peer in asked.peers}
    needed |= {"--write": ("matplotlib",)} if asked.write else {}
    lacking = {what: [name for name in names if find_spec(name) is None] for what, names in needed.items()}
    return "; ".join(f"{what} needs {' and '.join(names)}" for what, names in lacking.items() if names)


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is less than 1")
    return number


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tests", type=_positive, nargs="+", default=[1000], metavar="N", help="how many tests, all together"
    )
    parser.add_argument(
        "--projects", type=_positive, metavar="P", help="with as many tests each; by default projects of 100 tests"
    )
    parser.add_argument("--pipelines", type=_positive, default=2, metavar="L", help="in each project")
    parser.add_argument("--latency", type=int, nargs="+", default=[0], metavar="MS", help="of the emulator's answers")
    parser.add_argument(
        "--url", metavar="URL", help="measure a platform in place of the emulator: one round, in an empty workspace"
    )
    parser.add_argument("--rounds", type=_positive, default=3)
    parser.add_argument("--in-flight", type=_positive, default=16, metavar="N")
    parser.add_argument("--peers", nargs="*", default=list(PEERS), choices=PEERS)
    parser.add_argument("--dbt", metavar="COMMAND", help="dbt-jobs-as-code as one more peer")
    parser.add_argument(
        "--dbt-up-to", type=int, default=1000, metavar="N", help="tests; it needs a minute for each 10,000"
    )
    parser.add_argument("--sweep", action="store_true", help="creates at 50 ms with 8 to 100 requests in flight")
    parser.add_argument(
        "--sweep-tests", type=_positive, nargs="+", default=[10_000], metavar="N", help="how many of them"
    )
    parser.add_argument("--write", action="store_true", help="keep the results, and draw them")
    return parser


def measure(folder: Path, asked: argparse.Namespace, say: scenarios.Say) -> dict[str, Any]:
    """Everything that was asked for, as plain data: ``settings`` and ``ratios``."""
    compile_package()
    say("start-up")
    started = scenarios.startup(folder, max(asked.rounds, 5))
    bare = started["python -c pass"].median_s
    found = {BARE.format(name): started[name].median_s / bare for name in ("--version", "--help")}
    say("reading and comparing alone")
    found |= pure.ratios(folder)
    settings: dict[str, dict[str, dict[str, object]]] = {}
    for latency_ms in asked.latency:
        for tests in asked.tests:
            name = ratios.name_of(tests, latency_ms)
            timings = scenarios.run(_setting(asked, tests, latency_ms), folder / "run", _within(name, say))
            settings[name] = {
                scenario: {"tests": tests, "latency_ms": latency_ms, **timing.to_json()}
                for scenario, timing in timings.items()
            }
    found |= ratios.ratios(settings)
    for tests in asked.sweep_tests if asked.sweep else ():
        size = _size(asked, tests)
        took = scenarios.sweep(folder / "sweep", size, SWEEP_MS, WIDTHS, _within(f"sweep of {tests:,}", say))
        found |= ratios.of_a_sweep(tests, size.resources, SWEEP_MS, took)
    return {"settings": settings, "ratios": found}


def _size(asked: argparse.Namespace, tests: int) -> Size:
    if asked.projects:
        return Size(asked.projects, asked.pipelines, tests // asked.projects)
    return Size(max(1, tests // TESTS_IN_A_PROJECT), asked.pipelines, min(tests, TESTS_IN_A_PROJECT))


def _setting(asked: argparse.Namespace, tests: int, latency_ms: int) -> scenarios.Setting:
    peers = set(asked.peers) if tests <= SEQUENTIAL_UP_TO[latency_ms > 0] else {"floor"} & set(asked.peers)
    if latency_ms:  # Their stand-ins have none.
        peers.discard("octodns")
    elif asked.dbt and tests <= asked.dbt_up_to:
        peers.add("dbt")
    rounds = asked.rounds if tests <= ROUNDS_UP_TO and not asked.url else 1
    return scenarios.Setting(
        _size(asked, tests), latency_ms, rounds, asked.in_flight, frozenset(peers), asked.dbt, asked.url
    )


class _Teller:
    """Say on stderr what goes on, and since when."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, what: str) -> None:
        print(f"{time.monotonic() - self._began:7.1f} s  {what}", file=sys.stderr, flush=True)


def _within(name: str, say: scenarios.Say) -> scenarios.Say:
    return lambda what: say(f"{name}: {what}")


def _tables(results: Mapping[str, Any]) -> str:
    return f"{report.goals_table(results['ratios'], GOALS)}\n{report.table(results['settings'])}"


def _write(results: dict[str, Any]) -> None:
    """Keep the results beside those of the same day that they do not replace."""
    now = datetime.now(UTC)
    folder = ROOT / "benchmarks" / "results"
    folder.mkdir(exist_ok=True)
    file = folder / f"{now:%Y-%m-%d}.json"
    if file.exists():
        results = ratios.together(json.loads(file.read_text(encoding="utf-8")), results)
    about = {
        "when": now.isoformat(timespec="seconds"),
        "python": platform.python_version(),
        "machine": platform.machine(),
    }
    file.write_text(json.dumps({**about, **results}, indent=1) + "\n", encoding="utf-8")
    (folder / "table.md").write_text(_tables(results), encoding="utf-8")
    report.picture(results["settings"], ROOT / "docs" / "performance.png")


if __name__ == "__main__":
    main()
