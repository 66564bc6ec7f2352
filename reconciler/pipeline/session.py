"""Put the parts of one run together: manifests, memory, connections.  Touches: disk, environment, network."""

from __future__ import annotations

import asyncio
import posixpath
import secrets
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field
from msgspec.structs import replace

from reconciler.errors import (
    ApiError,
    ManifestsInvalid,
    ReconcilerError,
    SettingsInvalid,
    StalePlan,
    UsageInvalid,
)
from reconciler.manifests.cache import Cache, Loaded
from reconciler.manifests.validator import Sources, declared_environments, file_declaring, load, load_environment
from reconciler.model.checkout import from_home
from reconciler.model.kind import Vendor
from reconciler.model.outcome import StepOutcome
from reconciler.model.places import parse_place
from reconciler.model.plan import Effect, Plan, Step
from reconciler.model.provider import Clock, Provider, StateStore
from reconciler.model.resource import Desired
from reconciler.model.state import State
from reconciler.planning.policy import Policy
from reconciler.providers import VENDORS
from reconciler.providers.clock import RealClock
from reconciler.providers.reader import Inside
from reconciler.settings import Settings
from reconciler.storage.folder import make_private
from reconciler.storage.opening import FOLDER, open_store

if TYPE_CHECKING:
    from reconciler.manifests.environment import Environment

LOCAL = "local"
DEFAULT = "default"
"""What is remembered without an environment: commands that read no manifests find it by this name, too."""

LATEST_S = 100_000_000_000
"""In the year 5138.  A clock that says more counts something else than seconds, or is broken."""

NOTHING = Desired({}, "", ())
"""What commands ask for that read no manifests."""


class Request(Struct, frozen=True):
    """What the command line asks, whatever the command.

    ``root`` is the folder that paths are relative to, ``home`` the way to it from the top of the checkout.
    ``everything``: no path was named, which for ``destroy`` means all that we remember.  ``lock_timeout_s`` is how long
    to wait for another run's lock.
    """

    paths: tuple[str, ...] = (".",)
    environment: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)
    select: tuple[str, ...] = ()
    adopt: bool = False
    acks: Mapping[str, int] = field(default_factory=dict)
    deny: tuple[str, ...] = ()
    parallelism: int = 16
    lock_timeout_s: float = 0.0
    root: Path = field(default_factory=Path.cwd)
    home: str = "."
    everything: bool = False

    def options(self) -> dict[str, Any]:
        """Everything that shapes a plan, as plain data: what a saved plan needs to be derived again.

        Of variables only the names: a value may be a secret, and whoever applies the plan gives it again.
        """
        return {
            "paths": list(self.paths),
            "environment": self.environment,
            "variables": sorted(self.variables),
            "select": list(self.select),
            "adopt": self.adopt,
            "acks": dict(self.acks),
            "deny": list(self.deny),
            "home": self.home,
        }

    def with_options(self, options: Mapping[str, Any]) -> Request:
        """The same request, shaped as a saved plan was.

        Raises UsageInvalid when a variable that the plan was made with is not given again, when another environment is
        named, or when this is another folder of the checkout, and StalePlan when these are no options of a plan.
        """
        try:
            made_in = posixpath.normpath(_text(options.get("home", self.home)))
            names = _texts(options["variables"])
            shaped = replace(
                self,
                paths=_texts(options["paths"]),
                environment=None if options["environment"] is None else _text(options["environment"]),
                select=_texts(options["select"]),
                adopt=options["adopt"] is True,
                acks={_text(risk): int(count) for risk, count in options["acks"].items()},
                deny=tuple(dict.fromkeys([*_texts(options.get("deny", [])), *self.deny])),
            )
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise StalePlan("this is not a plan file", hint="make one: reconciler plan --out plan.json") from error
        if self.environment is not None and self.environment != shaped.environment:
            planned = f"environment {shaped.environment}" if shaped.environment else "no environment"
            raise UsageInvalid(f"this plan was made for {planned}, and --env names {self.environment}")
        if made_in != self.home and (self.home != "." or (self.root / ".git").exists()):
            raise UsageInvalid(
                f"this plan was made in {_folder(made_in)} of the checkout, and this is {_folder(self.home)} of it",
                hint=f"go there first: cd '{posixpath.relpath(made_in, self.home)}'",
            )
        if missing := [name for name in names if name not in self.variables]:
            again = " ".join(f"--var {name}=..." for name in missing)
            raise UsageInvalid(
                f"this plan was made with {again}, and a plan keeps no values: they may be secret",
                hint=f"give the same again: reconciler apply --plan FILE {again}",
            )
        return shaped


