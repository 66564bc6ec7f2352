"""Put the vendors' APIs behind one door: the only module that knows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from starlette.applications import Starlette
from starlette.routing import Mount

from reconciler.emulator.database import Database
from reconciler.emulator.faults import Faults, FaultScript
from reconciler.emulator.openlayer import application as openlayer
from reconciler.emulator.openlayer.wire import Dialect
from reconciler.emulator.throttle import Throttle


def create_app(
    database: str | Path = ":memory:",
    *,
    api_key: str | None = None,
    dialect: str = "",
    latency_s: float = 0.0,
    rate_per_s: float | None = None,
    faults: FaultScript | None = None,
    now: Callable[[], float] = time.time,
    page_cap: int = 100,
) -> Starlette:
    """The emulator as an ASGI application: Openlayer answers under ``/v1``.

    ``api_key`` is the only bearer accepted; None accepts any.  ``dialect``: ``""`` as Openlayer documents its API,
    ``"seed"`` as the older third-party spec does.  ``page_cap`` is the most items that one page holds.  Needs no
    lifespan.  ``app.state.database.close()`` closes the file; so does the end of the process.
    Raises ValueError for another dialect.
    """
    if dialect not in ("", "seed"):
        raise ValueError(f'there is no dialect "{dialect}"; there are "" and "seed"')
    opened = Database(database)
    spoken = cast(Dialect, dialect)
    error_body = openlayer.error_body(spoken)
    vendor = openlayer.build(opened, api_key=api_key, dialect=spoken, now=now, page_cap=page_cap)
    faulty = Faults(vendor, faults or FaultScript([]), error_body=error_body)
    door = Throttle(faulty, latency_s=latency_s, rate_per_s=rate_per_s, now=now, error_body=error_body)
    app = Starlette(routes=[Mount("/v1", app=door)])
    app.router.redirect_slashes = False
    app.state.database = opened
    return app
