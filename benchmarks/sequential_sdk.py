"""The peer: a straightforward script with the official SDK that reads everything a plan needs, one request at a time.

Run as ``python -m benchmarks.sequential_sdk BASE_URL KEY``; prints the number of objects read.
"""

from __future__ import annotations

import sys
from typing import Any

from openlayer import Openlayer


def main(base_url: str, key: str) -> int:
    """Read it; returns how many objects there were."""
    client = Openlayer(api_key=key, base_url=base_url)
    projects = _all(lambda page: client.projects.list(page=page, per_page=100).items)
    seen = len(projects)
    for project in projects:
        seen += len(
            _all(lambda page, i=project.id: client.projects.inference_pipelines.list(i, page=page, per_page=100).items)
        )
        seen += len(_all(lambda page, i=project.id: client.projects.tests.list(i, page=page, per_page=100).items))
    return seen


def _all(read: Any) -> list[Any]:
    items: list[Any] = []
    page = 1
    while batch := read(page):
        items += batch
        if len(batch) < 100:
            break
        page += 1
    return items


if __name__ == "__main__":
    print(main(*sys.argv[1:3]))
