"""octoDNS over the same number of records: a reconciler of the same kind, in Python, for another API.

``python -m benchmarks.peers.octodns serve`` is a stand-in for DigitalOcean's domain API in memory (prints its URL);
``... write FOLDER RECORDS`` writes a zone; ``... plan|apply FOLDER URL`` runs octoDNS on it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sys
from pathlib import Path
from typing import Any

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
    """DigitalOcean's domains and records, 100 a page (docs.digitalocean.com, 2026-11), one zone, in memory."""

    def __init__(self) -> None:
        self.records: list[dict[str, Any]] = []

    def answer(self, method: str, path: str, body: bytes) -> tuple[int, Any]:
        """(status, document)."""
        path, _, query = path.partition("?")
        if method == "POST" and path.endswith("/records"):
            record = {**json.loads(body), "id": len(self.records) + 1}
            self.records.append(record)
            return 201, {"domain_record": record}
        if method == "GET" and path.endswith("/records"):
            page = int(dict(each.split("=") for each in query.split("&"))["page"])
            found = self.records[100 * (page - 1) : 100 * page]
            more = {"last": "x", "next": "x"} if 100 * page < len(self.records) else {}
            return 200, {"domain_records": found, "links": {"pages": more}}
        return 200, {"domains": [{"name": ZONE.rstrip(".")}], "domain": {"name": ZONE.rstrip(".")}, "links": {}}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests."""
        try:
            while line := await reader.readline():
                method, path, _ = line.decode().split()
                length = 0
                while (header := await reader.readline()).strip():
                    name, _, value = header.decode().partition(":")
                    length = int(value) if name.lower() == "content-length" else length
                status, document = self.answer(method, path, await reader.readexactly(length))
                content = json.dumps(document).encode()
                head = (
                    f"HTTP/1.1 {status} OK\r\nContent-Type: application/json\r\nContent-Length: {len(content)}\r\n\r\n"
                )
                writer.write(head.encode() + content)
                await writer.drain()
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()


async def serve() -> None:
    """Until killed; the first line of output is the URL."""
    server = await asyncio.start_server(StandIn().serve, "127.0.0.1", 0)
    print(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    what, *rest = sys.argv[1:]
    if what == "serve":
        asyncio.run(serve())
    elif what == "write":
        write(Path(rest[0]).resolve(), int(rest[1]))
    else:
        run(Path(rest[0]), rest[1], apply=what == "apply")
