"""What is measured: every scenario of one size at one latency, ours and the peers', one after the other in a round."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.processes import CLI, KEY, Run, Timing, emulator, environ, measured, requests_of, serving
from benchmarks.world import Size, write_manifests

PYTHON = sys.executable

Say = Callable[[str], None]
Found = Iterator[tuple[str, Run]]


@dataclass(frozen=True)
class Setting:
    """One size at one latency.  ``peers`` names those to run beside us; ``dbt`` is the command of dbt-jobs-as-code.

    ``url`` is a platform in place of the emulator; its key stands in OPENLAYER_API_KEY.
    """

    size: Size
    latency_ms: int
    rounds: int
    in_flight: int
    peers: frozenset[str]
    dbt: str | None = None
    url: str | None = None


def startup(folder: Path, rounds: int) -> dict[str, Timing]:
    """How long it takes to say nothing much."""
    commands = {
        "python -c pass": (PYTHON, "-c", "pass"),
        "--version": (*CLI, "--version"),
        "--help": (*CLI, "--help"),
    }
    runs: dict[str, list[Run]] = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            runs[name].append(measured(command, folder, environ()))
    return {name: Timing(tuple(each)) for name, each in runs.items()}


def run(setting: Setting, folder: Path, say: Say) -> dict[str, Timing]:
    """Every scenario by name.

    Each candidate runs once a round, on a platform that is new in each round, so that a slow minute of the machine hits
    all of them.  Requests are counted in the first round.
    """
    runs: dict[str, list[Run]] = {}
    requests: dict[str, Mapping[str, int]] = {}
    for number in range(setting.rounds):
        for name, one in _round(setting, folder, requests if number == 0 else None):
            say(f"round {number + 1} of {setting.rounds}: {name}: {one.wall_s:.2f} s")
            runs.setdefault(name, []).append(one)
    return {name: Timing(tuple(each), requests.get(name)) for name, each in runs.items()}


def _round(setting: Setting, folder: Path, requests: dict[str, Mapping[str, int]] | None) -> Found:
    shutil.rmtree(folder, ignore_errors=True)
    for name, changed in (("same", 0.0), ("few", 0.01), ("all", 1.0)):
        write_manifests(folder / name, setting.size, changed=changed)
    with _platform(setting) as (url, key):
        yield from _ours(setting, folder, url, key, requests)
    if setting.url is not None:
        return
    for name, peer, command in _peers_that_write(setting.size, setting.in_flight):
        if peer in setting.peers:
            with serving(emulator(f"{setting.latency_ms}ms")) as url:
                yield name, measured((*command, url, KEY), folder, environ())
    if "octodns" in setting.peers:
        yield from _octodns(setting.size, folder)
    if "dbt" in setting.peers and setting.dbt is not None:
        yield from _dbt(setting.size, folder, setting.dbt)


@contextmanager
def _platform(setting: Setting) -> Iterator[tuple[str, str]]:
    """The address and the key of an empty platform, for a ``with`` block."""
    if setting.url is not None:
        yield setting.url, os.environ["OPENLAYER_API_KEY"]
        return
    with serving(emulator(f"{setting.latency_ms}ms")) as url:
        yield url, KEY


def _ours(setting: Setting, folder: Path, url: str, key: str, requests: dict[str, Mapping[str, int]] | None) -> Found:
    """Our commands in the order of a workspace's life, and between them the peers that read what we have made.

    What was made at a platform that is not the emulator's is removed in the end.
    """
    here = environ(OPENLAYER_BASE_URL=url, OPENLAYER_API_KEY=key)
    cached = {**here, "RECONCILER_CACHE": str(folder / "cache")}
    flags = ("--parallelism", str(setting.in_flight))

    def counted(name: str, *arguments: str) -> Run:
        if requests is None:
            return measured([*CLI, *arguments, *flags], folder, here)
        one, requests[name] = requests_of([*arguments, *flags], folder, here)
        return one

    yield (name := "apply, create all"), counted(name, "apply", "same", "--yes")
    measured([*CLI, "plan", "same", *flags], folder, cached)  # fills the cache
    yield "validate", measured([*CLI, "validate", "same"], folder, here)
    yield (name := "plan, no changes"), measured([*CLI, "plan", "same", *flags], folder, here)
    if requests is not None:
        counted(name, "plan", "same")
    yield "plan, unchanged files", measured([*CLI, "plan", "same", *flags], folder, cached)
    yield "plan, 1 % changed", measured([*CLI, "plan", "few", *flags], folder, here)
    yield "plan, 100 % changed", measured([*CLI, "plan", "all", *flags], folder, here)
    for name, peer, command in _peers_that_read(setting.size, setting.in_flight):
        if peer in setting.peers:
            yield name, measured((*command, url, key), folder, environ())
    # From another folder on, the manifests are others' for the state: the update is made where they were created.
    shutil.rmtree(folder / "same")
    shutil.copytree(folder / "all", folder / "same")
    yield (name := "apply, update all"), counted(name, "apply", "same", "--yes")
    if setting.url is not None:
        measured([*CLI, "destroy", "same", "--yes", *flags], folder, here)


def _peers_that_read(size: Size, in_flight: int) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    yield "floor: the same reads, bare", "floor", (*_module("floor"), "plan", *_shape(size, in_flight))
    yield "SDK script, plan", "sdk", (*_module("sdk"), "plan", "same")


def _peers_that_write(size: Size, in_flight: int) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    yield "floor: the same creates, bare", "floor", (*_module("floor"), "create", *_shape(size, in_flight))
    # Both folders have the same tests by now, with other values.
    yield "SDK script, create", "sdk", (*_module("sdk"), "create", "same")


def _module(peer: str) -> tuple[str, ...]:
    return PYTHON, "-m", f"benchmarks.peers.{peer}"


def _shape(size: Size, in_flight: int) -> tuple[str, ...]:
    return str(size.projects), str(size.pipelines), str(size.tests), str(in_flight)


def _octodns(size: Size, folder: Path) -> Found:
    zone = str(folder / "zone")
    measured((*_module("octodns"), "write", zone, str(size.all_tests)), folder, environ())
    with serving((*_module("octodns"), "serve")) as url:
        yield "octoDNS, create", measured((*_module("octodns"), "apply", zone, url), folder, environ())
        yield "octoDNS, plan", measured((*_module("octodns"), "plan", zone, url), folder, environ())


def _dbt(size: Size, folder: Path, command: str) -> Found:
    jobs = str(folder / "jobs.yml")
    measured((*_module("dbt"), "write", jobs, str(size.all_tests)), folder, environ())
    with serving((*_module("dbt"), "serve")) as url:
        here = environ(DBT_BASE_URL=url, DBT_API_KEY=KEY)
        yield "dbt-jobs-as-code, create", measured((command, "sync", jobs), folder, here)
        yield "dbt-jobs-as-code, plan", measured((command, "plan", jobs), folder, here)


def sweep(folder: Path, size: Size, latency_ms: int, widths: Sequence[int], say: Say) -> dict[int, float]:
    """For each number of requests in flight, the seconds that a first apply takes."""
    took: dict[int, float] = {}
    for width in widths:
        shutil.rmtree(folder, ignore_errors=True)
        write_manifests(folder / "same", size)
        with serving(emulator(f"{latency_ms}ms")) as url:
            here = environ(OPENLAYER_BASE_URL=url, OPENLAYER_API_KEY=KEY)
            one = measured([*CLI, "apply", "same", "--yes", "--parallelism", str(width)], folder, here)
        say(f"{width} in flight at {latency_ms} ms: {one.wall_s:.2f} s")
        took[width] = one.wall_s
    return took
