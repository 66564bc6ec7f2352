"""Turn a server of Terraform's HTTP state protocol into the memory of a team.  Touches: the network, the clock, chance.

::

    GET    address            the document; 404 or 204 when there is none yet
    POST   address?ID=LOCK    replace the document
    LOCK   address            lock info as JSON; 423 or 409 with the holder's when it is taken
    UNLOCK address            lock info as JSON

GitLab wants ``POST`` and ``DELETE`` on ``address/lock`` instead; an address of its shape is enough to know that.  It
takes a ``DELETE`` without an id for the wish to break any lock, and a proxy may drop the body of one, so there the id
stands in the query as well; elsewhere an address with a query may be another address.  One address is one document, so
each environment needs an address of its own.  The document is JSON that such servers take for a Terraform state::

    {"version": 4, "serial": 17, "lineage": "6b1e...", "reconciler": {"journal": [LINES], "snapshot": {...}}}

``serial`` at the top rises with every write, not with every commit: GitLab refuses a serial that it has seen.

How a second writer cannot hurt.  The protocol has no compare-and-swap.  It has a lock, whose id goes along with every
write, and a server that checks it refuses everybody else; and GitLab's refusal of a known serial makes one of two
concurrent writes fail.  Should a server check neither, a look before each write finds out that another run has taken
over, for taking or breaking a lock rewrites the head (``remote.py``); a write that overlaps with such a take-over
within the milliseconds between look and write is then not noticed.  That a lock is honoured at all is tried out on
every lock, by asking for a second one.

Sources: HashiCorp, "Backend type: http" and ``internal/backend/remote-state/http/client.go``, 2026-11; GitLab,
``lib/api/terraform/state.rb`` and ``app/services/terraform/remote_state_handler.rb``, 2026-11: a conflict (409) repeats
the operation and info of the one who asks, with the id, the user and the time of the one who holds.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import ssl
import time
import weakref
from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import httpx
from msgspec import Struct
from msgspec.structs import asdict, replace

from reconciler.errors import LockHeld, ReconcilerError, SettingsInvalid, StateUnreadable
from reconciler.model.places import StatePlace, parse_place
from reconciler.model.provider import Holder
from reconciler.model.proxies import proxy_to
from reconciler.model.values import Secret
from reconciler.storage.encoding import SIZE_CAP
from reconciler.storage.endpoints import origin, require_private
from reconciler.storage.holders import lock_held, new_holder, to_holder
from reconciler.storage.refusals import require_held, require_small
from reconciler.storage.remote import (
    LEASE,
    Head,
    RemoteStore,
    Unavailable,
    Unsure,
    Version,
    parse_head,
    write_of,
)

TERRAFORM_FORMAT = 4
CONNECT_S, READ_S = 5.0, 15.0

DONE, TAKEN, NO_LOCK = (200, 201, 204), (409, 423), (404, 405, 501)
CREDENTIAL_HINT = (
    "set TF_HTTP_USERNAME and TF_HTTP_PASSWORD; at GitLab a token with the scope api and the role Maintainer, or "
    "Developer to read"
)
ORIGIN_HINT = (
    "credentials and state go only where the environment of this process says: set RECONCILER_STATE_ORIGIN to the "
    "scheme, host and port of the server, such as https://state.example.com (in GitLab CI, CI_API_V4_URL says it)"
)


class Credential(Struct, frozen=True):
    """For basic authentication."""

    username: str
    password: Secret


class Door(Struct, frozen=True):
    """Where and how to lock or to unlock; ``names_lock``: with the lock's id in the query of the address, too."""

    method: str
    url: str
    names_lock: bool = False


class Answer(Struct, frozen=True):
    """What came back, and how to speak of it."""

    status: int
    body: bytes

    def json(self) -> Any:
        """The body as plain data; None when it is something else."""
        try:
            return json.loads(self.body)
        except (RecursionError, ValueError):
            return None


