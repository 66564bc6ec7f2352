"""A vendor whose server runs in this very process: the embedded emulator behind ``--env local``."""

from __future__ import annotations

from typing import Any

import httpx

from reconciler.model.kind import Vendor
from reconciler.model.provider import Clock
from reconciler.model.values import Secret
from reconciler.providers.http import Observe, RestProvider

BASE_URL = "http://emulator.invalid/v1"
"""Never resolved: requests go to the application, not to a network (RFC 2606 reserves ``.invalid``)."""


def connect_in_process(
    vendor: Vendor, app: Any, *, clock: Clock, parallelism: int, observe: Observe | None = None
) -> RestProvider:
    """A provider that calls the ASGI application ``app``."""
    return RestProvider(
        vendor,
        base_url=BASE_URL,
        credential=Secret("local"),
        clock=clock,
        transport=httpx.ASGITransport(app=app),
        parallelism=parallelism,
        observe=observe,
    )
