"""What is measured: every scenario of one size at one latency, ours and the peers', round by round in turn."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.processes import CLI, KEY, Run, Timing, emulator, environ, measured, requests_of, serving
from benchmarks.world import Size, write_manifests

PYTHON = sys.executable


@dataclass(frozen=True)
class Setting:
    """One size at one latency.  ``peers`` names those to run beside us."""

    size: Size
    latency_ms: int
    rounds: int
    in_flight: int
    peers: frozenset[str]
    say: Callable[[str], None]


def startup(folder: Path, rounds: int) -> dict[str, Timing]:
    """How long it takes to say nothing much."""
    commands = {
        "python -c pass": (PYTHON, "-c", "pass"),
        "--version": (*CLI, "--version"),
        "--help": (*CLI, "--help"),
    }
    return _in_turn(
        {name: lambda c=command: measured(c, folder, environ()) for name, command in commands.items()}, rounds
    )  # type: ignore[misc]


def run(setting: Setting, folder: Path) -> dict[str, Timing]:
    """Every scenario by name."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, changed in (("same", 0.0), ("few", 0.01), ("all", 1.0)):
        write_manifests(folder / name, setting.size, changed=changed)
    with ExitStack() as stack:
        url = stack.enter_context(serving(emulator(f"{setting.latency_ms}ms")))
        found = _ours(setting, folder, url)
        found |= _peers_that_read(setting, folder, url)
    found |= _peers_that_write(setting, folder)
    if "octodns" in setting.peers and not setting.latency_ms:
        found |= _octodns(setting, folder)
    return found


def _ours(setting: Setting, folder: Path, url: str) -> dict[str, Timing]:
    here = environ(OPENLAYER_BASE_URL=url, OPENLAYER_API_KEY=KEY)
    cached = {**here, "RECONCILER_CACHE": str(folder / "cache")}
    flags = ("--parallelism", str(setting.in_flight))
    found: dict[str, Timing] = {}

    def once(name: str, *arguments: str) -> None:
        setting.say(name)
        one, requests = requests_of([*arguments, *flags], folder, here)
        found[name] = Timing((one,), requests)

    once("apply, create all", "apply", "same", "--yes")
    measured([*CLI, "plan", "same", *flags], folder, cached)  # fills the cache
    reads = {
        "validate": lambda: measured([*CLI, "validate", "same"], folder, here),
        "plan, no changes": lambda: measured([*CLI, "plan", "same", *flags], folder, here),
        "plan, unchanged files": lambda: measured([*CLI, "plan", "same", *flags], folder, cached),
        "plan, 1 % changed": lambda: measured([*CLI, "plan", "few", *flags], folder, here),
        "plan, 100 % changed": lambda: measured([*CLI, "plan", "all", *flags], folder, here),
    }
    setting.say("plans")
    found |= _in_turn(reads, setting.rounds)
    _, requests = requests_of(["plan", "same", *flags], folder, here)
    found["plan, no changes"] = Timing(found["plan, no changes"].runs, requests)
    # From another folder on, the manifests are others' for the state: the update is made where they were created.
    shutil.rmtree(folder / "same")
    (folder / "all").rename(folder / "same")
    once("apply, update all", "apply", "same", "--yes")
    return found


def _peers_that_read(setting: Setting, folder: Path, url: str) -> dict[str, Timing]:
    size = setting.size
    shape = (str(size.projects), str(size.pipelines), str(size.tests), str(setting.in_flight))
    commands = {
        "floor: the same reads, bare": ("floor", (PYTHON, "-m", "benchmarks.peers.floor", "plan", *shape, url, KEY)),
        "SDK script, plan": ("sdk", (PYTHON, "-m", "benchmarks.peers.sdk", "plan", "same", url, KEY)),
    }
    setting.say("peers that read")
    asked = {name: command for name, (peer, command) in commands.items() if peer in setting.peers}
    return _in_turn(_measuring(asked, folder), setting.rounds if size.all_tests <= 1000 else 1)


def _peers_that_write(setting: Setting, folder: Path) -> dict[str, Timing]:
    size = setting.size
    shape = (str(size.projects), str(size.pipelines), str(size.tests), str(setting.in_flight))
    found: dict[str, Timing] = {}
    for name, peer, command in (
        ("floor: the same creates, bare", "floor", ("benchmarks.peers.floor", "create", *shape)),
        ("SDK script, create", "sdk", ("benchmarks.peers.sdk", "create", "same")),
    ):
        if peer in setting.peers:
            setting.say(name)
            with serving(emulator(f"{setting.latency_ms}ms")) as url:
                found[name] = Timing((measured((PYTHON, "-m", *command, url, KEY), folder, environ()),))
    return found


def _octodns(setting: Setting, folder: Path) -> dict[str, Timing]:
    program, zone = (PYTHON, "-m", "benchmarks.peers.octodns"), str(folder / "zone")
    measured((*program, "write", zone, str(setting.size.all_tests)), folder, environ())
    setting.say("octoDNS")
    with serving((*program, "serve")) as url:
        made = measured((*program, "apply", zone, url), folder, environ())
        plans = tuple(
            measured((*program, "plan", zone, url), folder, environ())
            for _ in range(setting.rounds if setting.size.all_tests <= 1000 else 1)
        )
    return {"octoDNS, create": Timing((made,)), "octoDNS, plan": Timing(plans)}


def sweep(
    folder: Path, size: Size, latency_ms: int, widths: Sequence[int], say: Callable[[str], None]
) -> dict[int, float]:
    """For each number of requests in flight, the share that a first apply reaches of what latency alone allows."""
    reached: dict[int, float] = {}
    for width in widths:
        say(f"{width} in flight at {latency_ms} ms")
        shutil.rmtree(folder, ignore_errors=True)
        write_manifests(folder / "same", size)
        with serving(emulator(f"{latency_ms}ms")) as url:
            here = environ(OPENLAYER_BASE_URL=url, OPENLAYER_API_KEY=KEY)
            took = measured([*CLI, "apply", "same", "--yes", "--parallelism", str(width)], folder, here)
        reached[width] = size.resources / width * latency_ms / 1000 / took.wall_s
    return reached


def _measuring(commands: Mapping[str, Sequence[str]], folder: Path) -> dict[str, Callable[[], Run]]:
    return {name: partial(measured, command, folder, environ()) for name, command in commands.items()}


def _in_turn(candidates: dict[str, Callable[[], Run]], rounds: int) -> dict[str, Timing]:
    """Each candidate once a round, so that a slow minute of the machine hits all of them."""
    found: dict[str, list[Run]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, candidate in candidates.items():
            found[name].append(candidate())
    return {name: Timing(tuple(runs)) for name, runs in found.items()}