def _folder(home: str) -> str:
    return "the top" if home == "." else f"the folder {home}"


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    raise TypeError("not a text")


def _texts(value: object) -> tuple[str, ...]:
    if isinstance(value, list):
        return tuple(map(_text, value))
    raise TypeError("not a list of texts")


class Hooks(Struct, frozen=True):
    """Where a run tells its story while it goes on.  All of them are called on the event loop's thread.

    ``check`` raises Interrupted where somebody wants it to stop and a call that blocked has kept the loop from hearing.
    """

    event: Callable[[dict[str, Any]], None] = lambda _: None
    planned: Callable[[Plan], None] = lambda _: None
    confirm: Callable[[Plan], None] = lambda _: None
    started: Callable[[Step], None] = lambda _: None
    ended: Callable[[Step, StepOutcome], None] = lambda _, __: None
    note: Callable[[str], None] = lambda _: None
    progress: Callable[[int, int, str], None] = lambda _, __, ___: None
    check: Callable[[], None] = lambda: None


class Ahead(Struct):
    """What ``plan`` needs and was read before: the state, and lists of the platform, from ``read_at`` on.

    ``failure`` is what the platform answered instead; it took ``requests`` requests.
    """

    state: State
    read_at: float
    lists: Inside = field(default_factory=dict)
    requests: int = 0
    failure: ApiError | None = None


