"""The README's table of exit codes holds every code that a run of ours ends with, and no others."""

from __future__ import annotations

import re
from pathlib import Path

from reconciler import errors
from reconciler.errors import ExitCode, ReconcilerError

README = Path(__file__).resolve().parents[2] / "README.md"
TERMINATED = 143
"""What SIGTERM ends a run with: 128 plus its number, as for INTERRUPTED."""


def test_the_readme_lists_every_exit_code() -> None:
    section = README.read_text(encoding="utf-8").partition("## Exit codes")[2].partition("\n## ")[0]
    listed = {int(code) for cell in re.findall(r"^\| ([\d, ]+) \|", section, re.MULTILINE) for code in cell.split(",")}
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ReconcilerError)]
    assert listed == {*ExitCode, TERMINATED}
    assert {each.exit_code for each in classes} <= listed