class HttpStateStore(RemoteStore):
    """A ``StateStore`` behind the Terraform HTTP protocol.

    Raises SettingsInvalid before anything is sent when ``environ`` does not vouch for the address.
    """

    deadline_s = 30.0
    """For an answer as a whole, however steadily it drips."""

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
        self._url = place.url
        require_private(place.url, "state.url", environ)
        credential = credential_for(place.origin, environ)
        self._lock_door, self._unlock_door = doors(place.url, environ)
        auth = httpx.BasicAuth(credential.username, credential.password.reveal()) if credential else None
        self._proxy = proxy_to(place.url, environ)
        to_proxy = self._proxy.url.reveal() if self._proxy else ""
        context = _tls(environ.get("SSL_CERT_FILE", ""), plain=not {place.scheme, to_proxy[:5]} & {"https"})
        self._client = httpx.Client(
            auth=auth,
            follow_redirects=False,
            trust_env=False,
            verify=context,
            proxy=_way_through(to_proxy, context) if to_proxy else None,
            timeout=httpx.Timeout(READ_S, connect=CONNECT_S),
            headers={"User-Agent": "reconciler", "Accept": "application/json"},
        )
        weakref.finalize(self, self._client.close)  # a StateStore has no end of its own

    def describe(self) -> str:
        """The address."""
        return self._url

    # ------------------------------------------------------------------------------------------ the document

    def _read(self) -> Version | None:
        answer = self._ask("GET", self._url)
        if answer.status == 404 and b"Project Not Found" in answer.body:
            raise SettingsInvalid(
                f"{self._url}: there is no such project, or these credentials may not see it", hint=CREDENTIAL_HINT
            )
        if answer.status in (204, 404) or (answer.status == 200 and not answer.body.strip()):
            return None
        if answer.status != 200:
            self._raise_refusal("GET", answer)
            raise Unavailable(f"the server answered {answer.status}")
        return self._parsed(answer)

    def _parsed(self, answer: Answer) -> Version:
        data = answer.json()
        if data is None:
            raise self._no_json(answer.body.lstrip())
        ours = data.get("reconciler") if isinstance(data, dict) else None
        serial = data.get("serial") if isinstance(data, dict) else None
        if not isinstance(ours, dict) or not isinstance(serial, int):
            raise StateUnreadable(
                f"{self._url} holds something else, such as the state of Terraform itself",
                hint="give this environment an address of its own",
            )
        with self._named("the document"):
            try:
                content = "".join(f"{line}\n" for line in ours["journal"]).encode("utf-8", "surrogatepass")
                snapshot = ours["snapshot"]
            except (KeyError, TypeError) as error:
                raise StateUnreadable(f"it is damaged: {error!r}") from error
            head = parse_head(content)
        return Version(replace(head, snapshot=json.dumps(snapshot) if snapshot else ""), serial)

    def _no_json(self, body: bytes) -> StateUnreadable:
        """What is to be said of an answer that nobody can have meant as a state."""
        if body.startswith(b"{"):
            return StateUnreadable(
                f"{self._url} is cut off or damaged: it begins like a state and is no JSON as a whole",
                hint="try again; if it stays so, look for a proxy that cuts answers off, or restore an older version",
            )
        if body.startswith(b"<"):
            return StateUnreadable(
                f"{self._url} answered with a web page, and not with a state",
                hint="check the address, and whether a proxy or a sign-in page stands in between",
            )
        return StateUnreadable(
            f"{self._url} answered with something that is no JSON, and so no state",
            hint="check that the address is that of a server of Terraform's HTTP protocol",
        )

    def _write(self, known: Version | None, head: Head) -> int:
        """Look, then write: see the head of this module."""
        there = self._look()
        if write_of(there) != write_of(known):
            raise Unsure("another version stands there")
        serial = (there.token if there else 0) + 1
        content = _document(head, serial)
        require_small(content, self._url)
        answer = self._send("POST", self._url, content, {"ID": head.writer} if head.writer else {})
        if answer.status in DONE:
            return serial
        self._raise_refusal("POST", answer)
        raise Unsure(f"the server answered {answer.status}", final=answer.status in TAKEN)

    def _keep(self, name: str, content: bytes) -> str:
        return content.decode("utf-8", "surrogatepass")

    def _fetch(self, reference: str) -> bytes:
        return reference.encode("utf-8", "surrogatepass")

    def _put_aside(self, head: Head) -> Head:
        """The document is sent as a whole, so there is nothing to gain."""
        return head

    # ------------------------------------------------------------------------------------------ the lock

    def _enter(self, holder: Holder) -> None:
        """Take the server's lock.  Raises LockHeld; SettingsInvalid when the server has none or does not mean it."""
        other = self._locked(holder)
        if other is not None:
            raise lock_held(self._in_full(other))
        try:
            second = replace(holder, lock_id=f"{holder.lock_id}-again")
            if self._locked(second) is not None:
                return
            self._leave(second)
            raise SettingsInvalid(
                f"{self._url}: this server gives its lock to two at a time, so two runs could write at once",
                hint="use another server, or another kind of place",
            )
        except BaseException:
            with suppress(ReconcilerError):
                self._leave(holder)
            raise

    def _leave(self, holder: Holder) -> None:
        """Free the server's lock; one that is not ours any more stays."""
        try:
            self._at_door(self._unlock_door, holder, (200, 204, 404, *TAKEN))
        except Unsure as unsure:
            raise StateUnreadable(f"{self._url}: the lock cannot be freed: {unsure}") from None

    def _free(self, version: Version | None, holder: Holder) -> None:
        """The server's lock decides, so it is given back even where the document cannot be written any more."""
        with suppress(ReconcilerError):
            super()._free(version, holder)

    def _meet(self, other: Holder) -> None:
        """The server's lock decides; what the document says is of a holder whose lock was removed at the server."""

    def unlock(self, lock_id: str) -> None:
        """See ``StateStore.unlock``.  Asks the server who holds the lock by trying to take it."""
        asking = new_holder("state unlock", now=self._now, job=self._job, lease=LEASE)
        other = self._locked(asking)
        if other is None:  # it may have been removed at the server, and stand in the document still
            self._leave(asking)
        told = self._in_full(other) if other else self._head().holder
        require_held(told, lock_id, self.describe())
        if other is not None:
            self._leave(other)
        try:
            with self.lock("state unlock"):
                pass  # taking over fences the old holder; so does whoever was faster
        except LockHeld:
            left = self._locked(asking)
            if left is None:
                self._leave(asking)
            elif left.lock_id == lock_id:
                raise StateUnreadable(
                    f"{self._url}: the server took the request to free the lock {lock_id}, and still has it",
                    hint="remove it at the server; is the lock elsewhere? TF_HTTP_UNLOCK_ADDRESS and "
                    "TF_HTTP_UNLOCK_METHOD say where",
                ) from None

    def _locked(self, holder: Holder) -> Holder | None:
        """Ask for the lock: None when it is ours now, else who holds it."""
        door = self._lock_door
        try:
            answer = self._at_door(door, holder, (*DONE, *TAKEN, *NO_LOCK))
        except Unsure as unsure:
            raise StateUnreadable(f"{self._url}: the lock cannot be taken: {unsure}", hint="try again later") from None
        if answer.status in NO_LOCK:
            raise SettingsInvalid(
                f"{door.url}: this server has no lock there ({door.method}: {answer.status})",
                hint="say where it is: TF_HTTP_LOCK_ADDRESS, TF_HTTP_LOCK_METHOD, TF_HTTP_UNLOCK_ADDRESS, "
                "TF_HTTP_UNLOCK_METHOD",
            )
        if answer.status in DONE:
            return None
        other = _from_lock_info(answer.json())
        return None if other.lock_id == holder.lock_id else other

    def _at_door(self, door: Door, holder: Holder, clear: Collection[int]) -> Answer:
        """Ask until the answer is a ``clear`` one.  Raises Unsure, ReconcilerError."""
        query = {"ID": holder.lock_id} if door.names_lock else {}
        for _ in self._tries():
            try:
                answer = self._send(door.method, door.url, _lock_info(holder), query)
            except Unsure as error:
                unsure = error
                continue
            if answer.status in clear:
                return answer
            self._raise_refusal(door.method, answer)
            unsure = Unsure(f"the server answered {answer.status}")
        raise unsure

    def _in_full(self, other: Holder) -> Holder:
        """What the document says of the holder; the server may know no more than an id and a user."""
        with suppress(StateUnreadable):
            told = self._head().holder
            if told is not None and told.lock_id == other.lock_id:
                return told
        return other

    # ------------------------------------------------------------------------------------------ requests

    def _ask(self, method: str, url: str) -> Answer:
        try:
            return self._exchange(method, url)
        except httpx.HTTPError as error:
            raise Unavailable(self._why(error)) from None

    def _send(self, method: str, url: str, content: bytes, query: Mapping[str, str]) -> Answer:
        digest = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        headers = {"Content-Type": "application/json", "Content-MD5": digest}
        try:
            return self._exchange(method, url, content=content, params=query or None, headers=headers)
        except httpx.HTTPError as error:
            raise Unsure(self._why(error)) from None

    def _exchange(self, method: str, url: str, **request: Any) -> Answer:
        """One request; the answer is read with a cap and a deadline.  Raises httpx.HTTPError, StateUnreadable."""
        until = time.monotonic() + self.deadline_s
        with self._client.stream(method, url, **request) as response:
            body = bytearray()
            for chunk in response.iter_bytes():
                body += chunk
                if len(body) > SIZE_CAP:
                    raise StateUnreadable(f"{self._url} is larger than the {SIZE_CAP:,} bytes a state may have")
                if time.monotonic() > until:
                    raise httpx.ReadTimeout("the answer takes too long")
            return Answer(response.status_code, bytes(body))

    def _why(self, error: httpx.HTTPError) -> str:
        """What went wrong, without the request in it."""
        if self._proxy is not None and isinstance(error, httpx.ProxyError):
            return f"the proxy {self._proxy} answers {str(error)[:3]}"
        through = f", through the proxy {self._proxy}" if self._proxy else ""
        if isinstance(error, httpx.TimeoutException):
            return f"no answer in time{through}"
        if isinstance(error, httpx.ConnectError):
            return f"the connection failed{through}"
        return f"the connection broke ({type(error).__name__}){through}"

    def _raise_refusal(self, method: str, answer: Answer) -> None:
        """Raise for an answer that trying again does not change."""
        if answer.status in (401, 403):
            raise SettingsInvalid(
                f"{self._url}: {method} is not allowed ({answer.status})",
                hint=CREDENTIAL_HINT,
            )
        if 300 <= answer.status < 400:
            raise SettingsInvalid(
                f"{self._url}: {method} was redirected ({answer.status}), which is not followed, because it would take "
                "the credentials along",
                hint="give the address that it leads to",
            )
        if 400 <= answer.status < 500 and answer.status not in (408, 412, 422, 425, 429, *TAKEN):
            raise StateUnreadable(f"{self._url}: the server answered {answer.status} to {method}")


