"""Refuse to write a report, events or a plan over a file that the run itself needs, or over each other.

Touches: disk, reading only.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Mapping, Sequence
from pathlib import Path

from reconciler.cli.streams import is_stream
from reconciler.errors import UsageInvalid

_OF_A_STATE = re.compile(r"(.+?)\.(state\.json|state\.json\.backup|journal\.jsonl|lock|history\.db)")


def check_places(places: Mapping[str, str], paths: Sequence[str], plan_file: str = "") -> None:
    """Raise UsageInvalid for a place that is a manifest under ``paths`` or named in one, or of the state or the plan,
    and for a file that two of the places lead to.

    ``places`` are files by the option that names them.
    """
    taken: dict[object, str] = {}
    for option, file in places.items():
        which = _which(Path(file))
        if which in taken:
            raise UsageInvalid(f"{option}: {taken[which]} goes to the same file", hint="name another file")
        taken |= {which: option} if which else {}
        if role := _role(Path(file), paths, plan_file):
            raise UsageInvalid(f"{option}: {role}", hint="name another file")


def _role(place: Path, paths: Sequence[str], plan_file: str) -> str:
    from reconciler.manifests.inputs import read_as
    from reconciler.storage.opening import FOLDER

    real = Path(os.path.realpath(place))
    if Path(os.path.realpath(FOLDER)) in real.parents:
        return "in the folder of the state"
    if _is_of_a_state(real):
        return "a part of the state beside it"
    if plan_file and real == Path(os.path.realpath(plan_file)):
        return "the plan that is applied"
    return read_as(real, paths, Path.cwd())


def _which(place: Path) -> object:
    """What two ways to one file have in common; None for what takes any number of outputs: a pipe, our own streams."""
    try:
        found = place.stat()
    except OSError:
        return os.path.realpath(place)
    return (found.st_dev, found.st_ino) if stat.S_ISREG(found.st_mode) and not is_stream(place) else None


def _is_of_a_state(real: Path) -> bool:
    """Whether this is named as what a state consists of, in a folder that holds that state."""
    match = _OF_A_STATE.fullmatch(real.name)
    return match is not None and real.with_name(f"{match[1]}.state.json").exists()
