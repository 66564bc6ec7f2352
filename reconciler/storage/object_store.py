"""Turn a bucket into the memory of teams and CI runners.  Touches: the network, the clock, chance (ids).

========================================  =========================================================================
``PREFIX/ENV/head.jsonl``                 who holds the lock, which snapshot counts, and the journal after it
``PREFIX/ENV/snapshot-SERIAL-LOCK.json``  the snapshot and the one before it; written once, never changed
``PREFIX/ENV/journal-SERIAL-LOCK-N.jsonl``  earlier parts of a journal that grew long; written once
``PREFIX/ENV/probe``                      shows that the server honours conditional writes
========================================  =========================================================================

The head is the lock, the fence and the journal in one object, so that one ``If-Match`` answers at once whether we are
still the writer and whether this is the version we know (``remote.py`` argues why that is enough).  It is created with
``If-None-Match: *`` and replaced with ``If-Match``; nothing is ever overwritten unconditionally.  The library's own
retries are off: it could repeat a write that was done, and report our own success as a conflict.

What a run that died may leave behind are snapshots that no head names.  They mean nothing and can be removed.

Sources: AWS, "How to prevent object overwrites with conditional writes" (PutObject with If-None-Match and If-Match,
409 and 412), 2026-11; obstore 0.12, ``obstore.put``: ``mode``.
"""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import datetime
from typing import TYPE_CHECKING, Any

from reconciler.errors import ReconcilerError, SettingsInvalid, StateUnreadable
from reconciler.model.places import StatePlace
from reconciler.model.provider import Holder
from reconciler.storage.encoding import SIZE_CAP
from reconciler.storage.endpoints import allows_http, checked_endpoint
from reconciler.storage.holders import lock_held
from reconciler.storage.refusals import require_small
from reconciler.storage.remote import (
    Head,
    Missing,
    RemoteStore,
    Unavailable,
    Unsure,
    Version,
    parse_head,
)

if TYPE_CHECKING:
    from obstore.store import ObjectStore

HEAD = "head.jsonl"
PROBE = "probe"
TIMEOUTS = {"connect_timeout": "5s", "timeout": "20s"}
STALE: dict[str, str] = {"e_tag": '"00000000000000000000000000000000"', "version": "1"}
"""A version that no object has: no digest is all zeros, and Google's generations are times."""

CREDENTIALS = {
    "s3": "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY (AWS_SESSION_TOKEN, AWS_REGION), or run where AWS gives a "
    "role",
    "gs": "set GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT to the file of a service account",
    "az": "set AZURE_STORAGE_ACCOUNT_NAME, and AZURE_STORAGE_ACCOUNT_KEY or AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and "
    "AZURE_TENANT_ID",
}


