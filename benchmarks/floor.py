"""The floor: the requests of a no-op plan, sent one wave after another by a bare client that does nothing else.

Run as ``python -m benchmarks.floor BASE_URL KEY``; prints the number of requests.
"""

from __future__ import annotations

import asyncio
import sys

import httpx
from httpx_aiohttp import AiohttpTransport


async def main(base_url: str, key: str) -> int:
    """Send them; returns how many."""
    headers = {"Authorization": f"Bearer {key}"}
    async with httpx.AsyncClient(base_url=base_url, headers=headers, transport=AiohttpTransport()) as client:
        projects = await _pages(client, "/projects")
        lists = [f"/projects/{item['id']}/{what}" for item in projects for what in ("inference-pipelines", "tests")]
        slots = asyncio.Semaphore(16)

        async def one(path: str) -> int:
            async with slots:
                return len(await _pages(client, path))

        await asyncio.gather(*map(one, lists))
        return 1 + len(lists)


async def _pages(client: httpx.AsyncClient, path: str) -> list[dict[str, str]]:
    items: list[dict[str, str]] = []
    page = last = 1
    while page <= last:
        reply = (await client.get(path, params={"page": page, "perPage": 100})).json()
        items += reply["items"]
        last, page = reply["_meta"]["totalPages"], page + 1
    return items


if __name__ == "__main__":
    print(asyncio.run(main(*sys.argv[1:3])))