class Session:
    """The parts of one run, put together: manifests, memory, connections.  Made by ``session``.

    ``manifest`` is the Environment document in force, if there is one; ``desired`` what the manifests ask for.  Raises
    SettingsInvalid where the clock cannot be right.
    """

    def __init__(
        self,
        request: Request,
        settings: Settings,
        hooks: Hooks,
        manifest: Environment | None,
        desired: Desired = NOTHING,
    ) -> None:
        self.request, self.settings, self.hooks = request, settings, hooks
        self.manifest, self.desired = manifest, desired
        self.environment = name_of(request, manifest)
        self.clock: Clock = RealClock()
        if self.clock.now() > LATEST_S:
            raise SettingsInvalid("this computer's clock is beyond the year 5138", hint="set it, and run this again")
        self.stop = asyncio.Event()
        """Set when nothing new may start, and nobody may wait any longer."""
        self.last_error: ReconcilerError | None = None
        """What went wrong after all was done: raised when the session ends."""
        self.folder = request.root / FOLDER
        self.providers: dict[str, Provider] = {}
        self._emulator: Any = None
        self._ahead: asyncio.Task[Ahead] | None = None
        self._closing = AsyncExitStack()

    @cached_property
    def store(self) -> StateStore:
        """The memory of the environment.  Raises SettingsInvalid when its place cannot be used."""
        return self.store_at(self.state_url)

    def store_at(self, url: str | None) -> StateStore:
        """What is remembered of the environment at another place; None is the folder beside all else."""
        return open_store(
            url,
            self.environment,
            root=self.request.root,
            environ=self.settings.plain(),
            now=lambda: datetime.now(UTC),
            job=self.settings.ci.job_url,
        )

    @property
    def state_url(self) -> str | None:
        """Where the state is: as the Environment says, else as the operator does, else None: a folder beside all else.

        What ``local`` remembers is about an emulator that is here, so it stays here.
        """
        declared = self.manifest.state.url if self.manifest else None
        if self.environment != LOCAL:
            return declared or self.settings.state_url
        if declared and parse_place(declared).scheme != "file":
            raise SettingsInvalid("the environment local keeps its state in a folder", hint="leave out its state.url")
        return declared

    @property
    def policy(self) -> Policy:
        """What must be acknowledged and what was, and what is denied: by the Environment, or just this once."""
        return policy_of(self.manifest, self.request)

    def vendors(self, state: State) -> list[Vendor]:
        """The vendors that the manifests or our memory speak of."""
        names = {address.vendor for address in (*self.desired.resources, *state.entries, *state.in_doubt)}
        return [vendor for vendor in VENDORS if vendor.name in names]

    async def provider(self, vendor: Vendor) -> Provider:
        """The connection to a vendor; made once.  Raises SettingsInvalid before any network without a credential."""
        if vendor.name not in self.providers:
            provider = self._connect(vendor)
            self.providers[vendor.name] = provider
            self._closing.push_async_callback(provider.close)
        return self.providers[vendor.name]

    def is_in_use(self, vendor: Vendor) -> bool:
        """Whether there is a credential for this vendor, or a variable for it that the Environment names.

        One that is named and not set is somebody's mistake, which connecting tells; the embedded emulator needs none.
        """
        named = self._key_variable(vendor)
        return self.environment == LOCAL or named is not None or bool(self.settings.get(vendor.key_variable))

    def begin_ahead(self, reading: Coroutine[Any, Any, Ahead]) -> None:
        """Read what ``plan`` will need while something else goes on; it ends with the session at the latest."""
        self._ahead = asyncio.create_task(reading)
        self._closing.push_async_callback(_cancelled, self._ahead)

    async def read_ahead(self) -> Ahead | None:
        """What was read so, for the first who asks; None when nothing was.  Raises StateUnreadable."""
        reading, self._ahead = self._ahead, None
        return await reading if reading else None

    async def close(self) -> None:
        """Let go of the connections and of the emulator's file."""
        await self._closing.aclose()
        self.providers.clear()  # breaks the cycle through ``observe``: garbage collection is off

    def window_s(self, provider: Provider) -> float:
        """How long a request that was given up may still take effect there, in seconds."""
        if self.environment == LOCAL:
            return 0.0  # the server is this process
        return self.settings.uncertainty_window(provider.origin)

    def _connect(self, vendor: Vendor) -> Provider:
        if self.environment == LOCAL:
            return self._connect_emulator(vendor)
        # Imported here: httpx takes longer to load than a help text may take.
        from reconciler.providers.http import connect
        from reconciler.settings import base_url, credential, dialect

        key_variable = self._key_variable(vendor)
        return connect(
            vendor,
            base_url=base_url(vendor, self.settings),
            credential=credential(vendor, self.settings, key_variable),
            clock=self.clock,
            dialect=dialect(vendor, self.settings),
            parallelism=self.request.parallelism,
            key_variable=key_variable,
            observe=self._observe,
            stop=self.stop,
            on_pause=self.hooks.note,
            ca_file=self.settings.ca_file,
            proxy_to=self.settings.proxy_to if self.settings.names_proxy() else None,
        )

    def _key_variable(self, vendor: Vendor) -> str | None:
        """The variable that the Environment names for this vendor's key, if it names one."""
        named = self.manifest.api_key.from_env if self.manifest and self.manifest.api_key else None
        return named if named and named.startswith(vendor.prefix) else None

    def _connect_emulator(self, vendor: Vendor) -> Provider:
        from reconciler.providers.local import connect_in_process

        if self._emulator is None:
            self._emulator = _emulator_in(self.folder)
            self._closing.callback(self._emulator.state.database.close)
        return connect_in_process(
            vendor,
            self._emulator,
            clock=self.clock,
            parallelism=self.request.parallelism,
            observe=self._observe,
            stop=self.stop,
        )

    def _observe(self, method: str, path: str, status: int | None, seconds: float) -> None:
        self.hooks.event(
            {"event": "request", "method": method, "path": path, "status": status, "seconds": round(seconds, 6)}
        )


