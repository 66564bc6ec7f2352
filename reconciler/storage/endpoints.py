"""Decide which servers a backend may speak to, from the process environment alone.  Pure.

An address in a manifest comes through a pull request.  So plain http, which shows credentials to the network, is for
this very computer or where ``RECONCILER_ALLOW_HTTP`` permits it, and a credential goes only to an origin that the
environment names.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from reconciler.errors import SettingsInvalid
from reconciler.model.places import is_loopback, parse_place

ALLOW_HTTP = "RECONCILER_ALLOW_HTTP"
_YES = {"1", "true", "yes"}


def checked_endpoint(name: str, text: str, environ: Mapping[str, str]) -> str:
    """The address in the variable ``name`` without its trailing slash.  Raises SettingsInvalid, not repeating it."""
    try:
        place = parse_place(text)
    except ValueError as error:
        raise SettingsInvalid(f"{name}: {error}") from None
    if place.scheme not in ("http", "https"):
        raise SettingsInvalid(f"{name} is not an address that begins with https://")
    require_private(place.url, name, environ)
    return place.url


def allows_http(environ: Mapping[str, str]) -> bool:
    """Whether plain http may be spoken to any computer."""
    return environ.get(ALLOW_HTTP, "").strip().lower() in _YES


def require_private(url: str, what: str, environ: Mapping[str, str]) -> None:
    """Raise SettingsInvalid for plain http to another computer, unless the environment allows it."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if parts.scheme == "https" or is_loopback(host) or allows_http(environ):
        return
    raise SettingsInvalid(
        f"{what} is a plain http address, which would send credentials and state readable over the network to {host}: "
        f"use https, or set {ALLOW_HTTP}=1"
    )


def origin(name: str, environ: Mapping[str, str]) -> str:
    """The origin of the address in the variable ``name``; "" when it holds none."""
    text = environ.get(name, "").strip()
    try:
        place = parse_place(text) if text else None
    except ValueError as error:
        raise SettingsInvalid(f"{name}: {error}") from None
    return place.origin if place and place.scheme in ("http", "https") else ""
