"""What a team wants, and what people do by hand meanwhile: small random manifests in three generations, and edits."""

from __future__ import annotations

import json
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from tests.simulation.platform import Platform

Doc = dict[str, Any]
TABLES = ("openlayer_projects", "openlayer_pipelines", "openlayer_tests")
DEEDS = (
    "loosen a test", "rename a test", "archive a test", "bring a test back", "delete a test", "strip a marker",
    "rename a project", "describe a project", "rename a pipeline", "add a test", "take a wanted name", "copy a test",
    "add a project",
)  # fmt: skip


@dataclass(frozen=True)
class Case:
    """One test: its name, and of its fields those that change in stories."""

    name: str
    least: int = 1
    window: str = "1h"
    description: str | None = None
    pipelines: tuple[str, ...] = ()
    development: bool = False
    former: str = ""

    def written(self) -> Doc:
        """As it stands in a manifest."""
        threshold = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": self.least}
        doc: Doc = {"name": self.name, "type": "integrity", "subtype": "rowCount", "thresholds": [threshold]}
        if self.development:
            doc["mode"] = "development"
        else:
            doc["evaluationWindow"] = self.window
        if self.pipelines:
            doc["pipelines"] = list(self.pipelines)
        if self.description:
            doc["description"] = self.description
        if self.former:
            doc["renamedFrom"] = self.former
        return doc


@dataclass(frozen=True)
class Team:
    """One project with pipelines (name -> description, former name) and tests."""

    name: str
    description: str | None
    pipelines: tuple[tuple[str, str, str], ...]
    cases: tuple[Case, ...]
    former: str = ""

    def written(self) -> Doc:
        """The manifest."""
        metadata: Doc = {"name": self.name}
        spec: Doc = {"taskType": "llm-base"}
        if self.former:
            metadata["renamedFrom"] = self.former
        if self.description:
            spec["description"] = self.description
        spec["pipelines"] = [
            {
                "name": name,
                "lifecycle": {"onRemoval": "delete"},
                **({"description": text} if text else {}),
                **({"renamedFrom": former} if former else {}),
            }
            for name, text, former in self.pipelines
        ]
        spec["tests"] = [case.written() for case in self.cases]
        return {"apiVersion": "openlayer/v1", "kind": "Project", "metadata": metadata, "spec": spec}

    def settled(self) -> Team:
        """The same, once its renames are done."""
        return replace(
            self,
            former="",
            pipelines=tuple((name, text, "") for name, text, _ in self.pipelines),
            cases=tuple(replace(case, former="") for case in self.cases),
        )


@dataclass(frozen=True)
class Story:
    """Three generations of manifests: the second removes something of the first that the third brings back."""

    first: tuple[Team, ...]
    second: tuple[Team, ...]
    third: tuple[Team, ...]


def story(chance: random.Random) -> Story:
    """A story."""
    names = ["bot", "search", "voice"]
    second = tuple(_team(chance, name) for name in names[: chance.choice((1, 1, 2))])
    returning = [Case("back", least=1), Case("back again", least=2)][: chance.randrange(3)]
    first = (replace(second[0], cases=(*second[0].cases, *returning)), *second[1:])
    third = [_next(chance, team) for team in second]
    third[0] = replace(third[0], cases=(*third[0].cases, *returning))
    if chance.random() < 0.4:
        third.append(_team(chance, "new project"))
    return Story(first, second, tuple(third))


def _team(chance: random.Random, name: str) -> Team:
    pipelines = tuple(
        (each, chance.choice(("", f"{each} traffic")), "") for each in ("live", "old")[: chance.randint(1, 2)]
    )
    count = chance.randint(1, 4)
    cases = tuple(_case(chance, f"test {number}", [each for each, _, _ in pipelines[:1]]) for number in range(count))
    return Team(name, chance.choice((None, f"{name} answers")), pipelines, cases)


