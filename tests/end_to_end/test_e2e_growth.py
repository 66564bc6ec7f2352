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
from tests.end_to_end.conftest import DONE, FAQ, Account, Cli, Doc, Platform

HOME = f"{Path(reconciler.__file__).parent}/"
SERVER = f"{HOME}emulator/"
TIMING = (
    "providers/transport.py",
    "providers/http.py",
    "providers/rate_limit.py",
    "providers/clock.py",
    "applying/journal.py",
)
"""What arrives or is written together depends on the moment, and so does how often somebody looks at the clock."""

FEW = 6
PROJECTS: dict[str, Callable[[int], tuple[int, int, int]]] = {
    "projects": lambda n: (n, 1, 2),
    "pipelines": lambda n: (1, n, 2),
    "tests": lambda n: (1, 2, n),
}
"""How many projects, pipelines in each and tests in each."""
WORKSPACES: dict[str, Callable[[int], tuple[int, int, int]]] = {
    "workspaces": lambda n: (n, 1, 2),
    "datasets": lambda n: (1, n, 2),
    "test cases": lambda n: (1, 2, n),
}
"""How many workspaces, and in each datasets and test cases.  Of agents there are two: each of those that one test case
runs on has its place in the list of the runs of all of them, which is read for each.
"""
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
METRIC = "Correctness (general hallucinations)"
RUNNING = {
    "validate .": 0,
    "apply . --yes": 0,
    "plan .": 0,
    "drift .": 0,
    "evaluate .": 0,
    "status .": 0,
    "history": 0,
    "plan ../changed": 0,
    "apply ../changed --yes": 0,
    "evaluate ../changed --no-wait": 0,
    "plan ../less": 0,
    "state list": 0,
    "destroy --yes": 0,
}
"""Those of DigitalOcean, where every run is successful."""

ODD: dict[str, Callable[[int], list[str]]] = {
    "thresholds": lambda n: [f"    thresholds: [{', '.join(_limit(each) for each in range(n))}]"],
    "contradictions": lambda n: [
        f"    thresholds: [{', '.join(_limit(each, '>= <='.split()[each % 2]) for each in range(n))}]"
    ],
    "measurements": lambda n: [f"    thresholds: [{', '.join(_limit(1, measured=f'm{each}') for each in range(n))}]"],
    "unknown fields": lambda n: ["    thresholds: []", *(f"    k{each}: 1" for each in range(n))],
    "mistaken items": lambda n: ["    thresholds: []", f"    pipelines: [{', '.join(str(each) for each in range(n))}]"],
}
"""What the one test of a project may have many of: lines of YAML."""
FINE = ("thresholds", "contradictions", "measurements")

Work = Counter[tuple[str, str]]
"""Calls and lines by (file, function)."""
Worked = dict[str, Work]
"""By command."""


