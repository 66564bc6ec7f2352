"""Turn the text that says where a state is kept into its parts.  Pure.

Such a text stands in manifests, which come through pull requests, so it can hold no credential and no instruction
beyond a name: each backend takes its credentials, and who they may be sent to, from the process environment.
"""

from __future__ import annotations

import ipaddress
import re
from typing import Final
from urllib.parse import SplitResult, parse_qsl, urlsplit

from msgspec import Struct

BUCKETS: Final = ("s3", "gs", "az")
DATABASES: Final = ("postgresql", "postgres")
WEB: Final = ("http", "https")
SAFE_OPTIONS: Final = tuple(("sslmode", mode) for mode in ("require", "verify-ca", "verify-full"))
"""What an address of a database may ask for: nothing that leads a connection elsewhere or makes it less safe."""
EXPECTED: Final = (
    'expected a folder, such as "state", or an address that begins with s3://, gs://, az://, postgresql:// or https://'
)

NO_QUERY: Final = "the address holds a query: give it up to the path only"


class StatePlace(Struct, frozen=True):
    """Where states are kept.

    ``scheme`` is ``file``, or one of those above.  ``url`` is the text without a trailing slash.  For a bucket ``host``
    is its name and ``path`` the prefix of the keys in it, without slashes at its ends; for a folder ``path`` leads to
    it.
    """

    scheme: str
    url: str
    host: str
    path: str

    @property
    def origin(self) -> str:
        """Scheme, host and port, as far as they stand there: what a credential is bound to."""
        return f"{self.scheme}://{self.host}"


def parse_place(text: str) -> StatePlace:
    """The place that ``text`` names.

    Raises ValueError with a sentence that never repeats the text: somebody may have written a password into it.
    """
    scheme, colon, _ = text.partition(":")
    if not text:
        raise ValueError(EXPECTED)
    if not colon or scheme == "file":
        return _folder(text.removeprefix("file:"))
    if scheme not in (*BUCKETS, *DATABASES, *WEB):
        raise ValueError(EXPECTED)
    parts = _split(text, scheme)
    if scheme in BUCKETS:
        return _bucket(parts)
    if scheme in WEB:
        return _web(parts)
    return _database(parts, text)


def _folder(path: str) -> StatePlace:
    if not path or "\0" in path:
        raise ValueError(EXPECTED)
    return StatePlace("file", path, "", path)


def _split(text: str, scheme: str) -> SplitResult:
    if not text.startswith(f"{scheme}://") or re.search(r"[^\x21-\x7e]|\\", text):
        raise ValueError(f"this is not an address such as {_example(scheme)}")
    try:
        parts = urlsplit(text)
        valid_port = parts.port != 0
    except ValueError:
        raise ValueError(f"this is not an address such as {_example(scheme)}") from None
    if parts.password is not None or (parts.username is not None and scheme not in DATABASES):
        raise ValueError("the address holds a user name or a password: credentials come from environment variables")
    if not valid_port or parts.fragment or text.endswith(("?", "#")):
        raise ValueError(f"this is not an address such as {_example(scheme)}")
    return parts


def _bucket(parts: SplitResult) -> StatePlace:
    """A bucket (Azure: container) and a prefix.  The pattern holds for the names of all three vendors."""
    prefix = parts.path.strip("/")
    if parts.query:
        raise ValueError(NO_QUERY)
    if not re.fullmatch(r"[a-z0-9][a-z0-9._-]{1,221}", parts.netloc):
        raise ValueError(f"this is not an address such as {_example(parts.scheme)}")
    if prefix and not all(re.fullmatch(r"[A-Za-z0-9_=-][A-Za-z0-9._=-]*", part) for part in prefix.split("/")):
        raise ValueError(
            "the path in the bucket may hold letters, digits, dots, dashes, underscores and slashes only, and no part "
            "of it begins with a dot"
        )
    url = f"{parts.scheme}://{parts.netloc}" + (f"/{prefix}" if prefix else "")
    return StatePlace(parts.scheme, url, parts.netloc, prefix)


def _web(parts: SplitResult) -> StatePlace:
    """The address of one document.  A query is refused, because tokens are passed in them."""
    if parts.query:
        raise ValueError(NO_QUERY)
    if not parts.hostname:
        raise ValueError(f"this is not an address such as {_example(parts.scheme)}")
    host = origin_of(parts).partition("://")[2]
    return StatePlace(parts.scheme, f"{parts.scheme}://{host}{parts.path.rstrip('/')}", host, parts.path.rstrip("/"))


def _database(parts: SplitResult, text: str) -> StatePlace:
    if any(name.lower() in ("password", "passfile", "sslpassword") for name, _ in parse_qsl(parts.query, True)):
        raise ValueError("the address holds a password: credentials come from environment variables")
    if any(option not in SAFE_OPTIONS for option in parse_qsl(parts.query, True)):
        raise ValueError(
            "the address holds an option that cannot stand there: only sslmode=require, verify-ca and verify-full "
            "can, PG* variables say the rest"
        )
    return StatePlace(parts.scheme, text, parts.netloc.rpartition("@")[2], parts.path)


def origin_of(parts: SplitResult) -> str:
    """Scheme, host and port in one spelling: lower case, without the port that the scheme has anyway."""
    default = {"http": 80, "https": 443}.get(parts.scheme)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port not in (None, default) else "")


def is_loopback(host: str) -> bool:
    """Whether the host is this very computer."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _example(scheme: str) -> str:
    examples = {
        "s3": "s3://bucket/evaluations",
        "gs": "gs://bucket/evaluations",
        "az": "az://container/evaluations",
        "http": "http://localhost:8080/state/production",
        "https": "https://gitlab.example.com/api/v4/projects/7/terraform/state/production",
    }
    return examples.get(scheme, "postgresql://host/database")