def _tls(ca_file: str, *, plain: bool) -> ssl.SSLContext:
    """What servers are trusted by: ``ca_file``, or the authorities that everybody trusts.

    ``plain``: an empty context, which trusts nobody, for plain http; reading certificates takes longer than a request.
    """
    if plain:
        return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    try:
        return ssl.create_default_context(cafile=ca_file) if ca_file else httpx.create_ssl_context(trust_env=False)
    except OSError as error:
        raise SettingsInvalid(f"SSL_CERT_FILE cannot be used: {error.strerror or 'no certificates'}") from error


def _way_through(proxy: str, context: ssl.SSLContext) -> httpx.Proxy:
    return httpx.Proxy(proxy, ssl_context=context if proxy.startswith("https:") else None)


def credential_for(address: str, environ: Mapping[str, str]) -> Credential | None:
    """What to identify with at this origin; None when the environment knows no credential for it.

    ``TF_HTTP_USERNAME`` and ``TF_HTTP_PASSWORD`` belong to the origin of ``TF_HTTP_ADDRESS``; without that variable to
    every origin vouched for.  The token of a GitLab job belongs to ``CI_API_V4_URL``.  Raises SettingsInvalid when no
    variable vouches for the origin.
    """
    named = origin("TF_HTTP_ADDRESS", environ)
    gitlab = origin("CI_API_V4_URL", environ)
    told = {origin(name, environ) for name in ("RECONCILER_STATE_ORIGIN", "RECONCILER_STATE_URL")}
    if address not in {named, gitlab, *told}:
        raise SettingsInvalid(
            f"the environment of this process does not vouch for {address}, where the state should be", hint=ORIGIN_HINT
        )
    password, username = environ.get("TF_HTTP_PASSWORD", ""), environ.get("TF_HTTP_USERNAME", "")
    if (username or password) and (not named or address == named or address in told):
        return Credential(username, Secret(password))
    if address == gitlab and environ.get("CI_JOB_TOKEN"):
        return Credential("gitlab-ci-token", Secret(environ["CI_JOB_TOKEN"]))
    return None


