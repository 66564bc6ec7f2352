"""octoDNS over the same number of records: a reconciler of the same kind, in Python, for another API.

``python -m benchmarks.peers.octodns serve`` is a stand-in for DigitalOcean's domain API in memory (prints its URL);
``... write FOLDER RECORDS`` writes a zone; ``... plan|apply FOLDER URL`` runs octoDNS on it.
"""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks.peers.stand_in import serve

ZONE = "example.test."
CONFIG = """\
providers:
  config: {class: octodns.provider.yaml.YamlProvider, directory: %s, default_ttl: 300, enforce_order: false}
  ocean: {class: octodns_digitalocean.DigitalOceanProvider, token: benchmark}
zones:
  %s: {sources: [config], targets: [ocean]}
"""


def write(folder: Path, records: int) -> None:
    """A zone with so many A records."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = (f"r{n:06}: {{type: A, value: 10.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}}}\n" for n in range(records))
    (folder / f"{ZONE}yaml").write_text("".join(lines), encoding="utf-8")
    (folder / "octodns.yaml").write_text(CONFIG % (folder, ZONE), encoding="utf-8")


def run(folder: Path, url: str, *, apply: bool) -> None:
    """Plan, or plan and apply."""
    import octodns_digitalocean
    from octodns.manager import Manager

    logging.disable(logging.CRITICAL)
    octodns_digitalocean.DigitalOceanClient.BASE = f"{url}/v2"
    Manager(str(folder / "octodns.yaml")).sync(dry_run=not apply, force=True)


class StandIn:
    """One zone of DigitalOcean's.

    A page has 20 records unless ``per_page`` asks for up to 200, and octodns-digitalocean 1.0.1 does not ask
    (``PerPage`` in github.com/digitalocean/openapi, specification/shared/parameters.yml, 2026-11).
    """

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def answer(self, method: str, path: str, query: Mapping[str, str], document: Any) -> tuple[int, Any]:
        """(status, document)."""
        if method == "POST" and path.endswith("/records"):
            record = {**document, "id": len(self.records) + 1}
            self.records.append(record)
            return 201, {"domain_record": record}
        if method == "GET" and path.endswith("/records"):
            return 200, self.page(int(query.get("page", 1)), min(int(query.get("per_page", 20)), 200))
        return 200, {"domains": [{"name": ZONE.rstrip(".")}], "domain": {"name": ZONE.rstrip(".")}, "links": {}}

    def page(self, number: int, length: int) -> dict[str, Any]:
        """A page of records; all but the last one link to the last."""
        end = number * length
        more = {"last": "x", "next": "x"} if end < len(self.records) else {}
        found = self.records[end - length : end]
        return {"domain_records": found, "links": {"pages": more}, "meta": {"total": len(self.records)}}


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "serve":
        asyncio.run(serve(StandIn().answer))
    elif what == "write":
        write(Path(rest[0]).resolve(), int(rest[1]))
    else:
        run(Path(rest[0]), rest[1], apply=what == "apply")
