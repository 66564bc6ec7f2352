"""What is measured is what somebody would have who installed it."""

from __future__ import annotations

import subprocess
import sys

from benchmarks.processes import ROOT, compile_package, environ

COMPILES_OURS = """\
import sys
told = []
sys.addaudithook(lambda event, args: told.append(args[1]) if event == "compile" else None)
import reconciler.pipeline.planning
print(*[each for each in told if isinstance(each, str) and "/reconciler/" in each])
"""


def test_no_process_compiles_our_modules() -> None:
    compile_package()
    shown = subprocess.run(
        (sys.executable, "-c", COMPILES_OURS), env=environ(), cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == []
