"""Figures of all worlds that were lived through, told at the end of the run."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict

import pytest

from tests.simulation.world import Tally

TALLY = "simulation"
_began = time.monotonic()
_total = Tally()
_told = 0


@pytest.fixture
def keep_figures(record_property: Callable[[str, object], None]) -> Callable[[Tally], None]:
    """Add figures to those of the whole run; properties reach the process that reports, also under xdist."""

    def keep(tally: Tally) -> None:
        record_property(TALLY, {**asdict(tally), "faults": dict(tally.faults), "deeds": dict(tally.deeds)})

    return keep


def pytest_runtest_logreport(report: pytest.TestReport) -> None:
    """Collect figures, and say now and then how far the many worlds are."""
    global _told
    if report.when != "call":
        return
    for name, value in report.user_properties:
        if name == TALLY and isinstance(value, dict):
            _total.add(Tally.from_json(value))
    if _total.worlds >= _told + 1000:
        _told = _total.worlds - _total.worlds % 1000
        print(f"\n{_total.worlds} schedules after {time.monotonic() - _began:.0f} s", flush=True)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line about everything."""
    if _total.worlds:
        terminalreporter.write_line(f"simulation: {_total}; {time.monotonic() - _began:.0f} s")
