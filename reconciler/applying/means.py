"""What the applier is given: what it works with, and what is wanted and known when it begins."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path

from msgspec import Struct, field

from reconciler.model.kind import AnyKind
from reconciler.model.outcome import StepOutcome
from reconciler.model.plan import FieldChange, Step
from reconciler.model.provider import Clock, Provider
from reconciler.model.resource import Address, Live, LiveObject, Resource
from reconciler.model.state import Record, State
from reconciler.model.values import Fields

Lacking = Callable[[Address, Fields, LiveObject, Fields, Mapping[Address, str]], tuple[FieldChange, ...]]


class Means(Struct, frozen=True):
    """What the applier works with.

    ``write`` makes one journal record durable; ``confirm`` raises when this run must not write to the platform any
    more, because somebody broke its lock.  ``new_op`` gives an unguessable operation id.  ``window_s`` is the
    uncertainty window: how long an abandoned request may still take effect and stay invisible.  ``lacking`` compares
    what a create has made with what is wanted (``planning.found``).  ``marked`` says whether objects get the ownership
    marker.  ``root`` is the folder that paths of files are relative to.  ``stop`` is set when nothing new may start,
    and nobody may wait any longer.
    """

    providers: Mapping[str, Provider]
    kinds: Mapping[str, AnyKind]
    clock: Clock
    write: Callable[[Record], Awaitable[None]]
    confirm: Callable[[], Awaitable[None]]
    new_op: Callable[[], str]
    window_s: Callable[[Provider], float]
    lacking: Lacking
    marked: bool = True
    parallelism: int = 16
    root: Path = field(default_factory=Path)
    stop: asyncio.Event = field(default_factory=asyncio.Event)
    on_start: Callable[[Step], None] = lambda _: None
    on_end: Callable[[Step, StepOutcome], None] = lambda _, __: None
    on_wait: Callable[[str], None] = lambda _: None


class Known(Struct, frozen=True):
    """What is wanted and known when the run starts.  ``ids`` holds the remote id of every known address.

    ``live`` was read from the monotonic second ``read_at`` on.  ``home`` is where the manifests' names start, from the
    top of the checkout.
    """

    resources: Mapping[Address, Resource]
    state: State
    live: Live
    ids: Mapping[Address, str]
    read_at: float
    home: str = "."
