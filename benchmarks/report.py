"""Turn results into tables and a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.goals import Goal
from benchmarks.ratios import PEERS, Settings, growth, name_of

_HEAD = ("min s", "median s", "max s", "CPU s", "peak MB", "requests")


def table(settings: Settings) -> str:
    """Markdown: one block for each size and latency.

    ``s x`` and ``MB x`` say how much faster than linearly a scenario grew from a tenth as many tests.
    """
    return "\n".join(_block(name, scenarios, settings) for name, scenarios in settings.items())


def _block(name: str, scenarios: Mapping[str, Any], settings: Settings) -> str:
    first = next(iter(scenarios.values()))
    smaller = settings.get(name_of(first["tests"] // 10, first["latency_ms"]), {})
    grown = [growth(smaller, scenarios, key) for key in ("median_s", "peak_mb")] if smaller else []
    rows = [
        [
            scenario,
            *(f"{each[key]:.2f}" for key in ("min_s", "median_s", "max_s", "cpu_s")),
            f"{each['peak_mb']:.0f}",
            _requests(each.get("requests")),
            *(f"{ratio[scenario]:.2f}" if scenario in ratio else "" for ratio in grown),
        ]
        for scenario, each in scenarios.items()
    ]
    return "\n".join([f"### {name}\n", *_markdown(("", *_HEAD, *(("s x", "MB x") if grown else ())), rows), ""])


def goals_table(found: Mapping[str, float], goals: Sequence[Goal]) -> str:
    """Markdown: every goal and whether this run has reached it, then the ratios that have no goal."""
    rows = [[goal.ratio, *_verdict(goal, found.get(goal.ratio))] for goal in goals]
    with_goal = {goal.ratio for goal in goals}
    rows += [[name, f"{value:.4g}", "", ""] for name, value in found.items() if name not in with_goal]
    return "\n".join(_markdown(("ratio", "measured", "goal", "reached"), rows)) + "\n"


def _verdict(goal: Goal, value: float | None) -> tuple[str, str, str]:
    if value is None:
        return "", str(goal), "not measured"
    return f"{value:.4g}", str(goal), "yes" if goal.is_reached(value) else "**no**"


def _markdown(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a table; what is not the first column is figures, to the right."""
    return [f"| {' | '.join(row)} |" for row in (head, ("---", *("--:" for _ in head[1:])), *rows)]


def _requests(counts: Mapping[str, int] | None) -> str:
    return ", ".join(f"{count:,} {method}" for method, count in sorted(counts.items())) if counts else ""


def picture(settings: Settings, path: Path) -> None:
    """Seconds over the number of tests, both logarithmic; settings without latency only.  Peers are dashed."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot, ticker

    lines: dict[str, list[tuple[int, float]]] = {}
    for scenarios in settings.values():
        for scenario, each in scenarios.items():
            if not each["latency_ms"]:
                lines.setdefault(scenario, []).append((each["tests"], each["median_s"]))
    figure, axes = pyplot.subplots(figsize=(11, 6.5))
    colors = iter(pyplot.get_cmap("tab20").colors)
    for scenario, points in sorted(lines.items(), key=lambda line: -max(line[1])[1]):
        x, y = zip(*sorted(points), strict=True)
        is_peer = scenario.startswith(PEERS)
        style: dict[str, Any] = {"linestyle": "--", "linewidth": 1.2} if is_peer else {"linewidth": 2.2}
        axes.loglog(x, y, marker="s" if is_peer else "o", markersize=5, label=scenario, color=next(colors), **style)
    axes.set(xlabel="tests", ylabel="seconds, whole process (median)", title="No added latency, one core each")
    axes.set_xticks(sorted({tests for points in lines.values() for tests, _ in points}))
    axes.xaxis.set_major_formatter(ticker.StrMethodFormatter("{x:,.0f}"))
    axes.xaxis.set_minor_formatter(ticker.NullFormatter())
    axes.yaxis.set_major_formatter(ticker.StrMethodFormatter("{x:g}"))
    axes.grid(visible=True, which="major", alpha=0.5)
    axes.grid(visible=True, which="minor", alpha=0.15)
    axes.legend(fontsize=9, loc="upper left", bbox_to_anchor=(1.02, 1), title="dashed: peers")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
