"""``reconciler emulator``: the vendors' APIs on this machine."""

from __future__ import annotations

import gc
from collections.abc import Callable
from typing import TypeVar

import click

from reconciler.cli.options import FILE, READABLE_FILE, example

T = TypeVar("T")


@click.command(
    "emulator",
    epilog=example(
        "reconciler emulator --port 8080 --api-key secret &\n"
        "OPENLAYER_BASE_URL=http://127.0.0.1:8080/v1 OPENLAYER_API_KEY=secret reconciler plan examples/many-projects"
    ),
)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, show_default=True, help="0 takes a free one.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--data", type=FILE, metavar="FILE", help="Keep everything in FILE; in memory otherwise.")
@click.option("--api-key", metavar="KEY", help="The only key to accept; any key by default.")
@click.option("--latency", default="0ms", show_default=True, metavar="50ms", help="Answer no sooner than this.")
@click.option("--rate", metavar="100/s", help="Answer 429 beyond so many requests a second.")
@click.option("--faults", type=READABLE_FILE, metavar="FILE", help="Go wrong as this JSON script says.")
@click.option(
    "--seed",
    type=READABLE_FILE,
    metavar="FILE",
    help="Agents and metrics of the DigitalOcean account, as JSON; a few by default.",
)
@click.option(
    "--dialect",
    type=click.Choice(["current", "seed"]),
    default="current",
    show_default=True,
    help="'seed': an older server.",
)
def command(
    port: int, host: str, data: str | None, api_key: str | None, latency: str, rate: str | None, faults: str | None,
    seed: str | None, dialect: str,
) -> None:  # fmt: skip
    """Serve a stand-in for the vendors' APIs, with real answers and real evaluations over the rows it is sent.

    Prints Openlayer's address on stdout when it listens; DigitalOcean's is the same without the /v1.  Ends on Ctrl-C.
    """
    import sqlite3

    from reconciler.emulator.app import create_app
    from reconciler.emulator.digitalocean.seed import Seed
    from reconciler.emulator.faults import FaultScript
    from reconciler.emulator.server import Unavailable, serve
    from reconciler.errors import SettingsInvalid, UsageInvalid

    try:
        app = create_app(
            data or ":memory:",
            api_key=api_key,
            dialect="" if dialect == "current" else dialect,
            latency_s=_latency(latency),
            rate_per_s=None if rate is None else _rate(rate),
            faults=_read("--faults", FaultScript.read, faults),
            seed=_read("--seed", Seed.read, seed),
        )
    except ValueError as error:
        raise UsageInvalid(str(error)) from error
    except (OSError, sqlite3.Error) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise SettingsInvalid(
            f"--data {data}: {why}", hint="name a file of the emulator's, or one that is not there yet and can be made"
        ) from error
    gc.enable()  # it serves for hours
    try:
        serve(app, host=host, port=port, on_ready=lambda url: click.echo(f"{url}/v1"))
    except Unavailable as error:
        raise SettingsInvalid(
            f"the emulator cannot listen at port {port} of {host}: {error}",
            hint="--port 0 takes a free port; --host is an address of this computer",
        ) from error


def _read(option: str, read: Callable[[str], T], file: str | None) -> T | None:
    """What stands in the file that an option names; None without one.  Raises UsageInvalid, naming both."""
    from reconciler.errors import UsageInvalid

    try:
        return read(file) if file else None
    except (OSError, ValueError, RecursionError) as error:
        raise UsageInvalid(f"{option} {file}: {getattr(error, 'strerror', None) or error}") from error


def _latency(text: str) -> float:
    for unit, scale in (("ms", 0.001), ("s", 1.0)):
        number = text.removesuffix(unit)
        if number != text and number.replace(".", "", 1).isdecimal():
            return float(number) * scale
    raise ValueError(f"--latency {text}: write 50ms or 1.5s")


def _rate(text: str) -> float:
    number = text.removesuffix("/s")
    rate = float(number) if number != text and number.replace(".", "", 1).isdecimal() else 0.0
    if not rate:
        raise ValueError(f"--rate {text}: write 100/s; the least is above 0")
    return rate
