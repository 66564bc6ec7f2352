"""The floor: the same requests, sent by a bare aiohttp client that does nothing else.

``python -m benchmarks.peers.floor plan|create PROJECTS PIPELINES TESTS IN_FLIGHT BASE_URL KEY``.
"""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import aiohttp

from benchmarks.world import Size


async def plan(_: Size, slots: asyncio.Semaphore, get: Any) -> int:
    """Every page of every list, the pages of one list at once."""

    async def pages(path: str) -> list[dict[str, Any]]:
        async def one(page: int) -> dict[str, Any]:
            async with slots:
                return await get("GET", f"{path}?page={page}&perPage=100")

        first = await one(1)
        rest = await asyncio.gather(*map(one, range(2, first["_meta"]["totalPages"] + 1)))
        return [item for page in (first, *rest) for item in page["items"]]

    projects = await pages("/projects")
    lists = [f"/projects/{item['id']}/{what}" for item in projects for what in ("inference-pipelines", "tests")]
    return len(projects) + sum(map(len, await asyncio.gather(*map(pages, lists))))


async def create(size: Size, slots: asyncio.Semaphore, post: Any) -> int:
    """Every project, then everything in them."""

    async def one(path: str, body: dict[str, Any]) -> str:
        async with slots:
            return str((await post("POST", path, body))["id"])

    bodies = [{"name": f"project-{number:04}", "taskType": "llm-base"} for number in range(size.projects)]
    projects = await asyncio.gather(*(one("/projects", body) for body in bodies))
    inside = [
        *((f"/projects/{i}/inference-pipelines", _pipeline(n)) for i in projects for n in range(size.pipelines)),
        *((f"/projects/{i}/tests", _test(n)) for i in projects for n in range(size.tests)),
    ]  # fmt: skip
    await asyncio.gather(*(one(path, body) for path, body in inside))
    return len(projects) + len(inside)


def _pipeline(number: int) -> dict[str, Any]:
    return {"name": f"pipeline-{number}", "description": ""}


def _test(number: int) -> dict[str, Any]:
    uses = {f"uses{name}": False for name in ("MlModel", "ReferenceDataset", "TrainingDataset", "ValidationDataset")}
    parameters = [
        {"name": "pii_type", "value": "EMAIL_ADDRESS"},
        {"name": "column_name", "value": "openlayer_output"},
    ]
    threshold = {
        "insightName": "containsPii",
        "insightParameters": parameters,
        "measurement": "containsPIIRowCount",
        "operator": "<=",
        "value": number % 7,
    }
    return {
        **uses,
        "usesProductionData": True,
        "name": f"Test {number:05}",
        "description": f"Answers stay clean, rule {number}",
        "type": "integrity",
        "subtype": "containsPii",
        "evaluationWindow": 86_400,
        "delayWindow": 0,
        "thresholds": [threshold],
    }


async def main(what: str, size: Size, in_flight: int, base_url: str, key: str) -> int:
    """How many objects were read or made."""
    connector = aiohttp.TCPConnector(limit=in_flight)
    async with aiohttp.ClientSession(connector=connector, headers={"Authorization": f"Bearer {key}"}) as session:

        async def send(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
            async with session.request(method, base_url + path, json=body) as reply:
                reply.raise_for_status()
                found: dict[str, Any] = await reply.json()
                return found

        return await {"plan": plan, "create": create}[what](size, asyncio.Semaphore(in_flight), send)


if __name__ == "__main__":
    what, *numbers, base_url, key = sys.argv[1:]
    projects, pipelines, tests, in_flight = map(int, numbers)
    print(asyncio.run(main(what, Size(projects, pipelines, tests), in_flight, base_url, key)))
