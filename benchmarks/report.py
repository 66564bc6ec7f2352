"""Turn results into a table of ratios and a picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

RATIOS = (
    ("plan, no changes", "SDK script, plan"),
    ("plan, no changes", "octoDNS, plan"),
    ("plan, no changes", "floor: the same reads, bare"),
    ("plan, unchanged files", "plan, no changes"),
    ("apply, create all", "SDK script, create"),
    ("apply, create all", "octoDNS, create"),
    ("apply, create all", "floor: the same creates, bare"),
)


def table(settings: Mapping[str, Mapping[str, Any]]) -> str:
    """Markdown: one block for each size and latency, its scenarios and its ratios."""
    blocks = []
    for name, scenarios in settings.items():
        rows = [
            f"| {scenario} | {each['min_s']:.2f} | {each['median_s']:.2f} | {each['max_s']:.2f} | {each['cpu_s']:.2f} "
            f"| {each['peak_mb']:.0f} | {_requests(each.get('requests'))} |"
            for scenario, each in scenarios.items()
        ]
        ratios = [
            f"| {ours} / {theirs} | {scenarios[ours]['median_s'] / scenarios[theirs]['median_s']:.2f} |"
            for ours, theirs in RATIOS
            if ours in scenarios and theirs in scenarios
        ]
        blocks.append("\n".join([
            f"### {name}\n",
            "| | min s | median s | max s | CPU s | peak MB | requests |",
            "|---|--:|--:|--:|--:|--:|---|",
            *rows, "", *(["| ratio of medians | |", "|---|--:|", *ratios, ""] if ratios else []),
        ]))  # fmt: skip
    return "\n".join(blocks)


def _requests(counts: Mapping[str, int] | None) -> str:
    return ", ".join(f"{count:,} {method}" for method, count in sorted(counts.items())) if counts else ""


def picture(settings: Mapping[str, Mapping[str, Any]], path: Path) -> None:
    """Seconds over the number of tests, both logarithmic; settings without latency only."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot

    lines: dict[str, list[tuple[int, float]]] = {}
    for scenarios in settings.values():
        for scenario, each in scenarios.items():
            if not each["latency_ms"]:
                lines.setdefault(scenario, []).append((each["tests"], each["median_s"]))
    figure, axes = pyplot.subplots(figsize=(10, 5))
    colors = iter(pyplot.get_cmap("tab20").colors)
    for scenario, points in sorted(lines.items(), key=lambda line: -max(seconds for _, seconds in line[1])):
        x, y = zip(*sorted(points), strict=True)
        ours = not scenario.startswith(("SDK", "octoDNS", "floor"))
        style = "-" if ours else "--"
        axes.loglog(x, y, marker="o", label=scenario, linewidth=2 if ours else 1, linestyle=style, color=next(colors))
    axes.set(xlabel="tests", ylabel="seconds, whole process (median)", title="No added latency, one core each")
    axes.grid(visible=True, which="both", alpha=0.3)
    axes.legend(fontsize=8, loc="upper left", bbox_to_anchor=(1.02, 1), title="dashed: peers")
    figure.tight_layout()
    figure.savefig(path, dpi=120)