@pytest.mark.parametrize("shape", PROJECTS)
def test_work_grows_as_the_projects_do(shape: str, cli: Cli, platform: Platform) -> None:
    def worked(size: int) -> Worked:
        platform.renew()
        projects, pipelines, tests = PROJECTS[shape](size)
        variants = {
            name: {f"{number:03}.yaml": _project(number, pipelines, most, least) for number in range(projects)}
            for name, least, most in (("here", 1, tests), ("changed", 2, tests), ("less", 1, tests // 2))
        }
        return _worked(cli, f"{shape}-{size}", variants, COMMANDS)

    _grows_with_the_size(worked)


@pytest.mark.parametrize("shape", WORKSPACES)
def test_work_grows_as_the_workspaces_do(shape: str, care: Cli, account: Account) -> None:
    def worked(size: int) -> Worked:
        workspaces, datasets, cases = WORKSPACES[shape](size)
        account.renew(workspaces=[_with_agents(number) for number in range(workspaces)])
        variants = {
            name: {"faq.csv": FAQ}
            | {f"{number:03}.yaml": _workspace(number, datasets, most, least) for number in range(workspaces)}
            for name, least, most in (("here", 50, cases), ("changed", 60, cases), ("less", 50, max(cases // 2, 1)))
        }
        return _worked(care, f"{shape}-{size}", variants, RUNNING)

    _grows_with_the_size(worked)


@pytest.mark.parametrize("odd", ODD)
def test_work_grows_as_what_is_odd_in_one_manifest_does(odd: str, cli: Cli) -> None:
    """A stranger's pull request can hold as much of it as fits into a file."""

    def worked(size: int) -> Worked:
        files = {"here": {"project.yaml": _odd_project(ODD[odd](8 * size))}}
        return _worked(cli, f"{odd}-{size}", files, {"validate .": 0 if odd in FINE else 1})

    _grows_with_the_size(worked)


def _grows_with_the_size(worked: Callable[[int], Worked]) -> None:
    worked(2)  # what is done once for a process
    few, more, most = (worked(FEW * times) for times in (1, 2, 4))
    for command in most:
        assert _steeper(few[command], more[command], most[command]) == {}, command


def _steeper(few: Work, more: Work, most: Work) -> dict[tuple[str, str], tuple[int, int, int]]:
    """The functions that do more for the last half of the resources than for as many before, and how much."""
    return {
        place: (few[place], more[place], count)
        for place, count in most.items()
        if place[0] not in TIMING
        and count - more[place] > 1.3 * 2 * (more[place] - few[place])
        and count - more[place] > most.total() / 100
    }


def _worked(cli: Cli, name: str, variants: dict[str, dict[str, str]], commands: dict[str, int]) -> Worked:
    """What each command does; it runs in the variant ``here`` of the files, beside the others."""
    outer = cli.folder
    for variant, files in variants.items():
        (outer / name / variant).mkdir(parents=True)
        for file, text in files.items():
            (outer / name / variant / file).write_text(text, encoding="utf-8")
    cli.folder = outer / name / "here"
    found: Worked = {}
    for command, code in commands.items():
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


def _odd_project(lines: list[str]) -> str:
    head = "apiVersion: openlayer/v1\nkind: Project\nmetadata: {name: odd}\nspec:\n  taskType: llm-base\n  tests:\n"
    return "\n".join([f"{head}  - name: test", "    type: integrity", "    subtype: rowCount", *lines, ""])


def _limit(value: int, operator: str = ">=", measured: str = "rowCount") -> str:
    return f'{{insightName: metrics, measurement: {measured}, operator: "{operator}", value: {value}}}'


def _with_agents(number: int) -> Doc:
    """A workspace that was there before."""
    return {
        "name": f"workspace-{number:03}",
        "agents": [{"name": f"agent-{number:03}-{each:03}", "run_states": DONE} for each in range(2)],
    }


def _workspace(number: int, datasets: int, cases: int, least: int) -> str:
    name = f"workspace-{number:03}"
    head = f"apiVersion: digitalocean/v1\nkind: Workspace\nmetadata: {{name: {name}}}\nspec:\n"
    files = "".join(f"    - {{name: faq-{number:03}-{each:03}, file: faq.csv}}\n" for each in range(datasets))
    star = f"metrics: [{METRIC}], starMetric: {{name: {METRIC}, threshold: {least}}}"
    tests = "".join(
        f"    - {{name: case {each:03}, dataset: faq-{number:03}-{each % datasets:03}, {star}}}\n"
        for each in range(cases)
    )
    asked = ", ".join(f"agent-{number:03}-{each:03}" for each in range(2))
    runs = "".join(
        f"    - {{name: run {each:03}, testCase: case {each:03}, agents: [{asked}]}}\n" for each in range(cases)
    )
    return f"{head}  datasets:\n{files}  testCases:\n{tests}  runs:\n{runs}"


OTHERS: dict[int, CodeType] = {}
"""Code that is not ours, by its id: to find it by itself Python would hash all that it holds, at every call."""


@contextmanager
def _counting(work: Work) -> Iterator[None]:
    """Count what our own code does, in this thread and those that it starts, but for the emulator's."""
    counters: dict[int, Callable[..., Any] | None] = dict.fromkeys(OTHERS)
    counts: list[tuple[CodeType, list[int]]] = []

    def counter_of(code: CodeType) -> Callable[..., Any] | None:
        if not code.co_filename.startswith(HOME) or code.co_filename.startswith(SERVER):
            OTHERS[id(code)] = code
            return None
        count = [0]  # one cell for each function: this runs for every line, and a look into a table would double it
        counts.append((code, count))

        def on_line(_frame: FrameType, _event: str, _argument: Any) -> Any:
            count[0] += 1
            return on_line

        return on_line

    def on_call(frame: FrameType, event: str, argument: Any) -> Any:
        code = frame.f_code
        try:
            counter = counters[id(code)]
        except KeyError:
            counter = counters[id(code)] = counter_of(code)
        return None if counter is None else counter(frame, event, argument)

    before, before_in_threads = sys.gettrace(), threading.gettrace()
    threading.settrace(on_call)
    sys.settrace(on_call)
    try:
        yield
    finally:
        sys.settrace(before)
        threading.settrace(before_in_threads)
        for code, count in counts:
            work[code.co_filename.removeprefix(HOME), code.co_name] += count[0]
