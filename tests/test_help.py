"""Help is there at once: showing it loads click and nothing that is only needed to run a command."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from reconciler.cli.main import COMMANDS

CHECKOUT = Path(__file__).resolve().parents[1]
HEAVY = ("deepdiff", "httptools", "httpx", "pydantic", "yaml")
SCRIPT = """
import json, sys
from reconciler.cli.main import main
found = {}
for command in sys.argv[2:]:
    main([command, "--help"])
    found[command] = [name for name in sys.argv[1].split(",") if name in sys.modules]
print(json.dumps(found))
"""


def test_no_help_loads_a_heavy_library() -> None:
    """All of them in one process, so that the first to load one is named with it."""
    arguments = [sys.executable, "-c", SCRIPT, ",".join(HEAVY), *COMMANDS]
    done = subprocess.run(arguments, cwd=CHECKOUT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout.splitlines()[-1])
    assert found == {command: [] for command in COMMANDS}
