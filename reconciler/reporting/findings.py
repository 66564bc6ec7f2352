"""Turn a mistake into what the formats of all CI systems need: a sentence and a fingerprint.  Pure."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence

from reconciler.errors import Problem
from reconciler.model.values import counted


def sentence(problem: Problem) -> str:
    """The mistake without its place, for formats that hold the place elsewhere: ``path: what; hint``."""
    what = f"{problem.path}: {problem.message}" if problem.path else problem.message
    return what + (f"; {problem.hint}" if problem.hint else "")


def told_of(problems: Sequence[Problem]) -> str:
    """How many mistakes and warnings there are: ``2 problems and 1 warning in the manifests``."""
    errors = sum(problem.is_error for problem in problems)
    warnings = len(problems) - errors
    told = [counted(errors, "problem")] if errors else []
    told += [counted(warnings, "warning")] if warnings else []
    return f"{' and '.join(told) or 'No problems'} in the manifests"


def fingerprinted(problems: Sequence[Problem]) -> Iterator[tuple[Problem, str]]:
    """Each problem with a SHA-256 in hex of its file, path and message.

    The position is left out, so that it stays when lines move; the same mistake twice in a file gets two
    fingerprints, by order.
    """
    seen: Counter[tuple[str, str, str]] = Counter()
    for problem in problems:
        key = (problem.file, problem.path, problem.message)
        text = json.dumps([*key, seen[key]])
        seen[key] += 1
        yield problem, hashlib.sha256(text.encode()).hexdigest()
