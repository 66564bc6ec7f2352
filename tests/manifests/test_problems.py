"""Every case folder in tests/problems says which problems its manifests have, word by word.

A case is a folder of manifests, ``problems.txt`` with what is said of them, and where needed ``options.json``
(environment, variables, environ, paths).  Set RECONCILER_UPDATE_CASES=1 to write down what is said now.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from reconciler.errors import ManifestsInvalid, UsageInvalid
from reconciler.manifests.validator import load
from reconciler.providers.digitalocean import DIGITALOCEAN
from reconciler.providers.openlayer import OPENLAYER

CASES = Path(__file__).parent.parent / "problems"


@pytest.mark.parametrize("case", sorted(path.name for path in CASES.iterdir() if path.is_dir()))
def test_what_is_said_of_a_mistake(case: str) -> None:
    """File, line, column, path, what is wrong and what to do stand exactly as in ``problems.txt``."""
    folder = CASES / case
    said = _said_of(folder)
    expected = folder / "problems.txt"
    if os.environ.get("RECONCILER_UPDATE_CASES") == "1":
        expected.write_text(said, encoding="utf-8")
    assert said == expected.read_text(encoding="utf-8")


def _said_of(folder: Path) -> str:
    options_file = folder / "options.json"
    options = json.loads(options_file.read_text(encoding="utf-8")) if options_file.exists() else {}
    try:
        loaded = load(
            options.get("paths", ["."]),
            root=folder,
            vendors=[OPENLAYER, DIGITALOCEAN],
            environment=options.get("environment"),
            variables=options.get("variables", {}),
            environ_variables=options.get("environ", {}),
        )
    except ManifestsInvalid as error:
        return f"{error}\n"
    except UsageInvalid as error:
        return f"usage: {error}; {error.hint}\n"
    warnings = "".join(f"warning: {warning}\n" for warning in loaded.warnings)
    return f"{warnings}{len(loaded.desired)} declared\n"
