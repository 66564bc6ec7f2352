"""Check manifests without a platform, and look whether a run would find what it needs.  Touches: disk, network."""

from __future__ import annotations

from dataclasses import dataclass, replace

from reconciler.errors import (
    ManifestsInvalid,
    Problem,
    ReconcilerError,
)
from reconciler.manifests.validator import Loaded
from reconciler.model.resource import LiveObject
from reconciler.pipeline.session import LOCAL, Request, Session, declared, read_manifests
from reconciler.providers import VENDORS
from reconciler.providers.reader import read_live
from reconciler.settings import Settings


@dataclass(frozen=True)
class Checked:
    """What ``check_manifests`` found: how much there is, for which environments, and what looks odd."""

    resources: int
    environments: tuple[str, ...]
    warnings: tuple[str, ...]


def check_manifests(request: Request, settings: Settings) -> Checked:
    """Load the manifests for the request's environment, or for every environment that they declare.

    Raises ManifestsInvalid with the problems of all of them.
    """
    problems: list[Problem] = []
    loaded: list[Loaded] = []

    def attempt(name: str | None) -> None:
        try:
            loaded.append(read_manifests(replace(request, environment=name), settings))
        except ManifestsInvalid as error:
            problems.extend(error.problems)

    attempt(request.environment)
    named = request.environment is not None
    names = () if named else loaded[0].environments if loaded else declared(request)
    if names:  # what is undefined without an environment may be defined in each of them
        problems.clear()
        loaded.clear()
    for name in names:
        attempt(name)
    if problems:
        raise ManifestsInvalid(problems)
    warnings = sorted({str(warning) for each in loaded for warning in each.warnings})
    return Checked(max(len(each.desired) for each in loaded), names, tuple(warnings))


@dataclass(frozen=True)
class Check:
    """One finding of ``examine``."""

    what: str
    works: bool
    found: str
    hint: str = ""


async def examine(here: Session) -> list[Check]:
    """Whether the credentials, the platforms and the state can be used; every check is made, whatever fails."""
    checks = []
    for vendor in VENDORS:
        try:
            provider = await here.provider(vendor)
            began = here.clock.monotonic()
            seen: list[LiveObject] = []
            await read_live(provider, here.clock, lambda root, seen=seen: bool(seen.append(root)))  # type: ignore[misc]
            took = (here.clock.monotonic() - began) * 1000
            where = "the embedded emulator" if here.environment == LOCAL else provider.origin
            count = f"{len(seen)} project{'' if len(seen) == 1 else 's'}"
            checks.append(Check(vendor.name, True, f"{where} answers in {took:.0f} ms; {count}"))
        except ReconcilerError as error:
            checks.append(Check(vendor.name, False, error.message, error.hint))
    try:
        state = here.store.load()
        holder = here.store.holder()
        held = f"; locked by {holder}" if holder else ""
        ours = sum(not entry.archived for entry in state.entries.values())
        doubt = f", {len(state.in_doubt)} in doubt" if state.in_doubt else ""
        text = f"{here.store.describe()}, serial {state.serial}, {ours} resources{doubt}{held}"
        checks.append(Check("state", True, text))
    except ReconcilerError as error:
        checks.append(Check("state", False, error.message, error.hint))
    return checks