def _emulator_in(folder: Path) -> Any:
    """The embedded emulator, with its data in the folder.  Raises SettingsInvalid when it cannot be kept there."""
    import sqlite3

    from reconciler.emulator.app import create_app

    file = folder / "local.db"
    try:
        make_private(folder)
        return create_app(file, quotas=False)
    except (OSError, sqlite3.OperationalError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        hint = f"the environment {LOCAL} needs a folder that can be written"
        raise SettingsInvalid(f"the emulator cannot keep its data in {file}: {why}", hint=hint) from error
    except sqlite3.Error as error:
        hint = f"remove {folder / LOCAL}.*, and the environment {LOCAL} begins anew"
        raise SettingsInvalid(f"{file}, the emulator's data, cannot be read: {error}", hint=hint) from error


def name_of(request: Request, manifest: Environment | None) -> str:
    """What the environment of a run is called, in its state and its plans."""
    return request.environment or (manifest.name if manifest else DEFAULT)


async def _cancelled(task: asyncio.Task[Any]) -> None:
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


@asynccontextmanager
async def session(
    request: Request, settings: Settings, hooks: Hooks | None = None, *, manifests: bool = True, mends: bool = False
) -> AsyncIterator[Session]:
    """Read the manifests and put the parts together; closes everything at the end.

    Without ``manifests`` only the named Environment is read, if it is declared below the root: it says which key to
    use and where the state is.  What ``mends`` what is left behind may name any where none is declared.  Raises
    ManifestsInvalid, and UsageInvalid where environments are declared and none of them was named; at the end the
    session's last error, if it has one.
    """
    loaded = load_manifests(request, settings) if manifests else None
    manifest = loaded.environment if loaded else _environment(request, settings, mends=mends)
    opened = Session(request, settings, hooks or Hooks(), manifest, loaded.desired if loaded else NOTHING)
    try:
        yield opened
    finally:
        await opened.close()
    if opened.last_error is not None:
        raise opened.last_error


def _environment(request: Request, settings: Settings, *, mends: bool) -> Environment | None:
    if request.environment in (None, DEFAULT):
        names = declared(request)
        if request.environment is None and _besides_local(names):
            raise _unnamed(_besides_local(names), f"; --env {DEFAULT} is what was applied without one")
        if request.environment not in names:
            return None
    if request.environment == LOCAL:
        return None
    return load_environment(
        request.root,
        top=from_home(request.home, "."),
        vendors=VENDORS,
        environment=request.environment,
        variables=request.variables,
        environ_variables=settings.variables,
        mends=mends,
    )


def load_manifests(request: Request, settings: Settings, sources: Sources | None = None) -> Loaded:
    """The manifests under the request's paths, for its environment; ``sources`` where they were read already.

    Raises UsageInvalid when Environments are declared and none was named.
    """
    try:
        loaded = read_manifests(request, settings, sources)
    except ManifestsInvalid:
        if request.environment is None and (names := _besides_local(declared(request))):
            raise _unnamed(names) from None  # what is undefined now may be defined in one of them
        raise
    except UsageInvalid as error:
        if file := _declared_elsewhere(request):
            import shlex  # hardly ever needed

            error.hint = f"it is declared in {file}: name that, too, as in {shlex.join([*request.paths, file])}"
        raise
    if request.environment is None and (names := _besides_local(loaded.environments)):
        raise _unnamed(names)
    return loaded


def _declared_elsewhere(request: Request) -> str:
    """The file of the checkout that declares the request's environment, where its paths do not; else empty."""
    if request.environment is None or request.environment in declared(request):
        return ""
    return file_declaring(request.environment, (from_home(request.home, "."),), root=request.root, vendors=VENDORS)


def declared(request: Request) -> tuple[str, ...]:
    """The names of the environments that the manifests declare."""
    return declared_environments(request.paths, root=request.root, vendors=VENDORS)


def read_manifests(request: Request, settings: Settings, sources: Sources | None = None) -> Loaded:
    """The manifests for exactly the request's environment, or for none.  Raises ManifestsInvalid, UsageInvalid."""
    return load(
        request.paths,
        root=request.root,
        vendors=VENDORS,
        environment=_environment_asked_for(request),
        variables=request.variables,
        environ_variables=settings.variables,
        cache=Cache(Path(settings.cache_folder)) if settings.cache_folder else None,
        sources=sources,
        home=request.home,
    )


def _environment_asked_for(request: Request) -> str | None:
    """The Environment that the manifests must declare; none for ``default`` where there are none to choose from."""
    if request.environment != DEFAULT or _besides_local(declared(request)) or _declared_elsewhere(request):
        return request.environment
    return None


def _besides_local(names: Iterable[str]) -> tuple[str, ...]:
    """The environments that somebody could have meant; ``local`` is never meant unless it is named."""
    return tuple(name for name in names if name != LOCAL)


def _unnamed(names: Sequence[str], besides: str = "") -> UsageInvalid:
    return UsageInvalid(
        f"these manifests declare {len(names)} environment{'s' if len(names) > 1 else ''}, and none was named",
        hint=", or ".join(f"--env {name}" for name in (*names, LOCAL)) + besides,
    )


def policy_of(environment: Environment | None, request: Request) -> Policy:
    """What the Environment and the request ask of a plan.  What the Environment denies, no option allows."""
    require, deny = (environment.policy.require, environment.policy.deny) if environment else ((), ())
    return Policy(frozenset(require), request.acks, frozenset(map(Effect, (*deny, *request.deny))))


_LETTERS = b"abcdefghijklmnopqrstuvwxyz234567" * 8
"""A letter for each byte, each as often as the others."""


def new_operation_id() -> str:
    """130 unguessable bits in 26 characters of a-z and 2-7: what an ownership marker carries."""
    return secrets.token_bytes(26).translate(_LETTERS).decode()
