"""Ask for the lists of roots while the manifests are still being parsed.  Touches: disk, network, state; reads only.

    the bytes of all files ──► a glance: which environment, which vendors ──► the state ──► the lists of roots ──┐
               └──► parsed, in a thread beside that ───────────────────────────────► plan: what is in the roots ◄┘

So the round trips of connecting and of the first lists pass while the processor is busy with YAML.  What makes it safe:

* Nothing is asked for that ``plan`` would not ask for, nor twice: something of the vendor is declared, so its roots are
  listed, whatever else the manifests say.  Lists inside of roots wait: what they bring would be in memory together
  with all that parsing leaves behind.
* Only for commands that hold no lock.  What an apply decides by, it reads under the lock and not before.
* Where a glance does not tell for sure where to ask, or there is no key, or no place for the state, nothing is read
  ahead, and what is wrong is said by whoever would have said it.  Invalid manifests are told before anything that the
  platform has answered, and as if it had never been asked.
* The event loop stays in the main thread, where signals arrive; the thread that parses touches nothing but its result.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final

from msgspec.structs import replace

from reconciler.concurrency import all_of
from reconciler.errors import ApiError, ReconcilerError, StateUnreadable
from reconciler.manifests.validator import Sources, glance, sources_of
from reconciler.model.kind import Vendor
from reconciler.pipeline.origins import check_origins
from reconciler.pipeline.session import LOCAL, Ahead, Hooks, Request, Session, load_manifests
from reconciler.providers import VENDORS
from reconciler.providers.reader import read_roots
from reconciler.settings import Settings

WORTH: Final = range(256 * 1024, 16 * 1024 * 1024)
"""Bytes of all manifests.  Fewer are parsed within a round trip; beside more, the state should not be in memory too."""


@asynccontextmanager
async def session_ahead(request: Request, settings: Settings, hooks: Hooks | None = None) -> AsyncIterator[Session]:
    """As ``session``, for commands that ``plan`` and hold no lock: what they will ask for is read ahead."""
    opened = await _opened(request, settings, hooks or Hooks())
    try:
        yield opened
    finally:
        await opened.close()


async def _opened(request: Request, settings: Settings, hooks: Hooks) -> Session:
    sources = sources_of(request.paths, request.root)
    held: list[dict[str, Any]] = []
    here = await _aimed(request, settings, replace(hooks, event=held.append), sources)
    if here is None:
        loaded = load_manifests(request, settings, sources)
        return Session(request, settings, hooks, loaded.environment, loaded.desired)
    try:
        loaded = await asyncio.to_thread(load_manifests, request, settings, sources)
    except BaseException:
        await here.close()
        raise
    here.desired, here.hooks = loaded.desired, hooks
    for event in held:
        hooks.event(event)
    return here


async def _aimed(request: Request, settings: Settings, hooks: Hooks, sources: Sources) -> Session | None:
    """A session without manifests that has begun to read; None where nothing shall be read ahead."""
    if sources.size not in WORTH or request.environment == LOCAL:
        return None
    found = glance(
        sources,
        root=request.root,
        vendors=VENDORS,
        environment=request.environment,
        variables=request.variables,
        environ_variables=settings.variables,
    )
    if found is None or not found.vendors:
        return None
    here = Session(request, settings, hooks, found.environment)
    try:
        here.store  # noqa: B018 - opened here, as are the connections: two threads had better not import at once
        for vendor in found.vendors:
            await here.provider(vendor)
    except ReconcilerError:
        await here.close()
        return None
    here.begin_ahead(_reading(here, found.vendors))
    return here


async def _reading(here: Session, vendors: Sequence[Vendor]) -> Ahead:
    """Raises StateUnreadable where there is no state to be had."""
    state = here.store.load()
    ahead = Ahead(state, here.clock.monotonic())
    providers = [here.providers[vendor.name] for vendor in vendors]
    before = sum(each.requests for each in providers)
    try:
        check_origins(state, {each.vendor.name: each.origin for each in providers}, here)
        for lists in await all_of(read_roots(each, here.clock) for each in providers):
            ahead.lists |= lists
    except StateUnreadable:
        pass  # it belongs to another platform, which is not asked: plan says so
    except ApiError as error:
        ahead.failure = error
    ahead.requests = sum(each.requests for each in providers) - before
    return ahead
