"""Twice as many resources are twice as much work, in every function, whatever there is twice as many of.

Work is what Python's own tracing counts, calls and lines; so it is the same on every machine.  A function may do
anything once, and so much for each resource: what it does for the second half of the resources must then be as much
as for the first.  What looks at everything for each resource does three times as much.
"""

from __future__ import annotations

import sys
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

import reconciler
from tests.end_to_end.conftest import Cli, Platform

HOME = f"{Path(reconciler.__file__).parent}/"
SERVER = f"{HOME}emulator/"
TIMING = ("providers/transport.py", "providers/http.py", "providers/rate_limit.py", "applying/journal.py")
"""What arrives or is written together depends on the moment."""

FEW = 6
SHAPES: dict[str, Callable[[int], tuple[int, int, int]]] = {
    "projects": lambda n: (n, 1, 2),
    "pipelines": lambda n: (1, n, 2),
    "tests": lambda n: (1, 2, n),
}
"""How many projects, pipelines in each and tests in each."""
COMMANDS = {
    "validate .": 0,
    "fmt --check .": 1,
    "apply . --yes": 0,
    "plan .": 0,
    "drift .": 0,
    "evaluate . --from 2026-11-01 --to 2026-11-02": 5,
    "evaluate . --from 2026-11-02 --to 2026-11-03 --no-wait": 0,
    "evaluate . --from 2026-11-02 --to 2026-11-03": 5,
    "status .": 5,
    "history": 0,
    "plan ../changed --out ../plan.json": 0,
    "plan ../changed --format markdown": 0,
    "plan ../changed --replay 30d": 0,
    "apply ../changed --yes": 0,
    "plan ../less": 0,
    "export --out ../exported": 0,
    "state list": 0,
    "destroy --yes": 0,
}
"""With the code that each ends with: nothing was streamed, so no test passes."""


@pytest.mark.parametrize("shape", SHAPES)
def test_work_grows_as_the_workspace_does(shape: str, cli: Cli, platform: Platform) -> None:
    _worked(cli, platform, shape, 2)  # what is done once for a process
    few, more, most = (_worked(cli, platform, shape, FEW * times) for times in (1, 2, 4))
    for command in COMMANDS:
        assert _steeper(few[command], more[command], most[command]) == {}, command


Work = Counter[tuple[str, str]]
"""Calls and lines by (file, function)."""


def _steeper(few: Work, more: Work, most: Work) -> dict[tuple[str, str], tuple[int, int, int]]:
    """The functions that do more for the last half of the resources than for as many before, and how much."""
    return {
        place: (few[place], more[place], count)
        for place, count in most.items()
        if place[0] not in TIMING
        and count - more[place] > 1.3 * 2 * (more[place] - few[place])
        and count - more[place] > most.total() / 100
    }


def _worked(cli: Cli, platform: Platform, shape: str, size: int) -> dict[str, Work]:
    """What each command does in a workspace of this size."""
    platform.renew()
    outer = cli.folder
    here = outer / f"{shape}-{size}-{len(list(outer.iterdir()))}"
    projects, pipelines, tests = SHAPES[shape](size)
    for name, least, most in (("here", 1, tests), ("changed", 2, tests), ("less", 1, tests // 2)):
        (here / name).mkdir(parents=True)
        for number in range(projects):
            text = _project(number, pipelines, most, least)
            (here / name / f"{number:03}.yaml").write_text(text, encoding="utf-8")
    cli.folder = here / "here"
    found: dict[str, Work] = {}
    for command, code in COMMANDS.items():
        found[command] = Counter()
        with _counting(found[command]):
            cli(*command.split(), code=code)
    cli.folder = outer
    return found


def _project(number: int, pipelines: int, tests: int, least: int) -> str:
    name = f"project-{number:03}"
    head = f"apiVersion: openlayer/v1\nkind: Project\nmetadata: {{name: {name}}}\nspec:\n  taskType: llm-base\n"
    places = "".join(f"    - name: place-{each:03}\n" for each in range(pipelines))
    threshold = f'{{insightName: metrics, measurement: rowCount, operator: ">=", value: {least}}}'
    rows = "".join(
        f"    - {{name: test {each:03}, type: integrity, subtype: rowCount, thresholds: [{threshold}]}}\n"
        for each in range(tests)
    )
    return f"{head}  pipelines:\n{places}  tests:\n{rows}"


@contextmanager
def _counting(work: Work) -> Iterator[None]:
    """Count what our own code does, in this thread and those that it starts, but for the emulator's."""
    counters: dict[CodeType, Callable[..., Any] | None] = {}
    counts: list[tuple[tuple[str, str], list[int]]] = []

    def counter_of(code: CodeType) -> Callable[..., Any] | None:
        if not code.co_filename.startswith(HOME) or code.co_filename.startswith(SERVER):
            return None
        count = [0]  # one cell for each function: this runs for every line, and a look into a table would double it
        counts.append(((code.co_filename.removeprefix(HOME), code.co_name), count))

        def on_line(*_: Any) -> Any:
            count[0] += 1
            return on_line

        return on_line

    def on_call(frame: FrameType, *_: Any) -> Any:
        try:
            counter = counters[frame.f_code]
        except KeyError:
            counter = counters[frame.f_code] = counter_of(frame.f_code)
        return counter and counter()

    before, before_in_threads = sys.gettrace(), threading.gettrace()
    threading.settrace(on_call)
    sys.settrace(on_call)
    try:
        yield
    finally:
        sys.settrace(before)
        threading.settrace(before_in_threads)
        for place, count in counts:
            work[place] += count[0]
