"""A vendor whose server runs in this very process: the embedded emulator behind ``--env local``."""

from __future__ import annotations

import asyncio
from typing import Any
from urllib.parse import urlsplit

import httpx

from reconciler.model.kind import Vendor
from reconciler.model.provider import Clock
from reconciler.model.values import Secret
from reconciler.providers.http import Observe, RestProvider

ORIGIN = "http://emulator.invalid"
"""Never resolved: requests go to the application, not to a network (RFC 2606 reserves ``.invalid``)."""


def connect_in_process(
    vendor: Vendor,
    app: Any,
    *,
    clock: Clock,
    parallelism: int,
    observe: Observe | None = None,
    stop: asyncio.Event | None = None,
) -> RestProvider:
    """A provider that calls the ASGI application ``app``."""
    return RestProvider(
        vendor,
        base_url=ORIGIN + urlsplit(vendor.base_url).path,
        credential=Secret("local"),
        clock=clock,
        transport=httpx.ASGITransport(app=app),
        parallelism=parallelism,
        observe=observe,
        stop=stop,
    )
