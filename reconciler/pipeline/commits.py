"""Read what came of a commit: the results of tests that are evaluated when a version is pushed.  Touches: network."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from msgspec.structs import replace

from reconciler.errors import NotFound, ReconcilerError, UsageInvalid
from reconciler.evaluating.runner import RunResult
from reconciler.evaluating.waiting import LAST_LOOK_S, TimeIsUp, in_time, pauses
from reconciler.model.call import Flow, Wire
from reconciler.model.flow import drive
from reconciler.model.measuring import Version, Versions
from reconciler.model.outcome import Evaluation, EvaluationStatus
from reconciler.model.resource import Address, Resource
from reconciler.model.values import format_duration, some_of
from reconciler.pipeline.planning import Planned
from reconciler.pipeline.session import Session
from reconciler.providers import KINDS

T = TypeVar("T")
LATEST = "latest"
"""In place of a commit's id: the newest one of each project."""


async def commit_results(
    here: Session, planned: Planned, tests: Sequence[Resource], commit: str, deadline_s: float
) -> tuple[list[Resource], RunResult]:
    """The tests that a commit says something about, and its results; or those of the latest commit of each project.

    Waits at most ``deadline_s`` while a commit is being processed; 0 is not to wait, and to read without a limit.  An
    id belongs to one project: the tests of others are left out.  Raises UsageInvalid when there is no such commit, or
    when it belongs to none of the projects, and ReconcilerError when nothing could be read by the deadline.
    """
    ids = planned.ids
    projects: dict[Address, list[Resource]] = {}
    for resource in tests:
        projects.setdefault(_project(resource), []).append(resource)
    reader = _Reader(here, ids, here.clock.monotonic() + deadline_s, deadline_s)
    if commit != LATEST:
        project, version = await reader.named(commit, list(projects))
        return projects[project], RunResult(await reader.results(project, version, projects[project]))
    found: list[Evaluation] = []
    for project, mine in projects.items():
        newest = await reader.latest(project) if project in ids else None
        found += await reader.results(project, newest, mine)
    return [resource for mine in projects.values() for resource in mine], RunResult(tuple(found))


def _project(resource: Resource) -> Address:
    project = KINDS[resource.address.kind].parent_of(resource.address)
    assert project is not None
    return project


class _Reader:
    """Asks the platforms about versions, until a deadline; one that passes without an answer is a ReconcilerError."""

    def __init__(self, here: Session, ids: Mapping[Address, str], until: float, deadline_s: float) -> None:
        self._here, self._ids, self._until, self._deadline_s = here, ids, until, deadline_s

    async def named(self, version_id: str, projects: Sequence[Address]) -> tuple[Address, Version]:
        """The version with this id, and the project that it belongs to."""
        for asked in {project.vendor: project for project in projects}.values():
            try:
                version = await self._ask(asked, lambda of, wire: of.named(version_id, wire))
            except NotFound:
                continue
            for project in projects:
                if project.vendor == asked.vendor and self._ids.get(project) == version.root_id:
                    return project, version
            raise UsageInvalid(
                f"the commit {version_id} belongs to another project than {_listed(projects)}",
                hint="check the paths and --select; --commit latest takes the newest of each project",
            )
        raise UsageInvalid(f"there is no commit {version_id}", hint="--commit latest takes the newest")

    async def latest(self, project: Address) -> Version | None:
        """The newest version of a project."""
        return await self._ask(project, lambda of, wire: of.latest(self._ids[project], wire))

    async def results(
        self, project: Address, version: Version | None, tests: Sequence[Resource]
    ) -> tuple[Evaluation, ...]:
        """What was recorded for the tests, once the version is processed; what is missing stands with the reason."""
        if version is None:
            why = "the project has no commit" if project in self._ids else "the project is not at the platform yet"
            return tuple(Evaluation(each.address, EvaluationStatus.MISSING, message=why) for each in tests)
        self._here.hooks.note(_told(project, version))
        version = await self._processed(project, version)
        addresses = {self._ids[each.address]: each.address for each in tests if each.address in self._ids}
        version_id = version.version_id
        found = await self._ask(project, lambda of, wire: of.results(version_id, addresses, wire))
        known = {each.address for each in found}
        without = [self._without(each.address, version) for each in tests if each.address not in known]
        if version.state.over:
            return (*found, *without)
        still = [self._unprocessed(each, version) for each in found if each.status is EvaluationStatus.RUNNING]
        return (*(each for each in found if each.status is not EvaluationStatus.RUNNING), *still, *without)

    async def _processed(self, project: Address, version: Version) -> Version:
        """The version once it is over, or as it is when time is up."""
        pause, version_id = pauses(), version.version_id
        while not version.state.over and (left := self._until - self._here.clock.monotonic()) > 0:
            await self._here.clock.sleep(min(next(pause), left))
            version = await self._ask(project, lambda of, wire: of.named(version_id, wire))
        return version

    def _without(self, address: Address, version: Version) -> Evaluation:
        """What stands for a test that the version has no result of."""
        if version.state.error:
            return Evaluation(address, EvaluationStatus.ERROR, message=version.state.error)
        missing = Evaluation(address, EvaluationStatus.MISSING, message=f"the commit {version.version_id} has none")
        return missing if version.state.over else self._unprocessed(missing, version)

    def _unprocessed(self, evaluation: Evaluation, version: Version) -> Evaluation:
        after = f" after {format_duration(self._deadline_s)}" if self._deadline_s else ""
        odd = f"; {version.state.note}" if version.state.note else ""
        why = f"the commit {version.version_id} is still being processed{after}{odd}"
        return replace(evaluation, status=EvaluationStatus.RUNNING, message=why, result_id="")

    async def _ask(self, project: Address, flow: Callable[[Versions, Wire], Flow[T]]) -> T:
        provider = self._here.providers[project.vendor]
        measured = (kind.measuring for kind in KINDS.values() if kind.parent == project.kind and kind.measuring)
        versions = next(measuring.versions for measuring in measured if measuring.versions)
        asked = drive(flow(versions, Wire(self._ids, provider.dialect)), provider.send, self._here.clock.sleep)
        left = self._until + LAST_LOOK_S - self._here.clock.monotonic() if self._deadline_s else math.inf
        try:
            return await in_time(asked, left)
        except TimeIsUp:
            why = f"{project.name}: the platform has not told of the commit within {format_duration(self._deadline_s)}"
            raise ReconcilerError(why, hint="run the same command again, with a longer --timeout") from None


def _told(project: Address, version: Version) -> str:
    message = version.message.strip().partition("\n")[0]
    quoted = f' "{message}"' if message else ""
    return f"{project.name}: commit {version.version_id}{quoted}{f' of {version.created}' if version.created else ''}"


def _listed(projects: Sequence[Address]) -> str:
    return some_of(sorted(project.name for project in projects), 3)
