"""Turn environment variables into Settings: read once, at the start, and passed down.  Pure.

Everything that decides where a credential goes comes from here and never from a manifest: a pull request must not be
able to send the key to another server, nor to read other variables than those made for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from reconciler.errors import SettingsInvalid
from reconciler.model.kind import Vendor
from reconciler.model.places import is_loopback
from reconciler.model.proxies import Proxy, names_proxy, proxy_to
from reconciler.model.values import Secret, parse_duration

VARIABLE_PREFIX = "RECONCILER_VAR_"
ALLOW_HTTP = "RECONCILER_ALLOW_HTTP"
STATE_URL = "RECONCILER_STATE_URL"
CACHE = "RECONCILER_CACHE"
UNCERTAINTY_WINDOW = "RECONCILER_UNCERTAINTY_WINDOW"
_YES = {"1", "true", "yes"}
_NO = {"", "0", "false", "no"}


class Ci(Struct, frozen=True):
    """Where the run takes place, as far as the CI system tells.  Texts are empty when it does not.

    ``system`` is "github", "gitlab" or "".  ``summary_file`` and ``output_file`` are the files that GitHub reads;
    ``workspace`` is the folder of the checkout, which places in reports are relative to.
    """

    system: str = ""
    job_url: str = ""
    summary_file: str = ""
    output_file: str = ""
    workspace: str = ""


@dataclass(frozen=True)
class Settings:
    """What the process environment says.

    ``variables`` holds ``RECONCILER_VAR_*`` by full name: all of the environment that manifests may read.
    ``uncertainty_window_s`` is None when nobody set it.  ``ca_file`` is ``SSL_CERT_FILE``, or None.
    ``state_url`` is where states are kept when no Environment says so; None for the local folder.
    ``cache_folder`` is where what manifests meant may be kept from run to run, None for nowhere.
    Credentials and addresses are asked for by ``credential``, ``base_url`` and ``dialect``, one vendor at a time.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    ci: Ci = field(default_factory=Ci)
    uncertainty_window_s: int | None = None
    allow_http: bool = False
    ca_file: str | None = None
    state_url: str | None = None
    cache_folder: str | None = None
    _environ: Mapping[str, Secret] = field(default_factory=dict, repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Settings:
        """Read everything but the vendors' own variables.  Raises SettingsInvalid, naming the variable."""
        return cls(
            variables=MappingProxyType({k: v for k, v in environ.items() if k.startswith(VARIABLE_PREFIX)}),
            ci=_ci(environ),
            uncertainty_window_s=_window(environ),
            allow_http=_switch(environ, ALLOW_HTTP),
            ca_file=environ.get("SSL_CERT_FILE") or None,
            state_url=environ.get(STATE_URL, "").strip() or None,
            cache_folder=_cache_folder(environ),
            _environ=MappingProxyType({name: Secret(value) for name, value in environ.items()}),
        )

    def get(self, name: str) -> Secret:
        """The value of any variable, wrapped: it may be a credential.  Empty when it is not set."""
        return self._environ.get(name, Secret(""))

    def plain(self) -> dict[str, str]:
        """Every variable as it is, credentials too: for a state backend that reads its own.  Never to be shown."""
        return {name: value.reveal() for name, value in self._environ.items()}

    def names_proxy(self) -> bool:
        """Whether some address could be reached through a proxy."""
        return names_proxy(self.plain())

    def proxy_to(self, url: str) -> Proxy | None:
        """The proxy that an absolute address is reached through, if any.  Raises SettingsInvalid for a useless one."""
        return proxy_to(url, self.plain())

    def uncertainty_window(self, base_url: str) -> int:
        """Seconds that a lost create may still turn up in, at this server.

        The variable's, else 60, else 5 on this very computer, where nothing lingers in networks.
        """
        if self.uncertainty_window_s is not None:
            return self.uncertainty_window_s
        return 5 if is_loopback(urlsplit(base_url).hostname or "") else 60


def credential(vendor: Vendor, settings: Settings | Mapping[str, str], key_variable: str | None = None) -> Secret:
    """The vendor's API key.  Raises SettingsInvalid before anything is sent.

    ``key_variable`` is the variable that an Environment manifest names instead of the vendor's own; it must carry
    the vendor's prefix, so that no manifest can have another secret sent to the vendor.
    """
    name = vendor.key_variable if key_variable is None else _permitted(vendor, key_variable)
    key = _value(settings, name)
    if not key.reveal().strip():
        raise SettingsInvalid(f"{name} is not set: put the API key for {vendor.name} into this environment variable")
    if re.search(r"[^\x21-\x7e]", key.reveal()):
        raise SettingsInvalid(
            f"{name} contains a space, a line break or another character that no API key has: copy the key again"
        )
    return key


def base_url(vendor: Vendor, settings: Settings | Mapping[str, str]) -> str:
    """The vendor's API address without a trailing slash: the variable's, or the vendor's own.

    Raises SettingsInvalid unless it is an absolute https address without user, query and fragment.  Plain http is
    for this very computer, or where ``RECONCILER_ALLOW_HTTP`` permits it: it shows the key to the network.
    """
    name = vendor.url_variable
    text = _value(settings, name).reveal().strip() or vendor.base_url
    parts = _absolute(name, text)
    if parts.username is not None or parts.password is not None:
        raise SettingsInvalid(
            f"{name} contains a user name or a password: only {vendor.key_variable} may hold a secret"
        )
    if parts.query or parts.fragment or text.endswith(("?", "#")):
        raise SettingsInvalid(f"{name} contains a query or a fragment: give the address up to the path only")
    host = parts.hostname or ""
    if parts.scheme == "http" and not is_loopback(host) and not _http_allowed(settings):
        raise SettingsInvalid(
            f"{name} is a plain http address, which would send the key readable over the network to {host}: "
            f"use https, or set {ALLOW_HTTP}=1"
        )
    return text.rstrip("/")


def dialect(vendor: Vendor, settings: Settings | Mapping[str, str]) -> str:
    """How the vendor's server speaks; "" for the official way.  Raises SettingsInvalid for an unknown dialect."""
    if not vendor.dialect_variable:
        return ""
    spoken = _value(settings, vendor.dialect_variable).reveal().strip()
    if spoken and spoken not in vendor.dialects:
        known = ", ".join(filter(None, vendor.dialects))
        raise SettingsInvalid(f"{vendor.dialect_variable} names an unknown dialect: leave it unset, or use {known}")
    return spoken


# ------------------------------------------------------------------------------------------------- parts


def _value(settings: Settings | Mapping[str, str], name: str) -> Secret:
    return settings.get(name) if isinstance(settings, Settings) else Secret(settings.get(name, ""))


def _http_allowed(settings: Settings | Mapping[str, str]) -> bool:
    return settings.allow_http if isinstance(settings, Settings) else _switch(settings, ALLOW_HTTP)


def _permitted(vendor: Vendor, name: str) -> str:
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise SettingsInvalid(f"apiKey.fromEnv names {name!r}, which is not the name of an environment variable")
    others = (vendor.url_variable, vendor.dialect_variable)
    if not name.startswith(vendor.prefix) or name in others:
        raise SettingsInvalid(
            f"apiKey.fromEnv names {name}, which may not hold a key for {vendor.name}: "
            f"use a variable such as {vendor.key_variable}_STAGING, starting with {vendor.prefix}"
        )
    return name


def _absolute(name: str, text: str) -> SplitResult:
    invalid = SettingsInvalid(f"{name} is not an absolute http or https address such as https://api.example.com/v1")
    if re.search(r"[^\x21-\x7e]|\\", text):
        raise invalid
    try:
        parts = urlsplit(text)
        usable = parts.port != 0 and bool(parts.hostname)
    except ValueError as exc:
        raise invalid from exc
    if not usable or parts.scheme not in ("http", "https"):
        raise invalid
    return parts


def _window(environ: Mapping[str, str]) -> int | None:
    text = environ.get(UNCERTAINTY_WINDOW, "").strip()
    try:
        return parse_duration(text) if text else None
    except ValueError as exc:
        raise SettingsInvalid(f"{UNCERTAINTY_WINDOW} is not a duration: {exc}") from exc


def _switch(environ: Mapping[str, str], name: str) -> bool:
    text = environ.get(name, "").strip().lower()
    if text not in _YES | _NO:
        raise SettingsInvalid(f"{name} is neither 1 nor 0")
    return text in _YES


def _cache_folder(environ: Mapping[str, str]) -> str | None:
    """``RECONCILER_CACHE`` (a folder, or ``off``), else the user's cache folder; none in CI, whose machines forget.

    Never a folder of the working directory: who can write there could change what a manifest means.  The places are
    those of the XDG base directory specification, 0.8.
    """
    asked = environ.get(CACHE, "")
    if asked:
        return None if asked.lower() in {"off", *_NO} else asked
    base, home = environ.get("XDG_CACHE_HOME", ""), environ.get("HOME", "")
    if environ.get("CI") or not (base.startswith("/") or home.startswith("/")):
        return None
    return f"{base if base.startswith('/') else f'{home}/.cache'}/reconciler"


def _ci(environ: Mapping[str, str]) -> Ci:
    """GitHub's and GitLab's own variables.  Sources: their documentation of default variables, 2026-11."""

    def get(name: str) -> str:
        return "".join(filter(str.isprintable, environ.get(name, "")))

    if get("GITHUB_ACTIONS") == "true":
        run = f"{get('GITHUB_SERVER_URL')}/{get('GITHUB_REPOSITORY')}/actions/runs/{get('GITHUB_RUN_ID')}"
        return Ci(
            system="github",
            job_url=run if get("GITHUB_SERVER_URL") and get("GITHUB_RUN_ID") else "",
            summary_file=get("GITHUB_STEP_SUMMARY"),
            output_file=get("GITHUB_OUTPUT"),
            workspace=get("GITHUB_WORKSPACE"),
        )
    return Ci(
        system="gitlab" if get("GITLAB_CI") else "",
        job_url=get("CI_JOB_URL"),
        workspace=get("CI_PROJECT_DIR") if get("GITLAB_CI") else "",
    )
