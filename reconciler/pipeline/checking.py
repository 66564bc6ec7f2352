"""Check manifests without a platform, and look whether a run would find what it needs.  Touches: disk, network."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from reconciler.errors import (
    ManifestsInvalid,
    Problem,
    ReconcilerError,
)
from reconciler.manifests.cache import Loaded
from reconciler.model.kind import Vendor
from reconciler.model.resource import Desired, LiveObject
from reconciler.model.state import State
from reconciler.model.values import counted
from reconciler.pipeline.origins import check_origins
from reconciler.pipeline.session import LOCAL, Request, Session, declared, read_manifests
from reconciler.providers import VENDORS
from reconciler.providers.reader import read_live
from reconciler.settings import Settings


class Checked(Struct, frozen=True):
    """What ``check_manifests`` found: how much there is, for which environments, and what looks odd."""

    resources: int
    environments: tuple[str, ...]
    warnings: tuple[Problem, ...]


def check_manifests(request: Request, settings: Settings) -> Checked:
    """Load the manifests for the request's environment, or for every environment that they declare.

    Raises ManifestsInvalid with the problems of all of them.
    """
    found = [_read(request, settings)]
    names: tuple[str, ...] = ()
    if request.environment is None:
        there, _ = found[0]
        names = there.environments if there else declared(request)
    if names:  # what is undefined without an environment may be defined in each of them
        found = [_read(replace(request, environment=name), settings) for name in names]
    problems = [each for _, each in found]
    if any(problems):
        raise ManifestsInvalid(_placed(names, problems))
    loaded = [each for each, _ in found if each is not None]
    warnings = sorted(_placed(names, [each.warnings for each in loaded]))
    return Checked(max(len(each.desired) for each in loaded), names, tuple(warnings))


def _read(request: Request, settings: Settings) -> tuple[Loaded | None, Sequence[Problem]]:
    """The manifests, as far as they can be read, and what is wrong with them."""
    try:
        loaded = read_manifests(request, settings)
    except ManifestsInvalid as error:
        return None, error.problems
    return loaded, _lost(loaded.desired)


def _lost(desired: Desired) -> tuple[Problem, ...]:
    if not desired.pins:
        return ()
    from reconciler.pipeline.lost_pins import lost_pins  # loads half of the planner

    return tuple(lost_pins(desired))


def _placed(environments: Sequence[str], found: Sequence[Sequence[Problem]]) -> list[Problem]:
    """What was found in each environment, once; with their names where it is not the same in all of them."""
    where: dict[Problem, list[str]] = {}
    for name, problems in zip(environments or ("",), found, strict=True):
        for problem in dict.fromkeys(problems):
            where.setdefault(problem, []).append(name)
    return [each if len(names) == len(found) else _in(names, each) for each, names in where.items()]


def _in(environments: Sequence[str], problem: Problem) -> Problem:
    *most, last = environments
    names = f"environments {', '.join(most)} and {last}" if most else f"environment {last}"
    return replace(problem, message=f"in {names}: {problem.message}")


class Check(Struct, frozen=True):
    """One finding of ``examine``; ``works`` is None for what nobody has set up."""

    what: str
    works: bool | None
    found: str
    hint: str = ""


async def examine(here: Session) -> list[Check]:
    """Whether the credentials, the platforms and the state can be used; every check is made, whatever fails.

    A vendor that no credential is set or named for is passed over, unless this is so of all or we own something there.
    """
    in_use = [vendor for vendor in VENDORS if here.is_in_use(vendor)]
    checks = [_examine_state(here)]
    state = here.store.load() if checks[0].works else State()
    for vendor in VENDORS:
        if vendor in in_use or not in_use or vendor.name in state.origins:
            checks.append(await _examine_vendor(here, vendor, state))
        else:
            checks.append(Check(vendor.name, None, f"{vendor.key_variable} is not set"))
    return checks


async def _examine_vendor(here: Session, vendor: Vendor, state: State) -> Check:
    roots: list[LiveObject] = []

    def count(root: LiveObject) -> bool:
        roots.append(root)
        return False

    try:
        provider = await here.provider(vendor)
        began = here.clock.monotonic()
        await read_live(provider, here.clock, count)
        check_origins(state, {vendor.name: provider.origin}, here)
    except ReconcilerError as error:
        return Check(vendor.name, False, error.message, error.hint)
    took = (here.clock.monotonic() - began) * 1000
    is_local = here.environment == LOCAL
    where = "the embedded emulator" if is_local else provider.origin
    through = "" if is_local else _through(here, provider.origin)
    kind = next(kind for kind in vendor.kinds if kind.create and kind.document is None)
    number = sum(root.address.kind == kind.id for root in roots)
    found = counted(number, kind.noun)
    return Check(vendor.name, True, f"{where} answers in {took:.0f} ms{through}; {found}")


def _examine_state(here: Session) -> Check:
    try:
        state, holder = here.store.load(), here.store.holder()
    except ReconcilerError as error:
        return Check("state", False, error.message, error.hint)
    found = counted(sum(not entry.archived for entry in state.entries.values()), "resource")
    doubt = f", {len(state.in_doubt)} in doubt" if state.in_doubt else ""
    held = f"; locked by {holder}" if holder else ""
    where = here.store.describe() + _through(here, here.store.describe())
    return Check("state", True, f"{where}, serial {state.serial}, {found}{doubt}{held}")


def _through(here: Session, url: str) -> str:
    """Says which proxy is used on the way to an address; nothing for the direct way, and for what is no address."""
    proxy = here.settings.proxy_to(url)
    return f" through the proxy {proxy}" if proxy else ""