def _case(chance: random.Random, name: str, pipelines: Sequence[str]) -> Case:
    development = chance.random() < 0.15
    return Case(
        name,
        least=chance.randint(1, 5),
        description=chance.choice((None, f"About {name}")),
        pipelines=tuple(pipelines) if not development and chance.random() < 0.4 else (),
        development=development,
    )


def _next(chance: random.Random, team: Team) -> Team:
    """What the team wants next: something of everything that can become of a resource."""
    cases: list[Case] = []
    for case in team.cases:
        match chance.choice(
            ("same", "update", "update", "rename", "replace", "archive", "text", "rename and update",
             "rename and replace")
        ):  # fmt: skip
            case "same":
                cases.append(case)
            case "update":
                cases.append(replace(case, least=case.least + 10))
            case "rename":
                cases.append(replace(case, name=f"{case.name} renamed", former=case.name))
            case "rename and update":
                cases.append(replace(case, name=f"{case.name} renamed", former=case.name, least=case.least + 10))
            case "replace" if not case.development:
                cases.append(replace(case, window="24h"))
            case "rename and replace" if not case.development:
                cases.append(replace(case, name=f"{case.name} renamed", former=case.name, window="24h"))
            case "text":
                cases.append(replace(case, description=f"More about {case.name}"))
    fresh = "fresh"
    pipelines = list(team.pipelines)
    match chance.choice(("same", "add", "remove", "swap", "text", "rename")):
        case "add":
            pipelines.append((fresh, "", ""))
        case "remove":
            pipelines = pipelines[:1]
        case "swap":
            pipelines = [pipelines[0], (fresh, "Swapped in", "")]
        case "text":
            pipelines[0] = (pipelines[0][0], "Another text", "")
        case "rename" if len(pipelines) > 1:
            pipelines[1] = (f"{pipelines[1][0]} renamed", pipelines[1][1], pipelines[1][0])
    here = [name for name, _, _ in pipelines]
    cases += [_case(chance, f"new {number}", here[-1:]) for number in range(chance.randint(0, 3))]
    former = ""
    name = team.name
    if chance.random() < 0.2:
        name, former = f"{team.name} renamed", team.name
    return Team(name, chance.choice((team.description, f"{team.name} helps")), tuple(pipelines), tuple(cases), former)


# --------------------------------------------------------------------------------------------------- people