def doors(address: str, environ: Mapping[str, str]) -> tuple[Door, Door]:
    """Where to lock and where to unlock: as variables say, else as GitLab does it, else at the address itself.

    The variables, ``TF_HTTP_LOCK_ADDRESS`` and its like, are about one state: when ``TF_HTTP_ADDRESS`` names another
    one, they do not count here.  Raises SettingsInvalid for a lock on another server than the state.
    """
    named = environ.get("TF_HTTP_ADDRESS", "").strip().rstrip("/")
    told = environ if named in ("", address) else {}
    at_gitlab = re.search(r"/api/v4/projects/[^/]+/terraform/state/[^/]+$", urlsplit(address).path)
    usual = f"{address}/lock" if at_gitlab else address
    lock_url = _door("TF_HTTP_LOCK_ADDRESS", told, usual, address)
    lock = Door(_method("TF_HTTP_LOCK_METHOD", told, "POST" if at_gitlab else "LOCK"), lock_url)
    unlock = Door(
        _method("TF_HTTP_UNLOCK_METHOD", told, "DELETE" if at_gitlab else "UNLOCK"),
        _door("TF_HTTP_UNLOCK_ADDRESS", told, lock_url, address),
        names_lock=at_gitlab is not None,
    )
    return lock, unlock


def _door(name: str, environ: Mapping[str, str], usual: str, address: str) -> str:
    text = environ.get(name, "").strip()
    if not text:
        return usual
    if origin(name, environ) != parse_place(address).origin:
        raise SettingsInvalid(f"{name} is on another server than the state: credentials would go there")
    return text


