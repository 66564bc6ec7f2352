"""What needs no server, in this process: reading manifests and comparing pairs, against PyYAML and DeepDiff."""

from __future__ import annotations

import gc
import json
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.goals import COMPARE, LOAD
from benchmarks.processes import environ, measured
from benchmarks.world import Size, write_manifests

ROUNDS = 3


def ratios(folder: Path) -> dict[str, float]:
    """Each in processes of its own, medians of three rounds."""
    write_manifests(folder / "one", Size(1, 2, 10_000))
    return {
        LOAD: _part("load", folder) / _part("pyyaml", folder),
        COMPARE: _part("compare", folder) / _part("deepdiff", folder),
    }


def _part(name: str, folder: Path) -> float:
    seconds: list[float] = []
    for _ in range(ROUNDS):
        measured(
            (sys.executable, "-m", "benchmarks.pure", name, str(folder / "one"), str(folder / "took")),
            folder,
            environ(),
        )
        seconds.append(json.loads((folder / "took").read_text()))
    return statistics.median(seconds)


def load(folder: Path) -> Callable[[], object]:
    from reconciler.manifests.validator import load as load_manifests
    from reconciler.providers import VENDORS

    return lambda: load_manifests([], root=folder, vendors=VENDORS)


def pyyaml(folder: Path) -> Callable[[], object]:
    import yaml

    text = (folder / "project-0000.yaml").read_text()
    return lambda: yaml.load(text, Loader=yaml.CSafeLoader)


def _pairs() -> list[tuple[dict[str, object], dict[str, object]]]:
    def one(number: int) -> dict[str, object]:
        threshold = {"insightName": "containsPii", "measurement": "rows", "operator": "<=", "value": number}
        return {"name": f"Test {number}", "type": "integrity", "subtype": "containsPii", "thresholds": [threshold]}

    return [(one(number), one(number)) for number in range(2_000)]


def compare(_: Path) -> Callable[[], object]:
    from reconciler.planning.differ import field_changes
    from reconciler.providers import KINDS

    kind, pairs = KINDS["openlayer.Test"], _pairs()
    return lambda: [field_changes(kind, ours, theirs, ours) for ours, theirs in pairs]  # type: ignore[arg-type]


def deepdiff(_: Path) -> Callable[[], object]:
    from deepdiff import DeepDiff

    pairs = _pairs()
    return lambda: [DeepDiff(ours, theirs) for ours, theirs in pairs]


def main(name: str, folder: Path, out: Path) -> None:
    """Time one of them once, without what it imports."""
    work = {"load": load, "pyyaml": pyyaml, "compare": compare, "deepdiff": deepdiff}[name](folder)
    gc.collect()
    began = time.process_time()
    work()
    out.write_text(json.dumps(time.process_time() - began))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