class ObjectStateStore(RemoteStore):
    """A ``StateStore`` in a bucket: S3 and what speaks like it, Google Cloud Storage, Azure Blob Storage.

    Credentials and endpoint come from the vendors' environment variables, which the library reads itself; ``environ``
    is asked for what concerns us.  Raises SettingsInvalid when they make no sense.
    """

    def __init__(
        self,
        place: StatePlace,
        environment: str,
        *,
        environ: Mapping[str, str],
        now: Callable[[], datetime],
        job: str = "",
        pause: Callable[[float], None] = time.sleep,
    ) -> None:
        super().__init__(environment, now=now, job=job, pause=pause)
        self._url = f"{place.url}/{environment}"
        self._place = place
        prefix = f"{place.path}/{environment}" if place.path else environment
        self._bucket = _connect(place, prefix, environ)

    def describe(self) -> str:
        """The address of the objects."""
        return self._url

    # ------------------------------------------------------------------------------------------ the head

    def _read(self) -> Version | None:
        try:
            content, token = self._get(HEAD)
        except Missing:
            self._require_new()
            return None
        with self._named(HEAD):
            return Version(parse_head(content), token)

    def _write(self, known: Version | None, head: Head) -> Any:
        content = head.header() + head.lines
        return self._put(HEAD, content, known.token if known else "create")

    def _enter(self, holder: Holder) -> None:
        """Make sure that conditions are honoured: else a lock would be worth nothing.  One that waits only looks.

        The probe object is there from the first lock on; after that, creating it again must fail, and so must
        replacing a version that it does not have.
        """
        version = self._look()
        if version is not None and version.head.holder is not None:
            raise lock_held(version.head.holder)
        created = not self._patiently(lambda: self._refuses("create"))
        if created and not self._patiently(lambda: self._refuses("create")):
            raise self._lawless()
        if not self._patiently(lambda: self._refuses(STALE)):
            raise self._lawless()

    def _refuses(self, mode: Any) -> bool:
        """Whether the server refuses to write the probe under this condition."""
        from obstore.exceptions import AlreadyExistsError, PreconditionError

        with self._reading(PROBE):
            try:
                self._bucket_put(PROBE, b"the server of this bucket honours conditional writes\n", mode)
            except (AlreadyExistsError, PreconditionError):
                return True
            return False

    def _require_new(self) -> None:
        """Raise StateUnreadable unless there is no head because nothing was ever written.

        A bucket that does not exist answers like an object that does not.
        """
        import obstore

        with self._reading("the list of objects"):
            names = [item["path"] for item in next(iter(obstore.list(self._bucket, chunk_size=10)), [])]
        if left := [name for name in names if not name.endswith((PROBE, HEAD))]:
            raise StateUnreadable(
                f"{self._url}/{HEAD} is gone, but {left[0]} is there",
                hint=f"restore {HEAD} from an older version of the bucket; or remove the other objects to begin a new "
                "state, into which what exists has to be adopted (apply --adopt)",
            )

    # ------------------------------------------------------------------------------------------ what never changes

    def _keep(self, name: str, content: bytes) -> str:
        """Objects that never change have names that nobody else makes: one that is there already is ours.

        Its bytes stand in its name, so that a commit that failed and a later one under the same lock do not meet.
        """
        stem, _, ending = name.rpartition(".")
        name = f"{stem}-{hashlib.sha256(content).hexdigest()[:12]}.{ending}"
        from obstore.exceptions import AlreadyExistsError

        with self._writing(name), suppress(AlreadyExistsError):
            self._bucket_put(name, content, "create")
        return name

    def _fetch(self, reference: str) -> bytes:
        if not re.fullmatch(r"(snapshot|journal)-[0-9a-f-]+\.jsonl?", reference):
            raise StateUnreadable(f"{self._url}/{HEAD} refers to {reference!r}, which is not one of ours")
        return self._get(reference)[0]

    def _drop(self, references: Sequence[str]) -> None:
        import obstore

        with suppress(Exception):
            obstore.delete(self._bucket, list(references))

    # ------------------------------------------------------------------------------------------ requests

    def _get(self, name: str) -> tuple[bytes, Any]:
        import obstore

        with self._reading(name):
            answer = obstore.get(self._bucket, name)
            if answer.meta["size"] > SIZE_CAP:
                raise StateUnreadable(f"{self._url}/{name} is larger than the {SIZE_CAP:,} bytes a state may have")
            return bytes(answer.bytes()), self._token(answer.meta)

    def _put(self, name: str, content: bytes, mode: Any) -> Any:
        require_small(content, f"{self._url}/{name}")
        with self._writing(name):
            return self._token(self._bucket_put(name, content, mode))

    def _bucket_put(self, name: str, content: bytes, mode: Any) -> Any:
        import obstore

        return obstore.put(self._bucket, name, content, mode=mode, use_multipart=False)

    def _token(self, meta: Mapping[str, Any]) -> dict[str, str]:
        """What names a version: the e-tag, and at Google the generation."""
        token = {key: str(meta[key]) for key in ("e_tag", "version") if meta.get(key) is not None}
        if not token:
            raise SettingsInvalid(
                f"{self._url}: this server gives no e-tags, so nothing can be compared before writing"
            )
        return token

    # ------------------------------------------------------------------------------------------ errors

    def _reading(self, name: str) -> AbstractContextManager[None]:
        return self._told(name, Missing(f"{self._url}/{name}"), Unavailable)

    def _writing(self, name: str) -> AbstractContextManager[None]:
        return self._told(name, Unsure(f"{name}: it is not there any more"), Unsure)

    @contextmanager
    def _told(self, name: str, missing: Exception, failed: type[Exception]) -> Iterator[None]:
        """Raise our own errors for the library's: ``missing`` where the object is, ``failed`` for the rest."""
        try:
            yield
        except ReconcilerError:
            raise
        except FileNotFoundError as error:
            raise (self._no_bucket() if _is_no_bucket(error) else missing) from None
        except Exception as error:  # noqa: BLE001 - the library's own, which may print requests and answers
            raise self._refused(name, error) or failed(f"{name}: {_why(error)}") from None

    def _refused(self, name: str, error: Exception) -> ReconcilerError | None:
        """The error for what trying again does not mend."""
        kind, status = type(error).__name__, _status(error)
        if _is_no_bucket(error):
            return self._no_bucket()
        if "169.254.169.254" in str(error) or "metadata.google.internal" in str(error):
            return SettingsInvalid(f"{self._url}: there are no credentials", hint=CREDENTIALS[self._place.scheme])
        if kind in ("PermissionDeniedError", "UnauthenticatedError") or status in (401, 403):
            return SettingsInvalid(
                f"{self._url}/{name}: the credentials are refused ({status or kind}); reading, writing, deleting and "
                "listing objects must be allowed",
                hint=CREDENTIALS[self._place.scheme],
            )
        if "redirect without LOCATION" in str(error):
            status = 301  # S3's word for another region
        if status is not None and 300 <= status < 500 and status not in (404, 408, 409, 412, 429):
            return StateUnreadable(
                f"{self._url}/{name}: the server answered {status}",
                hint="check the name of the bucket, its region (AWS_REGION) and the endpoint",
            )
        return None

    def _lawless(self) -> SettingsInvalid:
        return SettingsInvalid(
            f"{self._url}: this server ignores conditional writes (If-None-Match, If-Match), so two runs could write "
            "at once and lose what they did",
            hint="use a server that honours them: AWS S3, Google Cloud Storage, Azure Blob Storage, MinIO, Cloudflare "
            "R2, ...; or keep the state in PostgreSQL or behind the Terraform HTTP protocol",
        )

    def _no_bucket(self) -> SettingsInvalid:
        return SettingsInvalid(
            f"{self._place.scheme}://{self._place.host}: there is no such "
            f"{'container' if self._place.scheme == 'az' else 'bucket'}",
            hint="create it (with versioning on, so that older states can be restored), or correct state.url",
        )