def _method(name: str, environ: Mapping[str, str], usual: str) -> str:
    method = environ.get(name, "").strip().upper() or usual
    if not re.fullmatch(r"[A-Z]{3,10}", method):
        raise SettingsInvalid(f"{name} is not a method of HTTP")
    return method


def _document(head: Head, serial: int) -> bytes:
    journal = (replace(head, snapshot="", former="").header() + head.lines).decode("utf-8", "surrogatepass")
    document = {
        "version": TERRAFORM_FORMAT,
        "serial": serial,
        "lineage": head.lineage,
        "reconciler": {
            "journal": journal.removesuffix("\n").split("\n"),
            "snapshot": json.loads(head.snapshot) if head.snapshot else None,
        },
    }
    return json.dumps(document, indent=1).encode()


def _lock_info(holder: Holder) -> bytes:
    """Terraform's form; ours goes along as text in ``Info``."""
    return json.dumps(
        {
            "ID": holder.lock_id,
            "Operation": holder.operation,
            "Info": json.dumps(asdict(holder)),
            "Who": f"{holder.owner}@{holder.host}",
            "Version": "reconciler",
            "Created": holder.since,
            "Path": "",
        }
    ).encode()


def _from_lock_info(data: object) -> Holder:
    """The holder that a 409 or 423 tells of, as far as it does."""
    info = data if isinstance(data, dict) else {}
    told = {name: str(info.get(name) or "") for name in ("ID", "Who", "Operation", "Created")}
    with suppress(ValueError, RecursionError):
        ours = to_holder(json.loads(str(info.get("Info") or "null")))
        if ours is not None and ours.lock_id == told["ID"]:
            return ours
        if ours is not None:  # GitLab repeats what the one who asks has said
            told["Operation"] = ""
    return Holder(
        lock_id=told["ID"] or "unknown",
        owner=told["Who"] or "somebody",
        pid=0,
        host="an unknown host",
        operation=told["Operation"] or "unknown operation",
        since=told["Created"] or "?",
        lease=LEASE,
    )
