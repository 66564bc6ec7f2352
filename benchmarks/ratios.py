"""Turn measurements into ratios by name.  Pure.

``settings`` are ``{name of a setting: {scenario: its figures}}``, as the results file has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

Settings = Mapping[str, Mapping[str, Mapping[str, Any]]]

PAIRS = (
    ("plan, no changes", "SDK script, plan"),
    ("plan, no changes", "octoDNS, plan"),
    ("plan, no changes", "dbt-jobs-as-code, plan"),
    ("plan, no changes", "floor: the same reads, bare"),
    ("plan, unchanged files", "plan, no changes"),
    ("apply, create all", "SDK script, create"),
    ("apply, create all", "octoDNS, create"),
    ("apply, create all", "dbt-jobs-as-code, create"),
    ("apply, create all", "floor: the same creates, bare"),
)
PEERS = ("SDK", "octoDNS", "dbt", "floor")


def name_of(tests: int, latency_ms: int) -> str:
    """How a setting is called."""
    return f"{tests:,} tests, {latency_ms} ms"


def ratio_name(tests: int, latency_ms: int, ours: str, theirs: str) -> str:
    """How the ratio of two scenarios' medians is called."""
    return f"{name_of(tests, latency_ms)}: {ours} / {theirs}"


def peak_name(tests: int, scenario: str) -> str:
    """How the peak memory of a scenario without latency is called."""
    return f"{tests:,} tests: peak MB of {scenario}"


def growth_name(tests: int, figure: str) -> str:
    """How the growth to ten times as many is called; ``figure`` is ``time`` or ``memory``."""
    return f"{tests:,} to {10 * tests:,} tests: worst growth in {figure} / linear"


def share_name(tests: int, width: int) -> str:
    """How the share is called that creating reaches of what 50 ms of latency alone allow."""
    return f"create {tests:,} at 50 ms, {width} in flight: share of the limit"


def rise_name(tests: int) -> str:
    """How the least change in throughput from one number in flight to the next is called."""
    return f"create {tests:,} at 50 ms, more in flight: least change in throughput"


def ratios(settings: Settings) -> dict[str, float]:
    """All that follow from whole processes."""
    found: dict[str, float] = {}
    for scenarios in settings.values():
        for ours, theirs in PAIRS:
            if ours in scenarios and theirs in scenarios:
                tests, latency_ms = scenarios[ours]["tests"], scenarios[ours]["latency_ms"]
                ratio = scenarios[ours]["median_s"] / scenarios[theirs]["median_s"]
                found[ratio_name(tests, latency_ms, ours, theirs)] = ratio
        plan = scenarios.get("plan, no changes")
        if plan is not None and not plan["latency_ms"]:
            found[peak_name(plan["tests"], "plan, no changes")] = plan["peak_mb"]
    for smaller, larger in _tenfold(settings, latency_ms=0):
        tests = next(iter(smaller.values()))["tests"]
        for figure, key in (("time", "median_s"), ("memory", "peak_mb")):
            worst = max(growth(smaller, larger, key).items(), key=lambda each: each[1], default=None)
            if worst is not None:
                found[growth_name(tests, figure)] = worst[1]
    return found


def together(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Two runs' results, ``settings`` and ``ratios``: what both hold is as the later one has it."""
    settings = {**before["settings"], **now["settings"]}
    return {"settings": settings, "ratios": {**before["ratios"], **ratios(settings), **now["ratios"]}}


def growth(smaller: Mapping[str, Any], larger: Mapping[str, Any], key: str) -> dict[str, float]:
    """By what each scenario of ours grows faster than linearly with ten times as many tests; 1 is linear."""
    return {
        scenario: larger[scenario][key] / smaller[scenario][key] / 10
        for scenario in larger
        if scenario in smaller and not scenario.startswith(PEERS)
    }


def _tenfold(settings: Settings, *, latency_ms: int) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
    for scenarios in settings.values():
        each = next(iter(scenarios.values()))
        larger = settings.get(name_of(10 * each["tests"], latency_ms))
        if each["latency_ms"] == latency_ms and larger is not None:
            yield scenarios, larger


def of_a_sweep(tests: int, resources: int, latency_ms: int, took: Mapping[int, float]) -> dict[str, float]:
    """Shares of the limit by number in flight, and what more in flight does to the throughput."""
    found = {
        share_name(tests, width): resources / width * latency_ms / 1000 / seconds for width, seconds in took.items()
    }
    steps = [took[fewer] / took[more] for fewer, more in pairwise(sorted(took))]
    return found | ({rise_name(tests): min(steps)} if steps else {})
