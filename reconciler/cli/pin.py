"""``reconciler pin``: write a recorded result into git, with the verdict that it must keep."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from reconciler.cli.options import FILE, Common, common, events_option, example, parallelism_option

if TYPE_CHECKING:
    from reconciler.pipeline.pinning import Pinned
    from reconciler.pipeline.session import Session


@click.command(
    "pin",
    epilog=example(
        "reconciler status --format json          # results with their ids\n"
        "reconciler pin --from-result 1c0f4be2-86a4-4f65-8f0f-9b1b6a4d3d51 --out pins/incident-812.yaml \\\n"
        "    --name incident-812 --why 'customer incident 812'"
    ),
)
@common(parallelism_option, events_option)
@click.option("--from-result", "result_id", required=True, metavar="ID", help="The platform's id of the result.")
@click.option("--test", metavar="ADDRESS", help="Look at the results of this test only: much faster.")
@click.option("--out", type=FILE, metavar="FILE", help="Write there instead of to stdout.")
@click.option("--name", default="", metavar="NAME", help="Name of the pin; test and day by default.")
@click.option("--why", default="", metavar="TEXT", help="For people: the incident, the ticket.")
def command(common: Common, result_id: str, test: str | None, out: str | None, name: str, why: str) -> None:
    """Write a Pin for a result of a test declared under PATH (default: this folder).

    A plan whose thresholds would turn the pinned verdict is refused.  Changes nothing at the platform.
    """
    import os
    from pathlib import Path

    from reconciler.cli.console import Console
    from reconciler.cli.running import in_session
    from reconciler.cli.streams import speak_utf8
    from reconciler.errors import SettingsInvalid
    from reconciler.manifests.writer import to_yaml
    from reconciler.pipeline.pinning import pin_of
    from reconciler.settings import Settings

    async def work(here: Session) -> Pinned:
        return await pin_of(here, result_id, test, name=name, why=why)

    console, settings = Console.of(common), Settings.from_environ(os.environ)
    pinned = in_session(work, common.request(), settings, console, ahead=True)
    text = to_yaml(pinned.document)
    if out is None:
        speak_utf8()
        console.answer(text)
    else:
        try:
            Path(out).parent.mkdir(parents=True, exist_ok=True)
            with Path(out).open("x", encoding="utf-8") as file:  # an older pin is evidence: never overwritten
                file.write(text)
        except OSError as error:
            raise SettingsInvalid(f"--out {out}: {error.strerror}", hint="choose another file") from error
        console.story(f"+ {out}")
    if pinned.remark:
        console.story(f"note: as the thresholds are written now, the plan will be refused: {pinned.remark}")
