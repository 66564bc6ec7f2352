"""Hostile input by the thousand: valid things, damaged where it hurts.  One seed gives one input.

``pytest -m fuzz`` goes on for RECONCILER_FUZZ_SECONDS (an hour by default), shared among the targets, from the seed
RECONCILER_FUZZ_SEED on.  The normal suite takes a taste of each target.
"""

from __future__ import annotations

import copy
import os
import random
import re
import time
from collections.abc import Callable, Sequence
from typing import Any

import pytest

from reconciler.errors import ReconcilerError
from reconciler.reporting.escape import HIDDEN
from reconciler.reporting.text import error_text

SLOWEST_S = 2.0
"""Seconds of this process's time that one input may take."""

NASTY: Sequence[Any] = (
    None, True, False, 0, 1, -1, 2**63, 10**400, 0.1, -0.0, 1e308, float("nan"), float("inf"), "", " ", ".", "..", "/",
    "../../etc/passwd", "%2e%2e", "\x00", "\x1b[31m", "\n::error::x", "\u202e", "\ud800", "x" * 5000, "${var.x}",
    "1", "true", "null", "9" * 5000, "2026-13-45T99:99:99Z", [], {}, [[]], [None], [{}], {"": None},
    {"id": {}}, [1, "a", None, {}],
)  # fmt: skip


class Damage:
    """What one seed does to valid JSON data; ``done`` says it in words."""

    def __init__(self, seed: int) -> None:
        self.dice = random.Random(seed)
        self.done: list[str] = []

    def of(self, data: Any, *, most: int = 3) -> Any:
        """A copy of ``data`` with a few places changed, removed, doubled or exchanged."""
        whole = [copy.deepcopy(data)]
        for _ in range(self.dice.randint(1, most)):
            places = _places(whole)
            path = self.dice.choice(places)
            action = self.dice.choice(("replace", "replace", "remove", "double", "exchange", "deepen", "add"))
            self.done.append(f"{action} {path[1:]}")
            _at_work(whole, path, action, places, self.dice)
        return whole[0]

    def text(self, text: str) -> str:
        """The text with pieces cut out, doubled, moved or replaced by what means something to a reader of YAML."""
        for _ in range(self.dice.randint(1, 6)):
            start = self.dice.randrange(len(text) + 1)
            end = min(len(text), start + self.dice.choice((0, 1, 2, 5, 20, 200)))
            piece = self.dice.choice(
                (*TOKENS, "", text[start:end] * 2, text[start:end][::-1], chr(self.dice.randrange(0xD800)))
            )
            text = text[:start] + piece + text[end:]
        return text


TOKENS = (
    "\n", "  ", "\t", ": ", "- ", "? ", "[", "]", "{", "}", ",", "&a ", "*a", "!t ", "!!python/object:os.system ",
    "<<: *a", "|\n", ">\n", ">= ", "'", '"', "#", "---\n", "...\n", "%YAML 1.2\n", "@", "`", "${var.x}", "${each}",
    "${", "$${", "no", "012", "1:30", "1e999", ".nan", "-.inf", "9" * 400, "\x00", "\x1b", "\u202e", "\ufeff", "\r",
    "\u2028", "\\ud800",
    '"\\x1b"', "name: ", "spec:\n", "[" * 100, "{a: " * 100, "- " * 100, "a" * 2000,
)  # fmt: skip


def _places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of everything inside, without the outermost list."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [each for key, item in inner for each in ((*path, key), *_places(item, (*path, key)))]


def _at_work(
    whole: Any, path: tuple[Any, ...], action: str, places: list[tuple[Any, ...]], dice: random.Random
) -> None:
    holder = _get(whole, path[:-1])
    value = holder[path[-1]]
    match action:
        case "remove" if len(path) > 1:
            del holder[path[-1]]
        case "double" if isinstance(value, list) and value:
            value.append(copy.deepcopy(dice.choice(value)))
        case "exchange":
            holder[path[-1]] = copy.deepcopy(_get(whole, dice.choice(places)))
        case "deepen":
            for _ in range(dice.choice((1, 3, 200))):
                value = [value] if dice.random() < 0.5 else {"a": value}
            holder[path[-1]] = value
        case "add" if isinstance(value, dict):
            value[dice.choice(("", "unknown", "__proto__", "\x1b[2J", "name"))] = copy.deepcopy(dice.choice(NASTY))
        case _:
            holder[path[-1]] = copy.deepcopy(dice.choice(NASTY))


def _get(value: Any, path: tuple[Any, ...]) -> Any:
    for key in path:
        value = value[key]
    return value


Target = Callable[[Damage], None]
Hunt = Callable[[Target], int]


def attempt(target: Target, seed: int) -> None:
    """One input: nothing but our own errors may come out, in time."""
    damage = Damage(seed)
    began = time.process_time()
    shown = ""
    try:
        target(damage)
    except ReconcilerError as error:
        shown = error_text(error, width=100, color=False)
    except Exception as error:
        error.add_note(f"seed {seed}: {'; '.join(damage.done)}")
        raise
    assert not re.search(HIDDEN, shown.replace("\n", "")), f"seed {seed}: {shown!r}"
    took = time.process_time() - began
    assert took < SLOWEST_S, f"seed {seed} took {took:.1f} s: {damage.done}"


@pytest.fixture
def taste() -> Hunt:
    """A hundred inputs, the same in every run."""

    def hunt(target: Target) -> int:
        for seed in range(100):
            attempt(target, seed)
        return 100

    return hunt


@pytest.fixture
def hunt(request: pytest.FixtureRequest) -> Hunt:
    """As many inputs as this target's share of the budget allows; prints how many."""
    shares = sum(item.get_closest_marker("fuzz") is not None for item in request.session.items)
    budget = float(os.environ.get("RECONCILER_FUZZ_SECONDS", "3600")) / max(1, shares)
    first = int(os.environ.get("RECONCILER_FUZZ_SEED", str(time.time_ns() // 1000)))

    def go_on(target: Target) -> int:
        end, seed = time.monotonic() + budget, first
        while time.monotonic() < end or seed == first:
            attempt(target, seed)
            seed += 1
        print(f"\n{request.node.name}: {seed - first:,} inputs from seed {first}")
        return seed - first

    return go_on
