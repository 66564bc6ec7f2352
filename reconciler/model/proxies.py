"""Find in the process environment the proxy that an address is reached through.  Pure.

The rules are those of curl.  For http only the variable in lower case counts: a web server hands ``HTTP_PROXY``
to its programs from a header that a stranger wrote (httpoxy, CVE-2016-5385).
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from reconciler.errors import SettingsInvalid
from reconciler.model.places import is_loopback, origin_of
from reconciler.model.values import Secret

NO_PROXY = "NO_PROXY"
_FOR_ALL = ("all_proxy", "ALL_PROXY")
_VARIABLES = {"https": ("https_proxy", "HTTPS_PROXY", *_FOR_ALL), "http": ("http_proxy", *_FOR_ALL)}
_PORTS = {"https": 443, "http": 80}


class Proxy(Struct, frozen=True):
    """``url`` is for an HTTP client and may hold a password; as text it is where it is, and the variable."""

    variable: str
    url: Secret
    origin: str

    def __str__(self) -> str:
        return f"{self.origin} ({self.variable})"


def names_proxy(environ: Mapping[str, str]) -> bool:
    """Whether any address could be reached through a proxy."""
    return any(environ.get(name, "").strip() for names in _VARIABLES.values() for name in names)


def proxy_to(url: str, environ: Mapping[str, str]) -> Proxy | None:
    """The proxy for an absolute address; None for the direct way, which is always the one to this very computer.

    Raises SettingsInvalid, naming the variable and nothing of what it holds, for one that cannot be used.
    """
    names = _VARIABLES.get(url.partition("://")[0].lower(), ())
    variable = next((name for name in names if environ.get(name, "").strip()), None)
    if variable is None:
        return None
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or _passes_by(parts, environ.get("no_proxy") or environ.get(NO_PROXY) or ""):
        return None
    return _parsed(variable, environ[variable].strip(), host)


def _passes_by(parts: SplitResult, exceptions: str) -> bool:
    """Whether the host is listed: by name or by a name above it, with a port or without, in a range, or with ``*``."""
    host = (parts.hostname or "").rstrip(".")
    named = (host, f"{host}:{parts.port or _PORTS[parts.scheme]}")
    listed = [each.strip().lower().lstrip(".") for each in exceptions.split(",")]
    return any(
        each == "*" or any(name == each or name.endswith(f".{each}") for name in named) or _is_in(host, each)
        for each in filter(None, listed)
    )


def _is_in(host: str, network: str) -> bool:
    try:
        return ipaddress.ip_address(host) in ipaddress.ip_network(network, strict=False)
    except ValueError:
        return False


def _parsed(variable: str, text: str, host: str) -> Proxy:
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        usable = bool(parts.hostname) and parts.port != 0 and parts.path in ("", "/")
    except ValueError:
        usable = False
    if not usable or parts.query or parts.fragment or re.search(r"[^\x21-\x7e]|\\", url):
        raise SettingsInvalid(
            f"{variable} is not the address of a proxy, such as http://proxy.example.com:3128",
            hint="in its user name and password, what has a meaning in addresses is written as %40 and the like",
        )
    if parts.scheme not in _PORTS:
        raise SettingsInvalid(
            f"{variable} names a proxy of another kind than http:// and https://, which is not spoken here",
            hint=f"name one of those, or list {host} in {NO_PROXY}",
        )
    return Proxy(variable, Secret(url), origin_of(parts))
