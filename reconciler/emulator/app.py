"""Put the vendors' APIs behind one door: the only module that knows all of them."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import cast

from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Mount
from starlette.types import ASGIApp

from reconciler.emulator.database import Database
from reconciler.emulator.digitalocean import application as digitalocean
from reconciler.emulator.digitalocean import spaces
from reconciler.emulator.digitalocean.quota import QuotaDoor
from reconciler.emulator.digitalocean.seed import Seed
from reconciler.emulator.digitalocean.storage import Store
from reconciler.emulator.digitalocean.wire import PREFIX
from reconciler.emulator.faults import Faults, FaultScript, ListForm
from reconciler.emulator.openlayer import application as openlayer
from reconciler.emulator.openlayer.wire import Dialect
from reconciler.emulator.rest import ErrorBody
from reconciler.emulator.throttle import Throttle

_LONGEST_PAGE_OF_DIGITALOCEAN = 200


class _Doors(Starlette):
    """An application without middleware: each vendor answers errors in its own words behind its door."""

    def build_middleware_stack(self) -> ASGIApp:
        return self.router


def create_app(
    database: str | Path = ":memory:",
    *,
    api_key: str | None = None,
    dialect: str = "",
    latency_s: float = 0.0,
    rate_per_s: float | None = None,
    faults: FaultScript | None = None,
    now: Callable[[], float] = time.time,
    page_cap: int | None = None,
    seed: Seed | None = None,
    quotas: bool = True,
) -> Starlette:
    """The emulator as an ASGI application: Openlayer answers under ``/v1``, DigitalOcean under ``/v2/gen-ai``.

    ``api_key`` is the only bearer accepted; None accepts any.  ``dialect``, of Openlayer: ``""`` as it documents its
    API, ``"seed"`` as the older third-party spec does.  ``page_cap`` is the most items that one page holds (default:
    the vendor's own).  ``seed``, of DigitalOcean: what its account holds; the default one fills a new database only.
    Without ``quotas`` nobody is held back by a limit that a vendor has for all of its users.
    The rate of ``rate_per_s`` is each vendor's own.

    Needs no lifespan.  ``app.state.database.close()`` closes the file; so does the end of the process.
    ``app.state.digitalocean`` is the ``Console`` of its account.  Raises ValueError for another dialect, and OSError or
    sqlite3.Error when the file cannot be used.
    """
    if dialect not in ("", "seed"):
        raise ValueError(f'there is no dialect "{dialect}"; there are "" and "seed"')
    opened, script = Database(database), faults or FaultScript([])
    spoken, account = cast(Dialect, dialect), seed or Seed()
    store = Store(opened, seed, now())

    def behind_a_door(vendor: ASGIApp, error_body: ErrorBody, lists: ListForm | None = None) -> Throttle:
        faulty = Faults(vendor, script, error_body=error_body, lists=lists)
        return Throttle(faulty, latency_s=latency_s, rate_per_s=rate_per_s, now=now, error_body=error_body)

    first = openlayer.build(opened, api_key=api_key, dialect=spoken, now=now, page_cap=page_cap or 100)
    longest = min(page_cap or _LONGEST_PAGE_OF_DIGITALOCEAN, _LONGEST_PAGE_OF_DIGITALOCEAN)
    second = digitalocean.build(store, account, api_key=api_key, now=now, page_cap=longest)
    door: ASGIApp = behind_a_door(second, digitalocean.error_body, digitalocean.LISTS)
    if quotas and account.quota is not None:
        door = QuotaDoor(door, account.quota, now=now, error_body=digitalocean.error_body)
    app = _Doors(
        routes=[
            Mount("/v1", app=behind_a_door(first, openlayer.error_body(spoken))),
            Mount(PREFIX, app=door),
            Mount(spaces.PATH, app=behind_a_door(spaces.build(store, now), digitalocean.error_body)),
        ]
    )
    app.router.redirect_slashes = False
    app.router.default = PlainTextResponse("Not Found", 404)
    app.state.database = opened
    app.state.digitalocean = digitalocean.Console(store, now)
    return app
