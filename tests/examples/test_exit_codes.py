"""The README's table of exit codes holds every code that an error of ours ends a run with, and no others of ours."""

from __future__ import annotations

import re
from pathlib import Path

from reconciler import errors
from reconciler.errors import ReconcilerError

README = Path(__file__).resolve().parents[2] / "README.md"
NO_ERRORS = {0, 2, 4, 5, 141, 143}
"""Done, changes, steps that did not work, gates that failed, an answer that nobody read, and the second of two signals
that share an error: the first four are told in full before the run ends with them."""


def test_the_readme_lists_every_exit_code() -> None:
    section = README.read_text(encoding="utf-8").partition("## Exit codes")[2].partition("\n## ")[0]
    listed = {int(code) for cell in re.findall(r"^\| ([\d, ]+) \|", section, re.MULTILINE) for code in cell.split(",")}
    classes = [each for each in vars(errors).values() if isinstance(each, type) and issubclass(each, ReconcilerError)]
    assert listed == {each.exit_code for each in classes} | NO_ERRORS
    assert {8, 9} <= listed