def _connect(place: StatePlace, prefix: str, environ: Mapping[str, str]) -> ObjectStore:
    """The library's store; reads the vendor's environment variables.  Raises SettingsInvalid."""
    try:
        from obstore.store import AzureStore, GCSStore, S3Store
    except ImportError as error:
        raise SettingsInvalid(
            f"a state at {place.scheme}:// needs the library obstore, which is not installed",
            hint="pip install obstore; or, in a checkout of reconciler: pip install '.[object-store]'",
        ) from error
    endpoint = _endpoint(place.scheme, environ)
    client: Any = {**TIMEOUTS, "allow_http": endpoint.startswith("http:") or allows_http(environ)}
    options: Any = {"prefix": prefix, "client_options": client, "retry_config": {"max_retries": 0}}
    own: Any = {"endpoint": endpoint} if endpoint else {}
    try:
        if place.scheme == "s3":
            own["conditional_put"] = "etag"
            return S3Store(place.host, config=own, **options)
        if place.scheme == "gs":
            return GCSStore(place.host, **options)
        return AzureStore(place.host, config=own, **options)
    except Exception as error:  # noqa: BLE001 - whatever it is, it is about the configuration, and may quote it
        raise SettingsInvalid(
            f"{place.url} cannot be used with these environment variables ({type(error).__name__})",
            hint=CREDENTIALS[place.scheme],
        ) from None


def _endpoint(scheme: str, environ: Mapping[str, str]) -> str:
    """The address of the server when it is not the vendor's own; from the environment only."""
    names = {
        "s3": ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT"),
        "az": ("AZURE_STORAGE_ENDPOINT", "AZURE_ENDPOINT"),
    }
    for name in names.get(scheme, ()):
        if text := environ.get(name, "").strip():
            return checked_endpoint(name, text, environ)
    return ""


def _is_no_bucket(error: Exception) -> bool:
    return any(code in str(error) for code in ("NoSuchBucket", "ContainerNotFound", "bucket does not exist"))


def _status(error: Exception) -> int | None:
    found = re.search(r"status code: (\d{3})", str(error))
    return int(found[1]) if found else None


def _why(error: Exception) -> str:
    """What went wrong, in our words: the library's hold whole requests."""
    kind, status = type(error).__name__, _status(error)
    text = str(error).partition("Debug source")[0].lower()
    if status is not None:
        return f"the server answered {status}"
    if "timed out" in text or "timeout" in text:
        return "no answer in time"
    if "error sending request" in text or "connect" in text:
        return "the connection failed"
    return f"no usable answer ({kind})"
