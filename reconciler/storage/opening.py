"""Turn the place that an Environment or the operator names into a state store.  Touches: nothing until it is used.

A backend, and the library it needs, is imported only when an address asks for it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path

from reconciler.errors import SettingsInvalid
from reconciler.model.places import BUCKETS, DATABASES, WEB, parse_place
from reconciler.model.provider import StateStore
from reconciler.storage.file import FileStore

FOLDER = ".reconciler"


def open_store(
    url: str | None,
    environment: str,
    *,
    root: Path,
    environ: Mapping[str, str],
    now: Callable[[], datetime],
    job: str = "",
) -> StateStore:
    """The store of one environment at ``url``: a folder relative to ``root``, or an address.

    None is the folder ``.reconciler``.  ``environ`` holds the process environment: credentials, endpoints, and which
    origins they may be sent to.  ``now`` gives an aware datetime, for showing only; ``job`` is the CI job's URL.
    Raises SettingsInvalid for a place that cannot be used, and UsageInvalid for a name of an environment that could
    lead out of it.
    """
    try:
        place = parse_place(url or FOLDER)
    except ValueError as error:
        raise SettingsInvalid(f"the address of the state cannot be used: {error}") from None
    if place.scheme == "file":
        return FileStore(root / place.path, environment, now=now, job=job)
    if place.scheme in BUCKETS:
        from reconciler.storage.object_store import ObjectStateStore

        return ObjectStateStore(place, environment, environ=environ, now=now, job=job)
    if place.scheme in WEB:
        from reconciler.storage.http import HttpStateStore

        return HttpStateStore(place, environment, environ=environ, now=now, job=job)
    if place.scheme in DATABASES:
        from reconciler.storage.postgres import PostgresStore

        return PostgresStore(place.url, environment, environ=environ, now=now, job=job)
    raise AssertionError(f"an address may begin with {place.scheme}://, and no store is opened for it")