@dataclass
class People:
    """What people do at the platform by hand.

    ``strangers`` are the rows they made, as they left them; ``estranged`` are tests that they
    un-archived, or whose marker they took away: theirs, unless the state says that they are ours.
    """

    platform: Platform
    chance: random.Random
    strangers: dict[str, dict[str, str]] = field(default_factory=lambda: {table: {} for table in TABLES})
    estranged: set[str] = field(default_factory=set)
    deeds: list[str] = field(default_factory=list)
    number: int = 0

    async def settle_in(self) -> None:
        """Make things of their own: a project, and something in ours."""
        theirs = await self.platform.api("POST", "/v1/projects", {"name": "theirs", "taskType": "llm-base"})
        await self.platform.api(
            "POST", f"/v1/projects/{theirs['id']}/inference-pipelines", {"name": "live", "description": None}
        )
        await self.platform.api("POST", f"/v1/projects/{theirs['id']}/tests", by_hand("test 0"))
        for project in (await self.platform.api("GET", "/v1/projects"))["items"]:
            if project["name"] != "theirs":
                await self.platform.api("POST", f"/v1/projects/{project['id']}/tests", by_hand("by hand"))
        self.remember()

    def remember(self) -> None:
        """Note how everything of theirs looks."""
        made = {each.made for each in self.platform.asked if each.who == "hand" and each.made}
        for table in TABLES:
            rows = self.platform.rows(table)
            known = self.strangers[table].keys() | made
            self.strangers[table] = {key: rows[key] for key in known if key in rows}

    async def act(self, wanted: Sequence[Team]) -> str:
        """Do one thing to what is ours, or beside it; returns what."""
        self.number += 1
        deed = self.chance.choice(DEEDS)
        project, pipeline, test = (_pick(self.chance, self._ours(table)) for table in TABLES)
        done = await self._do(deed, test, pipeline, project, wanted)
        self.remember()
        self.deeds.append(done or f"{deed}: not possible")
        return self.deeds[-1]

    def _ours(self, table: str) -> list[Doc]:
        """What people have not made."""
        rows = sorted(self.platform.rows(table).items())
        return [json.loads(doc) for key, doc in rows if key not in self.strangers[table]]

    async def _do(
        self, deed: str, test: Doc | None, pipeline: Doc | None, project: Doc | None, wanted: Sequence[Team]
    ) -> str:
        api = self.platform.api
        match deed:
            case "loosen a test" if test:
                threshold = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 0}
                await api("PUT", f"/v1/tests/{test['id']}", {"thresholds": [threshold]})
            case "rename a test" if test:
                await api("PUT", f"/v1/tests/{test['id']}", {"name": f"by hand {self.number}"})
            case "archive a test" if test:
                await api("PUT", f"/v1/tests/{test['id']}", {"archived": True})
            case "bring a test back" if test:
                await api("PUT", f"/v1/tests/{test['id']}", {"archived": False})
                self.estranged.add(test["id"])
            case "delete a test" if test:
                await api("DELETE", f"/v1/tests/{test['id']}")
            case "strip a marker" if test and not _is_renamed(test["name"], wanted):
                await api("PUT", f"/v1/tests/{test['id']}", {"description": "By hand"})
                self.estranged.add(test["id"])
            case "rename a project" if project:
                await api("PATCH", f"/v1/projects/{project['id']}", {"name": f"by hand {self.number}"})
            case "describe a project" if project:
                await api("PATCH", f"/v1/projects/{project['id']}", {"description": "By hand"})
            case "rename a pipeline" if pipeline:
                body = {"name": f"by hand {self.number}", "description": pipeline["description"]}
                await api("PUT", f"/v1/inference-pipelines/{pipeline['id']}", body)
            case "add a test" if project:
                await api("POST", f"/v1/projects/{project['id']}/tests", by_hand(f"by hand {self.number}"))
            case "take a wanted name" if project and (name := self._free_name(project, wanted)):
                await api("POST", f"/v1/projects/{project['id']}/tests", by_hand(name))
            case "copy a test" if test and project:
                body = {**by_hand(f"copy {self.number}"), "description": test["description"]}
                await api("POST", f"/v1/projects/{project['id']}/tests", body)
            case "add a project":
                await api("POST", "/v1/projects", {"name": f"by hand {self.number}", "taskType": "llm-base"})
            case _:
                return ""
        about = (test if "test" in deed or "marker" in deed else pipeline if "pipeline" in deed else project) or {}
        return f"{deed}: {about.get('name', '')}"

    def _free_name(self, project: Doc, wanted: Sequence[Team]) -> str:
        """A wanted test's name that nothing in the project has yet."""
        inside = self.platform.inside(TABLES[2])
        taken = {
            json.loads(doc)["name"]
            for key, doc in self.platform.rows(TABLES[2]).items()
            if inside[key] == project["id"]
        }
        names = [
            case.name
            for team in wanted
            if team.name == project["name"]
            for case in team.cases
            if case.name not in taken and case == Case(case.name, case.least, description=case.description)
        ]
        return self.chance.choice(names) if names else ""


def _is_renamed(name: str, wanted: Sequence[Team]) -> bool:
    """Whether a test gets this name.  That a stranger has it as well is refused, and people have to settle it."""
    return any(case.former and case.name == name for team in wanted for case in team.cases)


def by_hand(name: str) -> Doc:
    """A test as a person makes it."""
    threshold = {"insightName": "metrics", "measurement": "rowCount", "operator": ">=", "value": 3}
    return {"name": name, "description": "Not ours", "type": "integrity", "subtype": "rowCount",
            "thresholds": [threshold], "usesProductionData": True, "defaultToAllPipelines": True}  # fmt: skip


def _pick(chance: random.Random, items: Sequence[Doc]) -> Doc | None:
    dice = chance.random()
    return items[int(dice * len(items))] if items else None
